/* Memory of a device, and copies between it and the host. */
#include <pthread.h>

#include "op.h"

static const struct ax_shape shape = { .N = 100, .Nk = 100, .C = 64, .F = 128, .O = 256, .V = 1000, .n_head = 4, .n_kv = 2, .head_dim = 16 };

static void refused(void **state)
{
	struct ax_err e = { 0 };
	struct ax_dev d;

	assert_int_equal(ax_cpu_open(&d, AX_F16, 1, 0, &e), AX_EUSAGE);
	ax_cpu_close(&d);
}

/* For each device that is here. */
static void each(void (*fn)(struct ax_dev *d))
{
	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++) {
		struct ax_dev d;

		if (!RUNS(v, alloc))
			continue;
		d = dev_open(v, 2);
		fn(&d);
		dev_close(&d);
	}
}

static void check_bytes(struct ax_dev *d, const unsigned char *p, size_t n, const unsigned char *want)
{
	unsigned char *got = malloc(n);

	d->ops->download(d, got, p, n);
	assert_memory_equal(got, want, n);
	free(got);
}

static void memory_of(struct ax_dev *d)
{
	const size_t n = 5 << 20;
	unsigned char *p = d->ops->alloc(d, n), *want = calloc(n, 1);

	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 256, 0);
	check_bytes(d, p, n, want);
	memset(want, 7, n);
	d->ops->upload(d, p, want, n);
	d->ops->zero(d, p + 3, 100001);
	memset(want + 3, 0, 100001);
	check_bytes(d, p, n, want);
	d->ops->copy(d, p, p + 100004, 100001);
	memcpy(want, want + 100004, 100001);
	check_bytes(d, p, n, want);
	d->ops->zero(d, p, 0);
	d->ops->copy(d, p, p, 0);
	d->ops->upload(d, p, want, 0);
	check_bytes(d, p, n, want);
	dev_sync(d);
	d->ops->free(d, p);
	d->ops->free(d, NULL);
	assert_null(d->ops->alloc(d, SIZE_MAX - 4096));
	dev_sync(d); /* that one is too large is no failure of the device */
	free(want);
}

static void memory(void **state)
{
	each(memory_of);
}

/* The source of an upload may be used again at once, also when more is under way than the device's staging memory holds. */
static void uploads_of(struct ax_dev *d)
{
	enum { N = 700, BYTES = 100003 };
	unsigned char *p = d->ops->alloc(d, (size_t)N * BYTES), *one = malloc(BYTES);

	assert_non_null(p);
	for (int i = 0; i < N; i++) {
		memset(one, i * 7 + 1, BYTES);
		d->ops->upload(d, p + (size_t)i * BYTES, one, BYTES);
	}
	for (int i = 0; i < N; i += 23) {
		memset(one, i * 7 + 1, BYTES);
		check_bytes(d, p + (size_t)i * BYTES, BYTES, one);
	}
	free(one);
	d->ops->free(d, p);
}

static void uploads(void **state)
{
	each(uploads_of);
}

struct reader {
	struct ax_dev *d;
	const unsigned char *p;
	unsigned char *to;
	size_t n;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;

	for (int i = 0; i < 3; i++)
		r->d->ops->download(r->d, r->to, r->p, r->n);
	return NULL;
}

/* A second thread downloads what was there before the last sync while the first goes on. */
static void second_thread_of(struct ax_dev *d)
{
	const size_t n = (9 << 20) + 5;
	unsigned char *p = d->ops->alloc(d, n), *other = d->ops->alloc(d, n), *want = malloc(n), *got = calloc(n, 1);
	struct reader r = { d, p, got, n };
	pthread_t t;

	for (size_t i = 0; i < n; i++)
		want[i] = (unsigned char)(i * 31 + i / 4099);
	d->ops->upload(d, p, want, n);
	dev_sync(d);
	assert_int_equal(pthread_create(&t, NULL, read_all, &r), 0);
	for (int i = 0; i < 10; i++)
		d->ops->copy(d, other, p, n);
	check_bytes(d, other, n, want);
	pthread_join(t, NULL);
	assert_memory_equal(got, want, n);
	d->ops->free(d, p);
	d->ops->free(d, other);
	free(want);
	free(got);
}

static void second_thread(void **state)
{
	each(second_thread_of);
}

static void scratch_of(struct ax_dev *d)
{
	struct ax_shape larger = shape;
	size_t bytes = d->ops->scratch_bytes(d, &shape);

	dev_reserve(d, shape);
	larger.N *= 3;
	larger.V *= 5;
	assert_true(d->ops->scratch_bytes(d, &larger) >= bytes);
	assert_int_equal(d->ops->scratch_bytes(d, &shape), bytes);
	dev_reserve(d, larger);
	dev_reserve(d, shape);
}

static void scratch(void **state)
{
	each(scratch_of);
}

/* A device of the test's own, where the build has one. */
static bool own_gpu(struct ax_dev *d)
{
	struct ax_dev_opt o = { .device = "cuda", .act = AX_F32 };
	struct ax_err e = { 0 };
	char dir[4096], why[256];

	if (!RUNS(&variants[8], alloc))
		return false;
	plugin_dir(dir, sizeof(dir));
	o.plugin_dir = dir;
	assert_int_equal(ax_dev_open(d, &o, why, &e), 0);
	return true;
}

/* A failure stays, and says which op it was: here of one that needs more scratch than was reserved. */
static void failure(void **state)
{
	struct ax_err e = { 0 };
	struct ax_dev d;
	float *x;

	if (!RUNS(&variants[8], bias_grad) || !own_gpu(&d))
		return;
	x = d.ops->alloc(&d, 3000 * 8 * sizeof(float));
	d.ops->bias_grad(&d, x, x, 8, 2999, 8);
	d.ops->zero(&d, x, 100);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(d.ops->sync(&d, &e), AX_ECOMM);
		assert_non_null(strstr(e.msg, "bias_grad: "));
		assert_non_null(strstr(e.msg, "of scratch, but 0 are reserved"));
	}
	ax_dev_close(&d);
}

/* Memory may be freed and the device closed while it works: they wait. */
static void end_at_work(void **state)
{
	static const unsigned char bytes[100000];
	struct ax_dev d;
	unsigned char *x, *y;

	if (!own_gpu(&d))
		return;
	x = d.ops->alloc(&d, sizeof(bytes));
	y = d.ops->alloc(&d, sizeof(bytes));
	d.ops->upload(&d, x, bytes, sizeof(bytes));
	d.ops->copy(&d, y, x, sizeof(bytes));
	d.ops->free(&d, x);
	d.ops->upload(&d, y, bytes, sizeof(bytes));
	ax_dev_close(&d);
}

/* AX_CUDA_PROFILE=1: more ops than it has events, so that it reads times while the device has more to do. */
static void profile(void **state)
{
	struct ax_err e = { 0 };
	struct ax_dev d;
	float *x;

	setenv("AX_CUDA_PROFILE", "1", 1);
	if (own_gpu(&d)) {
		x = d.ops->alloc(&d, 16);
		for (int i = 0; i < 9000; i++)
			d.ops->zero(&d, x, 16);
		assert_int_equal(d.ops->sync(&d, &e), 0);
		d.ops->free(&d, x);
		ax_dev_close(&d);
	}
	unsetenv("AX_CUDA_PROFILE");
}

static void run_recorded(struct ax_dev *d, struct tensor *x, struct tensor *y)
{
	float *px = dp(x), *py = dp(y);
	int n_replayed = 0;

	for (int i = 0; i < 6; i++) {
		if (d->ops->record_begin && d->ops->record_begin(d, 7)) {
			n_replayed++;
			continue;
		}
		d->ops->axpy(d, py, AX_F32, px, AX_F32, 0.5f, x->n);
		d->ops->zero(d, px, 4 * sizeof(float));
		if (d->ops->record_end)
			d->ops->record_end(d);
	}
	assert_int_equal(n_replayed, d->ops->record_begin ? 4 : 0);
}

/* A sequence that is recorded gives what it gives without. */
static void recording_of(struct ax_dev *d)
{
	enum { N = 1000 };
	struct tensor x = tensor_random(d, AX_F32, N, 1), y = tensor_random(d, AX_F32, N, 1);
	double *want = tensor_doubles(&y);

	for (size_t i = 0; i < N; i++) /* six times half of x, of which the first run leaves the first four elements 0 */
		want[i] += (i < 4 ? 0.5 : 3) * tensor_get(&x, i);
	run_recorded(d, &x, &y);
	if (!(rel_error(&y, want) <= 1e-6))
		fail_msg("a recorded sequence gives something else");
	free(want);
	tensor_free(&x);
	tensor_free(&y);
}

static void recording(void **state)
{
	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++)
		if (RUNS(v, axpy)) {
			struct ax_dev d = dev_open(v, 2);

			recording_of(&d);
			dev_close(&d);
		}
}

/* The GPU has every op: one that is missing would be skipped by all other tests. */
static void no_op_is_missing(void **state)
{
	void (*fn)(void);

	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++) {
		struct ax_dev *d = v->cuda ? cuda_open(v->act) : NULL;

		for (size_t at = 0; d && at < sizeof(*d->ops); at += sizeof(fn)) {
			memcpy(&fn, (const char *)d->ops + at, sizeof(fn));
			if (!fn)
				fail_msg("%s: the %zuth function of struct ax_ops is missing", v->name, at / sizeof(fn));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),	 cmocka_unit_test(memory),  cmocka_unit_test(uploads),
		cmocka_unit_test(second_thread), cmocka_unit_test(scratch), cmocka_unit_test(recording), cmocka_unit_test(failure),
		cmocka_unit_test(no_op_is_missing),
		cmocka_unit_test(end_at_work),	 cmocka_unit_test(profile),
	};

	return cmocka_run_group_tests_name("op: memory and copies", tests, NULL, close_devices);
}
