/* Writing a checkpoint: what the ranks do together. See the invariants in ckpt.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "train/ckpt_impl.h"

struct ax_ckpt_job {
	struct ax_comm *c;
	const struct ax_units *units;
	bool part[AX_CKPT_N_PART]; /* which are stored */
	char *path, *tmp;
	struct ax_ckpt_file *file;     /* this rank's, while it is being written */
	struct ax_ckpt_report *report; /* of all ranks */
};

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

static struct ax_val *file_val(struct ax_arena *a, const struct ax_ckpt_report *r, int rank, int n_rank)
{
	struct ax_val *m = ax_val_map(a);
	char name[64], hex[17];
	bool ok;

	ax_ckpt_file_name(name, sizeof(name), rank, n_rank);
	snprintf(hex, sizeof(hex), "%016" PRIx64, r->header_hash);
	ok = m && ax_val_set(a, m, "name", str_val(a, name)) &&
	     ax_val_set(a, m, "bytes", ax_val_int(a, (int64_t)r->bytes)) &&
	     ax_val_set(a, m, "header_xxh3", str_val(a, hex)) &&
	     ax_val_set(a, m, "tensors", ax_val_int(a, (int64_t)r->n_tensor));
	return ok ? m : NULL;
}

static struct ax_val *manifest_val(struct ax_arena *a, const struct ax_ckpt_job *j)
{
	struct ax_val *m = ax_val_map(a), *params = ax_val_list(a), *files = ax_val_list(a), *parts = ax_val_list(a);
	bool ok = m && params && files && parts;

	for (int i = 0; i < j->units->n_param && ok; i++)
		ok = ax_val_push(a, params, param_val(a, &j->units->param[i]));
	for (int i = 0; i < j->c->n_rank && ok; i++)
		ok = ax_val_push(a, files, file_val(a, &j->report[i], i, j->c->n_rank));
	for (int i = 0; i < AX_CKPT_N_PART && ok; i++)
		ok = !j->part[i] || ax_val_push(a, parts, str_val(a, ax_part_name((enum ax_part)i)));
	ok = ok && ax_val_set(a, m, "kind", str_val(a, "ax-checkpoint")) &&
	     ax_val_set(a, m, "version", ax_val_int(a, AX_CKPT_VERSION)) && ax_val_set(a, m, "ax", str_val(a, AX_VERSION)) &&
	     ax_val_set(a, m, "parts", parts) && ax_val_set(a, m, "elements", ax_val_int(a, (int64_t)j->units->n_elem)) &&
	     ax_val_set(a, m, "files", files) && ax_val_set(a, m, "parameters", params);
	return ok ? m : NULL;
}

/* Rank 0, when all files are on disk: the manifest, the last file of the folder; then publish. */
static int publish(const struct ax_ckpt_job *j, struct ax_err *e)
{
	struct ax_val *manifest;
	struct ax_arena a;
	int rc;

	ax_arena_init(&a, 0);
	manifest = manifest_val(&a, j);
	rc = manifest ? ax_ckpt_json(j->tmp, AX_CKPT_MANIFEST, manifest, e) : ax_fail(e, AX_EMEM, "out of memory");
	if (!rc)
		rc = ax_dir_commit(j->tmp, j->path, e);
	ax_arena_release(&a);
	return rc;
}

static void job_free(struct ax_ckpt_job *j, bool failed)
{
	if (failed && j->tmp && j->c->rank == 0)
		ax_remove_tree(j->tmp, NULL);
	ax_free(j->report);
	ax_free(j->path);
	ax_free(j->tmp);
	ax_free(j);
}

static int job_new(struct ax_ckpt_job **out, struct ax_comm *c, const struct ax_ckpt_write *w, struct ax_err *e)
{
	struct ax_ckpt_job *j = ax_calloc(1, sizeof(*j));

	*out = j;
	if (!j)
		return ax_fail(e, AX_EMEM, "out of memory");
	j->c = c;
	j->units = w->units;
	for (int p = 0; p < (w->model_only ? 1 : AX_CKPT_N_PART); p++)
		j->part[p] = w->n_box && w->box[0].data[p];
	j->path = ax_strdup(w->path);
	j->tmp = ax_ckpt_tmp_path(w->path); /* the same on every rank */
	j->report = ax_calloc((size_t)c->n_rank, sizeof(*j->report));
	return j->path && j->tmp && j->report ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

/* What an earlier kill left there is removed. */
static int make_folder(struct ax_ckpt_job *j, struct ax_err *e)
{
	ax_comm_busy(j->c, "make the checkpoint's folder", AX_COMM_DISK_S); /* what a kill left there may be large */
	AX_TRY(ax_remove_tree(j->tmp, e));
	return ax_mkdirs(j->tmp, e);
}

int ax_ckpt_begin(struct ax_ckpt_job **out, struct ax_comm *c, const struct ax_ckpt_write *w, struct ax_err *e)
{
	struct ax_ckpt_job *j;
	int rc = job_new(&j, c, w, e);

	if (!rc && c->rank == 0)
		rc = make_folder(j, e);
	c->what = "make the checkpoint's folder";
	rc = ax_comm_agree(c, rc, e);
	if (!rc) {
		rc = ax_ckpt_file_start(&j->file, j->tmp, w, c->rank, c->n_rank, e);
		c->what = "begin the checkpoint";
		rc = ax_comm_agree(c, rc, e);
	}
	if (rc)
		ax_ckpt_drop(j);
	else
		*out = j;
	return rc;
}

/* Every rank learns every rank's report. */
static int exchange(struct ax_ckpt_job *j, const struct ax_ckpt_report *mine, struct ax_err *e)
{
	struct ax_comm_req req = {0};

	AX_TRY(ax_comm_all_gather(j->c, j->report, mine, sizeof(*mine), &req, e));
	return ax_comm_wait(j->c, &req, e);
}

int ax_ckpt_finish(struct ax_ckpt_job *j, struct ax_err *e)
{
	struct ax_ckpt_report mine = {0};
	struct ax_comm *c = j->c;
	int rc = ax_ckpt_file_wait(j->file, c, &mine, e);

	c->what = "write the checkpoint";
	AX_GOTO(ax_comm_agree(c, rc, e));
	AX_GOTO(exchange(j, &mine, e));
	if (c->rank == 0) {
		ax_comm_busy(c, "publish the checkpoint", AX_COMM_DISK_S);
		rc = publish(j, e);
	}
	c->what = "publish the checkpoint";
	rc = ax_comm_agree(c, rc, e);
out:
	job_free(j, rc != 0);
	return rc;
}

void ax_ckpt_drop(struct ax_ckpt_job *j)
{
	if (!j)
		return;
	ax_ckpt_file_drop(j->file);
	job_free(j, true);
}
