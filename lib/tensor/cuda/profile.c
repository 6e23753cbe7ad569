/*
 * Where a step's time goes on the GPU (AX_CUDA_PROFILE=1): an event after each op, and at the end the time, share and number
 * of calls of each op's name, largest first, as messages.
 *
 * The time of an op is that from the end of what was enqueued before it, so what the GPU waits for is an op's too; the
 * first op after the host waited for the device is counted by itself, since it holds the time in which the GPU had
 * nothing to do. Nothing is recorded as a graph meanwhile.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "tensor/cuda/cuda.h"

#define N_EVENT 4096
#define N_NAME 64

static const char waited[] = "(the first op after a wait)";

struct total {
	const char *name;
	double ms;
	uint64_t n;
};

struct ax_cuda_profile {
	cudaEvent_t event[N_EVENT]; /* event[0]: where event[1]'s op begins */
	const char *name[N_EVENT];
	int n;
	bool fresh; /* the device may have had nothing to do */
	struct total total[N_NAME];
	int n_total;
};

static void count(struct ax_cuda_profile *p, const char *name, double ms)
{
	int i = 0;

	while (i < p->n_total && strcmp(p->total[i].name, name) != 0)
		i++;
	if (i == N_NAME)
		return;
	if (i == p->n_total)
		p->total[p->n_total++].name = name;
	p->total[i].ms += ms;
	p->total[i].n++;
}

/* What the events say; the last one is where the next op begins. */
static void drain(struct ax_cuda *c)
{
	struct ax_cuda_profile *p = c->profile;
	cudaEvent_t last;
	float ms;

	if (p->n < 2 || ax_cuda_failed(c, "profile", cudaEventSynchronize(p->event[p->n - 1])))
		return;
	for (int i = 1; i < p->n; i++)
		if (!ax_cuda_failed(c, "profile", cudaEventElapsedTime(&ms, p->event[i - 1], p->event[i])))
			count(p, p->name[i], (double)ms);
	last = p->event[p->n - 1];
	p->event[p->n - 1] = p->event[0];
	p->event[0] = last;
	p->n = 1;
	p->fresh = true;
}

void ax_cuda_profile_op(struct ax_cuda *c, const char *op)
{
	struct ax_cuda_profile *p = c->profile;

	if (p->n == N_EVENT)
		drain(c);
	if (!p->event[p->n] && ax_cuda_failed(c, "profile", cudaEventCreateWithFlags(&p->event[p->n], cudaEventDefault)))
		return;
	p->name[p->n] = p->fresh ? waited : op;
	p->fresh = false;
	if (!ax_cuda_failed(c, "profile", cudaEventRecord(p->event[p->n], c->compute)))
		p->n++;
}

void ax_cuda_profile_wait(struct ax_cuda *c)
{
	c->profile->fresh = true;
}

int ax_cuda_profile_open(struct ax_cuda *c, struct ax_err *e)
{
	const char *on = getenv("AX_CUDA_PROFILE");

	if (!on || strcmp(on, "1") != 0)
		return 0;
	c->profile = ax_calloc(1, sizeof(*c->profile));
	if (!c->profile)
		return ax_fail(e, AX_EMEM, "out of memory");
	c->profile->fresh = true;
	return 0;
}

static int by_time(const void *a, const void *b)
{
	double x = ((const struct total *)a)->ms, y = ((const struct total *)b)->ms;

	return (x < y) - (x > y);
}

void ax_cuda_profile_close(struct ax_cuda *c)
{
	struct ax_cuda_profile *p = c->profile;
	double sum = 0;

	if (!p)
		return;
	drain(c);
	qsort(p->total, (size_t)p->n_total, sizeof(p->total[0]), by_time);
	for (int i = 0; i < p->n_total; i++)
		sum += p->total[i].ms;
	for (int i = 0; i < p->n_total; i++)
		ax_info("GPU %d: %5.1f %% %11.3f ms %8llu x %9.4f ms  %s", c->device, sum > 0 ? 100 * p->total[i].ms / sum : 0, p->total[i].ms,
			(unsigned long long)p->total[i].n, p->total[i].ms / (double)p->total[i].n, p->total[i].name);
	for (int i = 0; i < N_EVENT; i++)
		if (p->event[i])
			cudaEventDestroy(p->event[i]);
	ax_free(p);
	c->profile = NULL;
}
