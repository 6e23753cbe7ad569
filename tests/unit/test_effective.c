#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/mem.h"
#include "text/json.h"
#include "tok/effective.h"

static char dir[] = "/tmp/ax-effective-XXXXXX";
static char out[64];
static struct ax_arena arena;

static void put(const char *name, const char *text)
{
	char *path = ax_path_join(dir, name);

	assert_int_equal(ax_write_file(path, text, strlen(text), NULL), 0);
	ax_free(path);
}

static struct ax_val *parse(const char *text)
{
	struct ax_val *v;

	assert_int_equal(ax_json_parse(&arena, text, strlen(text), &v, NULL), 0);
	return v;
}

static struct ax_effective *open_spec(const struct ax_tok_spec *spec)
{
	struct ax_effective *f;
	struct ax_err e = { 0 };

	if (ax_effective_open(&f, spec, &e))
		fail_msg("%s", e.msg);
	return f;
}

static int setup(void **state)
{
	struct ax_buf b = AX_BUF_INIT;

	(void)state;
	ax_arena_init(&arena, 0);
	if (!mkdtemp(dir) || ax_read_file("tests/golden/tokenizers/bytes-llama3.json", 1 << 20, &b, NULL))
		return -1;
	snprintf(out, sizeof(out), "%s/out", dir);
	put("tokenizer.json", b.p);
	put("tokenizer_config.json",
	    "{\"tokenizer_class\":\"X\",\"bos_token\":\"<|bos|>\",\"eos_token\":{\"__type\":\"AddedToken\",\"content\":\"<|end|>\"},"
	    "\"added_tokens_decoder\":{\"1\":{\"content\":\"<|user|>\",\"lstrip\":true,\"special\":true}},"
	    "\"chat_template\":[{\"name\":\"tool\",\"template\":\"T\"},{\"name\":\"default\",\"template\":\"D\"}]}");
	put("config.json", "{\"vocab_size\":400,\"bos_token_id\":7,\"eos_token_id\":[8,9]}");
	put("generation_config.json", "{\"eos_token_id\":2,\"temperature\":0.5}");
	ax_buf_release(&b);
	return ax_mkdirs(out, NULL);
}

static int teardown(void **state)
{
	(void)state;
	ax_arena_release(&arena);
	return ax_remove_tree(dir, NULL);
}

static void as_it_is(void **state)
{
	struct ax_tok_spec spec = { .model_dir = dir };
	struct ax_effective *f = open_spec(&spec);

	(void)state;
	assert_int_equal(f->n_tokens, 400);
	assert_int_equal(f->n_embed, 400);
	assert_int_equal(f->bos, 0);
	assert_int_equal(f->eos, 2);
	assert_int_equal(f->pad, 2); /* falls back to eos */
	assert_int_equal(f->unk, AX_TOK_NONE);
	assert_true(f->add_bos && !f->add_eos);
	assert_true(ax_tokenizer_added(f->tok, 1)->lstrip); /* the decoder's flags */
	assert_string_equal(f->template_text, "D");
	assert_true(ax_val_is(ax_val_get(f->template_vars, "eos_token"), "<|end|>"));
	ax_effective_free(f);
}

/* Order of ids: special_tokens, tokens, additional ones; and the written folder gives the same. */
static void grown(void **state)
{
	struct ax_tok_spec spec = { .model_dir = dir, .chat_template = "chatml", .resize_to_32x = true };
	struct ax_tok_spec again = { .model_dir = out };
	struct ax_effective *f, *g;
	const struct ax_val *gen;
	struct ax_val *v;
	struct ax_err e = { 0 };
	uint32_t turn = 2;
	char *path;

	(void)state;
	spec.special_tokens = parse("{\"pad_token\":\"[PAD]\",\"additional_special_tokens\":[\"<x>\",\"<|im_end|>\"],\"eos_token\":\"<|im_end|>\",\"unk_token\":null}");
	spec.tokens = parse("[\"<|im_start|>\",\"<|im_end|>\"]");
	f = open_spec(&spec);
	assert_int_equal(f->pad, 400);
	assert_int_equal(f->eos, 401);
	assert_int_equal(ax_tokenizer_id(f->tok, "<|im_start|>", 12), 402);
	assert_int_equal(ax_tokenizer_id(f->tok, "<x>", 3), 403);
	assert_int_equal(f->n_tokens, 404);
	assert_int_equal(f->n_embed, 416);
	assert_true(ax_tokenizer_added(f->tok, 401)->special);
	if (ax_effective_write(f, out, &turn, 1, &e))
		fail_msg("%s", e.msg);
	g = open_spec(&again);
	assert_string_equal(g->fingerprint, f->fingerprint);
	assert_int_equal(g->pad, 400);
	assert_int_equal(g->eos, 401);
	assert_string_equal(g->template_text, ax_chat_template_bundled("chatml"));
	assert_string_equal(g->template_name, "chat_template.jinja");
	path = ax_path_join(out, "generation_config.json");
	assert_int_equal(ax_json_file(&arena, path, 1 << 20, &v, NULL), 0);
	ax_free(path);
	gen = ax_val_get(v, "eos_token_id");
	assert_int_equal(gen->n, 2);
	assert_int_equal(ax_val_int_or(gen->u.item[0], 0), 2);
	assert_int_equal(ax_val_int_or(gen->u.item[1], 0), 401);
	ax_effective_free(f);
	ax_effective_free(g);
}

/* added_tokens_overrides rename a token everywhere; its id stays. */
static void overridden(void **state)
{
	struct ax_tok_spec spec = { .model_dir = dir };
	struct ax_effective *f;
	struct ax_err e = { 0 };

	(void)state;
	spec.added_tokens_overrides = parse("{\"1\":\"<|person|>\"}");
	f = open_spec(&spec);
	assert_int_equal(ax_tokenizer_id(f->tok, "<|person|>", 10), 1);
	assert_int_equal(ax_tokenizer_id(f->tok, "<|user|>", 8), AX_TOK_NONE);
	assert_int_equal(f->n_tokens, 400);
	ax_effective_free(f);
	spec.added_tokens_overrides = parse("{\"50\":\"x\"}");
	assert_int_equal(ax_effective_open(&f, &spec, &e), AX_EUSAGE);
	assert_non_null(strstr(e.msg, "id 50 is not an added token"));
}

static void refused(void **state)
{
	struct ax_tok_spec spec = { .model_dir = dir };
	struct ax_effective *f;
	struct ax_err e = { 0 };

	(void)state;
	spec.special_tokens = parse("{\"bos\":\"<s>\"}");
	assert_int_equal(ax_effective_open(&f, &spec, &e), AX_EUSAGE);
	assert_non_null(strstr(e.msg, "unknown name \"bos\""));
	spec.special_tokens = NULL;
	spec.tokens = parse("[3]");
	assert_int_equal(ax_effective_open(&f, &spec, &e), AX_EUSAGE);
	spec.tokens = NULL;
	spec.chat_template = "nonesuch";
	assert_int_equal(ax_effective_open(&f, &spec, &e), AX_EUSAGE);
	assert_non_null(strstr(e.msg, "chatml"));
}

/* A model folder for rows that are ids already. */
static void without_tokenizer(void **state)
{
	char *bare = ax_path_join(dir, "bare");
	struct ax_tok_spec spec = { .model_dir = bare };
	struct ax_effective *f;
	struct ax_err e = { 0 };

	(void)state;
	assert_int_equal(ax_mkdirs(bare, NULL), 0);
	put("bare/config.json", "{\"vocab_size\":96,\"eos_token_id\":[5,6]}");
	f = open_spec(&spec);
	assert_null(f->tok);
	assert_int_equal(f->eos, 5);
	assert_int_equal(f->n_embed, 96);
	assert_int_equal(ax_effective_write(f, out, NULL, 0, NULL), 0);
	ax_effective_free(f);
	spec.tokens = parse("[\"<a>\"]");
	assert_int_equal(ax_effective_open(&f, &spec, &e), AX_EUSAGE);
	ax_free(bare);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_it_is), cmocka_unit_test(grown),   cmocka_unit_test(overridden),
		cmocka_unit_test(refused),  cmocka_unit_test(without_tokenizer),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
