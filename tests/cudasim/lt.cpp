/*
 * cuBLASLt. Descriptors are plain structs; a product is an operation with a copy of all of them. Results are computed in
 * f32 and rounded once.
 *
 * Algorithms: id 0 sums over k in one go, ids 1 and 2 in 2 and 4 parts (split-k), which need workspace for the parts. No
 * algorithm is promised for every shape: here products with k = 1 have none, so that callers show what they do then.
 */
#include <cstdlib>
#include <ctime>
#include <cublasLt.h>

#include "gemm.h"
#include "sim.h"

#include "cuda_bf16.h"

/* What the plugin for GPUs opens is here already. */
struct ax_err;
extern "C" int ax_lt_library(struct ax_err *);
extern "C" int ax_lt_library(struct ax_err *)
{
	return 0;
}

struct cublasLtContext {
	bool alive;
};

struct cublasLtMatmulDescOpaque {
	cublasComputeType_t compute;
	cublasOperation_t trans_a, trans_b;
	cublasLtEpilogue_t epilogue;
	const void *bias;
	int bias_type; /* -1: that of D */
};

struct cublasLtMatrixLayoutOpaque {
	cudaDataType_t type;
	cublasLtOrder_t order;
	uint64_t rows, cols;
	int64_t ld, batch_stride;
	int32_t n_batch;
};

struct cublasLtPreferenceOpaque {
	uint64_t workspace_bytes;
	uint32_t reductions;
	uint32_t align[4]; /* of A, B, C, D */
};

typedef cublasLtMatrixLayoutOpaque layout;

struct product {
	cublasLtMatmulDescOpaque desc;
	layout a, b, c, d;
	const void *pa, *pb, *pc;
	void *pd, *workspace;
	float alpha, beta;
	int n_split;
	size_t workspace_bytes;
};

enum { N_ALGO = 3, ALGO_MAGIC = 0x617834 };
static const int splits[N_ALGO] = {1, 2, 4};

size_t cublasLtGetVersion(void)
{
	return CUBLAS_VERSION;
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
	switch (status) {
	case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
	case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
	case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
	case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
	case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
	case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
	case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
	case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
	}
	return "unknown status";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *h)
{
	*h = new cublasLtContext{true};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t h)
{
	delete h;
	return CUBLAS_STATUS_SUCCESS;
}

/* --- descriptors ----------------------------------------------------------------------------------------- */

/* Attributes come as bytes; a size that is not the attribute's would be read wrongly by the library too. */
template <class T> static T value_of(const void *value, size_t bytes, const char *attr)
{
	if (bytes != sizeof(T))
		cudasim_die("cuBLASLt: attribute %s has %zu bytes, not %zu", attr, sizeof(T), bytes);
	T v;
	memcpy(&v, value, sizeof v);
	return v;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *d, cublasComputeType_t compute, cudaDataType_t scale)
{
	if (compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_PEDANTIC)
		cudasim_die("cuBLASLt: compute type %d is not simulated", static_cast<int>(compute));
	if (scale != CUDA_R_32F)
		cudasim_die("cuBLASLt: scale type %d with f32 sums", static_cast<int>(scale));
	*d = new cublasLtMatmulDescOpaque{compute, CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr, -1};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
	delete d;
	return CUBLAS_STATUS_SUCCESS;
}

static cublasOperation_t operation(const void *value, size_t bytes, const char *attr)
{
	const int v = value_of<int>(value, bytes, attr);
	if (v != CUBLAS_OP_N && v != CUBLAS_OP_T)
		cudasim_die("cuBLASLt: %s = %d", attr, v);
	return static_cast<cublasOperation_t>(v);
}

static cublasLtEpilogue_t epilogue(int v)
{
	if (v != CUBLASLT_EPILOGUE_DEFAULT && v != CUBLASLT_EPILOGUE_BIAS)
		cudasim_die("cuBLASLt: epilogue %d is not simulated", v);
	return static_cast<cublasLtEpilogue_t>(v);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t attr,
					      const void *value, size_t bytes)
{
	switch (attr) {
	case CUBLASLT_MATMUL_DESC_TRANSA: d->trans_a = operation(value, bytes, "TRANSA"); return CUBLAS_STATUS_SUCCESS;
	case CUBLASLT_MATMUL_DESC_TRANSB: d->trans_b = operation(value, bytes, "TRANSB"); return CUBLAS_STATUS_SUCCESS;
	case CUBLASLT_MATMUL_DESC_EPILOGUE:
		d->epilogue = epilogue(value_of<int>(value, bytes, "EPILOGUE"));
		return CUBLAS_STATUS_SUCCESS;
	case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
		d->bias = value_of<const void *>(value, bytes, "BIAS_POINTER");
		return CUBLAS_STATUS_SUCCESS;
	case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
		d->bias_type = value_of<int>(value, bytes, "BIAS_DATA_TYPE");
		return CUBLAS_STATUS_SUCCESS;
	case CUBLASLT_MATMUL_DESC_POINTER_MODE:
		if (value_of<int>(value, bytes, "POINTER_MODE") == CUBLASLT_POINTER_MODE_HOST)
			return CUBLAS_STATUS_SUCCESS;
		break;
	default: break;
	}
	cudasim_die("cuBLASLt: attribute %d of a product, or its value, is not simulated", static_cast<int>(attr));
}

static void require_type(cudaDataType_t type)
{
	if (type != CUDA_R_32F && type != CUDA_R_16BF)
		cudasim_die("cuBLASLt: matrix of type %d", static_cast<int>(type));
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType type, uint64_t rows, uint64_t cols,
					  int64_t ld)
{
	require_type(type);
	*l = new layout{type, CUBLASLT_ORDER_COL, rows, cols, ld, 0, 1};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
	delete l;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t l, cublasLtMatrixLayoutAttribute_t attr,
						const void *value, size_t bytes)
{
	switch (attr) {
	case CUBLASLT_MATRIX_LAYOUT_TYPE:
		l->type = static_cast<cudaDataType_t>(value_of<int>(value, bytes, "TYPE"));
		require_type(l->type);
		return CUBLAS_STATUS_SUCCESS;
	case CUBLASLT_MATRIX_LAYOUT_ORDER: {
		const int v = value_of<int>(value, bytes, "ORDER");
		if (v != CUBLASLT_ORDER_COL && v != CUBLASLT_ORDER_ROW)
			cudasim_die("cuBLASLt: order %d is not simulated", v);
		l->order = static_cast<cublasLtOrder_t>(v);
		return CUBLAS_STATUS_SUCCESS;
	}
	case CUBLASLT_MATRIX_LAYOUT_ROWS:
		l->rows = value_of<uint64_t>(value, bytes, "ROWS");
		return CUBLAS_STATUS_SUCCESS;
	case CUBLASLT_MATRIX_LAYOUT_COLS:
		l->cols = value_of<uint64_t>(value, bytes, "COLS");
		return CUBLAS_STATUS_SUCCESS;
	case CUBLASLT_MATRIX_LAYOUT_LD: l->ld = value_of<int64_t>(value, bytes, "LD"); return CUBLAS_STATUS_SUCCESS;
	case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
		l->n_batch = value_of<int32_t>(value, bytes, "BATCH_COUNT");
		return CUBLAS_STATUS_SUCCESS;
	case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
		l->batch_stride = value_of<int64_t>(value, bytes, "STRIDED_BATCH_OFFSET");
		return CUBLAS_STATUS_SUCCESS;
	}
	cudasim_die("cuBLASLt: attribute %d of a layout is not simulated", static_cast<int>(attr));
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p)
{
	*p = new cublasLtPreferenceOpaque{0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
	delete p;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
						    cublasLtMatmulPreferenceAttributes_t attr, const void *value,
						    size_t bytes)
{
	if (attr >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES && attr <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)
		p->align[attr - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES] =
			value_of<uint32_t>(value, bytes, "MIN_ALIGNMENT");
	else if (attr == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
		p->workspace_bytes = value_of<uint64_t>(value, bytes, "MAX_WORKSPACE_BYTES");
	else if (attr == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
		p->reductions = value_of<uint32_t>(value, bytes, "REDUCTION_SCHEME_MASK");
	else
		cudasim_die("cuBLASLt: preference %d is not simulated", static_cast<int>(attr));
	return CUBLAS_STATUS_SUCCESS;
}

/* --- what fits together ---------------------------------------------------------------------------------- */

static uint64_t op_rows(const layout &l, cublasOperation_t t)
{
	return t == CUBLAS_OP_T ? l.cols : l.rows;
}

static uint64_t op_cols(const layout &l, cublasOperation_t t)
{
	return t == CUBLAS_OP_T ? l.rows : l.cols;
}

static bool layout_ok(const layout &l)
{
	const uint64_t along = l.order == CUBLASLT_ORDER_COL ? l.rows : l.cols;
	return l.rows && l.cols && l.ld > 0 && static_cast<uint64_t>(l.ld) >= along && l.n_batch > 0;
}

static bool same_shape(const layout &x, const layout &y)
{
	return x.type == y.type && x.order == y.order && x.rows == y.rows && x.cols == y.cols && x.n_batch == y.n_batch;
}

static cublasStatus_t fits(const cublasLtMatmulDescOpaque &t, const layout &a, const layout &b, const layout &c,
			   const layout &d)
{
	if (!layout_ok(a) || !layout_ok(b) || !layout_ok(c) || !layout_ok(d))
		return CUBLAS_STATUS_INVALID_VALUE;
	if (op_rows(a, t.trans_a) != d.rows || op_cols(b, t.trans_b) != d.cols ||
	    op_cols(a, t.trans_a) != op_rows(b, t.trans_b) || !same_shape(c, d))
		return CUBLAS_STATUS_INVALID_VALUE;
	if (a.n_batch != d.n_batch || b.n_batch != d.n_batch)
		return CUBLAS_STATUS_INVALID_VALUE;
	if (a.type != b.type || (a.type == CUDA_R_32F && d.type != CUDA_R_32F))
		return CUBLAS_STATUS_NOT_SUPPORTED;
	if (t.epilogue == CUBLASLT_EPILOGUE_BIAS &&
	    (!t.bias || d.order != CUBLASLT_ORDER_COL || (t.bias_type >= 0 && t.bias_type != static_cast<int>(d.type))))
		return CUBLAS_STATUS_NOT_SUPPORTED;
	return CUBLAS_STATUS_SUCCESS;
}

/* Epilogues read it in vectors of 16 bytes, and choices are made by the alignment that it has when they are made. */
static void require_bias(const cublasLtMatmulDescOpaque &t)
{
	if (t.epilogue == CUBLASLT_EPILOGUE_BIAS && reinterpret_cast<uintptr_t>(t.bias) % 16)
		cudasim_die("cuBLASLt: the bias at %p is not aligned to 16 bytes", t.bias);
}

/* --- algorithms ------------------------------------------------------------------------------------------ */

static size_t workspace_needed(const layout &d, int n_split)
{
	return n_split == 1 ? 0
			    : d.rows * d.cols * static_cast<size_t>(d.n_batch) * static_cast<size_t>(n_split) *
				      sizeof(float);
}

static cublasLtMatmulAlgo_t make_algo(unsigned id, const uint32_t align[4])
{
	cublasLtMatmulAlgo_t algo = {};
	algo.data[0] = ALGO_MAGIC;
	algo.data[1] = id;
	for (int i = 0; i < 4; i++)
		algo.data[2 + i] = align[i];
	return algo;
}

static bool algo_ok(const cublasLtMatmulAlgo_t *algo, uint64_t k)
{
	return algo->data[0] == ALGO_MAGIC && algo->data[1] < N_ALGO &&
	       k >= static_cast<uint64_t>(splits[algo->data[1]]);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t h, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a,
					      cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
					      cublasLtMatrixLayout_t out, cublasLtMatmulPreference_t p, int wanted,
					      cublasLtMatmulHeuristicResult_t results[], int *n)
{
	*n = 0;
	if (!h || wanted < 1)
		return CUBLAS_STATUS_INVALID_VALUE;
	if (cublasStatus_t bad = fits(*d, *a, *b, *c, *out))
		return bad;
	require_bias(*d);
	if (op_cols(*a, d->trans_a) == 1)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	for (unsigned id = 0; id < N_ALGO && *n < wanted; id++) {
		const cublasLtMatmulAlgo_t algo = make_algo(id, p->align);
		const size_t bytes = workspace_needed(*out, splits[id]);
		const bool reduces = splits[id] > 1;
		if (bytes > p->workspace_bytes || !algo_ok(&algo, op_cols(*a, d->trans_a)) ||
		    (reduces && !(p->reductions & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)))
			continue;
		results[(*n)++] = {algo, bytes, CUBLAS_STATUS_SUCCESS, 1.0f, {}};
	}
	return *n ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a,
				       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t out,
				       const cublasLtMatmulAlgo_t *algo, cublasLtMatmulHeuristicResult_t *result)
{
	if (cublasStatus_t bad = fits(*d, *a, *b, *c, *out))
		return bad;
	if (!algo_ok(algo, op_cols(*a, d->trans_a)))
		return CUBLAS_STATUS_NOT_SUPPORTED;
	*result = {*algo, workspace_needed(*out, splits[algo->data[1]]), CUBLAS_STATUS_SUCCESS, 1.0f, {}};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
						    cublasLtMatmulAlgoConfigAttributes_t attr, void *value,
						    size_t bytes, size_t *written)
{
	const int split = splits[algo->data[1] % N_ALGO];
	uint32_t v = 0;
	switch (attr) {
	case CUBLASLT_ALGO_CONFIG_ID: v = static_cast<uint32_t>(algo->data[1]); break;
	case CUBLASLT_ALGO_CONFIG_SPLITK_NUM: v = static_cast<uint32_t>(split); break;
	case CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME:
		v = split > 1 ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE : CUBLASLT_REDUCTION_SCHEME_NONE;
		break;
	case CUBLASLT_ALGO_CONFIG_TILE_ID:
	case CUBLASLT_ALGO_CONFIG_STAGES_ID: break;
	}
	if (bytes < sizeof v)
		return CUBLAS_STATUS_INVALID_VALUE;
	memcpy(value, &v, sizeof v);
	if (written)
		*written = sizeof v;
	return CUBLAS_STATUS_SUCCESS;
}

/* --- the product ----------------------------------------------------------------------------------------- */

static size_t type_bytes(cudaDataType_t t)
{
	return t == CUDA_R_32F ? 4 : 2;
}

/* Elements from the first to the last of one matrix of the batch. */
static size_t span(const layout &l)
{
	const uint64_t lines = l.order == CUBLASLT_ORDER_COL ? l.cols : l.rows;
	const uint64_t along = l.order == CUBLASLT_ORDER_COL ? l.rows : l.cols;
	return (lines - 1) * static_cast<size_t>(l.ld) + along;
}

static const char *matrix(const void *p, const layout &l, int batch)
{
	return static_cast<const char *>(p) + batch * l.batch_stride * static_cast<int64_t>(type_bytes(l.type));
}

static gemm_operand operand(const void *p, const layout &l, cublasOperation_t t, int batch)
{
	size_t row = l.order == CUBLASLT_ORDER_ROW ? static_cast<size_t>(l.ld) : 1;
	size_t col = l.order == CUBLASLT_ORDER_ROW ? 1 : static_cast<size_t>(l.ld);
	if (t == CUBLAS_OP_T)
		std::swap(row, col);
	return {matrix(p, l, batch), row, col, l.type == CUDA_R_16BF};
}

static void touch(const void *p, const layout &l, int batch, bool write)
{
	const uint64_t lines = l.order == CUBLASLT_ORDER_COL ? l.cols : l.rows;
	const uint64_t along = l.order == CUBLASLT_ORDER_COL ? l.rows : l.cols;
	const char *q = matrix(p, l, batch);
	for (uint64_t i = 0; i < lines; i++)
		check_range(q + i * static_cast<uint64_t>(l.ld) * type_bytes(l.type), along * type_bytes(l.type),
			    write);
}

static float load(const void *p, size_t i, cudaDataType_t t)
{
	return t == CUDA_R_32F ? static_cast<const float *>(p)[i]
			       : __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]);
}

static void store(void *p, size_t i, cudaDataType_t t, float v)
{
	if (t == CUDA_R_32F)
		static_cast<float *>(p)[i] = v;
	else
		static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16_rn(v);
}

/* D = alpha * sum + beta * C + bias, element by element. */
static void finish(const product *x, const std::vector<float> &sum, int batch)
{
	const layout &d = x->d;
	const void *pc = matrix(x->pc, x->c, batch);
	void *pd = const_cast<char *>(matrix(x->pd, d, batch));
	const size_t ld = static_cast<size_t>(d.ld), ldc = static_cast<size_t>(x->c.ld);
	const bool by_row = d.order == CUBLASLT_ORDER_ROW;
	for (size_t i = 0; i < d.rows; i++)
		for (size_t j = 0; j < d.cols; j++) {
			float v = x->alpha * sum[i * d.cols + j];
			if (x->beta != 0.0f)
				v += x->beta * load(pc, by_row ? i * ldc + j : i + j * ldc, d.type);
			if (x->desc.epilogue == CUBLASLT_EPILOGUE_BIAS)
				v += load(x->desc.bias, i, d.type);
			store(pd, by_row ? i * ld + j : i + j * ld, d.type, v);
		}
}

/* CUDASIM_LT_FASTEST=n: algorithms of another number of parts take their time. */
static void take_time(const product *x)
{
	static const char *const text = getenv("CUDASIM_LT_FASTEST");
	const timespec t = {0, 300000};
	if (text && atoi(text) != x->n_split)
		nanosleep(&t, nullptr);
}

static void run_batch(const product *x, int batch)
{
	take_time(x);
	const layout &d = x->d;
	const uint64_t k = op_cols(x->a, x->desc.trans_a), split = static_cast<uint64_t>(x->n_split);
	const gemm_operand a = operand(x->pa, x->a, x->desc.trans_a, batch),
			   b = operand(x->pb, x->b, x->desc.trans_b, batch);
	std::vector<float> sum(d.rows * d.cols);
	for (uint64_t part = 0; part < split; part++) {
		std::vector<float> c(d.rows * d.cols);
		gemm_f32(c.data(), a, b, d.rows, d.cols, k * part / split, k * (part + 1) / split);
		for (size_t i = 0; i < c.size(); i++)
			sum[i] += c[i];
	}
	touch(x->pa, x->a, batch, false);
	touch(x->pb, x->b, batch, false);
	if (x->beta != 0.0f)
		touch(x->pc, x->c, batch, false);
	finish(x, sum, batch);
	touch(x->pd, d, batch, true);
}

static void run_product(sim_op *op)
{
	const product *x = op->as<product>();
	if (x->desc.epilogue == CUBLASLT_EPILOGUE_BIAS)
		check_range(x->desc.bias, x->d.rows * type_bytes(x->d.type), false);
	for (int batch = 0; batch < x->d.n_batch; batch++)
		run_batch(x, batch);
	if (x->workspace_bytes) {
		memset(x->workspace, 0xFF, x->workspace_bytes);
		check_range(x->workspace, x->workspace_bytes, true);
	}
}

static void require_matrix(const void *p, const layout &l, uint64_t align, const char *name)
{
	char what[64];
	snprintf(what, sizeof what, "cublasLtMatmul: matrix %s", name);
	const size_t last = static_cast<size_t>(l.n_batch - 1) * static_cast<size_t>(l.batch_stride);
	heap_require(p, (last + span(l)) * type_bytes(l.type), BLOCK_DEVICE, what);
	if (reinterpret_cast<uintptr_t>(p) % align)
		cudasim_die("%s is not aligned to %llu bytes, as the algorithm was promised", what,
			    static_cast<unsigned long long>(align));
}

static void require_disjoint(const product *x)
{
	const char *d = static_cast<const char *>(x->pd);
	const char *in[] = {static_cast<const char *>(x->pa), static_cast<const char *>(x->pb)};
	const layout *l[] = {&x->a, &x->b};
	for (int i = 0; i < 2; i++)
		if (in[i] < d + span(x->d) * type_bytes(x->d.type) &&
		    d < in[i] + span(*l[i]) * type_bytes(l[i]->type) && x->d.n_batch == 1)
			cudasim_die("cublasLtMatmul: the result overlaps %c", "AB"[i]);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t h, cublasLtMatmulDesc_t d, const void *alpha, const void *pa,
			      cublasLtMatrixLayout_t a, const void *pb, cublasLtMatrixLayout_t b, const void *beta,
			      const void *pc, cublasLtMatrixLayout_t c, void *pd, cublasLtMatrixLayout_t out,
			      const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_bytes, cudaStream_t s)
{
	sim_lock lock;
	sim_require_stream(s, "cublasLtMatmul");
	if (!h)
		return CUBLAS_STATUS_NOT_INITIALIZED;
	if (cublasStatus_t bad = fits(*d, *a, *b, *c, *out))
		return bad;
	const uint32_t element[4] = {
		static_cast<uint32_t>(type_bytes(a->type)), static_cast<uint32_t>(type_bytes(b->type)),
		static_cast<uint32_t>(type_bytes(c->type)), static_cast<uint32_t>(type_bytes(out->type))};
	const cublasLtMatmulAlgo_t chosen = algo ? *algo : make_algo(0, element);
	if (!algo_ok(&chosen, op_cols(*a, d->trans_a)))
		return CUBLAS_STATUS_NOT_SUPPORTED;
	product x = {*d, *a, *b, *c, *out, pa, pb, pc, pd, workspace, 0, 0, splits[chosen.data[1]], 0};
	memcpy(&x.alpha, alpha, sizeof x.alpha);
	memcpy(&x.beta, beta, sizeof x.beta);
	x.workspace_bytes = workspace_needed(*out, x.n_split);
	if (x.workspace_bytes > workspace_bytes)
		return CUBLAS_STATUS_INVALID_VALUE;
	if (x.workspace_bytes)
		heap_require(workspace, x.workspace_bytes, BLOCK_DEVICE, "cublasLtMatmul: workspace");
	if (reinterpret_cast<uintptr_t>(workspace) % 256)
		cudasim_die("cublasLtMatmul: the workspace at %p is not aligned to 256 bytes", workspace);
	require_bias(*d);
	require_matrix(pa, *a, chosen.data[2], "A");
	require_matrix(pb, *b, chosen.data[3], "B");
	require_matrix(pc, *c, chosen.data[4], "C");
	require_matrix(pd, *out, chosen.data[5], "D");
	require_disjoint(&x);
	sim_enqueue(s, OP_LIBRARY, "cublasLtMatmul", CUDASIM_NOWHERE, run_product, x);
	return CUBLAS_STATUS_SUCCESS;
}
