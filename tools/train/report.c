/* What ax-train says before it starts: the plan, and one paragraph on how the run is set up. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "tool.h"

static void row(FILE *f, const char *name, uint64_t bytes)
{
	char text[32];

	fprintf(f, "  %-34s %14" PRIu64 "  %s\n", name, bytes, ax_human_bytes(bytes, text));
}

static const char *recompute_name(enum ax_recompute r)
{
	return r == AX_RECOMPUTE_NONE ? "none" : r == AX_RECOMPUTE_SELECTIVE ? "selective" : "full";
}

static void print_run(FILE *f, struct tool *t, const struct ax_train_plan *p)
{
	fprintf(f, "model: %s, %.1f M parameters, %d layers, width %d, vocabulary %d\n", t->desc.architecture,
		(double)t->units.n_elem / 1e6, t->desc.n_layer, t->desc.width, t->desc.vocab);
	if (!t->loader) {
		fprintf(f, "data: no shards given, sequence length %" PRId64 "; %" PRId64 " packs a step\n", t->opt.sequence_len,
			p->global_batch);
		return;
	}
	fprintf(f, "data: %" PRIu64 " packs to train on, %" PRIu64 " to evaluate, sequence length %d\n", p->n_pack, p->n_eval,
		p->n_token / t->opt.micro_batch);
	fprintf(f, "steps: %" PRId64 " an epoch, %" PRId64 " in all, %" PRId64 " packs a step\n", p->steps_per_epoch,
		p->total_steps, p->global_batch);
}

static void print_memory(FILE *f, struct tool *t, const struct ax_train_plan *p, int n_rank)
{
	char name[64];

	if (p->gpu)
		fprintf(f, "device: %s\n", t->dev.name);
	fprintf(f, "%s of each of %d ranks (%s, compute %s, recomputation %s):\n", p->gpu ? "GPU memory" : "memory", n_rank,
		ax_strategy_name(t->opt.strategy), ax_dtype_name(t->dev.act), recompute_name(t->opt.recompute));
	snprintf(name, sizeof(name), "%s weights (%s)", t->opt.masters == AX_F32 ? "master" : "only", ax_dtype_name(t->opt.masters));
	row(f, name, p->dist.master_bytes);
	snprintf(name, sizeof(name), "moments (%s)", ax_dtype_name(t->opt.moments));
	row(f, name, p->dist.moment_bytes);
	snprintf(name, sizeof(name), "gradients (%s)", ax_dtype_name(t->dev.grad));
	row(f, name, p->dist.grad_bytes);
	row(f, "weights in compute precision", p->dist.weight_bytes);
	row(f, "gradient buffers", p->dist.grad_buffer_bytes);
	row(f, "communication", p->dist.comm_bytes);
	row(f, "activations", p->model.activation_bytes);
	row(f, "scratch of the model", p->model.scratch_bytes);
	row(f, "scratch of the device", p->device_scratch);
	row(f, "inputs", p->model.input_bytes);
	if (p->gpu)
		row(f, "context of the GPU (estimate)", p->context);
	else
		row(f, "program and libraries", p->program);
	row(f, "total", p->total);
	if (p->gpu && t->dev.memory)
		row(f, "free on this GPU", t->dev.memory);
	if (p->gpu)
		row(f, "host memory beside it, at least", p->program);
}

/* A schedule that cannot be is said by --plan too. */
static int print_schedule(struct tool *t, const struct ax_train_plan *p, struct ax_err *e)
{
	struct ax_sched_opt o = t->opt.sched;
	struct ax_sched s;

	if (!p->total_steps || !ax_conf_get(&t->conf, "learning_rate"))
		return 0;
	o.total = p->total_steps;
	AX_TRY(ax_sched_init(&s, &o, e));
	printf("schedule: %s, peak %g, warm-up of %" PRId64 " steps\n", o.name, o.lr, s.warmup);
	return 0;
}

int tool_print_plan(struct tool *t, struct ax_err *e)
{
	int n_rank = (int)ax_conf_opt_int(&t->conf, "ranks", t->comm->n_rank);
	uint64_t limit = ax_conf_opt_size(&t->conf, "device-memory", 0), disk = 0, checkpoints;
	const char *dir = ax_conf_str(&t->conf, "output_dir");
	struct ax_train_plan p;
	int stay = t->opt.save_total_limit, keep;

	if (n_rank < 1)
		return ax_fail(e, AX_EUSAGE, "--ranks %d: must be at least 1", n_rank);
	AX_TRY(ax_train_plan(&t->env, &t->opt, n_rank, &p, e));
	AX_TRY(ax_disk_free(dir, &disk, e));
	print_run(stdout, t, &p);
	AX_TRY(print_schedule(t, &p, e));
	print_memory(stdout, t, &p, n_rank);
	if (stay == 1 && t->opt.track_best) /* the newest and the best */
		stay = 2;
	keep = stay > 0 ? stay + 1 : 1; /* one more while it is being written */
	checkpoints = p.checkpoint_bytes * (uint64_t)keep;
	printf("disk in %s:\n", dir);
	row(stdout, "one checkpoint", p.checkpoint_bytes);
	row(stdout, t->opt.save_total_limit > 0 ? "checkpoints, at most" : "each further checkpoint", checkpoints);
	row(stdout, "free", disk);
	if (fflush(stdout))
		return ax_fail(e, AX_EIO, "cannot write stdout:");
	AX_TRY(tool_plan_json(t, &p, n_rank, e));
	if (disk < checkpoints)
		ax_warn("%s has less free space than the checkpoints will take", dir);
	if (limit && p.total > limit)
		return ax_fail(e, AX_EMEM, "a rank needs %zu bytes, --device-memory allows %" PRIu64, p.total, limit);
	return 0;
}

/* "masters, moments and gradients f32", or what is kept in less. */
static const char *state_name(const struct tool *t, char *text, size_t n)
{
	const char *moments = ax_dtype_name(t->opt.moments), *grads = ax_dtype_name(t->dev.grad);
	bool same = t->dev.grad == AX_F32;

	if (t->opt.masters == AX_F32 && t->opt.moments == AX_F32)
		snprintf(text, n, "%s", same ? "masters, moments and gradients f32" : "masters and moments f32, gradients bf16");
	else if (t->opt.masters == AX_F32)
		snprintf(text, n, "masters %sf32, moments %s with stochastic rounding%s", same ? "and gradients " : "", moments, same ? "" : ", gradients bf16");
	else if (t->opt.moments == AX_F32)
		snprintf(text, n, "no masters: weights with stochastic rounding; moments %sf32%s", same ? "and gradients " : "", same ? "" : ", gradients bf16");
	else
		snprintf(text, n, "no masters: weights and moments (%s) with stochastic rounding; gradients %s", moments, grads);
	return text;
}

/* Sums that each micro-batch adds to: when the last ones are below half of a sum's last place (tensor/ops.h). */
#define MOST_BF16_SUMS 256

static void warn_sums(const struct tool *t, const struct ax_train_plan *p)
{
	int64_t at_once = (int64_t)t->opt.micro_batch * t->comm->n_rank, n = (p->global_batch + at_once - 1) / at_once;

	if (t->dev.grad == AX_BF16 && n > MOST_BF16_SUMS)
		ax_warn("%" PRId64 " micro-batches a step are added up in bf16, which loses some of what the last ones add: a larger micro_batch_size or --gradients f32",
			n);
}

void tool_say_start(struct tool *t, const struct ax_train_plan *p)
{
	char mem[32], free_mem[32], state[160], parts[256];
	bool many = t->comm->n_rank > 1;

	ax_info("%s: %.1f M parameters, %d rank%s, %s%s%s", t->desc.architecture, (double)t->units.n_elem / 1e6, t->comm->n_rank,
		many ? "s" : "", ax_strategy_name(t->opt.strategy), many ? ", communication: " : "", many ? t->wire->name : "");
	ax_info("device: %s; compute %s, %s; recomputation %s; %s", t->dev.name, ax_dtype_name(t->dev.act),
		state_name(t, state, sizeof(state)), recompute_name(t->opt.recompute), t->dev.deterministic ? "deterministic" : "not deterministic");
	warn_sums(t, p);
	if (!p->n_eval && (t->opt.eval_steps > 0 || t->opt.evals_per_epoch > 0))
		ax_warn("evaluation is asked for, but the shards hold no rows for it (val_set_size or test_datasets of ax-tokenize)");
	ax_info("%" PRIu64 " packs, %" PRId64 " a step, %" PRId64 " steps", p->n_pack, p->global_batch, p->total_steps);
	ax_info("%s planned for a rank: %s (%s)%s%s", p->gpu ? "GPU memory" : "memory", ax_human_bytes(p->total, mem), ax_train_plan_text(p, parts),
		p->gpu ? "; free beside the context: " : "", p->gpu ? ax_human_bytes(t->dev.memory, free_mem) : "");
}

void tool_say_done(struct tool *t, const struct ax_train_stats *s)
{
	const char *dir = t->outdir.path, *slash = dir[strlen(dir) - 1] == '/' ? "" : "/";

	if (s->best_step >= 0)
		ax_info("best checkpoint: %s%scheckpoint-%" PRId64 ", eval_loss %.6f", dir, slash, s->best_step, s->best_metric);
	ax_info("done: ax-merge %s%s %s%smerged makes the model folder%s", t->opt.end_with_best ? "--best " : "", dir, dir, slash,
		s->best_step < 0 ? "" : t->opt.end_with_best ? " of the best checkpoint" : " of the last checkpoint, --best that of the best");
}
