/*
 * Two kernels as ax writes them, small enough to read: the simulator's own check, and a model for new ones. They compile
 * with nvcc too.
 */
#include "sample.h"

#include "tensor/cuda/device.h"

/* y = x * rstd * w; a block per row. */
template <class T> static __global__ void rmsnorm(T *y, const T *x, const T *w, float eps, int C)
{
	AX_SHARED(float, part, [32]);
	const T *row = x + static_cast<size_t>(blockIdx.x) * static_cast<size_t>(C);
	T *out = y + static_cast<size_t>(blockIdx.x) * static_cast<size_t>(C);
	const int step = static_cast<int>(blockDim.x) * 8, first = static_cast<int>(threadIdx.x) * 8;
	float sum = 0.0f, v[8], u[8];
	for (int c = first; c < C; c += step) {
		ax_ld8(v, row + c);
		AX_UNROLL
		for (int i = 0; i < 8; i++)
			sum += v[i] * v[i];
	}
	const float rstd = rsqrtf(ax_block_sum(sum, part) / static_cast<float>(C) + eps);
	for (int c = first; c < C; c += step) {
		ax_ld8(v, row + c);
		ax_ld8(u, w + c);
		AX_UNROLL
		for (int i = 0; i < 8; i++)
			v[i] *= rstd * u[i];
		ax_st8(out + c, v);
	}
}

void sample_rmsnorm_bf16(void *y, const void *x, const void *w, float eps, int N, int C, cudaStream_t s)
{
	AX_LAUNCH(rmsnorm<ax_bf16>, static_cast<unsigned>(N), 128, 0, s, static_cast<ax_bf16 *>(y),
		  static_cast<const ax_bf16 *>(x), static_cast<const ax_bf16 *>(w), eps, C);
}

void sample_rmsnorm_f32(float *y, const float *x, const float *w, float eps, int N, int C, cudaStream_t s)
{
	AX_LAUNCH(rmsnorm<float>, static_cast<unsigned>(N), 128, 0, s, y, x, w, eps, C);
}

/*
 * c (M, N) f32 = a (M, K) b (N, K)^T: a warp for each 16 x 8 tile of c; tiles of K come through two shared buffers.
 * M, N, K multiples of 16, 8, 16. BUFFERS as a parameter only to show a template with a comma.
 */
template <int TILE_K, int BUFFERS>
static __global__ void matmul(float *c, const ax_bf16 *a, const ax_bf16 *b, int N, int K)
{
	AX_DYN_SHARED(ax_bf16, tiles);
	const unsigned lane = threadIdx.x;
	const size_t row0 = blockIdx.y * 16, col0 = blockIdx.x * 8;
	ax_bf16 *sa = tiles, *sb = tiles + BUFFERS * 16 * TILE_K;
	float d[4] = {0, 0, 0, 0};
	const int n_tile = K / TILE_K;
	auto fetch = [&](int t) {
		ax_bf16 *ta = sa + t % BUFFERS * 16 * TILE_K, *tb = sb + t % BUFFERS * 8 * TILE_K;
		const size_t k = static_cast<size_t>(t) * TILE_K + lane % 2 * 8;
		ax_cp_async<16>(ta + lane / 2 * TILE_K + lane % 2 * 8,
				a + (row0 + lane / 2) * static_cast<size_t>(K) + k);
		if (lane < 16)
			ax_cp_async<16>(tb + lane / 2 * TILE_K + lane % 2 * 8,
					b + (col0 + lane / 2) * static_cast<size_t>(K) + k);
		ax_cp_commit();
	};
	fetch(0);
	for (int t = 0; t < n_tile; t++) {
		if (t + 1 < n_tile)
			fetch(t + 1);
		else
			ax_cp_commit();
		ax_cp_wait<1>();
		__syncthreads();
		uint32_t fa[4], fb[2];
		ax_ldmatrix<false>(fa, sa + t % BUFFERS * 16 * TILE_K + lane % 16 * TILE_K + lane / 16 * 8);
		ax_ldmatrix<false>(fb, sb + t % BUFFERS * 8 * TILE_K + lane % 8 * TILE_K + lane / 8 % 2 * 8);
		ax_mma(d, fa, fb);
		__syncthreads();
	}
	float *out = c + (row0 + lane / 4) * static_cast<size_t>(N) + col0 + lane % 4 * 2;
	out[0] = d[0], out[1] = d[1];
	out += static_cast<size_t>(N) * 8;
	out[0] = d[2], out[1] = d[3];
}

void sample_matmul(float *c, const void *a, const void *b, int M, int N, int K, cudaStream_t s)
{
	AX_LAUNCH((matmul<16, 2>), dim3(static_cast<unsigned>(N) / 8, static_cast<unsigned>(M) / 16), 32,
		  2 * (16 + 8) * 16 * 2, s, c, static_cast<const ax_bf16 *>(a), static_cast<const ax_bf16 *>(b), N, K);
}
