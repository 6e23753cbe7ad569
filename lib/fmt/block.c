#include "fmt/block.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/frame.h"

enum { COL_LENGTH = 1, COL_ID, COL_MASK, COL_SPLIT, COL_SOURCE, COL_NUMBER, COL_LABEL, COL_WEIGHT, COL_DOCS, N_COL };

#define COLUMNS_MAX 64 /* in a payload, unknown ones included */

const char *ax_split_name(int split)
{
	return split == AX_SPLIT_EVAL ? "eval" : "train";
}

uint32_t ax_row_trained(const struct ax_row *r)
{
	const uint8_t *mask = r->mask;
	uint32_t n = 0;

	for (size_t i = 1; i < r->n; i++)
		n += mask[i];
	return n;
}

void ax_row_sum(struct ax_sum *s, const struct ax_row *r)
{
	uint64_t part[7];

	part[0] = r->n | (uint64_t)r->split << 32;
	part[1] = r->source;
	part[2] = r->number;
	part[3] = ax_hash64(r->id, (size_t)r->n * 4);
	part[4] = ax_hash64(r->mask, r->n);
	part[5] = r->label ? ax_hash64_seed(r->label, (size_t)r->n * 4, 1) : 0;
	part[6] = r->weight ? ax_hash64_seed(r->weight, (size_t)r->n * 4, 1) : 0;
	ax_sum_row(s, part, sizeof(part));
}

/* Do labels agree with the mask: AX_LABEL_NONE exactly where it is 0, else an id? */
static bool labels_agree(const int32_t *label, const uint8_t *mask, size_t n)
{
	bool bad = false;

	for (size_t i = 0; i < n; i++)
		bad |= mask[i] ? label[i] < 0 : label[i] != AX_LABEL_NONE;
	return !bad;
}

static bool all_finite(const float *w, size_t n)
{
	bool bad = false;

	for (size_t i = 0; i < n; i++)
		bad |= !isfinite(w[i]);
	return !bad;
}

int ax_row_check(const struct ax_row *r, int id_bits, struct ax_err *e)
{
	uint32_t any = 0, m = 0;

	if (r->n < 1 || r->n > AX_ROW_MAX)
		return ax_fail(e, AX_EDATA, "row of %u tokens: a row holds 1 to %u", r->n, AX_ROW_MAX);
	for (uint32_t i = 0; i < r->n; i++) {
		any |= r->id[i];
		m |= r->mask[i];
	}
	if (id_bits == 16 && any > 0xffff)
		return ax_fail(e, AX_EDATA, "row with an id beyond 65535 in a stream of 16-bit ids");
	if (m > 1)
		return ax_fail(e, AX_EDATA, "row whose mask holds other values than 0 and 1");
	if (r->split >= AX_N_SPLIT)
		return ax_fail(e, AX_EDATA, "row of unknown split %d", r->split);
	if (r->label && !labels_agree(r->label, r->mask, r->n))
		return ax_fail(e, AX_EDATA, "row whose labels disagree with its mask");
	if (r->weight && !all_finite(r->weight, r->n))
		return ax_fail(e, AX_EDATA, "row with a weight that is not finite");
	return 0;
}

/* --- writing --- */

void ax_block_writer_init(struct ax_block_writer *w, int id_bits, bool packs)
{
	memset(w, 0, sizeof(*w));
	w->id_bits = id_bits;
	w->packs = packs;
}

static void reset_columns(struct ax_block_writer *w)
{
	struct ax_buf *all[] = {&w->len,    &w->id,        &w->mask,  &w->split,      &w->source, &w->number,
				&w->label_has, &w->label, &w->weight_has, &w->weight, &w->docs};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ax_buf_reset(all[i]);
	w->n_row = w->n_pack = w->doc = 0;
	w->n_token = 0;
	w->any_label = w->any_weight = false;
}

void ax_block_writer_release(struct ax_block_writer *w)
{
	struct ax_buf *all[] = {&w->len,       &w->id,    &w->mask,       &w->split,  &w->source, &w->number,
				&w->label_has, &w->label, &w->weight_has, &w->weight, &w->docs,   &w->payload};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ax_buf_release(all[i]);
}

static void add_ids(struct ax_block_writer *w, const uint32_t *id, size_t n)
{
	uint16_t *to;

	if (w->id_bits == 32) {
		ax_buf_add(&w->id, id, n * 4);
		return;
	}
	ax_buf_reserve(&w->id, n * 2);
	if (w->id.oom)
		return;
	to = (uint16_t *)(void *)(w->id.p + w->id.n);
	for (size_t i = 0; i < n; i++)
		to[i] = (uint16_t)id[i];
	w->id.n += n * 2;
}

void ax_block_add(struct ax_block_writer *w, const struct ax_row *r)
{
	ax_buf_add_u32(&w->len, r->n);
	add_ids(w, r->id, r->n);
	ax_buf_add(&w->mask, r->mask, r->n);
	ax_buf_addc(&w->split, (char)r->split);
	ax_buf_add_u32(&w->source, r->source);
	ax_buf_add_u64(&w->number, r->number);
	ax_buf_addc(&w->label_has, r->label ? 1 : 0);
	ax_buf_addc(&w->weight_has, r->weight ? 1 : 0);
	if (r->label)
		ax_buf_add(&w->label, r->label, (size_t)r->n * 4);
	if (r->weight)
		ax_buf_add(&w->weight, r->weight, (size_t)r->n * 4);
	w->any_label |= r->label != NULL;
	w->any_weight |= r->weight != NULL;
	w->n_row++;
	w->doc++;
	w->n_token += r->n;
}

void ax_block_end_pack(struct ax_block_writer *w)
{
	ax_buf_add_u32(&w->docs, w->doc);
	w->doc = 0;
	w->n_pack++;
}

size_t ax_block_bytes(const struct ax_block_writer *w, uint32_t n)
{
	size_t tokens = w->n_token + n, rows = (size_t)w->n_row + 1;

	return 8 + N_COL * 16 + tokens * (size_t)(w->id_bits / 8) + tokens / 8 + rows * 22 + w->label.n + w->weight.n +
	       (size_t)n * 8;
}

/* Bytes of 0 or 1 to bits, lowest first, padded with zeros to a multiple of 8 bytes. */
static void add_bits(struct ax_buf *out, const struct ax_buf *bytes)
{
	size_t n = (bytes->n + 7) / 8, pad = (8 - n % 8) % 8;
	static const char zero[8];
	uint64_t v;

	ax_buf_reserve(out, n + pad);
	for (size_t i = 0; i < n && !out->oom; i++) {
		size_t left = bytes->n - i * 8;

		v = 0;
		memcpy(&v, bytes->p + i * 8, left < 8 ? left : 8);
		out->p[out->n++] = (char)((v & 0x0101010101010101u) * 0x0102040810204080u >> 56);
	}
	ax_buf_add(out, zero, pad);
}

struct column {
	uint16_t id;
	const struct ax_buf *has; /* bytes of 0 or 1 that go first, as bits; or NULL */
	const struct ax_buf *data; /* or NULL */
};

static size_t bit_bytes(size_t n)
{
	return (n + 63) / 64 * 8;
}

static size_t column_bytes(const struct column *c)
{
	return (c->has ? bit_bytes(c->has->n) : 0) + (c->data ? c->data->n : 0);
}

int ax_block_finish(struct ax_block_writer *w, struct ax_err *e)
{
	struct column col[N_COL] = {{COL_LENGTH, NULL, &w->len},  {COL_ID, NULL, &w->id},
				    {COL_MASK, &w->mask, NULL},	  {COL_SPLIT, NULL, &w->split},
				    {COL_SOURCE, NULL, &w->source}, {COL_NUMBER, NULL, &w->number}};
	static const char zero[8];
	struct ax_buf *out = &w->payload;
	uint32_t n = 6;

	if (w->any_label)
		col[n++] = (struct column){COL_LABEL, &w->label_has, &w->label};
	if (w->any_weight)
		col[n++] = (struct column){COL_WEIGHT, &w->weight_has, &w->weight};
	if (w->packs)
		col[n++] = (struct column){COL_DOCS, NULL, &w->docs};
	ax_buf_reset(out);
	ax_buf_add_u32(out, w->n_row);
	ax_buf_add_u32(out, n);
	for (uint32_t i = 0; i < n; i++) {
		ax_buf_add_u32(out, col[i].id);
		ax_buf_add_u32(out, (uint32_t)column_bytes(&col[i]));
	}
	for (uint32_t i = 0; i < n; i++) {
		bool oom = (col[i].has && col[i].has->oom) || (col[i].data && col[i].data->oom);

		out->oom |= oom;
		if (col[i].has)
			add_bits(out, col[i].has);
		if (col[i].data)
			ax_buf_add(out, col[i].data->p, col[i].data->n);
		ax_buf_add(out, zero, (8 - out->n % 8) % 8);
	}
	reset_columns(w);
	return out->oom ? ax_fail(e, AX_EMEM, "out of memory for a block of rows") : 0;
}

/* --- reading --- */

void ax_block_init(struct ax_block *b)
{
	memset(b, 0, sizeof(*b));
}

void ax_block_release(struct ax_block *b)
{
	ax_free(b->id_buf);
	ax_free(b->mask_buf);
	memset(b, 0, sizeof(*b));
}

struct span {
	const unsigned char *p;
	size_t n;
};

/* Split the payload into its known columns. */
static int find_columns(struct span col[N_COL], const unsigned char *p, size_t n, uint32_t *n_row, struct ax_err *e)
{
	uint32_t n_col = n >= 8 ? ax_get_u32(p + 4) : 0;
	size_t at = 8 + (size_t)n_col * 8;

	memset(col, 0, N_COL * sizeof(col[0]));
	if (n < 8 || n_col > COLUMNS_MAX || at > n)
		return ax_fail(e, AX_EDATA, "malformed block of rows");
	*n_row = ax_get_u32(p);
	for (uint32_t i = 0; i < n_col; i++) {
		const unsigned char *d = p + 8 + (size_t)i * 8;
		unsigned id = (unsigned)d[0] | (unsigned)d[1] << 8, flags = (unsigned)d[2] | (unsigned)d[3] << 8;
		size_t bytes = ax_get_u32(d + 4), padded = (bytes + 7) & ~(size_t)7;

		if (padded > n - at)
			return ax_fail(e, AX_EDATA, "malformed block of rows (column %u is cut)", id);
		if (id >= 1 && id < N_COL) {
			if (col[id].p)
				return ax_fail(e, AX_EDATA, "malformed block of rows (column %u twice)", id);
			col[id] = (struct span){p + at, bytes};
		} else if (!(flags & 1)) {
			return ax_fail(e, AX_EDATA, "column %u is not known to this version and may not be skipped", id);
		}
		at += padded;
	}
	if (at != n)
		return ax_fail(e, AX_EDATA, "malformed block of rows (%zu bytes too many)", n - at);
	return 0;
}

/* Tokens of all rows from the length column; 0 when a length is out of range. */
static size_t sum_lengths(const unsigned char *len, uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t l = ax_get_u32(len + (size_t)i * 4);

		if (l < 1 || l > AX_ROW_MAX)
			return 0;
		sum += l;
	}
	return sum <= AX_FRAME_RAW_MAX ? (size_t)sum : 0; /* an id takes 2 bytes, so more cannot be right */
}

static int grow_tokens(struct ax_block *b, struct ax_err *e)
{
	size_t mask = (b->n_token + 7) / 8 * 8;

	if (b->id_bits == 16 && b->n_token > b->id_cap) {
		ax_free(b->id_buf);
		b->id_buf = ax_malloc(b->n_token * 4);
		b->id_cap = b->id_buf ? b->n_token : 0;
	}
	if (mask > b->mask_cap) {
		ax_free(b->mask_buf);
		b->mask_buf = ax_malloc(mask);
		b->mask_cap = b->mask_buf ? mask : 0;
	}
	if (mask > b->mask_cap || (b->id_bits == 16 && b->n_token > b->id_cap))
		return ax_fail(e, AX_EMEM, "out of memory for a block of rows");
	return 0;
}

static void widen_ids(struct ax_block *b, const unsigned char *p)
{
	const uint16_t *from = (const void *)p;

	if (b->id_bits == 32) {
		b->id = (const void *)p;
		return;
	}
	for (size_t i = 0; i < b->n_token; i++)
		b->id_buf[i] = from[i];
	b->id = b->id_buf;
}

static void expand_mask(struct ax_block *b, const unsigned char *bits)
{
	for (size_t i = 0; i < (b->n_token + 7) / 8; i++) {
		uint64_t v = bits[i] * 0x0101010101010101u & 0x8040201008040201u;

		v = (v + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
		memcpy(b->mask_buf + i * 8, &v, 8);
	}
	b->mask = b->mask_buf;
}

static bool bit_at(const unsigned char *bits, uint32_t i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

/* An optional column: its bits and data, whose size must be 4 bytes for each token of the rows that have it. */
static bool optional_column(const struct ax_block *b, const struct span *c, const unsigned char **has,
			    const unsigned char **data)
{
	size_t head = bit_bytes(b->n_row), tokens = 0;

	*has = *data = NULL;
	if (!c->p)
		return true;
	if (c->n < head)
		return false;
	for (uint32_t i = 0; i < b->n_row; i++)
		if (bit_at(c->p, i))
			tokens += ax_get_u32(b->len + (size_t)i * 4);
	*has = c->p;
	*data = c->p + head;
	return c->n == head + tokens * 4;
}

static int check_docs(struct ax_block *b, const struct span *c, struct ax_err *e)
{
	uint32_t row = 0;

	b->n_pack = (uint32_t)(c->n / 4);
	b->docs = c->p;
	if (!c->p || c->n % 4)
		return ax_fail(e, AX_EDATA, "malformed block of packs");
	for (uint32_t i = 0; i < b->n_pack; i++) {
		uint32_t n = ax_get_u32(b->docs + (size_t)i * 4);

		if (n < 1 || n > b->n_row - row)
			return ax_fail(e, AX_EDATA, "malformed block of packs (documents)");
		for (uint32_t k = 1; k < n; k++)
			if (b->split[row + k] != b->split[row])
				return ax_fail(e, AX_EDATA, "a pack mixes train and eval rows");
		row += n;
	}
	return row == b->n_row ? 0 : ax_fail(e, AX_EDATA, "malformed block of packs (rows outside packs)");
}

/* Values of the optional columns, row by row. */
static int check_optional(struct ax_block *b, struct ax_err *e)
{
	struct ax_row r;
	int rc = 0;

	if (!b->label_has && !b->weight_has)
		return 0;
	while (!rc && ax_block_next(b, &r)) {
		if (r.label && !labels_agree(r.label, r.mask, r.n))
			rc = ax_fail(e, AX_EDATA, "labels disagree with the mask");
		if (r.weight && !all_finite(r.weight, r.n))
			rc = ax_fail(e, AX_EDATA, "a weight is not finite");
	}
	ax_block_rewind(b);
	return rc;
}

int ax_block_parse(struct ax_block *b, const unsigned char *p, size_t n, int id_bits, bool packs, struct ax_err *e)
{
	struct span col[N_COL];
	uint32_t rows = 0;

	AX_TRY(find_columns(col, p, n, &rows, e));
	b->id_bits = id_bits;
	b->packs = packs;
	b->n_row = rows;
	b->n_pack = 0;
	ax_block_rewind(b);
	if (!rows || col[COL_LENGTH].n != (size_t)rows * 4 || col[COL_SPLIT].n != rows ||
	    col[COL_SOURCE].n != (size_t)rows * 4 || col[COL_NUMBER].n != (size_t)rows * 8)
		return ax_fail(e, AX_EDATA, "malformed block of rows (a column is missing or of the wrong size)");
	b->len = col[COL_LENGTH].p;
	b->split = col[COL_SPLIT].p;
	b->source = col[COL_SOURCE].p;
	b->number = col[COL_NUMBER].p;
	b->n_token = sum_lengths(b->len, rows);
	if (!b->n_token || col[COL_ID].n != b->n_token * (size_t)(id_bits / 8) ||
	    col[COL_MASK].n != bit_bytes(b->n_token))
		return ax_fail(e, AX_EDATA, "malformed block of rows (row lengths)");
	for (uint32_t i = 0; i < rows; i++)
		if (b->split[i] >= AX_N_SPLIT)
			return ax_fail(e, AX_EDATA, "malformed block of rows (split)");
	AX_TRY(grow_tokens(b, e));
	widen_ids(b, col[COL_ID].p);
	expand_mask(b, col[COL_MASK].p);
	if (!optional_column(b, &col[COL_LABEL], &b->label_has, &b->label_data) ||
	    !optional_column(b, &col[COL_WEIGHT], &b->weight_has, &b->weight_data))
		return ax_fail(e, AX_EDATA, "malformed block of rows (optional column)");
	if (packs)
		AX_TRY(check_docs(b, &col[COL_DOCS], e));
	return check_optional(b, e);
}

void ax_block_rewind(struct ax_block *b)
{
	b->row = b->pack = 0;
	b->token = b->label_at = b->weight_at = 0;
}

bool ax_block_next(struct ax_block *b, struct ax_row *r)
{
	uint32_t i = b->row;

	if (i >= b->n_row)
		return false;
	memset(r, 0, sizeof(*r));
	r->n = ax_get_u32(b->len + (size_t)i * 4);
	r->id = b->id + b->token;
	r->mask = b->mask + b->token;
	r->split = b->split[i];
	r->source = ax_get_u32(b->source + (size_t)i * 4);
	r->number = ax_get_u64(b->number + (size_t)i * 8);
	if (b->label_has && bit_at(b->label_has, i)) {
		r->label = (const void *)(b->label_data + b->label_at * 4);
		b->label_at += r->n;
	}
	if (b->weight_has && bit_at(b->weight_has, i)) {
		r->weight = (const void *)(b->weight_data + b->weight_at * 4);
		b->weight_at += r->n;
	}
	b->token += r->n;
	b->row++;
	return true;
}
