/*
 * Temporary names beside an output, and what a killed run left of them.
 *
 * The name is TARGET.tmp-KERNEL-PID; KERNEL is a part of the running kernel's boot id. While its process lives the file or
 * folder is locked (flock), so a name of this kernel that nobody holds was left by a process that is gone, in whatever
 * container it ran: the next run with the same target removes it, and says so. What another host or another boot left is
 * never touched, nor is anything on a filesystem without such locks.
 *
 *	tmp = ax_temp_name(path);
 *	ax_temp_sweep(path);
 *	ax_temp_add(tmp);                          // base/sig.h
 *	... open or mkdir tmp ...
 *	ax_temp_hold(tmp, fd, &lost, e);           // lost: a sweep was faster; make it again
 *	... write, rename ...
 *	ax_temp_remove(tmp);                       // base/sig.h: unlocks
 *
 * ax_out_open and ax_dir_begin (base/io.h) do all this.
 */
#ifndef AX_BASE_TEMP_H
#define AX_BASE_TEMP_H

#include <stdbool.h>

#include "base/err.h"

/* The temporary name of this process for `target` (ax_free); NULL when out of memory. */
char *ax_temp_name(const char *target);
/* Remove what killed runs left of `target`. Never fails: what cannot be removed stays. */
void ax_temp_sweep(const char *target);
/*
 * Lock what has been made at `tmp` (open as fd, which stays the caller's) until ax_temp_remove. *lost: it has been removed
 * meanwhile. AX_EIO: this process is writing it already, or one of the same number in another container.
 */
int ax_temp_hold(const char *tmp, int fd, bool *lost, struct ax_err *e);

#endif
