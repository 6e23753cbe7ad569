/*
 * Extended grapheme clusters and scripts, as the parts of Hugging Face tokenizers 0.23.2 see them that work on them:
 * clusters of Unicode 17, scripts of a much older list. Tables are probed by scripts/gen_breaks.py.
 */
#ifndef AX_TEXT_BREAKS_H
#define AX_TEXT_BREAKS_H

#include <stddef.h>
#include <stdint.h>

/* In the order of scripts/gen_breaks.py. */
enum ax_grapheme_class {
	AX_GB_ANY, AX_GB_CR, AX_GB_LF, AX_GB_CONTROL, AX_GB_EXTEND, AX_GB_SPACING, AX_GB_PREPEND, AX_GB_L, AX_GB_V, AX_GB_T,
	AX_GB_LV, AX_GB_LVT, AX_GB_PICT, AX_GB_CONSONANT, AX_GB_REGIONAL, AX_GB_ZWJ
};

#define AX_GB_CLASS	 15u
#define AX_GB_LINKER	 16u /* joins the consonants of a conjunct */
#define AX_GB_CONJUNCT	 32u /* may stand within one */

extern const uint8_t ax_grapheme_stage1[], ax_grapheme_stage2[], ax_script_stage1[], ax_script_stage2[];

/* Class and bits of a code point below 0x110000. */
static inline unsigned ax_grapheme(uint32_t c)
{
	return ax_grapheme_stage2[(uint32_t)ax_grapheme_stage1[c >> 7] << 7 | (c & 127)];
}

/* A number for the script; 0: any, as a space and what is not assigned. Hiragana, Katakana and Han are one. */
static inline unsigned ax_script(uint32_t c)
{
	return ax_script_stage2[(uint32_t)ax_script_stage1[c >> 7] << 7 | (c & 127)];
}

/* The end of the cluster that starts at p[at], at < n, of checked UTF-8; `at` must be where a cluster starts. */
size_t ax_grapheme_end(const char *p, size_t at, size_t n);

#endif
