#include "optim/adamw.h"

#include <math.h>

void ax_adamw_opt_init(struct ax_adamw_opt *o)
{
	*o = (struct ax_adamw_opt){ 0.9, 0.999, 1e-8, 0, 0 };
}

int ax_adamw_opt_check(const struct ax_adamw_opt *o, struct ax_err *e)
{
	if (!(o->beta1 >= 0 && o->beta1 < 1))
		return ax_fail(e, AX_EUSAGE, "adam_beta1 %g: 0 <= beta < 1 is needed", o->beta1);
	if (!(o->beta2 >= 0 && o->beta2 < 1))
		return ax_fail(e, AX_EUSAGE, "adam_beta2 %g: 0 <= beta < 1 is needed", o->beta2);
	if (!(o->eps >= 0 && isfinite(o->eps)))
		return ax_fail(e, AX_EUSAGE, "adam_epsilon %g: a number >= 0 is needed", o->eps);
	if (!(o->weight_decay >= 0 && isfinite(o->weight_decay)))
		return ax_fail(e, AX_EUSAGE, "weight_decay %g: a number >= 0 is needed", o->weight_decay);
	return 0;
}

void ax_adamw_step(const struct ax_adamw_opt *o, double lr, int64_t t, bool decay, double lr_scale, double grad_scale, struct ax_adamw *h)
{
	h->lr = (float)(lr * lr_scale);
	h->beta1 = (float)o->beta1;
	h->beta2 = (float)o->beta2;
	h->rest1 = (float)(1 - o->beta1);
	h->rest2 = (float)(1 - o->beta2);
	h->eps = (float)o->eps;
	h->weight_decay = decay ? (float)o->weight_decay : 0;
	h->bias1 = (float)(1 - pow(o->beta1, (double)t));
	h->bias2 = (float)(1 - pow(o->beta2, (double)t));
	h->grad_scale = (float)grad_scale;
	h->seed = o->seed;
	h->t = (uint64_t)t;
}

double ax_clip_factor(double norm, double max_norm)
{
	double f;

	if (!(max_norm > 0))
		return 1;
	f = max_norm / (norm + 1e-6);
	return f > 1 ? 1 : f;
}
