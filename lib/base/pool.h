/*
 * A fork-join thread pool. Work is split by index, never by thread: fn(ctx, i) for i in [0, n) with a fixed n gives the
 * same result for any number of threads, provided the calls touch disjoint memory.
 *
 *	struct ax_pool *p;
 *	AX_TRY(ax_pool_new(&p, n_threads, e));        // n_threads counts the caller
 *	ax_pool_run(p, n, fn, ctx);                   // returns when all are done; the caller works too
 *	ax_pool_free(p);
 *
 * Calls do not nest. A pool of one thread, or a NULL pool, runs the work in the caller.
 */
#ifndef AX_BASE_POOL_H
#define AX_BASE_POOL_H

#include <stddef.h>

#include "base/err.h"

struct ax_pool;

int ax_pool_new(struct ax_pool **p, int n_threads, struct ax_err *e);
void ax_pool_run(struct ax_pool *p, size_t n, void (*fn)(void *ctx, size_t i), void *ctx);
int ax_pool_threads(const struct ax_pool *p);
void ax_pool_free(struct ax_pool *p);

/* Cores that this process may run on (its affinity mask). */
int ax_cores_allowed(void);

#endif
