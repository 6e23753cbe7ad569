/* Filters that give generators: nothing happens, and nothing fails, before they are read. */
#include <string.h>

#include "text/jinja_lib.h"

int axj_new_iter(struct axj *r, const char *name, int (*make)(struct axj *, struct axj_iter *, struct axj_list *),
		 struct axj_val value, struct axj_args *args, struct axj_val *out)
{
	struct axj_iter *it = ax_arena_calloc(r->mem, 1, sizeof(*it));

	memset(out, 0, sizeof(*out));
	if (!it)
		return axj_oom(r);
	it->args = ax_arena_alloc(r->mem, sizeof(*args));
	if (!it->args)
		return axj_oom(r);
	*it->args = *args;
	it->name = name;
	it->type = make == axj_make_reversed ? name : "generator";
	it->make = make;
	it->value = value;
	out->t = AXJ_ITER;
	out->u.it = it;
	return 0;
}

static int make_items(struct axj *r, struct axj_iter *it, struct axj_list *out)
{
	struct axj_val view = {.t = AXJ_VIEW, .sub = AXJ_ITEMS};
	struct axj_list *l;

	if (it->value.t == AXJ_UNDEF)
		return 0;
	if (it->value.t != AXJ_DICT)
		return axj_raise(r, "TypeError", "Can only get item pairs from a mapping.");
	view.u.d = it->value.u.d;
	AX_TRY(axj_items(r, view, &l));
	for (size_t i = 0; i < l->n; i++)
		AX_TRY(axj_append(r, out, l->v[i]));
	return 0;
}

AXJ_BUILTIN(axj_f_items)
{
	return axj_new_iter(r, "do_items", make_items, self, args, out);
}

static int map_attribute(struct axj *r, struct axj_iter *it, struct axj_named *attr, struct axj_list *in, struct axj_list *out)
{
	struct axj_named *dflt = axj_keyword(it->args, "default");
	struct axj_val v;

	if (it->args->n_kw > 1 + (dflt != NULL)) {
		struct axj_named *x = it->args->kw;

		while (x == attr || x == dflt)
			x++;
		return axj_raise(r, "FilterArgumentError", "Unexpected keyword argument '%.80s'", x->name->p);
	}
	for (size_t i = 0; i < in->n; i++) {
		AX_TRY(axj_path(r, in->v[i], attr->v, dflt ? dflt->v : axj_none, &v));
		AX_TRY(axj_append(r, out, v));
	}
	return 0;
}

static int no_such(struct axj *r, const char *what, struct axj_val name)
{
	return axj_raise(r, "TemplateRuntimeError", "No %s named %s.", what, axj_repr_text(r, name));
}

static int make_map(struct axj *r, struct axj_iter *it, struct axj_list *out)
{
	struct axj_named *attr = axj_keyword(it->args, "attribute");
	const struct axj_builtin *fn;
	struct axj_args rest = *it->args;
	struct axj_list *l;
	struct axj_val v;

	if (!axj_truth(it->value))
		return 0;
	AX_TRY(axj_items(r, it->value, &l));
	if (!rest.n_pos && attr)
		return map_attribute(r, it, attr, l, out);
	if (!rest.n_pos)
		return axj_raise(r, "FilterArgumentError", "map requires a filter argument");
	fn = rest.pos[0].t == AXJ_STR ? axj_find_filter(rest.pos[0].u.s->p, rest.pos[0].u.s->n) : NULL;
	if (!fn)
		return no_such(r, "filter", rest.pos[0]);
	rest.pos++;
	rest.n_pos--;
	for (size_t i = 0; i < l->n; i++) {
		AX_TRY(axj_call_builtin(r, fn, l->v[i], &rest, &v));
		AX_TRY(axj_append(r, out, v));
	}
	return 0;
}

AXJ_BUILTIN(axj_f_map)
{
	return axj_new_iter(r, "sync_do_map", make_map, self, args, out);
}

/* select, reject and their attr forms: keep the items for which the test (or truth) is `want`. */
static int keep(struct axj *r, struct axj_iter *it, bool by_attr, bool want, struct axj_list *out)
{
	const struct axj_builtin *fn = NULL;
	struct axj_args rest = *it->args;
	struct axj_val attr = axj_none, v;
	struct axj_list *l;

	if (!axj_truth(it->value))
		return 0;
	AX_TRY(axj_items(r, it->value, &l));
	if (by_attr) {
		if (!rest.n_pos)
			return axj_raise(r, "FilterArgumentError", "Missing parameter for attribute name");
		attr = *rest.pos++;
		rest.n_pos--;
	}
	if (rest.n_pos) {
		fn = rest.pos[0].t == AXJ_STR ? axj_find_test(rest.pos[0].u.s->p, rest.pos[0].u.s->n) : NULL;
		if (!fn)
			return no_such(r, "test", rest.pos[0]);
		rest.pos++;
		rest.n_pos--;
	}
	for (size_t i = 0; i < l->n; i++) {
		AX_TRY(axj_path(r, l->v[i], attr, axj_none, &v));
		if (fn)
			AX_TRY(axj_call_builtin(r, fn, v, &rest, &v));
		if (axj_truth(v) == want)
			AX_TRY(axj_append(r, out, l->v[i]));
	}
	return 0;
}

static int make_select(struct axj *r, struct axj_iter *it, struct axj_list *out)
{
	return keep(r, it, false, true, out);
}

static int make_reject(struct axj *r, struct axj_iter *it, struct axj_list *out)
{
	return keep(r, it, false, false, out);
}

static int make_selectattr(struct axj *r, struct axj_iter *it, struct axj_list *out)
{
	return keep(r, it, true, true, out);
}

static int make_rejectattr(struct axj *r, struct axj_iter *it, struct axj_list *out)
{
	return keep(r, it, true, false, out);
}

AXJ_BUILTIN(axj_f_select)
{
	return axj_new_iter(r, "select_or_reject", make_select, self, args, out);
}

AXJ_BUILTIN(axj_f_reject)
{
	return axj_new_iter(r, "select_or_reject", make_reject, self, args, out);
}

AXJ_BUILTIN(axj_f_selectattr)
{
	return axj_new_iter(r, "select_or_reject", make_selectattr, self, args, out);
}

AXJ_BUILTIN(axj_f_rejectattr)
{
	return axj_new_iter(r, "select_or_reject", make_rejectattr, self, args, out);
}

/* Arguments that the binder placed are kept as positional ones. */
static int iter_with(struct axj *r, const char *name, int (*make)(struct axj *, struct axj_iter *, struct axj_list *),
		     struct axj_val self, const struct axj_val *a, struct axj_val *out)
{
	struct axj_val list;
	struct axj_args args;

	memset(&args, 0, sizeof(args));
	AX_TRY(axj_new_list(r, AXJ_LIST, 2, &list));
	AX_TRY(axj_append(r, list.u.l, a[0]));
	AX_TRY(axj_append(r, list.u.l, a[1]));
	args.pos = list.u.l->v;
	args.n_pos = 2;
	return axj_new_iter(r, name, make, self, &args, out);
}

static int make_unique(struct axj *r, struct axj_iter *it, struct axj_list *out)
{
	struct axj_val seen, key;
	struct axj_list *l;
	size_t at = 0;

	AX_TRY(axj_items(r, it->value, &l));
	AX_TRY(axj_new_dict(r, &seen));
	for (size_t i = 0; i < l->n; i++) {
		AX_TRY(axj_key(r, l->v[i], it->args->pos[1], axj_none, axj_truth(it->args->pos[0]), &key));
		AX_TRY(axj_dict_find(r, seen.u.d, key, &at));
		if (at < seen.u.d->n)
			continue;
		AX_TRY(axj_dict_set(r, seen.u.d, key, axj_none));
		AX_TRY(axj_append(r, out, l->v[i]));
	}
	return 0;
}

AXJ_BUILTIN(axj_f_unique)
{
	return iter_with(r, "sync_do_unique", make_unique, self, a, out);
}

static int count_arg(struct axj *r, struct axj_val v, int64_t *n)
{
	if (!axj_is_int(v))
		return axj_raise(r, "TypeError", "'%s' object cannot be interpreted as an integer", axj_type_name(v));
	*n = axj_as_int(v);
	return 0;
}

static int make_batch(struct axj *r, struct axj_iter *it, struct axj_list *out)
{
	struct axj_val row = axj_none, fill = it->args->pos[1];
	struct axj_list *l;
	int64_t width = 0;

	AX_TRY(axj_items(r, it->value, &l));
	AX_TRY(count_arg(r, it->args->pos[0], &width));
	for (size_t i = 0; i < l->n; i++) {
		if (i == 0 || (int64_t)row.u.l->n == width) {
			AX_TRY(axj_new_list(r, AXJ_LIST, 0, &row));
			AX_TRY(axj_append(r, out, row));
		}
		AX_TRY(axj_append(r, row.u.l, l->v[i]));
	}
	while (l->n && fill.t && fill.t != AXJ_NONE && (int64_t)row.u.l->n < width)
		AX_TRY(axj_append(r, row.u.l, fill));
	return 0;
}

AXJ_BUILTIN(axj_f_batch)
{
	return iter_with(r, "do_batch", make_batch, self, a, out);
}

static int make_slice(struct axj *r, struct axj_iter *it, struct axj_list *out)
{
	struct axj_val fill = it->args->pos[1], row;
	struct axj_list *l;
	int64_t n = 0, each, extra;
	size_t at = 0;

	AX_TRY(axj_items(r, it->value, &l));
	AX_TRY(count_arg(r, it->args->pos[0], &n));
	if (n == 0)
		return axj_raise(r, "ZeroDivisionError", "integer division or modulo by zero");
	each = (int64_t)l->n / n;
	extra = (int64_t)l->n % n;
	for (int64_t k = 0; k < n; k++) {
		AX_TRY(axj_new_list(r, AXJ_LIST, 0, &row));
		AX_TRY(axj_append(r, out, row));
		for (int64_t i = 0; i < each + (k < extra); i++)
			AX_TRY(axj_append(r, row.u.l, l->v[at++]));
		if (fill.t && fill.t != AXJ_NONE && k >= extra)
			AX_TRY(axj_append(r, row.u.l, fill));
	}
	return 0;
}

AXJ_BUILTIN(axj_f_slice)
{
	return iter_with(r, "sync_do_slice", make_slice, self, a, out);
}
