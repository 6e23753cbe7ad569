/* Tables of jinja_case.c, made by scripts/gen_case.py. */
#ifndef AX_TEXT_JINJA_CASE_H
#define AX_TEXT_JINJA_CASE_H

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

extern const struct axj_case_range axj_lower_range[], axj_upper_range[], axj_title_range[];
extern const size_t axj_lower_range_n, axj_upper_range_n, axj_title_range_n;
extern const struct axj_case_special axj_lower_special[], axj_upper_special[], axj_title_special[];
extern const size_t axj_lower_special_n, axj_upper_special_n, axj_title_special_n;

#endif
