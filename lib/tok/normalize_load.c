#include <string.h>

#include "tok/charsmap.h"
#include "tok/normalize.h"

static int take_string(const struct ax_val *v, const char *key, char **out, size_t *n, struct ax_err *e)
{
	const struct ax_val *s = ax_val_get(v, key);

	if (!s || s->type != AX_STR)
		return ax_fail(e, AX_EDATA, "normalizer: \"%s\" is missing or not a string", key);
	*out = ax_strndup(s->u.s, s->n);
	*n = s->n;
	return *out ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

static int add(struct ax_normalizers *s, enum ax_norm_kind kind, struct ax_normalizer **step, struct ax_err *e)
{
	if (s->n == AX_MAX_STAGES)
		return ax_fail(e, AX_EDATA, "more than %d normalizers", AX_MAX_STAGES);
	s->step[s->n].kind = kind;
	*step = &s->step[s->n++];
	return 0;
}

static int load_replace(struct ax_normalizers *s, const struct ax_val *v, struct ax_err *e)
{
	const struct ax_val *pattern = ax_val_get(v, "pattern"), *rx = ax_val_get(pattern, "Regex");
	struct ax_normalizer *step = NULL;

	AX_TRY(add(s, rx ? AX_NORM_REGEX : AX_NORM_REPLACE, &step, e));
	AX_TRY(take_string(v, "content", &step->to, &step->to_n, e));
	if (rx && rx->type == AX_STR)
		return ax_regex_new(&step->regex, rx->u.s, rx->n, e);
	AX_TRY(take_string(pattern, rx ? "Regex" : "String", &step->from, &step->from_n, e));
	if (!step->from_n)
		return ax_fail(e, AX_EDATA, "normalizer: Replace of an empty string");
	return 0;
}

static int load_bert(struct ax_normalizers *s, const struct ax_val *v, struct ax_err *e)
{
	bool lower = ax_val_bool_or(ax_val_get(v, "lowercase"), true);
	struct ax_normalizer *step = NULL;

	if (ax_val_bool_or(ax_val_get(v, "clean_text"), true))
		AX_TRY(add(s, AX_NORM_BERT_CLEAN, &step, e));
	if (ax_val_bool_or(ax_val_get(v, "handle_chinese_chars"), true))
		AX_TRY(add(s, AX_NORM_BERT_CJK, &step, e));
	if (ax_val_bool_or(ax_val_get(v, "strip_accents"), lower)) {
		AX_TRY(add(s, AX_NORM_FORM, &step, e));
		step->form = AX_NFD;
		AX_TRY(add(s, AX_NORM_BERT_MARKS, &step, e));
	}
	if (lower)
		AX_TRY(add(s, AX_NORM_LOWER, &step, e));
	return 0;
}

static const struct {
	const char *type;
	enum ax_norm_kind kind;
	enum ax_uni_form form;
} simple[] = {
    {"NFC", AX_NORM_FORM, AX_NFC},	  {"NFD", AX_NORM_FORM, AX_NFD},
    {"NFKC", AX_NORM_FORM, AX_NFKC},	  {"NFKD", AX_NORM_FORM, AX_NFKD},
    {"Lowercase", AX_NORM_LOWER, AX_NFC}, {"StripAccents", AX_NORM_ACCENTS, AX_NFC},
    {"ByteLevel", AX_NORM_BYTES, AX_NFC}, {"Nmt", AX_NORM_NMT, AX_NFC},
};

static int load_one(struct ax_normalizers *s, const struct ax_val *v, int depth, struct ax_err *e)
{
	const struct ax_val *type = ax_val_get(v, "type"), *list = ax_val_get(v, "normalizers");
	struct ax_normalizer *step = NULL;

	if (!type || type->type != AX_STR)
		return ax_fail(e, AX_EDATA, "normalizer without a type");
	for (size_t i = 0; i < sizeof(simple) / sizeof(simple[0]); i++)
		if (ax_val_is(type, simple[i].type)) {
			AX_TRY(add(s, simple[i].kind, &step, e));
			step->form = simple[i].form;
			return 0;
		}
	if (ax_val_is(type, "Sequence")) {
		if (!list || list->type != AX_LIST || depth >= AX_MAX_STAGES)
			return ax_fail(e, AX_EDATA, "normalizer: Sequence without its list, or nested too deep");
		for (size_t i = 0; i < list->n; i++)
			AX_TRY(load_one(s, list->u.item[i], depth + 1, e));
		return 0;
	}
	if (ax_val_is(type, "Replace"))
		return load_replace(s, v, e);
	if (ax_val_is(type, "Prepend")) {
		AX_TRY(add(s, AX_NORM_PREPEND, &step, e));
		return take_string(v, "prepend", &step->to, &step->to_n, e);
	}
	if (ax_val_is(type, "Precompiled")) {
		const struct ax_val *map = ax_val_get(v, "precompiled_charsmap");

		if (!map || map->type != AX_STR)
			return ax_fail(e, AX_EDATA, "normalizer: \"precompiled_charsmap\" is missing or not a string");
		AX_TRY(add(s, AX_NORM_PRECOMPILED, &step, e));
		return ax_charsmap_base64(&step->map, map->u.s, map->n, e);
	}
	if (ax_val_is(type, "Strip")) {
		AX_TRY(add(s, AX_NORM_STRIP, &step, e));
		step->left = ax_val_bool_or(ax_val_get(v, "strip_left"), false);
		step->right = ax_val_bool_or(ax_val_get(v, "strip_right"), false);
		return 0;
	}
	if (ax_val_is(type, "BertNormalizer"))
		return load_bert(s, v, e);
	return ax_fail(e, AX_EDATA, "normalizer of type %.*s is not supported", (int)(type->n < 40 ? type->n : 40),
		       type->u.s);
}

int ax_normalizers_load(struct ax_normalizers *s, const struct ax_val *v, struct ax_err *e)
{
	memset(s, 0, sizeof(*s));
	return ax_val_is_null(v) ? 0 : load_one(s, v, 0, e);
}

void ax_normalizers_release(struct ax_normalizers *s)
{
	for (size_t i = 0; i < s->n; i++) {
		ax_free(s->step[i].from);
		ax_free(s->step[i].to);
		ax_regex_free(s->step[i].regex);
		ax_charsmap_free(s->step[i].map);
	}
	memset(s, 0, sizeof(*s));
}
