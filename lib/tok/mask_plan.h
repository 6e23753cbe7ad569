/* What is to be trained of a rendered conversation, found before its ids are known; for mask_plan.c and mask_exact.c. */
#ifndef AX_TOK_MASK_PLAN_H
#define AX_TOK_MASK_PLAN_H

#include "tok/mask.h"
#include "tok/mask_trace.h"

/* Which turn a value belongs to, by the value's address. */
struct ax_owner {
	const struct ax_val *val;
	uint32_t turn;
	enum ax_part_kind kind;
};

struct ax_owners {
	struct ax_owner *slot;
	unsigned bits; /* of the number of slots */
};

/* A run of pieces of one turn. */
struct ax_run {
	size_t first, last; /* pieces */
	size_t begin;	    /* the first byte that is trained, if it is */
	size_t next;	    /* the first byte of another turn behind it */
};

/* The plan, and what masking by it needs. */
struct ax_mask_plan {
	const struct ax_masker *m;
	const struct ax_thread *t;
	struct ax_mask_work *w;
	struct ax_owners own; /* built when it is needed */
	struct ax_arena *arena;
	struct ax_piece *piece;
	size_t n_piece;
	struct ax_run *run;
	size_t n_run;
	bool parts;	/* a run's turn has parts */
	size_t *behind; /* of a turn: one more than its last piece, roles left out; 0: it has none */
	const struct ax_parts *sorted_of; /* whose trained parts `sorted` holds */
	struct ax_part *sorted;
	size_t n_sorted;
	const char *text;
	size_t text_n;
	int64_t last_eot, last_eos;
	uint32_t last_eot_turn, last_eos_turn;
	size_t token;	   /* the last one that was looked for, */
	size_t mark;	   /* and mark */
	uint32_t turn;	   /* what is marked now: whose, */
	enum ax_rule rule; /* and why */
};

static inline bool ax_turn_has_parts(const struct ax_turn *t)
{
	return t->detail.given || t->reasoning_detail.given;
}

static inline bool ax_mask_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* May a token be trained for the sake of the run: its own, or an end token? */
bool ax_run_matters(const struct ax_mask_plan *x, const struct ax_run *r);

#endif
