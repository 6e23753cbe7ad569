/* Reference: output head and cross-entropy, a token at a time. */
#include "tensor/cpu/cpu.h"

struct head {
	struct ax_dev *d;
	const void *x, *w;
	float softcap, logit_scale;
	size_t C, V;
};

/* The logits of token n into z. */
static void logits_of(const struct head *a, float *z, size_t n)
{
	for (size_t v = 0; v < a->V; v++) {
		double s = 0;

		for (size_t i = 0; i < a->C; i++)
			s += (double)ax_get(a->x, a->d->act, n * a->C + i) * (double)ax_get(a->w, a->d->act, v * a->C + i);
		z[v] = (float)s * a->logit_scale;
		if (a->softcap > 0)
			z[v] = a->softcap * tanhf(z[v] / a->softcap);
	}
}

static double log_sum_exp(const float *z, size_t n)
{
	double max = -INFINITY, sum = 0;

	for (size_t i = 0; i < n; i++)
		max = (double)z[i] > max ? (double)z[i] : max;
	for (size_t i = 0; i < n; i++)
		sum += exp((double)z[i] - max);
	return max + log(sum);
}

/* z becomes the gradient of the products x.w, times `factor`. */
static void logits_bwd(const struct head *a, float *z, double lse, size_t target, float factor)
{
	for (size_t v = 0; v < a->V; v++) {
		float t = a->softcap > 0 ? z[v] / a->softcap : 0;

		z[v] = (float)(exp((double)z[v] - lse) - (v == target)) * factor * a->logit_scale * (1 - t * t);
	}
}

/* sum (V, C) += what the token gives to the gradient of w. */
static void token_bwd(const struct head *a, void *dx, float *sum, const float *z, size_t n)
{
	enum ax_dtype t = a->d->act;

	for (size_t i = 0; i < a->C; i++) {
		double s = 0;

		for (size_t v = 0; v < a->V; v++)
			s += (double)z[v] * (double)ax_get(a->w, t, v * a->C + i);
		ax_put(dx, t, n * a->C + i, (float)s);
	}
	for (size_t v = 0; sum && v < a->V; v++)
		for (size_t i = 0; i < a->C; i++)
			sum[v * a->C + i] += z[v] * ax_get(a->x, t, n * a->C + i);
}

static void head_loss(struct ax_dev *d, double *loss, void *dx, void *dw, float *logits, const void *x, const void *w, const int32_t *target, const float *weight, const float *grad_scale, const struct ax_head *p, int N, int C, int V)
{
	struct head a = { d, x, w, p->softcap, p->logit_scale, (size_t)C, (size_t)V };
	struct ax_cpu *c = ax_cpu_of(d);
	size_t n_sum = dx && dw ? a.V * a.C : 0;
	float *sum;

	if (!ax_cpu_scratch(c, (a.V + n_sum) * sizeof(float), 0))
		return;
	sum = (float *)c->shared + a.V;
	memset(sum, 0, n_sum * sizeof(*sum));
	if (dx)
		memset(dx, 0, (size_t)N * a.C * (d->act == AX_F32 ? 4 : 2));
	for (size_t n = 0; n < (size_t)N; n++) {
		float *z = c->shared, wt = weight ? weight[n] : 1;
		double lse;

		if (target[n] < 0 && !logits)
			continue;
		logits_of(&a, z, n);
		if (logits)
			memcpy(logits + n * a.V, z, a.V * sizeof(float));
		if (target[n] < 0)
			continue;
		lse = log_sum_exp(z, a.V);
		*loss += (double)wt * (lse - (double)z[target[n]]);
		if (dx) {
			logits_bwd(&a, z, lse, (size_t)target[n], *grad_scale * wt);
			token_bwd(&a, dx, dw ? sum : NULL, z, n);
		}
	}
	for (size_t i = 0; i < n_sum; i++)
		ax_add_to(dw, d->grad, i, sum[i]);
}

void ax_ref_head(struct ax_ops *o)
{
	o->head_loss = head_loss;
}
