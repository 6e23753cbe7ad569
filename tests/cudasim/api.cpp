/* The runtime API: devices, errors, memory, streams, events, host functions, attributes of kernels. */
#include <ctime>

#include "stream.h"

/* --- errors ---------------------------------------------------------------------------------------------- */

static thread_local cudaError_t last_error;

cudaError_t sim_set_error(cudaError_t e)
{
	if (e)
		last_error = e;
	return e;
}

cudaError_t cudaGetLastError(void)
{
	const cudaError_t e = last_error;
	last_error = cudaSuccess;
	return e;
}

cudaError_t cudaPeekAtLastError(void)
{
	return last_error;
}

#define ERRORS(X)                                                                                                      \
	X(cudaSuccess, "no error")                                                                                     \
	X(cudaErrorInvalidValue, "invalid argument")                                                                   \
	X(cudaErrorMemoryAllocation, "out of memory")                                                                  \
	X(cudaErrorNoDevice, "no CUDA-capable device is detected")                                                     \
	X(cudaErrorInvalidDevice, "invalid device ordinal")                                                            \
	X(cudaErrorNotReady, "device not ready")                                                                       \
	X(cudaErrorNotSupported, "operation not supported")                                                            \
	X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing")                       \
	X(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture")                \
	X(cudaErrorStreamCaptureMerge, "operation would have merged two capture sequences")                            \
	X(cudaErrorStreamCaptureUnmatched, "capture was not begun in this stream")                                     \
	X(cudaErrorStreamCaptureUnjoined, "capture has a stream that did not join the first one")                      \
	X(cudaErrorStreamCaptureIsolation, "captured stream waits for work outside the capture")                       \
	X(cudaErrorStreamCaptureWrongThread, "capture was begun by another thread")                                    \
	X(cudaErrorCapturedEvent, "event was recorded in a captured stream")

const char *cudaGetErrorName(cudaError_t e)
{
#define NAME(value, text)                                                                                              \
	if (e == value)                                                                                                \
		return #value;
	ERRORS(NAME)
	return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t e)
{
#define TEXT(value, text)                                                                                              \
	if (e == value)                                                                                                \
		return text;
	ERRORS(TEXT)
	return "unrecognized error code";
}

/* --- devices --------------------------------------------------------------------------------------------- */

/*
 * All devices are alike, and a process works on the one it chose first: memory and streams do not know theirs. Each thread
 * begins with device 0 and must choose that one too.
 */
static int device = -1;
static thread_local int device_here;

static int current_device(void)
{
	return device_here;
}

void sim_require_device(const char *what)
{
	if (device >= 0 && device_here != device)
		cudasim_die("%s in a thread that works on device %d: cudaSetDevice(%d) holds for the thread that called it", what, device_here,
			    device);
}

cudaError_t cudaGetDeviceCount(int *count)
{
	sim_lock lock;
	*count = sim_settings().n_device;
	return sim_set_error(*count ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int d)
{
	sim_lock lock;
	if (d < 0 || d >= sim_settings().n_device)
		return sim_set_error(cudaErrorInvalidDevice);
	if (device >= 0 && device != d)
		cudasim_die("cudaSetDevice(%d) after cudaSetDevice(%d): one device a process is simulated", d, device);
	device = device_here = d;
	return cudaSuccess;
}

cudaError_t cudaGetDevice(int *d)
{
	sim_lock lock;
	if (!sim_settings().n_device)
		return sim_set_error(cudaErrorNoDevice);
	*d = current_device();
	return cudaSuccess;
}

cudaError_t cudaSetDeviceFlags(unsigned)
{
	return cudaSuccess;
}

/* Shared memory a block may opt in to, by compute capability. */
static size_t optin_bytes(int compute)
{
	switch (compute) {
	case 80: return 163 * 1024;
	case 86:
	case 89:
	case 120: return 99 * 1024;
	case 90:
	case 100: return 227 * 1024;
	}
	cudasim_die("CUDASIM_COMPUTE=%d is not known", compute);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int d)
{
	sim_lock lock;
	const settings &s = sim_settings();
	if (d < 0 || d >= s.n_device)
		return sim_set_error(cudaErrorInvalidDevice);
	*p = {};
	snprintf(p->name, sizeof p->name, "cudasim sm_%d", s.compute);
	p->totalGlobalMem = s.memory_bytes;
	p->sharedMemPerBlock = 48 * 1024;
	p->sharedMemPerBlockOptin = optin_bytes(s.compute);
	p->sharedMemPerMultiprocessor = p->sharedMemPerBlockOptin + 1024;
	p->regsPerBlock = 65536;
	p->warpSize = 32;
	p->maxThreadsPerBlock = 1024;
	p->major = s.compute / 10;
	p->minor = s.compute % 10;
	p->multiProcessorCount = s.n_sm;
	p->maxThreadsPerMultiProcessor = 2048;
	p->l2CacheSize = 4 << 20;
	p->memoryBusWidth = 256;
	p->pciBusID = d;
	return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attr, int d)
{
	sim_lock lock;
	cudaDeviceProp p;
	if (cudaError_t e = cudaGetDeviceProperties(&p, d))
		return e;
	switch (attr) {
	case cudaDevAttrMaxThreadsPerBlock: *value = p.maxThreadsPerBlock; return cudaSuccess;
	case cudaDevAttrMaxSharedMemoryPerBlock: *value = static_cast<int>(p.sharedMemPerBlock); return cudaSuccess;
	case cudaDevAttrWarpSize: *value = p.warpSize; return cudaSuccess;
	case cudaDevAttrClockRate: *value = 1000000; return cudaSuccess;
	case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; return cudaSuccess;
	case cudaDevAttrMemoryClockRate: *value = 1000000; return cudaSuccess;
	case cudaDevAttrGlobalMemoryBusWidth: *value = p.memoryBusWidth; return cudaSuccess;
	case cudaDevAttrL2CacheSize: *value = p.l2CacheSize; return cudaSuccess;
	case cudaDevAttrMaxThreadsPerMultiProcessor: *value = p.maxThreadsPerMultiProcessor; return cudaSuccess;
	case cudaDevAttrComputeCapabilityMajor: *value = p.major; return cudaSuccess;
	case cudaDevAttrComputeCapabilityMinor: *value = p.minor; return cudaSuccess;
	case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
		*value = static_cast<int>(p.sharedMemPerMultiprocessor);
		return cudaSuccess;
	case cudaDevAttrMaxSharedMemoryPerBlockOptin:
		*value = static_cast<int>(p.sharedMemPerBlockOptin);
		return cudaSuccess;
	case cudaDevAttrMemoryPoolsSupported: *value = 1; return cudaSuccess;
	}
	cudasim_die("cudaDeviceGetAttribute: attribute %d is not simulated", static_cast<int>(attr));
}

cudaError_t cudaDeviceGetPCIBusId(char *id, int n, int d)
{
	if (d < 0 || d >= sim_settings().n_device)
		return sim_set_error(cudaErrorInvalidDevice);
	snprintf(id, static_cast<size_t>(n), "0000:%02x:00.0", d);
	return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
	*version = CUDART_VERSION;
	return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
	*version = CUDART_VERSION;
	return cudaSuccess;
}

/* --- memory ---------------------------------------------------------------------------------------------- */

static cudaError_t allocate(void **p, size_t bytes, block_kind kind)
{
	*p = nullptr;
	sim_require_device("an allocation");
	if (!bytes)
		return cudaSuccess;
	mem_block *b = heap_alloc(kind, bytes);
	if (!b)
		return sim_set_error(cudaErrorMemoryAllocation);
	*p = b->at;
	return cudaSuccess;
}

static mem_block *block_to_free(void *p, block_kind kind, const char *what)
{
	mem_block *b = heap_require(p, 0, kind, what);
	if (b->at != p || b->registered)
		cudasim_die("%s: %p is not the start of an allocation", what, p);
	return b;
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
	sim_lock lock;
	if (cudaError_t e = sim_refuse_in_capture("cudaMalloc"))
		return e;
	return allocate(p, bytes, BLOCK_DEVICE);
}

/* The hardware waits for everything; the checker does not count on it. */
cudaError_t cudaFree(void *p)
{
	sim_lock lock;
	if (cudaError_t e = sim_refuse_in_capture("cudaFree"))
		return e;
	if (!p)
		return cudaSuccess;
	mem_block *b = block_to_free(p, BLOCK_DEVICE, "cudaFree");
	for (size_t i = 0; i < sim_streams().size(); i++)
		sim_run_to(sim_streams()[i], sim_streams()[i]->n_enqueued);
	heap_free(b);
	return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned)
{
	sim_lock lock;
	if (cudaError_t e = sim_refuse_in_capture("cudaHostAlloc"))
		return e;
	return allocate(p, bytes, BLOCK_PINNED);
}

cudaError_t cudaMallocHost(void **p, size_t bytes)
{
	return cudaHostAlloc(p, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *p)
{
	sim_lock lock;
	if (cudaError_t e = sim_refuse_in_capture("cudaFreeHost"))
		return e;
	if (!p)
		return cudaSuccess;
	mem_block *b = block_to_free(p, BLOCK_PINNED, "cudaFreeHost");
	for (size_t i = 0; i < sim_streams().size(); i++)
		sim_run_to(sim_streams()[i], sim_streams()[i]->n_enqueued);
	heap_free(b);
	return cudaSuccess;
}

cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned)
{
	sim_lock lock;
	if (!p || !bytes)
		return sim_set_error(cudaErrorInvalidValue);
	return sim_set_error(heap_register(p, bytes) ? cudaSuccess : cudaErrorHostMemoryAlreadyRegistered);
}

cudaError_t cudaHostUnregister(void *p)
{
	sim_lock lock;
	return sim_set_error(heap_unregister(p) ? cudaSuccess : cudaErrorHostMemoryNotRegistered);
}

/* From here on it is the stream's: others must wait for this operation. */
static void run_allocation(sim_op *op)
{
	const mem_block *b = *op->as<mem_block *>();
	if (!b->freed)
		check_memory_new(b, true);
}

cudaError_t cudaMallocAsync(void **p, size_t bytes, cudaStream_t s)
{
	sim_lock lock;
	sim_require_stream(s, "cudaMallocAsync");
	if (s->capture)
		cudasim_die("cudaMallocAsync in a captured stream is not simulated");
	if (cudaError_t e = allocate(p, bytes, BLOCK_DEVICE))
		return e;
	if (*p)
		sim_enqueue(s, OP_SET, "cudaMallocAsync", CUDASIM_NOWHERE, run_allocation, heap_find(*p));
	return cudaSuccess;
}

static void run_free(sim_op *op)
{
	void *p = *op->as<void *>();
	heap_free(block_to_free(p, BLOCK_DEVICE, "cudaFreeAsync"));
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t s)
{
	sim_lock lock;
	sim_require_stream(s, "cudaFreeAsync");
	if (!p)
		return cudaSuccess;
	if (s->capture)
		cudasim_die("cudaFreeAsync in a captured stream is not simulated");
	block_to_free(p, BLOCK_DEVICE, "cudaFreeAsync");
	sim_enqueue(s, OP_FREE, "cudaFreeAsync", CUDASIM_NOWHERE, run_free, p);
	return cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int)
{
	static char the_pool;
	*pool = reinterpret_cast<cudaMemPool_t>(&the_pool);
	return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void *)
{
	return cudaSuccess;
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t)
{
	return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
	sim_lock lock;
	*total_bytes = sim_settings().memory_bytes;
	*free_bytes = *total_bytes - heap_used();
	return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *a, const void *p)
{
	sim_lock lock;
	const mem_block *b = heap_find(p);
	*a = {};
	if (b && !b->freed) {
		void *q = const_cast<void *>(p);
		a->type = b->kind == BLOCK_DEVICE ? cudaMemoryTypeDevice : cudaMemoryTypeHost;
		a->device = current_device();
		a->devicePointer = q;
		a->hostPointer = b->kind == BLOCK_DEVICE ? nullptr : q;
	}
	return cudaSuccess;
}

/* --- streams --------------------------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
	sim_lock lock;
	if (flags != cudaStreamNonBlocking)
		cudasim_die("a stream that is not cudaStreamNonBlocking waits for the default stream");
	*s = sim_new_stream();
	return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *s, unsigned flags, int)
{
	return cudaStreamCreateWithFlags(s, flags);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
	*least = 0;
	*greatest = -5;
	return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
	sim_lock lock;
	sim_require_stream(s, "cudaStreamDestroy");
	if (s->capture)
		cudasim_die("cudaStreamDestroy of a stream that is being captured");
	sim_drop_stream(s);
	return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
	sim_lock lock;
	sim_require_stream(s, "cudaStreamSynchronize");
	if (cudaError_t e = sim_refuse_in_capture("cudaStreamSynchronize"))
		return e;
	sim_wait_for(s, s->n_enqueued);
	return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t s)
{
	sim_lock lock;
	sim_require_stream(s, "cudaStreamQuery");
	if (cudaError_t e = sim_refuse_in_capture("cudaStreamQuery"))
		return e;
	return sim_set_error(sim_is_done(s, s->n_enqueued) ? cudaSuccess : cudaErrorNotReady);
}

cudaError_t cudaDeviceSynchronize(void)
{
	sim_lock lock;
	if (cudaError_t e = sim_refuse_in_capture("cudaDeviceSynchronize"))
		return e;
	for (size_t i = 0; i < sim_streams().size(); i++)
		sim_wait_for(sim_streams()[i], sim_streams()[i]->n_enqueued);
	return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
	sim_lock lock;
	sim_require_stream(s, "cudaStreamWaitEvent");
	sim_require_event(e, "cudaStreamWaitEvent");
	cudaError_t error;
	if (sim_capture_wait(s, e, &error))
		return error;
	sim_op op = {};
	op.kind = OP_WAIT;
	op.name = "cudaStreamWaitEvent";
	op.at = CUDASIM_NOWHERE;
	op.after = e->point;
	sim_push(s, std::move(op));
	return cudaSuccess;
}

/* --- events ---------------------------------------------------------------------------------------------- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags)
{
	sim_lock lock;
	*e = sim_new_event();
	(*e)->timing = !(flags & cudaEventDisableTiming);
	return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
	sim_lock lock;
	sim_require_event(e, "cudaEventDestroy");
	sim_drop_event(e);
	return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
	sim_lock lock;
	sim_require_event(e, "cudaEventRecord");
	sim_require_stream(s, "cudaEventRecord");
	if (sim_capture_record(e, s))
		return cudaSuccess;
	e->point = {s, s->n_enqueued};
	if (e->timing)
		sim_time_event(e);
	return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
	sim_lock lock;
	sim_require_event(e, "cudaEventSynchronize");
	if (e->capture)
		return sim_set_error(cudaErrorCapturedEvent);
	if (cudaError_t error = sim_refuse_in_capture("cudaEventSynchronize"))
		return error;
	if (e->point.stream)
		sim_wait_for(e->point.stream, e->point.seq);
	return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t e)
{
	sim_lock lock;
	sim_require_event(e, "cudaEventQuery");
	if (e->capture)
		return sim_set_error(cudaErrorCapturedEvent);
	if (cudaError_t error = sim_refuse_in_capture("cudaEventQuery"))
		return error;
	return sim_set_error(!e->point.stream || sim_is_done(e->point.stream, e->point.seq) ? cudaSuccess : cudaErrorNotReady);
}

/* Time means little here: it is what passed on the host between the moments when the two were reached. */
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
	sim_lock lock;
	sim_require_event(from, "cudaEventElapsedTime");
	sim_require_event(to, "cudaEventElapsedTime");
	if (!from->timing || !to->timing || !from->point.stream || !to->point.stream)
		return sim_set_error(cudaErrorInvalidResourceHandle);
	if (to->point.stream->n_done < to->point.seq || from->point.stream->n_done < from->point.seq)
		return sim_set_error(cudaErrorNotReady);
	*ms = static_cast<float>((to->host_s - from->host_s) * 1e3);
	return cudaSuccess;
}

/* --- host functions -------------------------------------------------------------------------------------- */

struct host_call {
	cudaHostFn_t fn;
	void *arg;
};

static void run_host(sim_op *op)
{
	const host_call c = *op->as<host_call>();
	c.fn(c.arg);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t fn, void *arg)
{
	sim_lock lock;
	sim_require_stream(s, "cudaLaunchHostFunc");
	sim_note_pending(s, nullptr, 0);
	sim_enqueue(s, OP_HOST, "a host function", CUDASIM_NOWHERE, run_host, host_call{fn, arg});
	return cudaSuccess;
}

/* --- kernels --------------------------------------------------------------------------------------------- */

cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attr, int value)
{
	sim_lock lock;
	if (attr == cudaFuncAttributePreferredSharedMemoryCarveout)
		return cudaSuccess;
	if (attr != cudaFuncAttributeMaxDynamicSharedMemorySize)
		cudasim_die("cudaFuncSetAttribute: attribute %d is not simulated", static_cast<int>(attr));
	if (value < 0 || static_cast<size_t>(value) > optin_bytes(sim_settings().compute))
		return sim_set_error(cudaErrorInvalidValue);
	sim_set_dynamic_limit(kernel, static_cast<size_t>(value));
	return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *a, const void *kernel)
{
	sim_lock lock;
	*a = {};
	a->maxThreadsPerBlock = 1024;
	a->numRegs = 64;
	a->binaryVersion = a->ptxVersion = sim_settings().compute;
	a->maxDynamicSharedSizeBytes = static_cast<int>(sim_dynamic_limit(kernel));
	return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *, int threads, size_t smem)
{
	sim_lock lock;
	if (threads <= 0 || threads > 1024)
		return sim_set_error(cudaErrorInvalidValue);
	const size_t by_memory = (optin_bytes(sim_settings().compute) + 1024) / (smem + 1024);
	const size_t by_threads = static_cast<size_t>(2048 / threads);
	*blocks = static_cast<int>(by_memory < by_threads ? by_memory : by_threads);
	return cudaSuccess;
}
