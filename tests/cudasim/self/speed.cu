/* Kernels whose time is measured (test_speed.cpp). */
#include "speed.h"

#include "tensor/cuda/device.h"

/* One block's results are enough for the work not to be left out; two would be a race. */
AX_DEVICE void keep(float *y, float x)
{
	if (blockIdx.x == 0)
		y[threadIdx.x] = x;
}

static __global__ void barriers(float *y, int n)
{
	for (int i = 0; i < n; i++)
		__syncthreads();
	keep(y, 0);
}

static __global__ void shuffles(float *y, int n)
{
	float v = static_cast<float>(threadIdx.x);
	for (int i = 0; i < n; i++)
		v = __shfl_xor_sync(AX_FULL, v, 1);
	keep(y, v);
}

static __global__ void warp_sums(float *y, int n)
{
	float v = static_cast<float>(threadIdx.x);
	for (int i = 0; i < n; i++)
		v = ax_warp_sum(v) * 1e-3f;
	keep(y, v);
}

static __global__ void products(float *y, int n)
{
	float d[4] = {0, 0, 0, 0};
	const uint32_t a[4] = {0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80}, b[2] = {0x3f803f80, 0x3f803f80};
	for (int i = 0; i < n; i++)
		ax_mma(d, a, b);
	keep(y, d[0]);
}

static __global__ void matrices(float *y, int n)
{
	AX_SHARED(uint16_t, tile, [32][8]);
	uint32_t r[4] = {0, 0, 0, 0}, sum = 0;
	if (threadIdx.x < 32)
		for (int c = 0; c < 8; c++)
			tile[threadIdx.x][c] = 1;
	__syncthreads();
	for (int i = 0; i < n; i++) {
		ax_ldmatrix<false>(r, tile[threadIdx.x % 32]);
		sum += r[0];
	}
	keep(y, static_cast<float>(sum));
}

static __global__ void nothing(float *y, int)
{
	keep(y, 0);
}

const speed_kernel speed_kernels[] = {
	{"__syncthreads", [](float *y, int n, unsigned blocks, unsigned threads,
			     cudaStream_t s) { AX_LAUNCH(barriers, blocks, threads, 0, s, y, n); }},
	{"__shfl_xor_sync", [](float *y, int n, unsigned blocks, unsigned threads,
			       cudaStream_t s) { AX_LAUNCH(shuffles, blocks, threads, 0, s, y, n); }},
	{"ax_warp_sum", [](float *y, int n, unsigned blocks, unsigned threads,
			   cudaStream_t s) { AX_LAUNCH(warp_sums, blocks, threads, 0, s, y, n); }},
	{"ax_mma", [](float *y, int n, unsigned blocks, unsigned threads,
		      cudaStream_t s) { AX_LAUNCH(products, blocks, threads, 0, s, y, n); }},
	{"ax_ldmatrix x4", [](float *y, int n, unsigned blocks, unsigned threads,
			      cudaStream_t s) { AX_LAUNCH(matrices, blocks, threads, 0, s, y, n); }},
	{"a thread without barriers", [](float *y, int, unsigned blocks, unsigned threads,
					 cudaStream_t s) { AX_LAUNCH(nothing, blocks, threads, 0, s, y, 0); }},
};
