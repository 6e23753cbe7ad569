/* Inside of the instruction kinds: what is known of each. */
#ifndef AX_TOK_PROMPT_IMPL_H
#define AX_TOK_PROMPT_IMPL_H

#include "tok/prompt.h"

/* What distinguishes kinds beyond their columns and forms. */
enum quirk {
	QUIRK_NONE,
	QUIRK_JEOPARDY,	  /* the answer is put as a question */
	QUIRK_CHOICE,	  /* the input is a list of choices; the answer is the solution, else the explanation */
	QUIRK_REFLECTION, /* the answer is output, reflection and correction */
	QUIRK_ARTICLE,	  /* the question is an article and the question */
	QUIRK_404,	  /* the same; the answer says that there is none */
	QUIRK_CONTEXT,	  /* context and question, also empty ones, form the prompt */
	QUIRK_SYSTEM,	  /* the system part is there without a system text too */
	QUIRK_CREATIVE,	  /* answers, critiques and revisions: prompt_creative.c */
};

enum style { STYLE_INSTRUCT, STYLE_CHAT, STYLE_CHATML, STYLE_PHI, N_STYLE, STYLE_OWN };

struct ax_prompt_kind {
	const char *name;
	bool styled; /* takes a style after a colon or from the entry */
	enum style style;
	enum quirk quirk;
	const char *system_input, *system_plain;
	const char *f_system, *f_instruction, *f_input, *f_output;
	struct ax_prompt_form own; /* with STYLE_OWN, or where a member differs from the style's */
	unsigned n_eos;
};

extern const struct ax_prompt_form ax_prompt_style_form[N_STYLE];
extern const char *const ax_prompt_style_name[N_STYLE];

/* The kind of exactly this name, or NULL. */
const struct ax_prompt_kind *ax_prompt_kind_find(const char *name, size_t n);

/* prompt_creative.c: both texts of a row of creative_acr.load_answer, load_critique and load_revise. */
int ax_prompt_creative(const struct ax_prompt *p, const struct ax_val *row, struct ax_prompt_text *prompt,
		       struct ax_prompt_text *answer, struct ax_err *e);

#endif
