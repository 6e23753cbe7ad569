/* Tests (`is ...`), and the check that the filters and tests a template names exist. */
#include <string.h>

#include "text/jinja_lib.h"

static int yes(struct axj_val *out, bool b)
{
	*out = axj_bool(b);
	return 0;
}

static int modulo(struct axj *r, struct axj_val x, struct axj_val y, int64_t want, struct axj_val *out)
{
	struct axj_val m;

	AX_TRY(axj_binary(r, AXJ_MOD, x, y, &m));
	return yes(out, axj_equal(r, m, axj_int(want)));
}

static AXJ_BUILTIN(t_odd)
{
	return modulo(r, self, axj_int(2), 1, out);
}

static AXJ_BUILTIN(t_even)
{
	return modulo(r, self, axj_int(2), 0, out);
}

static AXJ_BUILTIN(t_divisibleby)
{
	return modulo(r, self, a[0], 0, out);
}

static AXJ_BUILTIN(t_defined)
{
	return yes(out, self.t != AXJ_UNDEF);
}

static AXJ_BUILTIN(t_undefined)
{
	return yes(out, self.t == AXJ_UNDEF);
}

static int unhashable(struct axj *r, struct axj_val v)
{
	return axj_raise(r, "TypeError", "unhashable type: '%s'", axj_type_name(v));
}

static AXJ_BUILTIN(t_filter)
{
	if (!axj_hashable(self))
		return unhashable(r, self);
	return yes(out, self.t == AXJ_STR && axj_find_filter(self.u.s->p, self.u.s->n));
}

static AXJ_BUILTIN(t_test)
{
	if (!axj_hashable(self))
		return unhashable(r, self);
	return yes(out, self.t == AXJ_STR && axj_find_test(self.u.s->p, self.u.s->n));
}

static AXJ_BUILTIN(t_none)
{
	return yes(out, self.t == AXJ_NONE);
}

static AXJ_BUILTIN(t_boolean)
{
	return yes(out, self.t == AXJ_BOOL);
}

static AXJ_BUILTIN(t_false)
{
	return yes(out, self.t == AXJ_BOOL && !self.u.b);
}

static AXJ_BUILTIN(t_true)
{
	return yes(out, self.t == AXJ_BOOL && self.u.b);
}

static AXJ_BUILTIN(t_integer)
{
	return yes(out, self.t == AXJ_INT || self.t == AXJ_BIG);
}

static AXJ_BUILTIN(t_float)
{
	return yes(out, self.t == AXJ_FLOAT);
}

static AXJ_BUILTIN(t_number)
{
	return yes(out, axj_is_num(self));
}

/* islower, isupper: some cased character, and none of the other case. */
static int all_case(struct axj *r, struct axj_val v, bool upper, struct axj_val *out)
{
	struct axj_val s;

	AX_TRY(axj_to_str(r, v, &s));
	return yes(out, axj_all_case(s.u.s, upper));
}

static AXJ_BUILTIN(t_lower)
{
	return all_case(r, self, false, out);
}

static AXJ_BUILTIN(t_upper)
{
	return all_case(r, self, true, out);
}

static AXJ_BUILTIN(t_string)
{
	return yes(out, self.t == AXJ_STR);
}

static AXJ_BUILTIN(t_mapping)
{
	return yes(out, self.t == AXJ_DICT);
}

/* Has len() and is subscriptable; Undefined has both, but looking at its __getitem__ is allowed. */
static AXJ_BUILTIN(t_sequence)
{
	return yes(out, self.t == AXJ_STR || self.t == AXJ_LIST || self.t == AXJ_TUPLE || self.t == AXJ_DICT || self.t == AXJ_RANGE ||
				self.t == AXJ_UNDEF);
}

static AXJ_BUILTIN(t_iterable)
{
	return yes(out, axj_iterable(self));
}

static AXJ_BUILTIN(t_callable)
{
	return yes(out, self.t == AXJ_MACRO || self.t == AXJ_FUNC || self.t == AXJ_METHOD || self.t == AXJ_JOINER || self.t == AXJ_LOOP ||
				self.t == AXJ_UNDEF);
}

static AXJ_BUILTIN(t_sameas)
{
	if (self.t != a[0].t)
		return yes(out, false);
	switch ((enum axj_type)self.t) {
	case AXJ_NONE:
		return yes(out, true);
	case AXJ_BOOL:
	case AXJ_INT:
		return yes(out, axj_as_int(self) == axj_as_int(a[0]));
	case AXJ_FLOAT:
		return yes(out, false);
	case AXJ_STR:
		return yes(out, self.u.s == a[0].u.s || axj_str_eq(self.u.s, a[0].u.s));
	case AXJ_VIEW:
		return yes(out, self.src == a[0].src);
	default:
		return yes(out, self.u.it == a[0].u.it);
	}
}

static AXJ_BUILTIN(t_escaped)
{
	return yes(out, self.t == AXJ_STR && self.u.s->markup);
}

static int compare(struct axj *r, enum axj_cmp op, struct axj_val x, struct axj_val y, struct axj_val *out)
{
	bool b;

	AX_TRY(axj_compare(r, op, x, y, &b));
	return yes(out, b);
}

static AXJ_BUILTIN(t_in)
{
	return compare(r, AXJ_IN, self, a[0], out);
}

static AXJ_BUILTIN(t_eq)
{
	return compare(r, AXJ_EQ, self, a[0], out);
}

static AXJ_BUILTIN(t_ne)
{
	return compare(r, AXJ_NE, self, a[0], out);
}

static AXJ_BUILTIN(t_gt)
{
	return compare(r, AXJ_GT, self, a[0], out);
}

static AXJ_BUILTIN(t_ge)
{
	return compare(r, AXJ_GE, self, a[0], out);
}

static AXJ_BUILTIN(t_lt)
{
	return compare(r, AXJ_LT, self, a[0], out);
}

static AXJ_BUILTIN(t_le)
{
	return compare(r, AXJ_LE, self, a[0], out);
}

static const struct axj_builtin tests[] = {
	{"odd", "", t_odd},
	{"even", "", t_even},
	{"divisibleby", "num", t_divisibleby},
	{"defined", "", t_defined},
	{"undefined", "", t_undefined},
	{"filter", "", t_filter},
	{"test", "", t_test},
	{"none", "", t_none},
	{"boolean", "", t_boolean},
	{"false", "", t_false},
	{"true", "", t_true},
	{"integer", "", t_integer},
	{"float", "", t_float},
	{"lower", "", t_lower},
	{"upper", "", t_upper},
	{"string", "", t_string},
	{"mapping", "", t_mapping},
	{"number", "", t_number},
	{"sequence", "", t_sequence},
	{"iterable", "", t_iterable},
	{"callable", "", t_callable},
	{"sameas", "other", t_sameas},
	{"escaped", "", t_escaped},
	{"in", "seq", t_in},
	{"==", "b", t_eq},
	{"eq", "b", t_eq},
	{"equalto", "b", t_eq},
	{"!=", "b", t_ne},
	{"ne", "b", t_ne},
	{">", "b", t_gt},
	{"gt", "b", t_gt},
	{"greaterthan", "b", t_gt},
	{"ge", "b", t_ge},
	{">=", "b", t_ge},
	{"<", "b", t_lt},
	{"lt", "b", t_lt},
	{"lessthan", "b", t_lt},
	{"<=", "b", t_le},
	{"le", "b", t_le},
};

const struct axj_builtin *axj_find_test(const char *s, size_t n)
{
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (strlen(tests[i].name) == n && memcmp(tests[i].name, s, n) == 0)
			return &tests[i];
	return NULL;
}

/* ---- names in a template ---- */

static int check_node(struct axj_parser *p, const struct axj_node *n, bool soft)
{
	if (!n)
		return 0;
	if ((n->op == AXJ_FILTER || n->op == AXJ_TEST) && !n->fn && !soft)
		return ax_fail(p->e, AX_EDATA, AXJ_PLACE "TemplateAssertionError: No %s named '%.80s'.", AXJ_AT(n->line),
			       n->op == AXJ_FILTER ? "filter" : "test", n->val.u.s->p);
	if (n->op == AXJ_IF || n->op == AXJ_COND)
		soft = true;
	else if (n->op >= AXJ_FOR && n->op != AXJ_SET) /* a scope of its own */
		soft = false;
	for (; n; n = n->op == AXJ_IF ? n->c : NULL) {
		AX_TRY(check_node(p, n->a, soft));
		AX_TRY(check_node(p, n->b, soft));
		if (n->op != AXJ_IF)
			AX_TRY(check_node(p, n->c, soft));
		AX_TRY(axj_check_names(p, &n->body, soft));
		AX_TRY(axj_check_names(p, &n->other, soft));
		if (n->args) {
			AX_TRY(axj_check_names(p, &n->args->pos, soft));
			for (size_t i = 0; i < n->args->n_kw; i++)
				AX_TRY(check_node(p, n->args->kw[i].v, soft));
			AX_TRY(check_node(p, n->args->star, soft));
			AX_TRY(check_node(p, n->args->dstar, soft));
		}
		for (size_t i = 0; n->params && i < n->params->n; i++)
			AX_TRY(check_node(p, n->params->dflt[i], soft));
	}
	return 0;
}

int axj_check_names(struct axj_parser *p, const struct axj_body *body, bool soft)
{
	for (size_t i = 0; i < body->n; i++)
		AX_TRY(check_node(p, body->p[i], soft));
	return 0;
}
