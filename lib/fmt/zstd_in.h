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
 * for zstd may be 128 MiB at most (AX_EMEM beyond). Damaged or cut data is AX_EDATA, naming the file; so are the formats
 * that are known by their first bytes and not read: xz, bzip2, LZ4, zip, 7z.
 */
#ifndef AX_FMT_ZSTD_IN_H
#define AX_FMT_ZSTD_IN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/io.h"

struct ax_zin;

int ax_zin_open(struct ax_zin **z, const char *path, struct ax_err *e);
/* Up to n bytes; *got < n only at the end of the stream. */
int ax_zin_read(struct ax_zin *z, void *p, size_t n, size_t *got, struct ax_err *e);
/*
 * All of it in memory, for what must be read from its end: the file itself, if it is a regular one and not compressed; else
 * a temporary file in $TMPDIR or /tmp, without a name, of the `n` bytes at `head` that have been read already and what
 * follows. The caller closes the map. ax_zin_plain: is the former the case?
 */
int ax_zin_map(struct ax_zin *z, const void *head, size_t n, struct ax_map *m, struct ax_err *e);
bool ax_zin_plain(const struct ax_zin *z);
/* The name for messages: the path, or "stdin". */
const char *ax_zin_name(const struct ax_zin *z);
void ax_zin_close(struct ax_zin *z);

#endif
