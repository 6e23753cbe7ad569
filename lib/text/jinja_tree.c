/* What both parsers use: nodes, the current token, names. */
#include <string.h>

#include "text/jinja_impl.h"

int axj_syntax(struct axj_parser *p, axj_place line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	ax_vfail(p->e, AX_EDATA, fmt, ap);
	va_end(ap);
	ax_err_prefix(p->e, AXJ_PLACE "TemplateSyntaxError: ", AXJ_AT(line));
	return AX_EDATA;
}

int axj_no_memory(struct axj_parser *p)
{
	return ax_fail(p->e, AX_EMEM, "out of memory while compiling a template");
}

struct axj_node *axj_node(struct axj_parser *p, enum axj_op op, axj_place line)
{
	struct axj_node *n = ax_arena_calloc(&p->t->mem, 1, sizeof(*n));

	if (n) {
		n->op = (uint8_t)op;
		n->line = line;
		n->depth = 1;
		n->quick = op == AXJ_CONST ? AXJ_Q_CONST : op == AXJ_NAME ? AXJ_Q_NAME : AXJ_SLOW;
	}
	return n;
}

int axj_adopt(struct axj_parser *p, struct axj_node *n, const struct axj_node *child)
{
	if (child && child->depth >= n->depth)
		n->depth = (uint8_t)(child->depth + 1);
	return n->depth > AX_JINJA_DEPTH ? axj_syntax(p, n->line, "nested too deeply") : 0;
}

int axj_push(struct axj_parser *p, struct axj_body *b, struct axj_node *n)
{
	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 4;
		struct axj_node **q = ax_arena_alloc(&p->t->mem, cap * sizeof(struct axj_node *));

		if (!q)
			return axj_no_memory(p);
		if (b->n)
			memcpy(q, b->p, b->n * sizeof(struct axj_node *));
		b->p = q;
		b->cap = cap;
	}
	b->p[b->n++] = n;
	return 0;
}

bool axj_at(const struct axj_parser *p, int t)
{
	return p->tok->t == t;
}

bool axj_at_name(const struct axj_parser *p, const char *name)
{
	return p->tok->t == AXJ_T_NAME && strlen(name) == p->tok->n && memcmp(name, p->tok->p, p->tok->n) == 0;
}

bool axj_skip_name(struct axj_parser *p, const char *name)
{
	if (!axj_at_name(p, name))
		return false;
	p->tok++;
	return true;
}

static int unexpected(struct axj_parser *p, const char *wanted)
{
	if (axj_at(p, AXJ_T_EOF))
		return axj_syntax(p, p->tok->line, "unexpected end of template, expected '%s'.", wanted);
	if (axj_at(p, AXJ_T_NAME))
		return axj_syntax(p, p->tok->line, "expected token '%s', got '%.*s'", wanted, (int)(p->tok->n < 80 ? p->tok->n : 80),
				  p->tok->p);
	return axj_syntax(p, p->tok->line, "expected token '%s', got '%s'", wanted, axj_token_name(p->tok->t));
}

int axj_expect(struct axj_parser *p, int t)
{
	if (!axj_at(p, t))
		return unexpected(p, axj_token_name(t));
	p->tok++;
	return 0;
}

int axj_expect_name(struct axj_parser *p, const char *name)
{
	return axj_skip_name(p, name) ? 0 : unexpected(p, name);
}

uint32_t axj_sym(struct axj_parser *p, const char *s, size_t n)
{
	struct ax_jinja *t = p->t;
	struct axj_str *name;

	for (size_t i = 0; i < t->n_sym; i++)
		if (t->sym[i]->n == n && memcmp(t->sym[i]->p, s, n) == 0)
			return (uint32_t)i;
	name = ax_arena_calloc(&t->mem, 1, sizeof(*name));
	if (!name || !AX_GROW(t->sym, t->n_sym, t->cap_sym))
		return UINT32_MAX;
	name->p = ax_arena_strndup(&t->mem, s, n);
	name->n = n;
	name->n_char = AXJ_UNKNOWN;
	if (!name->p)
		return UINT32_MAX;
	axj_len_chars(name); /* known before threads share it */
	t->sym[t->n_sym] = name;
	return (uint32_t)t->n_sym++;
}
