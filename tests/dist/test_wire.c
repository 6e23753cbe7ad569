/*
 * Collectives on device memory, on the simulated GPU: exact data through NCCL's stand-in, through the host, and alone;
 * order with the device's ops in every order of streams; failures and hangs of a device. (comm/wire.h)
 */
#include "sim_dev.h"

#include <time.h>

#include "base/mem.h"

static struct ax_dev dev;
static struct ax_comm *comm, *wire;

static void world_open(double hang_s)
{
	comm = world(0, hang_s);
	sim_open(&dev, comm, AX_F32, &wire);
}

static int world_close(void)
{
	sim_close(&dev, wire);
	ax_comm_close(comm);
	return 0;
}

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

static float *host_array(size_t n)
{
	float *p = ax_malloc_aligned(64, n * sizeof(*p) + 1);

	CHECK(p);
	return p;
}

static float *device_array(size_t n)
{
	float *p = dev.ops->alloc(&dev, n * sizeof(*p) + 1);

	CHECK(p);
	return p;
}

/* Elements [first, first + n) of this rank's data. */
static void fill(float *p, size_t first, size_t n)
{
	float *x = host_array(n);

	for (size_t i = 0; i < n; i++)
		x[i] = value(wire->rank, first + i);
	dev.ops->upload(&dev, p, x, n * sizeof(*x));
	ax_free(x);
}

static float *fetch(const float *p, size_t n)
{
	float *x = host_array(n);

	dev.ops->download(&dev, x, p, n * sizeof(*x));
	return x;
}

static void check_all_gather(size_t n, bool in_place)
{
	size_t total = n * (size_t)wire->n_rank;
	float *all = device_array(total), *own = in_place ? all + (size_t)wire->rank * n : device_array(n), *x;
	struct ax_comm_req r;

	fill(own, 0, n);
	dev.ops->scale(&dev, own, 2, n); /* what an op has written is what is sent */
	wire->what = "gather test";
	RUN(ax_comm_all_gather(wire, all, own, n * 4, &r, e));
	RUN(ax_comm_wait(wire, &r, e));
	dev.ops->scale(&dev, all, 0.5f, total); /* and an op sees what arrived */
	x = fetch(all, total);
	for (size_t i = 0; i < total; i++)
		CHECK(x[i] == value((int)(i / n), i % n));
	ax_free(x);
	if (!in_place)
		dev.ops->free(&dev, own);
	dev.ops->free(&dev, all);
}

static void check_reduce_scatter(size_t n, bool accumulate)
{
	size_t total = n * (size_t)wire->n_rank;
	float *src = device_array(total), *dst = device_array(n), *x = host_array(n);
	struct ax_comm_req r;

	for (size_t i = 0; i < n; i++)
		x[i] = 1000;
	dev.ops->upload(&dev, dst, x, n * sizeof(*x));
	ax_free(x);
	for (int turn = 0; turn < 2; turn++) {
		fill(src, 0, total);
		wire->what = "reduce test";
		RUN(ax_comm_reduce_scatter(wire, dst, src, n, AX_SUM_F32, accumulate, &r, e));
		RUN(ax_comm_wait(wire, &r, e));
		dev.ops->zero(&dev, src, total * sizeof(*x)); /* ours again */
	}
	x = fetch(dst, n);
	for (size_t i = 0; i < n; i++)
		CHECK(x[i] == (accumulate ? 1000.0f : 0.0f) +
			      (accumulate ? 2 : 1) * expected_sum(wire->n_rank, (size_t)wire->rank * n + i));
	ax_free(x);
	dev.ops->free(&dev, src);
	dev.ops->free(&dev, dst);
}

static void check_all_reduce(size_t n)
{
	float *p = device_array(n), *x;
	struct ax_comm_req r;

	fill(p, 0, n);
	RUN(ax_comm_all_reduce(wire, p, n, AX_SUM_F32, &r, e));
	RUN(ax_comm_wait(wire, &r, e));
	x = fetch(p, n);
	for (size_t i = 0; i < n; i++)
		CHECK(x[i] == expected_sum(wire->n_rank, i));
	ax_free(x);
	dev.ops->free(&dev, p);
}

/* Small integers: their sums are exact in bf16 in any order. */
static float small(int rank, size_t i)
{
	return (float)((i * 7 + (size_t)rank * 131) % 41) - 20.0f;
}

static float small_sum(size_t i)
{
	float sum = 0;

	for (int k = 0; k < wire->n_rank; k++)
		sum += small(k, i);
	return sum;
}

/* An array of n bf16 values on the device. */
static void *small_array(size_t n)
{
	float *p = device_array(n), *x = host_array(n);
	uint16_t *h = (uint16_t *)(void *)x;

	for (size_t i = 0; i < n; i++)
		h[i] = ax_f32_to_bf16(small(wire->rank, i));
	dev.ops->upload(&dev, p, h, n * sizeof(*h));
	ax_free(x);
	return p;
}

static void check_bf16(size_t n, bool accumulate)
{
	void *src = small_array(n * (size_t)wire->n_rank), *dst = small_array(n), *all = small_array(n);
	uint16_t *x = (uint16_t *)(void *)host_array(n);
	struct ax_comm_req r;

	RUN(ax_comm_reduce_scatter(wire, dst, src, n, AX_SUM_BF16, accumulate, &r, e));
	RUN(ax_comm_wait(wire, &r, e));
	RUN(ax_comm_all_reduce(wire, all, n, AX_SUM_BF16, &r, e));
	RUN(ax_comm_wait(wire, &r, e));
	dev.ops->download(&dev, x, dst, n * sizeof(*x));
	for (size_t i = 0; i < n; i++)
		CHECK(ax_bf16_to_f32(x[i]) == (accumulate ? small(wire->rank, i) : 0.0f) + small_sum((size_t)wire->rank * n + i));
	dev.ops->download(&dev, x, all, n * sizeof(*x));
	for (size_t i = 0; i < n; i++)
		CHECK(ax_bf16_to_f32(x[i]) == small_sum(i));
	ax_free(x);
	dev.ops->free(&dev, src);
	dev.ops->free(&dev, dst);
	dev.ops->free(&dev, all);
}

static void check_broadcast(size_t n, int root)
{
	float *p = device_array(n), *x;

	fill(p, 0, n);
	RUN(ax_comm_share(wire, p, n * 4, root, e));
	x = fetch(p, n);
	for (size_t i = 0; i < n; i++)
		CHECK(x[i] == value(root, i));
	ax_free(x);
	dev.ops->free(&dev, p);
}

static int exact(void)
{
	static const size_t sizes[] = {0, 1, 3, 255, 1000, 4097, 1048577, 3000001};

	world_open(0);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		check_all_gather(sizes[s] / 2, s % 2);
		check_reduce_scatter(sizes[s] / 2, s % 2);
		check_all_reduce(sizes[s]);
		check_bf16(sizes[s] / 2, s % 2);
		check_broadcast(sizes[s] / 2, (int)s % wire->n_rank);
	}
	return world_close();
}

/* More collectives in flight than the host may be ahead, waited for in another order, beside ops on other memory. */
static int in_flight(void)
{
	enum { N = 40 };
	struct ax_comm_req r[N];
	struct timespec nap;
	float *x[N], *y[N], *other;
	size_t n[N];

	world_open(0);
	nap = (struct timespec){0, 300000 * comm->rank};
	other = device_array(5000);
	for (size_t i = 0; i < N; i++) {
		n[i] = (i * 7919) % 30000 + 1;
		x[i] = device_array(n[i] * (size_t)wire->n_rank);
		y[i] = device_array(n[i] * (size_t)wire->n_rank);
		fill(x[i], i, n[i] * (size_t)wire->n_rank);
	}
	for (size_t i = 0; i < N; i++) {
		if (i % 3 == 0)
			RUN(ax_comm_all_gather(wire, y[i], x[i], n[i] * sizeof(float), &r[i], e));
		else if (i % 3 == 1)
			RUN(ax_comm_reduce_scatter(wire, y[i], x[i], n[i], AX_SUM_F32, true, &r[i], e));
		else
			RUN(ax_comm_all_reduce(wire, x[i], n[i], AX_SUM_F32, &r[i], e));
		dev.ops->scale(&dev, other, 2, 5000);
		nanosleep(&nap, NULL);
		RUN(ax_comm_progress(wire, e));
	}
	for (size_t i = N; i-- > 0;)
		RUN(ax_comm_wait(wire, &r[i], e));
	for (size_t i = 0; i < N; i++) {
		float *got = fetch(i % 3 == 2 ? x[i] : y[i], n[i]);

		for (size_t k = 0; k < n[i]; k++)
			CHECK(got[k] == (i % 3 == 0	  ? value(0, i + k)
					 : i % 3 == 1 ? expected_sum(wire->n_rank, (size_t)wire->rank * n[i] + k + i)
						      : expected_sum(wire->n_rank, k + i)));
		ax_free(got);
	}
	return world_close();
}

/*
 * The time that the device stands still is that of the wait for a late rank, on those that wait, and it is known after a sync without
 * any other wait of the host.
 */
static int held(void)
{
	const struct timespec late = {0, 400000000};
	struct ax_comm_req r;
	double s[3];
	float *p;

	world_open(0);
	p = device_array(5000);
	for (int i = 0; i < 3; i++) {
		fill(p, 0, 5000);
		RUN(dev.ops->sync(&dev, e));
		s[i] = ax_comm_held_s(wire, -1);
		CHECK(s[i] >= 0);
		if (i == 2)
			break;
		if (i == 1 && comm->rank)
			nanosleep(&late, NULL);
		RUN(ax_comm_all_reduce(wire, p, 5000, AX_SUM_F32, &r, e));
		RUN(ax_comm_wait(wire, &r, e));
	}
	fprintf(stderr, "# rank %d stood still for %.3f s, then %.3f s\n", comm->rank, s[1] - s[0], s[2] - s[1]);
	CHECK(comm->rank ? s[2] - s[1] < 0.3 : s[2] - s[1] > 0.3 && s[2] - s[1] < 5);
	return world_close();
}

static int split(void)
{
	struct ax_comm *all, *half, *none;

	world_open(0);
	all = wire;
	RUN(ax_comm_split(all, comm->rank % 2, -comm->rank, &half, e));
	CHECK(half && half->n_rank == (comm->n_rank + 1 - comm->rank % 2) / 2);
	CHECK(half->rank == half->n_rank - 1 - comm->rank / 2);
	wire = half;
	check_all_gather(1001, false);
	check_reduce_scatter(300, true);
	check_all_reduce(77);
	wire = all;
	RUN(ax_comm_split(all, comm->rank == 0 ? 5 : -1, 0, &none, e));
	CHECK((none != NULL) == (comm->rank == 0));
	ax_comm_close(none);
	check_all_reduce(5);
	ax_comm_close(half);
	check_all_reduce(7);
	return world_close();
}

/* A communicator may be closed as soon as the device has been told to wait for its last collective. */
static int closing(void)
{
	enum { N = 100000 };
	struct ax_comm_req r;
	float *p, *q;

	world_open(0);
	p = device_array(N);
	q = device_array(N * (size_t)wire->n_rank);
	fill(p, 0, N);
	RUN(ax_comm_all_gather(wire, q, p, N * sizeof(*p), &r, e));
	RUN(ax_comm_wait(wire, &r, e));
	RUN(ax_comm_all_reduce(wire, p, N, AX_SUM_F32, &r, e));
	RUN(ax_comm_wait(wire, &r, e));
	ax_comm_close(wire);
	dev.ops->free(&dev, p);
	dev.ops->free(&dev, q);
	ax_dev_close(&dev);
	ax_comm_close(comm);
	return 0;
}

/* A device fails or hangs in its n-th collective (CUDASIM_NCCL_FAIL, _HANG): all ranks end, with a reason. */
static int trouble(void)
{
	struct ax_err err = {0};
	struct ax_comm_req r;
	float *p;
	int rc = 0;

	if (comm == NULL)
		world_open(3);
	comm->step = wire->step = 7;
	p = device_array(1000);
	for (int i = 0; i < 6 && !rc; i++) {
		fill(p, 0, 1000);
		wire->what = "sum of layer 3";
		rc = ax_comm_all_reduce(wire, p, 1000, AX_SUM_F32, &r, &err);
		if (!rc)
			rc = ax_comm_wait(wire, &r, &err);
		if (!rc)
			rc = dev.ops->sync(&dev, &err);
	}
	if (!rc)
		return world_close();
	fprintf(stderr, "rank %d saw: %s\n", comm->rank, err.msg);
	ax_comm_give_up(wire);
	dev.ops->free(&dev, p); /* must not wait for anybody */
	ax_comm_abandon(wire, err.msg);
	ax_dev_close(&dev);
	ax_comm_abandon(comm, err.msg);
	return ax_exit_code(rc);
}

static bool file_has(const char *path, const char *text)
{
	char line[1024];
	FILE *f = fopen(path, "r");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, text) != NULL;
	if (f)
		fclose(f);
	return found;
}

static void show(const char *path)
{
	char cmd[300];

	snprintf(cmd, sizeof(cmd), "sed 's/^/# /' '%s' >&2", path);
	if (system(cmd))
		fprintf(stderr, "# no %s\n", path);
}

static void test_trouble(void)
{
	char dir[] = "/tmp/ax-test-XXXXXX", log[64], redirect[80];
	time_t start;
	int status;

	if (!mkdtemp(dir))
		exit(1);
	snprintf(log, sizeof(log), "%s/log", dir);
	snprintf(redirect, sizeof(redirect), ">'%s' 2>&1", log);
	setenv("CUDASIM_TIMEOUT", "40", 1);
	setenv("CUDASIM_STREAMS", "lazy", 1);
	setenv("CUDASIM_NCCL_FAIL", "4", 1);
	start = time(NULL);
	status = ranks_status(2, "trouble", redirect);
	ok(status == 6 && time(NULL) - start < 30, "an asynchronous error of NCCL ends all ranks (status %d)", status);
	if (!ok(file_has(log, "step 7, sum of layer 3") || file_has(log, "remote process exited"), "and says so"))
		show(log);
	unsetenv("CUDASIM_NCCL_FAIL");
	setenv("CUDASIM_NCCL_HANG", "3", 1);
	start = time(NULL);
	status = ranks_status(2, "trouble", redirect);
	ok(status == 6 && time(NULL) - start < 30, "a collective that hangs on the device ends all ranks (status %d)", status);
	if (!ok(file_has(log, "in \"sum of layer 3\"") && file_has(log, "step 7"), "and names step and collective"))
		show(log);
	unsetenv("CUDASIM_NCCL_HANG");
	remove(log);
	rmdir(dir);
}

static const char *const orders[] = {"eager", "lazy", "ahead", "random"};

/* All of them under AX_LONG=1. */
static void test_orders(const char *how, unsigned short_ones)
{
	bool all = getenv("AX_LONG") != NULL;

	for (int k = 0; k < 4; k++) {
		if (!all && !(short_ones >> k & 1))
			continue;
		setenv("CUDASIM_STREAMS", orders[k], 1);
		for (int n = all ? 2 : 3; n <= 3; n++) {
			ok(ranks_run(n, "exact"), "%s, %s: exact data, %d ranks", how, orders[k], n);
			ok(ranks_run(n, "in_flight"), "%s, %s: many in flight, %d ranks", how, orders[k], n);
		}
		ok(ranks_run(4, "split"), "%s, %s: split, 4 ranks", how, orders[k]);
		ok(ranks_run(2, "closing"), "%s, %s: closed at work, 2 ranks", how, orders[k]);
	}
}

int main(int argc, char **argv)
{
	static const char *const name[] = {"exact", "in_flight", "split", "closing", "trouble", "held"};
	static int (*const fn[])(void) = {exact, in_flight, split, closing, trouble, held};
	const char *only = getenv("AX_TEST_ONLY");

	for (size_t i = 0; argc > 1 && i < sizeof(fn) / sizeof(*fn); i++)
		if (!strcmp(argv[1], name[i]))
			return fn[i]();
	if (only && !strcmp(only, "trouble")) {
		test_trouble();
		return test_failed != 0;
	}
	if (!has_sim()) {
		printf("ok %d - collectives on a device # SKIP this build has no simulated plugin\n", ++test_number);
		return 0;
	}
	exact();
	in_flight();
	ok(true, "one rank without a launcher");
	RANKS_OR_SKIP("collectives on several devices");
	test_orders("nccl", 1u << 1 | 1u << 3);
	setenv("CUDASIM_DEVICES", "1", 1); /* all ranks on one GPU */
	test_orders("staged", 1u << 2);
	unsetenv("CUDASIM_DEVICES");
	setenv("CUDASIM_STREAMS", "lazy", 1); /* the device comes to a collective when something waits for it */
	ok(ranks_run(2, "held"), "nccl: the time of a wait, by the device's clock");
	setenv("AX_WIRE", "staged", 1);
	ok(ranks_run(2, "held"), "staged: the time of a wait, by the device's clock");
	unsetenv("AX_WIRE");
	test_trouble();
	return test_failed != 0;
}
