/* Who holds what: pure functions of the units, the strategy and the number of ranks. */
#include "dist/state.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/round.h"

static const struct strategy table[AX_N_STRATEGY] = {
	[AX_DDP] = {.name = "ddp"},
	[AX_FSDP] = {.name = "fsdp", .shard_state = true, .shard_grad = true, .shard_weights = true},
};

const char *ax_strategy_name(enum ax_strategy s)
{
	return table[s].name;
}

const char *ax_part_name(enum ax_part p)
{
	static const char *const name[AX_N_PART] = {"master", "m", "v", "m_scale", "v_scale", "grad"};

	return name[p];
}

size_t ax_part_elems(enum ax_part p, size_t n)
{
	return p == AX_PART_M_SCALE || p == AX_PART_V_SCALE ? ax_q8_blocks(n) : n;
}

const struct strategy *ax_dist_strategy(const struct ax_dist_opt *o, int n_rank)
{
	return &table[n_rank == 1 ? AX_DDP : o->strategy];
}

size_t ax_dist_held(const struct ax_units *u, const struct strategy *how, int unit, int n_rank)
{
	return how->shard_state ? ax_unit_slice_elems(&u->unit[unit], n_rank) : u->unit[unit].n_elem;
}

/* Unit 0 and the head are used at the two ends of a pass, never together. */
static bool is_end(const struct ax_units *u, int unit)
{
	return unit == 0 || strcmp(u->unit[unit].name, "head") == 0;
}

bool ax_dist_slots_each(const struct ax_dist_opt *o, bool weights)
{
	return weights && !o->reshard_after_forward;
}

int ax_dist_slots_shape(const struct ax_units *u, const struct ax_dist_opt *o, int n_rank, bool weights, size_t *elems)
{
	size_t n, layer = 0, end = 0;
	int n_layer = 0;

	for (int i = 0; i < u->n_unit; i++) {
		n = ax_unit_slice_elems(&u->unit[i], n_rank) * (size_t)n_rank;
		if (ax_dist_slots_each(o, weights) && elems)
			elems[i] = n;
		if (is_end(u, i))
			end = n > end ? n : end;
		else
			layer = n > layer ? n : layer;
		n_layer += !is_end(u, i);
	}
	if (ax_dist_slots_each(o, weights))
		return u->n_unit;
	if (elems) {
		elems[0] = end;
		for (int i = 0; i < 2 && i < n_layer; i++)
			elems[1 + i] = layer;
	}
	return 1 + (n_layer < 2 ? n_layer : 2);
}

void ax_dist_slots_of(const struct slots *s, const struct ax_units *u, int unit, int *first, int *n)
{
	if (s->each) {
		*first = unit;
		*n = 1;
	} else if (is_end(u, unit)) {
		*first = 0;
		*n = 1;
	} else {
		*first = 1;
		*n = s->n_slot - 1;
	}
}

static bool add_bytes(size_t *sum, size_t n, size_t size)
{
	size_t bytes;

	return ax_mul_size(n, size, &bytes) && ax_add_size(*sum, bytes, sum);
}

static bool slots_bytes(const struct ax_units *u, const struct ax_dist_opt *o, int n_rank, bool weights, size_t *sum)
{
	size_t *elems = ax_calloc((size_t)u->n_unit + 3, sizeof(*elems));
	size_t size = ax_dtype_size(weights ? o->act : o->grads);
	bool ok = elems != NULL;

	for (int i = 0, n = ok ? ax_dist_slots_shape(u, o, n_rank, weights, elems) : 0; ok && i < n; i++)
		ok = add_bytes(sum, elems[i], size);
	ax_free(elems);
	return ok;
}

int ax_dist_sizes(const struct ax_units *u, const struct ax_dist_opt *o, int n_rank, struct ax_dist_sizes *z,
		  struct ax_err *e)
{
	const struct strategy *how = ax_dist_strategy(o, n_rank);
	size_t held = 0, largest = 0;
	bool ok = true;

	memset(z, 0, sizeof(*z));
	if (o->grads != AX_F32 && (o->grads != AX_BF16 || o->act != AX_BF16))
		return ax_fail(e, AX_EUSAGE, "gradients in %s do not go with computing in %s", ax_dtype_name(o->grads), ax_dtype_name(o->act));
	for (int i = 0; i < u->n_unit; i++) {
		ok = ok && ax_add_size(held, ax_dist_held(u, how, i, n_rank), &held);
		largest = u->unit[i].n_elem > largest ? u->unit[i].n_elem : largest;
	}
	ok = ok && add_bytes(&z->master_bytes, held, ax_dtype_size(o->master));
	if (how->shard_weights)
		ok = ok && slots_bytes(u, o, n_rank, true, &z->weight_bytes);
	else if (o->act != o->master)
		ok = ok && add_bytes(&z->weight_bytes, held, ax_dtype_size(o->act));
	if (o->train) {
		ok = ok && add_bytes(&z->moment_bytes, held, 2 * ax_dtype_size(o->moments));
		if (o->moments == AX_Q8)
			ok = ok && add_bytes(&z->moment_bytes, ax_q8_blocks(held), 2 * sizeof(float));
		ok = ok && add_bytes(&z->grad_bytes, held, ax_dtype_size(o->grads));
		if (how->shard_grad)
			ok = ok && slots_bytes(u, o, n_rank, false, &z->grad_buffer_bytes);
		z->comm_bytes = ax_comm_scratch_bytes(largest, ax_dist_sum(o), n_rank, AX_DIST_IN_FLIGHT);
	}
	ok = ok && add_bytes(&z->total_bytes, z->master_bytes, 1) && add_bytes(&z->total_bytes, z->moment_bytes, 1) &&
	     add_bytes(&z->total_bytes, z->grad_bytes, 1) && add_bytes(&z->total_bytes, z->weight_bytes, 1) &&
	     add_bytes(&z->total_bytes, z->grad_buffer_bytes, 1) && add_bytes(&z->total_bytes, z->comm_bytes, 1);
	return ok ? 0 : ax_fail(e, AX_EMEM, "the memory plan of %d units overflows", u->n_unit);
}

/* The part of parameter p that lies in elements [first, first + n) of its unit; false: none. */
static bool cut(const struct ax_param *p, size_t first, size_t n, size_t *off, size_t *len)
{
	size_t a = p->off > first ? p->off : first;
	size_t b = p->off + p->n_elem < first + n ? p->off + p->n_elem : first + n;

	if (a >= b)
		return false;
	*off = a - p->off;
	*len = b - a;
	return true;
}

static void ranges_fill(struct ax_dist *s)
{
	for (int p = 0; p < s->u->n_param; p++) {
		const struct ax_param *q = &s->u->param[p];
		const struct unit_state *t = &s->unit[q->unit];
		struct range *r = &s->range[s->n_range];

		if (!cut(q, t->first, t->n, &r->off, &r->n))
			continue;
		r->param = p;
		r->state_off = t->state_off + q->off + r->off - t->first;
		r->index = t->index + q->off + r->off;
		s->n_range++;
	}
}

/* What this rank writes: its slice, also of what all ranks hold whole. */
static void boxes_fill(struct ax_dist *s)
{
	for (int p = 0; p < s->u->n_param; p++) {
		const struct ax_param *q = &s->u->param[p];
		const struct unit_state *t = &s->unit[q->unit];
		struct ax_dist_box *b = &s->box[s->n_box];

		if (!cut(q, (size_t)s->comm->rank * t->slice, t->slice, &b->off, &b->n))
			continue;
		b->param = p;
		for (int k = 0; k < AX_N_PART; k++) {
			b->data[k] = ax_dist_at(s, (enum ax_part)k, t->state_off + q->off + b->off - t->first);
			b->type[k] = s->type[k];
		}
		s->n_box++;
	}
}

int ax_dist_layout(struct ax_dist *s, struct ax_err *e)
{
	size_t n_param = (size_t)s->u->n_param, off = 0;
	uint64_t index = 0;

	s->unit = ax_calloc((size_t)s->u->n_unit, sizeof(*s->unit));
	s->range = ax_calloc(n_param, sizeof(*s->range));
	s->box = ax_calloc(n_param, sizeof(*s->box));
	if (!s->unit || !s->range || !s->box)
		return ax_fail(e, AX_EMEM, "no memory for the layout of %zu parameters", n_param);
	for (int i = 0; i < s->u->n_unit; i++) {
		struct unit_state *t = &s->unit[i];

		t->slice = ax_unit_slice_elems(&s->u->unit[i], s->comm->n_rank);
		t->first = s->how->shard_state ? (size_t)s->comm->rank * t->slice : 0;
		t->n = ax_dist_held(s->u, s->how, i, s->comm->n_rank);
		t->state_off = off;
		off += t->n;
		t->index = index;
		index += s->u->unit[i].n_elem;
		snprintf(t->gather_name, sizeof(t->gather_name), "gather %s", s->u->unit[i].name);
		snprintf(t->reduce_name, sizeof(t->reduce_name), "reduce %s", s->u->unit[i].name);
	}
	ranges_fill(s);
	boxes_fill(s);
	return 0;
}
