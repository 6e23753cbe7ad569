/*
 * Sums over rows in bounded memory, whatever the rows: by split, by source, and how many rows there are of each length.
 *
 *	struct sums s;
 *	AX_TRY(sums_init(&s, e));
 *	AX_TRY(sums_row(&s, &row, e));           // each row
 *	... s.split[k], s.source[i], sums_quantile(&s, 0.5) ...
 *	sums_release(&s);
 */
#ifndef AX_TOOL_VIEW_SUMS_H
#define AX_TOOL_VIEW_SUMS_H

#include "fmt/stream.h"

#define SUMS_SOURCES 65536 /* more are summed up in one, which is called SUMS_OTHERS */
#define SUMS_OTHERS  UINT32_MAX
#define SUMS_BINS    20

struct sum {
	uint64_t rows, tokens, trained;
};

struct sums_source {
	uint32_t source;
	struct sum split[AX_N_SPLIT];
};

struct sums {
	struct sum split[AX_N_SPLIT];
	struct sums_source *source; /* ascending */
	size_t n_source, cap_source, at;
	uint64_t *length; /* rows of each length, AX_ROW_MAX + 1 */
	uint32_t shortest, longest;
};

/* Lengths `from` to `to`. */
struct sums_bin {
	uint32_t from, to;
	uint64_t rows;
};

int sums_init(struct sums *s, struct ax_err *e);
void sums_release(struct sums *s);
int sums_row(struct sums *s, const struct ax_row *r, struct ax_err *e);
/* The shortest length that at least the share q of all rows does not exceed; 0 without rows. */
uint32_t sums_quantile(const struct sums *s, double q);
/*
 * Bins of one width, a power of two, so that SUMS_BINS of them reach the length that 99 % of the rows do not exceed; one
 * more takes those beyond. Empty ones at both ends are left out. Returns how many.
 */
size_t sums_bins(const struct sums *s, struct sums_bin bin[SUMS_BINS + 1]);

#endif
