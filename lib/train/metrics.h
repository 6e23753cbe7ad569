/*
 * metrics.jsonl: one JSON object a step, appended and flushed, so that a crash loses at most the last line.
 *
 *	step, epoch, loss, grad_norm (before clipping), learning_rate, trained_tokens (of this step's global batch),
 *	tokens_per_second (tokens that are not padding, all ranks), mfu, and eval_loss in the object of the step after
 *	which it ran. Step 0 holds only step, epoch and eval_loss. Non-finite numbers are null.
 */
#ifndef AX_TRAIN_METRICS_H
#define AX_TRAIN_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ax_metrics_row {
	int64_t step;
	double epoch;
	bool has_train, has_eval;
	double loss, grad_norm, learning_rate, tokens_per_second, mfu, eval_loss;
	uint64_t trained_tokens;
};

struct ax_metrics {
	int fd; /* -1: closed */
	char *path;
};

/*
 * Open dir/metrics.jsonl. keep_to < 0: start an empty file; otherwise keep the lines of steps <= keep_to (a resumed run
 * repeats the later ones) and append behind them.
 */
int ax_metrics_open(struct ax_metrics *m, const char *dir, int64_t keep_to, struct ax_err *e);
int ax_metrics_write(struct ax_metrics *m, const struct ax_metrics_row *r, struct ax_err *e);
void ax_metrics_close(struct ax_metrics *m);

/*
 * The one of the n steps after which dir/metrics.jsonl has the lowest (greater: highest) eval_loss, the first of equals.
 * AX_EDATA if it has none for any of them.
 */
int ax_metrics_best(const char *dir, const int64_t *step, size_t n, bool greater, int64_t *best, double *eval_loss,
		    struct ax_err *e);

#endif
