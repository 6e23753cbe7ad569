/*
 * Matrix products by cuBLASLt. The library counts in columns; a row-major matrix is its transpose to it. So it computes
 * out^T (n, m) = B^T A^T: its A is our B, its B our A, and a matrix that we store untransposed is untransposed to it too.
 */
#include "tensor/cuda/lt.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

int ax_cuda_lt_open(struct ax_cuda *c, const char *gpu, bool measure, struct ax_err *e)
{
	cublasStatus_t rc;

	AX_TRY(ax_lt_library(e));
	c->lt = ax_calloc(1, sizeof(*c->lt));
	if (!c->lt)
		return ax_fail(e, AX_EMEM, "out of memory");
	rc = cublasLtCreate(&c->lt->handle);
	if (rc)
		return ax_fail(e, AX_ECOMM, "GPU %d: cuBLASLt cannot start: %s", c->device, cublasLtGetStatusString(rc));
	c->lt->measure = measure && !c->deterministic;
	ax_lt_load(c, gpu);
	return 0;
}

static void close_plan(struct ax_lt_plan *p)
{
	if (p->desc)
		cublasLtMatmulDescDestroy(p->desc);
	if (p->a)
		cublasLtMatrixLayoutDestroy(p->a);
	if (p->b)
		cublasLtMatrixLayoutDestroy(p->b);
	if (p->out)
		cublasLtMatrixLayoutDestroy(p->out);
}

static void forget_plans(struct ax_cuda_lt *lt)
{
	for (size_t i = 0; i < lt->n_plan; i++)
		close_plan(&lt->plan[i]);
	lt->n_plan = 0;
}

void ax_cuda_lt_close(struct ax_cuda *c)
{
	struct ax_cuda_lt *lt = c->lt;

	if (!lt)
		return;
	ax_lt_save(c);
	forget_plans(lt);
	ax_free(lt->plan);
	ax_tuning_release(&lt->table);
	if (lt->workspace)
		cudaFree(lt->workspace);
	if (lt->handle)
		cublasLtDestroy(lt->handle);
	ax_free(lt);
	c->lt = NULL;
}

int ax_cuda_lt_reserve(struct ax_cuda *c, struct ax_err *e)
{
	struct ax_cuda_lt *lt = c->lt;

	if (lt->workspace)
		return 0;
	if (cudaMalloc(&lt->workspace, AX_GPU_WORKSPACE) != cudaSuccess) {
		cudaGetLastError();
		lt->workspace = NULL;
		return ax_fail(e, AX_EMEM, "GPU %d: no memory for the workspace of matrix products (%zu bytes)", c->device, AX_GPU_WORKSPACE);
	}
	lt->workspace_bytes = AX_GPU_WORKSPACE;
	forget_plans(lt); /* chosen without one */
	return 0;
}

static cudaDataType_t lt_type(bool bf16)
{
	return bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* A matrix that we store as rows x cols. */
static cublasStatus_t make_layout(cublasLtMatrixLayout_t *l, bool bf16, int32_t rows, int32_t cols, uint64_t ld)
{
	return cublasLtMatrixLayoutCreate(l, lt_type(bf16), (uint64_t)cols, (uint64_t)rows, (int64_t)ld);
}

static cublasStatus_t make_desc(struct ax_lt_plan *p, const void *bias)
{
	const struct ax_tuning_key *k = &p->key;
	int32_t trans_a = k->b_trans ? CUBLAS_OP_T : CUBLAS_OP_N, trans_b = k->a_trans ? CUBLAS_OP_T : CUBLAS_OP_N;
	int32_t epilogue = k->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT, type = (int32_t)lt_type(k->out_bf16);
	cublasStatus_t rc = cublasLtMatmulDescCreate(&p->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);

	if (!rc)
		rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSA, &trans_a, sizeof(trans_a));
	if (!rc)
		rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSB, &trans_b, sizeof(trans_b));
	if (!rc)
		rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof(epilogue));
	if (!rc && k->bias)
		rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof(type));
	if (!rc && k->bias)
		rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof(bias));
	return rc;
}

static cublasStatus_t make_plan(struct ax_cuda *c, struct ax_lt_plan *p, const struct ax_lt_args *x, const void *bias)
{
	const struct ax_tuning_key *k = &p->key;
	cublasStatus_t rc = make_desc(p, bias);

	if (!rc) /* cuBLAS's A is our B */
		rc = k->b_trans ? make_layout(&p->a, k->in_bf16, k->n, k->k, k->ld[1]) : make_layout(&p->a, k->in_bf16, k->k, k->n, k->ld[1]);
	if (!rc)
		rc = k->a_trans ? make_layout(&p->b, k->in_bf16, k->k, k->m, k->ld[0]) : make_layout(&p->b, k->in_bf16, k->m, k->k, k->ld[0]);
	if (!rc)
		rc = make_layout(&p->out, k->out_bf16, k->m, k->n, k->ld[2]);
	return rc ? rc : ax_lt_choose(c, p, x);
}

cublasStatus_t ax_lt_run(struct ax_cuda *c, const struct ax_lt_plan *p, const cublasLtMatmulAlgo_t *algo, const struct ax_lt_args *x)
{
	return cublasLtMatmul(c->lt->handle, p->desc, &x->alpha, x->b, p->a, x->a, p->b, &x->beta, x->out, p->out, x->out, p->out, algo, c->lt->workspace,
			      c->lt->workspace_bytes, c->compute);
}

static uint32_t alignment(const void *p)
{
	uintptr_t low = (uintptr_t)p & -(uintptr_t)p;

	return low && low < 256 ? (uint32_t)low : 256;
}

static struct ax_tuning_key key_of(const struct ax_cuda_product *p, const struct ax_lt_args *x, bool bias)
{
	struct ax_tuning_key k;

	memset(&k, 0, sizeof(k));
	k.m = p->m;
	k.n = p->n;
	k.k = p->k;
	k.a_trans = p->a_trans;
	k.b_trans = p->b_trans;
	k.in_bf16 = p->in == AX_BF16;
	k.out_bf16 = p->out == AX_BF16;
	k.bias = bias;
	k.accumulate = x->beta != 0;
	k.align[0] = alignment(x->a);
	k.align[1] = alignment(x->b);
	k.align[2] = alignment(x->out);
	k.ld[0] = p->lda;
	k.ld[1] = p->ldb;
	k.ld[2] = p->ldo;
	return k;
}

/* The plan of this key, made if there is none. NULL, and *rc, if it cannot be. */
static struct ax_lt_plan *plan_of(struct ax_cuda *c, const struct ax_tuning_key *k, const struct ax_lt_args *x, const void *bias, cublasStatus_t *rc)
{
	struct ax_cuda_lt *lt = c->lt;
	struct ax_lt_plan p = { .key = *k };

	*rc = CUBLAS_STATUS_SUCCESS;
	for (size_t i = 0; i < lt->n_plan; i++)
		if (!memcmp(&lt->plan[i].key, k, sizeof(*k)))
			return &lt->plan[i];
	*rc = AX_GROW(lt->plan, lt->n_plan, lt->cap_plan) ? make_plan(c, &p, x, bias) : CUBLAS_STATUS_ALLOC_FAILED;
	if (*rc == CUBLAS_STATUS_NOT_SUPPORTED) {
		ax_warn("GPU %d: cuBLASLt has no algorithm for a product of %d x %d x %d: a plain kernel does it, slowly", c->device, k->m, k->n, k->k);
		p.none = true;
		*rc = CUBLAS_STATUS_SUCCESS;
	}
	if (*rc) {
		close_plan(&p);
		return NULL;
	}
	lt->plan[lt->n_plan] = p;
	return &lt->plan[lt->n_plan++];
}

/* Epilogues read the bias in 16-byte accesses: parameters are aligned so. */
#define BIAS_ALIGN 16

static cublasStatus_t by_library(struct ax_cuda *c, const struct ax_lt_plan *p, const struct ax_lt_args *x, const void *bias)
{
	cublasStatus_t rc = bias ? cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof(bias)) : CUBLAS_STATUS_SUCCESS;

	return rc ? rc : ax_lt_run(c, p, &p->algo, x);
}

void ax_cuda_mm(struct ax_cuda *c, const char *op, const struct ax_cuda_product *p, void *out, const void *a, const void *b, const void *bias)
{
	struct ax_lt_args x = { a, b, out, p->alpha, p->beta };
	struct ax_tuning_key k = key_of(p, &x, bias != NULL);
	struct ax_lt_plan *plan = NULL;
	cublasStatus_t rc = CUBLAS_STATUS_SUCCESS;

	if (!p->m || !p->n || (!p->k && p->beta == 1.0f)) /* the library takes no empty matrices */
		return;
	if ((uintptr_t)bias % BIAS_ALIGN == 0)
		plan = plan_of(c, &k, &x, bias, &rc);
	if (!rc && (!plan || plan->none))
		ax_cuda_plain_mm(c, p, out, a, b, bias);
	else if (!rc)
		rc = by_library(c, plan, &x, bias);
	if (rc)
		ax_cuda_fail(c, op, "a product of %d x %d x %d: cuBLASLt: %s", p->m, p->n, p->k, cublasLtGetStatusString(rc));
	ax_cuda_done(c, op);
}
