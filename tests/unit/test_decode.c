/* Decoders of tokenizer.json against Hugging Face tokenizers 0.23.2 (tests/golden/tokenizers/make_decode.py), and bad ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "text/json.h"
#include "tok/decode.h"
#include "tok/tokenizer.h"

#define GOLDEN "tests/golden/tokenizers/decode.json"

static struct ax_arena arena;

/* The goldens' tokenizer with this decoder. */
static int open_with(struct ax_tokenizer **t, const struct ax_val *base, const struct ax_val *decoder, struct ax_err *e)
{
	struct ax_val *copy = ax_val_copy(&arena, base);
	struct ax_buf b = AX_BUF_INIT;
	int rc;

	assert_true(ax_val_set(&arena, copy, "decoder", (struct ax_val *)(uintptr_t)decoder));
	ax_json_write(&b, copy, 0);
	rc = ax_tokenizer_parse(t, b.p, b.n, e);
	ax_buf_release(&b);
	return rc;
}

static struct ax_val *read_goldens(void)
{
	struct ax_val *v = NULL;
	struct ax_err e = {0};

	if (ax_json_file(&arena, GOLDEN, (size_t)8 << 20, &v, &e))
		fail_msg("%s", e.msg);
	return v;
}

static size_t decode_list(const struct ax_tokenizer *t, const struct ax_val *list, unsigned flags, struct ax_buf *b)
{
	uint32_t id[256];

	assert_true(list->n < 256);
	for (size_t i = 0; i < list->n; i++)
		id[i] = (uint32_t)list->u.item[i]->u.i;
	ax_buf_reset(b);
	assert_int_equal(ax_tokenizer_decode(t, id, list->n, flags, b, NULL), 0);
	return list->n;
}

static void test_goldens(void **state)
{
	const struct ax_val *g = read_goldens(), *lists = ax_val_get(g, "lists"), *cases = ax_val_get(g, "cases");
	struct ax_buf b = AX_BUF_INIT;

	assert_true(ax_val_len(cases) > 25 && ax_val_len(lists) > 100);
	for (size_t c = 0; c < cases->n; c++) {
		const struct ax_val *want[2] = {ax_val_get(cases->u.item[c], "whole"), ax_val_get(cases->u.item[c], "plain")};
		struct ax_tokenizer *t;
		struct ax_err e = {0};

		if (open_with(&t, ax_val_get(g, "tokenizer"), ax_val_get(cases->u.item[c], "decoder"), &e))
			fail_msg("case %zu: %s", c, e.msg);
		for (size_t i = 0; i < lists->n; i++)
			for (int skip = 0; skip < 2; skip++) {
				const struct ax_val *w = ax_val_at(want[skip], i);

				decode_list(t, lists->u.item[i], skip ? AX_DECODE_SKIP_SPECIAL : 0, &b);
				if (b.n != w->n || (b.n && memcmp(b.p, w->u.s, b.n)))
					fail_msg("case %zu, list %zu, skip %d: \"%s\", not \"%.*s\"", c, i, skip, b.n ? b.p : "", (int)w->n, w->u.s);
			}
		ax_tokenizer_free(t);
	}
	ax_buf_release(&b);
}

/* Text is added behind what the buffer holds. */
static void test_appends(void **state)
{
	const struct ax_val *g = read_goldens();
	struct ax_buf b = AX_BUF_INIT;
	struct ax_tokenizer *t;
	const uint32_t id[] = {0, 1};

	assert_int_equal(open_with(&t, ax_val_get(g, "tokenizer"), ax_val_null(&arena), NULL), 0);
	ax_buf_adds(&b, "> ");
	assert_int_equal(ax_tokenizer_decode(t, id, 2, 0, &b, NULL), 0);
	assert_string_equal(b.p, "> a b");
	ax_tokenizer_free(t);
	ax_buf_release(&b);
}

/* HF stops at more than a text has; we take what there is. */
static void test_strip_both(void **state)
{
	const struct ax_val *g = read_goldens();
	struct ax_buf b = AX_BUF_INIT;
	struct ax_tokenizer *t;
	struct ax_val *d;
	const uint32_t id[] = {54, 53, 0};

	assert_int_equal(ax_json_parse(&arena, "{\"type\": \"Strip\", \"content\": \"_\", \"start\": 1, \"stop\": 9}", 56, &d, NULL), 0);
	assert_int_equal(open_with(&t, ax_val_get(g, "tokenizer"), d, NULL), 0);
	assert_int_equal(ax_tokenizer_decode(t, id, 3, 0, &b, NULL), 0);
	assert_string_equal(b.p, "_aa");
	ax_tokenizer_free(t);
	ax_buf_release(&b);
}

static void test_bad(void **state)
{
	static const char *const bad[][2] = {
		{"5", "unknown type"},
		{"{\"type\": \"Rot13\"}", "unknown type"},
		{"{\"type\": \"Strip\", \"content\": \"ab\", \"start\": 0, \"stop\": 0}", "not one character"},
		{"{\"type\": \"Strip\", \"content\": \"a\", \"start\": -1, \"stop\": 0}", "\"start\" is missing or not a count"},
		{"{\"type\": \"WordPiece\", \"prefix\": \"##\"}", "\"cleanup\" is missing"},
		{"{\"type\": \"Metaspace\", \"replacement\": \"a\", \"add_prefix_space\": false, \"prepend_scheme\": \"first\"}", "does not match"},
		{"{\"type\": \"Metaspace\", \"replacement\": \"\"}", "not one character"},
		{"{\"type\": \"Replace\", \"pattern\": {}, \"content\": \"\"}", "\"String\" is missing"},
		{"{\"type\": \"Sequence\"}", "without a list"},
		{"{\"type\": \"CTC\", \"pad_token\": 1}", "\"pad_token\" is missing"},
		{"{\"type\": \"BPEDecoder\"}", "\"suffix\" is missing"},
	};
	const struct ax_val *g = read_goldens();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ax_tokenizer *t = NULL;
		struct ax_err e = {0};
		struct ax_val *d;

		assert_int_equal(ax_json_parse(&arena, bad[i][0], strlen(bad[i][0]), &d, NULL), 0);
		assert_int_equal(open_with(&t, ax_val_get(g, "tokenizer"), d, &e), AX_EDATA);
		if (!strstr(e.msg, bad[i][1]))
			fail_msg("%s: %s", bad[i][0], e.msg);
	}
}

/* A decoder that cannot be exact does not keep the tokenizer from encoding. */
static void test_refused_regex(void **state)
{
	static const char text[] = "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"(a\"}, \"content\": \"\"}";
	const struct ax_val *g = read_goldens();
	struct ax_buf b = AX_BUF_INIT;
	struct ax_tokenizer *t;
	struct ax_err e = {0};
	struct ax_val *d;
	const uint32_t id = 0;

	assert_int_equal(ax_json_parse(&arena, text, sizeof(text) - 1, &d, NULL), 0);
	assert_int_equal(open_with(&t, ax_val_get(g, "tokenizer"), d, NULL), 0);
	assert_int_equal(ax_tokenizer_decode(t, &id, 1, 0, &b, &e), AX_EDATA);
	assert_non_null(strstr(e.msg, "decoder: Replace: "));
	ax_tokenizer_free(t);
	ax_buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goldens), cmocka_unit_test(test_appends), cmocka_unit_test(test_strip_both),
		cmocka_unit_test(test_bad), cmocka_unit_test(test_refused_regex),
	};
	int rc;

	ax_arena_init(&arena, (size_t)256 << 20);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	ax_arena_release(&arena);
	return rc;
}
