#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "optim/adamw.h"
#include "optim/schedule.h"
#include "text/json.h"

static void apply_args(struct ax_sched_opt *o, const struct ax_val *args)
{
	struct ax_arena a;

	ax_arena_init(&a, 0);
	for (size_t k = 0; args && k < args->n; k++) {
		const struct ax_val *v = args->u.pair[k].val;
		int rc = v->type == AX_STR ? ax_sched_set_str(o, args->u.pair[k].key, ax_val_cstr(&a, v, ""), NULL) : ax_sched_set(o, args->u.pair[k].key, ax_val_num_or(v, 0), NULL);

		assert_int_equal(rc, 0);
	}
	ax_arena_release(&a);
}

static double number_or(const struct ax_val *c, const char *key, double dflt)
{
	return ax_val_num_or(ax_val_get(c, key), dflt);
}

/* Every step of every schedule is what transformers, torch and Axolotl's formulas give. */
static void test_schedules(void **state)
{
	struct ax_arena a;
	struct ax_val *all;
	struct ax_err e = { 0 };

	ax_arena_init(&a, 0);
	assert_int_equal(ax_json_file(&a, "tests/golden/optim/schedules.json", (size_t)1 << 20, &all, &e), 0);
	assert_true(ax_val_len(all) >= 26);
	for (size_t i = 0; i < ax_val_len(all); i++) {
		const struct ax_val *c = ax_val_at(all, i), *rate = ax_val_get(c, "rate");
		struct ax_sched_opt o;
		struct ax_sched s;

		ax_sched_opt_init(&o);
		o.name = ax_val_cstr(&a, ax_val_get(c, "name"), "");
		o.total = ax_val_int_or(ax_val_get(c, "total"), 0);
		o.warmup_steps = ax_val_int_or(ax_val_get(c, "warmup"), 0);
		o.lr = number_or(c, "lr", 0);
		o.cosine_min_lr_ratio = number_or(c, "cosine_min_lr_ratio", -1);
		o.cosine_constant_lr_ratio = number_or(c, "cosine_constant_lr_ratio", -1);
		o.lr_quadratic_warmup = ax_val_bool_or(ax_val_get(c, "lr_quadratic_warmup"), false);
		apply_args(&o, ax_val_get(c, "args"));
		if (ax_sched_init(&s, &o, &e))
			fail_msg("%s", e.msg);
		for (size_t t = 0; t < ax_val_len(rate); t++) {
			double want = ax_val_num_or(ax_val_at(rate, t), -1), got = ax_sched_lr(&s, (int64_t)t);

			if (!(fabs(want - got) <= 1e-13 * s.lr))
				fail_msg("case %zu (%s), step %zu: %.17g, not %.17g", i, o.name, t, got, want);
		}
	}
	ax_arena_release(&a);
}

static int64_t warmup(int64_t steps, double ratio, int64_t total)
{
	struct ax_sched_opt o;

	ax_sched_opt_init(&o);
	o.warmup_steps = steps;
	o.warmup_ratio = ratio;
	o.total = total;
	return ax_sched_warmup(&o);
}

static void test_warmup(void **state)
{
	assert_int_equal(warmup(-1, -1, 20), 0);
	assert_int_equal(warmup(-1, -1, 40), 2); /* int(1.2) = 1 becomes 2 */
	assert_int_equal(warmup(-1, -1, 200), 6);
	assert_int_equal(warmup(-1, -1, 100000), 100);
	assert_int_equal(warmup(-1, 0.1, 25), 2);
	assert_int_equal(warmup(-1, 0, 25), 0);
	assert_int_equal(warmup(1, -1, 25), 2);
	assert_int_equal(warmup(0, -1, 25), 0);
	assert_int_equal(warmup(7, 0.5, 25), 7);
}

static void expect_refused(void (*change)(struct ax_sched_opt *), const char *part)
{
	struct ax_sched_opt o;
	struct ax_sched s;
	struct ax_err e = { 0 };

	ax_sched_opt_init(&o);
	o.lr = 1e-3;
	o.total = 10;
	change(&o);
	assert_int_equal(ax_sched_init(&s, &o, &e), AX_EUSAGE);
	if (!strstr(e.msg, part))
		fail_msg("%s", e.msg);
}

static void unknown_name(struct ax_sched_opt *o)
{
	o->name = "reduce_lr_on_plateau";
}

static void bad_ratio(struct ax_sched_opt *o)
{
	o->cosine_min_lr_ratio = 2;
}

static void no_decay_steps(struct ax_sched_opt *o)
{
	o->name = "warmup_stable_decay";
}

static void no_total(struct ax_sched_opt *o)
{
	o->total = 0;
}

static void nan_lr(struct ax_sched_opt *o)
{
	o->lr = (double)NAN;
}

static void test_refused(void **state)
{
	struct ax_sched_opt o;
	struct ax_err e = { 0 };

	expect_refused(unknown_name, "reduce_lr_on_plateau is not supported; known: cosine, linear");
	expect_refused(bad_ratio, "cosine_min_lr_ratio 2");
	expect_refused(no_decay_steps, "num_decay_steps");
	expect_refused(no_total, "0 steps");
	expect_refused(nan_lr, "learning_rate");
	ax_sched_opt_init(&o);
	assert_int_equal(ax_sched_set(&o, "nonsense", 1, &e), AX_EUSAGE);
	assert_int_equal(ax_sched_set(&o, "power", (double)INFINITY, &e), AX_EUSAGE);
	assert_int_equal(ax_sched_set_str(&o, "decay_type", "square", &e), AX_EUSAGE);
}

static void test_adamw(void **state)
{
	struct ax_adamw_opt o;
	struct ax_adamw h;
	struct ax_err e = { 0 };

	ax_adamw_opt_init(&o);
	o.weight_decay = 0.1;
	ax_adamw_step(&o, 1e-3, 1, true, 0.5, 0.25, &h);
	assert_true(h.lr == 5e-4f && h.weight_decay == 0.1f && h.bias1 == 0.1f && h.bias2 == 0.001f && h.rest1 == 0.1f && h.rest2 == 0.001f && h.grad_scale == 0.25f);
	ax_adamw_step(&o, 1e-3, 1000000, false, 1, 1, &h);
	assert_true(h.weight_decay == 0 && h.bias1 == 1 && h.bias2 == 1);
	assert_int_equal(ax_adamw_opt_check(&o, &e), 0);
	o.beta2 = 1;
	assert_int_equal(ax_adamw_opt_check(&o, &e), AX_EUSAGE);
	assert_true(strstr(e.msg, "adam_beta2") != NULL);
}

static void test_clip(void **state)
{
	assert_true(ax_clip_factor(0.5, 1) == 1);
	assert_true(ax_clip_factor(2, 1) == 1 / (2 + 1e-6));
	assert_true(ax_clip_factor(2, 0) == 1);
	assert_true(isnan(ax_clip_factor((double)NAN, 1)));
	assert_true(ax_clip_factor((double)INFINITY, 1) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schedules), cmocka_unit_test(test_warmup), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_adamw),     cmocka_unit_test(test_clip),
	};

	return cmocka_run_group_tests_name("optim", tests, NULL, NULL);
}
