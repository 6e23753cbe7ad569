/* Kernels whose time is measured: n operations in each of `threads` threads of each block. */
#ifndef AX_CUDASIM_SPEED_H
#define AX_CUDASIM_SPEED_H

#include <cuda_runtime_api.h>

enum { N_SPEED = 6 };
struct speed_kernel {
	const char *name;
	void (*launch)(float *y, int n, unsigned blocks, unsigned threads, cudaStream_t s);
};
extern const speed_kernel speed_kernels[N_SPEED]; /* the last does no operation: its threads are counted */

#endif
