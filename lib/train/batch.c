#include "train/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

int ax_microbuf_init(struct ax_microbuf *b, int micro, int sequence_len, int max_docs, struct ax_err *e)
{
	size_t n = (size_t)micro * (size_t)sequence_len;

	memset(b, 0, sizeof(*b));
	if (micro < 1 || sequence_len < 1 || n > INT32_MAX)
		return ax_fail(e, AX_EUSAGE, "micro_batch_size %d times sequence_len %d is no size for a micro-batch", micro,
			       sequence_len);
	b->micro = micro;
	b->sequence_len = sequence_len;
	b->n_token = (int)n;
	b->max_seg = (uint64_t)micro * (uint64_t)(max_docs < 1 ? 1 : max_docs) > n ? (int)n : micro * (max_docs < 1 ? 1 : max_docs);
	b->id = ax_calloc(n, sizeof(*b->id));
	b->pos = ax_calloc(n, sizeof(*b->pos));
	b->target = ax_calloc(n, sizeof(*b->target));
	b->weight = ax_calloc(n, sizeof(*b->weight));
	b->seg = ax_calloc((size_t)b->max_seg, sizeof(*b->seg));
	if (b->id && b->pos && b->target && b->weight && b->seg)
		return 0;
	ax_microbuf_release(b);
	return ax_fail(e, AX_EMEM, "out of memory for a micro-batch of %zu tokens", n);
}

static void clear(struct ax_microbuf *b)
{
	memset(b->id, 0, (size_t)b->n_token * sizeof(*b->id));
	memset(b->pos, 0, (size_t)b->n_token * sizeof(*b->pos));
	for (int i = 0; i < b->n_token; i++)
		b->target[i] = -1;
	b->n_seg = 0;
	b->n_row = 0;
	b->tokens = b->trained = 0;
}

/* One document at token `at` of the micro-batch. */
static void add_document(struct ax_microbuf *b, const struct ax_row *r, int at)
{
	for (uint32_t i = 0; i < r->n; i++) {
		b->id[at + (int)i] = (int32_t)r->id[i];
		b->pos[at + (int)i] = (int32_t)i;
		b->weight[at + (int)i] = 1.0f;
		if (i == 0 || !r->mask[i])
			continue;
		b->target[at + (int)i - 1] = r->label ? r->label[i] : (int32_t)r->id[i];
		if (r->weight)
			b->weight[at + (int)i - 1] = r->weight[i];
	}
	b->seg[b->n_seg++] = (struct ax_seg){at, (int32_t)r->n, at, (int32_t)r->n, 0};
	if (b->n_row < AX_ROWS_NAMED) {
		b->row[b->n_row].source = r->source;
		b->row[b->n_row++].number = r->number;
	}
}

static int add_pack(struct ax_microbuf *b, const struct ax_pack *p, int slot, bool *weighted, struct ax_err *e)
{
	int at = slot * b->sequence_len;

	if (p->n > (uint32_t)b->sequence_len || p->n_doc > (uint32_t)(b->max_seg - b->n_seg))
		return ax_fail(e, AX_EDATA, "a pack of %u tokens in %u documents does not fit sequence_len %d", p->n, p->n_doc,
			       b->sequence_len);
	for (uint32_t d = 0; d < p->n_doc; d++) {
		add_document(b, &p->row[d], at);
		*weighted |= p->row[d].weight != NULL;
		at += (int)p->row[d].n;
	}
	b->tokens += p->n;
	b->trained += p->trained;
	return 0;
}

int ax_microbuf_fill(struct ax_microbuf *b, struct ax_loader *l, uint32_t k, struct ax_micro *m, struct ax_err *e)
{
	uint32_t n = ax_loader_micro_packs(l, k);
	bool weighted = false;

	clear(b);
	for (uint32_t j = 0; j < n; j++) {
		struct ax_pack p;

		AX_TRY(ax_loader_pack(l, k, j, &p, e));
		AX_TRY(add_pack(b, &p, (int)j, &weighted, e));
	}
	*m = (struct ax_micro){b->n_token, b->id, b->pos, b->target, weighted ? b->weight : NULL, b->seg, b->n_seg};
	return 0;
}

void ax_microbuf_rows(const struct ax_microbuf *b, char *buf, size_t n)
{
	size_t at = 0;

	buf[0] = '\0';
	for (int i = 0; i < b->n_row && at < n; i++) {
		int w = snprintf(buf + at, n - at, "%ssource %u row %" PRIu64, i ? ", " : "", b->row[i].source,
				 b->row[i].number);
		at += w > 0 ? (size_t)w : 0;
	}
	if (b->n_seg > b->n_row && at < n)
		snprintf(buf + at, n - at, ", and %d more", b->n_seg - b->n_row);
}

void ax_microbuf_release(struct ax_microbuf *b)
{
	ax_free(b->id);
	ax_free(b->pos);
	ax_free(b->target);
	ax_free(b->weight);
	ax_free(b->seg);
	memset(b, 0, sizeof(*b));
}
