/*
 * A double-array trie over byte strings: one memory access a byte, for models that walk from every character.
 *
 *	struct ax_datrie t;
 *	AX_TRY(ax_datrie_build(&t, key, n, e));                 // key[i] = {bytes, length, value}; later ones of equal keys win
 *	for (uint32_t at = 0; i < n && ax_datrie_step(&t, &at, p[i]); i++)
 *		if (t.value[at] != AX_DATRIE_NONE) ...          // p[..i] is a key
 *	ax_datrie_release(&t);
 *
 * The children of a unit lie at `base ^ byte` within one block of 256; a unit belongs to its parent if `check` names it.
 * Every base lies in a block that exists, so a step needs no bounds check.
 */
#ifndef AX_TOK_DATRIE_H
#define AX_TOK_DATRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define AX_DATRIE_NONE UINT32_MAX

struct ax_datrie {
	struct ax_datrie_unit {
		uint32_t base, check;
	} *unit;
	uint32_t *value; /* by unit; AX_DATRIE_NONE: no key ends here */
	uint32_t n_unit; /* a multiple of 256; unit 0 is the root */
};

struct ax_datrie_key {
	const char *p;
	size_t n;
	uint32_t value;
};

/* The keys are put in order; empty ones are ignored. */
int ax_datrie_build(struct ax_datrie *t, struct ax_datrie_key *key, size_t n, struct ax_err *e);
void ax_datrie_release(struct ax_datrie *t);

/* From unit *at on by a byte; false: there is no such key, and *at stays. */
static inline bool ax_datrie_step(const struct ax_datrie *t, uint32_t *at, unsigned char byte)
{
	uint32_t next = t->unit[*at].base ^ byte;

	if (t->unit[next].check != *at)
		return false;
	*at = next;
	return true;
}

#endif
