/* Messages: of a file in memory, or of a stream. */
#include "fmt/arrow.h"

#include <string.h>

#include "base/io.h"
#include "fmt/arrow_impl.h"

#define META_MAX ((size_t)64 << 20)
#define READ	 ((size_t)1 << 20)
#define RELEASE	 ((uint64_t)16 << 20) /* bytes of rows between two ax_map_done of the file */

#define BLOCK	 24 /* bytes of a message's place in the footer */

enum { HEAD_SCHEMA = 1, HEAD_DICTIONARY, HEAD_BATCH };

static int no_memory(const struct ax_arrow *a, struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "%s: out of memory", a->name);
}

/* --- bytes --- */

/* Up to n bytes of the stream, those of its head first. */
static int read_some(struct ax_arrow *a, void *p, size_t n, size_t *got, struct ax_err *e)
{
	size_t have = n < a->n_head ? n : a->n_head, more = 0;

	memcpy(p, a->head, have);
	a->head += have;
	a->n_head -= have;
	if (have < n)
		AX_TRY(ax_zin_read(a->z, (char *)p + have, n - have, &more, e));
	*got = have + more;
	return 0;
}

/* n bytes in b; room is made as they come, not on the file's word. *got < n: the stream ends. */
static int read_stream(struct ax_arrow *a, struct ax_buf *b, size_t n, size_t *got, struct ax_err *e)
{
	ax_buf_reset(b);
	while (b->n < n) {
		size_t step = n - b->n < READ ? n - b->n : READ, some;

		ax_buf_reserve(b, step);
		if (b->oom)
			return no_memory(a, e);
		AX_TRY(read_some(a, b->p + b->n, step, &some, e));
		b->n += some;
		if (some < step)
			break;
	}
	*got = b->n;
	return 0;
}

/* The next n bytes: in place, or in b. *p is NULL if there is nothing more at all; fewer than n are an error. */
static int bytes(struct ax_arrow *a, uint64_t n, struct ax_buf *b, const unsigned char **p, struct ax_err *e)
{
	size_t got;

	if (a->z) {
		AX_TRY(read_stream(a, b, (size_t)n, &got, e));
		*p = got || !n ? (unsigned char *)(b->p ? b->p : "") : NULL;
	} else {
		got = n < a->file.n - a->at ? (size_t)n : (size_t)(a->file.n - a->at);
		*p = got || !n ? a->file.p + a->at : NULL;
	}
	if (got && got < n)
		return ar_fail(a, "the file ends in the middle of a message", e);
	a->at += got;
	return 0;
}

/* --- messages --- */

struct message {
	struct ax_flat meta;
	int64_t type, body;
	size_t header;
};

/* The metadata of the next message; *there is false at the end. */
static int next_message(struct ax_arrow *a, struct message *m, bool *there, struct ax_err *e)
{
	const unsigned char *p;
	uint32_t size;
	size_t root;

	*there = false;
	AX_TRY(bytes(a, 4, &a->meta, &p, e));
	if (!p)
		return 0;
	size = ax_get_u32(p);
	if (size == UINT32_MAX) { /* before release 0.15 this was not written */
		AX_TRY(bytes(a, 4, &a->meta, &p, e));
		if (!p)
			return ar_fail(a, "the file ends in the middle of a message", e);
		size = ax_get_u32(p);
	}
	if (size == 0)
		return 0;
	if (size > META_MAX)
		return ar_fail(a, "a message's metadata is too long", e);
	AX_TRY(bytes(a, size, &a->meta, &p, e));
	if (!p)
		return ar_fail(a, "the file ends in the middle of a message", e);
	m->meta = (struct ax_flat){.p = p, .n = size};
	root = ax_flat_root(&m->meta);
	m->type = ax_flat_int(&m->meta, root, 1, 1, 0);
	m->header = ax_flat_table(&m->meta, root, 2);
	m->body = ax_flat_int(&m->meta, root, 3, 8, 0);
	if (m->meta.bad || !m->header || m->body < 0)
		return ar_fail(a, "a message's metadata is damaged", e);
	*there = true;
	return 0;
}

/* The message's body, and what is needed to load arrays from it. */
static int begin_load(struct ax_arrow *a, const struct message *m, struct ar_store *s, struct ar_load *l,
		      struct ax_err *e)
{
	*l = (struct ar_load){.a = a, .store = s, .meta = m->meta, .n_body = (uint64_t)m->body};
	if (a->z && l->n_body > AR_MEMORY)
		return ax_fail(e, AX_EMEM, "%s: a record batch of %llu MiB: put it into a file, not a pipe", a->name,
			       (unsigned long long)(l->n_body >> 20));
	AX_TRY(bytes(a, l->n_body, &s->body, &l->body, e));
	return l->body ? 0 : ar_fail(a, "the file ends in the middle of a message", e);
}

static void free_parts(struct ar_dict *d)
{
	for (size_t i = 0; i < d->n_part; i++) {
		ar_store_release(&d->part[i]->store);
		ax_free(d->part[i]);
	}
	d->n_part = 0;
}

static int dictionary(struct ax_arrow *a, struct message *m, struct ax_err *e)
{
	int64_t id = ax_flat_int(&m->meta, m->header, 0, 8, 0);
	bool delta = ax_flat_int(&m->meta, m->header, 2, 1, 0) != 0;
	size_t data = ax_flat_table(&m->meta, m->header, 1);
	struct ar_dict *d = a->dicts;
	struct ar_part *part, *last;
	struct ar_load l;
	uint64_t n;

	while (d && d->id != id)
		d = d->next;
	if (!d || !data)
		return ar_fail(a, d ? "a dictionary is damaged" : "a dictionary that no column has", e);
	if (!delta)
		free_parts(d);
	if (!AX_GROW(d->part, d->n_part, d->cap_part))
		return no_memory(a, e);
	part = ax_calloc(1, sizeof(*part));
	if (!part)
		return no_memory(a, e);
	ar_store_init(&part->store);
	last = d->n_part ? d->part[d->n_part - 1] : NULL;
	part->begin = last ? last->begin + last->array.n : 0;
	d->part[d->n_part++] = part;
	AX_TRY(begin_load(a, m, &part->store, &l, e));
	return ar_batch(&l, data, d->field, 1, true, &part->array, &n, e);
}

static int batch(struct ax_arrow *a, struct message *m, struct ax_err *e)
{
	struct ar_load l;

	ar_store_clear(&a->store);
	a->row = a->n_row = 0;
	a->column = ax_arena_calloc(&a->store.arena, a->root.n_child, sizeof(*a->column));
	if (!a->column)
		return no_memory(a, e);
	AX_TRY(begin_load(a, m, &a->store, &l, e));
	return ar_batch(&l, m->header, a->root.child, a->root.n_child, false, a->column, &a->n_row, e);
}

/* What follows the end of a stream is read, so that damage in it is found, and passed over. */
static int drain(struct ax_arrow *a, struct ax_err *e)
{
	size_t got = 1;

	a->done = true;
	while (a->z && got) {
		AX_TRY(read_stream(a, &a->meta, READ, &got, e));
		a->at += got;
	}
	return 0;
}

/* --- the file --- */

/*
 * A file, unlike a stream, is read by its footer: schema and places of the messages. What lies in front of the first of them
 * is not the same with all writers.
 */
static int read_footer(struct ax_arrow *a, struct ax_err *e)
{
	static const char damaged[] = "the footer is damaged";
	const unsigned char *end = a->file.p + a->file.n;
	uint32_t size = a->file.n >= 18 ? ax_get_u32(end - 10) : UINT32_MAX;
	size_t root, schema;

	a->at = a->file.n;
	if (a->file.n < 18 || memcmp(end - 6, "ARROW1", 6))
		return ar_fail(a, "the Arrow file is cut: it does not end with \"ARROW1\"", e);
	if (size > a->file.n - 18)
		return ar_fail(a, damaged, e);
	a->file.n -= 10 + (size_t)size;
	a->at = a->file.n;
	a->footer = (struct ax_flat){.p = a->file.p + a->at, .n = size};
	root = ax_flat_root(&a->footer);
	schema = ax_flat_table(&a->footer, root, 1);
	a->n_block[0] = ax_flat_vector(&a->footer, root, 2, BLOCK, &a->block[0]);
	a->n_block[1] = ax_flat_vector(&a->footer, root, 3, BLOCK, &a->block[1]);
	if (a->footer.bad || !schema)
		return ar_fail(a, damaged, e);
	return ar_schema(a, &a->footer, schema, e);
}

/* To the next message that the footer names, dictionaries first; *there is false behind the last. */
static int next_block(struct ax_arrow *a, bool *there, struct ax_err *e)
{
	int list = a->n_block[0] ? 0 : 1;
	uint64_t off;

	*there = a->n_block[list] > 0;
	if (!*there)
		return 0;
	off = ax_get_u64(a->footer.p + a->block[list]);
	a->block[list] += BLOCK;
	a->n_block[list]--;
	if (off >= a->file.n)
		return ar_fail(a, "the footer names a message that lies outside the file", e);
	a->at = off;
	return 0;
}

static int next_batch(struct ax_arrow *a, struct ax_err *e)
{
	struct message m;
	bool there = true;

	if (a->is_file)
		AX_TRY(next_block(a, &there, e));
	if (there)
		AX_TRY(next_message(a, &m, &there, e));
	if (!there)
		return drain(a, e);
	if (m.type == HEAD_DICTIONARY)
		return dictionary(a, &m, e);
	return m.type == HEAD_BATCH ? batch(a, &m, e) : ar_fail(a, "a message that is no record batch", e);
}

static int begin(struct ax_arrow *a, struct ax_err *e)
{
	struct message m;
	bool there;

	a->is_file = !a->z && a->file.n >= 6 && !memcmp(a->file.p, "ARROW1", 6);
	if (a->is_file)
		return read_footer(a, e);
	AX_TRY(next_message(a, &m, &there, e));
	if (!there || m.type != HEAD_SCHEMA)
		return ax_fail(e, AX_EDATA, "%s: no Arrow file", a->name);
	AX_TRY(ar_schema(a, &m.meta, m.header, e));
	return m.body ? ar_fail(a, "the schema has a body", e) : 0;
}

static int open_new(struct ax_arrow **out, const struct ax_arrow *from, struct ax_err *e)
{
	struct ax_arrow *a = ax_calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return ax_fail(e, AX_EMEM, "out of memory");
	*a = *from;
	ax_arena_init(&a->arena, 0);
	ar_store_init(&a->store);
	rc = begin(a, e);
	if (rc)
		ax_arrow_close(a);
	else
		*out = a;
	return rc;
}

int ax_arrow_open(struct ax_arrow **a, const struct ax_table_file *file, struct ax_err *e)
{
	struct ax_arrow from = {.name = file->name, .row_max = file->row_max, .file = *file};

	if (file->n == 0) /* so that there is a place to point at */
		from.file.p = (const unsigned char *)"";
	return open_new(a, &from, e);
}

int ax_arrow_stream(struct ax_arrow **a, struct ax_zin *z, const void *head, size_t n, size_t row_max,
		    struct ax_err *e)
{
	struct ax_arrow from = {.name = ax_zin_name(z), .row_max = row_max, .z = z, .head = head, .n_head = n};

	return open_new(a, &from, e);
}

void ax_arrow_select(struct ax_arrow *a, const char *const *name)
{
	for (uint32_t i = 0; i < a->root.n_child; i++)
		a->root.child[i].skip = !ax_cell_named(name, a->root.child[i].name, a->root.child[i].name_n);
}

/* Pages that are read in place leave the process now and then; they are read again from the system's cache if need be. */
static void release(struct ax_arrow *a, size_t n)
{
	a->released += n;
	if (a->file.mapped && a->released >= RELEASE) {
		ax_map_done(a->file.p, a->file.n);
		a->released = 0;
	}
}

int ax_arrow_next(struct ax_arrow *a, struct ax_buf *b, bool *end, struct ax_err *e)
{
	size_t n = b->n;

	*end = false;
	while (a->row == a->n_row && !a->done)
		AX_TRY(next_batch(a, e));
	if (a->row == a->n_row) {
		*end = true;
		return 0;
	}
	AX_TRY(ar_row(a, b, e));
	a->row++;
	release(a, b->n - n);
	return 0;
}

void ax_arrow_close(struct ax_arrow *a)
{
	if (!a)
		return;
	for (struct ar_dict *d = a->dicts; d; d = d->next) {
		free_parts(d);
		ax_free(d->part);
	}
	ar_store_release(&a->store);
	ax_buf_release(&a->meta);
	ax_arena_release(&a->arena);
	ax_free(a);
}
