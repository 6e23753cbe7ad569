/* Methods of str. */
#include <string.h>

#include "text/jinja_case.h"
#include "text/jinja_lib.h"

#define S (self.u.s)

static int bool_out(struct axj_val *out, bool b)
{
	*out = axj_bool(b);
	return 0;
}

static int need_str(struct axj *r, struct axj_val v, const char *what)
{
	if (v.t == AXJ_STR)
		return 0;
	return axj_raise(r, "TypeError", "%s, not %s", what, axj_type_name(v));
}

/* An optional integer argument. */
static int int_arg(struct axj *r, struct axj_val v, int64_t dflt, int64_t *n)
{
	*n = dflt;
	if (!v.t)
		return 0;
	if (!axj_is_int(v))
		return axj_raise(r, "TypeError", "'%s' object cannot be interpreted as an integer", axj_type_name(v));
	*n = axj_as_int(v);
	return 0;
}

static AXJ_BUILTIN(m_upper)
{
	AX_TRY(axj_case_str(r, S, AXJ_UPPER, out));
	out->u.s->markup = S->markup;
	return 0;
}

static AXJ_BUILTIN(m_lower)
{
	AX_TRY(axj_case_str(r, S, AXJ_LOWER, out));
	out->u.s->markup = S->markup;
	return 0;
}

static AXJ_BUILTIN(m_casefold)
{
	AX_TRY(axj_case_str(r, S, AXJ_FOLD, out));
	out->u.s->markup = S->markup;
	return 0;
}

/* str.title and swapcase: the case of each character from the one before or its own. */
static int by_char(struct axj *r, struct axj_str *s, bool title, struct axj_val *out)
{
	struct axj_capture c;
	bool cased = false;
	size_t len;

	axj_capture_begin(r, &c);
	for (size_t i = 0; i < s->n; i += len) {
		uint32_t ch = axj_get_char(s->p + i, s->n - i, &len);
		bool up = axj_is(ch, AXJ_IS_UPPER), low = axj_is(ch, AXJ_IS_LOWER);
		enum axj_case kind = title ? (cased ? AXJ_LOWER : AXJ_TITLECASE) : up ? AXJ_LOWER : AXJ_UPPER;

		AX_TRY(title || up || low ? axj_put_case(r, s, i, i + len, kind) : axj_put_sub(r, s, i, i + len));
		cased = axj_is(ch, AXJ_CASED);
	}
	AX_TRY(axj_capture_end(r, &c, out));
	out->u.s->markup = s->markup;
	return 0;
}

static AXJ_BUILTIN(m_title)
{
	return by_char(r, S, true, out);
}

static AXJ_BUILTIN(m_swapcase)
{
	return by_char(r, S, false, out);
}

static int strip(struct axj *r, struct axj_val self, struct axj_val chars, int sides, struct axj_val *out)
{
	if (chars.t && chars.t != AXJ_NONE && chars.t != AXJ_STR)
		return axj_raise(r, "TypeError", "%sstrip arg must be None or str", sides == 1 ? "l" : sides == 2 ? "r" : "");
	return axj_strip(r, S, chars.t == AXJ_STR ? chars.u.s : NULL, sides, out);
}

static AXJ_BUILTIN(m_strip)
{
	return strip(r, self, a[0], 3, out);
}

static AXJ_BUILTIN(m_lstrip)
{
	return strip(r, self, a[0], 1, out);
}

static AXJ_BUILTIN(m_rstrip)
{
	return strip(r, self, a[0], 2, out);
}

static AXJ_BUILTIN(m_replace)
{
	int64_t max;

	AX_TRY(need_str(r, a[0], "replace() argument 1 must be str"));
	AX_TRY(need_str(r, a[1], "replace() argument 2 must be str"));
	AX_TRY(int_arg(r, a[2], -1, &max));
	AX_TRY(axj_replace(r, S, a[0].u.s, a[1].u.s, max, out));
	out->u.s->markup = S->markup;
	return 0;
}

static int append_cut(struct axj *r, struct axj_str *s, size_t from, size_t to, struct axj_list *l)
{
	struct axj_val v;

	AX_TRY(axj_cut(r, s, from, to, &v));
	return axj_append(r, l, v);
}

static void reverse(struct axj_list *l)
{
	for (size_t i = 0, j = l->n; i + 1 < j; i++) {
		struct axj_val t = l->v[i];

		l->v[i] = l->v[--j];
		l->v[j] = t;
	}
}

/* Words between white space; the last one keeps the rest when `max` is reached. */
static int split_space(struct axj *r, struct axj_str *s, int64_t max, struct axj_list *l)
{
	size_t i = 0, len;

	for (;; max--) {
		size_t from;

		while (i < s->n && axj_is_space(axj_get_char(s->p + i, s->n - i, &len)))
			i += len;
		if (i == s->n)
			return 0;
		for (from = i; i < s->n && !axj_is_space(axj_get_char(s->p + i, s->n - i, &len));)
			i += len;
		if (max == 0)
			return append_cut(r, s, from, s->n, l);
		AX_TRY(append_cut(r, s, from, i, l));
	}
}

static size_t char_before(const struct axj_str *s, size_t i)
{
	do
		i--;
	while (i > 0 && ((unsigned char)s->p[i] & 0xc0) == 0x80);
	return i;
}

static bool space_before(const struct axj_str *s, size_t i)
{
	size_t at = char_before(s, i), len;

	return axj_is_space(axj_get_char(s->p + at, s->n - at, &len));
}

static int rsplit_space(struct axj *r, struct axj_str *s, int64_t max, struct axj_list *l)
{
	size_t i = s->n;

	for (;; max--) {
		size_t to;

		while (i > 0 && space_before(s, i))
			i = char_before(s, i);
		if (i == 0)
			break;
		for (to = i; i > 0 && !space_before(s, i);)
			i = char_before(s, i);
		AX_TRY(append_cut(r, s, max == 0 ? 0 : i, to, l));
		if (max == 0)
			break;
	}
	reverse(l);
	return 0;
}

/* The last place of `what` that ends at or before `to`. */
static size_t rfind(const struct axj_str *s, const struct axj_str *what, size_t from, size_t to)
{
	if (what->n > to)
		return AXJ_UNKNOWN;
	for (size_t i = to - what->n + 1; i-- > from;)
		if (memcmp(s->p + i, what->p, what->n) == 0)
			return i;
	return AXJ_UNKNOWN;
}

static int split(struct axj *r, struct axj_val self, const struct axj_val *a, bool right, struct axj_val *out)
{
	size_t from = 0, to = S->n, at;
	int64_t max;

	AX_TRY(int_arg(r, a[1], -1, &max));
	AX_TRY(axj_new_list(r, AXJ_LIST, 4, out));
	AX_TRY(axj_step(r, S->n >> 8));
	if (!a[0].t || a[0].t == AXJ_NONE)
		return right ? rsplit_space(r, S, max, out->u.l) : split_space(r, S, max, out->u.l);
	AX_TRY(need_str(r, a[0], "must be str or None"));
	if (!a[0].u.s->n)
		return axj_raise(r, "ValueError", "empty separator");
	if (right) {
		for (; max != 0 && (at = rfind(S, a[0].u.s, 0, to)) != AXJ_UNKNOWN; max--) {
			AX_TRY(append_cut(r, S, at + a[0].u.s->n, to, out->u.l));
			to = at;
		}
		AX_TRY(append_cut(r, S, 0, to, out->u.l));
		reverse(out->u.l);
		return 0;
	}
	for (; max != 0 && (at = axj_find(S, a[0].u.s, from)) != AXJ_UNKNOWN; max--) {
		AX_TRY(append_cut(r, S, from, at, out->u.l));
		from = at + a[0].u.s->n;
	}
	return append_cut(r, S, from, S->n, out->u.l);
}

static AXJ_BUILTIN(m_split)
{
	return split(r, self, a, false, out);
}

static AXJ_BUILTIN(m_rsplit)
{
	return split(r, self, a, true, out);
}

static AXJ_BUILTIN(m_splitlines)
{
	bool keep = axj_truth(a[0]);

	AX_TRY(axj_new_list(r, AXJ_LIST, 4, out));
	for (size_t at = 0, next = 0; at < S->n; at = next) {
		size_t end = axj_line_end(S, at, &next);

		AX_TRY(append_cut(r, S, at, keep ? next : end, out->u.l));
	}
	return 0;
}

static int partition(struct axj *r, struct axj_val self, struct axj_val sep, bool right, struct axj_val *out)
{
	size_t at, from, to;

	AX_TRY(need_str(r, sep, "must be str"));
	if (!sep.u.s->n)
		return axj_raise(r, "ValueError", "empty separator");
	at = right ? rfind(S, sep.u.s, 0, S->n) : axj_find(S, sep.u.s, 0);
	AX_TRY(axj_new_list(r, AXJ_TUPLE, 3, out));
	from = at != AXJ_UNKNOWN ? at : right ? 0 : S->n;
	to = at != AXJ_UNKNOWN ? at + sep.u.s->n : from;
	AX_TRY(append_cut(r, S, 0, from, out->u.l));
	AX_TRY(append_cut(r, S, from, to, out->u.l));
	return append_cut(r, S, to, S->n, out->u.l);
}

static AXJ_BUILTIN(m_partition)
{
	return partition(r, self, a[0], false, out);
}

static AXJ_BUILTIN(m_rpartition)
{
	return partition(r, self, a[0], true, out);
}

/* Byte range of the character range [a, b) that find, count and startswith take, as slices do. */
static int range_arg(struct axj *r, const struct axj_str *s, struct axj_val a, struct axj_val b, size_t *from, size_t *to, bool *valid)
{
	int64_t n, lo, hi;

	*from = 0;
	*to = s->n;
	*valid = true;
	if (!a.t && !b.t)
		return 0;
	n = (int64_t)axj_len_chars((struct axj_str *)(uintptr_t)s);
	AX_TRY(int_arg(r, a.t == AXJ_NONE ? (struct axj_val){0} : a, 0, &lo));
	AX_TRY(int_arg(r, b.t == AXJ_NONE ? (struct axj_val){0} : b, n, &hi));
	lo = lo < 0 ? (lo + n < 0 ? 0 : lo + n) : lo;
	hi = hi < 0 ? (hi + n < 0 ? 0 : hi + n) : hi > n ? n : hi;
	*valid = lo <= hi;
	*from = *valid ? axj_char_off(s, (size_t)lo) : 0;
	*to = *valid ? axj_char_off(s, (size_t)hi) : 0;
	return 0;
}

static bool has_affix(const struct axj_str *s, const struct axj_str *x, size_t from, size_t to, bool end)
{
	return x->n <= to - from && memcmp(end ? s->p + to - x->n : s->p + from, x->p, x->n) == 0;
}

static int affix(struct axj *r, struct axj_val self, const struct axj_val *a, bool end, struct axj_val *out)
{
	size_t from, to;
	bool valid, hit = false;

	AX_TRY(range_arg(r, S, a[1], a[2], &from, &to, &valid));
	if (a[0].t == AXJ_TUPLE) {
		for (size_t i = 0; i < a[0].u.l->n; i++) {
			AX_TRY(need_str(r, a[0].u.l->v[i], "tuple for startswith must only contain str"));
			hit = hit || (valid && has_affix(S, a[0].u.l->v[i].u.s, from, to, end));
		}
		return bool_out(out, hit);
	}
	if (a[0].t != AXJ_STR)
		return axj_raise(r, "TypeError", "%s first arg must be str or a tuple of str, not %s", end ? "endswith" : "startswith",
				 axj_type_name(a[0]));
	return bool_out(out, valid && has_affix(S, a[0].u.s, from, to, end));
}

static AXJ_BUILTIN(m_startswith)
{
	return affix(r, self, a, false, out);
}

static AXJ_BUILTIN(m_endswith)
{
	return affix(r, self, a, true, out);
}

static AXJ_BUILTIN(m_removeprefix)
{
	AX_TRY(need_str(r, a[0], "removeprefix() argument must be str"));
	return axj_cut(r, S, has_affix(S, a[0].u.s, 0, S->n, false) ? a[0].u.s->n : 0, S->n, out);
}

static AXJ_BUILTIN(m_removesuffix)
{
	AX_TRY(need_str(r, a[0], "removesuffix() argument must be str"));
	return axj_cut(r, S, 0, S->n - (has_affix(S, a[0].u.s, 0, S->n, true) ? a[0].u.s->n : 0), out);
}

/* find, rfind, index, rindex: the character's position, or -1 or an error. */
static int position(struct axj *r, struct axj_val self, const struct axj_val *a, bool right, bool must, struct axj_val *out)
{
	size_t from, to, at = AXJ_UNKNOWN;
	int64_t n = 0;
	bool valid;

	AX_TRY(need_str(r, a[0], "must be str"));
	AX_TRY(range_arg(r, S, a[1], a[2], &from, &to, &valid));
	if (valid)
		at = right ? rfind(S, a[0].u.s, from, to) : axj_find(S, a[0].u.s, from);
	if (at == AXJ_UNKNOWN || at + a[0].u.s->n > to) {
		*out = axj_int(-1);
		return must ? axj_raise(r, "ValueError", "substring not found") : 0;
	}
	for (size_t i = 0; i < at; i++)
		n += ((unsigned char)S->p[i] & 0xc0) != 0x80;
	*out = axj_int(n);
	return 0;
}

static AXJ_BUILTIN(m_find)
{
	return position(r, self, a, false, false, out);
}

static AXJ_BUILTIN(m_rfind)
{
	return position(r, self, a, true, false, out);
}

static AXJ_BUILTIN(m_index)
{
	return position(r, self, a, false, true, out);
}

static AXJ_BUILTIN(m_rindex)
{
	return position(r, self, a, true, true, out);
}

static AXJ_BUILTIN(m_count)
{
	size_t from, to;
	int64_t n = 0;
	bool valid;

	AX_TRY(need_str(r, a[0], "must be str"));
	AX_TRY(range_arg(r, S, a[1], a[2], &from, &to, &valid));
	if (valid && !a[0].u.s->n) {
		struct axj_val part;

		AX_TRY(axj_cut(r, S, from, to, &part));
		n = (int64_t)axj_len_chars(part.u.s) + 1;
	}
	for (size_t at; valid && a[0].u.s->n && (at = axj_find(S, a[0].u.s, from)) != AXJ_UNKNOWN && at + a[0].u.s->n <= to; n++)
		from = at + a[0].u.s->n;
	*out = axj_int(n);
	return 0;
}

static AXJ_BUILTIN(m_join)
{
	struct axj_capture c;
	struct axj_list *l;

	AX_TRY(axj_items(r, a[0], &l));
	axj_capture_begin(r, &c);
	for (size_t i = 0; i < l->n; i++) {
		struct axj_val escaped;

		if (S->markup) { /* takes anything, and escapes it */
			if (i)
				AX_TRY(axj_put_str(r, S));
			AX_TRY(axj_f_escape(r, l->v[i], NULL, NULL, &escaped));
			AX_TRY(axj_put_str(r, escaped.u.s));
			continue;
		}
		if (l->v[i].t != AXJ_STR)
			return axj_raise(r, "TypeError", "sequence item %zu: expected str instance, %s found", i, axj_type_name(l->v[i]));
		if (i)
			AX_TRY(axj_put_str(r, S));
		AX_TRY(axj_put_str(r, l->v[i].u.s));
	}
	AX_TRY(axj_capture_end(r, &c, out));
	out->u.s->markup = S->markup;
	return 0;
}

static AXJ_BUILTIN(m_format)
{
	return axj_format(r, S, args, NULL, out);
}

static AXJ_BUILTIN(m_format_map)
{
	if (a[0].t != AXJ_DICT)
		return axj_raise(r, "TypeError", "'%s' object is not subscriptable", axj_type_name(a[0]));
	return axj_format(r, S, args, a[0].u.d, out);
}

/* Tabs become blanks up to the next column that is a multiple of the size. */
static AXJ_BUILTIN(m_expandtabs)
{
	struct axj_capture c;
	int64_t size, column = 0;
	size_t len;

	AX_TRY(int_arg(r, a[0], 8, &size));
	axj_capture_begin(r, &c);
	for (size_t i = 0; i < S->n; i += len) {
		uint32_t ch = axj_get_char(S->p + i, S->n - i, &len);

		if (ch != '\t') {
			AX_TRY(axj_put_sub(r, S, i, i + len));
			column = ch == '\n' || ch == '\r' ? 0 : column + 1;
			continue;
		}
		if (size > (int64_t)AX_JINJA_OUTPUT)
			return axj_limit(r, "too much text");
		for (int64_t n = size > 0 ? size - column % size : 0; n > 0; n--, column++)
			AX_TRY(axj_put(r, " ", 1));
	}
	AX_TRY(axj_capture_end(r, &c, out));
	out->u.s->markup = S->markup;
	return 0;
}

static int pad(struct axj *r, struct axj_val self, const struct axj_val *a, int side, struct axj_val *out)
{
	int64_t width;

	AX_TRY(int_arg(r, a[0], 0, &width));
	if (a[1].t && (a[1].t != AXJ_STR || axj_len_chars(a[1].u.s) != 1))
		return axj_raise(r, "TypeError", "The fill character must be exactly one character long");
	return axj_pad(r, S, width, a[1].t ? a[1].u.s : NULL, side, out);
}

static AXJ_BUILTIN(m_center)
{
	return pad(r, self, a, 0, out);
}

static AXJ_BUILTIN(m_ljust)
{
	return pad(r, self, a, -1, out);
}

static AXJ_BUILTIN(m_rjust)
{
	return pad(r, self, a, 1, out);
}

static AXJ_BUILTIN(m_zfill)
{
	struct axj_val zero, head, tail;
	bool sign = S->n && (S->p[0] == '-' || S->p[0] == '+');
	int64_t width;

	AX_TRY(int_arg(r, a[0], 0, &width));
	AX_TRY(axj_strz(r, "0", &zero));
	AX_TRY(axj_cut(r, S, 0, sign, &head));
	AX_TRY(axj_cut(r, S, sign, S->n, &tail));
	AX_TRY(axj_pad(r, tail.u.s, width - sign, zero.u.s, 1, &tail));
	return axj_add_str(r, head, tail, out);
}

static const struct axj_builtin methods[] = {
	{"upper", "", m_upper},
	{"lower", "", m_lower},
	{"casefold", "", m_casefold},
	{"capitalize", "", axj_f_capitalize},
	{"title", "", m_title},
	{"swapcase", "", m_swapcase},
	{"strip", "/chars=", m_strip},
	{"lstrip", "/chars=", m_lstrip},
	{"rstrip", "/chars=", m_rstrip},
	{"replace", "/old /new /count=", m_replace},
	{"split", "sep= maxsplit=", m_split},
	{"rsplit", "sep= maxsplit=", m_rsplit},
	{"splitlines", "keepends=", m_splitlines},
	{"partition", "/sep", m_partition},
	{"rpartition", "/sep", m_rpartition},
	{"startswith", "/prefix /start= /end=", m_startswith},
	{"endswith", "/suffix /start= /end=", m_endswith},
	{"removeprefix", "/prefix", m_removeprefix},
	{"removesuffix", "/suffix", m_removesuffix},
	{"find", "/sub /start= /end=", m_find},
	{"rfind", "/sub /start= /end=", m_rfind},
	{"index", "/sub /start= /end=", m_index},
	{"rindex", "/sub /start= /end=", m_rindex},
	{"count", "/sub /start= /end=", m_count},
	{"join", "/iterable", m_join},
	{"format", NULL, m_format},
	{"format_map", "/mapping", m_format_map},
	{"expandtabs", "tabsize=", m_expandtabs},
	{"center", "/width /fillchar=", m_center},
	{"ljust", "/width /fillchar=", m_ljust},
	{"rjust", "/width /fillchar=", m_rjust},
	{"zfill", "/width", m_zfill},
};

const struct axj_builtin *axj_find_str_method(const struct axj_str *name)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strlen(methods[i].name) == name->n && memcmp(methods[i].name, name->p, name->n) == 0)
			return &methods[i];
	return axj_find_str_test(name);
}
