/*
 * A byte stream that is decompressed by what it holds: gzip, zstd, or as it is. The name of the file never counts.
 *
 *	struct ax_zin *z;
 *	AX_TRY(ax_zin_open(&z, path, e));                  // "-": stdin
 *	do
 *		AX_GOTO(ax_zin_read(z, buf, sizeof(buf), &got, e));
 *	while (got);
 *   out:
 *	ax_zin_close(z);
 *
 * Gzip members and zstd frames may be concatenated. Memory is bounded: one input buffer and the decoder's window, which
 * for zstd may be 128 MiB at most (AX_EMEM beyond). Damaged or cut data is AX_EDATA, naming the file.
 */
#ifndef AX_FMT_ZSTD_IN_H
#define AX_FMT_ZSTD_IN_H

#include <stddef.h>

#include "base/err.h"

struct ax_zin;

int ax_zin_open(struct ax_zin **z, const char *path, struct ax_err *e);
/* Up to n bytes; *got < n only at the end of the stream. */
int ax_zin_read(struct ax_zin *z, void *p, size_t n, size_t *got, struct ax_err *e);
/* The name for messages: the path, or "stdin". */
const char *ax_zin_name(const struct ax_zin *z);
void ax_zin_close(struct ax_zin *z);

#endif
