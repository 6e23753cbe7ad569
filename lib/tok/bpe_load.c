#include <string.h>

#include "base/mem.h"
#include "text/json.h"
#include "text/unicode.h"
#include "tok/bpe.h"

/* GPT-2's spelling of bytes: printable Latin-1 stays, the other 68 follow from U+0100. */
static bool byte_is_plain(unsigned b)
{
	return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
}

uint32_t ax_char_of_byte(unsigned char b)
{
	uint32_t k = 0;

	if (byte_is_plain(b))
		return b;
	for (unsigned i = 0; i < b; i++)
		k += !byte_is_plain(i);
	return 256 + k;
}

int ax_byte_of_char(uint32_t c)
{
	if (c < 256)
		return byte_is_plain(c) ? (int)c : -1;
	if (c < 256 + 33)
		return (int)(c - 256);                 /* 00..20 */
	if (c < 256 + 33 + 34)
		return (int)(c - 256 - 33 + 0x7F);     /* 7F..A0 */
	return c == 256 + 33 + 34 ? 0xAD : -1;
}

void ax_bpe_release(struct ax_bpe *m)
{
	ax_vocab_release(&m->vocab);
	ax_free(m->merge);
	ax_free(m->prefix);
	ax_free(m->suffix);
	ax_free(m->unk_token);
	ax_free(m->chars);
	ax_free(m->len);
	ax_free(m->joins);
	memset(m, 0, sizeof(*m));
}

static int load_vocab(struct ax_bpe *m, struct ax_slice text, struct ax_err *e)
{
	struct ax_scan s = { text.p, text.p + text.n, text.p };
	struct ax_buf b = AX_BUF_INIT;
	struct ax_slice key;
	uint32_t id;
	bool more;
	int rc;

	AX_TRY(ax_vocab_init(&m->vocab, text.n / 18, e));
	AX_GOTO(ax_scan_open(&s, '{', &more, e));
	while (more) {
		AX_GOTO(ax_scan_key(&s, &key, &b, e));
		AX_GOTO(ax_scan_u32(&s, &id, e));
		AX_GOTO(ax_vocab_add(&m->vocab, key.p, key.n, id, e));
		AX_GOTO(ax_scan_next(&s, '}', &more, e));
	}
out:
	ax_buf_release(&b);
	return rc;
}

struct merges {
	struct ax_merge *m;
	size_t n, cap;
	struct ax_buf joined;
};

/* One merge of the strings a and b: both and what they make must be in the vocabulary. */
static int add_merge(const struct ax_bpe *m, struct merges *g, struct ax_slice a, struct ax_slice b, struct ax_err *e)
{
	size_t skip = m->prefix ? strlen(m->prefix) : 0;
	struct ax_merge x = { ax_vocab_find(&m->vocab, a.p, a.n), ax_vocab_find(&m->vocab, b.p, b.n), (uint32_t)g->n, 0 };
	const struct ax_slice *missing = x.left == AX_TOK_NONE ? &a : x.right == AX_TOK_NONE ? &b : NULL;

	if (b.n < skip)
		return ax_fail(e, AX_EDATA, "merge %zu: its right side is shorter than continuing_subword_prefix", g->n + 1);
	ax_buf_reset(&g->joined);
	ax_buf_add(&g->joined, a.p, a.n);
	ax_buf_add(&g->joined, b.p + skip, b.n - skip);
	if (g->joined.oom)
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	x.id = ax_vocab_find(&m->vocab, g->joined.p, g->joined.n);
	if (missing || x.id == AX_TOK_NONE) {
		struct ax_slice j = missing ? *missing : (struct ax_slice){ g->joined.p, g->joined.n };

		return ax_fail(e, AX_EDATA, "merge %zu: token \"%.*s\" is not in the vocabulary", g->n + 1, (int)(j.n < 80 ? j.n : 80), j.p);
	}
	if (g->n >= UINT32_MAX - 1 || !AX_GROW(g->m, g->n, g->cap))
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	g->m[g->n++] = x;
	return 0;
}

/* "a b" */
static int legacy_merge(const struct ax_bpe *m, struct merges *g, struct ax_slice line, struct ax_err *e)
{
	const char *space = memchr(line.p, ' ', line.n);
	struct ax_slice a, b;

	if (line.n >= 8 && !memcmp(line.p, "#version", 8))
		return 0;
	if (!space || memchr(space + 1, ' ', line.n - (size_t)(space + 1 - line.p)))
		return ax_fail(e, AX_EDATA, "merge %zu: \"%.*s\" is not two tokens with one space between", g->n + 1,
			       (int)(line.n < 80 ? line.n : 80), line.p);
	a = (struct ax_slice){ line.p, (size_t)(space - line.p) };
	b = (struct ax_slice){ space + 1, line.n - a.n - 1 };
	return add_merge(m, g, a, b, e);
}

static int parse_merges(const struct ax_bpe *m, struct merges *g, struct ax_slice text, struct ax_err *e)
{
	struct ax_scan s = { text.p, text.p + text.n, text.p };
	struct ax_buf b1 = AX_BUF_INIT, b2 = AX_BUF_INIT;
	struct ax_slice x, y;
	char kind = 0;
	bool more, inner;
	int rc;

	AX_GOTO(ax_scan_open(&s, '[', &more, e));
	while (more) {
		char c = ax_scan_peek(&s);

		if (kind && c != kind) {
			rc = ax_fail(e, AX_EDATA, "merge %zu: merges of two kinds, \"a b\" and [\"a\", \"b\"]", g->n + 1);
			goto out;
		}
		kind = c;
		if (c == '"') {
			AX_GOTO(ax_scan_string(&s, &x, &b1, e));
			AX_GOTO(legacy_merge(m, g, x, e));
		} else {
			AX_GOTO(ax_scan_open(&s, '[', &inner, e));
			AX_GOTO(ax_scan_string(&s, &x, &b1, e));
			AX_GOTO(ax_scan_next(&s, ']', &inner, e));
			if (inner) {
				AX_GOTO(ax_scan_string(&s, &y, &b2, e));
				AX_GOTO(ax_scan_next(&s, ']', &more, e));
			}
			if (!inner || more) {
				rc = ax_fail(e, AX_EDATA, "merge %zu: not a pair of tokens", g->n + 1);
				goto out;
			}
			AX_GOTO(add_merge(m, g, x, y, e));
		}
		AX_GOTO(ax_scan_next(&s, ']', &more, e));
	}
out:
	ax_buf_release(&b1);
	ax_buf_release(&b2);
	return rc;
}

/* The table of merges; of a pair that is listed twice the last rank counts. */
static int build_merges(struct ax_bpe *m, const struct merges *g, struct ax_err *e)
{
	size_t slots = 16;
	unsigned bits = 4;

	for (; slots < g->n + g->n / 2 + 1; slots *= 2)
		bits++;
	m->merge = ax_malloc(slots * sizeof(*m->merge));
	if (!m->merge)
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	memset(m->merge, 0xFF, slots * sizeof(*m->merge));
	m->n_merge_slot = slots;
	m->merge_shift = 64 - bits;
	for (size_t k = 0; k < g->n; k++) {
		const struct ax_merge *x = &g->m[k];
		size_t i = (size_t)((((uint64_t)x->left << 32 | x->right) * UINT64_C(0x9E3779B97F4A7C15)) >> m->merge_shift);

		while (m->merge[i].left != AX_TOK_NONE && (m->merge[i].left != x->left || m->merge[i].right != x->right))
			i = (i + 1) & (slots - 1);
		m->n_merge += m->merge[i].left == AX_TOK_NONE;
		m->merge[i] = *x;
	}
	return 0;
}

/* Is no merge made of a <0xNN> token or the unknown token? Then what characters say about cuts is the truth. */
static bool operands_are_text(const struct ax_bpe *m, const struct merges *g)
{
	bool ok = true;
	unsigned char *odd = ax_calloc(m->vocab.id_end, 1);

	if (!odd)
		return false;
	for (int b = 0; b < 256; b++)
		odd[m->fallback[b]] = 1;
	if (m->unk != AX_TOK_NONE)
		odd[m->unk] = 1;
	for (size_t i = 0; ok && i < g->n; i++)
		ok = !odd[g->m[i].left] && !odd[g->m[i].right];
	ax_free(odd);
	return ok;
}

static int build_joins(struct ax_bpe *m, const struct merges *g, struct ax_err *e)
{
	if (m->byte_level || m->prefix || m->suffix || m->ignore_merges || !m->fallback_all || !operands_are_text(m, g))
		return 0;
	m->joins = ax_calloc(16384, sizeof(*m->joins));
	if (!m->joins)
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	for (size_t i = 0; i < g->n; i++) {
		const struct ax_vocab_str *l = &m->vocab.str[g->m[i].left], *r = &m->vocab.str[g->m[i].right];
		size_t len;
		uint32_t x, y;
		uint64_t h;

		if (!l->n || !r->n) { /* an empty side tells nothing about characters */
			ax_free(m->joins);
			m->joins = NULL;
			return 0;
		}
		x = ax_utf8_before((const unsigned char *)m->vocab.text + l->off + l->n);
		y = ax_utf8_get((const unsigned char *)m->vocab.text + r->off, &len);
		h = ((uint64_t)x << 32 | y) * UINT64_C(0xD6E8FEB86659FD93);
		m->joins[h >> 50] |= (uint64_t)1 << (h >> 44 & 63);
	}
	return 0;
}

/* First symbols: ids of one-character strings, and of <0xNN>. */
static int build_symbols(struct ax_bpe *m, struct ax_err *e)
{
	const struct ax_vocab *v = &m->vocab;
	char name[8];
	size_t n_char = 0;

	for (uint32_t id = 0; id < v->id_end; id++)
		n_char += v->str[id].n >= 2 && v->str[id].n <= 4;
	for (int b = 0; b < 256; b++) {
		static const char hex[] = "0123456789ABCDEF";
		uint32_t c = m->byte_level ? ax_char_of_byte((unsigned char)b) : (uint32_t)b;

		m->byte_id[b] = m->byte_level || b < 128 ? ax_vocab_find(v, name, ax_utf8_put(c, name)) : AX_TOK_NONE;
		memcpy(name, "<0x00>", 6);
		name[3] = hex[b >> 4];
		name[4] = hex[b & 15];
		m->fallback[b] = m->byte_fallback ? ax_vocab_find(v, name, 6) : AX_TOK_NONE;
	}
	m->fallback_all = m->byte_fallback;
	for (int b = 0; b < 256; b++)
		m->fallback_all &= m->fallback[b] != AX_TOK_NONE;
	if (m->byte_level)
		return 0;
	for (m->n_char_slot = 1024; m->n_char_slot < 2 * n_char; m->n_char_slot *= 2)
		;
	m->chars = ax_calloc(m->n_char_slot, sizeof(*m->chars));
	if (!m->chars)
		return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
	for (uint32_t id = 0; id < v->id_end; id++) {
		const struct ax_vocab_str *t = &v->str[id];
		size_t len, i;
		uint32_t c;

		if (t->n > 4 || t->n < 2 || ax_utf8_len((unsigned char)v->text[t->off]) != t->n || ax_vocab_find(v, v->text + t->off, t->n) != id)
			continue;
		c = ax_utf8_get((const unsigned char *)v->text + t->off, &len);
		for (i = c * 0x9E3779B1u & (m->n_char_slot - 1); m->chars[i]; i = (i + 1) & (m->n_char_slot - 1))
			;
		m->chars[i] = (uint64_t)c << 32 | (id + 1);
	}
	return 0;
}

/* Bytes of text that each token stands for. */
static int build_lengths(struct ax_bpe *m, struct ax_err *e)
{
	const struct ax_vocab *v = &m->vocab;

	m->len = ax_malloc((size_t)v->id_end * sizeof(*m->len));
	if (!m->len)
		return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
	for (uint32_t id = 0; id < v->id_end; id++) {
		const struct ax_vocab_str *t = &v->str[id];
		uint32_t n = t->n == UINT32_MAX ? 0 : t->n;

		for (uint32_t i = 0; m->byte_level && i < t->n && t->n != UINT32_MAX; i++)
			n -= ((unsigned char)v->text[t->off + i] & 0xC0) == 0x80; /* one character spells one byte */
		m->len[id] = (uint16_t)(n < 65535 ? n : 65535);
		if (n > m->longest)
			m->longest = n;
	}
	for (int b = 0; b < 256; b++)
		if (m->fallback[b] != AX_TOK_NONE)
			m->len[m->fallback[b]] = 1;
	return 0;
}

struct model_keys {
	struct ax_slice vocab, merges;
	struct ax_arena arena;
};

/* A string key, "" counting as none. */
static int opt_string(struct model_keys *k, struct ax_slice v, char **out, bool keep_empty, const char *name, struct ax_err *e)
{
	struct ax_val *x;

	AX_TRY(ax_json_parse(&k->arena, v.p, v.n, &x, e));
	if (x->type == AX_NULL)
		return 0;
	if (x->type != AX_STR)
		return ax_fail(e, AX_EDATA, "%s is not a string", name);
	if (!x->n && !keep_empty)
		return 0;
	if (memchr(x->u.s, 0, x->n))
		return ax_fail(e, AX_EDATA, "%s holds a NUL", name);
	ax_free(*out);
	*out = ax_strndup(x->u.s, x->n);
	return *out ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

static int opt_bool(struct ax_slice v, bool *out, const char *name, struct ax_err *e)
{
	if (!ax_slice_is(v, "true") && !ax_slice_is(v, "false") && !ax_slice_is(v, "null"))
		return ax_fail(e, AX_EDATA, "%s is not true or false", name);
	*out = ax_slice_is(v, "true");
	return 0;
}

static int check_dropout(struct model_keys *k, struct ax_slice v, struct ax_err *e)
{
	struct ax_val *x;

	AX_TRY(ax_json_parse(&k->arena, v.p, v.n, &x, e));
	if (x->type != AX_NULL && ax_val_num_or(x, 1) != 0)
		return ax_fail(e, AX_EDATA, "dropout is not supported: it would make ids random");
	return 0;
}

static int read_key(struct ax_bpe *m, struct model_keys *k, struct ax_slice key, struct ax_slice v, struct ax_err *e)
{
	if (ax_slice_is(key, "vocab"))
		k->vocab = v;
	else if (ax_slice_is(key, "merges"))
		k->merges = v;
	else if (ax_slice_is(key, "type") && !ax_slice_is(v, "\"BPE\""))
		return ax_fail(e, AX_EDATA, "model of type %.*s is not supported; BPE is", (int)(v.n < 40 ? v.n : 40), v.p);
	else if (ax_slice_is(key, "dropout"))
		return check_dropout(k, v, e);
	else if (ax_slice_is(key, "unk_token"))
		return opt_string(k, v, &m->unk_token, true, "unk_token", e);
	else if (ax_slice_is(key, "continuing_subword_prefix"))
		return opt_string(k, v, &m->prefix, false, "continuing_subword_prefix", e);
	else if (ax_slice_is(key, "end_of_word_suffix"))
		return opt_string(k, v, &m->suffix, false, "end_of_word_suffix", e);
	else if (ax_slice_is(key, "fuse_unk"))
		return opt_bool(v, &m->fuse_unk, "fuse_unk", e);
	else if (ax_slice_is(key, "byte_fallback"))
		return opt_bool(v, &m->byte_fallback, "byte_fallback", e);
	else if (ax_slice_is(key, "ignore_merges"))
		return opt_bool(v, &m->ignore_merges, "ignore_merges", e);
	return 0;
}

static int read_model(struct ax_bpe *m, struct model_keys *k, struct ax_slice text, struct ax_err *e)
{
	struct ax_scan s = { text.p, text.p + text.n, text.p };
	struct ax_buf b = AX_BUF_INIT;
	struct ax_slice key, v;
	bool more;
	int rc;

	AX_GOTO(ax_scan_open(&s, '{', &more, e));
	while (more) {
		AX_GOTO(ax_scan_key(&s, &key, &b, e));
		AX_GOTO(ax_scan_skip(&s, &v, e));
		AX_GOTO(read_key(m, k, key, v, e));
		AX_GOTO(ax_scan_next(&s, '}', &more, e));
	}
	if (!k->vocab.p)
		rc = ax_fail(e, AX_EDATA, "model without vocab");
	else if (!k->merges.p)
		rc = ax_fail(e, AX_EDATA, "model without merges; only BPE is supported");
	else if (k->vocab.p[0] != '{')
		rc = ax_fail(e, AX_EDATA, "the vocabulary is a list (Unigram); only BPE is supported");
out:
	ax_buf_release(&b);
	return rc;
}

int ax_bpe_load(struct ax_bpe *m, struct ax_slice model, bool byte_level, struct ax_err *e)
{
	struct model_keys k = { { NULL, 0 }, { NULL, 0 }, { 0 } };
	struct merges g = { NULL, 0, 0, AX_BUF_INIT };
	int rc;

	memset(m, 0, sizeof(*m));
	ax_arena_init(&k.arena, (size_t)1 << 20);
	AX_GOTO(read_model(m, &k, model, e));
	m->byte_level = byte_level && !m->prefix && !m->suffix && !m->byte_fallback;
	AX_GOTO(load_vocab(m, k.vocab, e));
	AX_GOTO(parse_merges(m, &g, k.merges, e));
	m->unk = m->unk_token ? ax_vocab_find(&m->vocab, m->unk_token, strlen(m->unk_token)) : AX_TOK_NONE;
	AX_GOTO(build_merges(m, &g, e));
	AX_GOTO(build_symbols(m, e));
	AX_GOTO(build_lengths(m, e));
	AX_GOTO(build_joins(m, &g, e));
out:
	ax_arena_release(&k.arena);
	ax_buf_release(&g.joined);
	ax_free(g.m);
	if (rc)
		ax_bpe_release(m);
	return rc;
}
