/* --json: what a run, an evaluation or a plan came to, as one JSON object. */
#include <math.h>
#include <stdio.h>

#include "base/io.h"
#include "text/json.h"
#include "tool.h"

static int write_json(struct tool *t, const struct ax_val *m, bool ok, struct ax_err *e)
{
	const char *path = ax_conf_opt_str(&t->conf, "json");
	struct ax_buf b = AX_BUF_INIT;
	int rc;

	if (ok)
		ax_json_write(&b, m, AX_JSON_INDENT2);
	ax_buf_addc(&b, '\n');
	rc = ok && !b.oom ? ax_write_file(path, b.p, b.n, e) : ax_fail(e, AX_EMEM, "out of memory");
	ax_buf_release(&b);
	return rc;
}

static bool set_int(struct ax_arena *a, struct ax_val *m, const char *key, uint64_t x)
{
	return ax_val_set(a, m, key, ax_val_int(a, (int64_t)x));
}

/* Numbers that were not computed are left out. */
static bool set_num(struct ax_arena *a, struct ax_val *m, const char *key, double x)
{
	return isnan(x) || ax_val_set(a, m, key, ax_val_float(a, x));
}

int tool_run_json(struct tool *t, const struct ax_train_stats *s, struct ax_err *e)
{
	struct ax_arena *a = &t->conf.arena;
	struct ax_val *m;
	bool ok;

	if (!ax_conf_opt_given(&t->conf, "json") || t->comm->rank)
		return 0;
	m = ax_val_map(a);
	ok = m && set_int(a, m, "steps", (uint64_t)s->step) && set_int(a, m, "total_steps", (uint64_t)s->total_steps) &&
	     set_int(a, m, "tokens", s->tokens) && set_int(a, m, "trained_tokens", s->trained_tokens) &&
	     set_num(a, m, "loss", s->loss) && set_num(a, m, "eval_loss", s->eval_loss) &&
	     set_num(a, m, "seconds_in_steps", s->seconds) && set_int(a, m, "ranks", (uint64_t)t->comm->n_rank);
	if (ok && s->device_bytes)
		ok = set_int(a, m, "gpu_memory_bytes", s->device_bytes);
	if (ok && t->opt.patience > 0)
		ok = ax_val_set(a, m, "stopped_early", ax_val_bool(a, s->stopped_early));
	if (ok && s->best_step >= 0)
		ok = set_int(a, m, "best_checkpoint_step", (uint64_t)s->best_step) &&
		     set_num(a, m, "best_checkpoint_metric", s->best_metric);
	return write_json(t, m, ok, e);
}

int tool_eval_json(struct tool *t, double loss, uint64_t trained, struct ax_err *e)
{
	struct ax_arena *a = &t->conf.arena;
	struct ax_val *m;

	if (!ax_conf_opt_given(&t->conf, "json") || t->comm->rank)
		return 0;
	m = ax_val_map(a);
	return write_json(t, m, m && set_num(a, m, "eval_loss", loss) && set_int(a, m, "trained_tokens", trained), e);
}

int tool_plan_json(struct tool *t, const struct ax_train_plan *p, int n_rank, struct ax_err *e)
{
	struct ax_arena *a = &t->conf.arena;
	struct ax_val *m, *mem;
	bool ok;

	if (!ax_conf_opt_given(&t->conf, "json"))
		return 0;
	m = ax_val_map(a);
	mem = ax_val_map(a);
	ok = m && mem && set_int(a, m, "parameters", (uint64_t)t->units.n_elem) && set_int(a, m, "ranks", (uint64_t)n_rank) &&
	     set_int(a, m, "packs", p->n_pack) && set_int(a, m, "eval_packs", p->n_eval) &&
	     set_int(a, m, "steps_per_epoch", (uint64_t)p->steps_per_epoch) &&
	     set_int(a, m, "total_steps", (uint64_t)p->total_steps) && set_int(a, m, "global_batch", (uint64_t)p->global_batch) &&
	     set_int(a, m, "checkpoint_bytes", p->checkpoint_bytes) && ax_val_set(a, m, "bytes", mem) &&
	     set_int(a, mem, "master_weights", p->dist.master_bytes) && set_int(a, mem, "moments", p->dist.moment_bytes) &&
	     set_int(a, mem, "gradients", p->dist.grad_bytes) && set_int(a, mem, "weights", p->dist.weight_bytes) &&
	     set_int(a, mem, "gradient_buffers", p->dist.grad_buffer_bytes) &&
	     set_int(a, mem, "communication", p->dist.comm_bytes) && set_int(a, mem, "activations", p->model.activation_bytes) &&
	     set_int(a, mem, "model_scratch", p->model.scratch_bytes) && set_int(a, mem, "device_scratch", p->device_scratch) &&
	     set_int(a, mem, "inputs", p->model.input_bytes) && set_int(a, mem, "program", p->program) &&
	     set_int(a, mem, "total", p->total) && (!p->gpu || set_int(a, mem, "gpu_context", p->context));
	return write_json(t, m, ok, e);
}
