#include "data/packer.h"

#include <string.h>

#include "base/mem.h"
#include "data/store.h"
#include "fmt/pack.h"

#define RAM ((size_t)64 << 20)

/* Rows waiting to be packed: lengths and references; tokens lie in the store. */
struct window {
	uint32_t *len;
	uint64_t *ref;
	size_t n, cap_len, cap_ref;
	struct ax_store store;
};

struct side { /* one split */
	struct window w[2]; /* the current one, and the one that takes its carried rows */
	int cur;
	uint64_t *count;    /* histogram of lengths */
	struct ax_packer_stats stats;
};

struct ax_packer {
	struct ax_packer_opt o;
	ax_packer_emit *emit;
	void *ctx;
	size_t budget;
	struct side side[AX_N_SPLIT];
	struct ax_plan plan;
	struct ax_totals drops;
	struct ax_drops named;
	struct ax_row *row; /* of the pack being emitted */
	size_t cap_row;
	struct ax_buf scratch;
};

int ax_packer_new(struct ax_packer **out, const struct ax_packer_opt *o, ax_packer_emit *emit, void *ctx,
		  struct ax_err *e)
{
	struct ax_packer *p;

	*out = NULL;
	if (o->capacity < 1 || o->capacity > AX_ROW_MAX)
		return ax_fail(e, AX_EUSAGE, "sequence_len %u; 1 to %u are possible", o->capacity, AX_ROW_MAX);
	p = ax_calloc(1, sizeof(*p));
	if (!p)
		return ax_fail(e, AX_EMEM, "out of memory");
	p->o = *o;
	p->emit = emit;
	p->ctx = ctx;
	p->budget = o->ram ? o->ram : RAM;
	ax_plan_init(&p->plan);
	for (int k = 0; k < AX_N_SPLIT; k++) {
		p->side[k].count = ax_calloc((size_t)o->capacity + 1, sizeof(uint64_t));
		for (int i = 0; i < 2; i++)
			ax_store_init(&p->side[k].w[i].store, &p->budget);
	}
	if (!p->side[0].count || !p->side[1].count) {
		ax_packer_free(p);
		return ax_fail(e, AX_EMEM, "out of memory");
	}
	*out = p;
	return 0;
}

/* --- emission --- */

static int emit(struct ax_packer *p, int split, const struct ax_row *row, uint32_t n, struct ax_err *e)
{
	while (n) {
		uint32_t k = n < AX_PACK_DOCS ? n : AX_PACK_DOCS;

		AX_TRY(p->emit(p->ctx, row, k, e));
		p->side[split].stats.packs++;
		row += k;
		n -= k;
	}
	return 0;
}

static int emit_bin(struct ax_packer *p, int split, struct window *w, uint32_t bin, struct ax_err *e)
{
	const uint32_t *item = p->plan.order + p->plan.begin[bin];
	uint32_t n = p->plan.begin[bin + 1] - p->plan.begin[bin];
	size_t bytes = 0;

	if (n > p->cap_row) {
		ax_free(p->row);
		p->row = ax_calloc((size_t)n * 2, sizeof(*p->row));
		p->cap_row = p->row ? (size_t)n * 2 : 0;
	}
	for (uint32_t i = 0; i < n; i++)
		bytes += ax_store_bytes(w->len[item[i]]);
	ax_buf_reset(&p->scratch);
	ax_buf_reserve(&p->scratch, bytes);
	if (!p->cap_row || p->scratch.oom)
		return ax_fail(e, AX_EMEM, "out of memory for a pack");
	for (uint32_t i = 0; i < n; i++) {
		AX_TRY(ax_store_get(&w->store, w->ref[item[i]], w->len[item[i]], &p->row[i], &p->scratch, e));
		p->row[i].split = (uint8_t)split;
	}
	return emit(p, split, p->row, n, e);
}

static int window_add(struct window *w, const struct ax_row *r, struct ax_err *e)
{
	if (!AX_GROW(w->len, w->n, w->cap_len) || !AX_GROW(w->ref, w->n, w->cap_ref))
		return ax_fail(e, AX_EMEM, "out of memory for a window of rows");
	w->len[w->n] = r->n;
	AX_TRY(ax_store_add(&w->store, r, &w->ref[w->n], e));
	w->n++;
	return 0;
}

/* Plan the window, emit its bins, keep the carried rows. */
static int run(struct ax_packer *p, int split, bool last, struct ax_err *e)
{
	struct side *s = &p->side[split];
	struct window *w = &s->w[s->cur], *next = &s->w[!s->cur];
	uint32_t carry;

	AX_TRY(ax_plan_run(&p->plan, w->len, w->n, p->o.capacity, e));
	carry = last ? UINT32_MAX : ax_plan_carry(&p->plan);
	for (uint32_t b = 0; b < p->plan.n_bin; b++) {
		if (p->plan.free[b] < carry) {
			AX_TRY(emit_bin(p, split, w, b, e));
			continue;
		}
		for (uint32_t i = p->plan.begin[b]; i < p->plan.begin[b + 1]; i++) {
			uint32_t k = p->plan.order[i];
			struct ax_row r;

			ax_buf_reset(&p->scratch);
			AX_TRY(ax_store_get(&w->store, w->ref[k], w->len[k], &r, &p->scratch, e));
			AX_TRY(window_add(next, &r, e));
		}
	}
	w->n = 0;
	AX_TRY(ax_store_reset(&w->store, e));
	s->cur = !s->cur;
	return 0;
}

/* --- rows in --- */

static int push(struct ax_packer *p, const struct ax_row *r, struct ax_err *e)
{
	struct side *s = &p->side[r->split];
	struct window *w = &s->w[s->cur];

	ax_totals_row(&p->drops, r);
	s->stats.rows++;
	s->stats.tokens += r->n;
	s->count[r->n]++;
	if (p->o.single[r->split])
		return emit(p, r->split, r, 1, e);
	AX_TRY(window_add(w, r, e));
	return p->o.window && w->n >= p->o.window ? run(p, r->split, false, e) : 0;
}

static struct ax_row part(const struct ax_row *r, uint32_t begin, uint32_t n)
{
	struct ax_row x = *r;

	x.n = n;
	x.id += begin;
	x.mask += begin;
	if (x.label)
		x.label += begin;
	if (x.weight)
		x.weight += begin;
	return x;
}

static int overflow(struct ax_packer *p, const struct ax_row *r, struct ax_err *e)
{
	uint32_t cap = p->o.capacity;
	struct ax_row x;

	if (p->o.overflow != AX_OVERFLOW_ERROR)
		ax_drops_add(&p->named, r->source, r->split, p->o.overflow == AX_OVERFLOW_SPLIT ? "split" : "too_long",
			     p->o.overflow != AX_OVERFLOW_DROP, r->number);
	switch (p->o.overflow) {
	case AX_OVERFLOW_DROP:
		ax_totals_dropped(&p->drops, r->split, "too_long", 1);
		return 0;
	case AX_OVERFLOW_TRUNCATE:
		ax_totals_truncated(&p->drops, r->split, "too_long", 1);
		x = part(r, 0, cap);
		return push(p, &x, e);
	case AX_OVERFLOW_SPLIT:
		ax_totals_truncated(&p->drops, r->split, "split", 1);
		for (uint32_t at = 0; at < r->n; at += cap) {
			x = part(r, at, r->n - at < cap ? r->n - at : cap);
			AX_TRY(push(p, &x, e));
		}
		return 0;
	case AX_OVERFLOW_ERROR:
		break;
	}
	return ax_fail(e, AX_EDATA,
		       "row %llu of source %u (%s) has %u tokens, sequence_len is %u; --overflow drop, truncate or split "
		       "goes on", (unsigned long long)r->number, r->source, ax_split_name(r->split), r->n, cap);
}

int ax_packer_add(struct ax_packer *p, const struct ax_row *r, struct ax_err *e)
{
	if (r->n < 1 || r->split >= AX_N_SPLIT)
		return ax_fail(e, AX_EDATA, "a row without tokens or of an unknown split");
	return r->n > p->o.capacity ? overflow(p, r, e) : push(p, r, e);
}

int ax_packer_finish(struct ax_packer *p, struct ax_err *e)
{
	for (int k = 0; k < AX_N_SPLIT; k++) {
		struct side *s = &p->side[k];

		if (s->w[s->cur].n)
			AX_TRY(run(p, k, true, e));
		s->stats.bound = p->o.single[k] ? s->stats.rows : ax_pack_bound(s->count, p->o.capacity);
	}
	return 0;
}

const struct ax_packer_stats *ax_packer_stats(const struct ax_packer *p, int split)
{
	return &p->side[split].stats;
}

const struct ax_drops *ax_packer_named(const struct ax_packer *p)
{
	return &p->named;
}

const struct ax_totals *ax_packer_drops(const struct ax_packer *p)
{
	return &p->drops;
}

void ax_packer_free(struct ax_packer *p)
{
	if (!p)
		return;
	for (int k = 0; k < AX_N_SPLIT; k++) {
		for (int i = 0; i < 2; i++) {
			ax_free(p->side[k].w[i].len);
			ax_free(p->side[k].w[i].ref);
			ax_store_release(&p->side[k].w[i].store);
		}
		ax_free(p->side[k].count);
	}
	ax_drops_release(&p->named);
	ax_plan_release(&p->plan);
	ax_free(p->row);
	ax_buf_release(&p->scratch);
	ax_free(p);
}
