#include "train/choose.h"

#include "base/mem.h"
#include "train/ckpt.h"
#include "train/metrics.h"
#include "train/state.h"

/* What the run itself says; a state that cannot be read is explained by whoever opens that checkpoint. */
static struct ax_state newest_state(const char *dir, int64_t step)
{
	char *path = ax_ckpt_path(dir, step);
	struct ax_state s;

	if (!path || ax_state_read(&s, path, NULL)) {
		s = (struct ax_state){.tracked = false};
		ax_best_init(&s.best, false);
	}
	ax_free(path);
	return s;
}

static int best_of(const char *dir, const int64_t *step, size_t n, const struct ax_best *b, struct ax_choice *c,
		   struct ax_err *e)
{
	c->is_best = true;
	c->metric = b->ckpt_metric;
	for (size_t i = 0; i < n; i++)
		if (step[i] == b->ckpt) {
			c->step = b->ckpt;
			return 0;
		}
	return ax_metrics_best(dir, step, n, b->greater, &c->step, &c->metric, e);
}

int ax_choose_checkpoint(const char *dir, bool best, struct ax_choice *c, struct ax_err *e)
{
	struct ax_state s;
	int64_t *step;
	int rc;

	*c = (struct ax_choice){.step = -1};
	AX_TRY(ax_ckpt_list(dir, &step, &c->n, e));
	rc = 0;
	if (c->n) {
		s = newest_state(dir, step[c->n - 1]);
		if (best)
			rc = best_of(dir, step, c->n, &s.best, c, e);
		else if (!s.end_with_best || best_of(dir, step, c->n, &s.best, c, NULL))
			*c = (struct ax_choice){.step = step[c->n - 1], .n = c->n};
	}
	ax_free(step);
	return rc;
}
