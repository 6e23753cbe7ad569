/*
 * Byte-pair encoding of one pre-token, with merges by rank as Hugging Face applies them.
 *
 * Two kinds of model share the code. Byte-level: the tokenizer.json spells bytes as printable characters; the text given
 * here is raw bytes and each byte is a first symbol. Character-level (SentencePiece style, or byte-level where something
 * works on the spelled form): each character is a first symbol, unknown ones become <0xNN> tokens, the unknown token, or
 * nothing.
 *
 * struct ax_bpe is built once and immutable, but for the table of pieces that its threads share; struct ax_bpe_work is
 * one thread's arrays, and the pieces that the shared table has no room for.
 */
#ifndef AX_TOK_BPE_H
#define AX_TOK_BPE_H

#include "tok/tokenizer.h"
#include "tok/tokenizer_scan.h"

/* Strings with ids; open addressing on the hash of the string. */
struct ax_vocab {
	char *text;        /* all strings, one after the other */
	size_t text_n, text_cap;
	struct ax_vocab_str {
		uint32_t off, n; /* n == UINT32_MAX: no string with this id */
	} *str;            /* by id */
	uint32_t id_end, str_cap;
	uint64_t *slot;    /* hash's high half << 32 | id + 1; 0: free */
	size_t n_slot;     /* a power of two */
	size_t n;          /* strings */
	bool moved;        /* a string came with a second id: str[] of the first still names it */
};

int ax_vocab_init(struct ax_vocab *v, size_t expect, struct ax_err *e);
void ax_vocab_release(struct ax_vocab *v);
/* A known string moves to the new id (the last one of a JSON object counts). */
int ax_vocab_add(struct ax_vocab *v, const char *p, size_t n, uint32_t id, struct ax_err *e);
/* From {"string": id, ...} at *s; what was there is forgotten. */
int ax_vocab_read(struct ax_vocab *v, struct ax_scan *s, struct ax_err *e);
uint32_t ax_vocab_find(const struct ax_vocab *v, const char *p, size_t n); /* AX_TOK_NONE: absent */
/*
 * The same in steps, so that many look-ups can wait for memory at once: the hash; touch its slot; touch what the slot
 * names, and then its string; find.
 */
uint64_t ax_vocab_hash(const char *p, size_t n);
void ax_vocab_touch(const struct ax_vocab *v, uint64_t hash, int step);
uint32_t ax_vocab_find_hashed(const struct ax_vocab *v, const char *p, size_t n, uint64_t hash);

/* Up to 15 bytes, zeros, and their number in the last byte: how tables of short pieces know them. */
#define AX_KEY_BYTES 15

struct ax_key {
	uint64_t a, b;
};

struct ax_whole {
	struct ax_key key; /* key.b == 0: a free slot */
	uint32_t id;
};

struct ax_merge {
	uint32_t left, right; /* left == AX_TOK_NONE: the pair is listed again with a later rank */
	uint32_t rank, id;
};

/* Of byte-level models: what the merges do with a character as a whole. */
struct ax_char {
	uint32_t id;   /* the token that its bytes become, + 1; 0: several */
	uint32_t late; /* the highest rank of the merges that make it: where one of a higher rank is due, it is whole */
	uint32_t left; /* the lowest rank of a merge of a text that ends with it and a part of a character, + 1; 0: none */
	uint32_t right; /* of a part of a character and a text that begins with it */
};

#define AX_CHARS ((uint32_t)1 << 16) /* only characters below this have an entry */

struct ax_share;

struct ax_bpe {
	struct ax_vocab vocab;
	struct ax_merge *merge; /* by rank */
	uint32_t *made;		/* their ids alone, by rank */
	/*
	 * Buckets of AX_BUCKET, a cache line each, filled from their begin; what finds one full goes into the next. The pair's
	 * tag << AX_RANK_BITS | rank + 1; 0: free.
	 */
	uint64_t *merge_slot;
	size_t n_merge, n_bucket;

	bool byte_level;      /* text is raw bytes */
	bool byte_fallback, fuse_unk, ignore_merges;
	char *prefix, *suffix; /* NULL where empty */
	char *unk_token;       /* NULL: none */
	uint32_t unk;          /* its id; AX_TOK_NONE if it is not in the vocabulary */
	uint32_t byte_id[256]; /* byte-level: first symbol of a byte; else ASCII character; AX_TOK_NONE: none */
	uint32_t fallback[256]; /* id of <0xNN> */
	bool no_unknown;        /* every character has a token or <0xNN> tokens */
	uint64_t *chars;       /* other one-character strings: code point << 32 | id + 1 */
	size_t n_char_slot;
	uint32_t longest;      /* bytes of the longest string, as it stands in the text */
	uint16_t *len;         /* bytes of text by id, 65535: longer */

	/*
	 * A piece may be cut between two characters that no merge joins, and its parts encoded on their own: `joins` is a
	 * filter of the pairs (last character of a merge's left side, first of its right side); a clear bit is certain.
	 */
	uint64_t *joins; /* NULL: never cut */
	unsigned char *ascii_cut; /* with joins: may be cut between ASCII characters x and y, by x << 7 | y */
	uint64_t *byte_joins; /* byte-level: the same, of characters and parts of them */
	struct ax_char *by_char; /* with byte_joins, as the next two: where a side is part of a character */
	uint64_t *has_left, *has_right; /* sets of the characters with a left, or a right, in by_char */
	uint64_t *meets;	 /* which two bytes meet where both are */
	struct ax_part {
		uint32_t x, y;
		uint32_t rank; /* the lowest of such merges, + 1; 0: a free slot */
	} *part;
	size_t n_part_slot; /* a power of two */

	/*
	 * For words at speed: the rank of two symbols of one byte by their bytes, UINT32_MAX where they do not merge; and
	 * for ignore_merges the strings of up to 15 bytes of text.
	 */
	uint32_t *pair;
	const struct ax_quick_fns *quick; /* NULL: no such words */
	struct ax_whole *whole;
	size_t whole_mask;
	unsigned whole_shift;
	uint64_t *whole_long; /* a filter of the longer ones: a clear bit of ax_piece_hash is certain */
	char spell[256][2]; /* byte-level: a byte as the vocabulary writes it; one byte where the second is NUL */
	struct ax_share *share; /* what its threads have learned (bpe_share.h) */
	bool spaces; /* a space in the text is the model's ▁; so `len` counts ▁ as one byte */
};

/* What reading leaves for finishing: the merges in the order of their ranks, and parts of the text to read again. */
struct ax_bpe_raw {
	struct ax_merge *merge;
	size_t n, cap;
	const char *start; /* of the file, for offsets in messages; set by the caller */
	struct ax_slice vocab, merges;
	bool has_vocab, again;
};

/*
 * Read the value of "model" at *s; then, when it is known how pieces will come, finish. The text must live until then.
 * Start from zeroed structs; release both in any case.
 */
int ax_bpe_read(struct ax_bpe *m, struct ax_bpe_raw *raw, struct ax_scan *s, struct ax_err *e);
/* spaces: the text can be given before spaces become ▁; m->spaces says whether it then must. */
int ax_bpe_finish(struct ax_bpe *m, struct ax_bpe_raw *raw, bool byte_level, bool spaces, struct ax_err *e);
void ax_bpe_raw_release(struct ax_bpe_raw *raw);
/* Parts of these two: the list of merges, and the table of them. */
int ax_bpe_read_merges(const struct ax_bpe *m, struct ax_bpe_raw *raw, struct ax_scan *s, struct ax_err *e);
int ax_bpe_build_merges(struct ax_bpe *m, const struct ax_bpe_raw *raw, struct ax_err *e);
/* Of finishing the last parts. */
int ax_bpe_build_cuts(struct ax_bpe *m, struct ax_err *e);
int ax_bpe_build_byte_cuts(struct ax_bpe *m, struct ax_err *e);
void ax_bpe_build_chars(struct ax_bpe *m);
int ax_bpe_build_quick(struct ax_bpe *m, struct ax_err *e);
void ax_bpe_release(struct ax_bpe *m);

/* The byte that a character of the byte-level spelling stands for, or -1; and the other way round. */
int ax_byte_of_char(uint32_t c);
uint32_t ax_char_of_byte(unsigned char b);

struct ax_bpe_work;

struct ax_bpe_work *ax_bpe_work_new(const struct ax_bpe *m); /* NULL: out of memory */
void ax_bpe_work_free(struct ax_bpe_work *w);

/*
 * Append the tokens of p[0..n) to *out. Where `offsets`, begin and end are set in bytes from p, plus `base`: ascending,
 * with gaps only where characters were dropped. AX_EDATA: an unknown character, and the unknown token is not in the vocabulary.
 */
int ax_bpe_encode(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, bool offsets, uint32_t base,
		  struct ax_ids *out, struct ax_err *e);

/* The same for pieces [at[0], at[1]), ..., [at[k - 1], at[k]) of p[0..n), which are not cut further; byte i of p is base + i. */
int ax_bpe_encode_pieces(const struct ax_bpe *m, struct ax_bpe_work *w, const char *p, size_t n, const uint32_t *at,
			 size_t k, bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e);

#define AX_LIST_MAX 1024

/* A list of pieces for many calls in one; some of them are no text for the model but have their token. */
struct ax_bpe_list {
	const char *p;
	size_t n;
	const uint32_t *at; /* as above */
	size_t k;
	const struct ax_bpe_token {
		uint32_t i, id; /* piece i is the token id */
	} *token; /* ascending by i; of up to AX_LIST_MAX pieces */
	size_t n_token;
	uint32_t base;
	struct ax_tok_marks *marks; /* of the text at p, or NULL; only without ranges */
};

int ax_bpe_encode_list(const struct ax_bpe *m, struct ax_bpe_work *w, const struct ax_bpe_list *l, bool offsets,
		       struct ax_ids *out, struct ax_err *e);

/*
 * With m->joins: cut p[0..n) from *i, the begin of a piece, on into at least one and about max pieces [at[0], at[1]), ...,
 * [at[k - 1], at[k]); *i moves to the end of the last. Returns k, 0 only at the end. at has max + 16 entries.
 */
size_t ax_bpe_cut(const struct ax_bpe *m, const char *p, size_t n, size_t *i, uint32_t *at, size_t max);

/*
 * With m->byte_joins: the first place behind i where p[0..n) may be cut, n if there is none. ASCII is not cut, and what
 * ignore_merges looks for whole must have been looked for. i begins a character.
 */
size_t ax_bpe_byte_cut(const struct ax_bpe *m, const char *p, size_t i, size_t n);

/*
 * All such places: p[i..n) in at least one and at most max parts that begin at at[0], ...; *end is the end of the last. at
 * has max + 1 entries. Returns how many.
 */
size_t ax_bpe_byte_cuts(const struct ax_bpe *m, const char *p, size_t i, size_t n, uint32_t *at, size_t max, size_t *end);

/*
 * With m->byte_joins, for character x, the a bytes before p[0], and y, the b bytes at p[0], both with an entry and a token:
 * is there a merge with a part of one of them before both are whole? Where there is none between any two characters of a
 * piece, each becomes whole by its own merges. It says nothing of two characters of which one may be torn at its other
 * side, so it is none of a cut's questions.
 */
bool ax_bpe_parts_due(const struct ax_bpe *m, const unsigned char *p, uint32_t x, size_t a, uint32_t y, size_t b);

/* Room for n more entries. */
int ax_ids_reserve(struct ax_ids *ids, size_t n, bool offsets, struct ax_err *e);

static inline uint64_t ax_bpe_pair_hash(uint32_t left, uint32_t right)
{
	return ((uint64_t)left << 32 | right) * UINT64_C(0x9E3779B97F4A7C15);
}

#define AX_BUCKET 8

/* The bucket where the search for a pair starts. */
static inline uint64_t *ax_bpe_bucket(const struct ax_bpe *m, uint64_t hash)
{
	return &m->merge_slot[((hash >> 32) * m->n_bucket >> 32) * AX_BUCKET];
}

static inline uint64_t *ax_bpe_next_bucket(const struct ax_bpe *m, const uint64_t *b)
{
	size_t next = (size_t)(b - m->merge_slot) + AX_BUCKET;

	return m->merge_slot + (next < m->n_bucket * AX_BUCKET ? next : 0);
}

#define AX_RANK_BITS 22 /* more merges are refused at load */
#define AX_TAG_ID    ((uint32_t)1 << 21) /* ids below this give each pair a tag of its own */

static inline uint64_t ax_bpe_pair_tag(uint32_t left, uint32_t right)
{
	return ((uint64_t)left << 21 ^ right) & (((uint64_t)1 << (64 - AX_RANK_BITS)) - 1);
}

static inline uint32_t ax_bpe_slot_rank(uint64_t slot)
{
	return (uint32_t)(slot & (((uint64_t)1 << AX_RANK_BITS) - 1)) - 1;
}

/* The merge of a pair, or NULL. */
static inline const struct ax_merge *ax_bpe_merge(const struct ax_bpe *m, uint32_t left, uint32_t right)
{
	uint64_t tag = ax_bpe_pair_tag(left, right);
	uint64_t *b = ax_bpe_bucket(m, ax_bpe_pair_hash(left, right));

	for (;; b = ax_bpe_next_bucket(m, b))
		for (size_t i = 0; i < AX_BUCKET; i++) {
			const struct ax_merge *g;

			if (!b[i])
				return NULL;
			if (b[i] >> AX_RANK_BITS != tag)
				continue;
			g = &m->merge[ax_bpe_slot_rank(b[i])];
			if (g->left == left && g->right == right)
				return g;
		}
}

/* The rank of a pair, UINT32_MAX: none, by the tag alone: for ids below AX_TAG_ID. All of a bucket is looked at, for no branch. */
static inline uint32_t ax_bpe_rank(const struct ax_bpe *m, uint32_t left, uint32_t right)
{
	uint64_t tag = ax_bpe_pair_tag(left, right), found = 0;
	uint64_t *b = ax_bpe_bucket(m, ax_bpe_pair_hash(left, right));

	for (;; b = ax_bpe_next_bucket(m, b)) {
		for (size_t i = 0; i < AX_BUCKET; i++)
			found |= b[i] >> AX_RANK_BITS == tag ? b[i] : 0;
		if (__builtin_expect(found || !b[AX_BUCKET - 1], 1))
			return ax_bpe_slot_rank(found);
	}
}

/* Ask for the memory of a search to come. */
static inline void ax_bpe_merge_touch(const struct ax_bpe *m, uint32_t left, uint32_t right)
{
	__builtin_prefetch(ax_bpe_bucket(m, ax_bpe_pair_hash(left, right)));
}

/* Id of the string of one character, or AX_TOK_NONE; not of byte-level models. */
static inline uint32_t ax_bpe_char(const struct ax_bpe *m, uint32_t c)
{
	if (c < 128)
		return m->byte_id[c];
	for (size_t i = c * 0x9E3779B1u & (m->n_char_slot - 1); m->chars[i]; i = (i + 1) & (m->n_char_slot - 1))
		if (m->chars[i] >> 32 == c)
			return (uint32_t)m->chars[i] - 1;
	return AX_TOK_NONE;
}

/* May a merge join character x with character y that follows it? False is certain. */
static inline bool ax_bpe_joins(const struct ax_bpe *m, uint32_t x, uint32_t y)
{
	uint64_t h = ((uint64_t)x << 32 | y) * UINT64_C(0xD6E8FEB86659FD93);

	return m->joins[h >> 50] >> (h >> 44 & 63) & 1;
}

#endif
