/*
 * Which packs form which batch, and which data rank runs which of them. Pure functions of (seed, number of packs, global
 * batch, step): never of ranks or history, so any number of ranks sees one order and the resume state is one integer,
 * the packs consumed.
 *
 *	struct ax_order o = { .seed = 42, .n_pack = n, .global_batch = 64 };
 *	ax_order_batch(&o, consumed, &b);                 // b.epoch, b.n packs; position i: ax_order_pack(&o, &b, i)
 *	... cost[i] from the index ...
 *	ax_order_assign(cost, b.n, n_rank, micro, slot, e); // who runs what
 *	consumed += b.n;
 */
#ifndef AX_DATA_ORDER_H
#define AX_DATA_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct ax_order {
	uint64_t seed;
	uint64_t n_pack;
	uint64_t global_batch; /* packs a step, >= 1; a batch never crosses an epoch, so the last of an epoch may be short */
	bool sequential;       /* curriculum_sampling: no shuffle */
};

struct ax_batch {
	uint64_t step;  /* from 0 */
	uint64_t epoch; /* from 0 */
	uint64_t pos;   /* position of its first pack inside the epoch */
	uint64_t n;     /* packs: global_batch, or fewer at the end of an epoch */
};

/* ceil(n_pack / global_batch); 0 without packs. */
uint64_t ax_order_steps(const struct ax_order *o);
/* Packs consumed before step s. */
uint64_t ax_order_consumed(const struct ax_order *o, uint64_t step);
/* The batch that starts after `consumed` packs; AX_EDATA if that is not a batch border (a damaged resume state). */
int ax_order_batch(const struct ax_order *o, uint64_t consumed, struct ax_batch *b, struct ax_err *e);
/* Index of the batch's i-th pack in [0, n_pack). Every pack once an epoch. */
uint64_t ax_order_pack(const struct ax_order *o, const struct ax_batch *b, uint64_t i);

#define AX_SLOT_NONE UINT32_MAX

/* Micro-batches that every rank runs for a batch of n packs: ceil(n / (n_rank * micro)). */
uint32_t ax_order_micros(uint64_t n, uint32_t n_rank, uint32_t micro);
/*
 * Distribute a batch of n packs with attention costs cost[n] over ranks and micro-batches. slot has
 * ax_order_micros() * n_rank * micro elements: slot[(k * n_rank + r) * micro + j] is the batch position (< n) that rank
 * r runs as number j of micro-batch k, or AX_SLOT_NONE. Packs of similar cost run at the same time (all ranks wait for
 * each other in a micro-batch), and inside a micro-batch the longest goes to the rank with the least work so far.
 * Changes which rank computes a pack, never the gradient.
 */
int ax_order_assign(const uint64_t *cost, uint32_t n, uint32_t n_rank, uint32_t micro, uint32_t *slot,
		    struct ax_err *e);

#endif
