#include "conf/layer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define PATH_MAX_ 256
#define DEPTH_MAX 32

struct reader {
	struct ax_arena *a;
	const struct ax_layer_opts *o;
	struct ax_err *e;
	bool told_fsdp;
};

static bool is_index(const char *s, size_t n)
{
	return n > 0 && n < 7 && strspn(s, "0123456789") >= n;
}

bool ax_layer_is_patch(const struct ax_val *v)
{
	if (!v || v->type != AX_MAP || v->n == 0)
		return false;
	for (size_t i = 0; i < v->n; i++)
		if (!is_index(v->u.pair[i].key, v->u.pair[i].key_n))
			return false;
	return true;
}

bool ax_layer_put(struct ax_arena *a, struct ax_val *map, const char *path, struct ax_val *v)
{
	char part[PATH_MAX_];

	for (const char *dot = strchr(path, '.'); dot; path = dot + 1, dot = strchr(path, '.')) {
		size_t n = (size_t)(dot - path);

		if (n >= sizeof(part))
			return false;
		memcpy(part, path, n);
		part[n] = '\0';
		struct ax_val *next = (struct ax_val *)(uintptr_t)ax_val_get(map, part);

		if (!next || next->type != AX_MAP) {
			next = ax_val_map(a);
			if (!next || !ax_val_set(a, map, part, next))
				return false;
		}
		map = next;
	}
	return v && ax_val_set(a, map, path, v);
}

/* "run.yaml:12: name" or "--name" for messages. */
static const char *where(struct reader *r, const char *name, const struct ax_val *v, char buf[PATH_MAX_ * 2])
{
	if (!r->o->source) {
		snprintf(buf, PATH_MAX_ * 2, "--%s", name);
		for (char *p = buf; *p; p++)
			*p = *p == '_' ? '-' : *p;
	} else if (v->line > 0)
		snprintf(buf, PATH_MAX_ * 2, "%s:%u: %s", r->o->source, v->line, name);
	else
		snprintf(buf, PATH_MAX_ * 2, "%s: %s", r->o->source, name);
	return buf;
}

static int unknown(struct reader *r, const char *name, const struct ax_val *v)
{
	char at[PATH_MAX_ * 2], hint[PATH_MAX_ + 32] = "";
	const struct ax_key *near = ax_key_nearest(name);

	if (near)
		snprintf(hint, sizeof(hint), " (did you mean %s?)", near->name);
	if (r->o->strict || !r->o->source)
		return ax_fail(r->e, AX_EUSAGE, "%s: unknown key%s", where(r, name, v, at), hint);
	if (!r->o->quiet)
		ax_warn("%s: unknown key, ignored%s", where(r, name, v, at), hint);
	return 0;
}

/* Was `name` written with a spelling that the row marks as old ("name!" among its aliases)? */
static bool is_old(const struct ax_key *k, const char *name)
{
	const char *p = k->alias ? strstr(k->alias, name) : NULL;

	return p && (p == k->alias || p[-1] == ' ') && p[strlen(name)] == '!';
}

static const struct ax_key *find(struct reader *r, const char *name, size_t prefix_n, const struct ax_val *v)
{
	char buf[PATH_MAX_], at[PATH_MAX_ * 2];
	const struct ax_key *k = ax_key_find(name, strlen(name));

	if (k || prefix_n != 12 || strncmp(name, "fsdp_config.fsdp_", 17) != 0)
		return k;
	snprintf(buf, sizeof(buf), "fsdp_config.%s", name + 17);
	k = ax_key_find(buf, strlen(buf));
	if (k && !r->told_fsdp && !r->o->quiet) {
		ax_warn("%s: keys inside fsdp_config need no fsdp_ prefix", where(r, name, v, at));
		r->told_fsdp = true;
	}
	return k;
}

static int read_map(struct reader *r, const char *prefix, const struct ax_val *in, struct ax_val *out, int depth);

static int oom(struct reader *r)
{
	return ax_fail(r->e, AX_EMEM, "configuration: out of memory");
}

/* One mapping where a list of them is wanted is a list of one. */
static const struct ax_val *as_entries(struct reader *r, const struct ax_val *v)
{
	struct ax_val *list, *copy;

	if (v->type == AX_LIST || ax_layer_is_patch(v))
		return v;
	list = ax_val_list(r->a);
	copy = ax_val_copy(r->a, v);
	return list && copy && ax_val_push(r->a, list, copy) ? list : NULL;
}

static int read_entries(struct reader *r, const struct ax_key *k, const struct ax_val *in, struct ax_val **out,
			int depth)
{
	char prefix[PATH_MAX_], at[PATH_MAX_ * 2];
	bool patch = in && in->type == AX_MAP;

	if (!in)
		return oom(r);
	*out = patch ? ax_val_map(r->a) : ax_val_list(r->a);
	snprintf(prefix, sizeof(prefix), "%s[].", k->name);
	for (size_t i = 0; *out && i < in->n; i++) {
		const struct ax_val *item = patch ? in->u.pair[i].val : in->u.item[i];
		struct ax_val *entry = ax_val_map(r->a);

		if (!entry)
			return oom(r);
		if (item->type != AX_MAP)
			return ax_fail(r->e, AX_EUSAGE, "%s: entry %zu is not a mapping", where(r, k->name, item, at),
				       i);
		entry->line = item->line;
		AX_TRY(read_map(r, prefix, item, entry, depth));
		if (!(patch ? ax_val_set(r->a, *out, in->u.pair[i].key, entry) : ax_val_push(r->a, *out, entry)))
			return oom(r);
	}
	if (!*out)
		return oom(r);
	(*out)->line = in->line;
	return 0;
}

static bool has_entries(const struct ax_key *k)
{
	return k->type & AX_KEY_LIST && ax_key_has_members(k);
}

/* A row's path below the mapping that is being filled: the whole configuration, or one entry of a list. */
static const char *path_of(const struct ax_key *k)
{
	const char *inside = strstr(k->name, "[].");

	return inside ? inside + 3 : k->name;
}

static int put(struct reader *r, struct ax_val *out, const struct ax_key *k, const char *name, struct ax_val *v)
{
	char at[PATH_MAX_ * 2];
	const struct ax_val *old = ax_val_path(out, path_of(k));

	if (old && !ax_val_is_null(old) && !ax_val_is_null(v) && !ax_val_equal(old, v) && r->o->source)
		return ax_fail(r->e, AX_EUSAGE,
			       "%s: given twice with different values (another spelling is on line %u)",
			       where(r, name, v, at), old->line);
	if (old && ax_val_is_null(v) && r->o->source)
		return 0;
	return ax_layer_put(r->a, out, path_of(k), v) ? 0 : oom(r);
}

static int read_pair(struct reader *r, const char *prefix, const struct ax_pair *p, struct ax_val *out, int depth)
{
	char name[PATH_MAX_], at[PATH_MAX_ * 2];
	struct ax_val *v = NULL;
	int n = snprintf(name, sizeof(name), "%s%s", prefix, p->key);

	if (n < 0 || (size_t)n >= sizeof(name) || strlen(p->key) != p->key_n)
		return ax_fail(r->e, AX_EUSAGE, "%s: key too long", where(r, prefix, p->val, at));
	const struct ax_key *k = find(r, name, strlen(prefix), p->val);

	if (!k)
		return unknown(r, name, p->val);
	if (is_old(k, name) && !ax_val_is_null(p->val) && !r->o->quiet)
		ax_warn("%s: now called %s", where(r, name, p->val, at), k->name);
	if (has_entries(k) && (p->val->type == AX_LIST || p->val->type == AX_MAP))
		AX_TRY(read_entries(r, k, as_entries(r, p->val), &v, depth));
	else if (k->type & AX_KEY_MAP && p->val->type == AX_MAP && ax_key_has_members(k) && !has_entries(k)) {
		char inner[PATH_MAX_];

		snprintf(inner, sizeof(inner), "%s.", name);
		if (!ax_val_path(out, path_of(k))) {
			v = ax_val_map(r->a);
			if (!v || !ax_layer_put(r->a, out, path_of(k), v))
				return oom(r);
			v->line = p->val->line;
		}
		return read_map(r, inner, p->val, out, depth);
	} else if (!r->o->source && k->type & (AX_KEY_LIST | AX_KEY_STRS) && ax_layer_is_patch(p->val))
		v = ax_val_copy(r->a, p->val);
	else
		AX_TRY(ax_key_coerce(r->a, k, p->val, where(r, name, p->val, at), &v, r->e));
	return v ? put(r, out, k, name, v) : oom(r);
}

static int read_map(struct reader *r, const char *prefix, const struct ax_val *in, struct ax_val *out, int depth)
{
	if (depth > DEPTH_MAX)
		return ax_fail(r->e, AX_EUSAGE, "configuration: nested deeper than %d", DEPTH_MAX);
	for (size_t i = 0; i < in->n; i++)
		AX_TRY(read_pair(r, prefix, &in->u.pair[i], out, depth + 1));
	return 0;
}

int ax_layer_read(struct ax_arena *a, const struct ax_val *in, const struct ax_layer_opts *o, struct ax_val **out,
		  struct ax_err *e)
{
	struct reader r = {a, o, e, false};

	*out = ax_val_map(a);
	if (!*out)
		return oom(&r);
	if (ax_val_is_null(in))
		return 0;
	if (in->type != AX_MAP)
		return ax_fail(e, AX_EUSAGE, "%s: a configuration is a mapping of keys to values",
			       o->source ? o->source : "configuration");
	return read_map(&r, "", in, *out, 0);
}

/* A list whose mappings have lost their unset keys. */
static struct ax_val *clean_list(struct ax_arena *a, const struct ax_val *v)
{
	struct ax_val *list = ax_val_list(a);

	for (size_t i = 0; list && i < v->n; i++)
		if (!ax_val_push(a, list, ax_layer_merge(a, NULL, v->u.item[i], false)))
			return NULL;
	if (list)
		list->line = v->line;
	return list;
}

/* What a patch says of element i; NULL: nothing. */
static const struct ax_val *patch_of(const struct ax_val *over, size_t i)
{
	for (size_t j = 0; over && j < over->n; j++)
		if (strtoul(over->u.pair[j].key, NULL, 10) == i)
			return over->u.pair[j].val;
	return NULL;
}

static struct ax_val *patch_list(struct ax_arena *a, const struct ax_val *base, const struct ax_val *over)
{
	struct ax_val *list = ax_val_list(a);
	size_t n = base && base->type == AX_LIST ? base->n : 0;

	for (size_t i = 0; list && i < n; i++)
		if (!ax_val_push(a, list, ax_layer_merge(a, base->u.item[i], patch_of(over, i), false)))
			return NULL;
	for (const struct ax_val *more; list && (more = patch_of(over, n)); n++)
		if (!ax_val_push(a, list, ax_layer_merge(a, NULL, more, false)))
			return NULL;
	return list;
}

struct ax_val *ax_layer_merge(struct ax_arena *a, const struct ax_val *base, const struct ax_val *over, bool keep)
{
	if (!over)
		return base ? ax_val_copy(a, base) : ax_val_null(a);
	if (!keep && ax_layer_is_patch(over) && (!base || base->type != AX_MAP || ax_layer_is_patch(base)))
		return patch_list(a, base, over);
	if (over->type == AX_LIST && !keep)
		return clean_list(a, over);
	if (over->type != AX_MAP)
		return ax_val_copy(a, over);
	struct ax_val *out = base && base->type == AX_MAP ? ax_val_copy(a, base) : ax_val_map(a);

	for (size_t i = 0; out && i < over->n; i++) {
		const struct ax_pair *p = &over->u.pair[i];

		if (ax_val_is_null(p->val) && !keep)
			ax_val_remove(out, p->key);
		else if (!ax_val_set(a, out, p->key, ax_layer_merge(a, ax_val_get(out, p->key), p->val, keep)))
			return NULL;
	}
	if (out)
		out->line = over->line;
	return out;
}

int ax_layer_check_patches(const struct ax_val *base, const struct ax_val *over, const char *name, struct ax_err *e)
{
	bool patch = ax_layer_is_patch(over) && (!base || base->type != AX_MAP || ax_layer_is_patch(base));
	size_t have = base && base->type == AX_LIST ? base->n : 0, n = have;

	while (patch && patch_of(over, n))
		n++;
	for (size_t i = 0; over && over->type == AX_MAP && i < over->n; i++) {
		const struct ax_pair *p = &over->u.pair[i];
		char path[PATH_MAX_];

		snprintf(path, sizeof(path), "%s%s%s", name, *name ? "." : "", p->key);
		if (patch && strtoul(p->key, NULL, 10) >= n)
			return ax_fail(e, AX_EUSAGE, "%s: the list has %zu entr%s; the next to add is %s.%zu", path, have, have == 1 ? "y" : "ies",
				       name, n);
		AX_TRY(ax_layer_check_patches(patch ? ax_val_at(base, strtoul(p->key, NULL, 10)) : ax_val_get(base, p->key), p->val, path, e));
	}
	return 0;
}
