/* Kernels and host code with planted bugs (bugs.h). */
#include "bugs.h"

#include <cublasLt.h>
#include <thread>

#include "help.h"

enum { N = 256 };

/* --- helpers --------------------------------------------------------------------------------------------- */

struct stream {
	cudaStream_t s = new_stream();
	~stream()
	{
		must(cudaStreamDestroy(s));
	}
	operator cudaStream_t() const
	{
		return s;
	}
};

struct event {
	cudaEvent_t e;
	event()
	{
		must(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
	}
	~event()
	{
		must(cudaEventDestroy(e));
	}
};

struct pinned_array {
	float *p;
	explicit pinned_array(size_t n)
	{
		must(cudaMallocHost(&p, n * sizeof(float)));
	}
	~pinned_array()
	{
		must(cudaFreeHost(p));
	}
};

static float *floats(const device_array &a)
{
	return static_cast<float *>(a.p);
}

static std::vector<float> counting(size_t n)
{
	std::vector<float> x(n);
	for (size_t i = 0; i < n; i++)
		x[i] = static_cast<float>(i);
	return x;
}

/* Runs `kernel` on one block of N threads over a counting array and compares with want(i). */
template <class K, class W> static bool one_block(K kernel, W want, size_t smem = 0)
{
	stream s;
	device_array x(N * sizeof(float)), y(N * sizeof(float));
	upload(x.p, counting(N), s);
	AX_LAUNCH(kernel, 1, N, smem, s, floats(y), static_cast<const float *>(x.p));
	const std::vector<float> got = download<float>(y.p, N, s);
	bool good = true;
	for (size_t i = 0; i < N; i++)
		good &= got[i] == want(i);
	return good;
}

static float same_number(size_t i)
{
	return static_cast<float>(i);
}

static float mirrored(size_t i)
{
	return static_cast<float>(N - 1 - i);
}

/* --- barriers -------------------------------------------------------------------------------------------- */

template <bool BUG> static __global__ void mirror(float *y, const float *x)
{
	AX_SHARED(float, tile, [N]);
	tile[threadIdx.x] = x[threadIdx.x];
	if (!BUG)
		__syncthreads();
	y[threadIdx.x] = tile[N - 1 - threadIdx.x];
}
static bool read_after_write(bool bug)
{
	return bug ? one_block(mirror<true>, mirrored) : one_block(mirror<false>, mirrored);
}

template <bool BUG> static __global__ void rotate(float *y, const float *x)
{
	AX_SHARED(float, ring, [N]);
	float v = x[threadIdx.x];
	for (int i = 0; i < 4; i++) {
		ring[threadIdx.x] = v;
		__syncthreads();
		v = ring[(threadIdx.x + 1) % N];
		if (!BUG)
			__syncthreads();
	}
	y[threadIdx.x] = v;
}
static float rotated(size_t i)
{
	return static_cast<float>((i + 4) % N);
}
static bool write_after_read(bool bug)
{
	return bug ? one_block(rotate<true>, rotated) : one_block(rotate<false>, rotated);
}

template <bool BUG> static __global__ void warp_mirror(float *y, const float *x)
{
	AX_SHARED(float, tile, [N]);
	tile[threadIdx.x] = x[threadIdx.x];
	if (!BUG)
		__syncwarp();
	y[threadIdx.x] = tile[threadIdx.x ^ 31];
}
static float within_warp(size_t i)
{
	return static_cast<float>(i ^ 31);
}
static bool missing_syncwarp(bool bug)
{
	return bug ? one_block(warp_mirror<true>, within_warp) : one_block(warp_mirror<false>, within_warp);
}

/* Warps read the whole array in the first phase; the last thread that reads is not the one that writes. */
template <bool BUG> static __global__ void many_readers(float *y, const float *x)
{
	AX_SHARED(float, one, [2]);
	if (threadIdx.x == 0)
		one[0] = x[0] + 1;
	__syncthreads();
	const float v = one[0];
	if (!BUG)
		__syncthreads();
	if (threadIdx.x == 40)
		one[0] = 7;
	y[threadIdx.x] = x[threadIdx.x] * v;
}
static bool write_after_many_reads(bool bug)
{
	return bug ? one_block(many_readers<true>, same_number) : one_block(many_readers<false>, same_number);
}

template <bool BUG> static __global__ void two_barriers(float *y, const float *x)
{
	if (BUG && threadIdx.x < N / 2)
		__syncthreads();
	else
		__syncthreads();
	y[threadIdx.x] = x[threadIdx.x];
}
static bool divergent_barrier(bool bug)
{
	return bug ? one_block(two_barriers<true>, same_number) : one_block(two_barriers<false>, same_number);
}

template <bool BUG> static __global__ void some_wait(float *y, const float *x)
{
	y[threadIdx.x] = x[threadIdx.x];
	if (BUG && threadIdx.x >= N / 2)
		return;
	__syncthreads();
}
static bool partial_barrier(bool bug)
{
	return bug ? one_block(some_wait<true>, same_number) : one_block(some_wait<false>, same_number);
}

/* --- warp operations ------------------------------------------------------------------------------------- */

template <bool BUG> static __global__ void early_exit(float *y, const float *x)
{
	const float v = x[threadIdx.x];
	if (BUG && threadIdx.x % 32 == 31) {
		y[threadIdx.x] = 31 * 16;
		return;
	}
	y[threadIdx.x] = ax_warp_sum(v - static_cast<float>(threadIdx.x / 32 * 32));
}
static float warp_total(size_t)
{
	return 31 * 16;
}
static bool lanes_left(bool bug)
{
	return bug ? one_block(early_exit<true>, warp_total) : one_block(early_exit<false>, warp_total);
}

template <bool BUG> static __global__ void half_shuffle(float *y, const float *x)
{
	float v = x[threadIdx.x];
	if (threadIdx.x % 32 < 16)
		v = __shfl_sync(0xffffu, v, BUG ? 20 : static_cast<int>(threadIdx.x % 32));
	y[threadIdx.x] = v;
}
static bool source_outside_mask(bool bug)
{
	return bug ? one_block(half_shuffle<true>, same_number) : one_block(half_shuffle<false>, same_number);
}

/* --- bounds, poison, alignment --------------------------------------------------------------------------- */

template <bool BUG> static __global__ void read_beyond(float *y, const float *x)
{
	y[threadIdx.x] = x[threadIdx.x] + 0 * x[BUG ? threadIdx.x * 4 + 4 : 0];
}
static bool global_read_past_end(bool bug)
{
	return bug ? one_block(read_beyond<true>, same_number) : one_block(read_beyond<false>, same_number);
}

template <bool BUG> static __global__ void store_vector(float *y, const float *x)
{
	float v[8];
	if (threadIdx.x < N / 8) {
		ax_ld8(v, x + threadIdx.x * 8);
		ax_st8(y + threadIdx.x * 8, v);
	}
	if (BUG && threadIdx.x == 0)
		y[N] = 1;
}
/* The array ends 4 bytes before a multiple of 256: the store past it faults nowhere. */
static bool store_past_end(bool bug)
{
	stream s;
	device_array x(N * sizeof(float)), y((N + 1) * sizeof(float) - (bug ? 4 : 0));
	upload(x.p, counting(N), s);
	if (bug)
		AX_LAUNCH(store_vector<true>, 1, N, 0, s, floats(y), static_cast<const float *>(x.p));
	else
		AX_LAUNCH(store_vector<false>, 1, N, 0, s, floats(y), static_cast<const float *>(x.p));
	return download<float>(y.p, N, s) == counting(N);
}
/* And one that stays in the last 256 bytes, where only a guard pattern can notice. */
static __global__ void store_at(float *y, size_t i)
{
	y[i] = 1;
}
static bool store_in_tail(bool bug)
{
	stream s;
	device_array y(100);
	AX_LAUNCH(store_at, 1, 1, 0, s, floats(y), size_t(bug ? 25 : 24));
	must(cudaStreamSynchronize(s));
	return true;
}

template <bool BUG> static __global__ void static_overrun(float *y, const float *x)
{
	AX_SHARED(float, a, [N]);
	AX_SHARED(float, b, [N]);
	b[threadIdx.x] = x[threadIdx.x];
	a[threadIdx.x + (BUG ? 1 : 0)] = x[threadIdx.x];
	__syncthreads();
	y[threadIdx.x] = b[threadIdx.x];
}
static bool static_shared_overrun(bool bug)
{
	return bug ? one_block(static_overrun<true>, same_number) : one_block(static_overrun<false>, same_number);
}

template <bool BUG> static __global__ void dynamic_overrun(float *y, const float *x)
{
	AX_DYN_SHARED(float, a);
	a[threadIdx.x + (BUG ? 1 : 0)] = x[threadIdx.x];
	y[threadIdx.x] = x[threadIdx.x];
}
static bool dynamic_shared_overrun(bool bug)
{
	return bug ? one_block(dynamic_overrun<true>, same_number, N * sizeof(float))
		   : one_block(dynamic_overrun<false>, same_number, N * sizeof(float));
}

template <bool BUG> static __global__ void unwritten(float *y, const float *x)
{
	AX_SHARED(float, a, [N]);
	if (!BUG || threadIdx.x != 5)
		a[threadIdx.x] = x[threadIdx.x];
	__syncthreads();
	y[threadIdx.x] = a[threadIdx.x];
}
static bool unwritten_shared(bool bug)
{
	return bug ? one_block(unwritten<true>, same_number) : one_block(unwritten<false>, same_number);
}

static __global__ void copy(float *y, const float *x)
{
	y[threadIdx.x] = x[threadIdx.x];
}
static bool unwritten_global(bool bug)
{
	stream s;
	device_array x(N * sizeof(float)), y(N * sizeof(float));
	std::vector<float> source = counting(N - (bug ? 1 : 0));
	upload(x.p, source, s);
	AX_LAUNCH(copy, 1, N, 0, s, floats(y), static_cast<const float *>(x.p));
	return download<float>(y.p, N, s) == counting(N);
}

template <bool BUG> static __global__ void global_store_to_shared(float *y, const float *x)
{
	AX_SHARED(float, tile, [N]);
	const uint4 v = ax_ld16(x + threadIdx.x / 4 * 4);
	if (threadIdx.x % 4 == 0) {
		if (BUG)
			ax_st16_global(tile + threadIdx.x, v);
		else
			ax_st16(tile + threadIdx.x, v);
	}
	__syncthreads();
	y[threadIdx.x] = tile[threadIdx.x];
}
static bool shared_as_global(bool bug)
{
	return bug ? one_block(global_store_to_shared<true>, same_number) : one_block(global_store_to_shared<false>, same_number);
}

template <bool BUG> static __global__ void misaligned(float *y, const float *x)
{
	const uint4 v = ax_ld16(x + (BUG ? 2 : 4));
	y[threadIdx.x] = x[threadIdx.x] + 0 * __uint_as_float(v.x);
}
static bool misaligned_load(bool bug)
{
	return bug ? one_block(misaligned<true>, same_number) : one_block(misaligned<false>, same_number);
}

/* --- cp.async -------------------------------------------------------------------------------------------- */

enum { COMPLETE, NO_WAIT, NO_BARRIER };
template <int BUG> static __global__ void background(float *y, const float *x)
{
	AX_SHARED(float, tile, [N]);
	ax_cp_async<4>(tile + threadIdx.x, x + threadIdx.x);
	ax_cp_commit();
	if (BUG != NO_WAIT)
		ax_cp_wait<0>();
	if (BUG != NO_BARRIER)
		__syncthreads();
	y[threadIdx.x] = tile[N - 1 - threadIdx.x];
}
static bool cp_async_without_wait(bool bug)
{
	return bug ? one_block(background<NO_WAIT>, mirrored) : one_block(background<COMPLETE>, mirrored);
}
static bool cp_async_without_barrier(bool bug)
{
	return bug ? one_block(background<NO_BARRIER>, mirrored) : one_block(background<COMPLETE>, mirrored);
}

/* --- blocks ---------------------------------------------------------------------------------------------- */

template <bool BUG> static __global__ void add_up(float *sum)
{
	if (threadIdx.x)
		return;
	if (BUG)
		*sum += 1;
	else
		atomicAdd(sum, 1.0f);
}
static bool add_without_atomics(bool bug)
{
	stream s;
	device_array sum(sizeof(float));
	must(cudaMemsetAsync(sum.p, 0, sizeof(float), s));
	if (bug)
		AX_LAUNCH(add_up<true>, 8, 32, 0, s, floats(sum));
	else
		AX_LAUNCH(add_up<false>, 8, 32, 0, s, floats(sum));
	return download<float>(sum.p, 1, s)[0] == 8;
}

/* Each block needs what its neighbour wrote. */
template <bool BUG> static __global__ void chain(float *y)
{
	const unsigned b = blockIdx.x;
	y[b] = BUG && b ? y[b - 1] + 1 : static_cast<float>(b);
}
static bool read_other_block(bool bug)
{
	stream s;
	device_array y(8 * sizeof(float));
	if (bug)
		AX_LAUNCH(chain<true>, 8, 1, 0, s, floats(y));
	else
		AX_LAUNCH(chain<false>, 8, 1, 0, s, floats(y));
	return download<float>(y.p, 8, s) == counting(8);
}

/* The last block adds up what all wrote; without the fences it may not see it. */
template <bool BUG> static __global__ void last_block(float *total, float *part, unsigned *ticket, const float *x)
{
	AX_SHARED(int, is_last, );
	AX_SHARED(float, scratch, [32]);
	const float sum = ax_block_sum(x[blockIdx.x * 64 + threadIdx.x], scratch);
	if (threadIdx.x == 0) {
		part[blockIdx.x] = sum;
		if (!BUG)
			__threadfence();
		is_last = atomicAdd(ticket, 1u) == gridDim.x - 1;
	}
	__syncthreads();
	if (is_last && threadIdx.x < 32) {
		const float all = ax_warp_sum(threadIdx.x < gridDim.x ? part[threadIdx.x] : 0.0f);
		if (threadIdx.x == 0)
			*total = all;
	}
}
static bool last_block_without_fence(bool bug)
{
	stream s;
	device_array x(N * sizeof(float)), part(16), ticket(4), total(4);
	upload(x.p, counting(N), s);
	must(cudaMemsetAsync(ticket.p, 0, 4, s));
	if (bug)
		AX_LAUNCH(last_block<true>, 4, 64, 0, s, floats(total), floats(part), static_cast<unsigned *>(ticket.p),
			  static_cast<const float *>(x.p));
	else
		AX_LAUNCH(last_block<false>, 4, 64, 0, s, floats(total), floats(part),
			  static_cast<unsigned *>(ticket.p), static_cast<const float *>(x.p));
	return download<float>(total.p, 1, s)[0] == 255 * 128;
}

/* Neighbouring bytes of different threads are no conflict; two threads' one byte is. */
template <bool BUG> static __global__ void bytes(unsigned char *y)
{
	y[threadIdx.x / (BUG ? 2 : 1)] = static_cast<unsigned char>(threadIdx.x / (BUG ? 2 : 1));
}
static bool two_threads_one_byte(bool bug)
{
	stream s;
	device_array y(64);
	must(cudaMemsetAsync(y.p, 0, 64, s));
	if (bug)
		AX_LAUNCH(bytes<true>, 1, 64, 0, s, static_cast<unsigned char *>(y.p));
	else
		AX_LAUNCH(bytes<false>, 1, 64, 0, s, static_cast<unsigned char *>(y.p));
	return download<unsigned char>(y.p, 32, s)[31] == 31;
}

/* --- host and streams ------------------------------------------------------------------------------------ */

static bool host_reads_early(bool bug)
{
	stream s;
	device_array x(N * sizeof(float));
	pinned_array result(N);
	upload(x.p, counting(N), s);
	must(cudaMemcpyAsync(result.p, x.p, N * sizeof(float), cudaMemcpyDeviceToHost, s));
	if (!bug)
		must(cudaStreamSynchronize(s));
	const bool good = result.p[3] == 3;
	must(cudaStreamSynchronize(s));
	return good;
}

static bool staging_reused_early(bool bug)
{
	stream s;
	device_array x(N * sizeof(float));
	pinned_array staging(N);
	for (size_t i = 0; i < N; i++)
		staging.p[i] = static_cast<float>(i);
	must(cudaMemcpyAsync(x.p, staging.p, N * sizeof(float), cudaMemcpyHostToDevice, s));
	if (!bug)
		must(cudaStreamSynchronize(s));
	staging.p[3] = -1;
	return download<float>(x.p, N, s) == counting(N);
}

enum { WAITS, NO_EVENT, EARLY_EVENT };
static bool two_streams(int bug)
{
	stream first, second;
	event done;
	device_array x(N * sizeof(float)), y(N * sizeof(float)), z(N * sizeof(float));
	upload(x.p, counting(N), first);
	must(cudaStreamSynchronize(first));
	if (bug == EARLY_EVENT)
		must(cudaEventRecord(done.e, first));
	AX_LAUNCH(copy, 1, N, 0, first, floats(y), static_cast<const float *>(x.p));
	if (bug != EARLY_EVENT)
		must(cudaEventRecord(done.e, first));
	if (bug != NO_EVENT)
		must(cudaStreamWaitEvent(second, done.e, 0));
	AX_LAUNCH(copy, 1, N, 0, second, floats(z), static_cast<const float *>(y.p));
	const bool good = download<float>(z.p, N, second) == counting(N);
	must(cudaStreamSynchronize(first));
	return good;
}
static bool missing_event_wait(bool bug)
{
	return two_streams(bug ? NO_EVENT : WAITS);
}
static bool event_before_work(bool bug)
{
	return two_streams(bug ? EARLY_EVENT : WAITS);
}

/* Two streams read x, a third overwrites it after waiting for one of them (the bug) or both. */
static bool write_after_two_streams_read(bool bug)
{
	stream a, b, c;
	event a_done, b_done;
	device_array x(N * sizeof(float)), y(N * sizeof(float)), z(N * sizeof(float));
	upload(x.p, counting(N), a);
	must(cudaStreamSynchronize(a));
	AX_LAUNCH(copy, 1, N, 0, a, floats(y), static_cast<const float *>(x.p));
	must(cudaEventRecord(a_done.e, a));
	AX_LAUNCH(copy, 1, N, 0, b, floats(z), static_cast<const float *>(x.p));
	must(cudaEventRecord(b_done.e, b));
	if (!bug)
		must(cudaStreamWaitEvent(c, a_done.e, 0));
	must(cudaStreamWaitEvent(c, b_done.e, 0));
	must(cudaMemsetAsync(x.p, 0, N * sizeof(float), c));
	must(cudaStreamSynchronize(c));
	must(cudaStreamSynchronize(a));
	return download<float>(y.p, N, a) == counting(N);
}

static bool freed_while_used(bool bug)
{
	stream a, b;
	event used;
	device_array y(N * sizeof(float));
	void *x;
	must(cudaMallocAsync(&x, N * sizeof(float), a));
	upload(x, counting(N), a);
	AX_LAUNCH(copy, 1, N, 0, a, floats(y), static_cast<const float *>(x));
	must(cudaEventRecord(used.e, a));
	if (!bug)
		must(cudaStreamWaitEvent(b, used.e, 0));
	must(cudaFreeAsync(x, b));
	must(cudaStreamSynchronize(b));
	return download<float>(y.p, N, a) == counting(N);
}

static bool host_touches_device(bool bug)
{
	stream s;
	device_array x(N * sizeof(float));
	upload(x.p, counting(N), s);
	must(cudaStreamSynchronize(s));
	if (bug)
		*static_cast<volatile float *>(x.p) = 0;
	return true;
}

static bool kernel_touches_host(bool bug)
{
	stream s;
	const std::vector<float> on_host = counting(N);
	device_array x(N * sizeof(float)), y(N * sizeof(float));
	upload(x.p, on_host, s);
	AX_LAUNCH(copy, 1, N, 0, s, floats(y), bug ? on_host.data() : static_cast<const float *>(x.p));
	return download<float>(y.p, N, s) == counting(N);
}

/* --- graphs ---------------------------------------------------------------------------------------------- */

/*
 * y = x on one stream, z = y on another that is forked from it and joined to it; launched twice, with x changed between.
 * Bugs: the fork comes before y is made; the join is missing; the host waits during the capture.
 */
enum { GOOD_GRAPH, EARLY_FORK, NO_JOIN, HOST_WAITS };
static bool graph(int bug)
{
	stream first, second;
	event forked, joined;
	cudaGraph_t graph;
	cudaGraphExec_t exec;
	device_array x(N * sizeof(float)), y(N * sizeof(float)), z(N * sizeof(float));
	bool good = true;
	must(cudaStreamBeginCapture(first, cudaStreamCaptureModeThreadLocal));
	if (bug == EARLY_FORK)
		must(cudaEventRecord(forked.e, first));
	AX_LAUNCH(copy, 1, N, 0, first, floats(y), static_cast<const float *>(x.p));
	if (bug != EARLY_FORK)
		must(cudaEventRecord(forked.e, first));
	must(cudaStreamWaitEvent(second, forked.e, 0));
	AX_LAUNCH(copy, 1, N, 0, second, floats(z), static_cast<const float *>(y.p));
	must(cudaEventRecord(joined.e, second));
	if (bug == HOST_WAITS)
		good &= cudaStreamSynchronize(first) == cudaSuccess;
	if (bug != NO_JOIN)
		must(cudaStreamWaitEvent(first, joined.e, 0));
	if (cudaStreamEndCapture(first, &graph))
		return false;
	must(cudaGraphInstantiate(&exec, graph, 0));
	must(cudaGraphDestroy(graph));
	for (float add : {0.0f, 1.0f}) {
		std::vector<float> source = counting(N);
		for (float &v : source)
			v += add;
		upload(x.p, source, first);
		must(cudaGraphLaunch(exec, first));
		good &= download<float>(z.p, N, first) == source;
	}
	must(cudaGraphExecDestroy(exec));
	return good;
}
static bool graph_forked_early(bool bug)
{
	return graph(bug ? EARLY_FORK : GOOD_GRAPH);
}
static bool graph_not_joined(bool bug)
{
	return graph(bug ? NO_JOIN : GOOD_GRAPH);
}
static bool wait_in_capture(bool bug)
{
	return graph(bug ? HOST_WAITS : GOOD_GRAPH);
}

/* --- limits ---------------------------------------------------------------------------------------------- */

static bool shared_without_attribute(bool bug)
{
	if (!bug)
		must(cudaFuncSetAttribute(dynamic_overrun<false>, cudaFuncAttributeMaxDynamicSharedMemorySize,
					  64 * 1024));
	return one_block(dynamic_overrun<false>, same_number, 64 * 1024);
}

static bool copy_past_end(bool bug)
{
	stream s;
	device_array x(N * sizeof(float) - (bug ? 4 : 0));
	upload(x.p, counting(N), s);
	must(cudaStreamSynchronize(s));
	return true;
}

static bool wrong_direction(bool bug)
{
	stream s;
	device_array x(N * sizeof(float));
	const std::vector<float> source = counting(N);
	must(cudaMemcpyAsync(x.p, source.data(), N * sizeof(float),
			     bug ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice, s));
	must(cudaStreamSynchronize(s));
	return true;
}

/* --- libraries and threads --------------------------------------------------------------------------------- */

static void fine(cublasStatus_t rc)
{
	if (rc) {
		fprintf(stderr, "%s\n", cublasLtGetStatusString(rc));
		exit(70);
	}
}

/* A 4 x 4 product of zeros with a bias. */
static bool misaligned_bias(bool bug)
{
	stream s;
	device_array x(64), y(64), bias(64);
	const int e = CUBLASLT_EPILOGUE_BIAS;
	const float one = 1, zero = 0, *from = floats(bias) + (bug ? 1 : 0);
	cublasLtHandle_t h;
	cublasLtMatmulDesc_t d;
	cublasLtMatrixLayout_t l;
	upload(x.p, std::vector<float>(16), s);
	upload(bias.p, counting(16), s);
	fine(cublasLtCreate(&h));
	fine(cublasLtMatmulDescCreate(&d, CUBLAS_COMPUTE_32F, CUDA_R_32F));
	fine(cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_EPILOGUE, &e, sizeof e));
	fine(cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &from, sizeof from));
	fine(cublasLtMatrixLayoutCreate(&l, CUDA_R_32F, 4, 4, 4));
	fine(cublasLtMatmul(h, d, &one, x.p, l, x.p, l, &zero, y.p, l, y.p, l, nullptr, nullptr, 0, s));
	const std::vector<float> got = download<float>(y.p, 16, s);
	fine(cublasLtMatrixLayoutDestroy(l));
	fine(cublasLtMatmulDescDestroy(d));
	fine(cublasLtDestroy(h));
	return got[3] == 3 && got[7] == 3;
}

static bool thread_without_device(bool bug)
{
	must(cudaSetDevice(1));
	stream s;
	device_array x(64);
	std::thread other([&] {
		if (!bug)
			must(cudaSetDevice(1));
		must(cudaMemsetAsync(x.p, 0, 64, s));
		must(cudaStreamSynchronize(s));
	});
	other.join();
	return true;
}

const bug_case bug_cases[] = {
	{"barrier missing between write and read", read_after_write, 'f', 'f', "race: read"},
	{"barrier missing between read and write, in a loop", write_after_read, 'f', 'f',
	 "race: write over what is read"},
	{"barrier missing between many reads and a write", write_after_many_reads, 'f', 'f', "race: "},
	{"__syncwarp missing in an exchange", missing_syncwarp, 'f', 'f', "race: read"},
	{"barrier in both arms of a branch", divergent_barrier, 'f', 'f', "divergent barrier"},
	{"some threads leave before the barrier", partial_barrier, 'f', 'f', "left the kernel"},
	{"lanes leave before a warp operation", lanes_left, 'f', 'f', "left the kernel"},
	{"shuffle from a lane outside the mask", source_outside_mask, 'f', 'f', "not in the mask"},
	{"global read past the end", global_read_past_end, 'f', 'f', "past the end"},
	{"global store past the end", store_past_end, 'f', 'f', "past the end"},
	{"global store just past the end", store_in_tail, 'f', 'f', "past"},
	{"static shared array overrun", static_shared_overrun, 'f', 'f', "outside every shared array"},
	{"dynamic shared array overrun", dynamic_shared_overrun, 'f', 'f', "outside every shared array"},
	{"shared memory nobody wrote", unwritten_shared, 'f', 'f', "nobody has written"},
	{"global memory nobody wrote", unwritten_global, 'f', 'f', "nobody has written"},
	{"store to shared memory as if it were global", shared_as_global, 'f', 'f', "an access to global memory at shared address"},
	{"misaligned 16-byte load", misaligned_load, 'f', 'f', "misaligned"},
	{"cp.async read before its wait", cp_async_without_wait, 'f', 'f', "cp.async"},
	{"cp.async waited for, but no barrier", cp_async_without_barrier, 'f', 'f', "race: read"},
	{"blocks add without atomics", add_without_atomics, '-', '-', "race: "},
	{"block reads what another writes", read_other_block, 't', '-', "race: read"},
	{"last block without fence", last_block_without_fence, '-', '-', "race: read"},
	{"two threads write one byte", two_threads_one_byte, '-', '-', "race: write"},
	{"host reads a result too early", host_reads_early, 's', 's', "race: read"},
	{"host reuses a staging buffer too early", staging_reused_early, 's', 's', "race: write over what is read"},
	{"missing event wait", missing_event_wait, 's', 's', "race: read"},
	{"event recorded before the work", event_before_work, 's', 's', "race: read"},
	{"overwritten while another stream reads", write_after_two_streams_read, 's', 's',
	 "race: write over what is read"},
	{"freed while another stream uses it", freed_while_used, 's', 's', "race: write over what is read"},
	{"host code touches device memory", host_touches_device, '-', '-', "host code touches device memory"},
	{"kernel touches host memory", kernel_touches_host, '-', '-', "kernel touches host memory"},
	{"branch of a graph begins too early", graph_forked_early, 's', '-', "race: read"},
	{"branch of a graph is not joined", graph_not_joined, 'f', 'f', "wrong result"},
	{"host waits during a capture", wait_in_capture, 'f', 'f', "not allowed while a stream is being captured"},
	{"more shared memory than allowed", shared_without_attribute, 'f', 'f', "dynamic shared memory"},
	{"copy past the end of an allocation", copy_past_end, 'f', 'f', "of allocation"},
	{"copy in the wrong direction", wrong_direction, 'f', 'f', "wrong direction"},
	{"bias of a product at an odd address", misaligned_bias, 'f', 'f', "not aligned to 16 bytes"},
	{"thread that has not chosen its device", thread_without_device, 'f', 'f', "in a thread that works on device 0"},
};
const int n_bug_cases = sizeof bug_cases / sizeof bug_cases[0];
