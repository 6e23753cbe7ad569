/* Encodings of levels and values. */
#include <string.h>

#include "fmt/parquet_impl.h"

static const char too_short[] = "its values end too early";
static const char out_of_memory[] = "out of memory";

static size_t left(const unsigned char *p, const unsigned char *end)
{
	return (size_t)(end - p);
}

/* `width` bits from bit `bit` of p, of which bytes to `end` may be read; those beyond are 0. */
static inline uint64_t bits_at(const unsigned char *p, const unsigned char *end, uint64_t bit, unsigned width)
{
	const unsigned char *q = p + bit / 8;
	unsigned shift = bit & 7;
	uint64_t v = 0;

	if (left(q, end) >= 9) {
		memcpy(&v, q, 8);
		v >>= shift;
		if (shift)
			v |= (uint64_t)q[8] << (64 - shift);
	} else {
		for (unsigned i = 0; i < 9 && q + i < end; i++)
			v |= i * 8 < shift ? (uint64_t)q[i] >> shift : (i * 8 - shift) < 64 ? (uint64_t)q[i] << (i * 8 - shift) : 0;
	}
	return width < 64 ? v & ((UINT64_C(1) << width) - 1) : v;
}

static bool varint(const unsigned char **p, const unsigned char *end, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; shift < 64 && *p < end; shift += 7) {
		unsigned c = *(*p)++;

		*v |= (uint64_t)(c & 127) << shift;
		if (!(c & 128))
			return true;
	}
	return false;
}

/* --- runs --- */

void pq_runs_init(struct pq_runs *r, const unsigned char *p, size_t n, unsigned width)
{
	*r = (struct pq_runs){.p = p, .end = p + n, .width = width};
}

static bool next_run(struct pq_runs *r)
{
	uint64_t head;

	if (r->packed)
		r->p += (r->bit + 7) / 8;
	r->bit = 0;
	if (!varint(&r->p, r->end, &head) || head >> 33)
		return false;
	r->packed = head & 1;
	if (r->packed) {
		uint64_t there = r->width ? left(r->p, r->end) * 8 / r->width : UINT64_MAX;

		r->left = head / 2 * 8;
		if (r->left > there) /* the last run may be cut where its values end */
			r->left = there;
		return r->left || head < 2;
	}
	r->left = head / 2;
	r->value = 0;
	for (unsigned i = 0; i < r->width; i += 8) {
		if (r->p == r->end)
			return false;
		r->value |= (uint32_t)*r->p++ << i;
	}
	return true;
}

bool pq_runs_get(struct pq_runs *r, uint32_t *out, size_t n)
{
	while (n) {
		size_t m;

		if (r->left == 0) {
			if (!next_run(r))
				return false;
			continue;
		}
		m = r->left < n ? (size_t)r->left : n;
		for (size_t i = 0; i < m; i++)
			out[i] = r->packed ? (uint32_t)bits_at(r->p, r->end, r->bit + i * r->width, r->width) : r->value;
		if (r->packed) { /* whole bytes are passed, so that `bit` stays small */
			uint64_t bit = r->bit + m * (uint64_t)r->width;

			r->p += bit / 8;
			r->bit = bit & 7;
		}
		r->left -= m;
		out += m;
		n -= m;
	}
	return true;
}

/* --- differences --- */

static bool delta_init(struct pq_delta *d, const unsigned char *p, const unsigned char *end)
{
	uint64_t block, n_mini, zigzag;

	*d = (struct pq_delta){.end = end, .first = true};
	if (!varint(&p, end, &block) || !varint(&p, end, &n_mini) || !varint(&p, end, &d->left) ||
	    !varint(&p, end, &zigzag))
		return false;
	if (block == 0 || block > 1 << 20 || n_mini == 0 || n_mini > 4096 || block % n_mini || block / n_mini % 8)
		return false;
	d->p = p;
	d->per_mini = block / n_mini;
	d->n_mini = d->mini = (unsigned)n_mini;
	d->value = zigzag >> 1 ^ -(zigzag & 1);
	return true;
}

static bool delta_block(struct pq_delta *d)
{
	uint64_t zigzag;

	if (!varint(&d->p, d->end, &zigzag) || left(d->p, d->end) < d->n_mini)
		return false;
	d->min = zigzag >> 1 ^ -(zigzag & 1);
	d->widths = d->p;
	d->p += d->n_mini;
	d->mini = 0;
	return true;
}

/* Begin the next miniblock; the bytes of a last one may be cut behind its last value. */
static bool delta_mini(struct pq_delta *d)
{
	uint64_t n;

	if (d->mini == d->n_mini && !delta_block(d))
		return false;
	d->width = d->widths[d->mini++];
	d->in_mini = d->per_mini < d->left ? d->per_mini : d->left;
	d->bit = 0;
	n = d->in_mini * d->width;
	return d->width <= 64 && (n + 7) / 8 <= left(d->p, d->end);
}

static void delta_mini_end(struct pq_delta *d)
{
	size_t n = (size_t)(d->per_mini * d->width / 8);

	d->p += n < left(d->p, d->end) ? n : left(d->p, d->end);
}

static bool delta_get(struct pq_delta *d, uint64_t *v)
{
	if (d->left == 0)
		return false;
	if (d->first) {
		d->first = false;
	} else {
		if (d->in_mini == 0 && !delta_mini(d))
			return false;
		d->value += d->min + bits_at(d->p, d->end, d->bit, d->width);
		d->bit += d->width;
		if (--d->in_mini == 0)
			delta_mini_end(d);
	}
	d->left--;
	*v = d->value;
	return true;
}

/* Where the encoded values end. Each step takes a byte at least. */
static bool delta_end(const struct pq_delta *begin, const unsigned char **end)
{
	struct pq_delta d = *begin;

	d.left -= d.left > 0;
	while (d.left) {
		if (!delta_mini(&d))
			return false;
		d.left -= d.in_mini;
		delta_mini_end(&d);
	}
	*end = d.p;
	return true;
}

/* --- values --- */

static const char *plain_bits(struct pq_leaf *l, struct pq_val *v, size_t n)
{
	if (left(l->p, l->p_end) * 8 < l->bit + n)
		return too_short;
	for (size_t i = 0; i < n; i++, l->bit++)
		v[i].u = l->p[l->bit / 8] >> (l->bit & 7) & 1;
	return NULL;
}

static const char *plain_fixed(struct pq_leaf *l, struct pq_val *v, size_t n)
{
	size_t width = (size_t)l->node->width;

	if (left(l->p, l->p_end) / width < n)
		return too_short;
	for (size_t i = 0; i < n; i++, l->p += width) {
		if (width == 4 && l->node->type != PQ_FIXED) {
			v[i].u = ax_get_u32(l->p);
		} else if (width == 8 && l->node->type != PQ_FIXED) {
			v[i].u = ax_get_u64(l->p);
		} else {
			v[i].p = l->p;
			v[i].u = width;
		}
	}
	return NULL;
}

static const char *plain_bytes(struct pq_leaf *l, struct pq_val *v, size_t n)
{
	const unsigned char *p = l->p, *end = l->p_end;

	for (size_t i = 0; i < n; i++) {
		size_t size;

		if (left(p, end) < 4)
			return too_short;
		size = ax_get_u32(p);
		p += 4;
		if (size > left(p, end))
			return "a text is longer than its page";
		v[i].p = p;
		v[i].u = size;
		p += size;
	}
	l->p = p;
	return NULL;
}

static const char *plain(struct pq_leaf *l, struct pq_val *v, size_t n)
{
	if (l->node->type == PQ_BOOLEAN)
		return plain_bits(l, v, n);
	return l->node->type == PQ_BYTE_ARRAY ? plain_bytes(l, v, n) : plain_fixed(l, v, n);
}

static const char *from_dictionary(struct pq_leaf *l, size_t n)
{
	if (!pq_runs_get(&l->index, l->idx, n))
		return too_short;
	for (size_t i = 0; i < n; i++) {
		if (l->idx[i] >= l->n_dict)
			return "an index is beyond its dictionary";
		l->val[i] = l->dict[l->idx[i]];
	}
	return NULL;
}

static const char *from_runs(struct pq_leaf *l, size_t n)
{
	if (!pq_runs_get(&l->index, l->idx, n))
		return too_short;
	for (size_t i = 0; i < n; i++)
		l->val[i].u = l->idx[i];
	return NULL;
}

static const char *from_delta(struct pq_leaf *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!delta_get(&l->delta, &l->val[i].u))
			return too_short;
	return NULL;
}

static const char *from_lengths(struct pq_leaf *l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t size;

		if (!delta_get(&l->delta, &size))
			return too_short;
		if (size > left(l->p, l->p_end))
			return "a text is longer than its page";
		l->val[i].p = l->p;
		l->val[i].u = size;
		l->p += size;
	}
	return NULL;
}

/* One value: the first bytes of the one before, and a suffix. */
static const char *from_prefix(struct pq_leaf *l)
{
	uint64_t keep, size;

	if (!delta_get(&l->delta, &keep) || !delta_get(&l->suffix, &size))
		return too_short;
	if (keep > l->scratch.n || size > left(l->p, l->p_end))
		return "a text is longer than its page";
	if (keep + size > AX_UNPACK_MAX)
		return "a text is longer than can be";
	l->scratch.n = (size_t)keep;
	ax_buf_add(&l->scratch, l->p, (size_t)size);
	if (l->scratch.oom)
		return out_of_memory;
	l->p += size;
	l->val[0].p = (unsigned char *)(l->scratch.p ? l->scratch.p : "");
	l->val[0].u = l->scratch.n;
	return l->node->type == PQ_FIXED && l->scratch.n != (size_t)l->node->width ? "a value is not of its width" : NULL;
}

static const char *from_split(struct pq_leaf *l, size_t n)
{
	size_t width = (size_t)l->node->width;
	bool number = l->node->type != PQ_FIXED;

	if (l->n_split - l->bit < n)
		return too_short;
	ax_buf_reset(&l->scratch);
	ax_buf_reserve(&l->scratch, n * width);
	if (l->scratch.oom)
		return out_of_memory;
	for (size_t i = 0; i < n; i++, l->bit++) {
		unsigned char *to = (unsigned char *)l->scratch.p + i * width;

		for (size_t k = 0; k < width; k++)
			to[k] = l->p[k * l->n_split + l->bit];
		l->val[i].p = to;
		l->val[i].u = !number ? width : width == 4 ? ax_get_u32(to) : ax_get_u64(to);
	}
	return NULL;
}

static bool is_number(const struct pq_leaf *l)
{
	return l->node->type == PQ_INT32 || l->node->type == PQ_INT64;
}

static bool is_bytes(const struct pq_leaf *l)
{
	return l->node->type == PQ_BYTE_ARRAY || l->node->type == PQ_FIXED;
}

/* The lengths, or the lengths of prefixes, come first. */
static const char *init_delta(struct pq_leaf *l)
{
	static const char damaged[] = "its lengths are damaged";

	if (!delta_init(&l->delta, l->p, l->p_end))
		return damaged;
	if (l->encoding == PQ_DELTA)
		return is_number(l) ? NULL : "delta encoding is for whole numbers";
	if (!is_bytes(l) || !delta_end(&l->delta, &l->p))
		return damaged;
	if (l->encoding == PQ_DELTA_BYTES) {
		ax_buf_reset(&l->scratch);
		if (!delta_init(&l->suffix, l->p, l->p_end) || !delta_end(&l->suffix, &l->p))
			return damaged;
	}
	return NULL;
}

static const char *init_indexes(struct pq_leaf *l)
{
	unsigned width;

	if (l->p == l->p_end) { /* no value but nulls */
		pq_runs_init(&l->index, l->p, 0, 0);
		return NULL;
	}
	width = *l->p++;
	if (width > 32)
		return "its indexes are of more than 32 bits";
	pq_runs_init(&l->index, l->p, left(l->p, l->p_end), width);
	return NULL;
}

static const char *init_runs(struct pq_leaf *l)
{
	size_t n = left(l->p, l->p_end), size = n >= 4 ? ax_get_u32(l->p) : 0;

	if (l->node->type != PQ_BOOLEAN)
		return "RLE encoding is for booleans";
	if (n == 0) {
		pq_runs_init(&l->index, l->p, 0, 1);
		return NULL;
	}
	if (n < 4 || size > n - 4)
		return too_short;
	pq_runs_init(&l->index, l->p + 4, size, 1);
	return NULL;
}

static const char *init_split(struct pq_leaf *l, uint64_t entries)
{
	size_t n = left(l->p, l->p_end), width = (size_t)l->node->width;

	if (width == 0 || l->node->type == PQ_INT96)
		return "byte stream split is for numbers of a fixed width";
	l->n_split = n / width;
	return n % width || l->n_split > entries ? "its bytes are no whole number of values" : NULL;
}

const char *pq_values_init(struct pq_leaf *l, int64_t encoding, const unsigned char *p, size_t n, uint64_t entries)
{
	l->encoding = (enum pq_encoding)encoding;
	l->p = p;
	l->p_end = p + n;
	l->bit = 0;
	switch (encoding) {
	case PQ_PLAIN:
		return NULL;
	case PQ_PLAIN_DICTIONARY:
	case PQ_RLE_DICTIONARY:
		return init_indexes(l);
	case PQ_RLE:
		return init_runs(l);
	case PQ_DELTA:
	case PQ_DELTA_LENGTH:
	case PQ_DELTA_BYTES:
		l->delta = l->suffix = (struct pq_delta){0};
		return n ? init_delta(l) : NULL;
	case PQ_SPLIT:
		return init_split(l, entries);
	}
	return "its encoding is not known";
}

const char *pq_values_get(struct pq_leaf *l, size_t n)
{
	switch (l->encoding) {
	case PQ_PLAIN_DICTIONARY:
	case PQ_RLE_DICTIONARY:
		return from_dictionary(l, n);
	case PQ_RLE:
		return from_runs(l, n);
	case PQ_DELTA:
		return from_delta(l, n);
	case PQ_DELTA_LENGTH:
		return from_lengths(l, n);
	case PQ_DELTA_BYTES:
		return from_prefix(l);
	case PQ_SPLIT:
		return from_split(l, n);
	default:
		return plain(l, l->val, n);
	}
}

const char *pq_dictionary(struct pq_leaf *l, const unsigned char *p, size_t size, uint64_t n)
{
	uint64_t each = l->node->type == PQ_BYTE_ARRAY ? 4 : (uint64_t)l->node->width;

	if (each == 0 || n > size / each)
		return "its dictionary is shorter than the number of its values";
	ax_free(l->dict);
	l->n_dict = 0;
	l->dict = ax_calloc((size_t)n, sizeof(*l->dict));
	if (!l->dict)
		return out_of_memory;
	l->n_dict = (size_t)n;
	l->p = p;
	l->p_end = p + size;
	return plain(l, l->dict, (size_t)n);
}
