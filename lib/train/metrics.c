#include "train/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "text/json.h"

#define METRICS_MAX ((size_t)1 << 30)

/* The line's step, INT64_MAX if it has none; its eval_loss, NaN if it has none. */
static int64_t step_of_line(const char *line, size_t n, double *eval_loss)
{
	struct ax_arena a;
	struct ax_val *v;
	int64_t step = INT64_MAX;

	*eval_loss = NAN;
	ax_arena_init(&a, 0);
	if (!ax_json_parse(&a, line, n, &v, NULL)) {
		step = ax_val_int_or(ax_val_get(v, "step"), INT64_MAX);
		*eval_loss = ax_val_num_or(ax_val_get(v, "eval_loss"), (double)NAN);
	}
	ax_arena_release(&a);
	return step;
}

/* The file's complete lines with step <= keep_to; a half-written last line goes too. */
static int kept_lines(const char *path, int64_t keep_to, struct ax_buf *out, struct ax_err *e)
{
	struct ax_buf all = AX_BUF_INIT;
	const char *p, *end;
	double loss;
	int rc = ax_path_exists(path) ? ax_read_file(path, METRICS_MAX, &all, e) : 0;

	for (p = all.p; !rc && p && (end = memchr(p, '\n', (size_t)(all.p + all.n - p))); p = end + 1)
		if (step_of_line(p, (size_t)(end - p), &loss) <= keep_to)
			ax_buf_add(out, p, (size_t)(end + 1 - p));
	ax_buf_release(&all);
	return !rc && out->oom ? ax_fail(e, AX_EMEM, "out of memory") : rc;
}

int ax_metrics_open(struct ax_metrics *m, const char *dir, int64_t keep_to, struct ax_err *e)
{
	struct ax_buf keep = AX_BUF_INIT;
	int rc = 0;

	m->fd = -1;
	m->path = ax_path_join(dir, "metrics.jsonl");
	if (!m->path)
		return ax_fail(e, AX_EMEM, "out of memory");
	if (keep_to >= 0)
		rc = kept_lines(m->path, keep_to, &keep, e);
	if (!rc)
		rc = ax_write_file(m->path, keep.p ? keep.p : "", keep.n, e);
	ax_buf_release(&keep);
	if (!rc) {
		m->fd = ax_open(m->path, O_WRONLY | O_APPEND, 0);
		if (m->fd < 0)
			rc = ax_fail(e, AX_EIO, "cannot open %s:", m->path);
	}
	if (rc)
		ax_metrics_close(m);
	return rc;
}

static void number(struct ax_buf *b, const char *name, double v)
{
	ax_buf_addf(b, ", \"%s\": ", name);
	if (isfinite(v))
		ax_write_float(b, v);
	else
		ax_buf_adds(b, "null");
}

int ax_metrics_write(struct ax_metrics *m, const struct ax_metrics_row *r, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	int rc = 0;

	ax_buf_addf(&b, "{\"step\": %" PRId64, r->step);
	number(&b, "epoch", r->epoch);
	if (r->has_train) {
		number(&b, "loss", r->loss);
		number(&b, "grad_norm", r->grad_norm);
		number(&b, "learning_rate", r->learning_rate);
		ax_buf_addf(&b, ", \"trained_tokens\": %" PRIu64, r->trained_tokens);
		number(&b, "tokens_per_second", r->tokens_per_second);
		number(&b, "mfu", r->mfu);
	}
	if (r->has_eval)
		number(&b, "eval_loss", r->eval_loss);
	ax_buf_adds(&b, "}\n");
	if (b.oom)
		rc = ax_fail(e, AX_EMEM, "out of memory");
	else
		rc = ax_write_full(m->fd, b.p, b.n, m->path, e);
	ax_buf_release(&b);
	return rc;
}

void ax_metrics_close(struct ax_metrics *m)
{
	if (m->fd >= 0)
		close(m->fd);
	ax_free(m->path);
	m->fd = -1;
	m->path = NULL;
}

static bool is_one_of(int64_t x, const int64_t *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == x)
			return true;
	return false;
}

int ax_metrics_best(const char *dir, const int64_t *step, size_t n, bool greater, int64_t *best, double *eval_loss,
		    struct ax_err *e)
{
	char *path = ax_path_join(dir, "metrics.jsonl");
	struct ax_buf all = AX_BUF_INIT;
	const char *p, *end;
	double loss;
	int rc = path ? ax_read_file(path, METRICS_MAX, &all, e) : ax_fail(e, AX_EMEM, "out of memory");

	*best = -1;
	for (p = all.p; !rc && p && (end = memchr(p, '\n', (size_t)(all.p + all.n - p))); p = end + 1) {
		int64_t at = step_of_line(p, (size_t)(end - p), &loss);

		if (!isnan(loss) && is_one_of(at, step, n) &&
		    (*best < 0 || (greater ? loss > *eval_loss : loss < *eval_loss))) {
			*best = at;
			*eval_loss = loss;
		}
	}
	if (!rc && *best < 0)
		rc = ax_fail(e, AX_EDATA, "%s: none of the checkpoints was evaluated (evaluate when saving: eval_steps, save_steps)",
			     path);
	ax_buf_release(&all);
	ax_free(path);
	return rc;
}
