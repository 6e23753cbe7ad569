/*
 * Without libFuzzer a fuzz target replays files: each argument is a file, or a folder of files, given to
 * LLVMFuzzerTestOneInput once whole.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int replay_file(const char *path)
{
	struct ax_buf b = AX_BUF_INIT;
	unsigned char *copy;

	if (ax_read_file(path, (size_t)64 << 20, &b, NULL))
		return 1;
	copy = ax_malloc(b.n); /* exact size: an overrun by one byte is seen by the sanitizer */
	if (!copy)
		return 1;
	if (b.n)
		memcpy(copy, b.p, b.n);
	LLVMFuzzerTestOneInput(copy, b.n);
	ax_free(copy);
	ax_buf_release(&b);
	return 0;
}

int main(int argc, char **argv)
{
	int bad = 0;

	for (int i = 1; i < argc; i++) {
		struct dirent *de;
		DIR *d = opendir(argv[i]);

		if (!d) {
			bad |= replay_file(argv[i]);
			continue;
		}
		while ((de = readdir(d)))
			if (de->d_name[0] != '.') {
				char *p = ax_path_join(argv[i], de->d_name);
				bad |= p ? replay_file(p) : 1;
				ax_free(p);
			}
		closedir(d);
	}
	return bad;
}
