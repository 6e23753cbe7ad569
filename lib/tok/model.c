#include "tok/model.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "text/unicode.h"

#define PIECE_BYTES 24
#define PIECE_IDS   7
#define PIECE_BITS  15 /* of the number of entries, in pairs */

/* A short piece, and the tokens that it gives where they lie side by side: a cache line. */
struct ax_piece {
	uint64_t key[3]; /* the bytes, each once at least: with n they say all */
	uint32_t id[PIECE_IDS];
	uint8_t end[PIECE_IDS];
	uint8_t n, n_id; /* n == 0: free */
};

_Static_assert(sizeof(struct ax_piece) == 64, "two of them beside each other are fetched at once");

static int check_kind(struct ax_slice v, enum ax_model_kind *kind, struct ax_err *e)
{
	static const char *const name[] = {"\"BPE\"", "\"WordPiece\"", "\"WordLevel\"", "\"Unigram\""};

	for (int i = 0; i < 4; i++)
		if (ax_slice_is(v, name[i])) {
			*kind = (enum ax_model_kind)i;
			return 0;
		}
	return ax_fail(e, AX_EDATA, "model of type %.*s is not supported; BPE, Unigram, WordPiece and WordLevel are",
		       (int)(v.n < 40 ? v.n : 40), v.p);
}

/* The model's type; where an old file does not say it, the first of BPE, WordPiece, WordLevel, Unigram that fits. */
static int find_kind(struct ax_scan s, enum ax_model_kind *kind, struct ax_err *e)
{
	static const char *const names[] = {"merges", "unk_token", "continuing_subword_prefix",
					    "max_input_chars_per_word"};
	struct ax_buf b = AX_BUF_INIT;
	struct ax_slice key, v;
	bool more, list = false;
	unsigned has = 0;
	int rc;

	AX_GOTO(ax_scan_open(&s, '{', &more, e));
	while (more) {
		AX_GOTO(ax_scan_key(&s, &key, &b, e));
		AX_GOTO(ax_scan_skip(&s, &v, e));
		if (ax_slice_is(key, "type")) {
			rc = check_kind(v, kind, e);
			goto out;
		}
		for (unsigned i = 0; i < 4; i++)
			has |= (unsigned)ax_slice_is(key, names[i]) << i;
		if (ax_slice_is(key, "vocab"))
			list = v.p[0] == '[';
		AX_GOTO(ax_scan_next(&s, '}', &more, e));
	}
	*kind = list	     ? AX_MODEL_UNIGRAM
		: has & 1    ? AX_MODEL_BPE
		: has == 14  ? AX_MODEL_WORDPIECE
		: has & 2    ? AX_MODEL_WORDLEVEL
			     : AX_MODEL_BPE; /* which says what is missing */
out:
	ax_buf_release(&b);
	return rc;
}

int ax_model_read(struct ax_model *m, struct ax_model_raw *raw, struct ax_scan *s, struct ax_err *e)
{
	AX_TRY(find_kind(*s, &m->kind, e));
	raw->bpe.start = raw->start;
	m->words.whole = m->kind == AX_MODEL_WORDLEVEL;
	switch (m->kind) {
	case AX_MODEL_BPE:
		return ax_bpe_read(&m->bpe, &raw->bpe, s, e);
	case AX_MODEL_UNIGRAM:
		return ax_unigram_read(&m->unigram, s, e);
	default:
		return ax_wordpiece_read(&m->words, s, e);
	}
}

int ax_model_finish(struct ax_model *m, struct ax_model_raw *raw, bool byte_level, bool spaces, struct ax_err *e)
{
	return m->kind == AX_MODEL_BPE ? ax_bpe_finish(&m->bpe, &raw->bpe, byte_level, spaces, e) : 0;
}

void ax_model_raw_release(struct ax_model_raw *raw)
{
	ax_bpe_raw_release(&raw->bpe);
}

void ax_model_release(struct ax_model *m)
{
	ax_bpe_release(&m->bpe);
	ax_wordpiece_release(&m->words);
	ax_unigram_release(&m->unigram);
}

size_t ax_model_size(const struct ax_model *m)
{
	return m->kind == AX_MODEL_UNIGRAM ? m->unigram.n : ax_model_vocab(m)->n;
}

uint32_t ax_model_unk(const struct ax_model *m)
{
	if (m->kind == AX_MODEL_UNIGRAM)
		return m->unigram.has_unk ? m->unigram.unk : AX_TOK_NONE;
	return m->kind == AX_MODEL_BPE ? m->bpe.unk : m->words.unk;
}

int ax_model_byte(const struct ax_model *m, uint32_t id)
{
	bool unigram = m->kind == AX_MODEL_UNIGRAM;
	const uint32_t *list = unigram ? m->unigram.fallback : m->bpe.fallback;

	if (!(unigram ? m->unigram.byte_fallback : m->kind == AX_MODEL_BPE && m->bpe.byte_fallback))
		return -1;
	for (int c = 0; c < 256; c++)
		if (list[c] == id)
			return c;
	return -1;
}

const char *ax_model_inside_prefix(const struct ax_model *m, size_t *n)
{
	*n = m->kind == AX_MODEL_WORDPIECE ? m->words.prefix_n : 0;
	return m->words.prefix;
}

/* BPE: by a merge, or by looking the whole piece up. */
static bool merges_make(const struct ax_bpe *m, uint32_t id, const char *p, size_t n)
{
	const struct ax_vocab *v = &m->vocab;
	size_t len;

	if (m->ignore_merges || m->prefix || m->suffix) /* with affixes: not looked into, so presumed */
		return true;
	ax_utf8_get((const unsigned char *)p, &len);
	for (size_t i = len; i < n; i += len) {
		uint32_t left = ax_vocab_find(v, p, i), right = ax_vocab_find(v, p + i, n - i);
		const struct ax_merge *g = left == AX_TOK_NONE || right == AX_TOK_NONE ? NULL : ax_bpe_merge(m, left, right);

		if (g && g->id == id)
			return true;
		ax_utf8_get((const unsigned char *)p + i, &len);
	}
	return false;
}

bool ax_model_makes(const struct ax_model *m, uint32_t id)
{
	const struct ax_vocab *v = ax_model_vocab(m);
	const char *p;
	size_t n, len;

	if (id >= v->id_end || v->str[id].n == UINT32_MAX || v->str[id].n == 0)
		return false;
	p = v->text + v->str[id].off;
	n = v->str[id].n;
	ax_utf8_get((const unsigned char *)p, &len);
	if (len >= n)
		return false;
	return m->kind == AX_MODEL_BPE ? merges_make(&m->bpe, id, p, n) : true;
}

static void add_text(struct ax_buf *b, const char *p, size_t n)
{
	ax_buf_add_u64(b, n);
	ax_buf_add(b, p ? p : "", n);
}

static void describe_bpe(const struct ax_bpe *m, struct ax_buf *b)
{
	ax_buf_addf(b, "%d%d%d;", m->byte_fallback, m->fuse_unk, m->ignore_merges);
	add_text(b, m->prefix, m->prefix ? strlen(m->prefix) : 0);
	add_text(b, m->suffix, m->suffix ? strlen(m->suffix) : 0);
	add_text(b, m->unk_token, m->unk_token ? strlen(m->unk_token) : 0);
}

void ax_model_describe(const struct ax_model *m, struct ax_buf *b)
{
	const struct ax_vocab *v = ax_model_vocab(m);

	if (m->kind == AX_MODEL_BPE) {
		describe_bpe(&m->bpe, b);
	} else if (m->kind == AX_MODEL_UNIGRAM) {
		ax_buf_addf(b, "unigram %d %u;", m->unigram.byte_fallback, ax_model_unk(m));
		for (size_t i = 0; i < m->unigram.n; i++) {
			float score = (float)m->unigram.score[i]; /* as SentencePiece has it: readers differ in last bits */
			uint32_t bits;

			memcpy(&bits, &score, sizeof(bits));
			ax_buf_add_u32(b, bits);
		}
	} else {
		ax_buf_addf(b, "words %d %u %zu;", m->words.whole, m->words.unk, m->words.max_chars);
		add_text(b, m->words.prefix, m->words.prefix_n);
	}
	for (uint32_t id = 0; id < v->id_end; id++)
		if (v->str[id].n != UINT32_MAX) {
			ax_buf_add_u32(b, id);
			add_text(b, v->text + v->str[id].off, v->str[id].n);
		}
}

struct ax_model_work *ax_model_work_new(const struct ax_model *m)
{
	struct ax_model_work *w = ax_calloc(1, sizeof(*w));
	bool ok = w != NULL;

	if (ok && m->kind == AX_MODEL_BPE)
		ok = (w->bpe = ax_bpe_work_new(&m->bpe)) != NULL;
	if (ok && m->kind == AX_MODEL_UNIGRAM)
		ok = !ax_unigram_work_init(&w->unigram, &m->unigram, NULL);
	if (ok && (m->kind == AX_MODEL_UNIGRAM || m->kind == AX_MODEL_WORDPIECE))
		ok = (w->piece = ax_calloc_huge((size_t)1 << PIECE_BITS, sizeof(*w->piece))) != NULL;
	if (ok)
		return w;
	ax_model_work_free(w);
	return NULL;
}

void ax_model_work_free(struct ax_model_work *w)
{
	if (!w)
		return;
	ax_bpe_work_free(w->bpe);
	ax_unigram_work_release(&w->unigram);
	ax_free(w->piece);
	ax_free(w);
}

static int encode_fresh(const struct ax_model *m, struct ax_model_work *w, const char *p, size_t n, bool offsets,
			uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	return m->kind == AX_MODEL_UNIGRAM ? ax_unigram_encode(&m->unigram, &w->unigram, p, n, offsets, base, out, e)
					   : ax_wordpiece_encode(&m->words, p, n, offsets, base, out, e);
}

static uint64_t load(const char *p, size_t n)
{
	uint64_t x = 0;

	memcpy(&x, p, n);
	return x;
}

/* The key of n <= PIECE_BYTES bytes. */
static inline void key_of(uint64_t key[3], const char *p, size_t n)
{
	if (n >= 8) {
		key[0] = load(p, 8);
		key[1] = load(p + n - 8, 8);
		key[2] = n > 16 ? load(p + 8, 8) : 0;
	} else {
		key[0] = n >= 4 ? load(p, 4) | load(p + n - 4, 4) << 32 : load(p, 1) | load(p + n / 2, 1) << 8 | load(p + n - 1, 1) << 16;
		key[1] = key[2] = 0;
	}
}

/* The first of the two entries where a piece may be. */
static inline struct ax_piece *pair_of(const struct ax_model_work *w, const uint64_t key[3], size_t n)
{
	uint64_t h = (key[0] ^ (uint64_t)n << 56) * UINT64_C(0x9E3779B97F4A7C15);

	h = ((h ^ h >> 32) + key[1] + (key[2] << 29 | key[2] >> 35)) * UINT64_C(0xD6E8FEB86659FD93);
	return &w->piece[(h >> (64 - PIECE_BITS)) & ~(uint64_t)1];
}

static inline bool holds(const struct ax_piece *x, const uint64_t key[3], size_t n)
{
	return !((x->key[0] ^ key[0]) | (x->key[1] ^ key[1]) | (x->key[2] ^ key[2]) | (x->n ^ n));
}

/* Keep what a piece gave, out->id[from..), if it fits and its ranges tile the piece; they are known only with offsets. */
static void keep(struct ax_piece *pair, const uint64_t key[3], size_t n, uint32_t base, const struct ax_ids *out, size_t from)
{
	size_t n_id = out->n - from, end = 0;
	struct ax_piece x = {.key = {key[0], key[1], key[2]}, .n = (uint8_t)n, .n_id = (uint8_t)n_id};

	if (n_id > PIECE_IDS)
		return;
	for (size_t i = 0; i < n_id; i++) {
		if (out->begin[from + i] - base != end)
			return;
		end = out->end[from + i] - base;
		x.end[i] = (uint8_t)end;
		x.id[i] = out->id[from + i];
	}
	pair[1] = pair[0]; /* the newest comes first */
	pair[0] = x;
}

static int from_cache(const struct ax_piece *x, bool offsets, uint32_t base, struct ax_ids *out, struct ax_err *e)
{
	AX_TRY(ax_ids_reserve(out, x->n_id, offsets, e));
	for (size_t i = 0; i < x->n_id; i++) {
		if (offsets) {
			out->begin[out->n] = base + (i ? x->end[i - 1] : 0);
			out->end[out->n] = base + x->end[i];
		}
		out->id[out->n++] = x->id[i];
	}
	return 0;
}

int ax_model_encode(const struct ax_model *m, struct ax_model_work *w, const char *p, size_t n, bool offsets, uint32_t base,
		    struct ax_ids *out, struct ax_err *e)
{
	size_t from = out->n;
	struct ax_piece *x;
	uint64_t key[3];

	if (m->kind == AX_MODEL_BPE)
		return ax_bpe_encode(&m->bpe, w->bpe, p, n, offsets, base, out, e);
	if (n > PIECE_BYTES || !w->piece)
		return encode_fresh(m, w, p, n, offsets, base, out, e);
	key_of(key, p, n);
	x = pair_of(w, key, n);
	if (holds(x, key, n) || holds(x + 1, key, n))
		return from_cache(holds(x, key, n) ? x : x + 1, offsets, base, out, e);
	AX_TRY(encode_fresh(m, w, p, n, true, base, out, e));
	keep(x, key, n, base, out, from);
	return 0;
}
