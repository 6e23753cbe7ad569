#include "tok/effective.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "text/json.h"
#include "tok/effective_impl.h"
#include "tok/spm.h"

#define MAX_CONFIG    ((size_t)64 << 20)
#define MAX_TOKENIZER ((size_t)1 << 30)

static int oom(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory for the tokenizer");
}

/* The value of dir/name into *v, NULL if there is no such file. */
static int read_value(struct ax_effective *f, const char *dir, const char *name, struct ax_val **v, struct ax_err *e)
{
	char *path = ax_path_join(dir, name);
	int rc = 0;

	*v = NULL;
	if (!path)
		return oom(e);
	if (ax_path_exists(path)) {
		rc = ax_json_file(&f->arena, path, MAX_CONFIG, v, e);
		if (!rc && (*v)->type != AX_MAP)
			rc = ax_fail(e, AX_EDATA, "%s: not an object", path);
	}
	ax_free(path);
	return rc;
}

/* The text of the tokenizer.json of a folder, or of what a SentencePiece model there stands for; *path: its file, or NULL. */
static int read_text(struct ax_effective *f, const char *dir, char **path, struct ax_err *e)
{
	*path = ax_path_join(dir, "tokenizer.json");
	if (!*path)
		return oom(e);
	if (ax_path_exists(*path))
		return ax_read_file(*path, MAX_TOKENIZER, &f->files->json, e);
	ax_free(*path);
	*path = ax_spm_find(dir);
	f->files->made = *path != NULL;
	return *path ? ax_spm_file_json(*path, f->files->config, f->files->model, &f->files->json, e) : 0;
}

static int read_tokenizer(struct ax_effective *f, const char *dir, const struct ax_tok_spec *spec, struct ax_err *e)
{
	char *path = NULL;
	int rc = read_text(f, dir, &path, e);

	if (!rc && path && !ax_val_is_null(spec->added_tokens_overrides))
		rc = ax_effective_override(&f->files->json, f->files->config, spec->added_tokens_overrides, &f->arena, e);
	if (!rc && path) {
		rc = ax_tok_build(&f->tok, f->files->json.p, f->files->json.n, f->files->made, f->files->config,
				  f->files->map, e);
		if (rc)
			ax_err_prefix(e, "%s: ", path);
	}
	ax_free(path);
	return rc;
}

/* The id and text fields of a named special token; NULL for names that have none. */
static uint32_t *id_field(struct ax_effective *f, const char *name, const char ***text)
{
	static const char *const names[] = {"bos_token", "eos_token", "pad_token", "unk_token"};
	uint32_t *ids[] = {&f->bos, &f->eos, &f->pad, &f->unk};
	const char **texts[] = {&f->bos_text, &f->eos_text, &f->pad_text, &f->unk_text};

	for (int i = 0; i < 4; i++)
		if (!strcmp(name, names[i])) {
			*text = texts[i];
			return ids[i];
		}
	return NULL;
}

/* Let a named special token be this text. */
static int set_named(struct ax_effective *f, const char *name, const struct ax_val *text, struct ax_err *e)
{
	struct ax_val *copy = ax_val_str(&f->arena, text->u.s, text->n);
	const char **slot;
	uint32_t *id = id_field(f, name, &slot);

	if (!copy || !ax_val_set(&f->arena, (struct ax_val *)f->template_vars, name, copy))
		return oom(e);
	if (!id)
		return 0;
	*id = ax_tokenizer_id(f->tok, text->u.s, text->n);
	*slot = ax_arena_strndup(&f->arena, text->u.s, text->n);
	return *slot ? 0 : oom(e);
}

/* Special tokens as the folder names them. */
static int named_from_files(struct ax_effective *f, struct ax_err *e)
{
	for (size_t i = 0; ax_tok_special_names[i]; i++) {
		const char *name = ax_tok_special_names[i];
		const struct ax_val *v = ax_tok_special_text(ax_val_get(f->files->config, name));

		if (!v && !ax_val_get(f->files->config, name))
			v = ax_tok_special_text(ax_val_get(f->files->map, name));
		if (v)
			AX_TRY(set_named(f, name, v, e));
	}
	return 0;
}

static int add_one(struct ax_effective *f, const struct ax_val *text, bool special, const char *key, struct ax_err *e)
{
	struct ax_tok_added tok = {.special = special, .guarded = true};
	const struct ax_tok_added *old;

	if (!text || text->type != AX_STR || !text->n)
		return ax_fail(e, AX_EUSAGE, "%s: a token is not a string, or empty", key);
	if (!f->tok)
		return ax_fail(e, AX_EUSAGE, "%s: the model folder has no tokenizer.json to add tokens to", key);
	tok.content = text->u.s;
	tok.content_n = text->n;
	old = ax_tokenizer_added(f->tok, ax_tokenizer_id(f->tok, text->u.s, text->n));
	tok.special |= old && old->special; /* listing <|im_end|> under `tokens` as well does not make it ordinary */
	return ax_tok_add_quietly(f->tok, &tok, 1, e);
}

static bool is_special_name(const char *name)
{
	for (size_t i = 0; ax_tok_special_names[i]; i++)
		if (!strcmp(name, ax_tok_special_names[i]))
			return true;
	return false;
}

/* special_tokens but for the list of additional ones, in the order of the file. */
static int apply_special(struct ax_effective *f, const struct ax_val *map, struct ax_err *e)
{
	if (ax_val_is_null(map))
		return 0;
	if (map->type != AX_MAP)
		return ax_fail(e, AX_EUSAGE, "special_tokens: not a map of names to tokens");
	for (size_t i = 0; i < map->n; i++) {
		const char *name = map->u.pair[i].key;
		const struct ax_val *v = map->u.pair[i].val;

		if (ax_val_is_null(v) || !strcmp(name, "additional_special_tokens"))
			continue;
		if (!is_special_name(name))
			return ax_fail(e, AX_EUSAGE, "special_tokens: unknown name \"%s\"", name);
		AX_TRY(add_one(f, v, true, "special_tokens", e));
		AX_TRY(set_named(f, name, v, e));
	}
	return 0;
}

static int apply_list(struct ax_effective *f, const struct ax_val *list, bool special, const char *key,
		      struct ax_err *e)
{
	if (ax_val_is_null(list))
		return 0;
	if (list->type != AX_LIST)
		return ax_fail(e, AX_EUSAGE, "%s: not a list of strings", key);
	for (size_t i = 0; i < list->n; i++) {
		AX_TRY(add_one(f, list->u.item[i], special, key, e));
		if (special && !ax_val_push(&f->arena, f->files->additional, ax_val_copy(&f->arena, list->u.item[i])))
			return oom(e);
	}
	return 0;
}

/*
 * No pad token: Llama's classes take "</s>" where it is a token; all take the end-of-text token. (Axolotl also means to
 * add "[PAD]" for GPT-NeoX, under a class name that current transformers no longer has.)
 */
static int pad_fallback(struct ax_effective *f, struct ax_err *e)
{
	static const char *const llama[] = {"LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer",
					    "CodeLlamaTokenizerFast"};
	const struct ax_val *cls = ax_val_get(f->files->config, "tokenizer_class");
	struct ax_val *text = NULL;

	if (f->pad_text)
		return 0;
	for (int i = 0; i < 4; i++)
		if (ax_val_is(cls, llama[i]) && ax_tokenizer_id(f->tok, "</s>", 4) != AX_TOK_NONE)
			text = ax_val_str(&f->arena, "</s>", 4);
	if (!text && f->eos_text)
		text = ax_val_str(&f->arena, f->eos_text, strlen(f->eos_text));
	return text ? set_named(f, "pad_token", text, e) : 0;
}

static int build_tokens(struct ax_effective *f, const struct ax_tok_spec *spec, struct ax_err *e)
{
	const struct ax_val *more = ax_val_get(spec->special_tokens, "additional_special_tokens");
	size_t n;

	if (f->tok)
		AX_TRY(named_from_files(f, e));
	AX_TRY(apply_special(f, spec->special_tokens, e));
	AX_TRY(apply_list(f, spec->tokens, false, "tokens", e));
	AX_TRY(apply_list(f, more, true, "additional_special_tokens", e));
	if (!f->tok)
		return 0;
	AX_TRY(ax_tokenizer_add(f->tok, NULL, 0, e)); /* the matchers, once */
	AX_TRY(pad_fallback(f, e));
	f->n_tokens = (uint32_t)ax_tokenizer_size(f->tok);
	f->add_bos = f->bos != AX_TOK_NONE && ax_tokenizer_prefix(f->tok, &n) && n &&
		     ax_tokenizer_prefix(f->tok, &n)[0] == f->bos;
	f->add_eos = f->eos != AX_TOK_NONE && ax_tokenizer_suffix(f->tok, &n) && n &&
		     ax_tokenizer_suffix(f->tok, &n)[n - 1] == f->eos;
	return 0;
}

/* An id of config.json, which may be a list: then its first. */
static uint32_t config_id(const struct ax_val *model, const char *key)
{
	const struct ax_val *v = ax_val_get(model, key);
	int64_t id;

	if (v && v->type == AX_LIST)
		v = ax_val_at(v, 0);
	id = ax_val_int_or(v, -1);
	return id >= 0 && id < AX_TOK_MAX_ID ? (uint32_t)id : AX_TOK_NONE;
}

/* Ids that the tokenizer does not name, and the rows of the embedding. */
static void sizes(struct ax_effective *f, const struct ax_tok_spec *spec)
{
	const struct ax_val *model = f->files->model, *v = ax_val_get(model, "vocab_size");
	uint32_t need = f->n_tokens, end = f->tok ? ax_tokenizer_id_end(f->tok) : 0;

	if (!v)
		v = ax_val_path(model, "text_config.vocab_size");
	if (ax_val_int_or(v, 0) > 0 && ax_val_int_or(v, 0) <= UINT32_MAX)
		f->n_embed_old = (uint32_t)ax_val_int_or(v, 0);
	if (!f->tok) {
		f->bos = config_id(model, "bos_token_id");
		f->eos = config_id(model, "eos_token_id");
		f->pad = config_id(model, "pad_token_id");
		f->n_embed = f->n_embed_old;
		return;
	}
	if (need < end) /* ids with holes */
		need = end;
	if (spec->resize_to_32x)
		need = (need + 31) / 32 * 32;
	f->n_embed = need > f->n_embed_old || (spec->shrink && need) ? need : f->n_embed_old;
}

static int fingerprint(struct ax_effective *f, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	char inner[33] = "";
	bool ok;

	if (f->tok && !ax_tokenizer_fingerprint(f->tok, inner))
		return oom(e);
	ax_buf_addf(&b, "%s bos %u eos %u pad %u unk %u", inner, f->bos, f->eos, f->pad, f->unk);
	ok = !b.oom;
	if (ok)
		ax_hash128_hex(b.p, b.n, f->fingerprint);
	ax_buf_release(&b);
	return ok ? 0 : oom(e);
}

int ax_effective_open(struct ax_effective **out, const struct ax_tok_spec *spec, struct ax_err *e)
{
	const char *dir = spec->tokenizer_dir ? spec->tokenizer_dir : spec->model_dir;
	struct ax_effective *f = ax_calloc(1, sizeof(*f));
	int rc;

	*out = NULL;
	if (!f)
		return oom(e);
	ax_arena_init(&f->arena, (size_t)512 << 20);
	f->bos = f->eos = f->pad = f->unk = AX_TOK_NONE;
	f->files = ax_calloc(1, sizeof(*f->files));
	f->template_vars = ax_val_map(&f->arena);
	if (!f->files || !f->template_vars || !(f->files->additional = ax_val_list(&f->arena))) {
		ax_effective_free(f);
		return oom(e);
	}
	AX_GOTO(read_value(f, dir, "tokenizer_config.json", &f->files->config, e));
	AX_GOTO(read_value(f, dir, "special_tokens_map.json", &f->files->map, e));
	AX_GOTO(read_value(f, spec->model_dir, "config.json", &f->files->model, e));
	AX_GOTO(read_value(f, spec->model_dir, "generation_config.json", &f->files->generation, e));
	AX_GOTO(read_tokenizer(f, dir, spec, e));
	AX_GOTO(build_tokens(f, spec, e));
	sizes(f, spec);
	AX_GOTO(fingerprint(f, e));
	rc = ax_effective_template(f, spec, dir, e);
out:
	if (rc) {
		ax_effective_free(f);
		return rc;
	}
	*out = f;
	return 0;
}

void ax_effective_free(struct ax_effective *f)
{
	if (!f)
		return;
	ax_tokenizer_free(f->tok);
	if (f->files)
		ax_buf_release(&f->files->json);
	ax_free(f->files);
	ax_arena_release(&f->arena);
	ax_free(f);
}
