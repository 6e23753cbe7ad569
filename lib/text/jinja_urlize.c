/* The filter urlize: links around what looks like a URL or an address of mail, by the patterns of jinja2's utils.urlize. */
#include <string.h>

#include "text/jinja_case.h"
#include "text/jinja_lib.h"

struct text {
	const char *p;
	size_t n;
};

struct urlize {
	struct axj *r;
	struct axj_val limit, rel, target; /* rel and target: ABSENT for none */
	struct axj_list *schemes;
};

static uint32_t char_at(struct text t, size_t i, size_t *len)
{
	*len = 0;
	return i < t.n ? axj_get_char(t.p + i, t.n - i, len) : 0;
}

static bool is_word(uint32_t c)
{
	return c == '_' || axj_is(c, AXJ_ALPHA | AXJ_DECIMAL | AXJ_DIGIT | AXJ_NUMERIC);
}

/* The letter that a pattern without case takes c for: four characters beyond ASCII are letters to it too. */
static char folded(uint32_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c + 32);
	return c == 0x17f ? 's' : c == 0x212a ? 'k' : c == 0x130 || c == 0x131 ? 'i' : c < 128 ? (char)c : 0;
}

/* Behind `what` (lower case) at i, or i. */
static size_t take(struct text t, size_t i, const char *what)
{
	size_t at = i, len;

	for (; *what; what++, at += len)
		if (folded(char_at(t, at, &len)) != *what || !len)
			return i;
	return at;
}

/* Behind at most `most` decimal digits at i. */
static size_t digits(struct text t, size_t i, int most)
{
	size_t len;

	for (; most && axj_is(char_at(t, i, &len), AXJ_DECIMAL) && len; most--)
		i += len;
	return i;
}

static size_t hex_digits(struct text t, size_t i)
{
	size_t len;

	for (int k = 0; k < 4; k++, i += len) {
		uint32_t c = char_at(t, i, &len);
		char f = folded(c);

		if (!len || !(axj_is(c, AXJ_DECIMAL) || (f >= 'a' && f <= 'f')))
			return i;
	}
	return i;
}

/* Port and path from i to the end. */
static bool is_rest(struct text t, size_t i)
{
	size_t len;

	if (i < t.n && t.p[i] == ':') {
		size_t end = digits(t, i + 1, 5);

		if (end == i + 1)
			return false;
		i = end;
	}
	for (bool first = true; i < t.n; i += len, first = false) {
		uint32_t c = char_at(t, i, &len);

		if (first ? c != '/' && c != '?' && c != '#' : axj_is_space(c))
			return false;
	}
	return true;
}

/* End of the characters of a host name from i; *last: where what is behind its last point begins. */
static size_t host_end(struct text t, size_t i, size_t *last)
{
	size_t len;

	*last = i;
	for (; i < t.n; i += len) {
		uint32_t c = char_at(t, i, &len);

		if (c == '.')
			*last = i + 1;
		else if (!is_word(c) && c != '%' && c != '-')
			break;
	}
	return i;
}

/* Do all labels of [from, to), each ended by a point, have `least` to `most` characters? */
static bool are_labels(struct text t, size_t from, size_t to, size_t least, size_t most)
{
	size_t n = 0, len;

	for (; from < to; from += len) {
		if (char_at(t, from, &len) != '.') {
			n++;
			continue;
		}
		if (n < least || n > most)
			return false;
		n = 0;
	}
	return true;
}

/* A top level domain [i, end): letters, or an encoded name. */
static bool is_top(struct text t, size_t i, size_t end)
{
	size_t encoded = take(t, i, "xn--"), n = 0, len;
	bool letters = true, words = true;

	for (size_t k = i; k < end; k += len, n++) {
		char f = folded(char_at(t, k, &len));

		letters = letters && f >= 'a' && f <= 'z';
	}
	if (letters && n >= 2 && n <= 63)
		return true;
	if (encoded == i || encoded > end || n < 6 || n > 63)
		return false;
	for (size_t k = encoded; k < end; k += len) {
		uint32_t c = char_at(t, k, &len);

		words = words && (is_word(c) || c == '%');
	}
	return words;
}

static bool is_ipv4(struct text t, size_t i, size_t end)
{
	for (int k = 0; k < 4; k++) {
		size_t next = digits(t, i, 3);

		if (next == i || (k < 3 && (next >= t.n || t.p[next] != '.')))
			return false;
		i = next + (k < 3);
	}
	return i == end;
}

/* Behind "[...]" at i, or i. */
static size_t ipv6_end(struct text t, size_t i)
{
	size_t at = i + 1;

	if (i >= t.n || t.p[i] != '[')
		return i;
	for (int k = 0; k < 8; k++) {
		at = hex_digits(t, at);
		if (at < t.n && t.p[at] == ':')
			at++;
		else if (k < 2)
			return i;
	}
	return at < t.n && t.p[at] == ']' ? at + 1 : i;
}

static size_t scheme_end(struct text t)
{
	size_t i = take(t, 0, "https://");

	return i ? i : take(t, 0, "http://");
}

static bool is_http(struct text t)
{
	static const char *const tops[] = {"com", "net", "int", "edu", "gov", "org", "info", "mil"};
	size_t scheme = scheme_end(t), start = scheme ? scheme : take(t, 0, "www."), last, end;

	if (start) {
		end = host_end(t, start, &last);
		if (is_top(t, last, end) && are_labels(t, start, last, 1, SIZE_MAX) && is_rest(t, end))
			return true;
	}
	end = host_end(t, 0, &last);
	for (size_t i = 0; last && i < sizeof(tops) / sizeof(tops[0]); i++)
		if (take(t, last, tops[i]) == end && end > last && are_labels(t, 0, last, 2, 63) && is_rest(t, end))
			return true;
	if (!scheme)
		return false;
	end = host_end(t, scheme, &last);
	if (is_ipv4(t, scheme, end) && is_rest(t, end))
		return true;
	end = ipv6_end(t, scheme);
	return end > scheme && is_rest(t, end);
}

static bool is_email(struct text t)
{
	size_t at = t.n, last = 0, len;

	for (size_t i = 0; i < t.n; i += len) {
		uint32_t c = char_at(t, i, &len);

		if (axj_is_space(c))
			return false;
		at = c == '@' ? i : at;
	}
	if (at == 0 || at == t.n || !is_word(char_at(t, at + 1, &len)))
		return false;
	for (size_t i = at + 1; i < t.n; i += len) {
		uint32_t c = char_at(t, i, &len);

		if (c == '.')
			last = i;
		else if (!is_word(c) && (c != '-'))
			return false;
		else if (c == '-')
			last = i; /* a hyphen behind the last point: no end */
	}
	return last && t.p[last] == '.' && last + 1 < t.n;
}

static bool starts(struct text t, const char *s)
{
	return t.n >= strlen(s) && memcmp(t.p, s, strlen(s)) == 0;
}

static size_t count(struct text t, const char *what)
{
	size_t n = 0, len = strlen(what);

	for (size_t i = 0; i + len <= t.n;) {
		bool hit = memcmp(t.p + i, what, len) == 0;

		n += hit;
		i += hit ? len : 1;
	}
	return n;
}

static int put(struct urlize *u, struct text t)
{
	return axj_put(u->r, t.p, t.n);
}

/* The text of a link, no longer than the limit. */
static int put_trimmed(struct urlize *u, struct text t)
{
	struct axj_val v, part, len;
	bool more;

	if (!u->limit.t || u->limit.t == AXJ_NONE)
		return put(u, t);
	AX_TRY(axj_str(u->r, t.p, t.n, &v));
	len = axj_int((int64_t)axj_len_chars(v.u.s));
	AX_TRY(axj_order(u->r, AXJ_GT, len, u->limit, &more));
	if (!more)
		return put(u, t);
	AX_TRY(axj_slice(u->r, v, axj_none, u->limit, axj_none, &part));
	AX_TRY(axj_put_val(u->r, part));
	return axj_putz(u->r, "...");
}

static int put_quoted(struct urlize *u, const char *name, struct axj_val v)
{
	struct axj_val s;

	if (!v.t)
		return 0;
	AX_TRY(axj_putz(u->r, name));
	AX_TRY(axj_f_escape(u->r, v, NULL, NULL, &s));
	AX_TRY(axj_put_val(u->r, s));
	return axj_put(u->r, "\"", 1);
}

static int put_link(struct urlize *u, const char *before, struct text t, bool attributes, bool trimmed, struct text shown)
{
	AX_TRY(axj_putz(u->r, "<a href=\""));
	AX_TRY(axj_putz(u->r, before));
	AX_TRY(put(u, t));
	AX_TRY(axj_put(u->r, "\"", 1));
	if (attributes) {
		AX_TRY(put_quoted(u, " rel=\"", u->rel));
		AX_TRY(put_quoted(u, " target=\"", u->target));
	}
	AX_TRY(axj_put(u->r, ">", 1));
	AX_TRY(trimmed ? put_trimmed(u, shown) : put(u, shown));
	return axj_putz(u->r, "</a>");
}

static int put_middle(struct urlize *u, struct text t)
{
	struct text mail = {t.p + 7, t.n > 7 ? t.n - 7 : 0};

	if (is_http(t))
		return put_link(u, starts(t, "https://") || starts(t, "http://") ? "" : "https://", t, true, true, t);
	if (starts(t, "mailto:") && is_email(mail))
		return put_link(u, "", t, false, false, mail);
	if (t.n && *t.p != '@' && !starts(t, "www.") && !memchr(t.p, ':', t.n) && is_email(t))
		return put_link(u, "mailto:", t, false, false, t);
	for (size_t i = 0; u->schemes && i < u->schemes->n; i++) {
		const struct axj_str *s = u->schemes->v[i].u.s;

		if (t.n > s->n && memcmp(t.p, s->p, s->n) == 0)
			return put_link(u, "", t, true, false, t);
	}
	return put(u, t);
}

/* How many bytes at i are one of the marks that a text may stand in. */
static size_t opening(struct text t, size_t i)
{
	struct text left = {t.p + i, t.n - i};

	return left.n && (*left.p == '(' || *left.p == '<') ? 1 : starts(left, "&lt;") ? 4 : 0;
}

static size_t closing(struct text t, size_t end)
{
	if (end && strchr(")>.,\n", t.p[end - 1]) && t.p[end - 1])
		return 1;
	return end >= 4 && memcmp(t.p + end - 4, "&gt;", 4) == 0 ? 4 : 0;
}

static int put_word(struct urlize *u, struct text word)
{
	static const char *const pair[][2] = {{"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}};
	struct text middle = word;
	size_t from = 0, end = word.n, step;

	while ((step = opening(word, from)))
		from += step;
	while (end > from && (step = closing(word, end)) && end - from >= step)
		end -= step;
	middle = (struct text){word.p + from, end - from};
	for (int i = 0; i < 3; i++) { /* brackets within belong to it */
		struct text tail = {word.p + end, word.n - end};
		size_t n = count(middle, pair[i][0]), closed = count(tail, pair[i][1]);

		if (n <= count(middle, pair[i][1]))
			continue;
		for (n = n < closed ? n : closed; n; n--) {
			while (memcmp(word.p + end, pair[i][1], strlen(pair[i][1])) != 0)
				end++;
			end += strlen(pair[i][1]);
		}
		middle.n = end - from;
	}
	AX_TRY(axj_put(u->r, word.p, from));
	AX_TRY(put_middle(u, middle));
	return axj_put(u->r, word.p + end, word.n - end);
}

/* ---- arguments ---- */

static int add_word(struct axj *r, struct axj_list *l, struct axj_val v)
{
	size_t at = 0;

	for (; at < l->n; at++) {
		bool less = false;

		if (axj_str_eq(l->v[at].u.s, v.u.s))
			return 0;
		AX_TRY(axj_order(r, AXJ_LT, v, l->v[at], &less));
		if (less)
			break;
	}
	AX_TRY(axj_append(r, l, v));
	memmove(&l->v[at + 1], &l->v[at], (l->n - 1 - at) * sizeof(v));
	l->v[at] = v;
	return 0;
}

/* rel: its words and those that are always there, sorted. */
static int read_rel(struct urlize *u, struct axj_val rel, bool nofollow)
{
	struct axj_val words, v;
	struct axj_capture c;
	const struct axj_str *s;

	AX_TRY(axj_new_list(u->r, AXJ_LIST, 4, &words));
	AX_TRY(axj_strz(u->r, "noopener", &v));
	AX_TRY(add_word(u->r, words.u.l, v));
	AX_TRY(axj_strz(u->r, "nofollow", &v));
	if (nofollow)
		AX_TRY(add_word(u->r, words.u.l, v));
	if (axj_truth(rel) && rel.t != AXJ_STR)
		return axj_raise(u->r, "AttributeError", "'%s' object has no attribute 'split'", axj_type_name(rel));
	s = axj_truth(rel) ? rel.u.s : NULL;
	for (size_t i = 0, from = 0, len; s && i <= s->n; i += len ? len : 1) {
		struct text t = {s->p, s->n};
		uint32_t ch = char_at(t, i, &len);

		if (i < s->n && !axj_is_space(ch))
			continue;
		if (i > from) {
			AX_TRY(axj_str(u->r, s->p + from, i - from, &v));
			AX_TRY(add_word(u->r, words.u.l, v));
		}
		from = i + len;
	}
	axj_capture_begin(u->r, &c);
	for (size_t i = 0; i < words.u.l->n; i++) {
		AX_TRY(axj_putz(u->r, i ? " " : ""));
		AX_TRY(axj_put_str(u->r, words.u.l->v[i].u.s));
	}
	return axj_capture_end(u->r, &c, &u->rel);
}

static bool is_scheme(const struct axj_str *s)
{
	struct text t = {s->p, s->n};
	size_t n = 0, i = 0, len;

	for (; i < t.n; i += len, n++) {
		uint32_t c = char_at(t, i, &len);

		if (!is_word(c) && c != '.' && c != '+' && c != '-')
			break;
	}
	if (n < 2 || i == t.n || t.p[i] != ':')
		return false;
	return i + 1 == t.n || (t.p[i + 1] == '/' && (i + 2 == t.n || (t.p[i + 2] == '/' && i + 3 == t.n)));
}

static int read_schemes(struct urlize *u, struct axj_val v)
{
	if (!v.t || v.t == AXJ_NONE)
		return 0;
	if (!axj_iterable(v))
		return axj_raise(u->r, "TypeError", "'%s' object is not iterable", axj_type_name(v));
	AX_TRY(axj_items(u->r, v, &u->schemes));
	for (size_t i = 0; i < u->schemes->n; i++) {
		struct axj_val s = u->schemes->v[i];

		if (s.t != AXJ_STR)
			return axj_raise(u->r, "TypeError", "expected string or bytes-like object, got '%s'", axj_type_name(s));
		if (!is_scheme(s.u.s))
			return axj_raise(u->r, "FilterArgumentError", "%s is not a valid URI scheme prefix.", axj_repr_text(u->r, s));
	}
	return 0;
}

AXJ_BUILTIN(axj_f_urlize)
{
	struct urlize u = {.r = r, .limit = a[0]};
	struct axj_capture c;
	struct axj_val html;
	struct text t, word;
	size_t i = 0, len;

	AX_TRY(read_rel(&u, a[3], axj_truth(a[1])));
	if (a[2].t && axj_truth(a[2]))
		u.target = a[2];
	AX_TRY(read_schemes(&u, a[4]));
	AX_TRY(axj_f_escape(r, self, NULL, NULL, &html));
	t = (struct text){html.u.s->p, html.u.s->n};
	AX_TRY(axj_step(r, t.n >> 2));
	axj_capture_begin(r, &c);
	while (i < t.n) {
		bool space = axj_is_space(char_at(t, i, &len));
		size_t from = i;

		for (; i < t.n && axj_is_space(char_at(t, i, &len)) == space; i += len)
			;
		word = (struct text){t.p + from, i - from};
		AX_TRY(space ? put(&u, word) : put_word(&u, word));
	}
	axj_mark(r, c.b, axj_origin(r, html));
	return axj_capture_end(r, &c, out);
}
