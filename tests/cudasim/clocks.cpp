/*
 * Which operation happens before which, by vector clocks: one component for each stream and one for the host (0). They
 * are set when an operation is enqueued, from the stream, the events waited for and what the host knows; so an order that
 * only happened to be right is not taken for one that is guaranteed.
 *
 * And between blocks of one kernel, the pattern "the last block does the rest": a block that executed __threadfence() and
 * then an atomic operation on p knows all that was written, before their own fence and atomic on p, by the blocks that
 * came to p earlier.
 */
#ifdef CUDASIM_CHECK
#include <algorithm>
#include <unordered_map>

#include "check.h"
#include "stream.h"

typedef std::vector<uint64_t> clock_vector;

static std::vector<op_record> &ops = *new std::vector<op_record>(1);			/* by number; 0 is nobody */
static std::vector<std::vector<uint32_t>> &in_stream =
	*new std::vector<std::vector<uint32_t>>(1); /* [stream][seq]: number */
static std::vector<clock_vector> &stream_clock = *new std::vector<clock_vector>(1);
static clock_vector &host_clock = *new clock_vector(1);
static uint64_t host_epoch = 1;
static uint32_t host_record; /* of the host since its last call; 0: to be made */
static std::vector<uint32_t> &running = *new std::vector<uint32_t>;

static void join(clock_vector *into, const clock_vector &from)
{
	if (into->size() < from.size())
		into->resize(from.size());
	for (size_t i = 0; i < from.size(); i++)
		(*into)[i] = std::max((*into)[i], from[i]);
}

static void set(clock_vector *c, size_t stream, uint64_t seq)
{
	if (c->size() <= stream)
		c->resize(stream + 1);
	(*c)[stream] = seq;
}

const op_record &check_op(uint32_t number)
{
	return ops[number];
}

bool check_op_before(uint32_t earlier, uint32_t later)
{
	const op_record &e = ops[earlier];
	const clock_vector &c = ops[later].clock;
	return e.stream < c.size() && c[e.stream] >= e.seq;
}

void check_stream_new(cudaStream_t s)
{
	in_stream.resize(std::max<size_t>(in_stream.size(), s->number + 1));
	stream_clock.resize(std::max<size_t>(stream_clock.size(), s->number + 1));
	in_stream[s->number].assign(1, 0);
}

/* What the host did so far happens before the operation; what it does from now on does not. */
void check_enqueue(sim_op *op, cudaStream_t s)
{
	clock_vector c = stream_clock[s->number];
	set(&host_clock, 0, host_epoch++);
	join(&c, host_clock);
	if (op->kind == OP_WAIT && op->after.stream && op->after.seq)
		join(&c, ops[in_stream[op->after.stream->number][op->after.seq]].clock);
	set(&c, s->number, op->seq);
	op->check = static_cast<uint32_t>(ops.size());
	ops.push_back({s->number, op->seq, c, op->name, op->at, op->caller});
	in_stream[s->number].push_back(op->check);
	stream_clock[s->number] = c;
	host_record = 0;
}

void check_host_waited(cudaStream_t s, uint64_t seq)
{
	if (seq)
		join(&host_clock, ops[in_stream[s->number][seq]].clock);
	host_record = 0;
}

void check_begin_op(const sim_op *op)
{
	running.push_back(op->check);
	check_forget_blocks();
}

void check_end_op(void)
{
	running.pop_back();
}

uint32_t check_host_op(void)
{
	if (!host_record) {
		set(&host_clock, 0, host_epoch);
		host_record = static_cast<uint32_t>(ops.size());
		ops.push_back({0, host_epoch, host_clock, "host code", CUDASIM_NOWHERE, nullptr});
	}
	return host_record;
}

uint32_t check_current_op(void)
{
	return running.empty() ? check_host_op() : running.back();
}

/* --- between blocks -------------------------------------------------------------------------------------- */

struct release {
	uint32_t order, phase, thread;
};
struct meeting_point {
	std::unordered_map<uint32_t, release> by_block;
};
static std::unordered_map<const void *, meeting_point> &points = *new std::unordered_map<const void *, meeting_point>;
static std::vector<std::pair<const void *, uint32_t>> &acquired =
	*new std::vector<std::pair<const void *, uint32_t>>; /* by the running block: those before that order, there */
static uint32_t acquired_block;

void check_forget_blocks(void)
{
	points.clear();
	acquired.clear();
}

void check_release(const void *p)
{
	const uint32_t block = static_cast<uint32_t>(sim_current.serial);
	meeting_point &m = points[p];
	const uint32_t order = static_cast<uint32_t>(m.by_block.size());
	if (acquired_block != block)
		acquired.clear();
	acquired_block = block;
	acquired.push_back({p, order});
	m.by_block.insert({block, {order, sim_current.phase, cudasim_self->index}});
}

bool check_acquired(uint32_t writer_block, uint32_t writer_phase, uint32_t writer_thread)
{
	if (acquired_block != static_cast<uint32_t>(sim_current.serial))
		return false;
	for (const auto &a : acquired) {
		const meeting_point &m = points[a.first];
		const auto r = m.by_block.find(writer_block);
		if (r != m.by_block.end() && r->second.order < a.second &&
		    (writer_phase < r->second.phase || writer_thread == r->second.thread))
			return true;
	}
	return false;
}

#endif
