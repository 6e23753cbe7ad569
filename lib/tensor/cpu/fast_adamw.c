/* AdamW on all threads: the vector kernels over runs of blocks. */
#include "tensor/cpu/cpu.h"
#include "tensor/round.h"

#define RUN ((size_t)32 << 10) /* elements of a task: a multiple of AX_Q8_BLOCK */

struct adamw {
	const struct ax_kern *kern;
	const struct ax_adamw_mem *x;
	const struct ax_adamw *h;
	size_t n;
};

static void run_f32(void *ctx, size_t i, int slot)
{
	const struct adamw *a = ctx;
	size_t at = i * RUN;

	a->kern->adamw(a->x, a->h, at, a->n - at < RUN ? a->n - at : RUN);
}

static void run_round(void *ctx, size_t i, int slot)
{
	const struct adamw *a = ctx;
	size_t end = a->n - i * RUN < RUN ? a->n : (i + 1) * RUN;

	for (size_t at = i * RUN; at < end; at += AX_Q8_BLOCK)
		a->kern->adamw_round(a->x, a->h, at, end - at < AX_Q8_BLOCK ? end - at : AX_Q8_BLOCK);
}

static void adamw(struct ax_dev *d, const struct ax_adamw_mem *x, const struct ax_adamw *h, size_t n)
{
	struct ax_cpu *c = ax_cpu_of(d);
	struct adamw a = { c->kern, x, h, n };
	bool f32 = x->p && x->tm == AX_F32 && x->tg == AX_F32;

	if (x->tw == AX_F16)
		c->ref.adamw(d, x, h, n);
	else
		ax_cpu_run(c, (n + RUN - 1) / RUN, f32 ? run_f32 : run_round, &a);
}

void ax_fast_adamw(struct ax_ops *o)
{
	o->adamw = adamw;
}
