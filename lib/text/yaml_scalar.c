/* Plain scalars: the implicit types of YAML 1.1, with PyYAML's spelling of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/yaml.h"

#define DEC "0123456789"
#define DEC_ "0123456789_"
#define HEX_ "0123456789abcdefABCDEF_"

/* Text being matched; i moves forward. */
struct scan {
	const char *s;
	size_t n, i;
};

static size_t span(struct scan *c, const char *set)
{
	size_t from = c->i;

	while (c->i < c->n && c->s[c->i] && strchr(set, c->s[c->i]))
		c->i++;
	return c->i - from;
}

static bool one(struct scan *c, const char *set)
{
	if (c->i == c->n || !c->s[c->i] || !strchr(set, c->s[c->i]))
		return false;
	c->i++;
	return true;
}

static bool is_one_of(const char *s, size_t n, const char *const *words)
{
	for (; *words; words++)
		if (strlen(*words) == n && memcmp(*words, s, n) == 0)
			return true;
	return false;
}

/* Value of digits in a base, underscores skipped; saturates into *f when it does not fit. */
static bool digits_value(const char *s, size_t n, unsigned base, uint64_t *u, double *f)
{
	bool fits = true;

	*u = 0;
	*f = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned d;

		if (s[i] == '_')
			continue;
		d = s[i] <= '9' ? (unsigned)(s[i] - '0') : (unsigned)((s[i] | 32) - 'a' + 10);
		*f = *f * base + d;
		fits = fits && !__builtin_mul_overflow(*u, (uint64_t)base, u) && !__builtin_add_overflow(*u, (uint64_t)d, u);
	}
	return fits && *u <= (uint64_t)INT64_MAX;
}

/* Correctly rounded value of decimal text with underscores. */
static double decimal_value(const char *s, size_t n)
{
	char small[128], *t = n < sizeof(small) ? small : ax_malloc(n + 1);
	size_t k = 0;
	double f;

	if (!t)
		return (double)NAN;
	for (size_t i = 0; i < n; i++)
		if (s[i] != '_')
			t[k++] = s[i];
	t[k] = '\0';
	f = strtod(t, NULL);
	if (t != small)
		ax_free(t);
	return f;
}

static void set_int(struct ax_val *v, bool neg, bool fits, uint64_t u, double f)
{
	if (fits) {
		v->type = AX_INT;
		v->u.i = neg ? -(int64_t)u : (int64_t)u;
	} else if (neg && u == (uint64_t)1 << 63 && f < 9.3e18) {
		v->type = AX_INT;
		v->u.i = INT64_MIN;
	} else {
		v->type = AX_FLOAT;
		v->u.f = neg ? -f : f;
	}
}

/* 0b1, 0x1, 017. */
static bool prefixed_int(struct ax_val *v, struct scan c, bool neg)
{
	static const char bin[] = "01_", oct[] = "01234567_";
	const char *set = oct;
	size_t from = c.i + 1, digits = 0;
	unsigned base = 8;
	uint64_t u;
	double f;
	bool fits;

	if (c.s[c.i] != '0' || c.n - c.i < 2)
		return false;
	if (c.s[from] == 'b' || c.s[from] == 'x') {
		base = c.s[from] == 'b' ? 2 : 16;
		set = base == 2 ? bin : HEX_;
		from++;
	}
	c.i = from;
	if (!span(&c, set) || c.i != c.n)
		return false;
	for (size_t i = from; i < c.n; i++)
		digits += c.s[i] != '_';
	if (base != 8 && !digits) /* PyYAML raises on 0x_ */
		return false;
	fits = digits_value(c.s + from, c.n - from, base, &u, &f);
	set_int(v, neg, fits, u, f);
	return true;
}

/* The ":SS" parts of base-60 numbers after the first part `head`. */
static bool sexagesimal(struct scan *c, double head, int64_t ihead, bool exact, double *f, int64_t *i)
{
	bool any = false;

	*f = head;
	*i = ihead;
	while (c->i < c->n && c->s[c->i] == ':') {
		size_t from = ++c->i, n = span(c, DEC);
		int part;

		if (n == 0 || n > 2 || (n == 2 && c->s[from] > '5'))
			return false;
		part = n == 2 ? (c->s[from] - '0') * 10 + (c->s[from + 1] - '0') : c->s[from] - '0';
		*f = *f * 60 + part;
		exact = exact && !__builtin_mul_overflow(*i, (int64_t)60, i) && !__builtin_add_overflow(*i, (int64_t)part, i);
		any = true;
	}
	if (!exact)
		*i = -1;
	return any;
}

static bool plain_int(struct ax_val *v, const char *s, size_t n)
{
	struct scan c = {s, n, 0};
	bool neg = n && s[0] == '-', fits;
	size_t from;
	uint64_t u;
	double f;
	int64_t i;

	one(&c, "+-");
	if (c.i == n)
		return false;
	if (prefixed_int(v, c, neg))
		return true;
	from = c.i;
	if (n - c.i == 1 && s[c.i] == '0') {
		set_int(v, false, true, 0, 0);
		return true;
	}
	if (!one(&c, "123456789"))
		return false;
	span(&c, DEC_);
	fits = digits_value(s + from, c.i - from, 10, &u, &f);
	if (c.i == n) {
		set_int(v, neg, fits, u, fits ? f : decimal_value(s + from, n - from));
		return true;
	}
	if (!sexagesimal(&c, f, fits ? (int64_t)u : 0, fits, &f, &i) || c.i != n)
		return false;
	set_int(v, neg, i >= 0, i >= 0 ? (uint64_t)i : 0, f);
	return true;
}

/* 1:30.5: every part is a float of its own, summed from the last. */
static bool base60_float(struct ax_val *v, const char *s, size_t n, bool neg)
{
	struct scan c = {s, n, neg || s[0] == '+' ? 1 : 0};
	size_t from = c.i, part[64], n_part = 0;
	double f = 0, base = 1;

	if (!one(&c, DEC))
		return false;
	span(&c, DEC_);
	part[n_part++] = from;
	while (c.i < n && s[c.i] == ':') {
		size_t k;

		part[n_part++] = ++c.i;
		k = span(&c, DEC);
		if (k == 0 || k > 2 || (k == 2 && s[c.i - 2] > '5') || n_part == 64)
			return false;
	}
	if (n_part < 2 || !one(&c, "."))
		return false;
	span(&c, DEC_);
	if (c.i != n)
		return false;
	for (size_t k = n_part; k-- > 0; base *= 60) {
		size_t end = k + 1 < n_part ? part[k + 1] - 1 : n;

		f += decimal_value(s + part[k], end - part[k]) * base;
	}
	v->type = AX_FLOAT;
	v->u.f = neg ? -f : f;
	return true;
}

static bool plain_float(struct ax_val *v, const char *s, size_t n)
{
	static const char *const inf[] = {".inf", ".Inf", ".INF", NULL}, *const nans[] = {".nan", ".NaN", ".NAN", NULL};
	struct scan c = {s, n, 0};
	bool sign = one(&c, "+-"), neg = sign && s[0] == '-';

	v->type = AX_FLOAT;
	if (is_one_of(s + c.i, n - c.i, inf)) {
		v->u.f = neg ? -HUGE_VAL : HUGE_VAL;
		return true;
	}
	if (!sign && is_one_of(s, n, nans)) {
		v->u.f = (double)NAN;
		return true;
	}
	if (one(&c, DEC)) {
		span(&c, DEC_);
		if (!one(&c, "."))
			return base60_float(v, s, n, neg);
		span(&c, DEC_);
	} else if (sign || !one(&c, ".") || !one(&c, DEC)) {
		return false;
	} else {
		span(&c, DEC_);
	}
	if (c.i < n && (!one(&c, "eE") || !one(&c, "+-") || !span(&c, DEC)))
		return false;
	if (c.i != n)
		return false;
	v->u.f = decimal_value(s, n);
	return true;
}

static bool plain_word(struct ax_val *v, const char *s, size_t n)
{
	static const char *const yes[] = {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL};
	static const char *const no[] = {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", NULL};
	static const char *const null[] = {"~", "null", "Null", "NULL", "", NULL};

	if (is_one_of(s, n, null)) {
		v->type = AX_NULL;
		return true;
	}
	v->type = AX_BOOL;
	v->u.b = is_one_of(s, n, yes);
	return v->u.b || is_one_of(s, n, no);
}

struct ax_val *ax_yaml_plain(struct ax_arena *a, const char *s, size_t n)
{
	struct ax_val *v = ax_arena_calloc(a, 1, sizeof(*v));

	if (!v)
		return NULL;
	if (plain_word(v, s, n) || plain_float(v, s, n) || plain_int(v, s, n))
		return v;
	v->type = AX_STR;
	v->terminated = true;
	v->n = n;
	v->u.s = ax_arena_strndup(a, s, n);
	return v->u.s ? v : NULL;
}
