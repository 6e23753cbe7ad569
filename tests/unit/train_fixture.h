/* A tiny model, shards to train it on, and runs of it: what the tests of lib/train share. DIR is the test's own folder. */
#ifndef AX_TESTS_TRAIN_FIXTURE_H
#define AX_TESTS_TRAIN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/rng.h"
#include "fmt/shard.h"
#include "text/json.h"
#include "train/merge.h"
#include "train/metrics.h"
#include "train/policy.h"
#include "train/train.h"
#include "train/weights.h"

#define SEQ 32
#define VOCAB 64
#define STEPS 6

static const char config_text[] =
	"{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": 32, \"intermediate_size\": 48,"
	" \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 64, \"rms_norm_eps\": 1e-6,"
	" \"max_position_embeddings\": 64, \"rope_theta\": 10000.0, \"hidden_act\": \"silu\", \"tie_word_embeddings\": false,"
	" \"initializer_range\": 0.05}";

struct fixture {
	struct ax_arena arena;
	struct ax_comm *comm;
	struct ax_dev dev;
	struct ax_desc desc;
	struct ax_units units;
	struct ax_weights weights;
	struct ax_loader *loader;
	struct ax_train_opt opt;
};

static struct fixture f;

/* Rows of an arithmetic sequence of ids with a random start: something to learn. */
static void add_pack(struct ax_shards_writer *w, uint64_t i, uint8_t split)
{
	uint32_t id[SEQ], len[2] = {20, 11};
	uint8_t mask[SEQ];
	struct ax_row row[2];
	struct ax_pack p = {.split = split, .n = 31, .n_doc = 2, .len = len, .row = row, .id = id, .mask = mask};
	struct ax_err e = {0};

	for (uint32_t d = 0, at = 0; d < 2; at += len[d++]) {
		uint32_t start = (uint32_t)(ax_rand_u64(1, 0, 2 * i + d) % VOCAB);

		for (uint32_t k = 0; k < len[d]; k++) {
			id[at + k] = (start + 3 * k) % VOCAB;
			mask[at + k] = k >= 4;
		}
		row[d] = (struct ax_row){.n = len[d], .id = id + at, .mask = mask + at, .split = split, .number = i + 1};
		p.trained += ax_row_trained(&row[d]);
		p.cost += (uint64_t)len[d] * len[d];
	}
	assert_int_equal(ax_shards_write(w, &p, &e), 0);
}

static void make_shards(void)
{
	struct ax_val *header = ax_header_new(&f.arena, "packs", 16);
	struct ax_shards_writer w;
	struct ax_err e = {0};

	ax_val_set(&f.arena, header, "sequence_len", ax_val_int(&f.arena, SEQ));
	if (ax_shards_writer_open(&w, DIR "/shards", header, 2, 0, true, &e))
		fail_msg("%s", e.msg);
	for (uint64_t i = 0; i < 14; i++)
		add_pack(&w, i, AX_SPLIT_TRAIN);
	for (uint64_t i = 14; i < 17; i++)
		add_pack(&w, i, AX_SPLIT_EVAL);
	if (ax_shards_writer_finish(&w, NULL, NULL, NULL, &e))
		fail_msg("%s", e.msg);
	ax_shards_writer_release(&w);
}

static int setup(void **state)
{
	struct ax_err e = {0};
	struct ax_val *config;

	ax_log_set_level(AX_LOG_ERROR);
	ax_remove_tree(DIR, NULL);
	assert_int_equal(ax_mkdirs(DIR, &e), 0);
	ax_arena_init(&f.arena, 0);
	make_shards();
	assert_int_equal(ax_json_parse(&f.arena, config_text, strlen(config_text), &config, &e), 0);
	assert_int_equal(ax_desc_parse(&f.desc, config, &e), 0);
	assert_int_equal(ax_model_units(&f.desc, &f.units, &e), 0);
	assert_int_equal(ax_weights_init(&f.weights, &f.desc, &f.units, 7, &e), 0);
	assert_int_equal(ax_comm_open_self(&f.comm, &e), 0);
	assert_int_equal(ax_cpu_open(&f.dev, AX_F32, 1, 0, &e), 0);
	assert_int_equal(ax_loader_open(&f.loader, DIR "/shards", &e), 0);
	f.opt = (struct ax_train_opt){.micro_batch = 2, .grad_accum = 2, .seed = 42, .num_epochs = 1.5, .max_grad_norm = 1.0,
				      .save_steps = 3, .eval_steps = 2, .eval_start = true, .eval_end = true,
				      .logging_steps = 1, .reshard_after_forward = true};
	ax_sched_opt_init(&f.opt.sched);
	f.opt.sched.lr = 5e-3;
	ax_adamw_opt_init(&f.opt.adam);
	return 0;
}

static int write_config(void *ctx, const char *dir, struct ax_err *e)
{
	char *path = ax_path_join(dir, "config.json");
	int rc = ax_write_file(path, config_text, strlen(config_text), e);

	(void)ctx;
	ax_free(path);
	return rc;
}

static int run(const char *dir, const char *resume, const struct ax_train_opt *o, struct ax_err *e)
{
	struct ax_train_env env = {f.comm, f.comm, &f.dev, &f.desc, &f.units, f.loader, NULL, ax_weights_read, &f.weights};
	struct ax_train_opt opt = *o;
	struct ax_outdir out;
	struct ax_train *t = NULL;
	struct ax_train_plan plan;
	int rc;

	opt.extra = write_config;
	env.outdir = &out;
	AX_TRY(ax_train_plan(&env, &opt, f.comm->n_rank, &plan, e));
	AX_TRY(ax_train_fits(&env, &plan, e));
	AX_TRY(ax_outdir_open(&out, f.comm, dir, e));
	rc = ax_outdir_resume(&out, f.comm, resume, false, e);
	if (!rc)
		rc = ax_train_open(&t, &env, &opt, e);
	if (!rc)
		rc = ax_train_run(t, e);
	ax_train_close(t);
	ax_outdir_close(&out);
	return rc;
}

static void must(int rc, const struct ax_err *e)
{
	if (rc)
		fail_msg("%s", e->msg);
}

/* Every part of every parameter of two checkpoints, bit for bit. */
static void same_checkpoints(const char *x, const char *y)
{
	struct ax_err e = {0};
	struct ax_ckpt a, b;

	must(ax_ckpt_open(&a, x, &e), &e);
	must(ax_ckpt_open(&b, y, &e), &e);
	assert_int_equal(a.n_param, b.n_param);
	for (size_t i = 0; i < a.n_param; i++)
		for (int part = 0; part <= AX_PART_V; part++) {
			size_t n = (size_t)a.param[i].n_elem;
			float *p = malloc(2 * n * sizeof(float));

			must(ax_ckpt_read(&a, &a.param[i], (enum ax_part)part, 0, n, p, &e), &e);
			must(ax_ckpt_read(&b, ax_ckpt_find(&b, a.param[i].name), (enum ax_part)part, 0, n, p + n, &e), &e);
			assert_memory_equal(p, p + n, n * sizeof(float));
			free(p);
		}
	ax_ckpt_close(&a);
	ax_ckpt_close(&b);
}

static void read_text(const char *path, struct ax_buf *b)
{
	struct ax_err e = {0};

	must(ax_read_file(path, 1 << 20, b, &e), &e);
}

static int teardown(void **state)
{
	ax_loader_close(f.loader);
	ax_cpu_close(&f.dev);
	ax_comm_close(f.comm);
	ax_weights_close(&f.weights);
	ax_units_release(&f.units);
	ax_arena_release(&f.arena);
	return ax_remove_tree(DIR, NULL);
}

#endif
