/*
 * Short words at speed (bpe_quick_body.h): the table of pairs of first symbols by their bytes; and for ignore_merges a table of
 * the vocabulary's short strings by their bytes.
 */
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/bpe_work.h"

/* --- whole words --- */

static inline size_t whole_slot(const struct ax_bpe *m, struct ax_key k)
{
	return (size_t)(ax_key_hash(k) >> m->whole_shift);
}

#define FILTER_BITS 16
#define MAX_RAW	    1024
#define LATER	    32

/* The bytes that a string of the vocabulary stands for: how many; 0: none, or more than MAX_RAW. */
static size_t raw_bytes(const struct ax_bpe *m, const struct ax_vocab_str *s, char *raw)
{
	const unsigned char *p = (const unsigned char *)m->vocab.text + s->off;
	size_t n = 0, len;

	for (size_t i = 0; i < s->n; i += len) {
		int c = p[i];

		len = 1;
		if (m->byte_level && (c <= ' ' || c >= 0x7F)) /* the rest is spelled as it is */
			c = ax_byte_of_char(ax_utf8_get(p + i, &len));
		if (c < 0 || n == MAX_RAW)
			return 0;
		raw[n++] = (char)c;
	}
	return n;
}

static void add_whole(struct ax_bpe *m, struct ax_key k, uint32_t id)
{
	size_t i = whole_slot(m, k);

	while (m->whole[i].key.b)
		i = (i + 1) & m->whole_mask;
	m->whole[i] = (struct ax_whole){k, id};
}

static uint64_t *filter_word(const struct ax_bpe *m, uint64_t h)
{
	return &m->whole_long[(h >> 6) & ((1u << (FILTER_BITS - 6)) - 1)];
}

/* Enter what waits for its slots. */
static void add_wholes(struct ax_bpe *m, const struct ax_whole *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_whole(m, w[i].key, w[i].id);
}

static int build_whole(struct ax_bpe *m, struct ax_err *e)
{
	struct ax_whole later[LATER];
	char raw[MAX_RAW + 16];
	size_t slots = 64, n_later = 0;
	unsigned bits = 6;

	for (; slots < m->vocab.n * 2; slots *= 2)
		bits++;
	m->whole = ax_calloc_huge(slots, sizeof(*m->whole));
	m->whole_long = ax_calloc((size_t)1 << (FILTER_BITS - 6), sizeof(*m->whole_long));
	if (!m->whole || !m->whole_long)
		return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
	m->whole_mask = slots - 1;
	m->whole_shift = 64 - bits;
	for (uint32_t id = 0; id < m->vocab.id_end; id++) {
		const struct ax_vocab_str *s = &m->vocab.str[id];
		size_t n = s->n == UINT32_MAX ? 0 : raw_bytes(m, s, raw);
		uint64_t h;

		if (s->n == UINT32_MAX || (m->vocab.moved && ax_vocab_find(&m->vocab, m->vocab.text + s->off, s->n) != id))
			continue;
		if (n && n <= AX_KEY_BYTES) {
			later[n_later] = (struct ax_whole){ax_key_at_end(raw, n), id};
			ax_bpe_whole_touch(m, later[n_later].key);
			if (++n_later == LATER) {
				add_wholes(m, later, n_later);
				n_later = 0;
			}
		} else if (n) {
			h = ax_piece_hash(raw, n);
			*filter_word(m, h) |= UINT64_C(1) << (h & 63);
		} else if (s->n) { /* too long to say */
			memset(m->whole_long, 0xFF, ((size_t)1 << (FILTER_BITS - 6)) * sizeof(*m->whole_long));
		}
	}
	add_wholes(m, later, n_later);
	return 0;
}

uint32_t ax_bpe_whole(const struct ax_bpe *m, struct ax_words *w, const char *p, size_t n, struct ax_key k)
{
	uint64_t h;

	if (n > AX_KEY_BYTES) {
		h = ax_piece_hash(p, n);
		return *filter_word(m, h) >> (h & 63) & 1 ? ax_bpe_whole_long(m, w, p, n) : AX_TOK_NONE;
	}
	for (size_t i = whole_slot(m, k); m->whole[i].key.b; i = (i + 1) & m->whole_mask)
		if (ax_key_same(m->whole[i].key, k))
			return m->whole[i].id;
	return AX_TOK_NONE;
}

void ax_bpe_whole_touch(const struct ax_bpe *m, struct ax_key k)
{
	__builtin_prefetch(&m->whole[whole_slot(m, k)]);
}

/* --- merges --- */

static int build_pairs(struct ax_bpe *m, struct ax_err *e)
{
	unsigned end = m->byte_level ? 256 : 128;

	m->pair = ax_malloc((size_t)256 * 256 * sizeof(*m->pair));
	if (!m->pair)
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	memset(m->pair, 0xFF, (size_t)256 * 256 * sizeof(*m->pair));
	for (unsigned x = 0; x < end; x++)
		for (unsigned y = 0; y < end; y++) {
			const struct ax_merge *g = ax_bpe_merge(m, m->byte_id[x], m->byte_id[y]);

			if (g && m->byte_id[x] != AX_TOK_NONE)
				m->pair[x << 8 | y] = g->rank;
		}
	return 0;
}

int ax_bpe_build_quick(struct ax_bpe *m, struct ax_err *e)
{
	if (m->ignore_merges)
		AX_TRY(build_whole(m, e));
	if (m->prefix || m->suffix || m->vocab.id_end > AX_TAG_ID)
		return 0;
	m->quick = ax_quick_fns_of(AX_QUICK_BEST);
	return build_pairs(m, e);
}

const struct ax_quick_fns *ax_quick_fns_of(enum ax_quick_isa most)
{
#if defined(__x86_64__)
	if (most >= AX_QUICK_AVX512 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2"))
		return &ax_quick_avx512;
	if (most >= AX_QUICK_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
		return &ax_quick_avx2;
#endif
	return &ax_quick_base;
}

size_t ax_bpe_quick(const struct ax_bpe *m, const char *p, size_t n, uint32_t *id)
{
	return m->quick && n <= AX_QUICK_MAX ? m->quick->one(m, p, n, id) : 0;
}

void ax_bpe_quick_group(const struct ax_bpe *m, struct ax_quick *const *q, size_t n)
{
	for (size_t i = 0; i < n; i++)
		q[i]->count = 0;
	if (m->quick)
		m->quick->group(m, q, n);
}

