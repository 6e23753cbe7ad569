/*
 * Fast output head and cross-entropy. The trained rows are gathered into chunks; a chunk's logits are one f32 buffer,
 * turned in place into their gradient (in the compute dtype), from which both gradient products run.
 */
#include "tensor/cpu/cpu.h"

#define CHUNK_BYTES ((size_t)128 << 20) /* of logits, about */
#define ROW_STEP    32                  /* chunks are padded to a multiple, so that few shapes of products exist */

struct head {
	struct ax_cpu *c;
	struct ax_dev *d;
	double *loss;
	char *dx;
	void *dw;
	float *logits;
	const void *x, *w;
	const int32_t *target;
	const float *weight;
	float grad_scale, softcap, logit_scale;
	size_t C, V, n_row; /* rows wanted: trained ones, or all where logits are asked for */
	size_t chunk;       /* rows of a chunk, at most */
	/* shared scratch */
	int32_t *row;     /* the wanted rows */
	double *row_loss; /* of the rows of a chunk */
	char *gx, *gdx;   /* rows of x, dx gathered (chunk, C) */
	float *z;         /* (chunk, V) */
	size_t at, n, padded; /* the chunk: rows row[at..at+n), padded to so many */
};

static size_t round_rows(size_t n)
{
	return (n + ROW_STEP - 1) / ROW_STEP * ROW_STEP;
}

/* Rows that a chunk may have. */
static size_t chunk_limit(size_t n, size_t V)
{
	size_t rows = CHUNK_BYTES / (V * sizeof(float)) / ROW_STEP * ROW_STEP, all = round_rows(n);

	rows = rows < 2 * ROW_STEP ? 2 * ROW_STEP : rows;
	return rows < all ? rows : all;
}

/* Rows of each of the fewest chunks of equal size. */
static size_t chunk_rows(size_t n, size_t limit)
{
	size_t chunks = (n + limit - 1) / limit;

	return chunks ? round_rows((n + chunks - 1) / chunks) : limit;
}

static size_t round64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static size_t shared_bytes(size_t N, size_t C, size_t V)
{
	size_t chunk = chunk_limit(N, V);

	return round64(N * sizeof(int32_t)) + round64(chunk * sizeof(double)) + 2 * round64(chunk * C * sizeof(float)) + chunk * V * sizeof(float);
}

size_t ax_fast_head_shared(const struct ax_shape *s)
{
	return s->V > 0 ? shared_bytes((size_t)s->N, (size_t)s->C, (size_t)s->V) : 0;
}

static size_t act_size(const struct head *h)
{
	return h->d->act == AX_F32 ? 4 : 2;
}

static bool lay_out(struct head *h, size_t N)
{
	char *p;

	h->chunk = chunk_limit(N, h->V);
	if (!ax_cpu_scratch(h->c, shared_bytes(N, h->C, h->V), 0))
		return false;
	p = h->c->shared;
	h->row = (int32_t *)(void *)p;
	p += round64(N * sizeof(int32_t));
	h->row_loss = (double *)(void *)p;
	p += round64(h->chunk * sizeof(double));
	h->gx = p;
	p += round64(h->chunk * h->C * sizeof(float));
	h->gdx = p;
	p += round64(h->chunk * h->C * sizeof(float));
	h->z = (float *)(void *)p;
	return true;
}

static void gather(struct head *h)
{
	size_t bytes = h->C * act_size(h);

	for (size_t i = 0; i < h->n; i++)
		memcpy(h->gx + i * bytes, (const char *)h->x + (size_t)h->row[h->at + i] * bytes, bytes);
	memset(h->gx + h->n * bytes, 0, (h->padded - h->n) * bytes);
}

/* Loss of one row, and its logits turned into their gradient. */
static void loss_row(void *ctx, size_t i, int slot)
{
	const struct head *h = ctx;
	float *z = h->z + i * h->V;
	size_t n = i < h->n ? (size_t)h->row[h->at + i] : 0;
	bool trained = i < h->n && h->target[n] >= 0;
	float wt = !trained ? 0 : h->weight ? h->weight[n] : 1;
	double lse;

	h->row_loss[i] = 0;
	if (i < h->n) {
		lse = h->c->kern->logits(z, h->logit_scale, h->softcap, h->V);
		if (h->logits)
			memcpy(h->logits + n * h->V, z, h->V * sizeof(*z));
		if (trained) {
			h->row_loss[i] = (double)wt * (lse - (double)z[h->target[n]]);
			if (h->dx)
				h->c->kern->logits_bwd(z, h->d->act, z, lse, (size_t)h->target[n], h->grad_scale * wt * h->logit_scale, h->softcap, h->V);
		}
	}
	if (h->dx && !trained)
		memset(z, 0, h->V * act_size(h));
}

static void chunk_bwd(struct head *h)
{
	size_t bytes = h->C * act_size(h), ld = h->V * sizeof(float) / act_size(h);
	struct ax_mm_shape dx = { .m = (int)h->padded, .n = (int)h->C, .k = (int)h->V, .lda = ld, .ldb = h->C, .ldc = h->C, .in = h->d->act, .out = h->d->act };
	struct ax_mm_shape dw = { .m = (int)h->V, .n = (int)h->C, .k = (int)h->padded, .lda = ld, .ldb = h->C, .ldc = h->C, .in = h->d->act,
				  .out = h->d->grad, .ta = true, .accumulate = true };

	ax_cpu_mm(h->c, &dx, h->z, h->w, NULL, h->gdx);
	for (size_t i = 0; i < h->n; i++)
		memcpy(h->dx + (size_t)h->row[h->at + i] * bytes, h->gdx + i * bytes, bytes);
	if (h->dw)
		ax_cpu_mm(h->c, &dw, h->z, h->gx, NULL, h->dw);
}

static void run_chunk(struct head *h)
{
	struct ax_mm_shape s;

	h->padded = (h->n + ROW_STEP - 1) / ROW_STEP * ROW_STEP;
	s = (struct ax_mm_shape){ .m = (int)h->padded, .n = (int)h->V, .k = (int)h->C, .lda = h->C, .ldb = h->C, .ldc = h->V, .in = h->d->act, .out = AX_F32, .tb = true };
	gather(h);
	ax_cpu_mm(h->c, &s, h->gx, h->w, NULL, h->z);
	ax_cpu_run(h->c, h->padded, loss_row, h);
	for (size_t i = 0; i < h->n; i++)
		*h->loss += h->row_loss[i];
	if (h->dx)
		chunk_bwd(h);
}

static void head_loss(struct ax_dev *d, double *loss, void *dx, void *dw, float *logits, const void *x, const void *w, const int32_t *target, const float *weight, const float *grad_scale, const struct ax_head *p, int N, int C, int V)
{
	struct head h = { .c = ax_cpu_of(d), .d = d, .loss = loss, .dx = dx, .dw = dw, .logits = logits, .x = x, .w = w, .target = target, .weight = weight,
			  .grad_scale = dx ? *grad_scale : 0, .softcap = p->softcap, .logit_scale = p->logit_scale, .C = (size_t)C, .V = (size_t)V };

	if (N < 1 || !lay_out(&h, (size_t)N))
		return;
	for (int n = 0; n < N; n++)
		if (target[n] >= 0 || logits)
			h.row[h.n_row++] = n;
	h.chunk = chunk_rows(h.n_row, h.chunk);
	if (dx)
		memset(dx, 0, (size_t)N * h.C * act_size(&h));
	for (h.at = 0; h.at < h.n_row; h.at += h.n) {
		h.n = h.n_row - h.at < h.chunk ? h.n_row - h.at : h.chunk;
		run_chunk(&h);
	}
}

void ax_fast_head(struct ax_ops *o)
{
	o->head_loss = head_loss;
}
