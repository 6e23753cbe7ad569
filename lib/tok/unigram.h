/*
 * The Unigram model of tokenizer.json: of all ways to write a text as pieces the one with the largest sum of scores.
 *
 * As in Hugging Face's encoder: sums in double precision from the left; a way replaces another only if it is strictly
 * better, with starts ascending and then lengths ascending; a character without a piece of its own costs the smallest
 * score - 10; characters that became the unknown token are taken together, looked up as one string, then written as
 * <0xNN> tokens where byte_fallback is set and all exist, else they are one unknown token.
 *
 * Time is linear in the text, times the longest piece; the arrays of a work hold no more than what is between two places
 * that no piece spans. English is about 75 cycles a byte where nothing is known before: a step of the trie for each byte of
 * each start, four or five, and the branch that ends them, which nobody can foretell.
 */
#ifndef AX_TOK_UNIGRAM_H
#define AX_TOK_UNIGRAM_H

#include "tok/bpe.h"
#include "tok/datrie.h"

struct ax_unigram {
	struct ax_vocab vocab; /* of equal pieces the last counts */
	size_t n;              /* entries, equal ones counted each */
	double *score;         /* by id; finite, and beyond 1e290 refused */
	bool has_unk, byte_fallback;
	uint32_t unk;
	double unk_score;
	uint32_t fallback[256]; /* ids of <0xNN> */
	struct ax_datrie trie;
	double *unit_score; /* by unit of the trie; NaN: no piece ends here */
	uint32_t longest;   /* bytes of the longest piece */
};

/* Read the value of "model" at *s. Start from a zeroed struct; release it in any case. */
int ax_unigram_read(struct ax_unigram *m, struct ax_scan *s, struct ax_err *e);
/* The same by hand: add pieces in the order of their ids, set unk and byte_fallback, finish. */
int ax_unigram_add(struct ax_unigram *m, const char *p, size_t n, double score, size_t *cap, struct ax_err *e);
int ax_unigram_finish(struct ax_unigram *m, struct ax_err *e);
void ax_unigram_release(struct ax_unigram *m);

struct ax_unigram_work {
	double *score; /* a ring, by position */
	size_t mask;
	uint64_t *back; /* by position in the window: the piece that ends there */
	size_t cap;
};

int ax_unigram_work_init(struct ax_unigram_work *w, const struct ax_unigram *m, struct ax_err *e);
void ax_unigram_work_release(struct ax_unigram_work *w);

/* As ax_bpe_encode. AX_EDATA: an unknown character, and the model has no unknown token. */
int ax_unigram_encode(const struct ax_unigram *m, struct ax_unigram_work *w, const char *p, size_t n, bool offsets,
		      uint32_t base, struct ax_ids *out, struct ax_err *e);

#endif
