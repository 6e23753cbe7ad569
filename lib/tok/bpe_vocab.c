#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "tok/bpe.h"

#define BATCH 32

int ax_vocab_init(struct ax_vocab *v, size_t expect, struct ax_err *e)
{
	memset(v, 0, sizeof(*v));
	for (v->n_slot = 1024; v->n_slot < expect * 2; v->n_slot *= 2)
		;
	v->slot = ax_calloc_huge(v->n_slot, sizeof(*v->slot));
	if (!v->slot)
		return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
	return 0;
}

void ax_vocab_release(struct ax_vocab *v)
{
	ax_free(v->text);
	ax_free(v->str);
	ax_free(v->slot);
	memset(v, 0, sizeof(*v));
}

/* Where a string belongs: by the half of its hash that its slot holds, so that a larger table can be filled from slots alone. */
static inline size_t home_of(const struct ax_vocab *v, uint64_t hash)
{
	return (size_t)(hash >> 32) & (v->n_slot - 1);
}

/* The slot of a string: its own, or the free one where it belongs. */
static uint64_t *slot_of(const struct ax_vocab *v, const char *p, size_t n, uint64_t h)
{
	for (size_t i = home_of(v, h);; i = (i + 1) & (v->n_slot - 1)) {
		uint64_t s = v->slot[i];
		const struct ax_vocab_str *t;

		if (!s)
			return &v->slot[i];
		if (s >> 32 != h >> 32)
			continue;
		t = &v->str[(uint32_t)s - 1];
		if (t->n == n && !memcmp(v->text + t->off, p, n))
			return &v->slot[i];
	}
}

uint64_t ax_vocab_hash(const char *p, size_t n)
{
	return ax_hash64(p, n);
}

uint32_t ax_vocab_find_hashed(const struct ax_vocab *v, const char *p, size_t n, uint64_t hash)
{
	if (!v->n_slot)
		return AX_TOK_NONE;
	return (uint32_t)*slot_of(v, p, n, hash) - 1; /* a free slot gives AX_TOK_NONE */
}

uint32_t ax_vocab_find(const struct ax_vocab *v, const char *p, size_t n)
{
	return ax_vocab_find_hashed(v, p, n, ax_vocab_hash(p, n));
}

void ax_vocab_touch(const struct ax_vocab *v, uint64_t hash, int step)
{
	const uint64_t *s;

	if (!v->n_slot)
		return;
	s = &v->slot[home_of(v, hash)];
	if (step == 0)
		__builtin_prefetch(s);
	else if (*s && step == 1)
		__builtin_prefetch(&v->str[(uint32_t)*s - 1]);
	else if (*s)
		__builtin_prefetch(v->text + v->str[(uint32_t)*s - 1].off);
}

static int grow_slots(struct ax_vocab *v, struct ax_err *e)
{
	size_t old_n = v->n_slot;
	uint64_t *old = v->slot, *fresh = ax_calloc_huge(old_n * 2, sizeof(*fresh));

	if (!fresh)
		return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
	v->slot = fresh;
	v->n_slot = old_n * 2;
	for (size_t i = 0; i < old_n; i++) {
		size_t k = home_of(v, old[i]);

		if (!old[i])
			continue;
		while (v->slot[k])
			k = (k + 1) & (v->n_slot - 1);
		v->slot[k] = old[i];
	}
	ax_free(old);
	return 0;
}

static int grow_ids(struct ax_vocab *v, uint32_t id, struct ax_err *e)
{
	uint32_t cap = v->str_cap;
	struct ax_vocab_str *s;

	if (id >= cap) {
		cap = cap + cap / 2 + 1024 > id + 1 ? cap + cap / 2 + 1024 : id + 1;
		s = ax_realloc_array(v->str, cap, sizeof(*s));
		if (!s)
			return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
		v->str = s;
		v->str_cap = cap;
	}
	for (; v->id_end <= id; v->id_end++)
		v->str[v->id_end].n = UINT32_MAX;
	return 0;
}

/* Append a string to the text; where it lies goes to *t. */
static int store(struct ax_vocab *v, const char *p, size_t n, uint32_t id, struct ax_vocab_str *t, struct ax_err *e)
{
	size_t text_n;

	if (id >= AX_TOK_MAX_ID)
		return ax_fail(e, AX_EDATA, "id %u of token \"%.*s\" is beyond the limit of %u", id,
			       (int)(n < 40 ? n : 40), p, AX_TOK_MAX_ID);
	if (!ax_add_size(v->text_n, n, &text_n) || text_n >= UINT32_MAX)
		return ax_fail(e, AX_EMEM, "the vocabulary's strings are longer than 4 GiB");
	if (text_n > v->text_cap) {
		size_t cap = v->text_cap + v->text_cap / 2 + n + 4096;
		char *q = ax_realloc(v->text, cap);

		if (!q)
			return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
		v->text = q;
		v->text_cap = cap;
	}
	if (n)
		memcpy(v->text + v->text_n, p, n);
	*t = (struct ax_vocab_str){(uint32_t)v->text_n, (uint32_t)n};
	v->text_n = text_n;
	return 0;
}

/* Give a stored string its id. */
static int enter(struct ax_vocab *v, struct ax_vocab_str t, uint64_t hash, uint32_t id, struct ax_err *e)
{
	uint64_t *slot;

	AX_TRY(grow_ids(v, id, e));
	if (v->n * 2 >= v->n_slot)
		AX_TRY(grow_slots(v, e));
	slot = slot_of(v, v->text + t.off, t.n, hash);
	v->n += !*slot;
	v->moved |= *slot != 0;
	*slot = hash >> 32 << 32 | (id + 1);
	v->str[id] = t;
	return 0;
}

int ax_vocab_add(struct ax_vocab *v, const char *p, size_t n, uint32_t id, struct ax_err *e)
{
	struct ax_vocab_str t;

	AX_TRY(store(v, p, n, id, &t, e));
	return enter(v, t, ax_hash64(p, n), id, e);
}

/* Entries whose slots are on their way from memory. */
struct batch {
	struct entry {
		struct ax_vocab_str t;
		uint32_t id;
		uint64_t hash;
	} entry[BATCH];
	size_t n;
};

static int flush(struct ax_vocab *v, struct batch *b, struct ax_err *e)
{
	for (size_t i = 0; i < b->n; i++)
		AX_TRY(enter(v, b->entry[i].t, b->entry[i].hash, b->entry[i].id, e));
	b->n = 0;
	return 0;
}

static int add_later(struct ax_vocab *v, struct batch *b, struct ax_slice key, uint32_t id, struct ax_err *e)
{
	struct entry *x = &b->entry[b->n++];

	AX_TRY(store(v, key.p, key.n, id, &x->t, e));
	x->id = id;
	x->hash = ax_hash64(key.p, key.n);
	__builtin_prefetch(&v->slot[home_of(v, x->hash)], 1);
	return b->n == BATCH ? flush(v, b, e) : 0;
}

int ax_vocab_read(struct ax_vocab *v, struct ax_scan *s, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	struct batch later = {.n = 0};
	struct ax_slice key;
	uint32_t id;
	bool more;
	int rc;

	ax_vocab_release(v);
	AX_TRY(ax_vocab_init(v, (size_t)(s->end - s->p) / 128, e));
	AX_GOTO(ax_scan_open(s, '{', &more, e));
	while (more) {
		AX_GOTO(ax_scan_key(s, &key, &b, e));
		AX_GOTO(ax_scan_u32(s, &id, e));
		AX_GOTO(add_later(v, &later, key, id, e));
		AX_GOTO(ax_scan_next(s, '}', &more, e));
	}
	rc = flush(v, &later, e);
out:
	ax_buf_release(&b);
	return rc;
}
