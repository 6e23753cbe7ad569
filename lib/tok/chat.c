#include "tok/chat.h"

#include <stdlib.h>
#include <string.h>

static const char *const default_role[][2] = {
    {"human", "user"},	  {"user", "user"},	{"assistant", "assistant"},
    {"gpt", "assistant"}, {"system", "system"}, {"tool", "tool"},
};

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

static struct ax_chat_pair pair_of(const char *from, const char *to)
{
	return (struct ax_chat_pair){from, to, strlen(from), strlen(to), false};
}

static int by_name(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Which names the template mentions decides which extra keys of a message it gets. */
static int collect_words(struct ax_chat *c, const char *text, struct ax_err *e)
{
	size_t cap = strlen(text) / 2 + 1, n = 0, out = 0;

	c->word = ax_arena_calloc(&c->arena, cap, sizeof(*c->word));
	if (!c->word)
		return no_memory(e);
	for (const char *p = text; *p;) {
		size_t len = 0;

		while (is_word(p[len]))
			len++;
		if (len) {
			c->word[n] = ax_arena_strndup(&c->arena, p, len);
			if (!c->word[n++])
				return no_memory(e);
		}
		p += len ? len : 1;
	}
	qsort(c->word, n, sizeof(*c->word), by_name);
	for (size_t i = 0; i < n; i++)
		if (out == 0 || strcmp(c->word[out - 1], c->word[i]))
			c->word[out++] = c->word[i];
	c->n_word = out;
	return 0;
}

static int read_str(struct ax_chat *c, const struct ax_val *entry, const char *key, const char *dflt, const char **out,
		    struct ax_err *e)
{
	const struct ax_val *v = ax_val_get(entry, key);

	if (!ax_val_is_null(v) && v->type != AX_STR)
		return ax_fail(e, AX_EUSAGE, "%s must be a string", key);
	*out = ax_val_is_null(v) ? dflt : ax_val_cstr(&c->arena, v, dflt);
	return 0;
}

/* The last writer of a property must agree with message_property_mappings. */
static int old_mapping(struct ax_chat *c, const struct ax_val *entry, const char *key, const char *to, struct ax_err *e)
{
	const char *from;

	AX_TRY(read_str(c, entry, key, NULL, &from, e));
	if (!from)
		return 0;
	for (size_t i = 0; i < c->n_map; i++) {
		if (strcmp(c->map[i].to, to))
			continue;
		if (strcmp(c->map[i].from, from))
			return ax_fail(e, AX_EUSAGE, "%s: %s contradicts message_property_mappings (%s)", key,
				       from, c->map[i].from);
		return 0;
	}
	c->map[c->n_map++] = pair_of(from, to);
	return 0;
}

static void default_mapping(struct ax_chat *c, const char *name)
{
	for (size_t i = 0; i < c->n_map; i++)
		if (!strcmp(c->map[i].to, name))
			return;
	c->map[c->n_map++] = pair_of(name, name);
}

static int read_mapping(struct ax_chat *c, const struct ax_val *entry, struct ax_err *e)
{
	const struct ax_val *m = ax_val_get(entry, "message_property_mappings");

	if (!ax_val_is_null(m) && m->type != AX_MAP)
		return ax_fail(e, AX_EUSAGE, "message_property_mappings must be a mapping");
	c->map = ax_arena_calloc(&c->arena, ax_val_len(m) + 2, sizeof(*c->map));
	if (!c->map)
		return no_memory(e);
	for (size_t i = 0; i < ax_val_len(m); i++) {
		const char *from = ax_val_cstr(&c->arena, m->u.pair[i].val, NULL), *to;

		if (!from)
			return ax_fail(e, AX_EUSAGE, "message_property_mappings.%s must be a string",
				       m->u.pair[i].key);
		to = ax_arena_strndup(&c->arena, m->u.pair[i].key, m->u.pair[i].key_n);
		if (!to)
			return no_memory(e);
		c->map[c->n_map++] = pair_of(from, to);
	}
	AX_TRY(old_mapping(c, entry, "message_field_role", "role", e));
	AX_TRY(old_mapping(c, entry, "message_field_content", "content", e));
	default_mapping(c, "role");
	default_mapping(c, "content");
	return 0;
}

static int add_roles(struct ax_chat *c, const struct ax_pair *p, struct ax_err *e)
{
	const char *to = ax_arena_strndup(&c->arena, p->key, p->key_n);

	if (!to)
		return no_memory(e);
	if (p->val->type != AX_LIST)
		return ax_fail(e, AX_EUSAGE, "roles.%s must be a list of source names", p->key);
	for (size_t i = 0; i < p->val->n; i++) {
		const char *from = ax_val_cstr(&c->arena, p->val->u.item[i], NULL);

		if (!from)
			return ax_fail(e, AX_EUSAGE, "roles.%s must be a list of source names", p->key);
		c->role[c->n_role++] = pair_of(from, to);
	}
	return 0;
}

static int read_roles(struct ax_chat *c, const struct ax_val *entry, struct ax_err *e)
{
	const struct ax_val *m = ax_val_get(entry, "roles");
	size_t n = 0;

	if (ax_val_is_null(m) || ax_val_len(m) == 0) {
		c->n_role = sizeof(default_role) / sizeof(default_role[0]);
		c->role = ax_arena_calloc(&c->arena, c->n_role, sizeof(*c->role));
		for (size_t i = 0; c->role && i < c->n_role; i++)
			c->role[i] = pair_of(default_role[i][0], default_role[i][1]);
		return c->role ? 0 : no_memory(e);
	}
	if (m->type != AX_MAP)
		return ax_fail(e, AX_EUSAGE, "roles must be a mapping of role to source names");
	for (size_t i = 0; i < m->n; i++)
		n += ax_val_len(m->u.pair[i].val);
	c->role = ax_arena_calloc(&c->arena, n + 1, sizeof(*c->role));
	if (!c->role)
		return no_memory(e);
	for (size_t i = 0; i < m->n; i++)
		AX_TRY(add_roles(c, &m->u.pair[i], e));
	return 0;
}

const struct ax_chat_pair *ax_chat_role(const struct ax_chat *c, const char *s, size_t n)
{
	/* the last entry for a source wins, as in the mapping that Axolotl builds */
	for (size_t i = c->n_role; i-- > 0;)
		if (c->role[i].from_n == n && !memcmp(c->role[i].from, s, n))
			return &c->role[i];
	return NULL;
}

static int read_trained(struct ax_chat *c, const struct ax_val *entry, struct ax_err *e)
{
	const struct ax_val *v = ax_val_get(entry, "roles_to_train");
	bool dflt = ax_val_is_null(v);
	size_t n = dflt ? 1 : ax_val_len(v);

	if (!dflt && v->type != AX_LIST)
		return ax_fail(e, AX_EUSAGE, "roles_to_train must be a list");
	c->train_role = ax_arena_calloc(&c->arena, n + 1, sizeof(*c->train_role));
	if (!c->train_role)
		return no_memory(e);
	c->n_train_role = n;
	for (size_t i = 0; i < n; i++) {
		const char *s = dflt ? "assistant" : ax_val_cstr(&c->arena, v->u.item[i], NULL);
		const struct ax_chat_pair *role = s ? ax_chat_role(c, s, strlen(s)) : NULL;

		if (!s)
			return ax_fail(e, AX_EUSAGE, "roles_to_train must be a list of names");
		c->train_role[i] = role ? role->to : s;
	}
	for (size_t i = 0; i < c->n_role; i++)
		for (size_t k = 0; k < n; k++)
			c->role[i].trained |= !strcmp(c->role[i].to, c->train_role[k]);
	return 0;
}

int ax_chat_init(struct ax_chat *c, const struct ax_val *entry, const char *text, struct ax_err *e)
{
	int rc;

	memset(c, 0, sizeof(*c));
	ax_arena_init(&c->arena, 0);
	c->drop_system = ax_val_bool_or(ax_val_get(entry, "drop_system_message"), false);
	c->split_thinking = ax_val_bool_or(ax_val_get(entry, "split_thinking"), false);
	AX_GOTO(read_str(c, entry, "field_messages", "messages", &c->f_messages, e));
	AX_GOTO(read_str(c, entry, "message_field_training", NULL, &c->f_training, e));
	AX_GOTO(read_str(c, entry, "message_field_training_detail", NULL, &c->f_detail, e));
	AX_GOTO(read_str(c, entry, "template_thinking_key", "reasoning_content", &c->thinking_key, e));
	AX_GOTO(read_mapping(c, entry, e));
	AX_GOTO(read_roles(c, entry, e));
	AX_GOTO(read_trained(c, entry, e));
	AX_GOTO(collect_words(c, text, e));
	c->thinking_n = strlen(c->thinking_key);
	return 0;
out:
	ax_chat_release(c);
	return rc;
}

void ax_chat_release(struct ax_chat *c)
{
	ax_arena_release(&c->arena);
}

bool ax_chat_mentions(const struct ax_chat *c, const char *key, size_t n)
{
	return strlen(key) == n && bsearch(&key, c->word, c->n_word, sizeof(*c->word), by_name);
}
