/*
 * Bodies of struct ax_attn_kern; the including file defines VL, NV (vectors of a micro tile), UNIT (elements of a unit:
 * 1 for f32, 2 for bf16) and ATTN (the table's name).
 */
#include "tensor/cpu/attn_tile.h"

/* Bytes from a slot, aligned to 64. */
static void *carve(char **slot, size_t bytes)
{
	char *p = *slot;

	*slot = p + round_up(bytes, 64);
	return p;
}

INLINE vi lane_numbers(size_t from)
{
	vi x;

	for (int i = 0; i < VL; i++)
		x[i] = (int32_t)from + i;
	return x;
}

#define LOG2E 1.44269504f

/*
 * Scores are kept times log2 e, so that their exponential is a power of two. From the raw product; *slope is the
 * derivative by scale * product.
 */
INLINE vf score_of(vf s, const struct ax_attn *p, vf *slope)
{
	vf th;

	if (p->softcap <= 0)
		return s * (p->scale * LOG2E);
	th = vtanh(s * p->scale / p->softcap);
	*slope = 1.0f - th * th;
	return p->softcap * LOG2E * th;
}

/* All ones where the query at pos sees key j. */
INLINE vi seen(vi pos, int32_t j, int window)
{
	vi key = (vi){ 0 } + j, ok = key <= pos;

	return window ? ok & (key > pos - window) : ok;
}

/* Does any query in [pos, pos + nq) miss any key in [j0, j0 + nk)? */
static bool needs_mask(int32_t pos, size_t nq, size_t j0, size_t nk, int window)
{
	return (int64_t)j0 + (int64_t)nk - 1 > pos || (window && (int64_t)j0 <= (int64_t)pos + (int64_t)nq - 1 - window);
}

struct softmax {
	float *s;     /* (TILE, TILE) raw products; scratch afterwards */
	unit *p;      /* paired: probabilities */
	float *o;     /* (elements, TILE) */
	float *m, *l; /* (TILE): maximum and sum so far */
};

/*
 * The maximum over nk keys of the scores of one vector of queries, and the scores in place unless they are `plain`
 * products times a positive scale, for which the order is that of the products.
 */
INLINE vf tile_max(const struct softmax *x, const struct ax_attn *a, vi pos, size_t lane, size_t j0, size_t nk, bool mask, bool plain)
{
	vf max = splat(-INFINITY), slope;

	for (size_t j = 0; j < nk; j++) {
		vf s = load(x->s, AX_F32, j * TILE + lane);

		if (!plain) {
			s = score_of(s, a, &slope);
			if (mask)
				s = pick(seen(pos, (int32_t)(j0 + j), a->window), s, splat(-INFINITY));
			store(x->s, AX_F32, j * TILE + lane, s);
		}
		max = vmax(s, max);
	}
	return plain ? max * (a->scale * LOG2E) : max;
}

/* p = 2^(scale * s - safe) in pairs; returns the sum. */
INLINE vf tile_exp(const struct softmax *x, size_t lane, size_t nk, float scale, vf safe)
{
	vf even = { 0 }, odd = { 0 };

	for (size_t j = 0; j < nk; j += 2) {
		vf a = vexp2(load(x->s, AX_F32, j * TILE + lane) * scale - safe), b = { 0 };

		if (j + 1 < nk)
			b = vexp2(load(x->s, AX_F32, (j + 1) * TILE + lane) * scale - safe);
		even += a;
		odd += b;
		put_pair(x->p, j, lane, a, b);
	}
	return even + odd;
}

/* Online softmax of one vector of queries over nk keys; p gets 2^(s - max), o and l are rescaled to the new maximum. */
static void softmax_lanes(const struct softmax *x, const struct ax_attn *a, vi pos, size_t lane, size_t j0, size_t nk, bool mask, struct dims d)
{
	vf old = load(x->m, AX_F32, lane), max, safe, shrink, sum;
	bool plain = !mask && a->softcap == 0 && a->scale > 0;

	max = vmax(plain ? tile_max(x, a, pos, lane, j0, nk, false, true) : tile_max(x, a, pos, lane, j0, nk, mask, false), old);
	safe = pick(max == -INFINITY, splat(0), max);
	shrink = vexp2(old - safe);
	sum = tile_exp(x, lane, nk, plain ? a->scale * LOG2E : 1, safe);
	store(x->l, AX_F32, lane, load(x->l, AX_F32, lane) * shrink + sum);
	store(x->m, AX_F32, lane, max);
	for (size_t e = 0; e < d.rows; e++)
		store(x->o, AX_F32, e * TILE + lane, load(x->o, AX_F32, e * TILE + lane) * shrink);
}

static void finish_fwd(const struct softmax *x, const struct ax_attn_job *j, size_t q0, size_t nq, void *o, float *lse, float *rows, struct dims d)
{
	float mul[TILE];

	for (size_t i = 0; i < nq; i++) {
		mul[i] = x->l[i] == 0 ? 0 : 1 / x->l[i]; /* 0: no key is visible */
		lse[(q0 + i) * (size_t)j->p->n_head] = x->m[i] / LOG2E + logf(x->l[i]);
	}
	write_across((char *)o + q0 * j->ldo * (j->t == AX_F32 ? 4 : 2), j->t, j->ldo, x->o, mul, nq, rows, d);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void fwd(const struct ax_attn_job *j, int first, void *o, float *lse, void *slot)
{
	struct dims d = dims_of(j->p->head_dim);
	size_t q0 = (size_t)first, nq = least(TILE, (size_t)j->seg->q_len - q0), lanes = round_up(nq, VL);
	int32_t pos = j->seg->q_pos + first, low = j->p->window ? pos - j->p->window + 1 : 0;
	size_t end = least((size_t)j->seg->k_len, (size_t)pos + nq);
	char *s = slot;
	unit *q = carve(&s, d.units * TILE * sizeof(unit)), *k = carve(&s, TILE * d.units * sizeof(unit)), *v = carve(&s, TILE * d.lanes * sizeof(unit));
	struct softmax x = { .s = carve(&s, TILE * TILE * 4), .p = carve(&s, TILE * TILE * 4), .o = carve(&s, d.rows * TILE * 4), .m = carve(&s, TILE * 4), .l = carve(&s, TILE * 4) };

	read_across(q, j->q, j->t, q0 * j->ldq, j->ldq, nq, k, d);
	memset(x.o, 0, d.rows * TILE * 4);
	for (size_t i = 0; i < TILE; i++) {
		x.m[i] = -INFINITY;
		x.l[i] = 0;
	}
	for (size_t j0 = low > 0 ? (size_t)low / TILE * TILE : 0; j0 < end; j0 += TILE) {
		size_t nk = least(TILE, end - j0), rows = round_up(nk, MR);
		bool mask = needs_mask(pos, nq, j0, nk, j->p->window);

		read_paired(v, j->v, j->t, j0 * j->ldk, j->ldk, nk, d);
		block(rows, lanes, d.units, rows_operand(k, j->k, j->t, j0 * j->ldk, j->ldk, nk, d), q, TILE, x.s, TILE, false);
		for (size_t lane = 0; lane < lanes; lane += VL)
			softmax_lanes(&x, j->p, lane_numbers(lane) + pos, lane, j0, nk, mask, d);
		block(d.rows, lanes, (nk + UNIT - 1) / UNIT, (struct operand){ v, 1, d.lanes }, x.p, TILE, x.o, TILE, true);
	}
	finish_fwd(&x, j, q0, nq, o, lse, (float *)(void *)v, d);
}

/* What the backward pass keeps of a tile of queries. */
struct queries {
	unit *q, *go;         /* across */
	unit *q_pair, *go_pair;
	float *dq;            /* (elements, TILE) */
	float *lse, *delta;   /* (TILE); lse times log2 e */
};

/* What it keeps of the tile of keys, and its own scratch. */
struct keys {
	struct operand k, v;    /* the keys and values */
	unit *k_rows, *v_rows;  /* in layout rows, where they are copied */
	unit *k_pair;
	float *dk, *dv; /* (TILE, d.lanes) */
	float *s, *dp;  /* (TILE, TILE) */
	unit *p_row, *ds_row, *ds_pair;
};

static size_t queries_bytes(struct dims d)
{
	return 2 * round_up(d.units * TILE * 4, 64) + 2 * round_up(TILE / UNIT * d.lanes * 4, 64) + round_up(d.rows * TILE * 4, 64) + 2 * TILE * 4;
}

static struct queries carve_queries(char *s, struct dims d)
{
	struct queries x;

	x.q = carve(&s, d.units * TILE * 4);
	x.go = carve(&s, d.units * TILE * 4);
	x.q_pair = carve(&s, TILE / UNIT * d.lanes * 4);
	x.go_pair = carve(&s, TILE / UNIT * d.lanes * 4);
	x.dq = carve(&s, d.rows * TILE * 4);
	x.lse = carve(&s, TILE * 4);
	x.delta = carve(&s, TILE * 4);
	return x;
}

static struct keys carve_keys(char *s, struct dims d)
{
	struct keys x;

	x.k_rows = carve(&s, TILE * d.units * 4);
	x.v_rows = carve(&s, TILE * d.units * 4);
	x.k_pair = carve(&s, TILE * d.lanes * 4);
	x.dk = carve(&s, TILE * d.lanes * 4);
	x.dv = carve(&s, TILE * d.lanes * 4);
	x.s = carve(&s, TILE * TILE * 4);
	x.dp = carve(&s, TILE * TILE * 4);
	x.p_row = carve(&s, TILE * TILE * 4);
	x.ds_row = carve(&s, TILE * TILE * 4);
	x.ds_pair = carve(&s, TILE * TILE * 4);
	return x;
}

static size_t slot_bytes(int head_dim, int q_len)
{
	struct dims d = dims_of(head_dim);
	size_t tiles = ((size_t)q_len + TILE - 1) / TILE;

	return tiles * queries_bytes(d) + (2 * d.units + 3 * d.lanes + d.rows) * TILE * 4 + 5 * TILE * TILE * 4 + 4096;
}

/* Sum of a b over the row in f32 lanes. */
static float row_dot(const void *a, const void *b, enum ax_dtype t, size_t at_a, size_t at_b, size_t n)
{
	vf sum = { 0 };

	for (size_t i = 0; i < n; i += VL)
		sum += load_n(a, t, at_a + i, n - i) * load_n(b, t, at_b + i, n - i);
	return sum_lanes(sum);
}

static void read_queries(const struct queries *x, const struct ax_attn_job *j, size_t q0, size_t nq, unit *rows, struct dims d)
{
	read_across(x->q, j->q, j->t, q0 * j->ldq, j->ldq, nq, rows, d);
	read_across(x->go, j->go, j->t, q0 * j->ldo, j->ldo, nq, rows, d);
	if (nq < TILE) {
		memset(x->q_pair, 0, TILE / UNIT * d.lanes * 4);
		memset(x->go_pair, 0, TILE / UNIT * d.lanes * 4);
	}
	read_paired(x->q_pair, j->q, j->t, q0 * j->ldq, j->ldq, nq, d);
	read_paired(x->go_pair, j->go, j->t, q0 * j->ldo, j->ldo, nq, d);
	memset(x->dq, 0, d.rows * TILE * 4);
	for (size_t i = 0; i < TILE; i++) {
		float lse = i < nq ? j->lse[(q0 + i) * (size_t)j->p->n_head] : INFINITY;

		x->lse[i] = lse == -INFINITY ? INFINITY : lse * LOG2E; /* such a query has no key: p = 2^(s - inf) = 0 */
		x->delta[i] = i < nq ? row_dot(j->go, j->o, j->t, (q0 + i) * j->ldo, (q0 + i) * j->ldo, d.hd) : 0;
	}
}

/* One vector of queries, one key: the probability and ds. */
INLINE vf pair_grad(const struct keys *x, const struct ax_attn *a, size_t at, vf lse, vf delta, vi pos, size_t key, bool mask, bool cap, vf *ds)
{
	vf s = load(x->s, AX_F32, at), slope = { 0 }, p;

	p = vexp2((cap ? score_of(s, a, &slope) : s * (a->scale * LOG2E)) - lse);
	if (mask)
		p = pick(seen(pos, (int32_t)key, a->window), p, splat(0));
	*ds = p * (load(x->dp, AX_F32, at) - delta) * a->scale;
	if (cap)
		*ds *= slope;
	return p;
}

/* From s and dp to p and ds, in the layouts that the products want; rows beyond nk are zeros. */
INLINE void tile_grad(const struct keys *x, const struct queries *q, const struct ax_attn *attn, vi pos, size_t lane, size_t j0, size_t nk, size_t rows, bool mask, bool cap)
{
	const vf lse = load(q->lse, AX_F32, lane), delta = load(q->delta, AX_F32, lane);
	const struct ax_attn a = *attn; /* copies, which no store can change */
	const struct keys k = *x;

	for (size_t j = 0; j < rows; j += 2) {
		vf p0 = { 0 }, p1 = { 0 }, d0 = { 0 }, d1 = { 0 };

		if (j < nk)
			p0 = pair_grad(&k, &a, j * TILE + lane, lse, delta, pos, j0 + j, mask, cap, &d0);
		if (j + 1 < nk)
			p1 = pair_grad(&k, &a, (j + 1) * TILE + lane, lse, delta, pos, j0 + j + 1, mask, cap, &d1);
		put_row(k.p_row, j, lane, p0);
		put_row(k.p_row, j + 1, lane, p1);
		put_row(k.ds_row, j, lane, d0);
		put_row(k.ds_row, j + 1, lane, d1);
		put_pair(k.ds_pair, j, lane, d0, d1);
	}
}

static void tile_bwd(const struct keys *x, const struct queries *q, const struct ax_attn_job *j, size_t q0, size_t j0, size_t nk, struct dims d)
{
	size_t nq = least(TILE, (size_t)j->seg->q_len - q0), lanes = round_up(nq, VL), rows = round_up(nk, MR);
	int32_t pos = j->seg->q_pos + (int32_t)q0;
	bool mask = needs_mask(pos, nq, j0, nk, j->p->window);

	block(rows, lanes, d.units, x->k, q->q, TILE, x->s, TILE, false);
	block(rows, lanes, d.units, x->v, q->go, TILE, x->dp, TILE, false);
	for (size_t lane = 0; lane < lanes; lane += VL) {
		vi at = lane_numbers(lane) + pos;

		if (j->p->softcap > 0)
			tile_grad(x, q, j->p, at, lane, j0, nk, rows, true, true);
		else if (mask)
			tile_grad(x, q, j->p, at, lane, j0, nk, rows, true, false);
		else
			tile_grad(x, q, j->p, at, lane, j0, nk, rows, false, false);
	}
	block(rows, d.lanes, lanes / UNIT, (struct operand){ x->p_row, TILE / UNIT, 1 }, q->go_pair, d.lanes, x->dv, d.lanes, true);
	block(rows, d.lanes, lanes / UNIT, (struct operand){ x->ds_row, TILE / UNIT, 1 }, q->q_pair, d.lanes, x->dk, d.lanes, true);
	block(d.rows, lanes, rows / UNIT, (struct operand){ x->k_pair, 1, d.lanes }, x->ds_pair, TILE, q->dq, TILE, true);
}

/* to (n, hd) += the first hd columns of x (TILE, d.lanes). */
static void add_rows(float *to, const float *x, size_t n, struct dims d)
{
	for (size_t i = 0; i < n; i++)
		for (size_t e = 0; e < d.hd; e++)
			to[i * d.hd + e] += x[i * d.lanes + e];
}

static void key_tile_bwd(struct keys *x, char *queries, const struct ax_attn_job *j, size_t j0, float *dk, float *dv, struct dims d)
{
	size_t nk = least(TILE, (size_t)j->seg->k_len - j0), n = (size_t)j->seg->q_len;
	int64_t from = (int64_t)j0 - j->seg->q_pos, to = (int64_t)(j0 + nk) - 1 + j->p->window - j->seg->q_pos;

	if (j->p->window && to < (int64_t)n)
		n = to < 0 ? 0 : (size_t)to;
	x->k = rows_operand(x->k_rows, j->k, j->t, j0 * j->ldk, j->ldk, nk, d);
	x->v = rows_operand(x->v_rows, j->v, j->t, j0 * j->ldk, j->ldk, nk, d);
	memset(x->k_pair, 0, TILE * d.lanes * 4);
	read_paired(x->k_pair, j->k, j->t, j0 * j->ldk, j->ldk, nk, d);
	memset(x->dk, 0, TILE * d.lanes * 4);
	memset(x->dv, 0, TILE * d.lanes * 4);
	for (size_t q0 = from > 0 ? (size_t)from / TILE * TILE : 0; q0 < n; q0 += TILE) {
		struct queries q = carve_queries(queries + q0 / TILE * queries_bytes(d), d);

		tile_bwd(x, &q, j, q0, j0, nk, d);
	}
	add_rows(dk + j0 * d.hd, x->dk, nk, d);
	add_rows(dv + j0 * d.hd, x->dv, nk, d);
}

static void bwd(const struct ax_attn_job *j, void *dq, float *dk, float *dv, void *slot)
{
	struct dims d = dims_of(j->p->head_dim);
	size_t n = (size_t)j->seg->q_len, each = queries_bytes(d);
	char *queries = slot, *rest = queries + round_up(n, TILE) / TILE * each;
	struct keys x = carve_keys(rest, d);
	float one[TILE];

	for (size_t q0 = 0; q0 < n; q0 += TILE) {
		struct queries q = carve_queries(queries + q0 / TILE * each, d);

		read_queries(&q, j, q0, least(TILE, n - q0), x.k_rows, d);
	}
	for (size_t j0 = 0; j0 < (size_t)j->seg->k_len; j0 += TILE)
		key_tile_bwd(&x, queries, j, j0, dk, dv, d);
	for (size_t i = 0; i < TILE; i++)
		one[i] = 1;
	for (size_t q0 = 0; q0 < n; q0 += TILE) {
		struct queries q = carve_queries(queries + q0 / TILE * each, d);

		write_across((char *)dq + q0 * j->ldq * (j->t == AX_F32 ? 4 : 2), j->t, j->ldq, q.dq, one, least(TILE, n - q0), x.dk, d);
	}
}

const struct ax_attn_kern ATTN = { .slot_bytes = slot_bytes, .fwd = fwd, .bwd = bwd };
