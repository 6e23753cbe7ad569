/*
 * Matches of regexes for tests/parity/regex_random.py. usage: gen_matches <LINES >LINES
 * A line {"pattern": text, "texts": [text, ...]} is answered by a list, for each text, of [begin, end] of each match in characters, or
 * by {"error": why} for a pattern that is refused; a text whose search fails gets null.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/json.h"
#include "text/regex.h"

static size_t n_char(const char *p, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += ((unsigned char)p[i] & 0xc0) != 0x80;
	return k;
}

static void search(const struct ax_regex *r, struct ax_regex_work *w, const struct ax_val *text, struct ax_buf *b)
{
	struct ax_regex_iter it = {0, 0};
	size_t begin, end, from = b->n, n = 0;
	int rc;

	ax_buf_addc(b, '[');
	while ((rc = ax_regex_find(r, w, text->u.s, text->n, &it, &begin, &end)) > 0)
		ax_buf_addf(b, "%s[%zu, %zu]", n++ ? ", " : "", n_char(text->u.s, begin), n_char(text->u.s, end));
	ax_buf_addc(b, ']');
	if (rc < 0) {
		b->n = from;
		ax_buf_adds(b, "null");
	}
}

static void answer(const struct ax_val *pattern, const struct ax_val *texts, struct ax_buf *b)
{
	struct ax_regex_work *w;
	struct ax_err e = {0};
	struct ax_regex *r;

	ax_buf_reset(b);
	if (ax_regex_new(&r, pattern->u.s, pattern->n, &e)) {
		ax_buf_adds(b, "{\"error\": ");
		ax_json_write_str(b, e.msg, strlen(e.msg), AX_JSON_ASCII);
		ax_buf_adds(b, "}\n");
		return;
	}
	w = ax_regex_work_new(r);
	ax_buf_addc(b, '[');
	for (size_t i = 0; w && i < ax_val_len(texts); i++) {
		if (i)
			ax_buf_addc(b, ',');
		search(r, w, ax_val_at(texts, i), b);
	}
	ax_buf_adds(b, "]\n");
	ax_regex_work_free(w);
	ax_regex_free(r);
}

int main(void)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_arena a;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	ax_arena_init(&a, 0);
	while ((n = getline(&line, &cap, stdin)) > 0) {
		struct ax_err e;
		struct ax_val *v;

		ax_arena_clear(&a);
		if (ax_json_parse(&a, line, (size_t)n, &v, &e))
			return 1;
		answer(ax_val_get(v, "pattern"), ax_val_get(v, "texts"), &b);
		fwrite(b.p, 1, b.n, stdout);
		fflush(stdout);
	}
	ax_buf_release(&b);
	ax_arena_release(&a);
	free(line);
	return 0;
}
