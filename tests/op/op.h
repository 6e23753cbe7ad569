/*
 * What the op tests share: devices to test, tensors with guard zones, random fill, comparison with a result in double.
 *
 * The devices are the CPU's variants and the simulated GPU (the CUDA plugin in BUILD/sim), if this build has it. With
 * AX_TEST_DEVICE=cuda it is a GPU alone, with sim, sim-asan or sim-check that flavour of the simulated one alone.
 * An op that the plugin does not have is skipped and reported (RUNS). AX_TEST_ONLY=pattern runs the tests of that name alone.
 *
 * A tensor is device memory with a mirror on the host. tensor_get and tensor_set work on the mirror; dp() is the
 * device's pointer, for ops; what is newer is copied to the other side when that is used.
 */
#ifndef AX_TESTS_OP_H
#define AX_TESTS_OP_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "tensor/device.h"
#include "tensor/ops.h"

#define GUARD 256

/* --- devices -------------------------------------------------------------------------------------------------------- */

struct variant {
	const char *name;
	enum ax_dtype act;
	unsigned flags;
	bool cuda;
	enum ax_dtype grad; /* of gradients of weights */
};

static const struct variant variants[] = {
	{ "reference f32", AX_F32, AX_CPU_REFERENCE, false, AX_F32 },
	{ "reference bf16", AX_BF16, AX_CPU_REFERENCE, false, AX_F32 },
	{ "fast f32", AX_F32, 0, false, AX_F32 },
	{ "fast bf16", AX_BF16, 0, false, AX_F32 },
	{ "portable f32", AX_F32, AX_CPU_PORTABLE, false, AX_F32 },
	{ "portable bf16", AX_BF16, AX_CPU_PORTABLE, false, AX_F32 },
	{ "avx2 f32", AX_F32, AX_CPU_AVX2, false, AX_F32 },
	{ "avx2 bf16", AX_BF16, AX_CPU_AVX2, false, AX_F32 },
	{ "cuda f32", AX_F32, 0, true, AX_F32 },
	{ "cuda bf16", AX_BF16, 0, true, AX_F32 },
	/* for ops that give such gradients */
	{ "reference bf16, bf16 gradients", AX_BF16, AX_CPU_REFERENCE, false, AX_BF16 },
	{ "fast bf16, bf16 gradients", AX_BF16, 0, false, AX_BF16 },
	{ "portable bf16, bf16 gradients", AX_BF16, AX_CPU_PORTABLE, false, AX_BF16 },
	{ "avx2 bf16, bf16 gradients", AX_BF16, AX_CPU_AVX2, false, AX_BF16 },
	{ "cuda bf16, bf16 gradients", AX_BF16, 0, true, AX_BF16 },
};

#define N_GRAD_VARIANTS (sizeof(variants) / sizeof(variants[0]))
#define N_VARIANTS (N_GRAD_VARIANTS - 5)
#define REFERENCE (&variants[0])

/* CUDA devices stay open: opening one takes its time, on hardware and simulated. */
static struct ax_dev cuda_dev[2];
static bool cuda_absent;

__attribute__((constructor)) static void only_tests(void)
{
	if (getenv("AX_TEST_ONLY"))
		cmocka_set_test_filter(getenv("AX_TEST_ONLY"));
}

static inline const char *only_device(void)
{
	return getenv("AX_TEST_DEVICE");
}

static inline bool real_gpu(void)
{
	return only_device() && !strcmp(only_device(), "cuda");
}

/* BUILD/lib/ax or BUILD/sim/lib/ax, from BUILD/tests/op/test_x. */
static inline void plugin_dir(char *dir, size_t n)
{
	char exe[3072];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	assert_true(len > 0);
	exe[len] = '\0';
	for (int i = 0; i < 3; i++)
		*strrchr(exe, '/') = '\0';
	snprintf(dir, n, "%s%s%.20s/lib/ax", exe, real_gpu() ? "" : "/", real_gpu() ? "" : only_device() ? only_device() : "sim");
}

static inline struct ax_dev *cuda_open(enum ax_dtype act)
{
	struct ax_dev *d = &cuda_dev[act == AX_BF16];
	struct ax_dev_opt o = { .device = "cuda", .act = act, .deterministic = true };
	struct ax_err e = { 0 };
	char dir[4096], why[256], file[4200];

	if (d->ops || cuda_absent)
		return d->ops ? d : NULL;
	plugin_dir(dir, sizeof(dir));
	snprintf(file, sizeof(file), "%s/libax-cuda.so", dir);
	if (!only_device() && access(file, F_OK)) {
		cuda_absent = true;
		printf("ok - cuda # SKIP this build has no simulated plugin\n");
		return NULL;
	}
	o.plugin_dir = dir;
	if (ax_dev_open(d, &o, why, &e))
		fail_msg("cuda: %s", e.msg);
	if (real_gpu())
		printf("# %s\n", d->name);
	return d;
}

/* Is the device there, and has it the op at this offset of the table? Says so once an op if not. */
static inline bool variant_has(const struct variant *v, const char *op, size_t offset)
{
	static struct {
		const char *op;
		enum ax_dtype act;
	} said[64];
	static int n_said;
	struct ax_dev *d;
	void (*fn)(void);

	if (!v->cuda)
		return !only_device();
	d = cuda_open(v->act);
	if (!d)
		return false;
	memcpy(&fn, (const char *)d->ops + offset, sizeof(fn));
	for (int i = 0; !fn && i < n_said; i++)
		if (said[i].op == op && said[i].act == v->act)
			return false;
	if (!fn && n_said < 64) {
		said[n_said].op = op;
		said[n_said++].act = v->act;
		printf("ok - %s, %s # SKIP the plugin has no such op yet\n", v->name, op);
	}
	return fn != NULL;
}

/* Does variant v run ax_ops.op here? */
#define RUNS(v, op) variant_has(v, #op, offsetof(struct ax_ops, op))

static uint64_t fill_count;

static inline struct ax_dev dev_open(const struct variant *v, int threads)
{
	struct ax_dev d, *gpu;
	struct ax_err e = { 0 };

	fill_count = 0;
	if (v->cuda) {
		gpu = cuda_open(v->act);
		assert_non_null(gpu);
		d = *gpu;
	} else if (ax_cpu_open(&d, v->act, threads, v->flags, &e)) {
		fail_msg("%s: %s", v->name, e.msg);
	}
	d.grad = v->grad;
	return d;
}

static inline void dev_sync(struct ax_dev *d)
{
	struct ax_err e = { 0 };

	if (d->ops->sync(d, &e))
		fail_msg("%s", e.msg);
}

/* Scratch for the shapes that follow. */
static inline void dev_reserve(struct ax_dev *d, struct ax_shape s)
{
	struct ax_err e = { 0 };

	if (s.Nk < s.N)
		s.Nk = s.N;
	if (d->ops->reserve(d, &s, &e))
		fail_msg("reserve: %s", e.msg);
}

static inline void dev_close(struct ax_dev *d)
{
	dev_sync(d);
	if (d->impl != cuda_dev[0].impl && d->impl != cuda_dev[1].impl)
		ax_dev_close(d);
}

/* The groups' teardown. */
static inline int close_devices(void **state)
{
	ax_dev_close(&cuda_dev[0]);
	ax_dev_close(&cuda_dev[1]);
	return 0;
}

/* --- tensors -------------------------------------------------------------------------------------------------------- */

struct mirror {
	bool host_new, device_new;
	unsigned char bytes[]; /* guard, elements, guard */
};

struct tensor {
	struct ax_dev *d;
	unsigned char *base;
	struct mirror *m;
	enum ax_dtype t;
	size_t n, at; /* at: the first element's offset in base and bytes */
};

static inline size_t tensor_whole(const struct tensor *x)
{
	return x->at + x->n * ax_dtype_size(x->t) + GUARD;
}

/* n elements that begin `shift` elements after an address aligned to 256. */
static inline struct tensor tensor_shifted(struct ax_dev *d, enum ax_dtype t, size_t n, size_t shift)
{
	struct tensor x = { .d = d, .t = t, .n = n, .at = GUARD + shift * ax_dtype_size(t) };

	x.base = d->ops->alloc(d, tensor_whole(&x));
	x.m = malloc(sizeof(*x.m) + tensor_whole(&x));
	assert_non_null(x.base);
	assert_non_null(x.m);
	memset(x.m->bytes, 0xa5, tensor_whole(&x));
	x.m->host_new = true;
	x.m->device_new = false;
	return x;
}

static inline struct tensor tensor_new(struct ax_dev *d, enum ax_dtype t, size_t n)
{
	return tensor_shifted(d, t, n, 0);
}

/* The elements on the host, as they are now. */
static inline void *tensor_host(const struct tensor *x)
{
	if (x->m->device_new)
		x->d->ops->download(x->d, x->m->bytes, x->base, tensor_whole(x));
	x->m->device_new = false;
	return x->m->bytes + x->at;
}

/* The device's pointer: what the host has set is there, and an op may now write it. */
static inline void *dp(const struct tensor *x)
{
	if (x->m->host_new)
		x->d->ops->upload(x->d, x->base, x->m->bytes, tensor_whole(x));
	x->m->host_new = false;
	x->m->device_new = true;
	return x->base + x->at;
}

static inline void tensor_free(struct tensor *x)
{
	const unsigned char *end = (const unsigned char *)tensor_host(x) + x->n * ax_dtype_size(x->t);

	for (size_t i = 0; i < GUARD; i++) {
		assert_int_equal(x->m->bytes[i], 0xa5);
		assert_int_equal(end[i], 0xa5);
	}
	x->d->ops->free(x->d, x->base);
	free(x->m);
}

/* Element i of an array of type t. */
static inline double element(enum ax_dtype t, const void *p, size_t i)
{
	switch (t) {
	case AX_F32:
		return (double)((const float *)p)[i];
	case AX_BF16:
		return (double)ax_bf16_to_f32(((const uint16_t *)p)[i]);
	case AX_F16:
		return (double)ax_f16_to_f32(((const uint16_t *)p)[i]);
	default:
		return ((const double *)p)[i];
	}
}

static inline void set_element(enum ax_dtype t, void *p, size_t i, double v)
{
	if (t == AX_F32)
		((float *)p)[i] = (float)v;
	else if (t == AX_F64)
		((double *)p)[i] = v;
	else
		((uint16_t *)p)[i] = t == AX_BF16 ? ax_f32_to_bf16((float)v) : ax_f32_to_f16((float)v);
}

static inline double tensor_get(const struct tensor *x, size_t i)
{
	return element(x->t, tensor_host(x), i);
}

static inline void tensor_set(struct tensor *x, size_t i, double v)
{
	set_element(x->t, tensor_host(x), i, v);
	x->m->host_new = true;
}

/* v as a value of type t. */
static inline double rounded(enum ax_dtype t, double v)
{
	uint64_t bits = 0;

	set_element(t, &bits, 0, v);
	return element(t, &bits, 0);
}

/* Normal values times `scale`, the same in the same call of each variant (reset fill_count). */
static inline void tensor_fill(struct tensor *x, double scale)
{
	for (size_t i = 0; i < x->n; i++)
		tensor_set(x, i, scale * ax_rand_normal(1, AX_RNG_INIT, fill_count++));
}

static inline struct tensor tensor_random_shifted(struct ax_dev *d, enum ax_dtype t, size_t n, double scale, size_t shift)
{
	struct tensor x = tensor_shifted(d, t, n, shift);

	tensor_fill(&x, scale);
	return x;
}

static inline struct tensor tensor_random(struct ax_dev *d, enum ax_dtype t, size_t n, double scale)
{
	return tensor_random_shifted(d, t, n, scale, 0);
}

/* Raw data of the host, n elements of type t (AX_U8: bytes). */
static inline struct tensor tensor_of(struct ax_dev *d, enum ax_dtype t, const void *data, size_t n)
{
	struct tensor x = tensor_new(d, t, n);

	memcpy(tensor_host(&x), data, n * ax_dtype_size(t));
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

/* --- comparison ----------------------------------------------------------------------------------------------------- */

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

/*
 * x, a gradient of type v->grad, is the sum `want`: in f32 to `f32` of its norm; in bf16 each element is the sum rounded to nearest,
 * but for what summing in f32 costs.
 */
static inline void expect_sum(const char *what, const struct variant *v, const struct tensor *x, double *want, double f32)
{
	double square = 0, slack;

	if (v->grad == AX_F32) {
		expect_near(what, v->name, x, want, AX_F32, f32, 0);
		return;
	}
	for (size_t i = 0; i < x->n; i++)
		square += want[i] * want[i];
	slack = 1e-5 * sqrt(square / (double)x->n);
	for (size_t i = 0; i < x->n; i++) {
		double got = tensor_get(x, i), half = exp2(floor(log2(fmax(fabs(got), fabs(want[i])) + 1e-30)) - 8);

		if (!(fabs(got - want[i]) <= half + slack))
			fail_msg("%s, %s: element %zu is %.9g, not %.9g rounded", what, v->name, i, got, want[i]);
	}
	free(want);
}

#endif
