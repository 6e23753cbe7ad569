#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "data/packer.h"

static struct ax_err err;
#define OK(x) assert_int_equal((x) ? (print_error("%s\n", err.msg), 1) : 0, 0)

/* Every row in exactly one bin, no bin over capacity or empty; bins >= bound. */
static void check_plan(struct ax_plan *p, const uint32_t *len, size_t n, uint32_t capacity)
{
	uint8_t *seen = ax_calloc(n + 1, 1);
	uint64_t *count = ax_calloc((size_t)capacity + 1, sizeof(*count));

	OK(ax_plan_run(p, len, n, capacity, &err));
	assert_int_equal(p->begin[p->n_bin], n);
	for (uint32_t b = 0; b < p->n_bin; b++) {
		uint64_t sum = 0;

		assert_true(p->begin[b] < p->begin[b + 1]);
		for (uint32_t i = p->begin[b]; i < p->begin[b + 1]; i++) {
			assert_true(p->order[i] < n);
			assert_int_equal(seen[p->order[i]]++, 0);
			sum += len[p->order[i]];
		}
		assert_true(sum <= capacity);
		assert_int_equal(sum + p->free[b], capacity);
	}
	for (size_t i = 0; i < n; i++)
		count[len[i]]++;
	assert_true(p->n_bin >= ax_pack_bound(count, capacity));
	ax_free(seen);
	ax_free(count);
}

/* Best fit decreasing as its definition says, in O(n * bins). */
static uint32_t naive_bins(const struct ax_plan *p, const uint32_t *len, size_t n, uint32_t capacity)
{
	uint32_t *room = ax_calloc(n + 1, sizeof(*room)), bins = 0;

	for (size_t k = 0; k < n; k++) {
		uint32_t l = len[p->item[k]], best = UINT32_MAX;

		for (uint32_t b = 0; b < bins; b++)
			if (room[b] >= l && (best == UINT32_MAX || room[b] < room[best]))
				best = b;
		if (best == UINT32_MAX)
			room[best = bins++] = capacity;
		room[best] -= l;
	}
	ax_free(room);
	return bins;
}

static void test_plan(void **state)
{
	static const uint32_t caps[] = {1, 2, 63, 64, 65, 100, 4095, 4096, 4097, 300000, AX_ROW_MAX};
	static uint32_t len[3000];
	struct ax_plan p;

	ax_plan_init(&p);
	for (uint64_t t = 0; t < 120; t++) {
		uint32_t cap = caps[t % 11];
		size_t n = (size_t)(ax_rand_u64(3, 1, t) % 3000);

		for (size_t i = 0; i < n; i++) {
			double u = ax_rand_unit(t, 2, i);
			len[i] = 1 + (uint32_t)((double)cap * (t % 3 ? u * u : t % 2 ? u * 0.1 + 0.3 : u) * 0.9999999);
			if (len[i] > cap)
				len[i] = cap;
		}
		check_plan(&p, len, n, cap);
		assert_int_equal(p.n_bin, naive_bins(&p, len, n, cap));
	}
	len[0] = 0;
	assert_int_equal(ax_plan_run(&p, len, 1, 10, &err), AX_EDATA);
	len[0] = 11;
	assert_int_equal(ax_plan_run(&p, len, 1, 10, &err), AX_EDATA);
	OK(ax_plan_run(&p, len, 0, 10, &err));
	assert_int_equal(p.n_bin, 0);
	ax_plan_release(&p);
}

/* The bound from its definition, O(capacity * rows). */
static uint64_t naive_bound(const uint64_t *count, uint64_t L)
{
	uint64_t best = 0;

	for (uint64_t a = 0; 2 * a <= L; a++) {
		uint64_t n1 = 0, n2 = 0, s2 = 0, s3 = 0, v;

		for (uint64_t l = 0; l <= L; l++) {
			if (l > L - a)
				n1 += count[l];
			else if (2 * l > L)
				n2 += count[l], s2 += l * count[l];
			else if (l >= a)
				s3 += l * count[l];
		}
		v = n1 + n2;
		if (s3 > n2 * L - s2)
			v += (s3 - (n2 * L - s2) + L - 1) / L;
		best = v > best ? v : best;
	}
	return best;
}

static void test_bound(void **state)
{
	uint64_t count[130];

	for (uint32_t L = 1; L < 130; L++)
		for (uint64_t t = 0; t < 12; t++) {
			memset(count, 0, sizeof(count));
			for (uint64_t i = 0; i < 3 * t; i++)
				count[1 + ax_rand_u64(L, (uint32_t)t, i) % L]++;
			assert_int_equal(ax_pack_bound(count, L), naive_bound(count, L));
		}
}

/* --- the packer on a stream of rows --- */

struct got {
	uint64_t packs, rows, tokens;
	uint32_t capacity;
	struct ax_sum sum;
	uint64_t per_split[AX_N_SPLIT];
};

static int on_pack(void *ctx, const struct ax_row *row, uint32_t n, struct ax_err *e)
{
	struct got *g = ctx;
	uint64_t tokens = 0;

	for (uint32_t i = 0; i < n; i++) {
		tokens += row[i].n;
		ax_row_sum(&g->sum, &row[i]);
		assert_int_equal(row[i].split, row[0].split);
	}
	assert_true(n >= 1 && tokens <= g->capacity);
	g->packs++;
	g->per_split[row[0].split]++;
	g->rows += n;
	g->tokens += tokens;
	return 0;
}

static uint32_t ids[5000];
static uint8_t mask[5000];
static int32_t label[5000];
static float weight[5000];

static struct ax_row make_row(uint64_t k, uint32_t longest)
{
	struct ax_row r = {.n = 1 + (uint32_t)(ax_rand_u64(9, 9, k) % longest), .id = ids + k % 100, .mask = mask,
			   .number = k, .source = 1, .split = k % 9 == 0};

	if (k % 4 == 1)
		r.label = label;
	if (k % 6 == 2)
		r.weight = weight;
	return r;
}

static void run_packer(struct ax_packer_opt o, uint64_t n, uint32_t longest, struct got *g, struct ax_totals *drops)
{
	struct ax_packer *p;

	memset(g, 0, sizeof(*g));
	g->capacity = o.capacity;
	OK(ax_packer_new(&p, &o, on_pack, g, &err));
	for (uint64_t k = 0; k < n; k++) {
		struct ax_row r = make_row(k, longest);

		OK(ax_packer_add(p, &r, &err));
	}
	OK(ax_packer_finish(p, &err));
	*drops = *ax_packer_drops(p);
	for (int k = 0; k < AX_N_SPLIT; k++) {
		assert_true(g->per_split[k] >= ax_packer_stats(p, k)->bound);
		assert_int_equal(g->per_split[k], ax_packer_stats(p, k)->packs);
	}
	assert_true(ax_sum_equal(&g->sum, &drops->sum));
	assert_int_equal(g->rows, drops->sum.n);
	ax_packer_free(p);
}

static void setup_rows(void)
{
	for (uint32_t i = 0; i < 5000; i++) {
		ids[i] = i * 7;
		mask[i] = i % 3 != 0;
		label[i] = mask[i] ? (int32_t)i : AX_LABEL_NONE;
		weight[i] = (float)i;
	}
}

static void test_packer(void **state)
{
	struct ax_totals drops, d2;
	struct got g, h;
	struct ax_sum all = {0};

	setup_rows();
	for (uint64_t k = 0; k < 20000; k++) {
		struct ax_row r = make_row(k, 900);
		ax_row_sum(&all, &r);
	}
	for (uint32_t window = 0; window <= 4096; window = window ? window * 8 : 8) {
		struct ax_packer_opt o = {.capacity = 1024, .window = window};

		run_packer(o, 20000, 900, &g, &drops);
		assert_int_equal(g.rows, 20000);
		assert_true(ax_sum_equal(&all, &g.sum));
		o.ram = (size_t)3 << 20; /* most rows in the spool: the same packs */
		run_packer(o, 20000, 900, &h, &d2);
		assert_memory_equal(&g, &h, sizeof(g));
	}
	struct ax_packer_opt single = {.capacity = 1024, .window = 100, .single = {true, false}};

	run_packer(single, 1000, 900, &g, &drops);
	assert_int_equal(g.per_split[0], 1000 - 112);
	assert_true(g.per_split[1] < 112);
}

static void test_overflow(void **state)
{
	struct ax_packer_opt o = {.capacity = 300, .window = 64, .overflow = AX_OVERFLOW_DROP};
	struct ax_totals drops;
	struct ax_packer *p;
	struct ax_row r;
	struct got g;
	uint64_t tokens = 0, longer = 0, at_most = 0;

	setup_rows();
	for (uint64_t k = 0; k < 1000; k++) {
		r = make_row(k, 900);
		tokens += r.n;
		longer += r.n > 300;
		at_most += r.n > 300 ? 300 : r.n;
	}
	run_packer(o, 1000, 900, &g, &drops);
	assert_int_equal(g.rows, 1000 - longer);
	assert_int_equal(drops.split[0].reason[0].dropped + drops.split[1].reason[0].dropped, longer);
	o.overflow = AX_OVERFLOW_TRUNCATE;
	run_packer(o, 1000, 900, &g, &drops);
	assert_int_equal(g.rows, 1000);
	assert_int_equal(g.tokens, at_most);
	assert_int_equal(drops.split[0].reason[0].truncated + drops.split[1].reason[0].truncated, longer);
	o.overflow = AX_OVERFLOW_SPLIT;
	run_packer(o, 1000, 900, &g, &drops);
	assert_int_equal(g.tokens, tokens);
	o.overflow = AX_OVERFLOW_ERROR;
	OK(ax_packer_new(&p, &o, on_pack, &g, &err));
	r = make_row(1, 900);
	r.n = 301;
	assert_int_equal(ax_packer_add(p, &r, &err), AX_EDATA);
	assert_non_null(strstr(err.msg, "row 1 of source 1 (train) has 301 tokens"));
	ax_packer_free(p);
}

/* Without room for the temporary file the packer says so; with room in memory it never asks. */
static void test_no_spool(void **state)
{
	struct ax_packer_opt o = {.capacity = 1024, .window = 4096, .ram = 1};
	struct ax_packer *p;
	struct got g = {.capacity = 1024};
	int rc = 0;

	setup_rows();
	setenv("TMPDIR", "build/no/such/folder", 1);
	OK(ax_packer_new(&p, &o, on_pack, &g, &err));
	for (uint64_t k = 0; k < 4000 && !rc; k++) {
		struct ax_row r = make_row(k, 900);

		rc = ax_packer_add(p, &r, &err);
	}
	assert_int_equal(rc, AX_EIO);
	assert_non_null(strstr(err.msg, "build/no/such/folder"));
	ax_packer_free(p);
	o.ram = 0;
	OK(ax_packer_new(&p, &o, on_pack, &g, &err));
	for (uint64_t k = 0; k < 4000; k++) {
		struct ax_row r = make_row(k, 900);

		OK(ax_packer_add(p, &r, &err));
	}
	OK(ax_packer_finish(p, &err));
	ax_packer_free(p);
	unsetenv("TMPDIR");
}

static int on_bin(void *ctx, const uint64_t *row, uint32_t n, struct ax_err *e)
{
	uint64_t *sum = ctx;

	for (uint32_t i = 0; i < n; i++)
		*sum += ax_mix64(row[i]);
	return 0;
}

/* Lengths alone give the same packs as rows. */
static void test_lengths(void **state)
{
	static uint32_t len[20000];
	struct ax_lengths_stats s;
	struct ax_totals drops;
	struct got g;

	setup_rows();
	for (uint32_t window = 0; window <= 4096; window = window ? window * 8 : 64) {
		struct ax_packer_opt o = {.capacity = 1024, .window = window};
		uint64_t want = 0, seen = 0, n = 0;

		run_packer(o, 20000, 900, &g, &drops);
		for (uint64_t k = 0; k < 20000; k++) {
			struct ax_row r = make_row(k, 900);

			if (r.split == AX_SPLIT_TRAIN)
				len[n++] = r.n;
		}
		for (uint64_t k = 0; k < n; k++)
			want += ax_mix64(k);
		OK(ax_pack_lengths(len, n, 1024, window, on_bin, &seen, &s, &err));
		assert_int_equal(s.packs, g.per_split[AX_SPLIT_TRAIN]);
		assert_int_equal(seen, want);
		assert_true(s.packs >= s.bound && s.packs <= s.bound + s.bound / 10 + 1);
	}
	len[7] = 1025;
	assert_int_equal(ax_pack_lengths(len, 20, 1024, 0, NULL, NULL, &s, &err), AX_EDATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_packer),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_no_spool),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
