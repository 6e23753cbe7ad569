/*
 * Rows of a data file, one at a time, in constant memory: JSON lines, a JSON array of objects, CSV, Parquet, Arrow IPC (stream
 * and file), or plain text with one row a line; each also in gzip or zstd, by content; "-" is stdin.
 *
 *	struct ax_source s;
 *	AX_TRY(ax_source_open(&s, path, AX_SOURCE_AUTO, 0, e));
 *	for (;;) {
 *		AX_GOTO(ax_source_next(&s, &r, &end, e));
 *		if (end)
 *			break;
 *		use(r.p, r.n);                        // valid until the next call
 *	}
 *   out:
 *	ax_source_close(&s);
 *
 * A record is the text of a JSON value, but for plain text. Those of JSON are cut, not parsed: an array element, or a line
 * that holds more than white space. Those of tables are objects, written for each row: fmt/parquet.h, fmt/arrow.h.
 *
 * CSV is read as pandas reads it, but nothing is guessed of the values: the first line names the columns (one without a name
 * is "Unnamed: N", a name's second "NAME.1"), fields are text or, if empty, null; a line that is empty is passed over;
 * quotes, doubled quotes and line ends in quotes, CRLF and CR line ends. A row may have fewer fields than there are columns
 * (null), but not more.
 *
 * Errors name the file, and the line, row or byte where there is one.
 */
#ifndef AX_TOK_SOURCE_H
#define AX_TOK_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/io.h"

#define AX_SOURCE_ROW_MAX ((size_t)64 << 20)

enum ax_source_format {
	AX_SOURCE_AUTO, /* by the name without .gz and .zst: .txt, .csv, .tsv; else by content: Parquet, Arrow or JSON */
	AX_SOURCE_JSON,
	AX_SOURCE_TEXT,
	AX_SOURCE_CSV,
	AX_SOURCE_TSV, /* CSV with tabs */
	AX_SOURCE_PARQUET,
	AX_SOURCE_ARROW,
};

struct ax_record {
	const char *p;
	size_t n;	 /* without the line's end */
	uint64_t line;	 /* 1-based line on which the record begins; of Parquet and Arrow files its number */
	uint64_t number; /* 1-based count of records in this file */
	bool made;	 /* of a table: the text was written for the row, and places in it say nothing of the file */
};

struct ax_zin;
struct ax_csv;
struct ax_parquet;
struct ax_arrow;

struct ax_source {
	struct ax_zin *in;
	const char *name; /* for messages */
	bool text, array, array_done, eof;
	struct ax_csv *csv; /* at most one of these is set */
	struct ax_parquet *parquet;
	struct ax_arrow *arrow;
	struct ax_map map;
	struct ax_buf row;
	char *buf;
	size_t begin, end, cap, row_max;
	uint64_t line, number;
};

/*
 * `row_max`: longest record in bytes, 0 for AX_SOURCE_ROW_MAX; a longer one is AX_EMEM. A Parquet or Arrow file (not
 * stream) that comes through a pipe or is compressed as a whole goes through a temporary file. s is released on failure.
 */
int ax_source_open(struct ax_source *s, const char *path, enum ax_source_format format, size_t row_max,
		   struct ax_err *e);
/* Are the records of this file lines of plain text? */
bool ax_source_is_text(const char *path, enum ax_source_format format);
/*
 * Before the first record: of tables with types (Parquet, Arrow) only the columns that `name` lists (NULL behind the last) are
 * read; other formats give all they have. name == NULL: all.
 */
void ax_source_select(struct ax_source *s, const char *const *name);
/* The next record into *r, or *end = true. AX_EDATA: the file is malformed or cut. */
int ax_source_next(struct ax_source *s, struct ax_record *r, bool *end, struct ax_err *e);
void ax_source_close(struct ax_source *s);

#endif
