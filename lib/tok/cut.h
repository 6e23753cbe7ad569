/*
 * Cuts a text into pre-tokens many at a time, for pre-tokenizers that are known patterns. What it gives is what the
 * splitters of pretok_split.h give one by one.
 *
 * ASCII goes through windows of 64 bytes that begin where a piece begins: the classes of all bytes as bit masks, from
 * them by shifts and additions the bits where pieces begin. A window decides what its bytes decide; the last piece that
 * begins for certain begins the next window. Where that is no progress (other characters, very long pieces), one piece
 * is cut by the splitter.
 *
 *	struct ax_cutter c = {p, n, 0, 0, kind};
 *	while ((k = cut(&c, at, max)))      // cut = ax_cut_fn_of(kind, AX_CUT_BEST)
 *		... pieces [at[0], at[1]), ..., [at[k - 1], at[k]) ...
 */
#ifndef AX_TOK_CUT_H
#define AX_TOK_CUT_H

#include <stddef.h>
#include <stdint.h>

#include "tok/pretok_split.h"

enum ax_cut_kind {
	AX_CUT_NONE,
	AX_CUT_GPT2,
	AX_CUT_LLAMA3, /* the family of cl100k: numbers in groups of three */
	AX_CUT_QWEN2,  /* the same, numbers one by one */
	AX_CUT_QWEN35,
	AX_CUT_O200K,
	AX_CUT_TEKKEN,
	AX_CUT_DIGITS, /* each number alone, and then GPT2 on what is between */
	AX_CUT_DSV3, /* DeepSeek-V3's three patterns, one after the other */
	AX_CUT_KINDS
};

struct ax_cutter {
	const unsigned char *p; /* checked UTF-8 */
	size_t n, i;            /* up to i all is cut; i == n: the end */
	size_t border;          /* DSV3, DIGITS: where the text ends that the last pattern sees; start with 0 */
	enum ax_cut_kind kind;
};

#define AX_CUT_SPARE 80 /* entries of `at` beyond max */

/*
 * Cut at least one and about max more pieces: at[0..k) is where they begin, at[k] where the last ends; at has max +
 * AX_CUT_SPARE entries. Returns k; 0 only at the end. p[0..n) is below 4 GiB.
 */
typedef size_t (*ax_cut_fn)(struct ax_cutter *c, uint32_t *at, size_t max);

enum ax_cut_isa { AX_CUT_SCALAR, AX_CUT_BASE, AX_CUT_AVX2, AX_CUT_AVX512, AX_CUT_BEST };

/* The kind that a single pattern is, AX_CUT_NONE if none. */
enum ax_cut_kind ax_cut_kind_of(ax_split_fn fn);
/* For this processor, not above `most`: AX_CUT_SCALAR is the splitters alone, for tests. */
ax_cut_fn ax_cut_fn_of(enum ax_cut_kind kind, enum ax_cut_isa most);

/* The end of the one piece at c->i, by the splitters. */
size_t ax_cut_step(struct ax_cutter *c, size_t i);

/* The instruction sets' tables, by kind. */
extern const ax_cut_fn ax_cut_base[AX_CUT_KINDS], ax_cut_avx2[AX_CUT_KINDS], ax_cut_avx512[AX_CUT_KINDS];

#endif
