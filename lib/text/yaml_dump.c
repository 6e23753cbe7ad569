/*
 * PyYAML's yaml.dump. libyaml's emitter is not its equal: it folds double quoted text elsewhere. Text that is not
 * printable ASCII is always double quoted, so the two other styles know single bytes only.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"
#include "text/yaml.h"

#define WIDTH	   80
#define STEP	   2
#define SIMPLE_KEY 123 /* characters: longer keys are written with "? " */

struct dump {
	struct ax_buf *b;
	long column;
	int indent;	 /* -1: before the root */
	bool space;	 /* a separator is written already */
	bool at_indent;	 /* only indentation and indicators stand on the line */
	bool open_ended; /* a plain root needs a mark behind it */
	bool ok;
};

struct scalar {
	const char *s;
	size_t n;
	bool empty, multiline, plain, single;
};

static void put(struct dump *d, const char *p, size_t n)
{
	ax_buf_add(d->b, p, n);
	d->column += (long)n;
}

static void line_break(struct dump *d)
{
	ax_buf_addc(d->b, '\n');
	d->space = d->at_indent = true;
	d->column = 0;
}

static void to_indent(struct dump *d)
{
	long indent = d->indent < 0 ? 0 : d->indent;

	if (!d->at_indent || d->column > indent || (d->column == indent && !d->space))
		line_break(d);
	if (d->column < indent)
		d->space = true;
	while (d->column < indent)
		put(d, " ", 1);
}

static void indicator(struct dump *d, const char *s, bool need_space, bool keeps_indent)
{
	if (need_space && !d->space)
		put(d, " ", 1);
	d->space = false;
	d->at_indent = d->at_indent && keeps_indent;
	put(d, s, strlen(s));
}

/* --- what a scalar looks like --- */

static bool digits(const char **p, const char *end, int least, int most)
{
	int n = 0;

	while (*p < end && n < most && isdigit((unsigned char)**p)) {
		(*p)++;
		n++;
	}
	return n >= least;
}

static bool one_of(const char **p, const char *end, const char *set)
{
	if (*p == end || !**p || !strchr(set, **p))
		return false;
	(*p)++;
	return true;
}

/* A time zone with the white space before it, or nothing. */
static bool is_zone(const char *p, const char *end)
{
	if (p == end)
		return true;
	while (one_of(&p, end, " \t"))
		;
	if (one_of(&p, end, "Z"))
		return p == end;
	if (!one_of(&p, end, "+-") || !digits(&p, end, 1, 2))
		return false;
	return p == end || (one_of(&p, end, ":") && digits(&p, end, 2, 2) && p == end);
}

/* YAML 1.1's timestamps: 2001-12-14, 2001-12-14t21:59:43.10-05:00, 2001-1-2 3:04:05 */
static bool is_time(const char *p, size_t n)
{
	const char *end = p + n, *date = p;

	if (!digits(&p, end, 4, 4) || !one_of(&p, end, "-") || !digits(&p, end, 1, 2) || !one_of(&p, end, "-") ||
	    !digits(&p, end, 1, 2))
		return false;
	if (p == end)
		return p - date == 10;
	if (!one_of(&p, end, "Tt")) {
		if (!one_of(&p, end, " \t"))
			return false;
		while (one_of(&p, end, " \t"))
			;
	}
	if (!digits(&p, end, 1, 2) || !one_of(&p, end, ":") || !digits(&p, end, 2, 2) || !one_of(&p, end, ":") ||
	    !digits(&p, end, 2, 2))
		return false;
	if (one_of(&p, end, "."))
		digits(&p, end, 0, INT32_MAX);
	return is_zone(p, end);
}

/* Would the text, without quotes, be read as a string? */
static bool stays_string(const char *s, size_t n)
{
	const struct ax_val *v;
	struct ax_arena a;
	bool str;

	if ((n == 1 && *s == '=') || (n == 2 && !memcmp(s, "<<", 2)) || is_time(s, n))
		return false;
	ax_arena_init(&a, 0);
	v = ax_yaml_plain(&a, s, n);
	str = v && v->type == AX_STR;
	ax_arena_release(&a);
	return str;
}

static bool is_blank(const char *s, size_t n, size_t i)
{
	static const char *const wide[] = {"\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};

	if (i >= n || !s[i] || strchr(" \t\r\n", s[i]))
		return true;
	for (int k = 0; k < 3; k++)
		if (n - i >= strlen(wide[k]) && !memcmp(s + i, wide[k], strlen(wide[k])))
			return true;
	return false;
}

/* Would the character at i begin something else than text? */
static bool is_mark(const char *s, size_t n, size_t i, bool first, bool after_blank)
{
	bool before_blank = is_blank(s, n, i + 1);

	if (first && (strchr("#,[]{}&*!|>'\"%@`", s[i]) || (strchr("?-", s[i]) && before_blank)))
		return true;
	return (s[i] == ':' && before_blank) || (s[i] == '#' && after_blank);
}

static struct scalar look(const char *s, size_t n)
{
	struct scalar x = {.s = s, .n = n, .empty = n == 0};
	bool marks = n >= 3 && (!memcmp(s, "---", 3) || !memcmp(s, "...", 3)), special = false, space_at_break = false;
	bool edge = n && (strchr(" \n", s[0]) || strchr(" \n", s[n - 1]));

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\n')
			x.multiline = true;
		else if (s[i] < 0x20 || s[i] == 0x7f)
			special = true;
		if (s[i] && s[i] > 0 && is_mark(s, n, i, i == 0, i > 0 && is_blank(s, n, i - 1)))
			marks = true;
		if (i && ((s[i] == ' ' && s[i - 1] == '\n') || (s[i] == '\n' && s[i - 1] == ' ')))
			space_at_break = true;
		if (is_blank(s, n, i) && s[i] && !strchr(" \t\r\n", s[i]))
			x.multiline = true; /* a wide line break */
	}
	x.single = !special && !space_at_break;
	x.plain = x.single && !edge && !marks && !x.multiline;
	return x;
}

/* --- the three styles --- */

static void write_plain(struct dump *d, const struct scalar *x, bool split)
{
	bool spaces = false;
	size_t start = 0;

	if (!d->space)
		put(d, " ", 1);
	d->space = d->at_indent = false;
	for (size_t end = 0; end <= x->n; end++) {
		bool is_space = end < x->n && x->s[end] == ' ';

		if (spaces == is_space && end < x->n)
			continue;
		if (spaces && start + 1 == end && d->column > WIDTH && split) {
			to_indent(d);
			d->space = d->at_indent = false;
		} else {
			put(d, x->s + start, end - start);
		}
		start = end;
		spaces = is_space;
	}
}

/* A run of line breaks: one more than there are, as a single one is folded into a space. */
static void write_breaks(struct dump *d, size_t n)
{
	line_break(d);
	while (n--)
		line_break(d);
	to_indent(d);
}

static void write_single(struct dump *d, const struct scalar *x, bool split)
{
	size_t start = 0, end;

	indicator(d, "'", true, false);
	for (; start < x->n; start = end) {
		char c = x->s[start];

		for (end = start + 1; c != '\'' && end < x->n; end++)
			if (c == ' ' || c == '\n' ? x->s[end] != c : strchr(" \n'", x->s[end]) != NULL)
				break;
		if (c == '\n')
			write_breaks(d, end - start);
		else if (c == ' ' && end - start == 1 && d->column > WIDTH && split && start && end < x->n)
			to_indent(d);
		else if (c == '\'')
			put(d, "''", 2);
		else
			put(d, x->s + start, end - start);
	}
	d->space = false; /* a fold leaves it set, and nothing after it cares but the closing quote */
	indicator(d, "'", false, false);
}

static void put_escaped(struct dump *d, uint32_t c)
{
	static const char from[] = "\a\b\t\n\v\f\r\x1b\"\\", to[] = "abtnvfre\"\\";
	const char *p = c && c < 0x80 ? strchr(from, (int)c) : NULL;
	char text[12];

	if (c == 0)
		strcpy(text, "\\0");
	else if (p)
		snprintf(text, sizeof(text), "\\%c", to[p - from]);
	else if (c == 0x85 || c == 0xa0)
		strcpy(text, c == 0x85 ? "\\N" : "\\_");
	else if (c == 0x2028 || c == 0x2029)
		strcpy(text, c == 0x2028 ? "\\L" : "\\P");
	else
		snprintf(text, sizeof(text), c <= 0xff ? "\\x%02X" : c <= 0xffff ? "\\u%04X" : "\\U%08X", (unsigned)c);
	put(d, text, strlen(text));
}

static void write_double(struct dump *d, const struct scalar *x, bool split)
{
	size_t start = 0, len;

	indicator(d, "\"", true, false);
	for (size_t end = 0; end < x->n; end += len) {
		uint32_t c = ax_utf8_get((const unsigned char *)x->s + end, &len);
		bool escape = c < 0x20 || c > 0x7e || c == '"' || c == '\\';

		if (escape) {
			put(d, x->s + start, end - start);
			put_escaped(d, c);
			start = end + len;
		}
		if (end == 0 || end + len >= x->n || !(c == ' ' || start >= end) || !split ||
		    d->column + (start < end   ? (long)(end - start)
				 : start > end ? -1
					       : 0) <=
			WIDTH)
			continue;
		if (start < end) {
			put(d, x->s + start, end - start);
			start = end;
		}
		put(d, "\\", 1);
		to_indent(d);
		d->space = d->at_indent = false;
		if (x->s[start] == ' ')
			put(d, "\\", 1);
	}
	put(d, x->s + start, x->n - start);
	indicator(d, "\"", false, false);
}

/* --- nodes --- */

static void string(struct dump *d, const struct scalar *x, bool key)
{
	int indent = d->indent;

	d->indent = indent < 0 ? STEP : indent + STEP;
	if (x->plain && stays_string(x->s, x->n)) {
		d->open_ended = indent < 0;
		write_plain(d, x, !key);
	} else if (x->single && !(key && x->multiline)) {
		write_single(d, x, !key);
	} else {
		write_double(d, x, !key);
	}
	d->indent = indent;
}

/* Null, booleans, numbers and empty collections, as ax_yaml_write writes them. */
static void other(struct dump *d, const struct ax_val *v)
{
	struct ax_buf b = AX_BUF_INIT;

	ax_yaml_write(&b, v);
	if (b.oom || b.n == 0) {
		d->ok = false;
	} else {
		b.p[b.n - 1] = '\0';
		d->open_ended = d->indent < 0 && !strchr("[{", *b.p);
		indicator(d, b.p, true, false);
	}
	ax_buf_release(&b);
}

static int by_key(const void *x, const void *y)
{
	const struct ax_pair *a = x, *b = y;
	int c = memcmp(a->key, b->key, a->key_n < b->key_n ? a->key_n : b->key_n);

	return c ? c : (a->key_n > b->key_n) - (a->key_n < b->key_n);
}

static size_t count_chars(const char *s, size_t n)
{
	size_t chars = 0;

	for (size_t i = 0; i < n; i++)
		chars += (s[i] & 0xc0) != 0x80;
	return chars;
}

static void node(struct dump *d, const struct ax_val *v, bool value, int depth);

static void pair(struct dump *d, const struct ax_pair *p, int depth)
{
	struct scalar key = look(p->key, p->key_n);

	to_indent(d);
	if (!key.empty && !key.multiline && count_chars(p->key, p->key_n) < SIMPLE_KEY) {
		string(d, &key, true);
		indicator(d, ":", false, false);
	} else {
		indicator(d, "?", true, true);
		string(d, &key, false);
		to_indent(d);
		indicator(d, ":", true, true);
	}
	node(d, p->val, true, depth);
}

static void map(struct dump *d, const struct ax_val *v, int depth)
{
	struct ax_pair *sorted = ax_calloc(v->n, sizeof(*sorted));
	int indent = d->indent;

	if (!sorted) {
		d->ok = false;
		return;
	}
	memcpy(sorted, v->u.pair, v->n * sizeof(*sorted));
	qsort(sorted, v->n, sizeof(*sorted), by_key);
	d->indent = indent < 0 ? 0 : indent + STEP;
	for (size_t i = 0; i < v->n; i++)
		pair(d, &sorted[i], depth + 1);
	d->indent = indent;
	ax_free(sorted);
}

static void list(struct dump *d, const struct ax_val *v, bool value, int depth)
{
	int indent = d->indent;

	if (indent < 0)
		d->indent = 0;
	else if (!value || d->at_indent)
		d->indent = indent + STEP;
	for (size_t i = 0; i < v->n; i++) {
		to_indent(d);
		indicator(d, "-", true, true);
		node(d, v->u.item[i], false, depth + 1);
	}
	d->indent = indent;
}

static void node(struct dump *d, const struct ax_val *v, bool value, int depth)
{
	struct scalar x;

	if (depth > AX_YAML_DEPTH) {
		d->ok = false;
	} else if (v && v->n && v->type == AX_MAP) {
		map(d, v, depth);
	} else if (v && v->n && v->type == AX_LIST) {
		list(d, v, value, depth);
	} else if (v && v->type == AX_STR && !v->number) {
		x = look(v->u.s, v->n);
		string(d, &x, false);
	} else {
		other(d, v);
	}
}

bool ax_yaml_dump(struct ax_buf *b, const struct ax_val *v)
{
	struct dump d = {.b = b, .indent = -1, .space = true, .at_indent = true, .ok = true};

	node(&d, v, false, 0);
	to_indent(&d);
	if (d.open_ended)
		ax_buf_adds(b, "...\n");
	return d.ok && !b->oom;
}
