/*
 * What one thread's encoding changes: the arrays of one word (bpe.c), and the cache of pieces (bpe_cache.c).
 */
#ifndef AX_TOK_BPE_WORK_H
#define AX_TOK_BPE_WORK_H

#include "tok/bpe.h"

struct heap_item;

/* The symbols of one word: id, where it begins and ends in the word; links for the heap. */
struct ax_words {
	uint32_t *id, *begin, *end, *next, *prev;
	size_t n, cap;
	struct heap_item *heap;
	size_t n_heap, cap_heap;
	struct ax_buf spelled;
};

void ax_words_release(struct ax_words *w);

/* Encode p[0..n) into w's arrays. */
int ax_bpe_word(const struct ax_bpe *m, struct ax_words *w, const char *p, size_t n, struct ax_err *e);

#endif
