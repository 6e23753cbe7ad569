/* Input: a CSV file, read with commas and with tabs. Records are JSON objects of one shape, in the order of lines. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tables.h"
#include "tok/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void read_all(const char *path, enum ax_source_format format)
{
	struct ax_source s;
	struct ax_record r;
	struct ax_buf b = AX_BUF_INIT;
	size_t n_row = 0, n_out = 0;
	uint64_t line = 0;
	bool end = false;

	if (ax_source_open(&s, path, format, 300000, NULL))
		return;
	while (!ax_source_next(&s, &r, &end, NULL) && !end) {
		if (r.line <= line)
			abort();
		line = r.line;
		ax_buf_add(&b, r.p, r.n);
		if (!row_is_good(&b, &n_row, &n_out))
			break;
	}
	ax_source_close(&s);
	ax_buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	int fd = memfd_create("data", 0);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd >= 0 && write(fd, p, n) == (ssize_t)n) {
		read_all(path, AX_SOURCE_CSV);
		read_all(path, AX_SOURCE_TSV);
	}
	close(fd);
	return 0;
}
