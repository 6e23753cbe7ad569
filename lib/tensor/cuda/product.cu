/*
 * Matrix products that cuBLASLt has no algorithm for, and those whose bias it could not read: any shape, stride and alignment.
 * Sums in f32 in the order of k. Slow: nothing that a model meets whose widths are multiples of 8.
 */
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/device.h"

enum { TILE = 16, THREADS = TILE * TILE };

/* Distances between neighbours along each dimension, in elements. */
struct product_args {
	size_t m, n, k, a_row, a_col, b_row, b_col, ldo;
	float alpha, beta;
};

/* A block of TILE x TILE threads, each one element of out. */
template <class Tin, class Tout>
static __global__ void __launch_bounds__(THREADS) product_kernel(Tout *out, const Tin *a, const Tin *b, const Tout *bias, product_args p)
{
	AX_SHARED(float, sa, [TILE][TILE + 1]);
	AX_SHARED(float, sb, [TILE][TILE + 1]);
	const unsigned ty = threadIdx.x / TILE, tx = threadIdx.x % TILE, tiles = static_cast<unsigned>((p.n + TILE - 1) / TILE);
	const size_t row = static_cast<size_t>(blockIdx.x / tiles) * TILE + ty, col = static_cast<size_t>(blockIdx.x % tiles) * TILE + tx;
	float sum = 0;

	for (size_t k = 0; k < p.k; k += TILE) {
		sa[ty][tx] = row < p.m && k + tx < p.k ? ax_to_f32(a[row * p.a_row + (k + tx) * p.a_col]) : 0.0f;
		sb[ty][tx] = col < p.n && k + ty < p.k ? ax_to_f32(b[(k + ty) * p.b_row + col * p.b_col]) : 0.0f;
		__syncthreads();
		for (int e = 0; e < TILE; e++)
			sum += sa[ty][e] * sb[e][tx];
		__syncthreads();
	}
	if (row >= p.m || col >= p.n)
		return;
	sum *= p.alpha;
	if (p.beta != 0.0f)
		sum += p.beta * ax_to_f32(out[row * p.ldo + col]);
	if (bias)
		sum += ax_to_f32(bias[col]);
	out[row * p.ldo + col] = ax_from_f32<Tout>(sum);
}

template <class Tin, class Tout> static void run(struct ax_cuda *c, void *out, const void *a, const void *b, const void *bias, const product_args &p)
{
	const size_t blocks = ((p.m + TILE - 1) / TILE) * ((p.n + TILE - 1) / TILE);

	AX_LAUNCH((product_kernel<Tin, Tout>), static_cast<unsigned>(blocks), THREADS, 0, c->compute, static_cast<Tout *>(out),
		  static_cast<const Tin *>(a), static_cast<const Tin *>(b), static_cast<const Tout *>(bias), p);
}

void ax_cuda_plain_mm(struct ax_cuda *c, const struct ax_cuda_product *x, void *out, const void *a, const void *b, const void *bias)
{
	const product_args p = {static_cast<size_t>(x->m), static_cast<size_t>(x->n), static_cast<size_t>(x->k),
				x->a_trans ? 1 : x->lda, x->a_trans ? x->lda : 1, x->b_trans ? 1 : x->ldb, x->b_trans ? x->ldb : 1, x->ldo,
				x->alpha, x->beta};

	if (x->in == AX_F32)
		run<float, float>(c, out, a, b, bias, p);
	else if (x->out == AX_F32)
		run<ax_bf16, float>(c, out, a, b, bias, p);
	else
		run<ax_bf16, ax_bf16>(c, out, a, b, bias, p);
}
