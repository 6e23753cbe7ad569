/* Bodies of struct ax_kern; the including file defines VL, KERN (the table's name) and ISA (its label). */
#include "tensor/cpu/kern.h"
#include "tensor/cpu/vec.h"

/* Run `body`, a statement that uses i and the number of elements k at i, over n elements. */
#define EACH(n)                                                                                                        \
	for (size_t i = 0, k; i < (n) && (k = (n) - i, 1); i += VL)

/* A function for each type: the compiler drops the branches on t inside. */
#define BY_TYPE(t, call_f32, call_bf16)                                                                                \
	do {                                                                                                           \
		if ((t) == AX_F32)                                                                                     \
			call_f32;                                                                                      \
		else                                                                                                   \
			call_bf16;                                                                                     \
	} while (0)

INLINE void cast_as(void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, size_t n)
{
	EACH(n)
		store_n(y, ty, i, load_n(x, tx, i, k), k);
}

static void cast(void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, size_t n)
{
	if (ty == tx)
		memmove(y, x, n * (ty == AX_F32 ? 4 : 2));
	else if (ty == AX_F32)
		cast_as(y, AX_F32, x, AX_BF16, n);
	else
		cast_as(y, AX_BF16, x, AX_F32, n);
}

INLINE void axpy_as(void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, float alpha, size_t n)
{
	EACH(n)
		store_n(y, ty, i, load_n(y, ty, i, k) + alpha * load_n(x, tx, i, k), k);
}

static void axpy(void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, float alpha, size_t n)
{
	if (ty == AX_F32)
		BY_TYPE(tx, axpy_as(y, AX_F32, x, AX_F32, alpha, n), axpy_as(y, AX_F32, x, AX_BF16, alpha, n));
	else
		BY_TYPE(tx, axpy_as(y, AX_BF16, x, AX_F32, alpha, n), axpy_as(y, AX_BF16, x, AX_BF16, alpha, n));
}

static void scale(float *x, float alpha, size_t n)
{
	EACH(n)
		store_n(x, AX_F32, i, load_n(x, AX_F32, i, k) * alpha, k);
}

INLINE void add_as(void *y, const void *a, const void *b, enum ax_dtype t, size_t n)
{
	EACH(n)
		store_n(y, t, i, load_n(a, t, i, k) + load_n(b, t, i, k), k);
}

static void add(void *y, const void *a, const void *b, enum ax_dtype t, size_t n)
{
	BY_TYPE(t, add_as(y, a, b, AX_F32, n), add_as(y, a, b, AX_BF16, n));
}

typedef double vd __attribute__((vector_size(8 * VL)));

INLINE double sumsq_as(const void *x, enum ax_dtype t, size_t n)
{
	vd sum = { 0 };
	double s = 0;

	EACH(n) {
		vd d = __builtin_convertvector(load_n(x, t, i, k), vd);

		sum += d * d;
	}
	for (int i = 0; i < VL; i++)
		s += sum[i];
	return s;
}

static double sumsq(const void *x, enum ax_dtype t, size_t n)
{
	return t == AX_F32 ? sumsq_as(x, AX_F32, n) : sumsq_as(x, AX_BF16, n);
}

#include "tensor/cpu/kern_adamw.h"

INLINE vf act_fn(enum ax_act_fn fn, vf x, vf *slope)
{
	if (fn == AX_ACT_SILU) {
		vf s = 1.0f / (1.0f + vexp(-x));

		*slope = s * (1.0f + x * (1.0f - s));
		return x * s;
	}
	if (fn == AX_ACT_GELU) {
		vf cdf = 0.5f * (1.0f + verf(x * 0.70710678f));

		*slope = cdf + x * 0.39894228f * vexp(-0.5f * x * x);
		return x * cdf;
	}
	vf t = vtanh(0.79788456f * (x + 0.044715f * x * x * x));

	*slope = 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * 0.79788456f * (1.0f + 0.134145f * x * x);
	return 0.5f * x * (1.0f + t);
}

INLINE void glu_fwd_as(void *h, const void *gate, const void *up, enum ax_dtype t, enum ax_act_fn fn, size_t n)
{
	vf slope;

	EACH(n)
		store_n(h, t, i, act_fn(fn, load_n(gate, t, i, k), &slope) * load_n(up, t, i, k), k);
}

#define BY_ACT(fn, f, ...)                                                                                             \
	do {                                                                                                           \
		if ((fn) == AX_ACT_SILU)                                                                               \
			f(__VA_ARGS__, AX_ACT_SILU, n);                                                                \
		else if ((fn) == AX_ACT_GELU)                                                                          \
			f(__VA_ARGS__, AX_ACT_GELU, n);                                                                \
		else                                                                                                   \
			f(__VA_ARGS__, AX_ACT_GELU_TANH, n);                                                           \
	} while (0)

static void glu_fwd(void *h, const void *gate, const void *up, enum ax_dtype t, enum ax_act_fn fn, size_t n)
{
	if (t == AX_F32)
		BY_ACT(fn, glu_fwd_as, h, gate, up, AX_F32);
	else
		BY_ACT(fn, glu_fwd_as, h, gate, up, AX_BF16);
}

INLINE void glu_bwd_as(void *dgate, void *dup, const void *dh, const void *gate, const void *up, enum ax_dtype t, enum ax_act_fn fn, size_t n)
{
	EACH(n) {
		vf dy = load_n(dh, t, i, k), u = load_n(up, t, i, k), slope, a = act_fn(fn, load_n(gate, t, i, k), &slope);

		store_n(dgate, t, i, dy * u * slope, k);
		store_n(dup, t, i, dy * a, k);
	}
}

static void glu_bwd(void *dgate, void *dup, const void *dh, const void *gate, const void *up, enum ax_dtype t, enum ax_act_fn fn, size_t n)
{
	if (t == AX_F32)
		BY_ACT(fn, glu_bwd_as, dgate, dup, dh, gate, up, AX_F32);
	else
		BY_ACT(fn, glu_bwd_as, dgate, dup, dh, gate, up, AX_BF16);
}

INLINE void rope_as(void *x1, void *x2, enum ax_dtype t, const float *cos, const float *sin, float sign, size_t half)
{
	EACH(half) {
		vf a = load_n(x1, t, i, k), b = load_n(x2, t, i, k);
		vf c = load_n(cos, AX_F32, i, k), s = load_n(sin, AX_F32, i, k) * sign;

		store_n(x1, t, i, a * c - b * s, k);
		store_n(x2, t, i, b * c + a * s, k);
	}
}

static void rope(void *x1, void *x2, enum ax_dtype t, const float *cos, const float *sin, float sign, size_t half)
{
	BY_TYPE(t, rope_as(x1, x2, AX_F32, cos, sin, sign, half), rope_as(x1, x2, AX_BF16, cos, sin, sign, half));
}

INLINE float norm_fwd_as(void *y, void *r, const void *x, enum ax_dtype tr, const void *delta, const void *w, enum ax_dtype t, float w_add, float eps, bool cast_first, size_t n)
{
	vf sum = { 0 };
	float rstd;

	EACH(n) {
		vf v = load_n(x, tr, i, k);

		if (delta)
			v += load_n(delta, t, i, k);
		if (r)
			store_n(r, tr, i, v, k);
		v = round_to(tr, v);
		sum += v * v;
	}
	rstd = 1 / sqrtf(sum_lanes(sum) / (float)n + eps);
	if (r)
		x = r;
	EACH(n) {
		vf h = load_n(x, tr, i, k) * rstd;

		store_n(y, t, i, (cast_first ? round_to(t, h) : h) * (load_n(w, t, i, k) + w_add), k);
	}
	return rstd;
}

static float norm_fwd(void *y, void *r, const void *x, enum ax_dtype tr, const void *delta, const void *w, enum ax_dtype t, float w_add, float eps, bool cast_first, size_t n)
{
	if (t == AX_F32)
		return norm_fwd_as(y, r, x, AX_F32, delta, w, AX_F32, w_add, eps, false, n);
	if (tr == AX_F32)
		return norm_fwd_as(y, r, x, AX_F32, delta, w, AX_BF16, w_add, eps, cast_first, n);
	return norm_fwd_as(y, r, x, AX_BF16, delta, w, AX_BF16, w_add, eps, cast_first, n);
}

INLINE void norm_bwd_as(void *dx, float *dw, const void *dy, const void *dres, const void *r, enum ax_dtype tr, float rstd, const void *w, enum ax_dtype t, float w_add, size_t n)
{
	vf sum = { 0 };
	float dot;

	EACH(n)
		sum += load_n(dy, t, i, k) * (load_n(w, t, i, k) + w_add) * load_n(r, tr, i, k);
	dot = sum_lanes(sum) * rstd / (float)n;
	EACH(n) {
		vf g = load_n(dy, t, i, k), h = load_n(r, tr, i, k) * rstd;
		vf dr = rstd * (g * (load_n(w, t, i, k) + w_add) - h * dot);

		if (dres)
			dr += load_n(dres, t, i, k);
		store_n(dw, AX_F32, i, load_n(dw, AX_F32, i, k) + g * h, k);
		store_n(dx, t, i, dr, k);
	}
}

static void norm_bwd(void *dx, float *dw, const void *dy, const void *dres, const void *r, enum ax_dtype tr, float rstd, const void *w, enum ax_dtype t, float w_add, size_t n)
{
	if (t == AX_F32)
		norm_bwd_as(dx, dw, dy, dres, r, AX_F32, rstd, w, AX_F32, w_add, n);
	else if (tr == AX_F32)
		norm_bwd_as(dx, dw, dy, dres, r, AX_F32, rstd, w, AX_BF16, w_add, n);
	else
		norm_bwd_as(dx, dw, dy, dres, r, AX_BF16, rstd, w, AX_BF16, w_add, n);
}

static double logits(float *z, float factor, float cap, size_t n)
{
	vf top = splat(-INFINITY);
	double sum = 0;
	float max;

	if (factor != 1 || cap > 0) /* NaN and infinity pass: only a finite cap changes the shape */
		EACH(n) {
			vf v = load_n(z, AX_F32, i, k) * factor;

			store_n(z, AX_F32, i, cap > 0 ? cap * vtanh(v / cap) : v, k);
		}
	for (size_t i = 0; i + VL <= n; i += VL)
		top = vmax(load(z, AX_F32, i), top);
	max = max_lanes(top);
	for (size_t i = n - n % VL; i < n; i++)
		max = z[i] > max ? z[i] : max;
	/* f32 lanes over stretches of 1,024 vectors at most, then double */
	for (size_t from = 0; from < n; from += 1024 * VL) {
		size_t to = n - from > 1024 * VL ? from + 1024 * VL : n, i = from;
		vf part = { 0 };

		for (; i + VL <= to; i += VL)
			part += vexp(load(z, AX_F32, i) - max);
		sum += (double)sum_lanes(part);
		for (; i < to; i++)
			sum += exp((double)z[i] - (double)max);
	}
	return (double)max + log(sum);
}

INLINE void logits_bwd_as(void *dz, enum ax_dtype t, const float *z, float lse, float factor, float cap, size_t n)
{
	EACH(n) {
		vf v = load_n(z, AX_F32, i, k), g = vexp(v - lse) * factor;

		if (cap > 0)
			g *= 1.0f - (v / cap) * (v / cap);
		store_n(dz, t, i, g, k);
	}
}

static void logits_bwd(void *dz, enum ax_dtype t, const float *z, double lse, size_t target, float factor, float cap, size_t n)
{
	float v = z[target], g = (float)expm1((double)v - lse) * factor * (cap > 0 ? 1 - v / cap * (v / cap) : 1);

	if (t == AX_F32) {
		logits_bwd_as(dz, AX_F32, z, (float)lse, factor, cap, n);
		((float *)dz)[target] = g;
	} else {
		logits_bwd_as(dz, AX_BF16, z, (float)lse, factor, cap, n);
		((uint16_t *)dz)[target] = ax_f32_to_bf16(g);
	}
}

const struct ax_kern KERN = {
	.isa = ISA,
	.cast = cast,
	.axpy = axpy,
	.scale = scale,
	.add = add,
	.sumsq = sumsq,
	.adamw = adamw,
	.adamw_round = adamw_round,
	.glu_fwd = glu_fwd,
	.glu_bwd = glu_bwd,
	.rope = rope,
	.norm_fwd = norm_fwd,
	.norm_bwd = norm_bwd,
	.logits = logits,
	.logits_bwd = logits_bwd,
};
