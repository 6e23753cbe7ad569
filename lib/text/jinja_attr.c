/* Attributes, subscripts, iteration and length, with the sandbox's rules on what may be seen. */
#include <string.h>

#include "text/jinja_lib.h"

/* Functions of a value that are found by name; the unsafe ones change a list or dict. */
static int method(struct axj *r, struct axj_val v, struct axj_str *name, struct axj_val *out)
{
	bool unsafe = false;
	const struct axj_builtin *fn = axj_find_method(r->t, v, name, &unsafe);

	if (unsafe)
		return axj_undef_hint(r, "SecurityError", out, "access to attribute '%.*s' of '%s' object is unsafe.",
				      (int)(name->n < 80 ? name->n : 80), name->p, axj_type_name(v));
	if (!fn)
		return 0;
	if (v.t == AXJ_LIST)
		AX_TRY(axj_fill_list(r, v.u.l));
	out->t = AXJ_METHOD;
	out->u.method = ax_arena_alloc(r->mem, sizeof(*out->u.method));
	if (!out->u.method)
		return axj_oom(r);
	*out->u.method = (struct axj_method){v, fn};
	return 0;
}

static bool dunder(const struct axj_str *s)
{
	return s->n > 4 && memcmp(s->p, "__", 2) == 0 && memcmp(s->p + s->n - 2, "__", 2) == 0;
}

void axj_attr_about(struct axj_node *n)
{
	const struct axj_str *name = n->b->val.u.s;

	n->val = n->b->val;
	n->fn = axj_find_str_method(name);
	n->sym = axj_loop_attr_find(name) | (dunder(name) || axj_is_dict_method(name) ? AXJ_NOT_ITEM : 0) | axj_count_params(n->fn);
}

static int macro_attr(struct axj *r, const struct axj_macro *m, const struct axj_str *name, struct axj_val *out)
{
	struct axj_val key = {.t = AXJ_STR}, s = {.t = AXJ_STR};

	key.u.s = (struct axj_str *)(uintptr_t)name;
	if (axj_is_str(key, "name")) {
		s.u.s = m->name;
		*out = m->name ? s : axj_none;
	} else if (axj_is_str(key, "caller")) {
		*out = axj_bool(m->node->params->caller);
	} else if (axj_is_str(key, "catch_kwargs")) {
		*out = axj_bool(m->node->params->kwargs);
	} else if (axj_is_str(key, "catch_varargs")) {
		*out = axj_bool(m->node->params->varargs);
	} else if (axj_is_str(key, "arguments")) {
		AX_TRY(axj_new_list(r, AXJ_TUPLE, 0, out));
		for (size_t i = 0; i < m->node->params->n; i++) {
			s.u.s = r->t->sym[m->node->params->sym[i]];
			AX_TRY(axj_append(r, out->u.l, s));
		}
	}
	return 0;
}

int axj_attribute(struct axj *r, struct axj_val v, struct axj_str *name, struct axj_val *out)
{
	memset(out, 0, sizeof(*out));
	if (v.t == AXJ_UNDEF && !(name->n == 9 && memcmp(name->p, "__class__", 9) == 0))
		return axj_raise_undef(r, v);
	if (v.t == AXJ_NS) {
		size_t at = axj_dict_find_str(r, v.u.d, name->p, name->n);

		if (at < v.u.d->n)
			*out = v.u.d->kv[at].v;
		return 0;
	}
	if (dunder(name))
		return axj_undef_hint(r, "SecurityError", out, "access to attribute '%.*s' of '%s' object is unsafe.",
				      (int)(name->n < 80 ? name->n : 80), name->p, axj_type_name(v));
	if (v.t == AXJ_LOOP) {
		AX_TRY(axj_loop_attr(r, v.u.loop, axj_loop_attr_find(name), out));
		return out->t ? 0 : method(r, v, name, out);
	}
	if (v.t == AXJ_CYCLER && name->n == 7 && memcmp(name->p, "current", 7) == 0) {
		*out = v.u.cycler->items->v[v.u.cycler->at];
		return 0;
	}
	if (axj_is_num(v) || v.t == AXJ_RANGE) {
		AX_TRY(axj_num_attr(r, v, name, out));
		return out->t ? 0 : method(r, v, name, out);
	}
	if (v.t == AXJ_TUPLE && v.sub == AXJ_GROUP) {
		struct axj_val key = {.t = AXJ_STR};

		key.u.s = name;
		if (axj_is_str(key, "grouper") || axj_is_str(key, "list")) {
			*out = v.u.l->v[axj_is_str(key, "list")];
			return 0;
		}
	}
	if (v.t == AXJ_MACRO)
		return macro_attr(r, v.u.macro, name, out);
	return method(r, v, name, out);
}

static int item_or_absent(struct axj *r, struct axj_val v, struct axj_val key, struct axj_val *out)
{
	size_t at = 0;
	int64_t i, n;

	memset(out, 0, sizeof(*out));
	if (v.t == AXJ_DICT) {
		if (!axj_hashable(key)) /* a TypeError that jinja2 swallows */
			return 0;
		AX_TRY(axj_dict_find(r, v.u.d, key, &at));
		if (at < v.u.d->n)
			*out = v.u.d->kv[at].v;
		return 0;
	}
	if (!axj_is_int(key) || (v.t != AXJ_LIST && v.t != AXJ_TUPLE && v.t != AXJ_STR && v.t != AXJ_RANGE) || !axj_len(r, v, &n))
		return 0;
	i = axj_as_int(key);
	if (i < 0)
		i += n;
	if (i < 0 || i >= n)
		return 0;
	if (v.t == AXJ_RANGE) {
		*out = axj_int(v.u.range->start + i * v.u.range->step);
		return 0;
	}
	if (v.t == AXJ_STR) {
		size_t from = axj_char_off(v.u.s, (size_t)i);

		AX_TRY(axj_step(r, v.u.s->n_char == v.u.s->n ? 0 : from >> 6));
		return axj_cut(r, v.u.s, from, axj_char_off(v.u.s, (size_t)i + 1), out);
	}
	AX_TRY(axj_fill_list(r, v.u.l));
	*out = v.u.l->v[i];
	return 0;
}

int axj_getattr(struct axj *r, struct axj_val v, struct axj_str *name, struct axj_val *out)
{
	struct axj_val key = {.t = AXJ_STR};

	AX_TRY(axj_attribute(r, v, name, out));
	if (out->t)
		return 0;
	key.u.s = name;
	if (v.t == AXJ_DICT)
		AX_TRY(item_or_absent(r, v, key, out));
	return out->t ? 0 : axj_undef_in(r, v, key, out);
}

int axj_getitem(struct axj *r, struct axj_val v, struct axj_val key, struct axj_val *out)
{
	if (v.t == AXJ_UNDEF)
		return axj_raise_undef(r, v);
	AX_TRY(item_or_absent(r, v, key, out));
	if (out->t)
		return 0;
	if (key.t == AXJ_STR)
		AX_TRY(axj_attribute(r, v, key.u.s, out));
	return out->t ? 0 : axj_undef_in(r, v, key, out);
}

bool axj_iterable(struct axj_val v)
{
	switch ((enum axj_type)v.t) {
	case AXJ_UNDEF:
	case AXJ_STR:
	case AXJ_LIST:
	case AXJ_TUPLE:
	case AXJ_DICT:
	case AXJ_RANGE:
	case AXJ_VIEW:
	case AXJ_ITER:
	case AXJ_LOOP:
		return true;
	default:
		return false;
	}
}

static int chars(struct axj *r, const struct axj_str *s, struct axj_list *l)
{
	for (size_t i = 0; i < s->n;) {
		struct axj_val c;
		size_t len;

		axj_get_char(s->p + i, s->n - i, &len);
		AX_TRY(axj_cut(r, s, i, i + len, &c));
		c.u.s->markup = false;
		AX_TRY(axj_append(r, l, c));
		i += len;
	}
	return 0;
}

static int pairs(struct axj *r, struct axj_dict *d, int view, struct axj_list *l)
{
	AX_TRY(axj_fill_dict(r, d));
	for (size_t i = 0; i < d->n; i++) {
		struct axj_val t = view == AXJ_KEYS ? d->kv[i].k : d->kv[i].v;

		if (view == AXJ_ITEMS) {
			AX_TRY(axj_new_list(r, AXJ_TUPLE, 2, &t));
			AX_TRY(axj_append(r, t.u.l, d->kv[i].k));
			AX_TRY(axj_append(r, t.u.l, d->kv[i].v));
		}
		AX_TRY(axj_append(r, l, t));
	}
	return 0;
}

/* What a generator still holds; it is empty afterwards. */
static int drain(struct axj *r, struct axj_iter *it, struct axj_list *l)
{
	if (!it->items) {
		struct axj_val made;

		AX_TRY(axj_new_list(r, AXJ_LIST, 0, &made));
		it->items = made.u.l;
		AX_TRY(it->make(r, it, made.u.l));
	}
	for (; it->at < it->items->n; it->at++)
		AX_TRY(axj_append(r, l, it->items->v[it->at]));
	return 0;
}

int axj_items(struct axj *r, struct axj_val v, struct axj_list **out)
{
	struct axj_val made;

	if (v.t == AXJ_LIST || v.t == AXJ_TUPLE) {
		*out = v.u.l;
		return axj_fill_list(r, v.u.l);
	}
	AX_TRY(axj_new_list(r, AXJ_LIST, v.t == AXJ_RANGE ? (size_t)v.u.range->n : 0, &made));
	*out = made.u.l;
	switch ((enum axj_type)v.t) {
	case AXJ_UNDEF:
		return 0;
	case AXJ_STR:
		return chars(r, v.u.s, made.u.l);
	case AXJ_DICT:
		return pairs(r, v.u.d, AXJ_KEYS, made.u.l);
	case AXJ_VIEW:
		return pairs(r, v.u.d, v.sub, made.u.l);
	case AXJ_RANGE:
		for (int64_t i = 0; i < v.u.range->n; i++)
			AX_TRY(axj_append(r, made.u.l, axj_int(v.u.range->start + i * v.u.range->step)));
		return 0;
	case AXJ_ITER:
		return drain(r, v.u.it, made.u.l);
	default:
		return axj_raise(r, "TypeError", "'%s' object is not iterable", axj_type_name(v));
	}
}

bool axj_len(struct axj *r, struct axj_val v, int64_t *n)
{
	switch ((enum axj_type)v.t) {
	case AXJ_UNDEF:
		*n = 0;
		return true;
	case AXJ_STR:
		*n = (int64_t)axj_len_chars(v.u.s);
		return true;
	case AXJ_LIST:
	case AXJ_TUPLE:
		*n = (int64_t)(v.u.l->src && !v.u.l->filled ? v.u.l->src->n : v.u.l->n);
		return true;
	case AXJ_DICT:
	case AXJ_VIEW:
		*n = (int64_t)(v.u.d->src && !v.u.d->filled ? v.u.d->src->n : v.u.d->n);
		return true;
	case AXJ_RANGE:
		*n = v.u.range->n;
		return true;
	default:
		(void)r;
		return false;
	}
}
