/*
 * The embedding. Forward: rows are copied. Backward: tokens of the same id add to the same row, in the order of their
 * positions and without atomics: the positions are sorted by id (stable) and cut into chunks of CHUNK. A block adds up the
 * runs of equal ids of its chunk; one that came in from the chunk before leaves its sum as the chunk's part, and a second
 * kernel adds a run's parts in order. So the most frequent id, or padding, keeps no block busy for long.
 *
 * The sort is a radix sort by digits of 8 bits. A tile of TILE keys is a block's; thread d of 256 walks through the tile
 * and looks only at keys whose digit is d, so that counting and placing need no atomics and keep the order.
 */
#include "tensor/cuda/access.h"
#include "tensor/cuda/cuda.h"

static const int TILE = AX_EMBED_TILE, DIGITS = AX_EMBED_DIGITS, CHUNK = AX_EMBED_CHUNK;
typedef struct ax_embed_token token;

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
	AX_SHARED(token, tile, [TILE]);
	const int first = static_cast<int>(blockIdx.x) * TILE, n = min(TILE, N - first), mine = static_cast<int>(threadIdx.x);
	int next = count[threadIdx.x * gridDim.x + blockIdx.x];

	for (int i = mine; i < n; i += DIGITS)
		tile[i] = from[first + i];
	__syncthreads();
	for (int i = 0; i < n; i++)
		if ((tile[i].id >> shift & (DIGITS - 1)) == mine)
			to[next++] = tile[i];
}

/* The tokens by id (below V), those of one id by position: in one of the lists of `space`. */
static const token *sort(struct ax_cuda *c, char *space, const struct ax_embed_space &at, const int32_t *ids, int N, int V)
{
	token *const list[2] = {reinterpret_cast<token *>(space + at.list[0]), reinterpret_cast<token *>(space + at.list[1])};
	int *const count = reinterpret_cast<int *>(space + at.count);
	const unsigned tiles = static_cast<unsigned>(at.n_tile), threads = 256;
	int now = 0;

	AX_LAUNCH(list_kernel, (static_cast<unsigned>(N) + threads - 1) / threads, threads, 0, c->compute, list[0], ids, N);
	for (int shift = 0; shift < 31 && (V - 1) >> shift; shift += 8, now = 1 - now) {
		AX_LAUNCH(count_kernel, tiles, DIGITS, 0, c->compute, count, list[now], N, shift);
		AX_LAUNCH(scan_kernel, 1, DIGITS, 0, c->compute, count, DIGITS * static_cast<int>(tiles));
		AX_LAUNCH(place_kernel, tiles, DIGITS, 0, c->compute, list[1 - now], count, list[now], N, shift);
	}
	return list[now];
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
	return ax_aligned16<float>(a, 0) && ax_aligned16<float>(b, 0) && ax_eights(C);
}

static void embed_fwd(struct ax_dev *d, void *x, const int32_t *ids, const void *table, float scale, int N, int C)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const size_t n = static_cast<size_t>(C);

	if (N)
		AX_DISPATCH(c, rows_aligned(c, x, table, n), embed_fwd_run, c, x, ids, table, scale, N, n);
	ax_cuda_done(c, "embed_fwd");
}

/* Does the chunk's first run come in from the chunk before? */
AX_DEVICE bool comes_in(const token *sorted, int chunk)
{
	return chunk && sorted[chunk * CHUNK - 1].id == sorted[chunk * CHUNK].id;
}

/* to[i .. i+8) += scale * sum. */
template <bool VEC, class G> AX_DEVICE void add8(G *to, float scale, const float (&sum)[8], size_t i, size_t C)
{
	float v[8];

	ax_read8<VEC>(v, to, i, C);
	AX_UNROLL
	for (int e = 0; e < 8; e++)
		v[e] += scale * sum[e];
	ax_write8<VEC>(to, v, i, C);
}

/* Each chunk has `tiles` blocks, a thread eight columns. part (chunks, C): sums of the runs that come in. */
template <class T, bool VEC, class G>
static __global__ void embed_bwd_kernel(G *dtable, float *part, const T *dx, const token *sorted, unsigned tiles, float scale, int N, size_t C)
{
	AX_SHARED(token, here, [CHUNK]);
	const int chunk = static_cast<int>(blockIdx.x / tiles), n = min(CHUNK, N - chunk * CHUNK), t = static_cast<int>(threadIdx.x);
	const size_t i = (static_cast<size_t>(blockIdx.x % tiles) * blockDim.x + threadIdx.x) * 8;
	bool incoming = comes_in(sorted, chunk);
	float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0}, v[8];

	if (t < n)
		here[t] = sorted[chunk * CHUNK + t];
	__syncthreads();
	for (int k = 0; k < n && i < C; k++) {
		ax_read8<VEC>(v, dx + static_cast<size_t>(here[k].at) * C, i, C);
		AX_UNROLL
		for (int e = 0; e < 8; e++)
			sum[e] += v[e];
		if (k + 1 < n && here[k + 1].id == here[k].id)
			continue;
		if (incoming)
			ax_write8<VEC>(part + static_cast<size_t>(chunk) * C, sum, i, C);
		else
			add8<VEC>(dtable + static_cast<size_t>(here[k].id) * C, scale, sum, i, C);
		incoming = false;
		AX_UNROLL
		for (int e = 0; e < 8; e++)
			sum[e] = 0;
	}
}

/* The blocks of the first chunk that a run comes into add the run's parts; the others have nothing to do. */
template <bool VEC, class G>
static __global__ void embed_parts_kernel(G *dtable, const float *part, const token *sorted, unsigned tiles, float scale, int n_chunk, size_t C)
{
	const int chunk = static_cast<int>(blockIdx.x / tiles), id = sorted[chunk * CHUNK].id;
	const size_t i = (static_cast<size_t>(blockIdx.x % tiles) * blockDim.x + threadIdx.x) * 8;
	float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0}, v[8];

	if (i >= C || !comes_in(sorted, chunk) || (chunk > 1 && sorted[(chunk - 1) * CHUNK - 1].id == id))
		return;
	for (int k = chunk; k < n_chunk && sorted[k * CHUNK].id == id; k++) {
		ax_read8<VEC>(v, part + static_cast<size_t>(k) * C, i, C);
		AX_UNROLL
		for (int e = 0; e < 8; e++)
			sum[e] += v[e];
	}
	add8<VEC>(dtable + static_cast<size_t>(id) * C, scale, sum, i, C);
}

template <class T, bool VEC, class G = float>
static void embed_bwd_run(struct ax_cuda *c, void *dtable, float *part, const void *dx, const token *sorted, float scale, int n_chunk, int N, size_t C)
{
	const unsigned threads = ax_row_threads(C, THREADS), tiles = static_cast<unsigned>((C + threads * 8 - 1) / (threads * 8));
	const unsigned blocks = static_cast<unsigned>(n_chunk) * tiles;
	G *to = static_cast<G *>(dtable);

	AX_LAUNCH((embed_bwd_kernel<T, VEC, G>), blocks, threads, 0, c->compute, to, part, static_cast<const T *>(dx), sorted, tiles, scale, N,
		  C);
	AX_LAUNCH((embed_parts_kernel<VEC, G>), blocks, threads, 0, c->compute, to, part, sorted, tiles, scale, n_chunk, C);
}

static void embed_bwd(struct ax_dev *d, void *dtable, const void *dx, const int32_t *ids, float scale, int N, int C, int V)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const size_t n = static_cast<size_t>(C);
	const struct ax_embed_space at = ax_embed_space_of(N, C);
	char *space = static_cast<char *>(ax_cuda_scratch(c, "embed_bwd", at.bytes));

	if (!N || !space)
		return;
	const token *sorted = sort(c, space, at, ids, N, V);
	float *part = reinterpret_cast<float *>(space + at.part);

	const bool vec = rows_aligned(c, dx, dtable, n);

	if (d->grad == AX_F32)
		AX_DISPATCH(c, vec, embed_bwd_run, c, dtable, part, dx, sorted, scale, at.n_chunk, N, n);
	else if (vec)
		embed_bwd_run<ax_bf16, true, ax_bf16>(c, dtable, part, dx, sorted, scale, at.n_chunk, N, n);
	else
		embed_bwd_run<ax_bf16, false, ax_bf16>(c, dtable, part, dx, sorted, scale, at.n_chunk, N, n);
	ax_cuda_done(c, "embed_bwd");
}

void ax_cuda_embed(struct ax_cuda *c)
{
	c->ops.embed_fwd = embed_fwd;
	c->ops.embed_bwd = embed_bwd;
}
