#include "train/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 64-bit unsigned values that may pass int64 go as decimal strings. */
static struct ax_val *u64_val(struct ax_arena *a, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, v);
	return ax_val_str(a, text, strlen(text));
}

static bool u64_of(const struct ax_val *v, uint64_t *out)
{
	char text[24], *end;

	if (!v || v->type != AX_STR || v->n == 0 || v->n >= sizeof(text))
		return false;
	memcpy(text, v->u.s, v->n);
	text[v->n] = '\0';
	*out = strtoull(text, &end, 10);
	return *end == '\0' && text[0] >= '0' && text[0] <= '9';
}

struct ax_val *ax_state_val(struct ax_arena *a, const struct ax_state *s, const struct ax_val *keys)
{
	struct ax_val *m = ax_val_map(a), *sum = ax_val_list(a);
	bool ok = m && sum && ax_val_push(a, sum, u64_val(a, s->data.a)) && ax_val_push(a, sum, u64_val(a, s->data.b)) &&
		  ax_val_push(a, sum, u64_val(a, s->data.n)) &&
		  ax_val_set(a, m, "step", ax_val_int(a, s->step)) &&
		  ax_val_set(a, m, "total_steps", ax_val_int(a, s->total_steps)) &&
		  ax_val_set(a, m, "packs_consumed", ax_val_int(a, (int64_t)s->consumed)) &&
		  ax_val_set(a, m, "global_batch", ax_val_int(a, (int64_t)s->global_batch)) &&
		  ax_val_set(a, m, "seed", u64_val(a, s->seed)) &&
		  ax_val_set(a, m, "tokens_seen", ax_val_int(a, (int64_t)s->tokens)) &&
		  ax_val_set(a, m, "trained_tokens_seen", ax_val_int(a, (int64_t)s->trained_tokens)) &&
		  ax_val_set(a, m, "packs", ax_val_int(a, (int64_t)s->n_pack)) && ax_val_set(a, m, "data_sum", sum);

	if (ok && keys)
		ok = ax_val_set(a, m, "keys", ax_val_copy(a, keys));
	return ok ? m : NULL;
}

int ax_state_parse(struct ax_state *s, const struct ax_val *v, struct ax_err *e)
{
	const struct ax_val *sum = ax_val_get(v, "data_sum");
	int64_t consumed = ax_val_int_or(ax_val_get(v, "packs_consumed"), -1);
	int64_t batch = ax_val_int_or(ax_val_get(v, "global_batch"), -1), packs = ax_val_int_or(ax_val_get(v, "packs"), -1);

	memset(s, 0, sizeof(*s));
	s->step = ax_val_int_or(ax_val_get(v, "step"), -1);
	s->total_steps = ax_val_int_or(ax_val_get(v, "total_steps"), -1);
	if (s->step < 0 || consumed < 0 || batch < 1 || packs < 1 || !u64_of(ax_val_get(v, "seed"), &s->seed) ||
	    !u64_of(ax_val_at(sum, 0), &s->data.a) || !u64_of(ax_val_at(sum, 1), &s->data.b) ||
	    !u64_of(ax_val_at(sum, 2), &s->data.n))
		return ax_fail(e, AX_EDATA, "trainer state is damaged: a field is missing or of the wrong type");
	s->consumed = (uint64_t)consumed;
	s->global_batch = (uint64_t)batch;
	s->n_pack = (uint64_t)packs;
	s->tokens = (uint64_t)ax_val_int_or(ax_val_get(v, "tokens_seen"), 0);
	s->trained_tokens = (uint64_t)ax_val_int_or(ax_val_get(v, "trained_tokens_seen"), 0);
	return 0;
}
