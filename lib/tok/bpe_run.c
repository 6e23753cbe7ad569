/*
 * Merges of a long word, in time that hardly grows with its length: the pairs that merge hang in lists by rank, in order of
 * their places. Of the lowest rank the leftmost pair is merged, as always; as a merge makes pairs near its own place, lists
 * mostly grow at their ends. Where one did not, it is sorted before use.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tok/bpe_work.h"

#define NONE	  UINT32_MAX
#define MAX_SORTS 64 /* more are a case for the heap */

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
	/* the last pair looked up: runs ask for it again and again */
	uint32_t x, y;
	const struct ax_merge *found;
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

static void hang_pair(const struct ax_bpe *m, struct ax_ranks *r, const struct ax_words *w, uint32_t left, uint32_t right)
{
	uint32_t x = w->id[left], y = w->id[right];

	if (x != r->x || y != r->y) {
		r->found = ax_bpe_merge(m, x, y);
		r->x = x;
		r->y = y;
	}
	if (r->found)
		hang(r, left, r->found->rank);
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

bool ax_bpe_merge_run(const struct ax_bpe *m, struct ax_words *w)
{
	struct ax_ranks *r = w->ranks ? w->ranks : (w->ranks = new_ranks(m->n_merge));
	size_t n = w->n, out = 0;
	bool ok = r && reserve(r, w);

	if (!ok)
		return false;
	r->n_sort = 0;
	r->x = NONE;
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
