#include "tok/decode.h"

#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/tokenizer_impl.h"

#define REPLACEMENT "\xEF\xBF\xBD"

/* A list of texts, end to end. */
struct list {
	struct ax_buf text;
	size_t *end; /* of each */
	size_t n, cap;
	bool oom;
};

struct slice {
	const char *p;
	size_t n;
};

static void list_reset(struct list *l)
{
	ax_buf_reset(&l->text);
	l->n = 0;
}

static void list_release(struct list *l)
{
	ax_buf_release(&l->text);
	ax_free(l->end);
}

/* What was added to l->text since the last text is the next one. */
static void list_close(struct list *l)
{
	if (!AX_GROW(l->end, l->n, l->cap)) {
		l->oom = true;
		return;
	}
	l->end[l->n++] = l->text.n;
}

static struct slice at(const struct list *l, size_t i)
{
	size_t from = i ? l->end[i - 1] : 0;

	return (struct slice){l->text.p ? l->text.p + from : "", l->end[i] - from};
}

static bool begins(struct slice s, const char *p, size_t n)
{
	return s.n >= n && (n == 0 || !memcmp(s.p, p, n));
}

/* s with each `from` replaced; an empty one stands between all characters and at both ends. */
static void replace(struct ax_buf *b, struct slice s, struct slice from, struct slice to)
{
	while (s.n) {
		size_t step;

		if (from.n && begins(s, from.p, from.n)) {
			ax_buf_add(b, to.p, to.n);
			s = (struct slice){s.p + from.n, s.n - from.n};
			continue;
		}
		step = ax_utf8_len((unsigned char)s.p[0]);
		if (!from.n)
			ax_buf_add(b, to.p, to.n);
		ax_buf_add(b, s.p, step);
		s = (struct slice){s.p + step, s.n - step};
	}
	if (!from.n)
		ax_buf_add(b, to.p, to.n);
}

static struct slice text_of(const char *p, size_t n)
{
	return (struct slice){p, n};
}

/* English text: no blank before punctuation and what was split off a word. */
static void cleanup(struct ax_buf *b, struct slice s, struct ax_buf work[2])
{
	static const char *const pair[][2] = {{" .", "."},	{" ?", "?"},	 {" !", "!"},
					      {" ,", ","},	{" ' ", "'"},	 {" n't", "n't"},
					      {" 'm", "'m"},	{" do not", " don't"}, {" 's", "'s"},
					      {" 've", "'ve"}, {" 're", "'re"}};

	for (size_t i = 0; i < sizeof(pair) / sizeof(pair[0]); i++) {
		struct ax_buf *to = &work[i & 1];

		ax_buf_reset(to);
		replace(to, s, text_of(pair[i][0], strlen(pair[i][0])), text_of(pair[i][1], strlen(pair[i][1])));
		b->oom |= to->oom;
		s = text_of(to->p ? to->p : "", to->n);
	}
	ax_buf_add(b, s.p, s.n);
}

/* --- one step: from a list to a list --- */

struct job {
	const struct ax_decoder *d;
	const struct list *in;
	struct list *out;
	struct ax_buf work[3];
};

static void join(const struct list *in, struct list *out)
{
	if (in->text.n)
		ax_buf_add(&out->text, in->text.p, in->text.n);
	list_close(out);
}

static void run_bpe(struct job *j)
{
	for (size_t i = 0; i < j->in->n; i++) {
		replace(&j->out->text, at(j->in, i), text_of(j->d->a, j->d->a_n), text_of(" ", i + 1 < j->in->n));
		list_close(j->out);
	}
}

/* A text whose characters all spell bytes is those bytes; another is itself. */
static void add_bytes(struct ax_buf *b, struct slice s)
{
	size_t old = b->n, len;

	for (size_t i = 0; i < s.n; i += len) {
		int c = ax_byte_of_char(ax_utf8_get((const unsigned char *)s.p + i, &len));

		if (c < 0) {
			b->n = old;
			ax_buf_add(b, s.p, s.n);
			return;
		}
		ax_buf_addc(b, (char)c);
	}
}

static void run_bytes(struct job *j)
{
	struct ax_buf *raw = &j->work[0];

	ax_buf_reset(raw);
	for (size_t i = 0; i < j->in->n; i++)
		add_bytes(raw, at(j->in, i));
	if (raw->n)
		ax_utf8_repair(&j->out->text, raw->p, raw->n);
	j->out->oom |= raw->oom;
	list_close(j->out);
}

static void run_wordpiece(struct job *j)
{
	struct ax_buf *word = &j->work[2];

	for (size_t i = 0; i < j->in->n; i++) {
		struct slice s = at(j->in, i);
		bool joined = i && begins(s, j->d->a, j->d->a_n);

		ax_buf_reset(word);
		if (joined)
			s = text_of(s.p + j->d->a_n, s.n - j->d->a_n);
		else if (i)
			ax_buf_addc(word, ' ');
		ax_buf_add(word, s.p, s.n);
		j->out->oom |= word->oom;
		s = text_of(word->p ? word->p : "", word->n);
		if (j->d->flag)
			cleanup(&j->out->text, s, j->work);
		else
			ax_buf_add(&j->out->text, s.p, s.n);
		list_close(j->out);
	}
}

static void run_metaspace(struct job *j)
{
	for (size_t i = 0; i < j->in->n; i++) {
		replace(&j->out->text, at(j->in, i), text_of(j->d->a, j->d->a_n), text_of(" ", i || !j->d->flag));
		list_close(j->out);
	}
}

static bool same(struct slice a, struct slice b)
{
	return a.n == b.n && begins(a, b.p, b.n);
}

static void run_ctc(struct job *j)
{
	struct ax_buf *left = &j->work[2], *clean = &j->out->text;

	for (size_t i = 0; i < j->in->n; i++) {
		struct ax_buf tidy = AX_BUF_INIT;
		size_t old = clean->n;

		if (i && same(at(j->in, i), at(j->in, i - 1)))
			continue;
		ax_buf_reset(left);
		replace(left, at(j->in, i), text_of(j->d->a, j->d->a_n), text_of("", 0));
		if (j->d->flag) {
			cleanup(&tidy, text_of(left->p ? left->p : "", left->n), j->work);
			replace(clean, text_of(tidy.p ? tidy.p : "", tidy.n), text_of(j->d->b, j->d->b_n), text_of(" ", 1));
		} else {
			ax_buf_add(clean, left->p, left->n);
		}
		j->out->oom |= left->oom | tidy.oom;
		ax_buf_release(&tidy);
		if (clean->n > old)
			list_close(j->out);
	}
}

static int replace_regex(struct job *j, struct ax_regex_work *w, struct slice s, struct ax_err *e)
{
	struct ax_regex_iter it = {0};
	size_t done = 0, begin, end;
	int got = 0;

	while (s.n && (got = ax_regex_find(j->d->re, w, s.p, s.n, &it, &begin, &end)) == 1) {
		ax_buf_add(&j->out->text, s.p + done, begin - done);
		ax_buf_add(&j->out->text, j->d->b, j->d->b_n);
		done = end;
	}
	if (got < 0)
		return ax_fail(e, got, "decoder: a match of Replace takes too long");
	ax_buf_add(&j->out->text, s.p + done, s.n - done);
	list_close(j->out);
	return 0;
}

static int run_replace(struct job *j, struct ax_err *e)
{
	struct ax_regex_work *w;
	int rc = 0;

	if (j->d->refused)
		return ax_fail(e, AX_EDATA, "decoder: Replace: %s", j->d->refused);
	for (size_t i = 0; !j->d->re && i < j->in->n; i++) {
		replace(&j->out->text, at(j->in, i), text_of(j->d->a, j->d->a_n), text_of(j->d->b, j->d->b_n));
		list_close(j->out);
	}
	if (!j->d->re)
		return 0;
	w = ax_regex_work_new(j->d->re);
	if (!w)
		return ax_fail(e, AX_EMEM, "out of memory");
	for (size_t i = 0; !rc && i < j->in->n; i++)
		rc = replace_regex(j, w, at(j->in, i), e);
	ax_regex_work_free(w);
	return rc;
}

static void run_strip(struct job *j)
{
	for (size_t i = 0; i < j->in->n; i++) {
		struct slice s = at(j->in, i);

		for (size_t k = 0; k < j->d->start && begins(s, j->d->a, j->d->a_n); k++)
			s = text_of(s.p + j->d->a_n, s.n - j->d->a_n);
		for (size_t k = 0; k < j->d->stop && s.n >= j->d->a_n && !memcmp(s.p + s.n - j->d->a_n, j->d->a, j->d->a_n); k++)
			s.n -= j->d->a_n;
		ax_buf_add(&j->out->text, s.p, s.n);
		list_close(j->out);
	}
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that "<0xNN>" spells, or -1. A plus sign and one digit are a number too, where this rule comes from. */
static int byte_of(struct slice s)
{
	int high, low;

	if (s.n != 6 || memcmp(s.p, "<0x", 3) || s.p[5] != '>')
		return -1;
	high = s.p[3] == '+' ? 0 : hex(s.p[3]);
	low = hex(s.p[4]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static void end_run(struct job *j)
{
	struct ax_buf *run = &j->work[0];

	if (!run->n)
		return;
	if (ax_utf8_check(run->p, run->n) == run->n) {
		ax_buf_add(&j->out->text, run->p, run->n);
		list_close(j->out);
	} else {
		for (size_t i = 0; i < run->n; i++) {
			ax_buf_adds(&j->out->text, REPLACEMENT);
			list_close(j->out);
		}
	}
	j->out->oom |= run->oom;
	ax_buf_reset(run);
}

static void run_fallback(struct job *j)
{
	ax_buf_reset(&j->work[0]);
	for (size_t i = 0; i < j->in->n; i++) {
		struct slice s = at(j->in, i);
		int c = byte_of(s);

		if (c >= 0) {
			ax_buf_addc(&j->work[0], (char)c);
			continue;
		}
		end_run(j);
		ax_buf_add(&j->out->text, s.p, s.n);
		list_close(j->out);
	}
	end_run(j);
}

static int run_step(struct job *j, struct ax_err *e)
{
	int rc = 0;

	list_reset(j->out);
	switch (j->d->kind) {
	case AX_DEC_BPE:
		run_bpe(j);
		break;
	case AX_DEC_BYTES:
		run_bytes(j);
		break;
	case AX_DEC_WORDPIECE:
		run_wordpiece(j);
		break;
	case AX_DEC_METASPACE:
		run_metaspace(j);
		break;
	case AX_DEC_CTC:
		run_ctc(j);
		break;
	case AX_DEC_REPLACE:
		rc = run_replace(j, e);
		break;
	case AX_DEC_FUSE:
		join(j->in, j->out);
		break;
	case AX_DEC_STRIP:
		run_strip(j);
		break;
	case AX_DEC_FALLBACK:
		run_fallback(j);
		break;
	}
	if (!rc && (j->out->oom || j->out->text.oom || j->out->text.n > AX_DECODE_MAX))
		rc = ax_fail(e, AX_EMEM, "out of memory, or a text of more than %zu bytes", AX_DECODE_MAX);
	return rc;
}

/* --- ids to texts --- */

static bool is_special(const struct ax_tokenizer *t, const char *p, size_t n)
{
	uint32_t id = ax_vocab_find(&t->names, p, n);
	const struct ax_tok_added *a = id == AX_TOK_NONE ? NULL : ax_tokenizer_added(t, id);

	return a && a->special;
}

static int list_tokens(const struct ax_tokenizer *t, const uint32_t *id, size_t n, unsigned flags, struct list *l,
		       struct ax_err *e)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = 0;
		const char *p = ax_tokenizer_piece(t, id[i], &len);

		if (!p || (flags & AX_DECODE_SKIP_SPECIAL && is_special(t, p, len)))
			continue;
		if (l->n && !t->dec.given)
			ax_buf_addc(&l->text, ' ');
		ax_buf_add(&l->text, p, len);
		list_close(l);
		if (l->text.n > AX_DECODE_MAX)
			break;
	}
	if (l->oom || l->text.oom || l->text.n > AX_DECODE_MAX)
		return ax_fail(e, AX_EMEM, "out of memory, or a text of more than %zu bytes", AX_DECODE_MAX);
	return 0;
}

int ax_tokenizer_decode(const struct ax_tokenizer *t, const uint32_t *id, size_t n, unsigned flags, struct ax_buf *out,
			struct ax_err *e)
{
	struct list l[2] = {{AX_BUF_INIT, NULL, 0, 0, false}, {AX_BUF_INIT, NULL, 0, 0, false}};
	struct job j = {.work = {AX_BUF_INIT, AX_BUF_INIT, AX_BUF_INIT}};
	size_t now = 0;
	int rc;

	AX_GOTO(list_tokens(t, id, n, flags, &l[0], e));
	for (size_t i = 0; i < t->dec.n; i++, now = !now) {
		j.d = &t->dec.step[i];
		j.in = &l[now];
		j.out = &l[!now];
		AX_GOTO(run_step(&j, e));
	}
	ax_buf_add(out, l[now].text.p ? l[now].text.p : "", l[now].text.n);
	if (out->oom)
		rc = ax_fail(e, AX_EMEM, "out of memory");
out:
	for (int i = 0; i < 3; i++)
		ax_buf_release(&j.work[i]);
	list_release(&l[0]);
	list_release(&l[1]);
	return rc;
}
