#include "train/outdir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/ckpt.h"
#include "train/policy.h"
#include "train/state.h"

#define LOCK_NAME ".ax-train.lock"

static int take_lock(struct ax_outdir *d, uint64_t nonce, struct ax_err *e)
{
	char *path = ax_path_join(d->path, LOCK_NAME), text[32];
	int rc = path ? ax_mkdirs(d->path, e) : ax_fail(e, AX_EMEM, "out of memory");

	if (!rc) {
		d->lock = ax_open(path, O_RDWR | O_CREAT, 0666);
		if (d->lock < 0)
			rc = ax_fail(e, AX_EIO, "cannot create %s:", path);
		else if (flock(d->lock, LOCK_EX | LOCK_NB))
			rc = errno == EWOULDBLOCK
				     ? ax_fail(e, AX_EUSAGE, "%s is in use by another ax-train", d->path)
				     : ax_fail(e, AX_EIO, "cannot lock %s:", path);
	}
	if (!rc) {
		snprintf(text, sizeof(text), "%016" PRIx64 "\n", nonce);
		rc = ax_truncate(d->lock, 0, path, e);
		if (!rc)
			rc = ax_pwrite_full(d->lock, text, strlen(text), 0, path, e);
		if (!rc)
			rc = ax_fsync(d->lock, path, e);
	}
	ax_free(path);
	return rc;
}

/* Does this rank read what rank 0 wrote? */
static int see_lock(const struct ax_outdir *d, struct ax_comm *c, uint64_t nonce, struct ax_err *e)
{
	char *path = ax_path_join(d->path, LOCK_NAME), want[32];
	struct ax_buf b = AX_BUF_INIT;
	int rc = path ? 0 : ax_fail(e, AX_EMEM, "out of memory");
	bool seen = !rc && ax_path_exists(path);

	snprintf(want, sizeof(want), "%016" PRIx64 "\n", nonce);
	if (seen)
		rc = ax_read_file(path, 4096, &b, e);
	if (!rc && (!seen || strcmp(b.p, want)))
		rc = ax_fail(e, AX_ECOMM, "host %s does not see %s as rank 0 does: output_dir must be on a common filesystem",
			     c->host, d->path);
	ax_buf_release(&b);
	ax_free(path);
	return rc;
}

int ax_outdir_open(struct ax_outdir *d, struct ax_comm *c, const char *path, struct ax_err *e)
{
	uint64_t nonce = ax_mix64((uint64_t)time(NULL) ^ (uint64_t)getpid() << 32);
	int rc;

	memset(d, 0, sizeof(*d));
	d->lock = -1;
	d->path = ax_strdup(path);
	rc = d->path ? 0 : ax_fail(e, AX_EMEM, "out of memory");
	c->what = "open output_dir";
	if (!rc && c->rank == 0)
		rc = take_lock(d, nonce, e);
	rc = ax_comm_agree(c, rc, e);
	if (!rc)
		rc = ax_comm_share(c, &nonce, sizeof(nonce), 0, e);
	if (!rc)
		rc = ax_comm_agree(c, see_lock(d, c, nonce, e), e);
	if (rc)
		ax_outdir_close(d);
	return rc;
}

/*
 * What is called checkpoint-N is complete, also while it is being removed: it loses that name first. A kill in between
 * leaves a folder that the next start removes.
 */
static int remove_checkpoint(const struct ax_outdir *d, int64_t step, struct ax_err *e)
{
	char *path = ax_ckpt_path(d->path, step), *gone = path ? ax_ckpt_tmp_path(path) : NULL;
	int rc = gone ? ax_remove_tree(gone, e) : ax_fail(e, AX_EMEM, "out of memory");

	if (!rc)
		rc = ax_rename(path, gone, e);
	if (!rc)
		rc = ax_remove_tree(gone, e);
	if (!rc)
		ax_info("removed %s", path);
	ax_free(gone);
	ax_free(path);
	return rc;
}

/* An unfinished checkpoint of a run that was killed. */
static int remove_unfinished(void *ctx, const char *dir, const char *name, struct ax_err *e)
{
	char *path;
	int rc;

	if (!ax_ckpt_is_unfinished(name))
		return 0;
	path = ax_path_join(dir, name);
	rc = path ? ax_remove_tree(path, e) : ax_fail(e, AX_EMEM, "out of memory");
	if (!rc)
		ax_info("removed %s, which was left unfinished", path);
	ax_free(path);
	return rc;
}

int ax_outdir_prune(const struct ax_outdir *d, int keep, int64_t best, struct ax_err *e)
{
	int64_t *step;
	size_t n;
	int rc;

	if (keep <= 0)
		return 0;
	rc = ax_ckpt_list(d->path, &step, &n, e);
	if (!rc)
		n = ax_prune_choose(step, n, keep, best);
	for (size_t i = 0; !rc && i < n; i++)
		rc = remove_checkpoint(d, step[i], e);
	ax_free(step);
	return rc;
}

static int start_fresh(const struct ax_outdir *d, bool overwrite, struct ax_err *e)
{
	int64_t *step;
	size_t n;
	int rc = ax_ckpt_list(d->path, &step, &n, e);

	if (!rc && n && !overwrite)
		rc = ax_fail(e, AX_EUSAGE,
			     "%s holds checkpoint-%" PRId64 " of an earlier run: --resume-from-checkpoint auto continues it, "
			     "--overwrite removes its checkpoints and starts afresh",
			     d->path, step[n - 1]);
	for (size_t i = 0; !rc && i < n; i++)
		rc = remove_checkpoint(d, step[i], e);
	ax_free(step);
	return rc;
}

/* Step of a checkpoint; -1 if it cannot be read, which opening it will explain. */
static int64_t step_of(const char *path)
{
	struct ax_state s;

	return ax_state_read(&s, path, NULL) ? -1 : s.step;
}

/*
 * Checkpoints after the one to continue are of another course of the run. Left there, they would be taken for its result,
 * and save_total_limit would remove the new ones as the oldest.
 */
static int drop_newer(const struct ax_outdir *d, bool overwrite, struct ax_err *e)
{
	int64_t *step = NULL, from = step_of(d->resume);
	size_t n = 0;
	int rc = from < 0 ? 0 : ax_ckpt_list(d->path, &step, &n, e);

	if (!rc && n && step[n - 1] > from && !overwrite)
		rc = ax_fail(e, AX_EUSAGE,
			     "%s holds checkpoint-%" PRId64 ", after the one to resume from: --resume-from-checkpoint auto "
			     "continues it, --overwrite removes the checkpoints after step %" PRId64,
			     d->path, step[n - 1], from);
	for (size_t i = 0; !rc && i < n; i++)
		if (step[i] > from)
			rc = remove_checkpoint(d, step[i], e);
	ax_free(step);
	return rc;
}

static int choose(struct ax_outdir *d, const char *want, bool overwrite, struct ax_err *e)
{
	int64_t step = -1;
	char *path;

	AX_TRY(ax_dir_each(d->path, remove_unfinished, NULL, e));
	if (!want)
		return start_fresh(d, overwrite, e);
	if (strcmp(want, "auto")) {
		snprintf(d->resume, sizeof(d->resume), "%s", want);
		if (strlen(want) >= sizeof(d->resume))
			return ax_fail(e, AX_EUSAGE, "path of the checkpoint is too long");
		return drop_newer(d, overwrite, e);
	}
	AX_TRY(ax_ckpt_newest(d->path, &step, e));
	if (step < 0)
		return 0;
	path = ax_ckpt_path(d->path, step);
	if (!path)
		return ax_fail(e, AX_EMEM, "out of memory");
	snprintf(d->resume, sizeof(d->resume), "%s", path);
	ax_free(path);
	return 0;
}

int ax_outdir_resume(struct ax_outdir *d, struct ax_comm *c, const char *want, bool overwrite, struct ax_err *e)
{
	c->what = "choose the checkpoint";
	AX_TRY(ax_comm_agree(c, c->rank == 0 ? choose(d, want, overwrite, e) : 0, e));
	return ax_comm_share(c, d->resume, sizeof(d->resume), 0, e);
}

void ax_outdir_close(struct ax_outdir *d)
{
	if (d->lock >= 0)
		close(d->lock);
	d->lock = -1;
	ax_free(d->path);
	d->path = NULL;
}
