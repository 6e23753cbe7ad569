/*
 * Recordings (ops record_begin, record_end): a sequence of ops as a CUDA graph, which costs the host one launch.
 *
 * A key's first sequence runs as it is, so that whatever happens once (an algorithm search, a kernel's loading) happens
 * then; the second is captured and launched; from then on it is replayed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "tensor/cuda/cuda.h"

#define SLOTS 8192 /* a power of two: of the table */
#define MOST 4096  /* beyond that, sequences just run */

struct recording {
	uint64_t key;
	bool seen;
	cudaGraphExec_t exec; /* NULL: not recorded */
};

struct ax_record {
	struct recording slot[SLOTS];
	size_t n;
	struct recording *now; /* being captured */
};

/* The slot of a key: its own, or the empty one where it belongs. */
static struct recording *find(struct ax_record *t, uint64_t key)
{
	size_t i = ax_mix64(key) % SLOTS;

	while (t->slot[i].seen && t->slot[i].key != key)
		i = (i + 1) % SLOTS;
	return &t->slot[i];
}

static bool record_begin(struct ax_dev *d, uint64_t key)
{
	struct ax_cuda *c = ax_cuda_of(d);
	struct ax_record *t = c->record;
	struct recording *r = find(t, key);

	if (r->exec) {
		c->last_op = "a recorded sequence";
		ax_cuda_failed(c, c->last_op, cudaGraphLaunch(r->exec, c->compute));
		return true;
	}
	if (!r->seen) {
		if (t->n < MOST) {
			*r = (struct recording){ .key = key, .seen = true };
			t->n++;
		}
		return false;
	}
	if (c->profile || ax_cuda_failed(c, "recording", cudaStreamBeginCapture(c->compute, cudaStreamCaptureModeThreadLocal)))
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
	const char *graphs = getenv("AX_CUDA_GRAPHS");

	if (c->sync_each || (graphs && !strcmp(graphs, "0")))
		return 0;
	c->record = ax_calloc(1, sizeof(*c->record));
	if (!c->record)
		return ax_fail(e, AX_EMEM, "out of memory");
	c->ops.record_begin = record_begin;
	c->ops.record_end = record_end;
	return 0;
}

void ax_cuda_record_forget(struct ax_cuda *c)
{
	struct ax_record *t = c->record;

	for (size_t i = 0; t && t->n && i < SLOTS; i++)
		if (t->slot[i].exec)
			cudaGraphExecDestroy(t->slot[i].exec);
	if (t && t->n)
		memset(t->slot, 0, sizeof(t->slot));
	if (t)
		t->n = 0;
}

void ax_cuda_record_close(struct ax_cuda *c)
{
	ax_cuda_record_forget(c);
	ax_free(c->record);
}
