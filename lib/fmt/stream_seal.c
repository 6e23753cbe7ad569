#include "fmt/stream_seal.h"

#include <pthread.h>
#include <string.h>

#define MORE 2 /* blocks than threads: so the writer of rows seldom waits */

/*
 * Blocks numbered [head, tail) wait to be written, of these [next, tail) to be taken. next, tail, `idle` and a block's
 * `sealed` under the lock; head is the writing thread's.
 */
struct ax_stream_ring {
	struct ax_outgoing *slot;
	size_t n;
	uint64_t head, next, tail;
	struct ax_sealer *sealer, **idle; /* one a thread, those not at work */
	size_t n_sealer, n_idle;
	void (*notify)(void *ctx);
	void *ctx;
	pthread_mutex_t lock;
	pthread_cond_t change;
};

int ax_sealer_init(struct ax_sealer *p, int level, struct ax_err *e)
{
	ax_block_init(&p->check);
	return ax_frame_enc_init(&p->enc, level, e);
}

void ax_sealer_release(struct ax_sealer *p)
{
	ax_frame_enc_release(&p->enc);
	ax_block_release(&p->check);
}

void ax_outgoing_release(struct ax_outgoing *o)
{
	ax_buf_release(&o->payload);
	ax_free(o->z);
	o->z = NULL;
}

/* Decode the block that is about to be written: it must hold exactly the rows that were given. */
static int verify_block(const struct ax_stream_writer *w, struct ax_sealer *p, const struct ax_outgoing *o, struct ax_err *e)
{
	const unsigned char *bytes = (const unsigned char *)o->payload.p;
	struct ax_sum sum = {0};
	struct ax_row r;

	AX_TRY(ax_block_parse(&p->check, bytes, o->payload.n, w->block.id_bits, w->block.packs, e));
	while (ax_block_next(&p->check, &r))
		ax_row_sum(&sum, &r);
	if (!ax_sum_equal(&sum, &o->sum))
		return ax_fail(e, AX_ECHECK, "%s: the rows written are not the rows given (memory fault?)",
			       w->out->path);
	return 0;
}

static int seal(const struct ax_stream_writer *w, struct ax_sealer *p, struct ax_outgoing *o, struct ax_err *e)
{
	unsigned char *z = o->z;
	size_t cap = o->z_cap;

	AX_TRY(verify_block(w, p, o, e));
	AX_TRY(ax_frame_encode(&p->enc, w->data_kind, o->payload.p, o->payload.n, &o->head, &o->stored, e));
	o->z = p->enc.z; /* which may be what is stored: the sealer goes on with another's */
	o->z_cap = p->enc.z_cap;
	p->enc.z = z;
	p->enc.z_cap = cap;
	return 0;
}

void ax_seal(const struct ax_stream_writer *w, struct ax_sealer *p, struct ax_outgoing *o)
{
	o->rc = seal(w, p, o, &o->err);
}

void ax_ring_free(struct ax_stream_ring *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		ax_outgoing_release(&r->slot[i]);
	for (size_t i = 0; i < r->n_sealer; i++)
		ax_sealer_release(&r->sealer[i]);
	ax_free(r->slot);
	ax_free(r->sealer);
	ax_free(r->idle);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->change);
	ax_free(r);
}

static int fill_ring(struct ax_stream_ring *r, size_t n_thread, int level, struct ax_err *e)
{
	r->slot = ax_calloc(n_thread + MORE, sizeof(*r->slot));
	r->sealer = ax_calloc(n_thread, sizeof(*r->sealer));
	r->idle = ax_calloc(n_thread, sizeof(*r->idle));
	if (!r->slot || !r->sealer || !r->idle)
		return ax_fail(e, AX_EMEM, "out of memory");
	r->n = n_thread + MORE;
	for (; r->n_sealer < n_thread; r->n_sealer++) {
		AX_TRY(ax_sealer_init(&r->sealer[r->n_sealer], level, e));
		r->idle[r->n_idle++] = &r->sealer[r->n_sealer];
	}
	return 0;
}

int ax_stream_share(struct ax_stream_writer *w, size_t n_thread, void (*notify)(void *ctx), void *ctx, struct ax_err *e)
{
	struct ax_stream_ring *r = ax_calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return ax_fail(e, AX_EMEM, "out of memory");
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->change, NULL);
	r->notify = notify;
	r->ctx = ctx;
	rc = fill_ring(r, n_thread, w->level, e);
	if (rc)
		ax_ring_free(r);
	else
		w->ring = r;
	return rc;
}

static struct ax_outgoing *slot_of(const struct ax_stream_ring *r, uint64_t number)
{
	return &r->slot[number % r->n];
}

/* With the lock, which is let go meanwhile: seal the oldest block that waits. There is one, and a sealer. */
static void seal_next(struct ax_stream_writer *w)
{
	struct ax_stream_ring *r = w->ring;
	struct ax_outgoing *o = slot_of(r, r->next++);
	struct ax_sealer *p = r->idle[--r->n_idle];

	pthread_mutex_unlock(&r->lock);
	ax_seal(w, p, o);
	pthread_mutex_lock(&r->lock);
	o->sealed = true;
	r->idle[r->n_idle++] = p;
	pthread_cond_signal(&r->change);
}

bool ax_stream_help(struct ax_stream_writer *w)
{
	struct ax_stream_ring *r = w->ring;
	bool any;

	pthread_mutex_lock(&r->lock);
	any = r->next < r->tail && r->n_idle;
	if (any)
		seal_next(w);
	pthread_mutex_unlock(&r->lock);
	return any;
}

/* Is the oldest block sealed? With `wait`: until it is. */
static bool head_sealed(struct ax_stream_writer *w, bool wait)
{
	struct ax_stream_ring *r = w->ring;
	bool sealed;

	pthread_mutex_lock(&r->lock);
	while (!(sealed = slot_of(r, r->head)->sealed) && wait)
		if (r->next < r->tail && r->n_idle)
			seal_next(w);
		else
			pthread_cond_wait(&r->change, &r->lock);
	pthread_mutex_unlock(&r->lock);
	return sealed;
}

static int put_head(struct ax_stream_writer *w, struct ax_err *e)
{
	struct ax_outgoing *o = slot_of(w->ring, w->ring->head++);

	o->sealed = false;
	return ax_stream_put(w, o, e);
}

int ax_ring_room(struct ax_stream_writer *w, struct ax_outgoing **o, struct ax_err *e)
{
	struct ax_stream_ring *r = w->ring;

	while (r->head < r->tail && head_sealed(w, r->tail - r->head == r->n))
		AX_TRY(put_head(w, e));
	*o = slot_of(r, r->tail);
	return 0;
}

void ax_ring_push(struct ax_stream_writer *w)
{
	struct ax_stream_ring *r = w->ring;

	pthread_mutex_lock(&r->lock);
	r->tail++;
	pthread_mutex_unlock(&r->lock);
	r->notify(r->ctx);
}

int ax_stream_settle(struct ax_stream_writer *w, struct ax_err *e)
{
	struct ax_stream_ring *r = w->ring;

	AX_TRY(ax_stream_flush(w, e));
	while (r && r->head < r->tail && head_sealed(w, true))
		AX_TRY(put_head(w, e));
	return 0;
}
