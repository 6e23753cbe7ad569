/* Filters on single values, and the table of all filters. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	return axj_as_int(self) < 0 ? axj_unary(r, AXJ_NEG, self, out) : axj_unary(r, AXJ_POS, self, out);
}

static AXJ_BUILTIN(f_attr)
{
	if (a[0].t != AXJ_STR)
		return axj_raise(r, "TypeError", "attribute name must be string, not '%s'", axj_type_name(a[0]));
	AX_TRY(axj_attribute(r, self, a[0].u.s, out));
	return out->t ? 0 : axj_undef_in(r, self, a[0], out);
}

/* Text as Python's int() and float() take it: trimmed, single underscores between digits dropped. False: not a number. */
static bool clean_number(const struct axj_str *s, char *t, size_t size)
{
	size_t from = 0, to = s->n, n = 0;

	while (from < to && axj_is_space((unsigned char)s->p[from]))
		from++;
	while (to > from && axj_is_space((unsigned char)s->p[to - 1]))
		to--;
	if (from == to || to - from >= size)
		return false;
	for (size_t i = from; i < to; i++) {
		bool inner = i > from && i + 1 < to && s->p[i - 1] != '_' && s->p[i + 1] != '_';

		if (s->p[i] != '_')
			t[n++] = s->p[i];
		else if (!inner)
			return false;
	}
	t[n] = '\0';
	return n > 0;
}

static bool parse_int(const char *t, int base, int64_t *v)
{
	bool neg = *t == '-';
	const char *p = t + (*t == '-' || *t == '+');

	if (p[0] == '0' && (base == 16 || base == 8 || base == 2) && (p[1] | 32) == (base == 16 ? 'x' : base == 8 ? 'o' : 'b'))
		p += 2;
	if (!*p)
		return false;
	for (*v = 0; *p; p++) {
		int d = *p >= '0' && *p <= '9' ? *p - '0' : (*p | 32) >= 'a' && (*p | 32) <= 'z' ? (*p | 32) - 'a' + 10 : 99;

		if (d >= base || __builtin_mul_overflow(*v, (int64_t)base, v) || __builtin_add_overflow(*v, (int64_t)(neg ? -d : d), v))
			return false;
	}
	return true;
}

static bool parse_float(const char *t, double *f)
{
	char *end;

	if (strpbrk(t, "xXpP(")) /* C's hexadecimal and nan(...) are not Python's */
		return false;
	*f = strtod(t, &end);
	return *end == '\0' && end != t;
}

static bool to_float(struct axj_val v, double *f)
{
	char t[400];

	if (axj_is_num(v)) {
		*f = axj_as_float(v);
		return true;
	}
	return v.t == AXJ_STR && clean_number(v.u.s, t, sizeof(t)) && parse_float(t, f);
}

static AXJ_BUILTIN(f_int)
{
	int base = axj_is_int(a[1]) ? (int)axj_as_int(a[1]) : 10;
	char t[400];
	double f;

	if (self.t == AXJ_UNDEF)
		return axj_raise_undef(r, self);
	*out = axj_int(0);
	if (axj_is_int(self)) {
		out->u.i = axj_as_int(self);
		return 0;
	}
	if (self.t == AXJ_STR && clean_number(self.u.s, t, sizeof(t)) && parse_int(t, base, &out->u.i))
		return 0;
	if (to_float(self, &f) && fabs(f) < 9.2e18) {
		out->u.i = (int64_t)f;
		return 0;
	}
	*out = a[0].t ? a[0] : axj_int(0);
	return 0;
}

static AXJ_BUILTIN(f_float)
{
	double f;

	if (self.t == AXJ_UNDEF)
		return axj_raise_undef(r, self);
	if (to_float(self, &f))
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

static AXJ_BUILTIN(f_round)
{
	int64_t digits = axj_is_int(a[0]) ? axj_as_int(a[0]) : 0;
	bool ceiling = a[1].t && axj_is_str(a[1], "ceil"), floored = a[1].t && axj_is_str(a[1], "floor");
	double p, x;

	if (a[1].t && !ceiling && !floored && !axj_is_str(a[1], "common"))
		return axj_raise(r, "FilterArgumentError", "method must be common, ceil or floor");
	if (!axj_is_num(self))
		return axj_raise(r, "TypeError", "type %s doesn't define __round__ method", axj_type_name(self));
	x = axj_as_float(self);
	if (ceiling || floored) {
		p = pow(10, (double)digits);
		*out = axj_float((ceiling ? ceil(x * p) : floor(x * p)) / p);
	} else if (self.t == AXJ_FLOAT) {
		*out = axj_float(round_to(x, digits));
	} else {
		*out = axj_int(digits >= 0 ? axj_as_int(self) : (int64_t)round_to(x, digits));
	}
	return 0;
}

static AXJ_BUILTIN(f_filesize)
{
	static const char *const unit[2][8] = {{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"},
					       {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}};
	bool binary = axj_truth(a[0]);
	double base = binary ? 1024 : 1000, bytes, div = base;
	char t[400];
	int i = 0;

	if (!to_float(self, &bytes))
		return axj_raise(r, "ValueError", "could not convert string to float: %s", axj_repr_text(r, self));
	if (bytes == 1)
		return axj_made_from(r, "1 Byte", 6, self, out);
	for (; i < 7 && bytes >= div * base; i++)
		div *= base;
	if (bytes < base)
		snprintf(t, sizeof(t), "%.0f Bytes", trunc(bytes));
	else
		snprintf(t, sizeof(t), "%.1f %s", bytes / div, unit[binary][i]);
	return axj_made_from(r, t, strlen(t), self, out);
}

static AXJ_BUILTIN(f_unsupported)
{
	return axj_raise(r, "TemplateRuntimeError", "this filter is not available in chat templates");
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
	{"forceescape", "", axj_f_escape},
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
	{"pprint", NULL, f_unsupported},
	{"random", NULL, f_unsupported},
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
	{"striptags", NULL, f_unsupported},
	{"sum", "attribute= start=", axj_f_sum},
	{"title", "", axj_f_title},
	{"tojson", "ensure_ascii= indent= separators= sort_keys=", axj_f_tojson},
	{"trim", "chars=", axj_f_trim},
	{"truncate", "length= killwords= end= leeway=", axj_f_truncate},
	{"unique", "case_sensitive= attribute=", axj_f_unique},
	{"upper", "", axj_f_upper},
	{"urlencode", "", axj_f_urlencode},
	{"urlize", NULL, f_unsupported},
	{"wordcount", "", axj_f_wordcount},
	{"wordwrap", NULL, f_unsupported},
	{"xmlattr", NULL, f_unsupported},
};

const struct axj_builtin *axj_find_filter(const char *s, size_t n)
{
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		if (strlen(filters[i].name) == n && memcmp(filters[i].name, s, n) == 0)
			return &filters[i];
	return NULL;
}
