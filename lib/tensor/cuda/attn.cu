/* The attention ops: what the kernels are told, which of them run, and the scratch they need. */
#include <stdio.h>

#include "tensor/cuda/attn.h"
#include "tensor/cuda/branch.h"

static bool use_scratch(struct ax_cuda *c, const char *op, struct ax_attn_job *j)
{
	const struct ax_attn_space l = ax_attn_space_of(static_cast<size_t>(j->N), static_cast<size_t>(j->Nk), static_cast<size_t>(j->n_head));
	char *p = static_cast<char *>(ax_cuda_scratch(c, op, l.bytes));

	if (!p)
		return false;
	j->delta = reinterpret_cast<float *>(p + l.delta);
	j->n_tile = reinterpret_cast<int *>(p + l.n_tile);
	j->tiles = reinterpret_cast<struct ax_attn_tile *>(p + l.tiles);
	j->keys = reinterpret_cast<struct ax_attn_keys *>(p + l.keys);
	j->key_work = reinterpret_cast<int *>(p + l.key_work);
	return true;
}

/* --- jobs ------------------------------------------------------------------------------------------------------------ */

static bool aligned16(const void *p)
{
	return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

static struct ax_attn_job job_of(const void *q, size_t ldq, const void *k, const void *v, size_t ldk, const struct ax_seg *seg, int n_seg, int N, int Nk, const struct ax_attn *p)
{
	struct ax_attn_job j = {};

	j.seg = seg;
	j.n_seg = n_seg;
	j.N = N;
	j.Nk = Nk;
	j.n_head = p->n_head;
	j.n_kv = p->n_kv;
	j.group = p->n_head / p->n_kv;
	j.head_dim = p->head_dim;
	j.ldq = ldq;
	j.ldk = ldk;
	j.ldo = static_cast<size_t>(p->n_head) * static_cast<size_t>(p->head_dim);
	j.scale = p->scale;
	j.softcap = p->softcap;
	j.window = p->window && p->window < AX_ATTN_NO_WINDOW ? p->window : AX_ATTN_NO_WINDOW;
	j.vec = aligned16(q) && aligned16(k) && aligned16(v) && ldq % 8 == 0 && ldk % 8 == 0 && p->head_dim % 8 == 0;
	j.q = q;
	j.k = k;
	j.v = v;
	return j;
}

static bool use_mma(const struct ax_cuda *c, const struct ax_attn_job *j)
{
	return c->act == AX_BF16 && j->head_dim <= AX_ATTN_MMA_DIMS[AX_ATTN_MMA_CLASSES - 1];
}

/* --- instances that have run ----------------------------------------------------------------------------------------- */

/* For each op: mma by class, alignment, cap; then plain f32 by class (the last: bf16) and cap. */
enum { MMA_BRANCHES = 5 * 4, F32_BRANCHES = 5 * 2, OP_BRANCHES = MMA_BRANCHES + F32_BRANCHES };

static struct ax_cuda_branch branches[2 * OP_BRANCHES];

static void name_branches(void)
{
	for (int i = 0; i < 2 * OP_BRANCHES; i++) {
		const char *op = i < OP_BRANCHES ? "attn_fwd" : "attn_bwd", *cap = i % 2 ? ", cap" : "";
		const int at = i % OP_BRANCHES, f32 = (at - MMA_BRANCHES) / 2;
		struct ax_cuda_branch *b = &branches[i];

		if (at < MMA_BRANCHES)
			snprintf(b->name, sizeof(b->name), "%s, mma %d, %saligned%s", op, AX_ATTN_MMA_DIMS[at / 4], at & 2 ? "" : "un", cap);
		else
			snprintf(b->name, sizeof(b->name), "%s, plain %d%s%s", op, f32 < 4 ? AX_ATTN_F32_DIMS[f32] : 512, f32 < 4 ? "" : " of bf16", cap);
	}
}

static void count_branch(const struct ax_cuda *c, const struct ax_attn_job *j, int op)
{
	const int cap = j->softcap != 0, f32 = c->act == AX_BF16 ? 4 : ax_attn_class(AX_ATTN_F32_DIMS, j->head_dim);

	if (use_mma(c, j))
		branches[op * OP_BRANCHES + ax_attn_class(AX_ATTN_MMA_DIMS, j->head_dim) * 4 + j->vec * 2 + cap].n_run++;
	else
		branches[op * OP_BRANCHES + MMA_BRANCHES + f32 * 2 + cap].n_run++;
}

extern "C" __attribute__((visibility("default"))) const struct ax_cuda_branch *ax_cuda_attn_branches(size_t *n)
{
	*n = 2 * OP_BRANCHES;
	return branches;
}

/* --- ops ------------------------------------------------------------------------------------------------------------- */

static void attn_fwd(struct ax_dev *d, void *o, float *lse, const void *q, size_t ldq, const void *k, const void *v, size_t ldk, const struct ax_seg *seg, int n_seg, int N, int Nk, const struct ax_attn *p)
{
	struct ax_cuda *c = ax_cuda_of(d);
	struct ax_attn_job j = job_of(q, ldq, k, v, ldk, seg, n_seg, N, Nk, p);

	j.o = o;
	j.lse = lse;
	j.vec = j.vec && aligned16(o);
	if (N < 1 || !use_scratch(c, "attn_fwd", &j))
		return;
	const bool mma = use_mma(c, &j);
	j.tile_q = mma ? ax_attn_mma_fwd_rows(j.head_dim) : AX_ATTN_F32_ROWS;
	ax_attn_plan_fwd(c, &j);
	count_branch(c, &j, 0);
	if (n_seg > 0)
		(mma ? ax_attn_mma_fwd : ax_attn_f32_fwd)(c, &j);
	ax_cuda_done(c, "attn_fwd");
}

static void attn_bwd(struct ax_dev *d, void *dq, void *dk, void *dv, const void *go, const void *q, size_t ldq, const void *k, const void *v, size_t ldk, const void *o, const float *lse, const struct ax_seg *seg, int n_seg, int N, int Nk, const struct ax_attn *p)
{
	struct ax_cuda *c = ax_cuda_of(d);
	struct ax_attn_job j = job_of(q, ldq, k, v, ldk, seg, n_seg, N, Nk, p);

	j.o = const_cast<void *>(o);
	j.lse = const_cast<float *>(lse);
	j.go = go;
	j.dq = dq;
	j.dk = dk;
	j.dv = dv;
	j.vec = j.vec && aligned16(go) && aligned16(dq) && aligned16(dk) && aligned16(dv);
	if (!use_scratch(c, "attn_bwd", &j))
		return;
	const bool mma = use_mma(c, &j);
	j.tile_q = mma ? ax_attn_mma_dq_rows(j.head_dim) : AX_ATTN_F32_ROWS;
	j.tile_k = mma ? ax_attn_mma_dkv_rows(j.head_dim) : AX_ATTN_F32_ROWS;
	ax_attn_plan_bwd(c, &j);
	count_branch(c, &j, 1);
	if (Nk > 0)
		(mma ? ax_attn_mma_dkv : ax_attn_f32_dkv)(c, &j);
	if (N > 0 && n_seg > 0)
		(mma ? ax_attn_mma_dq : ax_attn_f32_dq)(c, &j);
	ax_cuda_done(c, "attn_bwd");
}

void ax_cuda_attn(struct ax_cuda *c)
{
	name_branches();
	ax_attn_mma_fwd_prepare(c);
	ax_attn_mma_dq_prepare(c);
	ax_attn_mma_dkv_prepare(c);
	c->ops.attn_fwd = attn_fwd;
	c->ops.attn_bwd = attn_bwd;
}
