/*
 * The state of the optimizer in every precision: the same bits under every strategy and number of ranks, given the same
 * gradients (multiples of 1/16 here: their sums over ranks are exact, in bf16 too); also after it went out and in again. On the CPU and on
 * the simulated GPU.
 */
#include "sim_dev.h"

#include "base/hash.h"
#include "base/mem.h"
#include "dist/dist.h"
#include "tensor/round.h"

enum { N_STEP = 6, BATCH = 7, N_PARAM = 5, N_MODE = 8 };

static const struct {
	size_t n;
	int unit;
	bool decay, trainable;
} shape[N_PARAM] = {{5003, 0, true, true}, {33, 0, false, true}, {1025, 1, true, true}, {300, 2, true, true}, {7, 2, false, false}};

static const enum ax_dtype modes[N_MODE][4] = { /* compute, masters, moments, gradients */
	{AX_F32, AX_F32, AX_F32, AX_F32},   {AX_F32, AX_F32, AX_Q8, AX_F32},   {AX_BF16, AX_F32, AX_BF16, AX_F32},
	{AX_BF16, AX_BF16, AX_F32, AX_F32}, {AX_BF16, AX_BF16, AX_BF16, AX_F32}, {AX_BF16, AX_BF16, AX_Q8, AX_F32},
	{AX_BF16, AX_F32, AX_F32, AX_BF16}, {AX_BF16, AX_BF16, AX_BF16, AX_BF16},
};

static struct {
	struct ax_units u;
	struct ax_unit unit[3];
	struct ax_param param[N_PARAM];
	size_t first[N_PARAM]; /* of each parameter in an array of all */
} m;

static struct ax_dev dev;

static void model_init(void)
{
	m.u = (struct ax_units){.unit = m.unit, .n_unit = 3, .param = m.param, .n_param = N_PARAM};
	for (int i = 0; i < 3; i++)
		snprintf(m.unit[i].name, sizeof(m.unit[i].name), i ? "layer %d" : "root", i - 1);
	for (int i = 0; i < N_PARAM; i++) {
		struct ax_param *p = &m.param[i];
		struct ax_unit *u = &m.unit[shape[i].unit];

		snprintf(p->name, sizeof(p->name), "p%d", i);
		p->n_dim = 1;
		p->dim[0] = (int64_t)shape[i].n;
		p->n_elem = shape[i].n;
		p->unit = shape[i].unit;
		p->off = u->n_elem;
		p->decay = shape[i].decay;
		p->lr_scale = 1;
		p->trainable = shape[i].trainable;
		u->first_param = u->n_param ? u->first_param : i;
		u->n_param++;
		u->n_elem += (p->n_elem + AX_UNIT_ALIGN - 1) / AX_UNIT_ALIGN * AX_UNIT_ALIGN;
		m.first[i] = m.u.n_elem;
		m.u.n_elem += p->n_elem;
	}
}

static int initial(void *ctx, int param, size_t off, size_t n, float *dst, struct ax_err *e)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = (float)((param * 13 + (int)((off + i) % 5000) * 3) % 101) / 50.0f;
	return 0;
}

static int read_array(void *ctx, int param, size_t off, size_t n, float *dst, struct ax_err *e)
{
	memcpy(dst, (const float *)ctx + m.first[param] + off, n * sizeof(*dst));
	return 0;
}

/* The values of a box's part. */
static void unpack(const struct ax_dist_box *b, enum ax_part part, float *out)
{
	size_t n = b->n;
	float *scale = ax_malloc((n + ax_q8_blocks(n)) * sizeof(*scale));
	uint8_t *raw = (uint8_t *)(scale + ax_q8_blocks(n));

	CHECK(scale && b->off % AX_Q8_BLOCK == 0);
	dev.ops->download(&dev, raw, b->data[part], n * ax_dtype_size(b->type[part]));
	if (b->type[part] == AX_F32)
		memcpy(out, raw, n * sizeof(*out));
	for (size_t i = 0; b->type[part] == AX_BF16 && i < n; i++)
		out[i] = ax_bf16_to_f32(((const uint16_t *)(const void *)raw)[i]);
	if (b->type[part] == AX_Q8) {
		dev.ops->download(&dev, scale, b->data[part == AX_PART_M ? AX_PART_M_SCALE : AX_PART_V_SCALE], ax_q8_blocks(n) * sizeof(*scale));
		ax_q8_unpack(out, raw, scale, n, part == AX_PART_M);
	}
	ax_free(scale);
}

/* All parameters, from the boxes of all ranks. */
static void collect(struct ax_comm *c, struct ax_dist *s, enum ax_part part, float *out)
{
	size_t n_box;
	const struct ax_dist_box *b = ax_dist_boxes(s, &n_box);
	struct ax_comm_req r;

	RUN(dev.ops->sync(&dev, e));
	memset(out, 0, m.u.n_elem * sizeof(*out));
	for (size_t k = 0; k < n_box; k++)
		unpack(&b[k], part, out + m.first[b[k].param] + b[k].off);
	RUN(ax_comm_all_reduce(c, out, m.u.n_elem, AX_SUM_F32, &r, e));
	RUN(ax_comm_wait(c, &r, e));
}

/* n elements of a gradient at `at` += those of a parameter and sample. */
static void add_sample(char *at, int sample, int param, size_t n)
{
	static float f32[5003];
	static uint16_t bf16[5003];
	void *raw = dev.grad == AX_F32 ? (void *)f32 : bf16;

	dev.ops->download(&dev, raw, at, n * ax_dtype_size(dev.grad));
	for (size_t i = 0; i < n; i++) {
		float d = (float)((sample * 31 + param * 17 + (int)(i % 1000) * 7) % 33) / 16.0f - 1.0f;

		if (dev.grad == AX_F32)
			f32[i] += d;
		else
			bf16[i] = ax_f32_to_bf16(ax_bf16_to_f32(bf16[i]) + d);
	}
	dev.ops->upload(&dev, at, raw, n * ax_dtype_size(dev.grad));
}

/* Gradients of one sample (< 0: none), into every unit. */
static void micro(const struct ax_unit_hooks *h, int sample)
{
	const void *w;
	void *g;

	for (int u = 2; u >= 0; u--) {
		RUN(h->acquire(h->ctx, u, &w, e));
		RUN(h->grad_acquire(h->ctx, u, &g, e));
		for (int p = m.unit[u].first_param; sample >= 0 && p < m.unit[u].first_param + m.unit[u].n_param; p++)
			add_sample((char *)g + m.param[p].off * ax_dtype_size(dev.grad), sample, p, m.param[p].n_elem);
		RUN(h->grad_release(h->ctx, u, e));
		RUN(h->release(h->ctx, u, e));
	}
}

static void step(struct ax_comm *c, struct ax_dist *s, int number)
{
	struct ax_unit_hooks h = ax_dist_hooks(s);
	struct ax_dist_update up = {0.05, 0.9, 0.95, 1e-8, 0.1, 0.125, (uint64_t)number, 42};
	int n_micro = (BATCH + c->n_rank - 1) / c->n_rank;

	RUN(ax_dist_begin_step(s, (uint64_t)number, e));
	for (int i = 0; i < n_micro; i++) {
		int sample = i * c->n_rank + c->rank;

		RUN(ax_dist_begin_micro(s, i == n_micro - 1, e));
		micro(&h, sample < BATCH ? number * BATCH + sample : -1);
		RUN(ax_dist_end_micro(s, e));
	}
	RUN(ax_dist_finish_grads(s, e));
	RUN(dev.ops->sync(&dev, e));
	RUN(ax_dist_update(s, &up, e));
}

/* Three steps; out and in again, as through a checkpoint; three more. A line with a hash of all that was kept. */
static void run(struct ax_comm *c, struct ax_comm *wire, struct ax_dist_opt o, FILE *out)
{
	float *full = ax_malloc(m.u.n_elem * sizeof(*full));
	struct ax_dist *s;
	uint64_t hash = 0;

	CHECK(full);
	RUN(ax_dist_open(&s, c, wire, &dev, &m.u, &o, e));
	RUN(ax_dist_load(s, AX_PART_MASTER, initial, NULL, e));
	for (int i = 1; i <= N_STEP; i++) {
		step(c, s, i);
		for (int part = AX_PART_MASTER; part <= AX_PART_V; part++) {
			collect(c, s, (enum ax_part)part, full);
			hash = ax_hash64_seed(full, m.u.n_elem * sizeof(*full), hash);
			if (i == N_STEP / 2)
				RUN(ax_dist_load(s, (enum ax_part)part, read_array, full, e));
		}
	}
	if (c->rank == 0)
		fprintf(out, "%s %s %s %s %016llx\n", ax_dtype_name(o.act), ax_dtype_name(o.master), ax_dtype_name(o.moments), ax_dtype_name(o.grads),
			(unsigned long long)hash);
	ax_free(full);
	ax_dist_close(s);
}

static int run_all(const char *path, bool sim)
{
	struct ax_comm *c = world(0, 0), *wire = c;
	FILE *out = c->rank == 0 ? fopen(path, "w") : NULL;

	CHECK(out || c->rank);
	model_init();
	for (int i = 0; i < N_MODE; i++) {
		if (sim)
			sim_open(&dev, c, modes[i][0], &wire);
		else
			RUN(ax_cpu_open(&dev, modes[i][0], 1, 0, e));
		dev.grad = modes[i][3];
		for (int how = 0; how < 3; how++) /* ddp, fsdp with and without resharding */
			run(c, wire, (struct ax_dist_opt){how ? AX_FSDP : AX_DDP, modes[i][0], how < 2, true, modes[i][1], modes[i][2],
						    modes[i][3]}, out);
		if (sim)
			sim_close(&dev, wire);
		else
			ax_cpu_close(&dev);
	}
	if (out)
		fclose(out);
	ax_comm_close(c);
	return 0;
}

/* Different lines of a file; -1: it cannot be read. */
static int n_kinds(const char *path)
{
	char cmd[300];
	FILE *f;
	int n = 0;

	snprintf(cmd, sizeof(cmd), "sort -u '%s' | wc -l", path);
	f = popen(cmd, "r");
	if (!f || fscanf(f, "%d", &n) != 1)
		n = -1;
	if (f)
		pclose(f);
	return n;
}

static bool equal_files(const char *a, const char *b)
{
	char cmd[600];

	snprintf(cmd, sizeof(cmd), "cmp -s '%s' '%s'", a, b);
	return system(cmd) == 0;
}

/* 1 to n_most ranks: eight results, and always the same. */
static void compare(const char *dir, const char *name, bool sim, int n_most)
{
	char one[128], many[128], args[160];

	snprintf(one, sizeof(one), "%s/%s1", dir, name);
	snprintf(args, sizeof(args), "%s%s", one, sim ? " sim" : "");
	ok(ranks_run(1, args) && n_kinds(one) == N_MODE, "%s, one rank: %d precisions", name, N_MODE);
	for (int n = 2; n <= n_most; n++) {
		snprintf(many, sizeof(many), "%s/%s%d", dir, name, n);
		snprintf(args, sizeof(args), "%s%s", many, sim ? " sim" : "");
		ok(ranks_run(n, args) && equal_files(one, many), "%s, %d ranks, ddp and fsdp, resharding or not: the same bits", name, n);
	}
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/ax-test-XXXXXX", cmd[64];

	if (argc > 1)
		return run_all(argv[1], argc > 2);
	RANKS_OR_SKIP("precision of the optimizer's state");
	if (!mkdtemp(dir))
		return 1;
	compare(dir, "cpu", false, 4);
	if (has_sim())
		compare(dir, "cuda", true, 2);
	else
		printf("ok %d - cuda # SKIP no simulated GPU in this build\n", ++test_number);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd) != 0 || test_failed != 0;
}
