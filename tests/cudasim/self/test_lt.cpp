/* The cuBLASLt stand-in: every transpose, order and type against loops in double; batches, bias, algorithms; speed. */
#include <cublasLt.h>
#include <ctime>

#include "help.h"

#define fine(call)                                                                                                     \
	do {                                                                                                           \
		cublasStatus_t status_ = (call);                                                                       \
		if (status_) {                                                                                         \
			printf("not ok %d - %s:%d: %s: %s\n", ++tap_n, __FILE__, __LINE__, #call,                      \
			       cublasLtGetStatusString(status_));                                                      \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

struct problem {
	uint64_t m, n, k;
	bool trans_a, trans_b, row_a, row_b, row_d;
	cudaDataType_t in, out;
	bool bias;
	int n_batch, algo;
	float alpha, beta;
};

/* One operand as the library sees it: rows x cols after op() is shape (r, c). */
struct operand_of {
	uint64_t rows, cols, ld;
	bool by_row;
	size_t n;
	std::vector<float> value;

	operand_of(uint64_t r, uint64_t c, bool trans, bool row, int n_batch, unsigned seed)
		: rows(trans ? c : r), cols(trans ? r : c), ld((row ? cols : rows) + 3), by_row(row),
		  n(ld * (row ? rows : cols))
	{
		value = numbers(n * static_cast<size_t>(n_batch), seed);
	}
	size_t at(uint64_t i, uint64_t j, bool trans, int batch) const
	{
		if (trans)
			std::swap(i, j);
		return static_cast<size_t>(batch) * n + (by_row ? i * ld + j : i + j * ld);
	}
};

static void round_to(std::vector<float> *x, cudaDataType_t t)
{
	for (float &v : *x)
		if (t == CUDA_R_16BF)
			v = ax_to_f32(ax_from_f32<ax_bf16>(v));
}

static void put(void *to, const std::vector<float> &x, cudaDataType_t t, cudaStream_t s)
{
	if (t == CUDA_R_16BF)
		upload(to, converted<ax_bf16>(x), s);
	else
		upload(to, x, s);
}

static std::vector<float> get(const void *from, size_t n, cudaDataType_t t, cudaStream_t s)
{
	if (t == CUDA_R_32F)
		return download<float>(from, n, s);
	std::vector<float> x;
	for (ax_bf16 v : download<ax_bf16>(from, n, s))
		x.push_back(ax_to_f32(v));
	return x;
}

static cublasLtMatrixLayout_t make_layout(const operand_of &o, cudaDataType_t type, int n_batch)
{
	cublasLtMatrixLayout_t l;
	const cublasLtOrder_t order = o.by_row ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL;
	const int32_t batches = n_batch;
	const int64_t stride = static_cast<int64_t>(o.n);
	fine(cublasLtMatrixLayoutCreate(&l, type, o.rows, o.cols, static_cast<int64_t>(o.ld)));
	fine(cublasLtMatrixLayoutSetAttribute(l, CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order));
	fine(cublasLtMatrixLayoutSetAttribute(l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batches, sizeof batches));
	fine(cublasLtMatrixLayoutSetAttribute(l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride));
	return l;
}

static cublasLtMatmulDesc_t make_desc(const problem &p, const void *bias)
{
	cublasLtMatmulDesc_t d;
	const cublasOperation_t ta = p.trans_a ? CUBLAS_OP_T : CUBLAS_OP_N, tb = p.trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
	const cublasLtEpilogue_t e = p.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
	fine(cublasLtMatmulDescCreate(&d, CUBLAS_COMPUTE_32F, CUDA_R_32F));
	fine(cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta));
	fine(cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb));
	fine(cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_EPILOGUE, &e, sizeof e));
	fine(cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
	return d;
}

static double worst_error(const problem &p, const operand_of &a, const operand_of &b, const operand_of &d,
			  const std::vector<float> &bias, const std::vector<float> &got)
{
	double worst = 0;
	for (int batch = 0; batch < p.n_batch; batch++)
		for (uint64_t i = 0; i < p.m; i++)
			for (uint64_t j = 0; j < p.n; j++) {
				double sum = 0;
				for (uint64_t k = 0; k < p.k; k++)
					sum += double(a.value[a.at(i, k, p.trans_a, batch)]) *
					       double(b.value[b.at(k, j, p.trans_b, batch)]);
				const size_t at = d.at(i, j, false, batch);
				const double want = double(p.alpha) * sum + double(p.beta) * double(d.value[at]) +
						    (p.bias ? double(bias[i]) : 0.0);
				worst = std::fmax(worst, std::fabs(want - double(got[at])) / (1 + std::fabs(want)));
			}
	return worst;
}

static double error_of(const problem &p, cublasLtHandle_t h, cudaStream_t s)
{
	operand_of a(p.m, p.k, p.trans_a, p.row_a, p.n_batch, 1), b(p.k, p.n, p.trans_b, p.row_b, p.n_batch, 2);
	operand_of d(p.m, p.n, false, p.row_d, p.n_batch, 3);
	std::vector<float> bias = numbers(p.m, 4);
	round_to(&a.value, p.in);
	round_to(&b.value, p.in);
	round_to(&d.value, p.out);
	round_to(&bias, p.out);
	const size_t workspace_bytes = 1 << 20;
	device_array da(a.value.size() * 4), db(b.value.size() * 4), dd(d.value.size() * 4), dbias(p.m * 4),
		work(workspace_bytes);
	put(da.p, a.value, p.in, s);
	put(db.p, b.value, p.in, s);
	put(dd.p, d.value, p.out, s);
	put(dbias.p, bias, p.out, s);
	cublasLtMatrixLayout_t la = make_layout(a, p.in, p.n_batch), lb = make_layout(b, p.in, p.n_batch);
	cublasLtMatrixLayout_t ld = make_layout(d, p.out, p.n_batch);
	cublasLtMatmulDesc_t desc = make_desc(p, dbias.p);
	cublasLtMatmulPreference_t pref;
	cublasLtMatmulHeuristicResult_t found[8];
	int n_found;
	fine(cublasLtMatmulPreferenceCreate(&pref));
	fine(cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
						  sizeof workspace_bytes));
	fine(cublasLtMatmulAlgoGetHeuristic(h, desc, la, lb, ld, ld, pref, 8, found, &n_found));
	const cublasLtMatmulAlgo_t *algo = p.algo < 0 ? nullptr : &found[p.algo % n_found].algo;
	fine(cublasLtMatmul(h, desc, &p.alpha, da.p, la, db.p, lb, &p.beta, dd.p, ld, dd.p, ld, algo, work.p,
			    workspace_bytes, s));
	const std::vector<float> got = get(dd.p, d.value.size(), p.out, s);
	cublasLtMatmulPreferenceDestroy(pref);
	cublasLtMatmulDescDestroy(desc);
	for (cublasLtMatrixLayout_t l : {la, lb, ld})
		cublasLtMatrixLayoutDestroy(l);
	return worst_error(p, a, b, d, bias, got);
}

static bool all_layouts(cudaDataType_t in, cudaDataType_t out, double limit, cublasLtHandle_t h, cudaStream_t s)
{
	bool good = true;
	for (unsigned bits = 0; bits < 32; bits++) {
		problem p = {37,
			     41,
			     CUDASIM_FLAVOUR_PLAIN ? 300 : 40,
			     (bits & 1) != 0,
			     (bits & 2) != 0,
			     (bits & 4) != 0,
			     (bits & 8) != 0,
			     (bits & 16) != 0,
			     in,
			     out,
			     !(bits & 16),
			     1 + static_cast<int>(bits % 3),
			     static_cast<int>(bits % 4) - 1,
			     0.5f,
			     bits % 2 ? 1.0f : 0.0f};
		const double e = error_of(p, h, s);
		if (!(e < limit)) {
			printf("# case %u: error %g\n", bits, e);
			good = false;
		}
	}
	return good;
}

static void time_it(cublasLtHandle_t h, cudaStream_t s)
{
	problem p = {512, 512, 512, false, true, false, false, false, CUDA_R_16BF, CUDA_R_16BF, false, 1, -1, 1, 0};
	device_array a(512 * 515 * 2), b(512 * 515 * 2), d(512 * 515 * 2);
	operand_of o(p.m, p.k, false, false, 1, 1);
	put(a.p, o.value, p.in, s);
	put(b.p, o.value, p.in, s);
	cublasLtMatrixLayout_t l = make_layout(o, p.in, 1);
	cublasLtMatmulDesc_t desc = make_desc(p, nullptr);
	timespec t0, t1;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (int i = 0; i < 5; i++)
		fine(cublasLtMatmul(h, desc, &p.alpha, a.p, l, b.p, l, &p.beta, d.p, l, d.p, l, nullptr, nullptr, 0,
				    s));
	must(cudaStreamSynchronize(s));
	clock_gettime(CLOCK_MONOTONIC, &t1);
	const double seconds = double(t1.tv_sec - t0.tv_sec) + double(t1.tv_nsec - t0.tv_nsec) * 1e-9;
	printf("# 512^3 in bf16: %.1f GFLOP/s\n", 5 * 2.0 * 512 * 512 * 512 / seconds * 1e-9);
	cublasLtMatmulDescDestroy(desc);
	cublasLtMatrixLayoutDestroy(l);
}

int main(void)
{
	cudaStream_t s = new_stream();
	cublasLtHandle_t h;
	fine(cublasLtCreate(&h));
	check(all_layouts(CUDA_R_32F, CUDA_R_32F, 1e-5, h, s), "f32, every transpose and order");
	check(all_layouts(CUDA_R_16BF, CUDA_R_32F, 1e-5, h, s), "bf16 to f32, every transpose and order");
	check(all_layouts(CUDA_R_16BF, CUDA_R_16BF, 6e-3, h, s), "bf16, every transpose and order");
	time_it(h, s);
	fine(cublasLtDestroy(h));
	return finish();
}
