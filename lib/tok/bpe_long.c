/*
 * A thread's cache of longer pieces that the shared table (bpe_share.h) has no room for: bytes and ids one after the other in a store, found by
 * hash. When the store or the table is full both are emptied.
 */
#include <string.h>

#include "base/mem.h"
#include "tok/bpe_work.h"

#define MAX_BYTES   1024 /* of a piece; longer ones hardly come again */
#define FIRST_SLOTS ((size_t)1 << 12)
#define MOST_SLOTS  ((size_t)1 << 16)
#define FIRST_STORE ((size_t)1 << 16) /* in words */
#define MOST_STORE  ((size_t)1 << 20) /* 4 MiB */

void ax_long_release(struct ax_long *c)
{
	ax_free(c->slot);
	ax_free(c->store);
	memset(c, 0, sizeof(*c));
}

uint64_t ax_piece_hash(const char *p, size_t n)
{
	uint64_t h = n, k;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&k, p, 8);
		h = (h ^ k) * UINT64_C(0x9E3779B97F4A7C15);
		h ^= h >> 32;
	}
	k = 0;
	memcpy(&k, p, n);
	h = (h ^ k) * UINT64_C(0x9E3779B97F4A7C15);
	return h ^ h >> 32;
}

/* The slot of a piece, or the free one for it; there is one. */
static uint64_t *slot_of(const struct ax_long *c, const char *p, size_t n, uint64_t h)
{
	for (size_t i = (size_t)h & (c->n_slot - 1);; i = (i + 1) & (c->n_slot - 1)) {
		uint64_t s = c->slot[i];
		const uint32_t *x;

		if (!s)
			return &c->slot[i];
		if (s >> 32 != h >> 32)
			continue;
		x = c->store + (uint32_t)s - 1;
		if (x[0] >> 16 == n && !memcmp(x + 1, p, n))
			return &c->slot[i];
	}
}

const uint32_t *ax_long_find(const struct ax_long *c, const char *p, size_t n, size_t *count)
{
	const uint32_t *x;
	uint64_t s;

	if (!c->n_slot || n > MAX_BYTES)
		return NULL;
	s = *slot_of(c, p, n, ax_piece_hash(p, n));
	if (!s)
		return NULL;
	x = c->store + (uint32_t)s - 1;
	*count = x[0] & 0xFFFF;
	return x + 1 + ax_long_words(n);
}

static bool grow_slots(struct ax_long *c)
{
	size_t n = c->n_slot ? c->n_slot * 2 : FIRST_SLOTS;
	uint64_t *old = c->slot, *fresh = ax_calloc(n, sizeof(*fresh));
	size_t old_n = c->n_slot;

	if (!fresh)
		return false;
	c->slot = fresh;
	c->n_slot = n;
	for (size_t i = 0; i < old_n; i++) {
		const uint32_t *x = c->store + (uint32_t)old[i] - 1;
		const char *p = (const char *)(x + 1);

		if (old[i])
			*slot_of(c, p, x[0] >> 16, ax_piece_hash(p, x[0] >> 16)) = old[i];
	}
	ax_free(old);
	return true;
}

/* Room for one more piece of so many words in the store; false: no memory, or not for now. */
static bool make_room(struct ax_long *c, size_t words)
{
	uint32_t *store;

	if (c->store_n + words > MOST_STORE || c->n == MOST_SLOTS / 2) {
		if (c->n_slot)
			memset(c->slot, 0, c->n_slot * sizeof(*c->slot));
		c->n = c->store_n = 0;
		c->emptied++;
	}
	if (2 * c->n >= c->n_slot && !grow_slots(c))
		return false;
	if (c->store_n + words > c->store_cap) {
		size_t cap = c->store_cap ? c->store_cap * 2 : FIRST_STORE;

		store = ax_realloc_array(c->store, cap, sizeof(*store));
		if (!store)
			return false;
		c->store = store;
		c->store_cap = cap;
	}
	return true;
}

void ax_long_put(struct ax_long *c, const char *p, size_t n, const uint32_t *id, size_t count)
{
	size_t words = 1 + ax_long_words(n) + count;
	uint32_t *x;
	uint64_t h;

	if (n > MAX_BYTES || count > MAX_BYTES || !make_room(c, words))
		return;
	h = ax_piece_hash(p, n);
	x = c->store + c->store_n;
	x[0] = (uint32_t)(n << 16 | count);
	memcpy(x + 1, p, n);
	memcpy(x + 1 + ax_long_words(n), id, count * sizeof(*id));
	*slot_of(c, p, n, h) = h >> 32 << 32 | (c->store_n + 1);
	c->store_n += words;
	c->n++;
}

bool ax_long_keep(struct ax_long *c, const uint32_t *id, size_t count, uint32_t *place)
{
	if (!make_room(c, count))
		return false;
	memcpy(c->store + c->store_n, id, count * sizeof(*id));
	*place = (uint32_t)c->store_n;
	c->store_n += count;
	return true;
}
