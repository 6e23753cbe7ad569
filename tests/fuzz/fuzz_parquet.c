/* Input: a Parquet file. */
#include "tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ax_table_file file = {.name = "data", .p = p, .n = n, .row_max = ROW_MAX};
	struct ax_buf b = AX_BUF_INIT;
	struct ax_parquet *q;
	size_t n_row = 0, n_out = 0;
	bool end = false;

	if (ax_parquet_open(&q, &file, NULL))
		return 0;
	while (!ax_parquet_next(q, &b, &end, NULL) && !end && row_is_good(&b, &n_row, &n_out))
		;
	ax_parquet_close(q);
	ax_buf_release(&b);
	return 0;
}
