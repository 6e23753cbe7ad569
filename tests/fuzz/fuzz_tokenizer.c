/*
 * A tokenizer.json, a NUL, and a text to encode. What loads must encode any text without a fault, give ids that exist,
 * and offsets inside the text. Its ids, and any others, decode to UTF-8.
 */
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"
#include "tok/decode.h"
#include "tok/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void decode(const struct ax_tokenizer *t, const uint32_t *id, size_t n)
{
	struct ax_buf b = AX_BUF_INIT;

	for (unsigned flags = 0; flags <= AX_DECODE_SKIP_SPECIAL; flags++)
		if (!ax_tokenizer_decode(t, id, n, flags, &b, NULL) && b.n && ax_utf8_check(b.p, b.n) != b.n)
			abort();
	ax_buf_release(&b);
}

static void encode(const struct ax_tokenizer *t, const char *text, size_t n, unsigned flags)
{
	struct ax_ids out = AX_IDS_INIT;
	struct ax_tok_scratch *s;
	size_t len;

	if (ax_tok_scratch_new(&s, t, NULL))
		return;
	for (int round = 0; round < 2; round++) { /* the second time from the cache */
		size_t first = out.n;

		ax_ids_reset(&out);
		if (ax_tokenizer_encode(t, text, n, flags | AX_TOK_OFFSETS, &out, s, NULL))
			break;
		if (round && out.n != first)
			abort();
		for (size_t i = 0; i < out.n; i++)
			if (!ax_tokenizer_piece(t, out.id[i], &len) || out.begin[i] > out.end[i] || out.end[i] > n)
				abort();
	}
	decode(t, out.id, out.n);
	ax_ids_release(&out);
	ax_tok_scratch_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const uint8_t *nul = n ? memchr(p, 0, n) : NULL;
	size_t n_json = nul ? (size_t)(nul - p) : n;
	struct ax_tokenizer *t;
	uint32_t any[64];

	if (ax_tokenizer_parse(&t, (const char *)p, n_json, NULL))
		return 0;
	encode(t, nul ? (const char *)nul + 1 : "", nul ? n - n_json - 1 : 0, AX_TOK_SPECIAL);
	encode(t, nul ? (const char *)nul + 1 : "", nul ? n - n_json - 1 : 0, AX_TOK_NO_SPLIT);
	for (size_t i = 0; i < 64; i++)
		any[i] = n ? (uint32_t)(p[(i * 7919) % n] % (i < 40 ? 64 : 256)) : 0;
	decode(t, any, 64);
	ax_tokenizer_free(t);
	return 0;
}
