/* Python's "..." % args. The other way to fill in text, "...".format(...), is in jinja_spec.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja_lib.h"

#define MAX_WIDTH 1000000

/* One conversion. */
struct spec {
	bool left, plus, space, zero, alt;
	int64_t width, prec; /* prec: -1 if not given */
	char type;
};

/* Text of n characters behind a sign and prefix of n_lead bytes, padded to the width; zeros go between the two. */
static int put_padded(struct axj *r, struct axj_val s, const struct spec *f, size_t n_lead, bool zeros)
{
	int64_t gap = f->width - (int64_t)axj_len_chars(s.u.s);

	if (gap > 0 && zeros)
		AX_TRY(axj_put_sub(r, s.u.s, 0, n_lead));
	for (int64_t i = 0; i < gap && !f->left; i++)
		AX_TRY(axj_put(r, zeros ? "0" : " ", 1));
	AX_TRY(axj_put_sub(r, s.u.s, gap > 0 && zeros ? n_lead : 0, s.u.s->n));
	for (int64_t i = 0; i < gap && f->left; i++)
		AX_TRY(axj_put(r, " ", 1));
	return 0;
}

static int put_int(struct axj *r, struct axj_val v, const struct spec *f)
{
	unsigned base = f->type == 'x' || f->type == 'X' ? 16 : f->type == 'o' ? 8 : 10;
	struct ax_buf b = AX_BUF_INIT;
	struct axj_val s;
	size_t lead;
	char *text;
	int rc;

	if (v.t == AXJ_FLOAT)
		AX_TRY(axj_big_truncate(r, v.u.f, &v));
	AX_TRY(axj_big_text(r, v, base, &text));
	ax_buf_adds(&b, *text == '-' ? "-" : f->plus ? "+" : f->space ? " " : "");
	text += *text == '-';
	if (f->alt && base != 10)
		ax_buf_addf(&b, "0%c", f->type);
	lead = b.n;
	for (int64_t i = (int64_t)strlen(text); i < f->prec; i++)
		ax_buf_addc(&b, '0');
	for (; *text; text++)
		ax_buf_addc(&b, f->type == 'X' && *text >= 'a' ? (char)(*text - 32) : *text);
	rc = b.oom ? axj_oom(r) : axj_made_from(r, b.p, b.n, v, &s);
	ax_buf_release(&b);
	return rc ? rc : put_padded(r, s, f, lead, f->zero && !f->left);
}

static int put_float(struct axj *r, struct axj_val v, const struct spec *f)
{
	double x = axj_as_float(v);
	struct axj_val s;
	size_t lead;
	char *text;

	if (v.t == AXJ_BIG && isinf(x))
		return axj_raise(r, "OverflowError", "int too large to convert to float");
	AX_TRY(axj_float_text(r, x, f->type, f->prec, f->alt, &text));
	lead = *text == '-';
	if (!lead && (f->plus || f->space)) {
		*--text = f->plus ? '+' : ' ';
		lead = 1;
	}
	AX_TRY(axj_made_from(r, text, strlen(text), v, &s));
	return put_padded(r, s, f, lead, f->zero && !f->left);
}

/* str, repr or ascii, cut to the precision. */
static int put_text(struct axj *r, struct axj_val v, const struct spec *f)
{
	struct axj_val s;

	AX_TRY(axj_convert(r, v, f->type, &s));
	if (f->prec >= 0 && (int64_t)axj_len_chars(s.u.s) > f->prec)
		AX_TRY(axj_cut(r, s.u.s, 0, axj_char_off(s.u.s, (size_t)f->prec), &s));
	return put_padded(r, s, f, 0, false);
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
	return put_padded(r, s, f, 0, false);
}

static int put_converted(struct axj *r, struct axj_val v, const struct spec *f)
{
	bool whole = strchr("diuxXo", f->type);

	if (!whole && !strchr("eEfFgG", f->type))
		return f->type == 'c' ? put_char(r, v, f) : put_text(r, v, f);
	if (v.t == AXJ_UNDEF)
		return axj_raise_undef(r, v);
	if (v.t == AXJ_FLOAT && strchr("xXo", f->type))
		return axj_raise(r, "TypeError", "%%%c format: an integer is required, not float", f->type);
	if (!axj_is_num(v) && !whole)
		return axj_raise(r, "TypeError", "must be real number, not %s", axj_type_name(v));
	if (!axj_is_num(v))
		return axj_raise(r, "TypeError", "%%%c format: %s is required, not %s", f->type,
				 strchr("xXo", f->type) ? "an integer" : "a real number", axj_type_name(v));
	if (whole && v.t == AXJ_FLOAT && !isfinite(v.u.f))
		return axj_raise(r, "OverflowError", "cannot convert float %s to integer", isnan(v.u.f) ? "NaN" : "infinity");
	return whole ? put_int(r, v, f) : put_float(r, v, f);
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
		if (*n < -MAX_WIDTH)
			return axj_limit(r, "too much text");
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
	size_t first = p->at;

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
	if (f.width < 0) {
		f.left = true;
		f.width = -f.width;
	}
	if (p->at < p->s->n && p->s->p[p->at] == '.') {
		p->at++;
		AX_TRY(read_count(r, p, &f.prec));
		f.prec = f.prec < 0 ? 0 : f.prec;
	}
	if (p->at < p->s->n && p->s->p[p->at] && strchr("hlL", p->s->p[p->at]))
		p->at++; /* lengths of C mean nothing */
	if (p->at == p->s->n)
		return axj_raise(r, "ValueError", "incomplete format");
	f.type = p->s->p[p->at++];
	if (f.type == '%' && p->at == first + 1)
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
