/*
 * Pre-tokenizers of tokenizer.json: a sequence of stages, each cutting every piece that the one before it left. A stage
 * sees only its piece, so each runs to the end of a piece before the next piece of its parent is cut.
 */
#ifndef AX_TOK_PRETOK_H
#define AX_TOK_PRETOK_H

#include "tok/normalize.h"
#include "tok/pretok_split.h"

enum ax_pre_kind {
	AX_PRE_SPLIT,     /* a hand-written splitter */
	AX_PRE_LITERAL,   /* a fixed string */
	AX_PRE_REGEX,
	AX_PRE_CLASS,     /* each character with a flag */
	AX_PRE_CHAR,      /* each occurrence of one character */
	AX_PRE_WORDS,     /* Whitespace: \w+|[^\w\s]+ */
	AX_PRE_FIXED,     /* so many characters */
	AX_PRE_SCRIPTS,   /* where the script changes */
	AX_PRE_METASPACE,
	AX_PRE_BYTES
};

enum ax_pre_behavior { AX_PRE_REMOVED, AX_PRE_ISOLATED, AX_PRE_PREVIOUS, AX_PRE_NEXT, AX_PRE_CONTIGUOUS };

enum ax_pre_prepend { AX_PRE_ALWAYS, AX_PRE_FIRST, AX_PRE_NEVER };

struct ax_pre_stage {
	enum ax_pre_kind kind;
	enum ax_pre_behavior behavior;
	bool invert;
	ax_split_fn fn;
	char *text; /* literal; Metaspace's replacement; the one character */
	size_t text_n;
	struct ax_regex *regex;
	uint32_t flag;   /* AX_PRE_CLASS: enum ax_uni_flag */
	size_t length;   /* AX_PRE_FIXED */
	enum ax_pre_prepend prepend;
	bool split;      /* Metaspace */
	bool prefix_space, use_regex; /* ByteLevel */
	bool spell;      /* ByteLevel: write bytes as characters for the stages or the model behind it */
};

struct ax_pretok {
	struct ax_pre_stage stage[AX_MAX_STAGES];
	size_t n;
	bool byte_level; /* the last stage is the only ByteLevel: pieces may reach the model as raw bytes */
};

/* From the value of "pre_tokenizer" (null: none). */
int ax_pretok_load(struct ax_pretok *s, const struct ax_val *v, struct ax_err *e);
void ax_pretok_release(struct ax_pretok *s);

struct ax_pre_work {
	struct ax_nbuf buf[AX_MAX_STAGES], spelled[AX_MAX_STAGES];
	struct ax_regex_work *regex[AX_MAX_STAGES];
};

int ax_pre_work_init(struct ax_pre_work *w, const struct ax_pretok *s, struct ax_err *e);
void ax_pre_work_release(struct ax_pre_work *w);

/* Gets each final piece, not empty, in order. Non-zero stops. */
typedef int (*ax_pre_sink)(void *ctx, const struct ax_ntext *piece, struct ax_err *e);

int ax_pretok_run(const struct ax_pretok *s, struct ax_pre_work *w, struct ax_ntext text, bool track, ax_pre_sink sink,
		  void *ctx, struct ax_err *e);

#endif
