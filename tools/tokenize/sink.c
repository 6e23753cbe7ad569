/* What becomes of rows: filters, duplicates, split, order, output. */
#include <stdio.h>
#include <string.h>

#include "tokenize.h"

#define SHUFFLE_ROWS  65536
#define SHUFFLE_BYTES ((size_t)48 << 20)

static const char *const note_text[TK_N_NOTE] = {
    "rows with a trained turn whose end is not trained",
    "rows with a trained turn that the template does not show",
    "rows that begin with two beginning-of-text tokens",
    "rows with a prompt or answer cut at sequence_len",
    "rows hold text of special tokens, which stays text",
};

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

int tk_sink_init(struct tk_sink *s, const struct tk_plan *p, const struct tk_opt *o, struct ax_err *e)
{
	s->plan = p;
	s->opt = o;
	s->stats.start = ax_now();
	for (int i = 0; i < TK_N_NOTE; i++)
		s->stats.note[i].what = note_text[i];
	ax_hold_init(&s->hold, (size_t)o->eval_count);
	ax_spool_init(&s->lines, NULL);
	if (o->rejects) {
		AX_TRY(ax_out_open(&s->rejects, o->rejects, AX_OUT_TEXT, e));
		s->has_rejects = true;
	}
	return ax_shuffle_init(&s->shuffle, p->seed, SHUFFLE_ROWS, SHUFFLE_BYTES, e);
}

void tk_sink_release(struct tk_sink *s)
{
	if (s->has_rejects)
		ax_out_abort(&s->rejects);
	ax_drops_release(&s->stats.named);
	ax_seen_release(&s->seen);
	ax_shuffle_release(&s->shuffle);
	ax_hold_release(&s->hold);
	ax_spool_release(&s->lines);
	ax_buf_release(&s->line);
	ax_buf_release(&s->group);
	ax_buf_release(&s->out_group);
	ax_buf_release(&s->json);
}

/* --- writing --- */

static int write_row(struct tk_sink *s, const struct ax_row *r, struct ax_err *e)
{
	s->stats.rows[r->split]++;
	s->stats.tokens[r->split] += r->n;
	s->stats.trained[r->split] += ax_row_trained(r);
	return s->writer ? ax_stream_write(s->writer, r, e) : 0;
}

static int drain_one(struct tk_sink *s, const struct ax_row *r, bool *any, struct ax_err *e)
{
	unsigned char *block;
	struct ax_row out;
	int rc = 0;

	AX_TRY(ax_shuffle_step(&s->shuffle, r, &block, e));
	*any = block != NULL;
	if (!block)
		return 0;
	ax_shuffle_row(block, &out);
	rc = write_row(s, &out, e);
	ax_shuffle_free(block);
	return rc;
}

static int shuffle_row(struct tk_sink *s, const struct ax_row *r, struct ax_err *e)
{
	bool any;

	AX_TRY(drain_one(s, r, &any, e));
	while (s->shuffle.bytes > s->shuffle.max_bytes)
		AX_TRY(drain_one(s, NULL, &any, e));
	return 0;
}

/* Rows of one input row, as bytes, whose split is known. */
static int emit_group(struct tk_sink *s, const char *bytes, size_t n, bool eval, struct ax_err *e)
{
	const unsigned char *p = (const unsigned char *)bytes, *end = p + n;

	while (p < end) {
		struct ax_row r;

		ax_row_take(&p, &r);
		r.split = eval ? AX_SPLIT_EVAL : AX_SPLIT_TRAIN;
		AX_TRY(!eval && s->opt->shuffle ? shuffle_row(s, &r, e) : write_row(s, &r, e));
	}
	return 0;
}

static uint64_t split_hash(const struct tk_sink *s, const struct tk_batch *b, const struct tk_record *r)
{
	return ax_split_hash(s->plan->seed, AX_SPLIT_EVAL_SET, b->entry->source, r->number);
}

/* Is the record for evaluation, as far as that can be said before the last one? */
static bool is_eval(const struct tk_sink *s, const struct tk_batch *b, const struct tk_record *r)
{
	return b->entry->eval || (s->opt->eval_share > 0 && ax_split_unit(split_hash(s, b, r)) < s->opt->eval_share);
}

/* Pass on the rows in s->group, those of one record, or hold them back until the split is known. */
static int pass_group(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *r, struct ax_err *e)
{
	if (s->group.n == 0)
		return 0;
	if (b->entry->eval || !s->opt->eval_count)
		return emit_group(s, s->group.p, s->group.n, is_eval(s, b, r), e);
	AX_TRY(ax_hold_push(&s->hold, split_hash(s, b, r), b->entry->source, r->number, &s->group, &s->out_group, e));
	return emit_group(s, s->out_group.p, s->out_group.n, false, e);
}

/* --print with a count: the heap remembers which lines a record became, from `first` on. */
static int hold_lines(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *r, uint64_t first,
		      struct ax_err *e)
{
	ax_buf_reset(&s->group);
	ax_buf_add_u64(&s->group, first);
	ax_buf_add_u64(&s->group, s->n_line);
	if (s->group.oom)
		return no_memory(e);
	return ax_hold_push(&s->hold, split_hash(s, b, r), b->entry->source, r->number, &s->group, &s->out_group, e);
}

/* --- filters --- */

/* Why a row is dropped, or NULL; cuts it if that is the strategy. AX_EDATA with excess_length_strategy: raise. */
static int filter(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *rec, struct ax_row *r,
		  const char **why, char detail[64], struct ax_err *e)
{
	uint32_t limit = b->entry->eval ? s->opt->eval_sequence_len : s->opt->sequence_len;
	bool fresh = true;

	*why = NULL;
	detail[0] = '\0';
	if (r->n < s->opt->min_len) {
		*why = r->n ? "too_short" : "empty";
	} else if (r->n > limit && s->opt->excess == TK_TRUNCATE) {
		AX_TRY(tk_count_drop(s, b, rec, r->split, "too_long", NULL, e));
		r->n = limit;
	} else if (r->n > limit && s->opt->excess == TK_RAISE) {
		return ax_fail(e, AX_EDATA, "%s:%llu: the row has %u tokens, sequence_len is %u",
			       tk_file_name(b->entry, rec->file), (unsigned long long)rec->line, r->n, limit);
	} else if (r->n > limit) {
		*why = "too_long";
	}
	snprintf(detail, 64, "%u tokens", r->n);
	if (!*why && ax_row_trained(r) == 0)
		*why = "nothing_trained";
	if (!*why && s->opt->dedup) {
		AX_TRY(ax_seen_add(&s->seen, r, &fresh, e));
		*why = fresh ? NULL : "duplicate";
	}
	return 0;
}

static int print_row(struct tk_sink *s, const struct ax_row *r, bool eval, const char *dropped, struct ax_err *e)
{
	ax_buf_reset(&s->out_group);
	ax_row_put(&s->out_group, r);
	if (s->out_group.oom)
		return no_memory(e);
	return tk_print_group(s, (unsigned char *)s->out_group.p, s->out_group.n, eval, dropped, e);
}

static int drop_row(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *rec, const struct ax_row *r,
		    const char *why, const char *detail, struct ax_err *e)
{
	AX_TRY(tk_count_drop(s, b, rec, r->split, why, detail, e));
	if (!s->opt->print)
		return 0;
	return s->opt->all ? print_row(s, r, b->entry->eval, why, e) : tk_print_dropped(s, why, NULL, e);
}

/* A row that is kept: into the record's group, or printed at once. */
static int keep_row(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *rec, struct ax_row *r,
		    struct ax_err *e)
{
	if (!s->opt->print) {
		ax_row_put(&s->group, r);
		return s->group.oom ? no_memory(e) : 0;
	}
	r->split = is_eval(s, b, rec) ? AX_SPLIT_EVAL : AX_SPLIT_TRAIN;
	AX_TRY(print_row(s, r, r->split == AX_SPLIT_EVAL, NULL, e));
	return write_row(s, r, e);
}

static int good_record(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *rec, struct ax_err *e)
{
	uint64_t first = s->n_line;
	size_t kept = 0;
	unsigned note = 0;
	char detail[64];
	const char *why;

	ax_buf_reset(&s->group);
	for (size_t i = rec->row; i < rec->row + rec->n_row; i++) {
		struct ax_row r;

		ax_made_get(&b->made, i, &r);
		r.source = b->entry->source;
		r.number = rec->number;
		r.split = b->entry->eval ? AX_SPLIT_EVAL : AX_SPLIT_TRAIN;
		AX_TRY(filter(s, b, rec, &r, &why, detail, e));
		if (why) {
			AX_TRY(drop_row(s, b, rec, &r, why, detail, e));
			continue;
		}
		if (s->n_kept[r.split]++ % s->opt->shards != s->opt->shard)
			continue;
		note |= b->made.row[i].note;
		AX_TRY(keep_row(s, b, rec, &r, e));
		kept++;
	}
	tk_count_note(s, b, rec, note);
	if (rec->n_row == 0) {
		AX_TRY(tk_count_drop(s, b, rec, b->entry->eval, "empty", NULL, e));
		if (s->opt->print)
			AX_TRY(tk_print_dropped(s, "empty", NULL, e));
	}
	if (s->opt->print && kept && s->opt->eval_count && !b->entry->eval)
		return hold_lines(s, b, rec, first, e);
	return pass_group(s, b, rec, e);
}

const char *tk_file_name(const struct tk_entry *t, size_t i)
{
	return strcmp(t->file[i], "-") ? t->file[i] : "stdin";
}

void tk_place(const char *file, uint64_t first, bool made, const char *message, char *out, size_t n)
{
	unsigned long long line = 0, column = 0;
	int used = 0;

	if (sscanf(message, "line %llu, column %llu: %n", &line, &column, &used) == 2 && used > 0 && !made)
		snprintf(out, n, "%s:%llu:%llu: %s", file, (unsigned long long)first + line - 1, column, message + used);
	else
		snprintf(out, n, "%s:%llu: %s", file, (unsigned long long)first, message + used);
}

static int bad_record(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *rec, struct ax_err *e)
{
	char text[AX_ERR_MAX];

	tk_place(tk_file_name(b->entry, rec->file), rec->line, rec->made, rec->message ? rec->message : "out of memory",
		 text, sizeof(text));
	if (rec->code != AX_EDATA || s->stats.bad >= s->opt->max_bad)
		return ax_fail(e, rec->code, "%s", text);
	s->stats.bad++;
	AX_TRY(tk_count_drop(s, b, rec, b->entry->eval, "bad_row", text, e));
	return s->opt->print ? tk_print_dropped(s, "bad_row", text, e) : 0;
}

int tk_sink_batch(struct tk_sink *s, const struct tk_batch *b, struct ax_err *e)
{
	s->stats.bytes += b->text.n;
	for (size_t i = 0; i < b->n_rec; i++) {
		s->stats.records++;
		AX_TRY((b->rec[i].code ? bad_record : s->opt->diff ? tk_diff_good : good_record)(s, b, &b->rec[i], e));
	}
	return 0;
}

static int finish_held(struct tk_sink *s, struct ax_err *e)
{
	bool any = true;

	while (any) {
		AX_TRY(ax_hold_pop(&s->hold, &s->out_group, &any, e));
		if (any)
			AX_TRY(emit_group(s, s->out_group.p, s->out_group.n, true, e));
	}
	return 0;
}

/* A run that gives nothing is a mistake: the wrong file, the wrong type, or filters that take all. */
static int check_rows(const struct tk_sink *s, struct ax_err *e)
{
	if (s->stats.records == 0)
		return ax_fail(e, AX_EDATA, "no rows: the input is empty");
	if (!s->opt->print && s->stats.rows[0] + s->stats.rows[1] == 0)
		return ax_fail(e, AX_EDATA, "no row is left of %llu: all were dropped%s%s",
			       (unsigned long long)s->stats.records, s->stats.n_reason ? ", first for " : "",
			       s->stats.n_reason ? s->stats.reason[0].name : "");
	return 0;
}

int tk_sink_check_bad(const struct tk_sink *s, struct ax_err *e)
{
	if (s->opt->max_bad == UINT64_MAX && (double)s->stats.bad > s->opt->max_bad_share * (double)s->stats.records)
		return ax_fail(e, AX_EDATA, "%llu of %llu rows are bad: more than --max-bad allows",
			       (unsigned long long)s->stats.bad, (unsigned long long)s->stats.records);
	return 0;
}

int tk_sink_finish(struct tk_sink *s, struct ax_err *e)
{
	bool any = true;

	AX_TRY(tk_sink_check_bad(s, e));
	while (any)
		AX_TRY(drain_one(s, NULL, &any, e));
	if (s->opt->print)
		AX_TRY(tk_print_finish(s, e));
	else
		AX_TRY(finish_held(s, e));
	AX_TRY(check_rows(s, e));
	return s->has_rejects ? ax_out_commit(&s->rejects, e) : 0;
}
