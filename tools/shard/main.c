/* ax-shard: packs -> a folder of shard files with an index, for training. */
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sig.h"
#include "conf/conf.h"
#include "fmt/shard.h"
#include "text/json.h"

static const struct ax_opt options[] = {
	{"output", 'o', AX_OPT_STR, "DIR", NULL, "folder to make (needed); one that ax-shard made is replaced"},
	{"ranks", 0, AX_OPT_INT, "N", "1", "shard files; any number of ranks can train from any number of files"},
	{"compress", 0, AX_OPT_INT, "LEVEL", "0", "zstd level of each record, 1 to 19; 0: none"},
	{"force", 'f', AX_OPT_FLAG, NULL, NULL, "replace a folder that ax-shard did not make"},
};

static const struct ax_tool_spec spec = {
	.name = "ax-shard",
	.tool = AX_TOOL_SHARD,
	.summary = "write packs into shard files with an index",
	.synopsis = "[options] -o DIR [FILE...]",
	.example = {"ax-shard --ranks 8 -o shards/ train.axp         # eight files",
		    "ax-tokenize -c run.yaml | ax-pack | ax-shard -o shards/   # in a pipe"},
	.opt = options,
	.n_opt = sizeof(options) / sizeof(options[0]),
};

struct job {
	const char *dir;
	int64_t ranks, level;
	bool force, provenance;
	int argc;
	char **argv;
	struct ax_shards_writer w;
	struct ax_arena arena;
	struct ax_val *first; /* header of the first input */
	struct ax_totals in;
	struct ax_progress progress;
	bool open;
};

static int start(struct job *j, struct ax_conf *c, const struct ax_val *header, struct ax_err *e)
{
	struct ax_val *h;

	AX_TRY(ax_conf_header(c, ax_val_get(header, "keys"), e));
	AX_TRY(ax_conf_check(c, e));
	j->first = ax_val_copy(&j->arena, header);
	h = ax_header_derive(&j->arena, header, "shards");
	if (!j->first || !h ||
	    !ax_header_provenance(&j->arena, h, j->provenance, "ax-shard", j->argc, j->argv, NULL))
		return ax_fail(e, AX_EMEM, "out of memory");
	j->open = true;
	return ax_shards_writer_open(&j->w, j->dir, h, (uint32_t)j->ranks, (int)j->level, j->force, e);
}

static int copy_packs(struct job *j, struct ax_pack_reader *r, struct ax_err *e)
{
	struct ax_pack p;
	bool end = false;

	for (;;) {
		AX_TRY(ax_pack_reader_next(r, &p, &end, e));
		if (end)
			return 0;
		AX_TRY(ax_shards_write(&j->w, &p, e));
		if (ax_progress_due(&j->progress))
			ax_progress_print(&j->progress, "%" PRIu64 " packs", j->w.n_pack[0] + j->w.n_pack[1]);
	}
}

static int add_input(struct job *j, struct ax_conf *c, const char *path, struct ax_err *e)
{
	struct ax_pack_reader r;
	int rc;

	AX_TRY(ax_pack_reader_open(&r, path, e));
	if (!j->first)
		rc = start(j, c, r.s.header, e);
	else if ((rc = ax_header_same(j->first, r.s.header, e)) != 0)
		ax_err_prefix(e, "%s: ", r.s.in.path);
	if (!rc)
		rc = copy_packs(j, &r, e);
	if (!rc)
		ax_totals_add(&j->in, &r.s.totals);
	ax_pack_reader_close(&r);
	return rc;
}

/* What is in the shards is what was read; only then the folder appears. */
static int verify(void *ctx, const struct ax_totals *out, struct ax_err *e)
{
	const struct job *j = ctx;

	if (ax_totals_match(out, &j->in, e)) {
		ax_err_prefix(e, "%s: not written, the shards do not hold what was read: ", j->dir);
		return AX_ECHECK;
	}
	return 0;
}

static int write_json(const struct job *j, const char *path, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_arena a;
	struct ax_val *m, *t;
	bool ok;
	int rc;

	ax_arena_init(&a, 0);
	m = ax_val_map(&a);
	t = ax_totals_val(&a, &j->w.totals);
	ok = m && t && ax_val_set(&a, m, "schema", ax_val_int(&a, 1)) &&
	     ax_val_set(&a, m, "shards", ax_val_int(&a, j->ranks)) &&
	     ax_val_set(&a, m, "sequence_len", ax_val_int(&a, j->w.sequence_len)) && ax_val_set(&a, m, "totals", t);
	if (ok)
		ax_json_write(&b, m, AX_JSON_INDENT2);
	ax_buf_addc(&b, '\n');
	rc = ok && !b.oom ? ax_write_file(path, b.p, b.n, e) : ax_fail(e, AX_EMEM, "out of memory");
	ax_buf_release(&b);
	ax_arena_release(&a);
	return rc;
}

static void report(const struct job *j)
{
	for (int k = 0; k < AX_N_SPLIT; k++) {
		const struct ax_split_totals *s = &j->w.totals.split[k];

		if (s->packs)
			ax_info("%s: %" PRIu64 " packs, %" PRIu64 " rows, %" PRIu64 " tokens, %" PRIu64 " trained",
				ax_split_name(k), s->packs, s->rows, s->tokens, s->trained);
	}
	ax_info("wrote %s, %lld file%s", j->dir, (long long)j->ranks, j->ranks > 1 ? "s" : "");
}

static int settle(struct job *j, struct ax_conf *c, struct ax_err *e)
{
	j->dir = ax_conf_opt_str(c, "output");
	j->ranks = ax_conf_opt_int(c, "ranks", 1);
	j->level = ax_conf_opt_int(c, "compress", 0);
	j->force = ax_conf_opt_flag(c, "force");
	j->provenance = !ax_conf_opt_flag(c, "no-provenance");
	if (!j->dir)
		return ax_fail(e, AX_EUSAGE, "give -o DIR, the folder to make");
	if (j->ranks < 1 || j->ranks > AX_SHARD_MAX)
		return ax_fail(e, AX_EUSAGE, "--ranks %lld; 1 to %d are possible", (long long)j->ranks, AX_SHARD_MAX);
	if (j->level < 0 || j->level > 19)
		return ax_fail(e, AX_EUSAGE, "--compress %lld; 0 to 19 are possible", (long long)j->level);
	if (!c->n_operand && isatty(STDIN_FILENO))
		return ax_fail(e, AX_EUSAGE, "stdin is a terminal; give packs (ax-pack makes them)");
	return 0;
}

/* Each shard is an open file: take as many as the system lets us have. */
static void raise_file_limit(void)
{
	struct rlimit r;

	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static int run(struct ax_conf *c, int argc, char **argv, struct ax_err *e)
{
	struct job j = {.argc = argc, .argv = argv};
	const char *json = ax_conf_opt_str(c, "json");
	int rc;

	AX_TRY(settle(&j, c, e));
	raise_file_limit();
	ax_arena_init(&j.arena, 0);
	ax_progress_init(&j.progress, 30);
	rc = c->n_operand ? 0 : add_input(&j, c, "-", e);
	for (size_t i = 0; i < c->n_operand && !rc; i++)
		rc = add_input(&j, c, c->operand[i], e);
	if (!rc)
		rc = ax_shards_writer_finish(&j.w, &j.in, verify, &j, e);
	ax_progress_done(&j.progress);
	if (!rc)
		report(&j);
	if (!rc && json)
		rc = write_json(&j, json, e);
	if (j.open)
		ax_shards_writer_release(&j.w);
	ax_arena_release(&j.arena);
	return rc;
}

int main(int argc, char **argv)
{
	struct ax_err e = {0};
	struct ax_conf c;
	int rc;

	ax_log_init("ax-shard", 0);
	rc = ax_conf_init(&c, &spec, argc, argv, &e);
	if (!rc && !c.done) {
		rc = ax_sig_start(&e);
		if (!rc)
			rc = run(&c, argc, argv, &e);
	}
	if (rc)
		ax_log(AX_LOG_ERROR, "%s", e.msg);
	ax_conf_release(&c);
	return ax_exit_code(rc);
}
