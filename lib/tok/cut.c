#include "tok/cut.h"

size_t ax_cut_step(struct ax_cutter *c, size_t i)
{
	static const ax_split_fn splitter[AX_CUT_KINDS] = {
	    [AX_CUT_GPT2] = ax_split_gpt2, [AX_CUT_LLAMA3] = ax_split_llama3, [AX_CUT_QWEN2] = ax_split_qwen2,
	    [AX_CUT_QWEN35] = ax_split_qwen35, [AX_CUT_O200K] = ax_split_o200k, [AX_CUT_TEKKEN] = ax_split_tekken,
	};

	if (c->kind == AX_CUT_DIGITS)
		return ax_split_digits_gpt2(c->p, i, c->n, &c->border);
	if (c->kind == AX_CUT_DSV3)
		return ax_split_dsv3(c->p, i, c->n, &c->border);
	return splitter[c->kind](c->p, i, c->n); /* these leave no gaps */
}

enum ax_cut_kind ax_cut_kind_of(ax_split_fn fn)
{
	return fn == ax_split_gpt2     ? AX_CUT_GPT2
	       : fn == ax_split_llama3 ? AX_CUT_LLAMA3
	       : fn == ax_split_qwen2  ? AX_CUT_QWEN2
	       : fn == ax_split_qwen35 ? AX_CUT_QWEN35
	       : fn == ax_split_o200k  ? AX_CUT_O200K
	       : fn == ax_split_tekken ? AX_CUT_TEKKEN
				       : AX_CUT_NONE;
}

static size_t scalar(struct ax_cutter *c, uint32_t *at, size_t max)
{
	size_t k = 0;

	while (k < max && c->i < c->n) {
		at[k++] = (uint32_t)c->i;
		c->i = ax_cut_step(c, c->i);
	}
	at[k] = (uint32_t)c->i;
	return k;
}

ax_cut_fn ax_cut_fn_of(enum ax_cut_kind kind, enum ax_cut_isa most)
{
	if (kind == AX_CUT_NONE)
		return NULL;
	if (most == AX_CUT_SCALAR)
		return scalar;
#if defined(__x86_64__)
	if (most >= AX_CUT_AVX512 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2"))
		return ax_cut_avx512[kind];
	if (most >= AX_CUT_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi"))
		return ax_cut_avx2[kind];
#endif
	return ax_cut_base[kind];
}
