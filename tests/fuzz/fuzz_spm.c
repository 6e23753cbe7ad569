/*
 * A settings byte, a length (2 bytes, little-endian), a SentencePiece model of so many bytes, and a text to encode. What is
 * read and can be written as a tokenizer.json must load as one and encode any text without a fault.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/json.h"
#include "tok/spm.h"
#include "tok/tokenizer_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char *const configs[] = {
	"{}", "{\"add_bos_token\":true,\"add_eos_token\":true,\"pad_token\":\"<pad>\"}", "{\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":true}",
	"{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":true,\"unk_token\":null}", "{\"tokenizer_class\":\"GemmaTokenizer\",\"add_bos_token\":true}",
};

static void encode(const struct ax_tokenizer *t, const char *text, size_t n)
{
	struct ax_ids out = AX_IDS_INIT;
	struct ax_tok_scratch *s;
	size_t len;

	if (ax_tok_scratch_new(&s, t, NULL))
		return;
	if (!ax_tokenizer_encode(t, text, n, AX_TOK_SPECIAL | AX_TOK_OFFSETS, &out, s, NULL))
		for (size_t i = 0; i < out.n; i++)
			if (!ax_tokenizer_piece(t, out.id[i], &len) || out.begin[i] > out.end[i] || out.end[i] > n)
				abort();
	ax_ids_release(&out);
	ax_tok_scratch_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	size_t n_model = n < 3 ? 0 : (size_t)p[1] | (size_t)p[2] << 8;
	struct ax_buf json = AX_BUF_INIT;
	struct ax_tokenizer *t = NULL;
	struct ax_arena a;
	struct ax_val *config;
	struct ax_err e = { 0 };
	struct ax_spm m;

	if (n < 3 || n_model > n - 3 || ax_spm_read(&m, (const char *)p + 3, n_model, NULL))
		return 0;
	ax_arena_init(&a, 0);
	if (!ax_json_parse(&a, configs[p[0] % 5], strlen(configs[p[0] % 5]), &config, NULL) && !ax_spm_json(&m, config, NULL, &json, NULL)) {
		/* what is written is JSON in any case; a token may be missing from it, or the map malformed */
		if (!ax_tok_build(&t, json.p, json.n, true, config, NULL, &e))
			encode(t, (const char *)p + 3 + n_model, n - 3 - n_model);
		else if (strstr(e.msg, "byte "))
			abort();
	}
	ax_tokenizer_free(t);
	ax_buf_release(&json);
	ax_arena_release(&a);
	ax_spm_release(&m);
	return 0;
}
