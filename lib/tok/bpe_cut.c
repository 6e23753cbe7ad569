/*
 * Cuts where no merge joins two characters, for models that see a whole text as one word. A space stands for ▁ where the
 * model says so.
 */
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/bpe.h"

static inline bool joins(const struct ax_bpe *m, uint32_t x, uint32_t y)
{
	if (m->spaces) {
		x = x == ' ' ? 0x2581 : x;
		y = y == ' ' ? 0x2581 : y;
	}
	return ax_bpe_joins(m, x, y);
}

int ax_bpe_build_cuts(struct ax_bpe *m, struct ax_err *e)
{
	if (!m->joins)
		return 0;
	m->ascii_cut = ax_malloc((size_t)128 * 128);
	if (!m->ascii_cut)
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	for (uint32_t x = 0; x < 128; x++)
		for (uint32_t y = 0; y < 128; y++)
			m->ascii_cut[x << 7 | y] = !joins(m, x, y);
	return 0;
}

/* Through ASCII from i on, where the character before i is ASCII too: writes cuts from at[*k] on, and some more. */
static size_t cut_ascii(const struct ax_bpe *m, const unsigned char *p, size_t i, size_t n, uint32_t *at, size_t *k, size_t max)
{
	const unsigned char *cut = m->ascii_cut;
	size_t c = *k;

	for (uint64_t w; i + 8 <= n && c < max; i += 8) {
		memcpy(&w, p + i, 8);
		if (w & UINT64_C(0x8080808080808080))
			break;
		for (size_t j = i; j < i + 8; j++) {
			at[c] = (uint32_t)j;
			c += cut[(unsigned)p[j - 1] << 7 | p[j]];
		}
	}
	for (; i < n && c < max && p[i] < 0x80; i++) {
		at[c] = (uint32_t)i;
		c += cut[(unsigned)p[i - 1] << 7 | p[i]];
	}
	*k = c;
	return i;
}

size_t ax_bpe_cut(const struct ax_bpe *m, const char *text, size_t n, size_t *from, uint32_t *at, size_t max)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t i = *from, k = 0, len;
	uint32_t last, c;

	if (i == n)
		return 0;
	at[k++] = (uint32_t)i;
	last = ax_utf8_get(p + i, &len);
	for (i += len; i < n && k <= max; i += len, last = c) {
		if (last < 128 && p[i] < 0x80) {
			i = cut_ascii(m, p, i, n, at, &k, max + 1);
			if (i == n || k > max)
				break;
			last = p[i - 1];
		}
		c = ax_utf8_get(p + i, &len);
		at[k] = (uint32_t)i;
		k += !joins(m, last, c);
	}
	if (i < n || k > max) /* the last one's end is not known */
		*from = at[--k];
	else
		*from = at[k] = (uint32_t)n;
	return k;
}
