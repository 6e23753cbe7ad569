#include <string.h>

#include "tok/tokenizer_impl.h"

#define MAX_ITEMS 256
#define TEXT	  AX_TOK_NONE

/*
 * What post-processors make of one text: parts, one after the other, each of ids and at most one place for the text. As in
 * Hugging Face's code a template leaves each of its pieces as a part of its own, and a processor behind it puts its tokens
 * around every part.
 */
struct parts {
	uint32_t item[MAX_ITEMS];
	size_t end[MAX_ITEMS]; /* part i ends before item[end[i]] */
	size_t n_item, n;
};

static int add_item(struct parts *p, uint32_t item, struct ax_err *e)
{
	if (p->n_item == MAX_ITEMS)
		return ax_fail(e, AX_EDATA, "post_processor: more than %d special tokens", MAX_ITEMS);
	p->item[p->n_item++] = item;
	return 0;
}

static int end_part(struct parts *p, struct ax_err *e)
{
	if (p->n == MAX_ITEMS)
		return ax_fail(e, AX_EDATA, "post_processor: more than %d parts", MAX_ITEMS);
	p->end[p->n++] = p->n_item;
	return 0;
}

static int add_id(const struct ax_tokenizer *t, struct parts *p, const struct ax_val *v, struct ax_err *e)
{
	int64_t id = ax_val_int_or(v, -1);

	if (id < 0 || id >= AX_TOK_MAX_ID || !ax_tokenizer_piece(t, (uint32_t)id, &(size_t){0}))
		return ax_fail(e, AX_EDATA, "post_processor: id %lld is no token", (long long)id);
	return add_item(p, (uint32_t)id, e);
}

/* The items of part i of `from`. */
static int add_part(struct parts *p, const struct parts *from, size_t i, struct ax_err *e)
{
	for (size_t k = i ? from->end[i - 1] : 0; k < from->end[i]; k++)
		AX_TRY(add_item(p, from->item[k], e));
	return 0;
}

static const struct ax_val *special_ids(const struct ax_val *tokens, const struct ax_val *name)
{
	for (size_t k = 0; name && name->type == AX_STR && tokens && tokens->type == AX_MAP && k < tokens->n; k++)
		if (tokens->u.pair[k].key_n == name->n && !memcmp(tokens->u.pair[k].key, name->u.s, name->n))
			return ax_val_get(tokens->u.pair[k].val, "ids");
	return NULL;
}

/* One piece of a template as a part of its own. */
static int add_piece(const struct ax_tokenizer *t, struct parts *p, const struct parts *old, const struct ax_val *piece,
		     const struct ax_val *tokens, struct ax_err *e)
{
	const struct ax_val *sequence = ax_val_get(piece, "Sequence"), *ids;
	size_t which = ax_val_is(ax_val_get(sequence, "id"), "B");

	if (sequence) {
		if (which >= old->n)
			return ax_fail(e, AX_EDATA, "post_processor: a template for one text names a second");
		AX_TRY(add_part(p, old, which, e));
		return end_part(p, e);
	}
	ids = special_ids(tokens, ax_val_get(ax_val_get(piece, "SpecialToken"), "id"));
	if (!ids || ids->type != AX_LIST)
		return ax_fail(e, AX_EDATA, "post_processor: the template names a special token that it does not define");
	for (size_t k = 0; k < ids->n; k++)
		AX_TRY(add_id(t, p, ids->u.item[k], e));
	return end_part(p, e);
}

/* "single", or "pair" where an earlier processor left two parts. */
static int run_template(const struct ax_tokenizer *t, struct parts *p, const struct ax_val *v, struct ax_err *e)
{
	const struct ax_val *list = ax_val_get(v, p->n == 2 ? "pair" : "single");
	struct parts old = *p;

	if (!list || list->type != AX_LIST)
		return ax_fail(e, AX_EDATA, "post_processor: TemplateProcessing without \"%s\"",
			       p->n == 2 ? "pair" : "single");
	if (p->n > 2)
		return ax_fail(e, AX_EDATA, "post_processor: a template behind one of %zu pieces", p->n);
	p->n = p->n_item = 0;
	for (size_t i = 0; i < list->n; i++)
		AX_TRY(add_piece(t, p, &old, list->u.item[i], ax_val_get(v, "special_tokens"), e));
	return 0;
}

/* cls and sep around the first part; behind every other sep, and with Roberta before it too. */
static int run_bert(const struct ax_tokenizer *t, struct parts *p, const struct ax_val *v, bool roberta, struct ax_err *e)
{
	const struct ax_val *cls = ax_val_at(ax_val_get(v, "cls"), 1), *sep = ax_val_at(ax_val_get(v, "sep"), 1);
	struct parts old = *p;

	p->n = p->n_item = 0;
	for (size_t i = 0; i < old.n; i++) {
		if (i == 0 || roberta)
			AX_TRY(add_id(t, p, i ? sep : cls, e));
		AX_TRY(add_part(p, &old, i, e));
		AX_TRY(add_id(t, p, sep, e));
		AX_TRY(end_part(p, e));
	}
	return 0;
}

static int run_one(const struct ax_tokenizer *t, struct parts *p, const struct ax_val *v, int depth, struct ax_err *e)
{
	const struct ax_val *type = ax_val_get(v, "type"), *list = ax_val_get(v, "processors");

	if (ax_val_is(type, "ByteLevel")) /* trims offsets, adds nothing */
		return 0;
	if (ax_val_is(type, "TemplateProcessing"))
		return run_template(t, p, v, e);
	if (ax_val_is(type, "BertProcessing") || ax_val_is(type, "RobertaProcessing"))
		return run_bert(t, p, v, ax_val_is(type, "RobertaProcessing"), e);
	if (ax_val_is(type, "Sequence") && list && list->type == AX_LIST && depth < AX_MAX_STAGES) {
		for (size_t i = 0; i < list->n; i++)
			AX_TRY(run_one(t, p, list->u.item[i], depth + 1, e));
		return 0;
	}
	return ax_fail(e, AX_EDATA, "post_processor of type %.*s is not supported",
		       type && type->type == AX_STR && type->n < 40 ? (int)type->n : 1,
		       type && type->type == AX_STR ? type->u.s : "?");
}

/* The ids [from, to) of p as a list. */
static int take(const struct parts *p, size_t from, size_t to, uint32_t **list, size_t *n, struct ax_err *e)
{
	*n = to - from;
	if (!*n)
		return 0;
	*list = ax_malloc(*n * sizeof(**list));
	if (!*list)
		return ax_fail(e, AX_EMEM, "out of memory");
	memcpy(*list, p->item + from, *n * sizeof(**list));
	return 0;
}

int ax_tok_post_load(struct ax_tokenizer *t, const struct ax_val *v, struct ax_err *e)
{
	struct parts p = {.item = {TEXT}, .end = {1}, .n_item = 1, .n = 1};
	size_t at = 0, times = 0;

	if (ax_val_is_null(v))
		return 0;
	AX_TRY(run_one(t, &p, v, 0, e));
	for (size_t i = 0; i < p.n_item; i++)
		if (p.item[i] == TEXT) {
			at = i;
			times++;
		}
	if (times != 1)
		return ax_fail(e, AX_EDATA, "post_processor: a template %s is not supported",
			       times ? "with the text twice" : "without the text");
	AX_TRY(take(&p, 0, at, &t->prefix, &t->n_prefix, e));
	return take(&p, at + 1, p.n_item, &t->suffix, &t->n_suffix, e);
}
