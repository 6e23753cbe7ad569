/*
 * What a kernel needs of the simulator (C++17, included by the stand-in cuda_runtime.h).
 *
 * A block's threads run one after another in one OS thread. A thread that must wait (barrier, warp operation) keeps its
 * stack - it has become a fiber - and the next one runs. cudasim_self is the running thread; it is null in host code.
 *
 * The waiting functions return the fiber to run next, and the caller switches to it in its own code: a `ret` executed
 * on another stack than its `call` costs the return predictor several nanoseconds, which is more than all the rest.
 */
#ifndef AX_CUDASIM_H
#define AX_CUDASIM_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cuda_runtime_api.h"

#define CUDASIM_INLINE inline __attribute__((always_inline))
#if defined(__SANITIZE_ADDRESS__)
#define CUDASIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CUDASIM_ASAN 1
#endif
#endif
#if !defined(__x86_64__) && !defined(CUDASIM_PORTABLE)
#define CUDASIM_PORTABLE 1
#endif
#ifdef CUDASIM_PORTABLE
#include <csetjmp>
#include <ucontext.h>
#endif
#ifdef CUDASIM_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

/* Where in the source something was called. As a default argument, CUDASIM_HERE is the caller's line. */
struct cudasim_place {
	const char *file;
	int line;
	constexpr cudasim_place(const char *f = __builtin_FILE(), int l = __builtin_LINE()) : file(f), line(l)
	{
	}
};
#define CUDASIM_HERE cudasim_place()
#define CUDASIM_NOWHERE cudasim_place(nullptr, 0)
/* The computation of a warp operation: an accelerator's work, which the checker does not look into. */
#define CUDASIM_TWIN static inline __attribute__((no_sanitize("thread")))
#define CUDASIM_AT cudasim_place at = CUDASIM_HERE

/* A stopped flow of control. */
struct cudasim_context {
#ifdef CUDASIM_PORTABLE
	jmp_buf jump;
	ucontext_t first; /* how to enter it the first time */
	bool entered;
#else
	void *pc, *sp, *bp;
#endif
#ifdef CUDASIM_ASAN
	const void *stack_low; /* what the sanitizer must know of the stack to come */
	size_t stack_bytes;
	void *fake;
#endif
};

struct cudasim_copy;

struct cudasim_fiber {
	cudasim_context context;
	uint3 thread; /* threadIdx */
	unsigned index, lane, warp;
	cudasim_place waits = CUDASIM_NOWHERE; /* where, while it waits; file null: it does not */
	cudasim_copy *copies; /* cp.async of this thread that have not landed, oldest first */
	unsigned n_copies, n_commits;
	bool fenced; /* executed __threadfence() */
	char *stack; /* lowest usable byte */
};

extern "C++" {
extern cudasim_fiber *cudasim_self;
extern uint3 cudasim_block_index;
extern dim3 cudasim_block_dim, cudasim_grid_dim;

/* Both return null when there is nothing to wait for, else the fiber to switch to. */
typedef void cudasim_warp_fn(void *const lane[32], unsigned mask);
cudasim_fiber *cudasim_barrier(cudasim_place at);
cudasim_fiber *cudasim_meet(cudasim_warp_fn *fn, unsigned mask, void *operand, cudasim_place at);
unsigned cudasim_active_mask(void);

/* Ends the process: "cudasim: ...", with the kernel, block and thread that runs. */
[[noreturn]] void cudasim_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Shared memory: one slot for each AX_SHARED in the source. */
struct cudasim_slot {
	uint64_t block; /* serial number of the block that `at` belongs to */
	void *at;
};
void *cudasim_shared(cudasim_slot *slot, size_t bytes, const char *name, cudasim_place at = CUDASIM_HERE);
void *cudasim_dyn_shared(void);
unsigned cudasim_shared_address(const void *p);
void cudasim_require_global(const void *p);

/* cp.async: noted at the issue, copied at the wait. */
void cudasim_cp_async(void *shared, const void *global, int bytes, int n_valid, cudasim_place at);
void cudasim_cp_commit(void);
void cudasim_cp_wait(int n_left);

/* Shared memory read by a warp operation on behalf of all its lanes. */
void cudasim_warp_read(void *to, const void *shared, unsigned bytes);

/* Atomic operations are ordered by nothing but never race: the checker is told. */
void cudasim_atomic(void *p, unsigned bytes);

struct cudasim_launch_args {
	const char *kernel_name;
	cudasim_place at;
	const void *kernel;           /* address: the key of function attributes */
	void (*enter)(const void *);  /* calls the kernel for one thread with its parameters */
	const void *params;
	size_t params_bytes;
	dim3 grid, block;
	size_t smem;
	cudaStream_t stream;
};
void cudasim_launch_kernel(const cudasim_launch_args &a);
}

#ifdef CUDASIM_PORTABLE
void cudasim_jump(cudasim_context *from, cudasim_context *to);
#else
#ifdef __AVX512F__
#define CUDASIM_VECTOR_REGS                                                                                            \
	"xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",    \
		"xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7",
#else
#define CUDASIM_VECTOR_REGS
#endif
/*
 * The compiler is told that every register is lost, so it keeps alive only what it needs; nothing is pushed, because
 * the red zone below the stack pointer may be in use.
 */
static CUDASIM_INLINE void cudasim_jump(cudasim_context *from, cudasim_context *to)
{
	asm volatile("leaq 1f(%%rip), %%rax\n\t"
		     "movq %%rax, 0(%0)\n\t"
		     "movq %%rsp, 8(%0)\n\t"
		     "movq %%rbp, 16(%0)\n\t"
		     "movq 8(%1), %%rsp\n\t"
		     "movq 16(%1), %%rbp\n\t"
		     "jmpq *0(%1)\n"
		     "1:"
		     : "+D"(from), "+S"(to)
		     :
		     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
		       "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
		       "xmm13", "xmm14", "xmm15", CUDASIM_VECTOR_REGS "cc", "memory");
}
#endif

static CUDASIM_INLINE void cudasim_switch(cudasim_context *from, cudasim_context *to)
{
#ifdef CUDASIM_ASAN
	__sanitizer_start_switch_fiber(&from->fake, to->stack_low, to->stack_bytes);
#endif
	cudasim_jump(from, to);
#ifdef CUDASIM_ASAN
	__sanitizer_finish_switch_fiber(from->fake, nullptr, nullptr);
#endif
}

/* Let `next` run until this thread is woken. */
static CUDASIM_INLINE void cudasim_yield_to(cudasim_fiber *next)
{
	if (!next)
		return;
	cudasim_context *mine = &cudasim_self->context;
	cudasim_self = next;
	cudasim_switch(mine, &next->context);
}

#define threadIdx (cudasim_self->thread)
#define blockIdx cudasim_block_index
#define blockDim cudasim_block_dim
#define gridDim cudasim_grid_dim
constexpr int warpSize = 32;

static CUDASIM_INLINE void __syncthreads(CUDASIM_AT)
{
	cudasim_yield_to(cudasim_barrier(at));
}

/* One meeting of the lanes in `mask`: the last one computes fn for all; operands stay where each lane put them. */
static CUDASIM_INLINE void cudasim_collective(cudasim_warp_fn *fn, unsigned mask, void *operand, cudasim_place at)
{
	cudasim_yield_to(cudasim_meet(fn, mask, operand, at));
}

void cudasim_warp_nothing(void *const lane[32], unsigned mask);
static CUDASIM_INLINE void __syncwarp(unsigned mask = 0xffffffffu, CUDASIM_AT)
{
	cudasim_collective(cudasim_warp_nothing, mask, nullptr, at);
}

/* Shuffles: what a lane brings, which lane it wants, what it gets. */
template <class T> struct cudasim_shuffle {
	T value, result;
	unsigned from;
};
[[noreturn]] void cudasim_bad_source(unsigned lane, unsigned from, unsigned mask);
template <class T> CUDASIM_TWIN void cudasim_shuffle_all(void *const lane[32], unsigned mask)
{
	for (unsigned l = 0; l < 32; l++) {
		if (!(mask >> l & 1))
			continue;
		cudasim_shuffle<T> *s = static_cast<cudasim_shuffle<T> *>(lane[l]);
		if (!(mask >> s->from & 1))
			cudasim_bad_source(l, s->from, mask);
		s->result = static_cast<cudasim_shuffle<T> *>(lane[s->from])->value;
	}
}
template <class T> static CUDASIM_INLINE T cudasim_shuffle_from(unsigned mask, T value, unsigned from, cudasim_place at)
{
	static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a shuffle moves 4 or 8 bytes");
	cudasim_shuffle<T> s = {value, value, from};
	cudasim_collective(cudasim_shuffle_all<T>, mask, &s, at);
	return s.result;
}
template <class T> static CUDASIM_INLINE T __shfl_sync(unsigned mask, T v, int from, int width = 32, CUDASIM_AT)
{
	unsigned lane = cudasim_self->lane, w = static_cast<unsigned>(width);
	return cudasim_shuffle_from(mask, v, (lane & ~(w - 1)) | (static_cast<unsigned>(from) & (w - 1)), at);
}
template <class T> static CUDASIM_INLINE T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, CUDASIM_AT)
{
	unsigned lane = cudasim_self->lane, w = static_cast<unsigned>(width), to = lane ^ static_cast<unsigned>(bits);
	return cudasim_shuffle_from(mask, v, to / w > lane / w ? lane : to, at);
}
template <class T> static CUDASIM_INLINE T __shfl_down_sync(unsigned mask, T v, unsigned n, int width = 32, CUDASIM_AT)
{
	unsigned lane = cudasim_self->lane, w = static_cast<unsigned>(width);
	return cudasim_shuffle_from(mask, v, (lane & (w - 1)) + n < w ? lane + n : lane, at);
}
template <class T> static CUDASIM_INLINE T __shfl_up_sync(unsigned mask, T v, unsigned n, int width = 32, CUDASIM_AT)
{
	unsigned lane = cudasim_self->lane, w = static_cast<unsigned>(width);
	return cudasim_shuffle_from(mask, v, (lane & (w - 1)) >= n ? lane - n : lane, at);
}

struct cudasim_vote {
	unsigned mine, all;
};
void cudasim_vote_all(void *const lane[32], unsigned mask);
static CUDASIM_INLINE unsigned __ballot_sync(unsigned mask, int predicate, CUDASIM_AT)
{
	cudasim_vote v = {predicate != 0, 0};
	cudasim_collective(cudasim_vote_all, mask, &v, at);
	return v.all;
}
static CUDASIM_INLINE int __any_sync(unsigned mask, int predicate, CUDASIM_AT)
{
	return __ballot_sync(mask, predicate, at) != 0;
}
static CUDASIM_INLINE int __all_sync(unsigned mask, int predicate, CUDASIM_AT)
{
	return __ballot_sync(mask, predicate, at) == mask;
}
static CUDASIM_INLINE unsigned __activemask(void)
{
	return cudasim_active_mask();
}

/* Launches. The parameters travel by value, as on hardware. */
template <class... P> struct cudasim_params {
	void (*kernel)(P...);
	std::tuple<P...> values;
	static void enter(const void *p)
	{
		const cudasim_params *self = static_cast<const cudasim_params *>(p);
		std::apply(self->kernel, self->values);
	}
};
template <class... P, class... A>
void cudasim_launch(const char *name, cudasim_place at, void (*kernel)(P...), dim3 grid, dim3 block, size_t smem,
		    cudaStream_t stream, A... a)
{
	static_assert(sizeof...(P) == sizeof...(A), "the kernel takes another number of arguments");
	static_assert((std::is_trivially_copyable<P>::value && ...), "kernel arguments are copied byte by byte");
	cudasim_params<P...> params = {kernel, std::tuple<P...>(static_cast<P>(a)...)};
	cudasim_launch_args args = {name,	     at,     reinterpret_cast<const void *>(kernel),
				    params.enter,    &params, sizeof params,
				    grid,	     block,  smem,
				    stream};
	cudasim_launch_kernel(args);
}

#endif
