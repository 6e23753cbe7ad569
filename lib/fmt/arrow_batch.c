/* Record batches: arrays over the buffers of a message, each checked once for the length that its type needs. */
#include <string.h>

#include "fmt/arrow_impl.h"

void ar_store_init(struct ar_store *s)
{
	memset(s, 0, sizeof(*s));
	ax_arena_init(&s->arena, 0);
}

static void free_packed(struct ar_store *s)
{
	for (size_t i = 0; i < s->n_packed; i++)
		ax_free(s->packed[i]);
	s->n_packed = s->packed_bytes = 0;
}

void ar_store_clear(struct ar_store *s)
{
	free_packed(s);
	ax_arena_clear(&s->arena);
	ax_buf_reset(&s->body);
}

void ar_store_release(struct ar_store *s)
{
	free_packed(s);
	ax_free(s->packed);
	ax_arena_release(&s->arena);
	ax_buf_release(&s->body);
}

static int no_memory(const struct ar_load *l, struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "%s: out of memory", l->a->name);
}

/* A compressed buffer: its length, or -1 if it is stored as it is, and the data. */
static int unpack(struct ar_load *l, const struct ar_field *f, struct ar_bytes *b, struct ax_err *e)
{
	enum ax_codec codec = l->codec == 1 ? AX_CODEC_ZSTD : AX_CODEC_LZ4_FRAME;
	struct ar_store *s = l->store;
	uint64_t n = b->n < 8 ? 0 : ax_get_u64(b->p);
	void *to;
	int rc;

	if (b->n < 8)
		return b->n ? ar_fail_field(l->a, f, "a compressed buffer is cut", e) : 0;
	b->p += 8;
	b->n -= 8;
	if (n == UINT64_MAX)
		return 0;
	rc = ax_unpack_check(codec, (size_t)b->n, n, e);
	if (!rc && n > AR_MEMORY - s->packed_bytes)
		rc = ax_fail(e, AX_EMEM, "a compressed record batch of more than %zu MiB", AR_MEMORY >> 20);
	to = rc ? NULL : ax_malloc((size_t)n);
	if (!rc && (!to || !AX_GROW(s->packed, s->n_packed, s->cap_packed))) {
		ax_free(to);
		return no_memory(l, e);
	}
	if (to) {
		s->packed[s->n_packed++] = to;
		s->packed_bytes += (size_t)n;
		rc = ax_unpack(codec, b->p, (size_t)b->n, to, (size_t)n, e);
	}
	*b = (struct ar_bytes){.p = to, .n = n};
	return rc ? ax_err_prefix(e, "%s: byte %llu: ", l->a->name, (unsigned long long)l->a->at) : 0;
}

/* The next buffer, which must hold `need` bytes. */
static int take(struct ar_load *l, const struct ar_field *f, uint64_t need, struct ar_bytes *b, struct ax_err *e)
{
	uint64_t off, n;

	if (l->n_buffer == 0)
		return ar_fail_field(l->a, f, "the batch has not enough buffers", e);
	off = ax_get_u64(l->meta.p + l->buffers);
	n = ax_get_u64(l->meta.p + l->buffers + 8);
	l->buffers += 16;
	l->n_buffer--;
	if (n && (off > l->n_body || n > l->n_body - off))
		return ar_fail_field(l->a, f, "a buffer lies outside of its message", e);
	*b = (struct ar_bytes){.p = n ? l->body + off : NULL, .n = n};
	if (l->skip)
		return 0;
	if (l->codec >= 0)
		AX_TRY(unpack(l, f, b, e));
	return b->n < need ? ar_fail_field(l->a, f, "a buffer is shorter than its values", e) : 0;
}

/* The next field's length; 2^38 values and more are none that a batch holds, and the bytes of the widest can be counted. */
static int take_node(struct ar_load *l, const struct ar_field *f, uint64_t *n, uint64_t *nulls, struct ax_err *e)
{
	if (l->n_node == 0)
		return ar_fail_field(l->a, f, "the batch has not enough nodes", e);
	*n = ax_get_u64(l->meta.p + l->nodes);
	*nulls = ax_get_u64(l->meta.p + l->nodes + 8);
	l->nodes += 16;
	l->n_node--;
	return *n >> 38 ? ar_fail_field(l->a, f, "its length is out of range", e) : 0;
}

static int take_valid(struct ar_load *l, struct ar_array *x, uint64_t nulls, struct ax_err *e)
{
	struct ar_bytes b;

	AX_TRY(take(l, x->field, 0, &b, e));
	if (l->skip)
		return 0;
	if (b.n && b.n < (x->n + 7) / 8)
		return ar_fail_field(l->a, x->field, "a buffer is shorter than its values", e);
	x->valid = nulls ? b.p : NULL;
	return nulls && !b.n && x->n ? ar_fail_field(l->a, x->field, "it has nulls, but no bitmap of them", e) : 0;
}

/* Buffers of bytes that views point into. */
static int take_extra(struct ar_load *l, struct ar_array *x, struct ax_err *e)
{
	uint64_t n = l->n_variadic ? ax_get_u64(l->meta.p + l->variadic) : UINT64_MAX;

	if (n > l->n_buffer)
		return ar_fail_field(l->a, x->field, "the batch has not enough buffers", e);
	l->variadic += 8;
	l->n_variadic--;
	x->extra = ax_arena_calloc(&l->store->arena, (size_t)n, sizeof(*x->extra));
	if (!x->extra)
		return no_memory(l, e);
	for (x->n_extra = 0; x->n_extra < n; x->n_extra++)
		AX_TRY(take(l, x->field, 0, &x->extra[x->n_extra], e));
	return 0;
}

/* Offsets: one more than there are values, but none at all may stand for none. */
static uint64_t offset_bytes(uint64_t n, unsigned width)
{
	return n ? (n + 1) * width : 0;
}

/* The buffers behind the bitmap. */
static int take_values(struct ar_load *l, struct ar_array *x, struct ax_err *e)
{
	const struct ar_field *f = x->field;
	bool wide = f->type == AR_LARGE_BINARY || f->type == AR_LARGE_UTF8 || f->type == AR_LARGE_LIST ||
		    f->type == AR_LARGE_LIST_VIEW;

	switch (f->type) {
	case AR_BOOL:
		return take(l, f, (x->n + 7) / 8, &x->buf[0], e);
	case AR_BINARY:
	case AR_UTF8:
	case AR_LARGE_BINARY:
	case AR_LARGE_UTF8:
		AX_TRY(take(l, f, offset_bytes(x->n, wide ? 8 : 4), &x->buf[0], e));
		return take(l, f, 0, &x->buf[1], e);
	case AR_LIST:
	case AR_LARGE_LIST:
	case AR_MAP:
		return take(l, f, offset_bytes(x->n, wide ? 8 : 4), &x->buf[0], e);
	case AR_LIST_VIEW:
	case AR_LARGE_LIST_VIEW:
		AX_TRY(take(l, f, x->n * (wide ? 8 : 4), &x->buf[0], e));
		return take(l, f, x->n * (wide ? 8 : 4), &x->buf[1], e);
	case AR_BINARY_VIEW:
	case AR_UTF8_VIEW:
		AX_TRY(take(l, f, x->n * 16, &x->buf[0], e));
		return take_extra(l, x, e);
	case AR_UNION:
		AX_TRY(take(l, f, x->n, &x->buf[0], e));
		return f->sparse ? 0 : take(l, f, x->n * 4, &x->buf[1], e);
	case AR_STRUCT:
	case AR_FIXED_LIST:
		return 0;
	default:
		return take(l, f, x->n * f->width, &x->buf[0], e);
	}
}

static int load(struct ar_load *l, const struct ar_field *f, bool values, struct ar_array *x, struct ax_err *e);

/* How many values a child must have at least. */
static uint64_t child_needs(const struct ar_array *x)
{
	switch (x->field->type) {
	case AR_STRUCT:
		return x->n;
	case AR_UNION:
		return x->field->sparse ? x->n : 0;
	case AR_FIXED_LIST:
		return x->n * (uint64_t)x->field->size;
	default:
		return 0;
	}
}

static int load_children(struct ar_load *l, struct ar_array *x, struct ax_err *e)
{
	const struct ar_field *f = x->field;

	x->child = ax_arena_calloc(&l->store->arena, f->n_child, sizeof(*x->child));
	if (!x->child)
		return no_memory(l, e);
	if (f->type == AR_FIXED_LIST && x->n >> 32 && f->size)
		return ar_fail_field(l->a, f, "its length is out of range", e);
	for (uint32_t i = 0; i < f->n_child; i++) {
		AX_TRY(load(l, &f->child[i], false, &x->child[i], e));
		if (x->child[i].n < child_needs(x))
			return ar_fail_field(l->a, f, "it has more values than its children", e);
	}
	return 0;
}

static int load(struct ar_load *l, const struct ar_field *f, bool values, struct ar_array *x, struct ax_err *e)
{
	uint64_t nulls = 0;

	*x = (struct ar_array){.field = f, .index = f->encoded && !values};
	AX_TRY(take_node(l, f, &x->n, &nulls, e));
	if (x->index) {
		AX_TRY(take_valid(l, x, nulls, e));
		return take(l, f, x->n * f->index_width, &x->buf[0], e);
	}
	if (f->type == AR_NULL)
		return 0;
	if (f->type != AR_UNION && f->type != AR_RUN_ENDS)
		AX_TRY(take_valid(l, x, nulls, e));
	if (f->type != AR_RUN_ENDS)
		AX_TRY(take_values(l, x, e));
	return f->n_child ? load_children(l, x, e) : 0;
}

int ar_batch(struct ar_load *l, size_t batch, const struct ar_field *field, size_t n, bool values,
	     struct ar_array *array, uint64_t *n_row, struct ax_err *e)
{
	struct ax_flat *m = &l->meta;
	size_t compression = ax_flat_table(m, batch, 3);
	int64_t rows = ax_flat_int(m, batch, 0, 8, 0);

	l->n_node = ax_flat_vector(m, batch, 1, 16, &l->nodes);
	l->n_buffer = ax_flat_vector(m, batch, 2, 16, &l->buffers);
	l->n_variadic = ax_flat_vector(m, batch, 4, 8, &l->variadic);
	l->codec = compression ? (int)ax_flat_int(m, compression, 0, 1, 0) : -1;
	if (m->bad || rows < 0)
		return ar_fail(l->a, "a record batch's metadata is damaged", e);
	if (l->codec > 1)
		return ar_fail(l->a, "a record batch's compression is not known", e);
	for (size_t i = 0; i < n; i++) {
		l->skip = !values && field[i].skip;
		AX_TRY(load(l, &field[i], values, &array[i], e));
		if (array[i].n != (uint64_t)rows)
			return ar_fail_field(l->a, &field[i], "its length is not its batch's", e);
	}
	*n_row = (uint64_t)rows;
	return 0;
}
