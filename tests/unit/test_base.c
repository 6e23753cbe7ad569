#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/sig.h"

static void test_err(void **state)
{
	struct ax_err e = {0};

	errno = ENOENT;
	assert_int_equal(ax_fail(&e, AX_EIO, "cannot open %s:", "x"), AX_EIO);
	assert_string_equal(e.msg, "cannot open x: No such file or directory");
	ax_err_prefix(&e, "run.yaml:%d: ", 3);
	assert_string_equal(e.msg, "run.yaml:3: cannot open x: No such file or directory");
	assert_int_equal(ax_exit_code(AX_ESTOP), 75);
	assert_int_equal(ax_exit_code(AX_ECOMM), 6);
	assert_int_equal(ax_exit_code(-1234), 3);
}

static void test_arena(void **state)
{
	struct ax_arena a;

	ax_arena_init(&a, 100000);
	assert_non_null(ax_arena_alloc(&a, 90000));
	assert_null(ax_arena_alloc(&a, 20000));
	ax_arena_clear(&a);
	assert_non_null(ax_arena_alloc(&a, 80000));
	assert_null(ax_arena_calloc(&a, SIZE_MAX / 2, 3));
	ax_arena_release(&a);
}

static void test_files(void **state)
{
	struct ax_err e = {0};
	struct ax_buf b = AX_BUF_INIT;
	char *tmp = NULL;
	struct ax_map m;

	assert_int_equal(ax_mkdirs("build/tmp-base/a/b", &e), 0);
	assert_int_equal(ax_write_file("build/tmp-base/a/f", "hello", 5, &e), 0);
	assert_int_equal(ax_read_file("build/tmp-base/a/f", 100, &b, &e), 0);
	assert_string_equal(b.p, "hello");
	assert_int_equal(ax_read_file("build/tmp-base/a/f", 4, &b, &e), AX_EMEM);
	assert_int_equal(ax_map_open(&m, "build/tmp-base/a/f", &e), 0);
	ax_map_done((const char *)m.p + 1, 3); /* still there */
	assert_int_equal(m.n, 5);
	assert_memory_equal(m.p, "hello", 5);
	ax_map_close(&m);
	assert_int_equal(ax_dir_begin("build/tmp-base/a", &tmp, &e), 0);
	assert_int_equal(ax_dir_commit(tmp, "build/tmp-base/a", &e), 0);
	assert_false(ax_path_exists("build/tmp-base/a/f"));
	assert_int_equal(ax_remove_tree("build/tmp-base", &e), 0);
	assert_false(ax_path_exists("build/tmp-base"));
	assert_true(ax_name_is_safe("model-00001-of-00003.safetensors"));
	assert_false(ax_name_is_safe("../x"));
	assert_false(ax_name_is_safe(".x"));
	ax_free(tmp);
	ax_buf_release(&b);
}

#define LINKS "build/tmp-links"

/* What is no file stays what it is; what a link points at is replaced, and the link stays. */
static void test_targets(void **state)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_err e = {0};
	struct stat st;
	char got[8] = "", *tmp = NULL;
	int fd;

	ax_remove_tree(LINKS, NULL);
	assert_int_equal(ax_mkdirs(LINKS "/far/d", &e), 0);
	assert_int_equal(ax_mkdirs(LINKS "/near", &e), 0);
	assert_int_equal(mkfifo(LINKS "/pipe", 0600), 0);
	fd = open(LINKS "/pipe", O_RDWR | O_NONBLOCK);
	assert_true(fd >= 0);
	assert_int_equal(ax_write_file(LINKS "/pipe", "hello", 5, &e), 0);
	assert_int_equal(read(fd, got, sizeof(got)), 5);
	assert_string_equal(got, "hello");
	close(fd);
	assert_true(lstat(LINKS "/pipe", &st) == 0 && S_ISFIFO(st.st_mode));
	assert_int_equal(ax_dir_begin(LINKS "/pipe", &tmp, &e), AX_EIO);
	assert_int_equal(symlink("../far/f", LINKS "/near/f"), 0);
	assert_int_equal(ax_write_file(LINKS "/far/f", "old", 3, &e), 0);
	assert_int_equal(ax_write_file(LINKS "/near/f", "new", 3, &e), 0);
	assert_int_equal(ax_read_file(LINKS "/far/f", 100, &b, &e), 0);
	assert_string_equal(b.p, "new");
	assert_int_equal(symlink("../far/d", LINKS "/near/d"), 0);
	assert_int_equal(ax_dir_begin(LINKS "/near/d/", &tmp, &e), 0);
	assert_non_null(strstr(tmp, "/far/d.tmp-"));
	assert_int_equal(ax_dir_commit(tmp, LINKS "/near/d", &e), 0);
	assert_true(lstat(LINKS "/near/d", &st) == 0 && S_ISLNK(st.st_mode));
	assert_true(ax_path_is_dir(LINKS "/far/d"));
	assert_int_equal(ax_write_file(LINKS "/none/", "x", 1, &e), AX_EIO);
	assert_int_equal(ax_remove_tree(LINKS, &e), 0);
	ax_free(tmp);
	ax_buf_release(&b);
}

static void count(void *ctx, size_t i)
{
	atomic_size_t *sum = ctx;

	atomic_fetch_add(sum, i + 1);
}

static void test_pool(void **state)
{
	for (int t = 1; t <= 4; t++) {
		struct ax_pool *p = NULL;

		assert_int_equal(ax_pool_new(&p, t, NULL), 0);
		for (size_t n = 0; n < 300; n++) {
			atomic_size_t sum = 0;
			ax_pool_run(p, n, count, &sum);
			assert_int_equal(sum, n * (n + 1) / 2);
		}
		ax_pool_free(p);
	}
}

static void test_rng(void **state)
{
	uint32_t w[4];
	unsigned char seen[1000];

	/* Random123's known answers for philox4x32-10 */
	ax_philox(0, 0, 0, 0, w);
	assert_int_equal(w[0], 0x6627e8d5);
	assert_int_equal(w[1], 0xe169c58d);
	assert_int_equal(w[2], 0xbc57ac4c);
	assert_int_equal(w[3], 0x9b00dbd8);
	for (uint64_t n = 1; n <= 1000; n += 37) {
		memset(seen, 0, sizeof(seen));
		for (uint64_t i = 0; i < n; i++) {
			uint64_t j = ax_permute(42, 3, n, i);
			assert_true(j < n);
			assert_int_equal(seen[j]++, 0);
		}
	}
}

static void test_sum(void **state)
{
	struct ax_sum x = {0}, y = {0}, z = {0};

	ax_sum_row(&x, "a", 1);
	ax_sum_row(&x, "bc", 2);
	ax_sum_row(&y, "bc", 2);
	ax_sum_row(&z, "a", 1);
	ax_sum_add(&y, &z);
	assert_true(ax_sum_equal(&x, &y));
	ax_sum_row(&y, "a", 1);
	assert_false(ax_sum_equal(&x, &y));
}

/* Reads a mapped file that has lost its end; exit status 99: nothing stopped it. */
static void read_lost(const char *path, const char *temp)
{
	struct ax_map m;
	int fd = open("build/tmp-base/said", O_WRONLY | O_CREAT | O_TRUNC, 0666);

	dup2(fd, STDERR_FILENO);
	ax_temp_add(temp);
	if (!ax_sig_start(NULL) && !ax_map_open(&m, path, NULL) && !truncate(path, 0))
		_exit(*(const volatile unsigned char *)m.p ? 98 : 99);
	_exit(97);
}

static void test_lost_map(void **state)
{
	static const char path[] = "build/tmp-base/mapped", temp[] = "build/tmp-base/unfinished";
	struct ax_buf b = AX_BUF_INIT;
	pid_t child;
	int status;

	assert_int_equal(ax_mkdirs("build/tmp-base", NULL), 0);
	assert_int_equal(ax_write_file(path, "text", 4, NULL), 0);
	assert_int_equal(ax_write_file(temp, "text", 4, NULL), 0);
	child = fork();
	if (child == 0)
		read_lost(path, temp);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), ax_exit_code(AX_EIO));
	assert_false(ax_path_exists(temp));
	assert_int_equal(ax_read_file("build/tmp-base/said", 1000, &b, NULL), 0);
	assert_non_null(strstr(b.p, "became shorter"));
	ax_buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_err),  cmocka_unit_test(test_arena), cmocka_unit_test(test_files), cmocka_unit_test(test_targets),
		cmocka_unit_test(test_pool), cmocka_unit_test(test_rng),   cmocka_unit_test(test_sum),
		cmocka_unit_test(test_lost_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
