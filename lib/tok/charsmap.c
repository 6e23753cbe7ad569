#include "tok/charsmap.h"

#include <string.h>

#include "base/mem.h"
#include "text/breaks.h"
#include "text/unicode.h"

#define WHOLE_MAX 6 /* clusters of so many bytes are not looked up whole */

void ax_charsmap_free(struct ax_charsmap *m)
{
	if (!m)
		return;
	ax_free(m->unit);
	ax_free(m->text);
	ax_free(m);
}

static uint32_t offset_of(uint32_t unit)
{
	return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

/*
 * The replacement of key[0..n): 1 and where it lies, 0: none, -1: the map leads outside of itself.
 */
static int find(const struct ax_charsmap *m, const char *key, size_t n, size_t *from, size_t *to)
{
	uint32_t at = offset_of(m->unit[0]), unit, value;
	const char *end;

	for (size_t i = 0; i < n && key[i]; i++) {
		at ^= (unsigned char)key[i];
		if (at >= m->n_unit)
			return -1;
		unit = m->unit[at];
		if ((unit & (1u << 31 | 0xFF)) != (unsigned char)key[i])
			return 0;
		at ^= offset_of(unit);
		if (!(unit >> 8 & 1))
			continue;
		if (at >= m->n_unit)
			return -1;
		value = m->unit[at] & 0x7FFFFFFF;
		if (value > m->n || (value < m->n && ((unsigned char)m->text[value] & 0xC0) == 0x80))
			return -1;
		end = memchr(m->text + value, 0, m->n - value);
		*from = value;
		*to = end ? (size_t)(end - m->text) : m->n;
		return 1;
	}
	return 0;
}

int ax_charsmap_new(struct ax_charsmap **out, const char *p, size_t n, struct ax_err *e)
{
	struct ax_charsmap *m;
	size_t units = n < 4 ? 0 : ax_get_u32(p) / 4, from, to;

	*out = NULL;
	if (!units || units > (n - 4) / 4)
		return ax_fail(e, AX_EDATA, "precompiled_charsmap: its trie is empty, or longer than the map");
	if (ax_utf8_check(p + 4 + 4 * units, n - 4 - 4 * units) != n - 4 - 4 * units)
		return ax_fail(e, AX_EDATA, "precompiled_charsmap: its strings are not UTF-8");
	m = ax_calloc(1, sizeof(*m));
	if (m) {
		m->unit = ax_malloc(units * sizeof(*m->unit));
		m->text = ax_strndup(p + 4 + 4 * units, n - 4 - 4 * units);
	}
	if (!m || !m->unit || !m->text) {
		ax_charsmap_free(m);
		return ax_fail(e, AX_EMEM, "out of memory");
	}
	for (size_t i = 0; i < units; i++)
		m->unit[i] = ax_get_u32(p + 4 + 4 * i);
	m->n_unit = units;
	m->n = n - 4 - 4 * units;
	for (int c = 0; c < 128; c++) {
		int rc = find(m, &(char){(char)c}, 1, &from, &to);

		m->plain[c] = c != '\r' && !rc;
		if (c == '\r' || rc <= 0)
			continue;
		m->simple[c] = true;
		m->from[c] = from;
		m->to[c] = to;
	}
	*out = m;
	return 0;
}

/* The six bits of a base64 character, 64: none. */
static unsigned sextet(char c)
{
	static const char table[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *q = c ? strchr(table, c) : NULL;

	return q ? (unsigned)(q - table) : 64;
}

int ax_charsmap_base64(struct ax_charsmap **out, const char *p, size_t n, struct ax_err *e)
{
	size_t pad = n >= 4 ? (size_t)(p[n - 1] == '=') + (p[n - 1] == '=' && p[n - 2] == '=') : 0;
	struct ax_buf b = AX_BUF_INIT;
	uint32_t word = 0;
	unsigned bits = 0;
	bool ok = n % 4 == 0;
	int rc;

	*out = NULL;
	for (size_t i = 0; ok && i < n - pad; i++) {
		unsigned x = sextet(p[i]);

		ok = x < 64;
		word = word << 6 | x;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			ax_buf_addc(&b, (char)(word >> bits & 0xFF));
		}
	}
	ok = ok && !(word & ((1u << bits) - 1)); /* the bits that are left over are zero */
	rc = !ok     ? ax_fail(e, AX_EDATA, "precompiled_charsmap is not base64")
	     : b.oom ? ax_fail(e, AX_EMEM, "out of memory")
		     : ax_charsmap_new(out, b.p ? b.p : "", b.n, e);
	ax_buf_release(&b);
	return rc;
}

/* One normalization. */
struct run {
	const struct ax_charsmap *m;
	struct ax_nbuf *b;
	const struct ax_ntext *t;
	size_t done; /* so much of t is in b */
	bool changed;
};

/*
 * Write text[from..to) for bytes [at, end): its characters stand for those there one by one, the last for what is left, more
 * of them for the last one. Where the text's begin was dropped, the first that is written stands for that too: a prefix for
 * the first piece alone must see it begin there.
 */
static void write(struct run *r, size_t at, size_t end, size_t from, size_t to)
{
	const struct ax_ntext *t = r->t;
	size_t next = at;

	for (size_t i = from, len; i < to; i += len) {
		uint32_t first, last;

		len = ax_utf8_len((unsigned char)r->m->text[i]);
		if (next < end) {
			at = next;
			next = at + ax_utf8_len((unsigned char)t->p[at]);
		}
		ax_ntext_range(t, r->b->text.n ? at : 0, i + len == to ? end : next, &first, &last);
		ax_nbuf_add(r->b, r->m->text + i, len, first, last);
	}
}

/* Copy bytes up to `at`. */
static void copy(struct run *r, size_t at)
{
	size_t len = r->done && r->done < at && !r->b->text.n ? ax_utf8_len((unsigned char)r->t->p[r->done]) : 0;
	uint32_t first, last;

	if (len) { /* what is before it was dropped */
		ax_ntext_range(r->t, 0, r->done + len, &first, &last);
		ax_nbuf_add(r->b, r->t->p + r->done, len, first, last);
	}
	ax_nbuf_copy(r->b, r->t, r->done + len, at);
}

/* text[from..to) instead of bytes [at, end), which nothing was put for yet. */
static void put(struct run *r, size_t at, size_t end, size_t from, size_t to)
{
	if (r->done < at)
		copy(r, at);
	write(r, at, end, from, to);
	r->done = end;
	r->changed = true;
}

/* Look bytes [at, end) up and replace them: 1, 0 or -1 as find(). */
static int replace(struct run *r, size_t at, size_t end)
{
	size_t from, to;
	int rc = find(r->m, r->t->p + at, end - at, &from, &to);

	if (rc <= 0)
		return rc;
	put(r, at, end, from, to);
	return 1;
}

static int cluster(struct run *r, size_t at, size_t end)
{
	int rc = end - at < WHOLE_MAX ? replace(r, at, end) : 0;

	for (size_t i = at, next; !rc && i < end; i = next) {
		next = i + ax_utf8_len((unsigned char)r->t->p[i]);
		if (i == at && next == end && end - at < WHOLE_MAX)
			break; /* it was the whole cluster */
		rc = replace(r, i, next) < 0 ? -1 : 0;
	}
	return rc;
}

int ax_charsmap_run(const struct ax_charsmap *m, struct ax_nbuf *b, const struct ax_ntext *t, bool *changed,
		    struct ax_err *e)
{
	struct run r = {m, b, t, 0, false};
	const unsigned char *p = (const unsigned char *)t->p;
	size_t at = 0, end;

	while (at < t->n) {
		if (p[at] < 128 && (m->plain[p[at]] || m->simple[p[at]]) && (at + 1 == t->n || p[at + 1] < 128)) {
			if (m->simple[p[at]])
				put(&r, at, at + 1, m->from[p[at]], m->to[p[at]]);
			at++;
			continue;
		}
		end = ax_grapheme_end(t->p, at, t->n);
		if (cluster(&r, at, end) < 0)
			return ax_fail(e, AX_EDATA, "precompiled_charsmap leads outside of itself");
		at = end;
	}
	*changed = r.changed;
	if (r.changed)
		copy(&r, t->n);
	return 0;
}
