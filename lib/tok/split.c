#include "tok/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

uint64_t ax_split_hash(uint64_t seed, enum ax_split_use use, uint32_t source, uint64_t number)
{
	uint64_t key = ax_mix64(seed ^ ax_mix64((uint64_t)use << 32 | source));

	return ax_rand_u64(key, AX_RNG_SPLIT, number);
}

double ax_split_unit(uint64_t hash)
{
	return (double)(hash >> 11) * 0x1p-53;
}

/* --- slices --- */

/* One border: an optional sign, digits with underlines between them, an optional '%'. Empty: none. */
static bool border(const char **p, bool *has, bool *percent, int64_t *v)
{
	bool minus = **p == '-';
	const char *from = *p + minus, *q = from;

	if (**p == ':' || **p == ']')
		return true;
	for (*v = 0; (*q >= '0' && *q <= '9') || (*q == '_' && q > from); q++) {
		*v = *q == '_' ? *v : *v * 10 + (*q - '0');
		if (*v > (int64_t)1 << 50)
			return false;
	}
	if (q == from)
		return false;
	*v = minus ? -*v : *v;
	*has = true;
	*percent |= *q == '%';
	*p = q + (*q == '%');
	return true;
}

/* "[FROM:TO]" and "(ROUNDING)". */
static bool slice(struct ax_slice *s, const char **p)
{
	if (**p == '[') {
		++*p;
		if (!border(p, &s->has_from, &s->percent, &s->from) || *(*p)++ != ':' ||
		    !border(p, &s->has_to, &s->percent, &s->to) || *(*p)++ != ']')
			return false;
	}
	if (s->percent && ((s->has_from && (s->from < -100 || s->from > 100)) || (s->has_to && (s->to < -100 || s->to > 100))))
		return false;
	if (**p == '(' && s->percent) {
		s->whole = !strncmp(*p, "(pct1_dropremainder)", 20);
		if (!s->whole && strncmp(*p, "(closest)", 9))
			return false;
		*p += s->whole ? 20 : 9;
	}
	return true;
}

int ax_slice_parse(struct ax_slice *s, const char **text, struct ax_err *e)
{
	const char *from = *text + strspn(*text, " "), *p;
	size_t n = strcspn(from, "[(+ ");

	memset(s, 0, sizeof(*s));
	if (n >= sizeof(s->name))
		return ax_fail(e, AX_EUSAGE, "split \"%s\" is too long", *text);
	memcpy(s->name, from, n);
	p = from + n;
	if (!slice(s, &p) || (p += strspn(p, " "), *p && *p != '+') || (*p == '+' && !p[1]))
		return ax_fail(e, AX_EUSAGE,
			       "split \"%s\" is malformed; expected NAME or NAME[FROM:TO], with rows or percentages, or several "
			       "of them with + between",
			       *text);
	s->needs_total = s->percent ? s->has_from || s->has_to : (s->has_from && s->from < 0) || (s->has_to && s->to < 0);
	*text = *p ? p + 1 : NULL;
	return 0;
}

static uint64_t place(const struct ax_slice *s, int64_t v, uint64_t total)
{
	int64_t at = v;

	if (s->percent && s->whole)
		at = v * (int64_t)(total / 100);
	else if (s->percent)
		at = (int64_t)rint((double)v * (double)total / 100.0); /* a half goes to the even one */
	if (at < 0)
		at += (int64_t)total;
	if (at < 0)
		at = 0;
	return (uint64_t)at > total ? total : (uint64_t)at;
}

int ax_slice_resolve(const struct ax_slice *s, uint64_t total, uint64_t *begin, uint64_t *end, struct ax_err *e)
{
	if (s->whole && total < 100)
		return ax_fail(e, AX_EUSAGE, "split: pct1_dropremainder needs 100 rows, there are %llu", (unsigned long long)total);
	*begin = s->has_from ? place(s, s->from, total) : 0;
	*end = s->has_to ? place(s, s->to, total) : total;
	if (*end < *begin)
		*end = *begin;
	return 0;
}

/* --- rows as bytes: n, flags, source, 0, number, ids, labels, weights, mask, padding to 8 --- */

#define HEAD 24
enum { HAS_LABEL = 1, HAS_WEIGHT = 2 };

void ax_row_put(struct ax_buf *b, const struct ax_row *r)
{
	static const char zero[8];
	size_t at = b->n;

	ax_buf_add_u32(b, r->n);
	ax_buf_add_u32(b, (uint32_t)r->split << 8 | (r->label ? HAS_LABEL : 0) | (r->weight ? HAS_WEIGHT : 0));
	ax_buf_add_u32(b, r->source);
	ax_buf_add_u32(b, 0);
	ax_buf_add_u64(b, r->number);
	ax_buf_add(b, r->id, (size_t)r->n * 4);
	if (r->label)
		ax_buf_add(b, r->label, (size_t)r->n * 4);
	if (r->weight)
		ax_buf_add(b, r->weight, (size_t)r->n * 4);
	ax_buf_add(b, r->mask, r->n);
	ax_buf_add(b, zero, (8 - (b->n - at) % 8) % 8);
}

void ax_row_take(const unsigned char **p, struct ax_row *r)
{
	uint32_t n = ax_get_u32(*p), flags = ax_get_u32(*p + 4);
	const unsigned char *q = *p + HEAD;

	*r = (struct ax_row){
	    .n = n, .split = (uint8_t)(flags >> 8), .source = ax_get_u32(*p + 8), .number = ax_get_u64(*p + 16)};
	r->id = (const uint32_t *)(const void *)q;
	q += (size_t)n * 4;
	if (flags & HAS_LABEL) {
		r->label = (const int32_t *)(const void *)q;
		q += (size_t)n * 4;
	}
	if (flags & HAS_WEIGHT) {
		r->weight = (const float *)(const void *)q;
		q += (size_t)n * 4;
	}
	r->mask = q;
	q += n;
	*p += ((size_t)(q - *p) + 7) / 8 * 8;
}

/* --- the n smallest --- */

void ax_hold_init(struct ax_hold *h, size_t limit)
{
	memset(h, 0, sizeof(*h));
	h->limit = limit;
	ax_spool_init(&h->spool, NULL);
}

/* Does x fall out before y? */
static bool worse(const struct ax_held *x, const struct ax_held *y)
{
	if (x->hash != y->hash)
		return x->hash > y->hash;
	return x->source != y->source ? x->source > y->source : x->number > y->number;
}

static void sift_up(struct ax_hold *h, size_t i)
{
	while (i && worse(&h->heap[i], &h->heap[(i - 1) / 2])) {
		struct ax_held t = h->heap[i];

		h->heap[i] = h->heap[(i - 1) / 2];
		h->heap[(i - 1) / 2] = t;
		i = (i - 1) / 2;
	}
}

static void sift_down(struct ax_hold *h)
{
	for (size_t i = 0;;) {
		size_t k = 2 * i + 1;
		struct ax_held t;

		if (k >= h->n)
			return;
		if (k + 1 < h->n && worse(&h->heap[k + 1], &h->heap[k]))
			k++;
		if (!worse(&h->heap[k], &h->heap[i]))
			return;
		t = h->heap[i];
		h->heap[i] = h->heap[k];
		h->heap[k] = t;
		i = k;
	}
}

static int fetch(struct ax_hold *h, const struct ax_held *x, struct ax_buf *out, struct ax_err *e)
{
	ax_buf_reset(out);
	ax_buf_reserve(out, x->bytes + 1);
	if (out->oom)
		return no_memory(e);
	AX_TRY(ax_spool_read(&h->spool, out->p, x->bytes, x->off, e));
	out->n = x->bytes;
	return 0;
}

int ax_hold_push(struct ax_hold *h, uint64_t hash, uint32_t source, uint64_t number, const struct ax_buf *rows,
		 struct ax_buf *out, struct ax_err *e)
{
	struct ax_held x = {hash, number, source, 0, rows->n};

	ax_buf_reset(out);
	if (h->limit == 0 || (h->n == h->limit && worse(&x, &h->heap[0]))) {
		ax_buf_add(out, rows->p, rows->n);
		return out->oom ? no_memory(e) : 0;
	}
	if (h->n == h->limit) {
		AX_TRY(fetch(h, &h->heap[0], out, e));
		h->heap[0] = h->heap[--h->n];
		sift_down(h);
	}
	AX_TRY(ax_spool_append(&h->spool, rows->p, rows->n, &x.off, e));
	if (!AX_GROW(h->heap, h->n, h->cap))
		return no_memory(e);
	h->heap[h->n] = x;
	sift_up(h, h->n++);
	return 0;
}

static int input_order(const void *a, const void *b)
{
	const struct ax_held *x = a, *y = b;

	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

int ax_hold_pop(struct ax_hold *h, struct ax_buf *out, bool *any, struct ax_err *e)
{
	if (!h->sorted && h->n)
		qsort(h->heap, h->n, sizeof(*h->heap), input_order);
	h->sorted = true;
	*any = h->next < h->n;
	return *any ? fetch(h, &h->heap[h->next++], out, e) : 0;
}

void ax_hold_release(struct ax_hold *h)
{
	ax_free(h->heap);
	ax_spool_release(&h->spool);
	memset(h, 0, sizeof(*h));
}

/* --- exact duplicates --- */

static uint64_t *find(uint64_t *slot, size_t cap, uint64_t a, uint64_t b)
{
	size_t i = (size_t)a & (cap - 1);

	while ((slot[2 * i] || slot[2 * i + 1]) && (slot[2 * i] != a || slot[2 * i + 1] != b))
		i = (i + 1) & (cap - 1);
	return &slot[2 * i];
}

static int grow(struct ax_seen *s, struct ax_err *e)
{
	size_t cap = s->cap ? s->cap * 2 : 1024;
	uint64_t *slot = ax_calloc(cap, 16);

	if (!slot)
		return no_memory(e);
	for (size_t i = 0; i < s->cap; i++) {
		uint64_t *to;

		if (!s->slot[2 * i] && !s->slot[2 * i + 1])
			continue;
		to = find(slot, cap, s->slot[2 * i], s->slot[2 * i + 1]);
		to[0] = s->slot[2 * i];
		to[1] = s->slot[2 * i + 1];
	}
	ax_free(s->slot);
	s->slot = slot;
	s->cap = cap;
	return 0;
}

int ax_seen_add(struct ax_seen *s, const struct ax_row *r, bool *fresh, struct ax_err *e)
{
	struct ax_row bare = *r;
	struct ax_sum sum = {0};
	uint64_t *slot;

	bare.split = 0;
	bare.source = 0;
	bare.number = 0;
	ax_row_sum(&sum, &bare);
	if (s->n >= s->cap / 4 * 3)
		AX_TRY(grow(s, e));
	if (!sum.a && !sum.b)
		sum.a = 1;
	slot = find(s->slot, s->cap, sum.a, sum.b);
	*fresh = !slot[0] && !slot[1];
	s->n += *fresh;
	slot[0] = sum.a;
	slot[1] = sum.b;
	return 0;
}

void ax_seen_release(struct ax_seen *s)
{
	ax_free(s->slot);
	memset(s, 0, sizeof(*s));
}

/* --- seeded shuffle in a bounded buffer --- */

int ax_shuffle_init(struct ax_shuffle *s, uint64_t seed, size_t cap, size_t max_bytes, struct ax_err *e)
{
	*s = (struct ax_shuffle){.cap = cap, .max_bytes = max_bytes, .seed = seed};
	s->slot = ax_calloc(cap + 1, sizeof(*s->slot));
	return s->slot ? 0 : no_memory(e);
}

/* A block is the size of what follows (8 bytes) and the row's bytes. */
static int keep(struct ax_shuffle *s, const struct ax_row *r, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;

	ax_buf_add_u64(&b, 0);
	ax_row_put(&b, r);
	if (b.oom) {
		ax_buf_release(&b);
		return no_memory(e);
	}
	ax_put_u64(b.p, b.n);
	s->bytes += b.n;
	s->slot[s->n++] = (unsigned char *)ax_buf_detach(&b);
	return 0;
}

int ax_shuffle_step(struct ax_shuffle *s, const struct ax_row *r, unsigned char **out, struct ax_err *e)
{
	size_t i;

	*out = NULL;
	if (r)
		AX_TRY(keep(s, r, e));
	if (s->n == 0 || (r && s->n <= s->cap && s->bytes <= s->max_bytes))
		return 0;
	i = (size_t)(ax_rand_u64(s->seed, AX_RNG_ORDER, s->step++) % s->n);
	*out = s->slot[i];
	s->bytes -= (size_t)ax_get_u64(*out);
	s->slot[i] = s->slot[--s->n];
	return 0;
}

void ax_shuffle_row(const unsigned char *block, struct ax_row *r)
{
	const unsigned char *p = block + 8;

	ax_row_take(&p, r);
}

void ax_shuffle_free(unsigned char *block)
{
	ax_free(block);
}

void ax_shuffle_release(struct ax_shuffle *s)
{
	for (size_t i = 0; i < s->n; i++)
		ax_free(s->slot[i]);
	ax_free(s->slot);
	memset(s, 0, sizeof(*s));
}
