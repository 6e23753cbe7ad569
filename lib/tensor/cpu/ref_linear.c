/* Reference: matrix products, summed in double by index. */
#include "tensor/cpu/cpu.h"

static void linear_fwd(struct ax_dev *d, void *y, size_t ldy, const void *x, size_t ldx, const void *w, const void *b, int N, int I, int O)
{
	for (size_t n = 0; n < (size_t)N; n++)
		for (size_t o = 0; o < (size_t)O; o++) {
			double s = b ? (double)ax_get(b, d->act, o) : 0;

			for (size_t i = 0; i < (size_t)I; i++)
				s += (double)ax_get(x, d->act, n * ldx + i) * (double)ax_get(w, d->act, o * (size_t)I + i);
			ax_put(y, d->act, n * ldy + o, (float)s);
		}
}

static void linear_dx(struct ax_dev *d, void *dx, size_t lddx, const void *dy, size_t lddy, const void *w, int N, int I, int O, bool accumulate)
{
	for (size_t n = 0; n < (size_t)N; n++)
		for (size_t i = 0; i < (size_t)I; i++) {
			double s = accumulate ? (double)ax_get(dx, d->act, n * lddx + i) : 0;

			for (size_t o = 0; o < (size_t)O; o++)
				s += (double)ax_get(dy, d->act, n * lddy + o) * (double)ax_get(w, d->act, o * (size_t)I + i);
			ax_put(dx, d->act, n * lddx + i, (float)s);
		}
}

static void linear_dw(struct ax_dev *d, void *dw, const void *dy, size_t lddy, const void *x, size_t ldx, int N, int I, int O)
{
	for (size_t o = 0; o < (size_t)O; o++)
		for (size_t i = 0; i < (size_t)I; i++) {
			double s = 0;

			for (size_t n = 0; n < (size_t)N; n++)
				s += (double)ax_get(dy, d->act, n * lddy + o) * (double)ax_get(x, d->act, n * ldx + i);
			ax_add_to(dw, d->grad, o * (size_t)I + i, (float)s);
		}
}

static void bias_grad(struct ax_dev *d, void *db, const void *dy, size_t lddy, int N, int O)
{
	for (size_t o = 0; o < (size_t)O; o++) {
		double s = 0;

		for (size_t n = 0; n < (size_t)N; n++)
			s += (double)ax_get(dy, d->act, n * lddy + o);
		ax_add_to(db, d->grad, o, (float)s);
	}
}

void ax_ref_linear(struct ax_ops *o)
{
	o->linear_fwd = linear_fwd;
	o->linear_dx = linear_dx;
	o->linear_dw = linear_dw;
	o->bias_grad = bias_grad;
}
