/* Which checkpoint of an output_dir is the result of its run. */
#ifndef AX_TRAIN_CHOOSE_H
#define AX_TRAIN_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ax_choice {
	int64_t step;   /* -1: the folder holds no complete checkpoint */
	size_t n;       /* checkpoints that were there to choose from */
	bool is_best;   /* chosen for its eval_loss; else the newest */
	double metric;  /* that eval_loss */
};

/*
 * The newest complete checkpoint of dir; or the best one, if `best` is set or the run asked for that (its trainer state
 * says load_best_model_at_end) and has one. The best is the one that the newest checkpoint's trainer state names; if that
 * names none, or one that is gone, the one with the best eval_loss in metrics.jsonl. AX_EDATA if `best` is set and no
 * checkpoint was evaluated.
 */
int ax_choose_checkpoint(const char *dir, bool best, struct ax_choice *c, struct ax_err *e);

#endif
