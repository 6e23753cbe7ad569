#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/json.h"

/* Does the decimal text read back as f? */
static bool reads_back(const char *s, double f)
{
	return strtod(s, NULL) == f;
}

/*
 * The shortest digits of f > 0 as d.ddde[+-]x. Nearest rounding to k digits finds them for the least k that works,
 * with one exception: below a power of two doubles lie twice as dense, so that at 16 digits the nearest decimal
 * may miss where the next one up reads back.
 */
static void shortest(char *s, size_t size, double f)
{
	int from = f < 2.3e-308 ? 0 : 14, exp;

	for (int k = from; k < 16; k++) {
		snprintf(s, size, "%.*e", k, f);
		if (reads_back(s, f))
			return;
		if (k == 15 && frexp(f, &exp) == 0.5 && s[16] != '9') {
			s[16]++; /* last of "d." and 15 digits */
			if (reads_back(s, f))
				return;
		}
	}
	snprintf(s, size, "%.16e", f);
}

/* Digits of s ("d.ddde-x") without the point and trailing zeros into `dig`; returns the decimal exponent. */
static int split(const char *s, char *dig, int *n_dig)
{
	int n = 0;

	for (; *s && *s != 'e'; s++)
		if (*s >= '0' && *s <= '9')
			dig[n++] = *s;
	while (n > 1 && dig[n - 1] == '0')
		n--;
	*n_dig = n;
	return *s ? atoi(s + 1) : 0;
}

void ax_write_float(struct ax_buf *b, double f)
{
	char s[40], dig[40];
	int n, x;

	if (isnan(f)) {
		ax_buf_adds(b, "nan");
		return;
	}
	if (signbit(f))
		ax_buf_addc(b, '-');
	f = fabs(f);
	if (isinf(f) || f == 0) {
		ax_buf_adds(b, f == 0 ? "0.0" : "inf");
		return;
	}
	shortest(s, sizeof(s), f);
	x = split(s, dig, &n);
	if (x < -4 || x >= 16) {
		ax_buf_addc(b, dig[0]);
		if (n > 1)
			ax_buf_addc(b, '.');
		ax_buf_add(b, dig + 1, (size_t)(n - 1));
		ax_buf_addf(b, "e%c%02d", x < 0 ? '-' : '+', abs(x));
		return;
	}
	if (x < 0) {
		ax_buf_adds(b, "0.");
		for (int i = -1; i > x; i--)
			ax_buf_addc(b, '0');
		ax_buf_add(b, dig, (size_t)n);
		return;
	}
	for (int i = 0; i <= x || i < n; i++) {
		if (i == x + 1)
			ax_buf_addc(b, '.');
		ax_buf_addc(b, i < n ? dig[i] : '0');
	}
	if (n <= x + 1)
		ax_buf_adds(b, ".0");
}

static const char *short_escape(unsigned char c)
{
	switch (c) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	case '\b':
		return "\\b";
	case '\f':
		return "\\f";
	default:
		return NULL;
	}
}

/* The character at p as \uXXXX or a pair; returns its length. The text is valid UTF-8. */
static size_t escape_char(struct ax_buf *b, const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	uint32_t c = n == 1 ? p[0] : p[0] & (0xffU >> (n + 1));

	if (n > left)
		n = left;
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	if (c >= 0x10000) {
		ax_buf_addf(b, "\\u%04x", 0xd800 + ((c - 0x10000) >> 10));
		c = 0xdc00 + (c & 0x3ff);
	}
	ax_buf_addf(b, "\\u%04x", c);
	return n;
}

void ax_json_write_str(struct ax_buf *b, const char *s, size_t n, unsigned flags)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t from = 0, i = 0;

	ax_buf_addc(b, '"');
	while (i < n) {
		unsigned char c = p[i];
		const char *esc;

		if (c >= 0x20 && c != '"' && c != '\\' && !((flags & AX_JSON_ASCII) && c >= 0x7f)) {
			i++;
			continue;
		}
		ax_buf_add(b, s + from, i - from);
		esc = short_escape(c);
		if (esc) {
			ax_buf_adds(b, esc);
			i++;
		} else {
			i += escape_char(b, p + i, n - i);
		}
		from = i;
	}
	if (from < n)
		ax_buf_add(b, s + from, n - from);
	ax_buf_addc(b, '"');
}

static void write_float(struct ax_buf *b, double f)
{
	if (isnan(f))
		ax_buf_adds(b, "NaN");
	else if (isinf(f))
		ax_buf_adds(b, f < 0 ? "-Infinity" : "Infinity");
	else
		ax_write_float(b, f);
}

static void new_line(struct ax_buf *b, unsigned flags, int depth)
{
	int width = flags & AX_JSON_INDENT4 ? 4 : 2;

	ax_buf_addc(b, '\n');
	for (int i = 0; i < depth * width; i++)
		ax_buf_addc(b, ' ');
}

static int by_key(const void *x, const void *y)
{
	const struct ax_pair *p = *(struct ax_pair *const *)x, *q = *(struct ax_pair *const *)y;
	size_t n = p->key_n < q->key_n ? p->key_n : q->key_n;
	int c = memcmp(p->key, q->key, n);

	return c ? c : (p->key_n > q->key_n) - (p->key_n < q->key_n);
}

static void write_val(struct ax_buf *b, const struct ax_val *v, unsigned flags, int depth);

static void before(struct ax_buf *b, size_t i, unsigned flags, int depth)
{
	bool indent = flags & (AX_JSON_INDENT2 | AX_JSON_INDENT4);

	if (i)
		ax_buf_adds(b, flags & AX_JSON_SPACED && !indent ? ", " : ",");
	if (indent)
		new_line(b, flags, depth);
}

static void write_list(struct ax_buf *b, const struct ax_val *v, unsigned flags, int depth)
{
	ax_buf_addc(b, '[');
	for (size_t i = 0; i < v->n; i++) {
		before(b, i, flags, depth + 1);
		write_val(b, v->u.item[i], flags, depth + 1);
	}
	if (v->n && flags & (AX_JSON_INDENT2 | AX_JSON_INDENT4))
		new_line(b, flags, depth);
	ax_buf_addc(b, ']');
}

static void write_map(struct ax_buf *b, const struct ax_val *v, unsigned flags, int depth)
{
	struct ax_pair **order = NULL;

	if (flags & AX_JSON_SORT && v->n) {
		order = ax_realloc_array(NULL, v->n, sizeof(struct ax_pair *));
		if (!order) {
			b->oom = true;
			return;
		}
		for (size_t i = 0; i < v->n; i++)
			order[i] = &v->u.pair[i];
		qsort(order, v->n, sizeof(struct ax_pair *), by_key);
	}
	ax_buf_addc(b, '{');
	for (size_t i = 0; i < v->n; i++) {
		const struct ax_pair *p = order ? order[i] : &v->u.pair[i];

		before(b, i, flags, depth + 1);
		ax_json_write_str(b, p->key, p->key_n, flags);
		ax_buf_adds(b, flags & (AX_JSON_SPACED | AX_JSON_INDENT2 | AX_JSON_INDENT4) ? ": " : ":");
		write_val(b, p->val, flags, depth + 1);
	}
	if (v->n && flags & (AX_JSON_INDENT2 | AX_JSON_INDENT4))
		new_line(b, flags, depth);
	ax_buf_addc(b, '}');
	ax_free(order);
}

static void write_val(struct ax_buf *b, const struct ax_val *v, unsigned flags, int depth)
{
	switch (v ? v->type : AX_NULL) {
	case AX_NULL:
		ax_buf_adds(b, "null");
		break;
	case AX_BOOL:
		ax_buf_adds(b, v->u.b ? "true" : "false");
		break;
	case AX_INT:
		ax_buf_addf(b, "%lld", (long long)v->u.i);
		break;
	case AX_FLOAT:
		write_float(b, v->u.f);
		break;
	case AX_STR:
		if (v->number)
			ax_buf_add(b, v->u.s, v->n);
		else
			ax_json_write_str(b, v->u.s, v->n, flags);
		break;
	case AX_LIST:
		write_list(b, v, flags, depth);
		break;
	case AX_MAP:
		write_map(b, v, flags, depth);
		break;
	}
}

void ax_json_write(struct ax_buf *b, const struct ax_val *v, unsigned flags)
{
	write_val(b, v, flags, 0);
}
