/* Token streams and streams of packs: as given, then with the frames' checksums made right. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "fmt/pack.h"
#include "fmt_fix.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void read_stream(const unsigned char *p, size_t n)
{
	struct ax_pack_reader pr;
	struct ax_tail t;
	struct ax_place before;
	struct ax_arena a;
	struct ax_in in;
	struct ax_stream s;
	struct ax_pack pack;
	struct ax_row r;
	enum ax_file kind;
	char path[64];
	bool end = false;
	int fd = memfd_create("fuzz", 0);

	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ax_sniff(path, &kind, NULL);
	if (!ax_in_open(&in, path, NULL)) {
		ax_arena_init(&a, (size_t)64 << 20);
		ax_stream_tail(&in, &a, &t, NULL);
		ax_arena_release(&a);
		ax_in_close(&in);
	}
	for (uint64_t k = 1; k < 4; k++) {
		if (ax_stream_open(&s, path, NULL))
			break;
		if (ax_stream_seek(&s, s.packs && k & 1, k, &before) && before.rows < UINT32_MAX)
			while (!ax_stream_next(&s, &r, &end, NULL) && !end)
				;
		ax_stream_close(&s);
	}
	end = false;
	if (!ax_stream_open(&s, path, NULL)) {
		while (!ax_stream_next(&s, &r, &end, NULL) && !end)
			if (ax_row_check(&r, s.id_bits, NULL))
				__builtin_trap(); /* a reader gives only what a writer takes */
		ax_stream_close(&s);
	}
	end = false;
	if (!ax_pack_reader_open(&pr, path, NULL)) {
		while (!ax_pack_reader_next(&pr, &pack, &end, NULL) && !end)
			if (pack.n > pr.sequence_len || !pack.n_doc)
				__builtin_trap();
		ax_pack_reader_close(&pr);
	}
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	unsigned char *copy;

	read_stream(p, n);
	copy = ax_malloc(n);
	if (!copy)
		return 0;
	memcpy(copy, p, n);
	fix_frames(copy, n);
	read_stream(copy, n);
	ax_free(copy);
	return 0;
}
