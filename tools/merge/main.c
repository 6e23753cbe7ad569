/* ax-merge: sharded checkpoint -> Hugging Face model folder. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sig.h"
#include "conf/conf.h"
#include "train/choose.h"
#include "train/merge.h"

static const struct ax_opt options[] = {
	{"dtype", 0, AX_OPT_STR, "DTYPE", "keep", "keep (each tensor's dtype in the base model), bf16, f16 or f32"},
	{"max-shard-size", 0, AX_OPT_SIZE, "SIZE", "5000000000", "start a new file when the next tensor would pass SIZE"},
	{"best", 0, AX_OPT_FLAG, NULL, NULL, "of an output_dir: the checkpoint with the best eval_loss, not the newest"},
	{"dry-run", 'n', AX_OPT_FLAG, NULL, NULL, "check and print the plan, write nothing"},
	{"force", 'f', AX_OPT_FLAG, NULL, NULL, "replace an existing folder that ax did not make"},
};

static const struct ax_tool_spec spec = {
	.name = "ax-merge",
	.tool = AX_TOOL_MERGE,
	.summary = "make a Hugging Face model folder of a checkpoint",
	.synopsis = "[options] CHECKPOINT|OUTPUT_DIR OUT",
	.example = {"ax-merge out/ out/merged                 # the newest checkpoint of a run",
		    "ax-merge --dtype bf16 out/checkpoint-100 model/   # this one, in bfloat16"},
	.opt = options,
	.n_opt = sizeof(options) / sizeof(options[0]),
};

struct progress {
	struct ax_progress p;
};

static void show(void *ctx, uint64_t done, uint64_t total)
{
	struct progress *s = ctx;
	char a[32], b[32];

	if (ax_progress_due(&s->p))
		ax_progress_print(&s->p, "%s of %s", ax_human_bytes(done, a), ax_human_bytes(total, b));
}

/* The operand is a checkpoint, or an output_dir, whose newest or best checkpoint is meant. */
static int find_checkpoint(struct ax_conf *c, char **out, struct ax_err *e)
{
	const char *path = c->operand[0];
	char *manifest = ax_path_join(path, AX_CKPT_MANIFEST);
	bool is_ckpt = manifest && ax_path_exists(manifest), best = ax_conf_opt_flag(c, "best");
	struct ax_choice pick;

	if (!manifest)
		return ax_fail(e, AX_EMEM, "out of memory");
	ax_free(manifest);
	if (is_ckpt && best)
		return ax_fail(e, AX_EUSAGE, "%s is one checkpoint: --best chooses among those of an output_dir", path);
	if (is_ckpt) {
		*out = ax_strdup(path);
		return *out ? 0 : ax_fail(e, AX_EMEM, "out of memory");
	}
	if (!ax_path_is_dir(path))
		return ax_fail(e, AX_EIO, "%s is not a folder", path);
	AX_TRY(ax_choose_checkpoint(path, best, &pick, e));
	if (pick.step < 0)
		return ax_fail(e, AX_EIO, "%s holds no complete checkpoint", path);
	if (pick.is_best)
		ax_info("%sbest of %zu checkpoint%s: eval_loss %.6f after step %" PRId64,
			best ? "" : "load_best_model_at_end: ", pick.n, pick.n > 1 ? "s" : "", pick.metric, pick.step);
	*out = ax_ckpt_path(path, pick.step);
	if (!*out)
		return ax_fail(e, AX_EMEM, "out of memory");
	ax_info("merging %s", *out);
	return 0;
}

static int parse_dtype(struct ax_conf *c, struct ax_merge_opt *o, struct ax_err *e)
{
	static const struct {
		const char *name;
		enum ax_st_dtype dtype;
	} known[] = {{"bf16", AX_ST_BF16}, {"f16", AX_ST_F16}, {"f32", AX_ST_F32}};
	const char *s = ax_conf_opt_str(c, "dtype");

	o->keep = !s || !strcmp(s, "keep");
	if (o->keep)
		return 0;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(s, known[i].name)) {
			o->dtype = known[i].dtype;
			return 0;
		}
	return ax_fail(e, AX_EUSAGE, "--dtype %s: keep, bf16, f16 or f32", s);
}

static int write_stats(struct ax_conf *c, const struct ax_merge_stats *s, struct ax_err *e)
{
	const char *path = ax_conf_opt_str(c, "json");
	char text[256];

	if (!path)
		return 0;
	snprintf(text, sizeof(text),
		 "{\"tensors\": %" PRIu64 ", \"files\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"overflows\": %" PRIu64 "}\n",
		 s->n_tensor, s->n_file, s->bytes, s->n_overflow);
	return ax_write_file(path, text, strlen(text), e);
}

static int merge(struct ax_conf *c, const struct ax_ckpt *k, struct ax_err *e)
{
	struct ax_merge_opt o = {.max_shard_bytes = ax_conf_opt_size(c, "max-shard-size", AX_MERGE_SHARD_BYTES),
				 .force = ax_conf_opt_flag(c, "force"), .progress = show};
	bool dry = ax_conf_opt_flag(c, "dry-run");
	struct ax_merge_stats s;
	struct progress p;
	char text[32];
	int rc;

	AX_TRY(parse_dtype(c, &o, e));
	ax_progress_init(&p.p, 30);
	o.progress_ctx = &p;
	rc = dry ? ax_merge_plan(k, &o, &s, e) : ax_merge(k, c->operand[1], &o, &s, e);
	ax_progress_done(&p.p);
	AX_TRY(rc);
	ax_info("%s %s: %" PRIu64 " tensors, %" PRIu64 " file%s, %s", dry ? "would write" : "wrote", c->operand[1], s.n_tensor,
		s.n_file, s.n_file > 1 ? "s" : "", ax_human_bytes(s.bytes, text));
	if (s.n_overflow)
		ax_warn("%" PRIu64 " values are too large for the output dtype and became infinite", s.n_overflow);
	return write_stats(c, &s, e);
}

static int run(struct ax_conf *c, struct ax_err *e)
{
	char *path = NULL;
	struct ax_ckpt k;
	int rc;

	AX_TRY(ax_conf_check(c, e));
	if (c->n_operand != 2)
		return ax_fail(e, AX_EUSAGE, "give a checkpoint or output_dir, and the folder to write (%zu operands given)",
			       c->n_operand);
	if (ax_path_inside(c->operand[0], c->operand[1]))
		return ax_fail(e, AX_EUSAGE, "%s holds %s: merge into another folder", c->operand[1], c->operand[0]);
	AX_TRY(find_checkpoint(c, &path, e));
	rc = ax_ckpt_open(&k, path, e);
	if (!rc) {
		rc = merge(c, &k, e);
		ax_ckpt_close(&k);
	}
	ax_free(path);
	return rc;
}

int main(int argc, char **argv)
{
	struct ax_err e = {0};
	struct ax_conf c;
	int rc;

	ax_log_init("ax-merge", 0);
	rc = ax_conf_init(&c, &spec, argc, argv, &e);
	if (!rc && !c.done) {
		rc = ax_sig_start(&e);
		if (!rc)
			rc = run(&c, &e);
	}
	if (rc)
		ax_log(AX_LOG_ERROR, "%s", e.msg);
	ax_conf_release(&c);
	return ax_exit_code(rc);
}
