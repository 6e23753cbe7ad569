/*
 * What follows from the keys that were given: the relations between keys that Axolotl's validation and normalisation
 * establish, for one process. Order matters only where a rule reads what an earlier one set.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "conf/inner.h"
#include "conf/layer.h"
#include "text/json.h"

#define JSON_LIMIT ((size_t)1 << 20)

static bool given(const struct ax_conf *c, const char *key)
{
	return !ax_val_is_null(ax_val_path(c->val, key));
}

static bool is_true(const struct ax_conf *c, const char *key)
{
	return ax_val_bool_or(ax_val_path(c->val, key), false);
}

static int set(struct ax_conf *c, const char *key, struct ax_val *v, struct ax_err *e)
{
	return ax_layer_put(&c->arena, c->val, key, v) ? 0 : ax_fail(e, AX_EMEM, "configuration: out of memory");
}

static int set_bool(struct ax_conf *c, const char *key, bool b, struct ax_err *e)
{
	return set(c, key, ax_val_bool(&c->arena, b), e);
}

static int set_int(struct ax_conf *c, const char *key, int64_t i, struct ax_err *e)
{
	return set(c, key, ax_val_int(&c->arena, i), e);
}

static int set_str(struct ax_conf *c, const char *key, const char *s, struct ax_err *e)
{
	return set(c, key, ax_val_str(&c->arena, s, strlen(s)), e);
}

static int old_attention(struct ax_conf *c, struct ax_err *e)
{
	/* Where several are set, Axolotl takes the first of this order. */
	static const char *const flag[][2] = {
	    {"xformers_attention", "xformers"},	      {"sage_attention", "sage"}, {"flex_attention", "flex_attention"},
	    {"flash_attention", "flash_attention_2"}, {"sdp_attention", "sdpa"},  {"eager_attention", "eager"},
	};

	for (size_t i = 0; i < sizeof(flag) / sizeof(*flag); i++) {
		bool on = is_true(c, flag[i][0]);

		ax_val_remove(c->val, flag[i][0]);
		if (!on)
			continue;
		if (!given(c, "attn_implementation"))
			AX_TRY(set_str(c, "attn_implementation", flag[i][1], e));
	}
	return 0;
}

static int old_gc_steps(struct ax_conf *c, struct ax_err *e)
{
	int64_t n = ax_val_int_or(ax_val_get(c->val, "gc_steps"), 0);

	ax_val_remove(c->val, "gc_steps");
	if (n == 0 || given(c, "torch_empty_cache_steps") || given(c, "gc_collect_steps"))
		return 0;
	if (n > 0)
		AX_TRY(set_int(c, "torch_empty_cache_steps", n, e));
	return set_int(c, "gc_collect_steps", n, e);
}

/* `tokens` as a mapping is the form before special_tokens. */
static int old_tokens(struct ax_conf *c, struct ax_err *e)
{
	const struct ax_val *t = ax_val_get(c->val, "tokens");

	if (!t || t->type != AX_MAP)
		return 0;
	for (size_t i = 0; i < t->n; i++) {
		const struct ax_pair *p = &t->u.pair[i];
		char name[64];

		snprintf(name, sizeof(name), "special_tokens.%s", p->key);
		if (!ax_key_find(name, strlen(name)) || p->val->type != AX_STR)
			return ax_fail(e, AX_EUSAGE, "tokens: %s: expected a list of texts, or bos_token and the like",
				       p->key);
		if (!given(c, name))
			AX_TRY(set(c, name, ax_val_copy(&c->arena, p->val), e));
	}
	ax_val_remove(c->val, "tokens");
	return 0;
}

static int warm_up(struct ax_conf *c, struct ax_err *e)
{
	double n = ax_val_num_or(ax_val_get(c->val, "warmup_steps"), 0);

	if (n > 0 && n < 1) {
		ax_val_remove(c->val, "warmup_steps");
		if (!given(c, "warmup_ratio"))
			return set(c, "warmup_ratio", ax_val_float(&c->arena, n), e);
		return 0;
	}
	if (n != floor(n))
		return ax_fail(e, AX_EUSAGE, "warmup_steps: expected an integer, or a share below 1, got %g", n);
	return given(c, "warmup_steps") ? set_int(c, "warmup_steps", (int64_t)n, e) : 0;
}

/* Two of the three determine the third. */
static int batch(struct ax_conf *c, struct ax_err *e)
{
	int64_t micro = ax_conf_int(c, "micro_batch_size");

	if (!given(c, "batch_size") || given(c, "gradient_accumulation_steps")) {
		int64_t steps = ax_conf_int(c, "gradient_accumulation_steps"), all = micro * steps;

		if (micro > INT32_MAX || steps > INT32_MAX)
			return ax_fail(e, AX_EUSAGE, "micro_batch_size x gradient_accumulation_steps is too large");
		if (given(c, "batch_size") && ax_conf_int(c, "batch_size") != all)
			return ax_fail(e, AX_EUSAGE,
				       "batch_size: %lld is not micro_batch_size x gradient_accumulation_steps (%lld): "
				       "give one of the two",
				       (long long)ax_conf_int(c, "batch_size"), (long long)all);
		AX_TRY(set_int(c, "gradient_accumulation_steps", steps, e));
		return set_int(c, "batch_size", all, e);
	}
	int64_t all = ax_conf_int(c, "batch_size");

	if (!given(c, "micro_batch_size"))
		micro = 1;
	if (all % micro != 0)
		return ax_fail(e, AX_EUSAGE, "batch_size: %lld is no multiple of micro_batch_size %lld", (long long)all,
			       (long long)micro);
	return set_int(c, "gradient_accumulation_steps", all / micro, e);
}

static int packing(struct ax_conf *c, struct ax_err *e)
{
	if (is_true(c, "sample_packing")) {
		if (!given(c, "eval_sample_packing"))
			AX_TRY(set_bool(c, "eval_sample_packing", true, e));
		else if (!is_true(c, "eval_sample_packing") && !given(c, "remove_unused_columns"))
			AX_TRY(set_bool(c, "remove_unused_columns", false, e));
		if (!given(c, "pad_to_sequence_len"))
			AX_TRY(set_bool(c, "pad_to_sequence_len", true, e));
	}
	if (is_true(c, "skip_prepare_dataset") && !given(c, "remove_unused_columns"))
		AX_TRY(set_bool(c, "remove_unused_columns", false, e));
	return given(c, "eval_batch_size") ? 0 : set_int(c, "eval_batch_size", ax_conf_int(c, "micro_batch_size"), e);
}

static int precision(struct ax_conf *c, struct ax_err *e)
{
	const struct ax_val *bf16 = ax_conf_get(c, "bf16");
	bool fp16 = is_true(c, "fp16");

	if (ax_val_is(bf16, "auto"))
		AX_TRY(set_bool(c, "bf16", !fp16, e));
	bf16 = ax_val_get(c->val, "bf16");
	if (ax_val_is(bf16, "full") || ax_val_bool_or(bf16, false))
		AX_TRY(set_bool(c, "fp16", false, e));
	return ax_val_is(ax_conf_get(c, "tf32"), "auto") ? set_bool(c, "tf32", true, e) : 0;
}

/* "k=v,k=v" as the mapping that it means. */
static int optim_args(struct ax_conf *c, struct ax_err *e)
{
	static const struct ax_key scalar = {.name = "optim_args", .type = AX_KEY_BOOL | AX_KEY_INT | AX_KEY_NUM};
	const struct ax_val *v = ax_val_get(c->val, "optim_args");
	struct ax_val *map, *text, *value;
	const char *s;

	if (!v || v->type != AX_STR)
		return 0;
	map = ax_val_map(&c->arena);
	s = ax_val_cstr(&c->arena, v, "");
	while (map && *s) {
		size_t n = strcspn(s, ","), eq = strcspn(s, "=");
		const char *key = eq < n ? ax_arena_strndup(&c->arena, s, eq) : NULL;

		if (!key || eq == 0)
			return ax_fail(e, AX_EUSAGE, "optim_args: expected k=v,k=v or a mapping, got \"%s\"", s);
		key += strspn(key, " ");
		text = ax_val_str(&c->arena, s + eq + 1, n - eq - 1);
		if (!text)
			return ax_fail(e, AX_EMEM, "configuration: out of memory");
		if (ax_key_coerce(&c->arena, &scalar, text, key, &value, NULL) != 0)
			value = text;
		if (!ax_val_set(&c->arena, map, key, value))
			return ax_fail(e, AX_EMEM, "configuration: out of memory");
		s += n + (s[n] == ',');
	}
	return set(c, "optim_args", map, e);
}

/* n a whole run, as a share of it; a share of 1 or more sets nothing. */
static int per_epoch(struct ax_conf *c, const char *key, const char *steps, struct ax_err *e)
{
	double n = ax_val_num_or(ax_val_get(c->val, key), 0), share = 1 / (n * ax_conf_num(c, "num_epochs"));

	if (n <= 0 || share >= 1)
		return 0;
	return set(c, steps, ax_val_float(&c->arena, share), e);
}

static int schedule(struct ax_conf *c, struct ax_err *e)
{
	AX_TRY(per_epoch(c, "saves_per_epoch", "save_steps", e));
	if (ax_conf_num(c, "val_set_size") > 0 || ax_val_len(ax_val_get(c->val, "test_datasets")) > 0)
		AX_TRY(per_epoch(c, "evals_per_epoch", "eval_steps", e));
	return 0;
}

static int checkpointing(struct ax_conf *c, struct ax_err *e)
{
	const struct ax_val *g = ax_val_get(c->val, "gradient_checkpointing");

	if (ax_val_is(g, "offload") || ax_val_is(g, "offload_disk")) {
		if (ax_val_is(g, "offload"))
			AX_TRY(set_bool(c, "activation_offloading", true, e));
		else
			AX_TRY(set_str(c, "activation_offloading", "disk", e));
		AX_TRY(set_bool(c, "gradient_checkpointing", true, e));
	}
	if (is_true(c, "gradient_checkpointing") && !given(c, "unfrozen_parameters") && !given(c, "rl") &&
	    !given(c, "gradient_checkpointing_kwargs"))
		return set_bool(c, "gradient_checkpointing_kwargs.use_reentrant", true, e);
	return 0;
}

/* The version stands beside fsdp_config and inside it. */
static int fsdp(struct ax_conf *c, struct ax_err *e)
{
	int64_t version = ax_val_int_or(ax_val_get(c->val, "fsdp_version"), 0);

	if (ax_val_len(ax_val_get(c->val, "fsdp_config")) == 0) {
		ax_val_remove(c->val, "fsdp_config");
		return 0;
	}
	if (version == 0)
		version = ax_val_int_or(ax_val_path(c->val, "fsdp_config.fsdp_version"), 1);
	AX_TRY(set_int(c, "fsdp_version", version, e));
	if (ax_val_is(ax_val_path(c->val, "fsdp_config.sharding_strategy"), "SHARD_GRAD_OP") &&
	    !given(c, "fsdp_config.reshard_after_forward"))
		AX_TRY(set_bool(c, "fsdp_config.reshard_after_forward", false, e));
	return given(c, "fsdp_config.fsdp_version") ? 0 : set_int(c, "fsdp_config.fsdp_version", version, e);
}

static int deepspeed(struct ax_conf *c, struct ax_err *e)
{
	const struct ax_val *v = ax_val_get(c->val, "deepspeed");
	const char *name, *stock;
	struct ax_val *json;

	if (!v || v->type != AX_STR)
		return 0;
	if (v->n == 0) {
		ax_val_remove(c->val, "deepspeed");
		return 0;
	}
	name = ax_val_cstr(&c->arena, v, "");
	stock = ax_deepspeed_stock(name);
	if (ax_path_exists(name) || !stock)
		AX_TRY(ax_json_file(&c->arena, name, JSON_LIMIT, &json, e));
	else
		AX_TRY(ax_json_parse(&c->arena, stock, strlen(stock), &json, e));
	if (json->type != AX_MAP)
		return ax_fail(e, AX_EUSAGE, "%s: a DeepSpeed configuration is a JSON object", name);
	return set(c, "deepspeed", json, e);
}

static int names(struct ax_conf *c, struct ax_err *e)
{
	const char *model = ax_conf_str(c, "base_model"), *config;

	if (!model)
		return 0;
	if (!given(c, "base_model_config"))
		AX_TRY(set_str(c, "base_model_config", model, e));
	config = ax_conf_str(c, "base_model_config");
	if (!given(c, "tokenizer_config"))
		AX_TRY(set_str(c, "tokenizer_config", config, e));
	if (given(c, "chat_template_jinja") && !given(c, "chat_template"))
		AX_TRY(set_str(c, "chat_template", "jinja", e));
	return 0;
}

/* Defaults inside a mapping come with the mapping: qat.group_size with qat. */
static int members(struct ax_conf *c, struct ax_err *e)
{
	for (size_t i = 0; i < ax_val_len(c->dflt); i++) {
		const struct ax_pair *p = &c->dflt->u.pair[i];
		const char *dot = strchr(p->key, '.');
		char parent[64];

		if (!dot || (size_t)(dot - p->key) >= sizeof(parent) || given(c, p->key))
			continue;
		snprintf(parent, sizeof(parent), "%.*s", (int)(dot - p->key), p->key);
		const struct ax_val *map = ax_val_get(c->val, parent);

		if (map && map->type == AX_MAP)
			AX_TRY(set(c, p->key, ax_val_copy(&c->arena, p->val), e));
	}
	return 0;
}

int ax_conf_normalise(struct ax_conf *c, struct ax_err *e)
{
	static int (*const rule[])(struct ax_conf *, struct ax_err *) = {
	    old_attention, old_gc_steps, old_tokens, members,	optim_args,
	    warm_up,	   batch,	 packing,    precision, schedule,
	    checkpointing, fsdp,	 deepspeed,  names,	ax_conf_normalise_datasets,
	};

	for (size_t i = 0; i < sizeof(rule) / sizeof(*rule); i++)
		AX_TRY(rule[i](c, e));
	return 0;
}
