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
	struct tensor dx = tensor_random(&d, v->act, x.n, 1), dw = tensor_random(&d, v->grad, w.n, 0.01), weight = tensor_random(&d, AX_F32, c->N, 1);
	struct tensor loss = tensor_new(&d, AX_F64, 1), logits = tensor_new(&d, AX_F32, c->N * c->V);
	struct tensor scale = tensor_of(&d, AX_F32, &grad_scale, 1), tg;
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
	tg = tensor_of(&d, AX_I32, target, c->N);
	dev_reserve(&d, (struct ax_shape){ .N = (int)c->N, .C = (int)c->C, .V = (int)c->V });
	/* with gradients, then the loss and the logits alone */
	tensor_set(&loss, 0, 1.5);
	d.ops->head_loss(&d, dp(&loss), dp(&dx), c->frozen ? NULL : dp(&dw), NULL, dp(&x), dp(&w), dp(&tg), c->weights ? dp(&weight) : NULL, dp(&scale), &p, (int)c->N, (int)c->C, (int)c->V);
	got = tensor_get(&loss, 0);
	if (!(fabs(got - want) <= 3e-7 * size))
		fail_msg("loss, %s: %.9g, not %.9g", v->name, got, want);
	expect_near("head dx", v->name, &dx, wdx, v->act, 3e-6, 6e-3);
	same = tensor_doubles(&dw);
	expect_near("head dw", v->name, &dw, wdw, v->act, 3e-6, 4e-3);
	tensor_set(&loss, 0, 0);
	d.ops->head_loss(&d, dp(&loss), NULL, NULL, dp(&logits), dp(&x), dp(&w), dp(&tg), c->weights ? dp(&weight) : NULL, dp(&scale), &p, (int)c->N, (int)c->C, (int)c->V);
	assert_true(fabs(tensor_get(&loss, 0) + 1.5 - got) <= 1e-9 * size);
	expect_near("logits", v->name, &logits, wz, AX_F32, 2e-6, 0);
	expect_near("dw untouched", v->name, &dw, same, AX_F32, 0, 0);
	/* all at once */
	wdx = tensor_doubles(&dx);
	wz = tensor_doubles(&logits);
	d.ops->head_loss(&d, dp(&loss), dp(&dx), NULL, dp(&logits), dp(&x), dp(&w), dp(&tg), c->weights ? dp(&weight) : NULL, dp(&scale), &p, (int)c->N, (int)c->C, (int)c->V);
	expect_near("head dx beside logits", v->name, &dx, wdx, v->act, 1e-6, 1e-6);
	expect_near("logits beside dx", v->name, &logits, wz, AX_F32, 1e-6, 0);
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
	tensor_free(&scale);
	tensor_free(&tg);
	dev_close(&d);
}

static void head(void **state)
{
	static const struct head_case cases[] = {
		{ 6, 3, 5, 0, 1, false, false, 1 },	{ 37, 20, 131, 0, 1, true, false, 3 },	     { 70, 16, 301, 5, 1, false, false, 1 },
		{ 33, 33, 257, 30, 0.5f, true, true, 2 }, { 5, 8, 1000, 0, 2, false, false, 7 },	     { 24, 64, 512, 0, 1, true, false, 1 },
	};

	for (const struct variant *v = variants; v < variants + N_GRAD_VARIANTS; v++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) && RUNS(v, head_loss); i++)
			head_of(v, &cases[i]);
}

/* The loss of many rows; the gradient in *dx_out. */
static double chunked(const struct variant *v, size_t N, size_t C, size_t V, double **dx_out)
{
	const struct ax_head p = { 0, 1, (int)N };
	const float one = 1;
	struct ax_dev d = dev_open(v, 2);
	struct tensor x = tensor_random(&d, AX_F32, N * C, 1), w = tensor_random(&d, AX_F32, V * C, 1), dx = tensor_new(&d, AX_F32, N * C);
	struct tensor loss = tensor_new(&d, AX_F64, 1), scale = tensor_of(&d, AX_F32, &one, 1), tg = tensor_new(&d, AX_I32, N);
	struct tensor *all[] = { &x, &w, &dx, &loss, &scale, &tg };
	double result;

	tensor_set(&loss, 0, 0);
	for (size_t n = 0; n < N; n++)
		((int32_t *)tensor_host(&tg))[n] = n % 5 == 4 ? -1 : (int32_t)(n * (V / N));
	dev_reserve(&d, (struct ax_shape){ .N = (int)N, .C = (int)C, .V = (int)V });
	d.ops->head_loss(&d, dp(&loss), dp(&dx), NULL, NULL, dp(&x), dp(&w), dp(&tg), NULL, dp(&scale), &p, (int)N, (int)C, (int)V);
	result = tensor_get(&loss, 0);
	*dx_out = tensor_doubles(&dx);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		tensor_free(all[i]);
	dev_close(&d);
	return result;
}

/* More rows than one chunk holds: V is large enough that the fast table needs several. */
static void chunks(void **state)
{
	static const struct variant *const which[] = { &variants[2], &variants[8] };
	const size_t N = 150, C = 4;

	for (size_t i = 0; i < 2; i++) {
		const size_t V = which[i]->cuda ? 70000 : 600000;
		double *want, *dx, loss, err = 0, ref = 0;

		if (!RUNS(which[i], head_loss))
			continue;
		loss = chunked(REFERENCE, N, C, V, &want);
		assert_true(fabs(chunked(which[i], N, C, V, &dx) - loss) < 1e-6 * loss);
		for (size_t k = 0; k < N * C; k++) {
			err += pow(dx[k] - want[k], 2);
			ref += pow(want[k], 2);
		}
		if (!(sqrt(err) <= 3e-6 * sqrt(ref)))
			fail_msg("dx in chunks, %s: relative error %g", which[i]->name, sqrt(err / ref));
		free(want);
		free(dx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(head), cmocka_unit_test(chunks) };

	return cmocka_run_group_tests_name("op: head", tests, NULL, close_devices);
}
