/*
 * Planted bugs. Each case runs a small program on the simulated GPU, with the bug or without, and says whether the result
 * was right. test_bugs.cpp runs every case in each mode and knows which of them must notice.
 */
#ifndef AX_CUDASIM_BUGS_H
#define AX_CUDASIM_BUGS_H

struct bug_case {
	const char *name;
	bool (*run)(bool bug);
	/*
	 * Where it is caught first in the plain build: 'f' forward thread order, 't' reverse or random thread order, 's' lazy,
	 * ahead or random streams, '-' nowhere. In the asan build: 'f', 's' or '-'.
	 */
	char plain, asan;
	const char *message; /* of the checker's build, where all are caught */
};

extern const bug_case kernel_bugs[], host_bugs[];
extern const int n_kernel_bugs, n_host_bugs;

#endif
