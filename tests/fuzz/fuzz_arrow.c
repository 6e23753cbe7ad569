/* Input: an Arrow file or stream. Read in place and as a stream, it gives the same rows, or both fail. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hash.h"
#include "fmt/arrow.h"
#include "tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct result {
	uint64_t hash;
	size_t n_row;
	int rc;
};

static struct result read_all(struct ax_arrow *a)
{
	struct result r = {0};
	struct ax_buf b = AX_BUF_INIT;
	size_t n_out = 0;
	bool end = false;

	while (!(r.rc = ax_arrow_next(a, &b, &end, NULL)) && !end) {
		r.hash = ax_hash64_seed(b.p, b.n, r.hash);
		if (!row_is_good(&b, &r.n_row, &n_out))
			break;
	}
	ax_arrow_close(a);
	ax_buf_release(&b);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ax_table_file file = {.name = "data", .p = p, .n = n, .row_max = ROW_MAX};
	struct result in_place = {.rc = -1}, stream = {.rc = -1};
	int fd = memfd_create("data", 0);
	struct ax_zin *z = NULL;
	struct ax_arrow *a;
	char path[64];

	if (!ax_arrow_open(&a, &file, NULL))
		in_place = read_all(a);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd >= 0 && write(fd, p, n) == (ssize_t)n && !ax_zin_open(&z, path, NULL)) {
		if (ax_zin_plain(z)) {
			/* what a stream cannot know is that a file has lost its end */
			bool is_file = n >= 6 && !memcmp(p, "ARROW1", 6);
			char head[8];
			size_t got = 0;

			if (!ax_zin_read(z, head, sizeof(head), &got, NULL) &&
			    !ax_arrow_stream(&a, z, head, got, ROW_MAX, NULL))
				stream = read_all(a);
			if (!is_file && ((!in_place.rc) != (!stream.rc) || in_place.n_row != stream.n_row ||
					 in_place.hash != stream.hash))
				abort();
		}
		ax_zin_close(z);
	}
	close(fd);
	return 0;
}
