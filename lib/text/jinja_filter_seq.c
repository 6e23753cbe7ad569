/* Filters on sequences. */
#include <string.h>

#include "text/jinja_lib.h"

/* One step of a path: a run of digits is an index. */
static int path_step(struct axj *r, struct axj_val v, const struct axj_str *path, size_t from, size_t to, struct axj_val *out)
{
	struct axj_val key;
	bool digits = to > from;
	int64_t i = 0;

	for (size_t k = from; k < to && digits; k++) {
		digits = path->p[k] >= '0' && path->p[k] <= '9' && i < INT64_MAX / 100;
		i = i * 10 + (path->p[k] - '0');
	}
	if (digits) {
		key = axj_int(i);
	} else {
		AX_TRY(axj_cut(r, path, from, to, &key));
	}
	return axj_getitem(r, v, key, out);
}

int axj_path(struct axj *r, struct axj_val v, struct axj_val attr, struct axj_val dflt, struct axj_val *out)
{
	const struct axj_str *path;

	*out = v;
	if (attr.t == AXJ_ABSENT || attr.t == AXJ_NONE)
		return 0;
	if (attr.t != AXJ_STR) {
		AX_TRY(axj_getitem(r, v, attr, out));
		if (out->t == AXJ_UNDEF && dflt.t && dflt.t != AXJ_NONE)
			*out = dflt;
		return 0;
	}
	path = attr.u.s;
	for (size_t from = 0; from <= path->n;) {
		const char *dot = memchr(path->p + from, '.', path->n - from);
		size_t to = dot ? (size_t)(dot - path->p) : path->n;

		AX_TRY(path_step(r, *out, path, from, to, out));
		if (out->t == AXJ_UNDEF && dflt.t && dflt.t != AXJ_NONE)
			*out = dflt;
		from = to + 1;
	}
	return 0;
}

int axj_key(struct axj *r, struct axj_val v, struct axj_val attr, struct axj_val dflt, bool cased, struct axj_val *out)
{
	AX_TRY(axj_path(r, v, attr, dflt, out));
	if (!cased && out->t == AXJ_STR)
		return axj_case_str(r, out->u.s, AXJ_LOWER, out);
	return 0;
}

AXJ_BUILTIN(axj_f_join)
{
	struct axj_capture c;
	struct axj_val v;
	struct axj_list *l;

	AX_TRY(axj_items(r, self, &l));
	axj_capture_begin(r, &c);
	for (size_t i = 0; i < l->n; i++) {
		if (i && a[0].t)
			AX_TRY(axj_put_val(r, a[0]));
		AX_TRY(axj_path(r, l->v[i], a[1], axj_none, &v));
		AX_TRY(axj_put_val(r, v));
	}
	return axj_capture_end(r, &c, out);
}

AXJ_BUILTIN(axj_f_first)
{
	struct axj_list *l;

	if (self.t == AXJ_STR && self.u.s->n) { /* without making all the others */
		AX_TRY(axj_cut(r, self.u.s, 0, axj_char_off(self.u.s, 1), out));
		out->u.s->markup = false;
		return 0;
	}
	AX_TRY(axj_items(r, self, &l));
	if (!l->n)
		return axj_undef_hint(r, "UndefinedError", out, "No first item, sequence was empty.");
	*out = l->v[0];
	if (self.t == AXJ_ITER) /* the others are still to come */
		self.u.it->at -= l->n - 1;
	return 0;
}

AXJ_BUILTIN(axj_f_last)
{
	struct axj_list *l;

	if (self.t == AXJ_ITER)
		return axj_raise(r, "TypeError", "'%s' object is not reversible", axj_type_name(self));
	AX_TRY(axj_items(r, self, &l));
	if (!l->n)
		return axj_undef_hint(r, "UndefinedError", out, "No last item, sequence was empty.");
	*out = l->v[l->n - 1];
	return 0;
}

AXJ_BUILTIN(axj_f_list)
{
	struct axj_list *l;

	AX_TRY(axj_items(r, self, &l));
	AX_TRY(axj_new_list(r, AXJ_LIST, l->n, out));
	for (size_t i = 0; i < l->n; i++)
		AX_TRY(axj_append(r, out->u.l, l->v[i]));
	return 0;
}

/* ---- sorting ---- */

struct keyed {
	struct axj_val key, v;
};

/* Stable merge sort of k[0..n) with Python's <; t is room for as many. */
static int merge_sort(struct axj *r, struct keyed *k, struct keyed *t, size_t n, bool reverse)
{
	for (size_t width = 1; width < n; width *= 2) {
		for (size_t lo = 0; lo < n; lo += 2 * width) {
			size_t mid = lo + width < n ? lo + width : n, hi = lo + 2 * width < n ? lo + 2 * width : n;
			size_t i = lo, j = mid, o = lo;

			while (i < mid && j < hi) {
				bool right;

				AX_TRY(reverse ? axj_order(r, AXJ_LT, k[i].key, k[j].key, &right)
					       : axj_order(r, AXJ_LT, k[j].key, k[i].key, &right));
				t[o++] = right ? k[j++] : k[i++];
			}
			while (i < mid)
				t[o++] = k[i++];
			while (j < hi)
				t[o++] = k[j++];
		}
		memcpy(k, t, n * sizeof(*k));
	}
	return 0;
}

/* The items of `l` by key; with a key of several paths ("a,b") when `multi`. */
static int sorted(struct axj *r, struct axj_list *l, struct axj_val attr, struct axj_val dflt, bool cased, bool reverse, bool multi,
		  struct axj_list *out)
{
	struct keyed *k = ax_arena_alloc(r->mem, (l->n + 1) * sizeof(*k)), *t = ax_arena_alloc(r->mem, (l->n + 1) * sizeof(*t));

	if (!k || !t)
		return axj_oom(r);
	for (size_t i = 0; i < l->n; i++) {
		struct axj_val keys;
		const char *comma = multi && attr.t == AXJ_STR ? memchr(attr.u.s->p, ',', attr.u.s->n) : NULL;

		k[i].v = l->v[i];
		if (!comma) {
			AX_TRY(axj_key(r, l->v[i], attr, dflt, cased, &k[i].key));
			if (!multi)
				continue;
		}
		AX_TRY(axj_new_list(r, AXJ_LIST, 2, &keys)); /* lists: equal items need no order */
		if (!comma) {
			AX_TRY(axj_append(r, keys.u.l, k[i].key));
			k[i].key = keys;
			continue;
		}
		k[i].key = keys;
		for (size_t from = 0; from <= attr.u.s->n;) {
			size_t to;
			struct axj_val part, key;

			comma = memchr(attr.u.s->p + from, ',', attr.u.s->n - from);
			to = comma ? (size_t)(comma - attr.u.s->p) : attr.u.s->n;
			AX_TRY(axj_cut(r, attr.u.s, from, to, &part));
			AX_TRY(axj_key(r, l->v[i], part, dflt, cased, &key));
			AX_TRY(axj_append(r, k[i].key.u.l, key));
			from = to + 1;
		}
	}
	AX_TRY(merge_sort(r, k, t, l->n, reverse));
	for (size_t i = 0; i < l->n; i++)
		AX_TRY(axj_append(r, out, k[i].v));
	return 0;
}

AXJ_BUILTIN(axj_f_sort)
{
	struct axj_list *l;

	AX_TRY(axj_items(r, self, &l));
	AX_TRY(axj_new_list(r, AXJ_LIST, l->n, out));
	return sorted(r, l, a[2], axj_none, axj_truth(a[1]), axj_truth(a[0]), true, out->u.l);
}

AXJ_BUILTIN(axj_f_dictsort)
{
	struct axj_val view = {.t = AXJ_VIEW, .sub = AXJ_ITEMS};
	struct axj_list *l;
	bool by_value = a[1].t && axj_is_str(a[1], "value");

	if (a[1].t && !by_value && !axj_is_str(a[1], "key"))
		return axj_raise(r, "FilterArgumentError", "You can only sort by either \"key\" or \"value\"");
	if (self.t == AXJ_UNDEF)
		return axj_raise_undef(r, self);
	if (self.t != AXJ_DICT)
		return axj_raise(r, "AttributeError", "'%s' object has no attribute 'items'", axj_type_name(self));
	view.u.d = self.u.d;
	AX_TRY(axj_items(r, view, &l));
	AX_TRY(axj_new_list(r, AXJ_LIST, l->n, out));
	return sorted(r, l, axj_int(by_value), axj_none, axj_truth(a[0]), axj_truth(a[2]), false, out->u.l);
}

/* A list of (value, items with it) by the value of an attribute. */
AXJ_BUILTIN(axj_f_groupby)
{
	bool cased = axj_truth(a[2]);
	struct axj_val all, group, pair, key = axj_none, k;
	struct axj_list *l;

	AX_TRY(axj_items(r, self, &l));
	AX_TRY(axj_new_list(r, AXJ_LIST, l->n, &all));
	AX_TRY(sorted(r, l, a[0], a[1], cased, false, false, all.u.l));
	AX_TRY(axj_new_list(r, AXJ_LIST, 0, out));
	for (size_t i = 0; i < all.u.l->n; i++) {
		AX_TRY(axj_key(r, all.u.l->v[i], a[0], a[1], cased, &k));
		if (i == 0 || !axj_equal(r, k, key)) {
			key = k;
			AX_TRY(axj_new_list(r, AXJ_LIST, 0, &group));
			AX_TRY(axj_new_list(r, AXJ_TUPLE, 2, &pair));
			pair.sub = AXJ_GROUP;
			AX_TRY(axj_path(r, all.u.l->v[i], a[0], a[1], &k));
			AX_TRY(axj_append(r, pair.u.l, k));
			AX_TRY(axj_append(r, pair.u.l, group));
			AX_TRY(axj_append(r, out->u.l, pair));
		}
		AX_TRY(axj_append(r, group.u.l, all.u.l->v[i]));
	}
	return 0;
}

static int extreme(struct axj *r, struct axj_val self, const struct axj_val *a, bool min, struct axj_val *out)
{
	struct axj_val best, key;
	struct axj_list *l;

	AX_TRY(axj_items(r, self, &l));
	if (!l->n)
		return axj_undef_hint(r, "UndefinedError", out, "No aggregated item, sequence was empty.");
	*out = l->v[0];
	AX_TRY(axj_key(r, l->v[0], a[1], axj_none, axj_truth(a[0]), &best));
	for (size_t i = 1; i < l->n; i++) {
		bool better;

		AX_TRY(axj_key(r, l->v[i], a[1], axj_none, axj_truth(a[0]), &key));
		AX_TRY(axj_order(r, min ? AXJ_LT : AXJ_GT, key, best, &better));
		if (better) {
			best = key;
			*out = l->v[i];
		}
	}
	return 0;
}

AXJ_BUILTIN(axj_f_min)
{
	return extreme(r, self, a, true, out);
}

AXJ_BUILTIN(axj_f_max)
{
	return extreme(r, self, a, false, out);
}

AXJ_BUILTIN(axj_f_sum)
{
	struct axj_val v;
	struct axj_list *l;

	AX_TRY(axj_items(r, self, &l));
	*out = a[1].t ? a[1] : axj_int(0);
	if (out->t == AXJ_STR)
		return axj_raise(r, "TypeError", "sum() can't sum strings [use ''.join(seq) instead]");
	for (size_t i = 0; i < l->n; i++) {
		AX_TRY(axj_path(r, l->v[i], a[0], axj_none, &v));
		AX_TRY(axj_binary(r, AXJ_ADD, *out, v, out));
	}
	return 0;
}

int axj_make_reversed(struct axj *r, struct axj_iter *it, struct axj_list *out)
{
	struct axj_list *l;

	AX_TRY(axj_items(r, it->value, &l));
	for (size_t i = l->n; i-- > 0;)
		AX_TRY(axj_append(r, out, l->v[i]));
	return 0;
}

/* Text backwards, or an iterator: only what cannot be reversed lazily becomes a list. */
AXJ_BUILTIN(axj_f_reverse)
{
	struct axj_list *l;

	if (self.t == AXJ_STR)
		return axj_slice(r, self, axj_none, axj_none, axj_int(-1), out);
	if (!axj_iterable(self))
		return axj_raise(r, "FilterArgumentError", "argument must be iterable");
	if (self.t != AXJ_ITER)
		return axj_new_iter(r, self.t == AXJ_LIST ? "list_reverseiterator" : self.t == AXJ_DICT ? "dict_reversekeyiterator" : "reversed",
				    axj_make_reversed, self, args, out);
	AX_TRY(axj_items(r, self, &l));
	AX_TRY(axj_new_list(r, AXJ_LIST, l->n, out));
	for (size_t i = l->n; i-- > 0;)
		AX_TRY(axj_append(r, out->u.l, l->v[i]));
	return 0;
}
