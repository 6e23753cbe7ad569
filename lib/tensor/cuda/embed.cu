/*
 * The embedding. Forward: rows are copied. Backward: tokens of the same id add to the same row, in the order of their
 * positions and without atomics: the positions are sorted by id (stable), and each run of equal ids is one block's.
 *
 * The sort is a radix sort by digits of 8 bits. A tile of TILE keys is a block's; thread d of 256 walks through the tile
 * and looks only at keys whose digit is d, so that counting and placing need no atomics and keep the order.
 */
#include "tensor/cuda/access.h"
#include "tensor/cuda/cuda.h"

static const int TILE = 1024;
static const int DIGITS = 256;

/* Where one of the sort's two copies of a token lies: its id and its position. */
struct token {
	int32_t id, at;
};

static int tiles_of(int N)
{
	return (N + TILE - 1) / TILE;
}

/* --- sort ------------------------------------------------------------------------------------------------------------ */

static __global__ void list_kernel(token *to, const int32_t *ids, int N)
{
	const int n = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);

	if (n < N)
		to[n] = {ids[n], n};
}

/* The digits of the block's tile into shared memory. Keys past the end get none. */
AX_DEVICE void load_digits(int16_t *digit, const token *from, int N, int shift)
{
	const int first = static_cast<int>(blockIdx.x) * TILE;

	for (int i = static_cast<int>(threadIdx.x); i < TILE; i += DIGITS)
		digit[i] = static_cast<int16_t>(first + i < N ? from[first + i].id >> shift & (DIGITS - 1) : -1);
}

/* count[digit][tile] = keys of the tile with this digit. */
static __global__ void count_kernel(int *count, const token *from, int N, int shift)
{
	AX_SHARED(int16_t, digit, [TILE]);
	const int mine = static_cast<int>(threadIdx.x);
	int n = 0;

	load_digits(digit, from, N, shift);
	__syncthreads();
	for (int i = 0; i < TILE; i++)
		n += digit[i] == mine;
	count[threadIdx.x * gridDim.x + blockIdx.x] = n;
}

/* count becomes its exclusive prefix sum; one block, each thread a stretch. */
static __global__ void scan_kernel(int *count, int n)
{
	AX_SHARED(int, total, [DIGITS]);
	const int each = (n + DIGITS - 1) / DIGITS, from = static_cast<int>(threadIdx.x) * each, to = min(from + each, n);
	int sum = 0;

	for (int i = from; i < to; i++)
		sum += count[i];
	total[threadIdx.x] = sum;
	__syncthreads();
	sum = 0;
	for (int i = 0; i < static_cast<int>(threadIdx.x); i++)
		sum += total[i];
	for (int i = from; i < to; i++) {
		const int n_here = count[i];

		count[i] = sum;
		sum += n_here;
	}
}

static __global__ void place_kernel(token *to, const int *count, const token *from, int N, int shift)
{
	AX_SHARED(int16_t, digit, [TILE]);
	const int first = static_cast<int>(blockIdx.x) * TILE, mine = static_cast<int>(threadIdx.x);
	int next = count[threadIdx.x * gridDim.x + blockIdx.x];

	load_digits(digit, from, N, shift);
	__syncthreads();
	for (int i = 0; i < TILE; i++)
		if (digit[i] == mine)
			to[next++] = from[first + i];
}

/* Scratch of a sort of N tokens: two lists and the counts. */
struct sort_space {
	token *list[2];
	int *count;
};

static size_t sort_bytes(int N)
{
	const size_t counts = static_cast<size_t>(DIGITS) * static_cast<size_t>(tiles_of(N));

	return 2 * ax_cuda_round(static_cast<size_t>(N) * sizeof(token)) + ax_cuda_round(counts * sizeof(int));
}

static sort_space sort_space_of(char *p, int N)
{
	const size_t list = ax_cuda_round(static_cast<size_t>(N) * sizeof(token));

	return {{reinterpret_cast<token *>(p), reinterpret_cast<token *>(p + list)}, reinterpret_cast<int *>(p + 2 * list)};
}

/* The tokens by id (below V), those of one id by position: in one of the space's lists. */
static const token *sort(struct ax_cuda *c, const sort_space &s, const int32_t *ids, int N, int V)
{
	const unsigned tiles = static_cast<unsigned>(tiles_of(N)), threads = 256;
	int now = 0;

	AX_LAUNCH(list_kernel, (static_cast<unsigned>(N) + threads - 1) / threads, threads, 0, c->compute, s.list[0], ids, N);
	for (int shift = 0; shift < 31 && (V - 1) >> shift; shift += 8, now = 1 - now) {
		AX_LAUNCH(count_kernel, tiles, DIGITS, 0, c->compute, s.count, s.list[now], N, shift);
		AX_LAUNCH(scan_kernel, 1, DIGITS, 0, c->compute, s.count, DIGITS * static_cast<int>(tiles));
		AX_LAUNCH(place_kernel, tiles, DIGITS, 0, c->compute, s.list[1 - now], s.count, s.list[now], N, shift);
	}
	return s.list[now];
}

/* --- the ops --------------------------------------------------------------------------------------------------------- */

static const unsigned THREADS = 256;

/* A block a token. */
template <class T, bool VEC> static __global__ void embed_fwd_kernel(T *x, const int32_t *ids, const T *table, float scale, size_t C)
{
	const T *from = table + static_cast<size_t>(ids[blockIdx.x]) * C;
	float v[8];

	for (size_t i = threadIdx.x * 8u; i < C; i += blockDim.x * 8u) {
		ax_read8<VEC>(v, from, i, C);
		AX_UNROLL
		for (int k = 0; k < 8; k++)
			v[k] *= scale;
		ax_write8<VEC>(x + blockIdx.x * C, v, i, C);
	}
}

template <class T, bool VEC> static void embed_fwd_run(struct ax_cuda *c, void *x, const int32_t *ids, const void *table, float scale, int N, size_t C)
{
	AX_LAUNCH((embed_fwd_kernel<T, VEC>), static_cast<unsigned>(N), ax_row_threads(C, THREADS), 0, c->compute, static_cast<T *>(x), ids,
		  static_cast<const T *>(table), scale, C);
}

static bool rows_aligned(const struct ax_cuda *c, const void *a, const void *b, size_t C)
{
	return ax_aligned16<float>(a, 0) && ax_aligned16<float>(b, 0) && C * ax_dtype_size(c->act) % 16 == 0;
}

static void embed_fwd(struct ax_dev *d, void *x, const int32_t *ids, const void *table, float scale, int N, int C)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const size_t n = static_cast<size_t>(C);

	if (N)
		AX_DISPATCH(c, rows_aligned(c, x, table, n), embed_fwd_run, c, x, ids, table, scale, N, n);
	ax_cuda_done(c, "embed_fwd");
}

/* Block j looks at the j-th token in the order of ids: the first of a run adds up the run. */
template <class T, bool VEC>
static __global__ void embed_bwd_kernel(float *dtable, const T *dx, const token *sorted, float scale, int N, size_t C)
{
	const int j = static_cast<int>(blockIdx.x), id = sorted[j].id;

	if (j && sorted[j - 1].id == id)
		return;
	float *to = dtable + static_cast<size_t>(id) * C;

	for (size_t i = threadIdx.x * 8u; i < C; i += blockDim.x * 8u) {
		float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0}, v[8];

		for (int k = j; k < N && sorted[k].id == id; k++) {
			ax_read8<VEC>(v, dx + static_cast<size_t>(sorted[k].at) * C, i, C);
			AX_UNROLL
			for (int e = 0; e < 8; e++)
				sum[e] += v[e];
		}
		ax_read8<VEC>(v, to, i, C);
		AX_UNROLL
		for (int e = 0; e < 8; e++)
			v[e] += scale * sum[e];
		ax_write8<VEC>(to, v, i, C);
	}
}

template <class T, bool VEC>
static void embed_bwd_run(struct ax_cuda *c, float *dtable, const void *dx, const token *sorted, float scale, int N, size_t C)
{
	AX_LAUNCH((embed_bwd_kernel<T, VEC>), static_cast<unsigned>(N), ax_row_threads(C, THREADS), 0, c->compute, dtable,
		  static_cast<const T *>(dx), sorted, scale, N, C);
}

static void embed_bwd(struct ax_dev *d, float *dtable, const void *dx, const int32_t *ids, float scale, int N, int C, int V)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const size_t n = static_cast<size_t>(C);
	char *space = static_cast<char *>(ax_cuda_scratch(c, "embed_bwd", sort_bytes(N)));

	if (!N || !space)
		return;
	const token *sorted = sort(c, sort_space_of(space, N), ids, N, V);

	AX_DISPATCH(c, rows_aligned(c, dx, dtable, n), embed_bwd_run, c, dtable, dx, sorted, scale, N, n);
	ax_cuda_done(c, "embed_bwd");
}

void ax_cuda_embed(struct ax_cuda *c)
{
	c->ops.embed_fwd = embed_fwd;
	c->ops.embed_bwd = embed_bwd;
}

size_t ax_cuda_embed_scratch(const struct ax_cuda *, const struct ax_shape *s)
{
	return sort_bytes(s->N);
}
