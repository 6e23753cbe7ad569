#include "tok/mask.h"

#include <string.h>

#include "base/mem.h"
#include "tok/mask_trace.h"

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

int ax_mask_work_init(struct ax_mask_work *w, const struct ax_tokenizer *t, struct ax_err *e)
{
	memset(w, 0, sizeof(*w));
	ax_rope_init(&w->rope);
	return ax_tok_scratch_new(&w->scratch, t, e);
}

void ax_mask_work_release(struct ax_mask_work *w)
{
	ax_tok_scratch_free(w->scratch);
	ax_rope_release(&w->rope);
	ax_ids_release(&w->ids);
	ax_ids_release(&w->other);
	ax_ids_release(&w->dummy);
	ax_free(w->mask);
	ax_guards_release(&w->guards);
	ax_free(w->marks.mark);
	memset(w, 0, sizeof(*w));
}

bool ax_turn_trained(const struct ax_masker *m, const struct ax_turn *t)
{
	if (t->training) {
		/* Python takes the text "false" for true; so do Axolotl's rules */
		if (m->mode == AX_MASK_EXACT &&
		    (ax_val_is(t->training, "false") || ax_val_is(t->training, "False") || ax_val_is(t->training, "0")))
			return false;
		return ax_val_truthy(t->training);
	}
	if (t->detail.given || t->reasoning_detail.given)
		return t->detail.n > 0 || t->reasoning_detail.n > 0;
	return m->train_on_inputs || t->by_role;
}

static bool add_all(struct ax_arena *a, struct ax_val *to, const struct ax_val *from)
{
	for (size_t i = 0; i < ax_val_len(from); i++)
		if (!ax_val_set(a, to, from->u.pair[i].key, from->u.pair[i].val))
			return false;
	return true;
}

int ax_mask_render(const struct ax_masker *m, const struct ax_val *messages, const struct ax_val *tools,
		   int64_t real_last, bool generation_prompt, struct ax_arena *a, struct ax_rope *out, struct ax_err *e)
{
	struct ax_val *ctx = ax_val_map(a), *null = ax_val_null(a);
	bool ok = ctx && null;
	int rc;

	ok = ok && add_all(a, ctx, m->vars) && ax_val_set(a, ctx, "messages", (struct ax_val *)(uintptr_t)messages);
	ok = ok && ax_val_set(a, ctx, "tools", tools ? (struct ax_val *)(uintptr_t)tools : null);
	ok = ok && ax_val_set(a, ctx, "documents", null);
	ok = ok && ax_val_set(a, ctx, "add_generation_prompt", ax_val_bool(a, generation_prompt));
	if (real_last > 0)
		ok = ok && ax_val_set(a, ctx, "real_last_index", ax_val_int(a, real_last));
	ok = ok && add_all(a, ctx, m->kwargs);
	if (!ok)
		return no_memory(e);
	rc = ax_jinja_render(m->tmpl, ctx, &m->opt, out, e);
	if (rc && out->line)
		ax_err_prefix(e, "template line %u, column %u: ", out->line, out->column);
	return rc;
}

static struct ax_val *message(struct ax_arena *a, const char *role, const char *content)
{
	struct ax_val *m = ax_val_map(a);

	if (!m || !ax_val_set(a, m, "role", ax_val_str(a, role, strlen(role))) ||
	    !ax_val_set(a, m, "content", ax_val_str(a, content, strlen(content))))
		return NULL;
	return m;
}

/* Does `longer` begin with all of `shorter`? */
static bool extends(const struct ax_rope *longer, const struct ax_rope *shorter)
{
	return longer->b.n > shorter->b.n && (shorter->b.n == 0 || !memcmp(longer->b.p, shorter->b.p, shorter->b.n));
}

static void keep(struct ax_arena *a, const char *p, size_t n, const char **to, size_t *to_n)
{
	char *s = ax_arena_strndup(a, p, n);

	*to = s ? s : "";
	*to_n = s ? n : 0;
}

static bool is_blank(const char *p, size_t n)
{
	while (n && strchr(" \t\r\n", p[n - 1]))
		n--;
	return n == 0;
}

/* White space between the end of the plain user turn and the first byte of the answer's content. */
static void find_lead(struct ax_masker *m, const struct ax_rope *plain, const struct ax_rope *answered,
		      const struct ax_val *content, struct ax_arena *a)
{
	for (size_t i = 0; i < answered->n_span; i++) {
		const struct ax_span *s = &answered->span[i];

		if (s->origin != content)
			continue;
		if (s->begin > plain->b.n && is_blank(answered->b.p + plain->b.n, s->begin - plain->b.n))
			keep(a, answered->b.p + plain->b.n, s->begin - plain->b.n, &m->lead, &m->lead_n);
		return;
	}
}

int ax_mask_header(struct ax_masker *m, struct ax_arena *a, struct ax_err *e)
{
	struct ax_val *list = ax_val_list(a), *user = message(a, "user", "?"), *answer = message(a, "assistant", "!");
	struct ax_rope plain, more;
	struct ax_err ignored = {0};

	m->header = m->lead = "";
	m->header_n = m->lead_n = 0;
	if (!list || !user || !answer || !ax_val_push(a, list, user))
		return no_memory(e);
	ax_rope_init(&plain);
	ax_rope_init(&more);
	if (!ax_mask_render(m, list, NULL, 0, false, a, &plain, &ignored)) {
		if (!ax_mask_render(m, list, NULL, 0, true, a, &more, &ignored) && extends(&more, &plain))
			keep(a, more.b.p + plain.b.n, more.b.n - plain.b.n, &m->header, &m->header_n);
		if (m->header_n == 0 && ax_val_push(a, list, answer) &&
		    !ax_mask_render(m, list, NULL, 0, false, a, &more, &ignored) && extends(&more, &plain))
			find_lead(m, &plain, &more, ax_val_get(answer, "content"), a);
	}
	ax_rope_release(&plain);
	ax_rope_release(&more);
	return 0;
}

static int clear_mask(struct ax_mask_work *w, struct ax_err *e)
{
	if (w->ids.n > w->cap_mask) {
		uint8_t *p = ax_realloc(w->mask, w->ids.n);

		if (!p)
			return no_memory(e);
		w->mask = p;
		w->cap_mask = w->ids.n;
	}
	if (w->ids.n)
		memset(w->mask, 0, w->ids.n);
	return 0;
}

static int begin_trace(const struct ax_thread *t, struct ax_arena *a, struct ax_mask_work *w, struct ax_err *e)
{
	struct ax_trace *x = w->trace;

	x->cause = ax_arena_calloc(a, w->ids.n + 1, sizeof(*x->cause));
	x->found = ax_arena_calloc(a, t->n + 1, sizeof(*x->found));
	x->text_n = w->rope.b.n;
	x->text = ax_arena_strndup(a, w->rope.b.p ? w->rope.b.p : "", x->text_n);
	x->begin = ax_arena_calloc(a, t->n + 1, sizeof(*x->begin));
	for (size_t i = 0; x->begin && i < t->n; i++)
		x->begin[i] = SIZE_MAX;
	return x->cause && x->found && x->text && x->begin ? 0 : no_memory(e);
}

int ax_mask_thread(const struct ax_masker *m, const struct ax_thread *t, struct ax_arena *a, struct ax_mask_work *w,
		   struct ax_err *e)
{
	struct ax_mask_plan *plan = NULL;

	w->note = 0;
	w->marks.n = w->marks.done = 0;
	AX_TRY(ax_mask_trust(m, t, a, w, e));
	AX_TRY(ax_mask_render(m, t->messages, t->tools, 0, false, a, &w->rope, e));
	if (m->mode == AX_MASK_EXACT)
		AX_TRY(ax_mask_exact_plan(m, t, a, w, &plan, e));
	w->ids.marks = w->marks.n ? &w->marks : NULL;
	AX_TRY(ax_mask_encode(m, w, w->marks.n ? 0 : AX_TOK_OFFSETS, &w->ids, e));
	AX_TRY(clear_mask(w, e));
	if (w->trace)
		AX_TRY(begin_trace(t, a, w, e));
	return plan ? ax_mask_exact(plan, e) : ax_mask_axolotl(m, t, a, w, e);
}
