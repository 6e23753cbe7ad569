/*
 * Inside of the Arrow reader: messages from memory or a stream (arrow.c), the schema (arrow_schema.c), record batches and
 * dictionaries as arrays (arrow_batch.c), values as JSON (arrow_row.c).
 */
#ifndef AX_FMT_ARROW_IMPL_H
#define AX_FMT_ARROW_IMPL_H

#include "base/mem.h"
#include "fmt/arrow.h"
#include "fmt/cell.h"
#include "fmt/flat.h"
#include "fmt/unpack.h"

#define AR_DEPTH 40
#define AR_FIELDS ((size_t)20000)
#define AR_MEMORY AX_UNPACK_MAX /* of a batch that must be held */

/* The types, by their number in the format. */
enum ar_type {
	AR_NULL = 1,
	AR_INT,
	AR_FLOAT,
	AR_BINARY,
	AR_UTF8,
	AR_BOOL,
	AR_DECIMAL,
	AR_DATE,
	AR_TIME,
	AR_TIMESTAMP,
	AR_INTERVAL,
	AR_LIST,
	AR_STRUCT,
	AR_UNION,
	AR_FIXED_BINARY,
	AR_FIXED_LIST,
	AR_MAP,
	AR_DURATION,
	AR_LARGE_BINARY,
	AR_LARGE_UTF8,
	AR_LARGE_LIST,
	AR_RUN_ENDS,
	AR_BINARY_VIEW,
	AR_UTF8_VIEW,
	AR_LIST_VIEW,
	AR_LARGE_LIST_VIEW,
	AR_N_TYPE
};

struct ar_dict;

struct ar_field {
	const char *name, *key; /* key: "NAME": as JSON */
	size_t name_n, key_n;
	enum ar_type type;
	unsigned width; /* bytes of a value, 0 for none of fixed width */
	bool is_signed, days, utc, json, uuid, sparse;
	bool skip; /* a column that is not wanted */
	enum ax_unit unit;
	int32_t scale, size; /* size: of a fixed list */
	struct ar_field *child;
	uint32_t n_child;
	uint8_t type_child[128]; /* of a union: type id to child, 255 for none */
	/* dictionary encoded: the type is that of the values */
	bool encoded, index_signed;
	unsigned index_width;
	struct ar_dict *dict;
};

struct ar_bytes {
	const unsigned char *p;
	uint64_t n;
};

/* Values of a field in a batch, or of its dictionary. */
struct ar_array {
	const struct ar_field *field;
	bool index; /* into the field's dictionary */
	uint64_t n;
	const unsigned char *valid; /* NULL: none is null */
	struct ar_bytes buf[2];	    /* values; or offsets and bytes or sizes; or type ids and offsets */
	struct ar_bytes *extra;	    /* of views */
	size_t n_extra;
	struct ar_array *child;
};

/* What a batch or a dictionary batch holds: arrays and, where they are not read in place, their bytes. */
struct ar_store {
	struct ax_arena arena;
	struct ax_buf body; /* of a stream */
	void **packed;	    /* decompressed buffers */
	size_t n_packed, cap_packed, packed_bytes;
};

struct ar_part {
	struct ar_store store;
	struct ar_array array;
	uint64_t begin; /* of its values in the dictionary */
};

struct ar_dict {
	int64_t id;
	const struct ar_field *field;
	struct ar_part **part;
	size_t n_part, cap_part;
	struct ar_dict *next;
};

struct ax_arrow {
	const char *name;
	size_t row_max;
	struct ax_table_file file; /* in memory */
	bool is_file;		   /* with a footer, which names its messages: dictionaries, then batches */
	struct ax_flat footer;
	size_t block[2], n_block[2];
	struct ax_zin *z;	   /* or a stream */
	const unsigned char *head;
	size_t n_head;
	uint64_t at; /* bytes passed */
	struct ax_buf meta;
	struct ax_arena arena;
	struct ar_field root; /* a struct of the columns */
	struct ar_dict *dicts;
	size_t n_field;
	/* the record batch */
	struct ar_store store;
	struct ar_array *column;
	uint64_t row, n_row, released;
	bool done;
};

/* A message's body on its way into arrays. */
struct ar_load {
	struct ax_arrow *a;
	struct ar_store *store;
	struct ax_flat meta;
	const unsigned char *body;
	uint64_t n_body;
	size_t nodes, n_node, buffers, n_buffer, variadic, n_variadic; /* to come */
	int codec; /* -1: none */
	bool skip; /* the arrays are of a column that is not wanted: buffers are passed over */
};

int ar_fail(const struct ax_arrow *a, const char *what, struct ax_err *e);
int ar_fail_field(const struct ax_arrow *a, const struct ar_field *f, const char *what, struct ax_err *e);

/* arrow_schema.c */
int ar_schema(struct ax_arrow *a, struct ax_flat *f, size_t schema, struct ax_err *e);

/* arrow_batch.c: the table RecordBatch of a message into n arrays for the fields. */
int ar_batch(struct ar_load *l, size_t batch, const struct ar_field *field, size_t n, bool values,
	     struct ar_array *array, uint64_t *n_row, struct ax_err *e);
void ar_store_init(struct ar_store *s);
/* Forget the arrays and their bytes, but keep memory to go on with. */
void ar_store_clear(struct ar_store *s);
void ar_store_release(struct ar_store *s);

/* arrow_row.c */
int ar_row(struct ax_arrow *a, struct ax_buf *b, struct ax_err *e);

#endif
