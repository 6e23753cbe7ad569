/* An output_dir of ax-train: its checkpoints. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "text/json.h"
#include "train/choose.h"
#include "train/ckpt.h"
#include "view.h"

#define STATE_MAX ((size_t)16 << 20)

struct run {
	const char *dir;
	int64_t *step; /* ascending */
	size_t n;
	struct ax_choice best; /* step -1: none was evaluated */
};

/* The state that a checkpoint was saved in; NULL: it cannot be read, which has been said. */
static const struct ax_val *read_state(struct view *v, const char *ckpt)
{
	char *path = ax_path_join(ckpt, AX_CKPT_STATE);
	struct ax_val *state = NULL;
	struct ax_err e = {0};

	if (path && ax_json_file(&v->arena, path, STATE_MAX, &state, &e)) {
		ax_warn("%s", e.msg);
		state = NULL;
	}
	ax_free(path);
	return state;
}

static int show_one(struct view *v, const struct run *r, size_t i, struct ax_err *e)
{
	char *path = ax_ckpt_path(r->dir, r->step[i]);
	const struct ax_val *state;

	if (!path)
		return ax_fail(e, AX_EMEM, "out of memory");
	state = read_state(v, path);
	printf("%s: step %" PRId64 " of %" PRId64 ", %" PRId64 " tokens seen", path, r->step[i],
	       ax_val_int_or(ax_val_get(state, "total_steps"), 0), ax_val_int_or(ax_val_get(state, "tokens_seen"), 0));
	if (r->step[i] == r->best.step)
		printf(", best: eval_loss %.6f", r->best.metric);
	printf("%s\n", i + 1 == r->n ? ", newest" : "");
	ax_free(path);
	return 0;
}

static int check_one(struct view *v, const struct run *r, size_t i, struct ax_err *e)
{
	char *path = ax_ckpt_path(r->dir, r->step[i]);
	int rc = path ? view_checkpoint(v, path, e) : ax_fail(e, AX_EMEM, "out of memory");

	ax_free(path);
	return rc;
}

static int add_json(struct view *v, const struct run *r, struct ax_err *e)
{
	struct ax_arena *a = &v->arena;
	struct ax_val *m = ax_val_map(a), *list = ax_val_list(a);
	bool ok = m && list && ax_val_set(a, m, "file", ax_val_str(a, r->dir, strlen(r->dir))) &&
		  ax_val_set(a, m, "kind", ax_val_str(a, "run", 3));

	for (size_t i = 0; ok && i < r->n; i++)
		ok = ax_val_push(a, list, ax_val_int(a, r->step[i]));
	ok = ok && ax_val_set(a, m, "checkpoints", list);
	if (ok && r->n)
		ok = ax_val_set(a, m, "newest", ax_val_int(a, r->step[r->n - 1]));
	if (ok && r->best.step >= 0)
		ok = ax_val_set(a, m, "best", ax_val_int(a, r->best.step)) && ax_val_set(a, m, "best_eval_loss", ax_val_float(a, r->best.metric));
	if (!ok)
		return ax_fail(e, AX_EMEM, "out of memory");
	ax_json_write(v->json, m, 0);
	ax_buf_addc(v->json, '\n');
	return 0;
}

static int look(struct view *v, const struct run *r, struct ax_err *e)
{
	int rc = 0;

	if (v->json && !v->check)
		return add_json(v, r, e);
	if (!v->check)
		printf("%s: output folder of a run, %zu checkpoint%s\n", r->dir, r->n, r->n == 1 ? "" : "s");
	for (size_t i = 0; i < r->n; i++) {
		struct ax_err one = {0};
		int got = v->check ? check_one(v, r, i, &one) : show_one(v, r, i, &one);

		if (got && rc) /* the caller says the first */
			ax_log(AX_LOG_ERROR, "%s", one.msg);
		else if (got)
			rc = ax_fail(e, got, "%s", one.msg);
	}
	return rc;
}

int view_run(struct view *v, const char *dir, struct ax_err *e)
{
	char *metrics = ax_path_join(dir, "metrics.jsonl");
	bool is_run = metrics && ax_path_exists(metrics);
	struct run r = {.dir = dir};
	int rc;

	ax_free(metrics);
	AX_TRY(ax_ckpt_list(dir, &r.step, &r.n, e));
	if (ax_choose_checkpoint(dir, true, &r.best, NULL))
		r.best.step = -1;
	if (r.n || is_run)
		rc = look(v, &r, e);
	else
		rc = ax_fail(e, AX_EDATA, "%s: a folder that ax does not know (shards, a model, a checkpoint or a run)", dir);
	ax_free(r.step);
	return rc;
}
