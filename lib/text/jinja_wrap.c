/* The filter wordwrap: Python's textwrap.wrap of each line. */
#include <math.h>
#include <string.h>

#include "text/jinja_case.h"
#include "text/jinja_lib.h"

struct chunk {
	size_t from, to, n; /* bytes of the text; characters */
};

struct wrap {
	struct axj *r;
	const struct axj_str *s;
	double width; /* Python takes a float as well, as long as no word is broken */
	bool is_int, break_words, break_hyphens, split_hyphens;
	const struct axj_str *sep; /* NULL: a newline */
	struct chunk *chunk; /* of the line at hand, and the next one to write */
	size_t n, at;
};

/* Characters of a line, for looks ahead and behind. */
struct line {
	const uint32_t *c;
	size_t n;
};

static bool is_blank(uint32_t c)
{
	return (c >= 9 && c <= 13) || c == ' ';
}

static bool is_word(uint32_t c)
{
	return c == '_' || axj_is(c, AXJ_ALPHA | AXJ_DECIMAL | AXJ_DIGIT | AXJ_NUMERIC);
}

static bool is_letter(uint32_t c)
{
	return is_word(c) && !axj_is(c, AXJ_DECIMAL);
}

static bool is_punctuated(uint32_t c)
{
	return is_word(c) || (c && c < 128 && strchr("!\"'&.,?", (int)c));
}

static uint32_t at(const struct line *l, size_t i)
{
	return i < l->n ? l->c[i] : ' '; /* no part of a word; also before the start, where i wraps around */
}

/* End of the dashes at i if these are two or more with a word behind them, else i. */
static size_t dash_end(const struct line *l, size_t i)
{
	size_t k = i;

	while (at(l, k) == '-')
		k++;
	return k - i >= 2 && is_word(at(l, k)) ? k : i;
}

/* Is the hyphen at j within a word that may be broken behind it? */
static bool may_break(const struct line *l, size_t j)
{
	bool before = is_letter(at(l, j - 1)) && (is_letter(at(l, j - 2)) || (at(l, j - 2) == '-' && is_letter(at(l, j - 3))));

	return before && is_letter(at(l, j + 1)) && (is_letter(at(l, j + 2)) || (at(l, j + 2) == '-' && is_letter(at(l, j + 3))));
}

/* End of the indivisible piece at i. */
static size_t piece_end(const struct line *l, size_t i, bool hyphens)
{
	bool blank = is_blank(l->c[i]);
	size_t j = i + 1;

	if (blank || !hyphens) {
		while (j < l->n && is_blank(l->c[j]) == blank)
			j++;
		return j;
	}
	if (is_punctuated(at(l, i - 1)) && dash_end(l, i) > i)
		return dash_end(l, i);
	for (; j < l->n && !is_blank(l->c[j]); j++) {
		if (l->c[j] == '-' && may_break(l, j))
			return j + 1;
		if (is_punctuated(l->c[j - 1]) && dash_end(l, j) > j)
			return j;
	}
	return j;
}

static int split(struct wrap *w, size_t from, size_t to)
{
	size_t bytes, n = 0, len;
	uint32_t *c = ax_mul_size(to - from + 1, sizeof(*c), &bytes) ? ax_arena_alloc(w->r->mem, bytes) : NULL;
	size_t *off = ax_mul_size(to - from + 1, sizeof(*off), &bytes) ? ax_arena_alloc(w->r->mem, bytes) : NULL;
	struct line l = {c, 0};

	w->chunk = ax_mul_size(to - from + 1, sizeof(*w->chunk), &bytes) ? ax_arena_alloc(w->r->mem, bytes) : NULL;
	if (!c || !off || !w->chunk)
		return axj_oom(w->r);
	for (size_t i = from; i < to; i += len, n++) {
		off[n] = i;
		c[n] = axj_get_char(w->s->p + i, to - i, &len);
	}
	off[n] = to;
	l.n = n;
	w->n = w->at = 0;
	for (size_t i = 0, end; i < n; i = end) {
		end = piece_end(&l, i, w->split_hyphens);
		w->chunk[w->n++] = (struct chunk){off[i], off[end], end - i};
	}
	return axj_step(w->r, n);
}

static bool only_space(const struct wrap *w, const struct chunk *c)
{
	size_t len;

	for (size_t i = c->from; i < c->to; i += len)
		if (!axj_is_space(axj_get_char(w->s->p + i, c->to - i, &len)))
			return false;
	return true;
}

static size_t skip_chars(const struct wrap *w, size_t i, size_t n)
{
	size_t len;

	for (; n; n--, i += len)
		axj_get_char(w->s->p + i, w->s->n - i, &len);
	return i;
}

/* Of a word too long for any line: how many characters go on this one, where `left` have room. */
static size_t part_of(const struct wrap *w, const struct chunk *c, size_t left)
{
	const char *p = w->s->p + c->from;
	size_t end = skip_chars(w, c->from, left) - c->from, hyphen = 0;
	bool other = false;

	if (!w->break_hyphens)
		return left;
	for (size_t i = 0; i < end; i++) {
		if (p[i] == '-' && i && other)
			hyphen = i + 1;
		other = other || p[i] != '-';
	}
	if (!hyphen)
		return left;
	left = 0;
	for (size_t i = 0; i < hyphen; i++)
		left += ((unsigned char)p[i] & 0xc0) != 0x80;
	return left;
}

static int put_separator(struct wrap *w)
{
	return w->sep ? axj_put_str(w->r, w->sep) : axj_put(w->r, "\n", 1);
}

static int put_text(struct wrap *w, size_t from, size_t to)
{
	struct axj_val part;

	if (!w->sep || !w->sep->markup)
		return axj_put_sub(w->r, w->s, from, to);
	AX_TRY(axj_cut(w->r, w->s, from, to, &part)); /* joined by Markup, which escapes */
	part.u.s->markup = false;
	return axj_put_escaped(w->r, part.u.s);
}

/* Take the start of the chunk at w->at, which is too long for any line, for one with `used` characters. */
static int break_word(struct wrap *w, double used, struct chunk *part)
{
	struct chunk *c = &w->chunk[w->at];

	if (!w->is_int && w->width >= 1)
		return axj_raise(w->r, "TypeError", "slice indices must be integers or None or have an __index__ method");
	part->from = c->from;
	part->n = part_of(w, c, w->width < 1 ? 1 : (size_t)(w->width - used));
	part->to = skip_chars(w, c->from, part->n);
	c->from = part->to;
	c->n -= part->n;
	return axj_step(w->r, 1);
}

/* The next line of the result: of no pieces there is none. */
static int put_line(struct wrap *w, size_t *n_line)
{
	struct chunk *c = w->chunk, last;
	size_t begin, n_piece, from;
	double used = 0;

	if (*n_line && only_space(w, &c[w->at]))
		w->at++;
	if (w->at == w->n)
		return 0;
	begin = w->at;
	from = c[begin].from;
	for (; w->at < w->n && used + (double)c[w->at].n <= w->width; w->at++)
		used += (double)c[w->at].n;
	n_piece = w->at - begin;
	last = c[n_piece ? w->at - 1 : w->at];
	if (w->at < w->n && (double)c[w->at].n > w->width && (w->break_words || !n_piece)) {
		n_piece++;
		if (w->break_words)
			AX_TRY(break_word(w, used, &last));
		else
			w->at++;
	}
	if (n_piece && only_space(w, &last)) {
		n_piece--;
		last.to = last.from;
	}
	if (!n_piece)
		return 0;
	if ((*n_line)++)
		AX_TRY(put_separator(w));
	return put_text(w, from, last.to);
}

static int wrap_line(struct wrap *w, struct axj_val width, size_t from, size_t to)
{
	size_t n_line = 0;
	bool none = true;

	AX_TRY(axj_order(w->r, AXJ_LE, width, axj_int(0), &none));
	if (none)
		return axj_raise(w->r, "ValueError", "invalid width %s (must be > 0)", axj_repr_text(w->r, width));
	if (!axj_is_num(width) || isnan(axj_as_float(width)))
		return axj_limit(w->r, "a width that is no number"); /* Python never ends */
	w->width = axj_as_float(width);
	w->is_int = width.t != AXJ_FLOAT;
	AX_TRY(split(w, from, to));
	while (w->at < w->n)
		AX_TRY(put_line(w, &n_line));
	return 0;
}

AXJ_BUILTIN(axj_f_wordwrap)
{
	struct wrap w = {.r = r, .break_words = !a[1].t || axj_truth(a[1]), .break_hyphens = !a[3].t || axj_truth(a[3])};
	struct axj_capture c;

	w.split_hyphens = !a[3].t || (a[3].t == AXJ_BOOL && a[3].u.b);
	if (self.t == AXJ_UNDEF)
		return axj_raise_undef(r, self);
	if (self.t != AXJ_STR)
		return axj_raise(r, "AttributeError", "'%s' object has no attribute 'splitlines'", axj_type_name(self));
	if (a[2].t == AXJ_UNDEF)
		return axj_raise_undef(r, a[2]);
	if (a[2].t && a[2].t != AXJ_NONE && a[2].t != AXJ_STR)
		return axj_raise(r, "AttributeError", "'%s' object has no attribute 'join'", axj_type_name(a[2]));
	w.s = self.u.s;
	w.sep = a[2].t == AXJ_STR ? a[2].u.s : NULL;
	axj_capture_begin(r, &c);
	for (size_t from = 0, next; from < w.s->n; from = next) {
		size_t end = axj_line_end(w.s, from, &next);

		if (from)
			AX_TRY(put_separator(&w));
		AX_TRY(wrap_line(&w, a[0].t ? a[0] : axj_int(79), from, end));
	}
	AX_TRY(axj_capture_end(r, &c, out));
	out->u.s->markup = w.sep && w.sep->markup;
	return 0;
}
