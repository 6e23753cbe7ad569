/* str() and repr() of Python values, appended to the rope. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja_case.h"
#include "text/jinja_impl.h"
#include "text/json.h"

static int put_repr(struct axj *r, struct axj_val v, int depth);

bool ax_jinja_printable(uint32_t c)
{
	return axj_is(c, AXJ_PRINTABLE);
}

static int put_escape(struct axj *r, uint32_t c, char quote)
{
	char t[16];

	if (c == (unsigned char)quote || c == '\\')
		snprintf(t, sizeof(t), "\\%c", (int)c);
	else if (c == '\n' || c == '\r' || c == '\t')
		snprintf(t, sizeof(t), "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
	else
		snprintf(t, sizeof(t), c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
	return axj_putz(r, t);
}

static int put_str_repr(struct axj *r, const struct axj_str *s)
{
	bool single = memchr(s->p, '\'', s->n), dbl = memchr(s->p, '"', s->n);
	char quote = single && !dbl ? '"' : '\'';
	size_t from = 0, len;

	if (s->markup)
		AX_TRY(axj_putz(r, "Markup("));
	AX_TRY(axj_put(r, &quote, 1));
	for (size_t i = 0; i < s->n; i += len) {
		uint32_t c = axj_get_char(s->p + i, s->n - i, &len);

		if (ax_jinja_printable(c) && c != '\\' && c != (unsigned char)quote)
			continue;
		AX_TRY(axj_put(r, s->p + from, i - from));
		AX_TRY(put_escape(r, c, quote));
		from = i + len;
	}
	AX_TRY(axj_put(r, s->p + from, s->n - from));
	AX_TRY(axj_put(r, &quote, 1));
	return s->markup ? axj_putz(r, ")") : 0;
}

static int put_items(struct axj *r, struct axj_list *l, const char *open, const char *close, int depth)
{
	AX_TRY(axj_fill_list(r, l));
	AX_TRY(axj_putz(r, open));
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			AX_TRY(axj_putz(r, ", "));
		AX_TRY(put_repr(r, l->v[i], depth + 1));
	}
	return axj_putz(r, close);
}

/* A dict, or one of its views: `what` says which parts. */
static int put_pairs(struct axj *r, struct axj_dict *d, int what, int depth)
{
	static const char *const open[] = {"dict_keys([", "dict_values([", "dict_items([", "{"};

	AX_TRY(axj_fill_dict(r, d));
	AX_TRY(axj_putz(r, open[what]));
	for (size_t i = 0; i < d->n; i++) {
		if (i)
			AX_TRY(axj_putz(r, ", "));
		if (what == AXJ_ITEMS)
			AX_TRY(axj_putz(r, "("));
		if (what != AXJ_VALUES)
			AX_TRY(put_repr(r, d->kv[i].k, depth + 1));
		if (what > AXJ_VALUES)
			AX_TRY(axj_putz(r, what == AXJ_ITEMS ? ", " : ": "));
		if (what != AXJ_KEYS)
			AX_TRY(put_repr(r, d->kv[i].v, depth + 1));
		if (what == AXJ_ITEMS)
			AX_TRY(axj_putz(r, ")"));
	}
	return axj_putz(r, what > AXJ_ITEMS ? "}" : "])");
}

static int put_range(struct axj *r, const struct axj_range *x)
{
	char t[100];
	int n = snprintf(t, sizeof(t), "range(%lld, %lld", (long long)x->start, (long long)x->stop);

	snprintf(t + n, sizeof(t) - (size_t)n, x->step == 1 ? ")" : ", %lld)", (long long)x->step);
	return axj_putz(r, t);
}

/* Methods that markupsafe's Markup has itself, in Python. */
static bool of_markup(const char *name)
{
	static const char *const names[] = {"capitalize", "casefold",     "center",       "expandtabs", "join",   "ljust",     "lower",
					    "lstrip",     "partition",    "removeprefix", "removesuffix", "replace", "rjust",     "rpartition",
					    "rsplit",     "rstrip",       "split",        "splitlines", "strip",  "swapcase",  "title",
					    "upper",      "zfill"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static int put_method(struct axj *r, const struct axj_method *m)
{
	const char *name = m->fn->name, *type = axj_type_name(m->self);
	char t[200];

	if (m->self.t == AXJ_STR && strncmp(name, "format", 6) == 0) { /* the sandbox has its own */
		snprintf(t, sizeof(t), "<function %s.%s at 0x7f0000000000>", type, name);
		return axj_putz(r, t);
	}
	if (m->self.t == AXJ_STR && m->self.u.s->markup && of_markup(name)) {
		snprintf(t, sizeof(t), "<bound method Markup.%s of ", name);
		AX_TRY(axj_putz(r, t));
		AX_TRY(put_str_repr(r, m->self.u.s));
		return axj_putz(r, ">");
	}
	snprintf(t, sizeof(t), "<built-in method %s of %s object at 0x7f0000000000>", name, type);
	return axj_putz(r, t);
}

/* Objects that Python shows with their address; ours is a fixed one, so that output never depends on memory. */
static int put_object(struct axj *r, struct axj_val v, int depth)
{
	char t[200];

	switch ((enum axj_type)v.t) {
	case AXJ_ITER:
		if (strcmp(axj_type_name(v), "generator") == 0)
			snprintf(t, sizeof(t), "<generator object %s at 0x7f0000000000>", v.u.it->name);
		else
			snprintf(t, sizeof(t), "<%s object at 0x7f0000000000>", v.u.it->name);
		return axj_putz(r, t);
	case AXJ_NS:
		AX_TRY(axj_putz(r, "<Namespace "));
		AX_TRY(put_pairs(r, v.u.d, AXJ_ITEMS + 1, depth));
		return axj_putz(r, ">");
	case AXJ_MACRO:
		AX_TRY(axj_putz(r, "<Macro "));
		AX_TRY(v.u.macro->name ? put_str_repr(r, v.u.macro->name) : axj_putz(r, "anonymous"));
		return axj_putz(r, ">");
	case AXJ_LOOP: {
		bool is;

		AX_TRY(axj_loop_next(r, v.u.loop, SIZE_MAX - 1, &is));
		snprintf(t, sizeof(t), "<LoopContext %lld/%zu>", (long long)v.u.loop->index0 + 1, v.u.loop->n_kept);
		return axj_putz(r, t);
	}
	case AXJ_METHOD:
		return put_method(r, v.u.method);
	default:
		snprintf(t, sizeof(t), "<%s at 0x7f0000000000>", axj_object_name(v));
		return axj_putz(r, t);
	}
}

static int put_number(struct axj *r, struct axj_val v)
{
	struct ax_buf b = AX_BUF_INIT;
	char *text;
	int rc;

	if (v.t == AXJ_BIG) {
		AX_TRY(axj_big_text(r, v, 10, &text));
		return axj_put_span(r, text, strlen(text), axj_src(r, v), 0, v.src ? AX_SPAN_TRANSFORMED : 0);
	}
	if (v.t == AXJ_BOOL)
		ax_buf_adds(&b, v.u.b ? "True" : "False");
	else if (v.t == AXJ_INT)
		ax_buf_addf(&b, "%lld", (long long)v.u.i);
	else
		ax_write_float(&b, v.u.f);
	rc = b.oom ? axj_oom(r) : axj_put_span(r, b.p, b.n, axj_src(r, v), 0, v.src ? AX_SPAN_TRANSFORMED : 0);
	ax_buf_release(&b);
	return rc;
}

static int put_container(struct axj *r, struct axj_val v, int depth)
{
	switch ((enum axj_type)v.t) {
	case AXJ_LIST:
		return put_items(r, v.u.l, "[", "]", depth);
	case AXJ_TUPLE:
		return put_items(r, v.u.l, "(", v.u.l->n == 1 ? ",)" : ")", depth);
	case AXJ_VIEW:
		return put_pairs(r, v.u.d, v.sub, depth);
	case AXJ_RANGE:
		return put_range(r, v.u.range);
	default:
		return put_pairs(r, v.u.d, AXJ_ITEMS + 1, depth);
	}
}

static int put_repr(struct axj *r, struct axj_val v, int depth)
{
	size_t begin = r->rope->b.n;

	if (depth > AXJ_NESTED)
		return axj_raise(r, "RecursionError", "maximum recursion depth exceeded while getting the repr of an object");
	AX_TRY(axj_step(r, 1));
	switch ((enum axj_type)v.t) {
	case AXJ_ABSENT:
	case AXJ_UNDEF:
		return axj_putz(r, "Undefined");
	case AXJ_NONE:
		return axj_put_span(r, "None", 4, axj_src(r, v), 0, v.src ? AX_SPAN_TRANSFORMED : 0);
	case AXJ_BOOL:
	case AXJ_INT:
	case AXJ_FLOAT:
	case AXJ_BIG:
		return put_number(r, v);
	case AXJ_STR:
		AX_TRY(put_str_repr(r, v.u.s));
		axj_mark(r, begin, axj_origin(r, v));
		return 0;
	case AXJ_LIST:
	case AXJ_TUPLE:
	case AXJ_VIEW:
	case AXJ_RANGE:
	case AXJ_DICT:
		AX_TRY(put_container(r, v, depth));
		if (v.t != AXJ_RANGE && (v.t == AXJ_LIST || v.t == AXJ_TUPLE ? v.u.l->src : v.u.d->src))
			axj_mark(r, begin, axj_origin(r, v));
		return 0;
	default:
		return put_object(r, v, depth);
	}
}

int axj_put_repr(struct axj *r, struct axj_val v)
{
	return put_repr(r, v, 0);
}

int axj_put_val(struct axj *r, struct axj_val v)
{
	if (v.t == AXJ_STR)
		return axj_put_str(r, v.u.s);
	if (v.t == AXJ_UNDEF)
		return 0;
	return put_repr(r, v, 0);
}

int axj_to_str(struct axj *r, struct axj_val v, struct axj_val *out)
{
	struct axj_capture c;

	if (v.t == AXJ_STR) {
		*out = v;
		return 0;
	}
	axj_capture_begin(r, &c);
	AX_TRY(axj_put_val(r, v));
	return axj_capture_end(r, &c, out);
}

const char *axj_repr_text(struct axj *r, struct axj_val v)
{
	struct axj_capture c;
	struct axj_val s;

	axj_capture_begin(r, &c);
	if (axj_put_repr(r, v) || axj_capture_end(r, &c, &s))
		return "?";
	return s.u.s->p;
}
