#include "fmt/shard.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "text/json.h"

#define FD_SLOTS ((uint32_t)(sizeof(((struct ax_shards *)0)->fd) / sizeof(int)))
#define GROUP_BYTES ((uint64_t)AX_SHARD_GROUP * AX_SHARD_ENTRY)

/* Bytes that n entries take in the index, frame headers included. */
static uint64_t entries_bytes(uint64_t n)
{
	return n * AX_SHARD_ENTRY + (n + AX_SHARD_GROUP - 1) / AX_SHARD_GROUP * AX_FRAME_HEAD;
}

static int parse_files(struct ax_shards *s, const struct ax_val *list, struct ax_err *e)
{
	size_t n = ax_val_len(list);

	if (!list || list->type != AX_LIST || n < 1 || n > AX_SHARD_MAX)
		return ax_fail(e, AX_EDATA, "malformed index (shards)");
	s->n_shard = (uint32_t)n;
	s->name = ax_arena_calloc(&s->arena, n, sizeof(*s->name));
	s->bytes = ax_arena_calloc(&s->arena, n, sizeof(*s->bytes));
	if (!s->name || !s->bytes)
		return ax_fail(e, AX_EMEM, "out of memory for the shard index");
	for (size_t i = 0; i < n; i++) {
		const struct ax_val *f = ax_val_at(list, i);
		int64_t bytes = ax_val_int_or(ax_val_get(f, "bytes"), -1);

		s->name[i] = ax_val_cstr(&s->arena, ax_val_get(f, "file"), NULL);
		if (!s->name[i] || !ax_name_is_safe(s->name[i]) || bytes < 0)
			return ax_fail(e, AX_EDATA, "malformed index (shard %zu: file name or size)", i);
		s->bytes[i] = (uint64_t)bytes;
	}
	return 0;
}

static int parse_header(struct ax_shards *s, const unsigned char *p, size_t n, struct ax_err *e)
{
	struct ax_val *v;

	AX_TRY(ax_json_parse(&s->arena, (const char *)p, n, &v, e));
	AX_TRY(ax_header_check(v, "shards", e));
	s->header = v;
	s->sequence_len = ax_header_sequence_len(v);
	s->id_bits = ax_header_id_bits(v);
	AX_TRY(ax_totals_parse(&s->totals, ax_val_get(v, "totals"), e));
	for (int k = 0; k < AX_N_SPLIT; k++) {
		int64_t packs = ax_val_int_or(ax_val_get(ax_val_get(v, "packs"), ax_split_name(k)), -1);

		if (packs < 0 || (uint64_t)packs > s->index.n / AX_SHARD_ENTRY ||
		    (uint64_t)packs != s->totals.split[k].packs)
			return ax_fail(e, AX_EDATA, "malformed index (number of %s packs)", ax_split_name(k));
		s->n_pack[k] = (uint64_t)packs;
	}
	return parse_files(s, ax_val_get(v, "shards"), e);
}

static int parse_index(struct ax_shards *s, struct ax_err *e)
{
	const unsigned char *p = s->index.p, *raw;
	struct ax_frame_head h;
	uint64_t groups = 0;

	if (s->index.n < AX_FRAME_HEAD)
		return ax_fail(e, AX_EDATA, "ends at byte %zu, in the middle of its header", s->index.n);
	AX_TRY(ax_frame_head_parse(&h, p, e));
	if (h.kind != AX_FRAME_HEADER || h.codec != AX_CODEC_RAW)
		return ax_fail(e, AX_EDATA, "not the index of a shard folder");
	if (h.stored > s->index.n - AX_FRAME_HEAD)
		return ax_fail(e, AX_EDATA, "ends at byte %zu, in the middle of its header", s->index.n);
	AX_TRY(ax_frame_decode(&s->dec, &h, p + AX_FRAME_HEAD, &raw, e));
	AX_TRY(parse_header(s, raw, h.raw, e));
	s->base[0] = AX_FRAME_HEAD + (uint64_t)h.stored;
	s->base[1] = s->base[0] + entries_bytes(s->n_pack[0]);
	if (s->base[1] + entries_bytes(s->n_pack[1]) != s->index.n)
		return ax_fail(e, AX_EDATA, "has %zu bytes where its header announces %llu", s->index.n,
			       (unsigned long long)(s->base[1] + entries_bytes(s->n_pack[1])));
	for (int k = 0; k < AX_N_SPLIT; k++)
		groups += (s->n_pack[k] + AX_SHARD_GROUP - 1) / AX_SHARD_GROUP;
	s->verified = ax_calloc((size_t)groups / 8 + 1, 1);
	return s->verified ? 0 : ax_fail(e, AX_EMEM, "out of memory for the shard index");
}

int ax_shards_open(struct ax_shards *s, const char *dir, struct ax_err *e)
{
	char *path = ax_path_join(dir, AX_SHARD_INDEX);
	int rc;

	memset(s, 0, sizeof(*s));
	ax_arena_init(&s->arena, (size_t)256 << 20);
	ax_frame_dec_init(&s->dec);
	ax_block_init(&s->block);
	ax_pack_buf_init(&s->buf);
	for (uint32_t i = 0; i < FD_SLOTS; i++)
		s->fd[i] = -1;
	s->dir = ax_strdup(dir);
	if (!s->dir || !path)
		rc = ax_fail(e, AX_EMEM, "out of memory");
	else if (!ax_path_exists(path))
		rc = ax_fail(e, AX_EIO, "%s is not a shard folder (no %s in it; ax-shard makes one)", dir,
			     AX_SHARD_INDEX);
	else
		rc = ax_map_open(&s->index, path, e);
	if (!rc) {
		rc = parse_index(s, e);
		if (rc)
			ax_err_prefix(e, "%s: ", path);
	}
	ax_free(path);
	if (rc)
		ax_shards_close(s);
	return rc;
}

/* The frame that holds entry i of a split, verified on first use. */
static int group(struct ax_shards *s, int split, uint64_t i, const unsigned char **p, struct ax_err *e)
{
	uint64_t g = i / AX_SHARD_GROUP, left = s->n_pack[split] - g * AX_SHARD_GROUP;
	uint64_t bit = g + (split ? (s->n_pack[0] + AX_SHARD_GROUP - 1) / AX_SHARD_GROUP : 0);
	uint64_t off = s->base[split] + g * (GROUP_BYTES + AX_FRAME_HEAD);
	uint64_t bytes = (left < AX_SHARD_GROUP ? left : AX_SHARD_GROUP) * AX_SHARD_ENTRY;
	const unsigned char *head = s->index.p + off;
	struct ax_frame_head h;
	int rc;

	*p = head + AX_FRAME_HEAD;
	if (s->verified[bit / 8] >> (bit % 8) & 1)
		return 0;
	rc = ax_frame_head_parse(&h, head, e);
	if (!rc && (h.kind != AX_FRAME_ENTRIES || h.codec != AX_CODEC_RAW || h.raw != bytes))
		rc = ax_fail(e, AX_EDATA, "malformed frame of entries");
	if (!rc && ax_hash64(*p, h.raw) != h.hash)
		rc = ax_fail(e, AX_EDATA, "damaged entries (checksum differs)");
	if (rc) {
		ax_err_prefix(e, "%s/%s: byte %llu: ", s->dir, AX_SHARD_INDEX, (unsigned long long)off);
		return rc;
	}
	s->verified[bit / 8] |= (uint8_t)(1u << (bit % 8));
	return 0;
}

int ax_shards_entry(struct ax_shards *s, int split, uint64_t i, struct ax_shard_entry *en, struct ax_err *e)
{
	const unsigned char *p;

	if (i >= s->n_pack[split])
		return ax_fail(e, AX_EUSAGE, "%s: no %s pack %llu; there are %llu", s->dir, ax_split_name(split),
			       (unsigned long long)i, (unsigned long long)s->n_pack[split]);
	AX_TRY(group(s, split, i, &p, e));
	p += i % AX_SHARD_GROUP * AX_SHARD_ENTRY;
	en->off = ax_get_u64(p);
	en->cost = ax_get_u64(p + 8);
	en->hash = ax_get_u64(p + 16);
	en->shard = ax_get_u32(p + 24);
	en->stored = ax_get_u32(p + 28);
	en->tokens = ax_get_u32(p + 32);
	en->trained = ax_get_u32(p + 36);
	en->docs = ax_get_u32(p + 40);
	if (en->shard >= s->n_shard || en->stored > AX_FRAME_RAW_MAX || en->off > s->bytes[en->shard] ||
	    s->bytes[en->shard] - en->off < (uint64_t)AX_FRAME_HEAD + en->stored || en->tokens > s->sequence_len ||
	    en->docs < 1 || en->docs > en->tokens || en->trained > en->tokens - en->docs)
		return ax_fail(e, AX_EDATA, "%s/%s: malformed entry of %s pack %llu", s->dir, AX_SHARD_INDEX,
			       ax_split_name(split), (unsigned long long)i);
	return 0;
}

/* Descriptor of a shard file; its size is checked when it is opened. */
static int shard_fd(struct ax_shards *s, uint32_t shard, int *fd, struct ax_err *e)
{
	uint32_t slot = shard % FD_SLOTS;
	struct stat st;
	char *path;
	int rc = 0;

	if (s->fd[slot] >= 0 && s->fd_shard[slot] == shard) {
		*fd = s->fd[slot];
		return 0;
	}
	if (s->fd[slot] >= 0)
		close(s->fd[slot]);
	s->fd[slot] = -1;
	path = ax_path_join(s->dir, s->name[shard]);
	if (!path)
		return ax_fail(e, AX_EMEM, "out of memory");
	*fd = ax_open(path, O_RDONLY | O_NOFOLLOW, 0);
	if (*fd < 0 || fstat(*fd, &st))
		rc = ax_fail(e, AX_EIO, "cannot open %s:", path);
	else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != s->bytes[shard])
		rc = ax_fail(e, AX_EDATA, "%s has %llu bytes where the index says %llu: cut, or of another run", path,
			     (unsigned long long)st.st_size, (unsigned long long)s->bytes[shard]);
	ax_free(path);
	if (rc && *fd >= 0)
		close(*fd);
	if (!rc) {
		s->fd[slot] = *fd;
		s->fd_shard[slot] = shard;
	}
	return rc;
}

static int record_room(struct ax_shards *s, size_t n, struct ax_err *e)
{
	if (n <= s->record_cap)
		return 0;
	ax_free(s->record);
	s->record = ax_malloc_aligned(64, n + n / 4);
	s->record_cap = s->record ? n + n / 4 : 0;
	return s->record ? 0 : ax_fail(e, AX_EMEM, "out of memory for a pack");
}

static int decode_record(struct ax_shards *s, const struct ax_shard_entry *en, int split, struct ax_pack *p,
			 struct ax_err *e)
{
	const unsigned char *raw;
	struct ax_frame_head h;
	bool end;

	AX_TRY(ax_frame_head_parse(&h, s->record, e));
	if (h.kind != AX_FRAME_PACKS || h.stored != en->stored || h.hash != en->hash)
		return ax_fail(e, AX_EDATA, "another record than the index says: files of two runs mixed?");
	AX_TRY(ax_frame_decode(&s->dec, &h, s->record + AX_FRAME_HEAD, &raw, e));
	AX_TRY(ax_block_parse(&s->block, raw, h.raw, s->id_bits, true, e));
	if (s->block.n_pack != 1)
		return ax_fail(e, AX_EDATA, "a record of %u packs", s->block.n_pack);
	AX_TRY(ax_pack_next(&s->block, &s->buf, s->sequence_len, p, &end, e));
	if (p->split != split || p->n != en->tokens || p->n_doc != en->docs || p->trained != en->trained ||
	    p->cost != en->cost)
		return ax_fail(e, AX_EDATA, "a pack that differs from its entry in the index");
	return 0;
}

int ax_shards_read(struct ax_shards *s, int split, uint64_t i, struct ax_pack *p, struct ax_err *e)
{
	struct ax_shard_entry en;
	size_t n;
	int fd, rc;

	AX_TRY(ax_shards_entry(s, split, i, &en, e));
	AX_TRY(shard_fd(s, en.shard, &fd, e));
	n = (size_t)AX_FRAME_HEAD + en.stored;
	AX_TRY(record_room(s, n, e));
	AX_TRY(ax_pread_full(fd, s->record, n, en.off, s->name[en.shard], e));
	rc = decode_record(s, &en, split, p, e);
	if (rc)
		ax_err_prefix(e, "%s/%s: record at byte %llu: ", s->dir, s->name[en.shard], (unsigned long long)en.off);
	return rc;
}

void ax_shards_prefetch(struct ax_shards *s, int split, uint64_t i)
{
	struct ax_shard_entry en;
	int fd;

	if (ax_shards_entry(s, split, i, &en, NULL) || shard_fd(s, en.shard, &fd, NULL))
		return;
	posix_fadvise(fd, (off_t)en.off, (off_t)en.stored + AX_FRAME_HEAD, POSIX_FADV_WILLNEED);
}

/* Read one shard file as the stream that it is. */
static int check_file(struct ax_shards *s, uint32_t i, struct ax_totals *all, struct ax_err *e)
{
	char *path = ax_path_join(s->dir, s->name[i]);
	struct ax_pack_reader r;
	struct ax_pack p;
	bool end = false;
	int rc = path ? ax_pack_reader_open(&r, path, e) : ax_fail(e, AX_EMEM, "out of memory");

	ax_free(path);
	AX_TRY(rc);
	while (!rc && !end)
		rc = ax_pack_reader_next(&r, &p, &end, e);
	ax_totals_add(all, &r.s.totals);
	ax_pack_reader_close(&r);
	return rc;
}

int ax_shards_check(struct ax_shards *s, struct ax_err *e)
{
	struct ax_totals records = {0}, files = {0};
	struct ax_pack p;
	int rc;

	for (int k = 0; k < AX_N_SPLIT; k++) {
		for (uint64_t i = 0; i < s->n_pack[k]; i++) {
			AX_TRY(ax_shards_read(s, k, i, &p, e));
			for (uint32_t d = 0; d < p.n_doc; d++)
				ax_totals_row(&records, &p.row[d]);
		}
		records.split[k].packs = s->n_pack[k];
	}
	for (uint32_t i = 0; i < s->n_shard; i++)
		AX_TRY(check_file(s, i, &files, e));
	rc = ax_totals_match(&records, &s->totals, e);
	if (!rc)
		rc = ax_totals_match(&files, &s->totals, e);
	if (rc)
		ax_err_prefix(e, "%s: ", s->dir);
	return rc;
}

void ax_shards_close(struct ax_shards *s)
{
	for (uint32_t i = 0; i < FD_SLOTS; i++)
		if (s->fd[i] >= 0)
			close(s->fd[i]);
	ax_map_close(&s->index);
	ax_frame_dec_release(&s->dec);
	ax_block_release(&s->block);
	ax_pack_buf_release(&s->buf);
	ax_free(s->record);
	ax_free(s->verified);
	ax_free(s->dir);
	ax_arena_release(&s->arena);
	memset(s, 0, sizeof(*s));
	for (uint32_t i = 0; i < FD_SLOTS; i++)
		s->fd[i] = -1;
}
