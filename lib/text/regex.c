#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/mem.h"
#include "text/regex_impl.h"
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
	AX_GOTO(ax_regex_rewrite(&b, pattern, n, e));
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
