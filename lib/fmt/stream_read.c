#include <inttypes.h>
#include <string.h>

#include "fmt/stream.h"
#include "text/json.h"

#define JSON_ARENA ((size_t)256 << 20) /* what the values of one stream's headers may take */

/* Parse a frame's JSON into the arena of the current stream. */
static int frame_json(struct ax_stream *s, const unsigned char *p, size_t n, struct ax_val **v, struct ax_err *e)
{
	char *copy;

	if (n > AX_HEADER_MAX)
		return ax_fail(e, AX_EDATA, "header of %zu bytes is larger than the limit", n);
	copy = ax_arena_strndup(&s->one, (const char *)p, n);
	if (!copy)
		return ax_fail(e, AX_EMEM, "out of memory for a header");
	return ax_json_parse(&s->one, copy, n, v, e);
}

static int on_header(struct ax_stream *s, const unsigned char *p, size_t n, uint64_t off, struct ax_err *e)
{
	struct ax_val *h;

	if (s->in_member)
		return ax_fail(e, AX_EDATA, "a second header before the trailer");
	ax_arena_clear(&s->one);
	s->own_header = s->trailer = NULL;
	AX_TRY(frame_json(s, p, n, &h, e));
	AX_TRY(ax_header_check(h, NULL, e));
	if (!strcmp(ax_header_kind(h), "shards"))
		return ax_fail(e, AX_EDATA, "the index of a shard folder; give the folder");
	if (s->header)
		AX_TRY(ax_header_same(s->header, h, e));
	else if (!(s->header = ax_val_copy(&s->arena, h)))
		return ax_fail(e, AX_EMEM, "out of memory for a header");
	s->own_header = h;
	s->id_bits = ax_header_id_bits(h);
	s->packs = strcmp(ax_header_kind(h), "tokens") != 0;
	s->in_member = true;
	s->base = off;
	s->n_member++;
	s->n_frame = s->n_entry = s->data_hash = s->index_hash = 0;
	memset(&s->member, 0, sizeof(s->member));
	return 0;
}

static int on_data(struct ax_stream *s, const struct ax_frame_head *h, const unsigned char *p, uint64_t off,
		   struct ax_err *e)
{
	unsigned char entry[AX_STREAM_ENTRY];
	struct ax_row r;

	if (!s->in_member || s->n_entry || (h->kind == AX_FRAME_PACKS) != s->packs)
		return ax_fail(e, AX_EDATA, "rows out of place");
	AX_TRY(ax_block_parse(&s->block, p, h->raw, s->id_bits, s->packs, e));
	while (ax_block_next(&s->block, &r))
		ax_totals_row(&s->member, &r);
	ax_block_rewind(&s->block);
	for (uint32_t i = 0, row = 0; i < s->block.n_pack; i++) {
		s->member.split[s->block.split[row]].packs++;
		row += ax_get_u32(s->block.docs + (size_t)i * 4);
	}
	s->frame_off = off;
	ax_put_u64(entry, off - s->base);
	ax_put_u32(entry + 8, s->block.n_row);
	ax_put_u32(entry + 12, s->block.n_pack);
	s->data_hash = ax_hash64_seed(entry, sizeof(entry), s->data_hash);
	s->n_frame++;
	return 0;
}

static int on_index(struct ax_stream *s, const unsigned char *p, size_t n, struct ax_err *e)
{
	if (!s->in_member || !n || n % AX_STREAM_ENTRY)
		return ax_fail(e, AX_EDATA, "malformed frame index");
	for (size_t at = 0; at < n; at += AX_STREAM_ENTRY, s->n_entry++)
		s->index_hash = ax_hash64_seed(p + at, AX_STREAM_ENTRY, s->index_hash);
	return 0;
}

static int on_trailer(struct ax_stream *s, const unsigned char *p, size_t n, struct ax_err *e)
{
	struct ax_totals said;
	struct ax_val *v;

	if (!s->in_member || n < AX_STREAM_TAIL)
		return ax_fail(e, AX_EDATA, "trailer out of place");
	AX_TRY(frame_json(s, p, n - AX_STREAM_TAIL, &v, e));
	AX_TRY(ax_totals_parse(&said, ax_val_get(v, "totals"), e));
	AX_TRY(ax_totals_match(&s->member, &said, e));
	if (ax_val_int_or(ax_val_get(v, "frames"), -1) != (int64_t)s->n_frame)
		return ax_fail(e, AX_EDATA, "%" PRIu64 " data frames, but the trailer announces another number", s->n_frame);
	if (s->n_entry && (s->n_entry != s->n_frame || s->index_hash != s->data_hash))
		return ax_fail(e, AX_EDATA, "the frame index does not describe the stream");
	ax_totals_add(&s->totals, &said);
	s->trailer = v;
	s->in_member = false;
	return s->inputs ? ax_inputs_add(s->inputs, s->own_header, v, &s->member, ax_hash_value(s->hash), e) : 0;
}

/* The hash of a stream's bytes: a frame header is a function of its fields, so it need not be kept as it was read. */
static int hash_frame(struct ax_stream *s, const struct ax_frame_head *h, struct ax_err *e)
{
	unsigned char head[AX_FRAME_HEAD];

	if (h->kind == AX_FRAME_HEADER) {
		ax_hash_free(s->hash);
		s->hash = ax_hash_new();
	}
	if (!s->hash)
		return h->kind == AX_FRAME_HEADER ? ax_fail(e, AX_EMEM, "out of memory") : 0;
	ax_frame_head_put(h, head);
	ax_hash_add(s->hash, head, sizeof(head));
	ax_hash_add(s->hash, s->dec.in, h->stored);
	return 0;
}

/* Read frames up to and including the next data frame. */
static int next_frame(struct ax_stream *s, bool *end, struct ax_err *e)
{
	struct ax_frame_head h;
	const unsigned char *p;
	uint64_t off;
	int rc = 0;

	if (s->sought) {
		*end = s->given;
		s->given = true;
		return 0;
	}
	do {
		off = s->in.off;
		AX_TRY(ax_frame_read(&s->dec, &s->in, &h, &p, end, e));
		if (*end && s->in_member)
			return ax_fail(e, AX_EDATA,
				       "%s: ends at byte %" PRIu64 " without a trailer: the program that wrote it did "
				       "not finish", s->in.path, off);
		if (*end)
			return 0;
		AX_TRY(hash_frame(s, &h, e));
		if (h.kind == AX_FRAME_HEADER)
			rc = on_header(s, p, h.raw, off, e);
		else if (!s->header)
			rc = ax_fail(e, AX_EDATA, "a stream begins with a header frame");
		else if (h.kind == AX_FRAME_ROWS || h.kind == AX_FRAME_PACKS)
			rc = on_data(s, &h, p, off, e);
		else if (h.kind == AX_FRAME_INDEX)
			rc = on_index(s, p, h.raw, e);
		else if (h.kind == AX_FRAME_TRAILER)
			rc = on_trailer(s, p, h.raw, e);
		else if (h.kind & AX_FRAME_SKIP && s->in_member)
			s->skipped++;
		else
			rc = ax_fail(e, AX_EDATA, "frame of kind %u is not known to this version", h.kind);
		if (rc)
			ax_err_prefix(e, "%s: frame at byte %" PRIu64 ": ", s->in.path, off);
	} while (!rc && h.kind != AX_FRAME_ROWS && h.kind != AX_FRAME_PACKS && !(h.kind == AX_FRAME_HEADER && s->n_member == 1));
	return rc;
}

int ax_stream_open(struct ax_stream *s, const char *path, struct ax_err *e)
{
	bool end;
	int rc;

	memset(s, 0, sizeof(*s));
	ax_arena_init(&s->arena, JSON_ARENA);
	ax_arena_init(&s->one, JSON_ARENA);
	ax_frame_dec_init(&s->dec);
	ax_block_init(&s->block);
	s->in.fd = -1;
	rc = ax_in_open(&s->in, path, e);
	if (!rc)
		rc = next_frame(s, &end, e); /* stops after the first header */
	if (!rc && end)
		rc = ax_fail(e, AX_EDATA, "%s: is empty, not an ax stream", s->in.path);
	if (rc)
		ax_stream_close(s);
	return rc;
}

int ax_stream_block(struct ax_stream *s, struct ax_block **b, bool *end, struct ax_err *e)
{
	AX_TRY(next_frame(s, end, e));
	*b = &s->block;
	return 0;
}

int ax_stream_next(struct ax_stream *s, struct ax_row *r, bool *end, struct ax_err *e)
{
	*end = false;
	while (!ax_block_next(&s->block, r)) {
		AX_TRY(next_frame(s, end, e));
		if (*end)
			return 0;
	}
	return 0;
}

void ax_stream_close(struct ax_stream *s)
{
	ax_in_close(&s->in);
	ax_frame_dec_release(&s->dec);
	ax_block_release(&s->block);
	ax_arena_release(&s->arena);
	ax_arena_release(&s->one);
	ax_hash_free(s->hash);
	s->hash = NULL;
	s->header = s->own_header = s->trailer = NULL;
}
