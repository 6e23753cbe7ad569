/*
 * Output head and cross-entropy in chunks of rows, so that logits never exist in full.
 *
 * The rows that are wanted (those with a target; all, where logits are asked for) are listed in order, without asking the
 * device how many there are: the list is as long as the host's bound p->n_trained, and what it has too much are empty rows,
 * which are zero everywhere. For each chunk of the list:
 *
 *	gather   gx (R, C) = rows of x                            head_gather
 *	product  z (R, V) f32 = gx W^T                            cuBLASLt
 *	loss     z becomes its own gradient in act; row_loss      head_rows        2 reads of z, 1 write of half its size
 *	product  gdx (R, C) = z W, then into rows of dx           cuBLASLt, head_scatter
 *	product  dW (V, C) += z^T gx                              cuBLASLt
 *	loss    += the sum of row_loss in order, in double        head_sum
 */
#include "tensor/cuda/access.h"
#include "tensor/cuda/cuda.h"

static const unsigned THREADS = 256;
static const unsigned WIDE = 1024; /* threads of a block that has a row of logits, or all targets */

/* --- rows ------------------------------------------------------------------------------------------------------------ */

/* row[0..n_row) = the tokens with a target (all: every token) in order, then -1. One block; the work is N comparisons. */
static __global__ void __launch_bounds__(WIDE) head_list(int32_t *row, int n_row, const int32_t *target, int N, bool all)
{
	AX_SHARED(int, before, [WIDE + 1]);
	const int t = static_cast<int>(threadIdx.x), each = (N + static_cast<int>(WIDE) - 1) / static_cast<int>(WIDE);
	const int from = min(t * each, N), to = min(from + each, N);
	int n = 0;

	for (int i = from; i < to; i++)
		n += all || target[i] >= 0;
	before[t + 1] = n;
	if (t == 0)
		before[0] = 0;
	__syncthreads();
	/* inclusive prefix sum of before[1..], doubling the reach in each round */
	for (int reach = 1; reach < static_cast<int>(WIDE); reach *= 2) {
		const int more = t + 1 > reach ? before[t + 1 - reach] : 0;

		__syncthreads();
		before[t + 1] += more;
		__syncthreads();
	}
	int at = before[t];

	for (int i = from; i < to; i++)
		if ((all || target[i] >= 0) && at < n_row)
			row[at++] = i;
	for (int i = before[WIDE] + t; i < n_row; i += static_cast<int>(WIDE))
		row[i] = -1;
}

/* gx = rows of x; an empty row is zero. A block a row. */
template <class T, bool VEC> static __global__ void head_gather(T *gx, const T *x, const int32_t *row, size_t C)
{
	const int32_t n = row[blockIdx.x];
	float v[8] = {0, 0, 0, 0, 0, 0, 0, 0};

	for (size_t i = threadIdx.x * 8u; i < C; i += blockDim.x * 8u) {
		if (n >= 0)
			ax_read8<VEC>(v, x + static_cast<size_t>(n) * C, i, C);
		ax_write8<VEC>(gx + blockIdx.x * C, v, i, C);
	}
}

template <class T, bool VEC> static __global__ void head_scatter(T *dx, const T *gdx, const int32_t *row, size_t C)
{
	const int32_t n = row[blockIdx.x];
	float v[8];

	if (n < 0)
		return;
	for (size_t i = threadIdx.x * 8u; i < C; i += blockDim.x * 8u) {
		ax_read8<VEC>(v, gdx + blockIdx.x * C, i, C);
		ax_write8<VEC>(dx + static_cast<size_t>(n) * C, v, i, C);
	}
}

/* --- the loss of a row ----------------------------------------------------------------------------------------------- */

struct row_args {
	const int32_t *row, *target;
	const float *weight, *grad_scale;
	float *logits; /* NULL, or (N, V) */
	double *row_loss;
	float softcap, logit_scale;
	bool backward;
	size_t V;
};

/* logit_scale, softcap. */
AX_DEVICE float logit_of(float z, const row_args &a)
{
	z *= a.logit_scale;
	return a.softcap > 0.0f ? a.softcap * tanhf(z / a.softcap) : z;
}

/* The largest of some logits, and the sum of exp(logit - largest). */
struct soft {
	float max, sum;
};

/* exp(x); for bf16 by the hardware's 2^x, since the exact one takes longer than memory does. */
template <class T> AX_DEVICE float exp_of(float x);
template <> __device__ __forceinline__ float exp_of<float>(float x)
{
	return expf(x);
}
template <> __device__ __forceinline__ float exp_of<ax_bf16>(float x)
{
	return ax_exp2(x * 1.44269504f);
}

static const float LEAST = -3.402823466e38f;

/* With eight more. What is not a number is in no maximum (fmaxf), and so in the sum. */
template <class T> AX_DEVICE soft soft_add(soft a, const float (&z)[8])
{
	float max = a.max;

	AX_UNROLL
	for (int k = 0; k < 8; k++)
		max = fmaxf(max, z[k]);
	float sum = a.sum * exp_of<T>(a.max - max);

	AX_UNROLL
	for (int k = 0; k < 8; k++)
		sum += exp_of<T>(z[k] - max);
	return {max, sum};
}

/*
 * log of the sum of exp over a row, in one pass: every thread keeps its own maximum, then they are brought together. A NaN
 * anywhere gives NaN.
 */
template <class T, bool VEC> AX_DEVICE float row_lse(const float *z, const row_args &a, float *part AX_AT)
{
	soft s = {LEAST, 0.0f};
	float v[8];

	for (size_t i = threadIdx.x * 8u; i < a.V; i += blockDim.x * 8u) {
		ax_read8<VEC>(v, z, i, a.V);
		AX_UNROLL
		for (size_t k = 0; k < 8; k++)
			v[k] = VEC || i + k < a.V ? logit_of(v[k], a) : LEAST;
		s = soft_add<T>(s, v);
	}
	const float max = ax_block_max(s.max, part AX_PASS);
	const float sum = ax_block_sum(s.sum * exp_of<T>(s.max - max), part AX_PASS);

	return max + logf(sum);
}

/*
 * z (f32) becomes its gradient in T, at the front of the same memory. Group by group: all threads read before any writes,
 * and what is written lies before what is still to be read.
 */
template <class T, bool VEC> AX_DEVICE void row_bwd(float *z, float lse, int target, float factor, const row_args &a AX_AT)
{
	T *dz = reinterpret_cast<T *>(z);
	float v[8];

	for (size_t from = 0; from < a.V; from += blockDim.x * 8u) {
		const size_t i = from + threadIdx.x * 8u;
		const int hit = target - static_cast<int>(i);

		ax_read8<VEC>(v, z, i, a.V);
		AX_UNROLL
		for (int k = 0; k < 8; k++) {
			const float y = logit_of(v[k], a), t = a.softcap > 0.0f ? y / a.softcap : 0.0f;

			v[k] = (exp_of<T>(y - lse) - (k == hit ? 1.0f : 0.0f)) * factor * (1.0f - t * t);
		}
		__syncthreads(AX_PASS0);
		ax_write8<VEC>(dz, v, i, a.V);
	}
}

template <class T> AX_DEVICE void row_zero(float *z, size_t V)
{
	T *dz = reinterpret_cast<T *>(z);

	for (size_t i = threadIdx.x; i < V; i += blockDim.x)
		dz[i] = ax_from_f32<T>(0.0f);
}

/* A block a row of the chunk; on the usual path two on a multiprocessor, which leaves 32 registers each thread. */
template <class T, bool VEC> static __global__ void __launch_bounds__(WIDE, VEC && sizeof(T) == 2 ? 2 : 1) head_rows(float *chunk, row_args a)
{
	AX_SHARED(float, part, [32]);
	float *z = chunk + blockIdx.x * a.V;
	const int32_t n = a.row[blockIdx.x], target = n < 0 ? -1 : a.target[n];

	if (threadIdx.x == 0 && target < 0)
		a.row_loss[blockIdx.x] = 0.0;
	if (n >= 0 && a.logits)
		for (size_t i = threadIdx.x; i < a.V; i += blockDim.x)
			a.logits[static_cast<size_t>(n) * a.V + i] = logit_of(z[i], a);
	if (target < 0) {
		if (a.backward && a.logits)
			__syncthreads(); /* what row_zero overwrites has been read */
		if (a.backward)
			row_zero<T>(z, a.V);
		return;
	}
	const float lse = row_lse<T, VEC>(z, a, part), weight = a.weight ? a.weight[n] : 1.0f;

	if (threadIdx.x == 0)
		a.row_loss[blockIdx.x] = static_cast<double>(weight) * (static_cast<double>(lse) - static_cast<double>(logit_of(z[target], a)));
	if (a.backward) /* it writes nothing before its first barrier */
		row_bwd<T, VEC>(z, lse, target, a.grad_scale[0] * weight * a.logit_scale, a);
}

/* loss += row_loss[0] + row_loss[1] + ...: one block, each thread a stretch, then the stretches in order. */
static __global__ void head_sum(double *loss, const double *row_loss, int n)
{
	AX_SHARED(double, part, [THREADS]);
	const int each = (n + static_cast<int>(THREADS) - 1) / static_cast<int>(THREADS), from = static_cast<int>(threadIdx.x) * each;
	double sum = 0;

	for (int i = from; i < min(from + each, n); i++)
		sum += row_loss[i];
	part[threadIdx.x] = sum;
	__syncthreads();
	if (threadIdx.x)
		return;
	for (unsigned k = 1; k < THREADS; k++)
		sum += part[k];
	*loss += sum;
}

/* --- the op ---------------------------------------------------------------------------------------------------------- */

struct space {
	int32_t *row;
	double *row_loss;
	char *gx, *gdx;
	float *z;
	size_t chunk, n_row; /* rows of a chunk, and of all chunks */
};

static space space_at(char *p, const struct ax_head_space &at)
{
	return {reinterpret_cast<int32_t *>(p + at.row), reinterpret_cast<double *>(p + at.row_loss), p + at.gx, p + at.gdx,
		reinterpret_cast<float *>(p + at.z), at.chunk, at.n_row};
}

/* What one call works on. */
struct head {
	struct ax_cuda *c;
	space s;
	row_args a;
	void *dx, *dw;
	enum ax_dtype grad; /* of dw */
	const void *x, *w;
	size_t C, V;
};

template <class T, bool VEC> static void gather_run(const head &h, const int32_t *row)
{
	AX_LAUNCH((head_gather<T, VEC>), static_cast<unsigned>(h.s.chunk), ax_row_threads(h.C, THREADS), 0, h.c->compute,
		  reinterpret_cast<T *>(h.s.gx), static_cast<const T *>(h.x), row, h.C);
}

template <class T, bool VEC> static void scatter_run(const head &h, const int32_t *row)
{
	AX_LAUNCH((head_scatter<T, VEC>), static_cast<unsigned>(h.s.chunk), ax_row_threads(h.C, THREADS), 0, h.c->compute,
		  static_cast<T *>(h.dx), reinterpret_cast<const T *>(h.s.gdx), row, h.C);
}

template <class T, bool VEC> static void rows_run(const head &h, const row_args &a)
{
	AX_LAUNCH((head_rows<T, VEC>), static_cast<unsigned>(h.s.chunk), ax_row_threads(h.V, WIDE), 0, h.c->compute, h.s.z, a);
}

/* Both gradient products of a chunk. The gradient of the logits has the stride of f32 logits. */
static void chunk_bwd(const head &h, const int32_t *row, bool vec)
{
	const enum ax_dtype t = h.c->act;
	const size_t ld = h.V * sizeof(float) / ax_dtype_size(t);
	const int R = static_cast<int>(h.s.chunk), C = static_cast<int>(h.C), V = static_cast<int>(h.V);
	struct ax_cuda_product dx = {}, dw = {};

	dx.m = R, dx.n = C, dx.k = V, dx.lda = ld, dx.ldb = dx.ldo = h.C, dx.in = dx.out = t, dx.alpha = 1;
	ax_cuda_mm(h.c, "head_loss", &dx, h.s.gdx, h.s.z, h.w, NULL);
	AX_DISPATCH(h.c, vec, scatter_run, h, row);
	if (!h.dw)
		return;
	dw.m = V, dw.n = C, dw.k = R, dw.a_trans = true, dw.lda = ld, dw.ldb = dw.ldo = h.C, dw.in = t, dw.out = h.grad;
	dw.alpha = dw.beta = 1;
	ax_cuda_mm(h.c, "head_loss", &dw, h.dw, h.s.z, h.s.gx, NULL);
}

static void run_chunk(const head &h, size_t first)
{
	const bool vec = ax_aligned16<float>(h.x, 0) && ax_aligned16<float>(h.dx, 0) && ax_eights(h.C);
	const bool wide = ax_eights(h.V);
	struct ax_cuda_product z = {};
	row_args a = h.a;

	a.row = h.s.row + first;
	a.row_loss = h.s.row_loss + first;
	AX_DISPATCH(h.c, vec, gather_run, h, a.row);
	z.m = static_cast<int>(h.s.chunk), z.n = static_cast<int>(h.V), z.k = static_cast<int>(h.C), z.b_trans = true;
	z.lda = z.ldb = h.C, z.ldo = h.V, z.in = h.c->act, z.out = AX_F32, z.alpha = 1;
	ax_cuda_mm(h.c, "head_loss", &z, h.s.z, h.s.gx, h.w, NULL);
	AX_DISPATCH(h.c, wide, rows_run, h, a);
	if (h.dx)
		chunk_bwd(h, a.row, vec);
}

static void head_loss(struct ax_dev *d, double *loss, void *dx, void *dw, float *logits, const void *x, const void *w, const int32_t *target, const float *weight, const float *grad_scale, const struct ax_head *p, int N, int C, int V)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const size_t n = static_cast<size_t>(logits || p->n_trained > N ? N : p->n_trained), size = ax_dtype_size(c->act);
	head h = {c, {}, {NULL, target, weight, grad_scale, logits, NULL, p->softcap, p->logit_scale, dx != NULL, static_cast<size_t>(V)},
		  dx, dw, d->grad, x, w, static_cast<size_t>(C), static_cast<size_t>(V)};
	char *memory;

	if (dx)
		ax_cuda_failed(c, "head_loss", cudaMemsetAsync(dx, 0, static_cast<size_t>(N) * h.C * size, c->compute));
	if (!n)
		return;
	const struct ax_gpu g = ax_cuda_gpu(c);
	const struct ax_head_space at = ax_head_space_of(&g, n, h.C, h.V);

	memory = static_cast<char *>(ax_cuda_scratch(c, "head_loss", at.bytes));
	if (!memory)
		return;
	h.s = space_at(memory, at);
	AX_LAUNCH(head_list, 1, WIDE, 0, c->compute, h.s.row, static_cast<int>(h.s.n_row), target, N, logits != NULL);
	for (size_t first = 0; first < h.s.n_row; first += h.s.chunk)
		run_chunk(h, first);
	AX_LAUNCH(head_sum, 1, THREADS, 0, c->compute, loss, h.s.row_loss, static_cast<int>(h.s.n_row));
	ax_cuda_done(c, "head_loss");
}

void ax_cuda_head(struct ax_cuda *c)
{
	c->ops.head_loss = head_loss;
}
