/*
 * The inside of struct ax_tokenizer, shared by the files that load it and that encode with it.
 */
#ifndef AX_TOK_TOKENIZER_IMPL_H
#define AX_TOK_TOKENIZER_IMPL_H

#include "tok/bpe.h"
#include "tok/normalize.h"
#include "tok/pretok.h"
#include "tok/tokenizer.h"
#include "tok/tokenizer_trie.h"

struct ax_tokenizer {
	struct ax_normalizers norm;
	struct ax_pretok pre;
	struct ax_bpe bpe;
	struct ax_tok_added *added; /* ascending by id; contents owned */
	size_t n_added, cap_added;
	struct ax_vocab names;      /* content of an added token -> id */
	struct ax_trie raw, normalized; /* values are ids */
	uint32_t *prefix, *suffix;      /* the post-processor's tokens */
	size_t n_prefix, n_suffix;
	bool spaces; /* pieces write a space as ▁ */
};

/* From the value of "post_processor": fills prefix and suffix. */
int ax_tok_post_load(struct ax_tokenizer *t, const struct ax_val *v, struct ax_err *e);

#endif
