#include "tok/rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tok/rows_priv.h"

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

/* --- rows laid end to end --- */

void ax_made_reset(struct ax_made *m)
{
	m->n = m->n_label = m->n_row = 0;
}

void ax_made_release(struct ax_made *m)
{
	ax_free(m->id);
	ax_free(m->mask);
	ax_free(m->label);
	ax_free(m->row);
	memset(m, 0, sizeof(*m));
}

void ax_made_get(const struct ax_made *m, size_t i, struct ax_row *row)
{
	const struct ax_made_row *r = &m->row[i];

	*row = (struct ax_row){.n = r->n};
	if (r->n == 0) /* there may be no memory at all */
		return;
	row->id = m->id + r->at;
	row->mask = m->mask + r->at;
	row->label = r->label_at == SIZE_MAX ? NULL : m->label + r->label_at;
}

static bool room(void **p, size_t n, size_t *cap, size_t size)
{
	size_t want = n > SIZE_MAX / 2 ? n : n + n / 2 + 64;
	void *q;

	if (n <= *cap)
		return true;
	q = ax_realloc_array(*p, want, size);
	if (!q)
		return false;
	*p = q;
	*cap = want;
	return true;
}

int ax_made_begin(struct ax_made *m, struct ax_err *e)
{
	if (!AX_GROW(m->row, m->n_row, m->cap_row))
		return no_memory(e);
	m->row[m->n_row] = (struct ax_made_row){.at = m->n, .label_at = SIZE_MAX};
	return 0;
}

int ax_made_add(struct ax_made *m, const uint32_t *id, size_t n, uint8_t mask, struct ax_err *e)
{
	if (n == 0)
		return 0;
	if (!room((void **)&m->id, m->n + n, &m->cap_id, sizeof(*m->id)) ||
	    !room((void **)&m->mask, m->n + n, &m->cap_mask, 1))
		return no_memory(e);
	memcpy(m->id + m->n, id, n * sizeof(*id));
	memset(m->mask + m->n, mask, n);
	m->n += n;
	return 0;
}

int ax_made_end(struct ax_made *m, unsigned note, struct ax_err *e)
{
	struct ax_made_row *r = &m->row[m->n_row];
	size_t n = m->n - r->at;

	if (n > UINT32_MAX) { /* more than AX_ROW_MAX is a row too long, which the caller drops or cuts */
		m->n = r->at;
		return ax_fail(e, AX_EDATA, "the row has %zu tokens; the most is %u", n, UINT32_MAX);
	}
	r->n = (uint32_t)n;
	r->note = note;
	m->n_row++;
	return 0;
}

/* --- rows that are ids already --- */

bool ax_rows_has_ids(const struct ax_val *row)
{
	return !ax_val_is_null(ax_val_get(row, "input_ids")) && !ax_val_is_null(ax_val_get(row, "labels"));
}

static int token_list(const struct ax_val *row, const char *key, size_t n, const struct ax_val **out, struct ax_err *e)
{
	*out = ax_val_get(row, key);
	if (ax_val_is_null(*out))
		return ax_fail(e, AX_EDATA, "field \"%s\" is missing", key);
	if ((*out)->type != AX_LIST)
		return ax_fail(e, AX_EDATA, "field \"%s\" is no list", key);
	if (n != SIZE_MAX && (*out)->n != n)
		return ax_fail(e, AX_EDATA, "field \"%s\" has %zu elements, input_ids %zu", key, (*out)->n, n);
	return 0;
}

/* Tokens without the padding at the end: attention_mask 0 and not trained. */
static size_t without_padding(const struct ax_val *row, const struct ax_val *labels)
{
	const struct ax_val *m = ax_val_get(row, "attention_mask");
	size_t n = labels->n;

	if (!m || m->type != AX_LIST || m->n != n)
		return n;
	while (n && ax_val_int_or(m->u.item[n - 1], 1) == 0 && ax_val_int_or(labels->u.item[n - 1], 0) == AX_LABEL_NONE)
		n--;
	return n;
}

static int add_token(const struct ax_rows *r, struct ax_made *m, const struct ax_val *id, const struct ax_val *label,
		     size_t at, bool *differs, struct ax_err *e)
{
	uint32_t limit = r->opt.eff && r->opt.eff->n_embed ? r->opt.eff->n_embed : AX_TOK_MAX_ID, v;

	if (id->type != AX_INT || id->u.i < 0 || id->u.i >= (int64_t)limit)
		return ax_fail(e, AX_EDATA, "input_ids[%zu] is not an id below %u", at, limit);
	if (label->type != AX_INT || (label->u.i != AX_LABEL_NONE && (label->u.i < 0 || label->u.i >= (int64_t)limit)))
		return ax_fail(e, AX_EDATA, "labels[%zu] is neither -100 nor an id below %u", at, limit);
	v = (uint32_t)id->u.i;
	AX_TRY(ax_made_add(m, &v, 1, label->u.i != AX_LABEL_NONE, e));
	*differs |= label->u.i != AX_LABEL_NONE && label->u.i != id->u.i;
	m->label[m->n_label + at] = (int32_t)label->u.i;
	return 0;
}

static int tokens_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out, struct ax_err *e)
{
	const struct ax_val *ids, *labels;
	bool differs = false;
	size_t n;

	AX_TRY(token_list(row, "input_ids", SIZE_MAX, &ids, e));
	AX_TRY(token_list(row, "labels", ids->n, &labels, e));
	n = without_padding(row, labels);
	AX_TRY(ax_made_begin(out, e));
	if (!room((void **)&out->label, out->n_label + n, &out->cap_label, sizeof(*out->label)))
		return no_memory(e);
	for (size_t i = 0; i < n; i++)
		AX_TRY(add_token(r, out, ids->u.item[i], labels->u.item[i], i, &differs, e));
	if (differs) {
		out->row[out->n_row].label_at = out->n_label;
		out->n_label += n;
	}
	return ax_made_end(out, 0, e);
}

/* --- kinds --- */

int ax_rows_no_tokenizer(const struct ax_rows *r, struct ax_err *e)
{
	if (r->opt.model_name)
		return ax_fail(e, AX_EUSAGE, "this type needs a tokenizer, and %s has no tokenizer.json", r->opt.model_name);
	return ax_fail(e, AX_EUSAGE, "this type needs a tokenizer: give --model or base_model");
}

void ax_rows_warn(struct ax_rows *r, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (r->n_warning < AX_ROWS_WARNINGS)
		r->warning[r->n_warning++] = ax_arena_strndup(&r->arena, line, strlen(line));
}

const char *ax_rows_warning(const struct ax_rows *r, size_t n)
{
	return n < r->n_warning ? r->warning[n] : NULL;
}

const char *ax_rows_text_field(const struct ax_rows *r)
{
	return r->kind == AX_ROWS_TEXT ? r->field : NULL;
}

const uint32_t *ax_rows_turn_ends(const struct ax_rows *r, size_t *n)
{
	*n = r->kind == AX_ROWS_CHAT ? r->masker.n_eot : 0;
	return *n ? r->masker.eot_id : NULL;
}

const char *const *ax_rows_columns(const struct ax_rows *r)
{
	return r->column;
}

static void set_columns(struct ax_rows *r)
{
	const char **c = r->column;

	*c++ = "input_ids";
	*c++ = "labels";
	*c++ = "attention_mask";
	switch (r->kind) {
	case AX_ROWS_TEXT:
		*c++ = r->field;
		break;
	case AX_ROWS_PROMPT:
		c += ax_prompt_columns(&r->prompt, c);
		break;
	case AX_ROWS_SEGMENTS:
		*c++ = "segments";
		break;
	case AX_ROWS_CHAT:
		*c++ = r->chat.f_messages;
		*c++ = "system";
		*c++ = "tools";
		break;
	case AX_ROWS_PYGMALION:
	case AX_ROWS_LLAMA2:
		*c++ = "conversations";
		break;
	case AX_ROWS_TOKENS:
		break;
	}
	*c = NULL;
}

static int unknown_type(const char *type, struct ax_err *e)
{
	if (!strncmp(type, "sharegpt", 8))
		return ax_fail(e, AX_EUSAGE,
			       "type \"%s\" is no longer a kind: use type: chat_template, "
			       "field_messages: conversations, message_property_mappings: {role: from, content: value}",
			       type);
	return ax_fail(e, AX_EUSAGE,
		       "unknown type \"%s\"; known are chat_template, completion, input_output, "
		       "alpaca and its relatives, pygmalion, llama2_chat (ax-tokenize(1)), a mapping with field_* keys",
		       type);
}

static int init_text(struct ax_rows *r, const struct ax_val *entry, bool pretrain)
{
	const char *field = ax_val_cstr(&r->arena, ax_val_get(entry, "field"), NULL);

	if (pretrain)
		field = ax_val_cstr(&r->arena, ax_val_get(entry, "text_column"), field);
	r->kind = AX_ROWS_TEXT;
	r->field = field ? field : "text";
	return 0;
}

static int init_kind(struct ax_rows *r, const struct ax_val *entry, struct ax_err *e)
{
	const struct ax_val *v = ax_val_get(entry, "type");
	const char *type = ax_val_cstr(&r->arena, v, NULL), *style;

	if (v && v->type == AX_MAP) {
		r->kind = AX_ROWS_PROMPT;
		return ax_prompt_init_user(&r->prompt, v, &r->arena, e);
	}
	if (ax_val_is_null(v))
		return 0;
	if (!type)
		return ax_fail(e, AX_EUSAGE, "type must be a name or a mapping");
	if (!strcmp(type, "completion"))
		return init_text(r, entry, false);
	if (!strcmp(type, "pretrain"))
		return init_text(r, entry, true);
	if (!strcmp(type, "input_output")) {
		r->kind = AX_ROWS_SEGMENTS;
		return 0;
	}
	if (!strcmp(type, "chat_template") || !strcmp(type, "messages"))
		return ax_rows_chat_init(r, entry, e);
	if (!strcmp(type, "pygmalion"))
		return ax_rows_pygmalion_init(r, e);
	if (!strcmp(type, "llama2_chat")) {
		ax_rows_llama2_init(r);
		return 0;
	}
	if (!ax_prompt_known(type))
		return unknown_type(type, e);
	r->kind = AX_ROWS_PROMPT;
	style = ax_val_cstr(&r->arena, ax_val_get(entry, "conversation"), NULL);
	if (style && strcmp(type, "alpaca_chat")) {
		ax_rows_warn(r, "conversation has no effect: it is the style of type alpaca_chat only");
		style = NULL;
	}
	return ax_prompt_init(&r->prompt, type, style, e);
}

/* Keys of an entry that only some kinds look at. */
static const struct {
	const char *key;
	unsigned kinds; /* bits 1 << enum ax_rows_kind */
} partial[] = {
    {"field", 1 << AX_ROWS_TEXT},
    {"text_column", 1 << AX_ROWS_TEXT},
    {"field_messages", 1 << AX_ROWS_CHAT},
    {"template_thinking_key", 1 << AX_ROWS_CHAT},
    {"message_field_training", 1 << AX_ROWS_CHAT},
    {"message_field_training_detail", 1 << AX_ROWS_CHAT},
    {"split_thinking", 1 << AX_ROWS_CHAT},
    {"roles_to_train", 1 << AX_ROWS_CHAT},
    {"train_on_eos", 1 << AX_ROWS_CHAT},
    {"train_on_eot", 1 << AX_ROWS_CHAT},
    {"roles", 1 << AX_ROWS_CHAT},
    {"drop_system_message", 1 << AX_ROWS_CHAT},
    {"chat_template", 1 << AX_ROWS_CHAT},
    {"chat_template_jinja", 1 << AX_ROWS_CHAT},
};

/* Keys that mean nothing to the kind, as to Axolotl's, are named: their author meant something. */
static void warn_idle(struct ax_rows *r, const struct ax_val *entry)
{
	struct ax_buf names = AX_BUF_INIT;

	for (size_t i = 0; i < sizeof(partial) / sizeof(partial[0]); i++) {
		const struct ax_val *v = ax_val_get(entry, partial[i].key);

		if (!ax_val_is_null(v) && !(partial[i].kinds >> r->kind & 1) && !(v->type == AX_BOOL && !v->u.b))
			ax_buf_addf(&names, "%s%s", names.n ? ", " : "", partial[i].key);
	}
	if (names.n && !names.oom)
		ax_rows_warn(r, "no effect with this type: %s", names.p);
	ax_buf_release(&names);
}

int ax_rows_new(struct ax_rows **out, const struct ax_val *entry, const struct ax_rows_opt *opt, struct ax_err *e)
{
	struct ax_rows *r = ax_calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return no_memory(e);
	ax_arena_init(&r->arena, 0);
	r->opt = *opt;
	r->tok = opt->eff ? opt->eff->tok : NULL;
	AX_GOTO(init_kind(r, entry, e));
	if (r->kind != AX_ROWS_TOKENS && !r->tok)
		AX_GOTO(ax_rows_no_tokenizer(r, e));
	warn_idle(r, entry);
	set_columns(r);
	*out = r;
	return 0;
out:
	ax_rows_free(r);
	return rc;
}

void ax_rows_free(struct ax_rows *r)
{
	if (!r)
		return;
	if (r->tmpl) {
		ax_chat_release(&r->chat);
		ax_jinja_free(r->tmpl);
	}
	ax_arena_release(&r->arena);
	ax_free(r);
}

int ax_rows_work_new(struct ax_rows_work **out, const struct ax_rows *r, struct ax_err *e)
{
	struct ax_rows_work *w = ax_calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return no_memory(e);
	w->r = r;
	ax_arena_init(&w->arena, 0);
	if (r->tok) {
		rc = ax_mask_work_init(&w->mask, r->tok, e);
		if (rc) {
			ax_rows_work_free(w);
			return rc;
		}
	}
	*out = w;
	return 0;
}

void ax_rows_work_free(struct ax_rows_work *w)
{
	if (!w)
		return;
	if (w->mask.scratch)
		ax_mask_work_release(&w->mask);
	ax_arena_release(&w->arena);
	ax_prompt_text_release(&w->prompt);
	ax_prompt_text_release(&w->answer);
	ax_guards_release(&w->guards);
	ax_ids_release(&w->ids);
	ax_ids_release(&w->spans);
	ax_free(w);
}

static int make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out, struct ax_rows_work *w,
		struct ax_err *e)
{
	if (ax_rows_has_ids(row))
		return tokens_make(r, row, out, e);
	switch (r->kind) {
	case AX_ROWS_TEXT:
		return ax_rows_text_make(r, row, out, w, e);
	case AX_ROWS_PROMPT:
		return ax_rows_prompt_make(r, row, out, w, e);
	case AX_ROWS_SEGMENTS:
		return ax_rows_segments_make(r, row, out, w, e);
	case AX_ROWS_CHAT:
		return ax_rows_chat_make(r, row, out, w, e);
	case AX_ROWS_PYGMALION:
		return ax_rows_pygmalion_make(r, row, out, w, e);
	case AX_ROWS_LLAMA2:
		return ax_rows_llama2_make(r, row, out, w, e);
	case AX_ROWS_TOKENS:
		break;
	}
	return ax_fail(e, AX_EDATA, "the row has no input_ids and labels, and its data set no type");
}

/* Two beginning-of-text tokens in a row: a template that writes one and a tokenizer that adds one, or a doubled text.
 */
static void note_bos(const struct ax_rows *r, struct ax_made *m, size_t first)
{
	uint32_t bos = r->opt.eff ? r->opt.eff->bos : AX_TOK_NONE;

	for (size_t i = first; i < m->n_row && bos != AX_TOK_NONE; i++) {
		size_t at = m->row[i].at;

		if (m->row[i].n > 1 && m->id[at] == bos && m->id[at + 1] == bos)
			m->row[i].note |= AX_MADE_DOUBLE_BOS;
	}
}

int ax_rows_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out, struct ax_rows_work *w,
		 struct ax_err *e)
{
	size_t n = out->n, n_row = out->n_row, n_label = out->n_label;
	int rc;

	if (!row || row->type != AX_MAP)
		return ax_fail(e, AX_EDATA, "the row is no JSON object");
	ax_arena_clear(&w->arena);
	rc = make(r, row, out, w, e);
	if (rc) {
		out->n = n;
		out->n_row = n_row;
		out->n_label = n_label;
		return rc;
	}
	note_bos(r, out, n_row);
	return 0;
}
