/* Strings that know where their bytes came from. */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "text/jinja_impl.h"

#define ORIGIN_DEPTH 8
#define QUICK_TRIES 8 /* hits of a first byte before a search is done by memmem */

bool axj_is_space(uint32_t c)
{
	return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* The character at p; a byte that starts none is its own value. */
uint32_t axj_get_char(const char *p, size_t left, size_t *len)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t n = u[0] < 0xc0 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	uint32_t c;

	if (n > left)
		n = 1;
	*len = n;
	c = n == 1 ? u[0] : u[0] & (0xffU >> (n + 1));
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (u[i] & 0x3f);
	return c;
}

size_t axj_put_char(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

int axj_str(struct axj *r, const char *p, size_t n, struct axj_val *out)
{
	struct axj_str *s = ax_arena_alloc(r->mem, sizeof(*s));

	*out = (struct axj_val){.t = AXJ_STR, .u.s = s};
	if (!s)
		return axj_oom(r);
	*s = (struct axj_str){.p = p, .n = n, .n_char = AXJ_UNKNOWN};
	return 0;
}

int axj_strz(struct axj *r, const char *s, struct axj_val *out)
{
	return axj_str(r, s, strlen(s), out);
}

size_t axj_len_chars(struct axj_str *s)
{
	size_t n = 0;

	if (s->n_char != AXJ_UNKNOWN)
		return s->n_char;
	for (size_t i = 0; i < s->n; i++)
		n += ((unsigned char)s->p[i] & 0xc0) != 0x80;
	s->n_char = n;
	return n;
}

size_t axj_char_off(const struct axj_str *s, size_t i)
{
	size_t off = 0;

	if (s->n_char == s->n)
		return i;
	for (; i > 0; i--) {
		off++;
		while (off < s->n && ((unsigned char)s->p[off] & 0xc0) == 0x80)
			off++;
	}
	return off;
}

bool axj_is_str(struct axj_val v, const char *s)
{
	return v.t == AXJ_STR && v.u.s->n == strlen(s) && memcmp(v.u.s->p, s, v.u.s->n) == 0;
}

size_t axj_find(const struct axj_str *s, const struct axj_str *what, size_t from)
{
	const char *hit;

	if (from > s->n || what->n > s->n - from)
		return AXJ_UNKNOWN;
	if (what->n == 0)
		return from;
	/* The first byte is rare as a rule: "<" of a tag. Where it is not, memmem, whose time is linear. */
	for (int i = 0; i < QUICK_TRIES; i++) {
		hit = memchr(s->p + from, what->p[0], s->n - from - what->n + 1);
		if (!hit)
			return AXJ_UNKNOWN;
		from = (size_t)(hit - s->p);
		if (memcmp(hit, what->p, what->n) == 0)
			return from;
		if (what->n > s->n - ++from)
			return AXJ_UNKNOWN;
	}
	hit = memmem(s->p + from, s->n - from, what->p, what->n);
	return hit ? (size_t)(hit - s->p) : AXJ_UNKNOWN;
}

/* ---- spans ---- */

/* Origin of byte i of s and how far it goes. */
static struct ax_span span_at(const struct axj_str *s, size_t i)
{
	struct ax_span one = {0, s->n, s->src, s->off, s->flags};
	size_t lo = 0, hi = s->n_span;

	if (!s->span)
		return one;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->span[mid].begin <= i)
			lo = mid;
		else
			hi = mid;
	}
	return s->span[lo];
}

/* The part [from, to) of a span, as offsets in the same text. */
static struct ax_span clip(struct ax_span x, size_t from, size_t to)
{
	if (x.begin < from) {
		if (x.origin && !(x.flags & AX_SPAN_TRANSFORMED))
			x.off += from - x.begin;
		x.begin = from;
	}
	if (x.end > to)
		x.end = to;
	return x;
}

int axj_cut(struct axj *r, const struct axj_str *s, size_t from, size_t to, struct axj_val *out)
{
	struct ax_span first;
	struct axj_str *t;

	AX_TRY(axj_str(r, s->p + from, to - from, out));
	t = out->u.s;
	t->markup = s->markup;
	if (s->n_char == s->n)
		t->n_char = t->n;
	if (to == from)
		return 0;
	first = clip(span_at(s, from), from, to);
	if (first.end == to) {
		t->src = first.origin;
		t->off = first.off;
		t->flags = first.flags;
		return 0;
	}
	t->span = ax_arena_alloc(r->mem, s->n_span * sizeof(*t->span));
	if (!t->span)
		return axj_oom(r);
	for (size_t i = from; i < to;) {
		struct ax_span x = clip(span_at(s, i), from, to);

		i = x.end;
		x.begin -= from;
		x.end -= from;
		t->span[t->n_span++] = x;
	}
	return 0;
}

const struct ax_val *axj_origin(struct axj *r, struct axj_val v)
{
	const struct ax_val *o = axj_src(r, v);

	if (v.t == AXJ_STR) {
		o = v.u.s->src;
		for (size_t i = 0; !o && i < v.u.s->n_span; i++)
			o = v.u.s->span[i].origin;
	} else if ((v.t == AXJ_LIST || v.t == AXJ_TUPLE) && r->depth < AXJ_EVAL_DEPTH - ORIGIN_DEPTH) {
		o = v.u.l->src;
		r->depth++;
		for (size_t i = 0; !o && i < v.u.l->n && i < ORIGIN_DEPTH; i++)
			o = axj_origin(r, v.u.l->v[i]);
		r->depth--;
	} else if (v.t == AXJ_DICT || v.t == AXJ_VIEW) {
		o = v.u.d->src;
	}
	return o;
}

/* ---- appending to the rope ---- */

/* The last n bytes of the rope come from src. */
static inline int add_span(struct axj *r, size_t n, const struct ax_val *src, size_t off, unsigned flags)
{
	struct ax_rope *o = r->rope;
	struct ax_span *last;

	if (r->gen)
		flags |= AX_SPAN_GENERATION;
	if (!src || flags & AX_SPAN_TRANSFORMED)
		off = 0;
	if (o->n_span > r->span_floor) {
		last = &o->span[o->n_span - 1];
		if (last->origin == src && last->flags == flags &&
		    (!src || flags & AX_SPAN_TRANSFORMED || last->off + (last->end - last->begin) == off)) {
			last->end += n;
			return 0;
		}
	}
	if (o->n_span == o->cap_span && !AX_GROW(o->span, o->n_span, o->cap_span))
		return axj_oom(r);
	o->span[o->n_span++] = (struct ax_span){o->b.n - n, o->b.n, src, off, flags};
	return 0;
}

static inline int put_span(struct axj *r, const char *p, size_t n, const struct ax_val *src, size_t off, unsigned flags)
{
	struct ax_buf *b = &r->rope->b;

	if (n == 0)
		return 0;
	if (n > AX_JINJA_OUTPUT || b->n > AX_JINJA_OUTPUT - n)
		return axj_limit(r, "too much text");
	if (b->oom || b->cap - b->n <= n) {
		ax_buf_add(b, p, n);
		if (b->oom)
			return axj_oom(r);
	} else {
		memcpy(b->p + b->n, p, n);
		b->n += n;
		b->p[b->n] = '\0';
	}
	return add_span(r, n, src, off, flags);
}

int axj_put_span(struct axj *r, const char *p, size_t n, const struct ax_val *src, size_t off, unsigned flags)
{
	return put_span(r, p, n, src, off, flags);
}

int axj_put(struct axj *r, const char *p, size_t n)
{
	return axj_put_span(r, p, n, NULL, 0, 0);
}

int axj_putz(struct axj *r, const char *s)
{
	return axj_put(r, s, strlen(s));
}

int axj_put_sub(struct axj *r, const struct axj_str *s, size_t from, size_t to)
{
	while (from < to) {
		struct ax_span x = clip(span_at(s, from), from, to);

		AX_TRY(axj_put_span(r, s->p + x.begin, x.end - x.begin, x.origin, x.off, x.flags));
		from = x.end;
	}
	return 0;
}

int axj_put_str(struct axj *r, const struct axj_str *s)
{
	if (!s->span)
		return put_span(r, s->p, s->n, s->src, s->off, s->flags);
	for (size_t i = 0; i < s->n_span; i++) {
		const struct ax_span *x = &s->span[i];

		AX_TRY(axj_put_span(r, s->p + x->begin, x->end - x->begin, x->origin, x->off, x->flags));
	}
	return 0;
}

void axj_mark(struct axj *r, size_t begin, const struct ax_val *src)
{
	struct ax_rope *o = r->rope;
	unsigned flags = AX_SPAN_TRANSFORMED | (r->gen ? AX_SPAN_GENERATION : 0);

	if (!src || begin == o->b.n)
		return;
	while (o->n_span && o->span[o->n_span - 1].begin >= begin)
		o->n_span--;
	if (o->n_span && o->span[o->n_span - 1].end > begin)
		o->span[o->n_span - 1].end = begin;
	/* There is room: the text from `begin` on had a span of its own or shares the last one, which a growth made room for. */
	if (AX_GROW(o->span, o->n_span, o->cap_span))
		o->span[o->n_span++] = (struct ax_span){begin, o->b.n, src, 0, flags};
	else
		o->b.oom = true;
}

void axj_capture_begin(struct axj *r, struct axj_capture *c)
{
	c->b = r->rope->b.n;
	c->span = r->rope->n_span;
	c->floor = r->span_floor;
	r->span_floor = c->span;
}

void axj_capture_drop(struct axj *r, struct axj_capture *c)
{
	struct ax_rope *o = r->rope;

	o->b.n = c->b;
	o->n_span = c->span;
	r->span_floor = c->floor;
}

static int take_spans(struct axj *r, struct axj_str *s, const struct axj_capture *c)
{
	size_t n = r->rope->n_span - c->span;
	const struct ax_span *x;

	if (n == 0)
		return 0;
	x = r->rope->span + c->span;
	if (n == 1) {
		s->src = x->origin;
		s->off = x->off;
		s->flags = x->flags;
		return 0;
	}
	s->span = ax_arena_alloc(r->mem, n * sizeof(*s->span));
	if (!s->span)
		return axj_oom(r);
	s->n_span = n;
	for (size_t i = 0; i < n; i++) {
		s->span[i] = x[i];
		s->span[i].begin -= c->b;
		s->span[i].end -= c->b;
	}
	return 0;
}

int axj_capture_end(struct axj *r, struct axj_capture *c, struct axj_val *out)
{
	size_t n = r->rope->b.n - c->b;
	char *p = ax_arena_alloc(r->mem, n + 1);
	int rc;

	if (!p || r->rope->b.oom)
		return axj_oom(r);
	if (n)
		memcpy(p, r->rope->b.p + c->b, n);
	p[n] = '\0';
	rc = axj_str(r, p, n, out);
	if (!rc)
		rc = take_spans(r, out->u.s, c);
	axj_capture_drop(r, c);
	return rc ? rc : axj_step(r, n >> 6);
}

int axj_made_from(struct axj *r, const char *p, size_t n, struct axj_val v, struct axj_val *out)
{
	struct axj_capture c;

	axj_capture_begin(r, &c);
	AX_TRY(axj_put(r, p, n));
	axj_mark(r, c.b, axj_origin(r, v));
	return axj_capture_end(r, &c, out);
}

int axj_put_escaped(struct axj *r, const struct axj_str *s)
{
	static const char special[] = "&<>'\"";
	static const char *const entity[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
	size_t from = 0;

	for (size_t i = 0; i < s->n; i++) {
		const char *hit = s->p[i] ? strchr(special, s->p[i]) : NULL;
		struct ax_span x;
		const char *e;

		if (!hit)
			continue;
		e = entity[hit - special];
		x = span_at(s, i);
		AX_TRY(axj_put_sub(r, s, from, i));
		AX_TRY(axj_put_span(r, e, strlen(e), x.origin, 0, x.flags | (x.origin ? AX_SPAN_TRANSFORMED : 0)));
		from = i + 1;
	}
	return axj_put_sub(r, s, from, s->n);
}

int axj_add_str(struct axj *r, struct axj_val x, struct axj_val y, struct axj_val *out)
{
	bool markup = x.u.s->markup || y.u.s->markup;
	struct axj_capture c;

	axj_capture_begin(r, &c);
	if (markup && !x.u.s->markup)
		AX_TRY(axj_put_escaped(r, x.u.s));
	else
		AX_TRY(axj_put_str(r, x.u.s));
	if (markup && !y.u.s->markup)
		AX_TRY(axj_put_escaped(r, y.u.s));
	else
		AX_TRY(axj_put_str(r, y.u.s));
	AX_TRY(axj_capture_end(r, &c, out));
	out->u.s->markup = markup;
	return 0;
}
