/*
 * Python's str.format for named fields: "{name}", "{name!r:>12}", "{{" and "}}".
 * Conversions !s and !r; specifications [[fill]align][width][.precision][s] with align <, > or ^, widths below 10000.
 */
#ifndef AX_TOK_PROMPT_FORMAT_H
#define AX_TOK_PROMPT_FORMAT_H

#include "base/buf.h"
#include "base/err.h"

struct ax_format_arg {
	const char *name;
	const char *s; /* NULL: naming this field is an error */
	size_t n;
};

/* Append the expansion to *b. AX_EUSAGE for a malformed format or an unknown field. */
int ax_format(struct ax_buf *b, const char *format, const struct ax_format_arg *arg, size_t n_arg, struct ax_err *e);

#endif
