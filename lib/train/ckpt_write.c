/* Writing a checkpoint: see the invariants in ckpt.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "tensor/ops.h"
#include "text/json.h"
#include "train/ckpt.h"

#define PIECE ((size_t)1 << 20) /* elements that pass through the host at a time */
#define NO_HASH "0000000000000000"

/* What each rank tells the others about its file. */
struct report {
	uint64_t bytes, header_hash, n_tensor;
};

/* The file of one rank while it is being written. */
struct rank_file {
	struct ax_arena arena;
	struct ax_st_tensor *tensor;
	size_t n_tensor;
	struct ax_val *meta; /* tensor name -> hash */
	struct ax_buf header;
	uint64_t total;
};

static void file_name(char *buf, size_t n, int rank, int n_rank)
{
	snprintf(buf, n, "rank-%05d-of-%05d.safetensors", rank + 1, n_rank);
}

static int add_tensor(struct rank_file *f, const char *part, const char *param, const struct ax_dist_box *b,
		      const float *data, struct ax_err *e)
{
	struct ax_st_tensor *t = &f->tensor[f->n_tensor++];
	char text[AX_PARAM_NAME_MAX + 64];

	snprintf(text, sizeof(text), "%s/%s@%zu", part, param, b->off);
	t->name = ax_arena_strndup(&f->arena, text, strlen(text));
	t->dtype = AX_ST_F32;
	t->n_dim = 1;
	t->dim[0] = (int64_t)b->n;
	t->data = data;
	if (!t->name || !ax_val_set(&f->arena, f->meta, text, ax_val_str(&f->arena, NO_HASH, 16)))
		return ax_fail(e, AX_EMEM, "out of memory");
	return 0;
}

/* The table of tensors, and a header with hashes still to come: its size is final. */
static int describe(struct rank_file *f, const struct ax_ckpt_write *w, struct ax_err *e)
{
	f->tensor = ax_arena_calloc(&f->arena, w->n_box * AX_CKPT_N_PART + 1, sizeof(*f->tensor));
	f->meta = ax_val_map(&f->arena);
	if (!f->tensor || !f->meta || !ax_val_set(&f->arena, f->meta, "format", ax_val_str(&f->arena, "pt", 2)))
		return ax_fail(e, AX_EMEM, "out of memory");
	for (size_t i = 0; i < w->n_box; i++)
		for (int p = 0; p < (w->model_only ? 1 : AX_CKPT_N_PART); p++)
			AX_TRY(add_tensor(f, ax_part_name((enum ax_part)p), w->units->param[w->box[i].param].name,
					  &w->box[i], w->box[i].data[p], e));
	AX_TRY(ax_st_layout(f->tensor, f->n_tensor, &f->total, e));
	return ax_st_header(&f->header, f->tensor, f->n_tensor, f->meta, e);
}

static int set_hash(struct rank_file *f, const char *name, uint64_t hash, struct ax_err *e)
{
	char hex[17];

	snprintf(hex, sizeof(hex), "%016" PRIx64, hash);
	return ax_val_set(&f->arena, f->meta, name, ax_val_str(&f->arena, hex, 16)) ? 0
										      : ax_fail(e, AX_EMEM, "out of memory");
}

/* Device -> host -> file, hashed on the way. */
static int write_tensor(int fd, const char *path, struct rank_file *f, const struct ax_st_tensor *t, struct ax_dev *dev,
			float *piece, struct ax_err *e)
{
	struct ax_hash *h = ax_hash_new();
	size_t n = (size_t)t->dim[0];
	int rc = h ? 0 : ax_fail(e, AX_EMEM, "out of memory");

	for (size_t at = 0; at < n && !rc; at += PIECE) {
		size_t take = n - at < PIECE ? n - at : PIECE;

		dev->ops->download(dev, piece, (const float *)t->data + at, take * sizeof(float));
		ax_hash_add(h, piece, take * sizeof(float));
		rc = ax_pwrite_full(fd, piece, take * sizeof(float), f->header.n + t->off + at * sizeof(float), path, e);
	}
	if (!rc)
		rc = set_hash(f, t->name, ax_hash_value(h), e);
	ax_hash_free(h);
	return rc;
}

static int write_data(int fd, const char *path, struct rank_file *f, const struct ax_ckpt_write *w, struct ax_comm *c,
		      struct ax_err *e)
{
	float *piece = ax_malloc(PIECE * sizeof(float));
	size_t header_bytes = f->header.n;
	int rc = piece ? ax_preallocate(fd, header_bytes + f->total, path, e) : ax_fail(e, AX_EMEM, "out of memory");

	for (size_t i = 0; i < f->n_tensor && !rc; i++) {
		rc = write_tensor(fd, path, f, &f->tensor[i], w->dev, piece, e);
		ax_comm_tick(c);
	}
	ax_free(piece);
	if (!rc)
		rc = ax_st_header(&f->header, f->tensor, f->n_tensor, f->meta, e);
	if (!rc)
		rc = ax_pwrite_full(fd, f->header.p, f->header.n, 0, path, e);
	if (rc)
		return rc;
	ax_comm_busy(c, "sync the checkpoint to disk", AX_COMM_DISK_S);
	return ax_fsync(fd, path, e);
}

static int write_rank_file(const char *dir, const struct ax_ckpt_write *w, struct ax_comm *c, struct report *r,
			   struct ax_err *e)
{
	struct rank_file f = {0};
	char name[64], *path;
	int rc, fd = -1;

	ax_arena_init(&f.arena, 0);
	file_name(name, sizeof(name), c->rank, c->n_rank);
	path = ax_path_join(dir, name);
	if (!path) {
		rc = ax_fail(e, AX_EMEM, "out of memory");
		goto out;
	}
	AX_GOTO(describe(&f, w, e));
	fd = ax_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd < 0) {
		rc = ax_fail(e, AX_EIO, "cannot create %s:", path);
		goto out;
	}
	AX_GOTO(write_data(fd, path, &f, w, c, e));
	r->bytes = f.header.n + f.total;
	r->header_hash = ax_hash64(f.header.p, f.header.n);
	r->n_tensor = f.n_tensor;
out:
	if (fd >= 0) {
		int closed = ax_close(fd, path, rc ? NULL : e);

		rc = rc ? rc : closed;
	}
	ax_buf_release(&f.header);
	ax_arena_release(&f.arena);
	ax_free(path);
	return rc;
}

static struct ax_val *str_val(struct ax_arena *a, const char *s)
{
	return ax_val_str(a, s, strlen(s));
}

static struct ax_val *param_val(struct ax_arena *a, const struct ax_param *p)
{
	static const enum ax_st_dtype map[] = {[AX_F32] = AX_ST_F32, [AX_BF16] = AX_ST_BF16, [AX_F16] = AX_ST_F16,
					       [AX_F64] = AX_ST_F64};
	struct ax_val *m = ax_val_map(a), *shape = ax_val_list(a);
	bool ok = m && shape;

	for (int i = 0; i < p->n_dim && ok; i++)
		ok = ax_val_push(a, shape, ax_val_int(a, p->dim[i]));
	ok = ok && ax_val_set(a, m, "name", str_val(a, p->name)) && ax_val_set(a, m, "shape", shape) &&
	     ax_val_set(a, m, "base_dtype", str_val(a, ax_st_dtype_name(map[p->base_dtype])));
	return ok ? m : NULL;
}

static struct ax_val *file_val(struct ax_arena *a, const struct report *r, int rank, int n_rank)
{
	struct ax_val *m = ax_val_map(a);
	char name[64], hex[17];
	bool ok;

	file_name(name, sizeof(name), rank, n_rank);
	snprintf(hex, sizeof(hex), "%016" PRIx64, r->header_hash);
	ok = m && ax_val_set(a, m, "name", str_val(a, name)) &&
	     ax_val_set(a, m, "bytes", ax_val_int(a, (int64_t)r->bytes)) &&
	     ax_val_set(a, m, "header_xxh3", str_val(a, hex)) &&
	     ax_val_set(a, m, "tensors", ax_val_int(a, (int64_t)r->n_tensor));
	return ok ? m : NULL;
}

static struct ax_val *manifest_val(struct ax_arena *a, const struct ax_ckpt_write *w, const struct report *r, int n_rank)
{
	struct ax_val *m = ax_val_map(a), *params = ax_val_list(a), *files = ax_val_list(a), *parts = ax_val_list(a);
	bool ok = m && params && files && parts;

	for (int i = 0; i < w->units->n_param && ok; i++)
		ok = ax_val_push(a, params, param_val(a, &w->units->param[i]));
	for (int i = 0; i < n_rank && ok; i++)
		ok = ax_val_push(a, files, file_val(a, &r[i], i, n_rank));
	for (int i = 0; i < (w->model_only ? 1 : AX_CKPT_N_PART) && ok; i++)
		ok = ax_val_push(a, parts, str_val(a, ax_part_name((enum ax_part)i)));
	ok = ok && ax_val_set(a, m, "kind", str_val(a, "ax-checkpoint")) &&
	     ax_val_set(a, m, "version", ax_val_int(a, AX_CKPT_VERSION)) && ax_val_set(a, m, "ax", str_val(a, AX_VERSION)) &&
	     ax_val_set(a, m, "parts", parts) && ax_val_set(a, m, "elements", ax_val_int(a, (int64_t)w->units->n_elem)) &&
	     ax_val_set(a, m, "files", files) && ax_val_set(a, m, "parameters", params);
	return ok ? m : NULL;
}

static int write_json(const char *dir, const char *name, const struct ax_val *v, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	char *path = ax_path_join(dir, name);
	int rc;

	ax_json_write(&b, v, AX_JSON_INDENT2);
	ax_buf_addc(&b, '\n');
	rc = !path || b.oom ? ax_fail(e, AX_EMEM, "out of memory") : ax_write_file(path, b.p, b.n, e);
	ax_buf_release(&b);
	ax_free(path);
	return rc;
}

/* Rank 0, when all files are on disk: the rest of the folder, the manifest last, then publish. */
static int publish(const char *tmp, const struct ax_ckpt_write *w, const struct report *r, int n_rank, struct ax_err *e)
{
	struct ax_val *manifest;
	struct ax_arena a;
	int rc = 0;

	ax_arena_init(&a, 0);
	manifest = manifest_val(&a, w, r, n_rank);
	if (!manifest)
		rc = ax_fail(e, AX_EMEM, "out of memory");
	if (!rc && w->extra)
		rc = w->extra(w->extra_ctx, tmp, e);
	if (!rc)
		rc = write_json(tmp, AX_CKPT_STATE, w->state, e);
	if (!rc)
		rc = write_json(tmp, AX_CKPT_MANIFEST, manifest, e);
	if (!rc)
		rc = ax_dir_commit(tmp, w->path, e);
	ax_arena_release(&a);
	return rc;
}

/* Every rank learns every rank's report. */
static int exchange(struct ax_comm *c, const struct report *mine, struct report *all, struct ax_err *e)
{
	struct ax_comm_req req = {0};

	AX_TRY(ax_comm_all_gather(c, all, mine, sizeof(*mine), &req, e));
	return ax_comm_wait(c, &req, e);
}

/* What an earlier kill left there is removed. */
static int make_folder(const char *tmp, struct ax_err *e)
{
	AX_TRY(ax_remove_tree(tmp, e));
	return ax_mkdirs(tmp, e);
}

static int write_all(struct ax_comm *c, const struct ax_ckpt_write *w, const char *tmp, struct report *all,
		     struct ax_err *e)
{
	struct report mine = {0};

	c->what = "make the checkpoint's folder";
	if (c->rank == 0)
		ax_comm_busy(c, c->what, AX_COMM_DISK_S); /* what a kill left there may be large */
	AX_TRY(ax_comm_agree(c, c->rank == 0 ? make_folder(tmp, e) : 0, e));
	c->what = "write the checkpoint";
	AX_TRY(ax_comm_agree(c, write_rank_file(tmp, w, c, &mine, e), e));
	AX_TRY(exchange(c, &mine, all, e));
	c->what = "publish the checkpoint";
	if (c->rank == 0)
		ax_comm_busy(c, c->what, AX_COMM_DISK_S);
	return ax_comm_agree(c, c->rank == 0 ? publish(tmp, w, all, c->n_rank, e) : 0, e);
}

int ax_ckpt_write(struct ax_comm *c, const struct ax_ckpt_write *w, struct ax_err *e)
{
	struct report *all = ax_calloc((size_t)c->n_rank, sizeof(*all));
	char *tmp = ax_ckpt_tmp_path(w->path); /* the same on every rank */
	int rc = all && tmp ? write_all(c, w, tmp, all, e) : ax_fail(e, AX_EMEM, "out of memory");

	if (rc && c->rank == 0 && tmp)
		ax_remove_tree(tmp, NULL);
	ax_free(all);
	ax_free(tmp);
	return rc;
}
