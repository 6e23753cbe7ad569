/* Runs that keep their state in less than f32: resume, conversion, merge, sizes, the loss beside f32's. */
#define DIR "build/tmp-precision"
#include "train_fixture.h"

#include <math.h>

static const struct mode {
	enum ax_dtype act, masters, moments;
	const char *dir;
	int bits[3]; /* of an element of each part in a checkpoint */
} modes[] = {
	{AX_F32, AX_F32, AX_F32, DIR "/f32", {32, 32, 32}},
	{AX_F32, AX_F32, AX_Q8, DIR "/f32-8bit", {32, 8, 8}},
	{AX_BF16, AX_F32, AX_F32, DIR "/bf16-f32", {32, 32, 32}},
	{AX_BF16, AX_F32, AX_BF16, DIR "/bf16", {32, 16, 16}},
	{AX_BF16, AX_F32, AX_Q8, DIR "/8bit", {32, 8, 8}},
	{AX_BF16, AX_BF16, AX_BF16, DIR "/none-bf16", {16, 16, 16}},
	{AX_BF16, AX_BF16, AX_Q8, DIR "/none-8bit", {16, 8, 8}},
};

enum { N_MODE = sizeof(modes) / sizeof(modes[0]) };

static struct ax_train_opt options(const struct mode *m)
{
	struct ax_train_opt o = f.opt;
	struct ax_err e = {0};

	ax_cpu_close(&f.dev);
	must(ax_cpu_open(&f.dev, m->act, 1, 0, &e), &e);
	o.masters = m->masters;
	o.moments = m->moments;
	return o;
}

static char *join(const char *dir, const char *name)
{
	static char path[4][300];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, 300, "%s%s", dir, name);
	return p;
}

static void check_types(const char *path, const struct mode *m)
{
	struct ax_err e = {0};
	struct ax_ckpt k;

	must(ax_ckpt_open(&k, path, &e), &e);
	must(ax_ckpt_verify(&k, &e), &e);
	for (size_t i = 0; i < k.n_param; i++)
		for (int part = 0; part < AX_CKPT_N_PART; part++) {
			bool scale = part > AX_PART_V;

			assert_int_equal(k.param[i].n_range[part] > 0, !scale || m->moments == AX_Q8);
			for (size_t r = 0; r < k.param[i].n_range[part]; r++)
				assert_int_equal(ax_st_dtype_bits(k.param[i].range[part][r].dtype), scale ? 32 : m->bits[part]);
		}
	ax_ckpt_close(&k);
}

/* One run at a stretch; one cut off after step 3 and continued: the same bits. */
static void test_resume(void **state)
{
	for (const struct mode *m = modes; m < modes + N_MODE; m++) {
		struct ax_train_opt o = options(m);
		struct ax_err e = {0};

		must(run(m->dir, NULL, &o, &e), &e);
		check_types(join(m->dir, "/checkpoint-6"), m);
		must(ax_mkdirs(join(m->dir, "-cut"), &e), &e);
		assert_int_equal(rename(join(m->dir, "/checkpoint-3"), join(m->dir, "-cut/checkpoint-3")), 0);
		must(run(join(m->dir, "-cut"), "auto", &o, &e), &e);
		same_checkpoints(join(m->dir, "/checkpoint-6"), join(m->dir, "-cut/checkpoint-6"));
	}
}

/* Any state may go on in any other precision. */
static void test_converts(void **state)
{
	for (int i = 0; i < N_MODE; i++) {
		const struct mode *from = &modes[i], *to = &modes[(i + 3) % N_MODE];
		struct ax_train_opt o = options(to);
		struct ax_err e = {0};

		must(ax_remove_tree(join(from->dir, "-cut/checkpoint-6"), &e), &e);
		must(run(join(from->dir, "-cut"), "auto", &o, &e), &e);
		check_types(join(from->dir, "-cut/checkpoint-6"), to);
	}
}

static double last_eval(const char *dir)
{
	struct ax_buf b = AX_BUF_INIT;
	double loss = -1;

	read_text(join(dir, "/metrics.jsonl"), &b);
	for (char *p = b.p; (p = strstr(p, "\"eval_loss\": ")); p++)
		loss = strtod(p + 13, NULL);
	ax_buf_release(&b);
	return loss;
}

static void test_loss(void **state)
{
	double f32 = last_eval(modes[0].dir);

	for (const struct mode *m = modes + 1; m < modes + N_MODE; m++) {
		double d = last_eval(m->dir) / f32 - 1;

		if (!(fabs(d) < 5e-3))
			fail_msg("%s: eval loss %+.2g %% from f32's", m->dir, 100 * d);
	}
}

/* What the plan says is what the state takes, in memory and on disk. */
static void test_plan(void **state)
{
	static const size_t per_256[] = {256 * 16, 256 * 10 + 8, 256 * 18, 256 * 14, 256 * 12 + 8, 256 * 10, 256 * 8 + 8};

	for (int i = 0; i < N_MODE; i++) {
		struct ax_train_opt o = options(&modes[i]);
		struct ax_outdir out = {0};
		struct ax_train_env env = {f.comm, f.comm, &f.dev, &f.desc, &f.units, f.loader, &out, NULL, NULL};
		struct ax_train_plan p;
		struct ax_err e = {0};
		uint64_t bytes = 0, blocks = 0;
		struct ax_ckpt k;

		must(ax_train_plan(&env, &o, 1, &p, &e), &e);
		for (int u = 0; u < f.units.n_unit; u++)
			blocks += f.units.unit[u].n_elem / 256;
		assert_int_equal(p.dist.master_bytes + p.dist.moment_bytes + p.dist.grad_bytes + p.dist.weight_bytes, blocks * per_256[i]);
		must(ax_ckpt_open(&k, join(modes[i].dir, "/checkpoint-6"), &e), &e);
		for (size_t q = 0; q < k.n_param; q++)
			for (int part = 0; part < AX_CKPT_N_PART; part++)
				for (size_t r = 0; r < k.param[q].n_range[part]; r++)
					bytes += k.param[q].range[part][r].n * (uint64_t)ax_st_dtype_bits(k.param[q].range[part][r].dtype) / 8;
		ax_ckpt_close(&k);
		assert_true(bytes >= p.checkpoint_bytes && bytes < p.checkpoint_bytes + 16 * k.n_param + 8192);
	}
}

/* bf16 masters come out of ax-merge as they are. */
static void test_merge(void **state)
{
	struct ax_merge_opt o = {.dtype = AX_ST_BF16, .max_shard_bytes = AX_MERGE_SHARD_BYTES};
	struct ax_merge_stats s;
	struct ax_st_model m;
	struct ax_err e = {0};
	struct ax_ckpt k;

	must(ax_ckpt_open(&k, DIR "/none-8bit/checkpoint-6", &e), &e);
	must(ax_merge(&k, DIR "/merged", &o, &s, &e), &e);
	must(ax_st_model_open(&m, DIR "/merged", &e), &e);
	for (size_t i = 0; i < k.n_param; i++) {
		const struct ax_st_tensor *t = ax_st_model_find(&m, k.param[i].name)->t;
		size_t n = (size_t)k.param[i].n_elem;
		float *x = malloc(n * sizeof(*x));

		assert_non_null(t);
		must(ax_ckpt_read(&k, &k.param[i], AX_PART_MASTER, 0, n, x, &e), &e);
		for (size_t j = 0; j < n; j++)
			assert_int_equal(((const uint16_t *)t->data)[j], ax_f32_to_bf16(x[j]));
		free(x);
	}
	ax_st_model_close(&m);
	ax_ckpt_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_resume), cmocka_unit_test(test_loss), cmocka_unit_test(test_plan),
					   cmocka_unit_test(test_merge), cmocka_unit_test(test_converts)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
