/*
 * The generated tables behind text/unicode.h; use that. Two-stage lookup: flags[stage2[stage1[c >> 7] << 7 | c & 127]].
 * A map X has sorted keys X_key[X_n]; key i maps to X_pool[X_at[i]..X_at[i + 1]).
 */
#ifndef AX_TEXT_UNICODE_DATA_H
#define AX_TEXT_UNICODE_DATA_H

#include <stdint.h>

extern const uint32_t ax_uni_flags[];
extern const uint16_t ax_uni_stage1[];
extern const uint8_t ax_uni_stage2[];

extern const uint32_t ax_uni_nfd_n, ax_uni_nfkd_n, ax_uni_lower_n, ax_uni_pair_n, ax_uni_script_n;
extern const uint32_t ax_uni_nfd_key[], ax_uni_nfd_pool[]; /* full canonical decompositions, without Hangul */
extern const uint16_t ax_uni_nfd_at[];
extern const uint32_t ax_uni_nfkd_key[], ax_uni_nfkd_pool[]; /* full compatibility ones, where they differ */
extern const uint16_t ax_uni_nfkd_at[];
extern const uint32_t ax_uni_lower_key[], ax_uni_lower_pool[];
extern const uint16_t ax_uni_lower_at[];
extern const uint32_t ax_uni_fold_n, ax_uni_multi_n;
extern const int32_t ax_uni_fold[];   /* fours (first, last, step, distance to the next character of the same fold) */
extern const uint32_t ax_uni_multi[]; /* fours (character, and the two or three that it also stands for) */
extern const uint32_t ax_uni_pair[];         /* triples (first, second, composed), sorted */
extern const uint32_t ax_uni_script_range[]; /* pairs (first, last) */
extern const uint16_t ax_uni_script_at[];
extern const char *const ax_uni_script_name[]; /* lower case, no underscores */

#endif
