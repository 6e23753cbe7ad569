/* Python's "...".format(...), with its language of format specifications, as the sandbox runs it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/json.h"
#include "text/jinja_lib.h"

#define MAX_WIDTH 1000000

struct spec {
	const char *fill; /* one character */
	size_t n_fill;
	char align; /* '<', '>', '^', '='; 0: not given */
	char sign;
	bool no_neg_0, alt;
	int64_t width, prec; /* -1: not given */
	char comma;
	uint32_t type; /* 0: not given */
};

/* A number taken apart: -0x1,234.5e+10 is "-", "0x", "1234", ".5e+10". */
struct parts {
	char sign, prefix;
	const char *digits, *rest;
	size_t n_digits;
};

int axj_convert(struct axj *r, struct axj_val v, char how, struct axj_val *out)
{
	struct axj_capture c;
	struct axj_val s;
	size_t len;
	char t[16];

	if (how == 's')
		return axj_to_str(r, v, out);
	axj_capture_begin(r, &c);
	AX_TRY(axj_put_repr(r, v));
	AX_TRY(axj_capture_end(r, &c, &s));
	*out = s;
	if (how == 'r')
		return 0;
	axj_capture_begin(r, &c);
	for (size_t i = 0; i < s.u.s->n; i += len) {
		uint32_t ch = axj_get_char(s.u.s->p + i, s.u.s->n - i, &len);

		snprintf(t, sizeof(t), ch < 0x100 ? "\\x%02x" : ch < 0x10000 ? "\\u%04x" : "\\U%08x", ch);
		AX_TRY(ch < 0x80 ? axj_put_sub(r, s.u.s, i, i + len) : axj_putz(r, t));
	}
	axj_mark(r, c.b, axj_origin(r, v));
	return axj_capture_end(r, &c, out);
}

int axj_float_text(struct axj *r, double x, char type, int64_t prec, bool alt, char **text)
{
	size_t size;
	char fmt[8];

	prec = prec < 0 ? 6 : prec;
	if (prec > MAX_WIDTH)
		return axj_limit(r, "too much text");
	size = (size_t)prec + 330;
	*text = ax_arena_alloc(r->mem, size + 1);
	if (!*text)
		return axj_oom(r);
	AX_TRY(axj_step(r, size >> 4));
	snprintf(fmt, sizeof(fmt), "%%%s.*%c", alt ? "#" : "", type);
	snprintf(++*text, size, fmt, (int)prec, isnan(x) ? fabs(x) : x);
	return 0;
}

/* ---- specifications ---- */

static int64_t read_number(const char *p, size_t n, size_t *i)
{
	int64_t v = *i < n && p[*i] >= '0' && p[*i] <= '9' ? 0 : -1;

	for (; *i < n && p[*i] >= '0' && p[*i] <= '9'; *i += 1)
		if (v <= MAX_WIDTH)
			v = v * 10 + (p[*i] - '0');
	return v;
}

static bool is_align(char c)
{
	return c == '<' || c == '>' || c == '^' || c == '=';
}

static int check_comma(struct axj *r, const struct spec *f, char dflt)
{
	uint32_t type = f->type ? f->type : (unsigned char)dflt;

	if (!f->comma || !type || (type < 0x80 && strchr("defgEG%F", (int)type)) || (f->comma == '_' && type < 0x80 && strchr("boxX", (int)type)))
		return 0;
	return axj_raise(r, "ValueError", "Cannot specify '%c' with '%c'.", f->comma, type < 0x80 ? (int)type : '?');
}

/* dflt: the type that stands for none; right: numbers stand to the right. */
static int parse_spec(struct axj *r, const struct axj_str *s, char dflt, bool right, struct spec *f)
{
	const char *p = s->p;
	size_t n = s->n, i = 0, len, first = n ? axj_char_off(s, 1) : 0;
	bool filled = false;

	*f = (struct spec){.fill = " ", .n_fill = 1, .width = -1, .prec = -1};
	if (first && first < n && is_align(p[first])) {
		f->fill = p;
		f->n_fill = first;
		filled = true;
		f->align = p[first];
		i = first + 1;
	} else if (n && is_align(p[0])) {
		f->align = p[i++];
	}
	if (i < n && (p[i] == '+' || p[i] == '-' || p[i] == ' '))
		f->sign = p[i++];
	f->no_neg_0 = i < n && p[i] == 'z';
	i += f->no_neg_0;
	f->alt = i < n && p[i] == '#';
	i += f->alt;
	if (!filled && i < n && p[i] == '0') {
		f->fill = "0";
		f->align = f->align ? f->align : right ? '=' : 0;
		i++;
	}
	f->width = read_number(p, n, &i);
	if (i < n && (p[i] == ',' || p[i] == '_')) {
		f->comma = p[i++];
		if (i < n && (p[i] == ',' || p[i] == '_'))
			return axj_raise(r, "ValueError", p[i] == f->comma ? "Cannot specify '%c' with '%c'." : "Cannot specify both ',' and '_'.", p[i], p[i]);
	}
	if (i < n && p[i] == '.') {
		i++;
		f->prec = read_number(p, n, &i);
		if (f->prec < 0)
			return axj_raise(r, "ValueError", "Format specifier missing precision");
	}
	if (i < n) {
		f->type = axj_get_char(p + i, n - i, &len);
		i += len;
	}
	if (i < n)
		return axj_raise(r, "ValueError", "Invalid format specifier");
	if (f->width > MAX_WIDTH || f->prec > MAX_WIDTH)
		return axj_limit(r, "too much text");
	return check_comma(r, f, dflt);
}

static int unknown_type(struct axj *r, const struct spec *f, struct axj_val v)
{
	return axj_raise(r, "ValueError", "Unknown format code '%c' for object of type '%s'", f->type < 0x80 ? (int)f->type : '?', axj_type_name(v));
}

/* ---- output ---- */

static int put_fill(struct axj *r, const struct spec *f, int64_t n)
{
	for (; n > 0; n--)
		AX_TRY(axj_put(r, f->fill, f->n_fill));
	return 0;
}

/* Digits in groups from the right, with zeros in front up to `least` characters; a group is not cut for that. */
static int put_groups(struct axj *r, const struct parts *x, const struct spec *f, int64_t least, size_t *n_out)
{
	size_t group = f->type == 'b' || f->type == 'o' || f->type == 'x' || f->type == 'X' ? 4 : 3, cap, at, left = x->n_digits;
	bool more = false;
	char *t;

	cap = 2 * (x->n_digits + (least > 0 ? (size_t)least : 0)) + 8;
	t = ax_arena_alloc(r->mem, cap);
	if (!t)
		return axj_oom(r);
	for (at = cap; left || least > 0 || !more; more = true) {
		size_t want = left > (size_t)(least > 0 ? least : 0) ? left : (size_t)(least > 0 ? least : 0);
		size_t len = want < 1 ? 1 : want < group ? want : group, take = left < len ? left : len;

		if (more)
			t[--at] = f->comma;
		memcpy(t + at - take, x->digits + left - take, take);
		memset(t + at - len, '0', len - take);
		at -= len;
		left -= take;
		least -= (int64_t)len + 1;
		if (!left && least + 1 <= 0)
			break;
	}
	*n_out = cap - at;
	return axj_put(r, t + at, cap - at);
}

/* Sign, prefix, digits and rest, padded. */
static int put_parts(struct axj *r, const struct parts *x, const struct spec *f, struct axj_val v)
{
	size_t lead = (x->sign ? 1u : 0u) + (x->prefix ? 2u : 0u), rest = strlen(x->rest), n;
	char align = f->align ? f->align : '>', head[3] = {0};
	bool zeros = align == '=' && f->n_fill == 1 && *f->fill == '0';
	struct axj_val digits;
	struct axj_capture c;
	int64_t gap, before;
	size_t from = r->rope->b.n;

	axj_capture_begin(r, &c);
	if (f->comma && x->n_digits)
		AX_TRY(put_groups(r, x, f, zeros ? f->width - (int64_t)(lead + rest) : 0, &n));
	else
		AX_TRY(axj_put(r, x->digits, x->n_digits));
	AX_TRY(axj_putz(r, x->rest));
	AX_TRY(axj_capture_end(r, &c, &digits));
	gap = f->width - (int64_t)(lead + digits.u.s->n);
	gap = gap < 0 ? 0 : gap;
	before = align == '<' || align == '=' ? 0 : align == '^' ? gap / 2 : gap;
	AX_TRY(put_fill(r, f, before));
	n = 0;
	if (x->sign)
		head[n++] = x->sign;
	AX_TRY(axj_put(r, head, n));
	if (x->prefix)
		AX_TRY(axj_put(r, (char[]){'0', x->prefix}, 2));
	if (align == '=')
		AX_TRY(put_fill(r, f, gap));
	AX_TRY(axj_put_str(r, digits.u.s));
	if (align != '=')
		AX_TRY(put_fill(r, f, gap - before));
	axj_mark(r, from, axj_origin(r, v));
	return 0;
}

static int format_str(struct axj *r, struct axj_val v, const struct axj_str *spec)
{
	struct spec f;
	int64_t gap, before;

	AX_TRY(parse_spec(r, spec, 's', false, &f));
	if (f.type && f.type != 's')
		return unknown_type(r, &f, v);
	if (f.sign)
		return axj_raise(r, "ValueError", f.sign == ' ' ? "Space not allowed in string format specifier" : "Sign not allowed in string format specifier");
	if (f.no_neg_0)
		return axj_raise(r, "ValueError", "Negative zero coercion (z) not allowed in string format specifier");
	if (f.alt)
		return axj_raise(r, "ValueError", "Alternate form (#) not allowed in string format specifier");
	if (f.align == '=')
		return axj_raise(r, "ValueError", "'=' alignment not allowed in string format specifier");
	if (f.prec >= 0 && (int64_t)axj_len_chars(v.u.s) > f.prec)
		AX_TRY(axj_cut(r, v.u.s, 0, axj_char_off(v.u.s, (size_t)f.prec), &v));
	gap = f.width - (int64_t)axj_len_chars(v.u.s);
	gap = gap < 0 ? 0 : gap;
	before = f.align == '>' ? gap : f.align == '^' ? gap / 2 : 0;
	AX_TRY(put_fill(r, &f, before));
	AX_TRY(axj_put_str(r, v.u.s));
	return put_fill(r, &f, gap - before);
}

static int format_float(struct axj *r, struct axj_val v, struct spec *f);

static int format_char(struct axj *r, struct axj_val v, const struct spec *f)
{
	int64_t c = axj_is_int(v) ? axj_as_int(v) : -1, gap = f->width - 1, before;
	char t[4];

	if (f->sign)
		return axj_raise(r, "ValueError", "Sign not allowed with integer format specifier 'c'");
	if (f->alt)
		return axj_raise(r, "ValueError", "Alternate form (#) not allowed with integer format specifier 'c'");
	if (c < 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return axj_raise(r, "OverflowError", "%%c arg not in range(0x110000)");
	before = f->align == '<' ? 0 : f->align == '^' ? gap / 2 : gap;
	AX_TRY(put_fill(r, f, before));
	AX_TRY(axj_put_span(r, t, axj_put_char((uint32_t)c, t), axj_src(r, v), 0, v.src ? AX_SPAN_TRANSFORMED : 0));
	return put_fill(r, f, gap - before);
}

static int format_int(struct axj *r, struct axj_val v, const struct axj_str *spec)
{
	struct parts x = {.rest = ""};
	struct spec f;
	unsigned base;
	char *text;

	AX_TRY(parse_spec(r, spec, 'd', true, &f));
	if (f.type && f.type < 0x80 && strchr("eEfFgG%", (int)f.type))
		return format_float(r, v, &f);
	if (f.type && (f.type >= 0x80 || !strchr("bcdoxXn", (int)f.type)))
		return unknown_type(r, &f, v);
	if (f.prec >= 0)
		return axj_raise(r, "ValueError", "Precision not allowed in integer format specifier");
	if (f.no_neg_0)
		return axj_raise(r, "ValueError", "Negative zero coercion (z) not allowed in integer format specifier");
	if (f.type == 'c')
		return format_char(r, v, &f);
	base = f.type == 'b' ? 2 : f.type == 'o' ? 8 : f.type == 'x' || f.type == 'X' ? 16 : 10;
	AX_TRY(axj_big_text(r, v, base, &text));
	x.sign = *text == '-' ? '-' : f.sign == '-' ? 0 : f.sign;
	x.prefix = f.alt && base != 10 ? (char)f.type : 0;
	x.digits = text + (*text == '-');
	x.n_digits = strlen(x.digits);
	for (char *q = text; f.type == 'X' && *q; q++)
		*q = *q >= 'a' ? (char)(*q - 32) : *q;
	return put_parts(r, &x, &f, v);
}

/* Without a type: as repr, or as g with at least one digit behind the point. */
static int general_text(struct axj *r, double x, int64_t prec, bool alt, char **text)
{
	struct ax_buf b = AX_BUF_INIT;
	char *e, *end;
	long exp10;

	if (prec < 0) {
		ax_write_float(&b, x);
		*text = b.oom ? NULL : ax_arena_strndup(r->mem, b.p, b.n);
		ax_buf_release(&b);
		return *text ? 0 : axj_oom(r);
	}
	prec = prec ? prec : 1;
	if (!isfinite(x))
		return axj_float_text(r, x, 'g', prec, alt, text);
	AX_TRY(axj_float_text(r, x, 'e', prec - 1, true, text));
	e = strchr(*text, 'e');
	exp10 = strtol(e + 1, NULL, 10);
	if (exp10 < -4 || exp10 + 1 > prec - 1) {
		for (end = e; !alt && end[-1] == '0';)
			end--;
		end -= end[-1] == '.' && !alt;
		memmove(end, e, strlen(e) + 1);
		return 0;
	}
	AX_TRY(axj_float_text(r, x, 'g', prec, alt, text));
	if (!strchr(*text, '.'))
		strcat(*text, ".0");
	return 0;
}

static bool all_zero(const char *s)
{
	s += *s == '-';
	for (; *s && *s != 'e' && *s != 'E'; s++)
		if (*s >= '1' && *s <= '9')
			return false;
	return *s || s[-1] == '0' || s[-1] == '.';
}

/* v is a number; the specification is read. */
static int format_float(struct axj *r, struct axj_val v, struct spec *f)
{
	double n = axj_as_float(v);
	struct parts x = {0};
	char *text, type = f->type == 'n' ? 'g' : (char)f->type;

	if (v.t == AXJ_BIG && isinf(n))
		return axj_raise(r, "OverflowError", "int too large to convert to float");
	if (type == '%')
		AX_TRY(axj_float_text(r, n * 100, 'f', f->prec, f->alt, &text));
	else if (type)
		AX_TRY(axj_float_text(r, n, type, f->prec, f->alt, &text));
	else
		AX_TRY(general_text(r, n, f->prec, f->alt, &text));
	if (type == '%')
		strcat(text, "%");
	x.sign = *text == '-' && !(f->no_neg_0 && all_zero(text)) ? '-' : f->sign == '-' ? 0 : f->sign;
	x.digits = text + (*text == '-');
	x.n_digits = strspn(x.digits, "0123456789");
	x.rest = x.digits + x.n_digits;
	return put_parts(r, &x, f, v);
}

static int format_value(struct axj *r, struct axj_val v, const struct axj_str *spec)
{
	struct spec f;

	if (!spec->n)
		return axj_put_val(r, v);
	if (v.t == AXJ_STR)
		return format_str(r, v, spec);
	if (axj_is_int(v) || v.t == AXJ_BIG)
		return format_int(r, v, spec);
	if (v.t != AXJ_FLOAT)
		return axj_raise(r, "TypeError", "unsupported format string passed to %s.__format__", axj_type_name(v));
	AX_TRY(parse_spec(r, spec, 0, true, &f));
	if (f.type && (f.type >= 0x80 || !strchr("eEfFgGn%", (int)f.type)))
		return unknown_type(r, &f, v);
	return format_float(r, v, &f);
}

/* ---- fields ---- */

struct format {
	struct axj_args *args;
	struct axj_dict *map; /* format_map */
	int64_t next;         /* automatic field number */
	int numbering;        /* 1: automatic, 2: by number */
	bool markup;
};

static bool all_digits(const struct axj_str *s, int64_t *n)
{
	*n = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		*n = *n > MAX_WIDTH ? *n : *n * 10 + (s->p[i] - '0');
	}
	return s->n > 0;
}

static int first_value(struct axj *r, struct format *f, struct axj_val name, bool whole, struct axj_val *v)
{
	size_t at = 0;
	int64_t n;

	if (all_digits(name.u.s, &n) || (whole && !name.u.s->n)) {
		int how = name.u.s->n ? 2 : 1;

		if (whole && f->numbering && f->numbering != how)
			return axj_raise(r, "ValueError", "cannot switch from %s", how == 2 ? "automatic field numbering to manual field specification"
									    : "manual field specification to automatic field numbering");
		if (whole)
			f->numbering = how;
		if (!name.u.s->n)
			n = f->next++;
		if (f->map || (uint64_t)n >= f->args->n_pos)
			return axj_raise(r, "IndexError", "tuple index out of range");
		*v = f->args->pos[n];
		return 0;
	}
	if (f->map) {
		AX_TRY(axj_dict_find(r, f->map, name, &at));
		if (at == f->map->n)
			return axj_raise(r, "KeyError", "%s", axj_repr_text(r, name));
		*v = f->map->kv[at].v;
		return 0;
	}
	for (size_t i = 0; i < f->args->n_kw; i++)
		if (axj_str_eq(f->args->kw[i].name, name.u.s)) {
			*v = f->args->kw[i].v;
			return 0;
		}
	return axj_raise(r, "KeyError", "%s", axj_repr_text(r, name));
}

/* a.b[0].c */
static int field_value(struct axj *r, struct format *f, const struct axj_str *field, struct axj_val *v)
{
	size_t i = strcspn(field->p, ".["), end; /* never beyond the field: what follows it stops or is no part of it */
	struct axj_val name;
	int64_t n;

	i = i > field->n ? field->n : i;
	AX_TRY(axj_cut(r, field, 0, i, &name));
	AX_TRY(first_value(r, f, name, i == field->n, v));
	while (i < field->n) {
		bool item = field->p[i] == '[';

		if (!item && field->p[i] != '.')
			return axj_raise(r, "ValueError", "Only '.' or '[' may follow ']' in format field specifier");
		for (end = ++i; end < field->n && (item ? field->p[end] != ']' : field->p[end] != '.' && field->p[end] != '['); end++)
			;
		if (item && end == field->n)
			return axj_raise(r, "ValueError", "Missing ']' in format string");
		if (end == i)
			return axj_raise(r, "ValueError", "Empty attribute in format string");
		AX_TRY(axj_cut(r, field, i, end, &name));
		if (item)
			AX_TRY(axj_getitem(r, *v, all_digits(name.u.s, &n) ? axj_int(n) : name, v));
		else
			AX_TRY(axj_getattr(r, *v, name.u.s, v));
		i = end + item;
	}
	return 0;
}

static int expand(struct axj *r, struct format *f, const struct axj_str *s, int depth, struct axj_val *out);

/* Markup escapes what is put into it. */
static int put_field(struct axj *r, const struct format *f, struct axj_val v, const struct axj_str *spec)
{
	struct axj_capture c;
	struct axj_val s;

	if (!f->markup)
		return format_value(r, v, spec);
	if (v.t == AXJ_STR && v.u.s->markup)
		return spec->n ? axj_raise(r, "ValueError", "Unsupported format specification for Markup.") : axj_put_str(r, v.u.s);
	axj_capture_begin(r, &c);
	AX_TRY(format_value(r, v, spec));
	AX_TRY(axj_capture_end(r, &c, &s));
	return axj_put_escaped(r, s.u.s);
}

/* The field behind a '{'; *at moves behind its '}'. */
static int put_one(struct axj *r, struct format *f, const struct axj_str *s, size_t *at, int depth)
{
	size_t i = *at, nested = 1, from;
	struct axj_val field, spec, v;
	char c = 0, conv = 0;

	for (; i < s->n; i++) {
		c = s->p[i];
		if (c == '{')
			return axj_raise(r, "ValueError", "unexpected '{' in field name");
		if (c == '[')
			while (i + 1 < s->n && s->p[i + 1] != ']')
				i++;
		if (c == '}' || c == ':' || c == '!')
			break;
	}
	if (i == s->n)
		return axj_raise(r, "ValueError", "expected '}' before end of string");
	AX_TRY(axj_cut(r, s, *at, i, &field));
	from = ++i;
	if (c == '!') {
		if (i >= s->n)
			return axj_raise(r, "ValueError", "end of string while looking for conversion specifier");
		conv = s->p[i++];
		if (i < s->n && s->p[i] != '}' && s->p[i] != ':')
			return axj_raise(r, "ValueError", "expected ':' after conversion specifier");
		c = i < s->n ? s->p[i] : 0;
		from = ++i;
		if (!c)
			return axj_raise(r, "ValueError", "unmatched '{' in format spec");
	}
	if (c == '}')
		from = i--; /* no specification */
	for (i = c == '}' ? from : i; c != '}' && i < s->n; i++) {
		nested += s->p[i] == '{';
		if (s->p[i] == '}' && --nested == 0)
			break;
	}
	if (c != '}' && i >= s->n)
		return axj_raise(r, "ValueError", "unmatched '{' in format spec");
	AX_TRY(axj_cut(r, s, from, i, &spec));
	*at = i + (c != '}');
	AX_TRY(field_value(r, f, field.u.s, &v));
	if (conv && conv != 's' && conv != 'r' && conv != 'a')
		return axj_raise(r, "ValueError", "Unknown conversion specifier %c", conv);
	if (conv)
		AX_TRY(axj_convert(r, v, conv, &v));
	AX_TRY(expand(r, f, spec.u.s, depth + 1, &spec));
	return put_field(r, f, v, spec.u.s);
}

static int expand(struct axj *r, struct format *f, const struct axj_str *s, int depth, struct axj_val *out)
{
	struct axj_capture c;

	if (depth > 2)
		return axj_raise(r, "ValueError", "Max string recursion exceeded");
	axj_capture_begin(r, &c);
	for (size_t at = 0; at < s->n;) {
		size_t from = at;
		char ch;

		while (at < s->n && s->p[at] != '{' && s->p[at] != '}')
			at++;
		AX_TRY(axj_put_sub(r, s, from, at));
		if (at == s->n)
			break;
		ch = s->p[at++];
		if (at < s->n && s->p[at] == ch) {
			AX_TRY(axj_put_sub(r, s, at, at + 1));
			at++;
		} else if (ch == '}' || at == s->n) {
			return axj_raise(r, "ValueError", "Single '%c' encountered in format string", ch);
		} else {
			AX_TRY(put_one(r, f, s, &at, depth));
		}
	}
	return axj_capture_end(r, &c, out);
}

int axj_format(struct axj *r, const struct axj_str *fmt, struct axj_args *args, struct axj_dict *map, struct axj_val *out)
{
	struct format f = {.args = args, .map = map, .markup = fmt->markup};

	if (map)
		AX_TRY(axj_fill_dict(r, map));
	AX_TRY(expand(r, &f, fmt, 0, out));
	out->u.s->markup = fmt->markup;
	return 0;
}
