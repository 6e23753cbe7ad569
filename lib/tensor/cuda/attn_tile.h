/*
 * Tiles of bf16 in shared memory, and products of them with mma.m16n8k16, for the attention kernels.
 *
 * A tile is ROWS x D, D a multiple of 16, without gaps; its 16-byte chunks (8 elements) are permuted inside each row so that
 * ldmatrix, which reads the same chunk of 8 consecutive rows, finds them in 8 different groups of 4 banks. A row of n chunks,
 * n = odd * 2^k, begins at group r n mod 8, which takes 8 / 2^k values; the row number's bits above those choose among the
 * 2^k neighbours:
 *
 *	chunk c of row r lies at place  c ^ (r >> (3 - k) & (2^k - 1))       k <= 3: D = 64, 128, 256: 3; 96: 2; 80: 1
 *
 * Each warp owns strips of 16 rows of the output. What it accumulates is in the layout of mma (device.h): with g = lane / 4,
 * t = lane % 4 a lane holds, of each 16 x 8 block, columns 2t, 2t + 1 of rows g and g + 8. acc[m][n]: strip m, block n.
 * Probabilities never pass through shared memory: two neighbouring blocks of accumulators, rounded to bf16, are one
 * 16 x 16 operand of the next product:
 *
 *	      block 2n     block 2n+1                 operand a of mma
 *	g    | d0 d1 |    | d0 d1 |                  | a0 | a2 |
 *	g+8  | d2 d3 |    | d2 d3 |         ->       | a1 | a3 |
 */
#ifndef AX_TENSOR_CUDA_ATTN_TILE_H
#define AX_TENSOR_CUDA_ATTN_TILE_H

#include "tensor/cuda/attn.h"

/* Before a loop that shall stay one: unrolled, it would take registers from the loops around it. */
#ifdef __CUDACC__
#define AX_NO_UNROLL _Pragma("unroll 1")
#else
#define AX_NO_UNROLL
#endif

/* Where chunk c of a row of D elements lies, by the row's number mod 8. */
template <int D> AX_DEVICE int ax_tile_place(int row, int c)
{
	constexpr int n = D / 8, k = n % 8 == 0 ? 3 : n % 4 == 0 ? 2 : 1;

	static_assert(D % 16 == 0, "rows of an even number of chunks");
	return (c & -(1 << k)) + ((c ^ row >> (3 - k)) & ((1 << k) - 1));
}

template <int D> AX_DEVICE ax_bf16 *ax_tile_chunk(ax_bf16 *tile, int row, int c)
{
	return tile + (row * (D / 8) + ax_tile_place<D>(row % 8, c)) * 8;
}

/* Eight elements one by one; those at and past n are 0. */
AX_DEVICE uint4 ax_tile_gather(const ax_bf16 *p, int n)
{
	float x[8];
	uint4 v;

	AX_UNROLL
	for (int i = 0; i < 8; i++)
		x[i] = i < n ? ax_to_f32(p[i]) : 0.0f;
	v.x = ax_pack_bf16(x[0], x[1]), v.y = ax_pack_bf16(x[2], x[3]);
	v.z = ax_pack_bf16(x[4], x[5]), v.w = ax_pack_bf16(x[6], x[7]);
	return v;
}

/*
 * Begin to copy ROWS rows with stride ld and dim columns into a tile; rows at and past n (which may be negative) and columns at
 * and past dim become 0. By all THREADS of the block; complete after ax_cp_wait and a barrier. vec: 16-byte accesses.
 */
template <int ROWS, int D, int THREADS> AX_DEVICE void ax_tile_load(ax_bf16 *tile, const ax_bf16 *from, size_t ld, int n, int dim, bool vec AX_AT)
{
	/* a thread keeps to one chunk of every STEPth row; with 10 or 12 chunks a row some threads have none */
	constexpr int CHUNKS = D / 8, STEP = THREADS / CHUNKS;
	const int row = static_cast<int>(threadIdx.x) / CHUNKS, c = static_cast<int>(threadIdx.x) % CHUNKS;
	const int n_mine = row >= STEP ? 0 : n - row, n_elem = dim - c * 8;
	const size_t step = STEP * ld;

	from += static_cast<size_t>(row) * ld + static_cast<size_t>(c * 8);
	if (vec) {
		AX_UNROLL
		for (int i = 0; i < ROWS; i += STEP, from += step)
			if (row < STEP && row + i < ROWS)
				ax_cp_async<16>(ax_tile_chunk<D>(tile, row + i, c), from, i < n_mine && n_elem > 0 ? 16 : 0 AX_PASS);
	} else {
		AX_NO_UNROLL
		for (int i = 0; i < ROWS; i += STEP, from += step)
			if (row < STEP && row + i < ROWS)
				ax_st16(ax_tile_chunk<D>(tile, row + i, c), ax_tile_gather(from, i < n_mine ? n_elem : 0));
	}
}

/*
 * A lane's address for ldmatrix of the 16 x 16 elements at (row, 16 c) of a tile, row a multiple of 8, as four 8 x 8 matrices.
 * ROWS_FIRST: in the order (0,0) (8,0) (0,8) (8,8): operand a; with transposition, operand b of two blocks of columns.
 * Else in the order (0,0) (0,8) (8,0) (8,8): operand b of two blocks, where the tile's rows are b's columns.
 */
template <int D, bool ROWS_FIRST> AX_DEVICE const ax_bf16 *ax_tile_at(const ax_bf16 *tile, int row, int c)
{
	const int lane = static_cast<int>(threadIdx.x) % AX_WARP;
	const int r = ROWS_FIRST ? lane % 16 : lane % 8 + lane / 16 * 8, right = ROWS_FIRST ? lane / 16 : lane / 8 % 2;

	/* the part of 2 c that the permutation leaves alone is a constant beside a few addresses that depend on the lane */
	return tile + (r * D + ax_tile_place<D>(r % 8, 2 * c + right) * 8) + row * D;
}

/* acc += A B^T: strips of tile a from row on, M of them, times all 8 N rows of tile b; sums over D columns. */
template <int D, int M, int N> AX_DEVICE void ax_tile_abt(float (&acc)[M][N][4], const ax_bf16 *a, int row, const ax_bf16 *b AX_AT)
{
	static_assert(N % 2 == 0, "blocks in pairs");
	AX_UNROLL
	for (int c = 0; c < D / 16; c++) {
		uint32_t fa[M][4];

		AX_UNROLL
		for (int m = 0; m < M; m++)
			ax_ldmatrix<false>(fa[m], ax_tile_at<D, true>(a, row + 16 * m, c) AX_PASS);
		AX_UNROLL
		for (int n = 0; n < N; n += 2) {
			uint32_t fb[4];

			ax_ldmatrix<false>(fb, ax_tile_at<D, false>(b, 8 * n, c) AX_PASS);
			const uint32_t left[2] = {fb[0], fb[1]}, right[2] = {fb[2], fb[3]};
			AX_UNROLL
			for (int m = 0; m < M; m++) {
				ax_mma(acc[m][n], fa[m], left AX_PASS);
				ax_mma(acc[m][n + 1], fa[m], right AX_PASS);
			}
		}
	}
}

/* acc (M strips x D) += P B: p are operands a of M strips x 16 K, b is a tile of 16 K rows. */
template <int D, int M, int K> AX_DEVICE void ax_tile_pb(float (&acc)[M][D / 8][4], const uint32_t (&p)[M][K][4], const ax_bf16 *b AX_AT)
{
	AX_UNROLL
	for (int k = 0; k < K; k++)
		AX_UNROLL
		for (int c = 0; c < D / 16; c++) {
			uint32_t fb[4];

			ax_ldmatrix<true>(fb, ax_tile_at<D, true>(b, 16 * k, c) AX_PASS);
			const uint32_t left[2] = {fb[0], fb[1]}, right[2] = {fb[2], fb[3]};
			AX_UNROLL
			for (int m = 0; m < M; m++) {
				ax_mma(acc[m][2 * c], p[m][k], left AX_PASS);
				ax_mma(acc[m][2 * c + 1], p[m][k], right AX_PASS);
			}
		}
}

/* Accumulators as operand a, rounded to bf16 (the picture above). */
template <int M, int N> AX_DEVICE void ax_tile_operand(uint32_t (&p)[M][N / 2][4], const float (&acc)[M][N][4])
{
	AX_UNROLL
	for (int m = 0; m < M; m++)
		AX_UNROLL
		for (int k = 0; k < N / 2; k++)
			AX_UNROLL
			for (int i = 0; i < 4; i++) {
				const float(&d)[4] = acc[m][2 * k + i / 2];

				p[m][k][i] = ax_pack_bf16(d[i % 2 * 2], d[i % 2 * 2 + 1]);
			}
}

template <int M, int N> AX_DEVICE void ax_tile_clear(float (&acc)[M][N][4])
{
	AX_UNROLL
	for (int i = 0; i < M * N * 4; i++)
		acc[i / (N * 4)][i / 4 % N][i % 4] = 0;
}

/*
 * Write M strips of accumulators, times by[m][0] (rows g) and by[m][1] (rows g + 8), to rows < n of memory with dim columns: by way
 * of rows row .. row + 16 M of a tile that only this warp uses, so that a warp writes whole chunks.
 */
template <int D, int M> AX_DEVICE void ax_tile_store(ax_bf16 *to, size_t ld, int n, int dim, bool vec, const float (&acc)[M][D / 8][4], const float (&by)[M][2], ax_bf16 *tile, int row)
{
	constexpr int CHUNKS = D / 8;
	const int lane = static_cast<int>(threadIdx.x) % AX_WARP, g = lane / 4, t = lane % 4;

	__syncwarp();
	AX_UNROLL
	for (int m = 0; m < M; m++)
		AX_UNROLL
		for (int c = 0; c < CHUNKS; c++)
			AX_UNROLL
			for (int i = 0; i < 2; i++) {
				const int r = row + 16 * m + g + 8 * i;
				const uint32_t two = ax_pack_bf16(acc[m][c][2 * i] * by[m][i], acc[m][c][2 * i + 1] * by[m][i]);

				*reinterpret_cast<uint32_t *>(ax_tile_chunk<D>(tile, r, c) + 2 * t) = two;
			}
	__syncwarp();
	AX_NO_UNROLL
	for (int id = lane; id < 16 * M * CHUNKS; id += AX_WARP) {
		const int r = id / CHUNKS, c = id % CHUNKS;
		const ax_bf16 *chunk = ax_tile_chunk<D>(tile, row + r, c);
		ax_bf16 *p = to + static_cast<size_t>(r) * ld + static_cast<size_t>(c * 8);

		if (r >= n)
			break;
		if (vec && c * 8 < dim)
			ax_st16_global(p, ax_ld16(chunk));
		for (int i = 0; !vec && i < 8 && c * 8 + i < dim; i++)
			p[i] = chunk[i];
	}
}

/* --- scores ---------------------------------------------------------------------------------------------------------- */

/*
 * From q.k to the exponent of 2 and back to derivatives. Without a cap the exponent is q.k * by; with one, scores are computed at
 * once, in units of log2 e, and by is 1.
 */
struct ax_attn_scale {
	float by, in, out, back; /* in = scale / cap, out = cap * log2 e, back = 1 / out; out 0: no cap */
};

static const float AX_ATTN_LOG2E = 1.4426950408889634f, AX_ATTN_LN2 = 0.6931471805599453f;

AX_DEVICE ax_attn_scale ax_attn_scale_of(const ax_attn_job &a)
{
	if (a.softcap == 0)
		return {a.scale * AX_ATTN_LOG2E, 0, 0, 0};
	return {1, a.scale / a.softcap, a.softcap * AX_ATTN_LOG2E, 1 / (a.softcap * AX_ATTN_LOG2E)};
}

/* tanh to about 1e-7. */
AX_DEVICE float ax_attn_tanh(float x)
{
	const float e = ax_exp2(fabsf(x) * -2.8853900817779268f); /* exp(-2 |x|) */

	return copysignf(__fdividef(1 - e, 1 + e), x);
}

template <int M, int N> AX_DEVICE void ax_attn_cap(float (&s)[M][N][4], const ax_attn_scale &scale)
{
	AX_UNROLL
	for (int i = 0; i < M * N * 4; i++) {
		float &x = s[i / (N * 4)][i / 4 % N][i % 4];

		x = scale.out * ax_attn_tanh(x * scale.in);
	}
}

/* -inf where a query does not see a key. `row`: of the warp's first strip; KEYS: rows are keys and columns queries. */
template <bool KEYS, int M, int N> AX_DEVICE void ax_attn_mask(float (&s)[M][N][4], const ax_attn_band &band, int row)
{
	const int lane = static_cast<int>(threadIdx.x) % AX_WARP, g = lane / 4, t = lane % 4;

	AX_UNROLL
	for (int i = 0; i < M * N * 4; i++) {
		const int r = row + i / (N * 4) * 16 + g + i / 2 % 2 * 8, c = i / 4 % N * 8 + 2 * t + i % 2;

		if (!(KEYS ? ax_attn_sees(band, c, r) : ax_attn_sees(band, r, c)))
			s[i / (N * 4)][i / 4 % N][i % 4] = -INFINITY;
	}
}

/* lse of a row in units of log2 e. A row that sees nothing has -inf: 0 serves it, all its scores are -inf. */
AX_DEVICE float ax_attn_lse2(float lse)
{
	return lse == -INFINITY ? 0.0f : lse * AX_ATTN_LOG2E;
}

/*
 * Backward for one query and key: s, the score as the exponent of 2, becomes the probability; dp = go.v becomes the gradient of
 * scale * q.k.
 */
template <bool CAP> AX_DEVICE void ax_attn_pair(float &s, float &dp, const ax_attn_scale &scale, float lse2, float delta)
{
	const float p = ax_exp2(s * scale.by - lse2);

	dp = p * (dp - delta);
	if (CAP) {
		const float th = max(s * scale.back, -1.0f);

		dp *= 1 - th * th;
	}
	s = p;
}

#endif
