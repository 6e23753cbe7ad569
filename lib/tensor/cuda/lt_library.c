/*
 * cuBLASLt is opened when the plugin is, and not linked: its file's name has CUDA's major version, and what is called here is
 * the same in 12 and 13. So one build of the plugin runs beside either. Only in the plugin for GPUs.
 */
#include <cublasLt.h>
#include <dlfcn.h>
#include <stdio.h>

#include "tensor/cuda/forward.h"
#include "tensor/cuda/lt.h"

#ifndef AX_LT_NAME /* the test has names of its own */
#define AX_LT_NAME "libcublasLt.so.%d"
#endif

/* result, name, parameters, arguments */
#define FUNCTIONS(X)                                                                                                                                                         \
	X(cublasStatus_t, cublasLtCreate, (cublasLtHandle_t * h), (h))                                                                                                       \
	X(cublasStatus_t, cublasLtDestroy, (cublasLtHandle_t h), (h))                                                                                                        \
	X(const char *, cublasLtGetStatusString, (cublasStatus_t status), (status))                                                                                          \
	X(size_t, cublasLtGetVersion, (void), ())                                                                                                                            \
	X(cublasStatus_t, cublasLtMatmul,                                                                                                                                    \
	  (cublasLtHandle_t h, cublasLtMatmulDesc_t d, const void *alpha, const void *pa, cublasLtMatrixLayout_t a, const void *pb, cublasLtMatrixLayout_t b,                \
	   const void *beta, const void *pc, cublasLtMatrixLayout_t c, void *pd, cublasLtMatrixLayout_t out, const cublasLtMatmulAlgo_t *algo, void *space, size_t bytes,    \
	   cudaStream_t s),                                                                                                                                                  \
	  (h, d, alpha, pa, a, pb, b, beta, pc, c, pd, out, algo, space, bytes, s))                                                                                          \
	X(cublasStatus_t, cublasLtMatmulAlgoCheck,                                                                                                                           \
	  (cublasLtHandle_t h, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t out,             \
	   const cublasLtMatmulAlgo_t *algo, cublasLtMatmulHeuristicResult_t *result),                                                                                       \
	  (h, d, a, b, c, out, algo, result))                                                                                                                                \
	X(cublasStatus_t, cublasLtMatmulAlgoGetHeuristic,                                                                                                                    \
	  (cublasLtHandle_t h, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t out,             \
	   cublasLtMatmulPreference_t p, int wanted, cublasLtMatmulHeuristicResult_t results[], int *n),                                                                     \
	  (h, d, a, b, c, out, p, wanted, results, n))                                                                                                                       \
	X(cublasStatus_t, cublasLtMatmulDescCreate, (cublasLtMatmulDesc_t * d, cublasComputeType_t compute, cudaDataType_t scale), (d, compute, scale))                      \
	X(cublasStatus_t, cublasLtMatmulDescDestroy, (cublasLtMatmulDesc_t d), (d))                                                                                          \
	X(cublasStatus_t, cublasLtMatmulDescSetAttribute, (cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t a, const void *value, size_t n), (d, a, value, n))         \
	X(cublasStatus_t, cublasLtMatrixLayoutCreate, (cublasLtMatrixLayout_t * l, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld), (l, type, rows, cols, ld))  \
	X(cublasStatus_t, cublasLtMatrixLayoutDestroy, (cublasLtMatrixLayout_t l), (l))                                                                                      \
	X(cublasStatus_t, cublasLtMatmulPreferenceCreate, (cublasLtMatmulPreference_t * p), (p))                                                                             \
	X(cublasStatus_t, cublasLtMatmulPreferenceDestroy, (cublasLtMatmulPreference_t p), (p))                                                                              \
	X(cublasStatus_t, cublasLtMatmulPreferenceSetAttribute,                                                                                                              \
	  (cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t a, const void *value, size_t n), (p, a, value, n))

FUNCTIONS(AX_FORWARD)

int ax_lt_library(struct ax_err *e)
{
	static void *so; /* for good: kernels of it may be running when the last device is closed */
	const int own = CUDART_VERSION / 1000, majors[] = { own, 13, 12 };
	const char *missing = NULL;
	char name[32];

	for (size_t i = 0; !so && i < sizeof(majors) / sizeof(majors[0]); i++) {
		snprintf(name, sizeof(name), AX_LT_NAME, majors[i]);
		so = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	}
	if (!so)
		return ax_fail(e, AX_EIO, "neither libcublasLt.so.13 nor libcublasLt.so.12 (CUDA's library of matrix products) can be loaded: %s", dlerror());
	FUNCTIONS(AX_FIND)
	return missing ? ax_fail(e, AX_EIO, "libcublasLt has no %s: CUDA 12.4 or newer is needed", missing) : 0;
}
