/* The layers of settings brought together, and the getters over them. */
#include "conf/conf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "conf/inner.h"
#include "conf/layer.h"
#include "text/yaml.h"

static int oom(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "configuration: out of memory");
}

struct ax_val *ax_key_default(struct ax_arena *a, const struct ax_key *k)
{
	struct ax_val *plain, *v = NULL;

	if (!k->dflt)
		return NULL;
	plain = k->type == AX_KEY_STR ? ax_val_str(a, k->dflt, strlen(k->dflt))
				      : ax_yaml_plain(a, k->dflt, strlen(k->dflt));
	return plain && ax_key_coerce(a, k, plain, k->name, &v, NULL) == 0 ? v : NULL;
}

static int make_defaults(struct ax_conf *c, struct ax_err *e)
{
	c->dflt = ax_val_map(&c->arena);
	for (const struct ax_key_group *g = ax_key_groups; c->dflt && g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++) {
			if (!k->dflt || strstr(k->name, "[]"))
				continue;
			struct ax_val *v = ax_key_default(&c->arena, k);

			if (!v || !ax_val_set(&c->arena, c->dflt, k->name, v))
				return oom(e);
		}
	return c->dflt ? 0 : oom(e);
}

int ax_conf_resolve(struct ax_conf *c, struct ax_err *e)
{
	struct ax_arena *a = &c->arena;

	c->val = ax_layer_merge(a, c->header, c->file, false);
	if (c->val)
		c->val = ax_layer_merge(a, c->val, c->cli, false);
	if (c->val && c->val->type == AX_NULL)
		c->val = ax_val_map(a);
	if (!c->val)
		return oom(e);
	return ax_conf_normalise(c, e);
}

int ax_conf_check_indexes(struct ax_conf *c, struct ax_err *e)
{
	const struct ax_val *base = ax_layer_merge(&c->arena, c->header, c->file, false);

	return base ? ax_layer_check_patches(base, c->cli, "", e) : oom(e);
}

static int read_file(struct ax_conf *c, struct ax_err *e)
{
	struct ax_layer_opts o = {strcmp(c->config_path, "-") == 0 ? "stdin" : c->config_path,
				  ax_conf_opt_flag(c, "strict-keys"), false};
	struct ax_val *raw;

	AX_TRY(ax_yaml_file(&c->arena, c->config_path, &raw, e));
	AX_TRY(ax_layer_read(&c->arena, raw, &o, &c->file, e));
	c->file = ax_layer_merge(&c->arena, NULL, c->file, false);
	return c->file ? 0 : oom(e);
}

int ax_conf_init(struct ax_conf *c, const struct ax_tool_spec *spec, int argc, char **argv, struct ax_err *e)
{
	int rc;

	memset(c, 0, sizeof(*c));
	ax_arena_init(&c->arena, 0);
	c->spec = spec;
	ax_log_init(spec->name, ax_conf_launch_rank());
	AX_GOTO(make_defaults(c, e));
	AX_GOTO(ax_conf_parse(c, argc, argv, e));
	if (c->done)
		return 0;
	c->config_path = ax_conf_opt_str(c, "config");
	if (c->config_path) {
		rc = read_file(c, e);
		if (rc == AX_EDATA)
			rc = e ? e->code = AX_EUSAGE : AX_EUSAGE;
		if (rc)
			goto out;
	}
	AX_GOTO(ax_conf_resolve(c, e));
	if (!ax_conf_opt_given(c, "get") && !ax_conf_opt_flag(c, "print-config"))
		return 0;
	AX_GOTO(ax_conf_check_indexes(c, e));
	AX_GOTO(ax_conf_opt_given(c, "get") ? ax_conf_print_key(c, e) : ax_conf_print(c, e));
	return 0;
out:
	ax_conf_release(c);
	return rc;
}

/*
 * Resolved keys hold what followed from other keys where the header was made. Where such a source is given anew, its
 * consequence must be drawn anew: another base_model brings its own tokenizer.
 */
static void drop_derived(const struct ax_conf *c, struct ax_val *header)
{
	static const char *const from[][2] = {
	    {"base_model", "base_model_config"},
	    {"base_model", "tokenizer_config"},
	    {"sample_packing", "eval_sample_packing"},
	    {"chat_template_jinja", "chat_template"},
	};

	for (size_t i = 0; i < sizeof(from) / sizeof(*from); i++)
		if (ax_val_get(c->cli, from[i][0]) || ax_val_get(c->file, from[i][0]))
			ax_val_remove(header, from[i][1]);
}

int ax_conf_header(struct ax_conf *c, const struct ax_val *keys, struct ax_err *e)
{
	static const unsigned data = AX_TOOL_TOKENIZE | AX_TOOL_PACK | AX_TOOL_SHARD;
	struct ax_layer_opts o = {"header of the input", false, true};
	struct ax_val *layer, *kept = ax_val_map(&c->arena);
	int rc = ax_layer_read(&c->arena, keys, &o, &layer, e);

	if (rc)
		return rc == AX_EUSAGE ? (e ? e->code = AX_EDATA : AX_EDATA) : rc;
	for (size_t i = 0; kept && i < layer->n; i++) {
		const struct ax_key *k = ax_key_find(layer->u.pair[i].key, layer->u.pair[i].key_n);

		/* A stream decides about data, not about where a run writes. */
		if (k && k->tools & data && !ax_val_set(&c->arena, kept, k->name, layer->u.pair[i].val))
			kept = NULL;
	}
	if (!kept)
		return oom(e);
	drop_derived(c, kept);
	c->header = kept;
	return ax_conf_resolve(c, e);
}

int ax_conf_set(struct ax_conf *c, const char *key, const struct ax_val *v, struct ax_err *e)
{
	struct ax_layer_opts o = {NULL, true, true};
	struct ax_val *raw = ax_val_map(&c->arena), *layer;

	if (!raw || !ax_layer_put(&c->arena, raw, key, v ? ax_val_copy(&c->arena, v) : ax_val_null(&c->arena)))
		return oom(e);
	AX_TRY(ax_layer_read(&c->arena, raw, &o, &layer, e));
	c->cli = ax_layer_merge(&c->arena, c->cli, layer, true);
	return c->cli ? ax_conf_resolve(c, e) : oom(e);
}

void ax_conf_release(struct ax_conf *c)
{
	ax_arena_release(&c->arena);
	memset(c, 0, sizeof(*c));
}

const struct ax_val *ax_conf_get(const struct ax_conf *c, const char *key)
{
	const struct ax_val *v = ax_val_path(c->val, key);

	assert(ax_key_find(key, strlen(key)));
	return ax_val_is_null(v) ? ax_val_get(c->dflt, key) : v;
}

bool ax_conf_is_set(const struct ax_conf *c, const char *key)
{
	const struct ax_val *layer[] = {c->cli, c->file, c->header};

	assert(ax_key_find(key, strlen(key)));
	for (size_t i = 0; i < 3; i++) {
		const struct ax_val *v = ax_val_path(layer[i], key);

		if (v)
			return !ax_val_is_null(v);
	}
	return false;
}

bool ax_conf_bool(const struct ax_conf *c, const char *key)
{
	return ax_val_bool_or(ax_conf_get(c, key), false);
}

int64_t ax_conf_int(const struct ax_conf *c, const char *key)
{
	return ax_val_int_or(ax_conf_get(c, key), 0);
}

double ax_conf_num(const struct ax_conf *c, const char *key)
{
	return ax_val_num_or(ax_conf_get(c, key), 0);
}

const char *ax_conf_str(struct ax_conf *c, const char *key)
{
	return ax_val_cstr(&c->arena, ax_conf_get(c, key), NULL);
}

int ax_conf_require(const struct ax_conf *c, const char *key, struct ax_err *e)
{
	const struct ax_val *v = ax_conf_get(c, key);
	char option[128];

	if (v && !ax_val_is(v, ""))
		return 0;
	snprintf(option, sizeof(option), "--%s", key);
	for (char *p = option; *p; p++)
		*p = *p == '_' ? '-' : *p;
	return ax_fail(e, AX_EUSAGE, "%s is %s: give it in the configuration or with %s", key, v ? "empty" : "not set", option);
}

bool ax_conf_opt_given(const struct ax_conf *c, const char *name)
{
	assert(ax_conf_own_option(c->spec, name));
	return ax_val_get(c->own, name) != NULL;
}

bool ax_conf_opt_flag(const struct ax_conf *c, const char *name)
{
	assert(ax_conf_own_option(c->spec, name));
	return ax_val_bool_or(ax_val_get(c->own, name), false);
}

int64_t ax_conf_opt_int(const struct ax_conf *c, const char *name, int64_t dflt)
{
	assert(ax_conf_own_option(c->spec, name));
	return ax_val_int_or(ax_val_get(c->own, name), dflt);
}

double ax_conf_opt_num(const struct ax_conf *c, const char *name, double dflt)
{
	assert(ax_conf_own_option(c->spec, name));
	return ax_val_num_or(ax_val_get(c->own, name), dflt);
}

uint64_t ax_conf_opt_size(const struct ax_conf *c, const char *name, uint64_t dflt)
{
	const struct ax_val *v = ax_val_get(c->own, name);

	assert(ax_conf_own_option(c->spec, name));
	return v && v->type == AX_INT ? (uint64_t)v->u.i : dflt;
}

const char *ax_conf_opt_str(struct ax_conf *c, const char *name)
{
	assert(ax_conf_own_option(c->spec, name));
	return ax_val_cstr(&c->arena, ax_val_get(c->own, name), NULL);
}

const struct ax_val *ax_conf_opt_list(const struct ax_conf *c, const char *name)
{
	assert(ax_conf_own_option(c->spec, name));
	return ax_val_get(c->own, name);
}

/* Honoured, but without a trace in what a tool makes: where, when and how loudly it works. */
static bool leaves_no_trace(const char *name)
{
	static const char *const key[] = {"logging_steps", "resume_from_checkpoint", "auto_resume_from_checkpoints",
					  "gradient_checkpointing", "dataset_prepared_path"};

	for (size_t i = 0; i < sizeof(key) / sizeof(*key); i++)
		if (strcmp(name, key[i]) == 0)
			return true;
	return false;
}

/*
 * What changes a result of the tools: a stage of a Makefile need not run again for the rest. Of the statuses only honoured
 * keys do; a refused one that is not off stops the tool.
 */
static bool concerns(const struct ax_key *k, unsigned tools)
{
	return tools == 0 || (k->tools & tools && k->status == AX_KEY_HONOURED && !leaves_no_trace(k->name));
}

/* Values of a mapping with rows for its members: only those members that concern the tools. */
static bool add_resolved(struct ax_conf *c, const struct ax_key *k, unsigned tools, struct ax_val *out)
{
	const struct ax_val *v = ax_val_path(c->val, k->name);
	bool member = strchr(k->name, '.') != NULL;

	if (ax_val_is_null(v))
		v = ax_val_get(c->dflt, k->name);
	if (ax_val_is_null(v) || !concerns(k, tools) || (member && !ax_val_path(c->val, k->name)))
		return true;
	if (v->type == AX_MAP && ax_key_has_members(k) && !(k->type & AX_KEY_LIST))
		return ax_val_path(out, k->name) || ax_layer_put(&c->arena, out, k->name, ax_val_map(&c->arena));
	return ax_layer_put(&c->arena, out, k->name, ax_val_copy(&c->arena, v));
}

struct ax_val *ax_conf_resolved(struct ax_conf *c, unsigned tools)
{
	struct ax_val *out = ax_val_map(&c->arena);

	for (const struct ax_key_group *g = ax_key_groups; out && g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++)
			if (!strstr(k->name, "[]") && !add_resolved(c, k, tools, out))
				return NULL;
	return out;
}
