/* ax-train: fine-tune a model on a shard folder. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "tool.h"

static int open_comm(struct tool *t, struct ax_err *e)
{
	struct ax_comm_open_opt o = {.standalone = ax_conf_opt_flag(&t->conf, "standalone"),
				     .hang_s = ax_conf_opt_num(&t->conf, "hang-timeout", 0)};

	if (ax_conf_opt_flag(&t->conf, "plan"))
		return ax_comm_open_self(&t->comm, e);
	AX_TRY(ax_comm_open(&t->comm, &o, e));
	ax_log_init("ax-train", t->comm->rank);
	return 0;
}

static int prepare(struct tool *t, struct ax_err *e)
{
	bool plan = ax_conf_opt_flag(&t->conf, "plan");

	if (plan || ax_conf_opt_flag(&t->conf, "eval-only"))
		tool_signals_run(false);
	if (t->conf.n_operand != 1 && !(plan && !t->conf.n_operand)) /* a plan needs no shards: the steps are then unknown */
		return ax_fail(e, AX_EUSAGE, "give one shard folder (%zu operands given)", t->conf.n_operand);
	AX_TRY(open_comm(t, e));
	if (t->conf.n_operand)
		AX_TRY(tool_shards(t, e));
	AX_TRY(ax_conf_check(&t->conf, e));
	AX_TRY(tool_settings(t, e));
	AX_TRY(tool_model(t, plan, e));
	AX_TRY(tool_device(t, e));
	t->opt.keys = ax_conf_resolved(&t->conf, AX_TOOL_TRAIN);
	t->opt.extra = tool_write_extra;
	t->opt.extra_ctx = t;
	t->opt.want_save = &tool_want_save;
	t->opt.want_stop = &tool_want_stop;
	t->env.comm = t->comm;
	t->env.wire = t->wire;
	t->env.dev = &t->dev;
	t->env.desc = &t->desc;
	t->env.units = &t->units;
	t->env.loader = t->loader;
	t->opt.sequence_len = tool_sequence_len(t);
	t->env.outdir = ax_conf_opt_flag(&t->conf, "eval-only") ? NULL : &t->outdir;
	return 0;
}

static int open_outdir(struct tool *t, struct ax_err *e)
{
	const char *resume = ax_conf_str(&t->conf, "resume_from_checkpoint");

	if (!resume && ax_conf_bool(&t->conf, "auto_resume_from_checkpoints"))
		resume = "auto";
	AX_TRY(ax_outdir_open(&t->outdir, t->comm, ax_conf_str(&t->conf, "output_dir"), e));
	t->outdir_open = true;
	return ax_outdir_resume(&t->outdir, t->comm, resume, ax_conf_opt_flag(&t->conf, "overwrite"), e);
}

/* The weights are in the masters now: unmap the model folder, so that its pages do not count on top of the plan. */
static int open_run(struct tool *t, struct ax_train **run, struct ax_err *e)
{
	AX_TRY(ax_train_open(run, &t->env, &t->opt, e));
	if (t->weights_open)
		ax_weights_close(&t->weights);
	t->weights_open = false;
	return 0;
}

/* After an error other ranks may never come to what the device waits in; its memory is freed only behind that. */
static void close_run(struct tool *t, struct ax_train *run, int rc)
{
	if (rc && rc != AX_ESTOP)
		ax_comm_give_up(t->wire);
	ax_train_close(run);
}

static int evaluate(struct tool *t, struct ax_err *e)
{
	struct ax_train_plan plan;
	struct ax_train *run;
	uint64_t trained;
	double loss;
	int rc;

	AX_TRY(ax_train_plan(&t->env, &t->opt, t->comm->n_rank, &plan, e));
	AX_TRY(ax_train_fits(&t->env, &plan, e));
	AX_TRY(open_run(t, &run, e));
	rc = ax_train_eval(run, &loss, &trained, e);
	close_run(t, run, rc);
	if (!rc && t->comm->rank == 0) {
		printf("{\"eval_loss\": %.9g, \"trained_tokens\": %" PRIu64 "}\n", loss, trained);
		if (fflush(stdout))
			rc = ax_fail(e, AX_EIO, "cannot write stdout:");
	}
	return rc ? rc : tool_eval_json(t, loss, trained, e);
}

static int train(struct tool *t, struct ax_err *e)
{
	struct ax_train_stats stats;
	struct ax_train_plan plan;
	struct ax_train *run;
	int rc;

	AX_TRY(ax_train_plan(&t->env, &t->opt, t->comm->n_rank, &plan, e));
	AX_TRY(ax_train_fits(&t->env, &plan, e));
	AX_TRY(open_outdir(t, e));
	tool_say_start(t, &plan);
	tool_signals_run(true);
	AX_TRY(open_run(t, &run, e));
	rc = ax_train_run(run, e);
	ax_train_stats(run, &stats);
	if (!rc)
		tool_say_done(t, &stats);
	close_run(t, run, rc);
	return rc ? rc : tool_run_json(t, &stats, e);
}

static int run(struct tool *t, struct ax_err *e)
{
	AX_TRY(prepare(t, e));
	if (ax_conf_opt_flag(&t->conf, "plan"))
		return tool_print_plan(t, e);
	return t->env.outdir ? train(t, e) : evaluate(t, e);
}

static void release(struct tool *t, int rc, const struct ax_err *e)
{
	if (t->outdir_open)
		ax_outdir_close(&t->outdir);
	if (t->weights_open)
		ax_weights_close(&t->weights);
	if (t->ckpt_open) {
		ax_ckpt_source_close(&t->ckpt_source);
		ax_ckpt_close(&t->ckpt);
	}
	ax_units_release(&t->units);
	if (t->effective)
		ax_effective_free(t->effective);
	if (t->wire && t->wire != t->comm)
		rc && rc != AX_ESTOP ? ax_comm_abandon(t->wire, e->msg) : ax_comm_close(t->wire);
	ax_dev_close(&t->dev);
	if (t->loader)
		ax_loader_close(t->loader);
	ax_conf_release(&t->conf);
	if (rc && rc != AX_ESTOP)
		ax_comm_abandon(t->comm, e->msg);
	else
		ax_comm_close(t->comm);
}

int main(int argc, char **argv)
{
	static struct tool t;
	struct ax_err e = {0};
	int rc;

	ax_log_init("ax-train", 0);
	rc = tool_signals(&e);
	if (!rc)
		rc = ax_conf_init(&t.conf, &tool_spec, argc, argv, &e);
	if (!rc && !t.conf.done)
		rc = run(&t, &e);
	if (rc == AX_ESTOP)
		ax_info("%s", e.msg);
	else if (rc)
		ax_log(AX_LOG_ERROR, "%s", e.msg);
	release(&t, rc, &e);
	return ax_exit_code(rc);
}
