/*
 * Stochastic rounding, and AdamW's moments in 8 bits: the definitions that every device follows.
 *
 * A value x between two neighbours a < b of a coarser type becomes b with probability (x - a) / (b - a), else a: its
 * expectation is x. To nearest would not do for a state that changes little in each step: with beta2 = 0.999 the second
 * moment moves by 0.1 % of itself, a bf16 has neighbours 0.4 to 0.8 % away, an 8-bit code 6 to 12 %, so it would stand still;
 * and so would a bf16 weight under a small learning rate. A value that the coarser type has is never changed.
 *
 * Random numbers are a function of (seed, update, what is rounded, logical index), never of rank, thread or slice: 16 bits an
 * element, from one Philox counter for eight neighbours.
 *
 * 8 bits: blocks of AX_Q8_BLOCK elements of a parameter, with one scale each: S, the least power of two that is not below the
 * block's largest magnitude. A code is a float of few bits: 8 values an octave (3 bits of mantissa), counted down from S, so that
 * packing and unpacking are shifts and additions of the bits of an f32, exact on every device (kernels include this file).
 *	second moment  unsigned: code k = 1..255 is S * 2^((k - 255) / 8) with the mantissa linear inside an octave: 32 octaves.
 *		       A positive value below the smallest code (2^-32 of the largest) becomes that code, never 0: a step is
 *		       divided by its root.
 *	first moment   a sign (bit 7) and k = 1..127, 16 octaves; what is smaller is rounded stochastically between 0 and code 1.
 * Code 0 is 0. Why not linear codes: in a block with one large gradient (a rare token's row, an outlier) a small element's
 * first moment would jump between 0 and 1/127 of the largest, many times what its own second moment is made for.
 */
#ifndef AX_TENSOR_ROUND_H
#define AX_TENSOR_ROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/rng.h"

#define AX_Q8_BLOCK 256

/* What is rounded: two values of one element never share random bits. */
enum ax_round { AX_ROUND_M, AX_ROUND_V, AX_ROUND_W };

/* The bits that round to nearest (ties up). */
#define AX_ROUND_NEAREST 0x8000

/* Random bits of elements 8 group .. 8 group + 8 (logical indices) in update t < 2^30. */
AX_PURE void ax_round_bits(uint16_t r[8], uint64_t seed, uint64_t t, enum ax_round what, uint64_t group)
{
	uint32_t x[4];

	ax_philox(seed, AX_RNG_ROUND, group, (uint32_t)(t << 2) | (uint32_t)what, x);
	for (int i = 0; i < 4; i++) {
		r[2 * i] = (uint16_t)x[i];
		r[2 * i + 1] = (uint16_t)(x[i] >> 16);
	}
}

AX_PURE uint32_t ax_float_bits(float x)
{
	uint32_t b;

	memcpy(&b, &x, sizeof(b));
	return b;
}

AX_PURE float ax_bits_float(uint32_t b)
{
	float x;

	memcpy(&x, &b, sizeof(x));
	return x;
}

/* x in bf16. NaN stays NaN. */
AX_PURE uint16_t ax_round_bf16(float x, uint16_t r)
{
	uint32_t b = ax_float_bits(x);

	return (uint16_t)((b & 0x7fffffff) > 0x7f800000 ? b >> 16 | 0x40 : (b + r) >> 16);
}

/* S for a block whose largest magnitude is `most`. Kept within [2^-94, 2^127]: all codes are normal numbers. */
AX_PURE float ax_q8_scale(float most)
{
	uint32_t e = ((ax_float_bits(most) & 0x7fffffff) + 0x7fffff) >> 23;

	return ax_bits_float((e < 33 ? 33 : e > 254 ? 254 : e) << 23);
}

/* The bits of |x| rounded to 3 bits of mantissa, down there. */
AX_PURE int32_t ax_q8_cut(uint32_t magnitude, uint16_t r)
{
	return (int32_t)((magnitude + ((uint32_t)r << 4 | 8)) >> 20);
}

AX_PURE uint8_t ax_q8_pack_m(float x, float scale, uint16_t r)
{
	uint32_t b = ax_float_bits(x), a = b & 0x7fffffff, sign = b >> 31 << 7;
	int32_t one = (int32_t)(ax_float_bits(scale) >> 20) - 126, k = ax_q8_cut(a, r) - one + 1;
	uint32_t least = (uint32_t)one << 20;

	if (a < least) /* both sides of the comparison are exact */
		k = ax_bits_float(a) > (float)r * (ax_bits_float(least) * 0x1p-16f);
	k = k > 127 ? 127 : k;
	return (uint8_t)(k ? sign | (uint32_t)k : 0);
}

AX_PURE uint8_t ax_q8_pack_v(float x, float scale, uint16_t r)
{
	uint32_t a = ax_float_bits(x) & 0x7fffffff;
	int32_t k = ax_q8_cut(a, r) - (int32_t)(ax_float_bits(scale) >> 20) + 255;

	return (uint8_t)(a == 0 ? 0 : k < 1 ? 1 : k > 255 ? 255 : k);
}

AX_PURE float ax_q8_unpack_m(uint8_t k, float scale)
{
	uint32_t top = (ax_float_bits(scale) >> 20) - 127;

	return k & 0x7f ? ax_bits_float((top + (k & 0x7fu)) << 20 | (uint32_t)(k >> 7) << 31) : 0;
}

AX_PURE float ax_q8_unpack_v(uint8_t k, float scale)
{
	return k ? ax_bits_float(((ax_float_bits(scale) >> 20) - 255 + k) << 20) : 0;
}

/* Blocks of n elements. */
AX_PURE size_t ax_q8_blocks(size_t n)
{
	return n / AX_Q8_BLOCK + (n % AX_Q8_BLOCK != 0);
}

/*
 * n elements to codes and scales, to nearest, and back; `first`: of the first moment. What was unpacked is packed to the same
 * values (a block whose largest value fell to a power of two gets a smaller scale, and other codes for them).
 */
#ifdef __cplusplus
extern "C" {
#endif
void ax_q8_pack(uint8_t *code, float *scale, const float *x, size_t n, bool first);
void ax_q8_unpack(float *x, const uint8_t *code, const float *scale, size_t n, bool first);
#ifdef __cplusplus
}
#endif

#endif
