#include "fmt/pack.h"

#include <string.h>

#include "base/mem.h"

void ax_pack_buf_init(struct ax_pack_buf *b)
{
	memset(b, 0, sizeof(*b));
}

void ax_pack_buf_release(struct ax_pack_buf *b)
{
	ax_free(b->len);
	ax_free(b->row);
	ax_free(b->label);
	ax_free(b->weight);
	memset(b, 0, sizeof(*b));
}

static bool grow(void **p, size_t *cap, size_t n, size_t size)
{
	void *q;

	if (n <= *cap)
		return true;
	q = ax_realloc_array(*p, n + n / 2, size);
	if (!q)
		return false;
	*p = q;
	*cap = n + n / 2;
	return true;
}

#define GROW(b, what, cap, n) grow((void **)&(b)->what, &(b)->cap, n, sizeof(*(b)->what))

/* Labels of the whole pack: where a document has none, the id of a trained token. */
static bool fill_labels(struct ax_pack_buf *b, struct ax_pack *p)
{
	int32_t *to;

	if (!GROW(b, label, cap_label, p->n))
		return false;
	to = b->label;
	for (uint32_t d = 0; d < p->n_doc; d++) {
		const struct ax_row *r = &b->row[d];

		for (uint32_t i = 0; i < r->n; i++)
			*to++ = r->label ? r->label[i] : r->mask[i] ? (int32_t)r->id[i] : AX_LABEL_NONE;
	}
	p->label = b->label;
	return true;
}

static bool fill_weights(struct ax_pack_buf *b, struct ax_pack *p)
{
	float *to;

	if (!GROW(b, weight, cap_weight, p->n))
		return false;
	to = b->weight;
	for (uint32_t d = 0; d < p->n_doc; d++)
		for (uint32_t i = 0; i < b->row[d].n; i++)
			*to++ = b->row[d].weight ? b->row[d].weight[i] : 1.0f;
	p->weight = b->weight;
	return true;
}

int ax_pack_next(struct ax_block *blk, struct ax_pack_buf *b, uint32_t sequence_len, struct ax_pack *p, bool *end,
		 struct ax_err *e)
{
	bool label = false, weight = false, ok;
	uint64_t tokens = 0;

	memset(p, 0, sizeof(*p));
	*end = blk->pack >= blk->n_pack;
	if (*end)
		return 0;
	p->n_doc = ax_get_u32(blk->docs + (size_t)blk->pack++ * 4);
	if (!GROW(b, len, cap_len, p->n_doc) || !GROW(b, row, cap_row, p->n_doc))
		return ax_fail(e, AX_EMEM, "out of memory for a pack");
	for (uint32_t i = 0; i < p->n_doc; i++) {
		struct ax_row *r = &b->row[i];

		if (!ax_block_next(blk, r))
			return ax_fail(e, AX_EDATA, "malformed block of packs");
		b->len[i] = r->n;
		tokens += r->n;
		p->trained += ax_row_trained(r);
		p->cost += (uint64_t)r->n * r->n;
		label |= r->label != NULL;
		weight |= r->weight != NULL;
	}
	if (tokens > sequence_len)
		return ax_fail(e, AX_EDATA, "a pack of %llu tokens where sequence_len is %u", (unsigned long long)tokens,
			       sequence_len);
	p->n = (uint32_t)tokens;
	p->split = b->row[0].split;
	p->len = b->len;
	p->row = b->row;
	p->id = b->row[0].id;
	p->mask = b->row[0].mask;
	ok = (!label || fill_labels(b, p)) && (!weight || fill_weights(b, p));
	return ok ? 0 : ax_fail(e, AX_EMEM, "out of memory for a pack");
}

/* --- writer --- */

int ax_pack_writer_open(struct ax_pack_writer *w, struct ax_out *out, const struct ax_val *header, int level,
			struct ax_err *e)
{
	const char *kind = ax_header_kind(header);

	memset(w, 0, sizeof(*w));
	if (strcmp(kind, "packs") && strcmp(kind, "shard"))
		return ax_fail(e, AX_EDATA, "a stream of kind \"%s\" does not hold packs", kind);
	w->sequence_len = ax_header_sequence_len(header);
	w->one_a_frame = !strcmp(kind, "shard");
	AX_TRY(ax_stream_writer_open(&w->s, out, header, level, e));
	w->s.no_index = w->one_a_frame;
	return 0;
}

int ax_pack_write(struct ax_pack_writer *w, const struct ax_row *row, uint32_t n_row, struct ax_err *e)
{
	uint64_t tokens = 0;

	for (uint32_t i = 0; i < n_row; i++) {
		tokens += row[i].n;
		if (row[i].split != row[0].split)
			return ax_fail(e, AX_EDATA, "a pack would mix train and eval rows");
	}
	if (n_row > AX_PACK_DOCS)
		return ax_fail(e, AX_EDATA, "a pack of %u documents; the format allows %u", n_row, AX_PACK_DOCS);
	if (!n_row || tokens > w->sequence_len)
		return ax_fail(e, AX_EDATA, "a pack of %llu tokens where sequence_len is %u",
			       (unsigned long long)tokens, w->sequence_len);
	if (ax_stream_full(&w->s, (size_t)tokens, n_row))
		AX_TRY(ax_stream_flush(&w->s, e));
	for (uint32_t i = 0; i < n_row; i++)
		AX_TRY(ax_stream_add(&w->s, &row[i], e));
	ax_block_end_pack(&w->s.block);
	w->s.totals.split[row[0].split].packs++;
	if (!w->one_a_frame)
		return 0;
	w->frame_off = w->s.out->off;
	return ax_stream_flush(&w->s, e);
}

int ax_pack_writer_finish(struct ax_pack_writer *w, const struct ax_totals *drops, const struct ax_val *extra,
			  struct ax_err *e)
{
	return ax_stream_writer_finish(&w->s, drops, extra, e);
}

void ax_pack_writer_release(struct ax_pack_writer *w)
{
	ax_stream_writer_release(&w->s);
}

/* --- reader --- */

int ax_pack_reader_open(struct ax_pack_reader *r, const char *path, struct ax_err *e)
{
	memset(r, 0, sizeof(*r));
	ax_pack_buf_init(&r->buf);
	AX_TRY(ax_stream_open(&r->s, path, e));
	if (!r->s.packs) {
		int rc = ax_fail(e, AX_EDATA, "%s: a token stream; packs are needed (ax-pack makes them)", r->s.in.path);

		ax_stream_close(&r->s);
		return rc;
	}
	r->sequence_len = ax_header_sequence_len(r->s.header);
	return 0;
}

int ax_pack_reader_next(struct ax_pack_reader *r, struct ax_pack *p, bool *end, struct ax_err *e)
{
	bool done = true;
	int rc;

	for (;;) {
		if (r->block) {
			rc = ax_pack_next(r->block, &r->buf, r->sequence_len, p, &done, e);
			if (rc)
				ax_err_prefix(e, "%s: frame at byte %llu: ", r->s.in.path,
					      (unsigned long long)r->s.frame_off);
			if (rc || !done) {
				*end = false;
				return rc;
			}
		}
		AX_TRY(ax_stream_block(&r->s, &r->block, end, e));
		if (*end)
			return 0;
	}
}

void ax_pack_reader_close(struct ax_pack_reader *r)
{
	ax_stream_close(&r->s);
	ax_pack_buf_release(&r->buf);
}
