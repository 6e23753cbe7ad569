/* Which bytes of a rendered conversation are data, and encoding that keeps them from forming special tokens. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "tok/mask.h"

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

/* --- values that are no data --- */

static size_t count_values(const struct ax_val *v)
{
	size_t n = 1;

	for (size_t i = 0; v->type == AX_MAP && i < v->n; i++)
		n += count_values(v->u.pair[i].val);
	for (size_t i = 0; v->type == AX_LIST && i < v->n; i++)
		n += count_values(v->u.item[i]);
	return n;
}

static void add_values(struct ax_mask_work *w, const struct ax_val *v)
{
	w->trusted[w->n_trusted++] = v;
	for (size_t i = 0; v->type == AX_MAP && i < v->n; i++)
		add_values(w, v->u.pair[i].val);
	for (size_t i = 0; v->type == AX_LIST && i < v->n; i++)
		add_values(w, v->u.item[i]);
}

static int by_address(const void *x, const void *y)
{
	uintptr_t a = (uintptr_t) * (const struct ax_val *const *)x, b = (uintptr_t) * (const struct ax_val *const *)y;

	return (a > b) - (a < b);
}

int ax_mask_trust(const struct ax_masker *m, const struct ax_thread *t, struct ax_arena *a, struct ax_mask_work *w,
		  struct ax_err *e)
{
	size_t n = t->n + 1;

	w->n_trusted = 0;
	if (!m->no_inject)
		return 0;
	n += (m->vars ? count_values(m->vars) : 0) + (m->kwargs ? count_values(m->kwargs) : 0);
	w->trusted = ax_arena_calloc(a, n, sizeof(struct ax_val *));
	if (!w->trusted)
		return no_memory(e);
	if (m->vars)
		add_values(w, m->vars);
	if (m->kwargs)
		add_values(w, m->kwargs);
	for (size_t i = 0; i < t->n; i++)
		if (t->turn[i].known_role)
			w->trusted[w->n_trusted++] = ax_val_get(t->turn[i].msg, "role");
	qsort(w->trusted, w->n_trusted, sizeof(*w->trusted), by_address);
	return 0;
}

/*
 * A span is data unless it is the template's own or a copy of a trusted value. Text that a filter made anew names only the
 * first value that went into it: it is data, unless it is all of the trusted value but for case.
 */
static bool is_data(const struct ax_mask_work *w, const struct ax_span *s)
{
	const struct ax_val *o = s->origin;

	if (!o)
		return false;
	if (!w->n_trusted || !bsearch(&o, w->trusted, w->n_trusted, sizeof(*w->trusted), by_address))
		return true;
	if (!(s->flags & AX_SPAN_TRANSFORMED))
		return false;
	return o->type != AX_STR || o->n != s->end - s->begin || strncasecmp(w->rope.b.p + s->begin, o->u.s, o->n);
}

/* --- encoding --- */

static int encode(const struct ax_masker *m, const char *p, size_t n, unsigned flags, struct ax_mask_work *w,
		  struct ax_ids *out, struct ax_err *e)
{
	struct ax_guards *g = m->no_inject ? &w->guards : NULL;

	ax_ids_reset(out);
	AX_TRY(ax_tokenizer_encode_guarded(m->tok, p ? p : "", n, flags, g, out, w->scratch, e));
	if (g && g->n_held)
		w->note |= AX_NOTE_HELD;
	return 0;
}

static void guards_for(const struct ax_masker *m, struct ax_mask_work *w)
{
	ax_guards_reset(&w->guards);
	w->guards.id = m->marker;
	w->guards.n_id = m->n_marker;
}

int ax_mask_encode(const struct ax_masker *m, struct ax_mask_work *w, unsigned flags, struct ax_ids *out,
		   struct ax_err *e)
{
	const struct ax_rope *r = &w->rope;

	guards_for(m, w);
	for (size_t i = 0; m->no_inject && i < r->n_span; i++)
		if (is_data(w, &r->span[i]))
			AX_TRY(ax_guards_add(&w->guards, r->span[i].begin, r->span[i].end, e));
	return encode(m, r->b.p, r->b.n, flags, w, out, e);
}

int ax_mask_encode_value(const struct ax_masker *m, const struct ax_val *text, struct ax_mask_work *w, unsigned flags,
			 struct ax_ids *out, struct ax_err *e)
{
	guards_for(m, w);
	AX_TRY(ax_guards_add(&w->guards, 0, text->n, e));
	return encode(m, text->u.s, text->n, flags, w, out, e);
}

/* --- tokens that separate turns --- */

/* White space and what the model itself writes is ordinary text, though it be an added token. */
static bool is_marker(const struct ax_tok_added *t)
{
	for (size_t i = 0; t && !t->merged && i < t->content_n; i++)
		if (!strchr(" \t\r\n", t->content[i]))
			return true;
	return false;
}

static int by_id(const void *x, const void *y)
{
	uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

	return (a > b) - (a < b);
}

/*
 * A user's turn, an answer, and a user's turn: what separates them. An answer at the end or a generation prompt would show
 * tags such as <think> too, which an answer may hold.
 */
static int render_probe(const struct ax_masker *m, struct ax_arena *a, struct ax_rope *out, struct ax_err *e)
{
	static const char *const role[] = {"user", "assistant", "user"};
	struct ax_val *list = ax_val_list(a);

	for (size_t i = 0; i < 3; i++) {
		struct ax_val *msg = ax_val_map(a);

		if (!list || !msg || !ax_val_set(a, msg, "role", ax_val_str(a, role[i], strlen(role[i]))) ||
		    !ax_val_set(a, msg, "content", ax_val_str(a, "?", 1)) || !ax_val_push(a, list, msg))
			return no_memory(e);
	}
	return ax_mask_render(m, list, NULL, 0, false, a, out, e);
}

int ax_mask_markers(struct ax_masker *m, struct ax_tok_scratch *s, struct ax_arena *a, struct ax_err *e)
{
	struct ax_ids ids = AX_IDS_INIT;
	struct ax_err refused = {0};
	struct ax_rope r;
	uint32_t *id;
	size_t n = 0, kept = 0;
	int rc;

	ax_rope_init(&r);
	rc = render_probe(m, a, &r, &refused); /* a template may refuse it: then the end tokens alone are known */
	if (!rc)
		AX_GOTO(ax_tokenizer_encode(m->tok, r.b.p ? r.b.p : "", r.b.n, 0, &ids, s, e));
	rc = 0;
	id = ax_arena_calloc(a, ids.n + m->n_eot + 1, sizeof(*id));
	if (!id)
		AX_GOTO(no_memory(e));
	for (size_t i = 0; i < ids.n + m->n_eot; i++) {
		uint32_t x = i < ids.n ? ids.id[i] : m->eot_id[i - ids.n];

		if (is_marker(ax_tokenizer_added(m->tok, x)))
			id[n++] = x;
	}
	qsort(id, n, sizeof(*id), by_id);
	for (size_t i = 0; i < n; i++)
		if (!i || id[i] != id[i - 1])
			id[kept++] = id[i];
	m->marker = id;
	m->n_marker = kept;
out:
	ax_ids_release(&ids);
	ax_rope_release(&r);
	return rc;
}
