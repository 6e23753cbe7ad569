/*
 * Tiles of attention of one thread, compiled once for each instruction set from attn_body.h.
 *
 * All tiles are transposed: a row is a key (or an element of the head), a lane a query, so that the softmax runs along
 * lanes and every product has the form C (M, lanes) += A (M, K) B (K, lanes), A read element by element. An element of
 * K is a unit of 32 bits: an f32, or two adjacent bf16.
 */
#ifndef AX_TENSOR_CPU_ATTN_H
#define AX_TENSOR_CPU_ATTN_H

#include "tensor/ops.h"

#define AX_ATTN_TILE 64 /* queries and keys of a tile */

/* One head of one segment. */
struct ax_attn_job {
	enum ax_dtype t;           /* of the tensors */
	const void *q, *k, *v, *o, *go; /* at the segment's first row and the head; o, go: backward only */
	size_t ldq, ldk, ldo;      /* row strides */
	const float *lse;          /* at the first row and the head; row stride n_head */
	const struct ax_seg *seg;
	const struct ax_attn *p;
};

struct ax_attn_kern {
	/* Bytes of a slot for head dims and query counts up to these. */
	size_t (*slot_bytes)(int head_dim, int q_len);
	/* o and lse (at the segment's first row and the head) of queries q0 .. q0 + AX_ATTN_TILE. */
	void (*fwd)(const struct ax_attn_job *j, int q0, void *o, float *lse, void *slot);
	/* dq (strides as q), assigned; dk, dv (k_len, head_dim) f32 dense, added to. */
	void (*bwd)(const struct ax_attn_job *j, void *dq, float *dk, float *dv, void *slot);
};

extern const struct ax_attn_kern ax_attn_base, ax_attn_avx2, ax_attn_avx512, ax_attn_avx512_bf16;

#endif
