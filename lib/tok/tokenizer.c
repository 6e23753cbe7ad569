#include "tok/tokenizer.h"

#include <string.h>

#include "tok/marks.h"
#include "tok/tokenizer_impl.h"

#define CUT_MAX	    (AX_LIST_MAX - AX_CUT_SPARE) /* what comes of it is one list */
#define APART_DEPTH 64 /* a part is shorter than the guarded token whose cut it begins behind */

/* Pieces of the input that wait for the model: of text, and added tokens. */
struct pieces {
	uint32_t at[CUT_MAX + AX_CUT_SPARE];
	struct ax_bpe_token token[CUT_MAX];
	size_t n, n_token;
};

struct ax_tok_scratch {
	struct ax_norm_work norm;
	struct ax_pre_work pre;
	struct ax_model_work *model;
	struct ax_buf marked;
	struct pieces pieces;
};

void ax_ids_reset(struct ax_ids *ids)
{
	ids->n = 0;
}

void ax_ids_release(struct ax_ids *ids)
{
	ax_free(ids->id);
	ax_free(ids->begin);
	ax_free(ids->end);
	memset(ids, 0, sizeof(*ids));
}

int ax_tok_scratch_new(struct ax_tok_scratch **out, const struct ax_tokenizer *t, struct ax_err *e)
{
	struct ax_tok_scratch *s = ax_calloc(1, sizeof(*s));
	int rc = 0;

	*out = NULL;
	if (!s)
		return ax_fail(e, AX_EMEM, "out of memory");
	s->model = ax_model_work_new(&t->model);
	rc = s->model ? ax_norm_work_init(&s->norm, &t->norm, e) : ax_fail(e, AX_EMEM, "out of memory");
	if (!rc)
		rc = ax_pre_work_init(&s->pre, &t->pre, e);
	if (rc) {
		ax_tok_scratch_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void ax_tok_scratch_free(struct ax_tok_scratch *s)
{
	if (!s)
		return;
	ax_norm_work_release(&s->norm);
	ax_pre_work_release(&s->pre);
	ax_model_work_free(s->model);
	ax_buf_release(&s->marked);
	ax_free(s);
}

/* One call of ax_tokenizer_encode. */
struct job {
	const struct ax_tokenizer *t;
	struct ax_tok_scratch *s;
	unsigned flags;
	struct ax_guards *guards; /* NULL: none */
	bool all;		  /* the whole text is data */
	bool track;		  /* ranges are asked for, or ids depend on them */
	bool apart;		  /* the model itself can form guarded tokens */
	bool gather;		  /* pieces are gathered from text to text, so that the model has many to do at once */
	struct ax_tok_marks *marks; /* places that are looked for without ranges; NULL: none */
	struct ax_ids *out;
	const struct ax_ntext *input;
	const struct ax_ntext *text; /* what is searched for added tokens */
};

/* A pre-tokenized piece to the model; offsets from the piece back to the input. */
static int encode_piece(struct job *j, const struct ax_ntext *piece, struct ax_err *e)
{
	size_t from = j->out->n;
	struct ax_ids *o = j->out;

	AX_TRY(ax_model_encode(&j->t->model, j->s->model, piece->p, piece->n, j->track, piece->base, o, e));
	if (j->track && piece->begin)
		for (size_t i = from; i < o->n; i++) {
			uint32_t b = o->begin[i] - piece->base, end = o->end[i] - piece->base;

			ax_ntext_range(piece, b, end, &o->begin[i], &o->end[i]);
		}
	return 0;
}

static bool is_guarded(const struct job *j, const struct ax_tok_added *tok)
{
	return tok->special || tok->guarded || ax_guards_lists(j->guards, tok->id);
}

/* Did the model make a guarded token of data? The unknown token is what unknown characters give: there is no harm in it. */
static bool is_forged(const struct job *j, const struct ax_ntext *piece, const struct ax_ids *ids, size_t i)
{
	const struct ax_tok_added *tok = ax_tokenizer_added(j->t, ids->id[i]);
	uint32_t b, e;

	if (!tok || !tok->merged || tok->id == ax_model_unk(&j->t->model) || !is_guarded(j, tok))
		return false;
	if (j->all)
		return true;
	ax_ntext_range(piece, ids->begin[i], ids->end[i], &b, &e);
	return ax_guards_overlap(j->guards, b, e);
}

/*
 * Encode a piece so that no guarded token comes out of data: it is cut behind the first character of each, and the
 * parts are encoded. What they give may have to be cut again; `depth` bounds that.
 */
static int encode_apart(struct job *j, const struct ax_ntext *piece, unsigned depth, struct ax_err *e)
{
	struct ax_ids ids = AX_IDS_INIT;
	size_t done = 0, len;
	struct ax_ntext part;
	int rc;

	AX_GOTO(ax_model_encode(&j->t->model, j->s->model, piece->p, piece->n, true, 0, &ids, e));
	for (size_t i = 0; i < ids.n; i++) {
		size_t cut = ids.begin[i];

		if (!is_forged(j, piece, &ids, i))
			continue;
		ax_utf8_get((const unsigned char *)piece->p + cut, &len);
		cut += len;
		if (cut >= ids.end[i]) /* a single character has no other spelling */
			continue;
		if (depth == 0)
			AX_GOTO(ax_fail(e, AX_EMEM, "text of special tokens, nested too deep"));
		j->guards->n_held++;
		part = ax_ntext_slice(*piece, done, cut);
		AX_GOTO(encode_apart(j, &part, depth - 1, e));
		done = cut;
	}
	part = ax_ntext_slice(*piece, done, piece->n);
	rc = done ? encode_apart(j, &part, depth - 1, e) : encode_piece(j, piece, e);
out:
	ax_ids_release(&ids);
	return rc;
}

static int model(void *ctx, const struct ax_ntext *piece, struct ax_err *e)
{
	struct job *j = ctx;

	return j->apart ? encode_apart(j, piece, APART_DEPTH, e) : encode_piece(j, piece, e);
}

/* Are ranges known of what is not gathered? */
static bool ranges(const struct job *j)
{
	return j->track || j->marks;
}

static int push_id(struct job *j, uint32_t id, uint32_t begin, uint32_t end, struct ax_err *e)
{
	AX_TRY(ax_ids_reserve(j->out, 1, ranges(j), e));
	if (ranges(j)) {
		j->out->begin[j->out->n] = begin;
		j->out->end[j->out->n] = end;
	}
	j->out->id[j->out->n++] = id;
	return 0;
}

const struct ax_tok_added *ax_tokenizer_added(const struct ax_tokenizer *t, uint32_t id)
{
	size_t lo = 0, hi = t->n_added;

	if (hi && id - t->added[0].id < hi && t->added[id - t->added[0].id].id == id) /* mostly there are no gaps */
		return &t->added[id - t->added[0].id];
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (t->added[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->n_added && t->added[lo].id == id ? &t->added[lo] : NULL;
}

static bool is_word(uint32_t c)
{
	return ax_uni(c) & AX_UNI_RWORD;
}

/* single_word: no word character directly before or behind. */
static bool stands_alone(const struct ax_ntext *t, size_t begin, size_t end)
{
	const unsigned char *p = (const unsigned char *)t->p;
	size_t len;

	return (begin == 0 || !is_word(ax_utf8_before(p + begin))) &&
	       (end == t->n || !is_word(ax_utf8_get(p + end, &len)));
}

/*
 * May this added token stand at [begin, end) of the searched text, or would it be made of data? One that a word beside
 * it takes out anyway is not refused: then it takes its text out, as without guards.
 */
static bool allowed(void *ctx, uint32_t added, size_t begin, size_t end)
{
	const struct job *j = ctx;
	const struct ax_tok_added *tok = &j->t->added[added];
	uint32_t b, e;

	if (!is_guarded(j, tok) || (tok->single_word && !stands_alone(j->text, begin, end)))
		return true;
	if (!j->all) {
		ax_ntext_range(j->text, begin, end, &b, &e);
		if (!ax_guards_overlap(j->guards, b, e))
			return true;
	}
	j->guards->n_held++;
	return false;
}

static size_t strip_left(const struct ax_ntext *t, size_t begin, size_t floor)
{
	const unsigned char *p = (const unsigned char *)t->p;

	while (begin > floor && ax_uni(ax_utf8_before(p + begin)) & AX_UNI_RSPACE)
		do
			begin--;
		while ((p[begin] & 0xC0) == 0x80);
	return begin;
}

static size_t strip_right(const struct ax_ntext *t, size_t end)
{
	const unsigned char *p = (const unsigned char *)t->p;
	size_t len;

	for (; end < t->n && ax_uni(ax_utf8_get(p + end, &len)) & AX_UNI_RSPACE; end += len)
		;
	return end;
}

static int flush_pieces(struct job *j, struct ax_err *e)
{
	struct pieces *s = &j->s->pieces;
	struct ax_bpe_list l = {j->input->p, j->input->n, s->at, s->n, s->token, s->n_token, 0, j->marks};

	s->n = s->n_token = 0;
	return l.k ? ax_bpe_encode_list(&j->t->model.bpe, j->s->model->bpe, &l, j->track, j->out, e) : 0;
}

/* The next piece begins at byte `at` of the input. */
static int gather_at(struct job *j, size_t at, struct ax_err *e)
{
	const struct pieces *s = &j->s->pieces;

	return s->n && s->at[s->n] != at ? flush_pieces(j, e) : 0;
}

/* A text of the input, cut where no merge joins. */
static int gather_text(struct job *j, const struct ax_ntext *t, struct ax_err *e)
{
	struct pieces *s = &j->s->pieces;
	size_t i = t->base, end = t->base + t->n, k;

	while ((k = ax_bpe_cut(&j->t->model.bpe, j->input->p, end, &i, s->at + s->n, CUT_MAX - s->n))) {
		s->n += k;
		if (s->n >= CUT_MAX)
			AX_TRY(flush_pieces(j, e));
	}
	return 0;
}

/* A text of the input, cut by a known pre-tokenizer. */
static int gather_cut(struct job *j, const struct ax_ntext *t, struct ax_err *e)
{
	struct ax_cutter c = {(const unsigned char *)j->input->p, t->base + t->n, t->base, 0, j->t->cut_kind};
	struct pieces *s = &j->s->pieces;

	AX_TRY(gather_at(j, t->base, e));
	while (c.i < c.n) {
		s->n += j->t->cut(&c, s->at + s->n, CUT_MAX - s->n);
		if (s->n >= CUT_MAX)
			AX_TRY(flush_pieces(j, e));
	}
	return 0;
}

/* Is t a part of the input, and not what a normalizer wrote? */
static bool is_input(const struct job *j, const struct ax_ntext *t)
{
	return !t->begin && t->p == j->input->p + t->base;
}

static int push_added(struct job *j, const struct ax_ntext *t, uint32_t id, size_t begin, size_t end, struct ax_err *e)
{
	struct pieces *s = &j->s->pieces;
	uint32_t b, q;

	ax_ntext_range(t, begin, end, &b, &q);
	if (!j->gather || !is_input(j, t)) {
		AX_TRY(flush_pieces(j, e));
		AX_TRY(push_id(j, id, b, q, e));
		if (j->marks)
			ax_marks_within(j->marks, j->out, j->out->n - 1);
		return 0;
	}
	AX_TRY(gather_at(j, b, e));
	s->token[s->n_token++] = (struct ax_bpe_token){(uint32_t)s->n, id};
	s->at[s->n++] = b;
	s->at[s->n] = q;
	return s->n >= CUT_MAX ? flush_pieces(j, e) : 0;
}

/* Cut t at the added tokens of a matcher: their ids go out, the text between them goes to `rest`. */
static int split_added(struct job *j, const struct ax_trie *trie, const struct ax_ntext *t,
		       int (*rest)(struct job *j, struct ax_ntext t, struct ax_err *e), struct ax_err *e)
{
	size_t done = 0, pos = 0, end;
	uint32_t added;

	while (j->text = t, ax_trie_find(trie, t->p, t->n, &pos, &end, &added, j->guards ? allowed : NULL, j)) {
		const struct ax_tok_added *tok = &j->t->added[added];
		size_t begin = pos, stop = end;

		pos = end;
		if (tok->special && j->flags & AX_TOK_NO_SPLIT)
			continue;
		if (tok->single_word && !stands_alone(t, begin, end))
			continue;
		if (tok->lstrip)
			begin = begin > done ? strip_left(t, begin, done) : done;
		if (tok->rstrip)
			stop = strip_right(t, end);
		if (begin >= stop) /* the token before took all of it */
			continue;
		if (done < begin)
			AX_TRY(rest(j, ax_ntext_slice(*t, done, begin), e));
		AX_TRY(push_added(j, t, tok->id, begin, stop, e));
		done = stop;
	}
	return done < t->n ? rest(j, ax_ntext_slice(*t, done, t->n), e) : 0;
}

/* Ranges of a text that a normalizer wrote, from entry `from` on: back to the input. */
static void map_back(struct ax_ids *o, size_t from, const struct ax_ntext *t)
{
	for (size_t i = from; i < o->n; i++)
		ax_ntext_range(t, o->begin[i], o->end[i], &o->begin[i], &o->end[i]);
}

/* A known pre-tokenizer: many pieces at a time, straight to the model; those of the input wait for more. */
static int encode_cut(struct job *j, const struct ax_ntext *t, struct ax_err *e)
{
	struct ax_cutter c = {(const unsigned char *)t->p, t->n, 0, 0, j->t->cut_kind};
	uint32_t at[CUT_MAX + AX_CUT_SPARE], base = t->begin ? 0 : t->base;
	size_t from, k;

	if (is_input(j, t))
		return gather_cut(j, t, e);
	AX_TRY(flush_pieces(j, e));
	from = j->out->n;
	while ((k = j->t->cut(&c, at, CUT_MAX)))
		AX_TRY(ax_bpe_encode_pieces(&j->t->model.bpe, j->s->model->bpe, t->p, t->n, at, k, ranges(j), base, j->out, e));
	if (ranges(j) && t->begin)
		map_back(j->out, from, t);
	if (j->marks)
		ax_marks_within(j->marks, j->out, from);
	return 0;
}

static int pretokenize(struct job *j, struct ax_ntext t, struct ax_err *e)
{
	if (j->t->cut && !j->apart)
		return encode_cut(j, &t, e);
	return ax_pretok_run(&j->t->pre, &j->s->pre, t, j->track, model, j, e);
}

static bool wants_mark(const struct job *j, const struct ax_ntext *t)
{
	bool marked = t->p[0] == ' ' || (t->n >= 3 && !memcmp(t->p, "\xE2\x96\x81", 3));

	return j->t->as_spaces == AX_SPACES_PREPEND || (j->t->as_spaces == AX_SPACES_META && !marked) ||
	       (j->t->as_spaces == AX_SPACES_FIRST && !marked && t->base == 0);
}

/* The first piece of a text with a space put before it. */
static int encode_marked(struct job *j, const struct ax_ntext *t, size_t n, struct ax_err *e)
{
	struct ax_buf *b = &j->s->marked;
	size_t from = j->out->n;
	uint32_t at[2] = {0, (uint32_t)n + 1};

	ax_buf_reset(b);
	ax_buf_addc(b, ' ');
	ax_buf_add(b, t->p, n);
	if (b->oom)
		return ax_fail(e, AX_EMEM, "out of memory");
	AX_TRY(ax_bpe_encode_pieces(&j->t->model.bpe, j->s->model->bpe, b->p, b->n, at, 1, j->track, 0, j->out, e));
	for (size_t i = from; j->track && i < j->out->n; i++) {
		j->out->begin[i] = t->base + (j->out->begin[i] ? j->out->begin[i] - 1 : 0);
		j->out->end[i] = t->base + j->out->end[i] - 1;
	}
	return 0;
}

/* A text that the model takes with its spaces, cut where no merge joins. */
static int encode_spaces(struct job *j, const struct ax_ntext *t, struct ax_err *e)
{
	uint32_t at[CUT_MAX + AX_CUT_SPARE];
	size_t i = 0, k, skip = t->n && wants_mark(j, t);

	while ((k = ax_bpe_cut(&j->t->model.bpe, t->p, t->n, &i, at, CUT_MAX))) {
		if (skip)
			AX_TRY(encode_marked(j, t, at[1], e));
		AX_TRY(ax_bpe_encode_pieces(&j->t->model.bpe, j->s->model->bpe, t->p, t->n, at + skip, k - skip, j->track, t->base,
					    j->out, e));
		skip = 0;
	}
	return 0;
}

static int normalize(struct job *j, struct ax_ntext t, struct ax_err *e)
{
	if (j->gather && j->t->model.bpe.spaces)
		return gather_text(j, &t, e);
	if (j->t->model.bpe.spaces && !j->apart && !j->t->normalized.n_node)
		return encode_spaces(j, &t, e);
	AX_TRY(ax_normalize(&j->t->norm, &j->s->norm, &t, ranges(j), e));
	if (!j->t->normalized.n_node)
		return pretokenize(j, t, e);
	return split_added(j, &j->t->normalized, &t, pretokenize, e);
}

/* Can the model's own merges form a token that is guarded here? */
static bool forges(const struct ax_tokenizer *t, const struct ax_guards *g)
{
	bool any = t->merges_special;

	for (size_t i = 0; i < g->n_id && !any; i++) {
		const struct ax_tok_added *tok = ax_tokenizer_added(t, g->id[i]);

		any = tok && tok->merged;
	}
	return any;
}

/* Places behind the last token, or all of them where ranges are known. */
static void answer_rest(const struct job *j, size_t first)
{
	if (!j->marks)
		ax_marks_within(j->out->marks, j->out, first);
	ax_marks_before(j->out->marks, j->out->n, UINT32_MAX);
}

int ax_tokenizer_encode_guarded(const struct ax_tokenizer *t, const char *text, size_t n, unsigned flags,
				struct ax_guards *guards, struct ax_ids *out, struct ax_tok_scratch *s,
				struct ax_err *e)
{
	struct job j = {.t = t, .s = s, .flags = flags, .guards = guards && guards->n ? guards : NULL, .out = out};
	struct ax_ntext whole = {text, n, NULL, NULL, 0};
	size_t bad, first = out->n;

	if (j.guards) {
		j.all = guards->range[0].begin == 0 && guards->range[0].end >= n;
		j.apart = forges(t, guards);
	}
	j.track = flags & AX_TOK_OFFSETS || t->origins || (j.guards && !j.all);
	if (n > AX_TOK_MAX_TEXT)
		return ax_fail(e, AX_EMEM, "a text of %zu bytes is beyond the limit of 4 GiB", n);
	bad = ax_utf8_check(text, n);
	if (bad != n)
		return ax_fail(e, AX_EDATA, "byte %zu is not UTF-8", bad);
	j.input = &whole;
	if (out->marks) {
		j.marks = t->cut && !j.apart && !j.track ? out->marks : NULL;
		j.track |= !j.marks;
	}
	j.gather = !j.apart && (t->cut || (t->model.bpe.spaces && t->as_spaces == AX_SPACES_ALONE && !t->normalized.n_node));
	s->pieces.n = s->pieces.n_token = 0;
	for (size_t i = 0; flags & AX_TOK_SPECIAL && i < t->n_prefix; i++)
		AX_TRY(push_id(&j, t->prefix[i], 0, 0, e));
	AX_TRY(split_added(&j, &t->raw, &whole, normalize, e));
	AX_TRY(flush_pieces(&j, e));
	if (out->marks)
		answer_rest(&j, first);
	for (size_t i = 0; flags & AX_TOK_SPECIAL && i < t->n_suffix; i++)
		AX_TRY(push_id(&j, t->suffix[i], (uint32_t)n, (uint32_t)n, e));
	return 0;
}

int ax_tokenizer_encode(const struct ax_tokenizer *t, const char *text, size_t n, unsigned flags, struct ax_ids *out,
			struct ax_tok_scratch *s, struct ax_err *e)
{
	return ax_tokenizer_encode_guarded(t, text, n, flags, NULL, out, s, e);
}
