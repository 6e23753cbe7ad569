/* The functions that callers use: numbering, waiting with deadlines, word to the watchdog; small collectives. */
#include "comm/comm.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "comm/watchdog.h"

#define SPINS 200
#define SLICE_ROUND 256 /* callers round slices up to so many elements, at most */

static void begin(struct ax_comm *c, struct ax_comm_req *r, const char *name)
{
	r->impl = NULL;
	r->id = ++c->n_collective;
	r->step = c->step;
	r->what = c->what ? c->what : name;
	c->what = NULL;
	ax_watchdog_at(c->watchdog, r->step, r->what, false);
}

/*
 * Put where it happened in front of an error of the library below. If another rank's end is the reason, the watchdog
 * knows which, and ends this process while we sleep.
 */
static int located(struct ax_comm *c, const struct ax_comm_req *r, int rc, struct ax_err *e)
{
	struct timespec t = {2, 0};

	if (rc == AX_ECOMM && c->watchdog)
		nanosleep(&t, NULL);
	if (rc)
		ax_err_prefix(e, "rank %d (%s), step %llu, %s: ", c->rank, c->host, (unsigned long long)r->step,
			      r->what);
	return rc;
}

int ax_comm_all_gather(struct ax_comm *c, void *dst, const void *src, size_t bytes, struct ax_comm_req *r,
		       struct ax_err *e)
{
	begin(c, r, "all gather");
	return located(c, r, c->ops->all_gather(c, dst, src, bytes, r, e), e);
}

int ax_comm_reduce_scatter(struct ax_comm *c, void *dst, void *src, size_t n, enum ax_sum_type t, bool accumulate,
			   struct ax_comm_req *r, struct ax_err *e)
{
	begin(c, r, "reduce scatter");
	return located(c, r, c->ops->reduce_scatter(c, dst, src, n, t, accumulate, r, e), e);
}

int ax_comm_all_reduce(struct ax_comm *c, void *x, size_t n, enum ax_sum_type t, struct ax_comm_req *r, struct ax_err *e)
{
	begin(c, r, "all reduce");
	return located(c, r, c->ops->all_reduce(c, x, n, t, r, e), e);
}

int ax_comm_broadcast(struct ax_comm *c, void *p, size_t bytes, int root, struct ax_comm_req *r, struct ax_err *e)
{
	begin(c, r, "broadcast");
	return located(c, r, c->ops->broadcast(c, p, bytes, root, r, e), e);
}

double ax_comm_held_s(struct ax_comm *c, double host_s)
{
	return c->ops->held_s ? c->ops->held_s(c) : host_s;
}

int ax_comm_progress(struct ax_comm *c, struct ax_err *e)
{
	ax_watchdog_tick(c->watchdog, false);
	return c->ops->progress(c, e);
}

int ax_comm_test(struct ax_comm *c, struct ax_comm_req *r, bool *done, struct ax_err *e)
{
	*done = true;
	if (!r->impl)
		return 0;
	return located(c, r, c->ops->test(c, r, done, e), e);
}

/* First yield, for ranks that share cores; then sleep, 20 to 200 us, so that a long wait costs nothing. */
static void back_off(unsigned spin)
{
	struct timespec t = {0, 20000};

	if (spin < SPINS) {
		sched_yield();
		return;
	}
	t.tv_nsec = spin < 10 * SPINS ? 20000 : 200000;
	nanosleep(&t, NULL);
}

static int timed_out(struct ax_comm *c, const struct ax_comm_req *r, struct ax_err *e)
{
	char missing[256];

	c->ops->missing(c, r, missing, sizeof(missing));
	return located(c, r,
		       ax_fail(e, AX_ECOMM, "nothing moved for %.0f s; waiting for %s (collective %llu)", c->timeout_s,
			       missing[0] ? missing : "other ranks", (unsigned long long)r->id),
		       e);
}

int ax_comm_wait(struct ax_comm *c, struct ax_comm_req *r, struct ax_err *e)
{
	uint64_t moved = c->n_moved;
	double since = 0;
	bool done = true;

	if (!r->impl)
		return 0;
	ax_watchdog_at(c->watchdog, r->step, r->what, true);
	for (unsigned spin = 0;; spin++) {
		AX_TRY(ax_comm_test(c, r, &done, e));
		if (done)
			break;
		if (c->n_moved != moved) {
			moved = c->n_moved;
			since = 0;
			ax_watchdog_tick(c->watchdog, true);
		} else if (c->timeout_s > 0 && spin >= SPINS) {
			if (since == 0)
				since = ax_now();
			else if (ax_now() - since > c->timeout_s)
				return timed_out(c, r, e);
		}
		back_off(spin);
	}
	ax_watchdog_tick(c->watchdog, false);
	return 0;
}

int ax_comm_sum_f64(struct ax_comm *c, double *x, size_t n, struct ax_err *e)
{
	struct ax_comm_req r;
	double *all, sum;
	size_t bytes;
	int rc;

	if (c->n_rank == 1 || n == 0)
		return 0;
	if (!ax_mul_size(n * sizeof(*all), (size_t)c->n_rank, &bytes))
		return ax_fail(e, AX_EMEM, "sum of %zu numbers: too many", n);
	all = ax_malloc(bytes);
	if (!all)
		return ax_fail(e, AX_EMEM, "no memory for a sum of %zu numbers", n);
	rc = ax_comm_all_gather(c, all, x, n * sizeof(*x), &r, e);
	if (!rc)
		rc = ax_comm_wait(c, &r, e);
	for (size_t i = 0; !rc && i < n; i++) {
		sum = all[i];
		for (size_t k = 1; k < (size_t)c->n_rank; k++)
			sum += all[k * n + i];
		x[i] = sum;
	}
	ax_free(all);
	return rc;
}

int ax_comm_barrier(struct ax_comm *c, struct ax_err *e)
{
	double x = 0;

	if (!c->what)
		c->what = "barrier";
	return ax_comm_sum_f64(c, &x, 1, e);
}

int ax_comm_share(struct ax_comm *c, void *p, size_t bytes, int root, struct ax_err *e)
{
	struct ax_comm_req r;

	AX_TRY(ax_comm_broadcast(c, p, bytes, root, &r, e));
	return ax_comm_wait(c, &r, e);
}

int ax_comm_agree(struct ax_comm *c, int rc, struct ax_err *e)
{
	struct outcome {
		int code;
		char msg[508];
	} mine, *all;
	struct ax_comm_req r;
	int got;

	if (c->n_rank == 1)
		return rc;
	memset(&mine, 0, sizeof(mine));
	mine.code = rc;
	if (rc)
		snprintf(mine.msg, sizeof(mine.msg), "%.*s", (int)sizeof(mine.msg) - 1, e ? e->msg : "");
	all = ax_calloc((size_t)c->n_rank, sizeof(*all));
	if (!all)
		return ax_fail(e, AX_EMEM, "no memory to agree with %d ranks", c->n_rank);
	got = ax_comm_all_gather(c, all, &mine, sizeof(mine), &r, rc ? NULL : e);
	if (!got)
		got = ax_comm_wait(c, &r, rc ? NULL : e);
	for (int k = 0; !got && !rc && k < c->n_rank; k++)
		if (all[k].code)
			rc = ax_fail(e, all[k].code, "rank %d: %.*s", k, (int)sizeof(all[k].msg) - 1, all[k].msg);
	ax_free(all);
	return rc ? rc : got;
}

int ax_comm_split(struct ax_comm *c, int color, int key, struct ax_comm **out, struct ax_err *e)
{
	*out = NULL;
	ax_watchdog_at(c->watchdog, c->step, "split the ranks", true);
	AX_TRY(c->ops->split(c, color, key, out, e));
	ax_watchdog_tick(c->watchdog, false);
	if (*out) {
		(*out)->timeout_s = c->timeout_s;
		(*out)->step = c->step;
		(*out)->watchdog = c->watchdog;
		(*out)->borrowed = true;
	}
	return 0;
}

size_t ax_comm_scratch_bytes(size_t largest, enum ax_sum_type t, int n_rank, int n)
{
	size_t piece = AX_COMM_PIECE / ax_sum_bytes(t);

	if (n_rank <= 1)
		return 0;
	if (largest / (size_t)n_rank + SLICE_ROUND < piece)
		piece = largest / (size_t)n_rank + SLICE_ROUND;
	return (size_t)n * AX_COMM_WINDOW * (size_t)(n_rank - 1) * piece * ax_sum_bytes(t);
}

void ax_comm_give_up(struct ax_comm *c)
{
	if (c && c->ops->give_up)
		c->ops->give_up(c);
}

void ax_comm_tick(struct ax_comm *c)
{
	ax_watchdog_tick(c->watchdog, false);
}

void ax_comm_busy(struct ax_comm *c, const char *what, double limit_s)
{
	ax_watchdog_busy(c->watchdog, what, limit_s);
}

void ax_comm_close(struct ax_comm *c)
{
	struct ax_watchdog *w;

	if (!c)
		return;
	w = c->borrowed ? NULL : c->watchdog;
	if (!c->borrowed && c->n_rank > 1) {
		c->what = "leave";
		if (ax_comm_barrier(c, NULL)) {
			ax_comm_abandon(c, "some rank did not come to the end");
			return;
		}
		ax_watchdog_at(w, c->step, "finalize", true);
	}
	c->ops->close(c, false);
	ax_watchdog_close(w, NULL);
}

void ax_comm_abandon(struct ax_comm *c, const char *msg)
{
	if (!c)
		return;
	if (!c->borrowed)
		ax_watchdog_close(c->watchdog, msg ? msg : "an error");
	c->ops->close(c, true);
}
