/* The best checkpoint of a run, and stopping when evaluations no longer get better. */
#include <inttypes.h>

#include "base/io.h"
#include "base/mem.h"
#include "train/train_impl.h"

bool ax_train_complete(const struct ax_train *t, const struct ax_state *s)
{
	return s->step >= t->plan.total_steps || (s->tracked && ax_best_exhausted(&s->best, t->opt.patience));
}

bool ax_train_take_eval(struct ax_train *t, double metric)
{
	struct ax_best *b = &t->state.best;

	if (!t->state.tracked)
		return false;
	if (ax_best_eval(b, t->state.step, metric))
		return t->opt.save_best;
	if (t->opt.patience > 0 && b->step >= 0)
		ax_info("step %" PRId64 ": not better than %.6f after step %" PRId64 ", %" PRId64 " of %" PRId64
			" times before the run stops",
			t->state.step, b->metric, b->step, b->worse, t->opt.patience);
	return false;
}

void ax_train_say_early(const struct ax_train *t)
{
	const struct ax_best *b = &t->state.best;

	if (t->state.step >= t->plan.total_steps)
		return;
	if (b->step < 0)
		ax_info("stopped early after step %" PRId64 " of %" PRId64 ": no evaluation gave a finite loss", t->state.step,
			t->plan.total_steps);
	else
		ax_info("stopped early after step %" PRId64 " of %" PRId64 ": %" PRId64 " evaluations were not better than %.6f "
			"after step %" PRId64 " (early_stopping_patience %" PRId64 ")",
			t->state.step, t->plan.total_steps, b->worse, b->metric, b->step, t->opt.patience);
}

/* The folder may have been removed by hand, or lie in another output_dir. */
static bool is_here(const struct ax_train *t, int64_t step)
{
	char *path = ax_ckpt_path(t->env.outdir->path, step);
	bool here = path && ax_path_is_dir(path);

	ax_free(path);
	return here;
}

void ax_train_adopt_best(struct ax_train *t, struct ax_state *s)
{
	bool was = s->tracked && t->opt.track_best;

	s->tracked = t->opt.track_best;
	s->end_with_best = t->opt.end_with_best;
	if (was && s->best.greater != t->opt.greater_is_better)
		ax_warn("greater_is_better differs from the checkpoint's: what was the best so far is forgotten");
	if (!was || s->best.greater != t->opt.greater_is_better)
		ax_best_init(&s->best, t->opt.greater_is_better);
	if (s->best.ckpt < 0 || is_here(t, s->best.ckpt))
		return;
	ax_warn("the best checkpoint so far, of step %" PRId64 ", is no longer in %s: another will be the best", s->best.ckpt,
		t->env.outdir->path);
	s->best.ckpt = -1;
	s->best.ckpt_metric = 0;
}
