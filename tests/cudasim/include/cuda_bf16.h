/*
 * bf16 and its conversions as the toolkit's (C++17). Storage only, as the kernels' rules want it: no arithmetic. Rounding
 * is to nearest, ties to even; any NaN becomes 0x7fff. tests/cudasim/self compares all inputs with the toolkit's.
 */
#ifndef AX_CUDASIM_CUDA_BF16_H
#define AX_CUDASIM_CUDA_BF16_H

#include "cuda_runtime.h"

struct alignas(2) __nv_bfloat16 {
	unsigned short bits;
};
struct alignas(4) __nv_bfloat162 {
	__nv_bfloat16 x, y;
};

static CUDASIM_INLINE __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits)
{
	return {bits};
}
static CUDASIM_INLINE unsigned short __bfloat16_as_ushort(__nv_bfloat16 h)
{
	return h.bits;
}
static CUDASIM_INLINE __nv_bfloat16 __float2bfloat16_rn(float x)
{
	unsigned u = __float_as_uint(x);
	if ((u & 0x7fffffffu) > 0x7f800000u)
		return {0x7fff};
	return {static_cast<unsigned short>((u + 0x7fffu + (u >> 16 & 1u)) >> 16)};
}
static CUDASIM_INLINE __nv_bfloat16 __float2bfloat16(float x)
{
	return __float2bfloat16_rn(x);
}
static CUDASIM_INLINE float __bfloat162float(__nv_bfloat16 h)
{
	return __uint_as_float(static_cast<unsigned>(h.bits) << 16);
}
static CUDASIM_INLINE __nv_bfloat162 __floats2bfloat162_rn(float x, float y)
{
	return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
static CUDASIM_INLINE float2 __bfloat1622float2(__nv_bfloat162 h)
{
	return {__bfloat162float(h.x), __bfloat162float(h.y)};
}
static CUDASIM_INLINE float __low2float(__nv_bfloat162 h)
{
	return __bfloat162float(h.x);
}
static CUDASIM_INLINE float __high2float(__nv_bfloat162 h)
{
	return __bfloat162float(h.y);
}

#endif
