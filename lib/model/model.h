/*
 * The decoder: forward and backward of one micro-batch over a device's ops.
 *
 *	AX_TRY(ax_desc_load(&desc, "model/config.json", e));            // model/desc.h
 *	AX_TRY(ax_model_units(&desc, &units, e));                       // names, shapes, layout: pure
 *	ax_model_sizes(&desc, &units, &opt, &sizes);                    // bytes by role: pure, nothing allocated
 *	AX_TRY(ax_model_open(&m, dev, &desc, &units, &opt, e));         // one block for activations, one for scratch
 *	AX_TRY(ax_model_step(m, &mb, &hooks, grad_scale, loss, e));     // forward + backward: loss +=, gradients through hooks
 *	AX_TRY(ax_model_eval(m, &mb, &hooks, loss, e));                 // forward only
 *
 * Every micro-batch has the same n_token (padded); documents vary up to max_seg. The loss is a sum over trained tokens;
 * the caller divides by the trained tokens of the whole global batch, through grad_scale.
 */
#ifndef AX_MODEL_MODEL_H
#define AX_MODEL_MODEL_H

#include "base/err.h"
#include "model/desc.h"
#include "model/unit.h"
#include "tensor/ops.h"

/* One micro-batch on the host. Targets are already shifted inside each document: target[i] = id of the next token if
 * that one is trained, else -1; the last token of a document has -1. */
struct ax_micro {
	int n_token;          /* = ax_model_opt.n_token: padding included */
	const int32_t *id;    /* padding: 0 */
	const int32_t *pos;   /* position inside the document; padding: 0 */
	const int32_t *target;
	const float *weight;  /* per target, or NULL: all 1 */
	const struct ax_seg *seg; /* documents; padding is in none */
	int n_seg;
};

enum ax_recompute { AX_RECOMPUTE_NONE, AX_RECOMPUTE_SELECTIVE /* norms and activations */, AX_RECOMPUTE_FULL };

struct ax_model_opt {
	int n_token; /* of a micro-batch */
	int max_seg;
	enum ax_recompute recompute;
	bool train; /* false: forward only, activations of one layer */
};

struct ax_model_sizes {
	size_t activation_bytes, scratch_bytes, input_bytes;
};

struct ax_model;

void ax_model_sizes(const struct ax_desc *d, const struct ax_units *u, enum ax_dtype act, const struct ax_model_opt *o, struct ax_model_sizes *s);
int ax_model_open(struct ax_model **m, struct ax_dev *dev, const struct ax_desc *d, const struct ax_units *u, const struct ax_model_opt *o, struct ax_err *e);
void ax_model_close(struct ax_model *m);
int ax_model_step(struct ax_model *m, const struct ax_micro *mb, const struct ax_unit_hooks *h, float grad_scale, double *loss, struct ax_err *e);
/* logits: NULL, or host memory (n_token, V) f32. */
int ax_model_eval(struct ax_model *m, const struct ax_micro *mb, const struct ax_unit_hooks *h, double *loss, float *logits, struct ax_err *e);

/* Names, shapes, order and layout of all parameters. */
int ax_model_units(const struct ax_desc *d, struct ax_units *u, struct ax_err *e);

/* Model FLOPs of one token: 6 per matrix parameter and 6 L (or 12 L, unmasked) NH HD T for attention. */
double ax_model_flops(const struct ax_desc *d, const struct ax_units *u, double mean_context, bool causal);

#endif
