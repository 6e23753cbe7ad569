/* What the files of the training run share. Internal to lib/train. */
#ifndef AX_TRAIN_TRAIN_IMPL_H
#define AX_TRAIN_TRAIN_IMPL_H

#include "base/log.h"
#include "train/batch.h"
#include "train/ckpt.h"
#include "train/metrics.h"
#include "train/state.h"
#include "train/train.h"

struct ax_train {
	struct ax_train_env env;
	struct ax_train_opt opt;
	struct ax_train_plan plan;
	struct ax_sched sched;
	struct ax_cadence eval, save;
	struct ax_state state;
	struct ax_dist *dist;
	struct ax_model *model;
	struct ax_unit_hooks hooks;
	struct ax_microbuf micro;
	struct ax_metrics metrics;
	struct ax_progress progress;
	struct ax_order order;    /* of the train split */
	double flops_causal, flops_full; /* of one token */
	double peak_flops;        /* of all ranks: measured matrix products */
	double busy_s, wait_s;    /* seconds in steps of this run; of those, how long compute stood still for communication */
	int64_t first_step;       /* where this run began */
	struct ax_ckpt_job *saving; /* a checkpoint that is being written beside the run; NULL: none */
	int64_t saving_step, saving_best; /* its step, and that of the best one once it is complete */
	double saving_since, save_s; /* save_s: seconds that the run stood still for checkpoints */
	double recent_loss, recent_eval;
	size_t device_bytes;      /* the most of the device's memory that was seen taken */
	char *tuning;             /* what rank 0's device had chosen when it was shared last; NULL: nothing yet */
	size_t tuning_bytes;
};

/* What one step did. */
struct ax_step_result {
	double loss, grad_norm, lr, seconds;
	uint64_t tokens, trained;
	bool want_save, want_stop, skipped;
	double epoch;
};

/* step.c */
int ax_train_one_step(struct ax_train *t, struct ax_step_result *r, struct ax_err *e);
/*
 * culprit.c: the loss, or only the gradient, of the step that was just computed is not finite: each micro-batch is
 * computed again, and warnings name the rows of those that make it so, and the parameters. The gradients are lost.
 */
int ax_train_name_loss(struct ax_train *t, const struct ax_loader_step *st, struct ax_err *e);
int ax_train_name_gradient(struct ax_train *t, const struct ax_loader_step *st, struct ax_err *e);
/* save.c: begin to write checkpoint-STEP beside the run; masters and moments must not change until it is finished. */
int ax_train_save(struct ax_train *t, struct ax_err *e);
/* save.c: if one is being written: wait until it is complete and published, say so, then prune. */
int ax_train_save_finish(struct ax_train *t, struct ax_err *e);
/* save.c: masters, moments and state from a checkpoint. */
int ax_train_resume(struct ax_train *t, const char *path, struct ax_err *e);
/*
 * best.c: take in the evaluation after this step. True if it is the best so far and save_best is set: a
 * checkpoint of it is wanted.
 */
bool ax_train_take_eval(struct ax_train *t, double metric);
/* best.c: are the steps done, or the patience? */
bool ax_train_complete(const struct ax_train *t, const struct ax_state *s);
/* best.c: say so, unless all steps are done. */
void ax_train_say_early(const struct ax_train *t);
/* best.c: the best of the checkpoint that a run goes on from, as far as this run asks for it and still has it. */
void ax_train_adopt_best(struct ax_train *t, struct ax_state *s);
/* tuning.c: has rank 0's device chosen anything since it was shared? False on the other ranks. */
bool ax_train_tuning_news(const struct ax_train *t);
/* tuning.c: collective: all ranks' devices, rank 0's too, choose as that of rank 0 has found best. */
int ax_train_tuning_share(struct ax_train *t, struct ax_err *e);
/* tuning.c: as a checkpoint's trainer state says; NULL: it says nothing. */
int ax_train_tuning_adopt(struct ax_train *t, const struct ax_val *text, struct ax_err *e);
/* plan.c */
struct ax_dist_opt ax_train_dist_opt(const struct ax_train_env *env, const struct ax_train_opt *o);
/* probe.c: FLOP/s that a large matrix product reaches on this rank's device, in the compute dtype. */
double ax_probe_peak(struct ax_dev *dev);

#endif
