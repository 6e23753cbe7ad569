/* What parses must be written as text that parses to an equal value. */
#include <stdlib.h>

#include "text/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const unsigned flags[] = {0, AX_JSON_ASCII | AX_JSON_SORT, AX_JSON_SPACED, AX_JSON_INDENT4};
	struct ax_arena a;
	struct ax_val *v, *w;
	struct ax_err e;

	ax_arena_init(&a, (size_t)256 << 20);
	if (ax_json_parse(&a, (const char *)p, n, &v, &e) == 0) {
		for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
			struct ax_buf b = AX_BUF_INIT;

			ax_json_write(&b, v, flags[i]);
			if (b.oom || ax_json_parse(&a, b.p, b.n, &w, &e) || !ax_val_equal(v, w))
				abort();
			ax_buf_release(&b);
		}
	}
	ax_arena_release(&a);
	return 0;
}
