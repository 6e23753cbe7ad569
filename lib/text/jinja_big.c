/* Integers beyond 64 bits: sign and 32-bit limbs, the lowest first. What fits 64 bits is always an AXJ_INT. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_impl.h"

#define MAX_LIMBS ((size_t)32768) /* a million bits */

struct num { /* an operand: |x|, without leading zero limbs */
	bool neg;
	size_t n;
	const uint32_t *d;
	uint32_t small[2];
};

static void load(struct num *x, struct axj_val v)
{
	uint64_t m;

	if (v.t == AXJ_BIG) {
		x->neg = v.u.big->neg;
		x->n = v.u.big->n;
		x->d = v.u.big->d;
		return;
	}
	x->neg = axj_as_int(v) < 0;
	m = x->neg ? 0 - (uint64_t)axj_as_int(v) : (uint64_t)axj_as_int(v);
	x->small[0] = (uint32_t)m;
	x->small[1] = (uint32_t)(m >> 32);
	x->n = x->small[1] ? 2 : x->small[0] ? 1 : 0;
	x->d = x->small;
}

static uint32_t *limbs(struct axj *r, size_t n)
{
	return n > MAX_LIMBS ? NULL : ax_arena_calloc(r->mem, n + 1, sizeof(uint32_t));
}

static int too_large(struct axj *r, size_t n)
{
	return n > MAX_LIMBS ? axj_limit(r, "too large a number") : axj_oom(r);
}

/* The value with limbs d[0..n), which it keeps. */
static int make(struct axj *r, bool neg, uint32_t *d, size_t n, struct axj_val *out)
{
	uint64_t m;

	while (n && !d[n - 1])
		n--;
	m = (n > 0 ? d[0] : 0) | (uint64_t)(n > 1 ? d[1] : 0) << 32;
	if (n < 2 || (n == 2 && m <= (uint64_t)INT64_MAX + neg)) {
		*out = axj_int(neg ? (int64_t)(0 - m) : (int64_t)m);
		return 0;
	}
	memset(out, 0, sizeof(*out));
	out->t = AXJ_BIG;
	out->u.big = ax_arena_alloc(r->mem, sizeof(*out->u.big));
	if (!out->u.big)
		return axj_oom(r);
	*out->u.big = (struct axj_big){neg, n, d};
	return 0;
}

static int compare_magnitude(const struct num *x, const struct num *y)
{
	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	for (size_t i = x->n; i-- > 0;)
		if (x->d[i] != y->d[i])
			return x->d[i] < y->d[i] ? -1 : 1;
	return 0;
}

int axj_big_compare(struct axj_val x, struct axj_val y)
{
	struct num a, b;

	load(&a, x);
	load(&b, y);
	if (a.neg != b.neg)
		return a.neg ? -1 : 1;
	return a.neg ? -compare_magnitude(&a, &b) : compare_magnitude(&a, &b);
}

/* |x| + |y|, or |x| - |y| where |x| >= |y| */
static int add(struct axj *r, const struct num *x, const struct num *y, bool minus, bool neg, struct axj_val *out)
{
	size_t n = (x->n > y->n ? x->n : y->n) + 1;
	uint32_t *d = limbs(r, n);
	int64_t carry = 0;

	if (!d)
		return too_large(r, n);
	for (size_t i = 0; i < n; i++) {
		int64_t a = i < x->n ? x->d[i] : 0, b = i < y->n ? y->d[i] : 0;

		carry += minus ? a - b : a + b;
		d[i] = (uint32_t)carry;
		carry >>= 32;
	}
	return make(r, neg, d, n, out);
}

static int add_signed(struct axj *r, const struct num *x, const struct num *y, bool y_neg, struct axj_val *out)
{
	if (x->neg == y_neg)
		return add(r, x, y, false, x->neg, out);
	if (compare_magnitude(x, y) >= 0)
		return add(r, x, y, true, x->neg, out);
	return add(r, y, x, true, y_neg, out);
}

static int multiply(struct axj *r, const struct num *x, const struct num *y, struct axj_val *out)
{
	size_t n = x->n + y->n;
	uint32_t *d = limbs(r, n);

	if (!d)
		return too_large(r, n);
	AX_TRY(axj_step(r, x->n * y->n >> 3));
	for (size_t i = 0; i < x->n; i++) {
		uint64_t carry = 0;

		for (size_t k = 0; k < y->n || carry; k++) {
			carry += d[i + k] + (k < y->n ? (uint64_t)x->d[i] * y->d[k] : 0);
			d[i + k] = (uint32_t)carry;
			carry >>= 32;
		}
	}
	return make(r, x->neg != y->neg, d, n, out);
}

/* d[0..n) divided by one limb, in place; returns the remainder. */
static uint32_t divide_small(uint32_t *d, size_t n, uint32_t by)
{
	uint64_t rest = 0;

	for (size_t i = n; i-- > 0;) {
		rest = rest << 32 | d[i];
		d[i] = (uint32_t)(rest / by);
		rest %= by;
	}
	return (uint32_t)rest;
}

/* One limb of a quotient: u[0..n] -= q * v[0..n), with v's top bit set (Knuth's algorithm D). */
static uint32_t divide_step(uint32_t *u, const uint32_t *v, size_t n)
{
	uint64_t top = (uint64_t)u[n] << 32 | u[n - 1], q = top / v[n - 1], rest = top % v[n - 1], mul = 0;
	int64_t borrow = 0;

	while (q >> 32 || (rest >> 32 == 0 && n > 1 && q * v[n - 2] > (rest << 32 | u[n - 2]))) {
		q--;
		rest += v[n - 1];
		if (rest >> 32)
			break;
	}
	for (size_t i = 0; i <= n; i++) {
		mul += i < n ? q * v[i] : 0;
		borrow += (int64_t)u[i] - (uint32_t)mul;
		u[i] = (uint32_t)borrow;
		borrow >>= 32;
		mul >>= 32;
	}
	if (borrow < 0) { /* one too many */
		uint64_t carry = 0;

		q--;
		for (size_t i = 0; i <= n; i++) {
			carry += (uint64_t)u[i] + (i < n ? v[i] : 0);
			u[i] = (uint32_t)carry;
			carry >>= 32;
		}
	}
	return (uint32_t)q;
}

static void shift_left(uint32_t *to, const uint32_t *from, size_t n, unsigned by)
{
	uint32_t carry = 0;

	for (size_t i = 0; i < n; i++) {
		to[i] = from[i] << by | carry;
		carry = by ? from[i] >> (32 - by) : 0;
	}
	to[n] = carry;
}

/* |x| / |y| into q[0..x->n], what is left into rest[0..y->n]. */
static int divide(struct axj *r, const struct num *x, const struct num *y, uint32_t **q, uint32_t **rest)
{
	size_t n = y->n;
	unsigned by = (unsigned)__builtin_clz(y->d[n - 1]);
	uint32_t *u = limbs(r, x->n + 1), *v = limbs(r, n);

	*q = limbs(r, x->n + 1);
	*rest = u;
	if (!u || !v || !*q)
		return too_large(r, x->n + 1);
	AX_TRY(axj_step(r, x->n * n >> 3));
	shift_left(u, x->d, x->n, by);
	shift_left(v, y->d, n, by);
	for (size_t i = x->n + 1 - n; x->n >= n && i-- > 0;)
		(*q)[i] = divide_step(u + i, v, n);
	for (size_t i = 0; i < n; i++)
		u[i] = u[i] >> by | (by ? u[i + 1] << (32 - by) : 0);
	return 0;
}

static int floor_divide(struct axj *r, enum axj_op op, const struct num *x, const struct num *y, struct axj_val *out)
{
	struct axj_val q, m, one = axj_int(1);
	uint32_t *dq, *dm;
	struct num a, b;

	AX_TRY(divide(r, x, y, &dq, &dm));
	AX_TRY(make(r, x->neg != y->neg, dq, x->n, &q));
	AX_TRY(make(r, x->neg, dm, x->n < y->n ? x->n : y->n, &m));
	if (x->neg != y->neg && axj_truth(m)) { /* towards minus infinity */
		load(&a, q);
		load(&b, one);
		AX_TRY(add_signed(r, &a, &b, true, &q));
		load(&a, m);
		AX_TRY(add_signed(r, &a, y, y->neg, &m));
	}
	*out = op == AXJ_MOD ? m : q;
	return 0;
}

static size_t bits(const struct num *x)
{
	return x->n ? 32 * x->n - (size_t)__builtin_clz(x->d[x->n - 1]) : 0;
}

/* The 64 bits below the highest one of |x|, the last of them set if any bit below is. */
static uint64_t top_bits(const struct num *x)
{
	size_t n = bits(x), low = n > 64 ? n - 64 : 0;
	uint64_t m = 0;
	bool sticky = false;

	for (size_t i = 0; i < 3 && low / 32 + i < x->n; i++) {
		uint64_t limb = x->d[low / 32 + i];

		if (i == 0)
			m = limb >> low % 32;
		else if (32 * i - low % 32 < 64)
			m |= limb << (32 * i - low % 32);
	}
	for (size_t i = 0; i < low && !sticky; i++)
		sticky = x->d[i / 32] >> i % 32 & 1;
	return m | sticky;
}

/* m * 2^e, rounded once, to even; m's last bit is sticky when it has 64. */
static double rounded(uint64_t m, int64_t e)
{
	int drop = m >> 53 ? 11 - __builtin_clzll(m) : 0;
	uint64_t half, rest;

	if (drop > 0) {
		half = (uint64_t)1 << (drop - 1);
		rest = m & (2 * half - 1);
		m >>= drop;
		m += rest > half || (rest == half && (m & 1));
	}
	return ldexp((double)m, (int)(e + drop));
}

double axj_big_float(struct axj_val v)
{
	struct num x;
	double f;

	load(&x, v);
	f = rounded(top_bits(&x), bits(&x) > 64 ? (int64_t)bits(&x) - 64 : 0);
	return x.neg ? -f : f;
}

int axj_big_truncate(struct axj *r, double f, struct axj_val *out)
{
	int e;
	uint64_t m = (uint64_t)ldexp(frexp(fabs(f), &e), 53);
	size_t shift = e > 53 ? (size_t)(e - 53) : 0, n = shift / 32 + 4;
	uint32_t *d = limbs(r, n);
	unsigned __int128 w = (unsigned __int128)m << shift % 32;

	if (!d)
		return too_large(r, n);
	if (e < 53)
		w = (uint64_t)fabs(f);
	for (size_t i = 0; i < 4; i++, w >>= 32)
		d[shift / 32 + i] = (uint32_t)w;
	return make(r, f < 0, d, n, out);
}

/* x / y, rounded once. */
static int true_divide(struct axj *r, const struct num *x, const struct num *y, struct axj_val *out)
{
	int64_t shift = 66 - (int64_t)bits(x) + (int64_t)bits(y);
	size_t up = shift > 0 ? ((size_t)shift + 31) / 32 : 0, n = x->n + up;
	uint32_t *d = limbs(r, n), *dq, *rest;
	struct num a = {.n = n, .d = d}, q = {0};
	bool sticky = false;
	double f;

	if (!d)
		return too_large(r, n);
	if (!x->n) {
		*out = axj_float(0);
		return 0;
	}
	memcpy(d + up, x->d, x->n * sizeof(*d));
	AX_TRY(divide(r, &a, y, &dq, &rest));
	for (size_t i = 0; i < y->n; i++)
		sticky = sticky || rest[i];
	q.n = n;
	q.d = dq;
	while (q.n && !q.d[q.n - 1])
		q.n--;
	f = rounded(top_bits(&q) | sticky, (bits(&q) > 64 ? (int64_t)bits(&q) - 64 : 0) - 32 * (int64_t)up);
	if (isinf(f))
		return axj_raise(r, "OverflowError", "integer division result too large for a float");
	*out = axj_float(x->neg != y->neg ? -f : f);
	return 0;
}

static int power(struct axj *r, struct axj_val x, uint64_t y, struct axj_val *out)
{
	struct num b;

	load(&b, x);
	if (b.n > 1 || (b.n && b.d[0] > 1))
		if (y > 32 * MAX_LIMBS || bits(&b) * y > 32 * MAX_LIMBS + 32)
			return axj_limit(r, "too large a number");
	for (*out = axj_int(1); y; y >>= 1) {
		if (y & 1)
			AX_TRY(axj_big_op(r, AXJ_MUL, *out, x, out));
		if (y > 1)
			AX_TRY(axj_big_op(r, AXJ_MUL, x, x, &x));
	}
	return 0;
}

int axj_big_op(struct axj *r, enum axj_op op, struct axj_val x, struct axj_val y, struct axj_val *out)
{
	struct num a, b;

	load(&a, x);
	load(&b, y);
	switch (op) {
	case AXJ_ADD:
	case AXJ_SUB:
		return add_signed(r, &a, &b, b.neg != (op == AXJ_SUB), out);
	case AXJ_MUL:
		return multiply(r, &a, &b, out);
	case AXJ_DIV:
		return true_divide(r, &a, &b, out);
	case AXJ_POW:
		if (b.n > 2)
			return a.n == 0 || (a.n == 1 && a.d[0] == 1) ? power(r, x, 2 + (b.d[0] & 1), out) : axj_limit(r, "too large a number");
		return power(r, x, b.d[0] | (uint64_t)(b.n > 1 ? b.d[1] : 0) << 32, out);
	default:
		return floor_divide(r, op, &a, &b, out);
	}
}

size_t axj_big_bits(struct axj_val v)
{
	struct num x;

	load(&x, v);
	return bits(&x);
}

int axj_big_parse(struct axj *r, const char *digits, size_t n, unsigned base, bool neg, struct axj_val *out)
{
	size_t cap = n / 5 + 2, len = 0; /* a digit has 5.2 bits at most */
	uint32_t *d;

	if (n > AXJ_MAX_DIGITS * 4)
		return axj_limit(r, "too large a number");
	d = limbs(r, cap);
	if (!d)
		return too_large(r, cap);
	for (size_t i = 0; i < n; i++) {
		uint64_t carry = (uint64_t)(digits[i] <= '9' ? digits[i] - '0' : (digits[i] | 32) - 'a' + 10);

		for (size_t k = 0; k < len; k++) {
			carry += (uint64_t)d[k] * base;
			d[k] = (uint32_t)carry;
			carry >>= 32;
		}
		if (carry)
			d[len++] = (uint32_t)carry;
	}
	return make(r, neg, d, len, out);
}

int axj_big_text(struct axj *r, struct axj_val v, unsigned base, char **text)
{
	static const char names[] = "0123456789abcdef";
	size_t n, at;
	struct num x;
	uint32_t *d;

	load(&x, v);
	if (base == 10 && bits(&x) > (size_t)(AXJ_MAX_DIGITS * 3.33))
		return axj_raise(r, "ValueError", "Exceeds the limit (%d digits) for integer string conversion; use sys.set_int_max_str_digits() to increase the limit",
				 AXJ_MAX_DIGITS);
	at = bits(&x) / (base == 2 ? 1 : base == 16 ? 4 : 3) + 4;
	*text = ax_arena_alloc(r->mem, at + 1);
	d = limbs(r, x.n);
	if (!*text || !d)
		return axj_oom(r);
	AX_TRY(axj_step(r, at * x.n >> 4));
	memcpy(d, x.d, x.n * sizeof(*d));
	(*text)[at] = '\0';
	for (n = x.n; n;) {
		(*text)[--at] = names[divide_small(d, n, base)];
		while (n && !d[n - 1])
			n--;
	}
	if (!x.n)
		(*text)[--at] = '0';
	if (x.neg)
		(*text)[--at] = '-';
	*text += at;
	return 0;
}
