/* Linear layers: the three products of y = x W^T, W (O, I) row-major. Gradients of biases: elem.cu. */
#include "tensor/cuda/cuda.h"

static void linear_fwd(struct ax_dev *d, void *y, size_t ldy, const void *x, size_t ldx, const void *w, const void *b, int N, int I, int O)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const struct ax_cuda_product p = { .m = N, .n = O, .k = I, .b_trans = true, .lda = ldx, .ldb = (size_t)I, .ldo = ldy, .in = c->act, .out = c->act, .alpha = 1 };

	ax_cuda_mm(c, "linear_fwd", &p, y, x, w, b);
}

static void linear_dx(struct ax_dev *d, void *dx, size_t lddx, const void *dy, size_t lddy, const void *w, int N, int I, int O, bool accumulate)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const struct ax_cuda_product p = { .m = N, .n = I, .k = O, .lda = lddy, .ldb = (size_t)I, .ldo = lddx, .in = c->act, .out = c->act, .alpha = 1, .beta = accumulate ? 1 : 0 };

	ax_cuda_mm(c, "linear_dx", &p, dx, dy, w, NULL);
}

static void linear_dw(struct ax_dev *d, void *dw, const void *dy, size_t lddy, const void *x, size_t ldx, int N, int I, int O)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const struct ax_cuda_product p = { .m = O, .n = I, .k = N, .a_trans = true, .lda = lddy, .ldb = ldx, .ldo = (size_t)I, .in = c->act, .out = d->grad, .alpha = 1, .beta = 1 };

	ax_cuda_mm(c, "linear_dw", &p, dw, dy, x, NULL);
}

void ax_cuda_linear(struct ax_cuda *c)
{
	c->ops.linear_fwd = linear_fwd;
	c->ops.linear_dx = linear_dx;
	c->ops.linear_dw = linear_dw;
}
