#include "text/byteset.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

void ax_byteset_add(struct ax_byteset *s, unsigned char c)
{
	s->bit[c >> 6] |= UINT64_C(1) << (c & 63);
	s->low[c >> 7][c & 15] |= (unsigned char)(1 << (c >> 4 & 7));
}

size_t ax_byteset_find_scalar(const struct ax_byteset *s, const unsigned char *p, size_t i, size_t n)
{
	while (i < n && !ax_byteset_has(s, p[i]))
		i++;
	return i;
}

#if defined(__x86_64__)
#define STEP 32

/* A shuffle takes a byte's low half for its index and gives 0 where the highest bit is set. */
__attribute__((target("avx2"))) static size_t find_avx2(const struct ax_byteset *s, const unsigned char *p, size_t i, size_t n)
{
	const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)s->low[0]));
	const __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)s->low[1]));
	const __m256i bits = _mm256_set1_epi64x((int64_t)UINT64_C(0x8040201008040201)), half = _mm256_set1_epi8(15);
	const __m256i top = _mm256_set1_epi8((char)0x80);

	for (; i + STEP <= n; i += STEP) {
		__m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
		__m256i in = _mm256_or_si256(_mm256_shuffle_epi8(low, x), _mm256_shuffle_epi8(high, _mm256_xor_si256(x, top)));
		__m256i bit = _mm256_shuffle_epi8(bits, _mm256_and_si256(_mm256_srli_epi16(x, 4), half));
		unsigned found = (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_and_si256(in, bit), bit));

		if (found)
			return i + (unsigned)__builtin_ctz(found);
	}
	return ax_byteset_find_scalar(s, p, i, n);
}

size_t ax_byteset_find(const struct ax_byteset *s, const unsigned char *p, size_t i, size_t n)
{
	if (n < STEP || i > n - STEP || !__builtin_cpu_supports("avx2"))
		return ax_byteset_find_scalar(s, p, i, n);
	return find_avx2(s, p, i, n);
}
#else
size_t ax_byteset_find(const struct ax_byteset *s, const unsigned char *p, size_t i, size_t n)
{
	return ax_byteset_find_scalar(s, p, i, n);
}
#endif
