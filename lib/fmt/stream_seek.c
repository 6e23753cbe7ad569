#include <string.h>

#include "fmt/stream.h"
#include "text/json.h"

struct search {
	uint64_t n; /* what is looked for, from 1 */
	bool pack, found;
	struct ax_place before, all; /* before the stream looked at; of all streams */
	struct ax_member m;
};

static struct ax_place counts(const struct ax_totals *t)
{
	return (struct ax_place){t->split[0].rows + t->split[1].rows, t->split[0].packs + t->split[1].packs};
}

static int count_all(void *ctx, const struct ax_member *m, struct ax_err *e)
{
	struct search *f = ctx;
	struct ax_place c = counts(&m->totals);

	f->before.rows += c.rows;
	f->before.packs += c.packs;
	return 0;
}

/* From the last stream to the first: the one that holds number n. */
static int find_member(void *ctx, const struct ax_member *m, struct ax_err *e)
{
	struct search *f = ctx;
	struct ax_place c = counts(&m->totals);

	f->before.rows -= c.rows;
	f->before.packs -= c.packs;
	if (f->found || f->n <= (f->pack ? f->before.packs : f->before.rows))
		return 0;
	f->found = true;
	f->m = *m;
	f->all = f->before;
	return 0;
}

/* The next frame; it must be of this kind. */
static int frame_of(struct ax_stream *s, uint16_t kind, struct ax_frame_head *h, const unsigned char **p)
{
	bool end;

	AX_TRY(ax_frame_read(&s->dec, &s->in, h, p, &end, NULL));
	return end || h->kind != kind ? AX_EDATA : 0;
}

/* The stream's own header: the width of its ids. */
static int enter(struct ax_stream *s, const struct search *f)
{
	struct ax_frame_head h;
	const unsigned char *p;
	struct ax_arena a;
	struct ax_val *v;
	int rc;

	AX_TRY(ax_in_seek(&s->in, f->m.begin, NULL));
	AX_TRY(frame_of(s, AX_FRAME_HEADER, &h, &p));
	ax_arena_init(&a, (size_t)64 << 20);
	rc = ax_json_parse(&a, (const char *)p, h.raw, &v, NULL);
	if (!rc)
		rc = ax_header_check(v, NULL, NULL);
	if (!rc)
		rc = ax_header_same(s->header, v, NULL);
	if (!rc)
		s->id_bits = ax_header_id_bits(v);
	ax_arena_release(&a);
	return rc;
}

/* The entry of the frame that holds number n; f->all is moved to before that frame. */
static int find_entry(struct ax_stream *s, struct search *f, unsigned char entry[AX_STREAM_ENTRY])
{
	struct ax_frame_head h;
	const unsigned char *p;

	AX_TRY(ax_in_seek(&s->in, f->m.begin + f->m.index_off, NULL));
	for (uint64_t i = 0; i < f->m.n_index; i++) {
		AX_TRY(frame_of(s, AX_FRAME_INDEX, &h, &p));
		for (size_t at = 0; at + AX_STREAM_ENTRY <= h.raw; at += AX_STREAM_ENTRY) {
			uint32_t rows = ax_get_u32(p + at + 8), packs = ax_get_u32(p + at + 12);

			if (f->n - (f->pack ? f->all.packs : f->all.rows) <= (f->pack ? packs : rows)) {
				memcpy(entry, p + at, AX_STREAM_ENTRY);
				return 0;
			}
			f->all.rows += rows;
			f->all.packs += packs;
		}
	}
	return AX_EDATA;
}

static int read_block(struct ax_stream *s, const struct search *f, const unsigned char entry[AX_STREAM_ENTRY])
{
	uint64_t off = f->m.begin + ax_get_u64(entry);
	struct ax_frame_head h;
	const unsigned char *p;

	if (off < f->m.begin || off >= f->m.end)
		return AX_EDATA;
	AX_TRY(ax_in_seek(&s->in, off, NULL));
	AX_TRY(frame_of(s, s->packs ? AX_FRAME_PACKS : AX_FRAME_ROWS, &h, &p));
	AX_TRY(ax_block_parse(&s->block, p, h.raw, s->id_bits, s->packs, NULL));
	s->frame_off = off;
	return s->block.n_row == ax_get_u32(entry + 8) && s->block.n_pack == ax_get_u32(entry + 12) ? 0 : AX_EDATA;
}

bool ax_stream_seek(struct ax_stream *s, bool pack, uint64_t n, struct ax_place *before)
{
	struct search f = {.n = n, .pack = pack};
	unsigned char entry[AX_STREAM_ENTRY];
	uint64_t here = s->in.off;
	int bits = s->id_bits, rc;

	if (!s->in.seekable || s->n_frame || (pack && !s->packs))
		return false;
	rc = ax_stream_members(&s->in, count_all, &f, NULL);
	if (!rc && n <= (pack ? f.before.packs : f.before.rows))
		rc = ax_stream_members(&s->in, find_member, &f, NULL);
	if (rc || !f.found)
		return false;
	rc = enter(s, &f);
	if (!rc)
		rc = find_entry(s, &f, entry);
	if (!rc)
		rc = read_block(s, &f, entry);
	if (!rc) {
		s->sought = true;
		*before = f.all;
		return true;
	}
	s->id_bits = bits;
	ax_block_release(&s->block);
	s->in_member = !ax_in_seek(&s->in, here, NULL);
	return false;
}
