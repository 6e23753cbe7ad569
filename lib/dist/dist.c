/* The life of a strategy: memory, loading, steps, norm, update. */
#include "dist/dist.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "dist/state.h"
#include "optim/adamw.h"
#include "tensor/round.h"

#define SETTLE_S 5.0

static int block(struct ax_dist *s, size_t bytes, const char *role, void *out, struct ax_err *e)
{
	void *p = bytes ? s->dev->ops->alloc(s->dev, bytes) : NULL;

	if (bytes && !p)
		return ax_fail(e, AX_EMEM, "no memory for %s: %zu bytes", role, bytes);
	memcpy(out, &p, sizeof(p));
	return 0;
}

static int slots_make(struct ax_dist *s, struct slots *t, bool weights, size_t bytes, struct ax_err *e)
{
	size_t *elems, size = ax_dtype_size(weights ? s->opt.act : s->opt.grads), off = 0;

	if (!bytes)
		return 0;
	AX_TRY(block(s, bytes, weights ? "gathered weights" : "gradients in flight", &t->block, e));
	elems = ax_calloc((size_t)s->u->n_unit + 3, sizeof(*elems));
	t->each = ax_dist_slots_each(&s->opt, weights);
	t->n_slot = elems ? ax_dist_slots_shape(s->u, &s->opt, s->comm->n_rank, weights, elems) : 0;
	t->slot = elems ? ax_calloc((size_t)t->n_slot, sizeof(*t->slot)) : NULL;
	for (int i = 0; t->slot && i < t->n_slot; i++) {
		t->slot[i].p = t->block + off;
		t->slot[i].unit = -1;
		off += elems[i] * size;
	}
	ax_free(elems);
	if (!t->slot)
		t->n_slot = 0;
	return t->slot ? 0 : ax_fail(e, AX_EMEM, "no memory for %d units", s->u->n_unit);
}

/* One block: first moments, second moments, and for 8 bits the scales of both. */
static int moments_make(struct ax_dist *s, size_t bytes, struct ax_err *e)
{
	size_t held = 0, size = ax_dtype_size(s->opt.moments);
	char *p;

	AX_TRY(block(s, bytes, "optimizer moments", &p, e));
	if (!p)
		return 0;
	for (int i = 0; i < s->u->n_unit; i++)
		held += ax_dist_held(s->u, s->how, i, s->comm->n_rank);
	s->part[AX_PART_M] = p;
	s->part[AX_PART_V] = p + held * size;
	if (s->opt.moments == AX_Q8) {
		s->part[AX_PART_M_SCALE] = p + 2 * held;
		s->part[AX_PART_V_SCALE] = p + 2 * held + ax_q8_blocks(held) * sizeof(float);
	}
	return 0;
}

static int blocks_make(struct ax_dist *s, const struct ax_dist_sizes *z, struct ax_err *e)
{
	AX_TRY(block(s, z->master_bytes, "master weights", &s->part[AX_PART_MASTER], e));
	AX_TRY(moments_make(s, z->moment_bytes, e));
	AX_TRY(block(s, z->grad_bytes, "gradients", &s->part[AX_PART_GRAD], e));
	if (s->how->shard_weights)
		AX_TRY(slots_make(s, &s->gather, true, z->weight_bytes, e));
	else
		AX_TRY(block(s, z->weight_bytes, "weights", &s->weights, e));
	return slots_make(s, &s->grad, false, z->grad_buffer_bytes, e);
}

int ax_dist_open(struct ax_dist **out, struct ax_comm *comm, struct ax_comm *wire, struct ax_dev *dev,
		 const struct ax_units *u, const struct ax_dist_opt *o, struct ax_err *e)
{
	struct ax_dist *s = ax_calloc(1, sizeof(*s));
	struct ax_dist_sizes z;
	int rc;

	*out = NULL;
	if (!s)
		return ax_fail(e, AX_EMEM, "no memory for a strategy");
	s->comm = comm;
	s->wire = wire;
	s->dev = dev;
	s->u = u;
	s->opt = *o;
	s->how = ax_dist_strategy(o, comm->n_rank);
	s->type[AX_PART_MASTER] = o->master; /* those of scales: AX_F32 */
	s->type[AX_PART_M] = s->type[AX_PART_V] = o->moments;
	s->type[AX_PART_GRAD] = o->grads;
	for (int i = 0; i < AX_DIST_IN_FLIGHT; i++)
		s->flight[i] = -1;
	AX_GOTO(ax_dist_sizes(u, o, comm->n_rank, &z, e));
	AX_GOTO(blocks_make(s, &z, e));
	AX_GOTO(ax_dist_layout(s, e));
	AX_GOTO(block(s, (s->n_range + 1) * sizeof(double), "norms", &s->sums, e));
	s->host_sums = ax_calloc(s->n_range + (size_t)u->n_param + 1, sizeof(*s->host_sums));
	s->stage = ax_malloc_aligned(64, 2 * AX_DIST_PIECE * sizeof(*s->stage));
	rc = s->host_sums && s->stage ? 0 : ax_fail(e, AX_EMEM, "no memory for staging");
out:
	if (rc)
		ax_dist_close(s);
	else
		*out = s;
	return rc;
}

/* What was fetched ahead may still arrive; after an error it never may: then the blocks are left to the process's end. */
static void blocks_free(struct ax_dist *s)
{
	if (!ax_dist_settle(s, SETTLE_S))
		return;
	s->dev->ops->free(s->dev, s->part[AX_PART_MASTER]);
	s->dev->ops->free(s->dev, s->part[AX_PART_M]);
	s->dev->ops->free(s->dev, s->part[AX_PART_GRAD]);
	s->dev->ops->free(s->dev, s->weights);
	s->dev->ops->free(s->dev, s->gather.block);
	s->dev->ops->free(s->dev, s->grad.block);
	s->dev->ops->free(s->dev, s->sums);
}

void ax_dist_close(struct ax_dist *s)
{
	if (!s)
		return;
	blocks_free(s);
	ax_free(s->gather.slot);
	ax_free(s->grad.slot);
	ax_free(s->unit);
	ax_free(s->range);
	ax_free(s->box);
	ax_free(s->host_sums);
	ax_free(s->stage);
	ax_free(s);
}

/* Weights that the model will see, after the masters have changed otherwise than by ax_dist_update. */
static int weights_refresh(struct ax_dist *s, struct ax_err *e)
{
	size_t size = ax_dtype_size(s->opt.act);

	AX_TRY(ax_dist_forget(s, e));
	for (int i = 0; s->weights && i < s->u->n_unit; i++) {
		const struct unit_state *t = &s->unit[i];

		s->dev->ops->cast(s->dev, s->weights + t->state_off * size, s->opt.act,
				  ax_dist_at(s, AX_PART_MASTER, t->state_off), s->type[AX_PART_MASTER], t->n);
	}
	return 0;
}

/* n elements of the stage, from a block's beginning on, go where the part is kept. */
static void put_piece(struct ax_dist *s, enum ax_part part, size_t state_off, size_t n)
{
	enum ax_part scales = part == AX_PART_M ? AX_PART_M_SCALE : AX_PART_V_SCALE;
	void *packed = s->stage + AX_DIST_PIECE, *data = packed;
	float *scale = s->stage + AX_DIST_PIECE + AX_DIST_PIECE / 4; /* behind the codes */

	if (s->type[part] == AX_F32)
		data = s->stage;
	else if (s->type[part] == AX_BF16)
		for (size_t i = 0; i < n; i++)
			((uint16_t *)packed)[i] = ax_f32_to_bf16(s->stage[i]);
	else
		ax_q8_pack(packed, scale, s->stage, n, part == AX_PART_M);
	if (s->type[part] == AX_Q8)
		s->dev->ops->upload(s->dev, ax_dist_at(s, scales, state_off), scale, ax_q8_blocks(n) * sizeof(float));
	s->dev->ops->upload(s->dev, ax_dist_at(s, part, state_off), data, n * ax_dtype_size(s->type[part]));
}

int ax_dist_load(struct ax_dist *s, enum ax_part part, ax_dist_source source, void *ctx, struct ax_err *e)
{
	size_t n;

	if (!s->part[part])
		return ax_fail(e, AX_ECHECK, "nothing is kept of %s here", ax_part_name(part));
	for (size_t i = 0; i < s->n_range; i++) {
		const struct range *r = &s->range[i];

		for (size_t off = 0; off < r->n; off += n) {
			n = r->n - off < AX_DIST_PIECE ? r->n - off : AX_DIST_PIECE;
			AX_TRY(source(ctx, r->param, r->off + off, n, s->stage, e));
			put_piece(s, part, r->state_off + off, n);
			ax_comm_tick(s->comm);
		}
	}
	return part == AX_PART_MASTER ? weights_refresh(s, e) : 0;
}

int ax_dist_begin_step(struct ax_dist *s, uint64_t step, struct ax_err *e)
{
	const struct unit_state *last = &s->unit[s->u->n_unit - 1];

	if (!s->opt.train)
		return ax_fail(e, AX_ECHECK, "a training step without training state");
	s->comm->step = s->wire->step = step;
	for (int i = 0; i < s->u->n_unit; i++)
		s->unit[i].reduced = false;
	s->dev->ops->zero(s->dev, s->part[AX_PART_GRAD], (last->state_off + last->n) * ax_dtype_size(s->opt.grads));
	return 0;
}

int ax_dist_begin_micro(struct ax_dist *s, bool last, struct ax_err *e)
{
	s->last_micro = last;
	return 0;
}

int ax_dist_end_micro(struct ax_dist *s, struct ax_err *e)
{
	return ax_dist_reduce(s, 0, e);
}

int ax_dist_finish_grads(struct ax_dist *s, struct ax_err *e)
{
	return ax_dist_reduce_all(s, e);
}

int ax_dist_grad_norm(struct ax_dist *s, double *norm, double *per_param, struct ax_err *e)
{
	double *param = s->host_sums + s->n_range, sum = 0;
	int n_param = s->u->n_param;

	for (size_t i = 0; i < s->n_range; i++)
		s->dev->ops->sumsq(s->dev, s->sums + i, ax_dist_at(s, AX_PART_GRAD, s->range[i].state_off), s->type[AX_PART_GRAD],
				    s->range[i].n);
	s->dev->ops->download(s->dev, s->host_sums, s->sums, s->n_range * sizeof(*s->sums));
	memset(param, 0, (size_t)n_param * sizeof(*param));
	for (size_t i = 0; i < s->n_range; i++)
		if (s->u->param[s->range[i].param].trainable)
			param[s->range[i].param] = s->host_sums[i];
	if (s->how->shard_state) {
		s->comm->what = "sum of gradient norms";
		AX_TRY(ax_comm_sum_f64(s->comm, param, (size_t)n_param, e));
	}
	for (int p = 0; p < n_param; p++)
		sum += param[p];
	if (per_param)
		memcpy(per_param, param, (size_t)n_param * sizeof(*param));
	*norm = sqrt(sum);
	return 0;
}

/* What the update reads and writes of a range. Masters of the compute type are the weights. */
static struct ax_adamw_mem mem_of(const struct ax_dist *s, const struct range *r)
{
	size_t at = r->state_off;
	void *master = ax_dist_at(s, AX_PART_MASTER, at);
	struct ax_adamw_mem x = {.m = ax_dist_at(s, AX_PART_M, at),
				 .v = ax_dist_at(s, AX_PART_V, at),
				 .m_scale = ax_dist_at(s, AX_PART_M_SCALE, at),
				 .v_scale = ax_dist_at(s, AX_PART_V_SCALE, at),
				 .grad = ax_dist_at(s, AX_PART_GRAD, at),
				 .tm = s->type[AX_PART_M],
				 .tg = s->type[AX_PART_GRAD],
				 .index = r->index};

	if (s->type[AX_PART_MASTER] == AX_F32) {
		x.p = master;
		x.w = s->weights ? s->weights + at * ax_dtype_size(s->opt.act) : NULL;
		x.tw = s->opt.act;
	} else {
		x.w = master;
		x.tw = s->type[AX_PART_MASTER];
	}
	return x;
}

int ax_dist_update(struct ax_dist *s, const struct ax_dist_update *up, struct ax_err *e)
{
	struct ax_adamw_opt o = {up->beta1, up->beta2, up->eps, up->weight_decay, up->seed};
	struct ax_adamw_mem mem;
	struct ax_adamw h;

	AX_TRY(ax_dist_forget(s, e));
	for (size_t i = 0; i < s->n_range; i++) {
		const struct range *r = &s->range[i];
		const struct ax_param *p = &s->u->param[r->param];

		if (!p->trainable)
			continue;
		ax_adamw_step(&o, up->lr, (int64_t)up->t, p->decay, (double)p->lr_scale, up->grad_scale, &h);
		mem = mem_of(s, r);
		s->dev->ops->adamw(s->dev, &mem, &h, r->n);
	}
	return 0;
}

const struct ax_dist_box *ax_dist_boxes(const struct ax_dist *s, size_t *n_box)
{
	*n_box = s->n_box;
	return s->box;
}

void ax_dist_stats(const struct ax_dist *s, struct ax_dist_stats *st)
{
	*st = s->stats;
	st->wait_s = ax_comm_held_s(s->wire, st->wait_s);
}
