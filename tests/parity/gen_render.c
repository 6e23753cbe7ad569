/*
 * Renders for tests/parity/conversations.py and jinja_random.py. usage: gen_render NOW <LINES >LINES
 * A line {"template": text} is compiled; a line {"context": {...}} is rendered with the last one and answered by a line:
 * {"text": ..., "generation": [[begin, end], ...]} with ranges of characters, or {"error": ...}. Spans of the text must tile it, and
 * exact ones hold their origin's bytes: otherwise the answer is an error that begins with "spans".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja.h"
#include "text/json.h"

#include "spans.h"

static size_t n_char(const char *p, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += ((unsigned char)p[i] & 0xc0) != 0x80;
	return k;
}

/* Neighbouring generated spans are one range. */
static void put_ranges(struct ax_buf *b, const struct ax_rope *r)
{
	size_t at = 0, n = 0;

	for (size_t i = 0; i < r->n_span; i++) {
		size_t len = n_char(r->b.p + r->span[i].begin, r->span[i].end - r->span[i].begin);
		bool gen = r->span[i].flags & AX_SPAN_GENERATION, was = i && r->span[i - 1].flags & AX_SPAN_GENERATION;

		if (gen && !was)
			ax_buf_addf(b, "%s[%zu, ", n++ ? ", " : "", at);
		if (!gen && was)
			ax_buf_addf(b, "%zu]", at);
		at += len;
	}
	if (r->n_span && r->span[r->n_span - 1].flags & AX_SPAN_GENERATION)
		ax_buf_addf(b, "%zu]", at);
}

static void answer(struct ax_buf *b, const struct ax_rope *r, int rc, const struct ax_err *e)
{
	ax_buf_reset(b);
	if (!rc && !spans_hold(r)) {
		ax_buf_adds(b, "{\"error\": \"spans are wrong\"}");
	} else if (rc) {
		ax_buf_adds(b, "{\"error\": ");
		ax_json_write_str(b, e->msg, strlen(e->msg), AX_JSON_ASCII);
		ax_buf_adds(b, "}");
	} else {
		ax_buf_adds(b, "{\"text\": ");
		ax_json_write_str(b, r->b.p ? r->b.p : "", r->b.n, AX_JSON_ASCII);
		ax_buf_adds(b, ", \"generation\": [");
		put_ranges(b, r);
		ax_buf_adds(b, "]}");
	}
	ax_buf_addc(b, '\n');
}

int main(int argc, char **argv)
{
	struct ax_err e = {0}, broken = {0};
	struct ax_jinja *t = NULL;
	struct ax_buf b = AX_BUF_INIT;
	struct ax_arena a;
	struct ax_rope r;
	struct tm now;
	struct ax_jinja_opt opt = {.now = &now};
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (argc != 2 || ax_jinja_now(&now, argv[1], &e))
		return 2;
	ax_arena_init(&a, 0);
	ax_rope_init(&r);
	while ((n = getline(&line, &cap, stdin)) > 0) {
		const struct ax_val *text, *context;
		struct ax_val *v;
		int rc;

		ax_arena_clear(&a);
		memset(&e, 0, sizeof(e));
		rc = ax_json_parse(&a, line, (size_t)n, &v, &e);
		text = rc ? NULL : ax_val_get(v, "template");
		context = rc ? NULL : ax_val_get(v, "context");
		if (text) {
			ax_jinja_free(t);
			t = NULL;
			memset(&broken, 0, sizeof(broken));
			ax_jinja_compile(&t, text->u.s, text->n, 0, &broken);
			continue;
		}
		if (!rc && t)
			rc = ax_jinja_render(t, context, &opt, &r, &e);
		else if (!rc)
			rc = AX_EDATA;
		answer(&b, &r, rc, t || e.msg[0] ? &e : &broken);
		fwrite(b.p, 1, b.n, stdout);
		fflush(stdout);
	}
	ax_buf_release(&b);
	ax_rope_release(&r);
	ax_arena_release(&a);
	ax_jinja_free(t);
	free(line);
	return 0;
}
