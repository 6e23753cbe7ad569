/*
 * Speech of the suite: everything a library or tool says goes to stderr through here.
 *
 *	ax-pack: warning: 3 rows are longer than 4096 tokens
 *
 * Rank 0 speaks; other ranks are silent for info and progress, and prefix their rank to warnings and errors.
 * `-q` silences info and progress, never warnings and errors. Messages are one line without the newline.
 */
#ifndef AX_BASE_LOG_H
#define AX_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum ax_log_level { AX_LOG_ERROR, AX_LOG_WARN, AX_LOG_INFO, AX_LOG_DEBUG };

/* Name in front of every line ("ax-pack") and this process's rank; call once at start. `tool` is borrowed. */
void ax_log_init(const char *tool, int rank);
/* Show levels up to `level`; AX_LOG_INFO at start, -q gives AX_LOG_WARN, -v AX_LOG_DEBUG. */
void ax_log_set_level(enum ax_log_level level);
enum ax_log_level ax_log_get_level(void);
void ax_log(enum ax_log_level level, const char *fmt, ...) AX_PRINTF(2, 3);
#define ax_info(...) ax_log(AX_LOG_INFO, __VA_ARGS__)
#define ax_warn(...) ax_log(AX_LOG_WARN, __VA_ARGS__)

/*
 * Progress: on a terminal one redrawn line, at most 10 a second; otherwise a plain line every `every_s` seconds.
 * SIGUSR1 in data tools: ax_progress_poke() makes the next call print whatever the time.
 */
struct ax_progress {
	double every_s, last, start;
	bool tty, drawn, off;
};

void ax_progress_init(struct ax_progress *p, double every_s);
/* Is a line due? Cheap enough to ask once a row. */
bool ax_progress_due(struct ax_progress *p);
void ax_progress_print(struct ax_progress *p, const char *fmt, ...) AX_PRINTF(2, 3);
/* End the redrawn line. */
void ax_progress_done(struct ax_progress *p);
void ax_progress_poke(void); /* async-signal-safe */

/* Seconds on the monotonic clock. */
double ax_now(void);
/* "1.5 GiB", "512 B" into buf; returns buf. */
const char *ax_human_bytes(uint64_t n, char buf[32]);

#endif
