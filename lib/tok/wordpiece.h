/*
 * The WordPiece and WordLevel models of tokenizer.json.
 *
 * WordPiece writes a word as the longest piece at its start, then the longest continuing piece (with the prefix "##")
 * again and again; a word that does not end so, or has more than max_chars characters, is one unknown token. WordLevel
 * looks the whole word up.
 */
#ifndef AX_TOK_WORDPIECE_H
#define AX_TOK_WORDPIECE_H

#include "tok/bpe.h"
#include "tok/datrie.h"

struct ax_wordpiece {
	struct ax_vocab vocab;
	bool whole; /* WordLevel */
	char *unk_token;
	size_t unk_token_n;
	uint32_t unk; /* AX_TOK_NONE: not in the vocabulary */
	char *prefix; /* of continuing pieces */
	size_t prefix_n, max_chars;
	struct ax_datrie trie; /* empty for WordLevel */
	uint32_t inside;       /* the unit that the prefix leads to; AX_DATRIE_NONE: there are no continuing pieces */
};

/* Read the value of "model" at *s; m->whole says which model. Start from a zeroed struct; release it in any case. */
int ax_wordpiece_read(struct ax_wordpiece *m, struct ax_scan *s, struct ax_err *e);
void ax_wordpiece_release(struct ax_wordpiece *m);

/* As ax_bpe_encode. AX_EDATA: an unknown word, and the unknown token is not in the vocabulary. */
int ax_wordpiece_encode(const struct ax_wordpiece *m, const char *p, size_t n, bool offsets, uint32_t base,
			struct ax_ids *out, struct ax_err *e);

#endif
