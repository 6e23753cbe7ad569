/*
 * Blocks of known length, decompressed: pages of Parquet files, buffers of Arrow files.
 *
 *	AX_TRY(ax_unpack_check(codec, n, n_out, e));    // before n_out bytes are allocated on the file's word
 *	AX_TRY(ax_unpack(codec, in, n, out, n_out, e)); // exactly n_out bytes
 *
 * Snappy and LZ4 are decoded here: each is a page of code, and a library for either would be one more package to install.
 * Damaged data is AX_EDATA; messages do not name the file.
 */
#ifndef AX_FMT_UNPACK_H
#define AX_FMT_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum ax_codec { AX_CODEC_NONE, AX_CODEC_SNAPPY, AX_CODEC_GZIP, AX_CODEC_ZSTD, AX_CODEC_LZ4_RAW, AX_CODEC_LZ4_FRAME };

#define AX_UNPACK_MAX ((size_t)1 << 30)

/* AX_EDATA: n bytes of this codec can never make n_out; AX_EMEM: n_out is more than AX_UNPACK_MAX. */
int ax_unpack_check(enum ax_codec codec, size_t n, uint64_t n_out, struct ax_err *e);
int ax_unpack(enum ax_codec codec, const void *in, size_t n, void *out, size_t n_out, struct ax_err *e);

#endif
