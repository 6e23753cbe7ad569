/*
 * Framing: every ax stream (tokens, packs, shard files, shard index) is a sequence of frames, in files and pipes alike.
 *
 *	offset size
 *	0      4    magic 89 41 58 46 ("\x89AXF")
 *	4      2    kind; bit 15: a reader that does not know the kind skips the frame, otherwise it refuses the stream
 *	6      1    codec: 0 raw, 1 one zstd frame (window <= 8 MiB)
 *	7      1    0
 *	8      4    raw size, at most 16 MiB
 *	12     4    stored size; equal to the raw size (codec 0) or smaller (codec 1)
 *	16     8    XXH3-64 of the raw payload
 *	24     4    low half of the XXH3-64 of the stored payload: a flipped bit that zstd would not notice is found too
 *	28     4    low half of the XXH3-64 of bytes 0..27
 *	32     n    stored payload
 *
 * All integers are little-endian. A reader never allocates more than 2 x 16 MiB for a frame, whatever the file says.
 *
 *	struct ax_frame_enc enc;                              struct ax_frame_dec dec;
 *	AX_TRY(ax_frame_enc_init(&enc, level, e));            ax_frame_dec_init(&dec);
 *	ax_frame_write(&enc, out, kind, p, n, e);             ax_frame_read(&dec, in, &head, &p, &end, e);
 *	ax_frame_enc_release(&enc);                           ax_frame_dec_release(&dec);
 */
#ifndef AX_FMT_FRAME_H
#define AX_FMT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"

#define AX_FRAME_MAGIC 0x46584189u
#define AX_FRAME_HEAD 32
#define AX_FRAME_RAW_MAX ((uint32_t)16 << 20)
#define AX_FRAME_WINDOW_MAX ((uint64_t)8 << 20)

enum ax_frame_kind {
	AX_FRAME_HEADER = 1,  /* JSON; first frame of a stream */
	AX_FRAME_ROWS = 2,    /* a block of rows (fmt/block.h) */
	AX_FRAME_PACKS = 3,   /* a block of packs */
	AX_FRAME_INDEX = 4,   /* part of the stream's frame index */
	AX_FRAME_TRAILER = 5, /* JSON; last frame of a stream */
	AX_FRAME_ENTRIES = 6, /* part of a shard folder's index */
	AX_FRAME_SKIP = 0x8000 /* bit: skip the frame when the kind is unknown */
};

enum ax_frame_codec { AX_CODEC_RAW = 0, AX_CODEC_ZSTD = 1 };

struct ax_frame_head {
	uint16_t kind;
	uint8_t codec;
	uint32_t raw, stored; /* bytes of payload */
	uint64_t hash;        /* XXH3-64 of the raw payload */
	uint32_t check;       /* low half of that of the stored payload */
};

/* Parse and check 32 bytes. AX_EDATA without a file name or offset: the caller puts them in front. */
int ax_frame_head_parse(struct ax_frame_head *h, const unsigned char p[AX_FRAME_HEAD], struct ax_err *e);
void ax_frame_head_put(const struct ax_frame_head *h, unsigned char p[AX_FRAME_HEAD]);

struct ax_frame_enc {
	int level; /* zstd level, 0: raw. A payload that does not shrink is stored raw. */
	void *zc;
	unsigned char *z;
	size_t z_cap;
};

int ax_frame_enc_init(struct ax_frame_enc *enc, int level, struct ax_err *e);
void ax_frame_enc_release(struct ax_frame_enc *enc);
/* Fill *h and give the stored bytes (in p or in enc, valid until the next call). n <= AX_FRAME_RAW_MAX. */
int ax_frame_encode(struct ax_frame_enc *enc, uint16_t kind, const void *p, size_t n, struct ax_frame_head *h,
		    const void **stored, struct ax_err *e);
/* Encode and write header and payload. */
int ax_frame_write(struct ax_frame_enc *enc, struct ax_out *o, uint16_t kind, const void *p, size_t n,
		   struct ax_err *e);

struct ax_frame_dec {
	void *zd;
	unsigned char *in, *out; /* stored and raw bytes */
	size_t in_cap, out_cap;
};

void ax_frame_dec_init(struct ax_frame_dec *d);
void ax_frame_dec_release(struct ax_frame_dec *d);
/* Decompress and verify h->stored bytes; *raw is `stored` itself for codec raw. Errors: AX_EDATA without a place. */
int ax_frame_decode(struct ax_frame_dec *d, const struct ax_frame_head *h, const unsigned char *stored,
		    const unsigned char **raw, struct ax_err *e);
/*
 * Read the next frame whole; its payload, 16-byte aligned, is valid until the next call. *end: the input ends exactly
 * at a frame border (no frame is delivered). Errors name the file and the byte offset of the frame.
 */
int ax_frame_read(struct ax_frame_dec *d, struct ax_in *in, struct ax_frame_head *h, const unsigned char **raw,
		  bool *end, struct ax_err *e);

#endif
