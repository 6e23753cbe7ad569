/*
 * Tiles for attn_body.h: their layouts, reading and writing them, and their products.
 *
 * Layouts of a tile X of up to TILE rows, in units:
 *   rows     [TILE][elements / UNIT]      as in memory, padded with zeros
 *   across   [elements / UNIT][TILE]      a lane a row
 *   paired   [TILE / UNIT][elements]      UNIT adjacent rows in one unit
 */
#include "tensor/cpu/attn.h"
#include "tensor/cpu/vec.h"

#define TILE AX_ATTN_TILE
#define MR   4 /* rows of a micro tile: MR * NV accumulators hide the latency of the products */

#if UNIT == 2
typedef int32_t unit;
typedef vi uvec;
typedef int32_t uvec_mem __attribute__((vector_size(4 * VL), aligned(4), may_alias));

INLINE vf dot(vf acc, unit a, uvec b)
{
	return (vf)_mm512_dpbf16_ps((__m512)acc, (__m512bh)_mm512_set1_epi32(a), (__m512bh)b);
}

INLINE vh half_of(vf x)
{
	return (vh)_mm512_cvtneps_pbh((__m512)x);
}

INLINE uvec pair(vh low, vh high)
{
	return (uvec)(extend(low) | extend(high) << 16);
}

/* Vector x of row j at `lane` of a tile in layout rows. */
INLINE void put_row(unit *tile, size_t j, size_t lane, vf x)
{
	*(vh_mem *)(void *)((uint16_t *)tile + j * TILE + lane) = half_of(x);
}

/* Vectors of rows j and j + 1, j even, in layout paired. */
INLINE void put_pair(unit *tile, size_t j, size_t lane, vf a, vf b)
{
	*(uvec_mem *)(void *)(tile + j / 2 * TILE + lane) = pair(half_of(a), half_of(b));
}
#else
typedef float unit;
typedef vf uvec;
typedef vf_mem uvec_mem;

INLINE vf dot(vf acc, unit a, uvec b)
{
	return acc + a * b;
}

INLINE void put_row(unit *tile, size_t j, size_t lane, vf x)
{
	store(tile, AX_F32, j * TILE + lane, x);
}

INLINE void put_pair(unit *tile, size_t j, size_t lane, vf a, vf b)
{
	put_row(tile, j, lane, a);
	put_row(tile, j + 1, lane, b);
}
#endif

/* Strides of an operand in units. */
struct operand {
	const unit *p;
	size_t row, step;
};

/* C (MR, nv VL) = or += A B; nv is a constant where this is inlined. */
INLINE void micro(int nv, size_t K, struct operand a, const unit *b, size_t b_step, float *c, size_t ldc, bool accumulate)
{
	vf x[MR][NV];

	for (int r = 0; r < MR; r++)
		for (int v = 0; v < nv; v++)
			x[r][v] = accumulate ? load(c, AX_F32, (size_t)r * ldc + (size_t)v * VL) : (vf){ 0 };
	for (size_t k = 0; k < K; k++) {
		uvec y[NV];

		for (int v = 0; v < nv; v++)
			y[v] = *(const uvec_mem *)(const void *)(b + k * b_step + (size_t)v * VL);
		for (int r = 0; r < MR; r++) {
			unit e = a.p[(size_t)r * a.row + k * a.step];

			for (int v = 0; v < nv; v++)
				x[r][v] = dot(x[r][v], e, y[v]);
		}
	}
	for (int r = 0; r < MR; r++)
		for (int v = 0; v < nv; v++)
			store(c, AX_F32, (size_t)r * ldc + (size_t)v * VL, x[r][v]);
}

/* A strip: nv vectors of all M rows. */
#define STRIP(nv)                                                                                                      \
	static void strip_##nv(size_t M, size_t K, struct operand a, const unit *b, size_t b_step, float *c, size_t ldc, bool accumulate) \
	{                                                                                                              \
		for (size_t m = 0; m < M; m += MR, a.p += MR * a.row, c += MR * ldc)                                   \
			if (accumulate)                                                                                \
				micro(nv, K, a, b, b_step, c, ldc, true);                                              \
			else                                                                                           \
				micro(nv, K, a, b, b_step, c, ldc, false);                                             \
	}

STRIP(1)
STRIP(2)
#if NV == 4
STRIP(3)
STRIP(4)
#endif

/* C (M, lanes) = or += A (M, K) B (K, lanes); M a multiple of MR, lanes of VL. */
static void block(size_t M, size_t lanes, size_t K, struct operand a, const unit *b, size_t b_step, float *c, size_t ldc, bool accumulate)
{
	static void (*const run[])(size_t, size_t, struct operand, const unit *, size_t, float *, size_t, bool) = {
		NULL, strip_1, strip_2,
#if NV == 4
		strip_3, strip_4,
#endif
	};

	for (size_t n = 0; n < lanes; n += NV * VL) {
		size_t nv = (lanes - n) / VL < NV ? (lanes - n) / VL : NV;

		run[nv](M, K, a, b + n, b_step, c + n, ldc, accumulate);
	}
}

struct dims {
	size_t hd, units, lanes, rows; /* head dim; in units; rounded up to VL; rounded up to MR */
};

static struct dims dims_of(int head_dim)
{
	size_t hd = (size_t)head_dim;

	return (struct dims){ hd, (hd + UNIT - 1) / UNIT, (hd + VL - 1) / VL * VL, (hd + MR - 1) / MR * MR };
}

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

/* One row of memory as units, zeros behind its end. */
INLINE void read_row(unit *to, const void *x, enum ax_dtype t, size_t at, struct dims d)
{
#if UNIT == 2
	const uint16_t *h = (const uint16_t *)x + at;
	size_t i = 0;

	to[d.units - 1] = 0;
	for (; i + VL <= d.hd; i += VL)
		*(vh_mem *)(void *)((uint16_t *)(void *)to + i) = *(const vh_mem *)(const void *)(h + i);
	if (i < d.hd)
		memcpy((uint16_t *)(void *)to + i, h + i, (d.hd - i) * 2);
	(void)t;
#else
	size_t i = 0;

	for (; i + VL <= d.hd; i += VL)
		store(to, AX_F32, i, load(x, t, at + i));
	if (i < d.hd)
		store_tail(to, AX_F32, i, load_tail(x, t, at + i, d.hd - i), d.hd - i);
#endif
}

/* `n` rows in layout rows; the next `padded` - n are zeros. */
static void read_rows(unit *to, const void *x, enum ax_dtype t, size_t at, size_t ld, size_t n, size_t padded, struct dims d)
{
	for (size_t i = 0; i < n; i++)
		read_row(to + i * d.units, x, t, at + i * ld, d);
	memset(to + n * d.units, 0, (padded - n) * d.units * sizeof(unit));
}

/* The same as an operand: straight from memory where its rows are units already, else copied to `to`. */
static struct operand rows_operand(unit *to, const void *x, enum ax_dtype t, size_t at, size_t ld, size_t n, struct dims d)
{
#if UNIT == 2
	if (n % MR == 0 && d.hd % 2 == 0 && ld % 2 == 0)
		return (struct operand){ (const unit *)(const void *)((const uint16_t *)x + at), ld / 2, 1 };
#endif
	read_rows(to, x, t, at, ld, n, round_up(n, MR), d);
	return (struct operand){ to, d.units, 1 };
}

#if VL == 16
/* y (16, 16) = x (16, 16) turned, both of 32-bit elements with row strides. */
INLINE void turn16(int32_t *y, size_t ldy, const int32_t *x, size_t ldx)
{
	__m512i a[16], b[16];

	for (size_t i = 0; i < 16; i++)
		a[i] = _mm512_loadu_si512(x + i * ldx);
	for (size_t i = 0; i < 16; i += 2) {
		b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
		b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
	}
	for (size_t i = 0; i < 16; i += 4)
		for (size_t k = 0; k < 2; k++) {
			a[i + 2 * k] = _mm512_unpacklo_epi64(b[i + k], b[i + k + 2]);
			a[i + 2 * k + 1] = _mm512_unpackhi_epi64(b[i + k], b[i + k + 2]);
		}
	for (size_t i = 0; i < 16; i += 8)
		for (size_t k = 0; k < 4; k++) {
			b[i + k] = _mm512_shuffle_i32x4(a[i + k], a[i + k + 4], 0x88);
			b[i + k + 4] = _mm512_shuffle_i32x4(a[i + k], a[i + k + 4], 0xdd);
		}
	for (size_t k = 0; k < 8; k++) {
		_mm512_storeu_si512(y + k * ldy, _mm512_shuffle_i32x4(b[k], b[k + 8], 0x88));
		_mm512_storeu_si512(y + (k + 8) * ldy, _mm512_shuffle_i32x4(b[k], b[k + 8], 0xdd));
	}
}
#endif

/* y (cols, rows) = x (rows, cols) turned. */
static void turn(void *y, size_t ldy, const void *x, size_t ldx, size_t rows, size_t cols)
{
	int32_t *to = y;
	const int32_t *from = x;
	size_t r = 0;

#if VL == 16
	for (; r + 16 <= rows; r += 16) {
		size_t c = 0;

		for (; c + 16 <= cols; c += 16)
			turn16(to + c * ldy + r, ldy, from + r * ldx + c, ldx);
		for (; c < cols; c++)
			for (size_t i = r; i < r + 16; i++)
				to[c * ldy + i] = from[i * ldx + c];
	}
#endif
	for (; r < rows; r++)
		for (size_t c = 0; c < cols; c++)
			to[c * ldy + r] = from[r * ldx + c];
}

static void read_across(unit *to, const void *x, enum ax_dtype t, size_t at, size_t ld, size_t n, unit *rows, struct dims d)
{
	struct operand o = rows_operand(rows, x, t, at, ld, n, d);

	if (n < TILE)
		memset(to, 0, d.units * TILE * sizeof(unit));
	turn(to, TILE, o.p, o.row, n, d.units);
}

#if UNIT == 2
/* k elements of bf16 from x as a vector. */
INLINE vh read_half(const uint16_t *x, size_t k)
{
	uint16_t h[VL] = { 0 };

	if (k >= VL)
		return *(const vh_mem *)(const void *)x;
	memcpy(h, x, k * 2);
	return *(const vh_mem *)(const void *)h;
}
#endif

/* `n` rows in layout paired, [ceil(n / UNIT)][d.lanes]. */
static void read_paired(unit *to, const void *x, enum ax_dtype t, size_t at, size_t ld, size_t n, struct dims d)
{
#if UNIT == 2
	for (size_t i = 0; i < n; i += 2)
		for (size_t e = 0; e < d.hd; e += VL) {
			const uint16_t *row = (const uint16_t *)x + at + i * ld + e;
			vh low = read_half(row, d.hd - e), high = i + 1 < n ? read_half(row + ld, d.hd - e) : (vh){ 0 };

			*(uvec_mem *)(void *)(to + i / 2 * d.lanes + e) = pair(low, high);
		}
	(void)t;
#else
	for (size_t i = 0; i < n; i++) {
		memset(to + i * d.lanes + d.hd, 0, (d.lanes - d.hd) * sizeof(unit));
		read_row(to + i * d.lanes, x, t, at + i * ld, d);
	}
#endif
}

/* Row i of memory = lane i of x (elements, TILE) times mul[i]; `rows` (TILE, d.lanes) is scratch. */
static void write_across(void *to, enum ax_dtype t, size_t ld, const float *x, const float *mul, size_t n, float *rows, struct dims d)
{
	turn(rows, d.lanes, x, TILE, d.rows < d.lanes ? d.rows : d.lanes, round_up(n, VL));
	for (size_t i = 0; i < n; i++) {
		size_t e;

		for (e = 0; e + VL <= d.hd; e += VL)
			store(to, t, i * ld + e, load(rows, AX_F32, i * d.lanes + e) * mul[i]);
		if (e < d.hd)
			store_tail(to, t, i * ld + e, load(rows, AX_F32, i * d.lanes + e) * mul[i], d.hd - e);
	}
}
