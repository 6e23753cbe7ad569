/*
 * Between host and device: pinned memory, because only from there a copy is asynchronous and at full speed.
 *
 * Uploads go through a ring of slots. Small ones share a slot; when the ring has come round, the host waits until the
 * slot's last copy has left it, which is the only wait. Downloads go through two halves, one arriving while the other is
 * copied out: on the compute stream for the thread that opened the device, so that it sees what it has enqueued, and on
 * the copy stream for any other, which so never waits for the step that runs.
 */
#include "tensor/cuda/stage.h"

#include <string.h>

#include "base/mem.h"

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int open_lane(struct ax_stage_lane *l, cudaStream_t stream, unsigned flags, cudaError_t *rc)
{
	l->stream = stream;
	*rc = cudaMallocHost((void **)&l->p, 2 * AX_STAGE_HALF_BYTES);
	for (int i = 0; !*rc && i < 2; i++)
		*rc = cudaEventCreateWithFlags(&l->arrived[i], cudaEventDisableTiming | flags);
	return *rc == cudaSuccess ? 0 : -1;
}

int ax_stage_open(struct ax_stage *s, struct ax_cuda *c, struct ax_err *e)
{
	cudaError_t rc;

	s->owner = pthread_self();
	rc = cudaMallocHost((void **)&s->ring, AX_STAGE_SLOTS * AX_STAGE_SLOT_BYTES);
	for (int i = 0; !rc && i < AX_STAGE_SLOTS; i++)
		rc = cudaEventCreateWithFlags(&s->left[i], cudaEventDisableTiming);
	/* the other thread's wait may be long and must not take a core from the step */
	if (rc || open_lane(&s->own, c->compute, 0, &rc) || open_lane(&s->other, c->copy, cudaEventBlockingSync, &rc))
		return ax_fail(e, AX_EMEM, "no pinned memory for copies between host and GPU: %s", cudaGetErrorString(rc));
	return 0;
}

static void close_lane(struct ax_stage_lane *l)
{
	for (int i = 0; i < 2; i++)
		if (l->arrived[i])
			cudaEventDestroy(l->arrived[i]);
	if (l->p)
		cudaFreeHost(l->p);
}

void ax_stage_close(struct ax_stage *s)
{
	close_lane(&s->own);
	close_lane(&s->other);
	for (int i = 0; i < AX_STAGE_SLOTS; i++)
		if (s->left[i])
			cudaEventDestroy(s->left[i]);
	if (s->ring)
		cudaFreeHost(s->ring);
	pthread_mutex_destroy(&s->lock);
}

/* Go on with the next slot, when its last round has been copied. */
static bool next_slot(struct ax_stage *s, struct ax_cuda *c)
{
	if (ax_cuda_failed(c, "upload", cudaEventRecord(s->left[s->slot], c->compute)))
		return false;
	s->slot = (s->slot + 1) % AX_STAGE_SLOTS;
	s->at = 0;
	s->wrapped |= s->slot == 0;
	return !s->wrapped || !ax_cuda_failed(c, "upload", ax_cuda_wait(c, s->left[s->slot]));
}

void ax_stage_upload(struct ax_dev *d, void *dst, const void *host, size_t bytes)
{
	struct ax_cuda *c = ax_cuda_of(d);
	struct ax_stage *s = c->stage;
	const char *from = host;
	char *to = dst;

	while (bytes > 0) {
		size_t n = min_size(bytes, AX_STAGE_SLOT_BYTES - s->at);
		char *pinned = s->ring + (size_t)s->slot * AX_STAGE_SLOT_BYTES + s->at;

		if (n == 0) {
			if (!next_slot(s, c))
				return;
			continue;
		}
		memcpy(pinned, from, n);
		if (ax_cuda_failed(c, "upload", cudaMemcpyAsync(to, pinned, n, cudaMemcpyHostToDevice, c->compute)))
			return;
		s->at += ax_cuda_round(n);
		from += n;
		to += n;
		bytes -= n;
	}
}

static bool receive(struct ax_cuda *c, struct ax_stage_lane *l, char *host, const char *src, size_t bytes)
{
	size_t n_piece = (bytes + AX_STAGE_HALF_BYTES - 1) / AX_STAGE_HALF_BYTES;

	for (size_t i = 0; i <= n_piece; i++) {
		if (i < n_piece) {
			size_t at = i * AX_STAGE_HALF_BYTES, n = min_size(AX_STAGE_HALF_BYTES, bytes - at);

			if (ax_cuda_failed(c, "download", cudaMemcpyAsync(l->p + i % 2 * AX_STAGE_HALF_BYTES, src + at, n, cudaMemcpyDeviceToHost, l->stream)) ||
			    ax_cuda_failed(c, "download", cudaEventRecord(l->arrived[i % 2], l->stream)))
				return false;
		}
		if (i > 0) {
			size_t at = (i - 1) * AX_STAGE_HALF_BYTES, n = min_size(AX_STAGE_HALF_BYTES, bytes - at);

			cudaEvent_t arrived = l->arrived[(i - 1) % 2];

			if (ax_cuda_failed(c, "download", l == &c->stage->own ? ax_cuda_wait(c, arrived) : cudaEventSynchronize(arrived)))
				return false;
			memcpy(host + at, l->p + (i - 1) % 2 * AX_STAGE_HALF_BYTES, n);
		}
	}
	return true;
}

void ax_stage_download(struct ax_dev *d, void *host, const void *src, size_t bytes)
{
	struct ax_cuda *c = ax_cuda_of(d);
	struct ax_stage *s = c->stage;
	bool own = pthread_equal(pthread_self(), s->owner), ok;

	if (own) {
		ok = receive(c, &s->own, host, src, bytes);
	} else {
		pthread_mutex_lock(&s->lock);
		ok = !ax_cuda_failed(c, "download", cudaSetDevice(c->device)) && receive(c, &s->other, host, src, bytes);
		pthread_mutex_unlock(&s->lock);
	}
	if (!ok && bytes) /* sync() will tell; until then nobody computes with what was in that memory */
		memset(host, 0, bytes);
}
