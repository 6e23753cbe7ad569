/*
 * Which rows were dropped or cut, and why, in bounded memory: what a tool keeps for the trailer's provenance
 * (fmt/provenance.h), beside the totals, which count all.
 *
 *	struct ax_drops d = {0};
 *	ax_drops_add(&d, source, split, "too_long", false, number);
 *	v = ax_drops_val(a, &d);       // [{source, split, reason, dropped | truncated, rows: [numbers]}], by source
 *	ax_drops_release(&d);
 */
#ifndef AX_FMT_DROPS_H
#define AX_FMT_DROPS_H

#include "base/mem.h"
#include "text/val.h"

#define AX_DROPS     4096 /* kinds of drops that are kept; further ones are left out */
#define AX_DROP_ROWS 50	  /* rows of each that are named */

/* Rows of one source and split that were dropped, or cut, for one reason. */
struct ax_drop {
	uint32_t source;
	int split;
	bool cut;
	const char *reason;
	uint64_t n, row[AX_DROP_ROWS]; /* numbers in the source, from 1: the first that were met */
};

struct ax_drops {
	struct ax_drop *drop; /* ascending by source, split, cut, reason */
	size_t n, cap;
};

/* Count one row; `reason` must stay valid. Where there is no memory the row is left out. */
void ax_drops_add(struct ax_drops *d, uint32_t source, int split, const char *reason, bool cut, uint64_t number);
/* As a list; {entries, xxh3} where its JSON is longer than AX_INPUT_JSON. NULL: no memory. */
struct ax_val *ax_drops_val(struct ax_arena *a, const struct ax_drops *d);
void ax_drops_release(struct ax_drops *d);

#endif
