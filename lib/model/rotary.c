#include "model/rotary.h"

#include <math.h>
#include <string.h>

#include "model/read.h"

#define TWO_PI 6.283185307179586476925286766559

static const struct {
	const char *name;
	enum ax_rotary_kind kind;
} kinds[] = {
	{ "default", AX_ROTARY_DEFAULT }, { "linear", AX_ROTARY_LINEAR }, { "dynamic", AX_ROTARY_DYNAMIC },
	{ "yarn", AX_ROTARY_YARN },       { "llama3", AX_ROTARY_LLAMA3 }, { "longrope", AX_ROTARY_LONGROPE },
};

static void read_kind(struct ax_rotary *p, struct ax_read *r)
{
	const char *key = ax_read_get(r, "rope_type") ? "rope_type" : "type";
	const struct ax_val *v = ax_read_get(r, key);

	p->kind = AX_ROTARY_DEFAULT;
	if (!v)
		return;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (ax_val_is(v, kinds[i].name)) {
			p->kind = kinds[i].kind;
			return;
		}
	}
	ax_read_fail(r, AX_EUSAGE, key, "not supported; default, linear, dynamic, yarn, llama3, longrope are");
}

/* original_max_position_embeddings: beside rope_parameters first, then inside, then the model's own maximum. */
static int64_t read_original(struct ax_read *top, struct ax_read *r, int64_t max_position)
{
	const char *key = "original_max_position_embeddings";

	return ax_read_get(top, key) ? ax_read_int(top, key, 0, 1, INT32_MAX) : ax_read_int(r, key, max_position, 1, INT32_MAX);
}

static void read_factors(struct ax_read *r, const char *key, float *out, int n)
{
	const struct ax_val *v = ax_read_get(r, key);

	if (!v || v->type != AX_LIST || v->n != (size_t)n) {
		ax_read_fail(r, AX_EDATA, key, "a list of head_dim / 2 numbers is needed");
		return;
	}
	for (int i = 0; i < n; i++) {
		out[i] = (float)ax_val_num_or(ax_val_at(v, (size_t)i), 0);
		if (!(out[i] > 0 && isfinite(out[i])))
			ax_read_fail(r, AX_EDATA, key, "every factor must be a number above 0");
	}
}

static double yarn_scale(double factor, double mscale)
{
	return factor <= 1 ? 1.0 : 0.1 * mscale * log(factor) + 1.0;
}

static void read_yarn(struct ax_rotary *p, struct ax_read *r)
{
	double mscale = ax_read_num(r, "mscale", 0, 0, 1e6), all = ax_read_num(r, "mscale_all_dim", 0, 0, 1e6), dflt;

	dflt = mscale != 0 && all != 0 ? yarn_scale(p->factor, mscale) / yarn_scale(p->factor, all) : yarn_scale(p->factor, 1);
	p->attention_factor = ax_read_num(r, "attention_factor", dflt, 1e-6, 1e6);
	p->beta_fast = ax_read_num(r, "beta_fast", 32, 0, 1e9);
	p->beta_slow = ax_read_num(r, "beta_slow", 1, 0, 1e9);
	p->beta_fast = p->beta_fast == 0 ? 32 : p->beta_fast; /* transformers reads 0 as unset */
	p->beta_slow = p->beta_slow == 0 ? 1 : p->beta_slow;
	p->truncate = ax_read_bool(r, "truncate", true);
}

static void read_longrope(struct ax_rotary *p, struct ax_read *r, int head_dim)
{
	double dflt = 1;

	if (p->factor > 1 && p->original_max_position > 1)
		dflt = sqrt(1 + log(p->factor) / log((double)p->original_max_position));
	p->attention_factor = ax_read_num(r, "attention_factor", dflt, 1e-6, 1e6);
	read_factors(r, "short_factor", p->short_factor, head_dim / 2);
	read_factors(r, "long_factor", p->long_factor, head_dim / 2);
}

static void read_kind_values(struct ax_rotary *p, struct ax_read *top, struct ax_read *r, int head_dim, int64_t max_position)
{
	if (p->kind == AX_ROTARY_YARN || p->kind == AX_ROTARY_LONGROPE) { /* a missing factor is the ratio of the lengths */
		p->original_max_position = read_original(top, r, max_position);
		p->factor = ax_read_num(r, "factor", (double)max_position / (double)p->original_max_position, 1e-6, 1e9);
	} else if (p->kind != AX_ROTARY_DEFAULT) {
		if (p->kind != AX_ROTARY_LINEAR)
			p->original_max_position = p->kind == AX_ROTARY_LLAMA3 ? read_original(top, r, max_position) : max_position;
		p->factor = ax_read_num(r, "factor", -1, 1e-6, 1e9);
	}
	if (p->kind == AX_ROTARY_LLAMA3) {
		p->low_freq_factor = ax_read_num(r, "low_freq_factor", -1, 1e-9, 1e9);
		p->high_freq_factor = ax_read_num(r, "high_freq_factor", -1, 1e-9, 1e9);
		if (p->high_freq_factor == p->low_freq_factor)
			ax_read_fail(r, AX_EDATA, "high_freq_factor", "must differ from low_freq_factor");
	}
	if (p->kind == AX_ROTARY_YARN)
		read_yarn(p, r);
	if (p->kind == AX_ROTARY_LONGROPE)
		read_longrope(p, r, head_dim);
}

int ax_rotary_parse(struct ax_rotary *p, const struct ax_val *config, int head_dim, int64_t max_position, double theta, struct ax_err *e)
{
	struct ax_read top = { config, "", 0, e };
	const struct ax_val *scaling = ax_read_get(&top, "rope_scaling"); /* beats rope_parameters, unless it is {} */
	const char *key = scaling && (scaling->type != AX_MAP || scaling->n) ? "rope_scaling" : "rope_parameters";
	const struct ax_val *map = ax_read_get(&top, key);
	struct ax_read r = { map, key[5] == 'p' ? "rope_parameters." : "rope_scaling.", 0, e };

	memset(p, 0, sizeof(*p));
	p->attention_factor = 1;
	if (map && map->type != AX_MAP)
		ax_read_fail(&top, AX_EDATA, key, "a map is needed");
	for (size_t i = 0; map && map->type == AX_MAP && i < map->n; i++)
		if (map->u.pair[i].val->type == AX_MAP)
			ax_read_fail(&r, AX_EUSAGE, map->u.pair[i].key, "a rotary embedding a kind of layer is not supported");
	theta = ax_read_num(&top, "rope_theta", theta, 1.001, 1e15);
	if (top.rc)
		return top.rc;
	p->theta = ax_read_num(&r, "rope_theta", theta, 1.001, 1e15);
	if (ax_read_num(&r, "partial_rotary_factor", 1, 0, 1e9) != 1)
		ax_read_fail(&r, AX_EUSAGE, "partial_rotary_factor", "only 1 is supported");
	read_kind(p, &r);
	if (!r.rc)
		read_kind_values(p, &top, &r, head_dim, max_position);
	return top.rc ? top.rc : r.rc;
}

/* 1 / base^(2i/dim) in f32, as torch computes it from an f32 range. */
static float inverse_frequency(double base, int i, int dim)
{
	float x = (float)(2 * i) / (float)dim;

	return 1.0f / (float)pow((double)(float)base, (double)x);
}

static float llama3_frequency(const struct ax_rotary *p, float f)
{
	float old = (float)p->original_max_position, factor = (float)p->factor;
	float lo = (float)p->low_freq_factor, hi = (float)p->high_freq_factor;
	float wave = (float)TWO_PI / f, smooth;

	if ((double)wave > (double)p->original_max_position / p->low_freq_factor)
		return f / factor;
	if ((double)wave < (double)p->original_max_position / p->high_freq_factor)
		return f;
	smooth = (old / wave - lo) / (hi - lo);
	return (1 - smooth) * f / factor + smooth * f;
}

/* The dimension whose wave turns `rotations` times over the original context. */
static double yarn_dim(const struct ax_rotary *p, double rotations, int dim)
{
	return dim * log((double)p->original_max_position / (rotations * TWO_PI)) / (2 * log(p->theta));
}

static float yarn_frequency(const struct ax_rotary *p, int i, int dim)
{
	double low = yarn_dim(p, p->beta_fast, dim), high = yarn_dim(p, p->beta_slow, dim);
	float pos = (float)pow((double)(float)p->theta, (double)((float)(2 * i) / (float)dim));
	float ramp, extra = 1.0f / pos, inter = 1.0f / ((float)p->factor * pos);

	if (p->truncate) {
		low = floor(low);
		high = ceil(high);
	}
	low = low > 0 ? low : 0;
	high = high < dim - 1 ? high : dim - 1;
	if (low == high)
		high += 0.001;
	ramp = ((float)i - (float)low) / (float)(high - low);
	ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
	return inter * (1 - (1 - ramp)) + extra * (1 - ramp);
}

/* theta stretched for sequences of n tokens (dynamic NTK). */
static double dynamic_base(const struct ax_desc *d, int64_t n)
{
	double max = (double)d->max_position, len = (double)n > max ? (double)n : max, f = d->rope.factor;

	if (d->head_dim <= 2)
		return d->rope.theta;
	return d->rope.theta * pow(f * len / max - (f - 1), (double)d->head_dim / (d->head_dim - 2));
}

static float frequency(const struct ax_desc *d, int i, int64_t n)
{
	const struct ax_rotary *p = &d->rope;
	const float *ext;

	switch (p->kind) {
	case AX_ROTARY_LINEAR:
		return inverse_frequency(p->theta, i, d->head_dim) / (float)p->factor;
	case AX_ROTARY_DYNAMIC:
		return inverse_frequency(dynamic_base(d, n), i, d->head_dim);
	case AX_ROTARY_LLAMA3:
		return llama3_frequency(p, inverse_frequency(p->theta, i, d->head_dim));
	case AX_ROTARY_YARN:
		return yarn_frequency(p, i, d->head_dim);
	case AX_ROTARY_LONGROPE:
		ext = n > p->original_max_position ? p->long_factor : p->short_factor;
		return 1.0f / (ext[i] * (float)pow((double)(float)p->theta, (double)((float)(2 * i) / (float)d->head_dim)));
	case AX_ROTARY_DEFAULT:
		break;
	}
	return inverse_frequency(p->theta, i, d->head_dim);
}

int ax_rope_table(const struct ax_desc *d, float *table, int64_t n, struct ax_err *e)
{
	float f[AX_HEAD_DIM_MAX / 2], scale = (float)d->rope.attention_factor;
	int half = d->head_dim / 2;

	if (n < 1 || n > INT32_MAX)
		return ax_fail(e, AX_EUSAGE, "a rotary table of %lld positions", (long long)n);
	for (int i = 0; i < half; i++)
		f[i] = frequency(d, i, n);
	for (int64_t pos = 0; pos < n; pos++) {
		float *row = table + pos * d->head_dim;

		for (int i = 0; i < half; i++) {
			float angle = (float)pos * f[i];

			row[i] = cosf(angle) * scale;
			row[half + i] = sinf(angle) * scale;
		}
	}
	return 0;
}
