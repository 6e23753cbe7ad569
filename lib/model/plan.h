/*
 * The memory plan of a run: bytes by role, for one rank, before anything is allocated. Pure.
 *
 * Roles, as lib/dist and lib/model allocate them:
 *   weights      compute-dtype copies of whole units (DDP: all; FSDP: the units in flight, or all if not resharded)
 *   masters      f32 weights: whole (DDP) or this rank's slices (FSDP)
 *   gradients    f32: whole (DDP) or slices, and the whole-unit buffers being filled (FSDP)
 *   moments      two per master
 *   activations, scratch, inputs   of lib/model (ax_model_sizes), and the device's own scratch
 *   communication   send and receive buffers of the collectives
 */
#ifndef AX_MODEL_PLAN_H
#define AX_MODEL_PLAN_H

#include "model/model.h"

enum ax_plan_strategy { AX_PLAN_DDP, AX_PLAN_FSDP };

struct ax_plan_opt {
	int n_rank;
	enum ax_plan_strategy strategy;
	bool keep_gathered;   /* FSDP: reshard_after_forward: false */
	enum ax_dtype act;    /* compute dtype */
	size_t device_scratch_bytes; /* dev->ops->scratch_bytes(), or 0 if no device is there to ask */
	struct ax_model_opt model;
};

struct ax_plan {
	size_t weights, masters, gradients, moments, activations, scratch, inputs, communication;
	size_t total;            /* of one rank */
	size_t checkpoint_bytes; /* on disk: masters and moments of all ranks, each element once */
	size_t model_bytes;      /* on disk: the merged model in the config's dtype */
};

int ax_plan_make(struct ax_plan *p, const struct ax_desc *d, const struct ax_units *u, const struct ax_plan_opt *o, struct ax_err *e);

#endif
