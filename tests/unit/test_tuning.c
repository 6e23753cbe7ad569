/* The table of algorithms of matrix products, and its text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "tensor/tuning.h"

static struct ax_tuning_row row_of(int i)
{
	struct ax_tuning_row r;

	memset(&r, 0, sizeof(r));
	r.key = (struct ax_tuning_key){ .m = 17 + i, .n = 896, .k = 4864, .b_trans = i % 2 == 0, .in_bf16 = 1, .out_bf16 = i % 3 == 0, .bias = i % 4 == 1, .accumulate = i % 2 == 1 };
	for (int j = 0; j < 3; j++) {
		r.key.align[j] = 1u << (i + j) % 9;
		r.key.ld[j] = 896u + (unsigned)(i * j);
	}
	for (int j = 0; j < AX_TUNING_ALGO_WORDS; j++)
		r.algo[j] = UINT64_C(0xfedcba9876543210) + (unsigned)(i * 8 + j);
	r.us = i * 1.25;
	return r;
}

static void fill(struct ax_tuning *t, int n)
{
	memset(t, 0, sizeof(*t));
	strcpy(t->machine, "A GPU, sm_90, cuBLASLt 130100");
	for (int i = 0; i < n; i++) {
		struct ax_tuning_row r = row_of(i);

		assert_int_equal(ax_tuning_put(t, &r, NULL), 0);
	}
}

static void round_trip(void **state)
{
	struct ax_tuning t, u;
	struct ax_buf b = AX_BUF_INIT;
	struct ax_err e = { 0 };

	fill(&t, 20);
	ax_buf_adds(&b, "before");
	ax_tuning_write(&t, &b);
	memset(&u, 0, sizeof(u));
	assert_int_equal(ax_tuning_read(&u, b.p + 6, b.n - 6, &e), 0);
	assert_string_equal(u.machine, t.machine);
	assert_int_equal(u.n, 20);
	for (int i = 0; i < 20; i++) {
		struct ax_tuning_row r = row_of(i);
		const struct ax_tuning_row *got = ax_tuning_find(&u, &r.key);

		assert_non_null(got);
		assert_memory_equal(got->algo, r.algo, sizeof(r.algo));
		assert_true(got->us == r.us);
	}
	ax_tuning_release(&t);
	ax_tuning_release(&u);
	ax_buf_release(&b);
}

static void replaces(void **state)
{
	struct ax_tuning t;
	struct ax_tuning_row r = row_of(3), other = row_of(30);

	fill(&t, 5);
	r.algo[0] = 1;
	assert_int_equal(ax_tuning_put(&t, &r, NULL), 0);
	assert_int_equal(t.n, 5);
	assert_int_equal(ax_tuning_find(&t, &r.key)->algo[0], 1);
	assert_null(ax_tuning_find(&t, &other.key));
	ax_tuning_release(&t);
}

/* The text with `from` replaced by `to` and the hash made to fit, and what is said of it. */
static void expect_refused(const char *from, const char *to, const char *message)
{
	struct ax_tuning t, u;
	struct ax_buf b = AX_BUF_INIT, bad = AX_BUF_INIT;
	struct ax_err e = { 0 };
	const char *at, *end;

	fill(&t, 2);
	ax_tuning_write(&t, &b);
	at = strstr(b.p, from);
	end = strstr(b.p, "end ");
	assert_true(at && at < end);
	ax_buf_add(&bad, b.p, (size_t)(at - b.p));
	ax_buf_adds(&bad, to);
	ax_buf_add(&bad, at + strlen(from), (size_t)(end - at) - strlen(from));
	ax_buf_addf(&bad, "end %016llx\n", (unsigned long long)ax_hash64(bad.p, bad.n));
	memset(&u, 0, sizeof(u));
	assert_int_equal(ax_tuning_read(&u, bad.p, bad.n, &e), AX_EDATA);
	assert_non_null(strstr(e.msg, message));
	ax_tuning_release(&t);
	ax_tuning_release(&u);
	ax_buf_release(&b);
	ax_buf_release(&bad);
}

static void malformed(void **state)
{
	expect_refused("ax-tuning 1", "ax-tuning 2", "line 1");
	expect_refused("machine ", "", "line 2");
	expect_refused("17 896", "-17 896", "line 3");
	expect_refused("17 896", "99999999999 896", "line 3");
	expect_refused("18 896 4864 n n", "18 896 4864 n x", "line 4");
	expect_refused(" bf16", " f16", "line 3");
	expect_refused(" 1 2 4 ", " 1 3 4 ", "line 3");
	expect_refused(" 1 2 4 ", " 1 2 512 ", "line 3");
	expect_refused("fedcba9876543210,", "fedcba987654321,", "line 3");
	expect_refused(" 0.00\n", " nan\n", "line 3");
	expect_refused(" 0.00\n", " 0.00 x\n", "line 3");
	expect_refused(" 1.25\n", " -1.25\n", "line 4");
}

static void damaged(void **state)
{
	struct ax_tuning t, u;
	struct ax_buf b = AX_BUF_INIT;

	fill(&t, 3);
	ax_tuning_write(&t, &b);
	for (size_t n = 0; n < b.n; n++) { /* cut anywhere, or one byte changed */
		memset(&u, 0, sizeof(u));
		assert_int_equal(ax_tuning_read(&u, b.p, n, NULL), AX_EDATA);
		ax_tuning_release(&u);
		b.p[n] ^= 1;
		assert_int_equal(ax_tuning_read(&u, b.p, b.n, NULL), AX_EDATA);
		ax_tuning_release(&u);
		b.p[n] ^= 1;
	}
	ax_tuning_release(&t);
	ax_buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(round_trip), cmocka_unit_test(replaces), cmocka_unit_test(malformed), cmocka_unit_test(damaged) };

	return cmocka_run_group_tests_name("tuning tables", tests, NULL, NULL);
}
