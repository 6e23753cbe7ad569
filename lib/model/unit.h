/*
 * Units: the blocks of parameters that are gathered, reduced, offloaded and freed together.
 *
 * Unit 0 holds the token embedding; then one unit a layer; then the final norm and, unless tied, the output head. With
 * tied embeddings, embedding and final norm are one root unit (0), whose gradient is reduced once.
 *
 * A unit is one flat buffer of n_elem elements. Every parameter starts at a multiple of AX_UNIT_ALIGN elements (the gap
 * behind it is padding and stays zero); q, k, v lie adjacent, and so do gate, up, so that one product serves them --
 * where widths make the gaps nonzero the products run one by one. A slice of a unit for n ranks has
 * ax_unit_slice_elems() elements: the same for every rank, a multiple of AX_UNIT_ALIGN; the last may run past n_elem.
 *
 * The parameter table is also the segment table: it drives optimizer, clipping, checkpoint and loading.
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
	int base_dtype;  /* enum ax_dtype of this tensor in the base model (F32 when initialised from the config) */
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
void ax_units_release(struct ax_units *u);

/*
 * What the model asks of whoever holds the weights (lib/dist): the model never knows how many ranks there are.
 * The schedule calls, for each micro-batch: acquire(u) before it uses unit u, release(u) after; in the backward pass
 * grad_acquire(u) before the first gradient op of u and grad_release(u) when the unit's gradient of this micro-batch is
 * complete. prefetch(u) says which unit will be acquired next. Each may be called again for the root unit.
 */
struct ax_unit_hooks {
	void *ctx;
	int (*prefetch)(void *ctx, int unit, struct ax_err *e);
	int (*acquire)(void *ctx, int unit, const void **w, struct ax_err *e); /* compute dtype, whole unit, until release */
	int (*release)(void *ctx, int unit, struct ax_err *e);
	int (*grad_acquire)(void *ctx, int unit, float **g, struct ax_err *e); /* f32, whole unit, to accumulate into */
	int (*grad_release)(void *ctx, int unit, struct ax_err *e);
};

#endif
