#include "text/jinja.h"

#include <stdio.h>
#include <string.h>

#include "text/jinja_impl.h"
#include "text/unicode.h"

#define MAX_SOURCE ((size_t)4 << 20)

static int compile(struct ax_jinja *t, const char *src, size_t n, struct ax_err *e)
{
	struct axj_tokens tok = {NULL, 0, 0};
	struct axj_parser p;
	int rc;

	memset(&p, 0, sizeof(p));
	p.t = t;
	p.e = e;
	t->sym_loop = axj_sym(&p, "loop", 4);
	t->sym_caller = axj_sym(&p, "caller", 6);
	t->sym_varargs = axj_sym(&p, "varargs", 7);
	t->sym_kwargs = axj_sym(&p, "kwargs", 6);
	if (t->n_sym != 4)
		return axj_no_memory(&p);
	AX_GOTO(axj_lex(t, src, n, &tok, e));
	p.tok = tok.v;
	AX_GOTO(axj_parse(&p, &t->body));
	rc = axj_check_names(&p, &t->body, false);
out:
	ax_free(tok.v);
	return rc;
}

int ax_jinja_compile(struct ax_jinja **out, const char *src, size_t n, unsigned flags, struct ax_err *e)
{
	struct ax_jinja *t;
	int rc;

	*out = NULL;
	if (n > MAX_SOURCE)
		return ax_fail(e, AX_EMEM, "a template of more than %zu bytes", MAX_SOURCE);
	if (ax_utf8_check(src, n) != n)
		return ax_fail(e, AX_EDATA, "byte %zu of the template is not UTF-8", ax_utf8_check(src, n));
	t = ax_calloc(1, sizeof(*t));
	if (!t)
		return ax_fail(e, AX_EMEM, "out of memory while compiling a template");
	ax_arena_init(&t->mem, AX_JINJA_MEMORY);
	t->flags = flags;
	rc = compile(t, src, n, e);
	if (rc)
		ax_jinja_free(t);
	else
		*out = t;
	return rc;
}

void ax_jinja_free(struct ax_jinja *t)
{
	if (!t)
		return;
	ax_arena_release(&t->mem);
	ax_free(t->sym);
	ax_free(t);
}

void ax_rope_init(struct ax_rope *r)
{
	memset(r, 0, sizeof(*r));
	ax_arena_init(&r->mem, AX_JINJA_MEMORY);
}

void ax_rope_release(struct ax_rope *r)
{
	ax_buf_release(&r->b);
	ax_free(r->span);
	ax_arena_release(&r->mem);
	ax_rope_init(r);
}

/* Of the first error alone: others may come of it. */
static void note_place(struct axj *r)
{
	if (r->rope->line)
		return;
	r->rope->line = (uint32_t)(r->line >> 32);
	r->rope->column = (uint32_t)r->line;
}

int axj_raise(struct axj *r, const char *cls, const char *fmt, ...)
{
	va_list ap;

	note_place(r);
	va_start(ap, fmt);
	ax_vfail(r->e, AX_EDATA, fmt, ap);
	va_end(ap);
	ax_err_prefix(r->e, "%s: ", cls);
	return AX_EDATA;
}

int axj_limit(struct axj *r, const char *what)
{
	note_place(r);
	return ax_fail(r->e, AX_EMEM, "template limit: %s", what);
}

int axj_oom(struct axj *r)
{
	return axj_limit(r, "out of memory");
}

int axj_too_many_steps(struct axj *r)
{
	return axj_limit(r, "too many steps");
}

/* Variables of the context that the template names, by symbol. */
static int bind_context(struct axj *r, const struct ax_val *context)
{
	r->top = ax_arena_calloc(r->mem, r->t->n_sym, sizeof(*r->top));
	if (!r->top)
		return axj_oom(r);
	if (!context || context->type != AX_MAP)
		return 0;
	for (size_t i = 0; i < context->n; i++) {
		const struct ax_pair *p = &context->u.pair[i];

		for (size_t s = 0; s < r->t->n_sym; s++)
			if (r->t->sym[s]->n == p->key_n && axj_same(r->t->sym[s]->p, p->key, p->key_n))
				AX_TRY(axj_wrap(r, p->val, &r->top[s]));
	}
	return 0;
}

int ax_jinja_render(const struct ax_jinja *t, const struct ax_val *context, const struct ax_jinja_opt *opt,
		    struct ax_rope *rope, struct ax_err *e)
{
	struct axj r;
	int rc;

	memset(&r, 0, sizeof(r));
	r.t = t;
	r.opt = opt;
	r.rope = rope;
	r.mem = &rope->mem;
	r.e = e;
	ax_buf_reset(&rope->b);
	rope->n_span = 0;
	rope->line = rope->column = 0;
	ax_arena_clear(&rope->mem);
	rc = bind_context(&r, context);
	if (!rc)
		rc = axj_exec(&r, &t->body);
	if (!rc && rope->b.oom)
		rc = axj_oom(&r);
	if (rc) {
		ax_buf_reset(&rope->b);
		rope->n_span = 0;
	}
	return rc;
}

int ax_jinja_now(struct tm *tm, const char *text, struct ax_err *e)
{
	int used = 0, n, day;

	memset(tm, 0, sizeof(*tm));
	n = sscanf(text, "%4d-%2d-%2d%n", &tm->tm_year, &tm->tm_mon, &tm->tm_mday, &used);
	if (n == 3 && (text[used] == 'T' || text[used] == ' ')) {
		const char *clock = text + used + 1;

		used = 0;
		n += sscanf(clock, "%2d:%2d:%2d%n", &tm->tm_hour, &tm->tm_min, &tm->tm_sec, &used);
		text = clock;
	}
	if ((n != 3 && n != 6) || text[used])
		return ax_fail(e, AX_EUSAGE, "a time is YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS");
	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	tm->tm_isdst = -1;
	day = tm->tm_mday;
	if (tm->tm_year < -1899 || tm->tm_mon < 0 || tm->tm_mon > 11 || tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 59 ||
	    timegm(tm) == (time_t)-1 || tm->tm_mday != day)
		return ax_fail(e, AX_EUSAGE, "no such time");
	return 0;
}
