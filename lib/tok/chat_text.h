/*
 * Texts of messages: parts with their training flags, and reasoning inside an answer.
 */
#ifndef AX_TOK_CHAT_TEXT_H
#define AX_TOK_CHAT_TEXT_H

#include "base/err.h"
#include "base/mem.h"
#include "text/val.h"
#include "tok/chat.h"

/* A list of {begin_offset, end_offset, train} into *p. AX_EDATA when it is not one. */
int ax_parts_read(struct ax_parts *p, const struct ax_val *list, struct ax_arena *a, struct ax_err *e);

/*
 * If msg[key] is a list of parts ({text | content | value, train | weight}), replace it by their joined text, and, if
 * any part has a flag, *p by their ranges. Parts without a flag are trained. Anything else is left as it is.
 */
int ax_parts_join(struct ax_val *msg, const char *key, struct ax_parts *p, struct ax_arena *a, struct ax_err *e);

/*
 * Move reasoning in tags (<think>, <reasoning>, <|begin_of_thought|>) out of msg.content into msg[key], and take
 * <|begin_of_solution|> tags off the rest. A content without a complete pair stays as it is.
 */
int ax_split_thinking(struct ax_val *msg, const char *key, struct ax_arena *a, struct ax_err *e);

/* Python's str.strip() of valid UTF-8; without `right` str.lstrip(). */
void ax_text_strip(const char **s, size_t *n, bool right);

/* Code points in n bytes of UTF-8. */
size_t ax_count_chars(const char *s, size_t n);

/* A place in a text: code point `at` begins at byte `off`. All zero is the beginning. */
struct ax_char_place {
	size_t at, off;
};

/* The byte offset of code point i (n if there are fewer); the way there leads from *place, which is i then. */
size_t ax_char_offset(const char *s, size_t n, struct ax_char_place *place, size_t i);

#endif
