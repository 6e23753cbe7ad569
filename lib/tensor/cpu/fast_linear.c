/*
 * Fast matrix products: tiles of oneDNN products, cut by shape, one thread each. On a machine without bf16 products the
 * operands are widened to f32 first: exact, and faster than oneDNN's emulation.
 */
#include "tensor/cpu/cpu.h"

#define TILE_ROWS 288 /* at most: enough to pay for the packing of B, few enough to keep a core's L2 */
#define TILE_COLS 512
#define WIDE      8192 /* from this many columns on (an output head) tiles are cut from B, which is then packed once */

struct product {
	struct ax_cpu *c;
	struct ax_mm_shape s;
	const struct ax_mm *mm[2][2]; /* [last row tile][last column tile] */
	size_t tile_m, tile_n, tiles_m, tiles_n;
	const char *a, *b, *bias;
	char *out;
	enum ax_dtype out_type; /* of `out`; s.out is what the product writes */
	bool accumulate;        /* when the tile is converted */
	size_t ld_out;
};

static size_t ceil_div(size_t a, size_t b)
{
	return (a + b - 1) / b;
}

/* Length of the tiles of n: at most `most`, an even number of them where there are two or more, multiples of 16. */
static size_t tile_len(size_t n, size_t most)
{
	size_t tiles = ceil_div(n, most);

	if (tiles > 1 || n >= 128)
		tiles += tiles & 1;
	return (ceil_div(n, tiles) + 15) & ~(size_t)15;
}

static size_t size_of(enum ax_dtype t)
{
	return t == AX_F32 ? 4 : 2;
}

/* Convert an f32 tile into rows of bf16. */
static void narrow_tile(const struct product *p, const float *tile, size_t m0, size_t n0, size_t m, size_t n)
{
	for (size_t i = 0; i < m; i++) {
		uint16_t *y = (uint16_t *)p->out + (m0 + i) * p->ld_out + n0;
		const float *x = tile + i * p->s.ldc;

		if (p->accumulate)
			p->c->kern->axpy(y, AX_BF16, x, AX_F32, 1, n);
		else
			p->c->kern->cast(y, AX_BF16, x, AX_F32, n);
	}
}

static void run_tile(void *ctx, size_t i, int slot)
{
	const struct product *p = ctx;
	const struct ax_mm_shape *s = &p->s;
	size_t tm = i / p->tiles_n, tn = i % p->tiles_n, m0 = tm * p->tile_m, n0 = tn * p->tile_n, in = size_of(s->in);
	const struct ax_mm *mm = p->mm[tm + 1 == p->tiles_m][tn + 1 == p->tiles_n];
	const char *a = p->a + in * m0 * (s->ta ? 1 : s->lda), *b = p->b + in * n0 * (s->tb ? s->ldb : 1);
	char *scratch = ax_cpu_slot(p->c, slot), *out = p->out + size_of(s->out) * (m0 * s->ldc + n0);
	bool convert = s->out != p->out_type;

	if (convert)
		out = scratch + ax_mm_scratch(mm);
	if (!ax_mm_run(p->c->dnnl, mm, slot, scratch, a, b, p->bias ? p->bias + in * n0 : NULL, out))
		p->c->failed = true;
	if (convert)
		narrow_tile(p, (const float *)out, m0, n0, tm + 1 == p->tiles_m ? (size_t)s->m - m0 : p->tile_m, tn + 1 == p->tiles_n ? (size_t)s->n - n0 : p->tile_n);
}

static bool prepare(struct product *p)
{
	struct ax_mm_shape s = p->s;
	size_t slot = 0;

	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++) {
			s.m = i ? p->s.m - (int)((p->tiles_m - 1) * p->tile_m) : (int)p->tile_m;
			s.n = j ? p->s.n - (int)((p->tiles_n - 1) * p->tile_n) : (int)p->tile_n;
			if ((!i && p->tiles_m == 1) || (!j && p->tiles_n == 1))
				continue; /* there is only a last tile */
			p->mm[i][j] = ax_dnnl_get(p->c->dnnl, &s);
			if (!p->mm[i][j]) {
				p->c->failed = true;
				return false;
			}
			if (ax_mm_scratch(p->mm[i][j]) > slot)
				slot = ax_mm_scratch(p->mm[i][j]);
		}
	if (s.out != p->out_type)
		slot += p->tile_m * p->tile_n * sizeof(float);
	return ax_cpu_scratch(p->c, 0, slot);
}

static void cut_and_run(struct product *p)
{
	bool columns = p->s.ta || p->s.m < 128; /* dW is tall and wide; few rows leave threads idle */
	bool wide = p->s.n >= WIDE && p->s.out == AX_F32;

	if (p->s.m < 1 || p->s.n < 1)
		return;
	p->tile_m = wide && p->s.m <= 2 * TILE_ROWS ? (size_t)p->s.m : tile_len((size_t)p->s.m, TILE_ROWS);
	p->tile_n = wide || (columns && (size_t)p->s.n > 2 * TILE_COLS) ? tile_len((size_t)p->s.n, wide ? 4 * TILE_COLS : TILE_COLS) : (size_t)p->s.n;
	p->tiles_m = ceil_div((size_t)p->s.m, p->tile_m);
	p->tiles_n = ceil_div((size_t)p->s.n, p->tile_n);
	if (p->s.out != p->out_type)
		p->s.ldc = p->tile_n;
	if (prepare(p))
		ax_cpu_run(p->c, p->tiles_m * p->tiles_n, run_tile, p);
}

struct widen {
	struct ax_cpu *c;
	const uint16_t *x;
	float *y;
	size_t rows, width, ld;
};

static void widen_rows(void *ctx, size_t i, int slot)
{
	const struct widen *w = ctx;

	for (size_t r = i * 16; r < w->rows && r < (i + 1) * 16; r++)
		w->c->kern->cast(w->y + r * w->width, AX_F32, w->x + r * w->ld, AX_BF16, w->width);
}

static void widen(struct ax_cpu *c, float *y, const void *x, size_t rows, size_t width, size_t ld)
{
	struct widen w = { c, x, y, rows, width, ld };

	ax_cpu_run(c, ceil_div(rows, 16), widen_rows, &w);
}

/* Replace the bf16 operands of p by f32 copies. */
static bool widen_operands(struct product *p)
{
	struct ax_mm_shape *s = &p->s;
	size_t ar = (size_t)(s->ta ? s->k : s->m), ac = (size_t)(s->ta ? s->m : s->k);
	size_t br = (size_t)(s->tb ? s->n : s->k), bc = (size_t)(s->tb ? s->k : s->n);
	float *a, *b, *bias;

	if (!ax_cpu_wide(p->c, (ar * ac + br * bc + (size_t)s->n + 64) * sizeof(float)))
		return false;
	a = p->c->wide;
	b = a + ar * ac;
	bias = b + br * bc;
	widen(p->c, a, p->a, ar, ac, s->lda);
	widen(p->c, b, p->b, br, bc, s->ldb);
	if (p->bias)
		p->c->kern->cast(bias, AX_F32, p->bias, AX_BF16, (size_t)s->n);
	p->a = (const char *)a;
	p->b = (const char *)b;
	p->bias = p->bias ? (const char *)bias : NULL;
	s->lda = ac;
	s->ldb = bc;
	s->in = AX_F32;
	s->out = AX_F32;
	return true;
}

static size_t widest(const struct ax_shape *s)
{
	int n = s->C > 2 * s->F ? s->C : 2 * s->F;

	return (size_t)(n > s->O ? n : s->O);
}

/* A tile in f32, where oneDNN or widening needs one, and the buffers that oneDNN packs operands into. */
size_t ax_cpu_mm_slot(const struct ax_shape *s)
{
	return TILE_ROWS * widest(s) * sizeof(float) + ((size_t)2 << 20);
}

size_t ax_cpu_mm_wide(const struct ax_cpu *c, const struct ax_shape *s)
{
	size_t rows = widest(s) > (size_t)s->V ? widest(s) : (size_t)s->V, heads = (size_t)s->n_head * (size_t)s->head_dim;
	size_t cols = (size_t)s->C > heads ? (size_t)s->C : heads;

	return c->act == AX_BF16 && !c->native_bf16 ? ((size_t)s->N * widest(s) + rows * cols) * sizeof(float) : 0;
}

void ax_cpu_mm(struct ax_cpu *c, const struct ax_mm_shape *s, const void *a, const void *b, const void *bias, void *out)
{
	struct product p = { .c = c, .s = *s, .a = a, .b = b, .bias = bias, .out = out, .out_type = s->out, .ld_out = s->ldc };

	if (c->failed || !s->m || !s->n || (!s->k && s->accumulate)) /* the library takes no empty matrices */
		return;
	if (s->out == AX_BF16 && s->accumulate) { /* rounded once: the library does not say how often it would */
		p.s.out = AX_F32;
		p.s.accumulate = false;
		p.accumulate = true;
	}
	if (s->in == AX_BF16 && !c->native_bf16 && !widen_operands(&p))
		return;
	cut_and_run(&p);
}

static void linear_fwd(struct ax_dev *d, void *y, size_t ldy, const void *x, size_t ldx, const void *w, const void *b, int N, int I, int O)
{
	struct ax_mm_shape s = { .m = N, .n = O, .k = I, .lda = ldx, .ldb = (size_t)I, .ldc = ldy, .in = d->act, .out = d->act, .tb = true, .bias = b };

	ax_cpu_mm(ax_cpu_of(d), &s, x, w, b, y);
}

static void linear_dx(struct ax_dev *d, void *dx, size_t lddx, const void *dy, size_t lddy, const void *w, int N, int I, int O, bool accumulate)
{
	struct ax_mm_shape s = { .m = N, .n = I, .k = O, .lda = lddy, .ldb = (size_t)I, .ldc = lddx, .in = d->act, .out = d->act, .accumulate = accumulate };

	ax_cpu_mm(ax_cpu_of(d), &s, dy, w, NULL, dx);
}

static void linear_dw(struct ax_dev *d, void *dw, const void *dy, size_t lddy, const void *x, size_t ldx, int N, int I, int O)
{
	struct ax_mm_shape s = { .m = O, .n = I, .k = N, .lda = lddy, .ldb = ldx, .ldc = (size_t)I, .in = d->act, .out = d->grad, .ta = true, .accumulate = true };

	ax_cpu_mm(ax_cpu_of(d), &s, dy, x, NULL, dw);
}

#define BIAS_COLS 128

struct bias {
	struct ax_cpu *c;
	enum ax_dtype grad;
	void *db;
	const void *dy;
	size_t ld, n, width;
};

static void bias_columns(void *ctx, size_t i, int slot)
{
	const struct bias *b = ctx;
	size_t at = i * BIAS_COLS, len = b->width - at < BIAS_COLS ? b->width - at : BIAS_COLS;
	float sum[BIAS_COLS] = { 0 };

	for (size_t n = 0; n < b->n; n++)
		b->c->kern->axpy(sum, AX_F32, ax_at(b->dy, b->c->act, n * b->ld + at), b->c->act, 1, len);
	b->c->kern->axpy(ax_at_mut(b->db, b->grad, at), b->grad, sum, AX_F32, 1, len);
}

static void bias_grad(struct ax_dev *d, void *db, const void *dy, size_t lddy, int N, int O)
{
	struct bias b = { ax_cpu_of(d), d->grad, db, dy, lddy, (size_t)N, (size_t)O };

	ax_cpu_run(b.c, ceil_div(b.width, BIAS_COLS), bias_columns, &b);
}

void ax_fast_linear(struct ax_ops *o)
{
	o->linear_fwd = linear_fwd;
	o->linear_dx = linear_dx;
	o->linear_dw = linear_dw;
	o->bias_grad = bias_grad;
}
