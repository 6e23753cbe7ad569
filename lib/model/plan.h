/*
 * The memory plan of a run: bytes by role, for one rank, before anything is allocated. Pure, and the same functions that
 * the allocations use: what the weights take comes from ax_dist_sizes() through the caller (the model knows no ranks),
 * what the micro-batch takes from ax_model_sizes(), the device's own scratch from its scratch_bytes().
 *
 *	ax_dist_sizes(&units, &dist_opt, n_rank, &z, e);
 *	o.masters = z.master_bytes; ...                       // or 0 where a role does not exist
 *	ax_model_shape(&desc, n_token, &shape);
 *	o.device_scratch = dev->ops->scratch_bytes(dev, &shape);
 *	AX_TRY(ax_plan_make(&p, &desc, &units, &o, e));
 */
#ifndef AX_MODEL_PLAN_H
#define AX_MODEL_PLAN_H

#include "model/model.h"

struct ax_plan_opt {
	size_t weights;       /* in the compute dtype: copies or gather buffers */
	size_t masters, gradients, moments;
	size_t communication; /* send and receive buffers */
	size_t device_scratch;
	enum ax_dtype act;    /* compute dtype */
	bool moments_on_disk; /* checkpoints hold the moments (not with save_only_model) */
	struct ax_model_opt model;
};

struct ax_plan {
	size_t weights, masters, gradients, moments, communication;
	size_t activations, scratch /* of the model and of the device */, inputs;
	size_t total;            /* of one rank */
	size_t checkpoint_bytes; /* on disk, all ranks together: f32 masters and two moments, each element once */
	size_t model_bytes;      /* on disk: the merged model, each tensor in its dtype in the base model */
};

/* AX_EMEM if a sum overflows; the errors of ax_model_sizes. */
int ax_plan_make(struct ax_plan *p, const struct ax_desc *d, const struct ax_units *u, const struct ax_plan_opt *o, struct ax_err *e);

#endif
