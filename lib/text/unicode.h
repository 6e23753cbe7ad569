/*
 * Unicode as Hugging Face tokenizers 0.23.2 sees it: character classes of its regex engine and of its other parts, and
 * its normal forms. Tables come from probing that library (scripts/gen_unicode.py), not from one Unicode release: they
 * differ by up to five versions within it.
 *
 * UTF-8 helpers work on text that was checked once with ax_utf8_check(); they do not look beyond `end`.
 */
#ifndef AX_TEXT_UNICODE_H
#define AX_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "text/unicode_data.h"

/* General category of the regex engine (Unicode 16), the low five bits of a character's flags. */
enum ax_uni_gc {
	AX_GC_CN, AX_GC_LU, AX_GC_LL, AX_GC_LT, AX_GC_LM, AX_GC_LO, AX_GC_MN, AX_GC_MC, AX_GC_ME, AX_GC_ND, AX_GC_NL,
	AX_GC_NO, AX_GC_PC, AX_GC_PD, AX_GC_PS, AX_GC_PE, AX_GC_PI, AX_GC_PF, AX_GC_PO, AX_GC_SM, AX_GC_SC, AX_GC_SK,
	AX_GC_SO, AX_GC_ZS, AX_GC_ZL, AX_GC_ZP, AX_GC_CC, AX_GC_CF, AX_GC_CO, AX_GC_CS, AX_GC_COUNT
};

enum ax_uni_flag {
	AX_UNI_SPACE = 1 << 5,   /* \s of the regex engine: 25 characters */
	AX_UNI_WORD = 1 << 6,    /* \w of the regex engine */
	AX_UNI_RSPACE = 1 << 7,  /* white space of Rust */
	AX_UNI_RWORD = 1 << 8,   /* \w of Rust's regex crate */
	AX_UNI_RNUM = 1 << 9,    /* numeric of Rust (Digits) */
	AX_UNI_PUNCT = 1 << 10,  /* Punctuation, BertPreTokenizer */
	AX_UNI_NFC = 1 << 11,    /* text holding it may change under NFC */
	AX_UNI_NFD = 1 << 12,
	AX_UNI_NFKC = 1 << 13,
	AX_UNI_NFKD = 1 << 14,
	AX_UNI_MARK = 1 << 15,   /* removed by StripAccents */
	AX_UNI_CDROP = 1 << 16,  /* removed by BertNormalizer's clean_text */
	AX_UNI_CSPACE = 1 << 17, /* made a space by it */
	AX_UNI_CJK = 1 << 18,    /* surrounded by spaces by BertNormalizer */
	AX_UNI_LOWER = 1 << 19,  /* changes in lower case */
	AX_UNI_BMARK = 1 << 20,  /* removed by BertNormalizer's strip_accents, after NFD */
	AX_UNI_ALPHA = 1 << 21,  /* [:alpha:], [:lower:] and [:upper:] of the regex engine */
	AX_UNI_SMALL = 1 << 22,
	AX_UNI_CAPITAL = 1 << 23
};

#define AX_UNI_GC_MASK 31u
#define AX_UNI_CCC_SHIFT 24 /* canonical combining class in the top byte */

/* Flags of a code point below 0x110000. */
static inline uint32_t ax_uni(uint32_t c)
{
	return ax_uni_flags[ax_uni_stage2[(uint32_t)ax_uni_stage1[c >> 7] << 7 | (c & 127)]];
}

/* 1 << category, to be tested against masks of categories. */
static inline uint32_t ax_uni_gc_bit(uint32_t c)
{
	return (uint32_t)1 << (ax_uni(c) & AX_UNI_GC_MASK);
}

#define AX_GCM_L (1u << AX_GC_LU | 1u << AX_GC_LL | 1u << AX_GC_LT | 1u << AX_GC_LM | 1u << AX_GC_LO)
#define AX_GCM_M (1u << AX_GC_MN | 1u << AX_GC_MC | 1u << AX_GC_ME)
#define AX_GCM_N (1u << AX_GC_ND | 1u << AX_GC_NL | 1u << AX_GC_NO)
#define AX_GCM_P                                                                                                       \
	(1u << AX_GC_PC | 1u << AX_GC_PD | 1u << AX_GC_PS | 1u << AX_GC_PE | 1u << AX_GC_PI | 1u << AX_GC_PF | 1u << AX_GC_PO)
#define AX_GCM_S (1u << AX_GC_SM | 1u << AX_GC_SC | 1u << AX_GC_SK | 1u << AX_GC_SO)
#define AX_GCM_Z (1u << AX_GC_ZS | 1u << AX_GC_ZL | 1u << AX_GC_ZP)
#define AX_GCM_C (1u << AX_GC_CN | 1u << AX_GC_CC | 1u << AX_GC_CF | 1u << AX_GC_CO | 1u << AX_GC_CS)

/* Bytes of the character that starts with byte b (of checked text). */
static inline size_t ax_utf8_len(unsigned char b)
{
	return b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
}

/* The character at p (of checked text) and its bytes. */
static inline uint32_t ax_utf8_get(const unsigned char *p, size_t *len)
{
	if (p[0] < 0x80) {
		*len = 1;
		return p[0];
	}
	if (p[0] < 0xE0) {
		*len = 2;
		return (uint32_t)(p[0] & 31) << 6 | (p[1] & 63u);
	}
	if (p[0] < 0xF0) {
		*len = 3;
		return (uint32_t)(p[0] & 15) << 12 | (uint32_t)(p[1] & 63) << 6 | (p[2] & 63u);
	}
	*len = 4;
	return (uint32_t)(p[0] & 7) << 18 | (uint32_t)(p[1] & 63) << 12 | (uint32_t)(p[2] & 63) << 6 | (p[3] & 63u);
}

/* The character that ends before p (p beyond the start of checked text). */
static inline uint32_t ax_utf8_before(const unsigned char *p)
{
	size_t len;

	do
		p--;
	while ((*p & 0xC0) == 0x80);
	return ax_utf8_get(p, &len);
}

/* Write c (a scalar value) to out[4]; returns the bytes. */
size_t ax_utf8_put(uint32_t c, char *out);

/* n if p[0..n) is UTF-8 (no surrogates, no overlong forms), else the offset of the first byte that is not. */
size_t ax_utf8_check(const char *p, size_t n);

/* Append p[0..n) to b with U+FFFD for each maximal malformed part, as Python's errors="replace" does. */
void ax_utf8_repair(struct ax_buf *b, const char *p, size_t n);

enum ax_uni_form { AX_NFC, AX_NFD, AX_NFKC, AX_NFKD };

/*
 * Where text may change under a normal form. p[0..n) is scanned from *pos; returns false if nothing after it can change.
 * Else p[*pos..*end) is a part that must be normalized on its own: what is before and after it is unaffected.
 */
bool ax_uni_dirty(const char *p, size_t n, enum ax_uni_form form, size_t *pos, size_t *end);

/* Code points on their way through a normalization, each with a number of the caller's that says where it came from. */
struct ax_uni_work {
	uint32_t *cp;
	uint32_t *from;
	size_t n, cap;
};

/*
 * Normalize w in place. What a code point decomposes into keeps its `from`; a composition takes that of its first part;
 * marks that change places do not take it along, so that ascending numbers stay ascending.
 * False when out of memory.
 */
bool ax_uni_normalize(struct ax_uni_work *w, enum ax_uni_form form);
bool ax_uni_work_push(struct ax_uni_work *w, uint32_t cp, uint32_t from);
void ax_uni_work_release(struct ax_uni_work *w);

/* Lower case of c as Rust's char::to_lowercase: up to 3 code points; returns how many. */
size_t ax_uni_lower(uint32_t c, uint32_t out[3]);

/* Ranges (first, last pairs) of a script by name (case, '_', '-' and blanks ignored); NULL if unknown. */
const uint32_t *ax_uni_script(const char *name, size_t n, size_t *n_range);

#endif
