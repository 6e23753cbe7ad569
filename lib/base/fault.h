/*
 * Faults on purpose, in the tools of BUILD/faults (built with -DAX_FAULTS): the n-th allocation or the n-th
 * call on a file fails, so that a test can try n = 1, 2, ... until a run ends without a fault.
 *
 *	AX_FAIL_ALLOC=n     the n-th allocation returns NULL
 *	AX_FAIL_IO=n        the n-th call on a file fails with errno AX_FAIL_ERRNO (a number; default EIO)
 *	AX_FAIL_KEEP=1      and so does every one after it
 *
 * The first one that fails is said on stderr ("ax-fault: allocation 17"): a run without that line had fewer than n.
 * Counting starts at 1, is per process, and is over all threads, so with several threads n names no particular call.
 */
#ifndef AX_BASE_FAULT_H
#define AX_BASE_FAULT_H

#include <stdbool.h>

enum ax_fault { AX_FAULT_ALLOC, AX_FAULT_IO };

#ifdef AX_FAULTS
/* Is this the call that the test wants to fail? errno is then set. */
bool ax_fault(enum ax_fault kind);
#else
static inline bool ax_fault(enum ax_fault kind)
{
	(void)kind;
	return false;
}
#endif

#endif
