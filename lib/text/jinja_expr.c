/* Tokens -> expressions: one function a level of precedence, as in jinja2's parser. */
#include <string.h>

#include "text/jinja_impl.h"

static int parse_or(struct axj_parser *p, struct axj_node **out);

int axj_operator(struct axj_parser *p, enum axj_op op, axj_place line, struct axj_node *a, struct axj_node *b, struct axj_node **out)
{
	struct axj_node *n = axj_node(p, op, line);

	if (!n)
		return axj_no_memory(p);
	n->a = a;
	n->b = b;
	if (op == AXJ_GETATTR && a->op == AXJ_NAME)
		n->quick = AXJ_Q_ATTR;
	if (op == AXJ_GETITEM && a->op == AXJ_NAME && b->op == AXJ_CONST && b->val.t == AXJ_STR)
		n->quick = AXJ_Q_ITEM;
	*out = n;
	AX_TRY(axj_adopt(p, n, a));
	return axj_adopt(p, n, b);
}

/* Left-associative levels: the operator of the current token at a level, or -1. */
static int math_op(const struct axj_parser *p, int level)
{
	switch (p->tok->t) {
	case AXJ_T_POW:
		return level == 3 ? AXJ_POW : -1;
	case AXJ_T_MUL:
		return level == 2 ? AXJ_MUL : -1;
	case AXJ_T_DIV:
		return level == 2 ? AXJ_DIV : -1;
	case AXJ_T_FLOORDIV:
		return level == 2 ? AXJ_FLOORDIV : -1;
	case AXJ_T_MOD:
		return level == 2 ? AXJ_MOD : -1;
	case AXJ_T_TILDE:
		return level == 1 ? AXJ_CONCAT : -1;
	case AXJ_T_ADD:
		return level == 0 ? AXJ_ADD : -1;
	case AXJ_T_SUB:
		return level == 0 ? AXJ_SUB : -1;
	default:
		return -1;
	}
}

static int parse_math(struct axj_parser *p, int level, struct axj_node **out)
{
	axj_place line = p->tok->line;
	struct axj_node *right;
	int op;

	if (level == 4)
		return axj_parse_unary(p, true, out);
	AX_TRY(parse_math(p, level + 1, out));
	while ((op = math_op(p, level)) >= 0) {
		p->tok++;
		AX_TRY(parse_math(p, level + 1, &right));
		if (op == AXJ_CONCAT && (*out)->op == AXJ_CONCAT && (*out)->body.n) {
			AX_TRY(axj_push(p, &(*out)->body, right));
			AX_TRY(axj_adopt(p, *out, right));
			continue;
		}
		AX_TRY(axj_operator(p, (enum axj_op)op, line, *out, right, out));
		if (op == AXJ_CONCAT) { /* x ~ y ~ z is one node with a list */
			AX_TRY(axj_push(p, &(*out)->body, (*out)->a));
			AX_TRY(axj_push(p, &(*out)->body, right));
		}
	}
	return 0;
}

/* The comparison at the current token; moves behind it. */
static int comparison(struct axj_parser *p)
{
	int op = -1;

	switch (p->tok->t) {
	case AXJ_T_EQ:
		op = AXJ_EQ;
		break;
	case AXJ_T_NE:
		op = AXJ_NE;
		break;
	case AXJ_T_LT:
		op = AXJ_LT;
		break;
	case AXJ_T_LTEQ:
		op = AXJ_LE;
		break;
	case AXJ_T_GT:
		op = AXJ_GT;
		break;
	case AXJ_T_GTEQ:
		op = AXJ_GE;
		break;
	default:
		if (axj_at_name(p, "in")) {
			op = AXJ_IN;
		} else if (axj_at_name(p, "not") && p->tok[1].t == AXJ_T_NAME && p->tok[1].n == 2 && memcmp(p->tok[1].p, "in", 2) == 0) {
			p->tok++;
			op = AXJ_NOTIN;
		}
	}
	p->tok += op >= 0;
	return op;
}

/* a < b < c: the node holds a; its body the links, each with its operator in cmp and its right side in a. */
static int parse_compare(struct axj_parser *p, struct axj_node **out)
{
	struct axj_node *n, *link;
	axj_place line = p->tok->line;
	int op;

	AX_TRY(parse_math(p, 0, out));
	op = comparison(p);
	if (op < 0)
		return 0;
	n = axj_node(p, AXJ_COMPARE, line);
	if (!n)
		return axj_no_memory(p);
	n->a = *out;
	*out = n;
	AX_TRY(axj_adopt(p, n, n->a));
	for (; op >= 0; op = comparison(p)) {
		link = axj_node(p, AXJ_COMPARE, p->tok->line);
		if (!link)
			return axj_no_memory(p);
		link->cmp = (uint8_t)op;
		AX_TRY(parse_math(p, 0, &link->a));
		AX_TRY(axj_push(p, &n->body, link));
		AX_TRY(axj_adopt(p, n, link->a));
	}
	return 0;
}

static int parse_not(struct axj_parser *p, struct axj_node **out)
{
	axj_place line = p->tok->line;
	uint32_t n = 0;

	while (axj_at_name(p, "not")) {
		p->tok++;
		n++;
	}
	AX_TRY(parse_compare(p, out));
	for (; n; n--)
		AX_TRY(axj_operator(p, AXJ_NOT, line, *out, NULL, out));
	return 0;
}

static int parse_and(struct axj_parser *p, struct axj_node **out)
{
	axj_place line = p->tok->line;
	struct axj_node *right;

	AX_TRY(parse_not(p, out));
	while (axj_skip_name(p, "and")) {
		AX_TRY(parse_not(p, &right));
		AX_TRY(axj_operator(p, AXJ_AND, line, *out, right, out));
	}
	return 0;
}

static int parse_or(struct axj_parser *p, struct axj_node **out)
{
	axj_place line = p->tok->line;
	struct axj_node *right;

	AX_TRY(parse_and(p, out));
	while (axj_skip_name(p, "or")) {
		AX_TRY(parse_and(p, &right));
		AX_TRY(axj_operator(p, AXJ_OR, line, *out, right, out));
	}
	return 0;
}

int axj_parse_expr(struct axj_parser *p, struct axj_node **out)
{
	axj_place line = p->tok->line;

	if (p->depth >= 2 * AX_JINJA_DEPTH)
		return axj_syntax(p, line, "nested too deeply");
	p->depth++;
	AX_TRY(parse_or(p, out));
	while (axj_skip_name(p, "if")) {
		struct axj_node *n = axj_node(p, AXJ_COND, line);

		if (!n)
			return axj_no_memory(p);
		n->b = *out;
		*out = n;
		AX_TRY(parse_or(p, &n->a));
		if (axj_skip_name(p, "else"))
			AX_TRY(axj_parse_expr(p, &n->c));
		AX_TRY(axj_adopt(p, n, n->a));
		AX_TRY(axj_adopt(p, n, n->b));
		AX_TRY(axj_adopt(p, n, n->c));
	}
	p->depth--;
	return 0;
}

static bool tuple_end(const struct axj_parser *p)
{
	return axj_at(p, AXJ_T_VAR_END) || axj_at(p, AXJ_T_BLOCK_END) || axj_at(p, AXJ_T_RPAREN);
}

/* Items with commas between them; a single one without comma is itself. */
static int parse_items(struct axj_parser *p, bool cond, bool simple, bool parens, struct axj_node **out)
{
	struct axj_node *n = axj_node(p, AXJ_MAKE_TUPLE, p->tok->line), *x = NULL;
	bool is_tuple = false;

	if (!n)
		return axj_no_memory(p);
	for (;;) {
		if (n->body.n)
			AX_TRY(axj_expect(p, AXJ_T_COMMA));
		if (tuple_end(p))
			break;
		AX_TRY(simple ? axj_parse_primary(p, &x) : cond ? axj_parse_expr(p, &x) : parse_or(p, &x));
		AX_TRY(axj_push(p, &n->body, x));
		AX_TRY(axj_adopt(p, n, x));
		if (!axj_at(p, AXJ_T_COMMA))
			break;
		is_tuple = true;
	}
	*out = n;
	if (is_tuple)
		return 0;
	if (n->body.n) {
		*out = n->body.p[0];
		return 0;
	}
	if (parens)
		return 0;
	return axj_syntax(p, p->tok->line, "Expected an expression, got '%s'", axj_token_name(p->tok->t));
}

int axj_parse_tuple(struct axj_parser *p, bool cond, bool parens, struct axj_node **out)
{
	return parse_items(p, cond, false, parens, out);
}

static int check_target(struct axj_parser *p, const struct axj_node *n)
{
	static const struct {
		int op;
		const char *name;
	} names[] = {{AXJ_CONST, "const"}, {AXJ_MAKE_LIST, "list"}, {AXJ_MAKE_DICT, "dict"}};

	if (n->op == AXJ_MAKE_TUPLE) {
		for (size_t i = 0; i < n->body.n; i++)
			AX_TRY(check_target(p, n->body.p[i]));
		return 0;
	}
	if (n->op == AXJ_NAME || n->op == AXJ_NSREF)
		return 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].op == n->op)
			return axj_syntax(p, n->line, "can't assign to '%s'", names[i].name);
	return axj_syntax(p, n->line, "can't assign to 'expr'");
}

int axj_parse_target(struct axj_parser *p, bool with_ns, struct axj_node **out)
{
	const struct axj_token *t = p->tok;

	if (with_ns && t->t == AXJ_T_NAME && t[1].t == AXJ_T_DOT) {
		struct axj_node *n = axj_node(p, AXJ_NSREF, t->line);

		if (!n)
			return axj_no_memory(p);
		*out = n;
		AX_TRY(axj_parse_name(p, &n->a));
		p->tok++;
		t = p->tok;
		AX_TRY(axj_expect(p, AXJ_T_NAME));
		n->val.t = AXJ_STR;
		n->val.u.s = axj_text(p, t->p, t->n);
		return n->val.u.s ? 0 : axj_no_memory(p);
	}
	AX_TRY(parse_items(p, true, true, false, out));
	return check_target(p, *out);
}
