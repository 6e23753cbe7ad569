/* Elementwise ops, sums of squares and of columns, the gated activation. All are bound by memory. */
#include <cuda_fp16.h>

#include "tensor/cuda/access.h"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/parts.h"

static const unsigned THREADS = 256;

/* Blocks for n elements, eight a thread. */
static unsigned blocks_of(size_t n)
{
	return static_cast<unsigned>((n + 8 * THREADS - 1) / (8 * THREADS));
}

AX_DEVICE size_t first_of_thread(void)
{
	return (static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
}

/* --- conversions and sums of arrays ---------------------------------------------------------------------------------- */

AX_DEVICE float ax_to_f32(__half x)
{
	return __half2float(x);
}
template <> __device__ __forceinline__ __half ax_from_f32<__half>(float x)
{
	return __float2half_rn(x);
}

template <class Ty, class Tx, bool VEC> static __global__ void cast_kernel(Ty *y, const Tx *x, size_t n)
{
	const size_t i = first_of_thread();
	float v[8];

	if (i >= n)
		return;
	ax_read8<VEC>(v, x, i, n);
	ax_write8<VEC>(y, v, i, n);
}

/* f16 has no 16-byte path: it is met when a model is loaded, not in a step. */
template <class Ty, class Tx> static __global__ void cast_half_kernel(Ty *y, const Tx *x, size_t n)
{
	const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;

	if (i < n)
		y[i] = ax_from_f32<Ty>(ax_to_f32(x[i]));
}

template <class Ty, class Tx> static void cast_run(struct ax_cuda *c, void *y, const void *x, size_t n)
{
	Ty *to = static_cast<Ty *>(y);
	const Tx *from = static_cast<const Tx *>(x);

	if (ax_aligned16<Ty>(y, 0) && ax_aligned16<Tx>(x, 0) && ax_eights(n))
		AX_LAUNCH((cast_kernel<Ty, Tx, true>), blocks_of(n), THREADS, 0, c->compute, to, from, n);
	else
		AX_LAUNCH((cast_kernel<Ty, Tx, false>), blocks_of(n), THREADS, 0, c->compute, to, from, n);
}

template <class Ty, class Tx> static void cast_half(struct ax_cuda *c, void *y, const void *x, size_t n)
{
	const unsigned blocks = static_cast<unsigned>((n + THREADS - 1) / THREADS);

	AX_LAUNCH((cast_half_kernel<Ty, Tx>), blocks, THREADS, 0, c->compute, static_cast<Ty *>(y), static_cast<const Tx *>(x), n);
}

static void cast(struct ax_dev *d, void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, size_t n)
{
	struct ax_cuda *c = ax_cuda_of(d);
	typedef void run(struct ax_cuda *, void *, const void *, size_t);
	/* by AX_F32, AX_BF16, AX_F16: to, from */
	static run *const table[3][3] = {
		{cast_run<float, float>, cast_run<float, ax_bf16>, cast_half<float, __half>},
		{cast_run<ax_bf16, float>, cast_run<ax_bf16, ax_bf16>, cast_half<ax_bf16, __half>},
		{cast_half<__half, float>, cast_half<__half, ax_bf16>, cast_half<__half, __half>},
	};

	if (n)
		table[ty][tx](c, y, x, n);
	ax_cuda_done(c, "cast");
}

template <class Ty, class Tx, bool VEC> static __global__ void axpy_kernel(Ty *y, const Tx *x, float alpha, size_t n)
{
	const size_t i = first_of_thread();
	float a[8], b[8];

	if (i >= n)
		return;
	ax_read8<VEC>(a, x, i, n);
	ax_read8<VEC>(b, y, i, n);
	AX_UNROLL
	for (int k = 0; k < 8; k++)
		b[k] += alpha * a[k];
	ax_write8<VEC>(y, b, i, n);
}

template <class Ty, bool VEC> static void axpy_run(struct ax_cuda *c, void *y, const void *x, enum ax_dtype tx, float alpha, size_t n)
{
	Ty *to = static_cast<Ty *>(y);

	if (tx == AX_BF16)
		AX_LAUNCH((axpy_kernel<Ty, ax_bf16, VEC>), blocks_of(n), THREADS, 0, c->compute, to, static_cast<const ax_bf16 *>(x), alpha, n);
	else
		AX_LAUNCH((axpy_kernel<Ty, float, VEC>), blocks_of(n), THREADS, 0, c->compute, to, static_cast<const float *>(x), alpha, n);
}

static void axpy(struct ax_dev *d, void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, float alpha, size_t n)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const bool vec = ax_aligned16<float>(y, 0) && ax_aligned16<float>(x, 0) && ax_eights(n);

	if (n)
		AX_DISPATCH_TYPE(ty, vec, axpy_run, c, y, x, tx, alpha, n);
	ax_cuda_done(c, "axpy");
}

template <bool VEC> static __global__ void scale_kernel(float *x, float alpha, size_t n)
{
	const size_t i = first_of_thread();
	float v[8];

	if (i >= n)
		return;
	ax_read8<VEC>(v, x, i, n);
	AX_UNROLL
	for (int k = 0; k < 8; k++)
		v[k] *= alpha;
	ax_write8<VEC>(x, v, i, n);
}

static void scale(struct ax_dev *d, float *x, float alpha, size_t n)
{
	struct ax_cuda *c = ax_cuda_of(d);

	if (n && ax_aligned16<float>(x, 0) && ax_eights(n))
		AX_LAUNCH(scale_kernel<true>, blocks_of(n), THREADS, 0, c->compute, x, alpha, n);
	else if (n)
		AX_LAUNCH(scale_kernel<false>, blocks_of(n), THREADS, 0, c->compute, x, alpha, n);
	ax_cuda_done(c, "scale");
}

template <class T, bool VEC> static __global__ void add_kernel(T *y, const T *a, const T *b, size_t n)
{
	const size_t i = first_of_thread();
	float u[8], v[8];

	if (i >= n)
		return;
	ax_read8<VEC>(u, a, i, n);
	ax_read8<VEC>(v, b, i, n);
	AX_UNROLL
	for (int k = 0; k < 8; k++)
		u[k] += v[k];
	ax_write8<VEC>(y, u, i, n);
}

template <class T, bool VEC> static void add_run(struct ax_cuda *c, void *y, const void *a, const void *b, size_t n)
{
	AX_LAUNCH((add_kernel<T, VEC>), blocks_of(n), THREADS, 0, c->compute, static_cast<T *>(y), static_cast<const T *>(a),
		  static_cast<const T *>(b), n);
}

static void add(struct ax_dev *d, void *y, const void *a, const void *b, size_t n)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const bool vec = ax_aligned16<float>(y, 0) && ax_aligned16<float>(a, 0) && ax_aligned16<float>(b, 0) && ax_eights(n);

	if (n)
		AX_DISPATCH(c, vec, add_run, c, y, a, b, n);
	ax_cuda_done(c, "add");
}

/* --- sum of squares -------------------------------------------------------------------------------------------------- */


/* part[block] = the sum over its share of x, in double: a thread's share is every gridDim-th group of eight. */
template <class T, bool VEC> static __global__ void sumsq_kernel(double *part, const T *x, size_t n)
{
	AX_SHARED(double, warps, [32]);
	const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x * 8;
	double sum = 0;
	float v[8];

	for (size_t i = first_of_thread(); i < n; i += step) {
		ax_read8<VEC>(v, x, i, n);
		AX_UNROLL
		for (int k = 0; k < 8; k++)
			sum += static_cast<double>(v[k]) * static_cast<double>(v[k]);
	}
	sum = ax_block_sum(sum, warps);
	if (threadIdx.x == 0)
		part[blockIdx.x] = sum;
}

static __global__ void sumsq_end_kernel(double *out, const double *part, unsigned n)
{
	AX_SHARED(double, warps, [32]);
	double sum = 0;

	for (unsigned i = threadIdx.x; i < n; i += blockDim.x)
		sum += part[i];
	sum = ax_block_sum(sum, warps);
	if (threadIdx.x == 0)
		*out = sum;
}

template <class T, bool VEC> static void sumsq_run(struct ax_cuda *c, double *part, unsigned blocks, const void *x, size_t n)
{
	AX_LAUNCH((sumsq_kernel<T, VEC>), blocks, THREADS, 0, c->compute, part, static_cast<const T *>(x), n);
}

static void sumsq(struct ax_dev *d, double *out, const void *x, enum ax_dtype tx, size_t n)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const size_t want = blocks_of(n);
	const unsigned blocks = static_cast<unsigned>(want < 1 ? 1 : want < AX_SUMSQ_BLOCKS ? want : AX_SUMSQ_BLOCKS);
	double *part = static_cast<double *>(ax_cuda_scratch(c, "sumsq", AX_SUMSQ_BLOCKS * sizeof(*part)));

	if (!part)
		return;
	AX_DISPATCH_TYPE(tx, ax_aligned16<float>(x, 0) && ax_eights(n), sumsq_run, c, part, blocks, x, n);
	AX_LAUNCH(sumsq_end_kernel, 1, THREADS, 0, c->compute, out, part, blocks);
	ax_cuda_done(c, "sumsq");
}

/* --- sums of columns ------------------------------------------------------------------------------------------------- */

static const unsigned PART_WARPS = 16;

/*
 * to[i] += part[0][i] + part[1][i] + ...; a block 32 columns. Warp w adds parts w, w + PART_WARPS, ..., for there are
 * hundreds of parts and few columns; the warps' sums are added in their order.
 */
template <class T> static __global__ void __launch_bounds__(PART_WARPS * AX_WARP) add_parts_kernel(T *to, const float *part, int n_part, size_t n)
{
	AX_SHARED(float, sums, [PART_WARPS][AX_WARP]);
	const unsigned lane = threadIdx.x % AX_WARP, warp = threadIdx.x / AX_WARP;
	const size_t i = static_cast<size_t>(blockIdx.x) * AX_WARP + lane;
	float sum = 0;

	for (int k = static_cast<int>(warp); k < n_part && i < n; k += static_cast<int>(PART_WARPS))
		sum += part[static_cast<size_t>(k) * n + i];
	sums[warp][lane] = sum;
	__syncthreads();
	if (warp || i >= n)
		return;
	for (unsigned k = 1; k < PART_WARPS; k++)
		sum += sums[k][lane];
	to[i] = ax_from_f32<T>(ax_to_f32(to[i]) + sum);
}

void ax_cuda_add_parts(struct ax_cuda *c, void *to, enum ax_dtype t, const float *part, int n_part, size_t n)
{
	const unsigned blocks = static_cast<unsigned>((n + AX_WARP - 1) / AX_WARP), threads = PART_WARPS * AX_WARP;

	if (t == AX_BF16)
		AX_LAUNCH(add_parts_kernel<ax_bf16>, blocks, threads, 0, c->compute, static_cast<ax_bf16 *>(to), part, n_part, n);
	else
		AX_LAUNCH(add_parts_kernel<float>, blocks, threads, 0, c->compute, static_cast<float *>(to), part, n_part, n);
}

/* part[block] (O) = the sum of the block's rows of dy: block b has rows b, b + gridDim.x, ..., of which ROWS are under way at once. */
template <class T, bool VEC> static __global__ void columns_kernel(float *part, const T *dy, size_t ld, int N, size_t O)
{
	constexpr int ROWS = 4;
	const int first = static_cast<int>(blockIdx.x), step = static_cast<int>(gridDim.x);
	float *mine = part + static_cast<size_t>(blockIdx.x) * O;

	for (size_t o = threadIdx.x * 8u; o < O; o += blockDim.x * 8u) {
		float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0}, v[ROWS][8];

		for (int n = first; n < N; n += ROWS * step) {
			AX_UNROLL
			for (int r = 0; r < ROWS; r++)
				ax_read8<VEC>(v[r], dy + static_cast<size_t>(n + r * step) * ld, o, n + r * step < N ? O : 0);
			AX_UNROLL
			for (int r = 0; r < ROWS; r++)
				AX_UNROLL
				for (int k = 0; k < 8; k++)
					sum[k] += v[r][k];
		}
		ax_write8<false>(mine, sum, o, O);
	}
}

template <class T, bool VEC> static void columns_run(struct ax_cuda *c, float *part, int n_part, const void *dy, size_t ld, int N, size_t O)
{
	AX_LAUNCH((columns_kernel<T, VEC>), static_cast<unsigned>(n_part), ax_row_threads(O, THREADS), 0, c->compute, part,
		  static_cast<const T *>(dy), ld, N, O);
}

static void bias_grad(struct ax_dev *d, void *db, const void *dy, size_t lddy, int N, int O)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const size_t n = static_cast<size_t>(O);
	const int n_part = ax_cuda_n_part(c, N, n);
	const bool vec = (c->act == AX_BF16 ? ax_aligned16<ax_bf16>(dy, lddy) : ax_aligned16<float>(dy, lddy)) && ax_eights(n);
	float *part = static_cast<float *>(ax_cuda_scratch(c, "bias_grad", ax_cuda_part_bytes(c, N, n)));

	if (!part)
		return;
	AX_DISPATCH(c, vec, columns_run, c, part, n_part, dy, lddy, N, n);
	ax_cuda_add_parts(c, db, d->grad, part, n_part, n);
	ax_cuda_done(c, "bias_grad");
}

/* --- the gated activation -------------------------------------------------------------------------------------------- */

/* 1 / (1 + exp(-x)); for bf16 results to about 1e-6, since the exact one takes longer than memory does. */
template <class T> AX_DEVICE float sigmoid(float x);
template <> __device__ __forceinline__ float sigmoid<float>(float x)
{
	return 1.0f / (1.0f + expf(-x));
}
template <> __device__ __forceinline__ float sigmoid<ax_bf16>(float x)
{
	return __fdividef(1.0f, 1.0f + ax_exp2(x * -1.44269504f));
}
template <class T> AX_DEVICE float tanh_of(float x);
template <> __device__ __forceinline__ float tanh_of<float>(float x)
{
	return tanhf(x);
}
template <> __device__ __forceinline__ float tanh_of<ax_bf16>(float x)
{
	return 2.0f * sigmoid<ax_bf16>(2.0f * x) - 1.0f;
}

/* The activation of x, and its derivative. */
template <class T, int FN> AX_DEVICE float activate(float x, float *slope)
{
	if (FN == AX_ACT_SILU) {
		const float s = sigmoid<T>(x);

		*slope = s * (1.0f + x * (1.0f - s));
		return x * s;
	}
	if (FN == AX_ACT_GELU) {
		const float cdf = 0.5f * (1.0f + erff(x * 0.70710678f));

		*slope = cdf + x * 0.39894228f * expf(-0.5f * x * x);
		return x * cdf;
	}
	const float t = tanh_of<T>(0.79788456f * (x + 0.044715f * x * x * x));

	*slope = 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * 0.79788456f * (1.0f + 3.0f * 0.044715f * x * x);
	return 0.5f * x * (1.0f + t);
}

/* Row and first column of a thread, where each row takes `tiles` blocks. */
struct place {
	size_t row, col;
};

AX_DEVICE place place_of(unsigned tiles)
{
	return {blockIdx.x / tiles, (static_cast<size_t>(blockIdx.x % tiles) * blockDim.x + threadIdx.x) * 8};
}

template <class T, bool VEC, int FN> static __global__ void glu_fwd_kernel(T *h, const T *gu, unsigned tiles, size_t F)
{
	const place at = place_of(tiles);
	const T *gate = gu + at.row * 2 * F;
	float g[8], u[8], slope;

	if (at.col >= F)
		return;
	ax_read8<VEC>(g, gate, at.col, F);
	ax_read8<VEC>(u, gate + F, at.col, F);
	AX_UNROLL
	for (int k = 0; k < 8; k++)
		u[k] *= activate<T, FN>(g[k], &slope);
	ax_write8<VEC>(h + at.row * F, u, at.col, F);
}

/* dgu may be gu: a thread writes what it alone has read. */
template <class T, bool VEC, int FN> static __global__ void glu_bwd_kernel(T *dgu, const T *dh, const T *gu, unsigned tiles, size_t F)
{
	const place at = place_of(tiles);
	const T *gate = gu + at.row * 2 * F;
	float g[8], u[8], dy[8], slope;

	if (at.col >= F)
		return;
	ax_read8<VEC>(g, gate, at.col, F);
	ax_read8<VEC>(u, gate + F, at.col, F);
	ax_read8<VEC>(dy, dh + at.row * F, at.col, F);
	AX_UNROLL
	for (int k = 0; k < 8; k++) {
		const float a = activate<T, FN>(g[k], &slope);

		g[k] = dy[k] * u[k] * slope;
		u[k] = dy[k] * a;
	}
	ax_write8<VEC>(dgu + at.row * 2 * F, g, at.col, F);
	ax_write8<VEC>(dgu + at.row * 2 * F + F, u, at.col, F);
}

/* A launch for every token: blocks wide enough for a row, or several a row. */
struct row_grid {
	unsigned threads, tiles, blocks;
};

static struct row_grid row_grid_of(int N, size_t F)
{
	const unsigned threads = ax_row_threads(F, THREADS), tiles = static_cast<unsigned>((F + threads * 8 - 1) / (threads * 8));

	return {threads, tiles, tiles * static_cast<unsigned>(N)};
}

template <class T, bool VEC> static void glu_fwd_run(struct ax_cuda *c, void *h, const void *gu, enum ax_act_fn fn, int N, size_t F)
{
	const struct row_grid g = row_grid_of(N, F);
	typedef void kernel(T *, const T *, unsigned, size_t);
	kernel *const table[] = {glu_fwd_kernel<T, VEC, AX_ACT_SILU>, glu_fwd_kernel<T, VEC, AX_ACT_GELU_TANH>,
				 glu_fwd_kernel<T, VEC, AX_ACT_GELU>};

	AX_LAUNCH(table[fn], g.blocks, g.threads, 0, c->compute, static_cast<T *>(h), static_cast<const T *>(gu), g.tiles, F);
}

template <class T, bool VEC>
static void glu_bwd_run(struct ax_cuda *c, void *dgu, const void *dh, const void *gu, enum ax_act_fn fn, int N, size_t F)
{
	const struct row_grid g = row_grid_of(N, F);
	typedef void kernel(T *, const T *, const T *, unsigned, size_t);
	kernel *const table[] = {glu_bwd_kernel<T, VEC, AX_ACT_SILU>, glu_bwd_kernel<T, VEC, AX_ACT_GELU_TANH>,
				 glu_bwd_kernel<T, VEC, AX_ACT_GELU>};

	AX_LAUNCH(table[fn], g.blocks, g.threads, 0, c->compute, static_cast<T *>(dgu), static_cast<const T *>(dh),
		  static_cast<const T *>(gu), g.tiles, F);
}

static void glu_fwd(struct ax_dev *d, void *h, const void *gu, enum ax_act_fn fn, int N, int F)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const size_t f = static_cast<size_t>(F);
	const bool vec = ax_eights(f) && ax_aligned16<float>(h, 0) && ax_aligned16<float>(gu, 0);

	if (N)
		AX_DISPATCH(c, vec, glu_fwd_run, c, h, gu, fn, N, f);
	ax_cuda_done(c, "glu_fwd");
}

static void glu_bwd(struct ax_dev *d, void *dgu, const void *dh, const void *gu, enum ax_act_fn fn, int N, int F)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const size_t f = static_cast<size_t>(F);
	const bool vec = ax_eights(f) && ax_aligned16<float>(dgu, 0) && ax_aligned16<float>(dh, 0) && ax_aligned16<float>(gu, 0);

	if (N)
		AX_DISPATCH(c, vec, glu_bwd_run, c, dgu, dh, gu, fn, N, f);
	ax_cuda_done(c, "glu_bwd");
}

void ax_cuda_elem(struct ax_cuda *c)
{
	c->ops.cast = cast;
	c->ops.axpy = axpy;
	c->ops.scale = scale;
	c->ops.add = add;
	c->ops.sumsq = sumsq;
	c->ops.bias_grad = bias_grad;
	c->ops.glu_fwd = glu_fwd;
	c->ops.glu_bwd = glu_bwd;
}
