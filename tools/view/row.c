#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tok/show.h"
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

int view_row_text(struct view *v, const struct ax_row *r, uint64_t k, struct ax_err *e)
{
	struct ax_buf text = AX_BUF_INIT, safe = AX_BUF_INIT;
	int rc = view_decode(v, r, &text, e);

	if (!rc) {
		ax_show_text(&safe, text.p ? text.p : "", text.n);
		rc = safe.oom ? ax_fail(e, AX_EMEM, "out of memory") : 0;
	}
	if (!rc) {
		title(r, k);
		printf("%s\n", safe.p ? safe.p : "");
	}
	ax_buf_release(&text);
	ax_buf_release(&safe);
	return rc;
}

int32_t view_label(const struct ax_row *r, uint32_t i)
{
	return r->label ? r->label[i] : r->mask[i] ? (int32_t)r->id[i] : AX_LABEL_NONE;
}

/* Red: masked; yellow: label 0, which is rarely meant; green: trained. */
static const char *debug_color(const struct view *v, int32_t label)
{
	return !v->color ? "" : label == AX_LABEL_NONE ? "\033[31m" : label == 0 ? "\033[33m" : "\033[32m";
}

/* Tokens of one colour together, so that characters which are split over tokens come out whole. */
static void debug_text(struct view *v, const struct ax_row *r)
{
	struct ax_buf b = AX_BUF_INIT, bytes = AX_BUF_INIT;

	for (uint32_t i = 0, from = 0; i < r->n; from = i) {
		const char *c = debug_color(v, view_label(r, i));

		while (i < r->n && !strcmp(debug_color(v, view_label(r, i)), c))
			i++;
		ax_buf_reset(&b);
		ax_buf_reset(&bytes);
		view_bytes(v, r->id + from, i - from, &bytes);
		ax_show_text(&b, bytes.p ? bytes.p : "", bytes.n);
		printf("%s%s%s", c, b.p ? b.p : "", plain(v));
	}
	ax_buf_release(&b);
	ax_buf_release(&bytes);
}

void view_row_debug(struct view *v, const struct ax_row *r)
{
	struct ax_buf b = AX_BUF_INIT;
	uint32_t labels = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		int32_t label = view_label(r, i);

		labels += label != AX_LABEL_NONE;
		if (v->text_only)
			continue;
		ax_buf_reset(&b);
		view_tokens(v, &r->id[i], 1, &b);
		printf("%s%s%s%s(%d, %u)", i ? " " : "", debug_color(v, label), b.p ? b.p : "", plain(v), label, r->id[i]);
	}
	if (v->text_only)
		debug_text(v, r);
	printf("\n\nTotal input len: %u\nCount of labels: %u\n\n", r->n, labels);
	ax_buf_release(&b);
}
