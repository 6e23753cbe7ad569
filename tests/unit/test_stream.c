#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "fmt/shard.h"
#include "text/json.h"

#define DIR_TMP "build/tmp-stream"
#define FILE_A DIR_TMP "/a.axt"
#define FILE_B DIR_TMP "/b.axt"

static struct ax_err err;
#define OK(x) assert_int_equal((x) ? (print_error("%s\n", err.msg), 1) : 0, 0)

/* A row that is a function of k, with all columns in some of them. */
static void make_row(struct ax_row *r, uint64_t k, int id_bits)
{
	static uint32_t id[AX_ROW_MAX];
	static uint8_t mask[AX_ROW_MAX];
	static int32_t label[AX_ROW_MAX];
	static float weight[AX_ROW_MAX];

	memset(r, 0, sizeof(*r));
	r->n = 1 + (uint32_t)(ax_rand_u64(1, 1, k) % 200);
	for (uint32_t i = 0; i < r->n; i++) {
		uint64_t x = ax_rand_u64(2, (uint32_t)k, i);

		id[i] = (uint32_t)x & (id_bits == 16 ? 0xffff : 0x3ffff);
		mask[i] = (x >> 40) % 3 != 0;
		label[i] = mask[i] ? (int32_t)(id[i] ^ 1) : AX_LABEL_NONE;
		weight[i] = (float)i / 7;
	}
	r->id = id;
	r->mask = mask;
	r->label = k % 5 == 2 ? label : NULL;
	r->weight = k % 7 == 3 ? weight : NULL;
	r->split = k % 11 == 10;
	r->source = (uint32_t)(k % 3);
	r->number = k + 1;
}

static struct ax_val *make_header(struct ax_arena *a, const char *kind, int id_bits, const char *fp)
{
	struct ax_val *h = ax_header_new(a, kind, id_bits), *t = ax_val_map(a);

	ax_val_set(a, t, "fingerprint", ax_val_str(a, fp, strlen(fp)));
	ax_val_set(a, h, "tokenizer", t);
	ax_val_set(a, h, "sequence_len", ax_val_int(a, 512));
	return h;
}

#define FP "00112233445566778899aabbccddeeff"

static void write_tokens(const char *path, uint64_t from, uint64_t to, int id_bits, int level, const char *fp)
{
	struct ax_totals drops = {0};
	struct ax_stream_writer w;
	struct ax_arena a;
	struct ax_out o;

	ax_arena_init(&a, 0);
	OK(ax_mkdirs(DIR_TMP, &err));
	OK(ax_out_open(&o, path, 0, &err));
	OK(ax_stream_writer_open(&w, &o, make_header(&a, "tokens", id_bits, fp), level, &err));
	for (uint64_t k = from; k < to; k++) {
		struct ax_row r;

		make_row(&r, k, id_bits);
		OK(ax_stream_write(&w, &r, &err));
	}
	ax_totals_dropped(&drops, AX_SPLIT_TRAIN, "too_long", 3);
	ax_totals_truncated(&drops, AX_SPLIT_EVAL, "too_long", 1);
	OK(ax_stream_writer_finish(&w, &drops, NULL, &err));
	OK(ax_out_commit(&o, &err));
	ax_stream_writer_release(&w);
	ax_out_abort(&o);
	ax_arena_release(&a);
}

static void assert_row(const struct ax_row *r, uint64_t k, int id_bits)
{
	struct ax_row x;

	make_row(&x, k, id_bits);
	assert_int_equal(r->n, x.n);
	assert_memory_equal(r->id, x.id, x.n * 4);
	assert_memory_equal(r->mask, x.mask, x.n);
	assert_int_equal(r->label != NULL, x.label != NULL);
	assert_int_equal(r->weight != NULL, x.weight != NULL);
	if (x.label)
		assert_memory_equal(r->label, x.label, x.n * 4);
	if (x.weight)
		assert_memory_equal(r->weight, x.weight, x.n * 4);
	assert_int_equal(r->split, x.split);
	assert_int_equal(r->source, x.source);
	assert_int_equal(r->number, x.number);
}

static void test_round_trip(void **state)
{
	for (int bits = 16; bits <= 32; bits += 16)
		for (int level = 0; level <= 3; level += 3) {
			struct ax_stream s;
			struct ax_row r;
			bool end = false;
			uint64_t k = 0, tokens = 0;

			write_tokens(FILE_A, 0, 9000, bits, level, FP);
			OK(ax_stream_open(&s, FILE_A, &err));
			assert_int_equal(ax_header_sequence_len(s.header), 512);
			while (OK(ax_stream_next(&s, &r, &end, &err)), !end) {
				assert_row(&r, k++, bits);
				tokens += r.n;
			}
			assert_int_equal(k, 9000);
			assert_true(s.n_frame > 1);
			assert_int_equal(s.totals.split[0].tokens + s.totals.split[1].tokens, tokens);
			assert_string_equal(s.totals.split[0].reason[0].name, "too_long");
			assert_int_equal(s.totals.split[0].reason[0].dropped, 3);
			assert_int_equal(s.totals.split[1].reason[0].truncated, 1);
			ax_stream_close(&s);
		}
}

static void append_file(const char *to, const char *from)
{
	struct ax_buf a = AX_BUF_INIT, b = AX_BUF_INIT;

	OK(ax_read_file(to, SIZE_MAX, &a, &err));
	OK(ax_read_file(from, SIZE_MAX, &b, &err));
	ax_buf_add(&a, b.p, b.n);
	OK(ax_write_file(to, a.p, a.n, &err));
	ax_buf_release(&a);
	ax_buf_release(&b);
}

static int read_all(const char *path, uint64_t *rows)
{
	struct ax_stream s;
	struct ax_row r;
	bool end = false;
	int rc;

	*rows = 0;
	memset(&err, 0, sizeof(err));
	rc = ax_stream_open(&s, path, &err);
	if (rc)
		return rc;
	while (!(rc = ax_stream_next(&s, &r, &end, &err)) && !end)
		++*rows;
	ax_stream_close(&s);
	return rc;
}

static void test_concatenation(void **state)
{
	uint64_t rows;

	write_tokens(FILE_A, 0, 10, 32, 0, FP);
	write_tokens(FILE_B, 10, 30, 16, 1, FP); /* another id width joins */
	append_file(FILE_A, FILE_B);
	OK(read_all(FILE_A, &rows));
	assert_int_equal(rows, 30);
	write_tokens(FILE_B, 0, 10, 32, 0, "ff112233445566778899aabbccddeeff");
	append_file(FILE_A, FILE_B);
	assert_int_equal(read_all(FILE_A, &rows), AX_EDATA);
	assert_non_null(strstr(err.msg, "different tokenizers"));
	assert_int_equal(rows, 30);
}

static void test_empty(void **state)
{
	uint64_t rows;

	OK(ax_write_file(FILE_A, "", 0, &err));
	assert_int_equal(read_all(FILE_A, &rows), AX_EDATA);
	assert_non_null(strstr(err.msg, "is empty"));
	OK(ax_write_file(FILE_A, "{\"text\": \"hello, this is no stream\"}", 36, &err));
	assert_int_equal(read_all(FILE_A, &rows), AX_EDATA);
	assert_non_null(strstr(err.msg, "wrong magic"));
	write_tokens(FILE_A, 0, 0, 32, 0, FP);
	OK(read_all(FILE_A, &rows));
	assert_int_equal(rows, 0);
}

static void test_largest_row(void **state)
{
	struct ax_row r;
	struct ax_stream_writer w;
	struct ax_arena a;
	struct ax_out o;
	uint32_t *id = ax_calloc(AX_ROW_MAX, 4);
	uint8_t *mask = ax_calloc(AX_ROW_MAX, 1);
	float *weight = ax_calloc(AX_ROW_MAX, 4);
	int32_t *label = ax_calloc(AX_ROW_MAX, 4);
	uint64_t rows;

	for (uint32_t i = 0; i < AX_ROW_MAX; i++)
		label[i] = AX_LABEL_NONE;
	ax_arena_init(&a, 0);
	OK(ax_out_open(&o, FILE_A, 0, &err));
	OK(ax_stream_writer_open(&w, &o, make_header(&a, "tokens", 32, FP), 0, &err));
	for (uint64_t k = 0; k < 2000; k++) {
		make_row(&r, k, 32);
		OK(ax_stream_write(&w, &r, &err));
	}
	r = (struct ax_row){.n = AX_ROW_MAX, .id = id, .mask = mask, .weight = weight, .label = label, .number = 1};
	OK(ax_stream_write(&w, &r, &err));
	OK(ax_stream_write(&w, &r, &err));
	r.n++;
	assert_int_equal(ax_stream_write(&w, &r, &err), AX_EDATA);
	r.n = 0;
	assert_int_equal(ax_stream_write(&w, &r, &err), AX_EDATA);
	OK(ax_stream_writer_finish(&w, NULL, NULL, &err));
	OK(ax_out_commit(&o, &err));
	ax_stream_writer_release(&w);
	ax_out_abort(&o);
	OK(read_all(FILE_A, &rows));
	assert_int_equal(rows, 2002);
	ax_arena_release(&a);
	ax_free(id);
	ax_free(mask);
	ax_free(weight);
	ax_free(label);
}

static void test_row_check(void **state)
{
	uint32_t id[3] = {1, 2, 70000};
	uint8_t mask[3] = {0, 1, 1};
	int32_t label[3] = {AX_LABEL_NONE, 5, 6};
	float weight[3] = {1, 1, 1};
	struct ax_row r = {.n = 3, .id = id, .mask = mask, .label = label, .weight = weight};

	OK(ax_row_check(&r, 32, &err));
	assert_int_equal(ax_row_trained(&r), 2);
	assert_int_equal(ax_row_check(&r, 16, &err), AX_EDATA);
	label[1] = AX_LABEL_NONE;
	assert_int_equal(ax_row_check(&r, 32, &err), AX_EDATA);
	label[1] = 5;
	mask[0] = 2;
	assert_int_equal(ax_row_check(&r, 32, &err), AX_EDATA);
	mask[0] = 0;
	weight[0] = 1.0f / 0.0f;
	assert_int_equal(ax_row_check(&r, 32, &err), AX_EDATA);
	weight[0] = 1;
	r.split = 2;
	assert_int_equal(ax_row_check(&r, 32, &err), AX_EDATA);
}

static void frame(struct ax_buf *b, uint16_t kind, const void *p, size_t n)
{
	struct ax_frame_enc enc = {0};
	struct ax_frame_head h;
	unsigned char head[AX_FRAME_HEAD];
	const void *stored;

	OK(ax_frame_encode(&enc, kind, p, n, &h, &stored, &err));
	ax_frame_head_put(&h, head);
	ax_buf_add(b, head, sizeof(head));
	ax_buf_add(b, stored, n);
}

/* Insert a frame after the header frame of FILE_A. */
static int insert_frame(uint16_t kind)
{
	struct ax_buf a = AX_BUF_INIT, b = AX_BUF_INIT;
	struct ax_frame_head h;
	uint64_t rows;
	size_t at;
	int rc;

	write_tokens(FILE_A, 0, 10, 32, 0, FP);
	OK(ax_read_file(FILE_A, SIZE_MAX, &a, &err));
	OK(ax_frame_head_parse(&h, (unsigned char *)a.p, &err));
	at = AX_FRAME_HEAD + h.stored;
	ax_buf_add(&b, a.p, at);
	frame(&b, kind, "news", 4);
	ax_buf_add(&b, a.p + at, a.n - at);
	OK(ax_write_file(FILE_A, b.p, b.n, &err));
	rc = read_all(FILE_A, &rows);
	ax_buf_release(&a);
	ax_buf_release(&b);
	return rc;
}

static void test_unknown_kind(void **state)
{
	assert_int_equal(insert_frame(77), AX_EDATA);
	assert_non_null(strstr(err.msg, "not known"));
	/* a skipped frame moves the data frames: the index no longer fits, which a writer of new kinds would have done */
	assert_int_equal(insert_frame(77 | AX_FRAME_SKIP), AX_EDATA);
	assert_non_null(strstr(err.msg, "index"));
}

static void test_unknown_column(void **state)
{
	struct ax_block_writer w;
	struct ax_block b;
	struct ax_row r;
	struct ax_buf p = AX_BUF_INIT;
	uint32_t n_col;

	ax_block_writer_init(&w, 32, false);
	make_row(&r, 2, 32);
	ax_block_add(&w, &r);
	OK(ax_block_finish(&w, &err));
	n_col = ax_get_u32(w.payload.p + 4);
	for (int flag = 0; flag <= 1; flag++) {
		size_t head = 8 + (size_t)n_col * 8;

		ax_buf_reset(&p);
		ax_buf_add_u32(&p, 1);
		ax_buf_add_u32(&p, n_col + 1);
		ax_buf_add(&p, w.payload.p + 8, head - 8);
		ax_buf_add_u32(&p, 40 | (uint32_t)flag << 16);
		ax_buf_add_u32(&p, 3);
		ax_buf_add(&p, w.payload.p + head, w.payload.n - head);
		ax_buf_add(&p, "abc\0\0\0\0\0", 8);
		ax_block_init(&b);
		assert_int_equal(ax_block_parse(&b, (unsigned char *)p.p, p.n, 32, false, &err), flag ? 0 : AX_EDATA);
		if (flag) {
			assert_true(ax_block_next(&b, &r));
			assert_row(&r, 2, 32);
		}
		ax_block_release(&b);
	}
	ax_block_writer_release(&w);
	ax_buf_release(&p);
}

static void test_header(void **state)
{
	char *argv[] = {"ax-x", "--a", "b\xff", NULL};
	char *idle[] = {"ax-z", "-o", "x", "--threads", "8", "-oy", "--threads=3", "--output=z", "in", "--output", NULL};
	struct ax_val *h, *d;
	struct ax_arena a;

	ax_arena_init(&a, 0);
	h = make_header(&a, "tokens", 32, FP);
	OK(ax_header_check(h, "tokens", &err));
	assert_int_equal(ax_header_check(h, "packs", &err), AX_EDATA);
	assert_true(ax_header_provenance(&a, h, true, "ax-x", 3, argv, NULL));
	d = ax_header_derive(&a, h, "packs");
	assert_true(ax_header_provenance(&a, d, true, "ax-y", 1, argv, NULL));
	assert_int_equal(ax_val_len(ax_val_get(d, "provenance")), 2);
	assert_int_equal(ax_val_len(ax_val_get(h, "provenance")), 1);
	assert_true(ax_val_is(ax_val_at(ax_val_get(ax_val_at(ax_val_get(d, "provenance"), 0), "args"), 1), "b?"));
	assert_true(ax_header_provenance(&a, d, true, "ax-z", 10, idle, NULL));
	assert_int_equal(ax_val_len(ax_val_get(ax_val_at(ax_val_get(d, "provenance"), 2), "args")), 1);
	assert_true(ax_val_is(ax_val_at(ax_val_get(ax_val_at(ax_val_get(d, "provenance"), 2), "args"), 0), "in"));
	assert_true(ax_header_provenance(&a, d, false, "ax-y", 1, argv, NULL));
	assert_null(ax_val_get(d, "provenance"));
	ax_val_set(&a, h, "version", ax_val_int(&a, 1));
	assert_int_equal(ax_header_check(h, NULL, &err), AX_EDATA);
	ax_arena_release(&a);
}

static void test_zstd_window(void **state)
{
	/* a zstd frame header that asks for a window of 2^27 bytes */
	static const unsigned char z[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x03, 0x00, 0x00, 0x61};
	struct ax_frame_head h = {.kind = 1, .codec = AX_CODEC_ZSTD, .raw = 100, .stored = sizeof(z)};
	struct ax_frame_dec d;
	const unsigned char *raw;

	h.check = (uint32_t)ax_hash64(z, sizeof(z));
	ax_frame_dec_init(&d);
	assert_int_equal(ax_frame_decode(&d, &h, z, &raw, &err), AX_EDATA);
	assert_non_null(strstr(err.msg, "window"));
	ax_frame_dec_release(&d);
}

static void test_sniff(void **state)
{
	enum ax_file k;

	write_tokens(FILE_A, 0, 3, 32, 1, FP);
	OK(ax_sniff(FILE_A, &k, &err));
	assert_int_equal(k, AX_FILE_TOKENS);
	OK(ax_write_file(FILE_B, "\x28\xb5\x2f\xfd....", 8, &err));
	OK(ax_sniff(FILE_B, &k, &err));
	assert_int_equal(k, AX_FILE_ZSTD);
	OK(ax_write_file(FILE_B, "hello", 5, &err));
	OK(ax_sniff(FILE_B, &k, &err));
	assert_int_equal(k, AX_FILE_UNKNOWN);
	OK(ax_sniff(DIR_TMP, &k, &err));
	assert_int_equal(k, AX_FILE_DIR);
	assert_int_equal(ax_sniff(DIR_TMP "/none", &k, &err), AX_EIO);
}

static int tail_of(const char *path, struct ax_arena *a, struct ax_tail *t)
{
	struct ax_in in;
	int rc;

	OK(ax_in_open(&in, path, &err));
	rc = ax_stream_tail(&in, a, t, &err);
	ax_in_close(&in);
	return rc;
}

static void test_tail(void **state)
{
	struct ax_tail t;
	uint64_t rows;

	write_tokens(FILE_A, 0, 1000, 32, 0, FP);
	write_tokens(FILE_B, 1000, 1500, 16, 2, FP);
	append_file(FILE_A, FILE_B);
	OK(tail_of(FILE_A, NULL, &t));
	assert_int_equal(t.totals.sum.n, 1500);
	assert_int_equal(t.n_stream, 2);
	assert_int_equal(t.totals.split[0].reason[0].dropped, 6);
	OK(read_all(FILE_A, &rows));
	assert_int_equal(rows, 1500);
	OK(ax_write_file(FILE_A, "too short", 9, &err));
	assert_int_equal(tail_of(FILE_A, NULL, &t), AX_EDATA);
	assert_non_null(strstr(err.msg, "without a trailer"));
}

/* Every row and pack is found where reading from the start finds it, and only its frame is read. */
static void test_seek(void **state)
{
	struct ax_place before;
	struct ax_stream s;
	struct ax_row r;
	bool end;

	write_tokens(FILE_A, 0, 9000, 32, 0, FP);
	write_tokens(FILE_B, 9000, 9000, 32, 0, FP); /* an empty one between */
	append_file(FILE_A, FILE_B);
	write_tokens(FILE_B, 9000, 12000, 16, 1, FP);
	append_file(FILE_A, FILE_B);
	for (uint64_t n = 1; n <= 12001; n += n > 8990 && n < 9010 ? 1 : n == 12000 ? 1 : 10 - n % 10) {
		OK(ax_stream_open(&s, FILE_A, &err));
		if (n > 12000) {
			assert_false(ax_stream_seek(&s, false, n, &before));
			OK(ax_stream_next(&s, &r, &end, &err)); /* and the stream is where it was */
			assert_row(&r, 0, 32);
		} else {
			uint64_t k;

			assert_true(ax_stream_seek(&s, false, n, &before));
			assert_true(before.rows < n);
			for (k = before.rows; k < n; k++)
				OK(ax_stream_next(&s, &r, &end, &err));
			assert_row(&r, n - 1, n > 9000 ? 16 : 32);
			while (OK(ax_stream_next(&s, &r, &end, &err)), !end)
				k++;
			assert_int_equal(k, before.rows + s.block.n_row);
			assert_true(s.block.n_row < 6000);
		}
		ax_stream_close(&s);
	}
	OK(ax_stream_open(&s, FILE_A, &err));
	assert_false(ax_stream_seek(&s, true, 1, &before)); /* no packs in it */
	ax_stream_close(&s);
}

/* Headers and trailers up to the limit are written and read, larger ones are refused by the writer. */
static void test_large_header(void **state)
{
	char *text = ax_malloc(AX_HEADER_MAX);
	struct ax_stream_writer w;
	struct ax_val *h, *extra;
	struct ax_arena a;
	struct ax_tail t;
	struct ax_out o;
	uint64_t rows;

	memset(text, 'x', AX_HEADER_MAX);
	for (int i = 0; i < 3; i++) {
		size_t head = i == 0 ? AX_HEADER_MAX : AX_HEADER_MAX - 1000, tail = i == 1 ? AX_HEADER_MAX - 100 : head;

		ax_arena_init(&a, 0);
		h = make_header(&a, "tokens", 32, FP);
		extra = ax_val_map(&a);
		ax_val_set(&a, h, "news", ax_val_str(&a, text, head));
		ax_val_set(&a, extra, "news", ax_val_str(&a, text, tail));
		OK(ax_out_open(&o, FILE_A, 0, &err));
		assert_int_equal(ax_stream_writer_open(&w, &o, h, 0, &err), i == 0 ? AX_EMEM : 0);
		if (i)
			assert_int_equal(ax_stream_writer_finish(&w, NULL, extra, &err), i == 1 ? AX_EMEM : 0);
		if (i == 2)
			OK(ax_out_commit(&o, &err));
		ax_stream_writer_release(&w);
		ax_out_abort(&o);
		ax_arena_release(&a);
	}
	OK(read_all(FILE_A, &rows));
	OK(tail_of(FILE_A, NULL, &t));
	ax_free(text);
}

/* --- provenance --- */

static void write_made(const char *path, uint64_t from, uint64_t to, const char *tool, const char *input)
{
	struct ax_val *h, *extra, *own, *list;
	struct ax_stream_writer w;
	struct ax_arena a;
	struct ax_out o;

	ax_arena_init(&a, 0);
	h = make_header(&a, "tokens", 32, FP);
	assert_true(ax_header_provenance(&a, h, true, tool, 1, (char *[]){"x", NULL}, NULL));
	extra = ax_val_map(&a);
	own = ax_val_map(&a);
	list = ax_val_list(&a);
	ax_val_set(&a, own, "input", ax_val_str(&a, input, strlen(input)));
	ax_val_set(&a, own, "tool", ax_val_str(&a, "forged", 6)); /* completes, never replaces */
	ax_val_push(&a, list, own);
	ax_val_set(&a, extra, "provenance", list);
	OK(ax_mkdirs(DIR_TMP, &err));
	OK(ax_out_open(&o, path, 0, &err));
	OK(ax_stream_writer_open(&w, &o, h, 0, &err));
	for (uint64_t k = from; k < to; k++) {
		struct ax_row r;

		make_row(&r, k, 32);
		OK(ax_stream_write(&w, &r, &err));
	}
	OK(ax_stream_writer_finish(&w, NULL, extra, &err));
	OK(ax_out_commit(&o, &err));
	ax_stream_writer_release(&w);
	ax_out_abort(&o);
	ax_arena_release(&a);
}

/* What ax-pack says of its input: the list that completes the chain. */
static struct ax_val *read_made(const char *path, struct ax_inputs *in, struct ax_arena *a)
{
	struct ax_stream s;
	struct ax_row r;
	bool end = false;

	OK(ax_stream_open(&s, path, &err));
	s.inputs = in;
	while (OK(ax_stream_next(&s, &r, &end, &err)), !end)
		;
	ax_stream_close(&s);
	return ax_inputs_trailer(in, a);
}

static const char *hash_of(struct ax_arena *a, const struct ax_val *trailer, size_t i)
{
	const struct ax_val *own = ax_val_at(ax_val_get(trailer, "provenance"), 1);

	return ax_val_cstr(a, ax_val_get(ax_val_at(ax_val_get(own, "input"), i), "xxh3"), "");
}

static void test_provenance(void **state)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_inputs in;
	struct ax_arena a;
	struct ax_val *t, *h, *chain;
	const char *first;
	char hex[17];

	ax_arena_init(&a, 0);
	write_made(FILE_A, 0, 100, "ax-one", "deadbeef");
	ax_inputs_init(&in);
	t = read_made(FILE_A, &in, &a);
	first = hash_of(&a, t, 0);
	OK(ax_read_file(FILE_A, SIZE_MAX, &b, &err));
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)ax_hash64(b.p, b.n));
	assert_string_equal(first, hex); /* the hash of the file */

	h = make_header(&a, "packs", 32, FP);
	assert_true(ax_header_provenance(&a, h, true, "ax-one", 1, (char *[]){"x", NULL}, NULL));
	assert_true(ax_header_provenance(&a, h, true, "ax-two", 1, (char *[]){"x", NULL}, NULL));
	chain = ax_provenance(&a, h, t);
	assert_int_equal(ax_val_len(chain), 2);
	assert_true(ax_val_is(ax_val_get(ax_val_at(chain, 0), "input"), "deadbeef"));
	assert_true(ax_val_is(ax_val_get(ax_val_at(chain, 0), "tool"), "ax-one"));
	assert_int_equal(ax_val_int_or(ax_val_path(ax_val_at(ax_val_get(ax_val_at(chain, 1), "input"), 0), "rows"), 0), 100);
	assert_int_equal(ax_val_len(ax_provenance(&a, h, NULL)), 2);
	assert_int_equal(ax_val_len(ax_provenance(&a, NULL, t)), 0);
	ax_inputs_release(&in);

	write_made(FILE_A, 0, 101, "ax-one", "deadbeef"); /* a row more: another hash */
	ax_inputs_init(&in);
	t = read_made(FILE_A, &in, &a);
	assert_string_not_equal(first, hash_of(&a, t, 0));
	ax_inputs_release(&in);
	ax_buf_release(&b);
	ax_arena_release(&a);
}

/* Many streams: later ones bring their lists along, up to a number, and memory stays bounded. */
static void test_provenance_joined(void **state)
{
	struct ax_val *t = NULL, *input;
	struct ax_inputs in;
	struct ax_arena a;

	ax_arena_init(&a, 0);
	ax_inputs_init(&in);
	write_made(FILE_A, 0, 10, "ax-one", "deadbeef");
	write_made(FILE_B, 10, 15, "ax-other", "cafe");
	append_file(FILE_A, FILE_B);
	for (int i = 0; i < 50; i++)
		t = read_made(FILE_A, &in, &a);
	assert_int_equal(in.n_stream, 100);
	input = (struct ax_val *)(uintptr_t)ax_val_get(ax_val_at(ax_val_get(t, "provenance"), 1), "input");
	assert_int_equal(ax_val_len(input), AX_INPUTS_MAX + 1);
	assert_null(ax_val_get(ax_val_at(input, 0), "provenance"));
	assert_true(ax_val_is(ax_val_path(ax_val_at(ax_val_get(ax_val_at(input, 1), "provenance"), 0), "input"), "cafe"));
	assert_int_equal(ax_val_int_or(ax_val_get(ax_val_at(input, AX_INPUTS_MAX), "streams"), 0), 36);
	assert_int_equal(ax_val_int_or(ax_val_get(ax_val_at(input, AX_INPUTS_MAX), "rows"), 0), 18 * 15);
	input = ax_provenance_bounded(&a, input, 100);
	assert_int_equal(ax_val_int_or(ax_val_get(input, "entries"), 0), AX_INPUTS_MAX + 1);
	ax_inputs_release(&in);
	ax_arena_release(&a);
}

static int clean(void **state)
{
	return ax_remove_tree(DIR_TMP, NULL);
}

/* Reasons are shown on terminals; hashes too. */
static void test_hostile_text(void **state)
{
	static const char head[] = "{\"tokenizer\": {\"fingerprint\": \"0123456789abcdef0123456789abc\\u001b[2\"}}";
	struct ax_totals t = {0}, back = {0};
	struct ax_arena a;
	struct ax_val *h;
	char fp[33];

	ax_arena_init(&a, 0);
	ax_totals_dropped(&t, AX_SPLIT_TRAIN, "too long", 1);
	assert_int_equal(ax_totals_parse(&back, ax_totals_val(&a, &t), NULL), 0);
	ax_totals_dropped(&t, AX_SPLIT_EVAL, "\033[2J", 1);
	assert_int_equal(ax_totals_parse(&back, ax_totals_val(&a, &t), NULL), AX_EDATA);
	assert_int_equal(ax_json_parse(&a, head, sizeof(head) - 1, &h, NULL), 0);
	assert_int_equal(ax_val_path(h, "tokenizer.fingerprint")->n, 32);
	ax_header_fingerprint(h, fp);
	assert_string_equal(fp, "");
	ax_arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_concatenation),
		cmocka_unit_test(test_empty),	      cmocka_unit_test(test_largest_row),
		cmocka_unit_test(test_row_check),     cmocka_unit_test(test_unknown_kind),
		cmocka_unit_test(test_unknown_column), cmocka_unit_test(test_header),
		cmocka_unit_test(test_zstd_window),   cmocka_unit_test(test_sniff),
		cmocka_unit_test(test_tail),	      cmocka_unit_test(test_seek),
		cmocka_unit_test(test_large_header),  cmocka_unit_test(test_provenance),
		cmocka_unit_test(test_provenance_joined),
		cmocka_unit_test(test_hostile_text),
	};

	return cmocka_run_group_tests(tests, NULL, clean);
}
