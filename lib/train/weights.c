#include "train/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "model/init.h"
#include "model/model.h"

#define FILL_PIECE ((size_t)16384) /* a few hundred microseconds of a thread */

static int dtype_of(enum ax_st_dtype t, enum ax_dtype *out)
{
	switch (t) {
	case AX_ST_F32:
		*out = AX_F32;
		return 0;
	case AX_ST_BF16:
		*out = AX_BF16;
		return 0;
	case AX_ST_F16:
		*out = AX_F16;
		return 0;
	default:
		return -1;
	}
}

/* n elements from `off` on, converted to f32; unaligned sources are fine. */
static void convert(float *dst, const struct ax_st_tensor *t, size_t off, size_t n)
{
	const unsigned char *p = t->data;

	if (t->dtype == AX_ST_F32) {
		memcpy(dst, p + off * 4, n * 4);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		uint16_t h;

		memcpy(&h, p + (off + i) * 2, 2);
		dst[i] = t->dtype == AX_ST_BF16 ? ax_bf16_to_f32(h) : ax_f16_to_f32(h);
	}
}

static void shape_text(char *buf, size_t n, int n_dim, const int64_t *dim)
{
	size_t at = 0;

	buf[0] = '\0';
	for (int i = 0; i < n_dim && at < n; i++) {
		int w = snprintf(buf + at, n - at, "%s%" PRId64, i ? " x " : "", dim[i]);
		at += w > 0 ? (size_t)w : 0;
	}
}

static int find_source(struct ax_weights *w, int i, struct ax_err *e)
{
	struct ax_param *p = &w->units->param[i];
	const struct ax_st_entry *x = NULL;
	char buf[AX_PARAM_NAME_MAX];
	const char *name;
	enum ax_dtype dt;

	for (int k = 0; !x && (name = ax_model_weight_name(w->desc, p, k, buf)); k++)
		x = ax_st_model_find(&w->model, name);
	if (!x)
		return ax_fail(e, AX_EDATA, "%s: weight %s is missing", w->model.dir, p->name);
	if (dtype_of(x->t->dtype, &dt))
		return ax_fail(e, AX_EUSAGE, "%s: weight %s has dtype %s; F32, BF16 and F16 can be trained", x->file->path,
			       x->t->name, ax_st_dtype_name(x->t->dtype));
	w->src[i] = x->t;
	p->base_dtype = (int)dt;
	return 0;
}

/* Shapes must agree; an embedding or head may have fewer rows in the file: those were added by this run. */
static int check_shape(struct ax_weights *w, int i, int64_t n_old, struct ax_err *e)
{
	const struct ax_param *p = &w->units->param[i];
	const struct ax_st_tensor *t = w->src[i];
	bool same = t->n_dim == p->n_dim, grows;
	char want[128], have[128];

	for (int k = 1; same && k < p->n_dim; k++)
		same = t->dim[k] == p->dim[k];
	grows = same && p->n_dim == 2 && p->dim[0] == w->desc->vocab && t->dim[0] == n_old && n_old < p->dim[0];
	if (same && (t->dim[0] == p->dim[0] || grows)) {
		if (!grows)
			return 0;
		w->mean_row[i] = ax_malloc((size_t)p->dim[1] * sizeof(float));
		if (!w->mean_row[i])
			return ax_fail(e, AX_EMEM, "out of memory");
		ax_init_mean_row(w->mean_row[i], w->sum, t->data, (enum ax_dtype)p->base_dtype, n_old, (int)p->dim[1]);
		return 0;
	}
	shape_text(want, sizeof(want), p->n_dim, p->dim);
	shape_text(have, sizeof(have), t->n_dim, t->dim);
	return ax_fail(e, AX_EDATA, "%s: weight %s has shape %s; config.json asks for %s", w->model.dir, t->name, have, want);
}

static bool is_source(const struct ax_weights *w, const struct ax_st_tensor *t)
{
	for (int i = 0; i < w->units->n_param; i++)
		if (w->src[i] == t)
			return true;
	return false;
}

/*
 * A second copy of tied weights must be a copy: where the two differ, transformers 5 leaves them apart, transformers 4
 * drops the head, and nobody can know which of the two the model was.
 */
static int check_copy(const struct ax_weights *w, const struct ax_st_tensor *t, struct ax_err *e)
{
	for (int i = 0; i < w->units->n_param; i++) {
		const struct ax_st_tensor *s = w->src[i];

		if (strcmp(t->name, "lm_head.weight") || strcmp(w->units->param[i].name, "model.embed_tokens.weight"))
			continue;
		if (s->dtype != t->dtype || s->bytes != t->bytes || !memcmp(s->data, t->data, s->bytes))
			return 0;
		return ax_fail(e, AX_EDATA,
			       "%s: lm_head.weight differs from %s, but tie_word_embeddings is true: set it to false "
			       "(overrides_of_model_config) to train both, or remove the tensor",
			       w->model.dir, s->name);
	}
	return 0;
}

static int check_leftovers(const struct ax_weights *w, struct ax_err *e)
{
	for (size_t i = 0; i < w->model.n_entry; i++) {
		const struct ax_st_tensor *t = w->model.entry[i].t;

		if (is_source(w, t))
			continue;
		AX_TRY(check_copy(w, t, e));
		if (!ax_model_weight_ignorable(w->desc, t->name))
			return ax_fail(e, AX_EDATA, "%s: weight %s is no parameter of a %s: config.json and weights do not belong together",
				       w->model.dir, t->name, w->desc->model_type);
	}
	return 0;
}

static int match(struct ax_weights *w, int64_t n_old, struct ax_err *e)
{
	size_t n = (size_t)w->units->n_param;

	w->src = ax_calloc(n, sizeof(*w->src));
	w->mean_row = ax_calloc(n, sizeof(*w->mean_row));
	w->sum = ax_calloc((size_t)w->desc->width, sizeof(*w->sum));
	if (!w->src || !w->mean_row || !w->sum)
		return ax_fail(e, AX_EMEM, "out of memory");
	for (int i = 0; i < w->units->n_param; i++)
		AX_TRY(find_source(w, i, e));
	AX_TRY(check_leftovers(w, e));
	for (int i = 0; i < w->units->n_param; i++)
		AX_TRY(check_shape(w, i, n_old, e));
	return 0;
}

int ax_weights_open(struct ax_weights *w, const char *dir, const struct ax_desc *d, struct ax_units *u, int64_t n_old,
		    struct ax_err *e)
{
	int rc;

	memset(w, 0, sizeof(*w));
	w->desc = d;
	w->units = u;
	rc = ax_st_model_open(&w->model, dir, e);
	if (!rc)
		rc = match(w, n_old, e);
	if (rc)
		ax_weights_close(w);
	return rc;
}

int ax_weights_init(struct ax_weights *w, const struct ax_desc *d, struct ax_units *u, uint64_t seed, struct ax_err *e)
{
	memset(w, 0, sizeof(*w));
	w->desc = d;
	w->units = u;
	w->init = true;
	w->seed = seed;
	for (int i = 0; i < u->n_param; i++)
		u->param[i].base_dtype = (int)d->dtype;
	(void)e;
	return 0;
}

int ax_weights_threads(struct ax_weights *w, int n_thread, struct ax_err *e)
{
	ax_pool_free(w->pool);
	w->pool = NULL;
	return w->init && n_thread > 1 ? ax_pool_new(&w->pool, n_thread, e) : 0;
}

/* Elements [off, off + n) of a parameter, in pieces: a value depends on nothing but its index. */
struct fill {
	const struct ax_weights *w;
	const struct ax_param *p;
	size_t off, n;
	float *dst;
};

static void fill_piece(void *ctx, size_t i)
{
	const struct fill *f = ctx;
	size_t a = i * FILL_PIECE, b = f->n - a < FILL_PIECE ? f->n : a + FILL_PIECE;

	ax_init_fill(f->w->desc, f->p, f->w->seed, f->off + a, f->off + b, f->dst + a);
}

int ax_weights_read(void *ctx, int param, size_t off, size_t n, float *dst, struct ax_err *e)
{
	const struct ax_weights *w = ctx;
	const struct ax_param *p = &w->units->param[param];
	size_t have;

	(void)e;
	if (w->init) {
		struct fill f = {w, p, off, n, dst};

		ax_pool_run(w->pool, (n + FILL_PIECE - 1) / FILL_PIECE, fill_piece, &f);
		return 0;
	}
	have = (size_t)ax_st_elems(w->src[param]);
	if (off < have) {
		size_t k = have - off < n ? have - off : n, size = w->src[param]->dtype == AX_ST_F32 ? 4 : 2;

		convert(dst, w->src[param], off, k);
		ax_map_done((const unsigned char *)w->src[param]->data + off * size, k * size);
		dst += k;
		off += k;
		n -= k;
	}
	for (; n; n--, off++) /* rows of new tokens */
		*dst++ = w->mean_row[param][off % (size_t)p->dim[1]];
	return 0;
}

void ax_weights_close(struct ax_weights *w)
{
	for (int i = 0; w->mean_row && i < w->units->n_param; i++)
		ax_free(w->mean_row[i]);
	ax_free(w->mean_row);
	ax_pool_free(w->pool);
	ax_free(w->src);
	ax_free(w->sum);
	ax_st_model_close(&w->model);
	memset(w, 0, sizeof(*w));
}
