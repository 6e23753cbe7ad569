/* A pattern, a NUL, and a text to search: compiled or refused, and every match inside the text. */
#include <stdlib.h>
#include <string.h>

#include "text/regex.h"
#include "text/unicode.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const uint8_t *nul = n ? memchr(p, 0, n) : NULL;
	size_t n_pattern = nul ? (size_t)(nul - p) : n, n_text = nul ? n - n_pattern - 1 : 0, begin, end, count = 0;
	const char *text = nul ? (const char *)nul + 1 : "";
	struct ax_regex_iter it = { 0, 0 };
	struct ax_regex_work *w;
	struct ax_regex *r;

	if (ax_utf8_check(text, n_text) != n_text || ax_regex_new(&r, (const char *)p, n_pattern, NULL))
		return 0;
	w = ax_regex_work_new(r);
	while (w && ax_regex_find(r, w, text, n_text, &it, &begin, &end) > 0)
		if (begin > end || end > n_text || ++count > n_text + 1)
			abort();
	ax_regex_work_free(w);
	ax_regex_free(r);
	return 0;
}
