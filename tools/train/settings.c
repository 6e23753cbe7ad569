/* Settings of ax-train: Axolotl keys and own options -> struct ax_train_opt. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tool.h"

static const struct ax_opt options[] = {
	{"global-batch", 0, AX_OPT_INT, "N", NULL, "packs in one optimizer step, whatever the number of ranks"},
	{"device", 0, AX_OPT_STR, "DEVICE", "auto", "auto (a GPU where there is one), cpu or cuda"},
	{"deterministic", 0, AX_OPT_FLAG, NULL, NULL, "on a GPU: the same run gives the same bits, at some speed; on the CPU it always does"},
	{"strategy", 0, AX_OPT_STR, "NAME", NULL, "ddp or fsdp; default: from fsdp_config and deepspeed"},
	{"moments", 0, AX_OPT_STR, "TYPE", "f32", "AdamW's moments in f32, bf16 or 8bit, rounded stochastically"},
	{"masters", 0, AX_OPT_STR, "TYPE", "f32", "f32: weights are updated in f32 and copied; none: bf16 is all there is, rounded stochastically"},
	{"gradients", 0, AX_OPT_STR, "TYPE", "f32", "sums of gradients in f32 or bf16, in memory and between ranks"},
	{"recompute", 0, AX_OPT_STR, "MODE", NULL, "none, selective or full; default: from gradient_checkpointing"},
	{"overwrite", 0, AX_OPT_FLAG, NULL, NULL, "start afresh in an output_dir that holds checkpoints, removing them (those after the one to resume from)"},
	{"on-nonfinite", 0, AX_OPT_STR, "WHAT", "stop", "stop or skip a step whose loss or gradient is not finite"},
	{"eval-only", 0, AX_OPT_FLAG, NULL, NULL, "evaluate and print the loss; no training"},
	{"model", 0, AX_OPT_STR, "DIR", NULL, "model folder or checkpoint to evaluate; default: base_model"},
	{"plan", 0, AX_OPT_FLAG, NULL, NULL, "print steps, memory and disk of the run, and exit; without SHARDS all but the steps"},
	{"ranks", 0, AX_OPT_INT, "N", NULL, "with --plan: plan for N ranks"},
	{"device-memory", 0, AX_OPT_SIZE, "SIZE", NULL, "with --plan: exit 5 if a rank needs more than SIZE"},
	{"standalone", 0, AX_OPT_FLAG, NULL, NULL, "one rank, even if a launcher announces more"},
	{"hang-timeout", 0, AX_OPT_NUM, "SECONDS", "100", "a collective without progress for so long ends the job"},
};

const struct ax_tool_spec tool_spec = {
	.name = "ax-train",
	.tool = AX_TOOL_TRAIN,
	.summary = "fine-tune a model on a shard folder",
	.synopsis = "[options] SHARDS",
	.example = {"ax-train -c run.yaml shards/                    # on this machine, one rank",
		    "mpirun -n 8 ax-train -c run.yaml shards/        # eight ranks"},
	.opt = options,
	.n_opt = sizeof(options) / sizeof(options[0]),
};

/* A key that is unset keeps the engine's default. */
static void num(struct tool *t, const char *key, double *out)
{
	if (ax_conf_get(&t->conf, key))
		*out = ax_conf_num(&t->conf, key);
}

static bool is_true(struct tool *t, const char *key)
{
	const struct ax_val *v = ax_conf_get(&t->conf, key);

	return v && ((v->type == AX_BOOL && v->u.b) || ax_val_is(v, "true"));
}

int tool_dtype(struct tool *t, enum ax_dtype *act, enum ax_dtype *grad, struct ax_err *e)
{
	const char *gradients = ax_conf_opt_str(&t->conf, "gradients");
	const struct ax_val *bf16 = ax_conf_get(&t->conf, "bf16");
	bool off = bf16 && bf16->type == AX_BOOL && !bf16->u.b;

	if (is_true(t, "fp16") || is_true(t, "float16"))
		return ax_fail(e, AX_EUSAGE, "fp16: training in float16 is not supported; use bf16: true, or bf16: false for float32");
	*act = is_true(t, "float32") || (off && !is_true(t, "bfloat16")) ? AX_F32 : AX_BF16;
	*grad = gradients && !strcmp(gradients, "bf16") ? AX_BF16 : AX_F32;
	if (*grad == AX_F32 && gradients && strcmp(gradients, "f32"))
		return ax_fail(e, AX_EUSAGE, "--gradients %s: f32 or bf16", gradients);
	if (*grad == AX_BF16 && *act == AX_F32)
		return ax_fail(e, AX_EUSAGE, "--gradients bf16 goes with bf16; with bf16: false products are computed in f32, and so are gradients");
	return 0;
}

/* batch_size is Axolotl's: packs a step of one rank; it sets the accumulation. */
static int batch(struct tool *t, struct ax_err *e)
{
	struct ax_train_opt *o = &t->opt;
	int64_t g = ax_conf_opt_int(&t->conf, "global-batch", 0), size;

	o->micro_batch = (int)ax_conf_int(&t->conf, "micro_batch_size");
	o->grad_accum = (int)ax_conf_int(&t->conf, "gradient_accumulation_steps");
	if (ax_conf_is_set(&t->conf, "batch_size")) {
		size = ax_conf_int(&t->conf, "batch_size");
		if (size < o->micro_batch || size % o->micro_batch)
			return ax_fail(e, AX_EUSAGE, "batch_size %lld is not a multiple of micro_batch_size %d", (long long)size,
				       o->micro_batch);
		o->grad_accum = (int)(size / o->micro_batch);
	}
	if (ax_conf_opt_given(&t->conf, "global-batch") && g < 1)
		return ax_fail(e, AX_EUSAGE, "--global-batch %lld: must be at least 1", (long long)g);
	o->global_batch = g;
	o->seed = (uint64_t)ax_conf_int(&t->conf, "seed");
	o->sequential = is_true(t, "curriculum_sampling");
	o->num_epochs = ax_conf_num(&t->conf, "num_epochs");
	o->max_steps = ax_conf_get(&t->conf, "max_steps") ? ax_conf_int(&t->conf, "max_steps") : 0;
	return 0;
}

/* A number, or a text that spells one: YAML 1.1 reads 1e-6 as a text. */
static bool as_number(struct tool *t, const struct ax_val *v, double *x)
{
	const char *s;
	char *end;

	if (v->type != AX_STR) {
		*x = ax_val_num_or(v, v->type == AX_BOOL ? v->u.b : (double)NAN);
		return true;
	}
	s = ax_val_cstr(&t->conf.arena, v, "");
	*x = strtod(s, &end);
	return end != s && !*end;
}

static int sched_kwargs(struct tool *t, struct ax_err *e)
{
	const struct ax_val *kw = ax_conf_get(&t->conf, "lr_scheduler_kwargs");
	double x;

	for (size_t i = 0; i < ax_val_len(kw); i++) {
		const struct ax_pair *p = &kw->u.pair[i];

		if (ax_val_is_null(p->val))
			continue;
		if (as_number(t, p->val, &x))
			AX_TRY(ax_sched_set(&t->opt.sched, p->key, x, e));
		else
			AX_TRY(ax_sched_set_str(&t->opt.sched, p->key, ax_val_cstr(&t->conf.arena, p->val, ""), e));
	}
	return 0;
}

static int schedule(struct tool *t, struct ax_err *e)
{
	struct ax_sched_opt *s = &t->opt.sched;
	double warm = -1;

	ax_sched_opt_init(s);
	s->name = ax_conf_str(&t->conf, "lr_scheduler");
	s->lr = ax_conf_num(&t->conf, "learning_rate");
	num(t, "warmup_ratio", &s->warmup_ratio);
	num(t, "warmup_steps", &warm);
	if (warm > 0 && warm < 1) /* some files write a ratio there */
		s->warmup_ratio = warm;
	else if (warm >= 0)
		s->warmup_steps = (int64_t)warm;
	num(t, "cosine_min_lr_ratio", &s->cosine_min_lr_ratio);
	num(t, "cosine_constant_lr_ratio", &s->cosine_constant_lr_ratio);
	num(t, "lr_div_factor", &s->lr_div_factor);
	s->lr_quadratic_warmup = is_true(t, "lr_quadratic_warmup");
	return sched_kwargs(t, e);
}

static int optim_arg(struct tool *t, const char *key, const struct ax_val *v, struct ax_err *e)
{
	static const char *const name[] = {"eps", "weight_decay", "beta1", "beta2"};
	struct ax_adamw_opt *a = &t->opt.adam;
	double *const out[] = {&a->eps, &a->weight_decay, &a->beta1, &a->beta2};

	if (!strcmp(key, "betas") && v->type == AX_LIST && v->n == 2) {
		AX_TRY(optim_arg(t, "beta1", ax_val_at(v, 0), e));
		return optim_arg(t, "beta2", ax_val_at(v, 1), e);
	}
	for (size_t i = 0; i < 4; i++) {
		if (strcmp(key, name[i]))
			continue;
		if (v->type == AX_BOOL || !as_number(t, v, out[i]) || !isfinite(*out[i]))
			return ax_fail(e, AX_EUSAGE, "optim_args: %s is not a number", key);
		return 0;
	}
	return ax_fail(e, AX_EUSAGE, "optim_args: %s is not supported; eps, weight_decay, beta1, beta2 and betas: [0.9, 0.95] are", key);
}

/* adam_beta1 and friends, then optim_args, which is a mapping by now. */
static int optimizer(struct tool *t, struct ax_err *e)
{
	struct ax_adamw_opt *a = &t->opt.adam;
	const struct ax_val *args = ax_conf_get(&t->conf, "optim_args");
	const char *name = ax_conf_str(&t->conf, "optimizer");

	ax_adamw_opt_init(a);
	if (name && !strstr(name, "adamw"))
		return ax_fail(e, AX_EUSAGE, "optimizer: %s is not supported; AdamW is (adamw_torch_fused)", name);
	num(t, "adam_beta1", &a->beta1);
	num(t, "adam_beta2", &a->beta2);
	num(t, "adam_epsilon", &a->eps);
	num(t, "weight_decay", &a->weight_decay);
	for (size_t i = 0; i < ax_val_len(args); i++)
		AX_TRY(optim_arg(t, args->u.pair[i].key, args->u.pair[i].val, e));
	t->opt.max_grad_norm = 1.0;
	num(t, "max_grad_norm", &t->opt.max_grad_norm);
	return ax_adamw_opt_check(a, e);
}

static void eval_policy(struct tool *t)
{
	struct ax_train_opt *o = &t->opt;
	const char *strategy = ax_conf_str(&t->conf, "eval_strategy");

	num(t, "eval_steps", &o->eval_steps);
	if (ax_conf_get(&t->conf, "evals_per_epoch"))
		o->evals_per_epoch = ax_conf_int(&t->conf, "evals_per_epoch");
	if (strategy && !strcmp(strategy, "epoch"))
		o->evals_per_epoch = 1;
	o->eval_end = true;
	o->eval_start = o->eval_steps > 0 || o->evals_per_epoch > 0;
	if (ax_conf_is_set(&t->conf, "eval_on_start"))
		o->eval_start = ax_conf_bool(&t->conf, "eval_on_start");
	if (strategy && !strcmp(strategy, "no")) {
		o->eval_steps = 0;
		o->evals_per_epoch = 0;
		o->eval_start = o->eval_end = false;
	}
}

static void save_policy(struct tool *t)
{
	struct ax_train_opt *o = &t->opt;
	const char *strategy = ax_conf_str(&t->conf, "save_strategy");

	num(t, "save_steps", &o->save_steps);
	if (ax_conf_get(&t->conf, "saves_per_epoch"))
		o->saves_per_epoch = ax_conf_int(&t->conf, "saves_per_epoch");
	o->save_best = strategy && !strcmp(strategy, "best");
	if (o->save_steps <= 0 && o->saves_per_epoch <= 0 && (!strategy || !strcmp(strategy, "epoch")))
		o->saves_per_epoch = 1;
	if (strategy && !strcmp(strategy, "no")) { /* the last step is saved all the same */
		o->save_steps = 0;
		o->saves_per_epoch = 0;
	}
	o->save_first_step = is_true(t, "save_first_step");
	o->save_only_model = is_true(t, "save_only_model");
	o->save_total_limit = ax_conf_get(&t->conf, "save_total_limit") ? (int)ax_conf_int(&t->conf, "save_total_limit") : 0;
	if (!o->save_total_limit)
		o->save_total_limit = 4;
}

/*
 * As transformers: a run that names the metric tracks it. Early stopping implies load_best_model_at_end, as in Axolotl,
 * where the model folder that the run leaves is then the best.
 */
static int best_policy(struct tool *t, struct ax_err *e)
{
	struct ax_train_opt *o = &t->opt;

	o->patience = ax_conf_get(&t->conf, "early_stopping_patience") ? ax_conf_int(&t->conf, "early_stopping_patience") : 0;
	o->end_with_best = is_true(t, "load_best_model_at_end") || o->patience > 0;
	o->track_best = o->save_best || o->end_with_best || ax_conf_get(&t->conf, "metric_for_best_model");
	o->greater_is_better = is_true(t, "greater_is_better");
	if (t->loader && (o->save_best || o->patience > 0) && !ax_loader_shards(t->loader)->n_pack[AX_SPLIT_EVAL])
		return ax_fail(e, AX_EUSAGE, "%s needs evaluations, but the shards hold no rows for them (val_set_size or test_datasets of ax-tokenize)",
			       o->save_best ? "save_strategy: best" : "early_stopping_patience");
	return 0;
}

/* DeepSpeed ZeRO stages 1 and 2 give the same result as FSDP, which is what runs. */
static enum ax_strategy strategy_of_keys(struct tool *t)
{
	const struct ax_val *ds = ax_conf_get(&t->conf, "deepspeed");
	int64_t stage = ax_val_int_or(ax_val_path(ds, "zero_optimization.stage"), 0);

	if (ax_val_len(ax_conf_get(&t->conf, "fsdp_config")) || ax_val_len(ax_conf_get(&t->conf, "fsdp")) || stage > 0 ||
	    (ds && ds->type == AX_STR && ds->n))
		return AX_FSDP;
	return AX_DDP;
}

static int parallel(struct tool *t, struct ax_err *e)
{
	const char *s = ax_conf_opt_str(&t->conf, "strategy"), *r = ax_conf_opt_str(&t->conf, "recompute");
	const struct ax_val *gc = ax_conf_get(&t->conf, "gradient_checkpointing");
	const struct ax_val *reshard = ax_conf_get(&t->conf, "fsdp_config.reshard_after_forward");
	struct ax_train_opt *o = &t->opt;

	o->strategy = strategy_of_keys(t);
	if (s && !strcmp(s, "ddp"))
		o->strategy = AX_DDP;
	else if (s && !strcmp(s, "fsdp"))
		o->strategy = AX_FSDP;
	else if (s)
		return ax_fail(e, AX_EUSAGE, "--strategy %s: ddp or fsdp", s);
	o->reshard_after_forward = !reshard || ax_val_bool_or(reshard, true);
	o->recompute = (gc && (gc->type == AX_STR || ax_val_bool_or(gc, false))) || is_true(t, "fsdp_config.activation_checkpointing")
			       ? AX_RECOMPUTE_FULL
			       : AX_RECOMPUTE_NONE;
	if (r && !strcmp(r, "none"))
		o->recompute = AX_RECOMPUTE_NONE;
	else if (r && !strcmp(r, "selective"))
		o->recompute = AX_RECOMPUTE_SELECTIVE;
	else if (r && !strcmp(r, "full"))
		o->recompute = AX_RECOMPUTE_FULL;
	else if (r)
		return ax_fail(e, AX_EUSAGE, "--recompute %s: none, selective or full", r);
	return 0;
}

/* What the optimizer keeps. The keys (adamw_8bit and the like) leave it at f32: conf/check.c says so. */
static int precision(struct tool *t, struct ax_err *e)
{
	const char *moments = ax_conf_opt_str(&t->conf, "moments"), *masters = ax_conf_opt_str(&t->conf, "masters");
	enum ax_dtype act, grad;

	if (moments && !strcmp(moments, "bf16"))
		t->opt.moments = AX_BF16;
	else if (moments && !strcmp(moments, "8bit"))
		t->opt.moments = AX_Q8;
	else if (moments && strcmp(moments, "f32"))
		return ax_fail(e, AX_EUSAGE, "--moments %s: f32, bf16 or 8bit", moments);
	AX_TRY(tool_dtype(t, &act, &grad, e));
	if (!masters || !strcmp(masters, "f32"))
		return 0;
	if (strcmp(masters, "none"))
		return ax_fail(e, AX_EUSAGE, "--masters %s: f32 or none", masters);
	if (act != AX_BF16)
		return ax_fail(e, AX_EUSAGE, "--masters none goes with bf16; with bf16: false the weights are f32 and have no masters beside them");
	t->opt.masters = AX_BF16;
	return 0;
}

int tool_settings(struct tool *t, struct ax_err *e)
{
	const char *nonfinite = ax_conf_opt_str(&t->conf, "on-nonfinite");

	AX_TRY(batch(t, e));
	AX_TRY(schedule(t, e));
	AX_TRY(optimizer(t, e));
	AX_TRY(parallel(t, e));
	AX_TRY(precision(t, e));
	save_policy(t);
	eval_policy(t);
	AX_TRY(best_policy(t, e));
	if (nonfinite && strcmp(nonfinite, "stop") && strcmp(nonfinite, "skip"))
		return ax_fail(e, AX_EUSAGE, "--on-nonfinite %s: stop or skip", nonfinite);
	t->opt.skip_nonfinite = nonfinite && !strcmp(nonfinite, "skip");
	t->opt.logging_steps = ax_conf_get(&t->conf, "logging_steps") ? ax_conf_int(&t->conf, "logging_steps") : 1;
	if (t->opt.logging_steps < 1)
		t->opt.logging_steps = 1;
	return 0;
}
