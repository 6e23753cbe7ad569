#include "train/train.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/resource.h>

#include "base/io.h"
#include "base/mem.h"
#include "train/train_impl.h"

static int use_split(struct ax_train *t, int split, struct ax_err *e)
{
	struct ax_order o = t->order;

	if (split == AX_SPLIT_EVAL) {
		o.sequential = true;
		o.global_batch = (uint64_t)t->opt.micro_batch * (uint64_t)t->env.comm->n_rank;
	}
	return ax_loader_set(t->env.loader, split, &o, (uint32_t)t->env.comm->rank, (uint32_t)t->env.comm->n_rank,
			     (uint32_t)t->opt.micro_batch, e);
}

static int eval_batches(struct ax_train *t, double *loss, uint64_t *trained, struct ax_err *e)
{
	struct ax_loader_step st;

	for (uint64_t consumed = 0; consumed < t->plan.n_eval; consumed += st.batch.n) {
		AX_TRY(ax_loader_step(t->env.loader, consumed, &st, e));
		for (uint32_t k = 0; k < st.n_micro; k++) {
			struct ax_micro m;

			AX_TRY(ax_microbuf_fill(&t->micro, t->env.loader, k, &m, e));
			AX_TRY(ax_model_eval(t->model, &m, &t->hooks, NULL, NULL, e));
		}
		*trained += st.trained;
	}
	return ax_model_loss(t->model, loss, e);
}

int ax_train_eval(struct ax_train *t, double *loss, uint64_t *trained, struct ax_err *e)
{
	double sum = 0, start = ax_now();
	uint64_t n = 0;

	if (!t->plan.n_eval)
		return ax_fail(e, AX_EUSAGE, "the shards hold no rows for evaluation (val_set_size or test_datasets of ax-tokenize)");
	AX_TRY(use_split(t, AX_SPLIT_EVAL, e));
	AX_TRY(eval_batches(t, &sum, &n, e));
	AX_TRY(use_split(t, AX_SPLIT_TRAIN, e));
	t->env.comm->what = "sum the evaluation loss";
	AX_TRY(ax_comm_sum_f64(t->env.comm, &sum, 1, e));
	*loss = n ? sum / (double)n : 0;
	t->recent_eval = *loss;
	if (trained)
		*trained = n;
	ax_progress_done(&t->progress);
	ax_info("step %" PRId64 ": eval_loss %.6f over %" PRIu64 " tokens in %.1f s", t->state.step, *loss, n, ax_now() - start);
	return 0;
}

static int init_schedule(struct ax_train *t, struct ax_err *e)
{
	struct ax_sched_opt o = t->opt.sched;

	if (!t->plan.n_pack)
		return 0;
	o.total = t->plan.total_steps;
	AX_TRY(ax_sched_init(&t->sched, &o, e));
	t->eval = ax_cadence_from_steps(t->opt.eval_steps, t->plan.total_steps);
	if (t->opt.evals_per_epoch > 0)
		t->eval = (struct ax_cadence){AX_CADENCE_PER_EPOCH, t->opt.evals_per_epoch};
	t->save = ax_cadence_from_steps(t->opt.save_steps, t->plan.total_steps);
	if (t->opt.saves_per_epoch > 0)
		t->save = (struct ax_cadence){AX_CADENCE_PER_EPOCH, t->opt.saves_per_epoch};
	return 0;
}

static void init_state(struct ax_train *t)
{
	const struct ax_shards *sh = ax_loader_shards(t->env.loader);

	t->state = (struct ax_state){.total_steps = t->plan.total_steps, .global_batch = (uint64_t)t->plan.global_batch,
				     .seed = t->opt.seed, .data = sh->totals.sum, .n_pack = t->plan.n_pack,
				     .tracked = t->opt.track_best, .end_with_best = t->opt.end_with_best};
	ax_best_init(&t->state.best, t->opt.greater_is_better);
}

#define CONTEXT_SAMPLE 4096 /* packs looked at */

/* Mean length of the document that a token finds itself in, over the first packs: sum of squared lengths / tokens. */
static int mean_context(struct ax_shards *sh, double *mean, struct ax_err *e)
{
	double cost = 0, tokens = 0;

	for (int split = 0; split < AX_N_SPLIT; split++)
		for (uint64_t i = 0; i < sh->n_pack[split] && i < CONTEXT_SAMPLE; i++) {
			struct ax_shard_entry x;

			AX_TRY(ax_shards_entry(sh, split, i, &x, e));
			cost += (double)x.cost;
			tokens += (double)x.tokens;
		}
	*mean = tokens > 0 ? cost / tokens : 0;
	return 0;
}

static int open_parts(struct ax_train *t, struct ax_err *e)
{
	struct ax_dist_opt d = ax_train_dist_opt(&t->env, &t->opt);
	struct ax_shards *sh = ax_loader_shards(t->env.loader);
	int sequence_len = (int)sh->sequence_len;
	struct ax_model_opt m = {.n_token = t->plan.n_token, .max_seg = t->plan.max_seg, .max_pos = sequence_len,
				 .recompute = t->opt.recompute, .train = t->env.outdir != NULL};
	double context;

	AX_TRY(mean_context(sh, &context, e));
	AX_TRY(ax_dist_open(&t->dist, t->env.comm, t->env.wire, t->env.dev, t->env.units, &d, e));
	t->hooks = ax_dist_hooks(t->dist);
	AX_TRY(ax_model_open(&t->model, t->env.dev, t->env.desc, t->env.units, &m, e));
	AX_TRY(ax_microbuf_init(&t->micro, t->opt.micro_batch, sequence_len, t->plan.max_seg, e));
	t->flops_causal = ax_model_flops(t->env.desc, t->env.units, context, true);
	t->flops_full = ax_model_flops(t->env.desc, t->env.units, context, false);
	return 0;
}

/* Steps, batch and order follow from the stored global batch and seed when a run is resumed. */
static int adopt_state(struct ax_train *t, struct ax_err *e)
{
	int64_t batch = t->plan.global_batch;

	if (batch != (int64_t)t->state.global_batch)
		ax_info("global batch %" PRIu64 " goes on as it began; the settings give %" PRId64 " packs now",
			t->state.global_batch, batch);
	t->opt.global_batch = (int64_t)t->state.global_batch;
	t->opt.seed = t->state.seed;
	AX_TRY(ax_train_plan(&t->env, &t->opt, t->env.comm->n_rank, &t->plan, e));
	t->state.total_steps = t->plan.total_steps;
	return 0;
}

static int start(struct ax_train *t, struct ax_err *e)
{
	const char *resume = t->env.outdir && t->env.outdir->resume[0] ? t->env.outdir->resume : NULL;

	AX_TRY(open_parts(t, e));
	init_state(t);
	if (resume) {
		AX_TRY(ax_train_resume(t, resume, e));
		AX_TRY(adopt_state(t, e));
		ax_info("resumed from %s: step %" PRId64 ", %" PRIu64 " packs consumed", resume, t->state.step,
			t->state.consumed);
	} else {
		t->env.comm->what = "load the weights";
		AX_TRY(ax_comm_agree(t->env.comm, ax_dist_load(t->dist, AX_PART_MASTER, t->env.source, t->env.source_ctx, e), e));
	}
	if (t->env.dev->tuning) /* what rank 0 knows from its cache and the checkpoint */
		AX_TRY(ax_train_tuning_share(t, e));
	AX_TRY(init_schedule(t, e));
	t->order = (struct ax_order){.seed = t->state.seed, .n_pack = t->plan.n_pack,
				     .global_batch = t->state.global_batch, .sequential = t->opt.sequential};
	if (t->env.outdir && t->env.comm->rank == 0)
		AX_TRY(ax_metrics_open(&t->metrics, t->env.outdir->path, resume ? t->state.step : -1, e));
	t->first_step = t->state.step;
	return use_split(t, AX_SPLIT_TRAIN, e);
}

int ax_train_open(struct ax_train **out, const struct ax_train_env *env, const struct ax_train_opt *o, struct ax_err *e)
{
	struct ax_train *t = ax_calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return ax_fail(e, AX_EMEM, "out of memory");
	t->env = *env;
	t->opt = *o;
	t->metrics.fd = -1;
	t->recent_loss = t->recent_eval = NAN;
	ax_progress_init(&t->progress, 1.0);
	rc = ax_train_plan(env, o, env->comm->n_rank, &t->plan, e);
	if (!rc && env->outdir && !t->plan.n_pack)
		rc = ax_fail(e, AX_EDATA, "%s holds no packs to train on", ax_loader_shards(env->loader)->dir);
	if (!rc)
		rc = start(t, e);
	if (rc) {
		ax_train_close(t);
		return rc;
	}
	*out = t;
	return 0;
}

static void note_device_memory(struct ax_train *t)
{
	size_t now = t->env.dev->used ? t->env.dev->used(t->env.dev) : 0;

	t->device_bytes = now > t->device_bytes ? now : t->device_bytes;
}

/* The most so far, of the memory that the plan is about. */
static double memory_gib(const struct ax_train *t)
{
	struct rusage u;

	if (t->env.dev->used)
		return (double)t->device_bytes / (1 << 30);
	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_maxrss / (1 << 20);
}

static double mfu(const struct ax_train *t, double flops, double tokens_per_second)
{
	return t->peak_flops > 0 ? flops * tokens_per_second / t->peak_flops : 0;
}

static void print_progress(struct ax_train *t, const struct ax_step_result *r, double rate)
{
	int64_t left = t->plan.total_steps - t->state.step;
	double eta = t->busy_s / (double)(t->state.step - t->first_step) * (double)left;
	bool last = left == 0;

	if (t->state.step % t->opt.logging_steps && !last)
		return;
	if (!ax_progress_due(&t->progress) && !last)
		return;
	note_device_memory(t);
	ax_progress_print(&t->progress,
			  "step %" PRId64 "/%" PRId64 " epoch %.2f loss %.4f grad %.3f lr %.3g | %.0f tok/s mfu %.1f%% (unmasked %.1f%%) "
			  "mem %.2f GiB comm %.0f%% eta %d:%02d:%02d",
			  t->state.step, t->plan.total_steps, r->epoch, r->loss, r->grad_norm, r->lr, rate,
			  100 * mfu(t, t->flops_causal, rate), 100 * mfu(t, t->flops_full, rate), memory_gib(t),
			  t->busy_s > 0 ? 100 * t->wait_s / t->busy_s : 0, (int)(eta / 3600), (int)(eta / 60) % 60,
			  (int)eta % 60);
}

static int record(struct ax_train *t, const struct ax_step_result *r, const double *eval, struct ax_err *e)
{
	struct ax_metrics_row row = {.step = t->state.step, .has_train = r != NULL, .has_eval = eval != NULL};

	if (t->env.comm->rank)
		return 0;
	if (r) {
		double rate = r->seconds > 0 ? (double)r->tokens / r->seconds : 0;

		row.epoch = r->epoch;
		row.loss = r->loss;
		row.grad_norm = r->grad_norm;
		row.learning_rate = r->lr;
		row.trained_tokens = r->trained;
		row.tokens_per_second = rate;
		row.mfu = mfu(t, t->flops_causal, rate);
		print_progress(t, r, rate);
	}
	if (eval)
		row.eval_loss = *eval;
	return ax_metrics_write(&t->metrics, &row, e);
}

/*
 * What follows a step: evaluation, the metrics line, a checkpoint, which is complete before the next update; at the end of
 * the run at once.
 */
static int after_step(struct ax_train *t, const struct ax_step_result *r, struct ax_err *e)
{
	bool last = t->state.step >= t->plan.total_steps;
	bool eval = t->plan.n_eval && (ax_cadence_due(&t->eval, t->state.step, t->plan.steps_per_epoch) ||
				       (last && t->opt.eval_end));
	bool save = r->want_save || ax_cadence_due(&t->save, t->state.step, t->plan.steps_per_epoch) ||
		    (t->opt.save_first_step && t->state.step == 1);
	bool end;
	double loss;

	if (eval)
		AX_TRY(ax_train_eval(t, &loss, NULL, e));
	AX_TRY(ax_comm_agree(t->env.comm, record(t, r, eval ? &loss : NULL, e), e));
	if (eval && ax_train_take_eval(t, loss))
		save = true;
	end = r->want_stop || ax_train_complete(t, &t->state);
	if (eval && t->state.tracked && (save || end))
		ax_best_save(&t->state.best, t->state.step, loss);
	if (save || end)
		AX_TRY(ax_train_save(t, e));
	return end ? ax_train_save_finish(t, e) : 0;
}

static int measure_peak(struct ax_train *t, struct ax_err *e)
{
	t->peak_flops = ax_probe_peak(t->env.dev);
	t->env.comm->what = "sum the peak";
	return ax_comm_sum_f64(t->env.comm, &t->peak_flops, 1, e);
}

static int run_steps(struct ax_train *t, struct ax_err *e)
{
	struct ax_step_result r = {0};
	double loss;

	if (ax_train_complete(t, &t->state)) {
		ax_info("complete: %" PRId64 " of %" PRId64 " steps are done, nothing to do", t->state.step, t->plan.total_steps);
		ax_train_say_early(t);
		return 0;
	}
	AX_TRY(measure_peak(t, e));
	if (t->state.step == 0 && t->plan.n_eval && t->opt.eval_start) {
		AX_TRY(ax_train_eval(t, &loss, NULL, e));
		AX_TRY(ax_comm_agree(t->env.comm, record(t, NULL, &loss, e), e));
	}
	while (!ax_train_complete(t, &t->state)) {
		AX_TRY(ax_train_one_step(t, &r, e));
		AX_TRY(after_step(t, &r, e));
		if (r.want_stop && !ax_train_complete(t, &t->state))
			return ax_fail(e, AX_ESTOP, "stopped on request after step %" PRId64 "; --resume-from-checkpoint auto continues",
				       t->state.step);
	}
	ax_progress_done(&t->progress);
	ax_train_say_early(t);
	return 0;
}

int ax_train_run(struct ax_train *t, struct ax_err *e)
{
	int rc = run_steps(t, e);

	/* The step that failed comes after the one that is saved. Several ranks cannot meet any more. */
	if (rc && t->env.comm->n_rank == 1)
		ax_train_save_finish(t, NULL);
	return rc;
}

void ax_train_stats(const struct ax_train *t, struct ax_train_stats *s)
{
	*s = (struct ax_train_stats){.step = t->state.step, .total_steps = t->plan.total_steps, .tokens = t->state.tokens,
				     .trained_tokens = t->state.trained_tokens, .loss = t->recent_loss,
				     .eval_loss = t->recent_eval, .seconds = t->busy_s, .device_bytes = t->device_bytes,
				     .stopped_early = ax_train_complete(t, &t->state) && t->state.step < t->plan.total_steps,
				     .best_step = t->state.best.ckpt, .best_metric = t->state.best.ckpt_metric};
}

void ax_train_close(struct ax_train *t)
{
	if (!t)
		return;
	ax_ckpt_drop(t->saving);
	ax_metrics_close(&t->metrics);
	ax_microbuf_release(&t->micro);
	if (t->model)
		ax_model_close(t->model);
	if (t->dist)
		ax_dist_close(t->dist);
	ax_free(t->tuning);
	ax_free(t);
}
