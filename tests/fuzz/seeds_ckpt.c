/*
 * Makes the seeds of fuzz_ckpt and fuzz_safetensors. By hand, when a format changes:
 *	cc -std=gnu11 -Ilib -o build/seeds_ckpt tests/fuzz/seeds_ckpt.c build/libax.a -lxxhash -lm -pthread && build/seeds_ckpt
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/io.h"
#include "fmt/safetensors.h"

#define CORPUS "tests/fuzz/corpus/"

static const char manifest[] =
	"{\"kind\": \"ax-checkpoint\", \"version\": 0, \"ax\": \"0\", \"parts\": [\"master\", \"m\", \"v\"], \"elements\": 10,\n"
	"\"files\": [{\"name\": \"rank-00001-of-00001.safetensors\", \"bytes\":%8zu, \"header_xxh3\": \"%016" PRIx64 "\", \"tensors\": %d}],\n"
	"\"parameters\": [{\"name\": \"a\", \"shape\": [2, 3], \"base_dtype\": \"BF16\"}, {\"name\": \"b.w\", \"shape\": [4], \"base_dtype\": \"F32\"}]}\n";
static const char model_manifest[] =
	"{\"kind\": \"ax-checkpoint\", \"version\": 0, \"ax\": \"0\", \"parts\": [\"master\"], \"elements\": 10,\n"
	"\"files\": [{\"name\": \"rank-00001-of-00001.safetensors\", \"bytes\":%8zu, \"header_xxh3\": \"%016" PRIx64 "\", \"tensors\": %d}],\n"
	"\"parameters\": [{\"name\": \"a\", \"shape\": [2, 3], \"base_dtype\": \"BF16\"}, {\"name\": \"b.w\", \"shape\": [4], \"base_dtype\": \"F32\"}]}\n";
static const char state[] = "{\"step\": 1, \"total_steps\": 2, \"packs_consumed\": 1, \"global_batch\": 1, \"seed\": \"42\", "
			    "\"tokens_seen\": 9, \"trained_tokens_seen\": 9, \"packs\": 3, \"data_sum\": [\"1\", \"2\", \"3\"], \"keys\": {}}\n";

static void must(bool ok)
{
	if (!ok)
		exit(1);
}

/* A rank file of parameters a (in two pieces) and b.w; n_part parts. */
static void rank_file(struct ax_buf *b, int n_part)
{
	static const struct {
		const char *name;
		int64_t n;
	} piece[] = {{"a@0", 2}, {"a@2", 4}, {"b.w@0", 4}};
	static const char *const part[] = {"master", "m", "v"};
	struct ax_st_tensor t[9] = {{0}};
	static float data[4] = {1, 2, 3, 4};
	struct ax_val *meta;
	struct ax_arena a;
	char hex[17];
	uint64_t total;
	size_t n = 0;

	ax_arena_init(&a, 0);
	meta = ax_val_map(&a);
	for (int p = 0; p < n_part; p++)
		for (size_t i = 0; i < 3; i++, n++) {
			char *name = ax_arena_alloc(&a, 32);

			snprintf(name, 32, "%s/%s", part[p], piece[i].name);
			t[n] = (struct ax_st_tensor){.name = name, .dtype = AX_ST_F32, .n_dim = 1, .dim = {piece[i].n}};
			snprintf(hex, sizeof(hex), "%016" PRIx64, ax_hash64(data, (size_t)piece[i].n * 4));
			ax_val_set(&a, meta, name, ax_val_str(&a, hex, 16));
		}
	must(!ax_st_layout(t, n, &total, NULL) && !ax_st_header(b, t, n, meta, NULL));
	for (size_t i = 0; i < n; i++)
		ax_buf_add(b, data, t[i].bytes);
	ax_arena_release(&a);
}

static void checkpoint(const char *path, const char *text, int n_part)
{
	struct ax_buf f = AX_BUF_INIT, m = AX_BUF_INIT, out = AX_BUF_INIT;

	rank_file(&f, n_part);
	ax_buf_addf(&m, text, f.n, ax_hash64(f.p, (size_t)ax_get_u64(f.p) + 8), n_part * 3);
	ax_buf_add_u32(&out, (uint32_t)m.n);
	ax_buf_add_u32(&out, (uint32_t)strlen(state));
	ax_buf_add(&out, m.p, m.n);
	ax_buf_adds(&out, state);
	ax_buf_add(&out, f.p, f.n);
	must(!ax_write_file(path, out.p, out.n, NULL));
	must(n_part != 3 || !ax_write_file(CORPUS "safetensors/rank", f.p, f.n, NULL));
	ax_buf_release(&f);
	ax_buf_release(&m);
	ax_buf_release(&out);
}

static void put_st(const char *name, const char *header, size_t n_data)
{
	struct ax_buf b = AX_BUF_INIT;
	char path[128];

	ax_buf_add_u64(&b, strlen(header));
	ax_buf_adds(&b, header);
	for (size_t i = 0; i < n_data; i++)
		ax_buf_addc(&b, (char)i);
	snprintf(path, sizeof(path), CORPUS "safetensors/%s", name);
	must(!ax_write_file(path, b.p, b.n, NULL));
	ax_buf_release(&b);
}

static void model(void)
{
	static const char index[] = "{\"metadata\": {\"total_size\": 4}, \"weight_map\": {\"w\": \"m.safetensors\"}}";
	static const char header[] = "{\"w\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}";
	struct ax_buf b = AX_BUF_INIT;

	ax_buf_addc(&b, 'i');
	ax_buf_add_u32(&b, (uint32_t)strlen(index));
	ax_buf_adds(&b, index);
	ax_buf_add_u64(&b, strlen(header));
	ax_buf_adds(&b, header);
	ax_buf_add(&b, "abcd", 4);
	must(!ax_write_file(CORPUS "safetensors/model", b.p, b.n, NULL));
	ax_buf_release(&b);
}

int main(void)
{
	must(!ax_mkdirs(CORPUS "ckpt", NULL) && !ax_mkdirs(CORPUS "safetensors", NULL));
	checkpoint(CORPUS "ckpt/whole", manifest, 3);
	checkpoint(CORPUS "ckpt/model-only", model_manifest, 1);
	put_st("scalar", "{\"x\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}", 8);
	put_st("empty-tensor", "{\"x\":{\"dtype\":\"F16\",\"shape\":[0,5],\"data_offsets\":[0,0]},\"y\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3);
	put_st("four-bits", "{\"x\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,2]}}", 2);
	put_st("hole", "{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2);
	put_st("overflow", "{\"x\":{\"dtype\":\"F64\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8);
	put_st("twice", "{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
	model();
	return 0;
}
