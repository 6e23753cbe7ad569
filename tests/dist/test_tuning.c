/*
 * Ranks never disagree about the algorithms of matrix products: one measures, all go over at once, a resumed run begins with its
 * checkpoint's, whatever the cache has. On the simulated GPU, whose algorithms differ in bits.
 */
#include "sim_dev.h"

#include "base/hash.h"
#include "base/mem.h"
#include "text/val.h"
#include "train/train_impl.h"

enum { I = 48, O = 32, MOST = 64 };

static struct ax_comm *comm;
static struct ax_train run;
static struct ax_dev dev;

static void open_device(void)
{
	struct ax_dev_opt o = {.device = "cuda", .act = AX_BF16, .local_rank = comm->local_rank, .n_local = comm->n_local,
			       .measure = comm->rank == 0, .follow = true, .plugin_dir = sim_dir()};
	struct ax_shape s = {.N = MOST, .C = I, .O = I};
	char why[256];

	RUN(ax_dev_open(&dev, &o, why, e));
	RUN(dev.ops->reserve(&dev, &s, e));
	run = (struct ax_train){.env = {.comm = comm, .dev = &dev}};
}

static void close_device(void)
{
	ax_free(run.tuning);
	ax_dev_close(&dev);
}

static void same_everywhere(uint64_t x)
{
	uint64_t all[8];
	struct ax_comm_req r;

	RUN(ax_comm_all_gather(comm, all, &x, sizeof(x), &r, e));
	RUN(ax_comm_wait(comm, &r, e));
	for (int k = 1; k < comm->n_rank; k++)
		CHECK(all[k] == all[0]);
}

/* The bits of a product of n tokens, the same on all ranks. */
static uint64_t product(int n)
{
	static uint16_t x[MOST * I];
	static float dw[O * I];
	void *px = dev.ops->alloc(&dev, sizeof(x)), *py = dev.ops->alloc(&dev, sizeof(x)), *pw = dev.ops->alloc(&dev, sizeof(dw));

	CHECK(px && py && pw);
	for (int i = 0; i < MOST * I; i++)
		x[i] = ax_f32_to_bf16((float)((i * 7919) % 1009) / 3.0f - 150);
	dev.ops->upload(&dev, px, x, sizeof(x));
	dev.ops->upload(&dev, py, x, sizeof(x));
	dev.ops->linear_dw(&dev, pw, py, O, px, I, n, I, O);
	dev.ops->download(&dev, dw, pw, sizeof(dw));
	RUN(dev.ops->sync(&dev, e));
	dev.ops->free(&dev, px);
	dev.ops->free(&dev, py);
	dev.ops->free(&dev, pw);
	return ax_hash64(dw, sizeof(dw));
}

static uint64_t products(void)
{
	uint64_t all = 0;

	for (int n = 17; n <= MOST; n += 9) {
		uint64_t bits = product(n);

		same_everywhere(bits);
		all = ax_mix64(all ^ bits);
	}
	return all;
}

static uint64_t table(char **text, size_t *n)
{
	*n = dev.tuning(&dev, NULL, 0);
	*text = ax_malloc(*n + 1);
	CHECK(*text && dev.tuning(&dev, *text, *n) == *n);
	(*text)[*n] = '\0';
	return ax_hash64(*text, *n);
}

static void remove_cache(void)
{
	char cmd[300];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s/ax'", getenv("XDG_CACHE_HOME"));
	RUN(ax_comm_barrier(comm, e));
	CHECK(comm->rank || system(cmd) == 0);
	RUN(ax_comm_barrier(comm, e));
}

static void refuses(struct ax_val v, const char *part)
{
	struct ax_err e = {0};

	CHECK(ax_train_tuning_adopt(&run, &v, &e) == AX_EDATA && strstr(e.msg, part));
}

static int agree(void)
{
	uint64_t bits, first;
	struct ax_val v = {.type = AX_STR};
	char *text, *again;
	size_t n, m;

	comm = world(0, 0);
	open_device();
	first = products(); /* none has been told anything */
	CHECK(ax_train_tuning_news(&run) == (comm->rank == 0));
	RUN(ax_train_tuning_share(&run, e));
	CHECK(!ax_train_tuning_news(&run));
	bits = products();
	CHECK(bits != first);
	if (comm->rank == 1) /* a shape that rank 0 meets later */
		product(MOST - 1);
	same_everywhere(product(MOST - 1));
	CHECK(ax_train_tuning_news(&run) == (comm->rank == 0));
	RUN(ax_train_tuning_share(&run, e));
	same_everywhere(product(MOST - 1));
	same_everywhere(table(&text, &n));
	close_device();

	open_device(); /* rank 0 has it from its cache: all have it once it was shared */
	CHECK(ax_train_tuning_news(&run) == (comm->rank == 0));
	RUN(ax_train_tuning_share(&run, e));
	CHECK(products() == bits);
	close_device();

	remove_cache();
	open_device(); /* from a checkpoint */
	CHECK(table(&again, &m) && m < n);
	ax_free(again);
	v.u.s = text;
	v.n = n;
	RUN(ax_train_tuning_adopt(&run, &v, e));
	CHECK(table(&again, &m) && m == n && !memcmp(text, again, n));
	CHECK(products() == bits);
	refuses((struct ax_val){.type = AX_INT}, "not a string");
	text[n - 3] ^= 1;
	refuses(v, "damaged");
	close_device();
	ax_free(text);
	ax_free(again);
	ax_comm_close(comm);
	return 0;
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/ax-test-XXXXXX", cmd[64];

	if (argc > 1)
		return agree();
	if (!has_sim()) {
		printf("ok %d - choice of algorithms # SKIP this build has no simulated plugin\n", ++test_number);
		return 0;
	}
	RANKS_OR_SKIP("choice of algorithms");
	if (!mkdtemp(dir))
		return 1;
	setenv("XDG_CACHE_HOME", dir, 1);
	setenv("CUDASIM_LT_FASTEST", "4", 1); /* not what is proposed first */
	ok(ranks_run(3, "agree"), "three ranks compute with the same algorithms at any time, also from a cache and from a checkpoint");
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd) != 0 || test_failed != 0;
}
