/* Matrix products and norms against double precision. */
#include "op.h"

struct shape {
	size_t N, I, O, pad, shift; /* pad: row strides beyond the widths; shift: of the first element */
};

static void linear_of(const struct variant *v, struct shape s, bool bias, bool accumulate)
{
	struct ax_dev d = dev_open(v, 2);
	size_t ldx = s.I + s.pad, ldy = s.O + 2 * s.pad;
	struct tensor x = tensor_random_shifted(&d, v->act, s.N * ldx, 1, s.shift), w = tensor_random(&d, v->act, s.O * s.I, 1 / sqrt((double)s.I));
	struct tensor b = tensor_random_shifted(&d, v->act, s.O, 1, s.shift), y = tensor_random_shifted(&d, v->act, s.N * ldy, 1, s.shift), dy = tensor_random(&d, v->act, s.N * ldy, 1);
	struct tensor dx = tensor_random_shifted(&d, v->act, s.N * ldx, 1, s.shift), dw = tensor_random(&d, v->grad, s.O * s.I, 1);
	double *vx = tensor_doubles(&x), *vw = tensor_doubles(&w), *vdy = tensor_doubles(&dy);
	double *wy = tensor_doubles(&y), *wdx = tensor_doubles(&dx), *wdw = tensor_doubles(&dw);

	dev_reserve(&d, (struct ax_shape){ .N = (int)s.N, .C = (int)s.I, .O = (int)s.O });
	for (size_t n = 0; n < s.N; n++) {
		for (size_t i = 0; !accumulate && i < s.I; i++)
			wdx[n * ldx + i] = 0;
		for (size_t o = 0; o < s.O; o++) {
			double sum = bias ? tensor_get(&b, o) : 0, g = vdy[n * ldy + o];

			for (size_t i = 0; i < s.I; i++) {
				sum += vx[n * ldx + i] * vw[o * s.I + i];
				wdx[n * ldx + i] += g * vw[o * s.I + i];
				wdw[o * s.I + i] += g * vx[n * ldx + i];
			}
			wy[n * ldy + o] = sum;
		}
	}
	d.ops->linear_fwd(&d, dp(&y), ldy, dp(&x), ldx, dp(&w), bias ? dp(&b) : NULL, (int)s.N, (int)s.I, (int)s.O);
	d.ops->linear_dx(&d, dp(&dx), ldx, dp(&dy), ldy, dp(&w), (int)s.N, (int)s.I, (int)s.O, accumulate);
	d.ops->linear_dw(&d, dp(&dw), dp(&dy), ldy, dp(&x), ldx, (int)s.N, (int)s.I, (int)s.O);
	expect_near("linear_fwd", v->name, &y, wy, v->act, 1e-6, 4e-3); /* the gaps between rows are compared too: untouched */
	expect_near("linear_dx", v->name, &dx, wdx, v->act, 1e-6, 4e-3);
	expect_sum("linear_dw", v, &dw, wdw, 1e-6);
	free(vx);
	free(vw);
	free(vdy);
	tensor_free(&x);
	tensor_free(&w);
	tensor_free(&b);
	tensor_free(&y);
	tensor_free(&dy);
	tensor_free(&dx);
	tensor_free(&dw);
	dev_close(&d);
}

static const struct shape shapes[] = {
	{ 1, 1, 1, 0, 0 },	{ 1, 64, 48, 0, 0 },	{ 17, 33, 5, 0, 0 },   { 31, 20, 77, 3, 0 },   { 130, 96, 100, 0, 0 },
	{ 301, 48, 33, 5, 0 },	{ 64, 129, 1100, 0, 0 }, { 33, 24, 40, 8, 0 }, { 40, 64, 64, 16, 1 }, { 9, 37, 16, 0, 3 },
};

#define N_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void linear(void **state)
{
	for (const struct variant *v = variants; v < variants + N_GRAD_VARIANTS; v++)
		for (size_t i = 0; i < N_SHAPES && RUNS(v, linear_fwd) && RUNS(v, linear_dx) && RUNS(v, linear_dw); i++)
			linear_of(v, shapes[i], i & 1, i % 3 == 0);
}

static void bias_grad_of(const struct variant *v, struct shape s)
{
	struct ax_dev d = dev_open(v, 2);
	size_t ld = s.O + s.pad;
	struct tensor dy = tensor_random_shifted(&d, v->act, s.N * ld, 1, s.shift), db = tensor_random(&d, v->grad, s.O, 1);
	double *want = tensor_doubles(&db);

	dev_reserve(&d, (struct ax_shape){ .N = (int)s.N, .C = (int)s.I, .O = (int)s.O });
	for (size_t i = 0; i < s.N * s.O; i++)
		want[i % s.O] += tensor_get(&dy, i / s.O * ld + i % s.O);
	d.ops->bias_grad(&d, dp(&db), dp(&dy), ld, (int)s.N, (int)s.O);
	expect_sum("bias_grad", v, &db, want, 1e-6);
	tensor_free(&dy);
	tensor_free(&db);
	dev_close(&d);
}

static void bias_grad(void **state)
{
	for (const struct variant *v = variants; v < variants + N_GRAD_VARIANTS; v++)
		for (size_t i = 0; i < N_SHAPES && RUNS(v, bias_grad); i++)
			bias_grad_of(v, shapes[i]);
}

/* The norm of one row in double; `round` is what cast_first rounds to. */
static void norm_row(double *y, const double *x, const double *w, double w_add, double eps, size_t n)
{
	double ss = 0;

	for (size_t i = 0; i < n; i++)
		ss += x[i] * x[i];
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] / sqrt(ss / (double)n + eps) * (w[i] + w_add);
}

/* Gradient of sum(dy * norm(x)) by x[i], by central differences. */
static double norm_slope(const double *x, const double *w, const double *dy, double w_add, double eps, size_t n, size_t i)
{
	double *z = doubles(n), *y = doubles(n), s[2] = { 0 };

	memcpy(z, x, n * sizeof(*z));
	for (int k = 0; k < 2; k++) {
		z[i] = x[i] + (k ? 1e-5 : -1e-5);
		norm_row(y, z, w, w_add, eps, n);
		for (size_t j = 0; j < n; j++)
			s[k] += y[j] * dy[j];
	}
	free(z);
	free(y);
	return (s[1] - s[0]) / 2e-5;
}

/* out += the gradient of sum(dy * norm(x)): by differences, for wide rows by the formula that they agree with. */
static void norm_back(double *out, const double *x, const double *w, const double *dy, double w_add, double eps, size_t n)
{
	double ss = 0, dot = 0, rstd;

	for (size_t i = 0; n <= 1000 && i < n; i++)
		out[i] += norm_slope(x, w, dy, w_add, eps, n, i);
	if (n <= 1000)
		return;
	for (size_t i = 0; i < n; i++) {
		ss += x[i] * x[i];
		dot += dy[i] * (w[i] + w_add) * x[i];
	}
	rstd = 1 / sqrt(ss / (double)n + eps);
	for (size_t i = 0; i < n; i++)
		out[i] += rstd * (dy[i] * (w[i] + w_add) - x[i] * rstd * rstd * dot / (double)n);
}

static void rmsnorm_of(const struct variant *v, size_t N, size_t C, float w_add, bool cast_first, bool residual)
{
	const float eps = 1e-5f;
	struct ax_dev d = dev_open(v, 2);
	struct tensor x = tensor_random(&d, AX_F32, N * C, 2), delta = tensor_random(&d, v->act, N * C, 1), w = tensor_random(&d, v->act, C, 1);
	struct tensor y = tensor_new(&d, v->act, N * C), rstd = tensor_new(&d, AX_F32, N), dy = tensor_random(&d, v->act, N * C, 1);
	struct tensor dx = tensor_random(&d, v->act, N * C, 1), dw = tensor_random(&d, v->grad, C, 1);
	double *vw = tensor_doubles(&w), *wdx = tensor_doubles(&dx), *wdw = tensor_doubles(&dw), *wy = doubles(N * C), *vdy = tensor_doubles(&dy), *r;

	dev_reserve(&d, (struct ax_shape){ .N = (int)N, .C = (int)C });
	d.ops->rmsnorm_fwd(&d, dp(&y), dp(&x), dp(&rstd), dp(&x), residual ? dp(&delta) : NULL, dp(&w), w_add, eps, cast_first, (int)N, (int)C); /* r over x */
	r = tensor_doubles(&x);
	for (size_t n = 0; n < N; n++) {
		norm_row(wy + n * C, r + n * C, vw, (double)w_add, (double)eps, C);
		for (size_t i = 0; i < C; i++) {
			wdx[n * C + i] *= residual;
			wdw[i] += vdy[n * C + i] * wy[n * C + i] / (vw[i] + (double)w_add);
		}
		norm_back(wdx + n * C, r + n * C, vw, vdy + n * C, (double)w_add, (double)eps, C);
	}
	d.ops->rmsnorm_bwd(&d, dp(&dx), dp(&dw), dp(&dy), residual ? dp(&dx) : NULL, dp(&x), dp(&rstd), dp(&w), w_add, (int)N, (int)C); /* over dres */
	expect_near("rmsnorm", v->name, &y, wy, v->act, 1e-6, 4e-3);
	expect_near("rmsnorm_bwd dx", v->name, &dx, wdx, v->act, 2e-6, 4e-3);
	expect_sum("rmsnorm_bwd dw", v, &dw, wdw, 2e-6);
	free(vw);
	free(vdy);
	free(r);
	tensor_free(&x);
	tensor_free(&delta);
	tensor_free(&w);
	tensor_free(&y);
	tensor_free(&rstd);
	tensor_free(&dy);
	tensor_free(&dx);
	tensor_free(&dw);
	dev_close(&d);
}

/* r = x + delta must be the f32 sum, and with cast_first the norm must be rounded before the product. */
static void rmsnorm_rounding(void **state)
{
	enum { C = 64 };

	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++)
		for (int first = 0; first < 2 && RUNS(v, rmsnorm_fwd); first++) {
			struct ax_dev d = dev_open(v, 1);
			enum ax_dtype t = v->act;
			struct tensor x = tensor_random(&d, AX_F32, C, 1), delta = tensor_random(&d, t, C, 1), w = tensor_random(&d, t, C, 1);
			struct tensor y = tensor_new(&d, t, C), r = tensor_new(&d, AX_F32, C), rstd = tensor_new(&d, AX_F32, 1);

			dev_reserve(&d, (struct ax_shape){ .N = 1, .C = C });
			d.ops->rmsnorm_fwd(&d, dp(&y), dp(&r), dp(&rstd), dp(&x), dp(&delta), dp(&w), 0, 1e-6f, first, 1, C);
			for (size_t i = 0; i < C; i++) {
				float norm;
				double first_norm;

				assert_true((float)(tensor_get(&x, i) + tensor_get(&delta, i)) == (float)tensor_get(&r, i));
				norm = (float)tensor_get(&r, i) * (float)tensor_get(&rstd, 0);
				first_norm = rounded(t, (double)norm);
				assert_true(rounded(t, (double)((first ? (float)first_norm : norm) * (float)tensor_get(&w, i))) == tensor_get(&y, i));
			}
			tensor_free(&x);
			tensor_free(&delta);
			tensor_free(&w);
			tensor_free(&y);
			tensor_free(&r);
			tensor_free(&rstd);
			dev_close(&d);
		}
}

static void rmsnorm(void **state)
{
	for (const struct variant *v = variants; v < variants + N_GRAD_VARIANTS; v++) {
		if (!RUNS(v, rmsnorm_fwd) || !RUNS(v, rmsnorm_bwd))
			continue;
		rmsnorm_of(v, 1, 2, 0, true, false);
		rmsnorm_of(v, 3, 17, 0, true, true);
		rmsnorm_of(v, 70, 33, 1, false, true);
		rmsnorm_of(v, 33, 96, 0, true, false);
		rmsnorm_of(v, 3, 264, 0, true, true);
		rmsnorm_of(v, 300, 8, 1, false, false);
		rmsnorm_of(v, 2, 2600, 0, true, true);
		rmsnorm_of(v, 1, 3001, 0, true, true);
		rmsnorm_of(v, 2, 5000, 0, true, true);
		rmsnorm_of(v, 1, 7003, 0, false, true);
		rmsnorm_of(v, 2, 9001, 0, true, true);
		rmsnorm_of(v, 1, 16384, 0, true, false);
	}
}

static void headnorm_of(const struct variant *v, size_t N, size_t heads, size_t hd, size_t pad)
{
	const float eps = 1e-6f;
	struct ax_dev d = dev_open(v, 2);
	size_t ld = heads * hd + pad;
	struct tensor x = tensor_random_shifted(&d, v->act, N * ld, 2, pad % 8), pre = tensor_new(&d, v->act, N * heads * hd), w = tensor_random(&d, v->act, hd, 1);
	struct tensor rstd = tensor_new(&d, AX_F32, N * heads), dx = tensor_random_shifted(&d, v->act, N * ld, 1, pad % 8), dw = tensor_random(&d, v->grad, hd, 1);
	double *was = tensor_doubles(&x), *vw = tensor_doubles(&w), *vdy = tensor_doubles(&dx), *wy = tensor_doubles(&x), *wdx = tensor_doubles(&dx);
	double *wdw = tensor_doubles(&dw), *wpre = doubles(pre.n);

	for (size_t n = 0; n < N; n++)
		for (size_t h = 0; h < heads; h++) {
			size_t at = n * ld + h * hd;

			norm_row(wy + at, was + at, vw, 0, (double)eps, hd);
			for (size_t i = 0; i < hd; i++) {
				wpre[(n * heads + h) * hd + i] = was[at + i];
				wdx[at + i] = norm_slope(was + at, vw, vdy + at, 0, (double)eps, hd, i);
				wdw[i] += vdy[at + i] * wy[at + i] / vw[i];
			}
		}
	dev_reserve(&d, (struct ax_shape){ .N = (int)N, .C = (int)(heads * hd), .n_head = (int)heads, .n_kv = (int)heads, .head_dim = (int)hd });
	d.ops->headnorm_fwd(&d, dp(&x), ld, dp(&pre), dp(&rstd), dp(&w), 0, eps, true, (int)N, (int)heads, (int)hd);
	d.ops->headnorm_bwd(&d, dp(&dx), ld, dp(&dw), dp(&pre), dp(&rstd), dp(&w), 0, (int)N, (int)heads, (int)hd);
	expect_near("headnorm", v->name, &x, wy, v->act, 1e-6, 4e-3);
	expect_near("headnorm pre", v->name, &pre, wpre, v->act, 0, 0);
	expect_near("headnorm_bwd dx", v->name, &dx, wdx, v->act, 2e-6, 4e-3);
	expect_sum("headnorm_bwd dw", v, &dw, wdw, 2e-6);
	free(was);
	free(vw);
	free(vdy);
	tensor_free(&x);
	tensor_free(&pre);
	tensor_free(&w);
	tensor_free(&rstd);
	tensor_free(&dx);
	tensor_free(&dw);
	dev_close(&d);
}

static void headnorm(void **state)
{
	for (const struct variant *v = variants; v < variants + N_GRAD_VARIANTS; v++) {
		if (!RUNS(v, headnorm_fwd) || !RUNS(v, headnorm_bwd))
			continue;
		headnorm_of(v, 37, 3, 16, 5);
		headnorm_of(v, 2, 1, 20, 5);
		headnorm_of(v, 19, 2, 64, 8);
		headnorm_of(v, 3, 2, 128, 0);
		headnorm_of(v, 5, 1, 7, 0);
		headnorm_of(v, 5, 2, 256, 0);
		headnorm_of(v, 9, 3, 300, 4);
		headnorm_of(v, 5, 2, 328, 8);
		headnorm_of(v, 3, 1, 512, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linear), cmocka_unit_test(bias_grad), cmocka_unit_test(rmsnorm), cmocka_unit_test(rmsnorm_rounding), cmocka_unit_test(headnorm),
	};

	return cmocka_run_group_tests_name("op: products and norms", tests, NULL, close_devices);
}
