/* Expressions. */
#include <string.h>

#include "text/jinja_impl.h"

#define SUM ((size_t)16) /* terms of a sum that are joined at once */

static bool is_plain(const struct axj_val *v)
{
	return v->t == AXJ_STR && !v->u.s->markup;
}

static int put_parts(struct axj *r, const struct axj_str *const *part, size_t n)
{
	for (size_t i = 0; i < n; i++)
		AX_TRY(axj_put_str(r, part[i]));
	return 0;
}

static int join(struct axj *r, const struct axj_str *const *part, size_t n, struct axj_val *out)
{
	struct axj_capture c;

	axj_capture_begin(r, &c);
	AX_TRY(put_parts(r, part, n));
	return axj_capture_end(r, &c, out);
}

static const struct axj_val missing; /* no value: it is certain that there is none */

/*
 * The value of v.key, where v is a dict of few keys or a namespace; &missing if the key is not there; NULL: it takes a
 * longer look. Steps as axj_dict_find counts them.
 */
static inline const struct axj_val *item(struct axj *r, const struct axj_val *v, const struct axj_str *key)
{
	const struct axj_dict *d = v->u.d;

	if ((d->src && !d->filled) || d->n >= AXJ_INDEX_FROM)
		return NULL;
	for (size_t i = 0; i < d->n; i++) {
		const struct axj_val *k = &d->kv[i].k;

		if (k->t == AXJ_STR && k->u.s->n == key->n && axj_same(k->u.s->p, key->p, key->n)) {
			r->steps += i;
			return &d->kv[i].v;
		}
	}
	r->steps += d->n;
	return &missing;
}

static inline const struct axj_val *known(struct axj *r, const struct axj_node *n, struct axj_val *room)
{
	const struct axj_val *v = axj_lookup(r, n->a->sym);

	if (n->quick == AXJ_Q_ITEM) {
		r->steps += 2;
		v = v->t == AXJ_DICT ? item(r, v, n->b->val.u.s) : NULL;
		return v == &missing ? NULL : v; /* an attribute, perhaps */
	}
	r->steps++;
	if (v->t == AXJ_NS || (v->t == AXJ_DICT && !(n->sym & AXJ_NOT_ITEM)))
		return item(r, v, n->val.u.s);
	if (v->t != AXJ_LOOP || (n->sym & AXJ_OF_LOOP) - 1 >= AXJ_LOOP_AT_ONCE)
		return NULL;
	*room = axj_loop_at_once(v->u.loop, n->sym & AXJ_OF_LOOP);
	return room;
}

/*
 * The value of an expression that is a constant, a variable or an item of one, where it stands: neither copied nor
 * computed; an attribute of a loop in *room. &missing: the item is not there. NULL: it is another expression, or a
 * limit is near, and evaluate() is to look at it. What is pointed at changes only when a statement or a method is run.
 */
static inline const struct axj_val *look(struct axj *r, const struct axj_node *n, struct axj_val *room)
{
	uint64_t steps = r->steps;
	const struct axj_val *v;

	if (n->quick == AXJ_SLOW || steps > AX_JINJA_STEPS - 2 * AXJ_INDEX_FROM || r->depth >= AXJ_EVAL_DEPTH)
		return NULL;
	r->steps = steps + 1;
	if (n->quick == AXJ_Q_CONST)
		return &n->val;
	if (n->quick == AXJ_Q_NAME) {
		v = axj_lookup(r, n->sym);
		v = v->t ? v : NULL;
	} else {
		v = known(r, n, room);
		if (v)
			r->line = n->line;
	}
	if (!v)
		r->steps = steps;
	return v;
}

/* The same for what has a value. */
static inline const struct axj_val *quick(struct axj *r, const struct axj_node *n, struct axj_val *room)
{
	uint64_t steps = r->steps;
	const struct axj_val *v = look(r, n, room);

	if (v != &missing)
		return v;
	r->steps = steps;
	return NULL;
}

static int evaluate(struct axj *r, const struct axj_node *n, struct axj_val *out);

/* The value by pointer: of what is quick where it stands, else in *room. */
static inline int eval_ref(struct axj *r, const struct axj_node *n, struct axj_val *room, const struct axj_val **out)
{
	*out = quick(r, n, room);
	if (*out)
		return 0;
	*out = room;
	return evaluate(r, n, room);
}

int axj_eval(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	const struct axj_val *v = quick(r, n, out);

	if (!v)
		return evaluate(r, n, out);
	*out = *v;
	return 0;
}

static int eval_name(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	*out = *axj_lookup(r, n->sym);
	if (out->t)
		return 0;
	if (axj_function(r->t->sym[n->sym], out))
		return 0;
	return axj_undef_name(r, r->t->sym[n->sym], out);
}

static int eval_list(struct axj *r, const struct axj_node *n, enum axj_type t, struct axj_val *out)
{
	struct axj_val v;

	AX_TRY(axj_new_list(r, t, n->body.n, out));
	for (size_t i = 0; i < n->body.n; i++) {
		AX_TRY(axj_eval(r, n->body.p[i], &v));
		AX_TRY(axj_append(r, out->u.l, v));
	}
	return 0;
}

static int eval_dict(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	struct axj_val k, v;

	AX_TRY(axj_new_dict(r, out));
	for (size_t i = 0; i + 1 < n->body.n; i += 2) {
		AX_TRY(axj_eval(r, n->body.p[i], &k));
		AX_TRY(axj_eval(r, n->body.p[i + 1], &v));
		AX_TRY(axj_dict_set(r, out->u.d, k, v));
	}
	return 0;
}

static int eval_concat(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	struct axj_capture c;
	struct axj_val v;

	axj_capture_begin(r, &c);
	for (size_t i = 0; i < n->body.n; i++) {
		AX_TRY(axj_eval(r, n->body.p[i], &v));
		AX_TRY(axj_put_val(r, v));
	}
	return axj_capture_end(r, &c, out);
}

/* One comparison of x with the right side of a link. */
static int compare(struct axj *r, const struct axj_node *n, const struct axj_node *link, const struct axj_val *x, const struct axj_val *y,
		   bool *yes)
{
	r->line = n->line;
	if (link->cmp <= AXJ_NE && x->t == AXJ_STR && y->t == AXJ_STR) {
		*yes = axj_str_eq(x->u.s, y->u.s) == (link->cmp == AXJ_EQ);
		return axj_step(r, 2);
	}
	return axj_compare(r, (enum axj_cmp)link->cmp, *x, *y, yes);
}

static int eval_compare(struct axj *r, const struct axj_node *n, bool *yes)
{
	struct axj_val left, right;
	const struct axj_val *x;

	if (n->body.n == 1 && n->body.p[0]->a->op == AXJ_CONST) {
		AX_TRY(eval_ref(r, n->a, &left, &x));
		AX_TRY(axj_step(r, 1));
		return compare(r, n, n->body.p[0], x, &n->body.p[0]->a->val, yes);
	}
	*yes = true;
	AX_TRY(axj_eval(r, n->a, &left));
	for (size_t i = 0; i < n->body.n && *yes; i++) {
		AX_TRY(axj_eval(r, n->body.p[i]->a, &right));
		AX_TRY(compare(r, n, n->body.p[i], &left, &right, yes));
		left = right;
	}
	return 0;
}

/* x and y, x or y: one of the two values. */
static int eval_logic(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	AX_TRY(axj_eval(r, n->a, out));
	return axj_truth(*out) == (n->op == AXJ_AND) ? axj_eval(r, n->b, out) : 0;
}

/* Operators whose truth needs no value. */
static int truth(struct axj *r, const struct axj_node *n, bool *yes)
{
	if (n->op == AXJ_COMPARE)
		return eval_compare(r, n, yes);
	AX_TRY(axj_eval_truth(r, n->a, yes));
	if (n->op == AXJ_NOT)
		*yes = !*yes;
	else if (*yes == (n->op == AXJ_AND))
		return axj_eval_truth(r, n->b, yes);
	return 0;
}

int axj_eval_truth(struct axj *r, const struct axj_node *n, bool *yes)
{
	struct axj_val room;
	const struct axj_val *v;
	int rc;

	if (n->op != AXJ_COMPARE && n->op != AXJ_NOT && n->op != AXJ_AND && n->op != AXJ_OR) {
		v = look(r, n, &room);
		if (!v) {
			v = &room;
			AX_TRY(evaluate(r, n, &room));
		}
		*yes = v->t == AXJ_BOOL ? v->u.b : axj_truth(*v);
		return 0;
	}
	AX_TRY(axj_step(r, 1));
	if (++r->depth > AXJ_EVAL_DEPTH)
		return axj_limit(r, "nested too deeply");
	rc = truth(r, n, yes);
	r->depth--;
	return rc;
}

static int eval_cond(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	bool yes;

	AX_TRY(axj_eval_truth(r, n->a, &yes));
	if (yes)
		return axj_eval(r, n->b, out);
	if (n->c)
		return axj_eval(r, n->c, out);
	return axj_undef_hint(r, "UndefinedError", out,
			      "the inline if-expression on line %u evaluated to false and no else section was defined.",
			      (unsigned)(n->line >> 32));
}

static int eval_slice(struct axj *r, const struct axj_node *n, struct axj_val v, struct axj_val *out)
{
	struct axj_val part[3] = {axj_none, axj_none, axj_none};
	const struct axj_node *at[3] = {n->a, n->b, n->c};

	for (int i = 0; i < 3; i++)
		if (at[i])
			AX_TRY(axj_eval(r, at[i], &part[i]));
	r->line = n->line;
	return axj_slice(r, v, part[0], part[1], part[2], out);
}

/* The attribute that AXJ_GETATTR names, of v. */
static int attribute(struct axj *r, const struct axj_node *n, struct axj_val v, struct axj_val *out)
{
	struct axj_str *name = n->val.u.s;
	size_t at;

	r->line = n->line;
	if (v.t == AXJ_NS || (v.t == AXJ_DICT && !(n->sym & AXJ_NOT_ITEM))) { /* an item, or nothing */
		AX_TRY(axj_dict_find(r, v.u.d, n->val, &at));
		if (at == v.u.d->n)
			return axj_undef_in(r, v, n->val, out);
		*out = v.u.d->kv[at].v;
		return 0;
	}
	if (v.t == AXJ_LOOP && n->sym & AXJ_OF_LOOP)
		return axj_loop_attr(r, v.u.loop, n->sym & AXJ_OF_LOOP, out);
	return axj_getattr(r, v, name, out);
}

static int eval_subscript(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	struct axj_val v, key;

	AX_TRY(axj_eval(r, n->a, &v));
	if (n->op == AXJ_GETATTR)
		return attribute(r, n, v, out);
	if (n->b->op == AXJ_SLICE)
		return eval_slice(r, n->b, v, out);
	AX_TRY(axj_eval(r, n->b, &key));
	r->line = n->line;
	return axj_getitem(r, v, key, out);
}

static int eval_call(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	const struct axj_node *name = n->a;
	struct axj_args args;
	struct axj_val fn, self;

	if (name->op == AXJ_GETATTR && name->fn) {
		AX_TRY(axj_eval(r, name->a, &self));
		if (self.t == AXJ_STR) /* a method that is known already */
			return axj_call_known(r, n, name, self, out);
		memset(&fn, 0, sizeof(fn));
		AX_TRY(attribute(r, name, self, &fn));
	} else {
		AX_TRY(axj_eval(r, name, &fn));
	}
	AX_TRY(axj_eval_args(r, n->args, &args));
	r->line = n->line;
	return axj_call(r, fn, &args, out);
}

static int eval_filter(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	struct axj_val room;
	const struct axj_val *v = look(r, n->a, &room);

	if (v == &missing && n->cmp && !n->args) { /* is it (un)defined? */
		r->line = n->line;
		*out = axj_bool(n->cmp == AXJ_ASKS_UNDEFINED);
		return 0;
	}
	if (v == &missing)
		AX_TRY(axj_undef_in(r, *axj_lookup(r, n->a->a->sym), n->a->val, &room));
	else if (!v)
		AX_TRY(evaluate(r, n->a, &room));
	if (!v || v == &missing)
		v = &room;
	if (!n->fn) {
		r->line = n->line;
		return axj_raise(r, "TemplateRuntimeError", "No %s named '%.80s' found.", n->op == AXJ_FILTER ? "filter" : "test",
				 n->val.u.s->p);
	}
	return axj_call_known(r, n, n, *v, out);
}

/*
 * The sum x + y + ... whose last + is n. As long as the terms are plain strings nothing is joined: they are handed out as
 * *n_part parts. Otherwise *n_part is 0 and *out the value.
 */
static int sum(struct axj *r, const struct axj_node *n, const struct axj_str *part[SUM], size_t *n_part, struct axj_val *out)
{
	const struct axj_node *plus[SUM - 1];
	size_t n_plus = 0, k = 0;
	const struct axj_val *y;
	struct axj_val room;

	for (; n->op == AXJ_ADD && n_plus < SUM - 1; n = n->a)
		plus[n_plus++] = n;
	AX_TRY(axj_eval(r, n, out));
	r->steps += n_plus;
	if (is_plain(out))
		part[k++] = out->u.s;
	while (n_plus-- > 0) {
		AX_TRY(eval_ref(r, plus[n_plus]->b, &room, &y));
		r->line = plus[n_plus]->line;
		if (k && is_plain(y)) {
			part[k++] = y->u.s;
			continue;
		}
		if (k > 1)
			AX_TRY(join(r, part, k, out));
		k = 0;
		AX_TRY(axj_binary(r, AXJ_ADD, *out, *y, &room));
		*out = room;
	}
	*n_part = k;
	return 0;
}

static int eval_sum(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	const struct axj_str *part[SUM];
	size_t n_part;

	AX_TRY(sum(r, n, part, &n_part, out));
	return n_part ? join(r, part, n_part, out) : 0;
}

int axj_eval_put(struct axj *r, const struct axj_node *n)
{
	const struct axj_str *part[SUM];
	const struct axj_val *v;
	struct axj_val room;
	size_t n_part = 0, bytes = r->rope->b.n;

	if (n->op != AXJ_ADD) {
		AX_TRY(eval_ref(r, n, &room, &v));
		r->line = n->line;
		return v->t == AXJ_STR ? axj_put_str(r, v->u.s) : axj_put_val(r, *v);
	}
	AX_TRY(sum(r, n, part, &n_part, &room));
	r->line = n->line;
	if (!n_part)
		return axj_put_val(r, room);
	AX_TRY(put_parts(r, part, n_part));
	return axj_step(r, (r->rope->b.n - bytes) >> 6);
}

static int eval_binary(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	const struct axj_val *y;
	struct axj_val x, room;
	int64_t v;

	AX_TRY(axj_eval(r, n->a, &x));
	AX_TRY(eval_ref(r, n->b, &room, &y));
	r->line = n->line;
	if (n->op == AXJ_SUB && x.t == AXJ_INT && y->t == AXJ_INT && !__builtin_sub_overflow(x.u.i, y->u.i, &v)) {
		*out = axj_int(v);
		return 0;
	}
	return axj_binary(r, (enum axj_op)n->op, x, *y, out);
}

static int eval(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	struct axj_val v;
	bool yes;

	switch ((enum axj_op)n->op) {
	case AXJ_MAKE_LIST:
		return eval_list(r, n, AXJ_LIST, out);
	case AXJ_MAKE_TUPLE:
		return eval_list(r, n, AXJ_TUPLE, out);
	case AXJ_MAKE_DICT:
		return eval_dict(r, n, out);
	case AXJ_CONCAT:
		return eval_concat(r, n, out);
	case AXJ_COMPARE:
	case AXJ_NOT:
		AX_TRY(truth(r, n, &yes));
		*out = axj_bool(yes);
		return 0;
	case AXJ_AND:
	case AXJ_OR:
		return eval_logic(r, n, out);
	case AXJ_COND:
		return eval_cond(r, n, out);
	case AXJ_GETATTR:
	case AXJ_GETITEM:
		return eval_subscript(r, n, out);
	case AXJ_CALL:
		return eval_call(r, n, out);
	case AXJ_FILTER:
	case AXJ_TEST:
		return eval_filter(r, n, out);
	case AXJ_ADD:
		return eval_sum(r, n, out);
	case AXJ_NEG:
	case AXJ_POS:
		AX_TRY(axj_eval(r, n->a, &v));
		r->line = n->line;
		return axj_unary(r, (enum axj_op)n->op, v, out);
	default:
		return eval_binary(r, n, out);
	}
}

static int evaluate(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	int rc;

	if (++r->steps > AX_JINJA_STEPS)
		return axj_limit(r, "too many steps");
	if (n->op == AXJ_CONST) { /* close to a limit; that of depth is not for leaves */
		*out = n->val;
		return 0;
	}
	if (n->op == AXJ_NAME)
		return eval_name(r, n, out);
	memset(out, 0, sizeof(*out));
	if (++r->depth > AXJ_EVAL_DEPTH)
		return axj_limit(r, "nested too deeply");
	rc = eval(r, n, out);
	r->depth--;
	return rc;
}
