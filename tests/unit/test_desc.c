#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/desc.h"
#include "text/json.h"

#define DIMS "\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":4,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":100"

static int parse(struct ax_desc *d, const char *body, struct ax_err *e)
{
	struct ax_arena a;
	struct ax_val *v;
	char text[2048];
	int rc;

	snprintf(text, sizeof(text), "{%s}", body);
	ax_arena_init(&a, 0);
	rc = ax_json_parse(&a, text, strlen(text), &v, e);
	if (!rc)
		rc = ax_desc_parse(d, v, e);
	ax_arena_release(&a);
	return rc;
}

static void good(struct ax_desc *d, const char *body)
{
	struct ax_err e = { 0 };

	if (parse(d, body, &e))
		fail_msg("%s", e.msg);
}

static void bad(const char *body, int code, const char *part)
{
	struct ax_desc d;
	struct ax_err e = { 0 };
	int rc = parse(&d, body, &e);

	if (rc != code || !strstr(e.msg, part))
		fail_msg("%s: %d %s", body, rc, e.msg);
}

static void test_families(void **state)
{
	struct ax_desc d;

	good(&d, "\"model_type\":\"llama\"," DIMS);
	assert_string_equal(d.architecture, "LlamaForCausalLM");
	assert_true(!d.tied && !d.qkv_bias && !d.o_bias && !d.mlp_bias && !d.qk_norm && d.head_dim == 16 && d.rope.theta == 1e4);
	assert_true(d.dtype == AX_F32 && d.bos == -1 && d.window == 0 && d.layer_rope[3]);
	good(&d, "\"model_type\":\"llama\",\"attention_bias\":true,\"mlp_bias\":true,\"tie_word_embeddings\":true,\"torch_dtype\":\"bfloat16\",\"eos_token_id\":[7,8],\"head_dim\":32," DIMS);
	assert_true(d.tied && d.qkv_bias && d.o_bias && d.mlp_bias && d.dtype == AX_BF16 && d.eos == 7 && d.head_dim == 32);
	good(&d, "\"model_type\":\"mistral\",\"sliding_window\":8,\"dtype\":\"float16\"," DIMS);
	assert_true(d.window == 8 && d.layer_window[0] && d.layer_window[3] && d.dtype == AX_F16);
	good(&d, "\"model_type\":\"mistral\"," DIMS);
	assert_true(d.window == 4096);
	good(&d, "\"model_type\":\"mistral\",\"sliding_window\":null," DIMS);
	assert_true(d.window == 0 && !d.layer_window[0]);
	good(&d, "\"model_type\":\"mistral\",\"sliding_window\":8,\"layer_types\":[\"sliding_attention\",\"full_attention\",\"full_attention\",\"full_attention\"]," DIMS);
	assert_true(d.window == 8 && d.layer_window[0] && !d.layer_window[1]);
	good(&d, "\"model_type\":\"llama\",\"rope_parameters\":{\"rope_theta\":5e5},\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}," DIMS);
	assert_true(d.rope.kind == AX_ROTARY_LINEAR && d.rope.theta == 1e4); /* as transformers: rope_scaling, whole */
	good(&d, "\"model_type\":\"llama\",\"rope_parameters\":{\"rope_theta\":5e5},\"rope_scaling\":{}," DIMS);
	assert_true(d.rope.kind == AX_ROTARY_DEFAULT && d.rope.theta == 5e5);
	good(&d, "\"model_type\":\"qwen2\",\"rope_theta\":1000000.0,\"sliding_window\":9,\"use_sliding_window\":false," DIMS);
	assert_true(d.qkv_bias && !d.o_bias && d.rope.theta == 1e6 && d.window == 0);
	good(&d, "\"model_type\":\"qwen2\",\"sliding_window\":9,\"use_sliding_window\":true,\"max_window_layers\":2," DIMS);
	assert_true(d.window == 9 && !d.layer_window[1] && d.layer_window[2]);
	good(&d, "\"model_type\":\"qwen3\",\"sliding_window\":9,\"use_sliding_window\":true,\"layer_types\":[\"sliding_attention\",\"full_attention\",\"full_attention\",\"full_attention\"]," DIMS);
	assert_true(d.qk_norm && d.head_dim == 128 && d.layer_window[0] && !d.layer_window[3]);
	good(&d, "\"model_type\":\"smollm3\"," DIMS);
	assert_true(d.tied && d.layer_rope[2] && !d.layer_rope[3] && d.rope.theta == 2e6);
	good(&d, "\"model_type\":\"smollm3\",\"no_rope_layers\":[0,1,1,1],\"use_sliding_window\":true,\"sliding_window\":5," DIMS);
	assert_true(!d.layer_rope[0] && d.layer_rope[3] && d.window == 5 && d.layer_window[0] && !d.layer_window[1]);
}

static void test_refused(void **state)
{
	bad("\"model_type\":\"mixtral\"," DIMS, AX_EUSAGE, "model_type \"mixtral\": not supported; supported model types: llama, mistral, qwen2, qwen3, smollm3");
	bad(DIMS, AX_EDATA, "model_type is missing");
	bad("\"model_type\":\"llama\",\"quantization_config\":{\"bits\":4}," DIMS, AX_EUSAGE, "quantization_config");
	bad("\"model_type\":\"llama\",\"attention_dropout\":0.1," DIMS, AX_EUSAGE, "attention_dropout 0.1");
	bad("\"model_type\":\"llama\",\"hidden_act\":\"relu\"," DIMS, AX_EUSAGE, "hidden_act \"relu\"");
	bad("\"model_type\":\"llama\",\"dtype\":\"float8_e4m3fn\"," DIMS, AX_EUSAGE, "dtype \"float8_e4m3fn\"");
	bad("\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"mrope\"}," DIMS, AX_EUSAGE, "rope_scaling.type \"mrope\"");
	bad("\"model_type\":\"llama\",\"rope_parameters\":{\"full_attention\":{\"rope_theta\":1e4}}," DIMS, AX_EUSAGE, "full_attention");
	bad("\"model_type\":\"llama\",\"partial_rotary_factor\":0.5," DIMS, AX_EUSAGE, "partial_rotary_factor 0.5");
	bad("\"model_type\":\"qwen2\",\"use_sliding_window\":true,\"layer_types\":[\"linear_attention\",\"full_attention\",\"full_attention\",\"full_attention\"]," DIMS, AX_EUSAGE, "layer_types");
}

static void test_malformed(void **state)
{
	bad("\"model_type\":\"llama\"", AX_EDATA, "num_hidden_layers is missing: an integer from 1 to 512 is needed");
	bad("\"model_type\":\"llama\",\"rms_norm_eps\":\"x\"," DIMS, AX_EDATA, "rms_norm_eps \"x\": a number is needed");
	bad("\"model_type\":\"llama\",\"head_dim\":15," DIMS, AX_EDATA, "head_dim 15");
	bad("\"model_type\":\"llama\",\"head_dim\":1e300," DIMS, AX_EDATA, "head_dim");
	bad("\"model_type\":\"llama\",\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":4,\"num_attention_heads\":5,\"num_key_value_heads\":5,\"vocab_size\":100", AX_EDATA, "does not divide hidden_size");
	bad("\"model_type\":\"llama\",\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":4,\"num_attention_heads\":4,\"num_key_value_heads\":3,\"vocab_size\":100", AX_EDATA, "num_key_value_heads 3");
	bad("\"model_type\":\"llama\",\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":4,\"num_attention_heads\":4,\"vocab_size\":99999999999", AX_EDATA, "vocab_size");
	bad("\"model_type\":\"llama\",\"tie_word_embeddings\":1," DIMS, AX_EDATA, "tie_word_embeddings 1: true or false");
	bad("\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\"}," DIMS, AX_EDATA, "rope_scaling.factor is missing");
	bad("\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"longrope\",\"factor\":2,\"short_factor\":[1],\"long_factor\":[1]}," DIMS, AX_EDATA, "short_factor");
	bad("\"model_type\":\"llama\",\"rope_scaling\":7," DIMS, AX_EDATA, "rope_scaling 7");
	bad("\"model_type\":\"smollm3\",\"no_rope_layers\":[1,2]," DIMS, AX_EDATA, "no_rope_layers");
	bad("\"model_type\":\"qwen3\",\"layer_types\":[\"full_attention\"]," DIMS, AX_EDATA, "layer_types");
	bad("\"model_type\":\"qwen3\",\"layer_types\":[\"sliding_attention\",\"full_attention\",\"full_attention\",\"full_attention\"]," DIMS, AX_EDATA, "no sliding window");
}

/* Tables of transformers for every kind. Angles up to 200 rad in f32: an ulp of the angle is 1.5e-5. */
static void test_rotary(void **state)
{
	struct ax_arena a;
	struct ax_err e = { 0 };
	struct ax_val *all;
	static float table[200 * 8];

	ax_arena_init(&a, 0);
	assert_int_equal(ax_json_file(&a, "tests/golden/models/rotary.json", (size_t)1 << 20, &all, &e), 0);
	assert_int_equal(ax_val_len(all), 12);
	for (size_t i = 0; i < ax_val_len(all); i++) {
		const struct ax_val *c = ax_val_at(all, i), *rows = ax_val_get(c, "rows");
		int64_t n = ax_val_int_or(ax_val_get(c, "n"), 0);
		struct ax_desc d;

		if (ax_desc_parse(&d, ax_val_get(c, "config"), &e) || ax_rope_table(&d, table, n, &e))
			fail_msg("case %zu: %s", i, e.msg);
		for (size_t r = 0; r < ax_val_len(rows); r++) {
			const struct ax_val *row = ax_val_at(rows, r);
			int64_t pos = ax_val_int_or(ax_val_at(row, 0), 0);

			for (size_t k = 0; k < 8; k++) {
				double want = ax_val_num_or(ax_val_at(row, k + 1), (double)NAN), got = (double)table[pos * 8 + (int64_t)k];

				if (!(fabs(want - got) < 3e-5))
					fail_msg("case %zu, position %d, column %zu: %.9g, not %.9g", i, (int)pos, k, got, want);
			}
		}
	}
	assert_int_equal(ax_rope_table(&(struct ax_desc){ .head_dim = 8 }, table, 0, &e), AX_EUSAGE);
	ax_arena_release(&a);
}

static void test_load(void **state)
{
	struct ax_desc d;
	struct ax_err e = { 0 };

	assert_int_equal(ax_desc_load(&d, "tests/golden/models/qwen3-tied/config.json", &e), 0);
	assert_true(d.tied && d.qk_norm && d.head_dim == 6);
	assert_int_equal(ax_desc_load(&d, "tests/golden/models/none.json", &e), AX_EIO);
	assert_int_equal(ax_desc_load(&d, "tests/golden/models/rotary.json", &e), AX_EDATA);
	assert_string_equal(e.msg, "tests/golden/models/rotary.json: a JSON object is needed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_families), cmocka_unit_test(test_refused), cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_rotary),   cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests_name("desc", tests, NULL, NULL);
}
