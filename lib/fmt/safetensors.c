#include "fmt/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "text/json.h"

static const struct {
	const char *name;
	int bits;
} dtype_table[AX_ST_N_DTYPE] = {
	[AX_ST_BOOL] = {"BOOL", 8},
	[AX_ST_F4] = {"F4", 4},
	[AX_ST_F6_E2M3] = {"F6_E2M3", 6},
	[AX_ST_F6_E3M2] = {"F6_E3M2", 6},
	[AX_ST_U8] = {"U8", 8},
	[AX_ST_I8] = {"I8", 8},
	[AX_ST_F8_E5M2] = {"F8_E5M2", 8},
	[AX_ST_F8_E4M3] = {"F8_E4M3", 8},
	[AX_ST_F8_E8M0] = {"F8_E8M0", 8},
	[AX_ST_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", 8},
	[AX_ST_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", 8},
	[AX_ST_I16] = {"I16", 16},
	[AX_ST_U16] = {"U16", 16},
	[AX_ST_F16] = {"F16", 16},
	[AX_ST_BF16] = {"BF16", 16},
	[AX_ST_I32] = {"I32", 32},
	[AX_ST_U32] = {"U32", 32},
	[AX_ST_F32] = {"F32", 32},
	[AX_ST_C64] = {"C64", 64},
	[AX_ST_F64] = {"F64", 64},
	[AX_ST_I64] = {"I64", 64},
	[AX_ST_U64] = {"U64", 64},
};

const char *ax_st_dtype_name(enum ax_st_dtype t)
{
	return dtype_table[t].name;
}

int ax_st_dtype_bits(enum ax_st_dtype t)
{
	return dtype_table[t].bits;
}

int ax_st_dtype_from(const char *name, size_t n)
{
	for (int i = 0; i < AX_ST_N_DTYPE; i++)
		if (strlen(dtype_table[i].name) == n && !memcmp(dtype_table[i].name, name, n))
			return i;
	return -1;
}

uint64_t ax_st_elems(const struct ax_st_tensor *t)
{
	uint64_t n = 1;

	for (int i = 0; i < t->n_dim; i++)
		n *= (uint64_t)t->dim[i];
	return n;
}

/* Bytes of a tensor by checked arithmetic; false on overflow or when it does not end on a byte. */
static bool tensor_bytes(const struct ax_st_tensor *t, uint64_t *bytes)
{
	uint64_t n = 1;

	for (int i = 0; i < t->n_dim; i++)
		if (__builtin_mul_overflow(n, (uint64_t)t->dim[i], &n))
			return false;
	if (__builtin_mul_overflow(n, (uint64_t)dtype_table[t->dtype].bits, &n) || n % 8)
		return false;
	*bytes = n / 8;
	return true;
}

static int read_entry(const struct ax_st_file *f, const struct ax_pair *p, struct ax_st_tensor *t, uint64_t data_n,
		      struct ax_err *e)
{
	const struct ax_val *dtype = ax_val_get(p->val, "dtype"), *shape = ax_val_get(p->val, "shape");
	const struct ax_val *offsets = ax_val_get(p->val, "data_offsets");
	int64_t begin = ax_val_int_or(ax_val_at(offsets, 0), -1), end = ax_val_int_or(ax_val_at(offsets, 1), -1);
	int dt = dtype && dtype->type == AX_STR ? ax_st_dtype_from(dtype->u.s, dtype->n) : -1;
	uint64_t bytes;

	t->name = p->key;
	if (strlen(p->key) != p->key_n)
		return ax_fail(e, AX_EDATA, "%s: a tensor name holds a NUL", f->path);
	if (dt < 0)
		return ax_fail(e, AX_EDATA, "%s: tensor %s: unknown dtype", f->path, t->name);
	if (!shape || shape->type != AX_LIST || shape->n > AX_ST_DIM_MAX)
		return ax_fail(e, AX_EDATA, "%s: tensor %s: no shape, or more than %d dimensions", f->path, t->name,
			       AX_ST_DIM_MAX);
	t->dtype = (enum ax_st_dtype)dt;
	t->n_dim = (int)shape->n;
	for (int i = 0; i < t->n_dim; i++) {
		t->dim[i] = ax_val_int_or(ax_val_at(shape, (size_t)i), -1);
		if (t->dim[i] < 0)
			return ax_fail(e, AX_EDATA, "%s: tensor %s: bad shape", f->path, t->name);
	}
	if (ax_val_len(offsets) != 2 || begin < 0 || end < begin || (uint64_t)end > data_n)
		return ax_fail(e, AX_EDATA, "%s: tensor %s: offsets outside the file", f->path, t->name);
	if (!tensor_bytes(t, &bytes) || bytes != (uint64_t)(end - begin))
		return ax_fail(e, AX_EDATA, "%s: tensor %s: %lld bytes do not fit its shape", f->path, t->name,
			       (long long)(end - begin));
	t->off = (uint64_t)begin;
	t->bytes = bytes;
	t->data = f->map.p + f->data_off + begin;
	return 0;
}

static int by_offset(const void *x, const void *y)
{
	const struct ax_st_tensor *a = x, *b = y;

	if (a->off != b->off)
		return a->off < b->off ? -1 : 1;
	return a->bytes == b->bytes ? 0 : a->bytes < b->bytes ? -1 : 1;
}

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct ax_st_tensor *)x)->name, ((const struct ax_st_tensor *)y)->name);
}

/*
 * Do the tensors tile the data without hole or overlap? A duplicate name is folded by the JSON reader into its last
 * entry; if the dropped one held bytes of its own, they show up here as a hole.
 */
static int check_tiling(struct ax_st_file *f, uint64_t data_n, struct ax_err *e)
{
	uint64_t at = 0;

	qsort(f->tensor, f->n_tensor, sizeof(*f->tensor), by_offset);
	for (size_t i = 0; i < f->n_tensor; i++) {
		if (f->tensor[i].off != at)
			return ax_fail(e, AX_EDATA, "%s: hole or overlap in the data before tensor %s, at byte %llu",
				       f->path, f->tensor[i].name, (unsigned long long)(f->data_off + at));
		at += f->tensor[i].bytes;
	}
	if (at != data_n)
		return ax_fail(e, AX_EDATA, "%s: %llu bytes belong to no tensor", f->path,
			       (unsigned long long)(data_n - at));
	qsort(f->tensor, f->n_tensor, sizeof(*f->tensor), by_name);
	return 0;
}

static int read_metadata(struct ax_st_file *f, const struct ax_val *m, struct ax_err *e)
{
	if (m->type != AX_MAP)
		return ax_fail(e, AX_EDATA, "%s: __metadata__ is not a map", f->path);
	for (size_t i = 0; i < m->n; i++)
		if (m->u.pair[i].val->type != AX_STR)
			return ax_fail(e, AX_EDATA, "%s: __metadata__ holds something that is not a string", f->path);
	f->metadata = m;
	return 0;
}

static int read_header(struct ax_st_file *f, struct ax_err *e)
{
	uint64_t n;
	struct ax_val *h;

	if (f->map.n < 8)
		return ax_fail(e, AX_EDATA, "%s: only %zu bytes, not a safetensors file", f->path, f->map.n);
	n = ax_get_u64(f->map.p);
	if (n > AX_ST_HEADER_MAX || n > f->map.n - 8)
		return ax_fail(e, AX_EDATA, "%s: header of %llu bytes does not fit the file (truncated, or not safetensors)",
			       f->path, (unsigned long long)n);
	if (n == 0 || f->map.p[8] != '{')
		return ax_fail(e, AX_EDATA, "%s: header does not start with '{'", f->path);
	f->data_off = 8 + n;
	if (ax_json_parse(&f->arena, (const char *)f->map.p + 8, (size_t)n, &h, e))
		return ax_err_prefix(e, "%s: header: ", f->path);
	f->tensor = ax_arena_calloc(&f->arena, h->n + 1, sizeof(*f->tensor));
	if (!f->tensor)
		return ax_fail(e, AX_EMEM, "%s: out of memory", f->path);
	for (size_t i = 0; i < h->n; i++) {
		const struct ax_pair *p = &h->u.pair[i];

		if (!strcmp(p->key, "__metadata__"))
			AX_TRY(read_metadata(f, p->val, e));
		else
			AX_TRY(read_entry(f, p, &f->tensor[f->n_tensor++], f->map.n - f->data_off, e));
	}
	return check_tiling(f, f->map.n - f->data_off, e);
}

int ax_st_open(struct ax_st_file *f, const char *path, struct ax_err *e)
{
	int rc;

	memset(f, 0, sizeof(*f));
	ax_arena_init(&f->arena, (size_t)4 << 30);
	f->path = ax_strdup(path);
	rc = f->path ? ax_map_open(&f->map, path, e) : ax_fail(e, AX_EMEM, "out of memory");
	if (!rc)
		rc = read_header(f, e);
	if (rc)
		ax_st_close(f);
	return rc;
}

const struct ax_st_tensor *ax_st_find(const struct ax_st_file *f, const char *name)
{
	struct ax_st_tensor key = {.name = name};

	return f->n_tensor ? bsearch(&key, f->tensor, f->n_tensor, sizeof(key), by_name) : NULL;
}

void ax_st_close(struct ax_st_file *f)
{
	ax_map_close(&f->map);
	ax_arena_release(&f->arena);
	ax_free(f->path);
	memset(f, 0, sizeof(*f));
}

bool ax_st_hash_parse(const struct ax_val *v, uint64_t *hash)
{
	uint64_t x = 0;

	if (!v || v->type != AX_STR || v->n != 16)
		return false;
	for (size_t i = 0; i < 16; i++) {
		char c = v->u.s[i];
		int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (d < 0)
			return false;
		x = x << 4 | (uint64_t)d;
	}
	*hash = x;
	return true;
}

int ax_st_check(const struct ax_st_file *f, size_t *checked, struct ax_err *e)
{
	uint64_t want;

	*checked = 0;
	for (size_t i = 0; i < f->n_tensor; i++) {
		const struct ax_st_tensor *t = &f->tensor[i];

		if (!ax_st_hash_parse(ax_val_get(f->metadata, t->name), &want))
			continue;
		if (ax_hash64(t->data, (size_t)t->bytes) != want)
			return ax_fail(e, AX_EDATA, "%s: checksum of tensor %s does not match (bytes %llu to %llu)",
				       f->path, t->name, (unsigned long long)(f->data_off + t->off),
				       (unsigned long long)(f->data_off + t->off + t->bytes));
		++*checked;
	}
	return 0;
}

static int by_writer_order(const void *x, const void *y)
{
	const struct ax_st_tensor *a = x, *b = y;

	if (a->dtype != b->dtype)
		return a->dtype > b->dtype ? -1 : 1;
	return strcmp(a->name, b->name);
}

int ax_st_layout(struct ax_st_tensor *t, size_t n, uint64_t *total, struct ax_err *e)
{
	uint64_t at = 0;

	qsort(t, n, sizeof(*t), by_writer_order);
	for (size_t i = 0; i < n; i++) {
		if (i && !strcmp(t[i].name, t[i - 1].name))
			return ax_fail(e, AX_EDATA, "tensor %s is there twice", t[i].name);
		if (!tensor_bytes(&t[i], &t[i].bytes) || at > INT64_MAX - t[i].bytes)
			return ax_fail(e, AX_EDATA, "tensor %s is too large", t[i].name);
		t[i].off = at;
		at += t[i].bytes;
	}
	*total = at;
	return 0;
}

static void write_entry(struct ax_buf *b, const struct ax_st_tensor *t)
{
	ax_json_write_str(b, t->name, strlen(t->name), 0);
	ax_buf_addf(b, ":{\"dtype\":\"%s\",\"shape\":[", dtype_table[t->dtype].name);
	for (int i = 0; i < t->n_dim; i++)
		ax_buf_addf(b, "%s%lld", i ? "," : "", (long long)t->dim[i]);
	ax_buf_addf(b, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)t->off,
		    (unsigned long long)(t->off + t->bytes));
}

int ax_st_header(struct ax_buf *b, const struct ax_st_tensor *t, size_t n, const struct ax_val *metadata, struct ax_err *e)
{
	ax_buf_reset(b);
	ax_buf_add_u64(b, 0);
	ax_buf_addc(b, '{');
	if (metadata) {
		ax_buf_adds(b, "\"__metadata__\":");
		ax_json_write(b, metadata, 0);
	}
	for (size_t i = 0; i < n; i++) {
		if (i || metadata)
			ax_buf_addc(b, ',');
		write_entry(b, &t[i]);
	}
	ax_buf_addc(b, '}');
	while (b->n % 8 && !b->oom)
		ax_buf_addc(b, ' ');
	if (b->oom)
		return ax_fail(e, AX_EMEM, "out of memory");
	if (b->n - 8 > AX_ST_HEADER_MAX)
		return ax_fail(e, AX_EMEM, "safetensors header of %zu bytes is over the format's limit", b->n - 8);
	ax_put_u64(b->p, b->n - 8);
	return 0;
}
