#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmt/stream.h"
#include "text/json.h"

const char *ax_file_name(enum ax_file kind)
{
	static const char *const name[] = {"unknown file", "token stream", "stream of packs", "shard file",
					   "index of a shard folder", "shard folder", "safetensors file",
					   "model folder", "checkpoint folder", "zstd file", "gzip file",
					   "framed file of unknown kind", "folder"};

	return name[kind];
}

static enum ax_file sniff_frames(const unsigned char *p, size_t n, struct ax_in *in)
{
	static const enum ax_file of[] = {AX_FILE_TOKENS, AX_FILE_PACKS, AX_FILE_SHARD, AX_FILE_SHARD_INDEX};
	static const char *const kind[] = {"tokens", "packs", "shard", "shards"};
	enum ax_file found = AX_FILE_FRAMES;
	struct ax_frame_head h;
	struct ax_frame_dec d;
	const unsigned char *raw;
	unsigned char *stored;
	struct ax_arena a;
	struct ax_val *v;
	size_t got;

	if (n < AX_FRAME_HEAD || ax_frame_head_parse(&h, p, NULL) || h.kind != AX_FRAME_HEADER)
		return found;
	ax_frame_dec_init(&d);
	ax_arena_init(&a, (size_t)64 << 20);
	stored = ax_malloc(h.stored);
	if (stored && !ax_in_read(in, stored, h.stored, &got, NULL) && got == h.stored &&
	    !ax_frame_decode(&d, &h, stored, &raw, NULL) && !ax_json_parse(&a, (const char *)raw, h.raw, &v, NULL))
		for (size_t i = 0; i < 4; i++)
			if (!strcmp(ax_header_kind(v), kind[i]))
				found = of[i];
	ax_free(stored);
	ax_arena_release(&a);
	ax_frame_dec_release(&d);
	return found;
}

static bool has(const char *dir, const char *name, bool *oom)
{
	char *p = ax_path_join(dir, name);
	bool yes = p && ax_path_exists(p);

	*oom |= !p;
	ax_free(p);
	return yes;
}

static int sniff_dir(const char *dir, enum ax_file *kind, struct ax_err *e)
{
	bool oom = false;

	if (has(dir, "index.axi", &oom))
		*kind = AX_FILE_SHARDS;
	else if (has(dir, "manifest.json", &oom))
		*kind = AX_FILE_CHECKPOINT;
	else if (has(dir, "config.json", &oom) &&
		 (has(dir, "model.safetensors", &oom) || has(dir, "model.safetensors.index.json", &oom)))
		*kind = AX_FILE_MODEL;
	else
		*kind = AX_FILE_DIR;
	return oom ? ax_fail(e, AX_EMEM, "out of memory") : 0;
}

int ax_sniff(const char *path, enum ax_file *kind, struct ax_err *e)
{
	unsigned char p[AX_FRAME_HEAD] = {0};
	struct ax_in in;
	size_t n;
	int rc;

	*kind = AX_FILE_UNKNOWN;
	if (ax_path_is_dir(path))
		return sniff_dir(path, kind, e);
	AX_TRY(ax_in_open(&in, path, e));
	rc = ax_in_read(&in, p, sizeof(p), &n, e);
	if (!rc && n >= 4) {
		uint64_t json = ax_get_u64(p);

		if (ax_get_u32(p) == AX_FRAME_MAGIC)
			*kind = sniff_frames(p, n, &in);
		else if (ax_get_u32(p) == 0xfd2fb528u)
			*kind = AX_FILE_ZSTD;
		else if (p[0] == 0x1f && p[1] == 0x8b)
			*kind = AX_FILE_GZIP;
		else if (n > 8 && p[8] == '{' && json >= 2 && json <= 100000000u && in.size >= json + 8)
			*kind = AX_FILE_SAFETENSORS;
	}
	ax_in_close(&in);
	return rc;
}
