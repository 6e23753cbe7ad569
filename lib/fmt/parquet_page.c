/* Pages: a column's chunk as windows of levels and values. */
#include <string.h>
#include <zlib.h>

#include "base/io.h"
#include "fmt/parquet_impl.h"

enum { PAGE_DATA, PAGE_INDEX, PAGE_DICTIONARY, PAGE_DATA_V2 };

struct header {
	int64_t type, size, packed, crc, n, encoding, def_n, rep_n, def_encoding, rep_encoding;
	bool has_crc, plain;
};

int pq_fail_page(const struct ax_parquet *q, const struct pq_leaf *l, const char *what, struct ax_err *e)
{
	return ax_fail(e, AX_EDATA, "%s: byte %llu: column %.*s: %s", q->f.name,
		       (unsigned long long)(l->page_at - q->f.p), (int)(l->node->name_n < 200 ? l->node->name_n : 200),
		       l->node->name ? l->node->name : "", what);
}

/* An error of ax_unpack with its place. */
static int placed(const struct ax_parquet *q, const struct pq_leaf *l, int rc, struct ax_err *e)
{
	if (rc)
		ax_err_prefix(e, "%s: byte %llu: column %.*s: ", q->f.name, (unsigned long long)(l->page_at - q->f.p),
			      (int)(l->node->name_n < 200 ? l->node->name_n : 200), l->node->name ? l->node->name : "");
	return rc;
}

/* Of a data page, or of a dictionary, which has only the first two of these fields. */
static void read_data_header(struct ax_thrift *t, struct header *h, bool data)
{
	struct ax_thrift_field f = {0};

	while (ax_thrift_next(t, &f)) {
		int64_t *to = f.id == 1	  ? &h->n
			      : f.id == 2 ? &h->encoding
			      : f.id == 3 && data ? &h->def_encoding
			      : f.id == 4 && data ? &h->rep_encoding
						  : NULL;

		if (to)
			*to = ax_thrift_int(t, &f);
		else
			ax_thrift_skip(t, &f);
	}
}

static void read_v2_header(struct ax_thrift *t, struct header *h)
{
	struct ax_thrift_field f = {0};

	while (ax_thrift_next(t, &f)) {
		int64_t *to = f.id == 1	  ? &h->n
			      : f.id == 4 ? &h->encoding
			      : f.id == 5 ? &h->def_n
			      : f.id == 6 ? &h->rep_n
					  : NULL;

		if (to)
			*to = ax_thrift_int(t, &f);
		else if (f.id == 7)
			h->plain = !ax_thrift_bool(t, &f);
		else
			ax_thrift_skip(t, &f);
	}
}

static bool read_header(struct ax_thrift *t, struct header *h)
{
	struct ax_thrift_field f = {0};

	*h = (struct header){.type = -1, .n = -1, .def_encoding = PQ_RLE, .rep_encoding = PQ_RLE};
	while (ax_thrift_next(t, &f)) {
		if (f.id == 1)
			h->type = ax_thrift_int(t, &f);
		else if (f.id == 2)
			h->size = ax_thrift_int(t, &f);
		else if (f.id == 3)
			h->packed = ax_thrift_int(t, &f);
		else if (f.id == 4 && (h->has_crc = true))
			h->crc = ax_thrift_int(t, &f);
		else if ((f.id == 5 || f.id == 7) && ax_thrift_struct(t, &f))
			read_data_header(t, h, f.id == 5);
		else if (f.id == 8 && ax_thrift_struct(t, &f))
			read_v2_header(t, h);
		else
			ax_thrift_skip(t, &f);
	}
	return !t->bad && h->size >= 0 && h->packed >= 0;
}

/* n packed bytes as n_out: in place if they are not compressed, else in b. */
static int unpack(const struct ax_parquet *q, const struct pq_leaf *l, bool packed, const unsigned char *p, size_t n,
		  size_t n_out, struct ax_buf *b, const unsigned char **out, struct ax_err *e)
{
	enum ax_codec codec = packed ? l->codec : AX_CODEC_NONE;

	*out = p;
	if (n_out == 0)
		return 0;
	if (codec == AX_CODEC_NONE)
		return n == n_out ? 0 : pq_fail_page(q, l, "the page is not of the length it is said to have", e);
	AX_TRY(placed(q, l, ax_unpack_check(codec, n, n_out, e), e));
	ax_buf_reset(b);
	ax_buf_reserve(b, n_out);
	if (b->oom)
		return ax_fail(e, AX_EMEM, "%s: out of memory for a page of %zu bytes", q->f.name, n_out);
	*out = (unsigned char *)b->p;
	return placed(q, l, ax_unpack(codec, p, n, b->p, n_out, e), e);
}

static unsigned level_bits(unsigned max)
{
	unsigned n = 0;

	for (; max; max >>= 1)
		n++;
	return n;
}

/* The levels of a page of the first kind, their length in front; *p moves behind them. */
static const char *levels(struct pq_runs *r, unsigned max, int64_t encoding, const unsigned char **p,
			  const unsigned char *end)
{
	size_t n;

	if (max == 0)
		return NULL;
	if (encoding != PQ_RLE)
		return "levels that are not of RLE encoding are not read";
	if (end - *p < 4)
		return "its levels are cut";
	n = ax_get_u32(*p);
	*p += 4;
	if (n > (size_t)(end - *p))
		return "its levels are cut";
	pq_runs_init(r, *p, n, level_bits(max));
	*p += n;
	return NULL;
}

static int data_page(const struct ax_parquet *q, struct pq_leaf *l, const struct header *h, const unsigned char *body,
		     struct ax_err *e)
{
	const unsigned char *p, *end;
	const char *bad;

	AX_TRY(unpack(q, l, true, body, (size_t)h->packed, (size_t)h->size, &l->page, &p, e));
	end = p + h->size;
	bad = levels(&l->reps, l->node->rep, h->rep_encoding, &p, end);
	if (!bad)
		bad = levels(&l->defs, l->node->def, h->def_encoding, &p, end);
	if (!bad)
		bad = pq_values_init(l, h->encoding, p, (size_t)(end - p), (uint64_t)h->n);
	return bad ? pq_fail_page(q, l, bad, e) : 0;
}

static int data_page_v2(const struct ax_parquet *q, struct pq_leaf *l, const struct header *h,
			const unsigned char *body, struct ax_err *e)
{
	const unsigned char *p;
	const char *bad;
	int64_t n;

	if (h->def_n < 0 || h->rep_n < 0 || h->def_n > h->packed || h->rep_n > h->packed - h->def_n ||
	    h->def_n + h->rep_n > h->size)
		return pq_fail_page(q, l, "its levels are longer than the page", e);
	n = h->def_n + h->rep_n;
	pq_runs_init(&l->reps, body, (size_t)h->rep_n, level_bits(l->node->rep));
	pq_runs_init(&l->defs, body + h->rep_n, (size_t)h->def_n, level_bits(l->node->def));
	AX_TRY(unpack(q, l, !h->plain, body + n, (size_t)(h->packed - n), (size_t)(h->size - n), &l->page, &p, e));
	bad = pq_values_init(l, h->encoding, p, (size_t)(h->size - n), (uint64_t)h->n);
	return bad ? pq_fail_page(q, l, bad, e) : 0;
}

static int dictionary(const struct ax_parquet *q, struct pq_leaf *l, const struct header *h, const unsigned char *body,
		      struct ax_err *e)
{
	const unsigned char *p;
	const char *bad;

	if (h->n < 0 || (h->encoding != PQ_PLAIN && h->encoding != PQ_PLAIN_DICTIONARY))
		return pq_fail_page(q, l, "its dictionary is not plainly encoded", e);
	AX_TRY(unpack(q, l, true, body, (size_t)h->packed, (size_t)h->size, &l->dict_page, &p, e));
	bad = pq_dictionary(l, p, (size_t)h->size, (uint64_t)h->n);
	return bad ? pq_fail_page(q, l, bad, e) : 0;
}

static int checked(const struct ax_parquet *q, const struct pq_leaf *l, const struct header *h,
		   const unsigned char *body, struct ax_err *e)
{
	if (h->has_crc && (uint32_t)h->crc != (uint32_t)crc32_z(crc32_z(0, NULL, 0), body, (size_t)h->packed))
		return pq_fail_page(q, l, "the page is damaged: its checksum differs", e);
	return 0;
}

static int next_page(const struct ax_parquet *q, struct pq_leaf *l, struct ax_err *e)
{
	struct ax_thrift t = {.p = l->at, .end = l->end};
	const unsigned char *body;
	struct header h;

	if (q->f.mapped && l->page_at < l->at && l->codec != AX_CODEC_NONE)
		ax_map_done(l->page_at, (size_t)(l->at - l->page_at));
	l->page_at = l->at;
	if (!read_header(&t, &h))
		return pq_fail_page(q, l, "a page header is damaged", e);
	body = t.p;
	if (h.packed > t.end - body)
		return pq_fail_page(q, l, "the page is longer than the file", e);
	l->at = body + h.packed;
	if (h.type == PAGE_DICTIONARY) {
		AX_TRY(checked(q, l, &h, body, e));
		return dictionary(q, l, &h, body, e);
	}
	if (h.type != PAGE_DATA && h.type != PAGE_DATA_V2)
		return 0;
	if (h.n < 0 || (uint64_t)h.n > l->left)
		return pq_fail_page(q, l, "the page has more values than its column", e);
	AX_TRY(checked(q, l, &h, body, e));
	l->left -= (uint64_t)h.n;
	l->page_left = (uint64_t)h.n;
	return (h.type == PAGE_DATA ? data_page : data_page_v2)(q, l, &h, body, e);
}

/* n levels into `to`; how many are the greatest. */
static bool window(struct pq_runs *r, uint32_t *to, size_t n, unsigned max, size_t *n_max)
{
	*n_max = n;
	if (max == 0) {
		memset(to, 0, n * sizeof(*to));
		return true;
	}
	if (!pq_runs_get(r, to, n))
		return false;
	*n_max = 0;
	for (size_t i = 0; i < n; i++) {
		if (to[i] > max)
			return false;
		*n_max += to[i] == max;
	}
	return true;
}

int pq_fill(const struct ax_parquet *q, struct pq_leaf *l, bool *there, struct ax_err *e)
{
	size_t n, ignored;

	*there = false;
	l->pos = l->n = 0;
	while (l->page_left == 0) {
		if (l->left == 0)
			return 0;
		AX_TRY(next_page(q, l, e));
	}
	n = l->page_left < PQ_WINDOW ? (size_t)l->page_left : PQ_WINDOW;
	if (!window(&l->reps, l->rep, n, l->node->rep, &ignored) ||
	    !window(&l->defs, l->def, n, l->node->def, &l->need))
		return pq_fail_page(q, l, "its levels are damaged", e);
	l->page_left -= n;
	l->n = n;
	l->val_pos = l->val_n = 0;
	*there = true;
	return 0;
}

int pq_more_values(const struct ax_parquet *q, struct pq_leaf *l, struct ax_err *e)
{
	size_t n = l->encoding == PQ_DELTA_BYTES ? 1 : l->need;
	const char *bad = pq_values_get(l, n);

	l->need -= n;
	l->val_n = n;
	l->val_pos = 0;
	return bad ? pq_fail_page(q, l, bad, e) : 0;
}
