#include "model/init.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"

/* Box-Muller gives two normals a counter: element i takes one of pair i / 2. */
static void normal_pair(uint64_t seed, uint64_t pair, double out[2])
{
	uint32_t w[4];
	double r, a;

	ax_philox(seed, AX_RNG_INIT, pair, 0, w);
	r = ((double)(((uint64_t)w[1] << 32 | w[0]) >> 11) + 1.0) * 0x1p-53; /* (0, 1]: the logarithm is finite */
	a = (double)(((uint64_t)w[3] << 32 | w[2]) >> 11) * 0x1p-53;
	r = sqrt(-2.0 * log(r));
	a *= 6.283185307179586476925286766559;
	out[0] = r * cos(a);
	out[1] = r * sin(a);
}

void ax_init_fill(const struct ax_desc *d, const struct ax_param *p, uint64_t seed, size_t a, size_t b, float *out)
{
	size_t n = strlen(p->name);
	bool bias = n >= 5 && !strcmp(p->name + n - 5, ".bias");
	uint64_t key = ax_mix64(seed ^ ax_hash64(p->name, n));
	double z[2] = { 0, 0 };

	if (p->n_dim == 1) {
		for (size_t i = a; i < b; i++)
			out[i - a] = bias ? 0 : 1;
		return;
	}
	for (size_t i = a; i < b; i++) {
		if (i == a || i % 2 == 0)
			normal_pair(key, i / 2, z);
		out[i - a] = (float)(z[i % 2] * (double)d->init_std);
	}
}

static double element(const void *table, enum ax_dtype t, size_t i)
{
	switch (t) {
	case AX_BF16:
		return (double)ax_bf16_to_f32(((const uint16_t *)table)[i]);
	case AX_F16:
		return (double)ax_f16_to_f32(((const uint16_t *)table)[i]);
	default:
		return (double)((const float *)table)[i];
	}
}

void ax_init_mean_row(float *mean, double *sum, const void *table, enum ax_dtype t, int64_t n_row, int C)
{
	memset(sum, 0, (size_t)C * sizeof(*sum));
	for (int64_t r = 0; r < n_row; r++)
		for (int c = 0; c < C; c++)
			sum[c] += element(table, t, (size_t)r * (size_t)C + (size_t)c);
	for (int c = 0; c < C; c++)
		mean[c] = (float)(sum[c] / (double)(n_row > 0 ? n_row : 1));
}
