#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "text/json.h"
#include "text/yaml.h"

static void json_is(const struct ax_val *v, const char *want)
{
	struct ax_buf b = AX_BUF_INIT;

	ax_json_write(&b, v, 0);
	assert_string_equal(b.p, want);
	ax_buf_release(&b);
}

static void reads(const char *yaml, const char *want)
{
	struct ax_arena a;
	struct ax_err e = {0};
	struct ax_val *v, *w;
	struct ax_buf b = AX_BUF_INIT;

	ax_arena_init(&a, 0);
	if (ax_yaml_parse(&a, yaml, strlen(yaml), &v, &e))
		fail_msg("%s: %s", yaml, e.msg);
	json_is(v, want);
	ax_yaml_write(&b, v);
	if (ax_yaml_parse(&a, b.p, b.n, &w, &e))
		fail_msg("%s: %s", b.p, e.msg);
	json_is(w, want);
	ax_buf_release(&b);
	ax_arena_release(&a);
}

/* Expected values: PyYAML 6.0.3, safe_load. */
static void test_scalars(void **state)
{
	reads("[yes, No, on, OFF, true, y, tRue]", "[true,false,true,false,true,\"y\",\"tRue\"]");
	reads("[~, null, NULL, nul]", "[null,null,null,\"nul\"]");
	reads("[500_000, 0x1F, 0b11, 017, 08, 0o7, -0, +1, 1:30, -190:20:30, 1:60]",
	      "[500000,31,3,15,\"08\",\"0o7\",0,1,90,-685230,\"1:60\"]");
	reads("[2e-5, 2.0e-5, 1.0e5, 1., .5, -.5, 1_0.5, 1:30.5]",
	      "[\"2e-5\",2e-05,\"1.0e5\",1.0,0.5,\"-.5\",10.5,90.5]");
	reads("[.inf, -.INF, .NaN, +.nan]", "[Infinity,-Infinity,NaN,\"+.nan\"]");
	reads("[9223372036854775807, -9223372036854775808, 9223372036854775808]",
	      "[9223372036854775807,-9223372036854775808,9.223372036854776e+18]");
	reads("[2001-01-01, 'yes', \"1\", !!str 1, !!int '2', !!float 3]", "[\"2001-01-01\",\"yes\",\"1\",\"1\",2,3.0]");
}

static void test_structure(void **state)
{
	reads("", "null");
	reads("a:\n- b\n-\n- c: 1\n  d:\n", "{\"a\":[\"b\",null,{\"c\":1,\"d\":null}]}");
	reads("a: |\n  x\n  y\nb: >-\n  p\n  q\n", "{\"a\":\"x\\ny\\n\",\"b\":\"p q\"}");
	reads("a: 1\nb: 2\na: 3\n", "{\"a\":3,\"b\":2}");
	reads("on: 1\n1: 2\n", "{\"on\":1,\"1\":2}");
	reads("b: &x {a: 1, b: 2}\nc: {b: 3, <<: *x, d: 4}\n", "{\"b\":{\"a\":1,\"b\":2},\"c\":{\"a\":1,\"b\":3,\"d\":4}}");
	reads("b: &x {a: 1}\nc: {<<: [*x, {a: 5, z: 6}]}\n", "{\"b\":{\"a\":1},\"c\":{\"a\":1,\"z\":6}}");
	reads("- &a [1]\n- *a\n", "[[1],[1]]");
}

static void test_write(void **state)
{
	struct ax_arena a;
	struct ax_err e;
	struct ax_val *v;
	struct ax_buf b = AX_BUF_INIT;
	const char *json = "{\"lr\":2e-5,\"s\":\"2e-5\",\"on\":\"on\",\"p\":\"/a/b c\",\"q\":\" x\",\"d\":[{\"path\":\"x\",\"n\":[]},[1,2]],\"e\":{}}";

	ax_arena_init(&a, 0);
	assert_int_equal(ax_json_parse(&a, json, strlen(json), &v, &e), 0);
	ax_yaml_write(&b, v);
	assert_string_equal(b.p, "lr: 2.0e-05\ns: \"2e-5\"\n\"on\": \"on\"\np: /a/b c\nq: \" x\"\n"
				 "d:\n  - path: x\n    n: []\n  - - 1\n    - 2\ne: {}\n");
	ax_buf_release(&b);
	ax_arena_release(&a);
}

static void test_errors(void **state)
{
	static const char *const bad[][2] = {
		{"a: [1,\nb: }", "line 2, column 4: did not find expected node content while parsing a flow node"},
		{"a: *x", "line 1, column 4: undefined alias"},
		{"a: &x [*x]", "line 1, column 8: an alias inside its own anchor"},
		{"a: &x 1\nb: &x 2", "line 2, column 4: this anchor exists already"},
		{"a: !python/object x", "line 1, column 4: unsupported tag"},
		{"a: !!int x", "line 1, column 4: the value does not fit its tag"},
		{"? [1]\n: 2", "line 1, column 3: a key must be a scalar"},
		{"<<: 3", "line 1, column 1: expected a mapping or list of mappings for merging"},
		{"a: 1\n---\nb: 2", "line 2, column 1: expected a single document, found another"},
		{"a: \xff", "byte 3: invalid leading UTF-8 octet"},
	};
	struct ax_arena a;
	struct ax_val *v;

	ax_arena_init(&a, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ax_err e = {0};

		assert_int_equal(ax_yaml_parse(&a, bad[i][0], strlen(bad[i][0]), &v, &e), AX_EDATA);
		assert_string_equal(e.msg, bad[i][1]);
	}
	ax_arena_release(&a);
}

/* Aliases of aliases: 10^9 values in a few lines. */
static void test_limits(void **state)
{
	struct ax_arena a;
	struct ax_err e = {0};
	struct ax_val *v;
	struct ax_buf b = AX_BUF_INIT;

	ax_arena_init(&a, 0);
	ax_buf_adds(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 9; i++)
		ax_buf_addf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
			    i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	assert_int_equal(ax_yaml_parse(&a, b.p, b.n, &v, &e), AX_EDATA);
	assert_non_null(strstr(e.msg, "too many values"));
	ax_buf_reset(&b);
	ax_buf_adds(&b, "- &a0 [x]\n");
	for (int i = 1; i < 120; i++)
		ax_buf_addf(&b, "- &a%d [*a%d]\n", i, i - 1);
	assert_int_equal(ax_yaml_parse(&a, b.p, b.n, &v, &e), AX_EDATA);
	assert_string_equal(e.msg, "line 100, column 9: nested too deeply");
	ax_buf_release(&b);
	ax_arena_release(&a);
}

static void test_file_and_scalar(void **state)
{
	struct ax_arena a;
	struct ax_err e = {0};
	struct ax_val *v;
	const char *path = "build/tmp-yaml.yaml";

	ax_arena_init(&a, 0);
	assert_int_equal(ax_mkdirs("build", &e), 0);
	assert_int_equal(ax_write_file(path, "a: 1\nb:\n  - c\n", 14, &e), 0);
	assert_int_equal(ax_yaml_file(&a, path, &v, &e), 0);
	assert_int_equal(ax_val_get(v, "b")->line, 3);
	assert_int_equal(ax_write_file(path, "a: 1\nb: ]\n", 10, &e), 0);
	assert_int_equal(ax_yaml_file(&a, path, &v, &e), AX_EDATA);
	assert_non_null(strstr(e.msg, "build/tmp-yaml.yaml:2: did not find expected node content"));
	remove(path);
	assert_int_equal(ax_yaml_scalar(&a, "{a: [1, yes]}", &v, &e), 0);
	json_is(v, "{\"a\":[1,true]}");
	assert_int_equal(ax_yaml_scalar(&a, "a: b # c", &v, &e), 0);
	json_is(v, "\"a: b # c\"");
	assert_int_equal(ax_yaml_scalar(&a, "2.0e-5", &v, &e), 0);
	json_is(v, "2e-05");
	assert_int_equal(ax_yaml_scalar(&a, "[1", &v, &e), AX_EUSAGE);
	ax_arena_release(&a);
}

/* What PyYAML 6's yaml.dump(default_flow_style=False) gives for the same value. */
static void dumps(const char *json, const char *want)
{
	struct ax_arena a;
	struct ax_err e = {0};
	struct ax_val *v;
	struct ax_buf b = AX_BUF_INIT;

	ax_arena_init(&a, 0);
	assert_int_equal(ax_json_parse(&a, json, strlen(json), &v, &e), 0);
	assert_true(ax_yaml_dump(&b, v));
	assert_string_equal(b.p, want);
	ax_buf_release(&b);
	ax_arena_release(&a);
}

static void test_dump(void **state)
{
	dumps("{\"b\":5,\"a\":{\"x\":[1,null,[true]],\"y\":{},\"z\":[]}}",
	      "a:\n  x:\n  - 1\n  - null\n  - - true\n  y: {}\n  z: []\nb: 5\n");
	dumps("{\"a\":\"None: fine.\",\"b\":\"- x\",\"c\":\"yes\",\"d\":\"\",\"e\":\"it's\",\"f\":\"2001-12-14\"}",
	      "a: 'None: fine.'\nb: '- x'\nc: 'yes'\nd: ''\ne: it's\nf: '2001-12-14'\n");
	dumps("{\"a\":\"x\\ny\\n\",\"b\":\"\\u00e9\\t\\ud83d\\ude00\"}", "a: 'x\n\n  y\n\n  '\nb: \"\\xE9\\t\\U0001F600\"\n");
	dumps("{\"k\\nl\":1,\"a\":1e20}", "a: 1.0e+20\n? 'k\n\n  l'\n: 1\n");
	dumps("{\"a\":\"one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen\"}",
	      "a: one two three four five six seven eight nine ten eleven twelve thirteen fourteen\n  fifteen\n");
	dumps("{\"a\":\"- one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen\"}",
	      "a: '- one two three four five six seven eight nine ten eleven twelve thirteen fourteen\n  fifteen'\n");
	dumps("{\"a\":\"\\u00e9 one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen\"}",
	      "a: \"\\xE9 one two three four five six seven eight nine ten eleven twelve thirteen fourteen\\\n"
	      "  \\ fifteen\"\n");
	dumps("\"x\"", "x\n...\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scalars), cmocka_unit_test(test_structure), cmocka_unit_test(test_write),
		cmocka_unit_test(test_errors),  cmocka_unit_test(test_limits),    cmocka_unit_test(test_file_and_scalar),
		cmocka_unit_test(test_dump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
