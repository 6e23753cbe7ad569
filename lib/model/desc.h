/*
 * A model family as a row of flags over one decoder. ax_desc_load reads a Hugging Face config.json in both spellings,
 * transformers 4 (rope_theta, rope_scaling, torch_dtype) and 5 (rope_parameters, dtype). What the engine cannot run is
 * refused with the key and the value that it cannot.
 */
#ifndef AX_MODEL_DESC_H
#define AX_MODEL_DESC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "tensor/ops.h"
#include "text/val.h"

#define AX_LAYER_MAX 512

enum ax_rope_kind { AX_ROPE_DEFAULT, AX_ROPE_LINEAR, AX_ROPE_DYNAMIC, AX_ROPE_YARN, AX_ROPE_LLAMA3, AX_ROPE_LONGROPE };

struct ax_rope {
	enum ax_rope_kind kind;
	double theta, factor, low_freq_factor, high_freq_factor, attention_factor, beta_fast, beta_slow, mscale, mscale_all_dim;
	int64_t original_max_position;
	bool truncate;
};

struct ax_desc {
	char model_type[32];  /* "llama", "mistral", "qwen2", "qwen3", "smollm3" */
	char architecture[64];
	int n_layer, n_head, n_kv, head_dim, width, mlp_width, vocab;
	int64_t max_position;
	float norm_eps;
	bool tied;            /* tie_word_embeddings */
	bool qkv_bias, o_bias, mlp_bias;
	bool qk_norm;         /* per-head RMSNorm on q and k before rope */
	enum ax_act_fn act;
	struct ax_rope rope;
	int window;           /* sliding window, 0: none */
	uint8_t layer_window[AX_LAYER_MAX]; /* 1: this layer uses the window */
	uint8_t layer_rope[AX_LAYER_MAX];   /* 1: this layer applies rope (SmolLM3 skips some) */
	float init_std;       /* initializer_range */
	enum ax_dtype dtype;  /* of the weights on disk, as config says */
	int32_t bos, eos, pad; /* -1: none */
};

int ax_desc_parse(struct ax_desc *d, const struct ax_val *config, struct ax_err *e);
int ax_desc_load(struct ax_desc *d, const char *config_json_path, struct ax_err *e);
/* cos | sin table for positions [0, n): (n, head_dim) f32, computed as transformers does (f32 angles), attention factor
 * applied. seq_len matters for dynamic kinds. */
int ax_rope_table(const struct ax_desc *d, float *table, int64_t n, struct ax_err *e);

#endif
