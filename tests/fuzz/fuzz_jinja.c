/*
 * Input: a template, or a template, a zero byte and a JSON context. Whatever they hold, a render ends within its limits,
 * its spans tile the text, and exact spans hold their origin's bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "text/jinja.h"
#include "text/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(const struct ax_rope *r)
{
	size_t at = 0;

	for (size_t i = 0; i < r->n_span; i++) {
		const struct ax_span *s = &r->span[i];

		if (s->begin != at || s->end <= s->begin || s->end > r->b.n)
			abort();
		at = s->end;
		if (s->origin && !(s->flags & AX_SPAN_TRANSFORMED) &&
		    (s->origin->type != AX_STR || s->off > s->origin->n || s->end - s->begin > s->origin->n - s->off ||
		     memcmp(s->origin->u.s + s->off, r->b.p + s->begin, s->end - s->begin) != 0))
			abort();
	}
	if (at != r->b.n)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char json[] = "{\"messages\":[{\"role\":\"user\",\"content\":\" Hé\\n\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
				   "\"text\",\"text\":\"x\"}],\"tool_calls\":[{\"f\":{\"a\":1.5,\"b\":null}}]}],\"s\":\"a<b\",\"i\":-3}";
	const uint8_t *zero = memchr(p, 0, n);
	struct ax_jinja *t;
	struct ax_arena a;
	struct ax_val *v = NULL;
	struct tm now;
	struct ax_jinja_opt o = {.now = &now};
	struct ax_rope r;
	struct ax_err e;

	ax_jinja_now(&now, "2025-07-10", &e);
	if (ax_jinja_compile(&t, (const char *)p, zero ? (size_t)(zero - p) : n, 0, &e))
		return 0;
	ax_arena_init(&a, (size_t)64 << 20);
	ax_rope_init(&r);
	if (zero && ax_json_parse(&a, (const char *)zero + 1, n - (size_t)(zero + 1 - p), &v, &e))
		v = NULL;
	if (v || ax_json_parse(&a, json, sizeof(json) - 1, &v, &e) == 0)
		if (ax_jinja_render(t, v, &o, &r, &e) == 0)
			check(&r);
	ax_rope_release(&r);
	ax_arena_release(&a);
	ax_jinja_free(t);
	return 0;
}
