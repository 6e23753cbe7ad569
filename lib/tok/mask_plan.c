/* Which bytes of a rendered conversation are of which turn, and where its mask may change. */
#include "tok/mask_plan.h"

#include <string.h>

#define FEW 8 /* properties of a message that are looked at one by one */

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

static struct ax_owner *slot_of(const struct ax_owners *o, const struct ax_val *v)
{
	size_t i = (size_t)((uint64_t)(uintptr_t)v * UINT64_C(0x9E3779B97F4A7C15) >> (64 - o->bits)), mask = ((size_t)1 << o->bits) - 1;

	while (o->slot[i].val && o->slot[i].val != v)
		i = (i + 1) & mask;
	return &o->slot[i];
}

static void own(struct ax_owners *o, const struct ax_val *v, uint32_t turn, enum ax_part_kind kind)
{
	struct ax_owner *s = slot_of(o, v);

	if (!s->val)
		*s = (struct ax_owner){v, turn, kind};
	if (v->type == AX_MAP)
		for (size_t i = 0; i < v->n; i++)
			own(o, v->u.pair[i].val, turn, kind);
	if (v->type == AX_LIST)
		for (size_t i = 0; i < v->n; i++)
			own(o, v->u.item[i], turn, kind);
}

static enum ax_part_kind kind_of(const struct ax_turn *t, const struct ax_pair *p)
{
	return p->key_n == 4 && !memcmp(p->key, "role", 4) ? AX_PART_ROLE
	       : p->val == t->content			   ? AX_PART_CONTENT
	       : p->val == t->reasoning			   ? AX_PART_REASONING
							   : AX_PART_OTHER;
}

static int build_owners(struct ax_mask_plan *x, struct ax_arena *a, struct ax_err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < x->t->n; i++)
		n += count_values(x->t->turn[i].msg);
	for (x->own.bits = 4; (size_t)1 << x->own.bits < n * 2; x->own.bits++)
		;
	x->own.slot = ax_arena_calloc(a, (size_t)1 << x->own.bits, sizeof(*x->own.slot));
	if (!x->own.slot)
		return no_memory(e);
	for (size_t i = 0; i < x->t->n; i++) {
		const struct ax_turn *t = &x->t->turn[i];

		*slot_of(&x->own, t->msg) = (struct ax_owner){t->msg, (uint32_t)i, AX_PART_OTHER};
		for (size_t k = 0; k < t->msg->n; k++) {
			const struct ax_pair *p = &t->msg->u.pair[k];

			own(&x->own, p->val, (uint32_t)i, kind_of(t, p));
		}
	}
	return 0;
}

/* Is the value itself one of the turn's few? */
static bool is_own(const struct ax_turn *t, const struct ax_val *v, uint32_t turn, struct ax_owner *o)
{
	for (size_t i = 0; t->msg->n <= FEW && i < t->msg->n; i++)
		if (t->msg->u.pair[i].val == v) {
			*o = (struct ax_owner){v, turn, kind_of(t, &t->msg->u.pair[i])};
			return true;
		}
	return false;
}

/* Whose value it is, mostly the turn's of the piece before or the next one's; o->val is NULL where it is nobody's. */
static int find_owner(struct ax_mask_plan *x, const struct ax_val *v, struct ax_owner *o, struct ax_err *e)
{
	size_t turn = x->n_piece ? x->piece[x->n_piece - 1].turn : 0;

	for (size_t i = turn; i < x->t->n && i < turn + 2; i++)
		if (is_own(&x->t->turn[i], v, (uint32_t)i, o))
			return 0;
	if (!x->own.slot)
		AX_TRY(build_owners(x, x->arena, e));
	*o = *slot_of(&x->own, v);
	return 0;
}

static int build_pieces(struct ax_mask_plan *x, struct ax_arena *a, struct ax_err *e)
{
	const struct ax_rope *r = &x->w->rope;

	x->piece = ax_arena_calloc(a, r->n_span + 1, sizeof(*x->piece));
	x->behind = ax_arena_calloc(a, x->t->n + 1, sizeof(*x->behind));
	if (!x->piece || !x->behind)
		return no_memory(e);
	for (size_t i = 0; i < r->n_span; i++) {
		const struct ax_span *s = &r->span[i];
		struct ax_owner o = {0};

		if (s->origin)
			AX_TRY(find_owner(x, s->origin, &o, e));
		if (!o.val)
			continue;
		x->piece[x->n_piece++] =
		    (struct ax_piece){s->begin, s->end, o.turn, o.kind, s->off, !(s->flags & AX_SPAN_TRANSFORMED)};
		if (o.kind != AX_PART_ROLE)
			x->behind[o.turn] = x->n_piece;
	}
	return 0;
}

static bool holds(const char *s, size_t n, const char *needle, size_t m)
{
	for (size_t i = 0; i + m <= n; i++)
		if (!memcmp(s + i, needle, m))
			return true;
	return false;
}

/* End of the bytes before piece `first` that are another turn's; a role of its own belongs to what leads to it. */
static size_t gap_begin(const struct ax_mask_plan *x, size_t first)
{
	size_t i = first;

	while (i > 0 && x->piece[i - 1].kind == AX_PART_ROLE && x->piece[i - 1].turn == x->piece[first].turn)
		i--;
	return i ? x->piece[i - 1].end : 0;
}

/* Do bytes [b, e) of the text, but for white space around them, occur in the first `n` bytes of the turn's content? */
static bool taken_from(const struct ax_mask_plan *x, size_t b, size_t e, const struct ax_val *content, size_t n)
{
	while (b < e && ax_mask_space(x->text[b]))
		b++;
	while (e > b && ax_mask_space(x->text[e - 1]))
		e--;
	return e > b && content && content->type == AX_STR && n <= content->n &&
	       holds(content->u.s, n, x->text + b, e - b);
}

/*
 * Where the model begins to write the run that starts with piece `first`: behind the generation prompt, if the bytes
 * between are the run's own (a tag before reasoning or a call, or a part of the content that the template took out and
 * wrote again); else at the piece. Templates without a generation prompt may have a lead, such as one blank.
 */
static size_t run_begin(const struct ax_mask_plan *x, size_t first)
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

/* Last of the pieces of `first`'s turn that follow it without another turn's between; roles of its own are skipped. */
static size_t run_last(const struct ax_mask_plan *x, size_t first)
{
	size_t last = first;

	for (size_t i = first + 1; i < x->n_piece && x->piece[i].turn == x->piece[first].turn; i++)
		if (x->piece[i].kind != AX_PART_ROLE)
			last = i;
	return last;
}

bool ax_run_matters(const struct ax_mask_plan *x, const struct ax_run *r)
{
	return ax_turn_trained(x->m, &x->t->turn[x->piece[r->first].turn]) || x->m->eot == AX_END_ALL || x->m->eos == AX_END_ALL;
}

/* All runs; and whether there are parts in one of them. */
static int build_runs(struct ax_mask_plan *x, struct ax_err *e)
{
	x->run = ax_arena_alloc(x->arena, (x->n_piece + 1) * sizeof(*x->run));
	if (!x->run)
		return no_memory(e);
	for (size_t i = 0, next; i < x->n_piece; i = x->run[x->n_run++].last + 1) {
		const struct ax_turn *t;

		while (i < x->n_piece && x->piece[i].kind == AX_PART_ROLE)
			i++;
		if (i == x->n_piece)
			break;
		t = &x->t->turn[x->piece[i].turn];
		x->parts |= ax_turn_has_parts(t);
		x->run[x->n_run] = (struct ax_run){.first = i, .last = run_last(x, i), .begin = x->piece[i].begin};
		if (!ax_turn_has_parts(t) && ax_turn_trained(x->m, t))
			x->run[x->n_run].begin = run_begin(x, i);
		for (next = x->run[x->n_run].last + 1; next < x->n_piece && x->piece[next].turn == x->piece[i].turn; next++)
			;
		x->run[x->n_run].next = next < x->n_piece ? x->piece[next].begin : x->text_n;
	}
	return 0;
}

/* A place is put behind those before it; they come nearly in order. */
static void add_mark(struct ax_tok_marks *m, size_t at)
{
	size_t i = m->n++;

	for (; i && m->mark[i - 1].at > at; i--)
		m->mark[i] = m->mark[i - 1];
	m->mark[i].at = (uint32_t)at;
}

static int mark_runs(struct ax_mask_plan *x, struct ax_err *e)
{
	struct ax_mask_work *w = x->w;
	size_t n = 3 * x->n_run;

	if (n > w->cap_marks) {
		struct ax_tok_mark *p = ax_realloc_array(w->marks.mark, n, sizeof(*p));

		if (!p)
			return no_memory(e);
		w->marks.mark = p;
		w->cap_marks = n;
	}
	for (size_t i = 0; i < x->n_run; i++) {
		if (!ax_run_matters(x, &x->run[i]))
			continue;
		add_mark(&w->marks, x->run[i].begin);
		add_mark(&w->marks, x->piece[x->run[i].last].end);
		add_mark(&w->marks, x->run[i].next);
	}
	return 0;
}

int ax_mask_exact_plan(const struct ax_masker *m, const struct ax_thread *t, struct ax_arena *a, struct ax_mask_work *w,
		       struct ax_mask_plan **plan, struct ax_err *e)
{
	struct ax_mask_plan *x = ax_arena_alloc(a, sizeof(*x));

	if (!x)
		return no_memory(e);
	*x = (struct ax_mask_plan){
	    .m = m, .arena = a, .t = t, .w = w, .text = w->rope.b.p, .text_n = w->rope.b.n, .last_eot = -1, .last_eos = -1};
	AX_TRY(build_pieces(x, a, e));
	AX_TRY(build_runs(x, e));
	*plan = x;
	return x->parts || w->trace || m->no_inject ? 0 : mark_runs(x, e);
}

