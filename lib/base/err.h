/*
 * Errors: a library function returns 0 or a negative enum ax_code, and says what happened in struct ax_err.
 *
 *	int ax_thing_open(struct ax_thing *t, const char *path, struct ax_err *e)
 *	{
 *		...
 *		if (fd < 0)
 *			return ax_fail(e, AX_EIO, "cannot open %s:", path);    // ':' at the end appends strerror(errno)
 *		AX_TRY(ax_thing_read(t, e));                                   // forwards the code, message untouched
 *		return 0;
 *	}
 *
 * The codes are the classes that a user can act on, and they are the suite's exit codes with the sign turned:
 * a tool ends with ax_exit_code(rc). Libraries never exit and never print; only tools do.
 *
 * `e` may be NULL everywhere: then only the code is returned. An error is filled once, where it happens; callers add
 * context in front of it with ax_err_prefix().
 */
#ifndef AX_BASE_ERR_H
#define AX_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ax_code {
	AX_OK = 0,
	AX_ECHECK = -1, /* a check or comparison failed, or some rows failed */
	AX_EUSAGE = -2, /* command line or configuration */
	AX_EDATA = -3,  /* input data: malformed, truncated, inconsistent */
	AX_EIO = -4,    /* the system refused: open, read, write, no space */
	AX_EMEM = -5,   /* out of memory, or a limit of ours was reached */
	AX_ECOMM = -6,  /* rank, device or communication */
	AX_ESTOP = -75, /* saved and stopped on request: start me again (sysexits' EX_TEMPFAIL) */
};

#define AX_ERR_MAX 1024

struct ax_err {
	int code;             /* enum ax_code; 0 while nothing failed */
	char msg[AX_ERR_MAX]; /* one line, no trailing newline, cut (never overrun) when too long */
};

#if defined(__GNUC__)
#define AX_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define AX_PRINTF(fmt, args)
#endif

/* Fill *e (unless NULL) and return `code`. A format that ends in ':' gets " strerror(errno)" appended. */
int ax_fail(struct ax_err *e, int code, const char *fmt, ...) AX_PRINTF(3, 4);

/* The same with a va_list. */
int ax_vfail(struct ax_err *e, int code, const char *fmt, va_list ap) AX_PRINTF(3, 0);

/* Put a formatted context in front of the message, e.g. "train.jsonl:17: ". Returns e->code (AX_EDATA if e is NULL). */
int ax_err_prefix(struct ax_err *e, const char *fmt, ...) AX_PRINTF(2, 3);

/* Forget a handled error. */
void ax_err_clear(struct ax_err *e);

/* Exit status of a tool for a library code: 0..6 and 75; an unknown code is 3. */
int ax_exit_code(int code);

/* Evaluate once; on a non-zero result return it from the enclosing function. */
#define AX_TRY(expr)                                                                                                   \
	do {                                                                                                           \
		int ax_try_rc_ = (expr);                                                                               \
		if (ax_try_rc_ != 0)                                                                                   \
			return ax_try_rc_;                                                                             \
	} while (0)

/* Evaluate once into the local `rc`; on a non-zero result go to the local label `out`. */
#define AX_GOTO(expr)                                                                                                  \
	do {                                                                                                           \
		rc = (expr);                                                                                           \
		if (rc != 0)                                                                                           \
			goto out;                                                                                      \
	} while (0)

#ifdef __cplusplus
}
#endif
#endif
