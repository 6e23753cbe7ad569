/*
 * What the op tests share: devices to test, tensors with guard zones, random fill, comparison with a result in double.
 */
#ifndef AX_TESTS_OP_H
#define AX_TESTS_OP_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "tensor/ops.h"

#define GUARD 256

struct variant {
	const char *name;
	enum ax_dtype act;
	unsigned flags;
};

static const struct variant variants[] = {
	{ "reference f32", AX_F32, AX_CPU_REFERENCE }, { "reference bf16", AX_BF16, AX_CPU_REFERENCE }, { "fast f32", AX_F32, 0 },
	{ "fast bf16", AX_BF16, 0 },		       { "portable f32", AX_F32, AX_CPU_PORTABLE },	{ "portable bf16", AX_BF16, AX_CPU_PORTABLE },
	{ "avx2 f32", AX_F32, AX_CPU_AVX2 },	       { "avx2 bf16", AX_BF16, AX_CPU_AVX2 },
};

#define N_VARIANTS (sizeof(variants) / sizeof(variants[0]))

struct tensor {
	struct ax_dev *d;
	unsigned char *base;
	void *p;
	enum ax_dtype t;
	size_t n;
};

static uint64_t fill_count;

static inline struct tensor tensor_new(struct ax_dev *d, enum ax_dtype t, size_t n)
{
	struct tensor x = { .d = d, .t = t, .n = n };
	size_t bytes = n * ax_dtype_size(t);

	x.base = d->ops->alloc(d, bytes + 2 * GUARD);
	assert_non_null(x.base);
	memset(x.base, 0xa5, bytes + 2 * GUARD);
	x.p = x.base + GUARD;
	return x;
}

static inline void tensor_free(struct tensor *x)
{
	for (size_t i = 0; i < GUARD; i++) {
		assert_int_equal(x->base[i], 0xa5);
		assert_int_equal(x->base[GUARD + x->n * ax_dtype_size(x->t) + i], 0xa5);
	}
	x->d->ops->free(x->d, x->base);
}

static inline double tensor_get(const struct tensor *x, size_t i)
{
	switch (x->t) {
	case AX_F32:
		return (double)((const float *)x->p)[i];
	case AX_BF16:
		return (double)ax_bf16_to_f32(((const uint16_t *)x->p)[i]);
	case AX_F16:
		return (double)ax_f16_to_f32(((const uint16_t *)x->p)[i]);
	default:
		return ((const double *)x->p)[i];
	}
}

static inline void tensor_set(struct tensor *x, size_t i, double v)
{
	if (x->t == AX_F32)
		((float *)x->p)[i] = (float)v;
	else if (x->t == AX_F64)
		((double *)x->p)[i] = v;
	else
		((uint16_t *)x->p)[i] = x->t == AX_BF16 ? ax_f32_to_bf16((float)v) : ax_f32_to_f16((float)v);
}

/* Normal values times `scale`, the same in the same call of each variant (reset fill_count). */
static inline void tensor_fill(struct tensor *x, double scale)
{
	for (size_t i = 0; i < x->n; i++)
		tensor_set(x, i, scale * ax_rand_normal(1, AX_RNG_INIT, fill_count++));
}

static inline struct tensor tensor_random(struct ax_dev *d, enum ax_dtype t, size_t n, double scale)
{
	struct tensor x = tensor_new(d, t, n);

	tensor_fill(&x, scale);
	return x;
}

static inline double *tensor_doubles(const struct tensor *x)
{
	double *v = malloc((x->n + 1) * sizeof(*v));

	assert_non_null(v);
	for (size_t i = 0; i < x->n; i++)
		v[i] = tensor_get(x, i);
	return v;
}

static inline double *doubles(size_t n)
{
	double *v = calloc(n + 1, sizeof(*v));

	assert_non_null(v);
	return v;
}

static inline double rel_error(const struct tensor *x, const double *want)
{
	double err = 0, ref = 0;

	for (size_t i = 0; i < x->n; i++) {
		double v = tensor_get(x, i);

		err += (v - want[i]) * (v - want[i]);
		ref += want[i] * want[i];
	}
	return sqrt(err) / (sqrt(ref) + 1e-30);
}

/* Relative norm of the error of x below `f32` or, in bf16, `bf16`; frees want. */
static inline void expect_near(const char *what, const char *variant, const struct tensor *x, double *want, enum ax_dtype act, double f32, double bf16)
{
	double e = rel_error(x, want), limit = act == AX_F32 ? f32 : bf16;

	if (!(e <= limit))
		fail_msg("%s, %s: relative error %g above %g", what, variant, e, limit);
	free(want);
}

static inline struct ax_dev dev_open(const struct variant *v, int threads)
{
	struct ax_dev d;
	struct ax_err e = { 0 };

	if (ax_cpu_open(&d, v->act, threads, v->flags, &e))
		fail_msg("%s: %s", v->name, e.msg);
	fill_count = 0;
	return d;
}

static inline void dev_close(struct ax_dev *d)
{
	struct ax_err e = { 0 };

	if (d->ops->sync(d, &e))
		fail_msg("%s", e.msg);
	ax_cpu_close(d);
}

#endif
