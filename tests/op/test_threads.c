/* Every op gives the same bits for 1, 2 and 3 threads; NaN and infinity come out where they went in. */
#include "op.h"

#define N_OUT 24

/* The outputs of one run of everything, one after the other. */
struct record {
	unsigned char *p[N_OUT];
	size_t bytes[N_OUT];
	int n;
};

static void keep(struct record *r, const struct tensor *x)
{
	size_t bytes = x->n * ax_dtype_size(x->t);

	assert_true(r->n < N_OUT);
	r->p[r->n] = malloc(bytes);
	memcpy(r->p[r->n], x->p, bytes);
	r->bytes[r->n++] = bytes;
}

static void run_products(struct ax_dev *d, struct record *r)
{
	enum { N = 300, I = 200, O = 640 };
	struct tensor x = tensor_random(d, d->act, N * I, 1), w = tensor_random(d, d->act, O * I, 1), b = tensor_random(d, d->act, O, 1);
	struct tensor y = tensor_new(d, d->act, N * O), dx = tensor_random(d, d->act, N * I, 1), dw = tensor_random(d, AX_F32, O * I, 1);
	struct tensor db = tensor_random(d, AX_F32, O, 1);

	d->ops->linear_fwd(d, y.p, O, x.p, I, w.p, b.p, N, I, O);
	d->ops->linear_dx(d, dx.p, I, y.p, O, w.p, N, I, O, true);
	d->ops->linear_dw(d, dw.p, y.p, O, x.p, I, N, I, O);
	d->ops->bias_grad(d, db.p, y.p, O, N, O);
	keep(r, &y);
	keep(r, &dx);
	keep(r, &dw);
	keep(r, &db);
	tensor_free(&x);
	tensor_free(&w);
	tensor_free(&b);
	tensor_free(&y);
	tensor_free(&dx);
	tensor_free(&dw);
	tensor_free(&db);
}

static void run_rows(struct ax_dev *d, struct record *r)
{
	enum { N = 200, C = 130, F = 65 };
	struct tensor x = tensor_random(d, d->act, N * C, 1), w = tensor_random(d, d->act, C, 1), y = tensor_new(d, d->act, N * C);
	struct tensor rstd = tensor_new(d, AX_F32, N), dw = tensor_random(d, AX_F32, C, 1), h = tensor_new(d, d->act, N * F), r32 = tensor_random(d, AX_F32, N * C, 1);
	struct tensor table = tensor_random(d, AX_F32, 7 * C, 1), sum = tensor_new(d, AX_F64, 1), big = tensor_random(d, AX_F32, 100003, 1);
	int32_t ids[N];

	for (int i = 0; i < N; i++)
		ids[i] = i * i % 7;
	d->ops->rmsnorm_fwd(d, y.p, r32.p, rstd.p, r32.p, x.p, w.p, 0, 1e-5f, true, N, C);
	keep(r, &y);
	d->ops->rmsnorm_bwd(d, y.p, dw.p, y.p, x.p, r32.p, rstd.p, w.p, 0, N, C);
	keep(r, &y);
	keep(r, &dw);
	d->ops->glu_fwd(d, h.p, x.p, AX_ACT_SILU, N, F);
	keep(r, &h);
	d->ops->glu_bwd(d, y.p, h.p, x.p, AX_ACT_SILU, N, F);
	keep(r, &y);
	d->ops->embed_bwd(d, table.p, x.p, ids, 1, N, C, 7);
	keep(r, &table);
	d->ops->sumsq(d, sum.p, big.p, big.n);
	keep(r, &sum);
	tensor_free(&x);
	tensor_free(&w);
	tensor_free(&y);
	tensor_free(&rstd);
	tensor_free(&r32);
	tensor_free(&dw);
	tensor_free(&h);
	tensor_free(&table);
	tensor_free(&sum);
	tensor_free(&big);
}

static void run_attention(struct ax_dev *d, struct record *r)
{
	enum { N = 300, NH = 4, NKV = 2, HD = 48 };
	static const struct ax_seg seg[] = { { 0, 170, 0, 170, 0 }, { 170, 5, 170, 5, 0 }, { 180, 110, 180, 110, 0 } };
	const struct ax_attn p = { NH, NKV, HD, 0.15f, 0, 0 };
	struct tensor q = tensor_random(d, d->act, N * NH * HD, 1), k = tensor_random(d, d->act, N * NKV * HD, 1), v = tensor_random(d, d->act, N * NKV * HD, 1);
	struct tensor o = tensor_new(d, d->act, q.n), go = tensor_random(d, d->act, q.n, 1), lse = tensor_new(d, AX_F32, N * NH);
	struct tensor dq = tensor_new(d, d->act, q.n), dk = tensor_new(d, d->act, k.n), dv = tensor_new(d, d->act, k.n);
	struct tensor *t[] = { &o, &lse, &dq, &dk, &dv, &q, &k, &v, &go };

	d->ops->attn_fwd(d, o.p, lse.p, q.p, NH * HD, k.p, v.p, NKV * HD, seg, 3, N, N, &p);
	d->ops->attn_bwd(d, dq.p, dk.p, dv.p, go.p, q.p, NH * HD, k.p, v.p, NKV * HD, o.p, lse.p, seg, 3, N, N, &p);
	for (size_t i = 0; i < 5; i++)
		keep(r, t[i]);
	for (size_t i = 0; i < 9; i++)
		tensor_free(t[i]);
}

static void run_head(struct ax_dev *d, struct record *r)
{
	enum { N = 170, C = 64, V = 1000 };
	const struct ax_head p = { 0, 1, N };
	const float scale = 0.01f;
	struct tensor x = tensor_random(d, d->act, N * C, 1), w = tensor_random(d, d->act, V * C, 0.2), dx = tensor_new(d, d->act, N * C);
	struct tensor dw = tensor_random(d, AX_F32, V * C, 1), loss = tensor_new(d, AX_F64, 1);
	int32_t target[N];

	for (int i = 0; i < N; i++)
		target[i] = i % 4 ? i * 5 : -1;
	tensor_set(&loss, 0, 0);
	d->ops->head_loss(d, loss.p, dx.p, dw.p, NULL, x.p, w.p, target, NULL, &scale, &p, N, C, V);
	keep(r, &loss);
	keep(r, &dx);
	keep(r, &dw);
	tensor_free(&x);
	tensor_free(&w);
	tensor_free(&dx);
	tensor_free(&dw);
	tensor_free(&loss);
}

static struct record run_all(const struct variant *v, int threads)
{
	struct ax_dev d = dev_open(v, threads);
	struct record r = { .n = 0 };

	run_products(&d, &r);
	run_rows(&d, &r);
	run_attention(&d, &r);
	run_head(&d, &r);
	dev_close(&d);
	return r;
}

static void same_bits(void **state)
{
	for (size_t v = 2; v < N_VARIANTS; v++) {
		struct record one = run_all(&variants[v], 1);

		for (int threads = 1; threads <= 3; threads++) {
			struct record r = run_all(&variants[v], threads);

			for (int i = 0; i < r.n; i++) {
				if (memcmp(r.p[i], one.p[i], r.bytes[i]) != 0)
					fail_msg("%s: output %d differs with %d threads", variants[v].name, i, threads);
				free(r.p[i]);
			}
		}
		for (int i = 0; i < one.n; i++)
			free(one.p[i]);
	}
}

static bool has_nan(const struct tensor *x, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (isnan(tensor_get(x, i)))
			return true;
	return false;
}

/* A NaN in row 1 of the input must reach row 1 of the output, and no other row. */
static void nan_rows(struct ax_dev *d, const char *name)
{
	enum { N = 3, C = 40 };
	struct tensor x = tensor_random(d, d->act, N * C, 1), w = tensor_random(d, d->act, C * C, 1), y = tensor_new(d, d->act, N * C);
	struct tensor rstd = tensor_new(d, AX_F32, N), h = tensor_new(d, d->act, N * C / 2), r = tensor_random(d, AX_F32, N * C, 1);

	tensor_set(&x, C + 7, (double)NAN);
	tensor_set(&r, C + 7, (double)NAN);
	d->ops->linear_fwd(d, y.p, C, x.p, C, w.p, NULL, N, C, C);
	if (!has_nan(&y, C, 2 * C) || has_nan(&y, 0, C) || has_nan(&y, 2 * C, 3 * C))
		fail_msg("NaN in linear_fwd, %s", name);
	d->ops->rmsnorm_fwd(d, y.p, NULL, rstd.p, r.p, NULL, w.p, 0, 1e-6f, true, N, C);
	if (!has_nan(&y, C, 2 * C) || has_nan(&y, 0, C) || has_nan(&y, 2 * C, 3 * C))
		fail_msg("NaN in rmsnorm_fwd, %s", name);
	for (int fn = AX_ACT_SILU; fn <= AX_ACT_GELU; fn++) {
		d->ops->glu_fwd(d, h.p, x.p, (enum ax_act_fn)fn, N, C / 2);
		if (!has_nan(&h, C / 2, C) || has_nan(&h, 0, C / 2) || has_nan(&h, C, 3 * C / 2))
			fail_msg("NaN in glu_fwd %d, %s", fn, name);
	}
	tensor_free(&x);
	tensor_free(&w);
	tensor_free(&y);
	tensor_free(&rstd);
	tensor_free(&r);
	tensor_free(&h);
}

static void nan_loss(struct ax_dev *d, const char *name, double bad)
{
	enum { N = 4, C = 8, V = 50 };
	const struct ax_head p = { 0, 1, N };
	const float scale = 1;
	struct tensor x = tensor_random(d, d->act, N * C, 1), w = tensor_random(d, d->act, V * C, 1), dx = tensor_new(d, d->act, N * C), loss = tensor_new(d, AX_F64, 1);
	const int32_t target[N] = { 3, 9, 4, 40 };

	tensor_set(&loss, 0, 0);
	tensor_set(&x, 2 * C + 1, bad);
	d->ops->head_loss(d, loss.p, dx.p, NULL, NULL, x.p, w.p, target, NULL, &scale, &p, N, C, V);
	if (isfinite(tensor_get(&loss, 0)) || !has_nan(&dx, 2 * C, 3 * C) || has_nan(&dx, 0, 2 * C))
		fail_msg("%g in head_loss, %s", bad, name);
	tensor_free(&x);
	tensor_free(&w);
	tensor_free(&dx);
	tensor_free(&loss);
}

static void nan_attention(struct ax_dev *d, const char *name)
{
	enum { N = 20, HD = 16 };
	static const struct ax_seg seg[] = { { 0, 9, 0, 9, 0 }, { 9, 11, 9, 11, 0 } };
	const struct ax_attn p = { 1, 1, HD, 0.25f, 0, 0 };
	struct tensor q = tensor_random(d, d->act, N * HD, 1), k = tensor_random(d, d->act, N * HD, 1), v = tensor_random(d, d->act, N * HD, 1);
	struct tensor o = tensor_new(d, d->act, N * HD), lse = tensor_new(d, AX_F32, N), dq = tensor_new(d, d->act, N * HD), dk = tensor_new(d, d->act, N * HD), dv = tensor_new(d, d->act, N * HD);
	struct tensor *t[] = { &q, &k, &v, &o, &lse, &dq, &dk, &dv };

	tensor_set(&q, 4 * HD, (double)NAN);
	d->ops->attn_fwd(d, o.p, lse.p, q.p, HD, k.p, v.p, HD, seg, 2, N, N, &p);
	d->ops->attn_bwd(d, dq.p, dk.p, dv.p, v.p, q.p, HD, k.p, v.p, HD, o.p, lse.p, seg, 2, N, N, &p);
	if (!has_nan(&o, 4 * HD, 5 * HD) || has_nan(&o, 0, 4 * HD) || has_nan(&o, 5 * HD, N * HD) || !has_nan(&dq, 4 * HD, 5 * HD) || !has_nan(&dk, 0, 9 * HD) || has_nan(&dk, 9 * HD, N * HD))
		fail_msg("NaN in attention, %s", name);
	for (size_t i = 0; i < 8; i++)
		tensor_free(t[i]);
}

static void nans(void **state)
{
	for (size_t v = 0; v < N_VARIANTS; v++) {
		struct ax_dev d = dev_open(&variants[v], 2);

		nan_rows(&d, variants[v].name);
		nan_loss(&d, variants[v].name, (double)NAN);
		nan_loss(&d, variants[v].name, (double)INFINITY);
		nan_attention(&d, variants[v].name);
		dev_close(&d);
	}
}

static void device(void **state)
{
	const struct ax_shape s = { .N = 100, .Nk = 100, .C = 64, .F = 128, .O = 256, .V = 1000, .n_head = 4, .n_kv = 2, .head_dim = 16 };
	struct ax_err e = { 0 };
	struct ax_dev d;
	unsigned char *p;

	assert_int_equal(ax_cpu_open(&d, AX_F16, 1, 0, &e), AX_EUSAGE);
	ax_cpu_close(&d);
	assert_int_equal(ax_cpu_open(&d, AX_BF16, 2, 0, &e), 0);
	assert_int_equal(d.ops->reserve(&d, &s, &e), 0);
	assert_true(d.ops->scratch_bytes(&d, &s) > 100 * 1000 * sizeof(float));
	p = d.ops->alloc(&d, 5 << 20);
	assert_int_equal((uintptr_t)p % 256, 0);
	for (size_t i = 0; i < 5 << 20; i += 4093)
		assert_int_equal(p[i], 0);
	memset(p, 7, 5 << 20);
	d.ops->zero(&d, p + 3, 100001);
	assert_true(p[2] == 7 && p[3] == 0 && p[100003] == 0 && p[100004] == 7);
	d.ops->copy(&d, p, p + 100004, 100001);
	assert_true(p[0] == 7 && p[100000] == 7 && p[100001] == 0);
	assert_int_equal(d.ops->sync(&d, &e), 0);
	d.ops->free(&d, p);
	assert_null(d.ops->alloc(&d, SIZE_MAX - 4096));
	ax_cpu_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(device), cmocka_unit_test(same_bits), cmocka_unit_test(nans) };

	return cmocka_run_group_tests_name("op: threads, NaN, device", tests, NULL, NULL);
}
