/*
 * Strategies on a tiny model of our own: quadratic loss, two units with odd sizes at the ends (tied or not), layers
 * between them, a frozen parameter, weight decay, uneven batches. The result must not depend on strategy, ranks or device:
 * the CPU, and the simulated GPU in several orders of streams, where lib/dist may touch memory through ops only.
 */
#include "sim_dev.h"

#include <math.h>

#include "base/mem.h"
#include "dist/dist.h"

enum { N_LAYER = 3, N_STEP = 6, BATCH = 7, MAX_UNIT = 8, MAX_PARAM = 24, MAX_ELEM = 5003 };

static struct ax_dev *dev; /* of this run */

struct model {
	struct ax_units u;
	struct ax_unit unit[MAX_UNIT];
	struct ax_param param[MAX_PARAM];
	bool tied;
};

static void add_param(struct model *m, size_t n, bool decay, float lr_scale, bool trainable)
{
	struct ax_param *p = &m->param[m->u.n_param];
	struct ax_unit *u = &m->unit[m->u.n_unit - 1];

	snprintf(p->name, sizeof(p->name), "p%d", m->u.n_param);
	p->n_dim = 1;
	p->dim[0] = (int64_t)n;
	p->n_elem = n;
	p->unit = m->u.n_unit - 1;
	p->off = u->n_elem;
	p->decay = decay;
	p->lr_scale = lr_scale;
	p->trainable = trainable;
	u->n_elem += (n + AX_UNIT_ALIGN - 1) / AX_UNIT_ALIGN * AX_UNIT_ALIGN;
	u->n_param++;
	m->u.n_param++;
	m->u.n_elem += n;
}

static void add_unit(struct model *m, const char *name)
{
	struct ax_unit *u = &m->unit[m->u.n_unit++];

	snprintf(u->name, sizeof(u->name), "%s", name);
	u->first_param = m->u.n_param;
}

static void model_init(struct model *m, bool tied)
{
	char name[32];

	memset(m, 0, sizeof(*m));
	m->tied = tied;
	m->u.unit = m->unit;
	m->u.param = m->param;
	add_unit(m, tied ? "root" : "embed");
	add_param(m, 5003, true, 0.5f, true);
	if (tied)
		add_param(m, 33, false, 1, true);
	for (int i = 0; i < N_LAYER; i++) {
		snprintf(name, sizeof(name), "layer %d", i);
		add_unit(m, name);
		add_param(m, 1025, true, 1, true);
		add_param(m, 7, false, 1, i != 1);
		add_param(m, 300 + (size_t)i, true, 1, true);
	}
	if (!tied) {
		add_unit(m, "head");
		add_param(m, 33, false, 1, true);
		add_param(m, 5003, true, 1, true);
	}
}

static float target(int sample, int param, size_t i)
{
	return (float)((sample * 31 + param * 17 + (int)(i % 1000) * 7) % 257) / 128.0f - 1.0f;
}

static int initial(void *ctx, int param, size_t off, size_t n, float *dst, struct ax_err *e)
{
	size_t *asked = ctx;

	for (size_t i = 0; i < n; i++)
		dst[i] = (float)((param * 13 + (int)((off + i) % 5000) * 3) % 101) / 50.0f;
	*asked += n;
	return 0;
}

/* One use of a unit's parameters [first, n): loss += and, if g, gradient += those of one sample (< 0: none). */
static void use(const struct model *m, int unit, int first, int n, enum ax_dtype act, const void *w, float *g,
		int sample, double *loss)
{
	static float grad[MAX_ELEM], f32[MAX_ELEM];
	static uint16_t bf16[MAX_ELEM];

	for (int p = first; sample >= 0 && p < first + n; p++) {
		const struct ax_param *q = &m->param[p];
		size_t size = ax_dtype_size(act);

		CHECK(q->unit == unit && q->n_elem <= MAX_ELEM);
		dev->ops->download(dev, act == AX_F32 ? (void *)f32 : bf16, (const char *)w + q->off * size, q->n_elem * size);
		if (g)
			dev->ops->download(dev, grad, g + q->off, q->n_elem * sizeof(*grad));
		for (size_t i = 0; i < q->n_elem; i++) {
			float d = ((act == AX_F32 ? f32[i] : ax_bf16_to_f32(bf16[i])) - target(sample, p, i)) / BATCH;

			if (g)
				grad[i] += d;
			else
				*loss += 0.5 * BATCH * (double)d * d;
		}
		if (g)
			dev->ops->upload(dev, g + q->off, grad, q->n_elem * sizeof(*grad));
	}
}

/* The schedule of a real model: the root is used at both ends, and the next unit is always announced. */
static void micro(const struct model *m, const struct ax_unit_hooks *h, enum ax_dtype act, int sample, double *loss,
		  bool train)
{
	int last = m->u.n_unit - 1;
	const void *w;
	void *g;

	for (int u = 0; u <= last; u++) {
		RUN(h->acquire(h->ctx, u, &w, e));
		RUN(h->prefetch(h->ctx, u < last ? u + 1 : m->tied ? 0 : last, e));
		use(m, u, m->unit[u].first_param, m->tied && u == 0 ? 1 : m->unit[u].n_param, act, w, NULL, sample,
		    loss);
		RUN(h->release(h->ctx, u, e));
	}
	if (m->tied) { /* the final norm */
		RUN(h->acquire(h->ctx, 0, &w, e));
		use(m, 0, 1, 1, act, w, NULL, sample, loss);
		if (train) {
			RUN(h->grad_acquire(h->ctx, 0, &g, e));
			use(m, 0, 1, 1, act, w, g, sample, loss);
			RUN(h->grad_release(h->ctx, 0, e));
		}
		RUN(h->release(h->ctx, 0, e));
	}
	for (int u = last; train && u >= 0; u--) {
		RUN(h->acquire(h->ctx, u, &w, e));
		if (u > 0)
			RUN(h->prefetch(h->ctx, u - 1, e));
		RUN(h->grad_acquire(h->ctx, u, &g, e));
		use(m, u, m->unit[u].first_param, m->tied && u == 0 ? 1 : m->unit[u].n_param, act, w, g, sample, loss);
		RUN(h->grad_release(h->ctx, u, e));
		RUN(h->release(h->ctx, u, e));
	}
}

/* All parameters, from the boxes of all ranks; and each element in exactly one box. */
static void collect(struct ax_comm *c, struct ax_dist *s, const struct model *m, enum ax_part part, float *out)
{
	float *count = ax_calloc(m->u.n_elem, sizeof(*count));
	size_t n_box, first[MAX_PARAM], at = 0;
	const struct ax_dist_box *b = ax_dist_boxes(s, &n_box);
	struct ax_comm_req r;

	CHECK(count);
	for (int p = 0; p < m->u.n_param; p++) {
		first[p] = at;
		at += m->param[p].n_elem;
	}
	memset(out, 0, m->u.n_elem * sizeof(*out));
	for (size_t k = 0; k < n_box; k++) {
		CHECK(b[k].n > 0 && b[k].off + b[k].n <= m->param[b[k].param].n_elem);
		dev->ops->download(dev, out + first[b[k].param] + b[k].off, b[k].data[part], b[k].n * sizeof(*out));
		for (size_t i = 0; i < b[k].n; i++)
			count[first[b[k].param] + b[k].off + i] += 1;
	}
	RUN(ax_comm_all_reduce(c, out, m->u.n_elem, AX_SUM_F32, &r, e));
	RUN(ax_comm_wait(c, &r, e));
	RUN(ax_comm_all_reduce(c, count, m->u.n_elem, AX_SUM_F32, &r, e));
	RUN(ax_comm_wait(c, &r, e));
	for (size_t i = 0; i < m->u.n_elem; i++)
		CHECK(count[i] == 1);
	ax_free(count);
}

static void same_everywhere(struct ax_comm *c, double x)
{
	double all[64];
	struct ax_comm_req r;

	RUN(ax_comm_all_gather(c, all, &x, sizeof(x), &r, e));
	RUN(ax_comm_wait(c, &r, e));
	for (int k = 0; k < c->n_rank; k++)
		CHECK(!memcmp(&all[k], &x, sizeof(x)));
}

static void check_norm(struct ax_comm *c, struct ax_dist *s, const struct model *m, double norm, float *full)
{
	double sum = 0;
	size_t at = 0;

	same_everywhere(c, norm);
	collect(c, s, m, AX_PART_GRAD, full);
	for (int p = 0; p < m->u.n_param; at += m->param[p++].n_elem)
		for (size_t i = 0; m->param[p].trainable && i < m->param[p].n_elem; i++)
			sum += (double)full[at + i] * full[at + i];
	CHECK(fabs(sqrt(sum) - norm) <= 1e-9 * norm);
}

static void step(struct ax_comm *c, struct ax_dist *s, const struct model *m, enum ax_dtype act, int number, FILE *out,
		 float *full)
{
	struct ax_unit_hooks h = ax_dist_hooks(s);
	struct ax_dist_update up = {0.05, 0.9, 0.95, 1e-8, 0.1, 1, (uint64_t)number, 0};
	int n_micro = (BATCH + c->n_rank - 1) / c->n_rank;
	double loss = 0, norm, eval = 0;

	RUN(ax_dist_begin_step(s, (uint64_t)number, e));
	for (int i = 0; i < n_micro; i++) {
		int sample = i * c->n_rank + c->rank; /* beyond the batch: an empty micro-batch */

		RUN(ax_dist_begin_micro(s, i == n_micro - 1, e));
		micro(m, &h, act, sample < BATCH ? number * BATCH + sample : -1, &loss, true);
		RUN(ax_dist_end_micro(s, e));
	}
	RUN(ax_dist_finish_grads(s, e));
	/* A simulated device moves only when its host asks it; one without a sample has not asked. */
	RUN(dev->ops->sync(dev, e));
	RUN(ax_comm_sum_f64(c, &loss, 1, e));
	RUN(ax_dist_grad_norm(s, &norm, NULL, e));
	check_norm(c, s, m, norm, full);
	up.grad_scale = norm > 1 ? 1 / norm : 1;
	RUN(ax_dist_update(s, &up, e));
	micro(m, &h, act, 1, &eval, false);
	same_everywhere(c, eval);
	if (c->rank == 0)
		fprintf(out, "loss %.17g %.17g %.17g\n", loss, norm, eval);
}

static void train(struct ax_comm *c, struct ax_comm *wire, bool tied, enum ax_dtype act, enum ax_strategy how,
		  bool reshard, FILE *out)
{
	struct ax_dist_opt o = {how, act, reshard, true, AX_F32, AX_F32, AX_F32};
	struct ax_dist_sizes z;
	struct ax_dist *s;
	struct model m;
	size_t asked = 0;
	double sum;
	float *full;

	model_init(&m, tied);
	full = ax_malloc(m.u.n_elem * sizeof(*full));
	CHECK(full);
	RUN(ax_dist_sizes(&m.u, &o, c->n_rank, &z, e));
	CHECK(z.total_bytes > 0 && z.master_bytes * 2 == z.moment_bytes);
	RUN(ax_dist_open(&s, c, wire, dev, &m.u, &o, e));
	RUN(ax_dist_load(s, AX_PART_MASTER, initial, &asked, e));
	sum = (double)asked;
	RUN(ax_comm_sum_f64(c, &sum, 1, e));
	CHECK(sum == (double)m.u.n_elem * (how == AX_FSDP ? 1 : c->n_rank)); /* nobody reads what it does not hold */
	if (c->rank == 0)
		fprintf(out, "run %s tied %d %s reshard %d\n", ax_strategy_name(how), tied, ax_dtype_name(act),
			reshard);
	for (int i = 1; i <= N_STEP; i++)
		step(c, s, &m, act, i, out, full);
	collect(c, s, &m, AX_PART_MASTER, full);
	for (size_t i = 0; c->rank == 0 && i < m.u.n_elem; i++)
		fprintf(out, "%.9g\n", (double)full[i]);
	collect(c, s, &m, AX_PART_V, full);
	for (size_t i = 0; c->rank == 0 && i < m.u.n_elem; i++)
		fprintf(out, "%.9g\n", (double)full[i]);
	ax_free(full);
	ax_dist_close(s);
}

/* Forward only: the loss of the same weights, no state for training, and gradients refused. */
static void evaluate(struct ax_comm *c, struct ax_comm *wire, enum ax_strategy how)
{
	struct ax_dist_opt o = {how, AX_F32, true, false, AX_F32, AX_F32, AX_F32}, training = o;
	struct ax_dist_sizes z, zt;
	struct ax_unit_hooks h;
	struct ax_err why;
	struct ax_dist *s;
	struct model m;
	double loss = 0, want = 0;
	size_t asked = 0, n_box;
	void *g;
	float x;

	training.train = true;
	model_init(&m, true);
	RUN(ax_dist_sizes(&m.u, &o, c->n_rank, &z, e));
	RUN(ax_dist_sizes(&m.u, &training, c->n_rank, &zt, e));
	CHECK(z.moment_bytes == 0 && z.grad_bytes == 0 && z.master_bytes == zt.master_bytes);
	RUN(ax_dist_open(&s, c, wire, dev, &m.u, &o, e));
	RUN(ax_dist_load(s, AX_PART_MASTER, initial, &asked, e));
	h = ax_dist_hooks(s);
	micro(&m, &h, AX_F32, 3, &loss, false);
	for (int p = 0; p < m.u.n_param; p++)
		for (size_t i = 0; i < m.param[p].n_elem; i++) {
			initial(&asked, p, i, 1, &x, NULL);
			want += 0.5 * pow(x - target(3, p, i), 2) / BATCH;
		}
	CHECK(fabs(loss - want) < 1e-6 * want);
	CHECK(h.grad_acquire(h.ctx, 1, &g, &why) == AX_ECHECK);
	RUN(h.prefetch(h.ctx, 2, e)); /* never used: close must let it arrive */
	CHECK(ax_dist_begin_step(s, 1, &why) == AX_ECHECK);
	CHECK(ax_dist_load(s, AX_PART_V, initial, &asked, &why) == AX_ECHECK);
	CHECK(how == AX_DDP || c->n_rank == 1 || h.release(h.ctx, 1, &why) == AX_ECHECK);
	CHECK(ax_dist_boxes(s, &n_box)->data[AX_PART_M] == NULL);
	ax_dist_close(s);
}

/* What ops need as scratch; a model does it in a real run. */
static void reserve(void)
{
	static const struct ax_shape any = {.N = 16, .Nk = 16, .C = 16, .F = 16, .O = 16, .V = 16, .n_head = 1, .n_kv = 1, .head_dim = 16};

	RUN(dev->ops->reserve(dev, &any, e));
}

static void train_act(struct ax_comm *c, struct ax_comm *wire, enum ax_dtype act, FILE *out)
{
	for (int tied = 0; tied < 2; tied++) {
		train(c, wire, tied, act, AX_DDP, true, out);
		train(c, wire, tied, act, AX_FSDP, true, out);
		train(c, wire, tied, act, AX_FSDP, false, out);
	}
	if (act == AX_F32)
		evaluate(c, wire, AX_DDP);
	if (act == AX_F32)
		evaluate(c, wire, AX_FSDP);
}

static int train_all(const char *path, bool sim)
{
	struct ax_comm *c = world(0, 0), *wire = c;
	FILE *out = c->rank == 0 ? fopen(path, "w") : NULL;
	struct ax_dev d;

	CHECK(out || c->rank);
	dev = &d;
	for (int i = 0; i < 2; i++) {
		enum ax_dtype act = i ? AX_BF16 : AX_F32;

		if (sim)
			sim_open(dev, c, act, &wire);
		else
			RUN(ax_cpu_open(dev, act, 1, AX_CPU_REFERENCE, e));
		reserve();
		train_act(c, wire, act, out);
		if (sim)
			sim_close(dev, wire);
		else
			ax_cpu_close(dev);
	}
	if (out)
		fclose(out);
	ax_comm_close(c);
	return 0;
}

/* Largest difference of two runs' files, relative to 1; < 0: they are of different shape. */
static double compare(const char *a, const char *b, bool bf16)
{
	char x[256], y[256];
	FILE *f = fopen(a, "r"), *g = fopen(b, "r");
	double worst = f && g ? 0 : -1, p[3], q[3], d;
	bool counts = true;

	while (worst >= 0 && fgets(x, sizeof(x), f)) {
		if (!fgets(y, sizeof(y), g) || x[0] != y[0]) {
			worst = -1;
		} else if (x[0] == 'r') {
			counts = (strstr(x, "bf16") != NULL) == bf16;
			worst = strcmp(x, y) ? -1 : worst;
		} else {
			int n = x[0] == 'l' ? 3 : 1;

			sscanf(x, x[0] == 'l' ? "loss %lf %lf %lf" : "%lf", &p[0], &p[1], &p[2]);
			sscanf(y, x[0] == 'l' ? "loss %lf %lf %lf" : "%lf", &q[0], &q[1], &q[2]);
			for (int i = 0; counts && i < n; i++) {
				d = fabs(p[i] - q[i]) / (fabs(p[i]) > 1 ? fabs(p[i]) : 1);
				worst = d <= worst ? worst : isfinite(d) ? d : HUGE_VAL;
			}
		}
	}
	if (f)
		fclose(f);
	if (g)
		fclose(g);
	return worst;
}

/* Within one file: DDP and FSDP, resharding or not, of the same model. */
static double compare_strategies(const char *path)
{
	enum { MAX = 1 << 15 };
	double *base = malloc(MAX * sizeof(*base)), worst = 0, v[3], d;
	FILE *f = fopen(path, "r");
	char line[256];
	size_t at = 0;
	bool first = false;

	while (f && base && fgets(line, sizeof(line), f)) {
		int n = line[0] == 'l' ? 3 : line[0] == 'r' ? 0 : 1;

		if (n == 0) {
			first = strstr(line, "ddp") != NULL;
			at = 0;
			continue;
		}
		sscanf(line, n == 3 ? "loss %lf %lf %lf" : "%lf", &v[0], &v[1], &v[2]);
		for (int i = 0; i < n && at < MAX; i++, at++) {
			if (first)
				base[at] = v[i];
			d = fabs(v[i] - base[at]) / (fabs(v[i]) > 1 ? fabs(v[i]) : 1);
			worst = d <= worst ? worst : isfinite(d) ? d : HUGE_VAL;
		}
	}
	if (f)
		fclose(f);
	free(base);
	return worst;
}

static bool equal_files(const char *a, const char *b)
{
	char cmd[600];

	snprintf(cmd, sizeof(cmd), "cmp -s '%s' '%s'", a, b);
	return system(cmd) == 0;
}

/* The simulated GPU against one rank of the CPU. */
static void test_sim(const char *one, const char *dir, int n, const char *order, const char *devices)
{
	char path[64], args[96];
	double d, b;

	setenv("CUDASIM_STREAMS", order, 1);
	setenv("CUDASIM_DEVICES", devices, 1);
	snprintf(path, sizeof(path), "%s/sim", dir);
	snprintf(args, sizeof(args), "%s sim", path);
	ok(n == 1 ? train_all(path, true) == 0 : ranks_run(n, args), "%d simulated GPUs train, %s streams", n, order);
	d = compare(one, path, false);
	b = compare(one, path, true);
	ok(d >= 0 && d < 1e-5, "f32: %d simulated GPUs give what one CPU gives (%.1e)", n, d);
	ok(b >= 0 && b < 2e-3, "bf16: %d simulated GPUs give what one CPU gives (%.1e)", n, b);
}

static void test_sims(const char *one, const char *dir)
{
	static const char *const order[] = {"lazy", "random", "ahead", "eager"};

	if (!has_sim()) {
		printf("ok %d - simulated GPUs # SKIP this build has no simulated plugin\n", ++test_number);
		return;
	}
	test_sim(one, dir, 1, "lazy", "8");
	for (int k = 0; !no_ranks() && k < (getenv("AX_LONG") ? 4 : 1); k++) {
		test_sim(one, dir, 2, order[k], "8");
		test_sim(one, dir, 4, order[(k + 1) % 4], "8");
		test_sim(one, dir, 3, order[(k + 2) % 4], "1"); /* on one GPU: through the host */
	}
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/ax-test-XXXXXX", one[64], many[64], again[64], args[96];
	double d, b, s;

	if (argc > 1)
		return train_all(argv[1], argc > 2);
	if (!mkdtemp(dir))
		return 1;
	snprintf(one, sizeof(one), "%s/1", dir);
	snprintf(again, sizeof(again), "%s/again", dir);
	train_all(one, false);
	d = compare_strategies(one);
	ok(d == 0, "one rank: FSDP is DDP, bit for bit");
	if (!no_ranks())
		for (int n = 2; n <= 4; n++) {
			snprintf(many, sizeof(many), "%s/%d", dir, n);
			ok(ranks_run(n, many), "%d ranks train: norms, boxes, loading, evaluation agree inside", n);
			d = compare(one, many, false);
			b = compare(one, many, true);
			s = compare_strategies(many);
			ok(d >= 0 && d < 1e-5, "f32: %d ranks give what one gives (%.1e)", n, d);
			ok(b >= 0 && b < 2e-3, "bf16: %d ranks give what one gives (%.1e)", n, b);
			ok(s < 2e-3, "%d ranks: strategies agree (%.1e)", n, s);
		}
	snprintf(args, sizeof(args), "%s", again);
	if (!no_ranks()) {
		snprintf(many, sizeof(many), "%s/3", dir);
		ok(ranks_run(3, args) && equal_files(many, again), "3 ranks again: the same bits");
	} else {
		printf("ok %d - several ranks # SKIP %s\n", ++test_number, no_ranks());
	}
	test_sims(one, dir);
	snprintf(args, sizeof(args), "rm -rf '%s'", dir);
	return system(args) != 0 || test_failed != 0;
}
