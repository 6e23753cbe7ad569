/*
 * Inside of the model: where each tensor of a micro-batch lives, and the pieces of a step.
 *
 * A layer has the fields below. `kept` fields live once a layer in the activation block, the others once in the scratch
 * block, shared by all layers: which are which is the whole difference between the recomputation modes.
 *
 * Field shapes (N tokens): N1, N2 (N, C)   QKV (N, (NH + 2 NKV) HD)   QPRE (N, NH HD)   KPRE (N, NKV HD)
 *   O (N, NH HD)   GU (N, 2F)   H (N, F)   and f32: RES1, RES2 (N, C), RSTD1, RSTD2 (N), RSTDQ, LSE (N, NH), RSTDK (N, NKV)
 * RES1 is the residual stream entering the layer, RES2 after attention; N1, N2 their norms. QPRE, KPRE, RSTDQ, RSTDK
 * exist with q/k norm only. In the backward pass a buffer whose value is used up takes a gradient: H dH, GU dGU, N1 dN1,
 * N2 dN2.
 */
#ifndef AX_MODEL_ENGINE_H
#define AX_MODEL_ENGINE_H

#include "model/model.h"

#define HEAD_STEPS 16 /* so few different launches of the head exist */

enum field {
	F_N1, F_QKV, F_QPRE, F_KPRE, F_O, F_N2, F_GU, F_H, F_RES1 /* from here on f32 */, F_RES2, F_RSTD1, F_RSTD2, F_RSTDQ, F_RSTDK, F_LSE, N_FIELD
};

/* Buffers of the scratch block that belong to no layer. */
enum temp {
	T_DELTA, /* (N, C) what attention or MLP adds to the stream; later the gradient of the final norm's output */
	T_RESF, T_NF, T_RSTDF, /* final norm: the stream (f32), what comes out, 1 / deviation */
	T_BIAS,  /* biases of joined products, laid side by side */
	T_DRES, T_DO, T_DQKV, /* gradients of stream, O and QKV */
	N_TEMP
};

enum input { I_ID, I_POS, I_TARGET, I_WEIGHT, I_SEG, I_SCALE, I_ROPE, I_LOSS, N_INPUT };

struct layout {
	bool kept[N_FIELD];
	size_t field[N_FIELD]; /* offset inside the layer's part of the activations, or in the scratch block */
	size_t temp[N_TEMP], input[N_INPUT];
	size_t layer_bytes; /* kept bytes of one layer */
	size_t activation_bytes, scratch_bytes, input_bytes;
};

/* Parameters of a layer unit. */
enum slot { P_LN1, P_Q, P_K, P_V, P_QB, P_KB, P_VB, P_QN, P_KN, P_O, P_OB, P_LN2, P_GATE, P_UP, P_GATEB, P_UPB, P_DOWN, P_DOWNB, N_SLOT };

struct ax_model {
	struct ax_dev *dev;
	const struct ax_ops *ops;
	const struct ax_desc *d;
	const struct ax_units *u;
	struct ax_model_opt opt;
	struct layout at;
	size_t act_size, grad_size;
	char *activation, *scratch, *input;
	int head;                     /* unit of final norm and output head */
	const struct ax_param *slot[N_SLOT]; /* of the first layer; all layers have the same offsets */
	const struct ax_param *embed, *norm, *lm_head; /* lm_head = embed when tied */
	float attn_scale;
	bool has_weight;              /* of the micro-batch at work */
	int n_seg;                    /* 0: an empty micro-batch, nothing is computed */
	bool recording;               /* the whole micro-batch is one recording; else each of its segments is */
	int n_trained;                /* its targets, rounded up to one of HEAD_STEPS numbers */
	struct ax_seg *seg;           /* host: its table, filled up to max_seg */
	float *logits;                /* device memory during an ax_model_eval that wants them, else NULL */
};

int ax_model_layout(struct layout *at, const struct ax_desc *d, enum ax_dtype act, const struct ax_model_opt *o, struct ax_err *e);

static inline void *field_of(const struct ax_model *m, int layer, enum field f)
{
	return m->at.kept[f] ? m->activation + (size_t)layer * m->at.layer_bytes + m->at.field[f] : m->scratch + m->at.field[f];
}

static inline void *temp_of(const struct ax_model *m, enum temp t)
{
	return m->scratch + m->at.temp[t];
}

static inline void *input_of(const struct ax_model *m, enum input i)
{
	return m->input + m->at.input[i];
}

/* Parameter p inside its unit's weights (compute dtype) or gradient (dev->grad). NULL for a parameter that is not there. */
static inline const void *weight_of(const struct ax_model *m, const void *unit, const struct ax_param *p)
{
	return p ? (const char *)unit + p->off * m->act_size : NULL;
}

static inline void *grad_of(const struct ax_model *m, void *unit, const struct ax_param *p)
{
	return p ? (char *)unit + p->off * m->grad_size : NULL;
}

/*
 * Products that share their input: n weights w[0..n) (O_i, I), laid next to each other in y's columns, with biases b[i] or
 * NULL. One op if the weights lie without gaps, else one an operand.
 */
void ax_model_join_fwd(const struct ax_model *m, void *y, const void *x, const void *unit, const struct ax_param *const *w, const struct ax_param *const *b, int n);
void ax_model_join_dw(const struct ax_model *m, void *gunit, const void *dy, const void *x, const struct ax_param *const *w, const struct ax_param *const *b, int n);
void ax_model_join_dx(const struct ax_model *m, void *dx, const void *dy, const void *unit, const struct ax_param *const *w, int n);

/* How a layer's forward ops are run: whole, or again for what the backward pass misses. */
enum pass { PASS_FORWARD, PASS_RECOMPUTE };

/* x <- embedding rows; layer; final norm. `w` is the unit's weights. */
void ax_model_embed_fwd(const struct ax_model *m, const void *w);
void ax_model_layer_fwd(const struct ax_model *m, int layer, const void *w, enum pass pass);
void ax_model_final_norm_fwd(const struct ax_model *m, const void *w);
/* The attention op's numbers for a layer. */
void ax_model_attn(const struct ax_model *m, int layer, struct ax_attn *p);
/* Bring back, bitwise, what the mode did not keep of a layer. */
void ax_model_layer_restore(const struct ax_model *m, int layer, const void *w);

/* Loss and, with g, the gradients of head and final norm; T_DRES is the gradient of the stream afterwards. */
void ax_model_head_step(const struct ax_model *m, const void *w, void *g);
void ax_model_layer_bwd(const struct ax_model *m, int layer, const void *w, void *g);
void ax_model_embed_bwd(const struct ax_model *m, void *g);

#endif
