/*
 * Inside of the CUDA plugin: matrix products by cuBLASLt (lt.c) and the choice of their algorithms (lt_choose.c).
 *
 * A product of a new shape, layout or alignment gets a plan: descriptors and an algorithm. The algorithm is, in this order:
 * what the table holds (read from the cache, or given by tune()); the fastest of what the library proposes, if this
 * device may measure; the library's first proposal, which is the same on all ranks. No algorithm is proposed whose sums depend on timing, or that rounds
 * partial sums to bf16.
 */
#ifndef AX_TENSOR_CUDA_LT_H
#define AX_TENSOR_CUDA_LT_H

#include <cublasLt.h>

#include "tensor/cuda/cuda.h"
#include "tensor/tuning.h"

struct ax_lt_plan {
	struct ax_tuning_key key;
	cublasLtMatmulDesc_t desc;
	cublasLtMatrixLayout_t a, b, out; /* in cuBLAS's order: its A is our B */
	cublasLtMatmulAlgo_t algo;
	bool none; /* the library proposes nothing for it: ax_cuda_plain_mm() */
};

struct ax_cuda_lt {
	cublasLtHandle_t handle;
	void *workspace; /* of the compute stream */
	size_t workspace_bytes;
	struct ax_lt_plan *plan;
	size_t n_plan, cap_plan;
	struct ax_tuning table;
	bool measure; /* by the clock, and keep the results in the cache */
	bool follow;  /* what was measured serves plans only when tune() has it in its text: then on all ranks at once */
	bool news;    /* the table has measurements that the cache lacks */
};

/* Opens the library (lt_library.c): AX_EIO where it is not installed. In the simulator there is nothing to open. */
int ax_lt_library(struct ax_err *e);

/* The operands of one product, as the plan's descriptors take them. */
struct ax_lt_args {
	const void *a, *b;
	void *out;
	float alpha, beta;
};

/* One product on the compute stream. */
cublasStatus_t ax_lt_run(struct ax_cuda *c, const struct ax_lt_plan *p, const cublasLtMatmulAlgo_t *algo, const struct ax_lt_args *x);

/* p->algo for p's descriptors, which are complete. `x`: what it will be called with; only its output may be written. */
cublasStatus_t ax_lt_choose(struct ax_cuda *c, struct ax_lt_plan *p, const struct ax_lt_args *x);
/* Is this algorithm one that works for the plan in our workspace? */
bool ax_lt_fits(struct ax_cuda *c, const struct ax_lt_plan *p, const cublasLtMatmulAlgo_t *algo);

/* Names the machine; reads the cache if this device measures. Writing: where there is news. */
void ax_lt_load(struct ax_cuda *c, const char *gpu);
void ax_lt_save(struct ax_cuda *c);

/* ax_dev.tuning and ax_dev.tune. */
size_t ax_lt_tuning(struct ax_dev *d, char *text, size_t n);
int ax_lt_tune(struct ax_dev *d, const char *text, size_t n, struct ax_err *e);

#endif
