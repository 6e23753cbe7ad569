/* Output head and loss against double precision. */
#include "op.h"

struct head_case {
	size_t N, C, V;
	float softcap, logit_scale;
	bool weights, frozen;
	int trained_every; /* 1: all */
};

static void want_row(const struct head_case *c, const double *x, const double *w, size_t target, double factor, double *loss, double *logits, double *dx, double *dw)
{
	double max = -INFINITY, sum = 0, cap = (double)c->softcap, *slope = doubles(c->V);

	for (size_t v = 0; v < c->V; v++) {
		double s = 0;

		for (size_t i = 0; i < c->C; i++)
			s += x[i] * w[v * c->C + i];
		s *= (double)c->logit_scale;
		logits[v] = cap > 0 ? cap * tanh(s / cap) : s;
		slope[v] = (cap > 0 ? 1 - pow(tanh(s / cap), 2) : 1) * (double)c->logit_scale;
		max = fmax(max, logits[v]);
	}
	for (size_t v = 0; v < c->V; v++)
		sum += exp(logits[v] - max);
	*loss = max + log(sum) - logits[target];
	for (size_t v = 0; v < c->V; v++) {
		double g = (exp(logits[v] - max) / sum - (v == target)) * slope[v] * factor;

		for (size_t i = 0; i < c->C; i++) {
			dx[i] += g * w[v * c->C + i];
			dw[v * c->C + i] += g * x[i];
		}
	}
	free(slope);
}

static void head_of(const struct variant *v, const struct head_case *c)
{
	const float grad_scale = 0.125f;
	const struct ax_head p = { c->softcap, c->logit_scale, (int)c->N };
	struct ax_dev d = dev_open(v, 2);
	struct tensor x = tensor_random(&d, v->act, c->N * c->C, 1), w = tensor_random(&d, v->act, c->V * c->C, 2 / sqrt((double)c->C));
	struct tensor dx = tensor_random(&d, v->act, x.n, 1), dw = tensor_random(&d, AX_F32, w.n, 0.01), weight = tensor_random(&d, AX_F32, c->N, 1);
	struct tensor loss = tensor_new(&d, AX_F64, 1), logits = tensor_new(&d, AX_F32, c->N * c->V);
	int32_t *target = calloc(c->N, sizeof(*target));
	double *vx = tensor_doubles(&x), *vw = tensor_doubles(&w), *wdx = doubles(x.n), *wdw = tensor_doubles(&dw), *wz = doubles(logits.n), *same = NULL, want = 1.5, size = 1.5, got;

	for (size_t n = 0; n < c->N; n++) {
		double l, wt = c->weights ? tensor_get(&weight, n) : 1, *discard = doubles(c->C + w.n);
		bool trained = n % (size_t)c->trained_every == 0;

		target[n] = trained ? (int32_t)(n * 31 % c->V) : -1;
		want_row(c, vx + n * c->C, vw, trained ? (size_t)target[n] : 0, trained ? wt * (double)grad_scale : 0, &l, wz + n * c->V, trained ? wdx + n * c->C : discard,
			 trained && !c->frozen ? wdw : discard);
		want += trained ? wt * l : 0;
		size += trained ? fabs(wt * l) : 0;
		free(discard);
	}
	/* with gradients, then the loss and the logits alone */
	tensor_set(&loss, 0, 1.5);
	d.ops->head_loss(&d, loss.p, dx.p, c->frozen ? NULL : dw.p, NULL, x.p, w.p, target, c->weights ? weight.p : NULL, &grad_scale, &p, (int)c->N, (int)c->C, (int)c->V);
	got = tensor_get(&loss, 0);
	if (!(fabs(got - want) <= 3e-7 * size))
		fail_msg("loss, %s: %.9g, not %.9g", v->name, got, want);
	expect_near("head dx", v->name, &dx, wdx, v->act, 3e-6, 6e-3);
	same = tensor_doubles(&dw);
	expect_near("head dw", v->name, &dw, wdw, v->act, 3e-6, 4e-3);
	tensor_set(&loss, 0, 0);
	d.ops->head_loss(&d, loss.p, NULL, NULL, logits.p, x.p, w.p, target, c->weights ? weight.p : NULL, &grad_scale, &p, (int)c->N, (int)c->C, (int)c->V);
	assert_true(fabs(tensor_get(&loss, 0) + 1.5 - got) <= 1e-9 * size);
	expect_near("logits", v->name, &logits, wz, AX_F32, 2e-6, 0);
	expect_near("dw untouched", v->name, &dw, same, AX_F32, 0, 0);
	free(vx);
	free(vw);
	free(target);
	tensor_free(&x);
	tensor_free(&w);
	tensor_free(&dx);
	tensor_free(&dw);
	tensor_free(&weight);
	tensor_free(&loss);
	tensor_free(&logits);
	dev_close(&d);
}

static void head(void **state)
{
	static const struct head_case cases[] = {
		{ 6, 3, 5, 0, 1, false, false, 1 },	{ 37, 20, 131, 0, 1, true, false, 3 },	     { 70, 16, 301, 5, 1, false, false, 1 },
		{ 33, 33, 257, 30, 0.5f, true, true, 2 }, { 5, 8, 1000, 0, 2, false, false, 7 },
	};

	for (size_t v = 0; v < N_VARIANTS; v++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
			head_of(&variants[v], &cases[i]);
}

/* More rows than one chunk holds: V is large enough that the fast table needs several. */
static void chunks(void **state)
{
	const size_t N = 150, C = 4, V = 600000;
	const struct ax_head p = { 0, 1, (int)N };
	const float one = 1;
	double loss[2] = { 0 }, *want = NULL;
	int32_t *target = calloc(N, sizeof(*target));

	for (size_t n = 0; n < N; n++)
		target[n] = n % 5 == 4 ? -1 : (int32_t)(n * 3001);
	for (int i = 0; i < 2; i++) {
		const struct variant v = { "chunks", AX_F32, i ? 0 : AX_CPU_REFERENCE };
		struct ax_dev d = dev_open(&v, 2);
		struct tensor x = tensor_random(&d, AX_F32, N * C, 1), w = tensor_random(&d, AX_F32, V * C, 1), dx = tensor_new(&d, AX_F32, N * C);

		d.ops->head_loss(&d, &loss[i], dx.p, NULL, NULL, x.p, w.p, target, NULL, &one, &p, (int)N, (int)C, (int)V);
		if (i)
			expect_near("dx in chunks", v.name, &dx, want, AX_F32, 3e-6, 0);
		else
			want = tensor_doubles(&dx);
		tensor_free(&x);
		tensor_free(&w);
		tensor_free(&dx);
		dev_close(&d);
	}
	assert_true(fabs(loss[0] - loss[1]) < 1e-6 * loss[0]);
	free(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(head), cmocka_unit_test(chunks) };

	return cmocka_run_group_tests_name("op: head", tests, NULL, NULL);
}
