/*
 * Streams are queues of operations; nothing runs before something needs it, and the order is a setting.
 *
 *   eager   at once, in the host's order
 *   lazy    at a wait of the host: only what that wait needs
 *   ahead   at a wait of the host: every other stream first, then what the wait needs
 *   random  at a wait: a random runnable operation until the waited-for one is done; now and then one at an enqueue
 * A host that polls (cudaEventQuery) takes one such step at a time, and never stands still for other ranks.
 *
 * All are orders that hardware may choose. An event is a point in a stream: (stream, operations before it). A wait for an
 * event is an operation that can run once the point's stream has got there. Collectives run in the host's order whatever
 * the setting, because all ranks share that one: otherwise two with different seeds would wait for each other.
 */
#include "stream.h"

#include <algorithm>
#include <ctime>
#include <pthread.h>
#include <sched.h>

#include "collective.h"

static std::vector<cudaStream_t> &streams = *new std::vector<cudaStream_t>;
static std::vector<cudaEvent_t> &events = *new std::vector<cudaEvent_t>;
static std::deque<sim_event_point> &collectives =
	*new std::deque<sim_event_point>; /* not yet run, in the host's order */
static const sim_op *running;
static pthread_t first_thread;

const std::vector<cudaStream_t> &sim_streams(void)
{
	return streams;
}

const sim_op *sim_current_op(void)
{
	return running;
}

/* --- which handles are alive ----------------------------------------------------------------------------- */

void sim_require_stream(cudaStream_t s, const char *what)
{
	if (!s)
		cudasim_die(
			"%s on the default stream: it waits for other streams or they for it; use a stream of your own",
			what);
	sim_require_device(what);
	for (cudaStream_t known : streams)
		if (known == s)
			return;
	cudasim_die("%s on a stream that does not exist (any more)", what);
}

void sim_require_event(cudaEvent_t e, const char *what)
{
	for (cudaEvent_t known : events)
		if (known == e)
			return;
	cudasim_die("%s of an event that does not exist (any more)", what);
}

cudaStream_t sim_new_stream(void)
{
	static uint32_t n_ever;
	cudaStream_t s = new CUstream_st;
	if (!n_ever)
		first_thread = pthread_self();
	s->number = ++n_ever;
	streams.push_back(s);
	check_stream_new(s);
	return s;
}

/* The record stays: points of events name it. */
void sim_drop_stream(cudaStream_t s)
{
	static std::vector<cudaStream_t> &dropped = *new std::vector<cudaStream_t>;
	dropped.push_back(s);
	sim_run_to(s, s->n_enqueued);
	for (size_t i = 0; i < streams.size(); i++)
		if (streams[i] == s)
			streams.erase(streams.begin() + static_cast<long>(i));
}

cudaEvent_t sim_new_event(void)
{
	cudaEvent_t e = new CUevent_st;
	events.push_back(e);
	return e;
}

static double now_s(void)
{
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

static void untime(cudaEvent_t e)
{
	for (cudaStream_t s : streams)
		s->timed.erase(std::remove(s->timed.begin(), s->timed.end(), e), s->timed.end());
}

static void note_reached(cudaStream_t s)
{
	for (size_t i = s->timed.size(); i-- > 0;)
		if (s->timed[i]->point.seq <= s->n_done) {
			s->timed[i]->host_s = now_s();
			s->timed.erase(s->timed.begin() + static_cast<long>(i));
		}
}

void sim_time_event(cudaEvent_t e)
{
	untime(e);
	e->point.stream->timed.push_back(e);
	note_reached(e->point.stream);
}

void sim_drop_event(cudaEvent_t e)
{
	untime(e);
	for (size_t i = 0; i < events.size(); i++)
		if (events[i] == e)
			events.erase(events.begin() + static_cast<long>(i));
	delete e;
}

/* --- running --------------------------------------------------------------------------------------------- */

static bool point_reached(const sim_event_point &p)
{
	return !p.stream || p.stream->n_done >= p.seq;
}

static bool can_run(cudaStream_t s)
{
	return !s->queue.empty() && !s->busy &&
	       (s->queue.front().kind != OP_WAIT || point_reached(s->queue.front().after));
}

static void run_front(cudaStream_t s)
{
	sim_op op = std::move(s->queue.front());
	s->queue.pop_front();
	const sim_op *outer = running;
	running = &op;
	s->busy = true;
	if (sim_settings().trace)
		fprintf(stderr, "cudasim: stream %u: %s%s%s\n", s->number, op.name, op.at.file ? " in " : "",
			op.at.file ? op.at.file : "");
	check_begin_op(&op);
	if (op.run)
		op.run(&op);
	check_end_op();
	s->busy = false;
	running = outer;
	s->n_done = op.seq;
	note_reached(s);
}

static bool try_step(cudaStream_t s);

/* A collective is at the front: it, or the one whose turn it is before it, goes on, without waiting for other ranks. */
static bool try_collective(cudaStream_t s)
{
	const sim_event_point turn = collectives.front();
	if (turn.stream != s || turn.seq != s->queue.front().seq)
		return try_step(turn.stream);
	s->busy = true;
	const bool complete = collective_poll(&s->queue.front());
	s->busy = false;
	if (!complete)
		return false;
	collectives.pop_front();
	run_front(s);
	return true;
}

/*
 * What a stream needs next runs; false: that waits for other ranks. Recursion is bounded: a wait can only name a point
 * that was enqueued before it.
 */
static bool try_step(cudaStream_t s)
{
	if (s->busy)
		cudasim_die("an operation of stream %u waits for itself", s->number);
	const sim_op &front = s->queue.front();
	if (front.kind == OP_WAIT && !point_reached(front.after))
		return try_step(front.after.stream);
	if (front.kind == OP_COLLECTIVE)
		return try_collective(s);
	run_front(s);
	return true;
}

void sim_run_to(cudaStream_t s, uint64_t seq)
{
	while (s->n_done < seq)
		if (!try_step(s))
			sched_yield();
}

static bool run_any(void)
{
	const uint32_t n = static_cast<uint32_t>(streams.size());
	if (!n)
		return false;
	const uint32_t first = sim_stream_random.below(n);
	for (uint32_t i = 0; i < n; i++) {
		cudaStream_t s = streams[(first + i) % n];
		if (can_run(s) && try_step(s))
			return true;
	}
	return false;
}

/* As far as they get without other ranks. */
static void run_others(cudaStream_t s)
{
	for (size_t i = 0; i < streams.size(); i++)
		while (streams[i] != s && !streams[i]->queue.empty() && try_step(streams[i]))
			;
}

/*
 * Only the thread that made the first stream runs what a wait does not need: messages between ranks belong to it.
 */
static stream_order order_here(void)
{
	return pthread_equal(pthread_self(), first_thread) ? sim_settings().streams : STREAMS_LAZY;
}

void sim_wait_for(cudaStream_t s, uint64_t seq)
{
	if (s->n_done < seq) {
		if (order_here() == STREAMS_AHEAD)
			run_others(s);
		while (order_here() == STREAMS_RANDOM && s->n_done < seq && run_any())
			;
		sim_run_to(s, seq);
	}
	check_host_waited(s, seq);
}

/* One step on, for a program that polls; it never waits for other ranks. */
static void nudge(cudaStream_t s)
{
	if (order_here() == STREAMS_AHEAD)
		run_others(s);
	if ((order_here() != STREAMS_RANDOM || !run_any()) && !s->queue.empty())
		try_step(s);
}

bool sim_is_done(cudaStream_t s, uint64_t seq)
{
	if (s->n_done < seq) {
		nudge(s);
		return false;
	}
	check_host_waited(s, seq);
	return true;
}

/* --- enqueueing ------------------------------------------------------------------------------------------ */

void sim_push(cudaStream_t s, sim_op op)
{
	op.seq = ++s->n_enqueued;
	op.caller = sim_caller();
	if (op.kind == OP_COLLECTIVE)
		collectives.push_back({s, op.seq});
	check_enqueue(&op, s);
	s->queue.push_back(std::move(op));
	if (sim_settings().streams == STREAMS_EAGER)
		sim_run_to(s, s->n_enqueued);
	else if (sim_settings().streams == STREAMS_RANDOM && !sim_stream_random.below(8))
		run_any();
}

void sim_enqueue_bytes(cudaStream_t s, op_kind kind, const char *name, cudasim_place at, void (*run)(sim_op *),
		       const void *data, size_t bytes)
{
	sim_op op = {};
	op.kind = kind;
	op.name = name;
	op.at = at;
	op.run = run;
	op.data.assign(static_cast<const char *>(data), static_cast<const char *>(data) + bytes);
	if (s->capture)
		sim_capture(s, std::move(op));
	else
		sim_push(s, std::move(op));
}
