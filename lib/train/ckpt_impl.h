/*
 * One rank's file of a checkpoint, written by a thread of its own beside the run. Internal to lib/train.
 *
 *	AX_TRY(ax_ckpt_file_start(&f, tmp, w, rank, n_rank, e));
 *	...                                                      // the boxes are read, and must not change
 *	AX_TRY(ax_ckpt_file_wait(f, comm, &report, e));          // or ax_ckpt_file_drop(f)
 *
 * The thread communicates with nobody and prints nothing. What it shares with the run is the boxes' memory, which both
 * only read, and the few words under `lock` in struct ax_ckpt_file.
 */
#ifndef AX_TRAIN_CKPT_IMPL_H
#define AX_TRAIN_CKPT_IMPL_H

#include "train/ckpt.h"

/* What each rank tells the others about its file. */
struct ax_ckpt_report {
	uint64_t bytes, header_hash, n_tensor;
};

struct ax_ckpt_file;

/* "rank-00001-of-00004.safetensors" for rank 0 of 4. */
void ax_ckpt_file_name(char *buf, size_t n, int rank, int n_rank);
/* v as text into dir/name, synced. */
int ax_ckpt_json(const char *dir, const char *name, const struct ax_val *v, struct ax_err *e);
/*
 * Start the thread: in rank 0 it writes w->extra's files and the trainer state first, in each rank its masters and moments,
 * all synced. AX_EMEM: no memory, no thread.
 */
int ax_ckpt_file_start(struct ax_ckpt_file **f, const char *dir, const struct ax_ckpt_write *w, int rank, int n_rank,
		       struct ax_err *e);
/* Until it is on disk; what the thread failed with is returned. f is gone. The watchdog hears of its progress. */
int ax_ckpt_file_wait(struct ax_ckpt_file *f, struct ax_comm *c, struct ax_ckpt_report *r, struct ax_err *e);
/* Give it up: afterwards the boxes are not read any more. An fsync that has begun goes on alone. NULL is allowed. */
void ax_ckpt_file_drop(struct ax_ckpt_file *f);

#endif
