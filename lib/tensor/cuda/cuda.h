/*
 * Inside of the CUDA plugin (libax-cuda.so): what dev.c gives to the files that hold the ops.
 *
 * An op is enqueued on c->compute and returns. It allocates nothing, waits for nothing and asks the device nothing, and
 * its launches depend on its host arguments alone, so that a step can be captured as a graph:
 *
 *	static void scale(struct ax_dev *d, float *x, float alpha, size_t n)
 *	{
 *		struct ax_cuda *c = ax_cuda_of(d);
 *		float *part = ax_cuda_scratch(c, "scale", n_part * sizeof(*part));    // only where one is needed
 *		if (!part)
 *			return;
 *		AX_LAUNCH(scale_kernel, grid, block, 0, c->compute, x, alpha, n);
 *		ax_cuda_done(c, "scale");
 *	}
 *
 * Each file of ops has one public function that puts its ops into c->ops, named in dev.c's table `parts`. Valid C11 and C++17: C files and .cu files include it.
 */
#ifndef AX_TENSOR_CUDA_CUDA_H
#define AX_TENSOR_CUDA_CUDA_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tensor/cuda/scratch.h"
#include "tensor/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ax_cuda_lt;      /* lt.h: matrix products */
struct ax_stage;        /* stage.h: pinned memory */
struct ax_record;       /* record.c: sequences of ops as graphs */
struct ax_cuda_failure; /* dev.c: the first failure */
struct ax_cuda_profile; /* profile.c: the time of each op */

struct ax_cuda {
	struct ax_ops ops;
	enum ax_dtype act;  /* of the ops' act tensors: AX_BF16 or AX_F32 */
	bool deterministic; /* no float atomics, no order of sums that depends on timing */
	bool recording;     /* ops are captured now and do not run: measure nothing, wait for nothing */
	bool sync_each;     /* AX_CUDA_SYNC=1: wait after each op, so that a failure names it; nothing is captured then */
	int device;         /* its number, after CUDA_VISIBLE_DEVICES */
	int sm;             /* compute capability as in sm_90: 80, 86, 89, 90, 100, ... */
	int n_sm;           /* multiprocessors */
	size_t smem_max;    /* shared memory that a block may ask for, with cudaFuncSetAttribute() above 48 KiB */
	size_t l2_bytes, memory_bytes; /* cache; device memory in all */
	size_t free_at_start;
	cudaStream_t compute, comm, copy; /* non-blocking; comm has the higher priority */
	struct ax_cuda_lt *lt;
	struct ax_stage *stage;
	struct ax_record *record;
	struct ax_cuda_failure *failure;
	struct ax_cuda_profile *profile; /* AX_CUDA_PROFILE=1; else NULL */
	struct ax_cuda_idle *idle; /* what is done while the host waits */
	void *scratch;     /* of the op that runs: ax_cuda_scratch() */
	size_t scratch_bytes;
	const char *last_op;
	char name[256];
};

static inline struct ax_cuda *ax_cuda_of(struct ax_dev *d)
{
	return (struct ax_cuda *)d->impl;
}

/* What layouts of scratch depend on. */
static inline struct ax_gpu ax_cuda_gpu(const struct ax_cuda *c)
{
	const struct ax_gpu g = { c->act, c->n_sm, c->memory_bytes };

	return g;
}

/* --- for ops -------------------------------------------------------------------------------------------------------- */

/*
 * After the last launch of an op: a launch that was refused becomes the device's failure. `op` is a string constant.
 */
void ax_cuda_done(struct ax_cuda *c, const char *op);

/*
 * The device has failed, in `op`; the first failure stays and is what sync() reports. From any thread.
 */
void ax_cuda_fail(struct ax_cuda *c, const char *op, const char *fmt, ...) AX_PRINTF(3, 4);
/* The same for a call of the runtime; true if e is a failure. */
bool ax_cuda_failed(struct ax_cuda *c, const char *op, cudaError_t e);

/*
 * `bytes` of device memory, aligned to 256, contents undefined, that belong to this op until the next op is enqueued.
 * One call an op: cut it into parts with ax_cuda_round(). NULL, and the device failed, if reserve() was not told of such
 * a shape. An op that calls another (a product of ax_cuda_mm is none: it has a workspace of its own) loses it.
 */
void *ax_cuda_scratch(struct ax_cuda *c, const char *op, size_t bytes);

/*
 * The host waits for an event, or (NULL) for all that is on the compute stream. Meanwhile communicators move what they have
 * in flight, and look whether the other ranks are alive: a wait for the device can be one for another rank. fn: waited_s
 * is the time since the wait began, < 0 where it is over; false: the device cannot get there any more, ax_cuda_fail() has
 * been told why. Only the thread that opened the device waits so.
 */
struct ax_cuda_idle {
	struct ax_cuda_idle *next;
	bool (*fn)(void *ctx, double waited_s);
	void *ctx;
};
void ax_cuda_idle_add(struct ax_cuda *c, struct ax_cuda_idle *x);
void ax_cuda_idle_remove(struct ax_cuda *c, struct ax_cuda_idle *x);
cudaError_t ax_cuda_wait(struct ax_cuda *c, cudaEvent_t e);

/*
 * A matrix product, all row-major:  out (m, n) = alpha * A (m, k) B (k, n) + beta * out (+ bias (n) for each row).
 * A is stored as (m, k), or as (k, m) if a_trans; B as (k, n), or as (n, k) if b_trans. Strides of rows in elements. Sums
 * in f32, products of f32 in plain f32 (never TF32).
 */
struct ax_cuda_product {
	int m, n, k;
	bool a_trans, b_trans;
	size_t lda, ldb, ldo;
	enum ax_dtype in, out; /* of A and B; of out and the bias: f32, or that of A and B */
	float alpha, beta;
};

void ax_cuda_mm(struct ax_cuda *c, const char *op, const struct ax_cuda_product *p, void *out, const void *a, const void *b, const void *bias);
/* product.cu: the same without the library, slowly: what ax_cuda_mm does where the library cannot. No empty matrices. */
void ax_cuda_plain_mm(struct ax_cuda *c, const struct ax_cuda_product *p, void *out, const void *a, const void *b, const void *bias);

/* --- the parts, a file each ----------------------------------------------------------------------------------------- */

/*
 * Put the file's ops into c->ops, and do what kernels need once (cudaFuncSetAttribute); failures by ax_cuda_failed().
 * What an op asks of ax_cuda_scratch() is laid out in scratch.h.
 */
void ax_cuda_elem(struct ax_cuda *c);
void ax_cuda_norm(struct ax_cuda *c);
void ax_cuda_embed(struct ax_cuda *c);
void ax_cuda_head(struct ax_cuda *c);
void ax_cuda_attn(struct ax_cuda *c);
void ax_cuda_adamw(struct ax_cuda *c);
void ax_cuda_linear(struct ax_cuda *c);

/*
 * lt.c: the library of matrix products and its workspace, which is device memory of its own beside the scratch of ops.
 * measure: choose algorithms by the clock (not where results must be deterministic). close: NULL c->lt is allowed.
 */
int ax_cuda_lt_open(struct ax_cuda *c, const char *gpu, bool measure, struct ax_err *e);
void ax_cuda_lt_close(struct ax_cuda *c);
int ax_cuda_lt_reserve(struct ax_cuda *c, struct ax_err *e);

/* record.c: puts record_begin and record_end into c->ops. forget: all recordings hold addresses that may be gone. */
int ax_cuda_record_open(struct ax_cuda *c, struct ax_err *e);
void ax_cuda_record_forget(struct ax_cuda *c);
void ax_cuda_record_close(struct ax_cuda *c);

/*
 * profile.c. op: what was enqueued on the compute stream since the last call is one call of `op` (a string constant); wait: the
 * host has waited for the device. Both only if c->profile. close prints what was counted.
 */
int ax_cuda_profile_open(struct ax_cuda *c, struct ax_err *e);
void ax_cuda_profile_op(struct ax_cuda *c, const char *op);
void ax_cuda_profile_wait(struct ax_cuda *c);
void ax_cuda_profile_close(struct ax_cuda *c);

/* lib/comm: what fills ax_dev.wire (tensor/device.h). */
struct ax_comm;
int ax_cuda_wire(struct ax_dev *d, struct ax_comm *host, struct ax_comm **wire, struct ax_err *e);

#ifdef __cplusplus
}
#endif

#endif
