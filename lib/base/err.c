#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int ax_vfail(struct ax_err *e, int code, const char *fmt, va_list ap)
{
	int saved = errno;
	size_t n, len = strlen(fmt);

	if (!e)
		return code;
	e->code = code;
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	if (len && fmt[len - 1] == ':') {
		n = strlen(e->msg);
		snprintf(e->msg + n, sizeof(e->msg) - n, " %s", strerror(saved));
	}
	return code;
}

int ax_fail(struct ax_err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	ax_vfail(e, code, fmt, ap);
	va_end(ap);
	return code;
}

int ax_err_prefix(struct ax_err *e, const char *fmt, ...)
{
	char head[AX_ERR_MAX];
	size_t h, m;
	va_list ap;

	if (!e)
		return AX_EDATA;
	va_start(ap, fmt);
	vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	h = strlen(head);
	m = strlen(e->msg);
	if (h + m >= sizeof(e->msg))
		m = sizeof(e->msg) - 1 - h;
	memmove(e->msg + h, e->msg, m);
	memcpy(e->msg, head, h);
	e->msg[h + m] = '\0';
	return e->code;
}

void ax_err_clear(struct ax_err *e)
{
	e->code = 0;
	e->msg[0] = '\0';
}

int ax_exit_code(int code)
{
	if (code == AX_ESTOP)
		return 75;
	if (code <= 0 && code >= AX_ECOMM)
		return -code;
	return 3;
}
