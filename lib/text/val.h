/*
 * One value type for JSON, YAML, configuration and template variables: null, bool, integer, float, string, list, map.
 *
 * Values live in an arena and are immutable once built; maps keep insertion order. Strings are (pointer, length),
 * valid UTF-8 unless a parser says otherwise, not NUL-terminated in general: use ax_val_cstr() for a C string.
 * Every accessor accepts NULL and a value of the wrong type, and answers "absent": a chain of lookups needs one check.
 */
#ifndef AX_TEXT_VAL_H
#define AX_TEXT_VAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum ax_val_type { AX_NULL, AX_BOOL, AX_INT, AX_FLOAT, AX_STR, AX_LIST, AX_MAP };

struct ax_pair;

struct ax_val {
	enum ax_val_type type : 8;
	unsigned terminated : 1; /* a string with a NUL after its n bytes: all but those that a JSON text still holds */
	unsigned number : 1; /* a "string" that is the digits of a JSON integer beyond 64 bits: no digit is lost */
	uint32_t line; /* 1-based line in the source text, 0 if none */
	size_t n;      /* bytes of a string, elements of a list, pairs of a map */
	union {
		bool b;
		int64_t i;
		double f;
		const char *s;
		struct ax_val **item; /* list: n pointers */
		struct ax_pair *pair; /* map: n pairs in order */
	} u;
};

struct ax_pair {
	const char *key; /* NUL-terminated, may hold NULs before key_n */
	size_t key_n;
	struct ax_val *val;
};

/* Constructors; NULL when the arena is exhausted. String bytes are copied. */
struct ax_val *ax_val_null(struct ax_arena *a);
struct ax_val *ax_val_bool(struct ax_arena *a, bool b);
struct ax_val *ax_val_int(struct ax_arena *a, int64_t i);
struct ax_val *ax_val_float(struct ax_arena *a, double f);
struct ax_val *ax_val_str(struct ax_arena *a, const char *s, size_t n);
struct ax_val *ax_val_list(struct ax_arena *a);
struct ax_val *ax_val_map(struct ax_arena *a);
/* A list or map of n given elements; the array is copied, the elements are not. A map's repeated key keeps its last value. */
struct ax_val *ax_val_list_of(struct ax_arena *a, struct ax_val *const *item, size_t n);
struct ax_val *ax_val_map_of(struct ax_arena *a, const struct ax_pair *pair, size_t n);
/* The same into an empty list or map that is there already. False when out of memory. */
bool ax_val_list_into(struct ax_arena *a, struct ax_val *list, struct ax_val *const *item, size_t n);
bool ax_val_map_into(struct ax_arena *a, struct ax_val *map, const struct ax_pair *pair, size_t n);
/* Append / set (replaces an equal key in place). False when out of memory. `key` is copied. */
bool ax_val_push(struct ax_arena *a, struct ax_val *list, struct ax_val *v);
bool ax_val_set(struct ax_arena *a, struct ax_val *map, const char *key, struct ax_val *v);
bool ax_val_remove(struct ax_val *map, const char *key);
/* Deep copy into another arena. */
struct ax_val *ax_val_copy(struct ax_arena *a, const struct ax_val *v);

/* Lookups. ax_val_path follows "a.b.c" through maps. */
const struct ax_val *ax_val_find(const struct ax_val *map, const char *key, size_t key_n);
static inline const struct ax_val *ax_val_get(const struct ax_val *map, const char *key)
{
	return ax_val_find(map, key, strlen(key));
}
const struct ax_val *ax_val_path(const struct ax_val *map, const char *path);
const struct ax_val *ax_val_at(const struct ax_val *list, size_t i);
size_t ax_val_len(const struct ax_val *v); /* elements or pairs; 0 for others */
bool ax_val_is_null(const struct ax_val *v); /* true for NULL and for AX_NULL */
/* Typed reads with a default for absent or mistyped values; _num takes integers, also those beyond 64 bits, and floats. */
bool ax_val_bool_or(const struct ax_val *v, bool dflt);
int64_t ax_val_int_or(const struct ax_val *v, int64_t dflt);
double ax_val_num_or(const struct ax_val *v, double dflt);
/*
 * A C string, or `dflt` for a value that is no string. NULL when out of memory, which happens only to a string that is
 * not terminated yet: those of a YAML text, of a constructor or of a copy are.
 */
const char *ax_val_cstr(struct ax_arena *a, const struct ax_val *v, const char *dflt);
/* Is v a string with exactly these bytes? */
bool ax_val_is(const struct ax_val *v, const char *s);
/* Same type and value; maps compare without order; 1 and 1.0 differ. */
bool ax_val_equal(const struct ax_val *x, const struct ax_val *y);

#endif
