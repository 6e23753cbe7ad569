/*
 * Merges of a long word. What repeats, such as a run of one letter, goes by passes over all symbols, each of which merges all
 * pairs of the lowest rank. The rest goes by lists, in time that hardly grows with its length: the pairs that merge hang in
 * lists by rank, in order of their places. Of the lowest rank the leftmost pair is merged, as always; as a merge makes pairs
 * near its own place, lists mostly grow at their ends. Where one did not, it is sorted before use.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tok/bpe_work.h"

#define NONE	  UINT32_MAX
#define MAX_SORTS 64 /* more are a case for the heap */
#define MEMO	  64
#define FEW	  8 /* one pair in so many is not worth a pass */

enum { QUEUED = 1, UNSORTED = 2 };

/* Lists of all ranks, empty between calls, and those in use as a heap. */
struct ax_ranks {
	uint32_t *head, *tail;
	unsigned char *state;
	uint32_t *queue;
	size_t n_queue, n;
	/* by symbol: rank of its pair with the next one, and its neighbours in that rank's list */
	uint32_t *rank, *after, *before;
	size_t cap, n_sort;
	/* pairs looked up last: runs ask for the same again and again */
	struct pair {
		uint32_t x, y, rank;
	} memo[MEMO];
};

void ax_ranks_free(struct ax_ranks *r)
{
	if (!r)
		return;
	ax_free(r->head);
	ax_free(r->tail);
	ax_free(r->state);
	ax_free(r->queue);
	ax_free(r->rank);
	ax_free(r->after);
	ax_free(r->before);
	ax_free(r);
}

static struct ax_ranks *new_ranks(size_t n)
{
	struct ax_ranks *r = ax_calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->n = n;
	r->head = ax_malloc((n + 1) * sizeof(*r->head));
	r->tail = ax_malloc((n + 1) * sizeof(*r->tail));
	r->queue = ax_malloc((n + 1) * sizeof(*r->queue));
	r->state = ax_calloc(n + 1, 1);
	if (!r->head || !r->tail || !r->queue || !r->state) {
		ax_ranks_free(r);
		return NULL;
	}
	memset(r->head, 0xFF, (n + 1) * sizeof(*r->head));
	return r;
}

static bool grow(uint32_t **p, size_t cap)
{
	uint32_t *q = ax_realloc_array(*p, cap, sizeof(*q));

	if (q)
		*p = q;
	return q != NULL;
}

static bool reserve(struct ax_ranks *r, struct ax_words *w)
{
	if (!grow(&w->next, w->n) || !grow(&w->prev, w->n))
		return false;
	if (w->n <= r->cap)
		return true;
	if (!grow(&r->rank, w->n) || !grow(&r->after, w->n) || !grow(&r->before, w->n))
		return false;
	r->cap = w->n;
	return true;
}

/* --- the heap of ranks --- */

static void push_rank(struct ax_ranks *r, uint32_t rank)
{
	size_t i;

	for (i = r->n_queue++; i && rank < r->queue[(i - 1) / 2]; i = (i - 1) / 2)
		r->queue[i] = r->queue[(i - 1) / 2];
	r->queue[i] = rank;
	r->state[rank] |= QUEUED;
}

static void pop_rank(struct ax_ranks *r)
{
	uint32_t x = r->queue[--r->n_queue];
	size_t i = 0, c;

	r->state[r->queue[0]] = 0;
	for (; (c = 2 * i + 1) < r->n_queue; i = c) {
		c += c + 1 < r->n_queue && r->queue[c + 1] < r->queue[c];
		if (x <= r->queue[c])
			break;
		r->queue[i] = r->queue[c];
	}
	if (r->n_queue)
		r->queue[i] = x;
}

/* --- the lists --- */

static void hang(struct ax_ranks *r, uint32_t pos, uint32_t rank)
{
	uint32_t last = r->head[rank] == NONE ? NONE : r->tail[rank];

	r->rank[pos] = rank;
	r->after[pos] = NONE;
	r->before[pos] = last;
	r->tail[rank] = pos;
	if (last == NONE) {
		r->head[rank] = pos;
		r->state[rank] &= QUEUED;
	} else {
		r->after[last] = pos;
		if (pos < last)
			r->state[rank] |= UNSORTED;
	}
	if (!(r->state[rank] & QUEUED))
		push_rank(r, rank);
}

static void unhang(struct ax_ranks *r, uint32_t pos)
{
	uint32_t rank = r->rank[pos], a = r->after[pos], b = r->before[pos];

	if (rank == NONE)
		return;
	r->rank[pos] = NONE;
	if (b == NONE)
		r->head[rank] = a;
	else
		r->after[b] = a;
	if (a == NONE)
		r->tail[rank] = b;
	else
		r->before[a] = b;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool sort(struct ax_ranks *r, uint32_t rank)
{
	size_t n = 0;
	uint32_t *all;

	for (uint32_t i = r->head[rank]; i != NONE; i = r->after[i])
		n++;
	all = ax_malloc(n * sizeof(*all));
	if (!all)
		return false;
	n = 0;
	for (uint32_t i = r->head[rank]; i != NONE; i = r->after[i])
		all[n++] = i;
	qsort(all, n, sizeof(*all), ascending);
	r->head[rank] = NONE;
	r->state[rank] &= QUEUED;
	for (size_t i = 0; i < n; i++)
		hang(r, all[i], rank);
	r->n_sort++;
	ax_free(all);
	return true;
}

/* Leave all lists empty, with symbols as they are. */
static void clear(struct ax_ranks *r)
{
	while (r->n_queue) {
		r->head[r->queue[0]] = NONE;
		pop_rank(r);
	}
}

static uint32_t rank_of(const struct ax_bpe *m, struct ax_ranks *r, uint32_t x, uint32_t y)
{
	struct pair *p = &r->memo[(x * 31 + y) % MEMO];

	if (p->x != x || p->y != y) {
		const struct ax_merge *g = ax_bpe_merge(m, x, y);

		*p = (struct pair){x, y, g ? g->rank : NONE};
	}
	return p->rank;
}

static void hang_pair(const struct ax_bpe *m, struct ax_ranks *r, const struct ax_words *w, uint32_t left, uint32_t right)
{
	uint32_t rank = rank_of(m, r, w->id[left], w->id[right]);

	if (rank != NONE)
		hang(r, left, rank);
}

/* Merge the pair at pos. */
static void join(const struct ax_bpe *m, struct ax_ranks *r, struct ax_words *w, uint32_t pos)
{
	uint32_t right = w->next[pos], behind = w->next[right], left = w->prev[pos];

	w->id[pos] = m->merge[r->rank[pos]].id;
	w->end[pos] = w->end[right];
	unhang(r, pos);
	unhang(r, right);
	w->id[right] = NONE;
	w->next[pos] = behind;
	if (left != NONE) {
		unhang(r, left);
		hang_pair(m, r, w, left, pos);
	}
	if (behind != NONE) {
		w->prev[behind] = pos;
		hang_pair(m, r, w, pos, behind);
	}
}

/* --- passes --- */

/* The lowest rank of all pairs, and how many have it. */
static uint32_t lowest(const struct ax_ranks *r, size_t n, size_t *count)
{
	uint32_t low = NONE;
	size_t k = 0;

	for (size_t i = 0; i + 1 < n; i++)
		low = r->rank[i] < low ? r->rank[i] : low;
	for (size_t i = 0; i + 1 < n; i++)
		k += r->rank[i] == low;
	*count = k;
	return low;
}

/*
 * Symbol o is new, and what follows it begins at *i: merge it with that as long as this is due first. Sets the ranks of
 * its pairs; false: its pair with the one before is due first.
 */
static bool extend(const struct ax_bpe *m, struct ax_ranks *r, struct ax_words *w, size_t o, size_t *i, uint32_t low)
{
	uint32_t left = NONE, right;

	for (;;) {
		right = *i < w->n ? rank_of(m, r, w->id[o], w->id[*i]) : NONE;
		left = o ? rank_of(m, r, w->id[o - 1], w->id[o]) : NONE;
		if (left <= low || right > low)
			break;
		w->id[o] = m->made[right];
		w->end[o] = w->end[(*i)++];
	}
	r->rank[o] = right;
	if (o)
		r->rank[o - 1] = left;
	return left > low;
}

/*
 * Merge the pairs of rank `low`, which is the lowest, from left to right, and what comes of each, as long as nothing to the
 * left is due first. Returns false where that happened: then the lists go on.
 */
static bool pass(const struct ax_bpe *m, struct ax_ranks *r, struct ax_words *w, uint32_t low)
{
	uint32_t made = m->made[low];
	size_t o = 0;
	bool ok = true;

	for (size_t i = 0; i < w->n; o++) {
		bool merge = ok && i + 1 < w->n && r->rank[i] == low;

		w->begin[o] = w->begin[i];
		w->end[o] = w->end[i + merge];
		w->id[o] = merge ? made : w->id[i];
		r->rank[o] = r->rank[i];
		i += 1 + (size_t)merge;
		if (merge)
			ok = extend(m, r, w, o, &i, low);
	}
	w->n = o;
	return ok;
}

/*
 * As long as one rank has a good part of all pairs: what repeats is short after a few passes. Returns true if no pair is
 * left to merge.
 */
static bool merge_passes(const struct ax_bpe *m, struct ax_ranks *r, struct ax_words *w)
{
	uint32_t low;
	size_t count;
	bool ok = true;

	for (size_t i = 0; i + 1 < w->n; i++)
		r->rank[i] = rank_of(m, r, w->id[i], w->id[i + 1]);
	while (ok && w->n > 1) {
		low = lowest(r, w->n, &count);
		if (low == NONE)
			return true;
		if (count * FEW < w->n)
			break;
		ok = pass(m, r, w, low);
	}
	return w->n < 2;
}

bool ax_bpe_merge_run(const struct ax_bpe *m, struct ax_words *w)
{
	struct ax_ranks *r = w->ranks ? w->ranks : (w->ranks = new_ranks(m->n_merge));
	size_t n = w->n, out = 0;
	bool ok = r && reserve(r, w);

	if (!ok)
		return false;
	r->n_sort = 0;
	memset(r->memo, 0xFF, sizeof(r->memo));
	if (merge_passes(m, r, w))
		return true;
	n = w->n;
	for (size_t i = 0; i < n; i++) {
		w->next[i] = i + 1 < n ? (uint32_t)(i + 1) : NONE;
		w->prev[i] = i ? (uint32_t)(i - 1) : NONE;
		r->rank[i] = NONE;
	}
	for (size_t i = 0; i + 1 < n; i++)
		hang_pair(m, r, w, (uint32_t)i, (uint32_t)(i + 1));
	while (ok && r->n_queue) {
		uint32_t rank = r->queue[0];

		if (r->head[rank] == NONE)
			pop_rank(r);
		else if (r->state[rank] & UNSORTED)
			ok = r->n_sort < MAX_SORTS + n / 1024 && sort(r, rank);
		else
			join(m, r, w, r->head[rank]);
	}
	clear(r);
	for (size_t i = 0; i < n; i++)
		if (w->id[i] != NONE) {
			w->id[out] = w->id[i];
			w->begin[out] = w->begin[i];
			w->end[out++] = w->end[i];
		}
	w->n = out;
	return ok;
}
