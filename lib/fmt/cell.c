#include "fmt/cell.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "text/json.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define LIMBS 8 /* of 32 bits: a decimal of 256 */
#define PIECE ((size_t)2048)

bool ax_cell_named(const char *const *list, const char *name, size_t n)
{
	for (; *list; list++)
		if (strlen(*list) == n && (n == 0 || !memcmp(*list, name, n)))
			return true;
	return false;
}

void ax_cell_u64(struct ax_buf *b, uint64_t v)
{
	char digits[24];
	size_t n = sizeof(digits);

	do
		digits[--n] = (char)('0' + v % 10);
	while (v /= 10);
	ax_buf_add(b, digits + n, sizeof(digits) - n);
}

void ax_cell_i64(struct ax_buf *b, int64_t v)
{
	if (v < 0)
		ax_buf_addc(b, '-');
	ax_cell_u64(b, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void ax_cell_f64(struct ax_buf *b, double v)
{
	if (isnan(v))
		ax_buf_adds(b, "NaN");
	else if (isinf(v))
		ax_buf_adds(b, v < 0 ? "-Infinity" : "Infinity");
	else if (v == floor(v) && fabs(v) < 1e15 && !(v == 0 && signbit(v))) {
		ax_cell_i64(b, (int64_t)v);
		ax_buf_add(b, ".0", 2);
	} else {
		char s[40];
		int n = snprintf(s, sizeof(s), "%.17g", v);

		ax_buf_add(b, s, (size_t)n);
		if (!strpbrk(s, ".e"))
			ax_buf_add(b, ".0", 2);
	}
}

double ax_cell_half(uint16_t h)
{
	int exp = h >> 10 & 31, frac = h & 1023;
	double v = exp == 31 ? (frac ? NAN : INFINITY) : exp ? ldexp(1024 + frac, exp - 25) : ldexp(frac, -24);

	return h & 0x8000 ? -v : v;
}

/* What follows the backslash; 'u' for those that have no letter, 0 for what stands as it is. */
static inline char escape(unsigned char c)
{
	if (c < 0x20)
		return "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu"[c];
	return c == '"' || c == '\\' ? (char)c : 0;
}

/* n <= PIECE bytes of a string to o, which has room for six times as many and 16 more; returns the end. */
static char *put_piece(char *o, const unsigned char *p, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *end = p + n;
#if defined(__SSE2__)
	const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), low = _mm_set1_epi8(0x1f);
#endif

	for (; p < end; p++) {
#if defined(__SSE2__)
		while (end - p >= 16) { /* copied with what must be escaped, and only passed up to there */
			__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
			__m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
						   _mm_cmpeq_epi8(_mm_min_epu8(v, low), v));
			int mask = _mm_movemask_epi8(hit), k = mask ? __builtin_ctz((unsigned)mask) : 16;

			_mm_storeu_si128((__m128i *)(void *)o, v);
			o += k;
			p += k;
			if (mask)
				break;
		}
		if (p == end)
			break;
#endif
		if (!escape(*p)) {
			*o++ = (char)*p;
			continue;
		}
		*o++ = '\\';
		*o++ = escape(*p);
		if (escape(*p) == 'u') {
			memcpy(o, "00", 2);
			o[2] = hex[*p >> 4];
			o[3] = hex[*p & 15];
			o += 4;
		}
	}
	return o;
}

void ax_cell_str(struct ax_buf *b, const void *s, size_t n)
{
	const unsigned char *p = s;

	ax_buf_addc(b, '"');
	for (size_t step; n; p += step, n -= step) {
		step = n < PIECE ? n : PIECE;
		ax_buf_reserve(b, 6 * step + 16);
		if (b->oom)
			return;
		b->n = (size_t)(put_piece(b->p + b->n, p, step) - b->p);
	}
	ax_buf_addc(b, '"');
}

void ax_cell_uuid(struct ax_buf *b, const unsigned char *p)
{
	ax_buf_addc(b, '"');
	for (int i = 0; i < 16; i++)
		ax_buf_addf(b, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", p[i]);
	ax_buf_addc(b, '"');
}

/* Two's complement bytes as a magnitude; returns whether it was negative. */
static bool magnitude(uint32_t limb[LIMBS], const unsigned char *p, size_t n, bool big)
{
	bool negative = n && (big ? p[0] : p[n - 1]) & 0x80;
	uint64_t carry = 1;

	for (size_t i = 0; i < LIMBS * 4; i++) {
		uint32_t byte = i < n ? (big ? p[n - 1 - i] : p[i]) : negative ? 0xff : 0;

		if (i % 4 == 0)
			limb[i / 4] = 0;
		limb[i / 4] |= byte << 8 * (i % 4);
	}
	for (int i = 0; negative && i < LIMBS; i++) {
		carry += (uint32_t)~limb[i];
		limb[i] = (uint32_t)carry;
		carry >>= 32;
	}
	return negative;
}

/* limb /= 10; returns the remainder. */
static uint32_t div10(uint32_t limb[LIMBS], bool *zero)
{
	uint64_t rest = 0;

	*zero = true;
	for (int i = LIMBS - 1; i >= 0; i--) {
		rest = rest << 32 | limb[i];
		limb[i] = (uint32_t)(rest / 10);
		rest %= 10;
		*zero &= limb[i] == 0;
	}
	return (uint32_t)rest;
}

bool ax_cell_decimal(struct ax_buf *b, const unsigned char *p, size_t n, bool big, int scale)
{
	char digit[LIMBS * 10];
	uint32_t limb[LIMBS];
	int n_digit = 0;
	bool zero = false;

	if (n > LIMBS * 4 || scale < -1000 || scale > 1000)
		return false;
	ax_buf_adds(b, magnitude(limb, p, n, big) ? "\"-" : "\"");
	while (!zero)
		digit[n_digit++] = (char)('0' + div10(limb, &zero));
	for (int at = n_digit > scale ? n_digit - 1 : scale; at >= 0; at--) {
		if (at == scale - 1)
			ax_buf_addc(b, '.');
		ax_buf_addc(b, at >= 0 && at < n_digit ? digit[at] : '0');
	}
	for (int i = scale; i < 0 && !(n_digit == 1 && digit[0] == '0'); i++)
		ax_buf_addc(b, '0');
	ax_buf_addc(b, '"');
	return true;
}

/* --- times --- */

static const int64_t per_second[] = {1, 1000, 1000000, 1000000000};

/* v / d and v % d, rounded down. */
static int64_t floor_div(int64_t v, int64_t d, int64_t *rest)
{
	int64_t q = v / d;

	*rest = v % d;
	if (*rest < 0) {
		*rest += d;
		q--;
	}
	return q;
}

/* The proleptic Gregorian date of a day, by eras of 400 years that begin on 1 March. */
static void put_date(struct ax_buf *b, int64_t days)
{
	int64_t rest, era = floor_div(days, 146097, &rest), year, day, month;

	rest += 719468 % 146097;
	era += 719468 / 146097 + rest / 146097;
	rest %= 146097;
	year = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
	day = rest - (365 * year + year / 4 - year / 100);
	month = (5 * day + 2) / 153;
	day -= (153 * month + 2) / 5;
	year += era * 400 + (month >= 10);
	ax_buf_addf(b, "%04lld-%02d-%02d", (long long)year, (int)(month < 10 ? month + 3 : month - 9), (int)day + 1);
}

/* "HH:MM:SS" and the fraction, of units in the day: microseconds to six digits, nanoseconds to nine if they are needed. */
static void put_time(struct ax_buf *b, int64_t second, int64_t fraction, enum ax_unit unit, bool pad)
{
	ax_buf_addf(b, pad ? "%02d:%02d:%02d" : "%d:%02d:%02d", (int)(second / 3600), (int)(second / 60 % 60),
		    (int)(second % 60));
	if (fraction && unit == AX_UNIT_NS && fraction % 1000)
		ax_buf_addf(b, ".%09d", (int)fraction);
	else if (fraction)
		ax_buf_addf(b, ".%06d", (int)(fraction * 1000000 / per_second[unit]));
}

void ax_cell_date(struct ax_buf *b, int64_t days)
{
	ax_buf_addc(b, '"');
	put_date(b, days);
	ax_buf_addc(b, '"');
}

void ax_cell_timestamp(struct ax_buf *b, int64_t v, enum ax_unit unit, bool utc)
{
	int64_t fraction, second, t = floor_div(v, per_second[unit], &fraction), day = floor_div(t, 86400, &second);

	ax_buf_addc(b, '"');
	put_date(b, day);
	ax_buf_addc(b, ' ');
	put_time(b, second, fraction, unit, true);
	ax_buf_adds(b, utc ? "+00:00\"" : "\"");
}

void ax_cell_time(struct ax_buf *b, int64_t v, enum ax_unit unit)
{
	int64_t fraction, second = floor_div(v, per_second[unit], &fraction), in_day;

	floor_div(second, 86400, &in_day);
	ax_buf_addc(b, '"');
	put_time(b, in_day, fraction, unit, true);
	ax_buf_addc(b, '"');
}

void ax_cell_duration(struct ax_buf *b, int64_t v, enum ax_unit unit)
{
	int64_t fraction, second, t = floor_div(v, per_second[unit], &fraction), day = floor_div(t, 86400, &second);

	ax_buf_addc(b, '"');
	if (day)
		ax_buf_addf(b, "%lld day%s, ", (long long)day, day == 1 || day == -1 ? "" : "s");
	put_time(b, second, fraction, unit, false);
	ax_buf_addc(b, '"');
}

bool ax_cell_json(struct ax_buf *b, const void *p, size_t n)
{
	struct ax_arena a;
	struct ax_val *v;
	bool good;

	ax_arena_init(&a, 0);
	good = !ax_json_parse(&a, p, n, &v, NULL);
	if (good)
		ax_buf_add(b, p, n);
	ax_arena_release(&a);
	return good;
}
