/*
 * Fast attention: tasks of one head and one tile of queries (forward), or of one head and all segments that share keys
 * (backward). Each head of a group sums its dk and dv in f32 of its own; they are added in the order of heads.
 */
#include "tensor/cpu/attn.h"
#include "tensor/cpu/cpu.h"

struct tile {
	int32_t seg, q0; /* forward: a tile of queries. backward: segments [seg, q0) that share keys */
};

struct attn {
	struct ax_cpu *c;
	const struct ax_attn_kern *kern;
	const struct ax_attn *p;
	const struct ax_seg *seg;
	const void *q, *k, *v, *go, *o;
	size_t ldq, ldk, ldo;
	void *out;  /* o, or dq */
	float *lse;
	struct tile *tile;
	size_t n_tile;
	float *dk_part, *dv_part; /* (n_head, Nk, head_dim) */
	void *dk, *dv;
	size_t Nk;
};

static const struct ax_attn_kern *kern_of(const struct ax_cpu *c)
{
	static const struct ax_attn_kern *const kern[] = { &ax_attn_base, &ax_attn_avx2, &ax_attn_avx512, &ax_attn_avx512 };

	return c->act == AX_BF16 && c->native_bf16 ? &ax_attn_avx512_bf16 : kern[c->isa];
}

static struct ax_attn_job job_of(const struct attn *a, const struct ax_seg *s, size_t head)
{
	size_t hd = (size_t)a->p->head_dim, heads = (size_t)a->p->n_head, kv = head / (heads / (size_t)a->p->n_kv);
	size_t q = (size_t)s->q_off * a->ldq + head * hd, k = (size_t)s->k_off * a->ldk + kv * hd, o = (size_t)s->q_off * a->ldo + head * hd;
	enum ax_dtype t = a->c->act;

	return (struct ax_attn_job){ .t = t, .q = ax_at(a->q, t, q), .k = ax_at(a->k, t, k), .v = ax_at(a->v, t, k), .o = a->o ? ax_at(a->o, t, o) : NULL,
				     .go = a->go ? ax_at(a->go, t, o) : NULL, .ldq = a->ldq, .ldk = a->ldk, .ldo = a->ldo,
				     .lse = a->lse + (size_t)s->q_off * heads + head, .seg = s, .p = a->p };
}

static void zero_rows(const struct attn *a, void *x, size_t from, size_t to, size_t width, size_t ld)
{
	for (size_t n = from; n < to; n++)
		memset(ax_at_mut(x, a->c->act, n * ld), 0, width * (a->c->act == AX_F32 ? 4 : 2));
}

/* Rows of no segment: x = 0, and lse = 0 in the forward pass. */
static void zero_padding(const struct attn *a, size_t ld, int n_seg, size_t N, bool lse)
{
	size_t width = (size_t)a->p->n_head * (size_t)a->p->head_dim, heads = (size_t)a->p->n_head, at = 0;

	for (int s = 0; s <= n_seg; s++) {
		size_t to = s < n_seg ? (size_t)a->seg[s].q_off : N;

		if (to > at) {
			zero_rows(a, a->out, at, to, width, ld);
			if (lse)
				memset(a->lse + at * heads, 0, (to - at) * heads * sizeof(float));
		}
		if (s < n_seg)
			at = (size_t)a->seg[s].q_off + (size_t)a->seg[s].q_len;
	}
}

static void fwd_tile(void *ctx, size_t i, int slot)
{
	const struct attn *a = ctx;
	size_t heads = (size_t)a->p->n_head;
	const struct tile *t = &a->tile[a->n_tile - 1 - i / heads]; /* late tiles see most keys: they come first */
	const struct ax_seg *s = &a->seg[t->seg];
	struct ax_attn_job j = job_of(a, s, i % heads);
	size_t at = (size_t)s->q_off * a->ldo + i % heads * (size_t)a->p->head_dim;

	a->kern->fwd(&j, t->q0, ax_at_mut(a->out, a->c->act, at), a->lse + (size_t)s->q_off * heads + i % heads, ax_cpu_slot(a->c, slot));
}

/* Segments without the empty ones at the end, which fill tables up. */
static int used(const struct ax_seg *seg, int n)
{
	while (n > 0 && !seg[n - 1].q_len)
		n--;
	return n;
}

static int longest(const struct ax_seg *seg, int n)
{
	int most = 0;

	for (int i = 0; i < n; i++)
		most = seg[i].q_len > most ? seg[i].q_len : most;
	return most;
}

static size_t tiles_bytes(size_t N)
{
	return ((N / AX_ATTN_TILE + N + 1) * sizeof(struct tile) + 63) & ~(size_t)63;
}

static void attn_fwd(struct ax_dev *d, void *o, float *lse, const void *q, size_t ldq, const void *k, const void *v, size_t ldk, const struct ax_seg *seg, int n_seg, int N, int Nk, const struct ax_attn *p)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct attn a = { .c = c, .kern = kern_of(c), .p = p, .seg = seg, .q = q, .k = k, .v = v, .ldq = ldq, .ldk = ldk,
			  .ldo = (size_t)p->n_head * (size_t)p->head_dim, .out = o, .lse = lse };

	if (!ax_cpu_scratch(c, tiles_bytes((size_t)N), a.kern->slot_bytes(p->head_dim, AX_ATTN_TILE)))
		return;
	n_seg = used(seg, n_seg);
	a.tile = c->shared;
	for (int s = 0; s < n_seg; s++)
		for (int q0 = 0; q0 < seg[s].q_len; q0 += AX_ATTN_TILE)
			a.tile[a.n_tile++] = (struct tile){ s, q0 };
	zero_padding(&a, a.ldo, n_seg, (size_t)N, true);
	ax_cpu_run(c, a.n_tile * (size_t)p->n_head, fwd_tile, &a);
}

/* Cut the segments into runs whose keys do not meet: a document each, or the chunks of one. */
static void find_runs(struct attn *a, int n_seg)
{
	for (int s = 0; s < n_seg; s++) {
		int32_t low = a->seg[s].k_off;

		a->tile[a->n_tile++] = (struct tile){ s, s + 1 };
		while (a->n_tile > 1) {
			const struct tile *last = &a->tile[a->n_tile - 2];
			bool meet = false;

			for (int i = last->seg; i < last->q0 && !meet; i++)
				meet = low < a->seg[i].k_off + a->seg[i].k_len;
			if (!meet)
				break;
			for (int i = last->seg; i < last->q0; i++)
				low = a->seg[i].k_off < low ? a->seg[i].k_off : low;
			a->n_tile--;
			a->tile[a->n_tile - 1].q0 = s + 1;
		}
	}
}

static void bwd_run(void *ctx, size_t i, int slot)
{
	const struct attn *a = ctx;
	size_t heads = (size_t)a->p->n_head, head = i % heads, hd = (size_t)a->p->head_dim;
	const struct tile *t = &a->tile[i / heads];

	for (int s = t->seg; s < t->q0; s++) {
		const struct ax_seg *g = &a->seg[s];
		struct ax_attn_job j = job_of(a, g, head);
		size_t key = (head * a->Nk + (size_t)g->k_off) * hd;

		if (!g->q_len)
			continue;
		a->kern->bwd(&j, ax_at_mut(a->out, a->c->act, (size_t)g->q_off * a->ldq + head * hd), a->dk_part + key, a->dv_part + key, ax_cpu_slot(a->c, slot));
	}
}

#define KEY_ROWS 16

static void zero_part(void *ctx, size_t i, int slot)
{
	const struct attn *a = ctx;
	size_t n = a->Nk * (size_t)a->p->head_dim;

	memset(a->dk_part + i * n, 0, n * sizeof(float));
	memset(a->dv_part + i * n, 0, n * sizeof(float));
}

/* One row of dk or dv: the sum over the heads of the group. */
static void sum_heads(const struct attn *a, void *to, float *part, size_t row, size_t kv)
{
	size_t hd = (size_t)a->p->head_dim, group = (size_t)a->p->n_head / (size_t)a->p->n_kv;
	float *first = part + (kv * group * a->Nk + row) * hd;

	for (size_t g = 1; g < group; g++)
		a->c->kern->axpy(first, AX_F32, first + g * a->Nk * hd, AX_F32, 1, hd);
	a->c->kern->cast(ax_at_mut(to, a->c->act, row * a->ldk + kv * hd), a->c->act, first, AX_F32, hd);
}

static void sum_rows(void *ctx, size_t i, int slot)
{
	const struct attn *a = ctx;

	for (size_t row = i * KEY_ROWS; row < a->Nk && row < (i + 1) * KEY_ROWS; row++)
		for (size_t kv = 0; kv < (size_t)a->p->n_kv; kv++) {
			sum_heads(a, a->dk, a->dk_part, row, kv);
			sum_heads(a, a->dv, a->dv_part, row, kv);
		}
}

static size_t part_bytes(size_t heads, size_t Nk, size_t hd)
{
	return (heads * Nk * hd * sizeof(float) + 63) & ~(size_t)63;
}

static void attn_bwd(struct ax_dev *d, void *dq, void *dk, void *dv, const void *go, const void *q, size_t ldq, const void *k, const void *v, size_t ldk, const void *o, const float *lse, const struct ax_seg *seg, int n_seg, int N, int Nk, const struct ax_attn *p)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct attn a = { .c = c, .kern = kern_of(c), .p = p, .seg = seg, .q = q, .k = k, .v = v, .go = go, .o = o, .ldq = ldq, .ldk = ldk,
			  .ldo = (size_t)p->n_head * (size_t)p->head_dim, .out = dq, .dk = dk, .dv = dv, .Nk = (size_t)Nk };
	size_t part = part_bytes((size_t)p->n_head, (size_t)Nk, (size_t)p->head_dim);

	n_seg = used(seg, n_seg);
	memcpy(&a.lse, &lse, sizeof(lse)); /* only read here */
	if (!ax_cpu_scratch(c, tiles_bytes((size_t)N) + 2 * part, a.kern->slot_bytes(p->head_dim, longest(seg, n_seg))))
		return;
	a.tile = c->shared;
	a.dk_part = (float *)(void *)((char *)c->shared + tiles_bytes((size_t)N));
	a.dv_part = (float *)(void *)((char *)a.dk_part + part);
	find_runs(&a, n_seg);
	zero_padding(&a, ldq, n_seg, (size_t)N, false);
	ax_cpu_run(c, (size_t)p->n_head, zero_part, &a);
	ax_cpu_run(c, a.n_tile * (size_t)p->n_head, bwd_run, &a);
	ax_cpu_run(c, ((size_t)Nk + KEY_ROWS - 1) / KEY_ROWS, sum_rows, &a);
}

size_t ax_fast_attn_shared(const struct ax_shape *s)
{
	return tiles_bytes((size_t)s->N) + 2 * part_bytes((size_t)s->n_head, (size_t)(s->Nk > s->N ? s->Nk : s->N), (size_t)s->head_dim);
}

size_t ax_fast_attn_slot(const struct ax_cpu *c, const struct ax_shape *s)
{
	return kern_of(c)->slot_bytes(s->head_dim, s->N);
}

void ax_fast_attn(struct ax_ops *o)
{
	o->attn_fwd = attn_fwd;
	o->attn_bwd = attn_bwd;
}
