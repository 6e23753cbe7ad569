#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/decode.h"

#define MAX_DEPTH 16

static int take_text(const struct ax_val *v, const char *kind, const char *key, char **p, size_t *n, struct ax_err *e)
{
	const struct ax_val *s = ax_val_get(v, key);

	if (!s || s->type != AX_STR)
		return ax_fail(e, AX_EDATA, "decoder: %s: \"%s\" is missing or not a string", kind, key);
	*p = ax_strndup(s->u.s, s->n);
	*n = s->n;
	return *p ? 0 : ax_fail(e, AX_EMEM, "out of memory");
}

static int take_char(const struct ax_val *v, const char *kind, const char *key, struct ax_decoder *d, struct ax_err *e)
{
	AX_TRY(take_text(v, kind, key, &d->a, &d->a_n, e));
	if (!d->a_n || ax_utf8_len((unsigned char)d->a[0]) != d->a_n)
		return ax_fail(e, AX_EDATA, "decoder: %s: \"%s\" is not one character", kind, key);
	return 0;
}

static int take_flag(const struct ax_val *v, const char *kind, const char *key, bool *out, struct ax_err *e)
{
	const struct ax_val *b = ax_val_get(v, key);

	if (!b || b->type != AX_BOOL)
		return ax_fail(e, AX_EDATA, "decoder: %s: \"%s\" is missing or not true or false", kind, key);
	*out = b->u.b;
	return 0;
}

static int take_count(const struct ax_val *v, const char *key, size_t *out, struct ax_err *e)
{
	const struct ax_val *n = ax_val_get(v, key);

	if (!n || n->type != AX_INT || n->u.i < 0)
		return ax_fail(e, AX_EDATA, "decoder: Strip: \"%s\" is missing or not a count", key);
	*out = (size_t)n->u.i;
	return 0;
}

static int load_metaspace(struct ax_decoder *d, const struct ax_val *v, struct ax_err *e)
{
	const struct ax_val *scheme = ax_val_get(v, "prepend_scheme"), *legacy = ax_val_get(v, "add_prefix_space");
	bool never = ax_val_is(scheme, "never");

	AX_TRY(take_char(v, "Metaspace", "replacement", d, e));
	if (scheme && !never && !ax_val_is(scheme, "first") && !ax_val_is(scheme, "always"))
		return ax_fail(e, AX_EDATA, "decoder: Metaspace: unknown prepend_scheme");
	if (legacy && !ax_val_bool_or(legacy, true)) {
		if (scheme && !never)
			return ax_fail(e, AX_EDATA, "decoder: Metaspace: add_prefix_space does not match prepend_scheme");
		never = true;
	}
	d->flag = !never;
	return 0;
}

static int load_replace(struct ax_decoder *d, const struct ax_val *v, struct ax_err *e)
{
	const struct ax_val *pattern = ax_val_get(v, "pattern");
	bool regex = ax_val_get(pattern, "Regex") != NULL;
	struct ax_err why = {0};
	int rc;

	AX_TRY(take_text(pattern, "Replace", regex ? "Regex" : "String", &d->a, &d->a_n, e));
	AX_TRY(take_text(v, "Replace", "content", &d->b, &d->b_n, e));
	if (!regex && d->a_n)
		return 0;
	rc = ax_regex_new(&d->re, d->a, d->a_n, &why);
	if (rc == AX_EMEM)
		return ax_fail(e, AX_EMEM, "out of memory");
	if (rc) {
		d->refused = ax_strdup(why.msg);
		return d->refused ? 0 : ax_fail(e, AX_EMEM, "out of memory");
	}
	return 0;
}

static int load_strip(struct ax_decoder *d, const struct ax_val *v, struct ax_err *e)
{
	AX_TRY(take_char(v, "Strip", "content", d, e));
	AX_TRY(take_count(v, "start", &d->start, e));
	return take_count(v, "stop", &d->stop, e);
}

static int load_ctc(struct ax_decoder *d, const struct ax_val *v, struct ax_err *e)
{
	AX_TRY(take_text(v, "CTC", "pad_token", &d->a, &d->a_n, e));
	AX_TRY(take_text(v, "CTC", "word_delimiter_token", &d->b, &d->b_n, e));
	return take_flag(v, "CTC", "cleanup", &d->flag, e);
}

static int load_step(struct ax_decoder *d, enum ax_decoder_kind kind, const struct ax_val *v, struct ax_err *e)
{
	d->kind = kind;
	switch (kind) {
	case AX_DEC_BPE:
		return take_text(v, "BPEDecoder", "suffix", &d->a, &d->a_n, e);
	case AX_DEC_WORDPIECE:
		AX_TRY(take_text(v, "WordPiece", "prefix", &d->a, &d->a_n, e));
		return take_flag(v, "WordPiece", "cleanup", &d->flag, e);
	case AX_DEC_METASPACE:
		return load_metaspace(d, v, e);
	case AX_DEC_CTC:
		return load_ctc(d, v, e);
	case AX_DEC_REPLACE:
		return load_replace(d, v, e);
	case AX_DEC_STRIP:
		return load_strip(d, v, e);
	case AX_DEC_BYTES:
	case AX_DEC_FUSE:
	case AX_DEC_FALLBACK:
		break;
	}
	return 0;
}

static int load(struct ax_decoders *d, const struct ax_val *v, int depth, struct ax_err *e)
{
	static const char *const name[] = {"BPEDecoder", "ByteLevel", "WordPiece", "Metaspace",	  "CTC",
					   "Replace",	 "Fuse",      "Strip",	   "ByteFallback"};
	const struct ax_val *type = ax_val_get(v, "type"), *list = ax_val_get(v, "decoders");

	if (ax_val_is(type, "Sequence")) {
		if (depth == MAX_DEPTH || !list || list->type != AX_LIST)
			return ax_fail(e, AX_EDATA, "decoder: Sequence without a list of decoders, or nested too deep");
		for (size_t i = 0; i < list->n; i++)
			AX_TRY(load(d, list->u.item[i], depth + 1, e));
		return 0;
	}
	for (int i = 0; i < 9; i++)
		if (ax_val_is(type, name[i])) {
			if (d->n == AX_DECODE_STEPS)
				return ax_fail(e, AX_EDATA, "more than %d decoders", AX_DECODE_STEPS);
			return load_step(&d->step[d->n++], (enum ax_decoder_kind)i, v, e);
		}
	return ax_fail(e, AX_EDATA, "decoder: unknown type");
}

int ax_decoders_load(struct ax_decoders *d, const struct ax_val *v, struct ax_err *e)
{
	d->given = !ax_val_is_null(v);
	return d->given ? load(d, v, 0, e) : 0;
}

void ax_decoders_release(struct ax_decoders *d)
{
	for (size_t i = 0; i < d->n; i++) {
		ax_free(d->step[i].a);
		ax_free(d->step[i].b);
		ax_free(d->step[i].refused);
		ax_regex_free(d->step[i].re);
	}
	memset(d, 0, sizeof(*d));
}
