/* Statements, scopes and loops. */
#include <string.h>

#include "text/jinja_impl.h"

/* ---- scopes ---- */

int axj_push_frame(struct axj *r, struct axj_frame *up)
{
	struct axj_frame *f = ax_arena_calloc(r->mem, 1, sizeof(*f));

	if (!f)
		return axj_oom(r);
	f->up = up;
	r->frame = f;
	return 0;
}

/* A variable that the frame does not have yet. */
static inline int bind_new(struct axj *r, struct axj_frame *f, uint32_t sym, struct axj_val v)
{
	r->framed |= (uint64_t)1 << (sym & 63);
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 8;
		struct axj_var *q = ax_arena_alloc(r->mem, cap * sizeof(*q));

		if (!q)
			return axj_oom(r);
		if (f->n)
			memcpy(q, f->var, f->n * sizeof(*q));
		f->var = q;
		f->cap = cap;
	}
	f->var[f->n++] = (struct axj_var){sym, v};
	return 0;
}

int axj_bind(struct axj *r, uint32_t sym, struct axj_val v)
{
	struct axj_frame *f = r->frame;

	if (!f) {
		r->top[sym] = v;
		return 0;
	}
	for (size_t i = 0; i < f->n; i++)
		if (f->var[i].sym == sym) {
			f->var[i].v = v;
			return 0;
		}
	return bind_new(r, f, sym, v);
}

static int assign_tuple(struct axj *r, const struct axj_node *target, struct axj_val v)
{
	struct axj_list *l;

	if (!axj_iterable(v))
		return axj_raise(r, "TypeError", "cannot unpack non-iterable %s object", axj_type_name(v));
	AX_TRY(axj_items(r, v, &l));
	if (l->n < target->body.n)
		return axj_raise(r, "ValueError", "not enough values to unpack (expected %zu, got %zu)", target->body.n, l->n);
	if (l->n > target->body.n)
		return axj_raise(r, "ValueError", "too many values to unpack (expected %zu)", target->body.n);
	for (size_t i = 0; i < l->n; i++)
		AX_TRY(axj_assign(r, target->body.p[i], l->v[i]));
	return 0;
}

int axj_assign(struct axj *r, const struct axj_node *target, struct axj_val v)
{
	struct axj_val ns;
	const struct axj_str *name;

	if (target->op == AXJ_NAME)
		return axj_bind(r, target->sym, v);
	if (target->op == AXJ_MAKE_TUPLE)
		return assign_tuple(r, target, v);
	AX_TRY(axj_eval(r, target->a, &ns));
	r->line = target->line;
	if (ns.t != AXJ_NS)
		return axj_raise(r, "TemplateRuntimeError", "cannot assign attribute on non-namespace object");
	name = target->val.u.s;
	if (name->n && name->p[0] == '_')
		return axj_raise(r, "SecurityError",
				 "Chat templates cannot store underscore-prefixed attributes on a namespace, but got '%.80s'. "
				 "Please rename the attribute.",
				 name->p);
	return axj_dict_set(r, ns.u.d, target->val, v);
}

/* ---- loops ---- */

/* Can the loop's next item be had? Filters are asked only as far as needed: a body may change what they see. */
int axj_loop_next(struct axj *r, struct axj_loop *l, size_t index, bool *is)
{
	while (l->n_kept <= index && l->at < l->items->n) {
		struct axj_val v = l->items->v[l->at++], test = axj_bool(true);

		if (l->node->c) {
			struct axj_frame *saved = r->frame;

			r->frame = l->test;
			r->frame->n = 0;
			AX_TRY(axj_assign(r, l->node->a, v));
			AX_TRY(axj_eval(r, l->node->c, &test));
			r->frame = saved;
		}
		if (axj_truth(test))
			l->kept[l->n_kept++] = v;
	}
	*is = l->n_kept > index;
	return 0;
}

static int loop_length(struct axj *r, struct axj_loop *l, int64_t *n)
{
	bool is;

	AX_TRY(axj_loop_next(r, l, SIZE_MAX - 1, &is));
	*n = (int64_t)l->n_kept;
	return 0;
}

enum loop_attr { L_NONE, /* the first AXJ_LOOP_AT_ONCE: */ L_INDEX, L_INDEX0, L_FIRST, L_LAST, L_LENGTH, L_REVINDEX, L_REVINDEX0, L_PREV, L_NEXT, L_DEPTH, L_DEPTH0 };

uint32_t axj_loop_attr_find(const struct axj_str *name)
{
	static const char *const names[] = {"index",    "index0",    "first",    "last",     "length", "revindex",
					    "revindex0", "previtem", "nextitem", "depth", "depth0"};

	for (uint32_t i = 0; i < L_DEPTH0; i++)
		if (strlen(names[i]) == name->n && memcmp(names[i], name->p, name->n) == 0)
			return i + 1;
	return L_NONE;
}

int axj_loop_attr(struct axj *r, struct axj_loop *l, uint32_t which, struct axj_val *out)
{
	enum loop_attr what = (enum loop_attr)which;
	int64_t n = 0;
	bool more;

	switch (what) {
	case L_INDEX:
	case L_INDEX0:
	case L_FIRST:
		*out = axj_loop_at_once(l, which);
		return 0;
	case L_LENGTH:
	case L_REVINDEX:
	case L_REVINDEX0:
		AX_TRY(loop_length(r, l, &n));
		*out = axj_int(what == L_LENGTH ? n : n - l->index0 - (what == L_REVINDEX0));
		return 0;
	case L_LAST:
	case L_NEXT:
		AX_TRY(axj_loop_next(r, l, (size_t)l->index0 + 1, &more));
		if (what == L_LAST)
			*out = axj_bool(!more);
		else if (more)
			*out = l->kept[l->index0 + 1];
		else
			return axj_undef_hint(r, "UndefinedError", out, "there is no next item");
		return 0;
	case L_PREV:
		if (l->index0 == 0)
			return axj_undef_hint(r, "UndefinedError", out, "there is no previous item");
		*out = l->kept[l->index0 - 1];
		return 0;
	case L_DEPTH:
	case L_DEPTH0:
		*out = axj_int(l->depth0 + (what == L_DEPTH));
		return 0;
	case L_NONE:
		break;
	}
	return 0;
}

static int loop_new(struct axj *r, const struct axj_node *n, struct axj_val over, int64_t depth0, struct axj_frame *outer,
		    struct axj_val *out)
{
	struct axj_loop *l = ax_arena_calloc(r->mem, 1, sizeof(*l));
	size_t bytes;

	memset(out, 0, sizeof(*out));
	out->t = AXJ_LOOP;
	out->u.loop = l;
	if (!l)
		return axj_oom(r);
	l->node = n;
	l->outer = outer;
	l->depth0 = depth0;
	r->line = n->line;
	AX_TRY(axj_items(r, over, &l->items));
	if (!n->c) { /* nothing is filtered: the items themselves */
		l->kept = l->items->v;
		l->n_kept = l->items->n;
		l->at = l->items->n;
		return 0;
	}
	l->kept = ax_mul_size(l->items->n + 1, sizeof(*l->kept), &bytes) ? ax_arena_alloc(r->mem, bytes) : NULL;
	l->test = ax_arena_calloc(r->mem, 1, sizeof(*l->test));
	if (!l->kept || !l->test)
		return axj_oom(r);
	l->test->up = outer;
	return 0;
}

int axj_run_for(struct axj *r, const struct axj_node *n, struct axj_val over, int64_t depth0, struct axj_frame *outer)
{
	struct axj_frame *saved = r->frame, *scope;
	struct axj_val loop;
	struct axj_loop *l;
	bool more, completed = false; /* a turn that reached its end */
	int rc = 0;

	AX_TRY(loop_new(r, n, over, depth0, outer, &loop));
	l = loop.u.loop;
	AX_TRY(axj_push_frame(r, outer));
	scope = r->frame; /* one for all turns, emptied at each: as in Python, a macro kept from a turn sees the last one */
	for (l->index0 = 0;; l->index0++) {
		more = l->n_kept > (size_t)l->index0;
		if (!more)
			AX_TRY(axj_loop_next(r, l, (size_t)l->index0, &more));
		if (!more) {
			l->index0--; /* who kept the loop sees its last turn */
			break;
		}
		AX_TRY(axj_step(r, 1));
		r->frame = scope;
		scope->n = 0;
		AX_TRY(bind_new(r, scope, r->t->sym_loop, loop));
		if (n->a->op == AXJ_NAME && n->a->sym != r->t->sym_loop)
			AX_TRY(bind_new(r, scope, n->a->sym, l->kept[l->index0]));
		else
			AX_TRY(axj_assign(r, n->a, l->kept[l->index0]));
		rc = axj_exec(r, &n->body);
		r->frame = saved;
		if (rc < 0)
			return rc;
		completed = completed || rc == 0;
		if (rc == AXJ_BREAK)
			break;
	}
	r->frame = saved;
	if (completed || !n->other.n) /* as in jinja2, turns that all ended early leave the else branch to run */
		return 0;
	AX_TRY(axj_push_frame(r, outer));
	rc = axj_exec(r, &n->other);
	r->frame = saved;
	return rc;
}

/* ---- statements ---- */

static int exec_output(struct axj *r, const struct axj_node *n)
{
	for (size_t i = 0; i < n->body.n; i++) {
		const struct axj_node *x = n->body.p[i];

		if (x->op == AXJ_CONST && x->val.t == AXJ_STR)
			AX_TRY(axj_put(r, x->val.u.s->p, x->val.u.s->n));
		else
			AX_TRY(axj_eval_put(r, x));
	}
	return 0;
}

static int exec_if(struct axj *r, const struct axj_node *n)
{
	for (; n; n = n->c) {
		bool yes;

		AX_TRY(axj_eval_truth(r, n->a, &yes));
		if (yes)
			return axj_exec(r, &n->body);
		if (!n->c)
			return axj_exec(r, &n->other);
	}
	return 0;
}

/* A body in a scope of its own. */
static int exec_scoped(struct axj *r, const struct axj_body *b)
{
	struct axj_frame *saved = r->frame;
	int rc;

	AX_TRY(axj_push_frame(r, saved));
	rc = axj_exec(r, b);
	r->frame = saved;
	return rc;
}

/* What a body writes, as a value. */
static int captured(struct axj *r, const struct axj_body *b, struct axj_val *out)
{
	struct axj_capture c;
	int rc;

	axj_capture_begin(r, &c);
	rc = exec_scoped(r, b);
	if (rc < 0)
		return rc;
	AX_TRY(axj_capture_end(r, &c, out));
	return rc;
}

/* The filters of a set or filter block; their innermost input is the captured text. */
static int apply_filters(struct axj *r, const struct axj_node *f, struct axj_val *v)
{
	struct axj_val in = *v;

	if (!f)
		return 0;
	AX_TRY(apply_filters(r, f->a, &in));
	r->line = f->line;
	if (!f->fn)
		return axj_raise(r, "TemplateRuntimeError", "No filter named '%.80s' found.", f->val.u.s->p);
	return axj_call_known(r, f, f, in, v);
}

static int exec_block(struct axj *r, const struct axj_node *n)
{
	struct axj_val v = {0};

	AX_TRY(captured(r, &n->body, &v));
	AX_TRY(apply_filters(r, n->b, &v));
	if (n->op == AXJ_SETBLOCK)
		return axj_assign(r, n->a, v);
	if (v.t != AXJ_STR) /* where the pieces of the output are joined */
		return axj_raise(r, "TypeError", "sequence item 0: expected str instance, %s found", axj_type_name(v));
	return axj_put_val(r, v);
}

static int exec_set(struct axj *r, const struct axj_node *n)
{
	struct axj_val v;

	AX_TRY(axj_eval(r, n->b, &v));
	r->line = n->line;
	return axj_assign(r, n->a, v);
}

static int new_macro(struct axj *r, const struct axj_node *n, struct axj_str *name, struct axj_val *out)
{
	memset(out, 0, sizeof(*out));
	out->t = AXJ_MACRO;
	out->u.macro = ax_arena_alloc(r->mem, sizeof(*out->u.macro));
	if (!out->u.macro)
		return axj_oom(r);
	*out->u.macro = (struct axj_macro){name, n, r->frame};
	return 0;
}

static int exec_call_block(struct axj *r, const struct axj_node *n)
{
	struct axj_named kw[32];
	struct axj_args args;
	struct axj_val fn, caller, v;

	AX_TRY(axj_eval(r, n->a->a, &fn));
	AX_TRY(axj_eval_args(r, n->a->args, &args));
	AX_TRY(new_macro(r, n, NULL, &caller));
	if (args.n_kw >= sizeof(kw) / sizeof(kw[0]))
		return axj_limit(r, "too many arguments");
	if (args.n_kw)
		memcpy(kw, args.kw, args.n_kw * sizeof(kw[0]));
	kw[args.n_kw++] = (struct axj_named){r->t->sym[r->t->sym_caller], caller};
	args.kw = kw;
	r->line = n->line;
	AX_TRY(axj_call(r, fn, &args, &v));
	return axj_put_val(r, v);
}

static int exec_with(struct axj *r, const struct axj_node *n)
{
	struct axj_frame *saved = r->frame, *inner;
	struct axj_val v;
	int rc;

	AX_TRY(axj_push_frame(r, saved));
	inner = r->frame;
	for (size_t i = 0; i < n->other.n; i++) {
		r->frame = saved; /* values do not see one another */
		AX_TRY(axj_eval(r, n->other.p[i]->b, &v));
		r->frame = inner;
		AX_TRY(axj_assign(r, n->other.p[i]->a, v));
	}
	rc = axj_exec(r, &n->body);
	r->frame = saved;
	return rc;
}

static int exec_generation(struct axj *r, const struct axj_node *n)
{
	int rc;

	r->gen++;
	rc = exec_scoped(r, &n->body);
	r->gen--;
	return rc;
}

static int exec_for(struct axj *r, const struct axj_node *n)
{
	struct axj_val over;

	AX_TRY(axj_eval(r, n->b, &over));
	return axj_run_for(r, n, over, 0, r->frame);
}

static int exec_macro(struct axj *r, const struct axj_node *n)
{
	struct axj_val m;

	AX_TRY(new_macro(r, n, r->t->sym[n->sym], &m));
	return axj_bind(r, n->sym, m);
}

static int exec(struct axj *r, const struct axj_node *n)
{
	switch ((enum axj_op)n->op) {
	case AXJ_OUTPUT:
		return exec_output(r, n);
	case AXJ_IF:
		return exec_if(r, n);
	case AXJ_FOR:
		return exec_for(r, n);
	case AXJ_SET:
		return exec_set(r, n);
	case AXJ_SETBLOCK:
	case AXJ_FILTERBLOCK:
		return exec_block(r, n);
	case AXJ_DEFMACRO:
		return exec_macro(r, n);
	case AXJ_CALLBLOCK:
		return exec_call_block(r, n);
	case AXJ_WITH:
		return exec_with(r, n);
	case AXJ_SCOPE:
		return exec_scoped(r, &n->body);
	case AXJ_GENERATION:
		return exec_generation(r, n);
	case AXJ_STMT_BREAK:
		return AXJ_BREAK;
	case AXJ_STMT_CONTINUE:
		return AXJ_CONTINUE;
	default:
		return axj_raise(r, "TypeError", "no loader for this environment specified");
	}
}

int axj_exec(struct axj *r, const struct axj_body *b)
{
	int rc = 0;

	if (++r->depth > AXJ_EVAL_DEPTH)
		return axj_limit(r, "nested too deeply");
	for (size_t i = 0; i < b->n && !rc; i++) {
		r->line = b->p[i]->line;
		rc = axj_step(r, 1);
		if (!rc)
			rc = exec(r, b->p[i]);
	}
	r->depth--;
	return rc;
}
