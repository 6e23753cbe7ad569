/* A SentencePiece model as a tokenizer.json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "text/json.h"
#include "text/unicode.h"
#include "tok/bpe.h"
#include "tok/spm.h"
#include "tok/tokenizer_impl.h"

#define PIECE_MAX 4096 /* bytes: all cuts of a piece are looked up */

enum rules { RULES_PLAIN, RULES_LLAMA, RULES_GEMMA };

struct job {
	const struct ax_spm *m;
	const struct ax_val *config;
	enum rules rules;
	struct ax_vocab vocab; /* pieces to ids; of equal ones the last */
	struct {
		struct ax_slice text;
		uint32_t id;
	} fresh[8]; /* named special tokens that are no pieces */
	uint32_t n_fresh;
	struct ax_buf *out;
	struct ax_err *e;
};

static bool one_of(const struct ax_val *v, const char *const *list)
{
	for (; *list; list++)
		if (ax_val_is(v, *list))
			return true;
	return false;
}

/* The class that transformers 5.23's AutoTokenizer takes. */
static int find_rules(struct job *j, const struct ax_val *model)
{
	static const char *const plain_models[] = {"mistral", "mixtral", "ministral", "ministral3", "mistral3", "phi3",
						   "internlm2", "internlm3", "granite", "granitemoe", "stablelm",
						   "minicpm3", "nemotron", "jamba", "persimmon", "olmo2", NULL};
	static const char *const gemma_models[] = {"gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n", "gemma3n_text",
						   "recurrent_gemma", "shieldgemma2", NULL};
	static const char *const plain[] = {"TokenizersBackend", "PreTrainedTokenizer", "PreTrainedTokenizerFast", NULL};
	static const char *const llama[] = {"LlamaTokenizer", "LlamaTokenizerFast", NULL};
	static const char *const gemma[] = {"GemmaTokenizer", "GemmaTokenizerFast", NULL};
	const struct ax_val *type = ax_val_get(model, "model_type"), *cls = ax_val_get(j->config, "tokenizer_class");

	if (ax_val_is_null(cls))
		cls = ax_val_get(model, "tokenizer_class");
	if (ax_val_is_null(cls))
		j->rules = one_of(type, gemma_models) ? RULES_GEMMA : RULES_PLAIN;
	else if (one_of(type, plain_models) || one_of(cls, plain))
		j->rules = RULES_PLAIN;
	else if (one_of(cls, llama))
		j->rules = RULES_LLAMA;
	else if (one_of(cls, gemma))
		j->rules = RULES_GEMMA;
	else
		return ax_fail(j->e, AX_EDATA,
			       "tokenizer_class %.*s builds on a SentencePiece model by rules that are not known here: write a "
			       "tokenizer.json with transformers (AutoTokenizer.from_pretrained(..).save_pretrained(..))",
			       cls->type == AX_STR && cls->n < 60 ? (int)cls->n : 1, cls->type == AX_STR ? cls->u.s : "?");
	return 0;
}

static int check(const struct job *j)
{
	const struct ax_spm *m = j->m;

	if (m->model_type > 2)
		return ax_fail(j->e, AX_EDATA, "a SentencePiece model of %s is not supported; Unigram and BPE are",
			       m->model_type == 3 ? "words" : "characters");
	if (m->suffix_spaces || !m->escape_spaces)
		return ax_fail(j->e, AX_EDATA, "a SentencePiece model %s is not supported",
			       m->suffix_spaces ? "with treat_whitespace_as_suffix" : "without escape_whitespaces");
	for (size_t i = 0; i < m->n; i++)
		if (m->piece[i].text.n > PIECE_MAX)
			return ax_fail(j->e, AX_EDATA, "a SentencePiece model with a piece of more than %d bytes", PIECE_MAX);
	return 0;
}

static bool reads_as(const char *text, double x)
{
	struct ax_scan s = {text, text + strlen(text), text, false};
	double y, z = strtod(text, NULL);

	return !ax_scan_f64(&s, &y, NULL) && !memcmp(&x, &y, sizeof(x)) && !memcmp(&x, &z, sizeof(x));
}

/*
 * A decimal that is nearest to x, and of which ax_scan_f64, and so Hugging Face's reader, makes exactly x too if there is
 * one of up to 19 digits. There need not be: then that reader is off by the last bit, as with what transformers saves.
 */
static void put_number(struct ax_buf *b, double x)
{
	char text[64];

	for (int n = 0; n < 19; n++) {
		snprintf(text, sizeof(text), "%.*e", n, x);
		if (reads_as(text, x)) {
			ax_buf_adds(b, text);
			return;
		}
	}
	ax_buf_addf(b, "%.17g", x);
}

static void put_base64(struct ax_buf *b, struct ax_slice s)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < s.n; i += 3) {
		uint32_t w = 0;

		for (size_t k = 0; k < 3; k++)
			w = w << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			ax_buf_addc(b, i + k <= s.n ? digit[w >> (18 - 6 * k) & 63] : '=');
	}
}

static void put_text(struct job *j, struct ax_slice s)
{
	ax_json_write_str(j->out, s.p, s.n, 0);
}

static uint32_t id_of(const struct job *j, struct ax_slice s)
{
	return ax_vocab_find(&j->vocab, s.p, s.n);
}

/* All ways to join two pieces into a third, in the order of the thirds and then of the length of the first. */
static void put_merges(struct job *j)
{
	bool first = true;

	ax_buf_adds(j->out, ", \"merges\": [");
	for (size_t i = 0; i < j->m->n; i++) {
		struct ax_slice t = j->m->piece[i].text;
		size_t len;

		if (!t.n || id_of(j, t) != i)
			continue;
		for (size_t k = ax_utf8_len((unsigned char)t.p[0]); k < t.n; k += len) {
			struct ax_slice left = {t.p, k}, right = {t.p + k, t.n - k};

			len = ax_utf8_len((unsigned char)t.p[k]);
			if (id_of(j, left) == AX_TOK_NONE || id_of(j, right) == AX_TOK_NONE)
				continue;
			ax_buf_adds(j->out, first ? "\n    [" : ",\n    [");
			put_text(j, left);
			ax_buf_adds(j->out, ", ");
			put_text(j, right);
			ax_buf_addc(j->out, ']');
			first = false;
		}
	}
	ax_buf_adds(j->out, "]");
}

/* The id of a special token that is no piece and has got one. */
static uint32_t fresh_id(const struct job *j, struct ax_slice t)
{
	for (uint32_t i = 0; i < j->n_fresh; i++)
		if (j->fresh[i].text.n == t.n && !memcmp(j->fresh[i].text.p, t.p, t.n))
			return j->fresh[i].id;
	return AX_TOK_NONE;
}

/* A named special token: what the config says, else the class's; an empty slice: none. *v: the config's value. */
static struct ax_slice named(const struct job *j, const char *name, struct ax_slice fallback, const struct ax_val **v)
{
	const struct ax_val *text = ax_tok_special_text(ax_val_get(j->config, name));

	*v = ax_val_get(j->config, name);
	if (!*v)
		return fallback;
	return text ? (struct ax_slice){text->u.s, text->n} : (struct ax_slice){"", 0};
}

static struct ax_slice fallback_of(const struct job *j, const char *name)
{
	static const struct {
		const char *name, *llama, *gemma;
	} list[] = {{"bos_token", "<s>", "<bos>"},
		    {"eos_token", "</s>", "<eos>"},
		    {"unk_token", "<unk>", "<unk>"},
		    {"pad_token", "", "<pad>"},
		    {"mask_token", "", "<mask>"}};
	const struct ax_spm *m = j->m;
	const char *s = "";

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (!strcmp(name, list[i].name)) {
			s = j->rules == RULES_GEMMA ? list[i].gemma : list[i].llama;
			if (j->rules == RULES_PLAIN && i < 3)
				return i == 0 ? (m->bos_id < 0 ? (struct ax_slice){"", 0} : m->bos)
				     : i == 1 ? (m->eos_id < 0 ? (struct ax_slice){"", 0} : m->eos)
				     : m->unk_id < 0 ? (struct ax_slice){"", 0} : m->unk;
		}
	return (struct ax_slice){s, strlen(s)};
}

static const char *flag(const struct ax_val *v, const char *name)
{
	return ax_val_bool_or(ax_val_get(v, name), false) ? "true" : "false";
}

static void put_added(struct job *j, bool *first, uint32_t id, struct ax_slice text, bool special, const struct ax_val *v)
{
	ax_buf_addf(j->out, "%s\n    {\"id\": %u, \"content\": ", *first ? "" : ",", id);
	put_text(j, text);
	ax_buf_addf(j->out,
		    ", \"single_word\": %s, \"lstrip\": %s, \"rstrip\": %s, \"normalized\": %s, \"special\": %s}",
		    flag(v, "single_word"), flag(v, "lstrip"), flag(v, "rstrip"), flag(v, "normalized"),
		    special ? "true" : "false");
	*first = false;
}

/* Control and user-defined pieces, then named special tokens: those that have ids, then those that get new ones. */
static void put_added_tokens(struct job *j)
{
	bool first = true;

	ax_buf_adds(j->out, "  \"added_tokens\": [");
	for (size_t i = 0; i < j->m->n; i++) {
		const struct ax_spm_piece *x = &j->m->piece[i];

		if ((x->type == AX_SPM_CONTROL || x->type == AX_SPM_USER) && x->text.n && id_of(j, x->text) == i)
			put_added(j, &first, (uint32_t)i, x->text, x->type == AX_SPM_CONTROL, NULL);
	}
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; ax_tok_special_names[i]; i++) {
			const struct ax_val *v;
			struct ax_slice t =
			    named(j, ax_tok_special_names[i], fallback_of(j, ax_tok_special_names[i]), &v);
			uint32_t id = id_of(j, t);
			bool old = id != AX_TOK_NONE && (j->m->piece[id].type == AX_SPM_CONTROL);

			if (!t.n || old || (id != AX_TOK_NONE) != (pass == 0) || (pass && fresh_id(j, t) != AX_TOK_NONE))
				continue;
			if (pass) {
				id = (uint32_t)j->m->n + j->n_fresh;
				j->fresh[j->n_fresh].text = t;
				j->fresh[j->n_fresh++].id = id;
			}
			put_added(j, &first, id, t, true, v);
		}
	ax_buf_adds(j->out, first ? "],\n" : "\n  ],\n");
}

static void put_special(struct job *j, struct ax_slice t, int type)
{
	ax_buf_adds(j->out, "{\"SpecialToken\": {\"id\": ");
	put_text(j, t);
	ax_buf_addf(j->out, ", \"type_id\": %d}}", type);
}

/* bos and eos around a text, as add_bos_token and add_eos_token say. */
static void put_sequence(struct job *j, struct ax_slice bos, struct ax_slice eos, const char *name, int type)
{
	if (bos.n) {
		put_special(j, bos, type);
		ax_buf_adds(j->out, ", ");
	}
	ax_buf_addf(j->out, "{\"Sequence\": {\"id\": \"%s\", \"type_id\": %d}}", name, type);
	if (eos.n) {
		ax_buf_adds(j->out, ", ");
		put_special(j, eos, type);
	}
}

static void put_token(struct job *j, struct ax_slice t)
{
	uint32_t id = id_of(j, t) != AX_TOK_NONE ? id_of(j, t) : fresh_id(j, t);

	put_text(j, t);
	ax_buf_adds(j->out, ": {\"id\": ");
	put_text(j, t);
	ax_buf_addf(j->out, ", \"ids\": [%u], \"tokens\": [", id);
	put_text(j, t);
	ax_buf_adds(j->out, "]}");
}

static void put_processor(struct job *j)
{
	const struct ax_val *v;
	struct ax_slice none = {"", 0}, bos = none, eos = none;
	bool both;

	if (ax_val_bool_or(ax_val_get(j->config, "add_bos_token"), false))
		bos = named(j, "bos_token", fallback_of(j, "bos_token"), &v);
	if (ax_val_bool_or(ax_val_get(j->config, "add_eos_token"), false))
		eos = named(j, "eos_token", fallback_of(j, "eos_token"), &v);
	both = bos.n && eos.n && (bos.n != eos.n || memcmp(bos.p, eos.p, bos.n));
	ax_buf_adds(j->out, "  \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [");
	put_sequence(j, bos, eos, "A", 0);
	ax_buf_adds(j->out, "], \"pair\": [");
	put_sequence(j, bos, eos, "A", 0);
	ax_buf_adds(j->out, ", ");
	put_sequence(j, bos, eos, "B", 1);
	ax_buf_adds(j->out, "], \"special_tokens\": {");
	if (bos.n)
		put_token(j, bos);
	if (both)
		ax_buf_adds(j->out, ", ");
	if (both || (eos.n && !bos.n))
		put_token(j, eos);
	ax_buf_adds(j->out, "}},\n");
}

/* What comes before the model, and the decoder. */
static void put_parts(struct job *j)
{
	static const char replace[] =
	    "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\xE2\x96\x81\"}";
	bool prefix = ax_val_bool_or(ax_val_get(j->config, "add_prefix_space"), true),
	     legacy = ax_val_bool_or(ax_val_get(j->config, "legacy"), false),
	     bytes = j->rules != RULES_PLAIN || j->m->byte_fallback;

	if (j->rules == RULES_LLAMA) {
		ax_buf_addf(j->out,
			    "  \"normalizer\": null,\n  \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": "
			    "\"\xE2\x96\x81\", \"prepend_scheme\": \"%s\", \"split\": false},\n",
			    !prefix ? "never" : legacy ? "always" : "first");
	} else if (j->rules == RULES_GEMMA) {
		ax_buf_addf(j->out,
			    "  \"normalizer\": %s,\n  \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": "
			    "{\"String\": \" \"}, \"behavior\": \"MergedWithPrevious\", \"invert\": false},\n",
			    replace);
	} else {
		ax_buf_adds(j->out, "  \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [");
		if (j->m->charsmap.n) {
			ax_buf_adds(j->out, "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"");
			put_base64(j->out, j->m->charsmap);
			ax_buf_adds(j->out, "\"}, ");
		}
		ax_buf_addf(j->out, "%s]},\n  \"pre_tokenizer\": null,\n", replace);
	}
	put_processor(j);
	ax_buf_addf(j->out,
		    "  \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": {\"String\": "
		    "\"\xE2\x96\x81\"}, \"content\": \" \"}%s%s]},\n",
		    bytes ? ", {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}" : "",
		    j->rules == RULES_LLAMA && prefix ? ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}"
						      : "");
}

static int put_unigram(struct job *j)
{
	if (j->m->unk_id < 0 || (size_t)j->m->unk_id >= j->m->n)
		return ax_fail(j->e, AX_EDATA, "unk_id %d is no piece of the SentencePiece model", j->m->unk_id);
	ax_buf_addf(j->out, "  \"model\": {\"type\": \"Unigram\", \"unk_id\": %d, \"byte_fallback\": %s, \"vocab\": [", j->m->unk_id,
		    j->m->byte_fallback ? "true" : "false");
	for (size_t i = 0; i < j->m->n; i++) {
		ax_buf_adds(j->out, i ? ",\n    [" : "\n    [");
		put_text(j, j->m->piece[i].text);
		ax_buf_adds(j->out, ", ");
		put_number(j->out, (double)j->m->piece[i].score);
		ax_buf_addc(j->out, ']');
	}
	ax_buf_adds(j->out, "]}\n}\n");
	return 0;
}

static void put_bpe(struct job *j)
{
	const struct ax_val *v;
	struct ax_slice unk = j->rules == RULES_GEMMA ? named(j, "unk_token", fallback_of(j, "unk_token"), &v) : j->m->unk;

	ax_buf_adds(j->out, "  \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": ");
	if (j->rules == RULES_LLAMA)
		ax_buf_adds(j->out, "null");
	else
		put_text(j, unk);
	ax_buf_addf(j->out, ", \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": true, "
			    "\"byte_fallback\": %s, \"ignore_merges\": false, \"vocab\": {",
		    j->rules != RULES_PLAIN || j->m->byte_fallback ? "true" : "false");
	for (size_t i = 0, k = 0; i < j->m->n; i++) {
		if (id_of(j, j->m->piece[i].text) != i)
			continue;
		ax_buf_adds(j->out, k++ ? ",\n    " : "\n    ");
		put_text(j, j->m->piece[i].text);
		ax_buf_addf(j->out, ": %zu", i);
	}
	ax_buf_adds(j->out, "}");
	put_merges(j);
	ax_buf_adds(j->out, "}\n}\n");
}

int ax_spm_json(const struct ax_spm *m, const struct ax_val *config, const struct ax_val *model, struct ax_buf *json,
		struct ax_err *e)
{
	struct job j = {.m = m, .config = config, .out = json, .e = e};
	int rc;

	AX_TRY(find_rules(&j, model));
	AX_TRY(check(&j));
	AX_GOTO(ax_vocab_init(&j.vocab, m->n, e));
	for (size_t i = 0; i < m->n; i++)
		AX_GOTO(ax_vocab_add(&j.vocab, m->piece[i].text.p, m->piece[i].text.n, (uint32_t)i, e));
	ax_buf_adds(json, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
	put_added_tokens(&j);
	put_parts(&j);
	if (j.rules == RULES_PLAIN && m->model_type == 1)
		AX_GOTO(put_unigram(&j));
	else
		put_bpe(&j);
	if (json->oom)
		rc = ax_fail(e, AX_EMEM, "out of memory for the tokenizer");
out:
	ax_vocab_release(&j.vocab);
	return rc;
}

char *ax_spm_find(const char *dir)
{
	static const char *const names[] = {"tokenizer.model", "spm.model"};

	for (size_t i = 0; i < 2; i++) {
		char *path = ax_path_join(dir, names[i]);

		if (path && ax_path_exists(path))
			return path;
		ax_free(path);
	}
	return NULL;
}

int ax_spm_file_json(const char *path, const struct ax_val *config, const struct ax_val *model, struct ax_buf *json,
		     struct ax_err *e)
{
	struct ax_map file = {NULL, 0};
	struct ax_spm m = {0};
	int rc;

	AX_TRY(ax_map_open(&file, path, e));
	rc = ax_spm_read(&m, (const char *)file.p, file.n, e);
	if (!rc)
		rc = ax_spm_json(&m, config, model, json, e);
	if (rc)
		ax_err_prefix(e, "%s: ", path);
	ax_spm_release(&m);
	ax_map_close(&file);
	return rc;
}
