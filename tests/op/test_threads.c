/*
 * Every op gives the same bits for 1, 2 and 3 threads, and each time on a GPU; NaN and infinity come out where they went in.
 * AX_TEST_RECORD=file: the bits of the GPU, for tests/cuda/op.sh to compare those of other orders with.
 */
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
	memcpy(r->p[r->n], tensor_host(x), bytes);
	r->bytes[r->n++] = bytes;
}

static void run_products(struct ax_dev *d, struct record *r)
{
	enum { N = 300, I = 200, O = 640 };
	struct tensor x = tensor_random(d, d->act, N * I, 1), w = tensor_random(d, d->act, O * I, 1), b = tensor_random(d, d->act, O, 1);
	struct tensor y = tensor_new(d, d->act, N * O), dx = tensor_random(d, d->act, N * I, 1), dw = tensor_random(d, AX_F32, O * I, 1);
	struct tensor db = tensor_random(d, AX_F32, O, 1);

	dev_reserve(d, (struct ax_shape){ .N = N, .C = I, .O = O });
	d->ops->linear_fwd(d, dp(&y), O, dp(&x), I, dp(&w), dp(&b), N, I, O);
	d->ops->linear_dx(d, dp(&dx), I, dp(&y), O, dp(&w), N, I, O, true);
	d->ops->linear_dw(d, dp(&dw), dp(&y), O, dp(&x), I, N, I, O);
	d->ops->bias_grad(d, dp(&db), dp(&y), O, N, O);
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

/* Ids that differ in the second byte alone: a sort that misses it leaves the tokens of an id to several blocks. */
static void run_large_table(struct ax_dev *d, struct record *r)
{
	enum { N = 400, C = 8, V = 70000 };
	struct tensor x = tensor_random(d, d->act, N * C, 1), table = tensor_new(d, AX_F32, V * C), ids = tensor_new(d, AX_I32, N);

	for (int i = 0; i < N; i++)
		((int32_t *)tensor_host(&ids))[i] = i % 6 * 512 + 3;
	memset(tensor_host(&table), 0, table.n * sizeof(float));
	dev_reserve(d, (struct ax_shape){ .N = N, .C = C, .V = V });
	d->ops->embed_bwd(d, dp(&table), dp(&x), dp(&ids), 1, N, C, V);
	keep(r, &table);
	tensor_free(&x);
	tensor_free(&table);
	tensor_free(&ids);
}

static void run_rows(struct ax_dev *d, struct record *r)
{
	enum { N = 200, C = 130, F = 65 };
	struct tensor x = tensor_random(d, d->act, N * C, 1), w = tensor_random(d, d->act, C, 1), y = tensor_new(d, d->act, N * C);
	struct tensor rstd = tensor_new(d, AX_F32, N), dw = tensor_random(d, AX_F32, C, 1), h = tensor_new(d, d->act, N * F), r32 = tensor_random(d, AX_F32, N * C, 1);
	struct tensor table = tensor_random(d, AX_F32, 7 * C, 1), sum = tensor_new(d, AX_F64, 1), big = tensor_random(d, AX_F32, 100003, 1);
	struct tensor ids = tensor_new(d, AX_I32, N);

	for (int i = 0; i < N; i++)
		((int32_t *)tensor_host(&ids))[i] = i * i % 7;
	dev_reserve(d, (struct ax_shape){ .N = N, .C = C, .F = F, .V = 7 });
	d->ops->rmsnorm_fwd(d, dp(&y), dp(&r32), dp(&rstd), dp(&r32), dp(&x), dp(&w), 0, 1e-5f, true, N, C);
	keep(r, &y);
	d->ops->rmsnorm_bwd(d, dp(&y), dp(&dw), dp(&y), dp(&x), dp(&r32), dp(&rstd), dp(&w), 0, N, C);
	keep(r, &y);
	keep(r, &dw);
	d->ops->glu_fwd(d, dp(&h), dp(&x), AX_ACT_SILU, N, F);
	keep(r, &h);
	d->ops->glu_bwd(d, dp(&y), dp(&h), dp(&x), AX_ACT_SILU, N, F);
	keep(r, &y);
	d->ops->embed_bwd(d, dp(&table), dp(&x), dp(&ids), 1, N, C, 7);
	keep(r, &table);
	d->ops->sumsq(d, dp(&sum), dp(&big), AX_F32, big.n);
	keep(r, &sum);
	tensor_free(&x);
	tensor_free(&w);
	tensor_free(&y);
	tensor_free(&rstd);
	tensor_free(&r32);
	tensor_free(&dw);
	tensor_free(&h);
	tensor_free(&table);
	tensor_free(&ids);
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
	struct tensor table = tensor_of(d, AX_U8, seg, sizeof(seg));
	struct tensor *t[] = { &o, &lse, &dq, &dk, &dv, &q, &k, &v, &go, &table };

	dev_reserve(d, (struct ax_shape){ .N = N, .C = NH * HD, .n_head = NH, .n_kv = NKV, .head_dim = HD });
	d->ops->attn_fwd(d, dp(&o), dp(&lse), dp(&q), NH * HD, dp(&k), dp(&v), NKV * HD, dp(&table), 3, N, N, &p);
	d->ops->attn_bwd(d, dp(&dq), dp(&dk), dp(&dv), dp(&go), dp(&q), NH * HD, dp(&k), dp(&v), NKV * HD, dp(&o), dp(&lse), dp(&table), 3, N, N, &p);
	for (size_t i = 0; i < 5; i++)
		keep(r, t[i]);
	for (size_t i = 0; i < 10; i++)
		tensor_free(t[i]);
}

static void run_head(struct ax_dev *d, struct record *r)
{
	enum { N = 170, C = 64, V = 1000 };
	const struct ax_head p = { 0, 1, N };
	const float scale = 0.01f;
	struct tensor x = tensor_random(d, d->act, N * C, 1), w = tensor_random(d, d->act, V * C, 0.2), dx = tensor_new(d, d->act, N * C);
	struct tensor dw = tensor_random(d, AX_F32, V * C, 1), loss = tensor_new(d, AX_F64, 1);
	struct tensor target = tensor_new(d, AX_I32, N), factor = tensor_of(d, AX_F32, &scale, 1);

	for (int i = 0; i < N; i++)
		((int32_t *)tensor_host(&target))[i] = i % 4 ? i * 5 : -1;
	dev_reserve(d, (struct ax_shape){ .N = N, .C = C, .V = V });
	tensor_set(&loss, 0, 0);
	d->ops->head_loss(d, dp(&loss), dp(&dx), dp(&dw), NULL, dp(&x), dp(&w), dp(&target), NULL, dp(&factor), &p, N, C, V);
	keep(r, &loss);
	keep(r, &dx);
	keep(r, &dw);
	tensor_free(&x);
	tensor_free(&w);
	tensor_free(&dx);
	tensor_free(&dw);
	tensor_free(&loss);
	tensor_free(&target);
	tensor_free(&factor);
}

static struct record run_all(const struct variant *v, int threads)
{
	struct ax_dev d = dev_open(v, threads);
	struct record r = { .n = 0 };

	if (RUNS(v, linear_fwd) && RUNS(v, bias_grad))
		run_products(&d, &r);
	if (RUNS(v, rmsnorm_fwd) && RUNS(v, glu_fwd) && RUNS(v, embed_bwd) && RUNS(v, sumsq)) {
		run_rows(&d, &r);
		run_large_table(&d, &r);
	}
	if (RUNS(v, attn_fwd) && RUNS(v, attn_bwd))
		run_attention(&d, &r);
	if (RUNS(v, head_loss))
		run_head(&d, &r);
	dev_close(&d);
	return r;
}

static void save(const struct record *r)
{
	const char *name = getenv("AX_TEST_RECORD");
	FILE *f = name ? fopen(name, "a") : NULL;

	assert_true(f || !name);
	for (int i = 0; i < r->n && f; i++)
		assert_int_equal(fwrite(r->p[i], 1, r->bytes[i], f), r->bytes[i]);
	assert_true(!f || !fclose(f));
}

static void same_bits(void **state)
{
	for (const struct variant *v = variants + 2; v < variants + N_VARIANTS; v++) {
		struct record one;

		if (!RUNS(v, alloc))
			continue;
		one = run_all(v, 1);
		if (v->cuda)
			save(&one);
		for (int threads = 1; threads <= 3; threads++) {
			struct record r = run_all(v, threads);

			for (int i = 0; i < r.n; i++) {
				if (memcmp(r.p[i], one.p[i], r.bytes[i]) != 0)
					fail_msg("%s: output %d differs with %d threads", v->name, i, threads);
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
static void expect_in_row_1(const struct tensor *y, size_t C, const char *op, const char *name)
{
	if (!has_nan(y, C, 2 * C) || has_nan(y, 0, C) || has_nan(y, 2 * C, 3 * C))
		fail_msg("NaN in %s, %s", op, name);
}

static void nan_rows(struct ax_dev *d, const struct variant *v)
{
	enum { N = 3, C = 40 };
	struct tensor x = tensor_random(d, d->act, N * C, 1), w = tensor_random(d, d->act, C * C, 1), y = tensor_new(d, d->act, N * C);
	struct tensor rstd = tensor_new(d, AX_F32, N), h = tensor_new(d, d->act, N * C / 2), r = tensor_random(d, AX_F32, N * C, 1);
	struct tensor *t[] = { &x, &w, &y, &rstd, &h, &r };

	dev_reserve(d, (struct ax_shape){ .N = N, .C = C, .O = C, .F = C });
	tensor_set(&x, C + 7, (double)NAN);
	tensor_set(&r, C + 7, (double)NAN);
	if (RUNS(v, linear_fwd)) {
		d->ops->linear_fwd(d, dp(&y), C, dp(&x), C, dp(&w), NULL, N, C, C);
		expect_in_row_1(&y, C, "linear_fwd", v->name);
	}
	if (RUNS(v, rmsnorm_fwd)) {
		d->ops->rmsnorm_fwd(d, dp(&y), NULL, dp(&rstd), dp(&r), NULL, dp(&w), 0, 1e-6f, true, N, C);
		expect_in_row_1(&y, C, "rmsnorm_fwd", v->name);
	}
	for (int fn = AX_ACT_SILU; fn <= AX_ACT_GELU && RUNS(v, glu_fwd); fn++) {
		d->ops->glu_fwd(d, dp(&h), dp(&x), (enum ax_act_fn)fn, N, C / 2);
		expect_in_row_1(&h, C / 2, "glu_fwd", v->name);
	}
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		tensor_free(t[i]);
}

static void nan_loss(struct ax_dev *d, const char *name, double bad)
{
	enum { N = 4, C = 8, V = 50 };
	const struct ax_head p = { 0, 1, N };
	const float scale = 1;
	struct tensor x = tensor_random(d, d->act, N * C, 1), w = tensor_random(d, d->act, V * C, 1), dx = tensor_new(d, d->act, N * C), loss = tensor_new(d, AX_F64, 1);
	const int32_t targets[N] = { 3, 9, 4, 40 };
	struct tensor target = tensor_of(d, AX_I32, targets, N), factor = tensor_of(d, AX_F32, &scale, 1);

	dev_reserve(d, (struct ax_shape){ .N = N, .C = C, .V = V });
	tensor_set(&loss, 0, 0);
	tensor_set(&x, 2 * C + 1, bad);
	d->ops->head_loss(d, dp(&loss), dp(&dx), NULL, NULL, dp(&x), dp(&w), dp(&target), NULL, dp(&factor), &p, N, C, V);
	if (isfinite(tensor_get(&loss, 0)) || !has_nan(&dx, 2 * C, 3 * C) || has_nan(&dx, 0, 2 * C))
		fail_msg("%g in head_loss, %s", bad, name);
	tensor_free(&x);
	tensor_free(&w);
	tensor_free(&dx);
	tensor_free(&loss);
	tensor_free(&target);
	tensor_free(&factor);
}

/* Tiles of a GPU hold keys of several documents: there a NaN may reach dk of others, as 0 * NaN. */
static void nan_attention(struct ax_dev *d, const struct variant *variant)
{
	enum { N = 20, HD = 16 };
	static const struct ax_seg seg[] = { { 0, 9, 0, 9, 0 }, { 9, 11, 9, 11, 0 } };
	const struct ax_attn p = { 1, 1, HD, 0.25f, 0, 0 };
	struct tensor q = tensor_random(d, d->act, N * HD, 1), k = tensor_random(d, d->act, N * HD, 1), v = tensor_random(d, d->act, N * HD, 1);
	struct tensor o = tensor_new(d, d->act, N * HD), lse = tensor_new(d, AX_F32, N), dq = tensor_new(d, d->act, N * HD), dk = tensor_new(d, d->act, N * HD), dv = tensor_new(d, d->act, N * HD);
	struct tensor table = tensor_of(d, AX_U8, seg, sizeof(seg));
	struct tensor *t[] = { &q, &k, &v, &o, &lse, &dq, &dk, &dv, &table };

	dev_reserve(d, (struct ax_shape){ .N = N, .C = HD, .n_head = 1, .n_kv = 1, .head_dim = HD });
	tensor_set(&q, 4 * HD, (double)NAN);
	d->ops->attn_fwd(d, dp(&o), dp(&lse), dp(&q), HD, dp(&k), dp(&v), HD, dp(&table), 2, N, N, &p);
	d->ops->attn_bwd(d, dp(&dq), dp(&dk), dp(&dv), dp(&v), dp(&q), HD, dp(&k), dp(&v), HD, dp(&o), dp(&lse), dp(&table), 2, N, N, &p);
	if (!has_nan(&o, 4 * HD, 5 * HD) || has_nan(&o, 0, 4 * HD) || has_nan(&o, 5 * HD, N * HD) || !has_nan(&dq, 4 * HD, 5 * HD) || !has_nan(&dk, 0, 9 * HD) || (!variant->cuda && has_nan(&dk, 9 * HD, N * HD)))
		fail_msg("NaN in attention, %s", variant->name);
	for (size_t i = 0; i < 9; i++)
		tensor_free(t[i]);
}

static void nans(void **state)
{
	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++) {
		struct ax_dev d;

		if (!RUNS(v, alloc))
			continue;
		d = dev_open(v, 2);
		nan_rows(&d, v);
		if (RUNS(v, head_loss)) {
			nan_loss(&d, v->name, (double)NAN);
			nan_loss(&d, v->name, (double)INFINITY);
		}
		if (RUNS(v, attn_fwd) && RUNS(v, attn_bwd))
			nan_attention(&d, v);
		dev_close(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(same_bits), cmocka_unit_test(nans) };

	return cmocka_run_group_tests_name("op: threads, NaN", tests, NULL, close_devices);
}
