/* Filters on text. */
#include <string.h>

#include "text/jinja_case.h"
#include "text/jinja_lib.h"

/* soft_str: strings stay what they are. */
static int soft(struct axj *r, struct axj_val v, struct axj_str **s)
{
	struct axj_val t;

	AX_TRY(axj_to_str(r, v, &t));
	*s = t.u.s;
	return 0;
}

static struct axj_val keep_markup(struct axj_val v, const struct axj_str *from)
{
	v.u.s->markup = from->markup;
	return v;
}

static int cased(struct axj *r, struct axj_val v, enum axj_case kind, struct axj_val *out)
{
	struct axj_str *s;

	AX_TRY(soft(r, v, &s));
	AX_TRY(axj_case_str(r, s, kind, out));
	*out = keep_markup(*out, s);
	return 0;
}

AXJ_BUILTIN(axj_f_upper)
{
	return cased(r, self, AXJ_UPPER, out);
}

AXJ_BUILTIN(axj_f_lower)
{
	return cased(r, self, AXJ_LOWER, out);
}

AXJ_BUILTIN(axj_f_capitalize)
{
	struct axj_capture c;
	struct axj_str *s;
	size_t first;

	AX_TRY(soft(r, self, &s));
	first = s->n ? axj_char_off(s, 1) : 0;
	axj_capture_begin(r, &c);
	AX_TRY(axj_put_case(r, s, 0, first, AXJ_TITLECASE));
	AX_TRY(axj_put_case(r, s, first, s->n, AXJ_LOWER));
	AX_TRY(axj_capture_end(r, &c, out));
	*out = keep_markup(*out, s);
	return 0;
}

/* jinja2's own title: a word starts after white space, '-', '(', '{', '[' or '<'. */
AXJ_BUILTIN(axj_f_title)
{
	struct axj_capture c;
	struct axj_str *s;
	bool start = true;
	size_t len;

	AX_TRY(soft(r, self, &s));
	axj_capture_begin(r, &c);
	for (size_t i = 0, from = 0; i < s->n; i += len) {
		uint32_t ch = axj_get_char(s->p + i, s->n - i, &len);
		bool stop = axj_is_space(ch) || (ch < 0x80 && ch && strchr("-({[<", (int)ch));
		struct axj_val rest;

		if (start)
			AX_TRY(axj_put_case(r, s, i, i + len, AXJ_UPPER));
		if (start)
			from = i + len;
		if (stop || i + len == s->n) { /* what follows the first letter, seen alone */
			AX_TRY(axj_cut(r, s, from, i + len, &rest));
			AX_TRY(axj_put_case(r, rest.u.s, 0, rest.u.s->n, AXJ_LOWER));
			from = i + len;
		}
		start = stop;
	}
	return axj_capture_end(r, &c, out);
}

AXJ_BUILTIN(axj_f_trim)
{
	struct axj_str *s;

	AX_TRY(soft(r, self, &s));
	if (a[0].t && a[0].t != AXJ_STR && a[0].t != AXJ_NONE)
		return axj_raise(r, "TypeError", "strip arg must be None or str");
	return axj_strip(r, s, a[0].t == AXJ_STR ? a[0].u.s : NULL, 3, out);
}

AXJ_BUILTIN(axj_f_replace)
{
	struct axj_str *s, *old, *new;
	int64_t max = -1;

	AX_TRY(soft(r, self, &s));
	AX_TRY(soft(r, a[0], &old));
	AX_TRY(soft(r, a[1], &new));
	if (axj_is_int(a[2]))
		max = axj_as_int(a[2]);
	else if (a[2].t && a[2].t != AXJ_NONE)
		return axj_raise(r, "TypeError", "'%s' object cannot be interpreted as an integer", axj_type_name(a[2]));
	AX_TRY(axj_replace(r, s, old, new, max, out));
	out->u.s->markup = false;
	return 0;
}

static int put_indent(struct axj *r, const struct axj_str *text, int64_t width)
{
	if (text)
		return axj_put_str(r, text);
	for (; width > 0; width--)
		AX_TRY(axj_put(r, " ", 1));
	return 0;
}

/* Lines after the first are indented, empty ones only with `blank`. */
AXJ_BUILTIN(axj_f_indent)
{
	const struct axj_str *text = a[0].t == AXJ_STR ? a[0].u.s : NULL;
	int64_t width = a[0].t ? 0 : 4;
	bool first = axj_truth(a[1]), blank = axj_truth(a[2]), more = true;
	struct axj_capture c;
	struct axj_str *s;

	if (self.t == AXJ_UNDEF)
		return axj_raise_undef(r, self);
	if (self.t == AXJ_LIST)
		return axj_raise(r, "AttributeError", "'list' object has no attribute 'splitlines'");
	if (self.t == AXJ_TUPLE)
		return axj_raise(r, "TypeError", "can only concatenate tuple (not \"str\") to tuple");
	if (self.t != AXJ_STR)
		return axj_raise(r, "TypeError", "unsupported operand type(s) for +=: '%s' and 'str'", axj_type_name(self));
	if (axj_is_int(a[0]))
		width = axj_as_int(a[0]);
	else if (a[0].t && !text)
		return axj_raise(r, "TypeError", "can't multiply sequence by non-int of type '%s'", axj_type_name(a[0]));
	s = self.u.s;
	axj_capture_begin(r, &c);
	if (first)
		AX_TRY(put_indent(r, text, width));
	for (size_t at = 0, line = 0; more; line++) {
		size_t next = at, end = axj_line_end(s, at, &next);

		if (line) {
			AX_TRY(axj_put(r, "\n", 1));
			if (blank || end > at)
				AX_TRY(put_indent(r, text, width));
		}
		AX_TRY(axj_put_sub(r, s, at, end));
		more = next > end; /* a final break is followed by one more, empty, line */
		at = next;
	}
	AX_TRY(axj_capture_end(r, &c, out));
	*out = keep_markup(*out, s);
	return 0;
}

AXJ_BUILTIN(axj_f_center)
{
	struct axj_str *s;

	AX_TRY(soft(r, self, &s));
	if (a[0].t && !axj_is_int(a[0]))
		return axj_raise(r, "TypeError", "'%s' object cannot be interpreted as an integer", axj_type_name(a[0]));
	return axj_pad(r, s, axj_is_int(a[0]) ? axj_as_int(a[0]) : 80, NULL, 0, out);
}

static int64_t int_or(struct axj_val v, int64_t dflt)
{
	return axj_is_int(v) ? axj_as_int(v) : dflt;
}

AXJ_BUILTIN(axj_f_truncate)
{
	int64_t length = int_or(a[0], 255), leeway = int_or(a[3], 5), keep, n;
	struct axj_str *s, *end;
	struct axj_capture c;
	struct axj_val dots;
	size_t cut;

	AX_TRY(axj_strz(r, "...", &dots));
	end = a[2].t == AXJ_STR ? a[2].u.s : dots.u.s;
	if (length < (int64_t)axj_len_chars(end))
		return axj_raise(r, "AssertionError", "expected length >= %zu, got %lld", axj_len_chars(end), (long long)length);
	if (leeway < 0)
		return axj_raise(r, "AssertionError", "expected leeway >= 0, got %lld", (long long)leeway);
	if (!axj_len(r, self, &n))
		return axj_raise(r, "TypeError", "object of type '%s' has no len()", axj_type_name(self));
	if (n <= length + leeway) { /* short enough: anything that has a length stays what it is */
		*out = self;
		return 0;
	}
	if (self.t != AXJ_STR)
		return axj_raise(r, "AttributeError", "'%s' object has no attribute 'rsplit'", axj_type_name(self));
	s = self.u.s;
	keep = length - (int64_t)axj_len_chars(end);
	cut = axj_char_off(s, (size_t)keep);
	if (!axj_truth(a[1])) {
		size_t space = cut;

		while (space > 0 && s->p[space - 1] != ' ')
			space--;
		cut = space ? space - 1 : cut;
	}
	axj_capture_begin(r, &c);
	AX_TRY(axj_put_sub(r, s, 0, cut));
	AX_TRY(axj_put_str(r, end));
	return axj_capture_end(r, &c, out);
}

AXJ_BUILTIN(axj_f_wordcount)
{
	struct axj_str *s;
	bool in = false;
	int64_t n = 0;
	size_t len;

	AX_TRY(soft(r, self, &s));
	for (size_t i = 0; i < s->n; i += len) {
		uint32_t ch = axj_get_char(s->p + i, s->n - i, &len);
		bool word = ch == '_' || axj_is(ch, AXJ_ALPHA | AXJ_DECIMAL | AXJ_DIGIT | AXJ_NUMERIC);

		n += word && !in;
		in = word;
	}
	*out = axj_int(n);
	return 0;
}

AXJ_BUILTIN(axj_f_escape)
{
	struct axj_capture c;
	struct axj_str *s;

	AX_TRY(soft(r, self, &s));
	if (s->markup) {
		*out = self;
		return 0;
	}
	axj_capture_begin(r, &c);
	AX_TRY(axj_put_escaped(r, s));
	AX_TRY(axj_capture_end(r, &c, out));
	out->u.s->markup = true;
	return 0;
}

/* Markup is escaped again. */
AXJ_BUILTIN(axj_f_forceescape)
{
	struct axj_val text;
	struct axj_str *s;

	AX_TRY(soft(r, self, &s));
	AX_TRY(axj_cut(r, s, 0, s->n, &text));
	text.u.s->markup = false;
	return axj_f_escape(r, text, a, args, out);
}

AXJ_BUILTIN(axj_f_safe)
{
	struct axj_str *s;

	AX_TRY(soft(r, self, &s));
	AX_TRY(axj_cut(r, s, 0, s->n, out));
	out->u.s->markup = true;
	return 0;
}

AXJ_BUILTIN(axj_f_string)
{
	return axj_to_str(r, self, out);
}

AXJ_BUILTIN(axj_f_format)
{
	struct axj_val tuple, k = {.t = AXJ_STR};
	struct axj_str *s;

	if (args->n_pos && args->n_kw)
		return axj_raise(r, "FilterArgumentError", "can't handle positional and keyword arguments at the same time");
	AX_TRY(soft(r, self, &s));
	if (args->n_kw) {
		AX_TRY(axj_new_dict(r, &tuple));
		for (size_t i = 0; i < args->n_kw; i++) {
			k.u.s = args->kw[i].name;
			AX_TRY(axj_dict_set(r, tuple.u.d, k, args->kw[i].v));
		}
	} else {
		AX_TRY(axj_new_list(r, AXJ_TUPLE, args->n_pos, &tuple));
		for (size_t i = 0; i < args->n_pos; i++)
			AX_TRY(axj_append(r, tuple.u.l, args->pos[i]));
	}
	k.u.s = s;
	return axj_percent(r, k, tuple, out);
}

/* indent=N, indent=TEXT */
static int json_indent(struct axj *r, struct axj_val v, struct axj_json *o)
{
	struct axj_capture c;

	o->indented = v.t && v.t != AXJ_NONE;
	o->indent = v;
	if (!o->indented || v.t == AXJ_STR)
		return 0;
	if (!axj_is_int(v))
		return axj_raise(r, "TypeError", "can't multiply sequence by non-int of type '%s'", axj_type_name(v));
	axj_capture_begin(r, &c);
	AX_TRY(put_indent(r, NULL, axj_as_int(v) > 1000 ? 1000 : axj_as_int(v)));
	return axj_capture_end(r, &c, &o->indent);
}

AXJ_BUILTIN(axj_f_tojson)
{
	struct axj_json o = {.ascii = axj_truth(a[0]), .sort = axj_truth(a[3])};
	struct axj_capture c;
	struct axj_list *seps;

	AX_TRY(json_indent(r, a[1], &o));
	AX_TRY(axj_strz(r, o.indented ? "," : ", ", &o.item_sep));
	AX_TRY(axj_strz(r, ": ", &o.key_sep));
	if (a[2].t && a[2].t != AXJ_NONE) {
		AX_TRY(axj_items(r, a[2], &seps));
		if (seps->n != 2 || seps->v[0].t != AXJ_STR || seps->v[1].t != AXJ_STR)
			return axj_raise(r, "ValueError", "separators must be two strings");
		o.item_sep = seps->v[0];
		o.key_sep = seps->v[1];
	}
	axj_capture_begin(r, &c);
	AX_TRY(axj_put_json(r, self, &o));
	return axj_capture_end(r, &c, out);
}

/* Quoted for a path, or for a query: there '/' is quoted too, and a blank is '+'. */
static int put_quoted(struct axj *r, struct axj_val v, bool query)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t begin = r->rope->b.n;
	struct axj_str *s;

	AX_TRY(soft(r, v, &s));
	for (size_t i = 0; i < s->n; i++) {
		unsigned char ch = (unsigned char)s->p[i];
		char t[3] = {'%', hex[ch >> 4], hex[ch & 15]};
		bool plain = (ch | 32) >= 'a' && (ch | 32) <= 'z' && ch < 0x80;

		plain = plain || (ch >= '0' && ch <= '9') || (ch && strchr("-._~/", ch) && !(query && ch == '/'));
		if (query && ch == ' ')
			AX_TRY(axj_put(r, "+", 1));
		else
			AX_TRY(axj_put(r, plain ? s->p + i : t, plain ? 1 : 3));
	}
	axj_mark(r, begin, axj_origin(r, v));
	return 0;
}

AXJ_BUILTIN(axj_f_urlencode)
{
	struct axj_val from = self;
	struct axj_list *l, *kv;
	struct axj_capture c;

	if (self.t == AXJ_STR || !axj_iterable(self)) {
		axj_capture_begin(r, &c);
		AX_TRY(put_quoted(r, self, false));
		return axj_capture_end(r, &c, out);
	}
	if (self.t == AXJ_DICT) {
		from.t = AXJ_VIEW;
		from.sub = AXJ_ITEMS;
	}
	AX_TRY(axj_items(r, from, &l));
	axj_capture_begin(r, &c);
	for (size_t i = 0; i < l->n; i++) {
		if (!axj_iterable(l->v[i]))
			return axj_raise(r, "TypeError", "cannot unpack non-iterable %s object", axj_type_name(l->v[i]));
		AX_TRY(axj_items(r, l->v[i], &kv));
		if (kv->n != 2)
			return axj_raise(r, "ValueError", "not enough or too many values to unpack (expected 2)");
		if (i)
			AX_TRY(axj_put(r, "&", 1));
		AX_TRY(put_quoted(r, kv->v[0], true));
		AX_TRY(axj_put(r, "=", 1));
		AX_TRY(put_quoted(r, kv->v[1], true));
	}
	return axj_capture_end(r, &c, out);
}
