/* Before the kernels of attention: tables of tiles by length, rows in no segment, and delta for the backward pass. */
#include "tensor/cuda/attn.h"

enum { THREADS = 256, WARPS = THREADS / AX_WARP, ROWS = 16 };

/* --- longest first --------------------------------------------------------------------------------------------------- */

/*
 * A counting sort in one block: THREADS classes of work, the longest in class 0. Its order inside a class is that of atomic
 * counters and may differ between runs: it says when a tile runs, not what comes out.
 */
AX_DEVICE int class_of(int work, int most)
{
	return THREADS - 1 - static_cast<int>(static_cast<long long>(work) * (THREADS - 1) / most);
}

/* count[i] = how many -> where class i starts; returns the number of all. */
AX_DEVICE int starts(int *count AX_AT)
{
	const int t = static_cast<int>(threadIdx.x);
	const int mine = count[t];

	for (int d = 1; d < THREADS; d *= 2) {
		__syncthreads(AX_PASS0);
		const int before = t >= d ? count[t - d] : 0;
		__syncthreads(AX_PASS0);
		count[t] += before;
	}
	__syncthreads(AX_PASS0);
	const int all = count[THREADS - 1];
	__syncthreads(AX_PASS0);
	count[t] -= mine;
	__syncthreads(AX_PASS0);
	return all;
}

/* One block. Tiles of queries into a.tiles, their number into a.n_tile. */
AX_DEVICE void plan_queries(const ax_attn_job &a, int *count AX_AT)
{
	const int warp = static_cast<int>(threadIdx.x) / AX_WARP, lane = static_cast<int>(threadIdx.x) % AX_WARP, most = a.Nk + 1;

	for (int pass = 0; pass < 2; pass++) {
		if (pass == 0) {
			count[threadIdx.x] = 0;
		} else {
			const int all = starts(count AX_PASS);

			if (threadIdx.x == 0)
				*a.n_tile = all;
		}
		__syncthreads(AX_PASS0);
		for (int s = warp; s < a.n_seg; s += WARPS) {
			const ax_seg seg = a.seg[s];

			for (int row = lane * a.tile_q; row < seg.q_len; row += AX_WARP * a.tile_q) {
				const ax_attn_range k = ax_attn_keys_of(seg, a.window, row, min(row + a.tile_q, seg.q_len));
				const int slot = atomicAdd(&count[class_of(max(0, k.to - k.from), most)], 1);

				if (pass == 1)
					a.tiles[slot] = {s, row};
			}
		}
		__syncthreads(AX_PASS0);
	}
}

/* The work of a tile of keys and the segments that see it; complete after a barrier. */
AX_DEVICE void key_work(const ax_attn_job &a, int n_tile AX_AT)
{
	const int warp = static_cast<int>(threadIdx.x) / AX_WARP, lane = static_cast<int>(threadIdx.x) % AX_WARP;
	int *work = a.key_work, *from = work + n_tile, *to = from + n_tile;

	for (int t = static_cast<int>(threadIdx.x); t < n_tile; t += THREADS)
		work[t] = 0, from[t] = a.n_seg, to[t] = 0;
	__syncthreads(AX_PASS0);
	for (int s = warp; s < a.n_seg; s += WARPS) {
		const ax_seg seg = a.seg[s];

		if (seg.q_len == 0 || seg.k_len == 0)
			continue;
		for (int t = seg.k_off / a.tile_k + lane; t * a.tile_k < seg.k_off + seg.k_len; t += AX_WARP) {
			const int k0 = t * a.tile_k - seg.k_off;
			const ax_attn_range i = ax_attn_queries_of(seg, a.window, k0, k0 + a.tile_k);

			if (i.from >= i.to)
				continue;
			atomicAdd(&work[t], i.to - i.from);
			atomicMin(&from[t], s);
			atomicMax(&to[t], s + 1);
		}
	}
}

/* One block. Tiles of keys into a.keys. */
AX_DEVICE void plan_keys(const ax_attn_job &a, int *count AX_AT)
{
	const int n_tile = (a.Nk + a.tile_k - 1) / a.tile_k, most = a.N + 1;
	const int *work = a.key_work, *from = work + n_tile, *to = from + n_tile;

	key_work(a, n_tile AX_PASS);
	count[threadIdx.x] = 0;
	__syncthreads(AX_PASS0);
	for (int t = static_cast<int>(threadIdx.x); t < n_tile; t += THREADS)
		atomicAdd(&count[class_of(min(work[t], a.N), most)], 1);
	__syncthreads(AX_PASS0);
	starts(count AX_PASS);
	for (int t = static_cast<int>(threadIdx.x); t < n_tile; t += THREADS)
		a.keys[atomicAdd(&count[class_of(min(work[t], a.N), most)], 1)] = {t, min(from[t], to[t]), to[t]};
}

/* --- rows ------------------------------------------------------------------------------------------------------------ */

/* in[i] = is row first + i in a segment, i < ROWS. */
AX_DEVICE void find_rows(int *in, const ax_attn_job &a, int first AX_AT)
{
	if (threadIdx.x < ROWS)
		in[threadIdx.x] = 0;
	__syncthreads(AX_PASS0);
	for (int s = static_cast<int>(threadIdx.x); s < a.n_seg; s += THREADS) {
		const int from = max(a.seg[s].q_off, first), to = min(a.seg[s].q_off + a.seg[s].q_len, first + ROWS);

		for (int row = from; row < to; row++)
			in[row - first] = 1;
	}
	__syncthreads(AX_PASS0);
}

template <class T> AX_DEVICE void zero_row(T *row, int n)
{
	for (int i = static_cast<int>(threadIdx.x); i < n; i += THREADS)
		row[i] = ax_from_f32<T>(0.0f);
}

template <class T> AX_DEVICE float dot8(const T *a, const T *b, int at, int dim, bool vec)
{
	float x[8] = {0}, y[8] = {0}, sum = 0;

	if (vec) {
		ax_ld8(x, a + at);
		ax_ld8(y, b + at);
	} else {
		for (int i = 0; i < 8 && at + i < dim; i++)
			x[i] = ax_to_f32(a[at + i]), y[i] = ax_to_f32(b[at + i]);
	}
	AX_UNROLL
	for (int i = 0; i < 8; i++)
		sum += x[i] * y[i];
	return sum;
}

/*
 * delta of the rows first .. first + ROWS that are in a segment, all heads. A power of two of lanes, `lanes`, takes a head, eight
 * columns a lane; consecutive groups of lanes take consecutive heads, which are consecutive in memory.
 */
template <class T> AX_DEVICE void delta_rows(const ax_attn_job &a, const int *in, int first, bool vec AX_AT)
{
	const T *go = static_cast<const T *>(a.go), *o = static_cast<const T *>(a.o);
	int lanes = 1;

	while (lanes * 8 < a.head_dim && lanes < AX_WARP)
		lanes *= 2;
	const int id = static_cast<int>(threadIdx.x) / lanes, ids = THREADS / lanes, lane = static_cast<int>(threadIdx.x) % lanes;
	const int n = min(ROWS, a.N - first) * a.n_head;

	for (int i0 = 0; i0 < n; i0 += ids) {
		const int i = i0 + id;
		const bool mine = i < n && in[i / a.n_head];
		const size_t x = static_cast<size_t>(first) * static_cast<size_t>(a.n_head) + static_cast<size_t>(i);
		float sum = 0;

		for (int e = lane * 8; mine && e < a.head_dim; e += lanes * 8)
			sum += dot8(go + x * static_cast<size_t>(a.head_dim), o + x * static_cast<size_t>(a.head_dim), e, a.head_dim, vec);
		for (int bit = lanes / 2; bit > 0; bit /= 2)
			sum += __shfl_xor_sync(AX_FULL, sum, bit, AX_WARP AX_PASS);
		if (mine && lane == 0)
			a.delta[x] = sum;
	}
}

/* --- kernels --------------------------------------------------------------------------------------------------------- */

/* Block 0 plans, the others take ROWS rows each. */
template <class T> static __global__ void __launch_bounds__(THREADS, 1) attn_plan_fwd_kernel(ax_attn_job a)
{
	AX_SHARED(int, count, [THREADS]);
	AX_SHARED(int, in, [ROWS]);
	const int first = (static_cast<int>(blockIdx.x) - 1) * ROWS;

	if (blockIdx.x == 0) {
		plan_queries(a, count);
		return;
	}
	find_rows(in, a, first);
	for (int i = 0; i < ROWS && first + i < a.N; i++) {
		const size_t row = static_cast<size_t>(first + i);

		if (in[i])
			continue;
		zero_row(static_cast<T *>(a.o) + row * a.ldo, a.n_head * a.head_dim);
		zero_row(a.lse + row * static_cast<size_t>(a.n_head), a.n_head);
	}
}

/* Blocks 0 and 1 plan, the others take ROWS rows each. */
template <class T> static __global__ void __launch_bounds__(THREADS, 1) attn_plan_bwd_kernel(ax_attn_job a, bool vec)
{
	AX_SHARED(int, count, [THREADS]);
	AX_SHARED(int, in, [ROWS]);
	const int first = (static_cast<int>(blockIdx.x) - 2) * ROWS;

	if (blockIdx.x == 0) {
		plan_queries(a, count);
		return;
	}
	if (blockIdx.x == 1) {
		plan_keys(a, count);
		return;
	}
	find_rows(in, a, first);
	for (int i = 0; i < ROWS && first + i < a.N; i++)
		if (!in[i])
			zero_row(static_cast<T *>(a.dq) + static_cast<size_t>(first + i) * a.ldq, a.n_head * a.head_dim);
	delta_rows<T>(a, in, first, vec);
}

static unsigned row_blocks(const struct ax_attn_job *j)
{
	return static_cast<unsigned>((j->N + ROWS - 1) / ROWS);
}

void ax_attn_plan_fwd(struct ax_cuda *c, const struct ax_attn_job *j)
{
	if (c->act == AX_BF16)
		AX_LAUNCH(attn_plan_fwd_kernel<ax_bf16>, 1 + row_blocks(j), THREADS, 0, c->compute, *j);
	else
		AX_LAUNCH(attn_plan_fwd_kernel<float>, 1 + row_blocks(j), THREADS, 0, c->compute, *j);
}

void ax_attn_plan_bwd(struct ax_cuda *c, const struct ax_attn_job *j)
{
	/* go and o are without gaps: they may be read in 16-byte accesses where q may not */
	const bool vec = reinterpret_cast<uintptr_t>(j->go) % 16 == 0 && reinterpret_cast<uintptr_t>(j->o) % 16 == 0 && j->head_dim % 8 == 0;

	if (c->act == AX_BF16)
		AX_LAUNCH(attn_plan_bwd_kernel<ax_bf16>, 2 + row_blocks(j), THREADS, 0, c->compute, *j, vec);
	else
		AX_LAUNCH(attn_plan_bwd_kernel<float>, 2 + row_blocks(j), THREADS, 0, c->compute, *j, vec);
}
