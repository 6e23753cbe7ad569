/* Ops on no elements and no tokens: assigned sums are zero, what is accumulated to stays, nothing else is touched. */
#include "op.h"

enum { C = 40, HEADS = 2, HD = 20, V = 50 };

struct empty {
	struct ax_dev d;
	struct tensor x, y, w, f32, sums, one;
	double *was_x, *was_y, *was_f32;
};

static void begin(struct empty *s, const struct variant *v)
{
	s->d = dev_open(v, 2);
	s->x = tensor_random(&s->d, v->act, V * C, 1);
	s->y = tensor_random(&s->d, v->act, V * C, 1);
	s->w = tensor_random(&s->d, v->act, V * C, 1);
	s->f32 = tensor_random(&s->d, AX_F32, V * C, 1);
	s->one = tensor_random(&s->d, AX_F32, 1, 1);
	s->sums = tensor_new(&s->d, AX_F64, 1);
	s->was_x = tensor_doubles(&s->x);
	s->was_y = tensor_doubles(&s->y);
	s->was_f32 = tensor_doubles(&s->f32);
	dev_reserve(&s->d, (struct ax_shape){ .N = 1, .Nk = 1, .C = C, .F = C, .O = C, .V = V, .n_head = HEADS, .n_kv = HEADS, .head_dim = HD });
}

/* After an op. */
static void untouched(struct empty *s, const struct variant *v, const char *op)
{
	dev_sync(&s->d);
	if (rel_error(&s->x, s->was_x) > 0 || rel_error(&s->y, s->was_y) > 0 || rel_error(&s->f32, s->was_f32) > 0)
		fail_msg("%s, %s: something was written", op, v->name);
}

static void end(struct empty *s)
{
	tensor_free(&s->x);
	tensor_free(&s->y);
	tensor_free(&s->w);
	tensor_free(&s->f32);
	tensor_free(&s->one);
	tensor_free(&s->sums);
	free(s->was_x);
	free(s->was_y);
	free(s->was_f32);
	dev_close(&s->d);
}

#define EACH_VARIANT(v) (const struct variant *v = variants; v < variants + N_VARIANTS; v++)
#define CHECK_OP(op, ...)                                        \
	do {                                                     \
		if (RUNS(v, op)) {                               \
			s.d.ops->op(&s.d, __VA_ARGS__);          \
			untouched(&s, v, #op);                   \
		}                                                \
	} while (0)

static void no_elements(void **state)
{
	const struct ax_adamw h = { .lr = 1, .beta1 = 0.9f, .beta2 = 0.9f, .rest1 = 0.1f, .rest2 = 0.1f, .eps = 1, .bias1 = 1, .bias2 = 1, .grad_scale = 1 };

	for EACH_VARIANT(v) {
		struct ax_adamw_mem m;
		struct empty s;

		if (!RUNS(v, alloc))
			continue;
		begin(&s, v);
		CHECK_OP(cast, dp(&s.y), v->act, dp(&s.f32), AX_F32, 0);
		CHECK_OP(cast, dp(&s.y), v->act, dp(&s.f32), AX_F16, 0);
		CHECK_OP(axpy, dp(&s.f32), AX_F32, dp(&s.x), v->act, 2, 0);
		CHECK_OP(axpy, dp(&s.y), v->act, dp(&s.x), v->act, 2, 0);
		CHECK_OP(scale, dp(&s.f32), 2, 0);
		CHECK_OP(add, dp(&s.y), dp(&s.x), dp(&s.w), 0);
		m = (struct ax_adamw_mem){ .p = dp(&s.f32), .w = dp(&s.y), .m = dp(&s.f32), .v = dp(&s.f32), .grad = dp(&s.one), .tw = v->act, .tm = AX_F32, .tg = AX_F32 };
		CHECK_OP(adamw, &m, &h, 0);
		m.w = NULL;
		CHECK_OP(adamw, &m, &h, 0);
		tensor_set(&s.sums, 0, 7);
		CHECK_OP(sumsq, dp(&s.sums), dp(&s.one), AX_F32, 0);
		assert_true(tensor_get(&s.sums, 0) == (RUNS(v, sumsq) ? 0 : 7));
		end(&s);
	}
}

static void no_tokens(void **state)
{
	const struct ax_head head = { 0, 1, 0 };

	for EACH_VARIANT(v) {
		struct empty s;

		if (!RUNS(v, alloc))
			continue;
		begin(&s, v);
		CHECK_OP(linear_fwd, dp(&s.y), C, dp(&s.x), C, dp(&s.w), NULL, 0, C, C);
		CHECK_OP(linear_dx, dp(&s.y), C, dp(&s.x), C, dp(&s.w), 0, C, C, false);
		CHECK_OP(linear_dw, dp(&s.f32), dp(&s.x), C, dp(&s.y), C, 0, C, C);
		CHECK_OP(bias_grad, dp(&s.f32), dp(&s.x), C, 0, C);
		CHECK_OP(embed_fwd, dp(&s.y), dp(&s.one), dp(&s.w), 2, 0, C);
		CHECK_OP(embed_bwd, dp(&s.f32), dp(&s.x), dp(&s.one), 2, 0, C, V);
		CHECK_OP(rmsnorm_fwd, dp(&s.y), dp(&s.f32), dp(&s.f32), dp(&s.f32), dp(&s.x), dp(&s.w), 0, 1, true, 0, C);
		CHECK_OP(rmsnorm_bwd, dp(&s.y), dp(&s.f32), dp(&s.x), NULL, dp(&s.f32), dp(&s.f32), dp(&s.w), 0, 0, C);
		CHECK_OP(headnorm_fwd, dp(&s.y), C, dp(&s.x), dp(&s.f32), dp(&s.w), 0, 1, true, 0, HEADS, HD);
		CHECK_OP(headnorm_bwd, dp(&s.y), C, dp(&s.f32), dp(&s.x), dp(&s.f32), dp(&s.w), 0, 0, HEADS, HD);
		CHECK_OP(rope, dp(&s.y), C, dp(&s.one), dp(&s.f32), 0, HEADS, HD, HD, false);
		CHECK_OP(glu_fwd, dp(&s.y), dp(&s.x), AX_ACT_SILU, 0, C);
		CHECK_OP(glu_bwd, dp(&s.y), dp(&s.x), dp(&s.w), AX_ACT_SILU, 0, C);
		tensor_set(&s.sums, 0, 7);
		CHECK_OP(head_loss, dp(&s.sums), dp(&s.y), dp(&s.f32), NULL, dp(&s.x), dp(&s.w), dp(&s.one), NULL, dp(&s.one), &head, 0, C, V);
		assert_true(tensor_get(&s.sums, 0) == 7);
		end(&s);
	}
}

/* No token of some has a target: the gradient of the input is zero all the same. */
static void no_targets(void **state)
{
	const struct ax_head head = { 0, 1, 0 };

	for EACH_VARIANT(v) {
		struct empty s;
		struct tensor target;

		if (!RUNS(v, head_loss))
			continue;
		begin(&s, v);
		target = tensor_new(&s.d, AX_I32, 1);
		*(int32_t *)tensor_host(&target) = -1;
		tensor_set(&s.sums, 0, 7);
		s.d.ops->head_loss(&s.d, dp(&s.sums), dp(&s.y), dp(&s.f32), NULL, dp(&s.x), dp(&s.w), dp(&target), NULL, dp(&s.one), &head, 1, C, V);
		for (size_t i = 0; i < C; i++)
			s.was_y[i] = 0;
		untouched(&s, v, "head_loss");
		assert_true(tensor_get(&s.sums, 0) == 7);
		tensor_free(&target);
		end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(no_elements), cmocka_unit_test(no_tokens), cmocka_unit_test(no_targets) };

	return cmocka_run_group_tests_name("op: empty", tests, NULL, close_devices);
}
