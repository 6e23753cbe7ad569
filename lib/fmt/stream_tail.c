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

/* The trailer that ends at byte `end`: its totals, and where its stream begins. */
static int read_trailer(struct ax_in *in, uint64_t end, struct ax_totals *t, uint64_t *begin, struct ax_err *e)
{
	char tail[AX_STREAM_TAIL];
	struct ax_buf b = AX_BUF_INIT;
	struct ax_frame_head h;
	struct ax_arena a;
	struct ax_val *v;
	uint64_t n;
	int64_t at;
	int rc;

	if (end < AX_FRAME_HEAD + sizeof(tail))
		return no_trailer(e);
	AX_TRY(ax_pread_full(in->fd, tail, sizeof(tail), end - sizeof(tail), in->path, e));
	if (hex_tail(tail, &n) || n < AX_FRAME_HEAD + sizeof(tail) || n > end || n > AX_HEADER_MAX)
		return no_trailer(e);
	ax_arena_init(&a, (size_t)64 << 20);
	ax_buf_reserve(&b, (size_t)n);
	rc = b.oom ? ax_fail(e, AX_EMEM, "out of memory") : ax_pread_full(in->fd, b.p, (size_t)n, end - n, in->path, e);
	if (!rc)
		rc = ax_frame_head_parse(&h, (const unsigned char *)b.p, e);
	if (!rc && (h.kind != AX_FRAME_TRAILER || h.codec != AX_CODEC_RAW || h.raw + (uint64_t)AX_FRAME_HEAD != n ||
		    ax_hash64(b.p + AX_FRAME_HEAD, h.raw) != h.hash))
		rc = ax_fail(e, AX_EDATA, "damaged trailer");
	if (!rc)
		rc = ax_json_parse(&a, b.p + AX_FRAME_HEAD, h.raw - AX_STREAM_TAIL, &v, e);
	if (!rc)
		rc = ax_totals_parse(t, ax_val_get(v, "totals"), e);
	if (!rc) {
		at = ax_val_int_or(ax_val_get(v, "trailer_offset"), -1);
		if (at < AX_FRAME_HEAD || (uint64_t)at > end - n)
			rc = ax_fail(e, AX_EDATA, "damaged trailer");
		else
			*begin = end - n - (uint64_t)at;
	}
	ax_buf_release(&b);
	ax_arena_release(&a);
	return rc;
}

int ax_stream_tail(const char *path, struct ax_totals *t, struct ax_err *e)
{
	uint64_t at;
	struct ax_in in;
	int rc = 0;

	memset(t, 0, sizeof(*t));
	AX_TRY(ax_in_open(&in, path, e));
	if (!in.seekable)
		rc = ax_fail(e, AX_EUSAGE, "%s: not a regular file", in.path);
	for (at = in.size; !rc && at > 0;) {
		struct ax_totals one;

		rc = read_trailer(&in, at, &one, &at, e);
		if (!rc)
			ax_totals_add(t, &one);
		else
			ax_err_prefix(e, "%s: byte %llu: ", in.path, (unsigned long long)at);
	}
	ax_in_close(&in);
	return rc;
}
