/* The CUDA device: choosing a GPU, its memory and streams, failures, the table of ops, and the plugin's one symbol. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/lt.h"
#include "tensor/cuda/stage.h"
#include "tensor/device.h"

#define OLDEST_SM 80

/* What fills the table of ops, a file each. */
static void (*const parts[])(struct ax_cuda *c) = {
	ax_cuda_elem, ax_cuda_norm, ax_cuda_linear, ax_cuda_embed, ax_cuda_adamw, ax_cuda_head, ax_cuda_attn,
};

#define N_PARTS (sizeof(parts) / sizeof(parts[0]))

/* --- failures ------------------------------------------------------------------------------------------------------- */

struct ax_cuda_failure {
	pthread_mutex_t lock;
	bool set;
	char msg[512];
};

void ax_cuda_fail(struct ax_cuda *c, const char *op, const char *fmt, ...)
{
	struct ax_cuda_failure *f = c->failure;
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&f->lock);
	if (!f->set)
		snprintf(f->msg, sizeof(f->msg), "%s: %s", op, text);
	f->set = true;
	pthread_mutex_unlock(&f->lock);
}

bool ax_cuda_failed(struct ax_cuda *c, const char *op, cudaError_t e)
{
	if (e == cudaSuccess)
		return false;
	ax_cuda_fail(c, op, "%s (%s)", cudaGetErrorString(e), cudaGetErrorName(e));
	return true;
}

/* What a wait reports went wrong in some op before it. */
static bool failed_before(struct ax_cuda *c, cudaError_t e)
{
	if (e == cudaSuccess)
		return false;
	ax_cuda_fail(c, c->last_op ? c->last_op : "start", "%s (%s), in this operation or one before it: AX_CUDA_SYNC=1 finds out which",
		     cudaGetErrorString(e), cudaGetErrorName(e));
	return true;
}

static bool has_failed(struct ax_cuda *c)
{
	bool set;

	pthread_mutex_lock(&c->failure->lock);
	set = c->failure->set;
	pthread_mutex_unlock(&c->failure->lock);
	return set;
}

void ax_cuda_done(struct ax_cuda *c, const char *op)
{
	c->last_op = op;
	if (c->profile)
		ax_cuda_profile_op(c, op);
	if (!ax_cuda_failed(c, op, cudaGetLastError()) && c->sync_each)
		ax_cuda_failed(c, op, cudaStreamSynchronize(c->compute));
}

static int cuda_sync(struct ax_dev *d, struct ax_err *e)
{
	struct ax_cuda *c = ax_cuda_of(d);
	struct ax_cuda_failure *f = c->failure;
	int rc = 0;

	failed_before(c, ax_cuda_wait(c, NULL));
	if (c->profile)
		ax_cuda_profile_wait(c);
	pthread_mutex_lock(&f->lock);
	if (f->set)
		rc = ax_fail(e, AX_ECOMM, "GPU %d, %s", c->device, f->msg);
	pthread_mutex_unlock(&f->lock);
	return rc;
}

/* --- waiting -------------------------------------------------------------------------------------------------------- */

#define SPINS 200

void ax_cuda_idle_add(struct ax_cuda *c, struct ax_cuda_idle *x)
{
	x->next = c->idle;
	c->idle = x;
}

void ax_cuda_idle_remove(struct ax_cuda *c, struct ax_cuda_idle *x)
{
	for (struct ax_cuda_idle **at = &c->idle; *at; at = &(*at)->next)
		if (*at == x) {
			*at = x->next;
			return;
		}
}

static bool idle(struct ax_cuda *c, double waited_s)
{
	bool good = true;

	for (struct ax_cuda_idle *x = c->idle; x; x = x->next)
		good = x->fn(x->ctx, waited_s) && good;
	return good;
}

cudaError_t ax_cuda_wait(struct ax_cuda *c, cudaEvent_t e)
{
	const struct timespec nap = { 0, 20000 };
	double start = ax_now();
	cudaError_t rc;

	if (!c->idle)
		return e ? cudaEventSynchronize(e) : cudaStreamSynchronize(c->compute);
	for (unsigned spin = 0;; spin++) {
		if (!idle(c, spin ? ax_now() - start : 0))
			return cudaErrorNotReady;
		rc = e ? cudaEventQuery(e) : cudaStreamQuery(c->compute);
		if (rc != cudaErrorNotReady)
			break;
		cudaGetLastError(); /* "not ready" is no failure that an op's check may find */
		if (spin >= SPINS)
			nanosleep(&nap, NULL);
		else
			sched_yield();
	}
	idle(c, -1);
	return rc;
}

/* --- memory and streams --------------------------------------------------------------------------------------------- */

static void *cuda_alloc(struct ax_dev *d, size_t bytes)
{
	struct ax_cuda *c = ax_cuda_of(d);
	void *p = NULL;
	cudaError_t rc = cudaMalloc(&p, bytes ? bytes : 1);

	if (rc == cudaErrorMemoryAllocation)
		cudaGetLastError(); /* that is no failure of the device: the next op's check must not see it */
	else
		ax_cuda_failed(c, "alloc", rc);
	if (rc != cudaSuccess)
		return NULL;
	ax_cuda_failed(c, "alloc", cudaMemsetAsync(p, 0, bytes ? bytes : 1, c->compute));
	return p;
}

static void cuda_free(struct ax_dev *d, void *p)
{
	struct ax_cuda *c = ax_cuda_of(d);

	if (!p)
		return;
	if (has_failed(c) || failed_before(c, cudaDeviceSynchronize())) /* what is stuck may still use it: left to the end */
		return;
	ax_cuda_record_forget(c);
	cudaFree(p);
}

static void cuda_copy(struct ax_dev *d, void *dst, const void *src, size_t bytes)
{
	struct ax_cuda *c = ax_cuda_of(d);

	if (bytes && dst != src)
		ax_cuda_failed(c, "copy", cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToDevice, c->compute));
	if (c->profile)
		ax_cuda_profile_op(c, "copy");
}

static void cuda_zero(struct ax_dev *d, void *dst, size_t bytes)
{
	struct ax_cuda *c = ax_cuda_of(d);

	if (bytes)
		ax_cuda_failed(c, "zero", cudaMemsetAsync(dst, 0, bytes, c->compute));
	if (c->profile)
		ax_cuda_profile_op(c, "zero");
}

/* --- scratch -------------------------------------------------------------------------------------------------------- */

static size_t cuda_scratch_bytes(struct ax_dev *d, const struct ax_shape *s)
{
	const struct ax_gpu g = ax_cuda_gpu(ax_cuda_of(d));

	return ax_gpu_scratch(&g, s) + AX_GPU_WORKSPACE;
}

static int cuda_reserve(struct ax_dev *d, const struct ax_shape *s, struct ax_err *e)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const struct ax_gpu g = ax_cuda_gpu(c);
	size_t bytes = ax_gpu_scratch(&g, s);

	AX_TRY(ax_cuda_lt_reserve(c, e));
	if (bytes > c->scratch_bytes) {
		cuda_free(d, c->scratch);
		c->scratch_bytes = 0;
		c->scratch = cuda_alloc(d, bytes);
		if (!c->scratch)
			return ax_fail(e, AX_EMEM, "GPU %d: no memory for %zu bytes of scratch", c->device, bytes);
		c->scratch_bytes = bytes;
	}
	return cuda_sync(d, e);
}

void *ax_cuda_scratch(struct ax_cuda *c, const char *op, size_t bytes)
{
	size_t whole = ax_cuda_round(bytes);

	if (whole <= c->scratch_bytes && c->scratch) /* its end: what is written past it leaves the allocation and is seen in tests */
		return (char *)c->scratch + (c->scratch_bytes - whole);
	ax_cuda_fail(c, op, "%zu bytes of scratch, but %zu are reserved: the shape is larger than what was planned", bytes, c->scratch_bytes);
	return NULL;
}

/* --- open ----------------------------------------------------------------------------------------------------------- */

static int no_gpu(cudaError_t rc, struct ax_err *e)
{
	const char *visible = getenv("CUDA_VISIBLE_DEVICES");
	int driver = 0;

	cudaDriverGetVersion(&driver);
	if (rc == cudaErrorInsufficientDriver && driver == 0)
		return ax_fail(e, AX_ECOMM, "there is no NVIDIA driver");
	if (rc == cudaErrorInsufficientDriver)
		return ax_fail(e, AX_ECOMM, "the NVIDIA driver is for CUDA %d.%d, too old for this build with CUDA %d.%d", driver / 1000, driver % 1000 / 10,
			       CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
	if (rc != cudaSuccess && rc != cudaErrorNoDevice)
		return ax_fail(e, AX_ECOMM, "CUDA cannot start: %s", cudaGetErrorString(rc));
	return ax_fail(e, AX_ECOMM, "no NVIDIA GPU is visible%s%s", visible ? ": CUDA_VISIBLE_DEVICES is " : "", visible ? visible : "");
}

/* Take the GPU of this rank; its properties into c and *p. */
static int choose(struct ax_cuda *c, const struct ax_dev_opt *o, struct cudaDeviceProp *p, struct ax_err *e)
{
	int n = 0;
	cudaError_t rc = cudaGetDeviceCount(&n);

	if (rc != cudaSuccess || n < 1)
		return no_gpu(rc, e);
	c->device = o->local_rank % n;
	rc = cudaGetDeviceProperties(p, c->device);
	if (rc != cudaSuccess)
		return ax_fail(e, AX_ECOMM, "GPU %d cannot be asked what it is: %s", c->device, cudaGetErrorString(rc));
	c->sm = p->major * 10 + p->minor;
	if (c->sm < OLDEST_SM)
		return ax_fail(e, AX_ECOMM, "GPU %d (%s) has compute capability %d.%d, %d.%d or newer is needed", c->device, p->name, p->major, p->minor, OLDEST_SM / 10,
			       OLDEST_SM % 10);
	rc = cudaSetDevice(c->device);
	if (rc != cudaSuccess)
		return ax_fail(e, AX_ECOMM, "GPU %d (%s) cannot be used: %s", c->device, p->name, cudaGetErrorString(rc));
	c->n_sm = p->multiProcessorCount;
	c->smem_max = p->sharedMemPerBlockOptin;
	c->l2_bytes = (size_t)p->l2CacheSize;
	c->memory_bytes = p->totalGlobalMem;
	return 0;
}

static int open_streams(struct ax_cuda *c, struct ax_err *e)
{
	int least = 0, greatest = 0;
	cudaError_t rc = cudaDeviceGetStreamPriorityRange(&least, &greatest);

	if (!rc)
		rc = cudaStreamCreateWithFlags(&c->compute, cudaStreamNonBlocking);
	if (!rc)
		rc = cudaStreamCreateWithPriority(&c->comm, cudaStreamNonBlocking, greatest);
	if (!rc)
		rc = cudaStreamCreateWithFlags(&c->copy, cudaStreamNonBlocking);
	return rc ? ax_fail(e, AX_ECOMM, "GPU %d: no streams: %s", c->device, cudaGetErrorString(rc)) : 0;
}

static void fill_table(struct ax_cuda *c)
{
	c->ops = (struct ax_ops){
		.alloc = cuda_alloc,
		.free = cuda_free,
		.upload = ax_stage_upload,
		.download = ax_stage_download,
		.copy = cuda_copy,
		.zero = cuda_zero,
		.sync = cuda_sync,
		.scratch_bytes = cuda_scratch_bytes,
		.reserve = cuda_reserve,
	};
	for (size_t i = 0; i < N_PARTS; i++)
		parts[i](c);
}

static void write_name(struct ax_cuda *c, const struct cudaDeviceProp *p)
{
	int driver = 0, runtime = 0;
	size_t lt = cublasLtGetVersion();

	cudaDriverGetVersion(&driver);
	cudaRuntimeGetVersion(&runtime);
	snprintf(c->name, sizeof(c->name), "cuda (%.100s, sm_%d, driver %d.%d, CUDA %d.%d, cuBLASLt %zu.%zu)", p->name, c->sm, driver / 1000, driver % 1000 / 10,
		 runtime / 1000, runtime % 1000 / 10, lt / 10000, lt / 100 % 100);
}

/*
 * What the program may count on: its share of what is free, less what the driver will take for code, stacks and libraries
 * as they are first used.
 */
static int usable_memory(struct ax_cuda *c, const struct ax_dev_opt *o, size_t *bytes, struct ax_err *e)
{
	size_t nothing, most = (size_t)512 << 20, keep;
	int n = 0, n_here;

	if (cudaMemGetInfo(bytes, &nothing) != cudaSuccess || cudaGetDeviceCount(&n) != cudaSuccess)
		return ax_fail(e, AX_ECOMM, "GPU %d: its memory cannot be asked for", c->device);
	c->free_at_start = *bytes;
	n_here = o->n_local > c->device ? (o->n_local - c->device - 1) / n + 1 : 1; /* ranks that chose this GPU */
	*bytes /= (size_t)n_here;
	keep = *bytes / 16;
	*bytes -= keep < most ? keep : most;
	return 0;
}

/* Other processes on this GPU are counted too: the driver tells no more. */
static size_t cuda_used(struct ax_dev *d)
{
	size_t now, all, before = ax_cuda_of(d)->free_at_start;

	return cudaMemGetInfo(&now, &all) == cudaSuccess && now < before ? before - now : 0;
}

static int open_parts(struct ax_dev *d, const struct ax_dev_opt *o, struct ax_err *e)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const char *each = getenv("AX_CUDA_SYNC");
	struct cudaDeviceProp p = { 0 };

	c->act = o->act;
	c->deterministic = o->deterministic;
	c->sync_each = each && !strcmp(each, "1");
	AX_TRY(choose(c, o, &p, e));
	AX_TRY(open_streams(c, e));
	AX_TRY(ax_stage_open(c->stage, c, e));
	AX_TRY(ax_cuda_lt_open(c, p.name, o->measure, e));
	c->lt->follow = o->follow;
	write_name(c, &p);
	fill_table(c);
	AX_TRY(ax_cuda_record_open(c, e));
	AX_TRY(ax_cuda_profile_open(c, e));
	AX_TRY(usable_memory(c, o, &d->memory, e));
	return cuda_sync(d, e);
}

/* One block: the plugin's state lives and dies together. */
struct whole {
	struct ax_cuda c;
	struct ax_stage stage;
	struct ax_cuda_failure failure;
};

static void cuda_close(struct ax_dev *d)
{
	struct ax_cuda *c = ax_cuda_of(d);
	cudaStream_t streams[] = { c->compute, c->comm, c->copy };

	if (c->compute)
		cudaDeviceSynchronize();
	ax_cuda_profile_close(c);
	ax_cuda_record_close(c);
	ax_cuda_lt_close(c);
	if (c->scratch)
		cudaFree(c->scratch);
	ax_stage_close(c->stage);
	for (int i = 0; i < 3; i++)
		if (streams[i])
			cudaStreamDestroy(streams[i]);
	pthread_mutex_destroy(&c->failure->lock);
	ax_free(c);
	memset(d, 0, sizeof(*d));
}

static int cuda_open(struct ax_dev *d, const struct ax_dev_opt *o, struct ax_err *e)
{
	struct whole *w;
	int rc;

	memset(d, 0, sizeof(*d));
	if (o->act != AX_F32 && o->act != AX_BF16)
		return ax_fail(e, AX_EUSAGE, "a GPU computes in f32 or bf16, not %s", ax_dtype_name(o->act));
	w = ax_calloc(1, sizeof(*w));
	if (!w)
		return ax_fail(e, AX_EMEM, "out of memory");
	w->c.stage = &w->stage;
	w->c.failure = &w->failure;
	pthread_mutex_init(&w->stage.lock, NULL);
	pthread_mutex_init(&w->failure.lock, NULL);
	*d = (struct ax_dev){ .ops = &w->c.ops, .act = o->act, .impl = &w->c, .name = w->c.name, .deterministic = o->deterministic, .pinned = AX_GPU_PINNED_BYTES, .used = cuda_used, .close = cuda_close, .wire = ax_cuda_wire, .tuning = ax_lt_tuning, .tune = ax_lt_tune };
	rc = open_parts(d, o, e);
	if (rc)
		cuda_close(d);
	return rc;
}

extern const struct ax_dev_plugin ax_dev_plugin;
__attribute__((visibility("default"))) const struct ax_dev_plugin ax_dev_plugin = {
	AX_VERSION, AX_DEV_WALL, sizeof(struct ax_dev), sizeof(struct ax_ops), cuda_open,
};
