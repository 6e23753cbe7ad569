#include <string.h>

#include "base/hash.h"
#include "base/io.h"
#include "text/json.h"
#include "tok/spm.h"
#include "tok/tokenizer_impl.h"

#define MAX_FILE ((size_t)1 << 30)

void ax_tokenizer_free(struct ax_tokenizer *t)
{
	if (!t)
		return;
	ax_normalizers_release(&t->norm);
	ax_pretok_release(&t->pre);
	ax_model_release(&t->model);
	ax_decoders_release(&t->dec);
	for (size_t i = 0; i < t->n_added; i++)
		ax_free((char *)t->added[i].content);
	ax_free(t->added);
	ax_vocab_release(&t->names);
	ax_trie_release(&t->raw);
	ax_trie_release(&t->normalized);
	ax_free(t->prefix);
	ax_free(t->suffix);
	ax_free(t);
}

/* The added token with this content, or NULL. */
static struct ax_tok_added *added_named(const struct ax_tokenizer *t, const char *p, size_t n)
{
	uint32_t id = ax_vocab_find(&t->names, p, n);

	return id == AX_TOK_NONE ? NULL : t->added + (ax_tokenizer_added(t, id) - t->added);
}

/*
 * The id of the next new token: one more than the largest added id, but at least the number of vocabulary entries. As in
 * Hugging Face's code it is found once for all tokens that are added together.
 */
static uint32_t next_id(const struct ax_tokenizer *t)
{
	uint32_t next = (uint32_t)ax_model_size(&t->model);

	return t->n_added && t->added[t->n_added - 1].id >= next ? t->added[t->n_added - 1].id + 1 : next;
}

static int insert(struct ax_tokenizer *t, const struct ax_tok_added *tok, struct ax_err *e)
{
	size_t i = t->n_added;

	if (!t->names.n_slot)
		AX_TRY(ax_vocab_init(&t->names, 64, e));
	if (!AX_GROW(t->added, t->n_added, t->cap_added))
		return ax_fail(e, AX_EMEM, "out of memory for added tokens");
	AX_TRY(ax_vocab_add(&t->names, tok->content, tok->content_n, tok->id, e));
	while (i && t->added[i - 1].id > tok->id) {
		t->added[i] = t->added[i - 1];
		i--;
	}
	t->added[i] = *tok;
	t->added[i].content = ax_strndup(tok->content, tok->content_n);
	if (!t->added[i].content) {
		memmove(t->added + i, t->added + i + 1, (t->n_added - i) * sizeof(*t->added));
		return ax_fail(e, AX_EMEM, "out of memory for added tokens");
	}
	t->n_added++;
	return 0;
}

static void find_merged(struct ax_tokenizer *t)
{
	t->merges_special = false;
	for (size_t i = 0; i < t->n_added; i++) {
		struct ax_tok_added *a = &t->added[i];

		a->merged = ax_model_makes(&t->model, a->id);
		t->merges_special |= a->merged && (a->special || a->guarded) && a->id != ax_model_unk(&t->model);
	}
}

/* The matchers: normalized tokens are looked for as the normalizer writes them. */
static int build_tries(struct ax_tokenizer *t, struct ax_err *e)
{
	struct ax_norm_work w;
	int rc = ax_norm_work_init(&w, &t->norm, e);

	ax_trie_release(&t->raw);
	ax_trie_release(&t->normalized);
	find_merged(t);
	for (size_t i = 0; !rc && i < t->n_added; i++) {
		struct ax_ntext x = {t->added[i].content, t->added[i].content_n, NULL, NULL, 0};

		if (t->added[i].normalized)
			rc = ax_normalize(&t->norm, &w, &x, false, e);
		if (!rc)
			rc =
			    ax_trie_add(t->added[i].normalized ? &t->normalized : &t->raw, x.p, x.n, (uint32_t)i, e);
	}
	ax_norm_work_release(&w);
	return rc;
}

int ax_tok_add_quietly(struct ax_tokenizer *t, struct ax_tok_added *tok, size_t n, struct ax_err *e)
{
	uint32_t next = next_id(t);

	for (size_t i = 0; i < n; i++) {
		struct ax_tok_added *same = added_named(t, tok[i].content, tok[i].content_n);

		if (!tok[i].content_n) {
			tok[i].id = AX_TOK_NONE;
			continue;
		}
		tok[i].id = same ? same->id : ax_vocab_find(ax_model_vocab(&t->model), tok[i].content, tok[i].content_n);
		if (tok[i].id == AX_TOK_NONE)
			tok[i].id = next++;
		if (tok[i].id >= AX_TOK_MAX_ID)
			return ax_fail(e, AX_EDATA, "added token \"%.*s\": no id below %u is free",
				       (int)(tok[i].content_n < 40 ? tok[i].content_n : 40), tok[i].content,
				       AX_TOK_MAX_ID);
		if (same) {
			const char *content = same->content;

			*same = tok[i];
			same->content = content;
		} else {
			AX_TRY(insert(t, &tok[i], e));
		}
	}
	return 0;
}

int ax_tokenizer_add(struct ax_tokenizer *t, struct ax_tok_added *tok, size_t n, struct ax_err *e)
{
	for (size_t i = 0; i < n; i++)
		if (ax_utf8_check(tok[i].content, tok[i].content_n) != tok[i].content_n)
			return ax_fail(e, AX_EDATA, "an added token is not UTF-8");
	AX_TRY(ax_tok_add_quietly(t, tok, n, e));
	return build_tries(t, e);
}

static int read_flag(const struct ax_val *v, const char *key, bool *out, struct ax_err *e)
{
	const struct ax_val *b = ax_val_get(v, key);

	if (!b || b->type != AX_BOOL)
		return ax_fail(e, AX_EDATA, "added_tokens: \"%s\" is missing or not true or false", key);
	*out = b->u.b;
	return 0;
}

static int read_added(const struct ax_val *v, struct ax_tok_added *tok, struct ax_err *e)
{
	const struct ax_val *content = ax_val_get(v, "content"), *id = ax_val_get(v, "id");

	if (!content || content->type != AX_STR)
		return ax_fail(e, AX_EDATA, "added_tokens: \"content\" is missing or not a string");
	if (!id || id->type != AX_INT || id->u.i < 0 || id->u.i > UINT32_MAX)
		return ax_fail(e, AX_EDATA, "added_tokens: \"id\" is missing or not an integer");
	tok->content = content->u.s;
	tok->content_n = content->n;
	AX_TRY(read_flag(v, "single_word", &tok->single_word, e));
	AX_TRY(read_flag(v, "lstrip", &tok->lstrip, e));
	AX_TRY(read_flag(v, "rstrip", &tok->rstrip, e));
	AX_TRY(read_flag(v, "normalized", &tok->normalized, e));
	return read_flag(v, "special", &tok->special, e);
}

static int load_added(struct ax_tokenizer *t, const struct ax_val *list, struct ax_err *e)
{
	struct ax_tok_added *tok;
	int rc = 0;

	if (ax_val_is_null(list))
		return 0;
	if (list->type != AX_LIST)
		return ax_fail(e, AX_EDATA, "added_tokens is not a list");
	tok = ax_calloc(list->n + 1, sizeof(*tok));
	if (!tok)
		return ax_fail(e, AX_EMEM, "out of memory for added tokens");
	for (size_t i = 0; !rc && i < list->n; i++)
		rc = read_added(list->u.item[i], &tok[i], e);
	if (!rc)
		rc = ax_tok_add_quietly(t, tok, list->n, e);
	ax_free(tok);
	return rc;
}

/* The top level: small parts as values, the model as text. */
struct file {
	struct ax_arena arena;
	struct ax_val *added, *norm, *pre, *post, *dec;
	struct ax_model_raw raw;
	bool model;
};

static int read_top(struct ax_tokenizer *t, struct file *f, const char *p, size_t n, bool made, struct ax_err *e)
{
	struct ax_scan s = {p, p + n, p, made};
	struct ax_buf b = AX_BUF_INIT;
	struct ax_slice key, v;
	bool more;
	int rc;

	AX_GOTO(ax_scan_open(&s, '{', &more, e));
	while (more) {
		struct ax_val **to = NULL;

		AX_GOTO(ax_scan_key(&s, &key, &b, e));
		to = ax_slice_is(key, "added_tokens")	  ? &f->added
		     : ax_slice_is(key, "normalizer")	  ? &f->norm
		     : ax_slice_is(key, "pre_tokenizer")  ? &f->pre
		     : ax_slice_is(key, "post_processor") ? &f->post
		     : ax_slice_is(key, "decoder")	  ? &f->dec
							  : NULL;
		if (ax_slice_is(key, "model")) {
			rc = f->model ? ax_fail(e, AX_EDATA, "two models") : ax_model_read(&t->model, &f->raw, &s, e);
			if (rc)
				goto out;
			f->model = true;
			AX_GOTO(ax_scan_next(&s, '}', &more, e));
			continue;
		}
		AX_GOTO(ax_scan_skip(&s, &v, e));
		if (ax_slice_is(key, "version") && !ax_slice_is(v, "\"1.0\"")) {
			rc = ax_fail(e, AX_EDATA, "unknown tokenizer version %.*s", (int)(v.n < 40 ? v.n : 40), v.p);
			goto out;
		}
		if (to)
			AX_GOTO(ax_json_parse(&f->arena, v.p, v.n, to, e));
		AX_GOTO(ax_scan_next(&s, '}', &more, e));
	}
	if (ax_scan_peek(&s) || s.p < s.end)
		rc = ax_fail(e, AX_EDATA, "byte %zu: text behind the end", (size_t)(s.p - s.start));
	else if (!f->model)
		rc = ax_fail(e, AX_EDATA, "no model");
out:
	ax_buf_release(&b);
	return rc;
}

static bool writes_spaces(const struct ax_tokenizer *t)
{
	for (size_t i = 0; i < t->norm.n; i++)
		if (t->norm.step[i].to && !strcmp(t->norm.step[i].to, "\xE2\x96\x81"))
			return true;
	for (size_t i = 0; i < t->pre.n; i++)
		if (t->pre.stage[i].kind == AX_PRE_METASPACE)
			return true;
	return false;
}

/* A prefix for the first piece alone (Metaspace's "first"), behind a normalizer or another pre-tokenizer. */
static bool needs_origins(const struct ax_tokenizer *t)
{
	for (size_t i = 0; i < t->pre.n; i++)
		if (t->pre.stage[i].kind == AX_PRE_METASPACE && t->pre.stage[i].prepend == AX_PRE_FIRST &&
		    (i > 0 || t->norm.n > 0))
			return true;
	return false;
}

/* A hash of values by content, whatever their spelling in the file. */
static int hash_parts(struct ax_tokenizer *t, const struct file *f, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;

	if (f->norm)
		ax_json_write(&b, f->norm, AX_JSON_SORT);
	ax_buf_addc(&b, '\n');
	if (f->pre)
		ax_json_write(&b, f->pre, AX_JSON_SORT);
	if (b.oom) {
		ax_buf_release(&b);
		return ax_fail(e, AX_EMEM, "out of memory");
	}
	t->parts_hash = ax_hash64(b.p, b.n);
	ax_buf_release(&b);
	return 0;
}

/* A pre-tokenizer that is one known pattern, Digits and one, or DeepSeek-V3's three, behind which bytes go to the model. */
static enum ax_cut_kind known_cut(const struct ax_tokenizer *t)
{
	const struct ax_pre_stage *s = t->pre.stage, *last = s + t->pre.n - 1;

	if (!t->model.bpe.byte_level || !t->pre.byte_level || last->prefix_space)
		return AX_CUT_NONE;
	if (t->pre.n == 2 && s->kind == AX_PRE_CLASS && s->flag == AX_UNI_RNUM && s->behavior == AX_PRE_ISOLATED && !s->invert)
		return last->use_regex ? AX_CUT_DIGITS : AX_CUT_NONE;
	for (const struct ax_pre_stage *x = s; x < last; x++)
		if (x->kind != AX_PRE_SPLIT || x->behavior != AX_PRE_ISOLATED)
			return AX_CUT_NONE;
	if (t->pre.n == 1)
		return last->use_regex ? AX_CUT_GPT2 : AX_CUT_NONE;
	if (last->use_regex)
		return AX_CUT_NONE;
	if (t->pre.n == 2)
		return ax_cut_kind_of(s[0].fn);
	return t->pre.n == 4 && ax_split_is_dsv3(s[0].fn, s[1].fn, s[2].fn) ? AX_CUT_DSV3 : AX_CUT_NONE;
}

static bool is_mark(const char *s, size_t n)
{
	return n == 3 && !memcmp(s, "\xE2\x96\x81", 3);
}

/* Are spaces written as marks, and a mark put before the text, all that happens before the model? */
static enum ax_spaces known_spaces(const struct ax_tokenizer *t)
{
	const struct ax_normalizer *s = t->norm.step;
	const struct ax_pre_stage *x = t->pre.stage;
	size_t n = t->norm.n;
	bool prepend = n == 2 && s->kind == AX_NORM_PREPEND && is_mark(s->to, s->to_n);

	if (n == 0 && t->pre.n == 1 && x->kind == AX_PRE_METASPACE && !x->split && is_mark(x->text, x->text_n))
		return x->prepend == AX_PRE_NEVER ? AX_SPACES_ALONE : x->prepend == AX_PRE_FIRST ? AX_SPACES_FIRST : AX_SPACES_META;
	s += prepend;
	if (n != (prepend ? 2 : 1) || s->kind != AX_NORM_REPLACE || s->from_n != 1 || s->from[0] != ' ' || !is_mark(s->to, s->to_n))
		return AX_SPACES_NONE;
	if (t->pre.n > 1 || (t->pre.n == 1 && (x->kind != AX_PRE_LITERAL || x->invert || x->text_n != 1 || x->text[0] != ' ')))
		return AX_SPACES_NONE;
	return prepend ? AX_SPACES_PREPEND : AX_SPACES_ALONE; /* there is no space left to split at */
}

static int build(struct ax_tokenizer *t, const char *p, size_t n, bool made, const struct ax_val *config,
		 const struct ax_val *map, struct ax_err *e)
{
	struct file f = {0};
	size_t bad;
	int rc;

	ax_arena_init(&f.arena, (size_t)256 << 20);
	bad = ax_utf8_check(p, n);
	if (bad != n) {
		rc = ax_fail(e, AX_EDATA, "byte %zu is not UTF-8", bad);
		goto out;
	}
	f.raw.start = p;
	AX_GOTO(read_top(t, &f, p, n, made, e));
	AX_GOTO(ax_normalizers_load(&t->norm, f.norm, e));
	AX_GOTO(ax_pretok_load(&t->pre, f.pre, e));
	t->as_spaces = known_spaces(t);
	AX_GOTO(ax_model_finish(&t->model, &f.raw, t->pre.byte_level, t->as_spaces != AX_SPACES_NONE, e));
	if (t->model.bpe.byte_level)
		t->pre.stage[t->pre.n - 1].spell = false;
	t->cut_kind = known_cut(t);
	t->cut = ax_cut_fn_of(t->cut_kind, AX_CUT_BEST);
	t->spaces = writes_spaces(t);
	t->origins = needs_origins(t);
	AX_GOTO(load_added(t, f.added, e));
	AX_GOTO(ax_tok_apply_config(t, config, map, e));
	AX_GOTO(ax_tok_post_load(t, f.post, e));
	AX_GOTO(ax_decoders_load(&t->dec, f.dec, e));
	AX_GOTO(hash_parts(t, &f, e));
	rc = build_tries(t, e);
out:
	ax_model_raw_release(&f.raw);
	ax_arena_release(&f.arena);
	return rc;
}

int ax_tok_build(struct ax_tokenizer **out, const char *json, size_t n, bool made, const struct ax_val *config,
		 const struct ax_val *map, struct ax_err *e)
{
	int rc;

	*out = ax_calloc(1, sizeof(**out));
	if (!*out)
		return ax_fail(e, AX_EMEM, "out of memory");
	rc = n > MAX_FILE ? ax_fail(e, AX_EMEM, "larger than %zu bytes", MAX_FILE)
			  : build(*out, json, n, made, config, map, e);
	if (rc) {
		ax_tokenizer_free(*out);
		*out = NULL;
	}
	return rc;
}

int ax_tokenizer_parse(struct ax_tokenizer **out, const char *json, size_t n, struct ax_err *e)
{
	return ax_tok_build(out, json, n, false, NULL, NULL, e);
}

/* The value of dir/name, NULL if there is no such file. */
static int read_beside(struct ax_arena *a, const char *dir, const char *name, struct ax_val **v, struct ax_err *e)
{
	char *path = ax_path_join(dir, name);
	int rc = 0;

	*v = NULL;
	if (!path)
		return ax_fail(e, AX_EMEM, "out of memory");
	if (ax_path_exists(path))
		rc = ax_json_file(a, path, (size_t)64 << 20, v, e);
	ax_free(path);
	return rc;
}

/* A tokenizer.json, or a SentencePiece model in its place. */
struct text {
	struct ax_map map;
	struct ax_buf made;
};

static int read_text(struct text *x, const char *path, const struct ax_val *config, const struct ax_val *model, struct ax_err *e)
{
	size_t n = strlen(path);

	if (n < 6 || strcmp(path + n - 6, ".model"))
		return ax_map_open(&x->map, path, e);
	AX_TRY(ax_spm_file_json(path, config, model, &x->made, e));
	x->map = (struct ax_map){(unsigned char *)x->made.p, x->made.n};
	return 0;
}

static void release_text(struct text *x)
{
	if (!x->made.p)
		ax_map_close(&x->map);
	ax_buf_release(&x->made);
}

/* The file of a folder: tokenizer.json, or where there is none a SentencePiece model. */
static char *find_file(const char *dir)
{
	char *json = ax_path_join(dir, "tokenizer.json"), *spm = json && !ax_path_exists(json) ? ax_spm_find(dir) : NULL;

	if (!spm)
		return json;
	ax_free(json);
	return spm;
}

int ax_tokenizer_open(struct ax_tokenizer **out, const char *path, struct ax_err *e)
{
	bool folder = ax_path_is_dir(path);
	char *file = folder ? find_file(path) : ax_strdup(path);
	struct ax_val *config = NULL, *map = NULL, *model = NULL;
	struct text x = {{NULL, 0}, AX_BUF_INIT};
	struct ax_arena arena;
	int rc;

	*out = NULL;
	if (!file)
		return ax_fail(e, AX_EMEM, "out of memory");
	ax_arena_init(&arena, (size_t)256 << 20);
	if (folder) {
		AX_GOTO(read_beside(&arena, path, "tokenizer_config.json", &config, e));
		AX_GOTO(read_beside(&arena, path, "special_tokens_map.json", &map, e));
		AX_GOTO(read_beside(&arena, path, "config.json", &model, e));
	}
	AX_GOTO(read_text(&x, file, config, model, e));
	rc = ax_tok_build(out, (const char *)x.map.p, x.map.n, x.made.p != NULL, config, map, e);
	if (rc)
		ax_err_prefix(e, "%s: ", file);
out:
	release_text(&x);
	ax_arena_release(&arena);
	ax_free(file);
	return rc;
}
