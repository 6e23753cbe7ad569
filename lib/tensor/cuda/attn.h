/*
 * Attention on the device: what its files share.
 *
 *	attn.cu        the two ops: checks of alignment, which kernels run, their launches' dimensions, scratch
 *	attn_plan.cu   before the kernels: tables of tiles, longest first; rows of no segment; delta = rowsum(go * o)
 *	attn_f32.cu    forward and backward in plain f32 FMAs, any head dim: f32, and bf16 beyond head dim 256
 *	attn_fwd.cu    bf16 forward on mma          attn_dq.cu, attn_dkv.cu   bf16 backward on mma
 *	attn_tile.h    tiles in shared memory and products of them on mma
 *
 * All results are sums in a fixed order: no atomics on floats, each output row is written by one block. The backward pass
 * therefore is two kernels, one with a block per tile of queries (dq) and one with a block per tile of keys (dk, dv), and
 * both compute scores and probabilities: 7 products of tiles in place of the 5 of a kernel that adds dq with atomics.
 *
 * A tile of queries belongs to one segment and starts anywhere in it. Tiles of keys are cut from row 0 of k on, whatever the
 * segments, since several segments may see one key: each tile visits the segments that see it in their order.
 */
#ifndef AX_TENSOR_CUDA_ATTN_H
#define AX_TENSOR_CUDA_ATTN_H

#include "tensor/cuda/cuda.h"
#include "tensor/cuda/device.h"

static const int AX_ATTN_NO_WINDOW = 1 << 30; /* positions and lengths are below */

/* A call of an op: what its kernels take, by value. Rows are those of ops.h. */
struct ax_attn_job {
	const struct ax_seg *seg;
	int n_seg, N, Nk;
	int n_head, n_kv, group, head_dim; /* group: query heads of a key head */
	size_t ldq, ldk, ldo;              /* of q and dq; of k, v, dk and dv; of o and go */
	float scale, softcap;
	int window; /* AX_ATTN_NO_WINDOW: none */
	bool vec;   /* all rows of all heads are aligned to 16 bytes */
	const void *q, *k, *v, *go;
	void *o, *dq, *dk, *dv;
	float *lse, *delta;
	/* the tables of attn_plan.cu */
	int tile_q, tile_k; /* rows of a tile */
	int *n_tile;
	struct ax_attn_tile *tiles;
	struct ax_attn_keys *keys;
	int *key_work; /* its own: 3 for each tile of keys */
};

/* --- launchers of the other files; all enqueue on c->compute ------------------------------------------------------- */

/* tiles, and zero o and lse of rows in no segment. */
void ax_attn_plan_fwd(struct ax_cuda *c, const struct ax_attn_job *j);
/* tiles and keys, zero dq of rows in no segment, delta of the others. */
void ax_attn_plan_bwd(struct ax_cuda *c, const struct ax_attn_job *j);

/* Instances of kernels, by head dim: class i is for head dims up to ..._DIMS[i]. */
static const int AX_ATTN_F32_DIMS[] = {64, 128, 256, 512}, AX_ATTN_F32_CLASSES = 4;
static const int AX_ATTN_MMA_DIMS[] = {64, 80, 96, 128, 256}, AX_ATTN_MMA_CLASSES = 5;

static inline int ax_attn_class(const int *dims, int dim)
{
	int i = 0;

	while (dims[i] < dim)
		i++;
	return i;
}

static const int AX_ATTN_F32_ROWS = 64; /* rows of a tile, of queries and of keys */
void ax_attn_f32_fwd(struct ax_cuda *c, const struct ax_attn_job *j);
void ax_attn_f32_dq(struct ax_cuda *c, const struct ax_attn_job *j);
void ax_attn_f32_dkv(struct ax_cuda *c, const struct ax_attn_job *j);

/* bf16 on mma, head dims up to 256. prepare: once; rows: of a tile for that head dim. */
void ax_attn_mma_fwd_prepare(struct ax_cuda *c);
int ax_attn_mma_fwd_rows(int dim);
void ax_attn_mma_fwd(struct ax_cuda *c, const struct ax_attn_job *j);
void ax_attn_mma_dq_prepare(struct ax_cuda *c);
int ax_attn_mma_dq_rows(int dim);
void ax_attn_mma_dq(struct ax_cuda *c, const struct ax_attn_job *j);
void ax_attn_mma_dkv_prepare(struct ax_cuda *c);
int ax_attn_mma_dkv_rows(int dim);
void ax_attn_mma_dkv(struct ax_cuda *c, const struct ax_attn_job *j);

/*
 * Blocks for the tiles of queries: how many there are is known on the device only, at most floor(q_len / rows) + 1 a segment.
 * The blocks that are too many leave at once.
 */
static inline unsigned ax_attn_blocks(const struct ax_attn_job *j, int rows)
{
	const int most = j->N / rows + j->n_seg;

	return static_cast<unsigned>((most < j->N ? most : j->N) * j->n_head);
}

/* Blocks for the tiles of keys. */
static inline unsigned ax_attn_key_blocks(const struct ax_attn_job *j, int rows)
{
	return static_cast<unsigned>((j->Nk + rows - 1) / rows * j->n_kv);
}

/* --- what sees what ------------------------------------------------------------------------------------------------- */

struct ax_attn_range {
	int from, to; /* to <= from: empty */
};

/* Keys of segment s that some query i, i0 <= i < i1, of it sees. */
AX_DEVICE ax_attn_range ax_attn_keys_of(const ax_seg &s, int window, int i0, int i1)
{
	return {max(0, s.q_pos + i0 - window + 1), min(s.k_len, s.q_pos + i1)};
}

/* Queries of segment s that see some key j, j0 <= j < j1, of it. */
AX_DEVICE ax_attn_range ax_attn_queries_of(const ax_seg &s, int window, int j0, int j1)
{
	j0 = max(j0, 0);
	j1 = min(j1, s.k_len);
	if (j0 >= j1)
		return {0, 0};
	return {max(0, j0 - s.q_pos), min(s.q_len, j1 - 1 + window - s.q_pos)};
}

/*
 * A tile of scores: row r is a query, column c a key, counted from the tile's corner. A query sees the keys of a band:
 * diag - window < c - r <= diag, and only columns c_from .. c_to are keys of the segment.
 *
 *	         c ->
 *	    r  . . x x x . . . .        x: seen; diag = 4, window = 3
 *	    |  . . . x x x . . .
 *	    v  . . . . x x x . .
 */
struct ax_attn_band {
	int diag, window, c_from, c_to;
};

AX_DEVICE bool ax_attn_sees(const ax_attn_band &b, int r, int c)
{
	return c - r <= b.diag && c - r > b.diag - b.window && c >= b.c_from && c < b.c_to;
}

/* Does each of rows r .. r_end see each of columns c .. c_end? */
AX_DEVICE bool ax_attn_sees_all(const ax_attn_band &b, int r, int r_end, int c, int c_end)
{
	return c_end - 1 - r <= b.diag && c - (r_end - 1) > b.diag - b.window && c >= b.c_from && c_end <= b.c_to;
}

/* Does none of them see any? */
AX_DEVICE bool ax_attn_sees_none(const ax_attn_band &b, int r, int r_end, int c, int c_end)
{
	return c - (r_end - 1) > b.diag || c_end - 1 - r <= b.diag - b.window || c_end <= b.c_from || c >= b.c_to;
}

/* --- the walk of a tile of keys over the queries that see it --------------------------------------------------------- */

/*
 * A step is BM rows of one head of one segment; steps go by segments, heads of the group, rows. What a step needs of the
 * segment is kept, so that only a new segment costs a read.
 */
struct ax_attn_walk {
	int seg, seg_end; /* seg == seg_end: the walk is over */
	int head, row, row_from, row_to;
	int q_off, diag, c_from, c_to; /* of the segment; diag for row 0; columns from the tile's first key on */
};

/* To the first segment from w.seg on that sees rows k0 .. k0 + BN of the keys. */
template <int BN> AX_DEVICE void ax_attn_walk_find(ax_attn_walk &w, const ax_attn_job &a, int k0)
{
	for (; w.seg < w.seg_end; w.seg++) {
		const ax_seg s = a.seg[w.seg];
		const ax_attn_range i = ax_attn_queries_of(s, a.window, k0 - s.k_off, k0 - s.k_off + BN);

		if (i.from >= i.to)
			continue;
		w.row = w.row_from = i.from;
		w.row_to = i.to;
		w.q_off = s.q_off;
		w.diag = s.q_pos + s.k_off - k0;
		w.c_from = s.k_off - k0;
		w.c_to = s.k_off + s.k_len - k0;
		return;
	}
}

template <int BN> AX_DEVICE ax_attn_walk ax_attn_walk_start(const ax_attn_job &a, const ax_attn_keys &tile, int kv)
{
	ax_attn_walk w = {tile.seg, tile.seg_end, kv * a.group, 0, 0, 0, 0, 0, 0, 0};

	ax_attn_walk_find<BN>(w, a, tile.tile * BN);
	return w;
}

template <int BM, int BN> AX_DEVICE void ax_attn_walk_next(ax_attn_walk &w, const ax_attn_job &a, int k0)
{
	w.row += BM;
	if (w.row < w.row_to)
		return;
	w.row = w.row_from;
	if (++w.head % a.group)
		return;
	w.head -= a.group;
	w.seg++;
	ax_attn_walk_find<BN>(w, a, k0);
}

/* The step's scores: columns are the keys from the tile's first on. */
AX_DEVICE ax_attn_band ax_attn_walk_band(const ax_attn_walk &w, int window)
{
	return {w.diag + w.row, window, w.c_from, w.c_to};
}

#endif
