/*
 * Makes the seeds of fuzz_stream, fuzz_pack and fuzz_shard. By hand, when a format changes:
 *	cc -Ilib -o build/seeds_fmt tests/fuzz/seeds_fmt.c build/libax.a -lxxhash -lzstd -lm -pthread && build/seeds_fmt
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/shard.h"

#define CORPUS "tests/fuzz/corpus/"

static struct ax_err e;

static void must(int rc)
{
	if (rc) {
		fprintf(stderr, "%s\n", e.msg);
		exit(1);
	}
}

static struct ax_row make_row(uint32_t k)
{
	static uint32_t id[64];
	static uint8_t mask[64];
	static int32_t label[64];
	static float weight[64];
	struct ax_row r = {.n = 1 + k * 7 % 31, .id = id, .mask = mask, .split = k % 5 == 4, .number = k + 1};

	for (uint32_t i = 0; i < r.n; i++) {
		id[i] = (k * 100 + i) & 0xffff;
		mask[i] = i > r.n / 3;
		label[i] = mask[i] ? (int32_t)id[i] + 1 : AX_LABEL_NONE;
		weight[i] = 0.5f;
	}
	r.label = k % 4 == 1 ? label : NULL;
	r.weight = k % 6 == 2 ? weight : NULL;
	return r;
}

static void tokens(const char *path, int bits, int level, uint32_t n)
{
	struct ax_stream_writer w;
	struct ax_arena a;
	struct ax_out o;

	ax_arena_init(&a, 0);
	must(ax_out_open(&o, path, 0, &e));
	must(ax_stream_writer_open(&w, &o, ax_header_new(&a, "tokens", bits), level, &e));
	for (uint32_t k = 0; k < n; k++) {
		struct ax_row r = make_row(k);

		must(ax_stream_write(&w, &r, &e));
	}
	must(ax_stream_writer_finish(&w, NULL, NULL, &e));
	must(ax_out_commit(&o, &e));
	ax_stream_writer_release(&w);
	ax_out_abort(&o);
	ax_arena_release(&a);
}

/* Two streams, joined, that say what they were made of. */
static void made(const char *path)
{
	char *argv[] = {"x", "--seed", "1", NULL};
	struct ax_stream_writer w;
	struct ax_inputs in;
	struct ax_arena a;
	struct ax_val *h;
	struct ax_out o;

	ax_arena_init(&a, 0);
	h = ax_header_new(&a, "tokens", 32);
	must(ax_out_open(&o, path, 0, &e));
	for (uint32_t part = 0; part < 2; part++) {
		struct ax_row r = make_row(part);

		ax_inputs_init(&in);
		must(!ax_header_provenance(&a, h, true, "ax-x", 3, argv, NULL));
		must(ax_stream_writer_open(&w, &o, h, 0, &e));
		must(ax_stream_write(&w, &r, &e));
		must(ax_inputs_add(&in, NULL, NULL, &w.totals, part, &e));
		must(ax_inputs_add(&in, h, NULL, &w.totals, part, &e));
		must(ax_stream_writer_finish(&w, NULL, ax_inputs_trailer(&in, &a), &e));
		ax_stream_writer_release(&w);
		ax_inputs_release(&in);
	}
	must(ax_out_commit(&o, &e));
	ax_out_abort(&o);
	ax_arena_release(&a);
}

static void packs(const char *path, int level, uint32_t n)
{
	struct ax_pack_writer w;
	struct ax_arena a;
	struct ax_val *h;
	struct ax_out o;

	ax_arena_init(&a, 0);
	h = ax_header_new(&a, "packs", 32);
	ax_val_set(&a, h, "sequence_len", ax_val_int(&a, 32));
	must(ax_out_open(&o, path, 0, &e));
	must(ax_pack_writer_open(&w, &o, h, level, &e));
	for (uint32_t k = 0; k < n; k++) {
		struct ax_row r = make_row(k);

		must(ax_pack_write(&w, &r, 1, &e));
	}
	must(ax_pack_writer_finish(&w, NULL, NULL, &e));
	must(ax_out_commit(&o, &e));
	ax_pack_writer_release(&w);
	ax_out_abort(&o);
	ax_arena_release(&a);
}

static void payload(const char *path, int bits, bool in_packs)
{
	struct ax_block_writer w;
	struct ax_buf b = AX_BUF_INIT;

	ax_block_writer_init(&w, bits, in_packs);
	for (uint32_t k = 0; k < 5; k++) {
		struct ax_row r = make_row(k);

		r.split = 0;
		ax_block_add(&w, &r);
		if (in_packs && k % 2 == 0)
			ax_block_end_pack(&w);
	}
	must(ax_block_finish(&w, &e));
	ax_buf_addc(&b, (char)(0x60 | (in_packs ? 2 : 0) | (bits == 16 ? 1 : 0)));
	ax_buf_add(&b, w.payload.p, w.payload.n);
	must(ax_write_file(path, b.p, b.n, &e));
	ax_block_writer_release(&w);
	ax_buf_release(&b);
}

static void shard(const char *path, int level)
{
	struct ax_buf out = AX_BUF_INIT, b = AX_BUF_INIT;
	struct ax_shards_writer w;
	struct ax_pack_reader r;
	struct ax_pack p;
	bool end = false;

	packs("build/seed.axp", 0, 8);
	must(ax_pack_reader_open(&r, "build/seed.axp", &e));
	must(ax_shards_writer_open(&w, "build/seed-shards", r.s.header, 1, level, false, &e));
	while (!ax_pack_reader_next(&r, &p, &end, &e) && !end)
		must(ax_shards_write(&w, &p, &e));
	must(ax_shards_writer_finish(&w, NULL, NULL, NULL, &e));
	ax_shards_writer_release(&w);
	ax_pack_reader_close(&r);
	must(ax_read_file("build/seed-shards/index.axi", SIZE_MAX, &b, &e));
	ax_buf_add_u32(&out, (uint32_t)b.n);
	ax_buf_add(&out, b.p, b.n);
	must(ax_read_file("build/seed-shards/shard-00000.axs", SIZE_MAX, &b, &e));
	ax_buf_add(&out, b.p, b.n);
	must(ax_write_file(path, out.p, out.n, &e));
	ax_buf_release(&b);
	ax_buf_release(&out);
}

int main(void)
{
	tokens(CORPUS "stream/tokens-16", 16, 0, 12);
	tokens(CORPUS "stream/tokens-32-zstd", 32, 3, 12);
	tokens(CORPUS "stream/empty", 32, 0, 0);
	made(CORPUS "stream/made");
	packs(CORPUS "stream/packs", 0, 12);
	payload(CORPUS "pack/rows-16", 16, false);
	payload(CORPUS "pack/rows-32", 32, false);
	payload(CORPUS "pack/packs-16", 16, true);
	payload(CORPUS "pack/packs-32", 32, true);
	shard(CORPUS "shard/raw", 0);
	shard(CORPUS "shard/zstd", 3);
	return 0;
}
