/*
 * Hashing: XXH3 (package xxHash) for checksums and fingerprints, and an order-free sum of row hashes.
 * All results are independent of the machine's byte order.
 */
#ifndef AX_BASE_HASH_H
#define AX_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t ax_hash64(const void *p, size_t n);
uint64_t ax_hash64_seed(const void *p, size_t n, uint64_t seed);

/* The same 64-bit hash of bytes that come in pieces. ax_hash_new returns NULL when out of memory. */
struct ax_hash;
struct ax_hash *ax_hash_new(void);
void ax_hash_add(struct ax_hash *h, const void *p, size_t n);
uint64_t ax_hash_value(const struct ax_hash *h);
void ax_hash_free(struct ax_hash *h);

/* 128 bits, as 32 lower-case hex digits and a NUL. For fingerprints of content (tokenizers, configs). */
void ax_hash128_hex(const void *p, size_t n, char out[33]);

/* Mix of integers, for keyed decisions (splits, stochastic rounding): a bijection of x for every key. */
uint64_t ax_mix64(uint64_t x);

/*
 * Order-free checksum: the sums (mod 2^64) of two independent hashes of each row, and the number of rows.
 * Equal multisets of rows give equal sums in any order; adding partial sums gives the sum of the whole.
 */
struct ax_sum {
	uint64_t a, b, n;
};

void ax_sum_row(struct ax_sum *s, const void *p, size_t n);
void ax_sum_add(struct ax_sum *s, const struct ax_sum *other);
int ax_sum_equal(const struct ax_sum *x, const struct ax_sum *y);

#endif
