/* Masks by provenance: the template engine says which value each byte of the text came from. */
#include "tok/mask.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "tok/chat_text.h"
#include "tok/mask_trace.h"

#define NEAR 8  /* tokens that are looked at one by one */
#define MANY 32 /* tokens that are marked together */

/* Which turn a value belongs to, by the value's address. */
struct owner {
	const struct ax_val *val;
	uint32_t turn;
	enum ax_part_kind kind;
};

struct owners {
	struct owner *slot;
	size_t n, mask; /* mask: slots - 1, a power of two minus one */
};

struct exact {
	const struct ax_masker *m;
	const struct ax_thread *t;
	struct ax_mask_work *w;
	struct owners own;
	struct ax_arena *arena;
	struct ax_piece *piece;
	size_t n_piece;
	size_t *behind; /* of a turn: one more than its last piece, roles left out; 0: it has none */
	const struct ax_parts *sorted_of; /* whose trained parts `sorted` holds */
	struct ax_part *sorted;
	size_t n_sorted;
	const char *text;
	size_t text_n;
	int64_t last_eot, last_eos;
	uint32_t last_eot_turn, last_eos_turn;
	size_t token;	   /* the last one that was looked for */
	uint32_t turn;	   /* what is marked now: whose, */
	enum ax_rule rule; /* and why */
};

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

static size_t count_values(const struct ax_val *v)
{
	size_t n = 1;

	if (v->type == AX_MAP)
		for (size_t i = 0; i < v->n; i++)
			n += count_values(v->u.pair[i].val);
	if (v->type == AX_LIST)
		for (size_t i = 0; i < v->n; i++)
			n += count_values(v->u.item[i]);
	return n;
}

static struct owner *slot_of(const struct owners *o, const struct ax_val *v)
{
	size_t i = (size_t)ax_mix64((uint64_t)(uintptr_t)v) & o->mask;

	while (o->slot[i].val && o->slot[i].val != v)
		i = (i + 1) & o->mask;
	return &o->slot[i];
}

static void own(struct owners *o, const struct ax_val *v, uint32_t turn, enum ax_part_kind kind)
{
	struct owner *s = slot_of(o, v);

	if (!s->val)
		*s = (struct owner){v, turn, kind};
	if (v->type == AX_MAP)
		for (size_t i = 0; i < v->n; i++)
			own(o, v->u.pair[i].val, turn, kind);
	if (v->type == AX_LIST)
		for (size_t i = 0; i < v->n; i++)
			own(o, v->u.item[i], turn, kind);
}

static int build_owners(struct exact *x, struct ax_arena *a, struct ax_err *e)
{
	size_t n = 0, cap = 16;

	for (size_t i = 0; i < x->t->n; i++)
		n += count_values(x->t->turn[i].msg);
	while (cap < n * 2)
		cap *= 2;
	x->own.slot = ax_arena_calloc(a, cap, sizeof(*x->own.slot));
	if (!x->own.slot)
		return no_memory(e);
	x->own.mask = cap - 1;
	for (size_t i = 0; i < x->t->n; i++) {
		const struct ax_turn *t = &x->t->turn[i];

		*slot_of(&x->own, t->msg) = (struct owner){t->msg, (uint32_t)i, AX_PART_OTHER};
		for (size_t k = 0; k < t->msg->n; k++) {
			const struct ax_pair *p = &t->msg->u.pair[k];
			enum ax_part_kind kind = !strcmp(p->key, "role")  ? AX_PART_ROLE
					      : p->val == t->content   ? AX_PART_CONTENT
					      : p->val == t->reasoning ? AX_PART_REASONING
								       : AX_PART_OTHER;

			own(&x->own, p->val, (uint32_t)i, kind);
		}
	}
	return 0;
}

static int build_pieces(struct exact *x, struct ax_arena *a, struct ax_err *e)
{
	const struct ax_rope *r = &x->w->rope;

	x->piece = ax_arena_calloc(a, r->n_span + 1, sizeof(*x->piece));
	x->behind = ax_arena_calloc(a, x->t->n + 1, sizeof(*x->behind));
	if (!x->piece || !x->behind)
		return no_memory(e);
	for (size_t i = 0; i < r->n_span; i++) {
		const struct ax_span *s = &r->span[i];
		const struct owner *o = s->origin ? slot_of(&x->own, s->origin) : NULL;

		if (!o || !o->val)
			continue;
		x->piece[x->n_piece++] =
		    (struct ax_piece){s->begin, s->end, o->turn, o->kind, s->off, !(s->flags & AX_SPAN_TRANSFORMED)};
		if (o->kind != AX_PART_ROLE)
			x->behind[o->turn] = x->n_piece;
	}
	return 0;
}

/* First token that ends behind byte `at`; mostly one that follows the last one looked for. */
static size_t token_at(struct exact *x, size_t at)
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
static size_t mark_many(const struct exact *x, size_t i, uint32_t begin, uint32_t end)
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

/* Set the mask of every token that holds a byte of [begin, end). */
static void mark(struct exact *x, size_t begin, size_t end)
{
	const struct ax_ids *ids = &x->w->ids;
	size_t i = token_at(x, begin);

	if (!x->w->trace && ids->n - i >= MANY)
		i += mark_many(x, i, (uint32_t)begin, (uint32_t)end);
	for (; i < ids->n && ids->begin[i] < end; i++)
		if (ids->end[i] > begin) {
			x->w->mask[i] = 1;
			ax_trace_set(x->w, i, x->turn, x->rule);
		}
	x->token = i;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/*
 * Clear the mask of every token that holds a byte of [begin, end); white space at the borders, which tokens share with
 * the words beside it, counts only for tokens that lie within.
 */
static void unmark(struct exact *x, size_t begin, size_t end)
{
	const struct ax_ids *ids = &x->w->ids;
	size_t b = begin, e = end;

	while (b < e && is_space(x->text[b]))
		b++;
	while (e > b && is_space(x->text[e - 1]))
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

/* The first end token within bytes [begin, end), or -1. */
static int64_t find_end(struct exact *x, size_t begin, size_t end, bool eot)
{
	const struct ax_ids *ids = &x->w->ids;

	for (size_t i = token_at(x, begin); i < ids->n && ids->begin[i] < end; i++)
		if (ids->begin[i] >= begin && (eot ? is_eot(x->m, ids->id[i]) : ids->id[i] == x->m->eos_id))
			return (int64_t)i;
	return -1;
}

static bool holds(const char *s, size_t n, const char *needle, size_t m)
{
	for (size_t i = 0; i + m <= n; i++)
		if (!memcmp(s + i, needle, m))
			return true;
	return false;
}

/* End of the bytes before piece `first` that are another turn's; a role of its own belongs to what leads to it. */
static size_t gap_begin(const struct exact *x, size_t first)
{
	size_t i = first;

	while (i > 0 && x->piece[i - 1].kind == AX_PART_ROLE && x->piece[i - 1].turn == x->piece[first].turn)
		i--;
	return i ? x->piece[i - 1].end : 0;
}

/* Do bytes [b, e) of the text, but for white space around them, occur in the first `n` bytes of the turn's content? */
static bool taken_from(const struct exact *x, size_t b, size_t e, const struct ax_val *content, size_t n)
{
	while (b < e && is_space(x->text[b]))
		b++;
	while (e > b && is_space(x->text[e - 1]))
		e--;
	return e > b && content && content->type == AX_STR && n <= content->n &&
	       holds(content->u.s, n, x->text + b, e - b);
}

/*
 * Where the model begins to write the run that starts with piece `first`: behind the generation prompt, if the bytes
 * between are the run's own (a tag before reasoning or a call, or a part of the content that the template took out and
 * wrote again); else at the piece. Templates without a generation prompt may have a lead, such as one blank.
 */
static size_t run_begin(const struct exact *x, size_t first)
{
	const struct ax_piece *p = &x->piece[first];
	const struct ax_val *msg = x->t->turn[p->turn].msg, *content = x->t->turn[p->turn].content;
	size_t low = gap_begin(x, first), n = x->m->header_n, lead = x->m->lead_n, at = p->begin;

	if (lead && at >= low + lead && !memcmp(x->text + at - lead, x->m->lead, lead) &&
	    ax_val_is(ax_val_get(msg, "role"), "assistant"))
		return at - lead;
	if (n == 0 || at < low + n || (p->kind == AX_PART_CONTENT && p->origin_off == 0))
		return at;
	for (at -= n; at > low && memcmp(x->text + at, x->m->header, n); at--)
		;
	if (memcmp(x->text + at, x->m->header, n))
		return p->begin;
	at += n;
	if (p->kind != AX_PART_CONTENT || taken_from(x, at, p->begin, content, p->origin_off))
		return at;
	return p->begin;
}

/* A text with parts, and the place in it that was looked at last. */
struct parted {
	const struct ax_val *text;
	const struct ax_parts *parts;
	struct ax_char_place place;
};

/* Mask, or unmask, the bytes of `p` that are characters `begin` to `end` of the text. */
static void mark_chars(struct exact *x, const struct ax_piece *p, struct parted *t, int64_t begin, int64_t end, bool trained)
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

static void mark_parts(struct exact *x, const struct ax_piece *p, struct parted *t, bool trained)
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
static int sort_parts(struct exact *x, const struct ax_parts *parts, struct ax_err *e)
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
static int unmark_gaps(struct exact *x, const struct ax_piece *p, struct parted *t, struct ax_err *e)
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

static bool has_parts(const struct ax_turn *t)
{
	return t->detail.given || t->reasoning_detail.given;
}

/* Train the run of pieces [first, last] of one turn. */
static int train_run(struct exact *x, size_t first, size_t last, struct ax_err *e)
{
	const struct ax_turn *t = &x->t->turn[x->piece[first].turn];

	x->turn = x->piece[first].turn;
	x->rule = has_parts(t) ? AX_RULE_PART : AX_RULE_RUN;
	if (!has_parts(t)) {
		size_t begin = run_begin(x, first);

		mark(x, begin, x->piece[last].end);
		if (x->w->trace && x->w->trace->begin[x->turn] == SIZE_MAX)
			x->w->trace->begin[x->turn] = begin;
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
static bool train_end(struct exact *x, size_t begin, size_t end, bool trained, bool whole)
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
			mark(x, begin, x->w->ids.begin[i]);
		if (opt == AX_END_ALL || (opt == AX_END_TURN && trained)) {
			if (trained)
				mark(x, begin, x->w->ids.begin[i]);
			x->w->mask[i] = 1;
			ax_trace_set(x->w, (size_t)i, x->turn, AX_RULE_END);
			any = true;
		}
		any |= opt == AX_END_LAST;
	}
	return any;
}

/* Last of the pieces of `first`'s turn that follow it without another turn's between; roles of its own are skipped. */
static size_t run_last(const struct exact *x, size_t first)
{
	size_t last = first;

	for (size_t i = first + 1; i < x->n_piece && x->piece[i].turn == x->piece[first].turn; i++)
		if (x->piece[i].kind != AX_PART_ROLE)
			last = i;
	return last;
}

static int do_run(struct exact *x, size_t first, size_t last, struct ax_err *e)
{
	const struct ax_piece *p = &x->piece[first];
	const struct ax_turn *t = &x->t->turn[p->turn];
	bool trained = ax_turn_trained(x->m, t), ended;
	size_t next = last + 1;

	if (trained)
		AX_TRY(train_run(x, first, last, e));
	while (next < x->n_piece && x->piece[next].turn == p->turn)
		next++;
	if (x->behind[p->turn] != last + 1)
		return 0;
	x->turn = p->turn;
	x->rule = AX_RULE_BEFORE_END;
	ended = train_end(x, x->piece[last].end, next < x->n_piece ? x->piece[next].begin : x->text_n, trained,
			  trained && !has_parts(t) && x->piece[last].kind != AX_PART_CONTENT);
	if (trained && !ended && (x->m->eos != AX_END_NONE || x->m->eot != AX_END_NONE))
		x->w->note |= AX_NOTE_NO_END;
	return 0;
}

static void finish(struct exact *x)
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

int ax_mask_exact(const struct ax_masker *m, const struct ax_thread *t, struct ax_arena *a, struct ax_mask_work *w,
		  struct ax_err *e)
{
	struct exact x = {
	    .m = m, .arena = a, .t = t, .w = w, .text = w->rope.b.p, .text_n = w->rope.b.n, .last_eot = -1, .last_eos = -1};

	AX_TRY(build_owners(&x, a, e));
	AX_TRY(build_pieces(&x, a, e));
	for (size_t i = 0; i < x.n_piece;) {
		size_t last;

		if (x.piece[i].kind == AX_PART_ROLE) {
			i++;
			continue;
		}
		last = run_last(&x, i);
		AX_TRY(do_run(&x, i, last, e));
		i = last + 1;
	}
	finish(&x);
	if (w->trace) {
		w->trace->piece = x.piece;
		w->trace->n_piece = x.n_piece;
	}
	return 0;
}
