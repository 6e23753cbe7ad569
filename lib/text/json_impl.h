/* Inside of the JSON reader. */
#ifndef AX_TEXT_JSON_IMPL_H
#define AX_TEXT_JSON_IMPL_H

#include "text/val.h"

/*
 * The number at *p (p < end), which moves behind it, into v->type and v->u. AX_EDATA: there is no number; AX_EMEM. Integers
 * beyond 64 bits keep their digits (ax_val's `number`), which point into the text.
 */
int ax_json_number(const char **p, const char *end, struct ax_val *v);

#endif
