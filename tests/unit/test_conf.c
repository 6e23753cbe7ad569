#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "conf/conf.h"
#include "conf/hub.h"
#include "conf/key.h"
#include "text/yaml.h"

#define YAML "build/tmp-conf.yaml"

static const struct ax_opt options[] = {
	{"output", 'o', AX_OPT_STR, "FILE", NULL, "where to write"},
	{"ranks", 0, AX_OPT_INT, "N", "1", "how many"},
	{"size", 0, AX_OPT_SIZE, "SIZE", NULL, "how large"},
	{"share", 0, AX_OPT_NUM, "X", NULL, "how much"},
	{"field", 'f', AX_OPT_LIST, "NAME", NULL, "which"},
	{"plan", 0, AX_OPT_FLAG, NULL, NULL, "only plan"},
	{"seed", 0, AX_OPT_STR, "WORD", NULL, "an own option with the name of a key"},
};

static const struct ax_tool_spec spec = {
	"ax-train",
	AX_TOOL_TRAIN,
	"a tool of the test",
	"[options] FILE",
	{"ax-train x  # one", "ax-train y  # two"},
	options,
	7,
};
static const struct ax_tool_spec tokenize = {
	"ax-tokenize", AX_TOOL_TOKENIZE, "a tool of the test", "[options] FILE", {NULL, NULL}, options, 6,
};

static int start_tool(struct ax_conf *c, const struct ax_tool_spec *s, struct ax_err *e, const char *const *arg)
{
	char *argv[32] = {(char *)(uintptr_t) "tool"};
	int argc = 1;

	for (; arg[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)arg[argc - 1];
	memset(e, 0, sizeof(*e));
	ax_log_set_level(AX_LOG_ERROR);
	return ax_conf_init(c, s, argc, argv, e);
}

#define START(c, e, ...) start_tool(c, &spec, e, (const char *const[]){__VA_ARGS__, NULL})

static void write_yaml(const char *text)
{
	assert_int_equal(ax_write_file(YAML, text, strlen(text), NULL), 0);
}

/* Run with one argument that must be refused, and find `say` in the message. */
#define REFUSES(say, ...)                                                                                              \
	do {                                                                                                           \
		struct ax_conf c_;                                                                                     \
		struct ax_err e_;                                                                                      \
		assert_int_equal(START(&c_, &e_, __VA_ARGS__), AX_EUSAGE);                                             \
		if (!strstr(e_.msg, say))                                                                              \
			fail_msg("\"%s\" does not say \"%s\"", e_.msg, say);                                           \
	} while (0)

static void test_options(void **state)
{
	struct ax_conf c;
	struct ax_err e;

	assert_int_equal(START(&c, &e, "a", "-oX", "--ranks=3", "--size", "1.5GiB", "-f", "x", "--field=y", "-",
			       "--plan", "true", "--share", "0.5", "--seed", "apple", "-@", "4", "--", "--ranks"),
			 0);
	assert_int_equal(c.n_operand, 3);
	assert_string_equal(c.operand[1], "-");
	assert_string_equal(c.operand[2], "--ranks");
	assert_string_equal(ax_conf_opt_str(&c, "output"), "X");
	assert_int_equal(ax_conf_opt_int(&c, "ranks", 1), 3);
	assert_int_equal(ax_conf_opt_int(&c, "threads", 0), 4);
	assert_int_equal(ax_conf_opt_size(&c, "size", 0), 3ull << 29);
	assert_int_equal(ax_val_len(ax_conf_opt_list(&c, "field")), 2);
	assert_true(ax_conf_opt_flag(&c, "plan"));
	assert_false(ax_conf_opt_given(&c, "json"));
	assert_true(ax_conf_opt_num(&c, "share", 0) == 0.5);
	assert_string_equal(ax_conf_opt_str(&c, "seed"), "apple");
	assert_int_equal(ax_conf_int(&c, "seed"), 42);
	ax_conf_release(&c);

	REFUSES("did you mean --ranks?", "--rank=3");
	REFUSES("did you mean --micro-batch-size?", "--micro-batch-sise", "1");
	REFUSES("needs a value (N)", "--ranks");
	REFUSES("expected an integer", "--ranks", "many");
	REFUSES("expected a size", "--size", "4X");
	REFUSES("unknown option", "-z");
	REFUSES("at least 1", "--threads", "0");
	REFUSES("--set dataset.0.path: unknown key", "--set", "dataset.0.path=x");
	REFUSES("expected KEY=YAML", "--set", "seed");
}

static void test_keys_as_options(void **state)
{
	struct ax_conf c;
	struct ax_err e;

	assert_int_equal(START(&c, &e, "--micro-batch-size", "2", "--micro-batch-size=3", "--sample-packing", "rest",
			       "--no-train-on-inputs", "--learning-rate", "2e-5", "--fsdp-config.offload-params",
			       "true", "--seq-len", "64", "--bf16", "--tokens", "<|a|>", "--set",
			       "chat_template_kwargs.x=[1, no]", "--set", "datasets.0.path=p", "--set",
			       "datasets.0.type=alpaca", "--gradient-checkpointing", "offload",
			       "--resume-from-checkpoint", "auto", "--lora-r", "null"),
			 0);
	assert_int_equal(ax_conf_int(&c, "micro_batch_size"), 3);
	assert_true(ax_conf_bool(&c, "sample_packing"));
	assert_int_equal(c.n_operand, 1);
	assert_false(ax_conf_bool(&c, "train_on_inputs"));
	assert_true(ax_conf_is_set(&c, "train_on_inputs"));
	assert_true(ax_conf_num(&c, "learning_rate") == 2e-5);
	assert_true(ax_conf_bool(&c, "fsdp_config.offload_params"));
	assert_int_equal(ax_conf_int(&c, "sequence_len"), 64);
	assert_true(ax_conf_get(&c, "bf16")->type == AX_BOOL);
	assert_true(ax_val_is(ax_val_at(ax_conf_get(&c, "tokens"), 0), "<|a|>"));
	assert_int_equal(ax_val_len(ax_val_path(ax_conf_get(&c, "chat_template_kwargs"), "x")), 2);
	assert_true(ax_val_is(ax_val_get(ax_val_at(ax_conf_get(&c, "datasets"), 0), "type"), "alpaca"));
	assert_true(ax_conf_bool(&c, "gradient_checkpointing"));
	assert_true(ax_conf_bool(&c, "activation_offloading"));
	assert_false(ax_conf_is_set(&c, "lora_r"));
	assert_string_equal(ax_conf_str(&c, "lr_scheduler"), "cosine");
	assert_false(ax_conf_is_set(&c, "lr_scheduler"));
	ax_conf_release(&c);

	write_yaml("tokens: [a, b]\ndatasets:\n- path: p\n");
	assert_int_equal(START(&c, &e, "-c", YAML, "--tokens.1", "x", "--set", "tokens.2=y", "--set",
			       "datasets.0={type: t}", "--set", "datasets.1={path: q, typ: z}"),
			 AX_EUSAGE);
	assert_non_null(strstr(e.msg, "datasets[].typ: unknown key"));
	assert_int_equal(
	    START(&c, &e, "-c", YAML, "--tokens.1", "x", "--set", "tokens.2=y", "--set", "datasets.0={type: t}"), 0);
	assert_int_equal(ax_val_len(ax_conf_get(&c, "tokens")), 3);
	assert_true(ax_val_is(ax_val_at(ax_conf_get(&c, "tokens"), 1), "x"));
	assert_true(ax_val_is(ax_val_get(ax_val_at(ax_conf_get(&c, "datasets"), 0), "path"), "p"));
	assert_true(ax_val_is(ax_val_get(ax_val_at(ax_conf_get(&c, "datasets"), 0), "type"), "t"));
	ax_conf_release(&c);
	REFUSES("--micro-batch-size: expected an integer at least 1, got 0", "--micro-batch-size", "0");
	REFUSES("--learning-rate: expected a number", "--learning-rate", "fast");
	REFUSES("not true or false", "--no-learning-rate");
}

static void test_file(void **state)
{
	struct ax_conf c;
	struct ax_err e;

	write_yaml(
	    "base_model: m\nlearning_rate: 2e-5\nmodel_type: LlamaForCausalLM\nevaluation_strategy: no\n"
	    "fsdp_config:\n  fsdp_offload_params: false\n  version: 2\ntokens:\n  pad_token: <pad>\n"
	    "datasets:\n  - path: a\n    type: chat_template\n    message_field_role: from\n  - path: b\n    type:\n"
	    "      field_output: o\nwarmup_steps: 0.1\nnum_epochs: '2'\nsave_steps:\ngc_steps: 5\n"
	    "batch_size: 8\nmicro_batch_size: 2\nflash_attention: true\nunknown_thing: 1\n");
	assert_int_equal(START(&c, &e, "-c", YAML, "--set", "datasets.1.type=alpaca"), 0);
	assert_true(ax_conf_num(&c, "learning_rate") == 2e-5);
	assert_string_equal(ax_conf_str(&c, "type_of_model"), "LlamaForCausalLM");
	assert_string_equal(ax_conf_str(&c, "eval_strategy"), "no");
	assert_true(ax_conf_get(&c, "fsdp_config.offload_params") != NULL);
	assert_int_equal(ax_conf_int(&c, "fsdp_version"), 2);
	assert_string_equal(ax_conf_str(&c, "special_tokens.pad_token"), "<pad>");
	assert_null(ax_conf_get(&c, "tokens"));
	const struct ax_val *list = ax_conf_get(&c, "datasets");

	assert_true(ax_val_is(ax_val_path(ax_val_at(list, 0), "message_property_mappings.role"), "from"));
	assert_true(ax_val_is(ax_val_get(ax_val_at(list, 0), "chat_template"), "tokenizer_default"));
	assert_true(ax_val_is(ax_val_get(ax_val_at(list, 1), "type"), "alpaca"));
	assert_true(ax_conf_num(&c, "warmup_ratio") == 0.1);
	assert_null(ax_conf_get(&c, "warmup_steps"));
	assert_true(ax_conf_num(&c, "num_epochs") == 2);
	assert_false(ax_conf_is_set(&c, "save_steps"));
	assert_int_equal(ax_conf_int(&c, "gc_collect_steps"), 5);
	assert_int_equal(ax_conf_int(&c, "gradient_accumulation_steps"), 4);
	assert_string_equal(ax_conf_str(&c, "attn_implementation"), "flash_attention_2");
	ax_conf_release(&c);

	REFUSES(YAML ":24: unknown_thing: unknown key", "-c", YAML, "--strict-keys");
	write_yaml("micro_batch_size: two\n");
	REFUSES(YAML ":1: micro_batch_size: expected an integer at least 1, got \"two\"", "-c", YAML);
	write_yaml("model_type: A\ntype_of_model: B\n");
	REFUSES(YAML ":2: type_of_model: given twice", "-c", YAML);
	write_yaml("- 1\n");
	REFUSES("a configuration is a mapping", "-c", YAML);
	write_yaml("datasets:\n  - 3\n");
	REFUSES("datasets: entry 0 is not a mapping", "-c", YAML);
	write_yaml("a: [1\n");
	REFUSES(YAML, "-c", YAML);
}

static void test_header(void **state)
{
	struct ax_conf c, d;
	struct ax_err e;

	write_yaml("sequence_len: 128\nspecial_tokens:\n  pad_token: p\ndatasets:\n  - path: a\n    type: alpaca\n");
	assert_int_equal(START(&c, &e, "-c", YAML), 0);
	struct ax_val *keys = ax_conf_resolved(&c, AX_TOOL_TOKENIZE | AX_TOOL_PACK);

	assert_non_null(keys);
	assert_int_equal(ax_val_int_or(ax_val_get(keys, "sequence_len"), 0), 128);
	assert_null(ax_val_get(keys, "learning_rate"));
	assert_null(ax_val_get(keys, "optimizer"));
	assert_int_equal(START(&d, &e, "--seed=x", "--set", "special_tokens.eos_token=e"), 0);
	assert_int_equal(ax_conf_int(&d, "sequence_len"), 512);
	assert_int_equal(ax_conf_header(&d, keys, &e), 0);
	assert_int_equal(ax_conf_int(&d, "sequence_len"), 128);
	assert_string_equal(ax_conf_str(&d, "special_tokens.pad_token"), "p");
	assert_string_equal(ax_conf_str(&d, "special_tokens.eos_token"), "e");
	assert_int_equal(ax_conf_set(&d, "base_model", ax_val_str(&d.arena, "m", 1), &e), 0);
	assert_string_equal(ax_conf_str(&d, "tokenizer_config"), "m");
	/* A header says nothing about a run, and a file's empty key does not undo it. */
	assert_true(ax_val_set(&c.arena, keys, "output_dir", ax_val_str(&c.arena, "/x", 2)));
	write_yaml("special_tokens:\nsequence_len:\noptim_args: eps=1e-6, amsgrad=false\n");
	ax_conf_release(&d);
	assert_int_equal(START(&d, &e, "-c", YAML), 0);
	assert_int_equal(ax_conf_header(&d, keys, &e), 0);
	assert_string_equal(ax_conf_str(&d, "output_dir"), "./model-out");
	assert_int_equal(ax_conf_int(&d, "sequence_len"), 128);
	assert_true(ax_conf_is_set(&d, "sequence_len"));
	assert_string_equal(ax_conf_str(&d, "special_tokens.pad_token"), "p");
	assert_true(ax_val_num_or(ax_val_get(ax_conf_get(&d, "optim_args"), "eps"), 0) == 1e-6);
	assert_true(ax_val_get(ax_conf_get(&d, "optim_args"), "amsgrad")->type == AX_BOOL);
	/* What follows from a key follows from its new value. */
	assert_true(ax_val_set(&c.arena, keys, "base_model", ax_val_str(&c.arena, "old", 3)));
	assert_true(ax_val_set(&c.arena, keys, "tokenizer_config", ax_val_str(&c.arena, "old", 3)));
	ax_conf_release(&d);
	assert_int_equal(START(&d, &e, "--base-model", "new"), 0);
	assert_int_equal(ax_conf_header(&d, keys, &e), 0);
	assert_string_equal(ax_conf_str(&d, "tokenizer_config"), "new");
	ax_conf_release(&d);
	assert_int_equal(START(&d, &e, "x"), 0);
	assert_int_equal(ax_conf_header(&d, keys, &e), 0);
	assert_string_equal(ax_conf_str(&d, "tokenizer_config"), "old");
	assert_true(ax_val_set(&c.arena, keys, "sequence_len", ax_val_str(&c.arena, "x", 1)));
	assert_int_equal(ax_conf_header(&d, keys, &e), AX_EDATA);
	ax_conf_release(&c);
	ax_conf_release(&d);
}

static int check(const struct ax_tool_spec *s, const char *yaml, const char *arg, struct ax_err *e)
{
	struct ax_conf c;
	int rc;

	write_yaml(yaml);
	rc = start_tool(&c, s, e, (const char *const[]){"-c", YAML, arg, NULL});
	assert_int_equal(rc, 0);
	rc = ax_conf_check(&c, e);
	ax_conf_release(&c);
	return rc;
}

#define CHECK_SAYS(s, yaml, arg, say)                                                                                  \
	do {                                                                                                           \
		struct ax_err e_;                                                                                      \
		assert_int_equal(check(s, yaml, arg, &e_), AX_EUSAGE);                                                 \
		if (!strstr(e_.msg, say))                                                                              \
			fail_msg("\"%s\" does not say \"%s\"", e_.msg, say);                                           \
	} while (0)

static void test_check(void **state)
{
	struct ax_err e;

	assert_int_equal(check(&spec,
			       "base_model: m\nlearning_rate: 1e-4\nadapter:\nload_in_8bit: false\nlora_r: 8\n"
			       "plugins:\n  - axolotl.integrations.liger.LigerPlugin\noptimizer: adamw_bnb_8bit\n",
			       NULL, &e),
			 0);
	assert_int_equal(check(&spec, "base_model: m\n", "--plan", &e), 0);
	assert_int_equal(check(&tokenize, "optimizer: muon\nadapter: lora\nlearning_rate: 3\n", NULL, &e), 0);
	CHECK_SAYS(&spec, "base_model: m\n", NULL, "learning_rate is not set");
	CHECK_SAYS(&spec, "learning_rate: 1\n", NULL, "base_model is not set");
	CHECK_SAYS(&spec, "base_model: m\nlearning_rate: 1\nadapter: lora\n", NULL, YAML ":3: adapter: ");
	CHECK_SAYS(&spec, "base_model: m\nlearning_rate: 1\n", "--tensor-parallel-size=2", "--tensor-parallel-size: ");
	CHECK_SAYS(&spec, "base_model: m\nlearning_rate: 1\noptimizer: muon\n", NULL,
		   ":3: optimizer: muon is not built");
	CHECK_SAYS(&spec, "base_model: m\nlearning_rate: 1\nlr_scheduler: greedy\n", NULL,
		   ":3: lr_scheduler: greedy is not built");
	CHECK_SAYS(&spec,
		   "base_model: m\nlearning_rate: 1\nplugins: [axolotl.integrations.diffusion.DiffusionPlugin]\n", NULL,
		   "runs no Python");
	CHECK_SAYS(&spec, "base_model: m\nlearning_rate: 1\nsave_steps: 5\nsaves_per_epoch: 1\n", NULL, "are both set");
	CHECK_SAYS(&spec, "base_model: m\nlearning_rate: 1\ndeepspeed: {optimizer: {type: AdamW}}\n", NULL,
		   "block \"optimizer\"");
	CHECK_SAYS(&tokenize, "rl: dpo\n", NULL, ":1: rl: ");
	CHECK_SAYS(&tokenize, "datasets:\n- path: x\n  input_transform: f\n", NULL,
		   "datasets[0].input_transform (line 3)");
}

#define RUN "base_model: m\nlearning_rate: 1\n"

/* When to evaluate, save and stop: what goes together. */
static void test_check_save(void **state)
{
	static const char *const good[] = {
		"save_strategy: best\nmetric_for_best_model: eval_loss\neval_strategy: epoch\n",
		"save_strategy: best\nmetric_for_best_model: loss\neval_steps: 3\nearly_stopping_patience: 2\n",
		"early_stopping_patience: 2\nevals_per_epoch: 4\nsaves_per_epoch: 2\n",
		"early_stopping_patience: 2\neval_steps: 0.1\nsave_steps: 0.3\n",
		"early_stopping_patience:\nload_best_model_at_end: true\nmetric_for_best_model:\n",
		"early_stopping_patience: 0\n", "save_strategy: steps\nsave_steps: 4\neval_strategy: steps\neval_steps: 3\n",
		"save_strategy: epoch\nsaves_per_epoch: 2\n", "eval_strategy: no\neval_steps: 3\n",
		"save_strategy: no\nsave_steps: 3\n",
	};
	struct ax_err e;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char text[256];

		snprintf(text, sizeof(text), RUN "%s", good[i]);
		if (check(&spec, text, NULL, &e))
			fail_msg("%s: %s", good[i], e.msg);
	}
	CHECK_SAYS(&spec, RUN "save_strategy: best\neval_steps: 2\n", NULL, ":3: save_strategy: best needs a metric");
	CHECK_SAYS(&spec, RUN "save_strategy: best\nmetric_for_best_model: loss\n", NULL, "none are asked for");
	CHECK_SAYS(&spec, RUN "save_strategy: best\nmetric_for_best_model: loss\neval_strategy: no\neval_steps: 2\n", NULL,
		   "none are asked for");
	CHECK_SAYS(&spec, RUN "metric_for_best_model: eval_f1\n", NULL, ":3: metric_for_best_model: eval_f1 is not computed");
	CHECK_SAYS(&spec, RUN "save_strategy: best\nmetric_for_best_model: loss\neval_steps: 2\nsaves_per_epoch: 1\n", NULL,
		   "best and saves_per_epoch");
	CHECK_SAYS(&spec, RUN "save_strategy: best\nmetric_for_best_model: loss\neval_steps: 2\nsave_steps: 2\n", NULL,
		   "best and save_steps");
	CHECK_SAYS(&spec, RUN "save_strategy: epoch\n", "--save-steps=2", ":3: save_strategy: epoch and save_steps");
	CHECK_SAYS(&spec, RUN "eval_strategy: epoch\neval_steps: 2\n", NULL, "epoch and eval_steps");
	CHECK_SAYS(&spec, RUN "eval_strategy: epoch\nevals_per_epoch: 2\n", NULL, "epoch and evals_per_epoch");
	CHECK_SAYS(&spec, RUN, "--early-stopping-patience=2", "--early-stopping-patience counts evaluations");
	CHECK_SAYS(&spec, RUN "early_stopping_patience: 2\nsave_steps: 3\neval_steps: 2\n", NULL,
		   "save_steps 3 is not a multiple of eval_steps 2");
	CHECK_SAYS(&spec, RUN "early_stopping_patience: 2\nsave_steps: 0.5\neval_steps: 2\n", NULL, "not a multiple");
}

static void test_table(void **state)
{
	struct ax_arena a;

	ax_arena_init(&a, 0);
	for (const struct ax_key_group *g = ax_key_groups; g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++) {
			if (ax_key_find(k->name, strlen(k->name)) != k)
				fail_msg("%s has two rows", k->name);
			if (!k->help || (k->dflt && !ax_key_default(&a, k)))
				fail_msg("%s: no help, or its default is not of its type", k->name);
			if ((k->status == AX_KEY_HONOURED || k->status == AX_KEY_SAME) != (k->reason == NULL))
				fail_msg("%s: a reason where none belongs, or none", k->name);
		}
	assert_string_equal(ax_key_nearest("micro_batchsize")->name, "micro_batch_size");
	assert_null(ax_key_nearest("completely_different"));
	assert_int_equal(ax_edit_distance("ab", "ba", 3), 1);
	assert_int_equal(ax_edit_distance("kitten", "sitting", 3), 3);
	assert_int_equal(ax_edit_distance("abc", "xyzuvw", 2), 3);
	ax_arena_release(&a);
}

static void touch(const char *path)
{
	char *dir = ax_path_dir(path);

	assert_int_equal(ax_mkdirs(dir, NULL), 0);
	assert_int_equal(ax_write_file(path, "{}\n", 3, NULL), 0);
	ax_free(dir);
}

#define CACHE "build/tmp-hub"
#define SNAP  CACHE "/datasets--org--set/snapshots/abc/"

static void test_hub(void **state)
{
	struct ax_conf c;
	struct ax_err e;
	const char *path;

	ax_remove_tree(CACHE, NULL);
	assert_int_equal(START(&c, &e, "x"), 0);
	touch(CACHE "/models--org--m/snapshots/abc/config.json");
	assert_int_equal(ax_mkdirs(CACHE "/models--org--m/refs", NULL), 0);
	assert_int_equal(ax_write_file(CACHE "/models--org--m/refs/main", "abc\n", 4, NULL), 0);
	setenv("HF_HUB_CACHE", CACHE, 1);
	assert_int_equal(ax_hub_find(&c, "models", "org/m", NULL, &path, &e), 0);
	assert_string_equal(path, CACHE "/models--org--m/snapshots/abc");
	assert_int_equal(ax_hub_find(&c, "models", "org/m", "abc", &path, &e), 0);
	assert_int_equal(ax_hub_find(&c, "models", "tests", NULL, &path, &e), 0);
	assert_string_equal(path, "tests");
	assert_int_equal(ax_hub_find(&c, "models", "org/none", NULL, &path, &e), AX_EIO);
	assert_non_null(strstr(e.msg, "hf download org/none"));
	assert_non_null(strstr(e.msg, CACHE));
	assert_int_equal(ax_hub_find(&c, "models", "org/../../m", NULL, &path, &e), AX_EIO);
	assert_int_equal(ax_hub_find(&c, "models", "org/m", "../x", &path, &e), AX_EUSAGE);
	assert_int_equal(ax_write_file(CACHE "/models--org--m/refs/main", "../../x", 7, NULL), 0);
	assert_int_equal(ax_hub_find(&c, "models", "org/m", NULL, &path, &e), AX_EIO);
	assert_int_equal(symlink("../../blobs/gone", CACHE "/models--org--m/snapshots/abc/model.safetensors"), 0);
	assert_int_equal(ax_hub_find(&c, "models", "org/m", "abc", &path, &e), AX_EIO);
	assert_non_null(strstr(e.msg, "incomplete"));
	assert_non_null(strstr(e.msg, "--revision abc"));
	ax_conf_release(&c);
}

static size_t files_of(struct ax_conf *c, const char *yaml, const char *const **file, struct ax_err *e)
{
	struct ax_val *entry;
	size_t n = 0;

	assert_int_equal(ax_yaml_parse(&c->arena, yaml, strlen(yaml), &entry, e), 0);
	return ax_hub_dataset(c, entry, "train", file, &n, e) == 0 ? n : 0;
}

static void test_hub_data(void **state)
{
	static const char readme[] =
	    "---\nconfigs:\n- config_name: a\n  data_files:\n  - split: train\n    path: data/train-*\n"
	    "- config_name: b\n  data_files: other.jsonl\n---\n# text\n";
	const char *const *file;
	struct ax_conf c;
	struct ax_err e;

	ax_remove_tree(CACHE, NULL);
	assert_int_equal(START(&c, &e, "x"), 0);
	setenv("HF_HUB_CACHE", CACHE, 1);
	touch(SNAP "data/train-0.jsonl");
	touch(SNAP "data/train-1.jsonl.zst");
	touch(SNAP "data/test-0.jsonl");
	touch(SNAP "other.jsonl");
	assert_int_equal(ax_mkdirs(CACHE "/datasets--org--set/refs", NULL), 0);
	assert_int_equal(ax_write_file(CACHE "/datasets--org--set/refs/main", "abc", 3, NULL), 0);
	assert_int_equal(files_of(&c, "path: org/set", &file, &e), 2);
	assert_string_equal(file[1], SNAP "data/train-1.jsonl.zst");
	assert_int_equal(files_of(&c, "{path: org/set, split: 'test[:10%]'}", &file, &e), 1);
	assert_int_equal(files_of(&c, "{path: org/set, split: nothing}", &file, &e), 0);
	assert_non_null(strstr(e.msg, "split \"nothing\""));
	assert_int_equal(files_of(&c, "{path: org/set, data_files: ['data/*.jsonl', other.jsonl]}", &file, &e), 3);
	assert_int_equal(files_of(&c, "{path: org/set, data_files: '*.jsonl'}", &file, &e), 1);
	assert_int_equal(files_of(&c, "{path: org/set, data_files: ../../x}", &file, &e), 0);
	assert_int_equal(e.code, AX_EUSAGE);
	assert_int_equal(files_of(&c, "{path: org/set, data_files: gone.jsonl}", &file, &e), 0);
	assert_int_equal(e.code, AX_EIO);
	assert_int_equal(ax_write_file(SNAP "README.md", readme, sizeof(readme) - 1, NULL), 0);
	assert_int_equal(files_of(&c, "{path: org/set, name: a}", &file, &e), 2);
	assert_int_equal(files_of(&c, "{path: org/set, name: b}", &file, &e), 1);
	assert_int_equal(files_of(&c, "{path: org/set, name: z}", &file, &e), 0);
	assert_non_null(strstr(e.msg, "no configuration \"z\""));
	assert_int_equal(files_of(&c, "path: " SNAP "other.jsonl", &file, &e), 1);
	assert_int_equal(files_of(&c, "{path: json, data_files: " SNAP "other.jsonl}", &file, &e), 1);
	assert_int_equal(files_of(&c, "path: org/nothing", &file, &e), 0);
	assert_non_null(strstr(e.msg, "hf download --repo-type dataset org/nothing"));
	ax_conf_release(&c);
}

/* Splits that are not train, validation or test, and what stands in data_files. */
static void test_hub_splits(void **state)
{
	static const char *const none[] = {
	    "{path: " SNAP ", data_files: 'data/train_[!g]*x'}", "{path: " SNAP ", split: train}", "{path: " SNAP ", split: sft}",
	    "{path: " SNAP ", data_files: 'data/[ab'}",	       "{path: json, data_files: '" SNAP "data/?'}",
	};
	static const char *const one[] = {
	    "{path: " SNAP ", split: train_sft}",	     "{path: " SNAP ", split: 'train_gen[:5]'}",
	    "{path: " SNAP ", data_files: 'data/*_[e-h]*'}", "{path: " SNAP ", data_files: 'data/*_[!s]*'}",
	    "{path: " SNAP ", data_files: '**/x-*.jsonl'}",  "{path: json, data_files: '" SNAP "da*/*_sft-*'}",
	};
	const char *const *file;
	struct ax_conf c;
	struct ax_err e;

	ax_remove_tree(CACHE, NULL);
	assert_int_equal(START(&c, &e, "x"), 0);
	touch(SNAP "data/train_sft-00000-of-00001.jsonl");
	touch(SNAP "data/train_gen-00000-of-00001.jsonl");
	touch(SNAP "x-a/sub/x-1.jsonl");
	for (size_t i = 0; i < sizeof(one) / sizeof(*one); i++)
		if (files_of(&c, one[i], &file, &e) != 1)
			fail_msg("%s: not one file", one[i]);
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		if (files_of(&c, none[i], &file, &e) != 0)
			fail_msg("%s: found something", none[i]);
	ax_conf_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_options), cmocka_unit_test(test_keys_as_options), cmocka_unit_test(test_file),
	    cmocka_unit_test(test_header),  cmocka_unit_test(test_check),
	    cmocka_unit_test(test_check_save), cmocka_unit_test(test_table),
	    cmocka_unit_test(test_hub),	    cmocka_unit_test(test_hub_data),
	    cmocka_unit_test(test_hub_splits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
