/*
 * Which rows are for evaluation, which are kept, and in what order they leave: decisions that are pure functions of
 * (seed, source, row number), so that neither threads nor the order of work change them.
 *
 * Fraction:	ax_split_unit(hash) < f                                   decided at once
 * Count:	the n smallest hashes, known at the end only: struct ax_hold keeps the best n so far and gives back what
 *		falls out
 *
 *	struct ax_hold h;
 *	ax_hold_init(&h, n);
 *	for each input row with its token rows:
 *		AX_TRY(ax_hold_push(&h, hash, source, number, &rows, &out, e));
 *		... what is in `out` is for training ...
 *	while (ax_hold_pop(&h, &out, &any, e) == 0 && any)
 *		... what is in `out` is for evaluation ...
 *	ax_hold_release(&h);
 */
#ifndef AX_TOK_SPLIT_H
#define AX_TOK_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "fmt/block.h"
#include "fmt/spool.h"

/* Uses of one seed that must not agree. */
enum ax_split_use { AX_SPLIT_EVAL_SET = 1, AX_SPLIT_WEIGHT = 2 };

uint64_t ax_split_hash(uint64_t seed, enum ax_split_use use, uint32_t source, uint64_t number);
/* A hash as a number in [0, 1). */
double ax_split_unit(uint64_t hash);

/*
 * datasets' split, as Hugging Face reads it: "NAME[FROM:TO]", several joined by '+'. NAME alone takes all; borders are
 * row indices, or percentages if one of them is; negative ones count from the end. "(pct1_dropremainder)" behind
 * percentages makes every percent the same number of rows. needs_total: the number of rows must be known to resolve it.
 */
struct ax_slice {
	char name[64];
	bool has_from, has_to, percent, whole, needs_total;
	int64_t from, to;
};

/* The part at *text, which moves behind the '+', or becomes NULL at the end. AX_EUSAGE when malformed. */
int ax_slice_parse(struct ax_slice *s, const char **text, struct ax_err *e);
/*
 * Rows [*begin, *end) of `total` (UINT64_MAX: unknown, only without needs_total). Percentages round to the closest, halves
 * to the even one. AX_EUSAGE: pct1_dropremainder of fewer than 100 rows.
 */
int ax_slice_resolve(const struct ax_slice *s, uint64_t total, uint64_t *begin, uint64_t *end, struct ax_err *e);

/* A row as bytes: for spools and buffers. */
void ax_row_put(struct ax_buf *b, const struct ax_row *r);
/* The row at *p, which must hold what ax_row_put wrote at a multiple of 8 bytes; moves *p behind it. */
void ax_row_take(const unsigned char **p, struct ax_row *r);

/* --- the n smallest --- */

struct ax_held {
	uint64_t hash, number;
	uint32_t source;
	uint64_t off; /* in the spool */
	size_t bytes;
};

struct ax_hold {
	struct ax_held *heap; /* largest hash first */
	size_t n, cap, limit;
	struct ax_spool spool;
	struct ax_buf in;
	bool sorted;
	size_t next;
};

void ax_hold_init(struct ax_hold *h, size_t limit);
/*
 * Offer the rows (as ax_row_put bytes) of one input row. If others must be emitted now - what fell out, or the offered
 * rows themselves - their bytes are in *out (emptied first). Rows of equal hash: the later one falls out.
 */
int ax_hold_push(struct ax_hold *h, uint64_t hash, uint32_t source, uint64_t number, const struct ax_buf *rows,
		 struct ax_buf *out, struct ax_err *e);
/* The next held input row's bytes in input order; *any = false at the end. */
int ax_hold_pop(struct ax_hold *h, struct ax_buf *out, bool *any, struct ax_err *e);
void ax_hold_release(struct ax_hold *h);

/* --- exact duplicates --- */

/* A set of 128-bit hashes: 16 bytes a row at a load of at most three quarters. */
struct ax_seen {
	uint64_t *slot; /* pairs; 0, 0 is empty */
	size_t n, cap;
};

/* Add; *fresh = false if it was there. */
int ax_seen_add(struct ax_seen *s, const struct ax_row *r, bool *fresh, struct ax_err *e);
void ax_seen_release(struct ax_seen *s);

/* --- seeded shuffle in a bounded buffer --- */

struct ax_shuffle {
	unsigned char **slot;
	size_t n, cap, bytes, max_bytes;
	uint64_t seed, step;
};

/* cap rows and max_bytes bytes at most are held back. */
int ax_shuffle_init(struct ax_shuffle *s, uint64_t seed, size_t cap, size_t max_bytes, struct ax_err *e);
/* Put a row in; *out is a row to emit now (ax_shuffle_free) or NULL. Call with r == NULL until it is NULL to drain. */
int ax_shuffle_step(struct ax_shuffle *s, const struct ax_row *r, unsigned char **out, struct ax_err *e);
/* The row in a block from ax_shuffle_step. */
void ax_shuffle_row(const unsigned char *block, struct ax_row *r);
void ax_shuffle_free(unsigned char *block);
void ax_shuffle_release(struct ax_shuffle *s);

#endif
