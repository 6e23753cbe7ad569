#include <string.h>

#include "base/log.h"
#include "tok/decode.h"
#include "tok/effective.h"
#include "tok/show.h"
#include "view.h"

struct view_text {
	struct ax_effective *eff;
};

/* The tokenizer that the settings describe; the header's keys among them. *eff stays NULL where none is named. */
static int open_effective(struct ax_conf *c, const struct ax_val *header, struct ax_effective **eff, struct ax_err *e)
{
	struct ax_tok_spec spec = {0};
	const char *model, *dir;

	AX_TRY(ax_conf_header(c, ax_val_get(header, "keys"), e));
	model = ax_conf_str(c, "base_model");
	dir = ax_conf_str(c, "tokenizer_config");
	if (!model)
		return 0;
	AX_TRY(ax_hub_find(c, "models", model, ax_conf_str(c, "revision_of_model"), &spec.model_dir, e));
	if (dir && strcmp(dir, model))
		AX_TRY(ax_hub_find(c, "models", dir, NULL, &spec.tokenizer_dir, e));
	spec.special_tokens = ax_conf_get(c, "special_tokens");
	spec.tokens = ax_conf_get(c, "tokens");
	spec.added_tokens_overrides = ax_conf_get(c, "added_tokens_overrides");
	return ax_effective_open(eff, &spec, e);
}

/* Keep it, if it is a tokenizer. */
static int take(struct view *v, const struct ax_val *header, struct ax_effective *eff, struct ax_err *e)
{
	char fp[33];

	if (!eff || !eff->tok) {
		ax_effective_free(eff);
		return v->mode == VIEW_ROWS ? 0
					    : ax_fail(e, AX_EUSAGE, "--%s needs the tokenizer: --base-model DIR names it",
						      v->mode == VIEW_TEXT ? "text" : "debug");
	}
	ax_header_fingerprint(header, fp);
	if (*fp && strcmp(fp, eff->fingerprint))
		ax_warn("this tokenizer is not the stream's (fingerprints %s and %s): its texts may be wrong",
			eff->fingerprint, fp);
	v->text = ax_calloc(1, sizeof(*v->text));
	if (!v->text) {
		ax_effective_free(eff);
		return v->mode == VIEW_ROWS ? 0 : ax_fail(e, AX_EMEM, "out of memory");
	}
	v->text->eff = eff;
	return 0;
}

int view_text_open(struct view *v, const struct ax_val *header, struct ax_err *e)
{
	struct ax_effective *eff = NULL;
	struct ax_err why = {0};
	int rc;

	if (v->text_tried)
		return 0;
	rc = open_effective(v->conf, header, &eff, &why);
	if (rc && v->mode != VIEW_ROWS)
		return ax_fail(e, rc, "%s", why.msg);
	if (rc)
		ax_warn("%s; showing ids (--base-model DIR names the tokenizer)", why.msg);
	rc = take(v, header, eff, e);
	v->text_tried = !rc; /* the next operand fails as this one */
	return rc;
}

void view_text_close(struct view *v)
{
	if (!v->text)
		return;
	ax_effective_free(v->text->eff);
	ax_free(v->text);
}

bool view_tokens(const struct view *v, const uint32_t *id, size_t n, struct ax_buf *b)
{
	if (!v->text)
		return false;
	ax_show_tokens(b, v->text->eff->tok, id, n);
	return true;
}

void view_bytes(const struct view *v, const uint32_t *id, size_t n, struct ax_buf *b)
{
	for (size_t i = 0; v->text && i < n; i++)
		if (!ax_tokenizer_bytes(v->text->eff->tok, id[i], b))
			ax_buf_addf(b, "<%u>", id[i]);
}

int view_decode(const struct view *v, const struct ax_row *r, struct ax_buf *b, struct ax_err *e)
{
	return ax_tokenizer_decode(v->text->eff->tok, r->id, r->n, 0, b, e);
}
