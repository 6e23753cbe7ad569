/*
 * Speed of each op at the shapes of a model, beside a plain oneDNN product measured in the same run.
 * usage: build/bench/ops/bench [THREADS [N [C NH NKV HD F V]]]     default: 2 threads, SmolLM2-135M at 1,024 tokens
 * With one thread the clock is the processor time of the process, which other jobs on the machine disturb less.
 * Prints, for one micro-batch: milliseconds, GFLOP/s, share of the plain product, GB/s; and the sum over a training step.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tensor/ops.h"

struct shape {
	int N, C, NH, NKV, HD, F, V;
};

static struct ax_dev dev;
static double peak;  /* of the plain product, GFLOP/s */
static double total; /* ms of a step */

static clockid_t clock_used = CLOCK_MONOTONIC;

static double now(void)
{
	struct timespec t;

	clock_gettime(clock_used, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *fill(size_t n, enum ax_dtype t)
{
	void *p = dev.ops->alloc(&dev, n * ax_dtype_size(t));
	uint32_t r = 1;

	if (!p)
		exit(5);
	for (size_t i = 0; i < n; i++) {
		float x;

		r = r * 1664525 + 1013904223;
		x = (float)(r >> 8) / 16777216.0f - 0.5f;
		if (t == AX_F32)
			((float *)p)[i] = x;
		else
			((uint16_t *)p)[i] = ax_f32_to_bf16(x);
	}
	return p;
}

/* Best of a few runs of `op`, an expression. */
#define MEASURE(name, times, flop, bytes, op)                                                                          \
	do {                                                                                                           \
		double best = 1e9;                                                                                     \
		for (int r_ = 0; r_ < 5; r_++) {                                                                       \
			double t_ = now();                                                                             \
			op;                                                                                            \
			t_ = now() - t_;                                                                               \
			best = t_ < best ? t_ : best;                                                                  \
		}                                                                                                      \
		report(name, times, best, flop, bytes);                                                                \
	} while (0)

static void report(const char *name, double times, double s, double flop, double bytes)
{
	total += times * s * 1e3;
	printf("%-24s %9.3f ms  x %3.0f = %7.1f ms", name, s * 1e3, times, times * s * 1e3);
	if (flop > 0)
		printf("  %7.0f GFLOP/s  %5.1f %%", flop / s * 1e-9, peak > 0 ? 100 * flop / s * 1e-9 / peak : 100);
	if (bytes > 0)
		printf("  %6.1f GB/s", bytes / s * 1e-9);
	printf("\n");
}

static void linear(const char *name, int N, int I, int O, double times)
{
	void *x = fill((size_t)N * (size_t)I, AX_BF16), *w = fill((size_t)O * (size_t)I, AX_BF16), *y = fill((size_t)N * (size_t)O, AX_BF16);
	float *dw = fill((size_t)O * (size_t)I, AX_F32);
	double flop = 2.0 * N * I * O;
	char label[64];

	snprintf(label, sizeof(label), "%s fwd", name);
	MEASURE(label, times, flop, 0, dev.ops->linear_fwd(&dev, y, (size_t)O, x, (size_t)I, w, NULL, N, I, O));
	snprintf(label, sizeof(label), "%s dx", name);
	MEASURE(label, times, flop, 0, dev.ops->linear_dx(&dev, x, (size_t)I, y, (size_t)O, w, N, I, O, false));
	snprintf(label, sizeof(label), "%s dw", name);
	MEASURE(label, times, flop, 0, dev.ops->linear_dw(&dev, dw, y, (size_t)O, x, (size_t)I, N, I, O));
	dev.ops->free(&dev, x);
	dev.ops->free(&dev, w);
	dev.ops->free(&dev, y);
	dev.ops->free(&dev, dw);
}

static void attention(const struct shape *s, double layers)
{
	const struct ax_attn p = { s->NH, s->NKV, s->HD, 1 / sqrtf((float)s->HD), 0, 0 };
	const struct ax_seg seg = { 0, s->N, 0, s->N, 0 };
	size_t ld = (size_t)(s->NH + 2 * s->NKV) * (size_t)s->HD, N = (size_t)s->N, C = (size_t)s->NH * (size_t)s->HD, kv = (size_t)s->NKV * (size_t)s->HD;
	uint16_t *qkv = fill(N * ld, AX_BF16), *o = fill(N * C, AX_BF16), *go = fill(N * C, AX_BF16), *d = fill(N * ld, AX_BF16);
	float *lse = fill(N * (size_t)s->NH, AX_F32), *table = fill(N * (size_t)s->HD, AX_F32);
	int32_t *pos = fill(N, AX_F32);
	double flop = 2.0 * s->N * s->N * s->NH * s->HD; /* causal half of two products */

	for (size_t i = 0; i < N; i++)
		pos[i] = (int32_t)i;
	MEASURE("attention fwd", layers, flop, 0, dev.ops->attn_fwd(&dev, o, lse, qkv, ld, qkv + C, qkv + C + kv, ld, &seg, 1, s->N, s->N, &p));
	MEASURE("attention bwd", layers, 2.5 * flop, 0, dev.ops->attn_bwd(&dev, d, d + C, d + C + kv, go, qkv, ld, qkv + C, qkv + C + kv, ld, o, lse, &seg, 1, s->N, s->N, &p));
	MEASURE("rope (q, k; fwd or bwd)", 2 * layers, 0, 4.0 * (double)(N * (C + kv)), dev.ops->rope(&dev, qkv, ld, pos, table, s->N, s->NH + s->NKV, s->HD, s->HD, false));
	dev.ops->free(&dev, qkv);
	dev.ops->free(&dev, o);
	dev.ops->free(&dev, go);
	dev.ops->free(&dev, d);
	dev.ops->free(&dev, lse);
	dev.ops->free(&dev, table);
	dev.ops->free(&dev, pos);
}

static void rows(const struct shape *s, double layers)
{
	size_t N = (size_t)s->N, C = (size_t)s->C, F = (size_t)s->F;
	uint16_t *x = fill(N * C, AX_BF16), *y = fill(N * C, AX_BF16), *dy = fill(N * C, AX_BF16), *w = fill(C, AX_BF16), *gu = fill(N * 2 * F, AX_BF16), *h = fill(N * F, AX_BF16);
	uint16_t *dgu = fill(N * 2 * F, AX_BF16);
	float *rstd = fill(N, AX_F32), *dw = fill(C, AX_F32), *r = fill(N * C, AX_F32);

	MEASURE("rmsnorm fwd", 2 * layers, 0, 12.0 * (double)(N * C), dev.ops->rmsnorm_fwd(&dev, y, r, rstd, r, dy, w, 0, 1e-5f, true, s->N, s->C));
	MEASURE("rmsnorm bwd", 2 * layers, 0, 10.0 * (double)(N * C), dev.ops->rmsnorm_bwd(&dev, dy, dw, dy, y, r, rstd, w, 0, s->N, s->C));
	MEASURE("glu fwd", layers, 0, 6.0 * (double)(N * F), dev.ops->glu_fwd(&dev, h, gu, AX_ACT_SILU, s->N, s->F));
	MEASURE("glu bwd", layers, 0, 10.0 * (double)(N * F), dev.ops->glu_bwd(&dev, dgu, h, gu, AX_ACT_SILU, s->N, s->F));
	dev.ops->free(&dev, x);
	dev.ops->free(&dev, y);
	dev.ops->free(&dev, dy);
	dev.ops->free(&dev, w);
	dev.ops->free(&dev, gu);
	dev.ops->free(&dev, dgu);
	dev.ops->free(&dev, h);
	dev.ops->free(&dev, rstd);
	dev.ops->free(&dev, r);
	dev.ops->free(&dev, dw);
}

static void ends(const struct shape *s, double layers)
{
	size_t N = (size_t)s->N, C = (size_t)s->C, V = (size_t)s->V;
	size_t n = (size_t)(layers * ((double)C * s->HD * (2 * s->NH + 2 * s->NKV) + 3.0 * (double)C * s->F)) + V * C;
	uint16_t *x = fill(N * C, AX_BF16), *w = fill(V * C, AX_BF16), *dx = fill(N * C, AX_BF16), *all = fill(n, AX_BF16);
	float *p = fill(n, AX_F32), *m = fill(n, AX_F32), *v = fill(n, AX_F32), *g = fill(n, AX_F32);
	int32_t *target = fill(N, AX_F32);
	struct ax_adamw h = { .lr = 1e-4f, .beta1 = 0.9f, .beta2 = 0.99f, .rest1 = 0.1f, .rest2 = 0.01f, .eps = 1e-8f, .weight_decay = 0.1f, .bias1 = 0.1f, .bias2 = 0.01f, .grad_scale = 1 };
	float *scales = fill(n / 128 + 2, AX_F32);
	struct ax_adamw_mem f32 = { .p = p, .w = all, .m = m, .v = v, .grad = g, .tw = AX_BF16, .tm = AX_F32, .tg = AX_F32 };
	struct ax_adamw_mem bf16 = { .p = p, .w = all, .m = m, .v = v, .grad = g, .tw = AX_BF16, .tm = AX_BF16, .tg = AX_F32 };
	struct ax_adamw_mem small = { .w = all, .m = m, .v = v, .grad = g, .tw = AX_BF16, .tm = AX_BF16, .tg = AX_F32 };
	struct ax_adamw_mem tiny = { .w = all, .m = m, .v = v, .m_scale = scales, .v_scale = scales + n / 256 + 1, .grad = g, .tw = AX_BF16, .tm = AX_Q8, .tg = AX_F32 };
	struct ax_head head = { .logit_scale = 1, .n_trained = s->N };
	float scale = 1e-3f;
	double loss = 0, sum;

	for (size_t i = 0; i < N; i++)
		target[i] = (int32_t)(i % V);
	for (size_t i = 0; i < n; i++)
		v[i] = v[i] * v[i];
	MEASURE("head and loss, f+b", 1, 6.0 * (double)(N * C * V), 0, dev.ops->head_loss(&dev, &loss, dx, g, NULL, x, w, target, NULL, &scale, &head, s->N, s->C, s->V));
	MEASURE("embed bwd", 1, 0, 10.0 * (double)(N * C), dev.ops->embed_bwd(&dev, g, dx, target, 1, s->N, s->C, s->V));
	MEASURE("sumsq of gradients", 1, 0, 4.0 * (double)n, dev.ops->sumsq(&dev, &sum, g, AX_F32, n));
	MEASURE("zero gradients", 1, 0, 4.0 * (double)n, dev.ops->zero(&dev, g, n * 4));
	MEASURE("adamw", 1, 0, 30.0 * (double)n, dev.ops->adamw(&dev, &f32, &h, n));
	MEASURE("adamw, bf16 m v", 1, 0, 22.0 * (double)n, dev.ops->adamw(&dev, &bf16, &h, n));
	MEASURE("adamw, bf16 m v w", 1, 0, 16.0 * (double)n, dev.ops->adamw(&dev, &small, &h, n));
	MEASURE("adamw, 8-bit m v, bf16 w", 1, 0, 12.0 * (double)n, dev.ops->adamw(&dev, &tiny, &h, n));
	printf("%zu parameters\n", n);
}

int main(int argc, char **argv)
{
	struct shape s = { 1024, 576, 9, 3, 64, 1536, 49152 };
	int *field[] = { &s.N, &s.C, &s.NH, &s.NKV, &s.HD, &s.F, &s.V }, threads = argc > 1 ? atoi(argv[1]) : 2;
	double layers = 30, flop;
	struct ax_err e = { 0 };

	for (int i = 2; i < argc && i < 9; i++)
		*field[i - 2] = atoi(argv[i]);
	if (ax_cpu_open(&dev, AX_BF16, threads, 0, &e)) {
		fprintf(stderr, "ops: %s\n", e.msg);
		return 1;
	}
	if (threads == 1)
		clock_used = CLOCK_PROCESS_CPUTIME_ID;
	printf("%s\n", dev.name);
	{
		void *a = fill(1 << 21, AX_BF16), *b = fill(1 << 20, AX_BF16), *y = fill(1 << 21, AX_BF16);

		MEASURE("plain product", 0, 2.0 * 2048 * 1024 * 1024, 0, dev.ops->linear_fwd(&dev, y, 1024, a, 1024, b, NULL, 2048, 1024, 1024); peak = fmax(peak, 4.294967296 / (now() - t_)));
	}
	linear("qkv", s.N, s.C, (s.NH + 2 * s.NKV) * s.HD, layers);
	linear("o", s.N, s.NH * s.HD, s.C, layers);
	linear("gate, up", s.N, s.C, 2 * s.F, layers);
	linear("down", s.N, s.F, s.C, layers);
	attention(&s, layers);
	rows(&s, layers);
	ends(&s, layers);
	flop = s.N * (6.0 * (layers * ((double)s.C * s.HD * (2 * s.NH + 2 * s.NKV) + 3.0 * s.C * s.F) + (double)s.V * s.C) + 6.0 * layers * s.N * s.NH * s.HD);
	printf("step %.0f ms, %.0f tokens/s, %.0f GFLOP/s: %.1f %% of the plain product\n", total, 1e3 * s.N / total, flop / total * 1e-6, 100 * flop / total * 1e-6 / peak);
	ax_cpu_close(&dev);
	return 0;
}
