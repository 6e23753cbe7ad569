/*
 * Communication between ranks: start / test / wait with deadlines. Implementations: self (one rank), MPI (a plugin,
 * host buffers), later NCCL inside the CUDA plugin.
 *
 *	struct ax_comm *c;
 *	AX_TRY(ax_comm_open(&c, &opt, e));            // self without a launcher, else the MPI plugin
 *	AX_TRY(ax_comm_all_gather(c, dst, src, bytes, &req, e));
 *	...                                           // compute
 *	AX_TRY(ax_comm_wait(c, &req, e));             // AX_ECOMM names rank, step and collective on a verdict
 *
 * Every rank of a communicator must start the same collectives in the same order; starts never block. Completion is
 * only by test or wait. Sums are taken in f32 (f64 for f64) in rank order 0, 1, ..., n-1, so that the result has the
 * same bits on every rank and in every run. Messages go out in pieces below 1 GiB.
 */
#ifndef AX_COMM_COMM_H
#define AX_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ax_comm_req {
	void *impl; /* NULL: nothing pending */
	uint64_t id;
};

struct ax_comm;

struct ax_comm_ops {
	/* dst (n_rank * bytes) <- every rank's src (bytes), in rank order. src may be its own place in dst. */
	int (*all_gather)(struct ax_comm *c, void *dst, const void *src, size_t bytes, struct ax_comm_req *r, struct ax_err *e);
	/* dst (n elements f32) += / = the sum over ranks of their src[rank * n .. +n) (f32). */
	int (*reduce_scatter)(struct ax_comm *c, float *dst, const float *src, size_t n, bool accumulate, struct ax_comm_req *r, struct ax_err *e);
	/* x (n elements f32) = sum over ranks, in place. */
	int (*all_reduce)(struct ax_comm *c, float *x, size_t n, struct ax_comm_req *r, struct ax_err *e);
	/* x (n doubles) = sum over ranks in rank order; small; waits. */
	int (*sum_f64)(struct ax_comm *c, double *x, size_t n, struct ax_err *e);
	int (*broadcast)(struct ax_comm *c, void *p, size_t bytes, int root, struct ax_comm_req *r, struct ax_err *e);
	int (*barrier)(struct ax_comm *c, struct ax_err *e);
	int (*test)(struct ax_comm *c, struct ax_comm_req *r, bool *done, struct ax_err *e);
	int (*wait)(struct ax_comm *c, struct ax_comm_req *r, struct ax_err *e);
	/* A communicator of the ranks that pass the same color (>= 0), ordered by key; color < 0: none. */
	int (*split)(struct ax_comm *c, int color, int key, struct ax_comm **out, struct ax_err *e);
	void (*close)(struct ax_comm *c);
};

struct ax_comm {
	const struct ax_comm_ops *ops;
	int rank, n_rank;
	int local_rank, n_local; /* on this host */
	char host[64];
	double timeout_s; /* of one wait; 0: the watchdog alone decides */
	/* Where we are, for messages and the watchdog: set by the caller before each collective. */
	uint64_t step;
	const char *what; /* "gather layer 3" */
	void *impl;
};

struct ax_comm_open_opt {
	const char *plugin_dir; /* PREFIX/lib/ax beside the binary */
	bool standalone;        /* ignore a launcher */
	double timeout_s;
};

/*
 * Self, or the MPI plugin when a launcher is seen (OMPI_COMM_WORLD_SIZE, PMI_SIZE, PMIX_RANK, SLURM_NTASKS > 1 ...).
 * AX_ECOMM if the launcher announces more tasks than the world has, with the way to launch (srun --mpi=pmix).
 */
int ax_comm_open(struct ax_comm **c, const struct ax_comm_open_opt *o, struct ax_err *e);
void ax_comm_close(struct ax_comm *c);

#endif
