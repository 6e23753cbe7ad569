/*
 * Short words by their merges, compiled once for each instruction set: the includer defines FNS, the name of its functions.
 *
 * A round of a word is a merge: the lowest of its pairs' ranks, the token that it makes from a table by rank, and the ranks of
 * the two pairs that the token is in from a table of buckets, a cache line each. Both tables are larger than the second-level
 * cache, so many words take their rounds in turn. A round is about 80 cycles where memory answers in time.
 */
#include <string.h>

#include "text/unicode.h"
#include "tok/bpe_work.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define POS_BITS 6 /* of a word's symbols */
#define NOWHERE	 AX_QUICK_MAX

_Static_assert(AX_QUICK_MAX < 1 << POS_BITS && AX_RANK_BITS + POS_BITS < 32, "ranks and positions in 32 bits");

/*
 * Of a bucket the slot with the tag, or 0; of n <= AX_QUICK_MAX orders, UINT32_MAX behind the last, the lowest: always of the
 * same number where words are short, as one that changes from word to word is hard to foretell.
 */
#if defined(__AVX512F__)
static inline uint64_t slot_in(const uint64_t *b, uint64_t tag)
{
	__m512i x = _mm512_loadu_si512(b);
	__mmask8 is = _mm512_cmpeq_epi64_mask(_mm512_srli_epi64(x, AX_RANK_BITS), _mm512_set1_epi64((int64_t)tag));

	return (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(_mm512_maskz_compress_epi64(is, x)));
}

static inline uint32_t lowest(const uint32_t *order, unsigned n)
{
	__m512i x = _mm512_loadu_si512(order);

	if (n > 16)
		x = _mm512_min_epu32(x, _mm512_min_epu32(_mm512_loadu_si512(order + 16), _mm512_loadu_si512(order + 32)));
	return _mm512_reduce_min_epu32(x);
}
#elif defined(__AVX2__)
static inline __m256i load(const void *p)
{
	return _mm256_loadu_si256(p);
}

static inline uint64_t slot_in(const uint64_t *b, uint64_t tag)
{
	__m256i x = load(b), y = load(b + 4), t = _mm256_set1_epi64x((int64_t)tag);
	__m128i z;

	x = _mm256_and_si256(x, _mm256_cmpeq_epi64(_mm256_srli_epi64(x, AX_RANK_BITS), t));
	y = _mm256_and_si256(y, _mm256_cmpeq_epi64(_mm256_srli_epi64(y, AX_RANK_BITS), t));
	x = _mm256_or_si256(x, y);
	z = _mm_or_si128(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
	return (uint64_t)_mm_cvtsi128_si64(_mm_or_si128(z, _mm_unpackhi_epi64(z, z)));
}

static inline uint32_t lowest(const uint32_t *order, unsigned n)
{
	__m256i x = _mm256_min_epu32(load(order), load(order + 8));
	__m128i z;

	for (unsigned i = 16; i < n; i += 16)
		x = _mm256_min_epu32(x, _mm256_min_epu32(load(order + i), load(order + i + 8)));
	z = _mm_min_epu32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
	z = _mm_min_epu32(z, _mm_shuffle_epi32(z, 0x4E));
	z = _mm_min_epu32(z, _mm_shuffle_epi32(z, 0xB1));
	return (uint32_t)_mm_cvtsi128_si32(z);
}
#else
static inline uint64_t slot_in(const uint64_t *b, uint64_t tag)
{
	uint64_t found = 0;

	for (size_t i = 0; i < AX_BUCKET; i++)
		found |= b[i] >> AX_RANK_BITS == tag ? b[i] : 0;
	return found;
}

static inline uint32_t lowest(const uint32_t *order, unsigned n)
{
	uint32_t best[4] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};

	n = n <= 16 ? 16 : AX_QUICK_MAX;
	for (unsigned i = 0; i < n; i += 4)
		for (unsigned k = 0; k < 4; k++)
			best[k] = order[i + k] < best[k] ? order[i + k] : best[k];
	best[0] = best[0] < best[1] ? best[0] : best[1];
	best[2] = best[2] < best[3] ? best[2] : best[3];
	return best[0] < best[2] ? best[0] : best[2];
}
#endif

/* The rank of the pair with this tag, where the search begins in this bucket; UINT32_MAX: none. */
static inline uint32_t rank_in(const struct ax_bpe *m, const uint64_t *b, uint64_t tag)
{
	uint64_t found;

	for (;; b = ax_bpe_next_bucket(m, b)) {
		found = slot_in(b, tag);
		if (__builtin_expect(found || !b[AX_BUCKET - 1], 1))
			return ax_bpe_slot_rank(found);
	}
}

/*
 * The symbols of a word, and the order of each's pair with the next: rank << POS_BITS | position; UINT32_MAX: none. A pair
 * is first asked for, so that memory is on its way, and looked up when the other words have been seen to. Place NOWHERE is
 * before the first symbol and, of the longest words, behind the last.
 */
struct word {
	uint32_t id[AX_QUICK_MAX + 1], order[AX_QUICK_MAX + 1];
	unsigned char next[AX_QUICK_MAX + 1], prev[AX_QUICK_MAX + 1];
	unsigned n;
	uint32_t best; /* of order */
	uint64_t asked; /* a bit for each first symbol whose pair is asked for */
	struct {
		const uint64_t *bucket;
		uint64_t tag;
		unsigned at;
	} pair[2]; /* that a merge made */
	/* of characters as symbols: by symbol the rank before which it is not whole, and the highest rank of a merge so far */
	uint32_t late[AX_QUICK_MAX], reached;
	bool chars;
	const char *p;
	size_t bytes;
};

_Static_assert(AX_QUICK_MAX <= 64, "a bit for each symbol");

static inline void ask(const struct ax_bpe *m, struct word *w, unsigned left, unsigned right)
{
	w->asked |= UINT64_C(1) << left;
	ax_bpe_merge_touch(m, w->id[left], w->id[right]);
}

/* Ask for a pair that a merge made, if there is one: at a word's ends there is none, but no branch for that. */
static inline void ask_made(const struct ax_bpe *m, struct word *w, unsigned k, unsigned left, unsigned right, bool is)
{
	static _Alignas(64) const uint64_t none[AX_BUCKET];
	const uint64_t *b = ax_bpe_bucket(m, ax_bpe_pair_hash(w->id[left], w->id[right]));

	w->pair[k].bucket = is ? b : none;
	w->pair[k].tag = ax_bpe_pair_tag(w->id[left], w->id[right]);
	w->pair[k].at = left;
	__builtin_prefetch(w->pair[k].bucket);
}

static void ask_nothing(struct word *w)
{
	static _Alignas(64) const uint64_t none[AX_BUCKET];

	w->asked = 0;
	for (unsigned k = 0; k < 2; k++) {
		w->pair[k].bucket = none;
		w->pair[k].tag = 1;
		w->pair[k].at = NOWHERE;
	}
}

static inline void set_order(struct word *w, unsigned i, uint32_t rank)
{
	w->order[i] = rank == UINT32_MAX ? UINT32_MAX : rank << POS_BITS | i;
}

static inline void set_first_pair(const struct ax_bpe *m, struct word *w, unsigned i, unsigned char x, unsigned char y)
{
	set_order(w, i, m->pair[(unsigned)x << 8 | y]);
}

#define UP(x)	 (x), (x) + 1, (x) + 2, (x) + 3, (x) + 4, (x) + 5, (x) + 6, (x) + 7

/* No symbols, but linked. */
static inline void clear(struct word *w)
{
	static const unsigned char up[AX_QUICK_MAX + 2] = {NOWHERE, UP(0), UP(8), UP(16), UP(24), UP(32), UP(40), NOWHERE};

	memcpy(w->next, up + 2, sizeof(w->next) - 1);
	memcpy(w->prev, up, sizeof(w->prev));
	w->next[NOWHERE] = NOWHERE;
	memset(w->id, 0, sizeof(w->id));
	memset(w->order, 0xFF, sizeof(w->order));
	ask_nothing(w);
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
	w->asked = 0; /* by characters that were not for here */
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

/* Symbols, and their pairs asked for; false: not a word for here. */
static bool begin(const struct ax_bpe *m, struct word *w, const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;

	clear(w);
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
	return true;
}

/* Look up what was asked for. */
static inline void look(const struct ax_bpe *m, struct word *w)
{
	for (; w->asked; w->asked &= w->asked - 1) {
		unsigned i = (unsigned)__builtin_ctzll(w->asked);
		uint32_t left = w->id[i], right = w->id[w->next[i]];

		set_order(w, i, rank_in(m, ax_bpe_bucket(m, ax_bpe_pair_hash(left, right)), ax_bpe_pair_tag(left, right)));
	}
	for (unsigned k = 0; k < 2; k++)
		set_order(w, w->pair[k].at, rank_in(m, w->pair[k].bucket, w->pair[k].tag));
}

/* Find the best pair. Not at once: what look() has written can be read together when it has left the store buffer. */
static inline void choose(const struct ax_bpe *m, struct word *w)
{
	w->best = lowest(w->order, w->n);
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
		clear(w);
		bytes_begin(m, w, (const unsigned char *)w->p, w->bytes);
		return;
	}
	w->id[i] = m->made[w->best >> POS_BITS];
	w->order[i] = w->order[gone] = UINT32_MAX;
	w->next[i] = (unsigned char)right;
	w->prev[right] = (unsigned char)i;
	ask_made(m, w, 0, i, right, right < w->n);
	ask_made(m, w, 1, w->prev[i], i, i);
}

static size_t take_ids(const struct word *w, uint32_t *id)
{
	size_t k = 0;

	for (unsigned i = 0; i < w->n; i = w->next[i])
		id[k++] = w->id[i];
	return k;
}

static size_t one(const struct ax_bpe *m, const char *p, size_t n, uint32_t *id)
{
	struct word w;

	if (!begin(m, &w, p, n))
		return 0;
	for (;;) {
		look(m, &w);
		choose(m, &w);
		if (w.best == UINT32_MAX)
			return take_ids(&w, id);
		join(m, &w);
	}
}

/* --- many words in turn --- */

#define LANES 16

/* The next word of q[*i..n) that is one for here, or NULL. */
static struct ax_quick *next_word(const struct ax_bpe *m, struct ax_quick *const *q, size_t *i, size_t n, struct word *w)
{
	while (*i < n) {
		struct ax_quick *x = q[(*i)++];

		if (begin(m, w, x->p, x->n))
			return x;
	}
	return NULL;
}

static void group(const struct ax_bpe *m, struct ax_quick *const *q, size_t n)
{
	struct word word[LANES], *w[LANES]; /* lanes in use come first */
	struct ax_quick *of[LANES];
	size_t i = 0, n_lane = 0, keep;

	for (; n_lane < LANES && (of[n_lane] = next_word(m, q, &i, n, &word[n_lane])); n_lane++)
		w[n_lane] = &word[n_lane];
	for (; n_lane; n_lane = keep) {
		for (size_t k = 0; k < n_lane; k++)
			look(m, w[k]);
		for (size_t k = 0; k < n_lane; k++)
			choose(m, w[k]);
		keep = 0;
		for (size_t k = 0; k < n_lane; k++) {
			struct word *x = w[k];
			struct ax_quick *o = of[k];

			if (x->best != UINT32_MAX) {
				join(m, x);
			} else {
				o->count = take_ids(x, o->id);
				o = next_word(m, q, &i, n, x);
			}
			w[keep] = x;
			of[keep] = o;
			keep += o != NULL;
		}
	}
}

const struct ax_quick_fns FNS = {one, group};
