/*
 * Vector kernels of one thread, compiled once for each instruction set from kern_body.h and chosen by what the
 * processor has. Types t are f32 or bf16. Row kernels take `rows` dense rows of `width`.
 */
#ifndef AX_TENSOR_CPU_KERN_H
#define AX_TENSOR_CPU_KERN_H

#include "tensor/ops.h"

struct ax_kern {
	const char *isa;
	void (*cast)(void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, size_t n);
	void (*axpy)(void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, float alpha, size_t n);
	void (*scale)(float *x, float alpha, size_t n);
	void (*add)(void *y, const void *a, const void *b, enum ax_dtype t, size_t n);
	double (*sumsq)(const void *x, enum ax_dtype t, size_t n);
	/* All in f32: elements at..at+n of x. */
	void (*adamw)(const struct ax_adamw_mem *x, const struct ax_adamw *h, size_t at, size_t n);
	/* Any precision: one block of AX_Q8_BLOCK elements from `at` on, or what is left of it. */
	void (*adamw_round)(const struct ax_adamw_mem *x, const struct ax_adamw *h, size_t at, size_t n);
	void (*glu_fwd)(void *h, const void *gate, const void *up, enum ax_dtype t, enum ax_act_fn fn, size_t n);
	void (*glu_bwd)(void *dgate, void *dup, const void *dh, const void *gate, const void *up, enum ax_dtype t, enum ax_act_fn fn, size_t n);
	/* One head: cos and sin of `half` elements. */
	void (*rope)(void *x1, void *x2, enum ax_dtype t, const float *cos, const float *sin, float sign, size_t half);
	/* One row; returns rstd. r NULL: not stored. x and r have type tr. */
	float (*norm_fwd)(void *y, void *r, const void *x, enum ax_dtype tr, const void *delta, const void *w, enum ax_dtype t, float w_add, float eps, bool cast_first, size_t n);
	/* One row; dw (f32) is added to. r has type tr. */
	void (*norm_bwd)(void *dx, float *dw, const void *dy, const void *dres, const void *r, enum ax_dtype tr, float rstd, const void *w, enum ax_dtype t, float w_add, size_t n);
	/* z *= scale, then soft-capped unless cap is 0, in place; returns log sum exp z. */
	double (*logits)(float *z, float scale, float cap, size_t n);
	/* dz (type t, may lie over z) = (exp(z - lse) - [v == target]) * factor * (1 - (z / cap)^2). */
	void (*logits_bwd)(void *dz, enum ax_dtype t, const float *z, double lse, size_t target, float factor, float cap, size_t n);
};

/* The instruction sets, in rising order, and the best that the processor has, but not above `most`. */
enum ax_isa { AX_ISA_BASE, AX_ISA_AVX2, AX_ISA_AVX512 /* F, BW, VL, DQ */, AX_ISA_AVX512_BF16 };
enum ax_isa ax_isa_best(enum ax_isa most);
const struct ax_kern *ax_kern_of(enum ax_isa isa);

extern const struct ax_kern ax_kern_base, ax_kern_avx2, ax_kern_avx512;

#endif
