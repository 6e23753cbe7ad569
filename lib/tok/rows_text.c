/* Kinds made of plain texts: completion, instruction prompts, segments. */
#include <string.h>

#include "tok/rows_priv.h"

bool ax_rows_cut(const struct ax_rows *r, struct ax_ids *ids, size_t limit)
{
	size_t n_suffix;
	const uint32_t *suffix = ax_tokenizer_suffix(r->tok, &n_suffix);

	if (limit == 0 || ids->n <= limit)
		return false;
	ids->n = limit;
	for (size_t i = 0; i < n_suffix && i < limit; i++)
		ids->id[limit - 1 - i] = suffix[n_suffix - 1 - i];
	return true;
}

/* Ids of a text into w->ids. `data`: its guards; NULL: all of it is data. *note tells whether some of it was held back. */
static int ids_of(const struct ax_rows *r, const char *s, size_t n, struct ax_guards *data, unsigned flags,
		  struct ax_rows_work *w, unsigned *note, struct ax_err *e)
{
	ax_ids_reset(&w->ids);
	if (!r->opt.no_inject)
		return ax_tokenizer_encode(r->tok, s, n, flags, &w->ids, w->mask.scratch, e);
	if (!data) {
		data = &w->guards;
		ax_guards_reset(data);
		AX_TRY(ax_guards_add(data, 0, n, e));
	}
	AX_TRY(ax_tokenizer_encode_guarded(r->tok, s, n, flags, data, &w->ids, w->mask.scratch, e));
	*note |= data->n_held ? AX_MADE_HELD : 0;
	return 0;
}

/* The beginning token, or what the tokenizer puts in its place: the configuration may name another bos_token. */
static bool is_start(const struct ax_rows *r, uint32_t id)
{
	size_t n;
	const uint32_t *prefix = ax_tokenizer_prefix(r->tok, &n);

	return (r->opt.eff->bos != AX_TOK_NONE && id == r->opt.eff->bos) || (n == 1 && id == prefix[0]);
}

int ax_rows_encode(const struct ax_rows *r, const char *s, size_t n, struct ax_guards *data, const struct ax_rows_shape *sh,
		  struct ax_rows_work *w, struct ax_made *out, uint8_t mask, unsigned *note, struct ax_err *e)
{
	uint32_t eos = r->opt.eff->eos;
	size_t from = 0;
	bool end;

	if (n == 0)
		return 0;
	AX_TRY(ids_of(r, s, n, data, AX_TOK_SPECIAL, w, note, e));
	*note |= ax_rows_cut(r, &w->ids, sh->limit) ? AX_MADE_CUT : 0;
	if (w->ids.n == 0)
		return 0;
	end = sh->eos && eos != AX_TOK_NONE && w->ids.id[w->ids.n - 1] != eos && (!sh->limit || w->ids.n < sh->limit);
	if (sh->drop_bos && is_start(r, w->ids.id[0]))
		from = 1;
	AX_TRY(ax_made_add(out, w->ids.id + from, w->ids.n - from, mask, e));
	return end ? ax_made_add(out, &eos, 1, mask, e) : 0;
}

static int text_field(const struct ax_val *row, const char *name, const struct ax_val **v, struct ax_err *e)
{
	*v = ax_val_get(row, name);
	if (!*v)
		return ax_fail(e, AX_EDATA, "field \"%s\" is missing", name);
	if ((*v)->type != AX_STR && (*v)->type != AX_NULL)
		return ax_fail(e, AX_EDATA, "field \"%s\" is no text", name);
	return 0;
}

int ax_rows_text_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out, struct ax_rows_work *w,
		      struct ax_err *e)
{
	const struct ax_rows_shape sh = {.eos = true};
	size_t step = r->opt.sequence_len ? r->opt.sequence_len : AX_ROW_MAX, n, at = out->n;
	const struct ax_val *v;
	unsigned note = 0;

	AX_TRY(text_field(row, r->field, &v, e));
	if (v->type == AX_NULL)
		return 0;
	AX_TRY(ax_rows_encode(r, v->u.s, v->n, NULL, &sh, w, out, 1, &note, e));
	n = out->n - at;
	for (size_t i = 0; i < n; i += step) {
		AX_TRY(ax_made_begin(out, e));
		out->row[out->n_row].at = at + i;
		out->row[out->n_row].n = (uint32_t)(n - i < step ? n - i : step);
		out->row[out->n_row].note = note & AX_MADE_HELD;
		out->n_row++;
	}
	return 0;
}

/* Prompt and answer as one text; what the prompt alone encodes to is not trained. */
static int joined(const struct ax_rows *r, struct ax_made *out, struct ax_rows_work *w, const struct ax_rows_shape *full,
		  const struct ax_rows_shape *bare, unsigned *note, struct ax_err *e)
{
	struct ax_prompt_text *p = &w->prompt, *a = &w->answer;
	size_t at, n_prompt;

	AX_TRY(ax_made_begin(out, e));
	at = out->n;
	AX_TRY(ax_rows_encode(r, p->b.p, p->b.n, &p->data, bare, w, out, 0, note, e));
	n_prompt = out->n - at;
	out->n = at;
	AX_TRY(ax_guards_append(&p->data, &a->data, p->b.n, e));
	ax_buf_add(&p->b, a->b.p ? a->b.p : "", a->b.n);
	if (p->b.oom)
		return ax_fail(e, AX_EMEM, "out of memory");
	AX_TRY(ax_rows_encode(r, p->b.p, p->b.n, &p->data, full, w, out, 1, note, e));
	if (!r->opt.train_on_inputs && n_prompt && out->n > at)
		memset(out->mask + at, 0, n_prompt < out->n - at ? n_prompt : out->n - at);
	return 0;
}

static int separate(const struct ax_rows *r, struct ax_made *out, struct ax_rows_work *w, const struct ax_rows_shape *full,
		    const struct ax_rows_shape *bare, unsigned *note, struct ax_err *e)
{
	struct ax_prompt_text *p = &w->prompt, *a = &w->answer;
	struct ax_rows_shape answer = *full;
	uint32_t eos = r->opt.eff->eos;
	size_t before;

	answer.drop_bos = true;
	AX_TRY(ax_made_begin(out, e));
	AX_TRY(ax_rows_encode(r, p->b.p, p->b.n, &p->data, bare, w, out, r->opt.train_on_inputs, note, e));
	before = out->n;
	AX_TRY(ax_rows_encode(r, a->b.p, a->b.n, &a->data, &answer, w, out, 1, note, e));
	for (unsigned i = 0; i < r->prompt.n_eos && eos != AX_TOK_NONE && out->n > before; i++)
		if (!answer.limit || out->n - before < answer.limit)
			AX_TRY(ax_made_add(out, &eos, 1, 1, e));
	return 0;
}

int ax_rows_prompt_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out, struct ax_rows_work *w,
			struct ax_err *e)
{
	const struct ax_rows_shape full = {.limit = r->opt.sequence_len, .eos = true}, bare = {.limit = r->opt.sequence_len};
	unsigned note = 0;

	AX_TRY(ax_prompt_build(&r->prompt, row, &w->prompt, &w->answer, e));
	AX_TRY((r->prompt.joined ? joined : separate)(r, out, w, &full, &bare, &note, e));
	return ax_made_end(out, note, e);
}

int ax_rows_segments_make(const struct ax_rows *r, const struct ax_val *row, struct ax_made *out,
			  struct ax_rows_work *w, struct ax_err *e)
{
	const struct ax_val *list = ax_val_get(row, "segments");
	unsigned note = 0;

	if (ax_val_is_null(list))
		return ax_fail(e, AX_EDATA, "field \"segments\" is missing");
	if (list->type != AX_LIST)
		return ax_fail(e, AX_EDATA, "field \"segments\" is no list");
	AX_TRY(ax_made_begin(out, e));
	for (size_t i = 0; i < list->n; i++) {
		const struct ax_val *text = ax_val_get(list->u.item[i], "text");
		const struct ax_val *label = ax_val_get(list->u.item[i], "label");
		bool train;

		if (!text || text->type != AX_STR || !label)
			return ax_fail(e, AX_EDATA, "segment %zu lacks a text or a label", i + 1);
		train = r->opt.train_on_inputs || ax_val_truthy(label);
		AX_TRY(ids_of(r, text->u.s, text->n, NULL, 0, w, &note, e));
		AX_TRY(ax_made_add(out, w->ids.id, w->ids.n, train, e));
	}
	return ax_made_end(out, note, e);
}
