#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "view.h"

#define SHORT_TOKENS 400 /* of a row in the short form */

static const char *color(const struct view *v, bool trained)
{
	return !v->color ? "" : trained ? "\033[32m" : "\033[31m";
}

static const char *plain(const struct view *v)
{
	return v->color ? "\033[0m" : "";
}

static void title(const struct ax_row *r, uint64_t k)
{
	printf("row %" PRIu64 ": %s, source %u, number %" PRIu64 ", %u tokens, %u trained%s%s\n", k,
	       ax_split_name(r->split), r->source, r->number, r->n, ax_row_trained(r), r->label ? ", labels" : "",
	       r->weight ? ", weights" : "");
}

/* A stretch of equal mask on a line: "+" trained, "-" not; without a tokenizer its ids. */
void view_row_short(struct view *v, const struct ax_row *r, uint64_t k)
{
	uint32_t n = r->n < SHORT_TOKENS ? r->n : SHORT_TOKENS;
	struct ax_buf b = AX_BUF_INIT;

	title(r, k);
	for (uint32_t i = 0; i < n;) {
		bool trained = r->mask[i];

		uint32_t from = i;

		ax_buf_reset(&b);
		while (i < n && (bool)r->mask[i] == trained)
			i++;
		if (!view_tokens(v, r->id + from, i - from, &b))
			for (uint32_t j = from; j < i; j++)
				ax_buf_addf(&b, "%s%u", b.n ? " " : "", r->id[j]);
		printf("%s%c %s%s\n", color(v, trained), trained ? '+' : '-', b.p ? b.p : "", plain(v));
	}
	if (n < r->n)
		printf("  ... %u more tokens\n", r->n - n);
	ax_buf_release(&b);
}

void view_row_long(struct view *v, const struct ax_row *r, uint64_t k)
{
	struct ax_buf b = AX_BUF_INIT;

	title(r, k);
	for (uint32_t i = 0; i < r->n; i++) {
		bool trained = r->mask[i];

		ax_buf_reset(&b);
		view_tokens(v, &r->id[i], 1, &b);
		printf("%s%6u %c %7u", color(v, trained), i, trained ? '+' : '-', r->id[i]);
		if (r->label && r->label[i] != (trained ? (int32_t)r->id[i] : AX_LABEL_NONE))
			printf(" label %d", r->label[i]);
		if (r->weight)
			printf(" weight %g", (double)r->weight[i]);
		printf("%s%s%s\n", b.n ? " " : "", b.n ? b.p : "", plain(v));
	}
	ax_buf_release(&b);
}

struct ax_val *view_row_json(struct ax_arena *a, const struct ax_row *r, uint64_t k)
{
	struct ax_val *m = ax_val_map(a), *ids = ax_val_list(a), *labels = ax_val_list(a), *weights = ax_val_list(a);
	bool ok = m && ids && labels && weights;

	for (uint32_t i = 0; ok && i < r->n; i++) {
		int32_t label = r->label ? r->label[i] : r->mask[i] ? (int32_t)r->id[i] : AX_LABEL_NONE;

		ok = ax_val_push(a, ids, ax_val_int(a, r->id[i])) && ax_val_push(a, labels, ax_val_int(a, label)) &&
		     (!r->weight || ax_val_push(a, weights, ax_val_float(a, (double)r->weight[i])));
	}
	ok = ok && ax_val_set(a, m, "row", ax_val_int(a, (int64_t)k)) &&
	     ax_val_set(a, m, "split", ax_val_str(a, ax_split_name(r->split), strlen(ax_split_name(r->split)))) &&
	     ax_val_set(a, m, "source", ax_val_int(a, r->source)) &&
	     ax_val_set(a, m, "number", ax_val_int(a, (int64_t)r->number)) &&
	     ax_val_set(a, m, "trained_tokens", ax_val_int(a, ax_row_trained(r))) &&
	     ax_val_set(a, m, "input_ids", ids) && ax_val_set(a, m, "labels", labels);
	if (ok && r->weight)
		ok = ax_val_set(a, m, "weights", weights);
	return ok ? m : NULL;
}
