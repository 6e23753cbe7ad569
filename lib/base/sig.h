/*
 * Signals of the data tools, and temporary files that must not outlive the process.
 *
 *	ax_sig_start(e);              // first thing in main, before any thread
 *
 * Afterwards SIGINT, SIGTERM and SIGHUP remove what was registered with ax_temp_add and end the process by the same
 * signal; a SIGBUS, of a mapped file that became shorter or whose disk cannot be read, does the same and ends it with
 * AX_EIO and a message; SIGUSR1 makes the next ax_progress_due() true; SIGPIPE kills, even if the parent ignored it. A signal that
 * was ignored at the start (nohup, a background job) stays ignored. A thread waits for the signals, so nothing but
 * waking it runs inside a handler.
 *
 * ax_out_open and ax_dir_begin register their temporary names, and take them off at commit or abort.
 */
#ifndef AX_BASE_SIG_H
#define AX_BASE_SIG_H

#include <stdbool.h>

#include "base/err.h"

int ax_sig_start(struct ax_err *e);
/* Register a file or folder; thread-safe; never fails (out of memory: it is not registered). */
void ax_temp_add(const char *path);
void ax_temp_remove(const char *path);
/* The registered path takes the descriptor, whose lock says that this process lives: ax_temp_remove closes it. */
bool ax_temp_keep(const char *path, int fd);
/* Between these no signal removes anything: for the rename that publishes a folder. Short, and no other call of these. */
void ax_temp_lock(void);
void ax_temp_unlock(void);

#endif
