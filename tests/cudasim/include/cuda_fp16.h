/* fp16, stored and converted only (C++17): to nearest even, NaN becomes 0x7fff, overflow infinity. */
#ifndef AX_CUDASIM_CUDA_FP16_H
#define AX_CUDASIM_CUDA_FP16_H

#include "cuda_runtime.h"

struct alignas(2) __half {
	unsigned short bits;
};

static CUDASIM_INLINE __half __ushort_as_half(unsigned short bits)
{
	return {bits};
}
static CUDASIM_INLINE unsigned short __half_as_ushort(__half h)
{
	return h.bits;
}
static CUDASIM_INLINE float __half2float(__half h)
{
	unsigned sign = (h.bits & 0x8000u) << 16, exponent = h.bits >> 10 & 31u, fraction = h.bits & 0x3ffu;
	if (exponent == 31)
		return __uint_as_float(fraction ? 0x7fffffffu : sign | 0x7f800000u);
	float magnitude = exponent ? __uint_as_float((exponent + 112) << 23 | fraction << 13)
				   : static_cast<float>(fraction) * 0x1p-24f;
	return __uint_as_float(sign | __float_as_uint(magnitude));
}
static CUDASIM_INLINE __half __float2half_rn(float x)
{
	unsigned u = __float_as_uint(x), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
	if (a > 0x7f800000u)
		return {0x7fff};
	if (a >= 0x477ff000u)
		return {static_cast<unsigned short>(sign | 0x7c00u)};
	/* Below 2^-14 halves are multiples of 2^-24: adding 2^-1 leaves exactly those bits, rounded by the hardware. */
	if (a < 0x38800000u)
		return {static_cast<unsigned short>(sign | (__float_as_uint(__uint_as_float(a) + 0.5f) - 0x3f000000u))};
	return {static_cast<unsigned short>(sign | ((a - 0x38000000u + 0xfffu + (a >> 13 & 1u)) >> 13))};
}
static CUDASIM_INLINE __half __float2half(float x)
{
	return __float2half_rn(x);
}

#endif
