/*
 * Units: the blocks of parameters that are gathered, reduced, offloaded and freed together.
 *
 * Unit 0 holds the token embedding; then one unit a layer; then the final norm and the output head. With tied
 * embeddings, embedding and final norm are one root unit (0), whose gradient is reduced once, and there is no last unit.
 *
 * A unit is one flat buffer of n_elem elements. Every parameter starts at a multiple of AX_UNIT_ALIGN elements (the gap
 * behind it is padding and stays zero); q, k, v lie adjacent, and so do gate, up, so that one product serves them --
 * where widths make the gaps nonzero the products run one by one. A slice of a unit for n ranks has
 * ax_unit_slice_elems() elements: the same for every rank, a multiple of AX_UNIT_ALIGN; the last may run past n_elem.
 *
 * The parameter table is also the segment table: it drives optimizer, clipping, checkpoint and loading. Parameters are in
 * order of unit, then of offset.
 */
#ifndef AX_MODEL_UNIT_H
#define AX_MODEL_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define AX_UNIT_ALIGN 256
#define AX_PARAM_NAME_MAX 128
#define AX_PARAM_DIM_MAX 4

struct ax_param {
	char name[AX_PARAM_NAME_MAX]; /* Hugging Face name: "model.layers.3.self_attn.q_proj.weight" */
	int n_dim;
	int64_t dim[AX_PARAM_DIM_MAX];
	size_t n_elem;
	int unit;
	size_t off;      /* in elements, inside the unit */
	bool decay;      /* weight decay applies: not for norms and biases */
	float lr_scale;  /* 1 but for embedding_lr_scale and groups */
	bool trainable;
	int base_dtype;  /* enum ax_dtype of this tensor in the base model; F32 until the loader says otherwise */
};

struct ax_unit {
	char name[32]; /* "embed", "layer 3", "head", "root" */
	size_t n_elem; /* multiple of AX_UNIT_ALIGN */
	int first_param, n_param;
};

struct ax_units {
	struct ax_unit *unit;
	int n_unit;
	struct ax_param *param;
	int n_param;
	size_t n_elem;     /* logical parameters, padding not counted */
};

/* Elements of one of n slices of a unit: ceil(n_elem / n), rounded up to AX_UNIT_ALIGN. */
size_t ax_unit_slice_elems(const struct ax_unit *u, int n);
int ax_units_find(const struct ax_units *u, const char *name); /* parameter index, or -1 */
/*
 * Multiply lr_scale of every parameter whose name contains `part` by `scale`; decay false also takes weight decay away.
 * Axolotl's embedding_lr(_scale) is this for "embed_tokens" and "lm_head" without decay; lr_groups for each module name.
 * Returns how many parameters matched.
 */
int ax_units_scale_lr(struct ax_units *u, const char *part, float scale, bool decay);
void ax_units_release(struct ax_units *u);

/*
 * What the model asks of whoever holds the weights (lib/dist): the model never knows how many ranks there are. For each
 * micro-batch, an empty one included, the calls are the same on every rank:
 *
 *   forward    acquire(u), prefetch(next), release(u)                      u = embedding, first layer ... last layer
 *   head       acquire(u), prefetch(last layer), grad_acquire(u), release(u), grad_release(u)   u = last unit, or the root
 *   backward   acquire(u), prefetch(next), grad_acquire(u), release(u), grad_release(u)         u = last ... first layer
 *   embedding  grad_acquire(0), grad_release(0)                            needs no weights
 *
 * Each unit's gradient is acquired and released once a micro-batch: with tied embeddings the root's is acquired at the
 * head and released at the embedding, so it is held through the backward pass. ax_model_eval makes the first two lines'
 * calls without prefetch(last layer) and grad_*. One unit's weights are in use at a time, one more is prefetched.
 * After grad_release the gradient of this micro-batch is complete. An error from a hook ends the step with that error.
 */
struct ax_unit_hooks {
	void *ctx;
	int (*prefetch)(void *ctx, int unit, struct ax_err *e);
	int (*acquire)(void *ctx, int unit, const void **w, struct ax_err *e); /* compute dtype, whole unit, until release */
	int (*release)(void *ctx, int unit, struct ax_err *e);
	int (*grad_acquire)(void *ctx, int unit, void **g, struct ax_err *e); /* dev->grad, whole unit, to accumulate into */
	int (*grad_release)(void *ctx, int unit, struct ax_err *e);
	/*
	 * NULL, or: is this a micro-batch whose hooks give the same addresses as in every other one of this kind, and start
	 * nothing? Then a device may replay what it recorded of the last one, and the hooks are not called. Otherwise it may
	 * replay what lies between two calls of hooks, wherever they have given these addresses before.
	 */
	bool (*still)(void *ctx);
};

#endif
