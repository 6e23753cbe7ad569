/*
 * What one thread's encoding changes: the arrays of one word (bpe.c), of a batch (bpe_batch.c), and the pieces that the
 * table of all threads (bpe_share.h) has no room for (bpe_cache.c).
 */
#ifndef AX_TOK_BPE_WORK_H
#define AX_TOK_BPE_WORK_H

#include <string.h>

#include "tok/bpe_share.h"

struct heap_item;
struct ax_ranks;
struct ax_words;

/* The symbols of one word: id, where it begins and ends in the word; links for the heap. */
struct ax_words {
	uint32_t *id, *begin, *end, *next, *prev;
	size_t n, cap;
	struct heap_item *heap;
	size_t n_heap, cap_heap;
	struct ax_buf spelled;
	struct ax_ranks *ranks;
};

/* Of n <= 15 bytes, where 16 can be read. */
static inline struct ax_key ax_key_of(const char *p, size_t n)
{
	static const unsigned char keep[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
	struct ax_key k, m;

	memcpy(&k, p, sizeof(k));
	memcpy(&m, keep + 16 - n, sizeof(m));
	k.a &= m.a;
	k.b &= m.b;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	k.b |= n;
#else
	k.b |= (uint64_t)n << 56;
#endif
	return k;
}

/* The same where fewer can be read. */
static inline struct ax_key ax_key_at_end(const char *p, size_t n)
{
	char all[16] = {0};

	memcpy(all, p, n);
	return ax_key_of(all, n);
}

/*
 * Merge the symbols of a long word (bpe_run.c); false: not finished, for lack of memory or of order, with all symbols that
 * are there as far as merged.
 */
bool ax_bpe_merge_run(const struct ax_bpe *m, struct ax_words *w);
void ax_ranks_free(struct ax_ranks *r);

#define AX_QUICK_MAX 48 /* bytes of a word that ax_bpe_quick takes */

/*
 * Encode a word of which every character has a token into id[AX_QUICK_MAX] by merges alone: how many tokens, which lie end
 * to end; 0: it is none.
 */
size_t ax_bpe_quick(const struct ax_bpe *m, const char *p, size_t n, uint32_t *id);
/* The same of many short words, whose waits for memory overlap. */

struct ax_quick {
	const char *p;
	size_t n; /* <= AX_KEY_BYTES */
	size_t count;
	uint32_t id[AX_KEY_BYTES];
};

void ax_bpe_quick_group(const struct ax_bpe *m, struct ax_quick *const *q, size_t n);

/* The functions behind both (bpe_quick_body.h), by instruction set: the best that this processor has, up to `most`. */
struct ax_quick_fns {
	size_t (*one)(const struct ax_bpe *m, const char *p, size_t n, uint32_t *id);
	void (*group)(const struct ax_bpe *m, struct ax_quick *const *q, size_t n);
};

enum ax_quick_isa { AX_QUICK_BASE, AX_QUICK_AVX2, AX_QUICK_AVX512, AX_QUICK_BEST };

const struct ax_quick_fns *ax_quick_fns_of(enum ax_quick_isa most);
extern const struct ax_quick_fns ax_quick_base, ax_quick_avx2, ax_quick_avx512;
/* The token that is the whole piece, or AX_TOK_NONE; k is the key of a short one. Only with m->whole. */
uint32_t ax_bpe_whole(const struct ax_bpe *m, struct ax_words *w, const char *p, size_t n, struct ax_key k);
void ax_bpe_whole_touch(const struct ax_bpe *m, struct ax_key k); /* ask for its memory */
/* The same for any length, from the vocabulary. */
uint32_t ax_bpe_whole_long(const struct ax_bpe *m, struct ax_words *w, const char *p, size_t n);

void ax_words_release(struct ax_words *w);

/* A thread's own longer pieces and their ids (bpe_long.c), where the shared table has no room. Starts from zeros. */
struct ax_long {
	uint64_t *slot; /* hash's high half << 32 | place in the store + 1; 0: free */
	size_t n_slot, n;
	uint32_t *store;
	size_t store_n, store_cap;
	uint32_t emptied; /* how often both were */
};

uint64_t ax_piece_hash(const char *p, size_t n);

/* In a store: bytes << 16 | ids, then the bytes, filled up to so many words, then the ids. */
static inline size_t ax_long_words(size_t n)
{
	return (n + 3) / 4;
}

/* The ids of a piece, valid until the next put; NULL: not there. */
const uint32_t *ax_long_find(const struct ax_long *c, const char *p, size_t n, size_t *count);
/* Put in a piece that is not there; may do nothing. */
void ax_long_put(struct ax_long *c, const char *p, size_t n, const uint32_t *id, size_t count);
/* Keep ids alone, at c->store + *place until c->emptied changes; false: no memory. */
bool ax_long_keep(struct ax_long *c, const uint32_t *id, size_t count, uint32_t *place);
void ax_long_release(struct ax_long *c);

/* How many ids an entry has. */
static inline uint32_t ax_brief_n(const struct ax_brief *x)
{
	return x->id[0] >> 24 & 15;
}

#define AX_OWN_BITS 15 /* of the thread's own table: 1 MiB */

#define AX_BATCH AX_LIST_MAX /* pieces that are looked up together */

struct ax_bpe_work {
	struct ax_share *share;
	struct ax_pieces *pieces;     /* changes between batches only */
	struct ax_pieces_own in_pieces; /* what of them is ours */
	const struct ax_brief *brief; /* pieces' */
	unsigned brief_bits;
	/*
	 * The thread's own entries, where the shared table has no room: the newest replace older ones. NULL: none yet. One with
	 * AX_BRIEF_MANY has its ids in `lengthy`, and in id[2] when that was, + 1; 0: in the shared store.
	 */
	struct ax_brief *own;
	struct ax_long lengthy;
	struct ax_words words;
	/* of a batch: keys, entries that may hold them, which pieces are in none, what these become, and their keys */
	struct ax_key key[AX_BATCH];
	uint32_t slot[AX_BATCH];
	uint16_t miss[AX_BATCH], fresh_of[AX_BATCH];
	struct ax_quick fresh[AX_BATCH];
	struct ax_key fresh_key[AX_BATCH];
	struct ax_quick *to_merge[AX_BATCH];
	uint16_t seen[AX_BATCH]; /* the last fresh piece of a hash, + 1 */
};

/* The entry of a key, or NULL: in the thread's own table; in any. */
static inline const struct ax_brief *ax_brief_find_own(const struct ax_bpe_work *w, struct ax_key k)
{
	return w->own ? ax_brief_of_pair(w->own, ax_brief_slot(k, AX_OWN_BITS), k) : NULL;
}

static inline void ax_brief_touch_own(const struct ax_bpe_work *w, struct ax_key k)
{
	if (w->own)
		__builtin_prefetch(&w->own[ax_brief_slot(k, AX_OWN_BITS)]);
}

const struct ax_brief *ax_brief_find(const struct ax_bpe_work *w, struct ax_key k);
void ax_brief_put(const struct ax_bpe *m, struct ax_bpe_work *w, struct ax_key k, const uint32_t *id, size_t n);
/* A piece that has its token, whatever its bytes are: a key that no bytes have. It can be put where n <= AX_KEY_BYTES. */
struct ax_key ax_key_of_token(uint32_t id, size_t n);
bool ax_key_is_token(struct ax_key k);
void ax_brief_put_token(struct ax_bpe_work *w, struct ax_key k);
void ax_brief_refresh(struct ax_bpe_work *w); /* between batches: the shared table as it is now */
/* Ids of an entry with AX_BRIEF_MANY; NULL: they are gone. */
const uint32_t *ax_brief_many(const struct ax_bpe_work *w, const struct ax_brief *x, size_t *n);

/* Append ids, which lie end to end. */
int ax_bpe_emit(const struct ax_bpe *m, const uint32_t *id, size_t n, bool offsets, uint32_t base, struct ax_ids *out,
		struct ax_err *e);
void ax_bpe_put_offsets(const struct ax_bpe *m, struct ax_ids *out, size_t from, uint32_t base);
/* Encode a piece that no entry holds; n <= AX_KEY_BYTES: k is its key. */
int ax_bpe_encode_other(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, struct ax_key k, size_t n,
			bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e);

/* Encode p[0..n) into w's arrays, by merges alone: what ignore_merges asks first is not asked. */
int ax_bpe_merges(const struct ax_bpe *m, struct ax_words *w, const char *p, size_t n, struct ax_err *e);

#endif
