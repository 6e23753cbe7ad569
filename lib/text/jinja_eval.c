/* Expressions. */
#include <string.h>

#include "text/jinja_impl.h"

#define SUM ((size_t)16) /* terms of a sum that are joined at once */

static bool is_plain(struct axj_val v)
{
	return v.t == AXJ_STR && !v.u.s->markup;
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

static int eval_name(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	AX_TRY(axj_lookup(r, n->sym, out));
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

static int eval_compare(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	struct axj_val x, y;
	bool yes = true;

	AX_TRY(axj_eval(r, n->a, &x));
	for (size_t i = 0; i < n->body.n && yes; i++) {
		AX_TRY(axj_eval(r, n->body.p[i]->a, &y));
		r->line = n->line;
		AX_TRY(axj_compare(r, (enum axj_cmp)n->body.p[i]->cmp, x, y, &yes));
		x = y;
	}
	*out = axj_bool(yes);
	return 0;
}

/* x and y, x or y: one of the two values. */
static int eval_logic(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	AX_TRY(axj_eval(r, n->a, out));
	return axj_truth(*out) == (n->op == AXJ_AND) ? axj_eval(r, n->b, out) : 0;
}

static int eval_cond(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	struct axj_val test;

	AX_TRY(axj_eval(r, n->a, &test));
	if (axj_truth(test))
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
	struct axj_str *name = n->b->val.u.s;
	size_t at;

	r->line = n->line;
	if (v.t == AXJ_NS || (v.t == AXJ_DICT && !(n->sym & AXJ_NOT_ITEM))) { /* an item, or nothing */
		AX_TRY(axj_dict_find(r, v.u.d, n->b->val, &at));
		if (at == v.u.d->n)
			return axj_undef_in(r, v, n->b->val, out);
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
		if (self.t == AXJ_STR) { /* a method that is known already */
			AX_TRY(axj_eval_args(r, n->args, &args));
			r->line = n->line;
			return axj_call_builtin(r, name->fn, self, &args, out);
		}
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
	struct axj_args args;
	struct axj_val v;

	AX_TRY(axj_eval(r, n->a, &v));
	if (!n->fn) {
		r->line = n->line;
		return axj_raise(r, "TemplateRuntimeError", "No %s named '%.80s' found.", n->op == AXJ_FILTER ? "filter" : "test",
				 n->val.u.s->p);
	}
	AX_TRY(axj_eval_args(r, n->args, &args));
	r->line = n->line;
	return axj_call_builtin(r, n->fn, v, &args, out);
}

/*
 * The sum x + y + ... whose last + is n. As long as the terms are plain strings nothing is joined: they are handed out as
 * *n_part parts. Otherwise *n_part is 0 and *out the value.
 */
static int sum(struct axj *r, const struct axj_node *n, const struct axj_str *part[SUM], size_t *n_part, struct axj_val *out)
{
	const struct axj_node *plus[SUM - 1];
	size_t n_plus = 0, k = 0;
	struct axj_val y;

	for (; n->op == AXJ_ADD && n_plus < SUM - 1; n = n->a)
		plus[n_plus++] = n;
	AX_TRY(axj_eval(r, n, out));
	r->steps += n_plus;
	if (is_plain(*out))
		part[k++] = out->u.s;
	while (n_plus-- > 0) {
		AX_TRY(axj_eval(r, plus[n_plus]->b, &y));
		r->line = plus[n_plus]->line;
		if (k && is_plain(y)) {
			part[k++] = y.u.s;
			continue;
		}
		if (k > 1)
			AX_TRY(join(r, part, k, out));
		k = 0;
		AX_TRY(axj_binary(r, AXJ_ADD, *out, y, &y));
		*out = y;
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
	struct axj_val v;
	size_t n_part = 0, bytes = r->rope->b.n;

	if (n->op == AXJ_ADD)
		AX_TRY(sum(r, n, part, &n_part, &v));
	else
		AX_TRY(axj_eval(r, n, &v));
	r->line = n->line;
	if (!n_part)
		return axj_put_val(r, v);
	AX_TRY(put_parts(r, part, n_part));
	return axj_step(r, (r->rope->b.n - bytes) >> 6);
}

static int eval_binary(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	struct axj_val x, y;

	AX_TRY(axj_eval(r, n->a, &x));
	AX_TRY(axj_eval(r, n->b, &y));
	r->line = n->line;
	return axj_binary(r, (enum axj_op)n->op, x, y, out);
}

static int eval(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	struct axj_val v;

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
		return eval_compare(r, n, out);
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
	case AXJ_NOT:
		AX_TRY(axj_eval(r, n->a, &v));
		*out = axj_bool(!axj_truth(v));
		return 0;
	case AXJ_NEG:
	case AXJ_POS:
		AX_TRY(axj_eval(r, n->a, &v));
		r->line = n->line;
		return axj_unary(r, (enum axj_op)n->op, v, out);
	default:
		return eval_binary(r, n, out);
	}
}

int axj_eval(struct axj *r, const struct axj_node *n, struct axj_val *out)
{
	int rc;

	if (++r->steps > AX_JINJA_STEPS)
		return axj_limit(r, "too many steps");
	switch ((enum axj_op)n->op) { /* leaves, without the frame of all others */
	case AXJ_CONST:
		*out = n->val;
		return 0;
	case AXJ_NAME:
		return eval_name(r, n, out);
	default:
		memset(out, 0, sizeof(*out));
	}
	if (++r->depth > AXJ_EVAL_DEPTH)
		return axj_limit(r, "nested too deeply");
	rc = eval(r, n, out);
	r->depth--;
	return rc;
}
