/*
 * Finds added tokens in text: of the patterns that match at the leftmost place the longest.
 */
#ifndef AX_TOK_TOKENIZER_TRIE_H
#define AX_TOK_TOKENIZER_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/byteset.h"

struct ax_trie {
	uint64_t *edge;   /* open addressing: (node << 8 | byte) + 1 in the high half, child in the low; 0: free */
	size_t n_edge, n_slot;
	struct ax_trie_node {
		uint32_t value; /* AX_TOK_NONE, or what the pattern that ends here was added with */
		int16_t next;   /* the byte that leads to the node behind this one, -1: none does */
		bool more;	/* other bytes lead elsewhere: these are the edges */
	} *node;
	size_t n_node, cap_node;
	struct ax_byteset first; /* bytes that start a pattern */
	int only;                /* the one byte that starts all patterns, or -1 */
	uint32_t single[256];    /* what patterns of one byte were added with, + 1; 0: there is none */
	uint64_t pair[1024];     /* first two bytes of the others */
};

void ax_trie_release(struct ax_trie *t);
/* An equal pattern that is already there stays. Empty patterns are ignored. */
int ax_trie_add(struct ax_trie *t, const char *p, size_t n, uint32_t value, struct ax_err *e);

/*
 * The next match in p[0..n) that starts at or after *begin: its range and value. `accept` (may be NULL) can refuse a
 * candidate; then a shorter one, or a later one, is taken.
 */
bool ax_trie_find(const struct ax_trie *t, const char *p, size_t n, size_t *begin, size_t *end, uint32_t *value,
		  bool (*accept)(void *ctx, uint32_t value, size_t begin, size_t end), void *ctx);

#endif
