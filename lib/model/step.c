#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "model/engine.h"

static int check_tokens(const struct ax_model *m, const struct ax_micro *mb, struct ax_err *e)
{
	for (int i = 0; i < mb->n_token; i++) {
		if (mb->id[i] < 0 || mb->id[i] >= m->d->vocab)
			return ax_fail(e, AX_EDATA, "token %d of the micro-batch: id %d is outside the embedding of %d rows", i, mb->id[i], m->d->vocab);
		if (mb->target[i] < -1 || mb->target[i] >= m->d->vocab)
			return ax_fail(e, AX_EDATA, "token %d of the micro-batch: target %d is outside the vocabulary of %d", i, mb->target[i], m->d->vocab);
		if (mb->pos[i] < 0 || mb->pos[i] >= m->opt.max_pos)
			return ax_fail(e, AX_EDATA, "token %d of the micro-batch: position %d, but documents have at most %d tokens", i, mb->pos[i], m->opt.max_pos);
	}
	return 0;
}

static int check_micro(const struct ax_model *m, const struct ax_micro *mb, struct ax_err *e)
{
	int32_t end = 0, n = m->opt.n_token;

	if (mb->n_token != n)
		return ax_fail(e, AX_EDATA, "a micro-batch of %d tokens; the model was opened for %d", mb->n_token, n);
	if (mb->n_seg < 0 || mb->n_seg > m->opt.max_seg)
		return ax_fail(e, AX_EDATA, "a micro-batch of %d documents; the model was opened for %d", mb->n_seg, m->opt.max_seg);
	for (int i = 0; i < mb->n_seg; i++) {
		const struct ax_seg *s = &mb->seg[i];

		if (s->q_off < end || s->q_len < 1 || s->q_len > n - s->q_off || s->k_off < 0 || s->k_len < 1 || s->k_len > n - s->k_off || s->q_pos < 0 || s->q_pos > INT32_MAX - s->q_len)
			return ax_fail(e, AX_EDATA, "document %d of the micro-batch (%d tokens at %d) leaves the row or overlaps the one before", i, s->q_len, s->q_off);
		end = s->q_off + s->q_len;
	}
	return mb->n_seg ? check_tokens(m, mb, e) : 0;
}

/* The table has one length for every micro-batch: empty segments behind the last token fill it up. */
static void fill_segments(struct ax_model *m, const struct ax_micro *mb)
{
	for (int i = 0; i < m->opt.max_seg; i++)
		m->seg[i] = i < mb->n_seg ? mb->seg[i] : (struct ax_seg){ mb->n_token, 0, mb->n_token, 0, 0 };
}

/* n of `most`, rounded up to a multiple of a sixteenth of it. */
static int rounded(int n, int most)
{
	int step = (most + HEAD_STEPS - 1) / HEAD_STEPS, up = (n + step - 1) / step * step;

	return up < most ? up : most;
}

static void upload(struct ax_model *m, const struct ax_micro *mb, float grad_scale)
{
	size_t n = (size_t)mb->n_token;

	m->n_seg = mb->n_seg;
	m->n_trained = 0;
	m->has_weight = mb->weight != NULL;
	if (!mb->n_seg)
		return;
	for (size_t i = 0; i < n; i++)
		m->n_trained += mb->target[i] >= 0;
	m->n_trained = rounded(m->n_trained, mb->n_token);
	fill_segments(m, mb);
	m->ops->upload(m->dev, input_of(m, I_ID), mb->id, n * sizeof(int32_t));
	m->ops->upload(m->dev, input_of(m, I_POS), mb->pos, n * sizeof(int32_t));
	m->ops->upload(m->dev, input_of(m, I_TARGET), mb->target, n * sizeof(int32_t));
	if (mb->weight)
		m->ops->upload(m->dev, input_of(m, I_WEIGHT), mb->weight, n * sizeof(float));
	m->ops->upload(m->dev, input_of(m, I_SEG), m->seg, (size_t)m->opt.max_seg * sizeof(struct ax_seg));
	m->ops->upload(m->dev, input_of(m, I_SCALE), &grad_scale, sizeof(grad_scale));
}

/* --- recording ------------------------------------------------------------------------------------------------------ */

/* What is computed between two calls of hooks; MICRO: all of a micro-batch. */
enum segment { SEG_MICRO, SEG_EMBED, SEG_LAYER, SEG_HEAD, SEG_LAYER_BWD, SEG_EMBED_BWD };

/* What a segment launches depends on the model and on these alone. */
static uint64_t record_key(const struct ax_model *m, enum segment s, int layer, const void *w, const void *g)
{
	const bool head = s == SEG_MICRO || s == SEG_HEAD;
	const uint64_t what[6] = { (uintptr_t)m, s, (uint64_t)layer, (uintptr_t)w, (uintptr_t)g, head ? (uint64_t)m->n_trained * 2 + m->has_weight : 0 };

	return ax_hash64(what, sizeof(what));
}

/* Are a segment's ops to be enqueued? Not where there is nothing to compute, or where the device knew them by heart. */
static bool begin(const struct ax_model *m, enum segment s, int layer, const void *w, const void *g)
{
	if (!m->n_seg)
		return false;
	return m->recording || m->logits || !m->ops->record_begin || !m->ops->record_begin(m->dev, record_key(m, s, layer, w, g));
}

static void end(const struct ax_model *m)
{
	if (!m->recording && !m->logits && m->ops->record_end)
		m->ops->record_end(m->dev);
}

/* --- passes --------------------------------------------------------------------------------------------------------- */

static int acquire(const struct ax_unit_hooks *h, int unit, int next, const void **w, struct ax_err *e)
{
	AX_TRY(h->acquire(h->ctx, unit, w, e));
	return next >= 0 ? h->prefetch(h->ctx, next, e) : 0;
}

static int forward(const struct ax_model *m, const struct ax_unit_hooks *h, struct ax_err *e)
{
	int n = m->d->n_layer;
	const void *w;

	AX_TRY(acquire(h, 0, 1, &w, e));
	if (begin(m, SEG_EMBED, 0, w, NULL)) {
		ax_model_embed_fwd(m, w);
		end(m);
	}
	AX_TRY(h->release(h->ctx, 0, e));
	for (int i = 0; i < n; i++) {
		AX_TRY(acquire(h, i + 1, i + 1 < n ? i + 2 : m->head, &w, e));
		if (begin(m, SEG_LAYER, i, w, NULL)) {
			ax_model_layer_fwd(m, i, w, PASS_FORWARD);
			end(m);
		}
		AX_TRY(h->release(h->ctx, i + 1, e));
	}
	return 0;
}

/* Final norm, head and loss; with `train` their gradients. The root unit's gradient stays acquired: *g. */
static int head(const struct ax_model *m, const struct ax_unit_hooks *h, bool train, void **g, struct ax_err *e)
{
	const void *w;

	*g = NULL;
	AX_TRY(acquire(h, m->head, train ? m->d->n_layer : -1, &w, e));
	if (train)
		AX_TRY(h->grad_acquire(h->ctx, m->head, g, e));
	if (begin(m, SEG_HEAD, 0, w, *g)) {
		ax_model_final_norm_fwd(m, w);
		ax_model_head_step(m, w, *g);
		end(m);
	}
	AX_TRY(h->release(h->ctx, m->head, e));
	return train && !m->d->tied ? h->grad_release(h->ctx, m->head, e) : 0;
}

static int backward(const struct ax_model *m, const struct ax_unit_hooks *h, void *root, struct ax_err *e)
{
	const void *w;
	void *g;

	for (int i = m->d->n_layer - 1; i >= 0; i--) {
		AX_TRY(acquire(h, i + 1, i > 0 ? i : -1, &w, e));
		AX_TRY(h->grad_acquire(h->ctx, i + 1, &g, e));
		if (begin(m, SEG_LAYER_BWD, i, w, g)) {
			ax_model_layer_bwd(m, i, w, g);
			end(m);
		}
		AX_TRY(h->release(h->ctx, i + 1, e));
		AX_TRY(h->grad_release(h->ctx, i + 1, e));
	}
	if (!m->d->tied)
		AX_TRY(h->grad_acquire(h->ctx, 0, &root, e));
	if (begin(m, SEG_EMBED_BWD, 0, NULL, root)) {
		ax_model_embed_bwd(m, root);
		end(m);
	}
	return h->grad_release(h->ctx, 0, e);
}

int ax_model_loss(struct ax_model *m, double *loss, struct ax_err *e)
{
	double sum = 0;

	m->ops->download(m->dev, &sum, input_of(m, I_LOSS), sizeof(sum));
	m->ops->zero(m->dev, input_of(m, I_LOSS), sizeof(sum));
	AX_TRY(m->ops->sync(m->dev, e));
	*loss += sum;
	return 0;
}

static int forward_backward(struct ax_model *m, const struct ax_unit_hooks *h, struct ax_err *e)
{
	void *g;

	AX_TRY(forward(m, h, e));
	AX_TRY(head(m, h, true, &g, e));
	return backward(m, h, m->d->tied ? g : NULL, e);
}

/* The device may know this micro-batch by heart: whole, where its hooks do nothing, else each of its segments. */
static int replay_or_run(struct ax_model *m, const struct ax_unit_hooks *h, struct ax_err *e)
{
	int rc;

	if (!m->n_seg || !m->ops->record_begin || !h->still || !h->still(h->ctx))
		return forward_backward(m, h, e);
	if (m->ops->record_begin(m->dev, record_key(m, SEG_MICRO, 0, NULL, NULL)))
		return 0;
	m->recording = true;
	rc = forward_backward(m, h, e);
	m->recording = false;
	m->ops->record_end(m->dev);
	return rc;
}

int ax_model_step(struct ax_model *m, const struct ax_micro *mb, const struct ax_unit_hooks *h, float grad_scale, double *loss, struct ax_err *e)
{
	if (!m->opt.train)
		return ax_fail(e, AX_EUSAGE, "the model was opened for evaluation only");
	AX_TRY(check_micro(m, mb, e));
	upload(m, mb, grad_scale);
	AX_TRY(replay_or_run(m, h, e));
	return loss ? ax_model_loss(m, loss, e) : 0;
}

static int eval(struct ax_model *m, const struct ax_unit_hooks *h, double *loss, struct ax_err *e)
{
	void *g;

	AX_TRY(forward(m, h, e));
	AX_TRY(head(m, h, false, &g, e));
	return loss ? ax_model_loss(m, loss, e) : 0;
}

int ax_model_eval(struct ax_model *m, const struct ax_micro *mb, const struct ax_unit_hooks *h, double *loss, float *logits, struct ax_err *e)
{
	size_t bytes = (size_t)m->opt.n_token * (size_t)m->d->vocab * sizeof(float);
	char human[32];
	int rc;

	AX_TRY(check_micro(m, mb, e));
	upload(m, mb, 0);
	if (logits) {
		m->logits = m->ops->alloc(m->dev, bytes);
		if (!m->logits)
			return ax_fail(e, AX_EMEM, "no memory for the logits (%s)", ax_human_bytes(bytes, human));
	}
	rc = eval(m, h, loss, e);
	if (!rc && logits)
		m->ops->download(m->dev, logits, m->logits, bytes);
	m->ops->free(m->dev, m->logits);
	m->logits = NULL;
	return rc;
}
