#include "tok/datrie.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BLOCK	 256
#define OPEN_MAX 24 /* blocks that are searched for a place of several children */
#define TRIES	 8  /* failures in a block after which only single children go there */

/* Keys [lo, hi) share their first `depth` bytes, which lead to `unit`. */
struct node {
	uint32_t unit, lo, hi, depth;
};

struct build {
	struct ax_datrie *t;
	uint64_t (*used)[4]; /* by block: cells in use */
	uint8_t *failed;
	uint32_t n_block, first_free, cap_block; /* first_free: blocks before it are full */
	struct node *queue;
	size_t n_queue, cap_queue;
	struct ax_err *e;
};

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
}

static int by_bytes(const void *x, const void *y)
{
	const struct ax_datrie_key *a = x, *b = y;
	size_t n = a->n < b->n ? a->n : b->n;
	int d = n ? memcmp(a->p, b->p, n) : 0;

	if (d)
		return d;
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	return (a->value > b->value) - (a->value < b->value);
}

static int add_block(struct build *b)
{
	struct ax_datrie *t = b->t;
	uint32_t from = b->n_block * BLOCK, cap;
	void *p;

	if (from > (uint32_t)1 << 31)
		return ax_fail(b->e, AX_EMEM, "the vocabulary is too large");
	if (b->n_block == b->cap_block) {
		cap = b->cap_block * 2 + 64;
		if (!(p = ax_realloc_array(t->unit, (size_t)cap * BLOCK, sizeof(*t->unit))))
			return no_memory(b->e);
		t->unit = p;
		if (!(p = ax_realloc_array(t->value, (size_t)cap * BLOCK, sizeof(*t->value))))
			return no_memory(b->e);
		t->value = p;
		if (!(p = ax_realloc_array(b->used, cap, sizeof(*b->used))))
			return no_memory(b->e);
		b->used = p;
		if (!(p = ax_realloc(b->failed, cap)))
			return no_memory(b->e);
		b->failed = p;
		b->cap_block = cap;
	}
	for (uint32_t i = from; i < from + BLOCK; i++) {
		t->unit[i] = (struct ax_datrie_unit){0, AX_DATRIE_NONE};
		t->value[i] = AX_DATRIE_NONE;
	}
	memset(b->used[b->n_block], 0, sizeof(*b->used));
	b->failed[b->n_block++] = 0;
	t->n_unit = from + BLOCK;
	return 0;
}

static bool is_used(const struct build *b, uint32_t cell)
{
	return b->used[cell / BLOCK][cell / 64 % 4] >> (cell % 64) & 1;
}

/* The first free cell of a block from i on, 256 if there is none. */
static uint32_t next_free(const struct build *b, uint32_t block, uint32_t i)
{
	for (uint32_t w = i / 64; w < 4; w++) {
		uint64_t free = ~b->used[block][w];

		if (w == i / 64)
			free &= ~(uint64_t)0 << i % 64;
		if (free)
			return w * 64 + (uint32_t)__builtin_ctzll(free);
	}
	return BLOCK;
}

/* A base within the block for children with these bytes; false: there is no room. */
static bool fit(const struct build *b, uint32_t block, const unsigned char *byte, size_t n, uint32_t *base)
{
	for (uint32_t i = next_free(b, block, 0); i < BLOCK; i = i + 1 < BLOCK ? next_free(b, block, i + 1) : BLOCK) {
		uint32_t x = (block * BLOCK + i) ^ byte[0];
		size_t k = 1;

		while (k < n && !is_used(b, x ^ byte[k]))
			k++;
		if (k == n) {
			*base = x;
			return true;
		}
	}
	return false;
}

static int find_base(struct build *b, const unsigned char *byte, size_t n, uint32_t *base)
{
	uint32_t from = b->first_free;

	while (from < b->n_block && next_free(b, from, 0) == BLOCK)
		from++;
	b->first_free = from;
	if (n > 1 && b->n_block > OPEN_MAX && from < b->n_block - OPEN_MAX)
		from = b->n_block - OPEN_MAX;
	for (; from < b->n_block; from++) {
		if (n > 1 && b->failed[from] >= TRIES)
			continue;
		if (fit(b, from, byte, n, base))
			return 0;
		if (b->failed[from] < TRIES)
			b->failed[from]++;
	}
	AX_TRY(add_block(b));
	if (!fit(b, b->n_block - 1, byte, n, base)) /* a fresh block has room for all */
		return ax_fail(b->e, AX_EDATA, "the vocabulary's trie cannot be laid out");
	return 0;
}

/* The bytes that follow the node's prefix, and where the keys of each begin; the node's own key is in front. */
static size_t children(struct ax_datrie *t, const struct ax_datrie_key *key, const struct node *x, unsigned char *byte,
		       uint32_t *begin)
{
	uint32_t i = x->lo;
	size_t n = 0;

	for (; i < x->hi && key[i].n == x->depth; i++) /* equal keys lie together: the last wins */
		t->value[x->unit] = key[i].value;
	for (; i < x->hi; i++) {
		unsigned char c = (unsigned char)key[i].p[x->depth];

		if (n && byte[n - 1] == c)
			continue;
		byte[n] = c;
		begin[n++] = i;
	}
	begin[n] = x->hi;
	return n;
}

static int place(struct build *b, const struct ax_datrie_key *key, const struct node *x)
{
	unsigned char byte[BLOCK];
	uint32_t begin[BLOCK + 1], base = 0;
	size_t n = children(b->t, key, x, byte, begin);

	if (!n)
		return 0;
	AX_TRY(find_base(b, byte, n, &base));
	b->t->unit[x->unit].base = base;
	for (size_t i = 0; i < n; i++) {
		uint32_t cell = base ^ byte[i];

		b->t->unit[cell].check = x->unit;
		b->used[cell / BLOCK][cell / 64 % 4] |= (uint64_t)1 << cell % 64;
		if (!AX_GROW(b->queue, b->n_queue, b->cap_queue))
			return no_memory(b->e);
		b->queue[b->n_queue++] = (struct node){cell, begin[i], begin[i + 1], x->depth + 1};
	}
	return 0;
}

int ax_datrie_build(struct ax_datrie *t, struct ax_datrie_key *key, size_t n, struct ax_err *e)
{
	struct build b = {.t = t, .e = e};
	struct node root = {0, 0, (uint32_t)n, 0};
	int rc;

	memset(t, 0, sizeof(*t));
	if (n >= UINT32_MAX)
		return ax_fail(e, AX_EMEM, "the vocabulary is too large");
	if (n)
		qsort(key, n, sizeof(*key), by_bytes);
	AX_GOTO(add_block(&b));
	b.used[0][0] = 1; /* the root */
	while (root.lo < n && !key[root.lo].n)
		root.lo++;
	AX_GOTO(place(&b, key, &root));
	while (b.n_queue) { /* depth first keeps the queue short and neighbours close */
		struct node x = b.queue[--b.n_queue];

		AX_GOTO(place(&b, key, &x));
	}
	rc = 0;
out:
	ax_free(b.used);
	ax_free(b.failed);
	ax_free(b.queue);
	if (rc)
		ax_datrie_release(t);
	return rc;
}

void ax_datrie_release(struct ax_datrie *t)
{
	ax_free(t->unit);
	ax_free(t->value);
	memset(t, 0, sizeof(*t));
}
