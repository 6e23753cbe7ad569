/* Global functions: range, dict, namespace, cycler, joiner, raise_exception, strftime_now. */
#include <stdio.h>
#include <string.h>

#include "text/jinja_impl.h"

#define MAX_RANGE 100000 /* jinja2's sandbox */

static int need_int(struct axj *r, struct axj_val v, int64_t *i)
{
	if (v.t == AXJ_UNDEF)
		return axj_raise_undef(r, v);
	if (!axj_is_int(v))
		return axj_raise(r, "TypeError", "'%s' object cannot be interpreted as an integer", axj_type_name(v));
	*i = axj_as_int(v);
	return 0;
}

static int fn_range(struct axj *r, struct axj_val self, const struct axj_val *a, struct axj_args *args, struct axj_val *out)
{
	struct axj_range x = {0, 0, 1, 0};
	int64_t v[3] = {0, 0, 1}, span;

	if (args->n_kw)
		return axj_raise(r, "TypeError", "safe_range() got an unexpected keyword argument '%.80s'", args->kw[0].name->p);
	if (args->n_pos < 1 || args->n_pos > 3)
		return axj_raise(r, "TypeError", "range expected at %s argument%s, got %zu", args->n_pos ? "most 3" : "least 1",
				 args->n_pos ? "s" : "", args->n_pos);
	for (size_t i = 0; i < args->n_pos; i++)
		AX_TRY(need_int(r, args->pos[i], &v[i]));
	x.start = args->n_pos > 1 ? v[0] : 0;
	x.stop = args->n_pos > 1 ? v[1] : v[0];
	x.step = v[2];
	if (x.step == 0)
		return axj_raise(r, "ValueError", "range() arg 3 must not be zero");
	if (x.step > 0 ? x.stop > x.start : x.stop < x.start) {
		if (__builtin_sub_overflow(x.stop, x.start, &span) || x.step == INT64_MIN)
			x.n = MAX_RANGE + 1;
		else
			x.n = x.step > 0 ? (span - 1) / x.step + 1 : (-span - 1) / -x.step + 1;
	}
	if (x.n > MAX_RANGE)
		return axj_raise(r, "OverflowError", "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", MAX_RANGE);
	out->t = AXJ_RANGE;
	out->u.range = ax_arena_alloc(r->mem, sizeof(x));
	if (!out->u.range)
		return axj_oom(r);
	*out->u.range = x;
	return 0;
}

/* dict(mapping or pairs, **names) */
static int fn_dict(struct axj *r, struct axj_val self, const struct axj_val *a, struct axj_args *args, struct axj_val *out)
{
	struct axj_val k = {.t = AXJ_STR};
	struct axj_list *l, *pair;

	AX_TRY(axj_new_dict(r, out));
	if (args->n_pos > 1)
		return axj_raise(r, "TypeError", "dict expected at most 1 argument, got %zu", args->n_pos);
	if (args->n_pos && args->pos[0].t == AXJ_UNDEF)
		return axj_raise_undef(r, args->pos[0]);
	if (args->n_pos && args->pos[0].t == AXJ_DICT) {
		struct axj_dict *d = args->pos[0].u.d;

		AX_TRY(axj_fill_dict(r, d));
		for (size_t i = 0; i < d->n; i++)
			AX_TRY(axj_dict_set(r, out->u.d, d->kv[i].k, d->kv[i].v));
	} else if (args->n_pos) {
		AX_TRY(axj_items(r, args->pos[0], &l));
		for (size_t i = 0; i < l->n; i++) {
			AX_TRY(axj_items(r, l->v[i], &pair));
			if (pair->n != 2)
				return axj_raise(r, "ValueError", "dictionary update sequence element #%zu has length %zu; 2 is required", i,
						 pair->n);
			AX_TRY(axj_dict_set(r, out->u.d, pair->v[0], pair->v[1]));
		}
	}
	for (size_t i = 0; i < args->n_kw; i++) {
		k.u.s = args->kw[i].name;
		AX_TRY(axj_dict_set(r, out->u.d, k, args->kw[i].v));
	}
	return 0;
}

static int fn_namespace(struct axj *r, struct axj_val self, const struct axj_val *a, struct axj_args *args, struct axj_val *out)
{
	AX_TRY(fn_dict(r, self, a, args, out));
	for (size_t i = 0; i < out->u.d->n; i++) {
		struct axj_val k = out->u.d->kv[i].k;

		if (k.t == AXJ_STR && k.u.s->n && k.u.s->p[0] == '_')
			return axj_raise(r, "SecurityError",
					 "Chat templates cannot store underscore-prefixed attributes on a namespace, but got %s. "
					 "Please rename the attribute.",
					 axj_repr_text(r, k));
	}
	out->t = AXJ_NS;
	return 0;
}

static int new_cycler(struct axj *r, enum axj_type t, struct axj_val *out)
{
	struct axj_val items;

	out->t = (uint8_t)t;
	out->u.cycler = ax_arena_calloc(r->mem, 1, sizeof(*out->u.cycler));
	if (!out->u.cycler)
		return axj_oom(r);
	AX_TRY(axj_new_list(r, AXJ_LIST, 0, &items));
	out->u.cycler->items = items.u.l;
	return 0;
}

static int fn_cycler(struct axj *r, struct axj_val self, const struct axj_val *a, struct axj_args *args, struct axj_val *out)
{
	if (!args->n_pos)
		return axj_raise(r, "RuntimeError", "at least one item has to be provided");
	AX_TRY(new_cycler(r, AXJ_CYCLER, out));
	for (size_t i = 0; i < args->n_pos; i++)
		AX_TRY(axj_append(r, out->u.cycler->items, args->pos[i]));
	return 0;
}

static int fn_joiner(struct axj *r, struct axj_val self, const struct axj_val *a, struct axj_args *args, struct axj_val *out)
{
	AX_TRY(new_cycler(r, AXJ_JOINER, out));
	if (a[0].t) {
		out->u.cycler->sep = a[0];
		return 0;
	}
	return axj_strz(r, ", ", &out->u.cycler->sep);
}

static int fn_raise(struct axj *r, struct axj_val self, const struct axj_val *a, struct axj_args *args, struct axj_val *out)
{
	struct axj_capture c;
	struct axj_val s;

	axj_capture_begin(r, &c);
	AX_TRY(axj_put_val(r, a[0]));
	AX_TRY(axj_capture_end(r, &c, &s));
	return axj_raise(r, "TemplateError", "%.*s", (int)(s.u.s->n < AX_ERR_MAX ? s.u.s->n : AX_ERR_MAX), s.u.s->p);
}

/* One directive at a time, so that what C's strftime lacks or leaves to the locale is decided here. */
static int put_time(struct axj *r, const struct axj_str *fmt, const struct tm *tm)
{
	for (size_t i = 0; i < fmt->n; i++) {
		char f[4] = "%x", t[128];
		size_t n;

		if (fmt->p[i] != '%' || i + 1 == fmt->n) {
			AX_TRY(axj_put(r, fmt->p + i, 1));
			continue;
		}
		f[1] = fmt->p[++i];
		if (f[1] == '-' && i + 1 < fmt->n)
			f[2] = fmt->p[++i];
		if (f[1] == 'z' || f[1] == 'Z') /* a time without zone */
			continue;
		if (f[1] == 'f') {
			AX_TRY(axj_putz(r, "000000"));
			continue;
		}
		n = strftime(t, sizeof(t), f, tm);
		AX_TRY(axj_put(r, t, n));
	}
	return 0;
}

static int fn_strftime(struct axj *r, struct axj_val self, const struct axj_val *a, struct axj_args *args, struct axj_val *out)
{
	struct axj_capture c;
	struct tm tm;
	time_t now;

	if (a[0].t != AXJ_STR)
		return axj_raise(r, "TypeError", "strftime() argument 1 must be str, not %s", axj_type_name(a[0]));
	if (r->opt && r->opt->now) {
		tm = *r->opt->now;
	} else {
		now = time(NULL);
		localtime_r(&now, &tm);
	}
	axj_capture_begin(r, &c);
	AX_TRY(put_time(r, a[0].u.s, &tm));
	return axj_capture_end(r, &c, out);
}

static int fn_lipsum(struct axj *r, struct axj_val self, const struct axj_val *a, struct axj_args *args, struct axj_val *out)
{
	return axj_raise(r, "TemplateRuntimeError", "lipsum is not available in chat templates");
}

static const struct axj_builtin functions[] = {
	{"lipsum", NULL, fn_lipsum},
	{"range", NULL, fn_range},
	{"dict", NULL, fn_dict},
	{"namespace", NULL, fn_namespace},
	{"cycler", NULL, fn_cycler},
	{"joiner", "sep=", fn_joiner},
	{"raise_exception", "message", fn_raise},
	{"strftime_now", "format", fn_strftime},
};

bool axj_function(const struct axj_str *name, struct axj_val *out)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (strlen(functions[i].name) == name->n && memcmp(functions[i].name, name->p, name->n) == 0) {
			memset(out, 0, sizeof(*out));
			out->t = AXJ_FUNC;
			out->sub = (uint8_t)i;
			return true;
		}
	return false;
}

const struct axj_builtin *axj_function_at(uint8_t i)
{
	return &functions[i];
}
