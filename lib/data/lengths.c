#include <string.h>

#include "base/mem.h"
#include "data/packer.h"

struct lengths {
	const uint32_t *len;
	uint32_t *win;  /* lengths of the window */
	uint64_t *row;  /* their rows */
	uint64_t *carried; /* rows that pass into the next window */
	uint64_t *bin;  /* rows of the bin being handed out */
	size_t n, bin_cap;
	struct ax_plan plan;
	int (*on_bin)(void *ctx, const uint64_t *row, uint32_t n_row, struct ax_err *e);
	void *ctx;
	struct ax_lengths_stats *s;
};

static int hand_out(struct lengths *l, uint32_t b, struct ax_err *e)
{
	const uint32_t *item = l->plan.order + l->plan.begin[b];
	uint32_t n = l->plan.begin[b + 1] - l->plan.begin[b];

	l->s->packs++;
	if (!l->on_bin)
		return 0;
	if (n > l->bin_cap) {
		ax_free(l->bin);
		l->bin = ax_calloc((size_t)n * 2, sizeof(*l->bin));
		l->bin_cap = l->bin ? (size_t)n * 2 : 0;
	}
	if (!l->bin)
		return ax_fail(e, AX_EMEM, "out of memory for a pack");
	for (uint32_t i = 0; i < n; i++)
		l->bin[i] = l->row[item[i]];
	return l->on_bin(l->ctx, l->bin, n, e);
}

/* Plan the window; keep what is carried at its start. */
static int run(struct lengths *l, uint32_t capacity, bool last, struct ax_err *e)
{
	struct ax_plan *p = &l->plan;
	uint32_t carry, kept = 0;

	AX_TRY(ax_plan_run(p, l->win, l->n, capacity, e));
	carry = last ? UINT32_MAX : ax_plan_carry(p);
	for (uint32_t b = 0; b < p->n_bin; b++) {
		if (p->free[b] < carry)
			AX_TRY(hand_out(l, b, e));
		else
			for (uint32_t i = p->begin[b]; i < p->begin[b + 1]; i++)
				l->carried[kept++] = l->row[p->order[i]];
	}
	for (uint32_t i = 0; i < kept; i++) {
		l->row[i] = l->carried[i];
		l->win[i] = l->len[l->carried[i]];
	}
	l->n = kept;
	return 0;
}

static int plan_all(struct lengths *l, uint64_t n, uint32_t capacity, uint64_t window, struct ax_err *e)
{
	for (uint64_t i = 0; i < n;) {
		uint64_t take = window - l->n < n - i ? window - l->n : n - i;

		memcpy(l->win + l->n, l->len + i, take * sizeof(*l->win));
		for (uint64_t k = 0; k < take; k++)
			l->row[l->n + k] = i + k;
		l->n += take;
		i += take;
		if (l->n == window && i < n)
			AX_TRY(run(l, capacity, false, e));
	}
	return l->n ? run(l, capacity, true, e) : 0;
}

int ax_pack_lengths(const uint32_t *len, uint64_t n, uint32_t capacity, uint32_t window,
		    int (*on_bin)(void *ctx, const uint64_t *row, uint32_t n_row, struct ax_err *e), void *ctx,
		    struct ax_lengths_stats *s, struct ax_err *e)
{
	uint64_t w = window && window < n ? window : n, *count = ax_calloc((size_t)capacity + 1, sizeof(*count));
	struct lengths l = {.len = len, .on_bin = on_bin, .ctx = ctx, .s = s};
	int rc = 0;

	memset(s, 0, sizeof(*s));
	ax_plan_init(&l.plan);
	l.win = ax_malloc(w * sizeof(*l.win));
	l.row = ax_malloc(w * sizeof(*l.row));
	l.carried = ax_malloc((w / 8 + 1) * sizeof(*l.carried));
	if (!l.win || !l.row || !l.carried || !count)
		rc = ax_fail(e, AX_EMEM, "out of memory for a window of %llu rows", (unsigned long long)w);
	for (uint64_t i = 0; i < n && !rc; i++) {
		if (len[i] - 1 >= capacity)
			rc = ax_fail(e, AX_EDATA, "row %llu has %u tokens, a pack holds 1 to %u", (unsigned long long)i,
				     len[i], capacity);
		else
			count[len[i]]++;
		s->tokens += len[i];
	}
	if (!rc)
		rc = plan_all(&l, n, capacity, w, e);
	if (!rc)
		s->bound = ax_pack_bound(count, capacity);
	ax_plan_release(&l.plan);
	ax_free(l.win);
	ax_free(l.row);
	ax_free(l.carried);
	ax_free(l.bin);
	ax_free(count);
	return rc;
}
