/* A GPU that is not here, for plans: what a device of the CUDA plugin would answer about sizes (tensor/cuda/scratch.h). */
#ifndef AX_TENSOR_GPU_H
#define AX_TENSOR_GPU_H

#include "base/err.h"
#include "tensor/ops.h"

#define AX_GPU_PLAN_MEMORY ((size_t)80 << 30)
#define AX_GPU_PLAN_SMS 132 /* of an H100; more of them take more scratch */

/*
 * Fills d: act, name, ops->scratch_bytes, pinned; nothing else works, and wire() says so. memory_bytes: of the GPU that is meant, 0:
 * AX_GPU_PLAN_MEMORY.
 */
int ax_gpu_plan_open(struct ax_dev *d, enum ax_dtype act, size_t memory_bytes, struct ax_err *e);

#endif
