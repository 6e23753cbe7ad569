/* Tokens -> statements. The grammar and the messages follow jinja2's parser. */
#include <stdio.h>
#include <string.h>

#include "text/jinja_impl.h"

static int parse_until(struct axj_parser *p, const char *const *end, struct axj_body *body);

/* "'elif' or 'else' or 'endif'" */
static void list_tags(char *out, size_t size, const char *const *end)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; end[i] && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s'%s'", i ? " or " : "", end[i]);
}

/* An unknown tag (NULL: the end of the template) where statements were looked for. */
static int stray(struct axj_parser *p, const char *name, size_t n, axj_place line)
{
	char what[128], tags[128] = "", inner[128] = "";
	bool expected = false;

	snprintf(what, sizeof(what), name ? "Encountered unknown tag '%.*s'." : "Unexpected end of template.", (int)(n < 60 ? n : 60),
		 name);
	for (int i = 0; name && i < p->n_end; i++)
		for (size_t k = 0; p->end_stack[i][k]; k++)
			expected = expected || (strlen(p->end_stack[i][k]) == n && memcmp(p->end_stack[i][k], name, n) == 0);
	if (p->n_end)
		list_tags(tags, sizeof(tags), p->end_stack[p->n_end - 1]);
	if (p->n_tag)
		snprintf(inner, sizeof(inner), " The innermost block that needs to be closed is '%s'.", p->tag_stack[p->n_tag - 1]);
	if (!p->n_end)
		return axj_syntax(p, line, "%s%s", what, inner);
	if (expected)
		return axj_syntax(p, line,
				  "%s You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for %s.%s",
				  what, tags, inner);
	return axj_syntax(p, line, "%s Jinja was looking for the following tags: %s.%s", what, tags, inner);
}

/* The statements of a block up to one of the tags `end`, which stays current. */
static int parse_block(struct axj_parser *p, const char *const *end, struct axj_body *body)
{
	if (axj_at(p, AXJ_T_COLON)) /* {% if x: %} */
		p->tok++;
	AX_TRY(axj_expect(p, AXJ_T_BLOCK_END));
	if (p->n_end == AX_JINJA_DEPTH || p->depth >= 2 * AX_JINJA_DEPTH)
		return axj_syntax(p, p->tok->line, "nested too deeply");
	p->end_stack[p->n_end++] = end;
	p->depth++;
	AX_TRY(parse_until(p, end, body));
	p->depth--;
	if (axj_at(p, AXJ_T_EOF))
		return stray(p, NULL, 0, p->tok->line);
	p->n_end--;
	return 0;
}

/* The same for one end tag, which is skipped. */
static int parse_block1(struct axj_parser *p, const char *const *end, struct axj_body *body)
{
	AX_TRY(parse_block(p, end, body));
	p->tok++;
	return 0;
}

static int adopt_body(struct axj_parser *p, struct axj_node *n, const struct axj_body *b)
{
	for (size_t i = 0; i < b->n; i++)
		AX_TRY(axj_adopt(p, n, b->p[i]));
	return 0;
}

/* Nowhere inside a for may its variable be assigned. */
static int check_loop(struct axj_parser *p, const struct axj_node *target)
{
	if (target->op == AXJ_MAKE_TUPLE)
		for (size_t i = 0; i < target->body.n; i++)
			AX_TRY(check_loop(p, target->body.p[i]));
	if (p->n_for && target->op == AXJ_NAME && target->sym == p->t->sym_loop)
		return ax_fail(p->e, AX_EDATA, AXJ_PLACE "TemplateAssertionError: Can't assign to special loop variable in for-loop target",
			       AXJ_AT(target->line));
	return 0;
}

static int parse_set(struct axj_parser *p, struct axj_node **out)
{
	static const char *const end[] = {"endset", NULL};
	struct axj_node *n = axj_node(p, AXJ_SET, p->tok->line), *filter = NULL;

	if (!n)
		return axj_no_memory(p);
	*out = n;
	AX_TRY(axj_parse_target(p, true, &n->a));
	AX_TRY(check_loop(p, n->a));
	if (axj_at(p, AXJ_T_ASSIGN)) {
		p->tok++;
		AX_TRY(axj_parse_tuple(p, true, false, &n->b));
		return axj_adopt(p, n, n->b);
	}
	n->op = AXJ_SETBLOCK;
	if (axj_at(p, AXJ_T_PIPE)) {
		AX_TRY(axj_parse_filter(p, NULL, false, &filter));
		n->b = filter;
	}
	AX_TRY(parse_block1(p, end, &n->body));
	return adopt_body(p, n, &n->body);
}

static int parse_for(struct axj_parser *p, struct axj_node **out)
{
	static const char *const end[] = {"endfor", "else", NULL}, *const end_else[] = {"endfor", NULL};
	struct axj_node *n = axj_node(p, AXJ_FOR, p->tok->line);

	if (!n)
		return axj_no_memory(p);
	*out = n;
	p->n_for++;
	AX_TRY(axj_parse_target(p, false, &n->a));
	AX_TRY(check_loop(p, n->a));
	AX_TRY(axj_expect_name(p, "in"));
	AX_TRY(axj_parse_tuple(p, false, false, &n->b));
	if (axj_skip_name(p, "if"))
		AX_TRY(axj_parse_expr(p, &n->c));
	n->cmp = axj_skip_name(p, "recursive");
	p->n_loop++;
	AX_TRY(parse_block(p, end, &n->body));
	p->n_loop--;
	if (axj_skip_name(p, "endfor")) {
		p->n_for--;
		return adopt_body(p, n, &n->body);
	}
	p->tok++;
	AX_TRY(parse_block1(p, end_else, &n->other));
	p->n_for--;
	AX_TRY(adopt_body(p, n, &n->other));
	return adopt_body(p, n, &n->body);
}

/* An elif is an if that is alone in the else branch of the one before; the depth does not count them. */
static int parse_if(struct axj_parser *p, struct axj_node **out)
{
	static const char *const end[] = {"elif", "else", "endif", NULL}, *const end_else[] = {"endif", NULL};
	struct axj_node *n = axj_node(p, AXJ_IF, p->tok->line), *first = n;

	*out = n;
	for (;;) {
		if (!n)
			return axj_no_memory(p);
		AX_TRY(axj_parse_tuple(p, false, false, &n->a));
		AX_TRY(axj_adopt(p, first, n->a));
		AX_TRY(parse_block(p, end, &n->body));
		AX_TRY(adopt_body(p, first, &n->body));
		if (axj_skip_name(p, "elif")) {
			n->c = axj_node(p, AXJ_IF, p->tok->line);
			n = n->c;
		} else if (axj_skip_name(p, "else")) {
			AX_TRY(parse_block1(p, end_else, &n->other));
			return adopt_body(p, first, &n->other);
		} else {
			p->tok++;
			return 0;
		}
	}
}

static int add_param(struct axj_parser *p, struct axj_params *q, uint32_t sym, struct axj_node *dflt)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->sym[i] == sym)
			return axj_syntax(p, p->tok->line, "duplicate argument '%.80s' in function definition", p->t->sym[sym]->p);
	if (q->n == q->cap) {
		size_t cap = q->cap ? q->cap * 2 : 8;
		uint32_t *s = ax_arena_calloc(&p->t->mem, cap, sizeof(*s));
		struct axj_node **d = ax_arena_calloc(&p->t->mem, cap, sizeof(*d));

		if (!s || !d)
			return axj_no_memory(p);
		if (q->n) {
			memcpy(s, q->sym, q->n * sizeof(*s));
			memcpy(d, q->dflt, q->n * sizeof(*d));
		}
		q->sym = s;
		q->dflt = d;
		q->cap = cap;
	}
	q->sym[q->n] = sym;
	q->dflt[q->n++] = dflt;
	return sym == UINT32_MAX ? axj_no_memory(p) : 0;
}

static int parse_params(struct axj_parser *p, struct axj_params *q)
{
	AX_TRY(axj_expect(p, AXJ_T_LPAREN));
	while (!axj_at(p, AXJ_T_RPAREN)) {
		struct axj_node *dflt = NULL;
		const struct axj_token *name;

		if (q->n)
			AX_TRY(axj_expect(p, AXJ_T_COMMA));
		name = p->tok;
		AX_TRY(axj_expect(p, AXJ_T_NAME));
		if (axj_at(p, AXJ_T_ASSIGN)) {
			p->tok++;
			AX_TRY(axj_parse_expr(p, &dflt));
		} else if (q->n && q->dflt[q->n - 1]) {
			return axj_syntax(p, p->tok->line, "non-default argument follows default argument");
		}
		AX_TRY(add_param(p, q, axj_sym(p, name->p, name->n), dflt));
	}
	p->tok++;
	return 0;
}

/* The body of a macro or call block: a function, so that break does not see the loops around it. */
static int parse_function(struct axj_parser *p, struct axj_node *n, const char *const *end)
{
	bool varargs = p->saw_varargs, kwargs = p->saw_kwargs, caller = p->saw_caller;
	int n_loop = p->n_loop;

	p->saw_varargs = p->saw_kwargs = p->saw_caller = false;
	p->n_loop = 0;
	AX_TRY(parse_block1(p, end, &n->body));
	n->params->varargs = p->saw_varargs;
	n->params->kwargs = p->saw_kwargs;
	n->params->caller = p->saw_caller;
	p->n_loop = n_loop;
	p->saw_varargs |= varargs;
	p->saw_kwargs |= kwargs;
	p->saw_caller |= caller;
	return adopt_body(p, n, &n->body);
}

static struct axj_node *function_node(struct axj_parser *p, enum axj_op op)
{
	struct axj_node *n = axj_node(p, op, p->tok->line);

	if (n)
		n->params = ax_arena_calloc(&p->t->mem, 1, sizeof(*n->params));
	return n && n->params ? n : NULL;
}

static int parse_macro(struct axj_parser *p, struct axj_node **out)
{
	static const char *const end[] = {"endmacro", NULL};
	struct axj_node *n = function_node(p, AXJ_DEFMACRO);
	const struct axj_token *name = p->tok;

	if (!n)
		return axj_no_memory(p);
	*out = n;
	AX_TRY(axj_expect(p, AXJ_T_NAME));
	n->sym = axj_sym(p, name->p, name->n);
	if (n->sym == UINT32_MAX)
		return axj_no_memory(p);
	AX_TRY(parse_params(p, n->params));
	return parse_function(p, n, end);
}

static int parse_call_block(struct axj_parser *p, struct axj_node **out)
{
	static const char *const end[] = {"endcall", NULL};
	struct axj_node *n = function_node(p, AXJ_CALLBLOCK);

	if (!n)
		return axj_no_memory(p);
	*out = n;
	n->sym = p->t->sym_caller;
	if (axj_at(p, AXJ_T_LPAREN))
		AX_TRY(parse_params(p, n->params));
	AX_TRY(axj_parse_expr(p, &n->a));
	if (n->a->op != AXJ_CALL)
		return axj_syntax(p, n->line, "expected call");
	return parse_function(p, n, end);
}

static int parse_generation(struct axj_parser *p, struct axj_node **out)
{
	static const char *const end[] = {"endgeneration", NULL};
	struct axj_node *n = function_node(p, AXJ_GENERATION);

	if (!n)
		return axj_no_memory(p);
	*out = n;
	return parse_function(p, n, end);
}

static int parse_filter_block(struct axj_parser *p, struct axj_node **out)
{
	static const char *const end[] = {"endfilter", NULL};
	struct axj_node *n = axj_node(p, AXJ_FILTERBLOCK, p->tok->line);

	if (!n)
		return axj_no_memory(p);
	*out = n;
	AX_TRY(axj_parse_filter(p, NULL, true, &n->b));
	AX_TRY(parse_block1(p, end, &n->body));
	return adopt_body(p, n, &n->body);
}

static int parse_with(struct axj_parser *p, struct axj_node **out)
{
	static const char *const end[] = {"endwith", NULL};
	struct axj_node *n = axj_node(p, AXJ_WITH, p->tok->line);

	if (!n)
		return axj_no_memory(p);
	*out = n;
	while (!axj_at(p, AXJ_T_BLOCK_END) && !axj_at(p, AXJ_T_EOF)) {
		struct axj_node *set = axj_node(p, AXJ_SET, p->tok->line);

		if (!set)
			return axj_no_memory(p);
		if (n->other.n)
			AX_TRY(axj_expect(p, AXJ_T_COMMA));
		AX_TRY(axj_parse_target(p, false, &set->a));
		AX_TRY(axj_expect(p, AXJ_T_ASSIGN));
		AX_TRY(axj_parse_expr(p, &set->b));
		AX_TRY(axj_push(p, &n->other, set));
	}
	AX_TRY(parse_block1(p, end, &n->body));
	return adopt_body(p, n, &n->body);
}

/* {% block %} renders where it stands; {% autoescape %} only scopes: nothing is ever escaped by itself. */
static int parse_scope(struct axj_parser *p, bool block, struct axj_node **out)
{
	static const char *const end_block[] = {"endblock", NULL}, *const end_auto[] = {"endautoescape", NULL};
	struct axj_node *n = axj_node(p, AXJ_SCOPE, p->tok->line);
	const struct axj_token *name = p->tok;

	if (!n)
		return axj_no_memory(p);
	*out = n;
	if (block) {
		AX_TRY(axj_expect(p, AXJ_T_NAME));
		axj_skip_name(p, "scoped");
		axj_skip_name(p, "required");
	} else {
		AX_TRY(axj_parse_expr(p, &n->a));
		if (n->a->op != AXJ_CONST || axj_truth(n->a->val))
			return axj_syntax(p, n->line, "only autoescape false is supported");
	}
	AX_TRY(parse_block1(p, block ? end_block : end_auto, &n->body));
	if (block && axj_at(p, AXJ_T_NAME) && p->tok->n == name->n && memcmp(p->tok->p, name->p, name->n) == 0)
		p->tok++;
	return adopt_body(p, n, &n->body);
}

static int parse_print(struct axj_parser *p, struct axj_node **out)
{
	struct axj_node *n = axj_node(p, AXJ_OUTPUT, p->tok->line), *x;

	if (!n)
		return axj_no_memory(p);
	*out = n;
	while (!axj_at(p, AXJ_T_BLOCK_END) && !axj_at(p, AXJ_T_EOF)) {
		if (n->body.n)
			AX_TRY(axj_expect(p, AXJ_T_COMMA));
		AX_TRY(axj_parse_expr(p, &x));
		AX_TRY(axj_push(p, &n->body, x));
		AX_TRY(axj_adopt(p, n, x));
	}
	return 0;
}

/* break and continue; jinja2 leaves the check to Python's compiler, whose words these are. */
static int parse_jump(struct axj_parser *p, bool is_break, struct axj_node **out)
{
	*out = axj_node(p, is_break ? AXJ_STMT_BREAK : AXJ_STMT_CONTINUE, p->tok->line);
	if (!*out)
		return axj_no_memory(p);
	if (p->n_loop)
		return 0;
	return ax_fail(p->e, AX_EDATA, AXJ_PLACE "SyntaxError: %s", AXJ_AT(p->tok->line),
		       is_break ? "'break' outside loop" : "'continue' not properly in loop");
}

/* include, import, from, extends: there is no loader; what fails is running them. */
static int parse_import(struct axj_parser *p, struct axj_node **out)
{
	*out = axj_node(p, AXJ_IMPORT, p->tok->line);
	if (!*out)
		return axj_no_memory(p);
	while (!axj_at(p, AXJ_T_BLOCK_END) && !axj_at(p, AXJ_T_EOF))
		p->tok++;
	return 0;
}

enum tag { T_SET, T_FOR, T_IF, T_MACRO, T_CALL, T_FILTER, T_GENERATION, T_WITH, T_BLOCK, T_AUTO, T_PRINT, T_BREAK, T_CONTINUE, T_IMPORT };

static int parse_tag(struct axj_parser *p, enum tag tag, struct axj_node **out)
{
	switch (tag) {
	case T_SET:
		return parse_set(p, out);
	case T_FOR:
		return parse_for(p, out);
	case T_IF:
		return parse_if(p, out);
	case T_MACRO:
		return parse_macro(p, out);
	case T_CALL:
		return parse_call_block(p, out);
	case T_FILTER:
		return parse_filter_block(p, out);
	case T_GENERATION:
		return parse_generation(p, out);
	case T_WITH:
		return parse_with(p, out);
	case T_BLOCK:
	case T_AUTO:
		return parse_scope(p, tag == T_BLOCK, out);
	case T_PRINT:
		return parse_print(p, out);
	case T_BREAK:
	case T_CONTINUE:
		return parse_jump(p, tag == T_BREAK, out);
	case T_IMPORT:
		return parse_import(p, out);
	}
	return 0;
}

static int parse_statement(struct axj_parser *p, struct axj_node **out)
{
	static const struct {
		const char *name;
		enum tag tag;
	} tags[] = {{"set", T_SET},       {"for", T_FOR},       {"if", T_IF},          {"macro", T_MACRO},     {"call", T_CALL},
		    {"filter", T_FILTER}, {"generation", T_GENERATION}, {"with", T_WITH}, {"block", T_BLOCK},
		    {"autoescape", T_AUTO}, {"print", T_PRINT}, {"break", T_BREAK},    {"continue", T_CONTINUE},
		    {"include", T_IMPORT}, {"import", T_IMPORT}, {"from", T_IMPORT},   {"extends", T_IMPORT}};

	if (!axj_at(p, AXJ_T_NAME))
		return axj_syntax(p, p->tok->line, "tag name expected");
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		if (!axj_skip_name(p, tags[i].name))
			continue;
		if (p->n_tag == AX_JINJA_DEPTH)
			return axj_syntax(p, p->tok->line, "nested too deeply");
		p->tag_stack[p->n_tag++] = tags[i].name;
		AX_TRY(parse_tag(p, tags[i].tag, out));
		p->n_tag--;
		return 0;
	}
	return stray(p, p->tok->p, p->tok->n, p->tok->line);
}

static int data_node(struct axj_parser *p, struct axj_node **out)
{
	struct axj_node *n = axj_node(p, AXJ_CONST, p->tok->line);
	struct axj_str *s = ax_arena_calloc(&p->t->mem, 1, sizeof(*s));

	if (!n || !s)
		return axj_no_memory(p);
	s->p = p->tok->p;
	s->n = p->tok->n;
	s->n_char = AXJ_UNKNOWN;
	axj_len_chars(s);
	n->val.t = AXJ_STR;
	n->val.u.s = s;
	*out = n;
	return 0;
}

/* Text and {{ }} that follow one another are one output statement. */
static int output_node(struct axj_parser *p, struct axj_body *body, struct axj_node *x)
{
	struct axj_node *n = body->n ? body->p[body->n - 1] : NULL;

	if (!n || n->op != AXJ_OUTPUT) {
		n = axj_node(p, AXJ_OUTPUT, x->line);
		if (!n)
			return axj_no_memory(p);
		AX_TRY(axj_push(p, body, n));
	}
	AX_TRY(axj_push(p, &n->body, x));
	return axj_adopt(p, n, x);
}

static bool at_any(const struct axj_parser *p, const char *const *names)
{
	for (; names && *names; names++)
		if (axj_at_name(p, *names))
			return true;
	return false;
}

static int parse_until(struct axj_parser *p, const char *const *end, struct axj_body *body)
{
	while (!axj_at(p, AXJ_T_EOF)) {
		struct axj_node *n = NULL;

		if (axj_at(p, AXJ_T_DATA)) {
			AX_TRY(data_node(p, &n));
			AX_TRY(output_node(p, body, n));
			p->tok++;
		} else if (axj_at(p, AXJ_T_VAR_BEGIN)) {
			p->tok++;
			AX_TRY(axj_parse_tuple(p, true, false, &n));
			AX_TRY(output_node(p, body, n));
			AX_TRY(axj_expect(p, AXJ_T_VAR_END));
		} else {
			p->tok++; /* block_begin */
			if (at_any(p, end))
				return 0;
			AX_TRY(parse_statement(p, &n));
			AX_TRY(axj_push(p, body, n));
			AX_TRY(axj_expect(p, AXJ_T_BLOCK_END));
		}
	}
	return 0;
}

int axj_parse(struct axj_parser *p, struct axj_body *body)
{
	return parse_until(p, NULL, body);
}
