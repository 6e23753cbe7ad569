#include "model/unit.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/model.h"

/* Units under construction. */
struct build {
	struct ax_units *u;
	size_t cap_unit, cap_param;
	struct ax_err *e;
};

static size_t round_up(size_t n)
{
	return (n + AX_UNIT_ALIGN - 1) / AX_UNIT_ALIGN * AX_UNIT_ALIGN;
}

static int add_unit(struct build *b, const char *name, int layer)
{
	struct ax_units *u = b->u;
	struct ax_unit *t;

	if (!AX_GROW(u->unit, (size_t)u->n_unit, b->cap_unit))
		return ax_fail(b->e, AX_EMEM, "no memory for the table of units");
	t = &u->unit[u->n_unit++];
	memset(t, 0, sizeof(*t));
	t->first_param = u->n_param;
	if (layer >= 0)
		snprintf(t->name, sizeof(t->name), "%s %d", name, layer);
	else
		snprintf(t->name, sizeof(t->name), "%s", name);
	return 0;
}

/* A parameter of the newest unit: (rows, cols), or a vector of `rows` if cols is 0. */
static int add_param(struct build *b, const char *prefix, const char *name, int64_t rows, int64_t cols)
{
	struct ax_units *u = b->u;
	struct ax_unit *t = &u->unit[u->n_unit - 1];
	struct ax_param *p;
	size_t n;

	if (!AX_GROW(u->param, (size_t)u->n_param, b->cap_param))
		return ax_fail(b->e, AX_EMEM, "no memory for the table of parameters");
	if (!ax_mul_size((size_t)rows, cols ? (size_t)cols : 1, &n) || n > SIZE_MAX / 64 - t->n_elem)
		return ax_fail(b->e, AX_EMEM, "%s%s is too large", prefix, name);
	p = &u->param[u->n_param++];
	memset(p, 0, sizeof(*p));
	snprintf(p->name, sizeof(p->name), "%s%s", prefix, name);
	p->n_dim = cols ? 2 : 1;
	p->dim[0] = rows;
	p->dim[1] = cols;
	p->n_elem = n;
	p->unit = u->n_unit - 1;
	p->off = t->n_elem;
	p->decay = cols != 0; /* vectors are norms and biases */
	p->lr_scale = 1;
	p->trainable = true;
	p->base_dtype = AX_F32;
	t->n_elem += round_up(n);
	t->n_param++;
	u->n_elem += n;
	return 0;
}

static int add_attention(struct build *b, const struct ax_desc *d, const char *prefix)
{
	int64_t q = (int64_t)d->n_head * d->head_dim, kv = (int64_t)d->n_kv * d->head_dim;

	AX_TRY(add_param(b, prefix, "self_attn.q_proj.weight", q, d->width));
	AX_TRY(add_param(b, prefix, "self_attn.k_proj.weight", kv, d->width));
	AX_TRY(add_param(b, prefix, "self_attn.v_proj.weight", kv, d->width));
	if (d->qkv_bias) {
		AX_TRY(add_param(b, prefix, "self_attn.q_proj.bias", q, 0));
		AX_TRY(add_param(b, prefix, "self_attn.k_proj.bias", kv, 0));
		AX_TRY(add_param(b, prefix, "self_attn.v_proj.bias", kv, 0));
	}
	if (d->qk_norm) {
		AX_TRY(add_param(b, prefix, "self_attn.q_norm.weight", d->head_dim, 0));
		AX_TRY(add_param(b, prefix, "self_attn.k_norm.weight", d->head_dim, 0));
	}
	AX_TRY(add_param(b, prefix, "self_attn.o_proj.weight", d->width, q));
	if (d->o_bias)
		AX_TRY(add_param(b, prefix, "self_attn.o_proj.bias", d->width, 0));
	return 0;
}

static int add_mlp(struct build *b, const struct ax_desc *d, const char *prefix)
{
	AX_TRY(add_param(b, prefix, "mlp.gate_proj.weight", d->mlp_width, d->width));
	AX_TRY(add_param(b, prefix, "mlp.up_proj.weight", d->mlp_width, d->width));
	if (d->mlp_bias) {
		AX_TRY(add_param(b, prefix, "mlp.gate_proj.bias", d->mlp_width, 0));
		AX_TRY(add_param(b, prefix, "mlp.up_proj.bias", d->mlp_width, 0));
	}
	AX_TRY(add_param(b, prefix, "mlp.down_proj.weight", d->width, d->mlp_width));
	if (d->mlp_bias)
		AX_TRY(add_param(b, prefix, "mlp.down_proj.bias", d->width, 0));
	return 0;
}

static int add_layer(struct build *b, const struct ax_desc *d, int layer)
{
	char prefix[64];

	snprintf(prefix, sizeof(prefix), "model.layers.%d.", layer);
	AX_TRY(add_unit(b, "layer", layer));
	AX_TRY(add_param(b, prefix, "input_layernorm.weight", d->width, 0));
	AX_TRY(add_attention(b, d, prefix));
	AX_TRY(add_param(b, prefix, "post_attention_layernorm.weight", d->width, 0));
	return add_mlp(b, d, prefix);
}

static int add_all(struct build *b, const struct ax_desc *d)
{
	AX_TRY(add_unit(b, d->tied ? "root" : "embed", -1));
	AX_TRY(add_param(b, "model.", "embed_tokens.weight", d->vocab, d->width));
	if (d->tied)
		AX_TRY(add_param(b, "model.", "norm.weight", d->width, 0));
	for (int i = 0; i < d->n_layer; i++)
		AX_TRY(add_layer(b, d, i));
	if (d->tied)
		return 0;
	AX_TRY(add_unit(b, "head", -1));
	AX_TRY(add_param(b, "model.", "norm.weight", d->width, 0));
	return add_param(b, "", "lm_head.weight", d->vocab, d->width);
}

int ax_model_units(const struct ax_desc *d, struct ax_units *u, struct ax_err *e)
{
	struct build b = { u, 0, 0, e };
	int rc;

	memset(u, 0, sizeof(*u));
	rc = add_all(&b, d);
	if (rc)
		ax_units_release(u);
	return rc;
}

size_t ax_unit_slice_elems(const struct ax_unit *u, int n)
{
	return round_up((u->n_elem + (size_t)n - 1) / (size_t)n);
}

int ax_units_find(const struct ax_units *u, const char *name)
{
	for (int i = 0; i < u->n_param; i++)
		if (!strcmp(u->param[i].name, name))
			return i;
	return -1;
}

int ax_units_scale_lr(struct ax_units *u, const char *part, float scale, bool decay)
{
	int n = 0;

	for (int i = 0; i < u->n_param; i++) {
		struct ax_param *p = &u->param[i];

		if (!strstr(p->name, part))
			continue;
		p->lr_scale *= scale;
		p->decay = p->decay && decay;
		n++;
	}
	return n;
}

void ax_units_release(struct ax_units *u)
{
	ax_free(u->unit);
	ax_free(u->param);
	memset(u, 0, sizeof(*u));
}

const char *ax_model_weight_name(const struct ax_desc *d, const struct ax_param *p, int i, char *buf)
{
	bool bare = !strncmp(p->name, "model.", 6), tied = d->tied && !strcmp(p->name, "model.embed_tokens.weight");

	if (i == 0)
		snprintf(buf, AX_PARAM_NAME_MAX, "%s", p->name);
	else if (i == 1 && bare)
		snprintf(buf, AX_PARAM_NAME_MAX, "%s", p->name + 6);
	else if (i == 2 && tied)
		snprintf(buf, AX_PARAM_NAME_MAX, "lm_head.weight");
	else
		return NULL;
	return buf;
}

bool ax_model_weight_ignorable(const struct ax_desc *d, const char *name)
{
	size_t n = strlen(name);

	if (d->tied && !strcmp(name, "lm_head.weight"))
		return true;
	return n >= 19 && !strcmp(name + n - 19, "rotary_emb.inv_freq");
}

double ax_model_flops(const struct ax_desc *d, const struct ax_units *u, double mean_context, bool causal)
{
	double matrix = 0, attention = 0;

	for (int i = 0; i < u->n_param; i++) {
		const struct ax_param *p = &u->param[i];

		if (p->n_dim == 2 && (d->tied || strcmp(p->name, "model.embed_tokens.weight") != 0))
			matrix += (double)p->n_elem;
	}
	for (int i = 0; i < d->n_layer; i++) {
		double t = d->layer_window[i] && d->window < mean_context ? d->window : mean_context;

		attention += (causal ? 6.0 : 12.0) * d->n_head * d->head_dim * t;
	}
	return 6.0 * matrix + attention;
}
