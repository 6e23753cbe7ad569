#include <string.h>

#include "text/json.h"
#include "tok/chat.h"
#include "tok/prompt_format.h"
#include "tok/prompt_impl.h"

#define ABSENT                                                                                                         \
	"The context provided does not contain any information about your inquiry. Therefore, I'm unable to answer "   \
	"your question based on the given context."

static int find_style(const char *name, enum style *s, struct ax_err *e)
{
	for (int i = 0; i < N_STYLE; i++) {
		if (!strcmp(name, ax_prompt_style_name[i])) {
			*s = (enum style)i;
			return 0;
		}
	}
	return ax_fail(e, AX_EUSAGE, "unknown prompt style \"%s\": instruct, chat, chatml and phi are known", name);
}

int ax_prompt_init(struct ax_prompt *p, const char *type, const char *style, struct ax_err *e)
{
	const struct ax_prompt_kind *k = ax_prompt_kind_find(type, strlen(type));
	const char *colon = strchr(type, ':');
	enum style s;

	if (!k && colon) {
		k = ax_prompt_kind_find(type, (size_t)(colon - type));
		style = colon + 1;
		if (k && !k->styled)
			return ax_fail(e, AX_EUSAGE, "dataset type \"%s\" has no style \"%s\"", k->name, style);
	}
	if (!k)
		return ax_fail(e, AX_EUSAGE, "unknown dataset type \"%s\"", type);
	s = k->style;
	if (style && k->styled && s != STYLE_OWN)
		AX_TRY(find_style(style, &s, e));
	*p = (struct ax_prompt){.kind = k,
				.form = k->own,
				.system_input = k->system_input,
				.system_plain = k->system_plain,
				.f_system = k->f_system,
				.f_instruction = k->f_instruction,
				.f_input = k->f_input,
				.f_output = k->f_output,
				.joined = k->quirk == QUIRK_REFLECTION,
				.n_eos = k->n_eos};
	if (s != STYLE_OWN) {
		p->form.input = ax_prompt_style_form[s].input;
		p->form.plain = ax_prompt_style_form[s].plain;
		if (!p->form.system)
			p->form.system = ax_prompt_style_form[s].system;
	}
	return 0;
}

static const char *text_of(const struct ax_val *map, const char *key, const char *dflt, struct ax_arena *a)
{
	return ax_val_cstr(a, ax_val_get(map, key), dflt);
}

int ax_prompt_init_user(struct ax_prompt *p, const struct ax_val *map, struct ax_arena *a, struct ax_err *e)
{
	const char *system = text_of(map, "system_prompt", "", a);

	*p = (struct ax_prompt){.system_input = system, .system_plain = system};
	p->form.system = text_of(map, "system_format", "{system}", a);
	p->form.input = text_of(map, "format", "{instruction} {input} ", a);
	p->form.plain = text_of(map, "no_input_format", "{instruction} ", a);
	p->f_system = text_of(map, "field_system", "system", a);
	p->f_instruction = text_of(map, "field_instruction", "instruction", a);
	p->f_input = text_of(map, "field_input", "input", a);
	p->f_output = text_of(map, "field_output", "output", a);
	return 0;
}

size_t ax_prompt_columns(const struct ax_prompt *p, const char **name)
{
	const char *const own[] = {p->f_system, p->f_instruction, p->f_input, p->f_output};
	enum quirk q = p->kind ? p->kind->quirk : QUIRK_NONE;
	size_t n = 0;

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (own[i])
			name[n++] = own[i];
	if (q == QUIRK_CHOICE)
		name[n++] = "explanation";
	if (q == QUIRK_REFLECTION) {
		name[n++] = "reflection";
		name[n++] = "corrected";
	}
	if (q == QUIRK_CREATIVE) {
		name[n++] = "scores";
		name[n++] = "critiques";
	}
	return n;
}

/* The text of a column into *b: nothing for a missing or null one. */
static int column(struct ax_buf *b, const struct ax_val *row, const char *name, struct ax_err *e)
{
	const struct ax_val *v = name ? ax_val_get(row, name) : NULL;

	if (ax_val_is_null(v))
		return 0;
	switch (v->type) {
	case AX_STR:
		ax_buf_add(b, v->u.s, v->n);
		break;
	case AX_BOOL:
		ax_buf_adds(b, v->u.b ? "True" : "False");
		break;
	case AX_INT:
		ax_json_write(b, v, 0);
		break;
	case AX_FLOAT: /* as Python writes it, NaN too */
		ax_write_float(b, v->u.f);
		break;
	default:
		return ax_fail(e, AX_EDATA, "field \"%s\" is no text", name);
	}
	return b->oom ? ax_fail(e, AX_EMEM, "out of memory") : 0;
}

static int required(struct ax_buf *b, const struct ax_val *row, const char *name, struct ax_err *e)
{
	if (ax_val_is_null(ax_val_get(row, name)))
		return ax_fail(e, AX_EDATA, "field \"%s\" is missing", name);
	return column(b, row, name, e);
}

static int choices(struct ax_buf *b, const struct ax_val *row, const char *name, struct ax_err *e)
{
	const struct ax_val *v = ax_val_get(row, name);

	if (!v || v->type != AX_LIST)
		return ax_fail(e, AX_EDATA, "field \"%s\" is no list", name);
	for (size_t i = 0; i < v->n; i++) {
		const struct ax_val *c = v->u.item[i];

		if (c->type != AX_STR)
			return ax_fail(e, AX_EDATA, "field \"%s\": choice %zu is no text", name, i + 1);
		ax_buf_addf(b, "%s- \"", i ? "\n" : "");
		ax_buf_add(b, c->u.s, c->n);
		ax_buf_addc(b, '"');
	}
	return 0;
}

static bool present(const struct ax_val *row, const char *name)
{
	return !ax_val_is_null(ax_val_get(row, name));
}

/* The text of a column, as data. */
static int data_column(struct ax_prompt_text *t, const struct ax_val *row, const char *name, struct ax_err *e)
{
	size_t begin = t->b.n;

	AX_TRY(column(&t->b, row, name, e));
	return ax_guards_add(&t->data, begin, t->b.n, e);
}

static int reflection(struct ax_prompt_text *t, const struct ax_prompt *p, const struct ax_val *row, struct ax_err *e)
{
	bool chat = p->kind->style == STYLE_CHAT;
	static const char *const column_name[3] = {"output", "reflection", "corrected"};
	const char *label[2][3] = {{"### Thought:\n", "\n\n### Agent Reflection:\n", "\n\n### Final Response:\n"},
				   {"\nTHOUGHT: ", "\nASSISTANT REFLECTION: ", "\nASSISTANT:"}};

	for (int i = 0; i < 3; i++) {
		const struct ax_val *v = ax_val_get(row, column_name[i]);

		if (ax_val_is_null(v) || (v->type == AX_STR && v->n == 0))
			return 0;
	}
	for (int i = 0; i < 3; i++) {
		ax_buf_adds(&t->b, label[chat][i]);
		if (i < 2 || !chat)
			AX_TRY(data_column(t, row, column_name[i], e));
	}
	return 0;
}

static int build_answer(const struct ax_prompt *p, const struct ax_val *row, struct ax_prompt_text *t,
			struct ax_err *e)
{
	enum quirk q = p->kind ? p->kind->quirk : QUIRK_NONE;

	if (q == QUIRK_REFLECTION)
		return reflection(t, p, row, e);
	if (q == QUIRK_404) {
		ax_buf_adds(&t->b, ABSENT);
		return 0;
	}
	if (q == QUIRK_JEOPARDY && present(row, p->f_output))
		ax_buf_adds(&t->b, "what is ");
	if (q == QUIRK_CONTEXT)
		ax_buf_adds(&t->b, "Answer: ");
	if (q == QUIRK_CHOICE && !present(row, p->f_output))
		return data_column(t, row, "explanation", e);
	return data_column(t, row, p->f_output, e);
}

/* The instruction and input texts of a row. */
static int build_question(const struct ax_prompt *p, const struct ax_val *row, struct ax_buf *instruction,
			  struct ax_buf *input, struct ax_err *e)
{
	enum quirk q = p->kind ? p->kind->quirk : QUIRK_NONE;

	if (q == QUIRK_404 || q == QUIRK_ARTICLE) {
		AX_TRY(required(instruction, row, p->f_input, e));
		ax_buf_adds(instruction, "\n===\n");
		return required(instruction, row, p->f_instruction, e);
	}
	AX_TRY(required(instruction, row, p->f_instruction, e));
	return q == QUIRK_CHOICE ? choices(input, row, p->f_input, e) : column(input, row, p->f_input, e);
}

static int build_prompt(const struct ax_prompt *p, const struct ax_val *row, struct ax_buf *work,
			struct ax_prompt_text *out, struct ax_err *e)
{
	struct ax_buf *instruction = &work[0], *input = &work[1], *system = &work[2];
	bool always = p->kind && p->kind->quirk == QUIRK_CONTEXT, has_input;
	struct ax_format_arg arg[2] = {{"instruction", NULL, 0, true}, {"input", NULL, 0, true}};
	struct ax_format_arg sys = {"system", NULL, 0, false};
	const char *fixed;

	AX_TRY(build_question(p, row, instruction, input, e));
	has_input = input->n > 0 && ax_val_truthy(ax_val_get(row, p->f_input)); /* the number 0 is none */
	if (p->f_system && present(row, p->f_system)) {
		AX_TRY(column(system, row, p->f_system, e));
		sys.data = true;
	} else {
		fixed = has_input ? p->system_input : p->system_plain;
		ax_buf_adds(system, fixed ? fixed : "");
	}
	if (p->form.system && (system->n || (p->kind && p->kind->quirk == QUIRK_SYSTEM))) {
		sys.s = system->n ? system->p : "";
		sys.n = system->n;
		AX_TRY(ax_format(&out->b, &out->data, p->form.system, &sys, 1, e));
	}
	arg[0].s = instruction->n ? instruction->p : "";
	arg[0].n = instruction->n;
	arg[1].s = has_input || always ? (input->n ? input->p : "") : NULL;
	arg[1].n = input->n;
	return ax_format(&out->b, &out->data, has_input && p->form.input ? p->form.input : p->form.plain, arg, 2, e);
}

static void empty(struct ax_prompt_text *t)
{
	ax_buf_reset(&t->b);
	ax_guards_reset(&t->data);
}

void ax_prompt_text_release(struct ax_prompt_text *t)
{
	ax_buf_release(&t->b);
	ax_guards_release(&t->data);
}

int ax_prompt_build(const struct ax_prompt *p, const struct ax_val *row, struct ax_prompt_text *prompt,
		    struct ax_prompt_text *answer, struct ax_err *e)
{
	struct ax_buf work[3] = {AX_BUF_INIT, AX_BUF_INIT, AX_BUF_INIT};
	int rc;

	empty(prompt);
	empty(answer);
	if (p->kind && p->kind->quirk == QUIRK_CREATIVE) {
		AX_GOTO(ax_prompt_creative(p, row, prompt, answer, e));
	} else {
		AX_GOTO(build_prompt(p, row, work, prompt, e));
		AX_GOTO(build_answer(p, row, answer, e));
	}
	if (prompt->b.oom || answer->b.oom)
		rc = ax_fail(e, AX_EMEM, "out of memory");
out:
	for (int i = 0; i < 3; i++)
		ax_buf_release(&work[i]);
	return rc;
}
