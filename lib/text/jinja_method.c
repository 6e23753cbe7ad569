/* Methods of lists, dicts and loops, and the is... methods of str. */
#include <string.h>

#include "text/jinja_case.h"
#include "text/jinja_lib.h"

#define COUNT(t) (sizeof(t) / sizeof((t)[0]))

/* ---- str.isalpha() and its kin ---- */

/* Is every character of a class, and is there one (isprintable and isascii: or none)? */
static int all_of(const struct axj_str *s, uint32_t classes, bool empty, struct axj_val *out)
{
	bool ok = s->n > 0 || empty;
	size_t len;

	for (size_t i = 0; i < s->n && ok; i += len) {
		uint32_t c = axj_get_char(s->p + i, s->n - i, &len);

		ok = classes ? axj_is(c, classes) : c < 0x80;
	}
	*out = axj_bool(ok);
	return 0;
}

#define IS_METHOD(name, classes, empty)                                                                                \
	static AXJ_BUILTIN(name)                                                                                       \
	{                                                                                                              \
		return all_of(self.u.s, classes, empty, out);                                                          \
	}

IS_METHOD(m_isalpha, AXJ_ALPHA, false)
IS_METHOD(m_isdecimal, AXJ_DECIMAL, false)
IS_METHOD(m_isdigit, AXJ_DIGIT, false)
IS_METHOD(m_isnumeric, AXJ_NUMERIC, false)
IS_METHOD(m_isalnum, AXJ_ALPHA | AXJ_DECIMAL | AXJ_DIGIT | AXJ_NUMERIC, false)
IS_METHOD(m_isspace, AXJ_SPACE, false)
IS_METHOD(m_isprintable, AXJ_PRINTABLE, true)
IS_METHOD(m_isascii, 0, true)

/* One of the case, and none of the other. */
bool axj_all_case(const struct axj_str *s, bool upper)
{
	uint32_t want = upper ? AXJ_IS_UPPER : AXJ_IS_LOWER, other = upper ? AXJ_IS_LOWER : AXJ_IS_UPPER;
	bool any = false;
	size_t len;

	for (size_t i = 0; i < s->n; i += len) {
		uint32_t c = axj_get_char(s->p + i, s->n - i, &len);

		if (axj_is(c, other | AXJ_IS_TITLE))
			return false;
		any = any || axj_is(c, want);
	}
	return any;
}

static AXJ_BUILTIN(m_islower)
{
	*out = axj_bool(axj_all_case(self.u.s, false));
	return 0;
}

static AXJ_BUILTIN(m_isupper)
{
	*out = axj_bool(axj_all_case(self.u.s, true));
	return 0;
}

static AXJ_BUILTIN(m_istitle)
{
	const struct axj_str *s = self.u.s;
	bool ok = true, any = false, cased = false;
	size_t len;

	for (size_t i = 0; i < s->n && ok; i += len) {
		uint32_t c = axj_get_char(s->p + i, s->n - i, &len);
		bool capital = axj_is(c, AXJ_IS_UPPER | AXJ_IS_TITLE), small = !capital && axj_is(c, AXJ_IS_LOWER);

		ok = capital ? !cased : !small || cased;
		cased = capital || small;
		any = any || cased;
	}
	*out = axj_bool(ok && any);
	return 0;
}

static AXJ_BUILTIN(m_isidentifier)
{
	const struct axj_str *s = self.u.s;
	bool ok = s->n > 0;
	size_t len;

	for (size_t i = 0; i < s->n && ok; i += len)
		ok = axj_is(axj_get_char(s->p + i, s->n - i, &len), i ? AXJ_NAME_NEXT : AXJ_NAME_FIRST);
	*out = axj_bool(ok);
	return 0;
}

static const struct axj_builtin str_tests[] = {
	{"isalpha", "", m_isalpha}, {"isdigit", "", m_isdigit},     {"isdecimal", "", m_isdecimal}, {"isnumeric", "", m_isnumeric},
	{"isalnum", "", m_isalnum}, {"isspace", "", m_isspace},     {"isascii", "", m_isascii},     {"islower", "", m_islower},
	{"isupper", "", m_isupper}, {"istitle", "", m_istitle},     {"isidentifier", "", m_isidentifier}, {"isprintable", "", m_isprintable},
};

/* ---- lists ---- */

/* A bound as slices take it. */
static int bound(struct axj *r, struct axj_val v, int64_t dflt, int64_t n, int64_t *out)
{
	*out = dflt;
	if (!v.t)
		return 0;
	if (v.t != AXJ_BIG && !axj_is_int(v))
		return axj_raise(r, "TypeError", "slice indices must be integers or have an __index__ method");
	*out = v.t == AXJ_BIG ? (v.u.big->neg ? 0 : n) : axj_as_int(v);
	*out += *out < 0 ? n : 0;
	*out = *out < 0 ? 0 : *out > n ? n : *out;
	return 0;
}

static AXJ_BUILTIN(l_index)
{
	int64_t from, to;

	AX_TRY(bound(r, a[1], 0, (int64_t)self.u.l->n, &from));
	AX_TRY(bound(r, a[2], (int64_t)self.u.l->n, (int64_t)self.u.l->n, &to));
	for (size_t i = (size_t)from; i < (size_t)to; i++)
		if (axj_equal(r, self.u.l->v[i], a[0])) {
			*out = axj_int((int64_t)i);
			return 0;
		}
	return axj_raise(r, "ValueError", "%s is not in list", axj_repr_text(r, a[0]));
}

static AXJ_BUILTIN(l_count)
{
	int64_t n = 0;

	for (size_t i = 0; i < self.u.l->n; i++)
		n += axj_equal(r, self.u.l->v[i], a[0]);
	*out = axj_int(n);
	return 0;
}

static AXJ_BUILTIN(l_copy)
{
	return axj_f_list(r, self, a, args, out);
}

static AXJ_BUILTIN(l_append)
{
	*out = axj_none;
	return axj_append(r, self.u.l, a[0]);
}

static AXJ_BUILTIN(l_extend)
{
	struct axj_list *l;

	AX_TRY(axj_items(r, a[0], &l));
	for (size_t i = 0, n = l->n; i < n; i++)
		AX_TRY(axj_append(r, self.u.l, l->v[i]));
	*out = axj_none;
	return 0;
}

static void remove_at(struct axj_list *l, size_t at)
{
	memmove(&l->v[at], &l->v[at + 1], (l->n - at - 1) * sizeof(l->v[0]));
	l->n--;
}

static AXJ_BUILTIN(l_pop)
{
	struct axj_list *l = self.u.l;
	int64_t i = a[0].t ? 0 : -1;

	if (!l->n)
		return axj_raise(r, "IndexError", "pop from empty list");
	if (a[0].t && !axj_is_int(a[0]))
		return axj_raise(r, "TypeError", "'%s' object cannot be interpreted as an integer", axj_type_name(a[0]));
	i = a[0].t ? axj_as_int(a[0]) : -1;
	i += i < 0 ? (int64_t)l->n : 0;
	if (i < 0 || i >= (int64_t)l->n)
		return axj_raise(r, "IndexError", "pop index out of range");
	*out = l->v[i];
	remove_at(l, (size_t)i);
	return 0;
}

static AXJ_BUILTIN(l_insert)
{
	struct axj_list *l = self.u.l;
	int64_t i = axj_is_int(a[0]) ? axj_as_int(a[0]) : 0;

	i += i < 0 ? (int64_t)l->n : 0;
	i = i < 0 ? 0 : i > (int64_t)l->n ? (int64_t)l->n : i;
	AX_TRY(axj_append(r, l, a[1]));
	memmove(&l->v[i + 1], &l->v[i], (l->n - 1 - (size_t)i) * sizeof(l->v[0]));
	l->v[i] = a[1];
	*out = axj_none;
	return 0;
}

static AXJ_BUILTIN(l_remove)
{
	*out = axj_none;
	for (size_t i = 0; i < self.u.l->n; i++)
		if (axj_equal(r, self.u.l->v[i], a[0])) {
			remove_at(self.u.l, i);
			return 0;
		}
	return axj_raise(r, "ValueError", "list.remove(x): x not in list");
}

static AXJ_BUILTIN(l_clear)
{
	self.u.l->n = 0;
	*out = axj_none;
	return 0;
}

static AXJ_BUILTIN(l_reverse)
{
	struct axj_list *l = self.u.l;

	for (size_t i = 0, j = l->n; i + 1 < j; i++) {
		struct axj_val t = l->v[i];

		l->v[i] = l->v[--j];
		l->v[j] = t;
	}
	*out = axj_none;
	return 0;
}

static AXJ_BUILTIN(l_sort)
{
	struct axj_val order[3] = {a[0], axj_bool(true), axj_none}, sorted;

	AX_TRY(axj_f_sort(r, self, order, args, &sorted));
	memcpy(self.u.l->v, sorted.u.l->v, self.u.l->n * sizeof(self.u.l->v[0]));
	*out = axj_none;
	return 0;
}

static const struct axj_builtin list_read[] = {{"index", "/value /start= /stop=", l_index}, {"count", "/value", l_count}, {"copy", "", l_copy}};
static const struct axj_builtin list_write[] = {
	{"append", "/object", l_append}, {"extend", "/iterable", l_extend}, {"pop", "/index=", l_pop},   {"insert", "/index /object", l_insert},
	{"remove", "/value", l_remove},  {"clear", "", l_clear},           {"reverse", "", l_reverse}, {"sort", "reverse=", l_sort},
};

/* ---- dicts ---- */

static int view(struct axj *r, struct axj_val self, enum axj_view kind, struct axj_val *out)
{
	*out = self;
	out->t = AXJ_VIEW;
	out->sub = (uint8_t)kind;
	return axj_identify(r, out);
}

static AXJ_BUILTIN(d_keys)
{
	return view(r, self, AXJ_KEYS, out);
}

static AXJ_BUILTIN(d_values)
{
	return view(r, self, AXJ_VALUES, out);
}

static AXJ_BUILTIN(d_items)
{
	return view(r, self, AXJ_ITEMS, out);
}

static AXJ_BUILTIN(d_get)
{
	size_t at = 0;

	AX_TRY(axj_dict_find(r, self.u.d, a[0], &at));
	*out = at < self.u.d->n ? self.u.d->kv[at].v : a[1].t ? a[1] : axj_none;
	return 0;
}

static AXJ_BUILTIN(d_copy)
{
	AX_TRY(axj_fill_dict(r, self.u.d));
	AX_TRY(axj_new_dict(r, out));
	for (size_t i = 0; i < self.u.d->n; i++)
		AX_TRY(axj_dict_set(r, out->u.d, self.u.d->kv[i].k, self.u.d->kv[i].v));
	return 0;
}

static AXJ_BUILTIN(d_fromkeys)
{
	struct axj_list *l;

	AX_TRY(axj_items(r, a[0], &l));
	AX_TRY(axj_new_dict(r, out));
	for (size_t i = 0; i < l->n; i++)
		AX_TRY(axj_dict_set(r, out->u.d, l->v[i], a[1].t ? a[1] : axj_none));
	return 0;
}

static const struct axj_builtin dict_class[] = {{"fromkeys", "/iterable /value=", d_fromkeys}};

static AXJ_BUILTIN(d_pop)
{
	size_t at = 0;

	if (!a[0].t)
		return axj_raise(r, "TypeError", "pop expected at least 1 argument, got 0");
	AX_TRY(axj_dict_find(r, self.u.d, a[0], &at));
	if (at < self.u.d->n) {
		*out = self.u.d->kv[at].v;
		axj_dict_remove(self.u.d, at);
		return 0;
	}
	*out = a[1];
	return a[1].t ? 0 : axj_raise(r, "KeyError", "%s", axj_repr_text(r, a[0]));
}

static AXJ_BUILTIN(d_setdefault)
{
	size_t at = 0;

	AX_TRY(axj_dict_find(r, self.u.d, a[0], &at));
	*out = at < self.u.d->n ? self.u.d->kv[at].v : a[1].t ? a[1] : axj_none;
	return at < self.u.d->n ? 0 : axj_dict_set(r, self.u.d, a[0], *out);
}

static AXJ_BUILTIN(d_update)
{
	struct axj_val k = {.t = AXJ_STR};

	*out = axj_none;
	if (args->n_pos && args->pos[0].t != AXJ_DICT)
		return axj_raise(r, "TypeError", "'%s' object is not a mapping", axj_type_name(args->pos[0]));
	if (args->n_pos) {
		struct axj_dict *d = args->pos[0].u.d;

		AX_TRY(axj_fill_dict(r, d));
		for (size_t i = 0; i < d->n; i++)
			AX_TRY(axj_dict_set(r, self.u.d, d->kv[i].k, d->kv[i].v));
	}
	for (size_t i = 0; i < args->n_kw; i++) {
		k.u.s = args->kw[i].name;
		AX_TRY(axj_dict_set(r, self.u.d, k, args->kw[i].v));
	}
	return 0;
}

static AXJ_BUILTIN(d_clear)
{
	AX_TRY(axj_fill_dict(r, self.u.d));
	self.u.d->n = 0;
	self.u.d->slot = NULL;
	*out = axj_none;
	return 0;
}

static AXJ_BUILTIN(d_popitem)
{
	AX_TRY(axj_fill_dict(r, self.u.d));
	if (!self.u.d->n)
		return axj_raise(r, "KeyError", "'popitem(): dictionary is empty'");
	AX_TRY(axj_new_list(r, AXJ_TUPLE, 2, out));
	AX_TRY(axj_append(r, out->u.l, self.u.d->kv[self.u.d->n - 1].k));
	AX_TRY(axj_append(r, out->u.l, self.u.d->kv[self.u.d->n - 1].v));
	axj_dict_remove(self.u.d, self.u.d->n - 1);
	return 0;
}

static const struct axj_builtin dict_read[] = {
	{"fromkeys", "/iterable /value=", d_fromkeys},
	
	{"keys", "", d_keys}, {"values", "", d_values}, {"items", "", d_items}, {"get", "/key /default=", d_get}, {"copy", "", d_copy},
};
static const struct axj_builtin dict_write[] = {
	{"pop", "/key= /default=", d_pop}, {"setdefault", "/key /default=", d_setdefault}, {"update", NULL, d_update},
	{"clear", "", d_clear},          {"popitem", "", d_popitem},
};

/* ---- loops and cyclers ---- */

static AXJ_BUILTIN(loop_cycle)
{
	if (!args->n_pos)
		return axj_raise(r, "TypeError", "no items for cycling given");
	*out = args->pos[(size_t)self.u.loop->index0 % args->n_pos];
	return 0;
}

static AXJ_BUILTIN(loop_changed)
{
	struct axj_val now;

	AX_TRY(axj_new_list(r, AXJ_TUPLE, args->n_pos, &now));
	for (size_t i = 0; i < args->n_pos; i++)
		AX_TRY(axj_append(r, now.u.l, args->pos[i]));
	*out = axj_bool(!self.u.loop->changed.t || !axj_equal(r, now, self.u.loop->changed));
	self.u.loop->changed = now;
	return 0;
}

static AXJ_BUILTIN(cycler_next)
{
	struct axj_cycler *c = self.u.cycler;

	*out = c->items->v[c->at];
	c->at = (c->at + 1) % c->items->n;
	return 0;
}

static AXJ_BUILTIN(cycler_reset)
{
	self.u.cycler->at = 0;
	*out = axj_none;
	return 0;
}

static const struct axj_builtin loop_methods[] = {{"cycle", NULL, loop_cycle}, {"changed", NULL, loop_changed}};
static const struct axj_builtin cycler_methods[] = {{"next", "", cycler_next}, {"reset", "", cycler_reset}};

static const struct axj_builtin *find(const struct axj_builtin *t, size_t n, const struct axj_str *name)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(t[i].name) == name->n && memcmp(t[i].name, name->p, name->n) == 0)
			return &t[i];
	return NULL;
}

const struct axj_builtin *axj_find_str_test(const struct axj_str *name)
{
	return find(str_tests, COUNT(str_tests), name);
}

bool axj_is_dict_method(const struct axj_str *name)
{
	return find(dict_read, COUNT(dict_read), name) || find(dict_write, COUNT(dict_write), name);
}

const struct axj_builtin *axj_find_method(const struct ax_jinja *t, struct axj_val v, const struct axj_str *name, bool *unsafe)
{
	const struct axj_builtin *read = NULL, *write = NULL;

	switch ((enum axj_type)v.t) {
	case AXJ_STR:
		return axj_find_str_method(name);
	case AXJ_LIST:
		read = find(list_read, COUNT(list_read), name);
		write = find(list_write, COUNT(list_write), name);
		break;
	case AXJ_TUPLE:
		return find(list_read, 2, name);
	case AXJ_DICT:
		read = find(dict_read, COUNT(dict_read), name);
		write = find(dict_write, COUNT(dict_write), name);
		break;
	case AXJ_LOOP:
		return find(loop_methods, COUNT(loop_methods), name);
	case AXJ_BOOL:
	case AXJ_INT:
	case AXJ_FLOAT:
	case AXJ_RANGE:
	case AXJ_BIG:
		return axj_find_num_method(v, name);
	case AXJ_FUNC:
		return strcmp(axj_function_at(v.sub)->name, "dict") == 0 ? find(dict_class, COUNT(dict_class), name) : NULL;
	case AXJ_CYCLER:
		return find(cycler_methods, COUNT(cycler_methods), name);
	default:
		return NULL;
	}
	*unsafe = write && !(t->flags & AX_JINJA_MUTABLE);
	return read ? read : *unsafe ? NULL : write;
}
