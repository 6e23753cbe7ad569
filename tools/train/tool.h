/* What the files of ax-train share. */
#ifndef AX_TRAIN_TOOL_H
#define AX_TRAIN_TOOL_H

#include <signal.h>

#include "comm/comm.h"
#include "conf/conf.h"
#include "data/loader.h"
#include "model/desc.h"
#include "model/unit.h"
#include "tensor/device.h"
#include "tok/effective.h"
#include "train/ckpt.h"
#include "train/outdir.h"
#include "train/train.h"
#include "train/weights.h"

struct tool {
	struct ax_conf conf;
	struct ax_comm *comm, *wire;
	struct ax_loader *loader;
	const char *model_dir;       /* base_model, or --model */
	struct ax_val *config;       /* config.json with overrides and this run's changes: goes into checkpoints */
	struct ax_effective *effective; /* NULL: the shards need no tokenizer */
	struct ax_desc desc;
	int64_t n_old;               /* rows of the embedding in the model folder */
	struct ax_units units;
	struct ax_dev dev;
	struct ax_weights weights;
	bool weights_open;
	struct ax_ckpt ckpt;         /* --model CHECKPOINT */
	struct ax_ckpt_source ckpt_source;
	bool ckpt_open;
	struct ax_outdir outdir;
	bool outdir_open;
	struct ax_train_opt opt;
	struct ax_train_env env;
};

extern const struct ax_tool_spec tool_spec;

/* signals.c: what was asked for since the run looked last. */
extern volatile sig_atomic_t tool_want_save, tool_want_stop;
/* Starts the thread that takes signals. First thing in main: other threads inherit the mask, and nothing is lost. */
int tool_signals(struct ax_err *e);
/* Steps follow (until now SIGTERM ended the process), or none do: from now on every signal ends it. */
void tool_signals_run(bool trains);
/* shards.c: opens the shard folder and takes over the data keys that travel in it. */
int tool_shards(struct tool *t, struct ax_err *e);
/* shards.c: that of the shards; of the configuration where there are none (--plan). */
int64_t tool_sequence_len(struct tool *t);
/* device.c: opens the device and its wire; all ranks have the same kind. */
int tool_device(struct tool *t, struct ax_err *e);
/* settings.c: keys and options -> opt; what the engine cannot do is refused here. */
int tool_settings(struct tool *t, struct ax_err *e);
/* settings.c: bf16, fp16, float32 -> compute dtype; --gradients. */
int tool_dtype(struct tool *t, enum ax_dtype *act, enum ax_dtype *grad, struct ax_err *e);
/* model.c: base_model, config.json, tokenizer, units; weights unless `plan`. */
int tool_model(struct tool *t, bool plan, struct ax_err *e);
/* model.c: an ax_train_opt.extra: config.json and tokenizer files. */
int tool_write_extra(void *ctx, const char *dir, struct ax_err *e);
/* report.c: the plan as a table on stdout (--plan), or as lines on stderr. */
int tool_print_plan(struct tool *t, struct ax_err *e);
/* stats.c: --json FILE, if it is given. Rank 0 writes. */
int tool_run_json(struct tool *t, const struct ax_train_stats *s, struct ax_err *e);
int tool_eval_json(struct tool *t, double loss, uint64_t trained, struct ax_err *e);
int tool_plan_json(struct tool *t, const struct ax_train_plan *p, int n_rank, struct ax_err *e);
void tool_say_start(struct tool *t, const struct ax_train_plan *p);
/* report.c: what came of the run, and the command that makes a model folder of it. */
void tool_say_done(struct tool *t, const struct ax_train_stats *s);

#endif
