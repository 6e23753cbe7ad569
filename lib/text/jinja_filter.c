/* Filters on single values, and the table of all filters. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_case.h"
#include "text/jinja_lib.h"

static AXJ_BUILTIN(f_length)
{
	int64_t n;

	if (!axj_len(r, self, &n))
		return axj_raise(r, "TypeError", "object of type '%s' has no len()", axj_type_name(self));
	*out = axj_int(n);
	return 0;
}

static AXJ_BUILTIN(f_default)
{
	if (self.t != AXJ_UNDEF && !(axj_truth(a[1]) && !axj_truth(self)))
		*out = self;
	else if (a[0].t)
		*out = a[0];
	else
		return axj_strz(r, "", out);
	return 0;
}

static AXJ_BUILTIN(f_abs)
{
	if (!axj_is_num(self))
		return axj_raise(r, "TypeError", "bad operand type for abs(): '%s'", axj_type_name(self));
	if (self.t == AXJ_FLOAT) {
		*out = axj_float(fabs(self.u.f));
		return 0;
	}
	return axj_big_compare(self, axj_int(0)) < 0 ? axj_unary(r, AXJ_NEG, self, out) : axj_unary(r, AXJ_POS, self, out);
}

static AXJ_BUILTIN(f_attr)
{
	if (a[0].t != AXJ_STR)
		return axj_raise(r, "TypeError", "attribute name must be string, not '%s'", axj_type_name(a[0]));
	AX_TRY(axj_attribute(r, self, a[0].u.s, out));
	return out->t ? 0 : axj_undef_in(r, self, a[0], out);
}

/* Text as Python's int() and float() see it: ASCII, with Unicode's digits and spaces made ASCII's, trimmed. NULL: no number. */
static int clean_number(struct axj *r, const struct axj_str *s, char **out)
{
	char *t = ax_arena_alloc(r->mem, s->n + 1);
	size_t n = 0, len;

	*out = NULL;
	if (!t)
		return axj_oom(r);
	for (size_t i = 0; i < s->n; i += len) {
		uint32_t c = axj_get_char(s->p + i, s->n - i, &len);

		t[n++] = axj_is_space(c) ? ' ' : axj_is(c, AXJ_DECIMAL) ? (char)('0' + axj_digit(c)) : c && c < 0x80 ? (char)c : '?';
	}
	while (n && t[n - 1] == ' ')
		n--;
	t[n] = '\0';
	*out = t + strspn(t, " ");
	return 0;
}

/* Drop the underscores, each of which must stand between two digits of the base (or behind a prefix: `first`). */
static bool drop_underscores(char *p, bool first)
{
	char *to = p;
	char last = first ? '0' : '_';

	for (; *p; last = *p++) {
		bool digit = (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z');

		if (*p == '_' && (last == '_' || last == '.' || last == '+' || last == '-' || !p[1]))
			return false;
		if (last == '_' && !digit && to != p)
			return false;
		if (*p != '_')
			*to++ = *p;
	}
	*to = '\0';
	return true;
}

/* int(text, base); *out stays ABSENT if it is none. */
static int parse_int(struct axj *r, char *t, int64_t base, struct axj_val *out)
{
	bool neg = *t == '-', prefix = false;
	char *p = t + (*t == '-' || *t == '+'), kind = (char)(p[0] == '0' ? p[1] | 32 : 0);
	size_t n;

	memset(out, 0, sizeof(*out));
	if (base < 0 || base == 1 || base > 36)
		return 0;
	if ((kind == 'x' && (base == 16 || base == 0)) || (kind == 'o' && (base == 8 || base == 0)) || (kind == 'b' && (base == 2 || base == 0))) {
		base = kind == 'x' ? 16 : kind == 'o' ? 8 : 2;
		prefix = true;
		p += 2;
	}
	if (!drop_underscores(p, prefix))
		return 0;
	if (base == 0 && p[0] == '0' && p[strspn(p, "0")])
		return 0;
	base = base ? base : 10;
	for (n = 0; p[n]; n++) {
		int d = p[n] >= '0' && p[n] <= '9' ? p[n] - '0' : (p[n] | 32) >= 'a' && (p[n] | 32) <= 'z' ? (p[n] | 32) - 'a' + 10 : 99;

		if (d >= base)
			return 0;
	}
	if (!n || (n > AXJ_MAX_DIGITS && (base & (base - 1))))
		return 0;
	return axj_big_parse(r, p, n, (unsigned)base, neg, out);
}

static bool parse_float(char *t, double *f)
{
	char *end;

	if (strpbrk(t, "xXpP(") || !drop_underscores(t, false)) /* C's hexadecimal and nan(...) are not Python's */
		return false;
	*f = strtod(t, &end);
	return *end == '\0' && end != t;
}

/* float(v); *ok: it is one. */
static int to_float(struct axj *r, struct axj_val v, double *f, bool *ok)
{
	char *t;

	*ok = axj_is_num(v);
	if (*ok) {
		*f = axj_as_float(v);
		return v.t == AXJ_BIG && isinf(*f) ? axj_raise(r, "OverflowError", "int too large to convert to float") : 0;
	}
	if (v.t != AXJ_STR)
		return 0;
	AX_TRY(clean_number(r, v.u.s, &t));
	*ok = parse_float(t, f);
	return 0;
}

static AXJ_BUILTIN(f_int)
{
	char *t;
	double f;
	bool ok;

	if (self.t == AXJ_UNDEF)
		return axj_raise_undef(r, self);
	if (axj_is_int(self) || self.t == AXJ_BIG)
		return axj_unary(r, AXJ_POS, self, out);
	if (self.t == AXJ_STR) {
		AX_TRY(clean_number(r, self.u.s, &t));
		if (axj_is_int(a[1]) || !a[1].t)
			AX_TRY(parse_int(r, t, a[1].t ? axj_as_int(a[1]) : 10, out));
		if (out->t)
			return 0;
	}
	AX_TRY(to_float(r, self, &f, &ok));
	if (ok && isfinite(f))
		return axj_big_truncate(r, f, out);
	*out = a[0].t ? a[0] : axj_int(0);
	return 0;
}

static AXJ_BUILTIN(f_float)
{
	double f;
	bool ok;

	if (self.t == AXJ_UNDEF)
		return axj_raise_undef(r, self);
	AX_TRY(to_float(r, self, &f, &ok));
	if (ok)
		*out = axj_float(f);
	else
		*out = a[0].t ? a[0] : axj_float(0);
	return 0;
}

/* round(x, n): to even, decided on the exact value of the double. */
static double round_to(double x, int64_t digits)
{
	char t[400];

	if (!isfinite(x) || digits > 300)
		return x;
	if (digits < 0) {
		double p = pow(10, (double)-digits);

		return isinf(p) ? 0 : nearbyint(x / p) * p;
	}
	snprintf(t, sizeof(t), "%.*f", (int)digits, x);
	return strtod(t, NULL);
}

/* round(i, n) of an integer: to even; as it is for n >= 0. */
static int round_int(struct axj *r, struct axj_val v, int64_t digits, struct axj_val *out)
{
	struct axj_val ten, rest, twice;
	int c;

	if (digits >= 0)
		return axj_unary(r, AXJ_POS, v, out);
	AX_TRY(axj_binary(r, AXJ_POW, axj_int(10), axj_int(digits < -100000 ? 100000 : -digits), &ten));
	AX_TRY(axj_binary(r, AXJ_MOD, v, ten, &rest));
	AX_TRY(axj_binary(r, AXJ_ADD, rest, rest, &twice));
	AX_TRY(axj_binary(r, AXJ_SUB, v, rest, out));
	c = axj_big_compare(twice, ten);
	AX_TRY(axj_binary(r, AXJ_FLOORDIV, *out, ten, &rest));
	AX_TRY(axj_binary(r, AXJ_MOD, rest, axj_int(2), &rest));
	return c > 0 || (c == 0 && axj_truth(rest)) ? axj_binary(r, AXJ_ADD, *out, ten, out) : 0;
}

/* math.ceil(v * 10 ** n) / 10 ** n: the upper part is an integer, so that there is no -0.0. */
static int round_up_down(struct axj *r, struct axj_val v, int64_t digits, bool up, struct axj_val *out)
{
	struct axj_val p;

	AX_TRY(axj_binary(r, AXJ_POW, axj_int(10), axj_int(digits), &p));
	AX_TRY(axj_binary(r, AXJ_MUL, v, p, &v));
	if (v.t == AXJ_FLOAT && !isfinite(v.u.f))
		return axj_raise(r, isnan(v.u.f) ? "ValueError" : "OverflowError", "cannot convert float %s to integer", isnan(v.u.f) ? "NaN" : "infinity");
	if (v.t == AXJ_FLOAT)
		AX_TRY(axj_big_truncate(r, up ? ceil(v.u.f) : floor(v.u.f), &v));
	return axj_binary(r, AXJ_DIV, v, p, out);
}

static AXJ_BUILTIN(f_round)
{
	int64_t digits = axj_is_int(a[0]) ? axj_as_int(a[0]) : 0;
	bool ceiling = a[1].t && axj_is_str(a[1], "ceil"), floored = a[1].t && axj_is_str(a[1], "floor");
	if (a[1].t && !ceiling && !floored && !axj_is_str(a[1], "common"))
		return axj_raise(r, "FilterArgumentError", "method must be common, ceil or floor");
	if (!axj_is_num(self))
		return axj_raise(r, "TypeError", "type %s doesn't define __round__ method", axj_type_name(self));
	if (ceiling || floored)
		return round_up_down(r, self, digits, ceiling, out);
	if (self.t == AXJ_FLOAT) {
		*out = axj_float(round_to(self.u.f, digits));
	} else {
		return round_int(r, self, digits, out);
	}
	return 0;
}

static AXJ_BUILTIN(f_filesize)
{
	static const char *const name[2][8] = {{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"},
					       {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}};
	bool binary = axj_truth(a[0]);
	static const double power[2][8] = {{1e6, 1e9, 1e12, 1e15, 1e18, 1e21, 1e24, 1e27},
					   {0x1p20, 0x1p30, 0x1p40, 0x1p50, 0x1p60, 0x1p70, 0x1p80, 0x1p90}};
	double base = binary ? 1024 : 1000, bytes;
	char t[400];
	int i = 0;
	bool ok;

	AX_TRY(to_float(r, self, &bytes, &ok));
	if (!ok)
		return axj_raise(r, "ValueError", "could not convert string to float: %s", axj_repr_text(r, self));
	if (bytes == 1)
		return axj_made_from(r, "1 Byte", 6, self, out);
	if (bytes < base && isinf(bytes))
		return axj_raise(r, "OverflowError", "cannot convert float infinity to integer");
	while (i < 7 && !(bytes < power[binary][i] || (!binary && i == 6 && bytes == 1e24))) /* the double 1e24 is below 10^24 */
		i++;
	if (isnan(bytes))
		snprintf(t, sizeof(t), "nan %s", name[binary][i]);
	else if (bytes < base)
		snprintf(t, sizeof(t), "%.0f Bytes", trunc(bytes) + 0.0); /* no sign of zero */
	else
		snprintf(t, sizeof(t), "%.1f %s", base * bytes / power[binary][i], name[binary][i]);
	return axj_made_from(r, t, strlen(t), self, out);
}

static AXJ_BUILTIN(f_random)
{
	return axj_raise(r, "TemplateRuntimeError", "the filter random is not available: a template gives the same text each time");
}

static const struct axj_builtin filters[] = {
	{"abs", "", f_abs},
	{"attr", "name", f_attr},
	{"batch", "linecount fill_with=", axj_f_batch},
	{"capitalize", "", axj_f_capitalize},
	{"center", "width=", axj_f_center},
	{"count", "", f_length},
	{"d", "default_value= boolean=", f_default},
	{"default", "default_value= boolean=", f_default},
	{"dictsort", "case_sensitive= by= reverse=", axj_f_dictsort},
	{"e", "", axj_f_escape},
	{"escape", "", axj_f_escape},
	{"filesizeformat", "binary=", f_filesize},
	{"first", "", axj_f_first},
	{"float", "default=", f_float},
	{"forceescape", "", axj_f_forceescape},
	{"format", NULL, axj_f_format},
	{"groupby", "attribute default= case_sensitive=", axj_f_groupby},
	{"indent", "width= first= blank=", axj_f_indent},
	{"int", "default= base=", f_int},
	{"items", "", axj_f_items},
	{"join", "d= attribute=", axj_f_join},
	{"last", "", axj_f_last},
	{"length", "", f_length},
	{"list", "", axj_f_list},
	{"lower", "", axj_f_lower},
	{"map", NULL, axj_f_map},
	{"max", "case_sensitive= attribute=", axj_f_max},
	{"min", "case_sensitive= attribute=", axj_f_min},
	{"pprint", "", axj_f_pprint},
	{"random", NULL, f_random},
	{"reject", NULL, axj_f_reject},
	{"rejectattr", NULL, axj_f_rejectattr},
	{"replace", "old new count=", axj_f_replace},
	{"reverse", "", axj_f_reverse},
	{"round", "precision= method=", f_round},
	{"safe", "", axj_f_safe},
	{"select", NULL, axj_f_select},
	{"selectattr", NULL, axj_f_selectattr},
	{"slice", "slices fill_with=", axj_f_slice},
	{"sort", "reverse= case_sensitive= attribute=", axj_f_sort},
	{"string", "", axj_f_string},
	{"striptags", "", axj_f_striptags},
	{"sum", "attribute= start=", axj_f_sum},
	{"title", "", axj_f_title},
	{"tojson", "ensure_ascii= indent= separators= sort_keys=", axj_f_tojson},
	{"trim", "chars=", axj_f_trim},
	{"truncate", "length= killwords= end= leeway=", axj_f_truncate},
	{"unique", "case_sensitive= attribute=", axj_f_unique},
	{"upper", "", axj_f_upper},
	{"urlencode", "", axj_f_urlencode},
	{"urlize", "trim_url_limit= nofollow= target= rel= extra_schemes=", axj_f_urlize},
	{"wordcount", "", axj_f_wordcount},
	{"wordwrap", "width= break_long_words= wrapstring= break_on_hyphens=", axj_f_wordwrap},
	{"xmlattr", "autospace=", axj_f_xmlattr},
};

const struct axj_builtin *axj_find_filter(const char *s, size_t n)
{
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		if (strlen(filters[i].name) == n && memcmp(filters[i].name, s, n) == 0)
			return &filters[i];
	return NULL;
}
