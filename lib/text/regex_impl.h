/* Oniguruma's syntax to PCRE2's: shared by lib/text/regex*.c only. */
#ifndef AX_TEXT_REGEX_IMPL_H
#define AX_TEXT_REGEX_IMPL_H

#include "text/regex_class.h"

/* Append the pattern as PCRE2 reads it, without its options i, m and x: they are resolved. AX_EDATA: refused. */
int ax_regex_rewrite(struct ax_buf *b, const char *p, size_t n, struct ax_err *e);

#endif
