/*
 * Memory. Every allocation of the suite goes through these functions, so that a test can make the n-th one fail
 * (base/fault.h) and sizes are checked for overflow in one place.
 *
 * ax_malloc and friends return NULL when out of memory; the caller reports AX_EMEM and unwinds.
 *
 * struct ax_arena hands out memory that is freed all at once: anything that is parsed lives in one.
 *
 *	struct ax_arena a;
 *	ax_arena_init(&a, limit);
 *	p = ax_arena_alloc(&a, n);        // NULL: out of memory or over the limit
 *	ax_arena_release(&a);             // everything is gone
 */
#ifndef AX_BASE_MEM_H
#define AX_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *ax_malloc(size_t n);
void *ax_calloc(size_t count, size_t size);
void *ax_realloc(void *p, size_t n);
/* realloc to count * size bytes; NULL (and p untouched) on overflow. */
void *ax_realloc_array(void *p, size_t count, size_t size);
/* Aligned to `align` (a power of two >= sizeof(void *)); free with ax_free. Contents are not cleared. */
void *ax_malloc_aligned(size_t align, size_t n);
/*
 * Memory that is used at random places: in large pages where the system has them. Of zeros, or not cleared. Free with
 * ax_free.
 */
void *ax_malloc_huge(size_t count, size_t size);
void *ax_calloc_huge(size_t count, size_t size);
char *ax_strdup(const char *s);
char *ax_strndup(const char *s, size_t n);
void ax_free(void *p);

/* a * b and a + b into *out; false (and *out untouched) on overflow. */
static inline bool ax_mul_size(size_t a, size_t b, size_t *out)
{
	size_t r;

	if (__builtin_mul_overflow(a, b, &r))
		return false;
	*out = r;
	return true;
}

static inline bool ax_add_size(size_t a, size_t b, size_t *out)
{
	size_t r;

	if (__builtin_add_overflow(a, b, &r))
		return false;
	*out = r;
	return true;
}

/*
 * Make room for one more element in the array *p of *cap elements of `size` bytes, of which n are used; grows by half.
 * Returns false when out of memory; the array is then unchanged.
 *	if (!AX_GROW(t->row, t->n_row, t->cap_row)) return ax_fail(e, AX_EMEM, ...);
 */
bool ax_grow(void **p, size_t n, size_t *cap, size_t size);
#define AX_GROW(p, n, cap) ax_grow((void **)&(p), (n), &(cap), sizeof(*(p)))

#define AX_ARENA_ALIGN ((size_t)16)

struct ax_arena_block;

struct ax_arena {
	struct ax_arena_block *block; /* newest first */
	unsigned char *data;          /* of the newest block */
	size_t used, cap;
	size_t total;                 /* bytes asked from the system so far */
	size_t limit;                 /* 0: none */
};

void ax_arena_init(struct ax_arena *a, size_t limit);
void *ax_arena_alloc_more(struct ax_arena *a, size_t n); /* for ax_arena_alloc: where the newest block has no room */
/* n bytes aligned to 16, not cleared; NULL when out of memory or beyond the limit. */
static inline void *ax_arena_alloc(struct ax_arena *a, size_t n)
{
	size_t whole = (n + AX_ARENA_ALIGN - 1) & ~(AX_ARENA_ALIGN - 1);
	void *p;

	if (whole < n || whole > a->cap - a->used || !a->data)
		return ax_arena_alloc_more(a, n);
	p = a->data + a->used;
	a->used += whole;
	return p;
}
/* count * size cleared bytes. */
void *ax_arena_calloc(struct ax_arena *a, size_t count, size_t size);
/* A NUL-terminated copy of n bytes. */
char *ax_arena_strndup(struct ax_arena *a, const char *s, size_t n);
/* Bytes that ax_arena_alloc gives without asking the system. */
static inline size_t ax_arena_room(const struct ax_arena *a)
{
	return a->cap - a->used;
}
/* Of the n bytes that were allocated last only the first `used` are needed. */
static inline void ax_arena_trim(struct ax_arena *a, size_t n, size_t used)
{
	a->used -= ((n + AX_ARENA_ALIGN - 1) & ~(AX_ARENA_ALIGN - 1)) - ((used + AX_ARENA_ALIGN - 1) & ~(AX_ARENA_ALIGN - 1));
}
/* Forget the contents but keep one block for reuse: for a loop over rows. */
void ax_arena_clear(struct ax_arena *a);
void ax_arena_release(struct ax_arena *a);

#endif
