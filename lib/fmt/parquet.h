/*
 * Rows of a Parquet file that lies in memory, each as the text of a JSON object.
 *
 *	struct ax_parquet *q;
 *	AX_TRY(ax_parquet_open(&q, &file, e));
 *	for (;;) {
 *		ax_buf_reset(&b);
 *		AX_GOTO(ax_parquet_next(q, &b, &end, e));
 *		if (end)
 *			break;
 *		use(b.p, b.n);
 *	}
 *   out:
 *	ax_parquet_close(q);
 *
 * Read: data pages 1 and 2; plain, dictionary, RLE, delta and byte stream split encodings; Snappy, gzip, zstd and LZ4_RAW
 * pages, their checksums where there are any; nested columns of any shape that the format's rules for lists and maps allow,
 * the old two-level ones too. Memory holds a page and a dictionary of each column and 512 of its values, however large the
 * row groups are.
 *
 * A row has all columns in their order, a missing value is null. Maps with text keys become objects, others lists of pairs.
 * Times, decimals: fmt/cell.h. JSON columns become the value that they hold; bytes text where they are UTF-8, else null.
 * Nothing in the file is trusted: errors are AX_EDATA and name the file, a byte of it, and the column.
 */
#ifndef AX_FMT_PARQUET_H
#define AX_FMT_PARQUET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct ax_parquet;

struct ax_table_file {
	const char *name; /* for messages */
	const unsigned char *p;
	size_t n;
	bool mapped;	/* of ax_map_open: what has been read need not stay in the process (ax_map_done) */
	size_t row_max; /* a longer row is AX_EMEM */
};

/* The bytes of *file must stay until the end. */
int ax_parquet_open(struct ax_parquet **q, const struct ax_table_file *file, struct ax_err *e);
/*
 * Before the first row: rows have only those columns, of any type and all below them, that `name` lists (NULL behind the last);
 * pages of the others are not looked at.
 */
void ax_parquet_select(struct ax_parquet *q, const char *const *name);
/* The next row, appended to b; or *end. After an error only ax_parquet_close may follow. */
int ax_parquet_next(struct ax_parquet *q, struct ax_buf *b, bool *end, struct ax_err *e);
void ax_parquet_close(struct ax_parquet *q);

#endif
