/* The kind chat_template: which template, which end tokens, then tok/chat.h and tok/mask.h for each row. */
#include <string.h>
#include <strings.h>

#include "base/io.h"
#include "tok/rows_priv.h"

#define TEMPLATE_MAX ((size_t)4 << 20)
#define FALLBACK     "tokenizer_default_fallback_"

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

static int bundled(const char *name, const char **text, struct ax_err *e)
{
	*text = ax_chat_template_bundled(name);
	if (*text)
		return 0;
	return ax_fail(e, AX_EUSAGE,
		       "chat_template: no template named \"%s\" is built in; give chat_template: jinja and "
		       "chat_template_jinja: FILE",
		       name);
}

/* The value of chat_template_jinja: a file if there is one of that name, else the template itself. */
static int jinja_text(struct ax_rows *r, const char *value, const char **text, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;

	if (!value || !*value)
		return ax_fail(e, AX_EUSAGE, "chat_template: jinja needs chat_template_jinja");
	*text = value;
	if (strchr(value, '{'))
		return 0;
	if (!ax_path_exists(value))
		return ax_fail(e, AX_EUSAGE, "chat_template_jinja: %.200s: neither a file nor a template", value);
	AX_TRY(ax_read_file(value, TEMPLATE_MAX, &b, e));
	*text = ax_arena_strndup(&r->arena, b.p ? b.p : "", b.n);
	ax_buf_release(&b);
	return *text ? 0 : no_memory(e);
}

static int choose_template(struct ax_rows *r, const struct ax_val *entry, const char **text, struct ax_err *e)
{
	const char *name = ax_val_cstr(&r->arena, ax_val_get(entry, "chat_template"), "tokenizer_default");
	const char *jinja = ax_val_cstr(&r->arena, ax_val_get(entry, "chat_template_jinja"), NULL);
	const char *own = r->opt.eff->template_text;

	if (!strcmp(name, "jinja"))
		return jinja_text(r, jinja, text, e);
	if (jinja)
		ax_rows_warn(r, "chat_template_jinja is not used: it needs chat_template: jinja beside it");
	if (strcmp(name, "tokenizer_default") && strncmp(name, FALLBACK, strlen(FALLBACK)))
		return bundled(name, text, e);
	*text = own;
	if (own)
		return 0;
	if (strcmp(name, "tokenizer_default"))
		return bundled(name + strlen(FALLBACK), text, e);
	return ax_fail(e, AX_EUSAGE,
		       "chat_template: the tokenizer has no template of its own; name one, for example "
		       "chat_template: chatml");
}

static int read_end(const struct ax_val *entry, const char *key, enum ax_train_end dflt, enum ax_train_end *out,
		    struct ax_err *e)
{
	static const char *const name[] = {"turn", "all", "last", "none"};
	const struct ax_val *v = ax_val_get(entry, key);

	*out = dflt;
	if (ax_val_is_null(v))
		return 0;
	for (int i = 0; i < 4; i++) {
		if (ax_val_is(v, name[i])) {
			*out = (enum ax_train_end)i;
			return 0;
		}
	}
	return ax_fail(e, AX_EUSAGE, "%s must be turn, all, last or none", key);
}

static int single_id(struct ax_rows *r, struct ax_tok_scratch *s, const char *token, uint32_t *id, struct ax_err *e)
{
	struct ax_ids ids = AX_IDS_INIT;
	int rc = ax_tokenizer_encode(r->tok, token, strlen(token), 0, &ids, s, e);

	if (!rc && ids.n == 1)
		*id = ids.id[0];
	else if (!rc)
		rc = ax_fail(e, AX_EUSAGE, "eot_tokens: \"%s\" is %zu tokens; add it to the list of tokens", token,
			     ids.n);
	ax_ids_release(&ids);
	return rc;
}

/* eot_tokens that the template writes; the end token alone is always taken. */
static int list_eot(struct ax_rows *r, const char *text, const char ***token, size_t *n, struct ax_err *e)
{
	const struct ax_val *v = r->opt.eot_tokens;
	const char *eos = r->opt.eff->eos_text;
	size_t want = ax_val_is_null(v) ? 1 : ax_val_len(v);

	if (!ax_val_is_null(v) && v->type != AX_LIST)
		return ax_fail(e, AX_EUSAGE, "eot_tokens must be a list");
	*n = 0;
	*token = ax_arena_calloc(&r->arena, want + 1, sizeof(**token));
	if (!*token)
		return no_memory(e);
	for (size_t i = 0; i < want; i++) {
		const char *s = ax_val_is_null(v) ? eos : ax_val_cstr(&r->arena, v->u.item[i], NULL);

		if (!s && !ax_val_is_null(v))
			return ax_fail(e, AX_EUSAGE, "eot_tokens must be a list of tokens");
		if (!s)
			continue;
		if (want == 1 && eos && !strcmp(s, eos)) {
			if (!strstr(text, eos) && !strstr(text, "eos_token"))
				ax_rows_warn(r,
					     "the chat template never writes the end token %s: no turn's end is "
					     "trained; name the template's own in eot_tokens",
					     eos);
		} else if (!strstr(text, s)) {
			ax_rows_warn(r, "eot_tokens: %s does not occur in the chat template: ignored", s);
			continue;
		}
		(*token)[(*n)++] = s;
	}
	return 0;
}

static int init_ends(struct ax_rows *r, const struct ax_val *entry, const char *text, struct ax_tok_scratch *s,
		     struct ax_err *e)
{
	struct ax_masker *m = &r->masker;
	const char **token = NULL, *eos = r->opt.eff->eos_text;
	bool has_eos = false;
	uint32_t *id;

	AX_TRY(read_end(entry, "train_on_eos", AX_END_TURN, &m->eos, e));
	AX_TRY(read_end(entry, "train_on_eot", m->eos, &m->eot, e));
	AX_TRY(list_eot(r, text, &token, &m->n_eot, e));
	id = ax_arena_calloc(&r->arena, m->n_eot + 1, sizeof(*id));
	if (!id)
		return no_memory(e);
	for (size_t i = 0; i < m->n_eot; i++) {
		AX_TRY(single_id(r, s, token[i], &id[i], e));
		has_eos |= eos && !strcmp(token[i], eos);
	}
	if (has_eos && m->eos != m->eot && ax_val_len(r->opt.eot_tokens) > 1)
		return ax_fail(e, AX_EUSAGE,
			       "train_on_eos and train_on_eot differ, but the end token %s is among eot_tokens", eos);
	m->eot_id = id;
	m->eos_id = r->opt.eff->eos;
	return 0;
}

static bool names_mistral(const char *s)
{
	for (; s && *s; s++)
		if (!strncasecmp(s, "mistral", 7))
			return true;
	return false;
}

static int init_masker(struct ax_rows *r, const struct ax_val *entry, const char *text, struct ax_err *e)
{
	struct ax_masker *m = &r->masker;
	struct ax_tok_scratch *s;
	int rc;

	*m = (struct ax_masker){.mode = r->opt.mask,
				.tok = r->tok,
				.tmpl = r->tmpl,
				.vars = r->opt.eff->template_vars,
				.kwargs = r->opt.chat_template_kwargs,
				.train_on_inputs = r->opt.train_on_inputs,
				.no_inject = r->opt.no_inject,
				.skip_system = names_mistral(r->opt.model_name),
				.thinking_key = r->chat.thinking_key};
	m->opt.now = r->opt.now;
	AX_TRY(ax_tok_scratch_new(&s, r->tok, e));
	rc = init_ends(r, entry, text, s, e);
	rc = rc ? rc : ax_mask_header(m, &r->arena, e);
	rc = rc || !m->no_inject ? rc : ax_mask_markers(m, s, &r->arena, e);
	ax_tok_scratch_free(s);
	return rc;
}

int ax_rows_chat_init(struct ax_rows *r, const struct ax_val *entry, struct ax_err *e)
{
	const char *text = NULL;
	int rc;

	if (!r->tok)
		return ax_rows_no_tokenizer(r, e);
	r->kind = AX_ROWS_CHAT;
	AX_TRY(choose_template(r, entry, &text, e));
	rc = ax_jinja_compile(&r->tmpl, text, strlen(text), 0, e);
	if (rc) {
		if (e && rc != AX_EMEM)
			e->code = AX_EUSAGE;
		return ax_err_prefix(e, "chat_template: ");
	}
	rc = ax_chat_init(&r->chat, entry, text, e);
	if (rc) {
		ax_jinja_free(r->tmpl);
		r->tmpl = NULL;
		return rc;
	}
	return init_masker(r, entry, text, e);
}

int ax_rows_chat_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out, struct ax_rows_work *w,
		      struct ax_err *e)
{
	struct ax_thread t;
	unsigned note;

	AX_TRY(ax_chat_thread(&r->chat, row, &w->arena, &t, e));
	AX_TRY(ax_mask_thread(&r->masker, &t, &w->arena, &w->mask, e));
	note = (w->mask.note & AX_NOTE_NO_END ? AX_MADE_NO_END : 0) |
	       (w->mask.note & AX_NOTE_NO_SPAN ? AX_MADE_NO_SPAN : 0) |
	       (w->mask.note & AX_NOTE_HELD ? AX_MADE_HELD : 0);
	AX_TRY(ax_made_begin(out, e));
	AX_TRY(ax_made_add(out, w->mask.ids.id, w->mask.ids.n, 0, e));
	if (w->mask.ids.n)
		memcpy(out->mask + out->row[out->n_row].at, w->mask.mask, w->mask.ids.n);
	return ax_made_end(out, note, e);
}

int ax_rows_diff(const struct ax_rows *r, const struct ax_val *row, struct ax_rows_diff *out, struct ax_rows_work *w,
		 struct ax_err *e)
{
	if (!row || row->type != AX_MAP)
		return ax_fail(e, AX_EDATA, "the row is no JSON object");
	out->chat = r->kind == AX_ROWS_CHAT && !ax_rows_has_ids(row);
	out->diffs.n = 0;
	if (!out->chat)
		return 0;
	ax_arena_clear(&w->arena);
	AX_TRY(ax_chat_thread(&r->chat, row, &w->arena, &out->thread, e));
	AX_TRY(ax_mask_diff(&r->masker, &out->thread, &w->arena, &w->mask, &out->diffs, e));
	out->ids = &w->mask.ids;
	out->text = w->mask.rope.b.p ? w->mask.rope.b.p : "";
	return 0;
}

void ax_rows_diff_release(struct ax_rows_diff *d)
{
	ax_diffs_release(&d->diffs);
}
