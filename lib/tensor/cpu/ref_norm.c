/* Reference: RMSNorm of rows and of heads. */
#include "tensor/cpu/cpu.h"

/* y[0..C) = norm of x[0..C), of type tx, at the given offsets; returns rstd. y may alias x. */
static float norm_row(enum ax_dtype t, void *y, size_t y_off, const void *x, enum ax_dtype tx, size_t x_off, const void *w, float w_add, float eps, bool cast_first, size_t C)
{
	double ss = 0;
	float rstd;

	for (size_t i = 0; i < C; i++)
		ss += (double)ax_get(x, tx, x_off + i) * (double)ax_get(x, tx, x_off + i);
	rstd = (float)(1 / sqrt(ss / (double)C + (double)eps));
	for (size_t i = 0; i < C; i++) {
		float h = ax_get(x, tx, x_off + i) * rstd;

		ax_put(y, t, y_off + i, (cast_first ? ax_round_to(t, h) : h) * (ax_get(w, t, i) + w_add));
	}
	return rstd;
}

/*
 * With h = r rstd and g = dy (w + w_add):  dr = rstd (g - h mean(g h)),  sum (C) += dy h.
 * dx = dres + dr; dx may alias dy or dres.
 */
static void norm_row_bwd(enum ax_dtype t, void *dx, size_t dx_off, float *sum, const void *dy, size_t dy_off, const void *dres, const void *r, enum ax_dtype tr, size_t r_off, float rstd, const void *w, float w_add, size_t C)
{
	double dot = 0;

	for (size_t i = 0; i < C; i++)
		dot += (double)(ax_get(dy, t, dy_off + i) * (ax_get(w, t, i) + w_add)) * (double)(ax_get(r, tr, r_off + i) * rstd);
	dot /= (double)C;
	for (size_t i = 0; i < C; i++) {
		float g = ax_get(dy, t, dy_off + i), h = ax_get(r, tr, r_off + i) * rstd;
		float dr = rstd * (g * (ax_get(w, t, i) + w_add) - h * (float)dot);

		sum[i] += g * h;
		ax_put(dx, t, dx_off + i, (dres ? ax_get(dres, t, dx_off + i) : 0) + dr);
	}
}

static void rmsnorm_fwd(struct ax_dev *d, void *y, void *r, float *rstd, const void *x, const void *delta, const void *w, float w_add, float eps, bool cast_first, int N, int C)
{
	size_t c = (size_t)C;

	for (size_t n = 0; n < (size_t)N; n++) {
		const void *in = x;

		if (r) {
			for (size_t i = n * c; i < (n + 1) * c; i++)
				ax_put(r, AX_F32, i, ax_get(x, AX_F32, i) + (delta ? ax_get(delta, d->act, i) : 0));
			in = r;
		}
		rstd[n] = norm_row(d->act, y, n * c, in, AX_F32, n * c, w, w_add, eps, cast_first, c);
	}
}

/* n zeros in the scratch; NULL when out of memory. */
static float *sum_begin(struct ax_dev *d, size_t n)
{
	struct ax_cpu *c = ax_cpu_of(d);

	if (!ax_cpu_scratch(c, n * sizeof(float), 0))
		return NULL;
	memset(c->shared, 0, n * sizeof(float));
	return c->shared;
}

static void sum_end(struct ax_dev *d, void *dw, const float *sum, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ax_add_to(dw, d->grad, i, sum[i]);
}

static void rmsnorm_bwd(struct ax_dev *d, void *dx, void *dw, const void *dy, const void *dres, const void *r, const float *rstd, const void *w, float w_add, int N, int C)
{
	size_t c = (size_t)C;
	float *sum = sum_begin(d, c);

	for (size_t n = 0; sum && n < (size_t)N; n++)
		norm_row_bwd(d->act, dx, n * c, sum, dy, n * c, dres, r, AX_F32, n * c, rstd[n], w, w_add, c);
	if (sum)
		sum_end(d, dw, sum, c);
}

static void headnorm_fwd(struct ax_dev *d, void *x, size_t ld, void *pre, float *rstd, const void *w, float w_add, float eps, bool cast_first, int N, int n_head, int HD)
{
	size_t heads = (size_t)n_head, hd = (size_t)HD;

	for (size_t n = 0; n < (size_t)N; n++)
		for (size_t h = 0; h < heads; h++) {
			size_t at = n * ld + h * hd;

			if (pre)
				for (size_t i = 0; i < hd; i++)
					ax_put(pre, d->act, (n * heads + h) * hd + i, ax_get(x, d->act, at + i));
			rstd[n * heads + h] = norm_row(d->act, x, at, x, d->act, at, w, w_add, eps, cast_first, hd);
		}
}

static void headnorm_bwd(struct ax_dev *d, void *dx, size_t ld, void *dw, const void *pre, const float *rstd, const void *w, float w_add, int N, int n_head, int HD)
{
	size_t heads = (size_t)n_head, hd = (size_t)HD;
	float *sum = sum_begin(d, hd);

	for (size_t n = 0; sum && n < (size_t)N; n++)
		for (size_t h = 0; h < heads; h++) {
			size_t at = n * ld + h * hd;

			norm_row_bwd(d->act, dx, at, sum, dx, at, NULL, pre, d->act, (n * heads + h) * hd, rstd[n * heads + h], w, w_add, hd);
		}
	if (sum)
		sum_end(d, dw, sum, hd);
}

void ax_ref_norm(struct ax_ops *o)
{
	o->rmsnorm_fwd = rmsnorm_fwd;
	o->rmsnorm_bwd = rmsnorm_bwd;
	o->headnorm_fwd = headnorm_fwd;
	o->headnorm_bwd = headnorm_bwd;
}
