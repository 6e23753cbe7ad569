/* Rows put together from columns: each node asks the first leaf below it what is there, and all leaves must agree. */
#include "fmt/parquet.h"

#include <string.h>

#include "base/io.h"
#include "fmt/parquet_impl.h"
#include "text/unicode.h"

#define RELEASE ((uint64_t)16 << 20) /* bytes of uncompressed rows between two ax_map_done of the file */

struct row {
	struct ax_parquet *q;
	struct ax_buf *b;
	size_t begin; /* of the row in b */
	struct ax_err *e;
};

static int unequal(struct row *r, const struct pq_leaf *l)
{
	return pq_fail_page(r->q, l, "its levels do not fit those of its neighbours", r->e);
}

/* Does the row still fit? */
static int fits(struct row *r, size_t more)
{
	size_t n = r->b->n - r->begin;

	if (r->b->oom)
		return ax_fail(r->e, AX_EMEM, "%s: out of memory for a row", r->q->f.name);
	if (more <= r->q->f.row_max && n <= r->q->f.row_max - more)
		return 0;
	return ax_fail(r->e, AX_EMEM, "%s: a row of more than %zu MiB", r->q->f.name, r->q->f.row_max >> 20);
}

/* The leaf's next entry, if there is one. */
static inline int peek(struct row *r, struct pq_leaf *l, bool *there)
{
	*there = l->pos < l->n;
	return *there ? 0 : pq_fill(r->q, l, there, r->e);
}

/* The entry must be there, and begin at level `rep`. */
static inline int expect(struct row *r, struct pq_leaf *l, unsigned rep)
{
	bool there;

	AX_TRY(peek(r, l, &there));
	if (!there)
		return pq_fail_page(r->q, l, "it has fewer values than rows", r->e);
	return l->rep[l->pos] == rep ? 0 : unequal(r, l);
}

/* --- a value --- */

/* Bytes that may be text: null where they are not UTF-8. */
static void put_bytes(struct row *r, const unsigned char *p, size_t n)
{
	if (ax_utf8_check((const char *)p, n) == n)
		ax_cell_str(r->b, p, n);
	else
		ax_buf_add(r->b, "null", 4);
}

static int put_json(struct row *r, struct pq_leaf *l, const struct pq_val *v)
{
	if (ax_cell_json(r->b, v->p, (size_t)v->u))
		return 0;
	return pq_fail_page(r->q, l, "a value of a JSON column is no JSON", r->e);
}

/* Days since noon of the Julian day 0, and nanoseconds in the day. */
static void put_int96(struct row *r, const unsigned char *p)
{
	int64_t day = (int64_t)ax_get_u32(p + 8) - 2440588;

	ax_cell_timestamp(r->b, (int64_t)((uint64_t)day * 86400000000000u + ax_get_u64(p)), AX_UNIT_NS, false);
}

static void put_decimal(struct row *r, const struct pq_node *n, const struct pq_val *v)
{
	unsigned char le[8];

	if (n->type == PQ_INT32 || n->type == PQ_INT64) {
		ax_put_u64(le, v->u);
		ax_cell_decimal(r->b, le, n->type == PQ_INT32 ? 4 : 8, false, n->scale);
	} else if (!ax_cell_decimal(r->b, v->p, (size_t)v->u, true, n->scale)) {
		ax_buf_add(r->b, "null", 4);
	}
}

static double f32(uint64_t u)
{
	uint32_t bits = (uint32_t)u;
	float f;

	memcpy(&f, &bits, 4);
	return (double)f;
}

static double f64(uint64_t u)
{
	double f;

	memcpy(&f, &u, 8);
	return f;
}

static uint64_t low(uint64_t u, unsigned bits)
{
	return bits ? u & ((UINT64_C(1) << bits) - 1) : u;
}

static int put(struct row *r, struct pq_leaf *l, const struct pq_val *v)
{
	const struct pq_node *n = l->node;
	int64_t i = n->type == PQ_INT32 ? (int32_t)v->u : (int64_t)v->u;

	AX_TRY(fits(r, n->type == PQ_BYTE_ARRAY || n->type == PQ_FIXED ? (size_t)v->u : 0));
	switch (n->as) {
	case PQ_AS_STR:
		ax_cell_str(r->b, v->p, (size_t)v->u);
		break;
	case PQ_AS_BYTES:
		put_bytes(r, v->p, (size_t)v->u);
		break;
	case PQ_AS_JSON:
		return put_json(r, l, v);
	case PQ_AS_BOOL:
		ax_buf_adds(r->b, v->u ? "true" : "false");
		break;
	case PQ_AS_INT:
		ax_cell_i64(r->b, i);
		break;
	case PQ_AS_UINT:
		ax_cell_u64(r->b, low(v->u, n->bits));
		break;
	case PQ_AS_F16:
		ax_cell_f64(r->b, ax_cell_half((uint16_t)(v->p[0] | v->p[1] << 8)));
		break;
	case PQ_AS_F32:
		ax_cell_f64(r->b, f32(v->u));
		break;
	case PQ_AS_F64:
		ax_cell_f64(r->b, f64(v->u));
		break;
	case PQ_AS_UUID:
		ax_cell_uuid(r->b, v->p);
		break;
	case PQ_AS_DECIMAL:
		put_decimal(r, n, v);
		break;
	case PQ_AS_DATE:
		ax_cell_date(r->b, i);
		break;
	case PQ_AS_TIME:
		ax_cell_time(r->b, i, n->unit);
		break;
	case PQ_AS_TIMESTAMP:
		ax_cell_timestamp(r->b, i, n->unit, n->utc);
		break;
	case PQ_AS_INT96:
		put_int96(r, v->p);
		break;
	case PQ_AS_NULL:
		ax_buf_add(r->b, "null", 4);
		break;
	}
	return 0;
}

/* --- the tree --- */

static int put_value(struct row *r, const struct pq_node *n, unsigned rep);

static int put_leaf(struct row *r, const struct pq_node *n, unsigned rep)
{
	struct pq_leaf *l = &r->q->leaf[n->leaf];

	AX_TRY(expect(r, l, rep));
	if (l->def[l->pos++] != n->def)
		return unequal(r, l);
	if (l->val_pos == l->val_n)
		AX_TRY(pq_more_values(r->q, l, r->e));
	return put(r, l, &l->val[l->val_pos++]);
}

/* One entry of every leaf below that ends at level `def`, just above the node: nothing is there, but all above is. */
static int put_nothing(struct row *r, const struct pq_node *n, unsigned rep, unsigned def, const char *text)
{
	for (uint32_t i = n->leaf; i < n->leaf + n->n_leaf; i++) {
		struct pq_leaf *l = &r->q->leaf[i];

		AX_TRY(expect(r, l, rep));
		if (l->def[l->pos++] != def)
			return unequal(r, l);
	}
	ax_buf_adds(r->b, text);
	return fits(r, 0);
}

/* Is there less than the node at the next entry? */
static int is_missing(struct row *r, const struct pq_node *n, unsigned rep, bool *missing)
{
	struct pq_leaf *l = &r->q->leaf[n->leaf];

	AX_TRY(expect(r, l, rep));
	*missing = l->def[l->pos] < n->def;
	return 0;
}

static int put_node(struct row *r, const struct pq_node *n, unsigned rep);

static int put_pair(struct row *r, const struct pq_node *entry, bool object, unsigned rep)
{
	const struct pq_node *key = entry + 1, *value = r->q->node + key->next;

	if (!object)
		ax_buf_addc(r->b, '[');
	AX_TRY(put_node(r, key, rep));
	ax_buf_addc(r->b, object ? ':' : ',');
	AX_TRY(put_node(r, value, rep));
	if (!object)
		ax_buf_addc(r->b, ']');
	return 0;
}

/* What the node `n` repeats: elements of a list, pairs of a map (`map`, else NULL). */
static int put_list(struct row *r, const struct pq_node *n, const struct pq_node *map, unsigned rep)
{
	const struct pq_node *elem = &r->q->node[n->elem];
	struct pq_leaf *l = &r->q->leaf[n->leaf];
	bool object = map && map->object, more;

	AX_TRY(is_missing(r, n, rep, &more));
	if (more)
		return put_nothing(r, n, rep, n->def - 1u, object ? "{}" : "[]");
	ax_buf_addc(r->b, object ? '{' : '[');
	for (more = true; more;) {
		if (map)
			AX_TRY(put_pair(r, n, object, rep));
		else
			AX_TRY(elem == n ? put_value(r, n, rep) : put_node(r, elem, rep));
		AX_TRY(fits(r, 0));
		AX_TRY(peek(r, l, &more));
		rep = n->rep;
		if (more && l->rep[l->pos] > rep)
			return unequal(r, l);
		more = more && l->rep[l->pos] == rep;
		if (more)
			ax_buf_addc(r->b, ',');
	}
	ax_buf_addc(r->b, object ? '}' : ']');
	return 0;
}

static int put_struct(struct row *r, const struct pq_node *n, unsigned rep)
{
	const struct pq_node *child = n + 1;
	bool any = false;

	ax_buf_addc(r->b, '{');
	for (uint32_t i = 0; i < n->n_child; i++, child = r->q->node + child->next) {
		if (child->skip)
			continue;
		if (any)
			ax_buf_addc(r->b, ',');
		any = true;
		ax_buf_add(r->b, child->key, child->key_n);
		AX_TRY(put_node(r, child, rep));
	}
	ax_buf_addc(r->b, '}');
	return fits(r, 0);
}

/* A node that is there. */
static int put_value(struct row *r, const struct pq_node *n, unsigned rep)
{
	switch (n->kind) {
	case PQ_LEAF:
		return put_leaf(r, n, rep);
	case PQ_STRUCT:
		return put_struct(r, n, rep);
	case PQ_LIST:
		return put_list(r, n + 1, NULL, rep);
	default:
		return put_list(r, n + 1, n, rep);
	}
}

static int put_node(struct row *r, const struct pq_node *n, unsigned rep)
{
	bool missing = false;

	if (n->repetition == PQ_REPEATED)
		return put_list(r, n, NULL, rep);
	if (n->repetition == PQ_OPTIONAL)
		AX_TRY(is_missing(r, n, rep, &missing));
	return missing ? put_nothing(r, n, rep, n->def - 1u, "null") : put_value(r, n, rep);
}

/* --- the file --- */

int ax_parquet_open(struct ax_parquet **out, const struct ax_table_file *file, struct ax_err *e)
{
	struct ax_parquet *q = ax_calloc(1, sizeof(*q));
	int rc;

	if (!q)
		return ax_fail(e, AX_EMEM, "out of memory");
	q->f = *file;
	ax_arena_init(&q->arena, 0);
	rc = pq_footer(q, e);
	if (rc)
		ax_parquet_close(q);
	else
		*out = q;
	return rc;
}

void ax_parquet_select(struct ax_parquet *q, const char *const *name)
{
	struct pq_node *n = q->node + 1;

	for (uint32_t i = 0; i < q->node->n_child; i++, n = q->node + n->next) {
		n->skip = !ax_cell_named(name, n->name, n->name_n);
		for (uint32_t k = n->leaf; k < n->leaf + n->n_leaf; k++)
			q->leaf[k].skip = n->skip;
	}
}

/* Every column must end with its row group. */
static int group_ends(struct ax_parquet *q, struct ax_err *e)
{
	struct row r = {.q = q, .e = e};

	for (size_t i = 0; i < q->n_leaf; i++) {
		struct pq_leaf *l = &q->leaf[i];
		bool there = false;

		if (l->at && !l->skip)
			AX_TRY(peek(&r, l, &there));
		if (there)
			return pq_fail_page(q, l, "it has more values than rows", e);
	}
	return 0;
}

/* Pages that are read in place leave the process now and then; they are read again from the system's cache if need be. */
static void release(struct ax_parquet *q, size_t n)
{
	q->released += n;
	if (q->f.mapped && q->released >= RELEASE) {
		ax_map_done(q->f.p, q->f.n);
		q->released = 0;
	}
}

int ax_parquet_next(struct ax_parquet *q, struct ax_buf *b, bool *end, struct ax_err *e)
{
	struct row r = {.q = q, .b = b, .begin = b->n, .e = e};

	*end = false;
	while (q->rows_left == 0) {
		AX_TRY(group_ends(q, e));
		if (q->n_group == 0) {
			*end = true;
			return 0;
		}
		AX_TRY(pq_next_group(q, e));
	}
	q->rows_left--;
	AX_TRY(put_struct(&r, q->node, 0));
	release(q, b->n - r.begin);
	return 0;
}

void ax_parquet_close(struct ax_parquet *q)
{
	if (!q)
		return;
	for (size_t i = 0; q->leaf && i < q->n_leaf; i++) {
		ax_buf_release(&q->leaf[i].page);
		ax_buf_release(&q->leaf[i].dict_page);
		ax_buf_release(&q->leaf[i].scratch);
		ax_free(q->leaf[i].dict);
	}
	ax_free(q->leaf);
	ax_arena_release(&q->arena);
	ax_free(q);
}
