/* Finding turns as Axolotl does: by what changes when a turn's content is replaced. */
#include "tok/mask.h"

#include <stdlib.h>
#include <string.h>

#include "tok/chat_text.h"
#include "tok/mask_trace.h"

#define NO_SPAN (-1)
#define WINDOW	3 /* how far an end token may lie from where the turn was found to end */

struct span {
	int64_t begin, end; /* token indices; NO_SPAN both when not found */
};

enum replace { REPLACE_CONTENT, REPLACE_ONLY_CONTENT, REPLACE_REASONING };

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

/* Ids of the conversation's first `n` turns, the last of them replaced by `last` unless that is NULL. */
static int prefix_ids(const struct ax_masker *m, const struct ax_thread *t, size_t n, struct ax_val *last,
		      struct ax_arena *a, struct ax_mask_work *w, struct ax_ids *out, struct ax_err *e)
{
	struct ax_val *list = ax_val_list(a);

	for (size_t i = 0; i < n; i++)
		if (!list || !ax_val_push(a, list, i + 1 == n && last ? last : t->turn[i].msg))
			return no_memory(e);
	AX_TRY(ax_mask_render(m, list, t->tools, (int64_t)t->n - 1, false, a, &w->rope, e));
	return ax_mask_encode(m, w, w->trace ? AX_TOK_OFFSETS : 0, out, e);
}

static struct ax_val *dummy_turn(const struct ax_masker *m, const struct ax_turn *t, enum replace what,
				 struct ax_arena *a)
{
	static const char text[] = "[[dummy_message]]", thought[] = "[[dummy_reasoning]]";
	struct ax_val *v = ax_val_map(a);
	struct ax_val *content = ax_val_str(a, text, sizeof(text) - 1);
	const struct ax_val *reasoning = what == REPLACE_ONLY_CONTENT ? t->reasoning : NULL;

	if (what == REPLACE_REASONING) {
		content = t->content ? (struct ax_val *)(uintptr_t)t->content : ax_val_str(a, "", 0);
		if (t->reasoning)
			reasoning = ax_val_str(a, thought, sizeof(thought) - 1);
	}
	if (!v || !content || !ax_val_set(a, v, "role", (struct ax_val *)(uintptr_t)ax_val_get(t->msg, "role")) ||
	    !ax_val_set(a, v, "content", content))
		return NULL;
	if (reasoning && !ax_val_set(a, v, m->thinking_key, (struct ax_val *)(uintptr_t)reasoning))
		return NULL;
	return v;
}

static size_t same_front(const struct ax_ids *a, const struct ax_ids *b)
{
	size_t n = a->n < b->n ? a->n : b->n, i = 0;

	while (i < n && a->id[i] == b->id[i])
		i++;
	return i;
}

static size_t same_back(const struct ax_ids *a, const struct ax_ids *b)
{
	size_t n = a->n < b->n ? a->n : b->n, j = 0;

	while (j < n && a->id[a->n - 1 - j] == b->id[b->n - 1 - j])
		j++;
	return j;
}

/* The range of ids in `full` that differs from `dummy`, looked at from both ends. */
static struct span differing(const struct ax_ids *full, const struct ax_ids *dummy)
{
	const struct span none = {NO_SPAN, NO_SPAN};
	size_t n = full->n < dummy->n ? full->n : dummy->n, i = same_front(full, dummy), j = same_back(full, dummy);

	if (i == n || j == n || full->n - j <= i)
		return none;
	return (struct span){(int64_t)i, (int64_t)(full->n - j)};
}

/* For the trace: the dummy's tokens that hold the placeholder, which `placeholder` is the value of. */
static void trace_dummy(const struct ax_mask_work *w, const struct ax_val *placeholder, struct ax_found *f)
{
	const struct ax_ids *ids = &w->dummy;

	f->n_dummy = ids->n;
	for (size_t s = 0; s < w->rope.n_span; s++) {
		const struct ax_span *p = &w->rope.span[s];

		for (size_t i = 0; p->origin == placeholder && i < ids->n; i++) {
			if (ids->end[i] <= p->begin || ids->begin[i] >= p->end)
				continue;
			if (f->place_end == 0) {
				f->place_begin = i;
				f->before = ids->begin[i] < p->begin;
			}
			f->place_end = i + 1;
			f->behind = ids->end[i] > p->end;
		}
	}
}

/* ... and how the conversation up to the turn, rendered now, compares with the dummy and with the conversation. */
static void trace_prefix(const struct ax_mask_work *w, struct span s, struct ax_found *f)
{
	const struct ax_trace *t = w->trace;
	size_t n = w->rope.b.n < t->text_n ? w->rope.b.n : t->text_n, same = 0;

	while (same < n && w->rope.b.p[same] == t->text[same])
		same++;
	f->looked = true;
	f->begin = s.begin;
	f->end = s.end;
	f->n_prefix = w->other.n;
	f->same_front = same_front(&w->other, &w->dummy);
	f->same_back = same_back(&w->other, &w->dummy);
	f->agree = same_front(&w->other, &w->ids);
	f->text_agrees = same == w->rope.b.n || (f->agree < w->other.n && w->other.end[f->agree] <= same);
}

static int find_turn(const struct ax_masker *m, const struct ax_thread *t, size_t i, enum replace what,
		     struct ax_arena *a, struct ax_mask_work *w, struct span *s, struct ax_err *e)
{
	struct ax_val *dummy;

	*s = (struct span){NO_SPAN, NO_SPAN};
	if (i == 0 && m->skip_system && ax_val_is(ax_val_get(t->turn[0].msg, "role"), "system"))
		return 0;
	dummy = dummy_turn(m, &t->turn[i], what, a);
	if (!dummy)
		return no_memory(e);
	AX_TRY(prefix_ids(m, t, i + 1, dummy, a, w, &w->dummy, e));
	if (w->trace && what != REPLACE_REASONING)
		trace_dummy(w, ax_val_get(dummy, "content"), &w->trace->found[i]);
	AX_TRY(prefix_ids(m, t, i + 1, NULL, a, w, &w->other, e));
	*s = differing(&w->other, &w->dummy);
	if (w->trace && what != REPLACE_REASONING)
		trace_prefix(w, *s, &w->trace->found[i]);
	return 0;
}

/* First and last character of token k of a text of n_chars characters: a token ends before the next one begins. */
static int64_t first_char(const int64_t *start, size_t k)
{
	return start[k];
}

static int64_t last_char(const int64_t *start, size_t n, size_t k, int64_t n_chars)
{
	return k + 1 < n ? start[k + 1] - 1 : n_chars - 1;
}

/* Move a part's borders to token borders, outward where they fall inside a token; false when no token is left. */
static bool align_part(struct ax_part *p, const int64_t *start, size_t n, int64_t n_chars)
{
	size_t b = 0, end = n; /* end: one past the last token */

	while (b < n && first_char(start, b) < p->begin)
		b++;
	if (b > 0 && last_char(start, n, b - 1, n_chars) > p->begin)
		b--;
	while (end > 0 && last_char(start, n, end - 1, n_chars) > p->end)
		end--;
	if (end < n && first_char(start, end) < p->end)
		end++;
	if (b >= end)
		return false;
	p->begin = first_char(start, b);
	p->end = last_char(start, n, end - 1, n_chars);
	return true;
}

/* The character in which each token of the text begins. */
static int64_t *token_chars(const struct ax_ids *ids, const char *s, size_t n, struct ax_arena *a)
{
	int64_t *start = ax_arena_calloc(a, ids->n + 1, sizeof(*start));
	size_t at = 0;
	int64_t chars = 0;

	for (size_t k = 0; start && k < ids->n; k++) {
		for (; at < ids->begin[k] && at < n; at++)
			chars += ((unsigned char)s[at] & 0xc0) != 0x80;
		start[k] = at < n && ((unsigned char)s[at] & 0xc0) == 0x80 ? chars - 1 : chars;
	}
	return start;
}

/* For the trace: how many ids of the text alone stand at `begin` in the conversation? */
static void trace_alone(const struct ax_mask_work *w, const struct ax_ids *alone, int64_t begin, size_t turn)
{
	size_t k = 0;

	while (k < alone->n && (size_t)begin + k < w->ids.n && alone->id[k] == w->ids.id[(size_t)begin + k])
		k++;
	w->trace->found[turn].alone = k;
}

/* Train the tokens that lie in a trained part of a turn's text, counted from the text's first token at `begin`. */
static int train_parts(const struct ax_masker *m, const struct ax_val *text, const struct ax_parts *parts, size_t turn,
		       int64_t begin, struct ax_arena *a, struct ax_mask_work *w, struct ax_err *e)
{
	struct ax_ids ids = AX_IDS_INIT;
	int64_t n_chars, *start;
	int rc = 0;

	if (!text || text->type != AX_STR)
		return ax_fail(e, AX_EDATA, "training detail needs a content that is text");
	n_chars = (int64_t)ax_count_chars(text->u.s, text->n);
	AX_GOTO(ax_mask_encode_value(m, text, w, AX_TOK_OFFSETS, &ids, e));
	start = token_chars(&ids, text->u.s, text->n, a);
	if (!start)
		AX_GOTO(no_memory(e));
	if (w->trace)
		trace_alone(w, &ids, begin, turn);
	for (size_t p = 0; p < parts->n; p++) {
		struct ax_part part = parts->part[p];

		if (!align_part(&part, start, ids.n, n_chars) || !part.train)
			continue;
		for (size_t k = 0; k < ids.n && begin + (int64_t)k < (int64_t)w->ids.n; k++)
			if (start[k] >= part.begin && last_char(start, ids.n, k, n_chars) <= part.end) {
				w->mask[begin + (int64_t)k] = 1;
				ax_trace_set(w, (size_t)begin + k, turn, AX_RULE_PART);
			}
	}
out:
	ax_ids_release(&ids);
	return rc;
}

static bool is_eot(const struct ax_masker *m, uint32_t id)
{
	for (size_t i = 0; i < m->n_eot; i++)
		if (m->eot_id[i] == id)
			return true;
	return false;
}

/*
 * First end token at or behind `from`, or NO_SPAN. From -1 the search begins with the last token, which then counts as
 * not found: an index of -1 means the last element where this rule comes from.
 */
static int64_t find_end(const struct ax_masker *m, const struct ax_ids *ids, int64_t from, bool eot)
{
	int64_t n = (int64_t)ids->n;

	for (int64_t i = from; i < n && n > 0; i++) {
		uint32_t id = ids->id[i < 0 ? n - 1 : i];

		if (eot ? is_eot(m, id) : id == m->eos_id)
			return i;
	}
	return NO_SPAN;
}

struct last_ends {
	int64_t at[2]; /* eot, eos */
	size_t turn[2];
};

static void train_end(const struct ax_masker *m, size_t turn, int64_t end, bool trained, struct ax_mask_work *w,
		      struct last_ends *last)
{
	bool found = false;

	for (int k = 0; k < 2; k++) {
		enum ax_train_end opt = k == 0 ? m->eot : m->eos;
		int64_t i = find_end(m, &w->ids, end, k == 0);

		if (i == NO_SPAN || llabs(i - end) > WINDOW)
			continue;
		last->at[k] = i;
		last->turn[k] = turn;
		if (opt == AX_END_ALL || (opt == AX_END_TURN && trained)) {
			w->mask[i] = 1;
			ax_trace_set(w, (size_t)i, turn, AX_RULE_END);
			found = true;
		}
		found |= opt == AX_END_LAST;
	}
	if (trained && !found && (m->eot != AX_END_NONE || m->eos != AX_END_NONE))
		w->note |= AX_NOTE_NO_END;
}

static int train_turn(const struct ax_masker *m, const struct ax_thread *t, size_t i, bool trained, struct ax_arena *a,
		      struct ax_mask_work *w, struct last_ends *last, struct ax_err *e)
{
	const struct ax_turn *turn = &t->turn[i];
	bool detail = turn->detail.n > 0, thought = turn->reasoning_detail.n > 0;
	bool only = (detail || thought) && turn->reasoning;
	struct span s, r;

	AX_TRY(find_turn(m, t, i, only ? REPLACE_ONLY_CONTENT : REPLACE_CONTENT, a, w, &s, e));
	if (trained && s.begin != NO_SPAN) {
		if (detail)
			AX_TRY(train_parts(m, turn->content, &turn->detail, i, s.begin, a, w, e));
		for (int64_t k = s.begin; !detail && !thought && k < s.end && k < (int64_t)w->ids.n; k++) {
			w->mask[k] = 1;
			ax_trace_set(w, (size_t)k, i, AX_RULE_RUN);
		}
	}
	if (trained && s.begin == NO_SPAN)
		w->note |= AX_NOTE_NO_SPAN;
	if (trained && thought && turn->reasoning) {
		AX_TRY(find_turn(m, t, i, REPLACE_REASONING, a, w, &r, e));
		if (r.begin != NO_SPAN)
			AX_TRY(train_parts(m, turn->reasoning, &turn->reasoning_detail, i, r.begin, a, w, e));
	}
	train_end(m, i, s.end, trained, w, last);
	return 0;
}

int ax_mask_axolotl(const struct ax_masker *m, const struct ax_thread *t, struct ax_arena *a, struct ax_mask_work *w,
		    struct ax_err *e)
{
	struct last_ends last = {{NO_SPAN, NO_SPAN}, {0, 0}};

	for (size_t i = 0; i < t->n; i++) {
		bool trained = ax_turn_trained(m, &t->turn[i]);

		if (trained || m->eos == AX_END_ALL || m->eot == AX_END_ALL)
			AX_TRY(train_turn(m, t, i, trained, a, w, &last, e));
	}
	for (int k = 0; k < 2; k++)
		if ((k == 0 ? m->eot : m->eos) == AX_END_LAST && last.at[k] != NO_SPAN) {
			w->mask[last.at[k]] = 1;
			ax_trace_set(w, (size_t)last.at[k], last.turn[k], AX_RULE_END);
		}
	return 0;
}
