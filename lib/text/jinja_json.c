/* tojson as transformers defines it: json.dumps with Python's spacing, keys in their order, floats by repr. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_impl.h"
#include "text/json.h"

static int put_json(struct axj *r, struct axj_val v, const struct axj_json *o, int depth);

static int put_text(struct axj *r, const struct axj_str *s, const struct axj_json *o)
{
	struct ax_buf b = AX_BUF_INIT;
	int rc;

	ax_json_write_str(&b, s->p, s->n, o->ascii ? AX_JSON_ASCII : 0);
	rc = b.oom ? axj_oom(r) : axj_put(r, b.p, b.n);
	ax_buf_release(&b);
	return rc;
}

static int put_number(struct axj *r, struct axj_val v)
{
	struct ax_buf b = AX_BUF_INIT;
	char *text;
	int rc;

	if (v.t == AXJ_BIG) {
		AX_TRY(axj_big_text(r, v, 10, &text));
		return axj_putz(r, text);
	}
	if (v.t == AXJ_BOOL)
		ax_buf_adds(&b, v.u.b ? "true" : "false");
	else if (v.t == AXJ_INT)
		ax_buf_addf(&b, "%lld", (long long)v.u.i);
	else if (isnan(v.u.f) || isinf(v.u.f))
		ax_buf_adds(&b, isnan(v.u.f) ? "NaN" : v.u.f < 0 ? "-Infinity" : "Infinity");
	else
		ax_write_float(&b, v.u.f);
	rc = b.oom ? axj_oom(r) : axj_put(r, b.p, b.n);
	ax_buf_release(&b);
	return rc;
}

static int new_line(struct axj *r, const struct axj_json *o, int depth)
{
	if (!o->indented)
		return 0;
	AX_TRY(axj_put(r, "\n", 1));
	for (int i = 0; i < depth; i++)
		AX_TRY(axj_put_str(r, o->indent.u.s));
	return 0;
}

static int put_list(struct axj *r, struct axj_list *l, const struct axj_json *o, int depth)
{
	AX_TRY(axj_fill_list(r, l));
	if (!l->n)
		return axj_putz(r, "[]");
	AX_TRY(axj_put(r, "[", 1));
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			AX_TRY(axj_put_str(r, o->item_sep.u.s));
		AX_TRY(new_line(r, o, depth + 1));
		AX_TRY(put_json(r, l->v[i], o, depth + 1));
	}
	AX_TRY(new_line(r, o, depth));
	return axj_put(r, "]", 1);
}

/* json.dumps makes text of keys that are numbers, booleans or None; others are an error. */
static int put_key(struct axj *r, struct axj_val k, const struct axj_json *o)
{
	if (k.t == AXJ_STR)
		return put_text(r, k.u.s, o);
	if (!axj_is_num(k) && k.t != AXJ_NONE)
		return axj_raise(r, "TypeError", "keys must be str, int, float, bool or None, not %s", axj_type_name(k));
	AX_TRY(axj_put(r, "\"", 1));
	AX_TRY(k.t == AXJ_NONE ? axj_putz(r, "null") : put_number(r, k));
	return axj_put(r, "\"", 1);
}

static int sort_keys(struct axj *r, struct axj_dict *d, size_t *order)
{
	for (size_t i = 0; i < d->n; i++) {
		size_t at = i;

		for (; at > 0; at--) { /* insertion sort: stable, and keys are few */
			bool less;

			AX_TRY(axj_order(r, AXJ_LT, d->kv[i].k, d->kv[order[at - 1]].k, &less));
			if (!less)
				break;
			order[at] = order[at - 1];
		}
		order[at] = i;
	}
	return 0;
}

static int put_dict(struct axj *r, struct axj_dict *d, const struct axj_json *o, int depth)
{
	size_t *order;

	AX_TRY(axj_fill_dict(r, d));
	if (!d->n)
		return axj_putz(r, "{}");
	order = ax_arena_alloc(r->mem, d->n * sizeof(*order));
	if (!order)
		return axj_oom(r);
	for (size_t i = 0; i < d->n; i++)
		order[i] = i;
	if (o->sort)
		AX_TRY(sort_keys(r, d, order));
	AX_TRY(axj_put(r, "{", 1));
	for (size_t i = 0; i < d->n; i++) {
		const struct axj_pair *kv = &d->kv[order[i]];

		if (i)
			AX_TRY(axj_put_str(r, o->item_sep.u.s));
		AX_TRY(new_line(r, o, depth + 1));
		AX_TRY(put_key(r, kv->k, o));
		AX_TRY(axj_put_str(r, o->key_sep.u.s));
		AX_TRY(put_json(r, kv->v, o, depth + 1));
	}
	AX_TRY(new_line(r, o, depth));
	return axj_put(r, "}", 1);
}

static int put_json(struct axj *r, struct axj_val v, const struct axj_json *o, int depth)
{
	size_t begin = r->rope->b.n;

	if (depth > AXJ_NESTED)
		return axj_raise(r, "RecursionError", "maximum recursion depth exceeded while encoding a JSON object");
	AX_TRY(axj_step(r, 1));
	switch ((enum axj_type)v.t) {
	case AXJ_NONE:
		AX_TRY(axj_putz(r, "null"));
		break;
	case AXJ_BOOL:
	case AXJ_INT:
	case AXJ_FLOAT:
	case AXJ_BIG:
		AX_TRY(put_number(r, v));
		break;
	case AXJ_STR:
		AX_TRY(put_text(r, v.u.s, o));
		break;
	case AXJ_LIST:
	case AXJ_TUPLE:
		AX_TRY(put_list(r, v.u.l, o, depth));
		if (!v.u.l->src) /* elements have marked themselves */
			return 0;
		break;
	case AXJ_DICT:
		AX_TRY(put_dict(r, v.u.d, o, depth));
		if (!v.u.d->src)
			return 0;
		break;
	default:
		return axj_raise(r, "TypeError", "Object of type %s is not JSON serializable", axj_type_name(v));
	}
	axj_mark(r, begin, axj_origin(r, v));
	return 0;
}

int axj_put_json(struct axj *r, struct axj_val v, const struct axj_json *o)
{
	return put_json(r, v, o, 0);
}
