/* The stream's header: tokenizer, keys, provenance. */
#include <stdio.h>
#include <string.h>

#include "tokenize.h"

static bool set_id(struct ax_arena *a, struct ax_val *m, const char *key, uint32_t id)
{
	return id == AX_TOK_NONE || ax_val_set(a, m, key, ax_val_int(a, id));
}

static bool set_str(struct ax_arena *a, struct ax_val *m, const char *key, const char *s)
{
	return !s || ax_val_set(a, m, key, ax_val_str(a, s, strlen(s)));
}

static struct ax_val *tokenizer(struct ax_arena *a, const struct ax_effective *f, const char *model)
{
	struct ax_val *m = ax_val_map(a), *files = ax_val_list(a);
	bool ok = m && files && set_str(a, m, "fingerprint", f->fingerprint) &&
		  (!model || ax_val_push(a, files, ax_val_str(a, model, strlen(model)))) &&
		  ax_val_set(a, m, "files", files) && ax_val_set(a, m, "vocab_size", ax_val_int(a, f->n_embed)) &&
		  set_id(a, m, "pad", f->pad) && set_id(a, m, "bos", f->bos) && set_id(a, m, "eos", f->eos);

	return ok ? m : NULL;
}

/* Ids that end trained turns, of all entries: ax-train adds them to generation_config.json. */
static struct ax_val *turn_ends(struct ax_arena *a, const struct tk_plan *p)
{
	struct ax_val *list = ax_val_list(a);

	for (size_t i = 0; list && i < p->n_entry; i++) {
		size_t n;
		const uint32_t *id = ax_rows_turn_ends(p->entry[i].rows, &n);

		for (size_t k = 0; k < n; k++) {
			bool there = false;

			for (size_t j = 0; j < list->n; j++)
				there |= list->u.item[j]->u.i == (int64_t)id[k];
			if (!there && !ax_val_push(a, list, ax_val_int(a, id[k])))
				return NULL;
		}
	}
	return list;
}

static struct ax_val *sources(struct ax_arena *a, const struct tk_plan *p)
{
	struct ax_val *list = ax_val_list(a);

	for (size_t i = 0; list && i < p->n_entry; i++) {
		const struct tk_entry *t = &p->entry[i];
		struct ax_val *m = ax_val_map(a), *files = ax_val_list(a);
		bool ok = m && files && set_str(a, m, "entry", t->label) && ax_val_set(a, m, "files", files);

		for (size_t k = 0; ok && k < t->n_file; k++)
			ok = ax_val_push(a, files, ax_val_str(a, t->file[k], strlen(t->file[k])));
		if (!ok || !ax_val_push(a, list, m))
			return NULL;
	}
	return list;
}

struct ax_val *tk_header(const struct tk_plan *p, struct ax_conf *c, int argc, char **argv, struct ax_err *e)
{
	struct ax_arena *a = &c->arena;
	const struct ax_effective *f = p->eff;
	struct ax_val *h = ax_header_new(a, "tokens", f && f->n_embed && f->n_embed <= 65536 ? 16 : 32);
	struct ax_val *extra = ax_val_map(a), *src = sources(a, p);
	bool ok = h && extra && src;

	ok = ok && ax_val_set(a, h, "sequence_len", ax_val_int(a, ax_conf_int(c, "sequence_len")));
	if (f)
		ok = ok && ax_val_set(a, h, "tokenizer", tokenizer(a, f, ax_conf_str(c, "base_model"))) &&
		     ax_val_set(a, h, "turn_ends", turn_ends(a, p));
	ok = ok && ax_val_set(a, h, "keys", ax_conf_resolved(c, AX_TOOL_TOKENIZE | AX_TOOL_PACK | AX_TOOL_SHARD));
	ok =
	    ok && ax_val_set(a, extra, "seed", ax_val_int(a, (int64_t)p->seed)) && ax_val_set(a, extra, "sources", src);
	if (ax_conf_opt_flag(c, "no-inject"))
		ok = ok && ax_val_set(a, extra, "no_inject", ax_val_bool(a, true));
	ok = ok && ax_header_provenance(a, h, !ax_conf_opt_flag(c, "no-provenance"), "ax-tokenize", argc, argv, extra);
	if (!ok)
		ax_fail(e, AX_EMEM, "out of memory");
	return ok ? h : NULL;
}
