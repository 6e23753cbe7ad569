#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/bpe_share.h"

#define AHEAD 16 /* merges whose strings are on their way from memory */

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
		return (int)(c - 256); /* 00..20 */
	if (c < 256 + 33 + 34)
		return (int)(c - 256 - 33 + 0x7F); /* 7F..A0 */
	return c == 256 + 33 + 34 ? 0xAD : -1;
}

void ax_bpe_release(struct ax_bpe *m)
{
	ax_vocab_release(&m->vocab);
	ax_free(m->merge);
	ax_free(m->merge_slot);
	ax_free(m->prefix);
	ax_free(m->suffix);
	ax_free(m->unk_token);
	ax_free(m->chars);
	ax_free(m->len);
	ax_free(m->joins);
	ax_free(m->ascii_cut);
	ax_free(m->byte_joins);
	ax_free(m->has_left);
	ax_free(m->has_right);
	ax_free(m->meets);
	ax_free(m->part);
	ax_free(m->by_char);
	ax_free(m->made);
	ax_free(m->pair);
	ax_free(m->whole);
	ax_free(m->whole_long);
	ax_share_drop(m->share);
	memset(m, 0, sizeof(*m));
}

/* Is no merge made of a <0xNN> token or the unknown token? Then what characters say about cuts is the truth. */
static bool operands_are_text(const struct ax_bpe *m, const struct ax_bpe_raw *g)
{
	bool ok = true;
	unsigned char *odd = ax_calloc(m->vocab.id_end, 1);

	if (!odd)
		return false;
	for (int b = 0; b < 256; b++)
		if (m->fallback[b] != AX_TOK_NONE)
			odd[m->fallback[b]] = 1;
	if (m->unk != AX_TOK_NONE)
		odd[m->unk] = 1;
	for (size_t i = 0; ok && i < g->n; i++)
		ok = !odd[g->merge[i].left] && !odd[g->merge[i].right];
	ax_free(odd);
	return ok;
}

/* Ask for the strings of merges to come. */
static void touch_operands(const struct ax_bpe *m, const struct ax_bpe_raw *g, size_t i)
{
	const struct ax_vocab_str *str = m->vocab.str;

	if (i + 2 * AHEAD < g->n) {
		__builtin_prefetch(&str[g->merge[i + 2 * AHEAD].left]);
		__builtin_prefetch(&str[g->merge[i + 2 * AHEAD].right]);
	}
	if (i + AHEAD < g->n) {
		__builtin_prefetch(m->vocab.text + str[g->merge[i + AHEAD].left].off);
		__builtin_prefetch(m->vocab.text + str[g->merge[i + AHEAD].right].off);
	}
}

static int build_joins(struct ax_bpe *m, const struct ax_bpe_raw *g, struct ax_err *e)
{
	if (m->byte_level || m->prefix || m->suffix || m->ignore_merges || !m->no_unknown || !operands_are_text(m, g))
		return 0;
	m->joins = ax_calloc(16384, sizeof(*m->joins));
	if (!m->joins)
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	for (size_t i = 0; i < g->n; i++) {
		const struct ax_vocab_str *l = &m->vocab.str[g->merge[i].left], *r = &m->vocab.str[g->merge[i].right];
		size_t len;
		uint32_t x, y;
		uint64_t h;

		touch_operands(m, g, i);
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

		if (m->byte_level)
			ax_utf8_put(c, m->spell[b]);
		m->byte_id[b] = m->byte_level || b < 128 ? ax_vocab_find(v, name, ax_utf8_put(c, name)) : AX_TOK_NONE;
		memcpy(name, "<0x00>", 6);
		name[3] = hex[b >> 4];
		name[4] = hex[b & 15];
		m->fallback[b] = m->byte_fallback ? ax_vocab_find(v, name, 6) : AX_TOK_NONE;
	}
	m->no_unknown = m->byte_fallback;
	for (int b = 0; b < 256; b++)
		m->no_unknown &= m->fallback[b] != AX_TOK_NONE || (b < 128 && m->byte_id[b] != AX_TOK_NONE);
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

		if (t->n > 4 || t->n < 2 || ax_utf8_len((unsigned char)v->text[t->off]) != t->n ||
		    ax_vocab_find(v, v->text + t->off, t->n) != id)
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
		for (uint32_t i = 0; m->spaces && i + 2 < t->n && t->n != UINT32_MAX; i++)
			if (v->text[t->off + i] == '\xE2' && !memcmp(v->text + t->off + i + 1, "\x96\x81", 2))
				n -= 2;
		m->len[id] = (uint16_t)(n < 65535 ? n : 65535);
		if (n > m->longest)
			m->longest = n;
	}
	for (int b = 0; b < 256; b++)
		if (m->fallback[b] != AX_TOK_NONE)
			m->len[m->fallback[b]] = 1;
	return 0;
}

/* A string key, "" counting as none unless keep_empty. */
static int opt_string(struct ax_slice v, char **out, bool keep_empty, const char *name, struct ax_err *e)
{
	struct ax_scan s = {v.p, v.p + v.n, v.p, false};
	struct ax_buf b = AX_BUF_INIT;
	struct ax_slice x;
	int rc = 0;

	ax_free(*out);
	*out = NULL;
	if (ax_slice_is(v, "null"))
		return 0;
	if (ax_scan_string(&s, &x, &b, NULL) || memchr(x.p, 0, x.n))
		rc = ax_fail(e, AX_EDATA, "%s is not a string, or holds a NUL", name);
	else if ((x.n || keep_empty) && !(*out = ax_strndup(x.p, x.n)))
		rc = ax_fail(e, AX_EMEM, "out of memory");
	ax_buf_release(&b);
	return rc;
}

static int opt_bool(struct ax_slice v, bool *out, const char *name, struct ax_err *e)
{
	if (!ax_slice_is(v, "true") && !ax_slice_is(v, "false") && !ax_slice_is(v, "null"))
		return ax_fail(e, AX_EDATA, "%s is not true or false", name);
	*out = ax_slice_is(v, "true");
	return 0;
}

/* null, or zero in any spelling. */
static int check_dropout(struct ax_slice v, struct ax_err *e)
{
	bool zero = ax_slice_is(v, "null") || (v.n && v.p[0] == '0');

	for (size_t i = 0; zero && i < v.n && v.p[i] != 'e' && v.p[i] != 'E' && v.p[0] != 'n'; i++)
		zero = v.p[i] == '0' || v.p[i] == '.';
	return zero ? 0 : ax_fail(e, AX_EDATA, "dropout is not supported: it would make ids random");
}

static int read_option(struct ax_bpe *m, struct ax_slice key, struct ax_slice v, struct ax_err *e)
{
	if (ax_slice_is(key, "type") && !ax_slice_is(v, "\"BPE\""))
		return ax_fail(e, AX_EDATA, "type %.*s where \"BPE\" is expected", (int)(v.n < 40 ? v.n : 40),
			       v.p);
	if (ax_slice_is(key, "dropout"))
		return check_dropout(v, e);
	if (ax_slice_is(key, "unk_token"))
		return opt_string(v, &m->unk_token, true, "unk_token", e);
	if (ax_slice_is(key, "continuing_subword_prefix"))
		return opt_string(v, &m->prefix, false, "continuing_subword_prefix", e);
	if (ax_slice_is(key, "end_of_word_suffix"))
		return opt_string(v, &m->suffix, false, "end_of_word_suffix", e);
	if (ax_slice_is(key, "fuse_unk"))
		return opt_bool(v, &m->fuse_unk, "fuse_unk", e);
	if (ax_slice_is(key, "byte_fallback"))
		return opt_bool(v, &m->byte_fallback, "byte_fallback", e);
	if (ax_slice_is(key, "ignore_merges"))
		return opt_bool(v, &m->ignore_merges, "ignore_merges", e);
	return 0;
}

/*
 * Vocabulary and merges are read where they stand; merges in front of the vocabulary, or of a prefix, are only marked
 * and read again at the end.
 */
int ax_bpe_read(struct ax_bpe *m, struct ax_bpe_raw *raw, struct ax_scan *s, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_slice key, v;
	bool more, again = false, typed = false;
	int rc;

	AX_GOTO(ax_scan_open(s, '{', &more, e));
	while (more) {
		AX_GOTO(ax_scan_key(s, &key, &b, e));
		ax_scan_peek(s);
		if (ax_slice_is(key, "vocab") && typed) {
			AX_GOTO(ax_vocab_read(&m->vocab, s, e));
			again |= raw->merges.p != NULL;
			raw->has_vocab = true;
		} else if (ax_slice_is(key, "vocab")) { /* no type yet: it may be another model's */
			AX_GOTO(ax_scan_skip(s, &raw->vocab, e));
			again |= raw->merges.p != NULL;
		} else if (ax_slice_is(key, "merges")) {
			raw->merges = (struct ax_slice){s->p, (size_t)(s->end - s->p)};
			again |= !raw->has_vocab;
			AX_GOTO(raw->has_vocab ? ax_bpe_read_merges(m, raw, s, e) : ax_scan_skip(s, &v, e));
		} else {
			typed |= ax_slice_is(key, "type");
			again |= raw->merges.p && ax_slice_is(key, "continuing_subword_prefix");
			AX_GOTO(ax_scan_skip(s, &v, e));
			AX_GOTO(read_option(m, key, v, e));
		}
		AX_GOTO(ax_scan_next(s, '}', &more, e));
	}
	raw->again = again;
	if (!raw->has_vocab && !raw->vocab.p)
		rc = ax_fail(e, AX_EDATA, "model without vocab");
	else if (!raw->merges.p)
		rc = ax_fail(e, AX_EDATA, "a BPE model without merges");
out:
	ax_buf_release(&b);
	return rc;
}

int ax_bpe_finish(struct ax_bpe *m, struct ax_bpe_raw *raw, bool byte_level, bool spaces, struct ax_err *e)
{
	struct ax_scan s;

	if (!raw->has_vocab) {
		s = (struct ax_scan){raw->vocab.p, raw->vocab.p + raw->vocab.n, raw->start, false};
		AX_TRY(ax_vocab_read(&m->vocab, &s, e));
	}
	if (raw->again) {
		s = (struct ax_scan){raw->merges.p, raw->merges.p + raw->merges.n, raw->start, false};
		AX_TRY(ax_bpe_read_merges(m, raw, &s, e));
	}
	m->byte_level = byte_level && !m->prefix && !m->suffix && !m->byte_fallback;
	m->unk = m->unk_token ? ax_vocab_find(&m->vocab, m->unk_token, strlen(m->unk_token)) : AX_TOK_NONE;
	AX_TRY(ax_bpe_build_merges(m, raw, e));
	AX_TRY(build_symbols(m, e));
	AX_TRY(build_joins(m, raw, e));
	if (spaces && m->joins && ax_bpe_char(m, 0x2581) != AX_TOK_NONE) {
		m->spaces = true;
		m->byte_id[' '] = ax_bpe_char(m, 0x2581);
	}
	AX_TRY(ax_bpe_build_cuts(m, e));
	AX_TRY(ax_bpe_build_byte_cuts(m, e));
	ax_bpe_build_chars(m);
	AX_TRY(build_lengths(m, e));
	m->share = ax_share_new();
	return m->share ? ax_bpe_build_quick(m, e) : ax_fail(e, AX_EMEM, "out of memory");
}

void ax_bpe_raw_release(struct ax_bpe_raw *raw)
{
	ax_free(raw->merge);
	memset(raw, 0, sizeof(*raw));
}
