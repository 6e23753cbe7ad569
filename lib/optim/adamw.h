/*
 * AdamW's numbers for one step and one segment of parameters, and gradient clipping. The update itself is an op
 * (tensor/ops.h); here are the pure functions around it.
 *
 *	norm = sqrt(sum over ranks of sumsq) * scale                     // of the averaged gradient, before clipping
 *	clip = ax_clip_factor(norm, max_norm);
 *	for each parameter: ax_adamw_step(&opt, lr, t, p->decay, p->lr_scale, scale * clip, &h); ops->adamw(dev, &mem, &h, n);
 */
#ifndef AX_OPTIM_ADAMW_H
#define AX_OPTIM_ADAMW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "tensor/ops.h"

struct ax_adamw_opt {
	double beta1, beta2, eps, weight_decay;
	uint64_t seed; /* of stochastic rounding, where the state is kept in less than f32 */
};

/* 0.9, 0.999, 1e-8, 0, seed 0: the defaults of transformers. */
void ax_adamw_opt_init(struct ax_adamw_opt *o);
/* AX_EUSAGE names the key that is out of range: 0 <= beta < 1, eps >= 0, weight_decay >= 0. */
int ax_adamw_opt_check(const struct ax_adamw_opt *o, struct ax_err *e);

/*
 * Hyperparameters of update number t (from 1) for a segment: learning rate lr * lr_scale, weight decay only if `decay`.
 * Bias corrections 1 - beta^t are computed in double. grad_scale multiplies the gradient: 1 / trained tokens (unless the
 * backward pass had it) times the clip factor.
 */
void ax_adamw_step(const struct ax_adamw_opt *o, double lr, int64_t t, bool decay, double lr_scale, double grad_scale, struct ax_adamw *h);

/* min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_; 1 if max_norm <= 0 (no clipping). NaN stays NaN. */
double ax_clip_factor(double norm, double max_norm);

#endif
