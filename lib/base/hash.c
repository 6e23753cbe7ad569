#include "base/hash.h"

#include <stdio.h>
#include <xxhash.h>

uint64_t ax_hash64(const void *p, size_t n)
{
	return XXH3_64bits(p, n);
}

uint64_t ax_hash64_seed(const void *p, size_t n, uint64_t seed)
{
	return XXH3_64bits_withSeed(p, n, seed);
}

struct ax_hash *ax_hash_new(void)
{
	XXH3_state_t *s = XXH3_createState();

	if (s)
		XXH3_64bits_reset(s);
	return (struct ax_hash *)s;
}

void ax_hash_add(struct ax_hash *h, const void *p, size_t n)
{
	XXH3_64bits_update((XXH3_state_t *)h, p, n);
}

uint64_t ax_hash_value(const struct ax_hash *h)
{
	return XXH3_64bits_digest((const XXH3_state_t *)h);
}

void ax_hash_free(struct ax_hash *h)
{
	XXH3_freeState((XXH3_state_t *)h);
}

void ax_hash128_hex(const void *p, size_t n, char out[33])
{
	XXH128_hash_t h = XXH3_128bits(p, n);

	snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}

/* The finaliser of splitmix64 (Steele, Lea, Flood 2014). */
uint64_t ax_mix64(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

void ax_sum_row(struct ax_sum *s, const void *p, size_t n)
{
	XXH128_hash_t h = XXH3_128bits(p, n);

	s->a += h.low64;
	s->b += h.high64;
	s->n++;
}

void ax_sum_add(struct ax_sum *s, const struct ax_sum *other)
{
	s->a += other->a;
	s->b += other->b;
	s->n += other->n;
}

int ax_sum_equal(const struct ax_sum *x, const struct ax_sum *y)
{
	return x->a == y->a && x->b == y->b && x->n == y->n;
}
