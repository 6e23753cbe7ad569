/* html.unescape of Python. */
#include "text/jinja_entity.h"

#include <string.h>

#define NAME_MAX_CHARS 32

static int by_bytes(const struct axj_entity *e, const char *p, size_t n)
{
	size_t len = strlen(e->name);
	int c = memcmp(e->name, p, len < n ? len : n);

	return c ? c : (len > n) - (len < n);
}

/* The text that a name stands for; NULL if there is none. */
static const char *lookup(const char *p, size_t n)
{
	size_t lo = 0, hi = axj_entities_n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = by_bytes(&axj_entities[mid], p, n);

		if (c == 0)
			return axj_entities[mid].text;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* What browsers make of numbers that are Windows' characters; 0: nothing special. */
static uint32_t windows(uint32_t c)
{
	static const uint16_t from_80[32] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
					     0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
					     0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};

	return c == 0 ? 0xfffd : c == 0x0d ? 0x0d : c >= 0x80 && c < 0xa0 ? from_80[c - 0x80] : 0;
}

static bool is_dropped(uint32_t c)
{
	return (c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || (c >= 0x7f && c <= 0x9f) || (c >= 0xfdd0 && c <= 0xfdef) ||
	       (c & 0xfffe) == 0xfffe;
}

static int put_number(struct axj *r, uint32_t c)
{
	uint32_t special = windows(c);
	char t[4];

	if (special)
		c = special;
	else if ((c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		c = 0xfffd;
	else if (is_dropped(c))
		return 0;
	return axj_put(r, t, axj_put_char(c, t));
}

static int digit(char c, bool hex)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return hex && (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* "#123;" at p; *used stays 0 if it is none. */
static int numeric(struct axj *r, const char *p, size_t n, size_t *used)
{
	bool hex = n > 1 && (p[1] == 'x' || p[1] == 'X');
	size_t i = hex ? 2 : 1, from = i;
	uint32_t c = 0;

	for (; i < n && digit(p[i], hex) >= 0; i++)
		c = c > 0x10ffff ? c : c * (hex ? 16 : 10) + (uint32_t)digit(p[i], hex);
	if (i == from)
		return 0;
	*used = i + (i < n && p[i] == ';');
	return put_number(r, c);
}

/* A name at p, the longest that is known; *used stays 0 if none is. */
static int named(struct axj *r, const char *p, size_t n, size_t *used)
{
	size_t end = 0, len, whole;
	const char *text;

	for (int i = 0; i < NAME_MAX_CHARS && end < n && p[end] && !strchr("\t\n\f <&#;", p[end]); i++) {
		axj_get_char(p + end, n - end, &len);
		end += len;
	}
	if (end == 0)
		return 0;
	end += end < n && p[end] == ';';
	for (whole = end; end > 1; end--) {
		text = lookup(p, end);
		if (text) {
			*used = whole;
			AX_TRY(axj_putz(r, text));
			return axj_put(r, p + end, whole - end);
		}
	}
	return 0;
}

int axj_put_unescaped(struct axj *r, const char *p, size_t n)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		size_t used = 0;

		if (p[i] != '&')
			continue;
		AX_TRY(axj_put(r, p + from, i - from));
		from = i;
		if (i + 1 < n && p[i + 1] == '#')
			AX_TRY(numeric(r, p + i + 1, n - i - 1, &used));
		else
			AX_TRY(named(r, p + i + 1, n - i - 1, &used));
		if (used) {
			from = i + 1 + used;
			i += used;
		}
	}
	return axj_put(r, p + from, n - from);
}
