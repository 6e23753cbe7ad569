/* Entries of datasets, test_datasets and pretraining_dataset: what an entry leaves open. */
#include <stdio.h>
#include <string.h>

#include "conf/inner.h"
#include "conf/layer.h"

static int oom(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "configuration: out of memory");
}

static bool put_str(struct ax_arena *a, struct ax_val *map, const char *path, const char *s, size_t n)
{
	return ax_layer_put(a, map, path, ax_val_str(a, s, n));
}

/* message_field_role and message_field_content are the old form of message_property_mappings. */
static int mapping(struct ax_arena *a, struct ax_val *entry, const char *name, const char *old, struct ax_err *e)
{
	char path[64];
	const struct ax_val *field = ax_val_get(entry, old), *now;

	snprintf(path, sizeof(path), "message_property_mappings.%s", name);
	now = ax_val_path(entry, path);
	if (field && now && !ax_val_equal(field, now))
		return ax_fail(e, AX_EUSAGE, "datasets: %s and %s name different columns", old, path);
	if (field && field->type == AX_STR && !now) {
		if (!put_str(a, entry, path, field->u.s, field->n))
			return oom(e);
	} else if (!now && !put_str(a, entry, path, name, strlen(name)))
		return oom(e);
	ax_val_remove(entry, old);
	return 0;
}

static int template_of(struct ax_arena *a, struct ax_val *entry, struct ax_err *e)
{
	const struct ax_val *jinja = ax_val_get(entry, "chat_template_jinja"), *t = ax_val_get(entry, "chat_template");

	if (ax_val_is(t, "jinja") && !jinja)
		return ax_fail(e, AX_EUSAGE, "datasets: chat_template: jinja needs chat_template_jinja");
	if (!t && ax_val_is(ax_val_get(entry, "type"), "chat_template"))
		return put_str(a, entry, "chat_template", "tokenizer_default", 17) ? 0 : oom(e);
	if (!t && jinja)
		return put_str(a, entry, "chat_template", "jinja", 5) ? 0 : oom(e);
	return 0;
}

static int entry_defaults(struct ax_arena *a, struct ax_val *entry, bool pretraining, struct ax_err *e)
{
	if (!ax_val_get(entry, "trust_remote_code") &&
	    !ax_layer_put(a, entry, "trust_remote_code", ax_val_bool(a, false)))
		return oom(e);
	if (pretraining && (ax_val_get(entry, "text_column") || ax_val_get(entry, "skip"))) {
		static const char *const dflt[][2] = {
		    {"split", "train"}, {"text_column", "text"}, {"type", "pretrain"}};

		for (size_t i = 0; i < 3; i++)
			if (!ax_val_get(entry, dflt[i][0]) &&
			    !put_str(a, entry, dflt[i][0], dflt[i][1], strlen(dflt[i][1])))
				return oom(e);
		return 0;
	}
	AX_TRY(mapping(a, entry, "role", "message_field_role", e));
	AX_TRY(mapping(a, entry, "content", "message_field_content", e));
	return template_of(a, entry, e);
}

/* A lone mapping, or for pre-training a lone name, is a list of one entry. */
static int as_list(struct ax_conf *c, const char *key, struct ax_val **list, struct ax_err *e)
{
	const struct ax_val *v = ax_val_get(c->val, key);
	struct ax_val *entry;

	*list = NULL;
	if (ax_val_is_null(v))
		return 0;
	if (v->type == AX_LIST) {
		*list = (struct ax_val *)(uintptr_t)v;
		return 0;
	}
	*list = ax_val_list(&c->arena);
	entry = v->type == AX_MAP ? ax_val_copy(&c->arena, v) : ax_val_map(&c->arena);
	if (entry && v->type == AX_STR && !put_str(&c->arena, entry, "path", v->u.s, v->n))
		return oom(e);
	if (!*list || !entry || !ax_val_push(&c->arena, *list, entry) || !ax_val_set(&c->arena, c->val, key, *list))
		return oom(e);
	return 0;
}

int ax_conf_normalise_datasets(struct ax_conf *c, struct ax_err *e)
{
	static const char *const key[] = {"datasets", "test_datasets", "pretraining_dataset"};

	for (size_t i = 0; i < 3; i++) {
		struct ax_val *list;

		AX_TRY(as_list(c, key[i], &list, e));
		for (size_t j = 0; list && j < list->n; j++)
			if (list->u.item[j]->type == AX_MAP)
				AX_TRY(entry_defaults(&c->arena, list->u.item[j], i == 2, e));
	}
	return 0;
}
