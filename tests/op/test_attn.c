/* Attention against double precision: the forward pass by its formula, the backward pass by central differences. */
#include <dlfcn.h>

#include "op.h"
#include "tensor/cuda/branch.h"

struct attn_case {
	const char *name;
	int N, Nk, n_seg;
	struct ax_seg seg[8];
	struct ax_attn p;
	int pad; /* stride beyond the width */
};

static bool sees(const struct ax_seg *s, int window, int i, int j)
{
	return j <= s->q_pos + i && (!window || j > s->q_pos + i - window);
}

/* o in double; arrays hold strided rows as the op's. */
static void forward(const struct attn_case *c, const double *q, size_t ldq, const double *k, const double *v, size_t ldk, double *o, double *lse)
{
	size_t hd = (size_t)c->p.head_dim, heads = (size_t)c->p.n_head, group = heads / (size_t)c->p.n_kv;
	double *score = doubles((size_t)c->Nk);

	memset(o, 0, (size_t)c->N * heads * hd * sizeof(*o));
	memset(lse, 0, (size_t)c->N * heads * sizeof(*lse));
	for (int s = 0; s < c->n_seg; s++)
		for (int i = 0; i < c->seg[s].q_len; i++)
			for (size_t h = 0; h < heads; h++) {
				const struct ax_seg *g = &c->seg[s];
				size_t n = (size_t)(g->q_off + i);
				double max = -INFINITY, sum = 0;

				for (int j = 0; j < g->k_len; j++) {
					double x = 0;

					for (size_t e = 0; e < hd; e++)
						x += q[n * ldq + h * hd + e] * k[(size_t)(g->k_off + j) * ldk + h / group * hd + e];
					x *= (double)c->p.scale;
					if (c->p.softcap > 0)
						x = (double)c->p.softcap * tanh(x / (double)c->p.softcap);
					score[j] = sees(g, c->p.window, i, j) ? x : -INFINITY;
					max = fmax(max, score[j]);
				}
				for (int j = 0; j < g->k_len; j++)
					sum += isinf(max) ? 0 : exp(score[j] - max);
				for (int j = 0; sum > 0 && j < g->k_len; j++)
					for (size_t e = 0; e < hd; e++)
						o[(n * heads + h) * hd + e] += exp(score[j] - max) / sum * v[(size_t)(g->k_off + j) * ldk + h / group * hd + e];
				lse[n * heads + h] = sum > 0 ? max + log(sum) : -INFINITY;
			}
	free(score);
}

struct problem {
	struct ax_dev d;
	struct tensor q, k, v, go, o, lse, dq, dk, dv, seg;
	size_t ldq, ldk;
};

static void problem_open(struct problem *x, const struct variant *v, const struct attn_case *c, int threads)
{
	size_t hd = (size_t)c->p.head_dim, wq = (size_t)c->p.n_head * hd, wk = (size_t)c->p.n_kv * hd, N = (size_t)c->N, Nk = (size_t)c->Nk;

	x->d = dev_open(v, threads);
	dev_reserve(&x->d, (struct ax_shape){ .N = c->N, .Nk = c->Nk, .C = (int)wq, .n_head = c->p.n_head, .n_kv = c->p.n_kv, .head_dim = c->p.head_dim });
	x->ldq = wq + (size_t)c->pad;
	x->ldk = wk + 2 * (size_t)c->pad;
	x->q = tensor_random_shifted(&x->d, v->act, N * x->ldq, 1.5, (size_t)c->pad % 8);
	x->k = tensor_random_shifted(&x->d, v->act, Nk * x->ldk, 1.5, (size_t)c->pad % 8);
	x->v = tensor_random_shifted(&x->d, v->act, Nk * x->ldk, 1, (size_t)c->pad % 8);
	x->go = tensor_random(&x->d, v->act, N * wq, 1);
	x->o = tensor_random(&x->d, v->act, N * wq, 1);
	x->lse = tensor_random(&x->d, AX_F32, N * (size_t)c->p.n_head, 1);
	x->dq = tensor_random_shifted(&x->d, v->act, x->q.n, 1, (size_t)c->pad % 8);
	x->dk = tensor_random(&x->d, v->act, x->k.n, 1);
	x->dv = tensor_random(&x->d, v->act, x->v.n, 1);
	x->seg = tensor_of(&x->d, AX_U8, c->seg, (size_t)c->n_seg * sizeof(c->seg[0]));
}

static void problem_run(struct problem *x, const struct attn_case *c)
{
	struct ax_dev *d = &x->d;

	d->ops->attn_fwd(d, dp(&x->o), dp(&x->lse), dp(&x->q), x->ldq, dp(&x->k), dp(&x->v), x->ldk, dp(&x->seg), c->n_seg, c->N, c->Nk, &c->p);
	d->ops->attn_bwd(d, dp(&x->dq), dp(&x->dk), dp(&x->dv), dp(&x->go), dp(&x->q), x->ldq, dp(&x->k), dp(&x->v), x->ldk, dp(&x->o), dp(&x->lse), dp(&x->seg), c->n_seg, c->N, c->Nk, &c->p);
}

static void problem_close(struct problem *x)
{
	struct tensor *t[] = { &x->q, &x->k, &x->v, &x->go, &x->o, &x->lse, &x->dq, &x->dk, &x->dv, &x->seg };

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		tensor_free(t[i]);
	dev_close(&x->d);
}

/* Gradient of sum(go * o) by in[at], where in is one of q, k, v. */
static double slope(const struct attn_case *c, const struct problem *x, double *q, double *k, double *v, const double *go, double *in, size_t at)
{
	size_t n = x->o.n;
	double *o = doubles(n), *lse = doubles(x->lse.n), was = in[at], s[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		in[at] = was + (i ? 1e-5 : -1e-5);
		forward(c, q, x->ldq, k, v, x->ldk, o, lse);
		for (size_t j = 0; j < n; j++)
			s[i] += o[j] * go[j];
	}
	in[at] = was;
	free(o);
	free(lse);
	return (s[1] - s[0]) / 2e-5;
}

/* Central differences by every element of one of the inputs; elements between rows keep what the gradient buffer had. */
static double *slopes(const struct attn_case *c, const struct problem *x, int which, const struct tensor *grad, size_t ld, size_t width)
{
	double *q = tensor_doubles(&x->q), *k = tensor_doubles(&x->k), *v = tensor_doubles(&x->v), *go = tensor_doubles(&x->go);
	double *in = which == 0 ? q : which == 1 ? k : v, *out = tensor_doubles(grad);

	for (size_t i = 0; i < grad->n; i++)
		if (i % ld < width)
			out[i] = slope(c, x, q, k, v, go, in, i);
	free(q);
	free(k);
	free(v);
	free(go);
	return out;
}

static void compare_lse(const struct tensor *lse, const double *want, const char *name)
{
	for (size_t i = 0; i < lse->n; i++) {
		double got = tensor_get(lse, i);

		if (!(isinf(want[i]) ? got == want[i] : fabs(got - want[i]) <= 2e-5 + 1e-6 * fabs(want[i])))
			fail_msg("lse[%zu], %s: %g, not %g", i, name, got, want[i]);
	}
}

/* Small cases, by central differences. */
static const struct attn_case small[] = {
	{ "one document", 9, 9, 1, { { 0, 9, 0, 9, 0 } }, { 2, 1, 8, 0.35f, 0, 0 }, 0 },
	{ "padding, two documents, window, cap", 12, 12, 2, { { 1, 4, 1, 4, 0 }, { 5, 5, 5, 5, 0 } }, { 4, 2, 12, 0.3f, 3, 2 }, 3 },
	{ "odd head dim", 6, 6, 2, { { 0, 2, 0, 2, 0 }, { 2, 4, 2, 4, 0 } }, { 2, 2, 5, 0.4f, 0, 0 }, 1 },
	{ "chunks of one document", 8, 16, 2, { { 0, 4, 0, 16, 2 }, { 4, 4, 0, 16, 12 } }, { 2, 1, 8, 0.3f, 0, 0 }, 0 },
	{ "table filled up with empty segments", 7, 7, 5, { { 0, 3, 0, 3, 0 }, { 3, 0, 3, 0, 0 }, { 4, 3, 4, 3, 0 }, { 7, 0, 7, 0, 0 }, { 7, 0, 7, 0, 0 } }, { 2, 1, 8, 0.4f, 0, 0 }, 0 },
	{ "queries that see nothing", 6, 8, 1, { { 0, 6, 0, 6, 5 } }, { 1, 1, 4, 0.5f, 3, 0 }, 0 },
};

#define HAS_ATTENTION(v) (RUNS(v, attn_fwd) && RUNS(v, attn_bwd))

static void differences(void **state)
{
	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++)
		for (size_t i = 0; i < sizeof(small) / sizeof(small[0]) && HAS_ATTENTION(v); i++) {
			const struct attn_case *c = &small[i];
			struct problem x;
			size_t hd = (size_t)c->p.head_dim, wq = (size_t)c->p.n_head * hd, wk = (size_t)c->p.n_kv * hd;
			double *o, *lse, *q, *k, *val, *g[3];

			problem_open(&x, v, c, 2);
			g[0] = slopes(c, &x, 0, &x.dq, x.ldq, wq);
			g[1] = slopes(c, &x, 1, &x.dk, x.ldk, wk);
			g[2] = slopes(c, &x, 2, &x.dv, x.ldk, wk);
			q = tensor_doubles(&x.q);
			k = tensor_doubles(&x.k);
			val = tensor_doubles(&x.v);
			o = doubles(x.o.n);
			lse = doubles(x.lse.n);
			forward(c, q, x.ldq, k, val, x.ldk, o, lse);
			problem_run(&x, c);
			compare_lse(&x.lse, lse, c->name);
			expect_near(c->name, v->name, &x.o, o, v->act, 2e-6, 8e-3);
			expect_near(c->name, v->name, &x.dq, g[0], v->act, 2e-6, 1.5e-2);
			expect_near(c->name, v->name, &x.dk, g[1], v->act, 2e-6, 1.5e-2);
			expect_near(c->name, v->name, &x.dv, g[2], v->act, 2e-6, 1.5e-2);
			free(q);
			free(k);
			free(val);
			free(lse);
			problem_close(&x);
		}
}

/* Larger cases, against the reference in f32 on the same (bf16) values. */
static const struct attn_case large[] = {
	{ "256 columns over tiles", 140, 140, 2, { { 0, 100, 0, 100, 0 }, { 100, 39, 100, 39, 0 } }, { 2, 1, 256, 0.07f, 0, 0 }, 0 },
	{ "tiles", 200, 200, 1, { { 0, 200, 0, 200, 0 } }, { 3, 1, 64, 0.125f, 0, 0 }, 7 },
	{ "two documents, padding", 180, 180, 2, { { 3, 70, 3, 70, 0 }, { 80, 99, 80, 99, 0 } }, { 2, 2, 20, 0.2f, 0, 0 }, 0 },
	{ "window over tiles", 260, 260, 1, { { 0, 260, 0, 260, 0 } }, { 2, 1, 80, 0.11f, 70, 0 }, 0 },
	{ "aligned strides", 150, 150, 2, { { 0, 90, 0, 90, 0 }, { 90, 60, 90, 60, 0 } }, { 2, 1, 64, 0.125f, 0, 0 }, 64 },
	{ "cap", 100, 100, 1, { { 0, 100, 0, 100, 0 } }, { 2, 1, 128, 0.1f, 0, 3 }, 0 },
	{ "zig-zag chunks", 130, 300, 2, { { 0, 65, 0, 300, 40 }, { 65, 65, 0, 300, 235 } }, { 4, 2, 12, 0.3f, 0, 0 }, 1 },
	{ "chunks of two documents", 90, 200, 3, { { 0, 30, 0, 60, 20 }, { 30, 30, 60, 140, 0 }, { 60, 30, 60, 140, 100 } }, { 2, 1, 16, 0.25f, 0, 0 }, 0 },
	{ "empty segments", 140, 140, 5, { { 0, 70, 0, 70, 0 }, { 70, 0, 70, 0, 0 }, { 72, 60, 72, 60, 0 }, { 140, 0, 140, 0, 0 }, { 140, 0, 140, 0, 0 } }, { 2, 1, 16, 0.25f, 0, 0 }, 0 },
	{ "group of 7", 70, 70, 2, { { 0, 30, 0, 30, 0 }, { 30, 40, 30, 40, 0 } }, { 7, 1, 64, 0.125f, 0, 0 }, 0 },
	{ "group of 4 and of 2 key heads", 70, 70, 1, { { 2, 68, 2, 68, 0 } }, { 8, 2, 80, 0.11f, 0, 0 }, 8 },
	{ "group of 8", 40, 40, 1, { { 0, 40, 0, 40, 0 } }, { 8, 1, 128, 0.09f, 0, 0 }, 0 },
	{ "window within a tile", 170, 170, 2, { { 0, 30, 0, 30, 0 }, { 30, 140, 30, 140, 0 } }, { 2, 1, 128, 0.09f, 5, 0 }, 0 },
	{ "window of two", 70, 70, 1, { { 0, 70, 0, 70, 0 } }, { 1, 1, 64, 0.125f, 2, 0 }, 0 },
	{ "window of some tiles, cap", 300, 300, 1, { { 0, 300, 0, 300, 0 } }, { 2, 2, 64, 0.125f, 129, 4 }, 0 },
	{ "a long document", 520, 520, 1, { { 5, 513, 5, 513, 0 } }, { 2, 1, 64, 0.125f, 0, 0 }, 0 },
	{ "256 columns, window, cap", 100, 100, 1, { { 3, 97, 3, 97, 0 } }, { 2, 1, 250, 0.07f, 40, 3 }, 2 },
	{ "zig-zag, aligned", 260, 400, 2, { { 0, 130, 0, 400, 70 }, { 130, 130, 0, 400, 270 } }, { 2, 1, 96, 0.1f, 0, 0 }, 0 },
	{ "shared keys, window", 90, 200, 3, { { 0, 30, 10, 150, 5 }, { 30, 30, 10, 150, 100 }, { 60, 30, 100, 90, 60 } }, { 2, 1, 128, 0.1f, 33, 0 }, 0 },
	{ "queries that see nothing", 150, 150, 2, { { 0, 70, 0, 20, 0 }, { 70, 80, 30, 90, 60 } }, { 2, 1, 64, 0.125f, 9, 0 }, 0 },
	{ "queries before all keys", 80, 80, 2, { { 0, 40, 0, 40, -25 }, { 40, 40, 0, 40, 15 } }, { 2, 1, 128, 0.1f, 0, 0 }, 0 },
	{ "empty segments between, before and behind", 90, 90, 7, { { 90, 0, 90, 0, 0 }, { 0, 33, 0, 33, 0 }, { 0, 0, 0, 0, 0 }, { 34, 40, 34, 40, 0 }, { 80, 9, 80, 9, 0 }, { 40, 0, 0, 90, 0 }, { 90, 0, 90, 0, 0 } }, { 2, 1, 64, 0.125f, 0, 0 }, 0 },
	{ "padding alone", 40, 70, 1, { { 40, 0, 70, 0, 0 } }, { 2, 1, 64, 0.125f, 0, 0 }, 0 },
	{ "queries without keys", 40, 40, 2, { { 0, 20, 0, 0, 0 }, { 20, 20, 0, 40, 20 } }, { 2, 1, 64, 0.125f, 0, 0 }, 0 },
	{ "many keys, one query", 1, 150, 1, { { 0, 1, 0, 150, 149 } }, { 2, 1, 24, 0.2f, 0, 0 }, 0 },
};

static void widened(struct tensor *to, const struct tensor *from)
{
	for (size_t i = 0; i < to->n; i++)
		tensor_set(to, i, tensor_get(from, i));
}

/* "case: what", until the next call. */
static const char *named(const struct attn_case *c, const char *what)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s, head dim %d: %s", c->name, c->p.head_dim, what);
	return text;
}

/* The results of a second run have the same bits. */
static void again(struct problem *x, const struct attn_case *c, const char *variant)
{
	struct tensor *t[] = { &x->o, &x->lse, &x->dq, &x->dk, &x->dv };
	void *was[5];

	for (int i = 0; i < 5; i++) {
		was[i] = malloc(t[i]->n * ax_dtype_size(t[i]->t));
		memcpy(was[i], tensor_host(t[i]), t[i]->n * ax_dtype_size(t[i]->t));
	}
	problem_run(x, c);
	for (int i = 0; i < 5; i++) {
		if (memcmp(was[i], tensor_host(t[i]), t[i]->n * ax_dtype_size(t[i]->t)))
			fail_msg("%s, %s: a second run gives other bits (result %d)", c->name, variant, i);
		free(was[i]);
	}
}

/*
 * dq and dk are differences of what is of go's size, and may come out as almost nothing or, where a query sees one key, as zero:
 * with `scale` their error is held against that too.
 */
static void expect_gradient(const struct attn_case *c, const char *what, const struct variant *v, const struct tensor *x, const struct tensor *ref, double scale)
{
	double *want = tensor_doubles(ref), err = 0, norm = 0, limit = v->act == AX_F32 ? 3e-6 : 1e-2;

	for (size_t i = 0; i < x->n; i++) {
		err += (tensor_get(x, i) - want[i]) * (tensor_get(x, i) - want[i]);
		norm += want[i] * want[i];
	}
	if (!(sqrt(err) <= limit * (sqrt(norm) + scale)))
		fail_msg("%s, %s: error %g, of %g and %g", named(c, what), v->name, sqrt(err), sqrt(norm), scale);
	free(want);
}

static double norm(const struct tensor *x)
{
	double sum = 0;

	for (size_t i = 0; i < x->n; i++)
		sum += tensor_get(x, i) * tensor_get(x, i);
	return sqrt(sum);
}

static void against_reference(const struct variant *v, const struct attn_case *c, bool tiny_gradients)
{
	struct problem x, r;
	double *want_lse, scale = 0;

	problem_open(&x, v, c, 2);
	problem_open(&r, REFERENCE, c, 1);
	widened(&r.q, &x.q);
	widened(&r.k, &x.k);
	widened(&r.v, &x.v);
	widened(&r.go, &x.go);
	widened(&r.dq, &x.dq);
	widened(&r.dk, &x.dk);
	widened(&r.dv, &x.dv);
	problem_run(&r, c);
	problem_run(&x, c);
	expect_near(c->name, v->name, &x.o, tensor_doubles(&r.o), v->act, 3e-6, 6e-3);
	want_lse = tensor_doubles(&r.lse);
	compare_lse(&x.lse, want_lse, c->name);
	free(want_lse);
	if (tiny_gradients)
		scale = norm(&r.go) / 4;
	expect_gradient(c, "dq", v, &x.dq, &r.dq, scale);
	expect_gradient(c, "dk", v, &x.dk, &r.dk, scale);
	expect_gradient(c, "dv", v, &x.dv, &r.dv, 0);
	if (v->cuda && c->N > 100)
		again(&x, c, v->name);
	problem_close(&x);
	problem_close(&r);
}

static void tiles(void **state)
{
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		for (const struct variant *v = variants + 1; v < variants + N_VARIANTS; v++)
			if (HAS_ATTENTION(v))
				against_reference(v, &large[i], false);
}

static void many_segments(void **state)
{
	enum { N = 150 };
	struct ax_seg seg[N];
	struct attn_case c = { "many documents", N, N, 0, { { 0, 0, 0, 0, 0 } }, { 2, 1, 16, 0.25f, 0, 0 }, 0 };
	int at = 0, n_seg = 0;

	for (int len = 1; at + len <= N; len = len % 5 + 1) {
		seg[n_seg++] = (struct ax_seg){ at, len, at, len, 0 };
		at += len;
	}
	for (const struct variant *v = variants + 1; v < variants + N_VARIANTS; v++) {
		struct problem x, r;

		if (!HAS_ATTENTION(v))
			continue;
		problem_open(&x, v, &c, 3);
		problem_open(&r, REFERENCE, &c, 1);
		widened(&r.q, &x.q);
		widened(&r.k, &x.k);
		widened(&r.v, &x.v);
		widened(&r.go, &x.go);
		for (int i = 0; i < 2; i++) {
			struct problem *p = i ? &r : &x;
			struct tensor table = tensor_of(&p->d, AX_U8, seg, (size_t)n_seg * sizeof(seg[0]));

			p->d.ops->attn_fwd(&p->d, dp(&p->o), dp(&p->lse), dp(&p->q), p->ldq, dp(&p->k), dp(&p->v), p->ldk, dp(&table), n_seg, N, N, &c.p);
			p->d.ops->attn_bwd(&p->d, dp(&p->dq), dp(&p->dk), dp(&p->dv), dp(&p->go), dp(&p->q), p->ldq, dp(&p->k), dp(&p->v), p->ldk, dp(&p->o), dp(&p->lse), dp(&table), n_seg, N, N, &c.p);
			tensor_free(&table);
		}
		expect_near("o", v->name, &x.o, tensor_doubles(&r.o), v->act, 3e-6, 6e-3);
		expect_near("dq", v->name, &x.dq, tensor_doubles(&r.dq), v->act, 3e-6, 1e-2);
		expect_near("dk", v->name, &x.dk, tensor_doubles(&r.dk), v->act, 3e-6, 1e-2);
		expect_near("dv", v->name, &x.dv, tensor_doubles(&r.dv), v->act, 3e-6, 1e-2);
		problem_close(&x);
		problem_close(&r);
	}
}

/*
 * Each instance of the device's kernels: head dims of each and between them, aligned rows and not, with a cap and without.
 */
static void instances(void **state)
{
	static const int dims[] = { 64, 80, 96, 128, 256, 20, 72, 88, 112, 136, 250, 264, 512 };
	struct attn_case c = { "instances", 45, 45, 2, { { 0, 20, 0, 20, 0 }, { 21, 24, 21, 24, 0 } }, { 2, 1, 0, 0, 0, 0 }, 0 };

	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++)
		for (size_t i = 0; i < 4 * sizeof(dims) / sizeof(dims[0]) && v->cuda && HAS_ATTENTION(v); i++) {
			c.p.head_dim = dims[i / 4];
			c.p.scale = 1 / sqrtf((float)c.p.head_dim);
			c.pad = i & 1 ? 3 : 0;
			c.p.softcap = i & 2 ? 1.5f : 0;
			against_reference(v, &c, false);
		}
}

/* One of n values, drawn from the seed. */
static int drawn(uint64_t seed, uint32_t *at, int n)
{
	return (int)(ax_rand_u64(seed, AX_RNG_INIT, (*at)++) % (uint64_t)n);
}

/* Rows of drawn documents: padding before and between them, segments without queries, now and then a chunk of a longer document. */
static void draw_rows(struct attn_case *c, uint64_t seed, uint32_t *at)
{
	static const int lengths[] = { 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65 };
	int q = drawn(seed, at, 3), k = q;

	for (c->n_seg = 0; c->n_seg < 1 + drawn(seed, at, 6);) {
		int len = lengths[drawn(seed, at, 12)], before = drawn(seed, at, 5) ? 0 : drawn(seed, at, 40);

		if (!drawn(seed, at, 6))
			len = 0;
		c->seg[c->n_seg++] = (struct ax_seg){ q, len, k, before + len, before };
		q += len + (drawn(seed, at, 3) ? 0 : drawn(seed, at, 4));
		k += before + len + drawn(seed, at, 2);
	}
	c->N = q + !q + drawn(seed, at, 3);
	c->Nk = k > c->N ? k : c->N;
}

/* What nobody has thought of: head dims, groups, windows, caps, strides and packed rows at random. AX_LONG: more of them. */
static void drawn_cases(void **state)
{
	static const int dims[] = { 1, 2, 3, 7, 8, 24, 40, 63, 64, 65, 72, 80, 81, 96, 100, 127, 128, 129, 160, 192, 255, 256, 257, 320 };
	static const int groups[] = { 1, 2, 3, 4, 5, 6, 7, 8, 16 }, windows[] = { 0, 0, 0, 1, 2, 15, 16, 33, 64, 1000 };
	static const int pads[] = { 0, 0, 8, 16, 1, 3, 5, 12 };

	for (uint64_t seed = 1; seed <= (getenv("AX_LONG") ? 96 : 24); seed++) {
		struct attn_case c = { .name = "drawn" };
		uint32_t at = 0;
		char name[96];

		draw_rows(&c, seed, &at);
		c.p.head_dim = dims[seed % 24];
		c.p.n_kv = 1 + drawn(seed, &at, 3);
		do
			c.p.n_head = c.p.n_kv * groups[drawn(seed, &at, 9)];
		while (c.p.n_head * c.p.head_dim > 1280);
		c.p.scale = 1 / sqrtf((float)c.p.head_dim);
		c.p.window = windows[drawn(seed, &at, 10)];
		c.p.softcap = drawn(seed, &at, 3) ? 0 : 1.5f;
		c.pad = pads[drawn(seed, &at, 8)];
		snprintf(name, sizeof(name), "drawn %d: %d heads, %d of keys, window %d, cap %g", (int)seed, c.p.n_head, c.p.n_kv, c.p.window, (double)c.p.softcap);
		c.name = name;
		for (const struct variant *v = variants + 1; v < variants + N_VARIANTS; v++)
			if (HAS_ATTENTION(v))
				against_reference(v, &c, true);
	}
}

/* What is not a number in a query, a key or a value reaches what depends on it, so that it stops the run, and no other document. */
static void not_a_number(void **state)
{
	const struct attn_case c = { "NaN", 100, 100, 2, { { 0, 60, 0, 60, 0 }, { 60, 40, 60, 40, 0 } }, { 2, 1, 64, 0.125f, 0, 0 }, 0 };

	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++)
		for (int which = 0; which < 3 && v->cuda && HAS_ATTENTION(v); which++) {
			struct problem x;
			struct tensor *in[] = { &x.q, &x.k, &x.v };

			problem_open(&x, v, &c, 2);
			tensor_set(in[which], 20 * (which ? x.ldk : x.ldq) + 5, (double)NAN);
			problem_run(&x, &c);
			for (size_t n = 0; n < 100; n++) {
				bool hit = which ? n >= 20 && n < 60 : n == 20;
				bool o = isnan(tensor_get(&x.o, n * 128 + 5)), lse = isnan(tensor_get(&x.lse, n * 2));

				if ((hit && !o) || (n >= 60 && o) || (which < 2 && hit != lse))
					fail_msg("%s, NaN in %c: row %zu has %s, %s", v->name, "qkv"[which], n, o ? "o NaN" : "o", lse ? "lse NaN" : "lse");
			}
			problem_close(&x);
		}
}

/* The plugin counts the instances that ran: none was left out. */
static void all_instances(void **state)
{
	char dir[4096], file[4200];
	ax_cuda_branches_fn *branches;
	const struct ax_cuda_branch *b;
	void *so, *fn;
	size_t n;

	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++)
		if (v->cuda && !HAS_ATTENTION(v))
			skip();
	plugin_dir(dir, sizeof(dir));
	snprintf(file, sizeof(file), "%s/libax-cuda.so", dir);
	so = dlopen(file, RTLD_NOW);
	assert_non_null(so);
	fn = dlsym(so, AX_CUDA_ATTN_BRANCHES);
	assert_non_null(fn);
	memcpy(&branches, &fn, sizeof(branches));
	b = branches(&n);
	assert_int_equal(n, 60);
	for (size_t i = 0; i < n; i++)
		if (!b[i].n_run)
			fail_msg("no test ran %s", b[i].name);
	dlclose(so);
}

/* Head dims from 8 to 128, odd ones too; the device has those beyond 16 among its instances. */
static void head_dims(void **state)
{
	struct attn_case c = { "head dims", 70, 70, 2, { { 0, 20, 0, 20, 0 }, { 20, 45, 20, 45, 0 } }, { 2, 1, 0, 0.2f, 0, 0 }, 0 };

	for (const struct variant *v = variants + 2; v < variants + N_VARIANTS; v++)
		for (c.p.head_dim = 8; c.p.head_dim <= (v->cuda ? 16 : 128) && HAS_ATTENTION(v); c.p.head_dim += c.p.head_dim < 24 ? 1 : c.p.head_dim < 64 ? 8 : 16)
			against_reference(v, &c, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(differences),
		cmocka_unit_test(tiles),
		cmocka_unit_test(many_segments),
		cmocka_unit_test(head_dims),
		cmocka_unit_test(instances),
		cmocka_unit_test(drawn_cases),
		cmocka_unit_test(not_a_number),
		cmocka_unit_test(all_instances),
	};

	return cmocka_run_group_tests_name("op: attention", tests, NULL, close_devices);
}
