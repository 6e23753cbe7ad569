#include "data/store.h"

#include <string.h>

#include "base/mem.h"

/*
 * A record: u32 tokens, u32 source, u64 number, u8 split, u8 columns (1 label, 2 weight), 6 unused bytes; then ids,
 * labels, weights (4 bytes a token each), mask; padded to 8. A reference is the record's place times two, plus one in
 * the spool; a place in memory is chunk * 2^40 + offset.
 */
#define HEAD 24
#define HAS_LABEL 1
#define HAS_WEIGHT 2

void ax_store_init(struct ax_store *s, size_t *budget)
{
	memset(s, 0, sizeof(*s));
	s->budget = budget;
	ax_spool_init(&s->spool, NULL);
}

static size_t record_bytes(uint32_t n, unsigned columns)
{
	size_t words = 1u + (columns & HAS_LABEL ? 1u : 0u) + (columns & HAS_WEIGHT ? 1u : 0u);

	return (HEAD + (size_t)n * (4 * words + 1) + 7) / 8 * 8;
}

static unsigned columns_of(const struct ax_row *r)
{
	return (r->label ? HAS_LABEL : 0u) | (r->weight ? HAS_WEIGHT : 0u);
}

static void put_record(unsigned char *p, const struct ax_row *r)
{
	size_t bytes = (size_t)r->n * 4;

	memset(p, 0, HEAD);
	ax_put_u32(p, r->n);
	ax_put_u32(p + 4, r->source);
	ax_put_u64(p + 8, r->number);
	p[16] = r->split;
	p[17] = (unsigned char)columns_of(r);
	p += HEAD;
	memcpy(p, r->id, bytes);
	p += bytes;
	if (r->label) {
		memcpy(p, r->label, bytes);
		p += bytes;
	}
	if (r->weight) {
		memcpy(p, r->weight, bytes);
		p += bytes;
	}
	memcpy(p, r->mask, r->n);
}

static void get_record(const unsigned char *p, struct ax_row *r)
{
	unsigned columns = p[17];
	size_t bytes;

	memset(r, 0, sizeof(*r));
	r->n = ax_get_u32(p);
	r->source = ax_get_u32(p + 4);
	r->number = ax_get_u64(p + 8);
	r->split = p[16];
	bytes = (size_t)r->n * 4;
	p += HEAD;
	r->id = (const void *)p;
	p += bytes;
	if (columns & HAS_LABEL) {
		r->label = (const void *)p;
		p += bytes;
	}
	if (columns & HAS_WEIGHT) {
		r->weight = (const void *)p;
		p += bytes;
	}
	r->mask = p;
}

/* n bytes of memory, or NULL when the budget or the system has none: then the row goes to the spool. */
static unsigned char *reserve(struct ax_store *s, size_t n)
{
	size_t want = n > AX_STORE_CHUNK ? n : AX_STORE_CHUNK;

	if (s->n_chunk && n <= s->size - s->used)
		return s->chunk[s->n_chunk - 1] + s->used;
	if (want > *s->budget || !AX_GROW(s->chunk, s->n_chunk, s->cap_chunk))
		return NULL;
	s->chunk[s->n_chunk] = ax_malloc(want);
	if (!s->chunk[s->n_chunk])
		return NULL;
	s->n_chunk++;
	s->size = want;
	s->used = 0;
	s->taken += want;
	*s->budget -= want;
	return s->chunk[s->n_chunk - 1];
}

static int spool_row(struct ax_store *s, const struct ax_row *r, size_t n, uint64_t *ref, struct ax_err *e)
{
	struct ax_buf *b = &s->spool.buf;
	uint64_t off;

	ax_buf_reserve(b, n); /* built in place: no copy of the record */
	if (b->oom)
		return ax_fail(e, AX_EMEM, "out of memory for a row");
	memset(b->p + b->n + n - 8, 0, 8);
	put_record((unsigned char *)b->p + b->n, r);
	b->n += n;
	s->spool.n += n;
	AX_TRY(ax_spool_append(&s->spool, "", 0, &off, e));
	*ref = (off - n) << 1 | 1;
	return 0;
}

int ax_store_add(struct ax_store *s, const struct ax_row *r, uint64_t *ref, struct ax_err *e)
{
	size_t n = record_bytes(r->n, columns_of(r));
	unsigned char *p = reserve(s, n);

	if (!p)
		return spool_row(s, r, n, ref, e);
	put_record(p, r);
	*ref = ((uint64_t)(s->n_chunk - 1) << 40 | s->used) << 1;
	s->used += n;
	return 0;
}

size_t ax_store_bytes(uint32_t n)
{
	return record_bytes(n, HAS_LABEL | HAS_WEIGHT);
}

int ax_store_get(struct ax_store *s, uint64_t ref, uint32_t n, struct ax_row *r, struct ax_buf *scratch,
		 struct ax_err *e)
{
	size_t least = record_bytes(n, 0), all;
	uint64_t place = ref >> 1;
	unsigned char *p;

	if (!(ref & 1)) {
		get_record(s->chunk[place >> 40] + (place & (((uint64_t)1 << 40) - 1)), r);
		return 0;
	}
	ax_buf_reserve(scratch, ax_store_bytes(n));
	if (scratch->oom)
		return ax_fail(e, AX_EMEM, "out of memory for a row");
	p = (unsigned char *)scratch->p + scratch->n;
	AX_TRY(ax_spool_read(&s->spool, p, least, place, e));
	all = record_bytes(n, p[17]);
	if (all > least)
		AX_TRY(ax_spool_read(&s->spool, p + least, all - least, place + least, e));
	scratch->n += all;
	get_record(p, r);
	return 0;
}

static void free_chunks(struct ax_store *s)
{
	for (size_t i = 0; i < s->n_chunk; i++)
		ax_free(s->chunk[i]);
	*s->budget += s->taken;
	s->n_chunk = s->used = s->size = s->taken = 0;
}

int ax_store_reset(struct ax_store *s, struct ax_err *e)
{
	free_chunks(s);
	return ax_spool_reset(&s->spool, e);
}

void ax_store_release(struct ax_store *s)
{
	if (s->budget)
		free_chunks(s);
	ax_free(s->chunk);
	ax_spool_release(&s->spool);
	memset(s, 0, sizeof(*s));
}
