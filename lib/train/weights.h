/*
 * Where a run's first weights come from: a model folder, or the initialiser. Each rank asks for the ranges it holds.
 *
 *	struct ax_weights w;
 *	AX_TRY(ax_weights_open(&w, "model", &desc, &units, n_old, e));   // sets units->param[].base_dtype
 *	AX_TRY(ax_dist_load(dist, AX_PART_MASTER, ax_weights_read, &w, e));
 *	ax_weights_close(&w);
 */
#ifndef AX_TRAIN_WEIGHTS_H
#define AX_TRAIN_WEIGHTS_H

#include "base/pool.h"
#include "fmt/safetensors.h"
#include "model/desc.h"
#include "model/unit.h"

struct ax_weights {
	const struct ax_desc *desc;
	struct ax_units *units;
	bool init;                       /* from the initialiser: reinit_weights */
	struct ax_pool *pool;            /* of the initialiser; NULL: the caller's thread alone */
	uint64_t seed;
	struct ax_st_model model;
	const struct ax_st_tensor **src; /* of each parameter */
	float **mean_row;                /* of an embedding that grows, else NULL */
	double *sum;
};

/*
 * Opens the folder's safetensors and matches them with the parameters: each must be there with its shape and a float
 * dtype, nothing else may be (but copies of tied weights and old buffers). n_old: rows of the embedding that the folder
 * has (config.json's vocab_size); rows beyond it become the mean of the old rows. Errors name what is missing.
 */
int ax_weights_open(struct ax_weights *w, const char *dir, const struct ax_desc *d, struct ax_units *u, int64_t n_old,
		    struct ax_err *e);
/* Weights from (seed, parameter name, index) alone. */
int ax_weights_init(struct ax_weights *w, const struct ax_desc *d, struct ax_units *u, uint64_t seed, struct ax_err *e);
/* The initialiser may use so many threads, until ax_weights_close: the bits are the same. */
int ax_weights_threads(struct ax_weights *w, int n_thread, struct ax_err *e);
/* An ax_dist_source. */
int ax_weights_read(void *ctx, int param, size_t off, size_t n, float *dst, struct ax_err *e);
void ax_weights_close(struct ax_weights *w);

#endif
