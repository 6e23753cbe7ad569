/*
 * Which algorithm serves each matrix product on a kind of GPU: a table that is measured once, sent to the other ranks,
 * kept in a cache on disk and in checkpoints, as text:
 *
 *	ax-tuning 1
 *	machine NVIDIA H200, sm_90, cuBLASLt 130100, workspace 33554432
 *	4096 896 896 n t bf16 bf16 - = 896 896 896 256 256 256 000001a...,... 12.25
 *	end 1f6a0b22c4d7e913
 *
 * a line a product: m n k, how A and B are stored (n as they are multiplied, t transposed), types of input and output, b if
 * there is a bias, = or + (accumulated), strides, alignments of A, B and the output in bytes, the algorithm (eight words
 * that only the library of that machine line can read), microseconds measured (0: not measured). The last line has the
 * hash of all before it.
 */
#ifndef AX_TENSOR_TUNING_H
#define AX_TENSOR_TUNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define AX_TUNING_ALGO_WORDS 8
#define AX_TUNING_ROWS_MAX 4096
#define AX_TUNING_BYTES_MAX ((size_t)2 << 20) /* of the text */

/* What a choice holds for. Compared byte by byte: clear it before it is filled. */
struct ax_tuning_key {
	int32_t m, n, k;
	uint8_t a_trans, b_trans;
	uint8_t in_bf16, out_bf16; /* else f32 */
	uint8_t bias, accumulate, unused[2];
	uint32_t align[3]; /* of A, B, the output: 1..256, powers of two */
	uint64_t ld[3];
};

struct ax_tuning_row {
	struct ax_tuning_key key;
	uint64_t algo[AX_TUNING_ALGO_WORDS];
	double us;
};

struct ax_tuning {
	char machine[224]; /* GPU, library and workspace: rows of another machine mean nothing */
	struct ax_tuning_row *row;
	size_t n, cap;
};

/* t all zero is an empty table. */
void ax_tuning_release(struct ax_tuning *t);
const struct ax_tuning_row *ax_tuning_find(const struct ax_tuning *t, const struct ax_tuning_key *key);
/* Adds a row, or replaces that of its key. */
int ax_tuning_put(struct ax_tuning *t, const struct ax_tuning_row *row, struct ax_err *e);
/* Appends the text to b (check b->oom). */
void ax_tuning_write(const struct ax_tuning *t, struct ax_buf *b);
/* Fills an empty table. AX_EDATA with the line that is wrong; release t also then. */
int ax_tuning_read(struct ax_tuning *t, const char *text, size_t n, struct ax_err *e);

#endif
