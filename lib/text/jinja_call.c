/* Calls: arguments, built-ins, macros, recursive loops. */
#include <stdio.h>
#include <string.h>

#include "text/jinja_impl.h"

static int eval_star(struct axj *r, const struct axj_node *star, struct axj_list *to)
{
	struct axj_val v;
	struct axj_list *l;

	AX_TRY(axj_eval(r, star, &v));
	if (!axj_iterable(v))
		return axj_raise(r, "TypeError", "argument after * must be an iterable, not %s", axj_type_name(v));
	AX_TRY(axj_items(r, v, &l));
	for (size_t i = 0; i < l->n; i++)
		AX_TRY(axj_append(r, to, l->v[i]));
	return 0;
}

static int eval_dstar(struct axj *r, const struct axj_node *dstar, struct axj_args *out)
{
	struct axj_named *all;
	struct axj_val v;
	struct axj_dict *d;

	AX_TRY(axj_eval(r, dstar, &v));
	if (v.t != AXJ_DICT)
		return axj_raise(r, "TypeError", "argument after ** must be a mapping, not %s", axj_type_name(v));
	d = v.u.d;
	AX_TRY(axj_fill_dict(r, d));
	all = ax_arena_calloc(r->mem, out->n_kw + d->n + 1, sizeof(*all));
	if (!all)
		return axj_oom(r);
	if (out->n_kw)
		memcpy(all, out->kw, out->n_kw * sizeof(*all));
	out->kw = all;
	for (size_t i = 0; i < d->n; i++) {
		if (d->kv[i].k.t != AXJ_STR)
			return axj_raise(r, "TypeError", "keywords must be strings");
		all[out->n_kw++] = (struct axj_named){d->kv[i].k.u.s, d->kv[i].v};
	}
	return 0;
}

static int eval_positional(struct axj *r, const struct axj_argexpr *x, struct axj_args *out)
{
	struct axj_list list = {.cap = x->pos.n};
	size_t bytes;

	list.v = ax_mul_size(x->pos.n, sizeof(*list.v), &bytes) ? ax_arena_alloc(r->mem, bytes) : NULL;
	if (!list.v)
		return axj_oom(r);
	for (; list.n < x->pos.n; list.n++)
		AX_TRY(axj_eval(r, x->pos.p[list.n], &list.v[list.n]));
	if (x->star)
		AX_TRY(eval_star(r, x->star, &list));
	out->pos = list.v;
	out->n_pos = list.n;
	return axj_step(r, x->pos.n);
}

int axj_eval_args(struct axj *r, const struct axj_argexpr *x, struct axj_args *out)
{
	memset(out, 0, sizeof(*out));
	if (!x)
		return 0;
	if (x->pos.n || x->star)
		AX_TRY(eval_positional(r, x, out));
	if (x->n_kw) {
		out->kw = ax_arena_calloc(r->mem, x->n_kw, sizeof(*out->kw));
		if (!out->kw)
			return axj_oom(r);
	}
	for (size_t i = 0; i < x->n_kw; i++) {
		out->kw[i].name = x->kw[i].name;
		AX_TRY(axj_eval(r, x->kw[i].v, &out->kw[i].v));
		out->n_kw = i + 1;
	}
	return x->dstar ? eval_dstar(r, x->dstar, out) : 0;
}

struct axj_named *axj_keyword(struct axj_args *a, const char *name)
{
	for (size_t i = 0; i < a->n_kw; i++)
		if (a->kw[i].name->n == strlen(name) && memcmp(a->kw[i].name->p, name, a->kw[i].name->n) == 0)
			return &a->kw[i];
	return NULL;
}

/* A name that begins with '/' takes no keyword. Position of a keyword among the parameters of a signature, or -1. */
static int param_index(const char *sig, const struct axj_str *name)
{
	for (int i = 0; *sig; i++) {
		size_t n = strcspn(sig, " =");

		if (n == name->n && memcmp(sig, name->p, n) == 0)
			return i;
		sig += n + (sig[n] == '=');
		sig += *sig == ' ';
	}
	return -1;
}

/* Number of parameters, and of those that must be given: the first ones. */
static int param_count(const char *sig, int *required)
{
	int n = *sig != '\0', optional = 0;

	for (; *sig; sig++) {
		n += *sig == ' ';
		optional += *sig == '=';
	}
	*required = n - optional;
	return n;
}

uint32_t axj_count_params(const struct axj_builtin *fn)
{
	int n, required;

	if (!fn || !fn->sig)
		return 0;
	n = param_count(fn->sig, &required);
	return AXJ_COUNTS(n, required);
}

static const struct axj_val none_given[AXJ_MAX_ARGS];

static int call_counted(struct axj *r, const struct axj_builtin *fn, uint32_t counts, struct axj_val self, struct axj_args *args,
			struct axj_val *out)
{
	int n = (int)AXJ_N_PARAM(counts), required = (int)AXJ_N_REQUIRED(counts);
	struct axj_val a[AXJ_MAX_ARGS];

	memset(out, 0, sizeof(*out));
	if (!fn->sig)
		return fn->fn(r, self, none_given, args, out);
	memset(a, 0, sizeof(a));
	if (args->n_pos > (size_t)n)
		return axj_raise(r, "TypeError", "%s() takes at most %d arguments (%zu given)", fn->name, n, args->n_pos);
	for (size_t i = 0; i < args->n_pos; i++)
		a[i] = args->pos[i];
	for (size_t i = 0; i < args->n_kw; i++) {
		int at = param_index(fn->sig, args->kw[i].name);

		if (fn->sig[0] == '/' || !fn->sig[0])
			return axj_raise(r, "TypeError", "%s.%s() takes no keyword arguments", axj_type_name(self), fn->name);
		if (at < 0)
			return axj_raise(r, "TypeError", "%s() got an unexpected keyword argument '%.80s'", fn->name, args->kw[i].name->p);
		if (a[at].t)
			return axj_raise(r, "TypeError", "%s() got multiple values for argument '%.80s'", fn->name, args->kw[i].name->p);
		a[at] = args->kw[i].v;
	}
	for (int i = 0; i < required; i++)
		if (!a[i].t)
			return axj_raise(r, "TypeError", "%s() missing %d required argument(s)", fn->name, required - i);
	return fn->fn(r, self, a, args, out);
}

int axj_call_builtin(struct axj *r, const struct axj_builtin *fn, struct axj_val self, struct axj_args *args, struct axj_val *out)
{
	return call_counted(r, fn, axj_count_params(fn), self, args, out);
}

int axj_call_known(struct axj *r, const struct axj_node *call, const struct axj_node *n, struct axj_val self, struct axj_val *out)
{
	struct axj_args given = {0};

	if (!call->args && AXJ_N_REQUIRED(n->sym) == 0) {
		r->line = call->line;
		memset(out, 0, sizeof(*out));
		return n->fn->fn(r, self, none_given, &given, out);
	}
	AX_TRY(axj_eval_args(r, call->args, &given));
	r->line = call->line;
	return call_counted(r, n->fn, n->sym, self, &given, out);
}

/* ---- macros ---- */

static bool has_param(const struct axj_params *p, uint32_t sym)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->sym[i] == sym)
			return true;
	return false;
}

static const char *macro_name(struct axj *r, const struct axj_macro *m)
{
	struct axj_val s = {.t = AXJ_STR};

	s.u.s = m->name;
	return m->name ? axj_repr_text(r, s) : "None";
}

/* Keyword arguments that no parameter took, into **kwargs or an error. */
static int bind_rest(struct axj *r, const struct axj_macro *m, struct axj_args *args, const bool *used)
{
	const struct axj_params *p = m->node->params;
	struct axj_val rest, k = {.t = AXJ_STR};

	AX_TRY(axj_new_dict(r, &rest));
	for (size_t i = 0; i < args->n_kw; i++) {
		if (used[i])
			continue;
		k.u.s = args->kw[i].name;
		if (!p->kwargs && axj_is_str(k, "caller"))
			return axj_raise(r, "TypeError",
					 "macro %s was invoked with two values for the special caller argument. This is most likely a bug.",
					 macro_name(r, m));
		if (!p->kwargs)
			return axj_raise(r, "TypeError", "macro %s takes no keyword argument %s", macro_name(r, m), axj_repr_text(r, k));
		AX_TRY(axj_dict_set(r, rest.u.d, k, args->kw[i].v));
	}
	return p->kwargs ? axj_bind(r, r->t->sym_kwargs, rest) : 0;
}

static int bind_varargs(struct axj *r, const struct axj_macro *m, struct axj_args *args)
{
	const struct axj_params *p = m->node->params;
	struct axj_val rest;

	if (!p->varargs && args->n_pos > p->n)
		return axj_raise(r, "TypeError", "macro %s takes not more than %zu argument(s)", macro_name(r, m), p->n);
	if (!p->varargs)
		return 0;
	AX_TRY(axj_new_list(r, AXJ_TUPLE, 0, &rest));
	for (size_t i = p->n; i < args->n_pos; i++)
		AX_TRY(axj_append(r, rest.u.l, args->pos[i]));
	return axj_bind(r, r->t->sym_varargs, rest);
}

static int bind_caller(struct axj *r, const struct axj_macro *m, struct axj_args *args, bool *used)
{
	struct axj_named *kw = axj_keyword(args, "caller");
	struct axj_val v;

	if (!m->node->params->caller || has_param(m->node->params, r->t->sym_caller))
		return 0;
	if (kw) {
		used[kw - args->kw] = true;
		return axj_bind(r, r->t->sym_caller, kw->v);
	}
	AX_TRY(axj_undef_hint(r, "UndefinedError", &v, "No caller defined"));
	return axj_bind(r, r->t->sym_caller, v);
}

static int bind_params(struct axj *r, const struct axj_macro *m, struct axj_args *args)
{
	const struct axj_params *p = m->node->params;
	bool *used = ax_arena_calloc(r->mem, args->n_kw + 1, sizeof(*used));
	bool *bound = ax_arena_calloc(r->mem, p->n + 1, sizeof(*bound));
	struct axj_val v;

	if (!used || !bound)
		return axj_oom(r);
	for (size_t i = 0; i < p->n; i++) {
		struct axj_named *kw = i < args->n_pos ? NULL : axj_keyword(args, r->t->sym[p->sym[i]]->p);

		bound[i] = i < args->n_pos || kw;
		if (kw)
			used[kw - args->kw] = true;
		if (bound[i])
			AX_TRY(axj_bind(r, p->sym[i], kw ? kw->v : args->pos[i]));
	}
	AX_TRY(bind_caller(r, m, args, used));
	AX_TRY(bind_rest(r, m, args, used));
	AX_TRY(bind_varargs(r, m, args));
	for (size_t i = 0; i < p->n; i++) { /* defaults may use the parameters before them */
		if (bound[i])
			continue;
		if (p->dflt[i])
			AX_TRY(axj_eval(r, p->dflt[i], &v));
		else
			AX_TRY(axj_undef_hint(r, "UndefinedError", &v, "parameter '%.80s' was not provided", r->t->sym[p->sym[i]]->p));
		AX_TRY(axj_bind(r, p->sym[i], v));
	}
	return 0;
}

int axj_call_macro(struct axj *r, const struct axj_macro *m, struct axj_args *args, struct axj_val *out)
{
	struct axj_frame *saved = r->frame;
	struct axj_capture c;
	int rc;

	if (r->calls >= AX_JINJA_CALLS)
		return axj_limit(r, "macro calls nested too deeply");
	r->calls++;
	AX_TRY(axj_push_frame(r, m->outer));
	AX_TRY(bind_params(r, m, args));
	axj_capture_begin(r, &c);
	rc = axj_exec(r, &m->node->body);
	if (rc < 0)
		return rc;
	r->frame = saved;
	r->calls--;
	return axj_capture_end(r, &c, out);
}

/* loop(children) inside a recursive loop. */
static int call_loop(struct axj *r, struct axj_loop *l, struct axj_args *args, struct axj_val *out)
{
	struct axj_frame *saved = r->frame;
	struct axj_capture c;

	if (!l->node->cmp)
		return axj_raise(r, "TypeError", "The loop must have the 'recursive' marker to be called recursively.");
	if (args->n_pos != 1 || args->n_kw)
		return axj_raise(r, "TypeError", "LoopContext.__call__() takes exactly one argument");
	if (r->calls >= AX_JINJA_CALLS)
		return axj_limit(r, "recursive loops nested too deeply");
	r->calls++;
	axj_capture_begin(r, &c);
	AX_TRY(axj_run_for(r, l->node, args->pos[0], l->depth0 + 1, l->outer));
	r->frame = saved;
	r->calls--;
	return axj_capture_end(r, &c, out);
}

int axj_call(struct axj *r, struct axj_val fn, struct axj_args *args, struct axj_val *out)
{
	struct axj_cycler *j;

	memset(out, 0, sizeof(*out));
	switch ((enum axj_type)fn.t) {
	case AXJ_UNDEF:
		return axj_raise_undef(r, fn);
	case AXJ_MACRO:
		return axj_call_macro(r, fn.u.macro, args, out);
	case AXJ_METHOD:
		return axj_call_builtin(r, fn.u.method->fn, fn.u.method->self, args, out);
	case AXJ_FUNC:
		return axj_call_builtin(r, axj_function_at(fn.sub), axj_none, args, out);
	case AXJ_LOOP:
		return call_loop(r, fn.u.loop, args, out);
	case AXJ_JOINER:
		j = fn.u.cycler;
		if (!j->used) {
			j->used = true;
			return axj_strz(r, "", out);
		}
		*out = j->sep;
		return 0;
	default:
		return axj_raise(r, "TypeError", "'%s' object is not callable", axj_type_name(fn));
	}
}
