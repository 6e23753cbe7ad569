#include <string.h>

#include "fmt/stream.h"
#include "text/json.h"

static int hex_tail(const char tail[AX_STREAM_TAIL], uint64_t *v)
{
	*v = 0;
	for (int i = 1; i < AX_STREAM_TAIL - 1; i++) {
		char c = tail[i];
		int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (d < 0)
			return -1;
		*v = *v << 4 | (uint64_t)d;
	}
	return tail[0] == '\n' && tail[AX_STREAM_TAIL - 1] == '\n' ? 0 : -1;
}

static int no_trailer(struct ax_err *e)
{
	return ax_fail(e, AX_EDATA, "ends without a trailer: cut, or the program that wrote it did not finish");
}

static uint64_t count_of(const struct ax_val *v, const char *key)
{
	int64_t n = ax_val_int_or(ax_val_get(v, key), 0);

	return n > 0 ? (uint64_t)n : 0;
}

static int parse_trailer(struct ax_member *m, struct ax_arena *a, const struct ax_buf *b, struct ax_err *e)
{
	uint64_t at, end = m->end - b->n;
	struct ax_frame_head h;
	struct ax_val *v;

	AX_TRY(ax_frame_head_parse(&h, (const unsigned char *)b->p, e));
	if (h.kind != AX_FRAME_TRAILER || h.codec != AX_CODEC_RAW || h.raw + (uint64_t)AX_FRAME_HEAD != b->n ||
	    ax_hash64(b->p + AX_FRAME_HEAD, h.raw) != h.hash)
		return ax_fail(e, AX_EDATA, "damaged trailer");
	AX_TRY(ax_json_parse(a, b->p + AX_FRAME_HEAD, h.raw - AX_STREAM_TAIL, &v, e));
	AX_TRY(ax_totals_parse(&m->totals, ax_val_get(v, "totals"), e));
	at = count_of(v, "trailer_offset");
	if (at < AX_FRAME_HEAD || at > end)
		return ax_fail(e, AX_EDATA, "damaged trailer");
	m->begin = end - at;
	m->n_index = count_of(v, "index_frames");
	m->index_off = count_of(v, "index_offset");
	m->trailer = v;
	return m->index_off > at ? ax_fail(e, AX_EDATA, "damaged trailer") : 0;
}

/* The trailer that ends at byte m->end. */
static int read_trailer(struct ax_in *in, struct ax_member *m, struct ax_arena *a, struct ax_buf *b, struct ax_err *e)
{
	char tail[AX_STREAM_TAIL];
	uint64_t n;

	if (m->end < AX_FRAME_HEAD + sizeof(tail))
		return no_trailer(e);
	AX_TRY(ax_pread_full(in->fd, tail, sizeof(tail), m->end - sizeof(tail), in->path, e));
	if (hex_tail(tail, &n) || n < AX_FRAME_HEAD + sizeof(tail) || n > m->end || n > AX_HEADER_MAX)
		return no_trailer(e);
	ax_buf_reset(b);
	ax_buf_reserve(b, (size_t)n);
	if (b->oom)
		return ax_fail(e, AX_EMEM, "out of memory");
	AX_TRY(ax_pread_full(in->fd, b->p, (size_t)n, m->end - n, in->path, e));
	b->n = (size_t)n;
	return parse_trailer(m, a, b, e);
}

int ax_stream_members(struct ax_in *in, ax_member_fn *fn, void *ctx, struct ax_err *e)
{
	struct ax_member m = {.begin = in->size};
	struct ax_buf b = AX_BUF_INIT;
	struct ax_arena a;
	int rc = 0;

	if (!in->seekable)
		return ax_fail(e, AX_EUSAGE, "%s: not a regular file", in->path);
	ax_arena_init(&a, (size_t)64 << 20);
	while (!rc && m.begin > 0) {
		m.end = m.begin;
		ax_arena_clear(&a);
		rc = read_trailer(in, &m, &a, &b, e);
		if (rc)
			ax_err_prefix(e, "%s: byte %llu: ", in->path, (unsigned long long)m.end);
		else
			rc = fn(ctx, &m, e);
	}
	ax_buf_release(&b);
	ax_arena_release(&a);
	return rc;
}

static int add_tail(void *ctx, const struct ax_member *m, struct ax_err *e)
{
	struct ax_tail *t = ctx;

	ax_totals_add(&t->totals, &m->totals);
	t->n_stream++;
	if (m->begin == 0 && t->arena) {
		t->first = ax_val_copy(t->arena, m->trailer);
		if (!t->first)
			return ax_fail(e, AX_EMEM, "out of memory");
	}
	return 0;
}

int ax_stream_tail(struct ax_in *in, struct ax_arena *a, struct ax_tail *t, struct ax_err *e)
{
	memset(t, 0, sizeof(*t));
	t->arena = a;
	return ax_stream_members(in, add_tail, t, e);
}
