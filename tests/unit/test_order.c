#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "data/order.h"

static struct ax_err err;
#define OK(x) assert_int_equal((x) ? (print_error("%s\n", err.msg), 1) : 0, 0)

static void test_epochs(void **state)
{
	for (uint64_t n = 1; n < 400; n += 13)
		for (uint64_t g = 1; g < 60; g += 7) {
			struct ax_order o = {.seed = n, .n_pack = n, .global_batch = g, .sequential = g == 8};
			uint64_t consumed = 0, step = 0;

			assert_int_equal(ax_order_steps(&o), (n + g - 1) / g);
			for (uint64_t epoch = 0; epoch < 3; epoch++) {
				uint8_t seen[400] = {0};

				for (uint64_t s = 0; s < ax_order_steps(&o); s++, step++) {
					struct ax_batch b;

					assert_int_equal(ax_order_consumed(&o, step), consumed);
					OK(ax_order_batch(&o, consumed, &b, &err));
					assert_int_equal(b.epoch, epoch);
					assert_int_equal(b.step, step);
					assert_true(b.n >= 1 && b.n <= g);
					for (uint64_t i = 0; i < b.n; i++) {
						uint64_t p = ax_order_pack(&o, &b, i);

						assert_true(p < n);
						assert_int_equal(seen[p]++, 0);
						if (o.sequential)
							assert_int_equal(p, b.pos + i);
					}
					consumed += b.n;
				}
				for (uint64_t i = 0; i < n; i++)
					assert_int_equal(seen[i], 1);
			}
		}
}

static void test_seeds(void **state)
{
	struct ax_order a = {.seed = 1, .n_pack = 1000, .global_batch = 1000}, b = a;
	struct ax_batch x, y;
	int same_seed = 0, same_epoch = 0;

	b.seed = 2;
	OK(ax_order_batch(&a, 0, &x, &err));
	OK(ax_order_batch(&a, 1000, &y, &err));
	for (uint64_t i = 0; i < 1000; i++) {
		same_seed += ax_order_pack(&a, &x, i) == ax_order_pack(&b, &x, i);
		same_epoch += ax_order_pack(&a, &x, i) == ax_order_pack(&a, &y, i);
	}
	assert_true(same_seed < 20 && same_epoch < 20);
	a.global_batch = 7;
	assert_int_equal(ax_order_batch(&a, 8, &x, &err), AX_EDATA);
	a.n_pack = 0;
	assert_int_equal(ax_order_batch(&a, 0, &x, &err), AX_EDATA);
	assert_int_equal(ax_order_steps(&a), 0);
}

/* Every position once; a rank's packs fill a micro-batch from the front; all ranks have the same number of them. */
static void test_assign(void **state)
{
	static uint64_t cost[200];
	static uint32_t slot[4000];

	for (uint32_t n = 1; n < 200; n += 3)
		for (uint32_t ranks = 1; ranks <= 9; ranks++)
			for (uint32_t micro = 1; micro <= 4; micro++) {
				uint32_t micros = ax_order_micros(n, ranks, micro);
				uint8_t seen[200] = {0};
				uint32_t total = 0;

				for (uint32_t i = 0; i < n; i++)
					cost[i] = ax_rand_u64(n, ranks, i) % 50;
				assert_int_equal(micros, (n + ranks * micro - 1) / (ranks * micro));
				OK(ax_order_assign(cost, n, ranks, micro, slot, &err));
				for (uint32_t k = 0; k < micros * ranks; k++)
					for (uint32_t j = 0; j < micro; j++) {
						uint32_t s = slot[(size_t)k * micro + j];

						if (s == AX_SLOT_NONE)
							continue;
						assert_true(s < n && !seen[s]);
						assert_true(j == 0 || slot[(size_t)k * micro + j - 1] != AX_SLOT_NONE);
						seen[s] = 1;
						total++;
					}
				assert_int_equal(total, n);
			}
}

/* Longest-first leaves little idle time: on skewed costs the slowest rank is within 5 % of the mean. */
static void test_balance(void **state)
{
	static uint64_t cost[512], load[8];
	static uint32_t slot[512];
	uint64_t sum = 0, most = 0;

	for (uint32_t i = 0; i < 512; i++) {
		double u = ax_rand_unit(5, 5, i);
		sum += cost[i] = 1000 + (uint64_t)(1e6 * u * u * u);
	}
	OK(ax_order_assign(cost, 512, 8, 4, slot, &err));
	for (uint32_t k = 0; k < 512; k++)
		load[k / 4 % 8] += cost[slot[k]];
	for (uint32_t r = 0; r < 8; r++)
		most = load[r] > most ? load[r] : most;
	assert_true((double)most < 1.05 * (double)sum / 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_seeds),
		cmocka_unit_test(test_assign),
		cmocka_unit_test(test_balance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
