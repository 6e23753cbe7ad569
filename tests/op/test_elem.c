/* Conversions and elementwise ops against double precision. */
#include "op.h"

static void conversions(void **state)
{
	for (uint32_t h = 0; h < 65536; h++) {
		float x = ax_f16_to_f32((uint16_t)h), b = ax_bf16_to_f32((uint16_t)h);

		if (isnan(x))
			assert_true(isnan(ax_f16_to_f32(ax_f32_to_f16(x))));
		else
			assert_int_equal(ax_f32_to_f16(x), h);
		if (isnan(b))
			assert_true(isnan(ax_bf16_to_f32(ax_f32_to_bf16(b))));
		else
			assert_int_equal(ax_f32_to_bf16(b), h);
	}
	assert_int_equal(ax_f32_to_f16(65519.9f), 0x7bff);
	assert_int_equal(ax_f32_to_f16(65520.0f), 0x7c00);
	assert_int_equal(ax_f32_to_f16(0x1p-25f), 0);
	assert_int_equal(ax_f32_to_f16(0x1.8p-25f), 1);
	assert_int_equal(ax_f32_to_f16(0x1.8p-24f), 2);
	assert_int_equal(ax_f32_to_f16(1.00048828125f), 0x3c00); /* a tie goes to even */
	assert_int_equal(ax_f32_to_f16(1.00146484375f), 0x3c02);
	assert_int_equal(ax_f32_to_bf16(1.00390625f), 0x3f80);
	assert_int_equal(ax_f32_to_bf16(1.01171875f), 0x3f82);
	assert_int_equal(ax_f32_to_bf16(3.4e38f), 0x7f80);
}

static void cast_one(struct ax_dev *d, enum ax_dtype ty, enum ax_dtype tx, size_t n, size_t shift)
{
	struct tensor x = tensor_random_shifted(d, tx, n, 3, shift), y = tensor_shifted(d, ty, n, shift / 2);

	if (n > 3)
		tensor_set(&x, 3, (double)NAN);
	d->ops->cast(d, dp(&y), ty, dp(&x), tx, n);
	for (size_t i = 0; i < n; i++) {
		double want = rounded(ty, tensor_get(&x, i));

		if (isnan(want))
			assert_true(isnan(tensor_get(&y, i)));
		else if (want != tensor_get(&y, i))
			fail_msg("cast %s to %s", ax_dtype_name(tx), ax_dtype_name(ty));
	}
	tensor_free(&x);
	tensor_free(&y);
}

static const size_t sizes[] = { 1, 7, 31, 33, 1000, 4096, 70001 };

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void casts(void **state)
{
	static const enum ax_dtype t[] = { AX_F32, AX_BF16, AX_F16 };

	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++) {
		struct ax_dev d;

		if (!RUNS(v, cast))
			continue;
		d = dev_open(v, 2);
		for (size_t i = 0; i < 9; i++)
			for (size_t k = 0; k < N_SIZES - 1; k++)
				for (size_t shift = 0; shift < 4; shift += 3)
					cast_one(&d, t[i / 3], t[i % 3], sizes[k], shift);
		dev_close(&d);
	}
}

static void arithmetic_of(const struct variant *v, size_t n, size_t shift)
{
	struct ax_dev d = dev_open(v, 2);
	struct tensor a = tensor_random_shifted(&d, v->act, n, 1, shift), b = tensor_random_shifted(&d, v->act, n, 1, shift), y = tensor_random_shifted(&d, AX_F32, n, 1, shift);
	struct tensor s = tensor_new(&d, AX_F64, 1);
	double *want = tensor_doubles(&y), *sum = doubles(n), sq = 0;

	dev_reserve(&d, (struct ax_shape){ .N = 1, .C = (int)n });
	d.ops->axpy(&d, dp(&y), AX_F32, dp(&a), v->act, 0.7f, n);
	for (size_t i = 0; i < n; i++)
		want[i] += 0.7 * tensor_get(&a, i);
	expect_near("axpy", v->name, &y, want, AX_F32, 1e-7, 1e-7);
	want = tensor_doubles(&y);
	d.ops->scale(&d, dp(&y), 1.3f, n);
	for (size_t i = 0; i < n; i++)
		want[i] *= (double)1.3f;
	expect_near("scale", v->name, &y, want, AX_F32, 1e-7, 1e-7);
	for (size_t i = 0; i < n; i++)
		sq += tensor_get(&y, i) * tensor_get(&y, i);
	d.ops->sumsq(&d, dp(&s), dp(&y), AX_F32, n);
	assert_true(fabs(tensor_get(&s, 0) - sq) <= 1e-13 * sq);
	for (size_t i = 0; i < n; i++)
		sum[i] = tensor_get(&a, i) + tensor_get(&b, i);
	d.ops->add(&d, dp(&a), dp(&a), dp(&b), n); /* in place */
	expect_near("add", v->name, &a, sum, v->act, 1e-7, 4e-3);
	tensor_free(&a);
	tensor_free(&b);
	tensor_free(&y);
	tensor_free(&s);
	dev_close(&d);
}

/* Sums into bf16, and of it. */
static void gradients_of(const struct variant *v, enum ax_dtype tx, size_t n, size_t shift)
{
	struct ax_dev d = dev_open(v, 2);
	struct tensor x = tensor_random_shifted(&d, tx, n, 1, shift), y = tensor_random_shifted(&d, AX_BF16, n, 1, shift), s = tensor_new(&d, AX_F64, 1);
	double *want = tensor_doubles(&y), sq = 0;

	dev_reserve(&d, (struct ax_shape){ .N = 1, .C = (int)n });
	d.ops->axpy(&d, dp(&y), AX_BF16, dp(&x), tx, 0.7f, n);
	for (size_t i = 0; i < n; i++) {
		want[i] += (double)0.7f * tensor_get(&x, i);
		sq += tensor_get(&y, i) * tensor_get(&y, i);
	}
	expect_sum("axpy into bf16", v, &y, want, 0);
	d.ops->sumsq(&d, dp(&s), dp(&y), AX_BF16, n);
	assert_true(fabs(tensor_get(&s, 0) - sq) <= 1e-13 * sq);
	tensor_free(&x);
	tensor_free(&y);
	tensor_free(&s);
	dev_close(&d);
}

static void gradients(void **state)
{
	for (const struct variant *v = variants + N_VARIANTS; v < variants + N_GRAD_VARIANTS; v++)
		for (size_t i = 0; i < 2 * N_SIZES && RUNS(v, axpy) && RUNS(v, sumsq); i++) {
			gradients_of(v, AX_F32, sizes[i / 2], i % 2);
			gradients_of(v, AX_BF16, sizes[i / 2], i % 2);
		}
}

static void arithmetic(void **state)
{
	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++)
		if (RUNS(v, axpy) && RUNS(v, scale) && RUNS(v, sumsq) && RUNS(v, add))
			for (size_t i = 0; i < 2 * N_SIZES; i++)
				arithmetic_of(v, sizes[i / 2], i % 2);
}

static double silu(double x)
{
	return x / (1 + exp(-x));
}

static double gelu(double x)
{
	return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static double gelu_tanh(double x)
{
	return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

static void glu_of(const struct variant *v, enum ax_act_fn fn, size_t N, size_t F, double scale, size_t shift)
{
	static double (*const f[])(double) = { [AX_ACT_SILU] = silu, [AX_ACT_GELU_TANH] = gelu_tanh, [AX_ACT_GELU] = gelu };
	struct ax_dev d = dev_open(v, 2);
	struct tensor gu = tensor_random_shifted(&d, v->act, N * 2 * F, scale, shift), h = tensor_shifted(&d, v->act, N * F, shift);
	struct tensor dh = tensor_random_shifted(&d, v->act, N * F, 1, shift);
	double *want = doubles(N * F), *grad = doubles(N * 2 * F);

	for (size_t n = 0; n < N; n++)
		for (size_t i = 0; i < F; i++) {
			double g = tensor_get(&gu, n * 2 * F + i), u = tensor_get(&gu, n * 2 * F + F + i), dy = tensor_get(&dh, n * F + i);

			want[n * F + i] = f[fn](g) * u;
			grad[n * 2 * F + i] = dy * u * (f[fn](g + 1e-5) - f[fn](g - 1e-5)) / 2e-5;
			grad[n * 2 * F + F + i] = dy * f[fn](g);
		}
	d.ops->glu_fwd(&d, dp(&h), dp(&gu), fn, (int)N, (int)F);
	expect_near("glu", v->name, &h, want, v->act, 2e-6, 4e-3);
	d.ops->glu_bwd(&d, dp(&gu), dp(&dh), dp(&gu), fn, (int)N, (int)F); /* over its input */
	expect_near("glu backward", v->name, &gu, grad, v->act, 2e-6, 4e-3);
	tensor_free(&gu);
	tensor_free(&h);
	tensor_free(&dh);
	dev_close(&d);
}

static void glu(void **state)
{
	static const enum ax_act_fn fn[] = { AX_ACT_SILU, AX_ACT_GELU_TANH, AX_ACT_GELU };

	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++)
		for (size_t i = 0; i < 3 && RUNS(v, glu_fwd) && RUNS(v, glu_bwd); i++) {
			glu_of(v, fn[i], 3, 5, 1, 0);
			glu_of(v, fn[i], 37, 65, 1, 0);
			glu_of(v, fn[i], 9, 256, 1, 0);
			glu_of(v, fn[i], 5, 48, 40, 0); /* saturated */
			glu_of(v, fn[i], 4, 64, 1, 1);
		}
}

static void embed_of(const struct variant *v, float alpha, size_t N, size_t C, size_t V)
{
	struct ax_dev d = dev_open(v, 3);
	struct tensor table = tensor_random(&d, v->act, V * C, 1), x = tensor_new(&d, v->act, N * C), dt = tensor_random(&d, v->grad, V * C, 1), id;
	int32_t *ids = calloc(N, sizeof(*ids));
	double *want = doubles(N * C), *grad = tensor_doubles(&dt);

	dev_reserve(&d, (struct ax_shape){ .N = (int)N, .C = (int)C, .V = (int)V });
	for (size_t n = 0; n < N; n++)
		ids[n] = (int32_t)((n % 200 * 7 + n / 30) * 2503 % V); /* some often, spread over all digits of a sort */
	id = tensor_of(&d, AX_I32, ids, N);
	d.ops->embed_fwd(&d, dp(&x), dp(&id), dp(&table), alpha, (int)N, (int)C);
	for (size_t i = 0; i < N * C; i++)
		want[i] = (double)alpha * tensor_get(&table, (size_t)ids[i / C] * C + i % C);
	expect_near("embed", v->name, &x, want, v->act, 1e-7, 4e-3);
	for (size_t i = 0; i < N * C; i++)
		grad[(size_t)ids[i / C] * C + i % C] += (double)alpha * tensor_get(&x, i);
	d.ops->embed_bwd(&d, dp(&dt), dp(&x), dp(&id), alpha, (int)N, (int)C, (int)V);
	if (v->cuda) /* rounds twice at most, and what it rounds first may be larger than the sum */
		expect_near("embed backward", v->name, &dt, grad, v->grad, 3e-6, 3e-3);
	else
		expect_sum("embed backward", v, &dt, grad, 3e-6);
	free(ids);
	tensor_free(&id);
	tensor_free(&table);
	tensor_free(&x);
	tensor_free(&dt);
	dev_close(&d);
}

static void embed(void **state)
{
	for (const struct variant *v = variants; v < variants + N_GRAD_VARIANTS; v++) {
		if (!RUNS(v, embed_fwd) || !RUNS(v, embed_bwd))
			continue;
		embed_of(v, 1, 45, 70, 11);
		embed_of(v, 8.5f, 45, 70, 11);
		embed_of(v, 1, 1, 1, 1);
		embed_of(v, 1, 300, 64, 1); /* one id */
		embed_of(v, 3, 300, 37, 2);
		embed_of(v, 1, 513, 40, 3000);
		embed_of(v, 2, 1100, 8, 70000);
	}
}

static void rope_of(const struct variant *v, size_t N, size_t heads, size_t hd, size_t rotary, size_t pad)
{
	enum { POS = 50 };
	struct ax_dev d = dev_open(v, 2);
	size_t ld = heads * hd + pad, half = rotary / 2;
	struct tensor x = tensor_random_shifted(&d, v->act, N * ld, 1, pad % 8), cs = tensor_new(&d, AX_F32, POS * hd), at_pos;
	int32_t *pos = calloc(N, sizeof(*pos));
	double *was = tensor_doubles(&x), *want = tensor_doubles(&x);

	for (size_t i = 0; i < POS * hd; i++)
		tensor_set(&cs, i, i % hd < hd / 2 ? cos((double)(i / hd) / (double)(1 + i % hd)) : sin((double)(i / hd) / (double)(1 + i % hd - hd / 2)));
	for (size_t n = 0; n < N; n++) {
		pos[n] = (int32_t)(n * 3 % POS);
		for (size_t i = 0; i < heads * half; i++) {
			size_t at = n * ld + i / half * hd + i % half;
			double c = tensor_get(&cs, (size_t)pos[n] * hd + i % half), s = tensor_get(&cs, (size_t)pos[n] * hd + hd / 2 + i % half);

			want[at] = was[at] * c - was[at + half] * s;
			want[at + half] = was[at + half] * c + was[at] * s;
		}
	}
	at_pos = tensor_of(&d, AX_I32, pos, N);
	d.ops->rope(&d, dp(&x), ld, dp(&at_pos), dp(&cs), (int)N, (int)heads, (int)hd, (int)rotary, false);
	expect_near("rope", v->name, &x, want, v->act, 1e-6, 4e-3);
	d.ops->rope(&d, dp(&x), ld, dp(&at_pos), dp(&cs), (int)N, (int)heads, (int)hd, (int)rotary, true); /* a rotation's transpose undoes it */
	expect_near("rope backward", v->name, &x, was, v->act, 1e-6, 5e-3);
	free(pos);
	tensor_free(&at_pos);
	tensor_free(&x);
	tensor_free(&cs);
	dev_close(&d);
}

static void rope(void **state)
{
	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++) {
		if (!RUNS(v, rope))
			continue;
		rope_of(v, 40, 3, 64, 64, 3);
		rope_of(v, 40, 3, 64, 64, 0);
		rope_of(v, 5, 2, 20, 20, 3);
		rope_of(v, 33, 1, 80, 32, 16);
		rope_of(v, 1, 4, 12, 12, 1);
		rope_of(v, 7, 2, 128, 128, 64);
		rope_of(v, 3, 1, 6, 6, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conversions), cmocka_unit_test(casts), cmocka_unit_test(arithmetic),
		cmocka_unit_test(gradients),   cmocka_unit_test(glu),	       cmocka_unit_test(embed), cmocka_unit_test(rope),
	};

	return cmocka_run_group_tests_name("op: elementwise", tests, NULL, close_devices);
}
