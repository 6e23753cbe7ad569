/* Values of arrays as JSON. What arrays hold is checked here, value by value: offsets, indexes, type ids, run ends. */
#include <string.h>

#include "fmt/arrow_impl.h"
#include "text/unicode.h"

#define DEPTH 150 /* of the JSON; dictionaries may nest what the schema does not */

struct row {
	struct ax_arrow *a;
	struct ax_buf *b;
	size_t begin;
	int depth;
	struct ax_err *e;
};

static int wrong(struct row *r, const struct ar_array *x, const char *what)
{
	return ar_fail_field(r->a, x->field, what, r->e);
}

/* Does the row still fit? */
static int fits(struct row *r, uint64_t more)
{
	size_t n = r->b->n - r->begin;

	if (r->b->oom)
		return ax_fail(r->e, AX_EMEM, "%s: out of memory for a row", r->a->name);
	if (more <= r->a->row_max && n <= r->a->row_max - more)
		return 0;
	return ax_fail(r->e, AX_EMEM, "%s: a row of more than %zu MiB", r->a->name, r->a->row_max >> 20);
}

/* Element i of integers of `width` bytes. */
static uint64_t integer(const struct ar_bytes *b, uint64_t i, unsigned width, bool is_signed)
{
	const unsigned char *p = b->p + i * width;
	uint64_t v;

	switch (width) {
	case 1:
		return is_signed ? (uint64_t)(int8_t)*p : *p;
	case 2:
		v = p[0] | (uint64_t)p[1] << 8;
		return is_signed ? (uint64_t)(int16_t)v : v;
	case 4:
		v = ax_get_u32(p);
		return is_signed ? (uint64_t)(int32_t)v : v;
	default:
		return ax_get_u64(p);
	}
}

static bool is_null(const struct ar_array *x, uint64_t i)
{
	return x->valid && !(x->valid[i / 8] >> (i & 7) & 1);
}

/* Values `*from` to `*to` of what the offsets point into, of which there are n. */
static int range(struct row *r, const struct ar_array *x, uint64_t i, bool wide, uint64_t n, uint64_t *from,
		 uint64_t *to)
{
	*from = integer(&x->buf[0], i, wide ? 8 : 4, true);
	*to = integer(&x->buf[0], i + 1, wide ? 8 : 4, true);
	return *from <= *to && *to <= n ? 0 : wrong(r, x, "its offsets are damaged");
}

/* --- text and numbers --- */

static int put_text(struct row *r, const struct ar_array *x, const unsigned char *p, uint64_t n)
{
	const struct ar_field *f = x->field;
	bool text = f->type == AR_UTF8 || f->type == AR_LARGE_UTF8 || f->type == AR_UTF8_VIEW;
	size_t size = (size_t)n;

	AX_TRY(fits(r, n));
	if (f->json && text)
		return ax_cell_json(r->b, p, size) ? 0 : wrong(r, x, "a value of a JSON column is no JSON");
	if (f->uuid)
		ax_cell_uuid(r->b, p);
	else if (text || ax_utf8_check((const char *)p, size) == size)
		ax_cell_str(r->b, p, size);
	else
		ax_buf_add(r->b, "null", 4);
	return 0;
}

static int put_bytes(struct row *r, const struct ar_array *x, uint64_t i, bool wide)
{
	uint64_t from, to;

	AX_TRY(range(r, x, i, wide, x->buf[1].n, &from, &to));
	return put_text(r, x, from == to ? (const unsigned char *)"" : x->buf[1].p + from, to - from);
}

/* Up to 12 bytes in the view itself, else the number of a buffer and the place in it. */
static int put_view(struct row *r, const struct ar_array *x, uint64_t i)
{
	const unsigned char *p = x->buf[0].p + i * 16;
	uint32_t n = ax_get_u32(p), buffer = ax_get_u32(p + 8), off = ax_get_u32(p + 12);

	if (n <= 12)
		return put_text(r, x, p + 4, n);
	if (buffer >= x->n_extra || off > x->extra[buffer].n || n > x->extra[buffer].n - off)
		return wrong(r, x, "a view points outside of its buffer");
	return put_text(r, x, x->extra[buffer].p + off, n);
}

static double number(const struct ar_array *x, uint64_t i)
{
	uint64_t bits = integer(&x->buf[0], i, x->field->width, false);
	uint32_t half = (uint32_t)bits;
	double f64;
	float f32;

	if (x->field->width == 2)
		return ax_cell_half((uint16_t)bits);
	memcpy(&f32, &half, 4);
	memcpy(&f64, &bits, 8);
	return x->field->width == 4 ? (double)f32 : f64;
}

static void put_integer(struct row *r, const struct ar_array *x, uint64_t i)
{
	uint64_t v = integer(&x->buf[0], i, x->field->width, x->field->is_signed);

	if (x->field->is_signed)
		ax_cell_i64(r->b, (int64_t)v);
	else
		ax_cell_u64(r->b, v);
}

static void put_date(struct row *r, const struct ar_array *x, uint64_t i)
{
	int64_t v = (int64_t)integer(&x->buf[0], i, x->field->width, true), day = 86400000;

	ax_cell_date(r->b, x->field->days ? v : v / day - (v % day < 0));
}

/* --- values in values --- */

static int put(struct row *r, const struct ar_array *x, uint64_t i);

static int put_list(struct row *r, const struct ar_array *child, uint64_t from, uint64_t to)
{
	ax_buf_addc(r->b, '[');
	for (uint64_t i = from; i < to; i++) {
		if (i > from)
			ax_buf_addc(r->b, ',');
		AX_TRY(put(r, child, i));
		AX_TRY(fits(r, 0));
	}
	ax_buf_addc(r->b, ']');
	return 0;
}

static int put_list_view(struct row *r, const struct ar_array *x, uint64_t i, bool wide)
{
	uint64_t from = integer(&x->buf[0], i, wide ? 8 : 4, true), n = integer(&x->buf[1], i, wide ? 8 : 4, true);

	if (from > x->child->n || n > x->child->n - from)
		return wrong(r, x, "its offsets are damaged");
	return put_list(r, x->child, from, from + n);
}

static bool is_text(const struct ar_field *f)
{
	return (f->type == AR_UTF8 || f->type == AR_LARGE_UTF8 || f->type == AR_UTF8_VIEW) && !f->json;
}

static int put_map(struct row *r, const struct ar_array *x, uint64_t i)
{
	const struct ar_array *key = &x->child->child[0], *value = &x->child->child[1];
	bool object = is_text(key->field);
	uint64_t from, to;

	AX_TRY(range(r, x, i, false, x->child->n, &from, &to));
	ax_buf_addc(r->b, object ? '{' : '[');
	for (uint64_t k = from; k < to; k++) {
		size_t at;

		ax_buf_adds(r->b, k > from ? (object ? "," : ",[") : object ? "" : "[");
		at = r->b->n;
		AX_TRY(put(r, key, k));
		if (object && !r->b->oom && r->b->p[at] != '"')
			return wrong(r, x, "a map's key is null");
		ax_buf_addc(r->b, object ? ':' : ',');
		AX_TRY(put(r, value, k));
		if (!object)
			ax_buf_addc(r->b, ']');
		AX_TRY(fits(r, 0));
	}
	ax_buf_addc(r->b, object ? '}' : ']');
	return 0;
}

static int put_struct(struct row *r, const struct ar_array *x, uint64_t i)
{
	const struct ar_field *f = x->field;
	bool any = false;

	ax_buf_addc(r->b, '{');
	for (uint32_t k = 0; k < f->n_child; k++) {
		if (f->child[k].skip)
			continue;
		if (any)
			ax_buf_addc(r->b, ',');
		any = true;
		ax_buf_add(r->b, f->child[k].key, f->child[k].key_n);
		AX_TRY(put(r, &x->child[k], i));
	}
	ax_buf_addc(r->b, '}');
	return fits(r, 0);
}

static int put_union(struct row *r, const struct ar_array *x, uint64_t i)
{
	unsigned id = x->buf[0].p[i], k = id < 128 ? x->field->type_child[id] : 255;

	if (k == 255)
		return wrong(r, x, "its type ids are out of range");
	if (!x->field->sparse)
		i = ax_get_u32(x->buf[1].p + i * 4);
	return i < x->child[k].n ? put(r, &x->child[k], i) : wrong(r, x, "its offsets are damaged");
}

/* The value of the first run that ends behind i. */
static int put_run(struct row *r, const struct ar_array *x, uint64_t i)
{
	const struct ar_array *ends = &x->child[0], *values = &x->child[1];
	uint64_t lo = 0, hi = ends->n;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		if ((int64_t)integer(&ends->buf[0], mid, ends->field->width, true) > (int64_t)i)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo < ends->n && lo < values->n ? put(r, values, lo) : wrong(r, x, "its run ends are damaged");
}

static int put_indexed(struct row *r, const struct ar_array *x, uint64_t i)
{
	const struct ar_field *f = x->field;
	const struct ar_dict *d = f->dict;
	uint64_t at = integer(&x->buf[0], i, f->index_width, f->index_signed);

	for (size_t k = d->n_part; k--;) /* deltas come last */
		if (at >= d->part[k]->begin)
			return at - d->part[k]->begin < d->part[k]->array.n
				       ? put(r, &d->part[k]->array, at - d->part[k]->begin)
				       : wrong(r, x, "an index is beyond its dictionary");
	return wrong(r, x, "its dictionary is missing");
}

static int put_there(struct row *r, const struct ar_array *x, uint64_t i)
{
	const struct ar_field *f = x->field;
	int64_t v = f->width == 4 || f->width == 8 ? (int64_t)integer(&x->buf[0], i, f->width, true) : 0;
	uint64_t from, to;

	switch (f->type) {
	case AR_NULL:
	case AR_INTERVAL:
	case AR_N_TYPE:
		ax_buf_add(r->b, "null", 4);
		return 0;
	case AR_BOOL:
		ax_buf_adds(r->b, x->buf[0].p[i / 8] >> (i & 7) & 1 ? "true" : "false");
		return 0;
	case AR_INT:
		put_integer(r, x, i);
		return 0;
	case AR_FLOAT:
		ax_cell_f64(r->b, number(x, i));
		return 0;
	case AR_DECIMAL:
		ax_cell_decimal(r->b, x->buf[0].p + i * f->width, f->width, false, f->scale);
		return 0;
	case AR_DATE:
		put_date(r, x, i);
		return 0;
	case AR_TIME:
		ax_cell_time(r->b, v, f->unit);
		return 0;
	case AR_TIMESTAMP:
		ax_cell_timestamp(r->b, v, f->unit, f->utc);
		return 0;
	case AR_DURATION:
		ax_cell_duration(r->b, v, f->unit);
		return 0;
	case AR_FIXED_BINARY:
		return put_text(r, x, f->width ? x->buf[0].p + i * f->width : (const unsigned char *)"", f->width);
	case AR_BINARY:
	case AR_UTF8:
		return put_bytes(r, x, i, false);
	case AR_LARGE_BINARY:
	case AR_LARGE_UTF8:
		return put_bytes(r, x, i, true);
	case AR_BINARY_VIEW:
	case AR_UTF8_VIEW:
		return put_view(r, x, i);
	case AR_LIST:
	case AR_LARGE_LIST:
		AX_TRY(range(r, x, i, f->type == AR_LARGE_LIST, x->child->n, &from, &to));
		return put_list(r, x->child, from, to);
	case AR_FIXED_LIST:
		return put_list(r, x->child, i * (uint64_t)f->size, (i + 1) * (uint64_t)f->size);
	case AR_LIST_VIEW:
	case AR_LARGE_LIST_VIEW:
		return put_list_view(r, x, i, f->type == AR_LARGE_LIST_VIEW);
	case AR_MAP:
		return put_map(r, x, i);
	case AR_STRUCT:
		return put_struct(r, x, i);
	case AR_UNION:
		return put_union(r, x, i);
	case AR_RUN_ENDS:
		return put_run(r, x, i);
	}
	return 0;
}

/* Value i < x->n. */
static int put(struct row *r, const struct ar_array *x, uint64_t i)
{
	int rc;

	if (is_null(x, i)) {
		ax_buf_add(r->b, "null", 4);
		return 0;
	}
	if (++r->depth > DEPTH)
		return wrong(r, x, "values are nested too deep");
	rc = x->index ? put_indexed(r, x, i) : put_there(r, x, i);
	r->depth--;
	return rc;
}

int ar_row(struct ax_arrow *a, struct ax_buf *b, struct ax_err *e)
{
	struct row r = {.a = a, .b = b, .begin = b->n, .e = e};
	struct ar_array whole = {.field = &a->root, .n = a->n_row, .child = a->column};

	return put_struct(&r, &whole, a->row);
}
