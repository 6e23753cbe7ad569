#include "tok/chat.h"

#include <stdlib.h>
#include <string.h>

#include "text/json.h"
#include "tok/chat_text.h"

static const struct ax_chat_pair default_role[] = {
    {"human", "user"},	  {"user", "user"},	{"assistant", "assistant"},
    {"gpt", "assistant"}, {"system", "system"}, {"tool", "tool"},
};

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
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
	c->map[c->n_map++] = (struct ax_chat_pair){from, to};
	return 0;
}

static void default_mapping(struct ax_chat *c, const char *name)
{
	for (size_t i = 0; i < c->n_map; i++)
		if (!strcmp(c->map[i].to, name))
			return;
	c->map[c->n_map++] = (struct ax_chat_pair){name, name};
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
		const char *from = ax_val_cstr(&c->arena, m->u.pair[i].val, NULL);

		if (!from)
			return ax_fail(e, AX_EUSAGE, "message_property_mappings.%s must be a string",
				       m->u.pair[i].key);
		c->map[c->n_map++] =
		    (struct ax_chat_pair){from, ax_arena_strndup(&c->arena, m->u.pair[i].key, m->u.pair[i].key_n)};
		if (!c->map[c->n_map - 1].to)
			return no_memory(e);
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
		c->role[c->n_role++] = (struct ax_chat_pair){from, to};
	}
	return 0;
}

static int read_roles(struct ax_chat *c, const struct ax_val *entry, struct ax_err *e)
{
	const struct ax_val *m = ax_val_get(entry, "roles");
	size_t n = 0;

	if (ax_val_is_null(m) || ax_val_len(m) == 0) {
		c->n_role = sizeof(default_role) / sizeof(default_role[0]);
		c->role = ax_arena_alloc(&c->arena, sizeof(default_role));
		if (!c->role)
			return no_memory(e);
		memcpy(c->role, default_role, sizeof(default_role));
		return 0;
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

static const char *map_role(const struct ax_chat *c, const char *s, size_t n)
{
	/* the last entry for a source wins, as in the mapping that Axolotl builds */
	for (size_t i = c->n_role; i-- > 0;)
		if (strlen(c->role[i].from) == n && !memcmp(c->role[i].from, s, n))
			return c->role[i].to;
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
		const char *to = s ? map_role(c, s, strlen(s)) : NULL;

		if (!s)
			return ax_fail(e, AX_EUSAGE, "roles_to_train must be a list of names");
		c->train_role[i] = to ? to : s;
	}
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
	return 0;
out:
	ax_chat_release(c);
	return rc;
}

void ax_chat_release(struct ax_chat *c)
{
	ax_arena_release(&c->arena);
}

bool ax_val_truthy(const struct ax_val *v)
{
	if (!v)
		return false;
	switch (v->type) {
	case AX_NULL:
		return false;
	case AX_BOOL:
		return v->u.b;
	case AX_INT:
		return v->u.i != 0;
	case AX_FLOAT:
		return v->u.f != 0;
	default:
		return v->n != 0;
	}
}

static bool mentions(const struct ax_chat *c, const char *key)
{
	return bsearch(&key, c->word, c->n_word, sizeof(*c->word), by_name) != NULL;
}

static bool is_mapped_source(const struct ax_chat *c, const char *key)
{
	for (size_t i = 0; i < c->n_map; i++)
		if (!strcmp(c->map[i].from, key))
			return true;
	return false;
}

/* The properties of a message under the template's names. */
static int map_message(const struct ax_chat *c, const struct ax_val *in, struct ax_arena *a, struct ax_val **out,
		       struct ax_err *e)
{
	struct ax_val *m = ax_val_map(a);
	const struct ax_val *role;
	bool ok = m != NULL;

	for (size_t i = 0; i < c->n_map && ok; i++) {
		const struct ax_val *v = ax_val_get(in, c->map[i].from);

		if (!ax_val_is_null(v))
			ok = ax_val_set(a, m, c->map[i].to, (struct ax_val *)(uintptr_t)v);
	}
	role = ok ? ax_val_get(m, "role") : NULL;
	if (role && role->type == AX_STR) {
		const char *to = map_role(c, role->u.s, role->n);

		ok = ok && (!to || ax_val_set(a, m, "role", ax_val_str(a, to, strlen(to))));
	}
	if (!ok)
		return no_memory(e);
	*out = m;
	return 0;
}

static bool is_mapped(const struct ax_chat *c, const struct ax_val *in, const char *to)
{
	for (size_t i = 0; i < c->n_map; i++)
		if (!strcmp(c->map[i].to, to) && !ax_val_is_null(ax_val_get(in, c->map[i].from)))
			return true;
	return false;
}

/* Other keys that the template mentions; they replace what split_thinking has put there, but nothing that was mapped. */
static int add_other_keys(const struct ax_chat *c, const struct ax_val *in, struct ax_arena *a, struct ax_val *msg,
			  struct ax_err *e)
{
	for (size_t i = 0; i < in->n; i++) {
		const struct ax_pair *p = &in->u.pair[i];

		if (!ax_val_is_null(p->val) && !is_mapped_source(c, p->key) && mentions(c, p->key) &&
		    !is_mapped(c, in, p->key) && !ax_val_set(a, msg, p->key, p->val))
			return no_memory(e);
	}
	return 0;
}

static int decode_json(struct ax_arena *a, struct ax_val *map, const char *key, const char *what, struct ax_err *e)
{
	const struct ax_val *v = ax_val_get(map, key);
	struct ax_val *decoded;
	int rc;

	if (!v || v->type != AX_STR)
		return 0;
	rc = ax_json_parse(a, v->u.s, v->n, &decoded, e);
	if (rc) {
		ax_err_prefix(e, "%s: ", what);
		return rc;
	}
	return ax_val_set(a, map, key, decoded) ? 0 : no_memory(e);
}

static int decode_calls(struct ax_arena *a, struct ax_val *msg, struct ax_err *e)
{
	const struct ax_val *calls = ax_val_get(msg, "tool_calls");

	if (!calls || calls->type != AX_LIST)
		return 0;
	for (size_t i = 0; i < calls->n; i++) {
		const struct ax_val *f = ax_val_get(calls->u.item[i], "function");

		if (f && f->type == AX_MAP)
			AX_TRY(decode_json(a, (struct ax_val *)(uintptr_t)f, "arguments", "tool_calls: arguments", e));
	}
	return 0;
}

static int read_training(const struct ax_chat *c, const struct ax_val *in, struct ax_arena *a, struct ax_turn *t,
			 struct ax_err *e)
{
	const struct ax_val *d = c->f_detail ? ax_val_get(in, c->f_detail) : NULL;

	t->training = c->f_training ? ax_val_get(in, c->f_training) : NULL;
	if (ax_val_is_null(t->training))
		t->training = NULL;
	if (!ax_val_is_null(d))
		AX_TRY(ax_parts_read(&t->detail, d, a, e));
	AX_TRY(ax_parts_join(t->msg, "content", &t->detail, a, e));
	return ax_parts_join(t->msg, c->thinking_key, &t->reasoning_detail, a, e);
}

static bool is_trained_role(const struct ax_chat *c, const struct ax_val *role)
{
	for (size_t i = 0; i < c->n_train_role; i++)
		if (ax_val_is(role, c->train_role[i]))
			return true;
	return false;
}

/* Roles that templates know by themselves; they may stand in tags, as in <|observation|>. */
static bool is_known_role(const struct ax_chat *c, const struct ax_val *role)
{
	static const char *const name[] = {"system", "user", "assistant", "tool", "developer", "function", "model",
					   "ipython", "observation", "environment"};

	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++)
		if (ax_val_is(role, name[i]))
			return true;
	for (size_t i = 0; i < c->n_role; i++)
		if (ax_val_is(role, c->role[i].to))
			return true;
	return false;
}

static int make_turn(const struct ax_chat *c, const struct ax_val *in, struct ax_arena *a, struct ax_turn *t,
		     struct ax_err *e)
{
	const struct ax_val *role;

	memset(t, 0, sizeof(*t));
	if (in->type != AX_MAP)
		return ax_fail(e, AX_EDATA, "a message is no object");
	AX_TRY(map_message(c, in, a, &t->msg, e));
	if (c->split_thinking && ax_val_is(ax_val_get(t->msg, "role"), "assistant"))
		AX_TRY(ax_split_thinking(t->msg, c->thinking_key, a, e));
	AX_TRY(add_other_keys(c, in, a, t->msg, e));
	role = ax_val_get(t->msg, "role");
	if (!role || role->type != AX_STR)
		return ax_fail(e, AX_EDATA, "a message has no role");
	AX_TRY(decode_calls(a, t->msg, e));
	AX_TRY(read_training(c, in, a, t, e));
	t->content = ax_val_get(t->msg, "content");
	t->reasoning = ax_val_get(t->msg, c->thinking_key);
	t->by_role = is_trained_role(c, role);
	t->known_role = is_known_role(c, role);
	return 0;
}

/* Copy without null members of maps, at any depth (the parser has limited it). */
static struct ax_val *without_nulls(struct ax_arena *a, const struct ax_val *v)
{
	size_t n = 0;

	if (v->n == 0 || (v->type != AX_MAP && v->type != AX_LIST))
		return (struct ax_val *)(uintptr_t)v;
	if (v->type == AX_LIST) {
		struct ax_val **item = ax_arena_calloc(a, v->n, sizeof(struct ax_val *));

		for (; item && n < v->n && (item[n] = without_nulls(a, v->u.item[n])); n++)
			;
		return n == v->n ? ax_val_list_of(a, item, n) : NULL;
	}
	struct ax_pair *pair = ax_arena_calloc(a, v->n, sizeof(*pair));

	for (size_t i = 0; pair && i < v->n; i++) {
		if (v->u.pair[i].val->type == AX_NULL)
			continue;
		pair[n] = v->u.pair[i];
		pair[n].val = without_nulls(a, v->u.pair[i].val);
		if (!pair[n++].val)
			return NULL;
	}
	return pair ? ax_val_map_of(a, pair, n) : NULL;
}

static int get_messages(const struct ax_chat *c, const struct ax_val *row, struct ax_arena *a,
			const struct ax_val **out, struct ax_err *e)
{
	const struct ax_val *m = ax_val_get(row, c->f_messages);

	*out = NULL;
	if (ax_val_is_null(m))
		return ax_fail(e, AX_EDATA, "field \"%s\" is missing", c->f_messages);
	if (m->type == AX_STR) {
		struct ax_val *v;
		int rc = ax_json_parse(a, m->u.s, m->n, &v, e);

		if (rc) {
			ax_err_prefix(e, "field \"%s\": ", c->f_messages);
			return rc;
		}
		m = *out = v; /* nulls within are the writer's own, and stay */
	}
	if (m->type != AX_LIST || m->n == 0)
		return ax_fail(e, AX_EDATA, "field \"%s\" is no list of messages%s", c->f_messages,
			       m->type == AX_LIST ? ": it is empty" : "");
	if (m != *out)
		*out = without_nulls(a, m);
	return *out ? 0 : no_memory(e);
}

static int get_tools(const struct ax_val *row, struct ax_arena *a, struct ax_val **out, struct ax_err *e)
{
	const struct ax_val *in = ax_val_get(row, "tools");
	struct ax_val *v;
	int rc;

	*out = NULL;
	if (ax_val_is_null(in))
		return 0;
	v = without_nulls(a, in);
	if (!v)
		return no_memory(e);
	if (v->type == AX_STR) {
		rc = ax_json_parse(a, v->u.s, v->n, &v, e);
		if (rc) {
			ax_err_prefix(e, "field \"tools\": ");
			return rc;
		}
	}
	if (v->type != AX_LIST)
		return ax_fail(e, AX_EDATA, "field \"tools\" is no list");
	for (size_t i = 0; i < v->n; i++) {
		const struct ax_val *f = ax_val_get(v->u.item[i], "function");

		if (f && f->type == AX_MAP)
			AX_TRY(decode_json(a, (struct ax_val *)(uintptr_t)f, "parameters", "tools: parameters", e));
	}
	*out = v->n ? v : NULL;
	return 0;
}

/* A "system" column becomes a turn in front, unless the conversation begins with one. */
static int system_turn(const struct ax_chat *c, const struct ax_val *row, struct ax_arena *a, struct ax_turn *t,
		       struct ax_err *e)
{
	const struct ax_val *v = ax_val_get(row, "system");

	memset(t, 0, sizeof(*t));
	t->msg = ax_val_map(a);
	if (!t->msg || !ax_val_set(a, t->msg, "role", ax_val_str(a, "system", 6)) ||
	    !ax_val_set(a, t->msg, "content", (struct ax_val *)(uintptr_t)v))
		return no_memory(e);
	t->content = v;
	t->by_role = is_trained_role(c, ax_val_get(t->msg, "role"));
	t->known_role = true;
	return 0;
}

int ax_chat_thread(const struct ax_chat *c, const struct ax_val *row, struct ax_arena *a, struct ax_thread *t,
		   struct ax_err *e)
{
	const struct ax_val *in;
	struct ax_turn *turn;
	size_t n = 0;

	AX_TRY(get_messages(c, row, a, &in, e));
	AX_TRY(get_tools(row, a, &t->tools, e));
	turn = ax_arena_calloc(a, in->n + 1, sizeof(*turn));
	t->messages = ax_val_list(a);
	if (!turn || !t->messages)
		return no_memory(e);
	for (size_t i = 0; i < in->n; i++) {
		int rc = make_turn(c, in->u.item[i], a, &turn[i + 1], e);

		if (rc) {
			ax_err_prefix(e, "message %zu: ", i + 1);
			return rc;
		}
	}
	n = in->n;
	t->turn = turn + 1;
	if (!ax_val_is_null(ax_val_get(row, "system")) && !ax_val_is(ax_val_get(turn[1].msg, "role"), "system")) {
		AX_TRY(system_turn(c, row, a, &turn[0], e));
		t->turn = turn;
		n++;
	}
	if (c->drop_system && ax_val_is(ax_val_get(t->turn[0].msg, "role"), "system")) {
		t->turn++;
		n--;
	}
	t->n = n;
	for (size_t i = 0; i < n; i++)
		if (!ax_val_push(a, t->messages, t->turn[i].msg))
			return no_memory(e);
	return 0;
}
