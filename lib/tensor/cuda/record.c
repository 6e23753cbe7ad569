/*
 * Recordings (ops record_begin, record_end): a sequence of ops as a CUDA graph, which costs the host one launch.
 *
 * A key's first sequence runs as it is, so that whatever happens once (an algorithm search, a kernel's loading) happens
 * then; the second is captured and launched; from then on it is replayed.
 */
#include "base/mem.h"
#include "tensor/cuda/cuda.h"

#define MOST 256 /* beyond that, sequences just run */

struct recording {
	uint64_t key;
	cudaGraphExec_t exec; /* NULL: seen, not recorded */
};

struct ax_record {
	struct recording *r;
	size_t n, cap;
	struct recording *now; /* being captured */
};

static struct recording *find(struct ax_record *t, uint64_t key)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->r[i].key == key)
			return &t->r[i];
	return NULL;
}

static bool record_begin(struct ax_dev *d, uint64_t key)
{
	struct ax_cuda *c = ax_cuda_of(d);
	struct ax_record *t = c->record;
	struct recording *r = find(t, key);

	if (r && r->exec) {
		c->last_op = "a recorded sequence";
		ax_cuda_failed(c, c->last_op, cudaGraphLaunch(r->exec, c->compute));
		return true;
	}
	if (!r && t->n < MOST && AX_GROW(t->r, t->n, t->cap)) {
		t->r[t->n++] = (struct recording){ .key = key };
		return false;
	}
	if (!r || c->sync_each || c->profile || ax_cuda_failed(c, "recording", cudaStreamBeginCapture(c->compute, cudaStreamCaptureModeThreadLocal)))
		return false;
	t->now = r;
	c->recording = true;
	return false;
}

static void record_end(struct ax_dev *d)
{
	struct ax_cuda *c = ax_cuda_of(d);
	struct recording *r = c->record->now;
	cudaGraph_t graph = NULL;

	c->record->now = NULL;
	c->recording = false;
	if (!r || ax_cuda_failed(c, "recording", cudaStreamEndCapture(c->compute, &graph)))
		return;
	/* nothing has run yet */
	if (!ax_cuda_failed(c, "recording", cudaGraphInstantiate(&r->exec, graph, 0)))
		ax_cuda_failed(c, "recording", cudaGraphLaunch(r->exec, c->compute));
	cudaGraphDestroy(graph);
}

int ax_cuda_record_open(struct ax_cuda *c, struct ax_err *e)
{
	c->record = ax_calloc(1, sizeof(*c->record));
	if (!c->record)
		return ax_fail(e, AX_EMEM, "out of memory");
	c->ops.record_begin = record_begin;
	c->ops.record_end = record_end;
	return 0;
}

void ax_cuda_record_forget(struct ax_cuda *c)
{
	if (!c->record)
		return;
	for (size_t i = 0; i < c->record->n; i++)
		if (c->record->r[i].exec)
			cudaGraphExecDestroy(c->record->r[i].exec);
	c->record->n = 0;
}

void ax_cuda_record_close(struct ax_cuda *c)
{
	if (!c->record)
		return;
	ax_cuda_record_forget(c);
	ax_free(c->record->r);
	ax_free(c->record);
}
