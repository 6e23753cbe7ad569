/*
 * How a mask came about: what tok/mask_diff.h compares. Begun by ax_mask_thread where w->trace is set, filled by
 * ax_mask_exact and ax_mask_axolotl, in the arena of the conversation; internal to these files.
 */
#ifndef AX_TOK_MASK_TRACE_H
#define AX_TOK_MASK_TRACE_H

#include "tok/mask.h"

enum ax_part_kind { AX_PART_ROLE, AX_PART_CONTENT, AX_PART_REASONING, AX_PART_OTHER };

/* Bytes of the text that came from one turn, in order; neighbours of one turn are joined into runs later. */
struct ax_piece {
	size_t begin, end;
	uint32_t turn;
	enum ax_part_kind kind;
	size_t origin_off; /* where in the value the bytes begin */
	bool copied;	   /* they are the value's own bytes, not made from it */
};

/* What trained a token. */
enum ax_rule {
	AX_RULE_NONE,
	AX_RULE_RUN,	    /* the turn's text: exact: a run of its pieces; axolotl: the range that differs */
	AX_RULE_PART,	    /* a part of it (training detail) */
	AX_RULE_BEFORE_END, /* exact: the template's text between the turn and its end token */
	AX_RULE_END	    /* the end token */
};

struct ax_cause {
	uint32_t turn;
	enum ax_rule rule;
};

/*
 * How Axolotl's way found a turn. The prefix is the conversation up to the turn; the dummy is the same with a
 * placeholder. All in ids of these two, which need not be those of the conversation.
 */
struct ax_found {
	bool looked;
	int64_t begin, end;	       /* the range that differs, -1: none */
	size_t n_prefix, n_dummy;
	size_t same_front, same_back;  /* ids that prefix and dummy share */
	size_t agree;		       /* leading ids that prefix and conversation share */
	bool text_agrees;	       /* there the texts are still the same: only the tokens are cut otherwise */
	size_t place_begin, place_end; /* ids of the dummy that hold a byte of the placeholder */
	bool before, behind;	       /* the first, the last of them hold the template's text too */
	size_t alone;		       /* with parts: leading ids of the text alone that stand in the conversation at `begin` */
};

struct ax_trace {
	struct ax_cause *cause;	 /* a token of the conversation */
	struct ax_found *found;	 /* a turn; filled by axolotl */
	const char *text;	 /* the conversation's */
	size_t text_n;
	const struct ax_piece *piece; /* exact */
	size_t n_piece;
	size_t *begin; /* exact, a turn: the first byte that it trains of the turn's text; SIZE_MAX: none */
};

static inline void ax_trace_set(const struct ax_mask_work *w, size_t token, size_t turn, enum ax_rule rule)
{
	if (w->trace)
		w->trace->cause[token] = (struct ax_cause){(uint32_t)turn, rule};
}

#endif
