#include "tok/mask_diff.h"

#include <string.h>

#include "tok/mask_trace.h"

static const char *const names[AX_N_DIFF][2] = {
    {"last-turn", "the template treats the last turn specially: rendered up to this one, the text is another"},
    {"placeholder", "the text begins or ends with the placeholder's characters, which Axolotl takes off"},
    {"begin", "reasoning, calls and tags are trained from where the model begins to write"},
    {"merged", "a token of the template joins with the placeholder, or with what follows, and is taken for the turn's"},
    {"window", "the end token is looked for in a window of three tokens behind the text"},
    {"straddles", "a token that holds an untrained part is not trained"},
    {"shifted", "offsets of parts count in the text by itself, which the template trims or tokens cut otherwise"},
    {"parts-alone", "parts of the reasoning or of the content alone: Axolotl trains nothing else of the turn"},
    {"flag", "the turn's flag is a text such as \"false\", which Axolotl takes for true"},
    {"not-found", "Axolotl finds nothing of the turn, and looks for its end from the first token"},
    {"other-turn", "what differs with the placeholder holds another turn's text"},
    {"template", "the template writes other text of its own for the placeholder"},
    {"before-end", "the template's text between the turn and its end token is trained"},
};

const char *ax_diff_name(enum ax_diff_reason r)
{
	return names[r][0];
}

const char *ax_diff_meaning(enum ax_diff_reason r)
{
	return names[r][1];
}

void ax_diffs_release(struct ax_diffs *d)
{
	ax_free(d->diff);
	memset(d, 0, sizeof(*d));
}

struct differ {
	const struct ax_masker *exact, *axolotl;
	const struct ax_thread *t;
	const struct ax_mask_work *w;
	struct ax_trace of_exact, of_axolotl;
};

/* The piece that holds the first byte of token k which any piece holds; NULL: the token is the template's. */
static const struct ax_piece *piece_of(const struct differ *x, size_t k)
{
	size_t b = x->w->ids.begin[k], e = x->w->ids.end[k];

	for (size_t i = 0; i < x->of_exact.n_piece; i++) {
		const struct ax_piece *p = &x->of_exact.piece[i];

		if (p->begin < e && p->end > b && p->kind != AX_PART_ROLE)
			return p;
	}
	return NULL;
}

static bool has_parts(const struct ax_turn *t)
{
	return t->detail.given || t->reasoning_detail.given;
}

/* Does the conversation up to the turn agree with the whole one as far as its first n ids matter? */
static bool agrees(const struct ax_found *f, size_t n)
{
	return f->agree >= (n < f->n_prefix ? n : f->n_prefix);
}

static enum ax_diff_reason disagreement(const struct ax_found *f)
{
	return f->text_agrees ? AX_DIFF_MERGED : AX_DIFF_LAST_TURN;
}

/* Is id k, which prefix and dummy share from one side, one of the placeholder's own? */
static bool in_placeholder(const struct ax_found *f, size_t k)
{
	size_t back = f->n_prefix - 1 - k, j;

	if (k >= f->n_prefix)
		return false;
	if (k < f->same_front && k >= f->place_begin && k < f->place_end)
		return true;
	if (back >= f->same_back)
		return false;
	j = f->n_dummy - 1 - back;
	return j >= f->place_begin && j < f->place_end;
}

/*
 * Why a turn was looked for and nothing found: because the placeholder's ids are the text's own; or because the
 * conversation up to the turn does not show what the whole one does.
 */
static enum ax_diff_reason nothing(const struct differ *x, size_t turn, const struct ax_found *f)
{
	if (!f->looked)
		return AX_DIFF_NOT_FOUND;
	if (f->place_end && (f->same_front > f->place_begin || f->same_back > f->n_dummy - f->place_end))
		return AX_DIFF_PLACEHOLDER;
	return !f->place_end && x->of_exact.begin[turn] != SIZE_MAX ? AX_DIFF_LAST_TURN : AX_DIFF_NOT_FOUND;
}

/* Parts: the content's, or the reasoning's where the token is of that. */
static enum ax_diff_reason parts_reason(const struct differ *x, size_t k, size_t turn, const struct ax_found *f)
{
	const struct ax_turn *t = &x->t->turn[turn];
	const struct ax_piece *p = piece_of(x, k);

	if (p && ((p->kind == AX_PART_CONTENT && !t->detail.given) || (p->kind == AX_PART_REASONING && !t->reasoning_detail.given)))
		return AX_DIFF_PARTS_ALONE;
	if (f->begin >= 0 && k >= (size_t)f->begin + f->alone)
		return AX_DIFF_SHIFTED;
	return f->begin < 0 || k < (size_t)f->begin ? AX_DIFF_NOT_FOUND : AX_DIFF_STRADDLES;
}

/* Token k is trained by exact, with the rule of `c`, and not by axolotl. */
static enum ax_diff_reason only_exact(const struct differ *x, size_t k, const struct ax_cause *c)
{
	const struct ax_found *f = &x->of_axolotl.found[c->turn];
	bool found = f->looked && f->begin >= 0;

	if (!f->looked)
		return AX_DIFF_NOT_FOUND;
	if (c->rule == AX_RULE_END) {
		if (!found)
			return nothing(x, c->turn, f);
		return agrees(f, (size_t)f->end) ? AX_DIFF_WINDOW : disagreement(f);
	}
	if (!agrees(f, found && (size_t)f->end > k + 1 ? (size_t)f->end : k + 1))
		return disagreement(f);
	if (k >= f->n_prefix) /* the conversation up to the turn has no such token */
		return AX_DIFF_LAST_TURN;
	if (has_parts(&x->t->turn[c->turn]))
		return found ? parts_reason(x, k, c->turn, f) : AX_DIFF_NOT_FOUND;
	if (in_placeholder(f, k))
		return AX_DIFF_PLACEHOLDER;
	if (!found)
		return nothing(x, c->turn, f);
	return c->rule == AX_RULE_BEFORE_END ? AX_DIFF_BEFORE_END : AX_DIFF_BEGIN;
}

/* A token of the template in the range that differs: because the placeholder's first or last token took in what it says? */
static bool took_in(const struct differ *x, size_t k, size_t turn, const struct ax_found *f)
{
	size_t first = SIZE_MAX, last = 0;

	for (size_t i = 0; i < x->of_exact.n_piece; i++) {
		const struct ax_piece *p = &x->of_exact.piece[i];

		if (p->turn != turn || p->kind == AX_PART_ROLE)
			continue;
		first = p->begin < first ? p->begin : first;
		last = p->end;
	}
	if (x->w->ids.end[k] <= first)
		return f->before && f->place_begin == f->same_front;
	return x->w->ids.begin[k] >= last && f->behind && f->place_end + f->same_back == f->n_dummy;
}

/* A token of the generation prompt, behind which the model begins to write? */
static bool in_header(const struct differ *x, size_t k, size_t turn)
{
	size_t at = x->of_exact.begin[turn], n = x->exact->header_n;

	return n && at >= n && at != SIZE_MAX && !memcmp(x->of_exact.text + at - n, x->exact->header, n) &&
	       x->w->ids.begin[k] >= at - n && x->w->ids.end[k] <= at;
}

/* Token k is trained by axolotl, with the rule of `c`, and not by exact. */
static enum ax_diff_reason only_axolotl(const struct differ *x, size_t k, const struct ax_cause *c)
{
	const struct ax_found *f = &x->of_axolotl.found[c->turn];
	const struct ax_piece *p;

	if (c->rule == AX_RULE_END) {
		if (f->begin < 0)
			return nothing(x, c->turn, f);
		return agrees(f, (size_t)f->end) ? AX_DIFF_WINDOW : disagreement(f);
	}
	if (!agrees(f, (size_t)f->end))
		return disagreement(f);
	p = piece_of(x, k);
	if (p && p->turn != c->turn)
		return AX_DIFF_OTHER_TURN;
	if (c->rule == AX_RULE_PART || (p && has_parts(&x->t->turn[c->turn])))
		return parts_reason(x, k, c->turn, f);
	if (took_in(x, k, c->turn, f))
		return AX_DIFF_MERGED;
	return in_header(x, k, c->turn) ? AX_DIFF_BEGIN : AX_DIFF_TEMPLATE;
}

static enum ax_diff_reason reason_of(const struct differ *x, size_t k, bool exact)
{
	const struct ax_cause *c = exact ? &x->of_exact.cause[k] : &x->of_axolotl.cause[k];
	const struct ax_turn *t = &x->t->turn[c->turn];

	if (ax_turn_trained(x->exact, t) != ax_turn_trained(x->axolotl, t))
		return AX_DIFF_FLAG;
	return exact ? only_exact(x, k, c) : only_axolotl(x, k, c);
}

static int compare(const struct differ *x, struct ax_diffs *d, struct ax_err *e)
{
	d->n = 0;
	for (size_t k = 0; k < x->w->ids.n; k++) {
		bool exact = x->w->mask[k], axolotl = x->of_axolotl.cause[k].rule != AX_RULE_NONE;
		struct ax_diff one = {.begin = k, .end = k + 1, .exact = exact}, *last = d->n ? &d->diff[d->n - 1] : NULL;

		if (exact == axolotl)
			continue;
		one.turn = (exact ? x->of_exact.cause : x->of_axolotl.cause)[k].turn;
		one.reason = reason_of(x, k, exact);
		if (last && last->end == k && last->exact == exact && last->turn == one.turn && last->reason == one.reason) {
			last->end++;
			continue;
		}
		if (!AX_GROW(d->diff, d->n, d->cap))
			return ax_fail(e, AX_EMEM, "out of memory");
		d->diff[d->n++] = one;
	}
	return 0;
}

int ax_mask_diff(const struct ax_masker *m, const struct ax_thread *t, struct ax_arena *a, struct ax_mask_work *w,
		 struct ax_diffs *d, struct ax_err *e)
{
	struct ax_masker exact = *m, axolotl = *m;
	struct differ x = {.exact = &exact, .axolotl = &axolotl, .t = t, .w = w};
	int rc;

	exact.mode = AX_MASK_EXACT;
	axolotl.mode = AX_MASK_AXOLOTL;
	w->trace = &x.of_axolotl;
	AX_GOTO(ax_mask_thread(&axolotl, t, a, w, e));
	w->trace = &x.of_exact;
	AX_GOTO(ax_mask_thread(&exact, t, a, w, e));
	rc = compare(&x, d, e);
out:
	w->trace = NULL;
	return rc;
}
