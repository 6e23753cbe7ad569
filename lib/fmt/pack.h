/*
 * Packs (ax-packs(5)): a stream of kind "packs", whose frames hold packs. A pack is rows laid end to end, at most
 * sequence_len tokens, all of one split. Framing, header, trailer and concatenation are those of fmt/stream.h.
 */
#ifndef AX_FMT_PACK_H
#define AX_FMT_PACK_H

#include "fmt/stream.h"

#define AX_PACK_DOCS ((uint32_t)65536) /* most documents in a pack: with them a pack of AX_ROW_MAX tokens fits a frame */

/* A pack in memory. Arrays of one element a token are the documents end to end. */
struct ax_pack {
	uint8_t split;
	uint32_t n;             /* tokens */
	uint32_t n_doc;
	uint32_t trained;       /* loss denominator: see fmt/block.h */
	uint64_t cost;          /* sum of squared document lengths */
	const uint32_t *len;    /* n_doc lengths */
	const struct ax_row *row; /* n_doc rows; they point into the arrays below, labels and weights as stored */
	const uint32_t *id;
	const uint8_t *mask;
	const int32_t *label;   /* NULL: no document has labels; else filled for all (id or AX_LABEL_NONE by the mask) */
	const float *weight;    /* NULL: none; else filled for all (1 where a document has none) */
};

/* Memory that holds one pack's arrays; reused from pack to pack. */
struct ax_pack_buf {
	uint32_t *len;
	struct ax_row *row;
	int32_t *label;
	float *weight;
	size_t cap_len, cap_row, cap_label, cap_weight;
};

void ax_pack_buf_init(struct ax_pack_buf *b);
void ax_pack_buf_release(struct ax_pack_buf *b);
/*
 * The next pack of a parsed block into *p (arrays in the block and in b); *end when the block is used up. More than
 * sequence_len tokens: AX_EDATA.
 */
int ax_pack_next(struct ax_block *blk, struct ax_pack_buf *b, uint32_t sequence_len, struct ax_pack *p, bool *end,
		 struct ax_err *e);

/* --- stream of packs --- */

struct ax_pack_writer {
	struct ax_stream_writer s;
	uint32_t sequence_len;
	bool one_a_frame; /* shard files: each pack is a record */
	uint64_t frame_off; /* one_a_frame: offset of the last pack's frame in the output */
};

/* header: kind "packs" or "shard" (one pack a frame), with sequence_len >= 1. */
int ax_pack_writer_open(struct ax_pack_writer *w, struct ax_out *out, const struct ax_val *header, int level,
			struct ax_err *e);
/* Write one pack given as rows of one split; together at most sequence_len tokens, at most AX_PACK_DOCS rows. */
int ax_pack_write(struct ax_pack_writer *w, const struct ax_row *row, uint32_t n_row, struct ax_err *e);
int ax_pack_writer_finish(struct ax_pack_writer *w, const struct ax_totals *drops, const struct ax_val *extra,
			  struct ax_err *e);
void ax_pack_writer_release(struct ax_pack_writer *w);

/* Reading: ax_stream_open, then this until *end. The pack is valid until the next call. */
struct ax_pack_reader {
	struct ax_stream s;
	struct ax_pack_buf buf;
	struct ax_block *block;
	uint32_t sequence_len;
};

int ax_pack_reader_open(struct ax_pack_reader *r, const char *path, struct ax_err *e);
int ax_pack_reader_next(struct ax_pack_reader *r, struct ax_pack *p, bool *end, struct ax_err *e);
void ax_pack_reader_close(struct ax_pack_reader *r);

#endif
