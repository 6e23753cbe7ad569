/*
 * Rows at rest: the tokens of a window, in memory up to a budget shared by several stores, beyond it in a spool.
 *
 *	ax_store_init(&s, &budget);                  // budget: bytes that may still be taken
 *	ax_store_add(&s, &row, &ref, e);
 *	ax_store_get(&s, ref, n, &row, scratch, e);  // arrays in the store or in scratch
 *	ax_store_reset(&s, e);                       // empty; gives its memory back to the budget
 *	ax_store_release(&s);
 */
#ifndef AX_DATA_STORE_H
#define AX_DATA_STORE_H

#include "fmt/block.h"
#include "fmt/spool.h"

struct ax_store {
	size_t *budget, taken;
	unsigned char **chunk; /* of AX_STORE_CHUNK bytes, but for larger rows */
	size_t n_chunk, cap_chunk, used, size; /* of the last chunk */
	struct ax_spool spool;
};

#define AX_STORE_CHUNK ((size_t)1 << 20)

void ax_store_init(struct ax_store *s, size_t *budget);
/* *ref names the row until the next reset. */
int ax_store_add(struct ax_store *s, const struct ax_row *r, uint64_t *ref, struct ax_err *e);
/* Most bytes that a row of n tokens takes. */
size_t ax_store_bytes(uint32_t n);
/*
 * The row of n tokens behind ref. One that lies in the spool is appended to scratch, in which the caller has reserved
 * ax_store_bytes() for each row that it holds at a time: the arrays must not move.
 */
int ax_store_get(struct ax_store *s, uint64_t ref, uint32_t n, struct ax_row *r, struct ax_buf *scratch,
		 struct ax_err *e);
int ax_store_reset(struct ax_store *s, struct ax_err *e);
void ax_store_release(struct ax_store *s);

#endif
