/* The footer: schema and row groups. */
#include <string.h>

#include "fmt/parquet_impl.h"

enum { LOGICAL_DECIMAL = 5, LOGICAL_TIME = 7, LOGICAL_TIMESTAMP = 8, LOGICAL_INTEGER = 10 };

/* A schema element as written. */
struct element {
	int64_t type, width, repetition, n_child, converted, scale, logical, bits;
	const unsigned char *name;
	size_t name_n;
	bool utc, is_signed;
	enum ax_unit unit;
};

int pq_fail(const struct ax_parquet *q, const unsigned char *at, const char *what, struct ax_err *e)
{
	return ax_fail(e, AX_EDATA, "%s: byte %llu: %s", q->f.name, (unsigned long long)(at - q->f.p), what);
}

static int no_memory(const struct ax_parquet *q, struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "%s: out of memory", q->f.name);
}

/* --- types --- */

/* TimeUnit: a union of empty structs. */
static void read_unit(struct ax_thrift *t, struct element *x)
{
	struct ax_thrift_field f = {0};

	while (ax_thrift_next(t, &f)) {
		x->unit = f.id == 1 ? AX_UNIT_MS : f.id == 2 ? AX_UNIT_US : AX_UNIT_NS;
		ax_thrift_skip(t, &f);
	}
}

static void read_parameters(struct ax_thrift *t, struct element *x)
{
	struct ax_thrift_field f = {0};

	while (ax_thrift_next(t, &f)) {
		bool time = x->logical == LOGICAL_TIME || x->logical == LOGICAL_TIMESTAMP;

		if (x->logical == LOGICAL_DECIMAL && f.id == 1)
			x->scale = ax_thrift_int(t, &f);
		else if (time && f.id == 1)
			x->utc = ax_thrift_bool(t, &f);
		else if (time && f.id == 2 && ax_thrift_struct(t, &f))
			read_unit(t, x);
		else if (x->logical == LOGICAL_INTEGER && f.id == 1)
			x->bits = ax_thrift_int(t, &f);
		else if (x->logical == LOGICAL_INTEGER && f.id == 2)
			x->is_signed = ax_thrift_bool(t, &f);
		else
			ax_thrift_skip(t, &f);
	}
}

static void read_logical(struct ax_thrift *t, struct element *x)
{
	struct ax_thrift_field f = {0};

	while (ax_thrift_next(t, &f)) {
		x->logical = f.id;
		if (ax_thrift_struct(t, &f))
			read_parameters(t, x);
	}
}

static void read_element(struct ax_thrift *t, struct element *x)
{
	struct ax_thrift_field f = {0};

	*x = (struct element){.type = -1, .converted = -1, .is_signed = true};
	while (ax_thrift_next(t, &f)) {
		switch (f.id) {
		case 1:
			x->type = ax_thrift_int(t, &f);
			break;
		case 2:
			x->width = ax_thrift_int(t, &f);
			break;
		case 3:
			x->repetition = ax_thrift_int(t, &f);
			break;
		case 4:
			x->name = ax_thrift_bytes(t, &f, &x->name_n);
			break;
		case 5:
			x->n_child = ax_thrift_int(t, &f);
			break;
		case 6:
			x->converted = ax_thrift_int(t, &f);
			break;
		case 7:
			x->scale = ax_thrift_int(t, &f);
			break;
		case 10:
			if (ax_thrift_struct(t, &f))
				read_logical(t, x);
			break;
		default:
			ax_thrift_skip(t, &f);
		}
	}
}

/* The older annotation, where there is no newer one. */
static void modernize(struct element *x)
{
	static const uint8_t logical[] = {1, 2, 2, 3, 4, 5, 6, 7, 7, 8, 8, 10, 10, 10, 10, 10, 10, 10, 10, 12, 13, 0};
	int64_t c = x->converted;

	if (x->logical || c < 0 || c >= (int64_t)sizeof(logical))
		return;
	x->logical = logical[c];
	if (c >= 7 && c <= 10) {
		x->utc = true;
		x->unit = c == 7 || c == 9 ? AX_UNIT_MS : AX_UNIT_US;
	} else if (c >= 11 && c <= 18) {
		x->bits = (int64_t)8 << ((c - 11) & 3);
		x->is_signed = c >= 15;
	}
}

static enum pq_as as_integer(const struct element *x, bool wide)
{
	switch (x->logical) {
	case LOGICAL_DECIMAL:
		return PQ_AS_DECIMAL;
	case 6:
		return wide ? PQ_AS_INT : PQ_AS_DATE;
	case LOGICAL_TIME:
		return PQ_AS_TIME;
	case LOGICAL_TIMESTAMP:
		return wide ? PQ_AS_TIMESTAMP : PQ_AS_INT;
	default:
		return x->logical == LOGICAL_INTEGER && !x->is_signed ? PQ_AS_UINT : PQ_AS_INT;
	}
}

static enum pq_as as_bytes(const struct element *x)
{
	bool fixed = x->type == PQ_FIXED;

	switch (x->logical) {
	case 1:
	case 4:
		return PQ_AS_STR;
	case LOGICAL_DECIMAL:
		return PQ_AS_DECIMAL;
	case 12:
		return PQ_AS_JSON;
	case 14:
		return fixed && x->width == 16 ? PQ_AS_UUID : PQ_AS_BYTES;
	case 15:
		return fixed && x->width == 2 ? PQ_AS_F16 : PQ_AS_BYTES;
	default:
		return PQ_AS_BYTES;
	}
}

/* What a leaf's values are; an annotation that does not fit the type is passed over. */
static enum pq_as leaf_as(const struct element *x)
{
	if (x->logical == 11)
		return PQ_AS_NULL;
	switch (x->type) {
	case PQ_BOOLEAN:
		return PQ_AS_BOOL;
	case PQ_INT32:
	case PQ_INT64:
		return as_integer(x, x->type == PQ_INT64);
	case PQ_INT96:
		return PQ_AS_INT96;
	case PQ_FLOAT:
		return PQ_AS_F32;
	case PQ_DOUBLE:
		return PQ_AS_F64;
	default:
		return as_bytes(x);
	}
}

static int32_t leaf_width(const struct element *x)
{
	static const int32_t width[] = {0, 4, 8, 12, 4, 8, 0};

	return x->type == PQ_FIXED ? (int32_t)x->width : width[x->type];
}

/* --- the tree --- */

static bool named_struct(const struct pq_node *r)
{
	return (r->name_n == 5 && !memcmp(r->name, "array", 5)) ||
	       (r->name_n >= 6 && !memcmp(r->name + r->name_n - 6, "_tuple", 6));
}

/* What is repeated: the group's only field, or the node itself where the format's rules of old writers say so. */
static uint32_t element_of(const struct pq_node *node, uint32_t r, bool in_list)
{
	const struct pq_node *x = &node[r];

	if (!in_list || x->kind == PQ_LEAF || x->n_child != 1 || node[r + 1].repetition == PQ_REPEATED || named_struct(x))
		return r;
	return r + 1;
}

/* A group's kind by its annotation, if its children are as that wants them. */
static void group_kind(struct pq_node *node, uint32_t i, const struct element *x)
{
	uint32_t r = i + 1, key = r + 1;

	node[i].kind = PQ_STRUCT;
	if ((x->logical != 2 && x->logical != 3) || node[i].n_child != 1 || node[r].repetition != PQ_REPEATED)
		return;
	node[i].kind = PQ_LIST;
	node[r].elem = element_of(node, r, true);
	if (x->logical == 2 && node[r].kind == PQ_STRUCT && node[r].n_child == 2) {
		node[i].kind = PQ_MAP;
		node[i].object = node[key].kind == PQ_LEAF && node[key].as == PQ_AS_STR &&
				 node[key].repetition == PQ_REQUIRED;
	}
}

static const char *set_node(struct ax_parquet *q, struct pq_node *n, const struct element *x, const struct pq_node *up)
{
	struct ax_buf key = AX_BUF_INIT;

	n->name = (const char *)x->name;
	n->name_n = x->name_n;
	ax_cell_str(&key, x->name_n ? x->name : (const unsigned char *)"", x->name_n);
	ax_buf_addc(&key, ':');
	n->key = key.oom ? NULL : ax_arena_strndup(&q->arena, key.p, key.n);
	n->key_n = key.n;
	ax_buf_release(&key);
	if (!n->key)
		return "out of memory";
	if (x->repetition < PQ_REQUIRED || x->repetition > PQ_REPEATED)
		return "a column's repetition is unknown";
	n->repetition = up ? (enum pq_repetition)x->repetition : PQ_REQUIRED;
	n->def = (uint16_t)((up ? up->def : 0) + (n->repetition != PQ_REQUIRED));
	n->rep = (uint16_t)((up ? up->rep : 0) + (n->repetition == PQ_REPEATED));
	return NULL;
}

static const char *set_leaf(struct ax_parquet *q, struct pq_node *n, const struct element *x)
{
	if (x->type < PQ_BOOLEAN || x->type > PQ_FIXED)
		return "a column's type is unknown";
	if (x->type == PQ_FIXED && (x->width <= 0 || x->width > 1 << 20))
		return "a column's width is out of range";
	n->kind = PQ_LEAF;
	n->type = (enum pq_type)x->type;
	n->as = leaf_as(x);
	n->width = leaf_width(x);
	n->unit = x->unit;
	n->utc = x->utc;
	n->bits = (uint8_t)(x->bits == 8 || x->bits == 16 || (x->bits == 32 && x->type == PQ_INT32) ? x->bits : 0);
	if (n->bits == 0 && x->type == PQ_INT32)
		n->bits = 32;
	n->scale = x->scale < -1000 || x->scale > 1000 ? 0 : (int32_t)x->scale;
	n->leaf = (uint32_t)q->n_leaf++;
	n->n_leaf = 1;
	return NULL;
}

/* The node *i and all below it. */
static const char *build(struct ax_parquet *q, struct ax_thrift *t, uint32_t *i, const struct pq_node *up, int depth)
{
	uint32_t at = (*i)++;
	struct pq_node *n = &q->node[at];
	struct element x;
	const char *bad;

	if (at >= q->n_node || depth > PQ_DEPTH)
		return depth > PQ_DEPTH ? "columns are nested too deep" : "the schema is cut";
	read_element(t, &x);
	if (t->bad)
		return "the schema is damaged";
	modernize(&x);
	bad = set_node(q, n, &x, up);
	if (bad)
		return bad;
	n->elem = at;
	n->leaf = (uint32_t)q->n_leaf;
	if (x.n_child == 0 && up) {
		bad = set_leaf(q, n, &x);
		n->next = *i;
		return bad;
	}
	if (x.n_child < 0 || (uint64_t)x.n_child > q->n_node)
		return "the schema is damaged";
	n->n_child = (uint32_t)x.n_child;
	for (uint32_t k = 0; k < n->n_child && !bad; k++)
		bad = build(q, t, i, n, depth + 1);
	n->n_leaf = (uint32_t)q->n_leaf - n->leaf;
	n->next = *i;
	if (!bad)
		group_kind(q->node, at, &x);
	return bad;
}

static int read_schema(struct ax_parquet *q, struct ax_thrift *t, const struct ax_thrift_field *f, struct ax_err *e)
{
	const unsigned char *at = t->p;
	const char *bad;
	uint32_t i = 0;

	q->n_node = ax_thrift_list(t, f, AX_THRIFT_STRUCT);
	if (q->node || q->n_node < 2 || q->n_node > PQ_NODES)
		return pq_fail(q, at, q->n_node > PQ_NODES ? "too many columns" : "the schema has no columns", e);
	q->node = ax_arena_calloc(&q->arena, q->n_node, sizeof(*q->node));
	if (!q->node)
		return no_memory(q, e);
	bad = build(q, t, &i, NULL, 0);
	if (bad || i != q->n_node)
		return pq_fail(q, at, bad ? bad : "the schema has columns without a place", e);
	q->leaf = ax_calloc(q->n_leaf, sizeof(*q->leaf));
	if (!q->leaf)
		return no_memory(q, e);
	for (i = 0; i < q->n_node; i++)
		if (q->node[i].kind == PQ_LEAF)
			q->leaf[q->node[i].leaf].node = &q->node[i];
	return 0;
}

/* --- row groups --- */

static int read_codec(const struct ax_parquet *q, int64_t codec, enum ax_codec *out, struct ax_err *e)
{
	static const char *const name[] = {"no", "Snappy", "gzip", "LZO", "Brotli", "LZ4 (Hadoop)", "zstd", "LZ4_RAW"};

	switch (codec) {
	case 0:
		*out = AX_CODEC_NONE;
		return 0;
	case 1:
		*out = AX_CODEC_SNAPPY;
		return 0;
	case 2:
		*out = AX_CODEC_GZIP;
		return 0;
	case 6:
		*out = AX_CODEC_ZSTD;
		return 0;
	case 7:
		*out = AX_CODEC_LZ4_RAW;
		return 0;
	}
	return ax_fail(e, AX_EDATA, "%s: %s compression is not read; write it with zstd, Snappy or gzip", q->f.name,
		       codec > 0 && codec < 8 ? name[codec] : "unknown");
}

struct chunk {
	int64_t type, codec, n, data, dictionary;
	bool elsewhere, has_meta;
};

static void read_chunk_meta(struct ax_thrift *t, struct chunk *c)
{
	struct ax_thrift_field f = {0};

	c->has_meta = true;
	while (ax_thrift_next(t, &f)) {
		int64_t *to = f.id == 1	   ? &c->type
			      : f.id == 4  ? &c->codec
			      : f.id == 5  ? &c->n
			      : f.id == 9  ? &c->data
			      : f.id == 11 ? &c->dictionary
					   : NULL;

		if (to)
			*to = ax_thrift_int(t, &f);
		else
			ax_thrift_skip(t, &f);
	}
}

static int read_chunk(struct ax_parquet *q, struct ax_thrift *t, struct pq_leaf *l, struct ax_err *e)
{
	struct chunk c = {.type = -1};
	const unsigned char *at = t->p;
	struct ax_thrift_field f = {0};
	int64_t begin;

	while (ax_thrift_next(t, &f)) {
		c.elsewhere |= f.id == 1 || f.id == 8;
		if (f.id == 3 && ax_thrift_struct(t, &f))
			read_chunk_meta(t, &c);
		else
			ax_thrift_skip(t, &f);
	}
	begin = c.dictionary > 0 && c.dictionary < c.data ? c.dictionary : c.data;
	if (t->bad || !c.has_meta)
		return pq_fail(q, at, "a column chunk's metadata is damaged", e);
	if (c.elsewhere)
		return pq_fail(q, at, "a column is encrypted, or in another file", e);
	if (c.type != (int64_t)l->node->type)
		return pq_fail(q, at, "a column chunk is of another type than its column", e);
	if (c.n == 0)
		begin = q->data_end - q->f.p;
	if (c.n < 0 || begin < 4 || begin > q->data_end - q->f.p)
		return pq_fail(q, at, "a column chunk lies outside the file", e);
	if (!l->skip)
		AX_TRY(read_codec(q, c.codec, &l->codec, e));
	l->at = l->page_at = q->f.p + begin;
	l->end = q->data_end;
	l->left = (uint64_t)c.n;
	l->page_left = 0;
	l->n_dict = 0;
	l->pos = l->n = l->val_pos = l->val_n = l->need = 0;
	return 0;
}

static int read_columns(struct ax_parquet *q, struct ax_thrift *t, const struct ax_thrift_field *f, struct ax_err *e)
{
	size_t n = ax_thrift_list(t, f, AX_THRIFT_STRUCT);

	if (n != q->n_leaf)
		return pq_fail(q, t->p, "a row group has another number of columns than the schema", e);
	for (size_t i = 0; i < n; i++)
		AX_TRY(read_chunk(q, t, &q->leaf[i], e));
	return 0;
}

int pq_next_group(struct ax_parquet *q, struct ax_err *e)
{
	struct ax_thrift *t = &q->groups;
	const unsigned char *at = t->p;
	struct ax_thrift_field f = {0};
	bool columns = false;
	int64_t n = -1;

	q->n_group--;
	while (ax_thrift_next(t, &f)) {
		if (f.id == 1) {
			AX_TRY(read_columns(q, t, &f, e));
			columns = true;
		} else if (f.id == 3) {
			n = ax_thrift_int(t, &f);
		} else {
			ax_thrift_skip(t, &f);
		}
	}
	if (t->bad || n < 0 || !columns)
		return pq_fail(q, at, "a row group's metadata is damaged", e);
	q->rows_left = (uint64_t)n;
	return 0;
}

static int read_footer(struct ax_parquet *q, struct ax_thrift *t, struct ax_err *e)
{
	struct ax_thrift_field f = {0};

	while (ax_thrift_next(t, &f)) {
		if (f.id == 2) {
			AX_TRY(read_schema(q, t, &f, e));
		} else if (f.id == 4) {
			q->n_group = ax_thrift_list(t, &f, AX_THRIFT_STRUCT);
			q->groups = *t;
			for (size_t i = 0; i < q->n_group && !t->bad; i++)
				ax_thrift_skip_struct(t);
		} else {
			ax_thrift_skip(t, &f);
		}
	}
	return t->bad || !q->node ? pq_fail(q, t->p, "the footer is damaged", e) : 0;
}

int pq_footer(struct ax_parquet *q, struct ax_err *e)
{
	struct ax_thrift t = {0};
	const unsigned char *end;
	uint32_t size;

	if (q->f.n < 12 || memcmp(q->f.p, "PAR1", 4))
		return ax_fail(e, AX_EDATA, "%s: no Parquet file%s", q->f.name,
			       q->f.n >= 4 && !memcmp(q->f.p, "PARE", 4) ? " that can be read: it is encrypted" : "");
	end = q->f.p + q->f.n;
	if (memcmp(end - 4, "PAR1", 4))
		return pq_fail(q, end - 4, "the Parquet file is cut: it does not end with \"PAR1\"", e);
	size = ax_get_u32(end - 8);
	if (size > q->f.n - 12)
		return pq_fail(q, end - 8, "the footer is longer than the file", e);
	q->data_end = end - 8 - size;
	t.p = q->data_end;
	t.end = end - 8;
	return read_footer(q, &t, e);
}
