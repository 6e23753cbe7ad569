/*
 * Times single ops of a device, one request a line of standard input, for bench/gpu/table.py to set beside PyTorch's
 * (torch_ops.py speaks the same protocol, bench/gpu/README describes both and what is counted).
 *
 *	ops [--device auto|cpu|cuda] [--plugins DIR] [--act bf16|f32] [--deterministic] [--batch-ms MS] [--samples N]
 *
 * It says "ready DEVICE" and answers each line CASE ARGUMENT... with "ms MEDIAN LEAST MOST CALLS" (milliseconds of one call;
 * calls in a sample), "none REASON" where the device has no such op, or "error REASON". A case stays in memory until another
 * one is asked for, so that two programs can be measured in turn.
 *
 * A sample is a batch of calls, at least MS milliseconds of them, between two waits for the device. Calls go round sets of
 * random inputs that together are larger than any cache.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tensor/device.h"

#define MOST_ARGS 600
#define MOST_SETS 16
#define MOST_SAMPLES 64
#define SETS_BYTES ((size_t)256 << 20)
#define N_BUF 8

/* One set of inputs and outputs: what the case's make() put where its run() looks. */
struct set {
	void *b[N_BUF];
};

struct job; /* what is timed now */

struct op_case {
	const char *name;
	int n_arg; /* at least */
	bool (*make)(struct job *j, struct set *s);
	void (*run)(struct job *j, struct set *s);
	int out;            /* the buffer that is looked at afterwards */
	enum ax_dtype out_t; /* AX_BF16: the device's act */
};

struct job {
	const struct op_case *c;
	char line[8192];
	int a[MOST_ARGS], n_a; /* the arguments; "1024x3" is three of them */
	int N;                 /* attention: tokens */
	struct ax_seg *seg;    /* on the device */
	struct ax_shape shape;
	struct set set[MOST_SETS];
	int n_set, calls;
	size_t bytes; /* of the sets so far */
	int turn;
};

static struct ax_dev dev;
static struct job job;
static double batch_ms = 20;
static int n_samples = 5;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* --- inputs --------------------------------------------------------------------------------------------------------- */

#define BLOCK 4194301 /* elements of random data that a buffer is filled with, again and again: a prime, so that no two rows are the same */

enum fill { UNIFORM, POSITIVE, INDEX /* below `limit` */, POSITION /* inside of the documents of a sequence of `limit` */ };

static uint32_t next(uint32_t *r)
{
	*r ^= *r << 13;
	*r ^= *r >> 17;
	return *r ^= *r << 5;
}

static void fill_block(void *block, size_t n, enum ax_dtype t, enum fill f, int limit)
{
	static uint32_t r = 88172645;

	for (size_t i = 0; i < n; i++) {
		uint32_t u = next(&r);
		float x = (float)(u >> 8) / 8388608.0f - 1;

		if (f == POSITIVE)
			x = x * x;
		if (f == INDEX)
			((int32_t *)block)[i] = (int32_t)(u % (uint32_t)limit);
		else if (f == POSITION)
			((int32_t *)block)[i] = (int32_t)(i % (size_t)limit);
		else if (t == AX_F32)
			((float *)block)[i] = x;
		else
			((uint16_t *)block)[i] = ax_f32_to_bf16(x);
	}
}

/* A buffer of s: the fill's first block from the host, the rest copies of it on the device. */
static void *buffer(struct job *j, struct set *s, int at, size_t n, enum ax_dtype t, enum fill f, int limit)
{
	size_t size = ax_dtype_size(t), first = n < BLOCK || f == POSITION ? n : BLOCK;
	void *block = malloc(first * size);
	char *p = dev.ops->alloc(&dev, n * size);

	s->b[at] = p;
	if (p && block) {
		fill_block(block, first, t, f, limit);
		dev.ops->upload(&dev, p, block, first * size);
		for (size_t done = first; done < n;) {
			size_t more = done < n - done ? done : n - done;

			dev.ops->copy(&dev, p + done * size, p, more * size);
			done += more;
		}
		j->bytes += n * size;
	}
	free(block);
	return p;
}

static bool act(struct job *j, struct set *s, int at, size_t n)
{
	return buffer(j, s, at, n, dev.act, UNIFORM, 0);
}

static bool f32(struct job *j, struct set *s, int at, size_t n)
{
	return buffer(j, s, at, n, AX_F32, UNIFORM, 0);
}

static size_t arg(const struct job *j, int i)
{
	return (size_t)j->a[i];
}

/* --- cases ---------------------------------------------------------------------------------------------------------- */

/* copy MIB */
static bool copy_make(struct job *j, struct set *s)
{
	return f32(j, s, 0, arg(j, 0) << 18) && f32(j, s, 1, arg(j, 0) << 18);
}

static void copy_run(struct job *j, struct set *s)
{
	dev.ops->copy(&dev, s->b[1], s->b[0], arg(j, 0) << 20);
}

/* linear_... N I O: x 0, w 1, y 2, dw 3 */
static bool linear_make(struct job *j, struct set *s)
{
	size_t N = arg(j, 0), I = arg(j, 1), O = arg(j, 2);

	j->shape = (struct ax_shape){ .N = j->a[0], .Nk = j->a[0], .C = j->a[1], .F = j->a[1], .O = j->a[2], .V = 1, .n_head = 1, .n_kv = 1, .head_dim = 16 };
	return act(j, s, 0, N * I) && act(j, s, 1, O * I) && act(j, s, 2, N * O) && (strcmp(j->c->name, "linear_dw") != 0 || f32(j, s, 3, O * I));
}

static void linear_fwd_run(struct job *j, struct set *s)
{
	dev.ops->linear_fwd(&dev, s->b[2], arg(j, 2), s->b[0], arg(j, 1), s->b[1], NULL, j->a[0], j->a[1], j->a[2]);
}

static void linear_dx_run(struct job *j, struct set *s)
{
	dev.ops->linear_dx(&dev, s->b[0], arg(j, 1), s->b[2], arg(j, 2), s->b[1], j->a[0], j->a[1], j->a[2], false);
}

static void linear_dw_run(struct job *j, struct set *s)
{
	dev.ops->linear_dw(&dev, s->b[3], s->b[2], arg(j, 2), s->b[0], arg(j, 1), j->a[0], j->a[1], j->a[2]);
}

/* attn_... NH NKV HD LENGTH...: qkv 0, o 1, lse 2, go 3, dqkv 4. The documents stand in order in one packed row. */
static size_t qkv_width(const struct job *j)
{
	return (arg(j, 0) + 2 * arg(j, 1)) * arg(j, 2);
}

static bool segments(struct job *j)
{
	int n = j->n_a - 3, at = 0;
	struct ax_seg *seg = calloc((size_t)n, sizeof(*seg));

	for (int i = 0; seg && i < n; at += j->a[3 + i++])
		seg[i] = (struct ax_seg){ at, j->a[3 + i], at, j->a[3 + i], 0 };
	j->N = at;
	j->seg = dev.ops->alloc(&dev, (size_t)n * sizeof(*seg));
	if (seg && j->seg)
		dev.ops->upload(&dev, j->seg, seg, (size_t)n * sizeof(*seg));
	free(seg);
	return j->seg;
}

static void attn_fwd_run(struct job *j, struct set *s)
{
	const struct ax_attn p = { j->a[0], j->a[1], j->a[2], 1 / sqrtf((float)j->a[2]), 0, 0 };
	size_t q = arg(j, 0) * arg(j, 2), kv = arg(j, 1) * arg(j, 2), size = ax_dtype_size(dev.act);
	char *x = s->b[0];

	dev.ops->attn_fwd(&dev, s->b[1], s->b[2], x, qkv_width(j), x + q * size, x + (q + kv) * size, qkv_width(j), j->seg, j->n_a - 3, j->N, j->N, &p);
}

static void attn_bwd_run(struct job *j, struct set *s)
{
	const struct ax_attn p = { j->a[0], j->a[1], j->a[2], 1 / sqrtf((float)j->a[2]), 0, 0 };
	size_t q = arg(j, 0) * arg(j, 2), kv = arg(j, 1) * arg(j, 2), size = ax_dtype_size(dev.act);
	char *x = s->b[0], *d = s->b[4];

	dev.ops->attn_bwd(&dev, d, d + q * size, d + (q + kv) * size, s->b[3], x, qkv_width(j), x + q * size, x + (q + kv) * size, qkv_width(j), s->b[1], s->b[2],
			  j->seg, j->n_a - 3, j->N, j->N, &p);
}

static bool attn_make(struct job *j, struct set *s)
{
	bool bwd = !strcmp(j->c->name, "attn_bwd");
	size_t N;

	if (!j->seg && !segments(j))
		return false;
	N = (size_t)j->N;
	j->shape = (struct ax_shape){ .N = j->N, .Nk = j->N, .C = j->a[0] * j->a[2], .F = 16, .O = (int)qkv_width(j), .V = 1, .n_head = j->a[0], .n_kv = j->a[1], .head_dim = j->a[2] };
	if (!act(j, s, 0, N * qkv_width(j)) || !act(j, s, 1, N * arg(j, 0) * arg(j, 2)) || !f32(j, s, 2, N * arg(j, 0)))
		return false;
	return !bwd || (act(j, s, 3, N * arg(j, 0) * arg(j, 2)) && act(j, s, 4, N * qkv_width(j)));
}

/* Backward needs what forward leaves: made once, before anything is timed. */
static void prepare(struct job *j)
{
	if (!strcmp(j->c->name, "attn_bwd"))
		for (int i = 0; i < j->n_set; i++)
			attn_fwd_run(j, &j->set[i]);
}

/* rmsnorm_... N C: x 0, delta 1, w 2, y or dx 3, rstd 4, r 5 or dw 5, dy 6 */
static bool rmsnorm_make(struct job *j, struct set *s)
{
	size_t N = arg(j, 0), C = arg(j, 1);
	bool bwd = !strcmp(j->c->name, "rmsnorm_bwd");

	j->shape = (struct ax_shape){ .N = j->a[0], .Nk = j->a[0], .C = j->a[1], .F = j->a[1], .O = j->a[1], .V = 1, .n_head = 1, .n_kv = 1, .head_dim = 16 };
	return f32(j, s, 0, N * C) && act(j, s, 1, N * C) && act(j, s, 2, C) && act(j, s, 3, N * C) && buffer(j, s, 4, N, AX_F32, POSITIVE, 0) &&
	       f32(j, s, 5, bwd ? C : N * C) && (!bwd || act(j, s, 6, N * C));
}

static void rmsnorm_fwd_run(struct job *j, struct set *s)
{
	dev.ops->rmsnorm_fwd(&dev, s->b[3], s->b[5], s->b[4], s->b[0], s->b[1], s->b[2], 0, 1e-6f, true, j->a[0], j->a[1]);
}

static void rmsnorm_bwd_run(struct job *j, struct set *s)
{
	dev.ops->rmsnorm_bwd(&dev, s->b[3], s->b[5], s->b[6], s->b[1], s->b[0], s->b[4], s->b[2], 0, j->a[0], j->a[1]);
}

/* glu_... N F: gu 0, h 1, dgu 2 */
static bool glu_make(struct job *j, struct set *s)
{
	size_t n = arg(j, 0) * arg(j, 1);

	j->shape = (struct ax_shape){ .N = j->a[0], .Nk = j->a[0], .C = 16, .F = j->a[1], .O = 2 * j->a[1], .V = 1, .n_head = 1, .n_kv = 1, .head_dim = 16 };
	return act(j, s, 0, 2 * n) && act(j, s, 1, n) && (strcmp(j->c->name, "glu_bwd") != 0 || act(j, s, 2, 2 * n));
}

static void glu_fwd_run(struct job *j, struct set *s)
{
	dev.ops->glu_fwd(&dev, s->b[1], s->b[0], AX_ACT_SILU, j->a[0], j->a[1]);
}

static void glu_bwd_run(struct job *j, struct set *s)
{
	dev.ops->glu_bwd(&dev, s->b[2], s->b[1], s->b[0], AX_ACT_SILU, j->a[0], j->a[1]);
}

/* rope N HEADS HD MAX_POS: x 0, table 1, pos 2 */
static bool rope_make(struct job *j, struct set *s)
{
	size_t N = arg(j, 0);

	j->shape = (struct ax_shape){ .N = j->a[0], .Nk = j->a[0], .C = j->a[1] * j->a[2], .F = 16, .O = 16, .V = 1, .n_head = j->a[1], .n_kv = 1, .head_dim = j->a[2] };
	return act(j, s, 0, N * arg(j, 1) * arg(j, 2)) && f32(j, s, 1, arg(j, 3) * arg(j, 2)) && buffer(j, s, 2, N, AX_I32, POSITION, j->a[3]);
}

static void rope_run(struct job *j, struct set *s)
{
	dev.ops->rope(&dev, s->b[0], arg(j, 1) * arg(j, 2), s->b[2], s->b[1], j->a[0], j->a[1], j->a[2], j->a[2], false);
}

/* embed_bwd N C V: dx 0, ids 1, dtable 2;   head N C V: x 0, target 1, dw 2, w 3, dx 4, loss 5, scale 6 */
static bool vocab_make(struct job *j, struct set *s)
{
	size_t N = arg(j, 0), C = arg(j, 1), V = arg(j, 2);

	j->shape = (struct ax_shape){ .N = j->a[0], .Nk = j->a[0], .C = j->a[1], .F = j->a[1], .O = j->a[1], .V = j->a[2], .n_head = 1, .n_kv = 1, .head_dim = 16 };
	if (!act(j, s, 0, N * C) || !buffer(j, s, 1, N, AX_I32, INDEX, j->a[2]) || !f32(j, s, 2, V * C))
		return false;
	return strcmp(j->c->name, "head") != 0 || (act(j, s, 3, V * C) && act(j, s, 4, N * C) && f32(j, s, 5, 2) && buffer(j, s, 6, 1, AX_F32, POSITIVE, 0));
}

static void embed_bwd_run(struct job *j, struct set *s)
{
	dev.ops->embed_bwd(&dev, s->b[2], s->b[0], s->b[1], 1, j->a[0], j->a[1], j->a[2]);
}

static void head_run(struct job *j, struct set *s)
{
	const struct ax_head h = { .logit_scale = 1, .n_trained = j->a[0] };

	dev.ops->head_loss(&dev, s->b[5], s->b[4], s->b[2], NULL, s->b[0], s->b[3], s->b[1], NULL, s->b[6], &h, j->a[0], j->a[1], j->a[2]);
}

/* adamw N: p 0, m 1, v 2, grad 3, w 4 */
static bool adamw_make(struct job *j, struct set *s)
{
	size_t n = arg(j, 0);

	return f32(j, s, 0, n) && f32(j, s, 1, n) && buffer(j, s, 2, n, AX_F32, POSITIVE, 0) && f32(j, s, 3, n) && act(j, s, 4, n);
}

static const struct ax_adamw hyper = { .lr = 1e-5f, .beta1 = 0.9f, .beta2 = 0.99f, .rest1 = 0.1f, .rest2 = 0.01f, .eps = 1e-8f, .weight_decay = 0.1f, .bias1 = 0.5f, .bias2 = 0.1f, .grad_scale = 1, .t = 1 };

static void adamw_run(struct job *j, struct set *s)
{
	struct ax_adamw_mem x = { .p = s->b[0], .m = s->b[1], .v = s->b[2], .grad = s->b[3], .w = s->b[4], .tw = dev.act, .tm = AX_F32, .tg = AX_F32 };

	dev.ops->adamw(&dev, &x, &hyper, arg(j, 0));
}

/* adamw_bf16 N, no masters: w 0, m 1, v 2, grad 3, all bf16 */
static bool adamw_bf16_make(struct job *j, struct set *s)
{
	size_t n = arg(j, 0);

	return buffer(j, s, 0, n, AX_BF16, UNIFORM, 0) && buffer(j, s, 1, n, AX_BF16, UNIFORM, 0) && buffer(j, s, 2, n, AX_BF16, POSITIVE, 0) && buffer(j, s, 3, n, AX_BF16, UNIFORM, 0);
}

static void adamw_bf16_run(struct job *j, struct set *s)
{
	struct ax_adamw_mem x = { .w = s->b[0], .m = s->b[1], .v = s->b[2], .grad = s->b[3], .tw = AX_BF16, .tm = AX_BF16, .tg = AX_BF16 };

	dev.ops->adamw(&dev, &x, &hyper, arg(j, 0));
}

/* sumsq N: x 0, out 1 */
static bool sumsq_make(struct job *j, struct set *s)
{
	return f32(j, s, 0, arg(j, 0)) && f32(j, s, 1, 2);
}

static void sumsq_run(struct job *j, struct set *s)
{
	dev.ops->sumsq(&dev, s->b[1], s->b[0], AX_F32, arg(j, 0));
}

static const struct op_case cases[] = {
	{ "copy", 1, copy_make, copy_run, 1, AX_F32 },
	{ "linear_fwd", 3, linear_make, linear_fwd_run, 2, AX_BF16 },
	{ "linear_dx", 3, linear_make, linear_dx_run, 0, AX_BF16 },
	{ "linear_dw", 3, linear_make, linear_dw_run, 3, AX_F32 },
	{ "attn_fwd", 4, attn_make, attn_fwd_run, 1, AX_BF16 },
	{ "attn_bwd", 4, attn_make, attn_bwd_run, 4, AX_BF16 },
	{ "rmsnorm_fwd", 2, rmsnorm_make, rmsnorm_fwd_run, 3, AX_BF16 },
	{ "rmsnorm_bwd", 2, rmsnorm_make, rmsnorm_bwd_run, 3, AX_BF16 },
	{ "glu_fwd", 2, glu_make, glu_fwd_run, 1, AX_BF16 },
	{ "glu_bwd", 2, glu_make, glu_bwd_run, 2, AX_BF16 },
	{ "rope", 4, rope_make, rope_run, 0, AX_BF16 },
	{ "embed_bwd", 3, vocab_make, embed_bwd_run, 2, AX_F32 },
	{ "head", 3, vocab_make, head_run, 4, AX_BF16 },
	{ "adamw", 1, adamw_make, adamw_run, 0, AX_F32 },
	{ "adamw_bf16", 1, adamw_bf16_make, adamw_bf16_run, 0, AX_BF16 },
	{ "sumsq", 1, sumsq_make, sumsq_run, 1, AX_F32 },
};

/* An op that the device's table lacks. */
static bool missing(const char *name)
{
	const struct ax_ops *o = dev.ops;

	return (!strcmp(name, "attn_fwd") && !o->attn_fwd) || (!strcmp(name, "attn_bwd") && (!o->attn_fwd || !o->attn_bwd)) || (!strcmp(name, "head") && !o->head_loss);
}

/* --- measuring ------------------------------------------------------------------------------------------------------ */

static void drop(struct job *j)
{
	for (int i = 0; i < j->n_set; i++)
		for (int k = 0; k < N_BUF; k++)
			dev.ops->free(&dev, j->set[i].b[k]);
	if (j->seg)
		dev.ops->free(&dev, j->seg);
	memset(j, 0, sizeof(*j));
}

static void fail(const char *what)
{
	printf("error %s\n", what);
	drop(&job);
}

/* The case and its arguments; false: the answer has been given. */
static bool parse(struct job *j, const char *line)
{
	char copy[sizeof(j->line)], *at, *word;

	snprintf(j->line, sizeof(j->line), "%s", line);
	snprintf(copy, sizeof(copy), "%s", line);
	word = strtok_r(copy, " ", &at);
	for (size_t i = 0; word && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(cases[i].name, word))
			j->c = &cases[i];
	while (j->c && (word = strtok_r(NULL, " ", &at))) {
		int value = 0, times = 1, n = sscanf(word, "%dx%d", &value, &times);

		if (n < 1 || value < 1 || times < 1 || times > MOST_ARGS - j->n_a)
			return fail("an argument is no positive number, or there are too many"), false;
		while (times--)
			j->a[j->n_a++] = value;
	}
	if (!j->c)
		return fail("no such case"), false;
	if (j->n_a < j->c->n_arg)
		return fail("too few arguments"), false;
	return true;
}

static double batch(struct job *j, int calls, struct ax_err *e)
{
	double start = now_ms();

	for (int i = 0; i < calls; i++)
		j->c->run(j, &j->set[j->turn++ % j->n_set]);
	return dev.ops->sync(&dev, e) ? -1 : now_ms() - start;
}

/* Is there a result in the last call's output? Nothing but zeros, or what is no number, is a broken op. */
static bool sane(const struct job *j)
{
	unsigned char raw[1024] = { 0 };
	/* the gradient of the first token's query is zero: its value's is not */
	size_t skip = j->c->run == attn_bwd_run ? (arg(j, 0) + arg(j, 1)) * arg(j, 2) : 0;
	bool wide = j->c->out_t == AX_F32 || dev.act == AX_F32, some = false;
	size_t size = wide ? 4 : 2;
	int n = j->c->run == sumsq_run ? 2 : 16;

	dev.ops->download(&dev, raw, (char *)j->set[(j->turn - 1) % j->n_set].b[j->c->out] + skip * size, (size_t)n * size);
	for (int i = 0; i < n; i++) {
		float x = wide ? ((float *)raw)[i] : ax_bf16_to_f32(((uint16_t *)raw)[i]);

		if (!isfinite(x))
			return j->c->run == sumsq_run; /* half of a double */
		some |= x != 0;
	}
	return some;
}

/* Buffers and scratch of a new case, the first calls (loading of kernels, choice of algorithms), and how many calls make a batch. */
static bool begin(struct job *j, const char *line)
{
	struct ax_err e = { 0 };
	double ms;

	drop(j);
	if (!parse(j, line))
		return false;
	if (missing(j->c->name))
		return printf("none the device has no such op\n"), drop(j), false;
	do {
		if (!j->c->make(j, &j->set[j->n_set++]))
			return fail("no memory"), false;
	} while (j->n_set < MOST_SETS && j->bytes < SETS_BYTES && batch_ms > 0);
	if (j->shape.N && dev.ops->reserve(&dev, &j->shape, &e))
		return fail(e.msg), false;
	prepare(j);
	if (batch(j, j->n_set > 3 ? j->n_set : 3, &e) < 0 || (ms = batch(j, 3, &e)) < 0)
		return fail(e.msg), false;
	j->calls = ms / 3 < batch_ms ? (int)(3 * batch_ms / (ms > 0.003 ? ms : 0.003)) + 1 : 1;
	return true;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void answer(struct job *j, const char *line)
{
	double t[MOST_SAMPLES];
	struct ax_err e = { 0 };

	if ((!j->c || strcmp(j->line, line) != 0) && !begin(j, line))
		return;
	batch(j, (j->calls + 3) / 4, &e); /* the clocks go down while another program is measured */
	for (int i = 0; i < n_samples; i++)
		if ((t[i] = batch(j, j->calls, &e) / j->calls) < 0)
			return fail(e.msg);
	if (!sane(j))
		return fail("the result is zero, or no number");
	qsort(t, (size_t)n_samples, sizeof(t[0]), by_value);
	printf("ms %.6f %.6f %.6f %d\n", t[n_samples / 2], t[0], t[n_samples - 1], j->calls);
}

/* --- command line --------------------------------------------------------------------------------------------------- */

/* BUILD/lib/ax, from BUILD/bench/gpu/ops. */
static const char *plugins_beside(void)
{
	static char dir[4200];
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 3 && strrchr(exe, '/'); i++)
		*strrchr(exe, '/') = '\0';
	snprintf(dir, sizeof(dir), "%s/lib/ax", exe);
	return dir;
}

static int usage(void)
{
	fprintf(stderr, "usage: ops [--device auto|cpu|cuda] [--plugins DIR] [--act bf16|f32] [--deterministic] [--batch-ms MS] [--samples N] < CASES\n");
	return 2;
}

static int open_device(int argc, char **argv)
{
	struct ax_dev_opt o = { .device = "auto", .act = AX_BF16, .n_thread = (int)sysconf(_SC_NPROCESSORS_ONLN), .n_local = 1, .measure = true, .plugin_dir = plugins_beside() };
	struct ax_err e = { 0 };
	char why[256];
	int rc;

	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--deterministic")) {
			o.deterministic = true;
			o.measure = false;
			continue;
		}
		if (!value)
			return usage();
		i++;
		if (!strcmp(argv[i - 1], "--device"))
			o.device = value;
		else if (!strcmp(argv[i - 1], "--plugins"))
			o.plugin_dir = value;
		else if (!strcmp(argv[i - 1], "--act"))
			o.act = strcmp(value, "f32") ? AX_BF16 : AX_F32;
		else if (!strcmp(argv[i - 1], "--batch-ms"))
			batch_ms = atof(value);
		else if (!strcmp(argv[i - 1], "--samples"))
			n_samples = atoi(value);
		else
			return usage();
	}
	if (n_samples < 1 || n_samples > MOST_SAMPLES)
		return usage();
	rc = ax_dev_open(&dev, &o, why, &e);
	if (rc)
		fprintf(stderr, "ops: %s\n", e.msg);
	else if (*why)
		fprintf(stderr, "ops: %s\n", why);
	return rc;
}

int main(int argc, char **argv)
{
	char line[sizeof(job.line)];
	int rc = open_device(argc, argv);

	if (rc)
		return ax_exit_code(rc);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready %s\n", dev.name);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (*line)
			answer(&job, line);
	}
	drop(&job);
	ax_dev_close(&dev);
	return 0;
}
