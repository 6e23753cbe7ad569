/*
 * Characters of more than one byte in byte-level models: where no merge joins two of them, and which of them are one token
 * whatever is beside them. Tokens may hold parts of characters, so both are read off the merges.
 */
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/bpe_work.h"

#define JOIN_BITS 20
#define NO_END	   UINT32_MAX	      /* not the end, or the start, of a character */
#define PART	   UINT32_C(0x80000000) /* of a character: | bytes << 24 | the bytes; else the character */

static uint32_t part(const unsigned char *p, size_t n)
{
	uint32_t x = PART | (uint32_t)n << 24;

	for (size_t i = 0; i < n; i++)
		x |= (uint32_t)p[i] << (8 * i);
	return x;
}

/* What a token's bytes p[0..n) begin with. */
static uint32_t head_of(const unsigned char *p, size_t n)
{
	size_t len;

	if (!n || (p[0] & 0xC0) == 0x80)
		return NO_END;
	return ax_utf8_len(p[0]) <= n ? ax_utf8_get(p, &len) : part(p, n);
}

/* What they end with. */
static uint32_t tail_of(const unsigned char *p, size_t n)
{
	size_t k = n, len;

	while (k && n - k < 4 && (p[k - 1] & 0xC0) == 0x80)
		k--;
	if (k && n - k < 4 && (p[k - 1] & 0xC0) != 0x80)
		return ax_utf8_len(p[k - 1]) == n - k + 1 ? ax_utf8_get(p + k - 1, &len) : NO_END;
	return n && n < 4 ? part(p, n) : NO_END;
}

static inline size_t bit_of(uint32_t x, uint32_t y, unsigned bits)
{
	return (size_t)((((uint64_t)x << 32 | y) * UINT64_C(0xD6E8FEB86659FD93)) >> (64 - bits));
}

static inline bool has_bit(const uint64_t *set, size_t i)
{
	return set[i >> 6] >> (i & 63) & 1;
}

static inline void set_bit(uint64_t *set, size_t i)
{
	set[i >> 6] |= UINT64_C(1) << (i & 63);
}

static uint32_t lower(uint32_t old, uint32_t rank)
{
	return !old || rank + 1 < old ? rank + 1 : old;
}

static struct ax_part *part_slot(const struct ax_bpe *m, uint32_t x, uint32_t y)
{
	size_t i = bit_of(x, y, 32) & (m->n_part_slot - 1);

	while (m->part[i].rank && (m->part[i].x != x || m->part[i].y != y))
		i = (i + 1) & (m->n_part_slot - 1);
	return &m->part[i];
}

/* Are the ends of two tokens parts of a character and something that may meet it? */
static bool has_part(uint32_t x, uint32_t y)
{
	return x != NO_END && y != NO_END && (x | y) & PART;
}

static void note_part(struct ax_bpe *m, uint32_t x, uint32_t y, uint32_t rank)
{
	struct ax_part *s = part_slot(m, x, y);

	*s = (struct ax_part){x, y, lower(s->rank, rank)};
	set_bit(m->byte_joins, bit_of(x, y, JOIN_BITS));
	if (x & y & PART)
		set_bit(m->meets, (x >> (8 * ((x >> 24 & 3) - 1)) & 255) << 8 | (y & 255));
	else if (x & PART && y < AX_CHARS) {
		m->by_char[y].right = lower(m->by_char[y].right, rank);
		set_bit(m->has_right, y);
	} else if (y & PART && x < AX_CHARS) {
		m->by_char[x].left = lower(m->by_char[x].left, rank);
		set_bit(m->has_left, x);
	}
}

/* The first and the last up to 8 bytes of a token's text are enough. */
static void ends_of(const struct ax_bpe *m, uint32_t id, uint32_t *head, uint32_t *tail)
{
	const struct ax_vocab_str *s = &m->vocab.str[id];
	const unsigned char *p = (const unsigned char *)m->vocab.text + s->off, *end = p + s->n, *q = end;
	unsigned char raw[8];
	size_t n = 0, len;

	*head = *tail = NO_END;
	if (s->n == UINT32_MAX || !s->n)
		return;
	if (p[0] < 0x80 && end[-1] < 0x80) { /* they are spelled as they are */
		*head = p[0];
		*tail = end[-1];
		return;
	}
	for (const unsigned char *x = p; x < end && n < 4; x += len)
		raw[n++] = (unsigned char)ax_byte_of_char(ax_utf8_get(x, &len));
	*head = head_of(raw, n);
	for (n = 0; q > p && n < 4; n++)
		do
			q--;
		while ((*q & 0xC0) == 0x80);
	for (n = 0; q < end; q += len)
		raw[n++] = (unsigned char)ax_byte_of_char(ax_utf8_get(q, &len));
	*tail = tail_of(raw, n);
}

static bool all_bytes(const struct ax_bpe *m)
{
	for (int b = 0; b < 256; b++)
		if (m->byte_id[b] == AX_TOK_NONE)
			return false;
	return true;
}

/* All pairs of tokens that merge, by the ends that meet: ends[2 * id] is what a token begins with, the next how it ends. */
static int note_pairs(struct ax_bpe *m, const uint32_t *ends)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_merge; i++)
		n += m->merge[i].left != AX_TOK_NONE && has_part(ends[2 * m->merge[i].left + 1], ends[2 * m->merge[i].right]);
	for (m->n_part_slot = 16; m->n_part_slot < 4 * n;)
		m->n_part_slot *= 2;
	m->part = ax_calloc(m->n_part_slot, sizeof(*m->part));
	if (!m->part)
		return AX_EMEM;
	for (size_t i = 0; i < m->n_merge; i++) {
		uint32_t x = m->merge[i].left == AX_TOK_NONE ? NO_END : ends[2 * m->merge[i].left + 1];
		uint32_t y = ends[2 * m->merge[i].right];

		if (x == NO_END || y == NO_END || (x < 128 && y < 128))
			continue;
		if (has_part(x, y))
			note_part(m, x, y, (uint32_t)i);
		else
			set_bit(m->byte_joins, bit_of(x, y, JOIN_BITS));
	}
	return 0;
}

int ax_bpe_build_byte_cuts(struct ax_bpe *m, struct ax_err *e)
{
	uint32_t *ends;
	int rc;

	if (!m->byte_level || !all_bytes(m))
		return 0;
	ends = ax_malloc((size_t)m->vocab.id_end * 2 * sizeof(*ends));
	m->byte_joins = ax_calloc((size_t)1 << (JOIN_BITS - 6), sizeof(*m->byte_joins));
	m->meets = ax_calloc(65536 / 64, sizeof(*m->meets));
	m->by_char = ax_calloc(AX_CHARS, sizeof(*m->by_char));
	m->has_left = ax_calloc(AX_CHARS / 64, sizeof(*m->has_left));
	m->has_right = ax_calloc(AX_CHARS / 64, sizeof(*m->has_right));
	if (!ends || !m->byte_joins || !m->meets || !m->by_char || !m->has_left || !m->has_right) {
		ax_free(ends);
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	}
	for (uint32_t id = 0; id < m->vocab.id_end; id++)
		ends_of(m, id, &ends[2 * id], &ends[2 * id + 1]);
	rc = note_pairs(m, ends);
	ax_free(ends);
	return rc ? ax_fail(e, rc, "out of memory for merges") : 0;
}

/* May a merge take a part of a side? Whole on the left, on the right, or parts on both. */
enum { WHOLE_PART = 1, PART_WHOLE = 2, PARTS = 4, ANY_PARTS = 7 };

/* The character before p[0], x of `a` bytes, and the one there, y of `b` bytes. */
static inline unsigned kinds_of_parts(const struct ax_bpe *m, const unsigned char *p, uint32_t x, uint32_t y)
{
	if ((x | y) >= AX_CHARS)
		return ANY_PARTS;
	return (unsigned)has_bit(m->has_left, x) * WHOLE_PART | (unsigned)has_bit(m->has_right, y) * PART_WHOLE |
	       (unsigned)has_bit(m->meets, (size_t)p[-1] << 8 | p[0]) * PARTS;
}

/* May there be a merge of these kinds? */
static bool parts_may_join(const struct ax_bpe *m, const unsigned char *p, uint32_t x, size_t a, uint32_t y, size_t b, unsigned kinds)
{
	bool any = false;

	for (size_t j = 1; kinds & WHOLE_PART && j < b; j++)
		any |= has_bit(m->byte_joins, bit_of(x, part(p, j), JOIN_BITS));
	for (size_t i = 1; kinds & PART_WHOLE && i < a; i++)
		any |= has_bit(m->byte_joins, bit_of(part(p - i, i), y, JOIN_BITS));
	for (size_t i = 1; kinds & PARTS && i < a; i++)
		for (size_t j = 1; j < b; j++)
			any |= has_bit(m->byte_joins, bit_of(part(p - i, i), part(p, j), JOIN_BITS));
	return any;
}

/* Is there a merge of these kinds, of a rank, + 1, up to `until`? */
static bool parts_join(const struct ax_bpe *m, const unsigned char *p, uint32_t x, size_t a, uint32_t y, size_t b, unsigned kinds,
		       uint32_t until)
{
	uint32_t left[4], right[4];
	bool any = false;

	for (size_t k = 1; k < a; k++)
		left[k] = part(p - k, k);
	for (size_t k = 1; k < b; k++)
		right[k] = part(p, k);
	for (size_t j = 1; kinds & WHOLE_PART && j < b; j++)
		any |= part_slot(m, x, right[j])->rank - 1 < until;
	for (size_t i = 1; kinds & PART_WHOLE && i < a; i++)
		any |= part_slot(m, left[i], y)->rank - 1 < until;
	for (size_t i = 1; kinds & PARTS && i < a; i++)
		for (size_t j = 1; j < b; j++)
			any |= part_slot(m, left[i], right[j])->rank - 1 < until;
	return any;
}

bool ax_bpe_parts_due(const struct ax_bpe *m, const unsigned char *p, uint32_t x, size_t a, uint32_t y, size_t b)
{
	const struct ax_char *s = &m->by_char[x], *t = &m->by_char[y];
	uint32_t until = (s->late > t->late ? s->late : t->late) + 1;
	unsigned kinds = (s->left - 1 < until ? WHOLE_PART : 0u) | (t->right - 1 < until ? PART_WHOLE : 0u) |
			 (unsigned)has_bit(m->meets, (size_t)p[-1] << 8 | p[0]) * PARTS;

	return kinds && parts_join(m, p, x, a, y, b, kinds, until);
}

/* May a merge join x and y at p[0]? */
static inline bool joins(const struct ax_bpe *m, const unsigned char *p, uint32_t x, size_t a, uint32_t y, size_t b)
{
	bool join = (x < 128 && y < 128) | has_bit(m->byte_joins, bit_of(x, y, JOIN_BITS));
	unsigned kinds = kinds_of_parts(m, p, x, y);

	if (__builtin_expect(kinds, 0)) /* before `join`, which nobody can foretell */
		join = join || parts_may_join(m, p, x, a, y, b, kinds);
	return join;
}

size_t ax_bpe_byte_cut(const struct ax_bpe *m, const char *text, size_t i, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;
	uint32_t x, y;
	size_t a, b;

	x = ax_utf8_get(p + i, &a);
	for (i += a; i < n; i += b, a = b, x = y) {
		y = ax_utf8_get(p + i, &b);
		if (!joins(m, p + i, x, a, y, b))
			return i;
	}
	return n;
}

size_t ax_bpe_byte_cuts(const struct ax_bpe *m, const char *text, size_t i, size_t n, uint32_t *at, size_t max, size_t *end)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t k = 0, a, b;
	uint32_t x, y;

	at[k++] = (uint32_t)i;
	x = ax_utf8_get(p + i, &a);
	for (i += a; i < n && k <= max; i += b, a = b, x = y) {
		y = ax_utf8_get(p + i, &b);
		at[k] = (uint32_t)i;
		k += !joins(m, p + i, x, a, y, b);
	}
	if (k > max)
		*end = at[--k];
	else
		*end = n;
	return k;
}

/* --- characters that are one token --- */

/* Merge the bytes of a character: its token, or AX_TOK_NONE; *late is the highest rank of the merges. */
static uint32_t token_of(const struct ax_bpe *m, const unsigned char *p, size_t n, uint32_t *late)
{
	uint32_t id[4];

	*late = 0;
	for (size_t i = 0; i < n; i++)
		id[i] = m->byte_id[p[i]];
	for (; n > 1; n--) {
		const struct ax_merge *best = NULL, *g;
		size_t at = 0;

		for (size_t i = 0; i + 1 < n; i++)
			if ((g = ax_bpe_merge(m, id[i], id[i + 1])) && (!best || g->rank < best->rank)) {
				best = g;
				at = i;
			}
		if (!best)
			return AX_TOK_NONE;
		*late = best->rank > *late ? best->rank : *late;
		id[at] = best->id;
		for (size_t i = at + 1; i + 1 < n; i++)
			id[i] = id[i + 1];
	}
	return id[0];
}

/* The character that is all of a token's text, or NO_END. */
static uint32_t only_char(const struct ax_bpe *m, uint32_t id, char raw[4], size_t *n)
{
	const struct ax_vocab_str *s = &m->vocab.str[id];
	const unsigned char *p = (const unsigned char *)m->vocab.text + s->off, *end = p + s->n;
	size_t len;

	if (s->n == UINT32_MAX || s->n < 4 || s->n > 8) /* two bytes or more, each spelled in two at most */
		return NO_END;
	for (*n = 0; p < end && *n < 4; p += len) {
		int c = ax_byte_of_char(ax_utf8_get(p, &len));

		if (c < 0x80)
			return NO_END;
		raw[(*n)++] = (char)c;
	}
	return p == end && ax_utf8_check(raw, *n) == *n && ax_utf8_len((unsigned char)raw[0]) == *n
		   ? ax_utf8_get((const unsigned char *)raw, &len)
		   : NO_END;
}

void ax_bpe_build_chars(struct ax_bpe *m)
{
	uint32_t late;
	char raw[4];
	size_t n;

	for (uint32_t c = 0; m->by_char && c < 128; c++)
		m->by_char[c].id = m->byte_id[c] + 1;
	for (uint32_t id = 0; m->by_char && id < m->vocab.id_end; id++) {
		uint32_t c = only_char(m, id, raw, &n);

		if (c >= AX_CHARS)
			continue;
		m->by_char[c].id = token_of(m, (const unsigned char *)raw, n, &late) + 1;
		m->by_char[c].late = late;
	}
}
