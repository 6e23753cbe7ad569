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

const char *ax_ckpt_role_name(enum ax_ckpt_role r)
{
	static const char *const name[AX_CKPT_N_ROLE] = {"master", "m", "v"};

	return name[r];
}

/* What each rank tells rank 0 about its file. Fixed size, so that one all-gather carries it. */
struct report {
	int64_t code; /* 0, or the error that this rank met */
	uint64_t bytes, header_hash, n_tensor;
	char msg[480];
};

static void file_name(char *buf, size_t n, int rank, int n_rank)
{
	snprintf(buf, n, "rank-%05d-of-%05d.safetensors", rank + 1, n_rank);
}

static bool wanted(const struct ax_ckpt_write *w, const struct ax_ckpt_box *b)
{
	return b->n && (!w->model_only || b->role == AX_CKPT_MASTER);
}

/* Tensor table, and hashes as metadata, of this rank's boxes. data points at each box's elements. */
static int describe(const struct ax_ckpt_write *w, struct ax_arena *a, struct ax_st_tensor *t, size_t *n,
		    struct ax_val *meta, struct ax_err *e)
{
	char text[AX_PARAM_NAME_MAX + 64], hex[17];

	*n = 0;
	for (size_t i = 0; i < w->n_box; i++) {
		const struct ax_ckpt_box *b = &w->box[i];
		struct ax_st_tensor *x = &t[*n];

		if (!wanted(w, b))
			continue;
		snprintf(text, sizeof(text), "%s/%s@%" PRIu64, ax_ckpt_role_name(b->role), w->units->param[b->param].name,
			 b->begin);
		x->name = ax_arena_strndup(a, text, strlen(text));
		x->dtype = AX_ST_F32;
		x->n_dim = 1;
		x->dim[0] = (int64_t)b->n;
		x->data = b->data;
		snprintf(hex, sizeof(hex), "%016" PRIx64, ax_hash64(b->data, (size_t)b->n * sizeof(float)));
		if (!x->name || !ax_val_set(a, meta, text, ax_val_str(a, hex, 16)))
			return ax_fail(e, AX_EMEM, "out of memory");
		++*n;
	}
	return ax_val_set(a, meta, "format", ax_val_str(a, "pt", 2)) ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

static int write_tensors(const char *path, const struct ax_st_tensor *t, size_t n, const struct ax_buf *header,
			 uint64_t total, struct ax_err *e)
{
	int rc = 0, fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	uint64_t base = header->n;

	if (fd < 0)
		return ax_fail(e, AX_EIO, "cannot create %s:", path);
	if (base + total > 0) { /* no space is found out now, not after minutes of writing */
		int err = posix_fallocate(fd, 0, (off_t)(base + total));

		if (err == ENOSPC || err == EDQUOT || err == EFBIG) {
			errno = err;
			rc = ax_fail(e, AX_EIO, "cannot write %s:", path);
		}
	}
	if (!rc)
		rc = ax_pwrite_full(fd, header->p, header->n, 0, path, e);
	for (size_t i = 0; i < n && !rc; i++)
		rc = ax_pwrite_full(fd, t[i].data, (size_t)t[i].bytes, base + t[i].off, path, e);
	if (!rc)
		rc = ax_fsync(fd, path, e);
	if (close(fd) && !rc)
		rc = ax_fail(e, AX_EIO, "cannot write %s:", path);
	return rc;
}

static int write_rank_file(const char *dir, const struct ax_ckpt_write *w, int rank, int n_rank, struct report *r,
			   struct ax_err *e)
{
	struct ax_buf header = AX_BUF_INIT;
	struct ax_st_tensor *t = NULL;
	char name[64], *path = NULL;
	struct ax_arena a;
	struct ax_val *meta;
	uint64_t total;
	size_t n = 0;
	int rc;

	ax_arena_init(&a, 0);
	file_name(name, sizeof(name), rank, n_rank);
	path = ax_path_join(dir, name);
	t = ax_calloc(w->n_box + 1, sizeof(*t));
	meta = ax_val_map(&a);
	if (!path || !t || !meta) {
		rc = ax_fail(e, AX_EMEM, "out of memory");
		goto out;
	}
	AX_GOTO(describe(w, &a, t, &n, meta, e));
	AX_GOTO(ax_st_layout(t, n, &total, e));
	AX_GOTO(ax_st_header(&header, t, n, meta, e));
	AX_GOTO(write_tensors(path, t, n, &header, total, e));
	r->bytes = header.n + total;
	r->header_hash = ax_hash64(header.p, header.n);
	r->n_tensor = n;
out:
	ax_buf_release(&header);
	ax_arena_release(&a);
	ax_free(t);
	ax_free(path);
	return rc;
}

static struct ax_val *hex_val(struct ax_arena *a, uint64_t v)
{
	char hex[17];

	snprintf(hex, sizeof(hex), "%016" PRIx64, v);
	return ax_val_str(a, hex, 16);
}

static struct ax_val *param_val(struct ax_arena *a, const struct ax_param *p)
{
	static const enum ax_st_dtype map[] = {[AX_F32] = AX_ST_F32, [AX_BF16] = AX_ST_BF16, [AX_F16] = AX_ST_F16,
					       [AX_F64] = AX_ST_F64};
	struct ax_val *m = ax_val_map(a), *shape = ax_val_list(a);
	const char *dtype = ax_st_dtype_name(map[p->base_dtype]);
	bool ok = m && shape;

	for (int i = 0; i < p->n_dim && ok; i++)
		ok = ax_val_push(a, shape, ax_val_int(a, p->dim[i]));
	ok = ok && ax_val_set(a, m, "name", ax_val_str(a, p->name, strlen(p->name))) && ax_val_set(a, m, "shape", shape) &&
	     ax_val_set(a, m, "base_dtype", ax_val_str(a, dtype, strlen(dtype)));
	return ok ? m : NULL;
}

static struct ax_val *file_val(struct ax_arena *a, const struct report *r, int rank, int n_rank)
{
	struct ax_val *m = ax_val_map(a);
	char name[64];
	bool ok;

	file_name(name, sizeof(name), rank, n_rank);
	ok = m && ax_val_set(a, m, "name", ax_val_str(a, name, strlen(name))) &&
	     ax_val_set(a, m, "bytes", ax_val_int(a, (int64_t)r->bytes)) &&
	     ax_val_set(a, m, "header_xxh3", hex_val(a, r->header_hash)) &&
	     ax_val_set(a, m, "tensors", ax_val_int(a, (int64_t)r->n_tensor));
	return ok ? m : NULL;
}

static struct ax_val *manifest_val(struct ax_arena *a, const struct ax_ckpt_write *w, const struct report *r, int n_rank)
{
	struct ax_val *m = ax_val_map(a), *params = ax_val_list(a), *files = ax_val_list(a), *roles = ax_val_list(a);
	bool ok = m && params && files && roles;

	for (int i = 0; i < w->units->n_param && ok; i++)
		ok = ax_val_push(a, params, param_val(a, &w->units->param[i]));
	for (int i = 0; i < n_rank && ok; i++)
		ok = ax_val_push(a, files, file_val(a, &r[i], i, n_rank));
	for (int i = 0; i < (w->model_only ? 1 : AX_CKPT_N_ROLE) && ok; i++) {
		const char *s = ax_ckpt_role_name((enum ax_ckpt_role)i);
		ok = ax_val_push(a, roles, ax_val_str(a, s, strlen(s)));
	}
	ok = ok && ax_val_set(a, m, "kind", ax_val_str(a, "ax-checkpoint", 13)) &&
	     ax_val_set(a, m, "version", ax_val_int(a, AX_CKPT_VERSION)) &&
	     ax_val_set(a, m, "ax", ax_val_str(a, AX_VERSION, strlen(AX_VERSION))) && ax_val_set(a, m, "roles", roles) &&
	     ax_val_set(a, m, "elements", ax_val_int(a, (int64_t)w->units->n_elem)) && ax_val_set(a, m, "files", files) &&
	     ax_val_set(a, m, "parameters", params);
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

/* Every rank learns every rank's report; the first failure becomes everybody's. */
static int exchange(struct ax_comm *c, const struct report *mine, struct report *all, struct ax_err *e)
{
	struct ax_comm_req req = {0};

	AX_TRY(c->ops->all_gather(c, all, mine, sizeof(*mine), &req, e));
	AX_TRY(c->ops->wait(c, &req, e));
	for (int i = 0; i < c->n_rank; i++)
		if (all[i].code) {
			all[i].msg[sizeof(all[i].msg) - 1] = '\0';
			return ax_fail(e, (int)all[i].code, "rank %d: %s", i, all[i].msg);
		}
	return 0;
}

static void fill_failure(struct report *r, int rc, const struct ax_err *e)
{
	r->code = rc;
	if (rc)
		snprintf(r->msg, sizeof(r->msg), "%.470s", e->msg);
}

/* The temporary folder has the same name on every rank; rank 0 makes it, and what an earlier kill left is removed. */
static char *tmp_path(const char *path)
{
	struct ax_buf b = AX_BUF_INIT;

	ax_buf_addf(&b, "%s.tmp", path);
	return ax_buf_detach(&b);
}

int ax_ckpt_write(struct ax_comm *c, const struct ax_ckpt_write *w, struct ax_err *e)
{
	struct report mine, *all = ax_calloc((size_t)c->n_rank, sizeof(*all));
	char *tmp = tmp_path(w->path);
	struct ax_err local = {0};
	int rc;

	if (!all || !tmp) {
		ax_free(all);
		ax_free(tmp);
		return ax_fail(e, AX_EMEM, "out of memory");
	}
	c->what = "checkpoint: make folder";
	memset(&mine, 0, sizeof(mine));
	if (c->rank == 0) {
		rc = ax_remove_tree(tmp, &local);
		fill_failure(&mine, rc ? rc : ax_mkdirs(tmp, &local), &local);
	}
	AX_GOTO(exchange(c, &mine, all, e));
	c->what = "checkpoint: write";
	fill_failure(&mine, write_rank_file(tmp, w, c->rank, c->n_rank, &mine, &local), &local);
	AX_GOTO(exchange(c, &mine, all, e));
	c->what = "checkpoint: publish";
	if (c->rank == 0)
		fill_failure(&mine, publish(tmp, w, all, c->n_rank, &local), &local);
	rc = exchange(c, &mine, all, e);
out:
	if (rc && c->rank == 0)
		ax_remove_tree(tmp, NULL);
	ax_free(all);
	ax_free(tmp);
	return rc;
}
