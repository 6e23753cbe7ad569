/*
 * The pieces that the threads of one tokenizer have learned, with their ids. Any thread puts entries in, without a lock, and
 * none is ever changed or taken out: what is found is whole and stays. A table that is half full is followed by one four
 * times as large with the same entries; one of the last size that has refused many is followed by an empty one. A thread
 * goes on with its table until it asks for the next; a table that nobody has is gone.
 *
 *	struct ax_share *s = ax_share_new();                       // the tokenizer's; each thread holds it too
 *	p = ax_pieces_take(ax_share_hold(s), NULL);
 *	x = ax_pieces_find(p, key);                                // or ax_pieces_put(...)
 *	ax_pieces_give(s, p);
 *	ax_share_drop(s);                                          // the last one frees
 */
#ifndef AX_TOK_BPE_SHARE_H
#define AX_TOK_BPE_SHARE_H

#include <pthread.h>
#include <stdatomic.h>

#include "tok/bpe.h"

#define AX_BRIEF_IDS  4
#define AX_BRIEF_MANY 5 /* instead of a number: the number, and where they are */

/* A piece of up to 15 bytes; two are a cache line. Its key is read and written as two words, key.b last. */
struct ax_brief {
	struct ax_key key;
	/* with where each ends in the piece from bit AX_BRIEF_END on, and in the first one from bit 24 on how many */
	uint32_t id[AX_BRIEF_IDS];
};

#define AX_BRIEF_END 28

struct ax_pieces {
	struct ax_brief *brief;
	unsigned bits;
	uint64_t *slot; /* longer pieces: hash's high half << 32 | place in the store + 1; 0: free */
	size_t n_slot;
	uint32_t *store;
	size_t store_cap;
	size_t users; /* under the lock of the share, as which table is the current one */
	_Alignas(64) atomic_size_t store_n;
	atomic_size_t n_brief, n_long, n_refused; /* as far as the threads have told */
};

/* What a thread has put into its table: told now and then, for its place in memory is everybody's. */
struct ax_pieces_own {
	size_t n_brief, n_long, n_refused;
	size_t at, end; /* a part of the store */
};

struct ax_share {
	_Atomic(struct ax_pieces *) now;
	atomic_size_t holders;
	pthread_mutex_t lock, growing;
};

struct ax_share *ax_share_new(void); /* NULL: out of memory */
struct ax_share *ax_share_hold(struct ax_share *s);
void ax_share_drop(struct ax_share *s); /* or NULL */
/* The current table, instead of `old` (or NULL). NULL: out of memory, and `old` is still the caller's. */
struct ax_pieces *ax_pieces_take(struct ax_share *s, struct ax_pieces *old);
void ax_pieces_give(struct ax_share *s, struct ax_pieces *p); /* or NULL */
bool ax_pieces_last(const struct ax_pieces *p); /* is it of the last size? */
/* Add what *own counts, and let a table follow p if it is time. */
void ax_pieces_tell(struct ax_share *s, struct ax_pieces *p, struct ax_pieces_own *own);

static inline uint64_t ax_key_hash(struct ax_key k)
{
	return (k.a ^ (k.b << 29 | k.b >> 35)) * UINT64_C(0x9E3779B97F4A7C15);
}

static inline bool ax_key_same(struct ax_key x, struct ax_key y)
{
	return !((x.a ^ y.a) | (x.b ^ y.b));
}

static inline uint32_t ax_brief_slot(struct ax_key k, unsigned bits)
{
	return (uint32_t)(ax_key_hash(k) >> (64 - bits)) & ~(uint32_t)1; /* a pair of entries in one cache line */
}

/* Is this the entry of a key? Its ids may be read then. */
static inline bool ax_brief_is(const struct ax_brief *x, struct ax_key k)
{
	struct ax_key own;

	own.b = __atomic_load_n(&x->key.b, __ATOMIC_ACQUIRE);
	own.a = __atomic_load_n(&x->key.a, __ATOMIC_RELAXED);
	return ax_key_same(own, k);
}

/* The entry of a key in the pair at a slot, or NULL. */
static inline const struct ax_brief *ax_brief_of_pair(const struct ax_brief *table, uint32_t slot, struct ax_key k)
{
	const struct ax_brief *x = &table[slot];

	x += ax_brief_is(x + 1, k);
	return ax_brief_is(x, k) ? x : NULL;
}

/* Only then entries of the pair at a slot may be elsewhere. */
static inline bool ax_brief_pair_full(const struct ax_brief *table, uint32_t slot)
{
	return __atomic_load_n(&table[slot + 1].key.b, __ATOMIC_RELAXED) != 0;
}

/* Where an entry is that found its own pair full: the next cache line. */
static inline uint32_t ax_brief_other(uint32_t slot)
{
	return slot ^ 2;
}

static inline const struct ax_brief *ax_pieces_find(const struct ax_pieces *p, struct ax_key k)
{
	uint32_t slot = ax_brief_slot(k, p->bits);
	const struct ax_brief *x = ax_brief_of_pair(p->brief, slot, k);

	if (x || !ax_brief_pair_full(p->brief, slot))
		return x;
	return ax_brief_of_pair(p->brief, ax_brief_other(slot), k);
}

/*
 * Put an entry in, whose ids are id[0..n) in the store where n > 0: id[1] is set to their place. False: no room; true also
 * where it is there already.
 */
bool ax_pieces_put(struct ax_pieces *p, struct ax_pieces_own *own, struct ax_brief *x, const uint32_t *id, size_t n);
/* The same of longer pieces, by ax_piece_hash. What is found stays. */
const uint32_t *ax_pieces_find_long(const struct ax_pieces *p, const char *s, size_t n, uint64_t hash, size_t *count);
bool ax_pieces_put_long(struct ax_pieces *p, struct ax_pieces_own *own, const char *s, size_t n, uint64_t hash,
			const uint32_t *id, size_t count);

#endif
