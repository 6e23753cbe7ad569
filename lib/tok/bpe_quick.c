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
#define LATER	    32

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

/* Enter what waits for its slots. */
static void add_wholes(struct ax_bpe *m, const struct ax_whole *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_whole(m, w[i].key, w[i].id);
}

static int build_whole(struct ax_bpe *m, struct ax_err *e)
{
	struct ax_whole later[LATER];
	char raw[MAX_RAW + 16];
	size_t slots = 64, n_later = 0;
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

		if (s->n == UINT32_MAX || (m->vocab.moved && ax_vocab_find(&m->vocab, m->vocab.text + s->off, s->n) != id))
			continue;
		if (n && n <= AX_KEY_BYTES) {
			later[n_later] = (struct ax_whole){ax_key_at_end(raw, n), id};
			ax_bpe_whole_touch(m, later[n_later].key);
			if (++n_later == LATER) {
				add_wholes(m, later, n_later);
				n_later = 0;
			}
		} else if (n) {
			h = ax_piece_hash(raw, n);
			*filter_word(m, h) |= UINT64_C(1) << (h & 63);
		} else if (s->n) { /* too long to say */
			memset(m->whole_long, 0xFF, ((size_t)1 << (FILTER_BITS - 6)) * sizeof(*m->whole_long));
		}
	}
	add_wholes(m, later, n_later);
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

/*
 * The symbols of a word, and the order of each's pair with the next: rank << POS_BITS | position; UINT32_MAX: none. A pair
 * is first asked for, so that memory is on its way, and looked up when the other words have been seen to.
 */
struct word {
	uint32_t id[AX_QUICK_MAX], order[AX_QUICK_MAX];
	unsigned char next[AX_QUICK_MAX + 1], prev[AX_QUICK_MAX + 1];
	unsigned n;
	uint32_t best;	/* of order */
	uint64_t asked; /* a bit for each symbol whose pair is asked for */
	/* of characters as symbols: by symbol the rank before which it is not whole, and the highest rank of a merge so far */
	uint32_t late[AX_QUICK_MAX], reached;
	bool chars;
	const char *p;
	size_t bytes;
};

_Static_assert(AX_QUICK_MAX <= 64, "a bit for each symbol");

static inline void ask(const struct ax_bpe *m, struct word *w, unsigned left, unsigned right)
{
	w->order[left] = UINT32_MAX;
	w->asked |= UINT64_C(1) << left;
	ax_bpe_merge_touch(m, w->id[left], w->id[right]);
}

static inline void set_order(struct word *w, unsigned i, uint32_t rank)
{
	w->order[i] = rank == UINT32_MAX ? UINT32_MAX : rank << POS_BITS | i;
}

static inline void set_first_pair(const struct ax_bpe *m, struct word *w, unsigned i, unsigned char x, unsigned char y)
{
	set_order(w, i, m->pair[(unsigned)x << 8 | y]);
}

/*
 * Characters that are one token each, where no merge tears any of them: it is these that are merged, as long as each is
 * whole before the turn of its first merge.
 */
static bool chars_begin(const struct ax_bpe *m, struct word *w, const unsigned char *p, size_t n)
{
	uint32_t x = 0, y;
	size_t a = 0, b;
	unsigned k = 0;

	for (size_t i = 0; i < n; i += b, a = b, x = y, k++) {
		y = ax_utf8_get(p + i, &b);
		if (y >= AX_CHARS || !m->by_char[y].id || (k && ax_bpe_parts_due(m, p + i, x, a, y, b)))
			return false;
		w->id[k] = m->by_char[y].id - 1;
		w->late[k] = m->by_char[y].late;
		if (k && (x | y) < 128)
			set_first_pair(m, w, k - 1, p[i - 1], p[i]);
		else if (k)
			ask(m, w, k - 1, k);
	}
	w->n = k;
	w->chars = true;
	return true;
}

static bool bytes_begin(const struct ax_bpe *m, struct word *w, const unsigned char *p, size_t n)
{
	uint32_t none = 0;

	for (unsigned i = 0; i < n; i++) {
		w->id[i] = m->byte_id[p[i]];
		none |= w->id[i] == AX_TOK_NONE;
	}
	for (unsigned i = 0; i + 1 < n; i++)
		set_first_pair(m, w, i, p[i], p[i + 1]);
	w->n = (unsigned)n;
	w->asked = 0;
	w->chars = false;
	return !none;
}

/* Characters; one without a token, or a ▁ that is not a space's where spaces are written so, is not for here. */
static bool text_begin(const struct ax_bpe *m, struct word *w, const unsigned char *p, size_t n)
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
			ask(m, w, k - 1, k);
		before = i;
	}
	w->n = k;
	return true;
}

static bool has_high(const char *p, size_t n)
{
	unsigned char all = 0;

	for (size_t i = 0; i < n; i++)
		all |= (unsigned char)p[i];
	return all >= 0x80;
}

static void link_symbols(struct word *w)
{
	memset(w->order + w->n - 1, 0xFF, (AX_QUICK_MAX + 1 - w->n) * sizeof(*w->order));
	for (unsigned i = 0; i <= w->n; i++) {
		w->next[i] = (unsigned char)(i + 1);
		w->prev[i] = (unsigned char)(i - 1);
	}
}

/* Symbols, and their pairs asked for; false: not a word for here. */
static bool begin(const struct ax_bpe *m, struct word *w, const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;

	w->asked = 0;
	w->reached = 0;
	w->chars = false;
	w->p = text;
	w->bytes = n;
	if (!m->byte_level) {
		if (!text_begin(m, w, p, n))
			return false;
	} else if (!(m->by_char && has_high(text, n) && chars_begin(m, w, p, n)) && !bytes_begin(m, w, p, n)) {
		return false;
	}
	link_symbols(w);
	return true;
}

/* Of a fixed number of symbols, where words are short, as a number that changes from word to word is hard to foretell. */
static uint32_t lowest(const struct word *w)
{
	uint32_t best[4] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
	unsigned n = w->n <= 16 ? 16 : AX_QUICK_MAX;

	for (unsigned i = 0; i < n; i += 4)
		for (unsigned k = 0; k < 4; k++)
			best[k] = w->order[i + k] < best[k] ? w->order[i + k] : best[k];
	best[0] = best[0] < best[1] ? best[0] : best[1];
	best[2] = best[2] < best[3] ? best[2] : best[3];
	return best[0] < best[2] ? best[0] : best[2];
}

/* Look up what was asked for, and find the best pair. */
static void look(const struct ax_bpe *m, struct word *w)
{
	for (; w->asked; w->asked &= w->asked - 1) {
		unsigned i = (unsigned)__builtin_ctzll(w->asked);

		set_order(w, i, ax_bpe_rank(m, w->id[i], w->id[w->next[i]]));
	}
	w->best = lowest(w);
	__builtin_prefetch(&m->made[w->best == UINT32_MAX ? 0 : w->best >> POS_BITS]);
}

/* Is the best pair due, with both characters whole by then? */
static bool is_due(struct word *w)
{
	unsigned i = w->best & ((1 << POS_BITS) - 1), gone = w->next[i];
	uint32_t rank = w->best >> POS_BITS, late = w->late[i] > w->late[gone] ? w->late[i] : w->late[gone];

	w->reached = rank > w->reached ? rank : w->reached;
	w->late[i] = 0;
	return late < w->reached || !late;
}

/* Merge the best pair, and ask for those that this makes; or begin anew with bytes. */
static void join(const struct ax_bpe *m, struct word *w)
{
	unsigned i = w->best & ((1 << POS_BITS) - 1), gone = w->next[i], right = w->next[gone];

	if (w->chars && !is_due(w)) {
		bytes_begin(m, w, (const unsigned char *)w->p, w->bytes);
		link_symbols(w);
		return;
	}
	w->id[i] = m->made[w->best >> POS_BITS];
	w->order[i] = w->order[gone] = UINT32_MAX;
	w->next[i] = (unsigned char)right;
	w->prev[right] = (unsigned char)i;
	if (right < w->n)
		ask(m, w, i, right);
	if (i)
		ask(m, w, w->prev[i], i);
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
	for (look(m, &w); w.best != UINT32_MAX; look(m, &w))
		join(m, &w);
	return take_ids(&w, id);
}

/* --- many words in turn --- */

#define LANES 16

/* The next word of q[*i..n) that is one for here, or NULL. */
static struct ax_quick *next_word(const struct ax_bpe *m, struct ax_quick *const *q, size_t *i, size_t n, struct word *w)
{
	while (*i < n) {
		struct ax_quick *x = q[(*i)++];

		x->count = 0;
		if (m->pair && begin(m, w, x->p, x->n))
			return x;
	}
	return NULL;
}

void ax_bpe_quick_group(const struct ax_bpe *m, struct ax_quick *const *q, size_t n)
{
	struct word w[LANES];
	struct ax_quick *of[LANES];
	bool looked[LANES];
	size_t i = 0, n_lane = 0, n_active;

	while (n_lane < LANES && (of[n_lane] = next_word(m, q, &i, n, &w[n_lane])))
		looked[n_lane++] = false;
	do {
		n_active = 0;
		for (size_t k = 0; k < n_lane; k++)
			if (of[k] && looked[k])
				join(m, &w[k]);
		for (size_t k = 0; k < n_lane; k++) {
			if (!of[k])
				continue;
			n_active++;
			look(m, &w[k]);
			looked[k] = w[k].best != UINT32_MAX;
			if (looked[k])
				continue;
			of[k]->count = take_ids(&w[k], of[k]->id);
			of[k] = next_word(m, q, &i, n, &w[k]);
		}
	} while (n_active);
}
