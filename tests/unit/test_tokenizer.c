#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "text/json.h"
#include "text/regex.h"
#include "text/unicode.h"
#include "tok/bpe.h"
#include "tok/pretok_split.h"
#include "tok/tokenizer.h"

#define DIR "tests/golden/tokenizers/"

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

static void encode(const struct ax_tokenizer *t, const char *text, size_t n, unsigned flags, struct ax_ids *out,
		   struct ax_tok_scratch *s)
{
	struct ax_err e = { 0 };

	ax_ids_reset(out);
	if (ax_tokenizer_encode(t, text, n, flags, out, s, &e))
		fail_msg("%s", e.msg);
}

/* Every golden twice on one scratch (the second time from the cache), with offsets inside the text and ascending. */
static void goldens(void **state)
{
	struct ax_arena a;
	struct ax_val *g;
	const struct ax_val *inputs, *ids;

	(void)state;
	ax_arena_init(&a, 0);
	assert_int_equal(ax_json_file(&a, DIR "goldens.json", (size_t)8 << 20, &g, NULL), 0);
	inputs = ax_val_get(g, "inputs");
	ids = ax_val_get(g, "ids");
	assert_int_equal(ids->n, 7);
	for (size_t k = 0; k < ids->n; k++) {
		struct ax_tokenizer *t = open_one(ids->u.pair[k].key);
		struct ax_tok_scratch *s;
		struct ax_ids out = AX_IDS_INIT, special = AX_IDS_INIT;

		assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
		for (size_t i = 0; i < 2 * inputs->n; i++) {
			const struct ax_val *text = inputs->u.item[i % inputs->n], *want = ids->u.pair[k].val->u.item[i % inputs->n];
			const struct ax_val *plain = want->u.item[0], *first = want->u.item[1];

			encode(t, text->u.s, text->n, AX_TOK_OFFSETS, &out, s);
			encode(t, text->u.s, text->n, AX_TOK_SPECIAL, &special, s);
			if (out.n != plain->n)
				fail_msg("%s input %zu: %zu ids, not %zu", ids->u.pair[k].key, i, out.n, plain->n);
			for (size_t j = 0; j < out.n; j++) {
				if (out.id[j] != ax_val_int_or(plain->u.item[j], -1))
					fail_msg("%s input %zu: id %zu is %u", ids->u.pair[k].key, i, j, out.id[j]);
				assert_true(out.begin[j] <= out.end[j] && out.end[j] <= text->n);
				assert_true(!j || out.begin[j] >= out.begin[j - 1]);
			}
			for (size_t j = 0; j < first->n; j++)
				assert_int_equal(special.id[j], ax_val_int_or(first->u.item[j], -1));
		}
		ax_tok_scratch_free(s);
		ax_ids_release(&out);
		ax_ids_release(&special);
		ax_tokenizer_free(t);
	}
	ax_arena_release(&a);
}

/* Byte-level tokens tile the text, and their bytes are the text. */
static void bytes_and_offsets(void **state)
{
	static const char text[] = "Größe<|user|> the dog's\n\n 素早い 12345 \xF0\x9F\x98\x80!";
	struct ax_tokenizer *t = open_one("bytes-llama3");
	struct ax_tok_scratch *s;
	struct ax_ids out = AX_IDS_INIT;
	struct ax_buf b = AX_BUF_INIT;

	(void)state;
	assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
	encode(t, text, strlen(text), AX_TOK_OFFSETS, &out, s);
	for (size_t i = 0; i < out.n; i++) {
		assert_int_equal(out.begin[i], i ? out.end[i - 1] : 0);
		assert_true(ax_tokenizer_bytes(t, out.id[i], &b));
		assert_int_equal(b.n, out.end[i]);
	}
	assert_int_equal(b.n, strlen(text));
	assert_memory_equal(b.p, text, b.n);
	assert_false(ax_tokenizer_bytes(t, 100000, &b));
	ax_buf_release(&b);
	ax_ids_release(&out);
	ax_tok_scratch_free(s);
	ax_tokenizer_free(t);
}

/* Normalized text: ranges lead back to the input. "e" + U+0301 becomes one character, then its tokens cover both. */
static void offsets_through_nfc(void **state)
{
	static const char text[] = "xe\xCC\x81y";
	struct ax_tokenizer *t = open_one("bytes-nfc-digits");
	struct ax_tok_scratch *s;
	struct ax_ids out = AX_IDS_INIT;
	uint32_t seen = 0;

	(void)state;
	assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
	encode(t, text, strlen(text), AX_TOK_OFFSETS, &out, s);
	for (size_t i = 0; i < out.n; i++) {
		assert_true(out.begin[i] <= seen); /* no hole */
		assert_true(out.end[i] == 1 || out.end[i] >= 4 || out.end[i] == 0);
		seen = out.end[i] > seen ? out.end[i] : seen;
	}
	assert_int_equal(seen, strlen(text));
	ax_ids_release(&out);
	ax_tok_scratch_free(s);
	ax_tokenizer_free(t);
}

static bool holds(const struct ax_ids *ids, uint32_t id)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->id[i] == id)
			return true;
	return false;
}

/* A special token is found in a template's text, not in a user's, and nowhere with AX_TOK_NO_SPLIT. */
static void guards(void **state)
{
	static const char text[] = "<|user|>hi <|end|> there<|end|>";
	struct ax_guards guards = AX_GUARDS_INIT;
	struct ax_tokenizer *t = open_one("bytes-llama3");
	struct ax_tok_scratch *s;
	struct ax_ids out = AX_IDS_INIT;
	uint32_t end = ax_tokenizer_id(t, "<|end|>", 7);
	size_t n = 0;

	(void)state;
	assert_int_not_equal(end, AX_TOK_NONE);
	assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
	assert_int_equal(ax_guards_add(&guards, 8, 24, NULL), 0);
	assert_int_equal(ax_tokenizer_encode_guarded(t, text, strlen(text), AX_TOK_OFFSETS, &guards, &out, s, NULL), 0);
	assert_int_equal(guards.n_held, 1);
	ax_guards_release(&guards);
	for (size_t i = 0; i < out.n; i++)
		n += out.id[i] == end;
	assert_int_equal(n, 1);
	assert_int_equal(out.id[out.n - 1], end);
	assert_int_equal(out.begin[out.n - 1], 24);
	encode(t, text, strlen(text), AX_TOK_NO_SPLIT, &out, s);
	assert_false(holds(&out, end));
	ax_ids_release(&out);
	ax_tok_scratch_free(s);
	ax_tokenizer_free(t);
}

#define FIRST "{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"prepend_scheme\":\"first\",\"split\":true}"

/* The prefix of the first piece alone, also where an earlier step has written the text anew, and without offsets. */
static void first_prefix(void **state)
{
	static const char *const before[] = {
		"\"pre_tokenizer\":" FIRST,
		"\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"b\"},\"content\":\"a\"},\"pre_tokenizer\":" FIRST,
		"\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
		"\"use_regex\":true,\"trim_offsets\":true}," FIRST "]}",
	};
	static const uint32_t want[3][5] = { { 2, 0, 3, 0, 1 }, { 2, 0, 3, 0, 0 }, { 2, 0, 3, 0, 1 } };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct ax_tokenizer *t;
		struct ax_tok_scratch *s;
		struct ax_ids out = AX_IDS_INIT;
		struct ax_buf b = AX_BUF_INIT;

		ax_buf_addf(&b, "{%s,\"added_tokens\":[{\"id\":3,\"content\":\"<x>\",\"single_word\":false,\"lstrip\":false,"
			    "\"rstrip\":false,\"normalized\":false,\"special\":true}],\"model\":{\"type\":\"BPE\",\"vocab\":"
			    "{\"a\":0,\"b\":1,\"\xE2\x96\x81\":2},\"merges\":[]}}", before[i]);
		assert_int_equal(ax_tokenizer_parse(&t, b.p, b.n, NULL), 0);
		assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
		for (unsigned flags = 0; flags <= AX_TOK_OFFSETS; flags += AX_TOK_OFFSETS) {
			ax_ids_release(&out);
			encode(t, "a<x>ab", 6, flags, &out, s);
			assert_int_equal(out.n, 5);
			assert_memory_equal(out.id, want[i], sizeof(want[i]));
		}
		ax_ids_release(&out);
		ax_buf_release(&b);
		ax_tok_scratch_free(s);
		ax_tokenizer_free(t);
	}
}

static void adding(void **state)
{
	struct ax_tokenizer *t = open_one("sp-prepend");
	struct ax_tok_added tok[3] = { { .content = "<a>", .content_n = 3 }, { .content = "</s>", .content_n = 4, .special = true },
				       { .content = "<b>", .content_n = 3, .special = true } };
	struct ax_tok_scratch *s;
	struct ax_ids out = AX_IDS_INIT;
	size_t n = ax_tokenizer_size(t);
	char before[33], after[33];

	(void)state;
	assert_true(ax_tokenizer_fingerprint(t, before));
	assert_int_equal(ax_tokenizer_add(t, tok, 3, NULL), 0);
	assert_true(ax_tokenizer_fingerprint(t, after));
	assert_string_not_equal(before, after);
	assert_int_equal(tok[0].id, n);
	assert_int_equal(tok[1].id, 2);
	assert_int_equal(tok[2].id, n + 1);
	assert_int_equal(ax_tokenizer_size(t), n + 2);
	assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
	encode(t, "x<b></s>", 8, AX_TOK_SPECIAL, &out, s);
	assert_int_equal(out.id[0], 1);
	assert_int_equal(out.id[out.n - 2], n + 1);
	assert_int_equal(out.id[out.n - 1], 2);
	ax_ids_release(&out);
	ax_tok_scratch_free(s);
	ax_tokenizer_free(t);
}

/* A piece without a cut and of any length: time stays near linear, ids do not depend on the way they were found. */
static void long_pieces(void **state)
{
	struct ax_tokenizer *t = open_one("bytes-llama3");
	struct ax_tok_scratch *s;
	struct ax_ids out = AX_IDS_INIT;
	size_t n = (size_t)1 << 20;
	char *text = ax_malloc(n);

	(void)state;
	assert_non_null(text);
	memset(text, 'a', n);
	assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
	encode(t, text, n, AX_TOK_OFFSETS, &out, s);
	assert_int_equal(out.end[out.n - 1], n);
	memset(text, ' ', n);
	encode(t, text, n, AX_TOK_OFFSETS, &out, s);
	assert_int_equal(out.end[out.n - 1], n);
	ax_free(text);
	ax_ids_release(&out);
	ax_tok_scratch_free(s);
	ax_tokenizer_free(t);
}

static void not_utf8(void **state)
{
	struct ax_tokenizer *t = open_one("bytes-llama3");
	struct ax_tok_scratch *s;
	struct ax_ids out = AX_IDS_INIT;
	struct ax_err e = { 0 };
	struct ax_buf b = AX_BUF_INIT;

	(void)state;
	assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
	assert_int_equal(ax_tokenizer_encode(t, "ab\xED\xA0\x80", 5, 0, &out, s, &e), AX_EDATA);
	assert_string_equal(e.msg, "byte 2 is not UTF-8");
	ax_utf8_repair(&b, "a\xF0\x9F\x98z\xFF", 6);
	assert_string_equal(b.p, "a\xEF\xBF\xBDz\xEF\xBF\xBD");
	ax_buf_release(&b);
	ax_ids_release(&out);
	ax_tok_scratch_free(s);
	ax_tokenizer_free(t);
}

#define BPE "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":"

static const struct {
	const char *json, *why;
} malformed[] = {
	{ "", "byte 0: an object is expected" },
	{ "{", "byte 1: a string is expected" },
	{ "{}", "no model" },
	{ "{" BPE "[\"a b\"]}} x", "text behind the end" },
	{ "{" BPE "[\"a c\"]}}", "merge 1: token \"c\" is not in the vocabulary" },
	{ "{" BPE "[\"a b\",\"b a\"]}}", "merge 2: token \"ba\" is not in the vocabulary" },
	{ "{" BPE "[\"a b b\"]}}", "not two tokens" },
	{ "{" BPE "[\"a b\",[\"a\",\"b\"]]}}", "two kinds" },
	{ "{" BPE "[[\"a\",\"b\",\"c\"]]}}", "not a pair" },
	{ "{" BPE "{}}}", "a list is expected" },
	{ "{" BPE "[],\"dropout\":0.1}}", "dropout" },
	{ "{\"version\":\"2.0\"," BPE "[]}}", "unknown tokenizer version" },
	{ "{\"model\":{\"type\":\"Bigram\",\"vocab\":[]}}", "\"Bigram\" is not supported" },
	{ "{\"model\":{\"vocab\":{\"a\":0}}}", "without merges" },
	{ "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0}}", "Unigram model without vocab" },
	{ "{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0]]}}", "unk_id 1 is not in the vocabulary of 1" },
	{ "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", "a piece and its score" },
	{ "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",01]]}}", "a number is expected" },
	{ "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",1e999]]}}", "too large" },
	{ "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",1,2]]}}", "a piece and its score" },
	{ "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{},\"unk_token\":\"u\",\"max_input_chars_per_word\":9}}", "without continuing_subword_prefix" },
	{ "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{}}}", "WordLevel model without unk_token" },
	{ "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4294967295},\"merges\":[]}}", "beyond the limit" },
	{ "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "non-negative integer" },
	{ "{\"added_tokens\":[{\"id\":3,\"content\":\"x\"}]," BPE "[]}}", "\"single_word\" is missing" },
	{ "{\"normalizer\":{\"type\":\"Precompiled\"}," BPE "[]}}", "\"precompiled_charsmap\" is missing" },
	{ "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAA\"}," BPE "[]}}", "not base64" },
	{ "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAAAA==\"}," BPE "[]}}", "its trie is empty" },
	{ "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"CAAAAAAAAAA=\"}," BPE "[]}}", "longer than the map" },
	{ "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"BAAAAAAAAAD/\"}," BPE "[]}}", "not UTF-8" },
	{ "{\"pre_tokenizer\":{\"type\":\"Scripts\"}," BPE "[]}}", "pre_tokenizer of type Scripts is not supported" },
	{ "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[],\"special_tokens\":{}}," BPE "[]}}", "without the text" },
	{ "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}," BPE "[]}}", "regex" },
	{ "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\K\"},\"behavior\":\"Isolated\"}," BPE "[]}}", "unsupported escape" },
	{ "{\"post_processor\":{\"type\":\"RobertaProcessing\",\"cls\":[\"a\",0],\"sep\":[\"z\",99]}," BPE "[]}}", "id 99 is no token" },
};

static void refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		struct ax_tokenizer *t;
		struct ax_err e = { 0 };

		assert_int_equal(ax_tokenizer_parse(&t, malformed[i].json, strlen(malformed[i].json), &e), AX_EDATA);
		if (!strstr(e.msg, malformed[i].why))
			fail_msg("\"%s\" is no message about %s", e.msg, malformed[i].why);
		assert_null(t);
	}
}

static uint64_t draw(uint64_t *state, uint64_t below)
{
	return ax_mix64(++*state) % below;
}

/* Random text of characters on which the patterns differ. */
static size_t random_text(uint64_t *r, char *out, size_t max)
{
	static const char *const part[] = { "'", "s", "S", "ll", "Re", "\xC5\xBF", " ", "  ", "\n", "\r", "\t", "a", "Zq", "1", "234", "!", "/", "_", "$",
					    "\xC3\xA9", "\xCC\x81", "\xC2\xA0", "\xE3\x80\x80", "\xE4\xB8\x80", "\xE3\x81\x82", "\xC7\x85", "\xCA\xB0",
					    "\xD8\xA7", "\xE0\xB8\xB3", "\xF0\x9F\x98\x80", "\xC2\xBD", "\xE2\x85\xA7", "\xC2\x85", "\x01", "\xE2\x80\x94", "\xEF\xBB\xBF" };
	size_t n = 0, parts = 1 + draw(r, 24);

	for (size_t i = 0; i < parts; i++) {
		const char *p = part[draw(r, sizeof(part) / sizeof(part[0]))];
		char utf8[4];
		size_t len = strlen(p);

		if (draw(r, 12) == 0) {
			uint32_t c = (uint32_t)draw(r, 0x110000);

			p = utf8;
			len = ax_utf8_put(c >= 0xD800 && c < 0xE000 ? 'x' : c, utf8);
		}
		if (n + len > max)
			break;
		memcpy(out + n, p, len);
		n += len;
	}
	return n;
}

/* Each hand-written splitter against its regex on random text. */
static void splitters(void **state)
{
	uint64_t r = 11;
	const char *pattern;
	char text[256];

	(void)state;
	for (size_t k = 0; (pattern = ax_split_pattern(k)); k++) {
		struct ax_err e = { 0 };
		struct ax_regex *rx;
		struct ax_regex_work *w;
		ax_split_fn fn = ax_split_find(pattern, strlen(pattern));

		assert_non_null(fn);
		if (ax_regex_new(&rx, pattern, strlen(pattern), &e))
			fail_msg("%s", e.msg);
		w = ax_regex_work_new(rx);
		for (int round = 0; round < 4000; round++) {
			size_t n = random_text(&r, text, sizeof(text)), i = 0, begin, end;
			struct ax_regex_iter it = { 0, 0 };

			while (ax_regex_find(rx, w, text, n, &it, &begin, &end) > 0) {
				while (i < begin) {
					assert_int_equal(fn((const unsigned char *)text, i, n), i);
					i += ax_utf8_len((unsigned char)text[i]);
				}
				if (fn((const unsigned char *)text, begin, n) != end)
					fail_msg("pattern %zu: %.*s: at %zu to %zu, not %zu", k, (int)n, text, begin, fn((const unsigned char *)text, begin, n), end);
				i = end;
			}
		}
		ax_regex_work_free(w);
		ax_regex_free(rx);
	}
}

/* All characters of a class, counted as the reference library counts them. */
static void classes(void **state)
{
	static const struct {
		const char *pattern;
		size_t n;
	} want[] = { { "\\p{L}", 141028 }, { "\\p{N}", 1911 }, { "\\p{M}", 2501 }, { "\\p{P}", 855 }, { "\\p{S}", 8514 }, { "\\s", 25 },
		     { "\\p{Han}", 99030 }, { "\\w", 144671 }, { "[\\p{L}&&[^\\p{Han}]]", 42343 }, { "\\p{Lt}", 31 } };
	struct ax_buf all = AX_BUF_INIT;

	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		char utf8[4];

		if (c < 0xD800 || c > 0xDFFF)
			ax_buf_add(&all, utf8, ax_utf8_put(c, utf8));
	}
	assert_int_equal(ax_utf8_check(all.p, all.n), all.n);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct ax_err e = { 0 };
		struct ax_regex *rx;
		struct ax_regex_work *w;
		struct ax_regex_iter it = { 0, 0 };
		size_t n = 0, begin, end;
		int rc;

		if (ax_regex_new(&rx, want[i].pattern, strlen(want[i].pattern), &e))
			fail_msg("%s", e.msg);
		w = ax_regex_work_new(rx);
		while ((rc = ax_regex_find(rx, w, all.p, all.n, &it, &begin, &end)) > 0)
			n++;
		assert_int_equal(rc, 0);
		if (n != want[i].n)
			fail_msg("%s: %zu characters, not %zu", want[i].pattern, n, want[i].n);
		ax_regex_work_free(w);
		ax_regex_free(rx);
	}
	ax_buf_release(&all);
}

static void byte_spelling(void **state)
{
	bool seen[400] = { false };

	(void)state;
	for (int b = 0; b < 256; b++) {
		uint32_t c = ax_char_of_byte((unsigned char)b);

		assert_true(c < 324 && !seen[c]);
		seen[c] = true;
		assert_int_equal(ax_byte_of_char(c), b);
	}
	assert_int_equal(ax_char_of_byte(' '), 0x120);
	assert_int_equal(ax_byte_of_char(0x20), -1);
	assert_int_equal(ax_byte_of_char(324), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goldens),  cmocka_unit_test(bytes_and_offsets), cmocka_unit_test(offsets_through_nfc),
		cmocka_unit_test(guards),   cmocka_unit_test(adding),            cmocka_unit_test(long_pieces),
		cmocka_unit_test(not_utf8), cmocka_unit_test(refusals),          cmocka_unit_test(splitters),
		cmocka_unit_test(classes),  cmocka_unit_test(byte_spelling), cmocka_unit_test(first_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
