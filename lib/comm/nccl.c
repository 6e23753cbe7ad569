/*
 * NCCL (comm/wire.h): gathers and reductions on two lanes, each a communicator and a stream of its own, so that the next
 * unit's weights arrive while the last one's gradient leaves. Every rank starts the same collectives in the same order,
 * and so the kernels of both lanes are launched in one order everywhere, which is what NCCL asks of programs with several
 * communicators.
 *
 * Communicators do not block: NCCL may answer "in progress", and until that is over it takes no further call and has put
 * nothing on the stream. So a collective goes through the states below, moved on by progress(). It stays in its lane's
 * list until the device has been through it, for the watchdog: while the host waits for the device, idle() finds out
 * whether the device waits for the other ranks (`ready` reached, `done` not), computes, or has moved since. `marks` are
 * events on the compute stream at every call of progress(), so that a long computation is seen to move too.
 *
 * The host may be AHEAD collectives ahead of the device: so it never fills the device's launch queue behind a collective
 * that hangs, where it would block without anybody noticing.
 */
#include <nccl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "comm/watchdog.h"
#include "comm/wire.h"

#define BF16 ((ncclDataType_t)9) /* ncclBfloat16, which NCCL up to 2.22 at least names only to C++ */
#define AHEAD 16
#define N_MARK 64
#define EAGER_POLLS 200   /* of a start, for NCCL to answer; then progress() goes on */
#define COMPUTES_AFTER_S 1.0 /* of a wait, in which the device is taken to wait for other ranks; then it is asked */
#define OPEN_S 600.0

enum { GATHER, REDUCE, N_LANE };

enum state {
	STARTED, /* `ready` is recorded */
	CALLED,  /* NCCL has been called and has not answered */
	ISSUED,  /* on the stream, and so is `done` */
};

struct op {
	struct ax_wire_op base;
	enum state state;
	bool taken, reached; /* the caller has waited; the device has been through it */
	uint64_t step, id;
	char what[48];
};

struct lane {
	ncclComm_t nccl;
	cudaStream_t stream;
	struct ax_wire_op *first; /* in the order of starts */
};

struct nccl {
	struct ax_comm *comm;
	struct ax_dev *dev;
	struct ax_cuda *cuda;
	struct lane lane[N_LANE];
	struct ax_wire_pool pool;
	struct ax_wire_clock clock;
	int n_live; /* ops in the lanes */
	cudaEvent_t mark[N_MARK];
	unsigned mark_first, n_mark; /* recorded and not known to be reached */
	double moved_at;             /* of this wait of the host */
	bool waiting;                /* the watchdog was told that the device waits */
	bool aborted;
	char name[64];
	struct ax_cuda_idle idle;
	struct ax_watchdog_hook hook;
};

static struct nccl *impl(const struct ax_comm *c)
{
	return c->impl;
}

static struct op *first_of(const struct lane *l)
{
	return (struct op *)l->first;
}

static struct op *after(const struct op *o)
{
	return (struct op *)o->base.next;
}

/* --- failures ------------------------------------------------------------------------------------------------------- */

/* The kernels end, whatever the other ranks do. Also called by the watchdog's thread, when this process is about to end. */
static void abort_all(void *ctx)
{
	struct nccl *w = ctx;
	bool before = w->aborted;

	w->aborted = true;
	for (int i = 0; !before && i < N_LANE; i++)
		if (w->lane[i].nccl)
			ncclCommAbort(w->lane[i].nccl);
}

static int nccl_fail(struct nccl *w, const struct lane *l, ncclResult_t rc, const char *what, struct ax_err *e)
{
	const char *more = w->aborted || !l ? "" : ncclGetLastError(l->nccl);

	ax_fail(e, AX_ECOMM, "%s: NCCL: %s%s%s", what, ncclGetErrorString(rc), more && *more ? ": " : "", more ? more : "");
	abort_all(w);
	return AX_ECOMM;
}

static int gone(struct ax_err *e)
{
	return ax_fail(e, AX_ECOMM, "the communicator was given up after an error");
}

static int cuda_check(struct nccl *w, cudaError_t rc, struct ax_err *e)
{
	return ax_cuda_failed(w->cuda, "communication", rc) ? ax_fail(e, AX_ECOMM, "GPU %d: %s", w->cuda->device, cudaGetErrorString(rc)) : 0;
}

/* What NCCL found out by itself (a connection that broke), or the answer that is due. */
static int ask(struct nccl *w, struct lane *l, const char *what, bool *busy, struct ax_err *e)
{
	ncclResult_t state = ncclSuccess, rc;

	*busy = false;
	if (w->aborted)
		return gone(e);
	rc = ncclCommGetAsyncError(l->nccl, &state);
	if (rc == ncclSuccess)
		rc = state;
	*busy = rc == ncclInProgress;
	return rc == ncclSuccess || *busy ? 0 : nccl_fail(w, l, rc, what, e);
}

/* --- ops ------------------------------------------------------------------------------------------------------------ */

/* Out of its lane, where all before it have been reached too. */
static void op_reached(struct nccl *w, struct lane *l, struct op *o)
{
	l->first = o->base.next;
	w->n_live--;
	w->comm->n_moved++;
	o->reached = true;
	if (o->taken)
		ax_wire_op_give(&w->pool, &o->base);
}

/* Where a sum lands before it is added to dst: in place, which needs no other memory. */
static char *own_part(const struct nccl *w, const struct ax_wire_op *o)
{
	return o->src + (size_t)w->comm->rank * o->bytes;
}

static ncclResult_t call(const struct nccl *w, const struct lane *l, const struct ax_wire_op *o)
{
	ncclDataType_t t = o->type == AX_SUM_F32 ? ncclFloat32 : BF16;
	size_t n = o->bytes / ax_sum_bytes(o->type);

	switch (o->kind) {
	case AX_WIRE_ALL_GATHER:
		return ncclAllGather(o->src, o->dst, o->bytes, ncclInt8, l->nccl, l->stream);
	case AX_WIRE_ALL_REDUCE:
		return ncclAllReduce(o->src, o->dst, n, t, ncclSum, l->nccl, l->stream);
	case AX_WIRE_BROADCAST:
		return ncclBroadcast(o->src, o->dst, o->bytes, ncclInt8, o->root, l->nccl, l->stream);
	case AX_WIRE_REDUCE_SCATTER:
		break;
	}
	return ncclReduceScatter(o->src, o->accumulate ? own_part(w, o) : o->dst, n, t, ncclSum, l->nccl, l->stream);
}

/* NCCL has put it on the stream: what belongs behind it. */
static int finish(struct nccl *w, struct lane *l, struct op *o, struct ax_err *e)
{
	if (o->base.accumulate)
		ax_wire_add(w->dev, l->stream, o->base.dst, own_part(w, &o->base), o->base.bytes / ax_sum_bytes(o->base.type), o->base.type);
	o->state = ISSUED;
	return cuda_check(w, cudaEventRecord(o->base.done, l->stream), e);
}

/* Move a lane's first op that is not yet on the stream; *busy: NCCL has not answered, or there is none. */
static int advance(struct nccl *w, struct lane *l, bool *busy, struct ax_err *e)
{
	struct op *o = first_of(l);
	ncclResult_t rc;

	*busy = true;
	while (o && o->state == ISSUED)
		o = after(o);
	if (!o)
		return 0;
	if (o->state == STARTED) {
		AX_TRY(cuda_check(w, cudaStreamWaitEvent(l->stream, o->base.ready, 0), e));
		rc = call(w, l, &o->base);
		if (rc != ncclSuccess && rc != ncclInProgress)
			return nccl_fail(w, l, rc, o->what, e);
		o->state = CALLED;
	}
	AX_TRY(ask(w, l, o->what, busy, e));
	return *busy ? 0 : finish(w, l, o, e);
}

static int advance_all(struct nccl *w, struct ax_err *e)
{
	bool busy;

	for (int i = 0; i < N_LANE; i++)
		do
			AX_TRY(advance(w, &w->lane[i], &busy, e));
		while (!busy);
	return 0;
}

static void mark(struct nccl *w)
{
	unsigned at = (w->mark_first + w->n_mark) % N_MARK;

	if (w->n_mark == N_MARK)
		w->mark_first = (w->mark_first + 1) % N_MARK; /* that one is recorded anew */
	else
		w->n_mark++;
	ax_cuda_failed(w->cuda, "communication", cudaEventRecord(w->mark[at], w->cuda->compute));
}

static int nccl_progress(struct ax_comm *c, struct ax_err *e)
{
	struct nccl *w = impl(c);
	bool busy;

	if (w->cuda->recording)
		return 0;
	AX_TRY(advance_all(w, e));
	for (int i = 0; i < N_LANE; i++)
		AX_TRY(ask(w, &w->lane[i], w->lane[i].first ? first_of(&w->lane[i])->what : "communication", &busy, e));
	mark(w);
	return 0;
}

/* --- while the host waits for the device ---------------------------------------------------------------------------- */

/* Take out what the device has been through; true: something. */
static bool reap(struct nccl *w)
{
	bool moved = false;

	for (int i = 0; i < N_LANE; i++)
		while (w->lane[i].first && first_of(&w->lane[i])->state == ISSUED && ax_wire_reached(w->cuda, w->lane[i].first->done)) {
			op_reached(w, &w->lane[i], first_of(&w->lane[i]));
			moved = true;
		}
	while (w->n_mark && ax_wire_reached(w->cuda, w->mark[w->mark_first])) {
		w->mark_first = (w->mark_first + 1) % N_MARK;
		w->n_mark--;
		moved = true;
	}
	return moved;
}

static const struct op *oldest(const struct nccl *w)
{
	const struct op *a = first_of(&w->lane[GATHER]), *b = first_of(&w->lane[REDUCE]);

	return !a || (b && b->id < a->id) ? b : a;
}

static void tell(struct nccl *w, double waited_s)
{
	const struct op *o = oldest(w);
	bool waits = o && (waited_s < COMPUTES_AFTER_S || ax_wire_reached(w->cuda, o->base.ready));

	if (o)
		ax_watchdog_device(w->comm->watchdog, o->step, o->what, waits);
	else if (w->waiting)
		ax_watchdog_tick(w->comm->watchdog, false);
	w->waiting = waits;
}

/* Another rank's end may be the reason: then the watchdog knows it, and ends this process while we sleep. */
static bool lost(struct nccl *w, const struct ax_err *why)
{
	struct timespec t = {2, 0};

	if (w->comm->watchdog)
		nanosleep(&t, NULL);
	ax_cuda_fail(w->cuda, "communication", "rank %d (%s): %s", w->comm->rank, w->comm->host, why->msg);
	abort_all(w);
	return false;
}

static bool idle(void *ctx, double waited_s)
{
	struct nccl *w = ctx;
	struct ax_err e = {0};
	const struct op *o;
	bool busy = false;

	if (waited_s < 0) {
		if (w->waiting)
			ax_watchdog_tick(w->comm->watchdog, false);
		w->waiting = false;
		return true;
	}
	if (w->aborted)
		return false;
	if (advance_all(w, &e) || ask(w, &w->lane[GATHER], "communication", &busy, &e) || ask(w, &w->lane[REDUCE], "communication", &busy, &e))
		return lost(w, &e);
	tell(w, waited_s);
	if (reap(w) || waited_s == 0) {
		w->moved_at = waited_s;
		ax_watchdog_tick(w->comm->watchdog, w->waiting);
	}
	o = oldest(w);
	if (o && w->comm->timeout_s > 0 && waited_s - w->moved_at > w->comm->timeout_s) {
		ax_fail(&e, AX_ECOMM, "step %llu, %s: nothing moved for %.0f s", (unsigned long long)o->step, o->what, w->comm->timeout_s);
		return lost(w, &e);
	}
	return true;
}

/* --- starts --------------------------------------------------------------------------------------------------------- */

/* The host lets the device catch up. */
static int keep_up(struct nccl *w, struct ax_err *e)
{
	const struct op *o;

	if (w->n_live >= AHEAD)
		reap(w);
	if (w->n_live < AHEAD)
		return 0;
	o = oldest(w);
	if (o->state == ISSUED && ax_cuda_wait(w->cuda, o->base.done) != cudaSuccess)
		return w->dev->ops->sync(w->dev, e);
	reap(w);
	return 0;
}

static int start(struct ax_comm *c, int lane, const struct ax_wire_op *what, struct ax_comm_req *r, struct ax_err *e)
{
	struct nccl *w = impl(c);
	struct lane *l = &w->lane[lane];
	bool busy = true;
	struct op *o;

	if (!what->bytes)
		return 0;
	if (w->aborted)
		return gone(e);
	AX_TRY(keep_up(w, e));
	o = (struct op *)ax_wire_op_start(&w->pool, sizeof(*o), what, &l->first, e);
	if (!o)
		return AX_EMEM;
	o->step = r->step;
	o->id = r->id;
	snprintf(o->what, sizeof(o->what), "%s", r->what);
	w->n_live++;
	r->impl = o;
	AX_TRY(cuda_check(w, cudaEventRecord(o->base.ready, w->cuda->compute), e));
	for (int i = 0; i < EAGER_POLLS && o->state != ISSUED; i++)
		AX_TRY(advance(w, l, &busy, e));
	return 0;
}

static int nccl_all_gather(struct ax_comm *c, void *dst, const void *src, size_t bytes, struct ax_comm_req *r, struct ax_err *e)
{
	return start(c, GATHER, &(struct ax_wire_op){.kind = AX_WIRE_ALL_GATHER, .dst = dst, .src = (char *)(uintptr_t)src, .bytes = bytes}, r, e);
}

static int nccl_reduce_scatter(struct ax_comm *c, void *dst, void *src, size_t n, enum ax_sum_type t, bool accumulate, struct ax_comm_req *r, struct ax_err *e)
{
	struct ax_wire_op o = {.kind = AX_WIRE_REDUCE_SCATTER, .dst = dst, .src = src, .bytes = n * ax_sum_bytes(t), .type = t, .accumulate = accumulate};

	return start(c, REDUCE, &o, r, e);
}

static int nccl_all_reduce(struct ax_comm *c, void *x, size_t n, enum ax_sum_type t, struct ax_comm_req *r, struct ax_err *e)
{
	return start(c, REDUCE, &(struct ax_wire_op){.kind = AX_WIRE_ALL_REDUCE, .dst = x, .src = x, .bytes = n * ax_sum_bytes(t), .type = t}, r, e);
}

static int nccl_broadcast(struct ax_comm *c, void *p, size_t bytes, int root, struct ax_comm_req *r, struct ax_err *e)
{
	return start(c, GATHER, &(struct ax_wire_op){.kind = AX_WIRE_BROADCAST, .dst = p, .src = p, .bytes = bytes, .root = root}, r, e);
}

/* Done for the host: it is on the stream, and the compute stream goes on behind it. */
static int nccl_test(struct ax_comm *c, struct ax_comm_req *r, bool *done, struct ax_err *e)
{
	struct nccl *w = impl(c);
	struct op *o = r->impl;

	*done = w->aborted;
	if (w->aborted) {
		r->impl = NULL;
		return 0;
	}
	ax_wire_hold_begin(&w->clock, w->cuda, &o->base);
	AX_TRY(advance_all(w, e));
	if (o->state != ISSUED)
		return 0;
	AX_TRY(cuda_check(w, cudaStreamWaitEvent(w->cuda->compute, o->base.done, 0), e));
	ax_wire_hold_end(&w->clock, w->cuda, &o->base);
	*done = true;
	r->impl = NULL;
	o->taken = true;
	if (o->reached)
		ax_wire_op_give(&w->pool, &o->base);
	return 0;
}

/* NCCL does not say. */
static void nccl_missing(struct ax_comm *c, const struct ax_comm_req *r, char *buf, size_t n)
{
	buf[0] = '\0';
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

/* Part of start-up and end: the host waits, and the watchdog decides how long. */
static int settle(struct nccl *w, struct lane *l, const char *what, struct ax_err *e)
{
	const struct timespec nap = {0, 100000};
	double end = ax_now() + OPEN_S;
	bool busy = true;

	for (int i = 0; busy; i++) {
		AX_TRY(ask(w, l, what, &busy, e));
		if (busy && ax_now() > end)
			return nccl_fail(w, l, ncclInProgress, what, e);
		if (busy && i > EAGER_POLLS)
			nanosleep(&nap, NULL);
	}
	return 0;
}

static int lane_close(struct nccl *w, struct lane *l)
{
	ncclResult_t rc;

	if (w->aborted || !l->nccl)
		return 0;
	rc = ncclCommFinalize(l->nccl);
	if ((rc != ncclSuccess && rc != ncclInProgress) || settle(w, l, "leave", NULL))
		return AX_ECOMM;
	ncclCommDestroy(l->nccl);
	return 0;
}

static void nccl_give_up(struct ax_comm *c)
{
	abort_all(impl(c));
}

static double nccl_held_s(struct ax_comm *c)
{
	return ax_wire_held_s(&impl(c)->clock, impl(c)->cuda);
}

static void nccl_close(struct ax_comm *c, bool failed)
{
	struct nccl *w = impl(c);

	ax_watchdog_unhook(c->watchdog, &w->hook);
	if (failed)
		abort_all(w);
	if (!failed && !w->aborted)
		ax_cuda_wait(w->cuda, NULL);
	for (int i = 0; i < N_LANE; i++)
		if (lane_close(w, &w->lane[i]))
			abort_all(w);
	ax_cuda_idle_remove(w->cuda, &w->idle);
	for (int i = 0; i < N_LANE; i++) {
		if (w->lane[i].stream)
			cudaStreamDestroy(w->lane[i].stream);
		ax_wire_ops_free(&w->lane[i].first);
	}
	for (int i = 0; i < N_MARK; i++)
		if (w->mark[i])
			cudaEventDestroy(w->mark[i]);
	ax_wire_ops_free(&w->pool.spare);
	ax_wire_clock_release(&w->clock);
	ax_free(w);
	ax_free(c);
}

static const struct ax_comm_ops nccl_ops;

static int streams_open(struct nccl *w, struct ax_err *e)
{
	int least = 0, greatest = 0;
	cudaError_t rc = cudaDeviceGetStreamPriorityRange(&least, &greatest);

	for (int i = 0; !rc && i < N_LANE; i++)
		rc = cudaStreamCreateWithPriority(&w->lane[i].stream, cudaStreamNonBlocking, greatest);
	for (int i = 0; !rc && i < N_MARK; i++)
		rc = cudaEventCreateWithFlags(&w->mark[i], cudaEventDisableTiming);
	return cuda_check(w, rc, e);
}

static int wire_new(struct ax_comm **out, struct ax_dev *d, const struct ax_comm *host, struct ax_err *e)
{
	struct nccl *w = ax_calloc(1, sizeof(*w));
	struct ax_comm *c = w ? ax_wire_new(host, e) : NULL;
	int version = 0;

	if (!c) {
		ax_free(w);
		return ax_fail(e, AX_EMEM, "no memory for a communicator");
	}
	w->comm = c;
	w->dev = d;
	w->cuda = ax_cuda_of(d);
	c->ops = &nccl_ops;
	c->impl = w;
	ncclGetVersion(&version);
	snprintf(w->name, sizeof(w->name), "NCCL %d.%d.%d", version / 10000, version / 100 % 100, version % 100);
	c->name = w->name;
	*out = c;
	return streams_open(w, e);
}

/* Both lanes are connected: it takes part in what happens while the host waits, and at the job's end. */
static void join(struct nccl *w)
{
	w->idle = (struct ax_cuda_idle){.fn = idle, .ctx = w};
	ax_cuda_idle_add(w->cuda, &w->idle);
	w->hook = (struct ax_watchdog_hook){.fn = abort_all, .ctx = w};
	ax_watchdog_hook(w->comm->watchdog, &w->hook);
}

static int split_lane(struct nccl *w, struct lane *from, int color, int key, struct nccl *out, struct lane *to, struct ax_err *e)
{
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
	ncclResult_t rc;

	config.blocking = 0;
	rc = ncclCommSplit(from->nccl, color < 0 ? NCCL_SPLIT_NOCOLOR : color, key, &to->nccl, &config);
	if (rc != ncclSuccess && rc != ncclInProgress)
		return nccl_fail(w, from, rc, "split", e);
	AX_TRY(settle(w, from, "split", e));
	return to->nccl ? settle(out, to, "split", e) : 0;
}

/* Rank and size in the new communicator, from NCCL itself. */
static int split_place(struct nccl *out, struct ax_err *e)
{
	ncclResult_t rc = ncclCommCount(out->lane[GATHER].nccl, &out->comm->n_rank);

	if (rc == ncclSuccess)
		rc = ncclCommUserRank(out->lane[GATHER].nccl, &out->comm->rank);
	return rc == ncclSuccess ? 0 : nccl_fail(out, &out->lane[GATHER], rc, "split", e);
}

static int nccl_split(struct ax_comm *c, int color, int key, struct ax_comm **out, struct ax_err *e)
{
	struct nccl *w = impl(c), *x;
	struct ax_comm *made = NULL;
	int rc;

	AX_GOTO(wire_new(&made, w->dev, c, e));
	x = impl(made);
	for (int i = 0; i < N_LANE; i++)
		AX_GOTO(split_lane(w, &w->lane[i], color, key, x, &x->lane[i], e));
	if (color >= 0) {
		AX_GOTO(split_place(x, e));
		join(x);
	}
out:
	if (made && (rc || color < 0)) {
		nccl_close(made, rc != 0);
		made = NULL;
	}
	*out = made;
	return rc;
}

static const struct ax_comm_ops nccl_ops = {
	.all_gather = nccl_all_gather,
	.reduce_scatter = nccl_reduce_scatter,
	.all_reduce = nccl_all_reduce,
	.broadcast = nccl_broadcast,
	.progress = nccl_progress,
	.test = nccl_test,
	.split = nccl_split,
	.missing = nccl_missing,
	.give_up = nccl_give_up,
	.held_s = nccl_held_s,
	.close = nccl_close,
};

/* Rank 0's identifier of the communicator, and its version of the library, which all must have. */
static int meet(struct nccl *w, struct ax_comm *host, ncclUniqueId *id, struct ax_err *e)
{
	struct {
		ncclUniqueId id;
		char name[64];
		int rc;
	} m;

	memset(&m, 0, sizeof(m));
	memcpy(m.name, w->name, sizeof(m.name));
	m.rc = host->rank == 0 ? (int)ncclGetUniqueId(&m.id) : 0;
	host->what = "start NCCL";
	AX_TRY(ax_comm_share(host, &m, sizeof(m), 0, e));
	if (m.rc)
		return ax_fail(e, AX_ECOMM, "rank 0 cannot start NCCL: %s", ncclGetErrorString((ncclResult_t)m.rc));
	if (strcmp(m.name, w->name))
		return ax_fail(e, AX_ECOMM, "rank %d (%s) has %s, rank 0 has %s: all need the same", host->rank, host->host, w->name, m.name);
	*id = m.id;
	return 0;
}

static int connect_lanes(struct nccl *w, struct ax_comm *host, const ncclUniqueId *id, struct ax_err *e)
{
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
	struct lane *l = &w->lane[GATHER];
	ncclResult_t rc;

	config.blocking = 0;
	ax_watchdog_at(host->watchdog, host->step, "connect NCCL", true);
	rc = ncclCommInitRankConfig(&l->nccl, host->n_rank, *id, host->rank, &config);
	if (rc != ncclSuccess && rc != ncclInProgress)
		return nccl_fail(w, NULL, rc, "connect", e);
	AX_TRY(settle(w, l, "connect", e));
	AX_TRY(split_lane(w, l, 0, host->rank, w, &w->lane[REDUCE], e));
	ax_watchdog_tick(host->watchdog, false);
	return 0;
}

int ax_nccl_open(struct ax_comm **out, struct ax_dev *d, struct ax_comm *host, struct ax_err *e)
{
	struct ax_comm *c = NULL;
	ncclUniqueId id;
	int rc = ax_comm_agree(host, ax_nccl_library(e), e);

	if (!rc)
		rc = ax_comm_agree(host, wire_new(&c, d, host, e), e);
	if (!rc)
		rc = ax_comm_agree(host, meet(impl(c), host, &id, e), e);
	if (!rc)
		rc = ax_comm_agree(host, connect_lanes(impl(c), host, &id, e), e);
	if (!rc)
		join(impl(c));
	if (rc && c) {
		nccl_close(c, true);
		c = NULL;
	}
	*out = c;
	return rc;
}
