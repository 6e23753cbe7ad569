/*
 * The decoder: forward and backward of one micro-batch over a device's ops.
 *
 *	AX_TRY(ax_desc_load(&desc, "model/config.json", e));            // model/desc.h
 *	AX_TRY(ax_model_units(&desc, &units, e));                       // names, shapes, layout: pure
 *	AX_TRY(ax_model_sizes(&desc, dev.act, &opt, &sizes, e));        // bytes by role: pure, nothing allocated
 *	AX_TRY(ax_model_open(&m, dev, &desc, &units, &opt, e));         // one block for activations, scratch and inputs each
 *	AX_TRY(ax_model_step(m, &mb, &hooks, grad_scale, &loss, e));    // forward + backward: loss +=, gradients through hooks
 *	AX_TRY(ax_model_eval(m, &mb, &hooks, &loss, NULL, e));          // forward only
 *	ax_model_close(m);
 *	ax_units_release(&units);
 *
 * desc and units are borrowed and must outlive the model. Every micro-batch has the same n_token (padded); documents vary
 * up to max_seg. The loss is a sum over trained tokens; the caller divides by the trained tokens of the whole global
 * batch, through grad_scale. The residual stream is f32 also where the products run in bf16 (as under autocast), its
 * gradient has the compute dtype. Gradients are accumulated into what grad_acquire gives; nothing is zeroed here.
 *
 * One difference to transformers is meant: every token's embedding gets its whole gradient. nn.Embedding's padding_idx
 * leaves out what comes through the input for pad_token_id, also where that is a token of the documents (SmolLM2-Instruct
 * pads with the token that ends a turn).
 *
 * Results do not depend on the recomputation mode (bitwise: the backward pass repeats the same ops on the same values),
 * nor on the number of threads (ops.h).
 */
#ifndef AX_MODEL_MODEL_H
#define AX_MODEL_MODEL_H

#include "base/err.h"
#include "model/desc.h"
#include "model/unit.h"
#include "tensor/ops.h"

/* One micro-batch on the host. Targets are already shifted inside each document: target[i] = id of the next token if
 * that one is trained, else -1; the last token of a document has -1. Everything is checked before any op runs: an id or
 * target beyond the vocabulary, a position beyond max_pos or a segment that leaves the row is AX_EDATA.
 * n_seg = 0 is an empty micro-batch: hooks are called in order, nothing is computed, loss and gradients do not change;
 * the arrays may be NULL then. */
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
	int max_seg; /* documents a micro-batch may hold; <= n_token */
	int max_pos; /* positions of a document are below this (sequence_len); 0: n_token */
	enum ax_recompute recompute;
	bool train; /* false: forward only, activations of one layer */
};

/* Bytes of the model's own device memory, by role. Each is one allocation. */
struct ax_model_sizes {
	size_t activation_bytes; /* what the forward pass keeps for the backward pass */
	size_t scratch_bytes;    /* what lives inside one layer */
	size_t input_bytes;      /* ids, positions, targets, weights, segments, rotary table, loss */
};

struct ax_model;

/* AX_EMEM if a size overflows, AX_EUSAGE for options that make no sense. */
int ax_model_sizes(const struct ax_desc *d, enum ax_dtype act, const struct ax_model_opt *o, struct ax_model_sizes *s, struct ax_err *e);
/* The largest shapes that a device meets: for its scratch_bytes(). ax_model_open reserves it. */
void ax_model_shape(const struct ax_desc *d, int n_token, struct ax_shape *s);
int ax_model_open(struct ax_model **m, struct ax_dev *dev, const struct ax_desc *d, const struct ax_units *u, const struct ax_model_opt *o, struct ax_err *e);
void ax_model_close(struct ax_model *m);
/*
 * The model's loss += the sum over trained tokens of weight * -log p; gradients += d (that sum * grad_scale). The loss stays
 * on the device until it is taken: with `loss` here (which waits for the device), or later with ax_model_loss().
 */
int ax_model_step(struct ax_model *m, const struct ax_micro *mb, const struct ax_unit_hooks *h, float grad_scale, double *loss, struct ax_err *e);
/* *loss += what has been computed since it was last taken; waits for the device. */
int ax_model_loss(struct ax_model *m, double *loss, struct ax_err *e);
/* logits: NULL, or host memory (n_token, V) f32, which takes as much on the device for the call. The grad hooks are not
 * called and may be NULL. */
int ax_model_eval(struct ax_model *m, const struct ax_micro *mb, const struct ax_unit_hooks *h, double *loss, float *logits, struct ax_err *e);

/* Names, shapes, order and layout of all parameters (ax_units_release). */
int ax_model_units(const struct ax_desc *d, struct ax_units *u, struct ax_err *e);

/*
 * Where a parameter's weights may be found in a checkpoint, in order of preference; NULL after the last (i from 0).
 * First its own name; then without "model." (a bare decoder); for a tied embedding also "lm_head.weight".
 * buf is the caller's, AX_PARAM_NAME_MAX bytes.
 */
const char *ax_model_weight_name(const struct ax_desc *d, const struct ax_param *p, int i, char *buf);

/* May this tensor of a checkpoint be left unread? True for the second copy of tied weights and for the rotary buffers of
 * old files. Whatever is no parameter and not ignorable means that config and weights do not belong together. */
bool ax_model_weight_ignorable(const struct ax_desc *d, const char *name);

/*
 * Model FLOPs of one token, forward and backward, without recomputation: 6 per matrix parameter (the embedding counts
 * only as the output head) and, per layer, 12 NH HD T for attention with every pair of T tokens counted (the PaLM
 * convention), or 6 NH HD T for what a causal mask leaves. T = mean_context, the mean length of the documents that a
 * token finds itself in (sum of squared lengths / sum of lengths); a window caps it.
 */
double ax_model_flops(const struct ax_desc *d, const struct ax_units *u, double mean_context, bool causal);

#endif
