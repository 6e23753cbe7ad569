/* Kernels with planted bugs (bugs.h). */
#include "bugs_help.h"

/* --- barriers -------------------------------------------------------------------------------------------- */

template <bool BUG> static __global__ void mirror(float *y, const float *x)
{
	AX_SHARED(float, tile, [N]);
	tile[threadIdx.x] = x[threadIdx.x];
	if (!BUG)
		__syncthreads();
	y[threadIdx.x] = tile[N - 1 - threadIdx.x];
}
static bool read_after_write(bool bug)
{
	return bug ? one_block(mirror<true>, mirrored) : one_block(mirror<false>, mirrored);
}

template <bool BUG> static __global__ void rotate(float *y, const float *x)
{
	AX_SHARED(float, ring, [N]);
	float v = x[threadIdx.x];
	for (int i = 0; i < 4; i++) {
		ring[threadIdx.x] = v;
		__syncthreads();
		v = ring[(threadIdx.x + 1) % N];
		if (!BUG)
			__syncthreads();
	}
	y[threadIdx.x] = v;
}
static float rotated(size_t i)
{
	return static_cast<float>((i + 4) % N);
}
static bool write_after_read(bool bug)
{
	return bug ? one_block(rotate<true>, rotated) : one_block(rotate<false>, rotated);
}

template <bool BUG> static __global__ void warp_mirror(float *y, const float *x)
{
	AX_SHARED(float, tile, [N]);
	tile[threadIdx.x] = x[threadIdx.x];
	if (!BUG)
		__syncwarp();
	y[threadIdx.x] = tile[threadIdx.x ^ 31];
}
static float within_warp(size_t i)
{
	return static_cast<float>(i ^ 31);
}
static bool missing_syncwarp(bool bug)
{
	return bug ? one_block(warp_mirror<true>, within_warp) : one_block(warp_mirror<false>, within_warp);
}

/* Warps read the whole array in the first phase; the last thread that reads is not the one that writes. */
template <bool BUG> static __global__ void many_readers(float *y, const float *x)
{
	AX_SHARED(float, one, [2]);
	if (threadIdx.x == 0)
		one[0] = x[0] + 1;
	__syncthreads();
	const float v = one[0];
	if (!BUG)
		__syncthreads();
	if (threadIdx.x == 40)
		one[0] = 7;
	y[threadIdx.x] = x[threadIdx.x] * v;
}
static bool write_after_many_reads(bool bug)
{
	return bug ? one_block(many_readers<true>, same_number) : one_block(many_readers<false>, same_number);
}

template <bool BUG> static __global__ void two_barriers(float *y, const float *x)
{
	if (BUG && threadIdx.x < N / 2)
		__syncthreads();
	else
		__syncthreads();
	y[threadIdx.x] = x[threadIdx.x];
}
static bool divergent_barrier(bool bug)
{
	return bug ? one_block(two_barriers<true>, same_number) : one_block(two_barriers<false>, same_number);
}

template <bool BUG> static __global__ void some_wait(float *y, const float *x)
{
	y[threadIdx.x] = x[threadIdx.x];
	if (BUG && threadIdx.x >= N / 2)
		return;
	__syncthreads();
}
static bool partial_barrier(bool bug)
{
	return bug ? one_block(some_wait<true>, same_number) : one_block(some_wait<false>, same_number);
}

/* --- warp operations ------------------------------------------------------------------------------------- */

template <bool BUG> static __global__ void early_exit(float *y, const float *x)
{
	const float v = x[threadIdx.x];
	if (BUG && threadIdx.x % 32 == 31) {
		y[threadIdx.x] = 31 * 16;
		return;
	}
	y[threadIdx.x] = ax_warp_sum(v - static_cast<float>(threadIdx.x / 32 * 32));
}
static float warp_total(size_t)
{
	return 31 * 16;
}
static bool lanes_left(bool bug)
{
	return bug ? one_block(early_exit<true>, warp_total) : one_block(early_exit<false>, warp_total);
}

template <bool BUG> static __global__ void half_shuffle(float *y, const float *x)
{
	float v = x[threadIdx.x];
	if (threadIdx.x % 32 < 16)
		v = __shfl_sync(0xffffu, v, BUG ? 20 : static_cast<int>(threadIdx.x % 32));
	y[threadIdx.x] = v;
}
static bool source_outside_mask(bool bug)
{
	return bug ? one_block(half_shuffle<true>, same_number) : one_block(half_shuffle<false>, same_number);
}

/* --- bounds, poison, alignment --------------------------------------------------------------------------- */

template <bool BUG> static __global__ void read_beyond(float *y, const float *x)
{
	y[threadIdx.x] = x[threadIdx.x] + 0 * x[BUG ? threadIdx.x * 4 + 4 : 0];
}
static bool global_read_past_end(bool bug)
{
	return bug ? one_block(read_beyond<true>, same_number) : one_block(read_beyond<false>, same_number);
}

template <bool BUG> static __global__ void store_vector(float *y, const float *x)
{
	float v[8];
	if (threadIdx.x < N / 8) {
		ax_ld8(v, x + threadIdx.x * 8);
		ax_st8(y + threadIdx.x * 8, v);
	}
	if (BUG && threadIdx.x == 0)
		y[N] = 1;
}
/* The array ends 4 bytes before a multiple of 256: the store past it faults nowhere. */
static bool store_past_end(bool bug)
{
	stream s;
	device_array x(N * sizeof(float)), y((N + 1) * sizeof(float) - (bug ? 4 : 0));
	upload(x.p, counting(N), s);
	if (bug)
		AX_LAUNCH(store_vector<true>, 1, N, 0, s, floats(y), static_cast<const float *>(x.p));
	else
		AX_LAUNCH(store_vector<false>, 1, N, 0, s, floats(y), static_cast<const float *>(x.p));
	return download<float>(y.p, N, s) == counting(N);
}
/* And one that stays in the last 256 bytes, where only a guard pattern can notice. */
static __global__ void store_at(float *y, size_t i)
{
	y[i] = 1;
}
static bool store_in_tail(bool bug)
{
	stream s;
	device_array y(100);
	AX_LAUNCH(store_at, 1, 1, 0, s, floats(y), size_t(bug ? 25 : 24));
	must(cudaStreamSynchronize(s));
	return true;
}

template <bool BUG> static __global__ void static_overrun(float *y, const float *x)
{
	AX_SHARED(float, a, [N]);
	AX_SHARED(float, b, [N]);
	b[threadIdx.x] = x[threadIdx.x];
	a[threadIdx.x + (BUG ? 1 : 0)] = x[threadIdx.x];
	__syncthreads();
	y[threadIdx.x] = b[threadIdx.x];
}
static bool static_shared_overrun(bool bug)
{
	return bug ? one_block(static_overrun<true>, same_number) : one_block(static_overrun<false>, same_number);
}

static bool dynamic_shared_overrun(bool bug)
{
	return bug ? one_block(dynamic_overrun<true>, same_number, N * sizeof(float))
		   : one_block(dynamic_overrun<false>, same_number, N * sizeof(float));
}

template <bool BUG> static __global__ void unwritten(float *y, const float *x)
{
	AX_SHARED(float, a, [N]);
	if (!BUG || threadIdx.x != 5)
		a[threadIdx.x] = x[threadIdx.x];
	__syncthreads();
	y[threadIdx.x] = a[threadIdx.x];
}
static bool unwritten_shared(bool bug)
{
	return bug ? one_block(unwritten<true>, same_number) : one_block(unwritten<false>, same_number);
}

static bool unwritten_global(bool bug)
{
	stream s;
	device_array x(N * sizeof(float)), y(N * sizeof(float));
	std::vector<float> source = counting(N - (bug ? 1 : 0));
	upload(x.p, source, s);
	AX_LAUNCH(copy, 1, N, 0, s, floats(y), static_cast<const float *>(x.p));
	return download<float>(y.p, N, s) == counting(N);
}

template <bool BUG> static __global__ void global_store_to_shared(float *y, const float *x)
{
	AX_SHARED(float, tile, [N]);
	const uint4 v = ax_ld16(x + threadIdx.x / 4 * 4);
	if (threadIdx.x % 4 == 0) {
		if (BUG)
			ax_st16_global(tile + threadIdx.x, v);
		else
			ax_st16(tile + threadIdx.x, v);
	}
	__syncthreads();
	y[threadIdx.x] = tile[threadIdx.x];
}
static bool shared_as_global(bool bug)
{
	return bug ? one_block(global_store_to_shared<true>, same_number) : one_block(global_store_to_shared<false>, same_number);
}

template <bool BUG> static __global__ void misaligned(float *y, const float *x)
{
	const uint4 v = ax_ld16(x + (BUG ? 2 : 4));
	y[threadIdx.x] = x[threadIdx.x] + 0 * __uint_as_float(v.x);
}
static bool misaligned_load(bool bug)
{
	return bug ? one_block(misaligned<true>, same_number) : one_block(misaligned<false>, same_number);
}

/* --- cp.async -------------------------------------------------------------------------------------------- */

enum { COMPLETE, NO_WAIT, NO_BARRIER };
template <int BUG> static __global__ void background(float *y, const float *x)
{
	AX_SHARED(float, tile, [N]);
	ax_cp_async<4>(tile + threadIdx.x, x + threadIdx.x);
	ax_cp_commit();
	if (BUG != NO_WAIT)
		ax_cp_wait<0>();
	if (BUG != NO_BARRIER)
		__syncthreads();
	y[threadIdx.x] = tile[N - 1 - threadIdx.x];
}
static bool cp_async_without_wait(bool bug)
{
	return bug ? one_block(background<NO_WAIT>, mirrored) : one_block(background<COMPLETE>, mirrored);
}
static bool cp_async_without_barrier(bool bug)
{
	return bug ? one_block(background<NO_BARRIER>, mirrored) : one_block(background<COMPLETE>, mirrored);
}

/* --- blocks ---------------------------------------------------------------------------------------------- */

template <bool BUG> static __global__ void add_up(float *sum)
{
	if (threadIdx.x)
		return;
	if (BUG)
		*sum += 1;
	else
		atomicAdd(sum, 1.0f);
}
static bool add_without_atomics(bool bug)
{
	stream s;
	device_array sum(sizeof(float));
	must(cudaMemsetAsync(sum.p, 0, sizeof(float), s));
	if (bug)
		AX_LAUNCH(add_up<true>, 8, 32, 0, s, floats(sum));
	else
		AX_LAUNCH(add_up<false>, 8, 32, 0, s, floats(sum));
	return download<float>(sum.p, 1, s)[0] == 8;
}

/* Each block needs what its neighbour wrote. */
template <bool BUG> static __global__ void chain(float *y)
{
	const unsigned b = blockIdx.x;
	y[b] = BUG && b ? y[b - 1] + 1 : static_cast<float>(b);
}
static bool read_other_block(bool bug)
{
	stream s;
	device_array y(8 * sizeof(float));
	if (bug)
		AX_LAUNCH(chain<true>, 8, 1, 0, s, floats(y));
	else
		AX_LAUNCH(chain<false>, 8, 1, 0, s, floats(y));
	return download<float>(y.p, 8, s) == counting(8);
}

/* The last block adds up what all wrote; without the fences it may not see it. */
template <bool BUG> static __global__ void last_block(float *total, float *part, unsigned *ticket, const float *x)
{
	AX_SHARED(int, is_last, );
	AX_SHARED(float, scratch, [32]);
	const float sum = ax_block_sum(x[blockIdx.x * 64 + threadIdx.x], scratch);
	if (threadIdx.x == 0) {
		part[blockIdx.x] = sum;
		if (!BUG)
			__threadfence();
		is_last = atomicAdd(ticket, 1u) == gridDim.x - 1;
	}
	__syncthreads();
	if (is_last && threadIdx.x < 32) {
		const float all = ax_warp_sum(threadIdx.x < gridDim.x ? part[threadIdx.x] : 0.0f);
		if (threadIdx.x == 0)
			*total = all;
	}
}
static bool last_block_without_fence(bool bug)
{
	stream s;
	device_array x(N * sizeof(float)), part(16), ticket(4), total(4);
	upload(x.p, counting(N), s);
	must(cudaMemsetAsync(ticket.p, 0, 4, s));
	if (bug)
		AX_LAUNCH(last_block<true>, 4, 64, 0, s, floats(total), floats(part), static_cast<unsigned *>(ticket.p),
			  static_cast<const float *>(x.p));
	else
		AX_LAUNCH(last_block<false>, 4, 64, 0, s, floats(total), floats(part),
			  static_cast<unsigned *>(ticket.p), static_cast<const float *>(x.p));
	return download<float>(total.p, 1, s)[0] == 255 * 128;
}

/* Neighbouring bytes of different threads are no conflict; two threads' one byte is. */
template <bool BUG> static __global__ void bytes(unsigned char *y)
{
	y[threadIdx.x / (BUG ? 2 : 1)] = static_cast<unsigned char>(threadIdx.x / (BUG ? 2 : 1));
}
static bool two_threads_one_byte(bool bug)
{
	stream s;
	device_array y(64);
	must(cudaMemsetAsync(y.p, 0, 64, s));
	if (bug)
		AX_LAUNCH(bytes<true>, 1, 64, 0, s, static_cast<unsigned char *>(y.p));
	else
		AX_LAUNCH(bytes<false>, 1, 64, 0, s, static_cast<unsigned char *>(y.p));
	return download<unsigned char>(y.p, 32, s)[31] == 31;
}

const bug_case kernel_bugs[] = {
	{"barrier missing between write and read", read_after_write, 'f', 'f', "race: read"},
	{"barrier missing between read and write, in a loop", write_after_read, 'f', 'f',
	 "race: write over what is read"},
	{"barrier missing between many reads and a write", write_after_many_reads, 'f', 'f', "race: "},
	{"__syncwarp missing in an exchange", missing_syncwarp, 'f', 'f', "race: read"},
	{"barrier in both arms of a branch", divergent_barrier, 'f', 'f', "divergent barrier"},
	{"some threads leave before the barrier", partial_barrier, 'f', 'f', "left the kernel"},
	{"lanes leave before a warp operation", lanes_left, 'f', 'f', "left the kernel"},
	{"shuffle from a lane outside the mask", source_outside_mask, 'f', 'f', "not in the mask"},
	{"global read past the end", global_read_past_end, 'f', 'f', "past the end"},
	{"global store past the end", store_past_end, 'f', 'f', "past the end"},
	{"global store just past the end", store_in_tail, 'f', 'f', "past"},
	{"static shared array overrun", static_shared_overrun, 'f', 'f', "outside every shared array"},
	{"dynamic shared array overrun", dynamic_shared_overrun, 'f', 'f', "outside every shared array"},
	{"shared memory nobody wrote", unwritten_shared, 'f', 'f', "nobody has written"},
	{"global memory nobody wrote", unwritten_global, 'f', 'f', "nobody has written"},
	{"store to shared memory as if it were global", shared_as_global, 'f', 'f', "an access to global memory at shared address"},
	{"misaligned 16-byte load", misaligned_load, 'f', 'f', "misaligned"},
	{"cp.async read before its wait", cp_async_without_wait, 'f', 'f', "cp.async"},
	{"cp.async waited for, but no barrier", cp_async_without_barrier, 'f', 'f', "race: read"},
	{"blocks add without atomics", add_without_atomics, '-', '-', "race: "},
	{"block reads what another writes", read_other_block, 't', '-', "race: read"},
	{"last block without fence", last_block_without_fence, '-', '-', "race: read"},
	{"two threads write one byte", two_threads_one_byte, '-', '-', "race: write"},
};
const int n_kernel_bugs = sizeof kernel_bugs / sizeof kernel_bugs[0];
