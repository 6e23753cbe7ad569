/* Launchers of the sample kernels: the C interface that host code sees. */
#ifndef AX_CUDASIM_SAMPLE_H
#define AX_CUDASIM_SAMPLE_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* y (N, C) = x * rstd(x) * w; C a multiple of 8, rows aligned to 16 bytes. */
void sample_rmsnorm_bf16(void *y, const void *x, const void *w, float eps, int N, int C, cudaStream_t s);
void sample_rmsnorm_f32(float *y, const float *x, const float *w, float eps, int N, int C, cudaStream_t s);
/* c (M, N) f32 = a (M, K) b (N, K)^T in bf16; M, N, K multiples of 16, 8, 16. */
void sample_matmul(float *c, const void *a, const void *b, int M, int N, int K, cudaStream_t s);

#ifdef __cplusplus
}
#endif

#endif
