#include "model/engine.h"

static bool joined(const struct ax_param *const *p, int n)
{
	for (int i = 1; i < n; i++)
		if (p[i]->off != p[i - 1]->off + p[i - 1]->n_elem)
			return false;
	return true;
}

static int join_width(const struct ax_param *const *w, int n)
{
	int64_t o = 0;

	for (int i = 0; i < n; i++)
		o += w[i]->dim[0];
	return (int)o;
}

/* Biases side by side; gaps between them are closed in T_BIAS. */
static const void *join_bias(const struct ax_model *m, const void *unit, const struct ax_param *const *b, int n)
{
	char *to = temp_of(m, T_BIAS);

	if (!b[0] || joined(b, n))
		return weight_of(m, unit, b[0]);
	for (int i = 0; i < n; i++) {
		m->ops->copy(m->dev, to, weight_of(m, unit, b[i]), b[i]->n_elem * m->act_size);
		to += b[i]->n_elem * m->act_size;
	}
	return temp_of(m, T_BIAS);
}

void ax_model_join_fwd(const struct ax_model *m, void *y, const void *x, const void *unit, const struct ax_param *const *w, const struct ax_param *const *b, int n)
{
	int I = (int)w[0]->dim[1], O = join_width(w, n), N = m->opt.n_token;
	char *to = y;

	if (joined(w, n)) {
		m->ops->linear_fwd(m->dev, y, (size_t)O, x, (size_t)I, weight_of(m, unit, w[0]), join_bias(m, unit, b, n), N, I, O);
		return;
	}
	for (int i = 0; i < n; i++) {
		m->ops->linear_fwd(m->dev, to, (size_t)O, x, (size_t)I, weight_of(m, unit, w[i]), weight_of(m, unit, b[i]), N, I, (int)w[i]->dim[0]);
		to += (size_t)w[i]->dim[0] * m->act_size;
	}
}

void ax_model_join_dw(const struct ax_model *m, void *gunit, const void *dy, const void *x, const struct ax_param *const *w, const struct ax_param *const *b, int n)
{
	int I = (int)w[0]->dim[1], O = join_width(w, n), N = m->opt.n_token;
	bool one = joined(w, n);
	const char *from = dy;

	if (one)
		m->ops->linear_dw(m->dev, grad_of(m, gunit, w[0]), dy, (size_t)O, x, (size_t)I, N, I, O);
	for (int i = 0; i < n; i++) {
		int o = (int)w[i]->dim[0];

		if (!one)
			m->ops->linear_dw(m->dev, grad_of(m, gunit, w[i]), from, (size_t)O, x, (size_t)I, N, I, o);
		if (b[i])
			m->ops->bias_grad(m->dev, grad_of(m, gunit, b[i]), from, (size_t)O, N, o);
		from += (size_t)o * m->act_size;
	}
}

void ax_model_join_dx(const struct ax_model *m, void *dx, const void *dy, const void *unit, const struct ax_param *const *w, int n)
{
	int I = (int)w[0]->dim[1], O = join_width(w, n), N = m->opt.n_token;
	const char *from = dy;

	if (joined(w, n)) {
		m->ops->linear_dx(m->dev, dx, (size_t)I, dy, (size_t)O, weight_of(m, unit, w[0]), N, I, O, false);
		return;
	}
	for (int i = 0; i < n; i++) {
		m->ops->linear_dx(m->dev, dx, (size_t)I, from, (size_t)O, weight_of(m, unit, w[i]), N, I, (int)w[i]->dim[0], i > 0);
		from += (size_t)w[i]->dim[0] * m->act_size;
	}
}

void ax_model_embed_fwd(const struct ax_model *m, const void *w)
{
	void *rows = temp_of(m, T_DELTA);

	m->ops->embed_fwd(m->dev, rows, input_of(m, I_ID), weight_of(m, w, m->embed), 1, m->opt.n_token, m->d->width);
	m->ops->cast(m->dev, field_of(m, 0, F_RES1), AX_F32, rows, m->dev->act, (size_t)m->opt.n_token * (size_t)m->d->width);
}

/* y = norm(r) with r = x + delta stored, or of x alone (r NULL). Rounded once, at the end; the families' own code
 * in bf16 rounds before the product with w too, which shows in the gradients. */
static void norm(const struct ax_model *m, void *y, void *r, void *rstd, const void *x, const void *delta, const void *w)
{
	m->ops->rmsnorm_fwd(m->dev, y, r, rstd, x, delta, w, 0, m->d->norm_eps, false, m->opt.n_token, m->d->width);
}

/* N1 from the stream. In a forward pass the stream of layer l > 0 is the sum of what layer l-1 left. */
static void first_norm(const struct ax_model *m, int layer, const void *w, enum pass pass)
{
	void *res = field_of(m, layer, F_RES1), *rstd = field_of(m, layer, F_RSTD1), *y = field_of(m, layer, F_N1);

	w = weight_of(m, w, m->slot[P_LN1]);
	if (pass == PASS_FORWARD && layer > 0)
		norm(m, y, res, rstd, field_of(m, layer - 1, F_RES2), temp_of(m, T_DELTA), w);
	else
		norm(m, y, NULL, rstd, res, NULL, w);
}

static void second_norm(const struct ax_model *m, int layer, const void *w, bool add)
{
	void *res = field_of(m, layer, F_RES2), *rstd = field_of(m, layer, F_RSTD2), *y = field_of(m, layer, F_N2);

	w = weight_of(m, w, m->slot[P_LN2]);
	if (add)
		norm(m, y, res, rstd, field_of(m, layer, F_RES1), temp_of(m, T_DELTA), w);
	else
		norm(m, y, NULL, rstd, res, NULL, w);
}

static void head_norm(const struct ax_model *m, void *x, size_t ld, void *pre, void *rstd, const void *w, int n_head)
{
	m->ops->headnorm_fwd(m->dev, x, ld, pre, rstd, w, 0, m->d->norm_eps, false, m->opt.n_token, n_head, m->d->head_dim);
}

/* O from N1: projections, q/k norm, rotary embedding, attention. */
static void attention(const struct ax_model *m, int layer, const void *w)
{
	const struct ax_desc *d = m->d;
	size_t q = (size_t)d->n_head * (size_t)d->head_dim, kv = (size_t)d->n_kv * (size_t)d->head_dim, ld = q + 2 * kv;
	char *qkv = field_of(m, layer, F_QKV), *k = qkv + q * m->act_size, *v = k + kv * m->act_size;
	struct ax_attn p;

	ax_model_join_fwd(m, qkv, field_of(m, layer, F_N1), w, &m->slot[P_Q], &m->slot[P_QB], 3);
	if (d->qk_norm) {
		head_norm(m, qkv, ld, field_of(m, layer, F_QPRE), field_of(m, layer, F_RSTDQ), weight_of(m, w, m->slot[P_QN]), d->n_head);
		head_norm(m, k, ld, field_of(m, layer, F_KPRE), field_of(m, layer, F_RSTDK), weight_of(m, w, m->slot[P_KN]), d->n_kv);
	}
	if (d->layer_rope[layer]) /* k's heads follow q's in a row */
		m->ops->rope(m->dev, qkv, ld, input_of(m, I_POS), input_of(m, I_ROPE), m->opt.n_token, d->n_head + d->n_kv, d->head_dim, d->head_dim, false);
	ax_model_attn(m, layer, &p);
	m->ops->attn_fwd(m->dev, field_of(m, layer, F_O), field_of(m, layer, F_LSE), qkv, ld, k, v, ld, input_of(m, I_SEG), m->opt.max_seg, m->opt.n_token, m->opt.n_token, &p);
}

static void activate(const struct ax_model *m, int layer)
{
	m->ops->glu_fwd(m->dev, field_of(m, layer, F_H), field_of(m, layer, F_GU), m->d->act, m->opt.n_token, m->d->mlp_width);
}

void ax_model_attn(const struct ax_model *m, int layer, struct ax_attn *p)
{
	const struct ax_desc *d = m->d;

	*p = (struct ax_attn){ d->n_head, d->n_kv, d->head_dim, m->attn_scale, d->layer_window[layer] ? d->window : 0, 0 };
}

void ax_model_layer_fwd(const struct ax_model *m, int layer, const void *w, enum pass pass)
{
	void *delta = temp_of(m, T_DELTA);

	first_norm(m, layer, w, pass);
	attention(m, layer, w);
	ax_model_join_fwd(m, delta, field_of(m, layer, F_O), w, &m->slot[P_O], &m->slot[P_OB], 1);
	second_norm(m, layer, w, true);
	ax_model_join_fwd(m, field_of(m, layer, F_GU), field_of(m, layer, F_N2), w, &m->slot[P_GATE], &m->slot[P_GATEB], 2);
	activate(m, layer);
	if (pass == PASS_FORWARD)
		ax_model_join_fwd(m, delta, field_of(m, layer, F_H), w, &m->slot[P_DOWN], &m->slot[P_DOWNB], 1);
}

void ax_model_layer_restore(const struct ax_model *m, int layer, const void *w)
{
	if (m->opt.recompute == AX_RECOMPUTE_FULL) {
		ax_model_layer_fwd(m, layer, w, PASS_RECOMPUTE);
	} else if (m->opt.recompute == AX_RECOMPUTE_SELECTIVE) {
		first_norm(m, layer, w, PASS_RECOMPUTE);
		second_norm(m, layer, w, false);
		activate(m, layer);
	}
}

void ax_model_final_norm_fwd(const struct ax_model *m, const void *w)
{
	norm(m, temp_of(m, T_NF), temp_of(m, T_RESF), temp_of(m, T_RSTDF), field_of(m, m->d->n_layer - 1, F_RES2), temp_of(m, T_DELTA), weight_of(m, w, m->norm));
}
