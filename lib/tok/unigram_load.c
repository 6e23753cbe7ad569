#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tok/unigram.h"

#define UNK_PENALTY 10.0
#define MAX_SCORE   1e290

int ax_unigram_add(struct ax_unigram *m, const char *p, size_t n, double score, size_t *cap, struct ax_err *e)
{
	if (!m->vocab.n_slot)
		AX_TRY(ax_vocab_init(&m->vocab, 1024, e));
	if (!AX_GROW(m->score, m->n, *cap))
		return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
	AX_TRY(ax_vocab_add(&m->vocab, p, n, (uint32_t)m->n, e));
	m->score[m->n++] = score;
	return 0;
}

static int build_trie(struct ax_unigram *m, struct ax_err *e)
{
	const struct ax_vocab *v = &m->vocab;
	struct ax_datrie_key *key = ax_calloc(m->n + 1, sizeof(*key));
	int rc;

	if (!key)
		return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
	for (size_t i = 0; i < m->n; i++) {
		key[i] = (struct ax_datrie_key){v->text ? v->text + v->str[i].off : "", v->str[i].n, (uint32_t)i};
		if (v->str[i].n > m->longest)
			m->longest = v->str[i].n;
	}
	rc = ax_datrie_build(&m->trie, key, m->n, e);
	ax_free(key);
	if (rc)
		return rc;
	m->unit_score = ax_malloc((size_t)m->trie.n_unit * sizeof(*m->unit_score));
	if (!m->unit_score)
		return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
	for (uint32_t i = 0; i < m->trie.n_unit; i++)
		m->unit_score[i] = m->trie.value[i] == AX_DATRIE_NONE ? (double)NAN : m->score[m->trie.value[i]];
	return 0;
}

int ax_unigram_finish(struct ax_unigram *m, struct ax_err *e)
{
	double min = INFINITY;
	char name[8];

	if (m->has_unk && m->unk >= m->n)
		return ax_fail(e, AX_EDATA, "unk_id %u is not in the vocabulary of %zu pieces", m->unk, m->n);
	for (size_t i = 0; i < m->n; i++) {
		if (!(fabs(m->score[i]) <= MAX_SCORE)) /* sums stay finite */
			return ax_fail(e, AX_EDATA, "the score %g of piece %zu is beyond %g", m->score[i], i, MAX_SCORE);
		if (m->score[i] < min)
			min = m->score[i];
	}
	m->unk_score = min - UNK_PENALTY;
	for (int b = 0; b < 256; b++) {
		static const char hex[] = "0123456789ABCDEF";

		memcpy(name, "<0x00>", 6);
		name[3] = hex[b >> 4];
		name[4] = hex[b & 15];
		m->fallback[b] = m->byte_fallback ? ax_vocab_find(&m->vocab, name, 6) : AX_TOK_NONE;
	}
	return build_trie(m, e);
}

/* ["piece", score] */
static int read_entry(struct ax_unigram *m, struct ax_scan *s, struct ax_buf *b, size_t *cap, struct ax_err *e)
{
	struct ax_slice piece;
	double score;
	bool more;

	AX_TRY(ax_scan_open(s, '[', &more, e));
	AX_TRY(ax_scan_string(s, &piece, b, e));
	AX_TRY(ax_scan_next(s, ']', &more, e));
	if (more)
		AX_TRY(ax_scan_f64(s, &score, e));
	if (more)
		AX_TRY(ax_scan_next(s, ']', &more, e));
	else
		more = true;
	if (more)
		return ax_fail(e, AX_EDATA, "byte %zu: a piece and its score are expected", (size_t)(s->p - s->start));
	return ax_unigram_add(m, piece.p, piece.n, score, cap, e);
}

static int read_vocab(struct ax_unigram *m, struct ax_scan *s, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	size_t cap = 0;
	bool more;
	int rc;

	if (m->n)
		return ax_fail(e, AX_EDATA, "two vocabularies");
	AX_TRY(ax_vocab_init(&m->vocab, (size_t)(s->end - s->p) / 128, e));
	AX_GOTO(ax_scan_open(s, '[', &more, e));
	while (more) {
		AX_GOTO(read_entry(m, s, &b, &cap, e));
		AX_GOTO(ax_scan_next(s, ']', &more, e));
	}
out:
	ax_buf_release(&b);
	return rc;
}

static int read_key(struct ax_unigram *m, struct ax_slice key, struct ax_scan *s, bool *vocab, struct ax_err *e)
{
	struct ax_slice v;

	if (ax_slice_is(key, "vocab")) {
		*vocab = true;
		return read_vocab(m, s, e);
	}
	if (ax_slice_is(key, "unk_id") && ax_scan_peek(s) != 'n') {
		m->has_unk = true;
		return ax_scan_u32(s, &m->unk, e);
	}
	AX_TRY(ax_scan_skip(s, &v, e));
	if (ax_slice_is(key, "unk_id")) {
		m->has_unk = false;
		if (!ax_slice_is(v, "null"))
			return ax_fail(e, AX_EDATA, "unk_id is not an integer");
	}
	if (ax_slice_is(key, "byte_fallback")) {
		if (!ax_slice_is(v, "true") && !ax_slice_is(v, "false"))
			return ax_fail(e, AX_EDATA, "byte_fallback is not true or false");
		m->byte_fallback = ax_slice_is(v, "true");
	}
	return 0;
}

int ax_unigram_read(struct ax_unigram *m, struct ax_scan *s, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	bool more, vocab = false;
	struct ax_slice key;
	int rc;

	AX_GOTO(ax_scan_open(s, '{', &more, e));
	while (more) {
		AX_GOTO(ax_scan_key(s, &key, &b, e));
		AX_GOTO(read_key(m, key, s, &vocab, e));
		AX_GOTO(ax_scan_next(s, '}', &more, e));
	}
	rc = vocab ? ax_unigram_finish(m, e) : ax_fail(e, AX_EDATA, "a Unigram model without vocab");
out:
	ax_buf_release(&b);
	return rc;
}
