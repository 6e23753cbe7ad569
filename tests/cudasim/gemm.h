/*
 * Single-precision matrix product with any strides: c[i * n + j] += sum over k of a(i, k) b(k, j), k from k0 to k1 in
 * order, in pieces of 256 that are summed apart. Elements are read by strides, so transposes cost nothing extra.
 */
#ifndef AX_CUDASIM_GEMM_H
#define AX_CUDASIM_GEMM_H

#include <cstddef>

struct gemm_operand {
	const void *p;
	size_t row, col; /* strides in elements */
	bool bf16;
};

void gemm_f32(float *c, const gemm_operand &a, const gemm_operand &b, size_t m, size_t n, size_t k0, size_t k1);

#endif
