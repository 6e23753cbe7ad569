#include "tok/spm.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "tok/tokenizer.h"

/* A protobuf message, read forward. */
struct pb {
	const unsigned char *p, *end, *start;
};

/* One field: a number in `v`, or bytes. */
struct field {
	uint64_t number, v;
	unsigned wire;
	struct pb body; /* wire type 2 */
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static int fail_at(const struct pb *b, const char *what, struct ax_err *e)
{
	return ax_fail(e, AX_EDATA, "byte %zu: %s; not a SentencePiece model", (size_t)(b->p - b->start), what);
}

static int varint(struct pb *b, uint64_t *v, struct ax_err *e)
{
	*v = 0;
	for (unsigned shift = 0; shift < 64 && b->p < b->end; shift += 7) {
		unsigned char c = *b->p++;

		*v |= (uint64_t)(c & 127) << shift;
		if (c < 128)
			return 0;
	}
	return fail_at(b, "a cut or too long number", e);
}

static int fixed(struct pb *b, unsigned n, uint64_t *v, struct ax_err *e)
{
	if ((size_t)(b->end - b->p) < n)
		return fail_at(b, "a cut number", e);
	*v = n == 4 ? ax_get_u32(b->p) : ax_get_u64(b->p);
	b->p += n;
	return 0;
}

static int next(struct pb *b, struct field *f, struct ax_err *e)
{
	uint64_t tag;

	AX_TRY(varint(b, &tag, e));
	f->number = tag >> 3;
	f->wire = tag & 7;
	if (!f->number || f->number >> 29)
		return fail_at(b, "a field without a valid number", e);
	switch (f->wire) {
	case WIRE_VARINT:
		return varint(b, &f->v, e);
	case WIRE_64:
		return fixed(b, 8, &f->v, e);
	case WIRE_32:
		return fixed(b, 4, &f->v, e);
	case WIRE_BYTES:
		AX_TRY(varint(b, &f->v, e));
		if (f->v > (size_t)(b->end - b->p))
			return fail_at(b, "a field is longer than what is left", e);
		f->body = (struct pb){b->p, b->p + f->v, b->start};
		b->p += f->v;
		return 0;
	default:
		return fail_at(b, "an unknown kind of field", e);
	}
}

static struct ax_slice slice_of(const struct field *f)
{
	return (struct ax_slice){(const char *)f->body.p, (size_t)f->v};
}

static int take_text(const struct field *f, struct ax_slice *s, struct ax_err *e)
{
	*s = slice_of(f);
	if (ax_utf8_check(s->p, s->n) != s->n)
		return fail_at(&f->body, "text that is not UTF-8", e);
	return 0;
}

static int read_piece(struct ax_spm *m, struct pb b, struct ax_err *e)
{
	struct ax_spm_piece x = {{"", 0}, 0, AX_SPM_NORMAL};
	struct field f;

	while (b.p < b.end) {
		AX_TRY(next(&b, &f, e));
		if (f.number == 1 && f.wire == WIRE_BYTES) {
			AX_TRY(take_text(&f, &x.text, e));
		} else if (f.number == 2 && f.wire == WIRE_32) {
			uint32_t bits = (uint32_t)f.v;

			memcpy(&x.score, &bits, sizeof(bits));
			if (!isfinite(x.score))
				return fail_at(&b, "a score that is not finite", e);
		} else if (f.number == 3 && f.wire == WIRE_VARINT && f.v >= AX_SPM_NORMAL && f.v <= AX_SPM_BYTE) {
			x.type = (enum ax_spm_type)f.v;
		}
	}
	if (m->n >= AX_TOK_MAX_ID)
		return fail_at(&b, "too many pieces", e);
	if (!AX_GROW(m->piece, m->n, m->cap))
		return ax_fail(e, AX_EMEM, "out of memory for a vocabulary");
	m->piece[m->n++] = x;
	return 0;
}

static int read_trainer(struct ax_spm *m, struct pb b, struct ax_err *e)
{
	struct field f;

	while (b.p < b.end) {
		AX_TRY(next(&b, &f, e));
		if (f.wire == WIRE_VARINT && f.number == 3 && f.v >= 1 && f.v <= 4)
			m->model_type = (int32_t)f.v;
		else if (f.wire == WIRE_VARINT && f.number == 24)
			m->suffix_spaces = f.v;
		else if (f.wire == WIRE_VARINT && f.number == 35)
			m->byte_fallback = f.v;
		else if (f.wire == WIRE_VARINT && f.number >= 40 && f.number <= 42)
			*(f.number == 40 ? &m->unk_id : f.number == 41 ? &m->bos_id : &m->eos_id) = (int32_t)(uint32_t)f.v;
		else if (f.wire == WIRE_BYTES && f.number >= 45 && f.number <= 47)
			AX_TRY(take_text(&f, f.number == 45 ? &m->unk : f.number == 46 ? &m->bos : &m->eos, e));
	}
	return 0;
}

static int read_normalizer(struct ax_spm *m, struct pb b, struct ax_err *e)
{
	struct field f;

	while (b.p < b.end) {
		AX_TRY(next(&b, &f, e));
		if (f.wire == WIRE_BYTES && f.number == 2)
			m->charsmap = slice_of(&f);
		else if (f.wire == WIRE_VARINT && f.number == 5)
			m->escape_spaces = f.v;
	}
	return 0;
}

int ax_spm_read(struct ax_spm *m, const char *p, size_t n, struct ax_err *e)
{
	struct pb b = {(const unsigned char *)p, (const unsigned char *)p + n, (const unsigned char *)p};
	struct field f;
	int rc = 0;

	*m = (struct ax_spm){.model_type = 1, .escape_spaces = true, .bos_id = 1, .eos_id = 2, .unk = {"<unk>", 5},
			     .bos = {"<s>", 3}, .eos = {"</s>", 4}};
	while (!rc && b.p < b.end) {
		rc = next(&b, &f, e);
		if (!rc && f.wire == WIRE_BYTES && f.number == 1)
			rc = read_piece(m, f.body, e);
		else if (!rc && f.wire == WIRE_BYTES && f.number == 2)
			rc = read_trainer(m, f.body, e);
		else if (!rc && f.wire == WIRE_BYTES && f.number == 3)
			rc = read_normalizer(m, f.body, e);
	}
	if (!rc && !m->n)
		rc = fail_at(&b, "no pieces", e);
	if (rc)
		ax_spm_release(m);
	return rc;
}

void ax_spm_release(struct ax_spm *m)
{
	ax_free(m->piece);
	memset(m, 0, sizeof(*m));
}
