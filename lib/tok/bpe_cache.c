/*
 * Pieces to ids through a table of pieces up to 15 bytes and 4 tokens, two entries a cache line, which grows with the pieces
 * seen up to a limit, and then the newest replace older ones; and through another for the rest (bpe_long.c).
 */
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/bpe_work.h"

#define SHORT_IDS 4
#define BATCH	  512
#define CUT_LONGER 6 /* bytes */
#define ID_MASK	  (AX_TOK_MAX_ID - 1)

/* In a key, where no length reaches: the bytes are a part of a piece. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define PART_KEY UINT64_C(0x80)
#else
#define PART_KEY (UINT64_C(0x80) << 56)
#endif

enum { SHORT_FIRST = 15, SHORT_MOST = 20 }; /* entries, as powers of two */

struct short_entry {
	struct ax_key key;
	uint32_t id[SHORT_IDS]; /* in the first one's top byte how many */
};

struct ax_bpe_work {
	struct short_entry *brief;
	unsigned brief_bits;
	size_t n_brief; /* put in since the table grew */
	struct ax_long lengthy;
	struct ax_words words;
	struct ax_key key[BATCH];
	uint32_t slot[BATCH];
};

struct ax_bpe_work *ax_bpe_work_new(const struct ax_bpe *m)
{
	struct ax_bpe_work *w = ax_calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->brief_bits = SHORT_FIRST;
	w->brief = ax_calloc_huge((size_t)1 << SHORT_FIRST, sizeof(*w->brief));
	if (!w->brief) {
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
	ax_long_release(&w->lengthy);
	ax_words_release(&w->words);
	ax_free(w);
}

static inline size_t short_slot(struct ax_key k, unsigned bits)
{
	return (size_t)(ax_key_hash(k) >> (64 - bits)) & ~(size_t)1; /* a pair of entries in one cache line */
}

static void put_entry(struct ax_bpe_work *w, const struct short_entry *x)
{
	size_t at = short_slot(x->key, w->brief_bits);

	w->brief[at + 1] = w->brief[at]; /* the newest comes first */
	w->brief[at] = *x;
}

static void put_short(struct ax_bpe_work *w, struct ax_key k, const uint32_t *id, size_t n)
{
	struct short_entry x = {k, {0}};

	memcpy(x.id, id, n * sizeof(*id));
	x.id[0] |= (uint32_t)n << 24;
	put_entry(w, &x);
	w->n_brief++;
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
			put_entry(w, &old[i]);
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

static int emit_ids(const struct ax_bpe *m, const uint32_t *id, size_t n, bool offsets, uint32_t base, struct ax_ids *out,
		    struct ax_err *e)
{
	size_t from = out->n;

	AX_TRY(ax_ids_reserve(out, n, offsets, e));
	memcpy(out->id + from, id, n * sizeof(*id));
	out->n += n;
	if (offsets)
		put_offsets(m, out, from, base);
	return 0;
}

/* The entry of a key at a slot, or NULL. */
static inline const struct short_entry *find(const struct ax_bpe_work *w, size_t slot, struct ax_key k)
{
	const struct short_entry *x = &w->brief[slot];

	x += ax_key_same(x[1].key, k);
	return ax_key_same(x->key, k) ? x : NULL;
}

/* Append the ids of an entry; there is room for SHORT_IDS. */
static inline void put_ids(struct ax_ids *out, const struct short_entry *x)
{
	uint32_t *to = out->id + out->n, first = x->id[0];

	memcpy(to, x->id, sizeof(x->id));
	to[0] = first & ID_MASK;
	out->n += first >> 24;
}

static int emit_entry(const struct ax_bpe *m, const struct short_entry *x, bool offsets, uint32_t base,
		      struct ax_ids *out, struct ax_err *e)
{
	size_t from = out->n;

	AX_TRY(ax_ids_reserve(out, SHORT_IDS, offsets, e));
	put_ids(out, x);
	if (offsets)
		put_offsets(m, out, from, base);
	return 0;
}

/* Encode a piece that no table holds by its merges, and put it into one. */
static int encode_new(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, struct ax_key k, size_t n,
		      bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	uint32_t own[AX_QUICK_MAX];
	const uint32_t *id = own;
	size_t count = ax_bpe_quick(m, p, n, own);

	if (!count) {
		AX_TRY(ax_bpe_merges(m, &w->words, p, n, e));
		if (!w->words.n || !is_plain(m, &w->words, n))
			return emit_word(&w->words, offsets, base, out, e);
		id = w->words.id;
		count = w->words.n;
	}
	if (n <= AX_KEY_BYTES && count <= SHORT_IDS)
		put_short(w, k, id, count);
	else
		ax_long_put(&w->lengthy, p, n, id, count);
	return emit_ids(m, id, count, offsets, base, out, e);
}

/* A part between cuts. It is not looked for as a whole, so under ignore_merges it is not a piece of the same bytes. */
static int encode_part(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, bool offsets,
		       uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	const struct short_entry *x;
	uint32_t id[AX_QUICK_MAX];
	struct ax_key k;
	size_t count;

	if (n > AX_KEY_BYTES) {
		count = ax_bpe_quick(m, p, n, id);
		if (count)
			return emit_ids(m, id, count, offsets, base, out, e);
		AX_TRY(ax_bpe_merges(m, &w->words, p, n, e));
		return emit_word(&w->words, offsets, base, out, e);
	}
	k = ax_key_at_end(p, n);
	k.b |= PART_KEY;
	x = find(w, short_slot(k, w->brief_bits), k);
	if (!x)
		return encode_new(m, w, p, k, n, offsets, base, out, e);
	return emit_entry(m, x, offsets, base, out, e);
}

/* A piece that the short table does not hold, whose key it is; n > AX_KEY_BYTES: it has none. */
static int encode_other(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, struct ax_key k, size_t n,
			bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	size_t count = 0, from = 0, to;
	const uint32_t *id = ax_long_find(&w->lengthy, p, n, &count);
	uint32_t whole;

	if (id)
		return emit_ids(m, id, count, offsets, base, out, e);
	if (m->whole && (whole = ax_bpe_whole(m, &w->words, p, n, k)) != AX_TOK_NONE) {
		if (n <= AX_KEY_BYTES)
			put_short(w, k, &whole, 1);
		return emit_ids(m, &whole, 1, offsets, base, out, e);
	}
	to = m->byte_joins ? ax_bpe_byte_cut(m, p, 0, n) : n;
	if (to == n)
		return encode_new(m, w, p, k, n, offsets, base, out, e);
	for (; from < n; from = to) {
		to = from ? ax_bpe_byte_cut(m, p, from, n) : to;
		AX_TRY(encode_part(m, w, p + from, to - from, offsets, base + (uint32_t)from, out, e));
	}
	return 0;
}

static int encode_piece(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, bool offsets,
			uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	const struct short_entry *x;
	struct ax_key k = {0, 0};

	if (n > AX_KEY_BYTES)
		return encode_other(m, w, p, k, n, offsets, base, out, e);
	grow_short(w);
	k = ax_key_at_end(p, n);
	x = find(w, short_slot(k, w->brief_bits), k);
	if (!x)
		return encode_other(m, w, p, k, n, offsets, base, out, e);
	return emit_entry(m, x, offsets, base, out, e);
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

		if (len > AX_KEY_BYTES)
			continue;
		w->key[i] = at[i] + sizeof(struct ax_key) <= n ? ax_key_of(p + at[i], len) : ax_key_at_end(p + at[i], len);
		w->slot[i] = (uint32_t)short_slot(w->key[i], bits);
		__builtin_prefetch(&w->brief[w->slot[i]]);
	}
}

/* Encode the pieces q, with keys k, that no table holds, and put them in. */
static void fill(const struct ax_bpe *m, struct ax_bpe_work *w, struct ax_quick *q, const struct ax_key *k, size_t n)
{
	size_t left = 0, place[AX_QUICK_GROUP];
	uint32_t whole;

	for (size_t i = 0; i < n && m->whole; i++)
		ax_bpe_whole_touch(m, k[i]);
	for (size_t i = 0; i < n; i++) {
		whole = m->whole ? ax_bpe_whole(m, &w->words, q[i].p, q[i].n, k[i]) : AX_TOK_NONE;
		if (whole != AX_TOK_NONE) {
			put_short(w, k[i], &whole, 1);
			continue;
		}
		place[left] = i;
		q[left++] = q[i];
	}
	ax_bpe_quick_group(m, q, left);
	for (size_t i = 0; i < left; i++)
		if (q[i].count && q[i].count <= SHORT_IDS)
			put_short(w, k[place[i]], q[i].id, q[i].count);
		else if (q[i].count)
			ax_long_put(&w->lengthy, q[i].p, q[i].n, q[i].id, q[i].count);
}

/* Before a batch is encoded: the short pieces that are new, several at a time. What is left, encode_other does. */
static void learn(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, const uint32_t *at, size_t k)
{
	struct ax_quick q[AX_QUICK_GROUP];
	struct ax_key key[AX_QUICK_GROUP];
	size_t n = 0, j;

	for (size_t i = 0; i < k; i++) {
		size_t len = at[i + 1] - at[i];

		if (len > AX_KEY_BYTES || find(w, w->slot[i], w->key[i]) || ax_long_find(&w->lengthy, p + at[i], len, &j))
			continue;
		for (j = 0; j < n && !ax_key_same(key[j], w->key[i]); j++)
			;
		if (j < n)
			continue;
		key[n] = w->key[i];
		q[n].p = p + at[i];
		q[n++].n = len;
		if (n == AX_QUICK_GROUP) {
			fill(m, w, q, key, n);
			n = 0;
		}
	}
	if (n)
		fill(m, w, q, key, n);
}

static int encode_batch(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, const uint32_t *at, size_t k,
			bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	AX_TRY(ax_ids_reserve(out, k * SHORT_IDS, offsets, e));
	for (size_t i = 0; i < k; i++) {
		size_t len = at[i + 1] - at[i], from = out->n;
		const struct short_entry *x = len > AX_KEY_BYTES ? NULL : find(w, w->slot[i], w->key[i]);

		if (x) {
			put_ids(out, x);
			if (offsets)
				put_offsets(m, out, from, base + at[i]);
			continue;
		}
		AX_TRY(encode_other(m, w, p + at[i], w->key[i], len, offsets, base + at[i], out, e));
		AX_TRY(ax_ids_reserve(out, (k - i) * SHORT_IDS, offsets, e));
	}
	return 0;
}

/*
 * Pieces from *i on, of which the first begins at *from, with those that look like CJK cut where no merge joins; returns
 * how many, at most BATCH.
 */
static size_t cut_finer(const struct ax_bpe *m, const char *p, const uint32_t *at, size_t k, size_t *i, uint32_t *from,
			uint32_t *fine)
{
	size_t n = 0;

	while (*i < k && n < BATCH) {
		uint32_t end = at[*i + 1], to = end;

		if (end - *from > CUT_LONGER && (unsigned char)p[*from + 1] >= 0x80)
			to = (uint32_t)ax_bpe_byte_cut(m, p, *from, end);
		fine[n++] = *from;
		*from = to;
		*i += to == end;
	}
	fine[n] = *from;
	return n;
}

static int encode_some(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, const uint32_t *at,
		       size_t k, bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	grow_short(w);
	look_ahead(w, p, n, at, k);
	learn(m, w, p, at, k);
	return encode_batch(m, w, p, at, k, offsets, base, out, e);
}

int ax_bpe_encode_pieces(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, const uint32_t *at,
			 size_t k, bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	uint32_t fine[BATCH + 1], from = at[0];
	size_t i = 0, some;

	if (!m->byte_joins || m->ignore_merges) {
		for (; i < k; i += some) {
			some = k - i < BATCH ? k - i : BATCH;
			AX_TRY(encode_some(m, w, p, n, at + i, some, offsets, base, out, e));
		}
		return 0;
	}
	while (i < k) {
		some = cut_finer(m, p, at, k, &i, &from, fine);
		AX_TRY(encode_some(m, w, p, n, fine, some, offsets, base, out, e));
	}
	return 0;
}
