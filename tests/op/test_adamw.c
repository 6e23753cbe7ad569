/* AdamW against double precision, in every precision of its state; stochastic rounding; the 8-bit codes. */
#include "op.h"

#include "tensor/round.h"

static const struct ax_adamw hyper = { .lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.999f, .rest1 = 0.1f, .rest2 = 0.001f, .eps = 1e-8f, .weight_decay = 0.1f, .bias1 = 0.19f, .bias2 = 0.001999f,
				       .grad_scale = 0.25f, .seed = 42, .t = 17 };

/* --- the codes ------------------------------------------------------------------------------------------------------ */

static void codes(void **state)
{
	static const float scales[] = { 0x1p-94f, 0x1p-40f, 1, 0x1p127f };
	static const uint16_t bits[] = { 0, 1, 0x7fff, AX_ROUND_NEAREST, 0xffff };

	for (size_t s = 0; s < 4; s++)
		for (unsigned k = 0; k < 256; k++)
			for (size_t r = 0; r < 5; r++) { /* what a code can say is never changed */
				float m = ax_q8_unpack_m((uint8_t)k, scales[s]), v = ax_q8_unpack_v((uint8_t)k, scales[s]);

				assert_int_equal(ax_q8_pack_v(v, scales[s], bits[r]), k);
				assert_int_equal(ax_q8_pack_m(m, scales[s], bits[r]), k == 0x80 ? 0 : k);
				assert_true(v >= 0 && v <= scales[s] && fabsf(m) <= scales[s]);
				assert_true(k == 0 || v > ax_q8_unpack_v((uint8_t)(k - 1), scales[s]));
			}
	assert_true(ax_q8_unpack_v(255, 1) == 1 && ax_q8_unpack_v(247, 1) == 0.5f && ax_q8_unpack_v(254, 1) == 0.9375f);
	assert_true(ax_q8_unpack_m(0x80 | 127, 1) == -1);
	assert_true(ax_q8_scale(0) == 0x1p-94f && ax_q8_scale(1) == 1 && ax_q8_scale(1.01f) == 2 && ax_q8_scale(0.99f) == 1 && ax_q8_scale(INFINITY) == 0x1p127f);
	assert_int_equal(ax_q8_pack_v(1e-30f, 1, 0), 1); /* never 0: a step is divided by its root */
	assert_int_equal(ax_q8_pack_v(INFINITY, 0x1p127f, 0xffff), 255);
	assert_true(ax_round_bf16(INFINITY, 0xffff) == 0x7f80 && isnan(ax_bf16_to_f32(ax_round_bf16((float)NAN, 0xffff))));
}

/* The mean over all 65,536 random bits is the value itself. */
static void unbiased(void **state)
{
	for (int i = 0; i < 200; i++) {
		double x = pow(2, -20 * ax_rand_unit(3, 1, (uint64_t)i)) * (i % 2 ? -1 : 1), m = 0, v = 0, b = 0;

		for (unsigned r = 0; r < 65536; r++) {
			m += (double)ax_q8_unpack_m(ax_q8_pack_m((float)x, 1, (uint16_t)r), 1) / 65536;
			v += (double)ax_q8_unpack_v(ax_q8_pack_v((float)fabs(x), 1, (uint16_t)r), 1) / 65536;
			b += (double)ax_bf16_to_f32(ax_round_bf16((float)x, (uint16_t)r)) / 65536;
		}
		if (fabs(m - x) > 2e-6 * fabs(x) + 4e-10 || fabs(v - fabs(x)) > 2e-6 * fabs(x) || fabs(b - (double)(float)x) > 1e-12)
			fail_msg("%g becomes %g (m), %g (v), %g (bf16)", x, m, v, b);
	}
}

/* --- one update ------------------------------------------------------------------------------------------------------ */

struct kept {
	struct tensor p, w, m, v, ms, vs, g;
	bool masters;
	enum ax_dtype tm;
};

static struct ax_adamw_mem mem_of(struct kept *k, size_t at)
{
	size_t wm = ax_dtype_size(k->m.t), b = at / AX_Q8_BLOCK;
	struct ax_adamw_mem x = { .tw = k->w.t, .tm = k->tm, .tg = k->g.t, .index = (1 << 20) + at };

	x.p = k->masters ? (float *)dp(&k->p) + at : NULL;
	x.w = (char *)dp(&k->w) + at * ax_dtype_size(k->w.t);
	x.m = (char *)dp(&k->m) + at * wm;
	x.v = (char *)dp(&k->v) + at * wm;
	x.m_scale = k->tm == AX_Q8 ? (float *)dp(&k->ms) + b : NULL;
	x.v_scale = k->tm == AX_Q8 ? (float *)dp(&k->vs) + b : NULL;
	x.grad = (char *)dp(&k->g) + at * ax_dtype_size(k->g.t);
	return x;
}

/* The state of n elements with sizes over many octaves, as every variant stores the same values. */
static struct kept kept_new(struct ax_dev *d, enum ax_dtype tm, bool masters, enum ax_dtype tg, enum ax_dtype tw, size_t n, size_t shift)
{
	enum ax_dtype ts = tm == AX_Q8 ? AX_U8 : tm;
	struct kept k = { .masters = masters, .tm = tm };

	fill_count = 0;
	k.p = tensor_random_shifted(d, AX_F32, n, 1, shift);
	k.g = tensor_shifted(d, tg, n, shift);
	k.w = tensor_shifted(d, tw, n, shift);
	k.m = tensor_shifted(d, ts, n, shift);
	k.v = tensor_shifted(d, ts, n, shift);
	k.ms = tensor_new(d, AX_F32, ax_q8_blocks(n));
	k.vs = tensor_new(d, AX_F32, ax_q8_blocks(n));
	for (size_t b = 0; b < k.ms.n; b++) {
		tensor_set(&k.ms, b, 0x1p-3);
		tensor_set(&k.vs, b, 0x1p-8);
	}
	for (size_t i = 0; i < n; i++) {
		double size = exp2(-8 * ax_rand_unit(5, 1, i)), m = size * ax_rand_normal(5, 2, i) / 32, v = size * size * 1e-3;

		tensor_set(&k.g, i, size * ax_rand_normal(5, 3, i));
		tensor_set(&k.w, i, tensor_get(&k.p, i));
		if (tm == AX_Q8) {
			((uint8_t *)tensor_host(&k.m))[i] = ax_q8_pack_m((float)m, 0x1p-3f, AX_ROUND_NEAREST);
			((uint8_t *)tensor_host(&k.v))[i] = ax_q8_pack_v((float)v, 0x1p-8f, AX_ROUND_NEAREST);
		} else {
			tensor_set(&k.m, i, m);
			tensor_set(&k.v, i, v);
		}
	}
	return k;
}

static void kept_free(struct kept *k)
{
	struct tensor *t[] = { &k->p, &k->w, &k->m, &k->v, &k->ms, &k->vs, &k->g };

	for (size_t i = 0; i < 7; i++)
		tensor_free(t[i]);
}

static double moment(struct kept *k, bool first, size_t i)
{
	struct tensor *t = first ? &k->m : &k->v;

	if (k->tm != AX_Q8)
		return tensor_get(t, i);
	return (double)(first ? ax_q8_unpack_m : ax_q8_unpack_v)(((uint8_t *)tensor_host(t))[i], (float)tensor_get(first ? &k->ms : &k->vs, i / AX_Q8_BLOCK));
}

/* Is x what `want` may become: next to it (relative spacing `step`), or below the least value that the type has? */
static bool beside(double x, double want, double step, double least)
{
	return fabs(x - want) <= step * fabs(want) * 1.0001 + least;
}

static void update_of(const struct variant *v, enum ax_dtype tm, bool masters, enum ax_dtype tg, enum ax_dtype tw, size_t n, size_t shift)
{
	struct ax_dev d = dev_open(v, 2);
	struct kept k = kept_new(&d, tm, masters, tg, tw, n, shift);
	double *wp = doubles(n), *wm = doubles(n), *wv = doubles(n), step = tm == AX_F32 ? 1e-6 : tm == AX_BF16 ? 0x1p-7 : 0x1p-3;
	struct ax_adamw_mem x;

	for (size_t i = 0; i < n; i++) {
		double g = tensor_get(&k.g, i) * (double)hyper.grad_scale, p = masters ? tensor_get(&k.p, i) : tensor_get(&k.w, i);

		wm[i] = (double)hyper.beta1 * moment(&k, true, i) + (double)hyper.rest1 * g;
		wv[i] = (double)hyper.beta2 * moment(&k, false, i) + (double)hyper.rest2 * g * g;
		wp[i] = p * (1 - (double)hyper.lr * (double)hyper.weight_decay) -
			(double)hyper.lr / (double)hyper.bias1 * wm[i] / (sqrt(wv[i]) / sqrt((double)hyper.bias2) + 1e-8);
	}
	x = mem_of(&k, 0);
	d.ops->adamw(&d, &x, &hyper, n);
	for (size_t i = 0; i < n; i++) {
		double ms = tm == AX_Q8 ? tensor_get(&k.ms, i / AX_Q8_BLOCK) * 0x1p-15 : 1e-8;

		if (!beside(moment(&k, true, i), wm[i], step, ms) || !beside(moment(&k, false, i), wv[i], step, 1e-12))
			fail_msg("%s, %s: element %zu: m %g for %g, v %g for %g", v->name, ax_dtype_name(tm), i, moment(&k, true, i), wm[i], moment(&k, false, i), wv[i]);
		if (masters && tensor_get(&k.w, i) != rounded(tw, tensor_get(&k.p, i)))
			fail_msg("%s: the copy of element %zu is not the master, rounded", v->name, i);
		if (!masters && !beside(tensor_get(&k.w, i), wp[i], 0x1p-7, 1e-9))
			fail_msg("%s: weight %zu: %g for %g", v->name, i, tensor_get(&k.w, i), wp[i]);
	}
	if (masters)
		expect_near("adamw p", v->name, &k.p, wp, AX_F32, 5e-7, 0);
	else
		free(wp);
	if (tm == AX_F32) {
		expect_near("adamw m", v->name, &k.m, wm, AX_F32, 5e-7, 0);
		expect_near("adamw v", v->name, &k.v, wv, AX_F32, 5e-7, 0);
	} else {
		free(wm);
		free(wv);
	}
	kept_free(&k);
	dev_close(&d);
}

static const enum ax_dtype moments[] = { AX_F32, AX_BF16, AX_Q8 };

static void updates(void **state)
{
	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++) {
		if (!RUNS(v, adamw))
			continue;
		update_of(v, AX_F32, true, AX_F32, AX_BF16, 1003, 0);
		update_of(v, AX_F32, true, AX_F32, AX_BF16, 4096, 1);
		update_of(v, AX_F32, true, AX_F32, AX_F32, 40001, 0);
		update_of(v, AX_F32, true, AX_F32, AX_F32, 40000, 0);
		update_of(v, AX_F32, true, AX_F32, AX_F32, 1024, 3);
		update_of(v, AX_F32, true, AX_F32, AX_F16, 17, 0);
		update_of(v, AX_F32, true, AX_F32, AX_F16, 1032, 0);
		update_of(v, AX_F32, true, AX_F32, AX_F16, 1030, 1);
		for (size_t i = 0; i < 12; i++) {
			update_of(v, moments[i / 4], i & 1, i & 2 ? AX_BF16 : AX_F32, AX_BF16, 1003, 0);
			update_of(v, moments[i / 4], i & 1, i & 2 ? AX_BF16 : AX_F32, AX_BF16, 1000, 0);
			update_of(v, moments[i / 4], i & 1, i & 2 ? AX_BF16 : AX_F32, AX_BF16, 769, 3);
		}
	}
}

/* Without a rounded copy the masters move all the same. */
static void alone(void **state)
{
	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++)
		for (size_t t = 0; t < 6 && RUNS(v, adamw); t++) {
			struct ax_dev d = dev_open(v, 2);
			struct kept k = kept_new(&d, moments[t / 2], true, AX_F32, AX_F32, 304, t % 2);
			double *before = tensor_doubles(&k.p);
			struct ax_adamw_mem x = mem_of(&k, 0);

			x.w = NULL;
			d.ops->adamw(&d, &x, &hyper, 304);
			assert_true(rel_error(&k.p, before) > 1e-4);
			free(before);
			before = tensor_doubles(&k.p);
			x = mem_of(&k, 0);
			d.ops->adamw(&d, &x, &hyper, 0); /* of nothing: nothing */
			assert_true(rel_error(&k.p, before) == 0);
			free(before);
			kept_free(&k);
			dev_close(&d);
		}
}

/* --- the same bits, however the work is cut -------------------------------------------------------------------------- */

enum { N_CUT = 70000 };

static struct kept run_cut(struct ax_dev *d, enum ax_dtype tm, bool masters, size_t piece)
{
	struct kept k = kept_new(d, tm, masters, AX_F32, AX_BF16, N_CUT, 0);
	struct ax_adamw h = hyper;

	for (h.t = 1; h.t <= 3; h.t++)
		for (size_t at = 0; at < N_CUT; at += piece) {
			struct ax_adamw_mem x = mem_of(&k, at);

			d->ops->adamw(d, &x, &h, N_CUT - at < piece ? N_CUT - at : piece);
		}
	return k;
}

static bool same(struct kept *a, struct kept *b)
{
	struct tensor *x[] = { &a->p, &a->w, &a->m, &a->v, &a->ms, &a->vs }, *y[] = { &b->p, &b->w, &b->m, &b->v, &b->ms, &b->vs };
	bool all = true;

	for (size_t i = 0; i < 6; i++)
		all = all && !memcmp(tensor_host(x[i]), tensor_host(y[i]), x[i]->n * ax_dtype_size(x[i]->t));
	return all;
}

static void cuts(void **state)
{
	static const size_t pieces[] = { N_CUT, 256, 768, 33 * 256, 65536 };

	for (const struct variant *v = variants; v < variants + N_VARIANTS; v++)
		for (size_t i = 0; i < 6 && RUNS(v, adamw); i++) {
			struct ax_dev d = dev_open(v, 1);
			struct kept whole = run_cut(&d, moments[i / 2], i & 1, N_CUT);

			for (size_t p = 0; p < 5; p++) {
				struct ax_dev e = v->cuda ? d : dev_open(v, 1 + (int)p % 3);
				struct kept k = run_cut(&e, moments[i / 2], i & 1, v->cuda && pieces[p] == 256 ? 512 : pieces[p]);

				if (!same(&whole, &k))
					fail_msg("%s, %s: pieces of %zu give other bits", v->name, ax_dtype_name(moments[i / 2]), pieces[p]);
				kept_free(&k);
				if (!v->cuda)
					dev_close(&e);
			}
			kept_free(&whole);
			dev_close(&d);
		}
}

/* All variants round with the same random bits: only where the last bit of an f32 decides may they differ. */
static void alike(void **state)
{
	struct ax_dev r = dev_open(REFERENCE, 1);

	for (const struct variant *v = variants + 1; v < variants + N_VARIANTS; v++)
		for (size_t i = 2; i < 6 && RUNS(v, adamw); i++) {
			struct ax_dev d = dev_open(v, 2);
			struct kept want = run_cut(&r, moments[i / 2], i & 1, N_CUT), k = run_cut(&d, moments[i / 2], i & 1, N_CUT);
			size_t differ = 0;

			for (size_t j = 0; j < N_CUT; j++)
				differ += moment(&want, true, j) != moment(&k, true, j) || moment(&want, false, j) != moment(&k, false, j) ||
					  (!k.masters && tensor_get(&want.w, j) != tensor_get(&k.w, j));
			if (differ > N_CUT / 2000)
				fail_msg("%s, %s: %zu of %d elements differ from the reference", v->name, ax_dtype_name(moments[i / 2]), differ, N_CUT);
			kept_free(&want);
			kept_free(&k);
			dev_close(&d);
		}
	dev_close(&r);
}

/* --- over many steps ------------------------------------------------------------------------------------------------- */

/*
 * A gradient of constant size and changing sign. The second moment must follow the f32 one from 0 to its limit, in the mean
 * over the elements; with rounding to nearest it would stop on the way. So must bf16 weights under a small step.
 */
static void moments_move(void **state)
{
	enum { N = 4096, STEPS = 400 };
	struct ax_dev d = dev_open(&variants[3], 2);

	for (size_t t = 1; t < 3; t++) {
		struct kept k = kept_new(&d, moments[t], false, AX_F32, AX_BF16, N, 0);
		struct ax_adamw h = hyper;
		double v = 0, w = 0, want = 0, shift = 0;

		memset(tensor_host(&k.m), 0, N * ax_dtype_size(k.m.t));
		memset(tensor_host(&k.v), 0, N * ax_dtype_size(k.v.t));
		for (size_t i = 0; i < N; i++)
			tensor_set(&k.w, i, 1.5);
		k.m.m->host_new = k.v.m->host_new = true;
		h.lr = 1e-5f;
		h.weight_decay = 0;
		for (int s = 1; s <= STEPS; s++) {
			struct ax_adamw_mem x;

			h.t = (uint64_t)s;
			h.bias1 = (float)(1 - pow(0.9, s));
			h.bias2 = (float)(1 - pow(0.999, s));
			for (size_t i = 0; i < N; i++)
				tensor_set(&k.g, i, 4 * (s % 4 ? 1e-3 : -1e-3));
			x = mem_of(&k, 0);
			d.ops->adamw(&d, &x, &h, N);
			want = 0.999 * want + 0.001 * 1e-6;
			shift = 0.9 * shift + 0.1 * (s % 4 ? 1e-3 : -1e-3);
			w -= 1e-5 / (double)h.bias1 * shift / (sqrt(want) / sqrt((double)h.bias2) + 1e-8);
		}
		for (size_t i = 0; i < N; i++)
			v += moment(&k, false, i) / N;
		assert_true(fabs(v / want - 1) < 0.02);
		for (size_t i = 0; i < N; i++)
			w -= (tensor_get(&k.w, i) - 1.5) / N;
		assert_true(fabs(w) < 0.1 * 1e-5 * STEPS); /* of a way of half of that, in steps of 1/128 */
		kept_free(&k);
	}
	dev_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes), cmocka_unit_test(unbiased), cmocka_unit_test(updates), cmocka_unit_test(alone),
		cmocka_unit_test(cuts),	 cmocka_unit_test(alike),    cmocka_unit_test(moments_move),
	};

	return cmocka_run_group_tests_name("op: adamw", tests, NULL, close_devices);
}
