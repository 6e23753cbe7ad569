#include "fmt/drops.h"

#include <string.h>

#include "fmt/provenance.h"
#include "fmt/stream.h"

static int compare(const struct ax_drop *x, const struct ax_drop *y)
{
	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	if (x->split != y->split)
		return x->split - y->split;
	return x->cut != y->cut ? x->cut - y->cut : strcmp(x->reason, y->reason);
}

/* The kind that `key` names, made if it is new; NULL: no more are kept. */
static struct ax_drop *find(struct ax_drops *d, const struct ax_drop *key)
{
	size_t lo = 0, hi = d->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = compare(&d->drop[mid], key);

		if (c == 0)
			return &d->drop[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (d->n == AX_DROPS || !AX_GROW(d->drop, d->n, d->cap))
		return NULL;
	memmove(d->drop + lo + 1, d->drop + lo, (d->n - lo) * sizeof(*d->drop));
	d->drop[lo] = *key;
	d->n++;
	return &d->drop[lo];
}

void ax_drops_add(struct ax_drops *d, uint32_t source, int split, const char *reason, bool cut, uint64_t number)
{
	struct ax_drop key = {.source = source, .split = split, .reason = reason, .cut = cut};
	struct ax_drop *x = find(d, &key);

	if (!x)
		return;
	if (x->n < AX_DROP_ROWS)
		x->row[x->n] = number;
	x->n++;
}

void ax_drops_release(struct ax_drops *d)
{
	ax_free(d->drop);
	memset(d, 0, sizeof(*d));
}

static struct ax_val *drop_val(struct ax_arena *a, const struct ax_drop *d)
{
	struct ax_val *m = ax_val_map(a), *rows = ax_val_list(a);
	const char *split = ax_split_name(d->split);
	bool ok = m && rows && ax_val_set(a, m, "source", ax_val_int(a, d->source)) &&
		  ax_val_set(a, m, "split", ax_val_str(a, split, strlen(split))) &&
		  ax_val_set(a, m, "reason", ax_val_str(a, d->reason, strlen(d->reason))) &&
		  ax_val_set(a, m, d->cut ? "truncated" : "dropped", ax_val_int(a, (int64_t)d->n));

	for (uint64_t i = 0; ok && i < d->n && i < AX_DROP_ROWS; i++)
		ok = ax_val_push(a, rows, ax_val_int(a, (int64_t)d->row[i]));
	return ok && ax_val_set(a, m, "rows", rows) ? m : NULL;
}

struct ax_val *ax_drops_val(struct ax_arena *a, const struct ax_drops *d)
{
	struct ax_val *list = ax_val_list(a);

	for (size_t i = 0; list && i < d->n; i++) {
		struct ax_val *v = drop_val(a, &d->drop[i]);

		if (!v || !ax_val_push(a, list, v))
			return NULL;
	}
	return list ? ax_provenance_bounded(a, list, AX_INPUT_JSON) : NULL;
}
