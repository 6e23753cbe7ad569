/* Inside of the row kinds; for lib/tok/rows*.c. */
#ifndef AX_TOK_ROWS_PRIV_H
#define AX_TOK_ROWS_PRIV_H

#include "tok/chat.h"
#include "tok/prompt.h"
#include "tok/rows.h"

enum ax_rows_kind { AX_ROWS_TOKENS, AX_ROWS_TEXT, AX_ROWS_PROMPT, AX_ROWS_SEGMENTS, AX_ROWS_CHAT, AX_ROWS_PYGMALION, AX_ROWS_LLAMA2 };

#define AX_ROWS_WARNINGS 4
#define AX_ROWS_COLUMNS	 (4 + AX_PROMPT_COLUMNS)

struct ax_rows {
	struct ax_arena arena;
	struct ax_rows_opt opt;
	enum ax_rows_kind kind;
	const struct ax_tokenizer *tok; /* NULL: none */
	const char *field;		/* AX_ROWS_TEXT */
	struct ax_prompt prompt;
	struct ax_chat chat;
	struct ax_jinja *tmpl;
	struct ax_masker masker;
	size_t n_bot; /* AX_ROWS_PYGMALION: ids of what opens an answer */
	const char *column[AX_ROWS_COLUMNS]; /* that it looks at; NULL behind the last */
	char *warning[AX_ROWS_WARNINGS];
	size_t n_warning;
};

struct ax_rows_work {
	const struct ax_rows *r;
	struct ax_arena arena; /* of one row */
	struct ax_mask_work mask;
	struct ax_prompt_text prompt, answer;
	struct ax_guards guards; /* of a text that is data as a whole */
	struct ax_ids ids, spans; /* without and with offsets */
};

void ax_rows_warn(struct ax_rows *r, const char *fmt, ...) AX_PRINTF(2, 3);
/* Fails with AX_EUSAGE, saying what is missing. */
int ax_rows_no_tokenizer(const struct ax_rows *r, struct ax_err *e);

/* Has the row input_ids and labels, so that it is taken as it is? */
bool ax_rows_has_ids(const struct ax_val *row);

/* rows_chat.c: template, masker and conversation settings of an entry. */
int ax_rows_chat_init(struct ax_rows *r, const struct ax_val *entry, struct ax_err *e);
int ax_rows_chat_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out, struct ax_rows_work *w,
		      struct ax_err *e);

/* rows_text.c */
int ax_rows_text_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out, struct ax_rows_work *w,
		      struct ax_err *e);
int ax_rows_prompt_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out, struct ax_rows_work *w,
			struct ax_err *e);
int ax_rows_segments_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out,
			  struct ax_rows_work *w, struct ax_err *e);

/* What of a text's ids is kept and added. */
struct ax_rows_shape {
	size_t limit;  /* most ids, 0: none */
	bool eos;      /* append the end token unless it is there or the limit is reached */
	bool drop_bos; /* take a leading bos off */
};

/*
 * Append the ids of a text with what the post-processor adds, shaped, to the open row. `data`: its guards; NULL: all of it
 * is data. *note gets AX_MADE_CUT if the limit took some away, AX_MADE_HELD if data was held back.
 */
int ax_rows_encode(const struct ax_rows *r, const char *s, size_t n, struct ax_guards *data,
		   const struct ax_rows_shape *sh, struct ax_rows_work *w, struct ax_made *out, uint8_t mask,
		   unsigned *note, struct ax_err *e);
/* Cut ids so that with the post-processor's suffix they fit the limit (0: none). */
bool ax_rows_cut(const struct ax_rows *r, struct ax_ids *ids, size_t limit);

/* rows_turns.c */
int ax_rows_pygmalion_init(struct ax_rows *r, struct ax_err *e);
int ax_rows_pygmalion_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out,
			   struct ax_rows_work *w, struct ax_err *e);
void ax_rows_llama2_init(struct ax_rows *r);
int ax_rows_llama2_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out, struct ax_rows_work *w,
			struct ax_err *e);

/* Append n ids with one mask value to the open row; ax_made_begin starts one, ax_made_end closes it. */
int ax_made_begin(struct ax_made *m, struct ax_err *e);
int ax_made_add(struct ax_made *m, const uint32_t *id, size_t n, uint8_t mask, struct ax_err *e);
int ax_made_end(struct ax_made *m, unsigned note, struct ax_err *e);

#endif
