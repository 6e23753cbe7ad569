#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../model_run.h"
#include "model/engine.h"
#include "model/init.h"
#include "train/weights.h"

static const char *const golden[] = { "tests/golden/models/llama-bias", "tests/golden/models/qwen3-tied" };

#define N_GOLDEN 2

static void open_case(struct run_case *c, int i)
{
	struct ax_err e = { 0 };

	if (run_case_open(c, golden[i], &e))
		fail_msg("%s", e.msg);
}

static void step(struct run_case *c, struct run_opt o, struct run_result *r)
{
	struct ax_err e = { 0 };

	if (run_case_step(c, &o, r, &e))
		fail_msg("%s", e.msg);
}

/* Logits, loss and every gradient tensor are transformers', however the documents are laid out. */
static void test_truth(void **state)
{
	static const struct run_opt opts[] = {
		{ .act = AX_F32, .n_thread = 1, .reference = true }, { .act = AX_F32, .n_thread = 2 },
		{ .act = AX_F32, .n_thread = 2, .pad = 6 },          { .act = AX_F32, .n_thread = 1, .separate = true },
	};

	for (int i = 0; i < N_GOLDEN; i++) {
		struct run_case c;

		open_case(&c, i);
		for (size_t k = 0; k < sizeof(opts) / sizeof(opts[0]); k++) {
			struct run_result r;
			struct run_diff d;

			step(&c, opts[k], &r);
			run_compare(&c, &r, &d);
			if (!(d.logits < 1e-5 && d.loss < 1e-5 && d.grad < 1e-5))
				fail_msg("%s, layout %zu: logits %g, loss %g, %s %g", golden[i], k, d.logits, d.loss, d.grad_name, d.grad);
			run_result_release(&r);
		}
		run_case_close(&c);
	}
}

static void test_recompute(void **state)
{
	for (int i = 0; i < N_GOLDEN; i++) {
		struct run_case c;

		open_case(&c, i);
		for (int act = AX_F32; act <= AX_BF16; act++) {
			struct run_result none, r;

			step(&c, (struct run_opt){ .act = (enum ax_dtype)act, .n_thread = 1, .pad = 3 }, &none);
			for (int mode = AX_RECOMPUTE_SELECTIVE; mode <= AX_RECOMPUTE_FULL; mode++) {
				step(&c, (struct run_opt){ .act = (enum ax_dtype)act, .n_thread = 2, .pad = 3, .recompute = (enum ax_recompute)mode }, &r);
				assert_true(none.loss == r.loss);
				assert_memory_equal(none.grad, r.grad, none.n_grad * sizeof(float));
				run_result_release(&r);
			}
			run_result_release(&none);
		}
		run_case_close(&c);
	}
}

struct fixture {
	struct run_case c;
	struct ax_dev dev;
	struct ax_model *m;
	struct run_hooks h;
	struct ax_unit_hooks table;
	struct run_micro b;
	float *grad;
	int n_token;
};

static void fixture_open(struct fixture *f, int which)
{
	struct ax_err e = { 0 };
	struct ax_model_opt o;

	memset(f, 0, sizeof(*f));
	open_case(&f->c, which);
	f->n_token = f->c.n_token + 4;
	o = (struct ax_model_opt){ .n_token = f->n_token, .max_seg = 4, .max_pos = 10, .train = true };
	assert_int_equal(ax_cpu_open(&f->dev, AX_F32, 1, 0, &e), 0);
	assert_int_equal(ax_model_open(&f->m, &f->dev, &f->c.desc, &f->c.units, &o, &e), 0);
	f->grad = ax_calloc(f->c.n_elem, sizeof(float));
	assert_int_equal(run_hooks_init(&f->h, &f->c, f->c.master, sizeof(float), f->grad, &e), 0);
	f->table = run_hook_table(&f->h);
	run_micro_make(&f->b, &f->c, 0, f->c.n_doc, f->n_token);
}

static void fixture_close(struct fixture *f)
{
	run_micro_release(&f->b);
	run_hooks_release(&f->h);
	ax_free(f->grad);
	ax_model_close(f->m);
	ax_cpu_close(&f->dev);
	run_case_close(&f->c);
}

/* An empty micro-batch calls the same hooks as a full one and changes nothing. */
static void test_empty(void **state)
{
	for (int i = 0; i < N_GOLDEN; i++) {
		struct fixture f;
		struct ax_err e = { 0 };
		struct ax_micro none = { 0 };
		double loss = 0.5;
		int n_acquire;

		fixture_open(&f, i);
		none.n_token = f.n_token;
		assert_int_equal(ax_model_step(f.m, &f.b.mb, &f.table, 1, &loss, &e), 0);
		n_acquire = f.h.n_acquire;
		memset(f.grad, 0, f.c.n_elem * sizeof(float));
		loss = 0.5;
		assert_int_equal(ax_model_step(f.m, &none, &f.table, 1, &loss, &e), 0);
		assert_true(loss == 0.5);
		for (size_t k = 0; k < f.c.n_elem; k++)
			assert_true(f.grad[k] == 0);
		assert_int_equal(f.h.n_acquire, 2 * n_acquire);
		assert_int_equal(f.h.n_grad, 2 * f.c.units.n_unit);
		fixture_close(&f);
	}
}

static int n_recorded, n_replayed;
static uint64_t recorded[64];

static bool fake_begin(struct ax_dev *d, uint64_t key)
{
	for (int i = 0; i < n_recorded; i++)
		if (recorded[i] == key) {
			n_replayed++;
			return true;
		}
	recorded[n_recorded++] = key;
	return false;
}

static void fake_end(struct ax_dev *d)
{
}

static bool yes(void *ctx)
{
	return true;
}

/*
 * A micro-batch of the same launches as one before is left to the device, whole where its hooks are still, else segment by
 * segment; other launches have another key.
 */
static void test_record(void **state)
{
	struct fixture f;
	struct ax_err e = { 0 };
	struct ax_ops ops;
	double loss = 0;
	float *weight, *logits;
	int n_segment, n_acquire;

	n_recorded = n_replayed = 0;
	fixture_open(&f, 0);
	weight = ax_calloc((size_t)f.n_token, sizeof(*weight));
	logits = ax_calloc((size_t)f.n_token * (size_t)f.c.desc.vocab, sizeof(*logits));
	ops = *f.dev.ops;
	ops.record_begin = fake_begin;
	ops.record_end = fake_end;
	f.m->ops = &ops;
	n_segment = 2 * f.c.desc.n_layer + 3;
	assert_int_equal(ax_model_step(f.m, &f.b.mb, &f.table, 1, &loss, &e), 0); /* hooks that do not say so are not still */
	assert_int_equal(n_recorded, n_segment);
	n_acquire = f.h.n_acquire;
	assert_int_equal(ax_model_step(f.m, &f.b.mb, &f.table, 1, &loss, &e), 0);
	assert_int_equal(n_recorded, n_segment);
	assert_int_equal(n_replayed, n_segment);
	assert_int_equal(f.h.n_acquire, 2 * n_acquire); /* the hooks are called */
	f.b.mb.weight = weight;
	assert_int_equal(ax_model_step(f.m, &f.b.mb, &f.table, 1, &loss, &e), 0);
	assert_int_equal(n_recorded, n_segment + 1); /* of the head */
	f.b.mb.weight = NULL;
	assert_int_equal(ax_model_eval(f.m, &f.b.mb, &f.table, &loss, NULL, &e), 0);
	assert_int_equal(n_recorded, n_segment + 2); /* a head without gradients */
	assert_int_equal(ax_model_eval(f.m, &f.b.mb, &f.table, &loss, logits, &e), 0);
	assert_int_equal(n_recorded, n_segment + 2); /* with logits nothing is */

	n_recorded = n_replayed = 0;
	f.table.still = yes;
	for (int i = 0; i < 3; i++)
		assert_int_equal(ax_model_step(f.m, &f.b.mb, &f.table, 1, &loss, &e), 0);
	assert_int_equal(n_recorded, 1);
	assert_int_equal(n_replayed, 2);
	f.b.mb.weight = weight;
	assert_int_equal(ax_model_step(f.m, &f.b.mb, &f.table, 1, &loss, &e), 0);
	for (int i = 0; i < f.n_token; i++)
		f.b.target[i] = i ? -1 : 1; /* fewer targets: a shorter head */
	assert_int_equal(ax_model_step(f.m, &f.b.mb, &f.table, 1, &loss, &e), 0);
	assert_int_equal(n_recorded, 3);
	assert_int_equal(n_replayed, 2);
	f.m->ops = f.dev.ops;
	ax_free(weight);
	ax_free(logits);
	fixture_close(&f);
}

/* loss and gradients add up over calls; grad_scale and target weights multiply. */
static void test_accumulate(void **state)
{
	struct fixture f;
	struct ax_err e = { 0 };
	double once = 0, twice = 0;
	float *first, *w;

	fixture_open(&f, 0);
	assert_int_equal(ax_model_step(f.m, &f.b.mb, &f.table, 1, &once, &e), 0);
	first = ax_malloc(f.c.n_elem * sizeof(float));
	memcpy(first, f.grad, f.c.n_elem * sizeof(float));
	w = ax_malloc((size_t)f.n_token * sizeof(float));
	for (int i = 0; i < f.n_token; i++)
		w[i] = 2;
	f.b.mb.weight = w;
	assert_int_equal(ax_model_step(f.m, &f.b.mb, &f.table, 0.5f, &twice, &e), 0);
	assert_true(fabs(twice - 2 * once) < 1e-9 * once);
	for (size_t i = 0; i < f.c.n_elem; i++)
		first[i] *= 2;
	assert_true(run_relative(f.grad, first, f.c.n_elem) < 1e-6);
	ax_free(first);
	ax_free(w);
	fixture_close(&f);
}

static void expect_bad(struct fixture *f, const char *part)
{
	struct ax_err e = { 0 };
	double loss = 0;

	assert_int_equal(ax_model_step(f->m, &f->b.mb, &f->table, 1, &loss, &e), AX_EDATA);
	if (!strstr(e.msg, part))
		fail_msg("%s", e.msg);
	assert_int_equal(f->h.n_acquire, 0);
}

static void test_bad_micro(void **state)
{
	struct fixture f;

	fixture_open(&f, 0);
	f.b.id[3] = 32;
	expect_bad(&f, "id 32 is outside the embedding of 32 rows");
	f.b.id[3] = -1;
	expect_bad(&f, "id -1");
	f.b.id[3] = 0;
	f.b.target[2] = 32;
	expect_bad(&f, "target 32");
	f.b.target[2] = -1;
	f.b.pos[1] = 10;
	expect_bad(&f, "position 10");
	f.b.pos[1] = 1;
	f.b.seg[1].q_off = 6;
	expect_bad(&f, "document 1");
	f.b.seg[1].q_off = 7;
	f.b.seg[2].k_len = 1000;
	expect_bad(&f, "document 2");
	f.b.seg[2].k_len = 9;
	f.b.mb.n_seg = 5;
	expect_bad(&f, "5 documents");
	f.b.mb.n_token--;
	expect_bad(&f, "tokens");
	fixture_close(&f);
}

/* A failing hook ends the step with its error. */
static int refuse(void *ctx, int unit, struct ax_err *e)
{
	return unit == 1 ? ax_fail(e, AX_ECOMM, "rank 3 is gone") : 0;
}

static void test_hook_error(void **state)
{
	struct fixture f;
	struct ax_err e = { 0 };
	double loss = 0;

	fixture_open(&f, 1);
	f.table.grad_release = refuse;
	assert_int_equal(ax_model_step(f.m, &f.b.mb, &f.table, 1, &loss, &e), AX_ECOMM);
	assert_string_equal(e.msg, "rank 3 is gone");
	fixture_close(&f);
}

static void test_units(void **state)
{
	struct run_case c;
	struct ax_desc big;
	struct ax_units u;
	struct ax_err e = { 0 };
	char buf[AX_PARAM_NAME_MAX];
	size_t logical = 0;
	int p;

	open_case(&c, 0);
	assert_int_equal(c.units.n_unit, 3);
	assert_string_equal(c.units.unit[1].name, "layer 0");
	for (int i = 0; i < c.units.n_param; i++) {
		assert_int_equal(c.units.param[i].off % AX_UNIT_ALIGN, 0);
		assert_int_equal(c.units.param[i].decay, c.units.param[i].n_dim == 2);
		logical += c.units.param[i].n_elem;
	}
	assert_int_equal(logical, c.units.n_elem);
	p = ax_units_find(&c.units, "model.layers.0.self_attn.k_proj.weight");
	assert_int_equal(c.units.param[p].dim[0], 16);
	assert_string_equal(ax_model_weight_name(&c.desc, &c.units.param[p], 1, buf), "layers.0.self_attn.k_proj.weight");
	assert_null(ax_model_weight_name(&c.desc, &c.units.param[p], 2, buf));
	assert_false(ax_model_weight_ignorable(&c.desc, "lm_head.weight"));
	assert_true(ax_model_weight_ignorable(&c.desc, "model.layers.0.self_attn.rotary_emb.inv_freq"));
	for (int n = 1; n < 9; n++) {
		size_t s = ax_unit_slice_elems(&c.units.unit[1], n);

		assert_true(s % AX_UNIT_ALIGN == 0 && s * (size_t)n >= c.units.unit[1].n_elem);
	}
	assert_int_equal(ax_units_scale_lr(&c.units, "lm_head", 0.5f, false), 1);
	p = ax_units_find(&c.units, "lm_head.weight");
	assert_true(c.units.param[p].lr_scale == 0.5f && !c.units.param[p].decay);
	big = c.desc;
	assert_int_equal(ax_desc_set_vocab(&big, 40, &e), 0);
	assert_int_equal(ax_model_units(&big, &u, &e), 0);
	assert_int_equal(u.n_elem, c.units.n_elem + 2 * 8 * 16);
	assert_int_equal(ax_desc_set_vocab(&big, 0, &e), AX_EDATA);
	ax_units_release(&u);
	run_case_close(&c);
	open_case(&c, 1);
	assert_int_equal(c.units.n_unit, 2);
	assert_string_equal(c.units.unit[0].name, "root");
	assert_int_equal(ax_units_find(&c.units, "lm_head.weight"), -1);
	assert_true(ax_model_weight_ignorable(&c.desc, "lm_head.weight"));
	assert_string_equal(ax_model_weight_name(&c.desc, &c.units.param[0], 2, buf), "lm_head.weight");
	run_case_close(&c);
}

/* Any slice has the same bits; the numbers are a normal distribution's; names and seeds give different ones. */
static void test_init(void **state)
{
	struct run_case c;
	struct ax_param big;
	static float whole[20000], part[20000];
	double sum = 0, square = 0, fourth = 0;

	open_case(&c, 0);
	big = c.units.param[0];
	big.n_elem = 20000;
	ax_init_fill(&c.desc, &big, 42, 0, 20000, whole);
	for (size_t a = 0; a < 20000; a += 777) {
		size_t b = a + 777 < 20000 ? a + 777 : 20000;

		ax_init_fill(&c.desc, &big, 42, a, b, part + a);
	}
	assert_memory_equal(whole, part, sizeof(whole));
	for (int i = 0; i < 20000; i++) {
		double x = (double)whole[i] / (double)c.desc.init_std;

		sum += x;
		square += x * x;
		fourth += x * x * x * x;
	}
	assert_true(fabs(sum / 20000) < 0.03 && fabs(square / 20000 - 1) < 0.04 && fabs(fourth / 20000 - 3) < 0.25);
	ax_init_fill(&c.desc, &big, 43, 0, 100, part);
	assert_true(memcmp(whole, part, 400) != 0);
	ax_init_fill(&c.desc, &c.units.param[ax_units_find(&c.units, "model.norm.weight")], 42, 3, 5, part);
	assert_true(part[0] == 1 && part[1] == 1);
	ax_init_fill(&c.desc, &c.units.param[ax_units_find(&c.units, "model.layers.0.mlp.up_proj.bias")], 42, 0, 2, part);
	assert_true(part[0] == 0 && part[1] == 0);
	run_case_close(&c);
}

/* Filled by several threads: the same bits, from anywhere to anywhere. */
static void test_init_threads(void **state)
{
	enum { N = 70000, FROM = 12345 };
	static float alone[N], many[N];
	struct ax_err e = { 0 };
	struct ax_weights w;
	struct run_case c;

	open_case(&c, 0);
	c.units.param[0].n_elem = FROM + N;
	ax_init_fill(&c.desc, &c.units.param[0], 42, FROM, FROM + N, alone);
	assert_int_equal(ax_weights_init(&w, &c.desc, &c.units, 42, &e), 0);
	for (int n_thread = 1; n_thread <= 3; n_thread++) {
		memset(many, 0xff, sizeof(many));
		assert_int_equal(ax_weights_threads(&w, n_thread, &e), 0);
		assert_int_equal(ax_weights_read(&w, 0, FROM, N, many, &e), 0);
		assert_memory_equal(alone, many, sizeof(many));
	}
	ax_weights_close(&w);
	run_case_close(&c);
}

static void test_mean_row(void **state)
{
	static const float table[] = { 1, 2, 3, 6, 8, 10 };
	uint16_t half[6];
	float mean[3];
	double sum[3];

	ax_init_mean_row(mean, sum, table, AX_F32, 3, 2);
	assert_true(mean[0] == 4 && mean[1] == 6);
	for (int i = 0; i < 6; i++)
		half[i] = ax_f32_to_bf16(table[i]);
	ax_init_mean_row(mean, sum, half, AX_BF16, 2, 3);
	assert_true(mean[0] == 3.5f && mean[1] == 5 && mean[2] == 6.5f);
}

static void test_sizes(void **state)
{
	struct run_case c;
	struct ax_err e = { 0 };
	struct ax_model_sizes s[3], eval;
	struct ax_model_opt o = { .n_token = 100, .max_seg = 10, .train = true };

	open_case(&c, 0);
	for (int mode = 0; mode < 3; mode++) {
		o.recompute = (enum ax_recompute)mode;
		assert_int_equal(ax_model_sizes(&c.desc, AX_BF16, &o, &s[mode], &e), 0);
	}
	assert_true(s[0].activation_bytes > s[1].activation_bytes && s[1].activation_bytes > s[2].activation_bytes);
	assert_int_equal(s[2].activation_bytes, (100 * 16 * 4 + 255) / 256 * 256);
	o.train = false;
	assert_int_equal(ax_model_sizes(&c.desc, AX_F32, &o, &eval, &e), 0);
	assert_int_equal(eval.activation_bytes, 0);
	o.n_token = 0;
	assert_int_equal(ax_model_sizes(&c.desc, AX_F32, &o, &eval, &e), AX_EUSAGE);
	run_case_close(&c);
}

/* Llama-2 7B by hand: 6.607e9 matrix parameters (embedding not counted), 32 layers of 4096 columns. */
static void test_flops(void **state)
{
	struct ax_desc d;
	struct ax_units u;
	struct ax_err e = { 0 };
	double matrix = 32.0 * (4 * 4096.0 * 4096 + 3 * 4096.0 * 11008) + 32000.0 * 4096;

	memset(&d, 0, sizeof(d));
	d.n_layer = 32;
	d.width = 4096;
	d.mlp_width = 11008;
	d.n_head = d.n_kv = 32;
	d.head_dim = 128;
	d.vocab = 32000;
	assert_int_equal(ax_model_units(&d, &u, &e), 0);
	assert_true(fabs(ax_model_flops(&d, &u, 2048, false) / (6 * matrix + 12.0 * 32 * 4096 * 2048) - 1) < 1e-12);
	assert_true(fabs(ax_model_flops(&d, &u, 2048, true) / (6 * matrix + 6.0 * 32 * 4096 * 2048) - 1) < 1e-12);
	d.window = 1024;
	memset(d.layer_window, 1, 32);
	assert_true(fabs(ax_model_flops(&d, &u, 2048, true) / (6 * matrix + 6.0 * 32 * 4096 * 1024) - 1) < 1e-12);
	ax_units_release(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truth),      cmocka_unit_test(test_recompute),  cmocka_unit_test(test_empty),
		cmocka_unit_test(test_accumulate), cmocka_unit_test(test_bad_micro),  cmocka_unit_test(test_hook_error),
		cmocka_unit_test(test_units),      cmocka_unit_test(test_init), cmocka_unit_test(test_init_threads),       cmocka_unit_test(test_mean_row),
		cmocka_unit_test(test_sizes),      cmocka_unit_test(test_flops),      cmocka_unit_test(test_record),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
