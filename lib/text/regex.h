/*
 * Regular expressions as they stand in tokenizer.json: the syntax of Oniguruma (Ruby), matched by PCRE2.
 *
 * Both engines agree on structure; they differ in what a class holds. So every class (\p{..}, \s, \d, \w, \h, [..] with
 * ranges, negation, POSIX names and && intersection) is rewritten to explicit ranges from our own Unicode tables before
 * PCRE2 sees it, and so is (?i): a letter becomes the class of those that Oniguruma takes for it. Letters that one character
 * can stand for (ss, st, fi) are refused under (?i), as are backreferences, \X and \K. What else cannot be carried over
 * exactly is refused at compile time by name.
 *
 *	struct ax_regex *r;
 *	AX_TRY(ax_regex_new(&r, pattern, n, e));
 *	struct ax_regex_work *w = ax_regex_work_new(r);              // one a thread
 *	while (ax_regex_find(r, w, text, n, &it, &begin, &end)) ...  // it = {0} before the first
 */
#ifndef AX_TEXT_REGEX_H
#define AX_TEXT_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct ax_regex;
struct ax_regex_work;

/* Longest pattern in bytes, and how many steps one match may take. */
#define AX_REGEX_MAX ((size_t)64 << 10)
#define AX_REGEX_STEPS 10000000u

/* AX_EDATA: a syntax error or a construct without an exact counterpart, with its offset in the pattern. */
int ax_regex_new(struct ax_regex **r, const char *pattern, size_t n, struct ax_err *e);
void ax_regex_free(struct ax_regex *r);

struct ax_regex_work *ax_regex_work_new(const struct ax_regex *r); /* NULL: out of memory */
void ax_regex_work_free(struct ax_regex_work *w);

struct ax_regex_iter {
	size_t pos;   /* where the next search starts */
	size_t last;  /* end of the last match + 1; 0: none yet */
};

/*
 * The next match in text[0..n) (checked UTF-8), in the order of Oniguruma's iterator: leftmost, not overlapping, an
 * empty match not directly behind another match. Returns 1 and the range; 0 at the end; a negative code when the match
 * needs more than AX_REGEX_STEPS steps or memory.
 */
int ax_regex_find(const struct ax_regex *r, struct ax_regex_work *w, const char *text, size_t n,
		  struct ax_regex_iter *it, size_t *begin, size_t *end);

#endif
