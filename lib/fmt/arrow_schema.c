/* The schema message. */
#include <string.h>

#include "fmt/arrow_impl.h"

int ar_fail(const struct ax_arrow *a, const char *what, struct ax_err *e)
{
	return ax_fail(e, AX_EDATA, "%s: byte %llu: %s", a->name, (unsigned long long)a->at, what);
}

int ar_fail_field(const struct ax_arrow *a, const struct ar_field *f, const char *what, struct ax_err *e)
{
	return ax_fail(e, AX_EDATA, "%s: byte %llu: column %.*s: %s", a->name, (unsigned long long)a->at,
		       (int)(f->name_n < 200 ? f->name_n : 200), f->name ? f->name : "", what);
}

/* The number of children a type has; -1: any. */
static int n_children(enum ar_type t)
{
	switch (t) {
	case AR_STRUCT:
	case AR_UNION:
		return -1;
	case AR_LIST:
	case AR_FIXED_LIST:
	case AR_MAP:
	case AR_LARGE_LIST:
	case AR_LIST_VIEW:
	case AR_LARGE_LIST_VIEW:
		return 1;
	case AR_RUN_ENDS:
		return 2;
	default:
		return 0;
	}
}

/* Is the width of an integer, float, decimal or time one of those in `allowed` (bits)? */
static const char *set_width(struct ar_field *f, int64_t bits, uint64_t allowed)
{
	f->width = (unsigned)bits / 8;
	return bits > 0 && bits <= 256 && bits % 8 == 0 && allowed >> bits / 8 & 1 ? NULL : "its width is not known";
}

static const char *set_unit(struct ar_field *f, int64_t unit)
{
	f->unit = (enum ax_unit)unit;
	return unit >= AX_UNIT_S && unit <= AX_UNIT_NS ? NULL : "its unit of time is not known";
}

static const char *set_union(struct ar_field *f, struct ax_flat *m, size_t type)
{
	size_t at, n = ax_flat_vector(m, type, 1, 4, &at);

	f->sparse = ax_flat_int(m, type, 0, 2, 0) == 0;
	memset(f->type_child, 255, sizeof(f->type_child));
	if (f->n_child > 127 || (n && n != f->n_child))
		return "its type ids are not those of its children";
	for (uint32_t i = 0; i < f->n_child; i++) {
		uint32_t id = n ? ax_get_u32(m->p + at + 4 * (size_t)i) : i;

		if (id > 127)
			return "its type ids are out of range";
		f->type_child[id] = (uint8_t)i;
	}
	return NULL;
}

static const char *set_type(struct ar_field *f, struct ax_flat *m, size_t t)
{
	const char *bad;
	size_t n;

	switch (f->type) {
	case AR_INT:
		f->is_signed = ax_flat_int(m, t, 1, 1, 0) != 0;
		return set_width(f, ax_flat_int(m, t, 0, 4, 0), 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8);
	case AR_FLOAT:
		return set_width(f, (int64_t)16 << (ax_flat_int(m, t, 0, 2, 0) & 3), 1 << 2 | 1 << 4 | 1 << 8);
	case AR_DECIMAL:
		f->scale = (int32_t)ax_flat_int(m, t, 1, 4, 0);
		if (f->scale < -1000 || f->scale > 1000)
			return "its scale is out of range";
		return set_width(f, ax_flat_int(m, t, 2, 4, 128), 1 << 4 | 1 << 8 | 1 << 16 | UINT64_C(1) << 32);
	case AR_DATE:
		f->days = ax_flat_int(m, t, 0, 2, 1) == 0;
		f->width = f->days ? 4 : 8;
		return NULL;
	case AR_TIME:
		bad = set_unit(f, ax_flat_int(m, t, 0, 2, 1));
		return bad ? bad : set_width(f, ax_flat_int(m, t, 1, 4, 32), 1 << 4 | 1 << 8);
	case AR_TIMESTAMP:
		ax_flat_string(m, t, 1, &n);
		f->utc = n > 0;
		f->width = 8;
		return set_unit(f, ax_flat_int(m, t, 0, 2, 0));
	case AR_DURATION:
		f->width = 8;
		return set_unit(f, ax_flat_int(m, t, 0, 2, 1));
	case AR_UNION:
		return set_union(f, m, t);
	case AR_FIXED_BINARY:
		f->width = (unsigned)ax_flat_int(m, t, 0, 4, 0);
		return f->width > 1 << 24 ? "its width is out of range" : NULL;
	case AR_FIXED_LIST:
		f->size = (int32_t)ax_flat_int(m, t, 0, 4, 0);
		return f->size < 0 ? "its size is out of range" : NULL;
	case AR_INTERVAL:
		return "intervals are not read: leave the column out";
	default:
		return f->type < AR_NULL || f->type >= AR_N_TYPE ? "its type is not known" : NULL;
	}
}

/* Types that stand on others: JSON in text, UUIDs in 16 bytes. */
static void set_extension(struct ar_field *f, struct ax_flat *m, size_t field)
{
	static const char key[] = "ARROW:extension:name";
	size_t at, n = ax_flat_vector(m, field, 6, 4, &at), size;

	for (size_t i = 0; i < n; i++) {
		size_t pair = ax_flat_element(m, at, i);
		const char *s = ax_flat_string(m, pair, 0, &size);

		if (size != sizeof(key) - 1 || memcmp(s, key, size))
			continue;
		s = ax_flat_string(m, pair, 1, &size);
		f->json = size == 10 && !memcmp(s, "arrow.json", 10);
		f->uuid = size == 10 && !memcmp(s, "arrow.uuid", 10) && f->type == AR_FIXED_BINARY && f->width == 16;
	}
}

static struct ar_dict *find_dict(struct ax_arrow *a, int64_t id)
{
	struct ar_dict *d = a->dicts;

	while (d && d->id != id)
		d = d->next;
	return d;
}

/* Fields that share a dictionary must be of the same type: the first one's is what its values are read as. */
static const char *set_dictionary(struct ax_arrow *a, struct ar_field *f, struct ax_flat *m, size_t encoding)
{
	int64_t id = ax_flat_int(m, encoding, 0, 8, 0);
	size_t index = ax_flat_table(m, encoding, 1);
	int64_t bits = index ? ax_flat_int(m, index, 0, 4, 0) : 32;

	f->encoded = true;
	f->index_signed = index ? ax_flat_int(m, index, 1, 1, 0) != 0 : true;
	f->index_width = (unsigned)bits / 8;
	if (bits != 8 && bits != 16 && bits != 32 && bits != 64)
		return "its dictionary's index is of no known width";
	f->dict = find_dict(a, id);
	if (f->dict)
		return f->dict->field->type == f->type && f->dict->field->n_child == f->n_child
			       ? NULL
			       : "its dictionary is that of a column of another type";
	f->dict = ax_arena_calloc(&a->arena, 1, sizeof(*f->dict));
	if (!f->dict)
		return "out of memory";
	f->dict->id = id;
	f->dict->field = f;
	f->dict->next = a->dicts;
	a->dicts = f->dict;
	return NULL;
}

static const char *set_name(struct ax_arrow *a, struct ar_field *f, struct ax_flat *m, size_t field)
{
	const char *s = ax_flat_string(m, field, 0, &f->name_n);
	struct ax_buf key = AX_BUF_INIT;

	ax_cell_str(&key, s, f->name_n);
	ax_buf_addc(&key, ':');
	f->name = ax_arena_strndup(&a->arena, s, f->name_n);
	f->key = key.oom ? NULL : ax_arena_strndup(&a->arena, key.p, key.n);
	f->key_n = key.n;
	ax_buf_release(&key);
	return f->name && f->key ? NULL : "out of memory";
}

static int read_fields(struct ax_arrow *a, struct ax_flat *m, size_t table, unsigned slot, struct ar_field *up,
		       int depth, struct ax_err *e);

static int read_field(struct ax_arrow *a, struct ax_flat *m, size_t field, struct ar_field *f, int depth,
		      struct ax_err *e)
{
	size_t encoding = ax_flat_table(m, field, 4);
	const char *bad = set_name(a, f, m, field);
	int n;

	if (bad)
		return ar_fail(a, bad, e);
	f->type = (enum ar_type)(uint8_t)ax_flat_int(m, field, 2, 1, 0);
	AX_TRY(read_fields(a, m, field, 5, f, depth + 1, e));
	bad = m->bad ? "the schema is damaged" : set_type(f, m, ax_flat_table(m, field, 3));
	n = n_children(f->type);
	if (!bad && n >= 0 && f->n_child != (uint32_t)n)
		bad = "it has not as many children as its type wants";
	if (!bad && f->type == AR_MAP && (f->child[0].type != AR_STRUCT || f->child[0].n_child != 2 || f->child[0].encoded))
		bad = "its map is not of keys and values";
	if (!bad && f->type == AR_RUN_ENDS && (f->child[0].type != AR_INT || f->child[0].width < 2 || f->child[0].encoded))
		bad = "its run ends are no integers";
	set_extension(f, m, field);
	if (!bad && encoding)
		bad = set_dictionary(a, f, m, encoding);
	if (!bad && m->bad)
		bad = "the schema is damaged";
	return bad ? ar_fail_field(a, f, bad, e) : 0;
}

static int read_fields(struct ax_arrow *a, struct ax_flat *m, size_t table, unsigned slot, struct ar_field *up,
		       int depth, struct ax_err *e)
{
	size_t at, n = ax_flat_vector(m, table, slot, 4, &at);

	a->n_field += n;
	if (m->bad || depth > AR_DEPTH || a->n_field > AR_FIELDS)
		return ar_fail(a, m->bad ? "the schema is damaged" : depth > AR_DEPTH ? "columns are nested too deep"
										      : "too many columns", e);
	up->child = ax_arena_calloc(&a->arena, n, sizeof(*up->child));
	if (!up->child)
		return ax_fail(e, AX_EMEM, "%s: out of memory", a->name);
	up->n_child = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		AX_TRY(read_field(a, m, ax_flat_element(m, at, i), &up->child[i], depth, e));
	return 0;
}

int ar_schema(struct ax_arrow *a, struct ax_flat *m, size_t schema, struct ax_err *e)
{
	if (ax_flat_int(m, schema, 0, 2, 0) != 0)
		return ar_fail(a, "big-endian data is not read", e);
	a->root.type = AR_STRUCT;
	AX_TRY(read_fields(a, m, schema, 1, &a->root, 0, e));
	return a->root.n_child ? 0 : ar_fail(a, "the schema has no columns", e);
}
