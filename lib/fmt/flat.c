#include "fmt/flat.h"

#include "base/buf.h"

static size_t fail(struct ax_flat *f)
{
	f->bad = true;
	return 0;
}

static bool there(const struct ax_flat *f, size_t at, size_t size)
{
	return !f->bad && at <= f->n && size <= f->n - at;
}

/* What the offset at byte `at` points at, which has room for `size` bytes. */
static size_t follow(struct ax_flat *f, size_t at, size_t size)
{
	size_t to;

	if (!there(f, at, 4))
		return fail(f);
	to = at + ax_get_u32(f->p + at);
	return to > at && there(f, to, size) ? to : fail(f);
}

size_t ax_flat_root(struct ax_flat *f)
{
	return follow(f, 0, 4);
}

/* Where a table's field is; 0 if it is not. */
static size_t field_at(struct ax_flat *f, size_t table, unsigned field, size_t size)
{
	int64_t vtable;
	size_t n, at;

	if (!table || !there(f, table, 4))
		return table ? fail(f) : 0;
	vtable = (int64_t)table - (int32_t)ax_get_u32(f->p + table);
	if (vtable < 0 || !there(f, (size_t)vtable, 4))
		return fail(f);
	n = f->p[vtable] | (size_t)f->p[vtable + 1] << 8;
	at = 4 + 2 * (size_t)field;
	if (at + 2 > n)
		return 0;
	if (!there(f, (size_t)vtable, n))
		return fail(f);
	at = f->p[(size_t)vtable + at] | (size_t)f->p[(size_t)vtable + at + 1] << 8;
	return at == 0 ? 0 : there(f, table + at, size) ? table + at : fail(f);
}

int64_t ax_flat_int(struct ax_flat *f, size_t table, unsigned field, unsigned size, int64_t dflt)
{
	size_t at = field_at(f, table, field, size);
	uint64_t v = 0;

	if (!at)
		return dflt;
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)f->p[at + i] << 8 * i;
	if (size < 8 && v >> (8 * size - 1))
		v |= ~UINT64_C(0) << 8 * size;
	return (int64_t)v;
}

size_t ax_flat_table(struct ax_flat *f, size_t table, unsigned field)
{
	size_t at = field_at(f, table, field, 4);

	return at ? follow(f, at, 4) : 0;
}

size_t ax_flat_vector(struct ax_flat *f, size_t table, unsigned field, unsigned size, size_t *at)
{
	size_t where = field_at(f, table, field, 4), n;

	*at = 0;
	where = where ? follow(f, where, 4) : 0;
	if (!where)
		return 0;
	n = ax_get_u32(f->p + where);
	*at = where + 4;
	return n <= (f->n - *at) / size ? n : fail(f);
}

size_t ax_flat_element(struct ax_flat *f, size_t at, size_t i)
{
	return follow(f, at + 4 * i, 4);
}

const char *ax_flat_string(struct ax_flat *f, size_t table, unsigned field, size_t *n)
{
	size_t at;

	*n = ax_flat_vector(f, table, field, 1, &at);
	return *n ? (const char *)f->p + at : "";
}
