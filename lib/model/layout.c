#include <string.h>

#include "base/mem.h"
#include "model/engine.h"

#define ALIGN ((size_t)256)

/* Offsets in one block, and whether all of them fit in a size_t. */
struct bump {
	size_t n;
	bool bad;
};

static size_t bump(struct bump *b, size_t rows, size_t width, size_t size)
{
	size_t at = b->n, bytes;

	if (!ax_mul_size(rows, width, &bytes) || !ax_mul_size(bytes, size, &bytes) || bytes > SIZE_MAX / 4 - at)
		b->bad = true;
	else
		b->n = (at + bytes + ALIGN - 1) / ALIGN * ALIGN;
	return at;
}

/* Width of a field in elements; 0: the family has it not. */
static size_t field_width(const struct ax_desc *d, enum field f)
{
	size_t c = (size_t)d->width, hd = (size_t)d->head_dim, q = (size_t)d->n_head, kv = (size_t)d->n_kv, mlp = (size_t)d->mlp_width;

	switch (f) {
	case F_RES1: case F_N1: case F_RES2: case F_N2:
		return c;
	case F_QKV:
		return (q + 2 * kv) * hd;
	case F_O:
		return q * hd;
	case F_QPRE:
		return d->qk_norm ? q * hd : 0;
	case F_KPRE:
		return d->qk_norm ? kv * hd : 0;
	case F_GU:
		return 2 * mlp;
	case F_H:
		return mlp;
	case F_RSTD1: case F_RSTD2:
		return 1;
	case F_LSE:
		return q;
	case F_RSTDQ:
		return d->qk_norm ? q : 0;
	case F_RSTDK:
		return d->qk_norm ? kv : 0;
	case N_FIELD:
		break;
	}
	return 0;
}

static bool field_kept(const struct ax_model_opt *o, enum field f)
{
	if (!o->train)
		return false;
	if (o->recompute == AX_RECOMPUTE_FULL)
		return f == F_RES1;
	return o->recompute == AX_RECOMPUTE_NONE || (f != F_N1 && f != F_N2 && f != F_H);
}

static void place_fields(struct layout *at, const struct ax_desc *d, size_t act_size, const struct ax_model_opt *o, struct bump *layer, struct bump *scratch)
{
	for (int i = 0; i < N_FIELD; i++) {
		enum field f = (enum field)i;
		size_t size = f >= F_RES1 ? sizeof(float) : act_size;

		at->kept[f] = field_kept(o, f);
		at->field[f] = bump(at->kept[f] ? layer : scratch, (size_t)o->n_token, field_width(d, f), size);
	}
}

static void place_temps(struct layout *at, const struct ax_desc *d, size_t act_size, const struct ax_model_opt *o, struct bump *b)
{
	size_t n = (size_t)o->n_token, c = (size_t)d->width, qkv = field_width(d, F_QKV), gu = field_width(d, F_GU);

	at->temp[T_DELTA] = bump(b, n, c, act_size);
	at->temp[T_RESF] = bump(b, n, c, sizeof(float));
	at->temp[T_NF] = bump(b, n, c, act_size);
	at->temp[T_RSTDF] = bump(b, n, 1, sizeof(float));
	at->temp[T_BIAS] = bump(b, 1, qkv > gu ? qkv : gu, act_size);
	if (!o->train)
		return;
	at->temp[T_DRES] = bump(b, n, c, act_size);
	at->temp[T_DO] = bump(b, n, field_width(d, F_O), act_size);
	at->temp[T_DQKV] = bump(b, n, qkv, act_size);
}

static void place_inputs(struct layout *at, const struct ax_desc *d, const struct ax_model_opt *o, struct bump *b)
{
	size_t n = (size_t)o->n_token;

	at->input[I_ID] = bump(b, n, 1, sizeof(int32_t));
	at->input[I_POS] = bump(b, n, 1, sizeof(int32_t));
	at->input[I_TARGET] = bump(b, n, 1, sizeof(int32_t));
	at->input[I_WEIGHT] = bump(b, n, 1, sizeof(float));
	at->input[I_SEG] = bump(b, (size_t)o->max_seg, 1, sizeof(struct ax_seg));
	at->input[I_SCALE] = bump(b, 1, 1, sizeof(float));
	at->input[I_ROPE] = bump(b, (size_t)(o->max_pos ? o->max_pos : o->n_token), (size_t)d->head_dim, sizeof(float));
	at->input[I_LOSS] = bump(b, 1, 1, sizeof(double));
}

int ax_model_layout(struct layout *at, const struct ax_desc *d, enum ax_dtype act, const struct ax_model_opt *o, struct ax_err *e)
{
	struct bump layer = { 0, false }, scratch = { 0, false }, input = { 0, false };

	if (o->n_token < 1 || o->max_seg < 1 || o->max_seg > o->n_token || o->max_pos < 0)
		return ax_fail(e, AX_EUSAGE, "a micro-batch of %d tokens in at most %d documents of at most %d", o->n_token, o->max_seg, o->max_pos);
	if (act != AX_F32 && act != AX_BF16)
		return ax_fail(e, AX_EUSAGE, "compute in %s is not supported; f32 and bf16 are", ax_dtype_name(act));
	memset(at, 0, sizeof(*at));
	place_fields(at, d, ax_dtype_size(act), o, &layer, &scratch);
	place_temps(at, d, ax_dtype_size(act), o, &scratch);
	place_inputs(at, d, o, &input);
	at->layer_bytes = layer.n;
	at->scratch_bytes = scratch.n;
	at->input_bytes = input.n;
	if (layer.bad || scratch.bad || input.bad || !ax_mul_size(layer.n, (size_t)d->n_layer, &at->activation_bytes))
		return ax_fail(e, AX_EMEM, "activations of %d tokens are beyond the address space", o->n_token);
	return 0;
}

int ax_model_sizes(const struct ax_desc *d, enum ax_dtype act, const struct ax_model_opt *o, struct ax_model_sizes *s, struct ax_err *e)
{
	struct layout at;

	memset(s, 0, sizeof(*s));
	AX_TRY(ax_model_layout(&at, d, act, o, e));
	s->activation_bytes = at.activation_bytes;
	s->scratch_bytes = at.scratch_bytes;
	s->input_bytes = at.input_bytes;
	return 0;
}

void ax_model_shape(const struct ax_desc *d, int n_token, struct ax_shape *s)
{
	int qkv = (d->n_head + 2 * d->n_kv) * d->head_dim, gu = 2 * d->mlp_width, o = qkv > gu ? qkv : gu;

	*s = (struct ax_shape){ .N = n_token, .Nk = n_token, .C = d->width, .F = d->mlp_width, .O = o > d->width ? o : d->width, .V = d->vocab, .n_head = d->n_head, .n_kv = d->n_kv, .head_dim = d->head_dim };
}
