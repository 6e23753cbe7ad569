/*
 * Counter-based random numbers: a value is a pure function of (seed, stream, index), never of rank, thread or history,
 * so any rank can produce any element's value. Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC'11).
 */
#ifndef AX_BASE_RNG_H
#define AX_BASE_RNG_H

#include <stdint.h>

/* Purposes, so that two uses of one seed never share values. */
enum ax_rng_stream { AX_RNG_INIT = 1, AX_RNG_ROUND, AX_RNG_NOISE, AX_RNG_ORDER, AX_RNG_SPLIT, AX_RNG_SAMPLE };

/* Four 32-bit words for counter (index, sub) under key (seed, stream). */
void ax_philox(uint64_t seed, uint32_t stream, uint64_t index, uint32_t sub, uint32_t out[4]);

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
