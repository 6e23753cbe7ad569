/* What parses must be written as YAML that parses to an equal value. */
#include <stdlib.h>

#include "text/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_arena a;
	struct ax_val *v, *w;
	struct ax_err e;

	ax_arena_init(&a, (size_t)256 << 20);
	if (ax_yaml_parse(&a, (const char *)p, n, &v, &e) == 0) {
		ax_yaml_write(&b, v);
		/* Lists of lists take more columns than the input's flow style; a limit may refuse the longer text. */
		if (!b.oom && b.n < AX_YAML_BYTES && (ax_yaml_parse(&a, b.p, b.n, &w, &e) || !ax_val_equal(v, w)))
			abort();
	}
	ax_buf_release(&b);
	ax_arena_release(&a);
	return 0;
}
