/* The reference of AdamW, in every precision of its state. */
#include "tensor/cpu/cpu.h"
#include "tensor/round.h"

#define BLOCK AX_Q8_BLOCK

/* A block in f32. */
struct block {
	float m[BLOCK], v[BLOCK], p[BLOCK];
};

/* Of elements at..at+n; b: which block they are. */
static void unpack(struct block *x, const struct ax_adamw_mem *mem, size_t b, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		x->p[i] = mem->p ? mem->p[at + i] : ax_get(mem->w, mem->tw, at + i);
		if (mem->tm == AX_Q8) {
			x->m[i] = ax_q8_unpack_m(((const uint8_t *)mem->m)[at + i], mem->m_scale[b]);
			x->v[i] = ax_q8_unpack_v(((const uint8_t *)mem->v)[at + i], mem->v_scale[b]);
		} else {
			x->m[i] = ax_get(mem->m, mem->tm, at + i);
			x->v[i] = ax_get(mem->v, mem->tm, at + i);
		}
	}
}

static void update(struct block *x, const struct ax_adamw_mem *mem, const struct ax_adamw *h, size_t at, size_t n)
{
	float decay = 1 - h->lr * h->weight_decay, step = h->lr / h->bias1, root = sqrtf(h->bias2);

	for (size_t i = 0; i < n; i++) {
		float g = ax_get(mem->grad, mem->tg, at + i) * h->grad_scale;

		x->m[i] = h->beta1 * x->m[i] + h->rest1 * g;
		x->v[i] = h->beta2 * x->v[i] + h->rest2 * g * g;
		x->p[i] = x->p[i] * decay - step * x->m[i] / (sqrtf(x->v[i]) / root + h->eps);
	}
}

static float most(const float *x, size_t n)
{
	float most = 0;

	for (size_t i = 0; i < n; i++)
		most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
	return most;
}

/* Random bits of the element `index`. */
static uint16_t random_bits(const struct ax_adamw *h, enum ax_round what, uint64_t index)
{
	uint16_t r[8];

	ax_round_bits(r, h->seed, h->t, what, index / 8);
	return r[index % 8];
}

static void pack_moment(void *to, enum ax_dtype t, float *scale, const float *x, const struct ax_adamw *h, enum ax_round what, uint64_t index, size_t at,
			size_t n)
{
	if (t == AX_Q8)
		*scale = ax_q8_scale(most(x, n));
	for (size_t i = 0; i < n; i++) {
		uint16_t r = t == AX_F32 ? 0 : random_bits(h, what, index + at + i);

		if (t == AX_F32)
			((float *)to)[at + i] = x[i];
		else if (t == AX_BF16)
			((uint16_t *)to)[at + i] = ax_round_bf16(x[i], r);
		else
			((uint8_t *)to)[at + i] = what == AX_ROUND_M ? ax_q8_pack_m(x[i], *scale, r) : ax_q8_pack_v(x[i], *scale, r);
	}
}

static void pack(const struct block *x, const struct ax_adamw_mem *mem, const struct ax_adamw *h, size_t b, size_t at, size_t n)
{
	bool q8 = mem->tm == AX_Q8;

	pack_moment(mem->m, mem->tm, q8 ? mem->m_scale + b : NULL, x->m, h, AX_ROUND_M, mem->index, at, n);
	pack_moment(mem->v, mem->tm, q8 ? mem->v_scale + b : NULL, x->v, h, AX_ROUND_V, mem->index, at, n);
	for (size_t i = 0; i < n; i++) {
		if (mem->p)
			mem->p[at + i] = x->p[i];
		else
			((uint16_t *)mem->w)[at + i] = ax_round_bf16(x->p[i], random_bits(h, AX_ROUND_W, mem->index + at + i));
		if (mem->p && mem->w)
			ax_put(mem->w, mem->tw, at + i, x->p[i]);
	}
}

static void adamw(struct ax_dev *d, const struct ax_adamw_mem *x, const struct ax_adamw *h, size_t n)
{
	struct block block;

	for (size_t b = 0; b < ax_q8_blocks(n); b++) {
		size_t at = b * BLOCK, len = n - at < BLOCK ? n - at : BLOCK;

		unpack(&block, x, b, at, len);
		update(&block, x, h, at, len);
		pack(&block, x, h, b, at, len);
	}
}

void ax_ref_adamw(struct ax_ops *o)
{
	o->adamw = adamw;
}
