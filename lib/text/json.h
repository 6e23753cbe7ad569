/*
 * JSON (RFC 8259) reader and writer over struct ax_val.
 *
 * The reader is strict but for what Python's json module accepts and real files hold: a duplicate key keeps its last
 * value; NaN, Infinity and -Infinity are floats; a lone surrogate escape is an error. Integers that do not fit int64
 * keep their digits (ax_val's `number`). Depth is limited to 200. Errors are AX_EDATA "line L, column C: what", without a file name: the caller
 * puts "FILE:" or "FILE:LINE:" in front.
 */
#ifndef AX_TEXT_JSON_H
#define AX_TEXT_JSON_H

#include "text/val.h"

#define AX_JSON_DEPTH 200

/* Parse exactly one value (white space around it allowed). Strings without escapes point into p: keep p alive. */
int ax_json_parse(struct ax_arena *a, const char *p, size_t n, struct ax_val **v, struct ax_err *e);

/* Read and parse a file of at most `limit` bytes; strings are copied into the arena. Errors name the file. */
int ax_json_file(struct ax_arena *a, const char *path, size_t limit, struct ax_val **v, struct ax_err *e);

enum ax_json_flags {
	AX_JSON_ASCII = 1 << 0,   /* escape everything beyond ASCII */
	AX_JSON_SORT = 1 << 1,    /* keys in byte order */
	AX_JSON_SPACED = 1 << 2,  /* ", " and ": " as Python's default separators */
	AX_JSON_INDENT2 = 1 << 3, /* two-space indentation, as json.dumps(indent=2) */
	AX_JSON_INDENT4 = 1 << 4
};

/* Append the text of v. Floats are written as Python's repr: the shortest digits that read back the same. */
void ax_json_write(struct ax_buf *b, const struct ax_val *v, unsigned flags);
/* Append a quoted, escaped string. */
void ax_json_write_str(struct ax_buf *b, const char *s, size_t n, unsigned flags);
/* Append a float as Python's repr does ("1e-05", "0.1", "3.0", "inf"). */
void ax_write_float(struct ax_buf *b, double f);

#endif
