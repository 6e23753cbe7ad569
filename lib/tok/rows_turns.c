/*
 * Conversations in the fixed formats of older models: pygmalion, whose turns are encoded one by one, and llama2_chat,
 * which is one text.
 */
#include <string.h>

#include "tok/chat_text.h"
#include "tok/rows_priv.h"

#define BOT   "<|model|>"
#define OPEN  "[INST]"
#define CLOSE "[/INST]"
#define END   "</s>"
#define SYSTEM                                                                                                         \
	"You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, while being "     \
	"safe. Your answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal "  \
	"content. Please ensure that your responses are socially unbiased and positive in nature.\n\n"                 \
	"If a question does not make any sense, or is not factually coherent, explain why instead of answering "       \
	"something not correct. If you don't know the answer to a question, please don't share false information."

/* The list of turns of a row. */
static int turns_of(const struct ax_val *row, const struct ax_val **list, struct ax_err *e)
{
	*list = ax_val_get(row, "conversations");
	if (ax_val_is_null(*list))
		return ax_fail(e, AX_EDATA, "field \"conversations\" is missing");
	if ((*list)->type != AX_LIST)
		return ax_fail(e, AX_EDATA, "field \"conversations\" is no list");
	if ((*list)->n == 0)
		return ax_fail(e, AX_EDATA, "the conversation has no turns");
	return 0;
}

struct turn {
	const struct ax_val *role;
	const char *s;
	size_t n;
};

static int turn_at(const struct ax_val *list, size_t i, const char *key, struct turn *t, struct ax_err *e)
{
	const struct ax_val *text = ax_val_get(list->u.item[i], "value");

	t->role = ax_val_get(list->u.item[i], key);
	if (!t->role || t->role->type != AX_STR)
		return ax_fail(e, AX_EDATA, "turn %zu has no \"%s\"", i + 1, key);
	if (!text || text->type != AX_STR)
		return ax_fail(e, AX_EDATA, "turn %zu has no text in \"value\"", i + 1);
	t->s = text->u.s;
	t->n = text->n;
	return 0;
}

static int unknown_role(const struct turn *t, size_t i, const char *known, struct ax_err *e)
{
	return ax_fail(e, AX_EDATA, "turn %zu: unknown role \"%.*s\"; %s are known", i + 1,
		       (int)(t->role->n < 40 ? t->role->n : 40), t->role->u.s, known);
}

/* Stripped text of the row behind what w->prompt holds. */
static int add_data(struct ax_rows_work *w, struct turn t, struct ax_err *e)
{
	struct ax_prompt_text *p = &w->prompt;
	size_t begin = p->b.n;

	ax_text_strip(&t.s, &t.n, true);
	ax_buf_add(&p->b, t.s, t.n);
	if (p->b.oom)
		return ax_fail(e, AX_EMEM, "out of memory");
	return ax_guards_add(&p->data, begin, p->b.n, e);
}

static void clear(struct ax_rows_work *w)
{
	ax_buf_reset(&w->prompt.b);
	ax_guards_reset(&w->prompt.data);
}

/* --- pygmalion --- */

int ax_rows_pygmalion_init(struct ax_rows *r, struct ax_err *e)
{
	struct ax_ids ids = AX_IDS_INIT;
	struct ax_tok_scratch *s;
	int rc;

	r->kind = AX_ROWS_PYGMALION;
	if (!r->tok)
		return ax_rows_no_tokenizer(r, e);
	AX_TRY(ax_tok_scratch_new(&s, r->tok, e));
	rc = ax_tokenizer_encode(r->tok, BOT, strlen(BOT), AX_TOK_SPECIAL, &ids, s, e);
	r->n_bot = ids.n;
	if (!rc && ids.n && r->opt.eff->bos != AX_TOK_NONE && ids.id[0] == r->opt.eff->bos)
		r->n_bot--;
	ax_ids_release(&ids);
	ax_tok_scratch_free(s);
	return rc;
}

static int pygmalion_turn(const struct ax_rows *r, struct turn *t, size_t i, struct ax_made *out,
			  struct ax_rows_work *w, unsigned *note, struct ax_err *e)
{
	static const char start[] = "\n<START>";
	struct ax_rows_shape sh = {.limit = r->opt.sequence_len, .drop_bos = true};
	bool bot = ax_val_is(t->role, "bot");
	size_t at = out->n, m = sizeof(start) - 1;

	clear(w);
	if (ax_val_is(t->role, "system")) {
		sh.drop_bos = false;
		ax_buf_adds(&w->prompt.b, "<|system|>Persona: ");
		if (t->n >= m && !memcmp(t->s + t->n - m, start, m))
			t->n -= m;
	} else if (bot) {
		sh.eos = true;
		ax_buf_adds(&w->prompt.b, BOT " ");
	} else if (ax_val_is(t->role, "human")) {
		ax_buf_adds(&w->prompt.b, "<|user|> ");
	} else {
		return unknown_role(t, i, "system, human and bot", e);
	}
	AX_TRY(add_data(w, *t, e));
	AX_TRY(ax_rows_encode(r, w->prompt.b.p, w->prompt.b.n, &w->prompt.data, &sh, w, out, bot, note, e));
	if (bot && out->n > at)
		memset(out->mask + at, 0, r->n_bot < out->n - at ? r->n_bot : out->n - at);
	return 0;
}

int ax_rows_pygmalion_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out,
			   struct ax_rows_work *w, struct ax_err *e)
{
	const struct ax_val *list;
	unsigned note = 0;

	AX_TRY(turns_of(row, &list, e));
	AX_TRY(ax_made_begin(out, e));
	for (size_t i = 0; i < list->n; i++) {
		struct turn t;

		AX_TRY(turn_at(list, i, "role", &t, e));
		AX_TRY(pygmalion_turn(r, &t, i, out, w, &note, e));
	}
	return ax_made_end(out, note, e);
}

/* --- llama2_chat --- */

void ax_rows_llama2_init(struct ax_rows *r)
{
	r->kind = AX_ROWS_LLAMA2;
	if (r->tok && (!r->opt.eff->eos_text || strcmp(r->opt.eff->eos_text, END)))
		ax_rows_warn(r, "llama2_chat ends answers with " END ", which is not this tokenizer's end token");
}

/* The system text; *first is the turn behind it. */
static int llama2_system(const struct ax_val *list, struct ax_rows_work *w, size_t *first, struct ax_err *e)
{
	struct turn t;
	size_t begin;

	AX_TRY(turn_at(list, 0, "from", &t, e));
	*first = ax_val_is(t.role, "system");
	ax_buf_adds(&w->prompt.b, OPEN " <<SYS>>\n");
	begin = w->prompt.b.n;
	if (*first) {
		ax_buf_add(&w->prompt.b, t.s, t.n);
		AX_TRY(ax_guards_add(&w->prompt.data, begin, w->prompt.b.n, e));
	} else {
		ax_buf_adds(&w->prompt.b, SYSTEM);
	}
	ax_buf_adds(&w->prompt.b, "\n<</SYS>>\n\n");
	return 0;
}

/*
 * "[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST] A </s><s>[INST] U [/INST] A </s><s>", into w->prompt; w->guards gets the
 * ranges that are trained. An answer in front of the first question is left out, so is a question without an answer.
 */
static int llama2_text(const struct ax_val *list, struct ax_rows_work *w, struct ax_err *e)
{
	struct ax_buf *b = &w->prompt.b;
	size_t i, n = 0, begin;
	struct turn t;

	clear(w);
	ax_guards_reset(&w->guards);
	AX_TRY(llama2_system(list, w, &i, e));
	if (i < list->n && ax_val_is(ax_val_get(list->u.item[i], "from"), "gpt"))
		i++;
	for (; i < list->n; i++) {
		AX_TRY(turn_at(list, i, "from", &t, e));
		if (!ax_val_is(t.role, "human") && !ax_val_is(t.role, "gpt"))
			return unknown_role(&t, i, "a leading system, human and gpt", e);
		if (ax_val_is(t.role, "human") == (n % 2 == 1))
			return ax_fail(e, AX_EDATA, "turn %zu: human and gpt must take turns", i + 1);
		if (n % 2 == 0 && i + 1 == list->n)
			break;
		ax_buf_adds(b, n == 0 ? "" : n % 2 ? CLOSE : OPEN " ");
		begin = b->n;
		ax_buf_adds(b, n % 2 ? " " : "");
		AX_TRY(add_data(w, t, e));
		ax_buf_adds(b, n % 2 ? " " END : " ");
		if (n % 2)
			AX_TRY(ax_guards_add(&w->guards, begin, b->n, e));
		ax_buf_adds(b, n++ % 2 ? "<s>" : "");
	}
	if (n < 2)
		return ax_fail(e, AX_EDATA, "the conversation has no answer");
	return b->oom ? ax_fail(e, AX_EMEM, "out of memory") : 0;
}

int ax_rows_llama2_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out, struct ax_rows_work *w,
			struct ax_err *e)
{
	struct ax_prompt_text *p = &w->prompt;
	struct ax_ids *ids = &w->spans;
	const struct ax_val *list;
	unsigned note = 0;
	size_t at;

	AX_TRY(turns_of(row, &list, e));
	AX_TRY(llama2_text(list, w, e));
	ax_ids_reset(ids);
	AX_TRY(ax_tokenizer_encode_guarded(r->tok, p->b.p, p->b.n, AX_TOK_SPECIAL | AX_TOK_OFFSETS,
					   r->opt.no_inject ? &p->data : NULL, ids, w->mask.scratch, e));
	note = r->opt.no_inject && p->data.n_held ? AX_MADE_HELD : 0;
	note |= ax_rows_cut(r, ids, r->opt.sequence_len) ? AX_MADE_CUT : 0;
	AX_TRY(ax_made_begin(out, e));
	at = out->n;
	AX_TRY(ax_made_add(out, ids->id, ids->n, 0, e));
	for (size_t i = 0; i < ids->n; i++)
		out->mask[at + i] = ax_guards_overlap(&w->guards, ids->begin[i], ids->end[i]);
	return ax_made_end(out, note, e);
}
