/*
 * Which instances of kernels have run: counted where one is chosen, read by the tests, which assert that none was left out.
 * A function of the plugin that is found with dlsym() gives the table; valid C and C++.
 */
#ifndef AX_TENSOR_CUDA_BRANCH_H
#define AX_TENSOR_CUDA_BRANCH_H

#include <stddef.h>

struct ax_cuda_branch {
	char name[48];
	unsigned long n_run; /* calls of the op that took it, on all devices of this process */
};

/* The table and its length; complete once a device is open. */
typedef const struct ax_cuda_branch *ax_cuda_branches_fn(size_t *n);
#define AX_CUDA_ATTN_BRANCHES "ax_cuda_attn_branches"

#endif
