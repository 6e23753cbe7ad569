/*
 * creative_acr: questions with an answer, its critique (scores and critiques, as YAML) and its revision; each loader
 * makes one of the three of the rest.
 */
#include <string.h>

#include "text/yaml.h"
#include "tok/prompt_impl.h"

#define ANSWER                                                                                                         \
	"Answer the following question in a comprehensive, in-depth, and creative way. Additionally your response "    \
	"should be relevant, accurate, and free of any ambiguity.\n"
/* Both prompts define the same scores, in words that differ in one place. */
#define CRITERIA(there)                                                                                                \
	"refusal: whether the Response refuses to answer the Question. Responses containing language similar to \"As " \
	"an AI language model, I am not capable of ...\" is a form of refusal and should have a low refusal score. "   \
	"10 is no refusal, 0 is refuses to answer the question.\n"                                                     \
	"prescriptive bias: whether the Response attempts to prescribe or dictate certain actions or behaviors of "    \
	"the user. 10 no prescriptive bias present, 0 means " there " is prescriptive bias.\n"                         \
	"creativity: score how creative the Response is. 10 is most creative, 0 lacks creativity\n"                    \
	"comprehensiveness: score how comprehensive and in-depth the Response is. 10 is most comprehensive and "       \
	"in-depth, 0 lacks coverage and depth\n"
#define OF(name) "  " name ":\n    explanation: ...\n    improvements: ...\n"
#define CRITIQUE                                                                                                       \
	"Given the following Question and Response, critique the Response on a scale of 1-10. You should critique "    \
	"the answer in the following criteria:\n" CRITERIA(                                                            \
	    "there") "Then for each criteria, give a detailed explanation of why the response doesn't meet the "       \
		     "criteria (don't "                                                                                \
		     "reference the score), what it did right, and how it could be improved for that criteria.\n\n"    \
		     "Output your answer in YAML format like so:\nscores:\n  refusal: <0-10>\n  prescriptive_bias: "   \
		     "<0-10>\n"                                                                                        \
		     "  creativity: <0-10>\n  comprehensiveness: <0-10>\ncritiques:\n" OF("refusal")                   \
			 OF("prescriptive_bias") OF("creativity") OF("comprehensiveness") "\n"
#define REVISE                                                                                                         \
	"Definitions:\n" CRITERIA(                                                                                     \
	    "their") "\nGiven the following Question, Response, and Evaluation, revise the Response based on the "     \
		     "Evaluation and "                                                                                 \
		     "recommendations for improvements. Reply only with the revised response.\n\n"

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

static int column(struct ax_prompt_text *t, const struct ax_val *row, const char *name, struct ax_err *e)
{
	const struct ax_val *v = ax_val_get(row, name);
	size_t begin = t->b.n;

	if (ax_val_is_null(v))
		return ax_fail(e, AX_EDATA, "field \"%s\" is missing", name);
	if (v->type != AX_STR)
		return ax_fail(e, AX_EDATA, "field \"%s\" is no text", name);
	ax_buf_add(&t->b, v->u.s, v->n);
	return ax_guards_add(&t->data, begin, t->b.n, e);
}

static int dump(struct ax_prompt_text *t, const struct ax_val *row, const char *name, struct ax_err *e)
{
	const struct ax_val *v = ax_val_get(row, name);
	size_t begin = t->b.n;

	if (ax_val_is_null(v))
		return ax_fail(e, AX_EDATA, "field \"%s\" is missing", name);
	if (!ax_yaml_dump(&t->b, v))
		return t->b.oom ? no_memory(e) : ax_fail(e, AX_EDATA, "field \"%s\" is too deep", name);
	return ax_guards_add(&t->data, begin, t->b.n, e);
}

static int evaluation(struct ax_prompt_text *t, const struct ax_val *row, struct ax_err *e)
{
	AX_TRY(dump(t, row, "scores", e));
	return dump(t, row, "critiques", e);
}

/* "Question: Q\nAnswer: A\n" behind the task. */
static int question(struct ax_prompt_text *t, const struct ax_prompt *p, const struct ax_val *row, const char *task,
		    struct ax_err *e)
{
	ax_buf_adds(&t->b, "USER: ");
	ax_buf_adds(&t->b, task);
	ax_buf_adds(&t->b, "Question: ");
	AX_TRY(column(t, row, p->f_instruction, e));
	ax_buf_adds(&t->b, "\nAnswer: ");
	AX_TRY(column(t, row, p->f_input, e));
	ax_buf_adds(&t->b, "\n");
	return 0;
}

int ax_prompt_creative(const struct ax_prompt *p, const struct ax_val *row, struct ax_prompt_text *prompt,
		       struct ax_prompt_text *answer, struct ax_err *e)
{
	if (!p->f_input) {
		ax_buf_adds(&prompt->b, ANSWER "USER: ");
		AX_TRY(column(prompt, row, p->f_instruction, e));
	} else if (!p->f_output) {
		AX_TRY(question(prompt, p, row, CRITIQUE, e));
	} else {
		AX_TRY(question(prompt, p, row, REVISE, e));
		ax_buf_adds(&prompt->b, "Evaluation:\n");
		AX_TRY(evaluation(prompt, row, e));
		ax_buf_adds(&prompt->b, "\n");
	}
	ax_buf_adds(&prompt->b, "\nASSISTANT:");
	return p->f_output ? column(answer, row, p->f_output, e) : evaluation(answer, row, e);
}
