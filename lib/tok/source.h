/*
 * Rows of a data file, one at a time, in constant memory: JSON lines, a JSON array of objects, or plain text with one
 * row a line; gzip and zstd by content; "-" is stdin.
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
 * Records are cut, not parsed: of JSON an array element, or a line that holds more than white space. Errors name the
 * file, and the line where there is one.
 */
#ifndef AX_TOK_SOURCE_H
#define AX_TOK_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define AX_SOURCE_ROW_MAX ((size_t)64 << 20)

enum ax_source_format {
	AX_SOURCE_AUTO, /* text if the name, without .gz and .zst, ends in .txt; else JSON */
	AX_SOURCE_JSON,
	AX_SOURCE_TEXT,
};

struct ax_record {
	const char *p;
	size_t n;	 /* without the line's end */
	uint64_t line;	 /* 1-based line on which the record begins */
	uint64_t number; /* 1-based count of records in this file */
};

struct ax_zin;

struct ax_source {
	struct ax_zin *in;
	const char *name; /* for messages */
	bool text, array, array_done, eof;
	char *buf;
	size_t begin, end, cap, row_max;
	uint64_t line, number;
};

/*
 * `row_max`: longest record in bytes, 0 for AX_SOURCE_ROW_MAX; a longer one is AX_EMEM. Formats that are not read
 * (Parquet, Arrow) are refused by their magic with AX_EDATA. s is released on failure.
 */
int ax_source_open(struct ax_source *s, const char *path, enum ax_source_format format, size_t row_max,
		   struct ax_err *e);
/* The next record into *r, or *end = true. AX_EDATA: the array is malformed or cut. */
int ax_source_next(struct ax_source *s, struct ax_record *r, bool *end, struct ax_err *e);
void ax_source_close(struct ax_source *s);

#endif
