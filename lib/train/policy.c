#include "train/policy.h"

#include <math.h>

struct ax_cadence ax_cadence_from_steps(double steps, int64_t total)
{
	struct ax_cadence c = {AX_CADENCE_NEVER, 0};

	if (!(steps > 0))
		return c;
	c.kind = AX_CADENCE_STEPS;
	c.every = steps >= 1 ? (int64_t)steps : (int64_t)ceil(steps * (double)total);
	return c;
}

bool ax_cadence_due(const struct ax_cadence *c, int64_t step, int64_t steps_per_epoch)
{
	int64_t in_epoch;

	switch (c->kind) {
	case AX_CADENCE_STEPS:
		return step % c->every == 0;
	case AX_CADENCE_PER_EPOCH:
		/* does a multiple of 1/every of the epoch end with this step? */
		in_epoch = (step - 1) % steps_per_epoch + 1;
		return in_epoch * c->every / steps_per_epoch > (in_epoch - 1) * c->every / steps_per_epoch;
	default:
		return false;
	}
}

int64_t ax_total_steps(double num_epochs, int64_t max_steps, int64_t steps_per_epoch)
{
	double n = ceil(num_epochs * (double)steps_per_epoch - 1e-9);

	if (max_steps > 0)
		return max_steps;
	return n < 1 ? 1 : (int64_t)n;
}

void ax_best_init(struct ax_best *b, bool greater)
{
	*b = (struct ax_best){.greater = greater, .step = -1, .ckpt = -1};
}

static bool is_better(const struct ax_best *b, double metric, int64_t than_step, double than)
{
	if (!isfinite(metric))
		return false;
	return than_step < 0 || (b->greater ? metric > than : metric < than);
}

bool ax_best_eval(struct ax_best *b, int64_t step, double metric)
{
	if (!is_better(b, metric, b->step, b->metric)) {
		b->worse++;
		return false;
	}
	b->step = step;
	b->metric = metric;
	b->worse = 0;
	return true;
}

void ax_best_save(struct ax_best *b, int64_t step, double metric)
{
	if (!is_better(b, metric, b->ckpt, b->ckpt_metric))
		return;
	b->ckpt = step;
	b->ckpt_metric = metric;
}

bool ax_best_exhausted(const struct ax_best *b, int64_t patience)
{
	return patience > 0 && b->worse >= patience;
}

size_t ax_prune_choose(int64_t *step, size_t n, int keep, int64_t best)
{
	size_t n_out = 0, left = n;

	for (size_t i = 0; keep > 0 && i + 1 < n && left > (size_t)keep; i++)
		if (step[i] != best) {
			step[n_out++] = step[i];
			left--;
		}
	return n_out;
}
