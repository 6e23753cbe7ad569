/*
 * Writing the effective tokenizer's files, and rewriting tokens of a tokenizer.json in place.
 */
#include <stdlib.h>
#include <string.h>

#include "text/json.h"
#include "tok/effective_impl.h"

static int oom(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory for the tokenizer's files");
}

int ax_json_locate(const char *p, size_t n, const char *key, struct ax_slice *value, bool *found, struct ax_err *e)
{
	struct ax_scan s = {p, p + n, p, false};
	struct ax_buf b = AX_BUF_INIT;
	struct ax_slice k, v;
	bool more;
	int rc;

	*found = false;
	AX_GOTO(ax_scan_open(&s, '{', &more, e));
	while (more) {
		bool hit;

		AX_GOTO(ax_scan_key(&s, &k, &b, e));
		hit = ax_slice_is(k, key);
		AX_GOTO(ax_scan_skip(&s, &v, e));
		if (hit) {
			*value = v;
			*found = true;
		}
		AX_GOTO(ax_scan_next(&s, '}', &more, e));
	}
out:
	ax_buf_release(&b);
	return rc;
}

/* Replace the part [begin, end) of json by text. */
static int splice(struct ax_buf *json, size_t begin, size_t end, const struct ax_buf *text, struct ax_err *e)
{
	struct ax_buf out = AX_BUF_INIT;

	ax_buf_add(&out, json->p, begin);
	ax_buf_add(&out, text->p, text->n);
	ax_buf_add(&out, json->p + end, json->n - end);
	if (out.oom || text->oom) {
		ax_buf_release(&out);
		return oom(e);
	}
	ax_buf_release(json);
	*json = out;
	return 0;
}

/* Replace the value of a top-level key, or put the key in front. */
static int set_key(struct ax_buf *json, const char *key, const struct ax_buf *text, struct ax_err *e)
{
	struct ax_buf with_key = AX_BUF_INIT;
	const char *brace = memchr(json->p, '{', json->n);
	struct ax_slice v;
	bool found;
	int rc;

	AX_TRY(ax_json_locate(json->p, json->n, key, &v, &found, e));
	if (found)
		return splice(json, (size_t)(v.p - json->p), (size_t)(v.p - json->p) + v.n, text, e);
	ax_buf_addf(&with_key, "\n  \"%s\": ", key);
	ax_buf_add(&with_key, text->p, text->n);
	ax_buf_addc(&with_key, ',');
	with_key.oom |= text->oom;
	rc = splice(json, (size_t)(brace - json->p) + 1, (size_t)(brace - json->p) + 1, &with_key, e);
	ax_buf_release(&with_key);
	return rc;
}

/* In the list of added tokens, give the one with this id another content. */
static bool override_added(struct ax_val *list, int64_t id, struct ax_val *text, struct ax_arena *a)
{
	for (size_t i = 0; list && list->type == AX_LIST && i < list->n; i++)
		if (ax_val_int_or(ax_val_get(list->u.item[i], "id"), -1) == id)
			return ax_val_set(a, list->u.item[i], "content", text);
	return false;
}

/* Of one entry of a vocabulary: its name as it stands there, and its id. In a list the id is the place. */
static int next_entry(struct ax_scan *s, bool list, struct ax_slice *name, uint32_t *id, struct ax_buf *b, struct ax_err *e)
{
	struct ax_slice skipped;
	bool more;

	if (list)
		AX_TRY(ax_scan_open(s, '[', &more, e));
	ax_scan_peek(s);
	name->p = s->p;
	AX_TRY(ax_scan_string(s, &skipped, b, e));
	name->n = (size_t)(s->p - name->p);
	if (!list) {
		if (ax_scan_peek(s) == ':')
			s->p++;
		return ax_scan_u32(s, id, e);
	}
	++*id;
	AX_TRY(ax_scan_next(s, ']', &more, e));
	if (more) {
		AX_TRY(ax_scan_skip(s, &skipped, e));
		AX_TRY(ax_scan_next(s, ']', &more, e));
	}
	return 0;
}

/* In the vocabulary, give the entry with this id another name. */
static int override_vocab(struct ax_buf *json, uint32_t id, const struct ax_val *text, struct ax_err *e)
{
	struct ax_slice model, vocab, old;
	struct ax_buf b = AX_BUF_INIT, name = AX_BUF_INIT;
	struct ax_scan s;
	uint32_t v = UINT32_MAX;
	bool found, more, list;
	int rc;

	AX_TRY(ax_json_locate(json->p, json->n, "model", &model, &found, e));
	if (found)
		AX_TRY(ax_json_locate(model.p, model.n, "vocab", &vocab, &found, e));
	if (!found)
		return 0;
	s = (struct ax_scan){vocab.p, vocab.p + vocab.n, json->p, false};
	list = vocab.p[0] == '[';
	AX_GOTO(ax_scan_open(&s, list ? '[' : '{', &more, e));
	while (more) {
		AX_GOTO(next_entry(&s, list, &old, &v, &b, e));
		if (v == id) {
			size_t at = (size_t)(old.p - json->p);

			ax_json_write_str(&name, text->u.s, text->n, 0);
			rc = splice(json, at, at + old.n, &name, e);
			break;
		}
		AX_GOTO(ax_scan_next(&s, list ? ']' : '}', &more, e));
	}
out:
	ax_buf_release(&b);
	ax_buf_release(&name);
	return rc;
}

int ax_effective_override(struct ax_buf *json, struct ax_val *config, const struct ax_val *map, struct ax_arena *a,
			  struct ax_err *e)
{
	const struct ax_val *decoder = ax_val_get(config, "added_tokens_decoder");
	struct ax_buf text = AX_BUF_INIT;
	struct ax_slice slice;
	struct ax_val *list = NULL;
	char *old;
	bool found;
	int rc = 0;

	if (map->type != AX_MAP)
		return ax_fail(e, AX_EUSAGE, "added_tokens_overrides: not a map of ids to tokens");
	AX_TRY(ax_json_locate(json->p, json->n, "added_tokens", &slice, &found, e));
	old = found ? ax_arena_strndup(a, slice.p, slice.n) : NULL;
	if (old)
		AX_TRY(ax_json_parse(a, old, slice.n, &list, e));
	for (size_t i = 0; i < map->n; i++) {
		const char *key = map->u.pair[i].key;
		char *end;
		long long id = strtoll(key, &end, 10);
		struct ax_val *v = map->u.pair[i].val;

		if (end == key || *end || id < 0 || id >= AX_TOK_MAX_ID || v->type != AX_STR || !v->n)
			return ax_fail(e, AX_EUSAGE, "added_tokens_overrides: \"%s\" is not an id with a string", key);
		if (!override_added(list, id, ax_val_copy(a, v), a))
			return ax_fail(e, AX_EUSAGE,
				       "added_tokens_overrides: id %lld is not an added token of the tokenizer", id);
		for (size_t k = 0; decoder && decoder->type == AX_MAP && k < decoder->n; k++)
			if (strtoll(decoder->u.pair[k].key, NULL, 10) == id &&
			    !ax_val_set(a, decoder->u.pair[k].val, "content", ax_val_copy(a, v)))
				return oom(e);
		AX_TRY(override_vocab(json, (uint32_t)id, v, e));
	}
	ax_json_write(&text, list, AX_JSON_INDENT2);
	rc = set_key(json, "added_tokens", &text, e);
	ax_buf_release(&text);
	return rc;
}

static void write_flags(struct ax_buf *b, const struct ax_tok_added *t)
{
	static const char *const word[] = {"false", "true"};

	ax_buf_adds(b, "\"content\": ");
	ax_json_write_str(b, t->content, t->content_n, 0);
	ax_buf_addf(b, ", \"single_word\": %s, \"lstrip\": %s, \"rstrip\": %s, \"normalized\": %s, \"special\": %s}",
		    word[t->single_word], word[t->lstrip], word[t->rstrip], word[t->normalized], word[t->special]);
}

static void write_added(const struct ax_effective *f, struct ax_buf *b)
{
	size_t n = ax_tokenizer_n_added(f->tok);

	ax_buf_adds(b, "[");
	for (size_t i = 0; i < n; i++) {
		const struct ax_tok_added *t = ax_tokenizer_added_at(f->tok, i);

		ax_buf_addf(b, "%s\n    {\"id\": %u, ", i ? "," : "", t->id);
		write_flags(b, t);
	}
	ax_buf_adds(b, n ? "\n  ]" : "]");
}

static int write_text(const char *dir, const char *name, const struct ax_buf *b, struct ax_err *e)
{
	char *path = ax_path_join(dir, name);
	int rc = b->oom || !path ? oom(e) : ax_write_file(path, b->p ? b->p : "", b->n, e);

	ax_free(path);
	return rc;
}

static int write_tokenizer(const struct ax_effective *f, const char *dir, struct ax_err *e)
{
	struct ax_buf json = AX_BUF_INIT, part = AX_BUF_INIT;
	int rc;

	ax_buf_add(&json, f->files->json.p, f->files->json.n);
	if (json.oom) {
		rc = oom(e);
		goto out;
	}
	write_added(f, &part);
	AX_GOTO(set_key(&json, "added_tokens", &part, e));
	rc = write_text(dir, "tokenizer.json", &json, e);
out:
	ax_buf_release(&json);
	ax_buf_release(&part);
	return rc;
}

/* {"id": {flags}} of all added tokens. */
static int set_decoder(const struct ax_effective *f, struct ax_arena *a, struct ax_val *config, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_val *v = NULL;
	char *text;
	int rc;

	ax_buf_addc(&b, '{');
	for (size_t i = 0; i < ax_tokenizer_n_added(f->tok); i++) {
		const struct ax_tok_added *t = ax_tokenizer_added_at(f->tok, i);

		ax_buf_addf(&b, "%s\"%u\": {", i ? ", " : "", t->id);
		write_flags(&b, t);
	}
	ax_buf_addc(&b, '}');
	text = b.oom ? NULL : ax_arena_strndup(a, b.p, b.n);
	rc = text ? ax_json_parse(a, text, b.n, &v, e) : oom(e);
	if (!rc && !ax_val_set(a, config, "added_tokens_decoder", v))
		rc = oom(e);
	ax_buf_release(&b);
	return rc;
}

/*
 * The class is the one that takes tokenizer.json as it is: others of transformers rebuild a tokenizer by rules of their
 * own, and would give other ids.
 */
static int write_config(const struct ax_effective *f, const char *dir, struct ax_err *e)
{
	const struct ax_val *old = f->files->config, *vars = f->template_vars,
			    *more = ax_val_get(old, "additional_special_tokens");
	struct ax_buf b = AX_BUF_INIT;
	struct ax_val *config, *list;
	struct ax_arena a;
	bool ok;
	int rc;

	ax_arena_init(&a, 0);
	config = old ? ax_val_copy(&a, old) : ax_val_map(&a);
	ok = config && ax_val_set(&a, config, "tokenizer_class", ax_val_str(&a, "PreTrainedTokenizerFast", 23));
	for (size_t i = 0; ok && i < vars->n; i++)
		ok = ax_val_set(&a, config, vars->u.pair[i].key, ax_val_copy(&a, vars->u.pair[i].val));
	if (ok && f->files->additional->n) {
		list = more && more->type == AX_LIST ? ax_val_copy(&a, more) : ax_val_list(&a);
		for (size_t i = 0; ok && i < f->files->additional->n; i++)
			ok = list && ax_val_push(&a, list, ax_val_copy(&a, f->files->additional->u.item[i]));
		ok = ok && ax_val_set(&a, config, "additional_special_tokens", list);
	}
	if (!ok) {
		ax_arena_release(&a);
		return oom(e);
	}
	ax_val_remove(config, "chat_template");
	ax_val_remove(config, "auto_map");
	rc = set_decoder(f, &a, config, e);
	if (!rc) {
		ax_json_write(&b, config, AX_JSON_INDENT2);
		ax_buf_addc(&b, '\n');
		rc = write_text(dir, "tokenizer_config.json", &b, e);
	}
	ax_buf_release(&b);
	ax_arena_release(&a);
	return rc;
}

static bool has_id(const struct ax_val *list, int64_t id)
{
	for (size_t i = 0; i < list->n; i++)
		if (ax_val_int_or(list->u.item[i], -1) == id)
			return true;
	return false;
}

/* eos_token_id: one id, or a list where there are several. */
static bool set_eos(const struct ax_effective *f, struct ax_arena *a, struct ax_val *g, const uint32_t *turn_end,
		    size_t n)
{
	const struct ax_val *old = ax_val_get(g, "eos_token_id");
	struct ax_val *list = old && old->type == AX_LIST ? ax_val_copy(a, old) : ax_val_list(a);
	bool ok = list != NULL;

	if (ok && old && old->type == AX_INT)
		ok = ax_val_push(a, list, ax_val_int(a, old->u.i));
	if (ok && f->eos != AX_TOK_NONE && !has_id(list, f->eos))
		ok = ax_val_push(a, list, ax_val_int(a, f->eos));
	for (size_t i = 0; ok && i < n; i++)
		if (!has_id(list, turn_end[i]))
			ok = ax_val_push(a, list, ax_val_int(a, turn_end[i]));
	if (!ok || !list->n)
		return ok;
	return ax_val_set(a, g, "eos_token_id", list->n == 1 ? list->u.item[0] : list);
}

static bool set_id(struct ax_arena *a, struct ax_val *g, const char *key, uint32_t id)
{
	return id == AX_TOK_NONE || ax_val_set(a, g, key, ax_val_int(a, id));
}

static int write_generation(const struct ax_effective *f, const char *dir, const uint32_t *turn_end, size_t n,
			    struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_arena a;
	struct ax_val *g;
	int rc;

	if (!f->files->generation && !f->tok)
		return 0;
	ax_arena_init(&a, 0);
	g = f->files->generation ? ax_val_copy(&a, f->files->generation) : ax_val_map(&a);
	if (!g || !set_eos(f, &a, g, turn_end, n) || !set_id(&a, g, "bos_token_id", f->bos) ||
	    !set_id(&a, g, "pad_token_id", f->pad)) {
		ax_arena_release(&a);
		return oom(e);
	}
	ax_json_write(&b, g, AX_JSON_INDENT2);
	ax_buf_addc(&b, '\n');
	rc = write_text(dir, "generation_config.json", &b, e);
	ax_buf_release(&b);
	ax_arena_release(&a);
	return rc;
}

int ax_effective_write(const struct ax_effective *f, const char *dir, const uint32_t *turn_end, size_t n_turn_end,
		       struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	int rc = 0;

	if (f->tok) {
		AX_TRY(write_tokenizer(f, dir, e));
		AX_TRY(write_config(f, dir, e));
		ax_json_write(&b, f->template_vars, AX_JSON_INDENT2);
		ax_buf_addc(&b, '\n');
		rc = write_text(dir, "special_tokens_map.json", &b, e);
		ax_buf_reset(&b);
		if (!rc && f->template_text) {
			ax_buf_adds(&b, f->template_text);
			rc = write_text(dir, "chat_template.jinja", &b, e);
		}
		ax_buf_release(&b);
	}
	return rc ? rc : write_generation(f, dir, turn_end, n_turn_end, e);
}
