#include "text/breaks.h"

#include <stdbool.h>

#include "text/unicode.h"

/* What the cluster so far allows to follow. */
struct state {
	unsigned last;	     /* class of the last character */
	bool pict, joined;   /* a pictograph and extenders; then a joiner behind them */
	bool stem, linked;   /* a consonant and what may stand in a conjunct; a linker among that */
	bool odd;	     /* an odd number of regional indicators */
};

static bool is_hard(unsigned c)
{
	return c == AX_GB_CONTROL || c == AX_GB_CR || c == AX_GB_LF;
}

/* Rules GB3 to GB13 of Unicode's annex 29 between the cluster so far and a character. */
static bool breaks(const struct state *s, unsigned c)
{
	unsigned b = s->last;

	if (b == AX_GB_CR && c == AX_GB_LF)
		return false;
	if (is_hard(b) || is_hard(c))
		return true;
	if (b == AX_GB_L && (c == AX_GB_L || c == AX_GB_V || c == AX_GB_LV || c == AX_GB_LVT))
		return false;
	if ((b == AX_GB_LV || b == AX_GB_V) && (c == AX_GB_V || c == AX_GB_T))
		return false;
	if ((b == AX_GB_LVT || b == AX_GB_T) && c == AX_GB_T)
		return false;
	if (c == AX_GB_EXTEND || c == AX_GB_ZWJ || c == AX_GB_SPACING || b == AX_GB_PREPEND)
		return false;
	if (c == AX_GB_CONSONANT)
		return !s->linked;
	if (c == AX_GB_PICT)
		return !s->joined;
	return c != AX_GB_REGIONAL || !s->odd;
}

static void add(struct state *s, unsigned flags)
{
	unsigned c = flags & AX_GB_CLASS;

	s->joined = s->pict && c == AX_GB_ZWJ;
	s->pict = c == AX_GB_PICT || (s->pict && c == AX_GB_EXTEND);
	if (c == AX_GB_CONSONANT) {
		s->stem = true;
		s->linked = false;
	} else if (!(flags & (AX_GB_LINKER | AX_GB_CONJUNCT))) {
		s->stem = s->linked = false;
	} else {
		s->linked |= s->stem && flags & AX_GB_LINKER;
	}
	s->odd = c == AX_GB_REGIONAL && !s->odd;
	s->last = c;
}

size_t ax_grapheme_end(const char *p, size_t at, size_t n)
{
	struct state s = {0};
	size_t len;

	add(&s, ax_grapheme(ax_utf8_get((const unsigned char *)p + at, &len)));
	for (at += len; at < n; at += len) {
		unsigned flags = ax_grapheme(ax_utf8_get((const unsigned char *)p + at, &len));

		if (breaks(&s, flags & AX_GB_CLASS))
			break;
		add(&s, flags);
	}
	return at;
}
