/*
 * Short words at speed: the ranks of all pairs in an array, the pairs of first symbols from a table by bytes, and for
 * ignore_merges a table of the vocabulary's short strings by their bytes.
 */
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/bpe_work.h"

#define NO_PAIR	 UINT64_MAX
#define POS_BITS 6 /* of a word's symbols */

_Static_assert(AX_QUICK_MAX <= 1 << POS_BITS, "positions of symbols");

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
		int c = m->byte_level ? ax_byte_of_char(ax_utf8_get(p + i, &len)) : (len = 1, p[i]);

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

static int build_whole(struct ax_bpe *m, struct ax_err *e)
{
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

		if (s->n == UINT32_MAX || ax_vocab_find(&m->vocab, m->vocab.text + s->off, s->n) != id)
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
				m->pair[x << 8 | y] = (uint64_t)g->rank << 32 | g->id;
		}
	return 0;
}

int ax_bpe_build_quick(struct ax_bpe *m, struct ax_err *e)
{
	if (m->ignore_merges)
		AX_TRY(build_whole(m, e));
	if (m->prefix || m->suffix || m->n_merge >= (size_t)1 << (32 - POS_BITS))
		return 0;
	return build_pairs(m, e);
}

/* The symbols of a word and what each merges to with the next: rank << POS_BITS | position, UINT32_MAX: nothing. */
struct word {
	uint32_t id[AX_QUICK_MAX], order[AX_QUICK_MAX], made[AX_QUICK_MAX];
	unsigned char next[AX_QUICK_MAX + 1], prev[AX_QUICK_MAX + 1];
	unsigned n;
};

static inline void set_pair(const struct ax_bpe *m, struct word *w, unsigned left, unsigned right)
{
	const struct ax_merge *g = ax_bpe_merge(m, w->id[left], w->id[right]);

	w->order[left] = g ? g->rank << POS_BITS | left : UINT32_MAX;
	w->made[left] = g ? g->id : 0;
}

static inline void set_first_pair(const struct ax_bpe *m, struct word *w, unsigned i, unsigned char x, unsigned char y)
{
	uint64_t g = m->pair[(unsigned)x << 8 | y];

	w->order[i] = g == NO_PAIR ? UINT32_MAX : (uint32_t)(g >> 32) << POS_BITS | i;
	w->made[i] = (uint32_t)g;
}

static bool byte_symbols(const struct ax_bpe *m, struct word *w, const unsigned char *p, size_t n)
{
	uint32_t none = 0;

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

/* Should the symbols at i merge, these pairs will be looked for: their memory is asked for before that. */
static inline void look_ahead(const struct ax_bpe *m, const struct word *w, unsigned i)
{
	unsigned right = w->next[w->next[i]];

	if (w->order[i] == UINT32_MAX)
		return;
	if (right < w->n)
		ax_bpe_merge_touch(m, w->made[i], w->id[right]);
	if (i)
		ax_bpe_merge_touch(m, w->id[w->prev[i]], w->made[i]);
}

static void merge(const struct ax_bpe *m, struct word *w)
{
	unsigned n = w->n;

	for (unsigned i = 0; i <= n; i++) {
		w->next[i] = (unsigned char)(i + 1);
		w->prev[i] = (unsigned char)(i - 1);
	}
	for (unsigned i = 0; i + 1 < n; i++)
		look_ahead(m, w, i);
	for (;;) {
		uint32_t best = UINT32_MAX;
		unsigned i, right;

		for (i = 0; i + 1 < n; i++)
			best = w->order[i] < best ? w->order[i] : best;
		if (best == UINT32_MAX)
			return;
		i = best & ((1 << POS_BITS) - 1);
		right = w->next[i];
		w->id[i] = w->made[i];
		w->id[right] = AX_TOK_NONE;
		w->order[right] = UINT32_MAX;
		right = w->next[i] = w->next[right];
		w->prev[right] = (unsigned char)i;
		if (right < n)
			set_pair(m, w, i, right);
		else
			w->order[i] = UINT32_MAX;
		if (i) {
			set_pair(m, w, w->prev[i], i);
			look_ahead(m, w, w->prev[i]);
		}
		look_ahead(m, w, i);
	}
}

size_t ax_bpe_quick(const struct ax_bpe *m, const char *text, size_t n, uint32_t *id)
{
	const unsigned char *p = (const unsigned char *)text;
	struct word w;
	size_t k = 0;

	if (!m->pair || n > AX_QUICK_MAX)
		return 0;
	if (!(m->byte_level ? byte_symbols(m, &w, p, n) : char_symbols(m, &w, p, n)))
		return 0;
	w.order[w.n - 1] = UINT32_MAX;
	merge(m, &w);
	for (unsigned i = 0; i < w.n; i = w.next[i])
		id[k++] = w.id[i];
	return k;
}
