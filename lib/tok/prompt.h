/*
 * Prompts of the instruction kinds: a row with named columns -> the text before the answer, and the answer.
 *
 *	struct ax_prompt p;
 *	AX_TRY(ax_prompt_init(&p, "alpaca:chat", NULL, e));           // or the mapping of a user-defined type
 *	AX_TRY(ax_prompt_build(&p, row, &prompt, &answer, e));        // texts are emptied first; all zero is empty
 *
 * Kinds: alpaca, gpteacher, jeopardy, oasst, explainchoice, concisechoice, summarizetldr and reflection, each with an
 * optional style after a colon (instruct, chat, chatml, phi); the alpaca_chat, alpaca_instruct, alpaca_w_system and
 * context_qa families; orcamini; metharme; creative_acr's three loaders; and formats of the user's own. The texts are those that Axolotl's kinds of
 *the same name give, so that a model sees the prompts that it was trained on.
 */
#ifndef AX_TOK_PROMPT_H
#define AX_TOK_PROMPT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "text/val.h"
#include "tok/guard.h"

/* Formats hold {instruction}, {input} and {system}. */
struct ax_prompt_form {
	const char *system; /* around the system text; NULL or an empty text: nothing */
	const char *input;  /* a row with an input */
	const char *plain;  /* a row without one */
};

struct ax_prompt_kind;

struct ax_prompt {
	const struct ax_prompt_kind *kind; /* NULL: user-defined */
	struct ax_prompt_form form;
	const char *system_input, *system_plain;		   /* fixed system texts for the two forms, or NULL */
	const char *f_system, *f_instruction, *f_input, *f_output; /* columns */
	bool joined;						   /* prompt and answer are tokenised as one text */
	unsigned n_eos; /* end tokens put behind the answer beside the usual one */
};

/*
 * `type` as in a datasets entry; `style` the entry's `conversation` key or NULL. AX_EUSAGE for an unknown type or
 * style. ax_prompt_known tells whether the part before ':' and '.' names an instruction kind at all.
 */
bool ax_prompt_known(const char *type);
int ax_prompt_init(struct ax_prompt *p, const char *type, const char *style, struct ax_err *e);
/* A user-defined type: a map with field_*, system_prompt, system_format, format, no_input_format. Strings go to `a`. */
int ax_prompt_init_user(struct ax_prompt *p, const struct ax_val *map, struct ax_arena *a, struct ax_err *e);

#define AX_PROMPT_COLUMNS 8

/* The columns that rows of this kind are made of: how many, of AX_PROMPT_COLUMNS at most. */
size_t ax_prompt_columns(const struct ax_prompt *p, const char **name);

/* Text of one row, and which of its bytes are the row's own. */
struct ax_prompt_text {
	struct ax_buf b;
	struct ax_guards data;
};

void ax_prompt_text_release(struct ax_prompt_text *t);

/*
 * Texts of one row (a map). A missing or null question is AX_EDATA; a missing or null answer gives an empty answer.
 * Values may be strings, numbers and booleans.
 */
int ax_prompt_build(const struct ax_prompt *p, const struct ax_val *row, struct ax_prompt_text *prompt,
		    struct ax_prompt_text *answer, struct ax_err *e);

#endif
