#include <stdio.h>
#include <string.h>

#include "fmt/stream_seal.h"
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
		rc = ax_frame_write(&w->sealer.enc, w->out, kind, b.p, b.n, e);
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
	w->level = level;
	w->data_kind = packs ? AX_FRAME_PACKS : AX_FRAME_ROWS;
	AX_TRY(ax_header_check(header, NULL, e));
	AX_TRY(ax_sealer_init(&w->sealer, level, e));
	return write_json(w, AX_FRAME_HEADER, header, e);
}

int ax_stream_put(struct ax_stream_writer *w, const struct ax_outgoing *o, struct ax_err *e)
{
	unsigned char head[AX_FRAME_HEAD], entry[AX_STREAM_ENTRY];

	if (o->rc) {
		if (e)
			*e = o->err;
		return o->rc;
	}
	ax_put_u64(entry, w->out->off - w->base);
	ax_put_u32(entry + 8, o->n_row);
	ax_put_u32(entry + 12, o->n_pack);
	w->index_hash = ax_hash64_seed(entry, sizeof(entry), w->index_hash);
	w->n_frame++;
	if (!w->no_index)
		ax_buf_add(&w->index, entry, sizeof(entry));
	w->last = o->head;
	ax_frame_head_put(&o->head, head);
	AX_TRY(ax_out_write(w->out, head, sizeof(head), e));
	return ax_out_write(w->out, o->stored, o->head.stored, e);
}

int ax_stream_flush(struct ax_stream_writer *w, struct ax_err *e)
{
	struct ax_block_writer *b = &w->block;
	struct ax_outgoing *o = &w->one;
	struct ax_buf used;

	if (!b->n_row)
		return 0;
	if (w->ring)
		AX_TRY(ax_ring_room(w, &o, e));
	o->n_row = b->n_row;
	o->n_pack = b->n_pack;
	o->sum = w->block_sum;
	memset(&w->block_sum, 0, sizeof(w->block_sum));
	AX_TRY(ax_block_finish(b, e));
	used = o->payload;
	o->payload = b->payload;
	b->payload = used;
	if (w->ring) {
		ax_ring_push(w);
		return 0;
	}
	ax_seal(w, &w->sealer, o);
	return ax_stream_put(w, o, e);
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

	AX_TRY(ax_stream_settle(w, e));
	if (w->index.oom)
		return ax_fail(e, AX_EMEM, "out of memory for the frame index");
	index_off = w->out->off - w->base;
	for (size_t at = 0; at < w->index.n; at += INDEX_FRAME, n_index++) {
		size_t n = w->index.n - at < INDEX_FRAME ? w->index.n - at : INDEX_FRAME;

		AX_TRY(ax_frame_write(&w->sealer.enc, w->out, AX_FRAME_INDEX, w->index.p + at, n, e));
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
	ax_ring_free(w->ring);
	ax_outgoing_release(&w->one);
	ax_sealer_release(&w->sealer);
	ax_block_writer_release(&w->block);
	ax_buf_release(&w->index);
	ax_arena_release(&w->arena);
}
