/*
 * What every CUDA kernel is written in: launches, shared memory, warp and block reductions, 16-byte accesses, bf16, and
 * the only inline PTX of the project.
 *
 * The same .cu file compiles with nvcc (sm_80, sm_90, sm_100) and, for the tests, with g++ or clang++ against the
 * stand-in headers of tests/cudasim, where a block's threads are fibers. Below, the device's code and its host twin
 * stand beside each other; the twin is written from the definition in the PTX manual, not from our kernels.
 *
 * Rules (tests/lint/cuda.sh enforces what a script can):
 *  1. Launch with AX_LAUNCH, on a named stream. Shared memory only by AX_SHARED and AX_DYN_SHARED.
 *  2. No asm outside this header. Only the intrinsics the stand-in lists.
 *  3. No return and no divergent branch before a barrier or warp operation unless the whole block (or warp) takes it.
 *     Warp operations: full mask, all 32 lanes, blocks a multiple of 32 threads.
 *  4. __syncwarp() around each exchange through shared memory inside a warp; a barrier after each cp.async wait.
 *  5. No block waits for another. "The last block does the rest" by an atomic counter (with __threadfence) is fine.
 *  6. 16-byte accesses only through ax_ld16/ax_st16 and what is built on them; the host asserts the alignment.
 *  7. bf16 is storage, arithmetic is in f32. Indices in size_t where a product can pass 2^31; no signed overflow.
 *  8. Helpers with a barrier or warp operation inside are AX_DEVICE (forced inline) and take AX_AT as last parameter and
 *     pass it on with AX_PASS, so that a message about a barrier names the kernel's line, not the helper's.
 *  9. Nothing from CUB, Thrust, libcu++ or cooperative groups; no __constant__, textures, managed memory; no atomics but
 *     those the stand-in lists.
 */
#ifndef AX_TENSOR_CUDA_DEVICE_H
#define AX_TENSOR_CUDA_DEVICE_H

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stddef.h>
#include <stdint.h>

#define AX_DEVICE static __device__ __forceinline__
#define AX_WARP 32
#define AX_FULL 0xffffffffu

/*
 * AX_LAUNCH(kernel, grid, block, dynamic shared bytes, stream, arguments...)
 *     A template's name in parentheses: AX_LAUNCH((flash_fwd<64, 1>), grid, block, smem, s, q, k, v). Asynchronous; an
 *     impossible launch shows in cudaGetLastError().
 * AX_SHARED(type, name, [dims])
 *     A static shared array, aligned to 16 bytes: AX_SHARED(float, tile, [32][33]). Empty dims: one variable.
 * AX_DYN_SHARED(type, name)
 *     `type *name` = the launch's dynamic shared memory, aligned to 128 bytes.
 * AX_AT, AX_PASS (AX_PASS0 where there is no other argument): see rule 8.
 *     AX_DEVICE float f(float x AX_AT) { __syncthreads(AX_PASS0); return ax_warp_sum(x AX_PASS); }
 * AX_UNROLL before a loop whose trip count is known: the registers of its arrays then are registers.
 */
#ifdef __CUDACC__

#define AX_LAUNCH(kernel, grid, block, smem, stream, ...) kernel<<<(grid), (block), (smem), (stream)>>>(__VA_ARGS__)
#define AX_SHARED(type, name, dims) __shared__ __align__(16) type name dims
#define AX_DYN_SHARED(type, name)                                                                                      \
	extern __shared__ __align__(128) unsigned char ax_dyn_shared_memory[];                                         \
	type *name = reinterpret_cast<type *>(ax_dyn_shared_memory)
#define AX_AT
#define AX_PASS
#define AX_PASS0
#define AX_UNROLL _Pragma("unroll")

#else

#define AX_LAUNCH(kernel, grid, block, smem, stream, ...)                                                              \
	cudasim_launch(#kernel, CUDASIM_HERE, kernel, grid, block, smem, stream, ##__VA_ARGS__)
#define AX_SHARED(type, name, dims)                                                                                    \
	static cudasim_slot name##_slot;                                                                               \
	using name##_type = type dims;                                                                                 \
	name##_type &name = *static_cast<name##_type *>(cudasim_shared(&name##_slot, sizeof(name##_type), #name))
#define AX_DYN_SHARED(type, name) type *name = static_cast<type *>(cudasim_dyn_shared())
#define AX_AT , cudasim_place at = CUDASIM_HERE
#define AX_PASS , at
#define AX_PASS0 at
#define AX_UNROLL

#endif

/* --- bf16 ------------------------------------------------------------------------------------------------ */

typedef __nv_bfloat16 ax_bf16;

AX_DEVICE float ax_to_f32(float x)
{
	return x;
}
AX_DEVICE float ax_to_f32(ax_bf16 x)
{
	return __bfloat162float(x);
}
/* ax_from_f32<T>(x): x in type T, to nearest even. */
template <class T> AX_DEVICE T ax_from_f32(float x);
template <> __device__ __forceinline__ float ax_from_f32<float>(float x)
{
	return x;
}
template <> __device__ __forceinline__ ax_bf16 ax_from_f32<ax_bf16>(float x)
{
	return __float2bfloat16_rn(x);
}

/* Two bf16 in a register, the first in the low half, as mma and memory have them. */
AX_DEVICE uint32_t ax_pack_bf16(float low, float high)
{
	__nv_bfloat162 h = __floats2bfloat162_rn(low, high);
	uint32_t bits;
	memcpy(&bits, &h, sizeof bits);
	return bits;
}
AX_DEVICE float ax_low_bf16(uint32_t two)
{
	return __uint_as_float(two << 16);
}
AX_DEVICE float ax_high_bf16(uint32_t two)
{
	return __uint_as_float(two & 0xffff0000u);
}

/* --- 16-byte accesses ------------------------------------------------------------------------------------ */

/* p is aligned to 16 bytes; the tests see to it. */
AX_DEVICE void ax_require_16(const void *p)
{
#ifndef __CUDACC__
	if (reinterpret_cast<uintptr_t>(p) % 16)
		cudasim_die("misaligned 16-byte access at %p", p);
#else
	(void)p;
#endif
}
AX_DEVICE uint4 ax_ld16(const void *p)
{
	ax_require_16(p);
	return *static_cast<const uint4 *>(p);
}
AX_DEVICE void ax_st16(void *p, uint4 v)
{
	ax_require_16(p);
	*static_cast<uint4 *>(p) = v;
}
/* The same, p in global memory and not in shared: one instruction, where of the assignment above nvcc often makes four. */
AX_DEVICE void ax_st16_global(void *p, uint4 v)
{
	ax_require_16(p);
#ifdef __CUDACC__
	asm volatile("st.global.v4.u32 [%0], {%1,%2,%3,%4};" ::"l"(__cvta_generic_to_global(p)), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
#else
	cudasim_require_global(p);
	*static_cast<uint4 *>(p) = v;
#endif
}

/* Eight elements <-> eight floats: one 16-byte access of bf16 or two of f32. ax_st8: to global memory. */
AX_DEVICE void ax_ld8(float (&x)[8], const ax_bf16 *p)
{
	uint4 v = ax_ld16(p);
	x[0] = ax_low_bf16(v.x), x[1] = ax_high_bf16(v.x), x[2] = ax_low_bf16(v.y), x[3] = ax_high_bf16(v.y);
	x[4] = ax_low_bf16(v.z), x[5] = ax_high_bf16(v.z), x[6] = ax_low_bf16(v.w), x[7] = ax_high_bf16(v.w);
}
AX_DEVICE void ax_ld8(float (&x)[8], const float *p)
{
	uint4 a = ax_ld16(p), b = ax_ld16(p + 4);
	x[0] = __uint_as_float(a.x), x[1] = __uint_as_float(a.y), x[2] = __uint_as_float(a.z),
	x[3] = __uint_as_float(a.w);
	x[4] = __uint_as_float(b.x), x[5] = __uint_as_float(b.y), x[6] = __uint_as_float(b.z),
	x[7] = __uint_as_float(b.w);
}
AX_DEVICE void ax_st8(ax_bf16 *p, const float (&x)[8])
{
	uint4 v;
	v.x = ax_pack_bf16(x[0], x[1]), v.y = ax_pack_bf16(x[2], x[3]);
	v.z = ax_pack_bf16(x[4], x[5]), v.w = ax_pack_bf16(x[6], x[7]);
	ax_st16_global(p, v);
}
AX_DEVICE void ax_st8(float *p, const float (&x)[8])
{
	uint4 a, b;
	a.x = __float_as_uint(x[0]), a.y = __float_as_uint(x[1]), a.z = __float_as_uint(x[2]),
	a.w = __float_as_uint(x[3]);
	b.x = __float_as_uint(x[4]), b.y = __float_as_uint(x[5]), b.z = __float_as_uint(x[6]),
	b.w = __float_as_uint(x[7]);
	ax_st16_global(p, a);
	ax_st16_global(p + 4, b);
}

/* --- warp and block reductions --------------------------------------------------------------------------- */

/*
 * Every lane gets the sum (maximum) over the warp. The order is that of the butterfly 16, 8, 4, 2, 1 on both sides, so
 * the sum is the same number in all lanes and in the tests. T: float, double, int, unsigned.
 */
#ifdef __CUDACC__
template <class T> AX_DEVICE T ax_warp_sum(T x)
{
#pragma unroll
	for (int bit = 16; bit > 0; bit >>= 1)
		x += __shfl_xor_sync(AX_FULL, x, bit);
	return x;
}
template <class T> AX_DEVICE T ax_warp_max(T x)
{
#pragma unroll
	for (int bit = 16; bit > 0; bit >>= 1)
		x = max(x, __shfl_xor_sync(AX_FULL, x, bit));
	return x;
}
#else
/* One meeting of the lanes in place of five. */
template <class T> CUDASIM_TWIN void ax_warp_sum_twin(void *const lane[32], unsigned)
{
	T x[32];
	for (int l = 0; l < 32; l++)
		x[l] = *static_cast<T *>(lane[l]);
	for (int n = 16; n > 0; n >>= 1)
		for (int l = 0; l < n; l++)
			x[l] = static_cast<T>(x[l] + x[l + n]);
	for (int l = 0; l < 32; l++)
		*static_cast<T *>(lane[l]) = x[0];
}
template <class T> CUDASIM_TWIN void ax_warp_max_twin(void *const lane[32], unsigned)
{
	T most = *static_cast<T *>(lane[0]);
	for (int l = 1; l < 32; l++)
		most = max(most, *static_cast<T *>(lane[l]));
	for (int l = 0; l < 32; l++)
		*static_cast<T *>(lane[l]) = most;
}
template <class T> AX_DEVICE T ax_warp_sum(T x AX_AT)
{
	cudasim_collective(ax_warp_sum_twin<T>, AX_FULL, &x, at);
	return x;
}
template <class T> AX_DEVICE T ax_warp_max(T x AX_AT)
{
	cudasim_collective(ax_warp_max_twin<T>, AX_FULL, &x, at);
	return x;
}
#endif

/*
 * Every thread gets the sum (maximum) over the block: blockDim.x threads in one dimension, a multiple of 32. `part` is
 * shared memory of 32 elements, free for the next such call at once and for anything else after a barrier.
 */
template <class T> AX_DEVICE T ax_block_sum(T x, T *part AX_AT)
{
	const unsigned lane = threadIdx.x % AX_WARP, warp = threadIdx.x / AX_WARP, n_warp = blockDim.x / AX_WARP;
	x = ax_warp_sum(x AX_PASS);
	if (n_warp == 1)
		return x;
	__syncthreads(AX_PASS0);
	if (lane == 0)
		part[warp] = x;
	__syncthreads(AX_PASS0);
	return ax_warp_sum(lane < n_warp ? part[lane] : T(0) AX_PASS);
}
template <class T> AX_DEVICE T ax_block_max(T x, T *part AX_AT)
{
	const unsigned lane = threadIdx.x % AX_WARP, warp = threadIdx.x / AX_WARP, n_warp = blockDim.x / AX_WARP;
	x = ax_warp_max(x AX_PASS);
	if (n_warp == 1)
		return x;
	__syncthreads(AX_PASS0);
	if (lane == 0)
		part[warp] = x;
	__syncthreads(AX_PASS0);
	return ax_warp_max(part[lane < n_warp ? lane : 0] AX_PASS);
}

/* --- PTX ------------------------------------------------------------------------------------------------- */

/* 2^x, flushing denormals, to about 2 ulp. 2^-inf is 0. */
AX_DEVICE float ax_exp2(float x)
{
#ifdef __CUDACC__
	float y;
	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
	return y;
#else
	return exp2f(x);
#endif
}

/*
 * d (16, 8) += a (16, 16) b (16, 8), bf16 products summed in f32: mma.m16n8k16.row.col. With g = lane / 4 and t = lane % 4
 * a lane holds
 *   a[0]: row g,     columns 2t, 2t+1      a[1]: row g + 8, the same columns
 *   a[2]: row g,     columns 2t+8, 2t+9    a[3]: row g + 8, the same
 *   b[0]: rows 2t, 2t+1 of column g        b[1]: rows 2t+8, 2t+9 of column g
 *   d[0], d[1]: row g, columns 2t, 2t+1    d[2], d[3]: row g + 8
 * The order of a sum inside is the hardware's own.
 */
#ifdef __CUDACC__
AX_DEVICE void ax_mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
		     "{%0,%1,%2,%3};"
		     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
		     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#else
struct ax_mma_lane {
	float *d;
	const uint32_t *a, *b;
};
CUDASIM_TWIN void ax_mma_twin(void *const lane[32], unsigned)
{
	float a[16][16], b[16][8], d[16][8];
	for (int l = 0; l < 32; l++) {
		const ax_mma_lane *o = static_cast<const ax_mma_lane *>(lane[l]);
		const int g = l / 4, c = l % 4 * 2;
		for (int i = 0; i < 4; i++) {
			const int row = g + i % 2 * 8, col = c + i / 2 * 8;
			a[row][col] = ax_low_bf16(o->a[i]);
			a[row][col + 1] = ax_high_bf16(o->a[i]);
			d[g + i / 2 * 8][c + i % 2] = o->d[i];
		}
		for (int i = 0; i < 2; i++) {
			b[c + i * 8][g] = ax_low_bf16(o->b[i]);
			b[c + i * 8 + 1][g] = ax_high_bf16(o->b[i]);
		}
	}
	for (int row = 0; row < 16; row++)
		for (int k = 0; k < 16; k++)
			for (int col = 0; col < 8; col++)
				d[row][col] += a[row][k] * b[k][col];
	for (int l = 0; l < 32; l++)
		for (int i = 0; i < 4; i++)
			static_cast<const ax_mma_lane *>(lane[l])->d[i] = d[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2];
}
AX_DEVICE void ax_mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] AX_AT)
{
	ax_mma_lane o = {d, a, b};
	cudasim_collective(ax_mma_twin, AX_FULL, &o, at);
}
#endif

/*
 * ldmatrix: N (1, 2 or 4) matrices of 8 x 8 bf16 from shared memory. Lane 8i + r gives the address of row r of matrix i
 * (16 bytes, aligned to 16; the addresses of lanes from 8N on are not used). In r[i] lane l gets row l / 4, columns
 * 2 (l % 4) and the next; with TRANS it gets column l / 4, rows 2 (l % 4) and the next.
 */
#ifdef __CUDACC__
template <bool TRANS> AX_DEVICE void ax_ldmatrix(uint32_t (&r)[1], const void *row)
{
	const unsigned p = static_cast<unsigned>(__cvta_generic_to_shared(row));
	if (TRANS)
		asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
			     : "=r"(r[0])
			     : "r"(p)
			     : "memory");
	else
		asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(p) : "memory");
}
template <bool TRANS> AX_DEVICE void ax_ldmatrix(uint32_t (&r)[2], const void *row)
{
	const unsigned p = static_cast<unsigned>(__cvta_generic_to_shared(row));
	if (TRANS)
		asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
			     : "=r"(r[0]), "=r"(r[1])
			     : "r"(p)
			     : "memory");
	else
		asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
			     : "=r"(r[0]), "=r"(r[1])
			     : "r"(p)
			     : "memory");
}
template <bool TRANS> AX_DEVICE void ax_ldmatrix(uint32_t (&r)[4], const void *row)
{
	const unsigned p = static_cast<unsigned>(__cvta_generic_to_shared(row));
	if (TRANS)
		asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
			     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
			     : "r"(p)
			     : "memory");
	else
		asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
			     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
			     : "r"(p)
			     : "memory");
}
#else
struct ax_ldmatrix_lane {
	uint32_t *r;
	const void *row;
};
template <int N, bool TRANS> CUDASIM_TWIN void ax_ldmatrix_twin(void *const lane[32], unsigned)
{
	uint16_t m[N * 8][8];
	for (int i = 0; i < N * 8; i++)
		cudasim_warp_read(m[i], static_cast<ax_ldmatrix_lane *>(lane[i])->row, 16);
	for (int l = 0; l < 32; l++) {
		const int g = l / 4, t = l % 4 * 2;
		for (int i = 0; i < N; i++) {
			const uint32_t low = TRANS ? m[i * 8 + t][g] : m[i * 8 + g][t];
			const uint32_t high = TRANS ? m[i * 8 + t + 1][g] : m[i * 8 + g][t + 1];
			static_cast<ax_ldmatrix_lane *>(lane[l])->r[i] = low | high << 16;
		}
	}
}
template <bool TRANS, int N> AX_DEVICE void ax_ldmatrix(uint32_t (&r)[N], const void *row AX_AT)
{
	ax_ldmatrix_lane o = {r, row};
	cudasim_collective(ax_ldmatrix_twin<N, TRANS>, AX_FULL, &o, at);
}
#endif

/*
 * cp.async: BYTES (4, 8 or 16, both sides aligned to them) from global to shared memory, in the background. Where n_valid
 * is smaller, the rest is zero and not read; with 0 the source is not touched. 16 bytes bypass L1. A thread's copies are
 * grouped by ax_cp_commit; ax_cp_wait<N> waits until at most N of its latest groups are under way. What has arrived is
 * seen by the thread itself; by others after a barrier.
 */
template <int BYTES> AX_DEVICE void ax_cp_async(void *shared, const void *global, int n_valid = BYTES AX_AT)
{
	static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "cp.async copies 4, 8 or 16 bytes");
#ifdef __CUDACC__
	const unsigned p = static_cast<unsigned>(__cvta_generic_to_shared(shared));
	if (BYTES == 16)
		asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(p), "l"(global), "r"(n_valid)
			     : "memory");
	else
		asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(p), "l"(global), "n"(BYTES),
			     "r"(n_valid)
			     : "memory");
#else
	cudasim_cp_async(shared, global, BYTES, n_valid, at);
#endif
}
AX_DEVICE void ax_cp_commit(void)
{
#ifdef __CUDACC__
	asm volatile("cp.async.commit_group;" ::: "memory");
#else
	cudasim_cp_commit();
#endif
}
template <int N> AX_DEVICE void ax_cp_wait(void)
{
#ifdef __CUDACC__
	asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#else
	cudasim_cp_wait(N);
#endif
}

#endif
