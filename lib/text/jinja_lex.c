/* Template text -> tokens, as jinja2's lexer cuts it: where white space goes is decided here. */
#include <stdlib.h>
#include <string.h>

#include "text/jinja_impl.h"

struct lexer {
	struct ax_jinja *t;
	const char *begin, *p, *end; /* p moves over the normalised source */
	axj_place line;
	bool line_start; /* the last thing consumed ended in a newline, or nothing was */
	struct axj_tokens *out;
	char stack[AX_JINJA_DEPTH]; /* closing brackets that are due */
	int n_stack;
	struct ax_err *e;
};

static const struct {
	const char *text;
	int t;
} operators[] = {
	{"//", AXJ_T_FLOORDIV}, {"**", AXJ_T_POW},     {"==", AXJ_T_EQ},      {"!=", AXJ_T_NE},      {">=", AXJ_T_GTEQ},
	{"<=", AXJ_T_LTEQ},     {"+", AXJ_T_ADD},      {"-", AXJ_T_SUB},      {"/", AXJ_T_DIV},      {"*", AXJ_T_MUL},
	{"%", AXJ_T_MOD},       {"~", AXJ_T_TILDE},    {"[", AXJ_T_LBRACKET}, {"]", AXJ_T_RBRACKET}, {"(", AXJ_T_LPAREN},
	{")", AXJ_T_RPAREN},    {"{", AXJ_T_LBRACE},   {"}", AXJ_T_RBRACE},   {">", AXJ_T_GT},       {"<", AXJ_T_LT},
	{"=", AXJ_T_ASSIGN},    {".", AXJ_T_DOT},      {":", AXJ_T_COLON},    {"|", AXJ_T_PIPE},     {",", AXJ_T_COMMA},
	{";", AXJ_T_SEMICOLON},
};

const char *axj_token_name(int t)
{
	static const char *const names[] = {"end of template", "template data / text", "begin of print statement",
					    "end of print statement", "begin of statement block",
					    "end of statement block", "name", "string", "integer", "float"};

	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
		if (operators[i].t == t)
			return operators[i].text;
	return names[t];
}

static int fail_at(struct lexer *x, const char *what)
{
	return ax_fail(x->e, AX_EDATA, AXJ_PLACE "TemplateSyntaxError: %s", AXJ_AT(x->line), what);
}

static int bad_char(struct lexer *x)
{
	char quote = *x->p == '\'' ? '"' : '\'';
	size_t at = 0, len;

	axj_get_char(x->p, (size_t)(x->end - x->p), &len);
	for (const char *p = x->begin; p < x->p; p++)
		at += ((unsigned char)*p & 0xc0) != 0x80;
	return ax_fail(x->e, AX_EDATA, AXJ_PLACE "TemplateSyntaxError: unexpected char %c%.*s%c at %zu", AXJ_AT(x->line), quote,
		       (int)len, x->p, quote, at);
}

static int no_memory(struct lexer *x)
{
	return ax_fail(x->e, AX_EMEM, "out of memory while compiling a template");
}

static int emit(struct lexer *x, struct axj_token tok)
{
	if (!AX_GROW(x->out->v, x->out->n, x->out->cap))
		return no_memory(x);
	x->out->v[x->out->n++] = tok;
	return 0;
}

/* Move to `to`, counting lines and columns. */
static void advance(struct lexer *x, const char *to)
{
	for (; x->p < to; x->p++)
		x->line = *x->p == '\n' ? ((x->line >> 32) + 1) << 32 | 1 : x->line + (((unsigned char)*x->p & 0xC0) != 0x80);
	x->line_start = to[-1] == '\n';
}

static const char *skip_space(const char *p, const char *end)
{
	while (p < end) {
		size_t len;

		if (!axj_is_space(axj_get_char(p, (size_t)(end - p), &len)))
			break;
		p += len;
	}
	return p;
}

/* Start of the white space that ends at `end`. */
static const char *trim_end(const char *begin, const char *end)
{
	while (end > begin) {
		const char *q = end - 1;
		size_t len;

		while (q > begin && ((unsigned char)*q & 0xc0) == 0x80)
			q--;
		if (!axj_is_space(axj_get_char(q, (size_t)(end - q), &len)))
			break;
		end = q;
	}
	return end;
}

static bool all_space(const char *p, const char *end)
{
	return p < end && skip_space(p, end) == end;
}

/* Text up to a tag whose sign ('-', '+' or 0) follows its two characters. */
static int emit_data(struct lexer *x, const char *end, char sign, bool is_var)
{
	const char *p = x->p, *cut = end, *nl;

	if (sign == '-') {
		cut = trim_end(p, end);
	} else if (sign != '+' && !is_var && !(x->t->flags & AX_JINJA_KEEP_INDENT)) {
		for (nl = end; nl > p && nl[-1] != '\n'; nl--)
			;
		if ((nl > p || x->line_start) && all_space(nl, end))
			cut = nl;
	}
	if (cut == p)
		return 0;
	return emit(x, (struct axj_token){.t = AXJ_T_DATA, .line = x->line, .p = p, .n = (size_t)(cut - p)});
}

static char sign_at(const char *p, const char *end)
{
	return p < end && (*p == '-' || *p == '+') ? *p : 0;
}

/* End of a "%}" or "#}" at p, with its sign and what trimming takes; NULL if there is none. */
static const char *tag_end(const struct lexer *x, const char *p, char mark)
{
	char sign = sign_at(p, x->end);

	if (sign)
		p++;
	if (x->end - p < 2 || p[0] != mark || p[1] != '}')
		return NULL;
	p += 2;
	if (sign == '-')
		return skip_space(p, x->end);
	if (!sign && p < x->end && *p == '\n' && !(x->t->flags & AX_JINJA_KEEP_BLOCKS))
		p++;
	return p;
}

static int lex_comment(struct lexer *x)
{
	for (const char *p = x->p; p < x->end; p++) {
		const char *q = *p == '-' || *p == '+' || *p == '#' ? tag_end(x, p, '#') : NULL;

		if (q) {
			advance(x, q);
			return 0;
		}
	}
	return fail_at(x, "Missing end of comment tag");
}

/* "raw" and the end of its tag at p (after "{%" and the sign); NULL if it is another tag. */
static const char *raw_begin(const struct lexer *x, const char *p)
{
	p = skip_space(p, x->end);
	if (x->end - p < 3 || memcmp(p, "raw", 3) != 0)
		return NULL;
	p = skip_space(p + 3, x->end);
	if (x->end - p >= 3 && memcmp(p, "-%}", 3) == 0)
		return skip_space(p + 3, x->end);
	return x->end - p >= 2 && memcmp(p, "%}", 2) == 0 ? p + 2 : NULL;
}

static int lex_raw(struct lexer *x)
{
	for (const char *p = x->p; x->end - p >= 2; p++) {
		const char *q;
		char sign;

		if (p[0] != '{' || p[1] != '%')
			continue;
		sign = sign_at(p + 2, x->end);
		q = skip_space(p + 2 + (sign != 0), x->end);
		if (x->end - q < 6 || memcmp(q, "endraw", 6) != 0)
			continue;
		q = tag_end(x, skip_space(q + 6, x->end), '%');
		if (!q)
			continue;
		AX_TRY(emit_data(x, p, sign, false));
		advance(x, q);
		return 0;
	}
	return fail_at(x, "Missing end of raw directive");
}

static bool name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80 ||
	       (!first && c >= '0' && c <= '9');
}

static bool is_digit(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

/* Digits with single underscores between them. */
static const char *digits(const char *p, const char *end)
{
	while (is_digit(p, end) || (p + 1 < end && *p == '_' && is_digit(p + 1, end)))
		p++;
	return p;
}

/* End of a float at p, or NULL. */
static const char *float_end(const struct lexer *x, const char *p)
{
	const char *q = digits(p, x->end), *s;
	bool point = false;

	if (p[-1] == '.') /* a.0.1 is two subscripts; there is always a tag before p */
		return NULL;
	if (q + 1 < x->end && *q == '.' && is_digit(q + 1, x->end)) {
		q = digits(q + 1, x->end);
		point = true;
	}
	if (q < x->end && (*q | 32) == 'e') {
		s = q + 1;
		if (s < x->end && (*s == '+' || *s == '-'))
			s++;
		if (is_digit(s, x->end))
			return digits(s, x->end);
	}
	return point ? q : NULL;
}

/* End of an integer at p and its base. */
static const char *int_end(const char *p, const char *end, int *base)
{
	const char *q = p;
	char kind = end - p > 2 && *p == '0' ? (char)(p[1] | 32) : 0;

	*base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
	if (*base != 10) {
		for (q = p + 2; q < end; q++) {
			char c = *q == '_' && q + 1 < end ? q[1] : *q;
			int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;

			if (d >= *base)
				break;
		}
		if (q > p + 2)
			return q;
		*base = 10;
	}
	if (*p != '0')
		return digits(p, end);
	for (q = p + 1; q < end && (*q == '0' || (*q == '_' && q + 1 < end && q[1] == '0')); q++)
		;
	return q;
}

static int lex_number(struct lexer *x)
{
	struct axj_token tok = {.line = x->line};
	const char *p = x->p, *q = float_end(x, p);
	int base = 10;
	char *text;
	size_t n = 0;

	tok.t = q ? AXJ_T_FLOAT : AXJ_T_INT;
	if (!q)
		q = int_end(p, x->end, &base);
	text = ax_arena_alloc(&x->t->mem, (size_t)(q - p) + 1);
	if (!text)
		return ax_fail(x->e, AX_EMEM, "out of memory");
	for (; p < q; p++)
		if (*p != '_')
			text[n++] = *p;
	text[n] = '\0';
	tok.f = tok.t == AXJ_T_FLOAT ? strtod(text, NULL) : 0;
	if (tok.t == AXJ_T_INT) {
		const char *s = base == 10 ? text : text + 2;

		tok.p = s;
		tok.n = strlen(s);
		for (; *s; s++) {
			int d = *s <= '9' ? *s - '0' : (*s | 32) - 'a' + 10;

			if (__builtin_mul_overflow(tok.i, (int64_t)base, &tok.i) || __builtin_add_overflow(tok.i, (int64_t)d, &tok.i))
				tok.base = (uint8_t)base;
		}
	}
	advance(x, q);
	return emit(x, tok);
}

static int hex_value(const char *p, const char *end, int n, uint32_t *v)
{
	*v = 0;
	if (end - p < n)
		return -1;
	for (int i = 0; i < n; i++) {
		char c = p[i];
		int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;

		if (d < 0)
			return -1;
		*v = *v << 4 | (uint32_t)d;
	}
	return 0;
}

/* The escape after the backslash at *p, as Python's unicode-escape reads it. */
static int unescape(struct lexer *x, const char **p, const char *end, char **o)
{
	static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
	const char *q = *p + 1, *hit;
	uint32_t c = 0, lo;
	int width = *q == 'x' ? 2 : *q == 'u' ? 4 : *q == 'U' ? 8 : 0;

	if (*q == '\n') {
		*p = q + 1;
		return 0;
	}
	if (*q == 'N')
		return fail_at(x, "\\N{...} in a string is not supported");
	hit = *q ? strchr(from, *q) : NULL;
	if (hit) {
		*(*o)++ = to[hit - from];
		*p = q + 1;
		return 0;
	}
	if (width) {
		if (hex_value(q + 1, end, width, &c) || c > 0x10ffff)
			return fail_at(x, "truncated or illegal escape");
		q += 1 + width;
		if (c >= 0xd800 && c < 0xdc00 && end - q >= 6 && q[0] == '\\' && q[1] == 'u' && !hex_value(q + 2, end, 4, &lo) &&
		    lo >= 0xdc00 && lo < 0xe000) {
			c = 0x10000 + ((c - 0xd800) << 10) + (lo - 0xdc00);
			q += 6;
		}
		if (c >= 0xd800 && c < 0xe000)
			return fail_at(x, "lone surrogate escape");
	} else if (*q >= '0' && *q <= '7') {
		for (int i = 0; i < 3 && q < end && *q >= '0' && *q <= '7'; i++)
			c = c * 8 + (uint32_t)(*q++ - '0');
	} else {
		*(*o)++ = '\\';
		*p = q;
		return 0;
	}
	*o += axj_put_char(c, *o);
	*p = q;
	return 0;
}

static int lex_string(struct lexer *x)
{
	const char *p = x->p + 1, *end = p;
	char quote = *x->p, *o, *text;

	while (end < x->end && *end != quote)
		end += *end == '\\' && end + 1 < x->end ? 2 : 1;
	if (end >= x->end)
		return bad_char(x);
	o = text = ax_arena_alloc(&x->t->mem, (size_t)(end - p) + 1);
	if (!text)
		return no_memory(x);
	while (p < end) {
		if (*p != '\\')
			*o++ = *p++;
		else
			AX_TRY(unescape(x, &p, end, &o));
	}
	*o = '\0';
	AX_TRY(emit(x, (struct axj_token){.t = AXJ_T_STRING, .line = x->line, .p = text, .n = (size_t)(o - text)}));
	advance(x, end + 1);
	return 0;
}

static int balance(struct lexer *x, char c)
{
	char what[64] = "unexpected 'x', expected 'y'";

	if (c == '{' || c == '(' || c == '[') {
		if (x->n_stack == AX_JINJA_DEPTH)
			return fail_at(x, "nested too deeply");
		x->stack[x->n_stack++] = c == '{' ? '}' : c == '(' ? ')' : ']';
	} else if (c == '}' || c == ')' || c == ']') {
		what[12] = c;
		if (x->n_stack == 0) {
			what[14] = '\0';
			return fail_at(x, what);
		}
		what[26] = x->stack[--x->n_stack];
		if (what[26] != c)
			return fail_at(x, what);
	}
	return 0;
}

static int lex_operator(struct lexer *x)
{
	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		size_t n = strlen(operators[i].text);

		if ((size_t)(x->end - x->p) < n || memcmp(x->p, operators[i].text, n) != 0)
			continue;
		AX_TRY(balance(x, *x->p));
		AX_TRY(emit(x, (struct axj_token){.t = (uint8_t)operators[i].t, .line = x->line}));
		advance(x, x->p + n);
		return 0;
	}
	return bad_char(x);
}

/* Inside a tag, up to and with its end. `var`: "{{", else "{%". */
static int lex_code(struct lexer *x, bool var)
{
	while (x->p < x->end) {
		const char *p = x->p, *q = NULL;

		if (x->n_stack == 0 && var) {
			if (x->end - p >= 3 && memcmp(p, "-}}", 3) == 0)
				q = skip_space(p + 3, x->end);
			else if (x->end - p >= 2 && memcmp(p, "}}", 2) == 0)
				q = p + 2;
		} else if (x->n_stack == 0) {
			q = tag_end(x, p, '%');
		}
		if (q) {
			AX_TRY(emit(x, (struct axj_token){.t = var ? AXJ_T_VAR_END : AXJ_T_BLOCK_END, .line = x->line}));
			advance(x, q);
			return 0;
		}
		q = skip_space(p, x->end);
		if (q > p) {
			advance(x, q);
		} else if (is_digit(p, x->end)) {
			AX_TRY(lex_number(x));
		} else if (name_char(*p, true)) {
			for (q = p; q < x->end && name_char(*q, false); q++)
				;
			AX_TRY(emit(x, (struct axj_token){.t = AXJ_T_NAME, .line = x->line, .p = p, .n = (size_t)(q - p)}));
			advance(x, q);
		} else if (*p == '\'' || *p == '"') {
			AX_TRY(lex_string(x));
		} else {
			AX_TRY(lex_operator(x));
		}
	}
	return 0;
}

/* The next tag at or after p, or the end. */
static const char *next_tag(const char *p, const char *end)
{
	for (; (p = memchr(p, '{', (size_t)(end - p))); p++)
		if (p + 1 < end && (p[1] == '{' || p[1] == '%' || p[1] == '#'))
			return p;
	return end;
}

static int lex_root(struct lexer *x)
{
	while (x->p < x->end) {
		const char *tag = next_tag(x->p, x->end), *raw;
		bool var = tag < x->end && tag[1] == '{';
		char sign = tag < x->end ? sign_at(tag + 2, x->end) : '+';

		AX_TRY(emit_data(x, tag, sign, var));
		if (tag == x->end)
			return 0;
		raw = tag[1] == '%' ? raw_begin(x, tag + 2 + (sign != 0)) : NULL;
		advance(x, raw ? raw : tag + 2 + (sign != 0));
		if (raw) {
			AX_TRY(lex_raw(x));
		} else if (tag[1] == '#') {
			AX_TRY(lex_comment(x));
		} else {
			AX_TRY(emit(x, (struct axj_token){.t = var ? AXJ_T_VAR_BEGIN : AXJ_T_BLOCK_BEGIN, .line = x->line}));
			AX_TRY(lex_code(x, var));
		}
	}
	return 0;
}

/* A copy with \r\n and \r as \n, and without one final newline. */
static char *normalise(struct ax_jinja *t, const char *src, size_t n, size_t *out)
{
	char *text = ax_arena_alloc(&t->mem, n + 1), *o = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (src[i] == '\r' && i + 1 < n && src[i + 1] == '\n')
			continue;
		*o++ = src[i] == '\r' ? '\n' : src[i];
	}
	if (o > text && o[-1] == '\n' && !(t->flags & AX_JINJA_KEEP_NEWLINE))
		o--;
	*o = '\0';
	*out = (size_t)(o - text);
	return text;
}

int axj_lex(struct ax_jinja *t, const char *src, size_t n, struct axj_tokens *out, struct ax_err *e)
{
	struct lexer x;
	size_t len = 0;

	memset(&x, 0, sizeof(x));
	x.t = t;
	x.e = e;
	x.out = out;
	x.line = (axj_place)1 << 32 | 1;
	x.line_start = true;
	x.begin = x.p = normalise(t, src, n, &len);
	if (!x.p)
		return no_memory(&x);
	x.end = x.p + len;
	AX_TRY(lex_root(&x));
	return emit(&x, (struct axj_token){.t = AXJ_T_EOF, .line = x.line});
}
