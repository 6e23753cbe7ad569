/*
 * NCCL is opened when ranks are to talk through it, and not linked: one GPU needs none, and many machines have none. Only in
 * the plugin for GPUs.
 */
#include <nccl.h>

#include "comm/wire.h"
#include "tensor/cuda/forward.h"

#ifndef AX_NCCL_NAME /* the test has a name of its own */
#define AX_NCCL_NAME "libnccl.so.2"
#endif

#define FUNCTIONS(X)                                                                                                                                       \
	X(ncclResult_t, ncclGetVersion, (int *version), (version))                                                                                         \
	X(ncclResult_t, ncclGetUniqueId, (ncclUniqueId * id), (id))                                                                                        \
	X(ncclResult_t, ncclCommInitRankConfig, (ncclComm_t * c, int n, ncclUniqueId id, int rank, ncclConfig_t *config), (c, n, id, rank, config))        \
	X(ncclResult_t, ncclCommSplit, (ncclComm_t c, int color, int key, ncclComm_t *out, ncclConfig_t *config), (c, color, key, out, config))            \
	X(ncclResult_t, ncclCommFinalize, (ncclComm_t c), (c))                                                                                             \
	X(ncclResult_t, ncclCommDestroy, (ncclComm_t c), (c))                                                                                              \
	X(ncclResult_t, ncclCommAbort, (ncclComm_t c), (c))                                                                                                \
	X(ncclResult_t, ncclCommGetAsyncError, (ncclComm_t c, ncclResult_t *error), (c, error))                                                            \
	X(ncclResult_t, ncclCommCount, (const ncclComm_t c, int *n), (c, n))                                                                               \
	X(ncclResult_t, ncclCommUserRank, (const ncclComm_t c, int *rank), (c, rank))                                                                      \
	X(const char *, ncclGetErrorString, (ncclResult_t result), (result))                                                                               \
	X(const char *, ncclGetLastError, (ncclComm_t c), (c))                                                                                             \
	X(ncclResult_t, ncclAllReduce, (const void *a, void *b, size_t n, ncclDataType_t t, ncclRedOp_t op, ncclComm_t c, cudaStream_t s),                 \
	  (a, b, n, t, op, c, s))                                                                                                                          \
	X(ncclResult_t, ncclReduceScatter, (const void *a, void *b, size_t n, ncclDataType_t t, ncclRedOp_t op, ncclComm_t c, cudaStream_t s),             \
	  (a, b, n, t, op, c, s))                                                                                                                          \
	X(ncclResult_t, ncclAllGather, (const void *a, void *b, size_t n, ncclDataType_t t, ncclComm_t c, cudaStream_t s), (a, b, n, t, c, s))             \
	X(ncclResult_t, ncclBroadcast, (const void *a, void *b, size_t n, ncclDataType_t t, int root, ncclComm_t c, cudaStream_t s), (a, b, n, t, root, c, s))

FUNCTIONS(AX_FORWARD)

int ax_nccl_library(struct ax_err *e)
{
	static void *so; /* for good: kernels of it may be running when the last communicator is closed */
	const char *missing = NULL;

	if (!so)
		so = dlopen(AX_NCCL_NAME, RTLD_NOW | RTLD_LOCAL);
	if (!so)
		return ax_fail(e, AX_EIO, "NCCL cannot be loaded: %s; AX_WIRE=staged goes through the host's memory instead, which is slower", dlerror());
	FUNCTIONS(AX_FIND)
	return missing ? ax_fail(e, AX_EIO, "libnccl.so.2 has no %s: NCCL 2.18 or newer is needed", missing) : 0;
}
