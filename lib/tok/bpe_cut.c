/*
 * Cuts where no merge joins two characters, for models that see a whole text as one word. A space stands for ▁ where the
 * model says so.
 */
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/bpe.h"

static inline bool joins(const struct ax_bpe *m, uint32_t x, uint32_t y)
{
	if (m->spaces) {
		x = x == ' ' ? 0x2581 : x;
		y = y == ' ' ? 0x2581 : y;
	}
	return ax_bpe_joins(m, x, y);
}

int ax_bpe_build_cuts(struct ax_bpe *m, struct ax_err *e)
{
	if (!m->joins)
		return 0;
	m->ascii_cut = ax_malloc((size_t)128 * 128);
	if (!m->ascii_cut)
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	for (uint32_t x = 0; x < 128; x++)
		for (uint32_t y = 0; y < 128; y++)
			m->ascii_cut[x << 7 | y] = !joins(m, x, y);
	return 0;
}

/* Through ASCII from i on, where the character before i is ASCII too: writes cuts from at[*k] on, and some more. */
static size_t cut_ascii(const struct ax_bpe *m, const unsigned char *p, size_t i, size_t n, uint32_t *at, size_t *k, size_t max)
{
	const unsigned char *cut = m->ascii_cut;
	size_t c = *k;

	for (uint64_t w; i + 8 <= n && c < max; i += 8) {
		memcpy(&w, p + i, 8);
		if (w & UINT64_C(0x8080808080808080))
			break;
		for (size_t j = i; j < i + 8; j++) {
			at[c] = (uint32_t)j;
			c += cut[(unsigned)p[j - 1] << 7 | p[j]];
		}
	}
	for (; i < n && c < max && p[i] < 0x80; i++) {
		at[c] = (uint32_t)i;
		c += cut[(unsigned)p[i - 1] << 7 | p[i]];
	}
	*k = c;
	return i;
}

size_t ax_bpe_cut(const struct ax_bpe *m, const char *text, size_t n, size_t *from, uint32_t *at, size_t max)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t i = *from, k = 0, len;
	uint32_t last, c;

	if (i == n)
		return 0;
	at[k++] = (uint32_t)i;
	last = ax_utf8_get(p + i, &len);
	for (i += len; i < n && k <= max; i += len, last = c) {
		if (last < 128 && p[i] < 0x80) {
			i = cut_ascii(m, p, i, n, at, &k, max + 1);
			if (i == n || k > max)
				break;
			last = p[i - 1];
		}
		c = ax_utf8_get(p + i, &len);
		at[k] = (uint32_t)i;
		k += !joins(m, last, c);
	}
	if (i < n || k > max) /* the last one's end is not known */
		*from = at[--k];
	else
		*from = at[k] = (uint32_t)n;
	return k;
}

/* --- bytes: the same between characters of more than one byte, where tokens may hold parts of characters --- */

#define WHOLE_BITS 20
#define PART_BITS  14
#define NO_END	   UINT32_MAX	      /* not the end, or the start, of a character */
#define BOTH_PARTS (UINT32_MAX - 1)
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

/* Pairs with a part are few: part_joins also tells of the whole side, or of two parts by the left one's last byte, that there are any. */
static void note_pair(struct ax_bpe *m, uint32_t x, uint32_t y)
{
	if (x == NO_END || y == NO_END || (x < 128 && y < 128))
		return;
	if (!((x | y) & PART)) {
		set_bit(m->byte_joins, bit_of(x, y, WHOLE_BITS));
		return;
	}
	set_bit(m->part_joins, bit_of(x, y, PART_BITS));
	if (x & y & PART)
		set_bit(m->part_joins, bit_of(BOTH_PARTS, x >> (8 * ((x >> 24 & 3) - 1)) & 255, PART_BITS));
	else
		set_bit(m->part_joins, x & PART ? bit_of(NO_END, y, PART_BITS) : bit_of(x, NO_END, PART_BITS));
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

int ax_bpe_build_byte_cuts(struct ax_bpe *m, struct ax_err *e)
{
	uint32_t *ends;

	if (!m->byte_level || !all_bytes(m))
		return 0;
	ends = ax_malloc((size_t)m->vocab.id_end * 2 * sizeof(*ends));
	m->byte_joins = ax_calloc((size_t)1 << (WHOLE_BITS - 6), sizeof(*m->byte_joins));
	m->part_joins = ax_calloc((size_t)1 << (PART_BITS - 6), sizeof(*m->part_joins));
	if (!ends || !m->byte_joins || !m->part_joins) {
		ax_free(ends);
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	}
	for (uint32_t id = 0; id < m->vocab.id_end; id++)
		ends_of(m, id, &ends[2 * id], &ends[2 * id + 1]);
	for (size_t i = 0; i < m->n_merge; i++)
		if (m->merge[i].left != AX_TOK_NONE)
			note_pair(m, ends[2 * m->merge[i].left + 1], ends[2 * m->merge[i].right]);
	ax_free(ends);
	return 0;
}

/* Where a side may be a part: the character before p[0], x of `a` bytes, or the one there, y of `b` bytes. */
static bool joins_parts(const struct ax_bpe *m, const unsigned char *p, uint32_t x, size_t a, uint32_t y, size_t b)
{
	uint32_t left[4], right[4];
	bool any = false;

	left[0] = x;
	right[0] = y;
	for (size_t k = 1; k < a; k++)
		left[k] = part(p - k, k);
	for (size_t k = 1; k < b; k++)
		right[k] = part(p, k);
	for (size_t i = 0; i < a; i++)
		for (size_t j = 0; j < b; j++)
			any |= (i || j) && has_bit(m->part_joins, bit_of(left[i], right[j], PART_BITS));
	return any;
}

size_t ax_bpe_byte_cut(const struct ax_bpe *m, const char *text, size_t i, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;
	uint32_t x, y;
	size_t a, b;

	x = ax_utf8_get(p + i, &a);
	for (i += a; i < n; i += b, a = b, x = y) {
		y = ax_utf8_get(p + i, &b);
		if ((x < 128 && y < 128) || has_bit(m->byte_joins, bit_of(x, y, WHOLE_BITS)))
			continue;
		if ((!has_bit(m->part_joins, bit_of(x, NO_END, PART_BITS)) &&
		     !has_bit(m->part_joins, bit_of(NO_END, y, PART_BITS)) &&
		     !has_bit(m->part_joins, bit_of(BOTH_PARTS, p[i - 1], PART_BITS))) ||
		    !joins_parts(m, p + i, x, a, y, b))
			return i;
	}
	return n;
}
