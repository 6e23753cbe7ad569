/* Unigram models against the sums written out; and that what short pieces gave before does not show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tok/tokenizer.h"
#include "tok/unigram.h"

#define MAX_PIECES 60
#define MAX_TEXT   12000

static const char *const letters[] = {"a", "b", "\xC3\xA9", "\xE4\xB8\xAD", "z"}; /* z has no piece */

struct model {
	char str[MAX_PIECES][64];
	double score[MAX_PIECES];
	size_t n;
	struct ax_unigram m;
};

static size_t below(size_t n)
{
	return (size_t)rand() % n;
}

static size_t letters_to(char *p, size_t n, size_t kinds)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		const char *c = letters[below(kinds)];

		memcpy(p + at, c, strlen(c));
		at += strlen(c);
	}
	return at;
}

/* Scores of few values, so that ways of the same sum are frequent; one piece may be long. */
static void make(struct model *x)
{
	size_t cap = 0, want = 2 + below(MAX_PIECES - 2);

	memset(x, 0, sizeof(*x));
	strcpy(x->str[x->n++], "<unk>");
	for (size_t i = 1; i < want; i++) {
		char s[64] = {0};
		bool known = false;

		letters_to(s, i == 1 && below(3) == 0 ? 10 : 1 + below(i < 5 ? 1 : 4), 4);
		for (size_t k = 0; k < x->n; k++)
			known |= !strcmp(x->str[k], s);
		if (known)
			continue;
		strcpy(x->str[x->n], s);
		x->score[x->n++] = -0.1 * (double)(1 + below(12));
	}
	for (size_t i = 0; i < x->n; i++)
		assert_int_equal(ax_unigram_add(&x->m, x->str[i], strlen(x->str[i]), x->score[i], &cap, NULL), 0);
	x->m.has_unk = true;
	assert_int_equal(ax_unigram_finish(&x->m, NULL), 0);
}

static size_t char_bytes(char c)
{
	return (unsigned char)c < 0x80 ? 1 : (unsigned char)c < 0xE0 ? 2 : 3;
}

/* The best way from the left over all of the text. */
static size_t by_the_book(const struct model *x, const char *p, size_t n, uint32_t *id)
{
	static double best[MAX_TEXT + 1];
	static size_t from[MAX_TEXT + 1], k;
	static uint32_t by[MAX_TEXT + 1], back[MAX_TEXT + 1];
	bool unknown = false;

	for (size_t i = 0; i <= n; i++)
		by[i] = UINT32_MAX;
	best[0] = 0;
	for (size_t at = 0; at < n; at += char_bytes(p[at])) {
		size_t len = char_bytes(p[at]);
		bool single = false;

		for (size_t m = 1; at + m <= n && m < 64; m++)
			for (size_t i = 1; i < x->n; i++)
				if (strlen(x->str[i]) == m && !memcmp(p + at, x->str[i], m)) {
					single |= m == len;
					if (by[at + m] != UINT32_MAX && !(best[at] + x->score[i] > best[at + m]))
						continue;
					best[at + m] = best[at] + x->score[i];
					from[at + m] = at;
					by[at + m] = (uint32_t)i;
				}
		if (!single && (by[at + len] == UINT32_MAX || best[at] + x->m.unk_score > best[at + len])) {
			best[at + len] = best[at] + x->m.unk_score;
			from[at + len] = at;
			by[at + len] = 0;
		}
	}
	k = 0;
	for (size_t at = n; at; at = from[at])
		back[k++] = by[at];
	n = k;
	k = 0;
	while (n--) {
		if (back[n] || !unknown)
			id[k++] = back[n];
		unknown = !back[n];
	}
	return k;
}

static void best_ways(void **state)
{
	static char text[MAX_TEXT + 64];
	static uint32_t want[MAX_TEXT + 1];
	struct model *x = malloc(sizeof(*x));
	size_t n, k;

	(void)state;
	srand(7);
	for (int round = 0; round < 80; round++) {
		struct ax_unigram_work w;

		make(x);
		assert_int_equal(ax_unigram_work_init(&w, &x->m, NULL), 0);
		for (int t = 0; t < 12; t++) {
			struct ax_ids out = AX_IDS_INIT;
			size_t at = 0;

			n = letters_to(text, below(t == 11 ? MAX_TEXT / 3 : t < 6 ? 12 : 300), round % 4 ? 4 : 5);
			k = by_the_book(x, text, n, want);
			assert_int_equal(ax_unigram_encode(&x->m, &w, text, n, true, 5, &out, NULL), 0);
			for (size_t i = 0; i < k && i < out.n; i++) { /* unknown characters may be a piece together */
				if (!want[i] && out.id[i])
					assert_int_equal(out.end[i] - out.begin[i], strlen(x->str[out.id[i]]));
				else
					assert_int_equal(out.id[i], want[i]);
				assert_int_equal(out.begin[i], 5 + at);
				at = out.end[i] - 5;
			}
			assert_int_equal(out.n, k);
			assert_int_equal(at, n);
			ax_ids_release(&out);
		}
		ax_unigram_work_release(&w);
		ax_unigram_release(&x->m);
	}
	free(x);
}

static void endless_scores(void **state)
{
	static const double bad[] = {-1e291, 1e308, -1.0 / 0.0, 0.0 / 0.0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ax_unigram m = {0};
		struct ax_err e = {0};
		size_t cap = 0;

		assert_int_equal(ax_unigram_add(&m, "a", 1, bad[i], &cap, NULL), 0);
		assert_int_equal(ax_unigram_finish(&m, &e), AX_EDATA);
		assert_non_null(strstr(e.msg, "piece 0"));
		ax_unigram_release(&m);
	}
}

static const char json[] =
    "{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"a\",-2],"
    "[\"b\",-2.5],[\"aaaaaaaa\",-3],[\"bbbbb\",-3.1],[\"ab\",-2.2],[\"aab\",-2.3],[\"bab\",-2.4]]}}";

static void encode(const struct ax_tokenizer *t, struct ax_tok_scratch *s, const char *p, size_t n, struct ax_ids *out)
{
	struct ax_err e = {0};

	if (ax_tokenizer_encode(t, p, n, AX_TOK_OFFSETS, out, s, &e))
		fail_msg("%s", e.msg);
}

/* Words of all lengths that differ in few places, alone with nothing known, and all together. */
static void known_words(void **state)
{
	struct ax_buf text = AX_BUF_INIT;
	struct ax_ids want = AX_IDS_INIT, got = AX_IDS_INIT;
	struct ax_tok_scratch *s;
	struct ax_tokenizer *t;

	(void)state;
	srand(9);
	assert_int_equal(ax_tokenizer_parse(&t, json, sizeof(json) - 1, NULL), 0);
	for (int i = 0; i < 250; i++) {
		char word[32];
		size_t n = 1 + below(26), from = want.n, at = text.n;

		memset(word, 'a', sizeof(word));
		for (size_t k = below(3); k--;)
			word[below(n)] = 'b';
		assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
		encode(t, s, word, n, &want);
		ax_tok_scratch_free(s);
		for (; from < want.n; from++) {
			want.begin[from] += (uint32_t)at;
			want.end[from] += (uint32_t)at;
		}
		ax_buf_add(&text, word, n);
		ax_buf_addc(&text, ' ');
	}
	assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
	for (int k = 0; k < 2; k++) {
		ax_ids_reset(&got);
		encode(t, s, text.p, text.n, &got);
		assert_int_equal(got.n, want.n);
		assert_memory_equal(got.id, want.id, got.n * sizeof(*got.id));
		assert_memory_equal(got.begin, want.begin, got.n * sizeof(*got.begin));
		assert_memory_equal(got.end, want.end, got.n * sizeof(*got.end));
	}
	ax_tok_scratch_free(s);
	ax_tokenizer_free(t);
	ax_ids_release(&want);
	ax_ids_release(&got);
	ax_buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(best_ways),
		cmocka_unit_test(endless_scores),
		cmocka_unit_test(known_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
