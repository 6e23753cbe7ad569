/*
 * When weights and gradients move: the hooks that the model calls, over slots and collectives.
 *
 * Whether a collective is started never depends on timing, only on the sequence of calls, which is the same on all
 * ranks: a slot counts as busy from the start of its collective until somebody waits for it, not until it is complete.
 */
#include "dist/state.h"

#include <sched.h>

#include "base/log.h"

int ax_dist_wait(struct ax_dist *s, struct ax_comm_req *r, struct ax_err *e)
{
	double t0;

	if (!r->impl)
		return 0;
	t0 = ax_now();
	AX_TRY(ax_comm_wait(s->wire, r, e));
	s->stats.wait_s += ax_now() - t0;
	return 0;
}

static int progress(struct ax_dist *s, struct ax_err *e)
{
	return s->wire->n_rank > 1 ? ax_comm_progress(s->wire, e) : 0;
}

static struct slot *slot_find(struct slots *t, int unit)
{
	for (int i = 0; i < t->n_slot; i++)
		if (t->slot[i].unit == unit)
			return &t->slot[i];
	return NULL;
}

/* The slot to use next for a unit: empty, else the least recently used that nobody needs; NULL: all are needed. */
static struct slot *slot_pick(struct ax_dist *s, struct slots *t, int unit)
{
	struct slot *best = NULL;
	int first, n;

	ax_dist_slots_of(t, s->u, unit, &first, &n);
	for (int i = first; i < first + n; i++) {
		struct slot *k = &t->slot[i];

		if (k->refs == 0 && !k->kept &&
		    (!best || (best->unit >= 0 && (k->unit < 0 || k->last_used < best->last_used))))
			best = k;
	}
	return best;
}

static void slot_use(struct slots *t, struct slot *k, int unit)
{
	k->unit = unit;
	k->last_used = ++t->clock;
}

static bool settled(struct ax_dist *s, struct ax_comm_req *r, double until)
{
	bool done = false;

	while (r->impl && !ax_comm_test(s->wire, r, &done, NULL) && !done && ax_now() < until)
		sched_yield();
	return !r->impl;
}

bool ax_dist_settle(struct ax_dist *s, double limit_s)
{
	double until = ax_now() + limit_s;
	bool all = true;

	for (int i = 0; i < s->gather.n_slot; i++)
		all = settled(s, &s->gather.slot[i].req, until) && all;
	for (int i = 0; i < s->grad.n_slot; i++)
		all = settled(s, &s->grad.slot[i].req, until) && all;
	for (int i = 0; s->unit && i < s->u->n_unit; i++)
		all = settled(s, &s->unit[i].reduce, until) && all;
	return all;
}

/* ---- weights ---- */

static int gather_start(struct ax_dist *s, struct slot *k, int unit, struct ax_err *e)
{
	const struct unit_state *t = &s->unit[unit];
	size_t bytes = t->slice * ax_dtype_size(s->opt.act);
	char *own = k->p + (size_t)s->wire->rank * bytes;

	slot_use(&s->gather, k, unit);
	s->dev->ops->cast(s->dev, own, s->opt.act, ax_dist_at(s, AX_PART_MASTER, t->state_off), s->type[AX_PART_MASTER], t->slice);
	s->stats.gather_bytes += bytes * (size_t)(s->wire->n_rank - 1);
	s->wire->what = t->gather_name;
	return ax_comm_all_gather(s->wire, k->p, own, bytes, &k->req, e);
}

static int hook_prefetch(void *ctx, int unit, struct ax_err *e)
{
	struct ax_dist *s = ctx;
	struct slot *k;

	AX_TRY(progress(s, e));
	if (!s->how->shard_weights || slot_find(&s->gather, unit))
		return 0;
	k = slot_pick(s, &s->gather, unit);
	return k && !k->req.impl ? gather_start(s, k, unit, e) : 0;
}

static int hook_acquire(void *ctx, int unit, const void **w, struct ax_err *e)
{
	struct ax_dist *s = ctx;
	struct slot *k;

	AX_TRY(progress(s, e));
	if (!s->how->shard_weights) {
		*w = s->weights ? (void *)(s->weights + s->unit[unit].state_off * ax_dtype_size(s->opt.act))
				: ax_dist_at(s, AX_PART_MASTER, s->unit[unit].state_off);
		return 0;
	}
	k = slot_find(&s->gather, unit);
	if (!k) {
		k = slot_pick(s, &s->gather, unit);
		if (!k)
			return ax_fail(e, AX_ECHECK, "weights of %s wanted, but all buffers are in use",
				       s->u->unit[unit].name);
		AX_TRY(ax_dist_wait(s, &k->req, e));
		AX_TRY(gather_start(s, k, unit, e));
	}
	AX_TRY(ax_dist_wait(s, &k->req, e));
	slot_use(&s->gather, k, unit);
	k->refs++;
	*w = k->p;
	return 0;
}

static int hook_release(void *ctx, int unit, struct ax_err *e)
{
	struct ax_dist *s = ctx;
	struct slot *k = s->how->shard_weights ? slot_find(&s->gather, unit) : NULL;

	if (s->how->shard_weights && (!k || k->refs == 0))
		return ax_fail(e, AX_ECHECK, "weights of %s released, but not acquired", s->u->unit[unit].name);
	if (k)
		k->refs--;
	return progress(s, e);
}

int ax_dist_forget(struct ax_dist *s, struct ax_err *e)
{
	for (int i = 0; i < s->gather.n_slot; i++) {
		struct slot *k = &s->gather.slot[i];

		if (k->refs)
			return ax_fail(e, AX_ECHECK, "weights of %s change while in use", s->u->unit[k->unit].name);
		AX_TRY(ax_dist_wait(s, &k->req, e));
		k->unit = -1;
	}
	return 0;
}

/* ---- gradients ---- */

static int scatter_start(struct ax_dist *s, struct slot *k, struct ax_err *e)
{
	struct unit_state *t = &s->unit[k->unit];

	k->kept = false;
	s->wire->what = t->reduce_name;
	s->stats.reduce_bytes += t->slice * ax_dtype_size(s->opt.grads) * (size_t)(s->wire->n_rank - 1);
	return ax_comm_reduce_scatter(s->wire, ax_dist_at(s, AX_PART_GRAD, t->state_off), k->p, t->slice, ax_dist_sum(&s->opt),
				      true, &k->req, e);
}

static int reduce_whole(struct ax_dist *s, int unit, struct ax_err *e)
{
	struct unit_state *t = &s->unit[unit];
	int *place = &s->flight[s->n_started++ % AX_DIST_IN_FLIGHT];

	if (*place >= 0)
		AX_TRY(ax_dist_wait(s, &s->unit[*place].reduce, e));
	*place = unit;
	t->reduced = true;
	s->wire->what = t->reduce_name;
	s->stats.reduce_bytes += 2 * t->slice * ax_dtype_size(s->opt.grads) * (size_t)(s->wire->n_rank - 1);
	return ax_comm_all_reduce(s->wire, ax_dist_at(s, AX_PART_GRAD, t->state_off), t->n, ax_dist_sum(&s->opt), &t->reduce, e);
}

int ax_dist_reduce(struct ax_dist *s, int unit, struct ax_err *e)
{
	struct slot *k;

	if (s->wire->n_rank == 1)
		return 0;
	if (s->how->shard_grad) {
		k = slot_find(&s->grad, unit);
		return k && k->kept ? scatter_start(s, k, e) : 0;
	}
	return s->last_micro && !s->unit[unit].reduced ? reduce_whole(s, unit, e) : 0;
}

static int hook_grad_acquire(void *ctx, int unit, void **g, struct ax_err *e)
{
	struct ax_dist *s = ctx;
	const char *name = s->u->unit[unit].name;
	struct slot *k;

	AX_TRY(progress(s, e));
	if (!s->opt.train || s->unit[unit].reduced)
		return ax_fail(e, AX_ECHECK, "gradient of %s wanted %s", name,
			       s->opt.train ? "after its reduction" : "without training");
	if (!s->how->shard_grad) {
		*g = ax_dist_at(s, AX_PART_GRAD, s->unit[unit].state_off);
		return 0;
	}
	k = slot_find(&s->grad, unit);
	if (!k || !k->kept) {
		k = slot_pick(s, &s->grad, unit);
		if (!k)
			return ax_fail(e, AX_ECHECK, "gradient of %s wanted, but all buffers are in use", name);
		AX_TRY(ax_dist_wait(s, &k->req, e));
		s->dev->ops->zero(s->dev, k->p, s->unit[unit].slice * (size_t)s->wire->n_rank * ax_dtype_size(s->opt.grads));
		slot_use(&s->grad, k, unit);
		k->kept = true;
	}
	k->refs++;
	*g = k->p;
	return 0;
}

static int hook_grad_release(void *ctx, int unit, struct ax_err *e)
{
	struct ax_dist *s = ctx;
	struct slot *k = s->how->shard_grad ? slot_find(&s->grad, unit) : NULL;

	if (s->how->shard_grad && (!k || k->refs == 0))
		return ax_fail(e, AX_ECHECK, "gradient of %s released, but not acquired", s->u->unit[unit].name);
	if (k && --k->refs > 0)
		return progress(s, e);
	/* Unit 0 may get more from the other end of the model: ax_dist_end_micro. */
	if (unit != 0)
		AX_TRY(ax_dist_reduce(s, unit, e));
	return progress(s, e);
}

int ax_dist_reduce_all(struct ax_dist *s, struct ax_err *e)
{
	for (int i = 0; i < s->grad.n_slot; i++)
		AX_TRY(ax_dist_wait(s, &s->grad.slot[i].req, e));
	/* Backward order; units that got no gradient from the model still take part. */
	for (int i = s->u->n_unit - 1; i >= 0 && !s->how->shard_grad; i--)
		AX_TRY(ax_dist_reduce(s, i, e));
	for (int i = s->u->n_unit - 1; i >= 0; i--)
		AX_TRY(ax_dist_wait(s, &s->unit[i].reduce, e));
	return 0;
}

/* Everything is resident, and no reduction starts in this micro-batch. */
static bool hook_still(void *ctx)
{
	const struct ax_dist *s = ctx;

	return !s->how->shard_weights && !s->how->shard_grad && (s->wire->n_rank == 1 || !s->last_micro);
}

struct ax_unit_hooks ax_dist_hooks(struct ax_dist *s)
{
	struct ax_unit_hooks h = {s, hook_prefetch, hook_acquire, hook_release, hook_grad_acquire, hook_grad_release, hook_still};

	return h;
}
