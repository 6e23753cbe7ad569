#include "data/loader.h"

#include <string.h>

#include "base/mem.h"

struct ax_loader {
	struct ax_shards s;
	int split;
	struct ax_order order;
	uint32_t rank, n_rank, micro;
	uint64_t *pack, *cost; /* of the planned batch: index of position i, its attention cost */
	uint32_t *slot;
	size_t cap_batch, cap_slot;
	uint32_t n_micro;
};

int ax_loader_open(struct ax_loader **out, const char *dir, struct ax_err *e)
{
	struct ax_loader *l = ax_calloc(1, sizeof(*l));
	int rc;

	*out = NULL;
	if (!l)
		return ax_fail(e, AX_EMEM, "out of memory");
	rc = ax_shards_open(&l->s, dir, e);
	if (rc) {
		ax_free(l);
		return rc;
	}
	*out = l;
	return 0;
}

struct ax_shards *ax_loader_shards(struct ax_loader *l)
{
	return &l->s;
}

uint64_t ax_loader_packs(const struct ax_loader *l, int split)
{
	return l->s.n_pack[split];
}

int ax_loader_max_docs(struct ax_loader *l, int split, uint32_t *max, struct ax_err *e)
{
	struct ax_shard_entry en;

	*max = 0;
	for (uint64_t i = 0; i < l->s.n_pack[split]; i++) {
		AX_TRY(ax_shards_entry(&l->s, split, i, &en, e));
		if (en.docs > *max)
			*max = en.docs;
	}
	return 0;
}

int ax_loader_set(struct ax_loader *l, int split, const struct ax_order *o, uint32_t rank, uint32_t n_rank,
		  uint32_t micro, struct ax_err *e)
{
	if (n_rank < 1 || rank >= n_rank || micro < 1 || o->global_batch < 1)
		return ax_fail(e, AX_EUSAGE, "rank %u of %u, %u packs a micro-batch, %llu a batch: impossible", rank,
			       n_rank, micro, (unsigned long long)o->global_batch);
	l->split = split;
	l->order = *o;
	l->order.n_pack = l->s.n_pack[split];
	l->rank = rank;
	l->n_rank = n_rank;
	l->micro = micro;
	l->n_micro = 0;
	return 0;
}

static int room(struct ax_loader *l, uint64_t n, struct ax_err *e)
{
	size_t slots = (size_t)ax_order_micros(n, l->n_rank, l->micro) * l->n_rank * l->micro;

	if (n >= AX_SLOT_NONE)
		return ax_fail(e, AX_EMEM, "a batch of %llu packs", (unsigned long long)n);
	if (n > l->cap_batch) {
		ax_free(l->pack);
		ax_free(l->cost);
		l->pack = ax_calloc((size_t)n, sizeof(*l->pack));
		l->cost = ax_calloc((size_t)n, sizeof(*l->cost));
		l->cap_batch = l->pack && l->cost ? (size_t)n : 0;
	}
	if (slots > l->cap_slot) {
		ax_free(l->slot);
		l->slot = ax_calloc(slots, sizeof(*l->slot));
		l->cap_slot = l->slot ? slots : 0;
	}
	return n <= l->cap_batch && slots <= l->cap_slot ? 0 : ax_fail(e, AX_EMEM, "out of memory for a batch");
}

static uint32_t slot_at(const struct ax_loader *l, uint32_t k, uint32_t j)
{
	return l->slot[((size_t)k * l->n_rank + l->rank) * l->micro + j];
}

int ax_loader_step(struct ax_loader *l, uint64_t consumed, struct ax_loader_step *st, struct ax_err *e)
{
	struct ax_shard_entry en;

	memset(st, 0, sizeof(*st));
	l->n_micro = 0;
	AX_TRY(ax_order_batch(&l->order, consumed, &st->batch, e));
	AX_TRY(room(l, st->batch.n, e));
	for (uint64_t i = 0; i < st->batch.n; i++) {
		l->pack[i] = ax_order_pack(&l->order, &st->batch, i);
		AX_TRY(ax_shards_entry(&l->s, l->split, l->pack[i], &en, e));
		l->cost[i] = en.cost;
		st->trained += en.trained;
		st->tokens += en.tokens;
		if (en.docs > st->docs_max)
			st->docs_max = en.docs;
	}
	AX_TRY(ax_order_assign(l->cost, (uint32_t)st->batch.n, l->n_rank, l->micro, l->slot, e));
	st->n_micro = l->n_micro = ax_order_micros(st->batch.n, l->n_rank, l->micro);
	for (uint32_t k = 0; k < l->n_micro; k++)
		for (uint32_t j = 0; j < ax_loader_micro_packs(l, k); j++)
			ax_shards_prefetch(&l->s, l->split, l->pack[slot_at(l, k, j)]);
	return 0;
}

uint32_t ax_loader_micro_packs(const struct ax_loader *l, uint32_t k)
{
	uint32_t n = 0;

	while (k < l->n_micro && n < l->micro && slot_at(l, k, n) != AX_SLOT_NONE)
		n++;
	return n;
}

int ax_loader_pack(struct ax_loader *l, uint32_t k, uint32_t j, struct ax_pack *p, struct ax_err *e)
{
	if (j >= ax_loader_micro_packs(l, k))
		return ax_fail(e, AX_EUSAGE, "no pack %u in micro-batch %u", j, k);
	return ax_shards_read(&l->s, l->split, l->pack[slot_at(l, k, j)], p, e);
}

void ax_loader_close(struct ax_loader *l)
{
	if (!l)
		return;
	ax_shards_close(&l->s);
	ax_free(l->pack);
	ax_free(l->cost);
	ax_free(l->slot);
	ax_free(l);
}
