/* --summary: what a stream or a shard folder holds, and what was dropped on the way, with row numbers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fmt/pack.h"
#include "sums.h"
#include "text/json.h"
#include "view.h"

#define BAR 40 /* columns of the longest bar */

struct summary {
	struct view *v;
	const char *path;
	char kind[16];
	struct sums sums;
	struct ax_totals totals;
	const struct ax_val *header;
	struct ax_val *chain; /* provenance, completed */
	uint64_t n_stream;
	uint32_t sequence_len;
};

/* --- reading --- */

static int read_rows(struct summary *s, struct ax_stream *in, struct ax_err *e)
{
	struct ax_row r;
	bool end = false;

	for (;;) {
		AX_TRY(ax_stream_next(in, &r, &end, e));
		if (end)
			return 0;
		AX_TRY(sums_row(&s->sums, &r, e));
	}
}

static int read_stream(struct summary *s, struct ax_stream *in, struct ax_err *e)
{
	struct ax_inputs inputs;
	struct ax_val *trailer = NULL;
	int rc;

	ax_inputs_init(&inputs);
	in->inputs = &inputs;
	rc = read_rows(s, in, e);
	if (!rc) {
		trailer = ax_inputs_trailer(&inputs, &s->v->arena);
		s->header = ax_val_copy(&s->v->arena, in->header);
		s->totals = in->totals;
		s->n_stream = in->n_member;
		s->sequence_len = ax_header_sequence_len(in->header);
		snprintf(s->kind, sizeof(s->kind), "%s", ax_header_kind(in->header));
		s->chain = trailer && s->header ? ax_provenance(&s->v->arena, s->header, trailer) : NULL;
		rc = s->chain ? 0 : ax_fail(e, AX_EMEM, "out of memory");
	}
	in->inputs = NULL;
	ax_inputs_release(&inputs);
	return rc;
}

static int read_packs(struct summary *s, struct ax_shards *in, struct ax_err *e)
{
	struct ax_pack p;

	for (int k = 0; k < AX_N_SPLIT; k++)
		for (uint64_t i = 0; i < in->n_pack[k]; i++) {
			if (i + 1 < in->n_pack[k])
				ax_shards_prefetch(in, k, i + 1);
			AX_TRY(ax_shards_read(in, k, i, &p, e));
			for (uint32_t d = 0; d < p.n_doc; d++)
				AX_TRY(sums_row(&s->sums, &p.row[d], e));
		}
	s->header = ax_val_copy(&s->v->arena, in->header);
	s->totals = in->totals;
	s->n_stream = 1;
	s->sequence_len = in->sequence_len;
	snprintf(s->kind, sizeof(s->kind), "shards");
	s->chain = s->header ? ax_provenance(&s->v->arena, s->header, NULL) : NULL;
	return s->chain ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

static int read_all(struct summary *s, bool folder, struct ax_err *e)
{
	struct ax_shards shards;
	struct ax_stream stream;
	int rc;

	if (folder) {
		AX_TRY(ax_shards_open(&shards, s->path, e));
		rc = read_packs(s, &shards, e);
		ax_shards_close(&shards);
		return rc;
	}
	AX_TRY(ax_stream_open(&stream, s->path, e));
	rc = read_stream(s, &stream, e);
	ax_stream_close(&stream);
	return rc;
}

/* --- text --- */

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void show_sum(const char *name, const struct sum *s)
{
	printf("%-13s %" PRIu64 " rows, %" PRIu64 " tokens, %" PRIu64 " trained (%.1f %%)\n", name, s->rows, s->tokens, s->trained,
	       share(s->trained, s->tokens));
}

static void show_splits(const struct summary *s)
{
	for (int k = 0; k < AX_N_SPLIT; k++) {
		const struct ax_split_totals *t = &s->totals.split[k];

		if (!s->sums.split[k].rows)
			continue;
		show_sum(k == AX_SPLIT_EVAL ? "eval:" : "train:", &s->sums.split[k]);
		if (t->packs)
			printf("              %" PRIu64 " pack%s of %u tokens, %.1f %% filled\n", t->packs, t->packs == 1 ? "" : "s", s->sequence_len,
			       share(t->tokens, t->packs * s->sequence_len));
	}
}

static void show_lengths(const struct sums *s)
{
	uint64_t rows = s->split[0].rows + s->split[1].rows, tokens = s->split[0].tokens + s->split[1].tokens, most = 0;
	struct sums_bin bin[SUMS_BINS + 1];
	size_t n = sums_bins(s, bin);

	if (!rows)
		return;
	printf("lengths:      mean %.1f, median %u, 90 %% up to %u, 99 %% up to %u; %u to %u\n", (double)tokens / (double)rows,
	       sums_quantile(s, 0.5), sums_quantile(s, 0.9), sums_quantile(s, 0.99), s->shortest, s->longest);
	for (size_t i = 0; i < n; i++)
		most = bin[i].rows > most ? bin[i].rows : most;
	for (size_t i = 0; i < n; i++) {
		int bar = (int)((double)bin[i].rows / (double)most * BAR + 0.5);
		char range[32];

		snprintf(range, sizeof(range), bin[i].from < bin[i].to ? "%u-%u" : "%u", bin[i].from, bin[i].to);
		bar = bin[i].rows && !bar ? 1 : bar;
		printf("%17s %10" PRIu64 "%s%.*s\n", range, bin[i].rows, bar ? " " : "", bar,
		       "########################################");
	}
}

/* What ax-tokenize said of its sources, or NULL. */
static const struct ax_val *sources_of(const struct summary *s)
{
	for (size_t i = 0; i < ax_val_len(s->chain); i++)
		if (ax_val_get(ax_val_at(s->chain, i), "sources"))
			return ax_val_get(ax_val_at(s->chain, i), "sources");
	return NULL;
}

/* A name from the file: quoted, unless it is plain, so that it does nothing to a terminal. */
static void print_safe(const struct ax_val *v)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./[]";
	struct ax_buf b = AX_BUF_INIT;

	if (v && v->type == AX_STR && v->n && strspn(v->u.s, plain) >= v->n)
		ax_buf_add(&b, v->u.s, v->n);
	else if (v && v->type == AX_STR)
		ax_json_write_str(&b, v->u.s, v->n, AX_JSON_ASCII);
	printf(" %s", b.p ? b.p : "");
	ax_buf_release(&b);
}

static void show_source(const struct summary *s, uint32_t source)
{
	const struct ax_val *one = ax_val_at(sources_of(s), source), *files = ax_val_get(one, "files");

	if (source == SUMS_OTHERS)
		printf("other sources");
	else
		printf("source %u", source);
	if (one) {
		printf(":");
		print_safe(ax_val_get(one, "entry"));
		print_safe(ax_val_at(files, 0));
	}
	if (ax_val_len(files) > 1)
		printf(" and %zu more files", ax_val_len(files) - 1);
	printf("\n");
}

static void show_sources(const struct summary *s)
{
	for (size_t i = 0; i < s->sums.n_source; i++) {
		const struct sums_source *x = &s->sums.source[i];

		show_source(s, x->source);
		for (int k = 0; k < AX_N_SPLIT; k++)
			if (x->split[k].rows)
				show_sum(k == AX_SPLIT_EVAL ? "  eval:" : "  train:", &x->split[k]);
	}
}

static void show_reasons(const struct summary *s)
{
	for (int k = 0; k < AX_N_SPLIT; k++)
		for (uint32_t i = 0; i < s->totals.split[k].n_reason; i++) {
			const struct ax_reason *r = &s->totals.split[k].reason[i];

			if (r->dropped)
				printf("dropped:      %" PRIu64 " %s (%s)\n", r->dropped, r->name, ax_split_name(k));
			if (r->truncated)
				printf("cut:          %" PRIu64 " %s (%s)\n", r->truncated, r->name, ax_split_name(k));
		}
}

/* One of the list that a tool keeps (fmt/drops.h): {source, split, reason, dropped | truncated, rows}. */
static void show_drop(const struct ax_val *tool, const struct ax_val *d)
{
	const struct ax_val *rows = ax_val_get(d, "rows");
	int64_t dropped = ax_val_int_or(ax_val_get(d, "dropped"), 0), cut = ax_val_int_or(ax_val_get(d, "truncated"), 0);
	int64_t n = dropped ? dropped : cut;

	printf(" ");
	print_safe(tool);
	printf(": source %" PRId64 ",", ax_val_int_or(ax_val_get(d, "source"), 0));
	print_safe(ax_val_get(d, "reason"));
	printf("%s, row%s", cut ? ", cut" : "", n == 1 ? "" : "s");
	for (size_t i = 0; i < ax_val_len(rows); i++)
		printf(" %" PRId64, ax_val_int_or(ax_val_at(rows, i), 0));
	if (n > (int64_t)ax_val_len(rows))
		printf(" ... %" PRId64 " in all", n);
	printf("\n");
}

static void show_drops(const struct summary *s)
{
	show_reasons(s);
	for (size_t i = 0; i < ax_val_len(s->chain); i++) {
		const struct ax_val *list = ax_val_get(ax_val_at(s->chain, i), "drops");

		for (size_t k = 0; list && list->type == AX_LIST && k < list->n; k++)
			show_drop(ax_val_get(ax_val_at(s->chain, i), "tool"), list->u.item[k]);
	}
}

static void show(const struct summary *s)
{
	printf("%s: %s\n", s->path,
	       !strcmp(s->kind, "tokens") ? "token stream" : !strcmp(s->kind, "packs") ? "stream of packs" :
	       !strcmp(s->kind, "shards") ? "shard folder" : "shard file");
	if (s->n_stream > 1)
		printf("streams:      %" PRIu64 ", joined; names of sources and rows that were dropped are the first's\n", s->n_stream);
	show_splits(s);
	show_lengths(&s->sums);
	show_sources(s);
	show_drops(s);
}

/* --- JSON --- */

static bool set_int(struct ax_arena *a, struct ax_val *m, const char *key, uint64_t v)
{
	return ax_val_set(a, m, key, ax_val_int(a, (int64_t)v));
}

/* A value that was just made; NULL: there was no memory. */
static bool put(struct ax_arena *a, struct ax_val *m, const char *key, struct ax_val *v)
{
	return v && ax_val_set(a, m, key, v);
}

static bool push(struct ax_arena *a, struct ax_val *list, struct ax_val *v)
{
	return v && ax_val_push(a, list, v);
}

static struct ax_val *sum_json(struct ax_arena *a, const struct sum *s)
{
	struct ax_val *m = ax_val_map(a);

	return m && set_int(a, m, "rows", s->rows) && set_int(a, m, "tokens", s->tokens) && set_int(a, m, "trained_tokens", s->trained) ? m
																		: NULL;
}

static struct ax_val *lengths_json(struct ax_arena *a, const struct sums *s)
{
	struct ax_val *m = ax_val_map(a), *list = ax_val_list(a);
	struct sums_bin bin[SUMS_BINS + 1];
	size_t n = sums_bins(s, bin);
	bool ok = m && list && set_int(a, m, "min", s->shortest) && set_int(a, m, "median", sums_quantile(s, 0.5)) &&
		  set_int(a, m, "p90", sums_quantile(s, 0.9)) && set_int(a, m, "p99", sums_quantile(s, 0.99)) && set_int(a, m, "max", s->longest);

	for (size_t i = 0; ok && i < n; i++) {
		struct ax_val *b = ax_val_map(a);

		ok = b && set_int(a, b, "from", bin[i].from) && set_int(a, b, "to", bin[i].to) && set_int(a, b, "rows", bin[i].rows) &&
		     ax_val_push(a, list, b);
	}
	return ok && ax_val_set(a, m, "bins", list) ? m : NULL;
}

static struct ax_val *source_json(struct ax_arena *a, const struct summary *s, const struct sums_source *x)
{
	const struct ax_val *one = ax_val_at(sources_of(s), x->source);
	struct ax_val *m = ax_val_map(a);
	bool ok = m && (x->source == SUMS_OTHERS || set_int(a, m, "source", x->source));

	if (ok && one && ax_val_get(one, "entry"))
		ok = put(a, m, "entry", ax_val_copy(a, ax_val_get(one, "entry")));
	if (ok && one && ax_val_get(one, "files"))
		ok = put(a, m, "files", ax_val_copy(a, ax_val_get(one, "files")));
	for (int k = 0; ok && k < AX_N_SPLIT; k++)
		ok = put(a, m, ax_split_name(k), sum_json(a, &x->split[k]));
	return ok ? m : NULL;
}

static struct ax_val *drops_json(struct ax_arena *a, const struct summary *s)
{
	struct ax_val *out = ax_val_list(a);

	for (size_t i = 0; out && i < ax_val_len(s->chain); i++) {
		const struct ax_val *list = ax_val_get(ax_val_at(s->chain, i), "drops");

		for (size_t k = 0; list && list->type == AX_LIST && k < list->n; k++) {
			struct ax_val *d = ax_val_copy(a, list->u.item[k]), *tool = ax_val_copy(a, ax_val_get(ax_val_at(s->chain, i), "tool"));

			if (!d || d->type != AX_MAP || !tool || !ax_val_set(a, d, "tool", tool) || !ax_val_push(a, out, d))
				return NULL;
		}
	}
	return out;
}

static int add_json(const struct summary *s, struct ax_err *e)
{
	struct ax_arena *a = &s->v->arena;
	struct ax_val *m = ax_val_map(a), *sources = ax_val_list(a);
	bool ok = m && sources && put(a, m, "file", ax_val_str(a, s->path, strlen(s->path))) &&
		  put(a, m, "kind", ax_val_str(a, s->kind, strlen(s->kind))) &&
		  put(a, m, "totals", ax_totals_val(a, &s->totals)) && put(a, m, "lengths", lengths_json(a, &s->sums));

	for (size_t i = 0; ok && i < s->sums.n_source; i++)
		ok = push(a, sources, source_json(a, s, &s->sums.source[i]));
	ok = ok && ax_val_set(a, m, "sources", sources) && put(a, m, "drops", drops_json(a, s));
	if (!ok)
		return ax_fail(e, AX_EMEM, "out of memory");
	ax_json_write(s->v->json, m, 0);
	ax_buf_addc(s->v->json, '\n');
	return 0;
}

int view_summary(struct view *v, const char *path, bool folder, struct ax_err *e)
{
	struct summary s = {.v = v, .path = path};
	int rc;

	AX_TRY(sums_init(&s.sums, e));
	rc = read_all(&s, folder, e);
	if (!rc && v->json)
		rc = add_json(&s, e);
	else if (!rc)
		show(&s);
	sums_release(&s.sums);
	return rc;
}
