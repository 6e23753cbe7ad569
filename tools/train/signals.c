/* SIGUSR1: save. SIGUSR2, SIGTERM: save and stop. */
#include <pthread.h>
#include <signal.h>

#include "tool.h"

/*
 * Signals are taken by a thread of their own and blocked in all others. With a handler in the computing threads about half
 * of the runs that got SIGUSR1 found their heap corrupted inside oneDNN 2.6.3; presumably its generated kernels use the
 * stack pointer as a register for a while, and the handler's frame lands in the heap.
 */
volatile sig_atomic_t tool_want_save, tool_want_stop, tool_training;
static sigset_t taken;

static void *take_signals(void *unused)
{
	int sig;

	(void)unused;
	for (;;) {
		if (sigwait(&taken, &sig))
			continue;
		if (!tool_training) { /* nothing to save yet: die as one does */
			signal(sig, SIG_DFL);
			pthread_sigmask(SIG_UNBLOCK, &taken, NULL);
			raise(sig);
		}
		tool_want_save = 1;
		if (sig != SIGUSR1)
			tool_want_stop = 1;
	}
	return NULL;
}

/* Before any other thread is started: they inherit the mask. */
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
