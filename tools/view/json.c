/* --json: an object for each operand. Rows wait in a temporary file for what stands in front of them. */
#include <inttypes.h>
#include <string.h>

#include "fmt/cell.h"
#include "text/json.h"
#include "view.h"

#define PIECE ((size_t)1 << 20)

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

static void put_lists(struct ax_buf *b, const struct ax_row *r)
{
	ax_buf_adds(b, ",\"input_ids\":[");
	for (uint32_t i = 0; i < r->n; i++) {
		ax_buf_adds(b, i ? "," : "");
		ax_cell_i64(b, r->id[i]);
	}
	ax_buf_adds(b, "],\"labels\":[");
	for (uint32_t i = 0; i < r->n; i++) {
		ax_buf_adds(b, i ? "," : "");
		ax_cell_i64(b, view_label(r, i));
	}
	ax_buf_addc(b, ']');
	if (!r->weight)
		return;
	ax_buf_adds(b, ",\"weights\":[");
	for (uint32_t i = 0; i < r->n; i++) {
		ax_buf_adds(b, i ? "," : "");
		ax_write_float(b, (double)r->weight[i]);
	}
	ax_buf_addc(b, ']');
}

int view_json_row(struct view *v, const struct ax_row *r, uint64_t k, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT, text = AX_BUF_INIT;
	uint64_t off;
	int rc = v->mode == VIEW_TEXT ? view_decode(v, r, &text, e) : 0;

	ax_buf_addf(&b, "%s{\"row\":%" PRIu64 ",\"split\":\"%s\",\"source\":%u,\"number\":%" PRIu64, v->rows_out.n ? "," : "", k,
		    ax_split_name(r->split), r->source, r->number);
	ax_buf_addf(&b, ",\"trained_tokens\":%u", ax_row_trained(r));
	put_lists(&b, r);
	if (v->mode == VIEW_TEXT) {
		ax_buf_adds(&b, ",\"text\":");
		ax_json_write_str(&b, text.p ? text.p : "", text.n, 0);
	}
	ax_buf_addc(&b, '}');
	if (!rc)
		rc = b.oom || text.oom ? no_memory(e) : ax_spool_append(&v->rows_out, b.p, b.n, &off, e);
	ax_buf_release(&b);
	ax_buf_release(&text);
	return rc;
}

static int copy_rows(struct view *v, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	int rc = 0;

	ax_buf_reserve(&b, PIECE);
	if (b.oom)
		rc = no_memory(e);
	for (uint64_t at = 0; !rc && at < v->rows_out.n;) {
		size_t n = v->rows_out.n - at < PIECE ? (size_t)(v->rows_out.n - at) : PIECE;

		rc = ax_spool_read(&v->rows_out, b.p, n, at, e);
		if (!rc)
			rc = ax_out_write(v->out, b.p, n, e);
		at += n;
	}
	ax_buf_release(&b);
	return rc;
}

int view_json_object(struct view *v, const struct ax_val *map, struct ax_err *e)
{
	ax_json_write(v->json, map, 0);
	if (v->json->oom)
		return no_memory(e);
	v->json->n--; /* the brace at its end */
	ax_buf_adds(v->json, ",\"rows\":[");
	AX_TRY(view_json_flush(v, e));
	AX_TRY(copy_rows(v, e));
	ax_buf_adds(v->json, "]}\n");
	return view_json_flush(v, e);
}

int view_json_flush(struct view *v, struct ax_err *e)
{
	if (v->json->oom)
		return no_memory(e);
	if (v->json->n)
		AX_TRY(ax_out_write(v->out, v->json->p, v->json->n, e));
	ax_buf_reset(v->json);
	return 0;
}
