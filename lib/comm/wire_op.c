/* What both wires of several ranks keep of a collective (comm/wire.h). */
#include <string.h>

#include "base/mem.h"
#include "comm/wire.h"

struct ax_wire_hold {
	struct ax_wire_hold *next;
	cudaEvent_t from, to; /* on the compute stream, before and behind a wait */
};

static void hold_free(struct ax_wire_hold *h)
{
	if (h->from)
		cudaEventDestroy(h->from);
	if (h->to)
		cudaEventDestroy(h->to);
	ax_free(h);
}

/* --- collectives ---------------------------------------------------------------------------------------------------- */

static void op_free(struct ax_wire_op *o)
{
	if (o->ready)
		cudaEventDestroy(o->ready);
	if (o->done)
		cudaEventDestroy(o->done);
	if (o->hold)
		hold_free(o->hold);
	ax_free(o);
}

static struct ax_wire_op *take(struct ax_wire_pool *p, size_t bytes)
{
	struct ax_wire_op *o = p->spare;

	if (o) {
		p->spare = o->next;
		return o;
	}
	o = ax_calloc(1, bytes);
	if (o && !cudaEventCreateWithFlags(&o->ready, cudaEventDisableTiming) && !cudaEventCreateWithFlags(&o->done, cudaEventDisableTiming))
		return o;
	if (o)
		op_free(o);
	return NULL;
}

struct ax_wire_op *ax_wire_op_start(struct ax_wire_pool *p, size_t bytes, const struct ax_wire_op *what, struct ax_wire_op **list, struct ax_err *e)
{
	struct ax_wire_op *o = take(p, bytes);
	cudaEvent_t ready, done;

	if (!o) {
		ax_fail(e, AX_EMEM, "no memory for a collective");
		return NULL;
	}
	ready = o->ready;
	done = o->done;
	memset(o, 0, bytes);
	*o = *what;
	o->ready = ready;
	o->done = done;
	while (*list)
		list = &(*list)->next;
	*list = o;
	return o;
}

void ax_wire_op_give(struct ax_wire_pool *p, struct ax_wire_op *o)
{
	o->next = p->spare;
	p->spare = o;
}

void ax_wire_op_remove(struct ax_wire_op **list, struct ax_wire_op *o)
{
	while (*list != o)
		list = &(*list)->next;
	*list = o->next;
}

void ax_wire_ops_free(struct ax_wire_op **list)
{
	for (struct ax_wire_op *o = *list, *next; o; o = next) {
		next = o->next;
		op_free(o);
	}
	*list = NULL;
}

/* --- how long the device stood still -------------------------------------------------------------------------------- */

static struct ax_wire_hold *hold_take(struct ax_wire_clock *k)
{
	struct ax_wire_hold *h = k->spare;

	if (h) {
		k->spare = h->next;
		return h;
	}
	h = ax_calloc(1, sizeof(*h));
	if (!h || cudaEventCreateWithFlags(&h->from, cudaEventDefault) || cudaEventCreateWithFlags(&h->to, cudaEventDefault)) {
		cudaGetLastError();
		if (h)
			hold_free(h);
		return NULL;
	}
	return h;
}

void ax_wire_hold_begin(struct ax_wire_clock *k, struct ax_cuda *c, struct ax_wire_op *o)
{
	if (o->hold)
		return;
	ax_wire_held_s(k, c);
	o->hold = hold_take(k);
	if (o->hold)
		ax_cuda_failed(c, "communication", cudaEventRecord(o->hold->from, c->compute));
}

void ax_wire_hold_end(struct ax_wire_clock *k, struct ax_cuda *c, struct ax_wire_op *o)
{
	struct ax_wire_hold *h = o->hold, **at = &k->first;

	o->hold = NULL;
	if (!h)
		return;
	ax_cuda_failed(c, "communication", cudaEventRecord(h->to, c->compute));
	while (*at)
		at = &(*at)->next;
	h->next = NULL;
	*at = h;
}

double ax_wire_held_s(struct ax_wire_clock *k, struct ax_cuda *c)
{
	struct ax_wire_hold *h;
	float ms;

	while ((h = k->first) && ax_wire_reached(c, h->to)) {
		if (cudaEventElapsedTime(&ms, h->from, h->to) == cudaSuccess)
			k->held_s += (double)ms / 1000;
		else
			cudaGetLastError();
		k->first = h->next;
		h->next = k->spare;
		k->spare = h;
	}
	return k->held_s;
}

void ax_wire_clock_release(struct ax_wire_clock *k)
{
	struct ax_wire_hold **list[] = { &k->first, &k->spare };

	for (int i = 0; i < 2; i++)
		for (struct ax_wire_hold *h = *list[i], *next; h; h = next) {
			next = h->next;
			hold_free(h);
		}
	k->first = k->spare = NULL;
}
