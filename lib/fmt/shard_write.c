#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/sig.h"
#include "fmt/shard.h"
#include "text/json.h"

#define MANY_FILES 256 /* beyond this, no buffering a file: memory stays bounded */

struct ax_shards_file {
	struct ax_out out;
	struct ax_pack_writer w;
	char name[32];
	uint64_t packs;
	bool open;
};

static int found_one(void *ctx, const char *dir, const char *name, struct ax_err *e)
{
	*(bool *)ctx = false;
	return 0;
}

/* May `dir` be replaced? */
static int check_target(const char *dir, bool force, struct ax_err *e)
{
	bool empty = true;
	enum ax_file kind;

	if (!ax_path_exists(dir))
		return 0;
	if (!ax_path_is_dir(dir))
		return ax_fail(e, AX_EIO, "%s exists and is no folder", dir);
	AX_TRY(ax_sniff(dir, &kind, e));
	if (kind == AX_FILE_SHARDS || force)
		return 0;
	AX_TRY(ax_dir_each(dir, found_one, &empty, e));
	return empty ? 0 : ax_fail(e, AX_EUSAGE, "%s exists and was not made by ax-shard; -f replaces it", dir);
}

static int open_file(struct ax_shards_writer *w, uint32_t i, int level, struct ax_err *e)
{
	struct ax_shards_file *f = &w->file[i];
	struct ax_val *h = ax_header_derive(&w->arena, w->header, "shard");
	char *path;
	int rc;

	snprintf(f->name, sizeof(f->name), "shard-%05u.axs", i);
	path = ax_path_join(w->tmp, f->name);
	if (!h || !path || !ax_val_set(&w->arena, h, "shard", ax_val_int(&w->arena, i)) ||
	    !ax_val_set(&w->arena, h, "n_shards", ax_val_int(&w->arena, w->n_shard))) {
		ax_free(path);
		return ax_fail(e, AX_EMEM, "out of memory");
	}
	rc = ax_out_open(&f->out, path, AX_OUT_OWN, e);
	ax_free(path);
	AX_TRY(rc);
	f->open = true;
	return ax_pack_writer_open(&f->w, &f->out, h, level, e);
}

int ax_shards_writer_open(struct ax_shards_writer *w, const char *dir, const struct ax_val *header, uint32_t n_shard,
			  int level, bool force, struct ax_err *e)
{
	memset(w, 0, sizeof(*w));
	ax_arena_init(&w->arena, 0);
	for (int k = 0; k < AX_N_SPLIT; k++)
		ax_spool_init(&w->entries[k], NULL);
	if (n_shard < 1 || n_shard > AX_SHARD_MAX)
		return ax_fail(e, AX_EUSAGE, "%u shard files; 1 to %u are possible", n_shard, AX_SHARD_MAX);
	AX_TRY(check_target(dir, force, e));
	w->n_shard = n_shard;
	w->sequence_len = ax_header_sequence_len(header);
	w->dir = ax_strdup(dir);
	w->file = ax_calloc(n_shard, sizeof(*w->file));
	w->header = ax_header_derive(&w->arena, header, "shards");
	if (!w->dir || !w->file || !w->header)
		return ax_fail(e, AX_EMEM, "out of memory");
	AX_TRY(ax_header_check(w->header, NULL, e));
	AX_TRY(ax_dir_begin(dir, &w->tmp, e));
	for (int k = 0; k < AX_N_SPLIT; k++)
		w->entries[k].dir = w->tmp;
	for (uint32_t i = 0; i < n_shard; i++)
		AX_TRY(open_file(w, i, level, e));
	return 0;
}

/* Turn the pending entries of a split into a frame. */
static int end_group(struct ax_shards_writer *w, int split, struct ax_err *e)
{
	struct ax_buf *b = &w->pending[split];
	unsigned char head[AX_FRAME_HEAD];
	struct ax_frame_enc raw = {0};
	struct ax_frame_head h;
	const void *stored;
	uint64_t off;

	if (b->oom)
		return ax_fail(e, AX_EMEM, "out of memory for the shard index");
	if (!b->n)
		return 0;
	AX_TRY(ax_frame_encode(&raw, AX_FRAME_ENTRIES, b->p, b->n, &h, &stored, e));
	ax_frame_head_put(&h, head);
	AX_TRY(ax_spool_append(&w->entries[split], head, sizeof(head), &off, e));
	AX_TRY(ax_spool_append(&w->entries[split], b->p, b->n, &off, e));
	ax_buf_reset(b);
	return 0;
}

int ax_shards_write(struct ax_shards_writer *w, const struct ax_pack *p, struct ax_err *e)
{
	uint32_t i = (uint32_t)(w->n_pack[p->split]++ % w->n_shard);
	struct ax_buf *b = &w->pending[p->split];
	struct ax_shards_file *f = &w->file[i];

	AX_TRY(ax_pack_write(&f->w, p->row, p->n_doc, e));
	f->packs++;
	ax_buf_add_u64(b, f->w.frame_off);
	ax_buf_add_u64(b, p->cost);
	ax_buf_add_u64(b, f->w.s.last.hash);
	ax_buf_add_u32(b, i);
	ax_buf_add_u32(b, f->w.s.last.stored);
	ax_buf_add_u32(b, p->n);
	ax_buf_add_u32(b, p->trained);
	ax_buf_add_u32(b, p->n_doc);
	ax_buf_add_u32(b, 0);
	if (w->n_shard > MANY_FILES)
		AX_TRY(ax_out_flush(&f->out, e));
	return b->n == (size_t)AX_SHARD_GROUP * AX_SHARD_ENTRY ? end_group(w, p->split, e) : 0;
}

static bool set_int(struct ax_arena *a, struct ax_val *m, const char *key, uint64_t v)
{
	return ax_val_set(a, m, key, ax_val_int(a, (int64_t)v));
}

/* The index's JSON: the header, the files, what they hold. */
static int index_header(struct ax_shards_writer *w, struct ax_buf *json, struct ax_err *e)
{
	struct ax_arena *a = &w->arena;
	struct ax_val *files = ax_val_list(a), *packs = ax_val_map(a), *t = ax_totals_val(a, &w->totals);
	struct ax_val *chain = ax_provenance(a, w->header, w->trailer);
	bool ok = files && packs && t && chain && (!chain->n || ax_val_set(a, w->header, "provenance", chain));

	for (uint32_t i = 0; ok && i < w->n_shard; i++) {
		struct ax_val *m = ax_val_map(a);

		ok = m && ax_val_set(a, m, "file", ax_val_str(a, w->file[i].name, strlen(w->file[i].name))) &&
		     set_int(a, m, "bytes", w->file[i].out.off) && set_int(a, m, "packs", w->file[i].packs) &&
		     ax_val_push(a, files, m);
	}
	for (int k = 0; ok && k < AX_N_SPLIT; k++)
		ok = set_int(a, packs, ax_split_name(k), w->n_pack[k]);
	ok = ok && ax_val_set(a, w->header, "shards", files) && ax_val_set(a, w->header, "packs", packs) &&
	     ax_val_set(a, w->header, "totals", t);
	if (ok)
		ax_json_write(json, w->header, 0);
	if (!ok || json->oom)
		return ax_fail(e, AX_EMEM, "out of memory for the shard index");
	return 0;
}

static int copy_spool(struct ax_spool *s, struct ax_out *o, struct ax_err *e)
{
	unsigned char block[32768];

	for (uint64_t at = 0; at < s->n;) {
		size_t n = s->n - at < sizeof(block) ? (size_t)(s->n - at) : sizeof(block);

		AX_TRY(ax_spool_read(s, block, n, at, e));
		AX_TRY(ax_out_write(o, block, n, e));
		at += n;
	}
	return 0;
}

static int write_index(struct ax_shards_writer *w, struct ax_err *e)
{
	char *path = ax_path_join(w->tmp, AX_SHARD_INDEX);
	struct ax_buf json = AX_BUF_INIT;
	struct ax_frame_enc raw = {0};
	struct ax_out o = {.fd = -1};
	int rc = path ? 0 : ax_fail(e, AX_EMEM, "out of memory");

	if (!rc)
		rc = ax_out_open(&o, path, AX_OUT_OWN, e);
	if (rc)
		goto out;
	AX_GOTO(index_header(w, &json, e));
	AX_GOTO(ax_frame_write(&raw, &o, AX_FRAME_HEADER, json.p, json.n, e));
	for (int k = 0; k < AX_N_SPLIT; k++) {
		AX_GOTO(end_group(w, k, e));
		AX_GOTO(copy_spool(&w->entries[k], &o, e));
	}
	rc = ax_out_commit(&o, e);
out:
	ax_out_abort(&o);
	ax_buf_release(&json);
	ax_free(path);
	return rc;
}

int ax_shards_writer_finish(struct ax_shards_writer *w, const struct ax_totals *drops,
			    int (*verify)(void *ctx, const struct ax_totals *written, struct ax_err *e), void *ctx,
			    struct ax_err *e)
{
	struct ax_totals reasons;

	for (uint32_t i = 0; i < w->n_shard; i++) {
		struct ax_shards_file *f = &w->file[i];

		AX_TRY(ax_pack_writer_finish(&f->w, NULL, NULL, e));
		AX_TRY(ax_out_commit(&f->out, e));
		ax_totals_add(&w->totals, &f->w.s.totals);
	}
	if (verify)
		AX_TRY(verify(ctx, &w->totals, e));
	if (drops) {
		reasons = *drops;
		ax_totals_reasons_only(&reasons);
		ax_totals_add(&w->totals, &reasons);
	}
	AX_TRY(write_index(w, e));
	AX_TRY(ax_dir_commit(w->tmp, w->dir, e));
	ax_free(w->tmp);
	w->tmp = NULL;
	return 0;
}

void ax_shards_writer_release(struct ax_shards_writer *w)
{
	for (uint32_t i = 0; w->file && i < w->n_shard; i++) {
		if (!w->file[i].open)
			continue;
		ax_pack_writer_release(&w->file[i].w);
		ax_out_abort(&w->file[i].out);
	}
	for (int k = 0; k < AX_N_SPLIT; k++) {
		ax_spool_release(&w->entries[k]);
		ax_buf_release(&w->pending[k]);
	}
	if (w->tmp) {
		ax_remove_tree(w->tmp, NULL);
		ax_temp_remove(w->tmp);
	}
	ax_free(w->tmp);
	ax_free(w->dir);
	ax_free(w->file);
	ax_arena_release(&w->arena);
	memset(w, 0, sizeof(*w));
}
