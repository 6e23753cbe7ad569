/*
 * Attention in plain f32 multiply-adds for any head dim: the f32 device, and bf16 beyond the head dims of the mma kernels.
 *
 * A block of 256 threads has a tile of 64 x 64 scores. Thread (ty, tx) of 16 x 16 holds rows 4 ty + i and columns tx + 16 j,
 * i, j < 4; of an output tile of 64 x head_dim it holds the same rows and columns tx + 16 j. Operands pass through shared
 * memory in slices of 32 columns, so that its size does not depend on the head dim. Rows of shared arrays have an odd
 * stride: both a column of 16 rows and a row of 16 columns lie in different banks.
 */
#include "tensor/cuda/attn.h"

enum { THREADS = 256, TILE = 64, SLICE = 32, PER = 4 };

typedef float slice_t[TILE][SLICE + 1];
typedef float square_t[TILE][TILE + 1];
typedef float scores_t[PER][PER];

/* Rows of a matrix in memory: row r < n begins at p + r * ld; it has dim columns. Others read as zero. */
template <class T> struct rows_t {
	const T *p;
	size_t ld;
	int n, dim;
};

template <class T> AX_DEVICE rows_t<T> rows_of(const void *p, size_t ld, int row, int head, int dim, int n)
{
	return {static_cast<const T *>(p) + static_cast<size_t>(row) * ld + static_cast<size_t>(head) * static_cast<size_t>(dim), ld, n, dim};
}

/* Columns col .. col + SLICE of 64 rows into shared memory. */
template <class T> AX_DEVICE void load_slice(slice_t &to, const rows_t<T> &from, int col)
{
	const int c = static_cast<int>(threadIdx.x) % SLICE;

	for (int r = static_cast<int>(threadIdx.x) / SLICE; r < TILE; r += THREADS / SLICE)
		to[r][c] = r < from.n && col + c < from.dim ? ax_to_f32(from.p[static_cast<size_t>(r) * from.ld + static_cast<size_t>(col + c)]) : 0.0f;
}

/* s = A B^T over the head dim; sa and sb are free before and after a barrier of the whole block. */
template <class T> AX_DEVICE void scores_of(scores_t &s, const rows_t<T> &a, const rows_t<T> &b, slice_t &sa, slice_t &sb AX_AT)
{
	const int ty = static_cast<int>(threadIdx.x) / 16, tx = static_cast<int>(threadIdx.x) % 16;

	AX_UNROLL
	for (int i = 0; i < PER * PER; i++)
		s[i / PER][i % PER] = 0;
	for (int col = 0; col < a.dim; col += SLICE) {
		__syncthreads(AX_PASS0);
		load_slice(sa, a, col);
		load_slice(sb, b, col);
		__syncthreads(AX_PASS0);
		for (int e = 0; e < SLICE; e++) {
			float x[PER], y[PER];

			AX_UNROLL
			for (int i = 0; i < PER; i++)
				x[i] = sa[ty * PER + i][e], y[i] = sb[tx + 16 * i][e];
			AX_UNROLL
			for (int i = 0; i < PER; i++)
				AX_UNROLL
				for (int j = 0; j < PER; j++)
					s[i][j] += x[i] * y[j];
		}
	}
}

/* An output tile: rows of the thread, columns tx + 16 j. */
template <int DIM> struct out_t {
	float x[PER][DIM / 16];
};

template <int DIM> AX_DEVICE void out_clear(out_t<DIM> &o)
{
	AX_UNROLL
	for (int i = 0; i < PER; i++)
		AX_UNROLL
		for (int j = 0; j < DIM / 16; j++)
			o.x[i][j] = 0;
}

/* o += P B, where P (64 x 64) holds what each thread put there with put_square. */
template <int DIM, class T> AX_DEVICE void out_add(out_t<DIM> &o, const square_t &p, const rows_t<T> &b, slice_t &sb AX_AT)
{
	const int ty = static_cast<int>(threadIdx.x) / 16, tx = static_cast<int>(threadIdx.x) % 16;

	AX_UNROLL
	for (int z = 0; z < DIM / SLICE; z++) {
		if (z * SLICE >= b.dim)
			break;
		__syncthreads(AX_PASS0);
		load_slice(sb, b, z * SLICE);
		__syncthreads(AX_PASS0);
		for (int k = 0; k < TILE; k++) {
			const float y0 = sb[k][tx], y1 = sb[k][tx + 16];

			AX_UNROLL
			for (int i = 0; i < PER; i++) {
				o.x[i][2 * z] += p[ty * PER + i][k] * y0;
				o.x[i][2 * z + 1] += p[ty * PER + i][k] * y1;
			}
		}
	}
}

/* A barrier must lie between the last use of p and this; out_add has the one after it. */
AX_DEVICE void put_square(square_t &p, const scores_t &s)
{
	const int ty = static_cast<int>(threadIdx.x) / 16, tx = static_cast<int>(threadIdx.x) % 16;

	AX_UNROLL
	for (int i = 0; i < PER; i++)
		AX_UNROLL
		for (int j = 0; j < PER; j++)
			p[ty * PER + i][tx + 16 * j] = s[i][j];
}

/* Rows < n of the output, times by[i]. */
template <int DIM, class T> AX_DEVICE void out_store(T *to, size_t ld, int n, int dim, const out_t<DIM> &o, const float (&by)[PER])
{
	const int ty = static_cast<int>(threadIdx.x) / 16, tx = static_cast<int>(threadIdx.x) % 16;

	AX_UNROLL
	for (int i = 0; i < PER; i++)
		AX_UNROLL
		for (int j = 0; j < DIM / 16; j++)
			if (ty * PER + i < n && tx + 16 * j < dim)
				to[static_cast<size_t>(ty * PER + i) * ld + static_cast<size_t>(tx + 16 * j)] = ax_from_f32<T>(o.x[i][j] * by[i]);
}

/* The score of a product q.k; its derivative by scale * q.k into slope. */
AX_DEVICE float score(const ax_attn_job &a, float qk, float &slope)
{
	const float s = qk * a.scale;

	slope = 1;
	if (a.softcap == 0)
		return s;
	const float th = tanhf(s / a.softcap);
	slope = 1 - th * th;
	return a.softcap * th;
}

/* The sum (maximum) over the 16 threads of a row. */
AX_DEVICE float row_sum(float x AX_AT)
{
	for (int bit = 8; bit > 0; bit /= 2)
		x += __shfl_xor_sync(AX_FULL, x, bit, AX_WARP AX_PASS);
	return x;
}
AX_DEVICE float row_max(float x AX_AT)
{
	for (int bit = 8; bit > 0; bit /= 2)
		x = max(x, __shfl_xor_sync(AX_FULL, x, bit, AX_WARP AX_PASS));
	return x;
}

/* --- forward --------------------------------------------------------------------------------------------------------- */

/*
 * One tile of products s of the online softmax: s becomes exp(score - most), 0 where unseen; most, sum and the output so far
 * go over to the new maximum. A row that has seen nothing keeps most = -inf.
 */
template <int DIM> AX_DEVICE void softmax(scores_t &s, const ax_attn_job &a, const ax_attn_band &band, float (&most)[PER], float (&sum)[PER], out_t<DIM> &o AX_AT)
{
	const int ty = static_cast<int>(threadIdx.x) / 16, tx = static_cast<int>(threadIdx.x) % 16;

	AX_UNROLL
	for (int i = 0; i < PER; i++) {
		float slope, top = -INFINITY, total = 0;

		AX_UNROLL
		for (int j = 0; j < PER; j++) {
			s[i][j] = ax_attn_sees(band, ty * PER + i, tx + 16 * j) ? score(a, s[i][j], slope) : -INFINITY;
			top = max(top, s[i][j]);
		}
		top = max(most[i], row_max(top AX_PASS));
		const float base = top == -INFINITY ? 0.0f : top, shrink = expf(most[i] - base);

		AX_UNROLL
		for (int j = 0; j < PER; j++) {
			s[i][j] = expf(s[i][j] - base);
			total += s[i][j];
		}
		most[i] = top;
		sum[i] = sum[i] * shrink + row_sum(total AX_PASS);
		AX_UNROLL
		for (int j = 0; j < DIM / 16; j++)
			o.x[i][j] *= shrink;
	}
}

/* Reads q, k, v; writes o and lse of a tile of queries. */
template <class T, int DIM> static __global__ void __launch_bounds__(THREADS, 1) attn_f32_fwd_kernel(ax_attn_job a)
{
	AX_SHARED(float, sa, [TILE][SLICE + 1]);
	AX_SHARED(float, sb, [TILE][SLICE + 1]);
	AX_SHARED(float, p, [TILE][TILE + 1]);
	const int ty = static_cast<int>(threadIdx.x) / 16, tx = static_cast<int>(threadIdx.x) % 16, at = static_cast<int>(blockIdx.x) / a.n_head;

	if (at >= *a.n_tile)
		return;
	const ax_attn_tile tile = a.tiles[at];
	const int head = static_cast<int>(blockIdx.x) % a.n_head;
	const ax_seg seg = a.seg[tile.seg];
	const int rows = min(TILE, seg.q_len - tile.row), first = seg.q_off + tile.row;
	const ax_attn_range keys = ax_attn_keys_of(seg, a.window, tile.row, tile.row + rows);
	const rows_t<T> q = rows_of<T>(a.q, a.ldq, first, head, a.head_dim, rows);
	float most[PER], sum[PER] = {0}, by[PER];
	out_t<DIM> o;

	out_clear(o);
	AX_UNROLL
	for (int i = 0; i < PER; i++)
		most[i] = -INFINITY;
	for (int j0 = keys.from; j0 < keys.to; j0 += TILE) {
		const ax_attn_band band = {seg.q_pos + tile.row - j0, a.window, 0, seg.k_len - j0};
		const rows_t<T> k = rows_of<T>(a.k, a.ldk, seg.k_off + j0, head / a.group, a.head_dim, seg.k_len - j0);
		const rows_t<T> v = rows_of<T>(a.v, a.ldk, seg.k_off + j0, head / a.group, a.head_dim, seg.k_len - j0);
		scores_t s;

		scores_of(s, q, k, sa, sb);
		softmax(s, a, band, most, sum, o);
		put_square(p, s);
		out_add(o, p, v, sb);
	}
	AX_UNROLL
	for (int i = 0; i < PER; i++) {
		by[i] = sum[i] == 0 ? 0 : 1 / sum[i];
		if (tx == 0 && ty * PER + i < rows)
			a.lse[static_cast<size_t>(first + ty * PER + i) * static_cast<size_t>(a.n_head) + static_cast<size_t>(head)] =
				sum[i] == 0 ? -INFINITY : most[i] + logf(sum[i]);
	}
	out_store(static_cast<T *>(a.o) + static_cast<size_t>(first) * a.ldo + static_cast<size_t>(head) * static_cast<size_t>(a.head_dim), a.ldo,
		  rows, a.head_dim, o, by);
}

/* --- backward -------------------------------------------------------------------------------------------------------- */

/* The rows of queries of a step: q and go, and where their lse and delta begin (a stride of n_head). */
template <class T> struct queries_t {
	rows_t<T> q, go;
	const float *lse, *delta;
	int n;
};

template <class T> AX_DEVICE queries_t<T> queries_of(const ax_attn_job &a, int first, int head, int n)
{
	const size_t at = static_cast<size_t>(first) * static_cast<size_t>(a.n_head) + static_cast<size_t>(head);

	return {rows_of<T>(a.q, a.ldq, first, head, a.head_dim, n), rows_of<T>(a.go, a.ldo, first, head, a.head_dim, n), a.lse + at, a.delta + at, n};
}

/*
 * From products s = q.k and dp = go.v of query r and key c: the probability into s and the gradient of scale * q.k into dp, both
 * 0 where the query does not see the key or is beyond the tile's rows.
 */
template <class T> AX_DEVICE void pair(float &s, float &dp, const ax_attn_job &a, const ax_attn_band &band, const queries_t<T> &x, int r, int c)
{
	if (r >= x.n || !ax_attn_sees(band, r, c)) {
		s = dp = 0;
		return;
	}
	const size_t at = static_cast<size_t>(r) * static_cast<size_t>(a.n_head);
	float slope;
	const float p = expf(score(a, s, slope) - x.lse[at]);

	dp = p * (dp - x.delta[at]) * slope;
	s = p;
}

/* Reads q, k, v, go, lse, delta; writes dq of a tile of queries. */
template <class T, int DIM> static __global__ void __launch_bounds__(THREADS, 1) attn_f32_dq_kernel(ax_attn_job a)
{
	AX_SHARED(float, sa, [TILE][SLICE + 1]);
	AX_SHARED(float, sb, [TILE][SLICE + 1]);
	AX_SHARED(float, p, [TILE][TILE + 1]);
	const int ty = static_cast<int>(threadIdx.x) / 16, tx = static_cast<int>(threadIdx.x) % 16, at = static_cast<int>(blockIdx.x) / a.n_head;
	const float by[PER] = {a.scale, a.scale, a.scale, a.scale};

	if (at >= *a.n_tile)
		return;
	const ax_attn_tile tile = a.tiles[at];
	const int head = static_cast<int>(blockIdx.x) % a.n_head;
	const ax_seg seg = a.seg[tile.seg];
	const int rows = min(TILE, seg.q_len - tile.row), first = seg.q_off + tile.row;
	const ax_attn_range keys = ax_attn_keys_of(seg, a.window, tile.row, tile.row + rows);
	const queries_t<T> x = queries_of<T>(a, first, head, rows);
	out_t<DIM> dq;

	out_clear(dq);
	for (int j0 = keys.from; j0 < keys.to; j0 += TILE) {
		const ax_attn_band band = {seg.q_pos + tile.row - j0, a.window, 0, seg.k_len - j0};
		const rows_t<T> k = rows_of<T>(a.k, a.ldk, seg.k_off + j0, head / a.group, a.head_dim, seg.k_len - j0);
		const rows_t<T> v = rows_of<T>(a.v, a.ldk, seg.k_off + j0, head / a.group, a.head_dim, seg.k_len - j0);
		scores_t s, ds;

		scores_of(s, x.q, k, sa, sb);
		scores_of(ds, x.go, v, sa, sb);
		AX_UNROLL
		for (int i = 0; i < PER; i++)
			AX_UNROLL
			for (int j = 0; j < PER; j++)
				pair(s[i][j], ds[i][j], a, band, x, ty * PER + i, tx + 16 * j);
		put_square(p, ds);
		out_add(dq, p, k, sb);
	}
	out_store(static_cast<T *>(a.dq) + static_cast<size_t>(first) * a.ldq + static_cast<size_t>(head) * static_cast<size_t>(a.head_dim), a.ldq,
		  rows, a.head_dim, dq, by);
}

/* Reads the same; writes dk (if DK) and dv (if DV) of a tile of keys. Here rows of the tiles are keys, columns queries. */
template <class T, int DIM, bool DK, bool DV> static __global__ void __launch_bounds__(THREADS, 1) attn_f32_dkv_kernel(ax_attn_job a)
{
	AX_SHARED(float, sa, [TILE][SLICE + 1]);
	AX_SHARED(float, sb, [TILE][SLICE + 1]);
	AX_SHARED(float, p, [TILE][TILE + 1]);
	const int ty = static_cast<int>(threadIdx.x) / 16, tx = static_cast<int>(threadIdx.x) % 16, kv = static_cast<int>(blockIdx.x) % a.n_kv;
	const ax_attn_keys tile = a.keys[static_cast<int>(blockIdx.x) / a.n_kv];
	const int k0 = tile.tile * TILE, rows = min(TILE, a.Nk - k0);
	const rows_t<T> k = rows_of<T>(a.k, a.ldk, k0, kv, a.head_dim, rows), v = rows_of<T>(a.v, a.ldk, k0, kv, a.head_dim, rows);
	const float one[PER] = {1, 1, 1, 1}, by[PER] = {a.scale, a.scale, a.scale, a.scale};
	const size_t at = static_cast<size_t>(k0) * a.ldk + static_cast<size_t>(kv) * static_cast<size_t>(a.head_dim);
	out_t<DK ? DIM : 32> dk;
	out_t<DV ? DIM : 32> dv;

	out_clear(dk);
	out_clear(dv);
	for (ax_attn_walk w = ax_attn_walk_start<TILE>(a, tile, kv); w.seg < w.seg_end; ax_attn_walk_next<TILE, TILE>(w, a, k0)) {
		const ax_attn_band band = ax_attn_walk_band(w, a.window);
		const queries_t<T> x = queries_of<T>(a, w.q_off + w.row, w.head, min(TILE, w.row_to - w.row));
		scores_t s, ds = {{0}};

		scores_of(s, k, x.q, sa, sb);
		if (DK)
			scores_of(ds, v, x.go, sa, sb);
		AX_UNROLL
		for (int i = 0; i < PER; i++)
			AX_UNROLL
			for (int j = 0; j < PER; j++)
				pair(s[i][j], ds[i][j], a, band, x, tx + 16 * j, ty * PER + i);
		if (DV) {
			put_square(p, s);
			out_add(dv, p, x.go, sb);
			__syncthreads();
		}
		if (DK) {
			put_square(p, ds);
			out_add(dk, p, x.q, sb);
		}
	}
	if (DK)
		out_store(static_cast<T *>(a.dk) + at, a.ldk, rows, a.head_dim, dk, by);
	if (DV)
		out_store(static_cast<T *>(a.dv) + at, a.ldk, rows, a.head_dim, dv, one);
}

/* --- launches -------------------------------------------------------------------------------------------------------- */

template <class T, int DIM> static void fwd_run(struct ax_cuda *c, const struct ax_attn_job *j)
{
	AX_LAUNCH((attn_f32_fwd_kernel<T, DIM>), ax_attn_blocks(j, TILE), THREADS, 0, c->compute, *j);
}

template <class T, int DIM> static void dq_run(struct ax_cuda *c, const struct ax_attn_job *j)
{
	AX_LAUNCH((attn_f32_dq_kernel<T, DIM>), ax_attn_blocks(j, TILE), THREADS, 0, c->compute, *j);
}

/* Two output tiles of more columns do not fit into registers: dk and dv in two runs then. */
template <class T, int DIM> static void dkv_run(struct ax_cuda *c, const struct ax_attn_job *j)
{
	const unsigned blocks = ax_attn_key_blocks(j, TILE);

	if constexpr (DIM <= 128) {
		AX_LAUNCH((attn_f32_dkv_kernel<T, DIM, true, true>), blocks, THREADS, 0, c->compute, *j);
	} else {
		AX_LAUNCH((attn_f32_dkv_kernel<T, DIM, true, false>), blocks, THREADS, 0, c->compute, *j);
		AX_LAUNCH((attn_f32_dkv_kernel<T, DIM, false, true>), blocks, THREADS, 0, c->compute, *j);
	}
}

typedef void run_t(struct ax_cuda *c, const struct ax_attn_job *j);

/* The instance for a head dim, of f32's four or bf16's one. */
static run_t *instance(const struct ax_cuda *c, const struct ax_attn_job *j, run_t *const (&f32)[4], run_t *bf16)
{
	return c->act == AX_BF16 ? bf16 : f32[ax_attn_class(AX_ATTN_F32_DIMS, j->head_dim)];
}

void ax_attn_f32_fwd(struct ax_cuda *c, const struct ax_attn_job *j)
{
	static run_t *const f32[4] = {fwd_run<float, 64>, fwd_run<float, 128>, fwd_run<float, 256>, fwd_run<float, 512>};

	instance(c, j, f32, fwd_run<ax_bf16, 512>)(c, j);
}

void ax_attn_f32_dq(struct ax_cuda *c, const struct ax_attn_job *j)
{
	static run_t *const f32[4] = {dq_run<float, 64>, dq_run<float, 128>, dq_run<float, 256>, dq_run<float, 512>};

	instance(c, j, f32, dq_run<ax_bf16, 512>)(c, j);
}

void ax_attn_f32_dkv(struct ax_cuda *c, const struct ax_attn_job *j)
{
	static run_t *const f32[4] = {dkv_run<float, 64>, dkv_run<float, 128>, dkv_run<float, 256>, dkv_run<float, 512>};

	instance(c, j, f32, dkv_run<ax_bf16, 512>)(c, j);
}
