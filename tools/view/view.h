/*
 * ax-view's parts: main.c and settle.c (options, which file is what), stream.c (streams and shard folders), tensors.c (safetensors,
 * models, checkpoints), run.c (an output_dir), provenance.c (the tools that made a stream), row.c (a row as text), text.c (ids to
 * text), json.c (--json), summary.c and sums.c (--summary).
 */
#ifndef AX_TOOL_VIEW_H
#define AX_TOOL_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/io.h"
#include "conf/conf.h"
#include "fmt/shard.h"
#include "fmt/spool.h"
#include "fmt/stream.h"

struct view_text; /* a tokenizer, or none */

struct view {
	struct ax_conf *conf;
	bool check;          /* verify everything, show nothing */
	bool color, header;  /* colours; the whole header */
	int64_t row, pack;   /* only this one (from 1), or 0 */
	int64_t rows;        /* how many rows to show */
	int split;           /* of --pack in a shard folder */
	enum { VIEW_ROWS, VIEW_TEXT, VIEW_DEBUG, VIEW_SUMMARY } mode; /* as asked for; the others show rows alone */
	bool text_only;      /* of VIEW_DEBUG */
	struct view_text *text;
	bool text_tried;
	struct ax_buf *json; /* JSON lines instead of text, on their way to `out`; or NULL */
	struct ax_out *out;
	struct ax_spool rows_out; /* rows of the operand, as JSON */
	struct ax_arena arena;
};

/* Fill *v from the options. */
int view_settle(struct view *v, struct ax_conf *c, struct ax_err *e);

int view_stream(struct view *v, const char *path, struct ax_err *e);
int view_shards(struct view *v, const char *dir, struct ax_err *e);
int view_index(struct view *v, const char *path, struct ax_err *e);
int view_safetensors(struct view *v, const char *path, struct ax_err *e);
int view_model(struct view *v, const char *dir, struct ax_err *e);
int view_checkpoint(struct view *v, const char *dir, struct ax_err *e);
int view_run(struct view *v, const char *dir, struct ax_err *e);

/* A chain as ax_provenance gives it. */
void view_provenance(const struct ax_val *list);

/* Rows. `k` counts from 1. The long form is a line a token, the short one a line a stretch of equal mask. */
void view_row_short(struct view *v, const struct ax_row *r, uint64_t k);
void view_row_long(struct view *v, const struct ax_row *r, uint64_t k);
/* The label of token i. */
int32_t view_label(const struct ax_row *r, uint32_t i);

/* --json: a row; the operand's object, a map of one pair at least, with the rows; what v->json holds to the output. */
int view_json_row(struct view *v, const struct ax_row *r, uint64_t k, struct ax_err *e);
int view_json_object(struct view *v, const struct ax_val *map, struct ax_err *e);
int view_json_flush(struct view *v, struct ax_err *e);

/* A row as --text and as --debug show it. */
int view_row_text(struct view *v, const struct ax_row *r, uint64_t k, struct ax_err *e);
void view_row_debug(struct view *v, const struct ax_row *r);

/* --summary of a stream, or of a shard folder. */
int view_summary(struct view *v, const char *path, bool folder, struct ax_err *e);

/*
 * The tokenizer of a stream's header: --base-model or the header's. Where it cannot be had rows are shown as ids, with a
 * warning; AX_EUSAGE or why it cannot be read with --text and --debug.
 */
int view_text_open(struct view *v, const struct ax_val *header, struct ax_err *e);
void view_text_close(struct view *v);
/* Append the bytes that the tokens stand for, as they are. */
void view_bytes(const struct view *v, const uint32_t *id, size_t n, struct ax_buf *b);
/* With a tokenizer: append the row's ids as it decodes them. */
int view_decode(const struct view *v, const struct ax_row *r, struct ax_buf *b, struct ax_err *e);
/* Append the token's text, safe for a terminal: control characters and stray bytes escaped. False: no tokenizer. */
bool view_tokens(const struct view *v, const uint32_t *id, size_t n, struct ax_buf *b);

#endif
