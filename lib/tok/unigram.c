#include "tok/unigram.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"

#define UNK_NODE    UINT32_MAX /* one character without a piece */
#define WINDOW	    4096 /* from half so many bytes on the window is written out where no piece spans */
#define MAX_CHAR    4	 /* bytes */

void ax_unigram_release(struct ax_unigram *m)
{
	ax_vocab_release(&m->vocab);
	ax_free(m->score);
	ax_free(m->unit_score);
	ax_datrie_release(&m->trie);
	memset(m, 0, sizeof(*m));
}

int ax_unigram_work_init(struct ax_unigram_work *w, const struct ax_unigram *m, struct ax_err *e)
{
	size_t n = 16;

	memset(w, 0, sizeof(*w));
	while (n <= m->longest + MAX_CHAR)
		n *= 2;
	w->mask = n - 1;
	w->cap = WINDOW;
	w->score = ax_calloc(n, sizeof(*w->score));
	w->back = ax_malloc(w->cap * sizeof(*w->back));
	return w->score && w->back ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

void ax_unigram_work_release(struct ax_unigram_work *w)
{
	ax_free(w->score);
	ax_free(w->back);
	memset(w, 0, sizeof(*w));
}

/* One text on its way. */
struct run {
	const struct ax_unigram *m;
	struct ax_unigram_work *w;
	const char *p;
	size_t n;
	size_t lo;    /* where the window begins: back[i] is position lo + i */
	size_t reach; /* positions up to here have a score: that of the best way, or -INFINITY */
	size_t span;  /* the furthest end of a piece so far */
	size_t unk_begin, unk_end; /* unknown characters not yet written out; equal: none */
	bool offsets;
	uint32_t base;
	struct ax_ids *out;
	struct ax_err *e;
};

static inline int push(struct run *r, uint32_t id, size_t begin, size_t end)
{
	struct ax_ids *o = r->out;

	if (o->n >= o->cap || (r->offsets && o->n >= o->cap_off))
		AX_TRY(ax_ids_reserve(o, 1, r->offsets, r->e));
	if (r->offsets) {
		o->begin[o->n] = r->base + (uint32_t)begin;
		o->end[o->n] = r->base + (uint32_t)end;
	}
	o->id[o->n++] = id;
	return 0;
}

/* The unknown characters that wait, as one. */
static int push_unknown(struct run *r)
{
	const struct ax_unigram *m = r->m;
	size_t begin = r->unk_begin, end = r->unk_end;
	uint32_t id = end - begin <= m->longest ? ax_vocab_find(&m->vocab, r->p + begin, end - begin) : AX_TOK_NONE;
	bool bytes = m->byte_fallback && id == AX_TOK_NONE;

	r->unk_begin = r->unk_end = end;
	for (size_t i = begin; bytes && i < end; i++)
		bytes = m->fallback[(unsigned char)r->p[i]] != AX_TOK_NONE;
	if (!bytes)
		return push(r, id != AX_TOK_NONE ? id : m->unk, begin, end);
	for (size_t i = begin; i < end; i++)
		AX_TRY(push(r, m->fallback[(unsigned char)r->p[i]], i, i + 1));
	return 0;
}

/* How a way comes to a position: bytes of the last piece << 32 | its unit. */
static inline uint64_t step_of(size_t bytes, uint32_t node)
{
	return (uint64_t)bytes << 32 | node;
}

/* Write out the best way from the window's begin to position `to`, and begin a window there. */
static int flush(struct run *r, size_t to)
{
	uint64_t *back = r->w->back, x = back[to - r->lo], next;

	for (size_t end = to; end > r->lo;) { /* turn the pointers round */
		end -= (size_t)(x >> 32);
		next = back[end - r->lo];
		back[end - r->lo] = x;
		x = next;
	}
	for (size_t at = r->lo, end; at < to; at = end) {
		uint32_t node = (uint32_t)back[at - r->lo];

		end = at + (size_t)(back[at - r->lo] >> 32);
		if (node == UNK_NODE || (r->m->has_unk && r->m->trie.value[node] == r->m->unk)) {
			if (r->unk_begin == r->unk_end)
				r->unk_begin = at;
			r->unk_end = end;
			continue;
		}
		if (r->unk_begin < r->unk_end)
			AX_TRY(push_unknown(r));
		AX_TRY(push(r, r->m->trie.value[node], at, end));
	}
	r->lo = to;
	return 0;
}

/* Room for all ways on from `at`, which have none yet where none has come by. */
static int extend(struct run *r, size_t at)
{
	struct ax_unigram_work *w = r->w;
	size_t most = r->m->longest > MAX_CHAR ? r->m->longest : MAX_CHAR, to = r->n - at < most ? r->n : at + most;

	if (to - r->lo >= w->cap) {
		size_t cap = (to - r->lo) + (to - r->lo) / 2 + WINDOW;
		uint64_t *q = ax_realloc_array(w->back, cap, sizeof(*q));

		if (!q)
			return ax_fail(r->e, AX_EMEM, "out of memory: a piece of text without a cut is too long");
		w->back = q;
		w->cap = cap;
	}
	while (r->reach < to) /* few: a call of memset takes longer */
		w->score[++r->reach & w->mask] = -(double)INFINITY;
	return 0;
}

/* A way to position `to`: is it the best so far? Without a branch, which nobody could foretell. */
static inline bool offer(const struct run *r, size_t to, double score, uint64_t step)
{
	double *best = &r->w->score[to & r->w->mask];
	uint64_t *back = &r->w->back[to - r->lo];
	bool better = score > *best;

	*back = better ? step : *back;
	*best = better ? score : *best;
	return better;
}

/* All pieces that start at `at`, a character of `len` bytes. A unit where none ends has the score NaN, which is never better. */
static int from_here(struct run *r, size_t at, size_t len)
{
	const struct ax_unigram *m = r->m;
	double here = r->w->score[at & r->w->mask];
	bool single = false, taken;
	uint32_t node = 0;

	for (size_t i = at; i < r->n && ax_datrie_step(&m->trie, &node, (unsigned char)r->p[i]);) {
		double score = m->unit_score[node];
		bool is = score == score;

		i++;
		offer(r, i, score + here, step_of(i - at, node));
		single |= is & (i - at == len);
		r->span = is & (i > r->span) ? i : r->span;
	}
	if (single)
		return 0;
	taken = offer(r, at + len, m->unk_score + here, step_of(len, UNK_NODE));
	r->span = at + len > r->span ? at + len : r->span;
	if (taken && !m->has_unk)
		return ax_fail(r->e, AX_EDATA, "a character without a token, and the Unigram model has no unknown token");
	return 0;
}

int ax_unigram_encode(const struct ax_unigram *m, struct ax_unigram_work *w, const char *p, size_t n, bool offsets,
		      uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	struct run r = {.m = m, .w = w, .p = p, .n = n, .offsets = offsets, .base = base, .out = out, .e = e};

	w->score[0] = 0;
	for (size_t at = 0, len; at < n; at += len) {
		len = ax_utf8_len((unsigned char)p[at]);
		if (at == r.span && at - r.lo >= WINDOW / 2)
			AX_TRY(flush(&r, at));
		AX_TRY(extend(&r, at));
		AX_TRY(from_here(&r, at, len));
	}
	if (n)
		AX_TRY(flush(&r, n));
	return r.unk_begin < r.unk_end ? push_unknown(&r) : 0;
}
