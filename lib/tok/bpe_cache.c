/*
 * Pieces to ids through two tables: one of pieces up to 15 bytes and 4 tokens, two entries a cache line, another of pieces up
 * to 62 bytes and 16 tokens. Both grow with the pieces seen, up to a limit, and then the newest replace older ones.
 */
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/bpe_work.h"

#define SHORT_KEY 15
#define SHORT_IDS 4
#define LONG_KEY  62
#define LONG_IDS  16
#define BATCH	  256
#define ID_MASK	  (AX_TOK_MAX_ID - 1)

enum { SHORT_FIRST = 15, SHORT_MOST = 20, LONG_FIRST = 11, LONG_MOST = 16 }; /* entries, as powers of two */

/* The piece, zeros, and its length in the last byte. Of no piece the length is 0. */
struct key {
	uint64_t a, b;
};

struct short_entry {
	struct key key;
	uint32_t id[SHORT_IDS]; /* in the first one's top byte how many */
};

struct long_entry {
	uint8_t len, n; /* len 0: free */
	unsigned char key[LONG_KEY];
	uint32_t id[LONG_IDS];
};

struct ax_bpe_work {
	struct short_entry *brief;
	struct long_entry *lengthy;
	unsigned brief_bits, lengthy_bits;
	size_t n_brief, n_lengthy; /* put in since the table grew */
	struct ax_words words;
	struct key key[BATCH];
	uint32_t slot[BATCH];
};

struct ax_bpe_work *ax_bpe_work_new(const struct ax_bpe *m)
{
	struct ax_bpe_work *w = ax_calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->brief_bits = SHORT_FIRST;
	w->lengthy_bits = LONG_FIRST;
	w->brief = ax_calloc_huge((size_t)1 << SHORT_FIRST, sizeof(*w->brief));
	w->lengthy = ax_calloc_huge((size_t)1 << LONG_FIRST, sizeof(*w->lengthy));
	if (!w->brief || !w->lengthy) {
		ax_bpe_work_free(w);
		return NULL;
	}
	return w;
}

void ax_bpe_work_free(struct ax_bpe_work *w)
{
	if (!w)
		return;
	ax_free(w->brief);
	ax_free(w->lengthy);
	ax_words_release(&w->words);
	ax_free(w);
}

static inline size_t short_slot(struct key k, unsigned bits)
{
	uint64_t h = (k.a ^ (k.b << 29 | k.b >> 35)) * UINT64_C(0x9E3779B97F4A7C15);

	return (size_t)(h >> (64 - bits)) & ~(size_t)1; /* a pair of entries in one cache line */
}

static inline bool same(struct key x, struct key y)
{
	return !((x.a ^ y.a) | (x.b ^ y.b));
}

/* Of n <= 15 bytes, where 16 can be read. */
static inline struct key key_of(const char *p, size_t n)
{
	static const unsigned char keep[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
	struct key k, m;

	memcpy(&k, p, sizeof(k));
	memcpy(&m, keep + 16 - n, sizeof(m));
	k.a &= m.a;
	k.b &= m.b;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	k.b |= n;
#else
	k.b |= (uint64_t)n << 56;
#endif
	return k;
}

/* The same where fewer can be read. */
static struct key key_at_end(const char *p, size_t n)
{
	char all[16] = {0};

	memcpy(all, p, n);
	return key_of(all, n);
}

static void put_short(struct ax_bpe_work *w, struct short_entry *x)
{
	size_t at = short_slot(x->key, w->brief_bits);

	w->brief[at + 1] = w->brief[at]; /* the newest comes first */
	w->brief[at] = *x;
}

/* Make room as pieces come; without memory the table stays as it is. */
static void grow_short(struct ax_bpe_work *w)
{
	size_t old_n = (size_t)1 << w->brief_bits;
	struct short_entry *old = w->brief, *fresh;

	if (w->n_brief < old_n / 2 || w->brief_bits >= SHORT_MOST)
		return;
	w->n_brief = 0;
	fresh = ax_calloc_huge(old_n * 4, sizeof(*fresh));
	if (!fresh)
		return;
	w->brief = fresh;
	w->brief_bits += 2;
	for (size_t i = old_n; i--;)
		if (old[i].key.b)
			put_short(w, &old[i]);
	ax_free(old);
}

static size_t long_slot(const char *p, size_t n, unsigned bits)
{
	uint64_t h = n;

	for (size_t i = 0; i < n; i += 8) {
		uint64_t k = 0;

		memcpy(&k, p + i, n - i < 8 ? n - i : 8);
		h = (h ^ k) * UINT64_C(0x9E3779B97F4A7C15);
		h ^= h >> 32;
	}
	return (size_t)h & (((size_t)1 << bits) - 1);
}

static void grow_long(struct ax_bpe_work *w)
{
	size_t old_n = (size_t)1 << w->lengthy_bits;
	struct long_entry *old = w->lengthy, *fresh;

	if (w->n_lengthy < old_n || w->lengthy_bits >= LONG_MOST)
		return;
	w->n_lengthy = 0;
	fresh = ax_calloc_huge(old_n * 4, sizeof(*fresh));
	if (!fresh)
		return;
	w->lengthy = fresh;
	w->lengthy_bits += 2;
	for (size_t i = 0; i < old_n; i++)
		if (old[i].len)
			fresh[long_slot((const char *)old[i].key, old[i].len, w->lengthy_bits)] = old[i];
	ax_free(old);
}

static bool grow(uint32_t **p, size_t cap)
{
	uint32_t *q = ax_realloc_array(*p, cap, sizeof(*q));

	if (q)
		*p = q;
	return q != NULL;
}

int ax_ids_reserve(struct ax_ids *ids, size_t n, bool offsets, struct ax_err *e)
{
	size_t want = ids->n + n;

	if (want > ids->cap) {
		size_t cap = ids->cap + ids->cap / 2 + n + 64;

		if (!grow(&ids->id, cap))
			return ax_fail(e, AX_EMEM, "out of memory for token ids");
		ids->cap = cap;
	}
	if (offsets && want > ids->cap_off) {
		if (!grow(&ids->begin, ids->cap) || !grow(&ids->end, ids->cap))
			return ax_fail(e, AX_EMEM, "out of memory for token ids");
		ids->cap_off = ids->cap;
	}
	return 0;
}

/* Do the tokens of the word lie end to end with the lengths of their strings? Then a cache needs to keep only ids. */
static bool is_plain(const struct ax_bpe *m, const struct ax_words *w, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (w->begin[i] != at || w->end[i] - w->begin[i] != m->len[w->id[i]])
			return false;
		at = w->end[i];
	}
	return at == n;
}

static void put_offsets(const struct ax_bpe *m, struct ax_ids *out, size_t from, uint32_t base)
{
	for (size_t i = from; i < out->n; i++) {
		out->begin[i] = base;
		base += m->len[out->id[i]];
		out->end[i] = base;
	}
}

static int emit_word(const struct ax_words *w, bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	AX_TRY(ax_ids_reserve(out, w->n, offsets, e));
	for (size_t i = 0; i < w->n; i++) {
		if (offsets) {
			out->begin[out->n] = base + w->begin[i];
			out->end[out->n] = base + w->end[i];
		}
		out->id[out->n++] = w->id[i];
	}
	return 0;
}

/* A short piece that the table does not hold. */
static int miss_short(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, struct key k, size_t n, bool offsets,
		      uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	struct short_entry x = {k, {0}};

	AX_TRY(ax_bpe_word(m, &w->words, p, n, e));
	if (w->words.n && w->words.n <= SHORT_IDS && is_plain(m, &w->words, n)) {
		memcpy(x.id, w->words.id, w->words.n * sizeof(*x.id));
		x.id[0] |= (uint32_t)w->words.n << 24;
		put_short(w, &x);
		w->n_brief++;
	}
	return emit_word(&w->words, offsets, base, out, e);
}

static int encode_long(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, bool offsets,
		       uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	size_t from = out->n;
	struct long_entry *x;

	grow_long(w);
	x = &w->lengthy[long_slot(p, n, w->lengthy_bits)];
	if (x->len == n && !memcmp(x->key, p, n)) {
		AX_TRY(ax_ids_reserve(out, LONG_IDS, offsets, e));
		memcpy(out->id + out->n, x->id, sizeof(x->id));
		out->n += x->n;
		if (offsets)
			put_offsets(m, out, from, base);
		return 0;
	}
	AX_TRY(ax_bpe_word(m, &w->words, p, n, e));
	if (w->words.n <= LONG_IDS && is_plain(m, &w->words, n)) {
		x->len = (uint8_t)n;
		x->n = (uint8_t)w->words.n;
		memcpy(x->key, p, n);
		memcpy(x->id, w->words.id, w->words.n * sizeof(*x->id));
		w->n_lengthy++;
	}
	return emit_word(&w->words, offsets, base, out, e);
}

static int encode_other(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, bool offsets,
			uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	if (n <= LONG_KEY)
		return encode_long(m, w, p, n, offsets, base, out, e);
	AX_TRY(ax_bpe_word(m, &w->words, p, n, e));
	return emit_word(&w->words, offsets, base, out, e);
}

/* The entry of a key at a slot, or NULL. */
static inline const struct short_entry *find(const struct ax_bpe_work *w, size_t slot, struct key k)
{
	const struct short_entry *x = &w->brief[slot];

	x += same(x[1].key, k);
	return same(x->key, k) ? x : NULL;
}

/* Append the ids of an entry; there is room for SHORT_IDS. */
static inline void put_ids(struct ax_ids *out, const struct short_entry *x)
{
	uint32_t *to = out->id + out->n, first = x->id[0];

	memcpy(to, x->id, sizeof(x->id));
	to[0] = first & ID_MASK;
	out->n += first >> 24;
}

static int encode_piece(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, bool offsets,
			uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	const struct short_entry *x;
	size_t from = out->n;
	struct key k;

	if (n > SHORT_KEY)
		return encode_other(m, w, p, n, offsets, base, out, e);
	grow_short(w);
	k = key_at_end(p, n);
	x = find(w, short_slot(k, w->brief_bits), k);
	if (!x)
		return miss_short(m, w, p, k, n, offsets, base, out, e);
	AX_TRY(ax_ids_reserve(out, SHORT_IDS, offsets, e));
	put_ids(out, x);
	if (offsets)
		put_offsets(m, out, from, base);
	return 0;
}

int ax_bpe_encode(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, bool offsets, uint32_t base,
		  struct ax_ids *out, struct ax_err *e)
{
	size_t from = 0, i, len;
	uint32_t c, last;

	if (!m->joins)
		return encode_piece(m, w, p, n, offsets, base, out, e);
	last = ax_utf8_get((const unsigned char *)p, &len);
	for (i = len; i < n; i += len, last = c) {
		c = ax_utf8_get((const unsigned char *)p + i, &len);
		if (ax_bpe_joins(m, last, c))
			continue;
		AX_TRY(encode_piece(m, w, p + from, i - from, offsets, base + (uint32_t)from, out, e));
		from = i;
	}
	return encode_piece(m, w, p + from, n - from, offsets, base + (uint32_t)from, out, e);
}

/* Keys and slots of up to BATCH pieces; the memory of all is asked for before the first is used. */
static void look_ahead(struct ax_bpe_work *w, const char *p, size_t n, const uint32_t *at, size_t k)
{
	unsigned bits = w->brief_bits;

	for (size_t i = 0; i < k; i++) {
		size_t len = at[i + 1] - at[i];

		if (len > SHORT_KEY)
			continue;
		w->key[i] = at[i] + sizeof(struct key) <= n ? key_of(p + at[i], len) : key_at_end(p + at[i], len);
		w->slot[i] = (uint32_t)short_slot(w->key[i], bits);
		__builtin_prefetch(&w->brief[w->slot[i]]);
	}
}

static int encode_batch(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, const uint32_t *at, size_t k,
			bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	AX_TRY(ax_ids_reserve(out, k * SHORT_IDS, offsets, e));
	for (size_t i = 0; i < k; i++) {
		size_t len = at[i + 1] - at[i], from = out->n;
		const struct short_entry *x = len > SHORT_KEY ? NULL : find(w, w->slot[i], w->key[i]);

		if (x) {
			put_ids(out, x);
			if (offsets)
				put_offsets(m, out, from, base + at[i]);
			continue;
		}
		if (len > SHORT_KEY)
			AX_TRY(encode_other(m, w, p + at[i], len, offsets, base + at[i], out, e));
		else
			AX_TRY(miss_short(m, w, p + at[i], w->key[i], len, offsets, base + at[i], out, e));
		AX_TRY(ax_ids_reserve(out, (k - i) * SHORT_IDS, offsets, e));
	}
	return 0;
}

int ax_bpe_encode_pieces(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, const uint32_t *at,
			 size_t k, bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	for (size_t i = 0; i < k; i += BATCH) {
		size_t some = k - i < BATCH ? k - i : BATCH;

		grow_short(w);
		look_ahead(w, p, n, at + i, some);
		AX_TRY(encode_batch(m, w, p, at + i, some, offsets, base, out, e));
	}
	return 0;
}
