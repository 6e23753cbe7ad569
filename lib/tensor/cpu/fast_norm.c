/*
 * Fast RMSNorm of rows and of heads. The gradient of the weight is summed over blocks of rows, then over the blocks in
 * order; the blocks depend on the shape alone.
 */
#include "tensor/cpu/cpu.h"

#define ROWS 32

struct norm {
	const struct ax_kern *kern;
	enum ax_dtype t, tr; /* tr: of r, and of x in a forward pass */
	void *y, *r;
	float *rstd;
	const void *x, *delta, *w;
	float w_add, eps;
	bool cast_first;
	size_t n, heads, width, ld; /* a row has `heads` vectors of `width`, and stride ld; r is dense */
	float *dw_part;
};

static size_t n_tasks(size_t rows)
{
	return (rows + ROWS - 1) / ROWS;
}

static void fwd_rows(void *ctx, size_t task, int slot)
{
	const struct norm *a = ctx;

	for (size_t n = task * ROWS; n < a->n && n < (task + 1) * ROWS; n++)
		for (size_t h = 0; h < a->heads; h++) {
			size_t i = n * a->heads + h, at = n * a->ld + h * a->width;

			a->rstd[i] = a->kern->norm_fwd(ax_at_mut(a->y, a->t, at), a->r ? ax_at_mut(a->r, a->tr, i * a->width) : NULL,
						       ax_at(a->x, a->tr, at), a->tr, a->delta ? ax_at(a->delta, a->t, at) : NULL, a->w, a->t, a->w_add, a->eps, a->cast_first, a->width);
		}
}

static void rmsnorm_fwd(struct ax_dev *d, void *y, void *r, float *rstd, const void *x, const void *delta, const void *w, float w_add, float eps, bool cast_first, int N, int C)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct norm a = { .kern = c->kern, .t = d->act, .tr = AX_F32, .y = y, .r = r, .rstd = rstd, .x = x, .delta = delta, .w = w, .w_add = w_add, .eps = eps,
			  .cast_first = cast_first, .n = (size_t)N, .heads = 1, .width = (size_t)C, .ld = (size_t)C };

	ax_cpu_run(c, n_tasks(a.n), fwd_rows, &a);
}

static void headnorm_fwd(struct ax_dev *d, void *x, size_t ld, void *pre, float *rstd, const void *w, float w_add, float eps, bool cast_first, int N, int n_head, int HD)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct norm a = { .kern = c->kern, .t = d->act, .tr = d->act, .y = x, .r = pre, .rstd = rstd, .x = x, .w = w, .w_add = w_add, .eps = eps,
			  .cast_first = cast_first, .n = (size_t)N, .heads = (size_t)n_head, .width = (size_t)HD, .ld = ld };

	ax_cpu_run(c, n_tasks(a.n), fwd_rows, &a);
}

/* x is the gradient of the output here, delta that of the residual, y that of the input. */
static void bwd_rows(void *ctx, size_t task, int slot)
{
	const struct norm *a = ctx;
	float *dw = a->dw_part + task * a->width;

	memset(dw, 0, a->width * sizeof(*dw));
	for (size_t n = task * ROWS; n < a->n && n < (task + 1) * ROWS; n++)
		for (size_t h = 0; h < a->heads; h++) {
			size_t i = n * a->heads + h, at = n * a->ld + h * a->width;

			a->kern->norm_bwd(ax_at_mut(a->y, a->t, at), dw, ax_at(a->x, a->t, at), a->delta ? ax_at(a->delta, a->t, at) : NULL,
					  ax_at(a->r, a->tr, i * a->width), a->tr, a->rstd[i], a->w, a->t, a->w_add, a->width);
		}
}

static void norm_bwd(struct ax_dev *d, struct norm *a, void *dw)
{
	struct ax_cpu *c = ax_cpu_of(d);
	size_t tasks = n_tasks(a->n);

	if (!tasks || !ax_cpu_scratch(c, tasks * a->width * sizeof(float), 0))
		return;
	a->dw_part = c->shared;
	ax_cpu_run(c, tasks, bwd_rows, a);
	for (size_t i = 1; i < tasks; i++)
		c->kern->axpy(a->dw_part, AX_F32, a->dw_part + i * a->width, AX_F32, 1, a->width);
	c->kern->axpy(dw, d->grad, a->dw_part, AX_F32, 1, a->width);
}

/* The table's inputs are const; struct norm serves both directions. */
static void *unconst(const void *p)
{
	void *q;

	memcpy(&q, &p, sizeof(q));
	return q;
}

static void rmsnorm_bwd(struct ax_dev *d, void *dx, void *dw, const void *dy, const void *dres, const void *r, const float *rstd, const void *w, float w_add, int N, int C)
{
	struct norm a = { .kern = ax_cpu_of(d)->kern, .t = d->act, .tr = AX_F32, .y = dx, .x = dy, .delta = dres, .r = unconst(r), .rstd = unconst(rstd), .w = w,
			  .w_add = w_add, .n = (size_t)N, .heads = 1, .width = (size_t)C, .ld = (size_t)C };

	norm_bwd(d, &a, dw);
}

static void headnorm_bwd(struct ax_dev *d, void *dx, size_t ld, void *dw, const void *pre, const float *rstd, const void *w, float w_add, int N, int n_head, int HD)
{
	struct norm a = { .kern = ax_cpu_of(d)->kern, .t = d->act, .tr = d->act, .y = dx, .x = dx, .r = unconst(pre), .rstd = unconst(rstd), .w = w,
			  .w_add = w_add, .n = (size_t)N, .heads = (size_t)n_head, .width = (size_t)HD, .ld = ld };

	norm_bwd(d, &a, dw);
}

void ax_fast_norm(struct ax_ops *o)
{
	o->rmsnorm_fwd = rmsnorm_fwd;
	o->rmsnorm_bwd = rmsnorm_bwd;
	o->headnorm_fwd = headnorm_fwd;
	o->headnorm_bwd = headnorm_bwd;
}
