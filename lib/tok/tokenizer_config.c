/*
 * What transformers adds to a tokenizer.json when it loads a folder, and what identifies a tokenizer.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "tok/tokenizer_impl.h"

const char *const ax_tok_special_names[] = {"bos_token", "eos_token", "unk_token",  "sep_token",
					    "pad_token", "cls_token", "mask_token", NULL};

const struct ax_val *ax_tok_special_text(const struct ax_val *v)
{
	if (v && v->type == AX_MAP)
		v = ax_val_get(v, "content");
	return v && v->type == AX_STR && v->n ? v : NULL;
}

/* Flags of an added token's map; what is absent takes transformers' defaults. */
static struct ax_tok_added token_of(const struct ax_val *v, const struct ax_val *content, bool special)
{
	struct ax_tok_added tok = {.content = content->u.s, .content_n = content->n};

	tok.special = special || ax_val_bool_or(ax_val_get(v, "special"), false);
	tok.single_word = ax_val_bool_or(ax_val_get(v, "single_word"), false);
	tok.lstrip = ax_val_bool_or(ax_val_get(v, "lstrip"), false);
	tok.rstrip = ax_val_bool_or(ax_val_get(v, "rstrip"), false);
	tok.normalized = ax_val_bool_or(ax_val_get(v, "normalized"), v->type == AX_MAP && !tok.special);
	return tok;
}

struct entry {
	long id;
	const struct ax_val *v;
};

static int by_id(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;

	return a->id < b->id ? -1 : a->id > b->id;
}

/* added_tokens_decoder {"id": {"content", flags}}, in the order of ids. What is there already changes nothing. */
static int apply_decoder(struct ax_tokenizer *t, const struct ax_val *map, struct ax_err *e)
{
	struct entry *list;
	int rc = 0;

	if (!map || map->type != AX_MAP || !map->n)
		return 0;
	list = ax_calloc(map->n, sizeof(*list));
	if (!list)
		return ax_fail(e, AX_EMEM, "out of memory");
	for (size_t i = 0; i < map->n; i++)
		list[i] = (struct entry){strtol(map->u.pair[i].key, NULL, 10), map->u.pair[i].val};
	qsort(list, map->n, sizeof(*list), by_id);
	for (size_t i = 0; !rc && i < map->n; i++) {
		const struct ax_val *content = ax_tok_special_text(list[i].v);
		struct ax_tok_added tok;

		if (!content)
			continue;
		tok = token_of(list[i].v, content, false);
		rc = ax_tok_add_quietly(t, &tok, 1, e);
	}
	ax_free(list);
	return rc;
}

/* A named special token: one that is an added token already stays as it is. */
static int apply_named(struct ax_tokenizer *t, const struct ax_val *v, struct ax_err *e)
{
	const struct ax_val *content = ax_tok_special_text(v);
	struct ax_tok_added tok;

	if (!content || ax_vocab_find(&t->names, content->u.s, content->n) != AX_TOK_NONE)
		return 0;
	tok = token_of(v, content, true);
	return ax_tok_add_quietly(t, &tok, 1, e);
}

int ax_tok_apply_config(struct ax_tokenizer *t, const struct ax_val *config, const struct ax_val *map, struct ax_err *e)
{
	static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
	const struct ax_val *decoder = ax_val_get(config, "added_tokens_decoder");

	AX_TRY(apply_decoder(t, decoder, e));
	for (size_t i = 0; ax_tok_special_names[i]; i++) {
		const struct ax_val *v = ax_val_get(config, ax_tok_special_names[i]);

		if (!v && !decoder) /* the older layout keeps them in a file of their own */
			v = ax_val_get(map, ax_tok_special_names[i]);
		AX_TRY(apply_named(t, v, e));
	}
	for (size_t k = 0; k < 2; k++) {
		const struct ax_val *list = ax_val_get(config, lists[k]);

		if (!list && !decoder)
			list = ax_val_get(map, lists[k]);
		for (size_t i = 0; list && list->type == AX_LIST && i < list->n; i++)
			AX_TRY(apply_named(t, list->u.item[i], e));
	}
	return 0;
}

static void add_text(struct ax_buf *b, const char *p, size_t n)
{
	ax_buf_add_u64(b, n);
	ax_buf_add(b, p, n);
}

bool ax_tokenizer_fingerprint(const struct ax_tokenizer *t, char out[33])
{
	const struct ax_bpe *m = &t->model.bpe;
	struct ax_buf b = AX_BUF_INIT;
	uint64_t merges = 0;
	bool ok;

	for (size_t i = 0; i < m->n_merge; i++) /* a sum: their order means nothing */
		if (m->merge[i].left != AX_TOK_NONE)
			merges +=
			    ax_mix64(ax_mix64((uint64_t)m->merge[i].left << 32 | m->merge[i].right) ^ m->merge[i].rank);
	ax_buf_add_u64(&b, merges);
	ax_buf_add_u64(&b, t->parts_hash);
	ax_model_describe(&t->model, &b);
	for (size_t i = 0; i < t->n_added; i++) {
		const struct ax_tok_added *a = &t->added[i];

		ax_buf_addf(&b, "%u %d%d%d%d%d ", a->id, a->special, a->lstrip, a->rstrip, a->single_word,
			    a->normalized);
		add_text(&b, a->content, a->content_n);
	}
	for (size_t i = 0; i < t->n_prefix; i++)
		ax_buf_addf(&b, "<%u", t->prefix[i]);
	for (size_t i = 0; i < t->n_suffix; i++)
		ax_buf_addf(&b, ">%u", t->suffix[i]);
	ok = !b.oom;
	if (ok)
		ax_hash128_hex(b.p, b.n, out);
	ax_buf_release(&b);
	return ok;
}
