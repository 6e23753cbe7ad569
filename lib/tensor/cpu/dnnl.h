/*
 * Matrix products through oneDNN, one thread each. This file hides the difference between its 2.x and 3.x C API.
 *
 *	AX_TRY(ax_dnnl_open(&x, n_slots, e));
 *	mm = ax_dnnl_get(x, &shape);                  // from the cache, or compiled now; NULL: failed
 *	ax_mm_run(x, mm, slot, scratch, a, b, bias, c); // from any thread; a slot is used by one thread at a time
 *	ax_dnnl_close(x);
 *
 * oneDNN's results change with its own number of threads, so every thread that gets here tells OpenMP to use one; the
 * caller cuts a product into tiles by shape and runs the tiles in parallel. ax_dnnl_get is called by one thread at a time.
 */
#ifndef AX_TENSOR_CPU_DNNL_H
#define AX_TENSOR_CPU_DNNL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "tensor/ops.h"

struct ax_dnnl;
struct ax_mm;

/* C (m, n) = A (m, k) B (k, n) (+ bias (n)) (+ C). Row strides in elements; ta: A is stored (k, m); tb: B as (n, k). */
struct ax_mm_shape {
	int m, n, k;
	size_t lda, ldb, ldc;
	enum ax_dtype in, out; /* f32 -> f32, bf16 -> bf16 or f32; the bias has type `in` */
	bool ta, tb, accumulate, bias;
};

int ax_dnnl_open(struct ax_dnnl **x, int n_slots, struct ax_err *e);
void ax_dnnl_close(struct ax_dnnl *x);
/* Does this machine multiply bf16 natively? If not, oneDNN would emulate it at a third of its f32 speed. */
bool ax_dnnl_has_bf16(void);
void ax_dnnl_version(int *major, int *minor, int *patch);

const struct ax_mm *ax_dnnl_get(struct ax_dnnl *x, const struct ax_mm_shape *s);
/* Bytes of scratch that a run needs, aligned to 64. */
size_t ax_mm_scratch(const struct ax_mm *mm);
/* False when oneDNN refuses (out of memory). */
bool ax_mm_run(const struct ax_dnnl *x, const struct ax_mm *mm, int slot, void *scratch, const void *a, const void *b, const void *bias, void *c);

#endif
