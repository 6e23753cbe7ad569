/*
 * Character classes of regular expressions as sorted range lists: internal to text/regex.
 */
#ifndef AX_TEXT_REGEX_CLASS_H
#define AX_TEXT_REGEX_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Disjoint ascending ranges once normalized; pairs (first, last). */
struct ax_cset {
	uint32_t *r;
	size_t n, cap; /* ranges */
	bool oom;
};

void ax_cset_add(struct ax_cset *s, uint32_t first, uint32_t last);
void ax_cset_merge(struct ax_cset *s, const struct ax_cset *other);
void ax_cset_sort(struct ax_cset *s); /* ascending, disjoint, not adjacent */
void ax_cset_negate(struct ax_cset *s); /* within the scalar values */
void ax_cset_intersect(struct ax_cset *s, const struct ax_cset *other);
void ax_cset_release(struct ax_cset *s);
/* All code points c with (flags(c) & mask) or whose category bit is in gcm. */
void ax_cset_add_props(struct ax_cset *s, uint32_t gcm, uint32_t mask);

/* Add to a sorted set all that (?i) takes for its members, one character for one. */
void ax_cset_fold(struct ax_cset *s);
/* The least character that (?i) takes for c. */
uint32_t ax_cset_fold_char(uint32_t c);
/* n = 1: does the character also stand for several under (?i)? Else: do these n, folded, stand for a single one? */
bool ax_cset_multi(const uint32_t *c, size_t n);
/* Is a character that also stands for several in the sorted set? */
bool ax_cset_has_multi(const struct ax_cset *s);

enum ax_cset_where { AX_CSET_OUTSIDE, AX_CSET_INSIDE }; /* of brackets: \w differs by six characters */

/*
 * Parse what stands at p[*i]: an escape for a class (\p{L}, \P{^L}, \s, \S, \d, \D, \w, \W, \h, \H), or a bracket
 * expression. *i moves behind it. Returns 1 if a class was there, 0 if something else (then *i is untouched), or AX_EDATA.
 */
int ax_cset_parse_escape(struct ax_cset *s, const char *p, size_t n, size_t *i, enum ax_cset_where where, struct ax_err *e);
/* *negated: a ^ behind the outermost bracket, which is not applied to s yet. */
int ax_cset_parse_bracket(struct ax_cset *s, const char *p, size_t n, size_t *i, bool *negated, struct ax_err *e);

/* Append the class in PCRE2's syntax: [\x{41}-\x{5a}...]. */
void ax_cset_write(const struct ax_cset *s, struct ax_buf *b);

#endif
