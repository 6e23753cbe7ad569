/* Attributes and methods of int, bool, float and range. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja_lib.h"

#define COUNT(t) (sizeof(t) / sizeof((t)[0]))

int axj_num_attr(struct axj *r, struct axj_val v, const struct axj_str *name, struct axj_val *out)
{
	struct axj_val key = {.t = AXJ_STR};
	bool whole = axj_is_int(v) || v.t == AXJ_BIG;

	key.u.s = (struct axj_str *)(uintptr_t)name;
	if (v.t == AXJ_RANGE) {
		if (axj_is_str(key, "start"))
			*out = axj_int(v.u.range->start);
		else if (axj_is_str(key, "stop"))
			*out = axj_int(v.u.range->stop);
		else if (axj_is_str(key, "step"))
			*out = axj_int(v.u.range->step);
	} else if (axj_is_str(key, "real") || (whole && axj_is_str(key, "numerator"))) {
		return axj_unary(r, AXJ_POS, v, out);
	} else if (axj_is_str(key, "imag")) {
		*out = whole ? axj_int(0) : axj_float(0);
	} else if (whole && axj_is_str(key, "denominator")) {
		*out = axj_int(1);
	}
	return 0;
}

static AXJ_BUILTIN(n_conjugate)
{
	return axj_unary(r, AXJ_POS, self, out);
}

static AXJ_BUILTIN(n_bit_length)
{
	*out = axj_int((int64_t)axj_big_bits(self));
	return 0;
}

static AXJ_BUILTIN(n_bit_count)
{
	int64_t n = 0;
	char *text;

	AX_TRY(axj_big_text(r, self, 2, &text));
	for (; *text; text++)
		n += *text == '1';
	*out = axj_int(n);
	return 0;
}

static int pair(struct axj *r, struct axj_val x, struct axj_val y, struct axj_val *out)
{
	AX_TRY(axj_new_list(r, AXJ_TUPLE, 2, out));
	AX_TRY(axj_append(r, out->u.l, x));
	return axj_append(r, out->u.l, y);
}

static AXJ_BUILTIN(n_ratio)
{
	struct axj_val x, y = axj_int(1), two;
	double f;
	int e;

	if (self.t != AXJ_FLOAT) {
		AX_TRY(axj_unary(r, AXJ_POS, self, &x));
		return pair(r, x, y, out);
	}
	if (!isfinite(self.u.f))
		return axj_raise(r, isnan(self.u.f) ? "ValueError" : "OverflowError", "cannot convert %s to integer ratio", isnan(self.u.f) ? "NaN" : "Infinity");
	for (f = frexp(self.u.f, &e); f != floor(f); e--)
		f *= 2;
	AX_TRY(axj_big_truncate(r, f, &x));
	AX_TRY(axj_binary(r, AXJ_POW, axj_int(2), axj_int(e < 0 ? -e : e), &two));
	if (e < 0)
		y = two;
	else
		AX_TRY(axj_binary(r, AXJ_MUL, x, two, &x));
	return pair(r, x, y, out);
}

static AXJ_BUILTIN(f_is_integer)
{
	*out = axj_bool(isfinite(self.u.f) && self.u.f == floor(self.u.f));
	return 0;
}

static AXJ_BUILTIN(f_hex)
{
	char t[64];

	if (!isfinite(self.u.f))
		snprintf(t, sizeof(t), "%s", isnan(self.u.f) ? "nan" : self.u.f < 0 ? "-inf" : "inf");
	else if (self.u.f == 0)
		snprintf(t, sizeof(t), "%s0x0.0p+0", signbit(self.u.f) ? "-" : "");
	else
		snprintf(t, sizeof(t), "%.13a", self.u.f);
	return axj_made_from(r, t, strlen(t), self, out);
}

static AXJ_BUILTIN(r_count)
{
	struct axj_list *l;
	int64_t n = 0;

	AX_TRY(axj_items(r, self, &l));
	for (size_t i = 0; i < l->n; i++)
		n += axj_equal(r, l->v[i], a[0]);
	*out = axj_int(n);
	return 0;
}

static AXJ_BUILTIN(r_index)
{
	struct axj_list *l;

	AX_TRY(axj_items(r, self, &l));
	for (size_t i = 0; i < l->n; i++)
		if (axj_equal(r, l->v[i], a[0])) {
			*out = axj_int((int64_t)i);
			return 0;
		}
	return axj_raise(r, "ValueError", "%s is not in range", axj_repr_text(r, a[0]));
}

static const struct axj_builtin ints[] = {
	{"conjugate", "", n_conjugate},
	{"bit_length", "", n_bit_length},
	{"bit_count", "", n_bit_count},
	{"as_integer_ratio", "", n_ratio},
};
static const struct axj_builtin floats[] = {
	{"conjugate", "", n_conjugate},
	{"is_integer", "", f_is_integer},
	{"hex", "", f_hex},
	{"as_integer_ratio", "", n_ratio},
};
static const struct axj_builtin ranges[] = {{"count", "value", r_count}, {"index", "value", r_index}};

const struct axj_builtin *axj_find_num_method(struct axj_val v, const struct axj_str *name)
{
	const struct axj_builtin *t = v.t == AXJ_FLOAT ? floats : v.t == AXJ_RANGE ? ranges : ints;
	size_t n = v.t == AXJ_FLOAT ? COUNT(floats) : v.t == AXJ_RANGE ? COUNT(ranges) : COUNT(ints);

	for (size_t i = 0; i < n; i++)
		if (strlen(t[i].name) == name->n && memcmp(t[i].name, name->p, name->n) == 0)
			return &t[i];
	return NULL;
}
