/*
 * Thrift's compact protocol, read: the metadata of Parquet files.
 *
 *	struct ax_thrift t = {.p = p, .end = p + n};
 *	struct ax_thrift_field f = {0};
 *	while (ax_thrift_next(&t, &f))
 *		switch (f.id) {
 *		case 1: x = ax_thrift_int(&t, &f); break;     // 0 if it is no integer
 *		default: ax_thrift_skip(&t, &f);
 *		}
 *	if (t.bad) ...                                    // sticky: nothing more is read, and all reads give 0
 *
 * Every field must be read or skipped. A value of another type than asked for makes it bad. Nesting that is skipped is
 * limited to AX_THRIFT_DEPTH.
 */
#ifndef AX_FMT_THRIFT_H
#define AX_FMT_THRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AX_THRIFT_DEPTH 32

enum ax_thrift_type {
	AX_THRIFT_TRUE = 1,
	AX_THRIFT_FALSE,
	AX_THRIFT_BYTE,
	AX_THRIFT_I16,
	AX_THRIFT_I32,
	AX_THRIFT_I64,
	AX_THRIFT_DOUBLE,
	AX_THRIFT_BINARY,
	AX_THRIFT_LIST,
	AX_THRIFT_SET,
	AX_THRIFT_MAP,
	AX_THRIFT_STRUCT
};

struct ax_thrift {
	const unsigned char *p, *end;
	bool bad;
};

struct ax_thrift_field {
	int16_t id;
	uint8_t type;
};

/* The struct's next field into *f, which holds the one before; false at the struct's end. */
bool ax_thrift_next(struct ax_thrift *t, struct ax_thrift_field *f);
int64_t ax_thrift_int(struct ax_thrift *t, const struct ax_thrift_field *f);
bool ax_thrift_bool(struct ax_thrift *t, const struct ax_thrift_field *f);
/* The bytes of a string, in place. */
const unsigned char *ax_thrift_bytes(struct ax_thrift *t, const struct ax_thrift_field *f, size_t *n);
/* Is the value a struct? Its fields follow. */
bool ax_thrift_struct(struct ax_thrift *t, const struct ax_thrift_field *f);
/* Begin a list of elements of `type` (AX_THRIFT_I32, _BINARY or _STRUCT): their number, each of a byte at least. */
size_t ax_thrift_list(struct ax_thrift *t, const struct ax_thrift_field *f, uint8_t type);
/* Over a value, or over a whole struct without its field header. */
void ax_thrift_skip(struct ax_thrift *t, const struct ax_thrift_field *f);
void ax_thrift_skip_struct(struct ax_thrift *t);

#endif
