/*
 * Attention forward in bf16 on mma, by the scheme of FlashAttention-2 (Dao, 2023): a block has a tile of queries and walks
 * over the keys they see; a row's maximum, sum and output so far stay in registers.
 *
 * Shared memory holds q, one tile of k and one of v. A tile of v arrives while the scores are computed, the next of k while
 * softmax and output are; two barriers a step:
 *
 *	wait k(j)   barrier   start v(j)     s = q k(j)^T
 *	wait v(j)   barrier   start k(j+1)   p = softmax(s), o = o * shrink + p v(j)
 *
 * The first barrier also says that all have read v(j-1), the second that all have read k(j).
 */
#include "tensor/cuda/attn_tile.h"

enum { WARPS = 4, THREADS = WARPS * AX_WARP };

/* Of head dim D: strips of 16 queries a warp has, rows of a tile of queries, keys of a step. */
template <int D> struct shape {
	static constexpr int STRIPS = D <= 128 ? 2 : 1, BM = WARPS * STRIPS * 16, BN = D <= 96 ? 64 : 32;
	static constexpr size_t SMEM = (BM + 2 * BN) * D * sizeof(ax_bf16);
};

/* Of each lane's rows: [strip][0] row g, [strip][1] row g + 8. sum is the lane's own part. */
template <int M> struct rows_t {
	float most[M][2], sum[M][2];
};

/* s becomes 2^(by * s - maximum); the rows' statistics and output go over to the new maximum. */
template <int M, int N, int NO> AX_DEVICE void softmax(float (&s)[M][N][4], float by, rows_t<M> &rows, float (&o)[M][NO][4] AX_AT)
{
	AX_UNROLL
	for (int m = 0; m < M; m++)
		AX_UNROLL
		for (int h = 0; h < 2; h++) {
			float top = rows.most[m][h];

			AX_UNROLL
			for (int n = 0; n < N; n++)
				top = max(top, max(s[m][n][2 * h], s[m][n][2 * h + 1]));
			top = max(top, __shfl_xor_sync(AX_FULL, top, 1, AX_WARP AX_PASS));
			top = max(top, __shfl_xor_sync(AX_FULL, top, 2, AX_WARP AX_PASS));
			/* a row that has seen nothing stays at -inf, and its terms at 2^-inf */
			const float base = top == -INFINITY ? 0.0f : top * by, shrink = ax_exp2(rows.most[m][h] * by - base);
			float total = 0;

			AX_UNROLL
			for (int n = 0; n < N; n++)
				AX_UNROLL
				for (int i = 2 * h; i < 2 * h + 2; i++) {
					s[m][n][i] = ax_exp2(s[m][n][i] * by - base);
					total += s[m][n][i];
				}
			rows.most[m][h] = top;
			rows.sum[m][h] = rows.sum[m][h] * shrink + total;
			/* after the first keys the maximum seldom changes */
			if (__all_sync(AX_FULL, shrink == 1.0f AX_PASS))
				continue;
			AX_UNROLL
			for (int n = 0; n < NO; n++)
				o[m][n][2 * h] *= shrink, o[m][n][2 * h + 1] *= shrink;
		}
}

/* From the lanes' parts of the sums: by = 1 / sum, and lse of rows < n to lse[row * stride]. */
template <int M> AX_DEVICE void finish(float (&by)[M][2], const rows_t<M> &rows, float scale, float *lse, size_t stride, int n AX_AT)
{
	const int lane = static_cast<int>(threadIdx.x) % AX_WARP, g = lane / 4, t = lane % 4;

	AX_UNROLL
	for (int m = 0; m < M; m++)
		AX_UNROLL
		for (int h = 0; h < 2; h++) {
			const int row = 16 * m + 8 * h + g;
			float sum = rows.sum[m][h];

			sum += __shfl_xor_sync(AX_FULL, sum, 1, AX_WARP AX_PASS);
			sum += __shfl_xor_sync(AX_FULL, sum, 2, AX_WARP AX_PASS);
			/* a row that has seen something has at least one term of 1; not a number stays that */
			by[m][h] = sum == 0 ? 0 : 1 / sum;
			if (t == 0 && row < n)
				lse[static_cast<size_t>(row) * stride] = sum == 0 ? -INFINITY : rows.most[m][h] * scale * AX_ATTN_LN2 + logf(sum);
		}
}

/* A tile of queries for one head. */
template <int D> AX_DEVICE void tile_fwd(const ax_attn_job &a, const ax_attn_tile &tile, int head, ax_bf16 *smem AX_AT)
{
	constexpr int M = shape<D>::STRIPS, BM = shape<D>::BM, BN = shape<D>::BN;
	ax_bf16 *sq = smem, *sk = sq + BM * D, *sv = sk + BN * D;
	const ax_seg seg = a.seg[tile.seg];
	const int rows = min(BM, seg.q_len - tile.row), first = seg.q_off + tile.row;
	const ax_attn_range keys = ax_attn_keys_of(seg, a.window, tile.row, tile.row + rows);
	const size_t dim = static_cast<size_t>(a.head_dim), kv = static_cast<size_t>(head / a.group) * dim;
	const ax_bf16 *q = static_cast<const ax_bf16 *>(a.q) + static_cast<size_t>(first) * a.ldq + static_cast<size_t>(head) * dim;
	const ax_bf16 *k = static_cast<const ax_bf16 *>(a.k) + kv, *v = static_cast<const ax_bf16 *>(a.v) + kv;
	const ax_attn_scale scale = ax_attn_scale_of(a);
	const int row = static_cast<int>(threadIdx.x) / AX_WARP * 16 * M, row_end = min(row + 16 * M, rows); /* of this warp */
	rows_t<M> stat;
	float o[M][D / 8][4], by[M][2];

	ax_tile_clear(o);
	AX_UNROLL
	for (int i = 0; i < 2 * M; i++)
		stat.most[i / 2][i % 2] = -INFINITY, stat.sum[i / 2][i % 2] = 0;
	if (keys.from < keys.to) {
		ax_tile_load<BM, D, THREADS>(sq, q, a.ldq, rows, a.head_dim, a.vec AX_PASS);
		ax_tile_load<BN, D, THREADS>(sk, k + static_cast<size_t>(seg.k_off + keys.from) * a.ldk, a.ldk, seg.k_len - keys.from, a.head_dim, a.vec AX_PASS);
		ax_cp_commit();
	}
	for (int j = keys.from; j < keys.to; j += BN) {
		const ax_attn_band band = {seg.q_pos + tile.row - j, a.window, 0, seg.k_len - j};
		const bool idle = row >= row_end || ax_attn_sees_none(band, row, row_end, 0, BN);
		const size_t next = static_cast<size_t>(seg.k_off + j) * a.ldk;
		float s[M][BN / 8][4];

		ax_cp_wait<0>();
		__syncthreads(AX_PASS0);
		ax_tile_load<BN, D, THREADS>(sv, v + next, a.ldk, seg.k_len - j, a.head_dim, a.vec AX_PASS);
		ax_cp_commit();
		ax_tile_clear(s);
		if (!idle)
			ax_tile_abt<D>(s, sq, row, sk AX_PASS);
		ax_cp_wait<0>();
		__syncthreads(AX_PASS0);
		if (j + BN < keys.to) {
			ax_tile_load<BN, D, THREADS>(sk, k + next + BN * a.ldk, a.ldk, seg.k_len - j - BN, a.head_dim, a.vec AX_PASS);
			ax_cp_commit();
		}
		if (idle)
			continue;
		uint32_t p[M][BN / 16][4];

		if (scale.out != 0)
			ax_attn_cap(s, scale);
		if (!ax_attn_sees_all(band, row, row_end, 0, BN))
			ax_attn_mask<false>(s, band, row);
		softmax(s, scale.by, stat, o AX_PASS);
		ax_tile_operand(p, s);
		ax_tile_pb<D>(o, p, sv AX_PASS);
	}
	finish(by, stat, scale.by, a.lse + static_cast<size_t>(first + row) * static_cast<size_t>(a.n_head) + static_cast<size_t>(head),
	       static_cast<size_t>(a.n_head), rows - row AX_PASS);
	/* the warp's own rows of q: no other reads them */
	ax_tile_store<D>(static_cast<ax_bf16 *>(a.o) + static_cast<size_t>(first + row) * a.ldo + static_cast<size_t>(head) * dim, a.ldo, rows - row, a.head_dim,
			 a.vec, o, by, sq, row);
}

/* Reads q, k, v and the plan; writes o and lse of all rows in segments. */
template <int D> static __global__ void __launch_bounds__(THREADS, D <= 128 ? 2 : 1) attn_fwd_kernel(ax_attn_job a)
{
	AX_DYN_SHARED(ax_bf16, smem);
	const int at = static_cast<int>(blockIdx.x) / a.n_head;

	if (at < *a.n_tile)
		tile_fwd<D>(a, a.tiles[at], static_cast<int>(blockIdx.x) % a.n_head, smem);
}

/* --- launches -------------------------------------------------------------------------------------------------------- */

template <int D> static void run(struct ax_cuda *c, const struct ax_attn_job *j)
{
	AX_LAUNCH(attn_fwd_kernel<D>, ax_attn_blocks(j, shape<D>::BM), THREADS, shape<D>::SMEM, c->compute, *j);
}

template <int D> static void prepare(struct ax_cuda *c)
{
	ax_cuda_failed(c, "attn_fwd", cudaFuncSetAttribute(attn_fwd_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape<D>::SMEM)));
}

void ax_attn_mma_fwd_prepare(struct ax_cuda *c)
{
	prepare<64>(c);
	prepare<80>(c);
	prepare<96>(c);
	prepare<128>(c);
	prepare<256>(c);
}

int ax_attn_mma_fwd_rows(int dim)
{
	return dim <= 128 ? shape<128>::BM : shape<256>::BM;
}

void ax_attn_mma_fwd(struct ax_cuda *c, const struct ax_attn_job *j)
{
	typedef void run_t(struct ax_cuda *c, const struct ax_attn_job *j);
	static run_t *const by_class[] = {run<64>, run<80>, run<96>, run<128>, run<256>};

	by_class[ax_attn_class(AX_ATTN_MMA_DIMS, j->head_dim)](c, j);
}
