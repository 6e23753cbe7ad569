#include "base/rng.h"

#include <math.h>

#include "base/hash.h"

uint64_t ax_rand_u64(uint64_t seed, uint32_t stream, uint64_t index)
{
	uint32_t w[4];

	ax_philox(seed, stream, index, 0, w);
	return (uint64_t)w[1] << 32 | w[0];
}

double ax_rand_unit(uint64_t seed, uint32_t stream, uint64_t index)
{
	return (double)(ax_rand_u64(seed, stream, index) >> 11) * 0x1p-53;
}

double ax_rand_normal(uint64_t seed, uint32_t stream, uint64_t index)
{
	uint32_t w[4];
	double u, v;

	ax_philox(seed, stream, index, 0, w);
	u = ((double)(((uint64_t)w[1] << 32 | w[0]) >> 11) + 1.0) * 0x1p-53; /* (0, 1]: the logarithm is finite */
	v = (double)(((uint64_t)w[3] << 32 | w[2]) >> 11) * 0x1p-53;
	return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925286766559 * v);
}

uint64_t ax_permute(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t i)
{
	uint64_t key = ax_mix64(seed ^ ax_mix64(epoch)), mask;
	int half = 1;

	while (half < 32 && ((uint64_t)1 << (2 * half)) < n)
		half++;
	mask = ((uint64_t)1 << half) - 1;
	do {
		uint64_t l = i >> half, r = i & mask;

		for (uint64_t round = 0; round < 6; round++) {
			uint64_t f = ax_mix64(key ^ (round << 56) ^ r) & mask;
			uint64_t t = l ^ f;

			l = r;
			r = t;
		}
		i = l << half | r;
	} while (i >= n);
	return i;
}
