/* Operators with Python's rules and messages. */
#include <math.h>
#include <string.h>

#include "text/jinja_impl.h"

static const char *symbol(enum axj_op op)
{
	static const char *const names[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

	return names[op - AXJ_ADD];
}

static int unsupported(struct axj *r, enum axj_op op, struct axj_val x, struct axj_val y)
{
	return axj_raise(r, "TypeError", "unsupported operand type(s) for %s: '%s' and '%s'", symbol(op), axj_type_name(x),
			 axj_type_name(y));
}

static int zero(struct axj *r, const char *what)
{
	return axj_raise(r, "ZeroDivisionError", "%s", what);
}

/* Python's floor division and modulo: the remainder has the sign of the divisor. y is not -1. */
static struct axj_val small_divmod(enum axj_op op, int64_t x, int64_t y)
{
	int64_t q = x / y, m = x % y;

	if (m && (m < 0) != (y < 0)) {
		q--;
		m += y;
	}
	return axj_int(op == AXJ_MOD ? m : q);
}

static int float_op(struct axj *r, enum axj_op op, double x, double y, struct axj_val *out);

static bool is_exact(int64_t i)
{
	return i >= -((int64_t)1 << 53) && i <= (int64_t)1 << 53;
}

/* Integers of any size; the common case of small ones first. */
static int int_op(struct axj *r, enum axj_op op, struct axj_val x, struct axj_val y, struct axj_val *out)
{
	bool small = axj_is_int(x) && axj_is_int(y), done = false;
	int64_t a = small ? axj_as_int(x) : 0, b = small ? axj_as_int(y) : 0, v = 0;

	if ((op == AXJ_DIV || op == AXJ_FLOORDIV || op == AXJ_MOD) && !axj_truth(y))
		return zero(r, op == AXJ_DIV ? "division by zero" : op == AXJ_MOD ? "integer modulo by zero" : "integer division or modulo by zero");
	if (op == AXJ_POW && axj_big_compare(y, axj_int(0)) < 0)
		return float_op(r, op, axj_as_float(x), axj_as_float(y), out);
	if (small && op == AXJ_DIV && is_exact(a) && is_exact(b)) {
		*out = axj_float((double)a / (double)b);
		return 0;
	}
	if (small && (op == AXJ_FLOORDIV || op == AXJ_MOD) && b != -1) {
		*out = small_divmod(op, a, b);
		return 0;
	}
	if (small && op == AXJ_ADD)
		done = !__builtin_add_overflow(a, b, &v);
	else if (small && op == AXJ_SUB)
		done = !__builtin_sub_overflow(a, b, &v);
	else if (small && op == AXJ_MUL)
		done = !__builtin_mul_overflow(a, b, &v);
	*out = axj_int(v);
	return done ? 0 : axj_big_op(r, op, x, y, out);
}

static int float_op(struct axj *r, enum axj_op op, double x, double y, struct axj_val *out)
{
	double v, m;
	bool wrapped;

	switch (op) {
	case AXJ_ADD:
		v = x + y;
		break;
	case AXJ_SUB:
		v = x - y;
		break;
	case AXJ_MUL:
		v = x * y;
		break;
	case AXJ_DIV:
		if (y == 0)
			return zero(r, "float division by zero");
		v = x / y;
		break;
	case AXJ_POW:
		if (x == 0 && y < 0)
			return zero(r, "0.0 cannot be raised to a negative power");
		v = pow(x, y);
		if (isnan(v) && !isnan(x) && !isnan(y))
			return axj_raise(r, "ValueError", "the power is a complex number: not supported");
		if (isinf(v) && !isinf(x) && !isinf(y))
			return axj_raise(r, "OverflowError", "(34, 'Numerical result out of range')");
		break;
	default:
		if (y == 0)
			return zero(r, op == AXJ_MOD ? "float modulo" : "float floor division by zero");
		m = fmod(x, y);
		wrapped = m != 0 && (m < 0) != (y < 0);
		if (op == AXJ_MOD) {
			v = wrapped ? m + y : m != 0 ? m : copysign(0, y);
		} else {
			v = (x - m) / y - wrapped;
			v = v != 0 ? floor(v) + (v - floor(v) > 0.5) : copysign(0, x / y);
		}
	}
	*out = axj_float(v);
	return 0;
}

static int repeat_str(struct axj *r, const struct axj_str *s, int64_t n, struct axj_val *out)
{
	struct axj_capture c;

	if (n > 0 && s->n && (uint64_t)n > AX_JINJA_OUTPUT / s->n)
		return axj_limit(r, "too much text");
	axj_capture_begin(r, &c);
	for (int64_t i = 0; i < n && s->n; i++)
		AX_TRY(axj_put_str(r, s));
	AX_TRY(axj_capture_end(r, &c, out));
	out->u.s->markup = s->markup;
	return 0;
}

static int repeat_list(struct axj *r, struct axj_val v, int64_t n, struct axj_val *out)
{
	struct axj_list *l = v.u.l;

	AX_TRY(axj_fill_list(r, l));
	AX_TRY(axj_new_list(r, (enum axj_type)v.t, 0, out));
	for (int64_t i = 0; i < n && l->n; i++)
		for (size_t k = 0; k < l->n; k++)
			AX_TRY(axj_append(r, out->u.l, l->v[k]));
	return 0;
}

static bool is_seq(struct axj_val v)
{
	return v.t == AXJ_STR || v.t == AXJ_LIST || v.t == AXJ_TUPLE;
}

static int multiply(struct axj *r, struct axj_val x, struct axj_val y, struct axj_val *out)
{
	struct axj_val seq = is_seq(x) ? x : y, n = is_seq(x) ? y : x;

	if (!is_seq(seq))
		return unsupported(r, AXJ_MUL, x, y);
	if (n.t == AXJ_BIG)
		return axj_raise(r, "OverflowError", "cannot fit 'int' into an index-sized integer");
	if (!axj_is_int(n))
		return axj_raise(r, "TypeError", "can't multiply sequence by non-int of type '%s'", axj_type_name(n));
	if (seq.t == AXJ_STR)
		return repeat_str(r, seq.u.s, axj_as_int(n), out);
	return repeat_list(r, seq, axj_as_int(n), out);
}

static int add(struct axj *r, struct axj_val x, struct axj_val y, struct axj_val *out)
{
	if (x.t == AXJ_STR && y.t == AXJ_STR)
		return axj_add_str(r, x, y, out);
	if ((x.t == AXJ_LIST || x.t == AXJ_TUPLE) && x.t == y.t) {
		AX_TRY(axj_fill_list(r, x.u.l));
		AX_TRY(axj_fill_list(r, y.u.l));
		AX_TRY(axj_new_list(r, (enum axj_type)x.t, x.u.l->n + y.u.l->n, out));
		for (size_t i = 0; i < x.u.l->n; i++)
			AX_TRY(axj_append(r, out->u.l, x.u.l->v[i]));
		for (size_t i = 0; i < y.u.l->n; i++)
			AX_TRY(axj_append(r, out->u.l, y.u.l->v[i]));
		return 0;
	}
	if (is_seq(x))
		return axj_raise(r, "TypeError", "can only concatenate %s (not \"%s\") to %s", axj_type_name(x), axj_type_name(y),
				 axj_type_name(x));
	return unsupported(r, AXJ_ADD, x, y);
}

int axj_binary(struct axj *r, enum axj_op op, struct axj_val x, struct axj_val y, struct axj_val *out)
{
	memset(out, 0, sizeof(*out));
	if (x.t == AXJ_STR && op == AXJ_MOD)
		return axj_percent(r, x, y, out);
	if (x.t == AXJ_UNDEF || y.t == AXJ_UNDEF)
		return axj_raise_undef(r, x.t == AXJ_UNDEF ? x : y);
	if (axj_is_num(x) && axj_is_num(y)) {
		if (x.t != AXJ_FLOAT && y.t != AXJ_FLOAT)
			return int_op(r, op, x, y, out);
		if ((x.t == AXJ_BIG && isinf(axj_as_float(x))) || (y.t == AXJ_BIG && isinf(axj_as_float(y))))
			return axj_raise(r, "OverflowError", "int too large to convert to float");
		return float_op(r, op, axj_as_float(x), axj_as_float(y), out);
	}
	if (op == AXJ_ADD)
		return add(r, x, y, out);
	if (op == AXJ_MUL)
		return multiply(r, x, y, out);
	return unsupported(r, op, x, y);
}

int axj_unary(struct axj *r, enum axj_op op, struct axj_val x, struct axj_val *out)
{
	memset(out, 0, sizeof(*out));
	if (x.t == AXJ_UNDEF)
		return axj_raise_undef(r, x);
	if (!axj_is_num(x))
		return axj_raise(r, "TypeError", "bad operand type for unary %s: '%s'", op == AXJ_NEG ? "-" : "+", axj_type_name(x));
	if (x.t == AXJ_FLOAT) {
		*out = axj_float(op == AXJ_NEG ? -x.u.f : x.u.f);
		return 0;
	}
	if (op == AXJ_NEG)
		return int_op(r, AXJ_SUB, axj_int(0), x, out);
	*out = x.t == AXJ_BIG ? x : axj_int(axj_as_int(x));
	out->src = 0;
	return 0;
}

int axj_contains(struct axj *r, struct axj_val item, struct axj_val in, bool *out)
{
	struct axj_list *l;
	size_t at = 0;

	*out = false;
	switch ((enum axj_type)in.t) {
	case AXJ_STR:
		if (item.t != AXJ_STR)
			return axj_raise(r, "TypeError", "'in <string>' requires string as left operand, not %s", axj_type_name(item));
		*out = axj_find(in.u.s, item.u.s, 0) != AXJ_UNKNOWN;
		return axj_step(r, in.u.s->n >> 8);
	case AXJ_DICT:
		AX_TRY(axj_dict_find(r, in.u.d, item, &at));
		*out = at < in.u.d->n;
		return 0;
	case AXJ_UNDEF:
		return 0;
	default:
		if (!axj_iterable(in))
			return axj_raise(r, "TypeError", "argument of type '%s' is not iterable", axj_type_name(in));
		AX_TRY(axj_items(r, in, &l));
		for (size_t i = 0; i < l->n && !*out; i++)
			*out = axj_equal(r, l->v[i], item);
		return axj_step(r, l->n);
	}
}

int axj_compare(struct axj *r, enum axj_cmp op, struct axj_val x, struct axj_val y, bool *out)
{
	switch (op) {
	case AXJ_EQ:
	case AXJ_NE:
		*out = axj_equal(r, x, y) == (op == AXJ_EQ);
		return axj_step(r, 1);
	case AXJ_IN:
	case AXJ_NOTIN:
		AX_TRY(axj_contains(r, x, y, out));
		*out = *out == (op == AXJ_IN);
		return 0;
	default:
		return axj_order(r, op, x, y, out);
	}
}

/* ---- slices ---- */

struct cut {
	int64_t from, to, step, n;
};

static int index_of(struct axj *r, struct axj_val v, int64_t dflt, int64_t *out)
{
	if (v.t == AXJ_NONE || v.t == AXJ_ABSENT) {
		*out = dflt;
		return 0;
	}
	if (v.t == AXJ_UNDEF)
		return axj_raise(r, "TypeError", "slice indices must be integers or None or have an __index__ method");
	if (v.t == AXJ_BIG) { /* beyond any length */
		*out = v.u.big->neg ? -INT64_MAX / 2 : INT64_MAX / 2;
		return 0;
	}
	if (!axj_is_int(v))
		return axj_raise(r, "TypeError", "slice indices must be integers or None or have an __index__ method");
	*out = axj_as_int(v);
	return 0;
}

static int64_t clamp(int64_t i, int64_t len, int64_t lo, int64_t hi)
{
	if (i < 0)
		i += len;
	return i < lo ? lo : i > hi ? hi : i;
}

/* Python's slice.indices. */
static int resolve(struct axj *r, struct axj_val from, struct axj_val to, struct axj_val step, int64_t len, struct cut *c)
{
	int64_t lo, hi;

	AX_TRY(index_of(r, step, 1, &c->step));
	if (c->step == 0)
		return axj_raise(r, "ValueError", "slice step cannot be zero");
	if (c->step < -INT64_MAX / 2 || c->step > INT64_MAX / 2)
		c->step = c->step < 0 ? -INT64_MAX / 2 : INT64_MAX / 2;
	lo = c->step > 0 ? 0 : -1;
	hi = c->step > 0 ? len : len - 1;
	AX_TRY(index_of(r, from, c->step > 0 ? lo : INT64_MAX, &c->from));
	AX_TRY(index_of(r, to, c->step > 0 ? hi : INT64_MIN, &c->to));
	c->from = clamp(c->from, len, lo, hi);
	c->to = to.t == AXJ_NONE || to.t == AXJ_ABSENT ? (c->step > 0 ? len : -1) : clamp(c->to, len, lo, hi);
	if (c->step > 0)
		c->n = c->to > c->from ? (c->to - c->from - 1) / c->step + 1 : 0;
	else
		c->n = c->from > c->to ? (c->from - c->to - 1) / -c->step + 1 : 0;
	return 0;
}

static int slice_str(struct axj *r, struct axj_str *s, const struct cut *c, struct axj_val *out)
{
	struct axj_capture cap;

	if (c->step == 1) {
		size_t from = axj_char_off(s, (size_t)c->from), to = from;

		if (c->n)
			to = axj_char_off(s, (size_t)(c->from + c->n));
		return axj_cut(r, s, from, to, out);
	}
	axj_capture_begin(r, &cap);
	AX_TRY(axj_step(r, (uint64_t)c->n));
	for (int64_t i = 0; i < c->n; i++) {
		size_t at = (size_t)(c->from + i * c->step), from = axj_char_off(s, at);

		AX_TRY(axj_put_sub(r, s, from, axj_char_off(s, at + 1)));
		if (s->n_char != s->n)
			AX_TRY(axj_step(r, at >> 6));
	}
	AX_TRY(axj_capture_end(r, &cap, out));
	out->u.s->markup = s->markup;
	return 0;
}

int axj_slice(struct axj *r, struct axj_val v, struct axj_val from, struct axj_val to, struct axj_val step, struct axj_val *out)
{
	struct axj_list *l;
	struct cut c;

	if (v.t == AXJ_UNDEF)
		return axj_raise_undef(r, v);
	if (v.t == AXJ_DICT)
		return axj_raise(r, "TypeError", "unhashable type: 'slice'");
	if (v.t == AXJ_STR) {
		AX_TRY(resolve(r, from, to, step, (int64_t)axj_len_chars(v.u.s), &c));
		return slice_str(r, v.u.s, &c, out);
	}
	if (v.t != AXJ_LIST && v.t != AXJ_TUPLE && v.t != AXJ_RANGE)
		return axj_raise(r, "TypeError", "'%s' object is not subscriptable", axj_type_name(v));
	AX_TRY(axj_items(r, v, &l));
	AX_TRY(resolve(r, from, to, step, (int64_t)l->n, &c));
	if (v.t == AXJ_RANGE) {
		const struct axj_range *x = v.u.range;

		*out = v;
		out->u.range = ax_arena_alloc(r->mem, sizeof(*x));
		if (!out->u.range)
			return axj_oom(r);
		*out->u.range = (struct axj_range){x->start + c.from * x->step, x->start + c.to * x->step, x->step * c.step, c.n};
		return 0;
	}
	AX_TRY(axj_new_list(r, (enum axj_type)v.t, (size_t)c.n, out));
	for (int64_t i = 0; i < c.n; i++)
		AX_TRY(axj_append(r, out->u.l, l->v[c.from + i * c.step]));
	return 0;
}
