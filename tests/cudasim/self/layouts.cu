/* Kernels around the functions of device.h (layouts.h). */
#include "layouts.h"

#include "tensor/cuda/device.h"

static __global__ void mma(float *d, const uint32_t *a, const uint32_t *b)
{
	const unsigned l = threadIdx.x;
	float fd[4] = {d[l * 4], d[l * 4 + 1], d[l * 4 + 2], d[l * 4 + 3]};
	const uint32_t fa[4] = {a[l * 4], a[l * 4 + 1], a[l * 4 + 2], a[l * 4 + 3]}, fb[2] = {b[l * 2], b[l * 2 + 1]};
	ax_mma(fd, fa, fb);
	for (unsigned i = 0; i < 4; i++)
		d[l * 4 + i] = fd[i];
}
void wrap_mma(float *d, const uint32_t *a, const uint32_t *b, cudaStream_t s)
{
	AX_LAUNCH(mma, 1, 32, 0, s, d, a, b);
}

/* Rows of 40 values: aligned to 16 bytes and not a power of two. */
template <int N, bool TRANS> static __global__ void load_matrices(uint32_t *r, const uint16_t *tile, const int *row)
{
	AX_SHARED(uint16_t, shared, [32][40]);
	const unsigned l = threadIdx.x;
	for (unsigned c = 0; c < 8; c++)
		shared[l][c] = tile[l * 8 + c];
	__syncthreads();
	uint32_t got[N];
	ax_ldmatrix<TRANS>(got, shared[row[l]]);
	for (unsigned i = 0; i < N; i++)
		r[l * N + i] = got[i];
}
void wrap_ldmatrix(uint32_t *r, const uint16_t *tile, const int *row, int n, bool trans, cudaStream_t s)
{
	if (n == 1 && trans)
		AX_LAUNCH((load_matrices<1, true>), 1, 32, 0, s, r, tile, row);
	else if (n == 1)
		AX_LAUNCH((load_matrices<1, false>), 1, 32, 0, s, r, tile, row);
	else if (n == 2 && trans)
		AX_LAUNCH((load_matrices<2, true>), 1, 32, 0, s, r, tile, row);
	else if (n == 2)
		AX_LAUNCH((load_matrices<2, false>), 1, 32, 0, s, r, tile, row);
	else if (trans)
		AX_LAUNCH((load_matrices<4, true>), 1, 32, 0, s, r, tile, row);
	else
		AX_LAUNCH((load_matrices<4, false>), 1, 32, 0, s, r, tile, row);
}

template <int BYTES> static __global__ void copy_async(uint8_t *y, const uint8_t *x, const int *n_valid)
{
	AX_SHARED(uint8_t, shared, [32 * BYTES]);
	const unsigned l = threadIdx.x;
	for (unsigned i = 0; i < BYTES; i++)
		shared[l * BYTES + i] = 0xEE;
	__syncthreads();
	ax_cp_async<BYTES>(shared + l * BYTES, x + l * BYTES, n_valid[l]);
	ax_cp_commit();
	ax_cp_wait<0>();
	__syncthreads();
	for (unsigned i = 0; i < BYTES; i++)
		y[l * BYTES + i] = shared[l * BYTES + i];
}
void wrap_cp_async(uint8_t *y, const uint8_t *x, const int *n_valid, int bytes, cudaStream_t s)
{
	if (bytes == 4)
		AX_LAUNCH(copy_async<4>, 1, 32, 0, s, y, x, n_valid);
	else if (bytes == 8)
		AX_LAUNCH(copy_async<8>, 1, 32, 0, s, y, x, n_valid);
	else
		AX_LAUNCH(copy_async<16>, 1, 32, 0, s, y, x, n_valid);
}

static __global__ void copy_groups(uint32_t *y, const uint32_t *x)
{
	AX_SHARED(uint32_t, shared, [2][32]);
	const unsigned l = threadIdx.x;
	for (unsigned i = 0; i < 2; i++) {
		ax_cp_async<4>(&shared[i][l], x + i * 32 + l);
		ax_cp_commit();
	}
	ax_cp_wait<1>();
	__syncthreads();
	y[l] = shared[0][31 - l];
	ax_cp_wait<0>();
	__syncthreads();
	y[32 + l] = shared[1][31 - l];
}
void wrap_cp_groups(uint32_t *y, const uint32_t *x, cudaStream_t s)
{
	AX_LAUNCH(copy_groups, 1, 32, 0, s, y, x);
}

static __global__ void block_reduce(float *y, const float *x)
{
	AX_SHARED(float, part, [32]);
	const float v = x[threadIdx.x];
	y[threadIdx.x * 2] = ax_block_sum(v, part);
	y[threadIdx.x * 2 + 1] = ax_block_max(v, part);
}
void wrap_block_reduce(float *y, const float *x, int n, cudaStream_t s)
{
	AX_LAUNCH(block_reduce, 1, static_cast<unsigned>(n), 0, s, y, x);
}

static __global__ void warp_reduce(double *sum, int *most, const double *x, const int *k)
{
	sum[threadIdx.x] = ax_warp_sum(x[threadIdx.x]);
	most[threadIdx.x] = ax_warp_max(k[threadIdx.x]);
}
void wrap_warp_reduce(double *sum, int *most, const double *x, const int *k, cudaStream_t s)
{
	AX_LAUNCH(warp_reduce, 1, 32, 0, s, sum, most, x, k);
}

static __global__ void shuffles(uint32_t *y, const uint32_t *x)
{
	const unsigned l = threadIdx.x;
	const uint32_t v = x[l];
	uint32_t *out = y + l * 8;
	out[0] = __shfl_sync(AX_FULL, v, 5);
	out[1] = __shfl_sync(AX_FULL, v, static_cast<int>(l) + 3, 8);
	out[2] = __shfl_xor_sync(AX_FULL, v, 9);
	out[3] = __shfl_down_sync(AX_FULL, v, 3, 16);
	out[4] = __shfl_up_sync(AX_FULL, v, 3, 16);
	out[5] = __ballot_sync(AX_FULL, v % 3 == 0);
	out[6] = static_cast<uint32_t>(__any_sync(AX_FULL, v == x[7]));
	out[7] = static_cast<uint32_t>(__all_sync(AX_FULL, v == x[7]));
}
void wrap_shuffles(uint32_t *y, const uint32_t *x, cudaStream_t s)
{
	AX_LAUNCH(shuffles, 1, 32, 0, s, y, x);
}

static __global__ void exponential(float *y, const float *x, int n)
{
	for (int i = static_cast<int>(threadIdx.x); i < n; i += 32)
		y[i] = ax_exp2(x[i]);
}
void wrap_exp2(float *y, const float *x, int n, cudaStream_t s)
{
	AX_LAUNCH(exponential, 1, 32, 0, s, y, x, n);
}

static __global__ void to_bf16(ax_bf16 *h, const float *x, int n)
{
	for (int i = static_cast<int>(threadIdx.x); i < n; i += 32)
		h[i] = ax_from_f32<ax_bf16>(x[i]);
}
void wrap_bf16(uint16_t *h, const float *x, int n, cudaStream_t s)
{
	AX_LAUNCH(to_bf16, 1, 32, 0, s, reinterpret_cast<ax_bf16 *>(h), x, n);
}

template <class Y, class X> static __global__ void convert(Y *y, const X *x, int n)
{
	float v[8];
	for (int i = static_cast<int>(threadIdx.x) * 8; i < n; i += 32 * 8) {
		ax_ld8(v, x + i);
		ax_st8(y + i, v);
	}
}
void wrap_widen(float *y, const uint16_t *x, int n, cudaStream_t s)
{
	AX_LAUNCH((convert<float, ax_bf16>), 1, 32, 0, s, y, reinterpret_cast<const ax_bf16 *>(x), n);
}
void wrap_narrow(uint16_t *y, const float *x, int n, cudaStream_t s)
{
	AX_LAUNCH((convert<ax_bf16, float>), 1, 32, 0, s, reinterpret_cast<ax_bf16 *>(y), x, n);
}
