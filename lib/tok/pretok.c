#include "tok/pretok.h"

#include <string.h>

#include "text/breaks.h"
#include "tok/bpe.h"

int ax_pre_work_init(struct ax_pre_work *w, const struct ax_pretok *s, struct ax_err *e)
{
	memset(w, 0, sizeof(*w));
	for (size_t i = 0; i < s->n; i++)
		if (s->stage[i].regex) {
			w->regex[i] = ax_regex_work_new(s->stage[i].regex);
			if (!w->regex[i])
				return ax_fail(e, AX_EMEM, "out of memory");
		}
	return 0;
}

void ax_pre_work_release(struct ax_pre_work *w)
{
	for (size_t i = 0; i < AX_MAX_STAGES; i++) {
		ax_nbuf_release(&w->buf[i]);
		ax_nbuf_release(&w->spelled[i]);
		ax_regex_work_free(w->regex[i]);
	}
	memset(w, 0, sizeof(*w));
}

struct run {
	const struct ax_pretok *s;
	struct ax_pre_work *w;
	bool track;
	ax_pre_sink sink;
	void *ctx;
	struct ax_err *e;
};

static int run_stage(const struct run *r, size_t k, const struct ax_ntext *t);

/* Hand bytes [from, to) of t to the stage behind k. */
static int child(const struct run *r, size_t k, const struct ax_ntext *t, size_t from, size_t to)
{
	struct ax_ntext piece;

	if (from == to)
		return 0;
	piece = ax_ntext_slice(*t, from, to);
	return k + 1 == r->s->n ? r->sink(r->ctx, &piece, r->e) : run_stage(r, k + 1, &piece);
}

/* Walks through a text as segments: matches of the stage's pattern, and what is between them. */
struct walk {
	const struct ax_pre_stage *s;
	struct ax_regex_work *regex;
	const char *p;
	size_t n, pos;
	struct ax_regex_iter it;
	size_t begin, end; /* a match found ahead, if have */
	bool have;
};

/* Does the pattern match at i, and up to where? i: it does not. */
static size_t match_at(const struct walk *w, size_t i)
{
	const unsigned char *p = (const unsigned char *)w->p;
	size_t len;

	switch (w->s->kind) {
	case AX_PRE_SPLIT:
		return w->s->fn(p, i, w->n);
	case AX_PRE_WORDS:
		for (uint32_t kind = 0; i < w->n; i += len) {
			uint32_t f = ax_uni(ax_utf8_get(p + i, &len)), now = f & AX_UNI_RWORD	 ? 1
									     : f & AX_UNI_RSPACE ? 2
												 : 3;

			if (now == 2 || (kind && now != kind))
				break;
			kind = now;
		}
		return i;
	case AX_PRE_FIXED:
		for (size_t k = 0; k < w->s->length && i < w->n; k++)
			i += ax_utf8_len(p[i]);
		return i;
	default:
		return i;
	}
}

/* Where a text of whole characters occurs in p[i..n) first; n: nowhere. */
static size_t find_text(const char *p, size_t i, size_t n, const char *text, size_t text_n)
{
	const char *q;

	for (; text_n && n - i >= text_n; i = (size_t)(q - p) + 1) {
		q = p + i;
		if (*q != text[0] && !(q = memchr(q, text[0], n - i - text_n + 1)))
			return n;
		if (!memcmp(q, text, text_n))
			return (size_t)(q - p);
	}
	return n;
}

/* The first character of a class in p[i..n), and its bytes; n: none. */
static size_t find_class(const unsigned char *p, size_t i, size_t n, uint32_t flag, size_t *len)
{
	for (; i < n; i += *len) {
		*len = 1;
		if (ax_uni(p[i] < 128 ? p[i] : ax_utf8_get(p + i, len)) & flag)
			return i;
	}
	return n;
}

/* The next match from w->pos on into begin and end; false: none. */
static int find_match(struct walk *w, struct ax_err *e)
{
	const struct ax_pre_stage *s = w->s;
	size_t i, to, len = 0;
	int rc;

	switch (s->kind) {
	case AX_PRE_REGEX:
		rc = ax_regex_find(s->regex, w->regex, w->p, w->n, &w->it, &w->begin, &w->end);
		return rc < 0 ? ax_fail(e, AX_EMEM, "a pre-tokenizer's regex needs too many steps on this text") : rc;
	case AX_PRE_CLASS:
		w->begin = find_class((const unsigned char *)w->p, w->pos, w->n, s->flag, &len);
		w->end = w->begin + len;
		return w->begin < w->n;
	case AX_PRE_LITERAL:
	case AX_PRE_CHAR:
		w->begin = find_text(w->p, w->pos, w->n, s->text, s->text_n);
		w->end = w->begin + s->text_n;
		return w->begin < w->n;
	default:
		break;
	}
	for (i = w->pos; i < w->n; i += ax_utf8_len((unsigned char)w->p[i])) {
		to = match_at(w, i);
		if (to > i) {
			w->begin = i;
			w->end = to;
			return 1;
		}
	}
	return 0;
}

struct segment {
	size_t begin, end;
	bool match;
};

/* The next segment; 0 at the end. A regex may match nothing: such a segment is empty. */
static int next_segment(struct walk *w, struct segment *out, struct ax_err *e)
{
	int rc = 1;

	if (!w->have) {
		if (w->pos == w->n && w->s->kind != AX_PRE_REGEX)
			return 0;
		rc = find_match(w, e);
		if (rc < 0)
			return rc;
		w->have = rc > 0;
		if (!w->have)
			w->begin = w->end = w->n;
	}
	if (w->begin > w->pos) {
		*out = (struct segment){w->pos, w->begin, w->s->invert};
		w->pos = w->begin;
		return 1;
	}
	if (!w->have)
		return 0;
	*out = (struct segment){w->begin, w->end, !w->s->invert};
	w->pos = w->end;
	w->have = false;
	return 1;
}

/* Cut t by the stage's pattern and behaviour. Pieces are kept back in `held` while the next segment may join them. */
static int cut(const struct run *r, size_t k, const struct ax_ntext *t)
{
	const struct ax_pre_stage *s = &r->s->stage[k];
	struct walk w = {s, r->w->regex[k], t->p, t->n, 0, {0, 0}, 0, 0, false};
	struct segment g, held = {0, 0, false};
	bool holding = false, previous = false;
	int rc;

	while ((rc = next_segment(&w, &g, r->e)) > 0) {
		bool join = false;

		switch (s->behavior) {
		case AX_PRE_REMOVED:
			if (!g.match)
				AX_TRY(child(r, k, t, g.begin, g.end));
			continue;
		case AX_PRE_ISOLATED:
			AX_TRY(child(r, k, t, g.begin, g.end));
			continue;
		case AX_PRE_PREVIOUS:
			join = g.match && !previous;
			break;
		case AX_PRE_NEXT:
			join = !g.match && previous;
			break;
		case AX_PRE_CONTIGUOUS:
			join = g.match == previous;
			break;
		}
		previous = g.match;
		if (join && holding) {
			held.end = g.end;
			continue;
		}
		if (holding)
			AX_TRY(child(r, k, t, held.begin, held.end));
		held = g;
		holding = true;
	}
	if (rc < 0)
		return rc;
	return holding ? child(r, k, t, held.begin, held.end) : 0;
}

/* The common case at speed: a hand-written splitter whose matches and gaps all become pieces. */
static int cut_isolated(const struct run *r, size_t k, const struct ax_ntext *t, ax_split_fn fn)
{
	const unsigned char *p = (const unsigned char *)t->p;
	size_t gap = 0, i = 0;

	while (i < t->n) {
		size_t to = fn(p, i, t->n);

		if (to == i) {
			i += ax_utf8_len(p[i]);
			continue;
		}
		if (gap < i)
			AX_TRY(child(r, k, t, gap, i));
		AX_TRY(child(r, k, t, i, to));
		gap = i = to;
	}
	return gap < t->n ? child(r, k, t, gap, t->n) : 0;
}

/* The same for single characters of a class, which are dropped or become pieces. */
static int cut_class(const struct run *r, size_t k, const struct ax_ntext *t)
{
	const struct ax_pre_stage *s = &r->s->stage[k];
	size_t len = 0;

	for (size_t from = 0, at; from < t->n; from = at + len) {
		at = find_class((const unsigned char *)t->p, from, t->n, s->flag, &len);
		AX_TRY(child(r, k, t, from, at));
		if (at == t->n)
			break;
		if (s->behavior == AX_PRE_ISOLATED)
			AX_TRY(child(r, k, t, at, at + len));
	}
	return 0;
}

static bool starts_with(const struct ax_ntext *t, const char *s, size_t n)
{
	return t->n >= n && !memcmp(t->p, s, n);
}

/* Metaspace's cut: before each mark. */
static int cut_marks(const struct run *r, size_t k, const struct ax_ntext *t)
{
	const struct ax_pre_stage *s = &r->s->stage[k];
	size_t to = find_text(t->p, 0, t->n, s->text, s->text_n);

	AX_TRY(child(r, k, t, 0, to));
	for (size_t from = to; from < t->n; from = to) {
		to = find_text(t->p, from + s->text_n, t->n, s->text, s->text_n);
		AX_TRY(child(r, k, t, from, to));
	}
	return 0;
}

static int metaspace(const struct run *r, size_t k, const struct ax_ntext *t)
{
	const struct ax_pre_stage *s = &r->s->stage[k];
	struct ax_nbuf *b = &r->w->buf[k];
	uint32_t start = t->begin ? t->begin[0] : t->base;
	const char *q;
	struct ax_ntext m;
	size_t done = 0;

	ax_nbuf_reset(b, r->track);
	if (!(t->p[0] == ' ' || starts_with(t, s->text, s->text_n)) &&
	    (s->prepend == AX_PRE_ALWAYS || (s->prepend == AX_PRE_FIRST && start == 0)))
		ax_nbuf_add(b, s->text, s->text_n, start, start);
	while (done < t->n && (q = t->p[done] == ' ' ? t->p + done : memchr(t->p + done, ' ', t->n - done))) {
		size_t at = (size_t)(q - t->p);
		uint32_t begin, end;

		if (done < at)
			ax_nbuf_copy(b, t, done, at);
		ax_ntext_range(t, at, at + 1, &begin, &end);
		ax_nbuf_add(b, s->text, s->text_n, begin, end);
		done = at + 1;
	}
	ax_nbuf_copy(b, t, done, t->n);
	if (b->text.oom)
		return ax_fail(r->e, AX_EMEM, "out of memory in a pre-tokenizer");
	m = ax_nbuf_text(b);
	return s->split ? cut_marks(r, k, &m) : child(r, k, &m, 0, m.n);
}

/* A final piece of ByteLevel: as it is, or spelled for what follows. */
static int byte_piece(const struct run *r, size_t k, const struct ax_ntext *t, size_t from, size_t to)
{
	struct ax_nbuf *b = &r->w->spelled[k];
	struct ax_ntext m;

	if (!r->s->stage[k].spell)
		return child(r, k, t, from, to);
	ax_nbuf_reset(b, r->track);
	for (size_t i = from; i < to; i++) {
		uint32_t begin, end;
		char utf8[4];

		ax_ntext_range(t, i, i + 1, &begin, &end);
		ax_nbuf_add(b, utf8, ax_utf8_put(ax_char_of_byte((unsigned char)t->p[i]), utf8), begin, end);
	}
	if (b->text.oom)
		return ax_fail(r->e, AX_EMEM, "out of memory in a pre-tokenizer");
	m = ax_nbuf_text(b);
	return child(r, k, &m, 0, m.n);
}

static int bytes(const struct run *r, size_t k, const struct ax_ntext *t)
{
	const struct ax_pre_stage *s = &r->s->stage[k];
	struct ax_nbuf *b = &r->w->buf[k];
	struct ax_ntext m = *t;

	if (s->prefix_space && t->p[0] != ' ') {
		uint32_t start = t->begin ? t->begin[0] : t->base;

		ax_nbuf_reset(b, r->track);
		ax_nbuf_add(b, " ", 1, start, start);
		ax_nbuf_copy(b, t, 0, t->n);
		if (b->text.oom)
			return ax_fail(r->e, AX_EMEM, "out of memory in a pre-tokenizer");
		m = ax_nbuf_text(b);
	}
	if (!s->use_regex)
		return byte_piece(r, k, &m, 0, m.n);
	for (size_t i = 0, to; i < m.n; i = to) {
		to = ax_split_gpt2((const unsigned char *)m.p, i, m.n);
		AX_TRY(byte_piece(r, k, &m, i, to));
	}
	return 0;
}

/*
 * Cut where the script changes; characters of any script go with what is before them. Those before the first script are
 * dropped, as in Hugging Face's code.
 */
static int scripts(const struct run *r, size_t k, const struct ax_ntext *t)
{
	size_t from = t->n, len;
	unsigned last = 0;

	for (size_t i = 0; i < t->n; i += len) {
		unsigned now = ax_script(ax_utf8_get((const unsigned char *)t->p + i, &len));

		if (!now || now == last)
			continue;
		if (last)
			AX_TRY(child(r, k, t, from, i));
		from = i;
		last = now;
	}
	return child(r, k, t, from, t->n);
}

static int run_stage(const struct run *r, size_t k, const struct ax_ntext *t)
{
	const struct ax_pre_stage *s = &r->s->stage[k];

	if (s->kind == AX_PRE_BYTES)
		return bytes(r, k, t);
	if (s->kind == AX_PRE_METASPACE)
		return metaspace(r, k, t);
	if (s->kind == AX_PRE_SCRIPTS)
		return scripts(r, k, t);
	if (s->kind == AX_PRE_SPLIT && s->behavior == AX_PRE_ISOLATED)
		return cut_isolated(r, k, t, s->fn);
	if (s->kind == AX_PRE_CLASS && !s->invert && (s->behavior == AX_PRE_ISOLATED || s->behavior == AX_PRE_REMOVED))
		return cut_class(r, k, t);
	return cut(r, k, t);
}

int ax_pretok_run(const struct ax_pretok *s, struct ax_pre_work *w, struct ax_ntext text, bool track, ax_pre_sink sink,
		  void *ctx, struct ax_err *e)
{
	struct run r = {s, w, track, sink, ctx, e};

	if (!text.n)
		return 0;
	return s->n ? run_stage(&r, 0, &text) : sink(ctx, &text, e);
}
