/*
 * Ids of many texts for tests/parity/differential.py. usage: gen_ids [-r] TOKENIZER <TEXTS >IDS
 * TEXTS: each a length (4 bytes, little-endian) and so many bytes. IDS: for each a count and so many ids, of 4 bytes. With
 * -r: two counts n and k, n ids with special tokens, k without, and the k begins and k ends of their ranges.
 * Each text is encoded with and without ranges, by one scratch: the ids must agree, and the ranges lie in order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tok/tokenizer.h"

static bool in_order(const struct ax_ids *o, size_t n)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->begin[i] > o->end[i] || o->end[i] > n || (i && o->begin[i] < o->begin[i - 1]))
			return false;
	return true;
}

static void put(uint32_t x)
{
	unsigned char b[4];

	ax_put_u32(b, x);
	fwrite(b, 1, 4, stdout);
}

static void put_all(const uint32_t *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put(x[i]);
}

static int one(bool ranges, const struct ax_tokenizer *t, struct ax_tok_scratch *s, const char *p, size_t n, struct ax_ids *a,
	       struct ax_ids *b, struct ax_err *e)
{
	ax_ids_reset(a);
	ax_ids_reset(b);
	AX_TRY(ax_tokenizer_encode(t, p, n, 0, a, s, e));
	AX_TRY(ax_tokenizer_encode(t, p, n, AX_TOK_OFFSETS, b, s, e));
	if (a->n != b->n || (a->n && memcmp(a->id, b->id, a->n * sizeof(*a->id))))
		return ax_fail(e, AX_ECHECK, "ids with and without ranges differ");
	if (!ranges && !in_order(b, n)) /* a BPE model writes the bytes of a character before an unknown one in front of it */
		return ax_fail(e, AX_ECHECK, "ranges are not in order");
	if (ranges) {
		ax_ids_reset(a);
		AX_TRY(ax_tokenizer_encode(t, p, n, AX_TOK_SPECIAL, a, s, e));
		put((uint32_t)a->n);
	}
	put((uint32_t)b->n);
	if (ranges)
		put_all(a->id, a->n);
	put_all(b->id, b->n);
	if (ranges) {
		put_all(b->begin, b->n);
		put_all(b->end, b->n);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct ax_tokenizer *t = NULL;
	struct ax_tok_scratch *s = NULL;
	struct ax_ids a = AX_IDS_INIT, b = AX_IDS_INIT;
	struct ax_err e = {0};
	unsigned char head[4];
	size_t number = 0;
	bool ranges = argc == 3 && !strcmp(argv[1], "-r");
	int rc;

	if (argc != 2 + ranges)
		return 2;
	rc = ax_tokenizer_open(&t, argv[argc - 1], &e);
	if (!rc)
		rc = ax_tok_scratch_new(&s, t, &e);
	while (!rc && fread(head, 1, 4, stdin) == 4) {
		size_t n = ax_get_u32(head);
		char *p = malloc(n ? n : 1); /* of this size, so that a sanitizer sees reads behind it */

		if (!p || fread(p, 1, n, stdin) != n)
			rc = ax_fail(&e, AX_EIO, "the texts end early");
		if (!rc)
			rc = one(ranges, t, s, p, n, &a, &b, &e);
		free(p);
		number++;
	}
	if (rc)
		fprintf(stderr, "gen_ids: text %zu: %s\n", number, e.msg);
	ax_tok_scratch_free(s);
	ax_tokenizer_free(t);
	ax_ids_release(&a);
	ax_ids_release(&b);
	return rc;
}
