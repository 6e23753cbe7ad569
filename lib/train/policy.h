/*
 * When a run evaluates, saves, stops early and removes checkpoints: pure functions.
 */
#ifndef AX_TRAIN_POLICY_H
#define AX_TRAIN_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ax_cadence_kind { AX_CADENCE_NEVER, AX_CADENCE_STEPS, AX_CADENCE_PER_EPOCH };

/* every: optimizer steps between two events (STEPS), or events an epoch, evenly spaced, the last at its end (PER_EPOCH). */
struct ax_cadence {
	enum ax_cadence_kind kind;
	int64_t every;
};

/*
 * From save_steps or eval_steps: >= 1 is a number of steps, a fraction below 1 is a share of the run: every
 * ceil(fraction * total) steps, as transformers.
 */
struct ax_cadence ax_cadence_from_steps(double steps, int64_t total);

/* Is the event due after step `step` (from 1), with steps_per_epoch steps in an epoch? */
bool ax_cadence_due(const struct ax_cadence *c, int64_t step, int64_t steps_per_epoch);

/* Steps of the run: max_steps if > 0, else ceil(num_epochs * steps_per_epoch), at least 1. */
int64_t ax_total_steps(double num_epochs, int64_t max_steps, int64_t steps_per_epoch);

/*
 * The best evaluation of a run, and its best checkpoint: of those that an evaluation of the same step preceded, so that
 * evaluations between saves, however good, are not taken for it. Only a finite metric that is strictly better than all
 * earlier ones is the best.
 */
struct ax_best {
	bool greater;       /* a greater metric is better */
	int64_t step, ckpt; /* steps of the best evaluation and of the best checkpoint; -1: none */
	double metric, ckpt_metric;
	int64_t worse;      /* evaluations since the best one: Hugging Face's early_stopping_patience_counter */
};

void ax_best_init(struct ax_best *b, bool greater);
/* Take in the evaluation after a step: is it the best so far? */
bool ax_best_eval(struct ax_best *b, int64_t step, double metric);
/* Take in a checkpoint of that step. */
void ax_best_save(struct ax_best *b, int64_t step, double metric);
/* Have `patience` evaluations in a row not been the best? patience <= 0: never. */
bool ax_best_exhausted(const struct ax_best *b, int64_t patience);

/*
 * Which of n checkpoints (ascending steps) to remove so that `keep` stay: the oldest, but never the newest or `best`
 * (-1: none); keep <= 0: none. In place: step[] becomes the ones to remove; returns their number. As transformers' rotation.
 */
size_t ax_prune_choose(int64_t *step, size_t n, int keep, int64_t best);

#endif
