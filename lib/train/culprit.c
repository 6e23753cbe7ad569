/* A step that is not finite: which rows, which parameters. Nothing has been updated yet. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "train/train_impl.h"

#define NAMED 4 /* parameters that are named; of the others only how many */

static void say_rows(struct ax_train *t, const char *what)
{
	char rows[512];

	ax_microbuf_rows(&t->micro, rows, sizeof(rows));
	ax_warn("step %" PRId64 ": %s is not finite; the micro-batch holds %s", t->state.step + 1, what, rows);
}

int ax_train_name_loss(struct ax_train *t, const struct ax_loader_step *st, struct ax_err *e)
{
	for (uint32_t k = 0; k < st->n_micro; k++) {
		struct ax_micro m;
		double loss = 0;

		AX_TRY(ax_microbuf_fill(&t->micro, t->env.loader, k, &m, e));
		AX_TRY(ax_model_eval(t->model, &m, &t->hooks, &loss, NULL, e));
		if (!isfinite(loss))
			say_rows(t, "loss");
	}
	return 0;
}

/* From the last on: a backward pass carries it from there to the first. */
static void say_params(const struct ax_train *t, const double *sumsq)
{
	struct ax_buf b = AX_BUF_INIT;
	int n = 0;

	for (int i = t->env.units->n_param; i-- > 0;)
		if (!isfinite(sumsq[i]) && n++ < NAMED)
			ax_buf_addf(&b, "%s%s", n > 1 ? ", " : "", t->env.units->param[i].name);
	if (n > NAMED)
		ax_buf_addf(&b, " and %d more", n - NAMED);
	if (!b.oom && t->env.comm->rank == 0)
		ax_warn("step %" PRId64 ": gradient is not finite in %s", t->state.step + 1, n ? b.p : "their sum only");
	ax_buf_release(&b);
}

/* The gradient of micro-batch k alone, of all ranks; *norm is not finite on all of them or on none. */
static int one_gradient(struct ax_train *t, const struct ax_loader_step *st, uint32_t k, double *norm, struct ax_err *e)
{
	float scale = st->trained ? (float)(1.0 / (double)st->trained) : 0.0f;
	struct ax_micro m;

	AX_TRY(ax_microbuf_fill(&t->micro, t->env.loader, k, &m, e));
	AX_TRY(ax_dist_begin_step(t->dist, (uint64_t)t->state.step + 1, e));
	AX_TRY(ax_dist_begin_micro(t->dist, true, e));
	AX_TRY(ax_model_step(t->model, &m, &t->hooks, scale, NULL, e));
	AX_TRY(ax_dist_end_micro(t->dist, e));
	AX_TRY(ax_dist_finish_grads(t->dist, e));
	return ax_dist_grad_norm(t->dist, norm, NULL, e);
}

int ax_train_name_gradient(struct ax_train *t, const struct ax_loader_step *st, struct ax_err *e)
{
	double *sumsq = ax_calloc((size_t)t->env.units->n_param, sizeof(*sumsq)), norm, loss = 0;
	int rc;

	if (!sumsq)
		return ax_fail(e, AX_EMEM, "out of memory");
	rc = ax_dist_grad_norm(t->dist, &norm, sumsq, e);
	if (!rc)
		say_params(t, sumsq);
	ax_free(sumsq);
	AX_TRY(rc);
	for (uint32_t k = 0; k < st->n_micro; k++) {
		AX_TRY(one_gradient(t, st, k, &norm, e));
		if (!isfinite(norm) && t->micro.n_row)
			say_rows(t, t->env.comm->n_rank > 1 ? "gradient of all ranks" : "gradient");
	}
	return ax_model_loss(t->model, &loss, e); /* these passes are no part of the run */
}
