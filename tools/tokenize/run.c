/*
 * Records through the threads: read in batches, made into rows, handed on in the order of the input. One thread at a time
 * reads, one at a time hands on, all others make rows or seal blocks of the output; whoever is free takes what there is to
 * do, so that no thread has a part of its own to wait for.
 */
#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "text/json.h"
#include "tokenize.h"

#define BATCH_BYTES   ((size_t)1 << 20)
#define BATCH_RECORDS 4096
#define BATCHES	      2 /* a thread: evens out rows of different cost */
#define FLIGHT	      ((size_t)64 << 20) /* text of long rows that may wait, beside BATCH_BYTES a batch */
#define LONG	      ((size_t)8 << 20)	 /* memory of batches with more text is not kept */

struct reader {
	struct tk_plan *plan;
	struct tk_entry *entry; /* NULL: all is read */
	size_t at_entry, at_file;
	uint64_t number; /* of the next record, over the entry's files */
	struct ax_source source;
	bool open;
};

/* What a thread makes rows with. */
struct maker {
	struct ax_arena json;
	struct ax_rows_work **work; /* by source, made when needed */
	const struct ax_tokenizer *tok;
	bool diff; /* --mask-diff: */
	struct ax_rows_diff differences;
};

/*
 * Batches in a ring: those numbered [head, tail) are read, and being made or made; head is the next to hand on. Under the
 * lock, but for the reader, which is the thread's that has set `reading`, and sink, e and progress, that has set `sinking`.
 */
struct crew {
	const struct tk_plan *plan;
	struct reader reader;
	struct tk_sink *sink;
	struct ax_progress progress;
	struct maker *maker;
	size_t n_maker;
	struct tk_batch *batch;
	size_t n_batch;
	pthread_mutex_t lock;
	pthread_cond_t change;
	uint64_t head, tail;
	size_t flight; /* bytes of text in these batches */
	bool reading, sinking, all_read, stop;
	bool sealing; /* blocks of the output wait for whoever is free */
	int rc; /* why it stopped */
	struct ax_err *e;
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
		ax_source_select(&r->source, ax_rows_columns(r->entry->rows));
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
	if (number < t->begin || number >= t->end || (number - t->begin) % t->shards != t->shard)
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
	    .off = off, .n = in->n, .line = in->line, .number = number + 1, .file = (uint32_t)file, .made = in->made};
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
static int text_row(const struct tk_batch *b, struct maker *m, const char *p, size_t n, struct ax_val **row,
		    struct ax_err *e)
{
	const char *field = ax_rows_text_field(b->entry->rows);

	if (!field)
		return ax_fail(e, AX_EUSAGE, "plain text goes with type completion or pretrain only");
	*row = ax_val_map(&m->json);
	if (!*row || !ax_val_set(&m->json, *row, field, ax_val_str(&m->json, p, n)))
		return no_memory(e);
	return 0;
}

static int make_record(struct tk_batch *b, struct tk_record *r, struct maker *m, struct ax_err *e)
{
	struct ax_rows_work **w = &m->work[b->entry->source];
	const char *p = b->text.p ? b->text.p + r->off : "";
	struct ax_val *row;

	if (!*w)
		AX_TRY(ax_rows_work_new(w, b->entry->rows, e));
	ax_arena_clear(&m->json);
	if (ax_source_is_text(b->entry->file[r->file], b->entry->format))
		AX_TRY(text_row(b, m, p, r->n, &row, e));
	else
		AX_TRY(ax_json_parse(&m->json, p, r->n, &row, e));
	if (m->diff)
		return tk_diff_record(b, r, row, *w, &m->differences, m->tok, e);
	return ax_rows_make(b->entry->rows, row, &b->made, *w, e);
}

static void make_batch(struct tk_batch *b, struct maker *m)
{
	ax_made_reset(&b->made);
	ax_arena_clear(&b->messages);
	ax_buf_reset(&b->diff);
	ax_buf_reset(&b->diff_json);
	for (size_t k = 0; k < b->n_rec; k++) {
		struct tk_record *r = &b->rec[k];
		struct ax_err e = {0};

		r->row = b->made.n_row;
		r->code = make_record(b, r, m, &e);
		r->n_row = b->made.n_row - r->row;
		r->message = r->code ? ax_arena_strndup(&b->messages, e.msg, strlen(e.msg)) : NULL;
	}
}

static void crew_release(struct crew *c)
{
	for (size_t i = 0; i < c->n_batch; i++) {
		struct tk_batch *b = &c->batch[i];

		ax_free(b->rec);
		ax_buf_release(&b->text);
		ax_made_release(&b->made);
		ax_arena_release(&b->messages);
		ax_buf_release(&b->diff);
		ax_buf_release(&b->diff_json);
	}
	ax_free(c->batch);
	for (size_t i = 0; i < c->n_maker; i++) {
		struct maker *m = &c->maker[i];

		for (size_t k = 0; m->work && k < c->plan->n_entry; k++)
			ax_rows_work_free(m->work[k]);
		ax_free(m->work);
		ax_arena_release(&m->json);
		ax_rows_diff_release(&m->differences);
	}
	ax_free(c->maker);
	if (c->reader.open)
		ax_source_close(&c->reader.source);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->change);
}

static int crew_init(struct crew *c, struct tk_plan *p, struct tk_sink *s, size_t n_threads, struct ax_err *e)
{
	*c = (struct crew){.plan = p, .reader = {.plan = p}, .sink = s, .e = e};
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->change, NULL);
	ax_progress_init(&c->progress, 30);
	c->maker = ax_calloc(n_threads, sizeof(*c->maker));
	c->batch = ax_calloc(n_threads * BATCHES, sizeof(*c->batch));
	if (!c->maker || !c->batch)
		return no_memory(e);
	for (; c->n_batch < n_threads * BATCHES; c->n_batch++)
		ax_arena_init(&c->batch[c->n_batch].messages, 0);
	for (; c->n_maker < n_threads; c->n_maker++) {
		struct maker *m = &c->maker[c->n_maker];

		m->work = ax_calloc(p->n_entry + 1, sizeof(struct ax_rows_work *));
		if (!m->work)
			return no_memory(e);
		ax_arena_init(&m->json, 0);
		m->diff = s->opt->diff;
		m->tok = p->eff ? p->eff->tok : NULL;
	}
	return 0;
}

static struct tk_batch *batch_at(struct crew *c, uint64_t number)
{
	return &c->batch[number % c->n_batch];
}

/* Give the memory of a batch with long rows back: all batches and threads would come to hold as much. */
static void forget(struct tk_batch *b)
{
	ax_buf_release(&b->text);
	ax_made_release(&b->made);
	ax_buf_release(&b->diff);
	ax_buf_release(&b->diff_json);
}

static void forget_work(struct maker *m, size_t n_entry)
{
	for (size_t i = 0; i < n_entry; i++) {
		ax_rows_work_free(m->work[i]);
		m->work[i] = NULL;
	}
	ax_arena_release(&m->json);
	ax_rows_diff_release(&m->differences);
}

/* With the lock, which is let go meanwhile: the oldest batch to the sink. */
static void sink_head(struct crew *c)
{
	struct tk_batch *b = batch_at(c, c->head);
	int rc;

	c->sinking = true;
	pthread_mutex_unlock(&c->lock);
	rc = tk_sink_batch(c->sink, b, c->e);
	if (!rc && b->read_rc) { /* what was read before the fault has been dealt with: a bad row in it is told first */
		rc = b->read_rc;
		if (c->e)
			*c->e = b->read_err;
	}
	if (ax_progress_due(&c->progress))
		tk_progress(c->sink, &c->progress);
	pthread_mutex_lock(&c->lock);
	c->sinking = false;
	c->flight -= b->text.n;
	if (b->text.n > LONG)
		forget(b);
	b->ready = false;
	c->head++;
	c->rc = rc;
	c->stop = rc != 0;
	pthread_cond_broadcast(&c->change);
}

/* With the lock, which is let go meanwhile: what is to be done behind the last batch. */
static void finish(struct crew *c)
{
	int rc;

	c->sinking = true;
	pthread_mutex_unlock(&c->lock);
	rc = c->sink->opt->diff ? 0 : tk_sink_finish(c->sink, c->e);
	if (!rc && c->sink->writer)
		rc = ax_stream_settle(c->sink->writer, c->e);
	pthread_mutex_lock(&c->lock);
	c->sinking = false;
	c->rc = rc;
	c->stop = true;
	pthread_cond_broadcast(&c->change);
}

/* One more block of the output waits. */
static void sealing(void *ctx)
{
	struct crew *c = ctx;

	pthread_mutex_lock(&c->lock);
	c->sealing = true;
	pthread_cond_broadcast(&c->change);
	pthread_mutex_unlock(&c->lock);
}

/* With the lock, which is let go meanwhile: seal blocks of the output. */
static void seal(struct crew *c)
{
	c->sealing = false;
	pthread_mutex_unlock(&c->lock);
	while (ax_stream_help(c->sink->writer))
		;
	pthread_mutex_lock(&c->lock);
}

/* With the lock, which is let go meanwhile: read a batch, and make its rows while another thread reads on. */
static void read_and_make(struct crew *c, struct maker *m)
{
	struct tk_batch *b = batch_at(c, c->tail);

	c->reading = true;
	pthread_mutex_unlock(&c->lock);
	b->read_err = (struct ax_err){0};
	b->read_rc = read_batch(&c->reader, b, &b->read_err);
	pthread_mutex_lock(&c->lock);
	c->reading = false;
	c->all_read = b->read_rc || !c->reader.entry;
	if (b->read_rc || b->n_rec || c->reader.entry) {
		c->tail++;
		c->flight += b->text.n;
		pthread_cond_broadcast(&c->change);
		pthread_mutex_unlock(&c->lock);
		make_batch(b, m);
		if (b->text.n > LONG)
			forget_work(m, c->plan->n_entry);
		pthread_mutex_lock(&c->lock);
		b->ready = true;
	}
	pthread_cond_broadcast(&c->change);
}

static bool has_room(const struct crew *c)
{
	return c->tail == c->head ||
	       (c->tail - c->head < c->n_batch && c->flight < FLIGHT + c->n_batch * BATCH_BYTES);
}

static void run_thread(void *ctx, size_t i)
{
	struct crew *c = ctx;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		if (!c->sinking && c->head < c->tail && batch_at(c, c->head)->ready)
			sink_head(c);
		else if (!c->sinking && c->all_read && c->head == c->tail)
			finish(c);
		else if (c->sealing)
			seal(c);
		else if (!c->reading && !c->all_read && has_room(c))
			read_and_make(c, &c->maker[i]);
		else
			pthread_cond_wait(&c->change, &c->lock);
	}
	pthread_mutex_unlock(&c->lock);
}

int tk_run(struct tk_plan *p, struct tk_sink *s, struct ax_err *e)
{
	int threads = (int)ax_conf_opt_int(p->conf, "threads", ax_cores_allowed()), rc;
	struct ax_pool *pool = NULL;
	struct crew c;

	AX_TRY(ax_pool_new(&pool, threads, e));
	rc = crew_init(&c, p, s, (size_t)threads, e);
	if (!rc && s->writer && threads > 1)
		rc = ax_stream_share(s->writer, (size_t)threads, sealing, &c, e);
	if (!rc) {
		ax_pool_run(pool, (size_t)threads, run_thread, &c);
		ax_progress_done(&c.progress);
		rc = c.rc;
	}
	crew_release(&c);
	ax_pool_free(pool);
	return rc;
}
