/*
 * A forward reader over JSON text, for the two parts of a tokenizer.json that are too large for a value tree: vocabulary
 * and merges. Everything else is cut out as a slice and given to text/json.
 *
 *	struct ax_scan s = { p, p + n, p, false };
 *	AX_TRY(ax_scan_object(&s, &more, e));
 *	while (more) { AX_TRY(ax_scan_key(&s, &key, &buf, e)); ...value...; AX_TRY(ax_scan_next(&s, '}', &more, e)); }
 *
 * The text must be UTF-8. Errors are AX_EDATA with the byte offset.
 */
#ifndef AX_TOK_TOKENIZER_SCAN_H
#define AX_TOK_TOKENIZER_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct ax_scan {
	const char *p, *end, *start;
	bool nearest; /* ax_scan_f64 gives the nearest double */
};

struct ax_slice {
	const char *p;
	size_t n;
};

/* The next character that is not white space, not consumed; 0 at the end. */
char ax_scan_peek_far(struct ax_scan *s);
static inline char ax_scan_peek(struct ax_scan *s)
{
	return s->p < s->end && (unsigned char)*s->p > ' ' ? *s->p : ax_scan_peek_far(s);
}
/* Consume '{' or '['; *more: it is not empty. */
int ax_scan_open(struct ax_scan *s, char open, bool *more, struct ax_err *e);
/* After a value: ',' gives more, `close` ends. */
int ax_scan_next(struct ax_scan *s, char close, bool *more, struct ax_err *e);
/* A string, and for a key the ':' behind it. Points into the text, or into *b (emptied first) if it holds escapes. */
int ax_scan_string(struct ax_scan *s, struct ax_slice *out, struct ax_buf *b, struct ax_err *e);
int ax_scan_key(struct ax_scan *s, struct ax_slice *out, struct ax_buf *b, struct ax_err *e);
/* A non-negative integer below 2^32. */
int ax_scan_u32(struct ax_scan *s, uint32_t *v, struct ax_err *e);
/*
 * A number, as Hugging Face's JSON reader (serde_json 1, without float_roundtrip) makes a double of it: up to 19 digits
 * as an integer, then one multiplication or division by a power of ten. That is not always the nearest double, which
 * `nearest` asks for.
 */
int ax_scan_f64(struct ax_scan *s, double *v, struct ax_err *e);
/* Any value; *out is its text. Checks brackets and strings, not the inside of numbers and words. */
int ax_scan_skip(struct ax_scan *s, struct ax_slice *out, struct ax_err *e);

bool ax_slice_is(struct ax_slice s, const char *text);

#endif
