/*
 * Short words at speed: the ranks of all pairs in an array, the pairs of first symbols from a table by bytes, and for
 * ignore_merges a table of the vocabulary's short strings by their bytes.
 */
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/bpe_work.h"

#define POS_BITS 6 /* of a word's symbols */

_Static_assert(AX_QUICK_MAX <= 1 << POS_BITS && AX_RANK_BITS + POS_BITS < 32, "ranks and positions in 32 bits");

/* --- whole words --- */

static inline size_t whole_slot(const struct ax_bpe *m, struct ax_key k)
{
	return (size_t)(ax_key_hash(k) >> m->whole_shift);
}

#define FILTER_BITS 16
#define MAX_RAW	    1024

/* The bytes that a string of the vocabulary stands for: how many; 0: none, or more than MAX_RAW. */
static size_t raw_bytes(const struct ax_bpe *m, const struct ax_vocab_str *s, char *raw)
{
	const unsigned char *p = (const unsigned char *)m->vocab.text + s->off;
	size_t n = 0, len;

	for (size_t i = 0; i < s->n; i += len) {
		int c = p[i];

		len = 1;
		if (m->byte_level && (c <= ' ' || c >= 0x7F)) /* the rest is spelled as it is */
			c = ax_byte_of_char(ax_utf8_get(p + i, &len));
		if (c < 0 || n == MAX_RAW)
			return 0;
		raw[n++] = (char)c;
	}
	return n;
}

static void add_whole(struct ax_bpe *m, struct ax_key k, uint32_t id)
{
	size_t i = whole_slot(m, k);

	while (m->whole[i].key.b)
		i = (i + 1) & m->whole_mask;
	m->whole[i] = (struct ax_whole){k, id};
}

static uint64_t *filter_word(const struct ax_bpe *m, uint64_t h)
{
	return &m->whole_long[(h >> 6) & ((1u << (FILTER_BITS - 6)) - 1)];
}

/* Is there a string with two ids, of which only the last counts? */
static bool has_twins(const struct ax_vocab *v)
{
	size_t n = 0;

	for (uint32_t id = 0; id < v->id_end; id++)
		n += v->str[id].n != UINT32_MAX;
	return n != v->n;
}

static int build_whole(struct ax_bpe *m, struct ax_err *e)
{
	bool twins = has_twins(&m->vocab);
	char raw[MAX_RAW + 16];
	size_t slots = 64;
	unsigned bits = 6;

	for (; slots < m->vocab.n * 2; slots *= 2)
		bits++;
	m->whole = ax_calloc_huge(slots, sizeof(*m->whole));
	m->whole_long = ax_calloc((size_t)1 << (FILTER_BITS - 6), sizeof(*m->whole_long));
	if (!m->whole || !m->whole_long)
		return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
	m->whole_mask = slots - 1;
	m->whole_shift = 64 - bits;
	for (uint32_t id = 0; id < m->vocab.id_end; id++) {
		const struct ax_vocab_str *s = &m->vocab.str[id];
		size_t n = s->n == UINT32_MAX ? 0 : raw_bytes(m, s, raw);
		uint64_t h;

		if (s->n == UINT32_MAX || (twins && ax_vocab_find(&m->vocab, m->vocab.text + s->off, s->n) != id))
			continue;
		if (n && n <= AX_KEY_BYTES) {
			add_whole(m, ax_key_at_end(raw, n), id);
		} else if (n) {
			h = ax_piece_hash(raw, n);
			*filter_word(m, h) |= UINT64_C(1) << (h & 63);
		} else if (s->n) { /* too long to say */
			memset(m->whole_long, 0xFF, ((size_t)1 << (FILTER_BITS - 6)) * sizeof(*m->whole_long));
		}
	}
	return 0;
}

uint32_t ax_bpe_whole(const struct ax_bpe *m, struct ax_words *w, const char *p, size_t n, struct ax_key k)
{
	uint64_t h;

	if (n > AX_KEY_BYTES) {
		h = ax_piece_hash(p, n);
		return *filter_word(m, h) >> (h & 63) & 1 ? ax_bpe_whole_long(m, w, p, n) : AX_TOK_NONE;
	}
	for (size_t i = whole_slot(m, k); m->whole[i].key.b; i = (i + 1) & m->whole_mask)
		if (ax_key_same(m->whole[i].key, k))
			return m->whole[i].id;
	return AX_TOK_NONE;
}

void ax_bpe_whole_touch(const struct ax_bpe *m, struct ax_key k)
{
	__builtin_prefetch(&m->whole[whole_slot(m, k)]);
}

/* --- merges --- */

static int build_pairs(struct ax_bpe *m, struct ax_err *e)
{
	unsigned end = m->byte_level ? 256 : 128;

	m->pair = ax_malloc((size_t)256 * 256 * sizeof(*m->pair));
	if (!m->pair)
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	memset(m->pair, 0xFF, (size_t)256 * 256 * sizeof(*m->pair));
	for (unsigned x = 0; x < end; x++)
		for (unsigned y = 0; y < end; y++) {
			const struct ax_merge *g = ax_bpe_merge(m, m->byte_id[x], m->byte_id[y]);

			if (g && m->byte_id[x] != AX_TOK_NONE)
				m->pair[x << 8 | y] = g->rank;
		}
	return 0;
}

int ax_bpe_build_quick(struct ax_bpe *m, struct ax_err *e)
{
	if (m->ignore_merges)
		AX_TRY(build_whole(m, e));
	if (m->prefix || m->suffix || m->vocab.id_end > AX_TAG_ID)
		return 0;
	return build_pairs(m, e);
}

/* The symbols of a word, and the order of each's pair with the next: rank << POS_BITS | position; UINT32_MAX: none. */
struct word {
	uint32_t id[AX_QUICK_MAX], order[AX_QUICK_MAX];
	unsigned char next[AX_QUICK_MAX + 1], prev[AX_QUICK_MAX + 1];
	unsigned n;
	uint32_t best; /* of order */
};

#define ASKED (UINT32_MAX - 1) /* as an order: to be looked up */

/* By the tag alone, which is the pair's: the merge itself is not touched before it is its turn. */
static inline void set_pair(const struct ax_bpe *m, struct word *w, unsigned left, unsigned right)
{
	uint64_t tag = ax_bpe_pair_tag(w->id[left], w->id[right]), s;
	size_t i = ax_bpe_merge_slot(m, ax_bpe_pair_hash(w->id[left], w->id[right]));

	while ((s = m->merge_slot[i]) && s >> AX_RANK_BITS != tag)
		i = i + 1 < m->n_merge_slot ? i + 1 : 0;
	w->order[left] = s ? ax_bpe_slot_rank(s) << POS_BITS | left : UINT32_MAX;
}

static inline void set_first_pair(const struct ax_bpe *m, struct word *w, unsigned i, unsigned char x, unsigned char y)
{
	uint32_t rank = m->pair[(unsigned)x << 8 | y];

	w->order[i] = rank == UINT32_MAX ? UINT32_MAX : rank << POS_BITS | i;
}

/*
 * Characters that are one token each: where no merge joins parts of them, and all merges inside them come before the first
 * between them, it is these that are merged.
 */
static bool whole_chars(const struct ax_bpe *m, struct word *w, const unsigned char *p, size_t n)
{
	uint32_t late = 0, first = UINT32_MAX, x = 0, y, rank;
	size_t a = 0, b;
	unsigned k = 0;

	for (size_t i = 0; i < n; i += b, a = b, x = y, k++) {
		y = ax_utf8_get(p + i, &b);
		if (y >= AX_CHARS || !m->by_char[y].id || (k && ax_bpe_joins_parts(m, p + i, x, a, y, b)))
			return false;
		w->id[k] = m->by_char[y].id - 1;
		rank = m->by_char[y].late & ~(AX_CHAR_LEFT | AX_CHAR_RIGHT);
		late = rank > late ? rank : late;
		if (!k)
			continue;
		if ((x | y) < 128)
			set_first_pair(m, w, k - 1, p[i - 1], p[i]);
		else
			set_pair(m, w, k - 1, k);
		first = w->order[k - 1] < first ? w->order[k - 1] : first;
	}
	w->n = k;
	return first >> POS_BITS > late;
}

static bool byte_symbols(const struct ax_bpe *m, struct word *w, const unsigned char *p, size_t n)
{
	uint32_t none = 0;
	unsigned high = 0;

	for (size_t i = 0; i < n && m->by_char; i++)
		high |= p[i];
	if (high >= 0x80 && whole_chars(m, w, p, n))
		return true;
	for (unsigned i = 0; i < n; i++) {
		w->id[i] = m->byte_id[p[i]];
		none |= w->id[i] == AX_TOK_NONE;
	}
	for (unsigned i = 0; i + 1 < n; i++)
		set_first_pair(m, w, i, p[i], p[i + 1]);
	w->n = (unsigned)n;
	return !none;
}

/* Characters; one without a token, or a ▁ that is not a space's where spaces are written so, is not for here. */
static bool char_symbols(const struct ax_bpe *m, struct word *w, const unsigned char *p, size_t n)
{
	unsigned k = 0;
	size_t len, before = 0;

	for (size_t i = 0; i < n; i += len, k++) {
		uint32_t c = ax_utf8_get(p + i, &len);

		w->id[k] = ax_bpe_char(m, c);
		if (w->id[k] == AX_TOK_NONE || (m->spaces && c == 0x2581))
			return false;
		if (k && p[before] < 128 && c < 128)
			set_first_pair(m, w, k - 1, p[before], p[i]);
		else if (k)
			set_pair(m, w, k - 1, k);
		before = i;
	}
	w->n = k;
	return true;
}

static void find_best(const struct ax_bpe *m, struct word *w)
{
	uint32_t best = UINT32_MAX;

	for (unsigned i = 0; i + 1 < w->n; i++)
		best = w->order[i] < best ? w->order[i] : best;
	w->best = best;
	__builtin_prefetch(&m->made[best == UINT32_MAX ? 0 : best >> POS_BITS]);
}

/* Symbols and pairs; false: not a word for here. */
static bool begin(const struct ax_bpe *m, struct word *w, const char *p, size_t n)
{
	if (!(m->byte_level ? byte_symbols : char_symbols)(m, w, (const unsigned char *)p, n))
		return false;
	w->order[w->n - 1] = UINT32_MAX;
	for (unsigned i = 0; i <= w->n; i++) {
		w->next[i] = (unsigned char)(i + 1);
		w->prev[i] = (unsigned char)(i - 1);
	}
	find_best(m, w);
	return true;
}

/* Ask for the memory of a pair, if it may be one that merges. */
static inline void ask(const struct ax_bpe *m, struct word *w, unsigned left, unsigned right)
{
	uint64_t h = ax_bpe_pair_hash(w->id[left], w->id[right]);

	w->order[left] = UINT32_MAX;
	if (!ax_bpe_may_merge(m, h))
		return;
	w->order[left] = ASKED;
	__builtin_prefetch(&m->merge_slot[ax_bpe_merge_slot(m, h)]);
}

/* Merge the best pair, and ask for the memory of the pairs that this makes. */
static void join(const struct ax_bpe *m, struct word *w)
{
	unsigned i = w->best & ((1 << POS_BITS) - 1), gone = w->next[i], right = w->next[gone];

	w->id[i] = m->made[w->best >> POS_BITS];
	w->order[i] = w->order[gone] = UINT32_MAX;
	w->next[i] = (unsigned char)right;
	w->prev[right] = (unsigned char)i;
	if (right < w->n)
		ask(m, w, i, right);
	if (i)
		ask(m, w, w->prev[i], i);
}

/* Then look them up, and find the next best. */
static void look(const struct ax_bpe *m, struct word *w)
{
	unsigned i = w->best & ((1 << POS_BITS) - 1);

	if (w->order[i] == ASKED)
		set_pair(m, w, i, w->next[i]);
	if (i && w->order[w->prev[i]] == ASKED)
		set_pair(m, w, w->prev[i], i);
	find_best(m, w);
}

static size_t take_ids(const struct word *w, uint32_t *id)
{
	size_t k = 0;

	for (unsigned i = 0; i < w->n; i = w->next[i])
		id[k++] = w->id[i];
	return k;
}

size_t ax_bpe_quick(const struct ax_bpe *m, const char *p, size_t n, uint32_t *id)
{
	struct word w;

	if (!m->pair || n > AX_QUICK_MAX || !begin(m, &w, p, n))
		return 0;
	while (w.best != UINT32_MAX) {
		join(m, &w);
		look(m, &w);
	}
	return take_ids(&w, id);
}

void ax_bpe_quick_group(const struct ax_bpe *m, struct ax_quick *const *q, size_t n)
{
	struct word w[AX_QUICK_GROUP];
	unsigned char active[AX_QUICK_GROUP];
	size_t n_active = 0, left;

	for (size_t k = 0; k < n; k++) {
		q[k]->count = 0;
		if (m->pair && begin(m, &w[k], q[k]->p, q[k]->n))
			active[n_active++] = (unsigned char)k;
	}
	while (n_active) {
		left = 0;
		for (size_t k = 0; k < n_active; k++)
			if (w[active[k]].best == UINT32_MAX)
				q[active[k]]->count = take_ids(&w[active[k]], q[active[k]]->id);
			else
				active[left++] = active[k];
		n_active = left;
		for (size_t k = 0; k < n_active; k++)
			join(m, &w[active[k]]);
		for (size_t k = 0; k < n_active; k++)
			look(m, &w[active[k]]);
	}
}
