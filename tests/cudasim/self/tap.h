/* TAP lines for the simulator's own tests. */
#ifndef AX_CUDASIM_TAP_H
#define AX_CUDASIM_TAP_H

#include <cstdio>
#include <cstdlib>

static int tap_n, tap_failed;

static inline void check(bool ok, const char *name)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++tap_n, name);
	fflush(stdout);
	tap_failed += !ok;
}

static inline int finish(void)
{
	printf("1..%d\n", tap_n);
	return tap_failed != 0;
}

#define must(call)                                                                                                     \
	do {                                                                                                           \
		cudaError_t error_ = (call);                                                                           \
		if (error_) {                                                                                          \
			printf("not ok %d - %s:%d: %s: %s\n", ++tap_n, __FILE__, __LINE__, #call,                      \
			       cudaGetErrorString(error_));                                                            \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

#endif
