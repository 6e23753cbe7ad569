/* Sizes and counts of a run, before anything is allocated. */
#include "train/train.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "tensor/round.h"
#include "train/train_impl.h"

static int add(size_t *total, size_t n, struct ax_err *e)
{
	return ax_add_size(*total, n, total) ? 0 : ax_fail(e, AX_EMEM, "the run does not fit the address space");
}

/* The most documents in one pack; whole packs of one token where there is nothing to count. */
static int most_docs(const struct ax_train_env *env, int64_t sequence_len, int64_t *most, struct ax_err *e)
{
	uint32_t docs;

	*most = env->loader ? 1 : sequence_len;
	for (int split = 0; env->loader && split < AX_N_SPLIT; split++) {
		AX_TRY(ax_loader_max_docs(env->loader, split, &docs, e));
		*most = docs > *most ? docs : *most;
	}
	return 0;
}

static int plan_batches(const struct ax_train_env *env, const struct ax_train_opt *o, int n_rank, struct ax_train_plan *p,
			struct ax_err *e)
{
	int64_t g = o->global_batch ? o->global_batch : (int64_t)o->micro_batch * o->grad_accum * n_rank;
	struct ax_order order = {.n_pack = env->loader ? ax_loader_packs(env->loader, AX_SPLIT_TRAIN) : 0, .global_batch = (uint64_t)g};
	int64_t sequence_len = env->loader ? (int64_t)ax_loader_shards(env->loader)->sequence_len : o->sequence_len, most;

	if (o->micro_batch < 1 || o->grad_accum < 1 || g < 1)
		return ax_fail(e, AX_EUSAGE, "micro_batch_size, gradient_accumulation_steps and the global batch must be at least 1");
	if (sequence_len * o->micro_batch > INT32_MAX)
		return ax_fail(e, AX_EUSAGE, "micro_batch_size %d times sequence_len %lld is too large", o->micro_batch,
			       (long long)sequence_len);
	AX_TRY(most_docs(env, sequence_len, &most, e));
	p->global_batch = g;
	p->n_pack = order.n_pack;
	p->n_eval = env->loader ? ax_loader_packs(env->loader, AX_SPLIT_EVAL) : 0;
	p->steps_per_epoch = p->n_pack ? (int64_t)ax_order_steps(&order) : 0;
	p->total_steps = p->n_pack ? ax_total_steps(o->num_epochs, o->max_steps, p->steps_per_epoch) : 0;
	p->n_token = (int)(sequence_len * o->micro_batch);
	p->max_seg = most * o->micro_batch > p->n_token ? p->n_token : (int)most * o->micro_batch;
	return 0;
}

struct ax_dist_opt ax_train_dist_opt(const struct ax_train_env *env, const struct ax_train_opt *o)
{
	return (struct ax_dist_opt){.strategy = o->strategy, .act = env->dev->act, .master = o->masters, .moments = o->moments,
				    .grads = env->dev->grad,
				    .reshard_after_forward = o->reshard_after_forward, .train = env->outdir != NULL};
}

static uint64_t checkpoint_bytes(size_t n_elem, const struct ax_train_opt *o)
{
	uint64_t n = n_elem, bytes = n * ax_dtype_size(o->masters);

	if (o->save_only_model)
		return bytes;
	bytes += 2 * n * ax_dtype_size(o->moments);
	return o->moments == AX_Q8 ? bytes + 2 * sizeof(float) * ax_q8_blocks(n) : bytes;
}

int ax_train_plan(const struct ax_train_env *env, const struct ax_train_opt *o, int n_rank, struct ax_train_plan *p,
		  struct ax_err *e)
{
	bool train = env->outdir != NULL;
	struct ax_shape shape;
	struct ax_dist_opt d;
	struct ax_model_opt m = {.recompute = o->recompute, .train = train};

	memset(p, 0, sizeof(*p));
	d = ax_train_dist_opt(env, o);
	AX_TRY(plan_batches(env, o, n_rank, p, e));
	m.n_token = p->n_token;
	m.max_seg = p->max_seg;
	m.max_pos = p->n_token / o->micro_batch;
	AX_TRY(ax_model_sizes(env->desc, env->dev->act, &m, &p->model, e));
	AX_TRY(ax_dist_sizes(env->units, &d, n_rank, &p->dist, e));
	ax_model_shape(env->desc, p->n_token, &shape);
	if (env->dev->ops)
		p->device_scratch = env->dev->ops->scratch_bytes(env->dev, &shape);
	p->gpu = env->dev->wire != NULL;
	p->program = AX_PROGRAM_BYTES;
	if (p->gpu) { /* sums over ranks are made there, by others' rules */
		p->dist.total_bytes -= p->dist.comm_bytes;
		p->dist.comm_bytes = n_rank > 1 ? AX_NCCL_BYTES : 0;
		p->context = AX_CONTEXT_BYTES;
		p->program += env->dev->pinned;
		AX_TRY(add(&p->dist.total_bytes, p->dist.comm_bytes, e));
	}
	p->total = p->dist.total_bytes;
	AX_TRY(add(&p->total, p->gpu ? p->context : p->program, e));
	AX_TRY(add(&p->total, p->model.activation_bytes, e));
	AX_TRY(add(&p->total, p->model.scratch_bytes, e));
	AX_TRY(add(&p->total, p->model.input_bytes, e));
	AX_TRY(add(&p->total, p->device_scratch, e));
	p->checkpoint_bytes = checkpoint_bytes(env->units->n_elem, o);
	return 0;
}

const char *ax_train_plan_text(const struct ax_train_plan *p, char text[256])
{
	const struct {
		const char *name;
		size_t bytes;
	} part[] = {
		{"weights", p->dist.master_bytes + p->dist.weight_bytes},
		{"moments", p->dist.moment_bytes},
		{"gradients", p->dist.grad_bytes + p->dist.grad_buffer_bytes},
		{"activations", p->model.activation_bytes},
		{"scratch and inputs", p->model.scratch_bytes + p->device_scratch + p->model.input_bytes},
		{"communication", p->dist.comm_bytes},
		{p->gpu ? "context of the GPU" : "program", p->gpu ? p->context : p->program},
	};
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		char bytes[32];

		if (part[i].bytes && n < 256)
			n += (size_t)snprintf(text + n, 256 - n, "%s%s %s", n ? ", " : "", part[i].name, ax_human_bytes(part[i].bytes, bytes));
	}
	return text;
}

int ax_train_fits(const struct ax_train_env *env, const struct ax_train_plan *p, struct ax_err *e)
{
	size_t need = p->total - p->context, have = env->dev->memory;
	char a[32], b[32], text[256];
	int rc = 0;

	if (have && need > have)
		rc = ax_fail(e, AX_EMEM, "a rank needs %s of the GPU's memory and can have %s (%s, which is taken already): gradient_checkpointing, a smaller micro_batch_size or more ranks with fsdp take less (--plan shows more)",
			     ax_human_bytes(need, a), ax_human_bytes(have, b), ax_train_plan_text(p, text));
	return ax_comm_agree(env->comm, rc, e);
}
