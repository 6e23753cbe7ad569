/*
 * Initial values: reinit_weights, and rows for tokens that the base model has not.
 *
 * Counter-based: the value of element i of a parameter is a pure function of (seed, parameter name, i), so every rank
 * fills its own slice and any layout gives the same bits. As transformers' defaults: matrices and embeddings
 * normal(0, initializer_range), norms 1, biases 0.
 */
#ifndef AX_MODEL_INIT_H
#define AX_MODEL_INIT_H

#include "model/desc.h"
#include "model/unit.h"

/* out[i - a] = initial value of element i of p, for i in [a, b); b <= p->n_elem. */
void ax_init_fill(const struct ax_desc *d, const struct ax_param *p, uint64_t seed, size_t a, size_t b, float *out);

/* mean (C) = mean over the rows of table (n_row, C) of dtype t (f32, bf16, f16), sums in double by row: what a new token's
 * embedding starts with. sum is scratch of C doubles. */
void ax_init_mean_row(float *mean, double *sum, const void *table, enum ax_dtype t, int64_t n_row, int C);

#endif
