/*
 * The training run: steps, evaluation, checkpoints, metrics.
 *
 *	struct ax_train_env env = { comm, wire, dev, &desc, &units, loader, &outdir, ax_weights_read, &weights };
 *	struct ax_train *t;
 *	AX_TRY(ax_train_plan(&env, &opt, &plan, e));        // pure: bytes by role, steps
 *	AX_TRY(ax_train_fits(&env, &plan, e));              // before anything is allocated or removed
 *	AX_TRY(ax_train_open(&t, &env, &opt, e));           // allocates all, loads weights or resumes
 *	AX_TRY(ax_train_run(t, e));                         // AX_ESTOP: saved and stopped on request
 *	ax_train_close(t);
 *
 * A step takes the next global batch: G packs, or what the epoch has left. Its loss is the sum over trained tokens of all
 * micro-batches and ranks divided by their number; the denominator is known from the index before the first backward
 * pass. The state of the data is one integer, the packs consumed.
 *
 * A checkpoint is written while the next step computes its gradients, and complete before that step's update (train/ckpt.h);
 * at the end of the run, and when a stop is requested, at once.
 *
 * All calls are collective.
 */
#ifndef AX_TRAIN_TRAIN_H
#define AX_TRAIN_TRAIN_H

#include <signal.h>

#include "base/err.h"
#include "comm/comm.h"
#include "data/loader.h"
#include "dist/dist.h"
#include "model/model.h"
#include "optim/adamw.h"
#include "optim/schedule.h"
#include "train/outdir.h"
#include "train/policy.h"

struct ax_train_env {
	struct ax_comm *comm;
	struct ax_comm *wire; /* collectives on the device's memory (tensor/device.h); comm itself on the CPU */
	struct ax_dev *dev;
	const struct ax_desc *desc;
	const struct ax_units *units;
	struct ax_loader *loader;
	struct ax_outdir *outdir; /* NULL: evaluation only */
	ax_dist_source source;    /* first weights */
	void *source_ctx;
};

struct ax_train_opt {
	int micro_batch, grad_accum;
	int64_t global_batch; /* packs a step; 0: micro_batch * grad_accum * ranks */
	uint64_t seed;
	bool sequential;      /* curriculum_sampling */
	double num_epochs;
	int64_t max_steps;    /* <= 0: by epochs */

	struct ax_sched_opt sched; /* total is filled in */
	struct ax_adamw_opt adam;
	double max_grad_norm;      /* <= 0: no clipping */

	enum ax_dtype masters;     /* AX_F32, or AX_BF16: none beside the weights (dist/dist.h) */
	enum ax_dtype moments;     /* AX_F32, AX_BF16 or AX_Q8 */
	enum ax_strategy strategy;
	bool reshard_after_forward;
	enum ax_recompute recompute;

	double eval_steps;      /* as the key: >= 1 steps, < 1 share of the run; 0 unset */
	int64_t evals_per_epoch; /* 0: unset */
	bool eval_start, eval_end;
	double save_steps;
	int64_t saves_per_epoch;
	bool save_first_step, save_only_model;
	int save_total_limit;   /* <= 0: keep all; the newest and, if it is tracked, the best checkpoint always stay */
	bool track_best;        /* remember the best eval_loss; what follows needs it */
	bool greater_is_better;
	bool save_best;         /* save after an evaluation that is the best so far */
	bool end_with_best;     /* the result of the run is its best checkpoint (ax_choose_checkpoint) */
	int64_t patience;       /* stop after so many evaluations in a row that are not the best; 0: never */
	int64_t logging_steps;
	int64_t sequence_len;   /* read only by ax_train_plan without a loader */
	bool skip_nonfinite;    /* leave such a step out instead of stopping */

	const struct ax_val *keys; /* settings, stored in the trainer state */
	int (*extra)(void *ctx, const char *dir, struct ax_err *e); /* config.json, tokenizer files into a checkpoint */
	void *extra_ctx;
	/* Set by signal handlers; NULL: none. */
	volatile sig_atomic_t *want_save, *want_stop;
};

/* What a rank takes before it has a model: measured 35 MiB alone, 60 MiB under Open MPI. */
#define AX_PROGRAM_BYTES ((size_t)64 << 20)

/*
 * What the driver and the libraries take of a GPU before the program takes anything, and what NCCL takes for its two
 * communicators: estimates on the safe side.
 */
#define AX_CONTEXT_BYTES ((size_t)512 << 20)
#define AX_NCCL_BYTES ((size_t)512 << 20)

struct ax_train_plan {
	int64_t steps_per_epoch, total_steps, global_batch;
	uint64_t n_pack, n_eval;
	int n_token, max_seg;
	struct ax_model_sizes model;
	struct ax_dist_sizes dist;
	size_t device_scratch;
	bool gpu;             /* the roles are in the memory of a device of its own: `total` is that of the device */
	size_t program;       /* host: code, libraries, buffers of MPI and of the index: AX_PROGRAM_BYTES, and what the device pins */
	size_t context;       /* device: AX_CONTEXT_BYTES; taken before ax_dev.memory is asked for */
	size_t total;         /* bytes of one rank; on a GPU without `program` */
	uint64_t checkpoint_bytes;    /* on disk, one checkpoint */
};

/*
 * n_rank: ranks to plan for (env->comm may be NULL). Only desc, units, loader, dev->act are read. Without a loader the
 * packs and steps are unknown (0), and every token of a micro-batch may be a document.
 */
int ax_train_plan(const struct ax_train_env *env, const struct ax_train_opt *o, int n_rank, struct ax_train_plan *p,
		  struct ax_err *e);

/* What `total` is made of, as words: "weights 12 MiB, moments 16 MiB, ..."; returns text. */
const char *ax_train_plan_text(const struct ax_train_plan *p, char text[256]);

/*
 * A device with memory of its own: does the run fit on that of each rank? AX_EMEM on all of them if not. What the driver has
 * taken already is not asked for again. Ask before ax_outdir_resume, which may remove the checkpoints of an earlier run.
 */
int ax_train_fits(const struct ax_train_env *env, const struct ax_train_plan *p, struct ax_err *e);

struct ax_train;

int ax_train_open(struct ax_train **t, const struct ax_train_env *env, const struct ax_train_opt *o, struct ax_err *e);
/*
 * Run to the end, or until a stop is requested: 0, AX_ESTOP, or an error. A run that ran out of patience is at its end.
 * One that is complete already does nothing. The last step is always saved.
 */
int ax_train_run(struct ax_train *t, struct ax_err *e);
/* Mean loss over all trained tokens of all eval packs. AX_EUSAGE if there are none. */
int ax_train_eval(struct ax_train *t, double *loss, uint64_t *trained, struct ax_err *e);
struct ax_train_stats {
	int64_t step, total_steps; /* steps done, and of the whole run */
	uint64_t tokens, trained_tokens; /* since step 0 */
	double loss, eval_loss;    /* the latest; NaN: none in this call */
	double seconds;            /* in steps, of this call */
	size_t device_bytes;       /* of the device's own memory, taken since it was opened: the most seen after a step; 0: it has none */
	bool stopped_early;
	int64_t best_step;         /* of the best checkpoint; -1: none, or not tracked */
	double best_metric;        /* its eval_loss */
};

void ax_train_stats(const struct ax_train *t, struct ax_train_stats *s);
void ax_train_close(struct ax_train *t);

#endif
