/*
 * Inside of the template engine, shared by lib/text/jinja_*.c only.
 *
 * jinja_lex.c     text -> tokens                     jinja_value.c   constructors, truth, equality, containers
 * jinja_tree.c    nodes, what parsers share          jinja_str.c     strings with provenance: cut, join, append
 * jinja_parse.c   tokens -> statements               jinja_call.c    arguments, macros
 * jinja_expr.c    tokens -> expressions              jinja_repr.c    str() and repr()
 * jinja_exec.c    statements                         jinja_ops.c     operators, comparison, subscripts
 * jinja_eval.c    expressions                        jinja_attr.c    attributes, iteration
 * jinja_filter*.c jinja_test.c jinja_method*.c jinja_func.c jinja_json.c jinja_format.c jinja_case.c, and the larger filters
 * jinja_pprint.c jinja_wrap.c jinja_urlize.c, jinja_entity.c   the library
 *
 * Values are small structs passed by value; what they point to lives in the render's arena (constants: in the
 * template's) and is never freed singly. Functions return 0 or a negative ax_code after axj_raise; statements also return
 * AXJ_BREAK and AXJ_CONTINUE.
 */
#ifndef AX_TEXT_JINJA_IMPL_H
#define AX_TEXT_JINJA_IMPL_H

#include <string.h>

#include "text/jinja.h"

#define AXJ_BREAK 1
#define AXJ_CONTINUE 2
#define AXJ_MAX_ARGS 8           /* parameters of a built-in */
#define AXJ_NESTED 200           /* levels of a value that repr, tojson and == follow */
#define AXJ_EVAL_DEPTH 1500      /* expressions and statements being evaluated at once: bounds the C stack */
#define AXJ_MAX_DIGITS 4300      /* of an integer that becomes text, as Python's */
#define AXJ_UNKNOWN SIZE_MAX

/* ---- values ---- */

enum axj_type {
	AXJ_ABSENT, /* an argument not given; never a value of a template */
	AXJ_UNDEF,
	AXJ_NONE,
	AXJ_BOOL,
	AXJ_INT,
	AXJ_FLOAT,
	AXJ_STR,
	AXJ_LIST,
	AXJ_TUPLE,
	AXJ_DICT,
	AXJ_RANGE,
	AXJ_VIEW, /* d.keys(), d.values(), d.items(): sub is enum axj_view */
	AXJ_ITER, /* a generator: lazy, consumed once */
	AXJ_NS,
	AXJ_LOOP,
	AXJ_MACRO,
	AXJ_FUNC, /* a global function: sub is its index */
	AXJ_METHOD,
	AXJ_CYCLER,
	AXJ_JOINER,
	AXJ_BIG /* an integer beyond 64 bits */
};

enum axj_view { AXJ_KEYS, AXJ_VALUES, AXJ_ITEMS };

#define AXJ_GROUP 1 /* sub of a tuple of groupby: its items are also the attributes grouper and list */

struct axj_val { /* 16 bytes: they travel in two registers */
	uint8_t t, sub;
	uint32_t src; /* numbers, booleans, None: axj_src(); a view: which object it is */
	union {
		bool b;
		int64_t i;
		double f;
		struct axj_str *s;
		struct axj_list *l; /* list, tuple */
		struct axj_dict *d; /* dict, view, namespace */
		struct axj_undef *undef;
		struct axj_range *range;
		struct axj_iter *it;
		struct axj_loop *loop;
		struct axj_macro *macro;
		struct axj_method *method;
		struct axj_cycler *cycler;
		struct axj_big *big;
	} u;
};

struct axj_str {
	const char *p;
	size_t n;
	size_t n_char; /* characters, or AXJ_UNKNOWN */
	bool markup;   /* markupsafe's Markup: + escapes the other side */
	unsigned flags;
	const struct ax_val *src; /* one origin for all bytes, if span is NULL */
	size_t off;
	struct ax_span *span; /* several: end to end, begin and end within this string */
	size_t n_span;
};

struct axj_list {
	struct axj_val *v;
	size_t n, cap;
	const struct ax_val *src; /* context list it shows */
	bool filled;              /* v was made from src */
};

struct axj_pair {
	struct axj_val k, v;
};

struct axj_dict {
	struct axj_pair *kv;
	size_t n, cap;
	uint32_t *slot; /* hash index of positions + 1, made when n grows */
	size_t n_slot;
	const struct ax_val *src;
	bool filled;
};

struct axj_undef {
	const char *hint;  /* whole message, or */
	const char *owner; /* type of the object that lacks it (NULL: a variable) and */
	struct axj_val name;
	const char *exc; /* exception that using it raises */
};

struct axj_range {
	int64_t start, stop, step, n;
};

struct axj_cycler { /* cycler and joiner */
	struct axj_list *items;
	size_t at;
	struct axj_val sep;
	bool used;
};

struct axj;
struct axj_args;

/* A generator: `make` fills the list at the first use. */
struct axj_iter {
	const char *name; /* of the function, for repr */
	const char *type; /* "generator", or that of another lazy iterator: then it is its name too */
	int (*make)(struct axj *r, struct axj_iter *it, struct axj_list *out);
	struct axj_val value;
	struct axj_args *args;
	const void *info;
	struct axj_list *items; /* NULL until made */
	size_t at;
};

struct axj_big {
	bool neg;
	size_t n; /* limbs, the highest is not 0 */
	const uint32_t *d;
};

struct axj_method {
	struct axj_val self;
	const struct axj_builtin *fn;
};

/* ---- syntax tree ---- */

enum axj_op {
	/* expressions */
	AXJ_CONST, AXJ_NAME, AXJ_MAKE_LIST, AXJ_MAKE_TUPLE, AXJ_MAKE_DICT, AXJ_ADD, AXJ_SUB, AXJ_MUL, AXJ_DIV, AXJ_FLOORDIV,
	AXJ_MOD, AXJ_POW, AXJ_NEG, AXJ_POS, AXJ_NOT, AXJ_AND, AXJ_OR, AXJ_CONCAT, AXJ_COMPARE, AXJ_COND, AXJ_GETATTR,
	AXJ_GETITEM, AXJ_SLICE, AXJ_CALL, AXJ_FILTER, AXJ_TEST, AXJ_NSREF,
	/* statements */
	AXJ_OUTPUT, AXJ_IF, AXJ_FOR, AXJ_SET, AXJ_SETBLOCK, AXJ_DEFMACRO, AXJ_CALLBLOCK, AXJ_FILTERBLOCK, AXJ_WITH,
	AXJ_SCOPE, AXJ_GENERATION, AXJ_STMT_BREAK, AXJ_STMT_CONTINUE, AXJ_IMPORT
};

enum axj_cmp { AXJ_EQ, AXJ_NE, AXJ_LT, AXJ_LE, AXJ_GT, AXJ_GE, AXJ_IN, AXJ_NOTIN };

struct axj_body {
	struct axj_node **p;
	size_t n, cap;
};

struct axj_kwarg {
	struct axj_str *name;
	struct axj_node *v;
};

/* Where something stands in the template: line << 32 | column, both from 1; columns count characters. */
typedef uint64_t axj_place;

#define AXJ_PLACE     "line %u, column %u: "
#define AXJ_AT(place) (unsigned)((place) >> 32), (unsigned)(place)

struct axj_argexpr { /* arguments as written */
	struct axj_body pos;
	struct axj_kwarg *kw;
	size_t n_kw, cap_kw;
	struct axj_node *star, *dstar;
};

struct axj_node {
	uint8_t op;
	uint8_t cmp;   /* AXJ_COMPARE: one link; AXJ_FOR: recursive; AXJ_TEST: enum axj_asks */
	uint8_t depth; /* levels below, for the limit */
	uint8_t quick; /* enum axj_quick */
	uint32_t sym;  /* AXJ_GETATTR: enum axj_about of the name; there and where fn is: AXJ_COUNTS */
	axj_place line;
	struct axj_node *a, *b, *c;
	struct axj_val val; /* AXJ_GETATTR: the name */
	const struct axj_builtin *fn; /* filter or test; AXJ_GETATTR: method of str; NULL if there is none of that name */
	struct axj_argexpr *args;
	struct axj_body body, other; /* items, statements; else branch, targets */
	struct axj_params *params;
};

/* Tests that need to know only whether there is a value. */
enum axj_asks { AXJ_ASKS_DEFINED = 1, AXJ_ASKS_UNDEFINED };

/* Expressions whose value stands somewhere, as a rule. */
enum axj_quick { AXJ_SLOW, AXJ_Q_CONST, AXJ_Q_NAME, AXJ_Q_ATTR /* name.attribute */, AXJ_Q_ITEM /* name["key"] */ };

/* What is known of an attribute's name before it is looked up; the low bits: which attribute of a loop it is. */
enum axj_about { AXJ_OF_LOOP = 15, AXJ_NOT_ITEM = 16 /* a dict has it as a method, or the sandbox forbids it */ };
/* Parameters of a built-in in the bits above: all, and those that must be given. */
#define AXJ_COUNTS(n, required) ((uint32_t)(n) << 8 | (uint32_t)(required) << 16)
#define AXJ_N_PARAM(sym)    ((sym) >> 8 & 255)
#define AXJ_N_REQUIRED(sym) ((sym) >> 16 & 255)

struct axj_params { /* of a macro or call block */
	uint32_t *sym;
	size_t n, cap;
	struct axj_node **dflt; /* n entries, NULL without default */
	bool varargs, kwargs, caller;
};

struct ax_jinja {
	struct ax_arena mem;
	unsigned flags;
	struct axj_str **sym; /* names of variables */
	size_t n_sym, cap_sym;
	struct axj_body body;
	uint32_t sym_loop, sym_caller, sym_varargs, sym_kwargs;
};

/* ---- tokens ---- */

enum axj_tok {
	AXJ_T_EOF, AXJ_T_DATA, AXJ_T_VAR_BEGIN, AXJ_T_VAR_END, AXJ_T_BLOCK_BEGIN, AXJ_T_BLOCK_END, AXJ_T_NAME, AXJ_T_STRING,
	AXJ_T_INT, AXJ_T_FLOAT,
	/* operators, in the order of the table in jinja_lex.c */
	AXJ_T_FLOORDIV, AXJ_T_POW, AXJ_T_EQ, AXJ_T_NE, AXJ_T_GTEQ, AXJ_T_LTEQ, AXJ_T_ADD, AXJ_T_SUB, AXJ_T_DIV, AXJ_T_MUL,
	AXJ_T_MOD, AXJ_T_TILDE, AXJ_T_LBRACKET, AXJ_T_RBRACKET, AXJ_T_LPAREN, AXJ_T_RPAREN, AXJ_T_LBRACE, AXJ_T_RBRACE,
	AXJ_T_GT, AXJ_T_LT, AXJ_T_ASSIGN, AXJ_T_DOT, AXJ_T_COLON, AXJ_T_PIPE, AXJ_T_COMMA, AXJ_T_SEMICOLON
};

struct axj_token {
	uint8_t t;
	uint8_t base; /* of an integer beyond 64 bits, whose digits are at p; else 0 */
	axj_place line;
	const char *p; /* name, string, data; in the template's arena */
	size_t n;
	int64_t i;
	double f;
};

struct axj_tokens {
	struct axj_token *v;
	size_t n, cap;
};

/* Tokens of the whole source, ended by AXJ_T_EOF. v is malloc'd: the caller frees it, also after an error. */
int axj_lex(struct ax_jinja *t, const char *src, size_t n, struct axj_tokens *out, struct ax_err *e);
/* How messages name a token type. */
const char *axj_token_name(int t);

struct axj_parser {
	struct ax_jinja *t;
	const struct axj_token *tok; /* current */
	struct ax_err *e;
	const char *const *end_stack[AX_JINJA_DEPTH]; /* tags that each open statement looks for */
	const char *tag_stack[AX_JINJA_DEPTH];
	int n_end, n_tag, n_loop, n_for, depth; /* n_loop: loops that break leaves; n_for: also those around a macro */
	bool saw_varargs, saw_kwargs, saw_caller;
};

int axj_parse(struct axj_parser *p, struct axj_body *body);
/* Filters and tests that do not exist are an error where they stand, unless inside an if (`soft`): then when reached. */
int axj_check_names(struct axj_parser *p, const struct axj_body *body, bool soft);
int axj_parse_expr(struct axj_parser *p, struct axj_node **out);
/* An expression, or several with commas: a tuple. cond: `x if y` is allowed; parens: it stands in them and may be empty. */
int axj_parse_tuple(struct axj_parser *p, bool cond, bool parens, struct axj_node **out);
int axj_parse_target(struct axj_parser *p, bool with_ns, struct axj_node **out);
int axj_parse_unary(struct axj_parser *p, bool with_filter, struct axj_node **out);
int axj_parse_primary(struct axj_parser *p, struct axj_node **out);
int axj_parse_name(struct axj_parser *p, struct axj_node **out);
int axj_operator(struct axj_parser *p, enum axj_op op, axj_place line, struct axj_node *a, struct axj_node *b, struct axj_node **out);
struct axj_str *axj_text(struct axj_parser *p, const char *s, size_t n);
int axj_parse_filter(struct axj_parser *p, struct axj_node *in, bool inline_start, struct axj_node **out);
struct axj_node *axj_node(struct axj_parser *p, enum axj_op op, axj_place line);
int axj_push(struct axj_parser *p, struct axj_body *b, struct axj_node *n);
/* Note that `child` hangs below `n`; an error when the tree grows too deep. */
int axj_adopt(struct axj_parser *p, struct axj_node *n, const struct axj_node *child);
int axj_syntax(struct axj_parser *p, axj_place line, const char *fmt, ...) AX_PRINTF(3, 4);
int axj_no_memory(struct axj_parser *p);
bool axj_at(const struct axj_parser *p, int t);
bool axj_at_name(const struct axj_parser *p, const char *name);
bool axj_skip_name(struct axj_parser *p, const char *name);
int axj_expect(struct axj_parser *p, int t);
int axj_expect_name(struct axj_parser *p, const char *name);
uint32_t axj_sym(struct axj_parser *p, const char *s, size_t n);

/* ---- the render ---- */

struct axj_var {
	uint32_t sym;
	struct axj_val v;
};

struct axj_frame { /* a scope; variables are few, newest last */
	struct axj_frame *up;
	struct axj_var *var;
	size_t n, cap;
};

struct axj {
	const struct ax_jinja *t;
	const struct ax_jinja_opt *opt;
	struct ax_rope *rope;
	struct ax_arena *mem;
	struct ax_err *e;
	struct axj_val *top; /* by symbol: variables of the outermost scope and the context; AXJ_ABSENT if none */
	struct axj_frame *frame; /* NULL at the outermost scope */
	const struct ax_val **origin; /* the context's numbers, booleans and None that were seen */
	size_t n_origin, cap_origin;
	uint64_t framed; /* bit sym % 64: a variable that some inner scope may hold */
	size_t span_floor; /* spans below belong to text outside the innermost capture */
	uint64_t steps;
	int depth, calls, gen;
	axj_place line;
};

struct axj_loop {
	const struct axj_node *node;
	struct axj_frame *outer;
	struct axj_list *items; /* of the iterable, unfiltered */
	size_t at;              /* next one to look at */
	struct axj_frame *test; /* scope of the filter */
	struct axj_val *kept;   /* those that passed the filter, as far as read */
	size_t n_kept, cap_kept;
	int64_t index0;
	int64_t depth0;
	struct axj_val changed;
};

struct axj_macro {
	struct axj_str *name;
	const struct axj_node *node;
	struct axj_frame *outer;
};

struct axj_named {
	struct axj_str *name;
	struct axj_val v;
};

struct axj_args { /* evaluated */
	struct axj_val *pos;
	size_t n_pos;
	struct axj_named *kw;
	size_t n_kw;
};

/*
 * A built-in. `sig` names the parameters after the value ("old new count=": '=' marks optional ones); a[] holds them in that
 * order, AXJ_ABSENT where not given; a parameter with '/' in front has no keyword. With sig NULL the function reads `args` itself.
 */
struct axj_builtin {
	const char *name;
	const char *sig;
	int (*fn)(struct axj *r, struct axj_val self, const struct axj_val *a, struct axj_args *args, struct axj_val *out);
};

int axj_raise(struct axj *r, const char *cls, const char *fmt, ...) AX_PRINTF(3, 4);
int axj_limit(struct axj *r, const char *what);
int axj_oom(struct axj *r);
int axj_too_many_steps(struct axj *r);
static inline int axj_step(struct axj *r, uint64_t n)
{
	r->steps += n;
	return r->steps > AX_JINJA_STEPS ? axj_too_many_steps(r) : 0;
}

/* jinja_value.c */
extern const struct axj_val axj_none;
static inline struct axj_val axj_bool(bool b)
{
	return (struct axj_val){.t = AXJ_BOOL, .u.b = b};
}
static inline struct axj_val axj_int(int64_t i)
{
	return (struct axj_val){.t = AXJ_INT, .u.i = i};
}
static inline struct axj_val axj_float(double f)
{
	return (struct axj_val){.t = AXJ_FLOAT, .u.f = f};
}
const char *axj_type_name(struct axj_val v);
/* As object_type_repr: "dict object", "None". */
const char *axj_object_name(struct axj_val v);
bool axj_truth(struct axj_val v);
static inline bool axj_is_int(struct axj_val v) /* int within 64 bits, or bool */
{
	return v.t == AXJ_INT || v.t == AXJ_BOOL;
}
static inline int64_t axj_as_int(struct axj_val v)
{
	return v.t == AXJ_BOOL ? v.u.b : v.u.i;
}
static inline bool axj_is_num(struct axj_val v)
{
	return axj_is_int(v) || v.t == AXJ_FLOAT || v.t == AXJ_BIG;
}
double axj_as_float(struct axj_val v);
bool axj_equal(struct axj *r, struct axj_val x, struct axj_val y);
/* x < y and so on; TypeError for what Python cannot order. */
int axj_order(struct axj *r, enum axj_cmp op, struct axj_val x, struct axj_val y, bool *out);
/* The context value that a number, boolean or None is; NULL from the template. */
static inline const struct ax_val *axj_src(const struct axj *r, struct axj_val v)
{
	return v.src ? r->origin[v.src - 1] : NULL;
}
/* Make the view an object of its own. */
int axj_identify(struct axj *r, struct axj_val *v);
/* Value of the context as a template sees it. */
int axj_wrap(struct axj *r, const struct ax_val *v, struct axj_val *out);
int axj_new_list(struct axj *r, enum axj_type t, size_t cap, struct axj_val *out);
int axj_append(struct axj *r, struct axj_list *l, struct axj_val v);
int axj_fill_list(struct axj *r, struct axj_list *l);
int axj_new_dict(struct axj *r, struct axj_val *out);
int axj_fill_dict(struct axj *r, struct axj_dict *d);
/* Can v be a key? */
bool axj_hashable(struct axj_val v);
/* *at: position of the key, or d->n. TypeError if it cannot be a key. */
int axj_dict_find(struct axj *r, struct axj_dict *d, struct axj_val k, size_t *at);
size_t axj_dict_find_str(struct axj *r, struct axj_dict *d, const char *s, size_t n);
int axj_dict_set(struct axj *r, struct axj_dict *d, struct axj_val k, struct axj_val v);
void axj_dict_remove(struct axj_dict *d, size_t at);
/* Undefined values. */
int axj_undef_name(struct axj *r, struct axj_str *name, struct axj_val *out);
int axj_undef_in(struct axj *r, struct axj_val owner, struct axj_val name, struct axj_val *out);
int axj_undef_hint(struct axj *r, const char *exc, struct axj_val *out, const char *fmt, ...) AX_PRINTF(4, 5);
int axj_raise_undef(struct axj *r, struct axj_val v);

#define AXJ_INDEX_FROM ((size_t)9) /* dicts of so many keys get a hash index */

/* Are two texts of n bytes the same? Short ones as a rule. */
static inline bool axj_same(const char *x, const char *y, size_t n)
{
	if (n >= 16)
		return memcmp(x, y, n) == 0;
	if (n >= 8) {
		uint64_t a, b, c, d;

		memcpy(&a, x, 8);
		memcpy(&b, y, 8);
		memcpy(&c, x + n - 8, 8);
		memcpy(&d, y + n - 8, 8);
		return a == b && c == d;
	}
	if (n >= 4) {
		uint32_t a, b, c, d;

		memcpy(&a, x, 4);
		memcpy(&b, y, 4);
		memcpy(&c, x + n - 4, 4);
		memcpy(&d, y + n - 4, 4);
		return a == b && c == d;
	}
	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return false;
	return true;
}

/* jinja_str.c */
/* A string of the template: copies nothing. */
int axj_str(struct axj *r, const char *p, size_t n, struct axj_val *out);
int axj_strz(struct axj *r, const char *s, struct axj_val *out);
size_t axj_len_chars(struct axj_str *s);
/* Byte offset of character i (i <= number of characters). */
size_t axj_char_off(const struct axj_str *s, size_t i);
/* Bytes [from, to) of s, provenance kept. */
int axj_cut(struct axj *r, const struct axj_str *s, size_t from, size_t to, struct axj_val *out);
/* New text made from v as a whole (its first origin). */
int axj_made_from(struct axj *r, const char *p, size_t n, struct axj_val v, struct axj_val *out);
const struct ax_val *axj_origin(struct axj *r, struct axj_val v);
/*
 * Building strings: text is appended to the rope behind what is there, then taken off as a value. Captures nest.
 */
struct axj_capture {
	size_t b, span, floor;
};
void axj_capture_begin(struct axj *r, struct axj_capture *c);
int axj_capture_end(struct axj *r, struct axj_capture *c, struct axj_val *out);
void axj_capture_drop(struct axj *r, struct axj_capture *c);
int axj_put(struct axj *r, const char *p, size_t n); /* text of the template */
int axj_putz(struct axj *r, const char *s);
int axj_put_str(struct axj *r, const struct axj_str *s);
int axj_put_sub(struct axj *r, const struct axj_str *s, size_t from, size_t to);
int axj_put_span(struct axj *r, const char *p, size_t n, const struct ax_val *src, size_t off, unsigned flags);
/* Everything from `begin` on was made from src. */
void axj_mark(struct axj *r, size_t begin, const struct ax_val *src);
int axj_add_str(struct axj *r, struct axj_val x, struct axj_val y, struct axj_val *out);
bool axj_is_str(struct axj_val v, const char *s);
static inline bool axj_str_eq(const struct axj_str *x, const struct axj_str *y)
{
	return x->n == y->n && axj_same(x->p, y->p, x->n);
}
size_t axj_find(const struct axj_str *s, const struct axj_str *what, size_t from); /* AXJ_UNKNOWN: not there */
bool axj_is_space(uint32_t c);
uint32_t axj_get_char(const char *p, size_t left, size_t *len);
size_t axj_put_char(uint32_t c, char out[4]);
int axj_put_escaped(struct axj *r, const struct axj_str *s);

/* jinja_big.c: x and y are integers of any size */
int axj_big_op(struct axj *r, enum axj_op op, struct axj_val x, struct axj_val y, struct axj_val *out); /* y is not 0 where it divides */
int axj_big_compare(struct axj_val x, struct axj_val y);
double axj_big_float(struct axj_val v); /* rounded to even; may be infinite */
size_t axj_big_bits(struct axj_val v);  /* of the magnitude */
int axj_big_truncate(struct axj *r, double f, struct axj_val *out); /* int(f) of a finite f */
/* n digits of a base up to 36 */
int axj_big_parse(struct axj *r, const char *digits, size_t n, unsigned base, bool neg, struct axj_val *out);
/* Digits in base 2, 8, 10 or 16, NUL-terminated; ValueError beyond AXJ_MAX_DIGITS in base 10. */
int axj_big_text(struct axj *r, struct axj_val v, unsigned base, char **text);

/* jinja_repr.c */
int axj_put_val(struct axj *r, struct axj_val v);  /* str(v) */
int axj_put_repr(struct axj *r, struct axj_val v); /* repr(v) */
int axj_to_str(struct axj *r, struct axj_val v, struct axj_val *out);
/* repr(v) for messages, cut to a reasonable length. */
const char *axj_repr_text(struct axj *r, struct axj_val v);

/* jinja_json.c */
struct axj_json {
	bool ascii, sort, indented;
	struct axj_val indent; /* string */
	struct axj_val item_sep, key_sep;
};
int axj_put_json(struct axj *r, struct axj_val v, const struct axj_json *o);

/* jinja_format.c: "..." % args; jinja_spec.c: "...".format(...) */
int axj_percent(struct axj *r, struct axj_val fmt, struct axj_val args, struct axj_val *out);
/* With the fields from args, or all from map (format_map) if it is given. */
int axj_format(struct axj *r, const struct axj_str *fmt, struct axj_args *args, struct axj_dict *map, struct axj_val *out);
/* str, repr or ascii of v: how is 's', 'r' or 'a'. */
int axj_convert(struct axj *r, struct axj_val v, char how, struct axj_val *out);
/* x with conversion e, E, f, F, g or G (prec < 0: 6), with a byte free before it for a sign. */
int axj_float_text(struct axj *r, double x, char type, int64_t prec, bool alt, char **text);

/* jinja_ops.c, jinja_attr.c */
int axj_binary(struct axj *r, enum axj_op op, struct axj_val x, struct axj_val y, struct axj_val *out);
int axj_unary(struct axj *r, enum axj_op op, struct axj_val x, struct axj_val *out);
int axj_contains(struct axj *r, struct axj_val item, struct axj_val in, bool *out);
int axj_compare(struct axj *r, enum axj_cmp op, struct axj_val x, struct axj_val y, bool *out);
int axj_slice(struct axj *r, struct axj_val v, struct axj_val from, struct axj_val to, struct axj_val step, struct axj_val *out);
int axj_getattr(struct axj *r, struct axj_val v, struct axj_str *name, struct axj_val *out);
int axj_getitem(struct axj *r, struct axj_val v, struct axj_val key, struct axj_val *out);
/* Note in an AXJ_GETATTR what its name says. */
void axj_attr_about(struct axj_node *n);
/* The attribute itself, without falling back on items; *out is AXJ_ABSENT if there is none. */
int axj_attribute(struct axj *r, struct axj_val v, struct axj_str *name, struct axj_val *out);
/* All elements as list(v) gives them. A shared list must not be changed. */
int axj_items(struct axj *r, struct axj_val v, struct axj_list **out);
bool axj_iterable(struct axj_val v);
bool axj_len(struct axj *r, struct axj_val v, int64_t *n); /* false: has no len() */

/* jinja_exec.c, jinja_eval.c, jinja_call.c */
int axj_exec(struct axj *r, const struct axj_body *b);
int axj_eval(struct axj *r, const struct axj_node *n, struct axj_val *out);
/* Evaluate and append to the output. */
int axj_eval_put(struct axj *r, const struct axj_node *n);
/* Is it true? Evaluated as by axj_eval. */
int axj_eval_truth(struct axj *r, const struct axj_node *n, bool *yes);
int axj_eval_args(struct axj *r, const struct axj_argexpr *x, struct axj_args *out);
int axj_call(struct axj *r, struct axj_val fn, struct axj_args *args, struct axj_val *out);
int axj_call_builtin(struct axj *r, const struct axj_builtin *fn, struct axj_val self, struct axj_args *args, struct axj_val *out);
/* n->fn, whose parameters n->sym counts, with the arguments and at the place of `call`. */
int axj_call_known(struct axj *r, const struct axj_node *call, const struct axj_node *n, struct axj_val self, struct axj_val *out);
/* Numbers of parameters of n->fn for n->sym. */
uint32_t axj_count_params(const struct axj_builtin *fn);
int axj_run_for(struct axj *r, const struct axj_node *n, struct axj_val over, int64_t depth0, struct axj_frame *outer);
/* Where a variable stands; its value is AXJ_ABSENT if there is none. */
static inline const struct axj_val *axj_lookup(const struct axj *r, uint32_t sym)
{
	if (r->framed >> (sym & 63) & 1)
		for (const struct axj_frame *f = r->frame; f; f = f->up)
			for (size_t i = f->n; i-- > 0;)
				if (f->var[i].sym == sym)
					return &f->var[i].v;
	return &r->top[sym];
}
int axj_bind(struct axj *r, uint32_t sym, struct axj_val v);
int axj_assign(struct axj *r, const struct axj_node *target, struct axj_val v);
int axj_push_frame(struct axj *r, struct axj_frame *up);
int axj_loop_next(struct axj *r, struct axj_loop *l, size_t index, bool *is);
/* Which attribute of a loop the name is, from 1; 0 if it is none. */
uint32_t axj_loop_attr_find(const struct axj_str *name);
/* index, index0 and first, by their numbers from axj_loop_attr_find. */
#define AXJ_LOOP_AT_ONCE 3
static inline struct axj_val axj_loop_at_once(const struct axj_loop *l, uint32_t which)
{
	return which == AXJ_LOOP_AT_ONCE ? axj_bool(l->index0 == 0) : axj_int(l->index0 + (which == 1));
}
int axj_loop_attr(struct axj *r, struct axj_loop *l, uint32_t which, struct axj_val *out);
int axj_call_macro(struct axj *r, const struct axj_macro *m, struct axj_args *args, struct axj_val *out);
bool axj_function(const struct axj_str *name, struct axj_val *out);
const struct axj_builtin *axj_function_at(uint8_t i);
struct axj_named *axj_keyword(struct axj_args *a, const char *name);

/* The library: NULL if there is none of that name. */
const struct axj_builtin *axj_find_filter(const char *s, size_t n);
const struct axj_builtin *axj_find_test(const char *s, size_t n);
bool axj_is_dict_method(const struct axj_str *name);
const struct axj_builtin *axj_find_method(const struct ax_jinja *t, struct axj_val v, const struct axj_str *name, bool *unsafe);

#endif
