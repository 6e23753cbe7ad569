#include <string.h>

#include "base/log.h"
#include "tok/effective.h"
#include "view.h"

struct view_text {
	struct ax_effective *eff;
	struct ax_buf bytes;
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

void view_text_open(struct view *v, const struct ax_val *header)
{
	struct ax_effective *eff = NULL;
	struct ax_err e = {0};
	char fp[33];

	if (v->text_tried)
		return;
	v->text_tried = true;
	if (open_effective(v->conf, header, &eff, &e))
		ax_warn("%s; showing ids (--base-model DIR names the tokenizer)", e.msg);
	if (!eff || !eff->tok) {
		ax_effective_free(eff);
		return;
	}
	ax_header_fingerprint(header, fp);
	if (*fp && strcmp(fp, eff->fingerprint))
		ax_warn("this tokenizer is not the stream's (fingerprints %s and %s): its texts may be wrong",
			eff->fingerprint, fp);
	v->text = ax_calloc(1, sizeof(*v->text));
	if (v->text)
		v->text->eff = eff;
	else
		ax_effective_free(eff);
}

void view_text_close(struct view *v)
{
	if (!v->text)
		return;
	ax_effective_free(v->text->eff);
	ax_buf_release(&v->text->bytes);
	ax_free(v->text);
}

/* Bytes of the character at p (n left) that may go to a terminal as they are; 0: escape the byte. */
static size_t plain_char(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		     : p[0] >= 0xf0 && p[0] < 0xf5					     ? 4
											     : 0;

	if (!len || len > n || p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0))
		return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* U+200E, U+200F, U+2028-202E, U+2066-2069: would turn the direction of the line */
	if (p[0] == 0xe2 && ((p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae))) ||
			     (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)))
		return 0;
	return len;
}

static void escape(struct ax_buf *b, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t len = plain_char(p + i, n - i);

		if (p[i] == '\\')
			ax_buf_adds(b, "\\\\");
		else if (len)
			ax_buf_add(b, p + i, len);
		else if (p[i] == '\n')
			ax_buf_adds(b, "\\n");
		else if (p[i] == '\t')
			ax_buf_adds(b, "\\t");
		else
			ax_buf_addf(b, "\\x%02x", p[i]);
		i += len ? len : 1;
	}
}

bool view_token(const struct view *v, uint32_t id, struct ax_buf *b)
{
	struct ax_buf *bytes;

	if (!v->text)
		return false;
	bytes = &v->text->bytes;
	ax_buf_reset(bytes);
	if (!ax_tokenizer_bytes(v->text->eff->tok, id, bytes))
		ax_buf_addf(b, "<%u>", id);
	else
		escape(b, (const unsigned char *)bytes->p, bytes->n);
	return true;
}
