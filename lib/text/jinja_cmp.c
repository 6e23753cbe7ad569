/* Equality and order of Python values. */
#include <math.h>
#include <string.h>

#include "text/jinja_impl.h"

static bool equal(struct axj *r, struct axj_val x, struct axj_val y, int depth);

static bool lists_equal(struct axj *r, struct axj_list *x, struct axj_list *y, int depth)
{
	if (x == y)
		return true;
	if (axj_fill_list(r, x) || axj_fill_list(r, y) || x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++)
		if (!equal(r, x->v[i], y->v[i], depth + 1))
			return false;
	return true;
}

static bool dicts_equal(struct axj *r, struct axj_dict *x, struct axj_dict *y, int depth)
{
	if (x == y)
		return true;
	if (axj_fill_dict(r, x) || axj_fill_dict(r, y) || x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++) {
		size_t at = 0;

		if (axj_dict_find(r, y, x->kv[i].k, &at) || at == y->n || !equal(r, x->kv[i].v, y->kv[at].v, depth + 1))
			return false;
	}
	return true;
}

/* Is item i of the view x, of keys or pairs, also in y? */
static int view_has(struct axj *r, struct axj_val x, size_t i, struct axj_val y, int depth, bool *has)
{
	struct axj_pair item = x.u.d->kv[i];
	const struct axj_list *pair;
	size_t at = 0;

	*has = false;
	if (x.sub == AXJ_KEYS && y.sub == AXJ_ITEMS) { /* a key that is a pair itself */
		pair = item.k.u.l;
		if (item.k.t != AXJ_TUPLE || pair->n != 2)
			return 0;
		item = (struct axj_pair){pair->v[0], pair->v[1]};
	} else if (x.sub == AXJ_ITEMS && y.sub == AXJ_KEYS) { /* a pair that is a key */
		AX_TRY(axj_new_list(r, AXJ_TUPLE, 2, &item.k));
		AX_TRY(axj_append(r, item.k.u.l, x.u.d->kv[i].k));
		AX_TRY(axj_append(r, item.k.u.l, x.u.d->kv[i].v));
	}
	if (!axj_hashable(item.k))
		return 0;
	AX_TRY(axj_dict_find(r, y.u.d, item.k, &at));
	*has = at < y.u.d->n && (y.sub == AXJ_KEYS || equal(r, item.v, y.u.d->kv[at].v, depth + 1));
	return 0;
}

/* Is all of x in y? Views of keys and of pairs compare as sets. */
static int view_within(struct axj *r, struct axj_val x, struct axj_val y, int depth, bool *within)
{
	*within = true;
	AX_TRY(axj_fill_dict(r, x.u.d));
	AX_TRY(axj_fill_dict(r, y.u.d));
	for (size_t i = 0; i < x.u.d->n && *within; i++)
		AX_TRY(view_has(r, x, i, y, depth, within));
	return 0;
}

static bool is_set(struct axj_val v)
{
	return v.t == AXJ_VIEW && v.sub != AXJ_VALUES;
}

static bool views_equal(struct axj *r, struct axj_val x, struct axj_val y, int depth)
{
	bool within;

	if (!is_set(x) || !is_set(y))
		return x.src == y.src;
	return !view_within(r, x, y, depth, &within) && within && x.u.d->n == y.u.d->n;
}

/* -1, 0 or 1 by the exact values; 2 if one is not a number. */
static int compare_numbers(struct axj *r, struct axj_val x, struct axj_val y)
{
	double fx, fy;
	struct axj_val *f = x.t == AXJ_FLOAT ? &x : &y;

	if (axj_is_int(x) && axj_is_int(y))
		return (axj_as_int(x) > axj_as_int(y)) - (axj_as_int(x) < axj_as_int(y));
	if (x.t != AXJ_FLOAT && y.t != AXJ_FLOAT)
		return axj_big_compare(x, y);
	fx = axj_as_float(x);
	fy = axj_as_float(y);
	if (isnan(fx) || isnan(fy))
		return 2;
	/* An integer that a float cannot hold: both as integers. */
	if (x.t != y.t && fx == fy && fabs(fx) >= 9007199254740992.0 && !isinf(f->u.f)) {
		if (axj_big_truncate(r, f->u.f, f))
			return 2;
		return axj_big_compare(x, y);
	}
	return isinf(fx) && fx == fy && x.t != y.t ? (f == &x ? fx > 0 : fx < 0) ? 1 : -1 : (fx > fy) - (fx < fy);
}

static bool equal(struct axj *r, struct axj_val x, struct axj_val y, int depth)
{
	r->steps++;
	if (axj_is_num(x) && axj_is_num(y))
		return compare_numbers(r, x, y) == 0;
	if (x.t != y.t || depth > AXJ_NESTED)
		return false;
	switch ((enum axj_type)x.t) {
	case AXJ_ABSENT:
	case AXJ_UNDEF:
	case AXJ_NONE:
		return true;
	case AXJ_STR:
		return axj_str_eq(x.u.s, y.u.s);
	case AXJ_LIST:
	case AXJ_TUPLE:
		return lists_equal(r, x.u.l, y.u.l, depth);
	case AXJ_DICT:
		return dicts_equal(r, x.u.d, y.u.d, depth);
	case AXJ_RANGE:
		return x.u.range->n == y.u.range->n &&
		       (x.u.range->n == 0 || (x.u.range->start == y.u.range->start &&
					      (x.u.range->n == 1 || x.u.range->step == y.u.range->step)));
	case AXJ_VIEW:
		return views_equal(r, x, y, depth);
	case AXJ_FUNC:
		return x.sub == y.sub;
	default:
		return x.u.it == y.u.it;
	}
}

bool axj_equal(struct axj *r, struct axj_val x, struct axj_val y)
{
	return equal(r, x, y, 0);
}

static bool holds(enum axj_cmp op, int c)
{
	return op == AXJ_LT ? c < 0 : op == AXJ_LE ? c <= 0 : op == AXJ_GT ? c > 0 : c >= 0;
}

static int order_lists(struct axj *r, enum axj_cmp op, struct axj_list *x, struct axj_list *y, int depth, bool *out);

/* Subsets. */
static int order_sets(struct axj *r, enum axj_cmp op, struct axj_val x, struct axj_val y, int depth, bool *out)
{
	bool more = op == AXJ_GT || op == AXJ_GE;

	AX_TRY(more ? view_within(r, y, x, depth, out) : view_within(r, x, y, depth, out));
	if (op == AXJ_LT || op == AXJ_GT)
		*out = *out && x.u.d->n != y.u.d->n;
	return 0;
}

static int order(struct axj *r, enum axj_cmp op, struct axj_val x, struct axj_val y, int depth, bool *out)
{
	static const char *const names[] = {"==", "!=", "<", "<=", ">", ">="};

	AX_TRY(axj_step(r, 1));
	if (axj_is_num(x) && axj_is_num(y)) {
		int c = compare_numbers(r, x, y);

		*out = c != 2 && holds(op, c);
		return 0;
	}
	if (x.t == AXJ_STR && y.t == AXJ_STR) {
		size_t n = x.u.s->n < y.u.s->n ? x.u.s->n : y.u.s->n;
		int c = memcmp(x.u.s->p, y.u.s->p, n); /* UTF-8 sorts as its code points */

		*out = holds(op, c ? c : (x.u.s->n > y.u.s->n) - (x.u.s->n < y.u.s->n));
		return 0;
	}
	if (is_set(x) && is_set(y))
		return order_sets(r, op, x, y, depth, out);
	if (x.t == y.t && (x.t == AXJ_LIST || x.t == AXJ_TUPLE) && depth < AXJ_NESTED)
		return order_lists(r, op, x.u.l, y.u.l, depth, out);
	if (x.t == AXJ_UNDEF || y.t == AXJ_UNDEF)
		return axj_raise_undef(r, x.t == AXJ_UNDEF ? x : y);
	return axj_raise(r, "TypeError", "'%s' not supported between instances of '%s' and '%s'", names[op], axj_type_name(x),
			 axj_type_name(y));
}

static int order_lists(struct axj *r, enum axj_cmp op, struct axj_list *x, struct axj_list *y, int depth, bool *out)
{
	AX_TRY(axj_fill_list(r, x));
	AX_TRY(axj_fill_list(r, y));
	for (size_t i = 0; i < x->n && i < y->n; i++)
		if (!equal(r, x->v[i], y->v[i], depth + 1))
			return order(r, op, x->v[i], y->v[i], depth + 1, out);
	*out = holds(op, (x->n > y->n) - (x->n < y->n));
	return 0;
}

int axj_order(struct axj *r, enum axj_cmp op, struct axj_val x, struct axj_val y, bool *out)
{
	return order(r, op, x, y, 0, out);
}
