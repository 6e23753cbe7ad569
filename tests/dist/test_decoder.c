/*
 * The real decoder under the strategies: losses and gradient norms of 1, 2, 3 and 4 ranks for the same global batches,
 * tied and untied, with empty micro-batches where the batch does not divide, with gradients in f32 and in bf16; on the CPU, and
 * on the simulated GPU, there with and without recordings, which must give the same bits.
 */
#include "sim_dev.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "dist/dist.h"
#include "model/init.h"
#include "model/model.h"

enum { N_STEP = 4, BATCH = 5, N_TOKEN = 48, MAX_LINE = 80 };

static const char *const configs[] = {"tests/golden/models/qwen3-tied/config.json",
				      "tests/golden/models/llama-bias/config.json"};

struct source {
	const struct ax_desc *d;
	const struct ax_units *u;
};

static int initial(void *ctx, int param, size_t off, size_t n, float *dst, struct ax_err *e)
{
	const struct source *s = ctx;

	ax_init_fill(s->d, &s->u->param[param], 7, off, off + n, dst);
	return 0;
}

enum device { CPU, RECORDED, PLAIN }; /* the last two: the simulated GPU */

/* Two documents of a sample; the second has a length that depends on it. */
struct sample {
	int32_t id[N_TOKEN], pos[N_TOKEN], target[N_TOKEN];
	struct ax_seg seg[2];
	struct ax_micro micro;
};

static void make_sample(struct sample *s, int number, int vocab)
{
	int cut = 17 + number % 5, end = N_TOKEN - number % 3;

	memset(s, 0, sizeof(*s));
	for (int i = 0; i < N_TOKEN; i++) {
		s->id[i] =
		    i < end
			? (int32_t)(ax_rand_u64(3, AX_RNG_SAMPLE, (uint64_t)(number * N_TOKEN + i)) % (uint64_t)vocab)
			: 0;
		s->pos[i] = i < cut ? i : i < end ? i - cut : 0;
		s->target[i] = -1;
	}
	for (int i = 0; i + 1 < end; i++)
		s->target[i] = i + 1 == cut ? -1 : s->id[i + 1];
	s->seg[0] = (struct ax_seg){0, cut, 0, cut, 0};
	s->seg[1] = (struct ax_seg){cut, end - cut, cut, end - cut, 0};
	s->micro = (struct ax_micro){N_TOKEN, s->id, s->pos, s->target, NULL, s->seg, 2};
}

static void step(struct ax_comm *c, struct ax_dist *s, struct ax_model *m, int vocab, int number, FILE *out)
{
	struct ax_dist_update up = {2e-3, 0.9, 0.999, 1e-8, 0.01, 1, (uint64_t)number, 0};
	struct ax_unit_hooks h = ax_dist_hooks(s);
	int n_micro = (BATCH + c->n_rank - 1) / c->n_rank, trained = 0;
	double loss = 0, norm, eval = 0;
	struct sample x;

	for (int k = 0; k < BATCH; k++) {
		make_sample(&x, number * BATCH + k, vocab);
		for (int i = 0; i < N_TOKEN; i++)
			trained += x.target[i] >= 0;
	}
	RUN(ax_dist_begin_step(s, (uint64_t)number, e));
	for (int i = 0; i < n_micro; i++) {
		int k = i * c->n_rank + c->rank;

		make_sample(&x, number * BATCH + k, vocab);
		x.micro.n_seg = k < BATCH ? 2 : 0;
		RUN(ax_dist_begin_micro(s, i == n_micro - 1, e));
		RUN(ax_model_step(m, &x.micro, &h, 1.0f / (float)trained, &loss, e));
		RUN(ax_dist_end_micro(s, e));
	}
	RUN(ax_dist_finish_grads(s, e));
	RUN(ax_comm_sum_f64(c, &loss, 1, e));
	RUN(ax_dist_grad_norm(s, &norm, NULL, e));
	up.grad_scale = norm > 1 ? 1 / norm : 1;
	RUN(ax_dist_update(s, &up, e));
	make_sample(&x, 1000, vocab);
	RUN(ax_model_eval(m, &x.micro, &h, &eval, NULL, e));
	if (c->rank == 0)
		fprintf(out, "%.17g %.17g %.17g\n", loss / trained, norm, eval);
}

/* --- recordings are counted, or kept from the model ----------------------------------------------------------------- */

static const struct ax_ops *real_ops;
static struct ax_ops ops;
static int n_run, n_replayed;

static bool counting_begin(struct ax_dev *d, uint64_t key)
{
	bool known = real_ops->record_begin(d, key);

	*(known ? &n_replayed : &n_run) += 1;
	return known;
}

static void count_recordings(struct ax_dev *d, bool record)
{
	CHECK(d->ops->record_begin && d->ops->record_end);
	real_ops = d->ops;
	ops = *d->ops;
	ops.record_begin = record ? counting_begin : NULL;
	ops.record_end = record ? ops.record_end : NULL;
	d->ops = &ops;
	n_run = n_replayed = 0;
}

/* What is seen for the third time is replayed: of four steps and evaluations at least half, segments or whole micro-batches. */
static void check_recordings(bool record)
{
	CHECK(record ? n_replayed >= 2 * N_STEP && 3 * n_replayed >= 2 * n_run : !n_run && !n_replayed);
}

static void train(struct ax_comm *c, const char *config, enum ax_dtype act, enum ax_dtype grad, enum ax_strategy how,
		  bool reshard, enum device sim, FILE *out)
{
	struct ax_model_opt mo = {.n_token = N_TOKEN, .max_seg = 2, .recompute = AX_RECOMPUTE_NONE, .train = true};
	struct ax_dist_opt o = {how, act, reshard, true, AX_F32, AX_F32, grad};
	struct source src;
	struct ax_desc d;
	struct ax_units u;
	struct ax_model *m;
	struct ax_dist *s;
	struct ax_comm *wire = c;
	struct ax_dev dev;

	RUN(ax_desc_load(&d, config, e));
	d.n_layer = 4; /* so that buffers change hands */
	memset(d.layer_rope, d.layer_rope[0], sizeof(d.layer_rope));
	memset(d.layer_window, d.layer_window[0], sizeof(d.layer_window));
	RUN(ax_model_units(&d, &u, e));
	if (sim) {
		sim_open(&dev, c, act, &wire);
		count_recordings(&dev, sim == RECORDED);
	} else {
		RUN(ax_cpu_open(&dev, act, 1, 0, e));
	}
	dev.grad = grad;
	RUN(ax_model_open(&m, &dev, &d, &u, &mo, e));
	RUN(ax_dist_open(&s, c, wire, &dev, &u, &o, e));
	src = (struct source){&d, &u};
	RUN(ax_dist_load(s, AX_PART_MASTER, initial, &src, e));
	for (int i = 1; i <= N_STEP; i++)
		step(c, s, m, d.vocab, i, out);
	if (sim)
		check_recordings(sim == RECORDED);
	ax_dist_close(s);
	ax_model_close(m);
	ax_units_release(&u);
	if (sim)
		sim_close(&dev, wire);
	else
		ax_cpu_close(&dev);
}

/* N_STEP lines each of: f32, bf16, bf16 with bf16 gradients; for each config; DDP, FSDP, FSDP that keeps its weights. */
static int train_all(const char *path, enum device sim)
{
	struct ax_comm *c = world(0, 0);
	FILE *out = c->rank == 0 ? fopen(path, "w") : NULL;

	CHECK(out || c->rank);
	for (int mode = 0; mode < 3; mode++)
		for (int i = 0; i < 2; i++)
			for (int k = 0; k < 3; k++)
				train(c, configs[i], mode ? AX_BF16 : AX_F32, mode == 2 ? AX_BF16 : AX_F32, k ? AX_FSDP : AX_DDP,
				      k == 1, sim, out);
	if (out)
		fclose(out);
	ax_comm_close(c);
	return 0;
}

static int read_lines(const char *path, double v[MAX_LINE][3])
{
	FILE *f = fopen(path, "r");
	int n = 0;

	while (f && n < MAX_LINE && fscanf(f, "%lf %lf %lf", &v[n][0], &v[n][1], &v[n][2]) == 3)
		n++;
	if (f)
		fclose(f);
	return n;
}

/*
 * Largest relative difference of lines [from, to) of `got` to what one rank gave with DDP, `back` lines before; inf: some are
 * missing.
 */
static double compare(double one[MAX_LINE][3], double got[MAX_LINE][3], int n, int from, int to, int back)
{
	double worst = 0, d;

	if (n < to)
		return HUGE_VAL;
	for (int i = from; i < to; i++)
		for (int k = 0; k < 3; k++) {
			int base = i / (3 * N_STEP) * (3 * N_STEP) + i % N_STEP - back; /* the DDP run of that model */

			d = fabs(got[i][k] - one[base][k]) / fabs(one[base][k]);
			worst = d <= worst ? worst : isfinite(d) ? d : HUGE_VAL;
		}
	return worst;
}

static double one[MAX_LINE][3], got[MAX_LINE][3];

static bool same_file(const char *a, const char *b)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "test -s '%s' && cmp '%s' '%s'", a, a, b);
	return system(cmd) == 0;
}

static void compare_file(const char *path, const char *what, int n_rank)
{
	const int mode = 2 * 3 * N_STEP;
	int n = read_lines(path, got);
	double f32 = compare(one, got, n, 0, mode, 0), bf16 = compare(one, got, n, mode, 2 * mode, 0);
	double grad = compare(one, got, n, 2 * mode, 3 * mode, mode);

	ok(f32 < 1e-5, "f32: losses, norms and evaluations of %d %s, DDP and FSDP (%.1e)", n_rank, what, f32);
	ok(bf16 < 2e-2, "bf16: the same (%.1e)", bf16);
	ok(grad > 0 && grad < 2e-2, "bf16 gradients: nearly that of f32 gradients, but not the same (%.1e)", grad);
}

static bool run_sim(const char *path, int n, enum device how)
{
	char args[96];

	snprintf(args, sizeof(args), "%s %s", path, how == RECORDED ? "recorded" : "plain");
	remove(path);
	return n == 1 ? train_all(path, how) == 0 : ranks_run(n, args);
}

static void test_sim(const char *dir, int n, const char *order, const char *devices)
{
	char path[64], plain[64];

	setenv("CUDASIM_STREAMS", order, 1);
	setenv("CUDASIM_DEVICES", devices, 1);
	snprintf(path, sizeof(path), "%s/sim", dir);
	snprintf(plain, sizeof(plain), "%s/plain", dir);
	if (!ok(run_sim(path, n, RECORDED), "%d simulated GPUs run, %s streams", n, order))
		return;
	compare_file(path, "simulated GPUs", n);
	if (n > 2 && !getenv("AX_LONG"))
		return;
	ok(run_sim(plain, n, PLAIN) && same_file(path, plain), "the same bits without recordings, %d simulated GPUs, %s streams", n, order);
}

static void test_sims(const char *dir)
{
	static const char *const order[] = {"random", "lazy", "ahead", "eager"};

	if (!has_sim()) {
		printf("ok %d - simulated GPUs # SKIP this build has no simulated plugin\n", ++test_number);
		return;
	}
	test_sim(dir, 1, "lazy", "8");
	for (int k = 0; k < (getenv("AX_LONG") ? 4 : 1); k++) {
		test_sim(dir, 2, order[k], "8");
		test_sim(dir, 4, order[(k + 1) % 4], "8");
		if (getenv("AX_LONG"))
			test_sim(dir, 3, order[(k + 2) % 4], "1"); /* on one GPU: through the host */
	}
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/ax-test-XXXXXX", path[64], cmd[96];

	if (argc > 1)
		return train_all(argv[1], argc < 3 ? CPU : strcmp(argv[2], "plain") ? RECORDED : PLAIN);
	RANKS_OR_SKIP("the decoder on several ranks");
	if (!mkdtemp(dir))
		return 1;
	for (int r = 1; r <= 4; r++) {
		snprintf(path, sizeof(path), "%s/%d", dir, r);
		if (r == 1)
			train_all(path, CPU);
		else if (!ok(ranks_run(r, path), "%d ranks run", r))
			continue;
		if (r == 1)
			read_lines(path, one);
		compare_file(path, "ranks", r);
	}
	test_sims(dir);
	ok(one[N_STEP - 1][0] < one[0][0], "and the loss falls");
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd) != 0 || test_failed != 0;
}
