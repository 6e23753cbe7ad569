/* Records through the threads: read in batches, made into rows in parallel, handed on in the order of the input. */
#include <string.h>

#include "base/hash.h"
#include "text/json.h"
#include "tokenize.h"

#define BATCH_BYTES   ((size_t)1 << 20)
#define BATCH_RECORDS 4096
#define MIN_BATCHES   2 /* a thread: evens out rows of different cost */

struct reader {
	struct tk_plan *plan;
	struct tk_entry *entry; /* NULL: all is read */
	size_t at_entry, at_file;
	uint64_t number; /* of the next record, over the entry's files */
	struct ax_source source;
	bool open;
};

struct crew {
	struct tk_batch *batch;
	size_t n_batch;
};

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

/* The entry and file to read from next; r->entry is NULL when there is none. */
static int next_file(struct reader *r, struct ax_err *e)
{
	while (!r->open) {
		if (!r->entry || r->at_file == r->entry->n_file) {
			r->entry = r->at_entry < r->plan->n_entry ? &r->plan->entry[r->at_entry++] : NULL;
			r->at_file = 0;
			r->number = 0;
			if (!r->entry)
				return 0;
			continue;
		}
		AX_TRY(ax_source_open(&r->source, r->entry->file[r->at_file], r->entry->format, 0, e));
		r->open = true;
	}
	return 0;
}

static void close_file(struct reader *r)
{
	ax_source_close(&r->source);
	r->open = false;
	r->at_file++;
}

/* Is record `number` (from 0) one that this entry takes? */
static bool taken(const struct tk_plan *p, const struct tk_entry *t, uint64_t number)
{
	if (number < t->begin || number >= t->end)
		return false;
	return t->weight >= 1 || ax_split_unit(ax_split_hash(p->seed, AX_SPLIT_WEIGHT, t->source, number)) < t->weight;
}

static int add_record(struct tk_batch *b, const struct ax_record *in, uint64_t number, size_t file, struct ax_err *e)
{
	size_t off = b->text.n;

	ax_buf_add(&b->text, in->p, in->n);
	if (b->text.oom || !AX_GROW(b->rec, b->n_rec, b->cap_rec))
		return no_memory(e); /* and no record of it: those before are still worked on */
	b->rec[b->n_rec++] = (struct tk_record){
	    .off = off, .n = in->n, .line = in->line, .number = number + 1, .file = (uint32_t)file};
	return 0;
}

/* Fill a batch with records of one entry. */
static int read_batch(struct reader *r, struct tk_batch *b, struct ax_err *e)
{
	ax_buf_reset(&b->text);
	b->n_rec = 0;
	AX_TRY(next_file(r, e));
	b->entry = r->entry;
	while (r->entry && r->entry == b->entry && b->text.n < BATCH_BYTES && b->n_rec < BATCH_RECORDS) {
		struct ax_record in;
		bool end;

		AX_TRY(ax_source_next(&r->source, &in, &end, e));
		if (end || r->number >= r->entry->end) {
			close_file(r);
			if (r->at_file == r->entry->n_file)
				break;
			AX_TRY(next_file(r, e));
			continue;
		}
		if (taken(r->plan, r->entry, r->number)) {
			uint64_t *h = &r->entry->hash[r->at_file];

			*h = ax_hash64_seed(in.p, in.n, *h);
			AX_TRY(add_record(b, &in, r->number, r->at_file, e));
		}
		r->number++;
	}
	return 0;
}

/* A row of a plain text file: {FIELD: line}. */
static int text_row(struct tk_batch *b, const char *p, size_t n, struct ax_val **row, struct ax_err *e)
{
	const char *field = ax_rows_text_field(b->entry->rows);

	if (!field)
		return ax_fail(e, AX_EUSAGE, "plain text goes with type completion or pretrain only");
	*row = ax_val_map(&b->json);
	if (!*row || !ax_val_set(&b->json, *row, field, ax_val_str(&b->json, p, n)))
		return no_memory(e);
	return 0;
}

static bool is_text(const struct tk_entry *t, uint32_t file)
{
	const char *s = t->file[file];
	size_t n = strlen(s);

	if (t->format != AX_SOURCE_AUTO)
		return t->format == AX_SOURCE_TEXT;
	n -= n > 3 && !strcmp(s + n - 3, ".gz") ? 3 : n > 4 && !strcmp(s + n - 4, ".zst") ? 4 : 0;
	return n >= 4 && !memcmp(s + n - 4, ".txt", 4);
}

static int make_record(struct tk_batch *b, struct tk_record *r, struct ax_err *e)
{
	struct ax_rows_work **w = &b->work[b->entry->source];
	const char *p = b->text.p ? b->text.p + r->off : "";
	struct ax_val *row;

	if (!*w)
		AX_TRY(ax_rows_work_new(w, b->entry->rows, e));
	ax_arena_clear(&b->json);
	if (is_text(b->entry, r->file))
		AX_TRY(text_row(b, p, r->n, &row, e));
	else
		AX_TRY(ax_json_parse(&b->json, p, r->n, &row, e));
	return ax_rows_make(b->entry->rows, row, &b->made, *w, e);
}

static void make_batch(void *ctx, size_t i)
{
	struct tk_batch *b = &((struct crew *)ctx)->batch[i];

	ax_made_reset(&b->made);
	ax_arena_clear(&b->messages);
	for (size_t k = 0; k < b->n_rec; k++) {
		struct tk_record *r = &b->rec[k];
		struct ax_err e = {0};

		r->row = b->made.n_row;
		r->code = make_record(b, r, &e);
		r->n_row = b->made.n_row - r->row;
		r->message = r->code ? ax_arena_strndup(&b->messages, e.msg, strlen(e.msg)) : NULL;
	}
}

static void crew_release(struct crew *c, const struct tk_plan *p)
{
	for (size_t i = 0; i < c->n_batch; i++) {
		struct tk_batch *b = &c->batch[i];

		for (size_t k = 0; b->work && k < p->n_entry; k++)
			ax_rows_work_free(b->work[k]);
		ax_free(b->work);
		ax_free(b->rec);
		ax_buf_release(&b->text);
		ax_made_release(&b->made);
		ax_arena_release(&b->json);
		ax_arena_release(&b->messages);
	}
	ax_free(c->batch);
}

static int crew_init(struct crew *c, const struct tk_plan *p, size_t n, struct ax_err *e)
{
	c->n_batch = 0;
	c->batch = ax_calloc(n, sizeof(*c->batch));
	if (!c->batch)
		return no_memory(e);
	for (; c->n_batch < n; c->n_batch++) {
		struct tk_batch *b = &c->batch[c->n_batch];

		ax_arena_init(&b->json, 0);
		ax_arena_init(&b->messages, 0);
		b->work = ax_calloc(p->n_entry + 1, sizeof(struct ax_rows_work *));
		if (!b->work) {
			crew_release(c, p);
			return no_memory(e);
		}
	}
	return 0;
}

static int go(struct tk_plan *p, struct tk_sink *s, struct crew *c, struct ax_pool *pool, struct reader *r,
	      struct ax_err *e)
{
	struct ax_progress progress;
	int rc = 0, read_rc = 0;

	ax_progress_init(&progress, 30);
	while (!rc && !read_rc) {
		struct ax_err read_err = {0};
		size_t n = 0;

		while (n < c->n_batch && !read_rc) {
			read_rc = read_batch(r, &c->batch[n], &read_err);
			if (c->batch[n].n_rec == 0 && !r->entry)
				break;
			n++;
		}
		if (n == 0 && !read_rc)
			break;
		ax_pool_run(pool, n, make_batch, c);
		for (size_t i = 0; i < n && !rc; i++)
			rc = tk_sink_batch(s, &c->batch[i], e);
		/* what was read before the fault has been dealt with: a bad row in it is told first */
		if (!rc && read_rc && e)
			*e = read_err;
		if (ax_progress_due(&progress))
			tk_progress(s, &progress);
	}
	ax_progress_done(&progress);
	return rc ? rc : read_rc;
}

int tk_run(struct tk_plan *p, struct tk_sink *s, struct ax_err *e)
{
	int threads = (int)ax_conf_opt_int(p->conf, "threads", ax_cores_allowed()), rc;
	struct reader r = {.plan = p};
	struct ax_pool *pool = NULL;
	struct crew c;

	AX_TRY(ax_pool_new(&pool, threads, e));
	rc = crew_init(&c, p, (size_t)threads * MIN_BATCHES, e);
	if (!rc) {
		rc = go(p, s, &c, pool, &r, e);
		crew_release(&c, p);
	}
	if (r.open)
		ax_source_close(&r.source);
	ax_pool_free(pool);
	return rc;
}
