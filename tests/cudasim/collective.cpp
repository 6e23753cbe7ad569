/*
 * What collectives do. Ranks first exchange a header and compare it; then everybody sends everybody what it needs, and
 * sums are taken in rank order, rounded to the type after each term as a ring of GPUs would.
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

/* --- waiting --------------------------------------------------------------------------------------------------------- */

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
			cudasim_die("%s: rank %d of %d has waited for the others for %.0f s", what, c->rank, c->n_rank, timeout_s());
		sched_yield();
	}
	return true;
}

/* Messages in flight when a communicator is aborted keep their buffers: these are never freed. */
struct exchange {
	ncclComm_t comm;
	const char *what;
	std::vector<wire_request> requests;
	std::vector<std::vector<char>> buffers;

	void send(int rank, const void *data, size_t bytes)
	{
		requests.emplace_back();
		wire_send(&requests.back(), comm->process[static_cast<size_t>(rank)], 2 * comm->context, data, bytes);
	}
	void receive(int rank, void *data, size_t bytes)
	{
		requests.emplace_back();
		wire_receive(&requests.back(), comm->process[static_cast<size_t>(rank)], 2 * comm->context, data, bytes);
	}
	bool wait()
	{
		return collective_wait(comm, &requests, what);
	}
};

/* --- headers --------------------------------------------------------------------------------------------------------- */

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

static bool agree(exchange *e, const header &mine)
{
	ncclComm_t c = e->comm;
	std::vector<header> *all = new std::vector<header>(static_cast<size_t>(c->n_rank) + 1, mine);
	for (int i = 0; i < c->n_rank; i++)
		if (i != c->rank) {
			e->send(i, &all->back(), sizeof mine);
			e->receive(i, &(*all)[static_cast<size_t>(i)], sizeof mine);
		}
	if (!e->wait())
		return false;
	for (int i = 0; i < c->n_rank; i++) {
		const header &h = (*all)[static_cast<size_t>(i)];
		if (memcmp(&h, &mine, sizeof h))
			die_mismatch(c, mine, i, h);
	}
	delete all;
	return true;
}

/* --- sums ------------------------------------------------------------------------------------------------------------ */

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

/* --- the four kinds -------------------------------------------------------------------------------------------------- */

/* Everybody's block of `bytes`, by rank; of mine, `to_rank` says which part goes where. */
static bool all_to_all(exchange *e, const char *mine, size_t bytes, bool by_rank)
{
	ncclComm_t c = e->comm;
	for (int i = 0; i < c->n_rank; i++) {
		const char *part = mine + (by_rank ? static_cast<size_t>(i) * bytes : 0);
		e->buffers.emplace_back(bytes);
		if (i == c->rank) {
			memcpy(e->buffers.back().data(), part, bytes);
			continue;
		}
		e->send(i, part, bytes);
		e->receive(i, e->buffers.back().data(), bytes);
	}
	return e->wait();
}

static void sum_blocks(const exchange *e, const collective *k, char *to)
{
	memcpy(to, e->buffers[0].data(), e->buffers[0].size());
	for (size_t i = 1; i < e->buffers.size(); i++)
		accumulate(to, e->buffers[i].data(), k);
	if (k->op == ncclAvg)
		divide(to, k);
}

static bool run_broadcast(exchange *e, const collective *k, size_t bytes)
{
	ncclComm_t c = k->comm;
	char *to = static_cast<char *>(k->recv);
	if (c->rank != k->peer) {
		e->receive(k->peer, to, bytes);
		return e->wait();
	}
	for (int i = 0; i < c->n_rank; i++)
		if (i != c->rank)
			e->send(i, k->send, bytes);
	if (to && to != k->send)
		memcpy(to, k->send, bytes);
	return e->wait();
}

static bool run_data(exchange *e, const collective *k, size_t bytes)
{
	if (k->kind == BROADCAST)
		return run_broadcast(e, k, bytes);
	if (!all_to_all(e, static_cast<const char *>(k->send), bytes, k->kind == REDUCE_SCATTER))
		return false;
	char *to = static_cast<char *>(k->recv);
	if (k->kind != ALL_GATHER)
		sum_blocks(e, k, to);
	else
		for (size_t i = 0; i < e->buffers.size(); i++)
			memcpy(to + i * bytes, e->buffers[i].data(), bytes);
	return true;
}

static void touch(const collective *k, size_t bytes)
{
	const size_t n = static_cast<size_t>(k->comm->n_rank);
	if (k->send)
		check_range(k->send, k->kind == REDUCE_SCATTER ? n * bytes : bytes, false);
	if (k->recv)
		check_range(k->recv, k->kind == ALL_GATHER ? n * bytes : bytes, true);
}

static void run_one(const collective *k)
{
	const size_t bytes = k->count * collective_type_bytes(k->type);
	ncclComm_t c = k->comm;
	header mine = {};
	mine.number = ++c->n_run;
	mine.kind = k->kind;
	mine.op = k->op;
	mine.peer = k->peer;
	mine.type = k->type;
	mine.count = k->count;
	exchange *meet = new exchange{c, collective_name(k->kind), {}, {}}, *move = new exchange{c, collective_name(k->kind), {}, {}};
	if (agree(meet, mine) && run_data(move, k, bytes)) {
		touch(k, bytes);
		delete meet;
		delete move;
	}
}

/* --- sends and receives ---------------------------------------------------------------------------------------------- */

/* All of a group are under way together. Sizes are compared first: each side tells the other. */
static void run_point_to_point(const collective *k, size_t n)
{
	exchange *sizes = new exchange{k->comm, "ncclSend or ncclRecv", {}, {}}, *move = new exchange{k->comm, "ncclSend or ncclRecv", {}, {}};
	std::vector<size_t> *bytes = new std::vector<size_t>(n), *theirs = new std::vector<size_t>(n);
	for (size_t i = 0; i < n; i++) {
		(*bytes)[i] = k[i].count * collective_type_bytes(k[i].type);
		if (k[i].kind == SEND)
			sizes->send(k[i].peer, &(*bytes)[i], sizeof(size_t));
		else
			sizes->receive(k[i].peer, &(*theirs)[i], sizeof(size_t));
	}
	if (!sizes->wait())
		return;
	for (size_t i = 0; i < n; i++) {
		if (k[i].kind == RECEIVE && (*theirs)[i] != (*bytes)[i])
			cudasim_die("ncclRecv: rank %d expects %zu bytes of rank %d, which sends %zu", k->comm->rank, (*bytes)[i],
				    k[i].peer, (*theirs)[i]);
		touch(&k[i], (*bytes)[i]);
		if (k[i].kind == SEND)
			move->send(k[i].peer, k[i].send, (*bytes)[i]);
		else
			move->receive(k[i].peer, k[i].recv, (*bytes)[i]);
	}
	if (!move->wait())
		return;
	delete sizes;
	delete move;
	delete bytes;
	delete theirs;
}

/* --- groups ---------------------------------------------------------------------------------------------------------- */

static bool fails(ncclComm_t c)
{
	static const uint64_t fail = chosen_operation("CUDASIM_NCCL_FAIL"), hang = chosen_operation("CUDASIM_NCCL_HANG");
	static uint64_t n_group;
	n_group++;
	if (n_group == fail)
		c->error = ncclRemoteError;
	const double limit = now_s() + timeout_s();
	while (n_group == hang && !c->aborted) {
		if (now_s() > limit)
			cudasim_die("CUDASIM_NCCL_HANG: nobody has aborted the communicator for %.0f s", timeout_s());
		sched_yield();
	}
	return c->aborted || c->error != ncclSuccess;
}

void collective_run(sim_op *op)
{
	const collective *k = op->as<collective>();
	const size_t n = op->data.size() / sizeof *k;
	if (fails(k->comm))
		return;
	for (size_t i = 0; i < n;) {
		size_t last = i;
		while (last < n && k[last].kind >= SEND)
			last++;
		if (last > i)
			run_point_to_point(k + i, last - i);
		else
			run_one(&k[last++]);
		i = last;
	}
}
