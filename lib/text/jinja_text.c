/* Operations on text that filters and methods share. */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "text/jinja_lib.h"

/* Is the character at p (len bytes) one of `chars`, or white space? */
static bool to_strip(const char *p, size_t len, uint32_t c, const struct axj_str *chars)
{
	if (!chars)
		return axj_is_space(c);
	return memmem(chars->p, chars->n, p, len) != NULL; /* UTF-8: a whole character matches only itself */
}

int axj_strip(struct axj *r, struct axj_str *s, const struct axj_str *chars, int sides, struct axj_val *out)
{
	size_t from = 0, to = s->n, len;

	while (sides & 1 && from < to) {
		uint32_t c = axj_get_char(s->p + from, to - from, &len);

		if (!to_strip(s->p + from, len, c, chars))
			break;
		from += len;
	}
	while (sides & 2 && to > from) {
		size_t at = to - 1;
		uint32_t c;

		while (at > from && ((unsigned char)s->p[at] & 0xc0) == 0x80)
			at--;
		c = axj_get_char(s->p + at, to - at, &len);
		if (!to_strip(s->p + at, len, c, chars))
			break;
		to = at;
	}
	return axj_cut(r, s, from, to, out);
}

/* "" is found before every character and at the end. */
static int replace_empty(struct axj *r, struct axj_str *s, const struct axj_str *new, int64_t max)
{
	size_t len;

	for (size_t i = 0; i < s->n; i += len) {
		axj_get_char(s->p + i, s->n - i, &len);
		if (max != 0)
			AX_TRY(axj_put_str(r, new));
		max -= max > 0;
		AX_TRY(axj_put_sub(r, s, i, i + len));
	}
	return max != 0 ? axj_put_str(r, new) : 0;
}

int axj_replace(struct axj *r, struct axj_str *s, const struct axj_str *old, const struct axj_str *new, int64_t max, struct axj_val *out)
{
	struct axj_capture c;
	size_t from = 0, at;

	AX_TRY(axj_step(r, s->n >> 8));
	axj_capture_begin(r, &c);
	if (old->n == 0) {
		AX_TRY(replace_empty(r, s, new, max));
		return axj_capture_end(r, &c, out);
	}
	while (max != 0 && (at = axj_find(s, old, from)) != AXJ_UNKNOWN) {
		AX_TRY(axj_put_sub(r, s, from, at));
		AX_TRY(axj_put_str(r, new));
		AX_TRY(axj_step(r, 1));
		from = at + old->n;
		max -= max > 0;
	}
	AX_TRY(axj_put_sub(r, s, from, s->n));
	return axj_capture_end(r, &c, out);
}

size_t axj_line_end(const struct axj_str *s, size_t from, size_t *next)
{
	size_t len;

	for (size_t i = from; i < s->n; i += len) {
		uint32_t c = axj_get_char(s->p + i, s->n - i, &len);

		if ((c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029) {
			*next = i + len + (c == '\r' && i + 1 < s->n && s->p[i + 1] == '\n');
			return i;
		}
	}
	*next = s->n;
	return s->n;
}

int axj_pad(struct axj *r, struct axj_str *s, int64_t width, const struct axj_str *fill, int side, struct axj_val *out)
{
	int64_t total = width - (int64_t)axj_len_chars(s), left;
	struct axj_capture c;

	if (total < 0)
		total = 0;
	/* Python's centre puts the odd one left when the width is odd. */
	left = side < 0 ? 0 : side > 0 ? total : total / 2 + (total & width & 1);
	axj_capture_begin(r, &c);
	for (int64_t i = 0; i < left; i++)
		AX_TRY(fill ? axj_put_str(r, fill) : axj_put(r, " ", 1));
	AX_TRY(axj_put_str(r, s));
	for (int64_t i = left; i < total; i++)
		AX_TRY(fill ? axj_put_str(r, fill) : axj_put(r, " ", 1));
	AX_TRY(axj_capture_end(r, &c, out));
	out->u.s->markup = s->markup;
	return 0;
}
