/* Numbers of JSON: exact integers, correctly rounded floats. */
#include "text/json_impl.h"

#include <stdlib.h>
#include <string.h>

#define EXACT_DIGITS 15 /* a mantissa below 10^15 is exact in a double */
#define EXACT_POW10 22

static bool digit(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

/* By strtod, on a copy that ends. */
static int slow_float(const char *p, size_t n, double *f)
{
	char small[64], *s = small;

	if (n >= sizeof(small) && !(s = ax_malloc(n + 1)))
		return AX_EMEM;
	memcpy(s, p, n);
	s[n] = '\0';
	*f = strtod(s, NULL);
	if (s != small)
		ax_free(s);
	return 0;
}

/* A float of `digits` significant digits `mant` and decimal exponent `exp10`: exact in one operation, or by strtod. */
static int make_float(const char *p, size_t n, uint64_t mant, int digits, long exp10, double *f)
{
	static const double pow10[EXACT_POW10 + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
						      1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
						      1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

	if (digits > EXACT_DIGITS || exp10 < -EXACT_POW10 || exp10 > EXACT_POW10)
		return slow_float(p, n, f);
	*f = exp10 < 0 ? (double)mant / pow10[-exp10] : (double)mant * pow10[exp10];
	if (*p == '-')
		*f = -*f;
	return 0;
}

/* Digits at p into *mant (valid while *digits <= 18). */
static const char *read_digits(const char *p, const char *end, uint64_t *mant, int *digits)
{
	for (; digit(p, end); p++) {
		if (*digits < 19)
			*mant = *mant * 10 + (uint64_t)(*p - '0');
		if (*digits > 0 || *p != '0')
			*digits += *digits < 1000;
	}
	return p;
}

static const char *read_exponent(const char *p, const char *end, long *exp10)
{
	const char *q = p + 1;
	bool neg = q < end && *q == '-';
	long x = 0;

	if (q < end && (*q == '-' || *q == '+'))
		q++;
	if (!digit(q, end))
		return p;
	for (; digit(q, end); q++)
		if (x < 100000)
			x = x * 10 + (*q - '0');
	*exp10 += neg ? -x : x;
	return q;
}

static void make_int(const char *from, const char *p, uint64_t mant, int digits, struct ax_val *v)
{
	uint64_t max = (uint64_t)INT64_MAX + (*from == '-');

	if (digits > 19 || mant > max) {
		v->type = AX_STR;
		v->number = true;
		v->n = (size_t)(p - from);
		v->u.s = from;
		return;
	}
	v->u.i = *from == '-' ? (int64_t)(0 - mant) : (int64_t)mant;
}

int ax_json_number(const char **at, const char *end, struct ax_val *v)
{
	const char *from = *at, *p = from + (*from == '-'), *q;
	uint64_t mant = 0;
	int digits = 0;
	long exp10 = 0;

	if (!digit(p, end))
		return AX_EDATA;
	p = *p == '0' ? p + 1 : read_digits(p, end, &mant, &digits);
	q = p;
	if (end - p >= 2 && p[0] == '.' && digit(p + 1, end)) {
		q = read_digits(p + 1, end, &mant, &digits);
		exp10 = -(long)(q - p - 1);
	}
	if (q < end && (*q | 32) == 'e')
		q = read_exponent(q, end, &exp10);
	*at = q;
	if (q == p) {
		make_int(from, p, mant, digits, v);
		return 0;
	}
	v->type = AX_FLOAT;
	return make_float(from, (size_t)(q - from), mant, digits, exp10, &v->u.f);
}
