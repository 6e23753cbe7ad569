/*
 * Where the two ways to mask a conversation (tok/mask.h) differ, and why.
 *
 *	struct ax_diffs d = {0};
 *	AX_TRY(ax_mask_diff(&m, &thread, arena, &w, &d, e));      // m.mode does not matter
 *	for (i = 0; i < d.n; i++)
 *		... tokens d.diff[i].begin .. end of w.ids, bytes w.ids.begin[begin] .. w.ids.end[end - 1] of w.rope.b ...
 *	ax_diffs_release(&d);
 *
 * A difference is a run of neighbouring tokens that one way trains and the other does not, for one reason and one turn. The
 * reason follows from how both masks came about: which rule trained the token, and how Axolotl's way found the turn that
 * the token belongs to (its two renders and the ids that they share), not from the look of the text.
 */
#ifndef AX_TOK_MASK_DIFF_H
#define AX_TOK_MASK_DIFF_H

#include "tok/mask.h"

enum ax_diff_reason {
	/* Rendered up to this turn, the conversation has another text than as a whole: labels go to places of another text. */
	AX_DIFF_LAST_TURN,
	/* The text begins or ends with tokens of the placeholder, which then do not differ. */
	AX_DIFF_PLACEHOLDER,
	/* Reasoning, calls and tags: the template writes the same for the placeholder, so they do not differ. */
	AX_DIFF_BEGIN,
	/* A token of the template's text joins with the placeholder, or with what follows the turn, and so differs. */
	AX_DIFF_MERGED,
	/* The end token is looked for within three tokens of where the text stops to differ, whoever's it is. */
	AX_DIFF_WINDOW,
	/* A token that holds an untrained part is not trained; Axolotl rounds parts to whole tokens. */
	AX_DIFF_STRADDLES,
	/* Parts are counted in the text by itself, which the template trims or the tokenizer cuts otherwise. */
	AX_DIFF_SHIFTED,
	/* Parts of the reasoning, or of the content, alone: Axolotl trains nothing else of the turn. */
	AX_DIFF_PARTS_ALONE,
	/* The turn's flag is a text such as "false", which Python takes for true. */
	AX_DIFF_FLAG,
	/* Axolotl found nothing of the turn: no text differs, or it is a system turn that it does not look for. */
	AX_DIFF_NOT_FOUND,
	/* The range that differs holds text of another turn. */
	AX_DIFF_OTHER_TURN,
	/* The range that differs holds text of the template, which writes other text for the placeholder. */
	AX_DIFF_TEMPLATE,
	/* The template's text between the turn and its end token: the model writes it too. */
	AX_DIFF_BEFORE_END,
	AX_N_DIFF
};

struct ax_diff {
	size_t begin, end; /* tokens */
	bool exact;	   /* trained by exact and not by axolotl; else the other way round */
	uint32_t turn;	   /* whose rule trained them: index of the thread */
	enum ax_diff_reason reason;
};

struct ax_diffs {
	struct ax_diff *diff;
	size_t n, cap;
};

void ax_diffs_release(struct ax_diffs *d);

/* Replaces what *d holds. *w then has the ids, with offsets, the text and the mask of exact. */
int ax_mask_diff(const struct ax_masker *m, const struct ax_thread *t, struct ax_arena *a, struct ax_mask_work *w,
		 struct ax_diffs *d, struct ax_err *e);

/* "last-turn", and what it means in one line. */
const char *ax_diff_name(enum ax_diff_reason r);
const char *ax_diff_meaning(enum ax_diff_reason r);

#endif
