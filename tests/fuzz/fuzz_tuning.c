/* A tuning table: refused, or read, written and read again to the same. */
#include <stdlib.h>
#include <string.h>

#include "tensor/tuning.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ax_tuning t, again;
	struct ax_buf b = AX_BUF_INIT;

	memset(&t, 0, sizeof(t));
	memset(&again, 0, sizeof(again));
	if (!ax_tuning_read(&t, (const char *)p, n, NULL)) {
		ax_tuning_write(&t, &b);
		if (b.oom || ax_tuning_read(&again, b.p, b.n, NULL) || again.n != t.n || strcmp(again.machine, t.machine) != 0)
			abort();
		for (size_t i = 0; i < t.n; i++)
			if (memcmp(&t.row[i].key, &again.row[i].key, sizeof(t.row[i].key)) || memcmp(t.row[i].algo, again.row[i].algo, sizeof(t.row[i].algo)))
				abort();
	}
	ax_buf_release(&b);
	ax_tuning_release(&t);
	ax_tuning_release(&again);
	return 0;
}
