/* ax-shard: packs -> a folder of shard files with an index, for training. */
#include <sys/resource.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/sig.h"
#include "conf/conf.h"
#include "shard.h"

#define OTHER_FILES 16 /* open beside the shards */

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

/* The header's data keys are checked like those of a file; ax-shard itself needs none of them. */
static int settle(void *ctx, const struct ax_val *header, struct ax_err *e)
{
	AX_TRY(ax_conf_header(ctx, ax_val_get(header, "keys"), e));
	return ax_conf_check(ctx, e);
}

static int check_options(const struct shard_job *j, bool operands, struct ax_err *e)
{
	if (!j->dir)
		return ax_fail(e, AX_EUSAGE, "give -o DIR, the folder to make");
	if (j->ranks < 1 || j->ranks > AX_SHARD_MAX)
		return ax_fail(e, AX_EUSAGE, "--ranks %lld; 1 to %d are possible", (long long)j->ranks, AX_SHARD_MAX);
	if (j->level < 0 || j->level > 19)
		return ax_fail(e, AX_EUSAGE, "--compress %lld; 0 to 19 are possible", (long long)j->level);
	if (!operands && isatty(STDIN_FILENO))
		return ax_fail(e, AX_EUSAGE, "stdin is a terminal; give packs (ax-pack makes them)");
	return 0;
}

/* Each shard is an open file: take as many as the system lets us have. */
static int raise_file_limit(int64_t ranks, struct ax_err *e)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return 0;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_cur != RLIM_INFINITY && (rlim_t)ranks + OTHER_FILES > r.rlim_cur)
		return ax_fail(e, AX_EMEM, "--ranks %lld: so many files cannot be open at once, the limit is %llu (ulimit -n)",
			       (long long)ranks, (unsigned long long)r.rlim_cur);
	return 0;
}

static int run(struct ax_conf *c, int argc, char **argv, struct ax_err *e)
{
	static const char *const only_stdin[] = {"-"};
	const char *json = ax_conf_opt_str(c, "json");
	struct shard_job j = {.input = c->n_operand ? c->operand : only_stdin, .n_input = c->n_operand ? c->n_operand : 1,
			      .dir = ax_conf_opt_str(c, "output"), .ranks = ax_conf_opt_int(c, "ranks", 1),
			      .level = ax_conf_opt_int(c, "compress", 0), .force = ax_conf_opt_flag(c, "force"),
			      .provenance = !ax_conf_opt_flag(c, "no-provenance"), .argc = argc, .argv = argv};

	AX_TRY(check_options(&j, c->n_operand > 0, e));
	for (size_t i = 0; i < c->n_operand; i++)
		if (ax_path_inside(j.input[i], j.dir))
			return ax_fail(e, AX_EUSAGE, "%s holds %s: write the shards to another folder", j.dir, j.input[i]);
	AX_TRY(raise_file_limit(j.ranks, e));
	AX_TRY(shard_run(&j, settle, c, e));
	shard_report(&j);
	return json ? shard_report_json(&j, json, e) : 0;
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
