#include "model/plan.h"

#include <string.h>

#include "base/mem.h"

static size_t model_bytes(const struct ax_units *u)
{
	size_t n = 0;

	for (int i = 0; i < u->n_param; i++)
		n += u->param[i].n_elem * ax_dtype_size((enum ax_dtype)u->param[i].base_dtype);
	return n;
}

int ax_plan_make(struct ax_plan *p, const struct ax_desc *d, const struct ax_units *u, const struct ax_plan_opt *o, struct ax_err *e)
{
	struct ax_model_sizes s;
	const size_t *role[] = { &p->weights, &p->masters, &p->gradients, &p->moments, &p->communication, &p->activations, &p->scratch, &p->inputs };

	memset(p, 0, sizeof(*p));
	AX_TRY(ax_model_sizes(d, o->act, &o->model, &s, e));
	p->weights = o->weights;
	p->masters = o->masters;
	p->gradients = o->gradients;
	p->moments = o->moments;
	p->communication = o->communication;
	p->activations = s.activation_bytes;
	p->inputs = s.input_bytes;
	if (!ax_add_size(s.scratch_bytes, o->device_scratch, &p->scratch))
		return ax_fail(e, AX_EMEM, "the memory plan is beyond the address space");
	for (size_t i = 0; i < sizeof(role) / sizeof(role[0]); i++)
		if (!ax_add_size(p->total, *role[i], &p->total))
			return ax_fail(e, AX_EMEM, "the memory plan is beyond the address space");
	p->checkpoint_bytes = u->n_elem * sizeof(float) * (o->moments_on_disk ? 3 : 1); /* ax_model_units bounds n_elem */
	p->model_bytes = model_bytes(u);
	return 0;
}
