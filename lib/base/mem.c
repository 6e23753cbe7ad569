#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"

#define ARENA_BLOCK ((size_t)64 << 10)

struct ax_arena_block {
	struct ax_arena_block *next;
	size_t cap;
	_Alignas(16) unsigned char data[];
};

void *ax_malloc(size_t n)
{
	if (ax_fault(AX_FAULT_ALLOC))
		return NULL;
	return malloc(n ? n : 1);
}

void *ax_calloc(size_t count, size_t size)
{
	if (ax_fault(AX_FAULT_ALLOC))
		return NULL;
	return calloc(count ? count : 1, size ? size : 1);
}

void *ax_realloc(void *p, size_t n)
{
	if (ax_fault(AX_FAULT_ALLOC))
		return NULL;
	return realloc(p, n ? n : 1);
}

void *ax_realloc_array(void *p, size_t count, size_t size)
{
	size_t n;

	if (!ax_mul_size(count, size, &n))
		return NULL;
	return ax_realloc(p, n);
}

void *ax_malloc_aligned(size_t align, size_t n)
{
	void *p = NULL;

	if (ax_fault(AX_FAULT_ALLOC) || posix_memalign(&p, align, n ? n : 1)) {
		errno = ENOMEM;
		return NULL;
	}
	return p;
}

void *ax_malloc_huge(size_t count, size_t size)
{
	const size_t page = (size_t)2 << 20;
	size_t n;
	void *p;

	if (!ax_mul_size(count, size, &n))
		return NULL;
	p = ax_malloc_aligned(n < page ? 64 : page, n);
	if (!p)
		return NULL;
#ifdef MADV_HUGEPAGE
	if (n >= page)
		madvise(p, n, MADV_HUGEPAGE); /* a wish, made before the first touch */
#endif
	return p;
}

void *ax_calloc_huge(size_t count, size_t size)
{
	void *p = ax_malloc_huge(count, size);

	return p ? memset(p, 0, count * size) : NULL;
}

char *ax_strndup(const char *s, size_t n)
{
	char *p = ax_malloc(n + 1);

	if (!p)
		return NULL;
	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *ax_strdup(const char *s)
{
	return ax_strndup(s, strlen(s));
}

void ax_free(void *p)
{
	free(p);
}

bool ax_grow(void **p, size_t n, size_t *cap, size_t size)
{
	size_t want;
	void *q;

	if (n < *cap)
		return true;
	want = *cap + *cap / 2 + 8;
	if (want <= n)
		want = n + 1;
	q = ax_realloc_array(*p, want, size);
	if (!q)
		return false;
	*p = q;
	*cap = want;
	return true;
}

void ax_arena_init(struct ax_arena *a, size_t limit)
{
	memset(a, 0, sizeof(*a));
	a->limit = limit;
}

static bool arena_more(struct ax_arena *a, size_t n)
{
	size_t cap = n > ARENA_BLOCK ? n : ARENA_BLOCK;
	struct ax_arena_block *b;

	if (a->total / 4 > cap) /* big arenas take big blocks */
		cap = a->total / 4;
	if (a->limit && cap > a->limit - a->total) {
		if (n > a->limit - a->total)
			return false;
		cap = n;
	}
	if (cap > SIZE_MAX - sizeof(*b))
		return false;
	b = ax_malloc(sizeof(*b) + cap);
	if (!b)
		return false;
	b->next = a->block;
	b->cap = cap;
	a->block = b;
	a->data = b->data;
	a->used = 0;
	a->cap = cap;
	a->total += cap;
	return true;
}

void *ax_arena_alloc_more(struct ax_arena *a, size_t n)
{
	size_t whole = n ? (n + AX_ARENA_ALIGN - 1) & ~(AX_ARENA_ALIGN - 1) : AX_ARENA_ALIGN;

	if (whole < n || !arena_more(a, whole))
		return NULL;
	a->used = n ? whole : 0;
	return a->data;
}

void *ax_arena_calloc(struct ax_arena *a, size_t count, size_t size)
{
	size_t n;
	void *p;

	if (!ax_mul_size(count, size, &n))
		return NULL;
	p = ax_arena_alloc(a, n);
	if (p)
		memset(p, 0, n);
	return p;
}

char *ax_arena_strndup(struct ax_arena *a, const char *s, size_t n)
{
	char *p = n < SIZE_MAX ? ax_arena_alloc(a, n + 1) : NULL;

	if (!p)
		return NULL;
	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

static void free_blocks(struct ax_arena_block *b)
{
	while (b) {
		struct ax_arena_block *next = b->next;
		ax_free(b);
		b = next;
	}
}

void ax_arena_clear(struct ax_arena *a)
{
	if (!a->block)
		return;
	free_blocks(a->block->next);
	a->block->next = NULL;
	a->used = 0;
	a->total = a->cap;
}

void ax_arena_release(struct ax_arena *a)
{
	size_t limit = a->limit;

	free_blocks(a->block);
	ax_arena_init(a, limit);
}
