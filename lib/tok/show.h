/*
 * Token ids for people's eyes.
 *
 *	ax_show_tokens(&b, tok, row.id + from, n);     // the text of n tokens of one mask, on one line
 *
 * Nothing of the text can drive a terminal: control characters, marks that turn the direction of a line, and bytes that
 * are no UTF-8 are written as escapes (\n, \t, \xNN; a backslash as \\). A character that is split over several of the
 * tokens is shown whole, so show tokens that belong together in one call.
 */
#ifndef AX_TOK_SHOW_H
#define AX_TOK_SHOW_H

#include <stdbool.h>

#include "base/buf.h"
#include "tok/tokenizer.h"

/* Append the text; an id without a token is <123>. Out of memory: b->oom. */
void ax_show_tokens(struct ax_buf *b, const struct ax_tokenizer *t, const uint32_t *id, size_t n);

/* A text on one line, with the same escapes. */
void ax_show_line(struct ax_buf *b, const char *text, size_t n);

/* A text of several lines: as it is, but for what could drive a terminal, which becomes \xNN. */
void ax_show_text(struct ax_buf *b, const char *text, size_t n);

#endif
