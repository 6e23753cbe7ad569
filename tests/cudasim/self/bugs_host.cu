/* Host code with planted bugs: streams, graphs, limits, libraries, threads (bugs.h). */
#include "bugs_help.h"

#include <cublasLt.h>
#include <thread>

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

const bug_case host_bugs[] = {
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
const int n_host_bugs = sizeof host_bugs / sizeof host_bugs[0];
