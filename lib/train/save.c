/* Checkpoints of the run: writing, pruning, resuming. */
#include <inttypes.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "train/train_impl.h"

static struct ax_val *state_of(const struct ax_train *t, struct ax_arena *a)
{
	struct ax_val *v = ax_state_val(a, &t->state, t->env.outdir->path, t->opt.keys);

	if (v && t->tuning && !ax_val_set(a, v, "device_tuning", ax_val_str(a, t->tuning, t->tuning_bytes)))
		return NULL;
	return v;
}

int ax_train_save(struct ax_train *t, struct ax_err *e)
{
	struct ax_ckpt_write w = {.units = t->env.units, .dev = t->env.dev, .extra = t->opt.extra,
				  .extra_ctx = t->opt.extra_ctx, .model_only = t->opt.save_only_model};
	double start = ax_now();
	struct ax_arena a;
	char *path;
	int rc;

	AX_TRY(ax_train_save_finish(t, e));
	AX_TRY(t->env.dev->ops->sync(t->env.dev, e)); /* the update is enqueued; the files read what it wrote */
	ax_arena_init(&a, 0);
	path = ax_ckpt_path(t->env.outdir->path, t->state.step);
	w.path = path;
	w.state = state_of(t, &a);
	w.box = ax_dist_boxes(t->dist, &w.n_box);
	rc = path && w.state ? ax_ckpt_begin(&t->saving, t->env.comm, &w, e) : ax_fail(e, AX_EMEM, "out of memory");
	ax_arena_release(&a);
	ax_free(path);
	t->saving_step = t->state.step;
	t->saving_best = t->state.best.ckpt;
	t->saving_since = start;
	t->save_s += ax_now() - start;
	return rc;
}

static void announce(struct ax_train *t, double waited)
{
	const char *dir = t->env.outdir->path;
	struct ax_err gone = {0};

	ax_progress_done(&t->progress);
	ax_info("saved %s/checkpoint-%" PRId64 " in %.1f s, of which training waited %.1f s", dir, t->saving_step,
		ax_now() - t->saving_since, waited);
	ax_comm_busy(t->env.comm, "remove old checkpoints", AX_COMM_DISK_S);
	if (ax_outdir_prune(t->env.outdir, t->opt.save_total_limit, t->saving_best, &gone))
		ax_warn("%s: an old checkpoint stays", gone.msg);
}

int ax_train_save_finish(struct ax_train *t, struct ax_err *e)
{
	struct ax_ckpt_job *j = t->saving;
	double start = ax_now();

	if (!j)
		return 0;
	t->saving = NULL;
	AX_TRY(ax_ckpt_finish(j, e));
	if (t->env.comm->rank == 0)
		announce(t, ax_now() - start);
	t->save_s += ax_now() - start;
	return 0;
}

/* Is this the state of a run over the same data? The order of packs is a function of them. */
static int check_state(const struct ax_train *t, const struct ax_state *s, const char *path, struct ax_err *e)
{
	const struct ax_shards *sh = ax_loader_shards(t->env.loader);

	if (s->n_pack != t->plan.n_pack || !ax_sum_equal(&s->data, &sh->totals.sum))
		return ax_fail(e, AX_EUSAGE, "%s was trained on other shards (%" PRIu64 " packs, here %" PRIu64 "): give the same shards to continue",
			       path, s->n_pack, t->plan.n_pack);
	if (s->seed != t->opt.seed)
		ax_warn("seed %" PRIu64 " differs from the checkpoint's %" PRIu64 ", which is kept", t->opt.seed, s->seed);
	if (t->opt.global_batch && (uint64_t)t->opt.global_batch != s->global_batch)
		ax_warn("global batch %" PRId64 " differs from the checkpoint's %" PRIu64 ", which is kept",
			t->opt.global_batch, s->global_batch);
	return 0;
}

/* A run may go on in another precision of its state. */
static void say_converted(const struct ax_ckpt *k, const struct ax_train_opt *o)
{
	enum ax_dtype is[] = {o->masters, o->moments};

	for (int p = AX_PART_MASTER; p <= AX_PART_M; p++) {
		enum ax_dtype was = k->type[p] == AX_ST_BF16 ? AX_BF16 : k->type[p] == AX_ST_U8 ? AX_Q8 : AX_F32;

		if (was != is[p] && !(p == AX_PART_M && k->model_only))
			ax_info("%s holds %s in %s, this run keeps them in %s: converted", k->path, p == AX_PART_M ? "moments" : "weights",
				ax_dtype_name(was), ax_dtype_name(is[p]));
	}
}

static int load_parts(struct ax_train *t, const struct ax_ckpt *k, struct ax_err *e)
{
	struct ax_ckpt_source r;
	int rc = 0;

	AX_TRY(ax_ckpt_source_open(&r, k, t->env.units, e));
	for (int p = 0; p <= (k->model_only ? AX_PART_MASTER : AX_PART_V) && !rc; p++) {
		r.part = (enum ax_part)p;
		rc = ax_dist_load(t->dist, r.part, ax_ckpt_source_read, &r, e);
	}
	ax_ckpt_source_close(&r);
	return rc;
}

static int load_all(struct ax_train *t, const char *path, struct ax_err *e)
{
	struct ax_state s;
	struct ax_ckpt k;
	int rc;

	AX_TRY(ax_ckpt_open(&k, path, e));
	rc = ax_state_parse(&s, k.state, e);
	if (rc)
		ax_err_prefix(e, "%s: ", path);
	if (!rc)
		ax_train_adopt_best(t, &s);
	if (!rc && k.model_only && !ax_train_complete(t, &s)) /* a complete run needs no optimizer state */
		rc = ax_fail(e, AX_EUSAGE, "%s holds no optimizer state (save_only_model): it cannot be resumed; ax-merge makes a model of it",
			     path);
	if (!rc)
		rc = check_state(t, &s, path, e);
	if (!rc && t->env.comm->rank == 0)
		rc = ax_ckpt_verify(&k, e);
	if (!rc) {
		rc = ax_train_tuning_adopt(t, ax_val_get(k.state, "device_tuning"), e);
		if (rc)
			ax_err_prefix(e, "%s: ", path);
	}
	if (!rc)
		rc = load_parts(t, &k, e);
	if (!rc)
		say_converted(&k, &t->opt);
	if (!rc)
		t->state = s;
	ax_ckpt_close(&k);
	return rc;
}

int ax_train_resume(struct ax_train *t, const char *path, struct ax_err *e)
{
	t->env.comm->what = "load the checkpoint";
	ax_comm_busy(t->env.comm, t->env.comm->what, AX_COMM_DISK_S);
	return ax_comm_agree(t->env.comm, load_all(t, path, e), e);
}
