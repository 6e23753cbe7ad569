/* A stream whose blocks several threads seal has the bytes of one that its writer sealed alone, and its errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "fmt/stream.h"

#define DIR_TMP "build/tmp-stream-share"
#define ROWS	40000
#define HELPERS 3

static struct ax_err err;
#define OK(x) assert_int_equal((x) ? (print_error("%s\n", err.msg), 1) : 0, 0)

struct helpers {
	struct ax_stream_writer *w;
	pthread_t id[HELPERS];
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool waits, quit;
	atomic_size_t sealed;
};

static void notify(void *ctx)
{
	struct helpers *h = ctx;

	pthread_mutex_lock(&h->lock);
	h->waits = true;
	pthread_cond_broadcast(&h->wake);
	pthread_mutex_unlock(&h->lock);
}

static void *help(void *ctx)
{
	struct helpers *h = ctx;

	pthread_mutex_lock(&h->lock);
	while (!h->quit) {
		if (!h->waits) {
			pthread_cond_wait(&h->wake, &h->lock);
			continue;
		}
		h->waits = false;
		pthread_mutex_unlock(&h->lock);
		while (ax_stream_help(h->w))
			atomic_fetch_add(&h->sealed, 1);
		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static void start(struct helpers *h, int n)
{
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->wake, NULL);
	for (int i = 0; i < n; i++)
		assert_int_equal(pthread_create(&h->id[i], NULL, help, h), 0);
}

static void stop(struct helpers *h, int n)
{
	pthread_mutex_lock(&h->lock);
	h->quit = true;
	pthread_cond_broadcast(&h->wake);
	pthread_mutex_unlock(&h->lock);
	for (int i = 0; i < n; i++)
		pthread_join(h->id[i], NULL);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->wake);
}

static int write_rows(struct ax_stream_writer *w, uint64_t bad)
{
	uint32_t id[200];
	uint8_t mask[200];
	struct ax_row r = {.id = id, .mask = mask};

	for (uint64_t k = 0; k < ROWS; k++) {
		r.n = 1 + (uint32_t)(ax_rand_u64(1, 1, k) % 200);
		r.number = k + 1;
		for (uint32_t i = 0; i < r.n; i++) {
			id[i] = (uint32_t)ax_rand_u64(2, (uint32_t)k, i / 3) & 0x3ffff;
			mask[i] = id[i] & 1;
		}
		AX_TRY(ax_stream_write(w, &r, &err));
		if (k == bad)
			w->block_sum.a++; /* as a fault of memory would */
	}
	return ax_stream_settle(w, &err);
}

/* The stream's bytes into *out; share: helpers and the thread itself, -1: alone. Returns what writing did. */
static int make_stream(struct ax_buf *out, int level, int share, uint64_t bad)
{
	struct ax_val *header, *t;
	struct ax_stream_writer w;
	struct helpers h = {.w = &w};
	const char *path = DIR_TMP "/x.axt";
	struct ax_map m = {NULL, 0};
	struct ax_arena a;
	struct ax_out o;
	int rc;

	ax_arena_init(&a, 0);
	header = ax_header_new(&a, "tokens", 32);
	t = ax_val_map(&a);
	ax_val_set(&a, t, "fingerprint", ax_val_str(&a, "00112233445566778899aabbccddeeff", 32));
	ax_val_set(&a, header, "tokenizer", t);
	OK(ax_mkdirs(DIR_TMP, &err));
	OK(ax_out_open(&o, path, 0, &err));
	OK(ax_stream_writer_open(&w, &o, header, level, &err));
	if (share >= 0) {
		OK(ax_stream_share(&w, (size_t)share + 1, notify, &h, &err));
		start(&h, share);
	}
	rc = write_rows(&w, bad);
	if (share >= 0)
		stop(&h, share);
	if (!rc) {
		OK(ax_stream_writer_finish(&w, NULL, NULL, &err));
		OK(ax_out_commit(&o, &err));
		OK(ax_map_open(&m, path, &err));
		ax_buf_add(out, m.p, m.n);
		ax_map_close(&m);
	}
	ax_stream_writer_release(&w);
	ax_out_abort(&o);
	ax_arena_release(&a);
	return rc;
}

static void test_same_bytes(void **state)
{
	(void)state;
	for (int level = 0; level <= 3; level += 1 + (level == 1)) {
		struct ax_buf alone = AX_BUF_INIT;

		assert_int_equal(make_stream(&alone, level, -1, UINT64_MAX), 0);
		for (int share = 0; share <= HELPERS; share += HELPERS) {
			struct ax_buf shared = AX_BUF_INIT;

			assert_int_equal(make_stream(&shared, level, share, UINT64_MAX), 0);
			assert_int_equal(shared.n, alone.n);
			assert_memory_equal(shared.p, alone.p, alone.n);
			ax_buf_release(&shared);
		}
		assert_true(alone.n > (size_t)1 << 20);
		ax_buf_release(&alone);
	}
}

/* A fault in any block, the last one too, is told, whoever finds it. */
static void test_fault(void **state)
{
	const uint64_t at[] = {0, ROWS / 2, ROWS - 1};
	struct ax_buf none = AX_BUF_INIT;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		for (int share = -1; share <= HELPERS; share++) {
			memset(&err, 0, sizeof(err));
			assert_int_equal(make_stream(&none, 1, share, at[i]), AX_ECHECK);
			assert_non_null(strstr(err.msg, "the rows written are not the rows given"));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_bytes),
	    cmocka_unit_test(test_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
