#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *tool_name = "ax";
static int tool_rank;
static enum ax_log_level max_level = AX_LOG_INFO;
static volatile sig_atomic_t poked;

void ax_log_init(const char *tool, int rank)
{
	tool_name = tool;
	tool_rank = rank;
}

void ax_log_set_level(enum ax_log_level level)
{
	max_level = level;
}

enum ax_log_level ax_log_get_level(void)
{
	return max_level;
}

/* Messages quote what files hold: nothing of it drives a terminal. */
static void tame(char *s)
{
	for (unsigned char *p = (unsigned char *)s; *p; p++) {
		if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			p[1] = '?';
		else if ((*p >= 0x20 && *p != 0x7f) || *p == '\n' || *p == '\t')
			continue;
		*p = '?';
	}
}

void ax_log(enum ax_log_level level, const char *fmt, ...)
{
	static const char *const word[] = {"error: ", "warning: ", "", "debug: "};
	char line[2 * AX_ERR_MAX];
	size_t n;
	va_list ap;

	if (level > max_level || (tool_rank > 0 && level >= AX_LOG_INFO))
		return;
	if (tool_rank > 0)
		snprintf(line, sizeof(line), "%s: rank %d: %s", tool_name, tool_rank, word[level]);
	else
		snprintf(line, sizeof(line), "%s: %s", tool_name, word[level]);
	n = strlen(line);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	tame(line + n);
	n = strlen(line);
	line[n++] = '\n';
	fwrite(line, 1, n, stderr); /* one call: lines of several ranks do not mix */
	fflush(stderr);
}

double ax_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void ax_progress_init(struct ax_progress *p, double every_s)
{
	memset(p, 0, sizeof(*p));
	p->tty = isatty(STDERR_FILENO) != 0;
	p->every_s = p->tty ? 0.1 : every_s;
	p->start = p->last = ax_now();
	p->off = max_level < AX_LOG_INFO || tool_rank > 0;
}

bool ax_progress_due(struct ax_progress *p)
{
	if (poked)
		return true;
	return !p->off && ax_now() - p->last >= p->every_s;
}

void ax_progress_print(struct ax_progress *p, const char *fmt, ...)
{
	va_list ap;

	if (p->off && !poked)
		return;
	poked = 0;
	p->last = ax_now();
	fprintf(stderr, "%s%s: ", p->tty ? "\r\033[K" : "", tool_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (!p->tty)
		fputc('\n', stderr);
	fflush(stderr);
	p->drawn = p->tty;
}

void ax_progress_done(struct ax_progress *p)
{
	if (p->drawn)
		fputc('\n', stderr);
	p->drawn = false;
}

void ax_progress_poke(void)
{
	poked = 1;
}

const char *ax_human_bytes(uint64_t n, char buf[32])
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)n;
	int u = 0;

	while (v >= 1024 && u < 5) {
		v /= 1024;
		u++;
	}
	snprintf(buf, 32, u ? "%.2f %s" : "%.0f %s", v, unit[u]);
	return buf;
}
