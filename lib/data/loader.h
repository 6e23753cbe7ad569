/*
 * Packs of a shard folder in training order, for one data rank.
 *
 *	struct ax_loader *l;
 *	AX_TRY(ax_loader_open(&l, dir, e));
 *	ax_loader_set(l, AX_SPLIT_TRAIN, &order, rank, n_rank, micro, e);      // order.n_pack is filled in
 *	while (...) {
 *		ax_loader_step(l, consumed, &st, e);                            // st.batch, st.trained: the loss denominator
 *		for (k = 0; k < st.n_micro; k++)
 *			for (j = 0; j < ax_loader_micro_packs(l, k); j++)       // 0: an empty micro-batch
 *				ax_loader_pack(l, k, j, &pack, e);
 *		consumed += st.batch.n;
 *	}
 *	ax_loader_close(l);
 *
 * Evaluation: ax_loader_set with order.sequential and split AX_SPLIT_EVAL runs every eval pack once, in order. A folder
 * may hold any number of shard files; any number of ranks reads it. Packs are verified as they are read.
 */
#ifndef AX_DATA_LOADER_H
#define AX_DATA_LOADER_H

#include "data/order.h"
#include "fmt/shard.h"

struct ax_loader;

struct ax_loader_step {
	struct ax_batch batch;
	uint32_t n_micro;  /* micro-batches that every rank runs */
	uint64_t trained;  /* trained tokens of the whole global batch, all ranks */
	uint64_t tokens;   /* tokens of the whole global batch */
	uint64_t docs_max; /* most documents in one pack of the batch */
};

int ax_loader_open(struct ax_loader **l, const char *dir, struct ax_err *e);
/* The folder: header, counts, totals; also ax_shards_entry and ax_shards_read for direct access. */
struct ax_shards *ax_loader_shards(struct ax_loader *l);
uint64_t ax_loader_packs(const struct ax_loader *l, int split);
/* Most documents in any pack of the split (reads the whole index once); for sizing. */
int ax_loader_max_docs(struct ax_loader *l, int split, uint32_t *max, struct ax_err *e);

int ax_loader_set(struct ax_loader *l, int split, const struct ax_order *o, uint32_t rank, uint32_t n_rank,
		  uint32_t micro, struct ax_err *e);
/* Plan the batch after `consumed` packs of the split, and ask the system to read this rank's packs ahead. */
int ax_loader_step(struct ax_loader *l, uint64_t consumed, struct ax_loader_step *st, struct ax_err *e);
/* This rank's packs in micro-batch k, 0 .. micro. */
uint32_t ax_loader_micro_packs(const struct ax_loader *l, uint32_t k);
/* Read pack j of micro-batch k; valid until the next read. */
int ax_loader_pack(struct ax_loader *l, uint32_t k, uint32_t j, struct ax_pack *p, struct ax_err *e);
void ax_loader_close(struct ax_loader *l);

#endif
