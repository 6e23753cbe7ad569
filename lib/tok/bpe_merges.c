/*
 * The list of merges: read, looked up and put into the table. Half a million merges are one and a half million look-ups
 * in a vocabulary larger than the caches; they are done in batches whose misses overlap.
 */
#include <string.h>

#include "base/mem.h"
#include "tok/bpe.h"

#define BATCH 48

struct batch {
	struct item {
		size_t off[3]; /* in text: left, right, and what they make */
		uint32_t n[3];
		uint32_t made; /* AX_TOK_NONE: to be looked up */
		uint64_t hash[3];
	} item[BATCH];
	size_t n;
	struct ax_buf text, left, right;
};

static const char *word(const struct batch *b, const struct item *x, int k)
{
	return b->text.p + x->off[k];
}

static int finish_item(const struct ax_bpe *m, struct ax_bpe_raw *raw, const struct batch *b, const struct item *x,
		       struct ax_err *e)
{
	uint32_t id[3];

	for (int k = 0; k < 3; k++) {
		id[k] = k == 2 && x->made != AX_TOK_NONE
				? x->made
				: ax_vocab_find_hashed(&m->vocab, word(b, x, k), x->n[k], x->hash[k]);
		if (id[k] == AX_TOK_NONE)
			return ax_fail(e, AX_EDATA, "merge %zu: token \"%.*s\" is not in the vocabulary", raw->n + 1,
				       (int)(x->n[k] < 80 ? x->n[k] : 80), word(b, x, k));
	}
	if (raw->n >= UINT32_MAX - 1 || !AX_GROW(raw->merge, raw->n, raw->cap))
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	raw->merge[raw->n] = (struct ax_merge){id[0], id[1], (uint32_t)raw->n, id[2]};
	raw->n++;
	return 0;
}

static bool is_token(const struct ax_vocab *v, uint32_t id, const char *p, size_t n)
{
	return id < v->id_end && v->str[id].n == n && !memcmp(v->text + v->str[id].off, p, n);
}

/* Merges mostly make tokens in the order of ids, some more than once: then no table needs to be asked. */
static void guess_made(const struct ax_bpe *m, const struct ax_bpe_raw *raw, struct batch *b)
{
	uint32_t id = raw->n && !m->vocab.moved ? raw->merge[raw->n - 1].id : AX_TOK_NONE;

	for (size_t i = 0; i < b->n; i++) {
		struct item *x = &b->item[i];
		const char *p = word(b, x, 2);

		x->made = AX_TOK_NONE;
		if (id == AX_TOK_NONE)
			continue;
		if (is_token(&m->vocab, id, p, x->n[2]))
			x->made = id;
		else if (is_token(&m->vocab, id + 1, p, x->n[2]))
			x->made = ++id;
	}
}

static int flush(const struct ax_bpe *m, struct ax_bpe_raw *raw, struct batch *b, struct ax_err *e)
{
	if (b->text.oom)
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	guess_made(m, raw, b);
	for (size_t i = 0; i < b->n; i++)
		for (int k = 0; k < 2 + (b->item[i].made == AX_TOK_NONE); k++)
			b->item[i].hash[k] = ax_vocab_hash(word(b, &b->item[i], k), b->item[i].n[k]);
	for (int step = 0; step < 3; step++)
		for (size_t i = 0; i < b->n; i++)
			for (int k = 0; k < 2 + (b->item[i].made == AX_TOK_NONE); k++)
				ax_vocab_touch(&m->vocab, b->item[i].hash[k], step);
	for (size_t i = 0; i < b->n; i++)
		AX_TRY(finish_item(m, raw, b, &b->item[i], e));
	b->n = 0;
	ax_buf_reset(&b->text);
	return 0;
}

/* One merge of the strings x and y. */
static int add(const struct ax_bpe *m, struct ax_bpe_raw *raw, struct batch *b, struct ax_slice x, struct ax_slice y,
	       struct ax_err *e)
{
	size_t skip = m->prefix ? strlen(m->prefix) : 0;
	struct item *it = &b->item[b->n++];

	if (y.n < skip)
		return ax_fail(e, AX_EDATA, "merge %zu: its right side is shorter than continuing_subword_prefix",
			       raw->n + b->n);
	if (x.n + y.n >= UINT32_MAX)
		return ax_fail(e, AX_EDATA, "merge %zu: too long", raw->n + b->n);
	*it = (struct item){.off = {b->text.n, b->text.n + x.n, b->text.n},
			    .n = {(uint32_t)x.n, (uint32_t)y.n, (uint32_t)(x.n + y.n - skip)}};
	ax_buf_add(&b->text, x.p, x.n);
	ax_buf_add(&b->text, y.p, y.n);
	if (skip) { /* else both together are what they make */
		it->off[2] = b->text.n;
		ax_buf_add(&b->text, x.p, x.n);
		ax_buf_add(&b->text, y.p + skip, y.n - skip);
	}
	return b->n == BATCH ? flush(m, raw, b, e) : 0;
}

/* "a b" */
static int legacy(const struct ax_bpe *m, struct ax_bpe_raw *raw, struct batch *b, struct ax_scan *s, struct ax_err *e)
{
	struct ax_slice line;
	const char *space;

	AX_TRY(ax_scan_string(s, &line, &b->left, e));
	if (line.n >= 8 && !memcmp(line.p, "#version", 8))
		return 0;
	space = memchr(line.p, ' ', line.n);
	if (!space || memchr(space + 1, ' ', line.n - (size_t)(space + 1 - line.p)))
		return ax_fail(e, AX_EDATA, "merge %zu: \"%.*s\" is not two tokens with one space between",
			       raw->n + b->n + 1, (int)(line.n < 80 ? line.n : 80), line.p);
	return add(m, raw, b, (struct ax_slice){line.p, (size_t)(space - line.p)},
		   (struct ax_slice){space + 1, line.n - (size_t)(space - line.p) - 1}, e);
}

/* ["a", "b"] */
static int pair(const struct ax_bpe *m, struct ax_bpe_raw *raw, struct batch *b, struct ax_scan *s, struct ax_err *e)
{
	struct ax_slice x, y;
	bool more;

	AX_TRY(ax_scan_open(s, '[', &more, e));
	if (more) {
		AX_TRY(ax_scan_string(s, &x, &b->left, e));
		AX_TRY(ax_scan_next(s, ']', &more, e));
	}
	if (more) {
		AX_TRY(ax_scan_string(s, &y, &b->right, e));
		AX_TRY(ax_scan_next(s, ']', &more, e));
		if (!more)
			return add(m, raw, b, x, y, e);
	}
	return ax_fail(e, AX_EDATA, "merge %zu: not a pair of tokens", raw->n + b->n + 1);
}

int ax_bpe_read_merges(const struct ax_bpe *m, struct ax_bpe_raw *raw, struct ax_scan *s, struct ax_err *e)
{
	struct batch *b = ax_calloc(1, sizeof(*b));
	char kind = 0;
	bool more;
	int rc;

	raw->n = 0;
	if (!b)
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	AX_GOTO(ax_scan_open(s, '[', &more, e));
	while (more) {
		char c = ax_scan_peek(s);

		if (kind && c != kind) {
			rc = ax_fail(e, AX_EDATA, "merge %zu: merges of two kinds, \"a b\" and [\"a\", \"b\"]",
				     raw->n + b->n + 1);
			goto out;
		}
		kind = c;
		AX_GOTO(c == '"' ? legacy(m, raw, b, s, e) : pair(m, raw, b, s, e));
		AX_GOTO(ax_scan_next(s, ']', &more, e));
	}
	rc = flush(m, raw, b, e);
out:
	ax_buf_release(&b->text);
	ax_buf_release(&b->left);
	ax_buf_release(&b->right);
	ax_free(b);
	return rc;
}

/* Of a pair that is listed twice the last rank counts. */
static void put(struct ax_bpe *m, uint32_t rank)
{
	struct ax_merge *x = &m->merge[rank];
	uint64_t tag = ax_bpe_pair_tag(x->left, x->right);
	uint64_t *b = ax_bpe_bucket(m, ax_bpe_pair_hash(x->left, x->right));
	size_t i = 0;

	for (;; i = 0, b = ax_bpe_next_bucket(m, b)) {
		for (; i < AX_BUCKET && b[i]; i++) {
			struct ax_merge *y = &m->merge[ax_bpe_slot_rank(b[i])];

			if (b[i] >> AX_RANK_BITS == tag && y->left == x->left && y->right == x->right) {
				y->left = AX_TOK_NONE;
				break;
			}
		}
		if (i < AX_BUCKET)
			break;
	}
	b[i] = tag << AX_RANK_BITS | (rank + 1);
}

int ax_bpe_build_merges(struct ax_bpe *m, const struct ax_bpe_raw *raw, struct ax_err *e)
{
	if (raw->n >= ((size_t)1 << AX_RANK_BITS) - 1)
		return ax_fail(e, AX_EMEM, "%zu merges are beyond the limit of %d", raw->n, (1 << AX_RANK_BITS) - 2);
	m->n_merge = raw->n;
	m->n_bucket = raw->n / 4 + 1; /* half full */
	m->merge = ax_malloc_huge(raw->n + 1, sizeof(*m->merge));
	m->merge_slot = ax_calloc_huge(m->n_bucket * AX_BUCKET, sizeof(*m->merge_slot)); /* which begins with a cache line */
	m->made = ax_malloc_huge(raw->n + 1, sizeof(*m->made));
	if (!m->merge || !m->merge_slot || !m->made)
		return ax_fail(e, AX_EMEM, "out of memory for merges");
	if (raw->n)
		memcpy(m->merge, raw->merge, raw->n * sizeof(*m->merge));
	for (size_t k = 0; k < raw->n; k++) {
		if (k + 16 < raw->n)
			ax_bpe_merge_touch(m, m->merge[k + 16].left, m->merge[k + 16].right);
		put(m, (uint32_t)k);
		m->made[k] = m->merge[k].id;
	}
	return 0;
}
