/* The best evaluation, patience, which checkpoints stay, which one is the result; all of it through the trainer state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"
#include "text/json.h"
#include "train/choose.h"
#include "train/ckpt.h"
#include "train/metrics.h"
#include "train/state.h"

#define DIR "build/tmp-best"

/* A run's evaluations after steps 1, 2, ...; '*' where it must be the best so far. */
static void check_evals(struct ax_best *b, const double *metric, const char *want)
{
	for (int i = 0; want[i]; i++)
		if (ax_best_eval(b, i + 1, metric[i]) != (want[i] == '*'))
			fail_msg("evaluation %d of %g: must %sbe the best", i + 1, metric[i], want[i] == '*' ? "" : "not ");
}

static void test_evaluations(void **state)
{
	static const double loss[] = {5, 6, 4.5, 4.5, NAN, -INFINITY, 4.25};
	static const double first_bad[] = {NAN, INFINITY, 3};
	struct ax_best b;

	ax_best_init(&b, false);
	check_evals(&b, loss, "*-*---*"); /* an equal one is not better, one that is not finite never */
	assert_int_equal(b.step, 7);
	assert_int_equal(b.worse, 0);
	ax_best_init(&b, true);
	check_evals(&b, loss, "**-----");
	assert_true(b.step == 2 && b.metric == 6 && b.worse == 5);
	ax_best_init(&b, false);
	check_evals(&b, first_bad, "--*");
}

static void test_patience(void **state)
{
	static const double loss[] = {5, 6, 4, 4.1, 4.2, 4.3};
	struct ax_best b;
	int at = 0;

	ax_best_init(&b, false);
	for (int i = 0; i < 6; i++) {
		ax_best_eval(&b, i + 1, loss[i]);
		if (!at && ax_best_exhausted(&b, 2))
			at = i + 1;
		assert_false(ax_best_exhausted(&b, 0));
	}
	assert_int_equal(at, 5); /* in a row: the one after step 2 does not count once step 3 was better */
	assert_true(ax_best_exhausted(&b, 3) && !ax_best_exhausted(&b, 4));
}

/* A better evaluation that was not saved does not make a checkpoint the best, nor does it keep a later one from it. */
static void test_checkpoints(void **state)
{
	struct ax_best b;

	ax_best_init(&b, false);
	ax_best_save(&b, 2, 5.0);
	assert_int_equal(b.ckpt, 2);
	ax_best_eval(&b, 3, 1.0);
	ax_best_save(&b, 4, 4.0);
	ax_best_save(&b, 6, 4.0);
	ax_best_save(&b, 8, NAN);
	assert_true(b.ckpt == 4 && b.ckpt_metric == 4.0 && b.step == 3);
}

static void check_prune(int keep, int64_t best, const char *want)
{
	int64_t step[] = {2, 4, 6, 8, 10};
	char got[64] = "";
	size_t n = ax_prune_choose(step, 5, keep, best);

	for (size_t i = 0; i < n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%d ", (int)step[i]);
	assert_string_equal(got, want);
}

static void test_prune(void **state)
{
	check_prune(0, -1, "");
	check_prune(5, 2, "");
	check_prune(3, -1, "2 4 ");
	check_prune(3, 2, "4 6 ");
	check_prune(3, 4, "2 6 ");
	check_prune(3, 10, "2 4 ");
	check_prune(3, 7, "2 4 "); /* no longer there */
	check_prune(1, 4, "2 6 8 ");
	check_prune(1, 10, "2 4 6 8 ");
	assert_int_equal(ax_prune_choose(NULL, 0, 1, 3), 0);
}

static struct ax_state a_state(void)
{
	struct ax_state s = {.step = 8, .total_steps = 20, .consumed = 32, .global_batch = 4, .seed = 42, .n_pack = 14,
			     .tracked = true, .end_with_best = true};

	s.best = (struct ax_best){.greater = false, .step = 7, .metric = 0.1 + 0.2, .ckpt = 6, .ckpt_metric = 1.0 / 3, .worse = 1};
	return s;
}

static void write_state(struct ax_arena *a, const struct ax_state *s, const char *dir, struct ax_buf *b)
{
	ax_json_write(b, ax_state_val(a, s, dir, NULL), AX_JSON_INDENT2);
	assert_false(b->oom);
}

static int parse(struct ax_arena *a, const char *text, struct ax_state *s)
{
	struct ax_err e = {0};
	struct ax_val *v;

	assert_int_equal(ax_json_parse(a, text, strlen(text), &v, &e), 0);
	return ax_state_parse(s, v, &e);
}

static void test_state(void **state)
{
	static const char *const damage[][2] = {
		{"out/checkpoint-6\"", "out/checkpoint-\""}, {"out/checkpoint-6\"", "out/checkpoint-6x\""},
		{"out/checkpoint-6\"", "out/6\""}, {"out/checkpoint-6\"", "out/checkpoint-9\""},
		{"out/checkpoint-6\"", "out/checkpoint-99999999999999999999\""}, {"\"best_metric\": 0", "\"best_metric\": \"\", \"x\": 0"},
		{"\"best_global_step\": 7", "\"best_global_step\": 70"}, {"\"best_global_step\": 7", "\"best_global_step\": -7"},
		{"\"early_stopping_patience_counter\": 1", "\"early_stopping_patience_counter\": -1"},
		{"\"greater_is_better\": false", "\"greater_is_better\": 0"}, {"\"best_checkpoint_metric\"", "\"other\""},
	};
	struct ax_state s = a_state(), r;
	struct ax_buf b = AX_BUF_INIT;
	struct ax_arena a;

	ax_arena_init(&a, 0);
	write_state(&a, &s, "some/out", &b);
	assert_non_null(strstr(b.p, "\"best_model_checkpoint\": \"some/out/checkpoint-6\""));
	assert_int_equal(parse(&a, b.p, &r), 0);
	assert_true(r.tracked && r.end_with_best);
	assert_true(!r.best.greater && r.best.step == 7 && r.best.ckpt == 6 && r.best.worse == 1);
	assert_true(r.best.metric == s.best.metric && r.best.ckpt_metric == s.best.ckpt_metric); /* to the last bit */
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		struct ax_buf bad = AX_BUF_INIT;
		const char *at = strstr(b.p, damage[i][0]);

		assert_non_null(at);
		ax_buf_add(&bad, b.p, (size_t)(at - b.p));
		ax_buf_adds(&bad, damage[i][1]);
		ax_buf_adds(&bad, at + strlen(damage[i][0]));
		if (parse(&a, bad.p, &r) != AX_EDATA)
			fail_msg("%s is taken", damage[i][1]);
		ax_buf_release(&bad);
	}
	ax_buf_release(&b);
	s.tracked = false;
	write_state(&a, &s, "some/out", &b);
	assert_null(strstr(b.p, "best"));
	assert_int_equal(parse(&a, b.p, &r), 0);
	assert_true(!r.tracked && r.best.step == -1 && r.best.ckpt == -1);
	ax_buf_release(&b);
	ax_arena_release(&a);
}

static void put(const char *path, const char *text)
{
	struct ax_err e = {0};

	if (ax_write_file(path, text, strlen(text), &e))
		fail_msg("%s", e.msg);
}

/* Folders that look like checkpoints, with the state of a run that wrote them. */
static void make_run(struct ax_state *s, const int *step, size_t n)
{
	struct ax_arena a;
	char path[256];

	ax_remove_tree(DIR, NULL);
	ax_arena_init(&a, 0);
	for (size_t i = 0; i < n; i++) {
		struct ax_buf b = AX_BUF_INIT;

		snprintf(path, sizeof(path), DIR "/checkpoint-%d", step[i]);
		assert_int_equal(ax_mkdirs(path, NULL), 0);
		snprintf(path, sizeof(path), DIR "/checkpoint-%d/manifest.json", step[i]);
		put(path, "{}");
		s->step = step[i];
		write_state(&a, s, "elsewhere/out", &b);
		snprintf(path, sizeof(path), DIR "/checkpoint-%d/trainer_state.json", step[i]);
		put(path, b.p);
		ax_buf_release(&b);
	}
	put(DIR "/metrics.jsonl", "{\"step\": 4, \"eval_loss\": 3.5}\n{\"step\": 5, \"eval_loss\": 0.5}\n"
				  "{\"step\": 6, \"eval_loss\": 2.5}\n{\"step\": 8, \"eval_loss\": 3.0}\n");
	ax_arena_release(&a);
}

static void check_choice(bool best, int64_t step, bool is_best, double metric)
{
	struct ax_choice c;
	struct ax_err e = {0};

	if (ax_choose_checkpoint(DIR, best, &c, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(c.step, step);
	assert_int_equal(c.is_best, is_best);
	assert_true(!is_best || c.metric == metric);
}

static void test_choose(void **state)
{
	static const int steps[] = {4, 6, 8};
	struct ax_state s = a_state();
	struct ax_choice c;
	struct ax_err e = {0};

	make_run(&s, steps, 3);
	check_choice(true, 6, true, 1.0 / 3); /* from the state, though it was written elsewhere */
	check_choice(false, 6, true, 1.0 / 3); /* load_best_model_at_end */
	s.best.ckpt = 2; /* removed since */
	make_run(&s, steps, 3);
	check_choice(true, 6, true, 2.5);
	s.best.greater = true;
	make_run(&s, steps, 3);
	check_choice(true, 4, true, 3.5);
	s = a_state();
	s.end_with_best = false;
	make_run(&s, steps, 3);
	check_choice(false, 8, false, 0);
	check_choice(true, 6, true, 1.0 / 3);
	s.tracked = false;
	make_run(&s, steps, 3);
	check_choice(true, 6, true, 2.5);
	check_choice(false, 8, false, 0);
	put(DIR "/metrics.jsonl", "");
	assert_int_equal(ax_choose_checkpoint(DIR, true, &c, &e), AX_EDATA);
	s = a_state();
	s.best.ckpt = -1; /* it wants the best, and has none: the newest */
	make_run(&s, steps, 3);
	put(DIR "/metrics.jsonl", "");
	check_choice(false, 8, false, 0);
	put(DIR "/checkpoint-8/trainer_state.json", "{");
	check_choice(false, 8, false, 0); /* which opening it will explain */
	ax_remove_tree(DIR, NULL);
	assert_int_equal(ax_mkdirs(DIR, NULL), 0);
	check_choice(true, -1, false, 0);
}

static int clean(void **state)
{
	return ax_remove_tree(DIR, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evaluations), cmocka_unit_test(test_patience), cmocka_unit_test(test_checkpoints),
		cmocka_unit_test(test_prune), cmocka_unit_test(test_state), cmocka_unit_test(test_choose),
	};

	ax_log_set_level(AX_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, clean);
}
