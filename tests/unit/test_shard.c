#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "data/loader.h"
#include "data/packer.h"

#define DIR_TMP "build/tmp-shard"
#define FILE_P DIR_TMP "/p.axp"
#define SHARDS DIR_TMP "/shards"
#define SEQ 256

static struct ax_err err;
#define OK(x) assert_int_equal((x) ? (print_error("%s\n", err.msg), 1) : 0, 0)

static int to_writer(void *ctx, const struct ax_row *row, uint32_t n, struct ax_err *e)
{
	return ax_pack_write(ctx, row, n, e);
}

/* Pack n rows into FILE_P; the totals of what went in. */
static void write_packs(uint64_t n, int level, struct ax_totals *in)
{
	struct ax_packer_opt o = {.capacity = SEQ, .window = 100};
	struct ax_pack_writer w;
	struct ax_packer *p;
	struct ax_arena a;
	struct ax_val *h;
	struct ax_out out;
	uint32_t id[SEQ];
	uint8_t mask[SEQ];
	int32_t label[SEQ];

	ax_arena_init(&a, 0);
	h = ax_header_new(&a, "packs", 16);
	ax_val_set(&a, h, "sequence_len", ax_val_int(&a, SEQ));
	OK(ax_mkdirs(DIR_TMP, &err));
	OK(ax_out_open(&out, FILE_P, 0, &err));
	OK(ax_pack_writer_open(&w, &out, h, level, &err));
	OK(ax_packer_new(&p, &o, to_writer, &w, &err));
	for (uint64_t k = 0; k < n; k++) {
		struct ax_row r = {.n = 1 + (uint32_t)(ax_rand_u64(1, 1, k) % SEQ), .id = id, .mask = mask,
				   .number = k + 1, .split = k % 5 == 4, .label = k % 3 ? NULL : label};

		for (uint32_t i = 0; i < r.n; i++) {
			id[i] = (uint32_t)ax_rand_u64(2, (uint32_t)k, i) & 0xffff;
			mask[i] = id[i] & 1;
			label[i] = mask[i] ? 7 : AX_LABEL_NONE;
		}
		OK(ax_packer_add(p, &r, &err));
	}
	OK(ax_packer_finish(p, &err));
	OK(ax_pack_writer_finish(&w, NULL, NULL, &err));
	OK(ax_out_commit(&out, &err));
	*in = w.s.totals;
	assert_true(ax_sum_equal(&in->sum, &ax_packer_drops(p)->sum));
	ax_packer_free(p);
	ax_pack_writer_release(&w);
	ax_out_abort(&out);
	ax_arena_release(&a);
}

static void write_shards(uint32_t n_shard, int level)
{
	struct ax_shards_writer w;
	struct ax_pack_reader r;
	struct ax_pack p;
	bool end = false;

	OK(ax_pack_reader_open(&r, FILE_P, &err));
	OK(ax_shards_writer_open(&w, SHARDS, r.s.header, n_shard, level, false, &err));
	while (OK(ax_pack_reader_next(&r, &p, &end, &err)), !end)
		OK(ax_shards_write(&w, &p, &err));
	OK(ax_shards_writer_finish(&w, &r.s.totals, NULL, NULL, &err));
	assert_true(ax_sum_equal(&w.totals.sum, &r.s.totals.sum));
	ax_shards_writer_release(&w);
	ax_pack_reader_close(&r);
}

static void test_shards(void **state)
{
	static const uint32_t n_shards[] = {1, 3, 8, 300};
	struct ax_totals in;

	for (int i = 0; i < 4; i++) {
		struct ax_shards s;
		struct ax_totals seen = {0};
		struct ax_pack p;

		write_packs(4000, i % 2, &in);
		write_shards(n_shards[i], i / 2);
		OK(ax_shards_open(&s, SHARDS, &err));
		assert_int_equal(s.n_shard, n_shards[i]);
		assert_int_equal(s.n_pack[0], in.split[0].packs);
		assert_int_equal(s.n_pack[1], in.split[1].packs);
		for (int k = 0; k < AX_N_SPLIT; k++)
			for (uint64_t j = s.n_pack[k]; j-- > 0;) { /* any order: backwards */
				OK(ax_shards_read(&s, k, j, &p, &err));
				assert_int_equal(p.split, k);
				for (uint32_t d = 0, at = 0; d < p.n_doc; at += p.len[d++]) {
					ax_totals_row(&seen, &p.row[d]);
					assert_ptr_equal(p.row[d].id, p.id + at);
				}
				for (uint32_t t = 0; p.label && t < p.n; t++)
					assert_true(p.mask[t] ? p.label[t] == 7 || p.label[t] == (int32_t)p.id[t]
							      : p.label[t] == AX_LABEL_NONE);
			}
		assert_true(ax_sum_equal(&seen.sum, &in.sum));
		assert_int_equal(ax_shards_read(&s, 0, s.n_pack[0], &p, &err), AX_EUSAGE);
		OK(ax_shards_check(&s, &err));
		ax_shards_close(&s);
	}
}

static void test_target(void **state)
{
	struct ax_shards_writer w;
	struct ax_pack_reader r;
	struct ax_totals in;

	write_packs(10, 0, &in);
	OK(ax_mkdirs(DIR_TMP "/precious", &err));
	OK(ax_write_file(DIR_TMP "/precious/thesis.tex", "x", 1, &err));
	OK(ax_pack_reader_open(&r, FILE_P, &err));
	assert_int_equal(ax_shards_writer_open(&w, DIR_TMP "/precious", r.s.header, 1, 0, false, &err), AX_EUSAGE);
	ax_shards_writer_release(&w);
	assert_true(ax_path_exists(DIR_TMP "/precious/thesis.tex"));
	assert_int_equal(ax_shards_writer_open(&w, FILE_P, r.s.header, 1, 0, true, &err), AX_EIO);
	ax_shards_writer_release(&w);
	/* not finished: nothing appears */
	OK(ax_shards_writer_open(&w, DIR_TMP "/new", r.s.header, 2, 0, false, &err));
	ax_shards_writer_release(&w);
	assert_false(ax_path_exists(DIR_TMP "/new"));
	assert_int_equal(ax_shards_writer_open(&w, DIR_TMP "/new", r.s.header, 0, 0, false, &err), AX_EUSAGE);
	ax_shards_writer_release(&w);
	ax_pack_reader_close(&r);
}

/* Every pack once an epoch; the same packs a step and the same denominators for any number of ranks. */
static void test_loader(void **state)
{
	struct ax_totals in;
	uint64_t want_sum[64] = {0}, want_trained[64] = {0};

	write_packs(700, 0, &in);
	write_shards(3, 0);
	for (uint32_t ranks = 1; ranks <= 5; ranks++) {
		uint64_t got_sum[64] = {0};

		for (uint32_t rank = 0; rank < ranks; rank++) {
			struct ax_order o = {.seed = 42, .global_batch = 30};
			struct ax_loader_step st;
			struct ax_loader *l;
			struct ax_pack p;
			uint64_t consumed = 0, n;

			OK(ax_loader_open(&l, SHARDS, &err));
			OK(ax_loader_set(l, AX_SPLIT_TRAIN, &o, rank, ranks, 2, &err));
			n = ax_loader_packs(l, AX_SPLIT_TRAIN);
			while (consumed < 2 * n) {
				OK(ax_loader_step(l, consumed, &st, &err));
				assert_int_equal(st.n_micro, (st.batch.n + 2 * ranks - 1) / (2 * ranks));
				for (uint32_t k = 0; k < st.n_micro; k++)
					for (uint32_t j = 0; j < ax_loader_micro_packs(l, k); j++) {
						OK(ax_loader_pack(l, k, j, &p, &err));
						got_sum[st.batch.step] += ax_hash64(p.id, (size_t)p.n * 4);
						want_trained[st.batch.step] += ranks == 1 ? p.trained : 0;
					}
				if (ranks > 1)
					assert_int_equal(st.trained, want_trained[st.batch.step]);
				consumed += st.batch.n;
			}
			assert_int_equal(consumed, 2 * n);
			ax_loader_close(l);
		}
		if (ranks == 1)
			memcpy(want_sum, got_sum, sizeof(want_sum));
		assert_memory_equal(want_sum, got_sum, sizeof(want_sum));
	}
}

static void flip(const char *path, size_t at)
{
	struct ax_buf b = AX_BUF_INIT;

	OK(ax_read_file(path, SIZE_MAX, &b, &err));
	b.p[at < b.n ? at : b.n - 1] ^= 0x10;
	OK(ax_write_file(path, b.p, b.n, &err));
	ax_buf_release(&b);
}

static void test_damage(void **state)
{
	struct ax_totals in;
	struct ax_shards s;
	struct ax_pack p;

	write_packs(300, 0, &in);
	write_shards(2, 0);
	OK(ax_shards_open(&s, SHARDS, &err));
	flip(SHARDS "/shard-00001.axs", 5000);
	assert_int_equal(ax_shards_check(&s, &err), AX_EDATA);
	assert_non_null(strstr(err.msg, "shard-00001.axs"));
	ax_shards_close(&s);
	write_shards(2, 0);
	flip(SHARDS "/index.axi", 900); /* an entry: found when its group is used */
	OK(ax_shards_open(&s, SHARDS, &err));
	assert_int_equal(ax_shards_read(&s, 0, 0, &p, &err), AX_EDATA);
	ax_shards_close(&s);
	write_shards(2, 0);
	flip(SHARDS "/index.axi", 100);
	assert_int_equal(ax_shards_open(&s, SHARDS, &err), AX_EDATA);
	assert_int_equal(ax_shards_open(&s, DIR_TMP, &err), AX_EIO);
}

/* Files of two runs in one folder are told apart even when their sizes agree. */
static void test_mixed_runs(void **state)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_totals in;
	struct ax_shards s;
	struct ax_pack p;

	write_packs(40, 0, &in);
	write_shards(1, 0);
	OK(ax_read_file(SHARDS "/shard-00000.axs", SIZE_MAX, &b, &err));
	b.n -= 1;
	OK(ax_write_file(SHARDS "/shard-00000.axs", b.p, b.n, &err));
	OK(ax_shards_open(&s, SHARDS, &err));
	assert_int_equal(ax_shards_read(&s, 0, 0, &p, &err), AX_EDATA);
	assert_non_null(strstr(err.msg, "the index says"));
	ax_shards_close(&s);
	ax_buf_release(&b);
}

static int clean(void **state)
{
	return ax_remove_tree(DIR_TMP, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shards), cmocka_unit_test(test_target), cmocka_unit_test(test_loader),
		cmocka_unit_test(test_damage), cmocka_unit_test(test_mixed_runs),
	};

	return cmocka_run_group_tests(tests, NULL, clean);
}
