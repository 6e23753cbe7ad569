#include "tok/unigram.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"

#define UNSET	    UINT32_MAX
#define UNK_NODE    (UINT32_MAX - 1) /* one character without a piece */
#define WINDOW	    4096 /* from so many bytes on the window is written out where no piece spans */

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
	while (n <= m->longest + 4u)
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
	size_t lo;    /* where the window begins: back[i] is position lo + i */
	size_t reach; /* positions up to here have a best way, or are marked unset */
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

/* Bytes of the piece that a back pointer names. */
static inline size_t node_bytes(const struct ax_unigram *m, uint32_t node)
{
	return m->vocab.str[m->trie.value[node]].n;
}

/* Write out the best way from the window's begin to position `to`, and begin a window there. */
static int flush(struct run *r, size_t to)
{
	uint32_t *back = r->w->back, node = back[to - r->lo];

	for (size_t end = to; end > r->lo;) { /* turn the pointers round */
		size_t at = end;
		uint32_t next;

		if (node == UNK_NODE)
			do
				at--;
			while ((r->p[at] & 0xC0) == 0x80);
		else
			at -= node_bytes(r->m, node);
		next = back[at - r->lo];
		back[at - r->lo] = node;
		node = next;
		end = at;
	}
	for (size_t at = r->lo, end; at < to; at = end) {
		node = back[at - r->lo];
		end = at + (node == UNK_NODE ? ax_utf8_len((unsigned char)r->p[at]) : node_bytes(r->m, node));
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
	back[0] = UNSET;
	return 0;
}

/* Mark positions up to `to` as without a way. */
static int extend(struct run *r, size_t to)
{
	struct ax_unigram_work *w = r->w;

	if (to - r->lo >= w->cap) {
		size_t cap = (to - r->lo) + (to - r->lo) / 2 + WINDOW;
		uint32_t *q = ax_realloc_array(w->back, cap, sizeof(*q));

		if (!q)
			return ax_fail(r->e, AX_EMEM, "out of memory: a piece of text without a cut is too long");
		w->back = q;
		w->cap = cap;
	}
	while (r->reach < to) /* few: a call of memset takes longer */
		w->back[++r->reach - r->lo] = UNSET;
	return 0;
}

/* Ways that end with the piece `node` at position `to`: is this one the best so far? */
static inline int offer(struct run *r, size_t to, double score, uint32_t node, bool *taken)
{
	double *best = &r->w->score[to & r->w->mask];
	uint32_t *back;

	if (to > r->reach)
		AX_TRY(extend(r, to));
	back = &r->w->back[to - r->lo];
	*taken = *back == UNSET || score > *best;
	if (*taken) {
		*best = score;
		*back = node;
	}
	return 0;
}

/* All pieces that start at `at`. */
static int from_here(struct run *r, size_t at, size_t n)
{
	const struct ax_unigram *m = r->m;
	size_t len = ax_utf8_len((unsigned char)r->p[at]);
	double here = r->w->score[at & r->w->mask];
	bool single = false, taken;
	uint32_t node = 0;

	for (size_t i = at; i < n && ax_datrie_step(&m->trie, &node, (unsigned char)r->p[i]);) {
		double score = m->unit_score[node];

		i++;
		if (isnan(score))
			continue;
		AX_TRY(offer(r, i, score + here, node, &taken));
		single |= i - at == len;
	}
	if (single)
		return 0;
	AX_TRY(offer(r, at + len, m->unk_score + here, UNK_NODE, &taken));
	if (taken && !m->has_unk)
		return ax_fail(r->e, AX_EDATA, "a character without a token, and the Unigram model has no unknown token");
	return 0;
}

int ax_unigram_encode(const struct ax_unigram *m, struct ax_unigram_work *w, const char *p, size_t n, bool offsets,
		      uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	struct run r = {.m = m, .w = w, .p = p, .offsets = offsets, .base = base, .out = out, .e = e};

	w->score[0] = 0;
	w->back[0] = UNSET;
	for (size_t at = 0; at < n; at += ax_utf8_len((unsigned char)p[at])) {
		if (at == r.reach && at - r.lo >= WINDOW / 2)
			AX_TRY(flush(&r, at));
		AX_TRY(from_here(&r, at, n));
	}
	if (n)
		AX_TRY(flush(&r, n));
	return r.unk_begin < r.unk_end ? push_unknown(&r) : 0;
}
