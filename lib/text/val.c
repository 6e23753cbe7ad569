#include "text/val.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define DIGITS_MAX 400 /* an integer of more is beyond any double */

#define SMALL_MAP ((size_t)16) /* up to here repeated keys are found by comparing pairs */

static struct ax_val *val_new(struct ax_arena *a, enum ax_val_type type)
{
	struct ax_val *v = ax_arena_calloc(a, 1, sizeof(*v));

	if (v)
		v->type = type;
	return v;
}

struct ax_val *ax_val_null(struct ax_arena *a)
{
	return val_new(a, AX_NULL);
}

struct ax_val *ax_val_bool(struct ax_arena *a, bool b)
{
	struct ax_val *v = val_new(a, AX_BOOL);

	if (v)
		v->u.b = b;
	return v;
}

struct ax_val *ax_val_int(struct ax_arena *a, int64_t i)
{
	struct ax_val *v = val_new(a, AX_INT);

	if (v)
		v->u.i = i;
	return v;
}

struct ax_val *ax_val_float(struct ax_arena *a, double f)
{
	struct ax_val *v = val_new(a, AX_FLOAT);

	if (v)
		v->u.f = f;
	return v;
}

struct ax_val *ax_val_str(struct ax_arena *a, const char *s, size_t n)
{
	struct ax_val *v = val_new(a, AX_STR);

	if (!v)
		return NULL;
	v->u.s = ax_arena_strndup(a, s, n);
	v->terminated = true;
	v->n = n;
	return v->u.s ? v : NULL;
}

struct ax_val *ax_val_list(struct ax_arena *a)
{
	return val_new(a, AX_LIST);
}

struct ax_val *ax_val_map(struct ax_arena *a)
{
	return val_new(a, AX_MAP);
}

/*
 * Room of an array of n elements: the next power of two. Every array is allocated with this size, so that an append
 * knows from n alone whether there is room and no capacity needs to be stored.
 */
static size_t room(size_t n)
{
	size_t r = 2;

	if (n == 0)
		return 0;
	while (r < n) {
		if (r > SIZE_MAX / 2)
			return SIZE_MAX;
		r *= 2;
	}
	return r;
}

/* An array for n elements that starts with the `used` elements at `old`. */
static void *array_copy(struct ax_arena *a, const void *old, size_t used, size_t n, size_t size)
{
	size_t bytes;
	void *p;

	if (!ax_mul_size(room(n), size, &bytes))
		return NULL;
	p = ax_arena_alloc(a, bytes);
	if (p && used)
		memcpy(p, old, used * size);
	return p;
}

bool ax_val_list_into(struct ax_arena *a, struct ax_val *list, struct ax_val *const *item, size_t n)
{
	if (n == 0)
		return true;
	list->u.item = array_copy(a, item, n, n, sizeof(*item));
	list->n = n;
	return list->u.item;
}

struct ax_val *ax_val_list_of(struct ax_arena *a, struct ax_val *const *item, size_t n)
{
	struct ax_val *v = val_new(a, AX_LIST);

	return v && ax_val_list_into(a, v, item, n) ? v : NULL;
}

static bool key_is(const struct ax_pair *p, const char *key, size_t n)
{
	return p->key_n == n && *p->key == *key && memcmp(p->key, key, n) == 0; /* keys are terminated */
}

/* Drop repeated keys of a small map in place: the first position, the last value. */
static void unique_small(struct ax_val *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++) {
		struct ax_pair *p = &v->u.pair[i];
		size_t j = 0;

		while (j < n && !key_is(&v->u.pair[j], p->key, p->key_n))
			j++;
		if (j < n)
			v->u.pair[j].val = p->val;
		else
			v->u.pair[n++] = *p;
	}
	v->n = n;
}

/* The same with a hash table of indices + 1; false when out of memory. */
static bool unique_large(struct ax_val *v)
{
	size_t size = room(v->n) * 2, n = 0;
	uint32_t *slot;

	if (v->n >= UINT32_MAX)
		return false;
	slot = ax_calloc(size, sizeof(*slot));
	if (!slot)
		return false;
	for (size_t i = 0; i < v->n; i++) {
		struct ax_pair *p = &v->u.pair[i];
		size_t h = (size_t)ax_hash64(p->key, p->key_n) & (size - 1);

		while (slot[h] && !key_is(&v->u.pair[slot[h] - 1], p->key, p->key_n))
			h = (h + 1) & (size - 1);
		if (slot[h]) {
			v->u.pair[slot[h] - 1].val = p->val;
		} else {
			v->u.pair[n] = *p;
			slot[h] = (uint32_t)++n;
		}
	}
	v->n = n;
	ax_free(slot);
	return true;
}

bool ax_val_map_into(struct ax_arena *a, struct ax_val *map, const struct ax_pair *pair, size_t n)
{
	if (n == 0)
		return true;
	map->u.pair = array_copy(a, pair, n, n, sizeof(*pair));
	if (!map->u.pair)
		return false;
	map->n = n;
	if (n > SMALL_MAP)
		return unique_large(map);
	unique_small(map);
	return true;
}

struct ax_val *ax_val_map_of(struct ax_arena *a, const struct ax_pair *pair, size_t n)
{
	struct ax_val *v = val_new(a, AX_MAP);

	return v && ax_val_map_into(a, v, pair, n) ? v : NULL;
}

bool ax_val_push(struct ax_arena *a, struct ax_val *list, struct ax_val *v)
{
	if (list->n == room(list->n)) {
		struct ax_val **p = array_copy(a, list->u.item, list->n, list->n + 1, sizeof(struct ax_val *));

		if (!p)
			return false;
		list->u.item = p;
	}
	list->u.item[list->n++] = v;
	return true;
}

static struct ax_pair *find(const struct ax_val *map, const char *key, size_t n)
{
	if (!map || map->type != AX_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++)
		if (key_is(&map->u.pair[i], key, n))
			return &map->u.pair[i];
	return NULL;
}

bool ax_val_set(struct ax_arena *a, struct ax_val *map, const char *key, struct ax_val *v)
{
	size_t n = strlen(key);
	struct ax_pair *p = find(map, key, n);
	char *copy;

	if (p) {
		p->val = v;
		return true;
	}
	copy = ax_arena_strndup(a, key, n);
	if (!copy)
		return false;
	if (map->n == room(map->n)) {
		p = array_copy(a, map->u.pair, map->n, map->n + 1, sizeof(*p));
		if (!p)
			return false;
		map->u.pair = p;
	}
	map->u.pair[map->n++] = (struct ax_pair){copy, n, v};
	return true;
}

bool ax_val_remove(struct ax_val *map, const char *key)
{
	struct ax_pair *p = find(map, key, strlen(key));
	size_t from;

	if (!p)
		return false;
	/* Room is computed from the count: an array that shrinks below a power of two only wastes memory. */
	from = (size_t)(p - map->u.pair);
	memmove(p, p + 1, (map->n - from - 1) * sizeof(*p));
	map->n--;
	return true;
}

static bool copy_items(struct ax_arena *a, struct ax_val *to, const struct ax_val *from)
{
	to->u.item = array_copy(a, NULL, 0, from->n, sizeof(*to->u.item));
	if (!to->u.item)
		return false;
	for (size_t i = 0; i < from->n; i++) {
		to->u.item[i] = ax_val_copy(a, from->u.item[i]);
		if (!to->u.item[i])
			return false;
	}
	return true;
}

static bool copy_pairs(struct ax_arena *a, struct ax_val *to, const struct ax_val *from)
{
	to->u.pair = array_copy(a, NULL, 0, from->n, sizeof(*to->u.pair));
	if (!to->u.pair)
		return false;
	for (size_t i = 0; i < from->n; i++) {
		const struct ax_pair *p = &from->u.pair[i];
		struct ax_pair *q = &to->u.pair[i];

		q->key = ax_arena_strndup(a, p->key, p->key_n);
		q->key_n = p->key_n;
		q->val = ax_val_copy(a, p->val);
		if (!q->key || !q->val)
			return false;
	}
	return true;
}

struct ax_val *ax_val_copy(struct ax_arena *a, const struct ax_val *v)
{
	struct ax_val *c = ax_arena_alloc(a, sizeof(*c));

	if (!c)
		return NULL;
	*c = *v;
	if (v->type == AX_STR) {
		c->u.s = ax_arena_strndup(a, v->u.s, v->n);
		c->terminated = true;
		return c->u.s ? c : NULL;
	}
	if (v->type == AX_LIST && v->n)
		return copy_items(a, c, v) ? c : NULL;
	if (v->type == AX_MAP && v->n)
		return copy_pairs(a, c, v) ? c : NULL;
	return c;
}

const struct ax_val *ax_val_find(const struct ax_val *map, const char *key, size_t key_n)
{
	const struct ax_pair *p = find(map, key, key_n);

	return p ? p->val : NULL;
}

const struct ax_val *ax_val_path(const struct ax_val *map, const char *path)
{
	for (;;) {
		const char *dot = strchr(path, '.');
		const struct ax_pair *p = find(map, path, dot ? (size_t)(dot - path) : strlen(path));

		if (!p)
			return NULL;
		if (!dot)
			return p->val;
		map = p->val;
		path = dot + 1;
	}
}

const struct ax_val *ax_val_at(const struct ax_val *list, size_t i)
{
	return list && list->type == AX_LIST && i < list->n ? list->u.item[i] : NULL;
}

size_t ax_val_len(const struct ax_val *v)
{
	return v && (v->type == AX_LIST || v->type == AX_MAP) ? v->n : 0;
}

bool ax_val_is_null(const struct ax_val *v)
{
	return !v || v->type == AX_NULL;
}

bool ax_val_bool_or(const struct ax_val *v, bool dflt)
{
	return v && v->type == AX_BOOL ? v->u.b : dflt;
}

int64_t ax_val_int_or(const struct ax_val *v, int64_t dflt)
{
	return v && v->type == AX_INT ? v->u.i : dflt;
}

static double digits_value(const struct ax_val *v)
{
	char digits[DIGITS_MAX + 1];

	if (v->n > DIGITS_MAX)
		return *v->u.s == '-' ? -HUGE_VAL : HUGE_VAL;
	memcpy(digits, v->u.s, v->n);
	digits[v->n] = '\0';
	return strtod(digits, NULL);
}

double ax_val_num_or(const struct ax_val *v, double dflt)
{
	if (v && v->type == AX_INT)
		return (double)v->u.i;
	if (v && v->type == AX_STR && v->number)
		return digits_value(v);
	return v && v->type == AX_FLOAT ? v->u.f : dflt;
}

const char *ax_val_cstr(struct ax_arena *a, const struct ax_val *v, const char *dflt)
{
	if (!v || v->type != AX_STR)
		return dflt;
	return v->terminated ? v->u.s : ax_arena_strndup(a, v->u.s, v->n);
}

bool ax_val_is(const struct ax_val *v, const char *s)
{
	return v && v->type == AX_STR && strlen(s) == v->n && memcmp(v->u.s, s, v->n) == 0;
}

static bool map_equal(const struct ax_val *x, const struct ax_val *y)
{
	for (size_t i = 0; i < x->n; i++) {
		const struct ax_pair *p = &x->u.pair[i];
		const struct ax_pair *q = &y->u.pair[i];

		if (!key_is(q, p->key, p->key_n)) /* usually in the same order */
			q = find(y, p->key, p->key_n);
		if (!q || !ax_val_equal(p->val, q->val))
			return false;
	}
	return true;
}

bool ax_val_equal(const struct ax_val *x, const struct ax_val *y)
{
	if (!x || !y)
		return x == y;
	if (x->type != y->type || x->n != y->n || x->number != y->number)
		return false;
	switch (x->type) {
	case AX_NULL:
		return true;
	case AX_BOOL:
		return x->u.b == y->u.b;
	case AX_INT:
		return x->u.i == y->u.i;
	case AX_FLOAT:
		return x->u.f == y->u.f || (x->u.f != x->u.f && y->u.f != y->u.f);
	case AX_STR:
		return memcmp(x->u.s, y->u.s, x->n) == 0;
	case AX_LIST:
		for (size_t i = 0; i < x->n; i++)
			if (!ax_val_equal(x->u.item[i], y->u.item[i]))
				return false;
		return true;
	case AX_MAP:
		return map_equal(x, y);
	}
	return false;
}
