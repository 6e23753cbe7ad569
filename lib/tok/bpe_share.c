#include "tok/bpe_share.h"

#include <string.h>

#include "base/mem.h"
#include "tok/bpe_work.h"

#define FIRST_BITS  15 /* entries, as powers of two; in steps of two: 16 MiB at most, and 9 MiB of longer pieces */
#define MOST_BITS   19
#define STORE_WORDS 4 /* an entry */
#define PART	    1024 /* words of the store that a thread takes at once */
#define MOST_WORDS  256 /* of a piece and its ids */
#define MOST_PROBES 32
#define WAYS	    4

/* The key of an entry that is being written; no length reaches it. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BUSY_KEY UINT64_C(0x10)
#else
#define BUSY_KEY (UINT64_C(0x10) << 56)
#endif

/* --- tables and their holders --- */

static void free_pieces(struct ax_pieces *p)
{
	if (!p)
		return;
	ax_free(p->brief);
	ax_free(p->slot);
	ax_free(p->store);
	ax_free(p);
}

static struct ax_pieces *new_pieces(unsigned bits)
{
	size_t n = (size_t)1 << bits;
	struct ax_pieces *p = ax_malloc_aligned(64, sizeof(*p));

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->bits = bits;
	p->n_slot = n / 4;
	p->store_cap = n * STORE_WORDS;
	p->brief = ax_calloc_huge(n, sizeof(*p->brief));
	p->slot = ax_calloc(p->n_slot, sizeof(*p->slot));
	p->store = ax_malloc(p->store_cap * sizeof(*p->store));
	p->users = 1; /* it is the current one, or will be */
	if (p->brief && p->slot && p->store)
		return p;
	free_pieces(p);
	return NULL;
}

struct ax_share *ax_share_new(void)
{
	struct ax_share *s = ax_calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	atomic_init(&s->holders, 1);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->growing, NULL);
	return s;
}

struct ax_share *ax_share_hold(struct ax_share *s)
{
	atomic_fetch_add(&s->holders, 1);
	return s;
}

void ax_share_drop(struct ax_share *s)
{
	if (!s || atomic_fetch_sub(&s->holders, 1) > 1)
		return;
	free_pieces(atomic_load(&s->now));
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->growing);
	ax_free(s);
}

/* With the lock: one user less; what to free outside of it, or NULL. */
static struct ax_pieces *leave(struct ax_pieces *p)
{
	return p && --p->users == 0 ? p : NULL;
}

struct ax_pieces *ax_pieces_take(struct ax_share *s, struct ax_pieces *old)
{
	struct ax_pieces *p, *unused = NULL;

	pthread_mutex_lock(&s->lock);
	p = atomic_load(&s->now);
	if (!p)
		atomic_store(&s->now, p = new_pieces(FIRST_BITS));
	if (p) {
		p->users++;
		unused = leave(old);
	}
	pthread_mutex_unlock(&s->lock);
	free_pieces(unused);
	return p;
}

void ax_pieces_give(struct ax_share *s, struct ax_pieces *p)
{
	struct ax_pieces *unused;

	pthread_mutex_lock(&s->lock);
	unused = leave(p);
	pthread_mutex_unlock(&s->lock);
	free_pieces(unused);
}

/* --- growing --- */

static bool is_free(const struct ax_brief *x, struct ax_key *k)
{
	k->b = __atomic_load_n(&x->key.b, __ATOMIC_ACQUIRE);
	k->a = __atomic_load_n(&x->key.a, __ATOMIC_RELAXED);
	return !k->b || k->b == BUSY_KEY;
}

/* All entries of a table into a larger one. Others may put more into the old one meanwhile: these are learned again. */
static void copy(const struct ax_pieces *from, struct ax_pieces *to)
{
	struct ax_pieces_own own = {0};
	struct ax_brief x;

	for (size_t i = 0; i < (size_t)1 << from->bits; i++) {
		if (is_free(&from->brief[i], &x.key))
			continue;
		memcpy(x.id, from->brief[i].id, sizeof(x.id));
		if (x.id[0] >> 24 == AX_BRIEF_MANY)
			ax_pieces_put(to, &own, &x, from->store + x.id[1], x.id[0] & (AX_TOK_MAX_ID - 1));
		else
			ax_pieces_put(to, &own, &x, NULL, 0);
	}
	for (size_t i = 0; i < from->n_slot; i++) {
		uint64_t s = __atomic_load_n(&from->slot[i], __ATOMIC_ACQUIRE);
		const uint32_t *w = from->store + (uint32_t)s - 1;
		size_t n;

		if (!s)
			continue;
		n = w[0] >> 16;
		ax_pieces_put_long(to, &own, (const char *)(w + 1), n, ax_piece_hash((const char *)(w + 1), n),
				   w + 1 + ax_long_words(n), w[0] & 0xFFFF);
	}
	atomic_store(&to->n_brief, own.n_brief);
	atomic_store(&to->n_long, own.n_long);
}

/* Without memory the table stays, and is asked again when it has as many more. */
static void follow(struct ax_share *s, struct ax_pieces *p)
{
	bool larger = !ax_pieces_last(p);
	struct ax_pieces *next = new_pieces(larger ? p->bits + 2 : p->bits), *unused = NULL;

	if (!next) {
		atomic_store(&p->n_brief, 0);
		atomic_store(&p->n_long, 0);
		atomic_store(&p->n_refused, 0);
		return;
	}
	if (larger)
		copy(p, next);
	pthread_mutex_lock(&s->lock);
	atomic_store(&s->now, next);
	unused = leave(p);
	pthread_mutex_unlock(&s->lock);
	free_pieces(unused);
}

bool ax_pieces_last(const struct ax_pieces *p)
{
	return p->bits >= MOST_BITS;
}

static bool is_full(const struct ax_pieces *p)
{
	size_t n = (size_t)1 << p->bits;

	if (ax_pieces_last(p))
		return atomic_load(&p->n_refused) > 2 * n;
	return atomic_load(&p->n_brief) >= n / 2 || atomic_load(&p->n_long) >= p->n_slot / 2 ||
	       atomic_load(&p->store_n) >= p->store_cap / 4 * 3;
}

static void add(atomic_size_t *to, size_t *n)
{
	if (*n)
		atomic_fetch_add_explicit(to, *n, memory_order_relaxed);
	*n = 0;
}

void ax_pieces_tell(struct ax_share *s, struct ax_pieces *p, struct ax_pieces_own *own)
{
	add(&p->n_brief, &own->n_brief);
	add(&p->n_long, &own->n_long);
	add(&p->n_refused, &own->n_refused);
	if (!is_full(p) || pthread_mutex_trylock(&s->growing))
		return;
	if (atomic_load(&s->now) == p)
		follow(s, p);
	pthread_mutex_unlock(&s->growing);
}

/* --- entries --- */

/* The place of so many words in the store; false: it is full. */
static bool reserve(struct ax_pieces *p, struct ax_pieces_own *own, size_t words, size_t *place)
{
	if (words > MOST_WORDS)
		return false;
	if (own->end - own->at < words) {
		if (atomic_load_explicit(&p->store_n, memory_order_relaxed) + PART > p->store_cap)
			return false;
		own->at = atomic_fetch_add_explicit(&p->store_n, PART, memory_order_relaxed);
		own->end = own->at + PART;
		if (own->end > p->store_cap) { /* another thread took the last part */
			own->at = own->end = 0;
			return false;
		}
	}
	*place = own->at;
	own->at += words;
	return true;
}

static bool claim(struct ax_brief *at)
{
	uint64_t none = 0;

	return __atomic_compare_exchange_n(&at->key.b, &none, BUSY_KEY, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static bool refuse(struct ax_pieces_own *own)
{
	own->n_refused++;
	return false;
}

bool ax_pieces_put(struct ax_pieces *p, struct ax_pieces_own *own, struct ax_brief *x, const uint32_t *id, size_t n)
{
	uint32_t slot = ax_brief_slot(x->key, p->bits);
	size_t place;

	for (uint32_t i = 0; i < WAYS; i++) {
		struct ax_brief *at = &p->brief[i < 2 ? slot + i : ax_brief_other(slot) + i - 2];

		if (ax_brief_is(at, x->key))
			return true;
		if (__atomic_load_n(&at->key.b, __ATOMIC_RELAXED) || !claim(at))
			continue;
		if (n && !reserve(p, own, n, &place)) {
			__atomic_store_n(&at->key.b, 0, __ATOMIC_RELAXED);
			return refuse(own);
		}
		if (n) {
			memcpy(p->store + place, id, n * sizeof(*id));
			x->id[1] = (uint32_t)place;
		}
		memcpy(at->id, x->id, sizeof(at->id));
		__atomic_store_n(&at->key.a, x->key.a, __ATOMIC_RELAXED);
		__atomic_store_n(&at->key.b, x->key.b, __ATOMIC_RELEASE);
		own->n_brief++;
		return true;
	}
	return refuse(own);
}

/* In the store as bpe_long.c has them. */
static bool is_piece(const struct ax_pieces *p, uint64_t slot, const char *s, size_t n, uint64_t hash)
{
	const uint32_t *w = p->store + (uint32_t)slot - 1;

	return slot >> 32 == hash >> 32 && w[0] >> 16 == n && !memcmp(w + 1, s, n);
}

const uint32_t *ax_pieces_find_long(const struct ax_pieces *p, const char *s, size_t n, uint64_t hash, size_t *count)
{
	for (size_t i = 0; i < MOST_PROBES; i++) {
		uint64_t slot = __atomic_load_n(&p->slot[(hash + i) & (p->n_slot - 1)], __ATOMIC_ACQUIRE);

		if (!slot)
			return NULL;
		if (is_piece(p, slot, s, n, hash)) {
			const uint32_t *w = p->store + (uint32_t)slot - 1;

			*count = w[0] & 0xFFFF;
			return w + 1 + ax_long_words(n);
		}
	}
	return NULL;
}

bool ax_pieces_put_long(struct ax_pieces *p, struct ax_pieces_own *own, const char *s, size_t n, uint64_t hash,
			const uint32_t *id, size_t count)
{
	size_t words = 1 + ax_long_words(n) + count, place;
	uint64_t mine;
	uint32_t *w;

	if (!reserve(p, own, words, &place))
		return refuse(own);
	w = p->store + place;
	w[0] = (uint32_t)(n << 16 | count);
	memcpy(w + 1, s, n);
	memcpy(w + 1 + ax_long_words(n), id, count * sizeof(*id));
	mine = hash >> 32 << 32 | (place + 1);
	for (size_t i = 0; i < MOST_PROBES; i++) {
		uint64_t *at = &p->slot[(hash + i) & (p->n_slot - 1)], there = 0;

		if (__atomic_compare_exchange_n(at, &there, mine, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
			own->n_long++;
			return true;
		}
		if (is_piece(p, there, s, n, hash))
			return true;
	}
	return refuse(own);
}
