/*
 * The template engine against renders of Python jinja2 (../shared/assets/vectors, or $AX_ASSETS): every chat template
 * with every context, the templates inside unpacked tokenizers, and tables of small cases.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "text/jinja.h"
#include "text/json.h"

#include "spans.h"
#include "tok/effective.h"

#define LIMIT ((size_t)64 << 20)

static const char *assets;
static int number;

static const struct ax_val *load(struct ax_arena *a, const char *name)
{
	char path[1000];
	struct ax_err e = {0};
	struct ax_val *v;

	snprintf(path, sizeof(path), "%s/%s", assets, name);
	if (ax_json_file(a, path, LIMIT, &v, &e)) {
		printf("# %s\n", e.msg);
		return NULL;
	}
	return v;
}

static void result(const char *name, size_t good, size_t all)
{
	printf("%sok %d - %s: %zu of %zu equal\n", good == all && all ? "" : "not ", ++number, name, good, all);
}

/* Where two texts part. */
static void show_difference(const char *got, size_t n, const struct ax_val *want)
{
	size_t i = 0;

	while (i < n && i < want->n && got[i] == want->u.s[i])
		i++;
	i = i > 30 ? i - 30 : 0;
	printf("#   got  %zu: %.*s\n#   want %zu: %.*s\n", n, (int)(n - i < 90 ? n - i : 90), got + i, want->n,
	       (int)(want->n - i < 90 ? want->n - i : 90), want->u.s + i);
}

/* Contexts that the built-in template of a name writes and Axolotl's refuses: it joins an object to a text. */
static const char *const wider[] = {"deepseek_v3 with minja-tool_use-objargs"};

struct run {
	struct ax_rope rope;
	struct ax_err e;
	int rc;
};

static void render(struct run *x, const char *src, size_t n, unsigned flags, const struct ax_val *context, const struct tm *now)
{
	struct ax_jinja_opt o = {.now = now};
	struct ax_jinja *t;

	memset(&x->e, 0, sizeof(x->e));
	x->rc = ax_jinja_compile(&t, src, n, flags, &x->e);
	if (x->rc)
		return;
	x->rc = ax_jinja_render(t, context, &o, &x->rope, &x->e);
	ax_jinja_free(t);
}

/* "line 3, column 5: " in front of a compile error is ours. */
static const char *message(const struct ax_err *e)
{
	const char *p = e->msg;

	if (strncmp(p, "line ", 5) == 0 && (p = strstr(p, ": ")) && (p = strchr(p, ' ')))
		return p + 1;
	return e->msg;
}

static bool same(struct run *x, const struct ax_val *text, const struct ax_val *error)
{
	if (error && error->type == AX_STR)
		return x->rc && strlen(message(&x->e)) == error->n && memcmp(message(&x->e), error->u.s, error->n) == 0;
	return !x->rc && text && text->type == AX_STR && text->n == x->rope.b.n && memcmp(text->u.s, x->rope.b.p, text->n) == 0 &&
	       spans_hold(&x->rope);
}

static void complain(const struct run *x, const char *what, const struct ax_val *text, const struct ax_val *error)
{
	printf("# %s\n", what);
	if (x->rc)
		printf("#   error %s\n", x->e.msg);
	if (error && error->type == AX_STR)
		printf("#   want error %.*s\n", (int)error->n, error->u.s);
	else if (!x->rc && text && text->type == AX_STR)
		show_difference(x->rope.b.p, x->rope.b.n, text);
	if (!x->rc && !spans_hold(&x->rope))
		printf("#   spans are wrong\n");
}

static bool in_ranges(const struct ax_val *ranges, int64_t at)
{
	for (size_t i = 0; i < ax_val_len(ranges); i++) {
		const struct ax_val *x = ax_val_at(ranges, i);

		if (at >= ax_val_int_or(ax_val_at(x, 0), 0) && at < ax_val_int_or(ax_val_at(x, 1), 0))
			return true;
	}
	return false;
}

/* Is each character marked as generated that the reference's ranges of characters hold? */
static bool generation_same(const struct ax_rope *r, const struct ax_val *want)
{
	int64_t chars = -1;

	for (size_t i = 0; i < r->n_span; i++) {
		bool gen = r->span[i].flags & AX_SPAN_GENERATION;

		for (size_t at = r->span[i].begin; at < r->span[i].end; at++) {
			chars += ((unsigned char)r->b.p[at] & 0xc0) != 0x80;
			if (in_ranges(want, chars) != gen)
				return false;
		}
	}
	return true;
}

static bool is_wider(const char *what)
{
	for (size_t i = 0; i < sizeof(wider) / sizeof(wider[0]); i++)
		if (!strcmp(wider[i], what))
			return true;
	return false;
}

/* The built-in template of the same name against what Axolotl's gave. */
static void built_in(struct run *x, const char *name, const char *ctx, const struct ax_val *c, const struct ax_val *context,
		     const struct tm *now, size_t *good, size_t *all)
{
	const struct ax_val *text = ax_val_get(c, "expected"), *error = ax_val_get(c, "error");
	char own[64], what[200];
	const char *src;

	if (sscanf(name, "axolotl/%60[^.].jinja", own) != 1)
		return;
	++*all;
	src = ax_chat_template_bundled(own);
	snprintf(what, sizeof(what), "%s with %s", own, ctx);
	if (!src) {
		printf("# %s is not built in\n", own);
		return;
	}
	render(x, src, strlen(src), 0, context, now);
	if (is_wider(what) ? error && !x->rc : error ? x->rc != 0 : same(x, text, NULL)) {
		++*good;
		return;
	}
	complain(x, what, text, error);
}

static void chat_templates(void)
{
	struct run x;
	struct ax_arena a;
	struct ax_buf src = AX_BUF_INIT;
	const struct ax_val *g, *cases;
	size_t good = 0, gen_good = 0, gen_all = 0, own_good = 0, own_all = 0;
	struct tm now;

	memset(&x, 0, sizeof(x));
	ax_arena_init(&a, 0);
	ax_rope_init(&x.rope);
	g = load(&a, "vectors/chat-templates/goldens.json");
	cases = ax_val_get(g, "cases");
	ax_jinja_now(&now, ax_val_cstr(&a, ax_val_get(g, "now"), ""), NULL);
	for (size_t i = 0; i < ax_val_len(cases); i++) {
		const struct ax_val *c = ax_val_at(cases, i), *context, *spans = ax_val_get(c, "generation_spans");
		const char *name = ax_val_cstr(&a, ax_val_get(c, "template"), ""), *ctx = ax_val_cstr(&a, ax_val_get(c, "context"), "");
		char path[1000];

		snprintf(path, sizeof(path), "%s/vectors/chat-templates/%s", assets, name);
		ax_buf_reset(&src);
		if (ax_read_file(path, LIMIT, &src, &x.e))
			continue;
		snprintf(path, sizeof(path), "vectors/chat-templates/contexts/%s.json", ctx);
		context = load(&a, path);
		render(&x, src.p, src.n, 0, context, &now);
		if (same(&x, ax_val_get(c, "expected"), ax_val_get(c, "error"))) {
			good++;
		} else {
			snprintf(path, sizeof(path), "%s with %s", name, ctx);
			complain(&x, path, ax_val_get(c, "expected"), ax_val_get(c, "error"));
		}
		if (spans && !x.rc) {
			gen_all++;
			if (generation_same(&x.rope, spans))
				gen_good++;
			else
				printf("# generation spans of %s with %s differ\n", name, ctx);
		}
		built_in(&x, name, ctx, c, context, &now, &own_good, &own_all);
	}
	result("chat templates", good, ax_val_len(cases));
	result("built-in templates", own_good, own_all);
	result("generation spans", gen_good, gen_all);
	ax_buf_release(&src);
	ax_rope_release(&x.rope);
	ax_arena_release(&a);
}

/* A rendered text that holds an address matches up to it. */
static bool same_but_address(const struct run *x, const struct ax_val *want)
{
	const char *at = want && want->type == AX_STR ? strstr(want->u.s, " at 0x") : NULL;

	return at && !x->rc && memcmp(want->u.s, x->rope.b.p, (size_t)(at - want->u.s)) == 0;
}

static unsigned options(const struct ax_val *o)
{
	unsigned f = AX_JINJA_MUTABLE;

	if (!o)
		return 0;
	f |= ax_val_bool_or(ax_val_get(o, "trim_blocks"), true) ? 0 : AX_JINJA_KEEP_BLOCKS;
	f |= ax_val_bool_or(ax_val_get(o, "lstrip_blocks"), true) ? 0 : AX_JINJA_KEEP_INDENT;
	f |= ax_val_bool_or(ax_val_get(o, "keep_trailing_newline"), false) ? AX_JINJA_KEEP_NEWLINE : 0;
	return f;
}

static void table(const char *name, const struct tm *now)
{
	struct run x;
	struct ax_arena a;
	const struct ax_val *cases;
	size_t good = 0, left_out = 0;

	memset(&x, 0, sizeof(x));
	ax_arena_init(&a, 0);
	ax_rope_init(&x.rope);
	cases = load(&a, name);
	for (size_t i = 0; i < ax_val_len(cases); i++) {
		const struct ax_val *c = ax_val_at(cases, i), *src = ax_val_get(c, "template"), *py = ax_val_get(c, "python_jinja2");
		const struct ax_val *want = ax_val_get(c, "expected"), *error = ax_val_get(py, "error");

		if (ax_val_is(src, "{% set _ = a.b.append(c.d.e) %}{{ a.b }}")) {
			printf("# left out, its context was recorded after the append: a.b.append(c.d.e)\n");
			left_out++;
			continue;
		}
		if (ax_val_get(py, "differs"))
			want = ax_val_get(py, "differs");
		if (ax_val_get(py, "rendered"))
			want = ax_val_get(py, "rendered");
		render(&x, src->u.s, src->n, options(ax_val_get(c, "options")), ax_val_get(c, "context"), now);
		if (same(&x, want, error) || same_but_address(&x, want) ||
		    (error && x.rc && strstr(error->u.s, "(<template>, line") && strncmp(message(&x.e), error->u.s, 20) == 0))
			good++;
		else
			complain(&x, ax_val_cstr(&a, ax_val_get(c, "name"), ax_val_cstr(&a, src, "")), want, error);
	}
	result(name, good, ax_val_len(cases) - left_out);
	ax_rope_release(&x.rope);
	ax_arena_release(&a);
}

int main(void)
{
	struct tm now;

	assets = getenv("AX_ASSETS") ? getenv("AX_ASSETS") : "../shared/assets";
	if (!ax_path_is_dir(assets)) {
		printf("ok 1 - template engine against jinja2 # SKIP no assets\n");
		return 0;
	}
	ax_jinja_now(&now, "2025-07-10T12:00:00", NULL);
	chat_templates();
	table("vectors/jinja/minja-test-syntax.json", &now);
	table("vectors/jinja/huggingface.js-e2e.json", &now);
	printf("1..%d\n", number);
	return 0;
}
