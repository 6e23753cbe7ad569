/*
 * Which bytes of a text are data, and may not form special tokens.
 *
 *	struct ax_guards g = AX_GUARDS_INIT;
 *	AX_TRY(ax_guards_add(&g, 8, 24, e));                  // bytes 8 to 23 are what a user wrote
 *	AX_TRY(ax_tokenizer_encode_guarded(t, text, n, flags, &g, &ids, scratch, e));
 *	if (g.n_held) ...                                     // text that would have been a special token stayed text
 *	ax_guards_reset(&g);                                  // for the next text; memory and id are kept
 *	ax_guards_release(&g);
 *
 * Guarded are: tokens that the tokenizer marks special, tokens that the configuration adds (struct ax_tok_added's
 * `guarded`), and those listed in `id`. One is taken for a token only where none of its bytes is data; white space that
 * it strips beside itself may be.
 */
#ifndef AX_TOK_GUARD_H
#define AX_TOK_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ax_guard {
	size_t begin, end;
};

struct ax_guards {
	struct ax_guard *range; /* ascending, not empty, none touches the next */
	size_t n, cap;
	const uint32_t *id; /* more ids to guard, ascending; not owned */
	size_t n_id;
	size_t n_held; /* counted by encoding: tokens that stayed text */
};

#define AX_GUARDS_INIT                                                                                                 \
	{                                                                                                              \
		0                                                                                                      \
	}

/* Append [begin, end), which starts at or behind the end of the last range; an empty range is no range. */
int ax_guards_add(struct ax_guards *g, size_t begin, size_t end, struct ax_err *e);
/* Append the ranges of `other`, moved by `shift` bytes. */
int ax_guards_append(struct ax_guards *g, const struct ax_guards *other, size_t shift, struct ax_err *e);
void ax_guards_reset(struct ax_guards *g);
void ax_guards_release(struct ax_guards *g);

/* Does [begin, end) hold a byte of data? */
bool ax_guards_overlap(const struct ax_guards *g, size_t begin, size_t end);
/* Is the id one of g->id? */
bool ax_guards_lists(const struct ax_guards *g, uint32_t id);

#endif
