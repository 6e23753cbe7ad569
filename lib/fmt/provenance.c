#include "fmt/provenance.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "fmt/stream.h"
#include "text/json.h"

#define LATER_JSON ((size_t)16 << 10) /* of the list that a stream after the first brings along */

static bool set_int(struct ax_arena *a, struct ax_val *m, const char *key, uint64_t v)
{
	return ax_val_set(a, m, key, ax_val_int(a, (int64_t)v));
}

static bool set_hex(struct ax_arena *a, struct ax_val *m, const char *key, uint64_t v)
{
	char hex[17];

	snprintf(hex, sizeof(hex), "%016" PRIx64, v);
	return ax_val_set(a, m, key, ax_val_str(a, hex, 16));
}

/* Pairs of map `from` that are not in `to`: what a trailer says replaces nothing. */
static bool complete(struct ax_arena *a, struct ax_val *to, const struct ax_val *from)
{
	for (size_t i = 0; from && from->type == AX_MAP && i < from->n; i++)
		if (!ax_val_get(to, from->u.pair[i].key) &&
		    !ax_val_set(a, to, from->u.pair[i].key, ax_val_copy(a, from->u.pair[i].val)))
			return false;
	return true;
}

static const struct ax_val *list_of(const struct ax_val *v)
{
	const struct ax_val *list = ax_val_get(v, "provenance");

	return list && list->type == AX_LIST ? list : NULL;
}

struct ax_val *ax_provenance(struct ax_arena *a, const struct ax_val *header, const struct ax_val *trailer)
{
	const struct ax_val *head = list_of(header), *more = list_of(trailer);
	struct ax_val *list = head ? ax_val_copy(a, head) : ax_val_list(a);

	for (size_t i = 0; list && i < list->n; i++)
		if (list->u.item[i]->type == AX_MAP && !complete(a, list->u.item[i], ax_val_at(more, i)))
			return NULL;
	return list;
}

struct ax_val *ax_provenance_bounded(struct ax_arena *a, struct ax_val *v, size_t limit)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_val *m = v;

	if (v)
		ax_json_write(&b, v, 0);
	if (v && !b.oom && b.n > limit) {
		m = ax_val_map(a);
		if (!m || !set_int(a, m, "entries", ax_val_len(v)) || !set_hex(a, m, "xxh3", ax_hash64(b.p, b.n)))
			m = NULL;
	}
	if (b.oom)
		m = NULL;
	ax_buf_release(&b);
	return m;
}

void ax_inputs_init(struct ax_inputs *in)
{
	memset(in, 0, sizeof(*in));
	ax_arena_init(&in->arena, 0);
}

void ax_inputs_release(struct ax_inputs *in)
{
	ax_arena_release(&in->arena);
}

/* A map for each entry of the header's list: the trailer's, or an empty one. */
static struct ax_val *completions(struct ax_arena *a, const struct ax_val *header, const struct ax_val *trailer)
{
	size_t n = ax_val_len(list_of(header));
	struct ax_val *list = ax_val_list(a);

	for (size_t i = 0; list && i < n; i++) {
		const struct ax_val *v = ax_val_at(list_of(trailer), i);
		struct ax_val *m = v && v->type == AX_MAP ? ax_val_copy(a, v) : ax_val_map(a);

		if (!m || !ax_val_push(a, list, m))
			return NULL;
	}
	return list;
}

static struct ax_val *stream_val(struct ax_inputs *in, const struct ax_val *header, const struct ax_val *trailer,
				 const struct ax_totals *t, uint64_t hash)
{
	struct ax_arena *a = &in->arena;
	struct ax_val *m = ax_val_map(a), *list;
	char sum[33];
	bool ok;

	snprintf(sum, sizeof(sum), "%016" PRIx64 "%016" PRIx64, t->sum.b, t->sum.a);
	ok = m && set_int(a, m, "rows", t->split[0].rows + t->split[1].rows) &&
	     set_int(a, m, "tokens", t->split[0].tokens + t->split[1].tokens) &&
	     ax_val_set(a, m, "sum", ax_val_str(a, sum, 32)) && set_hex(a, m, "xxh3", hash);
	if (ok && in->n_stream && list_of(header)) {
		list = ax_provenance_bounded(a, ax_provenance(a, header, trailer), LATER_JSON);
		ok = list && ax_val_set(a, m, "provenance", list);
	}
	return ok ? m : NULL;
}

int ax_inputs_add(struct ax_inputs *in, const struct ax_val *header, const struct ax_val *trailer,
		  const struct ax_totals *counted, uint64_t hash, struct ax_err *e)
{
	struct ax_val *m;

	if (in->n_stream >= AX_INPUTS_MAX) {
		unsigned char le[8];

		ax_put_u64(le, hash);
		in->rest_hash = ax_hash64_seed(le, sizeof(le), in->rest_hash);
		in->rest_rows += counted->split[0].rows + counted->split[1].rows;
		in->rest_tokens += counted->split[0].tokens + counted->split[1].tokens;
		in->n_stream++;
		return 0;
	}
	if (!in->n_stream) {
		in->list = ax_val_list(&in->arena);
		in->done = completions(&in->arena, header, trailer);
	}
	m = stream_val(in, header, trailer, counted, hash);
	if (!in->list || !in->done || !m || !ax_val_push(&in->arena, in->list, m))
		return ax_fail(e, AX_EMEM, "out of memory for the provenance of the input");
	in->n_stream++;
	return 0;
}

static bool add_rest(const struct ax_inputs *in, struct ax_arena *a, struct ax_val *list)
{
	struct ax_val *m = ax_val_map(a);

	return m && set_int(a, m, "streams", in->n_stream - AX_INPUTS_MAX) && set_int(a, m, "rows", in->rest_rows) &&
	       set_int(a, m, "tokens", in->rest_tokens) && set_hex(a, m, "xxh3", in->rest_hash) &&
	       ax_val_push(a, list, m);
}

struct ax_val *ax_inputs_trailer(struct ax_inputs *in, struct ax_arena *a)
{
	struct ax_val *top = ax_val_map(a), *own = ax_val_map(a), *input, *list;

	input = in->list ? ax_val_copy(a, in->list) : ax_val_list(a);
	list = in->done ? ax_val_copy(a, in->done) : ax_val_list(a);
	if (!top || !own || !input || !list || (in->n_stream > AX_INPUTS_MAX && !add_rest(in, a, input)))
		return NULL;
	input = ax_provenance_bounded(a, input, AX_INPUT_JSON + LATER_JSON);
	if (!input || !ax_val_set(a, own, "input", input) || !ax_val_push(a, list, own))
		return NULL;
	return ax_val_set(a, top, "provenance", list) ? top : NULL;
}
