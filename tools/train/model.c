/* The model of a run: folder, config.json, tokenizer, units, weights; and what goes beside a checkpoint. */
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "fmt/stream.h"
#include "model/model.h"
#include "text/json.h"
#include "tool.h"

#define CONFIG_MAX ((size_t)16 << 20)

/* overrides_of_model_config: merged over config.json; a dotted key goes into the nested map. */
static int override(struct ax_arena *a, struct ax_val *config, const char *key, const struct ax_val *v, struct ax_err *e)
{
	const char *dot = strchr(key, '.');
	struct ax_val *sub;
	char *head;

	if (!dot)
		return ax_val_set(a, config, key, ax_val_copy(a, v)) ? 0 : ax_fail(e, AX_EMEM, "out of memory");
	head = ax_arena_strndup(a, key, (size_t)(dot - key));
	sub = head ? ax_val_copy(a, ax_val_get(config, head)) : NULL;
	if (!sub || sub->type != AX_MAP)
		sub = ax_val_map(a);
	if (!head || !sub || !ax_val_set(a, config, head, sub))
		return ax_fail(e, AX_EMEM, "out of memory");
	return override(a, sub, dot + 1, v, e);
}

/*
 * An override in the old spelling (rope_scaling, rope_theta) of a config.json in the new one (rope_parameters): it goes
 * where the new one has it, and a rope_scaling without a theta keeps the model's.
 */
static int override_rope(struct ax_arena *a, struct ax_val *config, const struct ax_val *over, struct ax_err *e)
{
	const struct ax_val *theta = ax_val_get(over, "rope_theta"), *scaling = ax_val_get(over, "rope_scaling");
	const struct ax_val *old = ax_val_get(config, "rope_parameters");
	struct ax_val *rope;

	if (ax_val_is_null(old) || old->type != AX_MAP || (ax_val_is_null(theta) && !ax_val_len(scaling)))
		return 0;
	if (ax_val_is_null(theta))
		theta = ax_val_get(scaling, "rope_theta") ? ax_val_get(scaling, "rope_theta") : ax_val_get(old, "rope_theta");
	rope = ax_val_copy(a, ax_val_len(scaling) ? scaling : old);
	if (!rope || rope->type != AX_MAP) /* what is no map is refused by name when the config is read */
		return rope ? 0 : ax_fail(e, AX_EMEM, "out of memory");
	if ((theta && !ax_val_set(a, rope, "rope_theta", ax_val_copy(a, theta))) || !ax_val_set(a, config, "rope_parameters", rope))
		return ax_fail(e, AX_EMEM, "out of memory");
	ax_val_remove(config, "rope_scaling");
	ax_val_remove(config, "rope_theta");
	return 0;
}

/* base_model_config and tokenizer_config are by default the name of base_model, and then its revision is meant too. */
static const char *revision_of(struct tool *t, const char *name)
{
	const char *base = ax_conf_str(&t->conf, "base_model");

	return base && !strcmp(base, name) ? ax_conf_str(&t->conf, "revision_of_model") : NULL;
}

static int load_config(struct tool *t, struct ax_err *e)
{
	const struct ax_val *over = ax_conf_get(&t->conf, "overrides_of_model_config");
	const char *from = ax_conf_str(&t->conf, "base_model_config"), *dir = t->model_dir;
	char *path;
	int rc;

	if (from && !ax_conf_opt_given(&t->conf, "model")) /* the folder to evaluate has its own */
		AX_TRY(ax_hub_find(&t->conf, "models", from, revision_of(t, from), &dir, e));
	path = ax_path_join(dir, "config.json");
	rc = path ? ax_json_file(&t->conf.arena, path, CONFIG_MAX, &t->config, e) : ax_fail(e, AX_EMEM, "out of memory");
	for (size_t i = 0; !rc && i < ax_val_len(over); i++)
		rc = override(&t->conf.arena, t->config, over->u.pair[i].key, over->u.pair[i].val, e);
	if (!rc)
		rc = override_rope(&t->conf.arena, t->config, over, e);
	if (!rc)
		rc = ax_desc_parse(&t->desc, t->config, e);
	if (rc && path)
		ax_err_prefix(e, "%s: ", path);
	ax_free(path);
	return rc;
}

static int open_effective(struct tool *t, struct ax_err *e)
{
	struct ax_conf *c = &t->conf;
	struct ax_tok_spec spec = {
		.model_dir = t->model_dir,
		.special_tokens = ax_conf_get(c, "special_tokens"),
		.tokens = ax_conf_get(c, "tokens"),
		.added_tokens_overrides = ax_conf_get(c, "added_tokens_overrides"),
		.chat_template = ax_conf_str(c, "chat_template"),
		.chat_template_jinja = ax_conf_str(c, "chat_template_jinja"),
		.resize_to_32x = ax_conf_bool(c, "resize_token_embeddings_to_32x"),
		.shrink = ax_conf_bool(c, "shrink_embeddings"),
	};
	const char *tok = ax_conf_str(c, "tokenizer_config");

	if (tok)
		AX_TRY(ax_hub_find(c, "models", tok, revision_of(t, tok), &spec.tokenizer_dir, e));
	return ax_effective_open(&t->effective, &spec, e);
}

/* The shards were made with one tokenizer; training with another would be silent nonsense. */
static int check_tokenizer(struct tool *t, struct ax_err *e)
{
	const struct ax_shards *s = t->loader ? ax_loader_shards(t->loader) : NULL;
	char want[33] = "";

	if (s)
		ax_header_fingerprint(s->header, want);
	if (want[0] && strcmp(want, t->effective->fingerprint))
		return ax_fail(e, AX_EUSAGE, "%s was made with another tokenizer (fingerprint %s, %s has %s)", s->dir, want,
			       t->model_dir, t->effective->fingerprint);
	if (t->effective->n_embed > (uint32_t)t->desc.vocab)
		AX_TRY(ax_desc_set_vocab(&t->desc, (int)t->effective->n_embed, e));
	if (s && s->totals.max_id >= (uint32_t)t->desc.vocab)
		return ax_fail(e, AX_EDATA, "%s holds the id %u, beyond the %d embeddings of %s", s->dir, s->totals.max_id,
			       t->desc.vocab, t->model_dir);
	return 0;
}

static bool set_int(struct tool *t, const char *key, int64_t v)
{
	return ax_val_set(&t->conf.arena, t->config, key, ax_val_int(&t->conf.arena, v));
}

/*
 * max_position_embeddings grows with the rows, but not where a rotary embedding is computed from it (dynamic, and longrope
 * or yarn that leave the original length or the factor to it): the merged model would turn by other angles than this run.
 */
static int grow_max_position(struct tool *t, int64_t len, struct ax_err *e)
{
	int64_t old = t->desc.max_position;
	struct ax_desc longer;

	if (old >= len)
		return 0;
	if (!set_int(t, "max_position_embeddings", len))
		return ax_fail(e, AX_EMEM, "out of memory");
	AX_TRY(ax_desc_parse(&longer, t->config, e));
	if (!memcmp(&longer.rope, &t->desc.rope, sizeof(longer.rope)))
		return 0;
	return set_int(t, "max_position_embeddings", old) ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

/* What this run changes in config.json: vocabulary, token ids, longest position, architectures. */
static int adapt_config(struct tool *t, struct ax_err *e)
{
	struct ax_arena *a = &t->conf.arena;
	struct ax_val *arch = ax_val_list(a);
	const struct ax_effective *f = t->effective;
	bool ok = arch && ax_val_push(a, arch, ax_val_str(a, t->desc.architecture, strlen(t->desc.architecture))) &&
		  ax_val_set(a, t->config, "architectures", arch) && set_int(t, "vocab_size", t->desc.vocab);

	if (ok && f && f->tok) {
		ok = (f->bos == AX_TOK_NONE || set_int(t, "bos_token_id", f->bos)) &&
		     (f->eos == AX_TOK_NONE || set_int(t, "eos_token_id", f->eos)) &&
		     (f->pad == AX_TOK_NONE || set_int(t, "pad_token_id", f->pad));
	}
	if (!ok)
		return ax_fail(e, AX_EMEM, "out of memory");
	return grow_max_position(t, tool_sequence_len(t), e);
}

static int load_weights(struct tool *t, struct ax_err *e)
{
	char *manifest = ax_path_join(t->model_dir, AX_CKPT_MANIFEST);
	bool is_ckpt = manifest && ax_path_exists(manifest);

	ax_free(manifest);
	if (is_ckpt) {
		AX_TRY(ax_ckpt_open(&t->ckpt, t->model_dir, e));
		t->ckpt_open = true;
		AX_TRY(ax_ckpt_source_open(&t->ckpt_source, &t->ckpt, &t->units, e));
		t->env.source = ax_ckpt_source_read;
		t->env.source_ctx = &t->ckpt_source;
		return 0;
	}
	if (ax_conf_bool(&t->conf, "reinit_weights") && !ax_conf_opt_given(&t->conf, "model"))
		AX_TRY(ax_weights_init(&t->weights, &t->desc, &t->units, t->opt.seed, e));
	else
		AX_TRY(ax_weights_open(&t->weights, t->model_dir, &t->desc, &t->units, t->n_old, e));
	t->weights_open = true;
	t->env.source = ax_weights_read;
	t->env.source_ctx = &t->weights;
	return 0;
}

int tool_model(struct tool *t, bool plan, struct ax_err *e)
{
	const char *name = ax_conf_opt_str(&t->conf, "model");

	if (name && !ax_conf_opt_flag(&t->conf, "eval-only"))
		return ax_fail(e, AX_EUSAGE, "--model goes with --eval-only; --base-model DIR names the model to train");
	if (!name)
		name = ax_conf_str(&t->conf, "base_model");
	if (!name)
		return ax_fail(e, AX_EUSAGE, "no base_model: name a model folder with -c FILE or --base-model DIR");
	AX_TRY(ax_hub_find(&t->conf, "models", name, ax_conf_str(&t->conf, "revision_of_model"), &t->model_dir, e));
	AX_TRY(ax_hub_hint(t->model_dir, load_config(t, e), e));
	t->n_old = t->desc.vocab;
	AX_TRY(open_effective(t, e));
	AX_TRY(check_tokenizer(t, e));
	AX_TRY(adapt_config(t, e));
	AX_TRY(ax_model_units(&t->desc, &t->units, e));
	return plan ? 0 : ax_hub_hint(t->model_dir, load_weights(t, e), e);
}

/* Ends of trained turns that ax-tokenize recorded: generation must stop there. */
static size_t turn_ends(const struct tool *t, uint32_t *id, size_t max)
{
	const struct ax_val *v = ax_val_path(ax_loader_shards(t->loader)->header, "turn_ends");
	size_t n = 0;

	for (size_t i = 0; i < ax_val_len(v) && n < max; i++) {
		int64_t x = ax_val_int_or(ax_val_at(v, i), -1);

		if (x >= 0 && x < t->desc.vocab)
			id[n++] = (uint32_t)x;
	}
	return n;
}

int tool_write_extra(void *ctx, const char *dir, struct ax_err *e)
{
	const struct tool *t = ctx;
	char *path = ax_path_join(dir, "config.json");
	struct ax_buf b = AX_BUF_INIT;
	uint32_t id[16];
	int rc;

	ax_json_write(&b, t->config, AX_JSON_INDENT2);
	ax_buf_addc(&b, '\n');
	rc = path && !b.oom ? ax_write_file(path, b.p, b.n, e) : ax_fail(e, AX_EMEM, "out of memory");
	ax_buf_release(&b);
	ax_free(path);
	return rc ? rc : ax_effective_write(t->effective, dir, id, turn_ends(t, id, 16), e);
}
