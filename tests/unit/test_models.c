/*
 * Models other than BPE, the map normalizer, clusters, and SentencePiece files, against what Hugging Face tokenizers 0.23.2
 * and transformers 5 gave (tests/golden/tokenizers/make_models.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/mem.h"
#include "text/breaks.h"
#include "text/json.h"
#include "tok/charsmap.h"
#include "tok/effective.h"
#include "tok/spm.h"
#include "tok/tokenizer_impl.h"

#define DIR "tests/golden/tokenizers/"

static struct ax_arena arena;
static struct ax_val *golden;

static int setup(void **state)
{
	(void)state;
	ax_arena_init(&arena, 0);
	return ax_json_file(&arena, DIR "models.json", (size_t)8 << 20, &golden, NULL);
}

static int teardown(void **state)
{
	(void)state;
	ax_arena_release(&arena);
	return 0;
}

static struct ax_tokenizer *open_one(const char *name)
{
	struct ax_tokenizer *t;
	struct ax_err e = { 0 };
	char path[256];

	snprintf(path, sizeof(path), DIR "%s.json", name);
	if (ax_tokenizer_open(&t, path, &e))
		fail_msg("%s", e.msg);
	return t;
}

static void same(const char *name, size_t input, const struct ax_ids *got, const struct ax_val *want)
{
	if (got->n != want->n)
		fail_msg("%s, input %zu: %zu ids, not %zu", name, input, got->n, want->n);
	for (size_t k = 0; k < got->n; k++)
		if ((int64_t)got->id[k] != ax_val_int_or(want->u.item[k], -1))
			fail_msg("%s, input %zu: id %zu is %u, not %d", name, input, k, got->id[k], (int)ax_val_int_or(want->u.item[k], -1));
}

/* Ranges are Hugging Face's, but that what was inserted has an empty one here. */
static void same_ranges(const char *name, size_t input, const struct ax_ids *got, const struct ax_val *want)
{
	for (size_t k = 0; k < got->n; k++) {
		uint32_t b = (uint32_t)ax_val_int_or(ax_val_at(want->u.item[k], 0), -1), e = (uint32_t)ax_val_int_or(ax_val_at(want->u.item[k], 1), -1);

		if (got->begin[k] != b || (got->end[k] != e && got->end[k] != b))
			fail_msg("%s, input %zu: range %zu is [%u, %u), not [%u, %u)", name, input, k, got->begin[k], got->end[k], b, e);
	}
}

/* Every golden twice: the second time short pieces come from the cache. */
static void goldens(void **state)
{
	const struct ax_val *inputs = ax_val_get(golden, "inputs"), *ids = ax_val_get(golden, "ids"), *ranges = ax_val_get(golden, "ranges");

	(void)state;
	assert_int_equal(ids->n, 6);
	assert_int_equal(ranges->n, 4);
	for (size_t m = 0; m < ids->n; m++) {
		const char *name = ids->u.pair[m].key;
		struct ax_tokenizer *t = open_one(name);
		struct ax_ids out = AX_IDS_INIT;
		struct ax_tok_scratch *s;

		assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
		for (size_t i = 0; i < 2 * inputs->n; i++) {
			const struct ax_val *text = inputs->u.item[i % inputs->n], *want = ids->u.pair[m].val->u.item[i % inputs->n];
			const struct ax_val *range = ax_val_at(ax_val_get(ranges, name), i % inputs->n);

			ax_ids_reset(&out);
			assert_int_equal(ax_tokenizer_encode(t, text->u.s, text->n, AX_TOK_OFFSETS, &out, s, NULL), 0);
			same(name, i, &out, want->u.item[0]);
			for (size_t k = 0; k < out.n; k++)
				assert_true(out.begin[k] <= out.end[k] && out.end[k] <= text->n && (!k || out.begin[k] >= out.begin[k - 1]));
			if (range)
				same_ranges(name, i, &out, range);
			ax_ids_reset(&out);
			assert_int_equal(ax_tokenizer_encode(t, text->u.s, text->n, AX_TOK_SPECIAL, &out, s, NULL), 0);
			same(name, i, &out, want->u.item[1]);
		}
		ax_ids_release(&out);
		ax_tok_scratch_free(s);
		ax_tokenizer_free(t);
	}
}

/* Bytes of a continuing piece are without its prefix, and those of <0x41> are "A". */
static void bytes_of_ids(void **state)
{
	struct ax_tokenizer *t = open_one("wordpiece-bert"), *u = open_one("unigram-bytes");
	struct ax_buf b = AX_BUF_INIT;

	(void)state;
	assert_true(ax_tokenizer_bytes(t, ax_tokenizer_id(t, "##a", 3), &b));
	assert_true(ax_tokenizer_bytes(t, ax_tokenizer_id(t, "#", 1), &b));
	assert_true(ax_tokenizer_bytes(t, ax_tokenizer_id(t, "[CLS]", 5), &b));
	assert_true(ax_tokenizer_bytes(u, ax_tokenizer_id(u, "<0x41>", 6), &b));
	assert_true(ax_tokenizer_bytes(u, ax_tokenizer_id(u, "\xE2\x96\x81", 3), &b));
	assert_int_equal(b.n, 9);
	assert_memory_equal(b.p, "a#[CLS]A ", 9);
	ax_buf_release(&b);
	ax_tokenizer_free(t);
	ax_tokenizer_free(u);
}

/* The text that transformers' folders were asked for: an input, and names that are pieces of one model or the other. */
static void spm_ids(const char *name, const struct ax_tokenizer *t, const struct ax_val *want)
{
	const struct ax_val *inputs = ax_val_get(golden, "inputs");
	struct ax_ids out = AX_IDS_INIT;
	struct ax_tok_scratch *s;

	assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
	for (size_t i = 0; i < inputs->n; i++) {
		struct ax_buf b = AX_BUF_INIT;

		ax_buf_add(&b, inputs->u.item[i]->u.s, inputs->u.item[i]->n);
		ax_buf_adds(&b, "<user>x<ctl>");
		ax_ids_reset(&out);
		assert_int_equal(ax_tokenizer_encode(t, b.p, b.n, AX_TOK_SPECIAL, &out, s, NULL), 0);
		same(name, i, &out, want->u.item[i]);
		ax_buf_release(&b);
	}
	ax_ids_release(&out);
	ax_tok_scratch_free(s);
}

static void put(const char *dir, const char *name, const struct ax_buf *b)
{
	char *path = ax_path_join(dir, name);
	struct ax_err e = { 0 };

	if (ax_write_file(path, b->p, b->n, &e))
		fail_msg("%s", e.msg);
	ax_free(path);
}

/* A folder as transformers was given it; the files written for a checkpoint give the same ids, and are the same tokenizer. */
static void spm_folders(void **state)
{
	const struct ax_val *spm = ax_val_get(golden, "spm");
	char dir[] = "/tmp/ax-models-XXXXXX", out[64];
	struct ax_tok_spec spec = { .model_dir = dir };
	struct ax_err e = { 0 };

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(out, sizeof(out), "%s/out", dir);
	assert_int_equal(ax_mkdirs(out, NULL), 0);
	assert_int_equal(spm->n, 8);
	for (size_t i = 0; i < spm->n; i++) {
		const struct ax_val *x = spm->u.pair[i].val;
		struct ax_buf file = AX_BUF_INIT, config = AX_BUF_INIT;
		struct ax_effective *f = NULL, *again = NULL;
		struct ax_tok_spec merged = { .model_dir = out };
		struct ax_tokenizer *t;
		char path[128];

		snprintf(path, sizeof(path), DIR "%.*s", (int)ax_val_get(x, "file")->n, ax_val_get(x, "file")->u.s);
		if (ax_read_file(path, 1 << 20, &file, &e))
			fail_msg("%s", e.msg);
		ax_json_write(&config, ax_val_get(x, "config"), 0);
		put(dir, "tokenizer.model", &file);
		put(dir, "tokenizer_config.json", &config);
		if (ax_tokenizer_open(&t, dir, &e))
			fail_msg("%s", e.msg);
		spm_ids(spm->u.pair[i].key, t, ax_val_get(x, "ids"));
		ax_tokenizer_free(t);
		if (ax_effective_open(&f, &spec, &e) || ax_effective_write(f, out, NULL, 0, &e) || ax_effective_open(&again, &merged, &e))
			fail_msg("%s", e.msg);
		spm_ids("as written", again->tok, ax_val_get(x, "ids"));
		assert_string_equal(f->fingerprint, again->fingerprint);
		ax_effective_free(f);
		ax_effective_free(again);
		ax_buf_release(&file);
		ax_buf_release(&config);
	}
	assert_int_equal(ax_remove_tree(dir, NULL), 0);
}

/* A cut or changed .model is refused or read, never more. */
static void spm_damage(void **state)
{
	struct ax_buf file = AX_BUF_INIT;
	struct ax_err e = { 0 };
	struct ax_spm m;
	size_t refused = 0;

	(void)state;
	assert_int_equal(ax_read_file(DIR "spm-unigram.model", 1 << 20, &file, NULL), 0);
	for (size_t n = 0; n < file.n; n++) {
		char *copy = malloc(n ? n : 1); /* of this size, so that a sanitizer sees reads behind it */

		memcpy(copy, file.p, n);
		refused += ax_spm_read(&m, copy, n, NULL) != 0;
		ax_spm_release(&m);
		free(copy);
	}
	assert_true(refused > file.n * 9 / 10);
	file.p[2] = 'z';
	assert_int_equal(ax_spm_read(&m, file.p, 9, &e), AX_EDATA);
	assert_non_null(strstr(e.msg, "not a SentencePiece model"));
	assert_int_equal(ax_spm_read(&m, "YQ== 0\nYg== 1\n", 14, &e), AX_EDATA); /* tiktoken's format */
	ax_buf_release(&file);
}

static void spm_refusals(void **state)
{
	static const struct {
		const char *model, *config, *why;
	} list[] = {
		{ "\x0A\x03\x0A\x01z\x12\x02\x18\x03", "{}", "of words" },
		{ "\x0A\x03\x0A\x01z\x12\x02\x18\x04", "{}", "of characters" },
		{ "\x0A\x03\x0A\x01z\x12\x03\xC0\x01\x01", "{}", "treat_whitespace_as_suffix" },
		{ "\x0A\x03\x0A\x01z\x1A\x02\x28\x00", "{}", "escape_whitespaces" },
		{ "\x0A\x03\x0A\x01z\x12\x03\xC0\x02\x05", "{}", "unk_id 5" },
		{ "\x0A\x03\x0A\x01z", "{\"tokenizer_class\":\"XLNetTokenizer\"}", "tokenizer_class XLNetTokenizer" },
	};
	static const size_t n[] = { 9, 9, 10, 9, 10, 5 };

	(void)state;
	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		struct ax_buf json = AX_BUF_INIT;
		struct ax_err e = { 0 };
		struct ax_val *config;
		struct ax_spm m;

		assert_int_equal(ax_json_parse(&arena, list[i].config, strlen(list[i].config), &config, NULL), 0);
		assert_int_equal(ax_spm_read(&m, list[i].model, n[i], NULL), 0);
		assert_int_equal(ax_spm_json(&m, config, NULL, &json, &e), AX_EDATA);
		if (!strstr(e.msg, list[i].why))
			fail_msg("\"%s\" is no message about %s", e.msg, list[i].why);
		ax_spm_release(&m);
		ax_buf_release(&json);
	}
	{ /* all cuts of a piece are looked up: a long one would take for ever */
		char *text = calloc(1, 5000);
		struct ax_spm m = { .model_type = 2, .escape_spaces = true, .n = 1 };
		struct ax_buf json = AX_BUF_INIT;
		struct ax_err e = { 0 };

		m.piece = &(struct ax_spm_piece){ { memset(text, 'a', 5000), 5000 }, 0, AX_SPM_NORMAL };
		assert_int_equal(ax_spm_json(&m, NULL, NULL, &json, &e), AX_EDATA);
		assert_non_null(strstr(e.msg, "more than 4096 bytes"));
		ax_buf_release(&json);
		free(text);
	}
}

/* Scores as Hugging Face's JSON reader has them, bit for bit. */
static void scores(void **state)
{
	static const struct {
		const char *text;
		uint64_t bits;
	} list[] = {
		{ "-3.3334579467773438", UINT64_C(0xc00aaaec00000001) }, /* not the nearest */
		{ "-7.6439433097839355", UINT64_C(0xc01e9365e0000001) }, /* not the nearest */
		{ "-9.123456789012345678901", UINT64_C(0xc0223f35ba6e8ded) },
		{ "0.1", UINT64_C(0x3fb999999999999a) },
		{ "-0.30000000000000004", UINT64_C(0xbfd3333333333334) },
		{ "1e-5", UINT64_C(0x3ee4f8b588e368f1) },
		{ "123456789012345678901234567890", UINT64_C(0x45f8ee90ff6c373e) },
		{ "5e-324", UINT64_C(0x0000000000000001) },
		{ "-1.7976931348623157e308", UINT64_C(0xffefffffffffffff) },
		{ "-0", UINT64_C(0x8000000000000000) },
		{ "2.2250738585072011e-308", UINT64_C(0x0010000000000000) }, /* not the nearest */
		{ "-12.345e-320", UINT64_C(0x800000000000619b) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct ax_scan s = { list[i].text, list[i].text + strlen(list[i].text), list[i].text, false };
		uint64_t bits;
		double v;

		assert_int_equal(ax_scan_f64(&s, &v, NULL), 0);
		memcpy(&bits, &v, sizeof(bits));
		assert_int_equal(bits, list[i].bits);
	}
}

/* One letter without end: every position has several pieces, none of which is a cut. Linear time, and few bytes a letter. */
static void one_letter(void **state)
{
	static const char *const names[] = { "unigram-ties", "unigram-bytes", "wordpiece-bert", "unigram-map" };
	size_t n = (size_t)2 << 20;
	char *text = ax_malloc(n);

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct ax_tokenizer *t = open_one(names[i]);
		struct ax_ids out = AX_IDS_INIT;
		struct ax_tok_scratch *s;
		clock_t start = clock();

		assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
		memset(text, i == 1 ? 'Q' : 'a', n); /* Q: unknown, so bytes */
		assert_int_equal(ax_tokenizer_encode(t, text, n, AX_TOK_OFFSETS, &out, s, NULL), 0);
		assert_int_equal(out.end[out.n - 1], n);
		assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 1.5);
		ax_ids_release(&out);
		ax_tok_scratch_free(s);
		ax_tokenizer_free(t);
	}
	ax_free(text);
}

static void clusters(void **state)
{
	static const char *const whole[] = { "e\xCC\x81", "\r\n", "\xE0\xA4\x95\xE0\xA5\x8D\xE0\xA4\xB7", "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9", "\xF0\x9F\x87\xA6\xF0\x9F\x87\xA7",
					     "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xD8\x80" "a", "\xC2\xA9\xCC\x81\xE2\x80\x8D\xC2\xA9", "\xE0\xB8\xAB\xE0\xB8\xB3" };
	static const char *const first[] = { "a", "\n", "\r\xCC\x81", "\xE0\xA4\x95\xE0\xA4\xB7", "\xC2\xA9\xC2\xA9", "\xE2\x80\x8D\xC2\xA9", "\xE1\x85\xA1\xE1\x84\x92" };

	(void)state;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		assert_int_equal(ax_grapheme_end(whole[i], 0, strlen(whole[i])), strlen(whole[i]));
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		size_t n = strlen(first[i]), end = ax_grapheme_end(first[i], 0, n);

		assert_true(n == 1 ? end == 1 : end < n);
	}
	assert_int_equal(ax_script('a'), ax_script('Z'));
	assert_int_equal(ax_script(' '), 0);
	assert_int_equal(ax_script(0x3042), ax_script(0x30A2));
	assert_int_equal(ax_script(0x30FC), ax_script(0x4E2D));
	assert_int_not_equal(ax_script(0x416), ax_script('a'));
}

/* A map whose trie or strings lead outside of it is refused at load, or when a text goes there. */
static void bad_maps(void **state)
{
	static const unsigned char far_trie[] = { 8, 0, 0, 0, 0, 0xFC, 0xFF, 0x7F, 0, 0, 0, 0, 'x', 0 };
	struct ax_nbuf b = { 0 };
	struct ax_ntext t = { "abc", 3, NULL, NULL, 0 };
	struct ax_charsmap *m;
	bool changed;

	(void)state;
	assert_int_equal(ax_charsmap_new(&m, (const char *)far_trie, sizeof(far_trie), NULL), 0);
	assert_int_equal(ax_charsmap_run(m, &b, &t, &changed, NULL), AX_EDATA);
	ax_charsmap_free(m);
	for (size_t n = 0; n < 8; n++)
		assert_int_equal(ax_charsmap_new(&m, (const char *)far_trie, n, NULL), AX_EDATA);
	ax_nbuf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(goldens),	    cmocka_unit_test(bytes_of_ids), cmocka_unit_test(spm_folders), cmocka_unit_test(spm_damage), cmocka_unit_test(spm_refusals),
					    cmocka_unit_test(scores),	    cmocka_unit_test(one_letter),  cmocka_unit_test(clusters),   cmocka_unit_test(bad_maps) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
