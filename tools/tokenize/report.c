/* Counts, the first rows of each kind on stderr, the rejects file, the final summary and --json. */
#include <stdio.h>
#include <string.h>

#include "text/json.h"
#include "tok/show.h"
#include "tokenize.h"

typedef unsigned long long ull;

static struct tk_reason *reason_of(struct tk_stats *t, const char *name)
{
	for (size_t i = 0; i < t->n_reason; i++)
		if (!strcmp(t->reason[i].name, name))
			return &t->reason[i];
	if (t->n_reason == TK_N_REASON)
		return &t->reason[TK_N_REASON - 1];
	t->reason[t->n_reason] = (struct tk_reason){name, 0};
	return &t->reason[t->n_reason++];
}

/* A line of four cells; names and messages may hold anything. */
static int reject(struct tk_sink *s, const char *file, const struct tk_record *r, const char *reason,
		  const char *detail, struct ax_err *e)
{
	struct ax_buf *b = &s->json;

	ax_buf_reset(b);
	ax_show_line(b, file, strlen(file));
	ax_buf_addf(b, "\t%llu\t%s\t", (ull)r->line, reason);
	if (detail)
		ax_show_line(b, detail, strlen(detail));
	ax_buf_addc(b, '\n');
	return b->oom ? ax_fail(e, AX_EMEM, "out of memory") : ax_out_write(&s->rejects, b->p, b->n, e);
}

/* A row that is dropped, or cut (detail == NULL and reason too_long). The first few of each reason are named. */
int tk_count_drop(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *r, int split,
		  const char *reason, const char *detail, struct ax_err *e)
{
	bool cut = !detail && !strcmp(reason, "too_long");
	struct tk_reason *t = reason_of(&s->stats, cut ? "truncated" : reason);
	const char *file = tk_file_name(b->entry, r->file);

	(cut ? ax_totals_truncated : ax_totals_dropped)(&s->stats.drops, split, reason, 1);
	ax_drops_add(&s->stats.named, b->entry->source, split, reason, cut, r->number);
	if (t->n++ < TK_SHOWN) {
		if (!strcmp(reason, "bad_row"))
			ax_warn("bad row: %s", detail);
		else
			ax_info("%s %s: %s:%llu%s%s", cut ? "cut" : "dropped", reason, file, (ull)r->line,
				detail && *detail ? ", " : "", detail ? detail : "");
	}
	return s->has_rejects && !cut ? reject(s, file, r, reason, detail, e) : 0;
}

void tk_count_note(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *r, unsigned note)
{
	for (unsigned i = 0; i < TK_N_NOTE; i++) {
		struct tk_note *t = &s->stats.note[i];

		if (!(note & 1u << i))
			continue;
		if (t->n++ < TK_SHOWN) {
			size_t at = strlen(t->first);

			snprintf(t->first + at, sizeof(t->first) - at, "%s%s:%llu", at ? ", " : "", tk_file_name(b->entry, r->file),
				 (ull)r->line);
		}
	}
}

void tk_progress(struct tk_sink *s, struct ax_progress *p)
{
	double t = ax_now() - s->stats.start;
	char bytes[32];

	ax_progress_print(p, "%llu rows in, %llu out, %llu tokens, %.1f MB/s of %s", (ull)s->stats.records,
			  (ull)(s->stats.rows[0] + s->stats.rows[1]), (ull)(s->stats.tokens[0] + s->stats.tokens[1]),
			  t > 0 ? (double)s->stats.bytes / t / 1e6 : 0, ax_human_bytes(s->stats.bytes, bytes));
}

static void summary(const struct tk_stats *t, double seconds)
{
	uint64_t tokens = t->tokens[0] + t->tokens[1], trained = t->trained[0] + t->trained[1];

	ax_info("%llu rows in; %llu for training, %llu for evaluation; %llu tokens, %.1f %% trained; %.2f s, %.1f MB/s",
		(ull)t->records, (ull)t->rows[0], (ull)t->rows[1], (ull)tokens,
		tokens ? 100.0 * (double)trained / (double)tokens : 0.0, seconds,
		seconds > 0 ? (double)t->bytes / seconds / 1e6 : 0.0);
	for (size_t i = 0; i < t->n_reason; i++)
		ax_info("%s: %llu", t->reason[i].name, (ull)t->reason[i].n);
	for (size_t i = 0; i < TK_N_NOTE; i++)
		if (t->note[i].n)
			ax_warn("%llu %s, first %s", (ull)t->note[i].n, t->note[i].what, t->note[i].first);
}

static bool set_int(struct ax_arena *a, struct ax_val *m, const char *key, uint64_t v)
{
	return ax_val_set(a, m, key, ax_val_int(a, (int64_t)v));
}

static struct ax_val *split_json(struct ax_arena *a, const struct tk_stats *t, int k)
{
	struct ax_val *m = ax_val_map(a);
	bool ok = m && set_int(a, m, "rows", t->rows[k]) && set_int(a, m, "tokens", t->tokens[k]) &&
		  set_int(a, m, "trained_tokens", t->trained[k]);

	return ok ? m : NULL;
}

/* Rows that passed the filters, of whatever part. */
static uint64_t kept_rows(const struct tk_sink *s)
{
	uint64_t n = 0;

	for (int i = 0; i < AX_N_SPLIT; i++)
		n += s->n_kept[i];
	return n;
}

static struct ax_val *stats_json(struct ax_arena *a, const struct tk_sink *s, double seconds)
{
	static const char *const note_key[TK_N_NOTE] = {"turn_end_not_trained", "turn_not_shown", "double_bos",
							"cut_at_sequence_len", "text_of_special_tokens"};
	const struct tk_stats *t = &s->stats;
	struct ax_val *m = ax_val_map(a), *drops = ax_val_map(a), *notes = ax_val_map(a), *train, *eval;
	bool ok = m && drops && notes;

	train = ok ? split_json(a, t, 0) : NULL;
	eval = ok ? split_json(a, t, 1) : NULL;
	ok = train && eval && set_int(a, m, "rows_in", t->records) && set_int(a, m, "bytes_in", t->bytes) &&
	     (s->opt->shards < 2 || set_int(a, m, "rows_of_other_parts", kept_rows(s) - t->rows[0] - t->rows[1]));
	ok = ok && ax_val_set(a, m, "train", train) && ax_val_set(a, m, "eval", eval);
	for (size_t i = 0; ok && i < t->n_reason; i++)
		ok = set_int(a, drops, t->reason[i].name, t->reason[i].n);
	for (size_t i = 0; ok && i < TK_N_NOTE; i++)
		ok = set_int(a, notes, note_key[i], t->note[i].n);
	ok = ok && ax_val_set(a, m, "dropped", drops) && ax_val_set(a, m, "notes", notes);
	ok = ok && ax_val_set(a, m, "seconds", ax_val_float(a, seconds));
	return ok ? m : NULL;
}

int tk_report(const struct tk_sink *s, struct ax_conf *c, struct ax_err *e)
{
	double seconds = ax_now() - s->stats.start;
	const char *path = ax_conf_opt_str(c, "json");
	struct ax_buf b = AX_BUF_INIT;
	struct ax_val *v;
	char bytes[32];
	int rc;

	summary(&s->stats, seconds);
	if (s->opt->shards > 1)
		ax_info("part %llu of %llu: %llu rows are of the others", (ull)s->opt->shard, (ull)s->opt->shards,
			(ull)(kept_rows(s) - s->stats.rows[0] - s->stats.rows[1]));
	if (s->seen.cap)
		ax_info("exact de-duplication: %zu different rows, %s of memory", s->seen.n,
			ax_human_bytes((uint64_t)s->seen.cap * 16, bytes));
	if (s->opt->eval_share > 0 && s->stats.rows[AX_SPLIT_EVAL] == 0)
		ax_warn("val_set_size %g of so few rows holds none back for evaluation", s->opt->eval_share);
	if (s->stats.rows[AX_SPLIT_TRAIN] == 0 && s->stats.rows[AX_SPLIT_EVAL])
		ax_warn("no row is left for training: all are for evaluation");
	if (!path)
		return 0;
	v = stats_json(&c->arena, s, seconds);
	if (v)
		ax_json_write(&b, v, AX_JSON_INDENT2);
	ax_buf_addc(&b, '\n');
	rc = !v || b.oom ? ax_fail(e, AX_EMEM, "out of memory") : ax_write_file(path, b.p, b.n, e);
	ax_buf_release(&b);
	return rc;
}
