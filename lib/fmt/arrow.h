/*
 * Rows of an Arrow IPC file or stream, each as the text of a JSON object: what `datasets` saves, and Feather 2.
 *
 *	struct ax_arrow *a;
 *	AX_TRY(ax_arrow_open(&a, &file, e));            // in memory; or ax_arrow_stream: from a pipe, compressed
 *	for (;;) {
 *		ax_buf_reset(&b);
 *		AX_GOTO(ax_arrow_next(a, &b, &end, e));
 *		if (end)
 *			break;
 *		use(b.p, b.n);
 *	}
 *   out:
 *	ax_arrow_close(a);
 *
 * Read: all types but intervals, in any nesting, dictionaries with deltas and replacements, run ends, views; buffers
 * compressed with LZ4 or zstd. A file in memory is read in place, so that record batches may be of any size; of a stream a
 * batch, and of both the compressed buffers of a batch, are held in memory (AX_EMEM beyond 1 GiB).
 *
 * A row has all columns in their order, a missing value is null. Maps with text keys become objects, others lists of pairs.
 * Times, decimals: fmt/cell.h. arrow.json columns become the value that they hold; bytes text where they are UTF-8, else
 * null. Nothing in the file is trusted: errors are AX_EDATA and name the file, and a byte of it or the column.
 */
#ifndef AX_FMT_ARROW_H
#define AX_FMT_ARROW_H

#include "fmt/parquet.h"
#include "fmt/zstd_in.h"

struct ax_arrow;

/* The bytes of *file must stay until the end. */
int ax_arrow_open(struct ax_arrow **a, const struct ax_table_file *file, struct ax_err *e);
/* A stream, not a file: z, of which the n bytes at `head` have been read already; it must stay until the end. */
int ax_arrow_stream(struct ax_arrow **a, struct ax_zin *z, const void *head, size_t n, size_t row_max,
		    struct ax_err *e);
/* Before the first row: rows have only those columns that `name` lists (NULL behind the last); others are not decompressed. */
void ax_arrow_select(struct ax_arrow *a, const char *const *name);
/* The next row, appended to b; or *end. After an error only ax_arrow_close may follow. */
int ax_arrow_next(struct ax_arrow *a, struct ax_buf *b, bool *end, struct ax_err *e);
void ax_arrow_close(struct ax_arrow *a);

#endif
