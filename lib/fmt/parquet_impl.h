/*
 * Inside of the Parquet reader: the schema (parquet_schema.c), columns as windows of levels and values over pages
 * (parquet_page.c), the encodings of values (parquet_value.c), rows put together from them (parquet.c).
 */
#ifndef AX_FMT_PARQUET_IMPL_H
#define AX_FMT_PARQUET_IMPL_H

#include "base/mem.h"
#include "fmt/cell.h"
#include "fmt/parquet.h"
#include "fmt/thrift.h"
#include "fmt/unpack.h"

#define PQ_DEPTH 40 /* levels of nesting */
#define PQ_NODES ((size_t)20000)
#define PQ_WINDOW 512

enum pq_type { PQ_BOOLEAN, PQ_INT32, PQ_INT64, PQ_INT96, PQ_FLOAT, PQ_DOUBLE, PQ_BYTE_ARRAY, PQ_FIXED };
enum pq_encoding {
	PQ_PLAIN = 0,
	PQ_PLAIN_DICTIONARY = 2,
	PQ_RLE = 3,
	PQ_DELTA = 5,
	PQ_DELTA_LENGTH = 6,
	PQ_DELTA_BYTES = 7,
	PQ_RLE_DICTIONARY = 8,
	PQ_SPLIT = 9
};
enum pq_repetition { PQ_REQUIRED, PQ_OPTIONAL, PQ_REPEATED };
enum pq_kind { PQ_LEAF, PQ_STRUCT, PQ_LIST, PQ_MAP };
/* What a leaf's values are. */
enum pq_as {
	PQ_AS_BOOL,
	PQ_AS_INT,
	PQ_AS_UINT,
	PQ_AS_F16,
	PQ_AS_F32,
	PQ_AS_F64,
	PQ_AS_STR,
	PQ_AS_BYTES,
	PQ_AS_JSON,
	PQ_AS_UUID,
	PQ_AS_DECIMAL,
	PQ_AS_DATE,
	PQ_AS_TIME,
	PQ_AS_TIMESTAMP,
	PQ_AS_INT96,
	PQ_AS_NULL
};

struct pq_node {
	const char *name, *key; /* key: "NAME": as JSON */
	size_t name_n, key_n;
	uint32_t n_child, next; /* children begin behind the node; next: the node behind all below it */
	uint32_t leaf, n_leaf;	/* leaves below it, or itself */
	uint32_t elem;		/* of a repeated node: its elements, which may be itself */
	uint16_t def, rep;	/* greatest levels */
	enum pq_repetition repetition;
	enum pq_kind kind;
	enum pq_type type;
	enum pq_as as;
	enum ax_unit unit;
	bool utc, object; /* object: a map with text keys */
	bool skip;	  /* a column that is not wanted */
	uint8_t bits;	  /* of an unsigned integer */
	int32_t width, scale;
};

/* Integers as they are in `u`; others p and u bytes. */
struct pq_val {
	const unsigned char *p;
	uint64_t u;
};

/* Runs of one value and of bit-packed values. */
struct pq_runs {
	const unsigned char *p, *end;
	unsigned width;
	uint64_t left; /* of the run */
	bool packed;
	uint32_t value;
	unsigned bit; /* of a packed run's value, from p */
};

struct pq_delta {
	const unsigned char *p, *end;
	uint64_t per_mini, left; /* values of a miniblock, values to come */
	unsigned n_mini, mini;
	const unsigned char *widths;
	unsigned width;
	uint64_t in_mini; /* values to come of the miniblock */
	uint64_t bit;	  /* in the miniblock's bytes, which begin at p */
	uint64_t value, min;
	bool first;
};

struct pq_leaf {
	const struct pq_node *node;
	bool skip; /* of a column that is not wanted */
	enum ax_codec codec;
	/* the column chunk */
	const unsigned char *at, *end;
	uint64_t left; /* entries of pages to come */
	/* the page */
	const unsigned char *page_at;
	struct ax_buf page;
	uint64_t page_left; /* entries not in the window yet */
	struct pq_runs reps, defs;
	enum pq_encoding encoding;
	const unsigned char *p, *p_end; /* values to come */
	uint64_t bit, n_split;
	struct pq_runs index;
	struct pq_delta delta, suffix;
	struct ax_buf scratch;
	/* the dictionary */
	struct ax_buf dict_page;
	struct pq_val *dict;
	size_t n_dict;
	/* the window */
	uint32_t def[PQ_WINDOW], rep[PQ_WINDOW], idx[PQ_WINDOW];
	struct pq_val val[PQ_WINDOW];
	size_t pos, n;		    /* of entries */
	size_t val_pos, val_n, need; /* of values: read, there, still to come */
};

struct ax_parquet {
	struct ax_table_file f;
	struct ax_arena arena;
	struct pq_node *node;
	size_t n_node;
	struct pq_leaf *leaf;
	size_t n_leaf;
	const unsigned char *data_end; /* the footer's begin */
	struct ax_thrift groups;       /* row groups to come */
	size_t n_group;
	uint64_t rows_left, released;
};

/* parquet_schema.c */
int pq_footer(struct ax_parquet *q, struct ax_err *e);
/* The next row group's columns and rows_left. */
int pq_next_group(struct ax_parquet *q, struct ax_err *e);
/* "FILE: byte N: what" */
int pq_fail(const struct ax_parquet *q, const unsigned char *at, const char *what, struct ax_err *e);

/* parquet_page.c: make the window hold something; *there is false at the chunk's end. */
int pq_fill(const struct ax_parquet *q, struct pq_leaf *l, bool *there, struct ax_err *e);
/* More values into the empty window of values. */
int pq_more_values(const struct ax_parquet *q, struct pq_leaf *l, struct ax_err *e);
/* "FILE: byte N: column X: what" */
int pq_fail_page(const struct ax_parquet *q, const struct pq_leaf *l, const char *what, struct ax_err *e);

/* parquet_value.c: each returns NULL, or what is wrong. */
void pq_runs_init(struct pq_runs *r, const unsigned char *p, size_t n, unsigned width);
bool pq_runs_get(struct pq_runs *r, uint32_t *out, size_t n);
const char *pq_values_init(struct pq_leaf *l, int64_t encoding, const unsigned char *p, size_t n, uint64_t entries);
const char *pq_values_get(struct pq_leaf *l, size_t n);
const char *pq_dictionary(struct pq_leaf *l, const unsigned char *p, size_t size, uint64_t n);

#endif
