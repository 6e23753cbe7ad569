/* Words without a cache: first symbols, then merges by rank. */
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/bpe_work.h"

#define RUN_MIN	 256 /* from so many on by lists */
#define SCAN_MAX 40  /* up to so many symbols the best merge is found by looking at all */

struct heap_item {
	uint32_t rank, pos, id, right; /* right: the position of the right symbol when this was found */
};

void ax_words_release(struct ax_words *w)
{
	ax_free(w->id);
	ax_free(w->begin);
	ax_free(w->end);
	ax_free(w->next);
	ax_free(w->prev);
	ax_free(w->heap);
	ax_ranks_free(w->ranks);
	ax_buf_release(&w->spelled);
	memset(w, 0, sizeof(*w));
}

static bool grow(uint32_t **p, size_t cap)
{
	uint32_t *q = ax_realloc_array(*p, cap, sizeof(*q));

	if (q)
		*p = q;
	return q != NULL;
}

static int reserve_symbols(struct ax_words *w, size_t n, struct ax_err *e)
{
	size_t cap;

	if (w->n + n <= w->cap)
		return 0;
	cap = w->cap + w->cap / 2 + n + 64;
	if (cap >= UINT32_MAX || !grow(&w->id, cap) || !grow(&w->begin, cap) || !grow(&w->end, cap))
		return ax_fail(e, AX_EMEM, "out of memory: a piece of text without a cut is too long");
	w->cap = cap;
	return 0;
}

static void push_symbol(struct ax_words *w, uint32_t id, size_t begin, size_t end)
{
	w->id[w->n] = id;
	w->begin[w->n] = (uint32_t)begin;
	w->end[w->n++] = (uint32_t)end;
}

/* Id of the first symbol at p[i..i + len), and in *spelled its string where a prefix or suffix was put on. */
static uint32_t symbol_id(const struct ax_bpe *m, struct ax_words *w, const char *p, size_t n, size_t i, size_t *len,
			  struct ax_slice *spelled)
{
	bool first = i == 0, last;
	uint32_t c;

	if (m->byte_level) {
		*len = 1;
		*spelled = (struct ax_slice){p + i, 1};
		return m->byte_id[(unsigned char)p[i]];
	}
	c = ax_utf8_get((const unsigned char *)p + i, len);
	last = i + *len == n;
	*spelled = (struct ax_slice){p + i, *len};
	if ((first || !m->prefix) && (!last || !m->suffix))
		return ax_bpe_char(m, c);
	ax_buf_reset(&w->spelled);
	if (!first && m->prefix)
		ax_buf_adds(&w->spelled, m->prefix);
	ax_buf_add(&w->spelled, p + i, *len);
	if (last && m->suffix)
		ax_buf_adds(&w->spelled, m->suffix);
	*spelled = (struct ax_slice){w->spelled.p, w->spelled.n};
	return ax_vocab_find(&m->vocab, w->spelled.p, w->spelled.n);
}

/* Put <0xNN> tokens for the bytes of a symbol; false if one of them does not exist. */
static bool fall_back(const struct ax_bpe *m, struct ax_words *w, struct ax_slice s, size_t at, size_t len)
{
	for (size_t k = 0; k < s.n; k++)
		if (m->fallback[(unsigned char)s.p[k]] == AX_TOK_NONE)
			return false;
	for (size_t k = 0; k < s.n; k++)
		push_symbol(w, m->fallback[(unsigned char)s.p[k]], at + (k < len ? k : len),
			    at + (k + 1 < len ? k + 1 : len));
	return true;
}

/*
 * The first symbols of a word. As in Hugging Face's code, an unknown character waits until a known one or the end: the
 * byte tokens of a character in between come before it.
 */
static int first_symbols(const struct ax_bpe *m, struct ax_words *w, const char *p, size_t n, struct ax_err *e)
{
	size_t affix = (m->prefix ? strlen(m->prefix) : 0) + (m->suffix ? strlen(m->suffix) : 0);
	size_t len, unk_begin = 0, unk_end = 0;
	bool unk = false;

	w->n = 0;
	if (m->byte_joins) { /* each byte has its token */
		AX_TRY(reserve_symbols(w, n, e));
		for (size_t i = 0; i < n; i++)
			push_symbol(w, m->byte_id[(unsigned char)p[i]], i, i + 1);
		return 0;
	}
	for (size_t i = 0; i < n; i += len) {
		struct ax_slice s;
		uint32_t id = symbol_id(m, w, p, n, i, &len, &s);

		AX_TRY(reserve_symbols(w, 6 + affix, e)); /* this character and a waiting one */
		if (id != AX_TOK_NONE) {
			if (unk)
				push_symbol(w, m->unk, unk_begin, unk_end);
			unk = false;
			push_symbol(w, id, i, i + len);
			continue;
		}
		if (m->byte_fallback && fall_back(m, w, s, i, len))
			continue;
		if (!m->unk_token)
			continue; /* dropped: its neighbours may merge */
		if (m->unk == AX_TOK_NONE)
			return ax_fail(
			    e, AX_EDATA,
			    "a character without a token, and the unknown token \"%s\" is not in the vocabulary",
			    m->unk_token);
		if (unk && !m->fuse_unk)
			push_symbol(w, m->unk, unk_begin, unk_end);
		if (!unk || !m->fuse_unk)
			unk_begin = i;
		unk_end = i + len;
		unk = true;
	}
	if (unk)
		push_symbol(w, m->unk, unk_begin, unk_end);
	return 0;
}

/* Merge a short word: keep every pair's merge in an array and take the best, the leftmost of equal ones. */
static void merge_by_scan(const struct ax_bpe *m, struct ax_words *w)
{
	const struct ax_merge *best[SCAN_MAX];
	size_t n = w->n;

	for (size_t i = 0; i + 1 < n; i++)
		best[i] = ax_bpe_merge(m, w->id[i], w->id[i + 1]);
	for (;;) {
		uint32_t rank = UINT32_MAX;
		size_t at = 0;

		for (size_t i = 0; i + 1 < n; i++)
			if (best[i] && best[i]->rank < rank) {
				rank = best[i]->rank;
				at = i;
			}
		if (rank == UINT32_MAX)
			break;
		w->id[at] = best[at]->id;
		w->end[at] = w->end[at + 1];
		n--;
		for (size_t i = at + 1; i < n; i++) {
			w->id[i] = w->id[i + 1];
			w->begin[i] = w->begin[i + 1];
			w->end[i] = w->end[i + 1];
			best[i - 1] = best[i];
		}
		if (at + 1 < n)
			best[at] = ax_bpe_merge(m, w->id[at], w->id[at + 1]);
		if (at > 0)
			best[at - 1] = ax_bpe_merge(m, w->id[at - 1], w->id[at]);
	}
	w->n = n;
}

static bool before(const struct heap_item *a, const struct heap_item *b)
{
	return a->rank != b->rank ? a->rank < b->rank : a->pos < b->pos;
}

static void sift_down(struct heap_item *h, size_t n, size_t i)
{
	struct heap_item x = h[i];

	for (;;) {
		size_t c = 2 * i + 1;

		if (c >= n)
			break;
		if (c + 1 < n && before(&h[c + 1], &h[c]))
			c++;
		if (!before(&h[c], &x))
			break;
		h[i] = h[c];
		i = c;
	}
	h[i] = x;
}

/* Note the merge of the symbols at positions pos and right, if there is one. False: out of memory. */
static bool heap_push(struct ax_words *w, const struct ax_merge *g, uint32_t pos, uint32_t right)
{
	struct heap_item x;
	size_t i;

	if (!g)
		return true;
	if (!AX_GROW(w->heap, w->n_heap, w->cap_heap))
		return false;
	x = (struct heap_item){g->rank, pos, g->id, right};
	for (i = w->n_heap++; i && before(&x, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = x;
	return true;
}

#define DEAD UINT32_MAX

/* Is the pair of an item still there: both symbols alive, adjacent, and merging to the same token? */
static const struct ax_merge *still(const struct ax_bpe *m, const struct ax_words *w, const struct heap_item *x)
{
	const struct ax_merge *g;

	if (w->id[x->pos] == DEAD || w->next[x->pos] != x->right)
		return NULL;
	g = ax_bpe_merge(m, w->id[x->pos], w->id[x->right]);
	return g && g->id == x->id ? g : NULL;
}

static int merge_by_heap(const struct ax_bpe *m, struct ax_words *w, struct ax_err *e)
{
	size_t n = w->n, out = 0;
	bool ok = grow(&w->next, n) && grow(&w->prev, n);

	w->n_heap = 0;
	for (size_t i = 0; ok && i < n; i++) {
		w->next[i] = i + 1 < n ? (uint32_t)(i + 1) : DEAD;
		w->prev[i] = i ? (uint32_t)(i - 1) : DEAD;
		if (i + 1 < n) {
			const struct ax_merge *g = ax_bpe_merge(m, w->id[i], w->id[i + 1]);

			ok = !g || AX_GROW(w->heap, w->n_heap, w->cap_heap);
			if (ok && g)
				w->heap[w->n_heap++] =
				    (struct heap_item){g->rank, (uint32_t)i, g->id, (uint32_t)(i + 1)};
		}
	}
	for (size_t i = w->n_heap / 2; ok && i-- > 0;)
		sift_down(w->heap, w->n_heap, i);
	while (ok && w->n_heap) {
		struct heap_item x = w->heap[0];
		uint32_t next;

		w->heap[0] = w->heap[--w->n_heap];
		if (w->n_heap)
			sift_down(w->heap, w->n_heap, 0);
		if (!still(m, w, &x))
			continue;
		next = w->next[x.right];
		w->id[x.pos] = x.id;
		w->end[x.pos] = w->end[x.right];
		w->id[x.right] = DEAD;
		w->next[x.pos] = next;
		if (next != DEAD) {
			w->prev[next] = x.pos;
			ok = heap_push(w, ax_bpe_merge(m, x.id, w->id[next]), x.pos, next);
		}
		if (ok && w->prev[x.pos] != DEAD)
			ok = heap_push(w, ax_bpe_merge(m, w->id[w->prev[x.pos]], x.id), w->prev[x.pos], x.pos);
	}
	if (!ok)
		return ax_fail(e, AX_EMEM, "out of memory: a piece of text without a cut is too long");
	for (size_t i = 0; i < n; i++)
		if (w->id[i] != DEAD) {
			w->id[out] = w->id[i];
			w->begin[out] = w->begin[i];
			w->end[out++] = w->end[i];
		}
	w->n = out;
	return 0;
}

/* The whole piece as one token: what ignore_merges asks first. */
uint32_t ax_bpe_whole_long(const struct ax_bpe *m, struct ax_words *w, const char *p, size_t n)
{
	if (n > m->longest)
		return AX_TOK_NONE;
	if (!m->byte_level)
		return ax_vocab_find(&m->vocab, p, n);
	ax_buf_reset(&w->spelled);
	for (size_t i = 0; i < n; i++)
		ax_buf_add(&w->spelled, m->spell[(unsigned char)p[i]], m->spell[(unsigned char)p[i]][1] ? 2 : 1);
	return w->spelled.oom ? AX_TOK_NONE : ax_vocab_find(&m->vocab, w->spelled.p, w->spelled.n);
}

int ax_bpe_merges(const struct ax_bpe *m, struct ax_words *w, const char *p, size_t n, struct ax_err *e)
{
	AX_TRY(first_symbols(m, w, p, n, e));
	if (w->n > RUN_MIN && ax_bpe_merge_run(m, w))
		return 0;
	if (w->n > SCAN_MAX)
		return merge_by_heap(m, w, e);
	merge_by_scan(m, w);
	return 0;
}
