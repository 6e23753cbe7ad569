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

/* Find NCCL (nccl_library.c): AX_EIO, with a hint, where it is missing or too old. Again and again is once. */
int ax_nccl_library(struct ax_err *e);
int ax_nccl_open(struct ax_comm **out, struct ax_dev *d, struct ax_comm *host, struct ax_err *e);
/* `why` it is that one, for ax_comm.name; a string constant. */
int ax_staged_open(struct ax_comm **out, struct ax_dev *d, struct ax_comm *host, const char *why, struct ax_err *e);

/* A communicator that stands where `host` does: rank, size, place, watchdog, limits. Its ops and impl are the caller's. */
struct ax_comm *ax_wire_new(const struct ax_comm *host, struct ax_err *e);

/* x (n elements of type t) += y, on stream s instead of the compute stream. */
void ax_wire_add(struct ax_dev *d, cudaStream_t s, void *x, const void *y, size_t n, enum ax_sum_type t);

/* --- what a wire keeps of a collective (wire_op.c) ------------------------------------------------------------------- */

enum ax_wire_kind { AX_WIRE_ALL_GATHER, AX_WIRE_REDUCE_SCATTER, AX_WIRE_ALL_REDUCE, AX_WIRE_BROADCAST };

struct ax_wire_hold;

/* Begins each wire's own struct of a collective. */
struct ax_wire_op {
	struct ax_wire_op *next;
	enum ax_wire_kind kind;
	char *dst, *src;
	size_t bytes; /* of one rank's part */
	enum ax_sum_type type;
	int root;
	bool accumulate;
	cudaEvent_t ready, done;
	struct ax_wire_hold *hold; /* its wait has begun */
};

/* Structs that may be used again, with their events. All zero is an empty pool. */
struct ax_wire_pool {
	struct ax_wire_op *spare;
};

/*
 * A collective like `what`, whose events, next and hold are unset, at the end of a list: in `bytes` of memory, the same in each call for
 * a pool, and zero behind the ax_wire_op. NULL: AX_EMEM.
 */
struct ax_wire_op *ax_wire_op_start(struct ax_wire_pool *p, size_t bytes, const struct ax_wire_op *what, struct ax_wire_op **list, struct ax_err *e);
void ax_wire_op_give(struct ax_wire_pool *p, struct ax_wire_op *o);
/* o is in that list. */
void ax_wire_op_remove(struct ax_wire_op **list, struct ax_wire_op *o);
void ax_wire_ops_free(struct ax_wire_op **list);

/*
 * How long the compute stream stood still in waits: two events on it, one where the host begins to wait for the collective
 * (whatever the host then has to do itself is part of the wait), one behind the stream's own wait. They are read when the device has
 * been through them, without waiting for it. All zero is a clock that has not begun.
 */
struct ax_wire_clock {
	struct ax_wire_hold *first, *spare; /* first: ended, not read */
	double held_s;
};

void ax_wire_hold_begin(struct ax_wire_clock *k, struct ax_cuda *c, struct ax_wire_op *o);
void ax_wire_hold_end(struct ax_wire_clock *k, struct ax_cuda *c, struct ax_wire_op *o);
/* Of all that the device has been through. */
double ax_wire_held_s(struct ax_wire_clock *k, struct ax_cuda *c);
void ax_wire_clock_release(struct ax_wire_clock *k);

/* Has it been reached? Failures of the device are for sync(): they count as reached. */
bool ax_wire_reached(struct ax_cuda *c, cudaEvent_t e);

#endif
