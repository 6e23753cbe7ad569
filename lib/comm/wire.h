/*
 * Inside of the CUDA plugin: communicators whose collectives take device memory. ax_cuda_wire() chooses one of three:
 *
 *	alone    one rank: copies on the compute stream
 *	nccl     one GPU a rank
 *	staged   through pinned host memory and the host's communicator: ranks that share a GPU, or AX_WIRE=staged
 *
 * A collective lies between two events: `ready`, where the compute stream was at its start, and `done`, behind it on the
 * stream that it runs on. A wait makes the compute stream wait for `done`; the host waits no longer than until the
 * collective has been enqueued. AX_WIRE must say the same on all ranks: nccl or staged (unset: the choice above).
 */
#ifndef AX_COMM_WIRE_H
#define AX_COMM_WIRE_H

#include "comm/comm.h"
#include "tensor/cuda/cuda.h"

int ax_nccl_open(struct ax_comm **out, struct ax_dev *d, struct ax_comm *host, struct ax_err *e);
/* `why` it is that one, for ax_comm.name; a string constant. */
int ax_staged_open(struct ax_comm **out, struct ax_dev *d, struct ax_comm *host, const char *why, struct ax_err *e);

/* A communicator that stands where `host` does: rank, size, place, watchdog, limits. Its ops and impl are the caller's. */
struct ax_comm *ax_wire_new(const struct ax_comm *host, struct ax_err *e);

/* x (n elements of type t) += y, on stream s instead of the compute stream. */
void ax_wire_add(struct ax_dev *d, cudaStream_t s, void *x, const void *y, size_t n, enum ax_sum_type t);

/* Has it been reached? Failures of the device are for sync(): they count as reached. */
bool ax_wire_reached(struct ax_cuda *c, cudaEvent_t e);

#endif
