#include "model/desc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/read.h"
#include "model/rotary.h"
#include "text/json.h"

#define CONFIG_MAX ((size_t)16 << 20)

enum window_rule { WINDOW_NONE, WINDOW_ALL /* mistral */, WINDOW_UPPER /* qwen: layers from max_window_layers on */, WINDOW_NO_ROPE /* smollm3 */ };

/* What a family's class in transformers fixes, and its defaults for keys that a config.json may leave out. */
struct family {
	const char *type, *architecture;
	double theta;
	int64_t max_position, n_kv; /* n_kv 0: as many as query heads */
	int64_t head_dim;           /* 0: width / heads */
	bool tied, qkv_bias;        /* qkv_bias: always, and no key for it */
	bool bias_key, mlp_bias_key, qk_norm, no_rope_layers;
	enum window_rule window;
	int64_t window_default; /* 0: none */
};

static const struct family families[] = {
	{ "llama", "LlamaForCausalLM", 1e4, 2048, 0, 0, false, false, true, true, false, false, WINDOW_NONE, 0 },
	{ "mistral", "MistralForCausalLM", 1e4, 131072, 8, 0, false, false, false, false, false, false, WINDOW_ALL, 4096 },
	{ "qwen2", "Qwen2ForCausalLM", 1e4, 32768, 32, 0, false, true, false, false, false, false, WINDOW_UPPER, 4096 },
	{ "qwen3", "Qwen3ForCausalLM", 1e4, 32768, 32, 128, false, false, true, false, true, false, WINDOW_UPPER, 4096 },
	{ "smollm3", "SmolLM3ForCausalLM", 2e6, 32768, 4, 0, true, false, true, true, false, true, WINDOW_NO_ROPE, 0 },
};

#define N_FAMILY (sizeof(families) / sizeof(families[0]))

static const struct family *find_family(struct ax_read *r)
{
	const struct ax_val *v = ax_read_get(r, "model_type");
	char why[160] = "not supported; supported model types:";

	if (!v || v->type != AX_STR) {
		ax_read_fail(r, AX_EDATA, "model_type", "a string is needed");
		return NULL;
	}
	for (size_t i = 0; i < N_FAMILY; i++) {
		if (ax_val_is(v, families[i].type))
			return &families[i];
		snprintf(why + strlen(why), sizeof(why) - strlen(why), "%s %s", i ? "," : "", families[i].type);
	}
	ax_read_fail(r, AX_EUSAGE, "model_type", why);
	return NULL;
}

/* Keys that would change the result and that no code here reads. */
static void refuse(struct ax_read *r)
{
	if (ax_read_get(r, "quantization_config"))
		ax_read_fail(r, AX_EUSAGE, "quantization_config", "quantised weights cannot be trained; take the unquantised model");
	if (ax_read_num(r, "attention_dropout", 0, 0, 1) > 0)
		ax_read_fail(r, AX_EUSAGE, "attention_dropout", "dropout is not supported; 0 is");
	if (ax_read_num(r, "partial_rotary_factor", 1, 0, 1e9) != 1)
		ax_read_fail(r, AX_EUSAGE, "partial_rotary_factor", "only 1 is supported");
}

static void read_dims(struct ax_desc *d, struct ax_read *r, const struct family *f)
{
	int64_t head_dim, n_kv;

	d->n_layer = (int)ax_read_int(r, "num_hidden_layers", 0, 1, AX_LAYER_MAX);
	d->width = (int)ax_read_int(r, "hidden_size", 0, 1, AX_WIDTH_MAX);
	d->mlp_width = (int)ax_read_int(r, "intermediate_size", 0, 1, AX_WIDTH_MAX);
	d->vocab = (int)ax_read_int(r, "vocab_size", 0, 1, AX_VOCAB_MAX);
	d->n_head = (int)ax_read_int(r, "num_attention_heads", 0, 1, AX_WIDTH_MAX);
	if (r->rc)
		return;
	n_kv = ax_val_get(r->map, "num_key_value_heads") || !f->n_kv ? d->n_head : f->n_kv; /* null: as many as heads */
	d->n_kv = (int)ax_read_int(r, "num_key_value_heads", n_kv, 1, d->n_head);
	head_dim = ax_val_get(r->map, "head_dim") || !f->head_dim ? d->width / d->n_head : f->head_dim;
	d->head_dim = (int)ax_read_int(r, "head_dim", head_dim, 2, AX_HEAD_DIM_MAX);
	if (r->rc)
		return;
	if (!ax_read_get(r, "head_dim") && !f->head_dim && d->width % d->n_head)
		ax_read_fail(r, AX_EDATA, "num_attention_heads", "does not divide hidden_size, and there is no head_dim");
	if (d->n_head % d->n_kv)
		ax_read_fail(r, AX_EDATA, "num_key_value_heads", "does not divide num_attention_heads");
	if (d->head_dim % 2)
		ax_read_fail(r, AX_EDATA, "head_dim", "must be even for rotary embedding");
	if ((int64_t)d->n_head * d->head_dim > AX_WIDTH_MAX)
		ax_read_fail(r, AX_EDATA, "num_attention_heads", "heads times head_dim is beyond the limit of 1048576");
	d->max_position = ax_read_int(r, "max_position_embeddings", f->max_position, 1, INT32_MAX);
}

static void read_numbers(struct ax_desc *d, struct ax_read *r, const struct family *f)
{
	const struct ax_val *v;

	d->norm_eps = (float)ax_read_num(r, "rms_norm_eps", 1e-6, 0, 1);
	d->init_std = (float)ax_read_num(r, "initializer_range", 0.02, 0, 10);
	d->tied = ax_read_bool(r, "tie_word_embeddings", f->tied);
	d->qkv_bias = f->qkv_bias || (f->bias_key && ax_read_bool(r, "attention_bias", false));
	d->o_bias = f->bias_key && d->qkv_bias;
	d->mlp_bias = f->mlp_bias_key && ax_read_bool(r, "mlp_bias", false);
	d->qk_norm = f->qk_norm;
	v = ax_read_get(r, "hidden_act");
	if (!v || ax_val_is(v, "silu") || ax_val_is(v, "swish"))
		d->act = AX_ACT_SILU;
	else if (ax_val_is(v, "gelu_pytorch_tanh") || ax_val_is(v, "gelu_new"))
		d->act = AX_ACT_GELU_TANH;
	else if (ax_val_is(v, "gelu"))
		d->act = AX_ACT_GELU;
	else
		ax_read_fail(r, AX_EUSAGE, "hidden_act", "not supported; silu, gelu, gelu_pytorch_tanh are");
}

static void read_dtype(struct ax_desc *d, struct ax_read *r)
{
	const char *key = ax_read_get(r, "dtype") ? "dtype" : "torch_dtype";
	const struct ax_val *v = ax_read_get(r, key);

	if (!v || ax_val_is(v, "auto") || ax_val_is(v, "float32"))
		d->dtype = AX_F32;
	else if (ax_val_is(v, "bfloat16"))
		d->dtype = AX_BF16;
	else if (ax_val_is(v, "float16"))
		d->dtype = AX_F16;
	else
		ax_read_fail(r, AX_EUSAGE, key, "not supported; float32, bfloat16, float16 are");
}

/* An id, or the first of a list of ids. */
static int32_t read_token(struct ax_read *r, const char *key)
{
	const struct ax_val *v = ax_read_get(r, key);

	if (v && v->type == AX_LIST)
		v = ax_val_at(v, 0);
	if (ax_val_is_null(v))
		return -1;
	if (v->type != AX_INT || v->u.i < -1 || v->u.i > INT32_MAX) {
		ax_read_fail(r, AX_EDATA, key, "a token id is needed");
		return -1;
	}
	return (int32_t)v->u.i;
}

static void read_rope_layers(struct ax_desc *d, struct ax_read *r, const struct family *f)
{
	const struct ax_val *v = f->no_rope_layers ? ax_read_get(r, "no_rope_layers") : NULL;
	int64_t every = f->no_rope_layers ? ax_read_int(r, "no_rope_layer_interval", 4, 1, INT32_MAX) : 0;

	if (v && (v->type != AX_LIST || v->n < (size_t)d->n_layer))
		ax_read_fail(r, AX_EDATA, "no_rope_layers", "a list with a 0 or 1 for each layer is needed");
	for (int i = 0; i < d->n_layer && !r->rc; i++) {
		int64_t on = v ? ax_val_int_or(ax_val_at(v, (size_t)i), -1) : !every || (i + 1) % every != 0;

		if (on != 0 && on != 1)
			ax_read_fail(r, AX_EDATA, "no_rope_layers", "a list with a 0 or 1 for each layer is needed");
		d->layer_rope[i] = (uint8_t)on;
	}
}

/* layer_types of transformers 5 decides where it is given. */
static void read_layer_types(struct ax_desc *d, struct ax_read *r)
{
	const struct ax_val *v = ax_read_get(r, "layer_types");

	if (!v)
		return;
	if (v->type != AX_LIST || v->n != (size_t)d->n_layer) {
		ax_read_fail(r, AX_EDATA, "layer_types", "a list with an entry for each layer is needed");
		return;
	}
	for (int i = 0; i < d->n_layer; i++) {
		const struct ax_val *t = ax_val_at(v, (size_t)i);

		if (!ax_val_is(t, "full_attention") && !ax_val_is(t, "sliding_attention"))
			ax_read_fail(r, AX_EUSAGE, "layer_types", "only full_attention and sliding_attention are supported");
		else if (ax_val_is(t, "sliding_attention") && !d->window)
			ax_read_fail(r, AX_EDATA, "layer_types", "has sliding_attention, but there is no sliding window");
		d->layer_window[i] = ax_val_is(t, "sliding_attention");
	}
}

static void read_window(struct ax_desc *d, struct ax_read *r, const struct family *f)
{
	bool on = f->window == WINDOW_ALL || (f->window != WINDOW_NONE && ax_read_bool(r, "use_sliding_window", false));
	int64_t dflt = ax_val_get(r->map, "sliding_window") ? 0 : f->window_default; /* null: none */
	int64_t from = 0;

	if (f->window == WINDOW_NONE)
		return;
	if (on && (dflt || ax_read_get(r, "sliding_window")))
		d->window = (int)ax_read_int(r, "sliding_window", dflt, 1, INT32_MAX);
	if (f->window == WINDOW_UPPER)
		from = ax_read_int(r, "max_window_layers", 28, 0, INT32_MAX);
	for (int i = 0; i < d->n_layer && d->window; i++)
		d->layer_window[i] = f->window == WINDOW_NO_ROPE ? !d->layer_rope[i] : i >= from;
	read_layer_types(d, r); /* transformers reads a mistral that has it as a ministral, which is all the same else */
}

int ax_desc_parse(struct ax_desc *d, const struct ax_val *config, struct ax_err *e)
{
	struct ax_read r = { config, "", 0, e };
	const struct family *f;

	memset(d, 0, sizeof(*d));
	if (!config || config->type != AX_MAP)
		return ax_fail(e, AX_EDATA, "a JSON object is needed");
	f = find_family(&r);
	if (!f)
		return r.rc;
	snprintf(d->model_type, sizeof(d->model_type), "%s", f->type);
	snprintf(d->architecture, sizeof(d->architecture), "%s", f->architecture);
	refuse(&r);
	read_dims(d, &r, f);
	if (r.rc)
		return r.rc;
	read_numbers(d, &r, f);
	read_dtype(d, &r);
	d->bos = read_token(&r, "bos_token_id");
	d->eos = read_token(&r, "eos_token_id");
	d->pad = read_token(&r, "pad_token_id");
	read_rope_layers(d, &r, f);
	read_window(d, &r, f);
	if (r.rc)
		return r.rc;
	return ax_rotary_parse(&d->rope, config, d->head_dim, d->max_position, f->theta, e);
}

int ax_desc_load(struct ax_desc *d, const char *config_json_path, struct ax_err *e)
{
	struct ax_arena a;
	struct ax_val *v = NULL;
	int rc;

	ax_arena_init(&a, 8 * CONFIG_MAX);
	rc = ax_json_file(&a, config_json_path, CONFIG_MAX, &v, e);
	if (!rc) {
		rc = ax_desc_parse(d, v, e);
		if (rc)
			ax_err_prefix(e, "%s: ", config_json_path);
	}
	ax_arena_release(&a);
	return rc;
}

int ax_desc_set_vocab(struct ax_desc *d, int64_t n, struct ax_err *e)
{
	if (n < 1 || n > AX_VOCAB_MAX)
		return ax_fail(e, AX_EDATA, "a vocabulary of %lld is beyond the limit of %d", (long long)n, AX_VOCAB_MAX);
	d->vocab = (int)n;
	return 0;
}
