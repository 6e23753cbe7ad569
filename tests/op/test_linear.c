/* Matrix products and norms against double precision. */
#include "op.h"

struct shape {
	size_t N, I, O, pad; /* pad: row strides beyond the widths */
};

static void linear_of(const struct variant *v, struct shape s, bool bias, bool accumulate)
{
	struct ax_dev d = dev_open(v, 2);
	size_t ldx = s.I + s.pad, ldy = s.O + 2 * s.pad;
	struct tensor x = tensor_random(&d, v->act, s.N * ldx, 1), w = tensor_random(&d, v->act, s.O * s.I, 1 / sqrt((double)s.I));
	struct tensor b = tensor_random(&d, v->act, s.O, 1), y = tensor_random(&d, v->act, s.N * ldy, 1), dy = tensor_random(&d, v->act, s.N * ldy, 1);
	struct tensor dx = tensor_random(&d, v->act, s.N * ldx, 1), dw = tensor_random(&d, AX_F32, s.O * s.I, 1), db = tensor_random(&d, AX_F32, s.O, 1);
	double *vx = tensor_doubles(&x), *vw = tensor_doubles(&w), *vdy = tensor_doubles(&dy);
	double *wy = tensor_doubles(&y), *wdx = tensor_doubles(&dx), *wdw = tensor_doubles(&dw), *wdb = tensor_doubles(&db);

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
			wdb[o] += g;
		}
	}
	d.ops->linear_fwd(&d, y.p, ldy, x.p, ldx, w.p, bias ? b.p : NULL, (int)s.N, (int)s.I, (int)s.O);
	d.ops->linear_dx(&d, dx.p, ldx, dy.p, ldy, w.p, (int)s.N, (int)s.I, (int)s.O, accumulate);
	d.ops->linear_dw(&d, dw.p, dy.p, ldy, x.p, ldx, (int)s.N, (int)s.I, (int)s.O);
	d.ops->bias_grad(&d, db.p, dy.p, ldy, (int)s.N, (int)s.O);
	expect_near("linear_fwd", v->name, &y, wy, v->act, 1e-6, 4e-3); /* the gaps between rows are compared too: untouched */
	expect_near("linear_dx", v->name, &dx, wdx, v->act, 1e-6, 4e-3);
	expect_near("linear_dw", v->name, &dw, wdw, AX_F32, 1e-6, 0);
	expect_near("bias_grad", v->name, &db, wdb, AX_F32, 1e-6, 0);
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
	tensor_free(&db);
	dev_close(&d);
}

static void linear(void **state)
{
	static const struct shape shapes[] = {
		{ 1, 1, 1, 0 }, { 1, 64, 48, 0 }, { 17, 33, 5, 0 }, { 31, 20, 77, 3 }, { 130, 96, 100, 0 }, { 301, 48, 33, 5 }, { 64, 129, 1100, 0 },
	};

	for (size_t v = 0; v < N_VARIANTS; v++)
		for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
			linear_of(&variants[v], shapes[i], i & 1, i % 3 == 0);
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

static void rmsnorm_of(const struct variant *v, size_t N, size_t C, float w_add, bool cast_first, bool residual)
{
	const float eps = 1e-5f;
	struct ax_dev d = dev_open(v, 2);
	struct tensor x = tensor_random(&d, AX_F32, N * C, 2), delta = tensor_random(&d, v->act, N * C, 1), w = tensor_random(&d, v->act, C, 1);
	struct tensor y = tensor_new(&d, v->act, N * C), rstd = tensor_new(&d, AX_F32, N), dy = tensor_random(&d, v->act, N * C, 1);
	struct tensor dx = tensor_random(&d, v->act, N * C, 1), dw = tensor_random(&d, AX_F32, C, 1);
	double *vw = tensor_doubles(&w), *wdx = tensor_doubles(&dx), *wdw = tensor_doubles(&dw), *wy = doubles(N * C), *vdy = tensor_doubles(&dy), *r;

	d.ops->rmsnorm_fwd(&d, y.p, x.p, rstd.p, x.p, residual ? delta.p : NULL, w.p, w_add, eps, cast_first, (int)N, (int)C); /* r over x */
	r = tensor_doubles(&x);
	for (size_t n = 0; n < N; n++) {
		norm_row(wy + n * C, r + n * C, vw, (double)w_add, (double)eps, C);
		for (size_t i = 0; i < C; i++) {
			wdx[n * C + i] = (residual ? wdx[n * C + i] : 0) + norm_slope(r + n * C, vw, vdy + n * C, (double)w_add, (double)eps, C, i);
			wdw[i] += vdy[n * C + i] * wy[n * C + i] / (vw[i] + (double)w_add);
		}
	}
	d.ops->rmsnorm_bwd(&d, dx.p, dw.p, dy.p, residual ? dx.p : NULL, x.p, rstd.p, w.p, w_add, (int)N, (int)C); /* over dres */
	expect_near("rmsnorm", v->name, &y, wy, v->act, 1e-6, 4e-3);
	expect_near("rmsnorm_bwd dx", v->name, &dx, wdx, v->act, 2e-6, 4e-3);
	expect_near("rmsnorm_bwd dw", v->name, &dw, wdw, AX_F32, 2e-6, 0);
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

	for (size_t v = 0; v < N_VARIANTS; v++)
		for (int first = 0; first < 2; first++) {
			struct ax_dev d = dev_open(&variants[v], 1);
			enum ax_dtype t = variants[v].act;
			struct tensor x = tensor_random(&d, AX_F32, C, 1), delta = tensor_random(&d, t, C, 1), w = tensor_random(&d, t, C, 1);
			struct tensor y = tensor_new(&d, t, C), r = tensor_new(&d, AX_F32, C), h = tensor_new(&d, t, C), rstd = tensor_new(&d, AX_F32, 1);

			d.ops->rmsnorm_fwd(&d, y.p, r.p, rstd.p, x.p, delta.p, w.p, 0, 1e-6f, first, 1, C);
			for (size_t i = 0; i < C; i++) {
				float norm;

				assert_true((float)(tensor_get(&x, i) + tensor_get(&delta, i)) == (float)tensor_get(&r, i));
				norm = (float)tensor_get(&r, i) * (float)tensor_get(&rstd, 0);
				tensor_set(&h, i, (double)norm);
				tensor_set(&h, i, (double)((first ? (float)tensor_get(&h, i) : norm) * (float)tensor_get(&w, i)));
				assert_true(tensor_get(&h, i) == tensor_get(&y, i));
			}
			tensor_free(&x);
			tensor_free(&delta);
			tensor_free(&w);
			tensor_free(&y);
			tensor_free(&r);
			tensor_free(&h);
			tensor_free(&rstd);
			dev_close(&d);
		}
}

static void rmsnorm(void **state)
{
	for (size_t v = 0; v < N_VARIANTS; v++) {
		rmsnorm_of(&variants[v], 1, 2, 0, true, false);
		rmsnorm_of(&variants[v], 3, 17, 0, true, true);
		rmsnorm_of(&variants[v], 70, 33, 1, false, true);
		rmsnorm_of(&variants[v], 33, 96, 0, true, false);
	}
}

static void headnorm_of(const struct variant *v, size_t N, size_t heads, size_t hd)
{
	const float eps = 1e-6f;
	struct ax_dev d = dev_open(v, 2);
	size_t ld = heads * hd + 5;
	struct tensor x = tensor_random(&d, v->act, N * ld, 2), pre = tensor_new(&d, v->act, N * heads * hd), w = tensor_random(&d, v->act, hd, 1);
	struct tensor rstd = tensor_new(&d, AX_F32, N * heads), dx = tensor_random(&d, v->act, N * ld, 1), dw = tensor_random(&d, AX_F32, hd, 1);
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
	d.ops->headnorm_fwd(&d, x.p, ld, pre.p, rstd.p, w.p, 0, eps, true, (int)N, (int)heads, (int)hd);
	d.ops->headnorm_bwd(&d, dx.p, ld, dw.p, pre.p, rstd.p, w.p, 0, (int)N, (int)heads, (int)hd);
	expect_near("headnorm", v->name, &x, wy, v->act, 1e-6, 4e-3);
	expect_near("headnorm pre", v->name, &pre, wpre, v->act, 0, 0);
	expect_near("headnorm_bwd dx", v->name, &dx, wdx, v->act, 2e-6, 4e-3);
	expect_near("headnorm_bwd dw", v->name, &dw, wdw, AX_F32, 2e-6, 0);
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
	for (size_t v = 0; v < N_VARIANTS; v++) {
		headnorm_of(&variants[v], 37, 3, 16);
		headnorm_of(&variants[v], 2, 1, 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linear), cmocka_unit_test(rmsnorm), cmocka_unit_test(rmsnorm_rounding), cmocka_unit_test(headnorm),
	};

	return cmocka_run_group_tests_name("op: products and norms", tests, NULL, NULL);
}
