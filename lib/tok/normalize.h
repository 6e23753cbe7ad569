/*
 * Normalizers of tokenizer.json, and text that remembers which bytes of the input it came from.
 */
#ifndef AX_TOK_NORMALIZE_H
#define AX_TOK_NORMALIZE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "text/regex.h"
#include "text/unicode.h"
#include "text/val.h"

#define AX_MAX_STAGES 32 /* normalizers, or pre-tokenizers, in sequence */

/*
 * A text with its origin: byte i came from the input's bytes begin[i]..end[i], or from base + i where begin is NULL.
 */
struct ax_ntext {
	const char *p;
	size_t n;
	const uint32_t *begin, *end;
	uint32_t base;
};

/* Bytes [from, to) of t. */
static inline struct ax_ntext ax_ntext_slice(struct ax_ntext t, size_t from, size_t to)
{
	t.p += from;
	t.n = to - from;
	if (t.begin) {
		t.begin += from;
		t.end += from;
	} else {
		t.base += (uint32_t)from;
	}
	return t;
}

/* The input range of bytes [from, to) of t; an empty range lies where it would be. */
void ax_ntext_range(const struct ax_ntext *t, size_t from, size_t to, uint32_t *begin, uint32_t *end);

/* A text under construction; with `track` it keeps origins. */
struct ax_nbuf {
	struct ax_buf text;
	uint32_t *begin, *end;
	size_t cap;
	bool track;
};

void ax_nbuf_reset(struct ax_nbuf *b, bool track);
void ax_nbuf_release(struct ax_nbuf *b);
/* Append bytes that all came from one input range. */
void ax_nbuf_add(struct ax_nbuf *b, const char *p, size_t n, uint32_t begin, uint32_t end);
/* Append bytes [from, to) of t with their origins. */
void ax_nbuf_copy(struct ax_nbuf *b, const struct ax_ntext *t, size_t from, size_t to);
struct ax_ntext ax_nbuf_text(const struct ax_nbuf *b);

struct ax_normalizer {
	enum ax_norm_kind {
		AX_NORM_FORM, AX_NORM_LOWER, AX_NORM_STRIP, AX_NORM_ACCENTS, AX_NORM_REPLACE, AX_NORM_REGEX, AX_NORM_PREPEND,
		AX_NORM_BYTES, AX_NORM_BERT_CLEAN, AX_NORM_BERT_CJK, AX_NORM_BERT_MARKS, AX_NORM_NMT,
		AX_NORM_PRECOMPILED
	} kind;
	enum ax_uni_form form;
	bool left, right;
	char *from, *to; /* Replace; Prepend's text is `to` */
	size_t from_n, to_n;
	struct ax_regex *regex;
	struct ax_charsmap *map; /* tok/charsmap.h */
};

struct ax_normalizers {
	struct ax_normalizer step[AX_MAX_STAGES];
	size_t n;
};

/* From the value of "normalizer" (null: none). */
int ax_normalizers_load(struct ax_normalizers *s, const struct ax_val *v, struct ax_err *e);
void ax_normalizers_release(struct ax_normalizers *s);

struct ax_norm_work {
	struct ax_nbuf buf[2];
	struct ax_uni_work uni;
	struct ax_regex_work *regex[AX_MAX_STAGES];
};

int ax_norm_work_init(struct ax_norm_work *w, const struct ax_normalizers *s, struct ax_err *e);
void ax_norm_work_release(struct ax_norm_work *w);

/* Normalize *t in place: on return it is the input itself or lies in the work, until the next call. */
int ax_normalize(const struct ax_normalizers *s, struct ax_norm_work *w, struct ax_ntext *t, bool track, struct ax_err *e);

#endif
