#include <inttypes.h>

#include "base/log.h"
#include "pack.h"
#include "text/json.h"

static double fill(const struct pack_job *j, const struct ax_packer_stats *s)
{
	return s->packs ? (double)s->tokens / ((double)s->packs * j->opt.capacity) : 1;
}

/* Packs beyond the lower bound, as a share of it. */
static double excess(const struct ax_packer_stats *s)
{
	return s->bound ? (double)(s->packs - s->bound) / (double)s->bound : 0;
}

static void report_reasons(const struct ax_split_totals *s, int split, uint32_t capacity)
{
	for (uint32_t i = 0; i < s->n_reason; i++) {
		const struct ax_reason *r = &s->reason[i];

		if (r->dropped)
			ax_warn("%s: %" PRIu64 " rows dropped (%s): longer than %u tokens", ax_split_name(split),
				r->dropped, r->name, capacity);
		if (r->truncated)
			ax_warn("%s: %" PRIu64 " rows cut (%s) at %u tokens", ax_split_name(split), r->truncated,
				r->name, capacity);
	}
}

/* What --overflow cost, and packs that train nothing. */
static void report_trained(const struct pack_job *j, int k)
{
	uint64_t in = j->in.split[k].trained, out = j->out.split[k].trained;

	if (out < in)
		ax_warn("%s: %" PRIu64 " of %" PRIu64 " trained tokens went with them", ax_split_name(k), in - out, in);
	if (j->stats[k].rows && !out)
		ax_warn("%s: no token is trained", ax_split_name(k));
}

void pack_report(const struct pack_job *j)
{
	uint64_t rows = 0, read = 0;

	for (int k = 0; k < AX_N_SPLIT; k++) {
		const struct ax_packer_stats *s = &j->stats[k];

		report_reasons(&j->packed.split[k], k, j->opt.capacity);
		report_trained(j, k);
		rows += s->rows;
		read += j->in.split[k].rows;
		if (!s->rows)
			continue;
		ax_info("%s: %" PRIu64 " rows, %" PRIu64 " tokens, %" PRIu64 " trained -> %" PRIu64
			" packs of %u: fill %.3f %%, lower bound %" PRIu64 ", excess %.3f %%", ax_split_name(k), s->rows,
			s->tokens, j->out.split[k].trained, s->packs, j->opt.capacity, 100 * fill(j, s), s->bound,
			100 * excess(s));
	}
	if (!rows)
		ax_warn(read ? "no row is left" : "the input holds no rows");
}

static struct ax_val *split_val(struct ax_arena *a, const struct pack_job *j, int k)
{
	const struct ax_packer_stats *s = &j->stats[k];
	struct ax_val *m = ax_val_map(a);
	bool ok = m && ax_val_set(a, m, "rows_in", ax_val_int(a, (int64_t)j->in.split[k].rows)) &&
		  ax_val_set(a, m, "tokens_in", ax_val_int(a, (int64_t)j->in.split[k].tokens)) &&
		  ax_val_set(a, m, "trained_tokens_in", ax_val_int(a, (int64_t)j->in.split[k].trained)) &&
		  ax_val_set(a, m, "rows", ax_val_int(a, (int64_t)s->rows)) &&
		  ax_val_set(a, m, "tokens", ax_val_int(a, (int64_t)s->tokens)) &&
		  ax_val_set(a, m, "trained_tokens", ax_val_int(a, (int64_t)j->out.split[k].trained)) &&
		  ax_val_set(a, m, "packs", ax_val_int(a, (int64_t)s->packs)) &&
		  ax_val_set(a, m, "lower_bound", ax_val_int(a, (int64_t)s->bound)) &&
		  ax_val_set(a, m, "fill", ax_val_float(a, fill(j, s))) &&
		  ax_val_set(a, m, "excess", ax_val_float(a, excess(s)));

	return ok ? m : NULL;
}

int pack_report_json(const struct pack_job *j, const char *path, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	struct ax_arena a;
	struct ax_val *m, *t, *p;
	bool ok;
	int rc;

	ax_arena_init(&a, 0);
	m = ax_val_map(&a);
	t = ax_totals_val(&a, &j->out);
	p = ax_totals_val(&a, &j->packed);
	ok = m && t && p && ax_val_set(&a, m, "schema", ax_val_int(&a, 1)) &&
	     ax_val_set(&a, m, "sequence_len", ax_val_int(&a, j->opt.capacity)) &&
	     ax_val_set(&a, m, "window", ax_val_int(&a, j->opt.window));
	for (int k = 0; ok && k < AX_N_SPLIT; k++) {
		struct ax_val *s = split_val(&a, j, k);

		ok = s && ax_val_set(&a, s, "dropped", ax_val_copy(&a, ax_val_get(ax_val_get(p, ax_split_name(k)), "dropped"))) &&
		     ax_val_set(&a, s, "truncated", ax_val_copy(&a, ax_val_get(ax_val_get(p, ax_split_name(k)), "truncated"))) &&
		     ax_val_set(&a, m, ax_split_name(k), s);
	}
	ok = ok && ax_val_set(&a, m, "sum", ax_val_copy(&a, ax_val_get(t, "sum")));
	if (ok)
		ax_json_write(&b, m, AX_JSON_INDENT2);
	ax_buf_addc(&b, '\n');
	rc = ok && !b.oom ? ax_write_file(path, b.p, b.n, e) : ax_fail(e, AX_EMEM, "out of memory");
	ax_buf_release(&b);
	ax_arena_release(&a);
	return rc;
}
