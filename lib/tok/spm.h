/*
 * SentencePiece models (tokenizer.model): reading them, and writing the tokenizer.json that transformers 5 makes of them.
 *
 *	struct ax_spm m;
 *	AX_TRY(ax_spm_read(&m, p, n, e));               // slices of p[0..n), which must stay
 *	AX_TRY(ax_spm_json(&m, config, model, &json, e));
 *	ax_spm_release(&m);
 *
 * The tokenizer.json has the rules of the class that transformers 5.23 takes for the folder: its plain class (BPE by merges
 * where the model is BPE, else Unigram; spaces as ▁, the model's own character map, nothing put before the text), or what
 * LlamaTokenizer and GemmaTokenizer build. Like them it does not look at the model's add_dummy_prefix and
 * remove_extra_whitespaces, and neither is it SentencePiece's own encoder. Other classes, and models that these rules
 * cannot serve (WORD and CHAR models, treat_whitespace_as_suffix, spaces not escaped), are refused.
 */
#ifndef AX_TOK_SPM_H
#define AX_TOK_SPM_H

#include "base/buf.h"
#include "base/err.h"
#include "text/val.h"
#include "tok/tokenizer_scan.h"

enum ax_spm_type { AX_SPM_NORMAL = 1, AX_SPM_UNKNOWN, AX_SPM_CONTROL, AX_SPM_USER, AX_SPM_UNUSED, AX_SPM_BYTE };

struct ax_spm {
	struct ax_spm_piece {
		struct ax_slice text; /* UTF-8 */
		float score;
		enum ax_spm_type type;
	} *piece; /* by id */
	size_t n, cap;
	int32_t model_type; /* 1 Unigram, 2 BPE, 3 word, 4 character */
	bool byte_fallback, suffix_spaces, escape_spaces;
	int32_t unk_id, bos_id, eos_id; /* < 0: none */
	struct ax_slice unk, bos, eos;
	struct ax_slice charsmap; /* n == 0: none */
};

/* From the bytes of a .model file (a protobuf message). AX_EDATA: malformed, with the byte. */
int ax_spm_read(struct ax_spm *m, const char *p, size_t n, struct ax_err *e);
void ax_spm_release(struct ax_spm *m);

/* Append the tokenizer.json. config: tokenizer_config.json, model: config.json; both may be NULL. */
int ax_spm_json(const struct ax_spm *m, const struct ax_val *config, const struct ax_val *model, struct ax_buf *json,
		struct ax_err *e);
/* The same of a file; errors name it. */
int ax_spm_file_json(const char *path, const struct ax_val *config, const struct ax_val *model, struct ax_buf *json,
		     struct ax_err *e);
/* The SentencePiece model of a folder (ax_free): tokenizer.model or spm.model; NULL if there is none. */
char *ax_spm_find(const char *dir);

#endif
