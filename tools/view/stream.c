#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fmt/pack.h"
#include "text/json.h"
#include "view.h"

/* --- what is shown of headers and totals --- */

static void show_header(const struct view *v, const char *path, const char *what, const struct ax_val *h)
{
	struct ax_buf b = AX_BUF_INIT;
	char fp[33];

	printf("%s: %s\n", path, what);
	if (v->header) {
		ax_json_write(&b, h, AX_JSON_INDENT2);
		printf("%s\n", b.p ? b.p : "");
		ax_buf_release(&b);
		return;
	}
	ax_header_fingerprint(h, fp);
	printf("format:       version %d, %d-bit ids\n", AX_FORMAT_VERSION, ax_header_id_bits(h));
	if (ax_header_sequence_len(h))
		printf("sequence_len: %u\n", ax_header_sequence_len(h));
	if (*fp)
		printf("tokenizer:    %s, %" PRId64 " entries\n", fp,
		       ax_val_int_or(ax_val_path(h, "tokenizer.vocab_size"), 0));
}

static void show_totals(const struct ax_totals *t)
{
	for (int k = 0; k < AX_N_SPLIT; k++) {
		const struct ax_split_totals *s = &t->split[k];

		if (!s->rows && !s->n_reason)
			continue;
		printf("%-13s ", k == AX_SPLIT_EVAL ? "eval:" : "train:");
		if (s->packs)
			printf("%" PRIu64 " packs, ", s->packs);
		printf("%" PRIu64 " rows, %" PRIu64 " tokens, %" PRIu64 " trained\n", s->rows, s->tokens, s->trained);
		for (uint32_t i = 0; i < s->n_reason; i++) {
			const struct ax_reason *r = &s->reason[i];

			if (r->dropped)
				printf("              %" PRIu64 " dropped: %s\n", r->dropped, r->name);
			if (r->truncated)
				printf("              %" PRIu64 " cut: %s\n", r->truncated, r->name);
		}
	}
	printf("checksum:     %016" PRIx64 "%016" PRIx64 "\n", t->sum.b, t->sum.a);
}

/* `chain` (or NULL): the header's provenance as the trailer completes it. */
static int add_json(struct view *v, const char *path, const char *kind, const struct ax_val *header,
		    const struct ax_totals *t, struct ax_val *chain, struct ax_err *e)
{
	struct ax_arena *a = &v->arena;
	struct ax_val *m = ax_val_map(a), *h = ax_val_copy(a, header);
	bool ok = m && h && (!ax_val_len(chain) || ax_val_set(a, h, "provenance", chain)) &&
		  ax_val_set(a, m, "file", ax_val_str(a, path, strlen(path))) &&
		  ax_val_set(a, m, "kind", ax_val_str(a, kind, strlen(kind))) &&
		  ax_val_set(a, m, "header", h);

	if (t)
		ok = ok && ax_val_set(a, m, "totals", ax_totals_val(a, t));
	return ok ? view_json_object(v, m, e) : ax_fail(e, AX_EMEM, "out of memory");
}

/* --- streams --- */

struct scan {
	struct view *v;
	const char *path;
	struct ax_pack_reader r; /* r.s alone for a token stream */
	struct ax_val *trailer;  /* of the first stream, once known */
	struct ax_totals totals;
	uint64_t n_stream;
	uint64_t n_row, n_pack;
	bool packs, found;
};

static int scan_open(struct scan *s, const char *path, struct ax_err *e)
{
	memset(&s->r, 0, sizeof(s->r));
	s->path = path;
	AX_TRY(ax_stream_open(&s->r.s, path, e));
	s->packs = s->r.s.packs;
	s->r.sequence_len = ax_header_sequence_len(s->r.s.header);
	return 0;
}

/* Row number k in the way that was asked for; `whole`: it alone, or its pack, was. */
static int show_row(struct view *v, const struct ax_row *r, uint64_t k, bool whole, struct ax_err *e)
{
	if (v->json)
		return view_json_row(v, r, k, e);
	if (v->mode == VIEW_TEXT)
		return view_row_text(v, r, k, e);
	if (v->mode == VIEW_DEBUG)
		view_row_debug(v, r);
	else if (whole)
		view_row_long(v, r, k);
	else
		view_row_short(v, r, k);
	return 0;
}

/* Is this the row, or of the pack, that was asked for? */
static int meet_row(struct scan *s, const struct ax_row *r, struct ax_err *e)
{
	const struct view *v = s->v;
	bool whole, shown;

	s->n_row++;
	whole = v->row ? s->n_row == (uint64_t)v->row : v->pack && s->n_pack == (uint64_t)v->pack;
	shown = whole || (!v->row && !v->pack && !v->check && s->n_row <= (uint64_t)v->rows);
	s->found |= shown;
	return shown ? show_row(s->v, r, s->n_row, whole, e) : 0;
}

static void title_pack(const struct scan *s, const struct ax_pack *p)
{
	const struct view *v = s->v;
	bool shown = v->pack ? s->n_pack == (uint64_t)v->pack : !v->row && s->n_row < (uint64_t)v->rows;

	if (shown && !v->json && !v->check && v->mode != VIEW_DEBUG)
		printf("pack %" PRIu64 ": %s, %u of %u tokens, %u rows, %u trained\n", s->n_pack, ax_split_name(p->split),
		       p->n, s->r.sequence_len, p->n_doc, p->trained);
}

/* Nothing more to show? Then the rest is read only for its totals. */
static bool satisfied(const struct scan *s)
{
	const struct view *v = s->v;

	if (v->check)
		return false;
	return v->row || v->pack ? s->found : s->n_row >= (uint64_t)v->rows;
}

static int scan_packs(struct scan *s, bool all, struct ax_err *e)
{
	struct ax_pack p;
	bool end = false;

	while (all || !satisfied(s)) {
		AX_TRY(ax_pack_reader_next(&s->r, &p, &end, e));
		if (end)
			return 0;
		s->n_pack++;
		title_pack(s, &p);
		for (uint32_t i = 0; i < p.n_doc; i++)
			AX_TRY(meet_row(s, &p.row[i], e));
	}
	return 0;
}

static int scan_rows(struct scan *s, bool all, struct ax_err *e)
{
	struct ax_row r;
	bool end = false;

	while (all || !satisfied(s)) {
		AX_TRY(ax_stream_next(&s->r.s, &r, &end, e));
		if (end)
			return 0;
		AX_TRY(meet_row(s, &r, e));
	}
	return 0;
}

static int not_there(const struct scan *s, struct ax_err *e)
{
	const struct view *v = s->v;

	if ((!v->row && !v->pack) || s->found)
		return 0;
	if (v->pack && !s->packs)
		return ax_fail(e, AX_EUSAGE, "%s: a token stream, not packed yet; --row shows its rows", s->path);
	return ax_fail(e, AX_EUSAGE, "%s: no %s %" PRId64 "; there are %" PRIu64, s->path, v->row ? "row" : "pack",
		       v->row ? v->row : v->pack, v->row ? s->n_row : s->n_pack);
}

/* Read up to what is to be shown, with `all` to the end, keeping the first stream's trailer. */
static int scan(struct scan *s, bool all, struct ax_err *e)
{
	struct view *v = s->v;
	struct ax_inputs in;
	int rc;

	ax_inputs_init(&in);
	s->r.s.inputs = &in;
	rc = s->packs ? scan_packs(s, all, e) : scan_rows(s, all, e);
	if (!rc)
		rc = not_there(s, e);
	if (!rc && all) {
		s->totals = s->r.s.totals;
		s->n_stream = s->r.s.n_member;
		s->trailer = ax_inputs_trailer(&in, &v->arena);
		if (!s->trailer)
			rc = ax_fail(e, AX_EMEM, "out of memory");
	}
	s->r.s.inputs = NULL;
	ax_inputs_release(&in);
	return rc;
}

/* Rows alone; one row or pack is found by the index where there is one. */
static int scan_one(struct scan *s, const char *what, struct ax_err *e)
{
	struct view *v = s->v;
	const struct ax_val *h = s->r.s.header;
	struct ax_place before;

	AX_TRY(view_text_open(v, h, e));
	if ((v->row || v->pack) && ax_stream_seek(&s->r.s, !v->row, (uint64_t)(v->row ? v->row : v->pack), &before)) {
		s->n_row = before.rows;
		s->n_pack = before.packs;
	}
	AX_TRY(scan(s, false, e));
	return v->json ? add_json(v, s->path, what, h, NULL, NULL, e) : 0;
}

static void show_end(const struct scan *s, struct ax_val *chain)
{
	if (!s->v->header)
		view_provenance(chain);
	if (s->n_stream > 1)
		printf("streams:      %" PRIu64 ", joined; above is how the first was made\n", s->n_stream);
	show_totals(&s->totals);
}

/* Totals and provenance come from the end of a regular file, so that a long one need not be read; else from reading it all. */
static int scan_all(struct scan *s, const char *what, struct ax_err *e)
{
	struct view *v = s->v;
	const struct ax_val *h = s->r.s.header;
	bool ahead = s->r.s.in.seekable && !v->check, quiet = v->json || v->check;
	struct ax_val *chain = NULL;
	struct ax_tail t;

	if (!quiet)
		show_header(v, s->path, !strcmp(what, "tokens") ? "token stream" : !strcmp(what, "packs") ? "stream of packs" :
			    "shard file", h);
	if (!v->check)
		AX_TRY(view_text_open(v, h, e));
	if (ahead) {
		AX_TRY(ax_stream_tail(&s->r.s.in, &v->arena, &t, e));
		s->totals = t.totals;
		s->trailer = t.first;
		s->n_stream = t.n_stream;
	} else {
		AX_TRY(scan(s, true, e));
	}
	chain = ax_provenance(&v->arena, h, s->trailer);
	if (!chain)
		return ax_fail(e, AX_EMEM, "out of memory");
	if (!quiet)
		show_end(s, chain);
	if (ahead)
		AX_TRY(scan(s, false, e));
	if (v->json)
		return add_json(v, s->path, what, h, &s->totals, chain, e);
	if (v->check)
		printf("%s: ok, %" PRIu64 " rows%s\n", s->path, s->totals.sum.n, s->packs ? " in packs" : "");
	return 0;
}

int view_stream(struct view *v, const char *path, struct ax_err *e)
{
	struct scan s = {.v = v};
	int rc;

	if (v->mode == VIEW_SUMMARY)
		return view_summary(v, path, false, e);
	AX_TRY(scan_open(&s, path, e));
	rc = (v->row || v->pack || v->mode != VIEW_ROWS) && !v->check ? scan_one(&s, ax_header_kind(s.r.s.header), e)
					      : scan_all(&s, ax_header_kind(s.r.s.header), e);
	ax_pack_reader_close(&s.r);
	return rc;
}

/* --- shard folders --- */

static int show_packs(struct view *v, struct ax_shards *s, struct ax_err *e)
{
	uint64_t first = v->pack ? (uint64_t)v->pack - 1 : 0, shown = 0;
	struct ax_pack p;

	for (uint64_t i = first; i < s->n_pack[v->split]; i++) {
		if (v->pack ? i > first : shown >= (uint64_t)v->rows)
			break;
		AX_TRY(ax_shards_read(s, v->split, i, &p, e));
		if (!v->json && v->mode != VIEW_DEBUG)
			printf("pack %" PRIu64 ": %s, %u of %u tokens, %u rows, %u trained\n", i + 1,
			       ax_split_name(p.split), p.n, s->sequence_len, p.n_doc, p.trained);
		for (uint32_t d = 0; d < p.n_doc && (v->pack || shown < (uint64_t)v->rows); d++, shown++)
			AX_TRY(show_row(v, &p.row[d], d + 1, v->pack != 0, e));
	}
	if (v->pack && !shown)
		return ax_fail(e, AX_EUSAGE, "%s: no %s pack %" PRId64 "; there are %" PRIu64, s->dir,
			       ax_split_name(v->split), v->pack, s->n_pack[v->split]);
	return 0;
}

static int show_shards(struct view *v, struct ax_shards *s, struct ax_err *e)
{
	if (v->check) {
		AX_TRY(ax_shards_check(s, e));
		if (!v->json)
			printf("%s: ok, %" PRIu64 " packs in %u file%s\n", s->dir, s->n_pack[0] + s->n_pack[1], s->n_shard,
			       s->n_shard > 1 ? "s" : "");
	} else {
		if (v->row)
			return ax_fail(e, AX_EUSAGE, "%s: rows of a shard folder have no order; give --pack N", s->dir);
		AX_TRY(view_text_open(v, s->header, e));
		if (!v->json && !v->pack && v->mode == VIEW_ROWS) {
			show_header(v, s->dir, "shard folder", s->header);
			if (!v->header)
				view_provenance(ax_val_get(s->header, "provenance"));
			printf("files:        %u\n", s->n_shard);
			show_totals(&s->totals);
		}
		AX_TRY(show_packs(v, s, e));
	}
	return v->json ? add_json(v, s->dir, "shards", s->header, &s->totals, NULL, e) : 0;
}

int view_shards(struct view *v, const char *dir, struct ax_err *e)
{
	struct ax_shards s;
	int rc;

	if (v->mode == VIEW_SUMMARY)
		return view_summary(v, dir, true, e);
	AX_TRY(ax_shards_open(&s, dir, e));
	rc = show_shards(v, &s, e);
	ax_shards_close(&s);
	return rc;
}

/* The index means its folder. */
int view_index(struct view *v, const char *path, struct ax_err *e)
{
	char *dir = ax_path_dir(path);
	int rc = dir ? view_shards(v, dir, e) : ax_fail(e, AX_EMEM, "out of memory");

	ax_free(dir);
	return rc;
}
