/* UTF-8 and NFC: stretches that are skipped many bytes at a time against one character at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "text/unicode.h"
#include "text/unicode_skip.h"

static uint64_t step;

static uint64_t draw(uint64_t n)
{
	return ax_rand_u64(7, AX_RNG_SAMPLE, step++) % n;
}

/* The first byte that is not UTF-8, by the definition. */
static size_t by_definition(const unsigned char *p, size_t n)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t i = 0, len;

	for (; i < n; i += len) {
		uint32_t c = p[i];

		len = c < 0x80 ? 1 : c >= 0xC0 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF8 ? 4 : 0;
		if (!len || len > n - i)
			return i;
		c &= len == 1 ? 0x7F : 0xFFu >> (len + 1);
		for (size_t k = 1; k < len; k++) {
			if ((p[i + k] & 0xC0) != 0x80)
				return i;
			c = c << 6 | (p[i + k] & 63);
		}
		if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
			return i;
	}
	return n;
}

static size_t random_text(unsigned char *p, size_t max)
{
	size_t n = 0;
	uint64_t kind = draw(6);

	while (n + 4 <= max) {
		uint32_t c = kind == 0   ? (uint32_t)draw(0x80)
			     : kind == 1 ? (uint32_t)(0x4E00 + draw(0x5000))
			     : kind == 2 ? (uint32_t)draw(0x800)
			     : kind == 3 ? (uint32_t)draw(0x10FFFF)
			     : kind == 4 ? (uint32_t)(draw(3) ? draw(0x80) : 0x3000 + draw(0x200))
					 : (uint32_t)(draw(2) ? 0x1F600 + draw(64) : draw(0x80));

		if (c >= 0xD800 && c < 0xE000)
			continue;
		n += ax_utf8_put(c, (char *)p + n);
	}
	return n;
}

static void utf8_by_definition(void **state)
{
	unsigned char p[300];

	(void)state;
	for (int round = 0; round < 60000; round++) {
		size_t from = draw(40), n = from + random_text(p + from, draw(sizeof(p) - 40));

		for (uint64_t k = draw(3); k && n > from; k--) {
			size_t at = from + draw(n - from);

			p[at] = draw(2) ? (unsigned char)draw(256) : p[at] ^ (unsigned char)(1u << draw(8));
		}
		n -= n > from ? draw(2) : 0;
		assert_int_equal(ax_utf8_check((char *)p + from, n - from), by_definition(p + from, n - from));
	}
}

/* Each two-byte and three-byte sequence and many of four, each at all places of a vector, is judged as by the definition. */
static void every_sequence(void **state)
{
	unsigned char p[128];

	(void)state;
	for (uint32_t x = 0; x < 0x1000000; x += x < 0x800000 ? 65521 : 61) {
		size_t at = x % 70;

		memset(p, 'x', sizeof(p));
		p[at] = (unsigned char)(x >> 16);
		p[at + 1] = (unsigned char)(x >> 8);
		p[at + 2] = (unsigned char)x;
		p[at + 3] = (unsigned char)(draw(3) ? 0x80 + draw(64) : draw(256));
		assert_int_equal(ax_utf8_check((char *)p, sizeof(p)), by_definition(p, sizeof(p)));
	}
}

/* No character that NFC may change is skipped, wherever it lies. */
static void nfc_skips(void **state)
{
	unsigned char p[160];
	size_t skipped = 0;

	(void)state;
	for (uint32_t c = 0x80; c <= 0x10FFFF; c++) {
		size_t at = 30 + c % 40, end;

		if (c >= 0xD800 && c < 0xE000)
			continue;
		memset(p, 'x', sizeof(p));
		end = at + ax_utf8_put(c, (char *)p + at);
		if (ax_uni(c) & AX_UNI_NFC)
			assert_true(ax_nfc_skip(p, 0, sizeof(p)) <= at);
		else
			skipped += ax_nfc_skip(p, 0, sizeof(p)) >= end;
	}
#if defined(__x86_64__)
	assert_true(!__builtin_cpu_supports("avx2") || skipped > 20000);
#endif
}

/* What is dirty is found, with the character before it, among much that is skipped. */
static void dirty_places(void **state)
{
	unsigned char p[400];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = random_text(p, 40 + draw(360)), pos = 0, end = 0, last = 0, i = 0, len, want_end;
		bool found;

		while (i < n && !(ax_uni(ax_utf8_get(p + i, &len)) & AX_UNI_NFC)) {
			last = i;
			i += len;
		}
		found = ax_uni_dirty((char *)p, n, AX_NFC, &pos, &end);
		assert_int_equal(found, i < n);
		if (!found)
			continue;
		for (want_end = i; want_end < n && ax_uni(ax_utf8_get(p + want_end, &len)) & AX_UNI_NFC; want_end += len)
			;
		assert_int_equal(pos, last);
		assert_int_equal(end, want_end);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8_by_definition),
		cmocka_unit_test(every_sequence),
		cmocka_unit_test(nfc_skips),
		cmocka_unit_test(dirty_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
