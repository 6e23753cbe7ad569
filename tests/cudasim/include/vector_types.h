/*
 * CUDA's vector types for host and device code of the tests (C11 and C++17): layout and alignment are the toolkit's.
 * Only what ax uses; a kernel that needs another adds it here.
 */
#ifndef AX_CUDASIM_VECTOR_TYPES_H
#define AX_CUDASIM_VECTOR_TYPES_H

#ifdef __cplusplus
#define CUDASIM_ALIGN(n) alignas(n)
#else
#define CUDASIM_ALIGN(n) _Alignas(n)
#endif

/* The alignment of a vector is that of its first member. */
#define CUDASIM_VEC2(type, name, bytes)                                                                                \
	struct name {                                                                                                  \
		CUDASIM_ALIGN(bytes) type x;                                                                           \
		type y;                                                                                                \
	};                                                                                                             \
	typedef struct name name;
#define CUDASIM_VEC3(type, name)                                                                                       \
	struct name {                                                                                                  \
		type x, y, z;                                                                                          \
	};                                                                                                             \
	typedef struct name name;
#define CUDASIM_VEC4(type, name, bytes)                                                                                \
	struct name {                                                                                                  \
		CUDASIM_ALIGN(bytes) type x;                                                                           \
		type y, z, w;                                                                                          \
	};                                                                                                             \
	typedef struct name name;

CUDASIM_VEC2(short, short2, 4)
CUDASIM_VEC2(unsigned short, ushort2, 4)
CUDASIM_VEC4(unsigned short, ushort4, 8)
CUDASIM_VEC4(unsigned char, uchar4, 4)
CUDASIM_VEC2(int, int2, 8)
CUDASIM_VEC3(int, int3)
CUDASIM_VEC4(int, int4, 16)
CUDASIM_VEC2(unsigned int, uint2, 8)
CUDASIM_VEC3(unsigned int, uint3)
CUDASIM_VEC4(unsigned int, uint4, 16)
CUDASIM_VEC2(float, float2, 8)
CUDASIM_VEC3(float, float3)
CUDASIM_VEC4(float, float4, 16)
CUDASIM_VEC2(double, double2, 16)
CUDASIM_VEC2(long long, longlong2, 16)
CUDASIM_VEC2(unsigned long long, ulonglong2, 16)

struct dim3 {
	unsigned int x, y, z;
#ifdef __cplusplus
	constexpr dim3(unsigned int vx = 1, unsigned int vy = 1, unsigned int vz = 1) : x(vx), y(vy), z(vz)
	{
	}
#endif
};
typedef struct dim3 dim3;

#endif
