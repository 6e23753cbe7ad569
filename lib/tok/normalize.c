#include "tok/normalize.h"

#include <string.h>

#include "tok/bpe.h"
#include "tok/charsmap.h"

#define SMALL 8 /* bytes */

void ax_ntext_range(const struct ax_ntext *t, size_t from, size_t to, uint32_t *begin, uint32_t *end)
{
	if (!t->begin) {
		*begin = t->base + (uint32_t)from;
		*end = t->base + (uint32_t)to;
	} else if (from < to) {
		*begin = t->begin[from];
		*end = t->end[to - 1];
	} else {
		*begin = *end = from ? t->end[from - 1] : t->n ? t->begin[0] : 0;
	}
}

void ax_nbuf_reset(struct ax_nbuf *b, bool track)
{
	ax_buf_reset(&b->text);
	b->track = track;
}

void ax_nbuf_release(struct ax_nbuf *b)
{
	ax_buf_release(&b->text);
	ax_free(b->begin);
	ax_free(b->end);
	memset(b, 0, sizeof(*b));
}

/* Room for the origins of n more bytes. */
static bool reserve(struct ax_nbuf *b, size_t n)
{
	size_t want = b->text.n + n, cap;
	uint32_t *q;

	if (!b->track || want <= b->cap)
		return true;
	cap = want + want / 2 + 64;
	q = ax_realloc_array(b->begin, cap, sizeof(*q));
	if (!q)
		return false;
	b->begin = q;
	q = ax_realloc_array(b->end, cap, sizeof(*q));
	if (!q)
		return false;
	b->end = q;
	b->cap = cap;
	return true;
}

/* Mostly a few bytes for which there is room: then a call or two would take longer than the copy. */
static inline void add_bytes(struct ax_nbuf *b, const char *p, size_t n)
{
	struct ax_buf *t = &b->text;

	if (n > SMALL || t->oom || t->cap - t->n <= n) {
		ax_buf_add(t, p, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		t->p[t->n + i] = p[i];
	t->n += n;
	t->p[t->n] = '\0';
}

void ax_nbuf_add(struct ax_nbuf *b, const char *p, size_t n, uint32_t begin, uint32_t end)
{
	size_t at = b->text.n;

	if (!reserve(b, n))
		b->text.oom = true;
	add_bytes(b, p, n);
	if (!b->track || b->text.oom)
		return;
	for (size_t i = 0; i < n; i++) {
		b->begin[at + i] = begin;
		b->end[at + i] = end;
	}
}

void ax_nbuf_copy(struct ax_nbuf *b, const struct ax_ntext *t, size_t from, size_t to)
{
	size_t at = b->text.n, n = to - from;

	if (!reserve(b, n))
		b->text.oom = true;
	add_bytes(b, t->p + from, n);
	if (!b->track || b->text.oom || !n)
		return;
	if (t->begin) {
		memcpy(b->begin + at, t->begin + from, n * sizeof(*b->begin));
		memcpy(b->end + at, t->end + from, n * sizeof(*b->end));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		b->begin[at + i] = t->base + (uint32_t)(from + i);
		b->end[at + i] = t->base + (uint32_t)(from + i) + 1;
	}
}

struct ax_ntext ax_nbuf_text(const struct ax_nbuf *b)
{
	struct ax_ntext t = {b->text.p ? b->text.p : "", b->text.n, b->track ? b->begin : NULL,
			     b->track ? b->end : NULL, 0};

	return t;
}

int ax_norm_work_init(struct ax_norm_work *w, const struct ax_normalizers *s, struct ax_err *e)
{
	memset(w, 0, sizeof(*w));
	for (size_t i = 0; i < s->n; i++)
		if (s->step[i].regex) {
			w->regex[i] = ax_regex_work_new(s->step[i].regex);
			if (!w->regex[i])
				return ax_fail(e, AX_EMEM, "out of memory");
		}
	return 0;
}

void ax_norm_work_release(struct ax_norm_work *w)
{
	ax_nbuf_release(&w->buf[0]);
	ax_nbuf_release(&w->buf[1]);
	ax_uni_work_release(&w->uni);
	for (size_t i = 0; i < AX_MAX_STAGES; i++)
		ax_regex_work_free(w->regex[i]);
	memset(w, 0, sizeof(*w));
}

/* Bytes [from, to) of t in a normal form, appended to b. */
static bool add_form(struct ax_nbuf *b, struct ax_uni_work *u, const struct ax_ntext *t, size_t from, size_t to,
		     enum ax_uni_form form)
{
	size_t len;

	u->n = 0;
	for (size_t i = from; i < to; i += len)
		if (!ax_uni_work_push(u, ax_utf8_get((const unsigned char *)t->p + i, &len), (uint32_t)i))
			return false;
	if (!ax_uni_normalize(u, form))
		return false;
	for (size_t i = 0; i < u->n; i++) {
		size_t at = u->from[i], next = to;
		uint32_t begin, end;
		char utf8[4];

		len = ax_utf8_put(u->cp[i], utf8);
		if (len == ax_utf8_len((unsigned char)t->p[at]) && !memcmp(utf8, t->p + at, len) &&
		    (i == 0 || u->from[i - 1] < at) && (i + 1 == u->n || u->from[i + 1] == at + len)) { /* as it was */
			ax_nbuf_copy(b, t, at, at + len);
			continue;
		}
		if (i + 1 < u->n) /* up to where the next output character came from */
			next = u->from[i + 1] > at ? u->from[i + 1] : at + ax_utf8_len((unsigned char)t->p[at]);
		ax_ntext_range(t, at, next, &begin, &end);
		ax_nbuf_add(b, utf8, len, begin, end);
	}
	return true;
}

static bool run_form(struct ax_nbuf *b, struct ax_uni_work *u, const struct ax_ntext *t, enum ax_uni_form form)
{
	size_t done = 0, pos = 0, end;

	while (ax_uni_dirty(t->p, t->n, form, &pos, &end)) {
		ax_nbuf_copy(b, t, done, pos);
		if (!add_form(b, u, t, pos, end, form))
			return false;
		done = pos = end;
	}
	ax_nbuf_copy(b, t, done, t->n);
	return true;
}

/* The first occurrence of from[0..k) in p[0..n), or NULL. */
static const char *find_bytes(const char *p, size_t n, const char *from, size_t k)
{
	const char *q, *end = p + n;

	while ((size_t)(end - p) >= k &&
	       (q = *p == from[0] ? p : memchr(p, from[0], (size_t)(end - p) - k + 1))) {
		if (!memcmp(q, from, k))
			return q;
		p = q + 1;
	}
	return NULL;
}

/* Every occurrence of a literal. */
static void run_replace(struct ax_nbuf *b, const struct ax_normalizer *s, const struct ax_ntext *t)
{
	size_t done = 0;

	for (const char *q; (q = find_bytes(t->p + done, t->n - done, s->from, s->from_n));) {
		size_t at = (size_t)(q - t->p);
		uint32_t begin, end;

		if (done < at)
			ax_nbuf_copy(b, t, done, at);
		ax_ntext_range(t, at, at + s->from_n, &begin, &end);
		ax_nbuf_add(b, s->to, s->to_n, begin, end);
		done = at + s->from_n;
	}
	ax_nbuf_copy(b, t, done, t->n);
}

static int run_regex(struct ax_nbuf *b, const struct ax_normalizer *s, struct ax_regex_work *w,
		     const struct ax_ntext *t, struct ax_err *e)
{
	struct ax_regex_iter it = {0, 0};
	size_t done = 0, from, to;
	int rc;

	while ((rc = ax_regex_find(s->regex, w, t->p, t->n, &it, &from, &to)) > 0) {
		uint32_t begin, end;

		ax_nbuf_copy(b, t, done, from);
		ax_ntext_range(t, from, to, &begin, &end);
		ax_nbuf_add(b, s->to, s->to_n, begin, end);
		done = to;
	}
	if (rc < 0)
		return ax_fail(e, AX_EMEM, "a normalizer's regex needs too many steps on this text");
	ax_nbuf_copy(b, t, done, t->n);
	return 0;
}

static struct ax_ntext strip(const struct ax_normalizer *s, struct ax_ntext t)
{
	size_t from = 0, to = t.n, len;

	while (s->left && from < to && ax_uni(ax_utf8_get((const unsigned char *)t.p + from, &len)) & AX_UNI_RSPACE)
		from += len;
	while (s->right && from < to) {
		uint32_t c = ax_utf8_before((const unsigned char *)t.p + to);
		char utf8[4];

		if (!(ax_uni(c) & AX_UNI_RSPACE))
			break;
		to -= ax_utf8_put(c, utf8);
	}
	return ax_ntext_slice(t, from, to);
}

/* What Nmt does with a character: 0 keep, 1 drop, 2 make it a space. */
static int nmt_class(uint32_t c)
{
	if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F)
		return 1;
	if (c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 ||
	    c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD)
		return 2;
	return 0;
}

/* One character of a step that works character by character. */
static void run_char(struct ax_nbuf *b, enum ax_norm_kind kind, const struct ax_ntext *t, size_t i, size_t len,
		     uint32_t c)
{
	uint32_t begin, end, low[3], f = ax_uni(c);
	char utf8[12];
	size_t n = 0;
	int k = kind == AX_NORM_NMT ? nmt_class(c) : 0;

	ax_ntext_range(t, i, i + len, &begin, &end);
	if ((kind == AX_NORM_ACCENTS && f & AX_UNI_MARK) || (kind == AX_NORM_BERT_MARKS && f & AX_UNI_BMARK) ||
	    (kind == AX_NORM_BERT_CLEAN && f & AX_UNI_CDROP) || k == 1)
		return;
	if ((kind == AX_NORM_BERT_CLEAN && f & AX_UNI_CSPACE) || k == 2) {
		ax_nbuf_add(b, " ", 1, begin, end);
	} else if (kind == AX_NORM_BERT_CJK && f & AX_UNI_CJK) {
		ax_nbuf_add(b, " ", 1, begin, begin);
		ax_nbuf_copy(b, t, i, i + len);
		ax_nbuf_add(b, " ", 1, end, end);
	} else if (kind == AX_NORM_LOWER && f & AX_UNI_LOWER) {
		size_t m = ax_uni_lower(c, low);

		for (size_t j = 0; j < m; j++)
			n += ax_utf8_put(low[j], utf8 + n);
		ax_nbuf_add(b, utf8, n, begin, end);
	} else if (kind == AX_NORM_BYTES) {
		for (size_t j = 0; j < len; j++) {
			ax_ntext_range(t, i + j, i + j + 1, &begin, &end);
			n = ax_utf8_put(ax_char_of_byte((unsigned char)t->p[i + j]), utf8);
			ax_nbuf_add(b, utf8, n, begin, end);
		}
	} else {
		ax_nbuf_copy(b, t, i, i + len);
	}
}

/* Does a step that works character by character change this one? */
static bool is_touched(enum ax_norm_kind kind, uint32_t c)
{
	switch (kind) {
	case AX_NORM_ACCENTS:
		return ax_uni(c) & AX_UNI_MARK;
	case AX_NORM_BERT_MARKS:
		return ax_uni(c) & AX_UNI_BMARK;
	case AX_NORM_BERT_CLEAN:
		return c != ' ' && ax_uni(c) & (AX_UNI_CDROP | AX_UNI_CSPACE);
	case AX_NORM_BERT_CJK:
		return ax_uni(c) & AX_UNI_CJK;
	case AX_NORM_LOWER:
		return ax_uni(c) & AX_UNI_LOWER;
	case AX_NORM_NMT:
		return nmt_class(c) != 0;
	default:
		return true;
	}
}

/* A step that works character by character; what it leaves alone is copied in one go. Returns false if that is all. */
static bool run_chars(struct ax_nbuf *b, enum ax_norm_kind kind, const struct ax_ntext *t)
{
	const unsigned char *p = (const unsigned char *)t->p;
	size_t done = 0, len;
	bool ascii[128], any = false;

	for (uint32_t c = 0; c < 128; c++)
		ascii[c] = is_touched(kind, c);
	for (size_t i = 0; i < t->n; i += len) {
		uint32_t c = ax_utf8_get(p + i, &len);

		if (c < 128 ? !ascii[c] : !is_touched(kind, c))
			continue;
		if (done < i)
			ax_nbuf_copy(b, t, done, i);
		run_char(b, kind, t, i, len, c);
		done = i + len;
		any = true;
	}
	if (any)
		ax_nbuf_copy(b, t, done, t->n);
	return any;
}

static int run_step(const struct ax_normalizer *s, struct ax_norm_work *w, struct ax_nbuf *b, struct ax_regex_work *rw,
		    struct ax_ntext *t, struct ax_err *e)
{
	size_t pos = 0, end;
	uint32_t at = t->n && t->begin ? t->begin[0] : t->base;
	bool changed;

	switch (s->kind) {
	case AX_NORM_STRIP:
		*t = strip(s, *t);
		return 0;
	case AX_NORM_FORM:
		if (!ax_uni_dirty(t->p, t->n, s->form, &pos, &end))
			return 0;
		if (!run_form(b, &w->uni, t, s->form))
			b->text.oom = true;
		break;
	case AX_NORM_REPLACE:
		run_replace(b, s, t);
		break;
	case AX_NORM_REGEX:
		AX_TRY(run_regex(b, s, rw, t, e));
		break;
	case AX_NORM_PRECOMPILED:
		AX_TRY(ax_charsmap_run(s->map, b, t, &changed, e));
		if (!changed)
			return 0;
		break;
	case AX_NORM_PREPEND:
		if (!t->n)
			return 0;
		ax_nbuf_add(b, s->to, s->to_n, at, at);
		ax_nbuf_copy(b, t, 0, t->n);
		break;
	default:
		if (!run_chars(b, s->kind, t))
			return 0;
	}
	if (b->text.oom)
		return ax_fail(e, AX_EMEM, "out of memory in a normalizer");
	*t = ax_nbuf_text(b);
	return 0;
}

int ax_normalize(const struct ax_normalizers *s, struct ax_norm_work *w, struct ax_ntext *t, bool track,
		 struct ax_err *e)
{
	int free_buf = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct ax_nbuf *b = &w->buf[free_buf];

		ax_nbuf_reset(b, track);
		AX_TRY(run_step(&s->step[i], w, b, w->regex[i], t, e));
		if (b->text.p && t->p == b->text.p && b->text.n)
			free_buf ^= 1;
	}
	if (t->n >= AX_TOK_MAX_TEXT)
		return ax_fail(e, AX_EMEM, "normalized text is longer than 4 GiB");
	return 0;
}
