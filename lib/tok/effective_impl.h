/*
 * What ax_effective_open keeps for ax_effective_write; internal to tok/effective.
 */
#ifndef AX_TOK_EFFECTIVE_IMPL_H
#define AX_TOK_EFFECTIVE_IMPL_H

#include "base/io.h"
#include "tok/effective.h"
#include "tok/tokenizer_impl.h"

struct ax_effective_files {
	struct ax_buf json;     /* tokenizer.json, added_tokens_overrides applied */
	bool made;              /* from a SentencePiece model */
	struct ax_val *config;  /* tokenizer_config.json, NULL: none */
	struct ax_val *map;     /* special_tokens_map.json, NULL: none */
	struct ax_val *generation; /* generation_config.json, NULL: none */
	struct ax_val *model;   /* config.json, NULL: none */
	struct ax_val *additional; /* list: additional special tokens' texts */
};

/* Rewrite the tokens with the ids in `map` in added_tokens and in the vocabulary. */
int ax_effective_override(struct ax_buf *json, struct ax_val *config, const struct ax_val *map, struct ax_arena *a,
			  struct ax_err *e);

/* Choose the template text of f by the settings and the tokenizer's own files in dir. */
int ax_effective_template(struct ax_effective *f, const struct ax_tok_spec *spec, const char *dir, struct ax_err *e);


/* Where the value of a top-level key lies in JSON text; *found false: there is no such key. */
int ax_json_locate(const char *p, size_t n, const char *key, struct ax_slice *value, bool *found, struct ax_err *e);

#endif
