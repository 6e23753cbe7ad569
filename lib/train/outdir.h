/*
 * The output folder of a run: made, locked against a second job, seen by all ranks, and examined for an earlier run.
 *
 *	AX_TRY(ax_outdir_open(&d, comm, "out", e));              // collective
 *	AX_TRY(ax_outdir_resume(&d, comm, "auto", false, e));    // collective: d.resume = path of a checkpoint, or NULL
 *	ax_outdir_close(&d);
 */
#ifndef AX_TRAIN_OUTDIR_H
#define AX_TRAIN_OUTDIR_H

#include <stdbool.h>

#include "base/err.h"
#include "comm/comm.h"

#define AX_PATH_MAX 4096

struct ax_outdir {
	char *path;
	int lock;                  /* rank 0: locked file, else -1 */
	char resume[AX_PATH_MAX];  /* "": fresh run */
};

/* AX_EUSAGE if another job holds the lock; AX_ECOMM if a rank does not see what rank 0 wrote (no common filesystem). */
int ax_outdir_open(struct ax_outdir *d, struct ax_comm *c, const char *path, struct ax_err *e);

/*
 * Choose where to start. want: NULL (fresh: AX_EUSAGE if checkpoints are there, naming both choices), "auto" (newest
 * complete checkpoint, or fresh), or the path of a checkpoint (AX_EUSAGE if dir holds later ones). overwrite: a fresh run
 * removes older checkpoints, one that resumes from a path the later ones, each named.
 */
int ax_outdir_resume(struct ax_outdir *d, struct ax_comm *c, const char *want, bool overwrite, struct ax_err *e);
/* Remove the oldest checkpoints until `keep` are left (keep <= 0: all stay), but not step `best` (-1: none); names each. Rank 0. */
int ax_outdir_prune(const struct ax_outdir *d, int keep, int64_t best, struct ax_err *e);
void ax_outdir_close(struct ax_outdir *d);

#endif
