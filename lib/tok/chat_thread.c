/* Rows to threads of messages. */
#include "tok/chat.h"

#include <string.h>

#include "text/json.h"
#include "tok/chat_text.h"

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
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

/* The value of a key of n bytes; NULL: there is none. */
static struct ax_val *get(const struct ax_val *map, const char *key, size_t n)
{
	for (size_t i = 0; i < map->n; i++)
		if (map->u.pair[i].key_n == n && !memcmp(map->u.pair[i].key, key, n))
			return map->u.pair[i].val;
	return NULL;
}

static bool is_mapped_source(const struct ax_chat *c, const struct ax_pair *p)
{
	for (size_t i = 0; i < c->n_map; i++)
		if (c->map[i].from_n == p->key_n && !memcmp(c->map[i].from, p->key, p->key_n))
			return true;
	return false;
}

/* A role by its own name: a value of this message alone, so that what came of it is known for this message's. */
static struct ax_val *new_role(const struct ax_chat_pair *role, struct ax_arena *a)
{
	struct ax_val *v = ax_arena_alloc(a, sizeof(*v));

	if (v)
		*v = (struct ax_val){.type = AX_STR, .terminated = true, .n = role->to_n, .u.s = role->to};
	return v;
}

/* The properties of a message under the template's names; *role is what its role is mapped by, or NULL. */
static int map_message(const struct ax_chat *c, const struct ax_val *in, struct ax_arena *a, struct ax_val **out,
		       const struct ax_chat_pair **role, struct ax_err *e)
{
	struct ax_pair *pair = ax_arena_alloc(a, c->n_map * sizeof(*pair));
	size_t n = 0;

	*role = NULL;
	for (size_t i = 0; pair && i < c->n_map; i++) {
		const struct ax_chat_pair *x = &c->map[i];
		struct ax_val *v = get(in, x->from, x->from_n);

		if (ax_val_is_null(v))
			continue;
		if (v->type == AX_STR && x->to_n == 4 && !memcmp(x->to, "role", 4)) {
			*role = ax_chat_role(c, v->u.s, v->n);
			v = *role ? new_role(*role, a) : v;
			if (!v)
				return no_memory(e);
		}
		pair[n++] = (struct ax_pair){x->to, x->to_n, v};
	}
	*out = pair ? ax_val_map_of(a, pair, n) : NULL;
	return *out ? 0 : no_memory(e);
}

static bool is_mapped(const struct ax_chat *c, const struct ax_val *in, const struct ax_pair *p)
{
	for (size_t i = 0; i < c->n_map; i++)
		if (!strcmp(c->map[i].to, p->key) && !ax_val_is_null(get(in, c->map[i].from, c->map[i].from_n)))
			return true;
	return false;
}

/* Other keys that the template mentions; they replace what split_thinking has put there, but nothing that was mapped. */
static int add_other_keys(const struct ax_chat *c, const struct ax_val *in, struct ax_arena *a, struct ax_val *msg,
			  struct ax_err *e)
{
	for (size_t i = 0; i < in->n; i++) {
		const struct ax_pair *p = &in->u.pair[i];

		if (!is_mapped_source(c, p) && !ax_val_is_null(p->val) && ax_chat_mentions(c, p->key, p->key_n) && !is_mapped(c, in, p) &&
		    !ax_val_set(a, msg, p->key, p->val))
			return no_memory(e);
	}
	return 0;
}

/* A copy of maps and lists at any depth (the parser has limited it), without null members of maps unless they stay. */
static struct ax_val *copy_tree(struct ax_arena *a, const struct ax_val *v, bool nulls_stay)
{
	size_t n = 0;

	if (v->n == 0 || (v->type != AX_MAP && v->type != AX_LIST))
		return (struct ax_val *)(uintptr_t)v;
	if (v->type == AX_LIST) {
		struct ax_val **item = ax_arena_alloc(a, v->n * sizeof(struct ax_val *));

		for (; item && n < v->n && (item[n] = copy_tree(a, v->u.item[n], nulls_stay)); n++)
			;
		return n == v->n ? ax_val_list_of(a, item, n) : NULL;
	}
	struct ax_pair *pair = ax_arena_alloc(a, v->n * sizeof(*pair));

	for (size_t i = 0; pair && i < v->n; i++) {
		if (v->u.pair[i].val->type == AX_NULL && !nulls_stay)
			continue;
		pair[n] = v->u.pair[i];
		pair[n].val = copy_tree(a, v->u.pair[i].val, nulls_stay);
		if (!pair[n++].val)
			return NULL;
	}
	return pair ? ax_val_map_of(a, pair, n) : NULL;
}

/* Has a map, at any depth, a null member? */
static bool has_nulls(const struct ax_val *v)
{
	bool any = false;

	for (size_t i = 0; v->type == AX_MAP && i < v->n && !any; i++)
		any = v->u.pair[i].val->type == AX_NULL || has_nulls(v->u.pair[i].val);
	for (size_t i = 0; v->type == AX_LIST && i < v->n && !any; i++)
		any = has_nulls(v->u.item[i]);
	return any;
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

static bool has_text_arguments(const struct ax_val *calls)
{
	bool any = false;

	for (size_t i = 0; i < calls->n && !any; i++) {
		const struct ax_val *v = ax_val_get(ax_val_get(calls->u.item[i], "function"), "arguments");

		any = v && v->type == AX_STR;
	}
	return any;
}

/* Arguments that are JSON text become what it says; the row itself is not changed. */
static int decode_calls(struct ax_arena *a, struct ax_val *msg, struct ax_err *e)
{
	struct ax_val *calls = get(msg, "tool_calls", 10);

	if (!calls || calls->type != AX_LIST || !has_text_arguments(calls))
		return 0;
	calls = copy_tree(a, calls, true);
	if (!calls || !ax_val_set(a, msg, "tool_calls", calls))
		return no_memory(e);
	for (size_t i = 0; i < calls->n; i++) {
		const struct ax_val *f = ax_val_get(calls->u.item[i], "function");

		if (f && f->type == AX_MAP)
			AX_TRY(decode_json(a, (struct ax_val *)(uintptr_t)f, "arguments", "tool_calls: arguments", e));
	}
	return 0;
}

/* msg[key], of which parts are joined. */
static int join_parts(struct ax_val *msg, const char *key, size_t n, struct ax_parts *p, const struct ax_val **text,
		      struct ax_arena *a, struct ax_err *e)
{
	*text = get(msg, key, n);
	if (!*text || (*text)->type != AX_LIST)
		return 0;
	AX_TRY(ax_parts_join(msg, key, p, a, e));
	*text = get(msg, key, n);
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
	AX_TRY(join_parts(t->msg, "content", 7, &t->detail, &t->content, a, e));
	return join_parts(t->msg, c->thinking_key, c->thinking_n, &t->reasoning_detail, &t->reasoning, a, e);
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

/* *t is zero. */
static int make_turn(const struct ax_chat *c, const struct ax_val *in, struct ax_arena *a, struct ax_turn *t,
		     struct ax_err *e)
{
	const struct ax_chat_pair *mapped;
	const struct ax_val *role;

	if (in->type != AX_MAP)
		return ax_fail(e, AX_EDATA, "a message is no object");
	AX_TRY(map_message(c, in, a, &t->msg, &mapped, e));
	if (c->split_thinking && ax_val_is(get(t->msg, "role", 4), "assistant"))
		AX_TRY(ax_split_thinking(t->msg, c->thinking_key, a, e));
	AX_TRY(add_other_keys(c, in, a, t->msg, e));
	role = get(t->msg, "role", 4);
	if (!role || role->type != AX_STR)
		return ax_fail(e, AX_EDATA, "a message has no role");
	AX_TRY(decode_calls(a, t->msg, e));
	AX_TRY(read_training(c, in, a, t, e));
	if (mapped && role->u.s == mapped->to) {
		t->by_role = mapped->trained;
		t->known_role = true;
	} else {
		t->by_role = is_trained_role(c, role);
		t->known_role = is_known_role(c, role);
	}
	return 0;
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
		*out = has_nulls(m) ? copy_tree(a, m, false) : m;
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
	v = copy_tree(a, in, false);
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
	struct ax_val **msg;
	size_t n = 0;

	AX_TRY(get_messages(c, row, a, &in, e));
	AX_TRY(get_tools(row, a, &t->tools, e));
	turn = ax_arena_calloc(a, in->n + 1, sizeof(*turn));
	msg = ax_arena_alloc(a, (in->n + 1) * sizeof(struct ax_val *));
	if (!turn || !msg)
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
		msg[i] = t->turn[i].msg;
	t->messages = ax_val_list_of(a, msg, n);
	return t->messages ? 0 : no_memory(e);
}
