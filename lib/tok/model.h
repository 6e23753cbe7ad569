/*
 * The model of a tokenizer.json, whichever of the four it is: what turns a pre-tokenized piece into ids.
 *
 *	struct ax_model m = {0};
 *	struct ax_model_raw raw = {.start = text};
 *
 *	AX_TRY(ax_model_read(&m, &raw, &scan, e));          // the value of "model"; a missing type is found out
 *	AX_TRY(ax_model_finish(&m, &raw, byte_level, spaces, e));
 *	w = ax_model_work_new(&m);                          // one a thread: caches and arrays
 *	AX_TRY(ax_model_encode(&m, w, p, n, offsets, base, &ids, e));
 *
 * BPE has ways around this interface for text that is cut outside (tok/bpe.h); m.kind says whether m.bpe is in use.
 */
#ifndef AX_TOK_MODEL_H
#define AX_TOK_MODEL_H

#include "tok/bpe.h"
#include "tok/unigram.h"
#include "tok/wordpiece.h"

struct ax_model {
	enum ax_model_kind { AX_MODEL_BPE, AX_MODEL_WORDPIECE, AX_MODEL_WORDLEVEL, AX_MODEL_UNIGRAM } kind;
	struct ax_bpe bpe;
	struct ax_wordpiece words; /* WordPiece, WordLevel */
	struct ax_unigram unigram;
};

struct ax_model_raw {
	const char *start; /* of the file, for offsets in messages; set by the caller */
	struct ax_bpe_raw bpe;
};

/* Read; then, when it is known how pieces will come, finish (tok/bpe.h). The text must live until then. */
int ax_model_read(struct ax_model *m, struct ax_model_raw *raw, struct ax_scan *s, struct ax_err *e);
int ax_model_finish(struct ax_model *m, struct ax_model_raw *raw, bool byte_level, bool spaces, struct ax_err *e);
void ax_model_raw_release(struct ax_model_raw *raw);
void ax_model_release(struct ax_model *m);

/* Its strings and their ids. */
static inline const struct ax_vocab *ax_model_vocab(const struct ax_model *m)
{
	return m->kind == AX_MODEL_BPE ? &m->bpe.vocab : m->kind == AX_MODEL_UNIGRAM ? &m->unigram.vocab : &m->words.vocab;
}

/* Hugging Face's vocabulary size: of a Unigram model equal pieces count each. */
size_t ax_model_size(const struct ax_model *m);
/* The unknown token's id; AX_TOK_NONE: none. */
uint32_t ax_model_unk(const struct ax_model *m);
/* The byte that a token <0xNN> of byte_fallback stands for; -1: another token. */
int ax_model_byte(const struct ax_model *m, uint32_t id);
/* The prefix of pieces that continue a word (WordPiece); *n == 0: none. */
const char *ax_model_inside_prefix(const struct ax_model *m, size_t *n);
/* May the model give the id for a text of several characters? False is certain. */
bool ax_model_makes(const struct ax_model *m, uint32_t id);
/* Append what decides ids, for a fingerprint. */
void ax_model_describe(const struct ax_model *m, struct ax_buf *b);

struct ax_model_work {
	struct ax_bpe_work *bpe;
	struct ax_unigram_work unigram;
	struct ax_piece *piece; /* what pieces up to 24 bytes gave, 2 MiB; not of BPE, which has a cache of its own */
};

struct ax_model_work *ax_model_work_new(const struct ax_model *m); /* NULL: out of memory */
void ax_model_work_free(struct ax_model_work *w);

/*
 * Append the tokens of p[0..n), n > 0, to *out. Where `offsets`, begin and end are set in bytes from p, plus `base`:
 * ascending, a byte token has its byte.
 */
int ax_model_encode(const struct ax_model *m, struct ax_model_work *w, const char *p, size_t n, bool offsets, uint32_t base,
		    struct ax_ids *out, struct ax_err *e);

#endif
