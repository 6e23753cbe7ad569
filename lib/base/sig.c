#include "base/sig.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"

#define LOST SIGRTMIN /* after a SIGBUS, to the waiting thread */

struct temp {
	struct temp *next;
	int fd; /* locked, or -1 */
	char path[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct temp *temps; /* newest first, so a folder comes after the files in it */

void ax_temp_add(const char *path)
{
	size_t n = strlen(path) + 1;
	struct temp *t = ax_malloc(sizeof(*t) + n);

	if (!t)
		return;
	memcpy(t->path, path, n);
	t->fd = -1;
	pthread_mutex_lock(&lock);
	t->next = temps;
	temps = t;
	pthread_mutex_unlock(&lock);
}

void ax_temp_remove(const char *path)
{
	struct temp **p, *t;

	pthread_mutex_lock(&lock);
	for (p = &temps; *p && strcmp((*p)->path, path); p = &(*p)->next)
		;
	t = *p;
	if (t)
		*p = t->next;
	pthread_mutex_unlock(&lock);
	if (t && t->fd >= 0)
		close(t->fd);
	ax_free(t);
}

bool ax_temp_keep(const char *path, int fd)
{
	struct temp *t;

	pthread_mutex_lock(&lock);
	for (t = temps; t && strcmp(t->path, path); t = t->next)
		;
	if (t)
		t->fd = fd;
	pthread_mutex_unlock(&lock);
	return t != NULL;
}

void ax_temp_lock(void)
{
	pthread_mutex_lock(&lock);
}

void ax_temp_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

static void die(int sig)
{
	sigset_t set;

	pthread_mutex_lock(&lock); /* and keep it: nothing new appears */
	for (struct temp *t = temps; t; t = t->next)
		for (int tries = 0; tries < 3 && ax_remove_tree(t->path, NULL); tries++)
			; /* another thread may have made a file in it meanwhile */
	if (sig == LOST)
		_exit(ax_exit_code(AX_EIO));
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	kill(getpid(), sig);
	_exit(128 + sig);
}

static void *wait_signals(void *arg)
{
	sigset_t *set = arg;
	int sig;

	for (;;) {
		if (sigwait(set, &sig))
			continue;
		if (sig == LOST)
			ax_log(AX_LOG_ERROR, "a file that is being read became shorter, or cannot be read");
		if (sig == SIGUSR1)
			ax_progress_poke();
		else
			die(sig);
	}
	return NULL;
}

/* The thread that met it cannot go on; the one that waits for signals cleans up and ends the process. */
static void on_bus(int sig)
{
	(void)sig;
	kill(getpid(), LOST);
	for (;;)
		pause();
}

int ax_sig_start(struct ax_err *e)
{
	static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
	static sigset_t set;
	struct sigaction old, bus = {.sa_handler = on_bus};
	pthread_t thread;

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, LOST);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!sigaction(wanted[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaddset(&set, wanted[i]);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) || pthread_create(&thread, NULL, wait_signals, &set))
		return ax_fail(e, AX_EMEM, "cannot start the signal thread");
	sigaction(SIGBUS, &bus, NULL);
	pthread_detach(thread);
	return 0;
}
