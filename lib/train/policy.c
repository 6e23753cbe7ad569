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
