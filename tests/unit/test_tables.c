#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "fmt/arrow.h"
#include "fmt/parquet_impl.h"
#include "text/json.h"
#include "tok/source.h"

#define GOLDEN "tests/golden/source"

static bool ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && !strcmp(s + n - m, suffix);
}

/* Each file of the folder, whose rows are told in FILE.jsonl. */
static void each_golden(void (*fn)(const char *path))
{
	DIR *d = opendir(GOLDEN);
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *it; (it = readdir(d));) {
		char path[512];

		if (!ends(it->d_name, ".parquet") && !ends(it->d_name, ".arrow"))
			continue;
		snprintf(path, sizeof(path), GOLDEN "/%s", it->d_name);
		fn(path);
		n++;
	}
	closedir(d);
	assert_true(n >= 17);
}

static void same_rows(const char *path)
{
	struct ax_source got, want;
	struct ax_record g, w;
	struct ax_err e = {0};
	char told[600];
	bool end = false, want_end = false;

	snprintf(told, sizeof(told), "%s.jsonl", path);
	assert_int_equal(ax_source_open(&got, path, AX_SOURCE_AUTO, 0, &e), 0);
	assert_int_equal(ax_source_open(&want, told, AX_SOURCE_AUTO, 0, &e), 0);
	for (;;) {
		struct ax_arena a;
		struct ax_val *x, *y;
		int rc = ax_source_next(&got, &g, &end, &e);

		if (rc)
			fail_msg("%s", e.msg);
		assert_int_equal(ax_source_next(&want, &w, &want_end, &e), 0);
		assert_int_equal(end, want_end);
		if (end)
			break;
		assert_int_equal(g.line, g.number);
		ax_arena_init(&a, 0);
		assert_int_equal(ax_json_parse(&a, g.p, g.n, &x, &e), 0);
		assert_int_equal(ax_json_parse(&a, w.p, w.n, &y, &e), 0);
		if (!ax_val_equal(x, y))
			fail_msg("%s: row %llu: %.*s", path, (unsigned long long)g.number, (int)g.n, g.p);
		ax_arena_release(&a);
	}
	ax_source_close(&got);
	ax_source_close(&want);
}

static void test_golden(void **state)
{
	each_golden(same_rows);
}

/* Is x the map y without its pairs but for `key`? */
static bool only_column(const struct ax_val *x, const struct ax_val *y, const char *key)
{
	return x->type == AX_MAP && x->n == 1 && !strcmp(x->u.pair[0].key, key) && ax_val_equal(x->u.pair[0].val, ax_val_get(y, key));
}

/* Of all rows nothing but one column. */
static void same_column(const char *path, const char *told, const char *key)
{
	const char *name[] = {"no such column", key, NULL};
	struct ax_source got, want;
	struct ax_record g, w;
	struct ax_err e = {0};
	bool end = false, want_end = false;

	assert_int_equal(ax_source_open(&got, path, AX_SOURCE_AUTO, 0, &e), 0);
	assert_int_equal(ax_source_open(&want, told, AX_SOURCE_AUTO, 0, &e), 0);
	ax_source_select(&got, name);
	for (;;) {
		struct ax_arena a;
		struct ax_val *x, *y;
		int rc = ax_source_next(&got, &g, &end, &e);

		if (rc)
			fail_msg("%s: column %s: %s", path, key, e.msg);
		assert_int_equal(ax_source_next(&want, &w, &want_end, &e), 0);
		assert_int_equal(end, want_end);
		if (end)
			break;
		ax_arena_init(&a, 0);
		assert_int_equal(ax_json_parse(&a, g.p, g.n, &x, &e), 0);
		assert_int_equal(ax_json_parse(&a, w.p, w.n, &y, &e), 0);
		if (!only_column(x, y, key))
			fail_msg("%s: column %s: row %llu: %.*s", path, key, (unsigned long long)g.number, (int)g.n, g.p);
		ax_arena_release(&a);
	}
	ax_source_close(&got);
	ax_source_close(&want);
}

static void each_column(const char *path)
{
	struct ax_source s;
	struct ax_record r;
	struct ax_arena a;
	struct ax_val *row;
	char told[600];
	bool end;

	snprintf(told, sizeof(told), "%s.jsonl", path);
	ax_arena_init(&a, 0);
	assert_int_equal(ax_source_open(&s, told, AX_SOURCE_AUTO, 0, NULL), 0);
	assert_int_equal(ax_source_next(&s, &r, &end, NULL), 0);
	if (!end) {
		assert_int_equal(ax_json_parse(&a, r.p, r.n, &row, NULL), 0);
		for (size_t i = 0; i < row->n; i++)
			same_column(path, told, row->u.pair[i].key);
	}
	ax_source_close(&s);
	ax_arena_release(&a);
}

static void test_select(void **state)
{
	each_golden(each_column);
}

/* A page of a column that is not wanted may be damaged. */
static void test_select_damaged(void **state)
{
	static const char path[] = "build/tmp-select.parquet";
	const char *name[] = {"id", NULL};
	struct ax_buf b = AX_BUF_INIT;
	struct ax_source s;
	struct ax_record r;
	size_t n = 0;
	bool end = false;

	assert_int_equal(ax_read_file(GOLDEN "/encodings.parquet", 1 << 20, &b, NULL), 0);
	memset(b.p + 320, 'X', 4); /* in a page of the column u32 */
	assert_int_equal(ax_write_file(path, b.p, b.n, NULL), 0);
	assert_int_equal(ax_source_open(&s, path, AX_SOURCE_AUTO, 0, NULL), 0);
	ax_source_select(&s, name);
	while (!ax_source_next(&s, &r, &end, NULL) && !end)
		n++;
	assert_true(end && n > 20);
	ax_source_close(&s);
	ax_buf_release(&b);
}

/* All rows of n bytes at p; 0 or the error. */
static int read_bytes(const unsigned char *p, size_t n, bool parquet, struct ax_err *e)
{
	struct ax_table_file file = {.name = "data", .p = p, .n = n, .row_max = 1 << 20};
	struct ax_parquet *q = NULL;
	struct ax_arrow *a = NULL;
	struct ax_buf b = AX_BUF_INIT;
	bool end = false;
	int rc = parquet ? ax_parquet_open(&q, &file, e) : ax_arrow_open(&a, &file, e);

	for (int i = 0; !rc && !end && i < 1000; i++) {
		ax_buf_reset(&b);
		rc = parquet ? ax_parquet_next(q, &b, &end, e) : ax_arrow_next(a, &b, &end, e);
	}
	ax_parquet_close(q);
	ax_arrow_close(a);
	ax_buf_release(&b);
	return rc;
}

/* Damaged at any byte or cut anywhere, a file gives rows or an error that names it, and nothing worse. */
static void damage(const char *path)
{
	bool parquet = ends(path, ".parquet");
	struct ax_buf b = AX_BUF_INIT;
	unsigned char *copy;

	assert_int_equal(ax_read_file(path, 1 << 20, &b, NULL), 0);
	for (size_t i = 0; i < b.n; i += 1 + b.n / 250) {
		struct ax_err e = {0};

		b.p[i] ^= (char)(1 << i % 8);
		assert_true(read_bytes((unsigned char *)b.p, b.n, parquet, &e) == 0 || !strncmp(e.msg, "data: ", 6));
		b.p[i] ^= (char)(1 << i % 8);
		copy = ax_malloc(i); /* of that length, so that a sanitizer sees what lies beyond */
		assert_non_null(copy);
		memcpy(copy, b.p, i);
		e.code = 0;
		assert_true(read_bytes(copy, i, parquet, &e) != 0 || !parquet);
		ax_free(copy);
	}
	ax_buf_release(&b);
}

static void test_damage(void **state)
{
	each_golden(damage);
}

static void test_cut_arrow(void **state)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_err e = {0};

	assert_int_equal(ax_read_file(GOLDEN "/chat-stream.arrow", 1 << 20, &b, NULL), 0);
	assert_int_equal(read_bytes((unsigned char *)b.p, b.n - 100, false, &e), AX_EDATA);
	assert_non_null(strstr(e.msg, "the file ends in the middle of a message"));
	assert_int_equal(read_bytes((unsigned char *)b.p, b.n - 8, false, &e), 0); /* an end mark is not needed */
	ax_buf_release(&b);
}

/* Columns that contradict each other: an error, not rows put together somehow. */
static void test_contradictions(void **state)
{
	static const char levels[] = "column q: its levels do not fit those of its neighbours";
	static const char *const bad[][2] = {
	    {GOLDEN "/def-levels.parquet.bad", levels},
	    {GOLDEN "/rep-levels.parquet.bad", levels},
	    {GOLDEN "/leaf-levels.parquet.bad", levels},
	    {GOLDEN "/more-values.parquet.bad", "column q: it has more values than rows"},
	    {GOLDEN "/short-child.arrow.bad", "column s: it has more values than its children"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct ax_buf b = AX_BUF_INIT;
		struct ax_err e = {0};

		assert_int_equal(ax_read_file(bad[i][0], 1 << 20, &b, NULL), 0);
		assert_int_equal(read_bytes((unsigned char *)b.p, b.n, strstr(bad[i][0], "parquet"), &e), AX_EDATA);
		if (!strstr(e.msg, bad[i][1]))
			fail_msg("%s: %s", bad[i][0], e.msg);
		ax_buf_release(&b);
	}
}

/* A prefix of a value that there is not, and one that there is. */
static void test_prefixes(void **state)
{
	static const unsigned char bad[] = {0x80, 1, 4, 1, 10, 0x80, 1, 4, 1, 2, 'x'};
	unsigned char good[sizeof(bad)];
	struct pq_node node = {.type = PQ_BYTE_ARRAY};
	struct pq_leaf *l = ax_calloc(1, sizeof(*l));

	assert_non_null(l);
	l->node = &node;
	assert_null(pq_values_init(l, PQ_DELTA_BYTES, bad, sizeof(bad), 1));
	assert_string_equal(pq_values_get(l, 1), "a text is longer than its page");
	memcpy(good, bad, sizeof(bad));
	good[4] = 0;
	assert_null(pq_values_init(l, PQ_DELTA_BYTES, good, sizeof(good), 1));
	assert_null(pq_values_get(l, 1));
	assert_int_equal(l->val[0].u, 1);
	ax_buf_release(&l->scratch);
	ax_free(l);
}

static void test_thrift_depth(void **state)
{
	unsigned char deep[300];
	struct ax_thrift t = {.p = deep, .end = deep + sizeof(deep)};

	memset(deep, 0x1c, 100); /* field 1, a struct */
	memset(deep + 100, 0, 200);
	ax_thrift_skip_struct(&t);
	assert_true(t.bad);
	t = (struct ax_thrift){.p = deep + 90, .end = deep + sizeof(deep)};
	ax_thrift_skip_struct(&t);
	assert_false(t.bad);
	assert_ptr_equal(t.p, deep + 111);
}

static void test_row_max(void **state)
{
	struct ax_source s;
	struct ax_record r;
	struct ax_err e = {0};
	bool end;

	assert_int_equal(ax_source_open(&s, GOLDEN "/types-gzip.parquet", AX_SOURCE_AUTO, 100, &e), 0);
	assert_int_equal(ax_source_next(&s, &r, &end, &e), AX_EMEM);
	assert_non_null(strstr(e.msg, "a row of more than"));
	ax_source_close(&s);
}

/* --- cells --- */

static struct ax_buf cell;

static void is(const char *want)
{
	assert_string_equal(cell.p, want);
	ax_buf_reset(&cell);
}

static void test_cells(void **state)
{
	const unsigned char minus_one[32] = {[0 ... 31] = 0xff}, big[4] = {0, 0, 0x30, 0x39};

	ax_cell_i64(&cell, INT64_MIN), is("-9223372036854775808");
	ax_cell_u64(&cell, UINT64_MAX), is("18446744073709551615");
	ax_cell_f64(&cell, -0.0), is("-0.0");
	ax_cell_f64(&cell, 1e15), is("1000000000000000.0");
	ax_cell_f64(&cell, 0.1), is("0.10000000000000001");
	ax_cell_f64(&cell, ax_cell_half(0xfc00)), is("-Infinity");
	ax_cell_f64(&cell, ax_cell_half(0x0001)), is("5.9604644775390625e-08");
	ax_cell_str(&cell, "a\"\\\n\x01\0\x7f\xc3\xa9", 9), is("\"a\\\"\\\\\\n\\u0001\\u0000\x7f\xc3\xa9\"");
	ax_cell_date(&cell, -719162), is("\"0001-01-01\"");
	ax_cell_date(&cell, 11016), is("\"2000-02-29\"");
	ax_cell_timestamp(&cell, -1, AX_UNIT_NS, true), is("\"1969-12-31 23:59:59.999999999+00:00\"");
	ax_cell_timestamp(&cell, 1500, AX_UNIT_MS, false), is("\"1970-01-01 00:00:01.500000\"");
	ax_cell_duration(&cell, -1, AX_UNIT_S), is("\"-1 day, 23:59:59\"");
	ax_cell_duration(&cell, 7200, AX_UNIT_S), is("\"2:00:00\"");
	assert_true(ax_cell_decimal(&cell, minus_one, 32, false, 3)), is("\"-0.001\"");
	assert_true(ax_cell_decimal(&cell, big, 4, true, 2)), is("\"123.45\"");
	assert_true(ax_cell_decimal(&cell, big, 4, true, -2)), is("\"1234500\"");
	assert_true(ax_cell_decimal(&cell, big, 4, true, 5)), is("\"0.12345\"");
	assert_true(ax_cell_json(&cell, "[1]", 3)), is("[1]");
	assert_false(ax_cell_json(&cell, "1,\"x\":2", 7));
	ax_buf_release(&cell);
}

/* --- blocks --- */

static void test_unpack(void **state)
{
	/* "abcd" and 12 bytes from 4 before; the same as an LZ4 block with a last literal */
	static const unsigned char snappy[] = {16, 3 << 2, 'a', 'b', 'c', 'd', 11 << 2 | 2, 4, 0};
	static const unsigned char lz4[] = {0x48, 'a', 'b', 'c', 'd', 4, 0, 0x10, '!'};
	static const unsigned char before[] = {0x10, 'a', 5, 0, 0x50, 'b', 'c', 'd', 'e', 'f'};
	unsigned char out[32];
	struct ax_err e = {0};

	assert_int_equal(ax_unpack(AX_CODEC_SNAPPY, snappy, sizeof(snappy), out, 16, &e), 0);
	assert_memory_equal(out, "abcdabcdabcdabcd", 16);
	assert_int_equal(ax_unpack(AX_CODEC_LZ4_RAW, lz4, sizeof(lz4), out, 17, &e), 0);
	assert_memory_equal(out, "abcdabcdabcdabcd!", 17);
	for (size_t n = 0; n < sizeof(snappy); n++)
		assert_int_equal(ax_unpack(AX_CODEC_SNAPPY, snappy, n, out, 16, &e), AX_EDATA);
	assert_int_equal(ax_unpack(AX_CODEC_SNAPPY, snappy, sizeof(snappy), out, 15, &e), AX_EDATA);
	assert_int_equal(ax_unpack(AX_CODEC_LZ4_RAW, lz4, sizeof(lz4), out, 16, &e), AX_EDATA);
	assert_int_equal(ax_unpack(AX_CODEC_LZ4_RAW, before, sizeof(before), out + 16, 10, &e), AX_EDATA);
	assert_int_equal(ax_unpack_check(AX_CODEC_SNAPPY, 100, 3000, &e), AX_EDATA);
	assert_int_equal(ax_unpack_check(AX_CODEC_ZSTD, 1 << 20, UINT64_C(1) << 40, &e), AX_EMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden),
		cmocka_unit_test(test_select),
		cmocka_unit_test(test_select_damaged), cmocka_unit_test(test_damage), cmocka_unit_test(test_cut_arrow),
	    cmocka_unit_test(test_row_max), cmocka_unit_test(test_cells), cmocka_unit_test(test_unpack),
	    cmocka_unit_test(test_contradictions), cmocka_unit_test(test_prefixes), cmocka_unit_test(test_thrift_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
