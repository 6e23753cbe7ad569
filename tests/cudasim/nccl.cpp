/*
 * NCCL: communicators and groups. Calls between ncclGroupStart and ncclGroupEnd become one operation on the stream.
 * What an operation does with the other ranks is in collective.cpp.
 */
#include "collective.h"

#include <algorithm>

/* What the plugin for GPUs opens is here already. */
struct ax_err;
extern "C" int ax_nccl_library(struct ax_err *);
extern "C" int ax_nccl_library(struct ax_err *)
{
	return 0;
}

/* Tags: odd for meetings, even for the messages of a communicator. */
static int meeting_tag(int number)
{
	return 2 * number + 1;
}

/* --- versions, errors ------------------------------------------------------------------------------------ */

ncclResult_t ncclGetVersion(int *version)
{
	*version = NCCL_VERSION_CODE;
	return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result)
{
	switch (result) {
	case ncclSuccess: return "no error";
	case ncclUnhandledCudaError: return "unhandled cuda error";
	case ncclSystemError: return "unhandled system error";
	case ncclInternalError: return "internal error";
	case ncclInvalidArgument: return "invalid argument";
	case ncclInvalidUsage: return "invalid usage";
	case ncclRemoteError: return "remote process exited or there was a network error";
	case ncclInProgress: return "operation in progress";
	case ncclNumResults: break;
	}
	return "unknown result code";
}

const char *ncclGetLastError(ncclComm_t)
{
	return "";
}

/* --- communicators --------------------------------------------------------------------------------------- */

/* What the unique id says: the process that collects the table of members. */
struct meeting {
	int magic, process, number;
};
enum { MEETING_MAGIC = 0x6e63636c };

/* What each rank brings there. */
struct introduction {
	int rank, n_rank, process, context;
};

static int n_context; /* contexts that this process knows of; the next communicator's is beyond those of all members */

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
	static int n_meeting;
	const meeting m = {MEETING_MAGIC, wire_rank(), ++n_meeting};
	memset(id, 0, sizeof *id);
	memcpy(id, &m, sizeof m);
	return ncclSuccess;
}

/* Processes by rank, then the context. */
typedef std::vector<int> table;

static void enter(table *t, const introduction &o, int n_rank)
{
	const size_t n = static_cast<size_t>(n_rank), rank = static_cast<size_t>(o.rank);
	if (o.n_rank != n_rank || rank >= n || (*t)[rank] >= 0)
		cudasim_die("ncclCommInitRank: process %d comes as rank %d of %d to a communicator of %d", o.process,
			    o.rank, o.n_rank, n_rank);
	(*t)[rank] = o.process;
	(*t)[n] = std::max((*t)[n], o.context);
}

static void host_meeting(table *t, const meeting &m, const introduction &mine, ncclComm_t comm)
{
	const int tag = meeting_tag(m.number);
	enter(t, mine, mine.n_rank);
	for (int i = 1; i < mine.n_rank; i++) {
		introduction other;
		std::vector<wire_request> r(1);
		wire_receive(&r[0], -1, tag, &other, sizeof other);
		collective_wait(comm, &r, "ncclCommInitRank");
		enter(t, other, mine.n_rank);
	}
	std::vector<wire_request> r(t->size() - 1);
	for (size_t i = 0; i < r.size(); i++)
		if ((*t)[i] != mine.process)
			wire_send(&r[i], (*t)[i], tag, t->data(), t->size() * sizeof(int));
	collective_wait(comm, &r, "ncclCommInitRank");
}

static void attend_meeting(table *t, const meeting &m, const introduction &mine, ncclComm_t comm)
{
	const int tag = meeting_tag(m.number);
	std::vector<wire_request> r(2);
	wire_send(&r[0], m.process, tag, &mine, sizeof mine);
	wire_receive(&r[1], m.process, tag, t->data(), t->size() * sizeof(int));
	collective_wait(comm, &r, "ncclCommInitRank");
}

static ncclComm_t new_comm(int rank, int n_rank, const ncclConfig_t *config)
{
	if (config && config->magic != 0xcafebeefu)
		cudasim_die("an ncclConfig_t that was not set by NCCL_CONFIG_INITIALIZER");
	ncclComm_t c = new ncclComm;
	c->rank = rank;
	c->n_rank = n_rank;
	c->blocking = !config || config->blocking != 0;
	c->context = 0;
	return c;
}

static void set_members(ncclComm_t c, const table &t)
{
	c->process.assign(t.begin(), t.end() - 1);
	c->context = n_context = t.back() + 1;
}

/* A call on a communicator that does not block: the caller must ask before it is through. */
static ncclResult_t answer(ncclComm_t c)
{
	if (c->blocking)
		return ncclSuccess;
	c->polls_left = 2;
	return ncclInProgress;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int n_rank, ncclUniqueId id, int rank, ncclConfig_t *config)
{
	sim_lock lock;
	meeting m;
	memcpy(&m, &id, sizeof m);
	if (n_rank < 1 || rank < 0 || rank >= n_rank || m.magic != MEETING_MAGIC)
		return ncclInvalidArgument;
	ncclComm_t c = *comm = new_comm(rank, n_rank, config);
	const introduction mine = {rank, n_rank, wire_rank(), n_context};
	table t(static_cast<size_t>(n_rank) + 1, -1);
	if (m.process == mine.process)
		host_meeting(&t, m, mine, c);
	else
		attend_meeting(&t, m, mine, c);
	set_members(c, t);
	return answer(c);
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int n_rank, ncclUniqueId id, int rank)
{
	return ncclCommInitRankConfig(comm, n_rank, id, rank, nullptr);
}

static void require_ready(ncclComm_t c, const char *what)
{
	if (!c)
		cudasim_die("%s without a communicator", what);
	if (c->polls_left > 0)
		cudasim_die("%s on a communicator that is still in progress: ask ncclCommGetAsyncError first", what);
}

/* Until the parent's progress is over, the new communicator is null to the program. */
static void give_split(ncclComm_t c)
{
	if (c->split_to)
		*c->split_to = c->split;
	c->split_to = nullptr;
}

struct split_choice {
	int color, key, context;
};

/* Everybody's choice, by rank. */
static std::vector<split_choice> exchange(ncclComm_t c, split_choice mine)
{
	const size_t n = static_cast<size_t>(c->n_rank);
	std::vector<split_choice> all(n);
	std::vector<wire_request> r(2 * n);
	for (size_t i = 0; i < n; i++) {
		if (static_cast<int>(i) == c->rank)
			continue;
		wire_send(&r[i], c->process[i], 2 * c->context, &mine, sizeof mine);
		wire_receive(&r[n + i], c->process[i], 2 * c->context, &all[i], sizeof all[i]);
	}
	all[static_cast<size_t>(c->rank)] = mine;
	collective_wait(c, &r, "ncclCommSplit");
	return all;
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t *out, ncclConfig_t *config)
{
	sim_lock lock;
	require_ready(comm, "ncclCommSplit");
	const std::vector<split_choice> all = exchange(comm, {color, key, n_context});
	std::vector<size_t> members;
	int context = 0;
	for (size_t i = 0; i < all.size(); i++) {
		context = std::max(context, all[i].context);
		if (all[i].color == color)
			members.push_back(i);
	}
	n_context = context + 1; /* ranks of other colors have the same context and never meet in it */
	*out = nullptr;
	if (color == NCCL_SPLIT_NOCOLOR)
		return answer(comm);
	std::stable_sort(members.begin(), members.end(), [&](size_t a, size_t b) { return all[a].key < all[b].key; });
	table t;
	int rank = 0;
	for (size_t i = 0; i < members.size(); i++) {
		t.push_back(comm->process[members[i]]);
		if (static_cast<int>(members[i]) == comm->rank)
			rank = static_cast<int>(i);
	}
	t.push_back(context);
	ncclComm_t c = new_comm(rank, static_cast<int>(members.size()), config);
	if (!config)
		c->blocking = comm->blocking;
	set_members(c, t);
	answer(c);
	comm->split_to = out;
	comm->split = c;
	const ncclResult_t answered = answer(comm);
	if (answered == ncclSuccess)
		give_split(comm);
	return answered;
}

/* Nothing is in flight on the host: what is enqueued runs with its stream. */
ncclResult_t ncclCommFinalize(ncclComm_t c)
{
	sim_lock lock;
	require_ready(c, "ncclCommFinalize");
	return answer(c);
}

/* The record stays: operations that are still enqueued name it. */
ncclResult_t ncclCommDestroy(ncclComm_t c)
{
	sim_lock lock;
	static std::vector<ncclComm_t> &dead = *new std::vector<ncclComm_t>;
	require_ready(c, "ncclCommDestroy");
	dead.push_back(c);
	return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t c)
{
	c->aborted = true;
	c->polls_left = 0;
	return ncclSuccess;
}

static void enqueue_group(cudaStream_t s, const std::vector<collective> &group)
{
	sim_enqueue_bytes(s, OP_COLLECTIVE, collective_name(group[0].kind), CUDASIM_NOWHERE, collective_run,
			  group.data(), group.size() * sizeof group[0]);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *error)
{
	if (c->polls_left > 0) {
		sim_lock lock;
		*error = ncclInProgress;
		if (--c->polls_left > 0)
			return ncclSuccess;
		if (!c->deferred.empty())
			enqueue_group(c->deferred_to, c->deferred);
		c->deferred.clear();
		give_split(c);
	}
	*error = static_cast<ncclResult_t>(c->error.load());
	return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t c, int *n_rank)
{
	*n_rank = c->n_rank;
	return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t c, int *rank)
{
	*rank = c->rank;
	return ncclSuccess;
}

ncclResult_t ncclCommCuDevice(const ncclComm_t, int *device)
{
	return cudaGetDevice(device) ? ncclUnhandledCudaError : ncclSuccess;
}

/* --- groups ---------------------------------------------------------------------------------------------- */

static int group_depth;
static std::vector<collective> &group = *new std::vector<collective>;
static cudaStream_t group_stream;

ncclResult_t ncclGroupStart(void)
{
	sim_lock lock;
	group_depth++;
	return ncclSuccess;
}

static ncclResult_t close_group(void)
{
	if (group.empty())
		return ncclSuccess;
	std::vector<collective> all;
	all.swap(group);
	ncclComm_t c = all[0].comm;
	if (c->blocking) {
		enqueue_group(group_stream, all);
		return ncclSuccess;
	}
	c->deferred = all;
	c->deferred_to = group_stream;
	return answer(c);
}

ncclResult_t ncclGroupEnd(void)
{
	sim_lock lock;
	if (!group_depth)
		return ncclInvalidUsage;
	return --group_depth ? ncclSuccess : close_group();
}

static void require_buffer(const void *p, size_t bytes, const char *name, const char *side)
{
	char what[64];
	snprintf(what, sizeof what, "%s: %s buffer", name, side);
	if (bytes)
		heap_require(p, bytes, BLOCK_DEVICE, what);
}

/* Elements of each buffer, in units of `count`. */
static void require_buffers(const collective &x)
{
	const size_t n = static_cast<size_t>(x.comm->n_rank), bytes = x.count * collective_type_bytes(x.type);
	const char *name = collective_name(x.kind);
	if (x.send)
		require_buffer(x.send, x.kind == REDUCE_SCATTER ? n * bytes : bytes, name, "send");
	if (x.recv)
		require_buffer(x.recv, x.kind == ALL_GATHER ? n * bytes : bytes, name, "receive");
}

static ncclResult_t add(const collective &x, cudaStream_t s)
{
	sim_lock lock;
	const char *name = collective_name(x.kind);
	sim_require_stream(s, name);
	require_ready(x.comm, name);
	require_buffers(x);
	if (x.comm->aborted || x.comm->error)
		return ncclInvalidUsage;
	if (x.peer < 0 || x.peer >= x.comm->n_rank)
		return ncclInvalidArgument;
	if (!group.empty() && (group_stream != s || group[0].comm != x.comm))
		cudasim_die("%s: a group over several streams or communicators is not simulated", name);
	group_stream = s;
	group.push_back(x);
	return group_depth ? ncclSuccess : close_group();
}

ncclResult_t ncclAllReduce(const void *send, void *recv, size_t count, ncclDataType_t type, ncclRedOp_t op,
			   ncclComm_t comm, cudaStream_t s)
{
	return add({ALL_REDUCE, comm, send, recv, count, type, op, 0}, s);
}

ncclResult_t ncclReduceScatter(const void *send, void *recv, size_t recv_count, ncclDataType_t type, ncclRedOp_t op,
			       ncclComm_t comm, cudaStream_t s)
{
	return add({REDUCE_SCATTER, comm, send, recv, recv_count, type, op, 0}, s);
}

ncclResult_t ncclAllGather(const void *send, void *recv, size_t send_count, ncclDataType_t type, ncclComm_t comm,
			   cudaStream_t s)
{
	return add({ALL_GATHER, comm, send, recv, send_count, type, ncclSum, 0}, s);
}

ncclResult_t ncclBroadcast(const void *send, void *recv, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
			   cudaStream_t s)
{
	return add({BROADCAST, comm, comm->rank == root ? send : nullptr, recv, count, type, ncclSum, root}, s);
}

ncclResult_t ncclSend(const void *send, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t s)
{
	return add({SEND, comm, send, nullptr, count, type, ncclSum, peer}, s);
}

ncclResult_t ncclRecv(void *recv, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t s)
{
	return add({RECEIVE, comm, nullptr, recv, count, type, ncclSum, peer}, s);
}
