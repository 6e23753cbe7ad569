/*
 * Blocks: the payload of a ROWS or PACKS frame. Rows in columns, so that a reader skips columns it does not know.
 *
 *	u32 n_rows, u32 n_columns
 *	n_columns x { u16 column, u16 flags (bit 0: skip when unknown), u32 bytes }
 *	column data in the same order, each padded with zeros to a multiple of 8
 *
 *	column       data
 *	1 length     u32 a row: its tokens, 1 .. AX_ROW_MAX
 *	2 ids        u16 or u32 a token
 *	3 mask       a bit a token, lowest first, rows end to end: this token is trained (as a target)
 *	4 split      u8 a row: 0 train, 1 eval
 *	5 source     u32 a row: index in `datasets`
 *	6 number     u64 a row: line or index inside the source, from 1
 *	7 label      (optional) a bit a row (padded to 8 bytes): has labels; then i32 a token of those rows, -100 untrained
 *	8 weight     (optional) likewise, f32 a token
 *	9 documents  (PACKS only) u32 a pack: its rows; all of one pack have one split
 *
 * A token is trained if its mask bit is set and it is not the first of its row: nothing predicts the first token. All
 * counts called "trained" follow this rule, so they are the denominator of the loss.
 */
#ifndef AX_FMT_BLOCK_H
#define AX_FMT_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

/* Longest row, and longest pack: with all columns it fits one frame. */
#define AX_ROW_MAX ((uint32_t)1 << 20)
#define AX_LABEL_NONE (-100)

enum ax_split { AX_SPLIT_TRAIN = 0, AX_SPLIT_EVAL = 1, AX_N_SPLIT = 2 };

struct ax_row {
	uint32_t n;           /* tokens, 1 .. AX_ROW_MAX */
	const uint32_t *id;
	const uint8_t *mask;  /* 1: this token is trained (as a target) */
	const int32_t *label; /* NULL, or per token where labels differ from ids; AX_LABEL_NONE exactly where mask is 0 */
	const float *weight;  /* NULL, or per token */
	uint8_t split;        /* enum ax_split */
	uint32_t source;      /* index in `datasets` */
	uint64_t number;      /* line or index inside its source, from 1 */
};

/* Trained tokens of a row: set mask bytes at positions >= 1. */
uint32_t ax_row_trained(const struct ax_row *r);
/* Add a row to an order-free checksum. Depends on every field; not on the id width, block or file it is stored in. */
void ax_row_sum(struct ax_sum *s, const struct ax_row *r);
/* Is the row storable (length, ids below 2^id_bits, labels agree with the mask, split)? AX_EDATA "row ...". */
int ax_row_check(const struct ax_row *r, int id_bits, struct ax_err *e);

/* "train", "eval" */
const char *ax_split_name(int split);

/* Rows collected into a payload. */
struct ax_block_writer {
	int id_bits;
	uint32_t n_row, n_pack;
	size_t n_token;
	bool any_label, any_weight, packs;
	uint32_t doc; /* rows of the open pack */
	struct ax_buf len, id, mask, split, source, number, label_has, label, weight_has, weight, docs, payload;
};

void ax_block_writer_init(struct ax_block_writer *w, int id_bits, bool packs);
void ax_block_writer_release(struct ax_block_writer *w);
/* Append a checked row. For packs: rows of one pack in sequence, then ax_block_end_pack. */
void ax_block_add(struct ax_block_writer *w, const struct ax_row *r);
void ax_block_end_pack(struct ax_block_writer *w);
/* Upper bound of the payload if a row of n tokens with all its columns were added. */
size_t ax_block_bytes(const struct ax_block_writer *w, uint32_t n);
/* Build the payload (in w->payload) and empty the columns. */
int ax_block_finish(struct ax_block_writer *w, struct ax_err *e);

/* A parsed payload; its arrays point into the payload (which must stay and be 8-byte aligned) or into the block. */
struct ax_block {
	int id_bits;
	bool packs;
	uint32_t n_row, n_pack;
	size_t n_token;
	const unsigned char *len, *split, *source, *number, *docs, *label_has, *weight_has;
	const unsigned char *label_data, *weight_data;
	const uint32_t *id; /* all tokens */
	const uint8_t *mask;
	uint32_t *id_buf;
	uint8_t *mask_buf;
	size_t id_cap, mask_cap;
	uint32_t row, pack;                /* next row and, for fmt/pack.h, next pack */
	size_t token, label_at, weight_at; /* next token; next label or weight */
};

void ax_block_init(struct ax_block *b);
void ax_block_release(struct ax_block *b);
/* Check everything about the payload and prepare to walk it. Errors AX_EDATA without a place. */
int ax_block_parse(struct ax_block *b, const unsigned char *p, size_t n, int id_bits, bool packs, struct ax_err *e);
/* The next row; false when the block is used up. */
bool ax_block_next(struct ax_block *b, struct ax_row *r);
/* Back to the first row. */
void ax_block_rewind(struct ax_block *b);

#endif
