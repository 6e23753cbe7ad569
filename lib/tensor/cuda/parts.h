/*
 * Sums over many rows without atomics: kernels leave partial sums, a row of `part` for each block, and these add them in
 * the order of their index. How many there are depends on shapes alone, so the result has the same bits in every run.
 */
#ifndef AX_TENSOR_CUDA_PARTS_H
#define AX_TENSOR_CUDA_PARTS_H

#include "tensor/cuda/cuda.h"

/*
 * Blocks among which N rows of n columns are divided where each leaves one part of n floats: enough to fill the GPU with
 * blocks of ax_row_threads(n, 256) threads.
 */
static inline int ax_cuda_n_part(const struct ax_cuda *c, int N, size_t n)
{
	const size_t groups = (n + 255) / 256, most = (size_t)c->n_sm * (groups > 16 ? 2 : groups < 2 ? 32 : 32 / groups);

	return N < 1 ? 1 : (size_t)N < most ? N : (int)most;
}

/* Bytes of n_part parts of n floats. */
static inline size_t ax_cuda_part_bytes(const struct ax_cuda *c, int N, size_t n)
{
	return (size_t)ax_cuda_n_part(c, N, n) * n * sizeof(float);
}

/* to (n) += the sum over k < n_part of part[k * n .. k * n + n); enqueued on c->compute. */
void ax_cuda_add_parts(struct ax_cuda *c, float *to, const float *part, int n_part, size_t n);

#endif
