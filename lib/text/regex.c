#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/mem.h"
#include "text/regex_class.h"
#include "text/unicode.h"

struct ax_regex {
	pcre2_code *code;
	pcre2_match_context *limits;
	bool jit;
};

struct ax_regex_work {
	pcre2_match_data *data;
	pcre2_jit_stack *stack;
	pcre2_match_context *context;
};

/* Escapes outside classes that mean the same in both engines. */
static bool plain_escape(char c)
{
	return strchr("nrtfaeAzZGbB", c) ||
	       !((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'));
}

/* \xHH, \x{H..}, \uHHHH: written as PCRE2 spells a code point. */
static int copy_code_point(struct ax_buf *b, const char *p, size_t n, size_t *i, struct ax_err *e)
{
	size_t k = *i + 2, digits = 0, max = p[*i + 1] == 'u' ? 4 : 2;
	bool brace = p[*i + 1] == 'x' && k < n && p[k] == '{';
	size_t start = k += brace;

	while (k < n && digits < (brace ? 8 : max) && strchr("0123456789abcdefABCDEF", p[k]) && p[k]) {
		k++;
		digits++;
	}
	if (!digits || (brace && (k >= n || p[k] != '}')))
		return ax_fail(e, AX_EDATA, "regex: malformed code point escape at offset %zu", *i);
	ax_buf_addf(b, "\\x{%.*s}", (int)digits, p + start);
	*i = k + brace;
	return 0;
}

static int copy_escape(struct ax_buf *b, const char *p, size_t n, size_t *i, struct ax_err *e)
{
	struct ax_cset s = {0};
	int rc = ax_cset_parse_escape(&s, p, n, i, e);

	if (rc > 0) {
		ax_cset_sort(&s);
		ax_cset_write(&s, b);
		rc = s.oom ? ax_fail(e, AX_EMEM, "regex: out of memory") : 0;
		ax_cset_release(&s);
		return rc;
	}
	ax_cset_release(&s);
	if (rc < 0)
		return rc;
	if (*i + 1 >= n)
		return ax_fail(e, AX_EDATA, "regex: ends in a backslash");
	if (p[*i + 1] == 'x' || p[*i + 1] == 'u')
		return copy_code_point(b, p, n, i, e);
	if (p[*i + 1] == 'b' || p[*i + 1] == 'B') { /* word borders by our \w */
		const char *w =
		    p[*i + 1] == 'b' ? "(?:(?<=%s)(?!%s)|(?<!%s)(?=%s))" : "(?:(?<=%s)(?=%s)|(?<!%s)(?!%s))";
		struct ax_buf cls = AX_BUF_INIT;

		ax_cset_add_props(&s, 0, AX_UNI_WORD);
		ax_cset_write(&s, &cls);
		if (cls.oom || s.oom)
			b->oom = true;
		else
			for (const char *q = w; *q; q++)
				if (q[0] == '%' && q[1] == 's') {
					ax_buf_add(b, cls.p, cls.n);
					q++;
				} else {
					ax_buf_addc(b, *q);
				}
		ax_cset_release(&s);
		ax_buf_release(&cls);
	} else if (plain_escape(p[*i + 1])) {
		ax_buf_add(b, p + *i, 2);
	} else {
		return ax_fail(e, AX_EDATA, "regex: unsupported escape \\%c at offset %zu", p[*i + 1], *i);
	}
	*i += 2;
	return 0;
}

/* A group's opening, "(?...": only the kinds that both engines read alike. */
static int copy_group(struct ax_buf *b, const char *p, size_t n, size_t *i, struct ax_err *e)
{
	static const char *const same[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:", "(?-i:"};

	if (*i + 1 >= n || p[*i + 1] != '?') {
		ax_buf_adds(b, "(?:"); /* no captures are needed */
		*i += 1;
		return 0;
	}
	for (size_t k = 0; k < sizeof(same) / sizeof(same[0]); k++) {
		size_t len = strlen(same[k]);

		if (n - *i >= len && !memcmp(p + *i, same[k], len)) {
			ax_buf_add(b, p + *i, len);
			*i += len;
			return 0;
		}
	}
	return ax_fail(e, AX_EDATA, "regex: unsupported group \"%.*s\" at offset %zu", (int)(n - *i < 4 ? n - *i : 4),
		       p + *i, *i);
}

#define MAX_GROUPS 64

/* Where in the rewritten pattern the last atom and the open groups start. */
struct atoms {
	size_t atom, group[MAX_GROUPS], depth;
};

/*
 * An interval at p[*i]. "{,n}" is "{0,n}"; a '+' behind an interval repeats it in Ruby's syntax, while in PCRE2 it
 * would make it possessive, so the atom is put into a group.
 */
static void copy_interval(struct ax_buf *b, const struct atoms *at, const char *p, size_t n, size_t *i)
{
	const char *close = memchr(p + *i, '}', n - *i);
	size_t end = close ? (size_t)(close - p) + 1 : n;

	if (end - *i < 3 || !strchr("0123456789,", p[*i + 1])) { /* a brace that is no interval */
		ax_buf_adds(b, "\\{");
		*i += 1;
		return;
	}
	ax_buf_adds(b, p[*i + 1] == ',' ? "{0" : "{");
	ax_buf_add(b, p + *i + 1, end - *i - 1);
	*i = end;
	if (end < n && p[end] == '+' && !b->oom) {
		ax_buf_adds(b, "(?:");
		if (b->oom)
			return;
		memmove(b->p + at->atom + 3, b->p + at->atom, b->n - 3 - at->atom);
		memcpy(b->p + at->atom, "(?:", 3);
		ax_buf_addc(b, ')');
	}
}

static int copy_class(struct ax_buf *b, const char *p, size_t n, size_t *i, struct ax_err *e)
{
	struct ax_cset s = {0};
	int rc = ax_cset_parse_bracket(&s, p, n, i, e);

	ax_cset_sort(&s);
	ax_cset_write(&s, b);
	if (s.oom)
		rc = ax_fail(e, AX_EMEM, "regex: out of memory");
	ax_cset_release(&s);
	return rc < 0 ? rc : 0;
}

/* Rewrite an Oniguruma pattern for PCRE2. */
static int rewrite(struct ax_buf *b, const char *p, size_t n, struct ax_err *e)
{
	struct atoms at = {0};

	for (size_t i = 0; i < n;) {
		size_t here = b->n, len;

		if (p[i] == '{') {
			copy_interval(b, &at, p, n, &i);
			continue;
		}
		if (p[i] == '\\') {
			AX_TRY(copy_escape(b, p, n, &i, e));
		} else if (p[i] == '[') {
			AX_TRY(copy_class(b, p, n, &i, e));
		} else if (p[i] == '(') {
			if (at.depth == MAX_GROUPS)
				return ax_fail(e, AX_EDATA, "regex: groups nested deeper than %d", MAX_GROUPS);
			at.group[at.depth++] = here;
			AX_TRY(copy_group(b, p, n, &i, e));
			continue;
		} else if (p[i] == ')') {
			if (!at.depth)
				return ax_fail(e, AX_EDATA, "regex: ) without ( at offset %zu", i);
			here = at.group[--at.depth];
			ax_buf_addc(b, p[i++]);
		} else if (strchr("*+?|", p[i])) {
			ax_buf_addc(b, p[i++]);
			continue;
		} else {
			len = ax_utf8_len((unsigned char)p[i]);
			ax_buf_add(b, p + i, len);
			i += len;
		}
		at.atom = here;
	}
	return b->oom ? ax_fail(e, AX_EMEM, "regex: out of memory") : 0;
}

int ax_regex_new(struct ax_regex **out, const char *pattern, size_t n, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_regex *r = NULL;
	PCRE2_SIZE at = 0;
	int rc, err = 0;

	*out = NULL;
	if (n > AX_REGEX_MAX)
		return ax_fail(e, AX_EDATA, "regex: longer than %zu bytes", AX_REGEX_MAX);
	if (ax_utf8_check(pattern, n) != n || memchr(pattern, 0, n))
		return ax_fail(e, AX_EDATA, "regex: not text");
	AX_GOTO(rewrite(&b, pattern, n, e));
	rc = ax_fail(e, AX_EMEM, "regex: out of memory");
	r = ax_calloc(1, sizeof(*r));
	if (!r)
		goto out;
	r->limits = pcre2_match_context_create(NULL);
	if (!r->limits)
		goto out;
	/* '^' and '$' are line borders in Oniguruma, '.' stops at newlines only */
	r->code =
	    pcre2_compile((PCRE2_SPTR)(b.p ? b.p : ""), b.n,
			  PCRE2_UTF | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_UTF_CHECK, &err, &at, NULL);
	if (!r->code) {
		char why[128];

		pcre2_get_error_message(err, (PCRE2_UCHAR *)why, sizeof(why));
		rc = ax_fail(e, AX_EDATA, "regex: %s in \"%.*s\"", why, (int)(n < 200 ? n : 200), pattern);
		goto out;
	}
	pcre2_set_match_limit(r->limits, AX_REGEX_STEPS);
	pcre2_set_heap_limit(r->limits, 64 << 10);
	r->jit = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0;
	if (e)
		ax_err_clear(e);
	*out = r;
	r = NULL;
	rc = 0;
out:
	ax_regex_free(r);
	ax_buf_release(&b);
	return rc;
}

void ax_regex_free(struct ax_regex *r)
{
	if (!r)
		return;
	pcre2_code_free(r->code);
	pcre2_match_context_free(r->limits);
	ax_free(r);
}

struct ax_regex_work *ax_regex_work_new(const struct ax_regex *r)
{
	struct ax_regex_work *w = ax_calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->data = pcre2_match_data_create_from_pattern(r->code, NULL);
	w->context = pcre2_match_context_copy(r->limits);
	if (!w->data || !w->context) {
		ax_regex_work_free(w);
		return NULL;
	}
	if (r->jit) {
		w->stack = pcre2_jit_stack_create((size_t)64 << 10, (size_t)16 << 20, NULL);
		if (w->stack)
			pcre2_jit_stack_assign(w->context, NULL, w->stack);
	}
	return w;
}

void ax_regex_work_free(struct ax_regex_work *w)
{
	if (!w)
		return;
	pcre2_match_data_free(w->data);
	pcre2_match_context_free(w->context);
	pcre2_jit_stack_free(w->stack);
	ax_free(w);
}

int ax_regex_find(const struct ax_regex *r, struct ax_regex_work *w, const char *text, size_t n,
		  struct ax_regex_iter *it, size_t *begin, size_t *end)
{
	while (it->pos <= n) {
		int rc = pcre2_match(r->code, (PCRE2_SPTR)text, n, it->pos, PCRE2_NO_UTF_CHECK, w->data, w->context);
		PCRE2_SIZE *v;

		if (rc == PCRE2_ERROR_NOMATCH)
			return 0;
		if (rc < 0)
			return AX_EMEM;
		v = pcre2_get_ovector_pointer(w->data);
		if (v[0] == v[1] &&
		    it->last == v[1] + 1) { /* empty, right behind the last match: go on a character later */
			if (it->pos >= n)
				return 0;
			it->pos += ax_utf8_len((unsigned char)text[it->pos]);
			continue;
		}
		it->pos = v[1];
		it->last = v[1] + 1;
		*begin = v[0];
		*end = v[1];
		return 1;
	}
	return 0;
}
