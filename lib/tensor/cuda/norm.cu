/*
 * RMSNorm of rows (with the residual add) and of heads, and the rotary embedding. All are bound by memory: each element is
 * read once and kept in registers between the sum over its row and its use.
 */
#include "tensor/cuda/access.h"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/parts.h"

static const unsigned THREADS = 256;

/*
 * A row lies in the registers of a block of BLOCK threads, KEEP groups of eight a thread: rows of up to 2048, 4096, 8192 and
 * 16384 elements. No model is wider.
 */
static const size_t WIDEST = 16384;

#define ROW_KERNEL static __global__ void __launch_bounds__(BLOCK, 1)
#define ROW_KERNELS(name)                                                                                              \
	{                                                                                                              \
		name<T, VEC, 1, 256>, name<T, VEC, 2, 256>, name<T, VEC, 4, 256>, name<T, VEC, 4, 512>                 \
	}

/* Which of ROW_KERNELS takes rows of n. */
static int kernel_of(size_t n)
{
	return n <= 2048 ? 0 : n <= 4096 ? 1 : n <= 8192 ? 2 : 3;
}

static unsigned threads_of(size_t n)
{
	return ax_row_threads(n, n > 8192 ? 512 : 256);
}

static bool too_wide(struct ax_cuda *c, const char *op, size_t n)
{
	if (n > WIDEST)
		ax_cuda_fail(c, op, "rows of %zu elements; at most %zu are possible", n, WIDEST);
	return n > WIDEST;
}

struct norm_args {
	size_t C;
	float w_add, eps;
	bool cast_first;
};

/* y = h * (w + w_add), h = r * rstd, rounded first where the family does. */
template <class T> AX_DEVICE float scaled(float r, float rstd, float w, const norm_args &a)
{
	const float h = r * rstd;

	return (a.cast_first ? ax_to_f32(ax_from_f32<T>(h)) : h) * (w + a.w_add);
}

template <class T> AX_DEVICE void scaled8(float (&v)[8], float rstd, const float (&w)[8], const norm_args &a)
{
	AX_UNROLL
	for (int k = 0; k < 8; k++)
		v[k] = scaled<T>(v[k], rstd, w[k], a);
}

/* v = x + delta at i, stored as r where r is not NULL; the sum of its squares. */
template <class T, bool VEC>
AX_DEVICE float take8(float (&v)[8], float *r, const float *x, const T *delta, size_t i, size_t C)
{
	float add[8], sum = 0;

	ax_read8<VEC>(v, x, i, C);
	if (delta) {
		ax_read8<VEC>(add, delta, i, C);
		AX_UNROLL
		for (int k = 0; k < 8; k++)
			v[k] += add[k];
	}
	if (r)
		ax_write8<VEC>(r, v, i, C);
	AX_UNROLL
	for (int k = 0; k < 8; k++)
		sum += v[k] * v[k];
	return sum;
}

/* --- rows ------------------------------------------------------------------------------------------------------------ */

/* A block a row. */
template <class T, bool VEC, int KEEP, int BLOCK>
ROW_KERNEL rmsnorm_fwd_kernel(T *y, float *r, float *rstd, const float *x, const T *delta, const T *w, norm_args a)
{
	AX_SHARED(float, part, [32]);
	const size_t row = blockIdx.x * a.C, first = threadIdx.x * 8u, step = blockDim.x * 8u;
	float v[KEEP][8], u[8], sum = 0;

	AX_UNROLL
	for (size_t k = 0; k < KEEP; k++)
		sum += take8<T, VEC>(v[k], r ? r + row : NULL, x + row, delta ? delta + row : NULL, first + k * step, a.C);
	const float s = 1.0f / sqrtf(ax_block_sum(sum, part) / static_cast<float>(a.C) + a.eps);

	if (threadIdx.x == 0)
		rstd[blockIdx.x] = s;
	AX_UNROLL
	for (size_t k = 0; k < KEEP; k++) {
		ax_read8<VEC>(u, w, first + k * step, a.C);
		scaled8<T>(v[k], s, u, a);
		ax_write8<VEC>(y + row, v[k], first + k * step, a.C);
	}
}

template <class T, bool VEC>
static void rmsnorm_fwd_run(struct ax_cuda *c, void *y, float *r, float *rstd, const float *x, const void *delta, const void *w, int N, norm_args a)
{
	typedef void kernel(T *, float *, float *, const float *, const T *, const T *, norm_args);
	kernel *const table[] = ROW_KERNELS(rmsnorm_fwd_kernel);

	AX_LAUNCH(table[kernel_of(a.C)], static_cast<unsigned>(N), threads_of(a.C), 0, c->compute, static_cast<T *>(y), r,
		  rstd, x, static_cast<const T *>(delta), static_cast<const T *>(w), a);
}

static bool all_aligned(const struct ax_cuda *c, size_t ld, const void *a, const void *b, const void *e, const void *f)
{
	const uintptr_t bits = reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b) | reinterpret_cast<uintptr_t>(e) |
			       reinterpret_cast<uintptr_t>(f);

	return bits % 16 == 0 && ld * ax_dtype_size(c->act) % 16 == 0;
}

static void rmsnorm_fwd(struct ax_dev *d, void *y, void *r, float *rstd, const void *x, const void *delta, const void *w, float w_add, float eps, bool cast_first, int N, int C)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const norm_args a = {static_cast<size_t>(C), w_add, eps, cast_first};
	const bool vec = all_aligned(c, a.C, y, r, x, delta) && ax_aligned16<float>(w, 0) && ax_eights(a.C);

	if (too_wide(c, "rmsnorm_fwd", a.C))
		return;
	if (N)
		AX_DISPATCH(c, vec, rmsnorm_fwd_run, c, y, static_cast<float *>(r), rstd, static_cast<const float *>(x), delta, w, N, a);
	ax_cuda_done(c, "rmsnorm_fwd");
}

/* g = dy (w + w_add), h = r rstd of eight elements; sum += dy h; the sum of g h. */
template <class T, bool VEC>
AX_DEVICE float back8(float (&g)[8], float (&h)[8], float (&sum)[8], const T *dy, const float *r, const T *w, float rstd, float w_add, size_t i, size_t C)
{
	float u[8], dot = 0;

	ax_read8<VEC>(g, dy, i, C);
	ax_read8<VEC>(h, r, i, C);
	ax_read8<VEC>(u, w, i, C);
	AX_UNROLL
	for (int e = 0; e < 8; e++) {
		h[e] *= rstd;
		sum[e] += g[e] * h[e];
		g[e] *= u[e] + w_add;
		dot += g[e] * h[e];
	}
	return dot;
}

/*
 * dx = dres + rstd (g - h mean(g h)),  dw = the sum over rows of dy h. Block b takes rows b, b + gridDim.x, ... and leaves
 * its share of dw in its row of `part`. dx may be dres or dy: a thread writes what it alone has read.
 */
template <class T, bool VEC, int KEEP, int BLOCK>
ROW_KERNEL rmsnorm_bwd_kernel(T *dx, float *part, const T *dy, const T *dres, const float *r, const float *rstd, const T *w, int N, norm_args a)
{
	AX_SHARED(float, warps, [32]);
	const size_t first = threadIdx.x * 8u, step = blockDim.x * 8u;
	float g[KEEP][8], h[KEEP][8], sum[KEEP][8] = {}, u[8] = {};

	for (int n = static_cast<int>(blockIdx.x); n < N; n += static_cast<int>(gridDim.x)) {
		const size_t row = static_cast<size_t>(n) * a.C;
		const float s = rstd[n];
		float dot = 0;

		AX_UNROLL
		for (size_t k = 0; k < KEEP; k++)
			dot += back8<T, VEC>(g[k], h[k], sum[k], dy + row, r + row, w, s, a.w_add, first + k * step, a.C);
		dot = ax_block_sum(dot, warps) / static_cast<float>(a.C);
		AX_UNROLL
		for (size_t k = 0; k < KEEP; k++) {
			if (dres)
				ax_read8<VEC>(u, dres + row, first + k * step, a.C);
			AX_UNROLL
			for (int e = 0; e < 8; e++)
				g[k][e] = (dres ? u[e] : 0.0f) + s * (g[k][e] - h[k][e] * dot);
			ax_write8<VEC>(dx + row, g[k], first + k * step, a.C);
		}
	}
	AX_UNROLL
	for (size_t k = 0; k < KEEP; k++)
		ax_write8<false>(part + blockIdx.x * a.C, sum[k], first + k * step, a.C);
}

template <class T, bool VEC>
static void rmsnorm_bwd_run(struct ax_cuda *c, void *dx, float *part, int n_part, const void *dy, const void *dres, const float *r, const float *rstd, const void *w, int N, norm_args a)
{
	typedef void kernel(T *, float *, const T *, const T *, const float *, const float *, const T *, int, norm_args);
	kernel *const table[] = ROW_KERNELS(rmsnorm_bwd_kernel);

	AX_LAUNCH(table[kernel_of(a.C)], static_cast<unsigned>(n_part), threads_of(a.C), 0, c->compute, static_cast<T *>(dx),
		  part, static_cast<const T *>(dy), static_cast<const T *>(dres), r, rstd, static_cast<const T *>(w), N, a);
}

static void rmsnorm_bwd(struct ax_dev *d, void *dx, void *dw, const void *dy, const void *dres, const void *r, const float *rstd, const void *w, float w_add, int N, int C)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const norm_args a = {static_cast<size_t>(C), w_add, 0, false};
	const int n_part = ax_cuda_n_part(c, N, a.C);
	const bool vec = all_aligned(c, a.C, dx, dy, dres, r) && ax_aligned16<float>(w, 0) && ax_eights(a.C);
	float *part = static_cast<float *>(ax_cuda_scratch(c, "rmsnorm_bwd", ax_cuda_part_bytes(c, N, a.C)));

	if (!part || too_wide(c, "rmsnorm_bwd", a.C))
		return;
	AX_DISPATCH(c, vec, rmsnorm_bwd_run, c, dx, part, n_part, dy, dres, static_cast<const float *>(r), rstd, w, N, a);
	ax_cuda_add_parts(c, dw, d->grad, part, n_part, a.C);
	ax_cuda_done(c, "rmsnorm_bwd");
}

/* --- heads ----------------------------------------------------------------------------------------------------------- */

/* A warp a head of one token; a lane holds group lane of eight and, with GROUPS 2, lane + 32: heads of up to 256, or 512. */
static const size_t ONE_GROUP = 256;
static_assert(AX_HEAD_DIM_MAX == 2 * ONE_GROUP, "two groups are enough");
static const unsigned HEAD_WARPS = AX_HEAD_WARPS;

struct head_args {
	size_t ld, HD;
	int n_head;
	size_t n; /* heads of all tokens */
	norm_args a;
};

AX_DEVICE size_t warp_of_grid(void)
{
	return (static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x) / AX_WARP;
}

/* Where head number `job` begins in rows of stride ld. */
AX_DEVICE size_t head_at(const head_args &h, size_t job)
{
	const size_t heads = static_cast<size_t>(h.n_head);

	return job / heads * h.ld + job % heads * h.HD;
}

template <class T, bool VEC, int GROUPS> static __global__ void headnorm_fwd_kernel(T *x, T *pre, float *rstd, const T *w, head_args h)
{
	const size_t job = warp_of_grid(), lane = threadIdx.x % AX_WARP;
	float v[GROUPS][8], u[8], sum = 0;

	if (job >= h.n)
		return;
	T *row = x + head_at(h, job);
	AX_UNROLL
	for (int k = 0; k < GROUPS; k++) {
		const size_t i = (static_cast<size_t>(k) * AX_WARP + lane) * 8;

		ax_read8<VEC>(v[k], row, i, h.HD);
		if (pre)
			ax_write8<VEC>(pre + job * h.HD, v[k], i, h.HD);
		AX_UNROLL
		for (int e = 0; e < 8; e++)
			sum += v[k][e] * v[k][e];
	}
	const float s = 1.0f / sqrtf(ax_warp_sum(sum) / static_cast<float>(h.HD) + h.a.eps);

	if (lane == 0)
		rstd[job] = s;
	AX_UNROLL
	for (int k = 0; k < GROUPS; k++) {
		const size_t i = (static_cast<size_t>(k) * AX_WARP + lane) * 8;

		ax_read8<VEC>(u, w, i, h.HD);
		scaled8<T>(v[k], s, u, h.a);
		ax_write8<VEC>(row, v[k], i, h.HD);
	}
}

template <class T, bool VEC> static void headnorm_fwd_run(struct ax_cuda *c, void *x, void *pre, float *rstd, const void *w, head_args h)
{
	const unsigned blocks = static_cast<unsigned>((h.n + HEAD_WARPS - 1) / HEAD_WARPS);

	typedef void kernel(T *, T *, float *, const T *, head_args);
	kernel *const by_groups[] = {headnorm_fwd_kernel<T, VEC, 1>, headnorm_fwd_kernel<T, VEC, 2>};

	AX_LAUNCH(by_groups[h.HD > ONE_GROUP], blocks, HEAD_WARPS * AX_WARP, 0, c->compute, static_cast<T *>(x), static_cast<T *>(pre), rstd,
		  static_cast<const T *>(w), h);
}

static void headnorm_fwd(struct ax_dev *d, void *x, size_t ld, void *pre, float *rstd, const void *w, float w_add, float eps, bool cast_first, int N, int n_head, int HD)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const size_t hd = static_cast<size_t>(HD);
	const head_args h = {ld, hd, n_head, static_cast<size_t>(N) * static_cast<size_t>(n_head), {hd, w_add, eps, cast_first}};
	const bool vec = all_aligned(c, ld, x, pre, w, NULL) && ax_eights(hd);

	if (h.n)
		AX_DISPATCH(c, vec, headnorm_fwd_run, c, x, pre, rstd, w, h);
	ax_cuda_done(c, "headnorm_fwd");
}

/* Warp j of the grid takes heads j, j + all warps, ...; a block's warps add their dw through shared memory, in order. */
template <class T, bool VEC, int GROUPS>
static __global__ void headnorm_bwd_kernel(T *dx, float *part, const T *pre, const float *rstd, const T *w, head_args h)
{
	AX_SHARED(float, sums, [HEAD_WARPS][AX_HEAD_DIM_MAX]);
	const size_t lane = threadIdx.x % AX_WARP, warp = threadIdx.x / AX_WARP, step = static_cast<size_t>(gridDim.x) * HEAD_WARPS;
	float g[GROUPS][8], v[GROUPS][8], sum[GROUPS][8] = {}, u[8];

	for (size_t job = warp_of_grid(); job < h.n; job += step) {
		T *row = dx + head_at(h, job);
		const float s = rstd[job];
		float dot = 0;

		AX_UNROLL
		for (int k = 0; k < GROUPS; k++) {
			const size_t i = (static_cast<size_t>(k) * AX_WARP + lane) * 8;

			ax_read8<VEC>(g[k], row, i, h.HD);
			ax_read8<VEC>(v[k], pre + job * h.HD, i, h.HD);
			ax_read8<VEC>(u, w, i, h.HD);
			AX_UNROLL
			for (int e = 0; e < 8; e++) {
				v[k][e] *= s;
				sum[k][e] += g[k][e] * v[k][e];
				g[k][e] *= u[e] + h.a.w_add;
				dot += g[k][e] * v[k][e];
			}
		}
		dot = ax_warp_sum(dot) / static_cast<float>(h.HD);
		AX_UNROLL
		for (int k = 0; k < GROUPS; k++) {
			AX_UNROLL
			for (int e = 0; e < 8; e++)
				u[e] = s * (g[k][e] - v[k][e] * dot);
			ax_write8<VEC>(row, u, (static_cast<size_t>(k) * AX_WARP + lane) * 8, h.HD);
		}
	}
	AX_UNROLL
	for (int k = 0; k < GROUPS; k++)
		ax_write8<false>(&sums[warp][0], sum[k], (static_cast<size_t>(k) * AX_WARP + lane) * 8, h.HD);
	__syncthreads();
	for (size_t i = threadIdx.x; i < h.HD; i += blockDim.x) {
		float all = 0;

		for (unsigned k = 0; k < HEAD_WARPS; k++)
			all += sums[k][i];
		part[blockIdx.x * h.HD + i] = all;
	}
}

template <class T, bool VEC>
static void headnorm_bwd_run(struct ax_cuda *c, void *dx, float *part, unsigned n_part, const void *pre, const float *rstd, const void *w, head_args h)
{
	typedef void kernel(T *, float *, const T *, const float *, const T *, head_args);
	kernel *const by_groups[] = {headnorm_bwd_kernel<T, VEC, 1>, headnorm_bwd_kernel<T, VEC, 2>};

	AX_LAUNCH(by_groups[h.HD > ONE_GROUP], n_part, HEAD_WARPS * AX_WARP, 0, c->compute, static_cast<T *>(dx), part, static_cast<const T *>(pre), rstd,
		  static_cast<const T *>(w), h);
}

static void headnorm_bwd(struct ax_dev *d, void *dx, size_t ld, void *dw, const void *pre, const float *rstd, const void *w, float w_add, int N, int n_head, int HD)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const size_t hd = static_cast<size_t>(HD);
	const head_args h = {ld, hd, n_head, static_cast<size_t>(N) * static_cast<size_t>(n_head), {hd, w_add, 0, false}};
	const struct ax_gpu g = ax_cuda_gpu(c);
	const unsigned n_part = ax_scratch_head_parts(&g, h.n);
	const bool vec = all_aligned(c, ld, dx, pre, w, NULL) && ax_eights(hd);
	float *part = static_cast<float *>(ax_cuda_scratch(c, "headnorm_bwd", n_part * hd * sizeof(*part)));

	if (!part)
		return;
	AX_DISPATCH(c, vec, headnorm_bwd_run, c, dx, part, n_part, pre, rstd, w, h);
	ax_cuda_add_parts(c, dw, d->grad, part, static_cast<int>(n_part), hd);
	ax_cuda_done(c, "headnorm_bwd");
}

/* --- rotary embedding ------------------------------------------------------------------------------------------------ */

struct rope_args {
	size_t ld, HD, half;
	unsigned groups;   /* of eight pairs in a head; 32 bits, since 64-bit divisions are slow */
	unsigned n_thread; /* that a row needs: n_head * groups */
	unsigned tiles;    /* blocks a row */
	bool backward;
};

/* A thread turns eight pairs (i, i + half) of one head. */
template <class T, bool VEC> static __global__ void rope_kernel(T *x, const int32_t *pos, const float *cos_sin, rope_args r)
{
	const unsigned job = blockIdx.x % r.tiles * blockDim.x + threadIdx.x;
	const size_t n = blockIdx.x / r.tiles;
	float a[8], b[8], c[8], s[8];

	if (job >= r.n_thread)
		return;
	const size_t i = job % r.groups * 8u;
	T *head = x + n * r.ld + job / r.groups * r.HD;
	const float *table = cos_sin + static_cast<size_t>(pos[n]) * r.HD;

	ax_read8<VEC>(a, head, i, r.half);
	ax_read8<VEC>(b, head + r.half, i, r.half);
	ax_read8<VEC>(c, table, i, r.half);
	ax_read8<VEC>(s, table + r.HD / 2, i, r.half);
	AX_UNROLL
	for (int k = 0; k < 8; k++) {
		const float sin = r.backward ? -s[k] : s[k], x1 = a[k], x2 = b[k];

		a[k] = x1 * c[k] - x2 * sin;
		b[k] = x2 * c[k] + x1 * sin;
	}
	ax_write8<VEC>(head, a, i, r.half);
	ax_write8<VEC>(head + r.half, b, i, r.half);
}

template <class T, bool VEC> static void rope_run(struct ax_cuda *c, void *x, const int32_t *pos, const float *cos_sin, int N, unsigned threads, rope_args r)
{
	AX_LAUNCH((rope_kernel<T, VEC>), static_cast<unsigned>(N) * r.tiles, threads, 0, c->compute, static_cast<T *>(x), pos, cos_sin, r);
}

static void rope(struct ax_dev *d, void *x, size_t ld, const int32_t *pos, const float *cos_sin, int N, int n_head, int HD, int rotary, bool backward)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const size_t hd = static_cast<size_t>(HD), half = static_cast<size_t>(rotary) / 2;
	const unsigned groups = static_cast<unsigned>((half + 7) / 8), n_thread = static_cast<unsigned>(n_head) * groups;
	const unsigned threads = ax_row_threads(n_thread * 8u, THREADS), tiles = (n_thread + threads - 1) / threads;
	const rope_args r = {ld, hd, half, groups, n_thread, tiles, backward};
	const bool vec = all_aligned(c, ld, x, cos_sin, NULL, NULL) && ax_eights(half) && ax_eights(hd);

	if (half && N)
		AX_DISPATCH(c, vec, rope_run, c, x, pos, cos_sin, N, threads, r);
	ax_cuda_done(c, "rope");
}

void ax_cuda_norm(struct ax_cuda *c)
{
	c->ops.rmsnorm_fwd = rmsnorm_fwd;
	c->ops.rmsnorm_bwd = rmsnorm_bwd;
	c->ops.headnorm_fwd = headnorm_fwd;
	c->ops.headnorm_bwd = headnorm_bwd;
	c->ops.rope = rope;
}
