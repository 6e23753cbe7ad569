/*
 * The device side of the CUDA runtime for the tests (C++17): qualifiers, intrinsics and typed forms of the C API. Only
 * what ax's kernels use; add to it deliberately, with the rounding and the corner cases of the real one.
 *
 * `__noinline__` stays undefined: libstdc++ spells an attribute that way.
 */
#ifndef AX_CUDASIM_CUDA_RUNTIME_H
#define AX_CUDASIM_CUDA_RUNTIME_H

#include <cmath>
#include <cstdint>
#include <cstring>

#include "cuda_runtime_api.h"
#include "cudasim.h"

#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

template <class T> inline cudaError_t cudaMalloc(T **p, size_t bytes)
{
	return cudaMalloc(reinterpret_cast<void **>(p), bytes);
}
template <class T> inline cudaError_t cudaMallocHost(T **p, size_t bytes)
{
	return cudaMallocHost(reinterpret_cast<void **>(p), bytes);
}
template <class T> inline cudaError_t cudaMallocAsync(T **p, size_t bytes, cudaStream_t s)
{
	return cudaMallocAsync(reinterpret_cast<void **>(p), bytes, s);
}
template <class... P> inline cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute attr, int value)
{
	return cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel), attr, value);
}
template <class... P> inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *a, void (*kernel)(P...))
{
	return cudaFuncGetAttributes(a, reinterpret_cast<const void *>(kernel));
}
template <class... P>
inline cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *n, void (*kernel)(P...), int threads, size_t smem)
{
	return cudaOccupancyMaxActiveBlocksPerMultiprocessor(n, reinterpret_cast<const void *>(kernel), threads, smem);
}

#define CUDASIM_MAKE2(name, type)                                                                                      \
	static CUDASIM_INLINE name make_##name(type x, type y)                                                         \
	{                                                                                                              \
		return {x, y};                                                                                         \
	}
#define CUDASIM_MAKE4(name, type)                                                                                      \
	static CUDASIM_INLINE name make_##name(type x, type y, type z, type w)                                         \
	{                                                                                                              \
		return {x, y, z, w};                                                                                   \
	}
CUDASIM_MAKE2(short2, short)
CUDASIM_MAKE2(ushort2, unsigned short)
CUDASIM_MAKE4(ushort4, unsigned short)
CUDASIM_MAKE4(uchar4, unsigned char)
CUDASIM_MAKE2(int2, int)
CUDASIM_MAKE4(int4, int)
CUDASIM_MAKE2(uint2, unsigned int)
CUDASIM_MAKE4(uint4, unsigned int)
CUDASIM_MAKE2(float2, float)
CUDASIM_MAKE4(float4, float)
CUDASIM_MAKE2(double2, double)
CUDASIM_MAKE2(longlong2, long long)
CUDASIM_MAKE2(ulonglong2, unsigned long long)

/* Bits. */
template <class To, class From> static CUDASIM_INLINE To cudasim_bits(From x)
{
	static_assert(sizeof(To) == sizeof(From), "bit casts keep the size");
	To y;
	memcpy(&y, &x, sizeof y);
	return y;
}
static CUDASIM_INLINE unsigned __float_as_uint(float x)
{
	return cudasim_bits<unsigned>(x);
}
static CUDASIM_INLINE int __float_as_int(float x)
{
	return cudasim_bits<int>(x);
}
static CUDASIM_INLINE float __uint_as_float(unsigned x)
{
	return cudasim_bits<float>(x);
}
static CUDASIM_INLINE float __int_as_float(int x)
{
	return cudasim_bits<float>(x);
}
static CUDASIM_INLINE int __popc(unsigned x)
{
	return __builtin_popcount(x);
}
static CUDASIM_INLINE int __clz(int x)
{
	return x ? __builtin_clz(static_cast<unsigned>(x)) : 32;
}
static CUDASIM_INLINE int __ffs(int x)
{
	return __builtin_ffs(x);
}
static CUDASIM_INLINE unsigned __umulhi(unsigned a, unsigned b)
{
	return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}

/* Mathematics: exact functions in place of the approximate ones. Macros where glibc has a function of that name. */
#define __expf(x) expf(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
static CUDASIM_INLINE float rsqrtf(float x)
{
	return 1.0f / sqrtf(x);
}
static CUDASIM_INLINE double rsqrt(double x)
{
	return 1.0 / ::sqrt(x);
}
static CUDASIM_INLINE float __fdividef(float x, float y)
{
	return x / y;
}
static CUDASIM_INLINE float __fdiv_rn(float x, float y)
{
	return x / y;
}
static CUDASIM_INLINE float __frcp_rn(float x)
{
	return 1.0f / x;
}
static CUDASIM_INLINE float __fsqrt_rn(float x)
{
	return sqrtf(x);
}
static CUDASIM_INLINE float __fadd_rn(float x, float y)
{
	return x + y;
}
static CUDASIM_INLINE float __fsub_rn(float x, float y)
{
	return x - y;
}
static CUDASIM_INLINE float __fmul_rn(float x, float y)
{
	return x * y;
}
static CUDASIM_INLINE float __fmaf_rn(float x, float y, float z)
{
	return fmaf(x, y, z);
}
static CUDASIM_INLINE float __saturatef(float x)
{
	return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}
static CUDASIM_INLINE int __float2int_rn(float x)
{
	return static_cast<int>(nearbyintf(x));
}
static CUDASIM_INLINE int __float2int_rd(float x)
{
	return static_cast<int>(floorf(x));
}
template <class A, class B> static CUDASIM_INLINE constexpr std::common_type_t<A, B> min(A a, B b)
{
	return b < a ? static_cast<std::common_type_t<A, B>>(b) : static_cast<std::common_type_t<A, B>>(a);
}
template <class A, class B> static CUDASIM_INLINE constexpr std::common_type_t<A, B> max(A a, B b)
{
	return a < b ? static_cast<std::common_type_t<A, B>>(b) : static_cast<std::common_type_t<A, B>>(a);
}
/* Of floats: the other one, where one is NaN. */
static CUDASIM_INLINE float min(float a, float b)
{
	return fminf(a, b);
}
static CUDASIM_INLINE float max(float a, float b)
{
	return fmaxf(a, b);
}

/* Memory. Cache hints mean nothing here. */
template <class T> static CUDASIM_INLINE T __ldg(const T *p)
{
	return *p;
}
template <class T> static CUDASIM_INLINE T __ldcs(const T *p)
{
	return *p;
}
template <class T> static CUDASIM_INLINE T __ldcg(const T *p)
{
	return *p;
}
template <class T> static CUDASIM_INLINE void __stcs(T *p, T v)
{
	*p = v;
}
template <class T> static CUDASIM_INLINE void __stcg(T *p, T v)
{
	*p = v;
}
CUDASIM_TWIN void __threadfence(void)
{
	cudasim_self->fenced = true;
}
static CUDASIM_INLINE void __threadfence_block(void)
{
}
static CUDASIM_INLINE unsigned __cvta_generic_to_shared(const void *p)
{
	return cudasim_shared_address(p);
}

/* Atomics: nothing else runs meanwhile. The access itself is made where the checker does not look. */
#define CUDASIM_UNSEEN static inline __attribute__((noinline, no_sanitize("thread")))
template <class T> CUDASIM_UNSEEN T cudasim_add(T *p, T v)
{
	T old = *p;
	*p = static_cast<T>(old + v);
	return old;
}
template <class T> CUDASIM_UNSEEN T cudasim_exchange(T *p, T v)
{
	T old = *p;
	*p = v;
	return old;
}
template <class T> CUDASIM_UNSEEN T cudasim_max(T *p, T v)
{
	T old = *p;
	*p = old < v ? v : old;
	return old;
}
template <class T> CUDASIM_UNSEEN T cudasim_min(T *p, T v)
{
	T old = *p;
	*p = v < old ? v : old;
	return old;
}
template <class T> CUDASIM_UNSEEN T cudasim_or(T *p, T v)
{
	T old = *p;
	*p = old | v;
	return old;
}
template <class T> CUDASIM_UNSEEN T cudasim_cas(T *p, T expected, T v)
{
	T old = *p;
	if (old == expected)
		*p = v;
	return old;
}
#define CUDASIM_ATOMIC(name, fn, type)                                                                                 \
	static CUDASIM_INLINE type name(type *p, type v)                                                               \
	{                                                                                                              \
		cudasim_atomic(p, sizeof *p);                                                                          \
		return fn(p, v);                                                                                       \
	}
CUDASIM_ATOMIC(atomicAdd, cudasim_add, int)
CUDASIM_ATOMIC(atomicAdd, cudasim_add, unsigned)
CUDASIM_ATOMIC(atomicAdd, cudasim_add, unsigned long long)
CUDASIM_ATOMIC(atomicAdd, cudasim_add, float)
CUDASIM_ATOMIC(atomicAdd, cudasim_add, double)
CUDASIM_ATOMIC(atomicExch, cudasim_exchange, int)
CUDASIM_ATOMIC(atomicExch, cudasim_exchange, unsigned)
CUDASIM_ATOMIC(atomicExch, cudasim_exchange, float)
CUDASIM_ATOMIC(atomicMax, cudasim_max, int)
CUDASIM_ATOMIC(atomicMax, cudasim_max, unsigned)
CUDASIM_ATOMIC(atomicMin, cudasim_min, int)
CUDASIM_ATOMIC(atomicMin, cudasim_min, unsigned)
CUDASIM_ATOMIC(atomicOr, cudasim_or, int)
CUDASIM_ATOMIC(atomicOr, cudasim_or, unsigned)
static CUDASIM_INLINE unsigned atomicCAS(unsigned *p, unsigned expected, unsigned v)
{
	cudasim_atomic(p, sizeof *p);
	return cudasim_cas(p, expected, v);
}
static CUDASIM_INLINE int atomicCAS(int *p, int expected, int v)
{
	cudasim_atomic(p, sizeof *p);
	return cudasim_cas(p, expected, v);
}
static CUDASIM_INLINE unsigned atomicInc(unsigned *p, unsigned limit)
{
	cudasim_atomic(p, sizeof *p);
	return cudasim_exchange(p, *p >= limit ? 0u : *p + 1u);
}

#endif
