/* For fuzz targets of tables: every row is the text of a JSON object, but for text that is no UTF-8 and deep nesting. */
#ifndef AX_TEST_TABLES_H
#define AX_TEST_TABLES_H

#include <stdlib.h>
#include <string.h>

#include "fmt/parquet.h"
#include "text/json.h"
#include "text/unicode.h"

#define ROW_MAX	 100000
#define ROWS	 300
#define OUT_MAX	 ((size_t)1 << 20)

/* A row was appended to b: checks it, and forgets it. False: enough rows of this input. */
static inline bool row_is_good(struct ax_buf *b, size_t *n_row, size_t *n_out)
{
	struct ax_arena a;
	struct ax_val *v;
	struct ax_err e = {0};
	int rc;

	ax_arena_init(&a, 0);
	rc = ax_json_parse(&a, b->p, b->n, &v, &e);
	if (rc ? ax_utf8_check(b->p, b->n) == b->n && !strstr(e.msg, "deep") : v->type != AX_MAP)
		abort();
	ax_arena_release(&a);
	*n_out += b->n;
	ax_buf_reset(b);
	return ++*n_row < ROWS && *n_out < OUT_MAX;
}

#endif
