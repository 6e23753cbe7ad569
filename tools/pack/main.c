/* ax-pack: token stream -> packs of sequence_len tokens. */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sig.h"
#include "conf/conf.h"
#include "pack.h"

static const struct ax_opt options[] = {
	{"output", 'o', AX_OPT_STR, "FILE", "-", "write here; - is stdout"},
	{"window", 0, AX_OPT_INT, "N", "65536", "rows packed together; 0: the whole input"},
	{"overflow", 0, AX_OPT_STR, "WHAT", "error", "rows longer than a pack: error, drop, truncate or split"},
	{"compress", 0, AX_OPT_INT, "LEVEL", "0", "zstd level of the output, 1 to 19; 0: none"},
	{"force", 'f', AX_OPT_FLAG, NULL, NULL, "write binary data even to a terminal"},
};

static const struct ax_tool_spec spec = {
	.name = "ax-pack",
	.tool = AX_TOOL_PACK,
	.summary = "pack rows of tokens into sequences of equal length",
	.synopsis = "[options] [FILE...]",
	.example = {"ax-pack --seq-len 4096 -o train.axp train.axt   # from a file into a file",
		    "ax-tokenize -c run.yaml | ax-pack | ax-shard -o shards/   # in a pipe"},
	.opt = options,
	.n_opt = sizeof(options) / sizeof(options[0]),
};

static int parse_overflow(const char *s, enum ax_overflow *o, struct ax_err *e)
{
	static const char *const name[] = {"error", "drop", "truncate", "split"};

	for (int i = 0; i < 4; i++)
		if (!strcmp(s ? s : "error", name[i])) {
			*o = (enum ax_overflow)i;
			return 0;
		}
	return ax_fail(e, AX_EUSAGE, "--overflow %s: error, drop, truncate or split", s);
}

/* Options and keys that the first header may decide. */
static int settle(void *ctx, struct pack_job *job, const struct ax_val *header, struct ax_err *e)
{
	struct ax_conf *c = ctx;
	uint32_t from_header = ax_header_sequence_len(header);
	int64_t len, window = ax_conf_opt_int(c, "window", AX_PACK_WINDOW);

	AX_TRY(ax_conf_header(c, ax_val_get(header, "keys"), e));
	AX_TRY(ax_conf_check(c, e));
	len = ax_conf_is_set(c, "sequence_len") || !from_header ? ax_conf_int(c, "sequence_len") : from_header;
	if (len < 1 || len > AX_ROW_MAX)
		return ax_fail(e, AX_EUSAGE, "sequence_len %lld; 1 to %u are possible", (long long)len, AX_ROW_MAX);
	if (window < 0 || window > UINT32_MAX)
		return ax_fail(e, AX_EUSAGE, "--window %lld; 0 to %u are possible", (long long)window, UINT32_MAX);
	job->opt.capacity = (uint32_t)len;
	job->opt.window = (uint32_t)window;
	job->opt.single[AX_SPLIT_TRAIN] = ax_conf_is_set(c, "sample_packing") && !ax_conf_bool(c, "sample_packing");
	job->opt.single[AX_SPLIT_EVAL] = ax_conf_is_set(c, "eval_sample_packing")
						 ? !ax_conf_bool(c, "eval_sample_packing")
						 : job->opt.single[AX_SPLIT_TRAIN];
	return 0;
}

static int run(struct ax_conf *c, int argc, char **argv, struct ax_err *e)
{
	static const char *const only_stdin[] = {"-"};
	const char *out = ax_conf_opt_str(c, "output"), *json = ax_conf_opt_str(c, "json");
	struct pack_job job = {.input = c->n_operand ? c->operand : only_stdin, .n_input = c->n_operand ? c->n_operand : 1,
			       .output = out ? out : "-", .tty = ax_conf_opt_flag(c, "force"),
			       .level = (int)ax_conf_opt_int(c, "compress", 0),
			       .provenance = !ax_conf_opt_flag(c, "no-provenance"), .argc = argc, .argv = argv};

	AX_TRY(parse_overflow(ax_conf_opt_str(c, "overflow"), &job.opt.overflow, e));
	if (job.level < 0 || job.level > 19)
		return ax_fail(e, AX_EUSAGE, "--compress %d; 0 to 19 are possible", job.level);
	if (json && !strcmp(json, "-") && !strcmp(job.output, "-"))
		return ax_fail(e, AX_EUSAGE, "--json - and the packs would both go to stdout; give -o FILE or --json FILE");
	if (!c->n_operand && isatty(STDIN_FILENO))
		return ax_fail(e, AX_EUSAGE, "stdin is a terminal; give a token stream (ax-tokenize makes one)");
	AX_TRY(pack_run(&job, settle, c, e));
	pack_report(&job);
	return json ? pack_report_json(&job, json, e) : 0;
}

int main(int argc, char **argv)
{
	struct ax_err e = {0};
	struct ax_conf c;
	int rc;

	ax_log_init("ax-pack", 0);
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
