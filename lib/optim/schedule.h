/*
 * Learning-rate schedules: pure functions of the step, as transformers and Axolotl compute them (in double).
 *
 *	struct ax_sched_opt o;
 *	ax_sched_opt_init(&o);                              // cosine, warm-up by the default rule
 *	o.name = "cosine"; o.lr = 2e-5; o.total = 1000; o.warmup_steps = 10;
 *	AX_TRY(ax_sched_set(&o, "num_cycles", 0.5, e));     // one lr_scheduler_kwargs entry; _set_str for the textual ones
 *	AX_TRY(ax_sched_init(&s, &o, e));
 *	lr = ax_sched_lr(&s, step);                         // for optimizer step `step`, counted from 0
 *
 * Warm-up rules (Axolotl): warmup_steps if given, else int(warmup_ratio * total), else min(int(0.03 * total), 100); in
 * every case exactly 1 becomes 2. With a warm-up the first update has learning rate 0.
 *
 * Differences: rex starts its warm-up at 0 (Axolotl's first step has a value from the far end of its curve); one_cycle
 * moves the learning rate only, beta1 stays (torch moves it too unless cycle_momentum is false); beyond `total` one_cycle
 * keeps its last value. reduce_lr_on_plateau and greedy depend on the loss and are not supported.
 */
#ifndef AX_OPTIM_SCHEDULE_H
#define AX_OPTIM_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum ax_sched_kind {
	AX_SCHED_CONSTANT,
	AX_SCHED_CONSTANT_WARMUP,
	AX_SCHED_LINEAR,
	AX_SCHED_COSINE,
	AX_SCHED_COSINE_QUADRATIC, /* lr_quadratic_warmup */
	AX_SCHED_COSINE_MIN,       /* cosine_min_lr_ratio; with cosine_constant_lr_ratio it ends early */
	AX_SCHED_COSINE_RESTARTS,
	AX_SCHED_POLYNOMIAL,
	AX_SCHED_INVERSE_SQRT,
	AX_SCHED_WSD, /* warmup_stable_decay */
	AX_SCHED_REX,
	AX_SCHED_ONE_CYCLE
};

enum ax_sched_shape { AX_SHAPE_LINEAR, AX_SHAPE_COSINE, AX_SHAPE_1_SQRT };

/* Values of lr_scheduler_kwargs; NaN is unset. */
struct ax_sched_args {
	double num_cycles, power, lr_end, timescale, min_lr, min_lr_rate, min_lr_ratio;
	double num_decay_steps, num_stable_steps, final_div_factor;
	enum ax_sched_shape warmup_type, decay_type;
	bool anneal_linear; /* one_cycle's anneal_strategy */
};

struct ax_sched_opt {
	const char *name; /* lr_scheduler; NULL: "cosine" */
	double lr;
	int64_t total;        /* optimizer steps of the run, > 0 */
	int64_t warmup_steps; /* -1: not given */
	double warmup_ratio;  /* < 0: not given */
	double cosine_min_lr_ratio, cosine_constant_lr_ratio; /* < 0: not given (a constant ratio of 0 counts as not given) */
	bool lr_quadratic_warmup;
	double lr_div_factor; /* one_cycle; < 0: 25 */
	struct ax_sched_args args;
};

struct ax_sched {
	enum ax_sched_kind kind;
	double lr;
	int64_t total, warmup;
	double min_ratio, constant_ratio, div_factor;
	struct ax_sched_args args; /* every value that the kind uses is resolved */
};

void ax_sched_opt_init(struct ax_sched_opt *o);
/* One numeric, or one textual, entry of lr_scheduler_kwargs. AX_EUSAGE for an unknown key or value. */
int ax_sched_set(struct ax_sched_opt *o, const char *key, double value, struct ax_err *e);
int ax_sched_set_str(struct ax_sched_opt *o, const char *key, const char *value, struct ax_err *e);
/* AX_EUSAGE: unknown schedule (the message lists the known), missing or senseless values. */
int ax_sched_init(struct ax_sched *s, const struct ax_sched_opt *o, struct ax_err *e);
double ax_sched_lr(const struct ax_sched *s, int64_t step);
int64_t ax_sched_warmup(const struct ax_sched_opt *o);

#endif
