#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/rng.h"
#include "text/json.h"
#include "text/json_impl.h"

static const struct ax_val *parse(struct ax_arena *a, const char *s)
{
	struct ax_err e = {0};
	struct ax_val *v = NULL;

	if (ax_json_parse(a, s, strlen(s), &v, &e))
		fail_msg("%s: %s", s, e.msg);
	return v;
}

static void same(struct ax_arena *a, const char *in, unsigned flags, const char *want)
{
	struct ax_buf b = AX_BUF_INIT;

	ax_json_write(&b, parse(a, in), flags);
	assert_string_equal(b.p, want);
	ax_buf_release(&b);
}

static void test_values(void **state)
{
	struct ax_arena a;
	const struct ax_val *v;
	struct ax_buf b = AX_BUF_INIT;
	const char *text = " {\"a\": [1, -2, 3.5, true, false, null],\n \"b\": {\"c\": \"x\\n\\u00e9\\ud83d\\ude00\"}, \"a\": 7}";

	ax_arena_init(&a, 0);
	v = parse(&a, text);
	assert_int_equal(ax_val_len(v), 2);
	assert_int_equal(ax_val_int_or(ax_val_get(v, "a"), 0), 7); /* a repeated key: first place, last value */
	assert_string_equal(v->u.pair[0].key, "a");
	assert_true(ax_val_is(ax_val_path(v, "b.c"), "x\n\xc3\xa9\xf0\x9f\x98\x80"));
	assert_null(ax_val_path(v, "b.d.e"));
	assert_int_equal(ax_val_path(v, "b.c")->line, 2);
	v = parse(&a, "[9223372036854775807, -9223372036854775808, 9223372036854775808, -0, 1e2, 1E-2]");
	assert_true(ax_val_int_or(ax_val_at(v, 0), 0) == INT64_MAX);
	assert_true(ax_val_int_or(ax_val_at(v, 1), 0) == INT64_MIN);
	assert_true(ax_val_at(v, 2)->number && ax_val_num_or(ax_val_at(v, 2), 0) == 0x1p63);
	assert_int_equal(ax_val_at(v, 3)->type, AX_INT);
	assert_true(ax_val_num_or(ax_val_at(v, 4), 0) == 100.0);
	assert_true(ax_val_num_or(ax_val_at(v, 5), 0) == 0.01);
	v = parse(&a, "[18446744073709551615, -123456789012345678901234567890]");
	assert_true(ax_val_num_or(ax_val_at(v, 1), 0) < -1.2e29);
	ax_json_write(&b, v, 0);
	assert_string_equal(b.p, "[18446744073709551615,-123456789012345678901234567890]");
	ax_buf_release(&b);
	assert_false(ax_val_equal(ax_val_at(v, 0), ax_val_str(&a, "18446744073709551615", 20)));
	v = parse(&a, "[NaN, Infinity, -Infinity]");
	assert_true(isnan(ax_val_at(v, 0)->u.f));
	assert_true(ax_val_at(v, 1)->u.f > 0 && ax_val_at(v, 2)->u.f < 0);
	text = "\"zero copy, longer than sixteen bytes \xe6\x97\xa5\xe6\x9c\xac\"";
	assert_ptr_equal(parse(&a, text)->u.s, text + 1);
	ax_arena_release(&a);
}

static void test_write(void **state)
{
	struct ax_arena a;
	const char *v = "{\"b\":[1,{\"x\":[]},{}],\"a\":\"\\u0001\\\"\\\\/\\t\\u007f\xc3\xa9\xf0\x9f\x98\x80\",\"f\":1e22}";

	ax_arena_init(&a, 0);
	same(&a, v, 0, "{\"b\":[1,{\"x\":[]},{}],\"a\":\"\\u0001\\\"\\\\/\\t\x7f\xc3\xa9\xf0\x9f\x98\x80\",\"f\":1e+22}");
	same(&a, v, AX_JSON_SORT | AX_JSON_SPACED | AX_JSON_ASCII,
	     "{\"a\": \"\\u0001\\\"\\\\/\\t\\u007f\\u00e9\\ud83d\\ude00\", \"b\": [1, {\"x\": []}, {}], \"f\": 1e+22}");
	same(&a, "{\"b\":[1,{\"x\":[]}]}", AX_JSON_INDENT2,
	     "{\n  \"b\": [\n    1,\n    {\n      \"x\": []\n    }\n  ]\n}");
	ax_arena_release(&a);
}

static void refuse(const char *s, size_t n, const char *want)
{
	struct ax_arena a;
	struct ax_err e = {0};
	struct ax_val *v;

	ax_arena_init(&a, 0);
	assert_int_equal(ax_json_parse(&a, s, n, &v, &e), AX_EDATA);
	assert_string_equal(e.msg, want);
	ax_arena_release(&a);
}

static void test_errors(void **state)
{
	static const char *const bad[][2] = {
		{"", "line 1, column 1: expected a value, found the end"},
		{"{\"a\":1}\n x", "line 2, column 2: text after the value"},
		{"[1,]", "line 1, column 4: expected a value"},
		{"[1 2]", "line 1, column 4: expected ',' or ']'"},
		{"{\"a\" 1}", "line 1, column 6: expected ':'"},
		{"{a:1}", "line 1, column 2: expected a key in double quotes"},
		{"\"a\\x\"", "line 1, column 3: invalid escape"},
		{"\"\\ud800\"", "line 1, column 2: lone surrogate escape"},
		{"\"\\ud800\\u0041\"", "line 1, column 2: lone surrogate escape"},
		{"\"\\udc00\\ud800\"", "line 1, column 2: lone surrogate escape"},
		{"\"\\u12g4\"", "line 1, column 2: \\u needs four hex digits"},
		{"\"abc", "line 1, column 1: unterminated string"},
		{"\"abc\\\"", "line 1, column 1: unterminated string"},
		{"\"a\nb\"", "line 1, column 3: control character in a string"},
		{"[\"\xc3\xa9\xff\"]", "line 1, column 4: invalid UTF-8"},
		{"\"\xed\xa0\x80\"", "line 1, column 2: invalid UTF-8"},
		{"\"\xc0\x80\"", "line 1, column 2: invalid UTF-8"},
		{"\"\xf4\x90\x80\x80\"", "line 1, column 2: invalid UTF-8"},
		{"01", "line 1, column 2: text after the value"},
		{"-", "line 1, column 1: expected a value"},
		{"1.", "line 1, column 2: text after the value"},
		{"tru", "line 1, column 1: expected a value"},
	};
	char deep[500];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuse(bad[i][0], strlen(bad[i][0]), bad[i][1]);
	memset(deep, '[', sizeof(deep));
	refuse(deep, sizeof(deep), "line 1, column 201: nested too deeply");
}

static void float_is(double f, const char *want)
{
	struct ax_buf b = AX_BUF_INIT;

	ax_write_float(&b, f);
	assert_string_equal(b.p, want);
	ax_buf_release(&b);
}

/* Expected texts: repr() of Python 3.11. */
static void test_floats(void **state)
{

	float_is(0.1, "0.1");
	float_is(1e-5, "1e-05");
	float_is(0.0001, "0.0001");
	float_is(123456.0, "123456.0");
	float_is(1e16, "1e+16");
	float_is(1e15, "1000000000000000.0");
	float_is(9007199254740993.0, "9007199254740992.0");
	float_is(1.7976931348623157e308, "1.7976931348623157e+308");
	float_is(5e-324, "5e-324");
	float_is(2.2250738585072014e-308, "2.2250738585072014e-308");
	float_is(ldexp(1, -44), "5.684341886080802e-14");
	float_is(-0.0, "-0.0");
	float_is(1.0 / 3, "0.3333333333333333");
	float_is(2e-5, "2e-05");
	float_is(-HUGE_VAL, "-inf");
	for (int i = 0; i < 20000; i++) {
		struct ax_buf b = AX_BUF_INIT;
		uint64_t bits = ax_rand_u64(7, AX_RNG_SAMPLE, (uint64_t)i);
		double f;

		memcpy(&f, &bits, sizeof(f));
		if (!isfinite(f))
			continue;
		ax_write_float(&b, f);
		assert_true(strtod(b.p, NULL) == f);
		ax_buf_release(&b);
	}
}

static void test_val(void **state)
{
	struct ax_arena a;
	struct ax_val *m, *l;
	char key[16];

	ax_arena_init(&a, 0);
	m = ax_val_map(&a);
	l = ax_val_list(&a);
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "k%d", i % 60);
		assert_true(ax_val_set(&a, m, key, ax_val_int(&a, i)));
		assert_true(ax_val_push(&a, l, ax_val_float(&a, i)));
	}
	assert_int_equal(ax_val_len(m), 60);
	assert_int_equal(ax_val_int_or(ax_val_get(m, "k3"), 0), 63);
	assert_true(ax_val_remove(m, "k3"));
	assert_false(ax_val_remove(m, "k3"));
	assert_int_equal(ax_val_len(m), 59);
	assert_true(ax_val_set(&a, m, "list", l));
	assert_true(ax_val_equal(m, ax_val_copy(&a, m)));
	assert_false(ax_val_equal(ax_val_int(&a, 1), ax_val_float(&a, 1)));
	assert_true(ax_val_equal(parse(&a, "{\"a\":1,\"b\":[2]}"), parse(&a, "{\"b\":[2],\"a\":1}")));
	assert_true(ax_val_is_null(ax_val_get(ax_val_get(m, "none"), "deeper")));
	assert_string_equal(ax_val_cstr(&a, parse(&a, "\"abc\""), NULL), "abc");
	ax_arena_release(&a);
}

/* Many keys: repeated ones are found by the hash table. */
static void test_large_map(void **state)
{
	struct ax_arena a;
	struct ax_buf b = AX_BUF_INIT;
	const struct ax_val *v;

	ax_arena_init(&a, 0);
	ax_buf_addc(&b, '{');
	for (int i = 0; i < 5000; i++)
		ax_buf_addf(&b, "%s\"key %d\":%d", i ? "," : "", i % 3000, i);
	ax_buf_addc(&b, '}');
	v = parse(&a, b.p);
	assert_int_equal(v->n, 3000);
	assert_int_equal(ax_val_int_or(ax_val_get(v, "key 7"), 0), 3007);
	assert_int_equal(ax_val_int_or(ax_val_get(v, "key 2999"), 0), 2999);
	ax_buf_release(&b);
	ax_arena_release(&a);
}

static void test_file(void **state)
{
	struct ax_arena a;
	struct ax_err e = {0};
	struct ax_val *v;
	const char *path = "build/tmp-json.json", *text = "\xef\xbb\xbf{\"a\":\n[1,}";

	ax_arena_init(&a, 0);
	assert_int_equal(ax_mkdirs("build", &e), 0);
	assert_int_equal(ax_write_file(path, text, strlen(text), &e), 0);
	assert_int_equal(ax_json_file(&a, path, 1000, &v, &e), AX_EDATA);
	assert_string_equal(e.msg, "build/tmp-json.json: line 2, column 4: expected a value");
	assert_int_equal(ax_json_file(&a, path, 5, &v, &e), AX_EMEM);
	assert_int_equal(ax_json_file(&a, "build/absent.json", 5, &v, &e), AX_EIO);
	remove(path);
	ax_arena_release(&a);
}

static uint32_t below(uint64_t *state, uint32_t n)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33) % n;
}

/* A text of what strings of JSON hold, and now and then of what they must not hold. */
static size_t random_text(uint64_t *g, char *p, size_t max)
{
	static const char *const part[] = {"\\n", "\\\\", "\\\"", "\\u00e9", "\\q", "\"", "\x01", "\xc3\xa9", "\x80", "\\", "\\\xee\x81\xae"};
	size_t n = 0, want = below(g, (uint32_t)max - 8);

	while (n < want) {
		const char *s = part[below(g, below(g, 60) ? 3 : 11)];

		if (below(g, 4)) {
			p[n++] = (char)('a' + below(g, 26));
			continue;
		}
		memcpy(p + n, s, strlen(s));
		n += strlen(s);
	}
	return n;
}

/* Every instruction set's loops do what those of one byte at a time do, and write nothing beyond their room. */
static void test_scan(void **state)
{
	const struct ax_json_scan *one = ax_json_scan_of(AX_JSON_SCALAR);
	uint64_t g = 7;

	for (int i = 0; i < 20000; i++) {
		char text[400], want[500], *w = want;
		size_t n = random_text(&g, text, sizeof(text)), size = n + AX_JSON_SLACK;
		char *exact = malloc(n + 1);
		bool high = below(&g, 2);
		const char *p = exact;

		memcpy(exact, text, n);
		one->copy(&p, exact + n, &w, high);
		for (int isa = AX_JSON_BASE; isa <= AX_JSON_BEST; isa++) {
			const struct ax_json_scan *many = ax_json_scan_of((enum ax_json_isa)isa);
			char *got = malloc(size + 1), *o = got;
			const char *q = exact;

			got[size] = 'x';
			assert_ptr_equal(many->plain(exact, exact + n, high), one->plain(exact, exact + n, high));
			many->copy(&q, exact + n, &o, high);
			assert_ptr_equal(q, p);
			assert_int_equal(o - got, w - want);
			assert_memory_equal(got, want, (size_t)(w - want));
			assert_int_equal(got[size], 'x');
			free(got);
		}
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values), cmocka_unit_test(test_scan), cmocka_unit_test(test_write), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_floats), cmocka_unit_test(test_val),       cmocka_unit_test(test_large_map),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
