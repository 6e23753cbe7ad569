/* Which wire serves a device (comm/wire.h), the wire of one rank, and what all share. */
#include "comm/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct ax_comm *ax_wire_new(const struct ax_comm *host, struct ax_err *e)
{
	struct ax_comm *c = ax_calloc(1, sizeof(*c));

	if (!c) {
		ax_fail(e, AX_EMEM, "no memory for a communicator");
		return NULL;
	}
	*c = *host;
	c->ops = NULL;
	c->impl = NULL;
	c->what = NULL;
	c->n_collective = c->n_moved = 0;
	c->borrowed = true;
	return c;
}

static enum ax_dtype dtype_of(enum ax_sum_type t)
{
	return t == AX_SUM_F32 ? AX_F32 : AX_BF16;
}

void ax_wire_add(struct ax_dev *d, cudaStream_t s, void *x, const void *y, size_t n, enum ax_sum_type t)
{
	struct ax_cuda *c = ax_cuda_of(d);
	cudaStream_t compute = c->compute;

	/* axpy takes no scratch, so that it may run beside any other op */
	c->compute = s;
	c->ops.axpy(d, x, dtype_of(t), y, dtype_of(t), 1.0f, n);
	c->compute = compute;
}

bool ax_wire_reached(struct ax_cuda *c, cudaEvent_t e)
{
	cudaError_t rc = cudaEventQuery(e);

	if (rc == cudaErrorNotReady) {
		cudaGetLastError(); /* not a failure that the next op's check may find */
		return false;
	}
	ax_cuda_failed(c, "communication", rc);
	return true;
}

/* --- one rank ------------------------------------------------------------------------------------------------------- */

static struct ax_dev *dev_of(struct ax_comm *c)
{
	return c->impl;
}

static int alone_all_gather(struct ax_comm *c, void *dst, const void *src, size_t bytes, struct ax_comm_req *r, struct ax_err *e)
{
	dev_of(c)->ops->copy(dev_of(c), dst, src, bytes);
	return 0;
}

static int alone_reduce_scatter(struct ax_comm *c, void *dst, void *src, size_t n, enum ax_sum_type t, bool accumulate, struct ax_comm_req *r, struct ax_err *e)
{
	if (accumulate)
		dev_of(c)->ops->axpy(dev_of(c), dst, dtype_of(t), src, dtype_of(t), 1.0f, n);
	else
		dev_of(c)->ops->copy(dev_of(c), dst, src, n * ax_sum_bytes(t));
	return 0;
}

static int alone_all_reduce(struct ax_comm *c, void *x, size_t n, enum ax_sum_type t, struct ax_comm_req *r, struct ax_err *e)
{
	return 0;
}

static int alone_broadcast(struct ax_comm *c, void *p, size_t bytes, int root, struct ax_comm_req *r, struct ax_err *e)
{
	return 0;
}

static int alone_progress(struct ax_comm *c, struct ax_err *e)
{
	return 0;
}

static int alone_test(struct ax_comm *c, struct ax_comm_req *r, bool *done, struct ax_err *e)
{
	*done = true;
	return 0;
}

static int alone_open(struct ax_comm **out, struct ax_dev *d, const struct ax_comm *host, struct ax_err *e);

static int alone_split(struct ax_comm *c, int color, int key, struct ax_comm **out, struct ax_err *e)
{
	return color < 0 ? 0 : alone_open(out, dev_of(c), c, e);
}

static void alone_missing(struct ax_comm *c, const struct ax_comm_req *r, char *buf, size_t n)
{
	buf[0] = '\0';
}

static void alone_close(struct ax_comm *c, bool failed)
{
	ax_free(c);
}

static const struct ax_comm_ops alone_ops = {
	.all_gather = alone_all_gather,
	.reduce_scatter = alone_reduce_scatter,
	.all_reduce = alone_all_reduce,
	.broadcast = alone_broadcast,
	.progress = alone_progress,
	.test = alone_test,
	.split = alone_split,
	.missing = alone_missing,
	.close = alone_close,
};

static int alone_open(struct ax_comm **out, struct ax_dev *d, const struct ax_comm *host, struct ax_err *e)
{
	struct ax_comm *c = ax_wire_new(host, e);

	if (!c)
		return AX_EMEM;
	c->ops = &alone_ops;
	c->impl = d;
	c->name = "none, one rank";
	*out = c;
	return 0;
}

/* --- the choice ----------------------------------------------------------------------------------------------------- */

enum wish { WISH_NONE, WISH_NCCL, WISH_STAGED, WISH_UNKNOWN };

/* What each rank tells the others. Compared byte by byte: cleared before it is filled. */
struct place {
	char host[64], gpu[32];
	int wish;
};

static struct place own_place(struct ax_cuda *c, const struct ax_comm *host)
{
	const char *wish = getenv("AX_WIRE");
	struct place p;

	memset(&p, 0, sizeof(p));
	snprintf(p.host, sizeof(p.host), "%s", host->host);
	if (cudaDeviceGetPCIBusId(p.gpu, sizeof(p.gpu), c->device) != cudaSuccess)
		snprintf(p.gpu, sizeof(p.gpu), "%d", c->device);
	p.wish = !wish || !*wish ? WISH_NONE : !strcmp(wish, "nccl") ? WISH_NCCL : !strcmp(wish, "staged") ? WISH_STAGED : WISH_UNKNOWN;
	return p;
}

/* The first two ranks that share a GPU. */
static bool shared_gpu(const struct place *p, int n, int *a, int *b)
{
	for (*b = 1; *b < n; ++*b)
		for (*a = 0; *a < *b; ++*a)
			if (!strcmp(p[*a].host, p[*b].host) && !strcmp(p[*a].gpu, p[*b].gpu))
				return true;
	return false;
}

/* All ranks see the same places, so all choose the same. */
static int choose(struct ax_dev *d, struct ax_comm *host, const struct place *p, struct ax_comm **wire, struct ax_err *e)
{
	int a = 0, b = 0;

	for (int k = 0; k < host->n_rank; k++) {
		if (p[k].wish == WISH_UNKNOWN)
			return ax_fail(e, AX_EUSAGE, "AX_WIRE of rank %d is neither nccl nor staged", k);
		if (p[k].wish != p[0].wish)
			return ax_fail(e, AX_EUSAGE, "AX_WIRE of rank %d is not that of rank 0", k);
	}
	if (p[0].wish == WISH_STAGED)
		return ax_staged_open(wire, d, host, "AX_WIRE=staged", e);
	if (shared_gpu(p, host->n_rank, &a, &b)) {
		if (p[0].wish == WISH_NCCL)
			return ax_fail(e, AX_EUSAGE, "AX_WIRE=nccl, but ranks %d and %d (%s) share GPU %s: NCCL needs one each", a, b, p[a].host, p[a].gpu);
		return ax_staged_open(wire, d, host, "ranks share a GPU", e);
	}
	return ax_nccl_open(wire, d, host, e);
}

int ax_cuda_wire(struct ax_dev *d, struct ax_comm *host, struct ax_comm **wire, struct ax_err *e)
{
	struct place mine = own_place(ax_cuda_of(d), host), *all;
	struct ax_comm_req r;
	int rc;

	if (host->n_rank == 1)
		return alone_open(wire, d, host, e);
	all = ax_calloc((size_t)host->n_rank, sizeof(*all));
	if (!all)
		return ax_fail(e, AX_EMEM, "no memory for %d ranks", host->n_rank);
	host->what = "compare GPUs";
	rc = ax_comm_all_gather(host, all, &mine, sizeof(mine), &r, e);
	if (!rc)
		rc = ax_comm_wait(host, &r, e);
	if (!rc)
		rc = choose(d, host, all, wire, e);
	ax_free(all);
	return rc;
}
