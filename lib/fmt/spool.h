/*
 * A spool: bytes appended to an unlinked temporary file and read back at any offset. The file is made on the first
 * append, in $TMPDIR (else /tmp) or a given folder; the system removes it however the process ends.
 *
 *	struct ax_spool s;
 *	ax_spool_init(&s, NULL);
 *	ax_spool_append(&s, p, n, &off, e);
 *	ax_spool_read(&s, p, n, off, e);
 *	ax_spool_release(&s);
 */
#ifndef AX_FMT_SPOOL_H
#define AX_FMT_SPOOL_H

#include "base/buf.h"
#include "base/err.h"

struct ax_spool {
	const char *dir; /* borrowed, or NULL */
	int fd;
	uint64_t n;        /* bytes appended */
	struct ax_buf buf; /* the last of them, not yet in the file */
};

void ax_spool_init(struct ax_spool *s, const char *dir);
/* *off: where the bytes begin. */
int ax_spool_append(struct ax_spool *s, const void *p, size_t n, uint64_t *off, struct ax_err *e);
int ax_spool_read(struct ax_spool *s, void *p, size_t n, uint64_t off, struct ax_err *e);
/* Forget the contents, give the disk space back, keep the file. */
int ax_spool_reset(struct ax_spool *s, struct ax_err *e);
void ax_spool_release(struct ax_spool *s);

#endif
