/*
 * The operations of training, as one table of functions that a device fills.
 *
 * cpu/ref_*.c holds a readable reference of every op; cpu/fast_*.c overrides what is worth it; the CUDA plugin
 * overrides all. An op is enqueued on the device's compute stream and may return before it has run; the CPU runs at
 * once. Memory is the device's (alloc/free/copy below). What an op needs beside its arguments is the device's own
 * scratch: reserve() makes it for the largest shapes before the first op, scratch_bytes() says how much that is. On the
 * CPU an op that meets a larger shape grows it; elsewhere that is a failure.
 *
 * Shapes: N tokens of a micro-batch (packed rows laid end to end), C width, F MLP width, NH query heads, NKV key/value
 * heads, HD head dim, V vocabulary. Row-major. "act" tensors have the compute dtype dev->act (bf16 or f32); weights the
 * same; statistics (rstd, lse) are f32. Sums are taken in f32 at least, in an order that depends on shapes alone. "assign"
 * overwrites, "accumulate" adds to what is there.
 *
 * Gradients of weights, "grad" below, have the type dev->grad: f32, or bf16 where that is the compute dtype too. An op adds its
 * sum over the N tokens, taken in f32, and in bf16 rounds what comes out to nearest even: once an element, embed_bwd at most
 * twice, head_loss once a chunk of rows. Not stochastically, as the state of the optimizer (tensor/round.h): gradients of
 * micro-batches are of the size of their noise, so each is far above half a last place of a sum of some hundred of them and
 * none is lost; then rounding to nearest has no bias either and half the variance, and it is what a matrix product can do as
 * it writes. (Of a thousand equal gradients the last would be: their sum stands still at 256 to 512 of them.)
 *
 * The bf16 products of AVX-512 round to nearest even and take denormals as zeros (their own rule, not MXCSR's).
 *
 * Ops return nothing: arguments are checked by the model when it is built. A device failure is sticky and reported by
 * sync().
 */
#ifndef AX_TENSOR_OPS_H
#define AX_TENSOR_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum ax_dtype { AX_F32 = 0, AX_BF16 = 1, AX_F16 = 2, AX_I32 = 3, AX_U8 = 4, AX_F64 = 5, AX_I64 = 6, AX_Q8 = 7 /* AdamW's moments in 8 bits: tensor/round.h */ };

size_t ax_dtype_size(enum ax_dtype t);
const char *ax_dtype_name(enum ax_dtype t); /* "f32", "bf16", ... */

struct ax_dev;

/* Largest head dim of attention, headnorm and rope. */
#define AX_HEAD_DIM_MAX 512

/* The largest shapes that ops will meet: what scratch is sized by. O is the widest output of any linear. */
struct ax_shape {
	int N, Nk; /* tokens of a micro-batch; keys that its queries may see (N without context parallelism) */
	int C, F, O, V;
	int n_head, n_kv, head_dim;
};

/*
 * Attention segments: queries q_off .. q_off+q_len attend to keys k_off .. k_off+k_len, causally by position:
 * key j (of the segment) is visible to query i iff  j <= q_pos + i  and (window == 0 or  j > q_pos + i - window).
 * Ascending, no overlap in q. Documents of a packed row and chunks of context parallelism are the same thing here.
 * A segment of q_len 0 is none: tables may be filled up with them, so that their length need not vary.
 * Tokens in no segment (padding) get o = 0, lse = 0 and zero gradients; a query that sees no key gets o = 0, lse = -inf.
 */
struct ax_seg {
	int32_t q_off, q_len, k_off, k_len, q_pos;
};

struct ax_attn {
	int n_head, n_kv, head_dim;
	float scale;
	int window;    /* 0: none */
	float softcap; /* 0: none; else s = softcap * tanh(s / softcap) before the mask */
};

/* What head_loss does beside the product. */
struct ax_head {
	float softcap, logit_scale; /* logits = logit_scale x.w, then softcap * tanh(s / softcap) unless softcap is 0 */
	int n_trained;              /* tokens with a target, at most: bounds the work without asking the device */
};

enum ax_act_fn { AX_ACT_SILU, AX_ACT_GELU_TANH, AX_ACT_GELU };

struct ax_adamw {
	float lr, beta1, beta2, eps, weight_decay;
	float rest1, rest2; /* 1 - beta1, 1 - beta2, computed in double: the f32 0.999 is 1.3e-5 of 0.001 away from it */
	float bias1, bias2; /* 1 - beta1^t, 1 - beta2^t, computed in double on the host */
	float grad_scale;   /* multiplies the gradient: clipping and 1/trained tokens */
	uint64_t seed, t;   /* with the logical index, the key of stochastic rounding; t: number of the update, < 2^30 */
};

/*
 * n elements of one parameter and what AdamW keeps of them. What is f32 is kept as it is; what is coarser is rounded
 * stochastically by tensor/round.h, and then `index` must be a multiple of 256 (the elements end where the parameter does,
 * or at another such multiple).
 */
struct ax_adamw_mem {
	float *p;                   /* masters; NULL: w is all there is, bf16 and rounded stochastically */
	void *w;                    /* weights in compute precision; with p: p to nearest even, or NULL: none */
	void *m, *v;
	float *m_scale, *v_scale;   /* AX_Q8: one for each block of 256 */
	const void *grad;
	enum ax_dtype tw, tm, tg;   /* of w; of m and v: AX_F32, AX_BF16 or AX_Q8; of grad: AX_F32 or AX_BF16 */
	uint64_t index;             /* logical index of the first element: a function of the model alone */
};

struct ax_ops {
	/*
	 * Memory and streams. alloc returns zeroed memory aligned to 256 bytes, or NULL. download is the one function that a
	 * second thread may call beside the others: for memory that was written before the last sync and is not written now.
	 */
	void *(*alloc)(struct ax_dev *d, size_t bytes);
	void (*free)(struct ax_dev *d, void *p);
	void (*upload)(struct ax_dev *d, void *dst, const void *host, size_t bytes);
	void (*download)(struct ax_dev *d, void *host, const void *src, size_t bytes); /* complete when it returns */
	void (*copy)(struct ax_dev *d, void *dst, const void *src, size_t bytes);
	void (*zero)(struct ax_dev *d, void *dst, size_t bytes);
	int (*sync)(struct ax_dev *d, struct ax_err *e);
	/* Bytes of scratch for these shapes: a pure function of them, of d->act and of the device's threads. */
	size_t (*scratch_bytes)(struct ax_dev *d, const struct ax_shape *s);
	int (*reserve)(struct ax_dev *d, const struct ax_shape *s, struct ax_err *e);
	/*
	 * Recording: a sequence of ops that is the same each time can be replayed with one launch. record_begin is true if the
	 * sequence `key` was recorded before: it has been enqueued, skip the ops. Else run them and call record_end; they
	 * may or may not be recorded. Between the two: ops only, no sync, transfer, allocation, collective or other recording.
	 * Freeing memory forgets all recordings. Both NULL: the device has no use for it.
	 */
	bool (*record_begin)(struct ax_dev *d, uint64_t key);
	void (*record_end)(struct ax_dev *d);

	/* y = x, converted (round to nearest even), n elements; dtypes f32, bf16, f16. */
	void (*cast)(struct ax_dev *d, void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, size_t n);
	/* y += alpha * x in f32, then rounded to nearest even to y's type; f32 or bf16, x also f16 where y is f32. */
	void (*axpy)(struct ax_dev *d, void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, float alpha, size_t n);
	/* x *= alpha (f32). */
	void (*scale)(struct ax_dev *d, float *x, float alpha, size_t n);
	/* y (act) = a + b, assign; y may alias a or b. */
	void (*add)(struct ax_dev *d, void *y, const void *a, const void *b, size_t n);
	/* *out (f64 on the device) = sum of squares of x (f32 or bf16), pairwise in double, order by index. */
	void (*sumsq)(struct ax_dev *d, double *out, const void *x, enum ax_dtype tx, size_t n);

	/*
	 * Matrix products, f32 accumulation. W is (O, I) row-major as Hugging Face stores it.
	 *   linear_fwd:  y (N, O) = x (N, I) W^T (+ b (O) if not NULL)            assign
	 *   linear_dx:   dx (N, I) = dy (N, O) W          assign, or += if accumulate
	 *   linear_dw:   dW (O, I) grad += dy^T (O, N) x (N, I)                   accumulate
	 *   bias_grad:   db (O) grad += sum over rows of dy                       accumulate
	 * `ld` of x, y, dy, dx are the row strides in elements (>= the width), so that slices of wider buffers work.
	 */
	void (*linear_fwd)(struct ax_dev *d, void *y, size_t ldy, const void *x, size_t ldx, const void *w, const void *b, int N, int I, int O);
	void (*linear_dx)(struct ax_dev *d, void *dx, size_t lddx, const void *dy, size_t lddy, const void *w, int N, int I, int O, bool accumulate);
	void (*linear_dw)(struct ax_dev *d, void *dw, const void *dy, size_t lddy, const void *x, size_t ldx, int N, int I, int O);
	void (*bias_grad)(struct ax_dev *d, void *db, const void *dy, size_t lddy, int N, int O);

	/* x (N, C) = table[ids] * scale. */
	void (*embed_fwd)(struct ax_dev *d, void *x, const int32_t *ids, const void *table, float scale, int N, int C);
	/* dtable (V, C) grad += scale * rows of dx at ids; order by position: deterministic. */
	void (*embed_bwd)(struct ax_dev *d, void *dtable, const void *dx, const int32_t *ids, float scale, int N, int C, int V);

	/*
	 * Residual add and RMSNorm in one pass.  r = x + delta (delta NULL: r = x);  rstd = 1/sqrt(mean(r^2) + eps);
	 * y = r * rstd * (w + w_add), rounded as the family does: `cast_first` rounds r * rstd to act before the product with
	 * w (Llama convention), otherwise the product is taken in f32 (Gemma). r may alias x; r NULL: not stored (then
	 * delta is NULL too). The residual stream is f32 whatever the compute dtype: its rounding to bf16 would be
	 * one of the two largest errors of a forward pass (the other is the double rounding of cast_first).
	 *   x, r (N, C) f32   delta, y (N, C) act   rstd (N) f32   w (C) act
	 */
	void (*rmsnorm_fwd)(struct ax_dev *d, void *y, void *r, float *rstd, const void *x, const void *delta, const void *w, float w_add, float eps, bool cast_first, int N, int C);
	/*
	 * dx (N, C) = dres + d rmsnorm / dr (dy)   assign; dres NULL: 0; may alias dres; all three act, r f32
	 * dw (C) grad += sum over rows of dy * r * rstd
	 */
	void (*rmsnorm_bwd)(struct ax_dev *d, void *dx, void *dw, const void *dy, const void *dres, const void *r, const float *rstd, const void *w, float w_add, int N, int C);

	/*
	 * Per-head RMSNorm (q/k norm) of n_head heads of HD in rows of stride ld, in place on x (N, n_head, HD); `pre`
	 * (N, n_head * HD) keeps the input, rstd (N, n_head). w (HD).
	 * backward: dx holds the gradient of the output and becomes that of the input, in place; dw (HD) grad += .
	 * pre NULL in headnorm_fwd: not stored.
	 */
	void (*headnorm_fwd)(struct ax_dev *d, void *x, size_t ld, void *pre, float *rstd, const void *w, float w_add, float eps, bool cast_first, int N, int n_head, int HD);
	void (*headnorm_bwd)(struct ax_dev *d, void *dx, size_t ld, void *dw, const void *pre, const float *rstd, const void *w, float w_add, int N, int n_head, int HD);

	/*
	 * Rotary embedding, in place on n_head heads of rows with stride ld. cos_sin: table (max_pos, HD) f32, the first HD/2
	 * columns cosines, the rest sines (already scaled by the attention factor); rotate-half convention:
	 *   x1' = x1 c - x2 s,  x2' = x2 c + x1 s   with x1 = x[0..R/2), x2 = x[R/2..R), R = rotary dims (<= HD).
	 * backward = true applies the transpose (s -> -s). pos (N): position of each token inside its document.
	 */
	void (*rope)(struct ax_dev *d, void *x, size_t ld, const int32_t *pos, const float *cos_sin, int N, int n_head, int HD, int rotary, bool backward);

	/*
	 * Varlen causal attention.   o = softmax(q k^T * scale) v inside each segment.
	 *   q (N, NH, HD) stride ldq   k, v (Nk, NKV, HD) stride ldk   o (N, NH, HD) contiguous   lse (N, NH) f32
	 * backward: go like o; dq, dk, dv with the strides of q, k, v; all assigned (rows of no segment: 0). Gradients may
	 * not alias inputs.
	 */
	void (*attn_fwd)(struct ax_dev *d, void *o, float *lse, const void *q, size_t ldq, const void *k, const void *v, size_t ldk, const struct ax_seg *seg, int n_seg, int N, int Nk, const struct ax_attn *p);
	void (*attn_bwd)(struct ax_dev *d, void *dq, void *dk, void *dv, const void *go, const void *q, size_t ldq, const void *k, const void *v, size_t ldk, const void *o, const float *lse, const struct ax_seg *seg, int n_seg, int N, int Nk, const struct ax_attn *p);

	/* Gated MLP: gu (N, 2F), gate in columns [0, F), up in [F, 2F).  h (N, F) = act(gate) * up.  dgu assigned; may alias gu. */
	void (*glu_fwd)(struct ax_dev *d, void *h, const void *gu, enum ax_act_fn fn, int N, int F);
	void (*glu_bwd)(struct ax_dev *d, void *dgu, const void *dh, const void *gu, enum ax_act_fn fn, int N, int F);

	/*
	 * Output head and loss, in chunks: logits never exist in full.
	 *   x (N, C) act after the final norm; w (V, C); target (N) i32, -1: not trained; weight (N) f32 or NULL (1)
	 *   loss[0] (f64, device) += sum over trained tokens of weight * -log p(target)
	 * If dx is not NULL: dx (N, C) = gradient of (loss * grad_scale[0]), assign; dw (V, C) grad += the same for w (NULL: the
	 * head is frozen); grad_scale is read on the device. Untrained rows cost nothing, unless logits are asked for.
	 * logits, if not NULL, (N, V) f32 receives the logits (tests).
	 */
	void (*head_loss)(struct ax_dev *d, double *loss, void *dx, void *dw, float *logits, const void *x, const void *w, const int32_t *target, const float *weight, const float *grad_scale, const struct ax_head *p, int N, int C, int V);

	/*
	 * AdamW (Loshchilov, Hutter, 2019), as PyTorch: g = grad * grad_scale; m = b1 m + rest1 g; v = b2 v + rest2 g^2;
	 * p = p (1 - lr wd); p -= lr/bias1 * m / (sqrt(v)/sqrt(bias2) + eps). All in f32: the step is made of the new moments
	 * before they are rounded to what x stores. n elements.
	 */
	void (*adamw)(struct ax_dev *d, const struct ax_adamw_mem *x, const struct ax_adamw *h, size_t n);
};

struct ax_comm;

struct ax_dev {
	const struct ax_ops *ops;
	enum ax_dtype act;  /* compute dtype: AX_BF16 or AX_F32 */
	enum ax_dtype grad; /* of gradients of weights: AX_F32 as it is opened, or set by its owner to AX_BF16, if act is that */
	void *impl;        /* the device's own state */
	const char *name;  /* "cpu (avx512-bf16, oneDNN 2.6.3), 2 threads" */
	bool deterministic; /* the same run gives the same bits */
	size_t memory;     /* bytes of its own that are free at the start; 0: it works in the host's memory */
	size_t pinned;     /* host memory that it holds for copies */
	/* Frees impl. NULL: not open. */
	void (*close)(struct ax_dev *d);
	/* Bytes of its memory that have been taken since it was opened, as it counts them itself. NULL: it has none of its own. */
	size_t (*used)(struct ax_dev *d);
	/* ax_dev_wire() of tensor/device.h; NULL: it works in the host's memory, and the host's communicator serves. */
	int (*wire)(struct ax_dev *d, struct ax_comm *host, struct ax_comm **wire, struct ax_err *e);
	/*
	 * What the device has chosen or measured so far (algorithms of matrix products), as text (tensor/tuning.h): its bytes, of
	 * which as many are written if they are at most n. And: do as this text says from now on; that of another kind of
	 * machine is ignored. NULL: the device has nothing to choose.
	 */
	size_t (*tuning)(struct ax_dev *d, char *text, size_t n);
	int (*tune)(struct ax_dev *d, const char *text, size_t n, struct ax_err *e);
};

enum ax_cpu_flags {
	AX_CPU_REFERENCE = 1 << 0, /* only the readable reference ops: for tests */
	AX_CPU_PORTABLE = 1 << 1,  /* fast ops without bf16 and AVX instructions of our own, as on an old machine: for tests */
	AX_CPU_AVX2 = 1 << 2,      /* the same, but AVX2 */
};

/* The CPU device with its own thread pool of n_threads. */
int ax_cpu_open(struct ax_dev *d, enum ax_dtype act, int n_threads, unsigned flags, struct ax_err *e);
void ax_cpu_close(struct ax_dev *d); /* = d->close(d) */

/* Scalar conversions (round to nearest even; NaN stays NaN). */
uint16_t ax_f32_to_bf16(float x);
float ax_bf16_to_f32(uint16_t x);
uint16_t ax_f32_to_f16(float x);
float ax_f16_to_f32(uint16_t x);

#ifdef __cplusplus
}
#endif
#endif
