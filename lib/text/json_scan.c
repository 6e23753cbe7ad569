/* The inside of JSON strings, many bytes at a time. */
#include "text/json_impl.h"

/* What a two-character escape stands for by its second character; 0: it is none. */
static const char escaped[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};

static inline bool is_plain(unsigned char c, bool high)
{
	return c >= 0x20 && c != '"' && c != '\\' && (c < 0x80 || !high);
}

static const char *plain_scalar(const char *p, const char *end, bool high)
{
	while (p < end && is_plain((unsigned char)*p, high))
		p++;
	return p;
}

/* Is there a two-character escape at *p? Then it is taken. */
static inline bool take_escape(const char **p, const char *end, char **o)
{
	char c;

	if (end - *p < 2 || **p != '\\')
		return false;
	c = escaped[(unsigned char)(*p)[1]];
	if (!c)
		return false;
	*(*o)++ = c;
	*p += 2;
	return true;
}

static void copy_scalar(const char **p, const char *end, char **o, bool high)
{
	do {
		while (*p < end && is_plain((unsigned char)**p, high))
			*(*o)++ = *(*p)++;
	} while (take_escape(p, end, o));
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/*
 * Both loops for vectors of STEP bytes: hits() says as bits which bytes of one are not plain. copy() takes the escapes of a
 * vector from these bits and never waits for a look at what is behind one. What is left at the end of the text is for
 * the narrower loops.
 */
#define LOOPS(name, target, STEP, load, store, hits, narrower)                                                         \
	target static const char *plain_##name(const char *p, const char *end, bool high)                               \
	{                                                                                                              \
		for (; end - p >= STEP; p += STEP) {                                                                   \
			uint64_t m = hits(load((const void *)p), high);                                                \
                                                                                                                       \
			if (m)                                                                                         \
				return p + __builtin_ctzll(m);                                                         \
		}                                                                                                      \
		return plain_##narrower(p, end, high);                                                                  \
	}                                                                                                              \
                                                                                                                       \
	target static void copy_##name(const char **at, const char *end, char **to, bool high)                         \
	{                                                                                                              \
		const char *p = *at, *from = p; /* [from, p) is to be copied */                                        \
		char *o = *to;                                                                                         \
                                                                                                                       \
		for (; end - p >= 2 * STEP; p += STEP) {                                                               \
			uint64_t m = hits(load((const void *)p), high);                                                \
                                                                                                                       \
			for (from = from > p ? from : p; m; m &= m - 1) {                                              \
				const char *q = p + __builtin_ctzll(m);                                                \
				char c = escaped[(unsigned char)q[1]];                                                 \
                                                                                                                       \
				if (q < from) /* the second character of an escape */                                  \
					continue;                                                                      \
				store((void *)o, load((const void *)from));                                            \
				o += q - from;                                                                         \
				if (*q != '\\' || !c) {                                                                \
					*at = q;                                                                       \
					*to = o;                                                                       \
					return;                                                                        \
				}                                                                                      \
				*o++ = c;                                                                              \
				from = q + 2;                                                                          \
			}                                                                                              \
			if (from < p + STEP) {                                                                         \
				store((void *)o, load((const void *)from));                                            \
				o += p + STEP - from;                                                                  \
			}                                                                                              \
		}                                                                                                      \
		*at = from > p ? from : p;                                                                             \
		*to = o;                                                                                               \
		copy_##narrower(at, end, to, high);                                                                    \
	}

#define LOAD128(p)     _mm_loadu_si128(p)
#define LOAD256(p)     _mm256_loadu_si256(p)
#define LOAD512(p)     _mm512_loadu_si512(p)
#define STORE128(p, v) _mm_storeu_si128(p, v)
#define STORE256(p, v) _mm256_storeu_si256(p, v)
#define STORE512(p, v) _mm512_storeu_si512(p, v)
#define AVX2   __attribute__((target("avx2,bmi")))
#define AVX512 __attribute__((target("avx512f,avx512bw,bmi")))

static inline uint64_t hits_base(__m128i v, bool high)
{
	__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
	__m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))), low);

	return (unsigned)_mm_movemask_epi8(hit) | (high ? (unsigned)_mm_movemask_epi8(v) : 0);
}

AVX2 static inline uint64_t hits_avx2(__m256i v, bool high)
{
	__m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
	__m256i hit = _mm256_or_si256(
	    _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('"')), _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\'))), low);

	return (unsigned)_mm256_movemask_epi8(hit) | (high ? (unsigned)_mm256_movemask_epi8(v) : 0);
}

AVX512 static inline uint64_t hits_avx512(__m512i v, bool high)
{
	return _mm512_cmplt_epu8_mask(v, _mm512_set1_epi8(0x20)) | _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"')) |
	       _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\')) | (high ? _mm512_movepi8_mask(v) : 0);
}

LOOPS(base, , 16, LOAD128, STORE128, hits_base, scalar)
LOOPS(avx2, AVX2, 32, LOAD256, STORE256, hits_avx2, base)
LOOPS(avx512, AVX512, 64, LOAD512, STORE512, hits_avx512, base)

/* Of the backslashes those that begin an escape, where the byte before the vector is none of them. */
static inline uint64_t begins(uint64_t slash)
{
	uint64_t begin = slash, next;

	for (uint64_t m = slash & slash << 1; m; m = begin & begin << 1) { /* the second of two side by side, from the left */
		next = m & -m;
		begin &= ~next;
	}
	return begin;
}

#define VBMI2 __attribute__((target("avx512f,avx512bw,avx512vbmi,avx512vbmi2,bmi,popcnt")))

/* All escapes of a vector at once: the second characters are mapped, and the backslashes squeezed out. */
VBMI2 static void copy_vbmi2(const char **at, const char *end, char **to, bool high)
{
	const __m512i low = _mm512_loadu_si512(escaped), most = _mm512_loadu_si512(escaped + 64);
	const char *p = *at;
	char *o = *to;

	while (end - p >= 128) {
		__m512i v = _mm512_loadu_si512((const void *)p), mapped = _mm512_permutex2var_epi8(low, v, most);
		uint64_t slash = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\')), begin = begins(slash), second = begin << 1;
		uint64_t bad = second & (_mm512_testn_epi8_mask(mapped, mapped) | _mm512_movepi8_mask(v));
		uint64_t stop = (hits_avx512(v, high) & ~slash & ~second) | bad >> 1, keep = ~begin;
		unsigned n = 64 - (unsigned)(begin >> 63); /* an escape that the vector cuts is the next one's */

		if (stop) {
			n = (unsigned)__builtin_ctzll(stop);
			keep &= ((uint64_t)1 << n) - 1;
		}
		v = _mm512_mask_mov_epi8(v, second, mapped);
		_mm512_storeu_si512((void *)o, _mm512_maskz_compress_epi8(keep, v));
		o += __builtin_popcountll(keep);
		p += n;
		if (stop) {
			*at = p;
			*to = o;
			return;
		}
	}
	*at = p;
	*to = o;
	copy_avx512(at, end, to, high);
}
#endif

const struct ax_json_scan *ax_json_scan_of(enum ax_json_isa most)
{
	static const struct ax_json_scan scalar = {plain_scalar, copy_scalar};

#if defined(__x86_64__) && defined(__GNUC__)
	static const struct ax_json_scan base = {plain_base, copy_base}, avx2 = {plain_avx2, copy_avx2},
					 avx512 = {plain_avx512, copy_avx512}, vbmi2 = {plain_avx512, copy_vbmi2};

	if (most >= AX_JSON_VBMI2 && __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vbmi") &&
	    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi"))
		return &vbmi2;
	if (most >= AX_JSON_AVX512 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi"))
		return &avx512;
	if (most >= AX_JSON_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi"))
		return &avx2;
	if (most >= AX_JSON_BASE)
		return &base;
#endif
	return &scalar;
}
