#include "tok/wordpiece.h"

#include <string.h>

#include "base/mem.h"

void ax_wordpiece_release(struct ax_wordpiece *m)
{
	ax_vocab_release(&m->vocab);
	ax_free(m->unk_token);
	ax_free(m->prefix);
	ax_datrie_release(&m->trie);
	memset(m, 0, sizeof(*m));
}

static int build_trie(struct ax_wordpiece *m, struct ax_err *e)
{
	const struct ax_vocab *v = &m->vocab;
	struct ax_datrie_key *key = ax_calloc(v->n + 1, sizeof(*key));
	size_t n = 0;
	int rc;

	if (!key)
		return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
	for (uint32_t id = 0; id < v->id_end; id++) {
		const struct ax_vocab_str *t = &v->str[id];

		if (t->n != UINT32_MAX && v->text && ax_vocab_find(v, v->text + t->off, t->n) == id)
			key[n++] = (struct ax_datrie_key){v->text + t->off, t->n, id};
	}
	rc = ax_datrie_build(&m->trie, key, n, e);
	ax_free(key);
	if (rc)
		return rc;
	m->inside = 0;
	for (size_t i = 0; i < m->prefix_n; i++)
		if (!ax_datrie_step(&m->trie, &m->inside, (unsigned char)m->prefix[i])) {
			m->inside = AX_DATRIE_NONE;
			break;
		}
	return 0;
}

static int take_string(struct ax_scan *s, struct ax_buf *b, char **out, size_t *n, struct ax_err *e)
{
	struct ax_slice v;

	AX_TRY(ax_scan_string(s, &v, b, e));
	ax_free(*out);
	*out = ax_strndup(v.p, v.n);
	*n = v.n;
	return *out ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

enum { HAS_VOCAB = 1, HAS_UNK = 2, HAS_PREFIX = 4, HAS_MAX = 8 };

static int read_key(struct ax_wordpiece *m, struct ax_slice key, struct ax_scan *s, struct ax_buf *b, unsigned *has,
		    struct ax_err *e)
{
	struct ax_slice skipped;
	uint32_t max;

	if (ax_slice_is(key, "vocab")) {
		*has |= HAS_VOCAB;
		return ax_vocab_read(&m->vocab, s, e);
	}
	if (ax_slice_is(key, "unk_token")) {
		*has |= HAS_UNK;
		return take_string(s, b, &m->unk_token, &m->unk_token_n, e);
	}
	if (!m->whole && ax_slice_is(key, "continuing_subword_prefix")) {
		*has |= HAS_PREFIX;
		return take_string(s, b, &m->prefix, &m->prefix_n, e);
	}
	if (!m->whole && ax_slice_is(key, "max_input_chars_per_word")) {
		*has |= HAS_MAX;
		AX_TRY(ax_scan_u32(s, &max, e));
		m->max_chars = max;
		return 0;
	}
	return ax_scan_skip(s, &skipped, e);
}

int ax_wordpiece_read(struct ax_wordpiece *m, struct ax_scan *s, struct ax_err *e)
{
	unsigned has = 0, want = m->whole ? HAS_VOCAB | HAS_UNK : HAS_VOCAB | HAS_UNK | HAS_PREFIX | HAS_MAX;
	struct ax_buf b = AX_BUF_INIT;
	struct ax_slice key;
	bool more;
	int rc;

	AX_GOTO(ax_scan_open(s, '{', &more, e));
	while (more) {
		AX_GOTO(ax_scan_key(s, &key, &b, e));
		AX_GOTO(read_key(m, key, s, &b, &has, e));
		AX_GOTO(ax_scan_next(s, '}', &more, e));
	}
	if (has != want) {
		unsigned lacks = want & ~has;

		rc = ax_fail(e, AX_EDATA, "a %s model without %s", m->whole ? "WordLevel" : "WordPiece",
			     lacks & HAS_VOCAB ? "vocab" : lacks & HAS_UNK ? "unk_token"
						     : lacks & HAS_PREFIX  ? "continuing_subword_prefix"
									   : "max_input_chars_per_word");
		goto out;
	}
	m->unk = ax_vocab_find(&m->vocab, m->unk_token, m->unk_token_n);
	rc = m->whole ? 0 : build_trie(m, e);
out:
	ax_buf_release(&b);
	return rc;
}

static int push(struct ax_ids *o, uint32_t id, bool offsets, size_t begin, size_t end, struct ax_err *e)
{
	AX_TRY(ax_ids_reserve(o, 1, offsets, e));
	if (offsets) {
		o->begin[o->n] = (uint32_t)begin;
		o->end[o->n] = (uint32_t)end;
	}
	o->id[o->n++] = id;
	return 0;
}

static bool too_long(const struct ax_wordpiece *m, const char *p, size_t n)
{
	size_t chars = 0;

	for (size_t i = 0; n > m->max_chars && i < n; i++)
		chars += ((unsigned char)p[i] & 0xC0) != 0x80;
	return chars > m->max_chars;
}

/* The end of the longest piece that starts at `at`, and its id; `at` if there is none. */
static size_t longest(const struct ax_wordpiece *m, const char *p, size_t at, size_t n, uint32_t *id)
{
	uint32_t node = at ? m->inside : 0;
	size_t end = at;

	if (node == AX_DATRIE_NONE)
		return at;
	for (size_t i = at; i < n && ax_datrie_step(&m->trie, &node, (unsigned char)p[i]);) {
		i++;
		if (m->trie.value[node] != AX_DATRIE_NONE) {
			*id = m->trie.value[node];
			end = i;
		}
	}
	return end;
}

int ax_wordpiece_encode(const struct ax_wordpiece *m, const char *p, size_t n, bool offsets, uint32_t base,
			struct ax_ids *out, struct ax_err *e)
{
	size_t old = out->n, at = 0, end;
	uint32_t id = m->whole ? ax_vocab_find(&m->vocab, p, n) : AX_TOK_NONE;
	bool known = id != AX_TOK_NONE;

	if (known)
		return push(out, id, offsets, base, base + n, e);
	if (!m->whole && !too_long(m, p, n))
		for (known = true; known && at < n; at = end) {
			end = longest(m, p, at, n, &id);
			known = end > at;
			if (known)
				AX_TRY(push(out, id, offsets, base + at, base + end, e));
		}
	if (known)
		return 0;
	out->n = old;
	if (m->unk == AX_TOK_NONE)
		return ax_fail(e, AX_EDATA, "a word without a token, and the unknown token \"%s\" is not in the vocabulary",
			       m->unk_token);
	return push(out, m->unk, offsets, base, base + n, e);
}
