/* Character references of HTML 5, as Python's html.unescape reads them. */
#ifndef AX_TEXT_JINJA_ENTITY_H
#define AX_TEXT_JINJA_ENTITY_H

#include "text/jinja_impl.h"

struct axj_entity {
	const char *name; /* without '&'; with ';' if it needs one */
	const char *text;
};

/* Sorted by name. */
extern const struct axj_entity axj_entities[];
extern const size_t axj_entities_n;

/* Append p[0..n) with its references replaced. */
int axj_put_unescaped(struct axj *r, const char *p, size_t n);

#endif
