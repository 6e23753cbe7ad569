/*
 * A pattern in Oniguruma's syntax, written anew for PCRE2.
 *
 * Classes become ranges from our tables, and so do letters under (?i): PCRE2 never sees an option. What (?i) would do to
 * strings of several characters (ss and the sharp s, fi and its ligature) is refused.
 */
#include <string.h>

#include "text/regex_impl.h"
#include "text/unicode.h"

#define MAX_GROUPS 64

enum { ICASE = 1, DOTALL = 2, EXTENDED = 4 };

struct group {
	size_t start;      /* of the group in the rewritten pattern */
	unsigned options;  /* outside it */
	unsigned extra;    /* groups that isolated options opened within */
};

struct rewriter {
	struct ax_buf *b;
	const char *p;
	size_t n, i;
	struct ax_err *e;
	unsigned options;
	struct group group[MAX_GROUPS];
	size_t depth;
	size_t atom;         /* start of the last atom in b; SIZE_MAX: nothing to repeat */
	bool repeated;       /* the last atom has a quantifier */
	uint32_t run[4];     /* last letters under (?i) that stand next to one another, folded; newest last */
	size_t n_run;
	uint32_t last;       /* the newest of run, for {n} */
};

static int refuse(struct rewriter *x, const char *what)
{
	return ax_fail(x->e, AX_EDATA, "regex: %s at offset %zu", what, x->i);
}

static bool at(const struct rewriter *x, const char *s)
{
	size_t n = strlen(s);

	return x->n - x->i >= n && !memcmp(x->p + x->i, s, n);
}

static int write_set(struct rewriter *x, struct ax_cset *s)
{
	int rc;

	ax_cset_sort(s);
	ax_cset_write(s, x->b);
	rc = s->oom ? ax_fail(x->e, AX_EMEM, "regex: out of memory") : 0;
	ax_cset_release(s);
	return rc;
}

/* ---- atoms ---- */

static void begin_atom(struct rewriter *x)
{
	x->atom = x->b->n;
	x->repeated = false;
}

/* Would the letters of the run, one behind the other, also match a single character? */
static bool run_folds(const struct rewriter *x)
{
	for (size_t k = 2; k <= 3 && k <= x->n_run; k++)
		if (ax_cset_multi(x->run + x->n_run - k, k))
			return true;
	return false;
}

static int put_char(struct rewriter *x, uint32_t c)
{
	struct ax_cset s = {0};

	begin_atom(x);
	if (!(x->options & ICASE)) {
		ax_buf_addf(x->b, "\\x{%x}", c);
		x->n_run = 0;
		return 0;
	}
	if (x->n_run == 4)
		memmove(x->run, x->run + 1, 3 * sizeof(x->run[0]));
	x->n_run -= x->n_run == 4;
	x->last = x->run[x->n_run++] = ax_cset_fold_char(c);
	if (ax_cset_multi(&c, 1) || run_folds(x))
		return refuse(x, "(?i) with letters that one character can stand for");
	ax_cset_add(&s, c, c);
	ax_cset_fold(&s);
	return write_set(x, &s);
}

/* A class as it was read; `negated` stands for a ^ right behind the bracket: letters are folded before it counts. */
static int put_class(struct rewriter *x, struct ax_cset *s, bool negated)
{
	begin_atom(x);
	x->n_run = 0;
	if (x->options & ICASE) {
		ax_cset_sort(s);
		if (!negated && ax_cset_has_multi(s)) {
			ax_cset_release(s);
			return refuse(x, "(?i) with a class that holds characters which stand for several");
		}
		ax_cset_fold(s);
	}
	if (negated)
		ax_cset_negate(s);
	return write_set(x, s);
}

static int put_any(struct rewriter *x, bool newline)
{
	begin_atom(x);
	x->n_run = 0;
	ax_buf_adds(x->b, newline ? "[\\x{0}-\\x{10ffff}]" : "[^\\x{a}]");
	return 0;
}

/* A border: nothing that could be repeated. */
static int put_anchor(struct rewriter *x, const char *s)
{
	ax_buf_adds(x->b, s);
	x->atom = SIZE_MAX;
	x->n_run = 0;
	return 0;
}

/* \b and \B by our \w */
static int put_border(struct rewriter *x, bool negated)
{
	const char *w = negated ? "(?:(?<=%s)(?=%s)|(?<!%s)(?!%s))" : "(?:(?<=%s)(?!%s)|(?<!%s)(?=%s))";
	struct ax_buf cls = AX_BUF_INIT;
	struct ax_cset s = {0};

	ax_cset_add_props(&s, 0, AX_UNI_WORD);
	ax_cset_write(&s, &cls);
	if (cls.oom || s.oom)
		x->b->oom = true;
	for (const char *q = w; *q && !cls.oom; q++)
		if (*q == '%')
			ax_buf_add(x->b, cls.p, cls.n);
		else if (*q != 's' || q[-1] != '%')
			ax_buf_addc(x->b, *q);
	ax_cset_release(&s);
	ax_buf_release(&cls);
	return put_anchor(x, "");
}

/* ---- escapes ---- */

/* Escapes that stand for a character: its value; false if it is none. */
static bool control_escape(char c, uint32_t *v)
{
	static const char names[] = "ntrfave", values[] = "\n\t\r\f\a\v\x1b";
	const char *k = c ? strchr(names, c) : NULL;

	*v = k ? (unsigned char)values[k - names] : 0;
	return k != NULL;
}

static int code_point(struct rewriter *x)
{
	bool brace = at(x, "\\x{");
	size_t k = x->i + 2 + brace, digits = 0, max = x->p[x->i + 1] == 'u' ? 4 : brace ? 8 : 2;
	uint32_t c = 0;

	for (; k < x->n && digits < max; k++, digits++) {
		static const char hex[] = "0123456789abcdef";
		const char *d = x->p[k] ? strchr(hex, x->p[k] >= 'A' && x->p[k] <= 'F' ? x->p[k] + 32 : x->p[k]) : NULL;

		if (!d)
			break;
		c = c << 4 | (uint32_t)(d - hex);
	}
	if (!digits || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000) || (brace && (k >= x->n || x->p[k] != '}')))
		return refuse(x, "malformed code point escape");
	if (!brace && max == 2 && (digits < 2 || c > 0x7F))
		return refuse(x, "unsupported escape of one byte");
	if (max == 4 && digits < 4)
		return refuse(x, "malformed code point escape");
	AX_TRY(put_char(x, c));
	x->i = k + brace;
	return 0;
}

static int escape(struct rewriter *x)
{
	struct ax_cset s = {0};
	size_t len, from = x->i;
	uint32_t c;
	int rc = ax_cset_parse_escape(&s, x->p, x->n, &x->i, AX_CSET_OUTSIDE, x->e);

	if (rc) {
		if (rc < 0)
			ax_cset_release(&s);
		else
			rc = put_class(x, &s, false);
		if (rc == AX_EDATA && x->i != from)
			x->i = from;
		return rc < 0 ? rc : 0;
	}
	if (x->i + 1 >= x->n)
		return ax_fail(x->e, AX_EDATA, "regex: ends in a backslash");
	c = (unsigned char)x->p[x->i + 1];
	if (c == 'x' || c == 'u')
		return code_point(x);
	if (control_escape((char)c, &c)) {
		rc = put_char(x, c);
	} else if (c = (unsigned char)x->p[x->i + 1], c == 'b' || c == 'B') {
		rc = put_border(x, c == 'B');
	} else if (c < 0x80 && strchr("AzZG", (int)c)) {
		rc = put_anchor(x, (char[]){'\\', (char)c, 0});
	} else if (c == 'R') {
		begin_atom(x);
		x->n_run = 0;
		ax_buf_adds(x->b, "(?>\\x{d}\\x{a}|[\\x{a}-\\x{d}\\x{85}\\x{2028}\\x{2029}])");
	} else if (c == 'N' || c == 'O') {
		rc = put_any(x, c == 'O');
	} else if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z')) {
		return ax_fail(x->e, AX_EDATA, "regex: unsupported escape \\%c at offset %zu", (int)c, x->i);
	} else {
		c = ax_utf8_get((const unsigned char *)x->p + x->i + 1, &len);
		x->i += len - 1;
		rc = put_char(x, c);
	}
	x->i += 2;
	return rc;
}

/* ---- groups ---- */

static int open_group(struct rewriter *x, const char *as, size_t len)
{
	if (x->depth == MAX_GROUPS)
		return ax_fail(x->e, AX_EDATA, "regex: groups nested deeper than %d", MAX_GROUPS);
	x->group[x->depth++] = (struct group){x->b->n, x->options, 0};
	ax_buf_adds(x->b, as);
	x->i += len;
	x->atom = SIZE_MAX;
	x->n_run = 0;
	return 0;
}

/* (?imx-imx: and (?imx-imx), which holds to the end of the group, alternatives included. */
static int option_group(struct rewriter *x)
{
	unsigned options = x->options;
	bool off = false;
	size_t k = x->i + 2;

	for (; k < x->n && x->p[k] && strchr("imx-", x->p[k]); k++) {
		unsigned bit = x->p[k] == 'i' ? ICASE : x->p[k] == 'm' ? DOTALL : EXTENDED;

		if (x->p[k] == '-')
			off = true;
		else
			options = off ? options & ~bit : options | bit;
	}
	if (k >= x->n || (x->p[k] != ':' && x->p[k] != ')') || k == x->i + 2)
		return ax_fail(x->e, AX_EDATA, "regex: unsupported group \"%.*s\" at offset %zu", (int)(x->n - x->i < 4 ? x->n - x->i : 4),
			       x->p + x->i, x->i);
	if (x->p[k] == ':') {
		AX_TRY(open_group(x, "(?:", k + 1 - x->i));
	} else {
		x->group[x->depth - 1].extra++; /* the whole is a group too */
		ax_buf_adds(x->b, "(?:");
		x->atom = SIZE_MAX;
		x->n_run = 0;
		x->i = k + 1;
	}
	x->options = options;
	return 0;
}

static int group(struct rewriter *x)
{
	static const char *const same[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"};
	const char *close;

	if (!at(x, "(?"))
		return open_group(x, "(?:", 1); /* no captures are needed */
	for (size_t k = 0; k < sizeof(same) / sizeof(same[0]); k++)
		if (at(x, same[k]))
			return open_group(x, same[k], strlen(same[k]));
	if (at(x, "(?#")) {
		close = memchr(x->p + x->i, ')', x->n - x->i);
		if (!close)
			return refuse(x, "comment without )");
		x->i = (size_t)(close - x->p) + 1;
		return 0;
	}
	if (at(x, "(?<")) { /* a name */
		close = memchr(x->p + x->i, '>', x->n - x->i);
		if (!close || close == x->p + x->i + 3)
			return refuse(x, "group name without >");
		return open_group(x, "(?:", (size_t)(close - x->p) + 1 - x->i);
	}
	return option_group(x);
}

static int close_group(struct rewriter *x)
{
	struct group *g;

	if (x->depth <= 1)
		return refuse(x, ") without (");
	g = &x->group[--x->depth];
	for (unsigned k = 0; k <= g->extra; k++)
		ax_buf_addc(x->b, ')');
	x->atom = g->start;
	x->repeated = false;
	x->options = g->options;
	x->n_run = 0;
	x->i++;
	return 0;
}

/* ---- quantifiers ---- */

/* Put the last atom, with what quantifies it, into a group. */
static void wrap(struct rewriter *x)
{
	static const char open[] = "(?:";
	const size_t n = sizeof(open) - 1;

	ax_buf_adds(x->b, open);
	if (x->b->oom)
		return;
	memmove(x->b->p + x->atom + n, x->b->p + x->atom, x->b->n - n - x->atom);
	memcpy(x->b->p + x->atom, open, n);
	ax_buf_addc(x->b, ')');
	x->repeated = false;
}

/* {n}, {n,}, {n,m}, {,m}; false: a brace that stands for itself. */
static bool interval(const struct rewriter *x, size_t *end, size_t *lo, size_t *hi)
{
	size_t k = x->i + 1, digits = 0, more = 0;

	for (*lo = 0; k < x->n && x->p[k] >= '0' && x->p[k] <= '9' && *lo <= 100000; k++, digits++)
		*lo = *lo * 10 + (size_t)(x->p[k] - '0');
	*hi = *lo;
	if (k < x->n && x->p[k] == ',') {
		for (*hi = 0, k++; k < x->n && x->p[k] >= '0' && x->p[k] <= '9' && *hi <= 100000; k++, more++)
			*hi = *hi * 10 + (size_t)(x->p[k] - '0');
		if (!more)
			*hi = SIZE_MAX;
	}
	*end = k + 1;
	return k < x->n && x->p[k] == '}' && digits + more > 0;
}

/* A literal that is repeated stands next to itself. */
static int check_repeated(struct rewriter *x)
{
	uint32_t twice[3] = {x->last, x->last, x->last};

	if (x->n_run && (ax_cset_multi(twice, 2) || ax_cset_multi(twice, 3)))
		return refuse(x, "(?i) with repeated letters that one character can stand for");
	x->n_run = 0;
	return 0;
}

static int quantify_interval(struct rewriter *x, size_t end, size_t lo, size_t hi)
{
	bool lazy = lo != hi && end < x->n && x->p[end] == '?'; /* the ? of {n}? is a quantifier of its own */

	if (lo > 0xFFFF || (hi != SIZE_MAX && hi > 0xFFFF))
		return refuse(x, "too large a number in {}");
	if (lo > hi)
		return refuse(x, "numbers out of order in {}");
	ax_buf_addf(x->b, hi == SIZE_MAX ? "{%zu,}" : "{%zu,%zu}", lo, hi);
	x->i = end + lazy;
	x->repeated = true;
	if (lazy)
		ax_buf_addc(x->b, '?');
	return 0;
}

static int quantifier(struct rewriter *x)
{
	size_t end = 0, lo = 0, hi = 0;

	if (x->p[x->i] == '{' && !interval(x, &end, &lo, &hi)) {
		AX_TRY(put_char(x, '{'));
		x->i++;
		return 0;
	}
	if (x->atom == SIZE_MAX)
		return refuse(x, "nothing to repeat");
	AX_TRY(check_repeated(x));
	if (x->repeated)
		wrap(x);
	if (x->p[x->i] == '{')
		return quantify_interval(x, end, lo, hi);
	ax_buf_addc(x->b, x->p[x->i++]);
	if (x->i < x->n && (x->p[x->i] == '?' || x->p[x->i] == '+'))
		ax_buf_addc(x->b, x->p[x->i++]);
	x->repeated = true;
	return 0;
}

/* ---- the whole ---- */

static int bracket(struct rewriter *x)
{
	struct ax_cset s = {0};
	bool negated = false;
	size_t from = x->i;
	int rc = ax_cset_parse_bracket(&s, x->p, x->n, &x->i, &negated, x->e);

	if (rc < 0) {
		ax_cset_release(&s);
		return rc;
	}
	rc = put_class(x, &s, negated);
	if (rc)
		x->i = from;
	return rc;
}

static int one(struct rewriter *x)
{
	size_t len;
	uint32_t c;

	switch (x->p[x->i]) {
	case '\\':
		return escape(x);
	case '[':
		return bracket(x);
	case '(':
		return group(x);
	case ')':
		return close_group(x);
	case '{':
	case '*':
	case '+':
	case '?':
		return quantifier(x);
	case '|':
		ax_buf_addc(x->b, '|');
		x->atom = SIZE_MAX;
		x->n_run = 0;
		break;
	case '^':
		AX_TRY(put_anchor(x, "^"));
		break;
	case '$':
		AX_TRY(put_anchor(x, "$"));
		break;
	case '.':
		AX_TRY(put_any(x, x->options & DOTALL));
		break;
	default:
		c = ax_utf8_get((const unsigned char *)x->p + x->i, &len);
		AX_TRY(put_char(x, c));
		x->i += len - 1;
	}
	x->i++;
	return 0;
}

/* What (?x) passes over: blanks, and comments to the end of the line. */
static bool skip_extended(struct rewriter *x)
{
	size_t from = x->i;

	if (!(x->options & EXTENDED))
		return false;
	while (x->i < x->n && strchr(" \t\n\r\f\v", x->p[x->i]))
		x->i++;
	if (x->i < x->n && x->p[x->i] == '#')
		while (x->i < x->n && x->p[x->i] != '\n')
			x->i++;
	return x->i > from;
}

int ax_regex_rewrite(struct ax_buf *b, const char *p, size_t n, struct ax_err *e)
{
	struct rewriter x = {.b = b, .p = p, .n = n, .e = e};

	AX_TRY(open_group(&x, "(?:", 0));
	while (x.i < n)
		if (!skip_extended(&x))
			AX_TRY(one(&x));
	if (x.depth > 1)
		return ax_fail(e, AX_EDATA, "regex: ( without )");
	for (unsigned k = 0; k <= x.group[0].extra; k++)
		ax_buf_addc(b, ')');
	return b->oom ? ax_fail(e, AX_EMEM, "regex: out of memory") : 0;
}
