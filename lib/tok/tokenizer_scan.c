#include "tok/tokenizer_scan.h"

#include <stdlib.h>
#include <string.h>

#include "text/json.h"
#include "text/unicode.h"

static int fail_at(const struct ax_scan *s, const char *what, struct ax_err *e)
{
	return ax_fail(e, AX_EDATA, "byte %zu: %s", (size_t)(s->p - s->start), what);
}

char ax_scan_peek_far(struct ax_scan *s)
{
	if (s->p < s->end && *s->p == '\n')
		s->p++;
	while (s->end - s->p >= 4 && !memcmp(s->p, "    ", 4)) /* of lines set in */
		s->p += 4;
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
		s->p++;
	return s->p < s->end ? *s->p : '\0';
}

int ax_scan_open(struct ax_scan *s, char open, bool *more, struct ax_err *e)
{
	if (ax_scan_peek(s) != open)
		return fail_at(s, open == '{' ? "an object is expected" : "a list is expected", e);
	s->p++;
	*more = ax_scan_peek(s) != (open == '{' ? '}' : ']');
	if (!*more)
		s->p++;
	return 0;
}

int ax_scan_next(struct ax_scan *s, char close, bool *more, struct ax_err *e)
{
	char c = ax_scan_peek(s);

	if (c != ',' && c != close)
		return fail_at(s, "a comma or a closing bracket is expected", e);
	s->p++;
	*more = c == ',';
	return 0;
}

static int hex4(struct ax_scan *s, uint32_t *v, struct ax_err *e)
{
	if (s->end - s->p < 4)
		return fail_at(s, "cut escape", e);
	*v = 0;
	for (int i = 0; i < 4; i++, s->p++) {
		unsigned c = (unsigned char)*s->p;
		unsigned d = c - '0' < 10 ? c - '0' : (c | 32) - 'a' < 6 ? (c | 32) - 'a' + 10 : 16;

		if (d == 16)
			return fail_at(s, "malformed \\u escape", e);
		*v = *v << 4 | d;
	}
	return 0;
}

/* The escape at s->p (behind the backslash) into b. */
static int unescape(struct ax_scan *s, struct ax_buf *b, struct ax_err *e)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *k;
	uint32_t c, low;
	char utf8[4];

	if (s->p >= s->end)
		return fail_at(s, "cut escape", e);
	if (*s->p != 'u') {
		k = *s->p ? strchr(from, *s->p) : NULL;
		if (!k)
			return fail_at(s, "unknown escape", e);
		ax_buf_addc(b, to[k - from]);
		s->p++;
		return 0;
	}
	s->p++;
	AX_TRY(hex4(s, &c, e));
	if (c >= 0xD800 && c < 0xDC00 && s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u') {
		s->p += 2;
		AX_TRY(hex4(s, &low, e));
		if (low < 0xDC00 || low > 0xDFFF)
			return fail_at(s, "lone surrogate", e);
		c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
	} else if (c >= 0xD800 && c < 0xE000) {
		return fail_at(s, "lone surrogate", e);
	}
	ax_buf_add(b, utf8, ax_utf8_put(c, utf8));
	return 0;
}

int ax_scan_string(struct ax_scan *s, struct ax_slice *out, struct ax_buf *b, struct ax_err *e)
{
	const char *from;
	bool escaped = false;

	if (ax_scan_peek(s) != '"')
		return fail_at(s, "a string is expected", e);
	from = ++s->p;
	for (;;) {
		while (s->p < s->end && *s->p != '"' && *s->p != '\\' && (unsigned char)*s->p >= 0x20)
			s->p++;
		if (s->p >= s->end)
			return fail_at(s, "a string without end", e);
		if ((unsigned char)*s->p < 0x20)
			return fail_at(s, "a control character in a string", e);
		if (*s->p == '"')
			break;
		if (!escaped)
			ax_buf_reset(b);
		escaped = true;
		ax_buf_add(b, from, (size_t)(s->p - from));
		s->p++;
		AX_TRY(unescape(s, b, e));
		from = s->p;
	}
	if (escaped) {
		ax_buf_add(b, from, (size_t)(s->p - from));
		if (b->oom)
			return ax_fail(e, AX_EMEM, "out of memory");
		*out = (struct ax_slice){b->p, b->n};
	} else {
		*out = (struct ax_slice){from, (size_t)(s->p - from)};
	}
	s->p++;
	return 0;
}

int ax_scan_key(struct ax_scan *s, struct ax_slice *out, struct ax_buf *b, struct ax_err *e)
{
	AX_TRY(ax_scan_string(s, out, b, e));
	if (ax_scan_peek(s) != ':')
		return fail_at(s, "a colon is expected", e);
	s->p++;
	return 0;
}

int ax_scan_u32(struct ax_scan *s, uint32_t *v, struct ax_err *e)
{
	const char *from;
	uint64_t x = 0;

	ax_scan_peek(s);
	from = s->p;
	while (s->p < s->end && *s->p >= '0' && *s->p <= '9' && x <= UINT32_MAX)
		x = x * 10 + (uint64_t)(*s->p++ - '0');
	if (s->p == from || x > UINT32_MAX || (s->p < s->end && strchr("0123456789.eE+-", *s->p)))
		return fail_at(s, "a non-negative integer below 2^32 is expected", e);
	*v = (uint32_t)x;
	return 0;
}

#define TENS(n)                                                                                                        \
	1e##n##0, 1e##n##1, 1e##n##2, 1e##n##3, 1e##n##4, 1e##n##5, 1e##n##6, 1e##n##7, 1e##n##8, 1e##n##9

static const double power_of_ten[309] = {
    TENS(),   TENS(1),	TENS(2),  TENS(3),  TENS(4),  TENS(5),	TENS(6),  TENS(7),  TENS(8),  TENS(9),	TENS(10),
    TENS(11), TENS(12), TENS(13), TENS(14), TENS(15), TENS(16), TENS(17), TENS(18), TENS(19), TENS(20), TENS(21),
    TENS(22), TENS(23), TENS(24), TENS(25), TENS(26), TENS(27), TENS(28), TENS(29), 1e300,    1e301,	1e302,
    1e303,    1e304,	1e305,	  1e306,    1e307,    1e308};

/* Digits into a significand while they fit; *dropped counts those that do not. Returns how many there are. */
static size_t digits(struct ax_scan *s, uint64_t *sig, long *kept, long *dropped)
{
	const char *from = s->p;

	for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
		unsigned d = (unsigned)(*s->p - '0');

		if (!*dropped && (*sig < UINT64_MAX / 10 || (*sig == UINT64_MAX / 10 && d <= UINT64_MAX % 10))) {
			*sig = *sig * 10 + d;
			++*kept;
		} else {
			++*dropped;
		}
	}
	return (size_t)(s->p - from);
}

/* sig * 10^exp; false: too large. */
static bool scale(uint64_t sig, long exp, double *v)
{
	*v = (double)sig;
	for (; exp < -308 && *v != 0; exp += 308)
		*v /= 1e308;
	if (*v == 0)
		return true;
	if (exp > 308)
		return false;
	*v = exp < 0 ? *v / power_of_ten[-exp] : *v * power_of_ten[exp];
	return *v <= 1.7976931348623157e308;
}

int ax_scan_f64(struct ax_scan *s, double *v, struct ax_err *e)
{
	long exp = 0, kept = 0, dropped = 0, whole, power = 0;
	bool minus = ax_scan_peek(s) == '-', down = false, point;
	const char *from, *all = s->p;
	uint64_t sig = 0;
	char text[64];

	s->p += minus;
	from = s->p;
	if (!digits(s, &sig, &kept, &dropped) || (*from == '0' && s->p - from > 1))
		return fail_at(s, "a number is expected", e);
	exp = dropped;
	whole = kept;
	point = s->p < s->end && *s->p == '.';
	s->p += point;
	if (point && !digits(s, &sig, &kept, &dropped))
		return fail_at(s, "digits are expected", e);
	exp -= kept - whole;
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		s->p++;
		down = s->p < s->end && *s->p == '-';
		s->p += s->p < s->end && (*s->p == '-' || *s->p == '+');
		for (from = s->p; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
			power = power < 100000000 ? power * 10 + (*s->p - '0') : power;
		if (s->p == from)
			return fail_at(s, "an exponent is expected", e);
	}
	if (!scale(sig, exp + (down ? -power : power), v))
		return fail_at(s, "a number is too large", e);
	if (minus)
		*v = -*v;
	if (s->nearest && (size_t)(s->p - all) < sizeof(text)) {
		memcpy(text, all, (size_t)(s->p - all));
		text[s->p - all] = '\0';
		*v = strtod(text, NULL);
	}
	return 0;
}

/* Behind the closing quote of the string at s->p. */
static int skip_string(struct ax_scan *s, struct ax_err *e)
{
	for (s->p++; s->p < s->end; s->p++) {
		if (*s->p == '\\')
			s->p++;
		else if (*s->p == '"') {
			s->p++;
			return 0;
		}
	}
	s->p = s->end;
	return fail_at(s, "a string without end", e);
}

int ax_scan_skip(struct ax_scan *s, struct ax_slice *out, struct ax_err *e)
{
	char open[AX_JSON_DEPTH];
	int depth = 0;

	ax_scan_peek(s);
	out->p = s->p;
	do {
		char c = ax_scan_peek(s);

		if (!c && s->p >= s->end)
			return fail_at(s, "the text ends inside a value", e);
		if (c == '"') {
			AX_TRY(skip_string(s, e));
		} else if (c == '{' || c == '[') {
			if (depth == AX_JSON_DEPTH)
				return fail_at(s, "nested too deep", e);
			open[depth++] = c == '{' ? '}' : ']';
			s->p++;
		} else if (c == '}' || c == ']') {
			if (!depth || open[--depth] != c)
				return fail_at(s, "brackets do not match", e);
			s->p++;
		} else if (c == ',' || c == ':') {
			if (!depth)
				return fail_at(s, "a value is expected", e);
			s->p++;
		} else {
			const char *from = s->p;

			while (s->p < s->end && *s->p && !strchr(" \n\t\r,:{}[]\"", *s->p))
				s->p++;
			if (s->p == from)
				return fail_at(s, "a value is expected", e);
		}
	} while (depth);
	out->n = (size_t)(s->p - out->p);
	return 0;
}

bool ax_slice_is(struct ax_slice s, const char *text)
{
	return s.n == strlen(text) && !memcmp(s.p, text, s.n);
}
