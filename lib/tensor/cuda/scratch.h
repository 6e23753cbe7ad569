/*
 * What the ops of a GPU take beside their arguments, laid out. Pure functions of shapes and of the three numbers of struct
 * ax_gpu: the plugin reserves by them, and a plan on a machine without a GPU counts by them (tensor/gpu.h). Offsets and sizes in
 * bytes, each part aligned to 256. Valid C11 and C++17.
 */
#ifndef AX_TENSOR_CUDA_SCRATCH_H
#define AX_TENSOR_CUDA_SCRATCH_H

#include "tensor/ops.h"

struct ax_gpu {
	enum ax_dtype act;
	int n_sm; /* multiprocessors */
	size_t memory_bytes; /* of the GPU in all */
};

#define AX_GPU_WORKSPACE ((size_t)32 << 20) /* of matrix products, beside the scratch of ops */

/* Pinned host memory of copies: slots of uploads, and two halves for each of two lanes of downloads. */
#define AX_STAGE_SLOTS 8
#define AX_STAGE_SLOT_BYTES ((size_t)4 << 20)
#define AX_STAGE_HALF_BYTES ((size_t)2 << 20)
#define AX_GPU_PINNED_BYTES (AX_STAGE_SLOTS * AX_STAGE_SLOT_BYTES + 4 * AX_STAGE_HALF_BYTES)

/* The next multiple of 256. */
static inline size_t ax_cuda_round(size_t bytes)
{
	return (bytes + 255) & ~(size_t)255;
}

static inline size_t ax_scratch_max(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* --- sums over rows by parts (parts.h): elem, norm ------------------------------------------------------------------ */

#define AX_SUMSQ_BLOCKS 1024
#define AX_HEAD_WARPS 8 /* warps of a block of headnorm */

/*
 * Blocks among which N rows of n columns are divided where each leaves one part of n floats: enough to fill the GPU with
 * blocks of ax_row_threads(n, 256) threads.
 */
static inline int ax_scratch_n_part(const struct ax_gpu *g, int N, size_t n)
{
	const size_t groups = (n + 255) / 256, most = (size_t)g->n_sm * (groups > 16 ? 2 : groups < 2 ? 32 : 32 / groups);

	return N < 1 ? 1 : (size_t)N < most ? N : (int)most;
}

/* Bytes of that many parts. */
static inline size_t ax_scratch_part_bytes(const struct ax_gpu *g, int N, size_t n)
{
	return (size_t)ax_scratch_n_part(g, N, n) * n * sizeof(float);
}

/* The most for n columns or fewer: narrow ones get more blocks. */
static inline size_t ax_scratch_most_part_bytes(const struct ax_gpu *g, int N, size_t n)
{
	const size_t all = (size_t)(N < 1 ? 1 : N) * n, most = ax_scratch_max(32 * 256, 2 * n) * (size_t)g->n_sm;

	return (all < most ? all : most) * sizeof(float);
}

/* Blocks of headnorm's backward pass over n heads: enough to fill the GPU, each with several heads a warp where there are so many. */
static inline unsigned ax_scratch_head_parts(const struct ax_gpu *g, size_t n)
{
	const size_t most = 4 * (size_t)g->n_sm, want = (n + AX_HEAD_WARPS - 1) / AX_HEAD_WARPS;

	return (unsigned)(want < 1 ? 1 : want < most ? want : most);
}

/* --- embedding ------------------------------------------------------------------------------------------------------ */

#define AX_EMBED_TILE 1024
#define AX_EMBED_DIGITS 256
#define AX_EMBED_CHUNK 32

/* Where one of the sort's two copies of a token lies: its id and its position. */
struct ax_embed_token {
	int32_t id, at;
};

/* Of the backward pass: the sort's two lists and its counts, then a part for each chunk. */
struct ax_embed_space {
	int n_tile, n_chunk;
	size_t list[2], count, part, bytes;
};

static inline struct ax_embed_space ax_embed_space_of(int N, int C)
{
	const size_t list = ax_cuda_round((size_t)N * sizeof(struct ax_embed_token));
	struct ax_embed_space s;

	s.n_tile = (N + AX_EMBED_TILE - 1) / AX_EMBED_TILE;
	s.n_chunk = (N + AX_EMBED_CHUNK - 1) / AX_EMBED_CHUNK;
	s.list[0] = 0;
	s.list[1] = list;
	s.count = 2 * list;
	s.part = s.count + ax_cuda_round((size_t)AX_EMBED_DIGITS * (size_t)s.n_tile * sizeof(int));
	s.bytes = s.part + (size_t)s.n_chunk * (size_t)C * sizeof(float);
	return s;
}

/* --- output head ---------------------------------------------------------------------------------------------------- */

#define AX_HEAD_ROW_STEP ((size_t)128) /* chunks are multiples of it: few shapes of products */

struct ax_head_space {
	size_t chunk, n_row; /* rows of a chunk, and of all chunks */
	size_t row, row_loss, gx, gdx, z, bytes;
};

static inline size_t ax_head_round_rows(size_t n)
{
	return (n + AX_HEAD_ROW_STEP - 1) / AX_HEAD_ROW_STEP * AX_HEAD_ROW_STEP;
}

/*
 * Rows that a chunk may have: about an eightieth of the GPU's memory in f32 logits. Each chunk adds to all of dW, so more
 * rows mean less traffic.
 */
static inline size_t ax_head_chunk_limit(const struct ax_gpu *g, size_t V)
{
	const size_t bytes = ax_scratch_max(g->memory_bytes / 80, (size_t)32 << 20);

	return ax_scratch_max(bytes / (V * sizeof(float)) / AX_HEAD_ROW_STEP * AX_HEAD_ROW_STEP, AX_HEAD_ROW_STEP);
}

static inline struct ax_head_space ax_head_lay_out(const struct ax_gpu *g, size_t chunk, size_t n_row, size_t C, size_t V)
{
	const size_t width = ax_dtype_size(g->act);
	struct ax_head_space s;

	s.chunk = chunk;
	s.n_row = n_row;
	s.row = 0;
	s.row_loss = s.row + ax_cuda_round(n_row * sizeof(int32_t));
	s.gx = s.row_loss + ax_cuda_round(n_row * sizeof(double));
	s.gdx = s.gx + ax_cuda_round(chunk * C * width);
	s.z = s.gdx + ax_cuda_round(chunk * C * width);
	s.bytes = s.z + ax_cuda_round(chunk * V * sizeof(float));
	return s;
}

/* For n rows, in the fewest chunks of equal size. n, V > 0. */
static inline struct ax_head_space ax_head_space_of(const struct ax_gpu *g, size_t n, size_t C, size_t V)
{
	const size_t limit = ax_head_chunk_limit(g, V), chunks = (n + limit - 1) / limit;
	const size_t chunk = ax_head_round_rows((n + chunks - 1) / chunks);

	return ax_head_lay_out(g, chunk, (n + chunk - 1) / chunk * chunk, C, V);
}

/* The most for any number of rows up to N: a chunk has at most `rows`, and the list ends less than a chunk behind the last row. */
static inline size_t ax_head_most_bytes(const struct ax_gpu *g, size_t N, size_t C, size_t V)
{
	const size_t limit = N && V ? ax_head_chunk_limit(g, V) : 0, all = ax_head_round_rows(N), rows = all < limit ? all : limit;

	return N && V ? ax_head_lay_out(g, rows, N + rows, C, V).bytes : 0;
}

/* --- attention ------------------------------------------------------------------------------------------------------ */

/* Rows row .. row + BM of segment seg. */
struct ax_attn_tile {
	int seg, row;
};

/* Rows tile * BN .. of the keys; segments seg .. seg_end may see them. */
struct ax_attn_keys {
	int tile, seg, seg_end;
};

#define AX_ATTN_MIN_KEYS ((size_t)32)

/*
 * delta, then the tables. They are as large as they can become: a tile of queries has at least one row, and so there are at
 * most N of them whatever the segments; tiles of keys have at least AX_ATTN_MIN_KEYS rows.
 */
struct ax_attn_space {
	size_t delta, n_tile, tiles, keys, key_work, bytes;
};

static inline struct ax_attn_space ax_attn_space_of(size_t N, size_t Nk, size_t n_head)
{
	const size_t n_keys = (Nk + AX_ATTN_MIN_KEYS - 1) / AX_ATTN_MIN_KEYS;
	struct ax_attn_space s;

	s.delta = 0;
	s.n_tile = ax_cuda_round(N * n_head * sizeof(float));
	s.tiles = s.n_tile + ax_cuda_round(sizeof(int));
	s.keys = s.tiles + ax_cuda_round(N * sizeof(struct ax_attn_tile));
	s.key_work = s.keys + ax_cuda_round(n_keys * sizeof(struct ax_attn_keys));
	s.bytes = s.key_work + ax_cuda_round(3 * n_keys * sizeof(int));
	return s;
}

/* --- all ------------------------------------------------------------------------------------------------------------ */

/* The most that one op asks for where no shape is larger than s. */
static inline size_t ax_gpu_scratch(const struct ax_gpu *g, const struct ax_shape *s)
{
	const size_t N = (size_t)s->N, heads = N * (size_t)(s->n_head > s->n_kv ? s->n_head : s->n_kv);
	size_t most = AX_SUMSQ_BLOCKS * sizeof(double);

	most = ax_scratch_max(most, ax_scratch_most_part_bytes(g, s->N, (size_t)s->O));
	most = ax_scratch_max(most, ax_scratch_head_parts(g, heads) * (size_t)s->head_dim * sizeof(float));
	most = ax_scratch_max(most, ax_embed_space_of(s->N, s->C).bytes);
	most = ax_scratch_max(most, ax_head_most_bytes(g, N, (size_t)s->C, (size_t)s->V));
	most = ax_scratch_max(most, ax_attn_space_of(N, (size_t)s->Nk, (size_t)s->n_head).bytes);
	return ax_cuda_round(most);
}

#endif
