/*
 * The watchdog: one thread a rank that notices a dead, stopped or hanging rank and ends the job, naming the culprit.
 *
 *	AX_TRY(ax_watchdog_open(&w, comm, 0, 0, e));     // collective; ax_comm_open does it
 *	ax_watchdog_at(w, step, "gather layer 3", true); // the communicator does it
 *	ax_watchdog_close(w, NULL);                      // goodbye
 *
 * Each rank sends a heartbeat a second to rank 0 over TCP: step, number and name of the collective it is in or was in
 * last, whether it waits there, and how long it has made no progress. Rank 0 answers with its own. The addresses and a
 * random key travel through the communicator at the start; on one host only the loopback interface is used.
 *
 * Verdicts, by rank 0, or about rank 0 by the others:
 *	died      the connection closed without a goodbye (at once), or its host stopped acknowledging (25 s)
 *	failed    the rank said goodbye with an error; the others have 2 s to leave by themselves
 *	silent    no heartbeat for silent_s: stopped, or out of reach
 *	hangs     others have waited in a collective for hang_s without progress: the culprit is the rank that does not
 *	          wait and made no progress as long, or, if all wait, one that waits in the earliest collective;
 *	          while a rank misses heartbeats nothing of this is said, as it may be that rank's fault
 * A rank that is busy for long while others wait must call ax_comm_tick() now and then, or ax_comm_busy() before.
 *
 * On a verdict rank 0 prints one line with rank, host, process, step and collective, tells all others, and every rank
 * ends with _exit(6). A process that finds that it was stopped itself (its clock jumped) starts counting afresh, so
 * that stopping and continuing a whole job is no verdict.
 */
#ifndef AX_COMM_WATCHDOG_H
#define AX_COMM_WATCHDOG_H

#include "comm/comm.h"

#define AX_WATCHDOG_SILENT_S 60.0
#define AX_WATCHDOG_HANG_S 100.0
#define AX_WATCHDOG_LEAST_S 5.0 /* a shorter hang_s alone does not make silence a verdict sooner */

/*
 * silent_s, hang_s: 0 for the defaults; a shorter hang_s shortens silent_s's. If rank 0 cannot be reached over TCP, the job runs on without a watchdog, with
 * a warning and a time limit of half an hour for each wait of the communicator instead.
 */
int ax_watchdog_open(struct ax_watchdog **w, struct ax_comm *c, double silent_s, double hang_s, struct ax_err *e);

/* w may be NULL in all of the following. */

/* This rank starts (waiting false) or waits in (true) a collective. `what` is copied. */
void ax_watchdog_at(struct ax_watchdog *w, uint64_t step, const char *what, bool waiting);
/* Progress: a wait has ended, a message has moved, or the rank is busy with something else. */
void ax_watchdog_tick(struct ax_watchdog *w, bool waiting);
/*
 * The host waits for the device; `waits`: and the device waits in the collective `what` of `step`, else it computes. That is
 * no progress: ax_watchdog_tick() says when there is some.
 */
void ax_watchdog_device(struct ax_watchdog *w, uint64_t step, const char *what, bool waits);
/* Until the next call of the three above, no progress for limit_s is no hang. */
void ax_watchdog_busy(struct ax_watchdog *w, const char *what, double limit_s);
/*
 * What to do before a verdict ends this process, in the watchdog's thread: a device must be stopped. The caller owns h,
 * whose fn and ctx are filled; unhook: take it back.
 */
struct ax_watchdog_hook {
	struct ax_watchdog_hook *next;
	void (*fn)(void *ctx);
	void *ctx;
};
void ax_watchdog_hook(struct ax_watchdog *w, struct ax_watchdog_hook *h);
void ax_watchdog_unhook(struct ax_watchdog *w, struct ax_watchdog_hook *h);
/* Goodbye; error: why this rank ends early, else NULL. Stops the thread. */
void ax_watchdog_close(struct ax_watchdog *w, const char *error);

#endif
