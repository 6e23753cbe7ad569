/*
 * CUDA graphs by stream capture.
 *
 * Each stream that takes part is a lane; the first is the one where capture began. A captured operation is a copy of the
 * closure that would have been enqueued; a wait names a lane and a position in it. A launch enqueues the copies again:
 * lane 0 on the launching stream, the others on streams that belong to the graph. So orders and checks need nothing new.
 */
#include <algorithm>
#include <pthread.h>

#include "stream.h"

struct graph_node {
	unsigned lane;
	sim_op op;
	unsigned wait_lane; /* OP_WAIT: until that lane has come to that position */
	uint64_t wait_at;
};

struct CUgraph_st {
	std::vector<graph_node> nodes;
	unsigned n_lane = 0;
};

struct CUgraphExec_st {
	CUgraph_st graph;
	std::vector<cudaStream_t> own; /* of lanes 1.. */
	sim_event_point last = {nullptr, 0}; /* the end of the latest launch */
};

struct sim_capture_state {
	CUgraph_st graph;
	cudaStreamCaptureMode mode;
	pthread_t thread;
	bool invalid = false;
	std::vector<cudaStream_t> lanes;
	std::vector<uint64_t> length;		  /* of each lane */
	std::vector<std::vector<uint64_t>> known; /* [lane][other]: up to where it has waited for the other */
};

static std::vector<sim_capture_state *> &captures = *new std::vector<sim_capture_state *>; /* under way */

static bool under_way(const sim_capture_state *c)
{
	return std::find(captures.begin(), captures.end(), c) != captures.end();
}

bool sim_any_capture(void)
{
	return !captures.empty();
}

bool sim_capturing(cudaStream_t s)
{
	return s->capture != nullptr;
}

/* What may not be called while this thread (in the strictest mode: any thread) captures. */
cudaError_t sim_refuse_in_capture(const char *what)
{
	cudaError_t e = cudaSuccess;
	for (sim_capture_state *c : captures)
		if (c->mode == cudaStreamCaptureModeGlobal ||
		    (c->mode == cudaStreamCaptureModeThreadLocal && pthread_equal(c->thread, pthread_self()))) {
			if (!c->invalid)
				fprintf(stderr, "cudasim: %s is not allowed while a stream is being captured\n", what);
			c->invalid = true;
			e = cudaErrorStreamCaptureUnsupported;
		}
	return sim_set_error(e);
}

/* --- capturing ------------------------------------------------------------------------------------------- */

static void join(sim_capture_state *c, cudaStream_t s)
{
	s->capture = c;
	s->lane = static_cast<unsigned>(c->lanes.size());
	c->lanes.push_back(s);
	c->length.push_back(0);
	for (std::vector<uint64_t> &k : c->known)
		k.push_back(0);
	c->known.emplace_back(c->lanes.size(), 0);
}

static void add_node(sim_capture_state *c, cudaStream_t s, graph_node node)
{
	node.lane = s->lane;
	c->graph.nodes.push_back(std::move(node));
	c->known[s->lane][s->lane] = ++c->length[s->lane];
}

void sim_capture(cudaStream_t s, sim_op op)
{
	add_node(s->capture, s, {0, std::move(op), 0, 0});
}

bool sim_capture_record(cudaEvent_t e, cudaStream_t s)
{
	e->capture = s->capture;
	if (!s->capture)
		return false;
	e->lane = s->lane;
	e->at = s->capture->length[s->lane];
	return true;
}

static void add_wait(sim_capture_state *c, cudaStream_t s, cudaEvent_t e)
{
	sim_op op = {};
	op.kind = OP_WAIT;
	op.name = "cudaStreamWaitEvent";
	op.at = CUDASIM_NOWHERE;
	add_node(c, s, {0, std::move(op), e->lane, e->at});
	std::vector<uint64_t> &mine = c->known[s->lane];
	const std::vector<uint64_t> theirs = c->known[e->lane];
	for (unsigned i = 0; i < mine.size(); i++)
		if (i != e->lane)
			mine[i] = std::max(mine[i], theirs[i]);
	mine[e->lane] = std::max(mine[e->lane], e->at);
}

bool sim_capture_wait(cudaStream_t s, cudaEvent_t e, cudaError_t *error)
{
	if (!s->capture && !e->capture)
		return false;
	*error = cudaSuccess;
	if (e->capture && !under_way(e->capture))
		cudasim_die("a stream waits for an event that was recorded in a capture which has ended");
	if (!e->capture) {
		s->capture->invalid = true;
		*error = cudaErrorStreamCaptureIsolation;
	} else if (s->capture && s->capture != e->capture) {
		s->capture->invalid = e->capture->invalid = true;
		*error = cudaErrorStreamCaptureMerge;
	} else {
		if (!s->capture)
			join(e->capture, s);
		add_wait(e->capture, s, e);
	}
	sim_set_error(*error);
	return true;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode)
{
	sim_lock lock;
	sim_require_stream(s, "cudaStreamBeginCapture");
	if (s->capture)
		return sim_set_error(cudaErrorInvalidValue);
	sim_capture_state *c = new sim_capture_state;
	c->mode = mode;
	c->thread = pthread_self();
	join(c, s);
	captures.push_back(c);
	return cudaSuccess;
}

static bool all_joined(const sim_capture_state *c)
{
	for (unsigned l = 1; l < c->lanes.size(); l++)
		if (c->known[0][l] < c->length[l])
			return false;
	return true;
}

/* Events may still name the capture: it is never deleted, so that they can be told from those of a later one. */
static void finish(sim_capture_state *c)
{
	static std::vector<sim_capture_state *> &ended = *new std::vector<sim_capture_state *>;
	for (cudaStream_t s : c->lanes)
		s->capture = nullptr;
	captures.erase(std::find(captures.begin(), captures.end(), c));
	c->graph = {};
	ended.push_back(c);
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *graph)
{
	sim_lock lock;
	sim_require_stream(s, "cudaStreamEndCapture");
	*graph = nullptr;
	sim_capture_state *c = s->capture;
	if (!c)
		return sim_set_error(cudaErrorInvalidValue);
	cudaError_t e = cudaSuccess;
	if (s != c->lanes[0])
		e = cudaErrorStreamCaptureUnmatched;
	else if (c->mode != cudaStreamCaptureModeRelaxed && !pthread_equal(c->thread, pthread_self()))
		e = cudaErrorStreamCaptureWrongThread;
	else if (c->invalid)
		e = cudaErrorStreamCaptureInvalidated;
	else if (!all_joined(c))
		e = cudaErrorStreamCaptureUnjoined;
	if (e == cudaErrorStreamCaptureUnmatched || e == cudaErrorStreamCaptureWrongThread) {
		c->invalid = true;
		return sim_set_error(e);
	}
	if (!e) {
		*graph = new CUgraph_st(std::move(c->graph));
		(*graph)->n_lane = static_cast<unsigned>(c->lanes.size());
	}
	finish(c);
	return sim_set_error(e);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t s, cudaStreamCaptureStatus *status)
{
	sim_lock lock;
	sim_require_stream(s, "cudaStreamIsCapturing");
	*status = !s->capture ? cudaStreamCaptureStatusNone
		  : s->capture->invalid ? cudaStreamCaptureStatusInvalidated
					: cudaStreamCaptureStatusActive;
	return cudaSuccess;
}

/* --- launching ------------------------------------------------------------------------------------------- */

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
	sim_lock lock;
	if (!graph || flags)
		return sim_set_error(cudaErrorInvalidValue);
	CUgraphExec_st *x = new CUgraphExec_st;
	x->graph = *graph;
	for (unsigned l = 1; l < graph->n_lane; l++)
		x->own.push_back(sim_new_stream());
	*exec = x;
	return cudaSuccess;
}

static void push_wait(cudaStream_t s, sim_event_point after)
{
	sim_op op = {};
	op.kind = OP_WAIT;
	op.name = "a graph's dependency";
	op.at = CUDASIM_NOWHERE;
	op.after = after;
	sim_push(s, std::move(op));
}

/* Positions in lanes become positions in streams as the nodes are enqueued. */
static void push_nodes(CUgraphExec_st *x, cudaStream_t s)
{
	const unsigned n = x->graph.n_lane;
	std::vector<std::vector<uint64_t>> seq(n);
	auto stream_of = [&](unsigned lane) { return lane ? x->own[lane - 1] : s; };
	for (unsigned l = 0; l < n; l++)
		seq[l].push_back(stream_of(l)->n_enqueued);
	for (const graph_node &node : x->graph.nodes) {
		cudaStream_t to = stream_of(node.lane);
		sim_op op = node.op;
		if (op.kind == OP_WAIT)
			op.after = {stream_of(node.wait_lane), seq[node.wait_lane][node.wait_at]};
		sim_push(to, std::move(op));
		seq[node.lane].push_back(to->n_enqueued);
	}
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s)
{
	sim_lock lock;
	sim_require_stream(s, "cudaGraphLaunch");
	if (!exec)
		return sim_set_error(cudaErrorInvalidValue);
	if (s->capture)
		cudasim_die("cudaGraphLaunch into a stream that is being captured: not simulated");
	if (exec->last.stream)
		push_wait(s, exec->last);
	push_nodes(exec, s);
	exec->last = {s, s->n_enqueued};
	return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
	sim_lock lock;
	delete graph;
	return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
	sim_lock lock;
	for (cudaStream_t s : exec->own)
		sim_drop_stream(s);
	delete exec;
	return cudaSuccess;
}
