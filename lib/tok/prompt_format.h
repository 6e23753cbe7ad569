/*
 * Python's str.format for named fields: "{name}", "{name!r:>12}", "{{" and "}}".
 * Conversions !s and !r; specifications [[fill]align][width][.precision][s] with align <, > or ^, widths below 10000.
 */
#ifndef AX_TOK_PROMPT_FORMAT_H
#define AX_TOK_PROMPT_FORMAT_H

#include "base/buf.h"
#include "base/err.h"
#include "tok/guard.h"

struct ax_format_arg {
	const char *name;
	const char *s; /* NULL: naming this field is an error */
	size_t n;
	bool data; /* it is of the row, not of the configuration */
};

/*
 * Append the expansion to *b, and to *data (may be NULL) the ranges of *b that came of arguments that are data.
 * AX_EUSAGE for a malformed format or an unknown field.
 */
int ax_format(struct ax_buf *b, struct ax_guards *data, const char *format, const struct ax_format_arg *arg, size_t n_arg,
	      struct ax_err *e);

#endif
