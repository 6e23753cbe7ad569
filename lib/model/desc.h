/*
 * A model family as a row of flags over one decoder. ax_desc_parse reads a Hugging Face config.json in both spellings,
 * transformers 4 (rope_theta, rope_scaling, torch_dtype) and 5 (rope_parameters, dtype). What the engine cannot run is
 * refused with the key and the value that it cannot; keys that only matter for inference are ignored.
 *
 *	AX_TRY(ax_desc_load(&d, "model/config.json", e));
 *	AX_TRY(ax_desc_set_vocab(&d, 32064, e));        // if tokens were added
 *
 * overrides_of_model_config are the caller's: it changes the parsed JSON value before ax_desc_parse.
 */
#ifndef AX_MODEL_DESC_H
#define AX_MODEL_DESC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "tensor/ops.h"
#include "text/val.h"

#define AX_LAYER_MAX 512
#define AX_WIDTH_MAX (1 << 20) /* of every width and of the vocabulary's rows: 16 times that */
#define AX_VOCAB_MAX (1 << 24)

enum ax_rotary_kind { AX_ROTARY_DEFAULT, AX_ROTARY_LINEAR, AX_ROTARY_DYNAMIC, AX_ROTARY_YARN, AX_ROTARY_LLAMA3, AX_ROTARY_LONGROPE };

/* Rotary position embedding as config.json describes it. Fields that a kind does not use are 0. */
struct ax_rotary {
	enum ax_rotary_kind kind;
	double theta, factor, low_freq_factor, high_freq_factor, beta_fast, beta_slow;
	double attention_factor; /* yarn, longrope: resolved (given, or from factor and mscale); other kinds: 1 */
	int64_t original_max_position;
	bool truncate; /* yarn */
	float short_factor[AX_HEAD_DIM_MAX / 2], long_factor[AX_HEAD_DIM_MAX / 2];
};

struct ax_desc {
	char model_type[32];  /* "llama", "mistral", "qwen2", "qwen3", "smollm3" */
	char architecture[64]; /* "LlamaForCausalLM": the family's, whatever the file says */
	int n_layer, n_head, n_kv, head_dim, width, mlp_width, vocab;
	int64_t max_position;
	float norm_eps;
	bool tied;            /* tie_word_embeddings */
	bool qkv_bias, o_bias, mlp_bias;
	bool qk_norm;         /* per-head RMSNorm on q and k before rope */
	enum ax_act_fn act;
	struct ax_rotary rope;
	int window;           /* sliding window, 0: none */
	uint8_t layer_window[AX_LAYER_MAX]; /* 1: this layer uses the window */
	uint8_t layer_rope[AX_LAYER_MAX];   /* 1: this layer applies rope (SmolLM3 skips some) */
	float init_std;       /* initializer_range */
	enum ax_dtype dtype;  /* of the weights on disk, as config says; F32 if it says nothing */
	int32_t bos, eos, pad; /* -1: none; of a list the first */
};

/* Errors: AX_EDATA for what is malformed, AX_EUSAGE for what is well-formed but not supported; both name key and value. */
int ax_desc_parse(struct ax_desc *d, const struct ax_val *config, struct ax_err *e);
/* The same from a file; errors start with its path. */
int ax_desc_load(struct ax_desc *d, const char *config_json_path, struct ax_err *e);
/* A vocabulary of n rows (grown, or padded to a multiple). */
int ax_desc_set_vocab(struct ax_desc *d, int64_t n, struct ax_err *e);

/*
 * The rotary table (n, head_dim) f32, cosines in the first half of a row and sines in the second, attention factor
 * applied, for positions 0 .. n-1: f32 angles as transformers computes them. The kinds that depend on the sequence
 * length (dynamic, longrope) take it to be n, the longest that the run can see, so that a document's result does not
 * depend on what lies beside it in the batch; transformers looks at the longest document of each batch.
 */
int ax_rope_table(const struct ax_desc *d, float *table, int64_t n, struct ax_err *e);

#endif
