/*
 * Eight elements at a time: how the elementwise kernels read and write. With VEC a row is a whole number of eights, and pointers
 * and the distances between rows are multiples of 16 bytes: one or two 16-byte accesses, or nothing past the end of the row.
 * There is no other way beside that one, so that nvcc makes one straight piece of several reads and all are under way at once.
 * Without VEC one by one. Elements past the end read as zero and are not written.
 */
#ifndef AX_TENSOR_CUDA_ACCESS_H
#define AX_TENSOR_CUDA_ACCESS_H

#include "tensor/cuda/device.h"

/* x = p[i .. i+8) of n. */
template <bool VEC, class T> AX_DEVICE void ax_read8(float (&x)[8], const T *p, size_t i, size_t n)
{
	if (VEC && i < n) {
		ax_ld8(x, p + i);
		return;
	}
	AX_UNROLL
	for (size_t k = 0; k < 8; k++)
		x[k] = !VEC && i + k < n ? ax_to_f32(p[i + k]) : 0.0f;
}

template <bool VEC, class T> AX_DEVICE void ax_write8(T *p, const float (&x)[8], size_t i, size_t n)
{
	if (VEC && i < n)
		ax_st8(p + i, x);
	AX_UNROLL
	for (size_t k = 0; k < 8; k++)
		if (!VEC && i + k < n)
			p[i + k] = ax_from_f32<T>(x[k]);
}

/* --- for launchers --- */

/* May rows that lie `ld` elements of type T apart, from p on, be read in 16-byte accesses? */
template <class T> static inline bool ax_aligned16(const void *p, size_t ld)
{
	return reinterpret_cast<uintptr_t>(p) % 16 == 0 && ld * sizeof(T) % 16 == 0;
}

/* Are rows of n elements whole eights? */
static inline bool ax_eights(size_t n)
{
	return n % 8 == 0;
}

/* Threads of a block that give each group of eight of a row of n its own thread, up to `most`: a multiple of 32. */
static inline unsigned ax_row_threads(size_t n, unsigned most)
{
	const size_t want = (n + 255) / 256 * 32;

	return want < most ? static_cast<unsigned>(want) : most;
}

/*
 * Call F<T, VEC>(args) for the device's act type: AX_DISPATCH(c, vec, launch_f, args...) with a template
 * `template <class T, bool VEC> void launch_f(args...)`. AX_DISPATCH_TYPE: for a type f32 or bf16.
 */
#define AX_DISPATCH_TYPE(t, vec, f, ...)                                                                               \
	((t) == AX_BF16 ? ((vec) ? f<ax_bf16, true>(__VA_ARGS__) : f<ax_bf16, false>(__VA_ARGS__))                     \
			: ((vec) ? f<float, true>(__VA_ARGS__) : f<float, false>(__VA_ARGS__)))
#define AX_DISPATCH(c, vec, f, ...) AX_DISPATCH_TYPE((c)->act, vec, f, __VA_ARGS__)

#endif
