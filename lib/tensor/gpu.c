#include "tensor/gpu.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "tensor/cuda/scratch.h"

struct planned {
	struct ax_ops ops;
	struct ax_gpu gpu;
	char name[80];
};

static size_t scratch_bytes(struct ax_dev *d, const struct ax_shape *s)
{
	const struct planned *p = d->impl;

	return ax_gpu_scratch(&p->gpu, s) + AX_GPU_WORKSPACE;
}

static int wire(struct ax_dev *d, struct ax_comm *host, struct ax_comm **out, struct ax_err *e)
{
	return ax_fail(e, AX_ECOMM, "there is no GPU here: it was only planned for");
}

static void close_plan(struct ax_dev *d)
{
	ax_free(d->impl);
	memset(d, 0, sizeof(*d));
}

int ax_gpu_plan_open(struct ax_dev *d, enum ax_dtype act, size_t memory_bytes, struct ax_err *e)
{
	struct planned *p;
	char human[32];

	memset(d, 0, sizeof(*d));
	if (act != AX_F32 && act != AX_BF16)
		return ax_fail(e, AX_EUSAGE, "a GPU computes in f32 or bf16, not %s", ax_dtype_name(act));
	p = ax_calloc(1, sizeof(*p));
	if (!p)
		return ax_fail(e, AX_EMEM, "out of memory");
	p->ops.scratch_bytes = scratch_bytes;
	p->gpu = (struct ax_gpu){ act, AX_GPU_PLAN_SMS, memory_bytes ? memory_bytes : AX_GPU_PLAN_MEMORY };
	snprintf(p->name, sizeof(p->name), "cuda (no GPU here: planned for an H100 with %s)", ax_human_bytes(p->gpu.memory_bytes, human));
	*d = (struct ax_dev){ .ops = &p->ops, .act = act, .impl = p, .name = p->name, .pinned = AX_GPU_PINNED_BYTES, .wire = wire, .close = close_plan };
	return 0;
}
