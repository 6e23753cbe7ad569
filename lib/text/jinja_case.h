/* Tables of jinja_case.c, made by scripts/gen_case.py. */
#ifndef AX_TEXT_JINJA_CASE_H
#define AX_TEXT_JINJA_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters first, first + step, ... last move by delta. */
struct axj_case_range {
	uint32_t first, last, step;
	int32_t delta;
};

/* A character that becomes several; unused ones are 0. */
struct axj_case_special {
	uint32_t c, to[3];
};

extern const struct axj_case_range axj_lower_range[], axj_upper_range[], axj_title_range[], axj_fold_range[];
extern const size_t axj_lower_range_n, axj_upper_range_n, axj_title_range_n, axj_fold_range_n;
extern const struct axj_case_special axj_lower_special[], axj_upper_special[], axj_title_special[], axj_fold_special[];
extern const size_t axj_lower_special_n, axj_upper_special_n, axj_title_special_n, axj_fold_special_n;

/* Classes of a character as Python's str methods see them, Unicode 14 (Python 3.11). */
enum axj_uni_class {
	AXJ_ALPHA = 1 << 0,
	AXJ_DECIMAL = 1 << 1, /* its value: axj_digit() */
	AXJ_DIGIT = 1 << 2,
	AXJ_NUMERIC = 1 << 3,
	AXJ_PRINTABLE = 1 << 4,
	AXJ_IS_LOWER = 1 << 5,
	AXJ_IS_UPPER = 1 << 6,
	AXJ_IS_TITLE = 1 << 7,
	AXJ_CASED = 1 << 8,
	AXJ_IGNORABLE = 1 << 9, /* passed over where a capital sigma looks for its neighbours */
	AXJ_SPACE = 1 << 10,
	AXJ_NAME_FIRST = 1 << 11, /* may begin an identifier */
	AXJ_NAME_NEXT = 1 << 12
};

extern const uint16_t axj_uni_stage1[];
extern const uint8_t axj_uni_stage2[];
extern const uint32_t axj_uni_flags[];

static inline uint32_t axj_uni(uint32_t c)
{
	return axj_uni_flags[axj_uni_stage2[(uint32_t)axj_uni_stage1[c >> 7] << 7 | (c & 127)]];
}

static inline bool axj_is(uint32_t c, uint32_t classes)
{
	return axj_uni(c) & classes;
}

static inline int axj_digit(uint32_t c)
{
	return (int)(axj_uni(c) >> 13);
}

#endif
