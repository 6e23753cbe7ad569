/*
 * What the simulator's own files share.
 *
 *   fiber.cpp   one block: threads, barriers, warp meetings, who runs next
 *   launch.cpp  one kernel: limits, block order, shared memory, cp.async
 *   heap.cpp    device and pinned memory, poison, guards
 *   stream.cpp  streams and events as queues of closures, and the orders they run in
 *   graph.cpp   stream capture
 *   api.cpp     the rest of the runtime API
 *   fault.cpp   settings, messages, the handler of invalid addresses
 *   lt.cpp gemm.cpp nccl.cpp   the libraries;  nccl_mpi.cpp: the only file that knows MPI
 *   check.cpp   the checker build's __tsan_* hooks and shadow memory;  clocks.cpp: its vector clocks
 *
 * Tables are `static T &x = *new T`: never destroyed, so that they can be used up to the end of the process, and reachable,
 * so that leak checkers do not mind.
 *
 * Everything runs in the host thread that calls the API, one call at a time (a lock covers the API), so runs repeat.
 */
#ifndef AX_CUDASIM_SIM_H
#define AX_CUDASIM_SIM_H

#include <cstdio>
#include <vector>

#include "cuda_runtime.h"

/* --- settings, from the environment: README.md ----------------------------------------------------------- */

enum thread_order { THREADS_FORWARD, THREADS_REVERSE, THREADS_RANDOM };
enum stream_order { STREAMS_EAGER, STREAMS_LAZY, STREAMS_AHEAD, STREAMS_RANDOM };

struct settings {
	thread_order threads;
	stream_order streams;
	uint64_t seed;
	int compute; /* 80, 86, 90, 100: compute capability of the device */
	int n_device, n_sm;
	size_t memory_bytes;
	bool trace; /* print each operation as it runs */
	bool stop;  /* the checker ends the process at its first report */
};
const settings &sim_settings(void);

/* Random numbers for the orders: fast, and the same on every machine. */
struct sim_random {
	uint64_t state;
	uint32_t below(uint32_t n);
};
extern sim_random sim_thread_random, sim_stream_random;

/* --- messages -------------------------------------------------------------------------------------------- */

/* Who runs: "kernel NAME, block (..), thread (..)" or "host code". */
const char *sim_who(void);
void sim_install_fault_handler(void);
/* "function at file:line" of an address in the program, if binutils and debug information are there. */
const char *sim_line_of(const void *pc);
const char *sim_place_of(cudasim_place at, const void *caller);
const void *sim_caller(void); /* of the API call under way */

/* --- one lock for the API -------------------------------------------------------------------------------- */

/* The default argument is where the program called the API function that holds the lock. */
struct sim_lock {
	explicit sim_lock(const void *caller = __builtin_return_address(0));
	~sim_lock();
	sim_lock(const sim_lock &) = delete;
	sim_lock &operator=(const sim_lock &) = delete;
};

/* --- memory ---------------------------------------------------------------------------------------------- */

enum block_kind { BLOCK_DEVICE, BLOCK_PINNED };

struct mem_block {
	char *at;
	size_t bytes;
	block_kind kind;
	bool freed, registered; /* registered: the program's own memory, pinned by cudaHostRegister */
	unsigned serial;	/* as in "allocation 12" */
};

mem_block *heap_alloc(block_kind kind, size_t bytes); /* null: out of memory */
void heap_free(mem_block *b);			      /* dies where guard bytes were overwritten */
mem_block *heap_find(const void *p); /* the block that p lies in or at the start of, freed or not; or null */
mem_block *heap_near(const void *p);		      /* for messages: the last block that begins at or before p */
bool heap_in_device_region(const void *p);
bool heap_in_pinned_region(const void *p);
bool heap_register(void *p, size_t bytes);
bool heap_unregister(void *p);
void heap_check_guards(void);
size_t heap_used(void);
/* Dies unless p .. p+bytes is inside one live block of that kind; `what` begins the message. */
mem_block *heap_require(const void *p, size_t bytes, block_kind kind, const char *what);

/* Shared memory of the running block. */
enum { SHARED_BYTES = 256 * 1024 };
extern char *sim_shared_base;
bool sim_in_shared(const void *p);
bool sim_in_shared_array(const void *p, size_t bytes); /* wholly inside one AX_SHARED array or the dynamic memory */
bool sim_is_kernel_state(const void *p);	       /* what the simulator keeps for kernels: threadIdx, parameters */
/* Bytes of dynamic shared memory a kernel may have. */
size_t sim_dynamic_limit(const void *kernel);
void sim_set_dynamic_limit(const void *kernel, size_t bytes);

/* --- operations and streams ------------------------------------------------------------------------------ */

enum op_kind { OP_KERNEL, OP_COPY, OP_SET, OP_HOST, OP_RECORD, OP_WAIT, OP_FREE, OP_LIBRARY, OP_COLLECTIVE };

struct sim_event_point {
	cudaStream_t stream; /* null: nothing recorded */
	uint64_t seq;
};

struct sim_op {
	op_kind kind;
	const char *name;
	cudasim_place at;	 /* of a kernel's launch */
	const void *caller;	 /* of the API otherwise */
	void (*run)(sim_op *op);
	std::vector<char> data;	 /* what `run` works on: captured arguments */
	sim_event_point after;	 /* OP_WAIT: runs once that point has been reached */
	cudaEvent_t event;	 /* OP_RECORD */
	uint64_t seq;		 /* position in its stream, from 1 */
	uint32_t check;		 /* the checker's record of it */
	struct collective_group *group; /* OP_COLLECTIVE: how far it is */
	template <class T> T *as()
	{
		return reinterpret_cast<T *>(data.data());
	}
};

/* Put an operation at the end of a stream, or into the graph that is being captured there. */
template <class T>
void sim_enqueue(cudaStream_t s, op_kind kind, const char *name, cudasim_place at, void (*run)(sim_op *),
		 const T &data);
void sim_enqueue_bytes(cudaStream_t s, op_kind kind, const char *name, cudasim_place at, void (*run)(sim_op *),
		       const void *data, size_t bytes);
template <class T>
void sim_enqueue(cudaStream_t s, op_kind kind, const char *name, cudasim_place at, void (*run)(sim_op *), const T &data)
{
	static_assert(std::is_trivially_copyable<T>::value, "operations are copied byte by byte");
	sim_enqueue_bytes(s, kind, name, at, run, &data, sizeof data);
}
void sim_require_stream(cudaStream_t s, const char *what);
void sim_require_device(const char *what); /* this thread works on the process's device */
bool sim_capturing(cudaStream_t s);
cudaError_t sim_refuse_in_capture(const char *what); /* cudaSuccess unless some stream is being captured */
cudaError_t sim_set_error(cudaError_t e); /* remembers it for cudaGetLastError and returns it */
const sim_op *sim_current_op(void);

/* --- kernels --------------------------------------------------------------------------------------------- */

void sim_run_kernel(sim_op *op); /* its data: cudasim_launch_args, then the parameters */

/* What the running block is. Static, so that the checker knows that kernels may read it. */
struct sim_block {
	void (*enter)(const void *);
	const void *params;
	const char *kernel_name;
	cudasim_place at;
	unsigned n_threads, n_unstarted, n_exited;
	unsigned n_waiting; /* at the barrier */
	cudasim_place barrier;
	unsigned barrier_thread; /* who came first */
	unsigned phase;		 /* barriers passed */
	uint64_t serial;	 /* over the life of the process */
	uint64_t linear;	 /* in the grid */
};
extern sim_block sim_current;
void sim_run_block(void); /* all threads of sim_current, to their ends */
bool sim_on_fiber_stack(const void *p);
bool sim_in_fiber_record(const void *p);
bool sim_on_stack_guard(const void *p);
unsigned sim_warp_phase(void); /* operations of the running thread's full warp so far */

/* --- the checker: nothing in other builds ---------------------------------------------------------------- */

#ifdef CUDASIM_CHECK
void check_memory_new(const mem_block *b, bool by_operation);
void check_memory_freed(const mem_block *b);
void check_enqueue(sim_op *op, cudaStream_t s);
void check_host_waited(cudaStream_t s, uint64_t seq);
void check_begin_op(const sim_op *op);
void check_end_op(void);
void check_range(const void *p, size_t bytes, bool write);
void check_warp_read(const void *p, size_t bytes);
void check_atomic(const void *p, size_t bytes);
void check_in_flight(const void *p, size_t bytes, bool begins);
void check_stream_new(cudaStream_t s);
#else
static inline void check_memory_new(const mem_block *, bool)
{
}
static inline void check_memory_freed(const mem_block *)
{
}
static inline void check_enqueue(sim_op *, cudaStream_t)
{
}
static inline void check_host_waited(cudaStream_t, uint64_t)
{
}
static inline void check_begin_op(const sim_op *)
{
}
static inline void check_end_op(void)
{
}
static inline void check_range(const void *, size_t, bool)
{
}
static inline void check_warp_read(const void *, size_t)
{
}
static inline void check_atomic(const void *, size_t)
{
}
static inline void check_in_flight(const void *, size_t, bool)
{
}
static inline void check_stream_new(cudaStream_t)
{
}
#endif

#endif
