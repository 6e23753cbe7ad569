/* Values: constructors, truth, lists, dicts, undefined. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "text/jinja_impl.h"

const struct axj_val axj_none = {.t = AXJ_NONE};

const char *axj_type_name(struct axj_val v)
{
	static const char *const views[] = {"dict_keys", "dict_values", "dict_items"};

	switch ((enum axj_type)v.t) {
	case AXJ_ABSENT:
	case AXJ_UNDEF:
		return "Undefined";
	case AXJ_NONE:
		return "NoneType";
	case AXJ_BOOL:
		return "bool";
	case AXJ_INT:
	case AXJ_BIG:
		return "int";
	case AXJ_FLOAT:
		return "float";
	case AXJ_STR:
		return v.u.s->markup ? "Markup" : "str";
	case AXJ_LIST:
		return "list";
	case AXJ_TUPLE:
		return "tuple";
	case AXJ_DICT:
		return "dict";
	case AXJ_RANGE:
		return "range";
	case AXJ_VIEW:
		return views[v.sub];
	case AXJ_ITER:
		return v.u.it->type;
	case AXJ_NS:
		return "Namespace";
	case AXJ_LOOP:
		return "LoopContext";
	case AXJ_MACRO:
		return "Macro";
	case AXJ_FUNC:
		return "function";
	case AXJ_METHOD:
		return "builtin_function_or_method";
	case AXJ_CYCLER:
		return "Cycler";
	case AXJ_JOINER:
		return "Joiner";
	}
	return "object";
}

const char *axj_object_name(struct axj_val v)
{
	static const char *const views[] = {"dict_keys object", "dict_values object", "dict_items object"};

	switch ((enum axj_type)v.t) {
	case AXJ_NONE:
		return "None";
	case AXJ_BOOL:
		return "bool object";
	case AXJ_INT:
	case AXJ_BIG:
		return "int object";
	case AXJ_FLOAT:
		return "float object";
	case AXJ_STR:
		return v.u.s->markup ? "markupsafe.Markup object" : "str object";
	case AXJ_LIST:
		return "list object";
	case AXJ_TUPLE:
		return "tuple object";
	case AXJ_DICT:
		return "dict object";
	case AXJ_RANGE:
		return "range object";
	case AXJ_VIEW:
		return views[v.sub];
	case AXJ_ITER:
		return "generator object";
	case AXJ_NS:
		return "jinja2.utils.Namespace object";
	case AXJ_LOOP:
		return "jinja2.runtime.LoopContext object";
	case AXJ_MACRO:
		return "jinja2.runtime.Macro object";
	case AXJ_FUNC:
		return "function object";
	case AXJ_METHOD:
		return "builtin_function_or_method object";
	case AXJ_CYCLER:
		return "jinja2.utils.Cycler object";
	case AXJ_JOINER:
		return "jinja2.utils.Joiner object";
	case AXJ_ABSENT:
	case AXJ_UNDEF:
		break;
	}
	return "jinja2.runtime.Undefined object";
}

double axj_as_float(struct axj_val v)
{
	return v.t == AXJ_FLOAT ? v.u.f : v.t == AXJ_BIG ? axj_big_float(v) : (double)axj_as_int(v);
}

/* Elements without filling a container of the context. */
static size_t list_n(const struct axj_list *l)
{
	return l->src && !l->filled ? l->src->n : l->n;
}

static size_t dict_n(const struct axj_dict *d)
{
	return d->src && !d->filled ? d->src->n : d->n;
}

bool axj_truth(struct axj_val v)
{
	switch ((enum axj_type)v.t) {
	case AXJ_ABSENT:
	case AXJ_UNDEF:
	case AXJ_NONE:
		return false;
	case AXJ_BOOL:
		return v.u.b;
	case AXJ_INT:
		return v.u.i != 0;
	case AXJ_FLOAT:
		return v.u.f != 0;
	case AXJ_STR:
		return v.u.s->n != 0;
	case AXJ_LIST:
	case AXJ_TUPLE:
		return list_n(v.u.l) != 0;
	case AXJ_DICT:
	case AXJ_VIEW:
		return dict_n(v.u.d) != 0;
	case AXJ_RANGE:
		return v.u.range->n != 0;
	default:
		return true;
	}
}

/* ---- lists and dicts ---- */

/* What axj_src() finds v by. */
static int note_origin(struct axj *r, const struct ax_val *v, struct axj_val *out)
{
	if (r->n_origin == r->cap_origin) {
		size_t cap = r->cap_origin ? r->cap_origin * 2 : 16;
		const struct ax_val **p = ax_arena_alloc(r->mem, cap * sizeof(struct ax_val *));

		if (!p)
			return axj_oom(r);
		if (r->n_origin)
			memcpy(p, r->origin, r->n_origin * sizeof(struct ax_val *));
		r->origin = p;
		r->cap_origin = cap;
	}
	r->origin[r->n_origin++] = v;
	out->src = (uint32_t)r->n_origin; /* the render's memory holds far fewer */
	return 0;
}

int axj_identify(struct axj *r, struct axj_val *v)
{
	return note_origin(r, NULL, v);
}

static bool is_text(const struct ax_val *v)
{
	return v && v->type == AX_STR && !v->number;
}

static void wrap_text(const struct ax_val *v, struct axj_str *room, struct axj_val *out)
{
	*room = (struct axj_str){.p = v->u.s, .n = v->n, .n_char = AXJ_UNKNOWN, .src = v};
	*out = (struct axj_val){.t = AXJ_STR, .u.s = room};
}

int axj_wrap(struct axj *r, const struct ax_val *v, struct axj_val *out)
{
	struct axj_str *s;

	memset(out, 0, sizeof(*out));
	switch (v ? v->type : AX_NULL) {
	case AX_NULL:
		out->t = AXJ_NONE;
		return v ? note_origin(r, v, out) : 0;
	case AX_BOOL:
		out->t = AXJ_BOOL;
		out->u.b = v->u.b;
		return note_origin(r, v, out);
	case AX_INT:
		out->t = AXJ_INT;
		out->u.i = v->u.i;
		return note_origin(r, v, out);
	case AX_FLOAT:
		out->t = AXJ_FLOAT;
		out->u.f = v->u.f;
		return note_origin(r, v, out);
	case AX_STR:
		if (v->number) {
			bool neg = v->n && v->u.s[0] == '-';

			AX_TRY(axj_big_parse(r, v->u.s + neg, v->n - neg, 10, neg, out));
			return note_origin(r, v, out);
		}
		s = ax_arena_alloc(r->mem, sizeof(*s));
		if (!s)
			return axj_oom(r);
		wrap_text(v, s, out);
		return 0;
	case AX_LIST:
		AX_TRY(axj_new_list(r, AXJ_LIST, 0, out));
		out->u.l->src = v;
		return 0;
	case AX_MAP:
		AX_TRY(axj_new_dict(r, out));
		out->u.d->src = v;
		return 0;
	}
	return 0;
}

int axj_new_list(struct axj *r, enum axj_type t, size_t cap, struct axj_val *out)
{
	struct axj_list *l = ax_arena_calloc(r->mem, 1, sizeof(*l));

	memset(out, 0, sizeof(*out));
	out->t = (uint8_t)t;
	out->u.l = l;
	if (!l)
		return axj_oom(r);
	if (cap) {
		size_t bytes;

		l->v = ax_mul_size(cap, sizeof(*l->v), &bytes) ? ax_arena_alloc(r->mem, bytes) : NULL;
		l->cap = cap;
	}
	return cap && !l->v ? axj_oom(r) : 0;
}

int axj_append(struct axj *r, struct axj_list *l, struct axj_val v)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 8;
		struct axj_val *q = ax_arena_alloc(r->mem, cap * sizeof(*q));

		if (!q)
			return axj_oom(r);
		if (l->n)
			memcpy(q, l->v, l->n * sizeof(*q));
		l->v = q;
		l->cap = cap;
	}
	l->v[l->n++] = v;
	return axj_step(r, 1);
}

int axj_fill_list(struct axj *r, struct axj_list *l)
{
	if (!l->src || l->filled)
		return 0;
	l->filled = true;
	for (size_t i = 0; i < l->src->n; i++) {
		struct axj_val v;

		AX_TRY(axj_wrap(r, l->src->u.item[i], &v));
		AX_TRY(axj_append(r, l, v));
	}
	return 0;
}

int axj_new_dict(struct axj *r, struct axj_val *out)
{
	memset(out, 0, sizeof(*out));
	out->t = AXJ_DICT;
	out->u.d = ax_arena_calloc(r->mem, 1, sizeof(*out->u.d));
	return out->u.d ? 0 : axj_oom(r);
}

static int reserve_pairs(struct axj *r, struct axj_dict *d, size_t n)
{
	size_t cap = d->cap ? d->cap : 4;
	struct axj_pair *q;

	if (n <= d->cap)
		return 0;
	while (cap < n)
		cap *= 2;
	q = ax_arena_alloc(r->mem, cap * sizeof(*q));
	if (!q)
		return axj_oom(r);
	if (d->n)
		memcpy(q, d->kv, d->n * sizeof(*q));
	d->kv = q;
	d->cap = cap;
	return 0;
}

int axj_fill_dict(struct axj *r, struct axj_dict *d)
{
	struct axj_str *key;
	size_t bytes;

	if (!d->src || d->filled)
		return 0;
	d->filled = true;
	AX_TRY(reserve_pairs(r, d, d->src->n));
	AX_TRY(axj_step(r, d->src->n));
	key = ax_mul_size(d->src->n, 2 * sizeof(*key), &bytes) ? ax_arena_alloc(r->mem, bytes) : NULL;
	if (!key)
		return axj_oom(r);
	for (size_t i = 0; i < d->src->n; i++) {
		const struct ax_pair *p = &d->src->u.pair[i];

		/* a key is data too; it is no value, so the map stands for it */
		*key = (struct axj_str){.p = p->key, .n = p->key_n, .n_char = AXJ_UNKNOWN, .flags = AX_SPAN_TRANSFORMED, .src = d->src};
		d->kv[i].k = (struct axj_val){.t = AXJ_STR, .u.s = key++};
		if (is_text(p->val)) {
			wrap_text(p->val, key, &d->kv[i].v);
			key++;
		} else {
			AX_TRY(axj_wrap(r, p->val, &d->kv[i].v));
		}
		d->n = i + 1;
	}
	return 0;
}

bool axj_hashable(struct axj_val v)
{
	if (v.t == AXJ_TUPLE) {
		for (size_t i = 0; i < v.u.l->n; i++)
			if (!axj_hashable(v.u.l->v[i]))
				return false;
		return true;
	}
	return v.t != AXJ_LIST && v.t != AXJ_DICT && (v.t != AXJ_VIEW || v.sub == AXJ_VALUES);
}

/* Equal values hash alike: 1, 1.0 and true. */
static uint64_t hash(struct axj_val v)
{
	uint64_t h = v.t;

	switch ((enum axj_type)v.t) {
	case AXJ_STR:
		return ax_hash64(v.u.s->p, v.u.s->n);
	case AXJ_BOOL:
	case AXJ_INT:
		return ax_mix64((uint64_t)axj_as_int(v));
	case AXJ_BIG:
		v.u.f = axj_big_float(v); /* equal floats are few */
		return ax_hash64(&v.u.f, sizeof(v.u.f));
	case AXJ_FLOAT:
		if (v.u.f == floor(v.u.f) && fabs(v.u.f) < 9.2e18)
			return ax_mix64((uint64_t)(int64_t)v.u.f);
		return ax_hash64(&v.u.f, sizeof(v.u.f));
	case AXJ_TUPLE:
		for (size_t i = 0; i < v.u.l->n; i++)
			h = ax_mix64(h ^ hash(v.u.l->v[i]));
		return h;
	default:
		return ax_mix64(h);
	}
}

static void index_add(struct axj_dict *d, size_t at)
{
	size_t h = (size_t)hash(d->kv[at].k) & (d->n_slot - 1);

	while (d->slot[h])
		h = (h + 1) & (d->n_slot - 1);
	d->slot[h] = (uint32_t)at + 1;
}

static int make_index(struct axj *r, struct axj_dict *d)
{
	size_t n = 32;

	while (n < d->n * 3)
		n *= 2;
	d->slot = ax_arena_calloc(r->mem, n, sizeof(*d->slot));
	if (!d->slot)
		return axj_oom(r);
	d->n_slot = n;
	for (size_t i = 0; i < d->n; i++)
		index_add(d, i);
	return 0;
}

/* Position of a string among few keys, or d->n. */
static size_t find_str(struct axj *r, const struct axj_dict *d, const char *s, size_t n)
{
	size_t at = 0;

	for (; at < d->n; at++) {
		struct axj_val k = d->kv[at].k;

		if (k.t == AXJ_STR && k.u.s->n == n && axj_same(k.u.s->p, s, n))
			break;
	}
	r->steps += at;
	return at;
}

int axj_dict_find(struct axj *r, struct axj_dict *d, struct axj_val k, size_t *at)
{
	AX_TRY(axj_fill_dict(r, d));
	if (k.t == AXJ_STR && d->n < AXJ_INDEX_FROM) {
		*at = find_str(r, d, k.u.s->p, k.u.s->n);
		return 0;
	}
	if (!axj_hashable(k))
		return axj_raise(r, "TypeError", "unhashable type: '%s'", axj_type_name(k));
	if (d->n < AXJ_INDEX_FROM) {
		for (*at = 0; *at < d->n; (*at)++)
			if (axj_equal(r, d->kv[*at].k, k))
				break;
		return 0;
	}
	if (!d->slot)
		AX_TRY(make_index(r, d));
	for (size_t h = (size_t)hash(k) & (d->n_slot - 1); d->slot[h]; h = (h + 1) & (d->n_slot - 1)) {
		*at = d->slot[h] - 1;
		if (axj_equal(r, d->kv[*at].k, k))
			return 0;
	}
	*at = d->n;
	return 0;
}

size_t axj_dict_find_str(struct axj *r, struct axj_dict *d, const char *s, size_t n)
{
	struct axj_str str = {.p = s, .n = n, .n_char = AXJ_UNKNOWN};
	struct axj_val k = {.t = AXJ_STR};
	size_t at = 0;

	k.u.s = &str;
	return axj_dict_find(r, d, k, &at) ? d->n : at;
}

int axj_dict_set(struct axj *r, struct axj_dict *d, struct axj_val k, struct axj_val v)
{
	size_t at = 0;

	AX_TRY(axj_dict_find(r, d, k, &at));
	AX_TRY(axj_step(r, 1));
	if (at < d->n) {
		d->kv[at].v = v;
		return 0;
	}
	AX_TRY(reserve_pairs(r, d, d->n + 1));
	d->kv[d->n++] = (struct axj_pair){k, v};
	if (d->slot && d->n * 2 < d->n_slot)
		index_add(d, d->n - 1);
	else
		d->slot = NULL; /* made again, larger, at the next search */
	return 0;
}

void axj_dict_remove(struct axj_dict *d, size_t at)
{
	memmove(&d->kv[at], &d->kv[at + 1], (d->n - at - 1) * sizeof(d->kv[0]));
	d->n--;
	d->slot = NULL;
}

/* ---- undefined ---- */

static int undef(struct axj *r, struct axj_undef u, struct axj_val *out)
{
	memset(out, 0, sizeof(*out));
	out->t = AXJ_UNDEF;
	out->u.undef = ax_arena_alloc(r->mem, sizeof(u));
	if (!out->u.undef)
		return axj_oom(r);
	*out->u.undef = u;
	return 0;
}

int axj_undef_name(struct axj *r, struct axj_str *name, struct axj_val *out)
{
	struct axj_undef u = {.exc = "UndefinedError", .name = {.t = AXJ_STR}};

	u.name.u.s = name;
	return undef(r, u, out);
}

int axj_undef_in(struct axj *r, struct axj_val owner, struct axj_val name, struct axj_val *out)
{
	struct axj_undef u = {.exc = "UndefinedError", .owner = axj_object_name(owner), .name = name};

	return undef(r, u, out);
}

int axj_undef_hint(struct axj *r, const char *exc, struct axj_val *out, const char *fmt, ...)
{
	struct axj_undef u = {.exc = exc};
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	u.hint = ax_arena_strndup(r->mem, text, strlen(text));
	return u.hint ? undef(r, u, out) : axj_oom(r);
}

int axj_raise_undef(struct axj *r, struct axj_val v)
{
	const struct axj_undef *u = v.u.undef;
	const char *name;

	if (u->hint)
		return axj_raise(r, u->exc, "%s", u->hint);
	name = axj_repr_text(r, u->name);
	if (!u->owner)
		return axj_raise(r, u->exc, "%s is undefined", name);
	if (u->name.t != AXJ_STR)
		return axj_raise(r, u->exc, "%s has no element %s", u->owner, name);
	return axj_raise(r, u->exc, "'%s' has no attribute %s", u->owner, name);
}
