#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/engine.h"

static const char *const slot_name[N_SLOT] = {
	"input_layernorm.weight", "self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight",
	"self_attn.q_proj.bias",  "self_attn.k_proj.bias",   "self_attn.v_proj.bias",   "self_attn.q_norm.weight",
	"self_attn.k_norm.weight", "self_attn.o_proj.weight", "self_attn.o_proj.bias",   "post_attention_layernorm.weight",
	"mlp.gate_proj.weight",   "mlp.up_proj.weight",      "mlp.gate_proj.bias",      "mlp.up_proj.bias",
	"mlp.down_proj.weight",   "mlp.down_proj.bias",
};

static const struct ax_param *param(const struct ax_units *u, const char *name)
{
	int i = ax_units_find(u, name);

	return i < 0 ? NULL : &u->param[i];
}

/* Are these the units of this description, but for order in the table? */
static int check_units(const struct ax_desc *d, const struct ax_units *u, struct ax_err *e)
{
	struct ax_units want;
	int rc;

	AX_TRY(ax_model_units(d, &want, e));
	rc = u->n_unit == want.n_unit && u->n_param == want.n_param ? 0 : AX_ECHECK;
	for (int i = 0; i < want.n_param && !rc; i++) {
		const struct ax_param *p = &want.param[i], *q = &u->param[i];

		if (strcmp(p->name, q->name) != 0 || p->n_elem != q->n_elem || p->unit != q->unit || p->off != q->off)
			rc = AX_ECHECK;
	}
	ax_units_release(&want);
	return rc ? ax_fail(e, rc, "the parameter table is not that of this model") : 0;
}

static void find_params(struct ax_model *m)
{
	char name[AX_PARAM_NAME_MAX];

	for (int i = 0; i < N_SLOT; i++) {
		snprintf(name, sizeof(name), "model.layers.0.%s", slot_name[i]);
		m->slot[i] = param(m->u, name);
	}
	m->embed = param(m->u, "model.embed_tokens.weight");
	m->norm = param(m->u, "model.norm.weight");
	m->lm_head = m->d->tied ? m->embed : param(m->u, "lm_head.weight");
	m->head = m->d->tied ? 0 : m->u->n_unit - 1;
}

static int alloc_block(struct ax_model *m, char **p, size_t bytes, const char *role, struct ax_err *e)
{
	char human[32];

	if (!bytes)
		return 0;
	*p = m->ops->alloc(m->dev, bytes);
	return *p ? 0 : ax_fail(e, AX_EMEM, "no memory for %s (%s)", role, ax_human_bytes(bytes, human));
}

static int upload_rope(struct ax_model *m, struct ax_err *e)
{
	int64_t n = m->opt.max_pos;
	size_t bytes = (size_t)n * (size_t)m->d->head_dim * sizeof(float);
	float *table = ax_malloc(bytes);
	int rc;

	if (!table)
		return ax_fail(e, AX_EMEM, "no memory for the rotary table");
	rc = ax_rope_table(m->d, table, n, e);
	if (!rc)
		m->ops->upload(m->dev, input_of(m, I_ROPE), table, bytes);
	ax_free(table);
	return rc;
}

static int open_blocks(struct ax_model *m, struct ax_err *e)
{
	struct ax_shape shape;

	AX_TRY(ax_model_layout(&m->at, m->d, m->dev->act, &m->opt, e));
	AX_TRY(check_units(m->d, m->u, e));
	find_params(m);
	ax_model_shape(m->d, m->opt.n_token, &shape);
	AX_TRY(m->ops->reserve(m->dev, &shape, e));
	m->seg = ax_calloc((size_t)m->opt.max_seg, sizeof(*m->seg));
	if (!m->seg)
		return ax_fail(e, AX_EMEM, "no memory for the segments of a micro-batch");
	AX_TRY(alloc_block(m, &m->activation, m->at.activation_bytes, "activations", e));
	AX_TRY(alloc_block(m, &m->scratch, m->at.scratch_bytes, "scratch of a layer", e));
	AX_TRY(alloc_block(m, &m->input, m->at.input_bytes, "inputs of a micro-batch", e));
	return upload_rope(m, e);
}

int ax_model_open(struct ax_model **out, struct ax_dev *dev, const struct ax_desc *d, const struct ax_units *u, const struct ax_model_opt *o, struct ax_err *e)
{
	struct ax_model *m = ax_calloc(1, sizeof(*m));
	int rc;

	*out = NULL;
	if (!m)
		return ax_fail(e, AX_EMEM, "no memory for the model");
	m->dev = dev;
	m->ops = dev->ops;
	m->d = d;
	m->u = u;
	m->opt = *o;
	if (m->opt.max_pos == 0)
		m->opt.max_pos = o->n_token;
	m->act_size = ax_dtype_size(dev->act);
	m->grad_size = ax_dtype_size(dev->grad);
	m->attn_scale = (float)(1.0 / sqrt((double)d->head_dim));
	rc = open_blocks(m, e);
	if (rc) {
		ax_model_close(m);
		return rc;
	}
	*out = m;
	return 0;
}

void ax_model_close(struct ax_model *m)
{
	if (!m)
		return;
	m->ops->free(m->dev, m->activation);
	m->ops->free(m->dev, m->scratch);
	m->ops->free(m->dev, m->input);
	ax_free(m->seg);
	ax_free(m);
}
