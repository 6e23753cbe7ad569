/* What the spans of a render must hold; for the programs that compare renders. */
#ifndef AX_PARITY_SPANS_H
#define AX_PARITY_SPANS_H

#include <string.h>

#include "text/jinja.h"

/* Every span must say the truth: exact ones hold their origin's bytes, and together they tile the text. */
static inline bool spans_hold(const struct ax_rope *r)
{
	size_t at = 0;

	for (size_t i = 0; i < r->n_span; i++) {
		const struct ax_span *s = &r->span[i];

		if (s->begin != at || s->end <= s->begin)
			return false;
		at = s->end;
		if (!s->origin || s->flags & AX_SPAN_TRANSFORMED)
			continue;
		if (s->origin->type != AX_STR || s->off + (s->end - s->begin) > s->origin->n ||
		    memcmp(s->origin->u.s + s->off, r->b.p + s->begin, s->end - s->begin) != 0)
			return false;
	}
	return at == r->b.n;
}

#endif
