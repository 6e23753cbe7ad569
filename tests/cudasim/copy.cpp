/*
 * Copies and fills. A pageable source is read at the call and a pageable destination makes the call wait, as the hardware
 * does it; pinned memory is read and written when the operation runs, so a program that is too early sees it. A pinned
 * destination is poisoned at the call, or the old contents would look like a result.
 */
#include <algorithm>

#include "stream.h"

enum place { HOST_PAGEABLE, HOST_PINNED, ON_DEVICE };

struct copy_op {
	char *to;
	const char *from; /* null: from the bytes behind this record */
	size_t to_pitch, from_pitch, width, height;
};

struct set_op {
	void *to;
	size_t bytes;
	int value;
};

/* Pinned ranges that operations under way will read, and host functions, which may read anything. */
struct pending_read {
	const char *from;
	size_t bytes;
	cudaStream_t stream;
	uint64_t seq;
};
static std::vector<pending_read> &pending = *new std::vector<pending_read>;

static place place_of(const void *p, size_t bytes, const char *what)
{
	const mem_block *b = heap_find(p);
	if (!b && (heap_in_device_region(p) || heap_in_pinned_region(p)))
		heap_require(p, bytes, heap_in_device_region(p) ? BLOCK_DEVICE : BLOCK_PINNED, what);
	if (!b)
		return HOST_PAGEABLE;
	heap_require(p, bytes, b->kind, what);
	return b->kind == BLOCK_DEVICE ? ON_DEVICE : HOST_PINNED;
}

static void require_direction(cudaMemcpyKind kind, place to, place from)
{
	if (kind == cudaMemcpyDefault)
		return;
	const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
	const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
	if (to_device != (to == ON_DEVICE))
		cudasim_die("copy in the wrong direction: the destination is %s memory",
			    to == ON_DEVICE ? "device" : "host");
	if (from_device != (from == ON_DEVICE))
		cudasim_die("copy in the wrong direction: the source is %s memory",
			    from == ON_DEVICE ? "device" : "host");
}

static size_t extent(size_t pitch, size_t width, size_t height)
{
	return height ? (height - 1) * pitch + width : 0;
}

static void run_copy(sim_op *op)
{
	const copy_op *c = op->as<copy_op>();
	const char *from = c->from ? c->from : op->data.data() + sizeof *c;
	for (size_t row = 0; row < c->height; row++) {
		char *to = c->to + row * c->to_pitch;
		const char *src = from + row * c->from_pitch;
		if (c->from)
			check_range(src, c->width, false);
		memmove(to, src, c->width);
		check_range(to, c->width, true);
	}
}

void sim_note_pending(cudaStream_t s, const void *from, size_t bytes)
{
	pending.erase(std::remove_if(pending.begin(), pending.end(),
				     [](const pending_read &r) { return r.stream->n_done >= r.seq; }),
		      pending.end());
	if (!s->capture)
		pending.push_back({static_cast<const char *>(from), bytes, s, s->n_enqueued + 1});
}

static bool will_be_read(const char *p, size_t bytes)
{
	for (const pending_read &r : pending)
		if (r.stream->n_done < r.seq && (!r.from || (r.from < p + bytes && p < r.from + r.bytes)))
			return true;
	return false;
}

/* The program's host memory may be read by the checker's build only through instrumented code; here it is told. */
static void take_now(std::vector<char> *data, const void *src, const copy_op &c)
{
	for (size_t row = 0; row < c.height; row++) {
		const char *from = static_cast<const char *>(src) + row * c.from_pitch;
		data->insert(data->end(), from, from + c.width);
	}
}

static void enqueue_copy(cudaStream_t s, copy_op c, const void *src, place to, place from)
{
	std::vector<char> data(sizeof c);
	c.from = static_cast<const char *>(src);
	if (from == HOST_PAGEABLE) {
		take_now(&data, src, c);
		c.from = nullptr;
		c.from_pitch = c.width;
	}
	memcpy(data.data(), &c, sizeof c);
	if (from == HOST_PINNED)
		sim_note_pending(s, src, extent(c.from_pitch, c.width, c.height));
	if (to == HOST_PINNED && !s->capture && !will_be_read(c.to, extent(c.to_pitch, c.width, c.height)))
		for (size_t row = 0; row < c.height; row++)
			memset(c.to + row * c.to_pitch, 0xFF, c.width);
	sim_enqueue_bytes(s, OP_COPY, "cudaMemcpyAsync", CUDASIM_NOWHERE, run_copy, data.data(), data.size());
	if (to == HOST_PAGEABLE)
		sim_wait_for(s, s->n_enqueued);
}

cudaError_t cudaMemcpy2DAsync(void *dst, size_t dpitch, const void *src, size_t spitch, size_t width, size_t height,
			      cudaMemcpyKind kind, cudaStream_t s)
{
	sim_lock lock;
	sim_require_stream(s, "a copy");
	if (height > 1 && (width > dpitch || width > spitch))
		return sim_set_error(cudaErrorInvalidValue);
	if (!width || !height)
		return cudaSuccess;
	const place to = place_of(dst, extent(dpitch, width, height), "destination of a copy");
	const place from = place_of(src, extent(spitch, width, height), "source of a copy");
	require_direction(kind, to, from);
	if (s->capture && (to == HOST_PAGEABLE || from == HOST_PAGEABLE))
		cudasim_die("copy of pageable memory in a captured stream: each launch of the graph would use that "
			    "address");
	enqueue_copy(s, {static_cast<char *>(dst), nullptr, dpitch, spitch, width, height}, src, to, from);
	return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind, cudaStream_t s)
{
	return cudaMemcpy2DAsync(dst, bytes, src, bytes, bytes, 1, kind, s);
}

static void run_set(sim_op *op)
{
	const set_op *c = op->as<set_op>();
	memset(c->to, c->value, c->bytes);
	check_range(c->to, c->bytes, true);
}

cudaError_t cudaMemsetAsync(void *dst, int value, size_t bytes, cudaStream_t s)
{
	sim_lock lock;
	sim_require_stream(s, "cudaMemsetAsync");
	if (!bytes)
		return cudaSuccess;
	heap_require(dst, bytes, BLOCK_DEVICE, "cudaMemsetAsync");
	sim_enqueue(s, OP_SET, "cudaMemsetAsync", CUDASIM_NOWHERE, run_set, set_op{dst, bytes, value});
	return cudaSuccess;
}
