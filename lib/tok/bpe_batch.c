/*
 * Many pieces to ids: the entries of all are asked for before the first is looked at; then those that are new are merged,
 * several at a time; then all ids are written in order; then the new ones are put into the table.
 */
#include <string.h>

#include "text/unicode.h"
#include "tok/bpe_work.h"
#include "tok/marks.h"

#define CUT_LONGER 6 /* bytes */
#define NEAR	   8 /* pieces that are looked at one by one */
#define ID_MASK	   (AX_TOK_MAX_ID - 1)
#define NOT_FRESH  UINT16_MAX
#define NOWHERE	   UINT32_MAX
#define KNOWN	   SIZE_MAX

/* The key of no entry: a longer piece. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LONG_KEY UINT64_C(0x40)
#else
#define LONG_KEY (UINT64_C(0x40) << 56)
#endif

/* One call: the text, its pieces, and where ids go. */
struct batch {
	const struct ax_bpe *m;
	struct ax_bpe_work *w;
	const char *p;
	size_t n; /* of the text */
	bool offsets;
	uint32_t base;
	struct ax_ids *out;
	const struct ax_bpe_token *token;
	size_t n_token;
	struct ax_tok_marks *marks;
	size_t stop; /* the piece that holds the next marked place */
	size_t next_token; /* of those in the list, the first behind that */
};

/* Keys and slots of up to AX_BATCH pieces. */
static void look_ahead(const struct batch *b, const uint32_t *at, size_t k)
{
	struct ax_bpe_work *w = b->w;
	unsigned bits = w->brief_bits;
	size_t safe = b->n >= sizeof(struct ax_key) ? b->n - sizeof(struct ax_key) : 0; /* 16 bytes can be read before */

	for (size_t i = 0; i < k; i++) {
		size_t len = at[i + 1] - at[i];
		struct ax_key key = {0, LONG_KEY};

		if (len <= AX_KEY_BYTES)
			key = at[i] < safe ? ax_key_of(b->p + at[i], len) : ax_key_at_end(b->p + at[i], len);
		w->key[i] = key;
		w->slot[i] = ax_brief_slot(key, bits);
		__builtin_prefetch(&w->brief[w->slot[i]]);
	}
}

/* The keys of pieces that have their token. */
static void name_tokens(const struct batch *b, const uint32_t *at)
{
	struct ax_bpe_work *w = b->w;

	for (size_t j = 0; j < b->n_token; j++) {
		size_t i = b->token[j].i;

		w->key[i] = ax_key_of_token(b->token[j].id, at[i + 1] - at[i]);
		w->slot[i] = ax_brief_slot(w->key[i], w->brief_bits);
	}
}

/*
 * The pieces without an entry in their own pair, which are listed, have it in the other one, or are listed still: with the
 * slot NOWHERE if the thread's own table cannot have them either.
 */
static size_t probe_other(struct ax_bpe_work *w, size_t n_miss)
{
	size_t n = 0;

	for (size_t j = 0; j < n_miss; j++)
		if (!ax_brief_pair_full(w->brief, w->slot[w->miss[j]]))
			w->slot[w->miss[j]] = NOWHERE;
		else
			__builtin_prefetch(&w->brief[ax_brief_other(w->slot[w->miss[j]])]);
	for (size_t j = 0; j < n_miss; j++) {
		uint16_t i = w->miss[j];
		uint32_t other = ax_brief_other(w->slot[i]);
		const struct ax_brief *x = w->slot[i] == NOWHERE ? NULL : ax_brief_of_pair(w->brief, other, w->key[i]);

		if (x) {
			w->slot[i] = (uint32_t)(x - w->brief);
			continue;
		}
		w->miss[n++] = i;
		if (w->slot[i] != NOWHERE && !ax_brief_pair_full(w->brief, other))
			w->slot[i] = NOWHERE;
		else if (w->slot[i] != NOWHERE)
			ax_brief_touch_own(w, w->key[i]);
	}
	return n;
}

/* Each piece's entry; those without one are listed. */
static size_t probe(struct ax_bpe_work *w, size_t k)
{
	size_t n = 0;

	for (size_t i = 0; i < k; i++) {
		const struct ax_brief *x = &w->brief[w->slot[i]];
		struct ax_key key = w->key[i];
		uint32_t second = ax_brief_is(x + 1, key);

		w->slot[i] += second;
		w->miss[n] = (uint16_t)i;
		n += !(second | ax_brief_is(x, key));
	}
	return n ? probe_other(w, n) : 0;
}

/* List what is missing, each piece once; returns how many. */
static size_t list_fresh(const struct batch *b, const uint32_t *at, size_t n_miss)
{
	struct ax_bpe_work *w = b->w;
	size_t n = 0;

	memset(w->seen, 0, sizeof(w->seen));
	for (size_t j = 0; j < n_miss; j++) {
		size_t i = w->miss[j], len = at[i + 1] - at[i], h, f;

		w->fresh_of[j] = NOT_FRESH;
		if (len > AX_KEY_BYTES || ax_key_is_token(w->key[i]) ||
		    (w->slot[i] != NOWHERE && ax_brief_find_own(w, w->key[i])))
			continue;
		h = (size_t)(ax_key_hash(w->key[i]) >> 32) % AX_BATCH;
		f = w->seen[h];
		if (!f || !ax_key_same(w->fresh_key[f - 1], w->key[i])) {
			w->fresh[n].p = b->p + at[i];
			w->fresh[n].n = len;
			w->fresh_key[n] = w->key[i];
			f = w->seen[h] = (uint16_t)++n;
		}
		w->fresh_of[j] = (uint16_t)(f - 1);
	}
	return n;
}

/* What the new pieces become; a count of 0: that is left to ax_bpe_encode_other. */
static void merge_fresh(const struct batch *b, size_t n)
{
	struct ax_bpe_work *w = b->w;
	size_t k = 0;

	for (size_t i = 0; i < n && b->m->whole; i++)
		ax_bpe_whole_touch(b->m, w->fresh_key[i]);
	for (size_t i = 0; i < n; i++) {
		struct ax_quick *x = &w->fresh[i];

		x->id[0] = b->m->whole ? ax_bpe_whole(b->m, &w->words, x->p, x->n, w->fresh_key[i]) : AX_TOK_NONE;
		x->count = x->id[0] != AX_TOK_NONE;
		if (!x->count)
			w->to_merge[k++] = x;
	}
	ax_bpe_quick_group(b->m, w->to_merge, k);
}

static void keep_fresh(const struct batch *b, const uint32_t *at, size_t n_miss, size_t n)
{
	for (size_t j = 0; j < n_miss && b->n_token; j++) {
		size_t i = b->w->miss[j];

		if (ax_key_is_token(b->w->key[i]) && at[i + 1] - at[i] <= AX_KEY_BYTES)
			ax_brief_put_token(b->w, b->w->key[i]);
	}
	for (size_t i = 0; i < n; i++)
		if (b->w->fresh[i].count)
			ax_brief_put(b->m, b->w, b->w->fresh_key[i], b->w->fresh[i].id, b->w->fresh[i].count);
}

/* The ids of an entry at once. */
typedef uint32_t ids __attribute__((vector_size(AX_BRIEF_IDS * sizeof(uint32_t))));

static inline ids ids_of(const struct ax_brief *x)
{
	ids v;

	memcpy(&v, x->id, sizeof(v));
	return v;
}

static inline void store(uint32_t *to, ids v)
{
	memcpy(to, &v, sizeof(v));
}

/* Write the ids of the entries of pieces [i, end), as long as they have up to AX_BRIEF_IDS; returns where it stopped. */
static size_t put_entries(const struct batch *b, size_t i, size_t end)
{
	const struct ax_bpe_work *w = b->w;
	uint32_t *to = b->out->id + b->out->n;

	for (; i < end; i++) {
		const struct ax_brief *x = &w->brief[w->slot[i]];

		if (ax_brief_n(x) > AX_BRIEF_IDS)
			break;
		store(to, ids_of(x) & ID_MASK);
		to += ax_brief_n(x);
	}
	b->out->n = (size_t)(to - b->out->id);
	return i;
}

/* The same with where they begin and end; `begin` gets one entry more than there is. */
static size_t put_ranges(const struct batch *b, const uint32_t *at, size_t i, size_t end)
{
	const struct ax_bpe_work *w = b->w;
	struct ax_ids *o = b->out;
	size_t n = o->n;

	for (; i < end; i++) {
		const struct ax_brief *x = &w->brief[w->slot[i]];
		uint32_t from = b->base + at[i];
		ids stop;

		if (ax_brief_n(x) > AX_BRIEF_IDS)
			break;
		stop = (ids_of(x) >> AX_BRIEF_END) + from;
		store(o->id + n, ids_of(x) & ID_MASK);
		store(o->end + n, stop);
		store(o->begin + n + 1, stop);
		o->begin[n] = from;
		n += ax_brief_n(x);
	}
	o->n = n;
	return i;
}

static int put_other(const struct batch *b, const uint32_t *at, size_t i, struct ax_err *e)
{
	return ax_bpe_encode_other(b->m, b->w, b->p + at[i], b->w->key[i], at[i + 1] - at[i], b->offsets, b->base + at[i],
				   b->out, e);
}

static int put_token(const struct batch *b, const uint32_t *at, size_t i, struct ax_err *e)
{
	struct ax_ids *o = b->out;

	AX_TRY(ax_ids_reserve(o, 1, b->offsets, e));
	if (b->offsets) {
		o->begin[o->n] = b->base + at[i];
		o->end[o->n] = b->base + at[i + 1];
	}
	o->id[o->n++] = (uint32_t)b->w->key[i].a;
	return 0;
}

/* Look for the piece of the next marked place among [i, k): mostly it is near i, or near a token. */
static void find_stop(struct batch *b, const uint32_t *at, size_t i, size_t k)
{
	const struct ax_tok_marks *m = b->marks;
	uint32_t place, t;
	size_t hi = k;

	b->stop = SIZE_MAX;
	if (!m || m->done == m->n || m->mark[m->done].at >= at[k])
		return;
	place = m->mark[m->done].at;
	for (; b->next_token < b->n_token && at[t = b->token[b->next_token].i] <= place; b->next_token++)
		i = t > i ? t : i;
	if (b->next_token < b->n_token)
		hi = b->token[b->next_token].i;
	for (size_t n = 0; n < NEAR && i + 1 < hi && at[i + 1] <= place; n++)
		i++;
	while (i + 1 < hi && at[i + 1] <= place) {
		size_t mid = i + (hi - i) / 2;

		if (at[mid] <= place)
			i = mid;
		else
			hi = mid;
	}
	b->stop = i;
}

/* A piece with its entry, or without one; or a token. */
static int put_entry(const struct batch *b, const uint32_t *at, size_t i, const struct ax_brief *x, struct ax_err *e)
{
	const uint32_t *id = NULL;
	uint32_t own[AX_BRIEF_IDS];
	size_t n = 0;

	if (ax_key_is_token(b->w->key[i]))
		return put_token(b, at, i, e);
	if (x && ax_brief_n(x) == AX_BRIEF_MANY) {
		id = ax_brief_many(b->w, x, &n);
	} else if (x) {
		store(own, ids_of(x) & ID_MASK);
		n = ax_brief_n(x);
		id = own;
	}
	return id ? ax_bpe_emit(b->m, id, n, b->offsets, b->base + at[i], b->out, e) : put_other(b, at, i, e);
}

/* The j-th piece that is missing in the shared table. */
static int put_missing(const struct batch *b, const uint32_t *at, size_t j, struct ax_err *e)
{
	const struct ax_bpe_work *w = b->w;
	size_t i = w->miss[j];
	const struct ax_quick *x = w->fresh_of[j] == NOT_FRESH ? NULL : &w->fresh[w->fresh_of[j]];

	if (x && x->count)
		return ax_bpe_emit(b->m, x->id, x->count, b->offsets, b->base + at[i], b->out, e);
	if (x) /* not a word for merge_fresh; since then it may have come */
		return put_entry(b, at, i, ax_brief_find(w, w->key[i]), e);
	return put_entry(b, at, i, at[i + 1] - at[i] <= AX_KEY_BYTES ? ax_brief_find_own(w, w->key[i]) : NULL, e);
}

/* Piece i: the j-th that is missing, or with j == KNOWN one whose entry is at its slot. */
static int put_piece(const struct batch *b, const uint32_t *at, size_t i, size_t j, struct ax_err *e)
{
	return j == KNOWN ? put_entry(b, at, i, &b->w->brief[b->w->slot[i]], e) : put_missing(b, at, j, e);
}

/* The piece b->stop comes next, in a list that ends at k: answer for places up to its begin. Is there one within? */
static bool pass_stop(struct batch *b, const uint32_t *at, size_t k)
{
	size_t i = b->stop;

	ax_marks_before(b->marks, b->out->n, at[i]);
	find_stop(b, at, i, k);
	return b->stop == i;
}

/* A marked place is within piece b->stop: its tokens tell where they begin and end. */
static int put_stop(struct batch *b, const uint32_t *at, size_t k, size_t j, struct ax_err *e)
{
	size_t i = b->stop, from = b->out->n;

	b->offsets = true;
	AX_TRY(put_piece(b, at, i, j, e));
	b->offsets = false;
	ax_marks_within(b->marks, b->out, from);
	find_stop(b, at, i + 1, k);
	return 0;
}

/* Pieces [i, end) of k, which all have entries in the shared table. */
static int put_known(struct batch *b, const uint32_t *at, size_t i, size_t end, size_t k, struct ax_err *e)
{
	while (i < end) {
		size_t to = b->stop < end ? b->stop : end;

		AX_TRY(ax_ids_reserve(b->out, (to - i + 1) * AX_BRIEF_IDS, b->offsets, e));
		i = b->offsets ? put_ranges(b, at, i, to) : put_entries(b, i, to);
		if (i < to) {
			AX_TRY(put_piece(b, at, i++, KNOWN, e));
		} else if (i < end && pass_stop(b, at, k)) {
			AX_TRY(put_stop(b, at, k, KNOWN, e));
			i++;
		}
	}
	return 0;
}

static int encode_some(struct batch *b, const uint32_t *at, size_t k, struct ax_err *e)
{
	struct ax_bpe_work *w = b->w;
	size_t n_miss, n_fresh, i = 0;

	ax_brief_refresh(w);
	look_ahead(b, at, k);
	name_tokens(b, at);
	b->next_token = 0;
	find_stop(b, at, 0, k);
	n_miss = probe(w, k);
	if (!n_miss)
		return put_known(b, at, 0, k, k, e);
	n_fresh = list_fresh(b, at, n_miss);
	merge_fresh(b, n_fresh);
	for (size_t j = 0; j < n_miss; i = w->miss[j++] + 1u) {
		AX_TRY(put_known(b, at, i, w->miss[j], k, e));
		if (w->miss[j] == b->stop && pass_stop(b, at, k))
			AX_TRY(put_stop(b, at, k, j, e));
		else
			AX_TRY(put_missing(b, at, j, e));
	}
	AX_TRY(put_known(b, at, i, k, k, e));
	keep_fresh(b, at, n_miss, n_fresh);
	return 0;
}

/* Pieces of a list that are cut finer: how far that is, and a batch of what comes of it. */
struct finer {
	const uint32_t *at; /* pieces [i, k); */
	size_t i, k;
	uint32_t from; /* the next one begins here */
	const struct ax_bpe_token *token; /* the next one */
	size_t n_token;
	uint32_t fine[AX_BATCH + 1];
	struct ax_bpe_token fine_token[AX_BATCH];
};

/* The next pieces, up to AX_BATCH, with those that look like CJK cut where no merge joins; returns how many. */
static size_t cut_finer(struct batch *b, struct finer *f)
{
	size_t n = 0;

	b->token = f->fine_token;
	b->n_token = 0;
	while (f->i < f->k && n < AX_BATCH) {
		uint32_t end = f->at[f->i + 1];
		size_t to = end;

		f->fine[n] = f->from;
		if (f->n_token && f->token->i == f->i) {
			f->fine_token[b->n_token++] = (struct ax_bpe_token){(uint32_t)n++, f->token++->id};
			f->n_token--;
		} else if (end - f->from > CUT_LONGER && (unsigned char)b->p[f->from + 1] >= 0x80) {
			n += ax_bpe_byte_cuts(b->m, b->p, f->from, end, f->fine + n, AX_BATCH - n, &to);
		} else {
			n++;
		}
		f->from = (uint32_t)to;
		f->i += to == end;
	}
	f->fine[n] = f->from;
	return n;
}

static bool is_ascii(const char *p, size_t n)
{
	uint64_t all = 0, x[4];
	size_t i = 0;

	for (; i + sizeof(x) <= n; i += sizeof(x)) {
		memcpy(x, p + i, sizeof(x));
		all |= x[0] | x[1] | x[2] | x[3];
	}
	for (; i < n; i++)
		all |= (uint64_t)(p[i] & 0x80);
	return !(all & UINT64_C(0x8080808080808080));
}

int ax_bpe_encode_pieces(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, const uint32_t *at,
			 size_t k, bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	return ax_bpe_encode_list(m, w, &(struct ax_bpe_list){p, n, at, k, NULL, 0, base, NULL}, offsets, out, e);
}

int ax_bpe_encode_list(const struct ax_bpe *m, struct ax_bpe_work *w, const struct ax_bpe_list *l, bool offsets,
		       struct ax_ids *out, struct ax_err *e)
{
	struct batch b = {m, w, l->p, l->n, offsets, l->base, out, l->token, l->n_token, l->marks, 0, 0};
	const uint32_t *at = l->at;
	struct finer f;
	size_t some;

	for (size_t i = 0, k = l->k; i < k; i += some) {
		some = k - i < AX_BATCH ? k - i : AX_BATCH;
		if (!m->byte_joins || m->ignore_merges || is_ascii(l->p + at[i], at[i + some] - at[i])) {
			AX_TRY(encode_some(&b, at + i, some, e));
			continue;
		}
		f.at = at + i;
		f.i = 0;
		f.k = some;
		f.from = at[i];
		f.token = l->token;
		f.n_token = l->n_token;
		while (f.i < f.k) {
			size_t parts = cut_finer(&b, &f);

			AX_TRY(encode_some(&b, f.fine, parts, e));
		}
	}
	return 0;
}
