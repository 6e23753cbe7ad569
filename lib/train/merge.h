/*
 * Checkpoint -> Hugging Face model folder, in constant memory.
 *
 *	AX_TRY(ax_ckpt_open(&k, path, e));                 // proves that every element is covered once
 *	AX_TRY(ax_merge(&k, "out", &opt, &stats, e));
 *
 * Plans from headers: the parameters must be exactly those that config.json describes (names, shapes, tie rule); then the
 * files are preallocated, each range is copied once, converted and checked against its checksum on the way, and the
 * folder is published by rename: `out` is absent, or what it was, or complete.
 *
 * Files: model.safetensors, or model-0000x-of-0000y.safetensors with an index when larger than max_shard_bytes (in the
 * model's order, a tensor never split); config.json with the right architectures, dtype and vocabulary; tokenizer files,
 * template and generation_config.json as the checkpoint has them.
 */
#ifndef AX_TRAIN_MERGE_H
#define AX_TRAIN_MERGE_H

#include "train/ckpt.h"

#define AX_MERGE_SHARD_BYTES 5000000000u /* decimal, the Hub's default */

struct ax_merge_opt {
	bool keep;              /* each tensor's dtype in the base model; else `dtype` */
	enum ax_st_dtype dtype; /* AX_ST_F32, AX_ST_BF16 or AX_ST_F16 */
	uint64_t max_shard_bytes;
	bool force; /* replace an existing folder that ax did not make */
	void (*progress)(void *ctx, uint64_t done, uint64_t total); /* NULL, or called as bytes are written */
	void *progress_ctx;
};

struct ax_merge_stats {
	uint64_t n_tensor, n_file, bytes;
	uint64_t n_overflow; /* finite values that became infinite in the output dtype */
};

int ax_merge(const struct ax_ckpt *k, const char *out, const struct ax_merge_opt *o, struct ax_merge_stats *s,
	     struct ax_err *e);

/* Plan only: fills the statistics, writes nothing. */
int ax_merge_plan(const struct ax_ckpt *k, const struct ax_merge_opt *o, struct ax_merge_stats *s, struct ax_err *e);

#endif
