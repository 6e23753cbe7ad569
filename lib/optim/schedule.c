#include "optim/schedule.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define PI 3.14159265358979323846264338327950288

static const struct {
	const char *name;
	enum ax_sched_kind kind;
} names[] = {
	{ "cosine", AX_SCHED_COSINE },
	{ "linear", AX_SCHED_LINEAR },
	{ "constant", AX_SCHED_CONSTANT },
	{ "constant_with_warmup", AX_SCHED_CONSTANT_WARMUP },
	{ "cosine_with_restarts", AX_SCHED_COSINE_RESTARTS },
	{ "cosine_with_min_lr", AX_SCHED_COSINE_MIN },
	{ "polynomial", AX_SCHED_POLYNOMIAL },
	{ "inverse_sqrt", AX_SCHED_INVERSE_SQRT },
	{ "warmup_stable_decay", AX_SCHED_WSD },
	{ "rex", AX_SCHED_REX },
	{ "one_cycle", AX_SCHED_ONE_CYCLE },
};

#define N_NAME (sizeof(names) / sizeof(names[0]))

static const struct {
	const char *name;
	size_t off;
} args[] = {
	{ "num_cycles", offsetof(struct ax_sched_args, num_cycles) },
	{ "power", offsetof(struct ax_sched_args, power) },
	{ "lr_end", offsetof(struct ax_sched_args, lr_end) },
	{ "timescale", offsetof(struct ax_sched_args, timescale) },
	{ "min_lr", offsetof(struct ax_sched_args, min_lr) },
	{ "min_lr_rate", offsetof(struct ax_sched_args, min_lr_rate) },
	{ "min_lr_ratio", offsetof(struct ax_sched_args, min_lr_ratio) },
	{ "num_decay_steps", offsetof(struct ax_sched_args, num_decay_steps) },
	{ "num_stable_steps", offsetof(struct ax_sched_args, num_stable_steps) },
	{ "final_div_factor", offsetof(struct ax_sched_args, final_div_factor) },
};

#define N_ARG (sizeof(args) / sizeof(args[0]))

static double *arg_at(struct ax_sched_args *a, size_t i)
{
	return (double *)(void *)((char *)a + args[i].off);
}

void ax_sched_opt_init(struct ax_sched_opt *o)
{
	memset(o, 0, sizeof(*o));
	o->warmup_steps = -1;
	o->warmup_ratio = o->cosine_min_lr_ratio = o->cosine_constant_lr_ratio = o->lr_div_factor = -1;
	for (size_t i = 0; i < N_ARG; i++)
		*arg_at(&o->args, i) = (double)NAN;
	o->args.warmup_type = AX_SHAPE_LINEAR;
	o->args.decay_type = AX_SHAPE_COSINE;
}

int ax_sched_set(struct ax_sched_opt *o, const char *key, double value, struct ax_err *e)
{
	if (!isfinite(value))
		return ax_fail(e, AX_EUSAGE, "lr_scheduler_kwargs: %s is not a finite number", key);
	for (size_t i = 0; i < N_ARG; i++) {
		if (!strcmp(args[i].name, key)) {
			*arg_at(&o->args, i) = value;
			return 0;
		}
	}
	if (!strcmp(key, "cycle_momentum") && value == 0)
		return 0;
	return ax_fail(e, AX_EUSAGE, "lr_scheduler_kwargs: %s is not supported", key);
}

static int shape_of(const char *value, enum ax_sched_shape *s)
{
	static const char *const shape[] = { "linear", "cosine", "1-sqrt" };

	for (int i = 0; i < 3; i++) {
		if (!strcmp(shape[i], value)) {
			*s = (enum ax_sched_shape)i;
			return 0;
		}
	}
	return -1;
}

int ax_sched_set_str(struct ax_sched_opt *o, const char *key, const char *value, struct ax_err *e)
{
	if (!strcmp(key, "warmup_type") && !shape_of(value, &o->args.warmup_type))
		return 0;
	if (!strcmp(key, "decay_type") && !shape_of(value, &o->args.decay_type))
		return 0;
	if (!strcmp(key, "anneal_strategy") && (!strcmp(value, "cos") || !strcmp(value, "linear"))) {
		o->args.anneal_linear = value[0] == 'l';
		return 0;
	}
	return ax_fail(e, AX_EUSAGE, "lr_scheduler_kwargs: %s: %s is not supported", key, value);
}

int64_t ax_sched_warmup(const struct ax_sched_opt *o)
{
	int64_t n;

	if (o->warmup_steps >= 0)
		n = o->warmup_steps;
	else if (o->warmup_ratio >= 0)
		n = (int64_t)(o->warmup_ratio * (double)o->total);
	else
		n = (int64_t)(0.03 * (double)o->total) < 100 ? (int64_t)(0.03 * (double)o->total) : 100;
	return n == 1 ? 2 : n;
}

static int find_kind(struct ax_sched *s, const struct ax_sched_opt *o, struct ax_err *e)
{
	char known[320] = "";

	for (size_t i = 0; i < N_NAME; i++) {
		if (!o->name || !strcmp(names[i].name, o->name)) {
			s->kind = names[i].kind;
			return 0;
		}
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "", names[i].name);
	}
	return ax_fail(e, AX_EUSAGE, "lr_scheduler %s is not supported; known: %s", o->name, known);
}

/* The variants of cosine that have keys of their own. Axolotl looks at quadratic warm-up first. */
static int cosine_keys(struct ax_sched *s, const struct ax_sched_opt *o, struct ax_err *e)
{
	double r = o->cosine_min_lr_ratio, c = o->cosine_constant_lr_ratio;

	if (s->kind == AX_SCHED_REX && r > 0)
		s->min_ratio = r;
	if (s->kind != AX_SCHED_COSINE)
		return 0;
	if (o->lr_quadratic_warmup) {
		s->kind = AX_SCHED_COSINE_QUADRATIC;
		return 0;
	}
	if (r < 0)
		return 0;
	if (r > 1)
		return ax_fail(e, AX_EUSAGE, "cosine_min_lr_ratio %g: 0 to 1 is needed", r);
	if (c > 1)
		return ax_fail(e, AX_EUSAGE, "cosine_constant_lr_ratio %g: 0 to 1 is needed", c);
	s->kind = AX_SCHED_COSINE_MIN;
	s->min_ratio = r;
	s->constant_ratio = r > 0 && c > 0 ? c : 1;
	return 0;
}

static void dflt(double *x, double value)
{
	if (isnan(*x))
		*x = value;
}

static int min_lr_keys(struct ax_sched *s, struct ax_err *e)
{
	struct ax_sched_args *a = &s->args;

	if (isnan(a->min_lr) == isnan(a->min_lr_rate))
		return ax_fail(e, AX_EUSAGE, "lr_scheduler cosine_with_min_lr: exactly one of min_lr and min_lr_rate is needed in lr_scheduler_kwargs");
	s->min_ratio = isnan(a->min_lr) ? a->min_lr_rate : a->min_lr / s->lr;
	return 0;
}

static int wsd_keys(struct ax_sched *s, struct ax_err *e)
{
	struct ax_sched_args *a = &s->args;

	if (isnan(a->num_decay_steps))
		return ax_fail(e, AX_EUSAGE, "lr_scheduler warmup_stable_decay: num_decay_steps is needed in lr_scheduler_kwargs");
	dflt(&a->num_stable_steps, (double)(s->total - s->warmup) - a->num_decay_steps);
	dflt(&a->min_lr_ratio, 0);
	return 0;
}

int ax_sched_init(struct ax_sched *s, const struct ax_sched_opt *o, struct ax_err *e)
{
	memset(s, 0, sizeof(*s));
	if (!(o->lr >= 0 && isfinite(o->lr)))
		return ax_fail(e, AX_EUSAGE, "learning_rate %g: a number >= 0 is needed", o->lr);
	if (o->total < 1)
		return ax_fail(e, AX_EUSAGE, "a schedule of %lld steps", (long long)o->total);
	if (o->warmup_ratio > 1)
		return ax_fail(e, AX_EUSAGE, "warmup_ratio %g: 0 to 1 is needed", o->warmup_ratio);
	s->lr = o->lr;
	s->total = o->total;
	s->warmup = ax_sched_warmup(o);
	s->args = o->args;
	s->constant_ratio = 1;
	AX_TRY(find_kind(s, o, e));
	if (s->kind == AX_SCHED_COSINE_MIN)
		AX_TRY(min_lr_keys(s, e));
	AX_TRY(cosine_keys(s, o, e));
	if (s->kind == AX_SCHED_WSD)
		AX_TRY(wsd_keys(s, e));
	dflt(&s->args.num_cycles, s->kind == AX_SCHED_COSINE_RESTARTS ? 1 : 0.5);
	dflt(&s->args.power, 1);
	dflt(&s->args.lr_end, 1e-7);
	dflt(&s->args.timescale, s->warmup ? (double)s->warmup : 10000);
	dflt(&s->args.final_div_factor, 1e4);
	s->div_factor = o->lr_div_factor > 0 ? o->lr_div_factor : 25;
	if (s->kind == AX_SCHED_POLYNOMIAL && s->args.lr_end >= s->lr)
		return ax_fail(e, AX_EUSAGE, "lr_scheduler polynomial: lr_end %g must be below the learning rate %g", s->args.lr_end, s->lr);
	if (s->kind == AX_SCHED_INVERSE_SQRT && s->args.timescale <= 0)
		return ax_fail(e, AX_EUSAGE, "lr_scheduler inverse_sqrt: timescale %g must be above 0", s->args.timescale);
	return 0;
}

/* Share of [from, to) that is behind `step`; may exceed 1. */
static double progress(double step, double from, double to)
{
	return (step - from) / (to - from > 1 ? to - from : 1);
}

static double half_cosine(double cycles, double p)
{
	return 0.5 * (1 + cos(PI * cycles * 2 * p));
}

static double polynomial(const struct ax_sched *s, double step)
{
	double end = s->args.lr_end / s->lr, left;

	if (step > (double)s->total)
		return end;
	left = 1 - (step - (double)s->warmup) / (double)(s->total - s->warmup);
	return (1 - end) * pow(left, s->args.power) + end;
}

static double restarts(const struct ax_sched *s, double p)
{
	double cycle = s->args.num_cycles * p;

	return p >= 1 ? 0 : half_cosine(0.5, cycle - floor(cycle));
}

/* The curve of a warm-up or decay of warmup_stable_decay, from 0 to 1. */
static double wsd_up(enum ax_sched_shape shape, double p)
{
	return shape == AX_SHAPE_LINEAR ? p : shape == AX_SHAPE_COSINE ? 0.5 * (1 - cos(PI * p)) : 1 - sqrt(1 - p);
}

static double wsd_down(const struct ax_sched *s, double p)
{
	enum ax_sched_shape shape = s->args.decay_type;

	return shape == AX_SHAPE_LINEAR ? 1 - p : shape == AX_SHAPE_COSINE ? half_cosine(s->args.num_cycles, p) : 1 - sqrt(p);
}

static double wsd(const struct ax_sched *s, double step)
{
	double warm = (double)s->warmup, stable = warm + s->args.num_stable_steps, end = stable + s->args.num_decay_steps;
	double low = s->args.min_lr_ratio, f;

	if (step < warm)
		f = wsd_up(s->args.warmup_type, step / (warm > 1 ? warm : 1));
	else if (step < stable)
		return 1;
	else if (step < end)
		f = wsd_down(s, progress(step, stable, end));
	else
		return low;
	f = f * (1 - low) + low;
	return f > 0 ? f : 0;
}

static double rex(const struct ax_sched *s, double step)
{
	double after = step - (double)s->warmup, left = (double)(s->total - s->warmup), z;

	if (left <= 0 || after >= left)
		return s->min_ratio;
	z = (left - after) / left;
	return s->min_ratio + (1 - s->min_ratio) * (z / (0.1 + 0.9 * z));
}

static double anneal(const struct ax_sched *s, double from, double to, double p)
{
	return s->args.anneal_linear ? (to - from) * p + from : to + (from - to) / 2 * (1 + cos(PI * p));
}

/* torch's OneCycleLR with two phases; the first ends at warm-up - 1. */
static double one_cycle(const struct ax_sched *s, double step)
{
	double low = 1 / s->div_factor, last = low / s->args.final_div_factor, top = (double)s->warmup - 1, end = (double)s->total - 1;

	step = step < end ? step : end;
	if (top > 0 && step <= top)
		return anneal(s, low, 1, step / top);
	return end > top ? anneal(s, 1, last, (step - top) / (end - top)) : last;
}

static double after_warmup(const struct ax_sched *s, double step)
{
	double warm = (double)s->warmup, p = progress(step, warm, (double)s->total), f, end;

	switch (s->kind) {
	case AX_SCHED_LINEAR:
		f = progress((double)s->total - step, 0, (double)(s->total - s->warmup));
		break;
	case AX_SCHED_COSINE:
	case AX_SCHED_COSINE_QUADRATIC:
		f = half_cosine(s->args.num_cycles, p);
		break;
	case AX_SCHED_COSINE_MIN:
		end = s->constant_ratio < 1 ? floor((double)s->total * s->constant_ratio) : (double)s->total;
		p = progress(step > end && s->constant_ratio < 1 ? end : step, warm, end);
		f = (1 - s->min_ratio) * half_cosine(s->args.num_cycles, p) + s->min_ratio;
		break;
	case AX_SCHED_COSINE_RESTARTS:
		f = restarts(s, p);
		break;
	case AX_SCHED_POLYNOMIAL:
		f = polynomial(s, step);
		break;
	case AX_SCHED_INVERSE_SQRT:
		f = 1 / sqrt((step + s->args.timescale - warm) / s->args.timescale);
		break;
	case AX_SCHED_REX:
		f = rex(s, step);
		break;
	default:
		return 1;
	}
	return f > 0 ? f : 0;
}

double ax_sched_lr(const struct ax_sched *s, int64_t step)
{
	double t = (double)step, ramp = s->warmup > 0 ? t / (double)s->warmup : 1;

	if (s->kind == AX_SCHED_CONSTANT)
		return s->lr;
	if (s->kind == AX_SCHED_WSD)
		return s->lr * wsd(s, t);
	if (s->kind == AX_SCHED_ONE_CYCLE)
		return s->lr * one_cycle(s, t);
	if (step < s->warmup)
		return s->lr * (s->kind == AX_SCHED_COSINE_QUADRATIC ? ramp * ramp : ramp);
	return s->lr * after_warmup(s, t);
}
