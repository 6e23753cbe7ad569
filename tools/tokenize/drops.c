/* Which rows were dropped or cut, and why: for the stream's trailer, in bounded memory. */
#include <string.h>

#include "tokenize.h"

/* Sources come one after the other, so that the key is among those of the last source or new. */
static struct tk_drop *drop_of(struct tk_drops *d, uint32_t source, int split, const char *reason, bool cut)
{
	for (size_t i = d->n; i > 0 && d->drop[i - 1].source == source; i--) {
		struct tk_drop *x = &d->drop[i - 1];

		if (x->split == split && x->cut == cut && !strcmp(x->reason, reason))
			return x;
	}
	if (d->n == TK_DROPS || !AX_GROW(d->drop, d->n, d->cap))
		return NULL;
	d->drop[d->n] = (struct tk_drop){.source = source, .split = split, .reason = reason, .cut = cut};
	return &d->drop[d->n++];
}

void tk_drops_add(struct tk_drops *d, uint32_t source, int split, const char *reason, bool cut, uint64_t number)
{
	struct tk_drop *x = drop_of(d, source, split, reason, cut);

	if (!x)
		return;
	if (x->n < TK_DROP_ROWS)
		x->row[x->n] = number;
	x->n++;
}

void tk_drops_release(struct tk_drops *d)
{
	ax_free(d->drop);
}

static struct ax_val *drop_val(struct ax_arena *a, const struct tk_drop *d)
{
	struct ax_val *m = ax_val_map(a), *rows = ax_val_list(a);
	const char *split = ax_split_name(d->split);
	bool ok = m && rows && ax_val_set(a, m, "source", ax_val_int(a, d->source)) &&
		  ax_val_set(a, m, "split", ax_val_str(a, split, strlen(split))) &&
		  ax_val_set(a, m, "reason", ax_val_str(a, d->reason, strlen(d->reason))) &&
		  ax_val_set(a, m, d->cut ? "truncated" : "dropped", ax_val_int(a, (int64_t)d->n));

	for (uint64_t i = 0; ok && i < d->n && i < TK_DROP_ROWS; i++)
		ok = ax_val_push(a, rows, ax_val_int(a, (int64_t)d->row[i]));
	return ok && ax_val_set(a, m, "rows", rows) ? m : NULL;
}

struct ax_val *tk_drops_val(struct ax_arena *a, const struct tk_drops *d)
{
	struct ax_val *list = ax_val_list(a);

	for (size_t i = 0; list && i < d->n; i++) {
		struct ax_val *v = drop_val(a, &d->drop[i]);

		if (!v || !ax_val_push(a, list, v))
			return NULL;
	}
	return list ? ax_provenance_bounded(a, list, AX_INPUT_JSON) : NULL;
}
