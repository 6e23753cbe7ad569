/*
 * Ids of random small BPE models on random texts against merging by the book: of all pairs that merge the one of lowest
 * rank, the leftmost of equal ones, until none is left. Caches, cuts, batches and long words must not show.
 */
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
#include "text/json.h"
#include "text/unicode.h"
#include "tok/bpe_work.h"
#include "tok/pretok_split.h"
#include "tok/tokenizer_impl.h"

#define MAX_TOKENS 700
#define MAX_TEXT   3000
#define HIGH_ROUNDS 300

struct model {
	bool bytes, whole; /* byte-level; ignore_merges */
	char str[MAX_TOKENS][64]; /* as the vocabulary writes it */
	size_t n, n_merge;
	uint32_t left[400], right[400], made[400];
};

static uint64_t step;

static uint64_t draw(uint64_t n)
{
	return ax_rand_u64(11, AX_RNG_SAMPLE, step++) % n;
}

static uint32_t find(const struct model *m, const char *s)
{
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->str[i], s))
			return (uint32_t)i;
	return AX_TOK_NONE;
}

static void add_char(struct model *m, uint32_t c)
{
	char *s = m->str[m->n++];

	s[ax_utf8_put(c, s)] = '\0';
}

/* Two neighbours within a character, the first two or the last. */
static void whole_char(const struct model *m, uint32_t x[2])
{
	static const unsigned char chars[][3] = {{0xC3, 0xA9, 0}, {0xE4, 0xB8, 0xAD}, {0xE4, 0xB8, 0xAE}, {0xE5, 0xB8, 0xAD}, {0xE5, 0xB8, 0xAE}};
	const unsigned char *c = chars[draw(5)];
	char two[9];
	uint32_t id;

	snprintf(two, sizeof(two), "%s%s", m->str[c[0]], m->str[c[1]]);
	id = find(m, two);
	x[0] = id == AX_TOK_NONE || !c[2] ? c[0] : id;
	x[1] = id == AX_TOK_NONE || !c[2] ? c[1] : c[2];
}

enum alphabet { MIXED, LETTERS, HIGH };

/*
 * First symbols, then merges of tokens that come up often enough to meet in texts; with LETTERS of a and b alone, with HIGH of
 * the bytes of a few characters, which merges then tear apart in all ways.
 */
static void make_model(struct model *m, bool bytes, bool whole, enum alphabet alphabet)
{
	static const char *const chars = "ab.1 \xC3\xA9\xE2\x96\x81\xE4\xB8\xAD\xE4\xB8\xAE\xE5\xB8\xAD";
	size_t first, len;

	memset(m, 0, sizeof(*m));
	m->bytes = bytes;
	m->whole = whole;
	for (unsigned b = 0; b < 256; b++)
		if (bytes)
			add_char(m, ax_char_of_byte((unsigned char)b));
		else
			snprintf(m->str[m->n++], sizeof(m->str[0]), "<0x%02X>", b);
	first = m->n;
	for (const unsigned char *p = (const unsigned char *)chars; !bytes && *p; p += len)
		add_char(m, ax_utf8_get(p, &len));
	while (m->n_merge < (alphabet == HIGH ? 20 + draw(100) : 150 + draw(150)) && m->n < MAX_TOKENS - 1) {
		static const unsigned char often[] = "ab.1 \xC3\xA9\xE4\xE5\xB8\xAD\xAE";
		const size_t skip = alphabet == HIGH ? 5 : 0;
		uint32_t x[2];
		char made[130];
		uint32_t id;

		for (int k = 0; k < 2; k++)
			x[k] = draw(3) && m->n > first ? (uint32_t)(first + draw(m->n - first))
			       : bytes		       ? often[skip + draw(sizeof(often) - 1 - skip)]
						       : (uint32_t)(first + draw(8));
		if (alphabet == HIGH && draw(2)) /* of one of the characters, so that some become whole */
			whole_char(m, x);
		for (int k = 0; k < 2 && alphabet == LETTERS; k++) /* of a and b alone */
			x[k] = draw(3) && m->n_merge ? m->made[draw(m->n_merge)] : (bytes ? 'a' : (uint32_t)first) + (uint32_t)draw(2);
		snprintf(made, sizeof(made), "%s%s", m->str[x[0]], m->str[x[1]]);
		if (strlen(made) > 40)
			continue;
		id = find(m, made);
		if (id == AX_TOK_NONE) {
			id = (uint32_t)m->n++;
			strcpy(m->str[id], made);
		}
		m->left[m->n_merge] = x[0];
		m->right[m->n_merge] = x[1];
		m->made[m->n_merge++] = id;
	}
	if (whole && find(m, "abab") == AX_TOK_NONE)
		strcpy(m->str[m->n++], "abab");
}

static struct ax_tokenizer *load(const struct model *m)
{
	struct ax_tokenizer *t = NULL;
	struct ax_buf b = AX_BUF_INIT;
	struct ax_err e = {0};

	ax_buf_adds(&b, "{\"version\":\"1.0\",");
	if (m->bytes)
		ax_buf_adds(&b, "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},");
	else
		ax_buf_adds(&b, "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\xE2\x96\x81\"},"
				"{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xE2\x96\x81\"}]},");
	ax_buf_addf(&b, "\"model\":{\"type\":\"BPE\",\"byte_fallback\":%s,\"ignore_merges\":%s,\"vocab\":{", m->bytes ? "false" : "true",
		    m->whole ? "true" : "false");
	for (size_t i = 0; i < m->n; i++) {
		ax_buf_adds(&b, i ? "," : "");
		ax_json_write_str(&b, m->str[i], strlen(m->str[i]), 0);
		ax_buf_addf(&b, ":%zu", i);
	}
	ax_buf_adds(&b, "},\"merges\":[");
	for (size_t i = 0; i < m->n_merge; i++) {
		ax_buf_adds(&b, i ? ",[" : "[");
		ax_json_write_str(&b, m->str[m->left[i]], strlen(m->str[m->left[i]]), 0);
		ax_buf_addc(&b, ',');
		ax_json_write_str(&b, m->str[m->right[i]], strlen(m->str[m->right[i]]), 0);
		ax_buf_addc(&b, ']');
	}
	ax_buf_adds(&b, "]}}");
	if (ax_tokenizer_parse(&t, b.p, b.n, &e))
		fail_msg("%s", e.msg);
	ax_buf_release(&b);
	return t;
}

/* Words are merged by the functions of each instruction set in turn. */
static void choose_words(struct ax_tokenizer *t, int turn)
{
	if (t->model.bpe.quick)
		t->model.bpe.quick = ax_quick_fns_of((enum ax_quick_isa)(turn % AX_QUICK_BEST));
}

/* Of a pair that is listed twice the last rank counts. */
static size_t rank_of(const struct model *m, uint32_t x, uint32_t y)
{
	for (size_t i = m->n_merge; i--;)
		if (m->left[i] == x && m->right[i] == y)
			return i;
	return SIZE_MAX;
}

static size_t merge_by_the_book(const struct model *m, uint32_t *id, size_t n)
{
	for (;;) {
		size_t best = SIZE_MAX, at = 0;

		for (size_t i = 0; i + 1 < n; i++) {
			size_t r = rank_of(m, id[i], id[i + 1]);

			if (r < best) {
				best = r;
				at = i;
			}
		}
		if (best == SIZE_MAX)
			return n;
		id[at] = m->made[best];
		memmove(id + at + 1, id + at + 2, (n - at - 2) * sizeof(*id));
		n--;
	}
}

static size_t one_piece(const struct model *m, const unsigned char *p, size_t n, uint32_t *id)
{
	char s[4 * MAX_TEXT] = "", c[8];
	size_t k = 0, len;

	for (size_t i = 0; m->whole && i < n; i++) {
		c[ax_utf8_put(ax_char_of_byte(p[i]), c)] = '\0';
		strcat(s, c);
	}
	if (m->whole && find(m, s) != AX_TOK_NONE) {
		id[0] = find(m, s);
		return 1;
	}
	for (size_t i = 0; i < n; i += len) {
		len = 1;
		if (m->bytes) {
			id[k++] = p[i];
			continue;
		}
		c[ax_utf8_put(ax_utf8_get(p + i, &len), c)] = '\0';
		if (find(m, c) != AX_TOK_NONE)
			id[k++] = find(m, c);
		else
			for (size_t j = 0; j < len; j++)
				id[k++] = p[i + j];
	}
	return merge_by_the_book(m, id, k);
}

static size_t by_the_book(const struct model *m, const struct ax_buf *text, uint32_t *id)
{
	const unsigned char *p = (const unsigned char *)text->p;
	struct ax_buf b = AX_BUF_INIT;
	size_t n = 0;

	if (m->bytes) {
		for (size_t i = 0, to; i < text->n; i = to) {
			to = ax_split_gpt2(p, i, text->n);
			n += one_piece(m, p + i, to - i, id + n);
		}
		return n;
	}
	ax_buf_adds(&b, "\xE2\x96\x81");
	for (size_t i = 0; i < text->n; i++)
		if (p[i] == ' ')
			ax_buf_adds(&b, "\xE2\x96\x81");
		else
			ax_buf_addc(&b, (char)p[i]);
	n = one_piece(m, (const unsigned char *)b.p, b.n, id);
	ax_buf_release(&b);
	return n;
}

static void high_text(struct ax_buf *b, size_t n)
{
	static const char *const bits[] = {"\xC3\xA9", "\xE4\xB8\xAD", "\xE4\xB8\xAE", "\xE5\xB8\xAD", "\xE5\xB8\xAE", " "};

	ax_buf_reset(b);
	while (b->n < n)
		ax_buf_adds(b, bits[draw(draw(8) ? 5 : 6)]);
}

static void make_text(struct ax_buf *b, size_t n)
{
	static const char *const bits[] = {"a", "b", "ab", "abab", ".", "1", " ", " ", "\xC3\xA9", "\xE2\x96\x81", "\xE4\xB8\xAD", "\xE4\xB8\xAE",
					   "\xE5\xB8\xAD", "\xE5\xB8\xAE", "\n", "~", "\xF0\x9F\x98\x80"};
	const size_t n_bits = sizeof(bits) / sizeof(bits[0]);

	ax_buf_reset(b);
	for (bool word = n > 300; word && b->n < n;) /* one long word without a cut */
		ax_buf_addc(b, draw(2) ? 'a' : 'b');
	while (b->n < n) {
		const char *some[3];
		size_t len = 1 + draw(draw(8) ? 12 : 500);

		for (int i = 0; i < 3; i++)
			some[i] = bits[draw(n_bits)];
		for (size_t i = 0; i < len && b->n < n; i++)
			ax_buf_adds(b, some[draw(draw(2) + 1)]);
	}
}

static void check(const struct model *m, struct ax_tokenizer *t, struct ax_tok_scratch *s, const struct ax_buf *text, unsigned flags)
{
	static uint32_t want[MAX_TEXT + 64];
	struct ax_ids got = AX_IDS_INIT;
	size_t n = by_the_book(m, text, want), at = 0;

	assert_int_equal(ax_tokenizer_encode(t, text->p, text->n, flags, &got, s, NULL), 0);
	for (size_t i = 0; i < n || i < got.n; i++) {
		if (i >= n || i >= got.n || got.id[i] != want[i])
			fail_msg("%s, text of %zu bytes: token %zu is %d, not %d\n%.*s", m->bytes ? m->whole ? "bytes, whole" : "bytes" : "characters",
				 text->n, i, i < got.n ? (int)got.id[i] : -1, i < n ? (int)want[i] : -1, (int)(text->n < 300 ? text->n : 300), text->p);
		if (flags) {
			assert_int_equal(got.begin[i], at);
			at = got.end[i];
		}
	}
	if (flags)
		assert_int_equal(at, text->n);
	ax_ids_release(&got);
}

static void merges_by_the_book(void **state)
{
	struct model *m = malloc(sizeof(*m));
	struct ax_buf text = AX_BUF_INIT;

	for (int round = 0; round < 48 + HIGH_ROUNDS; round++) {
		bool high = round >= 48;
		struct ax_tok_scratch *s = NULL;
		struct ax_tokenizer *t;

		make_model(m, high || round % 3 > 0, !high && round % 3 == 2, high ? HIGH : round & 1 ? LETTERS : MIXED);
		t = load(m);
		choose_words(t, round / 6 + round);
		assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
		for (size_t k = 0; k < 40; k++) {
			if (high)
				high_text(&text, 1 + draw(100));
			else
				make_text(&text, k % 8 ? 1 + draw(120) : 1 + draw(700));
			check(m, t, s, &text, 0);
			check(m, t, s, &text, AX_TOK_OFFSETS);
		}
		ax_tok_scratch_free(s);
		ax_tokenizer_free(t);
	}
	ax_buf_release(&text);
	free(m);
}

static void merge(struct model *m, const char *left, const char *right)
{
	size_t id = m->n++;

	m->left[m->n_merge] = find(m, left);
	m->right[m->n_merge] = find(m, right);
	assert_true(m->left[m->n_merge] != AX_TOK_NONE && m->right[m->n_merge] != AX_TOK_NONE);
	snprintf(m->str[id], sizeof(m->str[id]), "%s%s", left, right);
	m->made[m->n_merge++] = (uint32_t)id;
}

/*
 * é takes the first byte of the character behind it, and what is left of that joins the next one at a rank at which both
 * would have been whole: between these two there is no cut.
 */
static void torn_characters(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	struct ax_buf text = AX_BUF_INIT;
	struct ax_tok_scratch *s = NULL;
	struct ax_tokenizer *t;

	m->bytes = true;
	for (unsigned b = 0; b < 256; b++)
		add_char(m, ax_char_of_byte((unsigned char)b));
	merge(m, "\xC3\x83", "\xC2\xA9");				    /* C3 A9: é */
	merge(m, "\xC3\x83\xC2\xA9", "\xC3\xA4");			    /* and E4 */
	merge(m, "\xC3\xA4", "\xC2\xB8");				    /* E4 B8 */
	merge(m, "\xC3\xA4\xC2\xB8", "\xC5\x83");			    /* AD: U+4E2D */
	merge(m, "\xC3\xA5", "\xC2\xB8");				    /* E5 B8 */
	merge(m, "\xC3\xA5\xC2\xB8", "\xC5\x83");			    /* AD: U+5E2D */
	merge(m, "\xC2\xB8", "\xC5\x83");				    /* B8 AD */
	merge(m, "\xC2\xB8\xC5\x83", "\xC3\xA5\xC2\xB8\xC5\x83"); /* B8 AD, U+5E2D */
	t = load(m);
	assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
	ax_buf_adds(&text, "\xC3\xA9\xE4\xB8\xAD\xE5\xB8\xAD");
	check(m, t, s, &text, AX_TOK_OFFSETS);
	ax_buf_adds(&text, " \xE4\xB8\xAD\xE5\xB8\xAD\xE4\xB8\xAD\xC3\xA9\xC3\xA9\xE4\xB8\xAD\xE5\xB8\xAD");
	check(m, t, s, &text, AX_TOK_OFFSETS);
	ax_tok_scratch_free(s);
	ax_tokenizer_free(t);
	ax_buf_release(&text);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(merges_by_the_book), cmocka_unit_test(torn_characters)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
