#include "model/engine.h"

/* dres += d norm(r) / dr (dy), in place. */
static void norm_bwd(const struct ax_model *m, void *dw, const void *dy, const void *r, const void *rstd, const void *w)
{
	void *dres = temp_of(m, T_DRES);

	m->ops->rmsnorm_bwd(m->dev, dres, dw, dy, dres, r, rstd, w, 0, m->opt.n_token, m->d->width);
}

void ax_model_head_step(const struct ax_model *m, const void *w, void *g)
{
	const float *weight = m->has_weight ? input_of(m, I_WEIGHT) : NULL;
	void *dnf = g ? temp_of(m, T_DELTA) : NULL;
	struct ax_head p = { .softcap = 0, .logit_scale = 1, .n_trained = m->n_trained };

	m->ops->head_loss(m->dev, input_of(m, I_LOSS), dnf, g ? grad_of(m, g, m->lm_head) : NULL, m->logits, temp_of(m, T_NF), weight_of(m, w, m->lm_head), input_of(m, I_TARGET), weight, input_of(m, I_SCALE), &p, m->opt.n_token, m->d->width, m->d->vocab);
	if (g)
		m->ops->rmsnorm_bwd(m->dev, temp_of(m, T_DRES), grad_of(m, g, m->norm), dnf, NULL, temp_of(m, T_RESF), temp_of(m, T_RSTDF), weight_of(m, w, m->norm), 0, m->opt.n_token, m->d->width);
}

/* The stream's gradient through the MLP. */
static void mlp_bwd(const struct ax_model *m, int layer, const void *w, void *g)
{
	void *dres = temp_of(m, T_DRES), *h = field_of(m, layer, F_H), *gu = field_of(m, layer, F_GU), *n2 = field_of(m, layer, F_N2);

	ax_model_join_dw(m, g, dres, h, &m->slot[P_DOWN], &m->slot[P_DOWNB], 1);
	ax_model_join_dx(m, h, dres, w, &m->slot[P_DOWN], 1);
	m->ops->glu_bwd(m->dev, gu, h, gu, m->d->act, m->opt.n_token, m->d->mlp_width);
	ax_model_join_dw(m, g, gu, n2, &m->slot[P_GATE], &m->slot[P_GATEB], 2);
	ax_model_join_dx(m, n2, gu, w, &m->slot[P_GATE], 2);
	norm_bwd(m, grad_of(m, g, m->slot[P_LN2]), n2, field_of(m, layer, F_RES2), field_of(m, layer, F_RSTD2), weight_of(m, w, m->slot[P_LN2]));
}

/* Gradients of q and k in T_DQKV back through rotary embedding and q/k norm. */
static void heads_bwd(const struct ax_model *m, int layer, const void *w, void *g)
{
	const struct ax_desc *d = m->d;
	size_t q = (size_t)d->n_head * (size_t)d->head_dim, ld = q + 2 * (size_t)d->n_kv * (size_t)d->head_dim;
	char *dq = temp_of(m, T_DQKV), *dk = dq + q * m->act_size;
	int N = m->opt.n_token;

	if (d->layer_rope[layer])
		m->ops->rope(m->dev, dq, ld, input_of(m, I_POS), input_of(m, I_ROPE), N, d->n_head + d->n_kv, d->head_dim, d->head_dim, true);
	if (!d->qk_norm)
		return;
	m->ops->headnorm_bwd(m->dev, dq, ld, grad_of(m, g, m->slot[P_QN]), field_of(m, layer, F_QPRE), field_of(m, layer, F_RSTDQ), weight_of(m, w, m->slot[P_QN]), 0, N, d->n_head, d->head_dim);
	m->ops->headnorm_bwd(m->dev, dk, ld, grad_of(m, g, m->slot[P_KN]), field_of(m, layer, F_KPRE), field_of(m, layer, F_RSTDK), weight_of(m, w, m->slot[P_KN]), 0, N, d->n_kv, d->head_dim);
}

/* The stream's gradient through attention. */
static void attention_bwd(const struct ax_model *m, int layer, const void *w, void *g)
{
	const struct ax_desc *d = m->d;
	size_t q = (size_t)d->n_head * (size_t)d->head_dim, kv = (size_t)d->n_kv * (size_t)d->head_dim, ld = q + 2 * kv;
	size_t k_at = q * m->act_size, v_at = (q + kv) * m->act_size;
	char *qkv = field_of(m, layer, F_QKV), *dqkv = temp_of(m, T_DQKV);
	void *dres = temp_of(m, T_DRES), *go = temp_of(m, T_DO), *o = field_of(m, layer, F_O), *n1 = field_of(m, layer, F_N1);
	struct ax_attn p;

	ax_model_attn(m, layer, &p);
	ax_model_join_dw(m, g, dres, o, &m->slot[P_O], &m->slot[P_OB], 1);
	ax_model_join_dx(m, go, dres, w, &m->slot[P_O], 1);
	m->ops->attn_bwd(m->dev, dqkv, dqkv + k_at, dqkv + v_at, go, qkv, ld, qkv + k_at, qkv + v_at, ld, o, field_of(m, layer, F_LSE), input_of(m, I_SEG), m->opt.max_seg, m->opt.n_token, m->opt.n_token, &p);
	heads_bwd(m, layer, w, g);
	ax_model_join_dw(m, g, dqkv, n1, &m->slot[P_Q], &m->slot[P_QB], 3);
	ax_model_join_dx(m, n1, dqkv, w, &m->slot[P_Q], 3);
	norm_bwd(m, grad_of(m, g, m->slot[P_LN1]), n1, field_of(m, layer, F_RES1), field_of(m, layer, F_RSTD1), weight_of(m, w, m->slot[P_LN1]));
}

void ax_model_layer_bwd(const struct ax_model *m, int layer, const void *w, void *g)
{
	ax_model_layer_restore(m, layer, w);
	mlp_bwd(m, layer, w, g);
	attention_bwd(m, layer, w, g);
}

void ax_model_embed_bwd(const struct ax_model *m, void *g)
{
	m->ops->embed_bwd(m->dev, grad_of(m, g, m->embed), temp_of(m, T_DRES), input_of(m, I_ID), 1, m->opt.n_token, m->d->width, m->d->vocab);
}
