/*
 * ax-tokenize inside: the plan (what to read, and as what), the run (batches of records through the threads), the sink
 * (filters, splits, output) and the report.
 */
#ifndef AX_TOKENIZE_H
#define AX_TOKENIZE_H

#include <stdatomic.h>
#include <time.h>

#include "base/io.h"
#include "base/log.h"
#include "base/pool.h"
#include "conf/conf.h"
#include "fmt/drops.h"
#include "fmt/stream.h"
#include "tok/effective.h"
#include "tok/rows.h"
#include "tok/source.h"
#include "tok/split.h"

/* One entry of datasets or test_datasets. */
struct tk_entry {
	const char *label; /* "datasets[0]" */
	struct ax_rows *rows;
	uint32_t source; /* position over both lists */
	bool eval;
	const char **file;
	size_t n_file;
	uint64_t *hash; /* of each file's records, chained */
	struct ax_slice slice;
	bool shares_rows;	   /* a further part of the split of the entry before, whose rows these are */
	uint64_t skip, begin, end; /* records taken, over all files */
	uint64_t shards, shard;	   /* of these every shards-th */
	double weight;
	enum ax_source_format format;
};

struct tk_plan {
	struct ax_conf *conf;
	struct ax_effective *eff; /* NULL: no model was named */
	const char *model_dir;    /* where it is, if one was */
	struct tk_entry *entry;
	size_t n_entry;
	uint64_t seed;
	struct tm now;
	bool has_now;
};

/* What becomes of rows. */
struct tk_opt {
	uint32_t sequence_len, eval_sequence_len, min_len;
	enum { TK_DROP, TK_TRUNCATE, TK_RAISE } excess;
	bool print, all, dedup, shuffle;
	bool diff; /* --mask-diff */
	double eval_share;    /* below 1: share of rows held back */
	uint64_t eval_count;  /* number of rows held back */
	uint64_t shards, shard; /* of the rows kept every shards-th */
	uint64_t max_bad;     /* bad rows allowed; UINT64_MAX: a share decides at the end */
	double max_bad_share; /* with max_bad UINT64_MAX */
	const char *rejects;
	int compress; /* zstd level of the stream; 0: none */
};

#define TK_SHOWN 5 /* rows named on stderr for each reason */

struct tk_reason {
	const char *name;
	uint64_t n;
};

#define TK_N_REASON 16

struct tk_note {
	const char *what;
	uint64_t n;
	char first[512]; /* "FILE:LINE" of the first rows */
};

#define TK_N_NOTE 5

/* Counts, of the run as a whole. */
struct tk_stats {
	uint64_t records, bytes; /* read */
	uint64_t bad;
	struct ax_totals drops; /* dropped and truncated by split and reason; for the stream's trailer */
	uint64_t rows[AX_N_SPLIT], tokens[AX_N_SPLIT], trained[AX_N_SPLIT];
	struct ax_drops named;	/* some of these rows by number; for the trailer's provenance */
	struct tk_reason reason[TK_N_REASON];
	size_t n_reason;
	struct tk_note note[TK_N_NOTE];
	double start;
};

/* --mask-diff: conversations, those whose masks differ, and those of each reason. */
struct tk_diff_stats {
	uint64_t chats, differ, reason[AX_N_DIFF];
};

struct tk_sink {
	const struct tk_plan *plan;
	const struct tk_opt *opt;
	struct tk_stats stats;
	struct ax_out *out;		 /* text with --print, else the stream's bytes */
	struct ax_stream_writer *writer; /* NULL with --print */
	struct ax_out rejects;
	bool has_rejects;
	struct ax_seen seen;
	struct ax_shuffle shuffle;
	struct ax_hold hold;
	struct ax_spool lines; /* --print with a count: lines wait for the split to be known */
	uint64_t n_line;
	uint64_t n_kept[AX_N_SPLIT]; /* rows that passed the filters, of all shards */
	struct ax_buf line, group, out_group, json;
	struct tk_diff_stats diff;
	struct ax_out diff_json;
	bool has_diff_json, diff_text;
};

/* A record and what became of it. */
struct tk_record {
	size_t off, n;
	uint64_t line, number;
	uint32_t file;
	bool made;
	size_t row, n_row; /* of the batch's made rows */
	int code;	   /* 0, or why there are none */
	char *message;	   /* in the batch's arena */
	bool chat;	   /* --mask-diff: a conversation, */
	unsigned reasons;  /* a bit an enum ax_diff_reason, */
	size_t diff, diff_n, diff_json, diff_json_n; /* and what is to be printed, in the batch */
};

struct tk_batch {
	const struct tk_entry *entry;
	struct ax_buf text;
	struct tk_record *rec;
	size_t n_rec, cap_rec;
	int read_rc; /* what ended the reading behind the last record, and why */
	struct ax_err read_err;
	struct ax_made made;
	bool ready;
	struct ax_arena messages;
	struct ax_buf diff, diff_json; /* --mask-diff */
};

/* plan.c */
int tk_plan_init(struct tk_plan *p, struct ax_conf *c, bool need_data, struct ax_err *e);
void tk_plan_release(struct tk_plan *p);
int tk_effective(struct ax_conf *c, struct ax_effective **eff, const char **model_name, const char **model_dir,
		 struct ax_err *e);

/* opt.c */
int tk_opt_read(struct tk_opt *o, struct ax_conf *c, struct ax_err *e);
/* Part `at` of n, checked; `what` names it in the error. */
int tk_shard_read(int64_t n, int64_t at, const char *what, uint64_t *shards, uint64_t *shard, struct ax_err *e);

/* run.c: all rows through the sink, which is then finished, but for --mask-diff */
int tk_run(struct tk_plan *p, struct tk_sink *s, struct ax_err *e);

/* sink.c */
int tk_sink_init(struct tk_sink *s, const struct tk_plan *p, const struct tk_opt *o, struct ax_err *e);
int tk_sink_batch(struct tk_sink *s, const struct tk_batch *b, struct ax_err *e);
int tk_sink_finish(struct tk_sink *s, struct ax_err *e);
void tk_sink_release(struct tk_sink *s);
/* Are there more malformed rows than --max-bad P% allows? */
int tk_sink_check_bad(const struct tk_sink *s, struct ax_err *e);

/* The i-th file of an entry, for messages. */
const char *tk_file_name(const struct tk_entry *t, size_t i);
/*
 * Where a record is wrong: a message that begins "line L, column C: " is told with the file's own line; without a place in
 * it where the text was made of a table's row.
 */
void tk_place(const char *file, uint64_t first, bool made, const char *message, char *out, size_t n);

/* print.c */
int tk_print_group(struct tk_sink *s, const unsigned char *p, size_t n, bool eval, const char *dropped,
		   struct ax_err *e);
int tk_print_dropped(struct tk_sink *s, const char *reason, const char *message, struct ax_err *e);
int tk_print_finish(struct tk_sink *s, struct ax_err *e);

/* report.c */
int tk_count_drop(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *r, int split,
		  const char *reason, const char *detail, struct ax_err *e);
void tk_count_note(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *r, unsigned note);
int tk_report(const struct tk_sink *s, struct ax_conf *c, struct ax_err *e);
void tk_progress(struct tk_sink *s, struct ax_progress *p);

/* diff.c: a record's differences as text and JSON into the batch, by any thread; from the batch to the outputs */
int tk_diff_record(struct tk_batch *b, struct tk_record *r, const struct ax_val *row, struct ax_rows_work *w,
		   struct ax_rows_diff *d, const struct ax_tokenizer *tok, struct ax_err *e);
int tk_diff_good(struct tk_sink *s, const struct tk_batch *b, const struct tk_record *r, struct ax_err *e);

/* header.c */
struct ax_val *tk_header(const struct tk_plan *p, struct ax_conf *c, int argc, char **argv, struct ax_err *e);

/* encode.c (--encode and --decode), render.c: whole commands */
int tk_encode(struct ax_conf *c, struct ax_err *e);
int tk_render(struct ax_conf *c, struct ax_err *e);
/* diff.c */
int tk_mask_diff(struct ax_conf *c, struct ax_err *e);

#endif
