/*
 * Who holds which slice of the weights, and when it moves: the strategy behind the model's hooks.
 *
 *	struct ax_dist *s;
 *	struct ax_dist_sizes z;
 *	ax_dist_sizes(&units, &opt, comm->n_rank, &z);                  // pure: nothing is allocated
 *	AX_TRY(ax_dist_open(&s, comm, wire, dev, &units, &opt, e));     // one block a role
 *	AX_TRY(ax_dist_load(s, AX_PART_MASTER, source, ctx, e));        // reads this rank's own slices only
 *	hooks = ax_dist_hooks(s);
 *	for each step:
 *		AX_TRY(ax_dist_begin_step(s, step, e));                 // gradients = 0
 *		for each micro-batch i of n:
 *			AX_TRY(ax_dist_begin_micro(s, i == n - 1, e));
 *			AX_TRY(ax_model_step(m, &mb, &hooks, scale, &loss, e));
 *			AX_TRY(ax_dist_end_micro(s, e));
 *		AX_TRY(ax_dist_finish_grads(s, e));                     // every rank has its share of the sum
 *		AX_TRY(ax_dist_grad_norm(s, &norm, e));
 *		AX_TRY(ax_dist_update(s, &update, e));
 *	AX_TRY(ax_model_eval(m, &mb, &hooks, &loss, NULL, e));          // between steps, as often as you like
 *	ax_dist_close(s);
 *
 * One mechanism serves all strategies; a table (layout.c) says for each what is sharded and when it is moved:
 *
 *	          masters, moments   gradients                                    weights (compute dtype)
 *	DDP       whole              whole; all-reduced once a step               whole, resident
 *	FSDP      1/n                reduce-scattered every micro-batch into      gathered unit by unit before use; two
 *	                             slices                                       buffers, so that the next one overlaps
 *
 * FSDP without reshard_after_forward keeps what it gathered until the next update. On one rank FSDP is DDP.
 *
 * Precision of the state (struct ax_dist_opt): masters f32, or those of the compute dtype, which then are the weights
 * themselves; moments f32, bf16 or 8-bit codes with a scale for each 256 elements. What is coarser than f32 is rounded
 * stochastically by (seed, update, logical index) (tensor/round.h): the same bits under every strategy and number of ranks.
 *
 * Gradients are f32, or bf16 where that is the compute dtype: the sums of micro-batches, what is in flight and what travels, each
 * sum rounded to nearest (tensor/ops.h says why, comm/comm.h what the wires do). Norm, clipping and update read them as they
 * are. Where f32 gives nearly the same for any strategy and number of ranks, bf16 does to its own precision: FSDP rounds once a
 * micro-batch and rank more than DDP.
 *
 * Invariants. All ranks call the same functions and run the same number of micro-batches in a step, in the same order:
 * a rank without a pack runs one that has no segments. (DDP alone would allow to skip it; do not.) Sums over ranks are
 * taken in rank order, so n ranks give the same bits in every run. The weights that the model sees are the f32 masters
 * rounded to nearest even: of all strategies the same. Unit 0 may be acquired several times in a micro-batch (tied
 * embeddings); its gradient is reduced once, at ax_dist_end_micro. Padding between parameters is zero, is never counted
 * in a norm and never written to a checkpoint.
 *
 * Errors: AX_ECOMM from communication, AX_EMEM, AX_ECHECK if the hooks are called out of order.
 */
#ifndef AX_DIST_DIST_H
#define AX_DIST_DIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "comm/comm.h"
#include "model/unit.h"
#include "tensor/ops.h"

enum ax_strategy { AX_DDP, AX_FSDP, AX_N_STRATEGY };

const char *ax_strategy_name(enum ax_strategy s); /* "ddp", "fsdp" */

struct ax_dist_opt {
	enum ax_strategy strategy;
	enum ax_dtype act;          /* of the weights that the model sees: AX_BF16 or AX_F32; = dev->act */
	bool reshard_after_forward; /* FSDP: true frees a unit after use; false keeps it until the update */
	bool train;                 /* false: forward only; no moments, no gradients */
	enum ax_dtype master;       /* AX_F32, or AX_BF16 where act is that: no masters beside the weights */
	enum ax_dtype moments;      /* AX_F32, AX_BF16 or AX_Q8 */
	enum ax_dtype grads;        /* AX_F32, or AX_BF16 where act is that; = dev->grad */
};

/* Bytes on each rank, by role; every rank has the same. */
struct ax_dist_sizes {
	size_t master_bytes;      /* masters */
	size_t moment_bytes;      /* first and second moment, with their scales */
	size_t grad_bytes;        /* accumulated gradients: whole (DDP) or slices (FSDP) */
	size_t weight_bytes;      /* weights in the compute dtype: whole, or gather buffers; 0 if the masters serve */
	size_t grad_buffer_bytes; /* FSDP: whole gradients of the units in flight */
	size_t comm_bytes;        /* upper bound of what the communicator takes for sums and staging */
	size_t total_bytes;
};

/* Pure. AX_EMEM on overflow, AX_EUSAGE for types that do not go together. */
int ax_dist_sizes(const struct ax_units *u, const struct ax_dist_opt *o, int n_rank, struct ax_dist_sizes *z,
		  struct ax_err *e);

struct ax_dist;

/*
 * comm moves what lies in the host's memory, wire what lies in the device's (ax_dev_wire; on the CPU they are one). Both,
 * dev and u must outlive s.
 */
int ax_dist_open(struct ax_dist **s, struct ax_comm *comm, struct ax_comm *wire, struct ax_dev *dev,
		 const struct ax_units *u, const struct ax_dist_opt *o, struct ax_err *e);
/* After an error: waits 5 s at most for what is in flight. NULL is allowed. */
void ax_dist_close(struct ax_dist *s);

/* For ax_model_step and ax_model_eval. */
struct ax_unit_hooks ax_dist_hooks(struct ax_dist *s);

/*
 * What is kept for each element; of scales there is one for each block of AX_Q8_BLOCK elements, and only where moments are
 * AX_Q8. Gradients: between ax_dist_finish_grads and the next ax_dist_begin_step.
 */
enum ax_part { AX_PART_MASTER, AX_PART_M, AX_PART_V, AX_PART_M_SCALE, AX_PART_V_SCALE, AX_PART_GRAD, AX_N_PART };

const char *ax_part_name(enum ax_part p); /* "master", "m", "v", "m_scale", "v_scale", "grad" */
/* How many values a part has for n elements that begin at a block. */
size_t ax_part_elems(enum ax_part p, size_t n);

/*
 * Elements [off, off + n) (row-major) of parameter `param` as f32 into dst (host memory). Called for the ranges that
 * this rank holds, ascending by parameter and offset, in pieces of at most AX_DIST_PIECE elements.
 */
typedef int (*ax_dist_source)(void *ctx, int param, size_t off, size_t n, float *dst, struct ax_err *e);
#define AX_DIST_PIECE ((size_t)1 << 20)

/*
 * Fill a part from a source: masters from safetensors, an initialiser or a checkpoint; moments (with their scales) from a
 * checkpoint. Where the part is kept in less than f32 it is rounded to nearest: values that came out of such a part go in again
 * as they were.
 */
int ax_dist_load(struct ax_dist *s, enum ax_part part, ax_dist_source source, void *ctx, struct ax_err *e);

/* `step` is for messages of the communicator and the watchdog. */
int ax_dist_begin_step(struct ax_dist *s, uint64_t step, struct ax_err *e);
/* `last`: no further micro-batch in this step; DDP then reduces each unit as soon as it is complete. */
int ax_dist_begin_micro(struct ax_dist *s, bool last, struct ax_err *e);
int ax_dist_end_micro(struct ax_dist *s, struct ax_err *e);
int ax_dist_finish_grads(struct ax_dist *s, struct ax_err *e);

/*
 * sqrt of the sum of squares of the summed gradient over all trainable parameters, every element once, in double; the
 * same bits on every rank. After ax_dist_finish_grads, before ax_dist_update. A non-finite gradient gives a non-finite
 * norm. per_param: NULL, or units->n_param doubles that receive the sum of squares of each parameter.
 */
int ax_dist_grad_norm(struct ax_dist *s, double *norm, double *per_param, struct ax_err *e);

struct ax_dist_update {
	double lr; /* times the parameter's lr_scale */
	double beta1, beta2, eps;
	double weight_decay; /* for parameters with `decay` */
	double grad_scale;   /* clipping: min(1, max_norm / norm) */
	uint64_t t;          /* number of this update, from 1: bias correction */
	uint64_t seed;       /* of stochastic rounding */
};

/* AdamW on this rank's elements, enqueued; ops that follow see fresh weights. */
int ax_dist_update(struct ax_dist *s, const struct ax_dist_update *up, struct ax_err *e);

/*
 * Checkpoints: the ranges that THIS rank must write. Over all ranks every element of every parameter occurs exactly
 * once (replicas share the writing evenly). Fixed from open to close; data points into device memory.
 */
struct ax_dist_box {
	int param;
	size_t off, n;              /* row-major range of the parameter's elements; off is a multiple of AX_Q8_BLOCK */
	const void *data[AX_N_PART]; /* ax_part_elems(part, n) values; NULL where the part does not exist */
	enum ax_dtype type[AX_N_PART];
};

const struct ax_dist_box *ax_dist_boxes(const struct ax_dist *s, size_t *n_box);

struct ax_dist_stats {
	double wait_s; /* this rank's compute stood still for communication, since open; on a GPU as far as it has computed */
	uint64_t gather_bytes, reduce_bytes; /* put on the wire by this rank, since open */
};

void ax_dist_stats(const struct ax_dist *s, struct ax_dist_stats *st);

/*
 * Threads for this rank: each core that it may run on counts 1 / (ranks of this host that may run there); at least 1.
 * `wanted` > 0 is returned as it is. A rank that the launcher bound to fewer cores than its even share of the host
 * gets a line for the user in `warning` (empty otherwise). Collective.
 */
int ax_dist_threads(struct ax_comm *c, int wanted, int *n_thread, char warning[256], struct ax_err *e);

#endif
