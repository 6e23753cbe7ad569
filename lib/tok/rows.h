/*
 * Row kinds: one input row (a JSON object) of a data set -> token rows with their loss mask.
 *
 *	struct ax_rows *r;                                     // one entry of `datasets`, ready; shared by threads
 *	struct ax_rows_work *w;                                // one a thread
 *	struct ax_made made = { 0 };
 *	AX_TRY(ax_rows_new(&r, entry, &opt, e));
 *	AX_TRY(ax_rows_work_new(&w, r, e));
 *	AX_TRY(ax_rows_make(r, row, &made, w, e));             // appends 0, 1 or many rows; AX_EDATA: a bad row
 *	for (i = 0; i < made.n_row; i++)
 *		ax_made_get(&made, i, &row);
 *	ax_made_reset(&made);
 *
 * Kinds, by the entry's `type`:
 *	(a row with input_ids and labels)  taken as it is, whatever the type; trailing padding (attention_mask 0,
 *				untrained) goes
 *	completion, pretrain    a text, ended by the end token, in pieces of sequence_len; everything is trained
 *	alpaca and relatives    tok/prompt.h: the prompt untrained, the answer and the end token trained
 *	a mapping               the same with formats of the user's own
 *	input_output            segments {label, text}, encoded one by one, nothing added
 *	pygmalion, llama2_chat  conversations in a fixed format, answers and their ends trained
 *	chat_template, messages conversations through a chat template: tok/chat.h, tok/mask.h
 *
 * Data, for no_inject: every column that is put into a prompt; the text of completions and segments; of conversations
 * whatever came of the row (contents, reasoning, names, tools, keys of objects), and roles, unless they are names that
 * `roles` maps to or well-known ones, which templates put into tags.
 *
 * Rows are not filtered by length here. Labels are the ids themselves where the mask is 1; only rows that came with
 *labels of their own carry labels.
 */
#ifndef AX_TOK_ROWS_H
#define AX_TOK_ROWS_H

#include <time.h>

#include "base/err.h"
#include "fmt/block.h"
#include "text/val.h"
#include "tok/effective.h"
#include "tok/mask.h"
#include "tok/mask_diff.h"

/* Settings of the run. Everything must stay valid as long as the ax_rows. */
struct ax_rows_opt {
	const struct ax_effective *eff; /* NULL, or without a tokenizer: only rows of ids. Its template is what
					   an entry's tokenizer_default means, as in Axolotl */
	const char *model_name;		/* as the user gave it; NULL: unknown */
	uint32_t sequence_len;
	bool train_on_inputs;
	bool no_inject; /* data forms no special tokens (tok/guard.h): only a template's or format's own text does */
	enum ax_mask_mode mask;
	const struct ax_val *chat_template_kwargs;
	const struct ax_val *eot_tokens; /* list, or NULL */
	const struct tm *now;		 /* for strftime_now; NULL: the clock */
};

enum ax_made_note {
	AX_MADE_NO_END = 1 << 0,     /* a trained turn's end is not trained */
	AX_MADE_NO_SPAN = 1 << 1,    /* a trained turn was not found in the text */
	AX_MADE_DOUBLE_BOS = 1 << 2, /* two beginning-of-text tokens at the start */
	AX_MADE_CUT = 1 << 3,	     /* prompt or answer alone was longer than sequence_len, and was cut */
	AX_MADE_HELD = 1 << 4,	     /* no_inject: the row's data has text of special tokens, which stayed text */
};

struct ax_made_row {
	size_t at; /* first token in id and mask */
	uint32_t n;
	size_t label_at; /* first label; SIZE_MAX: none of its own */
	unsigned note;
};

/* Rows laid end to end. All zero is empty. */
struct ax_made {
	uint32_t *id;
	uint8_t *mask;
	size_t n, cap_id, cap_mask;
	int32_t *label;
	size_t n_label, cap_label;
	struct ax_made_row *row;
	size_t n_row, cap_row;
};

void ax_made_reset(struct ax_made *m);
void ax_made_release(struct ax_made *m);
/* Row i as a struct ax_row with split, source and number 0; valid until m changes. */
void ax_made_get(const struct ax_made *m, size_t i, struct ax_row *row);

struct ax_rows;
struct ax_rows_work;

/* AX_EUSAGE: unknown type or contradicting keys. */
int ax_rows_new(struct ax_rows **r, const struct ax_val *entry, const struct ax_rows_opt *opt, struct ax_err *e);
void ax_rows_free(struct ax_rows *r);
/* A warning about the entry that is worth one line, or NULL; the n-th. */
const char *ax_rows_warning(const struct ax_rows *r, size_t n);
/* The column that holds a plain text file's line ("text"), or NULL for kinds that cannot be read from text. */
const char *ax_rows_text_field(const struct ax_rows *r);
/* Ids that end trained turns (beside eos), for generation settings; n == 0 for kinds without turns. */
const uint32_t *ax_rows_turn_ends(const struct ax_rows *r, size_t *n);

/* The names of all columns that rows are made of; NULL behind the last. */
const char *const *ax_rows_columns(const struct ax_rows *r);

int ax_rows_work_new(struct ax_rows_work **w, const struct ax_rows *r, struct ax_err *e);
void ax_rows_work_free(struct ax_rows_work *w);

/* AX_EDATA without a place for a bad row; AX_EUSAGE for a fault of the settings that only a row shows. */
int ax_rows_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out, struct ax_rows_work *w,
		 struct ax_err *e);

/* Where the masks exact and axolotl of a row differ. All zero before the first call. */
struct ax_rows_diff {
	bool chat;		  /* a conversation; other rows have one mask */
	struct ax_thread thread;  /* valid until the work is used again, */
	const struct ax_ids *ids; /* as these: its ids, with offsets into `text` */
	const char *text;
	struct ax_diffs diffs;
};

int ax_rows_diff(const struct ax_rows *r, const struct ax_val *row, struct ax_rows_diff *out, struct ax_rows_work *w,
		 struct ax_err *e);
void ax_rows_diff_release(struct ax_rows_diff *d);

#endif
