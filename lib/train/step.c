/* One optimizer step. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "train/train_impl.h"

/* All micro-batches of this rank: forward, backward, gradients through the hooks. */
static int run_micros(struct ax_train *t, const struct ax_loader_step *st, struct ax_err *e)
{
	float scale = st->trained ? (float)(1.0 / (double)st->trained) : 0.0f;

	for (uint32_t k = 0; k < st->n_micro; k++) {
		struct ax_micro m;

		AX_TRY(ax_microbuf_fill(&t->micro, t->env.loader, k, &m, e));
		AX_TRY(ax_dist_begin_micro(t->dist, k + 1 == st->n_micro, e));
		AX_TRY(ax_model_step(t->model, &m, &t->hooks, scale, NULL, e));
		AX_TRY(ax_dist_end_micro(t->dist, e));
	}
	return 0;
}

/*
 * The ranks' shares of the loss, whether any of them was asked to save or stop, and whether rank 0's device has chosen
 * algorithms, in one small sum: all ranks act on the same answer in the same step.
 */
static int share(struct ax_train *t, double *loss, struct ax_step_result *r, struct ax_err *e)
{
	double x[4] = {*loss, t->opt.want_save && *t->opt.want_save, t->opt.want_stop && *t->opt.want_stop,
		       ax_train_tuning_news(t)};

	if (t->opt.want_save)
		*t->opt.want_save = 0;
	t->env.comm->what = "sum the loss";
	AX_TRY(ax_comm_sum_f64(t->env.comm, x, 4, e));
	*loss = x[0];
	r->want_save = x[1] > 0;
	r->want_stop = x[2] > 0;
	return x[3] > 0 ? ax_train_tuning_share(t, e) : 0;
}

static int update(struct ax_train *t, const struct ax_step_result *r, struct ax_err *e)
{
	struct ax_dist_update up = {
		.lr = r->lr,
		.beta1 = t->opt.adam.beta1,
		.beta2 = t->opt.adam.beta2,
		.eps = t->opt.adam.eps,
		.weight_decay = t->opt.adam.weight_decay,
		.grad_scale = ax_clip_factor(r->grad_norm, t->opt.max_grad_norm),
		.t = (uint64_t)t->state.step + 1,
		.seed = t->state.seed,
	};

	return ax_dist_update(t->dist, &up, e);
}

/* Nothing has been updated yet: the weights are those of the last good step. */
static int not_finite(struct ax_train *t, struct ax_step_result *r, struct ax_err *e)
{
	const char *what = isfinite(r->loss) ? "gradient norm" : "loss";

	if (!t->opt.skip_nonfinite)
		return ax_fail(e, AX_ECHECK,
			       "step %" PRId64 ": %s is not finite; stopped before the update (--on-nonfinite skip leaves such steps out)",
			       t->state.step + 1, what);
	ax_warn("step %" PRId64 ": %s is not finite; this step changes no weight", t->state.step + 1, what);
	r->skipped = true;
	return 0;
}

/* How long compute has stood still for communication: all of it where the device has been waited for. */
static double wait_s(const struct ax_train *t)
{
	struct ax_dist_stats st;

	ax_dist_stats(t->dist, &st);
	return st.wait_s;
}

int ax_train_one_step(struct ax_train *t, struct ax_step_result *r, struct ax_err *e)
{
	struct ax_loader_step st;
	double loss = 0, start = ax_now(), save_s = t->save_s, waited = wait_s(t);

	memset(r, 0, sizeof(*r));
	AX_TRY(ax_loader_step(t->env.loader, t->state.consumed, &st, e));
	AX_TRY(ax_dist_begin_step(t->dist, (uint64_t)t->state.step + 1, e));
	AX_TRY(run_micros(t, &st, e));
	AX_TRY(ax_dist_finish_grads(t->dist, e));
	/* The host waits for the device here, once a step. */
	AX_TRY(ax_dist_grad_norm(t->dist, &r->grad_norm, NULL, e));
	AX_TRY(ax_model_loss(t->model, &loss, e));
	t->wait_s += wait_s(t) - waited;
	AX_TRY(share(t, &loss, r, e));
	AX_TRY(ax_train_save_finish(t, e)); /* the update changes what is being written */
	r->loss = st.trained ? loss / (double)st.trained : 0;
	r->lr = ax_sched_lr(&t->sched, t->state.step);
	r->tokens = st.tokens;
	r->trained = st.trained;
	if (!isfinite(r->loss) || !isfinite(r->grad_norm)) {
		AX_TRY(isfinite(r->loss) ? ax_train_name_gradient(t, &st, e) : ax_train_name_loss(t, &st, e));
		AX_TRY(not_finite(t, r, e));
	}
	if (!r->skipped)
		AX_TRY(update(t, r, e));
	t->state.step++;
	t->state.consumed += st.batch.n;
	t->state.tokens += st.tokens;
	t->state.trained_tokens += st.trained;
	r->epoch = (double)st.batch.epoch + (double)(st.batch.pos + st.batch.n) / (double)t->plan.n_pack;
	r->seconds = ax_now() - start - (t->save_s - save_s);
	t->busy_s += r->seconds;
	t->recent_loss = r->loss;
	return 0;
}
