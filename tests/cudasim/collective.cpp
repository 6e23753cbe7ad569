/*
 * What collectives do. Ranks first exchange a header and compare it; then everybody sends everybody what it needs, and
 * sums are taken in rank order, rounded to the type after each term as a ring of GPUs would. All messages go between
 * buffers of the host: what is sent is read when the operation's turn comes, results are written when all is there.
 *
 * As on a GPU nobody need wait in here: collective_poll() moves a group on, and other operations may run between.
 *
 * CUDASIM_NCCL_FAIL=n: the n-th operation of this process fails with an asynchronous error. CUDASIM_NCCL_HANG=n: it does
 * not end before the communicator is aborted.
 */
#include "collective.h"

#include <cstdlib>
#include <ctime>
#include <sched.h>

#include "cuda_bf16.h"

size_t collective_type_bytes(ncclDataType_t type)
{
	switch (type) {
	case ncclInt8:
	case ncclUint8: return 1;
	case ncclBfloat16: return 2;
	case ncclInt32:
	case ncclUint32:
	case ncclFloat32: return 4;
	case ncclInt64:
	case ncclUint64:
	case ncclFloat64: return 8;
	}
	cudasim_die("NCCL: data type %d is not simulated", static_cast<int>(type));
}

const char *collective_name(collective_kind kind)
{
	static const char *const name[] = {"ncclAllReduce", "ncclReduceScatter", "ncclAllGather",
					   "ncclBroadcast", "ncclSend",		 "ncclRecv"};
	return name[kind];
}

/* --- waiting --------------------------------------------------------------------------------------------- */

static double now_s(void)
{
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

static double timeout_s(void)
{
	const char *v = getenv("CUDASIM_TIMEOUT");
	return v ? atof(v) : 60.0;
}

static uint64_t chosen_operation(const char *variable)
{
	const char *v = getenv(variable);
	return v ? strtoull(v, nullptr, 10) : 0;
}

static bool all_done(std::vector<wire_request> *r)
{
	bool done = true;
	for (wire_request &q : *r)
		done &= wire_done(&q);
	return done;
}

bool collective_wait(ncclComm_t c, std::vector<wire_request> *r, const char *what)
{
	const double limit = now_s() + timeout_s();
	while (!all_done(r)) {
		if (c->aborted)
			return false;
		if (now_s() > limit)
			cudasim_die("%s: rank %d of %d has waited for the others for %.0f s", what, c->rank, c->n_rank,
				    timeout_s());
		sched_yield();
	}
	return true;
}

/* Messages in flight when a communicator is aborted keep their buffers: these are never freed then. */
struct exchange {
	ncclComm_t comm;
	std::vector<wire_request> requests;

	void send(int rank, const void *data, size_t bytes)
	{
		requests.emplace_back();
		wire_send(&requests.back(), comm->process[static_cast<size_t>(rank)], 2 * comm->context, data, bytes);
	}
	void receive(int rank, void *data, size_t bytes)
	{
		requests.emplace_back();
		wire_receive(&requests.back(), comm->process[static_cast<size_t>(rank)], 2 * comm->context, data,
			     bytes);
	}
};

/* --- headers --------------------------------------------------------------------------------------------- */

struct header {
	uint64_t number;
	collective_kind kind;
	int op, peer, type;
	size_t count;
};

static void print_header(char *text, size_t n, const header &h)
{
	snprintf(text, n, "operation %llu is %s of %zu elements of type %d, reduction %d, root %d",
		 static_cast<unsigned long long>(h.number), collective_name(h.kind), h.count, h.type, h.op, h.peer);
}

[[noreturn]] static void die_mismatch(ncclComm_t c, const header &mine, int rank, const header &theirs)
{
	char a[256], b[256];
	print_header(a, sizeof a, mine);
	print_header(b, sizeof b, theirs);
	cudasim_die("ranks disagree: on rank %d %s, on rank %d %s", c->rank, a, rank, b);
}

/* --- sums ------------------------------------------------------------------------------------------------ */

template <class T> static T combine(T a, T b, ncclRedOp_t op)
{
	switch (op) {
	case ncclSum:
	case ncclAvg: return static_cast<T>(a + b);
	case ncclMax: return a < b ? b : a;
	case ncclMin: return b < a ? b : a;
	case ncclProd: return static_cast<T>(a * b);
	}
	cudasim_die("NCCL: reduction %d is not known", static_cast<int>(op));
}

template <class T> static void reduce(T *to, const T *x, size_t n, ncclRedOp_t op)
{
	for (size_t i = 0; i < n; i++)
		to[i] = combine(to[i], x[i], op);
}

static void reduce(__nv_bfloat16 *to, const __nv_bfloat16 *x, size_t n, ncclRedOp_t op)
{
	for (size_t i = 0; i < n; i++)
		to[i] = __float2bfloat16_rn(combine(__bfloat162float(to[i]), __bfloat162float(x[i]), op));
}

template <class T> static void add_term(char *to, const char *x, size_t n, ncclRedOp_t op)
{
	reduce(reinterpret_cast<T *>(to), reinterpret_cast<const T *>(x), n, op);
}

static void accumulate(char *to, const char *x, const collective *k)
{
	switch (k->type) {
	case ncclFloat32: return add_term<float>(to, x, k->count, k->op);
	case ncclFloat64: return add_term<double>(to, x, k->count, k->op);
	case ncclBfloat16: return add_term<__nv_bfloat16>(to, x, k->count, k->op);
	case ncclInt32: return add_term<int32_t>(to, x, k->count, k->op);
	case ncclUint32: return add_term<uint32_t>(to, x, k->count, k->op);
	case ncclInt64: return add_term<int64_t>(to, x, k->count, k->op);
	case ncclUint64: return add_term<uint64_t>(to, x, k->count, k->op);
	case ncclInt8:
	case ncclUint8: break;
	}
	cudasim_die("NCCL: reduction of type %d is not simulated", static_cast<int>(k->type));
}

static void divide(char *to, const collective *k)
{
	const float n = static_cast<float>(k->comm->n_rank);
	for (size_t i = 0; i < k->count; i++)
		if (k->type == ncclFloat32)
			reinterpret_cast<float *>(to)[i] /= n;
		else if (k->type == ncclBfloat16)
			reinterpret_cast<__nv_bfloat16 *>(to)[i] =
				__float2bfloat16_rn(__bfloat162float(reinterpret_cast<__nv_bfloat16 *>(to)[i]) / n);
		else
			cudasim_die("NCCL: mean of type %d is not simulated", static_cast<int>(k->type));
}

/* --- one collective -------------------------------------------------------------------------------------- */

/* One collective, or all sends and receives of a group that follow one another. */
struct unit {
	const collective *k;
	size_t n;
	size_t bytes; /* of k[0].count elements */
	exchange meet, move;
	header mine;
	std::vector<header> theirs;	     /* by rank */
	std::vector<size_t> sizes, expected; /* of sends and receives: own, and what the other side says */
	std::vector<std::vector<char>> sent, got; /* by rank; of sends and receives by place in the group */
};

static bool is_pair(const unit *u)
{
	return u->k->kind >= SEND;
}

static void meet_all(unit *u)
{
	ncclComm_t c = u->k->comm;
	u->mine = {};
	u->mine.number = ++c->n_run;
	u->mine.kind = u->k->kind;
	u->mine.op = u->k->op;
	u->mine.peer = u->k->peer;
	u->mine.type = u->k->type;
	u->mine.count = u->k->count;
	u->theirs.assign(static_cast<size_t>(c->n_rank), u->mine);
	for (int i = 0; i < c->n_rank; i++)
		if (i != c->rank) {
			u->meet.send(i, &u->mine, sizeof u->mine);
			u->meet.receive(i, &u->theirs[static_cast<size_t>(i)], sizeof u->mine);
		}
}

/* Each side of a pair tells the other its size. */
static void meet_pairs(unit *u)
{
	u->sizes.resize(u->n);
	u->expected.resize(u->n);
	for (size_t i = 0; i < u->n; i++) {
		u->sizes[i] = u->k[i].count * collective_type_bytes(u->k[i].type);
		if (u->k[i].kind == SEND)
			u->meet.send(u->k[i].peer, &u->sizes[i], sizeof(size_t));
		else
			u->meet.receive(u->k[i].peer, &u->expected[i], sizeof(size_t));
	}
}

static void compare(const unit *u)
{
	ncclComm_t c = u->k->comm;
	for (size_t i = 0; i < u->theirs.size(); i++)
		if (memcmp(&u->theirs[i], &u->mine, sizeof u->mine))
			die_mismatch(c, u->mine, static_cast<int>(i), u->theirs[i]);
	for (size_t i = 0; is_pair(u) && i < u->n; i++)
		if (u->k[i].kind == RECEIVE && u->expected[i] != u->sizes[i])
			cudasim_die("ncclRecv: rank %d expects %zu bytes of rank %d, which sends %zu", c->rank,
				    u->sizes[i], u->k[i].peer, u->expected[i]);
}

static std::vector<char> snapshot(const void *p, size_t bytes)
{
	const char *from = static_cast<const char *>(p);
	return std::vector<char>(from, from + bytes);
}

static void move_pairs(unit *u)
{
	u->sent.resize(u->n);
	u->got.resize(u->n);
	for (size_t i = 0; i < u->n; i++)
		if (u->k[i].kind == SEND) {
			u->sent[i] = snapshot(u->k[i].send, u->sizes[i]);
			u->move.send(u->k[i].peer, u->sent[i].data(), u->sizes[i]);
		} else {
			u->got[i].resize(u->sizes[i]);
			u->move.receive(u->k[i].peer, u->got[i].data(), u->sizes[i]);
		}
}

/* Everybody's block to everybody; of a reduce-scatter each rank's own part. A broadcast's goes out from the root only. */
static void move_all(unit *u)
{
	const collective *k = u->k;
	ncclComm_t c = k->comm;
	u->sent.resize(static_cast<size_t>(c->n_rank));
	u->got.resize(static_cast<size_t>(c->n_rank));
	for (int i = 0; i < c->n_rank; i++) {
		const size_t at = static_cast<size_t>(i);
		const bool sends = k->kind != BROADCAST || k->peer == c->rank,
			   receives = k->kind != BROADCAST || k->peer == i;
		if (sends)
			u->sent[at] = snapshot(static_cast<const char *>(k->send) +
						       (k->kind == REDUCE_SCATTER ? at * u->bytes : 0),
					       u->bytes);
		if (i == c->rank) {
			u->got[at] = u->sent[at];
			continue;
		}
		if (sends)
			u->move.send(i, u->sent[at].data(), u->bytes);
		if (receives) {
			u->got[at].resize(u->bytes);
			u->move.receive(i, u->got[at].data(), u->bytes);
		}
	}
}

static void touch(const collective *k, size_t bytes)
{
	const size_t n = static_cast<size_t>(k->comm->n_rank);
	if (k->send)
		check_range(k->send, k->kind == REDUCE_SCATTER ? n * bytes : bytes, false);
	if (k->recv)
		check_range(k->recv, k->kind == ALL_GATHER ? n * bytes : bytes, true);
}

static void store(const unit *u)
{
	const collective *k = u->k;
	char *to = static_cast<char *>(k->recv);
	for (size_t i = 0; is_pair(u) && i < u->n; i++) {
		touch(&k[i], u->sizes[i]);
		if (k[i].kind == RECEIVE)
			memcpy(k[i].recv, u->got[i].data(), u->sizes[i]);
	}
	if (is_pair(u))
		return;
	touch(k, u->bytes);
	if (k->kind == BROADCAST) {
		memcpy(to, u->got[static_cast<size_t>(k->peer)].data(), u->bytes);
		return;
	}
	for (size_t i = 0; i < u->got.size(); i++)
		if (k->kind == ALL_GATHER)
			memcpy(to + i * u->bytes, u->got[i].data(), u->bytes);
		else if (i == 0)
			memcpy(to, u->got[i].data(), u->bytes);
		else
			accumulate(to, u->got[i].data(), k);
	if (k->kind != ALL_GATHER && k->op == ncclAvg)
		divide(to, k);
}

/* --- groups ---------------------------------------------------------------------------------------------- */

struct collective_group {
	std::vector<collective> k;
	std::vector<unit *> units;
	size_t at = 0; /* unit under way */
	int round = 0; /* of it: 0 before, 1 headers, 2 data */
	bool hangs = false, dropped = false;
	double since = now_s();
};

static void choose_fate(collective_group *g)
{
	static const uint64_t fail = chosen_operation("CUDASIM_NCCL_FAIL"),
			      hang = chosen_operation("CUDASIM_NCCL_HANG");
	static uint64_t n_group;
	n_group++;
	if (n_group == fail)
		g->k[0].comm->error = ncclRemoteError;
	g->hangs = n_group == hang;
}

static collective_group *begin_group(const sim_op *op)
{
	collective_group *g = new collective_group;
	const size_t n = op->data.size() / sizeof(collective);
	const collective *k = reinterpret_cast<const collective *>(op->data.data());
	g->k.assign(k, k + n);
	for (size_t i = 0, last; i < n; i = last) {
		last = i + 1;
		while (k[i].kind >= SEND && last < n && k[last].kind >= SEND)
			last++;
		unit *u = new unit;
		u->k = &g->k[i];
		u->n = last - i;
		u->bytes = k[i].count * collective_type_bytes(k[i].type);
		u->meet.comm = u->move.comm = k[i].comm;
		g->units.push_back(u);
	}
	choose_fate(g);
	return g;
}

/* True: it goes on at once. */
static bool next_round(collective_group *g)
{
	unit *u = g->units[g->at];
	if (g->round == 0) {
		is_pair(u) ? meet_pairs(u) : meet_all(u);
		g->round = 1;
	} else if (g->round == 1) {
		if (!all_done(&u->meet.requests))
			return false;
		compare(u);
		is_pair(u) ? move_pairs(u) : move_all(u);
		g->round = 2;
	} else {
		if (!all_done(&u->move.requests))
			return false;
		g->at++;
		g->round = 0;
	}
	return true;
}

bool collective_poll(sim_op *op)
{
	if (!op->group)
		op->group = begin_group(op);
	collective_group *g = op->group;
	ncclComm_t c = g->k[0].comm;
	if (c->aborted || c->error != ncclSuccess)
		g->dropped = true;
	if (!g->dropped && !g->hangs)
		while (g->at < g->units.size() && next_round(g))
			;
	if (g->dropped || g->at == g->units.size())
		return true;
	if (now_s() - g->since > timeout_s())
		cudasim_die("%s: rank %d of %d has waited for the others for %.0f s",
			    collective_name(g->k[g->hangs ? 0 : g->at].kind), c->rank, c->n_rank, timeout_s());
	return false;
}

void collective_run(sim_op *op)
{
	collective_group *g = op->group;
	if (g->dropped)
		return;
	for (unit *u : g->units) {
		store(u);
		delete u;
	}
	delete g;
}
