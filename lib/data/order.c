#include "data/order.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

uint64_t ax_order_steps(const struct ax_order *o)
{
	return o->n_pack / o->global_batch + (o->n_pack % o->global_batch != 0);
}

uint64_t ax_order_consumed(const struct ax_order *o, uint64_t step)
{
	uint64_t steps = ax_order_steps(o), in_epoch;

	if (!steps)
		return 0;
	in_epoch = step % steps * o->global_batch;
	return step / steps * o->n_pack + in_epoch;
}

int ax_order_batch(const struct ax_order *o, uint64_t consumed, struct ax_batch *b, struct ax_err *e)
{
	uint64_t left;

	if (!o->n_pack || !o->global_batch)
		return ax_fail(e, AX_EDATA, "no packs to train on");
	b->epoch = consumed / o->n_pack;
	b->pos = consumed % o->n_pack;
	if (b->pos % o->global_batch)
		return ax_fail(e, AX_EDATA, "%llu packs consumed is no border of batches of %llu packs",
			       (unsigned long long)consumed, (unsigned long long)o->global_batch);
	left = o->n_pack - b->pos;
	b->n = left < o->global_batch ? left : o->global_batch;
	b->step = b->epoch * ax_order_steps(o) + b->pos / o->global_batch;
	return 0;
}

uint64_t ax_order_pack(const struct ax_order *o, const struct ax_batch *b, uint64_t i)
{
	return o->sequential ? b->pos + i : ax_permute(o->seed, b->epoch, o->n_pack, b->pos + i);
}

uint32_t ax_order_micros(uint64_t n, uint32_t n_rank, uint32_t micro)
{
	uint64_t wide = (uint64_t)n_rank * micro;

	return (uint32_t)(n / wide + (n % wide != 0));
}

struct job {
	uint64_t cost;
	uint32_t pos;
};

/* Longest first; equal costs by position, so that the result does not depend on the sort. */
static int by_cost(const void *x, const void *y)
{
	const struct job *a = x, *b = y;

	if (a->cost != b->cost)
		return a->cost > b->cost ? -1 : 1;
	return a->pos < b->pos ? -1 : 1;
}

/* The rank with the least work that has a free place in this micro-batch. */
static uint32_t lightest(const uint64_t *load, const uint32_t *used, uint32_t n_rank, uint32_t micro)
{
	uint32_t best = AX_SLOT_NONE;

	for (uint32_t r = 0; r < n_rank; r++)
		if (used[r] < micro && (best == AX_SLOT_NONE || load[r] < load[best]))
			best = r;
	return best;
}

int ax_order_assign(const uint64_t *cost, uint32_t n, uint32_t n_rank, uint32_t micro, uint32_t *slot, struct ax_err *e)
{
	uint32_t micros = ax_order_micros(n, n_rank, micro), wide = n_rank * micro;
	struct job *job = ax_calloc(n, sizeof(*job));
	uint64_t *load = ax_calloc(n_rank, sizeof(*load));
	uint32_t *used = ax_calloc(n_rank, sizeof(*used));
	int rc = job && load && used ? 0 : ax_fail(e, AX_EMEM, "out of memory for a batch");

	if (rc)
		goto out;
	for (uint32_t i = 0; i < n; i++)
		job[i] = (struct job){cost[i], i};
	qsort(job, n, sizeof(*job), by_cost);
	for (size_t i = 0; i < (size_t)micros * wide; i++)
		slot[i] = AX_SLOT_NONE;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = i / wide, r;

		if (i % wide == 0)
			memset(used, 0, n_rank * sizeof(*used));
		r = lightest(load, used, n_rank, micro);
		slot[((size_t)k * n_rank + r) * micro + used[r]++] = job[i].pos;
		load[r] += job[i].cost;
	}
out:
	ax_free(job);
	ax_free(load);
	ax_free(used);
	return rc;
}
