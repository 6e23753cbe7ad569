/*
 * A rank of three is killed, stopped, hangs, fails: the job ends within its bound, non-zero, and the culprit is named.
 * Bounds are those of the man page scaled down: silent after 2 s, hanging after 3 s.
 */
#include "ranks.h"

#include <signal.h>
#include <time.h>

#include "base/log.h"
#include "comm/watchdog.h"

#define SILENT_S 2.0
#define HANG_S 3.0

static void nap(double s)
{
	struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};

	nanosleep(&t, NULL);
}

/* Stop, and be continued by a child. */
static void pause_for(double s)
{
	pid_t me = getpid();

	if (fork() == 0) {
		nap(s);
		kill(me, SIGCONT);
		_exit(0);
	}
	raise(SIGSTOP);
	wait(NULL);
}

/* Ten steps of a training loop that communicates; at the fifth `victim` meets its fate. */
static int work(const char *fate, int victim)
{
	struct ax_comm *c = world(strcmp(fate, "halt") ? SILENT_S : 0, HANG_S), *other;
	struct ax_comm_req r, ahead;
	float x[1000], y[10] = {0};

	c->timeout_s = 0; /* the watchdog alone */
	ax_log_init("test", c->rank);
	RUN(ax_comm_split(c, 0, 0, &other, e));
	for (uint64_t step = 1; step <= 10; step++) {
		c->step = step;
		if (step == 5 && c->rank == victim) {
			if (!strcmp(fate, "kill"))
				raise(SIGKILL);
			else if (!strcmp(fate, "stop"))
				raise(SIGSTOP);
			else if (!strcmp(fate, "halt")) { /* where it waits, as the others do soon */
				ax_watchdog_at(c->watchdog, step, "reduce layer 7", true);
				nap(1.5);
				raise(SIGSTOP);
			} else if (!strcmp(fate, "hang"))
				nap(100);
			else if (!strcmp(fate, "stray")) /* a bug in the program: waits where nobody else is */
				RUN(ax_comm_barrier(other, e));
			else if (!strcmp(fate, "busy"))
				for (int i = 0; i < 8; i++, nap(0.5))
					ax_comm_tick(c);
			else if (!strcmp(fate, "long")) {
				ax_comm_busy(c, "write a checkpoint", 60);
				nap(HANG_S + 1.5);
			} else if (!strcmp(fate, "fail")) {
				ax_comm_abandon(c, "shard 3 is torn");
				_exit(3);
			}
		}
		if (step == 5 && !strcmp(fate, "pause")) /* all ranks, as a scheduler does that preempts a job */
			pause_for(SILENT_S + 1);
		memset(x, 0, sizeof(x));
		c->what = "reduce layer 7";
		RUN(ax_comm_all_reduce(c, x, 1000, AX_SUM_F32, &r, e));
		RUN(ax_comm_all_reduce(c, y, 10, AX_SUM_F32, &ahead, e));
		RUN(ax_comm_wait(c, &r, e));
		RUN(ax_comm_wait(c, &ahead, e));
		nap(0.02);
	}
	ax_comm_close(other);
	ax_comm_close(c);
	return 0;
}

/* What starting three ranks may take on a slow machine, or one that resolves its own name slowly. */
#define START_S 20

static bool file_has(const char *path, const char *a, const char *b)
{
	char line[2048];
	FILE *f = fopen(path, "r");
	bool found = false;

	while (f && fgets(line, sizeof(line), f))
		found = found || (strstr(line, a) && strstr(line, b));
	if (f)
		fclose(f);
	return found;
}

static void case_of(const char *log, const char *fate, int victim, double bound, const char *says)
{
	char args[64], redirect[128], who[32];
	double t0 = ax_now(), took;
	int status;
	bool named;

	snprintf(args, sizeof(args), "%s %d", fate, victim);
	snprintf(redirect, sizeof(redirect), ">'%s' 2>&1", log);
	snprintf(who, sizeof(who), "rank %d (host", victim);
	status = ranks_status(3, args, redirect);
	took = ax_now() - t0;
	named = !says || file_has(log, who, says);
	if (!ok(status != 0 && took < bound && named, "%s rank %d of 3: ended in %.1f s with status %d%s", fate, victim,
		took, status, says ? ", culprit named" : "")) {
		snprintf(args, sizeof(args), "sed 's/^/# /' '%s' >&2", log);
		if (system(args))
			return;
	}
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/ax-test-XXXXXX", log[64], cmd[96];
	double t0;
	bool fine;

	if (argc > 2)
		return work(argv[1], atoi(argv[2]));
	RANKS_OR_SKIP("watchdog");
	if (!mkdtemp(dir))
		return 1;
	snprintf(log, sizeof(log), "%s/log", dir);
	/* mpirun itself may be faster than the watchdog after a kill; it names the rank then. */
	case_of(log, "kill", 2, 10 + START_S, NULL);
	ok(file_has(log, "rank 2", "died") || file_has(log, "rank 2", "signal 9"), "the killed rank is named");
	case_of(log, "kill", 0, 10 + START_S, NULL);
	case_of(log, "stop", 1, SILENT_S + 8 + START_S, "no sign of life");
	case_of(log, "stop", 0, SILENT_S + 8 + START_S, "no sign of life");
	case_of(log, "halt", 1, AX_WATCHDOG_LEAST_S + 8 + START_S, "no sign of life");
	case_of(log, "hang", 2, HANG_S + 8 + START_S, "hangs outside communication");
	case_of(log, "stray", 1, HANG_S + 8 + START_S, "waits in an earlier");
	case_of(log, "fail", 1, 10 + START_S, NULL);
	t0 = ax_now();
	fine = ranks_run(3, "busy 1");
	ok(fine, "a rank that is busy for %.1f s, but ticks: no verdict", ax_now() - t0);
	ok(ranks_run(3, "long 1"), "a rank that announces a long pause: no verdict");
	ok(ranks_run(3, "pause 0"), "the whole job stopped and continued: no verdict");
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd) != 0 || test_failed != 0;
}
