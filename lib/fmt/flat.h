/*
 * Flatbuffers, read: the metadata of Arrow files.
 *
 *	struct ax_flat f = {.p = p, .n = n};
 *	size_t t = ax_flat_root(&f), v, i = ax_flat_table(&f, t, 2);
 *	n = ax_flat_vector(&f, i, 3, 4, &v);            // n elements of 4 bytes from byte v on
 *	if (f.bad) ...                                  // sticky
 *
 * Tables are named by their offset, 0 for none: every read of a field of none gives its default. All offsets are checked
 * against the buffer; one that points outside makes it bad, and what was asked for 0.
 */
#ifndef AX_FMT_FLAT_H
#define AX_FMT_FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ax_flat {
	const unsigned char *p;
	size_t n;
	bool bad;
};

size_t ax_flat_root(struct ax_flat *f);
/* A field's little-endian integer of `size` bytes, sign-extended. */
int64_t ax_flat_int(struct ax_flat *f, size_t table, unsigned field, unsigned size, int64_t dflt);
size_t ax_flat_table(struct ax_flat *f, size_t table, unsigned field);
/* Elements of a field's vector, each of `size` bytes, from byte *at on. */
size_t ax_flat_vector(struct ax_flat *f, size_t table, unsigned field, unsigned size, size_t *at);
/* The table that element i of a vector of tables (size 4) at byte `at` names. */
size_t ax_flat_element(struct ax_flat *f, size_t at, size_t i);
/* A field's string; "" with *n = 0 if there is none. */
const char *ax_flat_string(struct ax_flat *f, size_t table, unsigned field, size_t *n);

#endif
