/* Reference: elementwise ops, embedding, rotary embedding, gated activation, optimizer. */
#include "tensor/cpu/cpu.h"

static void cast(struct ax_dev *d, void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ax_put(y, ty, i, ax_get(x, tx, i));
}

static void axpy(struct ax_dev *d, void *y, enum ax_dtype ty, const void *x, enum ax_dtype tx, float alpha, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ax_add_to(y, ty, i, alpha * ax_get(x, tx, i));
}

static void scale(struct ax_dev *d, float *x, float alpha, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] *= alpha;
}

static void add(struct ax_dev *d, void *y, const void *a, const void *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ax_put(y, d->act, i, ax_get(a, d->act, i) + ax_get(b, d->act, i));
}

static double pairwise(const void *x, enum ax_dtype t, size_t at, size_t n)
{
	double s = 0;

	if (n > 128)
		return pairwise(x, t, at, n / 2) + pairwise(x, t, at + n / 2, n - n / 2);
	for (size_t i = at; i < at + n; i++)
		s += (double)ax_get(x, t, i) * (double)ax_get(x, t, i);
	return s;
}

static void sumsq(struct ax_dev *d, double *out, const void *x, enum ax_dtype tx, size_t n)
{
	*out = pairwise(x, tx, 0, n);
}

static void embed_fwd(struct ax_dev *d, void *x, const int32_t *ids, const void *table, float alpha, int N, int C)
{
	for (size_t n = 0; n < (size_t)N; n++)
		for (size_t i = 0, C_ = (size_t)C; i < C_; i++)
			ax_put(x, d->act, n * C_ + i, ax_get(table, d->act, (size_t)ids[n] * C_ + i) * alpha);
}

/* Has any of the first n tokens the id of token n? */
static bool seen(const int32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == ids[n])
			return true;
	return false;
}

static void embed_bwd(struct ax_dev *d, void *dtable, const void *dx, const int32_t *ids, float alpha, int N, int C, int V)
{
	for (size_t first = 0, C_ = (size_t)C; first < (size_t)N; first++)
		for (size_t i = 0, at = (size_t)ids[first] * C_; i < C_ && !seen(ids, first); i++) {
			float sum = 0;

			for (size_t n = first; n < (size_t)N; n++)
				sum += ids[n] == ids[first] ? ax_get(dx, d->act, n * C_ + i) : 0;
			ax_add_to(dtable, d->grad, at + i, alpha * sum);
		}
}

static void rope(struct ax_dev *d, void *x, size_t ld, const int32_t *pos, const float *cos_sin, int N, int n_head, int HD, int rotary, bool backward)
{
	size_t half = (size_t)rotary / 2;

	for (size_t n = 0; n < (size_t)N; n++) {
		const float *c = cos_sin + (size_t)pos[n] * (size_t)HD, *s = c + HD / 2;

		for (size_t h = 0; h < (size_t)n_head; h++) {
			size_t at = n * ld + h * (size_t)HD;

			for (size_t i = 0; i < half; i++) {
				float x1 = ax_get(x, d->act, at + i), x2 = ax_get(x, d->act, at + half + i);
				float sin = backward ? -s[i] : s[i];

				ax_put(x, d->act, at + i, x1 * c[i] - x2 * sin);
				ax_put(x, d->act, at + half + i, x2 * c[i] + x1 * sin);
			}
		}
	}
}

/* The activation and its derivative. */
static float act_fn(enum ax_act_fn fn, float x, float *slope)
{
	if (fn == AX_ACT_SILU) {
		float s = 1 / (1 + expf(-x));

		*slope = s * (1 + x * (1 - s));
		return x * s;
	}
	if (fn == AX_ACT_GELU) {
		float cdf = 0.5f * (1 + erff(x * 0.70710678f));

		*slope = cdf + x * 0.39894228f * expf(-0.5f * x * x);
		return x * cdf;
	}
	float t = tanhf(0.79788456f * (x + 0.044715f * x * x * x));

	*slope = 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.79788456f * (1 + 3 * 0.044715f * x * x);
	return 0.5f * x * (1 + t);
}

static void glu_fwd(struct ax_dev *d, void *h, const void *gu, enum ax_act_fn fn, int N, int F)
{
	size_t w = (size_t)F;
	float slope;

	for (size_t n = 0; n < (size_t)N; n++)
		for (size_t i = 0; i < w; i++) {
			float g = ax_get(gu, d->act, n * 2 * w + i), u = ax_get(gu, d->act, n * 2 * w + w + i);

			ax_put(h, d->act, n * w + i, act_fn(fn, g, &slope) * u);
		}
}

static void glu_bwd(struct ax_dev *d, void *dgu, const void *dh, const void *gu, enum ax_act_fn fn, int N, int F)
{
	size_t w = (size_t)F;

	for (size_t n = 0; n < (size_t)N; n++)
		for (size_t i = 0; i < w; i++) {
			size_t gate = n * 2 * w + i, up = gate + w;
			float g = ax_get(gu, d->act, gate), u = ax_get(gu, d->act, up), dy = ax_get(dh, d->act, n * w + i), slope;
			float a = act_fn(fn, g, &slope);

			ax_put(dgu, d->act, gate, dy * u * slope);
			ax_put(dgu, d->act, up, dy * a);
		}
}

void ax_ref_elem(struct ax_ops *o)
{
	o->cast = cast;
	o->axpy = axpy;
	o->scale = scale;
	o->add = add;
	o->sumsq = sumsq;
	o->embed_fwd = embed_fwd;
	o->embed_bwd = embed_bwd;
	o->rope = rope;
	o->glu_fwd = glu_fwd;
	o->glu_bwd = glu_bwd;
}
