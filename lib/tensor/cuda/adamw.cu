/*
 * AdamW: one pass over masters, moments and gradient. Bound by memory: with all state in f32 16 bytes are read and 12 to 16
 * written an element; with bf16 moments, gradients and weights and no masters 8 and 6; with 8-bit moments 6 and 4.
 */
#include <cuda_fp16.h>

#include "tensor/cuda/access.h"
#include "tensor/cuda/cuda.h"
#include "tensor/round.h"

/* What is the same for all elements of a launch. */
struct update {
	float beta1, beta2, rest1, rest2, eps;
	float decay;    /* 1 - lr * weight decay */
	float step;     /* lr / bias1 */
	float root;     /* sqrt(bias2) */
	float grad_scale;
};

/* One element, in the reference's order of operations. */
AX_DEVICE void update_one(float *p, float *m, float *v, float grad, const update &u)
{
	const float g = grad * u.grad_scale;

	*m = u.beta1 * *m + u.rest1 * g;
	*v = u.beta2 * *v + u.rest2 * g * g;
	*p = *p * u.decay - u.step * *m / (sqrtf(*v) / u.root + u.eps);
}

struct no_copy {};

template <bool VEC, class W> AX_DEVICE void write_copy(W *w, const float (&p)[8], size_t i, size_t n)
{
	ax_write8<VEC>(w, p, i, n);
}
template <bool VEC> AX_DEVICE void write_copy(__half *w, const float (&p)[8], size_t i, size_t n)
{
	for (size_t k = 0; k < 8 && i + k < n; k++)
		w[i + k] = __float2half_rn(p[k]);
}
template <bool VEC> AX_DEVICE void write_copy(no_copy *, const float (&)[8], size_t, size_t)
{
}

/* w: the rounded copy of p. */
template <class W, bool VEC> static __global__ void adamw_kernel(float *p, float *m, float *v, const float *grad, W *w, update u, size_t n)
{
	const size_t i = (static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
	float p8[8], m8[8], v8[8], g8[8];

	if (i >= n)
		return;
	ax_read8<VEC>(p8, p, i, n);
	ax_read8<VEC>(m8, m, i, n);
	ax_read8<VEC>(v8, v, i, n);
	ax_read8<VEC>(g8, grad, i, n);
	AX_UNROLL
	for (int k = 0; k < 8; k++)
		update_one(&p8[k], &m8[k], &v8[k], g8[k], u);
	ax_write8<VEC>(p, p8, i, n);
	ax_write8<VEC>(m, m8, i, n);
	ax_write8<VEC>(v, v8, i, n);
	write_copy<VEC>(w, p8, i, n);
}

template <class W> static void run(struct ax_cuda *c, float *p, float *m, float *v, const float *grad, void *w, const update &u, size_t n)
{
	const unsigned threads = 256, blocks = static_cast<unsigned>((n + 8 * threads - 1) / (8 * threads));
	const bool vec = ax_aligned16<float>(p, 0) && ax_aligned16<float>(m, 0) && ax_aligned16<float>(v, 0) && ax_aligned16<float>(grad, 0) &&
			 ax_aligned16<float>(w, 0) && ax_eights(n);

	if (vec)
		AX_LAUNCH((adamw_kernel<W, true>), blocks, threads, 0, c->compute, p, m, v, grad, static_cast<W *>(w), u, n);
	else
		AX_LAUNCH((adamw_kernel<W, false>), blocks, threads, 0, c->compute, p, m, v, grad, static_cast<W *>(w), u, n);
}

static void run_f32(struct ax_cuda *c, const struct ax_adamw_mem *x, const update &u, size_t n)
{
	float *m = static_cast<float *>(x->m), *v = static_cast<float *>(x->v);
	const float *grad = static_cast<const float *>(x->grad);

	if (!x->w)
		run<no_copy>(c, x->p, m, v, grad, x->w, u, n);
	else if (x->tw == AX_BF16)
		run<ax_bf16>(c, x->p, m, v, grad, x->w, u, n);
	else if (x->tw == AX_F16)
		run<__half>(c, x->p, m, v, grad, x->w, u, n);
	else
		run<float>(c, x->p, m, v, grad, x->w, u, n);
}

/* --- state in less than f32: tensor/round.h -------------------------------------------------------------------------- */

/* Moments in 8 bits. A warp's 32 times 8 elements are one block of them. */
struct q8 {};

struct key {
	uint64_t seed, t;
};

template <bool VEC> AX_DEVICE void read_moment(float (&y)[8], const void *from, const float *, bool, size_t i, size_t n, float)
{
	ax_read8<VEC>(y, static_cast<const float *>(from), i, n);
}
template <bool VEC> AX_DEVICE void read_moment(float (&y)[8], const void *from, const float *, bool, size_t i, size_t n, ax_bf16)
{
	ax_read8<VEC>(y, static_cast<const ax_bf16 *>(from), i, n);
}
template <bool VEC> AX_DEVICE void read_moment(float (&y)[8], const void *from, const float *scales, bool first, size_t i, size_t n, q8)
{
	const uint8_t *code = static_cast<const uint8_t *>(from);
	const float scale = i < n ? scales[i / AX_Q8_BLOCK] : 1.0f;
	uint64_t eight = 0;

	if (VEC && i + 8 <= n)
		eight = *reinterpret_cast<const uint64_t *>(code + i);
	else
		for (size_t k = 0; k < 8 && i + k < n; k++)
			eight |= static_cast<uint64_t>(code[i + k]) << 8 * k;
	AX_UNROLL
	for (int k = 0; k < 8; k++) {
		const uint8_t one = static_cast<uint8_t>(eight >> 8 * k);

		y[k] = first ? ax_q8_unpack_m(one, scale) : ax_q8_unpack_v(one, scale);
	}
}

/* y rounded stochastically to bf16. */
template <bool VEC> AX_DEVICE void write_bf16(void *to, const float (&y)[8], const uint16_t (&r)[8], size_t i, size_t n)
{
	uint16_t *p = static_cast<uint16_t *>(to) + i;
	uint32_t two[4];

	AX_UNROLL
	for (int k = 0; k < 4; k++)
		two[k] = ax_round_bf16(y[2 * k], r[2 * k]) | static_cast<uint32_t>(ax_round_bf16(y[2 * k + 1], r[2 * k + 1])) << 16;
	if (VEC && i + 8 <= n) {
		ax_st16_global(p, make_uint4(two[0], two[1], two[2], two[3]));
		return;
	}
	AX_UNROLL
	for (size_t k = 0; k < 8; k++)
		if (i + k < n)
			p[k] = static_cast<uint16_t>(two[k / 2] >> 16 * (k % 2));
}

template <bool VEC> AX_DEVICE void write_moment(void *to, float *, float (&y)[8], bool, const key &, uint64_t, size_t i, size_t n, float AX_AT)
{
	ax_write8<VEC>(static_cast<float *>(to), y, i, n);
}
template <bool VEC>
AX_DEVICE void write_moment(void *to, float *, float (&y)[8], bool first, const key &k, uint64_t index, size_t i, size_t n, ax_bf16 AX_AT)
{
	uint16_t r[8];

	ax_round_bits(r, k.seed, k.t, first ? AX_ROUND_M : AX_ROUND_V, (index + i) / 8);
	write_bf16<VEC>(to, y, r, i, n);
}
/* Elements past the end are 0 in y. */
template <bool VEC>
AX_DEVICE void write_moment(void *to, float *scales, float (&y)[8], bool first, const key &key, uint64_t index, size_t i, size_t n, q8 AX_AT)
{
	uint8_t *code = static_cast<uint8_t *>(to);
	uint64_t eight = 0;
	uint16_t r[8];
	float most = 0, scale;

	AX_UNROLL
	for (int k = 0; k < 8; k++)
		most = fmaxf(most, fabsf(y[k]));
	scale = ax_q8_scale(ax_warp_max(most AX_PASS));
	if (i < n && threadIdx.x % AX_WARP == 0)
		scales[i / AX_Q8_BLOCK] = scale;
	ax_round_bits(r, key.seed, key.t, first ? AX_ROUND_M : AX_ROUND_V, (index + i) / 8);
	AX_UNROLL
	for (int k = 0; k < 8; k++) {
		const uint8_t one = first ? ax_q8_pack_m(y[k], scale, r[k]) : ax_q8_pack_v(y[k], scale, r[k]);

		eight |= static_cast<uint64_t>(one) << 8 * k;
	}
	if (VEC && i + 8 <= n) {
		*reinterpret_cast<uint64_t *>(code + i) = eight;
		return;
	}
	for (size_t k = 0; k < 8 && i + k < n; k++)
		code[i + k] = static_cast<uint8_t>(eight >> 8 * k);
}

/* M: float, ax_bf16 or q8, the type of the moments. The types of gradients and copies are asked for as it runs. */
template <class M, bool MASTERS, bool VEC> static __global__ void round_kernel(struct ax_adamw_mem x, update u, key k, size_t n)
{
	const size_t i = (static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
	float p8[8], m8[8], v8[8], g8[8];

	if (MASTERS)
		ax_read8<VEC>(p8, x.p, i, n);
	else
		ax_read8<VEC>(p8, static_cast<const ax_bf16 *>(x.w), i, n);
	if (x.tg == AX_F32)
		ax_read8<VEC>(g8, static_cast<const float *>(x.grad), i, n);
	else
		ax_read8<VEC>(g8, static_cast<const ax_bf16 *>(x.grad), i, n);
	read_moment<VEC>(m8, x.m, x.m_scale, true, i, n, M());
	read_moment<VEC>(v8, x.v, x.v_scale, false, i, n, M());
	AX_UNROLL
	for (int j = 0; j < 8; j++)
		update_one(&p8[j], &m8[j], &v8[j], g8[j], u);
	write_moment<VEC>(x.m, x.m_scale, m8, true, k, x.index, i, n, M());
	write_moment<VEC>(x.v, x.v_scale, v8, false, k, x.index, i, n, M());
	if (MASTERS) {
		ax_write8<VEC>(x.p, p8, i, n);
		if (x.w && x.tw == AX_BF16)
			ax_write8<VEC>(static_cast<ax_bf16 *>(x.w), p8, i, n);
		else if (x.w)
			ax_write8<VEC>(static_cast<float *>(x.w), p8, i, n);
	} else {
		uint16_t r[8];

		ax_round_bits(r, k.seed, k.t, AX_ROUND_W, (x.index + i) / 8);
		write_bf16<VEC>(x.w, p8, r, i, n);
	}
}

template <class M, bool MASTERS> static void run_round(struct ax_cuda *c, const struct ax_adamw_mem *x, const update &u, const key &k, bool vec, size_t n)
{
	const unsigned threads = 256, blocks = static_cast<unsigned>((n + 8 * threads - 1) / (8 * threads));

	if (vec)
		AX_LAUNCH((round_kernel<M, MASTERS, true>), blocks, threads, 0, c->compute, *x, u, k, n);
	else
		AX_LAUNCH((round_kernel<M, MASTERS, false>), blocks, threads, 0, c->compute, *x, u, k, n);
}

template <class M> static void run_moments(struct ax_cuda *c, const struct ax_adamw_mem *x, const update &u, const key &k, size_t n)
{
	const bool vec = ax_aligned16<float>(x->p, 0) && ax_aligned16<float>(x->m, 0) && ax_aligned16<float>(x->v, 0) &&
			 ax_aligned16<float>(x->grad, 0) && ax_aligned16<float>(x->w, 0) && ax_eights(n);

	if (x->p)
		run_round<M, true>(c, x, u, k, vec, n);
	else
		run_round<M, false>(c, x, u, k, vec, n);
}

static void adamw(struct ax_dev *d, const struct ax_adamw_mem *x, const struct ax_adamw *h, size_t n)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const update u = {h->beta1, h->beta2, h->rest1, h->rest2, h->eps, 1 - h->lr * h->weight_decay, h->lr / h->bias1, sqrtf(h->bias2), h->grad_scale};
	const key k = {h->seed, h->t};

	if (n && x->p && x->tm == AX_F32 && x->tg == AX_F32)
		run_f32(c, x, u, n);
	else if (n && x->tm == AX_F32)
		run_moments<float>(c, x, u, k, n);
	else if (n && x->tm == AX_BF16)
		run_moments<ax_bf16>(c, x, u, k, n);
	else if (n)
		run_moments<q8>(c, x, u, k, n);
	ax_cuda_done(c, "adamw");
}

void ax_cuda_adamw(struct ax_cuda *c)
{
	c->ops.adamw = adamw;
}
