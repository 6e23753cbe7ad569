#include "base/fault.h"

#ifdef AX_FAULTS
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	const char *what;
	long target; /* 0: none */
	int code;
	atomic_long count;
} plan[] = {[AX_FAULT_ALLOC] = {.what = "allocation", .code = ENOMEM}, [AX_FAULT_IO] = {.what = "file call", .code = EIO}};

static bool keep;

static void read_plan(void)
{
	const char *a = getenv("AX_FAIL_ALLOC"), *io = getenv("AX_FAIL_IO"), *code = getenv("AX_FAIL_ERRNO");

	plan[AX_FAULT_ALLOC].target = a ? strtol(a, NULL, 10) : 0;
	plan[AX_FAULT_IO].target = io ? strtol(io, NULL, 10) : 0;
	if (code)
		plan[AX_FAULT_IO].code = (int)strtol(code, NULL, 10);
	keep = getenv("AX_FAIL_KEEP") != NULL;
}

/* Not through base/log: that allocates, and a fault inside a fault would be counted. */
static void say(const char *what, long n)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "ax-fault: %s %ld\n", what, n);

	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		return;
}

bool ax_fault(enum ax_fault kind)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	long n;

	pthread_once(&once, read_plan);
	if (plan[kind].target <= 0)
		return false;
	n = atomic_fetch_add(&plan[kind].count, 1) + 1;
	if (n != plan[kind].target && !(keep && n > plan[kind].target))
		return false;
	if (n == plan[kind].target)
		say(plan[kind].what, n);
	errno = plan[kind].code;
	return true;
}
#else
typedef int ax_no_faults; /* a translation unit may not be empty */
#endif
