/*
 * Both operands are packed into panels of f32 (8 rows of a, 32 columns of b, 256 of k), which also converts bf16; the
 * inner product of two panels keeps 8 x 32 sums in registers. Vector types of GCC and clang: the compiler picks the
 * instructions of the machine.
 */
#include "gemm.h"

#include <cstdint>
#include <cstring>
#include <vector>

static const size_t ROWS = 8, COLS = 32, DEPTH = 256, LANES = 16;
typedef float vec __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));

#define UNCHECKED __attribute__((no_sanitize("address"), no_sanitize("alignment")))

static inline float element(const gemm_operand &o, size_t i, size_t j)
{
	const size_t at = i * o.row + j * o.col;
	if (!o.bf16)
		return static_cast<const float *>(o.p)[at];
	const uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t *>(o.p)[at]) << 16;
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

/* panel[k][w] = o(k0 + k, j0 + w), zero beyond n. */
UNCHECKED static void pack(float *panel, const gemm_operand &o, size_t k0, size_t depth, size_t j0, size_t n,
			   size_t width)
{
	const size_t have = n - j0 < width ? n - j0 : width;
	for (size_t k = 0; k < depth; k++) {
		for (size_t w = 0; w < have; w++)
			panel[k * width + w] = element(o, k0 + k, j0 + w);
		for (size_t w = have; w < width; w++)
			panel[k * width + w] = 0.0f;
	}
}

UNCHECKED static void panel_product(float *tile, const float *a, const float *b, size_t depth)
{
	vec sum[ROWS][COLS / LANES] = {};
	for (size_t k = 0; k < depth; k++) {
		vec b0, b1;
		memcpy(&b0, b + k * COLS, sizeof b0);
		memcpy(&b1, b + k * COLS + LANES, sizeof b1);
#pragma GCC unroll 8
		for (size_t i = 0; i < ROWS; i++) {
			const float x = a[k * ROWS + i];
			sum[i][0] += x * b0;
			sum[i][1] += x * b1;
		}
	}
	memcpy(tile, sum, sizeof sum);
}

UNCHECKED static void add_tile(float *c, const float *tile, size_t i0, size_t m, size_t j0, size_t n)
{
	for (size_t i = 0; i < ROWS && i0 + i < m; i++)
		for (size_t j = 0; j < COLS && j0 + j < n; j++)
			c[(i0 + i) * n + j0 + j] += tile[i * COLS + j];
}

void gemm_f32(float *c, const gemm_operand &a, const gemm_operand &b, size_t m, size_t n, size_t k0, size_t k1)
{
	const gemm_operand at = {a.p, a.col, a.row, a.bf16};
	const size_t n_panel = (n + COLS - 1) / COLS;
	std::vector<float> pa(ROWS * DEPTH), pb(n_panel * COLS * DEPTH), tile(ROWS * COLS);
	for (size_t k = k0; k < k1; k += DEPTH) {
		const size_t depth = k1 - k < DEPTH ? k1 - k : DEPTH;
		for (size_t p = 0; p < n_panel; p++)
			pack(&pb[p * COLS * DEPTH], b, k, depth, p * COLS, n, COLS);
		for (size_t i = 0; i < m; i += ROWS) {
			pack(pa.data(), at, k, depth, i, m, ROWS);
			for (size_t p = 0; p < n_panel; p++) {
				panel_product(tile.data(), pa.data(), &pb[p * COLS * DEPTH], depth);
				add_tile(c, tile.data(), i, m, p * COLS, n);
			}
		}
	}
}
