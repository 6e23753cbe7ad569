/* When to evaluate, save and stop: rules between keys, those that Axolotl and transformers check and those that follow. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "conf/inner.h"

/* The number that a source gave: not one that follows from another key; 0 is unset. */
static double given(const struct ax_conf *c, const char *key)
{
	return ax_conf_is_set(c, key) ? ax_val_num_or(ax_conf_get(c, key), 0) : 0;
}

static bool is_strategy(const struct ax_conf *c, const char *key, const char *what)
{
	return ax_val_is(ax_conf_get(c, key), what);
}

static int differ(const struct ax_conf *c, const char *strategy, const char *key, const char *fits, struct ax_err *e)
{
	const struct ax_val *v = ax_conf_get(c, strategy);
	char at[512];

	return ax_fail(e, AX_EUSAGE, "%s: %.*s and %s do not go together: take one of them out, or say %s",
		       ax_conf_where(c, strategy, at), (int)v->n, v->u.s, key, fits);
}

/* A strategy that says something else than the number beside it; but `no` turns off whatever stands beside. */
static int check_strategy(const struct ax_conf *c, struct ax_err *e)
{
	bool epoch = is_strategy(c, "save_strategy", "epoch"), best = is_strategy(c, "save_strategy", "best");

	if (given(c, "save_steps") > 0 && (epoch || best))
		return differ(c, "save_strategy", "save_steps", "steps", e);
	if (given(c, "saves_per_epoch") > 0 && best)
		return differ(c, "save_strategy", "saves_per_epoch", "steps", e);
	if (given(c, "eval_steps") > 0 && is_strategy(c, "eval_strategy", "epoch"))
		return differ(c, "eval_strategy", "eval_steps", "steps", e);
	if (given(c, "evals_per_epoch") > 0 && is_strategy(c, "eval_strategy", "epoch"))
		return differ(c, "eval_strategy", "evals_per_epoch", "steps", e);
	return 0;
}

static bool evaluates(const struct ax_conf *c)
{
	if (is_strategy(c, "eval_strategy", "no"))
		return false;
	return given(c, "eval_steps") > 0 || given(c, "evals_per_epoch") > 0 || is_strategy(c, "eval_strategy", "epoch");
}

/* Of numbers of steps, or of shares of the run; in millionths, as transformers compares shares. */
static bool is_multiple(double save, double eval)
{
	return (save < 1) == (eval < 1) && fmod(round(save * 1e6), round(eval * 1e6)) == 0;
}

/* Does an evaluation precede every save? */
static bool saves_are_evaluated(const struct ax_conf *c)
{
	double save = given(c, "save_steps"), eval = given(c, "eval_steps");
	double saves = given(c, "saves_per_epoch"), evals = given(c, "evals_per_epoch");

	if (is_strategy(c, "save_strategy", "best") || is_strategy(c, "save_strategy", "no"))
		return true;
	if (save > 0 || eval > 0)
		return save > 0 && eval > 0 && is_multiple(save, eval);
	return fmod(evals > 0 ? evals : 1, saves > 0 ? saves : 1) == 0;
}

static int check_metric(const struct ax_conf *c, struct ax_err *e)
{
	const struct ax_val *metric = ax_conf_get(c, "metric_for_best_model");
	bool best = is_strategy(c, "save_strategy", "best");
	char at[512];

	if (best && (!metric || !metric->n))
		return ax_fail(e, AX_EUSAGE, "%s: best needs a metric: metric_for_best_model: eval_loss",
			       ax_conf_where(c, "save_strategy", at));
	if (metric && metric->n && !ax_val_is(metric, "loss") && !ax_val_is(metric, "eval_loss"))
		return ax_fail(e, AX_EUSAGE, "%s: %.*s is not computed: an evaluation gives eval_loss",
			       ax_conf_where(c, "metric_for_best_model", at), (int)metric->n, metric->u.s);
	if (best && !evaluates(c))
		return ax_fail(e, AX_EUSAGE, "%s: best saves after evaluations, and none are asked for: set eval_steps, evals_per_epoch or eval_strategy: epoch",
			       ax_conf_where(c, "save_strategy", at));
	if (ax_val_bool_or(ax_conf_get(c, "greater_is_better"), false))
		ax_warn("%s: the highest loss counts as the best", ax_conf_where(c, "greater_is_better", at));
	return 0;
}

int ax_conf_check_save(const struct ax_conf *c, struct ax_err *e)
{
	bool load = ax_val_bool_or(ax_conf_get(c, "load_best_model_at_end"), false);
	double patience = given(c, "early_stopping_patience"), save = given(c, "save_steps"), eval = given(c, "eval_steps");
	char at[512];

	AX_TRY(check_strategy(c, e));
	AX_TRY(check_metric(c, e));
	if (patience > 0 && !evaluates(c))
		return ax_fail(e, AX_EUSAGE, "%s counts evaluations, and none are asked for: set eval_steps, evals_per_epoch or eval_strategy: epoch",
			       ax_conf_where(c, "early_stopping_patience", at));
	if (patience > 0 && save > 0 && eval > 0 && !is_multiple(save, eval))
		return ax_fail(e, AX_EUSAGE, "%s: save_steps %g is not a multiple of eval_steps %g: the best step would not be saved",
			       ax_conf_where(c, "early_stopping_patience", at), save, eval);
	if (load && !evaluates(c))
		ax_warn("%s: no evaluations are asked for, so that the last checkpoint is the best",
			ax_conf_where(c, "load_best_model_at_end", at));
	else if (load && !saves_are_evaluated(c))
		ax_warn("%s: not every save follows an evaluation, and only those that do can be the best",
			ax_conf_where(c, "load_best_model_at_end", at));
	return 0;
}
