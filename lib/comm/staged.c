/*
 * The staged wire (comm/wire.h): device memory by way of pinned host memory, where a communicator of the host's moves it
 * and sums it, in its order: ranks that share a GPU get the bits that the CPU would give.
 *
 * A collective is cut into chunks that fit a slot of pinned memory. A slot's chunk comes down, goes through the host's
 * collective, and goes up again; two slots take turns, strictly in order, so that the host's collectives begin in the same
 * order on all ranks. Down and up have a stream each: what comes down waits for the compute stream to get there, and what
 * goes up must not wait behind it. The inner communicator is this wire's own, because other collectives of the host
 * begin at other times.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "comm/wire.h"

#define SLOT_BYTES ((size_t)16 << 20)
#define N_SLOT 2

struct op {
	struct ax_wire_op base;
	size_t begun, ended; /* bytes of chunks that came down, and that went up */
};

enum stage { DOWN, HOST };

struct slot {
	char *p; /* a part for each rank, and one more for a sum */
	enum stage stage;
	struct op *op;
	size_t off, len;
	struct ax_comm_req req;
	cudaEvent_t down, up;
};

struct staged {
	struct ax_comm *comm, *inner;
	struct ax_dev *dev;
	struct ax_cuda *cuda;
	cudaStream_t down, up;
	size_t chunk; /* bytes of one rank's part in a slot */
	struct slot slot[N_SLOT];
	unsigned first, n_busy; /* slots in use, in order */
	struct ax_wire_op *ops; /* not yet taken by a wait, in the order of starts */
	struct ax_wire_pool pool;
	struct ax_wire_clock clock;
	bool given_up;
	const char *why;
	char name[96];
	struct ax_cuda_idle idle;
};

static struct staged *impl(const struct ax_comm *c)
{
	return c->impl;
}

static int check(struct staged *w, cudaError_t rc, struct ax_err *e)
{
	return ax_cuda_failed(w->cuda, "staging", rc) ? ax_fail(e, AX_ECOMM, "GPU %d: staging: %s", w->cuda->device, cudaGetErrorString(rc)) : 0;
}

/* --- a chunk -------------------------------------------------------------------------------------------------------- */

static int fetch(struct staged *w, char *host, const char *from, size_t n, struct ax_err *e)
{
	return check(w, cudaMemcpyAsync(host, from, n, cudaMemcpyDeviceToHost, w->down), e);
}

static int put(struct staged *w, char *to, const char *host, size_t n, struct ax_err *e)
{
	return check(w, cudaMemcpyAsync(to, host, n, cudaMemcpyHostToDevice, w->up), e);
}

static int come_down(struct staged *w, struct slot *s, struct ax_err *e)
{
	const struct ax_wire_op *o = &s->op->base;
	size_t rank = (size_t)w->comm->rank;

	AX_TRY(check(w, cudaStreamWaitEvent(w->down, o->ready, 0), e));
	AX_TRY(check(w, cudaStreamWaitEvent(w->down, s->up, 0), e)); /* what was in this slot has left it */
	if (o->kind == AX_WIRE_ALL_GATHER)
		AX_TRY(fetch(w, s->p + rank * s->len, o->src + s->off, s->len, e));
	else if (o->kind == AX_WIRE_ALL_REDUCE || (o->kind == AX_WIRE_BROADCAST && w->comm->rank == o->root))
		AX_TRY(fetch(w, s->p, o->src + s->off, s->len, e));
	for (size_t k = 0; o->kind == AX_WIRE_REDUCE_SCATTER && k < (size_t)w->comm->n_rank; k++)
		AX_TRY(fetch(w, s->p + k * s->len, o->src + k * o->bytes + s->off, s->len, e));
	s->stage = DOWN;
	return check(w, cudaEventRecord(s->down, w->down), e);
}

static char *sum_of(const struct staged *w, const struct slot *s)
{
	return s->p + (size_t)w->comm->n_rank * s->len;
}

static int exchange(struct staged *w, struct slot *s, struct ax_err *e)
{
	struct ax_comm *in = w->inner;
	enum ax_sum_type t = s->op->base.type;
	size_t n = s->len / ax_sum_bytes(t);

	s->stage = HOST;
	s->req.impl = NULL;
	switch (s->op->base.kind) {
	case AX_WIRE_ALL_GATHER:
		return in->ops->all_gather(in, s->p, s->p + (size_t)w->comm->rank * s->len, s->len, &s->req, e);
	case AX_WIRE_REDUCE_SCATTER:
		return in->ops->reduce_scatter(in, sum_of(w, s), s->p, n, t, false, &s->req, e);
	case AX_WIRE_ALL_REDUCE:
		return in->ops->all_reduce(in, s->p, n, t, &s->req, e);
	case AX_WIRE_BROADCAST:
		break;
	}
	return in->ops->broadcast(in, s->p, s->len, s->op->base.root, &s->req, e);
}

static int go_up(struct staged *w, struct slot *s, struct ax_err *e)
{
	const struct ax_wire_op *o = &s->op->base;
	size_t rank = (size_t)w->comm->rank, off = s->off;
	/* where a sum waits to be added: the own part of src, which is nobody's any more */
	char *sum = o->accumulate ? o->src + rank * o->bytes : o->dst;

	for (size_t k = 0; o->kind == AX_WIRE_ALL_GATHER && k < (size_t)w->comm->n_rank; k++)
		if (k != rank || o->dst + k * o->bytes != o->src)
			AX_TRY(put(w, o->dst + k * o->bytes + off, s->p + k * s->len, s->len, e));
	if (o->kind == AX_WIRE_REDUCE_SCATTER)
		AX_TRY(put(w, sum + off, sum_of(w, s), s->len, e));
	if (o->kind == AX_WIRE_ALL_REDUCE || (o->kind == AX_WIRE_BROADCAST && w->comm->rank != o->root))
		AX_TRY(put(w, o->dst + off, s->p, s->len, e));
	AX_TRY(check(w, cudaEventRecord(s->up, w->up), e));
	if (o->accumulate)
		ax_wire_add(w->dev, w->up, o->dst + off, sum + off, s->len / ax_sum_bytes(o->type), o->type);
	s->op->ended += s->len;
	return s->op->ended < o->bytes ? 0 : check(w, cudaEventRecord(o->done, w->up), e);
}

/* --- progress ------------------------------------------------------------------------------------------------------- */

/* The slots in use, from the oldest on: each as far as it gets, none past the one before it. */
static int move_slots(struct staged *w, struct ax_err *e)
{
	for (unsigned i = 0; i < w->n_busy; i++) {
		struct slot *s = &w->slot[(w->first + i) % N_SLOT];
		bool done = true;

		if (s->stage == DOWN && !ax_wire_reached(w->cuda, s->down))
			return 0;
		if (s->stage == DOWN) {
			w->comm->n_moved++;
			AX_TRY(exchange(w, s, e));
		}
		if (i > 0)
			continue;
		if (s->req.impl)
			AX_TRY(w->inner->ops->test(w->inner, &s->req, &done, e));
		if (!done)
			continue;
		AX_TRY(go_up(w, s, e));
		w->comm->n_moved++;
		w->first = (w->first + 1) % N_SLOT;
		w->n_busy--;
		i--;
	}
	return 0;
}

static int fill_slots(struct staged *w, struct ax_err *e)
{
	for (struct op *o = (struct op *)w->ops; o; o = (struct op *)o->base.next)
		while (o->begun < o->base.bytes) {
			struct slot *s = &w->slot[(w->first + w->n_busy) % N_SLOT];

			if (w->n_busy == N_SLOT)
				return 0;
			s->op = o;
			s->off = o->begun;
			s->len = o->base.bytes - o->begun < w->chunk ? o->base.bytes - o->begun : w->chunk;
			o->begun += s->len;
			w->n_busy++;
			AX_TRY(come_down(w, s, e));
		}
	return 0;
}

static int staged_progress(struct ax_comm *c, struct ax_err *e)
{
	struct staged *w = impl(c);
	uint64_t moved = w->inner->n_moved;

	if (w->cuda->recording || w->given_up)
		return 0;
	AX_TRY(fill_slots(w, e));
	AX_TRY(move_slots(w, e));
	AX_TRY(w->inner->ops->progress(w->inner, e));
	c->n_moved += w->inner->n_moved - moved;
	return fill_slots(w, e);
}

static bool idle(void *ctx, double waited_s)
{
	struct staged *w = ctx;
	struct ax_err e = {0};

	if (waited_s < 0 || !staged_progress(w->comm, &e))
		return true;
	ax_cuda_fail(w->cuda, "communication", "rank %d (%s): %s", w->comm->rank, w->comm->host, e.msg);
	return false;
}

/* --- starts --------------------------------------------------------------------------------------------------------- */

static int start(struct ax_comm *c, const struct ax_wire_op *what, struct ax_comm_req *r, struct ax_err *e)
{
	struct staged *w = impl(c);
	struct ax_wire_op *o;

	if (!what->bytes)
		return 0;
	if (w->given_up)
		return ax_fail(e, AX_ECOMM, "the communicator was given up after an error");
	o = ax_wire_op_start(&w->pool, sizeof(struct op), what, &w->ops, e);
	if (!o)
		return AX_EMEM;
	r->impl = o;
	AX_TRY(check(w, cudaEventRecord(o->ready, w->cuda->compute), e));
	return fill_slots(w, e);
}

static int staged_all_gather(struct ax_comm *c, void *dst, const void *src, size_t bytes, struct ax_comm_req *r, struct ax_err *e)
{
	return start(c, &(struct ax_wire_op){.kind = AX_WIRE_ALL_GATHER, .dst = dst, .src = (char *)(uintptr_t)src, .bytes = bytes}, r, e);
}

static int staged_reduce_scatter(struct ax_comm *c, void *dst, void *src, size_t n, enum ax_sum_type t, bool accumulate, struct ax_comm_req *r,
				 struct ax_err *e)
{
	struct ax_wire_op o = {.kind = AX_WIRE_REDUCE_SCATTER, .dst = dst, .src = src, .bytes = n * ax_sum_bytes(t), .type = t, .accumulate = accumulate};

	return start(c, &o, r, e);
}

static int staged_all_reduce(struct ax_comm *c, void *x, size_t n, enum ax_sum_type t, struct ax_comm_req *r, struct ax_err *e)
{
	return start(c, &(struct ax_wire_op){.kind = AX_WIRE_ALL_REDUCE, .dst = x, .src = x, .bytes = n * ax_sum_bytes(t), .type = t}, r, e);
}

static int staged_broadcast(struct ax_comm *c, void *p, size_t bytes, int root, struct ax_comm_req *r, struct ax_err *e)
{
	return start(c, &(struct ax_wire_op){.kind = AX_WIRE_BROADCAST, .dst = p, .src = p, .bytes = bytes, .root = root}, r, e);
}

static int staged_test(struct ax_comm *c, struct ax_comm_req *r, bool *done, struct ax_err *e)
{
	struct staged *w = impl(c);
	struct op *o = r->impl;

	ax_wire_hold_begin(&w->clock, w->cuda, &o->base);
	AX_TRY(staged_progress(c, e));
	*done = o->ended == o->base.bytes || w->given_up;
	if (!*done)
		return 0;
	if (!w->given_up)
		AX_TRY(check(w, cudaStreamWaitEvent(w->cuda->compute, o->base.done, 0), e));
	ax_wire_hold_end(&w->clock, w->cuda, &o->base);
	ax_wire_op_remove(&w->ops, &o->base);
	ax_wire_op_give(&w->pool, &o->base);
	r->impl = NULL;
	return 0;
}

static double staged_held_s(struct ax_comm *c)
{
	return ax_wire_held_s(&impl(c)->clock, impl(c)->cuda);
}

static void staged_missing(struct ax_comm *c, const struct ax_comm_req *r, char *buf, size_t n)
{
	const struct staged *w = impl(c);

	buf[0] = '\0';
	if (w->n_busy && w->slot[w->first].stage == HOST)
		w->inner->ops->missing(w->inner, &w->slot[w->first].req, buf, n);
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

static void staged_give_up(struct ax_comm *c)
{
	impl(c)->given_up = true;
}

static void staged_close(struct ax_comm *c, bool failed)
{
	struct staged *w = impl(c);

	cudaStreamSynchronize(w->up); /* what came down, the host has waited for */
	ax_cuda_idle_remove(w->cuda, &w->idle);
	for (int i = 0; i < N_SLOT; i++) {
		if (w->slot[i].p && !failed) /* else messages may still arrive there */
			cudaFreeHost(w->slot[i].p);
		if (w->slot[i].down)
			cudaEventDestroy(w->slot[i].down);
		if (w->slot[i].up)
			cudaEventDestroy(w->slot[i].up);
	}
	if (w->up)
		cudaStreamDestroy(w->up);
	ax_wire_ops_free(&w->ops);
	ax_wire_ops_free(&w->pool.spare);
	ax_wire_clock_release(&w->clock);
	if (w->inner)
		failed ? ax_comm_abandon(w->inner, NULL) : ax_comm_close(w->inner);
	ax_free(w);
	ax_free(c);
}

static int staged_split(struct ax_comm *c, int color, int key, struct ax_comm **out, struct ax_err *e);

static const struct ax_comm_ops staged_ops = {
	.all_gather = staged_all_gather,
	.reduce_scatter = staged_reduce_scatter,
	.all_reduce = staged_all_reduce,
	.broadcast = staged_broadcast,
	.progress = staged_progress,
	.test = staged_test,
	.split = staged_split,
	.missing = staged_missing,
	.give_up = staged_give_up,
	.held_s = staged_held_s,
	.close = staged_close,
};

static int open_slots(struct staged *w, struct ax_err *e)
{
	size_t parts = (size_t)w->comm->n_rank + 1;
	cudaError_t rc = cudaStreamCreateWithFlags(&w->up, cudaStreamNonBlocking);

	w->chunk = SLOT_BYTES / parts & ~(size_t)255;
	w->chunk = w->chunk ? w->chunk : 256;
	for (int i = 0; !rc && i < N_SLOT; i++) {
		struct slot *s = &w->slot[i];

		rc = cudaMallocHost((void **)&s->p, w->chunk * parts);
		if (!rc)
			rc = cudaEventCreateWithFlags(&s->down, cudaEventDisableTiming);
		if (!rc)
			rc = cudaEventCreateWithFlags(&s->up, cudaEventDisableTiming);
	}
	return rc ? ax_fail(e, AX_EMEM, "no pinned memory for communication through the host: %s", cudaGetErrorString(rc)) : 0;
}

/* inner: taken over, also after a failure. */
static int open_on(struct ax_comm **out, struct ax_dev *d, struct ax_comm *inner, const char *why, struct ax_err *e)
{
	struct staged *w = ax_calloc(1, sizeof(*w));
	struct ax_comm *c = w ? ax_wire_new(inner, e) : NULL;
	int rc;

	if (!c) {
		ax_free(w);
		ax_comm_abandon(inner, NULL);
		return ax_fail(e, AX_EMEM, "no memory for a communicator");
	}
	c->ops = &staged_ops;
	c->impl = w;
	w->comm = c;
	w->inner = inner;
	w->dev = d;
	w->cuda = ax_cuda_of(d);
	w->down = w->cuda->comm;
	w->why = why;
	snprintf(w->name, sizeof(w->name), "staged through the host over %s (%s)", inner->name, why);
	c->name = w->name;
	w->idle = (struct ax_cuda_idle){.fn = idle, .ctx = w};
	ax_cuda_idle_add(w->cuda, &w->idle);
	rc = open_slots(w, e);
	if (rc)
		staged_close(c, true);
	else
		*out = c;
	return rc;
}

static int staged_split(struct ax_comm *c, int color, int key, struct ax_comm **out, struct ax_err *e)
{
	struct staged *w = impl(c);
	struct ax_comm *inner;

	AX_TRY(ax_comm_split(w->inner, color, key, &inner, e));
	return inner ? open_on(out, w->dev, inner, w->why, e) : 0;
}

int ax_staged_open(struct ax_comm **out, struct ax_dev *d, struct ax_comm *host, const char *why, struct ax_err *e)
{
	struct ax_comm *inner;

	AX_TRY(ax_comm_split(host, 0, host->rank, &inner, e));
	return ax_comm_agree(host, open_on(out, d, inner, why, e), e);
}
