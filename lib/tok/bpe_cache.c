/*
 * Pieces to ids, one at a time, through the tables of pieces: that of all threads (bpe_share.h), then the thread's own.
 */
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/bpe_work.h"

/* In a key, where no length reaches: the bytes are a part of a piece; there are none, it is a token. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define PART_KEY  UINT64_C(0x80)
#define TOKEN_KEY UINT64_C(0x20)
#else
#define PART_KEY  (UINT64_C(0x80) << 56)
#define TOKEN_KEY (UINT64_C(0x20) << 56)
#endif

#define ID_MASK (AX_TOK_MAX_ID - 1)

struct ax_bpe_work *ax_bpe_work_new(const struct ax_bpe *m)
{
	struct ax_bpe_work *w = ax_calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->share = ax_share_hold(m->share);
	ax_brief_refresh(w);
	if (w->pieces)
		return w;
	ax_bpe_work_free(w);
	return NULL;
}

void ax_bpe_work_free(struct ax_bpe_work *w)
{
	if (!w)
		return;
	ax_pieces_give(w->share, w->pieces);
	ax_share_drop(w->share);
	ax_free(w->own);
	ax_long_release(&w->lengthy);
	ax_words_release(&w->words);
	ax_free(w);
}

/* --- the table of short pieces --- */

void ax_brief_refresh(struct ax_bpe_work *w)
{
	struct ax_pieces *p;

	if (w->pieces)
		ax_pieces_tell(w->share, w->pieces, &w->in_pieces);
	if (w->pieces && atomic_load_explicit(&w->share->now, memory_order_relaxed) == w->pieces)
		return;
	p = ax_pieces_take(w->share, w->pieces);
	if (!p)
		return;
	w->pieces = p;
	w->in_pieces = (struct ax_pieces_own){0};
	w->brief = p->brief;
	w->brief_bits = p->bits;
}

const struct ax_brief *ax_brief_find(const struct ax_bpe_work *w, struct ax_key k)
{
	const struct ax_brief *x = ax_pieces_find(w->pieces, k);

	return x ? x : ax_brief_find_own(w, k);
}

/* What a table has no room for that will grow is not kept. */
static void put_own(struct ax_bpe_work *w, const struct ax_brief *x)
{
	struct ax_brief *at;

	if (!w->own && ax_pieces_last(w->pieces))
		w->own = ax_calloc_huge((size_t)1 << AX_OWN_BITS, sizeof(*w->own));
	if (!w->own)
		return;
	at = &w->own[ax_brief_slot(x->key, AX_OWN_BITS)];
	if (!ax_key_same(at[0].key, x->key))
		at[1] = at[0]; /* the newest comes first */
	at[0] = *x;
}

void ax_brief_put(const struct ax_bpe *m, struct ax_bpe_work *w, struct ax_key k, const uint32_t *id, size_t n)
{
	struct ax_brief x = {k, {0}};
	bool many = n > AX_BRIEF_IDS;
	uint32_t end = 0;

	for (size_t i = 0; i < n && !many; i++) {
		end += m->len[id[i]];
		x.id[i] = id[i] | end << AX_BRIEF_END;
	}
	x.id[0] |= many ? (uint32_t)AX_BRIEF_MANY << 24 | (uint32_t)n : (uint32_t)n << 24;
	if (ax_pieces_put(w->pieces, &w->in_pieces, &x, id, many ? n : 0))
		return;
	if (many && !ax_long_keep(&w->lengthy, id, n, &x.id[1]))
		return;
	if (many)
		x.id[2] = w->lengthy.emptied + 1;
	put_own(w, &x);
}

struct ax_key ax_key_of_token(uint32_t id, size_t n)
{
	return (struct ax_key){(uint64_t)n << 32 | id, TOKEN_KEY};
}

bool ax_key_is_token(struct ax_key k)
{
	return k.b == TOKEN_KEY;
}

void ax_brief_put_token(struct ax_bpe_work *w, struct ax_key k)
{
	uint32_t id = (uint32_t)k.a, n = (uint32_t)(k.a >> 32);
	struct ax_brief x = {k, {id | n << AX_BRIEF_END | 1u << 24}};

	if (!ax_pieces_put(w->pieces, &w->in_pieces, &x, NULL, 0))
		put_own(w, &x);
}

const uint32_t *ax_brief_many(const struct ax_bpe_work *w, const struct ax_brief *x, size_t *n)
{
	*n = x->id[0] & ID_MASK;
	if (!x->id[2])
		return w->pieces->store + x->id[1];
	return x->id[2] == w->lengthy.emptied + 1 ? w->lengthy.store + x->id[1] : NULL;
}

/* --- ids --- */

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

void ax_bpe_put_offsets(const struct ax_bpe *m, struct ax_ids *out, size_t from, uint32_t base)
{
	for (size_t i = from; i < out->n; i++) {
		out->begin[i] = base;
		base += m->len[out->id[i]];
		out->end[i] = base;
	}
}

int ax_bpe_emit(const struct ax_bpe *m, const uint32_t *id, size_t n, bool offsets, uint32_t base, struct ax_ids *out,
		struct ax_err *e)
{
	size_t from = out->n;

	AX_TRY(ax_ids_reserve(out, n, offsets, e));
	memcpy(out->id + from, id, n * sizeof(*id));
	out->n += n;
	if (offsets)
		ax_bpe_put_offsets(m, out, from, base);
	return 0;
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

/* The ids of a key, in out[AX_BRIEF_IDS] or elsewhere; NULL: not there. */
static const uint32_t *look_up(const struct ax_bpe_work *w, struct ax_key k, uint32_t *out, size_t *n)
{
	const struct ax_brief *x = ax_brief_find(w, k);

	if (!x)
		return NULL;
	*n = ax_brief_n(x);
	if (*n == AX_BRIEF_MANY)
		return ax_brief_many(w, x, n);
	for (size_t i = 0; i < AX_BRIEF_IDS; i++)
		out[i] = x->id[i] & ID_MASK;
	return out;
}

static const uint32_t *find_long(const struct ax_bpe_work *w, const char *p, size_t n, size_t *count)
{
	const uint32_t *id = ax_pieces_find_long(w->pieces, p, n, ax_piece_hash(p, n), count);

	return id ? id : ax_long_find(&w->lengthy, p, n, count);
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
	if (n <= AX_KEY_BYTES)
		ax_brief_put(m, w, k, id, count);
	else if (!ax_pieces_put_long(w->pieces, &w->in_pieces, p, n, ax_piece_hash(p, n), id, count))
		ax_long_put(&w->lengthy, p, n, id, count);
	return ax_bpe_emit(m, id, count, offsets, base, out, e);
}

/* A part between cuts. It is not looked for as a whole, so under ignore_merges it is not a piece of the same bytes. */
static int encode_part(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, bool offsets,
		       uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	uint32_t own[AX_QUICK_MAX];
	const uint32_t *id;
	struct ax_key k;
	size_t count;

	if (n > AX_KEY_BYTES) {
		count = ax_bpe_quick(m, p, n, own);
		if (count)
			return ax_bpe_emit(m, own, count, offsets, base, out, e);
		AX_TRY(ax_bpe_merges(m, &w->words, p, n, e));
		return emit_word(&w->words, offsets, base, out, e);
	}
	k = ax_key_at_end(p, n);
	k.b |= PART_KEY;
	id = look_up(w, k, own, &count);
	return id ? ax_bpe_emit(m, id, count, offsets, base, out, e) : encode_new(m, w, p, k, n, offsets, base, out, e);
}

int ax_bpe_encode_other(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, struct ax_key k, size_t n,
			bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	size_t count = 0, from = 0, to;
	const uint32_t *id;
	uint32_t whole;

	if (n > AX_KEY_BYTES) {
		id = find_long(w, p, n, &count);
		if (id)
			return ax_bpe_emit(m, id, count, offsets, base, out, e);
	}
	if (m->whole && (whole = ax_bpe_whole(m, &w->words, p, n, k)) != AX_TOK_NONE) {
		if (n <= AX_KEY_BYTES)
			ax_brief_put(m, w, k, &whole, 1);
		return ax_bpe_emit(m, &whole, 1, offsets, base, out, e);
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
	uint32_t own[AX_BRIEF_IDS];
	struct ax_key k = {0, 0};
	const uint32_t *id;
	size_t count;

	if (n > AX_KEY_BYTES)
		return ax_bpe_encode_other(m, w, p, k, n, offsets, base, out, e);
	ax_brief_refresh(w);
	k = ax_key_at_end(p, n);
	id = look_up(w, k, own, &count);
	if (!id)
		return ax_bpe_encode_other(m, w, p, k, n, offsets, base, out, e);
	return ax_bpe_emit(m, id, count, offsets, base, out, e);
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
