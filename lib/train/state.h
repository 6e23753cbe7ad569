/* The trainer state of a checkpoint (trainer_state.json), to and from JSON. Internal to lib/train. */
#ifndef AX_TRAIN_STATE_H
#define AX_TRAIN_STATE_H

#include "data/loader.h"
#include "text/val.h"
#include "train/policy.h"

struct ax_state {
	int64_t step, total_steps;
	uint64_t consumed;     /* packs of the train split */
	uint64_t global_batch;
	uint64_t seed;
	uint64_t tokens, trained_tokens; /* seen so far */
	struct ax_sum data;    /* order-free checksum of the shards' rows: resuming on other data is an error */
	uint64_t n_pack;
	bool tracked;          /* the run asked for its best checkpoint; else best is as initialised */
	bool end_with_best;    /* load_best_model_at_end: the result of the run is its best checkpoint, not its last */
	struct ax_best best;
};

/* dir: output_dir, for the path of the best checkpoint. */
struct ax_val *ax_state_val(struct ax_arena *a, const struct ax_state *s, const char *dir, const struct ax_val *keys);
int ax_state_parse(struct ax_state *s, const struct ax_val *v, struct ax_err *e);
/* The state in the checkpoint folder `path`. */
int ax_state_read(struct ax_state *s, const char *path, struct ax_err *e);

#endif
