/* The training run on a tiny model and one rank: metrics, checkpoints, bit-exact resume, merge, damage. */
#define DIR "build/tmp-train"
#include "train_fixture.h"

static void test_run_and_metrics(void **state)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_err e = {0};
	double first = 0, last = 0, eval0 = 0;
	int lines = 0;

	must(run(DIR "/a", NULL, &f.opt, &e), &e);
	read_text(DIR "/a/metrics.jsonl", &b);
	for (char *p = b.p, *end; (end = strchr(p, '\n')); p = end + 1, lines++) {
		struct ax_val *v;

		must(ax_json_parse(&f.arena, p, (size_t)(end - p), &v, &e), &e);
		assert_int_equal(ax_val_int_or(ax_val_get(v, "step"), -1), lines);
		if (lines == 0) {
			assert_null(ax_val_get(v, "loss"));
			eval0 = ax_val_num_or(ax_val_get(v, "eval_loss"), -1);
		} else {
			last = ax_val_num_or(ax_val_get(v, "loss"), -1);
			assert_true((ax_val_get(v, "eval_loss") != NULL) == (lines % 2 == 0));
			first = lines == 1 ? last : first;
		}
	}
	/* 14 packs, 4 a step: 4 steps an epoch, the last of them short; 1.5 epochs are 6 steps */
	assert_int_equal(lines, STEPS + 1);
	assert_true(eval0 > 3.5 && eval0 < 5.0); /* near ln 64 = 4.16 */
	assert_true(last < first - 0.2);
	ax_buf_release(&b);
}

static void test_resume_is_exact(void **state)
{
	struct ax_buf a = AX_BUF_INIT, b = AX_BUF_INIT;
	struct ax_err e = {0};

	/* a run that was cut off after step 3 (and had written a line of step 4), and continued */
	must(ax_mkdirs(DIR "/b", &e), &e);
	assert_int_equal(rename(DIR "/a/checkpoint-3", DIR "/b/checkpoint-3"), 0);
	read_text(DIR "/a/metrics.jsonl", &a);
	must(ax_write_file(DIR "/b/metrics.jsonl", a.p, a.n - 20, &e), &e);
	must(run(DIR "/b", "auto", &f.opt, &e), &e);
	same_checkpoints(DIR "/a/checkpoint-6", DIR "/b/checkpoint-6");
	read_text(DIR "/b/metrics.jsonl", &b);
	for (char *p = a.p, *q = b.p, *end; (end = strchr(p, '\n')); p = end + 1, q = strchr(q, '\n') + 1) {
		char *stop = strstr(p, "\"tokens_per_second\""); /* the clock is not resumed */

		assert_memory_equal(p, q, (size_t)((stop && stop < end ? stop : end) - p));
	}
	ax_buf_release(&a);
	ax_buf_release(&b);
	/* complete: nothing to do; and a fresh run into it is refused */
	must(run(DIR "/b", "auto", &f.opt, &e), &e);
	assert_int_equal(run(DIR "/b", NULL, &f.opt, &e), AX_EUSAGE);
	assert_non_null(strstr(e.msg, "--overwrite"));
}

static char tuned[8][64];
static int n_tuned;
static const char *chosen = "the choice";

static size_t fake_tuning(struct ax_dev *d, char *text, size_t n)
{
	if (strlen(chosen) <= n)
		memcpy(text, chosen, strlen(chosen));
	return strlen(chosen);
}

static int fake_tune(struct ax_dev *d, const char *text, size_t n, struct ax_err *e)
{
	if (n_tuned < 8)
		snprintf(tuned[n_tuned++], sizeof(tuned[0]), "%.*s", (int)n, text);
	return n ? 0 : ax_fail(e, AX_EDATA, "empty");
}

/* What the device has chosen by measuring goes into checkpoints, and back to the device that resumes from one. */
static void test_tuning_is_kept(void **state)
{
	struct ax_err e = {0};
	struct ax_ckpt k;
	const struct ax_val *text;

	f.dev.tuning = fake_tuning;
	f.dev.tune = fake_tune;
	must(run(DIR "/tuned", NULL, &f.opt, &e), &e);
	assert_int_equal(n_tuned, 1); /* at the start: nothing new was chosen */
	assert_string_equal(tuned[0], chosen);
	must(ax_ckpt_open(&k, DIR "/tuned/checkpoint-3", &e), &e);
	text = ax_val_get(k.state, "device_tuning");
	assert_true(text && text->type == AX_STR && text->n == strlen(chosen) && !memcmp(text->u.s, chosen, text->n));
	ax_ckpt_close(&k);
	must(ax_remove_tree(DIR "/tuned/checkpoint-6", &e), &e);
	n_tuned = 0;
	chosen = "of a cache";
	must(run(DIR "/tuned", "auto", &f.opt, &e), &e);
	assert_int_equal(n_tuned, 2); /* by the checkpoint; then as rank 0's device answers, this one's "of a cache" */
	assert_string_equal(tuned[0], "the choice");
	assert_string_equal(tuned[1], "of a cache");
	f.dev.tuning = NULL;
	f.dev.tune = NULL;
}

/* A run that does not fit into the device's memory does not begin. */
static void test_memory_is_checked(void **state)
{
	struct ax_err e = {0};

	f.dev.memory = 10000;
	assert_int_equal(run(DIR "/small", NULL, &f.opt, &e), AX_EMEM);
	assert_non_null(strstr(e.msg, "can have 9.77 KiB"));
	f.dev.memory = (size_t)1 << 40;
	must(run(DIR "/large", NULL, &f.opt, &e), &e);
	f.dev.memory = 0;
}

/* A field of the metrics' lines of steps >= 1; AdamW hides a wrong scale of the gradient, its norm does not. */
static int read_series(const char *path, const char *field, double *out)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_err e = {0};
	int n = 0;

	read_text(path, &b);
	for (char *p = b.p, *end; (end = strchr(p, '\n')) && n < STEPS; p = end + 1) {
		struct ax_val *v;

		must(ax_json_parse(&f.arena, p, (size_t)(end - p), &v, &e), &e);
		if (ax_val_int_or(ax_val_get(v, "step"), 0) >= 1)
			out[n++] = ax_val_num_or(ax_val_get(v, field), -1);
	}
	ax_buf_release(&b);
	return n;
}

static void same_series(const char *x, const char *y, const char *field)
{
	double a[STEPS], b[STEPS];

	assert_int_equal(read_series(x, field, a), STEPS);
	assert_int_equal(read_series(y, field, b), STEPS);
	for (int i = 0; i < STEPS; i++)
		assert_true(a[i] > 0 && a[i] - b[i] < 1e-5 * a[i] && b[i] - a[i] < 1e-5 * a[i]);
}

static void test_other_splits_of_a_batch(void **state)
{
	struct ax_train_opt o = f.opt;
	struct ax_err e = {0};
	struct ax_ckpt a, b;

	o.micro_batch = 1;
	o.grad_accum = 1;
	o.global_batch = 4;
	o.recompute = AX_RECOMPUTE_FULL;
	must(run(DIR "/c", NULL, &o, &e), &e);
	same_series(DIR "/a/metrics.jsonl", DIR "/c/metrics.jsonl", "loss");
	same_series(DIR "/a/metrics.jsonl", DIR "/c/metrics.jsonl", "grad_norm");
	must(ax_ckpt_open(&a, DIR "/a/checkpoint-6", &e), &e);
	must(ax_ckpt_open(&b, DIR "/c/checkpoint-6", &e), &e);
	for (size_t i = 0; i < a.n_param; i++) {
		size_t n = (size_t)a.param[i].n_elem;
		float *p = malloc(2 * n * sizeof(float));
		double diff = 0, norm = 0;

		must(ax_ckpt_read(&a, &a.param[i], AX_PART_MASTER, 0, n, p, &e), &e);
		must(ax_ckpt_read(&b, &b.param[i], AX_PART_MASTER, 0, n, p + n, &e), &e);
		for (size_t k = 0; k < n; k++) {
			diff += (double)(p[k] - p[n + k]) * (double)(p[k] - p[n + k]);
			norm += (double)p[k] * (double)p[k];
		}
		/* 6 AdamW steps amplify rounding: measured 2e-5 at most */
		assert_true(diff <= 1e-7 * norm);
		free(p);
	}
	ax_ckpt_close(&a);
	ax_ckpt_close(&b);
}

static void test_merge(void **state)
{
	struct ax_merge_opt o = {.keep = true, .max_shard_bytes = 12000};
	struct ax_merge_stats s;
	struct ax_err e = {0};
	struct ax_st_model m;
	struct ax_ckpt k;
	size_t checked, total = 0;

	must(ax_ckpt_open(&k, DIR "/a/checkpoint-6", &e), &e);
	must(ax_ckpt_verify(&k, &e), &e);
	must(ax_merge(&k, DIR "/merged", &o, &s, &e), &e);
	assert_true(s.n_file > 2);
	must(ax_merge(&k, DIR "/merged", &o, &s, &e), &e); /* our own folder is replaced */
	must(ax_mkdirs(DIR "/foreign", &e), &e);
	assert_int_equal(ax_merge(&k, DIR "/foreign", &o, &s, &e), AX_EUSAGE);
	must(ax_st_model_open(&m, DIR "/merged", &e), &e);
	assert_int_equal(m.n_entry, k.n_param);
	for (size_t i = 0; i < m.n_file; i++) {
		must(ax_st_check(&m.file[i], &checked, &e), &e);
		total += checked;
	}
	assert_int_equal(total, k.n_param);
	for (size_t i = 0; i < k.n_param; i++) {
		const struct ax_st_entry *x = ax_st_model_find(&m, k.param[i].name);
		float *p = malloc((size_t)k.param[i].n_elem * sizeof(float));

		must(ax_ckpt_read(&k, &k.param[i], AX_PART_MASTER, 0, k.param[i].n_elem, p, &e), &e);
		assert_int_equal(x->t->dtype, AX_ST_F32);
		assert_memory_equal(p, x->t->data, (size_t)k.param[i].n_elem * sizeof(float));
		free(p);
	}
	ax_st_model_close(&m);
	ax_ckpt_close(&k);
}

/* Flip one byte at `off` of the rank file, and undo it. */
static void flip(long off)
{
	FILE *h = fopen(DIR "/a/checkpoint-6/rank-00001-of-00001.safetensors", "r+b");
	int c;

	assert_non_null(h);
	fseek(h, off, off < 0 ? SEEK_END : SEEK_SET);
	c = fgetc(h);
	fseek(h, off, off < 0 ? SEEK_END : SEEK_SET);
	fputc(c ^ 1, h);
	fclose(h);
}

static void test_damage_is_found(void **state)
{
	struct ax_merge_opt o = {.keep = true, .max_shard_bytes = AX_MERGE_SHARD_BYTES};
	struct ax_merge_stats s;
	struct ax_err e = {0};
	struct ax_ckpt k;

	flip(-5); /* data: found by verify and by merge, which leaves nothing behind */
	must(ax_ckpt_open(&k, DIR "/a/checkpoint-6", &e), &e);
	assert_int_equal(ax_ckpt_verify(&k, &e), AX_EDATA);
	ax_ckpt_close(&k);
	flip(-5);
	flip(40); /* header: found when it is opened */
	assert_int_equal(ax_ckpt_open(&k, DIR "/a/checkpoint-6", &e), AX_EDATA);
	flip(40);
	must(ax_ckpt_open(&k, DIR "/a/checkpoint-6", &e), &e);
	flip(-5);
	(void)o;
	(void)s;
	for (size_t i = 0; i < k.n_param; i++) /* the damaged part may be a moment, which a merge does not read */
		for (size_t j = 0; j < k.param[i].n_range[AX_PART_MASTER]; j++)
			k.param[i].range[AX_PART_MASTER][j].hash ^= 1;
	assert_int_equal(ax_merge(&k, DIR "/damaged", &o, &s, &e), AX_EDATA);
	assert_false(ax_path_exists(DIR "/damaged"));
	ax_ckpt_close(&k);
	flip(-5);
	must(ax_ckpt_open(&k, DIR "/a/checkpoint-6", &e), &e);
	must(ax_ckpt_verify(&k, &e), &e);
	ax_ckpt_close(&k);
}

static void test_other_data_is_refused(void **state)
{
	struct ax_loader *was = f.loader;
	struct ax_err e = {0};
	struct ax_shards_writer w;
	struct ax_val *header = ax_header_new(&f.arena, "packs", 16);

	ax_val_set(&f.arena, header, "sequence_len", ax_val_int(&f.arena, SEQ));
	must(ax_shards_writer_open(&w, DIR "/other", header, 1, 0, true, &e), &e);
	for (uint64_t i = 100; i < 114; i++)
		add_pack(&w, i, AX_SPLIT_TRAIN);
	must(ax_shards_writer_finish(&w, NULL, NULL, NULL, &e), &e);
	ax_shards_writer_release(&w);
	must(ax_loader_open(&f.loader, DIR "/other", &e), &e);
	assert_int_equal(run(DIR "/a", "auto", &f.opt, &e), AX_EUSAGE);
	assert_non_null(strstr(e.msg, "other shards"));
	ax_loader_close(f.loader);
	f.loader = was;
}

static void test_stop_on_request(void **state)
{
	volatile sig_atomic_t save = 0, stop = 1;
	struct ax_train_opt o = f.opt;
	struct ax_err e = {0};

	o.want_save = &save;
	o.want_stop = &stop;
	assert_int_equal(run(DIR "/d", NULL, &o, &e), AX_ESTOP);
	stop = 0;
	must(run(DIR "/d", "auto", &o, &e), &e);
	same_checkpoints(DIR "/a/checkpoint-6", DIR "/d/checkpoint-6");
}

static void test_model_only(void **state)
{
	struct ax_train_opt o = f.opt;
	struct ax_err e = {0};

	o.save_only_model = true;
	must(run(DIR "/m", NULL, &o, &e), &e);
	must(run(DIR "/m", "auto", &o, &e), &e); /* complete: nothing to do */
	o.num_epochs = 2;
	assert_int_equal(run(DIR "/m", "auto", &o, &e), AX_EUSAGE);
	assert_non_null(strstr(e.msg, "no optimizer state"));
}

static void test_cadence(void **state)
{
	struct ax_cadence c = ax_cadence_from_steps(0.25, 10), two = {AX_CADENCE_PER_EPOCH, 2};
	int n = 0;

	assert_int_equal(c.every, 3);
	for (int64_t s = 1; s <= 14; s++) /* two epochs of 7 steps */
		n += ax_cadence_due(&two, s, 7);
	assert_int_equal(n, 4);
	assert_true(ax_cadence_due(&two, 7, 7) && ax_cadence_due(&two, 14, 7) && ax_cadence_due(&two, 4, 7));
	assert_int_equal(ax_total_steps(1.5, 0, 4), 6);
	assert_int_equal(ax_total_steps(1.0, 3, 4), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cadence),
		cmocka_unit_test(test_run_and_metrics),
		cmocka_unit_test(test_tuning_is_kept), cmocka_unit_test(test_memory_is_checked),
		cmocka_unit_test(test_resume_is_exact),
		cmocka_unit_test(test_stop_on_request),
		cmocka_unit_test(test_other_splits_of_a_batch),
		cmocka_unit_test(test_model_only),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_damage_is_found),
		cmocka_unit_test(test_other_data_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
