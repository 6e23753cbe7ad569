#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja.h"
#include "text/json.h"

struct made {
	struct ax_arena a;
	struct ax_rope r;
	struct ax_err e;
	int rc;
};

static void begin(struct made *m)
{
	memset(m, 0, sizeof(*m));
	ax_arena_init(&m->a, 0);
	ax_rope_init(&m->r);
}

static void end(struct made *m)
{
	ax_arena_release(&m->a);
	ax_rope_release(&m->r);
}

static void render(struct made *m, const char *src, size_t n, const struct ax_val *context, const struct tm *now)
{
	struct ax_jinja_opt o = {.now = now};
	struct ax_jinja *t;

	memset(&m->e, 0, sizeof(m->e));
	m->rc = ax_jinja_compile(&t, src, n, 0, &m->e);
	if (m->rc == 0)
		m->rc = ax_jinja_render(t, context, &o, &m->r, &m->e);
	else
		return;
	ax_jinja_free(t);
}

static const struct ax_val *json(struct made *m, const char *text)
{
	struct ax_val *v = NULL;

	assert_int_equal(ax_json_parse(&m->a, text, strlen(text), &v, &m->e), 0);
	return v;
}

/* Spans tile the text, and exact ones hold their origin's bytes. */
static void check_spans(const struct ax_rope *r)
{
	size_t at = 0;

	for (size_t i = 0; i < r->n_span; i++) {
		const struct ax_span *s = &r->span[i];

		assert_int_equal(s->begin, at);
		assert_true(s->end > s->begin);
		at = s->end;
		if (!s->origin || s->flags & AX_SPAN_TRANSFORMED)
			continue;
		assert_int_equal(s->origin->type, AX_STR);
		assert_true(s->off + (s->end - s->begin) <= s->origin->n);
		assert_memory_equal(s->origin->u.s + s->off, r->b.p + s->begin, s->end - s->begin);
	}
	assert_int_equal(at, r->b.n);
}

/* tests/golden/jinja/cases.json: what Python's jinja2 makes of some 260 templates. */
static void test_goldens(void **state)
{
	struct made m;
	struct ax_val *g = NULL;
	const struct ax_val *cases;
	struct tm now;
	int bad = 0;

	begin(&m);
	if (ax_json_file(&m.a, "tests/golden/jinja/cases.json", (size_t)1 << 24, &g, &m.e))
		fail_msg("%s", m.e.msg);
	assert_int_equal(ax_jinja_now(&now, ax_val_cstr(&m.a, ax_val_get(g, "now"), ""), &m.e), 0);
	cases = ax_val_get(g, "cases");
	assert_true(ax_val_len(cases) > 200);
	for (size_t i = 0; i < ax_val_len(cases); i++) {
		const struct ax_val *c = ax_val_at(cases, i), *t = ax_val_get(c, "template");
		const char *want = ax_val_cstr(&m.a, ax_val_get(c, "expected"), NULL);
		const char *error = ax_val_cstr(&m.a, ax_val_get(c, "error"), NULL);
		bool prefix = ax_val_bool_or(ax_val_get(c, "prefix"), false), ok;

		render(&m, t->u.s, t->n, ax_val_get(g, "context"), &now);
		if (error)
			ok = m.rc && strstr(m.e.msg, error);
		else
			ok = !m.rc && (prefix || m.r.b.n == ax_val_get(c, "expected")->n) &&
			     memcmp(m.r.b.n ? m.r.b.p : "", want, ax_val_get(c, "expected")->n) == 0;
		if (!m.rc)
			check_spans(&m.r);
		if (!ok)
			print_error("%.*s\n  want %s\n  got  %s\n", (int)t->n, t->u.s, error ? error : want, m.rc ? m.e.msg : m.r.b.p);
		bad += !ok;
	}
	end(&m);
	assert_int_equal(bad, 0);
}

/* One letter a span: t template, e exact, x transformed; capitals are inside {% generation %}. */
static const char *origins(const struct ax_rope *r)
{
	static char s[100];

	for (size_t i = 0; i < r->n_span && i < sizeof(s) - 1; i++) {
		char c = !r->span[i].origin ? 't' : r->span[i].flags & AX_SPAN_TRANSFORMED ? 'x' : 'e';

		s[i] = (char)(c - (r->span[i].flags & AX_SPAN_GENERATION ? 32 : 0));
	}
	s[r->n_span < sizeof(s) ? r->n_span : sizeof(s) - 1] = '\0';
	return s;
}

static void test_provenance(void **state)
{
	static const char *const cases[][3] = {
		{"a{{ s }}b", "a  some Text b", "tet"},
		{"{{ s|trim }}", "some Text", "e"},
		{"{{ '<' + s.strip() + '>' + s[2:6] ~ s }}", "<some Text>some  some Text ", "tetee"},
		{"{{ s.split(' ')|join('-') }}", "--some-Text-", "tetet"},
		{"{{ s|upper }}{{ s|replace('some', 'no') }}", "  SOME TEXT   no Text ", "xete"},
		{"{{ big }}{{ [big]|tojson }}{{ big > i }}", "18446744073709551616[18446744073709551616]True", "xtxt"},
		{"{{ l }}{{ l|tojson }}{{ i + 1 }}{{ i }}", "['a', 'b'][\"a\", \"b\"]65", "xtx"},
		{"{{ l|tojson }}|{{ [l[0], 'z']|tojson }}", "[\"a\", \"b\"]|[\"a\", \"z\"]", "xtxt"},
		{"{% set x %}{{ s }}!{% endset %}{{ x }}{% macro m(v) %}({{ v }}){% endmacro %}{{ m(s|trim) }}", "  some Text !(some Text)", "etet"},
		{"{% generation %}{{ l[0] }}.{% endgeneration %}{{ l[1] }}", "a.b", "ETe"},
		{"{% for c in l[0] ~ l[1] %}{{ c }},{% endfor %}", "a,b,", "etet"},
		{"{{ '%s=%d' % (l[0], i) }}{{ '{}{}'.format(l[1], 7) }}", "a=5b7", "etxet"},
		{"{% for k, v in d.items() %}{{ k }}:{{ v }}{% endfor %}", "k:v", "xte"},
		{"{% filter upper %}{{ l[0] }}b{% endfilter %}", "AB", "xt"},
		{"{{ s|indent(1, true) }}", "   some Text ", "te"},
	};
	struct made m;
	const struct ax_val *context;

	begin(&m);
	context = json(&m, "{\"s\": \"  some Text \", \"l\": [\"a\", \"b\"], \"i\": 5, \"d\": {\"k\": \"v\"}, \"big\": 18446744073709551616}");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		render(&m, cases[i][0], strlen(cases[i][0]), context, NULL);
		if (m.rc)
			fail_msg("%s: %s", cases[i][0], m.e.msg);
		check_spans(&m.r);
		assert_string_equal(m.r.b.p, cases[i][1]);
		assert_string_equal(origins(&m.r), cases[i][2]);
	}
	/* A span names the very value. */
	render(&m, "{{ l[1] }}", 10, context, NULL);
	assert_ptr_equal(m.r.span[0].origin, ax_val_at(ax_val_get(context, "l"), 1));
	render(&m, "{{ s[2:4] }}", 12, context, NULL);
	assert_int_equal(m.r.span[0].off, 2);
	end(&m);
}

static void fails(const char *src, int code, const char *want, uint32_t line)
{
	struct made m;

	begin(&m);
	render(&m, src, strlen(src), json(&m, "{\"l\": [1, 2], \"d\": {}}"), NULL);
	assert_int_equal(m.rc, code);
	if (!strstr(m.e.msg, want))
		fail_msg("%s: %s", src, m.e.msg);
	if (line)
		assert_int_equal(m.r.line, line);
	assert_int_equal(m.r.b.n, 0);
	end(&m);
}

static void test_errors(void **state)
{
	fails("a\n{{ 1/0 }}", AX_EDATA, "ZeroDivisionError: division by zero", 2);
	fails("a\n\n{% if 1 %}\n{{ raise_exception('no ' ~ l) }}{% endif %}", AX_EDATA, "TemplateError: no [1, 2]", 4);
	fails("\xC3\xA9 {{ 'a\nb' }}\xC3\xA9{{ x.y.z }}", AX_EDATA, "UndefinedError: 'x' is undefined", 2);
	fails("{# \xC3\xA9\n#} {{ (1 + 2] }}", AX_EDATA, "line 2, column 13: TemplateSyntaxError: unexpected ']', expected ')'", 0);
	fails("a\n{% if %}", AX_EDATA, "line 2, column 7: TemplateSyntaxError: Expected an expression, got 'end of statement block'", 0);
	fails("ab\xff", AX_EDATA, "byte 2 of the template is not UTF-8", 0);
	fails("{{ l.append(1) }}", AX_EDATA, "SecurityError: access to attribute 'append' of 'list' object is unsafe.", 1);
	fails("{{ ''.__class__.__mro__ }}", AX_EDATA, "SecurityError", 1);
	fails("{% macro m(a, a) %}{% endmacro %}", AX_EDATA, "duplicate argument 'a'", 0);
	fails("{% autoescape true %}{% endautoescape %}", AX_EDATA, "only autoescape false", 0);
	fails("{{ '\\N{BULLET}' }}", AX_EDATA, "not supported", 0);
	fails("{{ (-8) ** 0.5 }}", AX_EDATA, "complex number", 1);
	fails("{{ (10 ** 5000)|string }}", AX_EDATA, "ValueError", 1);
}

static void repeat(struct ax_buf *b, const char *s, int n)
{
	while (n-- > 0)
		ax_buf_adds(b, s);
}

/* What a hostile template may try: all of it ends soon, with an error. */
static void test_limits(void **state)
{
	struct ax_buf b = AX_BUF_INIT;

	fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", AX_EMEM, "macro calls nested too deeply", 0);
	fails("{% for a in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}", AX_EMEM, "recursive loops nested too deeply", 0);
	fails("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", AX_EMEM, "too many steps", 0);
	fails("{{ 'abcdefgh' * 100000000 }}", AX_EMEM, "too much text", 0);
	fails("{% set n = namespace(s='abcdefgh') %}{% for a in range(100) %}{% set n.s = n.s + n.s %}{% endfor %}", AX_EMEM, "template limit", 0);
	fails("{% set n = namespace(l=[1]) %}{% for a in range(100) %}{% set n.l = n.l + n.l %}{% endfor %}", AX_EMEM, "template limit", 0);
	fails("{% set n = namespace(l=[]) %}{% for a in range(5000) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l }}", AX_EDATA, "RecursionError", 0);
	fails("{{ range(100000000) }}", AX_EDATA, "OverflowError: Range too big", 0);
	fails("{{ 2 ** 2000000 }}", AX_EMEM, "too large a number", 0);
	fails("{{ (2 ** 900000) * (2 ** 900000) }}", AX_EMEM, "too large a number", 0);
	fails("{{ '%999999999d' % 1 }}", AX_EMEM, "too much text", 0);
	ax_buf_adds(&b, "{{ ");
	repeat(&b, "(", 300);
	fails(b.p, AX_EDATA, "too deeply", 0);
	ax_buf_reset(&b);
	ax_buf_adds(&b, "{{ 1");
	repeat(&b, " + 1", 300);
	ax_buf_adds(&b, "}}");
	fails(b.p, AX_EDATA, "too deeply", 0);
	ax_buf_reset(&b);
	repeat(&b, "{% if 1 %}", 300);
	fails(b.p, AX_EDATA, "too deeply", 0);
	ax_buf_release(&b);
}

static void *in_thread(void *arg)
{
	const struct ax_jinja *t = arg;
	struct made m;
	const struct ax_val *context;
	size_t good = 0;

	begin(&m);
	context = json(&m, "{\"s\": \"é\", \"l\": [1, 2, 3]}");
	for (int i = 0; i < 300; i++)
		good += ax_jinja_render(t, context, NULL, &m.r, &m.e) == 0 && strcmp(m.r.b.p, "[é][é][é]ü2") == 0;
	end(&m);
	return good == 300 ? NULL : arg;
}

/* A compiled template is shared by threads. */
static void test_threads(void **state)
{
	const char *src = "{% for x in l %}[{{ s }}]{% endfor %}{{ 'ü' }}{{ 'xü'|length }}";
	struct ax_jinja *t;
	pthread_t id[3];

	assert_int_equal(ax_jinja_compile(&t, src, strlen(src), 0, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&id[i], NULL, in_thread, t), 0);
	for (int i = 0; i < 3; i++) {
		void *bad;

		pthread_join(id[i], &bad);
		assert_null(bad);
	}
	ax_jinja_free(t);
}

static void test_now(void **state)
{
	struct tm tm;
	struct ax_err e;

	assert_int_equal(ax_jinja_now(&tm, "2024-02-29", &e), 0);
	assert_int_equal(tm.tm_wday, 4);
	assert_int_equal(tm.tm_yday, 59);
	assert_int_equal(ax_jinja_now(&tm, "2025-07-10 23:59:58", &e), 0);
	assert_int_equal(tm.tm_sec, 58);
	assert_int_equal(ax_jinja_now(&tm, "2025-02-29", &e), AX_EUSAGE);
	assert_int_equal(ax_jinja_now(&tm, "2025-07", &e), AX_EUSAGE);
	assert_int_equal(ax_jinja_now(&tm, "2025-07-10x", &e), AX_EUSAGE);
	assert_int_equal(ax_jinja_now(&tm, "2025-07-10T25:00:00", &e), AX_EUSAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goldens), cmocka_unit_test(test_provenance), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_limits),  cmocka_unit_test(test_threads),    cmocka_unit_test(test_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
