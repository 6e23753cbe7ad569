/* Fast elementwise ops: the vector kernels over blocks of fixed size. */
#include "tensor/cpu/cpu.h"

#define BLOCK ((size_t)32 << 10) /* elements of a task */

static size_t blocks(size_t n)
{
	return (n + BLOCK - 1) / BLOCK;
}

static size_t block_len(size_t n, size_t i)
{
	return n - i * BLOCK < BLOCK ? n - i * BLOCK : BLOCK;
}

struct elem {
	const struct ax_kern *kern;
	void *y;
	const void *a, *b;
	enum ax_dtype ty, tx;
	float alpha;
	size_t n;
};

static void cast_block(void *ctx, size_t i, int slot)
{
	const struct elem *x = ctx;

	x->kern->cast(ax_at_mut(x->y, x->ty, i * BLOCK), x->ty, ax_at(x->a, x->tx, i * BLOCK), x->tx, block_len(x->n, i));
}

static void cast(struct ax_dev *d, void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, size_t n)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct elem a = { .kern = c->kern, .y = y, .a = x, .ty = ty, .tx = tx, .n = n };

	if (ty == AX_F16 || tx == AX_F16)
		c->ref.cast(d, y, ty, x, tx, n);
	else
		ax_cpu_run(c, blocks(n), cast_block, &a);
}

static void axpy_block(void *ctx, size_t i, int slot)
{
	const struct elem *x = ctx;

	x->kern->axpy(ax_at_mut(x->y, x->ty, i * BLOCK), x->ty, ax_at(x->a, x->tx, i * BLOCK), x->tx, x->alpha, block_len(x->n, i));
}

static void axpy(struct ax_dev *d, void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, float alpha, size_t n)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct elem a = { .kern = c->kern, .y = y, .a = x, .ty = ty, .tx = tx, .alpha = alpha, .n = n };

	if (tx == AX_F16)
		c->ref.axpy(d, y, ty, x, tx, alpha, n);
	else
		ax_cpu_run(c, blocks(n), axpy_block, &a);
}

static void scale_block(void *ctx, size_t i, int slot)
{
	const struct elem *x = ctx;

	x->kern->scale((float *)x->y + i * BLOCK, x->alpha, block_len(x->n, i));
}

static void scale(struct ax_dev *d, float *x, float alpha, size_t n)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct elem a = { .kern = c->kern, .y = x, .alpha = alpha, .n = n };

	ax_cpu_run(c, blocks(n), scale_block, &a);
}

static void add_block(void *ctx, size_t i, int slot)
{
	const struct elem *x = ctx;
	size_t at = i * BLOCK;

	x->kern->add(ax_at_mut(x->y, x->ty, at), ax_at(x->a, x->ty, at), ax_at(x->b, x->ty, at), x->ty, block_len(x->n, i));
}

static void add(struct ax_dev *d, void *y, const void *a, const void *b, size_t n)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct elem x = { .kern = c->kern, .y = y, .a = a, .b = b, .ty = d->act, .n = n };

	ax_cpu_run(c, blocks(n), add_block, &x);
}

static void zero_block(void *ctx, size_t i, int slot)
{
	const struct elem *x = ctx;

	memset((char *)x->y + i * BLOCK, 0, block_len(x->n, i));
}

static void zero(struct ax_dev *d, void *dst, size_t bytes)
{
	struct elem x = { .y = dst, .n = bytes };

	ax_cpu_run(ax_cpu_of(d), blocks(bytes), zero_block, &x);
}

static void copy_block(void *ctx, size_t i, int slot)
{
	const struct elem *x = ctx;

	memcpy((char *)x->y + i * BLOCK, (const char *)x->a + i * BLOCK, block_len(x->n, i));
}

static void copy(struct ax_dev *d, void *dst, const void *src, size_t bytes)
{
	struct elem x = { .y = dst, .a = src, .n = bytes };

	ax_cpu_run(ax_cpu_of(d), blocks(bytes), copy_block, &x);
}

struct sum {
	const struct ax_kern *kern;
	const void *x;
	enum ax_dtype t;
	double *part;
	size_t n;
};

static void sum_block(void *ctx, size_t i, int slot)
{
	const struct sum *s = ctx;

	s->part[i] = s->kern->sumsq(ax_at(s->x, s->t, i * BLOCK), s->t, block_len(s->n, i));
}

static double pairwise(const double *x, size_t n)
{
	return n == 0 ? 0 : n == 1 ? x[0] : pairwise(x, n / 2) + pairwise(x + n / 2, n - n / 2);
}

static void sumsq(struct ax_dev *d, double *out, const void *x, enum ax_dtype tx, size_t n)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct sum s = { c->kern, x, tx, NULL, n };

	if (!ax_cpu_scratch(c, blocks(n) * sizeof(double), 0))
		return;
	s.part = c->shared;
	ax_cpu_run(c, blocks(n), sum_block, &s);
	*out = pairwise(s.part, blocks(n));
}

#define ROWS 16 /* rows of a task in the ops below */

struct rows {
	const struct ax_kern *kern;
	enum ax_dtype t;
	void *y;
	const void *x, *g;
	const int32_t *pos;
	const float *table;
	size_t n, width, ld, heads, half;
	enum ax_act_fn fn;
	float alpha;
};

static void glu_fwd_rows(void *ctx, size_t i, int slot)
{
	const struct rows *r = ctx;
	size_t w = r->width;

	for (size_t n = i * ROWS; n < r->n && n < (i + 1) * ROWS; n++)
		r->kern->glu_fwd(ax_at_mut(r->y, r->t, n * w), ax_at(r->x, r->t, n * 2 * w), ax_at(r->x, r->t, n * 2 * w + w), r->t, r->fn, w);
}

static void glu_fwd(struct ax_dev *d, void *h, const void *gu, enum ax_act_fn fn, int N, int F)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct rows r = { .kern = c->kern, .t = d->act, .y = h, .x = gu, .n = (size_t)N, .width = (size_t)F, .fn = fn };

	ax_cpu_run(c, (r.n + ROWS - 1) / ROWS, glu_fwd_rows, &r);
}

static void glu_bwd_rows(void *ctx, size_t i, int slot)
{
	const struct rows *r = ctx;
	size_t w = r->width;

	for (size_t n = i * ROWS; n < r->n && n < (i + 1) * ROWS; n++) {
		size_t gate = n * 2 * w, up = gate + w;

		r->kern->glu_bwd(ax_at_mut(r->y, r->t, gate), ax_at_mut(r->y, r->t, up), ax_at(r->g, r->t, n * w), ax_at(r->x, r->t, gate), ax_at(r->x, r->t, up), r->t, r->fn, w);
	}
}

static void glu_bwd(struct ax_dev *d, void *dgu, const void *dh, const void *gu, enum ax_act_fn fn, int N, int F)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct rows r = { .kern = c->kern, .t = d->act, .y = dgu, .x = gu, .g = dh, .n = (size_t)N, .width = (size_t)F, .fn = fn };

	ax_cpu_run(c, (r.n + ROWS - 1) / ROWS, glu_bwd_rows, &r);
}

static void rope_rows(void *ctx, size_t i, int slot)
{
	const struct rows *r = ctx;

	for (size_t n = i * ROWS; n < r->n && n < (i + 1) * ROWS; n++) {
		const float *cos = r->table + (size_t)r->pos[n] * r->width, *sin = cos + r->width / 2;

		for (size_t h = 0; h < r->heads; h++) {
			size_t at = n * r->ld + h * r->width;

			r->kern->rope(ax_at_mut(r->y, r->t, at), ax_at_mut(r->y, r->t, at + r->half), r->t, cos, sin, r->alpha, r->half);
		}
	}
}

static void rope(struct ax_dev *d, void *x, size_t ld, const int32_t *pos, const float *cos_sin, int N, int n_head, int HD, int rotary, bool backward)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct rows r = { .kern = c->kern, .t = d->act, .y = x, .pos = pos, .table = cos_sin, .n = (size_t)N, .width = (size_t)HD, .ld = ld,
			  .heads = (size_t)n_head, .half = (size_t)rotary / 2, .alpha = backward ? -1 : 1 };

	ax_cpu_run(c, (r.n + ROWS - 1) / ROWS, rope_rows, &r);
}

static void embed_rows(void *ctx, size_t i, int slot)
{
	const struct rows *r = ctx;
	size_t w = r->width, bytes = w * (r->t == AX_F32 ? 4 : 2);

	for (size_t n = i * ROWS; n < r->n && n < (i + 1) * ROWS; n++)
		memcpy(ax_at_mut(r->y, r->t, n * w), ax_at(r->x, r->t, (size_t)r->pos[n] * w), bytes);
}

static void embed_fwd(struct ax_dev *d, void *x, const int32_t *ids, const void *table, float alpha, int N, int C)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct rows r = { .t = d->act, .y = x, .x = table, .pos = ids, .n = (size_t)N, .width = (size_t)C };

	if (alpha != 1)
		c->ref.embed_fwd(d, x, ids, table, alpha, N, C);
	else
		ax_cpu_run(c, (r.n + ROWS - 1) / ROWS, embed_rows, &r);
}

#define COLUMNS 64 /* of a task of embed_bwd: equal ids meet in one task, in the order of positions */

/* Rows of dx by the row of the table that they belong to. */
struct embed {
	const struct ax_kern *kern;
	enum ax_dtype act, grad;
	void *table;
	const void *dx;
	const int32_t *ids;
	float alpha;
	size_t n_first, width;
	int32_t *first, *next, *head; /* first positions of ids, ascending; the next position of the same id, or -1; first one by id */
};

static void embed_columns(void *ctx, size_t i, int slot)
{
	const struct embed *x = ctx;
	size_t w = x->width, at = i * COLUMNS, len = w - at < COLUMNS ? w - at : COLUMNS;

	for (size_t f = 0; f < x->n_first; f++) {
		float sum[COLUMNS] = { 0 };

		for (int32_t n = x->first[f]; n >= 0; n = x->next[n])
			x->kern->axpy(sum, AX_F32, ax_at(x->dx, x->act, (size_t)n * w + at), x->act, 1, len);
		x->kern->axpy(ax_at_mut(x->table, x->grad, (size_t)x->ids[x->first[f]] * w + at), x->grad, sum, AX_F32, x->alpha, len);
	}
}

static void embed_list(struct embed *x, int N, int V)
{
	memset(x->head, 0xff, (size_t)V * sizeof(*x->head));
	for (int32_t n = N; n-- > 0;) {
		x->next[n] = x->head[x->ids[n]];
		x->head[x->ids[n]] = n;
	}
	for (int32_t n = 0; n < N; n++)
		if (x->head[x->ids[n]] == n)
			x->first[x->n_first++] = n;
}

size_t ax_fast_embed_shared(const struct ax_shape *s)
{
	return (2 * (size_t)s->N + (size_t)s->V) * sizeof(int32_t);
}

static void embed_bwd(struct ax_dev *d, void *dtable, const void *dx, const int32_t *ids, float alpha, int N, int C, int V)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct embed x = { .kern = c->kern, .act = d->act, .grad = d->grad, .table = dtable, .dx = dx, .ids = ids, .alpha = alpha, .width = (size_t)C };
	const struct ax_shape shape = { .N = N, .V = V };

	if (!ax_cpu_scratch(c, ax_fast_embed_shared(&shape), 0))
		return;
	x.first = c->shared;
	x.next = x.first + N;
	x.head = x.next + N;
	embed_list(&x, N, V);
	ax_cpu_run(c, (x.width + COLUMNS - 1) / COLUMNS, embed_columns, &x);
}

void ax_fast_elem(struct ax_ops *o)
{
	o->cast = cast;
	o->axpy = axpy;
	o->scale = scale;
	o->add = add;
	o->zero = zero;
	o->copy = copy;
	o->sumsq = sumsq;
	o->glu_fwd = glu_fwd;
	o->glu_bwd = glu_bwd;
	o->rope = rope;
	o->embed_fwd = embed_fwd;
	o->embed_bwd = embed_bwd;
}
