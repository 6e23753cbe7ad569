/* Pieces cut by windows of every instruction set against the splitters, one piece at a time, on mixed random texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "text/unicode.h"
#include "tok/cut.h"

static const char *const bits[] = {" ", " ", "  ", "\n", "\r", "\t", "\v", "'", "'s", "'Re", "n't", "'LL", "D", "a", "Word", "xyz", "1",
				   "23", "456", "/", "(", ".", "--", "\x01", "\x1f", "\x7f", "\xC3\xA9", "\xC3\x89", "\xC5\xBF", "\xE3\x80\x80",
				   "\xE4\xB8\xAD", "\xE3\x81\x82", "\xD9\xA1", "\xCC\x80", "\xC2\x85", "\xF0\x9F\x98\x80", "A", "I'm", "HTTPServer",
				   "\xE4\xB8\xAD\xE6\x96\x87", "\xE3\x82\xAB\xE3\x83\xBC", "\xE3\x80\x82", "\xEF\xBC\x8C", "\xEA\xB0\x80",
				   "\xD0\x96\xD1\x8F", "\xC3\x97", "\xE2\x80\x99", "\xE2\x80\x9C", "\xE3\x83\xBB", "\xE3\x82\x99", "\xEF\xBC\x91",
				   "\xE2\x80\xA8", "\xE4\xB7\x80", "\xED\x9F\xBB", "\xE3\x81\x80"};
#define N_BITS (sizeof(bits) / sizeof(bits[0]))

static uint64_t draw(uint64_t *step, uint64_t n)
{
	return ax_rand_u64(7, AX_RNG_SAMPLE, (*step)++) % n;
}

/* A text of stretches, each of a few kinds of bits, so that runs come out short and long. */
static void make_text(struct ax_buf *b, size_t n, uint64_t *step)
{
	ax_buf_reset(b);
	while (b->n < n) {
		const char *some[6];
		size_t kinds = 1 + draw(step, 6), len = 1 + draw(step, 60), high = !draw(step, 3);

		for (size_t i = 0; i < kinds; i++)
			some[i] = bits[draw(step, high ? N_BITS : 25)];
		for (size_t i = 0; i < len; i++)
			ax_buf_adds(b, some[draw(step, kinds)]);
	}
}

/* All piece starts; the text is given without a byte behind it, so that a sanitizer sees reads beyond. */
static size_t cut_all(ax_cut_fn cut, enum ax_cut_kind kind, const struct ax_buf *b, size_t max, uint32_t *out)
{
	unsigned char *p = malloc(b->n);
	struct ax_cutter c = {memcpy(p, b->p, b->n), b->n, 0, 0, kind};
	uint32_t at[256 + AX_CUT_SPARE];
	size_t n = 0, k;

	while ((k = cut(&c, at, max))) {
		assert_true(k < max + AX_CUT_SPARE);
		assert_int_equal(at[k], c.i);
		memcpy(out + n, at, k * sizeof(*at));
		n += k;
	}
	assert_int_equal(c.i, b->n);
	free(p);
	return n;
}

static void same_pieces(void **state)
{
	struct ax_buf b = AX_BUF_INIT;
	uint64_t step = 0;

	for (size_t round = 0; round < 400; round++) {
		uint32_t *want, *got;

		make_text(&b, round < 300 ? 1 + round : 4000, &step);
		want = malloc(b.n * sizeof(*want));
		got = malloc(b.n * sizeof(*got));
		for (enum ax_cut_kind kind = AX_CUT_NONE + 1; kind < AX_CUT_KINDS; kind++) {
			size_t n = cut_all(ax_cut_fn_of(kind, AX_CUT_SCALAR), kind, &b, 256, want);

			for (enum ax_cut_isa isa = AX_CUT_BASE; isa <= AX_CUT_BEST; isa++) {
				size_t k = cut_all(ax_cut_fn_of(kind, isa), kind, &b, 1 + round % 256, got);

				for (size_t i = 0; i < n || i < k; i++)
					if (i >= n || i >= k || got[i] != want[i])
						fail_msg("kind %d, instruction set %d, text %zu: piece %zu of %zu begins at %u, not at %u",
							 (int)kind, (int)isa, round, i, n, got[i], want[i]);
			}
		}
		free(want);
		free(got);
	}
	ax_buf_release(&b);
}

/* DeepSeek-V3's patterns one after the other, by hand: numbers, then CJK, then the rest; gaps stay together. */
static void dsv3_stages(void **state)
{
	static const char text[] = "ab 1234  5\x01\x02\x03 x  \xE4\xB8\xAD\xE4\xB8\xAD  y\xE4\xB8\xAD\xE3\x83\xBB\xE3\x82\xA0\xE4\xB8\xAD";
	static const uint32_t want[] = {0, 2, 3, 6, 7, 9, 10, 13, 15, 17, 23, 24, 26, 29, 35};
	struct ax_cutter c = {(const unsigned char *)text, sizeof(text) - 1, 0, 0, AX_CUT_DSV3};
	uint32_t at[64 + AX_CUT_SPARE];
	size_t n = ax_cut_fn_of(AX_CUT_DSV3, AX_CUT_SCALAR)(&c, at, 64);

	for (size_t i = 0; i < n; i++)
		if (i >= sizeof(want) / sizeof(want[0]) || at[i] != want[i])
			fail_msg("piece %zu begins at %u", i, at[i]);
	assert_int_equal(n, sizeof(want) / sizeof(want[0]));
}

/* Each character among letters, signs and numbers, at all places of a window. */
static void every_character(void **state)
{
	uint32_t want[256], got[256];

	for (uint32_t c = 0x80; c < 0x30000; c++) {
		static const char *const before[] = {"a", " ", "1", "!", "\xE4\xB8\xAD", "\xE3\x80\x82", "\n"};
		struct ax_buf b = AX_BUF_INIT;
		char own[4];
		size_t n = c >= 0xD800 && c < 0xE000 ? 0 : ax_utf8_put(c, own), len;

		for (size_t i = 0; i < c * 7 % 61; i++)
			ax_buf_addc(&b, " x"[i % 5 == 0]);
		for (size_t i = 0; n && i < 7; i++) {
			ax_buf_adds(&b, before[(i + c) % 7]);
			ax_buf_add(&b, own, n);
		}
		ax_buf_adds(&b, "a b");
		for (enum ax_cut_kind kind = AX_CUT_NONE + 1; kind < AX_CUT_KINDS; kind++) {
			len = cut_all(ax_cut_fn_of(kind, AX_CUT_SCALAR), kind, &b, 256, want);
			if (cut_all(ax_cut_fn_of(kind, c % 2 ? AX_CUT_BASE : AX_CUT_BEST), kind, &b, 256, got) != len || memcmp(want, got, len * 4))
				fail_msg("kind %d, around U+%04X", (int)kind, (unsigned)c);
		}
		ax_buf_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_pieces),
		cmocka_unit_test(every_character),
		cmocka_unit_test(dsv3_stages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
