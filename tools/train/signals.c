/* SIGUSR1: save. SIGUSR2, SIGTERM: save and stop. What comes before the first step is remembered until then. */
#include <pthread.h>
#include <signal.h>

#include "tool.h"

/*
 * Signals are taken by a thread of their own and blocked in all others. With a handler in the computing threads about half
 * of the runs that got SIGUSR1 found their heap corrupted inside oneDNN 2.6.3; presumably its generated kernels use the
 * stack pointer as a register for a while, and the handler's frame lands in the heap.
 */
volatile sig_atomic_t tool_want_save, tool_want_stop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum { STARTING, TRAINING, NO_RUN } phase;
static int noted; /* the last signal that was remembered */
static sigset_t taken;

static void die(int sig)
{
	signal(sig, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, &taken, NULL);
	raise(sig);
}

static void take(int sig)
{
	/* SIGTERM during the start: there is nothing to save, and whoever sends it does not wait for long. */
	if (phase == NO_RUN || (phase == STARTING && sig == SIGTERM))
		die(sig);
	noted = sig;
	tool_want_save = 1;
	if (sig != SIGUSR1)
		tool_want_stop = 1;
}

static void *take_signals(void *unused)
{
	int sig;

	(void)unused;
	for (;;) {
		if (sigwait(&taken, &sig))
			continue;
		pthread_mutex_lock(&lock);
		take(sig);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

int tool_signals(struct ax_err *e)
{
	pthread_t thread;

	sigemptyset(&taken);
	sigaddset(&taken, SIGUSR1);
	sigaddset(&taken, SIGUSR2);
	sigaddset(&taken, SIGTERM);
	if (pthread_sigmask(SIG_BLOCK, &taken, NULL) || pthread_create(&thread, NULL, take_signals, NULL))
		return ax_fail(e, AX_EMEM, "cannot start a thread:");
	pthread_detach(thread);
	return 0;
}

void tool_signals_run(bool trains)
{
	pthread_mutex_lock(&lock);
	phase = trains ? TRAINING : NO_RUN;
	if (!trains && noted)
		die(noted);
	pthread_mutex_unlock(&lock);
}
