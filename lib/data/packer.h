/*
 * Bin packing of rows into packs: best-fit decreasing inside a window of rows.
 *
 * The plan works on lengths alone and costs O(1) a row: a counting sort by length, then for each row the fullest bin
 * that still holds it, found in a bitmap of remaining capacities. Same lengths, capacity and window: same plan.
 *
 *	struct ax_plan p;
 *	ax_plan_init(&p);
 *	AX_TRY(ax_plan_run(&p, len, n, capacity, e));     // p.n_bin bins; bin b holds rows p.order[p.begin[b] .. begin[b + 1])
 *	ax_plan_release(&p);
 *
 * struct ax_packer is the whole thing for a stream of rows: it collects a window a split, spools tokens beyond 64 MiB to
 * an unlinked temporary file, and hands out packs. Rows of the emptiest bins of a window are carried into the next one,
 * so a window border costs nearly nothing.
 */
#ifndef AX_DATA_PACKER_H
#define AX_DATA_PACKER_H

#include "base/err.h"
#include "fmt/drops.h"
#include "fmt/stream.h"

#define AX_PACK_WINDOW 65536

struct ax_plan {
	uint32_t *order, *begin, *item; /* rows by bin; first of each bin; rows by length */
	uint32_t *bin_of, *next, *head, *free; /* bin of item k; bins of equal capacity; their lists; capacity left of a bin */
	uint32_t *count;
	uint64_t *bit[4]; /* bitmap of non-empty lists and its summaries */
	size_t cap_row, cap_bin, cap_len;
	uint32_t n_bin, n_row, capacity;
};

void ax_plan_init(struct ax_plan *p);
void ax_plan_release(struct ax_plan *p);
/* 1 <= len[i] <= capacity; n < 2^32 - 1. Every row is in exactly one bin. */
int ax_plan_run(struct ax_plan *p, const uint32_t *len, size_t n, uint32_t capacity, struct ax_err *e);

/*
 * After a run: bins with at least this much room are better not emitted but packed again with the next window. They are
 * the emptiest, hold at most an eighth of the rows, and none is nearly full. (Overwrites p->count.)
 */
uint32_t ax_plan_carry(struct ax_plan *p);

/*
 * Martello and Toth's lower bound L2 on the bins that any packing needs, from a histogram: count[l] rows of length l,
 * 0 <= l <= capacity. O(capacity).
 */
uint64_t ax_pack_bound(const uint64_t *count, uint32_t capacity);

/* Planning alone, for a list of lengths: what struct ax_packer does, without tokens. */
struct ax_lengths_stats {
	uint64_t tokens, packs, bound;
};

/*
 * Plan n lengths window by window (0: all at once), with the carrying over of struct ax_packer. on_bin, unless NULL, gets
 * the rows (indices into len) of each pack. Memory beside the input: 40 bytes a row of the window, 24 a token of capacity.
 */
int ax_pack_lengths(const uint32_t *len, uint64_t n, uint32_t capacity, uint32_t window,
		    int (*on_bin)(void *ctx, const uint64_t *row, uint32_t n_row, struct ax_err *e), void *ctx,
		    struct ax_lengths_stats *s, struct ax_err *e);

enum ax_overflow { AX_OVERFLOW_ERROR, AX_OVERFLOW_DROP, AX_OVERFLOW_TRUNCATE, AX_OVERFLOW_SPLIT };

struct ax_packer_opt {
	uint32_t capacity;        /* sequence_len, 1 .. AX_ROW_MAX */
	uint32_t window;          /* rows; 0: all */
	enum ax_overflow overflow;
	bool single[AX_N_SPLIT];  /* one row a pack: sample packing is off for this split */
	size_t ram;               /* bytes of tokens kept in memory; 0: 64 MiB */
};

/* Takes one finished pack: rows of one split, valid during the call. */
typedef int ax_packer_emit(void *ctx, const struct ax_row *row, uint32_t n_row, struct ax_err *e);

struct ax_packer_stats {
	uint64_t rows, packs, tokens;
	uint64_t bound; /* lower bound on the packs, filled by ax_packer_finish */
};

struct ax_packer;

int ax_packer_new(struct ax_packer **p, const struct ax_packer_opt *o, ax_packer_emit *emit, void *ctx,
		  struct ax_err *e);
/* Add a row; may emit packs. Overflow is handled and counted here (reason "too_long" in ax_packer_drops). */
int ax_packer_add(struct ax_packer *p, const struct ax_row *r, struct ax_err *e);
/* Emit all that is left: train, then eval. */
int ax_packer_finish(struct ax_packer *p, struct ax_err *e);
const struct ax_packer_stats *ax_packer_stats(const struct ax_packer *p, int split);
/* Rows dropped and truncated, and `sum`: the order-free checksum of all rows that went into packing. */
const struct ax_totals *ax_packer_drops(const struct ax_packer *p);
/* Some of the rows that it counts, by number. */
const struct ax_drops *ax_packer_named(const struct ax_packer *p);
void ax_packer_free(struct ax_packer *p);

#endif
