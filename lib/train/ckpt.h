/*
 * Checkpoints on disk (man ax-checkpoint(5)).
 *
 *	checkpoint-N/
 *	    manifest.json             what is here: parameters, files, hashes, counts; format version
 *	    rank-00001-of-00004.safetensors    one file a writer: masters and moments
 *	    trainer_state.json        step, packs consumed, global batch, seed, settings
 *	    config.json, tokenizer files, chat_template.jinja     copied from the base model
 *
 * A tensor in a rank file is named PART/PARAMETER@BEGIN: consecutive elements (its one dimension) of the row-major
 * parameter from element BEGIN on; PART is "master", "m" or "v", its type that of the run's state (F32, BF16, for moments
 * also U8: 8-bit codes). Codes have "m_scale" and "v_scale" beside them: one F32 for each block of 256 elements, BEGIN
 * counting blocks. Nothing refers to units or ranks, so any layout
 * can read it. Every element of every role is there exactly once. The hash of each tensor is in its file's metadata,
 * the hash of each file's header in the manifest: one chain from the manifest to every byte.
 *
 * Writing goes on beside the run, without a copy: masters and moments are only written by the optimizer's update, while
 * forward and backward passes read weights and write activations and gradients. So a thread of each rank reads them out
 * until the next update, where all ranks meet to publish:
 *
 *	struct ax_ckpt_job *j;
 *	AX_TRY(ax_ckpt_begin(&j, comm, &w, e));       // collective; the threads start
 *	...                                           // forward, backward, evaluation: nothing writes to the boxes
 *	AX_TRY(ax_ckpt_finish(j, e));                 // collective; the checkpoint is there
 *	AX_TRY(ax_dist_update(...));
 *
 * Invariants of the commit protocol:
 * 1. Everything is written into a temporary sibling; each file is fsynced by its writer.
 * 2. The manifest is written last, by rank 0, after every rank reported its file's size and header hash.
 * 3. The folder is fsynced and renamed, then the parent is fsynced: a folder called checkpoint-N is complete.
 * 4. Only then may an older checkpoint be deleted.
 */
#ifndef AX_TRAIN_CKPT_H
#define AX_TRAIN_CKPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "comm/comm.h"
#include "dist/dist.h"
#include "fmt/safetensors.h"
#include "model/unit.h"
#include "text/val.h"

#define AX_CKPT_VERSION 0
#define AX_CKPT_MANIFEST "manifest.json"
#define AX_CKPT_STATE "trainer_state.json"

/* Parts that are stored, from AX_PART_MASTER of dist/dist.h on, by the names given there; those of scales with codes only. */
#define AX_CKPT_N_PART 5

struct ax_ckpt_write {
	const char *path;                /* .../checkpoint-N */
	const struct ax_units *units;
	struct ax_dev *dev;              /* owns the memory that the boxes point into */
	const struct ax_dist_box *box;   /* of this rank */
	size_t n_box;
	const struct ax_val *state;      /* trainer_state.json; rank 0 */
	/*
	 * Puts config.json, tokenizer files and the like into the temporary folder; rank 0; may be NULL. Called by the
	 * writing thread: it may only read what the run does not change.
	 */
	int (*extra)(void *ctx, const char *dir, struct ax_err *e);
	void *extra_ctx;
	bool model_only;                 /* masters only: not resumable */
};

struct ax_ckpt_job;

/*
 * Collective over all ranks of c: makes the temporary folder and starts a thread on each rank, which hashes, writes and
 * syncs this rank's file. It blocks all signals, does not communicate, and calls of the device only ops->download.
 * Until the end of the job the boxes' memory must not change; units, dev, extra_ctx and c must live; path and state are
 * copied, and what describes the boxes too. On failure on any rank every rank fails and nothing is left.
 */
int ax_ckpt_begin(struct ax_ckpt_job **j, struct ax_comm *c, const struct ax_ckpt_write *w, struct ax_err *e);
/*
 * Collective: waits for the threads, then publishes. j is gone whatever happens. If a thread of any rank failed, every
 * rank fails with its error, and nothing is left. While it waits the watchdog hears of the thread's progress: one that is
 * stuck in a write is a hang after hang_s, in an fsync after AX_COMM_DISK_S.
 */
int ax_ckpt_finish(struct ax_ckpt_job *j, struct ax_err *e);
/*
 * Not collective, after an error: afterwards this rank's thread reads no box any more. Rank 0 removes the temporary folder
 * as well as it can; the next run removes what is left. NULL is allowed.
 */
void ax_ckpt_drop(struct ax_ckpt_job *j);

/* A range found in an open checkpoint. */
struct ax_ckpt_range {
	uint64_t begin, n;
	int file;
	uint64_t off; /* of its first byte in that file */
	uint64_t hash;
	enum ax_st_dtype dtype;
};

struct ax_ckpt_param {
	const char *name;
	int n_dim;
	int64_t dim[AX_PARAM_DIM_MAX];
	uint64_t n_elem;
	enum ax_st_dtype base_dtype;
	struct ax_ckpt_range *range[AX_CKPT_N_PART]; /* ascending, gapless */
	size_t n_range[AX_CKPT_N_PART];
};

struct ax_ckpt {
	char *path;
	struct ax_arena arena;
	struct ax_ckpt_param *param; /* in the order of the manifest: the model's order */
	size_t n_param;
	char **file; /* paths */
	int *fd;
	size_t n_file;
	bool model_only;
	enum ax_st_dtype type[AX_CKPT_N_PART]; /* of the parts that are there (of their first tensor) */
	const struct ax_val *manifest, *state;
};

/*
 * Open for reading: parses manifest and headers, checks the chain of hashes down to the headers, proves that each part
 * covers every element exactly once. Bytes of tensors are verified by ax_ckpt_verify() or while they are read whole.
 * AX_EIO if it is not there, AX_EDATA naming file and parameter if it is damaged.
 */
int ax_ckpt_open(struct ax_ckpt *k, const char *path, struct ax_err *e);
void ax_ckpt_close(struct ax_ckpt *k);
const struct ax_ckpt_param *ax_ckpt_find(const struct ax_ckpt *k, const char *name);
/*
 * Elements [begin, begin + n) of a part into dst, as f32: codes are unpacked.
 */
int ax_ckpt_read(const struct ax_ckpt *k, const struct ax_ckpt_param *p, enum ax_part part, uint64_t begin, uint64_t n,
		 float *dst, struct ax_err *e);
/* One part of a checkpoint as an ax_dist_source: ctx is a struct ax_ckpt_source. */
struct ax_ckpt_source {
	const struct ax_ckpt *k;
	const struct ax_ckpt_param **param; /* by the caller's parameter index */
	enum ax_part part;
};

/* Match the parameters by name and shape: AX_EDATA if this is a checkpoint of another model. */
int ax_ckpt_source_open(struct ax_ckpt_source *s, const struct ax_ckpt *k, const struct ax_units *u, struct ax_err *e);
int ax_ckpt_source_read(void *ctx, int param, size_t off, size_t n, float *dst, struct ax_err *e);
void ax_ckpt_source_close(struct ax_ckpt_source *s);

/* n values of type F32 or BF16 that end where dst[n] would begin become dst[0..n). Returns where they begin. */
void *ax_ckpt_tail(float *dst, enum ax_st_dtype t, size_t n);
void ax_ckpt_widen(float *dst, enum ax_st_dtype t, size_t n);

/* Hash every tensor against its file's metadata. */
int ax_ckpt_verify(const struct ax_ckpt *k, struct ax_err *e);

/* Highest step among the complete "checkpoint-N" folders of dir: 0 and *step = -1 when there is none. */
int ax_ckpt_newest(const char *dir, int64_t *step, struct ax_err *e);
/* Steps of all complete checkpoints, ascending (ax_free). */
int ax_ckpt_list(const char *dir, int64_t **step, size_t *n, struct ax_err *e);
/* dir/checkpoint-STEP (ax_free), NULL when out of memory. */
char *ax_ckpt_path(const char *dir, int64_t step);
/* The name of checkpoint `path` while it is being written or removed (ax_free), NULL when out of memory. */
char *ax_ckpt_tmp_path(const char *path);
/* Is this such a name ("checkpoint-N.tmp")? */
bool ax_ckpt_is_unfinished(const char *name);

#endif
