/* Inside of the CUDA plugin: copies between host and device through pinned memory (ops upload and download). */
#ifndef AX_TENSOR_CUDA_STAGE_H
#define AX_TENSOR_CUDA_STAGE_H

#include <pthread.h>

#include "tensor/cuda/cuda.h"

struct ax_stage_lane {
	cudaStream_t stream;
	char *p; /* two halves */
	cudaEvent_t arrived[2];
};

struct ax_stage {
	pthread_t owner; /* who opened the device */
	char *ring;
	cudaEvent_t left[AX_STAGE_SLOTS]; /* recorded when the ring goes on from a slot */
	int slot;
	size_t at; /* bytes of the slot that are taken */
	bool wrapped;
	struct ax_stage_lane own, other;
	pthread_mutex_t lock; /* of `other` */
};

/* s is all zero but for its lock. Close it also after a failure. */
int ax_stage_open(struct ax_stage *s, struct ax_cuda *c, struct ax_err *e);
void ax_stage_close(struct ax_stage *s);
void ax_stage_upload(struct ax_dev *d, void *dst, const void *host, size_t bytes);
void ax_stage_download(struct ax_dev *d, void *host, const void *src, size_t bytes);

#endif
