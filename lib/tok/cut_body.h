/*
 * The windows of cut.h, compiled once for each instruction set: the includer defines TABLE, the name of its table.
 *
 * Bit k of a mask is the byte k of the window, byte 0 begins a piece, so nothing before it matters. `end` is how many
 * bytes are ASCII text; masks are empty behind it. starts() gives the bits where pieces begin, as far as that is
 * certain; in ASCII it follows from runs of letters L, numbers N, white space S and others O:
 *	- a run of L, N or O begins a piece, unless it takes the character before it along
 *	- the last character of S before another class begins a piece (alone, or taken along), unless it ends a line
 *	- line ends directly behind O belong to it; otherwise the last line end of a run of S ends a piece
 */
#include <stdbool.h>
#include <string.h>

#include "tok/cut.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#define ALWAYS static inline __attribute__((always_inline))

/* A vector of bytes and the mask of those in a range: lo <= byte < lo + n, as unsigned numbers. */
#if defined(__AVX512BW__)
#define STEP 64
typedef __m512i vec;
ALWAYS vec load(const unsigned char *p) { return _mm512_loadu_si512(p); }
ALWAYS vec fold(vec v) { return _mm512_or_si512(v, _mm512_set1_epi8(32)); }
ALWAYS uint64_t in_range(vec v, int lo, int n)
{
	return _mm512_cmplt_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8((char)lo)), _mm512_set1_epi8((char)n));
}
ALWAYS uint64_t is(vec v, int c) { return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8((char)c)); }
ALWAYS uint64_t high(vec v) { return _mm512_movepi8_mask(v); }
#elif defined(__AVX2__)
#define STEP 32
typedef __m256i vec;
ALWAYS vec load(const unsigned char *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
ALWAYS vec fold(vec v) { return _mm256_or_si256(v, _mm256_set1_epi8(32)); }
ALWAYS uint64_t bits(__m256i v) { return (uint32_t)_mm256_movemask_epi8(v); }
ALWAYS uint64_t in_range(vec v, int lo, int n)
{
	__m256i x = _mm256_sub_epi8(v, _mm256_set1_epi8((char)lo));

	return bits(_mm256_cmpeq_epi8(_mm256_min_epu8(x, _mm256_set1_epi8((char)(n - 1))), x));
}
ALWAYS uint64_t is(vec v, int c) { return bits(_mm256_cmpeq_epi8(v, _mm256_set1_epi8((char)c))); }
ALWAYS uint64_t high(vec v) { return bits(v); }
#elif defined(__SSE2__)
#define STEP 16
typedef __m128i vec;
ALWAYS vec load(const unsigned char *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
ALWAYS vec fold(vec v) { return _mm_or_si128(v, _mm_set1_epi8(32)); }
ALWAYS uint64_t bits(__m128i v) { return (uint32_t)_mm_movemask_epi8(v); }
ALWAYS uint64_t in_range(vec v, int lo, int n)
{
	__m128i x = _mm_sub_epi8(v, _mm_set1_epi8((char)lo));

	return bits(_mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8((char)(n - 1))), x));
}
ALWAYS uint64_t is(vec v, int c) { return bits(_mm_cmpeq_epi8(v, _mm_set1_epi8((char)c))); }
ALWAYS uint64_t high(vec v) { return bits(v); }
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define STEP 16
typedef uint8x16_t vec;
ALWAYS vec load(const unsigned char *p) { return vld1q_u8(p); }
ALWAYS vec fold(vec v) { return vorrq_u8(v, vdupq_n_u8(32)); }
ALWAYS uint64_t bits(uint8x16_t v)
{
	static const uint8_t weight[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
	uint8x16_t x = vandq_u8(v, vld1q_u8(weight));

	return vaddv_u8(vget_low_u8(x)) | (uint64_t)vaddv_u8(vget_high_u8(x)) << 8;
}
ALWAYS uint64_t in_range(vec v, int lo, int n)
{
	return bits(vcltq_u8(vsubq_u8(v, vdupq_n_u8((uint8_t)lo)), vdupq_n_u8((uint8_t)n)));
}
ALWAYS uint64_t is(vec v, int c) { return bits(vceqq_u8(v, vdupq_n_u8((uint8_t)c))); }
ALWAYS uint64_t high(vec v) { return bits(vcgeq_u8(v, vdupq_n_u8(0x80))); }
#else
/* Eight bytes in an integer; a mask is the top bit of each, gathered by a product. */
#define STEP 8
typedef uint64_t vec;
#define ONES UINT64_C(0x0101010101010101)
#define TOPS UINT64_C(0x8080808080808080)
ALWAYS vec load(const unsigned char *p)
{
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
	       (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}
ALWAYS vec fold(vec v) { return v | ONES * 32; }
ALWAYS uint64_t bits(uint64_t top) { return (top >> 7) * UINT64_C(0x0102040810204080) >> 56; }
/* A byte of seven bits is at least lo: adding 128 - lo sets the top bit. Bytes above 127 are in no range. */
ALWAYS uint64_t from(vec v, int lo) { return ((v & ~TOPS) + ONES * (uint64_t)(128 - lo)) & ~v & TOPS; }
ALWAYS uint64_t in_range(vec v, int lo, int n) { return bits(from(v, lo) & ~from(v, lo + n)); }
ALWAYS uint64_t is(vec v, int c) { return in_range(v, c, 1); }
ALWAYS uint64_t high(vec v) { return bits(v & TOPS); }
#endif

struct masks {
	uint64_t l, n, s; /* letters, digits, white space */
	uint64_t two, three; /* first bytes of other letters and signs, which count as l, or as none of these, all over */
	uint64_t line;    /* \r \n */
	uint64_t space, upper, quote, slash, high;
	uint64_t control; /* neither white space nor punctuation: NUL .. 0x1F, 0x7F */
};

ALWAYS struct masks classify(const unsigned char *q)
{
	struct masks m = {0};

	for (unsigned k = 0; k < 64; k += STEP) {
		vec v = load(q + k);
		uint64_t space = is(v, ' ');

		m.l |= in_range(fold(v), 'a', 26) << k;
		m.upper |= in_range(v, 'A', 26) << k;
		m.n |= in_range(v, '0', 10) << k;
		m.space |= space << k;
		m.s |= (space | in_range(v, '\t', 5)) << k;
		m.line |= (is(v, '\n') | is(v, '\r')) << k;
		m.quote |= is(v, '\'') << k;
		m.slash |= is(v, '/') << k;
		m.control |= (in_range(v, 0, 32) | is(v, 127)) << k;
		m.high |= high(v) << k;
	}
	m.control &= ~m.s;
	return m;
}

/* --- other letters and signs: not where case matters, or DeepSeek-V3's own patterns --- */

ALWAYS uint64_t range(const unsigned char *q, int lo, int n)
{
	uint64_t m = 0;

	for (unsigned k = 0; k < 64; k += STEP)
		m |= in_range(load(q + k), lo, n) << k;
	return m;
}

/* The high bytes lo to hi, by their numbers below 128. */
#if STEP == 8
ALWAYS uint64_t bytes(const unsigned char *q, int lo, int hi)
{
	uint64_t m = 0;

	for (unsigned k = 0; k < 64; k += STEP) {
		vec v = load(q + k);

		m |= (bits((from(v & ~TOPS, lo - 128) & ~from(v & ~TOPS, hi - 127)) & TOPS) & high(v)) << k;
	}
	return m;
}
#else
ALWAYS uint64_t bytes(const unsigned char *q, int lo, int hi)
{
	return range(q, lo, hi - lo + 1);
}
#endif

/*
 * Letters: U+00C0 to U+013F but for two signs, Cyrillic U+0400 to U+047F, kana, U+4E00 to U+9FFF, Hangul up to U+D77F.
 * Signs: much of U+2010 to U+2027, of U+3001 to U+3011 and the full-width ones. Only characters that end in the window.
 */
ALWAYS void classify_more(const unsigned char *q, struct masks *m)
{
	uint64_t e3 = bytes(q, 0xE3, 0xE3), ef = bytes(q, 0xEF, 0xEF), c3 = bytes(q, 0xC3, 0xC3);
	uint64_t n80 = bytes(q, 0x80, 0x80) >> 1, n81 = bytes(q, 0x81, 0x81), n82 = bytes(q, 0x82, 0x82) >> 1;
	uint64_t n83 = bytes(q, 0x83, 0x83) >> 1, b81 = n81 >> 2, letters, signs, kana = bytes(q, 0x81, 0xBF) >> 2;
	uint64_t odd = (bytes(q, 0x97, 0x97) | bytes(q, 0xB7, 0xB7)) >> 1;

	n81 >>= 1;
	letters = bytes(q, 0xE5, 0xE9) | bytes(q, 0xEB, 0xEC);
	letters |= bytes(q, 0xE4, 0xE4) & bytes(q, 0xB8, 0xBF) >> 1;
	letters |= bytes(q, 0xEA, 0xEA) & bytes(q, 0xB0, 0xBF) >> 1;
	letters |= bytes(q, 0xED, 0xED) & bytes(q, 0x80, 0x9D) >> 1;
	letters |= e3 & ((n81 & kana) | (n82 & (bytes(q, 0x80, 0x96) | bytes(q, 0xA1, 0xBF)) >> 2));
	letters |= e3 & n83 & (bytes(q, 0x80, 0xBA) | bytes(q, 0xBC, 0xBF)) >> 2;
	signs = e3 & n80 & (b81 | (bytes(q, 0x82, 0x84) | bytes(q, 0x88, 0x91)) >> 2);
	signs |= e3 & n83 & bytes(q, 0xBB, 0xBB) >> 2;
	signs |= ef & bytes(q, 0xBC, 0xBC) >> 1 & (bytes(q, 0x81, 0x8F) | bytes(q, 0x9A, 0xA0)) >> 2;
	signs |= bytes(q, 0xE2, 0xE2) & n80 & bytes(q, 0x90, 0xA7) >> 2;
	letters &= ~(UINT64_C(3) << 62);
	m->three = letters | (signs & ~(UINT64_C(3) << 62));
	m->two = ((c3 & ~odd) | bytes(q, 0xC4, 0xC4) | bytes(q, 0xD0, 0xD1)) & ~(UINT64_C(1) << 63);
	m->l |= letters | letters << 1 | letters << 2 | m->two | m->two << 1;
	m->high &= ~(m->three | m->three << 1 | m->three << 2 | m->two | m->two << 1);
}

ALWAYS unsigned low_bit(uint64_t x)
{
	return (unsigned)__builtin_ctzll(x);
}

/* Bytes below bit k; k <= 64. */
ALWAYS uint64_t below(unsigned k)
{
	return k < 64 ? ((uint64_t)1 << k) - 1 : ~UINT64_C(0);
}

/* Bytes of the contraction whose quote is at q[0]; 0: none. */
ALWAYS unsigned contraction(const unsigned char *q, bool fold_case)
{
	unsigned a = q[1], b = q[2];

	if (fold_case) {
		a |= 32;
		b |= 32;
	}
	if (a == 's' || a == 't' || a == 'm' || a == 'd')
		return 2;
	return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* Groups of three in each run of numbers. */
ALWAYS uint64_t triples(uint64_t n)
{
	uint64_t starts = n & ~(n << 1), next = starts, full = n & n << 1 & n << 2;

	while ((next = next << 3 & full))
		starts |= next;
	return starts;
}

/* `rest` without the first characters behind a line end from whose run another line end follows. */
ALWAYS uint64_t not_before_line(uint64_t rest, uint64_t blank, uint64_t line)
{
	uint64_t kept = 0;

	if (!(((blank + rest) & ~blank) & line))
		return rest;
	for (; rest; rest &= rest - 1) {
		uint64_t bit = rest & -rest, end = (blank + bit) & ~blank & -bit;

		kept |= (end & -end) & line ? 0 : bit;
	}
	return kept;
}

ALWAYS bool is_gpt2(const enum ax_cut_kind kind)
{
	return kind == AX_CUT_GPT2 || kind == AX_CUT_DIGITS;
}

/* White space of the patterns with \s*[\r\n]+|\s+(?!\S)|\s+; `own` are line ends that belong to other pieces. */
ALWAYS uint64_t blank_starts(const enum ax_cut_kind kind, const struct masks *m, uint64_t own, unsigned end)
{
	uint64_t s = m->s & ~own, blank = s & ~m->line, line = s & m->line;
	uint64_t last = blank & ~(m->s >> 1) & below(end - 1);

	if (kind == AX_CUT_DSV3) /* before a number the text ends, as far as this pattern sees */
		last &= ~(m->n >> 1);
	return (s & ~(s << 1)) | last | not_before_line(blank & line << 1, blank, line);
}

/* Contractions begin pieces: what is behind them does too. */
ALWAYS uint64_t cut_contractions(const enum ax_cut_kind kind, const unsigned char *q, uint64_t b, uint64_t quotes, uint64_t l,
				 unsigned end, unsigned *stop)
{
	for (; quotes; quotes &= quotes - 1) {
		unsigned k = low_bit(quotes), len = contraction(q + k, !is_gpt2(kind));

		if (is_gpt2(kind) && k + 3 > end && k < *stop)
			*stop = k;
		if (!len)
			continue;
		if (is_gpt2(kind)) /* without one the letters begin a piece */
			b &= ~(UINT64_C(2) << k);
		if (k + len < 64)
			b |= l & UINT64_C(1) << (k + len);
	}
	return b;
}

/* Contractions that end a word, unless their quote begins one itself, behind another. */
ALWAYS uint64_t cut_suffixes(const unsigned char *q, uint64_t b, uint64_t quotes, unsigned end, unsigned *stop)
{
	unsigned behind = 0;

	for (; quotes; quotes &= quotes - 1) {
		unsigned k = low_bit(quotes), len;

		if (k == behind)
			continue;
		if (k + 3 > end) {
			if (k - 1 < *stop)
				*stop = k - 1;
			break;
		}
		len = contraction(q + k, true);
		if (!len)
			continue;
		behind = k + len;
		b &= ~(below(behind) & ~below(k));
		if (behind < 64)
			b |= UINT64_C(1) << behind;
	}
	return b;
}

/* Bits where pieces begin; those up to *stop are certain. */
ALWAYS uint64_t starts(const enum ax_cut_kind kind, const unsigned char *q, struct masks m, unsigned end, unsigned *stop)
{
	const bool cased = kind == AX_CUT_O200K || kind == AX_CUT_TEKKEN;
	uint64_t valid = below(end), other = valid & ~(m.l | m.n | m.s), free_other, own, b;
	uint64_t first_l, gap, taken;

	m.l &= valid;
	m.n &= valid;
	m.s &= valid;
	first_l = m.l & ~(m.l << 1);
	free_other = other & ~(other << 1) & ~(m.space << 1);
	taken = (free_other & m.three) << 3 | (free_other & ~m.three) << 1; /* where the first character of others ends */
	gap = ~m.s & valid;
	*stop = end - 1;
	if (m.s >> (end - 1) & 1) /* white space goes on behind the window */
		*stop = gap ? 64 - (unsigned)__builtin_clzll(gap) : 0;
	if (is_gpt2(kind)) {
		uint64_t last = m.s & ~(m.s >> 1) & below(end - 1);

		if (kind == AX_CUT_DIGITS) /* before a number the text ends */
			b = (first_l & ~(m.space << 1)) | m.n | (last & ~(m.n >> 1));
		else
			b = ((first_l | (m.n & ~(m.n << 1))) & ~(m.space << 1)) | last;
		b |= free_other | (m.s & ~(m.s << 1));
		return cut_contractions(kind, q, b, m.quote & free_other & m.l >> 1, m.l, end, stop);
	}
	own = m.line & other << 1;
	own = m.line & valid & ~((m.line & valid) + own);
	b = (first_l & ~((m.s & ~m.line) << 1) & ~taken) | free_other;
	b |= kind == AX_CUT_QWEN2 || kind == AX_CUT_QWEN35 || kind == AX_CUT_TEKKEN ? m.n : triples(m.n);
	b |= blank_starts(kind, &m, own, end);
	if (cased) {
		uint64_t slash = m.slash & own << 1; /* belongs to the line ends before it */

		b |= m.l & m.upper & (m.l & ~m.upper) << 1;
		if (slash && low_bit(slash) <= *stop)
			*stop = low_bit(slash) - 1;
	}
	if (kind == AX_CUT_O200K)
		b = cut_suffixes(q, b, m.quote & valid & m.l << 1, end, stop);
	else if (!cased && kind != AX_CUT_DSV3)
		b = cut_contractions(kind, q, b, m.quote & free_other & m.l >> 1, m.l, end, stop);
	return b;
}

/* Write i + k for each bit k. */
ALWAYS void put_bits(uint64_t b, size_t i, uint32_t *at)
{
#if defined(__AVX512VBMI2__)
	__m512i iota = _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42,
				       41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20,
				       19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	__m512i x = _mm512_maskz_compress_epi8(b, iota), base = _mm512_set1_epi32((int)(uint32_t)i);
	int n = __builtin_popcountll(b);

	_mm512_storeu_si512(at, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_castsi512_si128(x)), base));
	if (n > 16)
		_mm512_storeu_si512(at + 16, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(x, 1)), base));
	if (n > 32) {
		_mm512_storeu_si512(at + 32, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(x, 2)), base));
		_mm512_storeu_si512(at + 48, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(x, 3)), base));
	}
#else
	for (size_t k = 0; b; b &= b - 1)
		at[k++] = (uint32_t)(i + low_bit(b));
#endif
}

#define TAIL 80 /* bytes that a window may read */

/* Does a window certainly end before this byte? */
ALWAYS bool foreign(const enum ax_cut_kind kind, unsigned char c)
{
	if (!is_gpt2(kind) && kind != AX_CUT_LLAMA3 && kind != AX_CUT_QWEN2)
		return c >= 0x80;
	return c >= 0x80 && c != 0xC3 && c != 0xC4 && c != 0xD0 && c != 0xD1 && (c < 0xE2 || c > 0xEF || c == 0xEE);
}

ALWAYS size_t cut(const enum ax_cut_kind kind, struct ax_cutter *c, uint32_t *at, size_t max)
{
	size_t k = 0, i = c->i;

	while (k < max && i < c->n) {
		const unsigned char *q = c->p + i;
		unsigned char tail[TAIL];
		unsigned end = 64, stop, last;
		struct masks m;
		uint64_t b;

		if (c->n - i < TAIL) {
			memset(tail, 0, sizeof(tail));
			memcpy(tail, q, c->n - i);
			q = tail;
			end = c->n - i < 64 ? (unsigned)(c->n - i) : 64;
		}
		m = classify(q);
		if (kind == AX_CUT_DSV3)
			m.high |= m.control;
		if (m.high & below(end)) {
			if (is_gpt2(kind) || kind == AX_CUT_LLAMA3 || kind == AX_CUT_QWEN2)
				classify_more(q, &m);
			if (m.high & below(end))
				end = low_bit(m.high);
		}
		if (end > 1) {
			b = starts(kind, q, m, end, &stop) & below(stop + 1);
			last = b ? 63 - (unsigned)__builtin_clzll(b) : 0;
			if (last) {
				b = (b | 1) & below(last);
				put_bits(b, i, at + k);
				k += (size_t)__builtin_popcountll(b);
				i += last;
				continue;
			}
		}
		do {
			at[k++] = (uint32_t)i;
			i = ax_cut_step(c, i);
		} while (k < max && i < c->n && (foreign(kind, c->p[i]) || (i + 1 < c->n && foreign(kind, c->p[i + 1]))));
	}
	c->i = i;
	at[k] = (uint32_t)i;
	return k;
}

#define CUT(kind)                                                                                                      \
	static size_t cut_##kind(struct ax_cutter *c, uint32_t *at, size_t max)                                        \
	{                                                                                                              \
		return cut(AX_CUT_##kind, c, at, max);                                                                 \
	}
CUT(GPT2)
CUT(DIGITS)
CUT(LLAMA3)
CUT(QWEN2)
CUT(O200K)
CUT(TEKKEN)
CUT(DSV3)

/* Of marks ASCII has none: QWEN35 is QWEN2 there. */
const ax_cut_fn TABLE[AX_CUT_KINDS] = {
	[AX_CUT_GPT2] = cut_GPT2,   [AX_CUT_LLAMA3] = cut_LLAMA3, [AX_CUT_QWEN2] = cut_QWEN2, [AX_CUT_QWEN35] = cut_QWEN2,
	[AX_CUT_O200K] = cut_O200K, [AX_CUT_TEKKEN] = cut_TEKKEN, [AX_CUT_DSV3] = cut_DSV3, [AX_CUT_DIGITS] = cut_DIGITS,
};
