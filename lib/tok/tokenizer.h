/*
 * tokenizer.json -> ids, equal to Hugging Face tokenizers 0.23.2 bit for bit.
 *
 *	struct ax_tokenizer *t;
 *	struct ax_tok_scratch *s;
 *	struct ax_ids ids = AX_IDS_INIT;
 *
 *	AX_TRY(ax_tokenizer_open(&t, "model-folder", e));
 *	AX_TRY(ax_tok_scratch_new(&s, t, e));                      // one a thread
 *	AX_TRY(ax_tokenizer_encode(t, text, n, AX_TOK_SPECIAL | AX_TOK_OFFSETS, &ids, s, e));
 *	... ids.id[i] stands for text[ids.begin[i]..ids.end[i]) ...
 *	ax_ids_release(&ids);
 *	ax_tok_scratch_free(s);
 *	ax_tokenizer_free(t);
 *
 * An open tokenizer is immutable and may be shared by threads; whatever an encoding changes (the piece cache, work
 * arrays) is in the scratch. ids never depend on what the scratch encoded before.
 *
 * Encoding runs, as Hugging Face does: split on added tokens that are not normalized; normalize each remaining piece;
 * split on normalized added tokens; pre-tokenizer; model; and with AX_TOK_SPECIAL the post-processor's tokens. Truncation
 * and padding of the file are ignored. Supported: models BPE, Unigram, WordPiece and WordLevel (tok/model.h), every
 * normalizer, pre-tokenizer and post-processor except those that the error names.
 *
 * The file is untrusted: a malformed one is AX_EDATA with the file's name and what is wrong.
 */
#ifndef AX_TOK_TOKENIZER_H
#define AX_TOK_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "tok/guard.h"

struct ax_tokenizer;
struct ax_tok_scratch;

#define AX_TOK_NONE UINT32_MAX              /* no such id */
#define AX_TOK_MAX_ID ((uint32_t)1 << 24)   /* ids at or above are refused at load */
#define AX_TOK_MAX_TEXT ((size_t)UINT32_MAX - 1) /* longest text of one call */

/* A byte of the input, and its tokens: the first that ends behind it, and the first that begins at it or behind it. */
struct ax_tok_mark {
	uint32_t at, behind, from;
};

/* Places that are looked for while encoding, ascending. Where they are few that takes less time than all ranges. */
struct ax_tok_marks {
	struct ax_tok_mark *mark;
	size_t n, done; /* done: set to 0 before a call */
};

/* Token ids and, where asked for, the byte range of the input that each stands for. */
struct ax_ids {
	uint32_t *id;
	uint32_t *begin, *end; /* filled only with AX_TOK_OFFSETS; never mix calls with and without on one ax_ids */
	size_t n, cap, cap_off;
	struct ax_tok_marks *marks; /* NULL, or filled by calls without AX_TOK_SPECIAL */
};

#define AX_IDS_INIT                                                                                                    \
	{                                                                                                              \
		NULL, NULL, NULL, 0, 0, 0, NULL                                                                             \
	}

void ax_ids_reset(struct ax_ids *ids); /* n = 0, memory kept */
void ax_ids_release(struct ax_ids *ids);

/* One added token, as in tokenizer.json. */
struct ax_tok_added {
	const char *content; /* not NUL-terminated in general */
	size_t content_n;
	uint32_t id;
	bool special, lstrip, rstrip, single_word, normalized;
	bool guarded; /* not recognised in guarded text, as if it were special */
	bool merged;  /* set at load: the model gives the id for text too, of several characters */
};

/*
 * Load `path`: a model folder, a tokenizer.json, or a SentencePiece model (tok/spm.h), which also counts in a folder without
 * tokenizer.json. In a folder, what tokenizer_config.json says about added tokens counts
 * too, as when transformers loads a fast tokenizer: entries of added_tokens_decoder that differ replace flags or add
 * tokens, and named special tokens (bos_token, ...) without an id get one. Of a tokenizer.json tokenizer_class is not looked
 * at: rules that a class of transformers puts in place of those of the file are not applied.
 */
int ax_tokenizer_open(struct ax_tokenizer **t, const char *path, struct ax_err *e);
/* The same from memory: the text of a tokenizer.json. Nothing of it is kept. */
int ax_tokenizer_parse(struct ax_tokenizer **t, const char *json, size_t n, struct ax_err *e);
void ax_tokenizer_free(struct ax_tokenizer *t);

/*
 * Add tokens as Hugging Face's add_tokens does: a content that has an id keeps it (flags are replaced), the others get
 * the next ids in order; empty ones are skipped. Only before the tokenizer is shared. tok[i].id is set to the id.
 */
int ax_tokenizer_add(struct ax_tokenizer *t, struct ax_tok_added *tok, size_t n, struct ax_err *e);

int ax_tok_scratch_new(struct ax_tok_scratch **s, const struct ax_tokenizer *t, struct ax_err *e);
void ax_tok_scratch_free(struct ax_tok_scratch *s);

enum ax_tok_flags {
	AX_TOK_SPECIAL = 1 << 0,  /* add what the post-processor adds (their range is empty: the start or end of the text) */
	AX_TOK_NO_SPLIT = 1 << 1, /* special tokens in the text stay text (transformers' split_special_tokens) */
	AX_TOK_OFFSETS = 1 << 2   /* fill begin and end */
};

/*
 * Append the ids of text[0..n) to *out. The text must be UTF-8: AX_EDATA "byte N is not UTF-8" otherwise.
 * Ranges are in bytes of `text`, ascending, and do not overlap but where one character became several tokens of a
 * normalized text; a character that normalization inserted has an empty range. Bytes of a byte-level token that ends
 * inside a character are exact. Added tokens with lstrip or rstrip include the white space that they took.
 */
int ax_tokenizer_encode(const struct ax_tokenizer *t, const char *text, size_t n, unsigned flags, struct ax_ids *out,
			struct ax_tok_scratch *s, struct ax_err *e);

/*
 * The same, but data (tok/guard.h) forms no guarded token: neither an added token whose text holds a byte of it, nor one
 * that the model would make of it; the text stays text. guards->n_held counts how often. NULL, or no ranges: nothing is
 * data. (A guarded token of a single character that is in the model's vocabulary has no other spelling, and stays.)
 */
int ax_tokenizer_encode_guarded(const struct ax_tokenizer *t, const char *text, size_t n, unsigned flags,
				struct ax_guards *guards, struct ax_ids *out, struct ax_tok_scratch *s,
				struct ax_err *e);

/* Id of a token's text in the vocabulary or among the added tokens; AX_TOK_NONE if there is none. */
uint32_t ax_tokenizer_id(const struct ax_tokenizer *t, const char *content, size_t n);

/*
 * The text of an id as the vocabulary spells it ("Ġthe", "▁the", "<0x0A>"); NULL for an id without a token. Valid as
 * long as the tokenizer.
 */
const char *ax_tokenizer_piece(const struct ax_tokenizer *t, uint32_t id, size_t *n);
/*
 * Append the bytes of the text that an id stands for ("Ġthe" -> " the", "▁the" -> " the", "<0x0A>" -> newline); added
 * tokens as they are written. Bytes need not be whole characters. Returns false for an id without a token.
 */
bool ax_tokenizer_bytes(const struct ax_tokenizer *t, uint32_t id, struct ax_buf *b);

/* Entries of the model's vocabulary and added tokens together: Hugging Face's len(tokenizer). */
size_t ax_tokenizer_size(const struct ax_tokenizer *t);
/* Entries of the model's vocabulary alone (transformers' vocab_size). */
size_t ax_tokenizer_model_size(const struct ax_tokenizer *t);
/* One more than the largest id. */
uint32_t ax_tokenizer_id_end(const struct ax_tokenizer *t);
/* The added token with this id, or NULL. */
const struct ax_tok_added *ax_tokenizer_added(const struct ax_tokenizer *t, uint32_t id);
/* All added tokens, ascending by id. */
size_t ax_tokenizer_n_added(const struct ax_tokenizer *t);
const struct ax_tok_added *ax_tokenizer_added_at(const struct ax_tokenizer *t, size_t i);
/* What AX_TOK_SPECIAL puts before and after the text. */
const uint32_t *ax_tokenizer_prefix(const struct ax_tokenizer *t, size_t *n);
const uint32_t *ax_tokenizer_suffix(const struct ax_tokenizer *t, size_t *n);

/* 32 hex digits and a NUL over everything that decides ids: vocabulary, merges, settings, added tokens, affixes. False: out of memory. */
bool ax_tokenizer_fingerprint(const struct ax_tokenizer *t, char out[33]);

#endif
