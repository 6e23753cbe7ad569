/*
 * Counter-based random numbers: a value is a pure function of (seed, stream, index), never of rank, thread or history,
 * so any rank can produce any element's value. Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC'11).
 */
#ifndef AX_BASE_RNG_H
#define AX_BASE_RNG_H

#include <stdint.h>

/* Purposes, so that two uses of one seed never share values. */
enum ax_rng_stream { AX_RNG_INIT = 1, AX_RNG_ROUND, AX_RNG_NOISE, AX_RNG_ORDER, AX_RNG_SPLIT, AX_RNG_SAMPLE };

/* Of functions that CUDA kernels use too. */
#ifdef __CUDACC__
#define AX_PURE static __host__ __device__ __forceinline__
#else
#define AX_PURE static inline
#endif

/* Four 32-bit words for counter (index, sub) under key (seed, stream). */
AX_PURE void ax_philox(uint64_t seed, uint32_t stream, uint64_t index, uint32_t sub, uint32_t out[4])
{
	uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32), c2 = sub, c3 = stream;
	uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);

	for (int r = 0; r < 10; r++) {
		uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
		uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;

		c1 = (uint32_t)p1;
		c3 = (uint32_t)p0;
		c0 = n0;
		c2 = n2;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

uint64_t ax_rand_u64(uint64_t seed, uint32_t stream, uint64_t index);
/* Uniform in [0, 1) with 53 bits. */
double ax_rand_unit(uint64_t seed, uint32_t stream, uint64_t index);
/* Standard normal by Box-Muller from one counter. */
double ax_rand_normal(uint64_t seed, uint32_t stream, uint64_t index);

/*
 * A keyed bijection of [0, n): position -> element, evaluated at one point without storing the permutation.
 * A balanced Feistel network over the smallest even number of bits that holds n - 1, walked until it lands inside
 * (cycle walking: fewer than four rounds of it on average).
 */
uint64_t ax_permute(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t i);

#endif
