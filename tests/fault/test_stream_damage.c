/* Flip every byte and cut at every byte of small streams and of a shard folder: nothing passes unseen. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "fmt/shard.h"

#define DIR_TMP "build/tmp-damage"

static struct ax_err err;
#define OK(x) assert_int_equal((x) ? (print_error("%s\n", err.msg), 1) : 0, 0)

static struct ax_row make_row(uint32_t k)
{
	static uint32_t id[64];
	static uint8_t mask[64];
	static int32_t label[64];
	struct ax_row r = {.n = 1 + k * 7 % 31, .id = id, .mask = mask, .split = k % 5 == 4, .number = k + 1};

	for (uint32_t i = 0; i < r.n; i++) {
		id[i] = k * 100 + i;
		mask[i] = i > r.n / 3;
		label[i] = mask[i] ? (int32_t)id[i] + 1 : AX_LABEL_NONE;
	}
	r.label = k % 4 == 1 ? label : NULL;
	return r;
}

static void write_stream(const char *path, bool packs, int level)
{
	struct ax_pack_writer w;
	struct ax_stream_writer s;
	struct ax_arena a;
	struct ax_val *h;
	struct ax_out o;

	ax_arena_init(&a, 0);
	h = ax_header_new(&a, packs ? "packs" : "tokens", 16);
	ax_val_set(&a, h, "sequence_len", ax_val_int(&a, 32));
	OK(ax_out_open(&o, path, AX_OUT_NOSYNC, &err));
	if (packs)
		OK(ax_pack_writer_open(&w, &o, h, level, &err));
	else
		OK(ax_stream_writer_open(&s, &o, h, level, &err));
	for (uint32_t k = 0; k < 9; k++) {
		struct ax_row r = make_row(k);

		OK(packs ? ax_pack_write(&w, &r, 1, &err) : ax_stream_write(&s, &r, &err));
	}
	OK(packs ? ax_pack_writer_finish(&w, NULL, NULL, &err) : ax_stream_writer_finish(&s, NULL, NULL, &err));
	OK(ax_out_commit(&o, &err));
	if (packs)
		ax_pack_writer_release(&w);
	else
		ax_stream_writer_release(&s);
	ax_out_abort(&o);
	ax_arena_release(&a);
}

/* Read the stream to its end: 0 only if nothing was found wrong. */
static int read_stream(const char *path)
{
	struct ax_stream s;
	struct ax_row r;
	bool end = false;
	int rc = ax_stream_open(&s, path, NULL);

	if (rc)
		return rc;
	while (!(rc = ax_stream_next(&s, &r, &end, NULL)) && !end)
		;
	ax_stream_close(&s);
	return rc;
}

static int try_bytes(const char *p, size_t n)
{
	char path[64];
	int rc, fd = memfd_create("damage", 0);

	assert_true(fd >= 0 && write(fd, p, n) == (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = read_stream(path);
	close(fd);
	return rc;
}

static void damage(bool packs, int level)
{
	struct ax_buf b = AX_BUF_INIT;

	write_stream(DIR_TMP "/s", packs, level);
	OK(ax_read_file(DIR_TMP "/s", SIZE_MAX, &b, &err));
	OK(try_bytes(b.p, b.n));
	for (size_t i = 0; i < b.n; i++)
		for (int bit = 0; bit < 8; bit++) {
			b.p[i] = (char)(b.p[i] ^ 1 << bit);
			assert_int_equal(try_bytes(b.p, b.n), AX_EDATA);
			b.p[i] = (char)(b.p[i] ^ 1 << bit);
		}
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(try_bytes(b.p, n), AX_EDATA);
	for (size_t n = 1; n < 64; n++) { /* bytes too many */
		ax_buf_addc(&b, 'x');
		assert_int_equal(try_bytes(b.p, b.n), AX_EDATA);
	}
	ax_buf_release(&b);
}

static void test_streams(void **state)
{
	for (int packs = 0; packs < 2; packs++)
		for (int level = 0; level < 2; level++)
			damage(packs, level);
}

/* Leave out, double or swap whole frames: each is intact, the stream is not. */
static void test_frames(void **state)
{
	struct ax_buf b = AX_BUF_INIT, c = AX_BUF_INIT;
	size_t at[64], n = 0, off = 0;

	write_stream(DIR_TMP "/s", false, 0);
	OK(ax_read_file(DIR_TMP "/s", SIZE_MAX, &b, &err));
	while (off < b.n) {
		struct ax_frame_head h;

		OK(ax_frame_head_parse(&h, (unsigned char *)b.p + off, &err));
		at[n++] = off;
		off += AX_FRAME_HEAD + h.stored;
	}
	at[n] = b.n;
	assert_int_equal(n, 4); /* header, rows, index, trailer */
	for (size_t i = 0; i < n; i++)
		for (int twice = 0; twice < 2; twice++) {
			ax_buf_reset(&c);
			for (size_t k = 0; k < n; k++)
				for (int t = 0; t < (k == i ? 2 * twice : 1); t++)
					ax_buf_add(&c, b.p + at[k], at[k + 1] - at[k]);
			/* the index may be missing (shard files have none), all else may not */
			assert_int_equal(try_bytes(c.p, c.n), i == 2 && !twice ? 0 : AX_EDATA);
		}
	ax_buf_release(&b);
	ax_buf_release(&c);
}

static void write_shards(void)
{
	struct ax_shards_writer w;
	struct ax_pack_reader r;
	struct ax_pack p;
	bool end = false;

	write_stream(DIR_TMP "/p", true, 0);
	OK(ax_pack_reader_open(&r, DIR_TMP "/p", &err));
	OK(ax_shards_writer_open(&w, DIR_TMP "/shards", r.s.header, 2, 0, false, &err));
	while (OK(ax_pack_reader_next(&r, &p, &end, &err)), !end)
		OK(ax_shards_write(&w, &p, &err));
	OK(ax_shards_writer_finish(&w, NULL, NULL, NULL, &err));
	ax_shards_writer_release(&w);
	ax_pack_reader_close(&r);
}

static int check_shards(void)
{
	struct ax_shards s;
	int rc = ax_shards_open(&s, DIR_TMP "/shards", &err);

	if (rc)
		return rc;
	rc = ax_shards_check(&s, &err);
	ax_shards_close(&s);
	return rc;
}

static void put(const char *path, const char *p, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	fclose(f);
}

static void test_shards(void **state)
{
	static const char *const file[] = {DIR_TMP "/shards/index.axi", DIR_TMP "/shards/shard-00000.axs",
					   DIR_TMP "/shards/shard-00001.axs"};
	struct ax_buf b = AX_BUF_INIT;

	write_shards();
	OK(check_shards());
	for (size_t f = 0; f < 3; f++) {
		OK(ax_read_file(file[f], SIZE_MAX, &b, &err));
		for (size_t i = 0; i < b.n; i++) {
			b.p[i] ^= 0x04;
			put(file[f], b.p, b.n);
			assert_int_equal(check_shards(), AX_EDATA);
			b.p[i] ^= 0x04;
		}
		for (size_t n = 0; n < b.n; n += n % 7 ? 1 : 3) {
			put(file[f], b.p, n);
			assert_int_equal(check_shards(), AX_EDATA);
		}
		put(file[f], b.p, b.n);
		OK(check_shards());
	}
	ax_buf_release(&b);
}

static int setup(void **state)
{
	return ax_mkdirs(DIR_TMP, NULL);
}

static int clean(void **state)
{
	return ax_remove_tree(DIR_TMP, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_shards),
	};

	return cmocka_run_group_tests(tests, setup, clean);
}
