#include <string.h>

#include "tok/tokenizer_impl.h"

/* Append id to a list of ids. */
static int push(struct ax_tokenizer *t, bool after, int64_t id, struct ax_err *e)
{
	uint32_t **list = after ? &t->suffix : &t->prefix;
	size_t *n = after ? &t->n_suffix : &t->n_prefix;
	uint32_t *q;

	if (id < 0 || id >= AX_TOK_MAX_ID || !ax_tokenizer_piece(t, (uint32_t)id, &(size_t){0}))
		return ax_fail(e, AX_EDATA, "post_processor: id %lld is no token", (long long)id);
	if (*n >= 64)
		return ax_fail(e, AX_EDATA, "post_processor: more than 64 special tokens");
	q = ax_realloc_array(*list, *n + 1, sizeof(*q));
	if (!q)
		return ax_fail(e, AX_EMEM, "out of memory");
	*list = q;
	q[(*n)++] = (uint32_t)id;
	return 0;
}

/* "single": special tokens around exactly one $A. */
static int load_template(struct ax_tokenizer *t, const struct ax_val *v, struct ax_err *e)
{
	const struct ax_val *single = ax_val_get(v, "single"), *tokens = ax_val_get(v, "special_tokens");
	bool seen = false;

	if (!single || single->type != AX_LIST)
		return ax_fail(e, AX_EDATA, "post_processor: TemplateProcessing without \"single\"");
	for (size_t i = 0; i < single->n; i++) {
		const struct ax_val *special = ax_val_get(single->u.item[i], "SpecialToken");
		const struct ax_val *name = ax_val_get(special, "id"), *ids = NULL;

		if (ax_val_get(single->u.item[i], "Sequence")) {
			if (seen)
				return ax_fail(e, AX_EDATA,
					       "post_processor: a template with the text twice is not supported");
			seen = true;
			continue;
		}
		for (size_t k = 0; name && name->type == AX_STR && tokens && tokens->type == AX_MAP && k < tokens->n;
		     k++)
			if (tokens->u.pair[k].key_n == name->n && !memcmp(tokens->u.pair[k].key, name->u.s, name->n))
				ids = ax_val_get(tokens->u.pair[k].val, "ids");
		if (!ids || ids->type != AX_LIST)
			return ax_fail(e, AX_EDATA,
				       "post_processor: the template names a special token that it does not define");
		for (size_t k = 0; k < ids->n; k++)
			AX_TRY(push(t, seen, ax_val_int_or(ids->u.item[k], -1), e));
	}
	if (!seen)
		return ax_fail(e, AX_EDATA, "post_processor: a template without the text is not supported");
	return 0;
}

/* ["</s>", 2] */
static int push_pair(struct ax_tokenizer *t, const struct ax_val *pair, bool after, struct ax_err *e)
{
	return push(t, after, ax_val_int_or(ax_val_at(pair, 1), -1), e);
}

static int load_one(struct ax_tokenizer *t, const struct ax_val *v, int depth, struct ax_err *e)
{
	const struct ax_val *type = ax_val_get(v, "type"), *list = ax_val_get(v, "processors");

	if (ax_val_is(type, "ByteLevel")) /* trims offsets, adds nothing */
		return 0;
	if (ax_val_is(type, "TemplateProcessing"))
		return load_template(t, v, e);
	if (ax_val_is(type, "BertProcessing") || ax_val_is(type, "RobertaProcessing")) {
		AX_TRY(push_pair(t, ax_val_get(v, "cls"), false, e));
		return push_pair(t, ax_val_get(v, "sep"), true, e);
	}
	if (ax_val_is(type, "Sequence") && list && list->type == AX_LIST && depth < AX_MAX_STAGES) {
		for (size_t i = 0; i < list->n; i++) {
			size_t before = t->n_prefix + t->n_suffix, old_prefix = t->n_prefix;

			AX_TRY(load_one(t, list->u.item[i], depth + 1, e));
			/* a later processor wraps what an earlier one made: its prefix comes first */
			if (before && t->n_prefix > old_prefix && old_prefix) {
				uint32_t tmp[128];
				size_t fresh = t->n_prefix - old_prefix;

				memcpy(tmp, t->prefix + old_prefix, fresh * sizeof(*tmp));
				memcpy(tmp + fresh, t->prefix, old_prefix * sizeof(*tmp));
				memcpy(t->prefix, tmp, t->n_prefix * sizeof(*tmp));
			}
		}
		return 0;
	}
	return ax_fail(e, AX_EDATA, "post_processor of type %.*s is not supported",
		       type && type->type == AX_STR && type->n < 40 ? (int)type->n : 1,
		       type && type->type == AX_STR ? type->u.s : "?");
}

int ax_tok_post_load(struct ax_tokenizer *t, const struct ax_val *v, struct ax_err *e)
{
	return ax_val_is_null(v) ? 0 : load_one(t, v, 0, e);
}
