/*
 * Gradients of keys and values in bf16 on mma: a block has a tile of keys of one key head with k and v in shared memory and
 * walks over the queries that see them, in a fixed order: segments, heads of the group, rows (ax_attn_walk). The sum over
 * the group thus is in registers. Scores are computed transposed, a row for each key: so probabilities and ds are operand a
 * of the products with go and q, and never pass through shared memory. q, go, lse and delta of the next step arrive while
 * those of this one are used:
 *
 *	wait q, go(i)   barrier   start q, go(i+1)   s^T = k q^T   dp^T = v go^T   dv += p^T go   dk += ds^T q
 *
 * At head dim 256 the sums of 16 keys fill the registers of a warp twice: there half of the warps compute dv and half dk of the
 * same keys, and s^T twice.
 */
#include "tensor/cuda/attn_tile.h"

/* Of head dim D: warps, strips of 16 keys a warp has, keys of a tile, queries of a step. SPLIT: dv and dk in different warps. */
template <int D> struct shape {
	static constexpr bool SPLIT = D > 128;
	static constexpr int WARPS = SPLIT ? 8 : 4, THREADS = WARPS * AX_WARP, STRIPS = D <= 64 ? 2 : 1;
	static constexpr int BN = WARPS / (SPLIT ? 2 : 1) * STRIPS * 16, BM = D <= 128 ? 32 : 16;
	/* elements of shared memory: k, v; two stages of q, go; then two of lse and delta, as floats */
	static constexpr int KV = BN * D, STAGE = 2 * BM * D;
	static constexpr size_t SMEM = (2 * KV + 2 * STAGE) * sizeof(ax_bf16) + 2 * 2 * BM * sizeof(float);
};

/* Begin to load q, go, lse and delta of a step into its stage. */
template <int D> AX_DEVICE void load_step(const ax_attn_job &a, const ax_attn_walk &w, ax_bf16 *stage, float *stats AX_AT)
{
	constexpr int BM = shape<D>::BM, THREADS = shape<D>::THREADS;
	const int n = min(BM, w.row_to - w.row), row = static_cast<int>(threadIdx.x) % BM, which = static_cast<int>(threadIdx.x) / BM;
	const size_t first = static_cast<size_t>(w.q_off + w.row), head = static_cast<size_t>(w.head), col = head * static_cast<size_t>(a.head_dim);

	ax_tile_load<BM, D, THREADS>(stage, static_cast<const ax_bf16 *>(a.q) + first * a.ldq + col, a.ldq, n, a.head_dim, a.vec AX_PASS);
	ax_tile_load<BM, D, THREADS>(stage + BM * D, static_cast<const ax_bf16 *>(a.go) + first * a.ldo + col, a.ldo, n, a.head_dim, a.vec AX_PASS);
	/* rows past the last have q = go = 0 and give nothing, with lse = delta = 0 as with any finite value */
	if (which < 2)
		ax_cp_async<4>(stats + which * BM + row, (which ? a.delta : a.lse) + (first + static_cast<size_t>(row)) * static_cast<size_t>(a.n_head) + head,
			       row < n ? 4 : 0 AX_PASS);
	ax_cp_commit();
}

/* s (scores) becomes probabilities, dp gradients; stats: lse and delta of the queries, which are columns here. */
template <bool CAP, int BM, int M, int N> AX_DEVICE void pairs(float (&s)[M][N][4], float (&dp)[M][N][4], const ax_attn_scale &scale, const float *stats)
{
	const int t = static_cast<int>(threadIdx.x) % 4;

	AX_UNROLL
	for (int n = 0; n < N; n++)
		AX_UNROLL
		for (int i = 0; i < 2; i++) {
			const int c = 8 * n + 2 * t + i;
			const float lse2 = ax_attn_lse2(stats[c]), delta = stats[BM + c];

			AX_UNROLL
			for (int m = 0; m < M; m++) {
				ax_attn_pair<CAP>(s[m][n][i], dp[m][n][i], scale, lse2, delta);
				ax_attn_pair<CAP>(s[m][n][i + 2], dp[m][n][i + 2], scale, lse2, delta);
			}
		}
}

/* What a warp adds up: dk and dv of its strips or, with SPLIT, one of them. */
template <int D> struct sums {
	float x[shape<D>::SPLIT ? 1 : 2][shape<D>::STRIPS][D / 8][4];
};

/* One step for a warp: rows row .. of the tile of keys, n queries. dk: this warp computes dk; dv: it computes dv. */
template <int D> AX_DEVICE void step(sums<D> &sum, const ax_attn_job &a, const ax_attn_band &band, int n, int row, bool dv, bool dk, const ax_bf16 *skv, const ax_bf16 *stage, const float *stats AX_AT)
{
	constexpr bool SPLIT = shape<D>::SPLIT;
	constexpr int M = shape<D>::STRIPS, BM = shape<D>::BM;
	const ax_attn_scale scale = ax_attn_scale_of(a);
	const ax_bf16 *q = stage, *go = stage + BM * D;
	float s[M][BM / 8][4], dp[M][BM / 8][4];
	uint32_t p[M][BM / 16][4], ds[M][BM / 16][4];

	if (ax_attn_sees_none(band, 0, n, row, row + 16 * M))
		return;
	ax_tile_clear(s);
	ax_tile_clear(dp);
	ax_tile_abt<D>(s, skv, row, q AX_PASS);
	if (dk)
		ax_tile_abt<D>(dp, skv + shape<D>::KV, row, go AX_PASS);
	if (scale.out != 0)
		ax_attn_cap(s, scale);
	if (!ax_attn_sees_all(band, 0, n, row, row + 16 * M))
		ax_attn_mask<true>(s, band, row);
	if (scale.out != 0)
		pairs<true, BM>(s, dp, scale, stats);
	else
		pairs<false, BM>(s, dp, scale, stats);
	ax_tile_operand(p, s);
	ax_tile_operand(ds, dp);
	if (dv)
		ax_tile_pb<D>(sum.x[0], p, go AX_PASS);
	if (dk)
		ax_tile_pb<D>(sum.x[SPLIT ? 0 : 1], ds, q AX_PASS);
}

/* Write the warp's rows of dv or dk by way of the tile of v or k, which nobody reads any more. */
template <int D> AX_DEVICE void store(void *to, const ax_attn_job &a, int k0, int kv, int row, float scale, const float (&x)[shape<D>::STRIPS][D / 8][4], ax_bf16 *tile AX_AT)
{
	constexpr int M = shape<D>::STRIPS;
	const size_t at_row = static_cast<size_t>(k0 + row) * a.ldk + static_cast<size_t>(kv) * static_cast<size_t>(a.head_dim);
	float by[M][2];

	AX_UNROLL
	for (int i = 0; i < 2 * M; i++)
		by[i / 2][i % 2] = scale;
	ax_tile_store<D>(static_cast<ax_bf16 *>(to) + at_row, a.ldk, a.Nk - k0 - row, a.head_dim, a.vec, x, by, tile, row);
}

/* Reads q, k, v, go, lse, delta and the plan; writes dk and dv of all keys. */
template <int D> static __global__ void __launch_bounds__(shape<D>::THREADS, D <= 128 ? 2 : 1) attn_dkv_kernel(ax_attn_job a)
{
	AX_DYN_SHARED(ax_bf16, smem);
	constexpr bool SPLIT = shape<D>::SPLIT;
	constexpr int BM = shape<D>::BM, BN = shape<D>::BN, THREADS = shape<D>::THREADS, STRIP_WARPS = BN / 16 / shape<D>::STRIPS;
	const int kv = static_cast<int>(blockIdx.x) % a.n_kv, warp = static_cast<int>(threadIdx.x) / AX_WARP;
	const ax_attn_keys tile = a.keys[static_cast<int>(blockIdx.x) / a.n_kv];
	const int k0 = tile.tile * BN, row = warp % STRIP_WARPS * 16 * shape<D>::STRIPS;
	const bool dv = !SPLIT || warp < STRIP_WARPS, dk = !SPLIT || !dv;
	const size_t from = static_cast<size_t>(k0) * a.ldk + static_cast<size_t>(kv) * static_cast<size_t>(a.head_dim);
	ax_bf16 *sk = smem, *sv = sk + shape<D>::KV, *stages = sv + shape<D>::KV;
	float *stats = reinterpret_cast<float *>(stages + 2 * shape<D>::STAGE);
	ax_attn_walk w = ax_attn_walk_start<BN>(a, tile, kv);
	sums<D> sum;

	AX_UNROLL
	for (int i = 0; i < (SPLIT ? 1 : 2); i++)
		ax_tile_clear(sum.x[i]);
	if (w.seg < w.seg_end) {
		ax_tile_load<BN, D, THREADS>(sk, static_cast<const ax_bf16 *>(a.k) + from, a.ldk, a.Nk - k0, a.head_dim, a.vec);
		ax_tile_load<BN, D, THREADS>(sv, static_cast<const ax_bf16 *>(a.v) + from, a.ldk, a.Nk - k0, a.head_dim, a.vec);
		load_step<D>(a, w, stages, stats);
	}
	for (int stage = 0; w.seg < w.seg_end; stage ^= 1) {
		const ax_attn_walk now = w;

		ax_cp_wait<0>();
		__syncthreads();
		ax_attn_walk_next<BM, BN>(w, a, k0);
		if (w.seg < w.seg_end)
			load_step<D>(a, w, stages + (stage ^ 1) * shape<D>::STAGE, stats + (stage ^ 1) * 2 * BM);
		step<D>(sum, a, ax_attn_walk_band(now, a.window), min(BM, now.row_to - now.row), row, dv, dk, sk, stages + stage * shape<D>::STAGE, stats + stage * 2 * BM);
	}
	__syncthreads();
	if (dv)
		store<D>(a.dv, a, k0, kv, row, 1, sum.x[0], sv);
	if (dk)
		store<D>(a.dk, a, k0, kv, row, a.scale, sum.x[SPLIT ? 0 : 1], sk);
}

/* --- launches -------------------------------------------------------------------------------------------------------- */

template <int D> static void run(struct ax_cuda *c, const struct ax_attn_job *j)
{
	AX_LAUNCH(attn_dkv_kernel<D>, ax_attn_key_blocks(j, shape<D>::BN), shape<D>::THREADS, shape<D>::SMEM, c->compute, *j);
}

template <int D> static void prepare(struct ax_cuda *c)
{
	ax_cuda_failed(c, "attn_bwd", cudaFuncSetAttribute(attn_dkv_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape<D>::SMEM)));
}

void ax_attn_mma_dkv_prepare(struct ax_cuda *c)
{
	prepare<64>(c);
	prepare<80>(c);
	prepare<96>(c);
	prepare<128>(c);
	prepare<256>(c);
}

int ax_attn_mma_dkv_rows(int dim)
{
	return dim <= 64 ? shape<64>::BN : dim <= 128 ? shape<128>::BN : shape<256>::BN;
}

void ax_attn_mma_dkv(struct ax_cuda *c, const struct ax_attn_job *j)
{
	typedef void run_t(struct ax_cuda *c, const struct ax_attn_job *j);
	static run_t *const by_class[] = {run<64>, run<80>, run<96>, run<128>, run<256>};

	by_class[ax_attn_class(AX_ATTN_MMA_DIMS, j->head_dim)](c, j);
}
