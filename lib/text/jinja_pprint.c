/* The filter pprint: Python's pprint.pformat, 80 columns wide, keys sorted. */
#include <string.h>

#include "text/jinja_lib.h"

#define WIDTH 80

struct pretty {
	struct axj *r;
	int level; /* 1: the value itself, as it is split up */
};

static int format(struct pretty *p, struct axj_val v, int64_t indent, int64_t allowance);
static int put_flat(struct axj *r, struct axj_val v, int depth);

/* Does Python order two keys? */
static bool comparable(struct axj *r, struct axj_val x, struct axj_val y, int depth)
{
	if (x.t != AXJ_TUPLE || y.t != AXJ_TUPLE)
		return (axj_is_num(x) && axj_is_num(y)) || (x.t == AXJ_STR && y.t == AXJ_STR);
	for (size_t i = 0; i < x.u.l->n && i < y.u.l->n && depth < AXJ_NESTED; i++)
		if (!axj_equal(r, x.u.l->v[i], y.u.l->v[i]))
			return comparable(r, x.u.l->v[i], y.u.l->v[i], depth + 1);
	return depth < AXJ_NESTED;
}

/* Does x come before y among sorted keys? What cannot be compared goes by the names of its type. */
static bool before(struct axj *r, struct axj_val x, struct axj_val y)
{
	bool less = false;

	if (comparable(r, x, y, 0))
		return !axj_order(r, AXJ_LT, x, y, &less) && less;
	return strcmp(axj_type_name(x), axj_type_name(y)) < 0;
}

static int merge(struct axj *r, struct axj_pair *v, size_t n, struct axj_pair *room)
{
	size_t half = n / 2, i = 0, k = half, at = 0;

	if (n < 2)
		return 0;
	AX_TRY(axj_step(r, n));
	AX_TRY(merge(r, v, half, room));
	AX_TRY(merge(r, v + half, n - half, room));
	memcpy(room, v, n * sizeof(*v));
	while (i < half || k < n)
		v[at++] = k == n || (i < half && !before(r, room[k].k, room[i].k)) ? room[i++] : room[k++];
	return 0;
}

/* The pairs of a dict by key. */
static int sorted(struct axj *r, struct axj_dict *d, struct axj_pair **out)
{
	size_t bytes;
	struct axj_pair *room;

	AX_TRY(axj_fill_dict(r, d));
	*out = ax_mul_size(d->n, 2 * sizeof(**out), &bytes) ? ax_arena_alloc(r->mem, bytes) : NULL;
	if (!*out)
		return axj_oom(r);
	room = *out + d->n;
	if (d->n)
		memcpy(*out, d->kv, d->n * sizeof(**out));
	return merge(r, *out, d->n, room);
}

static int put_flat_dict(struct axj *r, struct axj_dict *d, int depth)
{
	struct axj_pair *kv;

	AX_TRY(sorted(r, d, &kv));
	AX_TRY(axj_put(r, "{", 1));
	for (size_t i = 0; i < d->n; i++) {
		if (i)
			AX_TRY(axj_putz(r, ", "));
		AX_TRY(put_flat(r, kv[i].k, depth + 1));
		AX_TRY(axj_putz(r, ": "));
		AX_TRY(put_flat(r, kv[i].v, depth + 1));
	}
	return axj_put(r, "}", 1);
}

/* repr(v), dicts sorted. */
static int put_flat(struct axj *r, struct axj_val v, int depth)
{
	bool list = v.t == AXJ_LIST, one;

	if (depth > AXJ_NESTED)
		return axj_raise(r, "RecursionError", "maximum recursion depth exceeded while getting the repr of an object");
	if (v.t == AXJ_DICT)
		return put_flat_dict(r, v.u.d, depth);
	if (!list && (v.t != AXJ_TUPLE || v.sub == AXJ_GROUP))
		return axj_put_repr(r, v);
	AX_TRY(axj_fill_list(r, v.u.l));
	one = v.u.l->n == 1;
	AX_TRY(axj_put(r, list ? "[" : "(", 1));
	for (size_t i = 0; i < v.u.l->n; i++) {
		if (i)
			AX_TRY(axj_putz(r, ", "));
		AX_TRY(put_flat(r, v.u.l->v[i], depth + 1));
	}
	return axj_putz(r, list ? "]" : one ? ",)" : ")");
}

static int flat(struct axj *r, struct axj_val v, struct axj_str **out)
{
	struct axj_capture c;
	struct axj_val s;

	axj_capture_begin(r, &c);
	AX_TRY(put_flat(r, v, 0));
	AX_TRY(axj_capture_end(r, &c, &s));
	axj_len_chars(s.u.s);
	*out = s.u.s;
	return 0;
}

static int new_line(struct axj *r, const char *first, int64_t indent)
{
	AX_TRY(axj_putz(r, first));
	for (int64_t i = 0; i < indent; i++)
		AX_TRY(axj_put(r, " ", 1));
	return 0;
}

static int format_dict(struct pretty *p, struct axj_dict *d, int64_t indent, int64_t allowance)
{
	struct axj_pair *kv;
	struct axj_str *key;

	AX_TRY(sorted(p->r, d, &kv));
	AX_TRY(axj_put(p->r, "{", 1));
	for (size_t i = 0; i < d->n; i++) {
		if (i)
			AX_TRY(new_line(p->r, ",\n", indent + 1));
		AX_TRY(flat(p->r, kv[i].k, &key));
		AX_TRY(axj_put(p->r, key->p, key->n));
		AX_TRY(axj_putz(p->r, ": "));
		AX_TRY(format(p, kv[i].v, indent + 1 + (int64_t)key->n_char + 2, i + 1 == d->n ? allowance + 1 : 1));
	}
	return axj_put(p->r, "}", 1);
}

static int format_list(struct pretty *p, struct axj_val v, int64_t indent, int64_t allowance)
{
	const char *end = v.t == AXJ_LIST ? "]" : v.u.l->n == 1 ? ",)" : ")";

	allowance += (int64_t)strlen(end);
	AX_TRY(axj_put(p->r, v.t == AXJ_LIST ? "[" : "(", 1));
	for (size_t i = 0; i < v.u.l->n; i++) {
		if (i)
			AX_TRY(new_line(p->r, ",\n", indent + 1));
		AX_TRY(format(p, v.u.l->v[i], indent + 1, i + 1 == v.u.l->n ? allowance : 1));
	}
	return axj_putz(p->r, end);
}

/* ---- texts ---- */

/* repr of bytes [from, to) of s, added to the list. */
static int add_repr(struct axj *r, const struct axj_str *s, size_t from, size_t to, struct axj_list *out, int64_t *width)
{
	struct axj_val part, v;
	struct axj_str *text;

	AX_TRY(axj_str(r, s->p + from, to - from, &part));
	AX_TRY(flat(r, part, &text));
	*width = (int64_t)text->n_char;
	v = (struct axj_val){.t = AXJ_STR, .u.s = text};
	return out ? axj_append(r, out, v) : axj_step(r, (to - from) >> 6);
}

/* End of the word at i and of the white space behind it. */
static size_t word_end(const struct axj_str *s, size_t i, size_t end)
{
	size_t len;

	while (i < end && !axj_is_space(axj_get_char(s->p + i, end - i, &len)))
		i += len;
	while (i < end && axj_is_space(axj_get_char(s->p + i, end - i, &len)))
		i += len;
	return i;
}

/* A line too long: as many words to a piece as fit, `last` of them in less room at the very end. */
static int split_line(struct axj *r, const struct axj_str *s, size_t from, size_t end, int64_t room, int64_t last, struct axj_list *out)
{
	size_t to = from;
	int64_t width;

	while (to < end) {
		size_t next = word_end(s, to, end);

		AX_TRY(add_repr(r, s, from, next, NULL, &width));
		if (width > (next == end ? last : room)) {
			if (to > from)
				AX_TRY(add_repr(r, s, from, to, out, &width));
			from = to;
		}
		to = next;
	}
	return to > from ? add_repr(r, s, from, to, out, &width) : 0;
}

static int format_text(struct pretty *p, const struct axj_str *s, int64_t indent, int64_t allowance)
{
	struct axj_val pieces;
	int64_t room, width;
	bool parens = p->level == 1;

	if (s->n == 0)
		return axj_putz(p->r, "''");
	indent += parens;
	allowance += parens;
	room = WIDTH - indent;
	AX_TRY(axj_new_list(p->r, AXJ_LIST, 8, &pieces));
	for (size_t from = 0, next; from < s->n; from = next) {
		int64_t last;

		axj_line_end(s, from, &next);
		last = next == s->n ? room - allowance : room;
		AX_TRY(add_repr(p->r, s, from, next, NULL, &width));
		if (width <= last)
			AX_TRY(add_repr(p->r, s, from, next, pieces.u.l, &width));
		else
			AX_TRY(split_line(p->r, s, from, next, room, last, pieces.u.l));
	}
	if (pieces.u.l->n == 1)
		return axj_put(p->r, pieces.u.l->v[0].u.s->p, pieces.u.l->v[0].u.s->n);
	if (parens)
		AX_TRY(axj_put(p->r, "(", 1));
	for (size_t i = 0; i < pieces.u.l->n; i++) {
		if (i)
			AX_TRY(new_line(p->r, "\n", indent));
		AX_TRY(axj_put(p->r, pieces.u.l->v[i].u.s->p, pieces.u.l->v[i].u.s->n));
	}
	return parens ? axj_put(p->r, ")", 1) : 0;
}

/* v at column `indent`, with `allowance` characters behind it on its last line. */
static int format(struct pretty *p, struct axj_val v, int64_t indent, int64_t allowance)
{
	struct axj_str *text;
	int rc;

	AX_TRY(flat(p->r, v, &text));
	if ((int64_t)text->n_char <= WIDTH - indent - allowance)
		return axj_put(p->r, text->p, text->n);
	p->level++;
	if (v.t == AXJ_DICT)
		rc = format_dict(p, v.u.d, indent, allowance);
	else if (v.t == AXJ_LIST || (v.t == AXJ_TUPLE && v.sub != AXJ_GROUP))
		rc = format_list(p, v, indent, allowance);
	else if (v.t == AXJ_STR && !v.u.s->markup)
		rc = format_text(p, v.u.s, indent, allowance);
	else
		rc = axj_put(p->r, text->p, text->n);
	p->level--;
	return rc;
}

AXJ_BUILTIN(axj_f_pprint)
{
	struct pretty p = {r, 0};
	struct axj_capture c;

	axj_capture_begin(r, &c);
	AX_TRY(format(&p, self, 0, 0));
	axj_mark(r, c.b, axj_origin(r, self));
	return axj_capture_end(r, &c, out);
}
