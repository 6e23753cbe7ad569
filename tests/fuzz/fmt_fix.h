/*
 * For the fuzz targets of framed files: make the checksums of mutated frames right again, so that what lies behind them
 * is reached. Walks frames as far as their sizes fit.
 */
#ifndef AX_TEST_FMT_FIX_H
#define AX_TEST_FMT_FIX_H

#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "fmt/frame.h"

static inline void fix_frames(unsigned char *p, size_t n)
{
	size_t at = 0;

	while (n - at >= AX_FRAME_HEAD) {
		unsigned char *h = p + at;
		uint32_t stored = ax_get_u32(h + 12);

		if (stored > n - at - AX_FRAME_HEAD)
			stored = (uint32_t)(n - at - AX_FRAME_HEAD);
		ax_put_u32(h, AX_FRAME_MAGIC);
		h[6] &= 1;
		h[7] = 0;
		if (h[6] == AX_CODEC_RAW) {
			ax_put_u32(h + 8, stored);
			ax_put_u32(h + 12, stored);
			ax_put_u64(h + 16, ax_hash64(h + AX_FRAME_HEAD, stored));
		}
		ax_put_u32(h + 24, (uint32_t)ax_hash64(h + AX_FRAME_HEAD, stored));
		ax_put_u32(h + 28, (uint32_t)ax_hash64(h, 28));
		at += AX_FRAME_HEAD + stored;
	}
}

#endif
