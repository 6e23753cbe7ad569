/*
 * The next byte of a text that is in a set, 32 bytes at a time where the processor has vectors for it.
 *
 *	struct ax_byteset s = {0};
 *	ax_byteset_add(&s, '<');
 *	for (i = ax_byteset_find(&s, p, 0, n); i < n; i = ax_byteset_find(&s, p, i + 1, n)) ...
 */
#ifndef AX_TEXT_BYTESET_H
#define AX_TEXT_BYTESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ax_byteset {
	uint64_t bit[4];
	unsigned char low[2][16]; /* by a byte's low half: a bit for each high half, 0 to 7 and 8 to 15 */
};

void ax_byteset_add(struct ax_byteset *s, unsigned char c);

static inline bool ax_byteset_has(const struct ax_byteset *s, unsigned char c)
{
	return s->bit[c >> 6] >> (c & 63) & 1;
}

/* The first place in p[i..n) with a byte of the set, or n. */
size_t ax_byteset_find(const struct ax_byteset *s, const unsigned char *p, size_t i, size_t n);
/* The same, a byte at a time. */
size_t ax_byteset_find_scalar(const struct ax_byteset *s, const unsigned char *p, size_t i, size_t n);

#endif
