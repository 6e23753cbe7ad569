/*
 * The normalizer Precompiled: a map of SentencePiece (nmt_nfkc, ...) as Hugging Face applies it.
 *
 * The bytes: 4 bytes of length, so many bytes of a darts double array of 32-bit units, then strings that end in NUL. The
 * array leads from a byte string to where in the strings its replacement begins. A grapheme cluster of fewer than 6 bytes is
 * looked up whole, else each of its characters; of keys that are prefixes the shortest counts, and what it finds replaces
 * all of the cluster (or character). That is not SentencePiece's own longest match.
 */
#ifndef AX_TOK_CHARSMAP_H
#define AX_TOK_CHARSMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tok/normalize.h"

struct ax_charsmap {
	uint32_t *unit;
	size_t n_unit;
	char *text; /* checked UTF-8 */
	size_t n;
	uint8_t plain[128]; /* ASCII characters that are clusters of their own and have no replacement */
	bool simple[128];   /* those that have one: text[from..to) */
	size_t from[128], to[128];
};

/* From bytes, or from the base64 of a tokenizer.json. AX_EDATA: malformed. */
int ax_charsmap_new(struct ax_charsmap **m, const char *p, size_t n, struct ax_err *e);
int ax_charsmap_base64(struct ax_charsmap **m, const char *p, size_t n, struct ax_err *e);
void ax_charsmap_free(struct ax_charsmap *m);

/*
 * Append the normalized *t to b; *changed: something was replaced (else nothing was appended). AX_EDATA: the map leads
 * outside of itself.
 */
int ax_charsmap_run(const struct ax_charsmap *m, struct ax_nbuf *b, const struct ax_ntext *t, bool *changed,
		    struct ax_err *e);

#endif
