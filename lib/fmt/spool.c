#include "fmt/spool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"

#define SPOOL_BUF ((size_t)256 << 10)
#define SPOOL_NAME "the temporary file (TMPDIR says where)"

void ax_spool_init(struct ax_spool *s, const char *dir)
{
	memset(s, 0, sizeof(*s));
	s->dir = dir;
	s->fd = -1;
}

static int make_file(struct ax_spool *s, struct ax_err *e)
{
	const char *dir = s->dir ? s->dir : getenv("TMPDIR");

	return ax_temp_file(dir && *dir ? dir : "/tmp", &s->fd, e);
}

static int flush(struct ax_spool *s, struct ax_err *e)
{
	if (!s->buf.n)
		return 0;
	if (s->fd < 0)
		AX_TRY(make_file(s, e));
	AX_TRY(ax_pwrite_full(s->fd, s->buf.p, s->buf.n, s->n - s->buf.n, SPOOL_NAME, e));
	ax_buf_reset(&s->buf);
	return 0;
}

int ax_spool_append(struct ax_spool *s, const void *p, size_t n, uint64_t *off, struct ax_err *e)
{
	*off = s->n;
	ax_buf_add(&s->buf, p, n);
	if (s->buf.oom)
		return ax_fail(e, AX_EMEM, "out of memory for the spool");
	s->n += n;
	return s->buf.n >= SPOOL_BUF ? flush(s, e) : 0;
}

int ax_spool_read(struct ax_spool *s, void *p, size_t n, uint64_t off, struct ax_err *e)
{
	if (off > s->n || n > s->n - off)
		return ax_fail(e, AX_EDATA, "read beyond the end of the spool");
	AX_TRY(flush(s, e));
	return n ? ax_pread_full(s->fd, p, n, off, SPOOL_NAME, e) : 0;
}

int ax_spool_reset(struct ax_spool *s, struct ax_err *e)
{
	ax_buf_reset(&s->buf);
	s->n = 0;
	return s->fd >= 0 ? ax_truncate(s->fd, 0, SPOOL_NAME, e) : 0;
}

void ax_spool_release(struct ax_spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	ax_buf_release(&s->buf);
}
