/*
 * Communication between ranks: start / test / wait with deadlines. Implementations: self (one rank), MPI (a plugin,
 * host buffers), and those of the CUDA plugin for device memory (comm/wire.h): NCCL, and staged through the host.
 *
 *	struct ax_comm *c;
 *	AX_TRY(ax_comm_open(&c, &opt, e));            // self without a launcher, else the MPI plugin, with the watchdog
 *	c->what = "gather layer 3";
 *	AX_TRY(ax_comm_all_gather(c, dst, src, bytes, &req, e));
 *	...                                           // compute
 *	AX_TRY(ax_comm_wait(c, &req, e));             // AX_ECOMM names rank, step and collective on a time-out
 *	ax_comm_close(c);                             // after success; ax_comm_abandon(c, msg) after an error
 *
 * Every rank of a communicator must start the same collectives in the same order; starts never block. Completion is
 * only by test or wait, and buffers belong to the collective until then. Sums are taken in f32 (f64 for f64) in rank
 * order 0, 1, ..., n-1, so that the result has the same bits on every rank and in every run; only NCCL takes them in its
 * own order, the same in every run on the same machines. Messages go out in pieces below 1 GiB. One thread a process
 * communicates.
 *
 * What is bf16 travels as such. Our sums of it are rounded to nearest even once, at the end; what is then added to what is
 * there is rounded again. NCCL rounds more: its rings and trees add two bf16 to one at each of up to n-1 ranks, but for what
 * the switch adds (NVLink SHARP), in f32.
 *
 * Callers use the functions below, never `ops`: the functions number the collectives and tell the watchdog where this
 * rank is (comm/watchdog.h).
 */
#ifndef AX_COMM_COMM_H
#define AX_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ax_comm_req {
	void *impl;  /* NULL: nothing pending */
	uint64_t id; /* number of the collective in its communicator, from 1 */
	uint64_t step;
	const char *what;
};

struct ax_comm;
struct ax_watchdog;

/* Elements of a sum. */
enum ax_sum_type { AX_SUM_F32, AX_SUM_BF16 };

static inline size_t ax_sum_bytes(enum ax_sum_type t)
{
	return t == AX_SUM_F32 ? 4 : 2;
}

/* What an implementation provides. A start fills r->impl, or leaves it NULL if the collective is already complete. */
struct ax_comm_ops {
	int (*all_gather)(struct ax_comm *c, void *dst, const void *src, size_t bytes, struct ax_comm_req *r,
			  struct ax_err *e);
	int (*reduce_scatter)(struct ax_comm *c, void *dst, void *src, size_t n, enum ax_sum_type t, bool accumulate,
			      struct ax_comm_req *r, struct ax_err *e);
	int (*all_reduce)(struct ax_comm *c, void *x, size_t n, enum ax_sum_type t, struct ax_comm_req *r, struct ax_err *e);
	int (*broadcast)(struct ax_comm *c, void *p, size_t bytes, int root, struct ax_comm_req *r, struct ax_err *e);
	/* Move everything that is in flight; never blocks. */
	int (*progress)(struct ax_comm *c, struct ax_err *e);
	/* *done: r is complete, and its impl is freed and NULL. Implies progress. */
	int (*test)(struct ax_comm *c, struct ax_comm_req *r, bool *done, struct ax_err *e);
	int (*split)(struct ax_comm *c, int color, int key, struct ax_comm **out, struct ax_err *e);
	/* Ranks that r still waits for, as "rank 2, rank 5": for messages. */
	void (*missing)(struct ax_comm *c, const struct ax_comm_req *r, char *buf, size_t n);
	/* End what is in flight, here and now, so that memory can be freed. NULL: nothing of it can block. */
	void (*give_up)(struct ax_comm *c);
	/* Seconds that the device has stood still in waits so far. NULL: a wait is the host's, whoever waits can measure it. */
	double (*held_s)(struct ax_comm *c);
	/* failed: leave at once, without waiting for anybody. */
	void (*close)(struct ax_comm *c, bool failed);
};

struct ax_comm {
	const struct ax_comm_ops *ops;
	const char *name; /* how it communicates: "mpi", "nccl 2.28.9"; good until its close */
	int rank, n_rank;
	int local_rank, n_local; /* on this host */
	char host[64];
	double timeout_s; /* of one wait; 0: the watchdog alone decides */
	/* Where we are, for messages and the watchdog. */
	uint64_t step;
	const char *what; /* name of the next collective ("gather layer 3"), good until its end; the start takes it */
	uint64_t n_collective;        /* started so far */
	uint64_t n_moved;             /* messages that have arrived or left, counted by the implementation */
	struct ax_watchdog *watchdog; /* of the world; NULL: none */
	bool borrowed;                /* made by a split: the watchdog is the parent's */
	void *impl;
};

struct ax_comm_open_opt {
	const char *plugin_dir; /* NULL: lib/ax beside the folder of the binary (/PREFIX/bin -> /PREFIX/lib/ax) */
	bool standalone;        /* ignore a launcher: one rank */
	double timeout_s;       /* of one wait; 0: none */
	bool no_watchdog;
	double silent_s;        /* watchdog: a rank without a heartbeat for so long is stopped or lost; 0: 60 */
	double hang_s;          /* watchdog: a collective without progress for so long is a hang; 0: 100 */
};

/*
 * Self, or the MPI plugin when a launcher announces several tasks (OMPI_COMM_WORLD_SIZE, PMI_SIZE, PMIX_RANK,
 * SLURM_STEP_NUM_TASKS, SLURM_NTASKS ...). AX_ECOMM if the plugin is missing or of another version, or if the launcher
 * announces more tasks than the world has, with the way to launch (srun --mpi=pmix).
 */
int ax_comm_open(struct ax_comm **c, const struct ax_comm_open_opt *o, struct ax_err *e);
/* A communicator of one rank that needs nothing. */
int ax_comm_open_self(struct ax_comm **c, struct ax_err *e);
/* After success, on all ranks. NULL is allowed. */
void ax_comm_close(struct ax_comm *c);
/*
 * After an error on this rank: tells the others why (msg, or NULL), and leaves without waiting. The process must exit
 * non-zero at once; the launcher and the watchdogs end the other ranks.
 */
void ax_comm_abandon(struct ax_comm *c, const char *msg);
/*
 * After an error, before device memory is freed: ends what is in flight on the device, which else may wait for the other
 * ranks for ever. No further collective; abandon and test still work.
 */
void ax_comm_give_up(struct ax_comm *c);

/* dst (n_rank * bytes) <- every rank's src (bytes), in rank order. src may be its own place in dst. */
int ax_comm_all_gather(struct ax_comm *c, void *dst, const void *src, size_t bytes, struct ax_comm_req *r,
		       struct ax_err *e);
/*
 * dst (n elements) = or, with accumulate, += the sum over ranks of their src[rank * n .. rank * n + n). Afterwards src may
 * hold anything.
 */
int ax_comm_reduce_scatter(struct ax_comm *c, void *dst, void *src, size_t n, enum ax_sum_type t, bool accumulate,
			   struct ax_comm_req *r, struct ax_err *e);
/* x (n elements) = sum over ranks, in place. */
int ax_comm_all_reduce(struct ax_comm *c, void *x, size_t n, enum ax_sum_type t, struct ax_comm_req *r, struct ax_err *e);
int ax_comm_broadcast(struct ax_comm *c, void *p, size_t bytes, int root, struct ax_comm_req *r, struct ax_err *e);
int ax_comm_progress(struct ax_comm *c, struct ax_err *e);
int ax_comm_test(struct ax_comm *c, struct ax_comm_req *r, bool *done, struct ax_err *e);
int ax_comm_wait(struct ax_comm *c, struct ax_comm_req *r, struct ax_err *e);

/*
 * How long compute has stood still in waits for this communicator's collectives, since its start, where only the device knows (what
 * the device has not come to yet does not count: ask after a sync); `host_s`, what the caller measured around its waits, elsewhere.
 */
double ax_comm_held_s(struct ax_comm *c, double host_s);

/* The following wait. x (n doubles) = sum over ranks in rank order; for few. */
int ax_comm_sum_f64(struct ax_comm *c, double *x, size_t n, struct ax_err *e);
int ax_comm_barrier(struct ax_comm *c, struct ax_err *e);
/* Broadcast and wait. */
int ax_comm_share(struct ax_comm *c, void *p, size_t bytes, int root, struct ax_err *e);
/*
 * Agree on an outcome: each rank passes its own rc (and e, filled if rc != 0). 0 if all passed 0; otherwise every rank
 * returns non-zero, those that had no error of their own with the first failed rank's code and message ("rank 2: ...").
 */
int ax_comm_agree(struct ax_comm *c, int rc, struct ax_err *e);
/*
 * A communicator of the ranks that pass the same color (>= 0), ordered by key, then rank; color < 0: *out = NULL. Part
 * of start-up: unlike the rest it may block in the library below. Close it before its parent.
 */
int ax_comm_split(struct ax_comm *c, int color, int key, struct ax_comm **out, struct ax_err *e);

/* Messages of a sum go out in pieces of so many bytes, and so many pieces from each rank are awaited at a time. */
#define AX_COMM_PIECE ((size_t)4 << 20)
#define AX_COMM_WINDOW 2

/*
 * Bytes that an implementation takes for sums, when `largest` elements are reduced over n_rank ranks and n such
 * reductions are in flight: a bound.
 */
size_t ax_comm_scratch_bytes(size_t largest, enum ax_sum_type t, int n_rank, int n);

/* This rank is alive though it communicates with nobody (writes a checkpoint, reads data): call it now and then. */
void ax_comm_tick(struct ax_comm *c);
/*
 * This rank is about to do something that cannot tick (an fsync of gigabytes): until its next collective or tick the
 * watchdog allows it limit_s instead of hang_s (0: hang_s from now on). `what` is for the verdict.
 */
#define AX_COMM_DISK_S 3600.0 /* limit_s for work on a disk, which a busy network filesystem can make slow */
void ax_comm_busy(struct ax_comm *c, const char *what, double limit_s);

#endif
