/* ax-view: look into anything that ax makes: print, check, summarise. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sig.h"
#include "view.h"

static const struct ax_opt options[] = {
	{"check", 0, AX_OPT_FLAG, NULL, NULL, "verify everything, print one line a file; exit 1 if anything is wrong"},
	{"rows", 'n', AX_OPT_INT, "N", "3", "show the first N rows"},
	{"row", 0, AX_OPT_INT, "N", NULL, "show row N, from 1, token by token"},
	{"pack", 0, AX_OPT_INT, "N", NULL, "show pack N, from 1, token by token"},
	{"split", 0, AX_OPT_STR, "SPLIT", "train", "of --pack in a shard folder: train or eval"},
	{"text", 0, AX_OPT_FLAG, NULL, NULL, "show rows as the text that their ids decode to, whole"},
	{"debug", 0, AX_OPT_FLAG, NULL, NULL, "show rows as text(label, id): red masked, green trained, yellow label 0"},
	{"debug-num-examples", 0, AX_OPT_INT, "N", "1", "with --debug: the first N rows"},
	{"debug-text-only", 0, AX_OPT_FLAG, NULL, NULL, "with --debug: without labels and ids"},
	{"summary", 0, AX_OPT_FLAG, NULL, NULL, "read all: rows, tokens, lengths, by source; drops by reason"},
	{"header", 0, AX_OPT_FLAG, NULL, NULL, "show the whole header"},
};

static const struct ax_tool_spec spec = {
	.name = "ax-view",
	.tool = AX_TOOL_VIEW,
	.summary = "look into streams, packs, shards, models and checkpoints",
	.synopsis = "[options] FILE|DIR...",
	.example = {"ax-view --row 1 train.axt            # the first row, trained tokens in green",
		    "ax-view --check shards/ out/merged   # is everything whole?"},
	.opt = options,
	.n_opt = sizeof(options) / sizeof(options[0]),
};

static bool has_rows(enum ax_file kind)
{
	return kind == AX_FILE_TOKENS || kind == AX_FILE_PACKS || kind == AX_FILE_SHARD || kind == AX_FILE_FRAMES ||
	       kind == AX_FILE_SHARDS || kind == AX_FILE_SHARD_INDEX;
}

static int view_one(struct view *v, const char *path, struct ax_err *e)
{
	enum ax_file kind = AX_FILE_TOKENS;

	if (!ax_path_is_stream(path)) /* a pipe can only hold a stream */
		AX_TRY(ax_sniff(path, &kind, e));
	if (v->mode != VIEW_ROWS && !has_rows(kind))
		return ax_fail(e, AX_EUSAGE, "%s: a %s; --text, --debug and --summary are of rows", path, ax_file_name(kind));
	switch (kind) {
	case AX_FILE_TOKENS:
	case AX_FILE_PACKS:
	case AX_FILE_SHARD:
	case AX_FILE_FRAMES:
		return view_stream(v, path, e);
	case AX_FILE_SHARDS:
		return view_shards(v, path, e);
	case AX_FILE_SHARD_INDEX:
		return view_index(v, path, e);
	case AX_FILE_SAFETENSORS:
		return view_safetensors(v, path, e);
	case AX_FILE_MODEL:
		return view_model(v, path, e);
	case AX_FILE_CHECKPOINT:
		return view_checkpoint(v, path, e);
	case AX_FILE_ZSTD:
	case AX_FILE_GZIP:
		return ax_fail(e, AX_EDATA, "%s: a %s; decompress it first", path, ax_file_name(kind));
	case AX_FILE_DIR:
		return view_run(v, path, e);
	case AX_FILE_UNKNOWN:
		break;
	}
	return ax_fail(e, AX_EDATA, "%s: not a file of ax, and no safetensors (or cut before its header ends)", path);
}

/* The object of an operand to the output, and its rows forgotten. */
static int next_json(struct view *v, int rc, struct ax_err *e)
{
	struct ax_err more = {0};
	int first = view_json_flush(v, &more);

	if (!first)
		first = ax_spool_reset(&v->rows_out, &more);
	if (!rc && first)
		*e = more;
	return rc ? rc : first;
}

/* Every operand, whatever became of the others; the first failure is the exit status. */
static int run(struct view *v, struct ax_conf *c, struct ax_err *e)
{
	int first = 0;

	for (size_t i = 0; i < c->n_operand; i++) {
		struct ax_err one = {0};
		int rc;

		if (c->n_operand > 1 && !v->check && !v->json)
			printf("%s==> %s <==\n", i ? "\n" : "", c->operand[i]);
		rc = view_one(v, c->operand[i], &one);
		ax_arena_clear(&v->arena);
		if (v->json)
			rc = next_json(v, rc, &one);
		if (rc == AX_EDATA && v->check)
			rc = AX_ECHECK;
		if (rc) {
			fflush(stdout);
			ax_log(AX_LOG_ERROR, "%s", one.msg);
		}
		if (rc && !first)
			first = rc;
	}
	if (fflush(stdout) || ferror(stdout)) {
		first = ax_fail(e, AX_EIO, "cannot write stdout:");
		ax_log(AX_LOG_ERROR, "%s", e->msg);
	}
	return first;
}

static int view(struct ax_conf *c, struct ax_err *e)
{
	struct ax_buf json = AX_BUF_INIT;
	struct ax_out out = {0};
	const char *path = ax_conf_opt_str(c, "json");
	struct view v = {.json = path ? &json : NULL, .out = &out};
	int rc = view_settle(&v, c, e);

	if (!rc && path)
		rc = ax_out_open(&out, path, AX_OUT_TEXT, e);
	if (rc) {
		ax_log(AX_LOG_ERROR, "%s", e->msg);
		return rc;
	}
	ax_arena_init(&v.arena, 0);
	ax_spool_init(&v.rows_out, NULL);
	rc = run(&v, c, e);
	if (path && ax_out_commit(&out, e)) {
		ax_log(AX_LOG_ERROR, "%s", e->msg);
		rc = rc ? rc : e->code;
	}
	if (path)
		ax_out_abort(&out);
	ax_spool_release(&v.rows_out);
	view_text_close(&v);
	ax_buf_release(&json);
	ax_arena_release(&v.arena);
	return rc;
}

int main(int argc, char **argv)
{
	struct ax_err e = {0};
	struct ax_conf c;
	int rc;

	ax_log_init("ax-view", 0);
	rc = ax_conf_init(&c, &spec, argc, argv, &e);
	if (!rc && !c.done)
		rc = ax_sig_start(&e);
	if (rc)
		ax_log(AX_LOG_ERROR, "%s", e.msg);
	else if (!c.done)
		rc = view(&c, &e);
	ax_conf_release(&c);
	return ax_exit_code(rc);
}
