#include "tok/prompt_format.h"

#include <string.h>

#include "text/jinja.h"
#include "text/unicode.h"
#include "text/val.h"

#define WIDTH_MAX 10000

/* One {field!conversion:specification}, taken apart. */
struct field {
	const char *name, *spec;
	size_t name_n, spec_n;
	char conversion; /* 's' or 'r' */
};

struct spec {
	const char *fill; /* one UTF-8 character */
	size_t fill_n, width, precision;
	char align;
};

static size_t char_len(unsigned char c)
{
	return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static int bad(const char *format, struct ax_err *e)
{
	return ax_fail(e, AX_EUSAGE, "malformed format \"%.80s\"", format);
}

static bool is_align(char c)
{
	return c == '<' || c == '>' || c == '^';
}

static bool digits(const char **p, const char *end, size_t *out)
{
	size_t v = 0;

	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
		v = v * 10 + (size_t)(**p - '0');
		if (v >= WIDTH_MAX)
			return false;
	}
	*out = v;
	return true;
}

static int parse_spec(const struct field *f, struct spec *s, const char *format, struct ax_err *e)
{
	const char *p = f->spec, *end = p + f->spec_n;
	size_t first = p < end ? char_len((unsigned char)*p) : 0;

	*s = (struct spec){.fill = " ", .fill_n = 1, .precision = SIZE_MAX, .align = '<'};
	if (first < f->spec_n && is_align(p[first])) {
		s->fill = p;
		s->fill_n = first;
		s->align = p[first];
		p += first + 1;
	} else if (p < end && is_align(*p)) {
		s->align = *p++;
	}
	if (!digits(&p, end, &s->width))
		return bad(format, e);
	if (p < end && *p == '.') {
		p++;
		if (!digits(&p, end, &s->precision))
			return bad(format, e);
	}
	if (p < end && *p == 's')
		p++;
	return p == end ? 0 : bad(format, e);
}

/* Python's repr of a string. */
static void add_repr(struct ax_buf *b, const char *s, size_t n)
{
	char quote = memchr(s, '\'', n) && !memchr(s, '"', n) ? '"' : '\'';
	size_t len;

	ax_buf_addc(b, quote);
	for (size_t i = 0; i < n; i += len) {
		uint32_t c = ax_utf8_get((const unsigned char *)s + i, &len);

		if (c == (unsigned char)quote || c == '\\')
			ax_buf_addf(b, "\\%c", (char)c);
		else if (c == '\n' || c == '\t' || c == '\r')
			ax_buf_addf(b, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
		else if (ax_jinja_printable(c))
			ax_buf_add(b, s + i, len);
		else
			ax_buf_addf(b, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
	}
	ax_buf_addc(b, quote);
}

static void add_padding(struct ax_buf *b, const struct spec *s, size_t n)
{
	while (n--)
		ax_buf_add(b, s->fill, s->fill_n);
}

static void add_padded(struct ax_buf *b, const struct spec *s, const char *p, size_t n)
{
	size_t chars = 0, at = 0, pad, left;

	while (at < n && chars < s->precision) {
		at += char_len((unsigned char)p[at]);
		chars++;
	}
	if (at > n)
		at = n;
	pad = s->width > chars ? s->width - chars : 0;
	left = s->align == '>' ? pad : s->align == '^' ? pad / 2 : 0;
	add_padding(b, s, left);
	ax_buf_add(b, p, at);
	add_padding(b, s, pad - left);
}

static int split_field(const char *p, size_t n, struct field *f, const char *format, struct ax_err *e)
{
	const char *colon = memchr(p, ':', n), *bang = memchr(p, '!', colon ? (size_t)(colon - p) : n);
	const char *head_end = colon ? colon : p + n;

	*f = (struct field){.name = p, .conversion = 's'};
	f->name_n = (size_t)((bang ? bang : head_end) - p);
	f->spec = colon ? colon + 1 : p + n;
	f->spec_n = (size_t)(p + n - f->spec);
	if (bang) {
		if (head_end - bang != 2 || (bang[1] != 's' && bang[1] != 'r'))
			return bad(format, e);
		f->conversion = bang[1];
	}
	return 0;
}

static int add_field(struct ax_buf *b, struct ax_guards *data, const struct field *f, const char *format,
		     const struct ax_format_arg *arg, size_t n_arg, struct ax_err *e)
{
	struct ax_buf repr = AX_BUF_INIT;
	struct spec s;
	size_t i = 0, begin = b->n;

	while (i < n_arg && (strlen(arg[i].name) != f->name_n || memcmp(arg[i].name, f->name, f->name_n)))
		i++;
	if (i == n_arg || !arg[i].s)
		return ax_fail(e, AX_EUSAGE, "format \"%.80s\" names {%.*s}, which it may not use", format,
			       (int)(f->name_n > 40 ? 40 : f->name_n), f->name);
	AX_TRY(parse_spec(f, &s, format, e));
	if (f->conversion == 'r') {
		add_repr(&repr, arg[i].s, arg[i].n);
		add_padded(b, &s, repr.p, repr.n);
		b->oom |= repr.oom;
	} else {
		add_padded(b, &s, arg[i].s, arg[i].n);
	}
	ax_buf_release(&repr);
	return data && arg[i].data ? ax_guards_add(data, begin, b->n, e) : 0;
}

int ax_format(struct ax_buf *b, struct ax_guards *data, const char *format, const struct ax_format_arg *arg, size_t n_arg,
	      struct ax_err *e)
{
	const char *p = format;

	while (*p) {
		size_t plain = strcspn(p, "{}");
		const char *close;
		struct field f;

		ax_buf_add(b, p, plain);
		p += plain;
		if (!*p)
			break;
		if (p[1] == *p) {
			ax_buf_addc(b, *p);
			p += 2;
			continue;
		}
		close = *p == '{' ? strchr(p, '}') : NULL;
		if (!close)
			return bad(format, e);
		AX_TRY(split_field(p + 1, (size_t)(close - p - 1), &f, format, e));
		AX_TRY(add_field(b, data, &f, format, arg, n_arg, e));
		p = close + 1;
	}
	return b->oom ? ax_fail(e, AX_EMEM, "out of memory") : 0;
}
