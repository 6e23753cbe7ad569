/*
 * The effective tokenizer: what a run really uses. Built from a model folder and the run's settings, by one function for
 * every tool, so that ids, embedding size and the files written beside a checkpoint cannot disagree.
 *
 *	struct ax_tok_spec spec = { .model_dir = "Llama-3.2-1B", .tokens = ..., .special_tokens = ... };
 *	struct ax_effective *f;
 *
 *	AX_TRY(ax_effective_open(&f, &spec, e));
 *	f->tok, f->pad, f->bos, f->eos, f->n_embed, f->fingerprint, f->template_text ...
 *	AX_TRY(ax_effective_write(f, "out", e));        // AutoTokenizer.from_pretrained("out") gives the same ids
 *	ax_effective_free(f);
 *
 * Order, as Axolotl: added_tokens_overrides rewrite the file's tokens; special_tokens are set, and those without an id
 * are added; the pad fallback; then `tokens` are added as ordinary added tokens.
 *
 * A SentencePiece model (tok/spm.h) stands for the tokenizer.json that is written of it. A model folder without a tokenizer
 * (rows that are already ids) gives tok == NULL: ids come from config.json, and
 * setting tokens is an error.
 */
#ifndef AX_TOK_EFFECTIVE_H
#define AX_TOK_EFFECTIVE_H

#include "base/err.h"
#include "base/mem.h"
#include "text/val.h"
#include "tok/tokenizer.h"

/* Settings, named as Axolotl's keys; NULL or an AX_NULL value is unset. Nothing is kept after ax_effective_open. */
struct ax_tok_spec {
	const char *model_dir;     /* config.json, generation_config.json, and the tokenizer unless tokenizer_dir is set */
	const char *tokenizer_dir; /* tokenizer_config: another folder with the tokenizer's files */
	const struct ax_val *special_tokens; /* map: bos_token, eos_token, pad_token, .., additional_special_tokens [..] */
	const struct ax_val *tokens;                 /* list of strings */
	const struct ax_val *added_tokens_overrides; /* map: id (integer, or a string of digits) -> string */
	/* "tokenizer_default", "tokenizer_default_fallback_NAME", "jinja", or a bundled name ("chatml") */
	const char *chat_template;
	const char *chat_template_jinja; /* template text for chat_template "jinja" */
	bool resize_to_32x;              /* resize_token_embeddings_to_32x */
	bool shrink;                     /* shrink_embeddings: n_embed may be smaller than the model's */
};

struct ax_effective {
	struct ax_tokenizer *tok;               /* NULL: the folder has none */
	uint32_t bos, eos, pad, unk;            /* AX_TOK_NONE where there is none */
	const char *bos_text, *eos_text, *pad_text, *unk_text; /* NULL where there is none */
	const struct ax_val *template_vars;     /* map of the special tokens' texts, as templates see them (bos_token, ...) */
	uint32_t n_tokens;                      /* len(tokenizer); 0 without a tokenizer */
	uint32_t n_embed_old;                   /* rows of the model's embedding: config.json's vocab_size; 0 without one */
	uint32_t n_embed;                       /* rows it must have: only more than n_embed_old where the tokenizer is larger */
	char fingerprint[33];                   /* of all that decides ids: hex digits and NUL */
	const char *template_text;              /* NULL: no chat template */
	const char *template_name;              /* where it is from: "chatml", "tokenizer_config.json", ... */
	bool add_bos, add_eos;                  /* does encoding with AX_TOK_SPECIAL begin with bos, end with eos? */
	struct ax_arena arena;                  /* owns all of the above but tok */
	struct ax_effective_files *files;       /* what ax_effective_write needs */
};

/* Errors: AX_EUSAGE for settings (unknown special token name, override of an id that is no added token), AX_EDATA for files. */
int ax_effective_open(struct ax_effective **f, const struct ax_tok_spec *spec, struct ax_err *e);
void ax_effective_free(struct ax_effective *f);

/*
 * Write tokenizer.json, tokenizer_config.json, special_tokens_map.json, chat_template.jinja and generation_config.json
 * into the existing folder `dir`. Writes nothing for a model without a tokenizer, but generation_config.json if it has one.
 * eos ids of generation_config.json: those of the model, with f->eos and the `n_turn_end` ids of trained turn ends
 * (e.g. <|im_end|>) put in if they are missing.
 */
int ax_effective_write(const struct ax_effective *f, const char *dir, const uint32_t *turn_end, size_t n_turn_end,
		       struct ax_err *e);

/* A bundled template by name ("chatml", ...); NULL if there is none. */
const char *ax_chat_template_bundled(const char *name);
/* Their names; NULL from the last on. */
const char *ax_chat_template_name(size_t i);

#endif
