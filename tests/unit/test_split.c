#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tok/split.h"

static void test_hash(void **state)
{
	unsigned below = 0, same = 0;

	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t h = ax_split_hash(42, AX_SPLIT_EVAL_SET, 0, i);

		below += ax_split_unit(h) < 0.1;
		same += (ax_split_unit(h) < 0.1) == (ax_split_unit(ax_split_hash(42, AX_SPLIT_WEIGHT, 0, i)) < 0.1);
		assert_true(h != ax_split_hash(42, AX_SPLIT_EVAL_SET, 1, i));
	}
	/* 10,000 expected, standard deviation 95; two uses of one seed agree as often as chance has it: 0.82 */
	assert_in_range(below, 9600, 10400);
	assert_in_range(same, 81000, 83000);
	assert_true(ax_split_unit(UINT64_MAX) < 1);
	assert_true(ax_split_unit(0) == 0);
}

static void check_slice(const char *text, uint64_t total, uint64_t begin, uint64_t end)
{
	struct ax_slice s;
	uint64_t b, e;
	struct ax_err err = {0};

	assert_int_equal(ax_slice_parse(&s, &text, &err), 0);
	assert_null(text);
	assert_int_equal(ax_slice_resolve(&s, total, &b, &e, &err), 0);
	assert_int_equal(b, begin);
	assert_int_equal(e, end);
}

static void test_slices(void **state)
{
	static const char *const bad[] = {"train[",	  "train[1]",	 "train[1:2",  "train[a:2]",
					  "train[:200%]", "train[1:2]x", "train[1::2]",
					  "train+",	  "train[_1:]",	 "train[1:2](closest)", "train[:5%](up)", "train[:5-]"};
	const char *text, *sum = "train[:10%] + test+train[-5:]";
	uint64_t begin, end;
	struct ax_slice s;

	check_slice("train", 10, 0, 10);
	check_slice("", 10, 0, 10);
	check_slice("train[:20%]", 10, 0, 2);
	check_slice("train[:25%]", 10, 0, 2);
	check_slice("train[:35%]", 10, 0, 4);
	check_slice("train[:20%](closest)", 10, 0, 2);
	check_slice("train[10:20%]", 50, 5, 10);
	check_slice("train[1_0:1_5]", 50, 10, 15);
	check_slice("train[:33%](pct1_dropremainder)", 1999, 0, 627);
	check_slice("train[33%:](pct1_dropremainder)", 1999, 627, 1999);
	check_slice("train[-1%:]", 1000, 990, 1000);
	check_slice("train[80%:]", 10, 8, 10);
	check_slice("train[2:5]", 10, 2, 5);
	check_slice("train[-3:]", 10, 7, 10);
	check_slice("train[-20%:]", 10, 8, 10);
	check_slice("train[5:2]", 10, 5, 5);
	check_slice("train[5:200]", 10, 5, 10);
	check_slice("train[:7]", UINT64_MAX, 0, 7);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc = 0;

		for (text = bad[i]; text && !rc;)
			rc = ax_slice_parse(&s, &text, NULL);
		assert_int_equal(rc, AX_EUSAGE);
	}
	text = "train[2:5]";
	assert_int_equal(ax_slice_parse(&s, &text, NULL), 0);
	assert_false(s.needs_total);
	text = "train[-2:]";
	assert_int_equal(ax_slice_parse(&s, &text, NULL), 0);
	assert_true(s.needs_total);
	text = "train[:1%](pct1_dropremainder)";
	assert_int_equal(ax_slice_parse(&s, &text, NULL), 0);
	assert_int_equal(ax_slice_resolve(&s, 99, &begin, &end, NULL), AX_EUSAGE);
	for (int i = 0; i < 3; i++) {
		assert_non_null(sum);
		assert_int_equal(ax_slice_parse(&s, &sum, NULL), 0);
		assert_string_equal(s.name, i == 1 ? "test" : "train");
		assert_int_equal(s.has_to, i == 0);
		assert_int_equal(s.from, i == 2 ? -5 : 0);
	}
	assert_null(sum);
}

static void put_number(struct ax_buf *b, uint64_t number)
{
	uint32_t id[3] = {(uint32_t)number, 7, 9};
	uint8_t mask[3] = {0, 1, 1};
	int32_t label[3] = {AX_LABEL_NONE, 8, 9};
	struct ax_row r = {
	    .n = 3, .id = id, .mask = mask, .label = number % 2 ? label : NULL, .source = 5, .number = number};

	ax_buf_reset(b);
	ax_row_put(b, &r);
}

static void test_row_bytes(void **state)
{
	struct ax_buf b = AX_BUF_INIT;
	const unsigned char *p;

	for (uint64_t i = 0; i < 2; i++) {
		struct ax_row r;

		put_number(&b, 100 + i);
		assert_int_equal(b.n % 8, 0);
		p = (const unsigned char *)b.p;
		ax_row_take(&p, &r);
		assert_ptr_equal(p, b.p + b.n);
		assert_int_equal(r.n, 3);
		assert_int_equal(r.id[0], 100 + i);
		assert_int_equal(r.mask[2], 1);
		assert_int_equal(r.source, 5);
		assert_int_equal(r.number, 100 + i);
		assert_true((r.label != NULL) == (i == 1));
		if (r.label)
			assert_int_equal(r.label[1], 8);
	}
	ax_buf_release(&b);
}

/* Whatever falls out and whatever is held are together all rows, and those held are the n smallest. */
static void test_hold(void **state)
{
	enum { N = 500, KEEP = 17 };
	struct ax_hold h;
	struct ax_buf in = AX_BUF_INIT, out = AX_BUF_INIT;
	bool seen[N] = {false}, any = true;
	uint64_t largest = 0, last = 0;
	unsigned held = 0;

	ax_hold_init(&h, KEEP);
	for (uint64_t i = 0; i < N; i++) {
		struct ax_row r;
		const unsigned char *p;

		put_number(&in, i);
		assert_int_equal(ax_hold_push(&h, ax_split_hash(1, AX_SPLIT_EVAL_SET, 0, i), 0, i, &in, &out, NULL), 0);
		if (!out.n)
			continue;
		p = (const unsigned char *)out.p;
		ax_row_take(&p, &r);
		assert_false(seen[r.number]);
		seen[r.number] = true;
	}
	while (!ax_hold_pop(&h, &out, &any, NULL) && any) {
		const unsigned char *p = (const unsigned char *)out.p;
		struct ax_row r;
		uint64_t hash;

		ax_row_take(&p, &r);
		hash = ax_split_hash(1, AX_SPLIT_EVAL_SET, 0, r.number);
		assert_false(seen[r.number]);
		seen[r.number] = true;
		largest = hash > largest ? hash : largest;
		assert_true(held == 0 || r.number > last);
		last = r.number;
		held++;
	}
	assert_int_equal(held, KEEP);
	held = 0;
	for (uint64_t i = 0; i < N; i++) {
		assert_true(seen[i]);
		held += ax_split_hash(1, AX_SPLIT_EVAL_SET, 0, i) <= largest;
	}
	assert_int_equal(held, KEEP);
	ax_hold_release(&h);
	ax_buf_release(&in);
	ax_buf_release(&out);
}

static void test_seen(void **state)
{
	struct ax_seen s = {0};
	uint32_t id[4] = {0, 1, 2, 3};
	uint8_t mask[4] = {0, 1, 1, 1};
	bool fresh;

	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < 5000; i++) {
			struct ax_row r = {.n = 4, .id = id, .mask = mask, .number = i + 1, .source = (uint32_t)round};

			id[0] = i;
			assert_int_equal(ax_seen_add(&s, &r, &fresh, NULL), 0);
			assert_int_equal(fresh, round == 0);
		}
	mask[2] = 0;
	assert_int_equal(ax_seen_add(&s, &(struct ax_row){.n = 4, .id = id, .mask = mask}, &fresh, NULL), 0);
	assert_true(fresh);
	assert_int_equal(s.n, 5001);
	ax_seen_release(&s);
}

static void shuffle(uint64_t seed, size_t cap, size_t bytes, uint64_t n, uint64_t *order)
{
	struct ax_shuffle s;
	struct ax_buf b = AX_BUF_INIT;
	unsigned char *block;
	uint64_t at = 0;

	assert_int_equal(ax_shuffle_init(&s, seed, cap, bytes, NULL), 0);
	for (uint64_t i = 0; i <= n; i++) {
		struct ax_row r, out;
		const unsigned char *p;

		put_number(&b, i);
		p = (const unsigned char *)b.p;
		ax_row_take(&p, &r);
		do {
			assert_int_equal(ax_shuffle_step(&s, i < n ? &r : NULL, &block, NULL), 0);
			if (block) {
				ax_shuffle_row(block, &out);
				order[at++] = out.number;
				ax_shuffle_free(block);
			}
		} while (i == n && block);
		assert_true(s.n <= cap);
	}
	assert_int_equal(at, n);
	ax_shuffle_release(&s);
	ax_buf_release(&b);
}

static void test_shuffle(void **state)
{
	uint64_t a[300], b[300], c[300];
	unsigned moved = 0, differ = 0;
	bool seen[300] = {false};

	shuffle(1, 50, 1 << 20, 300, a);
	shuffle(1, 50, 1 << 20, 300, b);
	shuffle(2, 50, 1 << 20, 300, c);
	assert_memory_equal(a, b, sizeof(a));
	for (uint64_t i = 0; i < 300; i++) {
		assert_false(seen[a[i]]);
		seen[a[i]] = true;
		moved += a[i] != i;
		differ += a[i] != c[i];
		assert_true(a[i] <= i + 50);
	}
	assert_true(moved > 250 && differ > 250);
	shuffle(1, 50, 100, 300, a); /* the bound on bytes holds about one row back */
	for (uint64_t i = 0; i < 300; i++)
		assert_true(a[i] <= i + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hash), cmocka_unit_test(test_slices), cmocka_unit_test(test_row_bytes),
	    cmocka_unit_test(test_hold), cmocka_unit_test(test_seen),	cmocka_unit_test(test_shuffle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
