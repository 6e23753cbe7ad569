/*
 * When a run evaluates and saves: pure functions of the step.
 */
#ifndef AX_TRAIN_POLICY_H
#define AX_TRAIN_POLICY_H

#include <stdbool.h>
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

#endif
