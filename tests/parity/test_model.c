/*
 * Forward and backward against transformers (float64 weights and products): every dense family of the tiny models.
 * Needs the model folders; prints SKIP where they are not.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../model_run.h"
#include "optim/adamw.h"
#include "optim/schedule.h"

#define TOLERANCE 1e-5

static const char *const family[] = { "llama", "llama3-rope", "llama-tied-bias", "mistral", "qwen2", "qwen3", "smollm3" };

#define N_FAMILY (int)(sizeof(family) / sizeof(family[0]))

static int number;

static void result(bool ok, const char *fam, const char *what, const char *detail)
{
	printf("%sok %d - %s %s%s%s\n", ok ? "" : "not ", ++number, fam, what, *detail ? ": " : "", detail);
	fflush(stdout);
}

/* Logits, loss and gradients of one way to lay the documents out. */
static void compare(const char *fam, struct run_case *c, struct run_opt o, const char *what)
{
	struct run_result r;
	struct ax_err e = { 0 };
	struct run_diff d;
	char detail[AX_ERR_MAX + 64];

	if (run_case_step(c, &o, &r, &e)) {
		result(false, fam, what, e.msg);
		return;
	}
	run_compare(c, &r, &d);
	snprintf(detail, sizeof(detail), "logits %.2g, loss %.2g, worst gradient %.2g (%s)", d.logits, d.loss, d.grad, d.grad_name);
	result(d.logits <= TOLERANCE && d.loss <= TOLERANCE && d.grad <= TOLERANCE, fam, what, detail);
	run_result_release(&r);
}

static void same_bits(const char *fam, struct run_case *c, struct run_opt a, struct run_opt b, const char *what)
{
	struct run_result x = { 0 }, y = { 0 };
	struct ax_err e = { 0 };
	bool ok = !run_case_step(c, &a, &x, &e) && !run_case_step(c, &b, &y, &e) && x.loss == y.loss && !memcmp(x.grad, y.grad, x.n_grad * sizeof(float));

	result(ok, fam, what, e.msg);
	run_result_release(&x);
	run_result_release(&y);
}

static void bitwise(const char *fam, struct run_case *c)
{
	for (int act = AX_F32; act <= AX_BF16; act++) {
		struct run_opt base = { .act = (enum ax_dtype)act, .n_thread = 1, .pad = 5 }, o;
		char what[64];

		for (int mode = AX_RECOMPUTE_SELECTIVE; mode <= AX_RECOMPUTE_FULL; mode++) {
			o = base;
			o.recompute = (enum ax_recompute)mode;
			snprintf(what, sizeof(what), "%s recomputation %s: same bits", ax_dtype_name(base.act), mode == AX_RECOMPUTE_FULL ? "full" : "selective");
			same_bits(fam, c, base, o, what);
		}
		for (int t = 2; t <= 3; t++) {
			o = base;
			o.n_thread = t;
			snprintf(what, sizeof(what), "%s %d threads: same bits", ax_dtype_name(base.act), t);
			same_bits(fam, c, base, o, what);
		}
	}
}

/* Error of a gradient tensor of PyTorch with bf16 weights, frozen by tests/golden/bf16. */
static double torch_error(const char *fam, const char *attention, const char *name)
{
	char group[64];

	snprintf(group, sizeof(group), "%s %s", fam, attention);
	return run_golden_number("tests/golden/bf16/errors.json", group, name);
}

/*
 * In bf16 each gradient tensor's error against the float64 reference is at most 1.25 times that of PyTorch with bf16
 * weights and transformers' default attention (sdpa). The ratio to its eager attention is printed beside it: on a vector
 * of 16 elements either may be lucky, and the two differ by up to 1.9 there.
 */
static void bf16(const char *fam, struct run_case *c)
{
	struct run_opt o = { .act = AX_BF16, .n_thread = 2 };
	struct run_result r;
	struct ax_err e = { 0 };
	double worst = 0, sum = 0, worst_eager = 0;
	const char *name = "";
	char detail[320];

	if (run_case_step(c, &o, &r, &e)) {
		result(false, fam, "bf16", e.msg);
		return;
	}
	for (int i = 0; i < c->units.n_param; i++) {
		const struct ax_param *p = &c->units.param[i];
		double eager = torch_error(fam, "eager", p->name), sdpa = torch_error(fam, "sdpa", p->name), mine = run_grad_error(c, &r, i);
		double ratio = mine / sdpa;

		worst_eager = !(mine / eager <= worst_eager) ? mine / eager : worst_eager;
		sum += ratio;
		if (!(ratio <= worst)) {
			worst = ratio;
			name = p->name;
		}
	}
	snprintf(detail, sizeof(detail), "error / that of bf16 weights in torch: mean %.3f, worst %.3f (%s); beside eager attention %.3f", sum / c->units.n_param, worst, name, worst_eager);
	result(worst <= 1.25, fam, "bf16 gradients", detail);
	run_result_release(&r);
}

/* State of a training run in memory. */
struct adam {
	float *grad, *m, *v;
	double loss, norm;
};

static int adam_step(struct run_case *c, struct ax_dev *dev, struct ax_model *model, struct adam *a, const struct ax_sched *sched, int i, struct ax_err *e)
{
	struct ax_adamw_opt o = { 0.9, 0.95, 1e-8, 0.1, 0 };
	struct ax_unit_hooks table;
	struct run_hooks h;
	struct run_micro b;
	double square = 0;
	int rc;

	memset(a->grad, 0, c->n_elem * sizeof(float));
	AX_TRY(run_hooks_init(&h, c, c->master, sizeof(float), a->grad, e));
	table = run_hook_table(&h);
	run_micro_make(&b, c, 0, c->n_doc, c->n_token);
	a->loss = 0;
	rc = ax_model_step(model, &b.mb, &table, 1.0f / (float)c->n_trained, &a->loss, e);
	run_micro_release(&b);
	run_hooks_release(&h);
	a->loss /= c->n_trained;
	dev->ops->sumsq(dev, &square, a->grad, AX_F32, c->n_elem);
	a->norm = sqrt(square);
	for (int k = 0; k < c->units.n_param; k++) {
		const struct ax_param *p = &c->units.param[k];
		size_t at = c->unit_off[p->unit] + p->off;
		struct ax_adamw_mem mem = { .p = c->master + at, .m = a->m + at, .v = a->v + at, .grad = a->grad + at, .tm = AX_F32, .tg = AX_F32 };
		struct ax_adamw hyper;

		ax_adamw_step(&o, ax_sched_lr(sched, i), i + 1, p->decay, (double)p->lr_scale, ax_clip_factor(a->norm, 1), &hyper);
		dev->ops->adamw(dev, &mem, &hyper, p->n_elem);
	}
	return rc;
}

/* Worst relative error of a weight tensor after the steps. */
static double final_error(const struct run_case *c)
{
	double worst = 0;

	for (int i = 0; i < c->units.n_param; i++) {
		const struct ax_param *p = &c->units.param[i];
		char name[AX_PARAM_NAME_MAX + 8];
		const struct ax_st_tensor *t;
		double x;

		snprintf(name, sizeof(name), "final.%s", p->name);
		t = ax_st_find(&c->ref, name);
		x = t ? run_relative(c->master + c->unit_off[p->unit] + p->off, t->data, p->n_elem) : (double)INFINITY;
		worst = x > worst ? x : worst;
	}
	return worst;
}

/* Ten steps of AdamW with warm-up, cosine and clipping: losses, norms, and the weights at the end. */
static void ten_steps(const char *fam, struct run_case *c)
{
	const struct ax_st_tensor *losses = ax_st_find(&c->ref, "step.loss"), *norms = ax_st_find(&c->ref, "step.grad_norm");
	struct ax_model_opt mo = { .n_token = c->n_token, .max_seg = c->n_doc, .train = true };
	struct ax_sched_opt so;
	struct ax_sched sched;
	struct ax_dev dev;
	struct ax_model *model = NULL;
	struct adam a = { ax_calloc(c->n_elem, 4), ax_calloc(c->n_elem, 4), ax_calloc(c->n_elem, 4), 0, 0 };
	struct ax_err e = { 0 };
	double loss = 0, norm = 0;
	char detail[AX_ERR_MAX];
	int rc = ax_cpu_open(&dev, AX_F32, 2, 0, &e);

	ax_sched_opt_init(&so);
	so.lr = 2e-3;
	so.total = 10;
	so.warmup_steps = 3;
	rc = rc ? rc : ax_model_open(&model, &dev, &c->desc, &c->units, &mo, &e);
	rc = rc ? rc : ax_sched_init(&sched, &so, &e);
	for (int i = 0; i < 10 && !rc; i++) {
		double want = (double)((const float *)losses->data)[i], want_norm = (double)((const float *)norms->data)[i];

		rc = adam_step(c, &dev, model, &a, &sched, i, &e);
		loss = fmax(loss, fabs(a.loss / want - 1));
		norm = fmax(norm, fabs(a.norm / want_norm - 1));
	}
	snprintf(detail, sizeof(detail), "losses %.2g, norms %.2g, final weights %.2g", loss, norm, final_error(c));
	result(!rc && loss <= TOLERANCE && norm <= TOLERANCE && final_error(c) <= TOLERANCE, fam, "10 AdamW steps", rc ? e.msg : detail);
	ax_model_close(model);
	ax_cpu_close(&dev);
	ax_free(a.grad);
	ax_free(a.m);
	ax_free(a.v);
}

int main(void)
{
	const char *assets = getenv("AX_ASSETS");
	char dir[512];

	for (int i = 0; i < N_FAMILY; i++) {
		struct run_case c;
		struct ax_err e = { 0 };

		snprintf(dir, sizeof(dir), "%s/models/tiny/%s", assets ? assets : "../shared/assets", family[i]);
		if (!ax_path_is_dir(dir)) {
			printf("ok %d - %s # SKIP no assets\n", ++number, family[i]);
			continue;
		}
		if (run_case_open(&c, dir, &e)) {
			result(false, family[i], "open", e.msg);
			continue;
		}
		compare(family[i], &c, (struct run_opt){ .act = AX_F32, .n_thread = 1 }, "packed");
		compare(family[i], &c, (struct run_opt){ .act = AX_F32, .n_thread = 2, .pad = 7, .reference = true }, "packed, padded, reference ops");
		compare(family[i], &c, (struct run_opt){ .act = AX_F32, .n_thread = 2, .separate = true }, "separate rows");
		bitwise(family[i], &c);
		bf16(family[i], &c);
		ten_steps(family[i], &c); /* changes the weights: last */
		run_case_close(&c);
	}
	printf("1..%d\n", number);
	return 0;
}
