/* Strings of JSON, and errors. */
#include "text/json_impl.h"

#include <string.h>

#include "text/unicode.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Column in characters: continuation bytes do not count. */
static size_t column(const struct ax_json_reader *r, const char *at)
{
	size_t col = 1;

	for (const char *p = r->line_begin; p < at; p++)
		col += ((unsigned char)*p & 0xc0) != 0x80;
	return col;
}

int ax_json_fail(struct ax_json_reader *r, const char *at, const char *what)
{
	return ax_fail(r->e, AX_EDATA, "line %u, column %zu: %s", r->line, column(r, at), what);
}

int ax_json_no_memory(struct ax_json_reader *r)
{
	return ax_fail(r->e, AX_EMEM, "out of memory while reading JSON");
}

/*
 * Bytes beyond ASCII at p, inside a string: past them if they are UTF-8, else an error. Nothing stops at such bytes any
 * more once all the rest was found to be UTF-8.
 */
static int high(struct ax_json_reader *r, const char **p)
{
	size_t left = (size_t)(r->end - *p), n = 0;

	if (r->utf8 == AX_JSON_UNKNOWN) {
		r->utf8 = ax_utf8_check(*p, left) == left ? AX_JSON_VALID : AX_JSON_INVALID;
		if (r->utf8 == AX_JSON_VALID)
			return 0;
	}
	while (n < left && (unsigned char)(*p)[n] >= 0x80)
		n++;
	left = ax_utf8_check(*p, n);
	*p += left;
	return left == n ? 0 : ax_json_fail(r, *p, "invalid UTF-8");
}

static int hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

static char *put_utf8(char *o, uint32_t c)
{
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 0x3f));
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	}
	return o;
}

/* "\uXXXX" at *p (on the backslash), with its second half for a pair. */
static int unicode_escape(struct ax_json_reader *r, const char **p, char **o)
{
	const char *q = *p;
	int hi = hex4(q + 2, r->end), lo;
	uint32_t c;

	if (hi < 0)
		return ax_json_fail(r, q, "\\u needs four hex digits");
	c = (uint32_t)hi;
	q += 6;
	if (c >= 0xd800 && c < 0xe000) {
		lo = r->end - q >= 6 && q[0] == '\\' && q[1] == 'u' ? hex4(q + 2, r->end) : -1;
		if (c >= 0xdc00 || lo < 0xdc00 || lo >= 0xe000)
			return ax_json_fail(r, *p, "lone surrogate escape");
		c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)lo - 0xdc00);
		q += 6;
	}
	*o = put_utf8(*o, c);
	*p = q;
	return 0;
}

/* A backslash at *p that is no two-character escape, or such an escape at the end of the text. */
static int escape(struct ax_json_reader *r, const char **p, char **o)
{
	if (r->end - *p < 2)
		return ax_json_fail(r, r->p, "unterminated string");
	return (*p)[1] == 'u' ? unicode_escape(r, p, o) : ax_json_fail(r, *p, "invalid escape");
}

/* Bytes of the string between r->p (after its quote) and its closing quote: an upper bound for the decoded text. */
static int raw_length(struct ax_json_reader *r, size_t *n)
{
	const char *p = r->p + 1, *q = p;

	for (;;) {
		q = memchr(q, '"', (size_t)(r->end - q));
		if (!q)
			return ax_json_fail(r, r->p, "unterminated string");
		/* A quote is escaped if an odd number of backslashes precedes it. */
		const char *b = q;
		while (b > p && b[-1] == '\\')
			b--;
		if (((q - b) & 1) == 0)
			break;
		q++;
	}
	*n = (size_t)(q - p);
	return 0;
}

/* What the string's plain part ends with, if not with its closing quote or a backslash. */
static int not_plain(struct ax_json_reader *r, const char **p)
{
	if (*p == r->end)
		return ax_json_fail(r, r->p, "unterminated string");
	if ((unsigned char)**p < 0x20)
		return ax_json_fail(r, *p, "control character in a string");
	return high(r, p);
}

/* Decode from *p to the closing quote, where *p stands afterwards. */
static int decode(struct ax_json_reader *r, const char **p, char **o)
{
	for (;;) {
		r->scan->copy(p, r->end, o, r->utf8 != AX_JSON_VALID);
		if (*p < r->end && **p == '"')
			return 0;
		if (*p < r->end && **p == '\\') {
			AX_TRY(escape(r, p, o));
		} else {
			const char *from = *p;

			AX_TRY(not_plain(r, p));
			memcpy(*o, from, (size_t)(*p - from));
			*o += *p - from;
		}
	}
}

/* A string whose first backslash is at p. */
static int decoded(struct ax_json_reader *r, const char *p, const char **s, size_t *n)
{
	const char *from = r->p + 1;
	size_t max = (size_t)(r->end - from), size;
	char *buf, *o;

	if (max >= ax_arena_room(r->a) || max + AX_JSON_SLACK > ax_arena_room(r->a))
		AX_TRY(raw_length(r, &max)); /* else all the rest of the text has room */
	size = max + AX_JSON_SLACK;
	buf = ax_arena_alloc(r->a, size);
	if (!buf)
		return ax_json_no_memory(r);
	memcpy(buf, from, (size_t)(p - from));
	o = buf + (p - from);
	if (decode(r, &p, &o)) {
		raw_length(r, &max); /* a string that does not end is an error before others */
		return AX_EDATA;
	}
	*o = '\0';
	*s = buf;
	*n = (size_t)(o - buf);
	ax_arena_trim(r->a, size, *n + 1);
	r->p = p + 1;
	return 0;
}

/* A copy of a key, the same as lately if it can be. */
static const char *keep_key(struct ax_json_reader *r, const char *p, size_t n)
{
	size_t at = (n + (n ? (unsigned char)p[n / 2] : 0)) % AX_JSON_KEYS;

	if (!r->key[at].s || r->key[at].n != n || memcmp(r->key[at].s, p, n) != 0) {
		r->key[at].s = ax_arena_strndup(r->a, p, n);
		r->key[at].n = n;
	}
	return r->key[at].s;
}

/* The first bytes of a string, most of which are short. */
static inline const char *skip_first(const char *p, const char *end)
{
#if defined(__SSE2__)
	if (end - p >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		/* Signed: bytes from 0x80 up are negative, so one comparison finds them and the controls. */
		__m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))),
					   _mm_cmplt_epi8(v, _mm_set1_epi8(0x20)));
		int mask = _mm_movemask_epi8(hit);

		return p + (mask ? __builtin_ctz((unsigned)mask) : 16);
	}
#endif
	return p;
}

int ax_json_str(struct ax_json_reader *r, bool key, const char **s, size_t *n)
{
	const char *from = r->p + 1, *p = skip_first(from, r->end);

	while (p == r->end || *p != '"') {
		p = r->scan->plain(p, r->end, r->utf8 != AX_JSON_VALID);
		if (p < r->end && *p == '\\')
			return decoded(r, p, s, n);
		if (p == r->end || *p != '"')
			AX_TRY(not_plain(r, &p));
	}
	*n = (size_t)(p - from);
	*s = key ? keep_key(r, from, *n) : from;
	r->p = p + 1;
	return *s ? 0 : ax_json_no_memory(r);
}
