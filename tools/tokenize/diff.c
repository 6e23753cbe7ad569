/* --mask-diff: no stream, but each place where the masks exact and axolotl of a conversation differ, and why. */
#include <stdio.h>
#include <string.h>

#include "text/json.h"
#include "text/unicode.h"
#include "tok/show.h"
#include "tokenize.h"

#define SHOWN_TOKENS 48 /* of a stretch, in text */

typedef unsigned long long ull;

static void put_role(struct ax_buf *b, const struct ax_rows_diff *d, const struct ax_diff *x, unsigned flags)
{
	const struct ax_val *role = ax_val_get(d->thread.turn[x->turn].msg, "role");

	if (role && role->type == AX_STR)
		ax_json_write_str(b, role->u.s, role->n, flags);
	else
		ax_buf_adds(b, "null");
}

/* FILE:LINE: turn N "ROLE", tokens B-E: trained by exact alone, REASON: TEXT */
static void put_text(struct tk_batch *b, const char *file, const struct tk_record *r, const struct ax_rows_diff *d,
		     const struct ax_diff *x, const struct ax_tokenizer *tok)
{
	size_t n = x->end - x->begin, shown = n > SHOWN_TOKENS ? SHOWN_TOKENS : n;

	ax_buf_addf(&b->diff, "%s:%llu: turn %u ", file, (ull)r->line, x->turn + 1);
	put_role(&b->diff, d, x, AX_JSON_ASCII);
	ax_buf_addf(&b->diff, ", token%s %zu", n > 1 ? "s" : "", x->begin);
	if (n > 1)
		ax_buf_addf(&b->diff, "-%zu", x->end - 1);
	ax_buf_addf(&b->diff, ": trained by %s alone, %s: ", x->exact ? "exact" : "axolotl", ax_diff_name(x->reason));
	ax_show_tokens(&b->diff, tok, d->ids->id + x->begin, shown);
	if (shown < n)
		ax_buf_addf(&b->diff, " ... and %zu more tokens", n - shown);
	ax_buf_addc(&b->diff, '\n');
}

static void put_one_json(struct ax_buf *b, const struct ax_rows_diff *d, const struct ax_diff *x)
{
	size_t from = d->ids->begin[x->begin], to = d->ids->end[x->end - 1];
	struct ax_buf text = AX_BUF_INIT;

	ax_utf8_repair(&text, d->text + from, to > from ? to - from : 0);
	ax_buf_addf(b, "{\"turn\": %u, \"role\": ", x->turn + 1);
	put_role(b, d, x, 0);
	ax_buf_addf(b, ", \"begin\": %zu, \"end\": %zu, \"trained_by\": \"%s\", \"reason\": \"%s\", \"text\": ", x->begin, x->end,
		    x->exact ? "exact" : "axolotl", ax_diff_name(x->reason));
	ax_json_write_str(b, text.p ? text.p : "", text.n, 0);
	ax_buf_addc(b, '}');
	b->oom |= text.oom;
	ax_buf_release(&text);
}

static void put_json(struct tk_batch *b, const char *file, const struct tk_record *r, const struct ax_rows_diff *d)
{
	ax_buf_adds(&b->diff_json, "{\"file\": ");
	ax_json_write_str(&b->diff_json, file, strlen(file), 0);
	ax_buf_addf(&b->diff_json, ", \"line\": %llu, \"number\": %llu, \"differences\": [", (ull)r->line, (ull)r->number);
	for (size_t i = 0; i < d->diffs.n; i++) {
		if (i)
			ax_buf_adds(&b->diff_json, ", ");
		put_one_json(&b->diff_json, d, &d->diffs.diff[i]);
	}
	ax_buf_adds(&b->diff_json, "]}\n");
}

int tk_diff_record(struct tk_batch *b, struct tk_record *r, const struct ax_val *row, struct ax_rows_work *w,
		   struct ax_rows_diff *d, const struct ax_tokenizer *tok, struct ax_err *e)
{
	const char *file = tk_file_name(b->entry, r->file);

	r->diff = r->diff_json = 0;
	AX_TRY(ax_rows_diff(b->entry->rows, row, d, w, e));
	r->chat = d->chat;
	r->reasons = 0;
	r->diff = b->diff.n;
	r->diff_json = b->diff_json.n;
	for (size_t i = 0; i < d->diffs.n; i++) {
		r->reasons |= 1u << d->diffs.diff[i].reason;
		put_text(b, file, r, d, &d->diffs.diff[i], tok);
	}
	if (d->diffs.n)
		put_json(b, file, r, d);
	r->diff_n = b->diff.n - r->diff;
	r->diff_json_n = b->diff_json.n - r->diff_json;
	return b->diff.oom || b->diff_json.oom ? ax_fail(e, AX_EMEM, "out of memory") : 0;
}

int tk_diff_good(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *r, struct ax_err *e)
{
	struct tk_diff_stats *t = &s->diff;

	t->chats += r->chat;
	t->differ += r->reasons != 0;
	for (int i = 0; i < AX_N_DIFF; i++)
		t->reason[i] += (r->reasons >> i) & 1;
	if (!r->reasons)
		return 0;
	if (s->has_diff_json)
		AX_TRY(ax_out_write(&s->diff_json, b->diff_json.p + r->diff_json, r->diff_json_n, e));
	return s->diff_text ? ax_out_write(s->out, b->diff.p + r->diff, r->diff_n, e) : 0;
}

static void sum_text(struct tk_sink *s)
{
	const struct tk_diff_stats *t = &s->diff;
	ull others = (ull)(s->stats.records - s->stats.bad - t->chats);

	ax_buf_reset(&s->json);
	ax_buf_addf(&s->json, "%llu of %llu conversations differ", (ull)t->differ, (ull)t->chats);
	if (others)
		ax_buf_addf(&s->json, "; %llu other row%s one mask", others, others == 1 ? " has" : "s have");
	ax_buf_addc(&s->json, '\n');
	for (int i = 0; i < AX_N_DIFF; i++)
		if (t->reason[i])
			ax_buf_addf(&s->json, "%12s: %llu: %s\n", ax_diff_name((enum ax_diff_reason)i), (ull)t->reason[i],
				    ax_diff_meaning((enum ax_diff_reason)i));
}

static void sum_json(struct tk_sink *s)
{
	const struct tk_diff_stats *t = &s->diff;
	const char *between = "";

	ax_buf_reset(&s->json);
	ax_buf_addf(&s->json, "{\"rows\": %llu, \"conversations\": %llu, \"differ\": %llu, \"reasons\": {", (ull)s->stats.records,
		    (ull)t->chats, (ull)t->differ);
	for (int i = 0; i < AX_N_DIFF; i++)
		if (t->reason[i]) {
			ax_buf_addf(&s->json, "%s\"%s\": %llu", between, ax_diff_name((enum ax_diff_reason)i), (ull)t->reason[i]);
			between = ", ";
		}
	ax_buf_adds(&s->json, "}}\n");
}

/* All lines, the sums, and an error where any row differs. */
static int diff_rows(struct tk_plan *p, struct tk_sink *s, struct ax_err *e)
{
	AX_TRY(tk_run(p, s, e));
	AX_TRY(tk_sink_check_bad(s, e));
	if (s->has_rejects)
		AX_TRY(ax_out_commit(&s->rejects, e));
	if (s->has_diff_json) {
		sum_json(s);
		AX_TRY(s->json.oom ? ax_fail(e, AX_EMEM, "out of memory") : ax_out_write(&s->diff_json, s->json.p, s->json.n, e));
		AX_TRY(ax_out_commit(&s->diff_json, e));
	}
	sum_text(s);
	if (s->diff_text)
		AX_TRY(s->json.oom ? ax_fail(e, AX_EMEM, "out of memory") : ax_out_write(s->out, s->json.p, s->json.n, e));
	return 0;
}

int tk_mask_diff(struct ax_conf *c, struct ax_err *e)
{
	const char *path = ax_conf_opt_str(c, "output"), *json = ax_conf_opt_str(c, "json");
	struct tk_sink s = {0};
	struct ax_out out = {0};
	struct tk_plan p;
	struct tk_opt o;
	int rc;

	if (ax_conf_opt_given(c, "mask"))
		return ax_fail(e, AX_EUSAGE, "--mask-diff compares both masks; leave out --mask");
	AX_TRY(tk_opt_read(&o, c, e));
	o.diff = true;
	rc = tk_plan_init(&p, c, true, e);
	if (rc)
		goto plan;
	AX_GOTO(ax_out_open(&out, path ? path : "-", AX_OUT_TEXT, e));
	s.out = &out;
	s.diff_text = !json || strcmp(json, "-") || path;
	AX_GOTO(tk_sink_init(&s, &p, &o, e));
	if (json) {
		AX_GOTO(ax_out_open(&s.diff_json, json, AX_OUT_TEXT, e));
		s.has_diff_json = true;
	}
	AX_GOTO(diff_rows(&p, &s, e));
	AX_GOTO(ax_out_commit(&out, e));
	if (s.diff.differ)
		rc = ax_fail(e, AX_ECHECK, "the masks of %llu row%s differ", (ull)s.diff.differ, s.diff.differ == 1 ? "" : "s");
out:
	ax_out_abort(&out);
	if (s.has_diff_json)
		ax_out_abort(&s.diff_json);
	tk_sink_release(&s);
plan:
	tk_plan_release(&p);
	return rc;
}
