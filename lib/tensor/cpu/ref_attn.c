/* Reference: attention over segments, a query at a time; the backward pass for keys and values a key at a time. */
#include "tensor/cpu/cpu.h"

struct attn {
	enum ax_dtype t;
	const void *q, *k, *v;
	size_t ldq, ldk;
	const struct ax_attn *p;
};

/* Keys [*from, *to) of the segment, relative to k_off, that query i of it sees. */
static void visible(const struct ax_seg *s, int window, int i, int *from, int *to)
{
	long at = (long)s->q_pos + i;
	long lo = window ? at - window + 1 : 0, hi = at + 1;

	*from = lo < 0 ? 0 : lo > s->k_len ? s->k_len : (int)lo;
	*to = hi < *from ? *from : hi > s->k_len ? s->k_len : (int)hi;
}

/* The score of query row n and key row m for head h; *slope, if wanted, is its derivative by scale * q.k. */
static double score(const struct attn *a, size_t n, size_t m, size_t h, double *slope)
{
	size_t hd = (size_t)a->p->head_dim, kv = h / (size_t)(a->p->n_head / a->p->n_kv);
	double s = 0, cap = (double)a->p->softcap;

	for (size_t i = 0; i < hd; i++)
		s += (double)ax_get(a->q, a->t, n * a->ldq + h * hd + i) * (double)ax_get(a->k, a->t, m * a->ldk + kv * hd + i);
	s *= (double)a->p->scale;
	if (slope)
		*slope = 1;
	if (cap > 0) {
		double th = tanh(s / cap);

		if (slope)
			*slope = 1 - th * th;
		s = cap * th;
	}
	return s;
}

static void query_fwd(const struct attn *a, const struct ax_seg *s, int i, size_t h, void *o, float *lse)
{
	size_t hd = (size_t)a->p->head_dim, heads = (size_t)a->p->n_head, kv = h / (heads / (size_t)a->p->n_kv);
	size_t n = (size_t)s->q_off + (size_t)i;
	double max = -INFINITY, sum = 0, acc[AX_HEAD_DIM_MAX] = { 0 };
	int from, to;

	visible(s, a->p->window, i, &from, &to);
	for (int j = from; j < to; j++) {
		size_t m = (size_t)s->k_off + (size_t)j;
		double x = score(a, n, m, h, NULL), next = x > max ? x : max, shrink = max == next ? 1 : exp(max - next);
		double p = exp(x - next);

		sum = sum * shrink + p;
		for (size_t e = 0; e < hd; e++)
			acc[e] = acc[e] * shrink + p * (double)ax_get(a->v, a->t, m * a->ldk + kv * hd + e);
		max = next;
	}
	for (size_t e = 0; e < hd; e++)
		ax_put(o, a->t, (n * heads + h) * hd + e, from < to ? (float)(acc[e] / sum) : 0);
	lse[n * heads + h] = from < to ? (float)(max + log(sum)) : -INFINITY;
}

static void zero_rows(void *x, enum ax_dtype t, size_t rows, size_t width, size_t ld)
{
	for (size_t n = 0; n < rows; n++)
		memset(ax_at_mut(x, t, n * ld), 0, width * (t == AX_F32 ? 4 : 2));
}

static void attn_fwd(struct ax_dev *d, void *o, float *lse, const void *q, size_t ldq, const void *k, const void *v, size_t ldk, const struct ax_seg *seg, int n_seg, int N, int Nk, const struct ax_attn *p)
{
	struct attn a = { d->act, q, k, v, ldq, ldk, p };
	size_t width = (size_t)p->n_head * (size_t)p->head_dim;

	zero_rows(o, d->act, (size_t)N, width, width);
	memset(lse, 0, (size_t)N * (size_t)p->n_head * sizeof(*lse));
	for (int s = 0; s < n_seg; s++)
		for (int i = 0; i < seg[s].q_len; i++)
			for (size_t h = 0; h < (size_t)p->n_head; h++)
				query_fwd(&a, &seg[s], i, h, o, lse);
}

/* What the backward pass adds to attn: dp = go.v, delta = go.o. */
struct attn_bwd {
	struct attn a;
	const void *go, *o;
	const float *lse;
};

/* For query row n, key row m, head h: the probability and the gradient of scale * q.k. */
static double pair_bwd(const struct attn_bwd *b, size_t n, size_t m, size_t h, double *ds)
{
	const struct attn *a = &b->a;
	size_t hd = (size_t)a->p->head_dim, heads = (size_t)a->p->n_head, kv = h / (heads / (size_t)a->p->n_kv);
	size_t at = (n * heads + h) * hd;
	double slope, dp = 0, delta = 0, p = exp(score(a, n, m, h, &slope) - (double)b->lse[n * heads + h]);

	for (size_t e = 0; e < hd; e++) {
		double g = (double)ax_get(b->go, a->t, at + e);

		dp += g * (double)ax_get(a->v, a->t, m * a->ldk + kv * hd + e);
		delta += g * (double)ax_get(b->o, a->t, at + e);
	}
	*ds = p * (dp - delta) * slope * (double)a->p->scale;
	return p;
}

static void query_bwd(const struct attn_bwd *b, const struct ax_seg *s, int i, size_t h, void *dq)
{
	const struct attn *a = &b->a;
	size_t hd = (size_t)a->p->head_dim, kv = h / (size_t)(a->p->n_head / a->p->n_kv), n = (size_t)s->q_off + (size_t)i;
	double acc[AX_HEAD_DIM_MAX] = { 0 }, ds;
	int from, to;

	visible(s, a->p->window, i, &from, &to);
	for (int j = from; j < to; j++) {
		size_t m = (size_t)s->k_off + (size_t)j;

		pair_bwd(b, n, m, h, &ds);
		for (size_t e = 0; e < hd; e++)
			acc[e] += ds * (double)ax_get(a->k, a->t, m * a->ldk + kv * hd + e);
	}
	for (size_t e = 0; e < hd; e++)
		ax_put(dq, a->t, n * a->ldq + h * hd + e, (float)acc[e]);
}

/* Add what the queries of segment s give to key row m and the heads of its group. */
static void key_bwd(const struct attn_bwd *b, const struct ax_seg *s, size_t m, size_t kv, double *dk, double *dv)
{
	const struct attn *a = &b->a;
	size_t hd = (size_t)a->p->head_dim, heads = (size_t)a->p->n_head, group = heads / (size_t)a->p->n_kv;
	int j = (int)m - s->k_off, from, to;

	for (int i = 0; i < s->q_len; i++) {
		size_t n = (size_t)s->q_off + (size_t)i;

		visible(s, a->p->window, i, &from, &to);
		if (j < from || j >= to)
			continue;
		for (size_t h = kv * group; h < (kv + 1) * group; h++) {
			double ds, p = pair_bwd(b, n, m, h, &ds);

			for (size_t e = 0; e < hd; e++) {
				dk[e] += ds * (double)ax_get(a->q, a->t, n * a->ldq + h * hd + e);
				dv[e] += p * (double)ax_get(b->go, a->t, (n * heads + h) * hd + e);
			}
		}
	}
}

static void attn_bwd(struct ax_dev *d, void *dq, void *dk, void *dv, const void *go, const void *q, size_t ldq, const void *k, const void *v, size_t ldk, const void *o, const float *lse, const struct ax_seg *seg, int n_seg, int N, int Nk, const struct ax_attn *p)
{
	struct attn_bwd b = { { d->act, q, k, v, ldq, ldk, p }, go, o, lse };
	size_t hd = (size_t)p->head_dim;

	zero_rows(dq, d->act, (size_t)N, (size_t)p->n_head * hd, ldq);
	for (int s = 0; s < n_seg; s++)
		for (int i = 0; i < seg[s].q_len; i++)
			for (size_t h = 0; h < (size_t)p->n_head; h++)
				query_bwd(&b, &seg[s], i, h, dq);
	for (size_t m = 0; m < (size_t)Nk; m++)
		for (size_t kv = 0; kv < (size_t)p->n_kv; kv++) {
			double gk[AX_HEAD_DIM_MAX] = { 0 }, gv[AX_HEAD_DIM_MAX] = { 0 };

			for (int s = 0; s < n_seg; s++)
				if ((int)m >= seg[s].k_off && (int)m < seg[s].k_off + seg[s].k_len)
					key_bwd(&b, &seg[s], m, kv, gk, gv);
			for (size_t e = 0; e < hd; e++) {
				ax_put(dk, d->act, m * ldk + kv * hd + e, (float)gk[e]);
				ax_put(dv, d->act, m * ldk + kv * hd + e, (float)gv[e]);
			}
		}
}

void ax_ref_attn(struct ax_ops *o)
{
	o->attn_fwd = attn_fwd;
	o->attn_bwd = attn_bwd;
}
