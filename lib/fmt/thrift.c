#include "fmt/thrift.h"

static uint64_t fail(struct ax_thrift *t)
{
	t->bad = true;
	return 0;
}

static unsigned byte(struct ax_thrift *t)
{
	return t->bad || t->p == t->end ? (unsigned)fail(t) : *t->p++;
}

static uint64_t varint(struct ax_thrift *t)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		unsigned c = byte(t);

		v |= shift < 64 ? (uint64_t)(c & 127) << shift : 0;
		if (!(c & 128))
			return t->bad ? 0 : v;
	}
	return fail(t);
}

static int64_t zigzag(struct ax_thrift *t)
{
	uint64_t v = varint(t);

	return (int64_t)(v >> 1 ^ -(v & 1));
}

bool ax_thrift_next(struct ax_thrift *t, struct ax_thrift_field *f)
{
	unsigned head = byte(t);

	f->type = head & 15;
	if (head == 0 || t->bad)
		return false;
	f->id = (int16_t)(head >> 4 ? f->id + (int16_t)(head >> 4) : (int16_t)zigzag(t));
	if (f->type == 0 || f->type > AX_THRIFT_STRUCT)
		fail(t);
	return !t->bad;
}

int64_t ax_thrift_int(struct ax_thrift *t, const struct ax_thrift_field *f)
{
	if (f->type == AX_THRIFT_BYTE)
		return (int8_t)byte(t);
	if (f->type < AX_THRIFT_I16 || f->type > AX_THRIFT_I64)
		return (int64_t)fail(t);
	return zigzag(t);
}

bool ax_thrift_bool(struct ax_thrift *t, const struct ax_thrift_field *f)
{
	if (f->type != AX_THRIFT_TRUE && f->type != AX_THRIFT_FALSE)
		fail(t);
	return f->type == AX_THRIFT_TRUE;
}

static const unsigned char *take(struct ax_thrift *t, uint64_t n)
{
	const unsigned char *p = t->p;

	if (t->bad || n > (uint64_t)(t->end - t->p)) {
		fail(t);
		return t->end;
	}
	t->p += n;
	return p;
}

const unsigned char *ax_thrift_bytes(struct ax_thrift *t, const struct ax_thrift_field *f, size_t *n)
{
	uint64_t size = f->type == AX_THRIFT_BINARY ? varint(t) : fail(t);
	const unsigned char *p = take(t, size);

	*n = t->bad ? 0 : (size_t)size;
	return p;
}

bool ax_thrift_struct(struct ax_thrift *t, const struct ax_thrift_field *f)
{
	if (f->type != AX_THRIFT_STRUCT)
		fail(t);
	return !t->bad;
}

/* Length and type of a list's elements. */
static size_t list_head(struct ax_thrift *t, uint8_t *type)
{
	unsigned head = byte(t);
	uint64_t n = head >> 4 == 15 ? varint(t) : head >> 4;

	*type = head & 15;
	if (n > (uint64_t)(t->end - t->p))
		fail(t);
	return t->bad ? 0 : (size_t)n;
}

size_t ax_thrift_list(struct ax_thrift *t, const struct ax_thrift_field *f, uint8_t type)
{
	uint8_t of = 0;
	size_t n = f->type == AX_THRIFT_LIST ? list_head(t, &of) : (size_t)fail(t);

	if (n && of != type)
		fail(t);
	return t->bad ? 0 : n;
}

static void skip(struct ax_thrift *t, uint8_t type, bool element, int depth);

static void skip_fields(struct ax_thrift *t, int depth)
{
	struct ax_thrift_field f = {0};

	while (ax_thrift_next(t, &f))
		skip(t, f.type, false, depth);
}

static void skip_map(struct ax_thrift *t, int depth)
{
	uint64_t n = varint(t);
	uint8_t types = n ? (uint8_t)byte(t) : 0;

	if (n > (uint64_t)(t->end - t->p))
		fail(t);
	for (uint64_t i = 0; i < n && !t->bad; i++) {
		skip(t, (uint8_t)(types >> 4), true, depth);
		skip(t, (uint8_t)(types & 15), true, depth);
	}
}

/* A bool is in its field's header, but a byte as an element. */
static void skip(struct ax_thrift *t, uint8_t type, bool element, int depth)
{
	uint8_t of;
	size_t n;

	if (depth == AX_THRIFT_DEPTH)
		fail(t);
	switch (t->bad ? 0 : type) {
	case AX_THRIFT_TRUE:
	case AX_THRIFT_FALSE:
		if (element)
			byte(t);
		break;
	case AX_THRIFT_BYTE:
		byte(t);
		break;
	case AX_THRIFT_I16:
	case AX_THRIFT_I32:
	case AX_THRIFT_I64:
		varint(t);
		break;
	case AX_THRIFT_DOUBLE:
		take(t, 8);
		break;
	case AX_THRIFT_BINARY:
		take(t, varint(t));
		break;
	case AX_THRIFT_LIST:
	case AX_THRIFT_SET:
		n = list_head(t, &of);
		for (size_t i = 0; i < n && !t->bad; i++)
			skip(t, of, true, depth + 1);
		break;
	case AX_THRIFT_MAP:
		skip_map(t, depth + 1);
		break;
	case AX_THRIFT_STRUCT:
		skip_fields(t, depth + 1);
		break;
	default:
		fail(t);
	}
}

void ax_thrift_skip(struct ax_thrift *t, const struct ax_thrift_field *f)
{
	skip(t, f->type, false, 0);
}

void ax_thrift_skip_struct(struct ax_thrift *t)
{
	skip_fields(t, 0);
}
