/*
 * A token row for people's eyes: its text with what is trained standing out, or a list of its tokens.
 *
 *	ax_show_row(&b, tok, &row, AX_SHOW_COLOUR);            // the text, trained tokens in green, others plain
 *	ax_show_row(&b, tok, &row, 0);                         // the same with trained runs in [[ ]]
 *	ax_show_row(&b, tok, &row, AX_SHOW_LIST);              // a line a token: position, id, mask, label, piece
 *
 * Nothing of the text can drive the terminal: control characters but newline, and bytes that are no UTF-8, are written
 * as \xNN; a newline is written as \n and a real one. A character that is split over tokens of one colour is shown whole.
 */
#ifndef AX_TOK_SHOW_H
#define AX_TOK_SHOW_H

#include "base/buf.h"
#include "fmt/block.h"
#include "tok/tokenizer.h"

enum ax_show_flags {
	AX_SHOW_COLOUR = 1 << 0,
	AX_SHOW_LIST = 1 << 1,
};

/* Append the row; ends with a newline. `t` may be NULL: ids are shown as <123>. Out of memory: b->oom. */
void ax_show_row(struct ax_buf *b, const struct ax_tokenizer *t, const struct ax_row *r, unsigned flags);

#endif
