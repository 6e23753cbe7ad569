/*
 * Checkpoints beside the run: a writer that is held back until the next step computes gradients, and slow afterwards, leaves
 * the bits of its step; one that fails or hangs ends the job as it should; a step that fails keeps what was saved before it.
 * The seam is the device's table of operations: the writer reads the weights out through `download`, from its own thread.
 */
#include "ranks.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "fmt/shard.h"
#include "text/json.h"
#include "train/ckpt.h"
#include "train/train.h"
#include "train/weights.h"

enum { SEQ = 32, VOCAB = 64, N_PACK = 24, SAVE = 2, N_STEP = 6 };

static const char config_text[] =
	"{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": 32, \"intermediate_size\": 48,"
	" \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 64, \"rms_norm_eps\": 1e-6,"
	" \"max_position_embeddings\": 64, \"rope_theta\": 10000.0, \"hidden_act\": \"silu\", \"tie_word_embeddings\": false,"
	" \"initializer_range\": 0.05}";

/* ---- the device, watched ---- */

static struct {
	struct ax_ops plain;
	pthread_t run;                      /* the thread that trains */
	atomic_int n_update, n_dw;          /* steps updated; products of gradients since the last update */
	atomic_int updating;                /* the current step's update has begun */
	atomic_int n_late, n_beside, n_alone; /* reads after an update; writers that saw the next step at work; that did not */
	int last;                           /* after this step there is no other */
	bool slow, stuck;
	int bad_sum, bad_sync;              /* the step in which the norm becomes infinite, or the device fails */
} watch;

static void nap(double s)
{
	struct timespec t = {(time_t)s, (long)((s - floor(s)) * 1e9)};

	nanosleep(&t, NULL);
}

/* The first read of a writer: until the step after its own computes gradients. */
static void meet_next_step(int step)
{
	double until = ax_now() + 5;

	while (watch.n_dw == 0 && ax_now() < until)
		nap(0.001);
	if (watch.n_dw > 0 && watch.n_update == step)
		watch.n_beside++;
	else
		watch.n_alone++;
}

static void download(struct ax_dev *d, void *host, const void *src, size_t bytes)
{
	static _Thread_local int step = -1; /* a writer's own: a thread writes one checkpoint */

	if (!pthread_equal(pthread_self(), watch.run)) {
		while (watch.stuck)
			nap(1);
		if (step < 0) {
			step = watch.n_update;
			if (watch.slow && step < watch.last)
				meet_next_step(step);
		}
		if (watch.slow)
			nap(0.003);
		watch.n_late += watch.n_update != step;
	}
	watch.plain.download(d, host, src, bytes);
}

static void linear_dw(struct ax_dev *d, void *dw, const void *dy, size_t lddy, const void *x, size_t ldx, int N, int I, int O)
{
	watch.updating = 0;
	watch.n_dw++;
	watch.plain.linear_dw(d, dw, dy, lddy, x, ldx, N, I, O);
}

static void adamw(struct ax_dev *d, const struct ax_adamw_mem *x, const struct ax_adamw *h, size_t n)
{
	if (!watch.updating) {
		watch.updating = 1;
		watch.n_dw = 0;
		watch.n_update++;
	}
	watch.plain.adamw(d, x, h, n);
}

static void sumsq(struct ax_dev *d, double *out, const void *x, enum ax_dtype tx, size_t n)
{
	watch.plain.sumsq(d, out, x, tx, n);
	if (watch.n_update + 1 == watch.bad_sum)
		*out = INFINITY;
}

static int sync_device(struct ax_dev *d, struct ax_err *e)
{
	if (watch.n_update + 1 == watch.bad_sync && watch.n_dw > 0)
		return ax_fail(e, AX_EMEM, "the device failed");
	return watch.plain.sync(d, e);
}

static struct ax_ops watch_device(const struct ax_dev *dev)
{
	struct ax_ops o = *dev->ops;

	watch.plain = o;
	watch.run = pthread_self();
	o.download = download;
	o.linear_dw = linear_dw;
	o.adamw = adamw;
	o.sumsq = sumsq;
	o.sync = sync_device;
	return o;
}

/* ---- a run ---- */

static struct {
	struct ax_comm *comm;
	struct ax_dev dev;
	struct ax_ops ops;
	struct ax_desc desc;
	struct ax_units units;
	struct ax_weights weights;
	struct ax_arena arena;
	enum ax_strategy strategy;
	const char *dir;
} f;

static void make_shards(const char *dir)
{
	struct ax_val *header = ax_header_new(&f.arena, "packs", 16);
	struct ax_shards_writer w;

	ax_val_set(&f.arena, header, "sequence_len", ax_val_int(&f.arena, SEQ));
	RUN(ax_shards_writer_open(&w, dir, header, 1, 0, true, e));
	for (uint32_t i = 0; i < N_PACK; i++) {
		uint32_t id[SEQ], len = SEQ;
		uint8_t mask[SEQ];
		struct ax_row row = {.n = SEQ, .id = id, .mask = mask, .number = i + 1};
		struct ax_pack p = {.n = SEQ, .n_doc = 1, .len = &len, .row = &row, .id = id, .mask = mask, .cost = SEQ * SEQ};

		for (uint32_t k = 0; k < SEQ; k++) {
			id[k] = (5 * i + 3 * k) % VOCAB;
			mask[k] = k > 0;
		}
		p.trained = ax_row_trained(&row);
		RUN(ax_shards_write(&w, &p, e));
	}
	RUN(ax_shards_writer_finish(&w, NULL, NULL, NULL, e));
	ax_shards_writer_release(&w);
}

static void setup(struct ax_comm *comm, const char *dir, const char *strategy, const char *act)
{
	struct ax_val *config;

	ax_log_set_level(AX_LOG_ERROR);
	ax_arena_init(&f.arena, 0);
	f.comm = comm;
	f.dir = dir;
	f.strategy = strcmp(strategy, "ddp") ? AX_FSDP : AX_DDP;
	RUN(ax_json_parse(&f.arena, config_text, strlen(config_text), &config, e));
	RUN(ax_desc_parse(&f.desc, config, e));
	RUN(ax_model_units(&f.desc, &f.units, e));
	RUN(ax_weights_init(&f.weights, &f.desc, &f.units, 7, e));
	RUN(ax_cpu_open(&f.dev, strcmp(act, "bf16") ? AX_F32 : AX_BF16, 1, 0, e));
	f.ops = watch_device(&f.dev);
	f.dev.ops = &f.ops;
}

static void release(void)
{
	f.dev.ops = &watch.plain;
	ax_cpu_close(&f.dev);
	ax_weights_close(&f.weights);
	ax_units_release(&f.units);
	ax_arena_release(&f.arena);
}

static char *path_of(const char *fmt, ...)
{
	static char path[4][4300];
	static unsigned turn;
	char *p = path[turn++ % 4];
	int n = snprintf(p, 4200, "%s/", f.dir);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p + n, 100, fmt, ap);
	va_end(ap);
	return p;
}

/* Train into dir/NAME for `steps` steps, a checkpoint after every SAVE; what the run returns. */
static int train(const char *name, int steps, struct ax_err *why)
{
	struct ax_train_env env = {.comm = f.comm, .wire = f.comm, .dev = &f.dev, .desc = &f.desc, .units = &f.units,
				   .source = ax_weights_read, .source_ctx = &f.weights};
	struct ax_train_opt o = {.micro_batch = 1, .grad_accum = 2, .global_batch = 4, .seed = 42, .max_steps = steps,
				 .num_epochs = 1, .max_grad_norm = 1.0, .save_steps = SAVE, .logging_steps = 1,
				 .reshard_after_forward = true, .strategy = f.strategy};
	struct ax_outdir out;
	struct ax_train *t = NULL;
	int rc;

	ax_sched_opt_init(&o.sched);
	o.sched.name = "constant";
	o.sched.warmup_steps = 0;
	o.sched.lr = 5e-3;
	ax_adamw_opt_init(&o.adam);
	watch.n_update = watch.n_dw = watch.updating = 0;
	watch.last = steps;
	RUN(ax_loader_open(&env.loader, path_of("shards"), e));
	RUN(ax_outdir_open(&out, f.comm, path_of("%s", name), e));
	RUN(ax_outdir_resume(&out, f.comm, NULL, false, e));
	env.outdir = &out;
	RUN(ax_train_open(&t, &env, &o, e));
	rc = ax_train_run(t, why);
	ax_train_close(t);
	ax_outdir_close(&out);
	ax_loader_close(env.loader);
	return rc;
}

static void same_file(const char *x, const char *y)
{
	struct ax_buf a = AX_BUF_INIT, b = AX_BUF_INIT;

	RUN(ax_read_file(x, 1 << 20, &a, e));
	RUN(ax_read_file(y, 1 << 20, &b, e));
	CHECK(a.n > 1000 && a.n == b.n && !memcmp(a.p, b.p, a.n));
	ax_buf_release(&a);
	ax_buf_release(&b);
}

/* Do the runs x and y hold the same masters and moments after a step? The hashes in them are checked too. */
static void same_step(const char *x, const char *y, int step)
{
	struct ax_ckpt k;

	for (int r = 0; r < f.comm->n_rank; r++) {
		const char *name = "%s/checkpoint-%d/rank-%05d-of-%05d.safetensors";

		same_file(path_of(name, x, step, r + 1, f.comm->n_rank), path_of(name, y, step, r + 1, f.comm->n_rank));
	}
	RUN(ax_ckpt_open(&k, path_of("%s/checkpoint-%d", y, step), e));
	RUN(ax_ckpt_verify(&k, e));
	ax_ckpt_close(&k);
}

/* Checkpoints of the last step are waited for at once: what a disturbed run must hold. */
static void reference(int steps)
{
	char name[16];

	snprintf(name, sizeof(name), "ref%d", steps);
	RUN(train(name, steps, e));
}

static void work_bits(void)
{
	reference(SAVE);
	reference(2 * SAVE);
	watch.slow = true;
	RUN(train("slow", N_STEP, e));
	CHECK(watch.n_alone == 0);  /* the run went on while the checkpoint was being written */
	CHECK(watch.n_beside == 2);
	CHECK(watch.n_late == 0);   /* and waited for it before the update */
	same_step("ref2", "slow", SAVE);
	same_step("ref4", "slow", 2 * SAVE);
	CHECK(ax_path_exists(path_of("slow/checkpoint-%d", N_STEP)));
}

static int metrics_lines(const char *name)
{
	struct ax_buf b = AX_BUF_INIT;
	int n = 0;

	RUN(ax_read_file(path_of("%s/metrics.jsonl", name), 1 << 20, &b, e));
	for (size_t i = 0; i < b.n; i++)
		n += b.p[i] == '\n';
	ax_buf_release(&b);
	return n;
}

/* The last rank's disk is full: a limit on the size of its files. All ranks say so in the step after, and leave nothing. */
static void work_full(void)
{
	struct rlimit few = {20000, RLIM_INFINITY};
	int last = f.comm->n_rank - 1;
	struct ax_err err = {0};
	char file[64];

	if (f.comm->rank == last)
		CHECK(setrlimit(RLIMIT_FSIZE, &few) == 0);
	watch.slow = true;
	CHECK(train("full", N_STEP, &err) == AX_EIO);
	snprintf(file, sizeof(file), "rank-%05d-of-%05d.safetensors", last + 1, last + 1);
	CHECK(strstr(err.msg, "cannot write") && strstr(err.msg, file));
	CHECK((strstr(err.msg, "rank 1: ") != NULL) == (f.comm->rank != last));
	RUN(ax_comm_barrier(f.comm, e)); /* rank 0 has removed it */
	CHECK(!ax_path_exists(path_of("full/checkpoint-2")) && !ax_path_exists(path_of("full/checkpoint-2.tmp")));
	CHECK(metrics_lines("full") == SAVE);
}

/* Step 3 fails on all ranks, or on the only one: what was saved after step 2 is complete. */
static void work_bad_step(void)
{
	struct ax_err err = {0};

	reference(SAVE);
	watch.slow = true;
	watch.bad_sum = SAVE + 1;
	CHECK(train("inf", N_STEP, &err) == AX_ECHECK);
	same_step("ref2", "inf", SAVE);
	watch.bad_sum = 0;
	if (f.comm->n_rank > 1)
		return;
	watch.bad_sync = SAVE + 1;
	CHECK(train("sync", N_STEP, &err) == AX_EMEM);
	same_step("ref2", "sync", SAVE);
}

/* The last rank's writer hangs in a read: the watchdog ends the job. */
static void work_stuck(void)
{
	struct ax_err err = {0};

	watch.stuck = f.comm->rank == f.comm->n_rank - 1;
	train("stuck", N_STEP, &err);
	CHECK(!"the watchdog ends the job");
}

/* The last rank's device fails in step 3: it leaves at once, though its writer is at work, and the others follow. */
static void work_leave(void)
{
	struct ax_err err = {0};

	watch.slow = true;
	watch.bad_sync = f.comm->rank == f.comm->n_rank - 1 ? SAVE + 1 : 0;
	CHECK(train("leave", N_STEP, &err));
	ax_comm_abandon(f.comm, err.msg);
	exit(5);
}

static int work(char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} mode[] = {{"bits", work_bits}, {"full", work_full}, {"bad", work_bad_step}, {"stuck", work_stuck}, {"leave", work_leave}};

	setup(world(0, strcmp(argv[1], "stuck") ? 0 : 3), argv[2], argv[3], argv[4]);
	for (size_t i = 0; i < sizeof(mode) / sizeof(mode[0]); i++)
		if (!strcmp(argv[1], mode[i].name))
			mode[i].fn();
	release();
	ax_comm_close(f.comm);
	return 0;
}

/* ---- the program that starts them ---- */

static char dir[] = "/tmp/ax-test-XXXXXX";

static int ranks(int n, const char *mode, const char *strategy, const char *act)
{
	char args[128], redirect[128], alone[8600], exe[4096];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int status;

	snprintf(args, sizeof(args), "%s '%s' %s %s", mode, dir, strategy, act);
	snprintf(redirect, sizeof(redirect), ">'%s/log' 2>&1", dir);
	exe[len > 0 ? len : 0] = '\0';
	if (n > 1) {
		status = ranks_status(n, args, redirect);
	} else {
		snprintf(alone, sizeof(alone), "'%s' %s %s", exe, args, redirect);
		status = system(alone);
		status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
	}
	snprintf(alone, sizeof(alone), "sed 's/^/# /' '%s/log' >&2; cd '%s' && rm -rf ref* slow full inf sync stuck leave", dir, dir);
	if (system(alone))
		return 128;
	return status;
}

static bool log_says(const char *a, const char *b)
{
	struct ax_buf log = AX_BUF_INIT;
	char path[64], *p, *end;
	bool found = false;

	snprintf(path, sizeof(path), "%s/log", dir);
	RUN(ax_read_file(path, 1 << 20, &log, e));
	for (p = log.p; p && (end = strchr(p, '\n')); p = end + 1) {
		*end = '\0';
		found = found || (strstr(p, a) && strstr(p, b));
	}
	ax_buf_release(&log);
	return found;
}

static int finish(void)
{
	return ax_remove_tree(dir, NULL) != 0 || test_failed != 0;
}

int main(int argc, char **argv)
{
	static const char *const way[][2] = {{"ddp", "f32"}, {"ddp", "bf16"}, {"fsdp", "f32"}, {"fsdp", "bf16"}};
	double t0;
	int status;

	if (argc > 4)
		return work(argv);
	if (!mkdtemp(dir))
		return 1;
	ax_arena_init(&f.arena, 0);
	f.dir = dir;
	make_shards(path_of("shards"));
	ax_arena_release(&f.arena);
	ok(ranks(1, "bits", "ddp", "f32") == 0, "one rank, f32: written beside the next step, with the bits of its own");
	ok(ranks(1, "bits", "ddp", "bf16") == 0, "one rank, bf16: likewise");
	ok(ranks(1, "bad", "ddp", "f32") == 0, "one rank: a step that fails keeps the checkpoint before it");
	if (no_ranks()) {
		printf("ok %d - ranks # SKIP %s\n", ++test_number, no_ranks());
		return finish();
	}
	for (size_t i = 0; i < sizeof(way) / sizeof(way[0]); i++)
		ok(ranks(2, "bits", way[i][0], way[i][1]) == 0, "two ranks, %s, %s: likewise", way[i][0], way[i][1]);
	ok(ranks(2, "bad", "fsdp", "f32") == 0, "two ranks: a step that fails keeps the checkpoint before it");
	ok(ranks(2, "full", "fsdp", "f32") == 0, "a full disk of one rank stops both before the next update, nothing is left");
	t0 = ax_now();
	status = ranks(2, "stuck", "fsdp", "f32");
	ok(status != 0 && status != 1 && log_says("rank 1 (host", "write the checkpoint"),
	   "a writer that hangs: status %d after %.1f s, rank and reason are named", status, ax_now() - t0);
	t0 = ax_now();
	status = ranks(2, "leave", "fsdp", "f32");
	ok(status != 0 && status != 1 && ax_now() - t0 < 15, "a rank that fails while its writer is at work: status %d after %.1f s",
	   status, ax_now() - t0);
	return finish();
}
