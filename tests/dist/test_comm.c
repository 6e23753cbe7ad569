/* Collectives with exactly representable data: any wrong, lost, doubled or misplaced element shows. */
#include "ranks.h"

#include <time.h>

#include "base/mem.h"
#include "tensor/ops.h"

static float value(int rank, size_t i)
{
	return (float)((i * 7 + (size_t)rank * 131) % 1009) - 500.0f;
}

static float expected_sum(int n_rank, size_t i)
{
	float sum = 0;

	for (int k = 0; k < n_rank; k++)
		sum += value(k, i);
	return sum;
}

static void *buffer(size_t bytes)
{
	void *p = ax_malloc_aligned(64, bytes + 1);

	CHECK(p);
	return p;
}

static void check_all_gather(struct ax_comm *c, size_t n, bool in_place)
{
	size_t total = n * (size_t)c->n_rank;
	float *all = buffer(total * 4), *own = in_place ? all + (size_t)c->rank * n : buffer(n * 4);
	struct ax_comm_req r;

	for (size_t i = 0; i < total; i++)
		all[i] = -1;
	for (size_t i = 0; i < n; i++)
		own[i] = value(c->rank, i);
	c->what = "gather test";
	RUN(ax_comm_all_gather(c, all, own, n * 4, &r, e));
	RUN(ax_comm_wait(c, &r, e));
	for (size_t i = 0; i < total; i++)
		CHECK(all[i] == value((int)(i / n), i % n));
	if (!in_place)
		ax_free(own);
	ax_free(all);
}

static void check_reduce_scatter(struct ax_comm *c, size_t n, bool accumulate)
{
	size_t total = n * (size_t)c->n_rank;
	float *src = buffer(total * 4), *dst = buffer(n * 4);
	struct ax_comm_req r;

	for (size_t i = 0; i < total; i++)
		src[i] = value(c->rank, i);
	for (size_t i = 0; i < n; i++)
		dst[i] = 1000;
	c->what = "reduce test";
	RUN(ax_comm_reduce_scatter(c, dst, src, n, AX_SUM_F32, accumulate, &r, e));
	RUN(ax_comm_wait(c, &r, e));
	for (size_t i = 0; i < n; i++)
		CHECK(dst[i] == (accumulate ? 1000.0f : 0.0f) + expected_sum(c->n_rank, (size_t)c->rank * n + i));
	ax_free(src);
	ax_free(dst);
}

static void check_all_reduce(struct ax_comm *c, size_t n)
{
	float *x = buffer(n * 4);
	struct ax_comm_req r;

	for (size_t i = 0; i < n; i++)
		x[i] = value(c->rank, i);
	RUN(ax_comm_all_reduce(c, x, n, AX_SUM_F32, &r, e));
	RUN(ax_comm_wait(c, &r, e));
	for (size_t i = 0; i < n; i++)
		CHECK(x[i] == expected_sum(c->n_rank, i));
	ax_free(x);
}

/* The sum of all ranks' bf16 values, in f32 and rank order and rounded once. */
static float expected_bf16(int n_rank, size_t i)
{
	float sum = 0;

	for (int k = 0; k < n_rank; k++)
		sum += ax_bf16_to_f32(ax_f32_to_bf16(value(k, i)));
	return ax_bf16_to_f32(ax_f32_to_bf16(sum));
}

static void check_bf16(struct ax_comm *c, size_t n, bool accumulate)
{
	size_t total = n * (size_t)c->n_rank;
	uint16_t *src = buffer(total * 2), *dst = buffer(n * 2), *x = buffer(n * 2);
	struct ax_comm_req r;

	for (size_t i = 0; i < total; i++)
		src[i] = ax_f32_to_bf16(value(c->rank, i));
	for (size_t i = 0; i < n; i++) {
		x[i] = src[i];
		dst[i] = ax_f32_to_bf16(1000);
	}
	RUN(ax_comm_reduce_scatter(c, dst, src, n, AX_SUM_BF16, accumulate, &r, e));
	RUN(ax_comm_wait(c, &r, e));
	RUN(ax_comm_all_reduce(c, x, n, AX_SUM_BF16, &r, e));
	RUN(ax_comm_wait(c, &r, e));
	for (size_t i = 0; i < n; i++) {
		CHECK(dst[i] == ax_f32_to_bf16((accumulate ? 1000.0f : 0.0f) + expected_bf16(c->n_rank, (size_t)c->rank * n + i)));
		CHECK(ax_bf16_to_f32(x[i]) == expected_bf16(c->n_rank, i));
	}
	ax_free(src);
	ax_free(dst);
	ax_free(x);
}

static void check_broadcast(struct ax_comm *c, size_t n, int root)
{
	float *x = buffer(n * 4);

	for (size_t i = 0; i < n; i++)
		x[i] = value(c->rank, i);
	RUN(ax_comm_share(c, x, n * 4, root, e));
	for (size_t i = 0; i < n; i++)
		CHECK(x[i] == value(root, i));
	ax_free(x);
}

/* Sums in rank order: 1e8 absorbs what is added singly, so another order or a wider type gives another result. */
static void check_order(struct ax_comm *c)
{
	float x[5], want = 0;
	struct ax_comm_req r;

	for (int k = 0; k < c->n_rank; k++)
		want += k == 0 ? 1e8f : 3.0f;
	for (int i = 0; i < 5; i++)
		x[i] = c->rank == 0 ? 1e8f : 3.0f;
	RUN(ax_comm_all_reduce(c, x, 5, AX_SUM_F32, &r, e));
	RUN(ax_comm_wait(c, &r, e));
	for (int i = 0; i < 5; i++)
		CHECK(x[i] == want);
}

static int exact(void)
{
	static const size_t sizes[] = {0, 1, 3, 255, 1000, 4097, 1048576, 1048577, 2500001};
	struct ax_comm *c = world(0, 0);

	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		check_all_gather(c, sizes[s] / 2, s % 2);
		check_reduce_scatter(c, sizes[s] < 2000000 ? sizes[s] : sizes[s] / 2, s % 2);
		check_all_reduce(c, sizes[s]);
		check_bf16(c, sizes[s] < 2000000 ? sizes[s] : sizes[s] / 2, s % 2);
		check_broadcast(c, sizes[s] / 2, (int)s % c->n_rank);
	}
	check_order(c);
	ax_comm_close(c);
	return 0;
}

/* Many collectives of different sizes in flight, waited for in another order, on ranks of different speed. */
static int in_flight(void)
{
	enum { N = 24 };
	struct ax_comm *c = world(0, 0);
	struct ax_comm_req r[N];
	struct timespec nap = {0, 1000000 * c->rank};
	float *x[N], *y[N];
	size_t n[N];
	bool done;

	for (size_t i = 0; i < N; i++) {
		n[i] = (i * 7919) % 70000 + 1;
		x[i] = buffer(n[i] * (size_t)c->n_rank * 4);
		y[i] = buffer(n[i] * 4);
		for (size_t k = 0; k < n[i] * (size_t)c->n_rank; k++)
			x[i][k] = value(c->rank, k + i);
		if (i % 2)
			RUN(ax_comm_reduce_scatter(c, y[i], x[i], n[i], AX_SUM_F32, false, &r[i], e));
		else
			RUN(ax_comm_all_reduce(c, x[i], n[i], AX_SUM_F32, &r[i], e));
		nanosleep(&nap, NULL);
		RUN(ax_comm_progress(c, e));
	}
	RUN(ax_comm_test(c, &r[N - 1], &done, e));
	for (size_t i = N; i-- > 0;)
		RUN(ax_comm_wait(c, &r[i], e));
	for (size_t i = 0; i < N; i++) {
		for (size_t k = 0; k < n[i]; k++)
			CHECK(i % 2 ? y[i][k] == expected_sum(c->n_rank, (size_t)c->rank * n[i] + k + i)
				    : x[i][k] == expected_sum(c->n_rank, k + i));
		ax_free(x[i]);
		ax_free(y[i]);
	}
	ax_comm_close(c);
	return 0;
}

static int split(void)
{
	struct ax_comm *c = world(0, 0), *half, *none;
	double x[2];

	/* Reversed order inside each half. */
	RUN(ax_comm_split(c, c->rank % 2, -c->rank, &half, e));
	CHECK(half && half->n_rank == (c->n_rank + 1 - c->rank % 2) / 2);
	CHECK(half->rank == half->n_rank - 1 - c->rank / 2);
	check_all_gather(half, 1001, false);
	check_all_reduce(half, 77);
	x[0] = c->rank;
	x[1] = 1;
	RUN(ax_comm_sum_f64(half, x, 2, e));
	CHECK(x[1] == half->n_rank);
	CHECK(x[0] == (double)(half->n_rank * (half->n_rank - 1) + half->n_rank * (c->rank % 2)));
	RUN(ax_comm_split(c, c->rank == 0 ? 5 : -1, 0, &none, e));
	CHECK((none != NULL) == (c->rank == 0));
	if (none) {
		check_all_reduce(none, 100);
		ax_comm_close(none);
	}
	ax_comm_close(half);
	ax_comm_close(c);
	return 0;
}

static int agree(void)
{
	struct ax_comm *c = world(0, 0);
	struct ax_err why = {0};
	int bad = c->n_rank - 1, rc = 0;

	CHECK(ax_comm_agree(c, 0, &why) == 0);
	if (c->rank == bad)
		rc = ax_fail(&why, AX_EDATA, "shard 7 is torn");
	rc = ax_comm_agree(c, rc, &why);
	CHECK(rc == AX_EDATA && strstr(why.msg, "shard 7 is torn"));
	CHECK(c->rank == bad || strstr(why.msg, "rank "));
	CHECK(c->local_rank == c->rank && c->n_local == c->n_rank && c->host[0]);
	RUN(ax_comm_barrier(c, e));
	ax_comm_close(c);
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const name[] = {"exact", "in_flight", "split", "agree"};
	static int (*const fn[])(void) = {exact, in_flight, split, agree};

	for (size_t i = 0; argc > 1 && i < 4; i++)
		if (!strcmp(argv[1], name[i]))
			return fn[i]();
	exact();
	in_flight();
	ok(true, "one rank without a launcher");
	RANKS_OR_SKIP("collectives on several ranks");
	for (int n = 1; n <= 4; n++)
		ok(ranks_run(n, "exact"), "exact data of odd sizes, %d ranks", n);
	for (int n = 2; n <= 4; n++) {
		ok(ranks_run(n, "in_flight"), "many in flight, %d ranks", n);
		ok(ranks_run(n, "split"), "split, %d ranks", n);
	}
	ok(ranks_run(3, "agree"), "agreement on an error, 3 ranks");
	return test_failed != 0;
}
