/* Models whose pieces are gathered across added tokens: held against the same text in parts, one call each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/mem.h"
#include "tok/tokenizer.h"

#define N_TOKENS 6

static const struct ax_tok_added tokens[N_TOKENS] = {
	{.content = "\n", .content_n = 1},
	{.content = "\n\n", .content_n = 2},
	{.content = "<longer than a key of a piece>", .content_n = 30},
	{.content = "<l>", .content_n = 3, .lstrip = true},
	{.content = "<r>", .content_n = 3, .rstrip = true},
	{.content = "<s>", .content_n = 3, .special = true},
};

static const char *const words[] = {"the",  " quick", " brown ", "fox,", " ",   "   ", "tokenizer", " of words", "\xE4\xB8\xAD\xE6\x96\x87",
				    "a\tb", "x",      " 1234",	 "\xC3\xA9", "<", "<l", "r>x",	"\r",	     "\xF0\x9F\x98\x80", "e\xCC\x81",
				    "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE4\xB8\xAD\xE6\x96\x87"};

#define N_WORDS (sizeof(words) / sizeof(words[0]))

/* A golden model, with changes of its text. */
struct kind {
	const char *name;
	struct {
		const char *from, *to;
	} change[2];
};

static const struct kind metaspace = {"sp-metaspace", {{"\"prepend_scheme\":\"first\"", "\"prepend_scheme\":\"never\""}}};

static void replace(struct ax_buf *b, const char *from, const char *to)
{
	const char *at = strstr(b->p, from);
	struct ax_buf out = AX_BUF_INIT;

	assert_non_null(at);
	ax_buf_add(&out, b->p, (size_t)(at - b->p));
	ax_buf_adds(&out, to);
	ax_buf_adds(&out, at + strlen(from));
	ax_buf_release(b);
	*b = out;
}

static struct ax_tokenizer *open_one(const struct kind *kind, struct ax_tok_added *tok)
{
	struct ax_buf b = AX_BUF_INIT, path = AX_BUF_INIT;
	struct ax_tokenizer *t;
	struct ax_map m;

	ax_buf_addf(&path, "tests/golden/tokenizers/%s.json", kind->name);
	assert_int_equal(ax_map_open(&m, path.p, NULL), 0);
	ax_buf_add(&b, (const char *)m.p, m.n);
	ax_map_close(&m);
	ax_buf_release(&path);
	for (size_t i = 0; i < 2 && kind->change[i].from; i++)
		replace(&b, kind->change[i].from, kind->change[i].to);
	assert_int_equal(ax_tokenizer_parse(&t, b.p, b.n, NULL), 0);
	ax_buf_release(&b);
	memcpy(tok, tokens, sizeof(tokens));
	assert_int_equal(ax_tokenizer_add(t, tok, N_TOKENS, NULL), 0);
	return t;
}

/* A text, and what it should become, which grows with it. */
struct text {
	const struct ax_tokenizer *t;
	struct ax_tok_scratch *s;
	struct ax_buf text;
	size_t done; /* so much of the text has its ids */
	struct ax_ids want;
};

static void want_part(struct text *x, size_t end)
{
	size_t from = x->want.n;

	if (end > x->done)
		assert_int_equal(ax_tokenizer_encode(x->t, x->text.p + x->done, end - x->done, AX_TOK_OFFSETS, &x->want, x->s, NULL), 0);
	for (size_t i = from; i < x->want.n; i++) {
		x->want.begin[i] += (uint32_t)x->done;
		x->want.end[i] += (uint32_t)x->done;
	}
	x->done = end;
}

static void add_token(struct text *x, const struct ax_tok_added *tok)
{
	size_t end = x->text.n;
	char spaces[4] = "   ";
	size_t n = (size_t)rand() % 4;

	while (tok->lstrip && end > x->done && (x->text.p[end - 1] == ' ' || x->text.p[end - 1] == '\r'))
		end--;
	want_part(x, end);
	/* the token alone, for its id; then with what it takes */
	assert_int_equal(ax_tokenizer_encode(x->t, tok->content, tok->content_n, AX_TOK_OFFSETS, &x->want, x->s, NULL), 0);
	assert_int_equal(x->want.id[x->want.n - 1], tok->id);
	ax_buf_add(&x->text, tok->content, tok->content_n);
	if (tok->rstrip)
		ax_buf_add(&x->text, spaces, n);
	x->want.begin[x->want.n - 1] = (uint32_t)end;
	x->want.end[x->want.n - 1] = (uint32_t)x->text.n;
	x->done = x->text.n;
	if (tok->rstrip || tok->content[0] == '\n') /* no space, and no other \n, behind it */
		ax_buf_addc(&x->text, 'x');
}

static void check(const struct text *x, unsigned flags, struct ax_tok_scratch *s)
{
	struct ax_ids out = AX_IDS_INIT;

	assert_int_equal(ax_tokenizer_encode(x->t, x->text.p, x->text.n, flags, &out, s, NULL), 0);
	assert_int_equal(out.n, x->want.n);
	assert_memory_equal(out.id, x->want.id, out.n * sizeof(*out.id));
	if (flags & AX_TOK_OFFSETS) {
		assert_memory_equal(out.begin, x->want.begin, out.n * sizeof(*out.begin));
		assert_memory_equal(out.end, x->want.end, out.n * sizeof(*out.end));
	}
	ax_ids_release(&out);
}

/* Places here and there: their tokens are those that the ranges show. */
static void check_marks(const struct text *x, struct ax_tok_scratch *s)
{
	struct ax_tok_mark mark[64];
	struct ax_tok_marks marks = {mark, 0, 0};
	struct ax_ids out = AX_IDS_INIT;
	size_t behind = 0, from = 0, step = 1 + (size_t)rand() % (x->text.n / 16 + 8);

	for (size_t at = (size_t)rand() % step; at <= x->text.n && marks.n < 64; at += (size_t)rand() % step)
		mark[marks.n++].at = (uint32_t)at;
	out.marks = &marks;
	assert_int_equal(ax_tokenizer_encode(x->t, x->text.p, x->text.n, 0, &out, s, NULL), 0);
	assert_int_equal(out.n, x->want.n);
	assert_memory_equal(out.id, x->want.id, out.n * sizeof(*out.id));
	assert_int_equal(marks.done, marks.n);
	for (size_t i = 0; i < marks.n; i++) {
		while (behind < out.n && x->want.end[behind] <= mark[i].at)
			behind++;
		while (from < out.n && x->want.begin[from] < mark[i].at)
			from++;
		assert_int_equal(mark[i].behind, behind);
		assert_int_equal(mark[i].from, from);
	}
	ax_ids_release(&out);
}

static void one_text(const struct ax_tokenizer *t, const struct ax_tok_added *tok, struct ax_tok_scratch *s)
{
	struct text x = {.t = t, .text = AX_BUF_INIT, .want = AX_IDS_INIT};
	size_t n = (size_t)rand() % 1500, rare = 1 + (size_t)rand() % 40;

	assert_int_equal(ax_tok_scratch_new(&x.s, t, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		if ((size_t)rand() % rare == 0)
			add_token(&x, &tok[(size_t)rand() % N_TOKENS]);
		else
			ax_buf_adds(&x.text, words[(size_t)rand() % N_WORDS]);
	}
	want_part(&x, x.text.n);
	assert_false(x.text.oom);
	for (int k = 0; k < 2; k++) { /* the second time from the cache */
		check(&x, 0, s);
		check(&x, AX_TOK_OFFSETS, s);
		if (x.text.n)
			check_marks(&x, s);
	}
	ax_tok_scratch_free(x.s);
	ax_buf_release(&x.text);
	ax_ids_release(&x.want);
}

static void parts_of(const struct kind *kind)
{
	struct ax_tok_added tok[N_TOKENS];
	struct ax_tokenizer *t = open_one(kind, tok);
	struct ax_tok_scratch *s;

	srand(20);
	assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
	for (int i = 0; i < 60; i++)
		one_text(t, tok, s);
	ax_tok_scratch_free(s);
	ax_tokenizer_free(t);
}

static void parts(void **state)
{
	(void)state;
	parts_of(&metaspace);
}

/* Known pre-tokenizers. Whole words come first, or what is like CJK is cut finer; a normalizer writes some texts anew, or leaves out their ends. */
static void parts_of_bytes(void **state)
{
	static const struct kind whole = {.name = "bytes-llama3"};
	static const struct kind finer = {"bytes-llama3", {{"\"ignore_merges\":true", "\"ignore_merges\":false"}}};
	static const struct kind forms = {
		"bytes-llama3",
		{{"\"ignore_merges\":true", "\"ignore_merges\":false"}, {"\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}"}}};

	static const struct kind strip = {
		"bytes-llama3",
		{{"\"normalizer\":null", "\"normalizer\":{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}"}}};

	(void)state;
	parts_of(&whole);
	parts_of(&finer);
	parts_of(&forms);
	parts_of(&strip);
}

/* Where the model fails in one text, the next one starts anew. */
static void after_an_error(void **state)
{
	static const char bad[] = "word\nword \xFF";
	struct ax_tok_added tok[N_TOKENS];
	struct ax_tokenizer *t = open_one(&metaspace, tok);
	struct ax_tok_scratch *s;
	struct ax_ids out = AX_IDS_INIT;

	(void)state;
	assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
	assert_int_not_equal(ax_tokenizer_encode(t, bad, sizeof(bad) - 1, 0, &out, s, NULL), 0);
	ax_ids_reset(&out);
	assert_int_equal(ax_tokenizer_encode(t, "\n", 1, 0, &out, s, NULL), 0);
	assert_int_equal(out.n, 1);
	assert_int_equal(out.id[0], tok[0].id);
	ax_ids_release(&out);
	ax_tok_scratch_free(s);
	ax_tokenizer_free(t);
}

/* A guarded token stays text in a gathered text too. */
static void guarded(void **state)
{
	static const char text[] = "a<s>b<s>c";
	struct ax_guards g = AX_GUARDS_INIT;
	struct ax_tok_added tok[N_TOKENS];
	struct ax_tokenizer *t = open_one(&metaspace, tok);
	struct ax_tok_scratch *s;
	struct ax_ids out = AX_IDS_INIT;
	size_t n = 0;

	(void)state;
	assert_int_equal(ax_tok_scratch_new(&s, t, NULL), 0);
	assert_int_equal(ax_guards_add(&g, 4, 9, NULL), 0);
	assert_int_equal(ax_tokenizer_encode_guarded(t, text, sizeof(text) - 1, AX_TOK_OFFSETS, &g, &out, s, NULL), 0);
	assert_int_equal(g.n_held, 1);
	for (size_t i = 0; i < out.n; i++)
		if (out.id[i] == tok[5].id) {
			assert_int_equal(out.begin[i], 1);
			n++;
		}
	assert_int_equal(n, 1);
	ax_guards_release(&g);
	ax_ids_release(&out);
	ax_tok_scratch_free(s);
	ax_tokenizer_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts),
		cmocka_unit_test(parts_of_bytes),
		cmocka_unit_test(after_an_error),
		cmocka_unit_test(guarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
