/*
 * Gradient of the queries in bf16 on mma: a block has a tile of queries with q and go in shared memory, walks over the keys
 * they see and computes the scores again; two tiles of k and v each, one arriving while the other is used:
 *
 *	wait k, v(j)   barrier   start k, v(j+1)   s = q k^T   dp = go v^T   ds = p (dp - delta)   dq += ds k
 *
 * The barrier also says that all have read the pair that is overwritten now.
 */
#include "tensor/cuda/attn_tile.h"

enum { WARPS = 4, THREADS = WARPS * AX_WARP };

/* Of head dim D: strips of 16 queries a warp has, rows of a tile of queries, keys of a step. */
template <int D> struct shape {
	static constexpr int STRIPS = D <= 128 ? 2 : 1, BM = WARPS * STRIPS * 16, BN = D <= 128 ? 32 : 16;
	static constexpr size_t SMEM = (2 * BM + 4 * BN) * D * sizeof(ax_bf16) + 2 * BM * sizeof(float);
};

/*
 * lse2 and delta of the tile's rows into shared memory (BM of each; registers are dear). Rows at and past n have q = go = 0 and so
 * a gradient of 0, whatever they are given here.
 */
template <int BM> AX_DEVICE void load_stats(float *stats, const float *lse, const float *delta, size_t stride, int n)
{
	const int row = static_cast<int>(threadIdx.x);
	const size_t from = static_cast<size_t>(row) * stride;

	if (row < BM) {
		stats[row] = row < n ? ax_attn_lse2(lse[from]) : 0.0f;
		stats[BM + row] = row < n ? delta[from] : 0.0f;
	}
}

/* Scores s become probabilities, dp gradients; stats: of the warp's first row on. */
template <bool CAP, int BM, int M, int N> AX_DEVICE void pairs(float (&s)[M][N][4], float (&dp)[M][N][4], const ax_attn_scale &scale, const float *stats)
{
	const int g = static_cast<int>(threadIdx.x) % AX_WARP / 4;

	AX_UNROLL
	for (int m = 0; m < M; m++)
		AX_UNROLL
		for (int h = 0; h < 2; h++) {
			const float lse2 = stats[16 * m + 8 * h + g], delta = stats[BM + 16 * m + 8 * h + g];

			AX_UNROLL
			for (int n = 0; n < N; n++) {
				ax_attn_pair<CAP>(s[m][n][2 * h], dp[m][n][2 * h], scale, lse2, delta);
				ax_attn_pair<CAP>(s[m][n][2 * h + 1], dp[m][n][2 * h + 1], scale, lse2, delta);
			}
		}
}

/* What a block works on: one head of a tile of queries. */
struct work {
	size_t kv;         /* where the segment's key 0 of that head begins in k and v */
	int from, to, end; /* keys that are seen; the segment's */
	int diag;          /* of the tile's first row and key 0 */
	ax_bf16 *sq, *sgo, *skv;
	float *stats;
};

/* Begin to load the keys and values from j on into pair `stage`. */
template <int D> AX_DEVICE void load_keys(const ax_attn_job &a, const work &w, int j, int stage AX_AT)
{
	constexpr int BN = shape<D>::BN;
	const size_t from = w.kv + static_cast<size_t>(j) * a.ldk;
	ax_bf16 *to = w.skv + stage * 2 * BN * D;

	ax_tile_load<BN, D, THREADS>(to, static_cast<const ax_bf16 *>(a.k) + from, a.ldk, w.end - j, a.head_dim, a.vec AX_PASS);
	ax_tile_load<BN, D, THREADS>(to + BN * D, static_cast<const ax_bf16 *>(a.v) + from, a.ldk, w.end - j, a.head_dim, a.vec AX_PASS);
	ax_cp_commit();
}

/* dq of the warp's strips, rows row .. row_end of the tile, from the keys from j on in pair `stage`. */
template <int D> AX_DEVICE void step(float (&dq)[shape<D>::STRIPS][D / 8][4], const ax_attn_job &a, const work &w, int row, int row_end, int j, int stage AX_AT)
{
	constexpr int M = shape<D>::STRIPS, BM = shape<D>::BM, BN = shape<D>::BN;
	const ax_attn_band band = {w.diag - j, a.window, 0, w.end - j};
	const ax_bf16 *k = w.skv + stage * 2 * BN * D;
	const ax_attn_scale scale = ax_attn_scale_of(a);
	float s[M][BN / 8][4], dp[M][BN / 8][4];
	uint32_t ds[M][BN / 16][4];

	if (row >= row_end || ax_attn_sees_none(band, row, row_end, 0, BN))
		return;
	ax_tile_clear(s);
	ax_tile_clear(dp);
	ax_tile_abt<D>(s, w.sq, row, k AX_PASS);
	ax_tile_abt<D>(dp, w.sgo, row, k + BN * D AX_PASS);
	if (scale.out != 0)
		ax_attn_cap(s, scale);
	if (!ax_attn_sees_all(band, row, row_end, 0, BN))
		ax_attn_mask<false>(s, band, row);
	if (scale.out != 0)
		pairs<true, BM>(s, dp, scale, w.stats + row);
	else
		pairs<false, BM>(s, dp, scale, w.stats + row);
	ax_tile_operand(ds, dp);
	ax_tile_pb<D>(dq, ds, k AX_PASS);
}

/* A tile of queries for one head. */
template <int D> AX_DEVICE void tile_dq(const ax_attn_job &a, const ax_attn_tile &tile, int head, ax_bf16 *smem AX_AT)
{
	constexpr int M = shape<D>::STRIPS, BM = shape<D>::BM, BN = shape<D>::BN;
	const ax_seg seg = a.seg[tile.seg];
	const int n = min(BM, seg.q_len - tile.row), first = seg.q_off + tile.row;
	const ax_attn_range keys = ax_attn_keys_of(seg, a.window, tile.row, tile.row + n);
	const size_t dim = static_cast<size_t>(a.head_dim), col = static_cast<size_t>(head) * dim, row0 = static_cast<size_t>(first);
	const size_t kv = static_cast<size_t>(seg.k_off) * a.ldk + static_cast<size_t>(head / a.group) * dim;
	const work w = {kv, keys.from, keys.to, seg.k_len, seg.q_pos + tile.row, smem, smem + BM * D, smem + 2 * BM * D,
			reinterpret_cast<float *>(smem + (2 * BM + 4 * BN) * D)};
	const int row = static_cast<int>(threadIdx.x) / AX_WARP * 16 * M, row_end = min(row + 16 * M, n); /* of this warp */
	const size_t stat = row0 * static_cast<size_t>(a.n_head) + static_cast<size_t>(head);
	float dq[M][D / 8][4], by[M][2];
	int stage = 0;

	ax_tile_clear(dq);
	if (w.from < w.to) {
		ax_tile_load<BM, D, THREADS>(w.sq, static_cast<const ax_bf16 *>(a.q) + row0 * a.ldq + col, a.ldq, n, a.head_dim, a.vec AX_PASS);
		ax_tile_load<BM, D, THREADS>(w.sgo, static_cast<const ax_bf16 *>(a.go) + row0 * a.ldo + col, a.ldo, n, a.head_dim, a.vec AX_PASS);
		load_keys<D>(a, w, w.from, 0 AX_PASS);
	}
	load_stats<BM>(w.stats, a.lse + stat, a.delta + stat, static_cast<size_t>(a.n_head), n);
	for (int j = w.from; j < w.to; j += BN, stage ^= 1) {
		ax_cp_wait<0>();
		__syncthreads(AX_PASS0);
		if (j + BN < w.to)
			load_keys<D>(a, w, j + BN, stage ^ 1 AX_PASS);
		step<D>(dq, a, w, row, row_end, j, stage AX_PASS);
	}
	AX_UNROLL
	for (int i = 0; i < 2 * M; i++)
		by[i / 2][i % 2] = a.scale;
	/* the warp's own rows of q: no other reads them */
	ax_tile_store<D>(static_cast<ax_bf16 *>(a.dq) + (row0 + static_cast<size_t>(row)) * a.ldq + col, a.ldq, n - row, a.head_dim, a.vec, dq, by, w.sq,
			 row);
}

/* Reads q, k, v, go, lse, delta and the plan; writes dq of all rows in segments. */
template <int D> static __global__ void __launch_bounds__(THREADS, D <= 128 ? 2 : 1) attn_dq_kernel(ax_attn_job a)
{
	AX_DYN_SHARED(ax_bf16, smem);
	const int at = static_cast<int>(blockIdx.x) / a.n_head;

	if (at < *a.n_tile)
		tile_dq<D>(a, a.tiles[at], static_cast<int>(blockIdx.x) % a.n_head, smem);
}

/* --- launches -------------------------------------------------------------------------------------------------------- */

template <int D> static void run(struct ax_cuda *c, const struct ax_attn_job *j)
{
	AX_LAUNCH(attn_dq_kernel<D>, ax_attn_blocks(j, shape<D>::BM), THREADS, shape<D>::SMEM, c->compute, *j);
}

template <int D> static void prepare(struct ax_cuda *c)
{
	ax_cuda_failed(c, "attn_bwd", cudaFuncSetAttribute(attn_dq_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape<D>::SMEM)));
}

void ax_attn_mma_dq_prepare(struct ax_cuda *c)
{
	prepare<64>(c);
	prepare<80>(c);
	prepare<96>(c);
	prepare<128>(c);
	prepare<256>(c);
}

int ax_attn_mma_dq_rows(int dim)
{
	return dim <= 128 ? shape<128>::BM : shape<256>::BM;
}

void ax_attn_mma_dq(struct ax_cuda *c, const struct ax_attn_job *j)
{
	typedef void run_t(struct ax_cuda *c, const struct ax_attn_job *j);
	static run_t *const by_class[] = {run<64>, run<80>, run<96>, run<128>, run<256>};

	by_class[ax_attn_class(AX_ATTN_MMA_DIMS, j->head_dim)](c, j);
}
