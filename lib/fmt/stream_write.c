#include <stdio.h>
#include <string.h>

#include "fmt/stream.h"
#include "text/json.h"

#define BLOCK_TARGET ((size_t)1 << 20)                              /* bytes of payload at which a block is written */
#define INDEX_FRAME (AX_FRAME_RAW_MAX / AX_STREAM_ENTRY * AX_STREAM_ENTRY) /* bytes of entries in one frame */

static int write_json(struct ax_stream_writer *w, uint16_t kind, const struct ax_val *v, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	int rc;

	ax_json_write(&b, v, 0);
	if (b.oom)
		rc = ax_fail(e, AX_EMEM, "out of memory for a header");
	else if (b.n > AX_HEADER_MAX)
		rc = ax_fail(e, AX_EMEM, "a stream header of %zu bytes is larger than the limit", b.n);
	else
		rc = ax_frame_write(&w->enc, w->out, kind, b.p, b.n, e);
	ax_buf_release(&b);
	return rc;
}

int ax_stream_writer_open(struct ax_stream_writer *w, struct ax_out *out, const struct ax_val *header, int level,
			  struct ax_err *e)
{
	bool packs = strcmp(ax_header_kind(header), "tokens") != 0;

	memset(w, 0, sizeof(*w));
	w->out = out;
	w->base = out->off;
	ax_arena_init(&w->arena, 0);
	ax_block_writer_init(&w->block, ax_header_id_bits(header), packs);
	ax_block_init(&w->check);
	w->data_kind = packs ? AX_FRAME_PACKS : AX_FRAME_ROWS;
	AX_TRY(ax_header_check(header, NULL, e));
	AX_TRY(ax_frame_enc_init(&w->enc, level, e));
	return write_json(w, AX_FRAME_HEADER, header, e);
}

/* Decode the block that is about to be written: it must hold exactly the rows that were given. */
static int verify_block(struct ax_stream_writer *w, struct ax_err *e)
{
	const struct ax_buf *p = &w->block.payload;
	struct ax_sum sum = {0};
	struct ax_row r;

	AX_TRY(ax_block_parse(&w->check, (const unsigned char *)p->p, p->n, w->block.id_bits, w->block.packs, e));
	while (ax_block_next(&w->check, &r))
		ax_row_sum(&sum, &r);
	if (!ax_sum_equal(&sum, &w->block_sum))
		return ax_fail(e, AX_ECHECK, "%s: the rows written are not the rows given (memory fault?)",
			       w->out->path);
	return 0;
}

static int write_data(struct ax_stream_writer *w, struct ax_err *e)
{
	const struct ax_buf *p = &w->block.payload;
	unsigned char head[AX_FRAME_HEAD];
	const void *stored;

	AX_TRY(ax_frame_encode(&w->enc, w->data_kind, p->p, p->n, &w->last, &stored, e));
	ax_frame_head_put(&w->last, head);
	AX_TRY(ax_out_write(w->out, head, sizeof(head), e));
	return ax_out_write(w->out, stored, w->last.stored, e);
}

int ax_stream_flush(struct ax_stream_writer *w, struct ax_err *e)
{
	struct ax_block_writer *b = &w->block;
	unsigned char entry[AX_STREAM_ENTRY];

	if (!b->n_row)
		return 0;
	ax_put_u64(entry, w->out->off - w->base);
	ax_put_u32(entry + 8, b->n_row);
	ax_put_u32(entry + 12, b->n_pack);
	w->index_hash = ax_hash64_seed(entry, sizeof(entry), w->index_hash);
	w->n_frame++;
	if (!w->no_index)
		ax_buf_add(&w->index, entry, sizeof(entry));
	AX_TRY(ax_block_finish(b, e));
	AX_TRY(verify_block(w, e));
	memset(&w->block_sum, 0, sizeof(w->block_sum));
	return write_data(w, e);
}

int ax_stream_add(struct ax_stream_writer *w, const struct ax_row *r, struct ax_err *e)
{
	struct ax_sum before = w->totals.sum;

	AX_TRY(ax_row_check(r, w->block.id_bits, e));
	ax_totals_row(&w->totals, r);
	w->block_sum.a += w->totals.sum.a - before.a;
	w->block_sum.b += w->totals.sum.b - before.b;
	w->block_sum.n++;
	ax_block_add(&w->block, r);
	return 0;
}

bool ax_stream_full(const struct ax_stream_writer *w, size_t n_token, size_t n_row)
{
	size_t now = w->block.n_row ? ax_block_bytes(&w->block, 0) : 0;

	return now >= BLOCK_TARGET || (now && now + n_token * 13 + n_row * 24 > AX_FRAME_RAW_MAX);
}

int ax_stream_write(struct ax_stream_writer *w, const struct ax_row *r, struct ax_err *e)
{
	if (ax_stream_full(w, r->n, 1))
		AX_TRY(ax_stream_flush(w, e));
	return ax_stream_add(w, r, e);
}

/* The trailer: JSON, then the size of its own frame in 16 bytes, so that it can be found from the end. */
static int write_trailer(struct ax_stream_writer *w, const struct ax_val *v, struct ax_err *e)
{
	struct ax_frame_enc raw = {0};
	struct ax_buf b = AX_BUF_INIT;
	int rc;

	ax_json_write(&b, v, 0);
	if (b.n > AX_HEADER_MAX - AX_STREAM_TAIL - AX_FRAME_HEAD) {
		rc = ax_fail(e, AX_EMEM, "a trailer of %zu bytes is larger than the limit", b.n);
		ax_buf_release(&b);
		return rc;
	}
	ax_buf_addf(&b, "\n%014zx\n", b.n + AX_STREAM_TAIL + AX_FRAME_HEAD);
	rc = b.oom ? ax_fail(e, AX_EMEM, "out of memory for a trailer")
		   : ax_frame_write(&raw, w->out, AX_FRAME_TRAILER, b.p, b.n, e);
	ax_buf_release(&b);
	return rc;
}

static bool set_int(struct ax_arena *a, struct ax_val *m, const char *key, uint64_t v)
{
	return ax_val_set(a, m, key, ax_val_int(a, (int64_t)v));
}

int ax_stream_writer_finish(struct ax_stream_writer *w, const struct ax_totals *drops, const struct ax_val *extra,
			    struct ax_err *e)
{
	struct ax_totals reasons;
	struct ax_val *m = ax_val_map(&w->arena), *t;
	uint64_t index_off, n_index = 0;
	bool ok;

	AX_TRY(ax_stream_flush(w, e));
	if (w->index.oom)
		return ax_fail(e, AX_EMEM, "out of memory for the frame index");
	index_off = w->out->off - w->base;
	for (size_t at = 0; at < w->index.n; at += INDEX_FRAME, n_index++) {
		size_t n = w->index.n - at < INDEX_FRAME ? w->index.n - at : INDEX_FRAME;

		AX_TRY(ax_frame_write(&w->enc, w->out, AX_FRAME_INDEX, w->index.p + at, n, e));
	}
	if (drops) { /* only its reasons: the rows were counted here */
		reasons = *drops;
		ax_totals_reasons_only(&reasons);
		ax_totals_add(&w->totals, &reasons);
	}
	t = ax_totals_val(&w->arena, &w->totals);
	ok = m && t && ax_val_set(&w->arena, m, "totals", t) && set_int(&w->arena, m, "frames", w->n_frame) &&
	     set_int(&w->arena, m, "index_frames", n_index) && set_int(&w->arena, m, "index_offset", index_off) &&
	     set_int(&w->arena, m, "trailer_offset", w->out->off - w->base);
	for (size_t i = 0; ok && extra && extra->type == AX_MAP && i < extra->n; i++)
		ok = ax_val_set(&w->arena, m, extra->u.pair[i].key, ax_val_copy(&w->arena, extra->u.pair[i].val));
	if (!ok)
		return ax_fail(e, AX_EMEM, "out of memory for a trailer");
	return write_trailer(w, m, e);
}

void ax_stream_writer_release(struct ax_stream_writer *w)
{
	ax_frame_enc_release(&w->enc);
	ax_block_writer_release(&w->block);
	ax_block_release(&w->check);
	ax_buf_release(&w->index);
	ax_arena_release(&w->arena);
}
