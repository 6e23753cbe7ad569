/* AdamW in vectors: a part of kern_body.h. */
#include "tensor/round.h"

INLINE void adamw_as(const struct ax_adamw_mem *x, enum ax_dtype tw, const struct ax_adamw *h, size_t at, size_t n)
{
	float decay = 1 - h->lr * h->weight_decay, step = h->lr / h->bias1, root = 1 / sqrtf(h->bias2);
	float *p = x->p + at, *m = (float *)x->m + at, *v = (float *)x->v + at;
	const float *grad = (const float *)x->grad + at;
	void *w = x->w ? (char *)x->w + at * (tw == AX_F32 ? 4 : 2) : NULL;

	EACH(n) {
		vf g = load_n(grad, AX_F32, i, k) * h->grad_scale;
		vf mi = load_n(m, AX_F32, i, k) * h->beta1 + g * h->rest1;
		vf vi_ = load_n(v, AX_F32, i, k) * h->beta2 + g * g * h->rest2;
		vf pi = load_n(p, AX_F32, i, k) * decay - step * mi / (vsqrt(vi_) * root + h->eps);

		store_n(m, AX_F32, i, mi, k);
		store_n(v, AX_F32, i, vi_, k);
		store_n(p, AX_F32, i, pi, k);
		if (w)
			store_n(w, tw, i, pi, k);
	}
}

static void adamw(const struct ax_adamw_mem *x, const struct ax_adamw *h, size_t at, size_t n)
{
	BY_TYPE(x->tw, adamw_as(x, AX_F32, h, at, n), adamw_as(x, AX_BF16, h, at, n));
}

/* --- one block in f32, and its state in any precision: tensor/round.h in vectors --- */

typedef uint8_t vb __attribute__((vector_size(VL)));

struct adamw_block {
	float m[AX_Q8_BLOCK], v[AX_Q8_BLOCK], p[AX_Q8_BLOCK];
	uint16_t r[AX_Q8_BLOCK];
	uint8_t code[AX_Q8_BLOCK];
};

INLINE vu codes_at(const uint8_t *code, size_t i)
{
	vb b;

	memcpy(&b, code + i, sizeof(b));
	return __builtin_convertvector(b, vu);
}

static void q8_unpack(float *to, struct adamw_block *x, const uint8_t *code, float scale, bool sign, size_t n)
{
	uint32_t top = (ax_float_bits(scale) >> 20) - (sign ? 127 : 255);

	memset(x->code, 0, sizeof(x->code));
	memcpy(x->code, code, n);
	for (size_t i = 0; i < n; i += VL) {
		vu c = codes_at(x->code, i), k = sign ? c & 0x7f : c;
		vf y = (vf)((top + k) << 20 | (sign ? c >> 7 << 31 : c & 0));

		store(to, AX_F32, i, pick((vi)(k == 0), splat(0), y));
	}
}

INLINE vu q8_codes(vf y, vu r, uint32_t scale_bits, bool sign)
{
	vu b = (vu)y, a = b & 0x7fffffff, cut = (a + (r << 4 | 8)) >> 20;
	int32_t top = (int32_t)(scale_bits >> 20);
	vi k;

	if (sign) {
		uint32_t least = (uint32_t)(top - 126) << 20;
		vf limit = __builtin_convertvector((vi)r, vf) * (ax_bits_float(least) * 0x1p-16f);

		k = (vi)cut - (top - 127);
		k = (vi)pick((vi)a < (int32_t)least, (vf)(((vf)a > limit) & 1), (vf)k);
		k = (vi)pick(k > 127, (vf)(k * 0 + 127), (vf)k);
		return (vu)k | ((vu)(k != 0) & (b >> 31 << 7));
	}
	k = (vi)cut - (top - 255);
	k = (vi)pick(k < 1, (vf)(k * 0 + 1), (vf)k);
	k = (vi)pick(k > 255, (vf)(k * 0 + 255), (vf)k);
	return (vu)pick((vi)(a == 0), splat(0), (vf)k);
}

static void q8_pack(uint8_t *code, float *scale, struct adamw_block *x, const float *from, bool sign, size_t n)
{
	vf top = { 0 };

	EACH(n) {
		vf y = load_n(from, AX_F32, i, k);

		top = vmax(vmax(y, -y), top);
	}
	*scale = ax_q8_scale(max_lanes(top));
	for (size_t i = 0; i < n; i += VL) {
		vu k = q8_codes(load(from, AX_F32, i), extend(*(const vh_mem *)(const void *)(x->r + i)), ax_float_bits(*scale), sign);
		vb b = __builtin_convertvector(k, vb);

		memcpy(x->code + i, &b, sizeof(b));
	}
	memcpy(code, x->code, n);
}

static void bf16_pack(uint16_t *to, const struct adamw_block *x, const float *from, size_t n)
{
	EACH(n) {
		vf y = load_n(from, AX_F32, i, k);
		vu b = (vu)y, up = (b + extend(*(const vh_mem *)(const void *)(x->r + i))) >> 16;
		vh h = truncate_to_half((vu)pick(y != y, (vf)(b >> 16 | 0x40), (vf)up));

		memcpy(to + i, &h, (k < VL ? k : VL) * sizeof(*to));
	}
}

INLINE void block_bits(struct adamw_block *x, const struct ax_adamw *h, enum ax_round what, uint64_t index, size_t n)
{
	for (size_t i = 0; i < (n + 15) / 16 * 16; i += 8)
		ax_round_bits(x->r + i, h->seed, h->t, what, (index + i) / 8);
}

static void moment_pack(void *to, enum ax_dtype t, float *scale, struct adamw_block *x, const float *from, bool sign, size_t at, size_t n)
{
	if (t == AX_F32)
		memcpy((float *)to + at, from, n * sizeof(*from));
	else if (t == AX_BF16)
		bf16_pack((uint16_t *)to + at, x, from, n);
	else
		q8_pack((uint8_t *)to + at, scale + at / AX_Q8_BLOCK, x, from, sign, n);
}

INLINE void block_update(struct adamw_block *b, const struct ax_adamw_mem *x, enum ax_dtype tm, enum ax_dtype tg, enum ax_dtype tp, const struct ax_adamw *h,
			 size_t at, size_t n)
{
	float decay = 1 - h->lr * h->weight_decay, step = h->lr / h->bias1, root = sqrtf(h->bias2);
	const void *grad = (const char *)x->grad + at * (tg == AX_F32 ? 4 : 2);
	const void *p = tp == AX_F32 ? (const void *)(x->p + at) : (const void *)((const uint16_t *)x->w + at);
	const char *m = tm == AX_Q8 ? (const char *)b->m : (const char *)x->m + at * (tm == AX_F32 ? 4 : 2);
	const char *v = tm == AX_Q8 ? (const char *)b->v : (const char *)x->v + at * (tm == AX_F32 ? 4 : 2);
	enum ax_dtype t = tm == AX_Q8 ? AX_F32 : tm;

	EACH(n) {
		vf g = load_n(grad, tg, i, k) * h->grad_scale;
		vf mi = load_n(m, t, i, k) * h->beta1 + g * h->rest1;
		vf vi_ = load_n(v, t, i, k) * h->beta2 + g * g * h->rest2;
		vf pi = load_n(p, tp, i, k) * decay - step * mi / (vsqrt(vi_) / root + h->eps);

		store(b->m, AX_F32, i, mi);
		store(b->v, AX_F32, i, vi_);
		store(b->p, AX_F32, i, pi);
	}
}

/* A loop for each combination of types. */
INLINE void block_update_tm(struct adamw_block *b, const struct ax_adamw_mem *x, enum ax_dtype tm, const struct ax_adamw *h, size_t at, size_t n)
{
	if (x->tg == AX_F32 && x->p)
		block_update(b, x, tm, AX_F32, AX_F32, h, at, n);
	else if (x->tg == AX_F32)
		block_update(b, x, tm, AX_F32, AX_BF16, h, at, n);
	else if (x->p)
		block_update(b, x, tm, AX_BF16, AX_F32, h, at, n);
	else
		block_update(b, x, tm, AX_BF16, AX_BF16, h, at, n);
}

static void block_update_any(struct adamw_block *b, const struct ax_adamw_mem *x, const struct ax_adamw *h, size_t at, size_t n)
{
	if (x->tm == AX_F32)
		block_update_tm(b, x, AX_F32, h, at, n);
	else if (x->tm == AX_BF16)
		block_update_tm(b, x, AX_BF16, h, at, n);
	else
		block_update_tm(b, x, AX_Q8, h, at, n);
}

static void adamw_round(const struct ax_adamw_mem *x, const struct ax_adamw *h, size_t at, size_t n)
{
	struct adamw_block b;
	size_t block = at / AX_Q8_BLOCK;

	if (x->tm == AX_Q8) {
		q8_unpack(b.m, &b, (const uint8_t *)x->m + at, x->m_scale[block], true, n);
		q8_unpack(b.v, &b, (const uint8_t *)x->v + at, x->v_scale[block], false, n);
	}
	block_update_any(&b, x, h, at, n);
	if (x->tm != AX_F32)
		block_bits(&b, h, AX_ROUND_M, x->index + at, n);
	moment_pack(x->m, x->tm, x->m_scale, &b, b.m, true, at, n);
	if (x->tm != AX_F32)
		block_bits(&b, h, AX_ROUND_V, x->index + at, n);
	moment_pack(x->v, x->tm, x->v_scale, &b, b.v, false, at, n);
	if (!x->p) {
		block_bits(&b, h, AX_ROUND_W, x->index + at, n);
		bf16_pack((uint16_t *)x->w + at, &b, b.p, n);
		return;
	}
	memcpy(x->p + at, b.p, n * sizeof(*b.p));
	for (size_t i = 0; x->w && i < n; i += VL)
		store_n((char *)x->w + at * (x->tw == AX_F32 ? 4 : 2), x->tw, i, load(b.p, AX_F32, i), n - i);
}
