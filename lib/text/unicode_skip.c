#include "text/unicode_skip.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdbool.h>

#define AVX2 __attribute__((target("avx2")))
#define STEP 32

AVX2 static inline __m256i load(const unsigned char *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2 static inline __m256i all(int x)
{
	return _mm256_set1_epi8((char)x);
}

/* Bytes lo <= x <= hi. */
AVX2 static inline __m256i in(__m256i x, int lo, int hi)
{
	__m256i y = _mm256_sub_epi8(x, all(lo));

	return _mm256_cmpeq_epi8(_mm256_min_epu8(y, all(hi - lo)), y);
}

AVX2 static inline __m256i is(__m256i x, int c)
{
	return _mm256_cmpeq_epi8(x, all(c));
}

/*
 * What may be wrong with two bytes in a row, by the first one's halves and the second one's upper half: a fault is one that
 * all three know. (The method is Keiser's and Lemire's.)
 */
enum {
	SHORT = 1,	 /* a lead byte, then no continuation */
	LONG = 2,	 /* ASCII, then a continuation */
	OVER3 = 4, OVER2 = 32, OVER4 = 64, /* overlong */
	LARGE = 8,	 /* beyond U+10FFFF */
	HALF = 16,	 /* surrogates */
	LARGER = 64,	 /* F5 and on, with 8x behind */
	PAIR = 128,	 /* two continuations: right only inside characters of three bytes and more */
	ANY = SHORT | LONG | PAIR
};

#define TABLE(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)
#define X(v) (char)(v)

AVX2 static inline __m256i faults(__m256i first, __m256i second)
{
	const __m256i high = TABLE(LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG, X(PAIR), X(PAIR), X(PAIR), X(PAIR),
				   SHORT | OVER2, SHORT, SHORT | OVER3 | HALF, SHORT | LARGE | LARGER | OVER4);
	const __m256i low =
	    TABLE(X(ANY | OVER3 | OVER2 | OVER4), X(ANY | OVER2), X(ANY), X(ANY), X(ANY | LARGE), X(ANY | LARGE | LARGER),
		  X(ANY | LARGE | LARGER), X(ANY | LARGE | LARGER), X(ANY | LARGE | LARGER), X(ANY | LARGE | LARGER),
		  X(ANY | LARGE | LARGER), X(ANY | LARGE | LARGER), X(ANY | LARGE | LARGER),
		  X(ANY | LARGE | LARGER | HALF), X(ANY | LARGE | LARGER), X(ANY | LARGE | LARGER));
	const __m256i next = TABLE(SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT,
				   X(LONG | OVER2 | PAIR | OVER3 | LARGER | OVER4), X(LONG | OVER2 | PAIR | OVER3 | LARGE),
				   X(LONG | OVER2 | PAIR | HALF | LARGE), X(LONG | OVER2 | PAIR | HALF | LARGE), SHORT, SHORT,
				   SHORT, SHORT);
	const __m256i nibble = all(15);
	__m256i a = _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(first, 4), nibble));
	__m256i b = _mm256_shuffle_epi8(low, _mm256_and_si256(first, nibble));
	__m256i c = _mm256_shuffle_epi8(next, _mm256_and_si256(_mm256_srli_epi16(second, 4), nibble));

	return _mm256_and_si256(_mm256_and_si256(a, b), c);
}

/* The start of the character that byte i - 1 belongs to, or i where that is the character's last. */
static size_t whole(const unsigned char *p, size_t from, size_t i)
{
	size_t k = i;

	while (k > from && i - k < 3 && (p[k - 1] & 0xC0) == 0x80)
		k--;
	if (k == from || p[k - 1] < 0xC0)
		return i;
	return k - 1 + (p[k - 1] < 0xE0 ? 2u : p[k - 1] < 0xF0 ? 3u : 4u) == i ? i : k - 1;
}

/* The k bytes before each of x, behind `before`. */
#define BACK(x, before, k) _mm256_alignr_epi8(x, _mm256_permute2x128_si256(before, x, 0x21), 16 - (k))

AVX2 static size_t utf8_avx2(const unsigned char *p, size_t i, size_t n)
{
	__m256i before = _mm256_setzero_si256();

	for (; i + STEP <= n; i += STEP) {
		__m256i x = load(p + i), third, fourth, wrong;

		if (!_mm256_movemask_epi8(_mm256_or_si256(x, before))) {
			before = x;
			continue;
		}
		/* continuations that two or three bytes before ask for are the pairs that are right */
		third = _mm256_subs_epu8(BACK(x, before, 2), all(0xE0 - 0x80));
		fourth = _mm256_subs_epu8(BACK(x, before, 3), all(0xF0 - 0x80));
		wrong = _mm256_xor_si256(_mm256_and_si256(_mm256_or_si256(third, fourth), all(0x80)),
					 faults(BACK(x, before, 1), x));
		if (!_mm256_testz_si256(wrong, wrong))
			break;
		before = x;
	}
	return i;
}

/*
 * Bytes that begin no character which NFC may change, where next and behind are the two bytes after each: ASCII, U+0080 to
 * U+02FF, U+3000 to U+3029, kana but their voicing marks, U+2002 to U+203F, U+2180 to U+22FF, U+2500 to U+27FF, U+4000 to U+9FFF and from U+FF00 on; and all
 * that begin none.
 */
AVX2 static inline __m256i stable(__m256i x, __m256i next, __m256i behind)
{
	__m256i ok = in(x, 0x00, 0xCB), e2, e3, ef;

	e2 = _mm256_or_si256(_mm256_and_si256(is(next, 0x80), in(behind, 0x82, 0xBF)), _mm256_or_si256(in(next, 0x94, 0x9F), in(next, 0x86, 0x8B)));
	e3 = _mm256_or_si256(in(next, 0x83, 0xBF), _mm256_or_si256(is(next, 0x81), _mm256_and_si256(is(next, 0x82), in(behind, 0x9B, 0xBF))));
	e3 = _mm256_or_si256(e3, _mm256_and_si256(is(next, 0x82), in(behind, 0x80, 0x98)));
	e3 = _mm256_or_si256(e3, _mm256_and_si256(is(next, 0x80), in(behind, 0x80, 0xA9)));
	ef = in(next, 0xBC, 0xBF);
	ok = _mm256_or_si256(ok, in(x, 0xE4, 0xE9));
	ok = _mm256_or_si256(ok, _mm256_and_si256(is(x, 0xE2), e2));
	ok = _mm256_or_si256(ok, _mm256_and_si256(is(x, 0xE3), e3));
	return _mm256_or_si256(ok, _mm256_and_si256(is(x, 0xEF), ef));
}

AVX2 static size_t nfc_avx2(const unsigned char *p, size_t i, size_t n)
{
	for (; i + STEP + 2 <= n; i += STEP) {
		__m256i x = load(p + i);
		unsigned ok = ~0u;

		if (_mm256_movemask_epi8(x))
			ok = (unsigned)_mm256_movemask_epi8(stable(x, load(p + i + 1), load(p + i + 2)));
		if (ok != ~0u)
			return i + (unsigned)__builtin_ctz(~ok);
	}
	return i;
}

size_t ax_utf8_skip(const unsigned char *p, size_t i, size_t n)
{
	if (n - i < 2 * STEP || !__builtin_cpu_supports("avx2"))
		return i;
	return whole(p, i, utf8_avx2(p, i, n));
}

size_t ax_nfc_skip(const unsigned char *p, size_t i, size_t n)
{
	size_t r;

	if (n - i < 2 * STEP || !__builtin_cpu_supports("avx2"))
		return i;
	for (r = nfc_avx2(p, i, n); r > i && (p[r] & 0xC0) == 0x80; r--)
		;
	return r;
}
#else
size_t ax_utf8_skip(const unsigned char *p, size_t i, size_t n)
{
	return i;
}

size_t ax_nfc_skip(const unsigned char *p, size_t i, size_t n)
{
	return i;
}
#endif
