/*
 * For tests of several ranks: a test program runs itself under the launcher.
 *
 *	int main(int argc, char **argv)
 *	{
 *		if (argc > 1) return work(argv);        // one of the ranks
 *		RANKS_OR_SKIP("collectives");           // prints a skip and returns where there is no launcher
 *		for (n = 1; n <= 4; n++) ok(ranks_run(n, "exact"), "exact sums on %d ranks", n);
 *
 * The launcher is $AX_MPIRUN, by default mpirun --oversubscribe --bind-to none.
 */
#ifndef TESTS_DIST_RANKS_H
#define TESTS_DIST_RANKS_H

#define _GNU_SOURCE
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "comm/comm.h"

static int test_number, test_failed;

__attribute__((format(printf, 2, 3), unused)) static bool ok(bool good, const char *fmt, ...)
{
	va_list ap;

	printf("%s %d - ", good ? "ok" : "not ok", ++test_number);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	test_failed += !good;
	return good;
}

static inline const char *launcher(void)
{
	const char *s = getenv("AX_MPIRUN");

	return s && *s ? s : "mpirun --oversubscribe --bind-to none";
}

/* DIR of this program is BUILD/tests/dist; the plugin is in BUILD/lib/ax. */
static inline const char *plugin_dir(void)
{
	static char dir[4200];
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 3 && strrchr(exe, '/'); i++)
		*strrchr(exe, '/') = '\0';
	snprintf(dir, sizeof(dir), "%s/lib/ax", exe);
	return dir;
}

/* The reason why several ranks cannot run here, or NULL. */
static inline const char *no_ranks(void)
{
	char cmd[512], plugin[4300];

	snprintf(plugin, sizeof(plugin), "%s/libax-mpi.so", plugin_dir());
	if (access(plugin, R_OK))
		return "no MPI plugin in this build";
	snprintf(cmd, sizeof(cmd), "command -v %.*s >/dev/null 2>&1", (int)strcspn(launcher(), " "), launcher());
	return system(cmd) ? "no mpirun" : NULL;
}

#define RANKS_OR_SKIP(name)                                                                                            \
	do {                                                                                                           \
		if (no_ranks()) {                                                                                      \
			printf("ok %d - " name " # SKIP %s\n", ++test_number, no_ranks());                             \
			return test_failed != 0;                                                                       \
		}                                                                                                      \
	} while (0)

/* Exit status of the launcher (128 + signal if it died by one); the program's arguments are `args`. */
static inline int ranks_status(int n, const char *args, const char *redirect)
{
	char exe[4096], cmd[8600];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int status;

	exe[len > 0 ? len : 0] = '\0';
	/* MPI leaks at its end, from modules already unloaded; our own leaks show in the run without a launcher. */
	setenv("ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1", 1);
	setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
	setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
	snprintf(cmd, sizeof(cmd), "%s -n %d '%s' %s %s", launcher(), n, exe, args, redirect);
	fflush(stdout);
	status = system(cmd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline bool ranks_run(int n, const char *args)
{
	return ranks_status(n, args, "1>&2") == 0;
}

/* In a rank: the world, or exit. */
static inline struct ax_comm *world(double silent_s, double hang_s)
{
	struct ax_comm_open_opt o = {
	    .plugin_dir = plugin_dir(), .timeout_s = 60, .silent_s = silent_s, .hang_s = hang_s};
	struct ax_err e = {0};
	struct ax_comm *c;

	if (ax_comm_open(&c, &o, &e)) {
		fprintf(stderr, "# %s\n", e.msg);
		exit(6);
	}
	return c;
}

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			fprintf(stderr, "# %s:%d: not so: %s\n", __FILE__, __LINE__, #cond);                           \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

#define RUN(expr)                                                                                                      \
	do {                                                                                                           \
		struct ax_err run_err_ = {0}, *e = &run_err_;                                                          \
		if (expr) {                                                                                            \
			fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, e->msg);                                  \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

#endif
