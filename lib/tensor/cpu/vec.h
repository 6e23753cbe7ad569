/*
 * Vectors of VL floats (VL is defined by the including file before, by instruction set) through the compiler's vector
 * extension, so that one source serves every instruction set. Everything here is inline and belongs to that file.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tensor/ops.h"

#pragma GCC diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline, unused))

typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef uint32_t vu __attribute__((vector_size(4 * VL)));
typedef uint16_t vh __attribute__((vector_size(2 * VL)));

/* The same in memory, at any address and over any type. */
typedef float vf_mem __attribute__((vector_size(4 * VL), aligned(2), may_alias));
typedef uint16_t vh_mem __attribute__((vector_size(2 * VL), aligned(2), may_alias));

INLINE vf splat(float x)
{
	return x - (vf){ 0 };
}

INLINE vf pick(vi mask, vf a, vf b)
{
#if defined(__AVX512DQ__) && VL == 16
	return (vf)_mm512_mask_mov_ps((__m512)b, _mm512_movepi32_mask((__m512i)mask), (__m512)a);
#endif
	return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

/* The larger; b where either is a NaN. */
INLINE vf vmax(vf a, vf b)
{
#if defined(__AVX512F__) && VL == 16
	return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__) && VL == 8
	return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
	return pick(a > b, a, b);
#endif
}

/* Each 16 bits as 32, and the low 16 of each 32: compilers make a detour of the generic conversion. */
INLINE vu extend(vh h)
{
#if defined(__AVX512F__) && VL == 16
	return (vu)_mm512_cvtepu16_epi32((__m256i)h);
#elif defined(__AVX2__) && VL == 8
	return (vu)_mm256_cvtepu16_epi32((__m128i)h);
#else
	return __builtin_convertvector(h, vu);
#endif
}

INLINE vh truncate_to_half(vu u)
{
#if defined(__AVX512F__) && VL == 16
	return (vh)_mm512_cvtepi32_epi16((__m512i)u);
#elif defined(__AVX2__) && VL == 8
	__m256i x = _mm256_packus_epi32((__m256i)u, (__m256i)u);

	return (vh)_mm256_castsi256_si128(_mm256_permute4x64_epi64(x, 0x08));
#else
	return __builtin_convertvector(u, vh);
#endif
}

INLINE vf widen(vh h)
{
	return (vf)(extend(h) << 16);
}

/* To bf16, to nearest even; a NaN stays one. */
INLINE vh narrow(vf x)
{
	vu u = (vu)x, r = (u + 0x7fff + (u >> 16 & 1)) >> 16, nan = (u >> 16) | 0x40;

	return truncate_to_half((vu)pick(x != x, (vf)nan, (vf)r));
}

/* Elements i..i+VL of x, of type t (f32 or bf16). */
INLINE vf load(const void *p, enum ax_dtype t, size_t i)
{
	if (t == AX_F32)
		return *(const vf_mem *)(const void *)((const float *)p + i);
	return widen(*(const vh_mem *)(const void *)((const uint16_t *)p + i));
}

INLINE void store(void *p, enum ax_dtype t, size_t i, vf x)
{
	if (t == AX_F32)
		*(vf_mem *)(void *)((float *)p + i) = x;
	else
		*(vh_mem *)(void *)((uint16_t *)p + i) = narrow(x);
}

/* The same for the n < VL elements of a tail; lanes beyond are 0. */
INLINE vf load_tail(const void *p, enum ax_dtype t, size_t i, size_t n)
{
	float f[VL] = { 0 };
	uint16_t h[VL] = { 0 };

	if (t == AX_F32) {
		memcpy(f, (const float *)p + i, n * sizeof(*f));
		return load(f, t, 0);
	}
	memcpy(h, (const uint16_t *)p + i, n * sizeof(*h));
	return load(h, t, 0);
}

INLINE void store_tail(void *p, enum ax_dtype t, size_t i, vf x, size_t n)
{
	float f[VL];
	uint16_t h[VL];

	if (t == AX_F32) {
		store(f, t, 0, x);
		memcpy((float *)p + i, f, n * sizeof(*f));
		return;
	}
	store(h, t, 0, x);
	memcpy((uint16_t *)p + i, h, n * sizeof(*h));
}

INLINE vf load_n(const void *p, enum ax_dtype t, size_t i, size_t n)
{
	return n >= VL ? load(p, t, i) : load_tail(p, t, i, n);
}

INLINE void store_n(void *p, enum ax_dtype t, size_t i, vf x, size_t n)
{
	if (n >= VL)
		store(p, t, i, x);
	else
		store_tail(p, t, i, x, n);
}

/* x rounded to t and back. */
INLINE vf round_to(enum ax_dtype t, vf x)
{
	return t == AX_F32 ? x : widen(narrow(x));
}

INLINE vf vsqrt(vf x)
{
#if defined(__AVX512F__) && VL == 16
	return (vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__) && VL == 8
	return (vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__) && VL == 4
	return (vf)_mm_sqrt_ps((__m128)x);
#else
	for (int i = 0; i < VL; i++)
		x[i] = sqrtf(x[i]);
	return x;
#endif
}

INLINE float sum_lanes(vf x)
{
	float f[VL];

	memcpy(f, &x, sizeof(x));
	for (int n = VL / 2; n; n /= 2)
		for (int i = 0; i < n; i++)
			f[i] += f[i + n];
	return f[0];
}

INLINE float max_lanes(vf x)
{
	float f[VL];

	memcpy(f, &x, sizeof(x));
	for (int n = VL / 2; n; n /= 2)
		for (int i = 0; i < n; i++)
			f[i] = f[i] > f[i + n] ? f[i] : f[i + n];
	return f[0];
}

/*
 * e^x within 1 ulp or so: x = n ln 2 + r, |r| <= ln 2 / 2, polynomial of degree 6. Below -87.3 it is 0, above 88.3
 * infinity; NaN stays NaN.
 */
INLINE vf vexp(vf x)
{
#if defined(__AVX512F__) && VL == 16
	/* Beyond the ends the scaling by 2^n makes 0 and infinity; max and min give their second operand for a NaN. */
	__m512 v = _mm512_min_ps(_mm512_set1_ps(89), _mm512_max_ps(_mm512_set1_ps(-104), (__m512)x));
	vf n = (vf)_mm512_roundscale_ps(_mm512_mul_ps(v, _mm512_set1_ps(1.44269504f)), 0), r, p;

	r = (vf)v - n * 0.693359375f + n * 2.12194440e-4f;
#else
	const vf magic = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
	vf t = x * 1.44269504f + magic, n = t - magic, r = x - n * 0.693359375f + n * 2.12194440e-4f, p;
	vu scale = ((vu)t - (vu)magic) << 23;

#endif
	p = r * 1.9875691500e-4f + 1.3981999507e-3f;
	p = ((p * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r + 1.6666665459e-1f;
	p = (p * r + 5.0000001201e-1f) * (r * r) + r + 1.0f;
#if defined(__AVX512F__) && VL == 16
	return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
	p = (vf)((vu)p + scale);
	p = pick(x < -87.33f, splat(0), p);
	return pick(x > 88.37f, splat(INFINITY), pick(x != x, x, p));
#endif
}

/* 2^x for x <= 0 or so: polynomial of degree 6 on [-1/2, 1/2]. NaN stays NaN, -infinity gives 0. */
INLINE vf vexp2(vf x)
{
#if defined(__AVX512F__) && VL == 16
	vf v = (vf)_mm512_max_ps(_mm512_set1_ps(-150), (__m512)x), n = (vf)_mm512_roundscale_ps((__m512)v, 0), r = v - n, p;
#else
	const vf magic = splat(12582912.0f);
	vf t = x + magic, n = t - magic, r = x - n, p;
#endif

	p = (r * 1.5403530e-4f + 1.33335581e-3f) * r + 9.61812911e-3f;
	p = ((p * r + 5.55041087e-2f) * r + 2.40226507e-1f) * r + 6.93147181e-1f;
	p = p * r + 1.0f;
#if defined(__AVX512F__) && VL == 16
	return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
	p = (vf)((vu)p + (((vu)t - (vu)magic) << 23));
	return pick(x < -125.9f, splat(0), pick(x != x, x, p));
#endif
}

/* tanh: an odd polynomial near 0, where 1 - 2/(e^2x + 1) would cancel. */
INLINE vf vtanh(vf x)
{
	vf z = x * x, p = z * -5.70498872745e-3f + 2.06390887954e-2f, big = 1.0f - 2.0f / (vexp(x + x) + 1.0f);

	p = ((p * z - 5.37397155531e-2f) * z + 1.33314422036e-1f) * z - 3.33332819422e-1f;
	return pick((x < 0.625f) & (x > -0.625f), p * z * x + x, big);
}

/* erf, absolute error below 2e-7 (Abramowitz and Stegun 7.1.26). */
INLINE vf verf(vf x)
{
	vf a = vmax(x, -x), t = 1.0f / (1.0f + 0.3275911f * a), p = t * 1.061405429f - 1.453152027f;
	vf y;

	p = ((p * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f;
	y = 1.0f - p * t * vexp(-x * x);
	return pick(x < 0.0f, -y, y);
}
