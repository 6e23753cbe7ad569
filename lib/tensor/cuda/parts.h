/*
 * Sums over many rows without atomics: kernels leave partial sums, a row of `part` for each block, and these add them in
 * the order of their index. How many there are depends on shapes alone, so the result has the same bits in every run.
 */
#ifndef AX_TENSOR_CUDA_PARTS_H
#define AX_TENSOR_CUDA_PARTS_H

#include "tensor/cuda/cuda.h"

/* ax_scratch_n_part() and ax_scratch_part_bytes() for this GPU. */
static inline int ax_cuda_n_part(const struct ax_cuda *c, int N, size_t n)
{
	const struct ax_gpu g = ax_cuda_gpu(c);

	return ax_scratch_n_part(&g, N, n);
}

static inline size_t ax_cuda_part_bytes(const struct ax_cuda *c, int N, size_t n)
{
	const struct ax_gpu g = ax_cuda_gpu(c);

	return ax_scratch_part_bytes(&g, N, n);
}

/* to (n), of type t (f32 or bf16), += the sum over k < n_part of part[k * n .. k * n + n); enqueued on c->compute. */
void ax_cuda_add_parts(struct ax_cuda *c, void *to, enum ax_dtype t, const float *part, int n_part, size_t n);

#endif
