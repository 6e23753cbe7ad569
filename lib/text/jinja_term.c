/* Tokens -> the parts of expressions: literals, subscripts, calls, filters and tests. */
#include <string.h>

#include "text/jinja_impl.h"

static int parse_postfix(struct axj_parser *p, struct axj_node **out);

struct axj_str *axj_text(struct axj_parser *p, const char *s, size_t n)
{
	struct axj_str *t = ax_arena_calloc(&p->t->mem, 1, sizeof(*t));

	if (!t)
		return NULL;
	t->p = ax_arena_strndup(&p->t->mem, s, n);
	t->n = n;
	t->n_char = AXJ_UNKNOWN;
	if (!t->p)
		return NULL;
	axj_len_chars(t); /* known before threads share it */
	return t;
}

static int constant(struct axj_parser *p, struct axj_val v, axj_place line, struct axj_node **out)
{
	*out = axj_node(p, AXJ_CONST, line);
	if (!*out)
		return axj_no_memory(p);
	(*out)->val = v;
	return 0;
}

static int constant_big(struct axj_parser *p, const struct axj_token *t, struct axj_node **out)
{
	struct axj r = {.t = p->t, .mem = &p->t->mem, .e = p->e, .line = t->line};
	struct axj_val v;

	if (t->n > AXJ_MAX_DIGITS && t->base == 10)
		return axj_syntax(p, t->line, "an integer of more than %d digits", AXJ_MAX_DIGITS);
	AX_TRY(axj_big_parse(&r, t->p, t->n, t->base, false, &v));
	return constant(p, v, t->line, out);
}

static int constant_text(struct axj_parser *p, const char *s, size_t n, axj_place line, struct axj_node **out)
{
	struct axj_val v = {.t = AXJ_STR};

	v.u.s = axj_text(p, s, n);
	if (!v.u.s)
		return axj_no_memory(p);
	return constant(p, v, line, out);
}

/* "a" "b" is one string, as in Python. */
static int parse_strings(struct axj_parser *p, struct axj_node **out)
{
	struct ax_buf b = AX_BUF_INIT;
	axj_place line = p->tok->line;
	int rc;

	for (; axj_at(p, AXJ_T_STRING); p->tok++)
		ax_buf_add(&b, p->tok->p, p->tok->n);
	rc = b.oom ? axj_no_memory(p) : constant_text(p, b.n ? b.p : "", b.n, line, out);
	ax_buf_release(&b);
	return rc;
}

int axj_parse_name(struct axj_parser *p, struct axj_node **out)
{
	const struct axj_token *t = p->tok;

	if (axj_skip_name(p, "true") || axj_skip_name(p, "True"))
		return constant(p, axj_bool(true), t->line, out);
	if (axj_skip_name(p, "false") || axj_skip_name(p, "False"))
		return constant(p, axj_bool(false), t->line, out);
	if (axj_skip_name(p, "none") || axj_skip_name(p, "None"))
		return constant(p, axj_none, t->line, out);
	*out = axj_node(p, AXJ_NAME, t->line);
	if (!*out)
		return axj_no_memory(p);
	(*out)->sym = axj_sym(p, t->p, t->n);
	p->saw_varargs |= (*out)->sym == p->t->sym_varargs;
	p->saw_kwargs |= (*out)->sym == p->t->sym_kwargs;
	p->saw_caller |= (*out)->sym == p->t->sym_caller;
	p->tok++;
	return (*out)->sym == UINT32_MAX ? axj_no_memory(p) : 0;
}

static int parse_list(struct axj_parser *p, struct axj_node **out)
{
	struct axj_node *n = axj_node(p, AXJ_MAKE_LIST, p->tok->line), *x;

	if (!n)
		return axj_no_memory(p);
	*out = n;
	p->tok++;
	while (!axj_at(p, AXJ_T_RBRACKET)) {
		if (n->body.n) {
			AX_TRY(axj_expect(p, AXJ_T_COMMA));
			if (axj_at(p, AXJ_T_RBRACKET))
				break;
		}
		AX_TRY(axj_parse_expr(p, &x));
		AX_TRY(axj_push(p, &n->body, x));
		AX_TRY(axj_adopt(p, n, x));
	}
	return axj_expect(p, AXJ_T_RBRACKET);
}

/* Keys and values alternate in the node's body. */
static int parse_dict(struct axj_parser *p, struct axj_node **out)
{
	struct axj_node *n = axj_node(p, AXJ_MAKE_DICT, p->tok->line), *x;

	if (!n)
		return axj_no_memory(p);
	*out = n;
	p->tok++;
	while (!axj_at(p, AXJ_T_RBRACE)) {
		if (n->body.n) {
			AX_TRY(axj_expect(p, AXJ_T_COMMA));
			if (axj_at(p, AXJ_T_RBRACE))
				break;
		}
		AX_TRY(axj_parse_expr(p, &x));
		AX_TRY(axj_push(p, &n->body, x));
		AX_TRY(axj_adopt(p, n, x));
		AX_TRY(axj_expect(p, AXJ_T_COLON));
		AX_TRY(axj_parse_expr(p, &x));
		AX_TRY(axj_push(p, &n->body, x));
		AX_TRY(axj_adopt(p, n, x));
	}
	return axj_expect(p, AXJ_T_RBRACE);
}

int axj_parse_primary(struct axj_parser *p, struct axj_node **out)
{
	const struct axj_token *t = p->tok;

	switch (t->t) {
	case AXJ_T_NAME:
		return axj_parse_name(p, out);
	case AXJ_T_STRING:
		return parse_strings(p, out);
	case AXJ_T_INT:
		p->tok++;
		return t->base ? constant_big(p, t, out) : constant(p, axj_int(t->i), t->line, out);
	case AXJ_T_FLOAT:
		p->tok++;
		return constant(p, axj_float(t->f), t->line, out);
	case AXJ_T_LPAREN:
		p->tok++;
		AX_TRY(axj_parse_tuple(p, true, true, out));
		return axj_expect(p, AXJ_T_RPAREN);
	case AXJ_T_LBRACKET:
		return parse_list(p, out);
	case AXJ_T_LBRACE:
		return parse_dict(p, out);
	default:
		return axj_syntax(p, t->line, "unexpected '%s'", axj_token_name(t->t));
	}
}

static int parse_subscribed(struct axj_parser *p, struct axj_node **out)
{
	struct axj_node *n, *part[3] = {NULL, NULL, NULL};
	axj_place line = p->tok->line;

	if (!axj_at(p, AXJ_T_COLON)) {
		AX_TRY(axj_parse_expr(p, &part[0]));
		if (!axj_at(p, AXJ_T_COLON)) {
			*out = part[0];
			return 0;
		}
	}
	for (int i = 1; i < 3 && axj_at(p, AXJ_T_COLON); i++) {
		p->tok++;
		if (!axj_at(p, AXJ_T_COLON) && !axj_at(p, AXJ_T_RBRACKET) && !axj_at(p, AXJ_T_COMMA))
			AX_TRY(axj_parse_expr(p, &part[i]));
	}
	*out = n = axj_node(p, AXJ_SLICE, line);
	if (!n)
		return axj_no_memory(p);
	n->a = part[0];
	n->b = part[1];
	n->c = part[2];
	for (int i = 0; i < 3; i++)
		AX_TRY(axj_adopt(p, n, part[i]));
	return 0;
}

static int parse_dot(struct axj_parser *p, struct axj_node **out)
{
	axj_place line = p->tok->line;
	struct axj_node *arg = NULL;
	enum axj_op op = AXJ_GETITEM;

	p->tok++;
	if (axj_at(p, AXJ_T_NAME)) {
		op = AXJ_GETATTR;
		AX_TRY(constant_text(p, p->tok->p, p->tok->n, line, &arg));
	} else if (axj_at(p, AXJ_T_INT)) {
		AX_TRY(constant(p, axj_int(p->tok->i), line, &arg));
	} else {
		return axj_syntax(p, p->tok->line, "expected name or number");
	}
	p->tok++;
	AX_TRY(axj_operator(p, op, line, *out, arg, out));
	if (op == AXJ_GETATTR)
		axj_attr_about(*out);
	return 0;
}

static int parse_subscript(struct axj_parser *p, struct axj_node **out)
{
	axj_place line = p->tok->line;
	struct axj_node *tuple, *x;

	if (axj_at(p, AXJ_T_DOT))
		return parse_dot(p, out);
	p->tok++;
	tuple = axj_node(p, AXJ_MAKE_TUPLE, line);
	if (!tuple)
		return axj_no_memory(p);
	while (!axj_at(p, AXJ_T_RBRACKET)) {
		if (tuple->body.n)
			AX_TRY(axj_expect(p, AXJ_T_COMMA));
		AX_TRY(parse_subscribed(p, &x));
		AX_TRY(axj_push(p, &tuple->body, x));
		AX_TRY(axj_adopt(p, tuple, x));
	}
	p->tok++;
	for (size_t i = 0; tuple->body.n > 1 && i < tuple->body.n; i++)
		if (tuple->body.p[i]->op == AXJ_SLICE) /* x[:, 1]: what jinja2 makes of it, Python refuses */
			return ax_fail(p->e, AX_EDATA, AXJ_PLACE "SyntaxError: invalid syntax", AXJ_AT(line));
	return axj_operator(p, AXJ_GETITEM, line, *out, tuple->body.n == 1 ? tuple->body.p[0] : tuple, out);
}

static int add_kwarg(struct axj_parser *p, struct axj_argexpr *a, struct axj_str *name, struct axj_node *v)
{
	if (!name)
		return axj_no_memory(p);
	if (a->n_kw == a->cap_kw) {
		size_t cap = a->cap_kw ? a->cap_kw * 2 : 4;
		struct axj_kwarg *q = ax_arena_calloc(&p->t->mem, cap, sizeof(*q));

		if (!q)
			return axj_no_memory(p);
		if (a->n_kw)
			memcpy(q, a->kw, a->n_kw * sizeof(*q));
		a->kw = q;
		a->cap_kw = cap;
	}
	a->kw[a->n_kw++] = (struct axj_kwarg){name, v};
	return 0;
}

/* One argument; sets *v to its expression. */
static int parse_arg(struct axj_parser *p, struct axj_argexpr *a, axj_place line, struct axj_node **v)
{
	static const char bad[] = "invalid syntax for function call expression";
	const struct axj_token *t = p->tok;

	if (axj_at(p, AXJ_T_MUL) || axj_at(p, AXJ_T_POW)) {
		bool star = axj_at(p, AXJ_T_MUL);

		if ((star && a->star) || a->dstar)
			return axj_syntax(p, line, bad);
		p->tok++;
		AX_TRY(axj_parse_expr(p, v));
		*(star ? &a->star : &a->dstar) = *v;
		return 0;
	}
	if (t->t == AXJ_T_NAME && t[1].t == AXJ_T_ASSIGN) {
		if (a->dstar)
			return axj_syntax(p, line, bad);
		p->tok += 2;
		AX_TRY(axj_parse_expr(p, v));
		return add_kwarg(p, a, axj_text(p, t->p, t->n), *v);
	}
	if (a->star || a->dstar || a->n_kw)
		return axj_syntax(p, line, bad);
	AX_TRY(axj_parse_expr(p, v));
	return axj_push(p, &a->pos, *v);
}

static int parse_args(struct axj_parser *p, struct axj_node *n)
{
	struct axj_argexpr *a = ax_arena_calloc(&p->t->mem, 1, sizeof(*a));
	axj_place line = p->tok->line;
	bool comma = false;

	if (!a)
		return axj_no_memory(p);
	n->args = a;
	AX_TRY(axj_expect(p, AXJ_T_LPAREN));
	while (!axj_at(p, AXJ_T_RPAREN)) {
		struct axj_node *v = NULL;

		if (comma) {
			AX_TRY(axj_expect(p, AXJ_T_COMMA));
			if (axj_at(p, AXJ_T_RPAREN))
				break;
		}
		AX_TRY(parse_arg(p, a, line, &v));
		AX_TRY(axj_adopt(p, n, v));
		comma = true;
	}
	return axj_expect(p, AXJ_T_RPAREN);
}

static int parse_call(struct axj_parser *p, struct axj_node **out)
{
	struct axj_node *n = axj_node(p, AXJ_CALL, p->tok->line);

	if (!n)
		return axj_no_memory(p);
	n->a = *out;
	*out = n;
	AX_TRY(axj_adopt(p, n, n->a));
	return parse_args(p, n);
}

static int parse_postfix(struct axj_parser *p, struct axj_node **out)
{
	for (;;) {
		if (axj_at(p, AXJ_T_DOT) || axj_at(p, AXJ_T_LBRACKET))
			AX_TRY(parse_subscript(p, out));
		else if (axj_at(p, AXJ_T_LPAREN))
			AX_TRY(parse_call(p, out));
		else
			return 0;
	}
}

/* "a.b.c" as the name of a filter or test. */
static int dotted_name(struct axj_parser *p, struct axj_val *out)
{
	struct ax_buf b = AX_BUF_INIT;
	const struct axj_token *t = p->tok;
	int rc;

	AX_GOTO(axj_expect(p, AXJ_T_NAME));
	ax_buf_add(&b, t->p, t->n);
	while (axj_at(p, AXJ_T_DOT)) {
		p->tok++;
		t = p->tok;
		AX_GOTO(axj_expect(p, AXJ_T_NAME));
		ax_buf_addc(&b, '.');
		ax_buf_add(&b, t->p, t->n);
	}
	out->t = AXJ_STR;
	out->u.s = b.oom ? NULL : axj_text(p, b.p, b.n);
	rc = out->u.s ? 0 : axj_no_memory(p);
out:
	ax_buf_release(&b);
	return rc;
}

int axj_parse_filter(struct axj_parser *p, struct axj_node *in, bool inline_start, struct axj_node **out)
{
	*out = in;
	while (inline_start || axj_at(p, AXJ_T_PIPE)) {
		struct axj_node *n = axj_node(p, AXJ_FILTER, p->tok->line);

		if (!n)
			return axj_no_memory(p);
		if (!inline_start)
			p->tok++;
		inline_start = false;
		n->a = *out;
		*out = n;
		AX_TRY(axj_adopt(p, n, n->a));
		AX_TRY(dotted_name(p, &n->val));
		n->fn = axj_find_filter(n->val.u.s->p, n->val.u.s->n);
		n->sym = axj_count_params(n->fn);
		if (axj_at(p, AXJ_T_LPAREN))
			AX_TRY(parse_args(p, n));
	}
	return 0;
}

static bool starts_arg(const struct axj_parser *p)
{
	switch (p->tok->t) {
	case AXJ_T_NAME:
		return !axj_at_name(p, "else") && !axj_at_name(p, "or") && !axj_at_name(p, "and");
	case AXJ_T_STRING:
	case AXJ_T_INT:
	case AXJ_T_FLOAT:
	case AXJ_T_LBRACKET:
	case AXJ_T_LBRACE:
		return true;
	default:
		return false;
	}
}

static int parse_test(struct axj_parser *p, struct axj_node **out)
{
	struct axj_node *n = axj_node(p, AXJ_TEST, p->tok->line), *arg;
	bool negate;

	if (!n)
		return axj_no_memory(p);
	p->tok++;
	negate = axj_skip_name(p, "not");
	n->a = *out;
	*out = n;
	AX_TRY(axj_adopt(p, n, n->a));
	AX_TRY(dotted_name(p, &n->val));
	n->fn = axj_find_test(n->val.u.s->p, n->val.u.s->n);
	n->cmp = axj_is_str(n->val, "defined") ? AXJ_ASKS_DEFINED : axj_is_str(n->val, "undefined") ? AXJ_ASKS_UNDEFINED : 0;
	n->sym = axj_count_params(n->fn);
	if (axj_at(p, AXJ_T_LPAREN)) {
		AX_TRY(parse_args(p, n));
	} else if (starts_arg(p)) {
		if (axj_at_name(p, "is"))
			return axj_syntax(p, p->tok->line, "You cannot chain multiple tests with is");
		n->args = ax_arena_calloc(&p->t->mem, 1, sizeof(*n->args));
		if (!n->args)
			return axj_no_memory(p);
		AX_TRY(axj_parse_primary(p, &arg));
		AX_TRY(parse_postfix(p, &arg));
		AX_TRY(axj_push(p, &n->args->pos, arg));
		AX_TRY(axj_adopt(p, n, arg));
	}
	return negate ? axj_operator(p, AXJ_NOT, n->line, n, NULL, out) : 0;
}

int axj_parse_unary(struct axj_parser *p, bool with_filter, struct axj_node **out)
{
	axj_place line = p->tok->line;

	if (p->depth >= 2 * AX_JINJA_DEPTH)
		return axj_syntax(p, line, "nested too deeply");
	p->depth++;
	if (axj_at(p, AXJ_T_SUB) || axj_at(p, AXJ_T_ADD)) {
		enum axj_op op = axj_at(p, AXJ_T_SUB) ? AXJ_NEG : AXJ_POS;

		p->tok++;
		AX_TRY(axj_parse_unary(p, false, out));
		AX_TRY(axj_operator(p, op, line, *out, NULL, out));
	} else {
		AX_TRY(axj_parse_primary(p, out));
	}
	AX_TRY(parse_postfix(p, out));
	while (with_filter) {
		if (axj_at(p, AXJ_T_PIPE))
			AX_TRY(axj_parse_filter(p, *out, false, out));
		else if (axj_at_name(p, "is"))
			AX_TRY(parse_test(p, out));
		else if (axj_at(p, AXJ_T_LPAREN))
			AX_TRY(parse_call(p, out));
		else
			break;
	}
	p->depth--;
	return 0;
}

