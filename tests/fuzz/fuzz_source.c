/* Input: a data file. Whatever it holds, reading ends, and records lie within the limit on rows. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tok/source.h"

#define ROW_MAX 300000

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	int fd = memfd_create("data", 0);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		return 0;
	for (int format = AX_SOURCE_JSON; format <= AX_SOURCE_TEXT; format++) {
		struct ax_source s;
		struct ax_record r;
		bool end = false;
		uint64_t last = 0;

		if (ax_source_open(&s, path, (enum ax_source_format)format, ROW_MAX, NULL))
			continue;
		while (!ax_source_next(&s, &r, &end, NULL) && !end) {
			if (r.n > 2 * ROW_MAX || r.number != last + 1 || (n && r.n && r.p[r.n - 1] == '\n'))
				abort();
			last = r.number;
		}
		ax_source_close(&s);
	}
	close(fd);
	return 0;
}
