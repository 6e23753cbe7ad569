/* Masks by provenance: the template engine says which value each byte of the text came from. */
#include "tok/mask_plan.h"

#include <stdlib.h>
#include <string.h>

#include "tok/chat_text.h"

#define NEAR 8  /* tokens, or marks, that are looked at one by one */
#define MANY 32 /* tokens that are marked together */

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

/* What the tokenizer says of byte `at`, one of the marks; mostly it is near the last one. */
static const struct ax_tok_mark *mark_at(struct ax_mask_plan *x, size_t at)
{
	const struct ax_tok_marks *m = &x->w->marks;
	size_t lo = 0, hi = m->n;

	for (size_t i = x->mark; i < m->n && i < x->mark + NEAR; i++)
		if (m->mark[i].at == at)
			return &m->mark[x->mark = i];
	while (lo + 1 < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->mark[mid].at <= at)
			lo = mid;
		else
			hi = mid;
	}
	return &m->mark[x->mark = lo];
}

/* First token that ends behind byte `at`; mostly one that follows the last one looked for. */
static size_t token_at(struct ax_mask_plan *x, size_t at)
{
	const struct ax_ids *ids = &x->w->ids;
	size_t lo = x->token, hi = ids->n;

	for (size_t i = 0; i < NEAR && lo && ids->end[lo - 1] > at; i++)
		lo--;
	if (lo && ids->end[lo - 1] > at)
		lo = 0;
	for (size_t near = hi - lo < NEAR ? hi : lo + NEAR; lo < near; lo++)
		if (ids->end[lo] > at)
			return x->token = lo;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ids->end[mid] <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return x->token = lo;
}

/* How many of the tokens from i on are trained for sure: they begin before `end` and end behind `begin`; a multiple of MANY. */
static size_t mark_many(const struct ax_mask_plan *x, size_t i, uint32_t begin, uint32_t end)
{
	const uint32_t *b = x->w->ids.begin + i, *e = x->w->ids.end + i;
	size_t n = x->w->ids.n - i, k = 0;

	for (; n - k >= MANY; k += MANY) {
		uint32_t all = UINT32_MAX;

		for (size_t j = 0; j < MANY; j++)
			all &= -(uint32_t)(b[k + j] < end) & -(uint32_t)(e[k + j] > begin);
		if (!all)
			break;
		memset(x->w->mask + i + k, 1, MANY);
	}
	return k;
}

static void mark_tokens(struct ax_mask_plan *x, size_t begin, size_t end)
{
	if (begin < end)
		memset(x->w->mask + begin, 1, end - begin);
}

/* Set the mask of every token that holds a byte of [begin, end). */
static void mark(struct ax_mask_plan *x, size_t begin, size_t end)
{
	const struct ax_ids *ids = &x->w->ids;
	size_t i;

	if (x->w->marks.n) {
		i = mark_at(x, begin)->behind;
		mark_tokens(x, i, mark_at(x, end)->from);
		return;
	}
	i = token_at(x, begin);
	if (!x->w->trace && ids->n - i >= MANY)
		i += mark_many(x, i, (uint32_t)begin, (uint32_t)end);
	for (; i < ids->n && ids->begin[i] < end; i++)
		if (ids->end[i] > begin) {
			x->w->mask[i] = 1;
			ax_trace_set(x->w, i, x->turn, x->rule);
		}
	x->token = i;
}

/*
 * Clear the mask of every token that holds a byte of [begin, end); white space at the borders, which tokens share with
 * the words beside it, counts only for tokens that lie within.
 */
static void unmark(struct ax_mask_plan *x, size_t begin, size_t end)
{
	const struct ax_ids *ids = &x->w->ids;
	size_t b = begin, e = end;

	while (b < e && ax_mask_space(x->text[b]))
		b++;
	while (e > b && ax_mask_space(x->text[e - 1]))
		e--;
	for (size_t i = token_at(x, begin); i < ids->n && ids->begin[i] < end; i++)
		if ((ids->begin[i] < e && ids->end[i] > b) || (ids->begin[i] >= begin && ids->end[i] <= end))
			x->w->mask[i] = 0;
}

static bool is_eot(const struct ax_masker *m, uint32_t id)
{
	for (size_t i = 0; i < m->n_eot; i++)
		if (m->eot_id[i] == id)
			return true;
	return false;
}

static bool is_end(const struct ax_mask_plan *x, uint32_t id, bool eot)
{
	return eot ? is_eot(x->m, id) : id == x->m->eos_id;
}

/* The first end token within bytes [begin, end), or -1. */
static int64_t find_end(struct ax_mask_plan *x, size_t begin, size_t end, bool eot)
{
	const struct ax_ids *ids = &x->w->ids;

	if (x->w->marks.n) {
		size_t i = mark_at(x, begin)->from, to = mark_at(x, end)->from;

		while (i < to && !is_end(x, ids->id[i], eot))
			i++;
		return i < to ? (int64_t)i : -1;
	}
	for (size_t i = token_at(x, begin); i < ids->n && ids->begin[i] < end; i++)
		if (ids->begin[i] >= begin && is_end(x, ids->id[i], eot))
			return (int64_t)i;
	return -1;
}

/* Set the mask of every token that holds a byte from `begin` to where token i begins. */
static void mark_to(struct ax_mask_plan *x, size_t begin, size_t i)
{
	if (x->w->marks.n)
		mark_tokens(x, mark_at(x, begin)->behind, i);
	else
		mark(x, begin, x->w->ids.begin[i]);
}

/* A text with parts, and the place in it that was looked at last. */
struct parted {
	const struct ax_val *text;
	const struct ax_parts *parts;
	struct ax_char_place place;
};

/* Mask, or unmask, the bytes of `p` that are characters `begin` to `end` of the text. */
static void mark_chars(struct ax_mask_plan *x, const struct ax_piece *p, struct parted *t, int64_t begin, int64_t end, bool trained)
{
	size_t from = p->origin_off, to = p->origin_off + (p->end - p->begin), b, e;

	if (end < begin || end < 0)
		return;
	b = ax_char_offset(t->text->u.s, t->text->n, &t->place, begin < 0 ? 0 : (size_t)begin);
	e = ax_char_offset(t->text->u.s, t->text->n, &t->place, (size_t)end + 1);
	b = b > from ? b : from;
	e = e < to ? e : to;
	if (b < e)
		(trained ? mark : unmark)(x, p->begin + (b - from), p->begin + (e - from));
}

static void mark_parts(struct ax_mask_plan *x, const struct ax_piece *p, struct parted *t, bool trained)
{
	for (size_t i = 0; i < t->parts->n; i++)
		if (t->parts->part[i].train == trained)
			mark_chars(x, p, t, t->parts->part[i].begin, t->parts->part[i].end, trained);
}

static const struct ax_parts *parts_of(const struct ax_turn *t, enum ax_part_kind kind)
{
	return kind == AX_PART_CONTENT ? &t->detail : kind == AX_PART_REASONING ? &t->reasoning_detail : NULL;
}

static int by_begin(const void *x, const void *y)
{
	int64_t a = ((const struct ax_part *)x)->begin, b = ((const struct ax_part *)y)->begin;

	return (a > b) - (a < b);
}

/* The trained parts by their begin, into x->sorted; a text that the template takes apart needs them again. */
static int sort_parts(struct ax_mask_plan *x, const struct ax_parts *parts, struct ax_err *e)
{
	if (x->sorted_of == parts)
		return 0;
	x->sorted = ax_arena_calloc(x->arena, parts->n + 1, sizeof(*x->sorted));
	if (!x->sorted)
		return no_memory(e);
	x->sorted_of = parts;
	x->n_sorted = 0;
	for (size_t i = 0; i < parts->n; i++)
		if (parts->part[i].train && parts->part[i].end >= parts->part[i].begin)
			x->sorted[x->n_sorted++] = parts->part[i];
	qsort(x->sorted, x->n_sorted, sizeof(*x->sorted), by_begin);
	return 0;
}

/* Every byte of a value with parts that no trained part covers is untrained: unmask, after all trained ones are set. */
static int unmark_gaps(struct ax_mask_plan *x, const struct ax_piece *p, struct parted *t, struct ax_err *e)
{
	int64_t n_chars = (int64_t)ax_count_chars(t->text->u.s, t->text->n), at = 0;

	AX_TRY(sort_parts(x, t->parts, e));
	for (size_t i = 0; i < x->n_sorted; i++) {
		const struct ax_part *part = &x->sorted[i];

		mark_chars(x, p, t, at, part->begin - 1, false);
		at = part->end >= at ? part->end + 1 : at;
	}
	mark_chars(x, p, t, at, n_chars - 1, false);
	mark_parts(x, p, t, false);
	return 0;
}

/* Train a run of a trained turn. */
static int train_run(struct ax_mask_plan *x, const struct ax_run *r, struct ax_err *e)
{
	size_t first = r->first, last = r->last;
	const struct ax_turn *t = &x->t->turn[x->piece[first].turn];

	x->turn = x->piece[first].turn;
	x->rule = ax_turn_has_parts(t) ? AX_RULE_PART : AX_RULE_RUN;
	if (!ax_turn_has_parts(t)) {
		mark(x, r->begin, x->piece[last].end);
		if (x->w->trace && x->w->trace->begin[x->turn] == SIZE_MAX)
			x->w->trace->begin[x->turn] = r->begin;
		return 0;
	}
	for (size_t i = first; i <= last; i++) {
		const struct ax_piece *p = &x->piece[i];
		const struct ax_parts *parts = parts_of(t, p->kind);
		const struct ax_val *text = p->kind == AX_PART_CONTENT ? t->content : t->reasoning;
		struct parted parted = {.text = text, .parts = parts};

		/* ranges mean nothing in text that was made anew, such as upper case: it stays untrained */
		if (p->kind == AX_PART_ROLE)
			continue;
		if (!parts || !parts->given || !text || text->type != AX_STR) {
			mark(x, p->begin, p->end);
			continue;
		}
		if (p->copied) {
			mark_parts(x, p, &parted, true);
			AX_TRY(unmark_gaps(x, p, &parted, e));
		}
	}
	return 0;
}

/* The end token of a turn whose last byte is before `begin`, when the next turn's first byte is at `end`. */
static bool train_end(struct ax_mask_plan *x, size_t begin, size_t end, bool trained, bool whole)
{
	bool any = false;

	for (int k = 0; k < 2; k++) {
		enum ax_train_end opt = k == 0 ? x->m->eot : x->m->eos;
		int64_t i = find_end(x, begin, end, k == 0);

		if (i < 0)
			continue;
		if (trained || x->m->eot == AX_END_ALL || x->m->eos == AX_END_ALL) {
			*(k == 0 ? &x->last_eot : &x->last_eos) = i;
			*(k == 0 ? &x->last_eot_turn : &x->last_eos_turn) = x->turn;
		}
		if (whole)
			mark_to(x, begin, (size_t)i);
		if (opt == AX_END_ALL || (opt == AX_END_TURN && trained)) {
			if (trained)
				mark_to(x, begin, (size_t)i);
			x->w->mask[i] = 1;
			ax_trace_set(x->w, (size_t)i, x->turn, AX_RULE_END);
			any = true;
		}
		any |= opt == AX_END_LAST;
	}
	return any;
}

static int do_run(struct ax_mask_plan *x, const struct ax_run *r, struct ax_err *e)
{
	const struct ax_piece *p = &x->piece[r->first];
	const struct ax_turn *t = &x->t->turn[p->turn];
	bool trained = ax_turn_trained(x->m, t), ended;

	if (trained)
		AX_TRY(train_run(x, r, e));
	if (x->behind[p->turn] != r->last + 1)
		return 0;
	x->turn = p->turn;
	x->rule = AX_RULE_BEFORE_END;
	ended = train_end(x, x->piece[r->last].end, r->next, trained,
			  trained && !ax_turn_has_parts(t) && x->piece[r->last].kind != AX_PART_CONTENT);
	if (trained && !ended && (x->m->eos != AX_END_NONE || x->m->eot != AX_END_NONE))
		x->w->note |= AX_NOTE_NO_END;
	return 0;
}

static void finish(struct ax_mask_plan *x)
{
	for (size_t i = 0; i < x->t->n; i++)
		if (!x->behind[i] && ax_turn_trained(x->m, &x->t->turn[i]))
			x->w->note |= AX_NOTE_NO_SPAN;
	if (x->m->eot == AX_END_LAST && x->last_eot >= 0) {
		x->w->mask[x->last_eot] = 1;
		ax_trace_set(x->w, (size_t)x->last_eot, x->last_eot_turn, AX_RULE_END);
	}
	if (x->m->eos == AX_END_LAST && x->last_eos >= 0) {
		x->w->mask[x->last_eos] = 1;
		ax_trace_set(x->w, (size_t)x->last_eos, x->last_eos_turn, AX_RULE_END);
	}
}

int ax_mask_exact(struct ax_mask_plan *x, struct ax_err *e)
{
	for (size_t i = 0; i < x->n_run; i++)
		if (ax_run_matters(x, &x->run[i]))
			AX_TRY(do_run(x, &x->run[i], e));
	finish(x);
	if (x->w->trace) {
		x->w->trace->piece = x->piece;
		x->w->trace->n_piece = x->n_piece;
	}
	return 0;
}
