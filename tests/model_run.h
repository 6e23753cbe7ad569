/*
 * Shared by the model's tests: a model folder with reference.safetensors (documents, trained, logits, loss, grad.NAME),
 * weights held in memory, and hooks that check the order of calls.
 */
#ifndef AX_TESTS_MODEL_RUN_H
#define AX_TESTS_MODEL_RUN_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "fmt/safetensors.h"
#include "model/model.h"
#include "text/json.h"

#define RUN_DOC_MAX 16

struct run_opt {
	enum ax_dtype act;
	int n_thread;
	bool reference; /* the readable reference ops */
	bool separate;  /* a micro-batch a document, else one packed row */
	int pad;        /* padding tokens at the end */
	enum ax_recompute recompute;
};

struct run_case {
	struct ax_desc desc;
	struct ax_units units;
	struct ax_st_model model;
	struct ax_st_file ref;
	int n_doc, len[RUN_DOC_MAX], n_token, n_trained;
	const int64_t *doc[RUN_DOC_MAX], *trained[RUN_DOC_MAX];
	size_t n_elem; /* of all units, padding included */
	size_t *unit_off;
	float *master; /* all units, one behind the other */
};

struct run_result {
	double loss;
	float *logits; /* (n_token, V) of the documents in order */
	float *grad;   /* laid out as master */
	size_t n_grad;
};

/* In-memory hooks; they fail when the calls come in an order that unit.h does not allow. */
struct run_hooks {
	const struct run_case *c;
	const char *weights;
	float *grad;
	size_t size; /* of a weight */
	int held, prefetched, n_acquire, n_grad;
	char *grad_open; /* a unit */
	int *grad_done;
};

static int run_prefetch(void *ctx, int unit, struct ax_err *e)
{
	struct run_hooks *h = ctx;

	h->prefetched = unit;
	return 0;
}

static int run_acquire(void *ctx, int unit, const void **w, struct ax_err *e)
{
	struct run_hooks *h = ctx;

	if (h->held >= 0)
		return ax_fail(e, AX_ECHECK, "unit %d is acquired while %d is held", unit, h->held);
	if (h->prefetched >= 0 && h->prefetched != unit)
		return ax_fail(e, AX_ECHECK, "unit %d is acquired, %d was prefetched", unit, h->prefetched);
	h->held = unit;
	h->prefetched = -1;
	h->n_acquire++;
	*w = h->weights + h->c->unit_off[unit] * h->size;
	return 0;
}

static int run_release(void *ctx, int unit, struct ax_err *e)
{
	struct run_hooks *h = ctx;

	if (h->held != unit)
		return ax_fail(e, AX_ECHECK, "unit %d is released, %d is held", unit, h->held);
	h->held = -1;
	return 0;
}

static int run_grad_acquire(void *ctx, int unit, void **g, struct ax_err *e)
{
	struct run_hooks *h = ctx;

	if (h->grad_open[unit])
		return ax_fail(e, AX_ECHECK, "gradient of unit %d is acquired twice", unit);
	h->grad_open[unit] = 1;
	*g = h->grad + h->c->unit_off[unit];
	return 0;
}

static int run_grad_release(void *ctx, int unit, struct ax_err *e)
{
	struct run_hooks *h = ctx;

	if (!h->grad_open[unit])
		return ax_fail(e, AX_ECHECK, "gradient of unit %d is released but not acquired", unit);
	h->grad_open[unit] = 0;
	h->grad_done[unit]++;
	h->n_grad++;
	return 0;
}

static inline struct ax_unit_hooks run_hook_table(struct run_hooks *h)
{
	return (struct ax_unit_hooks){ h, run_prefetch, run_acquire, run_release, run_grad_acquire, run_grad_release, NULL };
}

static inline int run_hooks_init(struct run_hooks *h, const struct run_case *c, const void *weights, size_t size, float *grad, struct ax_err *e)
{
	*h = (struct run_hooks){ .c = c, .weights = weights, .grad = grad, .size = size, .held = -1, .prefetched = -1 };
	h->grad_open = ax_calloc((size_t)c->units.n_unit, 1);
	h->grad_done = ax_calloc((size_t)c->units.n_unit, sizeof(int));
	return h->grad_open && h->grad_done ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

static inline void run_hooks_release(struct run_hooks *h)
{
	ax_free(h->grad_open);
	ax_free(h->grad_done);
}

static inline int run_load_weights(struct run_case *c, struct ax_err *e)
{
	char name[AX_PARAM_NAME_MAX];

	for (int i = 0; i < c->units.n_param; i++) {
		const struct ax_param *p = &c->units.param[i];
		const struct ax_st_entry *t = NULL;

		for (int k = 0; !t && ax_model_weight_name(&c->desc, p, k, name); k++)
			t = ax_st_model_find(&c->model, name);
		if (!t || t->t->dtype != AX_ST_F32 || ax_st_elems(t->t) != p->n_elem)
			return ax_fail(e, AX_EDATA, "%s is missing or has the wrong shape", p->name);
		memcpy(c->master + c->unit_off[p->unit] + p->off, t->t->data, p->n_elem * sizeof(float));
	}
	return 0;
}

static inline void run_case_close(struct run_case *c)
{
	ax_st_model_close(&c->model);
	ax_st_close(&c->ref);
	ax_units_release(&c->units);
	ax_free(c->unit_off);
	ax_free(c->master);
}

static inline int run_load_documents(struct run_case *c, struct ax_err *e)
{
	for (int k = 0; k < RUN_DOC_MAX; k++) {
		char name[64];
		const struct ax_st_tensor *d, *t;

		snprintf(name, sizeof(name), "documents.%d", k);
		d = ax_st_find(&c->ref, name);
		snprintf(name, sizeof(name), "trained.%d", k);
		t = ax_st_find(&c->ref, name);
		if (!d || !t)
			break;
		c->doc[k] = d->data;
		c->trained[k] = t->data;
		c->len[k] = (int)d->dim[0];
		c->n_token += c->len[k];
		for (int i = 1; i < c->len[k]; i++)
			c->n_trained += c->trained[k][i] != 0;
		c->n_doc++;
	}
	return c->n_doc ? 0 : ax_fail(e, AX_EDATA, "no documents in the reference");
}

static inline int run_case_open(struct run_case *c, const char *dir, struct ax_err *e)
{
	char path[600];

	memset(c, 0, sizeof(*c));
	snprintf(path, sizeof(path), "%s/config.json", dir);
	AX_TRY(ax_desc_load(&c->desc, path, e));
	AX_TRY(ax_model_units(&c->desc, &c->units, e));
	AX_TRY(ax_st_model_open(&c->model, dir, e));
	snprintf(path, sizeof(path), "%s/reference.safetensors", dir);
	AX_TRY(ax_st_open(&c->ref, path, e));
	c->unit_off = ax_calloc((size_t)c->units.n_unit + 1, sizeof(size_t));
	for (int i = 0; i < c->units.n_unit; i++)
		c->unit_off[i + 1] = c->unit_off[i] + c->units.unit[i].n_elem;
	c->n_elem = c->unit_off[c->units.n_unit];
	c->master = ax_calloc(c->n_elem, sizeof(float));
	AX_TRY(run_load_weights(c, e));
	return run_load_documents(c, e);
}

/* A micro-batch of documents [first, last) on the host; free with ax_free(mb->id), ..., as run_micro_release does. */
struct run_micro {
	int32_t *id, *pos, *target;
	struct ax_seg seg[RUN_DOC_MAX];
	struct ax_micro mb;
};

static inline void run_micro_make(struct run_micro *r, const struct run_case *c, int first, int last, int n_token)
{
	int at = 0;

	memset(r, 0, sizeof(*r));
	r->id = ax_calloc((size_t)n_token, 4);
	r->pos = ax_calloc((size_t)n_token, 4);
	r->target = ax_calloc((size_t)n_token, 4);
	for (int i = 0; i < n_token; i++)
		r->target[i] = -1;
	for (int k = first; k < last; k++) {
		r->seg[k - first] = (struct ax_seg){ at, c->len[k], at, c->len[k], 0 };
		for (int i = 0; i < c->len[k]; i++, at++) {
			r->id[at] = (int32_t)c->doc[k][i];
			r->pos[at] = i;
			if (i + 1 < c->len[k] && c->trained[k][i + 1])
				r->target[at] = (int32_t)c->doc[k][i + 1];
		}
	}
	r->mb = (struct ax_micro){ n_token, r->id, r->pos, r->target, NULL, r->seg, last - first };
}

static inline void run_micro_release(struct run_micro *r)
{
	ax_free(r->id);
	ax_free(r->pos);
	ax_free(r->target);
}

static inline void run_result_release(struct run_result *r)
{
	ax_free(r->logits);
	ax_free(r->grad);
	memset(r, 0, sizeof(*r));
}

/* Logits; then the loss of an evaluation and of a step, which must agree to the bit. (Logits ask the head for rows that a
 * step does not look at: products of other shapes, and on some processors other bits.) */
static inline int run_micro_batch(struct ax_model *m, struct run_hooks *h, const struct run_case *c, struct run_result *r, int first, int last, int n_token, size_t row, struct ax_err *e)
{
	struct ax_unit_hooks table = run_hook_table(h);
	struct run_micro b;
	float *logits = ax_calloc((size_t)n_token * (size_t)c->desc.vocab, sizeof(float));
	double eval = 0, step = 0, unused = 0;
	int rc, n = 0;

	run_micro_make(&b, c, first, last, n_token);
	for (int k = first; k < last; k++)
		n += c->len[k];
	rc = ax_model_eval(m, &b.mb, &table, &unused, logits, e);
	if (!rc)
		rc = ax_model_eval(m, &b.mb, &table, &eval, NULL, e);
	if (!rc)
		rc = ax_model_step(m, &b.mb, &table, 1.0f / (float)c->n_trained, &step, e);
	if (!rc && eval != step)
		rc = ax_fail(e, AX_ECHECK, "loss %.17g in evaluation, %.17g in training", eval, step);
	if (!rc)
		memcpy(r->logits + row * (size_t)c->desc.vocab, logits, (size_t)n * (size_t)c->desc.vocab * sizeof(float));
	r->loss += step / c->n_trained;
	run_micro_release(&b);
	ax_free(logits);
	return rc;
}

static inline int run_all(struct run_case *c, const struct run_opt *o, struct run_result *r, struct ax_dev *dev, void *weights, struct ax_err *e)
{
	struct ax_model_opt mo = { .n_token = o->pad, .max_seg = c->n_doc, .max_pos = 0, .recompute = o->recompute, .train = true };
	struct ax_model *m;
	struct run_hooks h;
	size_t row = 0;
	int rc = 0;

	for (int k = 0; k < c->n_doc; k++) {
		if (o->separate && c->len[k] + o->pad > mo.n_token)
			mo.n_token = c->len[k] + o->pad;
		else if (!o->separate)
			mo.n_token += c->len[k];
	}
	AX_TRY(ax_model_open(&m, dev, &c->desc, &c->units, &mo, e));
	dev->ops->cast(dev, weights, o->act, c->master, AX_F32, c->n_elem);
	rc = run_hooks_init(&h, c, weights, ax_dtype_size(o->act), r->grad, e);
	for (int k = 0; k < c->n_doc && !rc; k++) {
		rc = run_micro_batch(m, &h, c, r, k, o->separate ? k + 1 : c->n_doc, mo.n_token, row, e);
		row += (size_t)c->len[k];
		if (!o->separate)
			break;
	}
	for (int i = 0; i < c->units.n_unit && !rc; i++)
		if (h.grad_done[i] != (o->separate ? c->n_doc : 1))
			rc = ax_fail(e, AX_ECHECK, "gradient of unit %d was released %d times", i, h.grad_done[i]);
	run_hooks_release(&h);
	ax_model_close(m);
	return rc;
}

static inline int run_case_step(struct run_case *c, const struct run_opt *o, struct run_result *r, struct ax_err *e)
{
	struct ax_dev dev;
	void *weights;
	int rc;

	memset(r, 0, sizeof(*r));
	AX_TRY(ax_cpu_open(&dev, o->act, o->n_thread, o->reference ? AX_CPU_REFERENCE : 0, e));
	r->n_grad = c->n_elem;
	r->grad = ax_calloc(c->n_elem, sizeof(float));
	r->logits = ax_calloc((size_t)c->n_token * (size_t)c->desc.vocab, sizeof(float));
	weights = ax_calloc(c->n_elem, sizeof(float));
	rc = run_all(c, o, r, &dev, weights, e);
	ax_free(weights);
	ax_cpu_close(&dev);
	if (rc)
		run_result_release(r);
	return rc;
}

/* |x - y| / |y| over n elements. */
static inline double run_relative(const float *x, const float *y, size_t n)
{
	double diff = 0, norm = 0;

	for (size_t i = 0; i < n; i++) {
		diff += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
		norm += (double)y[i] * (double)y[i];
	}
	return diff == 0 ? 0 : sqrt(diff / norm);
}

static inline double run_grad_error(const struct run_case *c, const struct run_result *r, int param)
{
	const struct ax_param *p = &c->units.param[param];
	char name[AX_PARAM_NAME_MAX + 8];
	const struct ax_st_tensor *t;

	snprintf(name, sizeof(name), "grad.%s", p->name);
	t = ax_st_find(&c->ref, name);
	return t ? run_relative(r->grad + c->unit_off[p->unit] + p->off, t->data, p->n_elem) : (double)INFINITY;
}

struct run_diff {
	double logits, loss, grad;
	const char *grad_name;
};

static inline void run_compare(const struct run_case *c, const struct run_result *r, struct run_diff *d)
{
	size_t row = 0;
	const struct ax_st_tensor *t = ax_st_find(&c->ref, "loss");

	memset(d, 0, sizeof(*d));
	d->loss = t ? fabs(r->loss - (double)*(const float *)t->data) / r->loss : (double)INFINITY;
	for (int k = 0; k < c->n_doc; k++) {
		char name[64];
		double x;

		snprintf(name, sizeof(name), "logits.%d", k);
		t = ax_st_find(&c->ref, name);
		x = t ? run_relative(r->logits + row * (size_t)c->desc.vocab, t->data, (size_t)c->len[k] * (size_t)c->desc.vocab) : (double)INFINITY;
		d->logits = x > d->logits ? x : d->logits;
		row += (size_t)c->len[k];
	}
	for (int i = 0; i < c->units.n_param; i++) {
		double x = run_grad_error(c, r, i);

		if (!(x <= d->grad)) {
			d->grad = x;
			d->grad_name = c->units.param[i].name;
		}
	}
}

/* file.json: {"FAMILY": {"NAME": number}}; NaN if absent. */
static inline double run_golden_number(const char *path, const char *group, const char *name)
{
	struct ax_arena a;
	struct ax_val *v = NULL;
	double x = (double)NAN;

	ax_arena_init(&a, 0);
	if (!ax_json_file(&a, path, (size_t)1 << 20, &v, NULL))
		x = ax_val_num_or(ax_val_get(ax_val_get(v, group), name), (double)NAN);
	ax_arena_release(&a);
	return x;
}

#endif
