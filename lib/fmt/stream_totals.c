#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/stream.h"

static struct ax_reason *reason(struct ax_totals *t, int split, const char *name)
{
	struct ax_split_totals *s = &t->split[split == AX_SPLIT_EVAL];
	struct ax_reason *r;

	for (uint32_t i = 0; i < s->n_reason; i++)
		if (!strncmp(s->reason[i].name, name, AX_REASON_MAX - 1))
			return &s->reason[i];
	if (s->n_reason == AX_N_REASON - 1)
		name = "other";
	if (s->n_reason == AX_N_REASON)
		return &s->reason[AX_N_REASON - 1];
	r = &s->reason[s->n_reason++];
	memset(r, 0, sizeof(*r));
	snprintf(r->name, sizeof(r->name), "%s", name);
	return r;
}

void ax_totals_dropped(struct ax_totals *t, int split, const char *why, uint64_t n)
{
	reason(t, split, why)->dropped += n;
}

void ax_totals_truncated(struct ax_totals *t, int split, const char *why, uint64_t n)
{
	reason(t, split, why)->truncated += n;
}

void ax_totals_row(struct ax_totals *t, const struct ax_row *r)
{
	struct ax_split_totals *s = &t->split[r->split];
	const uint32_t *id = r->id;
	uint32_t top = t->max_id, n = r->n;

	s->rows++;
	s->tokens += n;
	s->trained += ax_row_trained(r);
	for (uint32_t i = 0; i < n; i++)
		top = id[i] > top ? id[i] : top;
	t->max_id = top;
	ax_row_sum(&t->sum, r);
}

void ax_totals_add(struct ax_totals *t, const struct ax_totals *o)
{
	for (int k = 0; k < AX_N_SPLIT; k++) {
		struct ax_split_totals *s = &t->split[k];
		const struct ax_split_totals *x = &o->split[k];

		s->packs += x->packs;
		s->rows += x->rows;
		s->tokens += x->tokens;
		s->trained += x->trained;
		for (uint32_t i = 0; i < x->n_reason; i++) {
			struct ax_reason *r = reason(t, k, x->reason[i].name);

			r->dropped += x->reason[i].dropped;
			r->truncated += x->reason[i].truncated;
		}
	}
	t->max_id = o->max_id > t->max_id ? o->max_id : t->max_id;
	ax_sum_add(&t->sum, &o->sum);
}

void ax_totals_reasons_only(struct ax_totals *t)
{
	for (int k = 0; k < AX_N_SPLIT; k++)
		t->split[k].packs = t->split[k].rows = t->split[k].tokens = t->split[k].trained = 0;
	memset(&t->sum, 0, sizeof(t->sum));
	t->max_id = 0;
}

/* --- JSON --- */

static bool set_int(struct ax_arena *a, struct ax_val *map, const char *key, uint64_t v)
{
	return ax_val_set(a, map, key, ax_val_int(a, (int64_t)v));
}

static struct ax_val *reasons_val(struct ax_arena *a, const struct ax_split_totals *s, bool dropped)
{
	struct ax_val *m = ax_val_map(a);

	for (uint32_t i = 0; m && i < s->n_reason; i++) {
		uint64_t n = dropped ? s->reason[i].dropped : s->reason[i].truncated;

		if (n && !set_int(a, m, s->reason[i].name, n))
			return NULL;
	}
	return m;
}

static struct ax_val *split_val(struct ax_arena *a, const struct ax_split_totals *s)
{
	struct ax_val *m = ax_val_map(a), *d = reasons_val(a, s, true), *t = reasons_val(a, s, false);
	bool ok = m && d && t;

	if (s->packs)
		ok = ok && set_int(a, m, "packs", s->packs);
	ok = ok && set_int(a, m, "rows", s->rows) && set_int(a, m, "tokens", s->tokens);
	ok = ok && set_int(a, m, "trained_tokens", s->trained);
	ok = ok && ax_val_set(a, m, "dropped", d) && ax_val_set(a, m, "truncated", t);
	return ok ? m : NULL;
}

struct ax_val *ax_totals_val(struct ax_arena *a, const struct ax_totals *t)
{
	struct ax_val *m = ax_val_map(a), *sum;
	char hex[33];
	int n = snprintf(hex, sizeof(hex), "%016" PRIx64 "%016" PRIx64, t->sum.b, t->sum.a);

	sum = ax_val_str(a, hex, (size_t)n);
	if (!m || !sum)
		return NULL;
	for (int k = 0; k < AX_N_SPLIT; k++) {
		struct ax_val *s = split_val(a, &t->split[k]);

		if (!s || !ax_val_set(a, m, ax_split_name(k), s))
			return NULL;
	}
	if (t->max_id && !set_int(a, m, "max_id", t->max_id))
		return NULL;
	return ax_val_set(a, m, "sum", sum) ? m : NULL;
}

/* A count: an integer >= 0. */
static int get_count(const struct ax_val *map, const char *key, uint64_t *out, struct ax_err *e)
{
	const struct ax_val *v = ax_val_get(map, key);

	*out = 0;
	if (ax_val_is_null(v))
		return 0;
	if (v->type != AX_INT || v->u.i < 0)
		return ax_fail(e, AX_EDATA, "malformed totals (%s)", key);
	*out = (uint64_t)v->u.i;
	return 0;
}

/* Names of reasons are shown on terminals. */
static bool is_plain(const char *s)
{
	while (*s > 0x1f && *s < 0x7f)
		s++;
	return !*s;
}

static int parse_reasons(struct ax_totals *t, int split, const struct ax_val *m, bool dropped, struct ax_err *e)
{
	if (ax_val_is_null(m))
		return 0;
	if (m->type != AX_MAP)
		return ax_fail(e, AX_EDATA, "malformed totals (reasons)");
	for (size_t i = 0; i < m->n; i++) {
		const struct ax_pair *p = &m->u.pair[i];

		if (ax_val_int_or(p->val, -1) < 0 || !is_plain(p->key))
			return ax_fail(e, AX_EDATA, "malformed totals (reasons)");
		(dropped ? ax_totals_dropped : ax_totals_truncated)(t, split, p->key, (uint64_t)p->val->u.i);
	}
	return 0;
}

static bool parse_hex64(const char *s, uint64_t *v)
{
	*v = 0;
	for (int i = 0; i < 16; i++) {
		char c = s[i];
		int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (d < 0)
			return false;
		*v = *v << 4 | (uint64_t)d;
	}
	return true;
}

int ax_totals_parse(struct ax_totals *t, const struct ax_val *v, struct ax_err *e)
{
	const struct ax_val *sum = ax_val_get(v, "sum");
	uint64_t max_id;

	memset(t, 0, sizeof(*t));
	AX_TRY(get_count(v, "max_id", &max_id, e));
	t->max_id = max_id > UINT32_MAX ? UINT32_MAX : (uint32_t)max_id;
	if (!sum || sum->type != AX_STR || sum->n != 32 || !parse_hex64(sum->u.s, &t->sum.b) ||
	    !parse_hex64(sum->u.s + 16, &t->sum.a))
		return ax_fail(e, AX_EDATA, "malformed totals (sum)");
	for (int k = 0; k < AX_N_SPLIT; k++) {
		const struct ax_val *m = ax_val_get(v, ax_split_name(k));
		struct ax_split_totals *s = &t->split[k];

		AX_TRY(get_count(m, "packs", &s->packs, e));
		AX_TRY(get_count(m, "rows", &s->rows, e));
		AX_TRY(get_count(m, "tokens", &s->tokens, e));
		AX_TRY(get_count(m, "trained_tokens", &s->trained, e));
		AX_TRY(parse_reasons(t, k, ax_val_get(m, "dropped"), true, e));
		AX_TRY(parse_reasons(t, k, ax_val_get(m, "truncated"), false, e));
		t->sum.n += s->rows;
	}
	return 0;
}

static int differs(int split, const char *what, uint64_t seen, uint64_t said, struct ax_err *e)
{
	if (seen == said)
		return 0;
	return ax_fail(e, AX_EDATA, "%s %s differ: %" PRIu64 " found, %" PRIu64 " announced", ax_split_name(split), what,
		       seen, said);
}

int ax_totals_match(const struct ax_totals *seen, const struct ax_totals *said, struct ax_err *e)
{
	for (int k = 0; k < AX_N_SPLIT; k++) {
		const struct ax_split_totals *a = &seen->split[k], *b = &said->split[k];

		AX_TRY(differs(k, "packs", a->packs, b->packs, e));
		AX_TRY(differs(k, "rows", a->rows, b->rows, e));
		AX_TRY(differs(k, "tokens", a->tokens, b->tokens, e));
		AX_TRY(differs(k, "trained tokens", a->trained, b->trained, e));
	}
	if (!ax_sum_equal(&seen->sum, &said->sum))
		return ax_fail(e, AX_EDATA, "the checksum of the rows differs from the announced one");
	return 0;
}
