/*
 * Conversations, one a line as JSON, to ids and loss masks in memory, beside their rendered text to ids alone.
 * usage: chat [-n LINES] [-r REPEATS] MODEL CHAT.jsonl
 * Prints one line: name, bytes of rendered text, MB/s of it for conversations (JSON, template, ids and mask), for the JSON
 * alone, for the text alone, and the first over the last. Each run is cold (a tokenizer that has learned nothing); the fastest counts. Time is
 * that of the thread on a core.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "text/json.h"
#include "tok/rows.h"

struct text {
	const char *p;
	size_t n;
};

struct chat {
	struct ax_effective *eff;
	struct ax_rows *rows;
	struct text *line;
	size_t n_line, cap_line;
	struct ax_buf rendered;
	size_t *end; /* of each line's text in it */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int cut_lines(struct chat *c, const struct ax_map *m, size_t limit, struct ax_err *e)
{
	const char *p = (const char *)m->p, *end = p + m->n;

	while (p < end && c->n_line < limit) {
		const char *q = memchr(p, '\n', (size_t)(end - p));

		q = q ? q : end;
		if (!AX_GROW(c->line, c->n_line, c->cap_line))
			return ax_fail(e, AX_EMEM, "out of memory");
		if (q > p)
			c->line[c->n_line++] = (struct text){p, (size_t)(q - p)};
		p = q + 1;
	}
	return 0;
}

/* What the ids of a row stand for. */
static void render(struct chat *c, const struct ax_made *made, size_t line)
{
	for (size_t i = 0; i < made->n; i++)
		ax_tokenizer_bytes(c->eff->tok, made->id[i], &c->rendered);
	c->end[line] = c->rendered.n;
}

/* Seconds for all conversations; without `rows` for their JSON alone. */
static int conversations(struct chat *c, bool rows, bool keep, double *seconds, struct ax_err *e)
{
	struct ax_rows_work *w = NULL;
	struct ax_made made = {0};
	struct ax_arena a;
	double t;
	int rc;

	ax_arena_init(&a, 0);
	AX_GOTO(ax_rows_work_new(&w, c->rows, e));
	t = now();
	for (size_t i = 0; i < c->n_line; i++) {
		struct ax_val *v;

		ax_arena_clear(&a);
		AX_GOTO(ax_json_parse(&a, c->line[i].p, c->line[i].n, &v, e));
		if (!rows)
			continue;
		ax_made_reset(&made);
		AX_GOTO(ax_rows_make(c->rows, v, &made, w, e));
		if (keep)
			render(c, &made, i);
	}
	t = now() - t;
	*seconds = t < *seconds ? t : *seconds;
out:
	ax_made_release(&made);
	ax_rows_work_free(w);
	ax_arena_release(&a);
	return rc;
}

static int plain(struct chat *c, double *seconds, struct ax_err *e)
{
	struct ax_tok_scratch *s;
	struct ax_ids ids = AX_IDS_INIT;
	double t;
	int rc = ax_tok_scratch_new(&s, c->eff->tok, e);

	t = now();
	for (size_t i = 0, from = 0; !rc && i < c->n_line; from = c->end[i++]) {
		ax_ids_reset(&ids);
		rc = ax_tokenizer_encode(c->eff->tok, c->rendered.p + from, c->end[i] - from, 0, &ids, s, e);
	}
	t = now() - t;
	*seconds = t < *seconds ? t : *seconds;
	ax_tok_scratch_free(s);
	ax_ids_release(&ids);
	return rc;
}

static void forget(struct chat *c)
{
	ax_rows_free(c->rows);
	c->rows = NULL;
	ax_effective_free(c->eff);
	c->eff = NULL;
}

/* A tokenizer that has learned nothing. */
static int renew(struct chat *c, const char *model, const struct ax_val *entry, struct ax_err *e)
{
	struct ax_tok_spec spec = {.model_dir = model};
	struct ax_rows_opt o = {.sequence_len = 1 << 20};

	forget(c);
	AX_TRY(ax_effective_open(&c->eff, &spec, e));
	o.eff = c->eff;
	return ax_rows_new(&c->rows, entry, &o, e);
}

static int bench(struct chat *c, const char *model, int repeats, struct ax_err *e)
{
	static const char entry[] = "{\"type\":\"chat_template\"}";
	double whole = 1e9, json = 1e9, text = 1e9, none = 1e9, mb;
	struct ax_arena a;
	struct ax_val *v;
	int rc;

	ax_arena_init(&a, 0);
	AX_GOTO(ax_json_parse(&a, entry, sizeof(entry) - 1, &v, e));
	AX_GOTO(renew(c, model, v, e));
	c->end = ax_calloc(c->n_line + 1, sizeof(*c->end));
	if (!c->end) {
		rc = ax_fail(e, AX_EMEM, "out of memory");
		goto out;
	}
	AX_GOTO(conversations(c, true, true, &none, e));
	for (int i = 0; i < repeats; i++) {
		AX_GOTO(renew(c, model, v, e));
		AX_GOTO(conversations(c, true, false, &whole, e));
		AX_GOTO(conversations(c, false, false, &json, e));
		AX_GOTO(renew(c, model, v, e));
		AX_GOTO(plain(c, &text, e));
	}
	mb = (double)c->rendered.n / 1e6;
	printf("%s\t%zu bytes\t%.1f MB/s\tjson %.1f\ttext %.1f\t%.2f\n", model, c->rendered.n, mb / whole, mb / json, mb / text,
	       text / whole);
out:
	ax_arena_release(&a);
	return rc;
}

int main(int argc, char **argv)
{
	struct chat c = {.rendered = AX_BUF_INIT};
	struct ax_err e = {0};
	struct ax_map m = {NULL, 0};
	size_t limit = SIZE_MAX;
	int o, repeats = 1, rc;

	while ((o = getopt(argc, argv, "n:r:")) != -1) {
		if (o == 'n')
			limit = strtoull(optarg, NULL, 10);
		else if (o == 'r')
			repeats = atoi(optarg);
		else
			return 2;
	}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: chat [-n LINES] [-r REPEATS] MODEL CHAT.jsonl\n");
		return 2;
	}
	rc = ax_map_open(&m, argv[optind + 1], &e);
	if (!rc)
		rc = cut_lines(&c, &m, limit, &e);
	if (!rc)
		rc = bench(&c, argv[optind], repeats, &e);
	if (rc)
		fprintf(stderr, "chat: %s\n", e.msg);
	ax_rows_free(c.rows);
	ax_effective_free(c.eff);
	ax_buf_release(&c.rendered);
	ax_free(c.line);
	ax_free(c.end);
	ax_map_close(&m);
	return rc;
}
