/* The filters xmlattr and striptags. */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "text/jinja_entity.h"
#include "text/jinja_lib.h"

static bool bad_key(const struct axj_str *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (strchr(" \t\n\r\f\v/>=", s->p[i]) && s->p[i])
			return true;
	return false;
}

static int put_html(struct axj *r, struct axj_val v)
{
	struct axj_val s;

	AX_TRY(axj_f_escape(r, v, NULL, NULL, &s));
	return axj_put_val(r, s);
}

static int put_attribute(struct axj *r, struct axj_val k, struct axj_val v, bool space)
{
	if (k.t != AXJ_STR)
		return axj_raise(r, "TypeError", "expected string or bytes-like object, got '%s'", axj_type_name(k));
	if (bad_key(k.u.s))
		return axj_raise(r, "ValueError", "Invalid character in attribute name: %s", axj_repr_text(r, k));
	if (space)
		AX_TRY(axj_put(r, " ", 1));
	AX_TRY(put_html(r, k));
	AX_TRY(axj_put(r, "=\"", 2));
	AX_TRY(put_html(r, v));
	return axj_put(r, "\"", 1);
}

AXJ_BUILTIN(axj_f_xmlattr)
{
	bool space = !a[0].t || axj_truth(a[0]);
	struct axj_capture c;

	if (self.t == AXJ_UNDEF)
		return axj_raise_undef(r, self);
	if (self.t != AXJ_DICT)
		return axj_raise(r, "AttributeError", "'%s' object has no attribute 'items'", axj_type_name(self));
	AX_TRY(axj_fill_dict(r, self.u.d));
	axj_capture_begin(r, &c);
	for (size_t i = 0; i < self.u.d->n; i++) {
		struct axj_pair p = self.u.d->kv[i];

		if (p.v.t == AXJ_NONE || p.v.t == AXJ_UNDEF)
			continue;
		AX_TRY(put_attribute(r, p.k, p.v, space));
		space = true;
	}
	return axj_capture_end(r, &c, out);
}

/* ---- striptags ---- */

static size_t find(const char *p, size_t n, size_t from, const char *what)
{
	const char *hit = from <= n ? memmem(p + from, n - from, what, strlen(what)) : NULL;

	return hit ? (size_t)(hit - p) : n;
}

/* Take comments and tags out of p[0..n), in place; returns what is left. */
static size_t drop_tags(char *p, size_t n)
{
	size_t pos = 0, out = 0, start;

	while ((start = find(p, n, pos, "<")) < n) {
		bool comment = n - start >= 4 && memcmp(p + start, "<!--", 4) == 0;
		size_t end = comment ? find(p, n, start + 4, "-->") : find(p, n, start, ">");

		if (end == n)
			break;
		memmove(p + out, p + pos, start - pos);
		out += start - pos;
		pos = end + (comment ? 3 : 1);
	}
	memmove(p + out, p + pos, n - pos);
	return out + n - pos;
}

/* White space between words becomes one blank, in place. */
static size_t collapse(char *p, size_t n)
{
	size_t out = 0, len;
	bool space = false;

	for (size_t i = 0; i < n; i += len) {
		if (axj_is_space(axj_get_char(p + i, n - i, &len))) {
			space = true;
			continue;
		}
		if (space && out)
			p[out++] = ' ';
		space = false;
		memmove(p + out, p + i, len);
		out += len;
	}
	return out;
}

AXJ_BUILTIN(axj_f_striptags)
{
	struct axj_capture c;
	struct axj_val text;
	size_t n;
	char *p;

	axj_capture_begin(r, &c);
	AX_TRY(axj_put_val(r, self));
	AX_TRY(axj_capture_end(r, &c, &text));
	p = ax_arena_strndup(r->mem, text.u.s->p, text.u.s->n);
	if (!p)
		return axj_oom(r);
	n = collapse(p, drop_tags(p, text.u.s->n));
	AX_TRY(axj_step(r, text.u.s->n >> 4));
	axj_capture_begin(r, &c);
	AX_TRY(axj_put_unescaped(r, p, n));
	axj_mark(r, c.b, axj_origin(r, text));
	return axj_capture_end(r, &c, out);
}
