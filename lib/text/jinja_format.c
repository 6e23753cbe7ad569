/* Python's two ways to fill in text: "..." % args and "...".format(...). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja_lib.h"

#define MAX_WIDTH 1000000

/* One conversion: flags, width and precision of either syntax. */
struct spec {
	bool left, plus, space, zero, alt, comma;
	bool centre, right; /* format() only */
	int64_t width, prec; /* -1: not given */
	const struct axj_str *fill;
	char type;
};

/* The converted text s of n characters, padded to the width. Numbers pad zeros behind the sign. */
static int put_padded(struct axj *r, struct axj_val s, const struct spec *f, bool number)
{
	int64_t gap = f->width - (int64_t)axj_len_chars(s.u.s), before;
	size_t sign = 0;

	if (gap <= 0)
		return axj_put_str(r, s.u.s);
	before = f->left ? 0 : f->centre ? gap / 2 : f->right || number ? gap : 0;
	if (f->zero && number && !f->left && !f->centre) {
		sign = s.u.s->n && strchr("+- ", s.u.s->p[0]) ? 1 : 0;
		AX_TRY(axj_put_sub(r, s.u.s, 0, sign));
	}
	for (int64_t i = 0; i < before; i++)
		AX_TRY(f->fill ? axj_put_str(r, f->fill) : axj_put(r, f->zero && number ? "0" : " ", 1));
	AX_TRY(axj_put_sub(r, s.u.s, sign, s.u.s->n));
	for (int64_t i = before; i < gap; i++)
		AX_TRY(f->fill ? axj_put_str(r, f->fill) : axj_put(r, " ", 1));
	return 0;
}

/* 1234567.5 -> 1,234,567.5 */
static void group_digits(char *t, size_t size)
{
	size_t from = strspn(t, "+- "), n = strspn(t + from, "0123456789"), len = strlen(t);

	for (size_t k = n; k > 3 && len + 1 < size; len++) {
		k -= 3;
		memmove(t + from + k + 1, t + from + k, len - from - k + 1);
		t[from + k] = ',';
	}
}

static int put_number(struct axj *r, struct axj_val v, const struct spec *f)
{
	char t[600], fmt[16];
	struct axj_val s;
	int n = 0;

	fmt[n++] = '%';
	if (f->plus || f->space)
		fmt[n++] = f->plus ? '+' : ' ';
	if (f->alt)
		fmt[n++] = '#';
	if (strchr("diuxXob", f->type)) {
		int64_t i = v.t == AXJ_FLOAT ? (int64_t)v.u.f : axj_as_int(v);

		if (v.t == AXJ_FLOAT && !(fabs(v.u.f) < 9.2e18))
			return axj_raise(r, "OverflowError", "cannot convert float to integer");
		if (strchr("xXo", f->type) && i < 0) {
			snprintf(fmt + n, sizeof(fmt) - (size_t)n, "ll%c", f->type);
			t[0] = '-';
			snprintf(t + 1, sizeof(t) - 1, fmt, -i);
		} else {
			snprintf(fmt + n, sizeof(fmt) - (size_t)n, "ll%c", strchr("diub", f->type) ? 'd' : f->type);
			snprintf(t, sizeof(t), fmt, (long long)i);
		}
	} else {
		int prec = f->prec < 0 ? 6 : f->prec > 250 ? 250 : (int)f->prec;

		snprintf(fmt + n, sizeof(fmt) - (size_t)n, ".*%c", f->type == 'F' ? 'f' : f->type == '%' ? 'f' : f->type);
		snprintf(t, sizeof(t) - 2, fmt, prec, axj_as_float(v) * (f->type == '%' ? 100 : 1));
		if (f->type == '%')
			strcat(t, "%");
	}
	if (f->comma)
		group_digits(t, sizeof(t));
	AX_TRY(axj_made_from(r, t, strlen(t), v, &s));
	return put_padded(r, s, f, true);
}

/* str or repr, cut to the precision. */
static int put_text(struct axj *r, struct axj_val v, const struct spec *f)
{
	struct axj_capture c;
	struct axj_val s;
	int rc;

	axj_capture_begin(r, &c);
	rc = f->type == 'r' || f->type == 'a' ? axj_put_repr(r, v) : axj_put_val(r, v);
	if (rc)
		return rc;
	AX_TRY(axj_capture_end(r, &c, &s));
	if (f->prec >= 0 && (int64_t)axj_len_chars(s.u.s) > f->prec)
		AX_TRY(axj_cut(r, s.u.s, 0, axj_char_off(s.u.s, (size_t)f->prec), &s));
	return put_padded(r, s, f, false);
}

static int put_char(struct axj *r, struct axj_val v, const struct spec *f)
{
	struct axj_val s = v;
	char t[4];

	if (axj_is_int(v)) {
		int64_t c = axj_as_int(v);

		if (c < 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return axj_raise(r, "OverflowError", "%%c arg not in range(0x110000)");
		AX_TRY(axj_made_from(r, t, axj_put_char((uint32_t)c, t), v, &s));
	} else if (v.t != AXJ_STR || axj_len_chars(v.u.s) != 1) {
		return axj_raise(r, "TypeError", "%%c requires int or char");
	}
	return put_padded(r, s, f, true);
}

static int put_converted(struct axj *r, struct axj_val v, const struct spec *f)
{
	bool number = f->type && strchr("diuxXoeEfFgG", f->type);

	if (v.t == AXJ_UNDEF && number)
		return axj_raise_undef(r, v);
	if (!number)
		return f->type == 'c' ? put_char(r, v, f) : put_text(r, v, f);
	if (v.t == AXJ_FLOAT && strchr("xXo", f->type))
		return axj_raise(r, "TypeError", "%%%c format: an integer is required, not float", f->type);
	if (!axj_is_num(v) && strchr("eEfFgG", f->type))
		return axj_raise(r, "TypeError", "must be real number, not %s", axj_type_name(v));
	if (!axj_is_num(v))
		return axj_raise(r, "TypeError", "%%%c format: %s is required, not %s", f->type,
				 strchr("xXo", f->type) ? "an integer" : "a real number", axj_type_name(v));
	return put_number(r, v, f);
}

/* ---- "..." % args ---- */

struct percent {
	const struct axj_str *s;
	size_t at;
	struct axj_val args;
	struct axj_list *tuple;
	size_t next;
};

static int next_arg(struct axj *r, struct percent *p, struct axj_val *v)
{
	if (p->next >= (p->tuple ? p->tuple->n : 1))
		return axj_raise(r, "TypeError", "not enough arguments for format string");
	*v = p->tuple ? p->tuple->v[p->next] : p->args;
	p->next++;
	return 0;
}

static int read_count(struct axj *r, struct percent *p, int64_t *n)
{
	struct axj_val v;

	if (p->at < p->s->n && p->s->p[p->at] == '*') {
		p->at++;
		AX_TRY(next_arg(r, p, &v));
		if (!axj_is_int(v))
			return axj_raise(r, "TypeError", "* wants int");
		*n = axj_as_int(v);
	} else {
		for (*n = 0; p->at < p->s->n && p->s->p[p->at] >= '0' && p->s->p[p->at] <= '9' && *n < MAX_WIDTH; p->at++)
			*n = *n * 10 + (p->s->p[p->at] - '0');
	}
	return *n > MAX_WIDTH ? axj_limit(r, "too much text") : 0;
}

static int mapped_arg(struct axj *r, struct percent *p, struct axj_val *v)
{
	size_t from = ++p->at, depth = 1, at = 0;
	struct axj_val key;

	for (; p->at < p->s->n; p->at++) {
		depth += p->s->p[p->at] == '(';
		if (p->s->p[p->at] == ')' && --depth == 0)
			break;
	}
	if (p->at == p->s->n)
		return axj_raise(r, "ValueError", "incomplete format key");
	if (p->args.t != AXJ_DICT)
		return axj_raise(r, "TypeError", "format requires a mapping");
	AX_TRY(axj_cut(r, p->s, from, p->at++, &key));
	AX_TRY(axj_dict_find(r, p->args.u.d, key, &at));
	if (at == p->args.u.d->n)
		return axj_raise(r, "KeyError", "%s", axj_repr_text(r, key));
	*v = p->args.u.d->kv[at].v;
	return 0;
}

static int percent_one(struct axj *r, struct percent *p)
{
	struct spec f = {.prec = -1};
	struct axj_val v = {0};
	bool mapped = false;

	if (p->at < p->s->n && p->s->p[p->at] == '(') {
		AX_TRY(mapped_arg(r, p, &v));
		mapped = true;
	}
	for (; p->at < p->s->n && p->s->p[p->at] && strchr("-+ 0#", p->s->p[p->at]); p->at++) {
		char c = p->s->p[p->at];

		f.left |= c == '-';
		f.plus |= c == '+';
		f.space |= c == ' ';
		f.zero |= c == '0';
		f.alt |= c == '#';
	}
	AX_TRY(read_count(r, p, &f.width));
	if (p->at < p->s->n && p->s->p[p->at] == '.') {
		p->at++;
		AX_TRY(read_count(r, p, &f.prec));
	}
	if (p->at == p->s->n)
		return axj_raise(r, "ValueError", "incomplete format");
	f.type = p->s->p[p->at++];
	f.right = !f.left;
	if (f.type == '%')
		return axj_put(r, "%", 1);
	if (!f.type || !strchr("sracdiuxXoeEfFgG", f.type))
		return axj_raise(r, "ValueError", "unsupported format character '%c' (0x%x) at index %zu", f.type, (unsigned)(unsigned char)f.type,
				 p->at - 1);
	if (!mapped)
		AX_TRY(next_arg(r, p, &v));
	return put_converted(r, v, &f);
}

int axj_percent(struct axj *r, struct axj_val fmt, struct axj_val args, struct axj_val *out)
{
	struct percent p = {.s = fmt.u.s, .args = args, .tuple = args.t == AXJ_TUPLE ? args.u.l : NULL};
	struct axj_capture c;

	axj_capture_begin(r, &c);
	while (p.at < p.s->n) {
		const char *hit = memchr(p.s->p + p.at, '%', p.s->n - p.at);
		size_t to = hit ? (size_t)(hit - p.s->p) : p.s->n;

		AX_TRY(axj_put_sub(r, p.s, p.at, to));
		p.at = to + (hit != NULL);
		if (hit)
			AX_TRY(percent_one(r, &p));
	}
	if (p.next < (p.tuple ? p.tuple->n : args.t == AXJ_DICT || args.t == AXJ_LIST || args.t == AXJ_UNDEF ? 0 : 1))
		return axj_raise(r, "TypeError", "not all arguments converted during string formatting");
	AX_TRY(axj_capture_end(r, &c, out));
	out->u.s->markup = fmt.u.s->markup;
	return 0;
}

/* ---- "...".format(...) ---- */

struct format {
	const struct axj_str *s;
	size_t at;
	struct axj_args *args;
	int64_t next; /* automatic field number */
};

/* A name or number up to one of the characters `stop`. */
static int word(struct axj *r, struct format *p, const char *stop, struct axj_val *out)
{
	size_t from = p->at;

	while (p->at < p->s->n && !(p->s->p[p->at] && strchr(stop, p->s->p[p->at])))
		p->at++;
	return axj_cut(r, p->s, from, p->at, out);
}

static bool number(struct axj_val v, int64_t *n)
{
	*n = 0;
	for (size_t i = 0; i < v.u.s->n; i++) {
		if (v.u.s->p[i] < '0' || v.u.s->p[i] > '9' || *n > MAX_WIDTH)
			return false;
		*n = *n * 10 + (v.u.s->p[i] - '0');
	}
	return v.u.s->n > 0;
}

static int field_value(struct axj *r, struct format *p, struct axj_val *v)
{
	struct axj_val name;
	int64_t n;

	AX_TRY(word(r, p, ".[!:}", &name));
	if (name.u.s->n == 0 || number(name, &n)) {
		if (name.u.s->n == 0)
			n = p->next++;
		if ((uint64_t)n >= p->args->n_pos)
			return axj_raise(r, "IndexError", "tuple index out of range");
		*v = p->args->pos[n];
	} else {
		const struct axj_named *kw = NULL;

		for (size_t i = 0; i < p->args->n_kw; i++)
			if (axj_str_eq(p->args->kw[i].name, name.u.s))
				kw = &p->args->kw[i];
		if (!kw)
			return axj_raise(r, "KeyError", "%s", axj_repr_text(r, name));
		*v = kw->v;
	}
	while (p->at < p->s->n && (p->s->p[p->at] == '.' || p->s->p[p->at] == '[')) {
		bool item = p->s->p[p->at++] == '[';

		AX_TRY(word(r, p, item ? "]" : ".[!:}", &name));
		p->at += item && p->at < p->s->n;
		if (item)
			AX_TRY(axj_getitem(r, *v, number(name, &n) ? axj_int(n) : name, v));
		else
			AX_TRY(axj_getattr(r, *v, name.u.s, v));
	}
	return 0;
}

static int format_spec(struct axj *r, const struct axj_str *s, struct spec *f)
{
	size_t i = 0, first = s->n ? axj_char_off(s, 1) : 0;
	struct axj_val fill;

	if (first < s->n && strchr("<>^=", s->p[first])) {
		AX_TRY(axj_cut(r, s, 0, first, &fill));
		f->fill = fill.u.s;
		i = first;
	}
	if (i < s->n && s->p[i] && strchr("<>^=", s->p[i])) {
		f->left = s->p[i] == '<';
		f->centre = s->p[i] == '^';
		f->right = s->p[i] == '>';
		i++;
	}
	if (i < s->n && s->p[i] && strchr("+- ", s->p[i])) {
		f->plus = s->p[i] == '+';
		f->space = s->p[i++] == ' ';
	}
	f->alt = i < s->n && s->p[i] == '#';
	i += f->alt;
	f->zero = i < s->n && s->p[i] == '0';
	for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9' && f->width < MAX_WIDTH; i++)
		f->width = f->width * 10 + (s->p[i] - '0');
	f->comma = i < s->n && s->p[i] == ',';
	i += f->comma;
	if (i < s->n && s->p[i] == '.')
		for (i++, f->prec = 0; i < s->n && s->p[i] >= '0' && s->p[i] <= '9' && f->prec < MAX_WIDTH; i++)
			f->prec = f->prec * 10 + (s->p[i] - '0');
	if (i < s->n)
		f->type = s->p[i++];
	if (i < s->n || f->width >= MAX_WIDTH || f->prec >= MAX_WIDTH)
		return axj_raise(r, "ValueError", "Invalid format specifier");
	return 0;
}

static int put_field(struct axj *r, struct axj_val v, const struct axj_str *s, char conv)
{
	struct spec f = {.prec = -1};
	bool num;

	if (!s->n && !conv)
		return axj_put_val(r, v);
	AX_TRY(format_spec(r, s, &f));
	num = axj_is_num(v) && !conv && v.t != AXJ_BOOL;
	if (conv)
		f.type = conv;
	else if (num && !f.type)
		f.type = v.t == AXJ_INT ? 'd' : f.prec >= 0 ? 'g' : 0;
	if (num && f.type && strchr("deEfFgGxXo%", f.type))
		return put_number(r, v, &f);
	if (!conv && f.type && f.type != 's')
		return axj_raise(r, "ValueError", "Unknown format code '%c' for object of type '%s'", f.type, axj_type_name(v));
	f.right |= num && !f.left && !f.centre;
	return put_text(r, v, &f);
}

static int format_one(struct axj *r, struct format *p)
{
	struct axj_val v, spec;
	char conv = 0;

	AX_TRY(field_value(r, p, &v));
	if (p->at + 1 < p->s->n && p->s->p[p->at] == '!') {
		conv = p->s->p[p->at + 1];
		p->at += 2;
		if (!strchr("rsa", conv))
			return axj_raise(r, "ValueError", "Unknown conversion specifier %c", conv);
	}
	if (p->at < p->s->n && p->s->p[p->at] == ':')
		p->at++;
	AX_TRY(word(r, p, "}", &spec));
	if (p->at == p->s->n)
		return axj_raise(r, "ValueError", "expected '}' before end of string");
	p->at++;
	return put_field(r, v, spec.u.s, conv);
}

int axj_format(struct axj *r, const struct axj_str *fmt, struct axj_args *args, struct axj_val *out)
{
	struct format p = {.s = fmt, .args = args};
	struct axj_capture c;

	axj_capture_begin(r, &c);
	while (p.at < fmt->n) {
		size_t from = p.at;
		char ch;

		while (p.at < fmt->n && fmt->p[p.at] != '{' && fmt->p[p.at] != '}')
			p.at++;
		AX_TRY(axj_put_sub(r, fmt, from, p.at));
		if (p.at == fmt->n)
			break;
		ch = fmt->p[p.at++];
		if (p.at < fmt->n && fmt->p[p.at] == ch) {
			AX_TRY(axj_put_sub(r, fmt, p.at, p.at + 1));
			p.at++;
		} else if (ch == '}' || p.at == fmt->n) {
			return axj_raise(r, "ValueError", "Single '%c' encountered in format string", ch);
		} else {
			AX_TRY(format_one(r, &p));
		}
	}
	AX_TRY(axj_capture_end(r, &c, out));
	out->u.s->markup = fmt->markup;
	return 0;
}
