/*
 * A text, made UTF-8 if it is not. Windows of each instruction set cut it as the splitters do, for all kinds; and a small
 * tokenizer gives the same ids through the batches and the cache, which remembers the texts before, as with a fresh
 * cache and as piece by piece.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/bpe.h"
#include "tok/cut.h"
#include "tok/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define MAX_TEXT 20000
#define N_MERGE	 400

static struct ax_tokenizer *fast, *slow;
static struct ax_tok_scratch *old;

/* A string of the vocabulary in JSON: quotes and backslashes are escaped. */
static void put_string(struct ax_buf *b, const char *s)
{
	ax_buf_addc(b, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			ax_buf_addc(b, '\\');
		ax_buf_addc(b, *s);
	}
	ax_buf_addc(b, '"');
}

/* Merges of what comes up often, the same at each start. */
static void make_model(struct ax_buf *b)
{
	static const char often[] = "  ees's\nat1\xE4\xB8\xAD\xE6\x96\x87\xE3\x81\x97\xE3\x81\xA6\xE3\x80\x82\xC3\xA9";
	static char str[256 + N_MERGE][80];
	size_t n = 0, n_merge = 0;
	uint32_t x = 1, left[N_MERGE], right[N_MERGE];

	for (unsigned c = 0; c < 256; c++)
		str[n++][ax_utf8_put(ax_char_of_byte((unsigned char)c), str[c])] = '\0';
	while (n_merge < N_MERGE) {
		uint32_t id[2];
		char made[160];
		bool known = false;

		for (int k = 0; k < 2; k++) {
			x = x * 1664525 + 1013904223;
			id[k] = x >> 28 < 7 && n > 256 ? 256 + (x >> 8) % (uint32_t)(n - 256) : (unsigned char)often[(x >> 8) % (sizeof(often) - 1)];
		}
		snprintf(made, sizeof(made), "%s%s", str[id[0]], str[id[1]]);
		for (size_t i = 0; i < n && !known; i++)
			known = !strcmp(str[i], made);
		if (known || strlen(made) >= sizeof(str[0]))
			continue;
		memcpy(str[n++], made, strlen(made) + 1);
		left[n_merge] = id[0];
		right[n_merge++] = id[1];
	}
	ax_buf_adds(b, "\"model\":{\"type\":\"BPE\",\"vocab\":{");
	for (size_t i = 0; i < n; i++) {
		char number[24];

		put_string(b, str[i]);
		snprintf(number, sizeof(number), ":%zu%s", i, i + 1 < n ? "," : "");
		ax_buf_adds(b, number);
	}
	ax_buf_adds(b, "},\"merges\":[");
	for (size_t i = 0; i < n_merge; i++) {
		ax_buf_adds(b, i ? ",[" : "[");
		put_string(b, str[left[i]]);
		ax_buf_addc(b, ',');
		put_string(b, str[right[i]]);
		ax_buf_addc(b, ']');
	}
	ax_buf_adds(b, "]}}");
}

#define QWEN2 "{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|" \
	      "\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}}"
#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
/* a stage that never finds anything keeps the windows away */
#define NOTHING "{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"String\":\"\\uFFFE\\uFFFE\\uFFFE\"}}"

static struct ax_tokenizer *make(const char *stages)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_tokenizer *t;
	struct ax_err e = {0};

	ax_buf_adds(&b, "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[");
	ax_buf_adds(&b, stages);
	ax_buf_adds(&b, "]},");
	make_model(&b);
	if (b.oom || ax_tokenizer_parse(&t, b.p, b.n, &e)) {
		fprintf(stderr, "%s\n", e.msg);
		abort();
	}
	ax_buf_release(&b);
	return t;
}

static size_t cut_all(ax_cut_fn cut, enum ax_cut_kind kind, const struct ax_buf *b, size_t max, uint32_t *out)
{
	struct ax_cutter c = {(const unsigned char *)b->p, b->n, 0, 0, kind};
	uint32_t at[128 + AX_CUT_SPARE];
	size_t n = 0, k;

	while ((k = cut(&c, at, max))) {
		memcpy(out + n, at, k * sizeof(*at));
		n += k;
	}
	return n;
}

static void same_cuts(const struct ax_buf *b)
{
	uint32_t *want = malloc((b->n + 1) * sizeof(*want)), *got = malloc((b->n + 1) * sizeof(*got));

	for (enum ax_cut_kind kind = AX_CUT_NONE + 1; want && got && kind < AX_CUT_KINDS; kind++) {
		size_t n = cut_all(ax_cut_fn_of(kind, AX_CUT_SCALAR), kind, b, 128, want);

		for (enum ax_cut_isa isa = AX_CUT_BASE; isa <= AX_CUT_BEST; isa++)
			if (cut_all(ax_cut_fn_of(kind, isa), kind, b, 1 + b->n % 128, got) != n || memcmp(want, got, n * sizeof(*got)))
				abort();
	}
	free(want);
	free(got);
}

static void encode(const struct ax_tokenizer *t, struct ax_tok_scratch *s, const struct ax_buf *b, struct ax_ids *ids)
{
	struct ax_tok_scratch *own = NULL;

	if (!s && ax_tok_scratch_new(&own, t, NULL))
		return;
	if (ax_tokenizer_encode(t, b->p, b->n, AX_TOK_OFFSETS, ids, s ? s : own, NULL))
		abort();
	ax_tok_scratch_free(own);
}

static void same_ids(const struct ax_buf *b)
{
	struct ax_ids x = AX_IDS_INIT, y = AX_IDS_INIT, z = AX_IDS_INIT;

	encode(fast, old, b, &x);
	encode(fast, NULL, b, &y);
	encode(slow, NULL, b, &z);
	if (x.n != y.n || x.n != z.n)
		abort();
	for (size_t i = 0; i < x.n; i++)
		if (x.id[i] != y.id[i] || x.id[i] != z.id[i] || x.begin[i] != z.begin[i] || x.end[i] != z.end[i] || x.begin[i] != y.begin[i])
			abort();
	ax_ids_release(&x);
	ax_ids_release(&y);
	ax_ids_release(&z);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ax_buf b = AX_BUF_INIT;

	if (!fast) {
		fast = make(QWEN2 "," BYTES);
		slow = make(QWEN2 "," NOTHING "," BYTES);
		if (ax_tok_scratch_new(&old, fast, NULL))
			abort();
	}
	ax_utf8_repair(&b, (const char *)p, n < MAX_TEXT ? n : MAX_TEXT);
	if (b.n && !b.oom) {
		same_cuts(&b);
		same_ids(&b);
	}
	ax_buf_release(&b);
	return 0;
}
