/*
 * Whole preparations against the real Axolotl: every case of the shared assets' axolotl-masks/prepared.jsonl through
 * ax-tokenize itself (BUILD/bin), as a set of rows, since the order is ours; which rows are for evaluation or in a shard is
 * ours too, how many is not. Where the results differ on purpose the table says why, and such an entry must differ. Needs
 * the shared assets (AX_ASSETS); skipped without them.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "text/json.h"
#include "tok/source.h"

#define SCRATCH "build/tmp-prepared"
#include "assets.h"

#define LIMIT ((size_t)64 << 20)

static const struct {
	const char *prefix, *why;
} known[] = {
#include "prepared_known.h"
};

static int n_test, n_bad;

/* Rows as texts of ids and labels, by where they went: training, evaluation. */
struct rows {
	char **text;
	size_t n, cap;
};

static void add(struct rows *r, const struct ax_val *row)
{
	struct ax_buf b = AX_BUF_INIT;

	if (!AX_GROW(r->text, r->n, r->cap))
		abort();
	ax_json_write(&b, ax_val_get(row, "input_ids"), 0);
	ax_json_write(&b, ax_val_get(row, "labels"), 0);
	r->text[r->n++] = ax_arena_strndup(&arena, b.p, b.n);
	ax_buf_release(&b);
}

/* Of streams Axolotl pads: what lies behind the last trained token goes. */
static struct ax_val *unpadded(const struct ax_val *row)
{
	struct ax_val *out = ax_val_copy(&arena, row);
	struct ax_val *ids = (struct ax_val *)(uintptr_t)ax_val_get(out, "input_ids");
	struct ax_val *labels = (struct ax_val *)(uintptr_t)ax_val_get(out, "labels");

	while (labels->n && labels->u.item[labels->n - 1]->u.i == -100)
		ids->n = --labels->n;
	return out;
}

static void add_all(struct rows *r, const struct ax_val *list, bool padded)
{
	for (size_t i = 0; i < ax_val_len(list); i++)
		add(r, padded ? unpadded(ax_val_at(list, i)) : ax_val_at(list, i));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Elements that both have, as often as they do. */
static size_t common(struct rows *a, struct rows *b)
{
	size_t i = 0, k = 0, n = 0;

	if (a->n)
		qsort(a->text, a->n, sizeof(*a->text), by_text);
	if (b->n)
		qsort(b->text, b->n, sizeof(*b->text), by_text);
	while (i < a->n && k < b->n) {
		int c = strcmp(a->text[i], b->text[k]);

		n += c == 0;
		i += c <= 0;
		k += c >= 0;
	}
	return n;
}

static void write_file(const char *path, const struct ax_buf *b)
{
	if (ax_write_file(path, b->p ? b->p : "", b->n, NULL))
		abort();
}

/* The case's rows as files, and its configuration with their names. */
static void write_case(const struct ax_val *c, const char *model)
{
	struct ax_val *conf = ax_val_copy(&arena, ax_val_get(c, "config"));
	const char *key = ax_val_get(conf, "pretraining_dataset") ? "pretraining_dataset" : "datasets";
	struct ax_val *list = (struct ax_val *)(uintptr_t)ax_val_get(conf, key);
	struct ax_buf b = AX_BUF_INIT;

	for (size_t i = 0; i < ax_val_len(ax_val_get(c, "rows")); i++) {
		const struct ax_val *rows = ax_val_at(ax_val_get(c, "rows"), i);
		char path[100];

		ax_buf_reset(&b);
		for (size_t k = 0; k < ax_val_len(rows); k++) {
			ax_json_write(&b, ax_val_at(rows, k), 0);
			ax_buf_addc(&b, '\n');
		}
		snprintf(path, sizeof(path), SCRATCH "/rows%zu.jsonl", i);
		write_file(path, &b);
		ax_val_set(&arena, list->u.item[i], "path", ax_val_str(&arena, path, strlen(path)));
	}
	ax_val_set(&arena, conf, "base_model", ax_val_str(&arena, model, strlen(model)));
	ax_buf_reset(&b);
	ax_json_write(&b, conf, 0);
	write_file(SCRATCH "/run.yaml", &b);
	ax_buf_release(&b);
}

/* What ax-tokenize makes of it; its exit status. */
static int run(struct rows *train, struct rows *eval)
{
	char *build = getenv("BUILD"), command[500];
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	FILE *f;

	snprintf(command, sizeof(command), "%s/bin/ax-tokenize -q -c " SCRATCH "/run.yaml --mask axolotl --print 2>" SCRATCH "/stderr",
		 build ? build : "build");
	f = popen(command, "r");
	while (f && (n = getline(&line, &cap, f)) > 0) {
		struct ax_err e = {0};
		struct ax_val *v;

		if (ax_json_parse(&arena, ax_arena_strndup(&arena, line, (size_t)n), (size_t)n, &v, &e) || ax_val_get(v, "dropped"))
			continue;
		add(ax_val_is(ax_val_get(v, "split"), "eval") ? eval : train, v);
	}
	free(line);
	return f ? WEXITSTATUS(pclose(f)) : -1;
}

/* What of a case is ours to choose: which rows are held back, which make a shard. */
static bool chooses(const struct ax_val *c)
{
	const struct ax_val *conf = ax_val_get(c, "config");

	return ax_val_get(conf, "val_set_size") || ax_val_get(conf, "dataset_shard_num") ||
	       ax_val_get(ax_val_at(ax_val_get(conf, "datasets"), 0), "shards");
}

static bool same(const struct ax_val *c, struct rows *train, struct rows *eval)
{
	struct rows want = {0}, want_eval = {0};
	bool ok;

	add_all(&want, ax_val_get(c, ax_val_get(c, "samples") ? "samples" : "outputs"), ax_val_is(ax_val_get(c, "kind"), "stream"));
	add_all(&want_eval, ax_val_get(c, "eval_outputs"), false);
	ok = train->n == want.n && eval->n == want_eval.n;
	if (chooses(c)) {
		size_t all = train->n;

		/* the rows of both together are the same where nothing was left out */
		for (size_t i = 0; i < want_eval.n; i++)
			if (AX_GROW(want.text, want.n, want.cap))
				want.text[want.n++] = want_eval.text[i];
		for (size_t i = 0; i < eval->n; i++)
			if (AX_GROW(train->text, train->n, train->cap))
				train->text[train->n++] = eval->text[i];
		ok = ok && (want_eval.n == 0 || common(&want, train) == want.n);
		train->n = all;
	} else {
		ok = ok && common(&want, train) == want.n && common(&want_eval, eval) == want_eval.n;
	}
	ax_free(want.text);
	ax_free(want_eval.text);
	return ok;
}

static const char *reason(const char *id)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strncmp(id, known[i].prefix, strlen(known[i].prefix)))
			return known[i].why;
	return NULL;
}

static void show(const char *id, int status, const struct rows *train, const struct rows *eval, const struct ax_val *c)
{
	struct ax_buf b = AX_BUF_INIT;

	printf("# %s: exit %d, %zu + %zu rows; Axolotl: %zu + %zu%s\n", id, status, train->n, eval->n,
	       ax_val_len(ax_val_get(c, ax_val_get(c, "samples") ? "samples" : "outputs")),
	       ax_val_len(ax_val_get(c, "eval_outputs")), ax_val_get(c, "error") ? ", refused" : "");
	if (!ax_read_file(SCRATCH "/stderr", LIMIT, &b, NULL) && b.n)
		printf("#   %.*s\n", (int)strcspn(b.p, "\n"), b.p);
	ax_buf_release(&b);
	for (size_t i = 0; i < train->n && getenv("AX_VERBOSE"); i++)
		printf("#   %s\n", train->text[i]);
}

static void run_case(const struct ax_val *c)
{
	const char *id = ax_val_cstr(&arena, ax_val_get(c, "id"), "?"), *why = reason(id);
	struct rows train = {0}, eval = {0};
	int status;
	bool ok;

	write_case(c, model_dir(ax_val_cstr(&arena, ax_val_get(c, "tokenizer"), "")));
	status = run(&train, &eval);
	if (ax_val_get(c, "error"))
		ok = status == 2 || status == 3;
	else
		ok = status == 0 && same(c, &train, &eval);
	if (ok == (why != NULL)) {
		n_bad++;
		show(id, status, &train, &eval, c);
	}
	printf("%sok %d - %s%s%s\n", ok == (why != NULL) ? "not " : "", ++n_test, id, why ? ": differs: " : "", why ? why : "");
	ax_free(train.text);
	ax_free(eval.text);
}

int main(void)
{
	struct ax_err e = {0};
	struct ax_source s;
	struct ax_record r;
	const char *path;
	bool end = false;

	assets = getenv("AX_ASSETS") ? getenv("AX_ASSETS") : "../shared/assets";
	ax_arena_init(&arena, 0);
	path = text_at("%s/vectors/axolotl-masks/prepared.jsonl", "", "");
	if (!ax_path_exists(path) || ax_source_open(&s, path, AX_SOURCE_JSON, 0, &e)) {
		printf("1..1\nok 1 - preparations # SKIP no assets\n");
		return 0;
	}
	while (!ax_source_next(&s, &r, &end, &e) && !end) {
		struct ax_val *c;

		if (ax_json_parse(&arena, ax_arena_strndup(&arena, r.p, r.n), r.n, &c, &e))
			break;
		if (!getenv("AX_ONLY") || strstr(ax_val_cstr(&arena, ax_val_get(c, "id"), ""), getenv("AX_ONLY")))
			run_case(c);
	}
	ax_source_close(&s);
	printf("%sok %d - all cases read\n1..%d\n", end ? "" : "not ", n_test + 1, n_test + 1);
	ax_remove_tree(SCRATCH, NULL);
	ax_arena_release(&arena);
	return n_bad || !end;
}
