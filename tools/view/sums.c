#include "sums.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

int sums_init(struct sums *s, struct ax_err *e)
{
	memset(s, 0, sizeof(*s));
	s->length = ax_calloc((size_t)AX_ROW_MAX + 1, sizeof(*s->length));
	return s->length ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

void sums_release(struct sums *s)
{
	ax_free(s->length);
	ax_free(s->source);
	memset(s, 0, sizeof(*s));
}

/* Where the source is, or would be. */
static size_t place(const struct sums *s, uint32_t source)
{
	size_t lo = 0, hi = s->n_source;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->source[mid].source < source)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int find(struct sums *s, uint32_t source, struct sums_source **out, struct ax_err *e)
{
	size_t i = s->at < s->n_source && s->source[s->at].source == source ? s->at : place(s, source);

	if (i == s->n_source || s->source[i].source != source) {
		if (s->n_source >= SUMS_SOURCES && source != SUMS_OTHERS)
			return find(s, SUMS_OTHERS, out, e);
		if (!AX_GROW(s->source, s->n_source, s->cap_source))
			return ax_fail(e, AX_EMEM, "out of memory");
		memmove(s->source + i + 1, s->source + i, (s->n_source - i) * sizeof(*s->source));
		s->source[i] = (struct sums_source){.source = source};
		s->n_source++;
	}
	s->at = i;
	*out = &s->source[i];
	return 0;
}

static void add(struct sum *s, uint32_t tokens, uint32_t trained)
{
	s->rows++;
	s->tokens += tokens;
	s->trained += trained;
}

int sums_row(struct sums *s, const struct ax_row *r, struct ax_err *e)
{
	uint32_t trained = ax_row_trained(r);
	struct sums_source *x = NULL;

	AX_TRY(find(s, r->source, &x, e));
	add(&s->split[r->split], r->n, trained);
	add(&x->split[r->split], r->n, trained);
	s->length[r->n]++;
	s->shortest = !s->shortest || r->n < s->shortest ? r->n : s->shortest;
	s->longest = r->n > s->longest ? r->n : s->longest;
	return 0;
}

static uint64_t n_rows(const struct sums *s)
{
	return s->split[0].rows + s->split[1].rows;
}

uint32_t sums_quantile(const struct sums *s, double q)
{
	uint64_t want = (uint64_t)ceil(q * (double)n_rows(s)), seen = 0;

	for (uint32_t n = s->shortest; n <= s->longest; n++) {
		seen += s->length[n];
		if (seen >= want)
			return n;
	}
	return s->longest;
}

size_t sums_bins(const struct sums *s, struct sums_bin bin[SUMS_BINS + 1])
{
	uint32_t most = sums_quantile(s, 0.99), width = 1, n = 0;
	size_t first = 0;

	while ((uint64_t)width * SUMS_BINS < most)
		width *= 2;
	memset(bin, 0, (SUMS_BINS + 1) * sizeof(*bin));
	for (uint32_t i = 0; i <= SUMS_BINS; i++)
		bin[i] = (struct sums_bin){i * width + 1, i < SUMS_BINS ? (i + 1) * width : s->longest, 0};
	for (uint32_t k = s->shortest; k && k <= s->longest; k++) {
		uint32_t i = (k - 1) / width < SUMS_BINS ? (k - 1) / width : SUMS_BINS;

		bin[i].rows += s->length[k];
		n = s->length[k] ? i + 1 : n;
	}
	while (first < n && !bin[first].rows)
		first++;
	memmove(bin, bin + first, (n - first) * sizeof(*bin));
	return n - first;
}
