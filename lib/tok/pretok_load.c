#include <string.h>

#include "tok/pretok.h"

static int add(struct ax_pretok *s, enum ax_pre_kind kind, enum ax_pre_behavior behavior, struct ax_pre_stage **st,
	       struct ax_err *e)
{
	if (s->n == AX_MAX_STAGES)
		return ax_fail(e, AX_EDATA, "more than %d pre-tokenizers", AX_MAX_STAGES);
	*st = &s->stage[s->n++];
	(*st)->kind = kind;
	(*st)->behavior = behavior;
	return 0;
}

static int take_behavior(const struct ax_val *v, enum ax_pre_behavior *b, struct ax_err *e)
{
	static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
					    "Contiguous"};
	const struct ax_val *s = ax_val_get(v, "behavior");

	if (!s)
		return 0;
	for (int i = 0; i < 5; i++)
		if (ax_val_is(s, names[i])) {
			*b = (enum ax_pre_behavior)i;
			return 0;
		}
	return ax_fail(e, AX_EDATA, "pre_tokenizer: unknown behavior");
}

static int take_text(struct ax_pre_stage *st, const struct ax_val *s, const char *name, struct ax_err *e)
{
	if (!s || s->type != AX_STR || !s->n)
		return ax_fail(e, AX_EDATA, "pre_tokenizer: %s is missing, empty or not a string", name);
	st->text = ax_strndup(s->u.s, s->n);
	st->text_n = s->n;
	return st->text ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

static bool one_char(const struct ax_pre_stage *st)
{
	return ax_utf8_len((unsigned char)st->text[0]) == st->text_n;
}

static int load_split(struct ax_pretok *s, const struct ax_val *v, struct ax_err *e)
{
	const struct ax_val *pattern = ax_val_get(v, "pattern"), *rx = ax_val_get(pattern, "Regex");
	struct ax_pre_stage *st = NULL;

	AX_TRY(add(s, AX_PRE_LITERAL, AX_PRE_ISOLATED, &st, e));
	if (!ax_val_get(v, "behavior"))
		return ax_fail(e, AX_EDATA, "pre_tokenizer: Split without behavior");
	AX_TRY(take_behavior(v, &st->behavior, e));
	st->invert = ax_val_bool_or(ax_val_get(v, "invert"), false);
	if (!rx)
		return take_text(st, ax_val_get(pattern, "String"), "Split's pattern", e);
	if (rx->type != AX_STR)
		return ax_fail(e, AX_EDATA, "pre_tokenizer: Split's Regex is not a string");
	st->fn = ax_split_find(rx->u.s, rx->n);
	st->kind = st->fn ? AX_PRE_SPLIT : AX_PRE_REGEX;
	if (st->fn && st->invert)
		st->kind = AX_PRE_REGEX;
	return st->kind == AX_PRE_REGEX ? ax_regex_new(&st->regex, rx->u.s, rx->n, e) : 0;
}

static int load_metaspace(struct ax_pretok *s, const struct ax_val *v, struct ax_err *e)
{
	const struct ax_val *scheme = ax_val_get(v, "prepend_scheme"), *legacy = ax_val_get(v, "add_prefix_space");
	struct ax_pre_stage *st = NULL;

	AX_TRY(add(s, AX_PRE_METASPACE, AX_PRE_NEXT, &st, e));
	AX_TRY(take_text(st, ax_val_get(v, "replacement"), "Metaspace's replacement", e));
	if (!one_char(st))
		return ax_fail(e, AX_EDATA, "pre_tokenizer: Metaspace's replacement is not one character");
	st->split = ax_val_bool_or(ax_val_get(v, "split"), true);
	if (ax_val_is(scheme, "first"))
		st->prepend = AX_PRE_FIRST;
	else if (ax_val_is(scheme, "never"))
		st->prepend = AX_PRE_NEVER;
	else if (scheme && !ax_val_is(scheme, "always"))
		return ax_fail(e, AX_EDATA, "pre_tokenizer: unknown prepend_scheme");
	if (legacy && !ax_val_bool_or(legacy, true)) {
		if (scheme && st->prepend != AX_PRE_NEVER)
			return ax_fail(e, AX_EDATA, "pre_tokenizer: add_prefix_space does not match prepend_scheme");
		st->prepend = AX_PRE_NEVER;
	}
	return 0;
}

static int load_bytes(struct ax_pretok *s, const struct ax_val *v, struct ax_err *e)
{
	struct ax_pre_stage *st = NULL;

	AX_TRY(add(s, AX_PRE_BYTES, AX_PRE_ISOLATED, &st, e));
	st->prefix_space = ax_val_bool_or(ax_val_get(v, "add_prefix_space"), true);
	st->use_regex = ax_val_bool_or(ax_val_get(v, "use_regex"), true);
	return 0;
}

static int load_class(struct ax_pretok *s, uint32_t flag, enum ax_pre_behavior behavior, struct ax_pre_stage **st,
		      struct ax_err *e)
{
	AX_TRY(add(s, AX_PRE_CLASS, behavior, st, e));
	(*st)->flag = flag;
	return 0;
}

static int load_one(struct ax_pretok *s, const struct ax_val *v, int depth, struct ax_err *e);

static int load_sequence(struct ax_pretok *s, const struct ax_val *v, int depth, struct ax_err *e)
{
	const struct ax_val *list = ax_val_get(v, "pretokenizers");

	if (!list || list->type != AX_LIST || depth >= AX_MAX_STAGES)
		return ax_fail(e, AX_EDATA, "pre_tokenizer: Sequence without its list, or nested too deep");
	for (size_t i = 0; i < list->n; i++)
		AX_TRY(load_one(s, list->u.item[i], depth + 1, e));
	return 0;
}

static int load_one(struct ax_pretok *s, const struct ax_val *v, int depth, struct ax_err *e)
{
	const struct ax_val *type = ax_val_get(v, "type"), *length = ax_val_get(v, "length");
	struct ax_pre_stage *st = NULL;

	if (!type || type->type != AX_STR)
		return ax_fail(e, AX_EDATA, "pre_tokenizer without a type");
	if (ax_val_is(type, "Sequence"))
		return load_sequence(s, v, depth, e);
	if (ax_val_is(type, "Split"))
		return load_split(s, v, e);
	if (ax_val_is(type, "ByteLevel"))
		return load_bytes(s, v, e);
	if (ax_val_is(type, "Metaspace"))
		return load_metaspace(s, v, e);
	if (ax_val_is(type, "Digits"))
		return load_class(s, AX_UNI_RNUM,
				  ax_val_bool_or(ax_val_get(v, "individual_digits"), false) ? AX_PRE_ISOLATED
											    : AX_PRE_CONTIGUOUS,
				  &st, e);
	if (ax_val_is(type, "WhitespaceSplit"))
		return load_class(s, AX_UNI_RSPACE, AX_PRE_REMOVED, &st, e);
	if (ax_val_is(type, "Punctuation")) {
		AX_TRY(load_class(s, AX_UNI_PUNCT, AX_PRE_ISOLATED, &st, e));
		return take_behavior(v, &st->behavior, e);
	}
	if (ax_val_is(type, "BertPreTokenizer")) {
		AX_TRY(load_class(s, AX_UNI_RSPACE, AX_PRE_REMOVED, &st, e));
		return load_class(s, AX_UNI_PUNCT, AX_PRE_ISOLATED, &st, e);
	}
	if (ax_val_is(type, "Whitespace")) {
		AX_TRY(add(s, AX_PRE_WORDS, AX_PRE_REMOVED, &st, e));
		st->invert = true;
		return 0;
	}
	if (ax_val_is(type, "CharDelimiterSplit") || ax_val_is(type, "Delimiter")) {
		AX_TRY(add(s, AX_PRE_CHAR, AX_PRE_REMOVED, &st, e));
		AX_TRY(take_text(st, ax_val_get(v, "delimiter"), "the delimiter", e));
		return one_char(st) ? 0 : ax_fail(e, AX_EDATA, "pre_tokenizer: the delimiter is not one character");
	}
	if (ax_val_is(type, "UnicodeScripts"))
		return add(s, AX_PRE_SCRIPTS, AX_PRE_ISOLATED, &st, e);
	if (ax_val_is(type, "FixedLength")) {
		AX_TRY(add(s, AX_PRE_FIXED, AX_PRE_ISOLATED, &st, e));
		if (length && (length->type != AX_INT || length->u.i < 1))
			return ax_fail(e, AX_EDATA, "pre_tokenizer: FixedLength's length is not a positive integer");
		st->length = (size_t)ax_val_int_or(length, 5);
		return 0;
	}
	return ax_fail(e, AX_EDATA, "pre_tokenizer of type %.*s is not supported", (int)(type->n < 40 ? type->n : 40),
		       type->u.s);
}

int ax_pretok_load(struct ax_pretok *s, const struct ax_val *v, struct ax_err *e)
{
	size_t n_bytes = 0;

	memset(s, 0, sizeof(*s));
	if (ax_val_is_null(v))
		return 0;
	AX_TRY(load_one(s, v, 0, e));
	for (size_t i = 0; i < s->n; i++)
		if (s->stage[i].kind == AX_PRE_BYTES) {
			s->stage[i].spell = true;
			n_bytes++;
		}
	s->byte_level = n_bytes == 1 && s->stage[s->n - 1].kind == AX_PRE_BYTES;
	return 0;
}

void ax_pretok_release(struct ax_pretok *s)
{
	for (size_t i = 0; i < s->n; i++) {
		ax_free(s->stage[i].text);
		ax_regex_free(s->stage[i].regex);
	}
	memset(s, 0, sizeof(*s));
}
