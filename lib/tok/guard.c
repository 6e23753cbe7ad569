#include "tok/guard.h"

#include <string.h>

#include "base/mem.h"

int ax_guards_add(struct ax_guards *g, size_t begin, size_t end, struct ax_err *e)
{
	if (begin >= end)
		return 0;
	if (g->n && g->range[g->n - 1].end == begin) {
		g->range[g->n - 1].end = end;
		return 0;
	}
	if (!AX_GROW(g->range, g->n, g->cap))
		return ax_fail(e, AX_EMEM, "out of memory");
	g->range[g->n++] = (struct ax_guard){begin, end};
	return 0;
}

int ax_guards_append(struct ax_guards *g, const struct ax_guards *other, size_t shift, struct ax_err *e)
{
	for (size_t i = 0; i < other->n; i++)
		AX_TRY(ax_guards_add(g, other->range[i].begin + shift, other->range[i].end + shift, e));
	return 0;
}

void ax_guards_reset(struct ax_guards *g)
{
	g->n = 0;
	g->n_held = 0;
}

void ax_guards_release(struct ax_guards *g)
{
	ax_free(g->range);
	memset(g, 0, sizeof(*g));
}

bool ax_guards_overlap(const struct ax_guards *g, size_t begin, size_t end)
{
	size_t lo = 0, hi = g->n;

	while (lo < hi) { /* the first range that ends behind `begin` */
		size_t mid = lo + (hi - lo) / 2;

		if (g->range[mid].end <= begin)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < g->n && g->range[lo].begin < end;
}

bool ax_guards_lists(const struct ax_guards *g, uint32_t id)
{
	size_t lo = 0, hi = g->n_id;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (g->id[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < g->n_id && g->id[lo] == id;
}
