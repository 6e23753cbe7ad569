/*
 * What each function of lib/tensor/cuda/device.h does for known inputs: the same kernels run simulated and, built with nvcc
 * (make check-gpu), on hardware, and are held against the definitions in test_layouts.cpp.
 */
#ifndef AX_CUDASIM_LAYOUTS_H
#define AX_CUDASIM_LAYOUTS_H

#include <cuda_runtime_api.h>
#include <stdint.h>

/* All arrays are on the device, indexed [lane][...]. */
void wrap_mma(float *d /* [32][4], in and out */, const uint32_t *a /* [32][4] */, const uint32_t *b /* [32][2] */,
	      cudaStream_t s);
/*
 * ldmatrix of n = 1, 2, 4 matrices: tile holds 32 rows of 8 values, of which lane l points to row[l]. r [32][n].
 */
void wrap_ldmatrix(uint32_t *r, const uint16_t *tile, const int *row, int n, bool trans, cudaStream_t s);
/* 32 threads copy `bytes` (4, 8, 16) each from x to shared memory filled with 0xEE, of which n_valid[l] bytes; y = it. */
void wrap_cp_async(uint8_t *y, const uint8_t *x, const int *n_valid, int bytes, cudaStream_t s);
/* Two groups: y[0] after waiting for the first, y[1] after waiting for both. */
void wrap_cp_groups(uint32_t *y /* [2][32] */, const uint32_t *x /* [2][32] */, cudaStream_t s);
/* sum and maximum of a block's x, as every thread gets them: y [n][2]. n threads. */
void wrap_block_reduce(float *y, const float *x, int n, cudaStream_t s);
void wrap_warp_reduce(double *sum /* [32] */, int *most /* [32] */, const double *x, const int *k, cudaStream_t s);
/* The eight ways of a shuffle or vote: y [32][8]. */
void wrap_shuffles(uint32_t *y, const uint32_t *x, cudaStream_t s);
/* y = 2^x; h = x as bf16; n values. */
void wrap_exp2(float *y, const float *x, int n, cudaStream_t s);
void wrap_bf16(uint16_t *h, const float *x, int n, cudaStream_t s);
/* y = x through ax_ld8 and ax_st8, n a multiple of 8: bf16 -> f32, f32 -> bf16. */
void wrap_widen(float *y, const uint16_t *x, int n, cudaStream_t s);
void wrap_narrow(uint16_t *y, const float *x, int n, cudaStream_t s);

#endif
