#define _GNU_SOURCE
#include "comm/watchdog.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "comm/beat.h"
#include "comm/meet.h"

#define FAILED_GRACE_S 2.0
#define PARTING_S 1.0 /* to let a last message out */
#define HELLO_S 10.0  /* a caller that does not introduce itself is dropped */
#define RESUMED_S 5.0 /* after a stop: time in which others' ends are blamed on it */
#define ALARM_S 10u
#define N_STRANGER 32

struct ax_watchdog {
	pthread_t thread;
	pthread_mutex_t lock;
	struct msg me;        /* under the lock */
	double progress_at;   /* under the lock */
	bool closing, failed; /* under the lock */
	struct ax_watchdog_hook *hooks; /* under the lock */
	int wake[2];
	int rank, n_rank, local_rank;
	double silent_s, hang_s, beat_s;
	double resumed_at; /* when this process last found that it had been stopped; 0: never */
	int listener; /* rank 0; else -1 */
	struct meeting meeting;
	struct conn *conn; /* rank 0: [n_rank] by rank, then strangers; others: [1], to rank 0 */
	int n_conn;
	struct pollfd *fds;
};

static void copy_str(char *dst, size_t n, const char *src)
{
	snprintf(dst, n, "%s", src);
}

static struct msg snapshot(struct ax_watchdog *w, enum msg_kind kind)
{
	struct msg m;

	pthread_mutex_lock(&w->lock);
	m = w->me;
	m.idle_s = ax_now() - w->progress_at;
	pthread_mutex_unlock(&w->lock);
	m.kind = kind;
	return m;
}

/* ---- verdicts ---- */

/* Let what was sent arrive: no more from us, then read until the other side closes too. */
static void part(struct ax_watchdog *w)
{
	double end = ax_now() + PARTING_S;
	int open = 1;

	for (int i = 0; i < w->n_conn; i++)
		if (w->conn[i].fd >= 0)
			shutdown(w->conn[i].fd, SHUT_WR);
	while (open && ax_now() < end) {
		open = 0;
		for (int i = 0; i < w->n_conn; i++) {
			w->fds[i].fd = w->conn[i].fd;
			w->fds[i].events = POLLIN;
			open += w->conn[i].fd >= 0;
		}
		if (!open || poll(w->fds, (nfds_t)w->n_conn, 50) <= 0)
			continue;
		for (int i = 0; i < w->n_conn; i++)
			if (w->conn[i].fd >= 0 && w->fds[i].revents && ax_conn_read(&w->conn[i]) < 0)
				ax_conn_close(&w->conn[i]);
	}
}

static void where(const struct msg *m, char *buf, size_t n)
{
	snprintf(buf, n, "step %llu, %s \"%s\" (collective %llu)", (unsigned long long)m->step,
		 m->waiting ? "in" : "after", m->what[0] ? m->what : "start", (unsigned long long)m->number);
}

__attribute__((noreturn)) static void end_job(struct ax_watchdog *w, const char *text, bool speak)
{
	struct msg m = snapshot(w, VERDICT);

	copy_str(m.text, sizeof(m.text), text);
	/* Speak first: the launcher kills everybody once the first rank is gone. Do not hang where nobody reads. */
	signal(SIGALRM, SIG_DFL);
	alarm(ALARM_S);
	if (speak)
		ax_log(AX_LOG_ERROR, "%s; ending all ranks", text);
	for (int i = 0; w->rank == 0 && i < w->n_conn; i++)
		ax_conn_send(&w->conn[i], &m);
	if (w->rank == 0)
		part(w);
	pthread_mutex_lock(&w->lock);
	for (struct ax_watchdog_hook *h = w->hooks; h; h = h->next)
		h->fn(h->ctx);
	_exit(-AX_ECOMM);
}

/*
 * What happened to the rank whose last word was m. Of those who find out about rank 0, rank 1 and the first of each host
 * speak; the others give them time to, for the launcher ends all when one ends.
 */
static void verdict(struct ax_watchdog *w, const struct msg *m, const char *happened)
{
	const struct timespec after_the_others = {2, 0};
	char place[160], text[512];

	where(m, place, sizeof(place));
	snprintf(text, sizeof(text), "rank %d (host %s, process %d) %s; last seen at %s", m->rank, m->host, m->pid,
		 happened, place);
	if (w->rank > 1 && w->local_rank > 0)
		nanosleep(&after_the_others, NULL);
	end_job(w, text, w->rank <= 2 || w->local_rank == 0);
}

static void conn_lost(struct ax_watchdog *w, struct conn *k)
{
	struct msg m = k->last;
	bool died = k->rank >= 0 && !k->bye && k->failed_at == 0;

	if (k->failed_at > 0) { /* judged after its grace, by check_failed */
		close(k->fd);
		k->fd = -1;
		return;
	}
	ax_conn_close(k);
	if (died && w->resumed_at > 0 && ax_now() - w->resumed_at < RESUMED_S)
		_exit(-AX_ECOMM); /* the other gave this rank up, and has said so */
	if (died)
		verdict(w, &m, "died");
}

static void check_failed(struct ax_watchdog *w, double now)
{
	char happened[400];

	for (int i = 0; i < w->n_conn; i++)
		if (w->conn[i].failed_at > 0 && now - w->conn[i].failed_at > FAILED_GRACE_S) {
			snprintf(happened, sizeof(happened), "failed: %s", w->conn[i].last.text);
			verdict(w, &w->conn[i].last, happened);
		}
}

static void check_silent(struct ax_watchdog *w, double now)
{
	char happened[96];

	for (int i = 0; i < w->n_conn; i++) {
		const struct conn *k = &w->conn[i];

		if (k->fd < 0 || k->rank < 0 || k->bye || k->failed_at > 0 || now - k->heard <= w->silent_s)
			continue;
		snprintf(happened, sizeof(happened), "has given no sign of life for %.0f s: stopped, or out of reach",
			 w->silent_s);
		verdict(w, &k->last, happened);
	}
}

/* Rank r as rank 0 sees it now; false: it has left, or was never there. */
static bool view(struct ax_watchdog *w, int r, double now, struct msg *m)
{
	const struct conn *k = &w->conn[r];

	if (r == 0) {
		*m = snapshot(w, BEAT);
		return true;
	}
	if (k->fd < 0 || k->bye || k->failed_at > 0)
		return false;
	*m = k->last;
	m->idle_s += now - k->heard;
	return true;
}

static void verdict_hang(struct ax_watchdog *w, const struct msg *culprit, const struct msg *victim, bool all_wait)
{
	char happened[200];

	if (all_wait && culprit->number == victim->number)
		snprintf(happened, sizeof(happened), "waits, as all ranks do, and nothing has moved for %.0f s",
			 w->hang_s);
	else if (all_wait)
		snprintf(happened, sizeof(happened),
			 "waits in an earlier collective than rank %d (%s), for more than %.0f s", victim->rank,
			 victim->what, w->hang_s);
	else
		snprintf(happened, sizeof(happened),
			 "hangs outside communication for %.0f s, while rank %d waits for it (%s)", culprit->idle_s,
			 victim->rank, victim->what);
	verdict(w, culprit, happened);
}

/* Has a rank missed heartbeats? What it said last, that it waits for instance, may be long untrue. */
static bool any_overdue(const struct ax_watchdog *w, double now)
{
	for (int i = 0; i < w->n_conn; i++) {
		const struct conn *k = &w->conn[i];

		if (k->fd >= 0 && k->rank >= 0 && !k->bye && k->failed_at <= 0 && now - k->heard > 3 * w->beat_s)
			return true;
	}
	return false;
}

/* A rank waits too long: whose fault is it? Nobody's while one that does not wait makes progress; the silent one's if there is one. */
static void check_hang(struct ax_watchdog *w, double now)
{
	struct msg m, victim = {0}, busy = {0}, earliest = {0};
	bool found_victim = false, found_busy = false, all_stuck = true, first = true;

	if (any_overdue(w, now))
		return;
	for (int r = 0; r < w->n_rank; r++) {
		bool stuck;

		if (!view(w, r, now, &m))
			continue;
		stuck = m.idle_s > (!m.waiting && m.limit_s > 0 ? m.limit_s : w->hang_s);
		all_stuck = all_stuck && stuck;
		if (m.waiting && stuck && (!found_victim || m.number > victim.number)) {
			victim = m;
			found_victim = true;
		}
		if (!m.waiting && stuck && (!found_busy || m.number < busy.number)) {
			busy = m;
			found_busy = true;
		}
		if (first || m.number < earliest.number)
			earliest = m;
		first = false;
	}
	if (found_victim && found_busy)
		verdict_hang(w, &busy, &victim, false);
	if (found_victim && all_stuck)
		verdict_hang(w, &earliest, &victim, true);
}

/* ---- the thread ---- */

static void strangers_accept(struct ax_watchdog *w, double now)
{
	int fd = accept(w->listener, NULL, NULL);

	if (fd < 0)
		return;
	ax_meet_tune(fd);
	for (int i = w->n_rank; i < w->n_conn; i++)
		if (w->conn[i].fd < 0) {
			w->conn[i].fd = fd;
			w->conn[i].opened = now;
			return;
		}
	close(fd);
}

/* A stranger's first message: the key and a rank whose place is free, or it is shown out. */
static void introduce(struct ax_watchdog *w, struct conn *k, double now)
{
	const struct msg *m = &k->in;
	bool known = m->kind == HELLO && m->rank > 0 && m->rank < w->n_rank && w->conn[m->rank].fd < 0 &&
		     !memcmp(m->key, w->meeting.key, sizeof(m->key));

	if (!known) {
		ax_conn_close(k);
		return;
	}
	k->rank = m->rank;
	k->heard = now;
	k->last = *m;
	w->conn[m->rank] = *k;
	k->fd = -1;
	ax_conn_close(k);
}

static void hear(struct ax_watchdog *w, struct conn *k, double now)
{
	if (k->rank < 0) {
		introduce(w, k, now);
		return;
	}
	if (k->in.rank != k->rank)
		return;
	k->heard = now;
	k->last = k->in;
	k->bye = k->bye || k->in.kind == BYE;
	if (k->in.kind == FAILED)
		k->failed_at = now;
	if (k->in.kind == VERDICT)
		end_job(w, k->in.text, false);
}

/* This process did not run for a while (stopped, or the machine was): what it missed proves nothing. */
static void start_afresh(struct ax_watchdog *w, double now)
{
	w->resumed_at = now;
	for (int i = 0; i < w->n_conn; i++)
		w->conn[i].heard = now;
	pthread_mutex_lock(&w->lock);
	w->progress_at = now;
	pthread_mutex_unlock(&w->lock);
}

static void listen_once(struct ax_watchdog *w, int timeout_ms, double *now)
{
	double before = *now;
	int n = w->n_conn;
	char byte;

	for (int i = 0; i < n; i++) {
		w->fds[i].fd = w->conn[i].fd;
		w->fds[i].events = POLLIN;
		w->fds[i].revents = 0;
	}
	w->fds[n].fd = w->listener;
	w->fds[n + 1].fd = w->wake[0];
	w->fds[n].events = w->fds[n + 1].events = POLLIN;
	w->fds[n].revents = w->fds[n + 1].revents = 0;
	poll(w->fds, (nfds_t)n + 2, timeout_ms);
	*now = ax_now();
	if (*now - before > 4 * w->beat_s)
		start_afresh(w, *now);
	for (int i = 0; i < n; i++) {
		struct conn *k = &w->conn[i];
		int got;

		if (k->fd < 0 || !w->fds[i].revents)
			continue;
		got = ax_conn_read(k);
		if (got > 0)
			hear(w, k, *now);
		else if (got < 0)
			conn_lost(w, k);
	}
	if (w->fds[n].revents)
		strangers_accept(w, *now);
	if (w->fds[n + 1].revents && read(w->wake[0], &byte, 1) < 0)
		return;
}

static void beat(struct ax_watchdog *w, double now)
{
	struct msg m = snapshot(w, BEAT);

	for (int i = 0; i < w->n_conn; i++) {
		struct conn *k = &w->conn[i];

		if (k->fd >= 0 && k->rank >= 0)
			ax_conn_send(k, &m);
		else if (k->fd >= 0 && now - k->opened > HELLO_S)
			ax_conn_close(k);
	}
	check_silent(w, now);
	if (w->rank == 0)
		check_hang(w, now);
}

static void *watch(void *ctx)
{
	struct ax_watchdog *w = ctx;
	double now = ax_now(), next = now;
	bool closing = false, failed = false;
	struct msg m;

	while (!closing) {
		int ms = (int)((next - now) * 1000) + 1;

		listen_once(w, ms < 1 ? 1 : ms, &now);
		check_failed(w, now);
		if (now >= next) {
			beat(w, now);
			next = now + w->beat_s;
		}
		pthread_mutex_lock(&w->lock);
		closing = w->closing;
		failed = w->failed;
		pthread_mutex_unlock(&w->lock);
	}
	m = snapshot(w, failed ? FAILED : BYE);
	for (int i = 0; i < w->n_conn; i++)
		ax_conn_send(&w->conn[i], &m);
	part(w);
	return NULL;
}

/* ---- life ---- */

static void watchdog_free(struct ax_watchdog *w)
{
	for (int i = 0; w->conn && i < w->n_conn; i++)
		ax_conn_close(&w->conn[i]);
	for (int i = 0; i < 2; i++)
		if (w->wake[i] >= 0)
			close(w->wake[i]);
	if (w->listener >= 0)
		close(w->listener);
	pthread_mutex_destroy(&w->lock);
	ax_free(w->conn);
	ax_free(w->fds);
	ax_free(w);
}

static struct ax_watchdog *watchdog_new(struct ax_comm *c, double silent_s, double hang_s)
{
	struct ax_watchdog *w = ax_calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	w->listener = w->wake[0] = w->wake[1] = -1;
	w->rank = c->rank;
	w->n_rank = c->n_rank;
	w->local_rank = c->local_rank;
	w->hang_s = hang_s > 0 ? hang_s : AX_WATCHDOG_HANG_S;
	w->silent_s = silent_s > 0 ? silent_s : fmin(AX_WATCHDOG_SILENT_S, fmax(w->hang_s, AX_WATCHDOG_LEAST_S));
	w->beat_s = w->silent_s < 4 ? w->silent_s / 4 : 1;
	w->progress_at = ax_now();
	w->me.magic = MAGIC;
	w->me.rank = c->rank;
	w->me.pid = (int32_t)getpid();
	copy_str(w->me.host, sizeof(w->me.host), c->host);
	w->n_conn = c->rank == 0 ? c->n_rank + N_STRANGER : 1;
	w->conn = ax_calloc((size_t)w->n_conn, sizeof(*w->conn));
	w->fds = ax_calloc((size_t)w->n_conn + 2, sizeof(*w->fds));
	for (int i = 0; w->conn && i < w->n_conn; i++)
		w->conn[i].fd = w->conn[i].rank = -1;
	if (!w->conn || !w->fds || pipe(w->wake)) {
		watchdog_free(w);
		return NULL;
	}
	return w;
}

/* To rank 0, and say who we are. */
static int call_in(struct ax_watchdog *w, const char *host0, struct ax_err *e)
{
	struct conn *k = &w->conn[0];
	struct msg m = snapshot(w, HELLO);

	k->fd = ax_meet_connect(&w->meeting, e);
	if (k->fd < 0)
		return AX_ECOMM;
	k->rank = 0;
	k->heard = ax_now();
	k->last.rank = 0;
	copy_str(k->last.host, sizeof(k->last.host), host0);
	memcpy(m.key, w->meeting.key, sizeof(m.key));
	ax_conn_send(k, &m);
	return 0;
}

static int thread_start(struct ax_watchdog *w, struct ax_err *e)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&w->thread, NULL, watch, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = rc;
	return rc ? ax_fail(e, AX_ECOMM, "cannot start the watchdog thread:") : 0;
}

/* Training without it is better than not training; but then waits must end by themselves. */
static void do_without(struct ax_comm *c, const struct ax_err *why)
{
	if (c->timeout_s <= 0)
		c->timeout_s = 1800;
	ax_warn("no watchdog for rank %d (%s): %s; a dead or stopped rank is noticed after %.0f s only", c->rank,
		c->host, why->msg, c->timeout_s);
}

int ax_watchdog_open(struct ax_watchdog **out, struct ax_comm *c, double silent_s, double hang_s, struct ax_err *e)
{
	struct ax_watchdog *w = watchdog_new(c, silent_s, hang_s);
	struct ax_err why = {0};
	char host0[64];
	int rc;

	*out = NULL;
	if (!w)
		return ax_fail(e, AX_EMEM, "no memory for the watchdog");
	c->what = "meet the watchdogs";
	memcpy(host0, c->host, sizeof(host0));
	if (c->rank == 0)
		w->listener = ax_meet_listen(&w->meeting, c->n_local == c->n_rank, c->n_rank + N_STRANGER, &why);
	rc = ax_comm_share(c, &w->meeting, sizeof(w->meeting), 0, e);
	if (!rc)
		rc = ax_comm_share(c, host0, sizeof(host0), 0, e);
	if (rc) {
		watchdog_free(w);
		return rc;
	}
	if (!w->meeting.open || (c->rank > 0 && call_in(w, host0, &why)) || thread_start(w, &why)) {
		if (!why.code)
			ax_fail(&why, AX_ECOMM, "rank 0 cannot listen");
		do_without(c, &why);
		watchdog_free(w);
		return 0;
	}
	*out = w;
	return 0;
}

void ax_watchdog_at(struct ax_watchdog *w, uint64_t step, const char *what, bool waiting)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->me.step = step;
	w->me.number += !waiting;
	w->me.waiting = waiting;
	w->me.limit_s = 0;
	copy_str(w->me.what, sizeof(w->me.what), what);
	w->progress_at = ax_now();
	pthread_mutex_unlock(&w->lock);
}

void ax_watchdog_tick(struct ax_watchdog *w, bool waiting)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->me.waiting = waiting;
	w->me.limit_s = 0;
	w->progress_at = ax_now();
	pthread_mutex_unlock(&w->lock);
}

void ax_watchdog_device(struct ax_watchdog *w, uint64_t step, const char *what, bool waits)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->me.step = step;
	w->me.waiting = waits;
	w->me.limit_s = 0;
	copy_str(w->me.what, sizeof(w->me.what), what);
	pthread_mutex_unlock(&w->lock);
}

void ax_watchdog_hook(struct ax_watchdog *w, struct ax_watchdog_hook *h)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	h->next = w->hooks;
	w->hooks = h;
	pthread_mutex_unlock(&w->lock);
}

void ax_watchdog_unhook(struct ax_watchdog *w, struct ax_watchdog_hook *h)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	for (struct ax_watchdog_hook **at = &w->hooks; *at; at = &(*at)->next)
		if (*at == h) {
			*at = h->next;
			break;
		}
	pthread_mutex_unlock(&w->lock);
}

void ax_watchdog_busy(struct ax_watchdog *w, const char *what, double limit_s)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->me.waiting = false;
	w->me.limit_s = limit_s;
	copy_str(w->me.what, sizeof(w->me.what), what);
	w->progress_at = ax_now();
	pthread_mutex_unlock(&w->lock);
}

void ax_watchdog_close(struct ax_watchdog *w, const char *error)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	w->failed = error != NULL;
	copy_str(w->me.text, sizeof(w->me.text), error ? error : "");
	pthread_mutex_unlock(&w->lock);
	if (write(w->wake[1], "", 1) == 1)
		pthread_join(w->thread, NULL);
	watchdog_free(w);
}
