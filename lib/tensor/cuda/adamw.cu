/* AdamW: one pass over masters, moments and gradient. Bound by memory: 16 bytes read and 12 to 16 written an element. */
#include <cuda_fp16.h>

#include "tensor/cuda/access.h"
#include "tensor/cuda/cuda.h"

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
			 ax_aligned16<float>(w, 0);

	if (vec)
		AX_LAUNCH((adamw_kernel<W, true>), blocks, threads, 0, c->compute, p, m, v, grad, static_cast<W *>(w), u, n);
	else
		AX_LAUNCH((adamw_kernel<W, false>), blocks, threads, 0, c->compute, p, m, v, grad, static_cast<W *>(w), u, n);
}

static void adamw(struct ax_dev *d, float *p, float *m, float *v, const float *grad, void *w, enum ax_dtype tw, const struct ax_adamw *h, size_t n)
{
	struct ax_cuda *c = ax_cuda_of(d);
	const update u = {h->beta1, h->beta2, h->rest1, h->rest2, h->eps, 1 - h->lr * h->weight_decay, h->lr / h->bias1, sqrtf(h->bias2), h->grad_scale};

	if (n && !w)
		run<no_copy>(c, p, m, v, grad, w, u, n);
	else if (n && tw == AX_BF16)
		run<ax_bf16>(c, p, m, v, grad, w, u, n);
	else if (n && tw == AX_F16)
		run<__half>(c, p, m, v, grad, w, u, n);
	else if (n)
		run<float>(c, p, m, v, grad, w, u, n);
	ax_cuda_done(c, "adamw");
}

void ax_cuda_adamw(struct ax_cuda *c)
{
	c->ops.adamw = adamw;
}
