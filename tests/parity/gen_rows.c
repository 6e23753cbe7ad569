/* gen_rows FILE...: every record of each file on a line, an error as "!MESSAGE", and "." behind the last. For tables.py. */
#include <stdio.h>
#include <string.h>

#include "tok/source.h"

static void put(const char *path)
{
	struct ax_source s;
	struct ax_record r;
	struct ax_err e = {0};
	bool end = false;
	int rc = ax_source_open(&s, path, AX_SOURCE_AUTO, 0, &e);

	if (!rc) {
		while (!(rc = ax_source_next(&s, &r, &end, &e)) && !end) {
			fwrite(r.p, 1, r.n, stdout);
			putchar('\n');
		}
		ax_source_close(&s);
	}
	if (rc)
		printf("!%s\n", e.msg);
	puts(".");
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		put(argv[i]);
	return 0;
}
