/* What is looked for in text: bytes of a set, and added tokens; held against the plainest way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/byteset.h"
#include "tok/tokenizer.h"
#include "tok/tokenizer_trie.h"

#define TEXT 300

static size_t below(size_t n)
{
	return (size_t)rand() % n;
}

/* Sets of all sizes, texts of all lengths: each place is found and no other. */
static void bytes(void **state)
{
	unsigned char text[TEXT];

	(void)state;
	srand(1);
	for (int k = 0; k < 3000; k++) {
		struct ax_byteset s = {0};
		bool in[256] = {false};
		size_t n = below(TEXT), from = below(n + 1), i = from, j = from;

		for (size_t c = below(k % 3 ? 6 : 256); c--;) {
			size_t b = below(256);

			in[b] = true;
			ax_byteset_add(&s, (unsigned char)b);
		}
		for (size_t x = 0; x < n; x++) {
			text[x] = (unsigned char)below(256);
			if (k % 2 && in[text[x]] && below(20))
				text[x] = 'a';
		}
		while (i < n) {
			while (i < n && !in[text[i]])
				i++;
			assert_int_equal(ax_byteset_find(&s, text, j, n), i);
			assert_int_equal(ax_byteset_find_scalar(&s, text, j, n), i);
			j = ++i;
		}
		assert_int_equal(ax_byteset_find(&s, text, n, n), n);
	}
}

#define PATTERNS 12

struct patterns {
	char p[PATTERNS][6];
	size_t n;
	uint32_t refused;
};

static bool accept(void *ctx, uint32_t value, size_t begin, size_t end)
{
	const struct patterns *x = ctx;

	(void)begin;
	(void)end;
	return value != x->refused;
}

/* The leftmost place with a pattern, and the longest there. */
static bool find(const struct patterns *x, const char *p, size_t n, size_t *begin, size_t *end, uint32_t *value)
{
	for (size_t i = *begin; i < n; i++) {
		size_t best = 0;

		for (size_t k = x->n; k--;) {
			size_t len = strlen(x->p[k]);

			if (len >= best && len && i + len <= n && !memcmp(x->p[k], p + i, len) && k != x->refused) {
				best = len;
				*value = (uint32_t)k;
			}
		}
		if (best) {
			*begin = i;
			*end = i + best;
			return true;
		}
	}
	return false;
}

/* Patterns of few letters, so that each is the begin of others; one of them may be refused. */
static void tries(void **state)
{
	(void)state;
	srand(2);
	for (int k = 0; k < 2000; k++) {
		struct patterns x = {.n = 1 + below(PATTERNS), .refused = k % 2 ? AX_TOK_NONE : 0};
		struct ax_trie t = {0};
		char text[TEXT], first = k % 5 ? 0 : 'a';
		size_t n = below(TEXT), at = 0, end = 0, want_at = 0, want_end = 0;
		uint32_t value, want;
		bool found;

		for (size_t i = 0; i < x.n; i++)
			for (size_t c = below(6); c--;)
				x.p[i][c] = first && c == 0 ? first : (char)('a' + below(3));
		for (size_t i = 0; i < x.n; i++) {
			for (size_t j = 0; j < i && x.p[i][0]; j++) /* of equal ones the first counts */
				if (!strcmp(x.p[i], x.p[j]))
					x.p[i][0] = 0;
			assert_int_equal(ax_trie_add(&t, x.p[i], strlen(x.p[i]), (uint32_t)i, NULL), 0);
		}
		for (size_t i = 0; i < n; i++)
			text[i] = (char)('a' + below(k % 7 ? 5 : 26));
		do {
			found = ax_trie_find(&t, text, n, &at, &end, &value, x.refused ? NULL : accept, &x);
			assert_int_equal(found, find(&x, text, n, &want_at, &want_end, &want));
			if (found) {
				assert_int_equal(at, want_at);
				assert_int_equal(end, want_end);
				assert_int_equal(value, want);
				at = want_at = end;
			}
		} while (found);
		ax_trie_release(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes),
		cmocka_unit_test(tries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
