#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "tok/bpe.h"

int ax_vocab_init(struct ax_vocab *v, size_t expect, struct ax_err *e)
{
	memset(v, 0, sizeof(*v));
	for (v->n_slot = 1024; v->n_slot < expect * 2; v->n_slot *= 2)
		;
	v->slot = ax_calloc(v->n_slot, sizeof(*v->slot));
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

/* The slot of a string: its own, or the free one where it belongs. */
static uint64_t *slot_of(const struct ax_vocab *v, const char *p, size_t n, uint64_t h)
{
	for (size_t i = (size_t)h & (v->n_slot - 1);; i = (i + 1) & (v->n_slot - 1)) {
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
	const uint64_t *s = &v->slot[hash & (v->n_slot - 1)];

	if (!v->n_slot)
		return;
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
	uint64_t *old = v->slot, *fresh = ax_calloc(old_n * 2, sizeof(*fresh));

	if (!fresh)
		return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
	v->slot = fresh;
	v->n_slot = old_n * 2;
	for (size_t i = 0; i < old_n; i++) {
		const struct ax_vocab_str *t;

		if (!old[i])
			continue;
		t = &v->str[(uint32_t)old[i] - 1];
		*slot_of(v, v->text + t->off, t->n, ax_hash64(v->text + t->off, t->n)) = old[i];
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

int ax_vocab_add(struct ax_vocab *v, const char *p, size_t n, uint32_t id, struct ax_err *e)
{
	uint64_t h = ax_hash64(p, n), *slot;
	size_t text_n;

	if (id >= AX_TOK_MAX_ID)
		return ax_fail(e, AX_EDATA, "id %u of token \"%.*s\" is beyond the limit of %u", id,
			       (int)(n < 40 ? n : 40), p, AX_TOK_MAX_ID);
	if (!ax_add_size(v->text_n, n, &text_n) || text_n >= UINT32_MAX)
		return ax_fail(e, AX_EMEM, "the vocabulary's strings are longer than 4 GiB");
	AX_TRY(grow_ids(v, id, e));
	if (text_n > v->text_cap) {
		size_t cap = v->text_cap + v->text_cap / 2 + n + 4096;
		char *t = ax_realloc(v->text, cap);

		if (!t)
			return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
		v->text = t;
		v->text_cap = cap;
	}
	if (v->n * 2 >= v->n_slot)
		AX_TRY(grow_slots(v, e));
	slot = slot_of(v, p, n, h);
	if (n)
		memcpy(v->text + v->text_n, p, n);
	v->n += !*slot;
	*slot = h >> 32 << 32 | (id + 1);
	v->str[id] = (struct ax_vocab_str){(uint32_t)v->text_n, (uint32_t)n};
	v->text_n = text_n;
	return 0;
}

int ax_vocab_read(struct ax_vocab *v, struct ax_scan *s, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
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
		AX_GOTO(ax_vocab_add(v, key.p, key.n, id, e));
		AX_GOTO(ax_scan_next(s, '}', &more, e));
	}
out:
	ax_buf_release(&b);
	return rc;
}
