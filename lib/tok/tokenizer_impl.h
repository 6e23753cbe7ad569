/*
 * The inside of struct ax_tokenizer, shared by the files that load it and that encode with it.
 */
#ifndef AX_TOK_TOKENIZER_IMPL_H
#define AX_TOK_TOKENIZER_IMPL_H

#include "tok/cut.h"
#include "tok/decode.h"
#include "tok/model.h"
#include "tok/normalize.h"
#include "tok/pretok.h"
#include "tok/tokenizer.h"
#include "tok/tokenizer_trie.h"

struct ax_tokenizer {
	struct ax_normalizers norm;
	struct ax_pretok pre;
	struct ax_model model;
	struct ax_decoders dec;
	struct ax_tok_added *added; /* ascending by id; contents owned */
	size_t n_added, cap_added;
	struct ax_vocab names;      /* content of an added token -> id */
	struct ax_trie raw, normalized; /* values are places in `added` */
	uint32_t *prefix, *suffix;      /* the post-processor's tokens */
	size_t n_prefix, n_suffix;
	bool spaces; /* pieces write a space as ▁ */
	bool origins; /* ids depend on where in the input a piece begins, behind a step that changes text */
	bool merges_special; /* a special or guarded token is `merged` */
	ax_cut_fn cut; /* the whole pre-tokenizer, of this kind; NULL: none is known */
	enum ax_cut_kind cut_kind;
	enum ax_spaces { /* what normalizer and pre-tokenizer do, where all that they do is to write spaces as ▁ */
		AX_SPACES_NONE,   /* something else */
		AX_SPACES_ALONE,
		AX_SPACES_PREPEND, /* and put one before the text */
		AX_SPACES_META,    /* unless it begins with one */
		AX_SPACES_FIRST    /* ... and only at the start of the input */
	} as_spaces;
	uint64_t parts_hash; /* of normalizer and pre-tokenizer */
};

/*
 * Build from the text of a tokenizer.json and, where not NULL, the value of tokenizer_config.json (and of
 * special_tokens_map.json), whose added_tokens_decoder and named special tokens are added as transformers does.
 * made: it is ax_spm_json's, whose numbers are exact.
 */
int ax_tok_build(struct ax_tokenizer **t, const char *json, size_t n, bool made, const struct ax_val *config,
		 const struct ax_val *map, struct ax_err *e);
/* That second half alone. */
int ax_tok_apply_config(struct ax_tokenizer *t, const struct ax_val *config, const struct ax_val *map, struct ax_err *e);
/* The names of special tokens: bos_token, eos_token, ...; NULL at the end. */
extern const char *const ax_tok_special_names[];
/* A special token's value in a config: a string, or a map with "content"; NULL if it is neither. */
const struct ax_val *ax_tok_special_text(const struct ax_val *v);
/* Add tokens without rebuilding the matchers; ax_tokenizer_add does both. */
int ax_tok_add_quietly(struct ax_tokenizer *t, struct ax_tok_added *tok, size_t n, struct ax_err *e);

/* From the value of "post_processor": fills prefix and suffix. */
int ax_tok_post_load(struct ax_tokenizer *t, const struct ax_val *v, struct ax_err *e);

#endif
