#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/io.h"
#include "base/mem.h"
#include "tok/source.h"

#define DIR_OUT "build/tmp-source"

static const char *put(const char *name, const void *p, size_t n)
{
	static char path[256];
	struct ax_err e = {0};

	assert_int_equal(ax_mkdirs(DIR_OUT, &e), 0);
	snprintf(path, sizeof(path), DIR_OUT "/%s", name);
	assert_int_equal(ax_write_file(path, p, n, &e), 0);
	return path;
}

static const char *puts_file(const char *name, const char *s)
{
	return put(name, s, strlen(s));
}

/* All records joined by '|', each as LINE:TEXT; an error ends the list with !MESSAGE. */
static void read_all(const char *path, enum ax_source_format format, size_t row_max, struct ax_buf *b)
{
	struct ax_source s;
	struct ax_record r;
	struct ax_err e = {0};
	bool end = false;
	int rc = ax_source_open(&s, path, format, row_max, &e);

	ax_buf_reset(b);
	if (rc) {
		ax_buf_addf(b, "!%s", e.msg);
		return;
	}
	while (!(rc = ax_source_next(&s, &r, &end, &e)) && !end)
		ax_buf_addf(b, "%s%llu:%.*s", b->n ? "|" : "", (unsigned long long)r.line, (int)r.n, r.p);
	if (rc)
		ax_buf_addf(b, "!%s", e.msg);
	if (!b->n)
		ax_buf_adds(b, "");
	ax_source_close(&s);
}

static void check(const char *path, enum ax_source_format format, const char *want)
{
	struct ax_buf b = AX_BUF_INIT;

	read_all(path, format, 0, &b);
	assert_string_equal(b.p ? b.p : "", want);
	ax_buf_release(&b);
}

static void test_lines(void **state)
{
	check(puts_file("a.jsonl", "{\"a\":1}\n\n  {\"b\":2}\r\n{\"c\":3}"), AX_SOURCE_AUTO,
	      "1:{\"a\":1}|3:{\"b\":2}|4:{\"c\":3}");
	check(puts_file("bom.jsonl", "\xef\xbb\xbf{}\n"), AX_SOURCE_AUTO, "1:{}");
	check(puts_file("empty", ""), AX_SOURCE_AUTO, "");
	check(puts_file("blank", " \n\n \t"), AX_SOURCE_AUTO, "");
}

static void test_text(void **state)
{
	check(puts_file("a.txt", "one\n\n[three\n"), AX_SOURCE_AUTO, "1:one|2:|3:[three");
	check(puts_file("b", "x\ny"), AX_SOURCE_TEXT, "1:x|2:y");
}

static void test_array(void **state)
{
	check(puts_file("a.json", " [\n {\"a\": [1, 2]},\n {\"b\": \"],\\\"\"}\n]\n"), AX_SOURCE_AUTO,
	      "2:{\"a\": [1, 2]}|3:{\"b\": \"],\\\"\"}");
	check(puts_file("e.json", "[ ]"), AX_SOURCE_AUTO, "");
	check(puts_file("cut.json", "[{\"a\":1},{\"b\""), AX_SOURCE_AUTO,
	      "1:{\"a\":1}!" DIR_OUT "/cut.json:1: the file ends inside the array");
	check(puts_file("hole.json", "[1,\n,2]"), AX_SOURCE_AUTO,
	      "1:1!" DIR_OUT "/hole.json:2: an element is missing in the array");
	check(puts_file("more.json", "[1]\n2"), AX_SOURCE_AUTO,
	      "1:1!" DIR_OUT "/more.json:2: something follows the array's end");
}

static void test_refused(void **state)
{
	check(puts_file("p.jsonl", "PAR1...."), AX_SOURCE_AUTO, "!" DIR_OUT "/p.jsonl: no Parquet file");
	check(puts_file("p.jsonl", "PAR1............"), AX_SOURCE_AUTO,
	      "!" DIR_OUT "/p.jsonl: byte 12: the Parquet file is cut: it does not end with \"PAR1\"");
	check(puts_file("p.jsonl", "PAR1...."), AX_SOURCE_JSON,
	      "!" DIR_OUT "/p.jsonl: the content is Parquet, but the name or ds_type says otherwise");
	check(puts_file("z.jsonl", "PK\003\004...."), AX_SOURCE_AUTO,
	      "!" DIR_OUT "/z.jsonl: a zip file is not read: unpack it first (unzip)");
	check(puts_file("b.jsonl", "BZh91AY&SY"), AX_SOURCE_AUTO,
	      "!" DIR_OUT "/b.jsonl: a bzip2 file is not read: unpack it first (bzip2 -d)");
	check(puts_file("u.csv", "\xff\xfe" "a"), AX_SOURCE_AUTO,
	      "!" DIR_OUT "/u.csv: UTF-16 text is not read: convert it to UTF-8 (iconv -t UTF-8)");
}

static void test_csv(void **state)
{
	check(puts_file("a.csv", "\xef\xbb\xbf" "a,\"b\"\"c\",a,\n\n1,\"x,\ny\",,\r\n  \n007,\"q\"z\r\"\",\" \",t\"u\"\n"), AX_SOURCE_AUTO,
	      "3:{\"a\":\"1\",\"b\\\"c\":\"x,\\ny\",\"a.1\":null,\"Unnamed: 3\":null}|"
	      "6:{\"a\":\"007\",\"b\\\"c\":\"qz\",\"a.1\":null,\"Unnamed: 3\":null}|"
	      "7:{\"a\":null,\"b\\\"c\":\" \",\"a.1\":\"t\\\"u\\\"\",\"Unnamed: 3\":null}");
	check(puts_file("a.tsv", "a\tb\n1,2\t3"), AX_SOURCE_AUTO, "2:{\"a\":\"1,2\",\"b\":\"3\"}");
	check(puts_file("more.csv", "a,b\n1,2\n1,2,3\n"), AX_SOURCE_AUTO,
	      "2:{\"a\":\"1\",\"b\":\"2\"}!" DIR_OUT "/more.csv:3: more fields than the 2 columns of the header");
	check(puts_file("open.csv", "a\n\n\"1\n2\n"), AX_SOURCE_AUTO,
	      "!" DIR_OUT "/open.csv:3: a quote is opened and not closed");
	check(puts_file("crlf.csv", "a\r\n\"x\r\ny\"\r\n1\r\n"), AX_SOURCE_AUTO, "2:{\"a\":\"x\\r\\ny\"}|4:{\"a\":\"1\"}");
	check(puts_file("none.csv", ""), AX_SOURCE_AUTO, "");
	check(puts_file("head.csv", "a,b"), AX_SOURCE_AUTO, "");
}

static void test_long_rows(void **state)
{
	size_t n = 700000;
	char *s = ax_malloc(n + 64), head[80];
	struct ax_buf b = AX_BUF_INIT;
	const char *path;

	memset(s, 'x', n);
	s[0] = '"';
	s[n - 1] = '"';
	memcpy(s + n, "\n2\n", 3);
	path = put("long.jsonl", s, n + 3);
	read_all(path, AX_SOURCE_AUTO, 0, &b);
	assert_int_equal(b.n, 2 + n + 4);
	assert_string_equal(b.p + 2 + n, "|2:2");
	read_all(path, AX_SOURCE_AUTO, 1 << 20, &b);
	assert_int_equal(b.n, 2 + n + 4);
	read_all(path, AX_SOURCE_AUTO, 100000, &b);
	snprintf(head, sizeof(head), "!%s:1: a row of more than 0 MiB", path);
	assert_string_equal(b.p, head);
	ax_buf_release(&b);
	ax_free(s);
}

static size_t gzip(const void *p, size_t n, unsigned char *out, size_t cap)
{
	z_stream z = {0};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (unsigned char *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	z.next_out = out;
	z.avail_out = (uInt)cap;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	n = cap - z.avail_out;
	deflateEnd(&z);
	return n;
}

static void test_compressed(void **state)
{
	static const char a[] = "{\"a\":1}\n{\"b\"", b[] = ":2}\n";
	unsigned char z[512];
	size_t n = gzip(a, strlen(a), z, sizeof(z));
	char want[128];

	n += gzip(b, strlen(b), z + n, sizeof(z) - n);
	check(put("two.bin", z, n), AX_SOURCE_AUTO, "1:{\"a\":1}|2:{\"b\":2}");
	snprintf(want, sizeof(want), "!" DIR_OUT "/cut.bin: compressed data ends at byte %zu, in the middle", n - 9);
	check(put("cut.bin", z, n - 9), AX_SOURCE_AUTO, want);
	n = ZSTD_compress(z, sizeof(z), a, strlen(a), 3);
	n += ZSTD_compress(z + n, sizeof(z) - n, b, strlen(b), 3);
	check(put("two.zst", z, n), AX_SOURCE_AUTO, "1:{\"a\":1}|2:{\"b\":2}");
}

static void test_damaged(void **state)
{
	unsigned char z[256];
	struct ax_buf b = AX_BUF_INIT;
	char text[400];
	size_t n;

	memset(text, 'a', sizeof(text));
	n = gzip(text, sizeof(text), z, sizeof(z));
	z[12] ^= 0xff;
	read_all(put("bad.gz", z, n), AX_SOURCE_TEXT, 0, &b);
	assert_non_null(strstr(b.p, "bad.gz: damaged gzip data"));
	ax_buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),   cmocka_unit_test(test_text),      cmocka_unit_test(test_array),
	    cmocka_unit_test(test_refused), cmocka_unit_test(test_long_rows), cmocka_unit_test(test_compressed),
	    cmocka_unit_test(test_damaged), cmocka_unit_test(test_csv),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
